"""46 values of an ECG, or of a pulse wave with pulse peaks for R peaks (list of the StressID code, textbook
definitions: Task Force of the ESC and NASPE 1996, Circulation 93(5)).

Intervals in ms, powers in ms^2, frequencies in Hz. A value is NaN where a span is too short for it: a power needs two
periods of its band's lower edge (ULF, which starts at 0, of its upper one; VHF no less than HF), entropies and the
triangular index need 40 intervals, everything else about beats three.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy import signal as sps
from scipy import stats
from scipy.interpolate import CubicSpline

from embench.signals.beats import intervals
from embench_plugins.encoders.features.spans import Spans

BANDS = {"ulf": (0.0, 0.0033), "vlf": (0.0033, 0.04), "lf": (0.04, 0.15), "hf": (0.15, 0.4), "vhf": (0.4, 0.5)}
SERIES_HZ = 4.0
LEAST_SERIES_S = 2.0 / 0.15
LEAST_INTERVALS = 3
MANY_INTERVALS = 40

TIME = (
    "hr_mean", "hr_min", "hr_max", "hr_sd", "hr_range", "nn_per_minute", "nn_mean", "sdsd", "sdnn", "cvnn", "pnn50",
    "pnn20", "rmssd", "nn_median", "nn_q20", "nn_q80", "nn_min", "nn_max", "triangular_index",
)  # fmt: skip
WAVE = ("max", "min", "mean", "sd", "kurtosis", "skewness", "median", "q25", "q75", "q5", "q95")
FREQUENCY = (
    "total_power", "lf", "hf", "ulf", "vlf", "vhf", "lf_hf", "lf_relative", "hf_relative", "lf_peak", "hf_peak",
)  # fmt: skip
NONLINEAR = ("sd1", "sd2", "sd1_sd2", "approximate_entropy", "sample_entropy")
NAMES = (*TIME, *(f"wave_{name}" for name in WAVE), *FREQUENCY, *NONLINEAR)


def heart(x: np.ndarray, peaks: np.ndarray, spans: Spans) -> np.ndarray:
    """(n, 46) values of one channel `x` (T,) with beats at the samples `peaks`."""
    ends, nn = intervals(peaks, spans.rate)
    starts = ends - nn
    beats = np.full((len(spans), len(TIME) + len(FREQUENCY) + len(NONLINEAR)), np.nan)
    first = np.searchsorted(starts, spans.start / spans.rate - 1e-9)
    last = np.searchsorted(ends, spans.stop / spans.rate - 1e-9)
    for row, (a, b, duration) in enumerate(zip(first, last, spans.duration_s, strict=True)):
        if b - a >= LEAST_INTERVALS:
            beats[row] = _beats(starts[a:b], nn[a:b] * 1000.0, float(duration))
    waves = spans.rows(x, wave, len(WAVE))
    return np.concatenate([beats[:, : len(TIME)], waves, beats[:, len(TIME) :]], 1)


def wave(x: np.ndarray) -> np.ndarray:
    """(k, 11) statistics of the samples `x` (k, length)."""
    q5, q25, median, q75, q95 = np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95], axis=-1)
    kurtosis, skewness = shape(x)
    return np.stack(
        [x.max(-1), x.min(-1), x.mean(-1), x.std(-1, ddof=1), kurtosis, skewness, median, q25, q75, q5, q95], -1
    )


def shape(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Excess kurtosis and skewness (...) of `x` (..., T) along the last axis, NaN where all samples are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # constant rows: scipy says that the result is NaN
        return np.asarray(stats.kurtosis(x, axis=-1)), np.asarray(stats.skew(x, axis=-1))


def _beats(starts: np.ndarray, nn: np.ndarray, duration_s: float) -> np.ndarray:
    """Time, frequency and non-linear values of the intervals `nn` (ms) that begin at `starts` (s)."""
    follows = np.abs(starts[:-1] + nn[:-1] / 1000.0 - starts[1:]) < 1e-6  # false across an interval that was dropped
    differences = np.diff(nn)[follows]
    return np.concatenate(
        [_time(nn, differences, duration_s), _frequency(starts, nn, duration_s), _nonlinear(nn, differences)]
    )


def _time(nn: np.ndarray, differences: np.ndarray, duration_s: float) -> np.ndarray:
    rate = 60_000.0 / nn
    sdnn = nn.std(ddof=1)
    sdsd = pnn50 = pnn20 = rmssd = np.nan
    if len(differences) >= 2:
        sdsd = differences.std(ddof=1)
        pnn50, pnn20 = (100.0 * np.mean(np.abs(differences) > limit) for limit in (50.0, 20.0))
        rmssd = np.sqrt(np.mean(differences**2))
    triangular = np.nan
    if len(nn) >= MANY_INTERVALS:
        triangular = len(nn) / np.bincount((nn // 10.0).astype(int)).max()
    return np.array(
        [
            rate.mean(), rate.min(), rate.max(), rate.std(ddof=1), np.ptp(rate), 60.0 * len(nn) / duration_s,
            nn.mean(), sdsd, sdnn, sdnn / nn.mean(), pnn50, pnn20, rmssd,
            np.median(nn), np.quantile(nn, 0.2), np.quantile(nn, 0.8), nn.min(), nn.max(), triangular,
        ]
    )  # fmt: skip


def _frequency(starts: np.ndarray, nn: np.ndarray, duration_s: float) -> np.ndarray:
    needed = {name: max(2.0 / (low or high), LEAST_SERIES_S) for name, (low, high) in BANDS.items()}
    if duration_s < LEAST_SERIES_S or len(nn) < 4:
        return np.full(len(FREQUENCY), np.nan)
    times = starts + nn / 1000.0
    grid = np.arange(times[0], times[-1], 1.0 / SERIES_HZ)
    series = CubicSpline(times, nn)(grid)
    frequency, density = sps.welch(series - series.mean(), SERIES_HZ, nperseg=min(len(series), 1200))
    width = frequency[1] - frequency[0]

    def inside(name: str) -> np.ndarray:
        low, high = BANDS[name]
        return np.asarray((frequency >= low) & (frequency < high))

    def power(name: str) -> float:
        return float(density[inside(name)].sum() * width) if duration_s >= needed[name] else np.nan

    def peak(name: str) -> float:
        at = inside(name)
        return float(frequency[at][density[at].argmax()]) if duration_s >= needed[name] and at.any() else np.nan

    powers = {name: power(name) for name in BANDS}
    total = float(density[frequency < 0.5].sum() * width) if duration_s >= needed["lf"] else np.nan
    lf, hf = powers["lf"], powers["hf"]
    ratios = [_ratio(lf, hf), _ratio(lf, total), _ratio(hf, total)]
    return np.array([total, lf, hf, powers["ulf"], powers["vlf"], powers["vhf"], *ratios, peak("lf"), peak("hf")])


def _nonlinear(nn: np.ndarray, differences: np.ndarray) -> np.ndarray:
    sd1 = sd2 = approximate = sample = np.nan
    if len(differences) >= 2:
        # The Poincare ellipse: SD1 across the line of identity, SD2 along it.
        sd1 = differences.std(ddof=1) / np.sqrt(2.0)
        sd2 = np.sqrt(max(0.0, 2.0 * nn.var(ddof=1) - sd1**2))
    if len(nn) >= MANY_INTERVALS and np.ptp(nn) > 0:
        import neurokit2 as nk  # slow to import

        tolerance = 0.2 * nn.std(ddof=1)
        approximate = nk.entropy_approximate(nn, dimension=2, tolerance=tolerance)[0]
        sample = nk.entropy_sample(nn, dimension=2, tolerance=tolerance)[0]
    return np.array([sd1, sd2, _ratio(sd1, sd2), approximate, sample])


def _ratio(a: float, b: float) -> float:
    return a / b if b else np.nan
