"""Estimator `naive_bayes`: classes whose features are normal and independent, on features.

The machine of the authors of AMIGOS (Miranda-Correa et al. 2021), which `vazquez2022` quotes: of all features those are
kept in which two classes lie apart by Fisher's criterion, the distance of their means over the sum of their variances.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from embench.interfaces.recipe import Recipe
from embench_plugins.fusions.tabular import Tabular, make_preparation

SMALL = Recipe(class_weight="balanced", build={"fisher": 0.3, "impute": "median", "pca": None})


class NaiveBayes(Tabular):
    """Imputation, standardising, the features whose criterion exceeds `fisher` (None: all), a normal distribution for
    each class and feature."""

    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": SMALL.replace(class_weight="none", assumed=("class_weight", "build.impute")),
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
        """The distributions of `X` (n, features) in each class. `subjects` and `val` are not used."""
        build = self.recipe.build
        steps = [make_preparation(build, self.modalities, self.seed)]
        if build["fisher"] is not None:
            steps.append(Fisher(float(build["fisher"])))
        model = make_pipeline(*steps, GaussianNB()).fit(X, y, gaussiannb__sample_weight=weight)
        # sklearn's least variance is a share of the largest: of features that are all constant it is 0.
        model[-1].var_ = np.maximum(model[-1].var_, 1e-12)
        return model


class Fisher(TransformerMixin, BaseEstimator):
    """Keeps the features in which any two classes have a criterion above `least`, or the best one where none has."""

    def __init__(self, least: float) -> None:
        self.least = least

    def fit(self, X: np.ndarray, y: np.ndarray) -> Fisher:
        """Chooses among the columns of `X` (n, features) by the classes `y` (n,); returns itself."""
        parts = [X[y == k] for k in np.unique(y)]
        apart = [
            np.abs(a.mean(0) - b.mean(0)) / np.maximum(a.var(0) + b.var(0), 1e-12) for a, b in combinations(parts, 2)
        ]
        criterion = np.max(apart, axis=0)
        kept = np.flatnonzero(criterion > self.least)
        self.kept_ = kept if len(kept) else np.array([criterion.argmax()])
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The chosen columns of `X` (n, features)."""
        return X[:, self.kept_]
