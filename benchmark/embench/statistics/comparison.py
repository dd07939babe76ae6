"""Comparison of two or more records: the better method, the difference, and whether this many subjects can show it.

Methods are compared on the units that all of them predict, and paired over subjects, or over folds under a protocol
that tests on training subjects. `docs/why/statistics.md` describes each test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.metric import Undefined
from embench.records import record
from embench.records.apart import names_apart
from embench.records.record import Record
from embench.records.wording import method_name
from embench.statistics import permutation, significance
from embench.statistics.answers import undefined_in_words
from embench.statistics.common import (
    check_same,
    common_seeds,
    common_targets,
    has_shared_stimuli,
    has_shared_subjects,
    joined_on_common,
    recorded_target,
)
from embench.statistics.compared import Comparison, Standing, Table
from embench.statistics.estimates import ByFold, estimate
from embench.statistics.intervals import (
    LEVEL,
    Estimate,
    Jackknife,
    leave_one_out,
    paired_difference,
    shared_variance,
    widen,
)
from embench.statistics.joined import Joined, shared_stimuli
from embench.statistics.metrics import metric_facts
from embench.statistics.scores import with_interval_of

UNEQUAL_TUNING_RATIO = 2.0
"""Tuning is unequal where one method had this many times more tries at the test labels before it than the other."""


class FinishedRun(Protocol):
    """A finished run, as `embench.run` gives it."""

    @property
    def folder(self) -> Path:
        """The folder of the run's record."""


def compare(
    one: Record | FinishedRun | Path | str,
    other: Record | FinishedRun | Path | str,
    target: str | None = None,
    metric: str | None = None,
) -> Comparison:
    """Compares two runs: results of `embench.run` (see its example), records, or folders of records.

    Args:
        target: optional where the two have exactly one in common.
        metric: by default the target's headline.

    Returns:
        A comparison, which prints as a sentence. `difference` is `one` less `other`, with `mean`, `low` and `high`; `p`
        is of this comparison alone; `better` names the better method, or is None; `sentence` may be quoted.

    Raises:
        UsageError: the two differ in what makes scores comparable, or several targets leave a choice.
        DataError: there are no labels, no common units, or the score is undefined on them.
    """
    records = [_record(source) for source in (one, other)]
    check_same(records, but=["seeds"])
    targets = [target] if target else common_targets(records)
    if len(targets) > 1:
        raise UsageError("the runs have several targets in common", where="target", expected=f"one of {targets}")
    methods = {id(method.record): method for method in methods_on_common(records, targets[0], metric)}
    return _pair(*(methods[id(r)] for r in records))  # in the caller's order, whichever is better


def paired_gap(one: Record, other: Record, target: str, metric: str | None = None) -> Estimate:
    """The difference of two runs on a target, `one` less `other`, with the interval that `compare` gives it, and
    without its tests, which take longer.

    Raises:
        UsageError, DataError: as `compare`.
    """
    check_same([one, other], but=["seeds"])
    methods = {id(method.record): method for method in methods_on_common([one, other], target, metric)}
    pair = methods[id(one)], methods[id(other)]
    return _over_folds(*pair, _apart(*pair))[1] if pair[0].about.over == "folds" else gap_over_subjects(*pair)[0]


def compare_all(
    records: Sequence[Record], targets: Sequence[str] | None = None, metric: str | None = None
) -> list[Table]:
    """Compares any number of runs, two by two, on the units that all predict: a table for each target. Holm's
    correction is over all comparisons of all targets.

    Raises:
        UsageError, DataError: as `compare`.
    """
    check_same(records, but=["seeds"])
    methods = {target: methods_on_common(records, target, metric) for target in targets or common_targets(records)}
    pairs = {target: [_pair(a, b) for a, b in combinations(those, 2)] for target, those in methods.items()}
    every = [pair.p for those in pairs.values() for pair in those]
    corrected = iter(significance.holm(every))
    tables = []
    for target, those in methods.items():
        settled = [
            replace(pair, holm=next(corrected), together=len(every), unequal_tuning=_unequal(a, b, those, target))
            for pair, (a, b) in zip(pairs[target], combinations(those, 2), strict=True)
        ]
        different = np.zeros((len(those), len(those)), bool)
        for (a, b), pair in zip(combinations(range(len(those)), 2), settled, strict=True):
            different[a, b] = different[b, a] = pair.different
        groups = significance.rank_groups(different)
        standings = [
            Standing(m.name, m.record.run["id"], m.told, group, _tried(m.record, target))
            for m, group in zip(those, groups, strict=True)
        ]
        tables.append(Table(target, those[0].about.metric, tuple(standings), tuple(settled)))
    return tables


