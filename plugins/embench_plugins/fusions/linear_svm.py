"""Estimator `linear_svm`: a linear support vector machine for each class against the rest, on features.

The baseline of Chen et al. 2023 (`chen2023`), for whose features the smallness of C was chosen. Their code takes one of
twelve values of C by the scores of the test fold; here, in `paper`, training subjects are held out in turn, as in the
one analysis of Gerster et al. 2026 (`gerster2026`) that does so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from embench.interfaces.recipe import Recipe
from embench_plugins.fusions.tabular import Tabular

SMALL = Recipe(class_weight="balanced", build={"C": 0.01, "candidates": []})
PAPER = SMALL.but(
    class_weight="none", build={"candidates": [10 ** (k / 2) for k in range(-10, 2)]}, assumed=("build.C",)
)
PARTS = 5
MOST_ROWS = 10_000
"""Number of rows, evenly spaced, that are enough to choose C."""


class LinearSvm(Tabular):
    """Median imputation, standardising, squared hinge loss. Scores are the softmax of the distances from the classes'
    planes (of two classes the logistic function of the one distance): they rank rows, and are not calibrated.

    Build keys: `candidates` of C, of which the one with the highest accuracy on training subjects held out in turn is
    taken; `C` where there are none, or the training rows are of one subject.
    """

    recipes: ClassVar[Mapping[str, Recipe]] = {"paper": PAPER, "small": SMALL, "quick": SMALL}

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """The machines of all classes. Args as in `Estimator.fit`; `val` is not used."""
        prepare = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        rows = prepare.fit_transform(X)
        C = chosen(rows, y, subjects, weight, self.recipe.build["candidates"], float(self.recipe.build["C"]))
        return Ranked(prepare, _machine(C).fit(rows, y, sample_weight=weight))


def chosen(
    rows: np.ndarray, y: np.ndarray, subjects: np.ndarray, weight: np.ndarray, candidates: list[float], otherwise: float
) -> float:
    """The candidate with the highest accuracy on subjects held out in turn, the smallest of equals; `otherwise` where
    there is no candidate or subjects cannot be held out.

    Args:
        rows, y, subjects, weight: (n, features), (n,), (n,), (n,) training rows. Of many, some are used, and weigh as
            much as all: C means the same.
    """
    step = -(-len(y) // MOST_ROWS)
    rows, y, subjects, weight = rows[::step], y[::step], subjects[::step], weight[::step] * step
    parts = min(PARTS, len(np.unique(subjects)))
    if not candidates or parts < 2:
        return otherwise
    splits = [(train, test) for train, test in GroupKFold(parts).split(rows, y, subjects) if np.ptp(y[train]) > 0]
    if not splits:
        return otherwise
    search = GridSearchCV(_machine(otherwise), {"C": sorted(candidates)}, cv=splits, refit=False)
    search.fit(rows, y, sample_weight=weight)
    return float(search.cv_results_["param_C"][search.best_index_])


def _machine(C: float) -> LinearSVC:
    """Solved in the primal by Newton steps, which draw no random numbers."""
    return LinearSVC(C=C, dual=False)


class Ranked(BaseEstimator):
    """A fitted machine whose distances become scores that sum to 1."""

    def __init__(self, prepare: Pipeline, machine: LinearSVC) -> None:
        self.prepare, self.machine, self.classes_ = prepare, machine, machine.classes_

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, K) scores of `classes_`."""
        distance = self.machine.decision_function(self.prepare.transform(X))
        if distance.ndim == 1:
            distance = np.stack([np.zeros(len(distance)), distance], 1)
        return np.asarray(softmax(distance, axis=1))
