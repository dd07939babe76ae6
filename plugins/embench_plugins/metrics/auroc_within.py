"""AUROC inside each subject who has both classes, mean over subjects: a subject's level or gain cannot raise it.

A constant predictor, and any score that depends on the subject alone, get exactly .5. Several classes: the mean over
classes, one against the rest.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.metric import SubjectMetric
from embench.interfaces.ranking import auroc_by_subject
from embench.interfaces.units import Units


class AurocWithin(SubjectMetric):
    """AUROC inside each subject, mean over the subjects who have both classes, 0 to 1. Undefined where no subject
    has.

    >>> from embench.testing.require import units
    >>> round(AurocWithin()(units("binary")), 3)
    0.806
    """

    title = "AUROC within subject"
    short = "AUROC within"
    about = (
        "The AUROC within each test subject who has both classes, averaged over seeds, then over subjects. A "
        "clock may score high where tasks came in one order."
    )
    chance_level = 0.5
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})
    nobody = "nobody has both classes"

    def by_subject(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """(P,) each subject's AUROC, NaN for one with one class."""
        return auroc_by_subject(units, subjects)
