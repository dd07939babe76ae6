"""Segments of a recording as rows of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spans:
    """Segments of a recording in samples: `start`, `stop` (n,), clipped at its ends; `rate` in Hz."""

    start: np.ndarray
    stop: np.ndarray
    rate: float

    @classmethod
    def of(cls, seconds: np.ndarray, rate: float, samples: int) -> Spans:
        """Spans from (n, 2) seconds in a recording of `samples` samples."""
        edges = np.clip(np.rint(np.asarray(seconds, np.float64).reshape(-1, 2) * rate).astype(int), 0, samples)
        return cls(edges[:, 0], np.maximum(edges[:, 0], edges[:, 1]), rate)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def duration_s(self) -> np.ndarray:
        """(n,) lengths in s."""
        return (self.stop - self.start) / self.rate

    def rows(self, x: np.ndarray, compute: Callable[[np.ndarray], np.ndarray], width: int) -> np.ndarray:
        """(n, width): `compute` on samples (k, ..., length) of `x` (..., T), for the spans of each length together;
        NaN for spans with fewer than two samples."""
        out = np.full((len(self), width), np.nan)
        for index, length in self._by_length():
            at = self.start[index][:, None] + np.arange(length)
            out[index] = compute(np.moveaxis(x[..., at], -2, 0)).reshape(len(index), -1)
        return out

    def inside(self, position: np.ndarray) -> Iterator[slice]:
        """Slice of `position` (k,), sorted sample positions, for each span."""
        first, last = np.searchsorted(position, self.start), np.searchsorted(position, self.stop)
        return (slice(a, b) for a, b in zip(first, last, strict=True))

    def _by_length(self) -> Iterator[tuple[np.ndarray, int]]:
        length = self.stop - self.start
        for value in np.unique(length[length >= 2]):
            yield np.flatnonzero(length == value), int(value)


def slope(x: np.ndarray, rate: float) -> np.ndarray:
    """(...): slope of the straight line through the samples `x` (..., T), per second."""
    time = (np.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2) / rate
    return np.asarray((x @ time) / (time @ time))
