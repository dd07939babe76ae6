"""The DEAP synthesizer: what is planted and what is not, files as Python 2 left them, same bytes."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.signal import welch

from embench_plugins.datasets.deap import synthetic
from embench_plugins.datasets.deap.reader import BASELINE_S, EEG, GSR, RATE, RATINGS, TRIALS, Deap

from .measures import auroc
from .oracles import of_deap

REST = round(BASELINE_S * RATE)


@pytest.mark.slow
class TestTruth:
    def test_each_target_has_its_own_place(self):
        assert {of_deap(1, 0, 1.0)[quantity][0] for quantity in synthetic.PLANTED} == {"arousal", "valence"}
        rows = np.concatenate([synthetic.draw(32, seed, 1.0) for seed in range(10)]).reshape(-1, TRIALS)
        for quantity, target in synthetic.PLANTED.items():
            for other in set(RATINGS) - {target}:
                mean = np.nanmean([auroc(subject[quantity], subject[other] > 5) for subject in rows])
                assert mean == pytest.approx(0.5, abs=0.02)

    def test_both_classes_occur_and_neither_video_nor_trial_names_a_rating(self):
        sets = np.stack([synthetic.draw(32, seed, 1.0).reshape(32, TRIALS) for seed in range(20)])
        for target in RATINGS:
            assert sets[target].min() >= 1
            assert sets[target].max() <= 9
            high = sets[target] > 5
            assert high.sum(axis=-1).min() >= 8
            assert high.sum(axis=-1).max() <= 32
            np.testing.assert_allclose(high.mean(axis=(0, 1)), high.mean(), atol=0.08)
            by_trial = [high[sets["trial"] == trial].mean() for trial in range(1, TRIALS + 1)]
            np.testing.assert_allclose(by_trial, high.mean(), atol=0.08)

    def test_subjects_differ_more_than_the_effect(self):
        rows = synthetic.draw(32, 0, 1.0).reshape(32, TRIALS)
        for quantity in set(synthetic.PLANTED) - {"smile", "brow"}:
            values = np.log(rows[quantity]) if quantity == "scr_per_min" else rows[quantity]
            assert values.mean(axis=1).std() > values.std(axis=1).mean()

    def test_orders_are_shuffled_for_each_subject(self):
        orders = synthetic.draw(32, 0, 1.0).reshape(32, TRIALS)["trial"]
        assert (np.sort(orders, axis=1) == np.arange(1, TRIALS + 1)).all()
        assert len(np.unique(orders, axis=0)) == 32

    def test_trials_follow_each_other_and_do_not_overlap(self):
        for subject in synthetic.draw(4, 0, 1.0).reshape(4, TRIALS):
            assert np.diff(np.sort(subject, order="trial")["start_s"]).min() > 63


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Four subjects, trials of 23 s."""
    root = tmp_path_factory.mktemp("deap")
    synthetic.synthesize(root, 4, seed=5, effect=1.0, length_s=23.0)
    return root


@pytest.fixture(scope="module")
def brief(tmp_path_factory) -> Path:
    """Four subjects, trials of 6 s."""
    root = tmp_path_factory.mktemp("deap")
    synthetic.synthesize(root, 4, seed=5, effect=1.0, length_s=6.0)
    return root


@pytest.mark.slow
class TestSignals:
    """The shape of a signal tells, its mean and variance do not."""

    @pytest.mark.parametrize("seed", range(3))
    def test_mean_and_variance_are_the_same_whatever_is_planted(self, seed):
        subject = synthetic._Person.draw(1, np.random.default_rng(seed))
        moments = []
        for response in (-3.0, 3.0):
            trial = np.zeros(1, synthetic.ROWS)[0]
            trial["heart_rate"], trial["scr_per_min"], trial["alpha_asymmetry"] = 75 + 5 * response, 8, response
            data = subject.make_trial(trial, 70.0, 30 * round(RATE), np.random.default_rng(seed))[:, REST:]
            moments.append((data.mean(axis=1), data.std(axis=1)))
        (mean, std), (other_mean, other_std) = moments
        np.testing.assert_allclose((mean - other_mean) / std, 0, atol=1e-4)
        np.testing.assert_allclose(other_std, std, rtol=1e-4)

    def test_mean_and_variance_carry_nothing(self, root):
        for target in ("arousal", "valence"):
            scores = []
            for subject in Deap(root).subjects():
                recordings = list(Deap(root).recordings(subject))
                labels = np.array([r.labels[target].values[0] > 5 for r in recordings])
                data = np.stack([np.concatenate([s.data[:, REST:] for s in r.signals.values()]) for r in recordings])
                for moment in (data.mean(axis=2), data.std(axis=2)):
                    scores += [auroc(channel, labels) for channel in moment.T]
            # 320 chance AUROCs of 40 trials: a standard error of .09 each, of about .01 for their mean.
            assert np.mean(scores) == pytest.approx(0.5, abs=0.04)
            assert np.std(scores) == pytest.approx(0.093, abs=0.025)

    def estimated(self, root: Path, target: str, figure) -> float:
        scores = []
        for subject in Deap(root).subjects():
            recordings = list(Deap(root).recordings(subject))
            labels = np.array([r.labels[target].values[0] > 5 for r in recordings])
            scores.append(auroc(np.array([figure(r) for r in recordings]), labels))
        return float(np.mean(scores))

    def test_heart_rate_is_in_the_ppg(self, root):
        def rate(recording) -> float:
            x = recording.signals["ppg"].data[0, REST:].astype(float)
            hz, power = welch(x, RATE, nperseg=len(x), nfft=8 * len(x))
            band = (hz > 0.8) & (hz < 2)
            return hz[band][power[band].argmax()]

        assert self.estimated(root, "arousal", rate) > 0.8

    def test_asymmetry_is_in_the_eeg(self, root):
        left = [EEG.index(name) for name in ("Fp1", "AF3", "F3", "F7", "FC5", "FC1")]
        right = [EEG.index(name) for name in ("Fp2", "AF4", "F4", "F8", "FC6", "FC2")]

        def asymmetry(recording) -> float:
            hz, power = welch(recording.signals["eeg"].data[:, REST:], RATE, nperseg=256)
            alpha = np.log(power[:, (hz >= 8.5) & (hz <= 12)].mean(axis=1) / power.mean(axis=1))
            return alpha[right].mean() - alpha[left].mean()

        assert self.estimated(root, "valence", asymmetry) > 0.8


