"""F1 of each class, averaged over the classes that occur in labels or decisions. Undefined with one class only."""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric, class_shares
from embench.interfaces.units import Units


class F1Macro(ConfusionMetric):
    """Mean F1 over the classes in labels or decisions, 0 to 1. Undefined where labels are of one class."""

    title = "macro F1"
    about = "Mean of the classes' F1; it depends on where decisions are cut."

    def of(self, confusion: np.ndarray) -> np.ndarray:
        """Mean F1 from `confusion` (R, K, K): (R,), NaN where labels are of one class.

        >>> F1Macro().of(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.85])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions = confusion.sum(2), confusion.sum(1)
        f1 = 2 * hits / np.maximum(labels + decisions, 1)
        mean = f1.sum(1) / np.maximum(((labels + decisions) > 0).sum(1), 1)
        return np.where((labels > 0).sum(1) > 1, mean, np.nan)

    def chance(self, units: Units) -> float:
        """Chance: the mean of 2pq/(p+q) for random decisions with shares q, labels with shares p; largest at q = p."""
        return 1.0 / float((class_shares(units) > 0).sum())