def compare_with_best(records: Sequence[Record], target: str, metric: str | None = None) -> list[Comparison]:
    """Compare the best of several runs with each of the others, on the units that all predict: `one` is the best.

    Holm's correction is over every two of the runs, since any of them could have been the best.

    Raises:
        UsageError, DataError: as `compare`.
    """
    check_same(records, but=["seeds"])
    best, *others = methods_on_common(records, target, metric)
    pairs = [_pair(best, other) for other in others]
    every = len(records) * len(others) // 2
    corrected = significance.holm([*(pair.p for pair in pairs), *[1.0] * (every - len(pairs))])
    return [replace(pair, holm=p, together=every) for pair, p in zip(pairs, corrected, strict=False)]


def compare_with_first(records: Sequence[Record], target: str, metric: str | None = None) -> list[Comparison]:
    """Compare each of several runs with the first, on the units that all predict: `other` is the first.

    Holm's correction is over these comparisons, since the first was named before anything was scored.

    Raises:
        UsageError, DataError: as `compare`.
    """
    check_same(records, but=["seeds"])
    methods = {id(method.record): method for method in methods_on_common(records, target, metric)}
    first, *others = (methods[id(record)] for record in records)
    pairs = [_pair(other, first) for other in others]
    corrected = significance.holm([pair.p for pair in pairs])
    return [replace(pair, holm=p, together=len(pairs)) for pair, p in zip(pairs, corrected, strict=True)]


@dataclass(frozen=True)
class SharedFacts:
    """Facts that the methods of a comparison share. `group` (P,): those of its subjects. `trained`: see
    `Joined.trained`."""

    target: str
    metric: str
    higher_is_better: bool
    bounded: bool
    jackknife: Jackknife
    group: np.ndarray
    units: int
    folds: int
    trained: np.ndarray
    over: Literal["people", "folds"]
    seeds: tuple[int, ...]
    more_seeds: bool
    shared_stimuli: bool


@dataclass(frozen=True)
class ComparedMethod:
    """A method on the units that all methods of a comparison predict; `about`: facts that they share."""

    name: str
    record: Record
    joined: Joined
    score: Estimate
    by_fold: ByFold
    summands: np.ndarray | None
    about: SharedFacts

    @property
    def told(self) -> Estimate:
        """The score with the interval that a record has."""
        return with_interval_of(self.about.metric, self.score)


def methods_on_common(records: Sequence[Record], target: str, metric: str | None) -> list[ComparedMethod]:
    """The methods of records on the units that all of them predict, best first.

    Raises:
        UsageError, DataError: as `compare`.
    """
    rule = recorded_target(records[0], target)
    name = metric or records[0].scores.headlines[target]
    facts = metric_facts(name)
    seeds = common_seeds(records)
    groups = {subject: group for r in records for subject, group in r.groups.items()}
    every = joined_on_common(records, rule, groups)
    design = records[0].run["cohort"].get("design")
    jackknife = leave_one_out(every[0].tested_subjects(), groups, shared_stimuli(design, every[0]))
    about = SharedFacts(
        target=target,
        metric=name,
        higher_is_better=facts.higher,
        bounded=facts.bounded,
        jackknife=jackknife,
        group=np.array([groups[subject] for subject in jackknife.subjects.tolist()]),
        units=max(sum(map(len, folds.values())) for folds in every[0].seeds.values()),
        folds=max(map(len, every[0].seeds.values())),
        trained=every[0].trained(jackknife),
        over="folds" if any(map(has_shared_subjects, records)) else "people",
        seeds=seeds,
        more_seeds=any(len(r.run["seeds"]) > len(seeds) for r in records),
        shared_stimuli=has_shared_stimuli(records[0]),
    )
    made = []
    for r, method, joined in zip(records, method_names(records), every, strict=True):
        score, by_fold = estimate(name, joined, rule, jackknife)
        if score is None:
            raise UsageError(
                f"{name} scores no targets of kind {rule.kind}", where="--metric", expected="another metric"
            )
        if isinstance(score, Undefined):
            other = next((m for m, found in r.scores.of(target).items() if found.defined), None)
            why = undefined_in_words(score.reason, len(jackknife.subjects))
            what = f"{facts.title} ({name}) of {target} is undefined: {why}"
            raise DataError(what, where=method, hint=other and f"--metric {other}")
        summands = permutation.per_subject_contributions(name, joined, rule, jackknife.subjects)
        made.append(ComparedMethod(method, r, joined, score, by_fold, summands, about))
    return sorted(made, key=lambda m: -m.score.mean if facts.higher else m.score.mean)


def _pair(one: ComparedMethod, other: ComparedMethod) -> Comparison:
    about = one.about
    apart = _apart(one, other)
    tests, gap, error, df = (
        _over_folds(one, other, apart) if about.over == "folds" else _over_subjects(one, other, apart)
    )
    p = next(iter(tests.values()))
    if about.bounded and error is not None:
        tests["equivalence"] = significance.equivalence_test(gap.mean, error, df)
    tried = [_tried(m.record, about.target) for m in (one, other)]
    known = [count for count in tried if count is not None]
    return Comparison(
        target=about.target,
        metric=about.metric,
        one=one.name,
        other=other.name,
        scores=(one.told, other.told),
        difference=gap,
        p=p,
        holm=p,
        together=1,
        tests=tests,
        subjects=gap.subjects,
        units=about.units,
        over=about.over,
        smallest=None if error is None else significance.smallest_detectable(error, df),
        unequal_tuning=len(known) == 2 and max(known) > UNEQUAL_TUNING_RATIO * min(known),
        higher_is_better=about.higher_is_better,
        bounded=about.bounded,
        seeds=about.seeds,
        more_seeds=about.more_seeds,
        these_stimuli=about.shared_stimuli and "stimuli" not in gap.over,
    )


