"""Area under the ROC curve over all units of a fold: how often a positive unit outranks a negative one.

It includes comparisons between subjects, so it mixes what a method knows of the moment with what it knows of the
subject. Several classes: the mean over classes, one against the rest.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np

from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import Pairs, compare_subjects, one_against_rest, subject_codes, tie_width
from embench.interfaces.units import Units


class Auroc(Metric):
    """Area under the ROC curve over all units of a fold, 0 to 1. Undefined where labels are of one class.

    >>> from embench.testing.require import units
    >>> round(Auroc()(units("binary")), 3)
    0.806
    """

    title = "AUROC"
    about = "AUROC over all units of a fold, between subjects too."
    chance_level = 0.5
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        """The AUROC of `units`, or `Undefined` where they hold one class only."""
        value = _mean(units, np.zeros(len(units), int), np.ones((1, 1)))[0]
        return float(value) if np.isfinite(value) else Undefined("one class only" if len(units) else "no units")

    def chance(self, units: Units) -> float:
        """0.5: scores that rank units at random."""
        return 0.5

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(R,) AUROC of each sample of subjects, NaN where a sample holds one class. Uses counts of pairs
        between subjects, so that no sample of units is built."""
        return _mean(units, subject_codes(units, subjects), counts)


def _mean(units: Units, person: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R,): the mean over classes, of those that have something to compare in the sample."""
    tie = tie_width(units.score)
    tables: list[Pairs] = [
        compare_subjects(score, positive, person, counts.shape[1], tie) for positive, score in one_against_rest(units)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should be
        return np.nanmean([table.resampled(counts) for table in tables], axis=0)
