"""Comparisons of units whose labels are values: of two units of a subject, predicted by one fold's model, the one whose
label is higher by a step at least should score higher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from embench.interfaces.ranking import Pairs, rows_of, subject_codes, tie_width
from embench.interfaces.units import Units

CLOSE = 1e-9
"""The share of a step by which rounding may make a difference of labels smaller."""
IN_MEMORY = 2_000_000
"""Numbers in a table of comparisons, of all subjects, that are in memory at once."""


class _Gaps(NamedTuple):
    """Some units of a subject (m,) against all of that subject (n,), at `cells` (n,): whether a unit's label is
    `higher` than the other's or `lower` (m, n), neither where two models predicted them, and what its score is worth
    against the other's (m, n): 1 if it is higher, half if they are tied, or the difference."""

    cells: np.ndarray
    higher: np.ndarray
    lower: np.ndarray
    won: np.ndarray


def crossed(units: Units, cell: np.ndarray, subjects: np.ndarray, *, graded: bool = False) -> Pairs:
    """Quadruples of subjects p, q and cells i, j, where the label is higher at i for p and at j for q; each the mean of
    p's comparison of i over j and q's of j over i. Each stands twice: with p's comparison in the row of p, with q's in
    that of q.

    With a subject's comparisons in a table (cells, cells), a pair of subjects has as many as the sum of the products of
    one table and the other's transpose; tables are made for some rows at a time.

    Args:
        cell: (n,) from 0 on, what is held constant. `subjects`: (P,), see `subject_codes`.
        graded: whether a comparison is won by the difference of scores, not by 1.
    """
    tie, cells = None if graded else tie_width(units.score), 1 + int(np.max(cell, initial=0))
    owners = rows_of(subject_codes(units, subjects))
    wins, pairs = np.zeros((len(owners), len(owners))), np.zeros((len(owners), len(owners)))
    at_once = max(1, IN_MEMORY // (cells * max(1, len(owners))))
    for first in range(0, cells, at_once):
        size = min(at_once, cells - first)
        won, number, mirrored = np.zeros((3, len(owners), size * cells))
        for p, (_, rows) in enumerate(owners):
            here = np.flatnonzero((cell[rows] >= first) & (cell[rows] < first + size))
            gaps = _gaps(units, rows, here, tie)
            theirs = cell[rows]
            apart = theirs[here][:, None] != theirs
            place = (theirs[here][:, None] - first) * cells + theirs
            for table, there, weight in (
                (won, gaps.higher & apart, gaps.won),
                (number, gaps.higher & apart, None),
                (mirrored, gaps.lower & apart, None),
            ):
                weights = None if weight is None else weight[there]
                table[p] = np.bincount(place[there], weights, size * cells)
        wins += won @ mirrored.T
        pairs += number @ mirrored.T
    made = Pairs(*np.zeros((2, len(subjects), len(subjects))))
    codes = [code for code, _ in owners]
    for table, values in zip(made, (wins, pairs), strict=True):
        np.fill_diagonal(values, 0)
        table[np.ix_(codes, codes)] = values
    return made
