"""Scores that hold a confound constant: units are compared only within a subject, a stimulus or a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import (
    Pairs,
    compare_classes,
    compare_subjects,
    compute_tie_width,
    encode_subjects,
    iterate_groups,
    mean_ignoring_nan,
    score_pairs,
)
from embench.interfaces.units import Target, Units
from embench.reasons import Reason

STEP_TOLERANCE = 1e-9
"""Proportion of a label's step by which rounding may reduce a difference of labels."""
MAX_TABLE_SIZE = 2_000_000
"""Largest number of entries of a comparison table in memory."""


def crossed_pairs(units: Units, cell: np.ndarray, subjects: np.ndarray, *, graded: bool = False) -> Pairs:
    """Return the table (P, P) of matched comparisons of labels with an order.

    A matched comparison has two subjects p, q and two cells i, j. The label is higher at i for p and at j for q. Its
    value is the mean of p's comparison of i with j and q's comparison of j with i; row p counts the former, row q the
    latter. Both subjects met i before j, or both j before i, so that a score that rises or falls throughout a session
    wins nothing. If the release has no times, any order is allowed.

    Args:
        cell: (n,) codes from 0 of the condition that is held constant.
        graded: True if the difference of two scores is the win, False if a win is 1."""
    # Each subject has a table (orders, cells, cells) of comparisons. The sum of one subject's table times another's
    # transposed table is the entry of both. Tables are made for some rows at a time, to save memory.
    tie, cells = None if graded else compute_tie_width(units.score), 1 + int(np.max(cell, initial=0))
    owners = iterate_groups(encode_subjects(units, subjects))
    wins, pairs = np.zeros((2, len(owners), len(owners)))
    at_once = max(1, MAX_TABLE_SIZE // (2 * cells * max(1, len(owners))))
    for first in range(0, cells, at_once):
        size = min(at_once, cells - first)
        won, number, mirrored = np.zeros((3, len(owners), 2 * size * cells))
        for p, (_, rows) in enumerate(owners):
            own_cell = cell[rows]
            here = np.flatnonzero((own_cell >= first) & (own_cell < first + size))
            higher, lower, win = _compare_units(units, rows, here, tie)
            start, apart = units.start_s[rows], np.not_equal.outer(own_cell[here], own_cell)
            place = np.add.outer((own_cell[here] - first) * cells, own_cell)
            place += np.less.outer(start[here], start) * (size * cells)
            won[p], number[p] = _count_by_place(place, higher & apart, win, 2 * size * cells)
            mirrored[p] = np.bincount(place[lower & apart], minlength=2 * size * cells)
        wins += won @ mirrored.T
        pairs += number @ mirrored.T
    codes, tables = [code for code, _ in owners], Pairs(*np.zeros((2, len(subjects), len(subjects))))
    for table, values in zip(tables, (wins, pairs), strict=True):
        np.fill_diagonal(values, 0)
        table[np.ix_(codes, codes)] = values
    return tables


def order_by_subject(units: Units, subjects: np.ndarray, *, graded: bool = False) -> np.ndarray:
    """Return (P,) the proportion of pairs of units that the score puts in the right order, within each of `subjects`
    (P,). NaN for a subject without two labels that differ by a step.

    Args:
        graded: True for the mean difference of the two scores of a pair instead of the proportion."""
    tie, values = None if graded else compute_tie_width(units.score), np.full(len(subjects), np.nan)
    for p, rows in iterate_groups(encode_subjects(units, subjects)):
        won, number = _count_within_subject(units, rows, np.zeros(len(units), int), 1, tie)
        values[p] = won[0, 0] / number[0, 0] if number[0, 0] else np.nan
    return values


def order_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    """Return (K, P) the proportions of `order_by_subject`, computed without the units of each of `stimuli` (K,)."""
    names, cell = np.unique(units.stimulus, return_inverse=True)
    values = np.full((len(names), len(subjects)), np.nan)
    for p, rows in iterate_groups(encode_subjects(units, subjects)):
        won, number = (
            table.sum() - table.sum(0) - table.sum(1) + np.diag(table)
            for table in _count_within_subject(units, rows, cell, len(names), compute_tie_width(units.score))
        )
        values[:, p] = np.divide(won, number, out=np.full(len(names), np.nan), where=number > 0)
    of_name, of_all = dict(zip(names.tolist(), values, strict=True)), order_by_subject(units, subjects)
    return np.stack([of_name.get(name, of_all) for name in stimuli])


def _count_within_subject(
    units: Units, rows: np.ndarray, cell: np.ndarray, cells: int, tie: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of wins and the numbers of comparisons among the units of one subject, both (cells, cells). The
    row is the cell of the unit with the higher label, the column that of the other unit."""
    won, number = np.zeros((2, cells * cells))
    for here in np.array_split(np.arange(len(rows)), 1 + len(rows) ** 2 // MAX_TABLE_SIZE):
        higher, _, win = _compare_units(units, rows, here, tie)
        place = np.add.outer(cell[rows[here]] * cells, cell[rows])
        some_won, some_number = _count_by_place(place, higher, win, cells * cells)
        won += some_won
        number += some_number
    return won.reshape(cells, cells), number.reshape(cells, cells)


def _count_by_place(
    place: np.ndarray, chosen: np.ndarray, win: np.ndarray, places: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (places,) the sums of `win`, and (places,) the numbers, of the comparisons at each `place` that are
    `chosen` (bool). Arguments are (m, n)."""
    chosen_place = place[chosen]
    return np.bincount(chosen_place, win[chosen], places), np.bincount(chosen_place, minlength=places)


def _compare_units(
    units: Units, rows: np.ndarray, some: np.ndarray, tie: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare some of a subject's units, `rows[some]` (m,), with all of them, `rows` (n,). Return three arrays (m, n):
    True for a higher label, True for a lower label, and the win of the score: 1, 0.5 for ties, or the difference if
    `tie` is None. The first two are False if different models predicted the two units."""
    y, score, fold = units.y_true[rows], np.asarray(units.score, np.float64)[rows], units.fold[rows]
    gap, least = np.subtract.outer(y[some], y), units.step * (1 - STEP_TOLERANCE)
    apart = np.equal.outer(fold[some], fold) & (np.abs(gap) >= least)
    win = np.subtract.outer(score[some], score) if tie is None else score_pairs(score[some], score, tie)
    return apart & (gap > 0), apart & (gap < 0), win


# Conditioned scores take the units of one fold and one seed, and count comparisons by the pair of subjects in them. A
# score is the proportion of comparisons won over all folds and seeds; in a sample without some subjects it is a
# quadratic form. Several classes are compared one against the rest. If a subject has several units at one stimulus (or
# in one bin of time), every pair of units is a comparison of its own. Continuous labels are compared by their order.

CONDITIONED = ("auroc_within_stimulus", "auroc_crossed", "auroc_crossed_time", "auroc_crossed_matched")
"""Conditioned scores of classes."""
OF_VALUES = ("concordance_crossed", "concordance_crossed_matched")
"""Conditioned scores of continuous targets, computed if the primary metric is a C-index."""
BY_MOMENT = ("auroc_crossed_moment", "concordance_crossed_moment")
"""Conditioned scores of labels that vary within a stimulus, computed if one is the primary metric."""
BY_TIME = ("auroc_crossed_time", "auroc_crossed_matched", "auroc_crossed_balanced", "concordance_crossed_matched")
MATCHED = ("auroc_crossed_matched", "concordance_crossed_matched")
MATCHED_S = 60.0
"""Largest difference in s between sessions of similar length. At 120 s, a perfect model of time and length scores
.56."""
MAX_MOMENT_SPREAD = 0.1
"""Largest time between the starts of units at one moment of a stimulus, as a proportion of the units' length."""


class Hurdle(NamedTuple):
    """Minimum numbers of comparisons, of subjects in them, and of pairs of subjects with sessions of similar length."""

    comparisons: int = 200
    subjects: int = 10
    matches: int = 10


HURDLE = Hurdle()
"""Minimum numbers for one partition by itself."""
NO_HURDLE = Hurdle(1, 1, 1)
SHARED_STIMULI_HURDLE = Hurdle(comparisons=25)
"""Minimum numbers for all partitions together, for scores matched by stimulus. With so many,
intervals contain the truth in at least 92 % of simulated studies (bench/confound_rule)."""
MATCHED_BY_STIMULUS = ("auroc_crossed", "concordance_crossed")


def pooled_hurdle(name: str) -> Hurdle:
    """Return the minimum numbers for all partitions together, for a conditioned score."""
    return SHARED_STIMULI_HURDLE if name in MATCHED_BY_STIMULUS else HURDLE


def is_conditioned(name: str) -> bool:
    """Return True if a score consists of comparisons that hold a confound constant."""
    return name in (*CONDITIONED, *OF_VALUES, *BY_MOMENT)


def applies_to(name: str, target: Target) -> bool:
    """Return True if the conditioned score applies to targets of this kind."""
    return name.startswith(target.traits.ranking_family)


def comparisons(name: str, units: Units, subjects: np.ndarray, *, graded: bool = False) -> list[Pairs] | Undefined:
    """Return the comparisons of a conditioned score, one table (P, P) per class, or the reason why none is possible.

    A row of `auroc_within_stimulus` is the subject of the positive unit. Crossed scores count each matched comparison
    twice: in the row of each of its two subjects, with the win within that subject.

    Args:
        graded: True if the difference of two scores is the win of a crossed comparison, False if a win is 1."""
    cell = cells(name, units)
    if isinstance(cell, Undefined):
        return cell
    if len(units.subjects[0]) < 2:  # nobody to compare with; a shortcut, as a protocol may test each subject alone
        nothing = np.zeros((len(subjects), len(subjects)))
        return [Pairs(nothing, nothing) for _ in compare_classes(units)]
    subject = encode_subjects(units, subjects)
    if name in (*OF_VALUES, "concordance_crossed_moment"):
        ordered = crossed_pairs(units, cell, subjects, graded=graded)
        return [_match_session_length(units, subject, ordered) if name in MATCHED else ordered]
    if name == "auroc_within_stimulus":
        tie = compute_tie_width(units.score)
        return [
            _compare_at_stimulus(s, positive, subject, cell, len(subjects), tie)
            for positive, s in compare_classes(units)
        ]
    tables = _match_differences(units, cell, subjects) if graded else _compare_once(units, cell, subjects).tables
    return [_match_session_length(units, subject, table) for table in tables] if name in MATCHED else tables


def cells(name: str, units: Units) -> np.ndarray | Undefined:
    """Return (n,) the cell of each unit, from 0, that a conditioned score keeps constant: the stimulus, its moment or
    the bin of time."""
    by_time = name in BY_TIME
    if name in BY_MOMENT:
        return _moments(units)
    if by_time:
        if not np.isfinite(units.length_s):
            return Undefined("whole_recordings")
        if not np.isfinite(units.start_s).all():
            return Undefined("hidden_times")
        if name != "auroc_crossed_time" and (units.session_s is None or not np.isfinite(units.session_s).all()):
            return Undefined("unknown_session_length")
        # Starts are multiples of the length up to rounding, which must not move a unit into the bin before.
        kinds, cell = np.unique(np.floor(units.start_s / units.length_s + 1e-6), return_inverse=True)
    else:
        kinds, cell = units.stimuli
    if len(kinds) < 2:
        what = Reason.make("bin_of_time" if by_time else "stimulus")
        return Undefined("one_condition", what=what)
    return np.asarray(cell)


def _moments(units: Units) -> np.ndarray | Undefined:
    """Return (n,) the moment of the stimulus for each unit, from 0: bins of the units' length, from the start of the
    stimulus."""
    if units.moment_s is None or not np.isfinite(units.length_s):
        return Undefined("unknown_moment")
    bins = np.floor(units.moment_s / units.length_s + 1e-6)
    _, stimulus = units.stimuli
    _, cell = np.unique(np.stack([stimulus, bins]), axis=1, return_inverse=True)
    cell = cell.reshape(-1)
    apart = max(float(np.ptp(units.moment_s[rows])) for _, rows in iterate_groups(cell))
    if apart > MAX_MOMENT_SPREAD * units.length_s:  # else changes within a unit would reveal which unit is later
        return Undefined("moments_apart", apart=round(float(apart), 1))
    return np.asarray(cell)


def _match_session_length(units: Units, subject: np.ndarray, table: Pairs) -> Pairs:
    """Return `table` without the comparisons of subjects whose sessions differ in length by more than `MATCHED_S`."""
    length = length_by_subject(units, subject, len(table.pairs))
    close = np.abs(np.subtract.outer(length, length)) <= MATCHED_S  # never where a length is NaN
    return Pairs(np.where(close, table.wins, 0.0), np.where(close, table.pairs, 0.0))


def ranges_by_code(values: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Return (k,) the range (largest less smallest) of the `values` (n,) of each `code` (n,) from 0; 0 if unused."""
    low, high = np.full((2, code.max() + 1), values[0])
    low[code] = high[code] = values
    np.minimum.at(low, code, values)
    np.maximum.at(high, code, values)
    return np.asarray(high - low)


def length_by_subject(units: Units, subject: np.ndarray, subjects: int) -> np.ndarray:
    """Return (P,) the length of each subject's session in s, NaN without units."""
    length = np.full(subjects, np.nan)
    length[subject] = units.session_s
    return length


def proportion_won(name: str, tables: Sequence[Pairs], hurdle: Hurdle = HURDLE) -> float | Undefined:
    """Return the mean over classes of the proportion of comparisons won, or why it is undefined. Classes with too few
    comparisons are left out.

    Args:
        name: the conditioned score. `tables`: its comparisons, one table (P, P) for each class.
        hurdle: least numbers of comparisons and subjects of a class."""
    if kept := estimable(name, tables, hurdle):
        return float(np.mean([tables[k].wins.sum() / tables[k].pairs.sum() for k in kept]))
    most, involved = (max(sizes) for sizes in zip(*(comparison_counts(name, table) for table in tables), strict=True))
    what = Reason.make("pairs_of_units" if name == "auroc_within_stimulus" else "matched_comparisons")
    counts = {
        "subjects": involved,
        "comparisons": most,
        "least_subjects": hurdle.subjects,
        "least_comparisons": hurdle.comparisons,
    }
    if name in MATCHED:
        matches = max(_count_compared_subjects(table) for table in tables)
        return Undefined("few_matched_comparisons", matches=matches, least_matches=hurdle.matches, **counts)
    return Undefined("few_comparisons", what=what, **counts)


def proportion_won_resampled(
    name: str, tables: Sequence[Pairs], counts: np.ndarray, hurdle: Hurdle = HURDLE
) -> np.ndarray:
    """Return (R,) the value of `proportion_won` in each sample of subjects, over the same classes as in all subjects.
    Sample r contains subject p `counts[r, p]` times."""
    return mean_ignoring_nan([tables[k].resample(counts) for k in estimable(name, tables, hurdle)])


def estimable(name: str, tables: Sequence[Pairs], hurdle: Hurdle = HURDLE) -> list[int]:
    """Return the positions in `tables` of the classes with enough comparisons and subjects."""
    sizes = [comparison_counts(name, table) for table in tables]
    enough = [k for k, (n, subjects) in enumerate(sizes) if n >= hurdle.comparisons and subjects >= hurdle.subjects]
    return [k for k in enough if name not in MATCHED or _count_compared_subjects(tables[k]) >= hurdle.matches]


def merge_seeds(by_seed: Sequence[Sequence[Pairs]]) -> list[Pairs]:
    """Return the comparisons that any of several seeds contains, each counted once, as one table per class."""
    return [Pairs(*(np.max(part, axis=0) for part in zip(*seeds, strict=True))) for seeds in zip(*by_seed, strict=True)]


def _count_compared_subjects(table: Pairs) -> int:
    """Return the number of pairs of subjects with at least one comparison."""
    return int((table.pairs > 0).sum()) // 2


def proportion_won_of_any(tables: Sequence[Pairs]) -> float | None:
    """Return the mean over classes of the proportion of comparisons won, even if a class has few comparisons; None if
    no class has any. `tables`: one for each class."""
    shares = [table.wins.sum() / table.pairs.sum() for table in tables if table.pairs.any()]
    return float(np.mean(shares)) if shares else None


def comparison_counts(name: str, table: Pairs) -> tuple[int, int]:
    """Return the number of distinct comparisons, and the number of subjects in them."""
    total = table.pairs.sum() / (1 if name == "auroc_within_stimulus" else 2)
    return round(total), int(((table.pairs.sum(0) + table.pairs.sum(1)) > 0).sum())


def is_even(tables: Sequence[Pairs]) -> bool:
    """Return True if each comparison that one of two subjects wins is lost by the other. This holds for constant
    scores, and for scores that depend on the stimulus or on time alone."""
    return all(np.allclose(t.wins + t.wins.T, t.pairs, rtol=0, atol=1e-6) for t in tables)


def over_folds(
    name: str, folds: Iterable[Units], subjects: np.ndarray, *, graded: bool = False
) -> list[Pairs] | Undefined:
    """Return the comparisons of all folds of a seed, one table (P, P) per class over `subjects` (P,), or the reason why
    no fold has any."""
    return sum_of_known([comparisons(name, units, subjects, graded=graded) for units in folds])


def sum_of_known(by_fold: Iterable[list[Pairs] | Undefined]) -> list[Pairs] | Undefined:
    """Return the sum of the folds' tables, one table for each class. Undefined folds are left out; if all folds are
    undefined, return the reason of the first. Only the tables of one fold are in memory at a time."""
    total: list[Pairs] | None = None
    reasons = []
    for tables in by_fold:
        if isinstance(tables, Undefined):
            reasons.append(tables)
        else:
            total = tables if total is None else sum_tables([total, tables])
    return reasons[0] if total is None else total


def sum_tables(tables: Sequence[list[Pairs]]) -> list[Pairs]:
    """Return the sum of several lists of tables, class by class."""
    return [
        Pairs(np.sum([t.wins for t in of_class], axis=0), np.sum([t.pairs for t in of_class], axis=0))
        for of_class in zip(*tables, strict=True)
    ]


def _compare_at_stimulus(
    score: np.ndarray, positive: np.ndarray, subject: np.ndarray, cell: np.ndarray, subjects: int, tie: float
) -> Pairs:
    """Return the table (P, P) of comparisons between subjects in the same cell: each positive unit of one subject with
    each negative unit of another."""
    wins, pairs = np.zeros((subjects, subjects)), np.zeros((subjects, subjects))
    for _, rows in iterate_groups(cell):
        in_cell = compare_subjects(score[rows], positive[rows], subject[rows], subjects, tie)
        wins += in_cell.wins
        pairs += in_cell.pairs
    np.fill_diagonal(wins, 0)
    np.fill_diagonal(pairs, 0)
    return Pairs(wins, pairs)


class OwnComparisons(NamedTuple):
    """Comparisons within a subject, predicted by one fold's model.

    `high` (h,) and `low` (l,): cells of the positive and the negative units. `won` (h, l): the win of each positive
    unit over each negative unit, 0.5 for ties. Units in the same cell are not compared."""

    subject: int
    high: np.ndarray
    low: np.ndarray
    won: np.ndarray


class _Compared(NamedTuple):
    """The comparisons of some units, for each class. `own`: within each subject and fold, None if they were too large
    to be stored; `tables`: matched."""

    own: list[list[OwnComparisons]] | None
    tables: list[Pairs]


_COMPARED: dict[bytes, _Compared] = {}
_MOST_COMPARED, _MOST_BYTES = 128, 1 << 18
"""Largest number of comparisons in memory, and of bytes of the comparisons within subjects of each."""


def own_comparisons(units: Units, cell: np.ndarray, subjects: np.ndarray) -> list[list[OwnComparisons]]:
    """Return for each class the comparisons within each subject and fold, between units in different cells (n,). Units
    are left out if nobody has the other label in their cell, since no comparison with them can be matched."""
    own = _compare_once(units, cell, subjects).own
    return _compare_within_subjects(units, cell, encode_subjects(units, subjects)) if own is None else own


def _compare_once(units: Units, cell: np.ndarray, subjects: np.ndarray) -> _Compared:
    """Return the comparisons of units, from memory if this process made them a moment ago: several scores, and the
    contributions of subjects to them, compare the same units."""
    subject = encode_subjects(units, subjects)
    columns = (units.score, units.y_true, units.fold, subject, cell)
    key = hashlib.sha256(repr([len(subjects), *((c.shape, c.dtype.str) for c in columns)]).encode())
    for column in columns:
        key.update(column.tobytes())
    content = key.digest()
    if content in _COMPARED:
        return _COMPARED[content]
    own = _compare_within_subjects(units, cell, subject)
    small = sum(each.won.nbytes for of_class in own for each in of_class) <= _MOST_BYTES
    tables = [_match_comparisons(of_class, len(subjects)) for of_class in own]
    if len(_COMPARED) == _MOST_COMPARED:
        del _COMPARED[next(iter(_COMPARED))]
    _COMPARED[content] = _Compared(own if small else None, tables)
    return _COMPARED[content]


def _compare_within_subjects(units: Units, cell: np.ndarray, subject: np.ndarray) -> list[list[OwnComparisons]]:
    """Return the result of `own_comparisons`; `subject` (n,): position of each unit's subject."""
    tie, folds = compute_tie_width(units.score), _number_folds(units)
    owners, by_class = iterate_groups(subject * (folds.max() + 1) + folds), []
    for positive, score in compare_classes(units):
        has_high, has_low = (np.bincount(cell[some], minlength=1 + cell.max()) > 0 for some in (positive, ~positive))
        matchable = np.where(positive, has_low[cell], has_high[cell])
        kept = [(owner // (folds.max() + 1), rows[matchable[rows]]) for owner, rows in owners]
        by_class.append([_compare_subject(p, score[rows], positive[rows], cell[rows], tie) for p, rows in kept])
    return by_class


def _number_folds(units: Units) -> np.ndarray:
    """Return (n,) the number of each unit's fold, from 0."""
    if (units.fold == units.fold[0]).all():  # units of one fold, which are most often compared
        return np.zeros(len(units), int)
    return np.unique(units.fold, return_inverse=True)[1]


def _compare_subject(
    subject: int, score: np.ndarray, positive: np.ndarray, cell: np.ndarray, tie: float
) -> OwnComparisons:
    """Return the comparisons of the positive (bool) with the negative units of one subject; arguments are (n,)."""
    won = score_pairs(score[positive], score[~positive], tie)
    high, low = cell[positive], cell[~positive]
    won[np.equal.outer(high, low)] = 0
    return OwnComparisons(subject, high, low, won)


def _match_comparisons(own: Sequence[OwnComparisons], subjects: int) -> Pairs:
    """Return the table (P, P) of matched comparisons of two classes. A matched comparison has subjects p, q and cells
    s, t; p has labels 1 in s and 0 in t, and q has 0 and 1. Its value is the mean of p's comparison of s with t and
    q's comparison of t with s. One model scores both units of a comparison: units of two folds are not compared.

    A comparison of p counts once for each negative unit of q in s paired with a positive unit of q in t. All sums are
    multiples of 0.5, and therefore exact in any order."""
    cells = 1 + max(int(np.max(part, initial=0)) for each in own for part in (each.high, each.low))
    high = np.array([np.bincount(each.high, minlength=cells) for each in own], float)  # positive units in each cell
    low = np.array([np.bincount(each.low, minlength=cells) for each in own], float)
    met, same = high @ low.T, high * low
    wins = np.array([(each.won @ high.T[each.low] * low.T[each.high]).sum(0) for each in own])
    pairs = met * met.T - same @ same.T  # without comparisons of a cell with itself
    return _tabulate(wins, pairs, [each.subject for each in own], subjects)


def _match_differences(units: Units, cell: np.ndarray, subjects: np.ndarray) -> list[Pairs]:
    """Return for each class the table of `_match_comparisons`, where the difference of two scores is the win. It is
    linear in the scores: their sums in each cell suffice."""
    folds = _number_folds(units)
    owners, owner = np.unique(encode_subjects(units, subjects) * (folds.max() + 1) + folds, return_inverse=True)
    shape = len(owners), 1 + int(cell.max(initial=0))
    place, tables = owner * shape[1] + cell, []

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, values, int(np.prod(shape))).reshape(shape)

    for positive, score in compare_classes(units):
        high, low = sums(positive), sums(~positive)
        high_sum, low_sum = sums(np.where(positive, score, 0.0)), sums(np.where(positive, 0.0, score))
        met, same = high @ low.T, high * low
        won = (high_sum @ low.T) * (low @ high.T) - (high_sum * low) @ same.T
        lost = (low_sum @ high.T) * (high @ low.T) - (low_sum * high) @ same.T
        tables.append(_tabulate(won - lost, met * met.T - same @ same.T, owners // (folds.max() + 1), len(subjects)))
    return tables


def _tabulate(wins: np.ndarray, pairs: np.ndarray, subject: Sequence[int] | np.ndarray, subjects: int) -> Pairs:
    """Return the wins and pairs of owners (a subject in a fold) as a table of all subjects, with an empty diagonal."""
    tables = Pairs(np.zeros((subjects, subjects)), np.zeros((subjects, subjects)))
    for table, values in zip(tables, (wins, pairs), strict=True):
        np.add.at(table, np.ix_(np.asarray(subject), np.asarray(subject)), values)
        np.fill_diagonal(table, 0)
    return tables
