"""Models of confounds: sessions in the order of time, and predictions from time, movement or aligned sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from embench.interfaces.ranking import iterate_groups
from embench.interfaces.units import Target
from embench.statistics.confound_only import BalancedTrees
from embench.system import cores, fitting, workers_pay

CLIP = 4.0
"""Largest absolute standardised value; larger ones are clipped, so that a few artefacts do not decide a fit."""


@dataclass(frozen=True)
class Sessions:
    """The n units of a cohort in their subjects' sessions.

    Args:
        subject: (n,) number of each unit's subject, from 0.
        start: (n,) time since the start of the session in s.
        length: (n,) length of the unit's session in s.
        unit_s: length of a unit in s."""

    subject: np.ndarray
    start: np.ndarray
    length: np.ndarray
    unit_s: float

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """Positions of each subject's units, in the order of time."""
        return [rows[np.argsort(self.start[rows], kind="stable")] for _, rows in iterate_groups(self.subject)]

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Return `values` (n, k) in standard deviations from the subject's mean; 0 if NaN or constant."""
        out = np.zeros(values.shape)
        for rows in self.rows:
            part = values[rows]
            known = np.isfinite(part)
            count = np.maximum(known.sum(0), 1)
            part = np.where(known, part, 0.0)
            part = np.where(known, part - part.sum(0) / count, 0.0)
            out[rows] = part / (np.sqrt((part**2).sum(0) / count) + 1e-9)
        return out

    def mean(self, values: np.ndarray, before_s: float, after_s: float) -> np.ndarray:
        """Return (n, k) means of `values` (n, k) over the same subject's units that start at most `before_s` earlier
        and at most `after_s` later."""
        out = np.empty(values.shape)
        for rows in self.rows:
            start = self.start[rows]
            first = np.searchsorted(start, start - before_s - 1e-6)
            end = np.searchsorted(start, start + after_s + 1e-6)
            sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values[rows], 0)])
            out[rows] = (sums[end] - sums[first]) / (end - first)[:, None]
        return out

    def context(self, values: np.ndarray, seconds: Sequence[float]) -> np.ndarray:
        """Return (n, k (1 + m)): `values` (n, k), and their means over each of m `seconds` before and after."""
        return np.hstack([values, *(self.mean(values, s, s) for s in seconds)])

    def since(self, value: np.ndarray, above: float, most: int) -> np.ndarray:
        """Return (n,) the number of units, at most `most`, since `value` (n,) last exceeded `above` in the session."""
        out = np.empty(len(value))
        for rows in self.rows:
            place = np.arange(len(rows))
            last = np.maximum.accumulate(np.where(value[rows] > above, place, -most))
            out[rows] = np.minimum(place - last, most)
        return out

    def angle(self, direction: np.ndarray, back: int) -> np.ndarray:
        """Return (n,) the angle in rad between the unit vectors `direction` (n, c) now and `back` units earlier."""
        out = np.empty(len(direction))
        for rows in self.rows:
            earlier = direction[rows[np.maximum(np.arange(len(rows)) - back, 0)]]
            out[rows] = np.arccos(np.clip((direction[rows] * earlier).sum(1), -1, 1))
        return out

    def share_so_far(self, value: np.ndarray) -> np.ndarray:
        """Return (n,) the sum of `value` (n,), which is not negative, up to the unit, over the session's sum."""
        out = np.empty(len(value))
        for rows in self.rows:
            sums = np.cumsum(np.nan_to_num(value[rows]))
            out[rows] = sums / max(sums[-1], 1e-9)
        return out


def standardise_all(values: np.ndarray) -> np.ndarray:
    """Return `values` (n, k) in standard deviations from the mean of all units, limited to +- `CLIP`; 0 if unknown."""
    known = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(invalid="ignore"):
        mean, spread = np.nanmean(known, 0), np.nanstd(known, 0)
    return np.nan_to_num(np.clip((known - mean) / (spread + 1e-9), -CLIP, CLIP))


# Models that predict the label from confounds, fitted across subjects in the folds of the run. Their predictions are
# confounds too, since a method may use nothing else.

Parts = Sequence[tuple[np.ndarray, np.ndarray]]
"""For each fold, the positions of its training units, which all have a label, and of the units that it predicts."""
MakeEstimator = Callable[[int, bool], Any]
"""Function (seed, classes) -> estimator. `classes`: True for a classifier, False for a regressor."""
Members = Mapping[str, tuple[np.ndarray, MakeEstimator]]
"""Name of a model -> its input columns (n, k), and the function that makes its estimator."""


