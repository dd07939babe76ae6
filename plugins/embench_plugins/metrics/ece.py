"""Expected calibration error over ten bins of equal width (Naeini et al. 2015, doi 10.1609/aaai.v29i1.9602).

In each bin, how far the mean probability lies from the share that came true, weighted by the bin's share of units. The
probability is that of the positive class; with several classes, that of the most probable one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import subject_codes
from embench.interfaces.units import Units

BINS = 10


class Ece(Metric):
    """Expected calibration error over ten bins, 0 (calibrated) to 1; lower is better. Undefined without units.

    >>> from embench.testing.require import units
    >>> round(Ece()(units("binary")), 3)
    0.108
    """

    title = "calibration error"
    about = "Mean distance of predicted probabilities from the frequencies of the classes."
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        """The error over the ten bins, or `Undefined` where there are no units."""
        if not len(units):
            return Undefined("no units")
        return float(_resampled(units, np.zeros(len(units), int), np.ones((1, 1)))[0])

    def chance(self, units: Units) -> float:
        """0: a constant prediction of the labels' share is calibrated."""
        return 0.0

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(R,) calibration error of each sample of subjects, NaN for a sample without units."""
        return _resampled(units, subject_codes(units, subjects), counts)


def _resampled(units: Units, person: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R,) from each subject's surplus of probability and number of units in each bin."""
    score = np.asarray(units.score, np.float64)
    if units.kind == "binary":
        came_true, probability = units.y_true == 1, score
    else:
        came_true, probability = units.y_true == score.argmax(1), score.max(1)
    cell = person * BINS + np.minimum((probability * BINS).astype(int), BINS - 1)
    size = counts.shape[1] * BINS
    surplus = np.bincount(cell, probability - came_true, size).reshape(-1, BINS)
    units_in = np.bincount(person, minlength=counts.shape[1])
    with np.errstate(invalid="ignore"):
        return np.abs(counts @ surplus).sum(1) / (counts @ units_in)
