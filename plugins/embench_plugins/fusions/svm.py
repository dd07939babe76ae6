"""Estimator `svm`: support vector machine with a radial kernel on features.

A classical method of Strizhkova et al. 2024 (`strizhkova2024`), with settings from the StressID code: gamma 1 / (number
of features), C = 1. There, missing values are imputed one by one from the other features (`iterative`); `small` and
`quick` use medians. Not followed, since the paper does not mention it: that code adds synthetic rows of the rarer class
(SMOTE) to its training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from embench.interfaces.recipe import Recipe
from embench_plugins.fusions.tabular import Tabular, make_preparation

AT_ONCE = 1000
"""Number of rows for which distances from all support vectors are computed at once, to limit memory."""
GRAM_ROWS = 12_000
"""Most training rows whose kernel is one matrix in memory, of 1.2 GB. For more, libsvm computes it, slowly."""
SMALL = Recipe(class_weight="balanced", build={"C": 1.0, "impute": "median", "pca": None})
PAPER = SMALL.replace(
    class_weight="none",
    build={"impute": "iterative", "pca": 0.95},
    assumed=("class_weight", "build.impute", "build.pca"),
)


class Svm(Tabular):
    """Probabilities come from Platt's sigmoid, fitted on subjects that the machine was not trained on. These are the
    validation subjects if they have all classes, else training subjects left out in turn (scikit-learn's own method
    splits rows at random). If neither is possible, as with one training subject, the sigmoid has a fixed slope."""

    recipes: ClassVar[Mapping[str, Recipe]] = {"paper": PAPER, "small": SMALL, "quick": SMALL}

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """Return the machine of each class with its sigmoid: `Calibrated` for two classes, `OneAgainstRest` for
        several.

        Args:
            X: (n, features), NaN where absent.
            subjects: (n,) the subject of each row.
            val: features and labels of validation subjects, used if they hold every class of `y`.
        """
        prepare = make_preparation(self.recipe.build, self.modalities, self.seed).fit(X)
        rows = prepare.transform(X)
        gram = compute_kernel(rows, rows) if len(rows) <= GRAM_ROWS else None
        fit = partial(_fit_machine, float(self.recipe.build["C"]), rows, gram, weight)
        validation = None
        if val is not None and np.isin(y, val[1]).all():
            validation = prepare.transform(val[0]), val[1], self.weighted(val[1], np.ones(len(val[1])))

        def fit_against_rest(k: int) -> Calibrated:
            positive = (y == k).astype(int)
            machine = fit(positive)
            if validation is not None:
                X_val, y_val, weight_val = validation
                decisions = compute_decisions(machine, X_val)
                return Calibrated(prepare, machine, decisions, (y_val == k).astype(int), weight_val)
            scored, decisions = _score_left_out(fit, rows, positive, subjects)
            return Calibrated(prepare, machine, decisions, positive[scored], weight[scored])

        if self.kind == "binary":
            return fit_against_rest(1)
        names = np.unique(y)
        return OneAgainstRest(names, [fit_against_rest(k) for k in names])


def _fit_machine(
    C: float,
    rows: np.ndarray,
    gram: np.ndarray | None,
    weight: np.ndarray,
    y: np.ndarray,
    positions: np.ndarray | None = None,
) -> SVC:
    """Fit a machine to `rows` (n, features), weights and classes (n,), or only to the rows at `positions` (m,).

    Args:
        gram: (n, n) kernel of the rows; None if libsvm has to compute it.
    """
    if positions is not None:
        rows, weight, y = rows[positions], weight[positions], y[positions]
        gram = None if gram is None else gram[np.ix_(positions, positions)]
    if gram is None:
        return SVC(C=C, gamma="auto", cache_size=500).fit(rows, y, sample_weight=weight)
    machine = SVC(C=C, kernel="precomputed", cache_size=500).fit(gram, y, sample_weight=weight)
    machine.support_vectors_ = rows[machine.support_]
    return machine


def _score_left_out(
    fit: Callable[..., SVC], rows: np.ndarray, y: np.ndarray, subjects: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (m,) and decision values (m,) of rows whose subjects were left out of the machine's training
    data.

    A group of subjects is skipped if all others have the same class. With a single subject, m is 0.
    """
    positions, decisions = [np.empty(0, int)], [np.empty(0)]
    groups = min(5, len(np.unique(subjects)))
    for train, test in GroupKFold(groups).split(rows, y, subjects) if groups > 1 else ():
        if len(np.unique(y[train])) == 2:
            positions.append(test)
            decisions.append(compute_decisions(fit(y, train), rows[test]))
    order = np.argsort(np.concatenate(positions))
    return np.concatenate(positions)[order], np.concatenate(decisions)[order]


def compute_kernel(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the (n, m) Gaussian kernel, gamma 1 / features, of `rows` (n, features) and `others` (m, features). It is
    computed as a matrix product, ten times faster than libsvm, which loops over pairs of rows."""
    kernel = rows @ others.T
    kernel *= -2
    kernel += (rows**2).sum(1)[:, None]
    kernel += (others**2).sum(1)
    kernel /= -rows.shape[1]
    return np.asarray(np.exp(np.minimum(kernel, 0, out=kernel), out=kernel))


def compute_decisions(machine: SVC, rows: np.ndarray) -> np.ndarray:
    """Return the decision values (n,) of a machine for `rows` (n, features)."""
    found = [np.empty(0)]
    for first in range(0, len(rows), AT_ONCE):
        kernel = compute_kernel(rows[first : first + AT_ONCE], machine.support_vectors_)
        found.append(kernel @ machine.dual_coef_[0] + machine.intercept_[0])
    return np.concatenate(found)


class Calibrated(BaseEstimator):
    """A fitted machine whose decision values become probabilities by a sigmoid. The sigmoid always rises, even if it
    was fitted on few rows, so the order is kept.

    Args:
        decisions, labels, weight: decision values, classes and weights (n,) of rows that the machine was not fitted to.
            If they do not hold both classes, the slope is 1 and the offset 0.
    """

    def __init__(
        self, prepare: Pipeline, machine: SVC, decisions: np.ndarray, labels: np.ndarray, weight: np.ndarray
    ) -> None:
        self.prepare, self.machine, self.classes_ = prepare, machine, np.array([0, 1])
        self.slope, self.offset = 1.0, 0.0
        if len(np.unique(labels)) < 2:
            return
        sigmoid = LogisticRegression(C=1e6).fit(decisions[:, None], labels.astype(int), sample_weight=weight)
        self.slope, self.offset = max(float(sigmoid.coef_[0, 0]), 1e-3), float(sigmoid.intercept_[0])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, 2) probabilities of both classes."""
        positive = expit(self.slope * compute_decisions(self.machine, self.prepare.transform(X)) + self.offset)
        return np.stack([1.0 - positive, positive], 1)


class OneAgainstRest(BaseEstimator):
    """Several classes from one machine each, against the rest; probabilities are scaled to sum to 1 (Zadrozny and Elkan
    2002, doi 10.1145/775047.775151)."""

    def __init__(self, names: np.ndarray, machines: Sequence[Calibrated]) -> None:
        self.classes_, self.machines = names, machines

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, K) probabilities of `classes_`."""
        positive = np.stack([machine.predict_proba(X)[:, 1] for machine in self.machines], 1)
        return positive / positive.sum(1, keepdims=True)
