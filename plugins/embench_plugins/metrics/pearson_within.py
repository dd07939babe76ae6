"""Pearson's correlation of labels and predicted values inside each subject, mean over subjects.

How well predictions follow a subject on a line, whatever their level and scale. A constant prediction gets exactly 0,
and so does any that depends on the subject alone. A subject whose labels do not vary has no correlation and is
excluded.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.agreement import correlation_by_subject
from embench.interfaces.metric import SubjectMetric
from embench.interfaces.units import Units


class PearsonWithin(SubjectMetric):
    """Pearson's correlation inside each subject, mean over subjects, -1 to 1. A subject whose labels do not vary is
    excluded; undefined where that is true of all.

    >>> from embench.testing.require import units
    >>> round(PearsonWithin()(units("value")), 3)
    0.6
    """

    title = "correlation within subject"
    short = "Pearson within"
    about = (
        "Pearson's correlation of predictions and labels within each test subject, averaged over subjects. A clock or "
        "a film's curve may score high."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})
    nobody = "nobody's labels vary"

    def by_subject(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """(P,) each subject's correlation, NaN for one whose labels do not vary."""
        return correlation_by_subject(units, subjects)
