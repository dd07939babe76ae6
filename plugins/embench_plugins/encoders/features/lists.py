"""The feature lists of `handcrafted` by their textbook definitions: heart, EDA, face, and signals without a list.

Each function returns an array with one row for each span.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import signal as sps
from scipy import stats
from scipy.interpolate import CubicSpline

from embench.signals.beats import intervals
from embench.signals.filters import highpass
from embench.signals.spectra import differential_entropy
from embench_plugins.encoders.features.spans import Spans, fit_slope

# 46 values of an ECG, or of a PPG with pulse peaks for R peaks (list of the StressID code, textbook definitions: Task
# Force of the ESC and NASPE 1996, Circulation 93(5)).
#
# Intervals are in ms, powers in ms^2, frequencies in Hz. A value is NaN if the span is too short for it. The power of a
# band needs two periods of its lower edge; ULF, which starts at 0, two of its upper edge; VHF as much as HF. Entropies
# and the triangular index need 40 intervals, all other values of beats need three.

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
HEART = (*TIME, *(f"wave_{name}" for name in WAVE), *FREQUENCY, *NONLINEAR)


def compute_heart(x: np.ndarray, peaks: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 46) values of one channel `x` (T,) with beats at the samples `peaks`."""
    ends, nn = intervals(peaks, spans.rate)
    starts = ends - nn
    beats = np.full((len(spans), len(TIME) + len(FREQUENCY) + len(NONLINEAR)), np.nan)
    for row, inside in enumerate(spans.enclosed(starts, ends)):
        if len(nn[inside]) >= LEAST_INTERVALS:
            beats[row] = _compute_beats(starts[inside], nn[inside] * 1000.0, float(spans.duration_s[row]))
    waves = spans.rows(x, compute_wave, len(WAVE))
    return np.concatenate([beats[:, : len(TIME)], waves, beats[:, len(TIME) :]], 1)


def compute_wave(x: np.ndarray) -> np.ndarray:
    """Return (k, 11) statistics of the samples `x` (k, length)."""
    q5, q25, median, q75, q95 = np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95], axis=-1)
    kurtosis, skewness = compute_shape(x)
    return np.stack(
        [x.max(-1), x.min(-1), x.mean(-1), x.std(-1, ddof=1), kurtosis, skewness, median, q25, q75, q5, q95], -1
    )


