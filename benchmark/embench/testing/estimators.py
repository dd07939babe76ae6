"""The conformance of fusions without gradients."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.recipe import Recipe
from embench.testing.personal import check_estimator_personalises
from embench.testing.require import CLOSE_ENOUGH, Check, leaves_no_trace

_CLASSES = 3
_ROWS = 12
"""Rows of a subject."""


class _Table(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    subjects: np.ndarray
    weight: np.ndarray


@leaves_no_trace
def check_estimator(cls: type[Estimator], nonce: str | None = None) -> None:
    """Checks that an estimator keeps its interface, in all presets and for every kind of target that it predicts.

    Probabilities (of each of several classes, also where the training rows lack one), or values, for rows with missing
    values, and for a feature that no row has; the same scores from one seed; rows that don't depend on their batch;
    inputs left as they are; on classes that lie apart, higher scores for the right one; no memory of labels that
    another fit was given; and a `personalise` that leaves it as it is, and gives the same whoever came before.

    Args:
        nonce: a text that decides the rows and labels by which a memory is found; by default drawn, so that no plugin
            has met them before. A failure names it.

    Raises:
        CheckFailed: with what was expected and what was found.
    """
    check = Check(cls)
    check.that(issubclass(cls, Estimator), "the class is not an Estimator", expected="a subclass of Estimator")
    fine = bool(cls.kinds) and cls.kinds <= set(KINDS)
    check.that(fine, f"`kinds` is {set(cls.kinds)!r}", expected=f"some of {', '.join(KINDS)}")
    known = ("features", "decisions")
    check.that(cls.reads in known, f"`reads` is {cls.reads!r}", expected=f"one of {', '.join(known)}")
    tried: list[Recipe] = []
    nonce = nonce or secrets.token_hex(8)
    for preset, recipe in check.recipes().items():
        if recipe in tried:  # presets may share one
            continue
        tried.append(recipe)
        for kind in KINDS:
            if kind in cls.kinds:
                make = partial(cls, recipe, 1, kind, _classes(kind))
                with check.during(f"preset {preset}, {kind} targets"):
                    _check(check, make, kind, cls.reads)
                    with check.during(f"nonce {nonce}"):
                        _forgets(check, make, _decisions if cls.reads == "decisions" else _table, kind, nonce)


def _classes(kind: KindName) -> int:
    return _CLASSES if KINDS[kind].several else 2


def _check(check: Check, make: Callable[[], Estimator], kind: KindName, reads: str) -> None:
    made = _decisions if reads == "decisions" else _table
    table, val, test = made(8, 0, kind), made(3, 1, kind), made(3, 2, kind)
    before = [part.copy() for part in table]
    one, other, without_val = make(), make(), make()
    for estimator in (one, other):
        estimator.fit(*table, val=(val.X, val.y))
    untouched = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(table, before, strict=True))
    check.that(untouched, "fitting changed the inputs", expected="unchanged arrays")
    # Rows first, so that no batch is remembered; copies, as in a run, since scikit-learn's imputer fills them in.
    alone = np.concatenate([np.asarray(one.score(test.X[[row]])) for row in range(len(test.X))])
    score = _scored(check, one, test, kind)
    check.that(
        _near(other.score(test.X.copy()), score),
        "two fits with one seed differ",
        expected="one result per seed; use `self.seed`, for example as `random_state`",
    )
    other.fit(*val, val=(test.X, test.y))
    other.fit(*table, val=(val.X, val.y))
    what = "scores depend on an earlier fit to other rows"
    check.that(_near(other.score(test.X.copy()), score), what, expected="a fit that is independent of earlier fits")
    check.sets_no_seed(lambda: make().fit(*val, val=(test.X, test.y)), "`fit`")
    check.sets_no_seed(lambda: one.score(test.X.copy()), "`score`")
    check.that(
        _near(alone, score),
        "the score of a row depends on the other rows of its batch",
        expected="rows that are independent of each other",
    )
    _separates(check, score, test.y, kind)
    rows = TrainingRows(*table, val=(val.X, val.y))
    check_estimator_personalises(check, make, rows, test.X[:_ROWS])
    without_val.fit(*table)
    fine = bool(np.isfinite(without_val.score(test.X)).all())
    check.that(fine, "without `val` the scores are not finite", expected="scores")
    if KINDS[kind].several:
        lacking, there = make(), table.y != 1
        lacking.fit(*(part[there] for part in table))
        _scored(check, lacking, test, kind)


def _forgets(
    check: Check, make: Callable[[], Estimator], made: Callable[..., _Table], kind: KindName, nonce: str
) -> None:
    """The scores of subjects stay the same after another fit was given labels of theirs, as another fold's fit is; also
    those of an estimator that is fitted to permuted labels."""
    random = np.random.default_rng(list(nonce.encode()))
    train, test = (made(count, int(random.integers(2**32)), kind) for count in (4, 3))
    permuted, told = (of._replace(y=random.permuted(of.y.reshape(-1, _ROWS), axis=1).ravel()) for of in (train, test))

    def scores() -> np.ndarray:
        fitted = make(), make()
        for estimator, rows in zip(fitted, (train, permuted), strict=True):
            estimator.fit(*rows)
        return np.stack([estimator.score(test.X.copy()) for estimator in fitted])

    before = scores()
    make().fit(*_Table(*map(np.concatenate, zip(train, told, strict=True))))
    what, expected = (
        "the estimator remembers labels of another fit",
        "scores that depend only on the rows of the estimator's own fit",
    )
    check.that(_near(scores(), before), what, expected=expected)


def _separates(check: Check, score: np.ndarray, y: np.ndarray, kind: KindName) -> None:
    if not KINDS[kind].has_classes:
        follows = float(np.corrcoef(score, y)[0, 1])
        expected = "a positive correlation"
        check.that(follows > 0, f"the values correlate {follows:.3f} with the labels", expected=expected)
        return
    several = KINDS[kind].several
    for k in range(_CLASSES) if several else (1,):
        of_class, what = (score[:, k], f"class {k}") if several else (score, "the positive class")
        high, low = of_class[y == k].mean(), of_class[y != k].mean()
        check.that(high > low, f"{what} scores {high:.3f}, the other {low:.3f}", expected=f"{what} higher")


def _scored(check: Check, estimator: Estimator, test: _Table, kind: KindName) -> np.ndarray:
    """The scores of the test rows, of the right shape and finite; probabilities for targets with classes."""
    score = np.asarray(estimator.score(test.X.copy()))
    shape = (len(test.y), _CLASSES) if KINDS[kind].several else test.y.shape
    check.that(score.shape == shape, f"scores have shape {score.shape}", expected=f"{shape}")
    check.that(bool(np.isfinite(score).all()), "scores are not finite", expected="finite values")
    if not KINDS[kind].has_classes:
        return score
    fine = bool((score >= 0).all() and (score <= 1).all())
    check.that(fine, f"scores range from {score.min():.3g} to {score.max():.3g}", expected="probabilities")
    if KINDS[kind].several:
        fine = _near(score.sum(1), np.ones(len(score)))
        check.that(fine, "the probabilities of a row do not sum to 1", expected="a distribution over the classes")
    return score


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=0, atol=CLOSE_ENOUGH))


def _table(subjects: int, seed: int, kind: KindName) -> _Table:
    """Rows of subjects with all classes: two features separate them, some values are missing, one feature always."""
    random = np.random.default_rng(seed)
    n = subjects * _ROWS
    y = np.tile(np.arange(_ROWS) % (_classes(kind) if KINDS[kind].has_classes else _CLASSES), subjects).astype(float)
    if not KINDS[kind].has_classes:
        y = y + random.normal(0, 0.2, n)
    X = random.standard_normal((n, 6)).astype(np.float32)
    X[:, :2] += 2 * y[:, None]
    if KINDS[kind].several:
        X[:, 1] += np.where(y == 1, 3, 0)
    X[random.random((n, 6)) < 0.1] = np.nan
    X[:, 5] = np.nan
    return _Table(X, y, np.repeat([f"p{seed}{i}" for i in range(subjects)], _ROWS), np.ones(n))


def _decisions(subjects: int, seed: int, kind: KindName) -> _Table:
    """The labels of `_table` as three networks predict them, each absent from some rows and never all."""
    like, random = _table(subjects, seed, kind), np.random.default_rng([seed, 1])
    said = random.normal(0, 1, (len(like.y), 3, _CLASSES if KINDS[kind].several else 1))
    if KINDS[kind].several:
        said[np.arange(len(said)), :, like.y.astype(int)] += 2
        said = np.exp(said) / np.exp(said).sum(2, keepdims=True)
    else:
        said += 2 * (like.y - like.y.mean())[:, None, None]
        said = said if not KINDS[kind].has_classes else 1 / (1 + np.exp(-said))
    some = np.arange(len(said)) % 4  # 3: all are there
    said[np.arange(len(said))[some < 3], some[some < 3]] = np.nan
    return like._replace(X=said.reshape(len(said), -1))
