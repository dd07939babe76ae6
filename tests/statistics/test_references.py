"""References know training labels alone: what others felt at that moment, how the subject felt on average and last."""

from __future__ import annotations

import numpy as np
import pytest

from embench.interfaces.metric import Undefined
from embench.interfaces.units import LabelRule, Target, Unit
from embench.statistics.confound_only import reference_scores

NAMES = ("others_curve", "subject_mean", "last_value")
VALUE = Target("level", "value", LabelRule(), "level")


def film(subject: str, stimulus: str, moments: int, delay: float = 0.0) -> list[Unit]:
    """Units of 10 s; the first begins `delay` s after the film."""
    made = []
    for k in range(moments):
        start = 10.0 * k + delay
        name = f"{subject}/{stimulus}"
        made.append(Unit(f"{name}:{k}", name, subject, stimulus, subject, start, start + 10, start, 0.0))
    return made


UNITS = [*film("a", "v", 3), *film("b", "v", 3, delay=4.0), *film("c", "v", 3), *film("c", "w", 2)]
Y = np.array([1.0, 2.0, 3.0, 5.0, 6.0, np.nan, 7.0, 8.0, 9.0, 4.0, 2.0])


def scores(train: list[int], test: list[int], y: np.ndarray = Y, target: Target = VALUE) -> dict:
    return reference_scores(NAMES, target, UNITS, y, np.array(train), np.array(test))


def test_others_at_that_moment_without_the_subject_itself() -> None:
    made = scores([0, 1, 2, 3, 4, 5, 6], [6, 7, 8])
    # Of moment 0, c's own 7 is left out; b saw the film from 4 s on.
    np.testing.assert_allclose(made["others_curve"][0], [(1 + 5) / 2, (2 + 6) / 2, 3])
    np.testing.assert_array_equal(*made["others_curve"])


def test_the_subjects_own_mean_and_what_was_last_known() -> None:
    made = scores([0, 1, 6, 7, 9], [8, 2, 10])
    np.testing.assert_allclose(made["subject_mean"][0], [19 / 3, 1.5, 19 / 3])
    np.testing.assert_allclose(made["last_value"][0], [8, 2, 4])


def test_what_is_not_known_is_the_mean_of_all_or_said() -> None:
    made = scores([0, 6, 7], [1, 8, 10])
    np.testing.assert_allclose(made["last_value"][0], [1, 8, 16 / 3])
    made = scores([0, 1, 2], [6, 7, 8])
    np.testing.assert_allclose(made["others_curve"][0], [1, 2, 3])
    assert made["subject_mean"] == Undefined("most tested subjects have no training label")
    assert made["last_value"] == Undefined("most tested recordings have no earlier training label")
    assert scores([9, 10], [0, 1])["others_curve"] == Undefined("others have no training label at most tested moments")


def test_classes_are_predicted_as_proportions_and_the_nearest_unit_of_a_recording_leaks() -> None:
    calm, y = Target("calm", "binary", LabelRule(cut=5.0), "level"), (Y > 5).astype(float)
    names = ("subject_mean", "recording_label")
    made = reference_scores(names, calm, UNITS, y, np.array([0, 1, 6, 8, 9, 10]), np.array([2, 7]))
    np.testing.assert_allclose(made["subject_mean"][0], [0, 2 / 4])
    np.testing.assert_allclose(made["recording_label"][0], [0, 1])  # 7 lies between two of class 1
    values = reference_scores(names, VALUE, UNITS, Y, np.array([0, 1, 6, 8]), np.array([2, 7, 3]))
    np.testing.assert_allclose(values["recording_label"][0], [2, (7 + 9) / 2, (1 + 2 + 7 + 9) / 4])


def test_no_label_of_a_test_unit_is_read() -> None:
    train, test = [0, 1, 2, 3, 4, 6, 7], [5, 8]
    other = Y.copy()
    other[test] = 100.0
    for name, (score, _) in scores(train, test).items():
        np.testing.assert_array_equal(score, scores(train, test, other)[name][0])


@pytest.mark.parametrize(
    ("target", "train", "why"),
    [
        (Target("calm", "binary", LabelRule(cut=5.0), "level"), [5], "no training unit has a label"),
        (VALUE, [5], "no training unit has a label"),
    ],
)
def test_where_they_do_not_apply(target: Target, train: list[int], why: str) -> None:
    assert scores(train, [6], target=target) == dict.fromkeys(NAMES, Undefined(why))
