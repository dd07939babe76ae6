"""Nuisances as columns of a cohort's units, in blocks that are held constant together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from scipy import fft

from embench.data.cohort import Cohort
from embench.data.quality import compute_unit_quality
from embench.files import cached_call, digest, sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Fold
from embench.statistics import confound_only, nuisance_models
from embench.statistics.confound_predictions import MODELS_VERSION, has_predictions, published_predictions
from embench.statistics.nuisance_models import (
    Members,
    Parts,
    Sessions,
    balanced_trees,
    careful_trees,
    label_columns,
    linear,
    predictions,
    standard,
    trees,
)
from embench.statistics.nuisance_movement import (
    NEAR_S,
    Moved,
    Movement,
    Smoothed,
    behaviour_of,
    movement_features,
    movement_of,
    surrounded,
    windows_of,
)
from embench.store.store import cache_array, is_cached
from embench.system import installed_version

# Clocks that a signal sets: a subject's trace is aligned with those of training subjects, whose labels are read at the
# shifted time. Where tasks came in one order, such a clock reads the label off the order of movements, without a body.

SHIFT_S = 300.0
"""Largest shift of a trace, to each side."""
OVERLAP_S = 600.0
"""Least overlap of two compared traces, or half of the shorter session."""
SHARP, SOFT, FLAT = 0.08, 0.05, 10.0
"""Increase of a correlation that multiplies the weight by e."""


class Cells:
    """Sessions in cells of time of a unit's length, where their units lie in them.

    Args:
        sessions: of P subjects.
    """

    def __init__(self, sessions: Sessions) -> None:
        """Cells begin with the session."""
        self.sessions = sessions
        self.cell = np.floor(sessions.start / sessions.unit_s + 1e-6).astype(int)
        self.shape = len(sessions.rows), int(self.cell.max()) + 1
        self.most = min(round(SHIFT_S / sessions.unit_s), self.shape[1] - 1)
        self.shifts = np.arange(-self.most, self.most + 1)

    def laid(self, values: np.ndarray) -> np.ndarray:
        """(P, M) `values` (n,) of units in the cells of their subject, NaN in those without a unit."""
        out = np.full(self.shape, np.nan)
        for p, rows in enumerate(self.sessions.rows):
            out[p, self.cell[rows]] = values[rows]
        return out

    def likeness(self, traces: Sequence[np.ndarray]) -> np.ndarray:
        """(P, P, 2 K + 1) the mean over `traces` (n,) of the correlation of one subject (row) with another (column),
        later by 0 to K cells to each side; -1 where they share too little."""
        return np.mean([self._correlations(self.laid(trace)) for trace in traces], axis=0)

    def _correlations(self, trace: np.ndarray) -> np.ndarray:
        known = np.isfinite(trace)
        value = np.where(known, trace, 0.0)
        size = fft.next_fast_len(2 * self.shape[1], real=True)
        parts = [fft.rfft(part, size, axis=1) for part in (known.astype(float), value, value**2)]
        least = np.minimum(OVERLAP_S / self.sessions.unit_s, known.sum(1) / 2)
        out = np.empty((len(trace), len(trace), len(self.shifts)))
        for p in range(len(trace)):
            mine = [part[p] for part in parts]

            def shared(own: int, other: int, mine: list[np.ndarray] = mine) -> np.ndarray:
                """(P, 2 K + 1) sums of products of what overlaps."""
                return fft.irfft(mine[own] * parts[other].conj(), size, axis=1)[:, self.shifts]

            count = np.maximum(shared(0, 0), 0.5)
            of_mine, of_theirs = shared(1, 0) / count, shared(0, 1) / count
            together = shared(1, 1) / count - of_mine * of_theirs
            spread = (shared(2, 0) / count - of_mine**2) * (shared(0, 2) / count - of_theirs**2)
            enough = count > np.minimum(least[p], least)[:, None]
            out[p] = np.where(enough, together / np.sqrt(np.maximum(spread, 1e-6)), -1.0)
        return out

    def clocks(self, likeness: np.ndarray, labels: np.ndarray, train: Sequence[np.ndarray]) -> np.ndarray:
        """(n, 3 K) what each of K `labels` is expected to be when sessions are aligned.

        Subjects are aligned by their best shift, and those more alike count more (`SHARP`) or all equally (`FLAT`); or
        by all shifts, those more alike counting more (`SOFT`).

        Args:
            likeness: see there. `labels`: (n, K), NaN where there is none.
            train: of each subject, the positions of the training units of the model that predicts them.
        """
        subject = self.sessions.subject
        best = likeness.argmax(2)
        top = likeness.max(2)
        out = np.zeros((len(subject), 3, labels.shape[1]))
        for p, rows in enumerate(self.sessions.rows):
            others = np.unique(subject[train[p]])
            others = others[others != p]
            if not len(others):
                continue
            known = np.full((*self.shape, labels.shape[1]), np.nan)
            known[subject[train[p]], self.cell[train[p]]] = labels[train[p]]
            read = np.where(np.isfinite(known), known, np.nanmean(labels[train[p]], axis=0))[others]
            cells = self.cell[rows]
            aligned = np.clip(cells - self.shifts[best[p, others]][:, None], 0, self.shape[1] - 1)
            of_best = np.take_along_axis(read, aligned[:, :, None], axis=1)
            for k, warmth in enumerate((SHARP, FLAT)):
                weight = _softened(top[p, others], warmth)
                out[rows, k] = np.einsum("q,qik->ik", weight, of_best)
            weight = _softened(likeness[p, others], SOFT)
            for s, shift in enumerate(self.shifts):
                here = read[:, np.clip(cells - shift, 0, self.shape[1] - 1)]
                out[rows, 2] += np.einsum("q,qik->ik", weight[:, s], here)
        return out.reshape(len(subject), -1)


def _softened(likeness: np.ndarray, warmth: float) -> np.ndarray:
    """Weights that add up to 1."""
    weight = np.exp((likeness - likeness.max()) / warmth)
    return np.asarray(weight / weight.sum())


# Nuisances as columns of a cohort's units: what the clock, the accelerometer, muscles, eyes and breathing, and the
# contact of sensors tell, with models that read the label off them, fitted on the training subjects of each fold.

_CODE = [*(sha256(path) for path in sorted(Path(__file__).parent.glob("nuisance_*.py"))), *confound_only.CODE]
"""Digests of the code that this process runs, whatever becomes of the files."""
OWN_CUTS = "cuts_of_folds"
BLOCKS = ("registered", "local", "contact")
"""Names of blocks, in an order in which those of a level are neighbours."""


@dataclass(frozen=True, eq=False)
class Observed:
    """The eligible units of a cohort, and what follows from them alone: all seeds and targets share it."""

    cohort: Cohort

    @cached_property
    def units(self) -> np.ndarray:
        """(n,) positions in the cohort."""
        return np.array(self.cohort.eligible)

    @cached_property
    def sessions(self) -> Sessions:
        """The units in the order of time."""
        units = self.cohort.select_units(self.units.tolist())
        names, subject = np.unique([unit.subject for unit in units], return_inverse=True)
        length = np.array([self.cohort.sessions.get(name, np.nan) for name in names.tolist()])
        start = np.array([unit.start_s for unit in units], float)
        unit_s = float(np.median([unit.stop - unit.start for unit in units]))
        return Sessions(subject, start, length[subject], unit_s)

    def kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array that `make` gives, or gave before for these units."""
        return cache_array(self.cohort.store, self.about(name), make)

    def is_cached(self, name: str) -> bool:
        """True if the array of this name was made before."""
        return is_cached(self.cohort.store, self.about(name))

    def about(self, name: str) -> list[object]:
        """All that decides an array of this name beside the prepared data."""
        return ["nuisance", name, _CODE, *self._about]

    @cached_property
    def _about(self) -> list[object]:
        libraries = [installed_version(n) for n in ("numpy", "scipy", "scikit-learn")]
        return [libraries, {key: digest(column) for key, column in self.cohort.arrays(self.units).items()}]

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

        table = self.kept("movement", make)
        widths, table = table[0, -len(names) :].astype(int), table[:, : -len(names)]
        if np.isnan(table).all():
            return None
        parts = np.split(table, np.cumsum(widths)[:-1], axis=1)
        return Moved(Movement(**dict(zip(names, parts, strict=True))), self.sessions)

    @cached_property
    def behaviour(self) -> np.ndarray:
        """(n, k) what other modalities show of muscles, eyes and breathing; no column where there is none."""
        return self.kept("behaviour", lambda: behaviour_of(self.cohort, self.units))

    @cached_property
    def contact(self) -> np.ndarray:
        """(n, k) signs of how well sensors sat: the quality of each signal, its gaps, and size and roughness of the
        pulse wave; no column where there is none."""
        return self.kept("contact of sensors", self._contact)

    def _contact(self) -> np.ndarray:
        store = self.cohort.store
        ids = [self.cohort.units[i].id for i in self.units.tolist()]
        columns = [np.zeros((0, len(ids)))]
        for modality in sorted(set(store.modalities) - {"acc"}):
            index = compute_unit_quality(store, modality, ids)
            if not isinstance(index, Undefined):
                columns.append(np.stack([index, np.isnan(index).astype(float)]))
        if "ppg" in store.modalities:
            columns.append(_pulse(windows_of(self.cohort, "ppg", self.units)).T)
        return np.ascontiguousarray(np.vstack(columns).T)  # as sums over units have their order

    @cached_property
    def cells(self) -> Cells:
        """The sessions as they are aligned."""
        return Cells(self.sessions)

    @cached_property
    def likeness(self) -> list[np.ndarray]:
        """`Cells.likeness` of each trace of the accelerometer; empty without an accelerometer."""
        return [self.cells.likeness(each) for each in self.moved.traces()] if self.moved else []

    @cached_property
    def local(self) -> tuple[list[np.ndarray], Members, Smoothed]:
        """Columns of time and movement, models on them, and which predictions are smoothed."""
        sessions = self.sessions
        places = nuisance_models.places(sessions)
        columns = [np.ones((len(self.units), 1)), nuisance_models.basis(sessions)]
        members: Members = {
            "elapsed": (places[:, :1], trees),
            "position": (places, trees),
            "drift": (np.column_stack([places[:, [0, 3]], sessions.subject]), trees),
        }
        smoothed: Smoothed = {}
        if self.moved is not None and (features := movement_features(self.cohort)) is not None:
            columns += self.moved.columns()
            more, smoothed = self.moved.members(places)
            members = {**members, **more, "control": (features[self.units], balanced_trees)}
            around = [(s, s) for s in (*NEAR_S, 240.0)]
            smoothed = {**smoothed, "control": [*around, (120.0, 0.0), (0.0, 120.0), (60.0, 0.0), (0.0, 60.0)]}
        if np.isfinite(self.behaviour).any():
            made, more, around_it = surrounded(self.behaviour, sessions, "behaviour")
            columns += made
            members = {**members, **more, "behaviour clock": (np.hstack([*made, places]), careful_trees)}
            smoothed = {**smoothed, **around_it}
        return columns, members, smoothed


