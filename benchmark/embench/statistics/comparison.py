"""Compare records: which method is better, by how much, and how small a difference is detectable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from embench import registry, vocabulary
from embench.errors import DataError, UsageError
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import compute_tie_width, mean_ignoring_nan
from embench.interfaces.units import Target, Units
from embench.records import record
from embench.records.record import Record
from embench.records.wording import format_p, format_points, join_with_and, method_name
from embench.statistics import conditioned, intervals, metric_facts
from embench.statistics.answers import describe_undefined
from embench.statistics.estimates import (
    ByFold,
    estimate,
    is_inside_subjects,
    subject_scores_by_fold,
    subject_scores_by_seed,
)
from embench.statistics.intervals import (
    ALPHA,
    EQUIVALENCE_MARGIN,
    LEVEL,
    POWER,
    SHARED_TRAINING,
    Estimate,
    Jackknife,
    group_permutations,
    leave_one_out,
    paired_difference,
    training_overlap,
    widen,
)
from embench.statistics.joined import (
    Joined,
    check_same,
    common_seeds,
    common_targets,
    has_shared_stimuli,
    has_shared_subjects,
    is_predicted,
    joined_on_common,
    make_names_unique,
    recorded_target,
    shared_stimuli,
)
from embench.statistics.scores import with_interval_of

# The permutation test of paired designs: if it does not matter which of two methods predicts a group of subjects, the
# observed difference is as likely as any that results from swapping their predictions for some groups. If a score is a
# sum over subjects, a swap turns signs. Any other score is recomputed, with the predictions of both methods side by
# side as if of two subjects, one of whom is in each sample. If a score depends on ranks alone, scores first become
# ranks within fold and seed, so that two methods' scales can be mixed (Bandos et al. 2005, doi 10.1002/sim.2149).

BETWEEN_SUBJECTS = "auroc_within_stimulus"
"""The conditioned score that compares scores of different subjects."""


def per_subject_contributions(name: str, joined: Joined, target: Target, subjects: np.ndarray) -> np.ndarray | None:
    """Return (P,) each subject's summand in a method's score `name`, 0 for a subject without one. None if the score is
    not a sum over subjects.

    Crossed scores are sums over subjects: each comparison lies within one subject, and the number of comparisons
    depends on the labels alone."""
    if is_inside_subjects(name, target):
        values = mean_ignoring_nan(subject_scores_by_seed(joined, subject_scores_by_fold(name, joined, subjects)))
        return np.nan_to_num(values / max(1, np.isfinite(values).sum()))
    if not conditioned.is_conditioned(name) or name == BETWEEN_SUBJECTS:
        return None
    by_seed = [conditioned.over_folds(name, folds.values(), subjects) for folds in joined.seeds.values()]
    least = conditioned.NO_HURDLE
    known = [t for t in by_seed if not isinstance(t, Undefined) and conditioned.estimable(name, t, least)]
    if not known:
        return np.zeros(len(subjects))
    pooled = conditioned.sum_tables(known)
    kept = conditioned.estimable(name, pooled, least)
    return np.mean([pooled[k].wins.sum(1) / pooled[k].pairs.sum() for k in kept], axis=0)


def permuted_differences(name: str, one: Joined, other: Joined, subjects: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return (R,) the difference of two methods' scores after each permutation, for a score that is not a sum over
    subjects.

    Args:
        one, other: the same units, predicted by each method. `subjects` (P,): names of the tested subjects.
        codes: (P,) number of each subject's group, from 0."""
    return _differences(name, one, other, subjects, group_permutations(int(codes.max()) + 1)[:, codes])


