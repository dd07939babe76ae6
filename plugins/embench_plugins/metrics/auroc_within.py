"""AUROC inside each person who has both classes, mean over people: neither level nor gain of a person can help.

A constant predictor and any score of the person alone get exactly .5. Several classes: the mean over classes, one
against the rest.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.metric import Metric, Undefined, mean_of_people
from embench.interfaces.ranking import auroc_by_person
from embench.interfaces.units import Units


class AurocWithin(Metric):
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        values = auroc_by_person(units, np.unique(units.subject))
        if not np.isfinite(values).any():
            return Undefined("nobody has both classes")
        return float(np.nanmean(values))

    def chance(self, units: Units) -> float:
        return 0.5

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return mean_of_people(auroc_by_person(units, subjects), counts)
