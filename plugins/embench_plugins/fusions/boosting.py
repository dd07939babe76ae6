"""Estimator `boosting`: gradient boosted trees on features, for classes and values; missing values go down their own
branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from embench.interfaces.recipe import PRESETS, Recipe
from embench_plugins.fusions.tabular import Tabular

# Small steps of small trees: chosen on validation subjects of stress_predict.
RECIPE = Recipe(class_weight="balanced", build={"trees": 100, "lr": 0.05, "leaves": 8, "least": 20})


class Boosting(Tabular):
    """`trees` trees of at most `leaves` leaves with at least `least` rows each. No early stopping: scikit-learn's own
    would hold out rows of subjects that it trains on."""

    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes", "value"})
    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, RECIPE)

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """Gradient boosting fitted to `X` (n, features): a regressor for `value` targets, else a classifier. A column
        without a single value is set to 0. `subjects` and `val` are not used."""
        build = self.recipe.build
        kind = HistGradientBoostingRegressor if self.kind == "value" else HistGradientBoostingClassifier
        model = kind(
            max_iter=int(build["trees"]),
            learning_rate=float(build["lr"]),
            max_leaf_nodes=int(build["leaves"]),
            min_samples_leaf=int(build["least"]),
            early_stopping=False,
            random_state=self.seed,
        )
        known = np.isfinite(X).any(0)
        rows = make_pipeline(FunctionTransformer(without_empty, kw_args={"known": known}), model)
        return rows.fit(X, y, **{f"{kind.__name__.lower()}__sample_weight": weight})


def without_empty(X: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`X` (n, features) with 0 in the columns that are not `known` (features,): scikit-learn cannot bin columns that
    were empty in training."""
    return np.where(known, X, 0.0)
