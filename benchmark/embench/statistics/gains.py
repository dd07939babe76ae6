"""Differences that are paired over subjects: between protocols, from calibration data, and from pretraining."""

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
from embench.interfaces.units import Target, Units
from embench.protocols import NO_CALIBRATION, Given, recorded_given
from embench.records.manifest import SHARED_SEEDS, get_comparable_facts
from embench.records.predictions import MODEL, UNPREDICTED, Predictions
from embench.records.pretraining_comparison import (
    PretrainingGain,
    PretrainingGains,
    ReferenceKind,
    get_gain_order,
    make_reference_keys,
    match_reference,
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
from embench.statistics.estimates import contributions, load_metric
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

# Scores of each subject, which compare records with other folds or targets. A subject's value is the score on all of
# its units in a seed, whatever their folds; seeds are averaged first.


@dataclass(frozen=True)
class Scored:
    """A record with its folder, and the target and metric by which it is scored.

    Args:
        by: unit -> its label of another target, NaN if it has none. Only units with such a label count. Empty: all
            units count.
        method: name of the method or confound-only model whose predictions count; by default the run's own method."""

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
class ValuesBySeed:
    """One value per subject, or per stimulus, in each seed.

    Args:
        over: whether the values belong to subjects or to stimuli.
        values: (S, P) values, NaN if there is none. `jackknife`: names and groups of the P subjects or stimuli.
        trained: (S, G, G) whether a group (column) trained the models that predict another group (row)."""

    over: Literal["subjects", "stimuli"]
    values: np.ndarray
    jackknife: Jackknife
    trained: np.ndarray

    def estimate(self) -> Estimate | Undefined:
        """Return the mean with a t interval over groups. If groups train each other's models, the interval includes the
        training-overlap correction. If there are too few seeds to estimate it, the variance is doubled."""
        found = mean_over_subjects(mean_ignoring_nan(self.values), self.jackknife.codes)
        if isinstance(found, Undefined) or found.error is None or not self.trained.any():
            return found
        by_group = self.jackknife.by_group(np.nan_to_num(self.values / found.subjects))
        shared = training_overlap(by_group, self.trained)
        return widen(found, found.error**2 if shared is None else shared)


def subject_scores(run: Scored) -> ValuesBySeed:
    """Return the score of each subject in each seed."""
    seeds = [units for _, units in units_by_seed(run)]
    return of_subjects([run], names_of(seeds), seeds)


def subject_gap(first: Scored, second: Scored) -> ValuesBySeed:
    """Return each subject's score in the first run minus that in the second. Units and targets may differ."""
    sides = [[units for _, units in units_by_seed(run)] for run in (first, second)]
    return of_subjects([first, second], names_of([*sides[0], *sides[1]]), *sides)


def of_subjects(runs: Sequence[Scored], names: np.ndarray, *sides: Sequence[Units]) -> ValuesBySeed:
    """Return the scores (S, P) of the subjects `names` on the units of the first side (seed by seed), less the scores
    on the second side if there is one."""
    values = scores_of(runs[0], sides[0], names)
    for side in sides[1:]:
        values = values - scores_of(runs[-1], side, names)
    groups = {subject: group for run in runs for subject, group in run.record.groups.items()}
    _, codes = np.unique([groups[name] for name in names.tolist()], return_inverse=True)
    jackknife = Jackknife(names, codes)
    trained = np.any([_who_trained(run, jackknife) for run in runs], axis=0)
    return ValuesBySeed("subjects", values, jackknife, trained)


def units_by_seed(run: Scored) -> list[tuple[np.ndarray, Units]]:
    """Return for each seed, in order, the labelled units' ids (n,) and the units. Raises DataError if the record has no
    labels or no such unit."""
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
    """Return (P,) the sorted names of all subjects in these units."""
    return np.unique(np.concatenate([units.subjects[0] for units in seeds]))


def scores_of(run: Scored, seeds: Sequence[Units], names: np.ndarray) -> np.ndarray:
    """Return (S, P) the run's score of each subject on its units in each seed."""
    metric = load_metric(run.metric)
    if isinstance(metric, Undefined):
        raise DataError(metric.reason, where=run.metric)
    if seeds[0].kind not in metric.kinds:
        raise DataError(f"{run.metric} scores no targets of kind {seeds[0].kind}", where=run.target)
    alone = np.eye(len(names), dtype=np.int64)
    return np.stack([metric.resample(units, names, alone) for units in seeds])


def _who_trained(run: Scored, jackknife: Jackknife) -> np.ndarray:
    """Return (S, G, G) bool for each seed: a group (column) trained models that predict another group (row), or
    validated them."""
    position = {name: k for k, name in enumerate(jackknife.subjects.tolist())}
    rows = [row for row in run.record.folds if row["subject"] in position and row["role"] in ("train", "val", "test")]
    seeds = sorted({int(row["seed"]) for row in rows})
    folds = 1 + max(int(row["fold"]) for row in rows)
    parts = np.zeros((2, len(seeds), folds, len(position)), np.int64)
    for row in rows:
        seed, fold, subject = seeds.index(int(row["seed"])), int(row["fold"]), position[row["subject"]]
        parts[int(row["role"] == "test"), seed, fold, subject] = 1
    training, tested = jackknife.by_group(parts)
    together = np.swapaxes(tested, 1, 2) @ training > 0
    return together & ~np.eye(together.shape[-1], dtype=bool)


# Contributions of groups of subjects to a primary metric, by which a leaderboard compares records without predictions.


def primary_metric_summands(record: Record, target: str) -> Summands | None:
    """Return the contributions of groups of subjects to the primary metric of a target, in the partitions of
    `shared_part`.

    None if the metric is undefined or not a sum over subjects, if models are tested on their training subjects, or if
    an old record does not hold the label's rule.

    Raises:
        DataError: the record holds no labels."""
    metric = record.scores.primary_metrics[target]
    found = _compared_units(record, target) if record.scores.get_score(target, metric) else None
    if found is None:
        return None
    rule, joined, jackknife = found
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
    """Return the contributions of groups of subjects to the primary metric of a constant score, in the partitions of
    `shared_part`. A method without information has these contributions on average. None if the metric is not a sum over
    subjects, or as in `primary_metric_summands`.

    Raises:
        DataError: the record holds no labels."""
    found = _compared_units(record, target)
    if found is None:
        return None
    rule, joined, jackknife = found
    constant = {
        seed: {fold: replace(units, score=np.zeros_like(units.score)) for fold, units in folds.items()}
        for seed, folds in joined.seeds.items()
    }
    metric, constant_scores = record.scores.primary_metrics[target], replace(joined, seeds=constant)
    by_subject = per_subject_contributions(metric, constant_scores, rule, jackknife.subjects)
    return None if by_subject is None else np.bincount(jackknife.codes, by_subject).tolist()


def _compared_units(record: Record, target: str) -> tuple[Target, Joined, Jackknife] | None:
    """Return a target's rule, its units in `shared_part` and their jackknife; None if models are tested on their
    training subjects, or if an old record does not hold the label's rule."""
    rule = next((each for each in recorded_targets(record) if each.name == target), None)
    if rule is None or has_shared_subjects(record):
        return None
    joined = shared_part(joined_on_common([record], rule, record.groups)[0])
    return rule, joined, leave_one_out(joined.tested_subjects(), record.groups)


def shared_part(joined: Joined) -> Joined:
    """Return the partitions of `SHARED_SEEDS`, in which entries are compared; all partitions if one is missing."""
    shared = {seed: folds for seed, folds in joined.seeds.items() if seed in SHARED_SEEDS}
    return replace(joined, seeds=shared) if len(shared) == len(SHARED_SEEDS) else joined


# Gains of methods from calibration data over no calibration data, and differences between methods' gains. Everything is
# scored on the units that the methods have in common, and paired over subjects. The scores without calibration data
# come from the method's run with `--calibration-data 0` or, if there is none, from the rows `no_calibration` of its
# other runs.


@dataclass(frozen=True)
class CurveGap:
    """The gain of a method from calibration data, or the difference of two methods' gains.

    Args:
        calibration_data: the amount, as `--calibration-data` takes it.
        one: the method's name; `other`: the name of the method whose gain is subtracted, empty for the gain of one
            method.
        difference: the paired gain or difference with its 95 % interval. `p`: p of a t test with the same error.
            `p_holm`: p corrected for all tests that were made at once."""

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
        """Return the gap as `embench compare --json` prints it."""
        return {**vars(self), "difference": self.difference.to_dict(), "sentence": self.sentence}


@dataclass(frozen=True)
class CurveTable:
    """The gains of methods on a target for each amount of calibration data, and the differences between these gains.
    `scores`: (amount, method) -> score; the amount `0` is no calibration data."""

    target: str
    metric: str
    scores: Mapping[tuple[str, str], Estimate]
    gains: tuple[CurveGap, ...]
    differences: tuple[CurveGap, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as `embench compare --json` prints it."""
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
    """Return True if records differ in the amount of calibration data."""
    amounts = [recorded_given(record.run.get("calibration_data")) for record in records]
    return None not in amounts and len(set(amounts)) > 1


def compare_curves(
    records: Sequence[Record],
    given: str | None = None,
    targets: Sequence[str] | None = None,
    metric: str | None = None,
) -> list[CurveTable]:
    """Compare the gains of one or several methods from calibration data. Return a table per target. Holm's correction
    is over all tests of all targets.

    Args:
        given: the amount, as `--calibration-data` takes it, or several with commas; by default all amounts that every
            method has.

    Raises:
        UsageError: runs differ in more than method and amount, are of protocols without calibration data, or have no
            amount in common. DataError: as `compare`."""
    methods, amounts = _group_by_method(records, given)
    tables = []
    for target in targets or common_targets(records):
        parts = [_table_at_amount(methods, amount, target, metric) for amount in amounts]
        scores = {key: score for part in parts for key, score in part.scores.items()}
        gains = tuple(gap for part in parts for gap in part.gains)
        differences = tuple(gap for part in parts for gap in part.differences)
        tables.append(CurveTable(target, parts[0].metric, scores, gains, differences))
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


def _group_by_method(records: Sequence[Record], given: str | None) -> tuple[dict[str, _Amounts], list[Given]]:
    """Return method's name -> amount of calibration data -> its run, and the amounts at which methods are compared."""
    for record in records:
        if record.run.get("calibration_data") is None:
            raise UsageError(
                f"{record.run['protocol']['name']} has no calibration data",
                where=record.run["id"],
                expected="runs under personalise-v1",
            )
    if len(records) > 1:
        check_same(records, but=["seeds", "calibration data", "target access"])
    grouped: dict[str, _Amounts] = {}
    of_first: dict[str, Record] = {}
    for record in records:
        key = repr(get_comparable_facts(record.manifest))
        amount = Given.from_record(record.run["calibration_data"])
        if amount in grouped.setdefault(key, {}):
            raise UsageError(
                f"two runs are of one method, with --calibration-data {amount.text}",
                where=f"{grouped[key][amount].run['id']} and {record.run['id']}",
                expected="one run of each method at each amount",
            )
        grouped[key][amount] = record
        of_first.setdefault(key, record)
    names = dict(zip(of_first, method_names(list(of_first.values())), strict=True))
    methods = {names[key]: runs for key, runs in grouped.items()}
    above_zero = [{amount for amount in runs if amount.to_record()} for runs in methods.values()]
    wanted = [Given.read(text) for text in given.split(",")] if given else None
    common = sorted(set.intersection(*above_zero), key=lambda amount: amount.place)
    if (wanted is None and not common) or any(amount not in common for amount in wanted or ()):
        listed = "; ".join(
            f"{name}: {', '.join(amount.text for amount in sorted(runs, key=lambda amount: amount.place))}"
            for name, runs in methods.items()
        )
        raise UsageError(
            "not all methods were run with the same calibration data"
            + (f", {', '.join(amount.text for amount in wanted if amount not in common)}" if wanted else ""),
            where="embench compare",
            expected=f"the same amounts (> 0) for every method; found: {listed}",
            hint="run the others with --calibration-data too",
        )
    return methods, wanted or common


def _table_at_amount(methods: Mapping[str, _Amounts], amount: Given, target: str, metric: str | None) -> CurveTable:
    """Return the table for one amount, with uncorrected p values."""
    pairs = {name: (runs[amount], _run_without_calibration(runs, amount)) for name, runs in methods.items()}
    records = [record for pair in pairs.values() for record in pair]
    compared = {id(method.record): method for method in methods_on_common(records, target, metric)}
    gains: dict[str, Estimate] = {}
    scores: dict[tuple[str, str], Estimate] = {}
    for name, (calibrated_run, plain_run) in pairs.items():
        calibrated, plain = compared[id(calibrated_run)], compared[id(plain_run)]
        scores |= {("0", name): plain.reported_score, (amount.text, name): calibrated.reported_score}
        gains[name] = _paired_gain(calibrated.score, plain.score, calibrated, name)
    first = compared[id(records[0])]
    about = first.about  # the same for all methods

    def gap(one: str, other: str, difference: Estimate) -> CurveGap:
        shared, error = training_overlap(difference.by_seed, about.trained), difference.error
        if shared is None and error is not None and about.trained.any():
            shared = error**2  # as in the gains of records: too few seeds to estimate it
        widened = widen(difference, shared)
        p = 1.0 if widened.error is None else intervals.t_test(widened.mean, widened.error, widened.df)
        return CurveGap(amount.text, one, other, widened, p, p, about.bounded)

    return CurveTable(
        target,
        about.metric,
        scores,
        tuple(gap(name, "", gain) for name, gain in gains.items()),
        tuple(gap(a, b, _paired_gain(gains[a], gains[b], first, f"{a}, {b}")) for a, b in combinations(gains, 2)),
    )


def _paired_gain(one: Estimate, other: Estimate, method: ComparedMethod, where: str) -> Estimate:
    """Return the paired difference `one` less `other`. Raises DataError, which names `where`, if it is undefined."""
    gap = paired_difference(one, other, method.about.group)
    if isinstance(gap, Undefined):
        raise DataError(f"the gain in {method.about.metric} is undefined: {gap.reason}", where=where)
    return gap


def _run_without_calibration(runs: _Amounts, amount: Given) -> Record:
    """Return the method's run without calibration data. If there is none, its predictions `no_calibration` in the run
    with calibration data take its place."""
    if Given() in runs:
        return runs[Given()]
    record = runs[amount]
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


# Gains of pretrained runs over the same network from scratch, and over handcrafted features.

RecordGains = tuple[Record, str, PretrainingGains]
"""A pretrained run, a target, and its gains there."""


def collect_pretraining_gains(
    records: Sequence[Record], metric: str | None = None, targets: Sequence[str] | None = None
) -> list[RecordGains]:
    """Return the gains of each pretrained run among these runs over the others, target by target."""
    return [
        (record, target, comparison)
        for record in records
        for target in targets or record.scores.primary_metrics
        if (comparison := compare_pretraining(record, records, target, metric)) is not None
    ]


def compare_pretraining(
    row: Record, others: Iterable[Record], target: str, metric: str | None = None
) -> PretrainingGains | None:
    """Return the gains of a pretrained run over those of the others that are its references; None if the run is not
    pretrained or lacks the target.

    Args:
        metric: by default `shown_metric`."""
    keys = make_reference_keys(row.manifest)
    if not keys.wants or target not in row.scores.primary_metrics:
        return None
    found = []
    for other in others:
        other_keys = make_reference_keys(other.manifest)
        kind = match_reference(keys, row.manifest.seeds, other_keys, other.manifest.seeds)
        if kind and target in other.scores.primary_metrics:
            found.append(compute_pretraining_gain(kind, other_keys.name, row, other, target, metric))
    return PretrainingGains(tuple(sorted(found, key=get_gain_order)), keys.epochs)


def compute_pretraining_gain(
    kind: ReferenceKind, name: str, row: Record, reference: Record, target: str, metric: str | None = None
) -> PretrainingGain:
    """Return the score of the run `row` minus that of the run `reference`, whose method is called `name`. `metric`: as
    in `compare_pretraining`."""
    try:
        found = paired_gap(row, reference, target, metric or shown_metric(row, target))
    except EmbenchError as error:
        return PretrainingGain(kind, name, reference.run["id"], None, error.what)
    return PretrainingGain(kind, name, reference.run["id"], Score(mean=found.mean, low=found.low, high=found.high))


def shown_metric(row: Record, target: str) -> str:
    """Return the primary metric, or the within-subject score if the run's primary metric is undefined."""
    primary_metric, scores = row.scores.primary_metrics[target], row.scores.get_scores(target)
    known = (
        metric
        for metric in (primary_metric, inside_subjects(primary_metric))
        if metric in scores and scores[metric].is_defined
    )
    return next(known, primary_metric)
