"""Matthews correlation of decisions and labels, for several classes too (Gorodkin 2004).

A method that always decides alike gets 0; it is undefined where the labels are of one class only.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.metric import ConfusionMetric
from embench.interfaces.units import Units


class Mcc(ConfusionMetric):
    """Matthews correlation of decisions and labels, -1 to 1. Undefined where labels are of one class."""

    title = "Matthews correlation"
    about = "Correlation of decisions and labels; it depends on where decisions are cut."
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def of(self, confusion: np.ndarray) -> np.ndarray:
        """Correlation from `confusion` (R, K, K): (R,), NaN where labels are of one class, 0 where decisions are.

        >>> Mcc().of(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.704])
        """
        labels, decisions, n = confusion.sum(2), confusion.sum(1), confusion.sum((1, 2))
        shared = np.trace(confusion, axis1=1, axis2=2) * n - (labels * decisions).sum(1)
        spread_labels = n**2 - (labels**2).sum(1)
        spread_decisions = n**2 - (decisions**2).sum(1)
        # Where decisions do not vary `shared` is 0 as well: no correlation.
        spread = np.sqrt(spread_labels * np.where(spread_decisions > 0, spread_decisions, 1.0))
        with np.errstate(invalid="ignore"):
            return np.where(spread_labels > 0, shared / np.where(spread > 0, spread, 1.0), np.nan)

    def chance(self, units: Units) -> float:
        """0: no correlation, and what a constant decision gets."""
        return 0.0
