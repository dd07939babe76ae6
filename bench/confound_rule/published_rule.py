"""The rule of `subject-independent-v3`, rebuilt on simulated studies, and the variant with a penalty that scales."""

from __future__ import annotations

import numpy as np

from bench.confound_rule.designs import Study
from bench.confound_rule.rules import cluster_cells, two_way
from bench.confound_rule.scores import Matched, apart, matched, out_of_fold, overlap, t_quantile
from bench.confound_rule.worlds import shifted

PENALTY = 100.0
SCALED_PENALTY = 0.01
"""Penalty per training unit."""
SHARE_LEFT = (0.05, 1.25)
KNOTS, BUMP_WIDTH, CLIP = np.linspace(0, 1, 14), 0.06, 4.0
CHANNELS, KERNEL_FEATURES = 8, 30
UNPENALISED = 30.0
"""Factor of columns that are hardly penalised."""


def _means(values: np.ndarray, reach: int) -> np.ndarray:
    """`values` (n, J, k) averaged over so many trials to each side, as many as there are."""
    units = values.shape[1]
    sums = np.concatenate([np.zeros_like(values[:, :1]), values.cumsum(1)], axis=1)
    first, end = np.maximum(np.arange(units) - reach, 0), np.minimum(np.arange(units) + reach + 1, units)
    return np.asarray((sums[:, end] - sums[:, first]) / (end - first)[:, None])


