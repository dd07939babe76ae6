"""Zero-phase filters as second-order sections: float64 inside, float32 out.

All functions take `x` (C, T) without NaN, `rate` and edges in Hz, and return (C, T). Filters run forwards and
backwards, so that the phase is unchanged and the attenuation is that of twice the order. scipy.signal takes most of a
second to import; it is therefore imported inside functions, which readers of prepared data never call."""

from __future__ import annotations

from functools import cache

import numpy as np


def highpass(x: np.ndarray, rate: float, edge: float, order: int) -> np.ndarray:
    """Return `x` (C, T) after a Butterworth high-pass with its edge in Hz; the offset is removed.

    >>> highpass(np.full((1, 500), 3.0, np.float32), rate=100.0, edge=0.5, order=4).max()
    np.float32(0.0)
    """
    return _run(_butterworth(order, edge, "highpass", rate), x, keep_offset=False)


def lowpass(x: np.ndarray, rate: float, edge: float, order: int) -> np.ndarray:
    """Return `x` (C, T) after a Butterworth low-pass with its edge in Hz; the offset is kept.

    >>> t = np.arange(1000) / 100.0
    >>> slow, fast = np.sin(2 * np.pi * t), np.sin(2 * np.pi * 40 * t)
    >>> bool(np.abs(lowpass((slow + fast)[None], rate=100.0, edge=5.0, order=4)[0] - slow)[100:-100].max() < 0.01)
    True
    """
    return _run(_butterworth(order, edge, "lowpass", rate), x, keep_offset=True)


def bandpass(x: np.ndarray, rate: float, edges: tuple[float, float], order: int) -> np.ndarray:
    """Return `x` (C, T) after a Butterworth band-pass between `edges` (low, high) in Hz; the offset is removed.

    >>> bandpass(np.full((2, 500), 3.0, np.float32), rate=100.0, edges=(4.0, 45.0), order=4).shape
    (2, 500)
    """
    return _run(_butterworth(order, tuple(edges), "bandpass", rate), x, keep_offset=False)


def notch(x: np.ndarray, rate: float, hz: float, q: float = 30.0) -> np.ndarray:
    """Return `x` (C, T) without the frequency `hz`; the notch is `hz` / `q` wide.

    >>> t = np.arange(1280) / 128.0
    >>> hum = np.sin(2 * np.pi * 50 * t)[None]
    >>> bool(np.abs(notch(hum, rate=128.0, hz=50.0))[:, 256:-256].max() < 0.01)
    True
    """
    return _run(_notch(hz, q, rate), x, keep_offset=True)


def envelope(x: np.ndarray) -> np.ndarray:
    """Return the magnitude of the analytic signal (Gabor 1946), (C, T); `x` must have no offset.

    >>> t = np.arange(1280) / 128.0
    >>> envelope(3.0 * np.sin(2 * np.pi * 10 * t)[None])[0, 640].round(1)
    np.float32(3.0)
    """
    from scipy import signal as sps
    from scipy.fft import next_fast_len

    out = np.empty(x.shape, np.float32)
    samples = x.shape[-1]
    for channel, row in enumerate(np.asarray(x, np.float64)):
        # Both ends are reflected and faded out, so that the periodic transform sees no jump.
        pad = min(samples - 1, 256)
        wide = np.pad(row, pad, mode="reflect")
        wide *= sps.windows.tukey(len(wide), 2 * pad / len(wide))
        analytic = sps.hilbert(wide, next_fast_len(len(wide)))
        out[channel] = np.abs(analytic[pad : pad + samples])
    return out


# A dataset has thousands of signals and a handful of filters.
@cache
def _butterworth(order: int, edge: float | tuple[float, float], kind: str, rate: float) -> np.ndarray:
    from scipy import signal as sps

    return np.asarray(sps.butter(order, edge, kind, fs=rate, output="sos"))


@cache
def _notch(hz: float, q: float, rate: float) -> np.ndarray:
    from scipy import signal as sps

    return np.asarray(sps.tf2sos(*sps.iirnotch(hz, q, fs=rate)))


def _run(sos: np.ndarray, x: np.ndarray, *, keep_offset: bool) -> np.ndarray:
    """Return `x` (C, T) filtered by `sos`, channel by channel to save memory. The first sample is subtracted before
    and, with `keep_offset`, added afterwards, so that a constant stays exactly constant."""
    from scipy import signal as sps

    out = np.empty(x.shape, np.float32)
    # scipy's default length of reflection, at most the signal's length
    pad = 3 * (2 * len(sos) + 1 - min(int((sos[:, 2] == 0).sum()), int((sos[:, 5] == 0).sum())))
    pad = min(pad, x.shape[1] - 1)
    state = _settled_state(sos.tobytes())
    for channel, row in enumerate(x):
        row = row.astype(np.float64)
        first = row[0]
        wide = np.pad(row - first, pad, mode="reflect", reflect_type="odd")
        # Equals `sosfiltfilt`, which would compute the settled state again for every signal.
        forwards, _ = sps.sosfilt(sos, wide, zi=state * wide[0])
        backwards, _ = sps.sosfilt(sos, forwards[::-1], zi=state * forwards[-1])
        filtered = backwards[::-1][pad : pad + len(row)]
        out[channel] = filtered + first if keep_offset else filtered
    return out


@cache
def _settled_state(sos: bytes) -> np.ndarray:
    """Return (sections, 2) the state of a filter after a long constant input of 1."""
    from scipy import signal as sps

    return np.asarray(sps.sosfilt_zi(np.frombuffer(sos).reshape(-1, 6)))
