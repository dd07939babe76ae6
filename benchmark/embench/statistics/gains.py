"""Differences between protocols, from calibration data and from pretraining, subject by subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from embench.errors import DataError, EmbenchError, UsageError
from embench.files import digest
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_ignoring_nan
from embench.interfaces.units import Units
from embench.protocols import NO_CALIBRATION, Given, recorded_given
from embench.records.manifest import SHARED_SEEDS, but_for_given
from embench.records.predictions import MODEL, UNPREDICTED, Predictions
from embench.records.pretraining_comparison import (
    PretrainingComparison,
    PretrainingGap,
    ReferenceKind,
    find_comparison_keys,
    gap_sort_key,
    matching,
)
from embench.records.record import Record
from embench.records.scores import Score
from embench.records.wording import format_p, format_points, given_in_words, inside_subjects
from embench.statistics import intervals
from embench.statistics.comparison import (
    ComparedMethod,
    method_names,
    methods_on_common,
    paired_gap,
    per_subject_contributions,
)
from embench.statistics.estimates import contributions, metric_of
from embench.statistics.intervals import (
    ALPHA,
    Estimate,
    Jackknife,
    Summands,
    leave_one_out,
    mean_over_subjects,
    paired_difference,
    training_overlap,
    widen,
)
from embench.statistics.joined import (
    Joined,
    check_same,
    common_targets,
    has_shared_subjects,
    joined_on_common,
    labels_of,
    recorded_target,
    recorded_targets,
    units_of,
)

# Scores of each subject, so that records under protocols with other folds, or on other targets, compare.
#
# A subject's value is the score on all of its units in a seed, whatever their folds; seeds are averaged first.


@dataclass(frozen=True)
class Scored:
    """A record, where it lies, the target that is looked at and its score.

    `by`: unit -> its label of another target, NaN where there is none: units without one do not count; empty where all
    count. `method`: whose predictions count, by default the run's own; or a control of the record.
    """

    record: Record
    folder: Path
    target: str
    metric: str
    by: Mapping[str, float] = field(default_factory=dict)
    method: str = MODEL

    @property
    def predictions(self) -> Predictions:
        """The method's predictions of the target."""
        rows = self.record.predictions
        return rows.take(rows.rows_with(method=self.method, target=self.target))


@dataclass(frozen=True)
class Each:
    """A value of each subject, or of each stimulus.

    Args:
        over: whose values they are.
        values: (S, P) in each seed, NaN where there is none.
        jackknife: their names and groups.
        trained: (S, G, G) in each seed, whether a group (column) trained the models that predict another (row).
    """

    over: Literal["subjects", "stimuli"]
    values: np.ndarray
    jackknife: Jackknife
    trained: np.ndarray

    def estimate(self) -> Estimate | Undefined:
        """The mean, with a t interval over groups. Where they train each other's models, the variance has the allowance
        for that, which is the variance itself where seeds do not show it."""
        found = mean_over_subjects(mean_ignoring_nan(self.values), self.jackknife.codes)
        if isinstance(found, Undefined) or found.error is None or not self.trained.any():
            return found
        by_group = self.jackknife.by_group(np.nan_to_num(self.values / found.subjects))
        shared = training_overlap(by_group, self.trained)
        return widen(found, found.error**2 if shared is None else shared)


def subject_scores(run: Scored) -> Each:
    """The score of each subject."""
    seeds = [units for _, units in units_by_seed(run)]
    return of_subjects([run], names_of(seeds), seeds)


def subject_gap(first: Scored, second: Scored) -> Each:
    """The score of the first less that of the second in each subject, each on its own units and target."""
    sides = [[units for _, units in units_by_seed(run)] for run in (first, second)]
    return of_subjects([first, second], names_of([*sides[0], *sides[1]]), *sides)


def of_subjects(runs: Sequence[Scored], names: np.ndarray, *sides: Sequence[Units]) -> Each:
    """The scores (S, P) of the units of the first side, less those of the second where there is one."""
    values = scores_of(runs[0], sides[0], names)
    for side in sides[1:]:
        values = values - scores_of(runs[-1], side, names)
    groups = {subject: group for run in runs for subject, group in run.record.groups.items()}
    _, codes = np.unique([groups[name] for name in names.tolist()], return_inverse=True)
    jackknife = Jackknife(names, codes)
    trained = np.any([_trained(run, jackknife) for run in runs], axis=0)
    return Each("subjects", values, jackknife, trained)


