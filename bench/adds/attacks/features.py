"""Features of attacks: columns (n,) of a study's units from the accelerometer, and functions that make new columns of
them within each subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np

from bench.adds.attacks.fitting import log_odds
from bench.adds.study import Study

RATE = 32.0
"""Hz, to which the accelerometer is brought: that of the wristband."""
Columns = Mapping[str, np.ndarray]


# Within a subject


def per_subject(study: Study, values: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Values (..., n) changed subject by subject, in order of time along the last axis."""
    made = np.empty(np.shape(values))
    for own in study.order:
        made[..., own] = change(np.asarray(values, float)[..., own])
    return made


def z(study: Study, values: np.ndarray) -> np.ndarray:
    """Values (..., n) with mean 0 and SD 1 in each subject; what is not finite is 0."""

    def scaled(x: np.ndarray) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-9)

    return per_subject(study, np.nan_to_num(np.asarray(values, float)), scaled)


def smooth(study: Study, values: np.ndarray, back: int, ahead: int | None = None) -> np.ndarray:
    """Values (..., n) averaged over `back` units before and `ahead` units after each, as many by default."""
    ahead = back if ahead is None else ahead

    def mean(x: np.ndarray) -> np.ndarray:
        n = x.shape[-1]
        total = np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(x, -1)], -1)
        low, high = np.maximum(np.arange(n) - back, 0), np.minimum(np.arange(n) + ahead + 1, n)
        return (total[..., high] - total[..., low]) / (high - low)

    return per_subject(study, values, mean)


def rolling(
    study: Study, values: np.ndarray, back: int, ahead: int, summary: Callable[[np.ndarray], float]
) -> np.ndarray:
    """Values (..., n) replaced by a summary of those around."""

    def summed(x: np.ndarray) -> np.ndarray:
        n = x.shape[-1]
        parts = [x[..., max(i - back, 0) : i + ahead + 1] for i in range(n)]
        return np.stack([np.apply_along_axis(summary, -1, part) for part in parts], -1)

    return per_subject(study, values, summed)


def ranks(study: Study, values: np.ndarray) -> np.ndarray:
    """Values (..., n) replaced by their rank within the subject, from 0 to 1."""
    return per_subject(study, values, lambda x: x.argsort(-1).argsort(-1) / x.shape[-1])


def table(study: Study, columns: Columns, *, raw: bool = False) -> np.ndarray:
    """(n, f) of columns, normalised within each subject and cut at 4 SD, or in their own units."""
    stacked = np.nan_to_num(np.stack(list(columns.values())))
    return (stacked if raw else np.clip(z(study, stacked), -4, 4)).T


def context(study: Study, values: np.ndarray, *widths: int) -> np.ndarray:
    """A table (n, f) beside its averages over this many units on either side of each."""
    return np.hstack([values, *(smooth(study, values.T, width).T for width in widths)])


def lagged(study: Study, values: np.ndarray, reach: int, step: int = 2) -> np.ndarray:
    """(n, lags) values of a column up to `reach` units earlier and later; its ends are repeated."""

    def moved(x: np.ndarray, lag: int) -> np.ndarray:
        return x[np.clip(np.arange(len(x)) - lag, 0, len(x) - 1)]

    return np.stack([per_subject(study, values, partial(moved, lag=lag)) for lag in range(-reach, reach + 1, step)], 1)


# Of the accelerometer


