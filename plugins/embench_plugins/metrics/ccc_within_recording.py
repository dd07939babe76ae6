"""Concordance of labels and predicted values inside each recording (Lin 1989, doi 10.2307/2532051).

The score of a trace of ratings: how well predictions follow the moments of one recording, whatever differs between
recordings. A constant prediction gets exactly 0, and so does any that depends on subject and stimulus alone.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from embench.interfaces.agreement import concordance_by_recording
from embench.interfaces.metric import SubjectMetric, Undefined
from embench.interfaces.units import Units


class CccWithinRecording(SubjectMetric):
    """Concordance correlation inside each recording, mean over a subject's recordings, then over subjects, -1 to 1.
    Recordings in which labels do not vary are excluded; undefined where that is true of all.

    >>> from embench.testing.require import units
    >>> round(CccWithinRecording()(units("value")), 3)
    0.402
    """

    title = "CCC within recording"
    short = "CCC in recording"
    about = (
        "Lin's concordance of predictions and labels within each recording, averaged over a test subject's recordings, "
        "then over subjects. A film's curve may score high where all saw the same films."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})
    nobody = "labels vary in no recording"

    def __call__(self, units: Units) -> float | Undefined:
        """The mean over subjects, or `Undefined` where labels vary in no recording."""
        if units.recording is None:
            return Undefined("it is not known in which recordings units lie")
        return super().__call__(units)

    def by_subject(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """(P,) the mean over each subject's recordings, NaN for one in whose recordings labels do not vary."""
        return concordance_by_recording(units, subjects)