def units_by_seed(run: Scored) -> list[tuple[np.ndarray, Units]]:
    """Ids (n,) of the labelled units, and the units, for each seed in order. Raises DataError: there are none."""
    if run.record.labels is None:
        raise DataError("the record contains no labels", where=str(run.folder))
    target, rows = recorded_target(run.record, run.target), run.predictions
    y = labels_of(rows, run.record.labels, target)
    counts = np.isfinite(y)
    if run.by:
        counts &= np.isfinite([run.by.get(unit, np.nan) for unit in rows["unit"].tolist()])
    rows, y = rows.take(counts), y[counts]
    if not len(rows):
        raise DataError(f"no unit of {run.target} has the labels that are asked for", where=str(run.folder))
    ids, seed_of = rows["unit"], rows["seed"]
    units = units_of(rows, y, target, run.record.groups, float("nan"))
    return [(ids[seed_of == seed], units.take(seed_of == seed)) for seed in np.unique(seed_of)]


def names_of(seeds: Sequence[Units]) -> np.ndarray:
    """(P,) the subjects of all units."""
    return np.unique(np.concatenate([units.subjects[0] for units in seeds]))


def scores_of(run: Scored, seeds: Sequence[Units], names: np.ndarray) -> np.ndarray:
    """(S, P) the run's score of each subject on its units in each seed."""
    metric = metric_of(run.metric)
    if isinstance(metric, Undefined):
        raise DataError(metric.reason, where=run.metric)
    if seeds[0].kind not in metric.kinds:
        raise DataError(f"{run.metric} scores no targets of kind {seeds[0].kind}", where=run.target)
    alone = np.eye(len(names), dtype=np.int64)
    return np.stack([metric.resample(units, names, alone) for units in seeds])


def _trained(run: Scored, jackknife: Jackknife) -> np.ndarray:
    """(S, G, G) in each seed, whether a group (column) trained, or chose the epoch of, models that predict another
    (row)."""
    at = {name: k for k, name in enumerate(jackknife.subjects.tolist())}
    rows = [row for row in run.record.folds if row["subject"] in at and row["role"] in ("train", "val", "test")]
    every = sorted({int(row["seed"]) for row in rows})
    folds = 1 + max(int(row["fold"]) for row in rows)
    parts = np.zeros((2, len(every), folds, len(at)), np.int64)
    for row in rows:
        parts[int(row["role"] == "test"), every.index(int(row["seed"])), int(row["fold"]), at[row["subject"]]] = 1
    training, tested = jackknife.by_group(parts)
    together = np.swapaxes(tested, 1, 2) @ training > 0
    return together & ~np.eye(together.shape[-1], dtype=bool)


# Contributions of groups of subjects to a record's primary metric, by which a board compares records without
# predictions.


def headline_summands(record: Record, target: str) -> Summands | None:
    """The parts that groups of subjects add to the primary metric of a target, in the partitions of `shared_part`; None
    where it is undefined or no sum over subjects, where subjects are tested by models that they trained, or where an
    old record does not hold the label's rule.

    Raises:
        DataError: the record holds no labels.
    """
    metric = record.scores.primary_metrics[target]
    groups = record.groups
    rule = next((each for each in recorded_targets(record) if each.name == target), None)
    if rule is None or record.scores.get_score(target, metric) is None or has_shared_subjects(record):
        return None
    [joined] = joined_on_common([record], rule, groups)
    joined = shared_part(joined)
    jackknife = leave_one_out(joined.tested_subjects(), groups)
    by_group = per_subject_contributions(metric, joined, rule, jackknife.subjects)
    if by_group is None:
        return None
    by_group = np.bincount(jackknife.codes, by_group)
    by_seed = contributions(metric, joined, rule, jackknife)
    units = [
        [seed, fold, *(values.tolist() for values in (part.subject, part.stimulus, part.start_s, part.y_true))]
        for seed, fold, part in joined
    ]
    return Summands(digest([metric, jackknife.codes.tolist(), units]), by_group, by_seed, joined.trained(jackknife))


