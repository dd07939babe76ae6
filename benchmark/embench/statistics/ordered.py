"""Comparisons of units whose labels are values: of two units of a subject, predicted by one fold's model, the one whose
label is higher, by a step at least, should score higher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embench.interfaces.ranking import Pairs, outranks, rows_of, subject_codes, tie_width
from embench.interfaces.units import Units

ROUNDED = 1e-9
"""The share of a step that rounding may take from a difference of labels."""
IN_MEMORY = 2_000_000
"""Numbers of a table of comparisons that are in memory at once."""


def crossed_pairs(units: Units, cell: np.ndarray, subjects: np.ndarray, *, graded: bool = False) -> Pairs:
    """Quadruples of subjects p, q and cells i, j, with a label that is higher at i for p and at j for q; each the mean
    of p's comparison of i over j and q's of j over i. Each stands twice: with p's comparison in the row of p, with q's
    in that of q. Both met i before j, or both j before i, so that nothing wins that rises or falls all through a
    session, whatever the orders of the stimuli were; where the release hides the times, no order is asked for.

    With a table (orders, cells, cells) of each subject's comparisons, two subjects have the sum of one table times the
    other's transpose. Tables are made for some rows at a time.

    Args:
        cell: (n,) from 0 on, what is held constant.
        graded: whether a comparison is won by the difference of scores, not by 1.
    """
    tie, cells = None if graded else tie_width(units.score), 1 + int(np.max(cell, initial=0))
    owners = rows_of(subject_codes(units, subjects))
    wins, pairs = np.zeros((2, len(owners), len(owners)))
    at_once = max(1, IN_MEMORY // (2 * cells * max(1, len(owners))))
    for first in range(0, cells, at_once):
        size = min(at_once, cells - first)
        won, number, mirrored = np.zeros((3, len(owners), 2 * size * cells))
        for p, (_, rows) in enumerate(owners):
            at = cell[rows]
            here = np.flatnonzero((at >= first) & (at < first + size))
            higher, lower, ahead = _compared(units, rows, here, tie)
            start, apart = units.start_s[rows], np.not_equal.outer(at[here], at)
            place = np.add.outer((at[here] - first) * cells, at) + np.less.outer(start[here], start) * (size * cells)
            won[p], number[p] = _counted(place, higher & apart, ahead, 2 * size * cells)
            mirrored[p] = np.bincount(place[lower & apart], minlength=2 * size * cells)
        wins += won @ mirrored.T
        pairs += number @ mirrored.T
    codes, made = [code for code, _ in owners], Pairs(*np.zeros((2, len(subjects), len(subjects))))
    for table, values in zip(made, (wins, pairs), strict=True):
        np.fill_diagonal(values, 0)
        table[np.ix_(codes, codes)] = values
    return made


def order_by_subject(units: Units, subjects: np.ndarray, *, graded: bool = False) -> np.ndarray:
    """(P,) the share of pairs of units inside each subject of `subjects` (P,) that are in the right order, or the mean
    difference of scores in them; NaN for one whose labels do not differ by a step, or without units."""
    tie, values = None if graded else tie_width(units.score), np.full(len(subjects), np.nan)
    for p, rows in rows_of(subject_codes(units, subjects)):
        won, number = _table(units, rows, np.zeros(len(units), int), 1, tie)
        values[p] = won[0, 0] / number[0, 0] if number[0, 0] else np.nan
    return values


def order_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    """(K, P) the share without the units of each of `stimuli` (K,)."""
    names, cell = np.unique(units.stimulus, return_inverse=True)
    values = np.full((len(names), len(subjects)), np.nan)
    for p, rows in rows_of(subject_codes(units, subjects)):
        won, number = (
            of.sum() - of.sum(0) - of.sum(1) + np.diag(of)
            for of in _table(units, rows, cell, len(names), tie_width(units.score))
        )
        values[:, p] = np.divide(won, number, out=np.full(len(names), np.nan), where=number > 0)
    of_name, of_all = dict(zip(names.tolist(), values, strict=True)), order_by_subject(units, subjects)
    return np.stack([of_name.get(name, of_all) for name in stimuli])


def _table(
    units: Units, rows: np.ndarray, cell: np.ndarray, cells: int, tie: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of what is won, and the number of comparisons, (cells, cells), of units of one subject, those of higher
    label in rows."""
    won, number = np.zeros((2, cells * cells))
    for here in np.array_split(np.arange(len(rows)), 1 + len(rows) ** 2 // IN_MEMORY):
        higher, _, ahead = _compared(units, rows, here, tie)
        place = np.add.outer(cell[rows[here]] * cells, cell[rows])
        of_some = _counted(place, higher, ahead, cells * cells)
        won += of_some[0]
        number += of_some[1]
    return won.reshape(cells, cells), number.reshape(cells, cells)


def _counted(place: np.ndarray, chosen: np.ndarray, ahead: np.ndarray, places: int) -> tuple[np.ndarray, np.ndarray]:
    """(places,) sums of `ahead`, and the number, of the `chosen` comparisons at each `place`; all three (m, n)."""
    at = place[chosen]
    return np.bincount(at, ahead[chosen], places), np.bincount(at, minlength=places)


def _compared(
    units: Units, rows: np.ndarray, here: np.ndarray, tie: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compares some of a subject's units, `rows[here]` (m,), with all of them, `rows` (n,): (m, n) whether the label is
    higher, whether it is lower, neither where two models predicted them, and what the score wins: 1, half where tied,
    or its difference."""
    y, score, fold = (of[rows] for of in (units.y_true, np.asarray(units.score, np.float64), units.fold))
    gap, least = np.subtract.outer(y[here], y), units.step * (1 - ROUNDED)
    apart = np.equal.outer(fold[here], fold) & (np.abs(gap) >= least)
    won = np.subtract.outer(score[here], score) if tie is None else outranks(score[here], score, tie)
    return apart & (gap > 0), apart & (gap < 0), won
