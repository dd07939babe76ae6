"""Root mean squared error of predicted values over all units of a fold, in the label's own unit.

It includes the subjects' levels: it measures how far off a prediction is, not whether it follows a subject. Compare it
with `chance`, the standard deviation of the labels, and never across datasets.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from embench.interfaces.metric import Metric, Undefined, resampled_mean_of_units
from embench.interfaces.units import Units


class Rmse(Metric):
    """Root mean squared error in the label's own unit, from 0; lower is better. Undefined without units.

    >>> from embench.testing.require import units
    >>> round(Rmse()(units("value")), 3)
    0.984
    """

    title = "RMSE"
    about = (
        "Root mean squared error of predicted values, in units of the label. It also pays for knowing who was recorded "
        "and which film was on."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """The error over `units`, or `Undefined` where there are none."""
        return float(np.sqrt(_errors(units).mean())) if len(units) else Undefined("no units")

    def chance(self, units: Units) -> float:
        """The labels' standard deviation: the score of the best constant, their mean."""
        return float(units.y_true.std())

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(R,) error of each sample of subjects, NaN for a sample without units."""
        return np.sqrt(resampled_mean_of_units(_errors(units), units, subjects, counts))


def _errors(units: Units) -> np.ndarray:
    """(n,) each unit's squared error."""
    return (np.asarray(units.score, np.float64) - units.y_true) ** 2