@dataclass(frozen=True)
class Study:
    """The units that nuisances are columns of, in one seed.

    Args:
        observed: n units. `y`: (n,) labels, NaN where there is none.
        parts: of each fold, training units and those it predicts, as positions in `units`.
        models: the study whose models of confounds it shares; None where it has its own.
    """

    observed: Observed
    target: Target
    seed: int
    y: np.ndarray
    parts: Parts
    models: Study | None = None

    @property
    def fitted(self) -> Study:
        """The study in whose folds its models of confounds are fitted."""
        return self.models or self

    @property
    def cohort(self) -> Cohort:
        """The cohort of the units."""
        return self.observed.cohort

    @property
    def units(self) -> np.ndarray:
        """(n,) positions in the cohort."""
        return self.observed.units

    @property
    def sessions(self) -> Sessions:
        """The units in the order of time."""
        return self.observed.sessions

    def kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array that `make` gives, or gave before for this study."""
        return cache_array(self.cohort.store, self._about(name), make)

    def is_cached(self, name: str) -> bool:
        """True if the array of this name was made before."""
        return is_cached(self.cohort.store, self._about(name))

    def _about(self, name: str) -> list[object]:
        folds = [[digest(train), digest(test)] for train, test in self.parts]
        return [*self.observed.about(name), repr(self.target), self.seed, digest(self.y), folds]


def study_of(observed: Observed, target: Target, folds: Sequence[Fold], seed: int) -> Study | Undefined:
    """The units of a cohort that folds deal out; undefined where the release hides when they were recorded,
    and where each fold has labels of its own."""
    if target.rule.cut == "training_mean":
        return Undefined(OWN_CUTS)
    cohort, units = observed.cohort, observed.units
    at = {cohort.units[i].id: k for k, i in enumerate(units.tolist())}
    y = cohort.label[target.name][units]
    parts = []
    for fold in folds:
        train = np.array([at[id_] for id_ in (*fold.train, *fold.val)])
        parts.append((np.sort(train[np.isfinite(y[train])]), np.array([at[id_] for id_ in fold.test])))
    if not np.isfinite(observed.sessions.start).all() or not np.isfinite(observed.sessions.length).all():
        return Undefined("hidden_times")
    return Study(observed, target, seed, y, parts)


def block(name: str, study: Study) -> np.ndarray:
    """(n, k) the columns of one of `BLOCKS`."""
    study = study.fitted
    make: Mapping[str, Callable[[Study], np.ndarray]] = {
        "local": partial(_with_models, "local"),
        "registered": _registered,
        "contact": _contact,
    }
    return study.kept(name, lambda: make[name](study).astype(np.float32)).astype(np.float64)


def confound_models(name: str, study: Study) -> tuple[list[np.ndarray], Members, Smoothed]:
    """Columns of a block, `local` or `contact`, models on them, and which predictions are smoothed."""
    observed = study.observed
    return observed.local if name == "local" else surrounded(observed.contact, study.sessions, name)


def _with_models(name: str, study: Study) -> np.ndarray:
    """Columns, the predictions of models on them, and of some their means over seconds before and after."""
    columns, members, smoothed = confound_models(name, study)
    made = published_predictions(study.cohort.store.name, published_key(name, study), list(members))
    made = made or predictions(members, study.y, study.target, study.parts, study.seed)
    smooth = [
        standard(study.sessions.mean(standard(made[name]), before, after))
        for name, spans in smoothed.items()
        for before, after in spans
    ]
    return np.hstack([*columns, *(standard(made[name]) for name in members), *smooth])


def is_published(name: str, study: Study) -> bool:
    """Return True if the predictions of a block's models are published, so that none is fitted."""
    return has_predictions(study.cohort.store.name, published_key(name, study))


