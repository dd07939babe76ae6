"""Models that read the label off nuisances, fitted across subjects in the folds of the run: their predictions are
nuisances too, since a method may be such a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from embench.interfaces.units import Target
from embench.statistics.boosted_trees import BalancedTrees
from embench.system import cores, limited_threads, workers_pay

Parts = Sequence[tuple[np.ndarray, np.ndarray]]
"""Positions in each fold of its training units, all with a label, and of those that it predicts."""
Make = Callable[[int, bool], Any]
"""An estimator from the seed, for classes or else for values."""
Members = Mapping[str, tuple[np.ndarray, Make]]
"""Name -> columns (n, k) of the units, and the estimator that is fitted on them."""


def _boosting(classes: bool, **settings: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return made(early_stopping=False, random_state=0, **settings)


def balanced_trees(_: int, classes: bool) -> Any:
    """Boosted trees as those of the controls."""
    return BalancedTrees() if classes else _boosting(classes)


def trees(_: int, classes: bool) -> Any:
    """Boosted trees."""
    return _boosting(classes, max_iter=50, max_leaf_nodes=23)


def careful_trees(_: int, classes: bool) -> Any:
    """Boosted trees with large leaves."""
    return _boosting(classes, max_iter=60, max_leaf_nodes=12, min_samples_leaf=60, l2_regularization=5.0)


def forest(seed: int, classes: bool) -> Any:
    """Extremely randomised trees."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    settings = {"min_samples_leaf": 20, "max_features": 0.3, "random_state": seed + 50, "n_estimators": 60}
    return ExtraTreesClassifier(class_weight="balanced", **settings) if classes else ExtraTreesRegressor(**settings)


def linear(_: int, classes: bool) -> Any:
    """A logistic or linear regression on standardised columns."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=0.1, max_iter=300, class_weight="balanced") if classes else Ridge(10.0)
    return make_pipeline(StandardScaler(), model)


def kernel(_: int, classes: bool) -> Any:
    """A linear model of 200 features of a Gaussian kernel."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=1.0, max_iter=300, class_weight="balanced") if classes else Ridge(1.0)
    return make_pipeline(StandardScaler(), Nystroem(n_components=200, random_state=0), model)


def perceptron(seed: int, classes: bool) -> Any:
    """A perceptron of 32 hidden units."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made = MLPClassifier if classes else MLPRegressor
    return make_pipeline(StandardScaler(), made(hidden_layer_sizes=(32,), alpha=3.0, max_iter=12, random_state=seed))


def label_columns(y: np.ndarray, target: Target) -> np.ndarray:
    """(n, K) labels `y` (n,), NaN where there is none; of several classes one column each, 0 or 1."""
    if not target.traits.several:
        return y[:, None]
    return np.where(np.isnan(y)[:, None], np.nan, y[:, None] == np.arange(target.n))


def predictions(members: Members, y: np.ndarray, target: Target, parts: Parts, seed: int) -> dict[str, np.ndarray]:
    """Predictions (n, K) of each member for all units, by the models that did not see them: log odds of class 1, or of
    each of several classes, or values.

    Args:
        y: (n,) labels, NaN where there is none.
    """
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    jobs = [(name, i) for i in range(len(parts)) for name in members]  # after one of each, what they take is known
    fit = [delayed(_fitted)(members[name][1], members[name][0], y, target, *parts[i], seed) for name, i in jobs]
    made: list[np.ndarray] = []
    took: list[float] = []
    while fit and not (len(took) >= len(members) and workers_pay(took, len(fit), cores())):
        (function, arguments, _), began = fit.pop(0), time.process_time()
        made.append(function(*arguments))
        took.append(time.process_time() - began)
    if fit:
        made += Parallel(n_jobs=cores())(fit)
    columns = target.n if target.traits.several else 1
    out = {name: np.zeros((len(y), columns)) for name in members}
    for (name, i), predicted in zip(jobs, made, strict=True):
        out[name][parts[i][1]] = predicted
    return out


def _fitted(
    make: Make, x: np.ndarray, y: np.ndarray, target: Target, train: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    import warnings

    classes = target.traits.has_classes
    label = y[train].astype(int) if classes else y[train]
    with limited_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs are enough, and what does not converge is a nuisance all the same
        model = make(seed, classes)
        model.fit(x[train], label)
        if not classes:
            return np.asarray(model.predict(x[test]))[:, None]
        share = np.full((len(test), target.n), 1e-6)
        share[:, model.classes_] = model.predict_proba(x[test])
    share = np.clip(share, 1e-6, 1 - 1e-6)
    odds = np.log(share / (1 - share))
    return odds if target.traits.several else odds[:, 1:2]
