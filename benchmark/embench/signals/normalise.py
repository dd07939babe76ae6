"""Means and SDs, combined exactly over any number of recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KEEP_LEVEL = frozenset({"face_au"})
"""Modalities whose level is informative: action units have their own scale, and z-scoring each recording would remove
expressions that last for the whole recording."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each channel, (C,) float64.

    >>> first, second = Moments.from_samples(np.array([[1.0, 2.0, np.nan]])), Moments.from_samples(np.array([[3.0]]))
    >>> first.plus(second).mean
    array([2.])
    """

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def from_samples(cls, x: np.ndarray) -> Moments:
        """Return the moments of `x` (C, T), ignoring NaN. A channel without a value has mean 0."""
        count, mean, squares = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
        for channel, row in enumerate(x):  # one float64 copy of one channel at a time
            values = row[np.isfinite(row)].astype(np.float64)
            if values.size:
                count[channel], mean[channel] = values.size, values.mean()
                squares[channel] = np.square(values - mean[channel]).sum()
        return cls(count, mean, squares)

    def plus(self, other: Moments) -> Moments:
        """Return the moments of both sets of samples together (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        delta = other.mean - self.mean
        return Moments(count, self.mean + delta * share, self.squares + other.squares + delta**2 * self.count * share)

    @property
    def std(self) -> np.ndarray:
        """(C,) standard deviations; 1 for a channel that is constant within float32, so that noise is not amplified."""
        std = np.sqrt(self.squares / np.maximum(self.count, 1))
        noise = 4 * np.finfo(np.float32).eps * np.abs(self.mean)
        return np.where(std > noise, std, 1.0)
