"""Estimator `logreg`: logistic regression on features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from embench.interfaces.recipe import PRESETS, Recipe
from embench_plugins.fusions.tabular import Tabular

RECIPE = Recipe(class_weight="balanced", build={"C": 1.0})


class LogReg(Tabular):
    """Median imputation, standardising, L2-regularised logistic regression with inverse strength `C`."""

    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, RECIPE)

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """A logistic regression fitted to `X` (n, features), NaN imputed by medians, columns standardised. `subjects`
        and `val` are not used."""
        model = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=float(self.recipe.build["C"]), max_iter=2000),
        )
        return model.fit(X, y, logisticregression__sample_weight=weight)
