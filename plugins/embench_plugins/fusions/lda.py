"""Estimator `lda`: linear discriminant analysis on features.

Written out, since scikit-learn's takes no weights of rows; its shrunk covariance (Ledoit and Wolf 2004, doi
10.1016/S0047-259X(03)00096-4) is used, because features are many and subjects few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.covariance import ledoit_wolf
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from embench.interfaces.recipe import PRESETS, Recipe
from embench_plugins.fusions.tabular import Tabular

RECIPE = Recipe(class_weight="balanced")


class Lda(Tabular):
    """Median imputation, standardising, and classes that are normal with one covariance."""

    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, RECIPE)

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """The discriminant fitted to `X` (n, features), NaN imputed by medians, columns standardised. `subjects` and
        `val` are not used."""
        model = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), Discriminant()
        )
        return model.fit(X, y, discriminant__weight=weight)


class Discriminant(BaseEstimator):
    """Classes with the shares and means that the weighted rows have, and the shrunk covariance within them."""

    def fit(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Discriminant:
        """Fits classes `y` (n,) to rows `X` (n, features) without NaN, weighted by `weight` (n,); returns itself."""
        self.classes_, code = np.unique(y, return_inverse=True)
        share = np.eye(len(self.classes_))[code] * (weight / weight.sum())[:, None]  # (n, K)
        prior = share.sum(0)
        mean = share.T @ X / prior[:, None]
        within = (X - mean[code]) * np.sqrt(weight / weight.mean())[:, None]
        covariance = ledoit_wolf(within, assume_centered=True)[0]
        # Columns without any spread tell nothing; lstsq leaves them out where a solver would fail.
        self.slope = np.linalg.lstsq(covariance, mean.T, rcond=None)[0]
        self.offset = np.log(prior) - 0.5 * (mean.T * self.slope).sum(0)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, K) probabilities of `classes_`."""
        return np.asarray(softmax(X @ self.slope + self.offset, axis=1))
