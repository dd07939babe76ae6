"""The AMIGOS synthesizer: what is planted and what is not, real lengths, same bytes, and folders it must not touch."""

import json
import math

import numpy as np
import pytest
from scipy.io import loadmat

from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.amigos.reader import Amigos
from embench_plugins.datasets.amigos.release import LONG, RATE, SEGMENTS, SHORT, count_segments

from .measures import auroc


@pytest.mark.slow
class TestTruth:
    def test_each_target_has_its_own_place(self):
        rows = np.concatenate([synthetic.draw(40, seed, 1.0).reshape(40, 20)[:, :16] for seed in range(25)])
        for quantity, target in (("heart_rate", "valence"), ("alpha_asymmetry", "arousal")):
            scores = [auroc(subject[quantity], subject[target] > 4.5) for subject in rows]
            assert np.mean(scores) == pytest.approx(0.5, abs=0.015)

    def test_both_classes_occur_in_everybody_and_no_video_names_its_rating(self):
        sets = np.stack([synthetic.draw(40, seed, 1.0).reshape(40, 20)[:, :16] for seed in range(20)])
        for target in ("arousal", "valence"):
            assert ((sets[target] >= 1) & (sets[target] <= 9)).all()
            high = (sets[target] > 4.5).sum(axis=-1)
            assert high.min() >= 4
            assert high.max() <= 13
            by_video = (sets[target] > 4.5).mean(axis=(0, 1))
            np.testing.assert_allclose(by_video, by_video.mean(), atol=0.07)

    def test_subjects_differ_more_than_the_effect(self):
        rows = synthetic.draw(40, 0, 1.0).reshape(40, 20)
        for quantity in set(synthetic.PLANTED) - {"smile", "brow"}:
            values = np.log(rows[quantity]) if quantity == "scr_per_min" else rows[quantity]
            assert values.mean(axis=1).std() > values.std(axis=1).mean()

    def test_a_subjects_label_can_be_made_a_function_of_the_subject(self):
        rows = synthetic.draw(40, 3, 1.0, person_label=True).reshape(40, 20)
        for target in ("arousal", "valence"):
            high = rows[target] > 4.5
            assert (high.all(axis=1) | ~high.any(axis=1)).all()
            assert high[:, 0].sum() == 20
            np.testing.assert_array_equal(high[::2, 0], ~high[1::2, 0])


@pytest.fixture(scope="module")
def trials(tmp_path_factory) -> list[list]:
    """What a reader yields of 16 subjects with trials of 24 s, without trials that have gaps or no label."""
    root = tmp_path_factory.mktemp("amigos")
    synthetic.synthesize(root, 16, seed=11, effect=1.0, length_s=24.0)
    subjects = [list(Amigos(root).recordings(subject)) for subject in Amigos(root).subjects()]
    return [[r for r in subject_id if r.labels and whole(r)] for subject_id in subjects]


def whole(recording) -> bool:
    return all(np.isfinite(signal.data).all() for signal in recording.signals.values())


