"""Columns (n,) of one window of the accelerometer that other modules don't have: complexity, wavelets, rhythm."""

from __future__ import annotations

from functools import cache

import numpy as np

from bench.adds.attacks.features import RATE, Columns, accelerations
from bench.adds.study import Study


@cache
def shapes(study: Study) -> Columns:
    """All shape features, by name."""
    x = accelerations(study)
    m = np.linalg.norm(x, axis=1)
    m = m - m.mean(-1, keepdims=True)
    return {**_complexity(m), **_rhythm(m), **_wavelets(m), **_recursion(m), **_axes(x), **_levels(m)}


def _complexity(m: np.ndarray) -> Columns:
    """Permutation entropy of triples at two paces, Hjorth's parameters, and turning points."""
    made = {}
    for pace in (1, 4):
        a, b, c = m[:, : -2 * pace], m[:, pace:-pace], m[:, 2 * pace :]
        code = 4 * (a < b) + 2 * (b < c) + (a < c)
        share = np.stack([(code == k).mean(-1) for k in range(8)], 1) + 1e-9
        made[f"permutation_{pace}"] = -(share * np.log(share)).sum(-1)
    first, second = np.diff(m, axis=-1), np.diff(m, n=2, axis=-1)
    sizes = [part.std(-1) + 1e-6 for part in (m, first, second)]
    made["mobility"] = sizes[1] / sizes[0]
    made["complexity"] = sizes[2] / sizes[1] / made["mobility"]
    made["jerk_crossings"] = (np.diff(np.sign(second), axis=-1) != 0).mean(-1)
    made["turning"] = (np.diff(np.sign(first), axis=-1) != 0).mean(-1)
    return made


def _autocorrelation(m: np.ndarray, lags: int) -> np.ndarray:
    """(n, lags + 1) from lag 0 on."""
    total = (m**2).mean(-1) + 1e-9
    return np.stack([(m[:, lag:] * m[:, : m.shape[1] - lag]).mean(-1) / total for lag in range(lags + 1)], 1)


def _rhythm(m: np.ndarray) -> Columns:
    """Height and place of the highest peak of the autocorrelation between .25 and 2.5 s, and some of its values."""
    rho = _autocorrelation(m, round(2.5 * RATE))
    low = round(0.25 * RATE)
    late = rho[:, low:]
    made = {"peak": late.max(-1), "peak_at": (late.argmax(-1) + low) / RATE}
    return {**made, **{f"rho_{lag}": rho[:, lag] for lag in (1, 2, 4, 8, 16, 32, 64)}}


def _wavelets(m: np.ndarray) -> Columns:
    """Log energies of the details of a Haar transform, by scale."""
    made, rest = {}, m
    for scale in range(1, 6):
        even, odd = rest[:, 0 : rest.shape[1] // 2 * 2 : 2], rest[:, 1::2]
        made[f"haar_{scale}"] = np.log(((even - odd) ** 2).mean(-1) + 1e-6)
        rest = (even + odd) / np.sqrt(2)
    return made


def _recursion(m: np.ndarray) -> Columns:
    """Coefficients of an autoregression of order 4."""
    rho = _autocorrelation(m, 4)
    rows = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    solved = np.linalg.solve(rho[:, rows] + 1e-2 * np.eye(4), rho[:, 1:, None])[..., 0]
    return {f"ar_{k + 1}": solved[:, k] for k in range(4)}


def _axes(x: np.ndarray) -> Columns:
    """Common movement of the three axes, and the tilt of each."""
    c = x - x.mean(-1, keepdims=True)
    spread = np.einsum("nat,nbt->nab", c, c) / x.shape[-1] + 1e-6 * np.eye(3)
    strength = np.linalg.eigvalsh(spread)
    sd = np.sqrt(np.diagonal(spread, axis1=1, axis2=2))
    made = {"flat": strength[:, 0] / strength[:, 2], "line": strength[:, 2] / strength.sum(-1)}
    made |= {f"with_{a}{b}": spread[:, a, b] / (sd[:, a] * sd[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))}
    return made | {f"tilt_{a}": np.log(np.ptp(x[:, a, ::8], axis=-1) + 1e-3) for a in range(3)}


def _levels(m: np.ndarray) -> Columns:
    """Quantiles of the magnitude, how long it is still, and how much of the movement is in the liveliest second."""
    made = {f"quantile_{q:g}": np.quantile(m, q, axis=-1) for q in (0.05, 0.25, 0.75, 0.95)}
    made |= {f"above_{limit:g}": (np.abs(m) > limit).mean(-1) for limit in (0.02, 0.05, 0.1, 0.3)}
    streak, longest = np.zeros(len(m)), np.zeros(len(m))
    for still in (np.abs(m) < 0.02).T:
        streak = np.where(still, streak + 1, 0)
        longest = np.maximum(longest, streak)
    seconds = m[:, : m.shape[1] // 32 * 32].reshape(len(m), -1, 32).var(-1)
    return made | {"still": longest / RATE, "burst": seconds.max(-1) / (seconds.sum(-1) + 1e-6)}
