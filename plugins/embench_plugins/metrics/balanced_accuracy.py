"""Mean recall of the classes that occur: every class counts alike, however rare. Undefined with one class only."""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric, class_shares
from embench.interfaces.units import Units


class BalancedAccuracy(ConfusionMetric):
    """Mean recall of the classes that occur in the labels, 0 to 1. Undefined where labels are of one class."""

    short = "bal. acc."
    about = "Mean of the classes' recalls; it depends on where decisions are cut."

    def of(self, confusion: np.ndarray) -> np.ndarray:
        """Mean recall from `confusion` (R, K, K): (R,), NaN where labels are of one class.

        >>> BalancedAccuracy().of(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(2)
        array([0.85])
        >>> BalancedAccuracy().of(np.array([[[8.0, 2.0], [0.0, 0.0]]]))
        array([nan])
        """
        support = confusion.sum(2)
        with np.errstate(invalid="ignore"):
            recall = np.diagonal(confusion, axis1=1, axis2=2) / support
        occurring = (support > 0).sum(1)
        mean = np.where(support > 0, recall, 0.0).sum(1) / np.maximum(occurring, 1)
        return np.where(occurring > 1, mean, np.nan)

    def chance(self, units: Units) -> float:
        """1 / the number of classes that occur in the labels."""
        return 1.0 / float((class_shares(units) > 0).sum())
