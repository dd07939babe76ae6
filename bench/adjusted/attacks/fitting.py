"""Models fitted in a study's folds: what predicts a unit has not seen a label of its fold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.adjusted.study import Study

Make = Callable[[int], Any]
"""Seed -> an estimator of scikit-learn."""


def boosting(_: int) -> Any:
    # Without class weights, by which scikit-learn finds its bins ten times slower: ranks are scored, not decisions.
    return HistGradientBoostingClassifier(
        early_stopping=False,
        max_iter=50,
        max_leaf_nodes=12,
        min_samples_leaf=60,
        l2_regularization=5.0,
        random_state=0,
    )


def logistic(_: int) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200, class_weight="balanced"))


def linear(_: int) -> Any:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)


def crossfit(study: Study, table: np.ndarray, make: Make) -> np.ndarray:
    """(S, n) log odds that each unit is positive, from its row of a table (n, f) or, by seed, (S, n, f)."""
    made = np.full((len(study.seeds), len(study.y)), np.nan)
    for k, seed in enumerate(study.seeds.tolist()):
        own = table[k] if table.ndim == 3 else table
        fold = study.folds[k][study.subject]
        for test in np.unique(fold):
            train, tested = np.flatnonzero(fold != test), fold == test
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # few steps are meant
                model = make(seed).fit(own[train], study.y[train])
            made[k, tested] = log_odds(model.predict_proba(own[tested])[:, 1])
    return made


def log_odds(p: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, which are kept off 0 and 1."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))