def nuisance_columns(study: Study, movement: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, k) clocks, places and movement with context, standardised over all units and cut."""
    share = (study.time - study.time.min()) / np.ptp(study.time)
    clocks = [share, share * (1 + 1e-3 * rng.standard_normal((len(share), 1))), 1 - share]
    bumps = [np.exp(-0.5 * ((clock[..., None] - KNOTS) / BUMP_WIDTH) ** 2) for clock in clocks]
    places = np.stack([*clocks, study.position], axis=2)
    mixed = rng.standard_normal((2, CHANNELS - 2)) * 0.7
    series = np.stack([movement, study.posture], axis=2)
    noisy = series @ mixed + 0.7 * rng.standard_normal((*movement.shape, CHANNELS - 2))
    channels = np.concatenate([series, noisy], axis=2)
    seen = np.concatenate([channels, channels**2, np.exp(np.clip(channels, -3, 3))], axis=2)
    around = [np.stack([shifted(seen[..., k], lag) for k in range(seen.shape[2])], axis=2) for lag in (-2, -1, 1, 2)]
    columns = np.concatenate([*bumps, places, seen, *around, *(_means(seen, reach) for reach in (1, 3, 6))], axis=2)
    flat = columns.reshape(-1, columns.shape[2])
    return np.clip((flat - flat.mean(0)) / (flat.std(0) + 1e-9), -CLIP, CLIP)


class ConfoundModels:
    """Models that read the label off clock and movement, fitted in the folds of a run."""

    def __init__(self, study: Study, movement: np.ndarray, rng: np.random.Generator) -> None:
        self.study = study
        lags = [shifted(movement, lag) for lag in (-2, -1, 1, 2)]
        powers = [movement, movement**2, np.clip(movement, -3, 3) ** 3, np.exp(np.clip(movement, -3, 3))]
        where = np.stack([movement, study.posture], axis=2)
        waves = where @ rng.standard_normal((2, KERNEL_FEATURES)) + rng.uniform(0, 2 * np.pi, KERNEL_FEATURES)
        self.inputs = [movement[..., None], np.stack(powers + lags, axis=2), np.cos(waves)]

    def predictions(self, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """(W, S, n, J, 4) for labels (W, n, J)."""
        found = [out_of_fold(x, labels, folds) for x in self.inputs]
        return np.stack([*found, self._by_position(labels, folds)], axis=4)

    def _by_position(self, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
        places = int(self.study.position.max()) + 1
        at = np.eye(places)[self.study.position]
        distance = np.subtract.outer(np.arange(places), np.arange(places))
        near = np.exp(-0.5 * distance.astype(float) ** 2)
        train = (folds[:, None] != folds[:, :, None]).astype(float)  # (S, n, n): the others' labels
        sums = np.einsum("smn,wnp->wsmp", train, np.einsum("wnj,njp->wnp", labels, at)) @ near
        counts = np.einsum("smn,np->smp", train, at.sum(1)) @ near
        return np.einsum("wsmp,mjp->wsmj", sums / counts, at, optimize=True)


class RidgeResiduals:
    """Residuals of scores and labels on many penalised columns, across folds.

    With P = (Z Z' + λ)^-1 over all units, what a ridge regression on the units outside a test set T leaves of v in T is
    (P_TT)^-1 (P v)_T. So one inverse serves all partitions, and each world's own four models change it by rank four.
    """

    def __init__(self, columns: np.ndarray, penalty: float) -> None:
        if columns.shape[1] < len(columns):
            gram = np.linalg.inv(columns.T @ columns + penalty * np.eye(columns.shape[1]))
            self.inverse = (np.eye(len(columns)) - columns @ gram @ columns.T) / penalty
        else:
            self.inverse = np.linalg.inv(columns @ columns.T + penalty * np.eye(len(columns)))

    def __call__(
        self, scores: np.ndarray, labels: np.ndarray, models: np.ndarray, folds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(W, S, n, J) residual scores and labels, of scores (W, S, n, J), labels (W, n, J) and predictions of models
        (W, S, n, J, 4)."""
        worlds, total = len(scores), labels[0].size
        left = np.empty((worlds, len(folds), total, 2))
        for s, of_subject in enumerate(np.repeat(folds, labels.shape[2], axis=1)):
            m = models[:, s].reshape(worlds, total, -1)
            values = np.stack([scores[:, s].reshape(worlds, -1), labels.reshape(worlds, -1)], axis=2)
            together = np.concatenate([values, m], axis=2)
            solved = (self.inverse @ together.transpose(1, 0, 2).reshape(total, -1)).reshape(total, worlds, -1)
            solved = np.ascontiguousarray(solved.transpose(1, 0, 2))
            v, pm = solved[..., :2], solved[..., 2:]
            small = np.eye(m.shape[2]) + m.transpose(0, 2, 1) @ pm
            v = v - pm @ np.linalg.solve(small, m.transpose(0, 2, 1) @ v)
            for fold in range(of_subject.max() + 1):
                test = np.flatnonzero(of_subject == fold)
                own = np.linalg.inv(self.inverse[np.ix_(test, test)])
                u, part = pm[:, test], own @ v[:, test]
                core = small - u.transpose(0, 2, 1) @ own @ u
                left[:, s, test] = part + own @ u @ np.linalg.solve(core, u.transpose(0, 2, 1) @ part)
        shaped = left.reshape(worlds, len(folds), *labels.shape[1:], 2)
        return shaped[..., 0], shaped[..., 1]


def published_answers(
    metric: Matched,
    labels: np.ndarray,
    scores: np.ndarray,
    left: tuple[np.ndarray, np.ndarray],
    study: Study,
    folds: np.ndarray,
) -> np.ndarray:
    """(W,) whether v3's rule says yes, of the primary metric, standardised scores (W, S, n, J) and residuals."""
    x, y = left
    share = (x**2).mean((1, 2, 3)) / (scores**2).mean((1, 2, 3))
    products = x * y / np.sqrt((x**2).mean((1, 2, 3)) * (y**2).mean((1, 2, 3)))[:, None, None, None]
    of_subjects = products.mean(3)  # (W, S, n)
    subjects = of_subjects.shape[2]
    mean = of_subjects.mean(1)
    variance = mean.var(1, ddof=1) / subjects
    added = np.minimum(overlap(of_subjects / subjects, apart(folds)), 2 * variance)
    low = mean.mean(1) - t_quantile(subjects - 1) * np.sqrt(variance + added)
    own = metric.low(np.minimum(metric.overlap, 2 * metric.variance))
    difference = np.full(len(share), np.inf)
    if study.matched is not None:
        gap = matched(x, labels, study.matched, folds, graded=True)
        difference = gap.low(np.minimum(gap.overlap, 2 * gap.variance))
    allowed = (share >= SHARE_LEFT[0]) & (share <= SHARE_LEFT[1])
    return metric.estimable & (own > 0.5) & (difference > 0) & (low > 0) & allowed


def scaled_columns(study: Study, columns: np.ndarray) -> np.ndarray:
    """(N, k) the columns with hardly penalised dummies of stimulus, position and previous stimulus, within subjects."""
    codes = [study.stimulus, study.position, study.previous] if study.crossed else [study.stimulus]
    dummies = [UNPENALISED * np.eye(int(code.max()) + 1)[code] for code in codes]
    whole = np.concatenate([*dummies, columns.reshape(*study.time.shape, -1)], axis=2)
    return (whole - whole.mean(1, keepdims=True)).reshape(study.time.size, -1)


def scaled_answers(
    left: tuple[np.ndarray, np.ndarray], study: Study, folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(W,) whether partial r lies above 0, by a two-way interval with the training-overlap correction; and r."""
    x, y = left
    scale = np.sqrt((x**2).sum((2, 3)).mean(1) * (y**2).sum((2, 3)).mean(1)) + 1e-12
    products = x * y / scale[:, None, None, None]  # (W, S, n, J)
    r = products.sum((2, 3)).mean(1)
    deviations = (products.mean(1) - (r / x[0, 0].size)[:, None, None]).reshape(len(x), -1)
    cells = cluster_cells(study)
    sums = {kind: deviations[:, of].sum(2) for kind, of in cells.items()}
    variance, of_subjects = two_way(sums, deviations)
    added = np.minimum(overlap(products.sum(3), apart(folds)), of_subjects)
    df = min(len(cell) for cell in cells.values()) - 1
    return r - t_quantile(df) * np.sqrt(variance + added) > 0, r


def within_subject(values: np.ndarray) -> np.ndarray:
    """Labels (W, n, J) less the subject's mean."""
    return np.asarray(values - values.mean(2, keepdims=True))
