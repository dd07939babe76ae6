"""Mean absolute error of each value of a rating scale, averaged over the values that occur (Baccianella, Esuli and
Sebastiani 2009, doi 10.1109/ISDA.2009.230).

The score of ordered classes that are not equally frequent: always predicting the commonest rating gains nothing.
Predictions are rounded to whole numbers; one beyond the ends of the scale is as far off as it is.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import subject_codes
from embench.interfaces.units import Units


class MaeMacro(Metric):
    """Mean absolute error of rounded predictions, averaged over the labels that occur, from 0; lower is better.
    Undefined where some label of the target is no whole number.

    >>> from embench.testing.require import ratings
    >>> round(MaeMacro()(ratings()), 3)
    0.814
    """

    title = "macro-averaged MAE"
    short = "macro MAE"
    about = (
        "Mean absolute error of predictions, rounded to whole numbers, for each rating that occurs, averaged over "
        "ratings. It also pays for knowing who was recorded and which film was on."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """The error over `units`, or `Undefined` where there are none, or some labels between whole numbers."""
        if not len(units):
            return Undefined("no units")
        if not units.whole_numbers:
            return Undefined("labels are not all whole numbers")
        return float(_resampled(units, np.zeros(len(units), int), np.ones((1, 1)))[0])

    def chance(self, units: Units) -> float:
        """The score of the best constant, the median of the ratings that occur."""
        ratings = np.unique(units.y_true)
        return float(np.abs(ratings - np.median(ratings)).mean())

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(R,) error of each sample of subjects, NaN for a sample without units."""
        return _resampled(units, subject_codes(units, subjects), counts)


def _resampled(units: Units, person: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R,) from the sums of each subject's errors at each rating."""
    ratings, rating = np.unique(units.y_true, return_inverse=True)
    cell, shape = person * len(ratings) + rating, (counts.shape[1], len(ratings))
    errors = np.abs(np.rint(np.asarray(units.score, np.float64)) - units.y_true)
    wrong, there = (
        counts @ np.bincount(cell, of, shape[0] * shape[1]).reshape(shape) for of in (errors, np.ones(len(units)))
    )
    with np.errstate(invalid="ignore"):
        return (wrong / np.maximum(there, 1)).sum(1) / (there > 0).sum(1)
