"""Measures whose values are of subjects, so that runs under protocols with other folds, or on other targets, compare.

A subject's value is the score on all of its units in a seed, whatever their folds; seeds are averaged first. Where a
claim names a target `by`, units without a label of it do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from embench.claims.asked import Asked, Runs
from embench.errors import DataError
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_of_known
from embench.interfaces.units import Units
from embench.statistics.common import recorded_target
from embench.statistics.estimates import metric_of
from embench.statistics.intervals import Estimate, Jackknife, mean_over_subjects, shared_variance, widen
from embench.statistics.joined import labels_of, units_of


@dataclass(frozen=True)
class Each:
    """A value of each subject, or of each stimulus.

    Args:
        over: whose values they are.
        values: (S, P) in each seed, NaN where there is none.
        jackknife: their names and groups.
        trained: (S, G, G) in each seed, whether a group (column) trained the models that predict another (row).
    """

    over: Literal["people", "stimuli"]
    values: np.ndarray
    jackknife: Jackknife
    trained: np.ndarray

    def estimate(self) -> Estimate | Undefined:
        """The mean, with a t interval over groups. Where they train each other's models, the variance has the allowance
        for that, which is the variance itself where seeds do not show it."""
        found = mean_over_subjects(mean_of_known(self.values), self.jackknife.codes)
        if isinstance(found, Undefined) or found.error is None or not self.trained.any():
            return found
        adds = self.jackknife.by_group(np.nan_to_num(self.values / found.subjects))
        shared = shared_variance(adds, self.trained)
        return widen(found, found.error**2 if shared is None else shared)


def score_by_subject(runs: Runs) -> Mapping[str, Each]:
    """The score of each subject; and of each stimulus, where there are several."""
    ((_, run),) = runs.items()
    seeds = [units for _, units in _units(run)]
    found = {f"{run.metric}, over subjects": _of_subjects([run], _names(seeds), seeds)}
    films = [replace(units, subject=units.stimulus) for units in seeds]
    if len(names := _names(films)) > 1:
        others = np.tile(~np.eye(len(names), dtype=bool), (len(films), 1, 1))
        each = Jackknife(names, np.arange(len(names)))
        found[f"{run.metric}, over stimuli"] = Each("stimuli", _scores(run, films, names), each, others)
    return found


def gap_by_subject(runs: Runs) -> Mapping[str, Each]:
    """How much higher the first run scores than the second in each subject, each on its own units and target."""
    first, second = runs.values()
    return _gap([first, second], *([units for _, units in _units(run)] for run in (first, second)))


def gap_by_label(runs: Runs) -> Mapping[str, Each]:
    """How much higher a run scores in each subject on the units of the positive class of the target `by` than on those
    of the negative class."""
    ((_, run),) = runs.items()
    positive, negative = [], []
    for ids, units in _units(run):
        label = np.array([run.by.get(unit, np.nan) for unit in ids.tolist()])
        positive.append(units.take(label == 1))
        negative.append(units.take(label == 0))
    return _gap([run], positive, negative)


def gap_of_merged(runs: Runs) -> Mapping[str, Each]:
    """How much higher the first run, whose classes are parts of those of the second run's target, scores on that target
    than the second run, in each subject: a class has the sum of the scores of its parts.

    Raises:
        DataError: units of one class of the first run are of several classes of the second.
    """
    fine, coarse = runs.values()
    merged, own = [], []
    for (fine_ids, parts), (ids, units) in zip(_units(fine), _units(coarse), strict=True):
        _, at, where = np.intersect1d(fine_ids, ids, return_indices=True)
        parts, units = parts.take(at), units.take(where)
        pairs = np.unique(np.stack([parts.y_true, units.y_true]).astype(int), axis=1)
        part, whole = pairs
        if len(np.unique(part)) < len(part):
            raise DataError(
                f"classes of {fine.target} are of several classes of {coarse.target}",
                where=str(fine.folder),
                expected="classes that are parts of one class each",
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
"""As `MEASURES`."""


def _gap(runs: Sequence[Asked], first: Sequence[Units], second: Sequence[Units]) -> Mapping[str, Each]:
    """The difference of scores in each subject, of the units of both in each seed."""
    return {"difference": _of_subjects(runs, _names([*first, *second]), first, second)}


def _of_subjects(runs: Sequence[Asked], names: np.ndarray, *sides: Sequence[Units]) -> Each:
    """The scores (S, P) of the units of the first side, less those of the second where there is one."""
    values = _scores(runs[0], sides[0], names)
    for side in sides[1:]:
        values = values - _scores(runs[-1], side, names)
    groups = {subject: group for run in runs for subject, group in run.record.groups.items()}
    _, codes = np.unique([groups[name] for name in names.tolist()], return_inverse=True)
    jackknife = Jackknife(names, codes)
    trained = np.any([_trained(run, jackknife) for run in runs], axis=0)
    return Each("people", values, jackknife, trained)


def _units(run: Asked) -> list[tuple[np.ndarray, Units]]:
    """For each seed, in order, the ids (n,) of the labelled units, and the units. Raises DataError: there are none."""
    if run.record.labels is None:
        raise DataError("the record holds no labels", where=str(run.folder))
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


def _names(seeds: Sequence[Units]) -> np.ndarray:
    """(P,) the subjects of all units."""
    return np.unique(np.concatenate([units.subjects[0] for units in seeds]))


def _scores(run: Asked, seeds: Sequence[Units], names: np.ndarray) -> np.ndarray:
    """(S, P) the run's score of each subject on its units in each seed."""
    metric = metric_of(run.metric)
    if isinstance(metric, Undefined):
        raise DataError(metric.reason, where=run.metric)
    if seeds[0].kind not in metric.kinds:
        raise DataError(f"{run.metric} scores no targets of kind {seeds[0].kind}", where=run.target)
    alone = np.eye(len(names), dtype=np.int64)
    return np.stack([metric.resampled(units, names, alone) for units in seeds])


def _trained(run: Asked, jackknife: Jackknife) -> np.ndarray:
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
