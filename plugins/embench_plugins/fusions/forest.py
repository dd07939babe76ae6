"""Estimator `forest`: a random forest on features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from embench.interfaces.recipe import PRESETS, Recipe
from embench_plugins.fusions.tabular import Tabular

RECIPE = Recipe(class_weight="balanced", build={"trees": 100, "least": 10})


class Forest(Tabular):
    """Median imputation, `trees` trees (Breiman 2001, doi 10.1023/A:1010933404324) with `least` rows in a leaf."""

    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, RECIPE)

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """A random forest fitted to `X` (n, features), NaN imputed by medians. `subjects` and `val` are not used."""
        build = self.recipe.build
        trees = RandomForestClassifier(
            int(build["trees"]), min_samples_leaf=int(build["least"]), random_state=self.seed
        )
        model = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), trees)
        return model.fit(X, y, randomforestclassifier__sample_weight=weight)
