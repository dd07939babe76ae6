"""Mean of sensitivity and specificity.

Our reading of "SEN & SPE" in Woo et al. 2023 (`woo2023`), one number for both. Of two classes this is the balanced
accuracy; of several it is the mean over the classes that occur, each against the rest. Undefined with one class only.
"""

from __future__ import annotations

import numpy as np

from embench.interfaces.metric import ConfusionMetric
from embench.interfaces.units import Units


class SensitivitySpecificity(ConfusionMetric):
    """Mean of sensitivity and specificity, 0 to 1. Undefined where labels are of one class."""

    title = "mean of sensitivity and specificity"
    short = "sens./spec."
    about = "Mean of sensitivity and specificity; it depends on where decisions are cut."

    def of(self, confusion: np.ndarray) -> np.ndarray:
        """Mean over the classes that occur, from `confusion` (R, K, K): (R,), NaN where labels are of one class.

        >>> SensitivitySpecificity().of(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(2)
        array([0.85])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions, n = confusion.sum(2), confusion.sum(1), confusion.sum((1, 2))[:, None]
        occurring = (labels > 0) & (labels < n)
        sensitivity = hits / np.maximum(labels, 1)
        specificity = 1 - (decisions - hits) / np.maximum(n - labels, 1)
        mean = np.where(occurring, (sensitivity + specificity) / 2, 0.0).sum(1) / np.maximum(occurring.sum(1), 1)
        return np.where(occurring.any(1), mean, np.nan)

    def chance(self, units: Units) -> float:
        """Chance level: the shares of random decisions do not matter, as one part loses what the other gains."""
        return 0.5
