"""Bridging of lost samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from embench.reasons import Reason

_MERGED_S = 0.5
"""Length in s of good signal below which two gaps are merged."""
_MOST_STRETCHES = 1000
"""Most gaps reported for one signal; if there are more, the nearest ones are merged."""

Stretch = tuple[float, float, float]
"""Start and stop in s of a span with lost samples, and the number of lost seconds in it."""


class Unusable(ValueError):
    """Raised if a signal cannot be used. The list of excluded signals shows `reason`, an id of `REASON_TEXTS` and its
    values."""

    def __init__(self, reason: str, **values: Any) -> None:
        self.reason = Reason.make(reason, **values)
        super().__init__(self.reason)


def fill_gaps(x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """Return `x` (C, T) float32 with lost samples (NaN, infinite) linearly interpolated, and the ends held constant.

    Raises:
        Unusable: all samples, or more than half of a channel, are lost.

    >>> fill_gaps(np.array([[1.0, np.nan, 3.0, np.nan]]), ("ecg",))
    array([[1., 2., 3., 3.]], dtype=float32)
    """
    if x.shape[1] == 0:
        raise Unusable("no_samples")
    good = np.isfinite(x)
    if good.all():
        return np.asarray(x, np.float32)
    for name, share in zip(channels, 1.0 - good.mean(1), strict=True):
        if share > 0.5:
            raise Unusable("missing_samples", channel=name, proportion=float(share))
    out, position = np.array(x, np.float32), np.arange(x.shape[1])
    for row, valid in zip(out, good, strict=True):
        if not valid.all():
            row[~valid] = np.interp(position[~valid], position[valid], row[valid])
    return out


def lost_stretches(x: np.ndarray, rate: float, t0: float = 0.0) -> tuple[Stretch, ...]:
    """Return the spans of `x` (C, T) with lost samples (NaN, infinite) in any channel. `t0`: time of the first sample
    in s.

    >>> lost_stretches(np.array([[1.0, np.nan, np.inf, 4.0]]), rate=2.0, t0=10.0)
    ((10.5, 11.5, 1.0),)
    """
    lost = np.flatnonzero(~np.isfinite(x).all(0))
    if not len(lost):
        return ()
    between = (np.diff(lost) - 1) / rate
    cuts = np.flatnonzero(between >= _MERGED_S)
    longest = np.argsort(-between[cuts], kind="stable")[: _MOST_STRETCHES - 1]
    parts = np.split(lost, np.sort(cuts[longest]) + 1)
    seconds = [(t0 + part[0] / rate, t0 + (part[-1] + 1) / rate, len(part) / rate) for part in parts]
    return tuple((round(float(a), 6), round(float(b), 6), round(float(n), 6)) for a, b, n in seconds)
