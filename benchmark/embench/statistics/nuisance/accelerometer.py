"""Accelerometer features of each unit: size and jerk of movement, posture, power in bands, orientation, and outputs of
random convolutions of its samples. Offsets of logarithms are for samples in g."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from embench.data.cohort import Cohort
from embench.files import digest, sha256
from embench.store.kept import kept
from embench.system import version_of

BANDS_HZ = (0.05, 0.4, 1.0, 3.0, 6.0, 10.0, 16.1)
CONVOLUTIONS = 400
SAMPLES = 160
"""Approximate number of samples in the window of a random convolution."""
UNITS_AT_ONCE = 256
"""Most windows whose features are computed together, for the sake of memory."""


@dataclass(frozen=True)
class Movement:
    """Features (n, k) of the accelerometer in each unit, NaN where it is missing.

    Args:
        size: mean, SD (log), jerk (log), median change (log), SD and range of the acceleration's size.
        posture: mean of each axis. `axis_sd`: its SD (log).
        bands: power (log) in `BANDS_HZ`, of all axes together, then of each axis. `shape`: spectral centroid and
            entropy, kurtosis, skewness and zero crossings of the acceleration's size.
        direction: (n, C) that of gravity, of length 1. `turn`: (n, 1) by how much it changes within the unit.
        convolved: what random convolutions find.
    """

    size: np.ndarray
    posture: np.ndarray
    axis_sd: np.ndarray
    bands: np.ndarray
    shape: np.ndarray
    direction: np.ndarray
    turn: np.ndarray
    convolved: np.ndarray


def movement_of(windows: np.ndarray, rate: float, convolutions: int = CONVOLUTIONS) -> Movement:
    """The features of `windows` (n, C, T), in g at `rate` Hz; of one that is all NaN they are NaN."""
    some = np.array_split(windows, -(-len(windows) // UNITS_AT_ONCE) or 1)
    parts = [_movement_of(part.astype(np.float64), rate, convolutions) for part in some]
    names = [each.name for each in fields(Movement)]
    return Movement(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _movement_of(x: np.ndarray, rate: float, convolutions: int) -> Movement:
    size = np.linalg.norm(x, axis=1)
    change, spread = np.abs(np.diff(size, axis=1)), size.std(1)
    jerk = np.abs(np.diff(x, axis=2)).mean((1, 2))
    around = size - size.mean(1, keepdims=True)
    variance = (around**2).mean(1)
    bands, total, frequencies = _spectrum(x, rate)
    share = total / total.sum(1, keepdims=True)
    crossings = (np.diff(np.sign(around), axis=1) != 0).mean(1) + np.where(np.isnan(variance), np.nan, 0.0)
    mean = x.mean(2)
    half = x.shape[2] // 2
    return Movement(
        size=np.stack(
            [
                size.mean(1),
                np.log(spread + 1e-3),
                np.log(jerk + 1e-3),
                np.log(np.median(change, axis=1) + 1e-3),
                spread,
                np.ptp(size, axis=1),
            ],
            axis=1,
        ),
        posture=mean,
        axis_sd=np.log(x.std(2) + 1e-3),
        bands=bands,
        shape=np.stack(
            [
                (total * frequencies).sum(1) / total.sum(1),
                -(share * np.log(share)).sum(1),
                (around**4).mean(1) / (variance**2 + 1e-9),
                (around**3).mean(1) / (variance**1.5 + 1e-6),
                crossings,
            ],
            axis=1,
        ),
        direction=mean / (np.linalg.norm(mean, axis=1, keepdims=True) + 1e-6),
        turn=np.linalg.norm(x[:, :, :half].mean(2) - x[:, :, half:].mean(2), axis=1, keepdims=True),
        convolved=_convolved(x, convolutions),
    )


def _spectrum(x: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power (log) in bands (n, B (1 + C)), power at each frequency (n, F), and the frequencies (F,) in Hz."""
    power = np.abs(np.fft.rfft(x - x.mean(2, keepdims=True), axis=2)) ** 2
    frequencies = np.fft.rfftfreq(x.shape[2], 1 / rate)
    all_axes, each_axis = [], []
    for low, high in pairwise(BANDS_HZ):
        band = power[:, :, (frequencies >= low) & (frequencies < high)].sum(2)
        all_axes.append(np.log(band.sum(1, keepdims=True) + 1e-4))
        each_axis.append(np.log(band + 1e-4))
    return np.hstack([*all_axes, *each_axis]), power.sum(1) + 1e-9, frequencies


