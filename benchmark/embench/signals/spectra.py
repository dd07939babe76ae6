"""Power in frequency bands, by Welch's method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import signal as sps


def band_powers(
    x: np.ndarray, rate: float, bands: Sequence[tuple[float, float]], *, segment_s: float = 2.0
) -> np.ndarray:
    """Return the power of `x` (C, T) in each band [low, high) Hz: (C, bands), in squared units of `x`.

    Args:
        segment_s: length of Welch's half-overlapping Hann segments; 1 / segment_s is the resolution in Hz. A shorter
            signal is one segment.

    >>> t = np.arange(1280) / 128.0
    >>> band_powers(np.sin(2 * np.pi * 10 * t)[None], 128.0, [(4.0, 8.0), (8.0, 13.0)]).round(2)
    array([[0. , 0.5]])
    """
    segment = max(1, min(x.shape[-1], round(segment_s * rate)))
    frequency, density = sps.welch(np.asarray(x, np.float64), rate, nperseg=segment, axis=-1)
    width = rate / segment
    return np.stack([density[..., (frequency >= lo) & (frequency < hi)].sum(-1) * width for lo, hi in bands], -1)


def differential_entropy(
    x: np.ndarray, rate: float, bands: Sequence[tuple[float, float]], *, segment_s: float = 2.0
) -> np.ndarray:
    """Return the entropy in nats of a Gaussian with each band's variance, ln(2 pi e v) / 2 (Duan et al. 2013): (C,
    bands); NaN for a band without power.

    >>> noise = np.random.default_rng(0).standard_normal((1, 12800))
    >>> differential_entropy(noise, 128.0, [(0.0, 65.0)]).round(1)  # ln(2 pi e) / 2
    array([[1.4]])
    """
    power = band_powers(x, rate, bands, segment_s=segment_s)
    return 0.5 * np.log(2 * np.pi * np.e * np.where(power > 0, power, np.nan))
