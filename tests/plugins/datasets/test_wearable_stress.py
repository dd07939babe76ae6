"""The wearable device dataset: its reader and generator against each other, and the reader against the real files."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embench.testing import check_dataset
from embench_plugins.datasets.wearable_stress import synthetic
from embench_plugins.datasets.wearable_stress.reader import SESSIONS, WearableStress

from ...sample import sample
from .damages import wearable_stress as made
from .real import released

SUBJECTS, LENGTH_S = 28, 160.0  # S01 to S14 and f01 to f14: everybody with a fault is among them
FILES = {"ppg": ("BVP", 64, 1), "eda": ("EDA", 4, 1), "temp": ("TEMP", 4, 1), "acc": ("ACC", 32, 1 / 64)}
SPANS = {  # by number of the press: rests, tasks
    "S": ([(0, 1), (3, 4), (5, 6)], [(2, 3), (4, 5), (6, 7), (8, 9), (10, 11)]),
    "f": ([(2, 3), (6, 7)], [(1, 2), (3, 4), (5, 6), (7, 8)]),
}
RATED = {
    "S": ["Baseline", "Stroop", "First Rest", "TMCT", "Second Rest", "Real Opinion", "Opposite Opinion", "Subtract"],
    "f": ["Baseline", "TMCT", "First Rest", "Real Opinion", "Opposite Opinion", "Second Rest", "Subtract"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wearable_stress")
    synthetic.synthesize(folder, subjects=SUBJECTS, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


@pytest.fixture
def copy(tmp_path) -> Path:
    """Two subjects, to be damaged."""
    made.whole(tmp_path)
    return tmp_path


def folder_of(root: Path, name: str) -> Path:
    return root / SESSIONS / name


def only(root: Path, subject: str):
    (recording,) = WearableStress(root).recordings(subject)
    return recording


def unix(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()


def read_apart(root: Path, subject: str):
    """One subject's files without the reader: signals, stages and ratings by second, from where all have begun."""
    folder, starts, data = folder_of(root, subject), {}, {}
    for modality, (name, rate, scale) in FILES.items():
        table = pd.read_csv(folder / f"{name}.csv", header=None, dtype=str)
        starts[modality] = unix(table.iloc[0, 0])
        assert (table.iloc[1].astype(float) == rate).all()
        data[modality] = table.iloc[2:].astype(float).to_numpy().T * scale
    start = max(starts.values())
    end = min(starts[m] + data[m].shape[1] / rate for m, (_, rate, _) in FILES.items())
    for modality, (_, rate, _) in FILES.items():
        first = round((start - starts[modality]) * rate)
        data[modality] = data[modality][:, first : first + int((end - start) * rate)].astype(np.float32)
    press = [unix(line) - start for line in (folder / "tags.csv").read_text().split("\n") if line]
    ratings = pd.read_csv(root / f"Stress_Level_v{1 if subject[0] == 'S' else 2}.csv", index_col=0).loc[subject]
    times = np.arange(int(end - start))
    stage, rating = np.full(len(times), 2), np.full(len(times), np.nan)
    rests, tasks = SPANS[subject[0]]
    spans = [(press[a], press[b], 0) for a, b in rests] + [(press[a], press[b], 1) for a, b in tasks]
    if subject[0] == "f":
        spans.append((press[0] - 180, press[0], 0))
    for (begin, stop, kind), name in zip(sorted(spans), RATED[subject[0]], strict=True):
        stage[(times >= begin) & (times < stop)] = kind
        rating[(times >= begin) & (times < stop)] = ratings[name]
    return data, stage, rating, rating - ratings.mean()


def compare(root: Path, subject: str) -> None:
    recording = only(root, subject)
    data, stage, rating, centred = read_apart(root, subject)
    assert (recording.start_s, recording.order, recording.stimulus) == (0.0, 0, "session")
    assert recording.signals.keys() == FILES.keys()
    for modality, signal in recording.signals.items():
        assert signal.rate == FILES[modality][1]
        np.testing.assert_array_equal(signal.data, data[modality], err_msg=modality)
    for name, values in (("stage", stage), ("rating", rating), ("rating_from_own_mean", centred)):
        np.testing.assert_array_equal(recording.labels[name].times, np.arange(len(stage)))
        np.testing.assert_allclose(recording.labels[name].values, values, atol=1e-12, err_msg=name)