def published_key(name: str, study: Study) -> str:
    """Return the key under which the predictions of a block's models are published: units, labels and folds, whatever
    code and libraries prepared them."""
    units = study.cohort.select_units(study.units.tolist())
    about = [MODELS_VERSION, name, repr(study.target), study.seed, [unit.id for unit in units]]
    folds = [[digest(train), digest(test)] for train, test in study.parts]
    return digest([*about, digest(study.y), folds])


def _registered(study: Study) -> np.ndarray:
    """Clocks registered by channels and summaries of the accelerometer; no column where there is none."""
    likeness = study.observed.likeness
    if not likeness:
        return np.zeros((len(study.units), 0))
    labels, train = label_columns(study.y, study.target), _training_of_subjects(study)
    clocks = [study.observed.cells.clocks(each, labels, train) for each in (*likeness, np.mean(likeness, axis=0))]
    first = [study.sessions.mean(standard(each), 60.0, 60.0) for each in (clocks[0], clocks[-1])]
    return standard(np.hstack([*clocks, *first]))


def predict_protocol_phase(study: Study) -> np.ndarray | Undefined:
    """(n, k) the labels of training subjects at the time at which all that their accelerometers show fits the subject's
    best, from 0 to 1 for each class; undefined where there is no accelerometer."""
    observed = study.observed
    if observed.moved is None:
        return Undefined("no_accelerometer")

    def make() -> np.ndarray:
        labels, likeness = label_columns(study.y, study.target), np.mean(observed.likeness, axis=0)
        return observed.cells.clocks(likeness, labels, _training_of_subjects(study))[:, : labels.shape[1]]

    return study.kept("protocol phase", make)


