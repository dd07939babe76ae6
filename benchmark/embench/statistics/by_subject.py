"""Scores of each subject, so that records under protocols with other folds, or on other targets, compare.

A subject's value is the score on all of its units in a seed, whatever their folds; seeds are averaged first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from embench.errors import DataError
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_of_known
from embench.interfaces.units import Units
from embench.records.predictions import MODEL, Predictions
from embench.records.record import Record
from embench.statistics.common import recorded_target
from embench.statistics.estimates import metric_of
from embench.statistics.intervals import Estimate, Jackknife, mean_over_subjects, shared_variance, widen
from embench.statistics.joined import labels_of, units_of


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
    return Each("people", values, jackknife, trained)


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
    return np.stack([metric.resampled(units, names, alone) for units in seeds])


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