class TestFiles:
    @pytest.mark.slow
    def test_every_sample_and_rating_is_read_as_written(self, root):
        rows = synthetic.draw(4, 5, 1.0).reshape(4, TRIALS)
        for subject, truth in zip(Deap(root).subjects(), rows, strict=True):
            written = pickle.loads((root / f"data_preprocessed_python/{subject}.dat").read_bytes(), encoding="latin1")
            np.testing.assert_array_equal(written["labels"], np.stack([truth[name] for name in RATINGS], axis=1))
            assert written["data"].dtype == written["labels"].dtype == np.float64
            for index, recording in enumerate(Deap(root).recordings(subject)):
                at = 0
                for modality, signal in recording.signals.items():
                    back = signal.data.astype(float) * (-1 if modality == "eda" else 1)
                    np.testing.assert_array_equal(back, written["data"][index, at : at + len(back)])
                    at += len(back)
                assert at == 40
                assert recording.order == truth["trial"][index] - 1
                assert recording.start_s == pytest.approx(truth["start_s"][index] - 3, abs=1e-5)
                for name in RATINGS:
                    assert recording.labels[name].values == truth[name][index]

    def test_pickles_are_of_protocol_2_and_0_and_one_was_written_again_by_python_3(self, brief):
        start = {path.stem: path.read_bytes()[:2] for path in (brief / "data_preprocessed_python").glob("*.dat")}
        assert start == {"s01": b"\x80\x02", "s02": b"(d", "s03": b"\x80\x03", "s04": b"\x80\x02"}

    @pytest.mark.parametrize("subject", ["s01", "s02"])
    def test_python_3_does_not_load_them_with_its_default(self, brief, subject):
        content = (brief / f"data_preprocessed_python/{subject}.dat").read_bytes()
        with pytest.raises(UnicodeDecodeError):
            pickle.loads(content)

    def test_the_table_has_a_byte_order_mark_and_no_familiarity_for_two(self, brief):
        path = brief / "metadata_csv" / "participant_ratings.csv"
        assert path.read_bytes().startswith(b"\xef\xbb\xbfParticipant_id,Trial,Experiment_id,Start_time,Valence,")
        table = pd.read_csv(path)
        assert len(table) == 160
        assert (table["Trial"] == np.tile(np.arange(1, 41), 4)).all()
        assert table.loc[table["Participant_id"] == 2, "Familiarity"].isna().all()
        assert table.loc[table["Participant_id"] != 2, "Familiarity"].isin(range(1, 6)).all()

    def test_gsr_differs_between_subjects_in_scale_and_sign(self, brief):
        means = {}
        for subject in Deap(brief).subjects():
            data = np.stack([r.signals["eda"].data for r in Deap(brief).recordings(subject)])
            means[subject] = -data.mean(), data.std()
        assert means["s01"][0] > 0
        assert abs(means["s02"][0]) < 2 * means["s02"][1]
        scales = [scale for _, scale in means.values()]
        assert max(scales) > 1.3 * min(scales)

    @pytest.mark.slow
    def test_real_length_on_request(self, tmp_path):
        synthetic.synthesize(tmp_path, 1, seed=0, effect=0.5, length_s=63.0)
        recording = next(Deap(tmp_path).recordings("s01"))
        assert recording.signals["eeg"].data.shape == (32, 8064)
        assert (tmp_path / "data_preprocessed_python/s01.dat").stat().st_size == pytest.approx(103_219_200, rel=1e-4)
        assert recording.video.span == (-3.0, 60.0)
        assert not [found.what for found in Deap(tmp_path).verify() if "8064" in found.what]

    def test_turned_gsr_is_subject_five(self):
        subjects = [synthetic._Person.draw(subject, np.random.default_rng(0)) for subject in (4, 5)]
        trial = np.zeros(1, synthetic.ROWS)[0]
        trial["heart_rate"] = trial["scr_per_min"] = 60.0
        one, other = (p.make_trial(trial, 60.0, 1280, np.random.default_rng(0))[GSR] for p in subjects)
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(-1, abs=1e-3)
