"""The aerobic sessions of the wearable device dataset: the reader and its generator against each other, and the reader
against the real files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench.testing import check_dataset
from embench_plugins.datasets.wearable_stress import synthetic
from embench_plugins.datasets.wearable_stress.reader import (
    ENDED_EARLY,
    EXERCISE_SESSIONS,
    TOGETHER,
    UNIT_S,
    UNSEEN,
    WearableStress,
    WearableStressExercise,
    find_states,
)

from ...sample import sample
from .real import released
from .test_wearable_stress import FILES, HERE, unix

SUBJECTS, LENGTH_S = 22, 110.0  # S11 is the last of them: everybody with a fault is among them


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wearable_stress_exercise")
    synthetic.synthesize_exercise(folder, subjects=SUBJECTS, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    synthetic.synthesize_exercise(folder, subjects=2, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


@pytest.fixture
def copy(two, tmp_path) -> Path:
    """Two subjects, to be damaged."""
    return shutil.copytree(two, tmp_path, dirs_exist_ok=True)


def only(root: Path, subject: str):
    (recording,) = WearableStressExercise(root).recordings(subject)
    return recording


def pressed(root: Path, subject: str) -> list[float]:
    """Seconds from the start of the files that began last."""
    folder = root / EXERCISE_SESSIONS / subject
    starts = [unix((folder / f"{name}.csv").read_text().split("\n")[0].split(",")[0].strip()) for name, *_ in
              FILES.values()]  # fmt: skip
    return [unix(line.strip()) - max(starts) for line in (folder / "tags.csv").read_text().split("\n") if line.strip()]


class TestGenerated:
    def test_it_conforms(self, root):
        check_dataset(WearableStressExercise, root)

    def test_the_stress_sessions_of_the_same_subjects_are_beside_them(self, root):
        exercised, stressed = WearableStressExercise(root).subjects(), WearableStress(root).subjects()
        assert exercised == stressed
        assert len(exercised) == SUBJECTS
        assert "S12" not in exercised

    def test_every_label_is_the_drawn_one_where_a_unit_is_of_one_state(self, root):
        truth = synthetic.draw_exercise(SUBJECTS, 3, 1.0, length_s=LENGTH_S)
        for subject in WearableStressExercise(root).subjects():
            mine = truth[truth["person"] == subject]["exercise"]
            for recording in WearableStressExercise(root).recordings(subject):
                if label := recording.labels.get("exercise"):
                    at = (label.times + recording.start_s).astype(int)
                    known = label.values != 2
                    np.testing.assert_array_equal(label.values[known], mine[at[known]])
                    assert (~known).sum() <= 2 * UNIT_S

    def test_s11_is_one_session_in_two_parts_on_one_clock(self, root):
        first, second = WearableStressExercise(root).recordings("S11")
        assert [(part.id, part.order) for part in (first, second)] == [("S11_a", 0), ("S11_b", 1)]
        assert second.start_s == int(first.duration_s) + synthetic.EXERCISE_BREAK_S
        assert set(first.labels["exercise"].values) == {0.0, 1.0, 2.0}
        assert 0.0 in second.labels["exercise"].values

    @pytest.mark.parametrize("subject", ENDED_EARLY)
    def test_a_session_that_ended_early_has_no_label(self, root, subject):
        assert only(root, subject).labels == {}
        said = [finding.what for finding in WearableStressExercise(root).verify() if subject in finding.where]
        assert any("ended early" in what for what in said)
        assert any("10 button presses, not 12" in what for what in said)

    def test_who_rode_together_is_one_group(self, root):
        groups = {subject: only(root, subject).group for subject in ("f01", "f03", "f02", "f04", "S01")}
        assert groups["f01"] == groups["f03"] == "f01+f03+f12"
        assert len(set(groups.values())) == 4


class TestLabels:
    def test_no_unit_holds_both_rest_and_exercise_or_neither_in_part(self):
        """The first press lies inside a unit, the last on the border of two."""
        presses = np.array([213.0, 220, 230, 240, 250, 260, 270, 280])
        found = find_states(presses, np.arange(300.0), "f")
        units = {name: values.reshape(-1, int(UNIT_S)) for name, values in found.items()}
        for each in units.values():
            np.testing.assert_array_equal(each.min(1), each.max(1))
        rest, work, neither = [0], [1], [2]
        np.testing.assert_array_equal(units["exercise"][:, 0], rest * 21 + neither + work * 6 + rest * 2)
        # The first 33 s alone are no warm-up, and the sixth press begins the cool-down.
        np.testing.assert_array_equal(units["work"][:, 0], rest * 3 + neither * 19 + work * 4 + neither * 2 + rest * 2)


class TestFaults:
    def test_verify_says_who_is_missing(self, copy):
        (note, *_) = WearableStressExercise(copy).verify()
        assert "2 of 30 subjects are here, not S02, S03" in note.what

    @pytest.mark.parametrize(("subject", "whole"), [("S01", 12), ("f01", 8)])
    def test_a_missing_press_leaves_no_label(self, copy, subject, whole):
        path = copy / EXERCISE_SESSIONS / subject / "tags.csv"
        path.write_text("\n".join(path.read_text().splitlines()[1:]))
        assert only(copy, subject).labels == {}
        said = f"{whole - 1} button presses, not {whole}"
        assert any(said in finding.what for finding in WearableStressExercise(copy).verify())

    def test_presses_of_another_time_are_refused(self, copy):
        path = copy / EXERCISE_SESSIONS / "S01" / "tags.csv"
        path.write_text(path.read_text().replace("2013-", "2014-"))
        with pytest.raises(DataError, match="different times"):
            only(copy, "S01")

    def test_a_folder_of_stress_sessions_alone_has_none(self, copy):
        (copy / EXERCISE_SESSIONS).rename(copy / "elsewhere")
        with pytest.raises(DataError, match="no file of Wearable Device Dataset, aerobic sessions"):
            WearableStressExercise(copy).subjects()


@pytest.fixture(scope="module")
def real() -> Path:
    return released("wearable_stress")


class TestReal:
    @pytest.mark.slow
    def test_it_conforms(self, real):
        check_dataset(WearableStressExercise, real)

    @pytest.mark.slow
    def test_all_are_there_whose_stress_sessions_are(self, real):
        assert tuple(WearableStressExercise(real).subjects()) == HERE
        assert not set(HERE) & set(UNSEEN)
        assert not [finding for finding in WearableStressExercise(real).verify() if finding.severity != "note"]

    @pytest.mark.parametrize("subject", sample(HERE, "S04", "f01"))
    def test_exercise_lies_between_the_first_press_and_the_last(self, real, subject):
        recording, at = only(real, subject), pressed(real, subject)
        exercise, work = (recording.labels[name] for name in ("exercise", "work"))
        inside = exercise.times[exercise.values == 1]
        assert 0 <= inside[0] - at[0] < UNIT_S
        assert 0 <= at[-1] - inside[-1] < UNIT_S + 1
        assert ((exercise.times[exercise.values == 0] < at[0]) | (exercise.times[exercise.values == 0] >= at[-1])).all()
        assert set(work.times[work.values == 1]) <= set(inside)
        assert set(work.times[work.values == 0]) <= set(exercise.times[exercise.values == 0])

    @pytest.mark.parametrize("subject", sample(HERE, "S04", "f01"))
    def test_the_wrist_moves_and_the_pulse_is_there_while_they_pedal(self, real, subject):
        recording = only(real, subject)
        assert np.median(np.linalg.norm(recording.signals["acc"].data, axis=0)) == pytest.approx(1, abs=0.1)
        assert recording.signals["ppg"].data.std() > 1

    def test_who_rode_together_pressed_within_seconds_of_each_other_or_overlapped(self, real):
        spans = {}
        for group in TOGETHER:
            for subject in group:
                folder = real / EXERCISE_SESSIONS / subject
                lines = (folder / "EDA.csv").read_text().splitlines()
                begin = unix(lines[0].strip())
                spans[subject] = (begin, begin + (len(lines) - 2) / 4)
            first = max(spans[subject][0] for subject in group)
            last = min(spans[subject][1] for subject in group)
            assert last - first > 600
