"""Partitions, out-of-fold scores, the training-overlap correction, and the stimulus-matched metric."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from embench.protocols.partition import balanced_partitions

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
    seed = int(rng.integers(2**31))
    names = [f"{k:04d}" for k in range(subjects)]
    shuffled = sorted(names, key=lambda name: hashlib.sha256(f"balanced\x1f{seed}\x1f{name}".encode()).digest())
    partitions = balanced_partitions(shuffled)
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
    partition (W, S, n), as `embench.statistics.intervals.training_overlap`, without a bound of it; 0 for one partition.

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


LARGEST = 4_000_000
"""Comparisons that are held at a time."""


def matched(scores: np.ndarray, label: np.ndarray, cell: np.ndarray, folds: np.ndarray, *, graded: bool) -> Matched:
    """The metric of scores (W, S, n, J) with labels (W, n, J), matched by cell (n, J), of which every subject has each
    once."""
    order = cell.argsort(1)
    label = np.take_along_axis(label, order[None], 2)
    scores = np.take_along_axis(scores, order[None, None], 3)
    at_once = max(1, LARGEST // (scores[0].size * scores.shape[3]))
    parts = [
        _matched(scores[first : first + at_once], label[first : first + at_once], folds, graded)
        for first in range(0, len(scores), at_once)
    ]
    return joined_metrics(parts, np.arange(len(scores)))


def _matched(scores: np.ndarray, label: np.ndarray, folds: np.ndarray, graded: bool) -> Matched:
    worlds, partitions, subjects, _ = scores.shape
    exact = np.float64 if graded else np.float32  # counts are multiples of one half, exact in single precision
    higher = (label[..., :, None] - label[..., None, :] > 1e-9).astype(exact)
    mirrored = higher.transpose(0, 3, 2, 1).reshape(worlds, -1, subjects)  # what others have with the cells exchanged
    won = scores[..., :, None] - scores[..., None, :]
    if not graded:
        won = exact(0.5) * ((won > 1e-9).astype(exact) + (won >= -1e-9))
    wins = (won * higher[:, None]).reshape(worlds, partitions, subjects, -1) @ mirrored[:, None]
    pairs = higher.reshape(worlds, subjects, -1) @ mirrored
    others = 1.0 - np.eye(subjects)
    wins, pairs, mates = wins * others, pairs * others, ~apart(folds)
    w, n = (wins * mates).sum(1), pairs * mates.sum(0)
    total = n.sum((1, 2))
    involved = n.sum(2) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (w.sum((1, 2))[:, None] - w.sum(1) - w.sum(2)) / (total[:, None] - n.sum(1) - n.sum(2))
        without = np.where(involved & np.isfinite(without), without, np.nan)
        known = np.isfinite(without).sum(1)
        mean = np.nansum(without, 1) / known
        variance = (known - 1) / known * np.nansum((without - mean[:, None]) ** 2, axis=1)
        contributions = np.nan_to_num(wins.sum(3) / pairs.sum((1, 2))[:, None, None])
        estimate = w.sum((1, 2)) / total
    return Matched(estimate, variance, overlap(contributions, apart(folds)), total / 2, involved.sum(1), graded)


def primary(scores: np.ndarray, label: np.ndarray, cell: np.ndarray | None, folds: np.ndarray) -> Matched:
    """The primary metric: matched by cell (n, J), or the one within subjects where no cells are shared."""
    if cell is not None:
        return matched(scores, label, cell, folds, graded=False)
    made = [_within(s, y) for s, y in zip(scores, label, strict=True)]
    of_subjects = np.stack([of for of, _ in made])  # (W, S, n)
    mean = of_subjects.mean(1)
    known = np.isfinite(mean)
    count = known.sum(1)
    contributions = np.nan_to_num(of_subjects) / count[:, None, None]
    pairs = np.array([size for _, size in made])
    added = overlap(contributions, apart(folds))
    return Matched(np.nanmean(mean, 1), np.nanvar(mean, 1, ddof=1) / count, added, pairs, count, False)


def primary_of(
    wanted: np.ndarray, scores: np.ndarray, label: np.ndarray, cell: np.ndarray | None, folds: np.ndarray
) -> Matched:
    """The primary metric in the worlds that are `wanted` (W,); of others NaN, without comparisons."""
    if wanted.all():
        return primary(scores, label, cell, folds)
    unknown, nobody = np.full(len(wanted), np.nan), np.zeros(len(wanted), int)
    blank = Matched(unknown, unknown, unknown, nobody.astype(float), nobody, False)
    if not wanted.any():
        return blank
    found = primary(scores[wanted], label[wanted], cell, folds)
    order = np.arange(len(wanted))
    order[wanted] = len(wanted) + np.arange(int(wanted.sum()))
    return joined_metrics([blank, found], order)


def _within(scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, float]:
    """(S, n) the proportion of pairs of a subject's units that scores order as labels do, and the number of pairs."""
    higher = (label[:, :, None] - label[:, None] > 1e-9).astype(float)
    gap = scores[..., :, None] - scores[..., None, :]
    won = (((gap > 1e-9) + 0.5 * (np.abs(gap) <= 1e-9)) * higher).sum((2, 3))
    size = higher.sum((1, 2))
    return won / np.where(size > 0, size, np.nan), float(size.sum())


def joined_metrics(parts: Sequence[Matched], order: np.ndarray) -> Matched:
    """Metrics of several batches of worlds, in this order."""
    fields = ("estimate", "variance", "overlap", "comparisons", "subjects")
    values = [np.concatenate([getattr(part, field) for part in parts])[order] for field in fields]
    return Matched(values[0], values[1], values[2], values[3], values[4], parts[0].graded)
