"""Precision of each class, 0 for one that is never decided, averaged over the classes in labels or decisions.

Our reading of "PPR" in Woo et al. 2023 (`woo2023`). Undefined with one class only.
"""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric, class_shares
from embench.interfaces.units import Units


class PrecisionMacro(ConfusionMetric):
    """Mean precision over the classes in labels or decisions, 0 to 1. Undefined where labels are of one class."""

    title = "macro precision"
    about = "Mean of the classes' precisions; it depends on where decisions are cut."

    def of(self, confusion: np.ndarray) -> np.ndarray:
        """Mean precision from `confusion` (R, K, K): (R,), NaN where labels are of one class.

        >>> PrecisionMacro().of(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.854])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions = confusion.sum(2), confusion.sum(1)
        precision = hits / np.maximum(decisions, 1)
        mean = precision.sum(1) / np.maximum(((labels + decisions) > 0).sum(1), 1)
        return np.where((labels > 0).sum(1) > 1, mean, np.nan)

    def chance(self, units: Units) -> float:
        """Chance level: random decisions give each class its share as precision, if it is decided at all."""
        return 1.0 / float((class_shares(units) > 0).sum())
