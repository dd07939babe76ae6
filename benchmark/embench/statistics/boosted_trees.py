"""Boosted trees of classes that weigh alike, in a quarter of the time: what controls and nuisances predict with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

_BINS, _DRAWN = 255, 200_000
"""How many bins scikit-learn makes of a column, and of how many units it takes a sample instead of all."""


class BalancedTrees:
    """`HistGradientBoostingClassifier(class_weight="balanced")` of the installed scikit-learn, to the bit.

    From 1.9 on it weighs bins, and sorts a column anew for each of its 254 thresholds, which takes longer than the
    trees. Here they are found at once, and the trees are fitted on numbers of bins: since these are no more than
    scikit-learn's bins, each of them becomes one.
    """

    def fit(self, x: np.ndarray, y: np.ndarray) -> BalancedTrees:
        """Fits the trees to `x` (n, features), NaN where unknown, and whole `y` (n,)."""
        import sklearn
        from sklearn.ensemble import HistGradientBoostingClassifier  # takes a second
        from sklearn.utils.class_weight import compute_sample_weight

        weights = compute_sample_weight("balanced", y)
        weighs_bins = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9)
        self._thresholds = [_thresholds(column, weights) if weighs_bins else None for column in x.T]
        trees = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=0)
        self._trees: HistGradientBoostingClassifier = trees.fit(self._binned(x), y)
        self.classes_: np.ndarray = trees.classes_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """(n, classes) probabilities."""
        return np.asarray(self._trees.predict_proba(self._binned(x)))

    def _binned(self, x: np.ndarray) -> np.ndarray:
        binned = np.array(x, float)
        for column, thresholds in zip(binned.T, self._thresholds, strict=True):
            if thresholds is not None:
                known = ~np.isnan(column)
                column[known] = np.searchsorted(thresholds, column[known])
        return binned


def _thresholds(column: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Upper ends of the bins but the last: values with an equal share of the weights between them. None where
    scikit-learn makes bins in another way, or a bin would be empty, so that its number would not be a bin."""
    known = ~np.isnan(column)
    values, weights = column[known], weights[known]
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
