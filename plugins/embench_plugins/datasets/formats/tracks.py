"""The channels of an open file of recordings, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels

AGAIN = "the file is truncated, damaged or of another kind: copy it again"
MOST_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Track:
    """A channel as its file holds it. `read(first, last)` gives samples as float64 in `unit`, which is None where the
    file does not say it; segments must be read in order. `start` is when the first was, in unix seconds, if known."""

    name: str
    rate: float
    samples: int
    unit: str | None
    read: Callable[[int, int], np.ndarray]
    start: float | None = None

    @property
    def duration_s(self) -> float:
        """Length in s."""
        return self.samples / self.rate


Opened = AbstractContextManager[Callable[[Channels], Sequence[Track]]]
"""An open file: given what the layout says of a modality, the channels that it can be found among."""


def part(samples: np.ndarray, first: int, last: int) -> np.ndarray:
    """The samples between two rows: what `read` is for a track that is held in memory."""
    return np.asarray(samples[first:last], np.float64)


class Stretch(NamedTuple):
    """Samples of a file without a gap between them: where they begin in time, as a sample's number, and in the file."""

    place: int
    first: int
    samples: int


def with_gaps(track: Track, stretches: Sequence[Stretch]) -> Track:
    """A track of a file that leaves out what was not recorded, with NaN there. Stretches are in order of time."""

    def read(start: int, stop: int) -> np.ndarray:
        found = np.full(max(stop - start, 0), np.nan)
        for place, first, samples in stretches:
            low, high = max(start, place), min(stop, place + samples)
            if low < high:
                found[low - start : high - start] = track.read(first + low - place, first + high - place)
        return found

    return replace(track, samples=stretches[-1].place + stretches[-1].samples, read=read)


def unreadable(path: Path, library: str, error: Exception) -> DataError:
    """The error to raise for a file that a library cannot read, with what it says, without the folder."""
    what = " ".join(str(error).replace(f"{path.parent}/", "").split())[:200]
    return damaged(path, f"{library} cannot read it: {what or type(error).__name__}")


def damaged(path: Path, what: str) -> DataError:
    """The error to raise for a recording's file that is not whole; `what` says what is wrong with it."""
    return DataError(what, where=str(path), expected="a whole recording", hint=AGAIN)
