"""The lists for heart and EDA as the StressID code computes them, including its faults, to reproduce published results.

Each span is z-scored and cleaned (neurokit2, `biosppy`) by itself. Differences from the textbooks:

- Beats are local maxima at least a third of a second apart, above half the signal's 99 % quantile.
- Spectra mistake samples at 500 Hz for milliseconds: times are halved and frequencies doubled. They are computed from
  the series with its mean, in segments of 256 values, after its first second.
- SD1 and SD2 are in samples at 500 Hz. Entropies are of the beats' positions, not of the intervals.
- `sdnn` holds SD / mean and `cvnn` the SD. pNN50 and pNN20 are counts divided by the intervals per minute.
- The triangular index divides the intervals per minute by the position of the fullest bin, not by its count.
- LF and HF are relative to their sum, in percent.
- The phasic part's area is signed, in samples at 500 Hz. SDs divide by n.

Signals may have any rate: what the code counts in samples of its data is converted to 500 Hz.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy import signal as sps
from scipy.interpolate import CubicSpline

from embench_plugins.encoders.features import lists
from embench_plugins.encoders.features.spans import Spans

DATA_HZ = 500.0
"""The rate of StressID's signals."""

BIN_MS = 10.0
LEAST_S = 5.0
"""Shorter spans are skipped, since the filters' tails are longer."""


def compute_heart(x: np.ndarray, spans: Spans, *, clean: bool) -> np.ndarray:
    """Return (n, 46) values of one channel `x` (T,). With `clean` it is filtered as an ECG; PPG has no filter."""

    def compute(part: np.ndarray) -> np.ndarray:
        if clean:
            import neurokit2 as nk  # slow to import

            part = nk.ecg_clean(part, sampling_rate=spans.rate, method="biosppy")
        height = np.quantile(part, 0.99) / 2
        peaks = sps.find_peaks(part, distance=max(1.0, spans.rate / 3), height=height)[0]
        beats = peaks * (DATA_HZ / spans.rate)
        time, wave = _compute_time(beats, len(part) / spans.rate), _compute_wave(part)
        return np.concatenate([time, wave, _compute_frequency(beats), _compute_nonlinear(beats)])

    return _compute_each(x, spans, compute, len(lists.HEART))


def compute_skin(x: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 24) values of one channel of EDA `x` (T,)."""
    import neurokit2 as nk

    def compute(part: np.ndarray) -> np.ndarray:
        part = nk.eda_clean(part, sampling_rate=spans.rate, method="biosppy")
        decomposed = nk.eda_phasic(part, sampling_rate=spans.rate)
        phasic, tonic = (decomposed[name].to_numpy() for name in ("EDA_Phasic", "EDA_Tonic"))
        slope = np.polyfit(np.linspace(0, len(part) / spans.rate, len(part)), tonic, 1)[0]
        shape = [part.max(), part.min(), part.mean(), part.std(), *lists.compute_shape(part), np.median(part)]
        parts = [value for each in (phasic, tonic) for value in (each.max(), each.min(), each.mean(), each.std())]
        return np.array([*shape, part.max() / part.min(), slope, *parts, *_find_responses(phasic, spans.rate)])

    return _compute_each(x, spans, compute, len(lists.SKIN))


def _compute_each(x: np.ndarray, spans: Spans, compute: Callable[[np.ndarray], np.ndarray], width: int) -> np.ndarray:
    """Return (n, width): `compute` on each span's z-scored samples; NaN for spans that are too short or constant."""
    out = np.full((len(spans), width), np.nan)
    for row, (start, stop) in enumerate(zip(spans.start, spans.stop, strict=True)):
        part = x[start:stop]
        if stop - start >= LEAST_S * spans.rate and np.ptp(part) > 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # divisions by 0 and means of empty arrays; the caller makes them NaN
                out[row] = compute((part - part.mean()) / part.std())
    return out


def _compute_wave(x: np.ndarray) -> np.ndarray:
    values = lists.compute_wave(x[None])[0]
    values[lists.WAVE.index("sd")] = x.std()
    return values


