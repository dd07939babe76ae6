"""The Stress-Predict generator: what is planted and what is not, the format and its quirks, every sample read back."""

from pathlib import Path

import numpy as np
import pytest

from embench.signals.beats import intervals, ppg_peaks
from embench.testing import check_dataset
from embench_plugins.datasets.stress_predict import synthetic
from embench_plugins.datasets.stress_predict.reader import LABELS, StressPredict

from .measures import auroc
from .oracles import of_stress_predict

LENGTH_S = 240.0


def within(effect: float) -> dict[str, float]:
    """AUROC of each true quantity inside each subject, mean over the subjects of some sets."""
    scores: dict[str, list[float]] = {}
    for seed in range(8):
        for quantity, (_, value, label, subject) in of_stress_predict(synthetic.PEOPLE, seed, effect).items():
            of = scores.setdefault(quantity, [])
            of += [auroc(value[subject == p], label[subject == p]) for p in np.unique(subject)]
    return {quantity: float(np.mean(of)) for quantity, of in scores.items()}


class TestTruth:
    def test_an_oracle_scores_ninety_at_effect_one_and_chance_at_none(self):
        for effect, score in ((1.0, 0.90), (0.0, 0.50)):
            expected = dict.fromkeys(("heart_rate", "scr_per_min"), score)
            assert within(effect) == pytest.approx(expected, abs=0.015)

    def test_tasks_come_in_one_order_at_times_of_ones_own(self):
        truth = synthetic.draw(20, 0, 1.0)
        begins = []
        for subject in range(1, 21):
            stress = truth["stress"][truth["person"] == subject]
            changes = np.flatnonzero(np.diff(stress)) + 1
            assert len(changes) == 6
            assert stress[0] == 0
            begins.append(changes)
        assert (np.std(begins, axis=0) > 10).all()

    def test_subjects_differ_more_than_the_effect(self):
        truth = synthetic.draw(35, 0, 1.0)
        of = [truth[truth["person"] == subject] for subject in range(1, 36)]
        rise = [np.subtract(*(one["heart_rate"][one["stress"] == kind].mean() for kind in (1, 0))) for one in of]
        assert np.std([one["heart_rate"].mean() for one in of]) > np.mean(rise) > 3


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """18 subjects, so that everybody with a quirk is among them."""
    folder = tmp_path_factory.mktemp("stress_predict")
    synthetic.synthesize(folder, subjects=18, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


def only(root: Path, subject: str):
    (recording,) = StressPredict(root).recordings(subject)
    return recording


class TestFiles:
    def test_it_conforms(self, root):
        check_dataset(StressPredict, root)

    def test_every_sample_read_is_one_written(self, root):
        for subject in ("S01", "S02", "S06"):
            recording = only(root, subject)
            for modality, name in (("ppg", "BVP"), ("eda", "EDA"), ("temp", "TEMP"), ("acc", "ACC")):
                signal, card = recording.signals[modality], StressPredict.card.modalities[modality]
                table = np.loadtxt(root / "Raw_data" / subject / f"{name}.csv", delimiter=",", ndmin=2)
                assert (table[1] == card.rate).all()
                assert (signal.rate, signal.channels, signal.unit) == (card.rate, card.channels, card.unit)
                scale = 1 / 64 if modality == "acc" else 1
                written = (table[2:].T * scale).astype(np.float32)[:, : signal.data.shape[1]]
                np.testing.assert_array_equal(signal.data, written)

    def test_every_label_is_the_drawn_one(self, root):
        truth = synthetic.draw(18, 3, 1.0, length_s=LENGTH_S)
        for subject in range(2, 19):
            label = only(root, f"S{subject:02d}").labels["stress"]
            mine = truth[truth["person"] == subject]
            np.testing.assert_array_equal(label.times, np.arange(9, 9 + len(label.times)))
            np.testing.assert_array_equal(label.values, mine["stress"][label.times.astype(int)])
            assert len(mine) - 10 - len(label.times) <= 2  # files that end earlier cut a second or two off

    def test_s01_has_signals_and_no_labels(self, root):
        assert only(root, "S01").labels == {}
        assert "\n1," not in (root / LABELS).read_text()

    def test_the_last_seconds_have_no_heart_rate_and_the_others_the_devices_one_second_later(self, root):
        table = np.genfromtxt(root / LABELS, delimiter=",", skip_header=1)
        mine = table[table[:, 0] == 4]
        device = np.loadtxt(root / "Raw_data" / "S04" / "HR.csv")
        there = np.isfinite(mine[:, 1])
        assert not there[-1]
        at = (mine[there, 3] - device[0]).astype(int) + 1
        np.testing.assert_array_equal(device[2:][at], mine[there, 1])

    def test_files_of_one_subject_end_some_seconds_apart(self, root):
        lengths = []
        for subject in StressPredict(root).subjects():
            folder = root / "Raw_data" / subject
            counts = {
                name: len((folder / f"{name}.csv").read_text().splitlines()) - 2 for name in ("BVP", "EDA", "TEMP")
            }
            lengths.append([counts["BVP"] / 64, counts["EDA"] / 4, counts["TEMP"] / 4])
        apart = np.ptp(lengths, axis=1)
        assert apart.max() > 1
        assert apart.max() < 5

    def test_presses_of_some_subjects_are_missing_or_of_another_time(self, root):
        named = {Path(f.where).name for f in StressPredict(root).verify() if "no button press" in f.what}
        assert named == {"S06", "S17"}
        assert b"\r\n" in (root / "Raw_data" / "S02" / "tags_S02.csv").read_bytes()

    def test_beats_in_the_ibi_file_are_those_of_the_pulse_wave(self, root):
        found = intervals(ppg_peaks(only(root, "S03").signals["ppg"].data[0], 64.0), 64.0)[1]
        written = np.loadtxt(root / "Raw_data" / "S03" / "IBI.csv", delimiter=",", skiprows=1)[:, 1]
        assert np.median(found) == pytest.approx(np.median(written), rel=0.03)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("signals")
    synthetic.synthesize(folder, subjects=13, seed=8, effect=1.0)
    return [only(folder, subject) for subject in StressPredict(folder).subjects()[1:]]


@pytest.mark.slow
class TestSignals:
    """What tells of stress in a unit's signals: the rate of beats; neither mean nor variance."""

    @staticmethod
    def scored(subjects: list, modality: str, figure) -> float:
        scores = []
        for recording in subjects:
            signal, label = recording.signals[modality], recording.labels["stress"]
            step = int(10 * signal.rate)
            values, labels = [], []
            for k in range(1, int(recording.duration_s // 10)):
                inside = label.values[(label.times >= 10 * k) & (label.times < 10 * (k + 1))]
                if len(set(inside.tolist())) == 1:
                    values.append(figure(signal.data[:, k * step : (k + 1) * step].astype(float)))
                    labels.append(inside[0])
            scores.append(auroc(np.array(values), np.array(labels)))
        return float(np.mean(scores))

    @pytest.mark.parametrize("modality", ["ppg", "eda", "temp", "acc"])
    def test_mean_and_variance_carry_nothing(self, subjects, modality):
        # 12 subjects of some 70 units, whose slow drifts make neighbours alike: a standard error of about .04.
        for figure in (np.mean, np.std):
            assert self.scored(subjects, modality, figure) == pytest.approx(0.5, abs=0.13)

    def test_heart_rate_is_in_the_pulse_wave(self, subjects):
        def rate(x: np.ndarray) -> float:
            return -float(np.median(np.diff(ppg_peaks(x[0], 64.0))))

        assert self.scored(subjects, "ppg", rate) > 0.8
