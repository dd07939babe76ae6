"""Scores within a subject, a stimulus or a time, which these cannot explain."""

from __future__ import annotations

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

# Comparisons of units whose labels are values: of two units of a subject, predicted by one fold's model, the one whose
# label is higher, by a step at least, should score higher.

ROUNDED = 1e-9
"""The share of a step that rounding may take from a difference of labels."""
IN_MEMORY = 2_000_000
"""Numbers of a table of comparisons that are in memory at once."""


def crossed_pairs(units: Units, cell: np.ndarray, subjects: np.ndarray, *, graded: bool = False) -> Pairs:
    """Return quadruples of subjects p, q and cells i, j, where the label is higher at i for p and at j for q. The value
    of each is the mean of p's comparison of i with j and q's comparison of j with i. Each quadruple is counted twice:
    with p's comparison in row p, and with q's in row q. Both subjects met i before j, or both j before i, so that a
    score that rises or falls throughout a session wins nothing, whatever the order of stimuli. If the release has no
    times, any order is allowed.

    With a table (orders, cells, cells) of each subject's comparisons, two subjects have the sum of one table times the
    other's transpose. Tables are made for some rows at a time.

    Args:
        cell: (n,) from 0 on, what is held constant.
        graded: whether a comparison is won by the difference of scores, not by 1.
    """
    tie, cells = None if graded else compute_tie_width(units.score), 1 + int(np.max(cell, initial=0))
    owners = iterate_groups(encode_subjects(units, subjects))
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
    """Return (P,) the proportion of pairs of units in the right order within each subject of `subjects` (P,), or the
    mean difference of their scores. NaN for a subject without units, or whose labels do not differ by a step."""
    tie, values = None if graded else compute_tie_width(units.score), np.full(len(subjects), np.nan)
    for p, rows in iterate_groups(encode_subjects(units, subjects)):
        won, number = _table(units, rows, np.zeros(len(units), int), 1, tie)
        values[p] = won[0, 0] / number[0, 0] if number[0, 0] else np.nan
    return values


def order_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    """Return (K, P) the share without the units of each of `stimuli` (K,)."""
    names, cell = np.unique(units.stimulus, return_inverse=True)
    values = np.full((len(names), len(subjects)), np.nan)
    for p, rows in iterate_groups(encode_subjects(units, subjects)):
        won, number = (
            of.sum() - of.sum(0) - of.sum(1) + np.diag(of)
            for of in _table(units, rows, cell, len(names), compute_tie_width(units.score))
        )
        values[:, p] = np.divide(won, number, out=np.full(len(names), np.nan), where=number > 0)
    of_name, of_all = dict(zip(names.tolist(), values, strict=True)), order_by_subject(units, subjects)
    return np.stack([of_name.get(name, of_all) for name in stimuli])