def chance_contributions(record: Record, target: str) -> list[float] | None:
    """The contributions of groups of subjects to the primary metric of a constant score, in the partitions of
    `shared_part`: what each of a method's `headline_summands` is on average if the method predicts nothing. None where
    a method has none.

    Raises:
        DataError: the record holds no labels.
    """
    metric = record.scores.primary_metrics[target]
    rule = next((each for each in recorded_targets(record) if each.name == target), None)
    if rule is None or has_shared_subjects(record):
        return None
    joined = shared_part(joined_on_common([record], rule, record.groups)[0])
    constant = {
        seed: {fold: replace(units, score=np.zeros_like(units.score)) for fold, units in folds.items()}
        for seed, folds in joined.seeds.items()
    }
    jackknife = leave_one_out(joined.tested_subjects(), record.groups)
    found = per_subject_contributions(metric, replace(joined, seeds=constant), rule, jackknife.subjects)
    return None if found is None else np.bincount(jackknife.codes, found).tolist()


def shared_part(joined: Joined) -> Joined:
    """Return the partitions in which entries are compared: those of the seeds that all entries have."""
    shared = {seed: folds for seed, folds in joined.seeds.items() if seed in SHARED_SEEDS}
    return replace(joined, seeds=shared) if len(shared) == len(SHARED_SEEDS) else joined


# Differences of curves: what methods gain where test subjects give something first, over nothing given, and by how much
# one gains more than another.
#
# All is scored on the units that the methods have in common, with something given and with nothing, and paired over
# subjects. What a method does with nothing given is its run with `--calibration-data 0` or, where there is none, the
# rows `no_calibration` that each run with more holds.


@dataclass(frozen=True)
class CurveGap:
    """A gain of a method over nothing given, or by how much `one` gains more than the `other`.

    Args:
        given: what test subjects give, as `--calibration-data` says it.
        one: the method's name; `other`: the other's, empty where it is the gain of one.
        difference: paired, with its 95 % interval; p of a t test with the same error, and `holm`, the same corrected
            for all that were tested at once.
    """

    calibration_data: str
    one: str
    other: str
    difference: Estimate
    p: float
    p_holm: float
    bounded: bool

    @property
    def shown(self) -> bool:
        """True if the corrected test is significant."""
        return self.p_holm < ALPHA

    @property
    def sentence(self) -> str:
        """A sentence that may be quoted."""
        gap, amount = self.difference, Given.read(self.calibration_data).to_record()
        data = f"{given_in_words(amount)} as calibration data"
        low, high = ("?" if end is None else format_points(end, self.bounded) for end in (gap.low, gap.high))
        size = f"{format_points(gap.mean, self.bounded)}{' points' if self.bounded else ''}"
        figures = f"{size}, 95 % interval {low} to {high}, {format_p(self.p_holm)}, {gap.subjects} subjects"
        if self.other and self.shown:
            return f"With {data}, the gains of {self.one} and {self.other} differ by {figures}."
        if self.other:
            return f"With {data}, a difference in gain of {self.one} and {self.other} is not shown: {figures}."
        if self.shown:
            return f"With {data}, {self.one} changes by {figures}."
        return f"With {data}, a change of {self.one} is not shown: {figures}."

    def to_dict(self) -> dict[str, Any]:
        """The gap as `embench compare --json` prints it."""
        return {**vars(self), "difference": self.difference.to_dict(), "sentence": self.sentence}


@dataclass(frozen=True)
class CurveTable:
    """The gains of methods on a target at each amount, and the differences between these. `scores`: (amount, method)
    -> the score there; `0` is nothing given."""

    target: str
    metric: str
    scores: Mapping[tuple[str, str], Estimate]
    gains: tuple[CurveGap, ...]
    differences: tuple[CurveGap, ...]

    def to_dict(self) -> dict[str, Any]:
        """The table as `embench compare --json` prints it."""
        return {
            "target": self.target,
            "metric": self.metric,
            "scores": [
                {"calibration_data": given, "method": name, "score": score.to_dict()}
                for (given, name), score in self.scores.items()
            ],
            "gains": [gap.to_dict() for gap in self.gains],
            "differences": [gap.to_dict() for gap in self.differences],
        }


def are_curves(records: Sequence[Record]) -> bool:
    """True if records differ in what test subjects give."""
    asked = [recorded_given(record.run.get("calibration_data")) for record in records]
    return None not in asked and len(set(asked)) > 1