def _compute_time(beats: np.ndarray, seconds: float) -> np.ndarray:
    """Return the time-domain features of beats at the samples `beats` (k,), at 500 Hz, within so many seconds."""
    nn = np.diff(beats) * (1000.0 / DATA_HZ)
    if len(nn) < lists.LEAST_INTERVALS:
        return np.full(len(lists.TIME), np.nan)
    rate, differences, sd = 60_000.0 / nn, np.diff(nn), nn.std()
    per_minute = 60.0 * len(nn) / seconds
    pnn50, pnn20 = (100.0 * (np.abs(differences) > limit).sum() / per_minute for limit in (50.0, 20.0))
    edges = np.arange(nn.mean() - 3 * sd, nn.mean() + 3 * sd, BIN_MS)
    fullest = np.histogram(nn, edges)[0].argmax() if len(edges) > 1 else 0
    return np.array(
        [
            rate.mean(), rate.min(), rate.max(), rate.std(), np.ptp(rate), per_minute,
            nn.mean(), differences.std(), sd / nn.mean(), sd, pnn50, pnn20, np.sqrt(np.mean(differences**2)),
            np.median(nn), np.quantile(nn, 0.2), np.quantile(nn, 0.8), nn.min(), nn.max(),
            np.divide(per_minute, fullest),
        ]
    )  # fmt: skip


def _compute_frequency(beats: np.ndarray) -> np.ndarray:
    nn = np.diff(beats)  # samples, taken for ms
    time = np.cumsum(nn) / 1000.0
    grid = np.arange(1.0, time[-1] - time[0], 1.0 / lists.SERIES_HZ) if len(nn) >= 4 else np.empty(0)
    if len(grid) < 2:
        return np.full(len(lists.FREQUENCY), np.nan)
    frequency, density = sps.welch(CubicSpline(time - time[0], nn)(grid), lists.SERIES_HZ)
    inside = {name: (frequency >= low) & (frequency < high) for name, (low, high) in lists.BANDS.items()}
    power = {name: float(np.trapezoid(density[mask], frequency[mask])) for name, mask in inside.items()}
    lf, hf, total = power["lf"], power["hf"], sum(power.values())
    peaks = [frequency[mask][density[mask].argmax()] if mask.any() else np.nan for mask in (inside["lf"], inside["hf"])]
    ratios = [np.divide(lf, hf), np.divide(100.0 * lf, lf + hf), np.divide(100.0 * hf, lf + hf)]
    return np.array([total, lf, hf, power["ulf"], power["vlf"], power["vhf"], *ratios, *peaks])


def _compute_nonlinear(beats: np.ndarray) -> np.ndarray:
    nn = np.diff(beats)  # samples
    if len(nn) < lists.LEAST_INTERVALS:
        return np.full(len(lists.NONLINEAR), np.nan)
    sd1, sd2 = np.std(nn[1:] - nn[:-1]) / np.sqrt(2.0), np.std(nn[1:] + nn[:-1]) / np.sqrt(2.0)
    return np.array([sd1, sd2, np.divide(sd1, sd2), *_compute_entropies(beats)])


def _compute_entropies(x: np.ndarray, m: int = 2) -> tuple[float, float]:
    """Return the approximate and sample entropy of a series `x` (n,), for runs of `m` values and a tolerance of 0.2
    SD."""
    gap = np.abs(x[:, None] - x)

    def near(length: int) -> np.ndarray:
        """Return (runs, runs) bool: True where the runs that begin at i and j differ by less than the tolerance."""
        runs = len(x) - length + 1
        farthest = np.max([gap[k : k + runs, k : k + runs] for k in range(length)], axis=0)
        return np.asarray(farthest <= 0.2 * x.std())

    short, long = near(m), near(m + 1)
    approximate = abs(np.log(long.mean(1)).mean() - np.log(short.mean(1)).mean())
    continued = len(long)  # runs with a next value; each is compared with all runs but itself
    sample = -np.log((long.sum() - continued) / (short[:continued].sum() - continued))
    return float(approximate), float(sample)


def _find_responses(phasic: np.ndarray, rate: float) -> list[float]:
    import neurokit2 as nk

    minutes = len(phasic) / rate / 60.0
    area = float(np.trapezoid(phasic)) * DATA_HZ / rate
    try:
        found = nk.eda_peaks(phasic, sampling_rate=rate)[1]
    except ValueError:  # neurokit2 on a signal without peaks
        return [0.0, area, np.nan, np.nan, np.nan, 0.0, 0.0]
    amplitude, recovery_s = found["SCR_Amplitude"], found["SCR_RecoveryTime"]
    return [
        len(found["SCR_Peaks"]) / minutes, area, np.nanmean(amplitude), np.nanmax(amplitude), np.nanmean(recovery_s),
        np.nansum(amplitude) / minutes, np.nansum(recovery_s) / minutes,
    ]  # fmt: skip
