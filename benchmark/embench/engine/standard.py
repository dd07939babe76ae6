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
    over = (0, *shared)

    def moments(name: str, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part = values[(subject == name) & chosen].astype(np.float64)
        there = np.isfinite(part)
        count = there.sum(over, keepdims=True)
        mean = np.where(there, part, 0.0).sum(over, keepdims=True) / np.maximum(count, 1)
        return (
            count,
            np.where(count > 0, mean, np.nan),
            np.where(there, (part - mean) ** 2, 0.0).sum(over, keepdims=True),
        )

    trained = (given & TRAINED) > 0
    of_trained = [moments(name, trained) for name in np.unique(subject[trained])]
    usual = np.sum([spread for *_, spread in of_trained], axis=0) / np.maximum(sum(n for n, *_ in of_trained), 1)
    out, chosen = np.full(values.shape, np.nan), normalising(given, subject)
    for name in np.unique(subject[chosen]):
        count, mean, spread = moments(name, chosen)
        std = np.sqrt((spread + PRIOR_ROWS * usual) / (count + PRIOR_ROWS))
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
