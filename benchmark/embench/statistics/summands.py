"""Contributions of groups of subjects to a record's headline, by which a board compares records without predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from embench.files import digest
from embench.records.manifest import SHARED_SEEDS
from embench.records.record import Record
from embench.statistics.common import has_shared_subjects, joined_on_common, recorded_targets
from embench.statistics.estimates import contributions
from embench.statistics.intervals import leave_one_out
from embench.statistics.joined import Joined
from embench.statistics.permutation import per_subject_contributions
from embench.statistics.ranking import Summands


def headline_summands(record: Record, target: str) -> Summands | None:
    """The parts that groups of subjects add to the headline of a target, in the partitions of `shared_part`; None where
    it is undefined or no sum over subjects, where subjects are tested by models that they trained, or where an old
    record does not hold the label's rule.

    Raises:
        DataError: the record holds no labels.
    """
    metric = record.scores.headlines[target]
    groups = record.groups
    rule = next((each for each in recorded_targets(record) if each.name == target), None)
    if rule is None or record.scores.score(target, metric) is None or has_shared_subjects(record):
        return None
    [joined] = joined_on_common([record], rule, groups)
    joined = shared_part(joined)
    jackknife = leave_one_out(joined.tested_subjects(), groups)
    adds = per_subject_contributions(metric, joined, rule, jackknife.subjects)
    if adds is None:
        return None
    adds = np.bincount(jackknife.codes, adds)
    by_seed = contributions(metric, joined, rule, jackknife)
    units = [
        [seed, fold, *(values.tolist() for values in (part.subject, part.stimulus, part.start_s, part.y_true))]
        for seed, fold, part in joined
    ]
    return Summands(digest([metric, jackknife.codes.tolist(), units]), adds, by_seed, joined.trained(jackknife))


def chance_contributions(record: Record, target: str) -> list[float] | None:
    """The contributions of groups of subjects to the primary metric of a constant score, in the partitions of
    `shared_part`: what each of a method's `headline_summands` is on average if the method predicts nothing. None where
    a method has none.

    Raises:
        DataError: the record holds no labels.
    """
    metric = record.scores.headlines[target]
    rule = next((each for each in recorded_targets(record) if each.name == target), None)
    if rule is None or has_shared_subjects(record):
        return None
    joined = shared_part(joined_on_common([record], rule, record.groups)[0])
    constant = {
        seed: {fold: replace(units, score=np.zeros_like(units.score)) for fold, units in folds.items()}
        for seed, folds in joined.seeds.items()
    }
    jackknife = leave_one_out(joined.tested_subjects(), record.groups)
    found = per_subject_contributions(metric, Joined(constant), rule, jackknife.subjects)
    return None if found is None else np.bincount(jackknife.codes, found).tolist()


def shared_part(joined: Joined) -> Joined:
    """Return the partitions in which entries are compared: those of the seeds that all entries have."""
    shared = {seed: folds for seed, folds in joined.seeds.items() if seed in SHARED_SEEDS}
    return Joined(shared) if len(shared) == len(SHARED_SEEDS) else joined
