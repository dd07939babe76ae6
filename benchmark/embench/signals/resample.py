"""Rate conversion with exact lengths: sample i of the result lies at i / to_hz seconds."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def length_after(samples: int, from_hz: float, to_hz: float) -> int:
    """Return the number of samples after resampling.

    >>> length_after(1280, from_hz=128.0, to_hz=100.0)
    1000
    """
    return round(samples * to_hz / from_hz)


def resample(x: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Return `x` (C, T) without NaN at another rate, band-limited (soxr HQ): (C, round(T * to / from)) float32.

    soxr assumes zeros outside the signal, which cause ringing for signals with an offset. The ends are therefore
    extended by odd reflection first, and removed afterwards.

    >>> resample(np.ones((2, 1280)), from_hz=128.0, to_hz=32.0).shape
    (2, 320)
    """
    if from_hz == to_hz:
        return np.array(x, np.float32)
    import soxr

    samples = length_after(x.shape[1], from_hz, to_hz)
    if samples == 0:
        return np.zeros((len(x), 0), np.float32)
    ratio = (Fraction(to_hz) / Fraction(from_hz)).limit_denominator(1000)
    # Long enough for the filter at the lower rate, in whole samples at both rates.
    step = ratio.denominator
    pad = step * math.ceil(128 * max(1.0, from_hz / to_hz) / step)
    start = round(pad * ratio)
    out = np.empty((len(x), samples), np.float32)
    for channel, row in enumerate(x):
        row = row.astype(np.float64)
        first = row[0]  # subtracted and added again, so that a constant stays exactly constant
        wide = _extend_ends(row - first, pad)
        out[channel] = soxr.resample(wide, from_hz, to_hz, quality="HQ")[start : start + samples] + first
    return out


def resample_linear(x: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Return `x` (C, T) at another rate by linear interpolation, for slow series and features: (C, round(T * to /
    from)) float32; the last value is held.

    >>> resample_linear(np.array([[0.0, 1.0]]), from_hz=1.0, to_hz=2.0)
    array([[0. , 0.5, 1. , 1. ]], dtype=float32)
    """
    samples = length_after(x.shape[1], from_hz, to_hz)
    at, known = np.arange(samples) / to_hz, np.arange(x.shape[1]) / from_hz
    return np.stack([np.interp(at, known, row) for row in x]).astype(np.float32)


def to_rate(x: np.ndarray, from_hz: float, to_hz: float, *, linear: bool) -> np.ndarray:
    """Return `x` (C, T) at another rate, by linear interpolation if `linear`, else band-limited."""
    return (resample_linear if linear else resample)(x, from_hz, to_hz)


def _extend_ends(row: np.ndarray, pad: int) -> np.ndarray:
    if len(row) == 1:
        return np.pad(row, pad, mode="edge")
    return np.pad(row, pad, mode="reflect", reflect_type="odd")
