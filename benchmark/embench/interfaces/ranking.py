"""Who outranks whom: the counts that rank-based scores and their bootstraps are made of, with one rule for ties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from embench.interfaces.units import Units

TIE = 1e-9
"""Scores closer than this share of the range of all scores are tied, and a tie counts half."""


class Pairs(NamedTuple):
    """Comparisons of units by the people they belong to.

    `wins` (P, P): of the pairs of a positive unit of person p (row) and a negative unit of person q (column), how many
    rank the positive one higher, ties half. `pairs` (P, P): how many there are.
    """

    wins: np.ndarray
    pairs: np.ndarray

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """(R,) share won when person p stands `counts[r, p]` times in sample r; NaN where nothing is compared."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((counts @ self.wins) * counts).sum(1) / ((counts @ self.pairs) * counts).sum(1)


def tie_width(score: np.ndarray) -> float:
    """The distance within which these scores are tied."""
    return TIE * float(np.ptp(score)) if len(score) else 0.0


def one_against_rest(units: Units) -> list[tuple[np.ndarray, np.ndarray]]:
    """(positive (n,) bool, score (n,) float64) of the positive class, or of each of several classes in turn."""
    if units.kind == "classes":
        score = np.asarray(units.score, np.float64)
        return [(units.y_true == k, score[:, k]) for k in range(score.shape[1])]
    return [(units.y_true == 1, np.asarray(units.score, np.float64))]


def compare_people(score: np.ndarray, positive: np.ndarray, person: np.ndarray, people: int, tie: float) -> Pairs:
    """Every positive unit against every negative one.

    Args:
        score, positive, person: (n,) of the units; `person` are positions below `people`.
        tie: scores this close are tied, see `tie_width`.
    """
    high, owner = score[positive], person[positive]
    low, rival = score[~positive], person[~positive]
    order = np.lexsort((low, rival))
    low, rival = low[order], rival[order]
    ends = np.searchsorted(rival, np.arange(people + 1))
    wins = np.zeros((people, people))
    for q in np.unique(rival):
        theirs = low[ends[q] : ends[q + 1]]
        beaten = np.searchsorted(theirs, high - tie, "left") + np.searchsorted(theirs, high + tie, "right")
        wins[:, q] = np.bincount(owner, beaten / 2, people)
    return Pairs(wins, np.outer(np.bincount(owner, minlength=people), np.diff(ends)).astype(float))


def people_codes(units: Units, people: np.ndarray) -> np.ndarray:
    """(n,) position of each unit's person in `people` (P,), which names each person of the units once."""
    order = np.argsort(people)
    return order[np.searchsorted(people, units.subject, sorter=order)]
