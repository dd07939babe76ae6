"""Models fitted in a study's folds: what predicts a unit has not seen a label of its fold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.adds.study import Study

Make = Callable[[int], Any]
"""Seed -> an estimator of scikit-learn."""
THINNED = 2
"""Forests and neighbours train on every second unit, which is almost what its neighbour in time is."""


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


def extra(seed: int) -> Any:
    return ExtraTreesClassifier(
        60, min_samples_leaf=12, max_features=0.3, class_weight="balanced", random_state=seed, n_jobs=1
    )


def forest(seed: int) -> Any:
    return RandomForestClassifier(
        50, min_samples_leaf=12, max_features=0.2, class_weight="balanced", random_state=seed, n_jobs=1
    )


def logistic(_: int) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200, class_weight="balanced"))


def kernel(_: int) -> Any:
    features = Nystroem(n_components=150, random_state=0)
    return make_pipeline(StandardScaler(), features, LogisticRegression(C=1.0, max_iter=200, class_weight="balanced"))


def neighbours(_: int) -> Any:
    return make_pipeline(StandardScaler(), KNeighborsClassifier(60))


def network(seed: int) -> Any:
    return make_pipeline(StandardScaler(), MLPClassifier((24,), alpha=3.0, max_iter=10, tol=0.0, random_state=seed))


def linear(_: int) -> Any:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)


def quadratic(_: int) -> Any:
    return make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis(reg_param=0.3))


def bayes(_: int) -> Any:
    return GaussianNB()


ESTIMATORS: dict[str, Make] = {
    made.__name__: made
    for made in (boosting, extra, forest, logistic, kernel, neighbours, network, linear, quadratic, bayes)
}
_SLOW = (extra, forest, neighbours)


def crossfit(study: Study, table: np.ndarray, make: Make) -> np.ndarray:
    """(S, n) log odds that each unit is positive, from its row of a table (n, f) or, by seed, (S, n, f)."""
    made = np.full((len(study.seeds), len(study.y)), np.nan)
    every = THINNED if make in _SLOW else 1
    for k, seed in enumerate(study.seeds.tolist()):
        own = table[k] if table.ndim == 3 else table
        fold = study.folds[k][study.subject]
        for test in np.unique(fold):
            train, tested = np.flatnonzero(fold != test)[::every], fold == test
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # few steps are meant
                model = make(seed).fit(own[train], study.y[train])
            made[k, tested] = log_odds(model.predict_proba(own[tested])[:, 1])
    return made


def log_odds(p: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, which are kept off 0 and 1."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))
