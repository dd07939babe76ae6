"""Share of correct decisions. It depends on prevalence: compare it with `chance`, never across datasets."""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric, class_shares
from embench.interfaces.units import Units


class Accuracy(ConfusionMetric):
    """Share of units whose decision equals the label, 0 to 1. Undefined without units."""

    about = (
        "The share of decisions that are right. It depends on where decisions are cut and on how frequent "
        "the classes are."
    )

    def of(self, confusion: np.ndarray) -> np.ndarray:
        """Share of counts on the diagonal of `confusion` (R, K, K): (R,), NaN where there are no units.

        >>> Accuracy().of(np.array([[[8.0, 2.0], [1.0, 9.0]]]))
        array([0.85])
        """
        with np.errstate(invalid="ignore"):
            return np.trace(confusion, axis1=1, axis2=2) / confusion.sum((1, 2))

    def chance(self, units: Units) -> float:
        """The share of the most frequent class, which the majority control gets."""
        return float(class_shares(units).max())
