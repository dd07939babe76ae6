"""Boosted trees of classes that weigh alike, in a quarter of the time: what controls and nuisances predict with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embench.files import sha256
from embench.interfaces import binning
from embench.interfaces.binning import bin_numbers, bin_thresholds

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

CODE = [sha256(Path(file)) for file in (__file__, binning.__file__)]
"""Digests of the code of these trees that this process runs, whatever becomes of the files."""


class BalancedTrees:
    """`HistGradientBoostingClassifier(class_weight="balanced")` of the installed scikit-learn, to the bit."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> BalancedTrees:
        """Fits the trees to `x` (n, features), NaN where unknown, and whole `y` (n,)."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # takes a second
        from sklearn.utils.class_weight import compute_sample_weight

        self._thresholds = bin_thresholds(x, compute_sample_weight("balanced", y))
        trees = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=0)
        self._trees: HistGradientBoostingClassifier = trees.fit(bin_numbers(x, self._thresholds), y)
        self.classes_: np.ndarray = trees.classes_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """(n, classes) probabilities."""
        return np.asarray(self._trees.predict_proba(bin_numbers(x, self._thresholds)))