@cache
def accelerations(study: Study) -> np.ndarray:
    """(n, 3, T) in g at the wristband's own rate."""
    samples = study.windows("acc")
    n, axes, length = samples.shape
    step = round(length / (study.length_s * RATE))
    return samples[:, :, : length // step * step].reshape(n, axes, -1, step).mean(-1)


@cache
def _centred(study: Study) -> np.ndarray:
    """(n, T) the magnitude without its mean."""
    size = np.linalg.norm(accelerations(study), axis=1)
    return size - size.mean(-1, keepdims=True)


@cache
def size(study: Study) -> Columns:
    """Amount of movement and position of the wrist."""
    x = accelerations(study)
    magnitude = np.linalg.norm(x, axis=1)
    steps = np.abs(np.diff(x, axis=-1))
    return {
        "mean": magnitude.mean(-1),
        "log_sd": np.log(magnitude.std(-1) + 1e-3),
        "sd": magnitude.std(-1),
        "range": np.log(np.ptp(magnitude, axis=-1) + 1e-3),
        "jerk": np.log(steps.mean((1, 2)) + 1e-3),
        "median_step": np.log(np.median(np.abs(np.diff(magnitude, axis=-1)), -1) + 1e-3),
        **{f"mean_{axis}": x[:, k].mean(-1) for k, axis in enumerate("xyz")},
        **{f"log_sd_{axis}": np.log(x[:, k].std(-1) + 1e-3) for k, axis in enumerate("xyz")},
    }


BANDS = ((0.05, 0.4), (0.4, 1), (1, 3), (3, 6), (6, 10), (10, 16.1))


@cache
def spectrum(study: Study) -> Columns:
    """Spectrum of the wrist's movement, and the shape of its distribution."""
    x = accelerations(study)
    power = np.abs(np.fft.rfft(x - x.mean(-1, keepdims=True), axis=-1)) ** 2
    hz = np.fft.rfftfreq(x.shape[-1], 1 / RATE)
    total = power.sum(1) + 1e-9
    share = total / total.sum(-1, keepdims=True)
    made = {
        f"power_{low:g}_{axis}": np.log(power[:, k][:, (hz >= low) & (hz < high)].sum(-1) + 1e-4)
        for low, high in BANDS
        for k, axis in enumerate("xyz")
    }
    m = _centred(study)
    variance = (m**2).mean(-1) + 1e-9
    return {
        **made,
        "centroid": share @ hz,
        "entropy": -(share * np.log(share)).sum(-1),
        "kurtosis": np.log1p((m**4).mean(-1) / variance**2),
        "skewness": (m**3).mean(-1) / variance**1.5,
        "crossings": (np.diff(np.sign(m), axis=-1) != 0).mean(-1),
    }


@cache
def position(study: Study) -> Columns:
    """Position of the wrist, and its change inside the unit."""
    x = accelerations(study)
    down = gravity(study)
    halves = x[:, :, : x.shape[-1] // 2].mean(-1) - x[:, :, x.shape[-1] // 2 :].mean(-1)
    return {
        "pitch": np.arcsin(np.clip(down[:, 0], -1, 1)),
        "roll": np.arctan2(down[:, 1], down[:, 2]),
        "turn": np.log(np.linalg.norm(halves, axis=1) + 1e-3),
    }


@cache
def gravity(study: Study) -> np.ndarray:
    """(n, 3) the direction of the mean acceleration."""
    mean = accelerations(study).mean(-1)
    return mean / (np.linalg.norm(mean, axis=1, keepdims=True) + 1e-6)


AGO = (1, 3, 6, 12)
"""Units."""


@cache
def turns(study: Study) -> Columns:
    """The angles between the wrist's position now and some units ago."""
    down = gravity(study).T

    def angles(x: np.ndarray) -> np.ndarray:
        before = [x[:, np.maximum(np.arange(x.shape[1]) - ago, 0)] for ago in AGO]
        return np.stack([np.arccos(np.clip((x * b).sum(0), -1, 1)) for b in before])

    made = np.empty((len(AGO), len(study.y)))
    for own in study.order:
        made[:, own] = angles(down[:, own])
    return {f"angle_{ago}": made[k] for k, ago in enumerate(AGO)}


# Scores of controls


def control(study: Study, name: str) -> np.ndarray:
    """(S, n) log odds of a published control."""
    return log_odds(study.controls[name])


def clock(study: Study) -> np.ndarray:
    """(n, 4) time since the start and to the end in s, their share, and the session's length."""
    t, whole = study.start, study.session_s[study.subject]
    return np.stack([t, t / whole, whole - t, whole], 1)
