"""AUROC inside each person who has both classes, mean over people: neither level nor gain of a person can help.

A constant predictor and any score of the person alone get exactly .5. Several classes: the mean over classes, one
against the rest.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np

from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import compare_people, one_against_rest, people_codes, tie_width
from embench.interfaces.units import Units


class AurocWithin(Metric):
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        values = _by_person(units, np.unique(units.subject))
        if not np.isfinite(values).any():
            return Undefined("nobody has both classes")
        return float(np.nanmean(values))

    def chance(self, units: Units) -> float:
        return 0.5

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        values = _by_person(units, subjects)
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return counts[:, known] @ values[known] / counts[:, known].sum(1)


def _by_person(units: Units, people: np.ndarray) -> np.ndarray:
    """(P,) each person's AUROC, NaN where one class is all there is."""
    person = people_codes(units, people)
    tie = tie_width(units.score)
    by_class = []
    for positive, score in one_against_rest(units):
        wins, pairs = compare_people(score, positive, person, len(people), tie)
        with np.errstate(invalid="ignore"):
            by_class.append(np.diagonal(wins) / np.diagonal(pairs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should be
        return np.nanmean(by_class, axis=0)
