"""Segments of a recording as rows of arrays, and those of them that were recorded whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from embench.interfaces.recording import Signal
from embench.signals.resample import resample


@dataclass(frozen=True)
class Spans:
    """Segments of a recording in samples: `start`, `stop` (n,), clipped at its ends; `rate` in Hz."""

    start: np.ndarray
    stop: np.ndarray
    rate: float

    @classmethod
    def from_seconds(cls, seconds: np.ndarray, rate: float, samples: int) -> Spans:
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


def fit_slope(x: np.ndarray, rate: float) -> np.ndarray:
    """(...): slope of the straight line through the samples `x` (..., T), per second."""
    time = (np.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2) / rate
    return np.asarray((x @ time) / (time @ time))


# Spans that were recorded whole, at a rate at which neighbouring samples differ: for features of a signal's shape.

RATES_HZ: Mapping[str, float] = {
    "eda": 4.0, "temp": 4.0, "hr": 4.0, "eeg_bands": 4.0, "resp": 8.0, "ppg": 32.0, "acc": 32.0,
    "emg": 32.0, "eog": 32.0,
}  # fmt: skip
"""Enough for what protocols leave of a signal; at their 128 Hz, skin conductance is a straight line from one sample to
the next. ECG and EEG keep their rate."""


def take_recorded(signal: Signal, spans: np.ndarray, rates_hz: Mapping[str, float]) -> tuple[np.ndarray, Spans]:
    """Samples (C, T) float64 at the rate that `rates_hz` has for the modality, unless the signal's own is lower, and
    the `spans` (n, 2) in s among them. A span in which a sample of any channel was lost is empty; lost samples are
    bridged by straight lines, so that they do not ring into others."""
    lost = ~np.isfinite(signal.data).all(0)
    x, rate = np.asarray(signal.data, np.float64), signal.rate
    if lost.any():
        at, there = np.arange(len(lost)), np.flatnonzero(~lost)
        x = np.stack([np.interp(at, there, row[there]) for row in x]) if len(there) else np.zeros_like(x)
    gone = np.concatenate([[0], np.cumsum(lost)])
    own = Spans.from_seconds(spans, rate, len(lost))
    broken = gone[own.stop] > gone[own.start]
    if (slower := rates_hz.get(signal.modality, rate)) < rate:
        x, rate = resample(x, rate, slower).astype(np.float64), slower
    where = Spans.from_seconds(spans, rate, x.shape[1])
    return x, Spans(where.start, np.where(broken, where.start, where.stop), rate)