class TestGenerated:
    def test_it_conforms(self, root):
        check_dataset(WearableStress, root)

    @pytest.mark.parametrize("subject", ["S01", "S14", "f01", "f13"])
    def test_samples_and_labels_are_those_of_an_independent_reading(self, root, subject):
        compare(root, subject)

    def test_every_label_is_the_drawn_one(self, root):
        truth = synthetic.draw(SUBJECTS, 3, 1.0, length_s=LENGTH_S)
        for subject in WearableStress(root).subjects():
            mine = truth[truth["person"] == subject]
            stress = synthetic.find_stress(mine)
            given = synthetic.draw_ratings(subject, 3)
            said = [*(given[stage.name] for stage in synthetic.PROTOCOLS[subject[0]].stages), np.nan]
            for recording in WearableStress(root).recordings(subject):
                at = (recording.labels["stage"].times + recording.start_s).astype(int)
                np.testing.assert_array_equal(recording.labels["stage"].values, np.where(stress < 0, 2, stress)[at])
                np.testing.assert_array_equal(recording.labels["rating"].values, np.array(said)[mine["stage"]][at])

    def test_f07_has_no_signal_of_covered_sensors(self, root):
        assert set(only(root, "f07").signals) == {"eda", "acc"}

    def test_f14_is_one_session_in_two_parts_on_one_clock(self, root):
        first, second = WearableStress(root).recordings("f14")
        assert [(part.id, part.order) for part in (first, second)] == [("f14_a", 0), ("f14_b", 1)]
        assert first.start_s == 0
        assert second.start_s == int(first.duration_s) + synthetic.BREAK_S
        assert set(first.labels["stage"].values) <= {0.0, 2.0}
        assert set(second.labels["stage"].values) == {0.0, 1.0, 2.0}

    def test_s02_ends_where_its_samples_repeat(self, tmp_path):
        rows, presses = synthetic.draw(3, 0, 1.0, length_s=1700.0), synthetic.draw_presses("S02", 0, 1700.0)
        synthetic._write_person(tmp_path / SESSIONS, rows[rows["person"] == "S02"], presses, 0)
        recording = only(tmp_path, "S02")
        assert recording.duration_s == pytest.approx(synthetic.WHOLE_S, abs=1)
        written = (folder_of(tmp_path, "S02") / "EDA.csv").read_text().splitlines()
        assert len(written) > 2 * recording.signals["eda"].data.shape[1] - 20
        assert any("repeat" in finding.what for finding in WearableStress(tmp_path).verify())


class TestFaults:
    def test_verify_says_who_is_missing(self, copy):
        (note, *_) = WearableStress(copy).verify()
        assert "2 of 36 subjects are here, not S02, S03" in note.what

    @pytest.mark.parametrize(("subject", "whole"), [("S01", 13), ("f01", 9)])
    def test_a_missing_press_leaves_no_label(self, copy, subject, whole):
        """Also of the last: who knows which one is missing?"""
        path = folder_of(copy, subject) / "tags.csv"
        path.write_text("\n".join(path.read_text().splitlines()[1:]))
        assert only(copy, subject).labels == {}
        said = f"{whole - 1} button presses, not {whole}"
        assert any(said in finding.what for finding in WearableStress(copy).verify())

    def test_a_session_that_ends_early_keeps_the_stages_that_it_has(self, copy):
        folder = folder_of(copy, "S01")
        whole = only(copy, "S01")
        seconds = int(whole.duration_s * 0.6)
        for name, rate, _ in FILES.values():
            rows = (folder / f"{name}.csv").read_text().splitlines()
            (folder / f"{name}.csv").write_text("\n".join(rows[: 2 + seconds * rate]))
        stage = only(copy, "S01").labels["stage"].values
        np.testing.assert_array_equal(stage, whole.labels["stage"].values[:seconds])
        assert any("of Subtract were not recorded" in finding.what for finding in WearableStress(copy).verify())

    def test_without_ratings_there_are_stages_still(self, copy):
        (copy / "Stress_Level_v1.csv").unlink()
        assert set(only(copy, "S01").labels) == {"stage"}
        assert len(only(copy, "f01").labels) == 3


@pytest.fixture(scope="module")
def real() -> Path:
    return released("wearable_stress")


HERE = ("S04", "S05", "S08", "S09", "S10", "S13", "S14", "S15", "S17", "S18", "f01", "f02", "f03", "f04", "f05", "f06",
        "f08", "f09", "f10", "f11", "f12", "f13")  # fmt: skip
"""Whose recordings this project was given."""


class TestReal:
    @pytest.mark.parametrize("subject", sample(HERE, "S04", "f01"))
    def test_samples_and_labels_are_those_of_an_independent_reading(self, real, subject):
        compare(real, subject)

    @pytest.mark.parametrize("subject", sample(HERE, "S04", "f01"))
    def test_each_stage_lasts_as_long_as_its_protocol_says(self, real, subject):
        """The stages follow from the numbers of the presses alone: that they are long where rests are and 30 s where
        the short tasks are shows that each press is the one it is taken for."""
        stage = only(real, subject).labels["stage"].values
        changes = np.flatnonzero(np.diff(stage)) + 1
        parts = [(stage[part[0]], len(part)) for part in np.split(np.arange(len(stage)), changes)]
        rests = [length for kind, length in parts if kind == 0]
        tasks = [length for kind, length in parts if kind == 1]
        assert min(rests) >= 170
        assert max(rests) <= 1200
        assert len(rests) == 3
        assert min(tasks[:-3]) > 90
        assert all(25 < length < 50 for length in tasks[-3:])  # two opinions and a subtraction

    @pytest.mark.parametrize("subject", ["S04", "f01"])
    def test_movement_is_in_g(self, real, subject):
        movement = only(real, subject).signals["acc"].data
        assert np.median(np.linalg.norm(movement, axis=0)) == pytest.approx(1, abs=0.05)
