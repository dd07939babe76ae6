"""Encoder `differential_entropy`: the features of the authors of FACED, for their baseline.

Chen et al. 2023 (`chen2023`): of each second and channel, the differential entropy of a Gaussian with the variance v of
each of five bands, ln(2 pi e v) / 2 (Duan et al. 2013, `duan2013`), smoothed along time by a linear dynamical system
(Shi and Lu 2010, `shi2010`) with the constants of the authors' code. Bands are cut by linear-phase filters as that code
designs them; a unit longer than a second has the mean of its seconds.

Not followed: the running normalisation of a session in the order of play, since it needs other recordings; features are
z-scored for each subject by the protocol. That code also runs the smoothing, which remembers about 100 s, through all
clips of a person in the order of their numbers, which is that of their emotions: of a test subject, too, each clip is
mixed with others of its class. Here it sees one recording only, all of it and not its last 30 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from scipy import signal as sps

from embench.errors import UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench_plugins.encoders.features.spans import Spans
from embench_plugins.encoders.handcrafted import Handcrafted

BANDS = {
    "delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 30.0), "gamma": (30.0, 47.0),
}  # fmt: skip
SECOND_S = 1.0
ROUNDED_S = 0.02
"""A span may be so much shorter than its seconds: its ends, and the recording's, are rounded to samples."""
FIRST_VARIANCE, DRIFT, NOISE = 0.01, 1e-4, 1.0
"""Variances of the smoothed value before the first second, of its change in a second, and of what is measured around
it. Only their ratios matter."""


class DifferentialEntropy(Handcrafted):
    """The features are the same in every preset; a recipe's rest trains the one Linear that makes them a token, as with
    `handcrafted`."""

    accepts: ClassVar = frozenset({"eeg"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        preset: replace(recipe, prepare={}) for preset, recipe in Handcrafted.recipes.items()
    }

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, C * 5) float32 in nats, channel by channel: means over the whole seconds of each span, which are counted
        back from its end. NaN where a span has no whole second, a channel is flat, or the rate cannot hold a band.

        The smoothing starts at the recording's first second of the same grid, whatever other spans there are.
        """
        x = np.asarray(signal.data, np.float64)
        where, second = Spans.of(spans, signal.rate, x.shape[1]), round(SECOND_S * signal.rate)
        bands = np.stack([_passed(x, signal.rate, *edges) for edges in BANDS.values()], 1)
        out = np.full((len(where), len(x) * len(BANDS)), np.nan, np.float32)
        first_sample = where.stop % second
        for offset in np.unique(first_sample):
            rows = np.flatnonzero(first_sample == offset)
            values = smoothed(_entropies(bands[..., offset:], second))
            last = (where.stop[rows] - offset) // second
            count = (where.stop[rows] - where.start[rows] + round(ROUNDED_S * signal.rate)) // second
            for row, stop, n in zip(rows, last, np.minimum(count, last), strict=True):
                if n > 0:
                    out[row] = values[stop - n : stop].mean(0)
        return out

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """(F,) names in the order of a feature row. Raises UsageError where there are no features of this modality."""
        if modality not in self.accepts:
            raise UsageError(f"differential_entropy has no features of {modality!r}", expected="eeg")
        return tuple(f"{c}_{band}" for c in channels for band in BANDS)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Each feature of `values` (seconds, F) through a Kalman filter: it drifts as a random walk, and is measured with
    noise. It starts at the mean of the feature, sees no later second, and skips seconds that are NaN, which stay NaN.

    >>> smoothed(np.array([[2.0], [2.0], [np.nan]])).ravel()
    array([ 2.,  2., nan])
    """
    known = np.isfinite(values)
    state = np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    variance = np.full(values.shape[1], FIRST_VARIANCE)
    out = np.full(values.shape, np.nan)
    for second, there in enumerate(known):
        gain = np.where(there, variance / (variance + NOISE), 0.0)
        state = state + gain * np.where(there, values[second] - state, 0.0)
        variance = (1.0 - gain) * variance + DRIFT
        out[second] = np.where(there, state, np.nan)
    return out


def _entropies(bands: np.ndarray, second: int) -> np.ndarray:
    """(seconds, C * bands) of the signals `bands` (C, bands, T), whose seconds have `second` samples each."""
    whole = bands.shape[-1] // second
    variance = bands[..., : whole * second].reshape(*bands.shape[:2], whole, second).var(-1)
    entropy = 0.5 * np.log(2 * np.pi * np.e * np.where(variance > 0, variance, np.nan))
    return np.moveaxis(entropy, -1, 0).reshape(whole, -1)


def _passed(x: np.ndarray, rate: float, low: float, high: float) -> np.ndarray:
    """`x` (C, T) between two edges in Hz, without delay; zeros where the rate cannot hold the band.

    The filter is as MNE-Python makes one by default: a Hamming window, transitions of a quarter of an edge (2 Hz at
    least, but not beyond 0 Hz and half the rate), and 3.3 / (the narrower transition) long.
    """
    nyquist = rate / 2
    if high >= nyquist:
        return np.zeros_like(x)
    below, above = min(max(low / 4, 2.0), low), min(max(high / 4, 2.0), nyquist - high)
    half = round(3.3 / min(below, above) * rate / 2)
    corners = [low - below, low, high, high + above]
    edges = np.unique([0.0, *corners, nyquist])
    taps = sps.firwin2(2 * half + 1, edges, np.interp(edges, corners, [0.0, 1.0, 1.0, 0.0]), fs=rate)
    wide = np.pad(x - x.mean(-1, keepdims=True), ((0, 0), (half, half)), mode="reflect", reflect_type="odd")
    return np.asarray(sps.oaconvolve(wide, taps[None], mode="valid", axes=-1))