def _convolved(x: np.ndarray, kernels: int) -> np.ndarray:
    """(n, 2 K) of each of K random kernels, the share of samples above its bias, and the largest value (log), after
    Dempster et al. 2020 (doi 10.1007/s10618-020-00701-z). They are the same for all data."""
    random = np.random.default_rng(0)
    x = x[:, :, :: max(1, x.shape[2] // SAMPLES)]
    # Samples lie in rows, so that what a kernel adds up is one piece of memory.
    centred = np.ascontiguousarray(((x - x.mean(2, keepdims=True)) / 0.1).astype(np.float32).transpose(1, 2, 0))
    samples = x.shape[2]
    found = np.empty((2 * kernels, len(x)), np.float32)
    made, product = np.empty((2, samples, len(x)), np.float32)
    for k in range(kernels):
        taps = int(random.choice([7, 9, 11]))
        dilation = int(2 ** random.uniform(0, max(0.0, np.log2((samples - 1) / (taps - 1)))))
        axis = random.integers(x.shape[1])
        weights = random.standard_normal(taps)
        weights = (weights - weights.mean()).astype(np.float32)
        bias = np.float32(random.uniform(-0.3, 0.3))
        left = max(1, samples - dilation * (taps - 1))
        total, part = made[:left], product[:left]
        total[:] = 0
        for j, weight in enumerate(weights):
            total += np.multiply(centred[axis, j * dilation : j * dilation + left], weight, out=part)
        total -= bias
        found[2 * k] = np.where(np.isnan(total[0]), np.nan, np.add.reduce(total > 0, axis=0, dtype=np.uint16) / left)
        found[2 * k + 1] = np.log1p(np.maximum(total.max(0), 0))
    return np.ascontiguousarray(found.T)


def windows_of(cohort: Cohort, modality: str, units: np.ndarray, channel: int | None = None) -> np.ndarray:
    """(n, C, T) the samples of a modality in each of the cohort's `units` (n,) positions, of the length of most; short
    ones repeat their last sample, and what is missing is NaN. With `channel`, a position, of this one alone."""
    array = cohort.store.array(modality)
    if channel is not None:
        array = array[channel : channel + 1]
    cuts = list(_cuts(cohort, modality, units))
    samples = max(2, round(float(np.median([cut.stop - cut.start for cut in cuts if cut.stop > cut.start] or [2]))))
    out = np.full((len(units), len(array), samples), np.nan, np.float32)
    for row, cut in zip(out, cuts, strict=True):
        part = array[:, cut][:, :samples]
        if part.shape[1]:
            row[:, : part.shape[1]] = part
            row[:, part.shape[1] :] = part[:, -1:]
    return out


def _cuts(cohort: Cohort, modality: str, units: np.ndarray) -> Iterator[slice]:
    """The positions of each unit's samples, empty where there are none."""
    rate = cohort.store.modalities[modality].rate
    for i in units.tolist():
        unit = cohort.units[i]
        span = cohort.store.recording(unit.recording).spans.get(modality)
        yield span.cut(unit.start, unit.stop, rate) if span else slice(0, 0)


def movement_features(cohort: Cohort) -> np.ndarray | None:
    """(units, 3 C) mean, SD and range of each axis in each of the cohort's units, NaN where it is missing: what the
    control `movement` reads. None where there is no accelerometer."""
    if "acc" not in cohort.store.modalities:
        return None
    where = {name: digest(array) for name, array in cohort.arrays(range(len(cohort.units))).items()}
    key = ["movement", sha256(Path(__file__)), version_of("numpy"), where]
    return kept(cohort.store, key, lambda: _movement_features(cohort))


def _movement_features(cohort: Cohort) -> np.ndarray:
    array, entry = cohort.store.array("acc"), cohort.store.modalities["acc"]
    table = np.full((len(cohort.units), 3 * len(entry.channels)), np.nan)
    for row, cut in zip(table, _cuts(cohort, "acc", np.arange(len(table))), strict=True):
        part = array[:, cut]
        if part.shape[1]:
            row[:] = np.concatenate([part.mean(1), part.std(1), np.ptp(part, axis=1)])
    return table
