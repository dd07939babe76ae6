"""Fusion `vote`: each modality's network decides by itself, and their decisions are combined without training.

Decision-level fusion, as in the StressID code for classical models; `vazquez2022` lists it among related work. It uses
the mean, the product or the largest of the probabilities, or a majority vote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax

from embench.errors import UsageError
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import PRESETS, Recipe


def _multiply(probabilities: np.ndarray) -> np.ndarray:
    # As a sum of logarithms, so that many small factors do not vanish.
    return np.asarray(softmax(np.nansum(np.log(np.clip(probabilities, 1e-12, 1.0)), 1), 1))


def _count_votes(probabilities: np.ndarray) -> np.ndarray:
    votes = np.where(probabilities == probabilities.max(2, keepdims=True), 1.0, 0.0)
    votes /= np.maximum(votes.sum(2, keepdims=True), 1.0)
    return np.asarray(votes.sum(1) + np.nanmean(probabilities, 1))


RULES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda probabilities: np.nanmean(probabilities, 1),
    "product": _multiply,
    "max": lambda probabilities: np.nanmax(probabilities, 1),
    "majority": _count_votes,
}
"""Name -> function from probabilities (n, modalities, classes), NaN for an absent modality, to weights (n, classes). In
`majority` the mean probability is added to the votes, which breaks ties."""


class Vote(Estimator):
    """Combine decisions by `build.rule`: `mean`, `product`, `max` or `majority`. For continuous targets only `mean`
    exists.

    Raises:
        UsageError: the rule does not exist, or not for values.
    """

    reads: ClassVar = "decisions"
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes", "value"})
    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, Recipe(build={"rule": "mean"}))

    def __init__(self, recipe: Recipe, *args: Any, **kwargs: Any) -> None:
        super().__init__(recipe, *args, **kwargs)
        rules = ["mean"] if self.kind == "value" else list(RULES)
        if recipe.build["rule"] not in rules:
            raise UsageError(
                f"{'values' if self.kind == 'value' else 'decisions'} are not joined by `{recipe.build['rule']}`",
                where="fusion.build.rule",
                expected=", ".join(rules),
                hint=f"--set fusion.build.rule={rules[0]}",
            )

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Learn the prediction for units without any modality: the mean of the labels, or the proportions of the
        classes. The networks are already fitted."""
        labels = np.eye(self.classes)[y.astype(int)] if self.kind == "classes" else y[:, None]
        self._prior = np.average(labels, axis=0, weights=weight)

    def score(self, X: np.ndarray) -> np.ndarray:
        """Return the combined decision for each row of `X` (n, modalities x columns), NaN where a modality is absent.
        The result is (n,) probabilities of class 1 for binary targets, (n, classes) probabilities for several classes,
        and (n,) values for continuous targets."""
        is_empty = np.isnan(X).all(1)
        predictions = self._combine(np.where(is_empty[:, None], 1.0, X))
        predictions[is_empty] = self._prior if self.kind == "classes" else self._prior[0]
        return predictions

    def _combine(self, X: np.ndarray) -> np.ndarray:
        if self.kind == "value":
            return np.asarray(np.nanmean(X, 1))
        decisions = np.stack([1.0 - X, X], 2) if self.kind == "binary" else X.reshape(len(X), -1, self.classes)
        weights = RULES[self.recipe.build["rule"]](decisions)
        probabilities = weights / weights.sum(1, keepdims=True)
        return np.asarray(probabilities if self.kind == "classes" else probabilities[:, 1])
