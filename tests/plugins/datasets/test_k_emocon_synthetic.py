"""The K-EmoCon synthesizer: what is planted and what is not, same bytes, and folders it must not touch."""

import math

import numpy as np
import pytest
from scipy.signal import find_peaks

from embench.interfaces.recording import Recording
from embench.protocols import label_units, load_protocol, make_units
from embench_plugins.datasets.k_emocon import synthetic
from embench_plugins.datasets.k_emocon.reader import DIMENSIONS, KEmoCon

from .measures import auroc
from .oracles import of_k_emocon


@pytest.mark.slow
class TestTruth:
    def test_each_dimension_has_its_own_places(self):
        found = of_k_emocon(32, 0, 1.0)
        assert {name: target for name, (target, *_) in found.items()} == synthetic.QUANTITIES
        truth = [synthetic.draw(32, seed, 1.0) for seed in range(10)]
        across = [np.corrcoef(t["arousal_latent"], t["valence_latent"])[0, 1] for t in truth]
        assert np.mean(across) == pytest.approx(0, abs=0.06)

    def test_half_of_the_windows_are_high_and_both_classes_occur_in_everybody(self):
        truth = np.stack([synthetic.draw(32, seed, 1.0) for seed in range(10)])
        for name in DIMENSIONS:
            ratings = truth[f"{name}_rating"]
            assert set(np.unique(ratings)) == {1, 2, 3, 4, 5}
            assert (ratings >= 3).mean() == pytest.approx(0.5, abs=0.05)
            for _, _, labels, subjects in of_k_emocon(32, 0, 1.0).values():
                assert all(0 < labels[subjects == subject].mean() < 1 for subject in np.unique(subjects))

    def test_subjects_differ_more_than_the_effect(self):
        truth = synthetic.draw(32, 0, 1.0)
        for name in ("heart_rate", "scr_per_min", "breath_share"):
            values = [np.log(truth[name][truth["person"] == pid]) for pid in range(1, 33)]
            assert np.std([v.mean() for v in values]) > np.mean([v.std() for v in values])

    def test_labels_change_slowly_and_do_not_follow_the_clock(self):
        truth = [synthetic.draw(32, seed, 1.0, 300.0) for seed in range(10)]
        latent = [t["arousal_latent"][t["person"] == pid] for t in truth for pid in (1, 2, 9, 10)]
        assert np.mean([np.corrcoef(x[:-1], x[1:])[0, 1] for x in latent]) == pytest.approx(0.73, abs=0.08)
        assert np.abs(np.mean(latent, axis=0)).max() < 0.6

    def test_two_who_debate_share_nothing(self):
        truth = [synthetic.draw(32, seed, 1.0) for seed in range(10)]
        shared = [
            np.corrcoef(t["arousal_latent"][t["person"] == pid], t["arousal_latent"][t["person"] == pid + 1])[0, 1]
            for t in truth
            for pid in range(1, 33, 2)
        ]
        assert np.mean(shared) == pytest.approx(0, abs=0.07)

    def test_the_effect_changes_only_the_body(self):
        none, full = synthetic.draw(4, 5, 0.0), synthetic.draw(4, 5, 1.0)
        np.testing.assert_array_equal(none["valence_rating"], full["valence_rating"])
        assert not np.array_equal(none["heart_rate"], full["heart_rate"])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> list[Recording]:
    """The recordings of 32 subjects, 28 of them with a wristband."""
    root = tmp_path_factory.mktemp("k_emocon")
    synthetic.synthesize(root, subjects=32, seed=11, effect=1.0)
    return [recording for subject in KEmoCon(root).subjects() for recording in KEmoCon(root).recordings(subject)]


@pytest.fixture(scope="module")
def units(recorded) -> list[dict]:
    """Of those with a wristband: samples (units, channels, samples) by modality, and labels (units,)."""
    protocol, found = load_protocol("subject-independent-v4"), []
    rules = {target.name: target.rule for target in KEmoCon.card.targets}
    for recording in recorded:
        if "ppg" not in recording.signals:
            continue
        grid = make_units([recording], KEmoCon.card, "continuous", protocol)
        subject_id: dict = {
            name: label_units(grid, {recording.id: recording.labels[name]}, rules[name])[1] for name in DIMENSIONS
        }
        for modality, signal in recording.signals.items():
            size = round(10 * signal.rate)
            data = signal.data[:, : len(grid) * size].astype(float)
            subject_id[modality] = data.reshape(len(data), len(grid), size).swapaxes(0, 1)
        found.append(subject_id)
    return found


