"""What explains labels without any signal of the body: controls fitted on training people, scored with every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
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
    clock = np.array([(unit.start_s, unit.order) for unit in units], float)
    length = np.array([[durations[unit.recording]] for unit in units])
    reasons = {
        "elapsed_time": "the release hides when units were recorded" if np.isnan(clock).all() else None,
        "recording_length": "all recordings are of one length" if np.ptp(length) < 1e-3 else None,
        "movement": _no_movement(movement, train, test),
    }
    for name, x in (("elapsed_time", clock), ("recording_length", length), ("movement", movement)):
        reason = reasons[name]
        if reason is None and (shares == 1).any():
            reason = "training labels are of one class only"
        if reason is not None or x is None:
            answers[name] = Undefined(str(reason))
        else:
            answers[name] = _boosted(x, known, train, test, seed, classes)
    return answers


def _stimulus_mean(
    units: Sequence[Unit], known: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int
) -> Answer:
    """The share of each class among the training units of the same stimulus."""
    stimulus = np.array([unit.stimulus for unit in units])
    names, codes = np.unique(stimulus, return_inverse=True)
    if len(names) < 2:
        return Undefined("there is one stimulus only")
    counts = np.zeros((len(names), classes))
    np.add.at(counts, (codes[train], known), 1)
    unseen = np.unique(stimulus[test][counts[codes[test]].sum(1) == 0])
    if len(unseen):
        return Undefined(f"{len(unseen)} test stimuli have no training label: {', '.join(unseen[:3].tolist())}")
    share = counts[codes[test]] / counts[codes[test]].sum(1, keepdims=True)
    return _answer(share)


def _no_movement(movement: np.ndarray | None, train: np.ndarray, test: np.ndarray) -> str | None:
    if movement is None:
        return "there is no accelerometer"
    if np.isnan(movement[train]).all() or np.isnan(movement[test]).all():
        return "nobody in the training or test part has an accelerometer"
    return None


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
