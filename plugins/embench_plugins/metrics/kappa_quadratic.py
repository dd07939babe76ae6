"""Cohen's kappa with quadratic weights of predictions and labels on a rating scale (Cohen 1968, doi 10.1037/h0026256).

Of ordered classes, the agreement beyond chance, where a rating two steps off counts four times one step. It is the
concordance of whole numbers (Fleiss and Cohen 1973, doi 10.1177/001316447303300309), so `ccc_pooled` is close to it.
Predictions are rounded to whole numbers; one beyond the ends of the scale is as far off as it is.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.agreement import concordance, pooled_concordance
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import subject_codes
from embench.interfaces.units import Units


class KappaQuadratic(Metric):
    """Quadratic weighted kappa of rounded predictions over all units of a fold, -1 to 1. Undefined where some label of
    the target is no whole number, or where labels do not vary.

    >>> from embench.testing.require import ratings
    >>> round(KappaQuadratic()(ratings()), 3)
    0.518
    """

    title = "quadratic weighted kappa"
    short = "weighted kappa"
    about = (
        "Cohen's kappa with quadratic weights of predictions, rounded to whole numbers, over all test subjects of a "
        "fold at once. It also pays for knowing who was recorded and which film was on."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """The kappa of `units`, or `Undefined` where labels do not vary or some lie between whole numbers."""
        if not len(units):
            return Undefined("no units")
        if not units.whole_numbers:
            return Undefined("labels are not all whole numbers")
        value = concordance(np.rint(units.score), units.y_true, np.zeros(len(units), int), 1)[0]
        return float(value) if np.isfinite(value) else Undefined("labels do not vary")

    def chance(self, units: Units) -> float:
        """0: what any constant prediction gets."""
        return 0.0

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(R,) kappa of each sample of subjects, NaN where its labels do not vary."""
        return pooled_concordance(np.rint(units.score), units.y_true, subject_codes(units, subjects), counts)