def compare_curves(
    records: Sequence[Record],
    given: str | None = None,
    targets: Sequence[str] | None = None,
    metric: str | None = None,
) -> list[CurveTable]:
    """Compares the gains of one method or several over nothing given: a table for each target. Holm's correction is
    over all tests of all targets.

    Args:
        given: the amount, as `--calibration-data` says it, with commas between several; by default all that every
            method has.

    Raises:
        UsageError: runs differ in more than method and amount, are of protocols to which nobody gives anything, or have
            no amount in common. DataError: as `compare`.
    """
    methods, amounts = _methods(records, given)
    tables = []
    for target in targets or common_targets(records):
        made = [_at(methods, amount, target, metric) for amount in amounts]
        scores = {key: score for of in made for key, score in of.scores.items()}
        gaps = [gap for of in made for gap in of.gains], [gap for of in made for gap in of.differences]
        tables.append(CurveTable(target, made[0].metric, scores, tuple(gaps[0]), tuple(gaps[1])))
    corrected = iter(intervals.holm([gap.p for table in tables for gap in (*table.gains, *table.differences)]))
    return [
        replace(
            table,
            gains=tuple(replace(gap, p_holm=next(corrected)) for gap in table.gains),
            differences=tuple(replace(gap, p_holm=next(corrected)) for gap in table.differences),
        )
        for table in tables
    ]


_Amounts = dict[Given, Record]


def _methods(records: Sequence[Record], given: str | None) -> tuple[dict[str, _Amounts], list[Given]]:
    """Name of a method -> amount -> its run, and the amounts to compare at."""
    _check_given(records)
    if len(records) > 1:
        check_same(records, but=["seeds", "calibration data", "target access"])
    grouped: dict[str, _Amounts] = {}
    of_first: dict[str, Record] = {}
    for record in records:
        key = repr(but_for_given(record.manifest))
        asked = Given.from_record(record.run["calibration_data"])
        if asked in grouped.setdefault(key, {}):
            raise UsageError(
                f"two runs are of one method, with --calibration-data {asked.text}",
                where=f"{grouped[key][asked].run['id']} and {record.run['id']}",
                expected="one run of each method at each amount",
            )
        grouped[key][asked] = record
        of_first.setdefault(key, record)
    names = dict(zip(of_first, method_names(list(of_first.values())), strict=True))
    methods = {names[key]: runs for key, runs in grouped.items()}
    has = {name: {asked for asked in runs if asked.to_record()} for name, runs in methods.items()}
    wanted = [Given.read(text) for text in given.split(",")] if given else None
    common = sorted(set.intersection(*has.values()), key=lambda asked: asked.place)
    if (wanted is None and not common) or any(asked not in common for asked in wanted or ()):
        listed = "; ".join(
            f"{name}: {', '.join(asked.text for asked in sorted(runs, key=lambda asked: asked.place))}"
            for name, runs in methods.items()
        )
        raise UsageError(
            "not all methods were run with the same calibration data"
            + (f", {', '.join(asked.text for asked in wanted if asked not in common)}" if wanted else ""),
            where="embench compare",
            expected=f"the same amounts (> 0) for every method; found: {listed}",
            hint="run the others with --calibration-data too",
        )
    return methods, wanted or common


def _check_given(records: Sequence[Record]) -> None:
    for record in records:
        if record.run.get("calibration_data") is None:
            raise UsageError(
                f"{record.run['protocol']['name']} has no calibration data",
                where=record.run["id"],
                expected="runs under personalise-v1",
            )


