"""Encoder `amigos_features`: the features of the AMIGOS authors' baseline.

Miranda-Correa et al. 2021 (`mirandacorrea2021`), whose list goes back to that of DEAP: 77 values of each ECG channel,
31 of EDA, five band powers of each EEG channel and the asymmetry of each pair of channels (105 for 14 channels). The
kinds and numbers of features follow the paper. Ours are the detection of beats, the segments of spectra, the edges of
bands and the ratio that completes the 77.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy import signal as sps

from embench.errors import UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.signals.beats import ecg_peaks, intervals
from embench.signals.spectra import band_powers
from embench_plugins.encoders.features.lists import compute_shape
from embench_plugins.encoders.features.spans import Spans
from embench_plugins.encoders.handcrafted import Handcrafted, make_recipes

PAIRS = (("AF3", "AF4"), ("F7", "F8"), ("F3", "F4"), ("FC5", "FC6"), ("T7", "T8"), ("P7", "P8"), ("O1", "O2"))
BANDS = {
    "theta": (4.0, 8.0), "slow_alpha": (8.0, 10.0), "alpha": (8.0, 12.0), "beta": (12.0, 30.0), "gamma": (30.0, 45.0),
}  # fmt: skip
ECG_BANDS = [(k / 10, (k + 1) / 10) for k in range(60)]
SKIN_BANDS = [(k * 2.4 / 21, (k + 1) * 2.4 / 21) for k in range(21)]
HRV_BANDS = {"low": (0.01, 0.08), "medium": (0.08, 0.15), "high": (0.15, 0.5)}
SERIES_HZ, LEAST_BEATS = 4.0, 4
MOMENTS = ("mean", "sd", "skewness", "kurtosis", "above", "below")
ECG = (
    "ibi_rms", *(f"ibi_{name}" for name in MOMENTS), *(f"hr_{name}" for name in MOMENTS),
    *(f"hrv_{name}" for name in HRV_BANDS), "hrv_low_high", *(f"power_{low:.1f}" for low, _ in ECG_BANDS),
)  # fmt: skip
SKIN = (
    "resistance", "slope", "falling_slope", "falling_share", "minima", "rise_s",
    *(f"power_{k}" for k in range(len(SKIN_BANDS))),
    "slow_crossings", "very_slow_crossings", "slow_peak", "very_slow_peak",
)  # fmt: skip


class AmigosFeatures(Handcrafted):
    """All presets have the same features. The rest of a recipe trains the linear layer from features to a token."""

    accepts: ClassVar = frozenset({"eeg", "ecg", "eda"})
    recipes: ClassVar[Mapping[str, Recipe]] = make_recipes()

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, F) float32, see `feature_names`. All features of a span with lost samples are NaN."""
        x = np.asarray(signal.data, np.float64)
        lost = np.asarray(~np.isfinite(x).all(0))
        where = Spans.from_seconds(spans, signal.rate, x.shape[1])
        x = np.where(lost, 0.0, x)
        if signal.modality == "eeg":
            width = (len(signal.channels) + len(_find_pairs(signal.channels))) * len(BANDS)
            values = where.rows(x, lambda rows: _compute_brain(rows, where.rate, signal.channels), width)
        elif signal.modality == "ecg":
            values = np.concatenate([_compute_heart(lead, where) for lead in x], 1)
        else:
            values = np.concatenate([_compute_skin(lead, where) for lead in x], 1)
        values[where.contain(lost)] = np.nan
        values[~np.isfinite(values)] = np.nan
        return values.astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return (F,) names in the order of a feature row. Raises UsageError for a modality without features."""
        if modality == "eeg":
            pairs = (f"{left}-{right}" for left, right in _find_pairs(channels))
            return tuple(f"{name}_{band}" for name in (*channels, *pairs) for band in BANDS)
        if modality not in self.accepts:
            raise UsageError(
                f"amigos_features has no list for {modality!r}", expected=f"one of {', '.join(sorted(self.accepts))}"
            )
        return tuple(f"{c}_{name}" for c in channels for name in (ECG if modality == "ecg" else SKIN))


def _find_pairs(channels: tuple[str, ...]) -> list[tuple[str, str]]:
    return [pair for pair in PAIRS if set(pair) <= set(channels)]


def _compute_brain(rows: np.ndarray, rate: float, channels: tuple[str, ...]) -> np.ndarray:
    """Return (k, F) logarithms of the band powers of `rows` (k, C, length), then left minus right of each pair of
    channels."""
    power = np.stack([band_powers(row, rate, list(BANDS.values())) for row in rows])
    log = np.log(np.where(power > 0, power, np.nan))
    positions = [[channels.index(name) for name in pair] for pair in _find_pairs(channels)]
    sides = [log[:, left] - log[:, right] for left, right in positions]
    return np.concatenate([log.reshape(len(rows), -1), *sides], 1)


def _compute_heart(lead: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 77) values of one ECG channel (T,): of its intervals between beats, and its spectrum up to 6 Hz."""
    ends, ibi = intervals(ecg_peaks(lead, spans.rate), spans.rate)
    beats = np.full((len(spans), len(ECG) - len(ECG_BANDS)), np.nan)
    for row, inside in enumerate(spans.enclosed(ends - ibi, ends)):
        if len(ibi[inside]) >= LEAST_BEATS:
            beats[row] = _compute_beats(ends[inside], ibi[inside])
    spectrum = spans.rows(lead, lambda rows: band_powers(rows, spans.rate, ECG_BANDS, segment_s=20.0), len(ECG_BANDS))
    return np.concatenate([beats, spectrum], 1)


