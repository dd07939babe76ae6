"""Nuisances as columns of a cohort's units: what the clock, the accelerometer, muscles, eyes and breathing, and the
contact of sensors tell, with models that read the label off them, fitted on the training subjects of each fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.data.cohort import Cohort
from embench.data.quality import quality_of_units
from embench.files import digest, sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Fold
from embench.statistics import boosted_trees
from embench.statistics.nuisance import clock
from embench.statistics.nuisance.accelerometer import Movement, movement_features, movement_of, windows_of
from embench.statistics.nuisance.behaviour import behaviour_of
from embench.statistics.nuisance.members import (
    Members,
    Parts,
    balanced_trees,
    careful_trees,
    label_columns,
    predictions,
    trees,
)
from embench.statistics.nuisance.moved import NEAR_S, Moved, Smoothed, surrounded
from embench.statistics.nuisance.registered import Cells
from embench.statistics.nuisance.sessions import Sessions, standard
from embench.store.kept import kept, was_kept
from embench.system import version_of

_CODE = [*(sha256(path) for path in sorted(Path(__file__).parent.glob("*.py"))), *boosted_trees.CODE]
"""Digests of the code that this process runs, whatever becomes of the files."""
BLOCKS = ("registered", "local", "contact")
"""Names of blocks, in an order in which those of a level are neighbours."""


@dataclass(frozen=True)
class Study:
    """The units that nuisances are columns of, in one seed.

    Args:
        units: (n,) positions in the cohort. `y`: (n,) labels, NaN where there is none.
        parts: of each fold, training units and those it predicts, as positions in `units`.
    """

    cohort: Cohort
    target: Target
    seed: int
    units: np.ndarray
    y: np.ndarray
    parts: Parts

    @cached_property
    def sessions(self) -> Sessions:
        """The units in the order of time."""
        units = self.cohort.of(self.units.tolist())
        names, subject = np.unique([unit.subject for unit in units], return_inverse=True)
        length = np.array([self.cohort.sessions.get(name, np.nan) for name in names.tolist()])
        start = np.array([unit.start_s for unit in units], float)
        unit_s = float(np.median([unit.stop - unit.start for unit in units]))
        return Sessions(subject, start, length[subject], unit_s)

    def kept(self, name: str, make: Callable[[], np.ndarray], *, of_seed: bool = True) -> np.ndarray:
        """The array that `make` gives, or gave before for this study."""
        return kept(self.cohort.store, self._about(name, of_seed), make)

    def was_kept(self, name: str, *, of_seed: bool = True) -> bool:
        """True if the array of this name was made before."""
        return was_kept(self.cohort.store, self._about(name, of_seed))

    def _about(self, name: str, of_seed: bool) -> list[object]:
        where = {key: digest(column) for key, column in self.cohort.arrays(self.units).items()}
        libraries = [version_of(n) for n in ("numpy", "scipy", "scikit-learn")]
        about: list[object] = ["nuisance", name, _CODE, libraries, where]
        if of_seed:
            folds = [[digest(train), digest(test)] for train, test in self.parts]
            about += [repr(self.target), self.seed, digest(self.y), folds]
        return about

    @cached_property
    def moved(self) -> Moved | None:
        """The columns of the accelerometer, where any unit has some."""
        store = self.cohort.store
        if "acc" not in store.modalities:
            return None
        names = [each.name for each in fields(Movement)]

        def make() -> np.ndarray:
            made = movement_of(windows_of(self.cohort, "acc", self.units), store.modalities["acc"].rate)
            parts = [getattr(made, name) for name in names]
            widths = np.zeros((1, len(names)))
            widths[0] = [part.shape[1] for part in parts]
            return np.hstack([*parts, np.repeat(widths, len(parts[0]), axis=0)])

        table = self.kept("movement", make, of_seed=False)
        widths, table = table[0, -len(names) :].astype(int), table[:, : -len(names)]
        if np.isnan(table).all():
            return None
        parts = np.split(table, np.cumsum(widths)[:-1], axis=1)
        return Moved(Movement(**dict(zip(names, parts, strict=True))), self.sessions)

    @cached_property
    def behaviour(self) -> np.ndarray:
        """(n, k) what other modalities show of muscles, eyes and breathing; no column where there is none."""
        return self.kept("behaviour", lambda: behaviour_of(self.cohort, self.units), of_seed=False)


def study_of(cohort: Cohort, target: Target, folds: Sequence[Fold], seed: int) -> Study | Undefined:
    """The units of a cohort that folds deal out; undefined where the release hides when they were recorded."""
    units = np.array(cohort.eligible)
    ids = [cohort.units[i].id for i in units.tolist()]
    at = {id_: k for k, id_ in enumerate(ids)}
    y = cohort.label[target.name][units]
    parts = []
    for fold in folds:
        train = np.array([at[id_] for id_ in (*fold.train, *fold.val)])
        parts.append((np.sort(train[np.isfinite(y[train])]), np.array([at[id_] for id_ in fold.test])))
    study = Study(cohort, target, seed, units, y, parts)
    if not np.isfinite(study.sessions.start).all() or not np.isfinite(study.sessions.length).all():
        return Undefined("the release hides when units were recorded")
    return study


def block(name: str, study: Study) -> np.ndarray:
    """(n, k) the columns of one of `BLOCKS`."""
    make: Mapping[str, Callable[[Study], np.ndarray]] = {
        "local": _local,
        "registered": _registered,
        "contact": _contact,
    }
    return study.kept(name, lambda: make[name](study).astype(np.float32)).astype(np.float64)


def _local(study: Study) -> np.ndarray:
    sessions = study.sessions
    places = clock.places(sessions)
    columns = [np.ones((len(study.units), 1)), clock.basis(sessions)]
    members: Members = {
        "elapsed": (places[:, :1], trees),
        "position": (places, trees),
        "drift": (np.column_stack([places[:, [0, 3]], sessions.subject]), trees),
    }
    smoothed: Smoothed = {}
    if study.moved is not None and (features := movement_features(study.cohort)) is not None:
        columns += study.moved.columns()
        more, smoothed = study.moved.members(places)
        members = {**members, **more, "control": (features[study.units], balanced_trees)}
        around = [(s, s) for s in (*NEAR_S, 240.0)]
        smoothed = {**smoothed, "control": [*around, (120.0, 0.0), (0.0, 120.0), (60.0, 0.0), (0.0, 60.0)]}
    if np.isfinite(study.behaviour).any():
        made, more, around_it = surrounded(study.behaviour, sessions, "behaviour")
        columns += made
        members = {**members, **more, "behaviour clock": (np.hstack([*made, places]), careful_trees)}
        smoothed = {**smoothed, **around_it}
    return np.hstack([*columns, *_predicted(members, smoothed, study)])


def _predicted(members: Members, smoothed: Smoothed, study: Study) -> list[np.ndarray]:
    """The predictions of `members`, and of some their means over seconds before and after."""
    made = predictions(members, study.y, study.target, study.parts, study.seed)
    columns = [standard(made[name]) for name in members]
    return columns + [
        standard(study.sessions.mean(standard(made[name]), before, after))
        for name, spans in smoothed.items()
        for before, after in spans
    ]


def _registered(study: Study) -> np.ndarray:
    """Clocks registered by channels and summaries of the accelerometer; no column where there is none."""
    if study.moved is None:
        return np.zeros((len(study.units), 0))
    sessions, cells = study.sessions, Cells(study.sessions)
    likeness = [cells.likeness(each) for each in study.moved.traces()]
    labels, train = label_columns(study.y, study.target), _training_of_subjects(study)
    clocks = [cells.clocks(each, labels, train) for each in (*likeness, np.mean(likeness, axis=0))]
    first = [sessions.mean(standard(each), 60.0, 60.0) for each in (clocks[0], clocks[-1])]
    return standard(np.hstack([*clocks, *first]))


def registered_clock(study: Study) -> np.ndarray | Undefined:
    """(n, k) the labels of training subjects at the time at which all that their accelerometers show fits the subject's
    best, from 0 to 1 for each class; undefined where there is no accelerometer."""
    moved = study.moved
    if moved is None:
        return Undefined("there is no accelerometer")

    def make() -> np.ndarray:
        cells, labels = Cells(study.sessions), label_columns(study.y, study.target)
        likeness = np.mean([cells.likeness(each) for each in moved.traces()], axis=0)
        return cells.clocks(likeness, labels, _training_of_subjects(study))[:, : labels.shape[1]]

    return study.kept("registered clock", make)


def _training_of_subjects(study: Study) -> list[np.ndarray]:
    """Training units of the fold that predicts each subject's first unit."""
    fold = np.zeros(len(study.units), int)
    for k, (_, test) in enumerate(study.parts):
        fold[test] = k
    return [study.parts[fold[rows[0]]][0] for rows in study.sessions.rows]


