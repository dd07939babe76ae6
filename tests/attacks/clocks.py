"""Predictors that know no signal: functions of the time t since a session's start and of the session's length T, fitted
on the labels of training subjects. Each has a negative, which wins where a score punishes what learned the clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

Clock = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(t, T, label of training units (n,); t, T of test units (m,)) -> score (m,)."""


def elapsed(_t: np.ndarray, _T: np.ndarray, _y: np.ndarray, at: np.ndarray, _of: np.ndarray) -> np.ndarray:
    """Seconds since the start."""
    return at


def share(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The share of the session that is over, ranked by trees."""
    return _trees(np.stack([t / T], 1), y, np.stack([at / of], 1))


def left(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Seconds to the end, ranked by trees."""
    return _trees(np.stack([T - t], 1), y, np.stack([of - at], 1))


def everything(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Trees on t, t/T, T - t and T."""
    return _trees(_features(t, T), y, _features(at, of))


def nearest(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The mean label of training units near in t, of sessions near in length (Gaussian kernels of 30 s)."""
    weight = np.exp(-(np.subtract.outer(at, t) ** 2 + np.subtract.outer(of, T) ** 2) / (2 * 30.0**2))
    return (weight @ y + y.mean() * 1e-12) / (weight.sum(1) + 1e-12)


def stepped(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The training label at the minute of t of the training session that is nearest in length."""
    lengths = np.unique(T)
    score = np.full(len(at), y.mean())
    for length in np.unique(of):
        theirs = lengths[np.abs(lengths - length).argmin()] == T
        minutes = np.floor(t[theirs] / 60.0)
        for row in np.flatnonzero(of == length):
            same = minutes == np.floor(at[row] / 60.0)
            if same.any():
                score[row] = y[theirs][same].mean()
    return score


CLOCKS: dict[str, Clock] = {
    "elapsed": elapsed,
    "share": share,
    "left": left,
    "everything": everything,
    "nearest": nearest,
    "stepped": stepped,
}
"""Those that were used while the score was built."""


def _features(t: np.ndarray, T: np.ndarray) -> np.ndarray:
    return np.stack([t, t / T, T - t, T], axis=1)


def _trees(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    made = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=0)
    return np.asarray(made.fit(x, y).predict_proba(new)[:, 1])
