"""Bins of weighted rows, bitwise equal to those of scikit-learn's boosted trees, but much faster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BINS, _DRAWN = 255, 200_000
"""Number of bins per column in scikit-learn, and number of rows above which it samples rows."""


def find_bin_thresholds(x: np.ndarray, weights: np.ndarray) -> list[np.ndarray | None]:
    """Return for each column of `x` (n, features), NaN if unknown, the upper ends of all bins but the last, with row
    `weights` (n,). None for a column that is better left unbinned.

    From version 1.9, scikit-learn's boosted trees weigh bins, and sort each column again for each of its 254
    thresholds, which takes longer than fitting the trees. Here all thresholds are found at once. Trees fitted to
    `assign_bins` with the same weights equal those of `x`: scikit-learn has at least as many bins as numbers, so that
    each becomes one bin.

    >>> x = np.arange(1000.0)[:, None]
    >>> find_bin_thresholds(x, np.ones(1000))[0].shape
    (254,)
    """
    import sklearn  # takes a tenth of a second

    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
        return [None] * x.shape[1]
    return [_thresholds(column, np.asarray(weights, float)) for column in np.asarray(x, float).T]


def assign_bins(x: np.ndarray, thresholds: Sequence[np.ndarray | None]) -> np.ndarray:
    """Return `x` (n, features) with bin numbers instead of values, NaN where unknown; columns without `thresholds` are
    unchanged."""
    binned = np.array(x, float)
    for column, upper in zip(binned.T, thresholds, strict=True):
        if upper is not None:
            known = ~np.isnan(column)
            column[known] = np.searchsorted(upper, column[known])
    return binned


def _thresholds(column: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return the upper ends of all bins but the last, with equal total weight in each bin. None if scikit-learn bins
    differently, or if a bin would be empty, so that numbers and bins would not match."""
    counts = ~np.isnan(column) & (weights != 0)
    values, weights = column[counts], weights[counts]
    if len(column) > _DRAWN or not np.isfinite(values).all():
        return None
    for _ in range(2):  # as often as scikit-learn does: sums of weights depend on the order of equal values
        order = np.argsort(values)
        values, weights = values[order], weights[order]
    if np.count_nonzero(np.diff(values)) < _BINS:
        return None
    summed, last = np.cumsum(weights), len(values) - 1
    wanted = np.linspace(0, 100, _BINS + 1)[1:-1] / 100 * summed[-1]
    at = np.minimum(np.searchsorted(summed, wanted), last)
    halfway = (values[at] + values[np.minimum(at + 1, last)]) / 2
    found = np.where(summed[at] - wanted > np.finfo(float).eps, values[at], halfway)
    found = found[np.diff(found, prepend=-np.inf) > 0]
    filled = np.diff(np.searchsorted(values, found, side="right"), prepend=0, append=len(values))
    return found if filled.all() else None
