"""The units of subjects in the order of time: values standardised within a subject, and averaged over minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embench.interfaces.ranking import rows_of

CLIP = 4.0
"""Standardised values are cut here, so that a few artefacts do not make a fit."""


@dataclass(frozen=True)
class Sessions:
    """The units of a cohort.

    Args:
        subject: (n,) codes from 0 on.
        start: (n,) s since the session's start.
        length: (n,) s, the length of the unit's session.
        unit_s: the length of a unit in s.
    """

    subject: np.ndarray
    start: np.ndarray
    length: np.ndarray
    unit_s: float

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """Positions of each subject's units, in the order of time."""
        return [rows[np.argsort(self.start[rows], kind="stable")] for _, rows in rows_of(self.subject)]

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """(n, k) in standard deviations from the subject's mean; 0 where `values` (n, k) are NaN or do not vary."""
        out = np.zeros(values.shape)
        for rows in self.rows:
            part = values[rows]
            known = np.isfinite(part)
            count = np.maximum(known.sum(0), 1)
            part = np.where(known, part, 0.0)
            part = np.where(known, part - part.sum(0) / count, 0.0)
            out[rows] = part / (np.sqrt((part**2).sum(0) / count) + 1e-9)
        return out

    def mean(self, values: np.ndarray, before_s: float, after_s: float) -> np.ndarray:
        """(n, k) means of `values` (n, k) over the subject's units that start from `before_s` earlier to `after_s`
        later."""
        out = np.empty(values.shape)
        for rows in self.rows:
            start = self.start[rows]
            first = np.searchsorted(start, start - before_s - 1e-6)
            end = np.searchsorted(start, start + after_s + 1e-6)
            sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values[rows], 0)])
            out[rows] = (sums[end] - sums[first]) / (end - first)[:, None]
        return out

    def context(self, values: np.ndarray, seconds: Sequence[float]) -> np.ndarray:
        """(n, k (1 + m)) `values` (n, k), and their means over so many `seconds` (m,) to each side."""
        return np.hstack([values, *(self.mean(values, s, s) for s in seconds)])

    def since(self, value: np.ndarray, above: float, most: int) -> np.ndarray:
        """(n,) the number of units since `value` (n,) was above a bound in the subject's session, at most so many."""
        out = np.empty(len(value))
        for rows in self.rows:
            place = np.arange(len(rows))
            last = np.maximum.accumulate(np.where(value[rows] > above, place, -most))
            out[rows] = np.minimum(place - last, most)
        return out

    def angle(self, direction: np.ndarray, back: int) -> np.ndarray:
        """(n,) rad, by how much `direction` (n, c), of length 1, differs from that of so many units before."""
        out = np.empty(len(direction))
        for rows in self.rows:
            earlier = direction[rows[np.maximum(np.arange(len(rows)) - back, 0)]]
            out[rows] = np.arccos(np.clip((direction[rows] * earlier).sum(1), -1, 1))
        return out

    def share_so_far(self, value: np.ndarray) -> np.ndarray:
        """(n,) the part of the session's sum of `value` (n,), of 0 or more, that lies before the unit's end."""
        out = np.empty(len(value))
        for rows in self.rows:
            sums = np.cumsum(np.nan_to_num(value[rows]))
            out[rows] = sums / max(sums[-1], 1e-9)
        return out


def standard(values: np.ndarray) -> np.ndarray:
    """(n, k) in standard deviations from the mean of all units, cut at `CLIP`; 0 where unknown."""
    known = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(invalid="ignore"):
        mean, spread = np.nanmean(known, 0), np.nanstd(known, 0)
    return np.nan_to_num(np.clip((known - mean) / (spread + 1e-9), -CLIP, CLIP))
