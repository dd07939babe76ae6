"""Heartbeats: their positions, and the intervals between them."""

from __future__ import annotations

import warnings

import numpy as np

from embench.errors import UsageError

SHORTEST_S = 2.0
"""Least length of a signal in s for the detection of peaks."""
PULSE_HZ = 8.0
"""Upper edge in Hz of the band in which pulse waves are searched for beats."""


def check_rate(modality: str, rate: float) -> None:
    """Raise UsageError if a modality is an ECG or pulse wave whose `rate` in Hz is too low for finding beats."""
    found = [m for m in ("ecg", "ppg") if m in modality.split("+")]
    if found and rate <= 2 * PULSE_HZ:
        raise UsageError(
            f"the encoder finds no heartbeats in {' and '.join(found)} at {rate:g} Hz, the protocol's rate",
            where=f"modality {modality}",
            expected=f"more than {2 * PULSE_HZ:g} Hz",
            hint="choose another --protocol, another --encoder, or other --modalities",
        )


def ecg_peaks(x: np.ndarray, rate: float) -> np.ndarray:
    """Return sample positions of the R peaks of one ECG lead `x` (T,) at `rate` Hz (neurokit2's cleaning and
    detector)."""
    import neurokit2 as nk  # slow to import

    if _lacks_rhythm(x, rate):
        return np.zeros(0, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = nk.ecg_clean(np.asarray(x, np.float64), sampling_rate=rate)
        _, found = nk.ecg_peaks(clean, sampling_rate=rate)
    return np.asarray(found["ECG_R_Peaks"], np.int64)


def ppg_peaks(x: np.ndarray, rate: float) -> np.ndarray:
    """Return sample positions of the systolic peaks of one pulse wave `x` (T,) at `rate` Hz (Elgendi et al. 2013).
    Raises ValueError if `rate` is not above 2 * `PULSE_HZ`."""
    import neurokit2 as nk

    if _lacks_rhythm(x, rate):
        return np.zeros(0, np.int64)
    if rate <= 2 * PULSE_HZ:
        raise ValueError(f"beats are found in a pulse wave of more than {2 * PULSE_HZ:g} Hz, and this one has {rate:g}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = nk.ppg_clean(np.asarray(x, np.float64), sampling_rate=rate)
        found = nk.ppg_findpeaks(clean, sampling_rate=rate)
    return np.asarray(found["PPG_Peaks"], np.int64)


def intervals(
    peaks: np.ndarray, rate: float, *, limits_s: tuple[float, float] = (0.3, 2.0), jump: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Return normal beat-to-beat intervals from `peaks` (n,), sample positions at `rate` Hz.

    Intervals outside `limits_s` are dropped. An interval that differs from the median of the five around it by more
    than the proportion `jump` is dropped too: a beat was missed or false.

    Returns:
        Times (m,) in s of the beats that end the intervals, and the intervals (m,) in s.

    >>> times, gaps = intervals(np.array([0, 80, 160, 300, 380, 460]), rate=100.0)  # a beat was missed
    >>> gaps
    array([0.8, 0.8, 0.8, 0.8])
    """
    times = np.asarray(peaks, np.float64) / rate
    gaps = np.diff(times)
    if not gaps.size:
        return np.zeros(0), np.zeros(0)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(gaps, 2, mode="reflect" if len(gaps) > 2 else "edge"), 5)
    usual = np.median(around, axis=1)
    good = (gaps >= limits_s[0]) & (gaps <= limits_s[1]) & (np.abs(gaps - usual) <= jump * usual)
    return times[1:][good], gaps[good]


def _lacks_rhythm(x: np.ndarray, rate: float) -> bool:
    """Return True if no beats can be found in `x` (T,): it is too short, constant or not finite."""
    return len(x) < SHORTEST_S * rate or bool(np.ptp(x) == 0) or not bool(np.isfinite(x).all())