def _compute_beats(times: np.ndarray, ibi: np.ndarray) -> np.ndarray:
    grid = np.arange(times[0], times[-1], 1 / SERIES_HZ)
    powers = np.full(len(HRV_BANDS), np.nan)
    if len(grid) >= 8:
        series = np.interp(grid, times, ibi)
        powers = band_powers(
            (series - series.mean())[None], SERIES_HZ, list(HRV_BANDS.values()), segment_s=len(grid) / SERIES_HZ
        )[0]
    ratio = powers[0] / powers[2] if powers[2] else np.nan
    return np.array([np.sqrt(np.mean(ibi**2)), *_compute_moments(ibi), *_compute_moments(60.0 / ibi), *powers, ratio])


def _compute_moments(values: np.ndarray) -> list[float]:
    kurtosis, skewness = compute_shape(values)
    mean, sd = values.mean(), values.std(ddof=1)
    return [mean, sd, skewness, kurtosis, np.mean(values > mean + sd), np.mean(values < mean - sd)]


def _compute_skin(lead: np.ndarray, spans: Spans) -> np.ndarray:
    """Return (n, 31) values of one channel of EDA (T,), in any unit."""
    slow, very_slow, smooth = (_filter_low(lead, spans.rate, hz) for hz in (0.2, 0.08, 0.5))

    def compute(rows: np.ndarray) -> np.ndarray:
        x, rate = rows[:, 0], spans.rate
        slope = np.diff(x, axis=-1) * rate
        falls = slope < 0
        falling = np.where(falls, slope, 0.0).sum(-1) / np.maximum(falls.sum(-1), 1)
        rises = np.diff(rows[:, 3], axis=-1) > 0
        tops = np.maximum((rises[:, :-1] & ~rises[:, 1:]).sum(-1), 1)
        minima = (~rises[:, :-1] & rises[:, 1:]).sum(-1)
        resistance = np.mean(1.0 / np.where(np.abs(x) > 1e-9, x, np.nan), axis=-1)
        powers = band_powers(x, rate, SKIN_BANDS, segment_s=20.0)
        crossings, peaks = zip(*(_measure_swings(rows[:, i], rate) for i in (1, 2)), strict=True)
        shape = [resistance, slope.mean(-1), falling, falls.mean(-1), minima, rises.sum(-1) / rate / tops]
        return np.concatenate([np.stack(shape, 1), powers, np.stack([*crossings, *peaks], 1)], 1)

    return spans.rows(np.stack([lead, slow, very_slow, smooth]), compute, len(SKIN))


def _filter_low(x: np.ndarray, rate: float, hz: float) -> np.ndarray:
    """Return `x` (T,) low-passed at `hz`, forward and backward."""
    if len(x) < 3 * rate:  # shorter than the filter's own tails
        return x - x.mean()
    return np.asarray(sps.sosfiltfilt(sps.butter(2, hz, fs=rate, output="sos"), x))


def _measure_swings(x: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return zero crossings per second of detrended rows (k, length), and the mean peak height between crossings."""
    detrended = sps.detrend(x, axis=-1)
    crosses = np.diff(np.signbit(detrended), axis=-1)
    heights = [
        np.maximum.reduceat(np.abs(row), [0, *(np.flatnonzero(c) + 1)]).mean()
        for row, c in zip(detrended, crosses, strict=True)
    ]
    return crosses.mean(-1) * rate, np.array(heights)
