"""The conformance of fusions without gradients."""

from __future__ import annotations

import pickle
from typing import NamedTuple

import numpy as np

from embench.interfaces.fusion import Estimator
from embench.testing.require import TOLERANCE, Check


class _Table(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    subjects: np.ndarray
    weight: np.ndarray


def check_estimator(cls: type[Estimator]) -> None:
    """Checks that an estimator keeps its interface, in all presets.

    Probabilities for rows with missing values, and for a feature that nobody has; the same answer from one seed; rows
    that don't depend on their batch; inputs left as they are; a classifier that can be stored; and on two classes
    that lie apart, higher scores for the positive one.

    Raises:
        CheckFailed: with what was expected and what was found.
    """
    check = Check(cls)
    check.that(issubclass(cls, Estimator), "it is no Estimator", expected="a subclass of Estimator")
    for preset, recipe in check.recipes().items():
        with check.during(f"preset {preset}"):
            _check(check, cls(recipe, seed=1), cls(recipe, seed=1))


def _check(check: Check, one: Estimator, other: Estimator) -> None:
    table, val, test = _table(8, 0), _table(3, 1), _table(3, 2)
    before = [part.copy() for part in table]
    for estimator in (one, other):
        estimator.fit(*table, val=(val.X, val.y))
    untouched = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(table, before, strict=True))
    check.that(untouched, "fitting changed its inputs", expected="arrays left as they are")
    score = np.asarray(one.score(test.X))
    check.that(score.shape == test.y.shape, f"scores have shape {score.shape}", expected=f"{test.y.shape}")
    fine = bool(np.isfinite(score).all() and (score >= 0).all() and (score <= 1).all())
    check.that(fine, f"scores lie in {score.min():.3g} to {score.max():.3g}", expected="probabilities")
    check.that(_near(other.score(test.X), score), "two fits of one seed differ", expected="one seed, one answer")
    alone = np.concatenate([one.score(test.X[row : row + 1]) for row in range(len(test.X))])
    check.that(_near(alone, score), "a row alone gets another score", expected="rows that don't see each other")
    stored: Estimator = pickle.loads(pickle.dumps(one))  # noqa: S301  # made on the same line
    check.that(_near(stored.score(test.X), score), "stored and read, it scores otherwise", expected="the same scores")
    high, low = score[test.y == 1].mean(), score[test.y == 0].mean()
    check.that(
        high > low, f"the positive class scores {high:.3f}, the other {low:.3f}", expected="the positive one higher"
    )
    without_val = one.__class__(one.recipe, seed=1)
    without_val.fit(*table)
    check.that(
        bool(np.isfinite(without_val.score(test.X)).all()), "without `val` its scores are not finite", expected="scores"
    )


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=0, atol=TOLERANCE))


def _table(people: int, seed: int) -> _Table:
    """Rows of people with both classes: two features tell them apart, some values are missing, one feature always."""
    random = np.random.default_rng(seed)
    n = people * 12
    y = np.tile(np.arange(12) % 2, people).astype(float)
    X = random.standard_normal((n, 6)).astype(np.float32)
    X[:, :2] += 2 * y[:, None]
    X[random.random((n, 6)) < 0.1] = np.nan
    X[:, 5] = np.nan
    return _Table(X, y, np.repeat([f"p{seed}{i}" for i in range(people)], 12), np.ones(n))