def compute_shape(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the excess kurtosis and skewness (...) of `x` (..., T) along the last axis, NaN for equal samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # constant rows: scipy says that the result is NaN
        return np.asarray(stats.kurtosis(x, axis=-1)), np.asarray(stats.skew(x, axis=-1))


def _compute_beats(starts: np.ndarray, nn: np.ndarray, duration_s: float) -> np.ndarray:
    """Return the time, frequency and non-linear values of the intervals `nn` (k,), in ms, that begin at `starts` (k,),
    in s."""
    follows = np.abs(starts[:-1] + nn[:-1] / 1000.0 - starts[1:]) < 1e-6  # False across a dropped interval
    differences = np.diff(nn)[follows]
    return np.concatenate(
        [
            _compute_time(nn, differences, duration_s),
            _compute_frequency(starts, nn, duration_s),
            _compute_nonlinear(nn, differences),
        ]
    )


def _compute_time(nn: np.ndarray, differences: np.ndarray, duration_s: float) -> np.ndarray:
    """Return the time-domain values of intervals `nn` (k,) in ms."""
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


def _compute_frequency(starts: np.ndarray, nn: np.ndarray, duration_s: float) -> np.ndarray:
    """Return the powers and peaks of the bands of intervals `nn` (k,) in ms, resampled evenly."""
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
    ratios = [_divide(lf, hf), _divide(lf, total), _divide(hf, total)]
    return np.array([total, lf, hf, powers["ulf"], powers["vlf"], powers["vhf"], *ratios, peak("lf"), peak("hf")])


def _compute_nonlinear(nn: np.ndarray, differences: np.ndarray) -> np.ndarray:
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
    return np.array([sd1, sd2, _divide(sd1, sd2), approximate, sample])


def _divide(a: float, b: float) -> float:
    return a / b if b else np.nan


# 24 values of EDA (list of the StressID code): its shape, its tonic and phasic parts, and the responses.
#
# The part below 0.05 Hz is tonic, the rest phasic (neurokit2's high-pass decomposition). A response rises from trough
# to peak by at least 0.01 uS (Boucsein 2012). If the unit is not microsiemens, it rises by at least a hundredth of the
# signal's range between its 5 % and 95 % quantiles.

EDGE_HZ = 0.05
LEAST_US = 0.01
MICROSIEMENS = frozenset({"uS", "µS", "μS"})

SHAPE = ("max", "min", "mean", "sd", "kurtosis", "skewness", "median", "max_min", "tonic_slope")
PARTS = tuple(f"{part}_{name}" for part in ("phasic", "tonic") for name in ("max", "min", "mean", "sd"))
RESPONSES = (
    "scr_per_minute", "phasic_area", "scr_amplitude_mean", "scr_amplitude_max", "scr_recovery_mean",
    "scr_amplitude_per_minute", "scr_recovery_per_minute",
)  # fmt: skip
SKIN = (*SHAPE, *PARTS, *RESPONSES)


@dataclass(frozen=True)
class Responses:
    """Skin conductance responses: peak positions (samples), amplitudes, and seconds to half recovery."""

    peak: np.ndarray
    amplitude: np.ndarray
    recovery_s: np.ndarray


def compute_skin(x: np.ndarray, unit: str, spans: Spans) -> np.ndarray:
    """Return (n, 24) values of one channel of EDA `x` (T,)."""
    phasic = highpass(x[None], spans.rate, EDGE_HZ, 2)[0].astype(np.float64)
    responses = find_responses(x, phasic, spans.rate, _choose_threshold(x, unit))
    stacked = np.stack([x, phasic, x - phasic])
    shapes = spans.rows(stacked, lambda rows: _compute_parts(rows, spans.rate), len(SHAPE) + len(PARTS) + 1)
    minutes = spans.duration_s / 60.0
    counted = np.full((len(spans), 6), np.nan)
    for row, inside in enumerate(spans.inside(responses.peak)):
        if minutes[row] > 0:
            counted[row] = _count_responses(responses.amplitude[inside], responses.recovery_s[inside], minutes[row])
    return np.concatenate([shapes[:, :-1], counted[:, :1], shapes[:, -1:], counted[:, 1:]], 1)


def find_responses(x: np.ndarray, phasic: np.ndarray, rate: float, least: float) -> Responses:
    """Return the skin conductance responses: peaks of `phasic` (T,) to which the signal `x` (T,) itself rises by
    `least` or more from the trough before, within 10 s. The rise is the amplitude. Ringing of the filter beside a
    response is not counted, since `x` does not rise there."""
    peak, properties = sps.find_peaks(phasic, prominence=least / 2, wlen=int(20 * rate) | 1)
    prominence = tuple(properties[name] for name in ("prominences", "left_bases", "right_bases"))
    half_recovery = sps.peak_widths(phasic, peak, rel_height=0.5, prominence_data=prominence)[3]
    rise = x[peak] - x[properties["left_bases"]]
    real = rise >= least
    return Responses(peak[real], rise[real], (half_recovery - peak)[real] / rate)


def _choose_threshold(x: np.ndarray, unit: str) -> float:
    """Return the least rise of a response in EDA `x` (T,), in the signal's unit."""
    if unit in MICROSIEMENS:
        return LEAST_US
    low, high = np.quantile(x, [0.05, 0.95])
    return max(0.01 * float(high - low), 1e-30)


def _compute_parts(rows: np.ndarray, rate: float) -> np.ndarray:
    """Return (k, 18) values from `rows` (k, 3, length): the signal, its phasic and its tonic part."""
    x, phasic, tonic = rows[:, 0], rows[:, 1], rows[:, 2]
    low, high = x.min(-1), x.max(-1)
    kurtosis, skewness = compute_shape(x)
    ratio = np.divide(high, low, out=np.full_like(high, np.nan), where=low != 0)
    columns = [high, low, x.mean(-1), x.std(-1, ddof=1), kurtosis, skewness]
    columns += [np.median(x, -1), ratio, fit_slope(tonic, rate)]
    for part in (phasic, tonic):
        columns += [part.max(-1), part.min(-1), part.mean(-1), part.std(-1, ddof=1)]
    return np.stack([*columns, np.abs(phasic).sum(-1) / rate], -1)


def _count_responses(amplitude: np.ndarray, recovery_s: np.ndarray, minutes: float) -> list[float]:
    if not len(amplitude):  # without responses the mean amplitude is unknown; the rates per minute are 0
        return [0.0, np.nan, np.nan, np.nan, 0.0, 0.0]
    return [
        len(amplitude) / minutes, amplitude.mean(), amplitude.max(), recovery_s.mean(),
        amplitude.sum() / minutes, recovery_s.sum() / minutes,
    ]  # fmt: skip


# Values of a face (list of the StressID code): the means of all columns of action units and gaze, then their SDs.
#
# OpenFace 2's 17 intensities, 17 presences and 8 gaze values make 84.

FACE_STATISTICS = ("mean", "sd")


def compute_face(x: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 2 C) from the columns `x` (C, T): C means, then C SDs."""

    def compute(rows: np.ndarray) -> np.ndarray:
        return np.stack([rows.mean(-1), rows.std(-1, ddof=1)], 1)

    return spans.rows(x, compute, len(x) * len(FACE_STATISTICS))


# Values of signals for which the papers have no list (ours): five statistics of each channel, the breathing rate, and
# the differential entropy of EEG bands.

STATISTICS = ("mean", "sd", "min", "max", "slope")
BREATHS = ("breaths_per_minute",)
EEG_BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 31.0), "gamma": (31.0, 45.0)}


def compute_statistics(x: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 5 C) statistics of `x` (C, T), channel by channel."""

    def compute(rows: np.ndarray) -> np.ndarray:
        columns = [rows.mean(-1), rows.std(-1, ddof=1), rows.min(-1), rows.max(-1), fit_slope(rows, spans.rate)]
        return np.stack(columns, -1)

    return spans.rows(x, compute, len(x) * len(STATISTICS))


def compute_breathing(x: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 1) breaths per minute of a belt `x` (T,), from the mean distance of its peaks; NaN below two peaks."""
    slow = x - x.mean()
    peak = sps.find_peaks(slow, distance=max(1, int(spans.rate)), prominence=max(0.5 * slow.std(), 1e-12))[0]
    out = np.full((len(spans), 1), np.nan)
    for row, inside in enumerate(spans.inside(peak)):
        if len(breaths := peak[inside]) >= 2:
            out[row] = 60.0 * spans.rate * (len(breaths) - 1) / (breaths[-1] - breaths[0])
    return out


def compute_entropies(x: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 4 C) differential entropies, in nats, of the bands of each channel."""

    def compute(rows: np.ndarray) -> np.ndarray:
        return differential_entropy(rows, spans.rate, list(EEG_BANDS.values()))

    return spans.rows(x, compute, len(x) * len(EEG_BANDS))
