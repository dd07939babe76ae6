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
from embench.protocols import Fold, Protocol
from embench.reasons import Reason
from embench.records.manifest import MethodKind
from embench.statistics import conditioned, metric_facts
from embench.statistics.answers import (
    CLOCK_TELLS_ALL,
    CONFOUNDING,
    FEW,
    Unanswerable,
    cannot_separate,
    metric_family,
    more_data,
    plain_reason,
    too_few,
    two_decimals,
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

# Whether a study can answer its question, said before anything is trained: from labels, stimuli, times and folds.

TRIED_SEEDS = tuple(range(10))
"""Seeds that are tried where those that were asked for give too few comparisons."""
_MOST_SUBJECTS = 1000
"""Most subjects that are named as enough."""
_FEW = 5
"""Subjects who may have one order by chance."""
FoldsOf = Callable[[int], Sequence[Fold]]


@dataclass(frozen=True)
class UnanswerableTarget(Unanswerable):
    """Why a study cannot answer whether scores are associated with the label `target`.

    Args:
        seeds: seeds that give enough comparisons; `subjects`: about how many do. Empty and 0 where none is known.
    """

    target: str = ""
    seeds: tuple[int, ...] = ()
    subjects: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {"target": self.target, **vars(self), "seeds": list(self.seeds)}


def why_unanswerable(
    cohort: Cohort, protocol: Protocol, target: Target, seeds: Sequence[int], folds_of: FoldsOf | None = None
) -> UnanswerableTarget | None:
    """Return why these seeds of a protocol cannot answer for a target; None where they can. No signal is read.

    Args:
        folds_of: the folds of a seed; default: those of the protocol.
    """
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
        return UnanswerableTarget("cannot be told", alone, "--protocol subject-independent-v3", target.name)
    if found := study.confounded():
        return found
    if why.id not in FEW:
        reason = f"{metric_facts(metric).title} is undefined: {plain_reason(why, cohort.store.name)}."
        return UnanswerableTarget("cannot be told", reason, "", target.name)
    enough, subjects = study.enough(metric, seeds)
    reason, factor = too_few(why, len(cohort.subjects))
    remedy = more_data(enough, subjects, study.enough_stimuli(factor))
    return UnanswerableTarget("too few data", reason, remedy, target.name, enough, subjects)


def enough_data(cohort: Cohort, protocol: Protocol, target: Target, seeds: Sequence[int]) -> dict[str, Any]:
    """Return how much data would give enough comparisons for a defined primary metric: `seeds` -> a list of seeds, or
    `subjects` -> about how many subjects. Empty if the given seeds suffice, or if no such number is known."""
    study = _Study(cohort, protocol, target, lambda seed: cohort.folds(protocol, seed))
    metric = choose_primary_metric(target, protocol, cohort.design, study.joined(seeds))
    why = study.explain_undefined(metric, seeds) if conditioned.is_conditioned(metric) else None
    if why is None or why.id not in FEW:
        return {}
    enough, subjects = study.enough(metric, seeds)
    return {"seeds": list(enough)} if enough else {"subjects": subjects} if subjects else {}


def find_unanswerable(
    store: Store, card: Card, targets: Sequence[Target], protocol: Protocol, seeds: Sequence[int] = TRIED_SEEDS
) -> list[UnanswerableTarget]:
    """Return the targets of a dataset for which these seeds give no answer. A target without a cohort is omitted, since
    a run reports more about it."""
    found = []
    for target in targets:
        with suppress(EmbenchError):
            cohort = build_cohort(store, card, (target,), None, protocol)
            found.append(why_unanswerable(cohort, protocol, target, seeds))
    return [each for each in found if each]


@dataclass(frozen=True)
class _Study:
    """The labelled units of a target, and how a protocol deals them."""

    cohort: Cohort
    protocol: Protocol
    target: Target
    folds_of: FoldsOf

    def joined(self, seeds: Sequence[int], score: np.ndarray | None = None) -> Joined:
        """Return the tested units of each seed with these scores (n, K) of the cohort's units; default: constant
        ones."""
        units = np.array(self.cohort.eligible)
        known = tested_units(self.cohort, self.target, units, self.protocol.rules)
        values = np.zeros((len(units), len(self.target.columns))) if score is None else score[units]
        seeds_made: dict[int, Any] = {}
        for seed in seeds:
            parts, labelled = self._parts(seed, known)
            seeds_made |= labelled.joined({seed: values}, {seed: parts}, whole=True).seeds
        return Joined({seed: folds for seed, folds in seeds_made.items() if folds}, self.protocol.rules)

    def _parts(self, seed: int, known: LabelledUnits) -> tuple[Parts, LabelledUnits]:
        """Return each fold's tested units as positions among the eligible ones, and the units with the labels that they
        have in the fold that tests them."""
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
        """Return why a conditioned score is undefined in all of these seeds, or under scoring 4 in all together; None
        where it is defined."""
        joined = self.joined(seeds)
        made = [conditioned.over_folds(metric, folds.values(), self._subjects) for folds in joined.seeds.values()]
        known = [tables for tables in made if not isinstance(tables, Undefined)]
        if joined.scoring > 3 and known:
            known = [conditioned.distinct(known)]
        hurdle = conditioned.HURDLE if joined.scoring == 3 else conditioned.pooled_hurdle(metric)
        found = [conditioned.share_won(metric, tables, hurdle) for tables in known]
        if any(not isinstance(share, Undefined) for share in found):
            return None
        reasons = [each.reason for each in (*found, *made) if isinstance(each, Undefined)]
        return reasons[0] if reasons else Reason.make("no_units")

    @cached_property
    def _labels(self) -> np.ndarray:
        """(n,) the labels of the cohort's units, cut at the mean of all where training subjects decide it."""
        return self.cohort.labels(self.target, self.cohort.eligible)

    @property
    def _subjects(self) -> np.ndarray:
        return np.unique([self.cohort.units[i].subject for i in self.cohort.eligible])

    @property
    def _together(self) -> Joined:
        """All units as if one fold tested them."""
        found = self.joined([0])
        [folds] = found.seeds.values()
        first, *rest = (replace(units, fold=np.zeros(len(units), int)) for units in folds.values())
        return Joined({0: {0: first.join(*rest)}})

    def confounded(self) -> UnanswerableTarget | None:
        """Return the reason why a target is unanswerable if the order of tasks, the time or the stimulus predicts the
        label almost fully. If all subjects had one class first, any rising score separates the classes within
        subjects."""
        name = self.target.name
        asked = registry.find_questions(self.cohort.store.name).get(name)
        if order := self._order():
            why = asked.order if asked and asked.order else f"everybody had {order[0]} first and {order[1]} afterwards"
            what = asked.higher if asked and asked.order else name
            reason = f"This design cannot separate {what} from the time since the start: {why}."
            return UnanswerableTarget("cannot be told", reason, "", name)
        within = f"{self.target.traits.ranking_family}_within"
        for control, what in CONFOUNDING.items():
            reached = self._reached(control, within)
            if reached is not None and reached >= CLOCK_TELLS_ALL:
                alone = f"{metric_family(within)} of {label(control)} alone {two_decimals(reached)}"
                return UnanswerableTarget("cannot be told", cannot_separate(name, what, alone), "", name)
        return None

    def _order(self) -> tuple[str, str] | None:
        """Return the class that all subjects had first, and the class that followed; None if orders differ."""
        if self.target.kind != "binary":
            return None
        units, y = self.cohort.select_units(self.cohort.tested), self._labels[list(self.cohort.tested)]
        start = np.array([unit.start_s for unit in units], float)
        if not np.isfinite(start).all():
            start = np.array([unit.order for unit in units], float)
        subject, found, ordered = np.array([unit.subject for unit in units]), set(), 0
        for name in np.unique(subject).tolist():
            times = [start[(subject == name) & (y == label)] for label in (0, 1)]
            if all(len(each) and np.isfinite(each).all() for each in times):
                ordered += 1
                found.add(0 if times[0].max() < times[1].min() else 1 if times[1].max() < times[0].min() else -1)
        if len(found) != 1 or -1 in found or (ordered < _FEW and not self.cohort.card.fixed_order):
            return None
        negative, positive = class_words(self.cohort, self.target)
        return (negative, positive) if found == {0} else (positive, negative)

    def _reached(self, name: str, within: str) -> float | None:
        """Return the score within subjects of a model of time alone, in the folds of the first seed."""
        cohort, target = self.cohort, self.target
        score = np.full((len(cohort.units), len(target.columns)), np.nan)
        place = {unit.id: i for i, unit in enumerate(cohort.units)}
        for fold in self.folds_of(0):
            if not place.keys() >= set(fold.train):
                return None  # of another dataset, whose clock is another
            train, test = (np.array([place[id_] for id_ in ids], int) for ids in (fold.train, fold.test))
            y = cohort.labels(target, train)
            train = train[np.isfinite(y[train])]
            if not len(train):
                return None
            task = ConfoundTask(target, cohort.units, y, train, test, {}, cohort.sessions, None, 0)
            made = CONFOUND_ONLY[name](task)
            if isinstance(made, Undefined):
                return None
            score[test] = made[0].reshape(len(test), -1)
        joined = self.joined([0], score)
        jackknife = leave_one_out(joined.tested_subjects(), cohort.groups)
        found, _ = estimate(within, joined, target, jackknife)
        return None if found is None or isinstance(found, Undefined) else found.mean

    def without_two_labels(self, metric: str, joined: Joined) -> UnanswerableTarget | None:
        """Return the reason why a within-subject score is undefined if no subject has two labels."""
        jackknife = leave_one_out(joined.tested_subjects(), self.cohort.groups)
        found, _ = estimate(metric, joined, self.target, jackknife)
        if not isinstance(found, Undefined):
            return None
        reason = f"{metric_facts(metric).title} is undefined: {plain_reason(found.reason, self.cohort.store.name)}."
        return UnanswerableTarget("cannot be told", reason, "", self.target.name)

    def enough(self, metric: str, seeds: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """Return seeds that give enough comparisons: one seed that suffices by itself, or under scoring 4 several
        balanced partitions together. Without such seeds, return about how many subjects are needed."""
        if self.protocol.rules > 3:
            balanced = tuple(range(self.cohort.partitions(self.protocol)))
            enough = set(seeds) < set(balanced) and not self.explain_undefined(metric, balanced)
            return (balanced, 0) if enough else ((), self._enough_subjects(metric))
        tried = list(seeds)
        for seed in (seed for seed in TRIED_SEEDS if seed not in seeds):
            tried.append(seed)
            if not self.explain_undefined(metric, [seed]):
                return tuple(tried), 0
        return (), self._enough_subjects(metric)

    def enough_stimuli(self, factor: float) -> int:
        """Return about how many similar stimuli give `factor` times as many comparisons, which grow with the pairs of
        stimuli. 0 if subjects share no stimuli, or if more comparisons do not help."""
        shown = {self.cohort.units[i].stimulus for i in self.cohort.tested}
        if self.cohort.design != "shared_stimuli" or not math.isfinite(factor):
            return 0
        return next(k for k in count(len(shown)) if k * (k - 1) >= factor * len(shown) * (len(shown) - 1))

    def _enough_subjects(self, metric: str) -> int:
        """Return about how many similar subjects are needed, 0 if unknown. Comparisons grow with the pairs of subjects
        in the same fold."""
        tables = conditioned.over_folds(metric, self._together.seeds[0].values(), self._subjects)
        n, folds = len(self._subjects), self.protocol.split.folds
        if isinstance(tables, Undefined) or folds == "each" or n < 2:
            return 0
        number, taking_part = max(conditioned.comparison_counts(metric, table) for table in tables)
        together = self.protocol.rules > 3 and self.protocol.split.deal == "balanced"
        hurdle = conditioned.pooled_hurdle(metric) if together else conditioned.HURDLE
        for more in range(n + 1, _MOST_SUBJECTS):
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


def without_repeats(found: Sequence[UnanswerableTarget]) -> list[Mapping[str, Any]]:
    """Return unanswerable targets as plain values, without repetitions."""
    unique = {(each.target, each.answer, each.reason): each for each in found}
    return [each.to_dict() for each in unique.values()]


# The differences that a number of subjects can show before anything is measured, and how many a difference needs.
#
# Two methods are compared by a paired t test over subjects, two-sided at .05, with 80 % power. How much their
# difference varies over subjects depends on the two: a plan takes the middle 80 % of the pairs that were published.

OTHER_DATASETS = "elsewhere"
"""The datasets of all published pairs, in place of a name: for datasets without any."""
PUBLISHED_PAIRS = Path(__file__).with_name("published_pairs.yaml")
_KINDS = {"features": "feature methods", "network": "networks"}


class PairSpread(NamedTuple):
    """Standard deviation over subjects of the paired difference of AUROC of two published methods of a kind: the bounds
    of the middle 80 % of pairs, and the median. `source`: their number, kind and dataset, in words."""

    low: float
    median: float
    high: float
    source: str


@cache
def published_spread(kind: MethodKind, dataset: str = OTHER_DATASETS) -> PairSpread:
    """Return the spread of published pairs on a dataset, by its name without the package; of all datasets if it has no
    pairs.

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
    """Return the smallest detectable difference as in plans: for the median of published pairs, and its range."""
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
