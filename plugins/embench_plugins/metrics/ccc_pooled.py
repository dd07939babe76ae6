"""Concordance of labels and predicted values over all units of a fold, one after another (Lin 1989,
doi 10.2307/2532051).

The score of the AVEC and MuSe challenges, which put all recordings of their test partition into one series. A
prediction that knows only who was recorded, or which film was on, scores high where levels differ. Folds are averaged
and never put into one series, since models of different folds may predict on different scales.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.agreement import concordance, pooled_concordance
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import subject_codes
from embench.interfaces.units import Units


class CccPooled(Metric):
    """Concordance correlation over all units of a fold, -1 to 1. Undefined where labels do not vary.

    >>> from embench.testing.require import units
    >>> round(CccPooled()(units("value")), 3)
    0.571
    """

    title = "pooled CCC"
    short = "CCC pooled"
    about = (
        "Lin's concordance over all test subjects of a fold at once, averaged over folds. It also pays for knowing who "
        "was recorded and which film was on; papers report it."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """The concordance of `units`, or `Undefined` where their labels do not vary."""
        value = concordance(units.score, units.y_true, np.zeros(len(units), int), 1)[0] if len(units) else np.nan
        return float(value) if np.isfinite(value) else Undefined("labels do not vary" if len(units) else "no units")

    def chance(self, units: Units) -> float:
        """0: what any constant prediction gets."""
        return 0.0

    def resampled(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(R,) concordance of each sample of subjects, NaN where its labels do not vary."""
        return pooled_concordance(units.score, units.y_true, subject_codes(units, subjects), counts)