def mean_auroc(units: list[dict], modality: str, target: str, figure) -> float:
    """AUROC inside a subject of `figure`, which makes (units,) of (units, channels, samples); mean over subjects."""
    scores = []
    for subject in units:
        if modality in subject:
            values = figure(subject[modality])
            kept = np.isfinite(values) & np.isfinite(subject[target])
            scores.append(auroc(values[kept], subject[target][kept]))
    return float(np.nanmean(scores))


@pytest.mark.slow
class TestSignals:
    """The shape of a signal tells, its mean and variance do not."""

    @pytest.mark.parametrize("modality", ["ppg", "eda", "temp", "acc", "eeg_bands"])
    @pytest.mark.parametrize("target", DIMENSIONS)
    def test_mean_and_variance_carry_nothing(self, units, modality, target):
        for channel in range(len(KEmoCon.card.modalities[modality].channels)):
            for moment in (np.mean, np.std):
                score = mean_auroc(units, modality, target, lambda x, c=channel, f=moment: f(x[:, c], axis=1))
                # 28 subjects of 30 units that hang together: the standard error is about .035.
                assert score == pytest.approx(0.5, abs=0.12), (channel, moment.__name__)

    def test_heart_rate_is_in_the_pulse_wave_and_in_the_belt(self, units):
        def beats(x):
            return np.array([rate_of(row[0]) for row in x])

        def rate_of(row):
            peaks, _ = find_peaks(row, distance=64 * 0.4, prominence=row.std())
            return 1 / np.diff(peaks).mean() if len(peaks) > 2 else math.nan

        assert mean_auroc(units, "ppg", "arousal", beats) > 0.8
        assert mean_auroc(units, "hr", "arousal", lambda x: np.nanmean(x[:, 0], axis=1)) > 0.8
        assert mean_auroc(units, "hr", "valence", lambda x: np.nanmean(x[:, 0], axis=1)) < 0.62

    def test_the_breaths_modulation_is_in_the_pulse_wave(self, units):
        def swing(x):
            return np.array([spread(row[0]) for row in x])

        def spread(row):
            peaks, _ = find_peaks(row, distance=64 * 0.4, prominence=row.std())
            return np.diff(peaks, n=2).std() if len(peaks) > 4 else math.nan

        assert mean_auroc(units, "ppg", "valence", swing) > 0.7

    def test_alphas_share_is_in_the_band_powers(self, units):
        def share(x):
            return np.nanmean(np.log(x[:, 2:4]).mean(1) - np.log(x).mean(1), axis=1)

        assert mean_auroc(units, "eeg_bands", "valence", share) > 0.8

    def test_more_responses_are_in_the_skin(self, units):
        def responses(x):
            rises = np.diff(np.log(x[:, 0]), axis=1)
            return np.array([float(len(find_peaks(row, prominence=0.02)[0])) for row in rises])

        # About two fall into a unit, by chance, so that the best count of them tells little.
        assert mean_auroc(units, "eda", "arousal", responses) > 0.57
        assert mean_auroc(units, "eda", "valence", responses) == pytest.approx(0.5, abs=0.07)

    def test_annotators_agree_in_part(self, recorded):
        found = []
        for labels in (recording.labels for recording in recorded):
            one, other = labels["arousal_external_r1"], labels["arousal_external_r2"]
            _, a, b = np.intersect1d(one.times, other.times, return_indices=True)
            both = np.isfinite(one.values[a]) & np.isfinite(other.values[b])
            found.append(np.corrcoef(one.values[a][both], other.values[b][both])[0, 1])
        assert 0.3 < np.mean(found) < 0.8


class TestFiles:
    def test_the_tree_is_the_releases(self, tmp_path):
        synthetic.synthesize(tmp_path, 1, 0, 1.0, length_s=20.0)
        names = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*.csv")}
        annotations = {"self", "partner", "external", "aggregated_external"}
        expected = {"metadata", "e4_data/1", "neurosky_polar_data/1", "data_quality_tables"}
        assert names == expected | {f"emotion_annotations/{name}_annotations" for name in annotations}
        header = (tmp_path / "e4_data" / "1" / "E4_ACC.csv").read_text().splitlines()[0]
        assert header == "timestamp,x,y,z,pid,device_serial,device_number,entry_time"
        quality = (tmp_path / "data_quality_tables" / "e4_zeros.csv").read_text().splitlines()
        assert "pid" not in quality[0]
        assert "(0.01)" in quality[1]

    def test_a_length_is_honoured_and_said(self, tmp_path):
        synthetic.synthesize(tmp_path / "a", subjects=3, seed=0, effect=1.0, length_s=25.0)
        durations = [next(KEmoCon(tmp_path / "a").recordings(f"P{pid:02d}")).duration_s for pid in (1, 3)]
        assert durations == pytest.approx([25, 24.5])
