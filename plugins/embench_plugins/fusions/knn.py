"""Estimator `knn`: the classes of the nearest training rows, on features.

One of the classical machines of the StressID code, with its 3 neighbours. Rows have no weights here: neighbours have
one vote each, so that the rarer class is as rare as in the training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from embench.interfaces.recipe import Recipe
from embench_plugins.fusions.preparing import preparing
from embench_plugins.fusions.tabular import Tabular

SMALL = Recipe(build={"neighbours": 3, "impute": "median", "pca": None})


class Knn(Tabular):
    """Imputation, standardising, and the shares of classes among the `neighbours` nearest rows (all rows where there
    are fewer)."""

    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": SMALL.but(build={"impute": "iterative", "pca": 0.95}),
        "small": SMALL,
        "quick": SMALL,
    }

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """The rows `X` (n, features) after `preparing`, and their classes. `subjects`, `weight` and `val` are not
        used."""
        build = self.recipe.build
        nearest = KNeighborsClassifier(min(int(build["neighbours"]), len(X)))
        return make_pipeline(preparing(build, self.modalities, self.seed), nearest).fit(X, y)