def _at(methods: Mapping[str, _Amounts], given: Given, target: str, metric: str | None) -> CurveTable:
    """The table of one amount, uncorrected."""
    pairs = {name: (runs[given], _nothing_given(runs, given)) for name, runs in methods.items()}
    every = [record for pair in pairs.values() for record in pair]
    found = {id(method.record): method for method in methods_on_common(every, target, metric)}
    gains: dict[str, Estimate] = {}
    scores: dict[tuple[str, str], Estimate] = {}
    for name, (more, nothing) in pairs.items():
        with_it, without = found[id(more)], found[id(nothing)]
        scores |= {("0", name): without.told, (given.text, name): with_it.told}
        gains[name] = _less(with_it.score, without.score, with_it, name)
    about = next(iter(found.values())).about

    def gap(one: str, other: str, difference: Estimate) -> CurveGap:
        shared, error = training_overlap(difference.by_seed, about.trained), difference.error
        if shared is None and error is not None and about.trained.any():
            shared = error**2  # as in the gains of records, where seeds do not show how much it is
        widened = widen(difference, shared)
        p = 1.0 if widened.error is None else intervals.t_test(widened.mean, widened.error, widened.df)
        return CurveGap(given.text, one, other, widened, p, p, about.bounded)

    first = found[id(every[0])]
    return CurveTable(
        target,
        about.metric,
        scores,
        tuple(gap(name, "", gain) for name, gain in gains.items()),
        tuple(gap(a, b, _less(gains[a], gains[b], first, f"{a}, {b}")) for a, b in combinations(gains, 2)),
    )


def _less(one: Estimate, other: Estimate, method: ComparedMethod, where: str) -> Estimate:
    gap = paired_difference(one, other, method.about.group)
    if isinstance(gap, Undefined):
        raise DataError(f"the gain in {method.about.metric} is undefined: {gap.reason}", where=where)
    return gap


def _nothing_given(runs: _Amounts, given: Given) -> Record:
    """The method's run with nothing given, else what its run with more holds of it, as such a run."""
    if Given() in runs:
        return runs[Given()]
    record = runs[given]
    table = record.predictions
    rows = table.take(table.rows_with(method=NO_CALIBRATION) | table.rows_with(method=UNPREDICTED))
    if not len(rows):
        raise DataError(
            "the record does not contain predictions without calibration data",
            where=record.run["id"],
            hint="run it with --calibration-data 0 too",
        )
    name = np.where(rows["method"] == NO_CALIBRATION, MODEL, rows["method"])
    return replace(record, predictions=type(rows)({**{c: rows[c] for c in rows.columns}, "method": name}))


# Gaps of pretrained runs to their comparison runs.

Gaps = tuple[Record, str, PretrainingComparison]
"""A pretrained run, a target, and its comparison runs there."""


def collect_pretraining_gaps(
    records: Sequence[Record], metric: str | None = None, targets: Sequence[str] | None = None
) -> list[Gaps]:
    """The comparison runs of each pretrained run among these runs, target by target."""
    return [
        (record, target, comparison)
        for record in records
        for target in targets or record.scores.primary_metrics
        if (comparison := compare_pretraining(record, records, target, metric)) is not None
    ]


def compare_pretraining(
    row: Record, others: Iterable[Record], target: str, metric: str | None = None
) -> PretrainingComparison | None:
    """The comparison runs of a run among others, on a target; None where it is not pretrained, or has no such target.

    Args:
        metric: by default `shown_metric`.
    """
    keys = find_comparison_keys(row.manifest)
    if not keys.wants or target not in row.scores.primary_metrics:
        return None
    found = []
    for other in others:
        theirs = find_comparison_keys(other.manifest)
        kind = matching(keys, row.manifest.seeds, theirs, other.manifest.seeds)
        if kind and target in other.scores.primary_metrics:
            found.append(compute_pretraining_gap(kind, theirs.name, row, other, target, metric))
    return PretrainingComparison(tuple(sorted(found, key=gap_sort_key)), keys.epochs)


def compute_pretraining_gap(
    kind: ReferenceKind, name: str, row: Record, reference: Record, target: str, metric: str | None = None
) -> PretrainingGap:
    """The gap of a run to one of its comparison runs, a method of this name; `metric` as in `compare_pretraining`."""
    try:
        gap = paired_gap(row, reference, target, metric or shown_metric(row, target))
    except EmbenchError as error:
        return PretrainingGap(kind, name, reference.run["id"], None, error.what)
    return PretrainingGap(kind, name, reference.run["id"], Score(mean=gap.mean, low=gap.low, high=gap.high))


def shown_metric(row: Record, target: str) -> str:
    """The primary metric or, where the run has none, the score inside subjects."""
    primary_metric, scores = row.scores.primary_metrics[target], row.scores.get_scores(target)
    known = (
        metric
        for metric in (primary_metric, inside_subjects(primary_metric))
        if metric in scores and scores[metric].is_defined
    )
    return next(known, primary_metric)
