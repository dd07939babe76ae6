"""What the estimators share: rows that stand in for missing values, class weights, and people with one class only."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from sklearn.base import BaseEstimator

from embench.interfaces.fusion import Estimator


def balanced(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`weight` (n,) scaled so that both classes weigh the same and the sum stays."""
    total = np.array([weight[y == c].sum() for c in (0, 1)])
    return np.asarray(weight * (weight.sum() / (2 * total))[y.astype(int)])


class Tabular(Estimator):
    """An estimator from scikit-learn for classes 0 and 1. Where the training rows hold one class, it answers that."""

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
        """Fits; `weight` holds no class weights yet: `class_weight: balanced` puts them on top."""
        classes = np.unique(y)
        self._only = float(classes[0]) if len(classes) == 1 else None
        if self._only is None:
            self._model = self.fitted(X, y.astype(int), subjects, self.weighted(y, weight), val)

    def weighted(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return balanced(y, weight) if self.recipe.class_weight == "balanced" else weight

    @abstractmethod
    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """A fitted classifier with `predict_proba`."""

    def score(self, X: np.ndarray) -> np.ndarray:
        if self._only is not None:
            return np.full(len(X), self._only)
        if self._model is None:
            raise RuntimeError("score was called before fit")
        return np.asarray(self._model.predict_proba(X)[:, 1])
