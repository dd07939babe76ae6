"""Which release of FACED a folder holds, where one is downloaded from, and what is odd in the ratings of either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from embench.interfaces.dataset import Download, Finding
from embench_plugins.datasets.faced.bids import Bids
from embench_plugins.datasets.faced.card import SCALE
from embench_plugins.datasets.faced.eeg import PLAUSIBLE_UV, plausible
from embench_plugins.datasets.faced.layout import CLIPS
from embench_plugins.datasets.faced.original import Original

ADDRESS = "https://data.nemar.org/nm000112/v1.0.1/"
"""Of the BIDS release, NEMAR nm000112 1.0.1 (doi 10.82901/nemar.nm000112); a recording's address leads on to a signed
one, which lasts an hour."""
EXPECTED = f"{Bids.expected}; or {Original.expected}"
BAD = "sub-023"
"""The person whose EEG in the processed release varies by about 26,010 uV, those next to it by 8."""


def downloads() -> tuple[Download, ...]:
    """The 741 files of the BIDS release, with their paths in it as names. The small ones come first, so that all labels
    are there before the first signal."""
    rows = Path(__file__).with_name("files.tsv").read_text("utf-8").splitlines()[1:]
    return tuple(_download(*row.split("\t")) for row in rows)


def _download(path: str, size: str, sha256: str) -> Download:
    folder, below, _ = path.partition("/")
    return Download(ADDRESS + path, path, sha256, int(size), subject=folder if below else None)


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