def group_contributions(name: str, one: Joined, other: Joined, subjects: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return (G,) the contribution of each group of subjects to the difference of two methods' scores. It is half of
    the change if the methods swap their predictions for the group. The sum is close to the difference. Arguments are
    those of `permuted_differences`."""
    groups = int(codes.max()) + 1
    swapped = np.vstack([np.zeros((1, groups), bool), np.eye(groups, dtype=bool)])
    values = _differences(name, one, other, subjects, swapped[:, codes])
    return (values[0] - values[1:]) / 2


def _differences(name: str, one: Joined, other: Joined, subjects: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """Return (R,) the differences with predictions swapped for the subjects marked in each row of `swapped` (R, P)."""
    both = np.array([f"{m}:{subject}" for m in (0, 1) for subject in subjects.tolist()])
    # The first R samples choose the predictions of the first method, the others those of the second.
    samples = np.vstack([np.hstack([~swapped, swapped]), np.hstack([swapped, ~swapped])]).astype(float)
    if name == BETWEEN_SUBJECTS:
        values = _differences_across_subjects(one, other, subjects, both, samples)
    else:
        metric = registry.load_plugin("metric", name)()
        by_fold: dict[int, list[np.ndarray]] = {}
        for seed, fold, units in one:
            side = _side_by_side(units, other.seeds[seed][fold], metric)
            tested = np.isin(both, side.subject)
            by_fold.setdefault(fold, []).append(metric.resample(side, both[tested], samples[:, tested]))
        values = mean_ignoring_nan([mean_ignoring_nan(seeds) for seeds in by_fold.values()])
    first, second = np.split(values, 2)
    return first - second


def _differences_across_subjects(
    one: Joined, other: Joined, subjects: np.ndarray, both: np.ndarray, samples: np.ndarray
) -> np.ndarray:
    """Return (R,) the score `BETWEEN_SUBJECTS` in each of `samples` (R, 2P), over the seeds and classes with enough
    labels. `both` (2P,): names of the subjects of the first method, then of the second, see `_side_by_side`."""
    plain, doubled = [], []
    for seed, folds in one.seeds.items():
        tables = conditioned.over_folds(BETWEEN_SUBJECTS, folds.values(), subjects)
        sides = [_side_by_side(units, other.seeds[seed][fold], None) for fold, units in folds.items()]
        double = conditioned.over_folds(BETWEEN_SUBJECTS, sides, both)
        if isinstance(tables, Undefined) or isinstance(double, Undefined):
            continue
        if conditioned.estimable(BETWEEN_SUBJECTS, tables):
            plain.append(tables)
            doubled.append(double)
    kept = conditioned.estimable(BETWEEN_SUBJECTS, conditioned.sum_tables(plain)) if plain else []
    if not kept:
        return np.full(len(samples), np.nan)
    pooled = conditioned.sum_tables(doubled)
    return mean_ignoring_nan([pooled[k].resample(samples) for k in kept])


def _side_by_side(one: Units, other: Units, metric: Metric | None) -> Units:
    """Return the units of a fold with the predictions of both methods. Each subject appears twice, as "0:NAME" and
    "1:NAME". Scores become ranks if `metric` allows. With a metric, units without a prediction are left out."""
    if metric is not None:
        one, other = (units.take(is_predicted(units)) for units in (one, other))
    ranked = _rank_scores(one), _rank_scores(other)
    if metric is None or all(metric(r) == metric(u) for r, u in zip(ranked, (one, other), strict=True)):
        one, other = ranked
    subject = [f"{m}:{name}" for m, units in enumerate((one, other)) for name in units.subject.tolist()]
    return replace(one.join(other), subject=np.array(subject, dtype=np.str_))


def _rank_scores(units: Units) -> Units:
    """Return the units with ranks in place of scores, class by class. Tied scores get the same rank."""
    columns = units.score if units.score.ndim == 2 else units.score[:, None]
    known, ranks = is_predicted(units), columns.astype(float)
    ranks[known] = np.stack([_ranks(column[known], compute_tie_width(units.score)) for column in columns.T], axis=1)
    return replace(units, score=ranks.reshape(units.score.shape))


def _ranks(score: np.ndarray, tie: float) -> np.ndarray:
    """Return (n,) ranks over n of `score` (n,). Neighbouring scores at most `tie` apart share a rank."""
    order = np.argsort(score)
    steps = np.cumsum(np.diff(score[order], prepend=score[order[:1]]) > tie)
    level = np.empty(len(score))
    level[order] = steps
    from scipy.stats import rankdata  # slow to import, and leaderboards need no ranks

    return np.asarray(rankdata(level)) / len(score)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two methods compared on one target. It prints as a sentence.

    Args:
        one, other: the methods' names. `scores`: the methods' scores on the common units.
        difference: score of `one` less score of `other`, paired, with its 95 % interval.
        p: p of the primary test. `p_holm`: p corrected for the `n_comparisons` comparisons that were made at once.
        tests: name -> p, for the primary test and further ones. `equivalence` tests whether the difference is within
            .02.
        subjects, units: numbers of subjects and of units. `over`: the pairs of the test are subjects, or folds.
        smallest_detectable: the smallest true difference that this cohort would detect with 80 % power, given the
            spread of the observed differences; None if the differences do not vary.
        unequal_tuning: whether more than twice as many methods were scored on the test subjects before one as before
            the other.
        higher_is_better, bounded: facts about the metric.
        seeds: the compared seeds, which all methods have. `more_seeds`: whether a method has further seeds.
        fixed_stimuli: whether all subjects had the same stimuli and the interval does not cover other stimuli."""

    target: str
    metric: str
    one: str
    other: str
    scores: tuple[Estimate, Estimate]
    difference: Estimate
    p: float
    p_holm: float
    n_comparisons: int
    tests: Mapping[str, float]
    subjects: int
    units: int
    over: Literal["subjects", "folds"]
    smallest_detectable: float | None
    unequal_tuning: bool
    higher_is_better: bool = True
    bounded: bool = True
    seeds: tuple[int, ...] = ()
    more_seeds: bool = False
    fixed_stimuli: bool = False

    @property
    def is_different(self) -> bool:
        """True if the corrected primary test is significant."""
        return self.p_holm < ALPHA

    @property
    def is_equivalent(self) -> bool:
        """True if the equivalence test is significant: the methods differ by less than its margin."""
        return self.tests.get("equivalence", 1.0) < ALPHA

    @property
    def better(self) -> str | None:
        """Name of the better method; None if the difference is not significant."""
        if not self.is_different:
            return None
        return self.one if (self.difference.mean > 0) == self.higher_is_better else self.other

    @property
    def sentence(self) -> str:
        """A sentence that may be quoted."""
        return _sentence(self)

    def __repr__(self) -> str:
        return self.sentence

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as `embench compare --json` prints it."""
        apart = ("scores", "difference", "tests")
        return {
            **{name: value for name, value in vars(self).items() if name not in apart},
            "scores": {self.one: self.scores[0].to_dict(), self.other: self.scores[1].to_dict()},
            "difference": self.difference.to_dict(),
            "tests": dict(self.tests),
            "equivalent": self.is_equivalent,
            "better": self.better,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Standing:
    """A method's row in a `Table`. Methods that share a letter of `group` do not differ significantly.
    `methods_evaluated`: number of methods scored on the test subjects up to this one; None if not counted."""

    name: str
    run: str
    score: Estimate
    group: str
    methods_evaluated: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the standing as `embench compare --json` prints it."""
        return {**vars(self), "score": self.score.to_dict()}


@dataclass(frozen=True)
class Table:
    """Several methods on one target, best first, with all pairwise comparisons."""

    target: str
    metric: str
    standings: tuple[Standing, ...]
    comparisons: tuple[Comparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as `embench compare --json` prints it."""
        return {
            "target": self.target,
            "metric": self.metric,
            "methods": [standing.to_dict() for standing in self.standings],
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
        }


def _sentence(c: Comparison) -> str:
    """Return a sentence on the better method with difference, interval, p and subjects. If no method is better, it
    states the smallest detectable difference."""
    gap, first, second = c.difference, c.one, c.other
    mean, low, high = gap.mean, gap.low, gap.high
    if c.better == c.other or (c.better is None and (mean < 0) == c.higher_is_better):
        first, second = second, first
    if mean < 0:
        mean, low, high = -mean, None if high is None else -high, None if low is None else -low
    size = f"{format_points(mean, c.bounded)} {_difference_unit(c)}{' on these stimuli' if c.fixed_stimuli else ''}"
    interval = (
        "no interval"
        if low is None or high is None
        else (f"95 % interval {format_points(low, c.bounded)} to {format_points(high, c.bounded)}")
    )
    corrected = " Holm-corrected" if c.n_comparisons > 1 else ""
    paired = f"{c.subjects} subjects" if c.over == "subjects" else f"paired over folds, {c.subjects} subjects"
    figures = f"{interval}, {format_p(c.p_holm)}{corrected}, {paired}"
    if c.better:
        text = f"{first} is better than {second} by {size}, {figures}"
    else:
        text = f"{first} and {second} can't be told apart: they differ by {size}, {figures}"
        if c.smallest_detectable is not None:
            smallest = (
                f"{format_points(c.smallest_detectable, c.bounded)} {'points' if c.bounded else _difference_unit(c)}"
            )
            text += f"; the smallest detectable difference is {smallest} ({POWER:.0%} power)".replace("%", " %")
    if c.better and c.tests.get(SHARED_TRAINING, 0.0) >= ALPHA:
        text += f"; with the training-overlap correction {format_p(c.tests[SHARED_TRAINING])}"
    if c.is_equivalent:
        text += f"; equivalent within {EQUIVALENCE_MARGIN * 100:.0f} points ({format_p(c.tests['equivalence'])})"
    if c.more_seeds:
        seeds = [str(seed) for seed in c.seeds]
        text += f"; on the seed{'s' if len(seeds) > 1 else ''} that all have, {join_with_and(seeds)}"
    if c.unequal_tuning:
        text += "; unequal tuning"
    return text + "."


def _difference_unit(c: Comparison) -> str:
    """Return the unit of a difference: points (hundredths) of a bounded score, else the score's own unit."""
    name = vocabulary.in_sentence(c.metric, "metrics") if c.metric in vocabulary.terms("metrics") else c.metric
    return f"points of {name}" if c.bounded else f"of {name}"


# Methods are compared on the units that all of them predict, and paired over subjects, or over folds under a protocol
# that tests on training subjects. `docs/why/statistics.md` describes each test.

UNEQUAL_TUNING_RATIO = 2.0
"""Tuning is unequal if this many times more methods were scored on the test labels before one method than before the
other."""


class FinishedRun(Protocol):
    """A finished run, as `embench.run` returns it."""

    @property
    def folder(self) -> Path:
        """The folder of the run's record."""


def compare(
    one: Record | FinishedRun | Path | str,
    other: Record | FinishedRun | Path | str,
    target: str | None = None,
    metric: str | None = None,
) -> Comparison:
    """Compare two runs: results of `embench.run` (see its example), records, or folders of records.

    Args:
        target: optional if the two have exactly one in common.
        metric: by default the target's primary metric.

    Returns:
        A comparison, which prints as a sentence. `difference` is `one` less `other`, with `mean`, `low` and `high`; `p`
        is of this comparison alone; `better` names the better method, or is None; `sentence` may be quoted.

    Raises:
        UsageError: the two differ in what makes scores comparable, or several targets leave a choice.
        DataError: labels or common units are missing, or the score is undefined on them."""
    records = [_as_record(source) for source in (one, other)]
    check_same(records, but=["seeds"])
    targets = [target] if target else common_targets(records)
    if len(targets) > 1:
        raise UsageError("the runs have several targets in common", where="target", expected=f"one of {targets}")
    methods = {id(method.record): method for method in methods_on_common(records, targets[0], metric)}
    return _compare_pair(*(methods[id(r)] for r in records))  # in the caller's order, whichever is better


def paired_gap(one: Record, other: Record, target: str, metric: str | None = None) -> Estimate:
    """Return the difference of two runs on a target, `one` less `other`, with the same interval as `compare`. The
    tests, which take longer, are not run.

    Raises:
        UsageError, DataError: as `compare`."""
    check_same([one, other], but=["seeds"])
    methods = {id(method.record): method for method in methods_on_common([one, other], target, metric)}
    pair = methods[id(one)], methods[id(other)]
    if pair[0].about.over == "folds":
        return _over_folds(*pair, _fold_differences(*pair))[1]
    return gap_over_subjects(*pair)[0]


def compare_all(
    records: Sequence[Record], targets: Sequence[str] | None = None, metric: str | None = None
) -> list[Table]:
    """Compare runs pairwise on the units that all of them predict. Return a table per target. Holm's correction is over
    all comparisons of all targets.

    Raises:
        UsageError, DataError: as `compare`."""
    check_same(records, but=["seeds"])
    methods = {target: methods_on_common(records, target, metric) for target in targets or common_targets(records)}
    pairs = {target: [_compare_pair(a, b) for a, b in combinations(ranked, 2)] for target, ranked in methods.items()}
    p_values = [pair.p for of_target in pairs.values() for pair in of_target]
    corrected = iter(intervals.holm(p_values))
    tables = []
    for target, ranked in methods.items():
        comparisons = [
            replace(
                pair,
                p_holm=next(corrected),
                n_comparisons=len(p_values),
                unequal_tuning=_tuned_unequally(a, b, ranked, target),
            )
            for pair, (a, b) in zip(pairs[target], combinations(ranked, 2), strict=True)
        ]
        different = np.zeros((len(ranked), len(ranked)), bool)
        for (a, b), pair in zip(combinations(range(len(ranked)), 2), comparisons, strict=True):
            different[a, b] = different[b, a] = pair.is_different
        groups = intervals.rank_groups(different)
        standings = [
            Standing(m.name, m.record.run["id"], m.reported_score, group, _methods_evaluated(m.record, target))
            for m, group in zip(ranked, groups, strict=True)
        ]
        tables.append(Table(target, ranked[0].about.metric, tuple(standings), tuple(comparisons)))
    return tables


def compare_with_best(records: Sequence[Record], target: str, metric: str | None = None) -> list[Comparison]:
    """Compare the best of several runs with each of the others, on the units that all predict. `one` is the best run.

    Holm's correction is over all pairs of runs, since any run could have been the best.

    Raises:
        UsageError, DataError: as `compare`."""
    check_same(records, but=["seeds"])
    best, *others = methods_on_common(records, target, metric)
    pairs = [_compare_pair(best, other) for other in others]
    all_pairs = len(records) * len(others) // 2
    corrected = intervals.holm([*(pair.p for pair in pairs), *[1.0] * (all_pairs - len(pairs))])
    return [replace(pair, p_holm=p, n_comparisons=all_pairs) for pair, p in zip(pairs, corrected, strict=False)]


def compare_with_first(records: Sequence[Record], target: str, metric: str | None = None) -> list[Comparison]:
    """Compare each of several runs with the first, on the units that all predict. `other` is the first run.

    Holm's correction is over these comparisons, since the first run was named before anything was scored.

    Raises:
        UsageError, DataError: as `compare`."""
    check_same(records, but=["seeds"])
    methods = {id(method.record): method for method in methods_on_common(records, target, metric)}
    first, *others = (methods[id(record)] for record in records)
    pairs = [_compare_pair(other, first) for other in others]
    corrected = intervals.holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=p, n_comparisons=len(pairs)) for pair, p in zip(pairs, corrected, strict=True)]


