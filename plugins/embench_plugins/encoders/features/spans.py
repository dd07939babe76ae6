"""Segments of a recording, and features of each segment as rows of an array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from embench.interfaces.recording import Signal
from embench.signals.resample import resample


@dataclass(frozen=True)
class Spans:
    """Segments ("spans") of a recording in samples: `start` and `stop` (n,), clipped to the recording; `rate` in Hz."""

    start: np.ndarray
    stop: np.ndarray
    rate: float

    @classmethod
    def from_seconds(cls, seconds: np.ndarray, rate: float, samples: int) -> Spans:
        """Return spans from their (n, 2) starts and stops in seconds, in a recording of `samples` samples."""
        edges = np.clip(np.rint(np.asarray(seconds, np.float64).reshape(-1, 2) * rate).astype(int), 0, samples)
        return cls(edges[:, 0], np.maximum(edges[:, 0], edges[:, 1]), rate)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def duration_s(self) -> np.ndarray:
        """Length of each span in s, (n,)."""
        return (self.stop - self.start) / self.rate

    def rows(self, x: np.ndarray, compute: Callable[[np.ndarray], np.ndarray], width: int) -> np.ndarray:
        """Return (n, width): for each span, what `compute` returns for its samples of `x` (..., T). `compute` gets the
        k spans of one length at once, as (k, ..., length). NaN for spans with fewer than two samples."""
        out = np.full((len(self), width), np.nan)
        lengths = self.stop - self.start
        for length in np.unique(lengths[lengths >= 2]):
            index = np.flatnonzero(lengths == length)
            samples = self.start[index][:, None] + np.arange(length)
            out[index] = compute(np.moveaxis(x[..., samples], -2, 0)).reshape(len(index), -1)
        return out

    def inside(self, positions: np.ndarray) -> Iterator[slice]:
        """Return, for each span, the slice of the sorted sample positions (k,) that lie in it."""
        first, last = np.searchsorted(positions, self.start), np.searchsorted(positions, self.stop)
        return (slice(a, b) for a, b in zip(first, last, strict=True))

    def enclosed(self, starts: np.ndarray, ends: np.ndarray) -> Iterator[slice]:
        """Return, for each span, the slice of the intervals from `starts` to `ends` (k,), sorted, in s, within it."""
        first = np.searchsorted(starts, self.start / self.rate - 1e-9)
        last = np.searchsorted(ends, self.stop / self.rate - 1e-9)
        return (slice(a, b) for a, b in zip(first, last, strict=True))

    def contain(self, lost: np.ndarray) -> np.ndarray:
        """Return (n,) bool: True for spans in which any sample of `lost` (T,) is True."""
        before = np.concatenate([[0], np.cumsum(lost)])
        return np.asarray(before[self.stop] > before[self.start])


def fit_slope(x: np.ndarray, rate: float) -> np.ndarray:
    """Return (...) the slope of the straight line fitted to the samples `x` (..., T), per second."""
    time = (np.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2) / rate
    return np.asarray((x @ time) / (time @ time))


def fit_known_stats(x: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return `mean` and `std` of each column of `x` (n, ...), ignoring NaN: 0 and 1 for a column without values, and a
    `std` of 1 for a constant one."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, x, 0.0).sum(0, dtype=np.float64) / count
    std = np.sqrt(np.where(known, (x - mean) ** 2, 0.0).sum(0, dtype=np.float64) / count)
    return {"mean": mean.astype(np.float32), "std": np.where(std > 1e-8, std, 1.0).astype(np.float32)}


# Spans without lost samples, at a rate at which neighbouring samples differ: for features of a signal's shape.

ANY_SERIES = frozenset({"eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "eog", "acc", "hr", "eeg_bands", "face_au"})
"""The bundled modalities that are series of numbers: all but video."""

RATES_HZ: Mapping[str, float] = {
    "eda": 4.0, "temp": 4.0, "hr": 4.0, "eeg_bands": 4.0, "resp": 8.0, "ppg": 32.0, "acc": 32.0,
    "emg": 32.0, "eog": 32.0,
}  # fmt: skip
"""Modality -> rate that is enough after a protocol's filters. At the protocols' 128 Hz, EDA is a straight line from one
sample to the next. ECG and EEG keep their rate."""


def take_recorded(signal: Signal, spans: np.ndarray, rates_hz: Mapping[str, float]) -> tuple[np.ndarray, Spans]:
    """Return samples (C, T) float64 of a signal, and the `spans` (n, 2), in s, among them. The samples are at the rate
    that `rates_hz` has for the modality, or at the signal's if that is lower. A span in which any channel lost a sample
    is empty. Lost samples are bridged by straight lines, so that they do not spread when filtered."""
    lost = ~np.isfinite(signal.data).all(0)
    x, rate = np.asarray(signal.data, np.float64), signal.rate
    if lost.any():
        position, known = np.arange(len(lost)), np.flatnonzero(~lost)
        x = np.stack([np.interp(position, known, row[known]) for row in x]) if len(known) else np.zeros_like(x)
    broken = Spans.from_seconds(spans, rate, len(lost)).contain(lost)
    if (slower := rates_hz.get(signal.modality, rate)) < rate:
        x, rate = resample(x, rate, slower).astype(np.float64), slower
    where = Spans.from_seconds(spans, rate, x.shape[1])
    return x, Spans(where.start, np.where(broken, where.start, where.stop), rate)
