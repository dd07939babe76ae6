"""Nuisance models: sessions in order of time, and predictions from the clock, movement or aligned sessions."""

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
from embench.system import cores, limited_threads, workers_pay

# The units of subjects in the order of time: values standardised within a subject, and averaged over minutes.

CLIP = 4.0
"""Standardised values are cut here, so that a few artefacts do not make a fit."""


@dataclass(frozen=True)
class Sessions:
    """The units of a cohort.

    Args:
        subject: (n,) codes from 0 on.
        start: (n,) s since the session's start.
        length: (n,) s, the length of the unit's session.
        unit_s: the length of a unit in s.
    """

    subject: np.ndarray
    start: np.ndarray
    length: np.ndarray
    unit_s: float

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """Positions of each subject's units, in the order of time."""
        return [rows[np.argsort(self.start[rows], kind="stable")] for _, rows in iterate_groups(self.subject)]

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Return (n, k) in standard deviations from the subject's mean; 0 where `values` (n, k) are NaN or do not
        vary."""
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
        """Return (n, k) means of `values` (n, k) over the subject's units that start from `before_s` earlier to
        `after_s` later."""
        out = np.empty(values.shape)
        for rows in self.rows:
            start = self.start[rows]
            first = np.searchsorted(start, start - before_s - 1e-6)
            end = np.searchsorted(start, start + after_s + 1e-6)
            sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values[rows], 0)])
            out[rows] = (sums[end] - sums[first]) / (end - first)[:, None]
        return out

    def context(self, values: np.ndarray, seconds: Sequence[float]) -> np.ndarray:
        """Return (n, k (1 + m)): `values` (n, k), and their means over `seconds` (m,) to each side."""
        return np.hstack([values, *(self.mean(values, s, s) for s in seconds)])

    def since(self, value: np.ndarray, above: float, most: int) -> np.ndarray:
        """Return (n,) the number of units since `value` (n,) was above a bound in the subject's session, at most so
        many."""
        out = np.empty(len(value))
        for rows in self.rows:
            place = np.arange(len(rows))
            last = np.maximum.accumulate(np.where(value[rows] > above, place, -most))
            out[rows] = np.minimum(place - last, most)
        return out

    def angle(self, direction: np.ndarray, back: int) -> np.ndarray:
        """Return (n,) the angle in rad between `direction` (n, c), of length 1, and the direction a number of units
        earlier."""
        out = np.empty(len(direction))
        for rows in self.rows:
            earlier = direction[rows[np.maximum(np.arange(len(rows)) - back, 0)]]
            out[rows] = np.arccos(np.clip((direction[rows] * earlier).sum(1), -1, 1))
        return out

    def share_so_far(self, value: np.ndarray) -> np.ndarray:
        """Return (n,) the part of the session's sum of `value` (n,), of 0 or more, that lies before the unit's end."""
        out = np.empty(len(value))
        for rows in self.rows:
            sums = np.cumsum(np.nan_to_num(value[rows]))
            out[rows] = sums / max(sums[-1], 1e-9)
        return out


def standard(values: np.ndarray) -> np.ndarray:
    """Return (n, k) in standard deviations from the mean of all units, cut at `CLIP`; 0 where unknown."""
    known = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(invalid="ignore"):
        mean, spread = np.nanmean(known, 0), np.nanstd(known, 0)
    return np.nan_to_num(np.clip((known - mean) / (spread + 1e-9), -CLIP, CLIP))


# Models that read the label off nuisances, fitted across subjects in the folds of the run: their predictions are
# nuisances too, since a method may be such a model.

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
    """Return a linear model of 200 features of a Gaussian kernel."""
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

    made = MLPClassifier if classes else MLPRegressor
    return make_pipeline(StandardScaler(), made(hidden_layer_sizes=(32,), alpha=3.0, max_iter=12, random_state=seed))


def label_columns(y: np.ndarray, target: Target) -> np.ndarray:
    """Return labels `y` (n,) as columns (n, K), NaN without a label; several classes have one column each, 0 or 1."""
    if not target.traits.has_score_per_class:
        return y[:, None]
    return np.where(np.isnan(y)[:, None], np.nan, y[:, None] == np.arange(target.n))


def predictions(members: Members, y: np.ndarray, target: Target, parts: Parts, seed: int) -> dict[str, np.ndarray]:
    """Return predictions (n, K) of each member for all units, by models that were not fitted to them: log odds of class
    1, or of each of several classes, or values.

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
    columns = target.n if target.traits.has_score_per_class else 1
    out = {name: np.zeros((len(y), columns)) for name in members}
    for (name, i), predicted in zip(jobs, made, strict=True):
        out[name][parts[i][1]] = predicted
    return out


def _fitted(
    make: Make, x: np.ndarray, y: np.ndarray, target: Target, train: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    """Fit a model to the rows `train` of `x` (n, features) and `y` (n,), and return its predictions for the k rows
    `test`. They are log odds (k, classes), (k, 1) log odds of class 1 for binary targets, or (k, 1) values for
    continuous ones."""
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
    return odds if target.traits.has_score_per_class else odds[:, 1:2]


# Clock features of a unit: smooth functions of the time since the session's start, of the place in the session, and of
# the time to its end.

KNOTS = np.linspace(0, 1, 14)
BUMP_WIDTH = 0.06
"""Width of the bumps, as a share of the longest session."""


def basis(sessions: Sessions) -> np.ndarray:
    """Return (n, 42) bumps of height 1 over three clocks."""
    start, length = sessions.start, sessions.length
    longest = length.max()
    clocks = (start / longest, start / length, (length - start) / longest)
    return np.hstack([np.exp(-0.5 * ((clock[:, None] - KNOTS) / BUMP_WIDTH) ** 2) for clock in clocks])


def places(sessions: Sessions) -> np.ndarray:
    """Return (n, 4) the time since the start in s, as a share of the session, to its end in s, and its length in s."""
    start, length = sessions.start, sessions.length
    return np.stack([start, start / length, length - start, length], axis=1)
