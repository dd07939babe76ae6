"""Features in standard units of their subject: by all of its rows, by its rest, or by what it gives."""

from __future__ import annotations

import numpy as np

from embench.engine.source import TRAINED, normalising

PRIOR_ROWS = 10
"""As many rows of its own as the spread of training subjects counts for beside a subject's: of two rows, which one unit
of each class gives, a spread says next to nothing."""


def standardise_by_given(
    values: np.ndarray, subject: np.ndarray, given: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Each feature (n, *shape) centred by its subject's rows that are given, and divided by their spread, towards which
    the mean spread inside what training subjects give weighs as `PRIOR_ROWS` rows.

    Args:
        given: (n,) 0 where a row is not given, else bits: `TRAINED` or `TESTED` (see `embench.engine.source`).
    """
    trained, chosen = (given & TRAINED) > 0, normalising(given, subject)
    of_trained = [_moments(values[trained & (subject == name)], shared) for name in np.unique(subject[trained])]
    usual = np.sum([spread for *_, spread in of_trained], axis=0) / np.maximum(sum(n for n, *_ in of_trained), 1)
    out = np.full(values.shape, np.nan)
    for name in np.unique(subject[chosen]):
        rows = subject == name
        count, mean, spread = _moments(values[chosen & rows], shared)
        std = np.sqrt((spread + PRIOR_ROWS * usual) / (count + PRIOR_ROWS))
        out[rows] = _in_units_of(values[rows], mean, std)
    return out.astype(np.float32)


def standardise(
    values: np.ndarray, subject: np.ndarray, known: np.ndarray, owner: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Each feature (n, *shape) z-scored by its subject's rows of `known` (k, *shape), NaN ignored; one that is constant
    there is only centred, and one that is missing there is NaN. Values along the axes `shared` have one mean and SD."""
    out = values.astype(np.float64)
    for name in np.unique(subject):
        count, mean, spread = _moments(known[owner == name], shared)
        rows = subject == name
        out[rows] = _in_units_of(out[rows], mean, np.sqrt(spread / np.maximum(count, 1)))
    return out.astype(np.float32)


def _moments(rows: np.ndarray, shared: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of known values of each feature in `rows` (k, *shape), their mean, NaN where there are none, and the
    sum of the squares around it."""
    part, over = rows.astype(np.float64), (0, *shared)
    there = np.isfinite(part)
    count = there.sum(over, keepdims=True)
    mean = np.where(count > 0, np.where(there, part, 0.0).sum(over, keepdims=True) / np.maximum(count, 1), np.nan)
    return count, mean, np.where(there, (part - mean) ** 2, 0.0).sum(over, keepdims=True)


def _in_units_of(rows: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Rows (k, *shape) less the mean, in units of the SD; a feature that is constant is only centred."""
    return np.asarray((rows - mean) / np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0))
