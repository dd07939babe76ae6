"""Partitions, out-of-fold scores, the training-overlap correction, and the stimulus-matched metric."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from embench.protocols.balanced import balanced_partitions

PENALTY = 10.0
MIN_COMPARISONS, MIN_SUBJECTS = 200, 10


@cache
def t_quantile(df: int) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy import stats

    return float(stats.t.ppf(0.975, df))


def random_partition(subjects: int, rng: np.random.Generator, folds: int = 5) -> np.ndarray:
    """(1, n) the fold of each subject."""
    return np.asarray(rng.permutation(np.arange(subjects) % folds)[None])


def balanced(subjects: int, rng: np.random.Generator) -> np.ndarray:
    """(S, n) the folds of each subject in the balanced partitions."""
    names = [f"{k:04d}" for k in range(subjects)]
    partitions = balanced_partitions(names, int(rng.integers(2**31)))
    return np.array([[fold_of[name] for name in names] for fold_of in partitions])


def apart(folds: np.ndarray) -> np.ndarray:
    """(S, n, n) whether two subjects train each other's models."""
    return np.asarray(folds[:, :, None] != folds[:, None])


def out_of_fold(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """(L, S, n, J) predictions of labels (L, n, J) by ridge regressions on features (n, J, k), fitted on the subjects
    of other folds (S, n)."""
    x = np.concatenate([np.ones((*features.shape[:2], 1)), features], axis=2)
    ridge = penalty * np.diag([0.0] + [1.0] * features.shape[2])
    products, targets = np.einsum("njk,njl->nkl", x, x), np.einsum("njk,ljn->nkl", x, labels.transpose(0, 2, 1))
    train = (folds[:, None] != np.arange(folds.max() + 1)[:, None]).astype(float)  # (S, F, n)
    left = np.tensordot(train, products, 1) + ridge
    weights = np.linalg.solve(left, np.tensordot(train, targets, 1))  # (S, F, k, L)
    own = weights[np.arange(len(folds))[:, None], folds]  # (S, n, k, L)
    return np.einsum("njk,snkl->lsnj", x, own)


def standardised(scores: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Scores (L, S, n, J) with mean 0 and SD 1 within their fold, then within the subject."""
    of_fold = folds[:, None] == np.arange(folds.max() + 1)[:, None]  # (S, F, n)
    size = of_fold.sum(2) * scores.shape[3]
    mean = np.einsum("sfn,lsn->lsf", of_fold, scores.sum(3)) / np.maximum(size, 1)
    square = np.einsum("sfn,lsn->lsf", of_fold, (scores**2).sum(3)) / np.maximum(size, 1)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0)) + 1e-9
    at = np.arange(len(folds))[:, None]
    of_units = (scores - mean[:, at, folds][..., None]) / spread[:, at, folds][..., None]
    centred = of_units - of_units.mean(3, keepdims=True)
    return np.clip(centred / (centred.std(3, keepdims=True) + 1e-9), -4.0, 4.0)


def overlap(contributions: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """(W,) the variance that subjects who train each other's models add, from what subjects contribute in each
    partition (W, S, n), as `embench.statistics.intervals.shared_variance`, without a bound of it; 0 for one partition.

    Args:
        trained: (S, n, n) whether two subjects train each other's models.
    """
    if len(trained) < 2:
        return np.zeros(len(contributions))
    share, change = trained.mean(0), contributions - contributions.mean(1, keepdims=True)
    moved = (trained - share) ** 2
    np.einsum("snn->sn", moved)[:] = 0.0
    most = (share**2).sum() / (moved.sum() / (len(trained) - 1)) * contributions.var(1, ddof=1).sum(1)
    products = np.einsum("snm,wsn,wsm->wnm", moved, change, change, optimize=True)
    scale = (share**2).sum() / (moved**2).sum()
    covariance, error = scale * products.sum((1, 2)), scale * np.sqrt(2 * (products**2).sum((1, 2)))
    return np.clip(covariance + error, 0.0, most)


@dataclass(frozen=True)
class Matched:
    """A stimulus-matched metric (AUROC, C-index) and the mean difference over its comparisons, for W worlds.

    Args:
        estimate: (W,), NaN without comparisons. `variance`: (W,) jackknife. `overlap`: (W,) unbounded.
        comparisons: (W,) over all partitions; `subjects`: (W,) who take part; `estimable`: by the hurdle.
        graded: whether it is the mean difference, for which 0 is chance.
    """

    estimate: np.ndarray
    variance: np.ndarray
    overlap: np.ndarray
    comparisons: np.ndarray
    subjects: np.ndarray
    graded: bool

    @property
    def estimable(self) -> np.ndarray:
        return (self.comparisons >= MIN_COMPARISONS) & (self.subjects >= MIN_SUBJECTS)

    def low(self, added: np.ndarray) -> np.ndarray:
        """(W,) lower ends with a variance (W,) added; -inf where there are too few subjects."""
        groups = np.maximum(self.subjects, 2)
        t = np.array([t_quantile(int(g) - 1) for g in groups])
        if self.graded:
            low = self.estimate - t * np.sqrt(self.variance + added)
        else:
            centre = (groups * self.estimate + 0.5) / (groups + 1)
            own = ((groups - 1) * self.variance + (self.estimate - 0.5) ** 2 / (groups + 1)) / (groups + 1)
            low = centre - t * np.sqrt(own + added)
        return np.where((self.subjects > 2) & np.isfinite(low), low, -np.inf)


def matched(scores: np.ndarray, label: np.ndarray, stimulus: np.ndarray, folds: np.ndarray, *, graded: bool) -> Matched:
    """The metric of scores (W, S, n, J) with labels (W, n, J)."""
    made = [_matched(s, y, stimulus, folds, graded) for s, y in zip(scores, label, strict=True)]
    columns = [np.array(column) for column in zip(*made, strict=True)]
    return Matched(columns[0], columns[1], columns[2], columns[3], columns[4], graded)


def _matched(
    scores: np.ndarray, label: np.ndarray, stimulus: np.ndarray, folds: np.ndarray, graded: bool
) -> tuple[float, float, float, float, int]:
    """Of one world: (S, n, J) scores."""
    partitions, subjects, _ = scores.shape
    order = stimulus.argsort(1)  # every subject has every stimulus once
    label = np.take_along_axis(label, order, 1)
    scores = np.take_along_axis(scores, order[None], 2)
    higher = (label[:, :, None] - label[:, None] > 1e-9).astype(float)
    mirrored = higher.transpose(0, 2, 1).reshape(subjects, -1).T
    gap = scores[..., :, None] - scores[..., None, :]
    won = gap if graded else (gap > 1e-9) + 0.5 * (np.abs(gap) <= 1e-9)
    wins = (won * higher).reshape(partitions, subjects, -1) @ mirrored
    pairs = higher.reshape(subjects, -1) @ mirrored
    np.fill_diagonal(pairs, 0.0)
    wins *= ~np.eye(subjects, dtype=bool)
    mates = ~apart(folds)
    counts = (pairs * mates).sum((1, 2)) / 2
    w, n = (wins * mates).sum(0), (pairs * mates).sum(0)
    involved = n.sum(1) > 0
    if n.sum() == 0:
        return np.nan, np.nan, 0.0, 0.0, 0
    without_n = n.sum() - n.sum(0) - n.sum(1)
    without = ((w.sum() - w.sum(0) - w.sum(1)) / np.where(without_n > 0, without_n, np.nan))[involved]
    without = without[np.isfinite(without)]
    variance = (len(without) - 1) * without.var() if len(without) > 1 else np.nan
    shared = overlap((wins.sum(2) / pairs.sum())[None], apart(folds))[0]
    return w.sum() / n.sum(), float(variance), float(shared), float(counts.sum()), int(involved.sum())