@dataclass(frozen=True)
class SharedFacts:
    """Facts that all methods of a comparison share. `group` (P,): the groups of its subjects. `trained`: see
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
    over: Literal["subjects", "folds"]
    seeds: tuple[int, ...]
    more_seeds: bool
    shared_stimuli: bool


@dataclass(frozen=True)
class ComparedMethod:
    """A method on the units that all methods of a comparison predict. `about`: the facts that these methods share.
    `summands` (P,): see `per_subject_contributions`."""

    name: str
    record: Record
    joined: Joined
    score: Estimate
    by_fold: ByFold
    summands: np.ndarray | None
    about: SharedFacts

    @property
    def reported_score(self) -> Estimate:
        """The score, with the interval that records report."""
        return with_interval_of(self.about.metric, self.score)


def methods_on_common(records: Sequence[Record], target: str, metric: str | None) -> list[ComparedMethod]:
    """Return the methods of records, scored on the units that all of them predict, best first.

    Raises:
        UsageError, DataError: as `compare`."""
    rule = recorded_target(records[0], target)
    name = metric or records[0].scores.primary_metrics[target]
    facts = metric_facts(name)
    seeds = common_seeds(records)
    groups = {subject: group for r in records for subject, group in r.groups.items()}
    all_joined = joined_on_common(records, rule, groups)
    first = all_joined[0]  # folds, units and labels are the same for all methods
    jackknife = leave_one_out(
        first.tested_subjects(), groups, shared_stimuli(records[0].run["cohort"].get("design"), first)
    )
    about = SharedFacts(
        target=target,
        metric=name,
        higher_is_better=facts.higher,
        bounded=facts.bounded,
        jackknife=jackknife,
        group=np.array([groups[subject] for subject in jackknife.subjects.tolist()]),
        units=max(sum(map(len, folds.values())) for folds in first.seeds.values()),
        folds=max(map(len, first.seeds.values())),
        trained=first.trained(jackknife),
        over="folds" if any(map(has_shared_subjects, records)) else "subjects",
        seeds=seeds,
        more_seeds=any(len(r.run["seeds"]) > len(seeds) for r in records),
        shared_stimuli=has_shared_stimuli(records[0]),
    )
    methods = []
    for r, method, joined in zip(records, method_names(records), all_joined, strict=True):
        score, by_fold = estimate(name, joined, rule, jackknife)
        if score is None:
            raise UsageError(
                f"{name} scores no targets of kind {rule.kind}", where="--metric", expected="another metric"
            )
        if isinstance(score, Undefined):
            other = next((m for m, found in r.scores.get_scores(target).items() if found.is_defined), None)
            why = describe_undefined(score.reason, len(jackknife.subjects))
            what = f"{facts.title} ({name}) of {target} is undefined: {why}"
            raise DataError(what, where=method, hint=other and f"--metric {other}")
        summands = per_subject_contributions(name, joined, rule, jackknife.subjects)
        methods.append(ComparedMethod(method, r, joined, score, by_fold, summands, about))
    return sorted(methods, key=lambda m: -m.score.mean if facts.higher else m.score.mean)


def _compare_pair(one: ComparedMethod, other: ComparedMethod) -> Comparison:
    """Return the comparison of two methods, not corrected for other comparisons."""
    about = one.about
    test = _over_folds if about.over == "folds" else _over_subjects
    tests, gap, error, df = test(one, other, _fold_differences(one, other))
    p = next(iter(tests.values()))
    if about.bounded and error is not None:
        tests["equivalence"] = intervals.equivalence_test(gap.mean, error, df)
    tried = [_methods_evaluated(m.record, about.target) for m in (one, other)]
    known = [count for count in tried if count is not None]
    return Comparison(
        target=about.target,
        metric=about.metric,
        one=one.name,
        other=other.name,
        scores=(one.reported_score, other.reported_score),
        difference=gap,
        p=p,
        p_holm=p,
        n_comparisons=1,
        tests=tests,
        subjects=gap.subjects,
        units=about.units,
        over=about.over,
        smallest_detectable=None if error is None else intervals.smallest_detectable(error, df),
        unequal_tuning=len(known) == 2 and max(known) > UNEQUAL_TUNING_RATIO * min(known),
        higher_is_better=about.higher_is_better,
        bounded=about.bounded,
        seeds=about.seeds,
        more_seeds=about.more_seeds,
        fixed_stimuli=about.shared_stimuli and "stimuli" not in gap.over,
    )


TestResults = tuple[dict[str, float], Estimate, float | None, float]
"""Test -> p, the primary one first; the difference; its standard error (None if nothing varies) and degrees of
freedom."""


def gap_over_subjects(one: ComparedMethod, other: ComparedMethod) -> tuple[Estimate, float | None]:
    """Return the difference of two methods, and the variance that shared training subjects add to it; None if this
    variance is not estimated. The interval of the difference includes the variance."""
    about = one.about
    gap = paired_difference(one.score, other.score, about.group)
    if isinstance(gap, Undefined):
        raise DataError(
            f"the difference of {about.metric} is undefined: {gap.reason}", where=f"{one.name}, {other.name}"
        )
    shared = training_overlap(gap.by_seed, about.trained)
    return widen(gap, shared), shared


def _over_subjects(one: ComparedMethod, other: ComparedMethod, gaps: np.ndarray) -> TestResults:
    """Return tests paired over subjects. `gaps` (J,): the differences by fold, for a secondary test."""
    about = one.about
    gap, shared = gap_over_subjects(one, other)
    _, codes = np.unique(about.group, return_inverse=True)
    if one.summands is not None and other.summands is not None:
        sums = np.bincount(codes, one.summands - other.summands)
        values = intervals.sign_flips(sums)
    else:
        arguments = about.metric, one.joined, other.joined, about.jackknife.subjects, codes
        values, sums = permuted_differences(*arguments), group_contributions(*arguments)
    tests = {"permutation": intervals.permutation_test(values), "wilcoxon": intervals.wilcoxon_test(sums)}
    if shared is not None:
        tests = {intervals.SHARED_TRAINING: intervals.shared_training_test(values, shared), **tests}
    if gap.over == "subjects_and_stimuli" and gap.error is not None:
        # The interval covers other stimuli; permutations of subjects do not.
        tests = {"t, subjects and stimuli": intervals.t_test(gap.mean, gap.error, gap.df), **tests}
    if about.folds > 1 and len(gaps) > 1:
        error = intervals.corrected_error(gaps, about.folds)
        tests["corrected resampled t"] = intervals.t_test(float(gaps.mean()), error, len(gaps) - 1)
    return tests, gap, gap.error, gap.df


def _over_folds(one: ComparedMethod, other: ComparedMethod, gaps: np.ndarray) -> TestResults:
    """Return a test paired over folds, for protocols in which test subjects are also training subjects."""
    about = one.about
    if about.folds < 2 or len(gaps) < 2:
        raise DataError(
            "pairs over folds need several folds", where=f"{one.name}, {other.name}", expected="several folds"
        )
    mean, error, df = float(gaps.mean()), intervals.corrected_error(gaps, about.folds), len(gaps) - 1
    from scipy import stats  # slow to import, and leaderboards do not need it

    half = float(stats.t.ppf((1 + LEVEL) / 2, df) * error)
    subjects = min(one.score.subjects, other.score.subjects)
    gap = Estimate(mean, float(gaps.std(ddof=1)), mean - half, mean + half, subjects, "folds")
    return {"corrected resampled t": intervals.t_test(mean, error, df)}, gap, error, df


def _fold_differences(one: ComparedMethod, other: ComparedMethod) -> np.ndarray:
    """Return (J,) the differences in the folds and seeds in which both methods have a score."""
    both = ((value, other.by_fold.get(fold)) for fold, value in one.by_fold.items())
    return np.array([a - b for a, b in both if a is not None and b is not None])


def _as_record(source: Record | FinishedRun | Path | str) -> Record:
    if isinstance(source, Record):
        return source
    return record.read_record(Path(source if isinstance(source, str | Path) else source.folder))


def _tuned_unequally(one: ComparedMethod, other: ComparedMethod, among: Sequence[ComparedMethod], target: str) -> bool:
    """Return True if many more methods were scored on the test subjects before one method than before the other. Runs
    of the same comparison do not count, whatever their order."""
    low, high = sorted(_methods_evaluated(m.record, target) or 0 for m in (one, other))
    between = [
        m
        for m in among
        if m.record.run.get("entry") is None and low < (_methods_evaluated(m.record, target) or 0) < high
    ]
    return low > 0 and high - len(between) > UNEQUAL_TUNING_RATIO * low


def _methods_evaluated(run_record: Record, target: str) -> int | None:
    tried = run_record.run["methods_evaluated"]
    return tried.get(target) if isinstance(tried, Mapping) else tried


def method_names(records: Sequence[Record]) -> list[str]:
    """Return a unique name for the method of each record, made of the method's parts. Equal names get the settings in
    which they differ, or else the run's id."""
    return make_names_unique([method_name(r.run) for r in records], [r.run for r in records])
