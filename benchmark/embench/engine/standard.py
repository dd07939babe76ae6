"""Features in standard units of their subject: by all of its rows, by its rest, or by what it gives."""

from __future__ import annotations

import numpy as np

from embench.engine.source import TRAINED

PRIOR_ROWS = 10
"""As many rows of its own as the spread of training subjects counts for beside a subject's: of two rows, which one unit
of each class gives, a spread says next to nothing."""


def standardise_by_given(
    values: np.ndarray, subject: np.ndarray, given: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Each feature (n, *shape) centred by its subject's rows that are given, and divided by their spread, towards which
    the mean spread inside what training subjects give weighs as `PRIOR_ROWS` rows.

    Args:
        given: (n,) 0 where a row is not given, else whose it is: `TRAINED` or `TESTED` (see `embench.engine.source`).
    """
    over, centre, spread, count = (0, *shared), {}, {}, {}
    for name in np.unique(subject[given > 0]):
        part = values[(subject == name) & (given > 0)].astype(np.float64)
        there = np.isfinite(part)
        count[name] = there.sum(over, keepdims=True)
        some = np.maximum(count[name], 1)
        centre[name] = np.where(count[name] > 0, np.where(there, part, 0.0).sum(over, keepdims=True) / some, np.nan)
        spread[name] = np.where(there, (part - centre[name]) ** 2, 0.0).sum(over, keepdims=True)
    trained = np.unique(subject[given == TRAINED]).tolist()
    total = np.sum([spread[name] for name in trained], axis=0)
    usual = total / np.maximum(np.sum([count[name] for name in trained], axis=0), 1)
    out = np.full(values.shape, np.nan)
    for name, mean in centre.items():
        std = np.sqrt((spread[name] + PRIOR_ROWS * usual) / (count[name] + PRIOR_ROWS))
        rows = subject == name
        out[rows] = (values[rows] - mean) / np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return out.astype(np.float32)


def standardise(
    values: np.ndarray, subject: np.ndarray, known: np.ndarray, owner: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Each feature (n, *shape) z-scored by its subject's rows of `known` (k, *shape), NaN ignored; one that is constant
    there is only centred, and one that is missing there is NaN. Values along the axes `shared` have one mean and SD."""
    out, over = values.astype(np.float64), (0, *shared)
    for name in np.unique(subject):
        part = known[owner == name].astype(np.float64)
        there = np.isfinite(part)
        some = there.sum(over, keepdims=True)
        count = np.maximum(some, 1)
        mean = np.where(some > 0, np.where(there, part, 0.0).sum(over, keepdims=True) / count, np.nan)
        std = np.sqrt(np.where(there, (part - mean) ** 2, 0.0).sum(over, keepdims=True) / count)
        rows = subject == name
        out[rows] = (out[rows] - mean) / np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return out.astype(np.float32)
