"""What explains labels without any signal of the body: controls fitted on training people, scored with every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Unit

CONTROLS = ("majority", "prior", "stimulus_mean", "elapsed_time", "recording_length", "movement")

Answer = tuple[np.ndarray, np.ndarray] | Undefined
"""(score (n,) or (n, K) probabilities, decision (n,)), or why the control does not apply."""


def control_scores(
    units: Sequence[Unit],
    y: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    durations: Mapping[str, float],
    movement: np.ndarray | None,
    seed: int,
    classes: int = 2,
) -> dict[str, Answer]:
    """Each control's answer for the test units, in the order of `test`.

    Args:
        units: of everybody. `y` (n,): their labels 0 .. classes - 1, NaN where there is none; those of `test` are not
            looked at.
        train, test: positions.
        durations: recording -> seconds.
        movement: (n, features) statistics of the accelerometer in each unit, NaN where it is missing; None where the
            dataset has none.
        seed: for the random decisions of `prior` and the boosted trees.
        classes: 2 gives scores (n,), the probability of class 1.
    """
    train = np.asarray(train)[np.isfinite(y[train])]
    if not len(train):
        return dict.fromkeys(CONTROLS, Undefined("no training unit has a label"))
    known = y[train].astype(int)
    shares = np.bincount(known, minlength=classes) / len(known)
    constant = np.tile(shares, (len(test), 1))
    majority = np.full(len(test), shares.argmax())
    drawn = np.random.default_rng(seed).choice(classes, len(test), p=shares)
    answers: dict[str, Answer] = {
        "majority": (_score(np.eye(classes)[majority]), majority.astype(float)),
        "prior": (_score(constant), drawn.astype(float)),
        "stimulus_mean": _stimulus_mean(units, known, train, test, classes),
    }
    for name, x in _circumstances(units, train, test, durations, movement).items():
        if isinstance(x, Undefined):
            answers[name] = x
        elif (shares == 1).any():
            answers[name] = Undefined("training labels are of one class only")
        else:
            answers[name] = _boosted(x, known, train, test, seed, classes)
    return answers


def control_values(
    units: Sequence[Unit],
    y: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    durations: Mapping[str, float],
    movement: np.ndarray | None,
    seed: int,
) -> dict[str, Answer]:
    """The same for labels that are values: `prior` is their mean, `stimulus_mean` their mean at the same stimulus, and
    the others are regressions. Score and decision are both the value."""
    train = np.asarray(train)[np.isfinite(y[train])]
    if not len(train):
        return dict.fromkeys(CONTROLS, Undefined("no training unit has a label"))
    known = y[train]
    answers: dict[str, Answer] = {
        "majority": Undefined("values have no class that is most common"),
        "prior": _same_twice(np.full(len(test), known.mean())),
    }
    codes = _stimuli(units, train, test)
    if isinstance(codes, Undefined):
        answers["stimulus_mean"] = codes
    else:
        sums, counts = np.bincount(codes[train], known), np.bincount(codes[train])
        answers["stimulus_mean"] = _same_twice(sums[codes[test]] / counts[codes[test]])
    for name, x in _circumstances(units, train, test, durations, movement).items():
        if isinstance(x, Undefined):
            answers[name] = x
            continue
        x = x[:, np.isfinite(x[train]).any(0)]
        trees = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
        with threadpool_limits(limits=1):
            answers[name] = _same_twice(trees.fit(x[train], known).predict(x[test]))
    return answers


def _same_twice(values: np.ndarray) -> Answer:
    return values, values.copy()


def _circumstances(
    units: Sequence[Unit],
    train: np.ndarray,
    test: np.ndarray,
    durations: Mapping[str, float],
    movement: np.ndarray | None,
) -> dict[str, np.ndarray | Undefined]:
    """What the boosted controls read of each unit (n, features), or why there is nothing to read."""
    clock = np.array([(unit.start_s, unit.order) for unit in units], float)
    length = np.array([[durations[unit.recording]] for unit in units])
    read: dict[str, np.ndarray | Undefined] = {"elapsed_time": clock, "recording_length": length}
    if np.isnan(clock).all():
        read["elapsed_time"] = Undefined("the release hides when units were recorded")
    if np.ptp(length) < 1e-3:
        read["recording_length"] = Undefined("all recordings are of one length")
    if movement is None:
        read["movement"] = Undefined("there is no accelerometer")
    elif np.isnan(movement[train]).all() or np.isnan(movement[test]).all():
        read["movement"] = Undefined("nobody in the training or test part has an accelerometer")
    else:
        read["movement"] = movement
    return read


def _stimulus_mean(
    units: Sequence[Unit], known: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int
) -> Answer:
    """The share of each class among the training units of the same stimulus."""
    codes = _stimuli(units, train, test)
    if isinstance(codes, Undefined):
        return codes
    counts = np.zeros((codes.max() + 1, classes))
    np.add.at(counts, (codes[train], known), 1)
    return _answer(counts[codes[test]] / counts[codes[test]].sum(1, keepdims=True))


def _stimuli(units: Sequence[Unit], train: np.ndarray, test: np.ndarray) -> np.ndarray | Undefined:
    """(n,) the number of each unit's stimulus; undefined where a test stimulus is not among the labelled training
    units'."""
    stimulus = np.array([unit.stimulus for unit in units])
    names, codes = np.unique(stimulus, return_inverse=True)
    if len(names) < 2:
        return Undefined("there is one stimulus only")
    unseen = np.unique(stimulus[test][~np.isin(codes[test], codes[train])])
    if len(unseen):
        return Undefined(f"{len(unseen)} test stimuli have no training label: {', '.join(unseen[:3].tolist())}")
    return np.asarray(codes)


def _boosted(x: np.ndarray, known: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int, classes: int) -> Answer:
    x = x[:, np.isfinite(x[train]).any(0)]  # the trees can't bin a column of which nothing is known
    # Without early stopping, which would hold out units of training people at random. One thread, so that sums are
    # added in one order whatever the machine.
    trees = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=seed)
    with threadpool_limits(limits=1):
        trees.fit(x[train], known)
        share = np.zeros((len(test), classes))
        share[:, trees.classes_] = trees.predict_proba(x[test])
    return _answer(share)


def _answer(share: np.ndarray) -> Answer:
    decision = share[:, 1] >= 0.5 if share.shape[1] == 2 else share.argmax(1)
    return _score(share), decision.astype(float)


def _score(share: np.ndarray) -> np.ndarray:
    """(n,) for two classes, else (n, K)."""
    return share[:, 1] if share.shape[1] == 2 else share
