"""Comparisons of units for rank-based scores, for all subjects or samples, with one rule for ties."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embench.interfaces.units import Units

TIE = 1e-9
"""Two scores are tied if they differ by at most this proportion of the range of all scores; a tie counts half."""


class Pairs(NamedTuple):
    """Comparisons of units, counted by subject.

    `pairs` (P, P): number of pairs of a positive unit of subject p (row) and a negative unit of subject q (column).
    `wins` (P, P): in how many of them the positive unit has the higher score; ties count half."""

    wins: np.ndarray
    pairs: np.ndarray

    def resample(self, counts: np.ndarray) -> np.ndarray:
        """Return (R,) the proportion won in each sample r, with subject p `counts[r, p]` times; NaN without pairs."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((counts @ self.wins) * counts).sum(1) / ((counts @ self.pairs) * counts).sum(1)


def compute_tie_width(score: np.ndarray) -> float:
    """Return the difference within which scores (n,) are tied: `TIE` times the range of the finite scores.

    >>> compute_tie_width(np.array([0.0, 0.5, 1.0]))
    1e-09
    """
    known = score[np.isfinite(score)]
    return TIE * float(np.ptp(known)) if len(known) else 0.0


def score_pairs(one: np.ndarray, other: np.ndarray, tie: float) -> np.ndarray:
    """Return (m, n) points of scores (m,) against `other` ones (n,): 1 for a win, half for a tie. A unit without a
    prediction is NaN or inf (see `Units`): NaN loses every comparison, and inf ties with all but NaN.

    >>> score_pairs(np.array([0.9, np.nan, np.inf]), np.array([0.2, 0.9, np.nan]), 0.0)
    array([[1. , 0.5, 0. ],
           [0. , 0. , 0. ],
           [0.5, 0.5, 0. ]])
    """
    with np.errstate(invalid="ignore"):
        gap = np.subtract.outer(one, other)
    won = ((gap > tie) + (gap >= -tie).astype(float)) / 2
    if np.isinf(one).any() or np.isinf(other).any():
        tied = np.logical_or.outer(np.isinf(one), np.isinf(other))
        won[tied & ~np.logical_or.outer(np.isnan(one), np.isnan(other))] = 0.5
    return won