def _contact(study: Study) -> np.ndarray:
    """Signs of how well sensors sat: the quality of each signal, its gaps, and size and roughness of the pulse wave."""
    store = study.cohort.store
    ids = [study.cohort.units[i].id for i in study.units.tolist()]
    columns = []
    for modality in sorted(set(store.modalities) - {"acc"}):
        index = quality_of_units(store, modality, ids)
        if not isinstance(index, Undefined):
            columns += [index, np.isnan(index).astype(float)]
    if "ppg" in store.modalities:
        columns += list(_pulse(windows_of(study.cohort, "ppg", study.units)).T)
    if not columns:
        return np.zeros((len(study.units), 0))
    made, members, smoothed = surrounded(np.stack(columns, axis=1), study.sessions, "contact")
    return np.hstack([*made, *_predicted(members, smoothed, study)])


def _pulse(windows: np.ndarray) -> np.ndarray:
    """(n, 6) SD, range and maximum (log), share of flat samples, roughness and kurtosis of pulse waves (n, C, T)."""
    x = windows[:, 0].astype(np.float64)
    spread = x.std(1)
    change = np.abs(np.diff(x, axis=1))
    return np.stack(
        [
            np.log(spread + 1e-3),
            np.log(np.ptp(x, axis=1) + 1e-3),
            np.log(np.abs(x).max(1) + 1e-3),
            (change < 1e-3 * (spread[:, None] + 1e-9)).mean(1),
            np.log(np.abs(np.diff(x, 2, axis=1)).mean(1) + 1e-3) - np.log(spread + 1e-3),
            (((x - x.mean(1, keepdims=True)) / (spread[:, None] + 1e-6)) ** 4).mean(1),
        ],
        axis=1,
    )
