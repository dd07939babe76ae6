"""Variance components against balanced analysis of variance and simulation; agreement against published examples."""

from __future__ import annotations

import numpy as np
import pytest

from embench.data.describe import compare_pairs, krippendorff_alpha, list_annotator_sets, split_variance
from embench.interfaces.metric import Undefined

NAN = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)
"""Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, example C: four observers, twelve units."""


def drawn(rng: np.random.Generator, each: int = 1, missing: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """40 subjects and 30 stimuli whose components have variances 1, 1/4 and 1."""
    subject, stimulus = np.repeat(np.arange(40), 30 * each), np.tile(np.repeat(np.arange(30), each), 40)
    y = rng.normal(size=40)[subject] + 0.5 * rng.normal(size=30)[stimulus] + rng.normal(size=len(subject))
    there = rng.random(len(y)) >= missing
    return y[there], subject[there], stimulus[there]


def test_balanced_shares_are_those_of_the_analysis_of_variance() -> None:
    y, subject, stimulus = drawn(np.random.default_rng(0))
    table = y.reshape(40, 30)
    rows, columns = table.mean(1), table.mean(0)
    rest = table - rows[:, None] - columns[None, :] + table.mean()
    ms_rest = (rest**2).sum() / (39 * 29)
    parts = [(30 * rows.var(ddof=1) - ms_rest) / 30, (40 * columns.var(ddof=1) - ms_rest) / 40, ms_rest]
    found = split_variance(y, subject, stimulus)
    assert isinstance(found, dict)
    assert list(found) == ["person", "stimulus", "rest"]
    np.testing.assert_allclose(list(found.values()), np.array(parts) / np.sum(parts))


def test_unbalanced_shares_are_right_on_average() -> None:
    rng = np.random.default_rng(1)
    found = [list(split_variance(*drawn(rng, missing=0.4)).values()) for _ in range(60)]  # type: ignore[union-attr]
    np.testing.assert_allclose(np.mean(found, axis=0), np.array([1, 0.25, 1]) / 2.25, atol=0.03)


def test_with_one_stimulus_the_subject_is_what_is_left() -> None:
    y, subject, _ = drawn(np.random.default_rng(0))
    found = split_variance(y, subject, np.zeros(len(y)))
    assert isinstance(found, dict)
    assert list(found) == ["person", "rest"]


@pytest.mark.parametrize(
    ("y", "subject", "stimulus", "why"),
    [
        (np.arange(6.0), np.zeros(6), np.zeros(6), "too few"),
        (np.full(6, 0.1), np.arange(6) // 2, np.arange(6) % 2, "do not vary"),
        (np.arange(6.0), np.arange(6), np.arange(6), "cannot be separated"),
        (np.arange(6.0), np.arange(6) // 2, np.arange(6), "cannot be separated"),
    ],
)
def test_what_cannot_be_told_says_why(y: np.ndarray, subject: np.ndarray, stimulus: np.ndarray, why: str) -> None:
    found = split_variance(y, subject, stimulus)
    assert isinstance(found, Undefined)
    assert why in found.reason


def test_alpha_of_krippendorffs_example() -> None:
    assert krippendorff_alpha(KRIPPENDORFF) == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha(KRIPPENDORFF, nominal=True) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_equal_values_of_one_annotator_and_of_the_same_values() -> None:
    values = np.tile(np.arange(5.0), (3, 1))
    assert krippendorff_alpha(values) == pytest.approx(1)
    assert isinstance(krippendorff_alpha(values[:1]), Undefined)
    assert isinstance(krippendorff_alpha(np.ones((2, 5))), Undefined)


def test_alpha_of_strangers_is_about_zero() -> None:
    values = np.random.default_rng(0).normal(size=(4, 2000))
    assert krippendorff_alpha(values) == pytest.approx(0, abs=0.03)


def test_observers_are_never_compared_with_what_is_made_of_them() -> None:
    names = ["arousal", "arousal_partner", "arousal_external", "arousal_external_r1", "arousal_external_r2", "valence"]
    parties = ["arousal", "arousal_external", "arousal_partner"]
    assert list_annotator_sets(names, "arousal") == [parties]
    assert list_annotator_sets(names, "arousal_external") == [parties, ["arousal_external_r1", "arousal_external_r2"]]
    assert list_annotator_sets(names, "valence") == []
    several = ["arousal", "arousal_annotator1", "arousal_annotator2"]
    assert list_annotator_sets(several, "arousal") == [several[1:]]


def test_pairs_have_their_common_units_only() -> None:
    (row,) = compare_pairs(["a", "b"], KRIPPENDORFF[:2], nominal=True)
    assert row == {"one": "a", "other": "b", "units": 9, "equal": pytest.approx(8 / 9)}
    (row,) = compare_pairs(["a", "b"], np.array([[1, 2, 3, NAN], [2, 3, 4, 9.0]]), nominal=False)
    assert row["spearman"] == pytest.approx(1)
    assert row["ccc"] == pytest.approx(2 * (2 / 3) / (2 / 3 + 2 / 3 + 1))
    (row,) = compare_pairs(["a", "b"], np.array([[1, 1, 1.0], [2, 3, 4.0]]), nominal=False)
    assert row["spearman"] is None
