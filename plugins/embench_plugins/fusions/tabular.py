"""Base class of the estimators: preparation of features, class weights, and training rows of a single class."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes IterativeImputer importable)
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from embench.interfaces.fusion import Estimator

FACES = frozenset({"face_au", "video"})


def make_preparation(build: Mapping[str, Any], modalities: tuple[str, ...], seed: int) -> Pipeline:
    """Return the unfitted steps of the StressID code that prepare features for methods that need all values, on one
    scale: imputation, standardising, and principal components if there are faces among other modalities.

    Args:
        build: a recipe's `impute`, `iterative` (each value from the others of its row) or `median`, and `pca`, the
            proportion of variance that the components keep, None for no components.
    """
    steps: list[Any] = [
        IterativeImputer(random_state=seed, keep_empty_features=True)
        if build["impute"] == "iterative"
        else SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
    ]
    faces = FACES & set(modalities)
    if build["pca"] is not None and faces and faces < set(modalities):
        steps.append(PCA(float(build["pca"]), svd_solver="full"))
    return make_pipeline(*steps)


def balance_weights(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return `weight` (n,) scaled so that all classes that occur have the same total; the sum does not change."""
    _, code = np.unique(y, return_inverse=True)
    total = np.array([weight[code == c].sum() for c in range(code.max() + 1)])
    return np.asarray(weight * (weight.sum() / (len(total) * total))[code])


class Tabular(Estimator):
    """An estimator from scikit-learn. If the training rows have one class or value, it predicts that."""

    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})
    _model: BaseEstimator | None = None
    _only: float | None = None

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Fit `X` (n, features) to `y` (n,). If `class_weight` is `balanced`, class weights multiply `weight` (n,)."""
        found = np.unique(y)
        self._only, self._model = (float(found[0]) if len(found) == 1 else None), None
        if self._only is None:
            labels = y if self.kind == "value" else y.astype(int)
            self._model = self.fitted(X, labels, subjects, self.weighted(y, weight), val)

    def weighted(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return `weight` (n,) times class weights if the recipe says `balanced`; continuous targets have none."""
        by_class = self.recipe.class_weight == "balanced" and self.kind != "value"
        return balance_weights(y, weight) if by_class else weight

    @abstractmethod
    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """Return a classifier with `predict_proba` and `classes_`, or for continuous targets a model with `predict`,
        fitted to `X` (n, features) and `y` (n,)."""

    def score(self, X: np.ndarray) -> np.ndarray:
        """Return predictions for `X` (n, features): (n,) probabilities of class 1, (n, classes) of several, or (n,)
        values.

        Raises:
            RuntimeError: `fit` has not been called.
        """
        if self._only is None and self._model is None:
            raise RuntimeError("score was called before fit")
        if self.kind == "value":
            return np.full(len(X), self._only) if self._model is None else np.asarray(self._model.predict(X))
        probabilities = np.zeros((len(X), self.classes))  # 0 for classes that no training row has
        if self._model is None:
            probabilities[:, int(self._only or 0)] = 1.0
        else:
            probabilities[:, self._model.classes_.astype(int)] = self._model.predict_proba(X)
        return probabilities if self.kind == "classes" else probabilities[:, 1]
