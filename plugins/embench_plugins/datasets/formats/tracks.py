"""The channels of an open file of recordings, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

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


def unreadable(path: Path, library: str, error: Exception) -> DataError:
    """The error to raise for a file that a library cannot read, with what it says, without the folder."""
    what = " ".join(str(error).replace(f"{path.parent}/", "").split())[:200]
    return damaged(path, f"{library} cannot read it: {what or type(error).__name__}")


def damaged(path: Path, what: str) -> DataError:
    """The error to raise for a recording's file that is not whole; `what` says what is wrong with it."""
    return DataError(what, where=str(path), expected="a whole recording", hint=AGAIN)
