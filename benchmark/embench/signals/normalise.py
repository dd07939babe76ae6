"""Means and spreads that are combined exactly over any number of recordings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each channel, (C,) float64."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """(C,) spread around the mean; 1 where a channel is constant within float32, so that nothing is blown up."""
        std = np.sqrt(self.squares / np.maximum(self.count, 1))
        noise = 4 * np.finfo(np.float32).eps * np.abs(self.mean)
        return np.where(std > noise, std, 1.0)

    def __add__(self, other: Moments) -> Moments:
        """Of both sets of samples together (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        delta = other.mean - self.mean
        return Moments(count, self.mean + delta * share, self.squares + other.squares + delta**2 * self.count * share)


def moments(x: np.ndarray) -> Moments:
    """Of `x` (C, T); NaN are left out. A channel without a value has mean 0."""
    count, mean, squares = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
    for channel, row in enumerate(x):  # one float64 copy of one channel at a time
        values = row[np.isfinite(row)].astype(np.float64)
        if values.size:
            count[channel], mean[channel] = values.size, values.mean()
            squares[channel] = np.square(values - mean[channel]).sum()
    return Moments(count, mean, squares)


def combine(parts: Iterable[Moments]) -> Moments:
    """Of all parts together, whatever their sizes."""
    return reduce(lambda a, b: a + b, parts)


def zscore(x: np.ndarray, of: Moments) -> np.ndarray:
    """`x` (C, T) minus mean, over spread, float32."""
    return np.asarray((x - of.mean[:, None]) / of.std[:, None], np.float32)
