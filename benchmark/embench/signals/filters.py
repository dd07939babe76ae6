"""Zero-phase filters as second-order sections: float64 inside, float32 out.

All take `x` (C, T) without NaN, `rate` and edges in Hz, and return (C, T). They run forwards and backwards, so the
phase is untouched and the attenuation is that of twice the order.
"""

from __future__ import annotations

import numpy as np
from scipy import signal as sps
from scipy.fft import next_fast_len


def highpass(x: np.ndarray, rate: float, edge: float, order: int) -> np.ndarray:
    """Butterworth high-pass; the offset goes."""
    return _run(sps.butter(order, edge, "highpass", fs=rate, output="sos"), x, keep_offset=False)


def lowpass(x: np.ndarray, rate: float, edge: float, order: int) -> np.ndarray:
    """Butterworth low-pass."""
    return _run(sps.butter(order, edge, "lowpass", fs=rate, output="sos"), x, keep_offset=True)


def bandpass(x: np.ndarray, rate: float, edges: tuple[float, float], order: int) -> np.ndarray:
    """Butterworth band-pass between `edges` (low, high); the offset goes."""
    return _run(sps.butter(order, edges, "bandpass", fs=rate, output="sos"), x, keep_offset=False)


def notch(x: np.ndarray, rate: float, hz: float, q: float = 30.0) -> np.ndarray:
    """Takes out one frequency, `hz` / `q` wide."""
    return _run(sps.tf2sos(*sps.iirnotch(hz, q, fs=rate)), x, keep_offset=True)


def envelope(x: np.ndarray) -> np.ndarray:
    """Magnitude of the analytic signal (Gabor 1946), (C, T); `x` must be without an offset."""
    out = np.empty(x.shape, np.float32)
    samples = x.shape[-1]
    for channel, row in enumerate(np.asarray(x, np.float64)):
        # Both ends are reflected and fade out, so that the transform, which is periodic, sees no jump there.
        pad = min(samples - 1, 256)
        wide = np.pad(row, pad, mode="reflect")
        wide *= sps.windows.tukey(len(wide), 2 * pad / len(wide))
        analytic = sps.hilbert(wide, next_fast_len(len(wide)))
        out[channel] = np.abs(analytic[pad : pad + samples])
    return out


def _run(sos: np.ndarray, x: np.ndarray, *, keep_offset: bool) -> np.ndarray:
    """Channel by channel, to hold one float64 copy at a time. The first sample is taken off before and given back
    after (all these filters either stop an offset or let it pass), so that a constant stays exactly constant."""
    out = np.empty(x.shape, np.float32)
    # scipy's own default of how far it reflects the ends, but never more than a short signal has.
    pad = 3 * (2 * len(sos) + 1 - min(int((sos[:, 2] == 0).sum()), int((sos[:, 5] == 0).sum())))
    for channel, row in enumerate(x):
        row = row.astype(np.float64)
        first = row[0]
        filtered = sps.sosfiltfilt(sos, row - first, padlen=min(pad, len(row) - 1))
        out[channel] = filtered + first if keep_offset else filtered
    return out
