"""Concordance of labels and predicted values inside each subject, mean over subjects (Lin 1989, doi 10.2307/2532051).

1 is perfect agreement in level, scale and order. A constant prediction gets exactly 0, and so does any that depends on
the subject alone. A subject whose labels do not vary has no concordance and is excluded.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.agreement import concordance_by_subject
from embench.interfaces.metric import SubjectMetric
from embench.interfaces.units import Units


class Ccc(SubjectMetric):
    """Concordance correlation inside each subject, mean over subjects, -1 to 1. A subject whose labels do not vary is
    excluded; undefined where that is true of all.

    >>> from embench.testing.require import units
    >>> round(Ccc()(units("value")), 3)
    0.539
    """

    title = "CCC within subject"
    short = "CCC"
    about = (
        "Lin's concordance of predictions and labels within each test subject, averaged over seeds, then over subjects."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})
    nobody = "nobody's labels vary"

    def by_subject(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """(P,) each subject's concordance, NaN for one whose labels do not vary."""
        return concordance_by_subject(units, subjects)
