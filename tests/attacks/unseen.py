"""Six further clocks, written before anybody knew what they score: the test of the score, where those of `clocks` were
its whetstone. They are run once, when nothing changes any more; what wins is reported, and nothing is tuned to it."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.special import expit
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from .clocks import Clock


def kernel(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Kernel regression on (t, T), whose two widths predict training sessions best that are left out in turn."""
    asked = slice(None, None, 7)  # enough to choose by
    label, same = y[asked], np.equal.outer(T[asked], T)

    def loss(widths: tuple[float, float]) -> float:
        p = _kernel_mean(t, T, y, t[asked], T[asked], widths, same).clip(0.01, 0.99)
        return float(-(label * np.log(p) + (1 - label) * np.log(1 - p)).mean())

    best = min(product((5.0, 10.0, 20.0, 40.0, 80.0), (5.0, 15.0, 45.0, 135.0, 1e4)), key=loss)
    return _kernel_mean(t, T, y, at, of, best)


def regressed(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The time of each change of the label regressed on T; a label rises and falls there as steeply as the changes of
    training sessions are near to their line."""
    first, lengths, changes = _changes(t, T, y)
    expected, spread = _lines(lengths, changes, of)
    steps = (1 - 2 * first) * (-1.0) ** np.arange(changes.shape[1])
    return first + (steps * expit((at[:, None] - expected) / (0.55 * spread))).sum(1)


def warped(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The labels of the five sessions nearest in length, stretched to the length asked, nearer ones counting more."""
    lengths = np.unique(T)
    score = np.zeros(len(at))
    for length in np.unique(of):
        rows, total = of == length, 1e-12
        for near in lengths[np.abs(lengths - length).argsort()[:5]]:
            theirs = near == T
            order = np.argsort(t[theirs])
            weight = 1 / (5.0 + abs(near - length))
            score[rows] += weight * np.interp(at[rows], t[theirs][order] * length / near, y[theirs][order])
            total += weight
        score[rows] /= total
    return score


def splines(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """A logistic regression on splines of t, t/T and T - t, each also times T."""

    def basis(t: np.ndarray, T: np.ndarray) -> np.ndarray:
        smooth = spline.transform(np.stack([t, t / T, T - t], 1))
        length = (T - center) / scale
        return np.hstack([smooth, smooth * length[:, None], length[:, None]])

    center, scale = T.mean(), T.std() + 1e-9
    spline = SplineTransformer(n_knots=25, knots="quantile", extrapolation="constant")
    spline.fit(np.stack([t, t / T, T - t], 1))
    fitted = LogisticRegression(C=3.0, max_iter=1000).fit(basis(t, T), y)
    return np.asarray(fitted.decision_function(basis(at, of)))


def cycles(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """A forest on t, t/T, T - t and T, and on what t, T - t and T leave when divided by 10 s, minutes and more."""
    made = RandomForestClassifier(200, min_samples_leaf=3, max_features=0.5, random_state=0, n_jobs=1)
    return np.asarray(made.fit(_moduli(t, T), y).predict_proba(_moduli(at, of))[:, 1])


def between(t: np.ndarray, T: np.ndarray, y: np.ndarray, at: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Time told by the changes that are expected of a session of this length: which of them is next, how far away it
    is, and how far the last one is behind; a logistic regression on that."""
    _, lengths, changes = _changes(t, T, y)

    def told(t: np.ndarray, T: np.ndarray) -> np.ndarray:
        expected = np.sort(_lines(lengths, changes, T)[0], axis=1)
        expected = np.hstack([np.zeros((len(t), 1)), expected, np.maximum(T, expected[:, -1])[:, None]])
        following = (expected[:, 1:-1] <= t[:, None]).sum(1)
        rows = np.arange(len(t))
        to_next, since_last = expected[rows, following + 1] - t, t - expected[rows, following]
        near = np.stack([np.exp(-np.abs(gap) / width) for gap in (to_next, since_last) for width in (10, 40, 160)], 1)
        which = np.equal.outer(following, np.arange(changes.shape[1] + 1)).astype(float)
        return np.hstack([which, (which[:, :, None] * near[:, None, :]).reshape(len(t), -1), near, T[:, None]])

    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(told(t, T), y)
    return np.asarray(fitted.decision_function(told(at, of)))


UNSEEN: dict[str, Clock] = {
    "kernel": kernel,
    "regressed": regressed,
    "warped": warped,
    "splines": splines,
    "cycles": cycles,
    "between": between,
}


def _kernel_mean(
    t: np.ndarray,
    T: np.ndarray,
    y: np.ndarray,
    at: np.ndarray,
    of: np.ndarray,
    widths: tuple[float, float],
    unused: np.ndarray | None = None,
) -> np.ndarray:
    """(m,) the mean label near (at, of), drawn to the mean of all where nothing is near; `unused` (m, n)."""
    gaps = (np.subtract.outer(at, t) / widths[0]) ** 2 + (np.subtract.outer(of, T) / widths[1]) ** 2
    weight = np.exp(-gaps / 2)
    if unused is not None:
        weight[unused] = 0.0
    return np.asarray((weight @ y + 1e-6 * y.mean()) / (weight.sum(1) + 1e-6))


def _changes(t: np.ndarray, T: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(label at the start; (s,) lengths of the sessions whose label changes as often as is usual; (s, k) when)."""
    found = {}
    for length in np.unique(T):
        order = np.argsort(t[length == T])
        when, label = t[length == T][order], y[length == T][order]
        at = np.flatnonzero(np.diff(label))
        found[float(length)] = (float(label[0]), (when[at] + when[at + 1]) / 2)
    kinds = [(first, len(changes)) for first, changes in found.values() if len(changes)]
    usual = max(sorted(set(kinds)), key=kinds.count)
    kept = {length: of for length, of in found.items() if (of[0], len(of[1])) == usual}
    return usual[0], np.array(list(kept)), np.stack([changes for _, changes in kept.values()])


def _lines(lengths: np.ndarray, changes: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((m, k) when the label changes in sessions of length `of` (m,), by least squares; (k,) the spread about it)."""
    center = lengths.mean()
    x = np.stack([np.ones_like(lengths), lengths - center], 1)
    slopes = np.linalg.lstsq(x, changes, rcond=None)[0]
    spread = (changes - x @ slopes).std(0) + 1.0
    return np.stack([np.ones_like(of), of - center], 1) @ slopes, spread


def _moduli(t: np.ndarray, T: np.ndarray) -> np.ndarray:
    rests = [x % period for x in (t, T - t, T) for period in (10.0, 60.0, 300.0, 900.0)]
    return np.stack([t, t / T, T - t, T, *rests], 1)
