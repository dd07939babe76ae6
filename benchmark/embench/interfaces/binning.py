"""Bins of weighted rows, to the bit those of scikit-learn's boosted trees, in a small part of the time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BINS, _DRAWN = 255, 200_000
"""How many bins scikit-learn makes of a column, and of how many rows it takes a sample instead of all."""


def bin_thresholds(x: np.ndarray, weights: np.ndarray) -> list[np.ndarray | None]:
    """Upper ends of the bins but the last, of each column of `x` (n, features), NaN where unknown, with `weights` (n,)
    of its rows; None for a column that is better left as it is.

    From 1.9 on, scikit-learn's boosted trees weigh bins, and sort a column anew for each of its 254 thresholds, which
    takes longer than the trees. Here all are found at once. Trees that are fitted to `bin_numbers` with the same
    weights are those of `x`: since numbers are no more than scikit-learn's bins, each of them becomes one.

    >>> x = np.arange(1000.0)[:, None]
    >>> bin_thresholds(x, np.ones(1000))[0].shape
    (254,)
    """
    import sklearn  # takes a tenth of a second

    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
        return [None] * x.shape[1]
    return [_thresholds(column, np.asarray(weights, float)) for column in np.asarray(x, float).T]


def bin_numbers(x: np.ndarray, thresholds: Sequence[np.ndarray | None]) -> np.ndarray:
    """`x` (n, features) with the numbers of the bins of values, NaN where unknown; columns without `thresholds`, one of
    each column, stay."""
    binned = np.array(x, float)
    for column, upper in zip(binned.T, thresholds, strict=True):
        if upper is not None:
            known = ~np.isnan(column)
            column[known] = np.searchsorted(upper, column[known])
    return binned


def _thresholds(column: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Upper ends of the bins but the last: values with an equal share of the weights between them. None where
    scikit-learn makes bins in another way, or a bin would be empty, so that its number would not be a bin."""
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
