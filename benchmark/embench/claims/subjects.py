"""Measures whose values are of subjects (see `statistics/by_subject.py`). Where a claim names a target `by`, units
without a label of it do not count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from embench.claims.finished import ClaimRun, Runs
from embench.errors import DataError
from embench.interfaces.units import Units
from embench.statistics.by_subject import (
    Each,
    names_of,
    of_subjects,
    scores_of,
    subject_gap,
    subject_scores,
    units_by_seed,
)
from embench.statistics.intervals import Jackknife


def score_by_subject(runs: Runs) -> Mapping[str, Each]:
    """The score of each subject; and of each stimulus, where there are several."""
    ((_, run),) = runs.items()
    found = {f"{run.metric}, over subjects": subject_scores(run)}
    films = [replace(units, subject=units.stimulus) for _, units in units_by_seed(run)]
    if len(names := names_of(films)) > 1:
        others = np.tile(~np.eye(len(names), dtype=bool), (len(films), 1, 1))
        each = Jackknife(names, np.arange(len(names)))
        found[f"{run.metric}, over stimuli"] = Each("stimuli", scores_of(run, films, names), each, others)
    return found


def gap_by_subject(runs: Runs) -> Mapping[str, Each]:
    """Score of the first run less that of the second in each subject, each on its own units and target."""
    return {"difference": subject_gap(*runs.values())}


def gap_by_label(runs: Runs) -> Mapping[str, Each]:
    """Score of a run in each subject on the units of the positive class of the target `by`, less that on those of the
    negative class."""
    ((_, run),) = runs.items()
    positive, negative = [], []
    for ids, units in units_by_seed(run):
        label = np.array([run.by.get(unit, np.nan) for unit in ids.tolist()])
        positive.append(units.take(label == 1))
        negative.append(units.take(label == 0))
    return _gap([run], positive, negative)


def gap_of_merged(runs: Runs) -> Mapping[str, Each]:
    """Score of the first run, whose classes are parts of those of the second run's target, on that target, less the
    score of the second run, in each subject: a class has the sum of the scores of its parts.

    Raises:
        DataError: units of one class of the first run are of several classes of the second.
    """
    fine, coarse = runs.values()
    merged, own = [], []
    for (fine_ids, parts), (ids, units) in zip(units_by_seed(fine), units_by_seed(coarse), strict=True):
        _, at, where = np.intersect1d(fine_ids, ids, return_indices=True)
        parts, units = parts.take(at), units.take(where)
        pairs = np.unique(np.stack([parts.y_true, units.y_true]).astype(int), axis=1)
        part, whole = pairs
        if len(np.unique(part)) < len(part):
            raise DataError(
                f"classes of {fine.target} each cover several classes of {coarse.target}",
                where=str(fine.folder),
                expected="classes that each belong to one class of the other target",
            )
        score = np.zeros_like(units.score)
        np.add.at(score.T, whole, parts.score.T[part])
        merged.append(replace(units, score=score, decision=score.argmax(1).astype(float)))
        own.append(units)
    return _gap([fine, coarse], merged, own)


SUBJECT_MEASURES: Mapping[str, tuple[Callable[[Runs], Mapping[str, Each]], int]] = {
    "by_subject": (score_by_subject, 1),
    "gap_by_subject": (gap_by_subject, 2),
    "gap_by_label": (gap_by_label, 1),
    "gap_of_merged": (gap_of_merged, 2),
}
"""Measures with a value for each subject or stimulus, as `MEASURES`."""


def _gap(runs: Sequence[ClaimRun], first: Sequence[Units], second: Sequence[Units]) -> Mapping[str, Each]:
    """The difference of scores in each subject, of the units of both in each seed."""
    return {"difference": of_subjects(runs, names_of([*first, *second]), first, second)}
