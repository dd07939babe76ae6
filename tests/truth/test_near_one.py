"""The add-one interval holds the truth where scores are near 1, and costs nothing elsewhere;
`docs/why/statistics.md` has the figures."""

from __future__ import annotations

from ..sample import WHOLE
from .near_one import coverage

DRAWS = 2000 if WHOLE else 250


def test_near_one_the_add_one_interval_holds_the_truth_and_the_t_interval_does_not() -> None:
    rates = coverage(0.97, 16, 2.0, DRAWS)
    assert rates["t"][0] < 0.8
    assert rates["add-one"][0] > 0.95


def test_in_the_middle_both_hold_the_truth_and_are_as_wide() -> None:
    rates = coverage(0.5, 16, 10.0, DRAWS)
    assert all(0.92 < held < 0.99 for held, _ in rates.values())
    assert 0.9 < rates["add-one"][1] / rates["t"][1] < 1.0
