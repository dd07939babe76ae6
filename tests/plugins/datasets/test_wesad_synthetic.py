"""The WESAD synthesizer: what is planted and what is not, the release's formats, same bytes."""

import pickle
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.signal import find_peaks

from embench_plugins.datasets.wesad import synthetic
from embench_plugins.datasets.wesad.reader import PEOPLE, Wesad, WesadChest, read_reports

from .measures import auroc


def within(score: np.ndarray, label: np.ndarray, subject: np.ndarray) -> float:
    return float(np.mean([auroc(score[subject == p], label[subject == p]) for p in np.unique(subject)]))


@pytest.mark.slow
class TestTruth:
    @pytest.mark.parametrize(("effect", "expected"), [(0.0, 0.5), (1.0, 0.9)])
    def test_breathing_tells_amusement_from_baseline(self, effect, expected):
        scores = []
        for seed in range(20):
            truth = synthetic.draw(15, seed, effect)
            for subject in np.unique(truth["person"]):
                mine = truth[truth["person"] == subject]
                mine = mine[: len(mine) // 10 * 10].reshape(-1, 10)
                kept = mine[np.isin(mine["code"][:, 0], (1, 3))]
                scores.append(auroc(kept["breaths_per_min"].mean(axis=1), kept["code"][:, 0] == 3))
        assert np.mean(scores) == pytest.approx(expected, abs=0.025)

    def test_both_classes_and_all_codes_occur_in_everybody(self):
        truth = synthetic.draw(15, 3, 1.0)
        for name in PEOPLE:
            codes = set(truth["code"][truth["person"] == int(name[1:])])
            assert {0, 1, 2, 3, 4, 6, 7} <= codes
        assert 5 in set(truth["code"])

    def test_both_orders_occur_and_the_baseline_is_first(self):
        truth = synthetic.draw(4, 0, 1.0)
        orders = set()
        for subject in (2, 3, 4, 5):
            condition = truth["condition"][truth["person"] == subject]
            condition = condition[condition > 0]
            orders.add(tuple(condition[np.flatnonzero(np.diff(condition, prepend=0))]))
        assert orders == {(1, 2, 4, 3, 4), (1, 3, 4, 2, 4)}

    def test_subjects_differ_more_than_the_effect(self):
        sets = [synthetic.draw(15, seed, 0.0) for seed in range(10)]
        subjects = [truth[truth["person"] == subject] for truth in sets for subject in np.unique(truth["person"])]
        means = [[subject["heart_rate"].mean(), np.log(subject["scr_per_min"]).mean()] for subject in subjects]
        shift = synthetic.D_PRIME * np.array([synthetic.HEART_SD, synthetic.SKIN_SD])
        assert (np.std(means, axis=0) > shift).all()


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("wesad")
    synthetic.synthesize(root, subjects=4, seed=1, effect=1.0, length_s=120.0)
    return root / "WESAD"


class TestFiles:
    def test_the_tree_of_the_release(self, four):
        assert sorted(path.name for path in four.iterdir()) == ["S2", "S3", "S4", "S5"]
        assert sorted(path.name for path in (four / "S4").iterdir()) == [
            "S4.pkl", "S4_E4_Data.zip", "S4_quest.csv", "S4_readme.txt", "S4_respiban.txt"
        ]  # fmt: skip
        assert "embench_plugins.datasets.wesad.synthetic" in (four.parent / "EMBENCH_SYNTHETIC.json").read_text()

    @pytest.mark.parametrize(("name", "protocol"), [("S2", 2), ("S3", 0), ("S5", 2)])
    def test_pickles_are_those_of_python_two(self, four, name, protocol):
        data = (four / name / f"{name}.pkl").read_bytes()
        assert data.startswith(b"\x80\x02" if protocol else b"(d")
        assert b"numpy.core.multiarray" in data
        with pytest.raises(UnicodeDecodeError):
            pickle.loads(data)
        content = pickle.loads(data, encoding="latin1")
        assert content["subject"] == name
        assert content["label"].dtype == np.int32

    def test_one_is_written_again_by_python_three(self, four):
        content = pickle.loads((four / "S4" / "S4.pkl").read_bytes())
        assert content["label"].dtype == np.float64

    @pytest.mark.parametrize("name", ["S2", "S3", "S4", "S5"])
    def test_arrays_are_shaped_as_released(self, four, name):
        content = pickle.loads((four / name / f"{name}.pkl").read_bytes(), encoding="latin1")
        count = len(content["label"])
        assert set(content) == {"subject", "label", "signal"}
        chest, wrist = content["signal"]["chest"], content["signal"]["wrist"]
        assert {key: x.shape for key, x in chest.items()} == {
            "ACC": (count, 3), "ECG": (count, 1), "EMG": (count, 1), "EDA": (count, 1), "Temp": (count, 1),
            "Resp": (count, 1),
        }  # fmt: skip
        session = count // 700
        assert {key: x.shape for key, x in wrist.items()} == {
            "ACC": (32 * session, 3), "BVP": (64 * session, 1), "EDA": (4 * session, 1), "TEMP": (4 * session, 1)
        }  # fmt: skip
        types = {x.dtype for key, x in [*chest.items(), *wrist.items()] if key != "Temp"}
        assert types == {np.dtype(np.float64)}
        assert chest["Temp"].dtype == np.float32
        np.testing.assert_array_equal(wrist["ACC"], np.round(wrist["ACC"]))
        assert np.median(np.linalg.norm(wrist["ACC"], axis=1)) == pytest.approx(64, rel=0.1)
        assert np.median(np.linalg.norm(chest["ACC"], axis=1)) == pytest.approx(1, rel=0.1)

    def test_the_pickle_is_a_cut_and_its_codes_are_narrower(self):
        truth = synthetic.draw(1, 0, 1.0)
        inside = truth[truth["condition"] == 2]["second"]
        coded = truth[truth["code"] == 2]["second"]
        assert (coded[0] - inside[0], inside[-1] - coded[-1]) == (10, 10)

    def test_times_of_the_questionnaires_are_not_the_pickles(self, four):
        for name in ("S2", "S3"):
            (recording,) = Wesad(four).recordings(name)
            condition = recording.labels["condition"].values
            reports = read_reports(four / name / f"{name}_quest.csv", name)
            first = np.flatnonzero(condition == 0)[0]
            assert reports[0].start_s - first > 50
            ends = (four / name / f"{name}_quest.csv").read_text().splitlines()[3].split(";")
            assert len(ends[2].partition(".")[2]) < 2  # a dropped zero: 50.3 is 50 min 30 s

    def test_readings_stand_in_the_order_too(self, four):
        rows = [(four / name / f"{name}_quest.csv").read_text().splitlines()[1] for name in ("S2", "S3")]
        assert rows[0].startswith("# ORDER;Base;TSST;Medi 1;Fun;Medi 2;sRead;fRead;;")
        assert rows[1].startswith("# ORDER;Base;Fun;Medi 1;TSST;Medi 2;bRead;sRead;fRead;")

    def test_the_devices_own_files(self, four):
        lines = (four / "S2" / "S2_respiban.txt").read_text().splitlines()
        assert [line[0] for line in lines[:3]] == ["#"] * 3
        assert lines[2] == "# EndOfHeader"
        assert len(lines[3].split("\t")) == 11  # ten columns and a tab at the end
        with zipfile.ZipFile(four / "S2" / "S2_E4_Data.zip") as archive:
            head = archive.read("ACC.csv").decode().splitlines()[:2]
        assert [len(row.split(", ")) for row in head] == [3, 3]
        assert head[1].startswith("32.000000")

    def test_the_length_is_kept(self, four):
        durations = [next(Wesad(four).recordings(name)).duration_s for name in ("S2", "S3", "S4")]
        assert durations[0] == 120
        assert all(100 < duration <= 120 for duration in durations)
        assert len(synthetic.draw(1, 0, 1.0)) == synthetic.SESSION_S
        assert len(synthetic.draw(1, 0, 1.0, length_s=6079)) == 6079


class _Units(NamedTuple):
    """Units of eight subjects that lie in one condition: (n,) each, and by channel the samples (n, channels, T)."""

    subject: np.ndarray
    condition: np.ndarray
    truth: np.ndarray  # (n, 3): heart rate, log of responses, log of breaths a minute
    signals: dict[tuple[str, str], np.ndarray]


@pytest.fixture(scope="module")
def units(tmp_path_factory) -> _Units:
    root = tmp_path_factory.mktemp("moments")
    synthetic.synthesize(root, subjects=8, seed=7, effect=1.0, length_s=480.0)
    truth = synthetic.draw(8, 7, 1.0, length_s=480.0)
    subject, condition, rates, signals = [], [], [], {}
    for cls in (Wesad, WesadChest):
        for name in cls(root).subjects():
            (recording,) = cls(root).recordings(name)
            codes = recording.labels["condition"].values
            starts = [s for s in range(0, len(codes) - 9, 10) if np.isfinite(codes[s : s + 10]).all()]
            if cls is Wesad:
                mine = truth[truth["person"] == int(name[1:])]
                means = [[mine[q][s : s + 10].mean() for q in ("heart_rate", "scr_per_min", "breaths_per_min")]
                         for s in starts]  # fmt: skip
                subject += [int(name[1:])] * len(starts)
                condition += [codes[s] for s in starts]
                rates += np.log(means).tolist()
            for modality, signal in recording.signals.items():
                rows = signals.setdefault((cls.device, modality), [])
                rows += [signal.data[:, round(s * signal.rate) : round((s + 10) * signal.rate)] for s in starts]
    return _Units(np.array(subject), np.array(condition), np.array(rates), {k: np.array(v) for k, v in signals.items()})


@pytest.mark.slow
class TestSignals:
    def test_mean_and_variance_carry_nothing(self, units):
        """Not about the quantities that are planted, compared inside each subject's conditions."""
        group = units.subject * 10 + units.condition

        def inside(values: np.ndarray) -> np.ndarray:
            means = {g: values[group == g].mean(axis=0) for g in np.unique(group)}
            return values - np.array([means[g] for g in group])

        truth, found = inside(units.truth), []
        for samples in units.signals.values():
            x = samples.astype(float)
            for moment in (x.mean(axis=2), np.log(x.std(axis=2))):
                rows = inside(moment)
                found += [np.corrcoef(rows[:, c], truth[:, q])[0, 1] for c in range(rows.shape[1]) for q in range(3)]
        # About 230 units: a correlation of nothing has a standard error of .07.
        assert len(found) == 84
        assert np.abs(found).max() < 0.3
        assert np.sqrt(np.mean(np.square(found))) < 0.11

    @pytest.mark.parametrize(("key", "rate"), [(("chest", "ecg"), 700), (("wrist", "ppg"), 64)])
    def test_heart_rate_is_in_the_signal(self, units, key, rate):
        beats = []
        for x in units.signals[key][:, 0]:
            peaks, _ = find_peaks(x, height=x.std(), distance=0.4 * rate)
            beats.append(np.log(60 * rate / np.diff(peaks).mean()))
        assert np.median(np.abs(np.array(beats) - units.truth[:, 0])) < 0.04
        kept = units.condition < 3
        assert within(np.array(beats)[kept], units.condition[kept] == 1, units.subject[kept]) > 0.75

    def test_breathing_is_in_the_belt(self, units):
        turns = np.array([(np.diff(np.sign(x[0, ::70])) != 0).sum() for x in units.signals[("chest", "resp")]])
        kept = np.isin(units.condition, (2, 3))
        assert within(turns[kept], units.condition[kept] == 2, units.subject[kept]) > 0.8

    def test_responses_of_the_skin_rise_fast_and_fall_slowly(self, units):
        for key in (("wrist", "eda"), ("chest", "eda")):
            x = units.signals[key][:, 0].astype(float)
            steps = np.diff(x[:, :: x.shape[1] // 40])
            assert np.mean((steps - steps.mean()) ** 3) / steps.std() ** 3 > 1
