"""24 values of skin conductance (list of the StressID code): its shape, its tonic and phasic parts, and the responses.

The slow part below 0.05 Hz is tonic, the rest phasic (neurokit2's high-pass decomposition). A response rises
from trough to peak by at least 0.01 uS (Boucsein 2012), or, where the unit is not microsiemens, by a hundredth of the
signal's range between its 5 % and 95 % quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal as sps

from embench.signals.filters import highpass
from embench_plugins.encoders.features.heart import shape
from embench_plugins.encoders.features.spans import Spans, slope

EDGE_HZ = 0.05
LEAST_US = 0.01
MICROSIEMENS = frozenset({"uS", "µS", "μS"})

SHAPE = ("max", "min", "mean", "sd", "kurtosis", "skewness", "median", "max_min", "tonic_slope")
PARTS = tuple(f"{part}_{name}" for part in ("phasic", "tonic") for name in ("max", "min", "mean", "sd"))
RESPONSES = (
    "scr_per_minute", "phasic_area", "scr_amplitude_mean", "scr_amplitude_max", "scr_recovery_mean",
    "scr_amplitude_per_minute", "scr_recovery_per_minute",
)  # fmt: skip
NAMES = (*SHAPE, *PARTS, *RESPONSES)


@dataclass(frozen=True)
class Responses:
    """Skin conductance responses: peak positions (samples), amplitudes, and seconds to half recovery."""

    peak: np.ndarray
    amplitude: np.ndarray
    recovery_s: np.ndarray


def skin(x: np.ndarray, unit: str, spans: Spans) -> np.ndarray:
    """(n, 24) values of one channel `x` (T,)."""
    phasic = highpass(x[None], spans.rate, EDGE_HZ, 2)[0].astype(np.float64)
    found = responses(x, phasic, spans.rate, _threshold(x, unit))
    stacked = np.stack([x, phasic, x - phasic])
    shapes = spans.rows(stacked, lambda rows: _shape(rows, spans.rate), len(SHAPE) + len(PARTS) + 1)
    minutes = spans.duration_s / 60.0
    counted = np.full((len(spans), 6), np.nan)
    for row, at in enumerate(spans.inside(found.peak)):
        if minutes[row] > 0:
            counted[row] = _count(found.amplitude[at], found.recovery_s[at], minutes[row])
    return np.concatenate([shapes[:, :-1], counted[:, :1], shapes[:, -1:], counted[:, 1:]], 1)


def responses(x: np.ndarray, phasic: np.ndarray, rate: float, least: float) -> Responses:
    """The peaks of `phasic` (T,) up to which the signal `x` (T,) itself rises by `least` from the trough before, over
    10 s at most. The rise is the amplitude; a filter's ringing around a response has none."""
    peak, about = sps.find_peaks(phasic, prominence=least / 2, wlen=int(20 * rate) | 1)
    half = (about["prominences"], about["left_bases"], about["right_bases"])
    right = sps.peak_widths(phasic, peak, rel_height=0.5, prominence_data=half)[3]
    rise = x[peak] - x[about["left_bases"]]
    real = rise >= least
    return Responses(peak[real], rise[real], (right - peak)[real] / rate)


def _threshold(x: np.ndarray, unit: str) -> float:
    if unit in MICROSIEMENS:
        return LEAST_US
    low, high = np.quantile(x, [0.05, 0.95])
    return max(0.01 * float(high - low), 1e-30)


def _shape(rows: np.ndarray, rate: float) -> np.ndarray:
    """(k, 18) from signal, phasic and tonic part `rows` (k, 3, length)."""
    x, phasic, tonic = rows[:, 0], rows[:, 1], rows[:, 2]
    low, high = x.min(-1), x.max(-1)
    kurtosis, skewness = shape(x)
    ratio = np.divide(high, low, out=np.full_like(high, np.nan), where=low != 0)
    columns = [
        high,
        low,
        x.mean(-1),
        x.std(-1, ddof=1),
        kurtosis,
        skewness,
        np.median(x, -1),
        ratio,
        slope(tonic, rate),
    ]
    for part in (phasic, tonic):
        columns += [part.max(-1), part.min(-1), part.mean(-1), part.std(-1, ddof=1)]
    return np.stack([*columns, np.abs(phasic).sum(-1) / rate], -1)


def _count(amplitude: np.ndarray, recovery_s: np.ndarray, minutes: float) -> list[float]:
    if not len(amplitude):  # no response has no mean amplitude; per minute it is truly none
        return [0.0, np.nan, np.nan, np.nan, 0.0, 0.0]
    return [
        len(amplitude) / minutes, amplitude.mean(), amplitude.max(), recovery_s.mean(),
        amplitude.sum() / minutes, recovery_s.sum() / minutes,
    ]  # fmt: skip
