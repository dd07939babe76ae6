"""The crossed score of matched sessions, balanced: the longer session is on both sides equally often.

Two sessions of like length are not of equal length, and in the longer one tasks come later. Whoever knows both, the
time and the length, orders some comparisons right. Here the comparisons of each pair of minutes are halved by whether
the subject with the longer session has the positive unit first or last, and both halves weigh the same, so that such
knowledge loses in one half what it gains in the other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_of_known, one_against_rest, subject_codes
from embench.interfaces.units import Units
from embench.statistics.conditioned import MATCHED_S, cells, length_by_subject, own_comparisons
from embench.statistics.intervals import Estimate, Jackknife, jackknife_estimate, shared_variance, widen
from embench.statistics.joined import Joined

BALANCED = "auroc_crossed_balanced"
MINUTE_S = 60.0


def balanced_score(joined: Joined, jackknife: Jackknife, matched: Estimate | Undefined) -> Estimate | Undefined:
    """The balanced score, over all folds and seeds; undefined where the `matched` one is.

    In each pair of minutes, with n1 and n2 comparisons in the halves, the mean of both halves counts
    n1 n2 / (n1 + n2) times.
    """
    if isinstance(matched, Undefined):
        return matched
    minutes = 1 + int(max(units.start_s.max() for _, _, units in joined) // MINUTE_S)
    parts = [_halves(units, jackknife.subjects, minutes) for _, _, units in joined]
    samples = np.vstack([np.ones_like(jackknife.codes), jackknife.counts])
    by_class = []
    for of_class in zip(*parts, strict=True):
        pairs, columns, values = (np.concatenate([part[k] for part in of_class]) for k in range(3))
        each, row = np.unique(pairs, return_inverse=True)
        first, second = involved = np.divmod(each, len(jackknife.subjects))
        counted = (samples[:, first] * samples[:, second]).astype(float)
        shape = len(each), 2 * minutes**2
        won, number = (counted @ sparse.csr_array((v, (row, columns)), shape=shape) for v in values.T)
        by_class.append(_balance(won, number))
    score, *without = mean_of_known(by_class)
    if not np.isfinite(score):
        return Undefined("no pair of minutes has both halves")
    left_out = jackknife.without_involved(np.array(without), np.isin(np.arange(len(jackknife.codes)), involved))
    estimate = jackknife_estimate(float(score), left_out, matched.subjects, matched.left_out)
    shared = shared_variance(matched.by_seed, joined.trained(jackknife))  # who trained is the same to both
    return replace(widen(estimate, shared), comparisons=matched.comparisons)


def _balance(won: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(R,) the score of samples, from what is won and the number of comparisons (R, 2 * cells) in both halves."""
    (won1, won2), (n1, n2) = np.split(won, 2, axis=1), np.split(number, 2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.nan_to_num(n1 * n2 / (n1 + n2))
        mean = np.where(weight > 0, (won1 / n1 + won2 / n2) / 2, 0.0)
        return np.asarray((weight * mean).sum(1) / weight.sum(1))


def _halves(units: Units, subjects: np.ndarray, minutes: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The comparisons of a fold in quadruples whose first subject has the longer session, for each class: the numbers
    of its pairs of subjects, P * first + second (n,), the half and the pair of minutes (n,) that it belongs to, (n, 2)
    what it adds to the quadruples won and to their number."""
    cell = cells(BALANCED, units)
    if isinstance(cell, Undefined):
        return [(np.empty(0, int), np.empty(0, int), np.empty((0, 2))) for _ in one_against_rest(units)]
    length = length_by_subject(units, subject_codes(units, subjects), len(subjects))
    longer = np.subtract.outer(length, length)
    pairs = np.argwhere((longer > 0) & (longer <= MATCHED_S)).tolist()
    minute = np.zeros(1 + int(cell.max()), int)
    minute[cell] = units.start_s // MINUTE_S
    made = []
    for own in own_comparisons(units, cell, subjects):
        of = {each.subject: each for each in own}
        parts = [(np.empty(0, int), np.empty(0, int), np.empty((0, 2)))]
        for first, second in pairs:
            for one, other, counted in ((first, second, 1), (second, first, 0)):
                high, low, times, won = of[one].mirrored_by(of[other])
                early, late = np.minimum(high, low), np.maximum(high, low)
                positive_first = (high < low) if counted else (high > low)
                column = positive_first * minutes**2 + minute[early] * minutes + minute[late]
                values = np.stack([won * times / 2, counted * times], axis=1)
                parts.append((np.full(len(column), first * len(subjects) + second), column, values))
        pair, column, values = map(np.concatenate, zip(*parts, strict=True))
        made.append((pair, column, values))
    return made