def compare_classes(units: Units) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return a list of (positive (n,) bool, score (n,) float64): one for two classes, else one for each class.

    >>> from embench.testing.require import units
    >>> len(compare_classes(units("binary"))), len(compare_classes(units("classes")))
    (1, 3)
    """
    score = np.asarray(units.score, np.float64)
    if score.ndim == 2:
        return [(units.y_true == k, score[:, k]) for k in range(score.shape[1])]
    return [(units.y_true == 1, score)]


def compare_subjects(score: np.ndarray, positive: np.ndarray, subject: np.ndarray, subjects: int, tie: float) -> Pairs:
    """Compare every positive unit with every negative one. Units without a prediction count as in `score_pairs`.

    Args:
        score, positive, subject: (n,) of the units; `subject` are positions below `subjects`.
        tie: largest difference of tied scores, see `compute_tie_width`.

    >>> score, positive = np.array([0.9, 0.2, 0.4, 0.4]), np.array([True, False, True, False])
    >>> compare_subjects(score, positive, np.array([0, 0, 1, 1]), 2, compute_tie_width(score)).wins
    array([[1. , 1. ],
           [1. , 0.5]])
    """
    if not (known := np.isfinite(score)).all():
        return _with_unpredicted(score, positive, subject, subjects, tie, known)
    high, owner = score[positive], subject[positive]
    low, rival = score[~positive], subject[~positive]
    order = np.lexsort((low, rival))
    low, rival = low[order], rival[order]
    ends = np.searchsorted(rival, np.arange(subjects + 1))
    wins = np.zeros((subjects, subjects))
    for q in np.unique(rival):
        rival_scores = low[ends[q] : ends[q + 1]]
        beaten = np.searchsorted(rival_scores, high - tie, "left") + np.searchsorted(rival_scores, high + tie, "right")
        wins[:, q] = np.bincount(owner, beaten / 2, subjects)
    return Pairs(wins, np.outer(np.bincount(owner, minlength=subjects), np.diff(ends)).astype(float))


def _with_unpredicted(
    score: np.ndarray, positive: np.ndarray, subject: np.ndarray, subjects: int, tie: float, known: np.ndarray
) -> Pairs:
    """Return the result of `compare_subjects` if some scores are not finite; `known` (n,) is True for finite ones. A
    pair with an infinite score ties, unless the other score is NaN, which loses."""
    predicted = compare_subjects(score[known], positive[known], subject[known], subjects, tie)

    def pairs(used: np.ndarray) -> np.ndarray:
        sides = [np.bincount(subject[used & side], minlength=subjects) for side in (positive, ~positive)]
        return np.outer(*sides).astype(float)

    ties = pairs(~np.isnan(score)) - predicted.pairs
    return Pairs(predicted.wins + ties / 2, pairs(np.ones(len(score), bool)))


def encode_subjects(units: Units, subjects: np.ndarray) -> np.ndarray:
    """Return (n,) the position of each unit's subject in `subjects` (P,), which has every subject once.

    >>> from embench.testing.require import units
    >>> two = units("binary", subjects=2, each=3)
    >>> encode_subjects(two, np.array(["p01", "p00"]))
    array([1, 1, 1, 0, 0, 0])
    """
    order, (names, code) = np.argsort(subjects), units.subjects
    return order[np.searchsorted(subjects, names, sorter=order)][code]


def auroc_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """Return (P,) AUROC within each subject of `subjects` (P,); NaN for a single class, or no units.

    >>> from embench.testing.require import units
    >>> auroc_by_subject(units("binary", subjects=2), np.array(["p00", "p01"])).round(2)
    array([0.83, 0.97])
    """
    by_class = []
    tie = compute_tie_width(units.score)
    rows_by_subject = iterate_groups(encode_subjects(units, subjects))
    for positive, score in compare_classes(units):
        values = np.full(len(subjects), np.nan)
        for p, rows in rows_by_subject:
            wins, pairs = compare_subjects(score[rows], positive[rows], np.zeros(len(rows), int), 1, tie)
            if pairs[0, 0]:
                values[p] = wins[0, 0] / pairs[0, 0]
        by_class.append(values)
    return mean_ignoring_nan(by_class)


def auroc_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    """Return (K, P) AUROC within each subject of `subjects` (P,) without the units of each of `stimuli` (K,); NaN for a
    single class. A stimulus without units changes nothing.

    >>> from embench.testing.require import units
    >>> sample = units("binary", subjects=2)
    >>> stimuli = sorted(set(sample.stimulus))
    >>> auroc_without_stimulus(sample, np.array(["p00", "p01"]), stimuli).shape == (len(stimuli), 2)
    True
    """
    names, cell = np.unique(units.stimulus, return_inverse=True)
    tie, codes = compute_tie_width(units.score), encode_subjects(units, subjects)
    by_class = []
    for positive, score in compare_classes(units):
        values = np.full((len(names), len(subjects)), np.nan)
        for p, rows in iterate_groups(codes):
            table = compare_subjects(score[rows], positive[rows], cell[rows], len(names), tie)
            # Without a stimulus: all (K, K) counts, less the stimulus's row and column, which share a cell.
            won, pairs = (counts.sum() - counts.sum(0) - counts.sum(1) + np.diag(counts) for counts in table)
            values[:, p] = np.divide(won, pairs, out=np.full(len(names), np.nan), where=pairs > 0)
        by_class.append(values)
    by_name = dict(zip(names.tolist(), mean_ignoring_nan(by_class), strict=True))
    overall = auroc_by_subject(units, subjects)
    return np.stack([by_name.get(name, overall) for name in stimuli])


def iterate_groups(codes: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return (code, positions with this code) for each distinct code, in ascending order.

    >>> iterate_groups(np.array([1, 0, 1]))
    [(0, array([1])), (1, array([0, 2]))]
    """
    order = np.argsort(codes, kind="stable")
    kinds, starts = np.unique(codes[order], return_index=True)
    return list(zip(kinds.tolist(), np.split(order, starts)[1:], strict=True))


def mean_ignoring_nan(values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return (P,) the mean over arrays (P,), ignoring NaN; NaN if all are.

    >>> mean_ignoring_nan([np.array([1.0, np.nan]), np.array([3.0, np.nan])])
    array([ 2., nan])
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=0))