def _boosting(classes: bool, **settings: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    estimator = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return estimator(early_stopping=False, random_state=0, **settings)


def balanced_trees(_: int, classes: bool) -> Any:
    """Return boosted trees like the trees of the confound-only models."""
    return BalancedTrees() if classes else _boosting(classes)


def trees(_: int, classes: bool) -> Any:
    """Return boosted trees."""
    return _boosting(classes, max_iter=50, max_leaf_nodes=23)


def careful_trees(_: int, classes: bool) -> Any:
    """Return boosted trees with large leaves."""
    return _boosting(classes, max_iter=60, max_leaf_nodes=12, min_samples_leaf=60, l2_regularization=5.0)


def forest(seed: int, classes: bool) -> Any:
    """Return extremely randomised trees."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    settings = {"min_samples_leaf": 20, "max_features": 0.3, "random_state": seed + 50, "n_estimators": 60}
    return ExtraTreesClassifier(class_weight="balanced", **settings) if classes else ExtraTreesRegressor(**settings)


def linear(_: int, classes: bool) -> Any:
    """Return a logistic or linear regression on standardised columns."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=0.1, max_iter=300, class_weight="balanced") if classes else Ridge(10.0)
    return make_pipeline(StandardScaler(), model)


def kernel(_: int, classes: bool) -> Any:
    """Return a linear model on 200 features that approximate a Gaussian kernel."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=1.0, max_iter=300, class_weight="balanced") if classes else Ridge(1.0)
    return make_pipeline(StandardScaler(), Nystroem(n_components=200, random_state=0), model)


def perceptron(seed: int, classes: bool) -> Any:
    """Return a perceptron of 32 hidden units."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier if classes else MLPRegressor
    return make_pipeline(StandardScaler(), network(hidden_layer_sizes=(32,), alpha=3.0, max_iter=12, random_state=seed))


def label_columns(y: np.ndarray, target: Target) -> np.ndarray:
    """Return labels `y` (n,) as columns (n, K), NaN without a label; several classes have one column each, 0 or 1."""
    if not target.traits.has_score_per_class:
        return y[:, None]
    return np.where(np.isnan(y)[:, None], np.nan, y[:, None] == np.arange(target.n))


def predictions(members: Members, y: np.ndarray, target: Target, parts: Parts, seed: int) -> dict[str, np.ndarray]:
    """Return model -> its out-of-fold predictions (n, K) for all units: log odds of class 1, log odds of each of
    several classes, or values.

    Args:
        y: (n,) labels, NaN for an unlabelled unit."""
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    # The first fold of each model shows its duration, which decides whether more processes are worth their start.
    jobs = [(name, i) for i in range(len(parts)) for name in members]
    fit = [
        delayed(_fit_and_predict)(members[name][1], members[name][0], y, target, *parts[i], seed) for name, i in jobs
    ]
    made: list[np.ndarray] = []
    took: list[float] = []
    while fit and not (len(took) >= len(members) and workers_pay(took, len(fit), cores())):
        (function, arguments, _), began = fit.pop(0), time.process_time()
        made.append(function(*arguments))
        took.append(time.process_time() - began)
    if fit:
        made += Parallel(n_jobs=cores())(fit)
    columns = target.n if target.traits.has_score_per_class else 1
    out = {name: np.zeros((len(y), columns)) for name in members}
    for (name, i), predicted in zip(jobs, made, strict=True):
        out[name][parts[i][1]] = predicted
    return out


def _fit_and_predict(
    make: MakeEstimator, x: np.ndarray, y: np.ndarray, target: Target, train: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    """Fit a model to the rows `train` of `x` (n, features) and `y` (n,), and return its predictions for the k rows
    `test`: values (k, 1) for a continuous target, log odds (k, 1) of class 1 for a binary one, else log odds (k, K)."""
    import warnings

    classes = target.traits.has_classes
    label = y[train].astype(int) if classes else y[train]
    with fitting(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # models need not converge to be useful as confounds
        model = make(seed, classes)
        model.fit(x[train], label)
        if not classes:
            return np.asarray(model.predict(x[test]))[:, None]
        share = np.full((len(test), target.n), 1e-6)
        share[:, model.classes_] = model.predict_proba(x[test])
    share = np.clip(share, 1e-6, 1 - 1e-6)
    odds = np.log(share / (1 - share))
    return odds if target.traits.has_score_per_class else odds[:, 1:2]


KNOTS = np.linspace(0, 1, 14)
BUMP_WIDTH = 0.06
"""Width (SD) of a Gaussian bump, as a proportion of the longest session."""


def time_bumps(sessions: Sessions) -> np.ndarray:
    """Return (n, 42) Gaussian functions of time, 14 for each of: time since the start, proportion of the session, time
    to the end."""
    start, length = sessions.start, sessions.length
    longest = length.max()
    clocks = (start / longest, start / length, (length - start) / longest)
    return np.hstack([np.exp(-0.5 * ((clock[:, None] - KNOTS) / BUMP_WIDTH) ** 2) for clock in clocks])


def session_positions(sessions: Sessions) -> np.ndarray:
    """Return (n, 4): time since the start in s, its proportion of the session, time to the end in s, session length in
    s."""
    start, length = sessions.start, sessions.length
    return np.stack([start, start / length, length - start, length], axis=1)
