"""Mean recall of the classes that occur: every class counts alike, however rare. Undefined with one class only."""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric, class_shares
from embench.interfaces.units import Units


class BalancedAccuracy(ConfusionMetric):
    def of(self, confusion: np.ndarray) -> np.ndarray:
        support = confusion.sum(2)
        with np.errstate(invalid="ignore"):
            recall = np.diagonal(confusion, axis1=1, axis2=2) / support
        occurring = (support > 0).sum(1)
        mean = np.where(support > 0, recall, 0.0).sum(1) / np.maximum(occurring, 1)
        return np.where(occurring > 1, mean, np.nan)

    def chance(self, units: Units) -> float:
        return 1.0 / float((class_shares(units) > 0).sum())