def _training_of_subjects(study: Study) -> list[np.ndarray]:
    """Training units of the fold that predicts each subject's first unit."""
    fold = np.zeros(len(study.units), int)
    for k, (_, test) in enumerate(study.parts):
        fold[test] = k
    return [study.parts[fold[rows[0]]][0] for rows in study.sessions.rows]


def _contact(study: Study) -> np.ndarray:
    """Signs of how well sensors sat, and models on them."""
    values = study.observed.contact
    if not values.shape[1]:
        return values
    return _with_models("contact", study)


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


# Contribution of one axis of an accelerometer to its other axes: the effect that mere movement still has where less is
# measured than moved.


def axes_of(study: Study) -> list[str]:
    """The names of the accelerometer's axes; none where there are not two, or no accelerometer."""
    acc = study.cohort.store.modalities.get("acc")
    return list(acc.channels) if acc and len(acc.channels) > 1 else []


def placebo(study: Study, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, K) what trees predict from one axis with its context, out of fold, and (n, k) nuisances of the clock and the
    other axes: as `local`, but for most of its members."""
    made = study.kept(f"placebo {axis}", lambda: _made(study, axes_of(study).index(axis)))
    classes = made.shape[1] - int(made[0, -1]) - 1
    return made[:, :classes], made[:, classes:-1]


def _made(study: Study, axis: int) -> np.ndarray:
    # Seeds have the same units.
    one, others = cached_call((_apart, study.cohort, axis), lambda: _apart(study, axis))
    sessions = study.sessions
    places, of_time = nuisance_models.places(sessions), nuisance_models.basis(sessions)
    near = [np.hstack([each.wide, each.near(each.bands)]) for each in (one, others)]
    members: Members = {
        "one": (near[0], careful_trees),
        "trees": (others.wide, trees),
        "linear": (near[1], linear),
        "clock": (np.hstack([near[1], places]), careful_trees),
        "position": (places, trees),
    }
    found = predictions(members, study.y, study.target, study.parts, study.seed)
    score, *held = (standard(each) for each in found.values())
    smooth = [sessions.mean(each, s, s) for each in held[:3] for s in NEAR_S]
    nuisances = np.hstack([np.ones((len(study.units), 1)), of_time, *others.columns(), *held, *smooth])
    width = np.full((len(study.units), 1), float(nuisances.shape[1]))
    return np.hstack([score, nuisances, width])


def _apart(study: Study, axis: int) -> tuple[Moved, Moved]:
    """The movement along one axis in each unit, and along the others."""
    windows, rate = windows_of(study.cohort, "acc", study.units), study.cohort.store.modalities["acc"].rate
    one, others = (
        Moved(movement_of(windows[:, axes], rate, convolutions=0), study.sessions)
        for axes in ([axis], np.delete(np.arange(windows.shape[1]), axis))
    )
    return one, others
