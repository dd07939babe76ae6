"""Encoder `differential_entropy`: the features of the FACED authors' baseline.

Chen et al. 2023 (`chen2023`): for each second and channel, the differential entropy ln(2 pi e v) / 2 of a Gaussian with
the variance v of each of five bands (Duan et al. 2013, `duan2013`), smoothed in time by a linear dynamical system (Shi
and Lu 2010, `shi2010`) with the constants of the authors' code. A unit longer than a second has the mean of its
seconds.

Not followed: the running normalisation of a session in the order of play, since it needs other recordings. The protocol
z-scores features for each subject instead. The published smoothing, which remembers about 100 s, runs through all clips
of a subject in the order of their numbers, which is that of their emotions. Each clip is thereby mixed with others of
its class, for test subjects too. Here it sees one recording only, all of it and not its last 30 s. Bands are cut by
zero-phase Butterworth filters, in that code by linear-phase ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.signals.filters import bandpass
from embench_plugins.encoders.features.spans import Spans
from embench_plugins.encoders.handcrafted import Handcrafted, check_modality, make_recipes

BANDS = {
    "delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 30.0), "gamma": (30.0, 47.0),
}  # fmt: skip
ORDER = 4
ROUNDED_S = 0.02
"""A span may be this much shorter than whole seconds, since its ends are rounded to samples."""
FIRST_VARIANCE, DRIFT, NOISE = 0.01, 1e-4, 1.0
"""Variances of the smoothed value before the first second, of its change in a second, and of the noise of a
measurement. Only their ratios matter."""


class DifferentialEntropy(Handcrafted):
    """All presets have the same features. The rest of a recipe trains the linear layer from features to a token."""

    accepts: ClassVar = frozenset({"eeg"})
    recipes: ClassVar[Mapping[str, Recipe]] = make_recipes()

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, C * 5) float32 in nats, channel by channel: means over the whole seconds of each span, counted
        back from its end. NaN if a span has no whole second, a channel is constant, or the rate is too low for a band.

        The smoothing starts at the recording's first whole second on this grid, so the other spans have no influence.
        """
        where, second = Spans.from_seconds(spans, signal.rate, signal.data.shape[1]), round(signal.rate)
        bands = _split_bands(signal.data, signal.rate)
        out = np.full((len(where), bands.shape[0] * bands.shape[1]), np.nan, np.float32)
        offsets = where.stop % second
        for offset in np.unique(offsets):
            rows = np.flatnonzero(offsets == offset)
            values = smooth(_compute_entropies(bands[..., offset:], second))
            last = (where.stop[rows] - offset) // second
            count = (where.stop[rows] - where.start[rows] + round(ROUNDED_S * signal.rate)) // second
            for row, stop, n in zip(rows, last, np.minimum(count, last), strict=True):
                if n > 0:
                    out[row] = values[stop - n : stop].mean(0)
        return out

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return (F,) names in the order of a feature row. Raises UsageError for a modality without features."""
        check_modality("differential_entropy", modality, self.accepts)
        return tuple(f"{c}_{band}" for c in channels for band in BANDS)


def smooth(values: np.ndarray) -> np.ndarray:
    """Return each feature of `values` (seconds, F) after a Kalman filter: a random walk, measured with noise. It starts
    at the feature's mean over all seconds and runs forward. Seconds that are NaN are skipped and stay NaN.

    >>> smooth(np.array([[2.0], [2.0], [np.nan]])).ravel()
    array([ 2.,  2., nan])
    """
    known = np.isfinite(values)
    state = np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    variance = np.full(values.shape[1], FIRST_VARIANCE)
    out = np.full(values.shape, np.nan)
    for second, is_known in enumerate(known):
        gain = np.where(is_known, variance / (variance + NOISE), 0.0)
        state = state + gain * np.where(is_known, values[second] - state, 0.0)
        variance = (1.0 - gain) * variance + DRIFT
        out[second] = np.where(is_known, state, np.nan)
    return out


def _compute_entropies(bands: np.ndarray, second: int) -> np.ndarray:
    """Return (seconds, C * bands) entropies of the signals `bands` (C, bands, T); a second has `second` samples."""
    whole = bands.shape[-1] // second
    variance = bands[..., : whole * second].reshape(*bands.shape[:2], whole, second).var(-1, dtype=np.float64)
    entropy = 0.5 * np.log(2 * np.pi * np.e * np.where(variance > 0, variance, np.nan))
    return np.moveaxis(entropy, -1, 0).reshape(whole, -1)


def _split_bands(x: np.ndarray, rate: float) -> np.ndarray:
    """Return (C, bands, T): `x` (C, T) filtered to each band, zeros if the rate is too low for a band."""
    passed = [bandpass(x, rate, edges, ORDER) if edges[1] < rate / 2 else np.zeros_like(x) for edges in BANDS.values()]
    return np.stack(passed, 1)
