"""Share of units decided right. It depends on prevalence: compare it with `chance`, never across datasets."""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric, class_shares
from embench.interfaces.units import Units


class Accuracy(ConfusionMetric):
    def of(self, confusion: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.trace(confusion, axis1=1, axis2=2) / confusion.sum((1, 2))

    def chance(self, units: Units) -> float:
        return float(class_shares(units).max())
