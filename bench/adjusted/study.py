"""A dataset as a verdict on its published rows sees it: labelled units, folds, rows, confound-only models, and the
samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from bench.adjusted import PROTOCOL, TARGET
from bench.boards import BOARDS
from embench.data.cohort import Cohort
from embench.data.find import find_source
from embench.errors import DataError
from embench.interfaces.units import Target
from embench.leaderboard.entries import list_entry_folders
from embench.protocols import load_protocol
from embench.records.predictions import MODEL, Predictions
from embench.records.record import Record, read_manifest, read_record
from embench.statistics.confound_only import CONFOUND_ONLY
from embench.statistics.nuisance_movement import read_windows

SEEDS = (0, 1, 2)
"""The partitions that all published entries have."""


@dataclass(frozen=True, eq=False)
class Study:
    """The n labelled units of one target, of P subjects, and what was said of them in S seeds.

    `positions` (n,) of the units in the cohort; `subject` (n,) a position in `names` (P,); `start` (n,) seconds since
    the session began; `y` (n,) 0 or 1; `session_s` (P,) and `length_s` (of a unit) in s; `folds` (S, P) the fold that
    tests a subject; `order`, of each subject, positions of the units among the n, in order of time; `rows` and
    `confound_only`: name -> scores (S, n).
    """

    dataset: str
    cohort: Cohort
    target: Target
    positions: np.ndarray
    unit_ids: np.ndarray
    subject: np.ndarray
    start: np.ndarray
    y: np.ndarray
    names: np.ndarray
    session_s: np.ndarray
    length_s: float
    seeds: np.ndarray
    folds: np.ndarray
    order: tuple[np.ndarray, ...]
    rows: Mapping[str, np.ndarray]
    confound_only: Mapping[str, np.ndarray]
    _windows: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def windows(self, modality: str) -> np.ndarray:
        """(n, C, T) float32, the prepared samples of each unit. What is missing at the end of one repeats its last
        sample; a unit without any samples is 0. The array is kept and is read-only."""
        if modality not in self._windows:
            made = np.nan_to_num(read_windows(self.cohort, modality, self.positions))
            made.flags.writeable = False
            self._windows[modality] = made
        return self._windows[modality]


@cache
def read_study(dataset: str, data_root: Path) -> Study:
    """The study of a dataset's published rows under the fixed protocol, whose data lie below `data_root`. Data that are
    not prepared yet are prepared. Subjects and folds are those of the rows: a copy of the data may hold more subjects.

    Raises:
        DataError: the data are missing, there are no rows, or they are of units that the data here don't have.
    """
    protocol = load_protocol(PROTOCOL)
    records = _published(dataset)
    people = max((set(record.groups) for record in records.values()), key=len, default=set())
    cohort = _only(find_source(dataset, data_root).cohort(protocol, TARGET), people)
    labels = cohort.label[TARGET]
    positions = np.array([i for i in cohort.positions if np.isfinite(labels[i])], int)
    units = cohort.select_units(positions)
    names, subject = np.unique([unit.subject for unit in units], return_inverse=True)
    start = np.array([unit.start_s for unit in units], float)
    unit_ids = np.array([unit.id for unit in units])
    made = {name: _of_units(record.predictions, MODEL, unit_ids) for name, record in records.items()}
    whole = {name: columns for name, columns in made.items() if columns is not None}
    if not whole:
        raise DataError(
            "no published row is of the units of the data here",
            where=f"{dataset}, {PROTOCOL}",
            expected="the files of the release",
            hint=f"embench data verify {dataset}",
        )
    first = next(iter(whole))
    fold = whole[first]["fold"]
    confound_only = {name: _of_units(records[first].predictions, name, unit_ids) for name in CONFOUND_ONLY}
    order = in_order(subject, start)
    return Study(
        dataset=dataset,
        cohort=cohort,
        target=cohort.targets[0],
        positions=positions,
        unit_ids=unit_ids,
        subject=subject,
        start=start,
        y=labels[positions],
        names=names,
        session_s=np.array([cohort.sessions[name] for name in names.tolist()]),
        length_s=cohort.length_s,
        seeds=np.array(SEEDS),
        folds=np.stack([fold[:, own[0]] for own in order], axis=1).astype(int),
        order=order,
        rows={name: columns["score"] for name, columns in whole.items() if (columns["fold"] == fold).all()},
        confound_only={name: columns["score"] for name, columns in confound_only.items() if columns is not None},
    )


def _only(cohort: Cohort, people: set[str]) -> Cohort:
    """The cohort without all other subjects."""
    eligible, positions = (
        tuple(i for i in part if cohort.units[i].subject in people) for part in (cohort.eligible, cohort.positions)
    )
    roster = tuple(unit for unit in cohort.roster if unit.subject in people)
    return replace(cohort, eligible=eligible, positions=positions, roster=roster)


def in_order(subject: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, ...]:
    """The positions of each subject's units in order of time; `subject` (n,) counts from 0 on."""
    return tuple(
        own[np.argsort(start[own], kind="stable")]
        for own in (np.flatnonzero(subject == p) for p in range(subject.max() + 1))
    )


def _published(dataset: str) -> dict[str, Record]:
    """The entries of a board that were trained on its dataset with all labels, by the run's id."""
    records = {}
    for folder in list_entry_folders(BOARDS):
        if folder.parts[-3:-1] != (dataset, PROTOCOL):
            continue
        run = read_manifest(folder)
        other = run.config["train_dataset"] or run.config["label_subjects"]
        if not other and TARGET in run.targets and set(run.seeds) >= set(SEEDS):
            records[run.id] = read_record(folder)
    return records


def _of_units(predictions: Predictions, method: str, unit_ids: np.ndarray) -> dict[str, np.ndarray] | None:
    """The score and the fold (S, n) of the units with these ids (n,); None where a method leaves any out."""
    chosen = predictions.take(predictions.rows_with(method=method, target=TARGET))
    units, place = chosen.texts("unit"), {name: k for k, name in enumerate(unit_ids.tolist())}
    at = np.array([place.get(name, -1) for name in units.names.tolist()], int)[units.code]
    known = (at >= 0) & np.isin(chosen["seed"], SEEDS)
    made = {name: np.full((len(SEEDS), len(unit_ids)), np.nan) for name in ("score", "fold")}
    for name, values in made.items():
        values[chosen["seed"][known], at[known]] = chosen[name][known]
    return made if np.isfinite(made["score"]).all() else None