def _table(
    units: Units, rows: np.ndarray, cell: np.ndarray, cells: int, tie: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of wins and the numbers of comparisons, both (cells, cells), among the units of one subject; rows
    have the higher label."""
    won, number = np.zeros((2, cells * cells))
    for here in np.array_split(np.arange(len(rows)), 1 + len(rows) ** 2 // IN_MEMORY):
        higher, _, ahead = _compared(units, rows, here, tie)
        place = np.add.outer(cell[rows[here]] * cells, cell[rows])
        of_some = _counted(place, higher, ahead, cells * cells)
        won += of_some[0]
        number += of_some[1]
    return won.reshape(cells, cells), number.reshape(cells, cells)


def _counted(place: np.ndarray, chosen: np.ndarray, ahead: np.ndarray, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (places,) sums of `ahead`, and the number, of the `chosen` comparisons at each `place`; all three (m,
    n)."""
    at = place[chosen]
    return np.bincount(at, ahead[chosen], places), np.bincount(at, minlength=places)


def _compared(
    units: Units, rows: np.ndarray, here: np.ndarray, tie: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare some of a subject's units, `rows[here]` (m,), with all of them, `rows` (n,). Return three arrays (m, n):
    whether the label is higher, whether it is lower, and what the score wins: 1, 0.5 for ties, or the difference. The
    first two are False if two models predicted the units."""
    y, score, fold = (of[rows] for of in (units.y_true, np.asarray(units.score, np.float64), units.fold))
    gap, least = np.subtract.outer(y[here], y), units.step * (1 - ROUNDED)
    apart = np.equal.outer(fold[here], fold) & (np.abs(gap) >= least)
    won = np.subtract.outer(score[here], score) if tie is None else score_pairs(score[here], score, tie)
    return apart & (gap > 0), apart & (gap < 0), won


# Scores with a nuisance held constant: what the subject, the stimulus or the clock cannot explain.
#
# All take the units of one fold and one seed, and count comparisons by the pair of subjects they involve. A score is
# the share of comparisons won, over all folds and seeds; without some subjects it is then a quadratic form. Several
# classes are taken one against the rest. Where a subject has several units at one stimulus (or in one bin of time),
# every pair of units counts as a comparison of its own. Values have no opposite labels but labels in opposite order,
# see `embench.statistics.conditioned`.

CONDITIONED = ("auroc_within_stimulus", "auroc_crossed", "auroc_crossed_time", "auroc_crossed_matched")
"""Conditioned scores of classes in all versions of scoring."""
OF_VALUES = ("concordance_crossed", "concordance_crossed_matched")
"""Conditioned scores of values, where a score of version 3 is the primary metric."""
BY_MOMENT = ("auroc_crossed_moment", "concordance_crossed_moment")
"""Conditioned scores of labels that vary while a stimulus lasts; they are made where one is the primary metric."""
BY_TIME = ("auroc_crossed_time", "auroc_crossed_matched", "auroc_crossed_balanced", "concordance_crossed_matched")
MATCHED = ("auroc_crossed_matched", "concordance_crossed_matched")
MATCHED_S = 60.0
"""Largest difference in s between sessions of similar length. At 120 s, an oracle of time and length scores .56."""
APART = 0.1
"""Units at one moment of a stimulus begin within this share of their length."""


class Hurdle(NamedTuple):
    """The least number of comparisons, of subjects in them, and, of matched sessions, of pairs of subjects."""

    comparisons: int = 200
    subjects: int = 10
    matches: int = 10


HURDLE = Hurdle()
"""The hurdle of one partition, by itself."""
ANY = Hurdle(1, 1, 1)
SHARED_STIMULI_HURDLE = Hurdle(comparisons=25)
"""The hurdle of all partitions together for scores matched by stimulus under scoring 4: from it on, intervals hold the
truth in at least 92 % of simulated studies (bench/confound_rule)."""
MATCHED_BY_STIMULUS = ("auroc_crossed", "concordance_crossed")


def pooled_hurdle(name: str) -> Hurdle:
    """Return the hurdle of all partitions together for a conditioned score under scoring 4."""
    return SHARED_STIMULI_HURDLE if name in MATCHED_BY_STIMULUS else HURDLE


def is_conditioned(name: str) -> bool:
    """Return True if the score with this name consists of comparisons with a constant nuisance."""
    return name in (*CONDITIONED, *OF_VALUES, *BY_MOMENT)


def is_of(name: str, target: Target) -> bool:
    """Return True if the conditioned score applies to targets of this kind."""
    return name.startswith(target.traits.ranking_family)


def comparisons(name: str, units: Units, subjects: np.ndarray, *, graded: bool = False) -> list[Pairs] | Undefined:
    """Return the comparisons of a conditioned score, one table (P, P) per class, or the reason why none is possible.

    A table of `auroc_within_stimulus` has the positive unit's subject in its rows. In those of the crossed scores each
    quadruple stands twice: in the row of each of its two subjects, with the comparison inside that subject.

    Args:
        graded: whether comparisons of a crossed score are won by how much higher the positive unit scores, not by 1.
    """
    cell = cells(name, units)
    if isinstance(cell, Undefined):
        return cell
    if len(units.subjects[0]) < 2:  # nobody to compare with: of one fold for each subject there may be very many
        nothing = np.zeros((len(subjects), len(subjects)))
        return [Pairs(nothing, nothing) for _ in compare_classes(units)]
    subject = encode_subjects(units, subjects)
    if name in (*OF_VALUES, "concordance_crossed_moment"):
        ordered = crossed_pairs(units, cell, subjects, graded=graded)
        return [_of_like_length(units, subject, ordered) if name in MATCHED else ordered]
    if name == "auroc_within_stimulus":
        tie = compute_tie_width(units.score)
        return [_within_cell(s, positive, subject, cell, len(subjects), tie) for positive, s in compare_classes(units)]
    tables = [_crossed(own, len(subjects)) for own in own_comparisons(units, cell, subjects, graded=graded)]
    return [_of_like_length(units, subject, table) for table in tables] if name in MATCHED else tables


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
    condition = np.floor(units.start_s / units.length_s + 1e-6) if by_time else units.stimulus
    kinds, cell = np.unique(condition, return_inverse=True)
    if len(kinds) < 2:
        what = "bin of time" if by_time else "stimulus"
        return Undefined("one_condition", what=what)
    return np.asarray(cell)


def _moments(units: Units) -> np.ndarray | Undefined:
    """Return (n,) the moment of the stimulus for each unit, from 0: bins of the units' length, from the start of the
    stimulus."""
    if units.moment_s is None or not np.isfinite(units.length_s):
        return Undefined("unknown_moment")
    bins = np.floor(units.moment_s / units.length_s + 1e-6)
    _, stimulus = np.unique(units.stimulus, return_inverse=True)
    _, cell = np.unique(np.stack([stimulus, bins]), axis=1, return_inverse=True)
    cell = cell.reshape(-1)
    apart = max(float(np.ptp(units.moment_s[rows])) for _, rows in iterate_groups(cell))
    if apart > APART * units.length_s:  # else what changes within a unit tells who is later
        return Undefined("moments_apart", apart=round(float(apart), 1))
    return np.asarray(cell)


def _of_like_length(units: Units, subject: np.ndarray, table: Pairs) -> Pairs:
    """Return the comparisons of subjects whose sessions differ in length by at most `MATCHED_S`."""
    length = length_by_subject(units, subject, len(table.pairs))
    close = np.abs(np.subtract.outer(length, length)) <= MATCHED_S  # never where a length is NaN
    return Pairs(np.where(close, table.wins, 0.0), np.where(close, table.pairs, 0.0))


def length_by_subject(units: Units, subject: np.ndarray, subjects: int) -> np.ndarray:
    """Return (P,) the length of each subject's session in s, NaN without units."""
    length = np.full(subjects, np.nan)
    length[subject] = units.session_s
    return length


def share_won(name: str, tables: Sequence[Pairs], hurdle: Hurdle = HURDLE) -> float | Undefined:
    """Return the mean over classes of the share of comparisons won; classes with too few comparisons are excluded."""
    if kept := estimable(name, tables, hurdle):
        return float(np.mean([tables[k].wins.sum() / tables[k].pairs.sum() for k in kept]))
    most, involved = (max(sizes) for sizes in zip(*(comparison_counts(name, table) for table in tables), strict=True))
    what = "pairs of units" if name == "auroc_within_stimulus" else "matched comparisons"
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


def share_won_resampled(name: str, tables: Sequence[Pairs], counts: np.ndarray, hurdle: Hurdle = HURDLE) -> np.ndarray:
    """Return (R,) the mean of `share_won` over the same classes, if sample r contains subject p `counts[r, p]`
    times."""
    return mean_ignoring_nan([tables[k].resample(counts) for k in estimable(name, tables, hurdle)])


def estimable(name: str, tables: Sequence[Pairs], hurdle: Hurdle = HURDLE) -> list[int]:
    """Return the positions of classes with enough comparisons and subjects."""
    sizes = [comparison_counts(name, table) for table in tables]
    enough = [k for k, (n, subjects) in enumerate(sizes) if n >= hurdle.comparisons and subjects >= hurdle.subjects]
    return [k for k in enough if name not in MATCHED or _count_compared_subjects(tables[k]) >= hurdle.matches]


def distinct(by_seed: Sequence[Sequence[Pairs]]) -> list[Pairs]:
    """Return the comparisons of several seeds, a table a class, each counted once."""
    return [Pairs(*(np.max(of, axis=0) for of in zip(*tables, strict=True))) for tables in zip(*by_seed, strict=True)]


def _count_compared_subjects(table: Pairs) -> int:
    """Return the number of pairs of subjects with at least one comparison."""
    return int((table.pairs > 0).sum()) // 2


def plain_share(tables: Sequence[Pairs]) -> float | None:
    """Return the mean over classes of the proportion won, even with few comparisons; None without comparisons."""
    shares = [table.wins.sum() / table.pairs.sum() for table in tables if table.pairs.any()]
    return float(np.mean(shares)) if shares else None


def comparison_counts(name: str, table: Pairs) -> tuple[int, int]:
    """Return the number of distinct comparisons, and of subjects who take part in any."""
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
    there are none."""
    return sum_of_known([comparisons(name, units, subjects, graded=graded) for units in folds])


def sum_of_known(made: Iterable[list[Pairs] | Undefined]) -> list[Pairs] | Undefined:
    """Return the sum of the tables that exist, or the reason why none does; at most one fold's tables are in memory."""
    total: list[Pairs] | None = None
    reasons = []
    for tables in made:
        if isinstance(tables, Undefined):
            reasons.append(tables)
        else:
            total = tables if total is None else sum_tables([total, tables])
    return reasons[0] if total is None else total


def sum_tables(tables: Sequence[list[Pairs]]) -> list[Pairs]:
    """Return the sum over folds, class by class."""
    return [
        Pairs(np.sum([t.wins for t in of_class], axis=0), np.sum([t.pairs for t in of_class], axis=0))
        for of_class in zip(*tables, strict=True)
    ]


def _within_cell(
    score: np.ndarray, positive: np.ndarray, subject: np.ndarray, cell: np.ndarray, subjects: int, tie: float
) -> Pairs:
    """Return comparisons of two subjects at one stimulus: each positive unit of one with each negative unit of the
    other."""
    wins, pairs = np.zeros((subjects, subjects)), np.zeros((subjects, subjects))
    for _, rows in iterate_groups(cell):
        here = compare_subjects(score[rows], positive[rows], subject[rows], subjects, tie)
        wins += here.wins
        pairs += here.pairs
    np.fill_diagonal(wins, 0)
    np.fill_diagonal(pairs, 0)
    return Pairs(wins, pairs)


class OwnComparisons(NamedTuple):
    """Comparisons within a subject, predicted by one fold's model: the cells of the positive units (h,) and of the
    negative units (l,). The wins (h, l) of each positive unit over each negative unit are 0.5 for ties; units in the
    same cell are not compared."""

    subject: int
    high: np.ndarray
    low: np.ndarray
    won: np.ndarray

    def mirrored_by(self, other: OwnComparisons) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the comparisons for which `other` has comparisons with exchanged labels (m,): the cells of the
        positive and of the negative unit, the number of comparisons in `other`, and the wins."""
        cells = 1 + max(int(np.max(part, initial=0)) for part in (self.high, self.low, other.high, other.low))
        at_high = np.bincount(other.low, minlength=cells)[self.high]
        at_low = np.bincount(other.high, minlength=cells)[self.low]
        met = np.ix_(np.flatnonzero(at_high), np.flatnonzero(at_low))
        times = np.outer(at_high, at_low)[met]
        high, low = (np.broadcast_to(part, times.shape) for part in (self.high[met[0]], self.low[met[1]]))
        apart = high != low
        return high[apart], low[apart], times[apart], self.won[met][apart]


def own_comparisons(
    units: Units, cell: np.ndarray, subjects: np.ndarray, *, graded: bool = False
) -> list[list[OwnComparisons]]:
    """Return for each class the comparisons of one subject's units in different cells (n,), predicted by one fold's
    model."""
    tie, folds = None if graded else compute_tie_width(units.score), np.unique(units.fold, return_inverse=True)[1]
    owners = iterate_groups(encode_subjects(units, subjects) * (folds.max() + 1) + folds)
    return [
        [
            _compare_subject(owner // (folds.max() + 1), score[rows], positive[rows], cell[rows], tie)
            for owner, rows in owners
        ]
        for positive, score in compare_classes(units)
    ]


def _compare_subject(
    subject: int, score: np.ndarray, positive: np.ndarray, cell: np.ndarray, tie: float | None
) -> OwnComparisons:
    one, other = score[positive], score[~positive]
    won = np.subtract.outer(one, other) if tie is None else score_pairs(one, other, tie)
    high, low = cell[positive], cell[~positive]
    won[np.equal.outer(high, low)] = 0
    return OwnComparisons(subject, high, low, won)


def _crossed(own: Sequence[OwnComparisons], subjects: int) -> Pairs:
    """Return quadruples of subjects p, q and cells s, t, where p has labels 1, 0 and q has 0, 1. The value of each is
    the mean of p's comparison of s with t and q's comparison of t with s. One model scores both units of a comparison:
    units of two folds are not compared.

    A comparison of p counts as often as q has a negative unit in the cell of its positive one and a positive unit in
    the cell of its negative one. All sums are of halves, and so are exact in any order.
    """
    cells = 1 + max(int(np.max(part, initial=0)) for of in own for part in (of.high, of.low))
    high, low = (
        np.array([np.bincount(part, minlength=cells) for part in parts], float)
        for parts in ([of.high for of in own], [of.low for of in own])
    )
    met, same = high @ low.T, high * low
    of_owners = np.array([(of.won @ high.T[of.low] * low.T[of.high]).sum(0) for of in own]), met * met.T - same @ same.T
    subject = [of.subject for of in own]
    made = Pairs(*(np.zeros((subjects, subjects)) for _ in of_owners))
    for table, values in zip(made, of_owners, strict=True):
        np.add.at(table, np.ix_(subject, subject), values)
        np.fill_diagonal(table, 0)
    return made
