"""Which release of FACED a folder holds, and what is odd in the ratings of either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from embench.interfaces.dataset import Finding
from embench_plugins.datasets.faced.bids import Bids
from embench_plugins.datasets.faced.card import SCALE
from embench_plugins.datasets.faced.eeg import PLAUSIBLE_UV, plausible
from embench_plugins.datasets.faced.layout import CLIPS
from embench_plugins.datasets.faced.original import Original

EXPECTED = f"{Bids.expected}; or {Original.expected}"
BAD = "sub-023"
"""The person whose EEG in the processed release varies by about 26,010 uV, those next to it by 8."""


def find(root: Path) -> Bids | Original | None:
    """The release in a folder, which may also be the original's `Data`; None where there is none."""
    for release in (Bids(root), Original(root / "Data"), Original(root)):
        if release.people:
            return release
    return None


def look_ratings(where: Path, rated: Sequence[tuple[int, tuple[float, ...]]]) -> Iterator[Finding]:
    """Which clips a person's ratings lack, and which are no ratings."""
    clips = [clip for clip, _ in rated]
    if missing := [str(clip) for clip in CLIPS if clip not in clips]:
        yield Finding("warning", str(where), f"no clip {', '.join(missing)}")
    values = np.array([ratings for _, ratings in rated], np.float64)
    if lacking := int(np.isnan(values).sum()):
        yield Finding("warning", str(where), f"{lacking} ratings are missing")
    if off := int(((values < SCALE[0]) | (values > SCALE[1])).sum()):
        yield Finding("warning", str(where), f"{off} ratings are off the scale {SCALE[0]:g} to {SCALE[1]:g}")


def look_eeg(where: Path, subject: str, sd: float | None) -> Iterator[Finding]:
    """Whether a person's EEG can be what it should, by its typical standard deviation in uV; None: it is not here."""
    if subject == BAD:
        what = "its EEG is bad in the processed release (standard deviation about 26,010 uV, 8 uV next to it)"
        here = "the EEG is not here" if sd is None else f"{sd:.3g} uV here"
        yield Finding("warning", str(where), f"{subject}: {what}; {here}")
    if sd is not None and not plausible(sd):
        low, high = PLAUSIBLE_UV
        what = f"the EEG has a standard deviation of {sd:.3g} uV (.5 to 45 Hz), not one of {low:g} to {high:g}"
        yield Finding("warning", str(where), what)
