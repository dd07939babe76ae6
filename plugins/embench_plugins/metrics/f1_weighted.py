"""F1 of each class, weighted by the class's share of the labels.

The column of the field's papers. It depends on where decisions are cut and on prevalence, so it is shown and never
ranks.
"""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric, class_shares
from embench.interfaces.units import Units


class F1Weighted(ConfusionMetric):
    """F1 of each class, weighted by the class's share of the labels, 0 to 1. Undefined without units."""

    title = "weighted F1"
    about = "Weighted F1. It depends on where decisions are cut and on how frequent the classes are; papers report it."

    def of(self, confusion: np.ndarray) -> np.ndarray:
        """Weighted F1 from `confusion` (R, K, K): (R,), NaN where there are no units.

        >>> F1Weighted().of(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.85])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions = confusion.sum(2), confusion.sum(1)
        f1 = 2 * hits / np.maximum(labels + decisions, 1)
        with np.errstate(invalid="ignore"):
            return (f1 * labels).sum(1) / labels.sum(1)

    def chance(self, units: Units) -> float:
        """Chance: the greatest sum of 2 p^2 q / (p + q) for random decisions with shares q and labels with shares p.

        The sum is concave in q; where its slopes agree q + p is proportional to p^1.5, and classes too rare for a
        positive q are never decided for.
        """
        p = np.sort(class_shares(units))[::-1]
        for kept in range(int((p > 0).sum()), 0, -1):
            scale = (1 + p[:kept].sum()) / (p[:kept] ** 1.5).sum()
            q = scale * p[:kept] ** 1.5 - p[:kept]
            if (q >= 0).all():
                break
        return float((2 * p[:kept] ** 2 * q / (p[:kept] + q)).sum())
