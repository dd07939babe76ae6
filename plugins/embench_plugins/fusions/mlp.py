"""Estimator `mlp`: scikit-learn's multi-layer perceptron on features.

The classical rows of Strizhkova et al. 2024 (`strizhkova2024`) by the StressID code, where the list of hidden layers is
empty: a linear classifier fitted by Adam until its loss stays. Not followed, since the paper does not mention it: that
code adds synthetic rows of the rarer class (SMOTE) to its training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from embench.interfaces.recipe import Recipe
from embench_plugins.fusions.preparing import preparing
from embench_plugins.fusions.tabular import Tabular

SMALL = Recipe(class_weight="balanced", build={"hidden": [], "iterations": 5000, "impute": "median", "pca": None})
PAPER = SMALL.but(
    class_weight="none",
    build={"impute": "iterative", "pca": 0.95},
    assumed=("class_weight", "build.hidden", "build.iterations", "build.impute", "build.pca", "build.oversampling"),
)


class Mlp(Tabular):
    """`hidden` widths of hidden layers, at most `iterations` passes over the rows."""

    recipes: ClassVar[Mapping[str, Recipe]] = {"paper": PAPER, "small": SMALL, "quick": SMALL}

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """A perceptron fitted to `X` (n, features) after `preparing`; `weight` is scaled to a mean of 1. `subjects` and
        `val` are not used."""
        build = self.recipe.build
        network = MLPClassifier(tuple(build["hidden"]), max_iter=int(build["iterations"]), random_state=self.seed)
        model = make_pipeline(preparing(build, self.modalities, self.seed), network)
        return model.fit(X, y, mlpclassifier__sample_weight=weight / weight.mean())
