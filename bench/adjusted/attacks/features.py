"""Features of attacks: columns (n,) of a study's units from the accelerometer, and functions that make new columns of
them within each subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from bench.adjusted.study import Study

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


def table(study: Study, columns: Columns, *, raw: bool = False) -> np.ndarray:
    """(n, f) of columns, normalised within each subject and cut at 4 SD, or in their own units."""
    stacked = np.nan_to_num(np.stack(list(columns.values())))
    return (stacked if raw else np.clip(z(study, stacked), -4, 4)).T


# Of the accelerometer


@cache
def accelerations(study: Study) -> np.ndarray:
    """(n, 3, T) in g at the wristband's own rate."""
    samples = study.windows("acc")
    n, axes, length = samples.shape
    step = round(length / (study.length_s * RATE))
    return samples[:, :, : length // step * step].reshape(n, axes, -1, step).mean(-1)


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