TestResults = tuple[dict[str, float], Estimate, float | None, float]
"""Test -> p, the primary one first; the difference; its standard error (None where nothing can vary) and degrees of
freedom."""


def gap_over_subjects(one: ComparedMethod, other: ComparedMethod) -> tuple[Estimate, float | None]:
    """The difference, and the variance that shared training subjects add, which is in its interval."""
    about = one.about
    gap = paired_difference(one.score, other.score, about.group)
    if isinstance(gap, Undefined):
        raise DataError(
            f"the difference of {about.metric} is undefined: {gap.reason}", where=f"{one.name}, {other.name}"
        )
    shared = shared_variance(gap.by_seed, about.trained)
    return widen(gap, shared), shared


def _over_subjects(one: ComparedMethod, other: ComparedMethod, apart: np.ndarray) -> TestResults:
    about = one.about
    gap, shared = gap_over_subjects(one, other)
    _, codes = np.unique(about.group, return_inverse=True)
    if one.summands is not None and other.summands is not None:
        sums = np.bincount(codes, one.summands - other.summands)
        values = significance.sign_flips(sums)
    else:
        arguments = about.metric, one.joined, other.joined, about.jackknife.subjects, codes
        values, sums = permutation.permuted_differences(*arguments), permutation.group_contributions(*arguments)
    tests = {"permutation": significance.permutation_test(values), "wilcoxon": significance.wilcoxon_test(sums)}
    if shared is not None:
        tests = {significance.SHARED_TRAINING: significance.shared_training_test(values, shared), **tests}
    if gap.over == "subjects and stimuli" and gap.error is not None:
        # Permutations of subjects say nothing of other stimuli, which the interval does.
        tests = {"t, subjects and stimuli": significance.t_test(gap.mean, gap.error, gap.df), **tests}
    if about.folds > 1 and len(apart) > 1:
        error = significance.corrected_error(apart, about.folds)
        tests["corrected resampled t"] = significance.t_test(float(apart.mean()), error, len(apart) - 1)
    return tests, gap, gap.error, gap.df


def _over_folds(one: ComparedMethod, other: ComparedMethod, apart: np.ndarray) -> TestResults:
    """Test over folds where a method is tested on its training subjects, so that no subject is a new one."""
    about = one.about
    if about.folds < 2 or len(apart) < 2:
        raise DataError(
            "pairs over folds need several folds", where=f"{one.name}, {other.name}", expected="several folds"
        )
    mean, error, df = float(apart.mean()), significance.corrected_error(apart, about.folds), len(apart) - 1
    from scipy import stats  # boards are shown without it

    half = float(stats.t.ppf((1 + LEVEL) / 2, df) * error)
    subjects = min(one.score.subjects, other.score.subjects)
    gap = Estimate(mean, float(apart.std(ddof=1)), mean - half, mean + half, subjects, "folds")
    return {"corrected resampled t": significance.t_test(mean, error, df)}, gap, error, df


def _apart(one: ComparedMethod, other: ComparedMethod) -> np.ndarray:
    """(J,) the differences of folds and seeds in which both have a score."""
    both = ((value, other.by_fold.get(at)) for at, value in one.by_fold.items())
    return np.array([a - b for a, b in both if a is not None and b is not None])


def _record(source: Record | FinishedRun | Path | str) -> Record:
    if isinstance(source, Record):
        return source
    return record.read_record(Path(source if isinstance(source, str | Path) else source.folder))


def _unequal(one: ComparedMethod, other: ComparedMethod, among: Sequence[ComparedMethod], target: str) -> bool:
    """True if one of two methods had many more tries before it than the other, without the runs that are compared with
    both, whatever their order."""
    low, high = sorted(_tried(m.record, target) or 0 for m in (one, other))
    between = [m for m in among if m.record.run.get("entry") is None and low < (_tried(m.record, target) or 0) < high]
    return low > 0 and high - len(between) > UNEQUAL_TUNING_RATIO * low


def _tried(of: Record, target: str) -> int | None:
    tried = of.run["tried"]
    return tried.get(target) if isinstance(tried, Mapping) else tried


def method_names(records: Sequence[Record]) -> list[str]:
    """The names of records' methods: by their parts; where several have the same, by the settings that differ, or else
    by the run."""
    return names_apart([method_name(r.run) for r in records], [r.run for r in records])