@pytest.mark.slow
class TestSignals:
    """The shape of a signal tells, its mean and variance do not."""

    def mean_auroc(self, trials, figure, target: str) -> float:
        values = []
        for subject in trials:
            scores = np.array([figure(recording) for recording in subject])
            kept = np.isfinite(scores)
            labels = np.array([recording.labels[target].values[0] > 4.5 for recording in subject])
            values.append(auroc(scores[kept], labels[kept]))
        return float(np.nanmean(values))

    @pytest.mark.parametrize("seed", range(5))
    def test_mean_and_variance_are_the_same_whatever_is_planted(self, seed):
        body = synthetic._Body.draw(np.random.default_rng(seed))
        moments = []
        for response in (-3.0, 3.0):
            trial = np.zeros(1, synthetic.TRIALS)[0]
            trial["heart_rate"], trial["scr_per_min"], trial["alpha_asymmetry"] = (
                75 + 5 * response,
                7 + response,
                response,
            )
            usual = {"heart_rate": 70.0, "scr_per_min": 7.0}
            columns = body.make_trial(trial, usual, 60 * int(RATE), np.random.default_rng(seed))[int(RATE) :]
            columns[:, 16] = 1 / columns[:, 16]
            moments.append((columns.mean(axis=0), columns.std(axis=0)))
        (mean, std), (other_mean, other_std) = moments
        np.testing.assert_allclose((mean - other_mean) / std, 0, atol=1e-5)
        np.testing.assert_allclose(other_std[[*range(14), 16]], std[[*range(14), 16]], rtol=1e-4)
        np.testing.assert_allclose(other_std[14:16], std[14:16], rtol=0.02)  # wander is added, and filtered off later

    @pytest.mark.parametrize("modality", ["eeg", "ecg", "eda"])
    @pytest.mark.parametrize("target", ["arousal", "valence"])
    def test_mean_and_variance_carry_nothing(self, trials, modality, target):
        scores = []
        for channel in range(len(Amigos.card.modalities[modality].channels)):
            for moment in (np.mean, np.std):

                def figure(recording, channel=channel, moment=moment):
                    signal = recording.signals.get(modality)
                    return moment(signal.data[channel, int(RATE) :].astype(float)) if signal else math.nan

                scores.append(self.mean_auroc(trials, figure, target))
        # 16 subjects of about 16 trials: each is a chance AUROC with a standard error of .04.
        assert max(np.abs(np.array(scores) - 0.5)) < 0.14
        assert np.mean(scores) == pytest.approx(0.5, abs=0.07)

    def test_heart_rate_is_in_the_ecg(self, trials):
        def beats_a_second(recording):
            if "ecg" not in recording.signals:
                return math.nan
            x = recording.signals["ecg"].data[1, int(5 * RATE) :].astype(float)
            x = np.diff(x)
            spectrum = np.abs(np.fft.rfft(np.correlate(x, x, "full")))
            hz = np.fft.rfftfreq(2 * len(x) - 1, 1 / RATE)
            lags = np.fft.irfft(spectrum)[int(0.45 * RATE) : int(1.3 * RATE)]  # autocorrelation of the slope
            assert hz[1] > 0
            return -float(np.argmax(lags))

        assert self.mean_auroc(trials, beats_a_second, "arousal") > 0.7

    def test_alpha_asymmetry_is_in_the_eeg(self, trials):
        def asymmetry(recording):
            if "eeg" not in recording.signals:
                return math.nan
            power = np.abs(np.fft.rfft(recording.signals["eeg"].data.astype(float))) ** 2
            hz = np.fft.rfftfreq(recording.signals["eeg"].data.shape[1], 1 / RATE)
            share = np.log(power[:, (hz > 8) & (hz < 12.5)].sum(axis=1) / power.sum(axis=1))
            return float(share[10:].mean() - share[:4].mean())

        assert self.mean_auroc(trials, asymmetry, "valence") > 0.8

    @pytest.mark.parametrize(("target", "least", "most"), [("arousal", 0.75, 1.0), ("valence", 0.36, 0.64)])
    def test_the_level_of_skin_conductance_rises_with_arousal_alone(self, trials, target, least, most):
        def rise(recording):
            if "eda" not in recording.signals:
                return math.nan
            skin = recording.signals["eda"].data[0].astype(float)
            return skin[int(12 * RATE) :].mean() - skin[int(RATE) : int(5 * RATE)].mean()

        assert least < self.mean_auroc(trials, rise, target) < most

    def test_responses_rise_in_what_the_reader_gives(self, trials):
        steps = [np.diff(r.signals["eda"].data[0, 640::16].astype(float)) for subject in trials for r in subject]
        skew = [np.mean((s - s.mean()) ** 3) / s.std() ** 3 for s in steps]
        assert np.median(skew) > 1  # fast up, slow down


class TestFiles:
    def test_real_lengths_fit_the_number_of_segments(self):
        for video, segments in SEGMENTS.items():
            assert 20 * (segments - 2) < synthetic.STIMULUS_S[video] <= 20 * (segments - 1)
            assert count_segments(synthetic.choose_trial_length(video, None)) == segments
        longest = max(synthetic.choose_trial_length(video, None) for video in SHORT)
        assert longest * RATE == 19_840
        assert longest == Amigos.card.longest_s

    @pytest.mark.slow
    def test_one_subject_of_real_length(self, tmp_path):
        synthetic.synthesize(tmp_path, subjects=1, seed=0, effect=1.0)
        path = tmp_path / "Data_preprocessed" / "Data_Preprocessed_P01" / "Data_Preprocessed_P01.mat"
        assert path.read_bytes().startswith(b"MATLAB 5.0 MAT-file")
        cells = loadmat(path)
        assert {name for name in cells if not name.startswith("_")} == {
            "joined_data", "labels_selfassessment", "labels_ext_annotation", "VideoIDs"
        }  # fmt: skip
        assert [cell.shape for cell in cells["labels_selfassessment"].ravel()] == [(1, 12)] * 20
        lengths = {str(v[0]): len(d) for v, d in zip(cells["VideoIDs"][0], cells["joined_data"][0], strict=True)}
        assert lengths["31"] == 19_840
        assert max(lengths[video] for video in LONG) == synthetic.SAMPLE_S * RATE
        assert [len(e) for e in cells["labels_ext_annotation"][0, :16]] == [SEGMENTS[video] for video in SHORT]
        external = np.concatenate(list(cells["labels_ext_annotation"].ravel()))
        assert np.abs(external[:, 1:]).max() <= 1
        written = json.loads((tmp_path / "EMBENCH_SYNTHETIC.json").read_text())
        assert (written["subjects"], written["seed"], written["effect"], written["length_s"]) == (1, 0, 1.0, None)

    def test_the_effect_changes_only_the_body(self, tmp_path):
        for effect in (0.0, 1.0):
            synthetic.synthesize(tmp_path / str(effect), 1, 5, effect, length_s=12.0)
        none, full = (list(Amigos(tmp_path / name).recordings("P01")) for name in ("0.0", "1.0"))
        for a, b in zip(none, full, strict=True):
            assert a.labels["arousal"].values == b.labels["arousal"].values
            assert not np.array_equal(a.signals["ecg"].data, b.signals["ecg"].data)

    def test_trials_stay_uneven_when_shortened(self):
        lengths = [synthetic.choose_trial_length(video, 24.0) for video in SHORT]
        assert max(lengths) == 24
        assert min(lengths) == 18
        assert len(set(lengths)) == len(SHORT)
