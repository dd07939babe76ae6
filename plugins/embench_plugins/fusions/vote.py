"""Fusion `vote`: each modality's network decides by itself, and their decisions are joined without learning anything.

Decision-level fusion, as the code of StressID has it for classical models and `vazquez2022` names among the ways of
others: the mean, the product or the largest of the probabilities, or a vote of the majority.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax

from embench.errors import UsageError
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import PRESETS, Recipe


def _multiply(said: np.ndarray) -> np.ndarray:
    # As a sum of logarithms, so that many small factors do not vanish.
    return np.asarray(softmax(np.nansum(np.log(np.clip(said, 1e-12, 1.0)), 1), 1))


def _vote(said: np.ndarray) -> np.ndarray:
    votes = np.where(said == said.max(2, keepdims=True), 1.0, 0.0)
    votes /= np.maximum(votes.sum(2, keepdims=True), 1.0)
    return np.asarray(votes.sum(1) + np.nanmean(said, 1))


RULES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda said: np.nanmean(said, 1),
    "product": _multiply,
    "max": lambda said: np.nanmax(said, 1),
    "majority": _vote,
}
"""Name -> what joins probabilities (n, modalities, classes), NaN where a modality is absent, to weights (n, classes).
In a vote the mean probability has one vote more, which decides where the others are tied."""


class Vote(Estimator):
    """Joins decisions by `build.rule`: `mean`, `product`, `max` or `majority`. Values have a mean only.

    Raises:
        UsageError: there is no such rule, or none for values.
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
        """Learn the prediction for rows without any modality: the mean of the labels, or the proportions of the
        classes. The networks are already fitted."""
        labels = np.eye(self.classes)[y.astype(int)] if self.kind == "classes" else y[:, None]
        self._prior = np.average(labels, axis=0, weights=weight)

    def score(self, X: np.ndarray) -> np.ndarray:
        """Return the joint decision on each row of `X` (n, modalities x columns), NaN where a modality is absent. The
        result is (n,) probabilities of class 1 for binary targets, (n, classes) probabilities for several classes, and
        (n,) values for continuous targets."""
        nowhere = np.isnan(X).all(1)
        answer = self._joint(np.where(nowhere[:, None], 1.0, X))
        answer[nowhere] = self._prior if self.kind == "classes" else self._prior[0]
        return answer

    def _joint(self, X: np.ndarray) -> np.ndarray:
        if self.kind == "value":
            return np.asarray(np.nanmean(X, 1))
        said = np.stack([1.0 - X, X], 2) if self.kind == "binary" else X.reshape(len(X), -1, self.classes)
        joint = RULES[self.recipe.build["rule"]](said)
        share = joint / joint.sum(1, keepdims=True)
        return np.asarray(share if self.kind == "classes" else share[:, 1])
