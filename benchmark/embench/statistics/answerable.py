"""Whether a study can answer its question, before training: design, sample size and detectable differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench import registry
from embench.data.cohort import Cohort, build_cohort
from embench.errors import EmbenchError
from embench.files import parse_yaml
from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Fold, Protocol, load_protocol
from embench.reasons import Reason
from embench.records.manifest import MethodKind
from embench.statistics import conditioned, metric_facts
from embench.statistics.answers import (
    CONFOUNDING,
    TIME_PREDICTS_LABEL,
    TOO_FEW_REASONS,
    Unanswerable,
    describe_missing_data,
    format_decimals,
    metric_family,
    plain_reason,
    say_not_separable,
    suggest_more_data,
)
from embench.statistics.confound_only import CONFOUND_ONLY, ConfoundTask
from embench.statistics.confound_test import LabelledUnits, tested_units
from embench.statistics.estimates import estimate
from embench.statistics.intervals import leave_one_out
from embench.statistics.joined import Joined
from embench.statistics.nuisance_models import Parts
from embench.statistics.scores import choose_primary_metric
from embench.store import Store
from embench.vocabulary import label

TRIED_SEEDS = tuple(range(10))
"""Seeds that are tried if the requested ones give too few comparisons."""
_MAX_SUBJECTS = 1000
"""Largest number of subjects that is suggested as enough."""
_CHANCE_SUBJECTS = 5
"""Least number of subjects whose tasks do not all have the same order by chance."""
GetFolds = Callable[[int], Sequence[Fold]]


@dataclass(frozen=True)
class UnanswerableTarget(Unanswerable):
    """Reason why a study cannot answer whether scores are associated with the label `target`.

    Args:
        seeds: seeds that give enough comparisons; empty if unknown.
        subjects: roughly how many subjects give enough; 0 if unknown."""

    target: str = ""
    seeds: tuple[int, ...] = ()
    subjects: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {"target": self.target, **vars(self), "seeds": list(self.seeds)}


def why_unanswerable(
    cohort: Cohort, protocol: Protocol, target: Target, seeds: Sequence[int], folds_of: GetFolds | None = None
) -> UnanswerableTarget | None:
    """Return why a run of this protocol with these seeds cannot answer the questions on a target; None if it can. No
    signal is read.

    Args:
        folds_of: returns the folds of a seed; by default those of the protocol."""
    study = _Study(cohort, protocol, target, folds_of or (lambda seed: cohort.folds(protocol, seed)))
    joined = study.joined(seeds)
    if not joined.seeds:
        return None  # a run refuses it
    metric = choose_primary_metric(target, protocol, cohort.design, joined)
    if not conditioned.is_conditioned(metric):
        return study.confounded() or study.without_two_labels(metric, joined)
    why = study.explain_undefined(metric, seeds)
    if not why:
        return None
    if protocol.split.folds == "each":
        alone = "Each subject is tested alone, so that no two subjects are compared."
        return UnanswerableTarget("cannot be told", alone, "--protocol subject-independent-v4", target.name)
    if found := study.confounded():
        return found
    if why.id not in TOO_FEW_REASONS:
        reason = f"{metric_facts(metric).title} is undefined: {plain_reason(why, cohort.store.name)}."
        return UnanswerableTarget("cannot be told", reason, "", target.name)
    enough, subjects = study.enough(metric, seeds)
    reason, factor = describe_missing_data(why, len(cohort.subjects))
    remedy = suggest_more_data(enough, subjects, study.enough_stimuli(factor))
    return UnanswerableTarget("too few data", reason, remedy, target.name, enough, subjects)


def enough_data(cohort: Cohort, protocol: Protocol, target: Target, seeds: Sequence[int]) -> dict[str, Any]:
    """Return the data that make the primary metric estimable: {"seeds": list of seeds}, or {"subjects": rough number}.
    Empty if the given seeds suffice, or if no such number is known."""
    study = _Study(cohort, protocol, target, lambda seed: cohort.folds(protocol, seed))
    metric = choose_primary_metric(target, protocol, cohort.design, study.joined(seeds))
    why = study.explain_undefined(metric, seeds) if conditioned.is_conditioned(metric) else None
    if why is None or why.id not in TOO_FEW_REASONS:
        return {}
    enough, subjects = study.enough(metric, seeds)
    return {"seeds": list(enough)} if enough else {"subjects": subjects} if subjects else {}


def find_unanswerable(
    store: Store, card: Card, targets: Sequence[Target], protocol: Protocol, seeds: Sequence[int] = TRIED_SEEDS
) -> list[UnanswerableTarget]:
    """Return the reasons why these seeds give no answer, for the targets of a dataset that have such a reason. Targets
    without a cohort are omitted: a run reports their error."""
    reasons = []
    for target in targets:
        with suppress(EmbenchError):
            cohort = build_cohort(store, card, (target,), None, protocol)
            reasons.append(why_unanswerable(cohort, protocol, target, seeds))
    return [reason for reason in reasons if reason]


@dataclass(frozen=True)
class _Study:
    """The labelled units of a target, and the folds in which a protocol tests them."""

    cohort: Cohort
    protocol: Protocol
    target: Target
    folds_of: GetFolds

    def joined(self, seeds: Sequence[int], score: np.ndarray | None = None) -> Joined:
        """Return the tested units of each seed with their rows of `score` (N, K); N units are in the cohort."""
        units = np.array(self.cohort.eligible)
        known = tested_units(self.cohort, self.target, units)
        values = np.zeros((len(units), len(self.target.columns))) if score is None else score[units]
        seeds_made: dict[int, Any] = {}
        for seed in seeds:
            parts, labelled = self._parts(seed, known)
            seeds_made |= labelled.joined({seed: values}, {seed: parts}, whole=True).seeds
        return Joined({seed: folds for seed, folds in seeds_made.items() if folds})

    def _parts(self, seed: int, known: LabelledUnits) -> tuple[Parts, LabelledUnits]:
        """Return the tested units of each fold, as positions in `cohort.eligible`, and `known` with new labels: each
        unit's label as its test fold defines it."""
        place = {self.cohort.units[i].id: k for k, i in enumerate(self.cohort.eligible)}
        scored = np.isin(self.cohort.eligible, self.cohort.tested)
        y, parts = np.full(len(place), np.nan), []
        for fold in self.folds_of(seed):
            test = np.array([place[id_] for id_ in fold.test if id_ in place], int)
            train = [self.cohort.eligible[place[id_]] for id_ in fold.train if id_ in place]
            if self.target.rule.cut == "training_mean":
                labels = self.cohort.labels(self.target, train) if train else np.full(len(self.cohort.units), np.nan)
            else:
                labels = self.cohort.label[self.target.name]
            y[test] = labels[np.array(self.cohort.eligible)[test]]
            parts.append((np.empty(0, int), test))
        return parts, replace(known, y=np.where(scored, y, np.nan))

    def explain_undefined(self, metric: str, seeds: Sequence[int]) -> Reason | None:
        """Return why a conditioned score of all these seeds together is undefined; None if it is defined."""
        joined = self.joined(seeds)
        by_seed = [conditioned.over_folds(metric, folds.values(), self._subjects) for folds in joined.seeds.values()]
        known = [tables for tables in by_seed if not isinstance(tables, Undefined)]
        merged = [conditioned.merge_seeds(known)] if known else []
        scores = [conditioned.proportion_won(metric, tables, conditioned.pooled_hurdle(metric)) for tables in merged]
        if any(not isinstance(score, Undefined) for score in scores):
            return None
        reasons = [each.reason for each in (*scores, *by_seed) if isinstance(each, Undefined)]
        return reasons[0] if reasons else Reason.make("no_units")

    @cached_property
    def _labels(self) -> np.ndarray:
        """(n,) labels of the cohort's units. If training labels define the cut of a rule, all labels do so here."""
        return self.cohort.labels(self.target, self.cohort.eligible)

    @property
    def _subjects(self) -> np.ndarray:
        return np.unique([self.cohort.units[i].subject for i in self.cohort.eligible])

    @property
    def _together(self) -> Joined:
        """All units of seed 0, as if one fold tested them."""
        [folds] = self.joined([0]).seeds.values()
        first, *rest = (replace(units, fold=np.zeros(len(units), int)) for units in folds.values())
        return Joined({0: {0: first.join(*rest)}})

    def confounded(self) -> UnanswerableTarget | None:
        """Return why the order of tasks, the time or the stimulus makes a target unanswerable; None if none of them
        predicts the label almost fully. If all subjects had one class first, elapsed time separates the classes."""
        name = self.target.name
        question = registry.find_questions(self.cohort.store.name).get(name)
        if order := self._order():
            why, what = f"everybody had {order[0]} first and {order[1]} afterwards", name
            if question and question.order:
                why, what = question.order, question.higher
            reason = f"This design cannot separate {what} from the time since the start: {why}."
            return UnanswerableTarget("cannot be told", reason, "", name)
        within = f"{self.target.traits.ranking_family}_within"
        for control, what in CONFOUNDING.items():
            reached = self._score_confound_model(control, within)
            if reached is not None and reached >= TIME_PREDICTS_LABEL:
                alone = f"{metric_family(within)} of {label(control)} alone {format_decimals(reached)}"
                return UnanswerableTarget("cannot be told", say_not_separable(name, what, alone), "", name)
        return None

    def _order(self) -> tuple[str, str] | None:
        """Return the class that all subjects had first, and the class that followed; None if orders differ."""
        if self.target.kind != "binary":
            return None
        units, y = self.cohort.select_units(self.cohort.tested), self._labels[list(self.cohort.tested)]
        start = np.array([unit.start_s for unit in units], float)
        if not np.isfinite(start).all():
            start = np.array([unit.order for unit in units], float)
        subject, first, ordered = np.array([unit.subject for unit in units]), set(), 0
        for name in np.unique(subject).tolist():
            times = [start[(subject == name) & (y == label)] for label in (0, 1)]
            if all(len(each) and np.isfinite(each).all() for each in times):
                ordered += 1  # the first class, or -1 if the two alternate
                first.add(0 if times[0].max() < times[1].min() else 1 if times[1].max() < times[0].min() else -1)
        if len(first) != 1 or -1 in first or (ordered < _CHANCE_SUBJECTS and not self.cohort.card.fixed_order):
            return None
        negative, positive = class_words(self.cohort, self.target)
        return (negative, positive) if first == {0} else (positive, negative)

    def _score_confound_model(self, name: str, metric: str) -> float | None:
        """Return the within-subject score `metric` of the confound-only model `name` in the folds of seed 0; None if
        the model does not apply or the score is undefined."""
        cohort, target = self.cohort, self.target
        score = np.full((len(cohort.units), len(target.columns)), np.nan)
        position = {unit.id: i for i, unit in enumerate(cohort.units)}
        for fold in self.folds_of(0):
            if not position.keys() >= set(fold.train):
                return None  # of another dataset, whose times are not comparable
            train, test = (np.array([position[id_] for id_ in ids], int) for ids in (fold.train, fold.test))
            y = cohort.labels(target, train)
            train = train[np.isfinite(y[train])]
            if not len(train):
                return None
            task = ConfoundTask(target, cohort.units, y, train, test, {}, cohort.sessions, None, 0)
            predicted = CONFOUND_ONLY[name](task)
            if isinstance(predicted, Undefined):
                return None
            score[test] = predicted[0].reshape(len(test), -1)
        joined = self.joined([0], score)
        jackknife = leave_one_out(joined.tested_subjects(), cohort.groups)
        found, _ = estimate(metric, joined, target, jackknife)
        return None if found is None or isinstance(found, Undefined) else found.mean

    def without_two_labels(self, metric: str, joined: Joined) -> UnanswerableTarget | None:
        """Return why a within-subject score is undefined, such as no subject with two labels; None if it is defined."""
        jackknife = leave_one_out(joined.tested_subjects(), self.cohort.groups)
        found, _ = estimate(metric, joined, self.target, jackknife)
        if not isinstance(found, Undefined):
            return None
        reason = f"{metric_facts(metric).title} is undefined: {plain_reason(found.reason, self.cohort.store.name)}."
        return UnanswerableTarget("cannot be told", reason, "", self.target.name)

    def enough(self, metric: str, seeds: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """Return the seeds of all balanced partitions, and 0, if these give enough comparisons; or no seeds, and
        roughly how many subjects are enough."""
        balanced = tuple(range(self.cohort.partitions(self.protocol)))
        enough = set(seeds) < set(balanced) and not self.explain_undefined(metric, balanced)
        return (balanced, 0) if enough else ((), self._enough_subjects(metric))

    def enough_stimuli(self, factor: float) -> int:
        """Return roughly how many similar stimuli give `factor` times as many comparisons, since their number grows
        with the pairs of stimuli. 0 if subjects share no stimuli, or if `factor` is infinite."""
        shown = {self.cohort.units[i].stimulus for i in self.cohort.tested}
        if self.cohort.design != "shared_stimuli" or not math.isfinite(factor):
            return 0
        return next(k for k in count(len(shown)) if k * (k - 1) >= factor * len(shown) * (len(shown) - 1))

    def _enough_subjects(self, metric: str) -> int:
        """Return roughly how many similar subjects are needed; 0 if unknown. The number of comparisons grows with the
        pairs of subjects in the same fold."""
        tables = conditioned.over_folds(metric, self._together.seeds[0].values(), self._subjects)
        n, folds = len(self._subjects), self.protocol.split.folds
        if isinstance(tables, Undefined) or folds == "each" or n < 2:
            return 0
        number, taking_part = max(conditioned.comparison_counts(metric, table) for table in tables)
        together = self.protocol.split.deal == "balanced"
        hurdle = conditioned.pooled_hurdle(metric) if together else conditioned.HURDLE
        for more in range(n + 1, _MAX_SUBJECTS):
            pairs = more * (more - 1 if together else more / folds - 1) / 2
            enough = pairs * number / (n * (n - 1) / 2) >= hurdle.comparisons
            if enough and taking_part / n * more >= hurdle.subjects:
                return more
        return 0


def class_words(cohort: Cohort, target: Target) -> tuple[str, str]:
    """Return the names of a binary target's negative and positive class."""
    from embench.data.describe import class_names

    label = next(iter(cohort.store.labels().get(target.label, {}).values()), None)
    negative, positive = class_names(target, label.classes if label else None)
    if label is None or label.classes is None:
        return f"{negative} {target.name}", f"{positive} {target.name}"
    return negative, positive


def unique_as_json(unanswerable: Sequence[UnanswerableTarget]) -> list[Mapping[str, Any]]:
    """Return unanswerable targets as plain values, without repetitions."""
    unique = {(each.target, each.answer, each.reason): each for each in unanswerable}
    return [each.to_dict() for each in unique.values()]


# Differences that a number of subjects can show. Two methods are compared by a paired t test over subjects, two-sided
# at .05, with 80 % power. The spread of their difference over subjects depends on the two: a plan assumes the middle 80
# % of published pairs.

OTHER_DATASETS = "elsewhere"
"""Key of the pairs of methods on all datasets, which stand in for a dataset without published pairs."""
PUBLISHED_PAIRS = Path(__file__).with_name("published_pairs.yaml")
_KINDS = {"features": "feature methods", "network": "networks"}


class PairSpread(NamedTuple):
    """Standard deviation, over subjects, of the paired AUROC difference between two published methods: the bounds of
    the middle 80 % of pairs of methods, and the median. `source`: number, kind and dataset of these pairs, in words."""

    low: float
    median: float
    high: float
    source: str


@cache
def published_spread(kind: MethodKind, dataset: str = OTHER_DATASETS) -> PairSpread:
    """Return the spread of published pairs of methods of one kind on `dataset`, a name without its package. A dataset
    without pairs gets the spread over all datasets.

    >>> published_spread("features", "mine") == published_spread("features")
    True
    """
    published = parse_yaml(PUBLISHED_PAIRS.read_text(encoding="utf-8"))[kind]
    place = dataset if dataset in published else OTHER_DATASETS
    low, median, high, pairs = published[place]
    where = place if place != OTHER_DATASETS else f"{len(published) - 1} other datasets"
    return PairSpread(low, median, high, f"{pairs} pairs of published {_KINDS[kind]}, {where}")


def smallest_difference(subjects: int, sd: float) -> float:
    """Return the smallest difference between two methods that this number of subjects detects with 80 % power at .05;
    NaN for fewer than two subjects.

    >>> round(smallest_difference(34, 0.1), 3)
    0.05
    """
    df = subjects - 1
    if df < 1:
        return float("nan")
    from scipy.special import stdtrit  # slow to import

    return float((stdtrit(df, 0.975) + stdtrit(df, 0.8)) * sd / subjects**0.5)


def describe_difference(subjects: int, spread: PairSpread, score: str) -> dict[str, Any]:
    """Return a plan's entries on the smallest detectable difference, for the median and the middle 80 % of pairs."""
    median, low, high = (round(smallest_difference(subjects, sd), 3) for sd in (spread.median, spread.low, spread.high))
    return {
        "smallest_difference": median,
        "smallest_difference_range": [low, high],
        "smallest_difference_note": f"{score}, paired over subjects, 80 % power; middle 80 % of {spread.source}",
    }


def subjects_needed(difference: float, sd: float) -> int:
    """Return the least number of subjects that show a difference of this size, see `smallest_difference`.

    >>> subjects_needed(0.05, sd=0.1), subjects_needed(0.05, sd=0.05)
    (34, 10)
    """
    return next(n for n in count(2) if smallest_difference(n, sd) <= difference)


# Power: the proportion of simulated studies like this one that find an effect.

SIMULATED_POWER = Path(__file__).with_name("power.yaml")
"""Percentages of simulated studies, made by `python -m bench.confound_rule --tables`."""
ANNOUNCED = ("0.62", "0.72")
"""Effect sizes for which power is reported: the within-subject AUROC that the simulated signals allow."""
SIMULATED_PROTOCOL = "subject-independent-v4"
"""The protocol of the simulated studies."""


def find_power(store: Store, card: Card, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return the rows of `simulated_power` for a dataset's targets with a cohort, with all balanced partitions."""
    rows, protocol = [], load_protocol(SIMULATED_PROTOCOL)
    for target in targets:
        with suppress(EmbenchError):
            cohort = build_cohort(store, card, (target,), None, protocol)
            rows += simulated_power(cohort, protocol, target, range(cohort.partitions(protocol)))
    return rows


@cache
def _read_simulated_power() -> Mapping[str, Any]:
    found: Mapping[str, Any] = parse_yaml(SIMULATED_POWER.read_text(encoding="utf-8"))
    return found


def simulated_power(cohort: Cohort, protocol: Protocol, target: Target, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return, for each effect in `ANNOUNCED`, the percentages of similar simulated studies that find it: above chance,
    and given confounds. Empty if no study of this design was simulated.

    Args:
        seeds: the seeds of the run. Unless they cover all balanced partitions, the power is that of one partition."""
    design, groups = _simulated_design(cohort, target), len(set(cohort.groups.values()))
    known = _read_simulated_power().get(design or "", {}).get("continuous" if target.kind == "value" else "binary")
    if not known or target.kind == "classes":
        return []
    covers_all = len(set(seeds) & set(range(cohort.partitions(protocol)))) == cohort.partitions(protocol)
    rows = []
    for effect in ANNOUNCED:
        row: dict[str, Any] = {"target": target.name, "AUROC of the signals": float(effect)}
        for question in ("above_chance", "given_confounds"):
            column = question if covers_all else f"{question}_one_partition"
            by_size = {size: power[effect][column] for size, power in known.items() if column in power.get(effect, {})}
            if by_size:
                percentage = np.interp(groups, list(by_size), list(by_size.values()))
                row[f"{question.replace('_', ' ')}, %"] = round(float(percentage))
        rows.append(row)
    return rows


def _simulated_design(cohort: Cohort, target: Target) -> str | None:
    """Return the simulated design that is like the study, such as "D1" (bench/confound_rule/plan.md), or None."""
    units = cohort.select_units(cohort.eligible)
    several = len({unit.recording for unit in units}) < len(units)
    if cohort.design == "shared_stimuli":
        labels = cohort.label[target.name][list(cohort.eligible)]
        known = np.isfinite(labels)
        _, recording = np.unique(np.array([unit.recording for unit in units])[known], return_inverse=True)
        varies = several and known.any() and conditioned.ranges_by_code(labels[known], recording).any()
        return "D6" if varies else "D1"
    if cohort.design == "fixed_order":
        return None if several else "D2"
    return "D3" if several else "D5"
