"""Treatment of lost samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Unusable(ValueError):
    """A signal cannot be used; `reason` says why, for the list of what was left out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def fill_gaps(x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """`x` (C, T) with lost samples (NaN, infinite) bridged by straight lines, the ends held; float32.

    Raises:
        Unusable: where there are no samples, or more than half of a channel is lost.

    >>> fill_gaps(np.array([[1.0, np.nan, 3.0, np.nan]]), ("ecg",))
    array([[1., 2., 3., 3.]], dtype=float32)
    """
    if x.shape[1] == 0:
        raise Unusable("no samples")
    good = np.isfinite(x)
    if good.all():
        return np.asarray(x, np.float32)
    for name, share in zip(channels, 1.0 - good.mean(1), strict=True):
        if share > 0.5:
            raise Unusable(f"channel {name}: {share:.0%} of the samples are missing")
    out, at = np.array(x, np.float32), np.arange(x.shape[1])
    for row, there in zip(out, good, strict=True):
        if not there.all():
            row[~there] = np.interp(at[~there], at[there], row[there])
    return out
