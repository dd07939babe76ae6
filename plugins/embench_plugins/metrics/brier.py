"""Mean squared error of the probabilities (Brier 1950, doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).

Over several classes half the sum of the squared errors, so that two classes give the same number either way.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from embench.interfaces.metric import Metric, Undefined, class_shares, resampled_mean_of_units
from embench.interfaces.units import Units


class Brier(Metric):
    """Mean squared error of the probabilities, 0 (perfect) to 1; lower is better. Undefined without units.

    >>> from embench.testing.require import units
    >>> round(Brier()(units("binary")), 3)
    0.183
    """

    title = "Brier score"
    about = "Mean squared error of the predicted probabilities."
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        """The mean over `units`, or `Undefined` where there are none."""
        return float(_errors(units).mean()) if len(units) else Undefined("no units")

    def chance(self, units: Units) -> float:
        """The score of a constant prediction of the labels' shares."""
        return float((1 - (class_shares(units) ** 2).sum()) / 2)

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(R,) Brier score of each sample of subjects, NaN for a sample without units."""
        return resampled_mean_of_units(_errors(units), units, subjects, counts)


def _errors(units: Units) -> np.ndarray:
    """(n,) each unit's squared error."""
    score = np.asarray(units.score, np.float64)
    if units.kind == "binary":
        return (score - units.y_true) ** 2
    return ((score - np.eye(score.shape[1])[units.y_true.astype(int)]) ** 2).sum(1) / 2
