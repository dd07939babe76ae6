"""Confounds as columns of a cohort's units, in blocks. Scores are adjusted for a whole block at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from importlib import resources
from importlib.resources.abc import Traversable
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
from embench.statistics.nuisance_models import (
    Members,
    Parts,
    Sessions,
    balanced_trees,
    careful_trees,
    label_columns,
    linear,
    predictions,
    standardise_all,
    trees,
)
from embench.statistics.nuisance_movement import (
    NEAR_S,
    Movement,
    MovementColumns,
    Smoothed,
    accelerometer_features,
    behaviour_features,
    make_context_block,
    movement_features,
    read_windows,
)
from embench.store.store import cache_array, is_cached
from embench.system import installed_version

# The protocol phase: a subject's movement is aligned with that of training subjects, and the prediction is their label
# at the aligned time. If tasks came in one order, such a model predicts the label from the order of movements, without
# a physiological signal.

SHIFT_S = 300.0
"""Largest shift in s, in each direction, of a trace (a series of one movement feature)."""
OVERLAP_S = 600.0
"""Least overlap in s of two compared traces; half of the shorter session if that is less."""
SHARP, SOFT, FLAT = 0.08, 0.05, 10.0
"""Softmax temperatures: the increase of a correlation that multiplies a subject's weight by e."""


class SessionGrid:
    """Sessions of P subjects on a grid of time: each cell is as long as a unit and contains at most one unit."""

    def __init__(self, sessions: Sessions) -> None:
        """Lay a grid over each session, from the start of the session."""
        self.sessions = sessions
        self.cell = np.floor(sessions.start / sessions.unit_s + 1e-6).astype(int)
        self.shape = len(sessions.rows), int(self.cell.max()) + 1
        self.most = min(round(SHIFT_S / sessions.unit_s), self.shape[1] - 1)
        self.shifts = np.arange(-self.most, self.most + 1)

    def to_cells(self, values: np.ndarray) -> np.ndarray:
        """Return (P, M): the `values` (n,) of units, placed in the M cells of each subject; NaN in cells without a
        unit."""
        out = np.full(self.shape, np.nan)
        for p, rows in enumerate(self.sessions.rows):
            out[p, self.cell[rows]] = values[rows]
        return out

    def likeness(self, traces: Sequence[np.ndarray]) -> np.ndarray:
        """Return (P, P, 2 K + 1) correlations of one subject (row) with another (column), whose trace is shifted by -K
        to K cells. They are means over `traces` (n,); -1 if the two overlap too little."""
        return np.mean([self._correlations(self.to_cells(trace)) for trace in traces], axis=0)

    def _correlations(self, trace: np.ndarray) -> np.ndarray:
        """Return (P, P, 2 K + 1) correlations of one trace in cells (P, M), by Fourier transforms."""
        known = np.isfinite(trace)
        value = np.where(known, trace, 0.0)
        size = fft.next_fast_len(2 * self.shape[1], real=True)
        parts = [fft.rfft(part, size, axis=1) for part in (known.astype(float), value, value**2)]
        least = np.minimum(OVERLAP_S / self.sessions.unit_s, known.sum(1) / 2)
        out = np.empty((len(trace), len(trace), len(self.shifts)))
        for p in range(len(trace)):
            own_parts = [part[p] for part in parts]

            def overlap_sum(own: int, other: int, own_parts: list[np.ndarray] = own_parts) -> np.ndarray:
                """Return (P, 2 K + 1) sums over the overlap, for each shift, of this subject's part `own` times part
                `other` of each subject. Parts: 0 is 1 in known cells, 1 the value, 2 its square."""
                return fft.irfft(own_parts[own] * parts[other].conj(), size, axis=1)[:, self.shifts]

            count = np.maximum(overlap_sum(0, 0), 0.5)
            own_mean, other_mean = overlap_sum(1, 0) / count, overlap_sum(0, 1) / count
            covariance = overlap_sum(1, 1) / count - own_mean * other_mean
            spread = (overlap_sum(2, 0) / count - own_mean**2) * (overlap_sum(0, 2) / count - other_mean**2)
            enough = count > np.minimum(least[p], least)[:, None]
            out[p] = np.where(enough, covariance / np.sqrt(np.maximum(spread, 1e-6)), -1.0)
        return out

    def clocks(self, likeness: np.ndarray, labels: np.ndarray, train: Sequence[np.ndarray]) -> np.ndarray:
        """Return (n, 3 K) predictions of K `labels`: weighted means over training subjects, at the aligned time.

        The three predictions per label differ in the weights. The first two align each training subject by its best
        shift: similar subjects have more weight (`SHARP`), or all nearly the same (`FLAT`). The third uses all shifts;
        similar subjects and shifts have more weight (`SOFT`).

        Args:
            likeness: see `SessionGrid.likeness`. `labels`: (n, K), NaN for an unlabelled unit.
            train: for each subject, the positions of the training units of the model that predicts it."""
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
            filled = np.where(np.isfinite(known), known, np.nanmean(labels[train[p]], axis=0))[others]
            cells = self.cell[rows]
            aligned = np.clip(cells - self.shifts[best[p, others]][:, None], 0, self.shape[1] - 1)
            at_best = np.take_along_axis(filled, aligned[:, :, None], axis=1)
            for k, temperature in enumerate((SHARP, FLAT)):
                weight = _softmax(top[p, others], temperature)
                out[rows, k] = np.einsum("q,qik->ik", weight, at_best)
            weight = _softmax(likeness[p, others], SOFT)
            for s, shift in enumerate(self.shifts):
                at_shift = filled[:, np.clip(cells - shift, 0, self.shape[1] - 1)]
                out[rows, 2] += np.einsum("q,qik->ik", weight[:, s], at_shift)
        return out.reshape(len(subject), -1)


def _softmax(likeness: np.ndarray, temperature: float) -> np.ndarray:
    """Return weights with the shape of `likeness` that add up to 1 over all its elements: softmax of `likeness` /
    `temperature`."""
    weight = np.exp((likeness - likeness.max()) / temperature)
    return np.asarray(weight / weight.sum())


_CODE = [*(sha256(path) for path in sorted(Path(__file__).parent.glob("nuisance_*.py"))), *confound_only.TREES_CODE]
"""Digests of the code of these models, read when this process imported it."""
OWN_CUTS = "cuts_of_folds"
BLOCKS = ("registered", "local", "contact")
"""Names of blocks: protocol phase, time and movement, signal quality. The blocks of each confound level are
neighbours in this order."""


@dataclass(frozen=True, eq=False)
class Observed:
    """The eligible units of a cohort, and the arrays that depend on them alone. All seeds and targets share them."""

    cohort: Cohort

    @cached_property
    def units(self) -> np.ndarray:
        """(n,) positions in the cohort."""
        return np.array(self.cohort.eligible)

    @cached_property
    def sessions(self) -> Sessions:
        """The units in their subjects' sessions."""
        units = self.cohort.select_units(self.units.tolist())
        names, subject = np.unique([unit.subject for unit in units], return_inverse=True)
        length = np.array([self.cohort.sessions.get(name, np.nan) for name in names.tolist()])
        start = np.array([unit.start_s for unit in units], float)
        unit_s = float(np.median([unit.stop - unit.start for unit in units]))
        return Sessions(subject, start, length[subject], unit_s)

    def cached_array(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array that `make` computes for these units, from the cache if it was computed before."""
        return cache_array(self.cohort.store, self.about(name), make)

    def is_cached(self, name: str) -> bool:
        """Return True if the array of this name is in the cache."""
        return is_cached(self.cohort.store, self.about(name))

    def about(self, name: str) -> list[object]:
        """Return the key of an array in the cache: all that it depends on, besides the prepared data."""
        return ["nuisance", name, _CODE, *self._about]

    @cached_property
    def _about(self) -> list[object]:
        libraries = [installed_version(n) for n in ("numpy", "scipy", "scikit-learn")]
        return [libraries, {key: digest(column) for key, column in self.cohort.arrays(self.units).items()}]

    @cached_property
    def moved(self) -> MovementColumns | None:
        """The columns of the accelerometer; None if no unit has accelerometer samples."""
        store = self.cohort.store
        if "acc" not in store.modalities:
            return None
        names = [each.name for each in fields(Movement)]

        def make() -> np.ndarray:
            """Return (n, k + m) the k features of all m kinds side by side, then the numbers of features of each kind,
            the same in all rows."""
            features = accelerometer_features(
                read_windows(self.cohort, "acc", self.units), store.modalities["acc"].rate
            )
            parts = [getattr(features, name) for name in names]
            widths = np.zeros((1, len(names)))
            widths[0] = [part.shape[1] for part in parts]
            return np.hstack([*parts, np.repeat(widths, len(parts[0]), axis=0)])

        table = self.cached_array("movement", make)
        widths, table = table[0, -len(names) :].astype(int), table[:, : -len(names)]
        if np.isnan(table).all():
            return None
        parts = np.split(table, np.cumsum(widths)[:-1], axis=1)
        return MovementColumns(Movement(**dict(zip(names, parts, strict=True))), self.sessions)

    @cached_property
    def behaviour(self) -> np.ndarray:
        """(n, k) features of muscles, eyes and breathing from other modalities; (n, 0) without such a modality."""
        return self.cached_array("behaviour", lambda: behaviour_features(self.cohort, self.units))

    @cached_property
    def contact(self) -> np.ndarray:
        """(n, k) features of signal quality: the quality of each signal, whether it is unknown, and the size and
        roughness of the pulse wave; (n, 0) without any."""
        return self.cached_array("contact of sensors", self._contact)

    def _contact(self) -> np.ndarray:
        """Return `contact`, computed from the prepared data."""
        store = self.cohort.store
        ids = [self.cohort.units[i].id for i in self.units.tolist()]
        columns = [np.zeros((0, len(ids)))]
        for modality in sorted(set(store.modalities) - {"acc"}):
            index = compute_unit_quality(store, modality, ids)
            if not isinstance(index, Undefined):
                columns.append(np.stack([index, np.isnan(index).astype(float)]))
        if "ppg" in store.modalities:
            columns.append(_pulse_features(read_windows(self.cohort, "ppg", self.units)).T)
        return np.ascontiguousarray(np.vstack(columns).T)  # the layout in memory decides the order of sums over units

    @cached_property
    def cells(self) -> SessionGrid:
        """The sessions on the grid of time on which they are aligned."""
        return SessionGrid(self.sessions)

    @cached_property
    def likeness(self) -> list[np.ndarray]:
        """For each group of accelerometer traces, the (P, P, 2 K + 1) correlations of `SessionGrid.likeness`; empty
        without an accelerometer."""
        return [self.cells.likeness(each) for each in self.moved.traces()] if self.moved else []

    @cached_property
    def local(self) -> tuple[list[np.ndarray], Members, Smoothed]:
        """The columns (n, k) of time, movement and behaviour, the confound-only models that have such columns as input,
        and the spans over which predictions of some models are smoothed."""
        sessions = self.sessions
        places = nuisance_models.session_positions(sessions)
        columns = [np.ones((len(self.units), 1)), nuisance_models.time_bumps(sessions)]
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
            block, more, more_smoothed = make_context_block(self.behaviour, sessions, "behaviour")
            columns += block
            members = {**members, **more, "behaviour clock": (np.hstack([*block, places]), careful_trees)}
            smoothed = {**smoothed, **more_smoothed}
        return columns, members, smoothed


@dataclass(frozen=True)
class Study:
    """The labelled units of one target, with the folds of one seed.

    Args:
        observed: the n units. `y`: (n,) labels, NaN for an unlabelled unit.
        parts: for each fold, its training units and the units that it predicts, as positions in the n units.
        models: another study whose fitted models of confounds this study uses; None to fit its own."""

    observed: Observed
    target: Target
    seed: int
    y: np.ndarray
    parts: Parts
    models: Study | None = None

    @property
    def fitted(self) -> Study:
        """The study in whose folds the models of confounds are fitted."""
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
        """The units in their subjects' sessions."""
        return self.observed.sessions

    def cached_array(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array that `make` computes for this study, from the cache if it was computed before."""
        return cache_array(self.cohort.store, self._about(name), make)

    def is_cached(self, name: str) -> bool:
        """Return True if the array of this name is in the cache."""
        return is_cached(self.cohort.store, self._about(name))

    def _about(self, name: str) -> list[object]:
        folds = [[digest(train), digest(test)] for train, test in self.parts]
        return [*self.observed.about(name), repr(self.target), self.seed, digest(self.y), folds]


def make_study(observed: Observed, target: Target, folds: Sequence[Fold], seed: int) -> Study | Undefined:
    """Return the study of a target in these folds. Undefined if the release hides when units were recorded, or if
    labels differ between folds."""
    if target.rule.cut == "training_mean":
        return Undefined(OWN_CUTS)
    cohort, units = observed.cohort, observed.units
    position = {cohort.units[i].id: k for k, i in enumerate(units.tolist())}
    y = cohort.label[target.name][units]
    parts = []
    for fold in folds:
        train = np.array([position[id_] for id_ in (*fold.train, *fold.val)])
        parts.append((np.sort(train[np.isfinite(y[train])]), np.array([position[id_] for id_ in fold.test])))
    if not np.isfinite(observed.sessions.start).all() or not np.isfinite(observed.sessions.length).all():
        return Undefined("hidden_times")
    return Study(observed, target, seed, y, parts)


def make_block(name: str, study: Study) -> np.ndarray:
    """Return (n, k) the columns of one of `BLOCKS`."""
    study = study.fitted
    make: Mapping[str, Callable[[Study], np.ndarray]] = {
        "local": partial(_with_models, "local"),
        "registered": _aligned_labels,
        "contact": _contact,
    }
    return study.cached_array(name, lambda: make[name](study).astype(np.float32)).astype(np.float64)


def confound_models(name: str, study: Study) -> tuple[list[np.ndarray], Members, Smoothed]:
    """Return the columns (n, k) of the block `name`, the confound-only models that have these columns as input, and the
    spans over which predictions of some of the models are smoothed. `name`: `local` or `contact`."""
    observed = study.observed
    return observed.local if name == "local" else make_context_block(observed.contact, study.sessions, name)


def _with_models(name: str, study: Study) -> np.ndarray:
    """Return (n, k) the columns of the block `name`, the out-of-fold predictions of its confound-only models, and for
    some models the mean prediction over spans before and after each unit. Published predictions are used if there are
    any; otherwise, the models are fitted."""
    columns, members, smoothed = confound_models(name, study)
    predicted = published_predictions(study.cohort.store.name, published_key(name, study), list(members))
    predicted = predicted or predictions(members, study.y, study.target, study.parts, study.seed)
    smooth = [
        standardise_all(study.sessions.mean(standardise_all(predicted[model]), before, after))
        for model, spans in smoothed.items()
        for before, after in spans
    ]
    return np.hstack([*columns, *(standardise_all(predicted[model]) for model in members), *smooth])


def is_published(name: str, study: Study) -> bool:
    """Return True if predictions of the block `name`'s confound-only models are published, so that none is fitted."""
    return has_predictions(study.cohort.store.name, published_key(name, study))


def published_key(name: str, study: Study) -> str:
    """Return the key of a block's published predictions. It depends on units, labels and folds, not on code and
    libraries."""
    units = study.cohort.select_units(study.units.tolist())
    about = [MODELS_VERSION, name, repr(study.target), study.seed, [unit.id for unit in units]]
    folds = [[digest(train), digest(test)] for train, test in study.parts]
    return digest([*about, digest(study.y), folds])


def _aligned_labels(study: Study) -> np.ndarray:
    """Return (n, k) labels predicted from aligned sessions: one alignment for each group of accelerometer traces, one
    for their mean. (n, 0) without an accelerometer."""
    likeness = study.observed.likeness
    if not likeness:
        return np.zeros((len(study.units), 0))
    labels, train = label_columns(study.y, study.target), _training_of_subjects(study)
    clocks = [study.observed.cells.clocks(each, labels, train) for each in (*likeness, np.mean(likeness, axis=0))]
    first = [study.sessions.mean(standardise_all(each), 60.0, 60.0) for each in (clocks[0], clocks[-1])]
    return standardise_all(np.hstack([*clocks, *first]))


def predict_protocol_phase(study: Study) -> np.ndarray | Undefined:
    """Return (n, K) predictions of the model `protocol_phase`: labels of training subjects at the time at which their
    movement is most similar. Classes have values from 0 to 1. Undefined without an accelerometer."""
    observed = study.observed
    if observed.moved is None:
        return Undefined("no_accelerometer")

    def make() -> np.ndarray:
        labels, likeness = label_columns(study.y, study.target), np.mean(observed.likeness, axis=0)
        return observed.cells.clocks(likeness, labels, _training_of_subjects(study))[:, : labels.shape[1]]

    return study.cached_array("protocol phase", make)


def _training_of_subjects(study: Study) -> list[np.ndarray]:
    """Return for each subject (k,) the positions of the training units of the fold that predicts the subject's first
    unit."""
    fold = np.zeros(len(study.units), int)
    for k, (_, test) in enumerate(study.parts):
        fold[test] = k
    return [study.parts[fold[rows[0]]][0] for rows in study.sessions.rows]


def _contact(study: Study) -> np.ndarray:
    """Return the features of signal quality, and the predictions of models on them."""
    values = study.observed.contact
    if not values.shape[1]:
        return values
    return _with_models("contact", study)


def _pulse_features(windows: np.ndarray) -> np.ndarray:
    """Return (n, 6) SD, range and maximum (log), proportion of flat samples, roughness and kurtosis of the first
    channel of pulse waves (n, C, T)."""
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


# The placebo: one axis of an accelerometer, given the other axes. It shows how large the effect of mere movement can be
# if only a part of the movement is measured.


def axes_of(study: Study) -> list[str]:
    """Return the names of the accelerometer's axes; empty with fewer than two axes."""
    acc = study.cohort.store.modalities.get("acc")
    return list(acc.channels) if acc and len(acc.channels) > 1 else []


def placebo(study: Study, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the out-of-fold predictions (n, K) of trees on one axis with its context, and the confound columns (n, k)
    of time and the other axes. The columns are like the block `local`, with fewer models."""
    table = study.cached_array(f"placebo {axis}", lambda: _compute_placebo(study, axes_of(study).index(axis)))
    classes = table.shape[1] - int(table[0, -1]) - 1
    return table[:, :classes], table[:, classes:-1]


def _compute_placebo(study: Study, axis: int) -> np.ndarray:
    """Return (n, K + k + 1) the two arrays of `placebo` side by side; the last column is k in every row."""
    # Seeds have the same units.
    one, others = cached_call((_split_axes, study.cohort, axis), lambda: _split_axes(study, axis))
    sessions = study.sessions
    places, of_time = nuisance_models.session_positions(sessions), nuisance_models.time_bumps(sessions)
    near = [np.hstack([each.wide, each.near(each.bands)]) for each in (one, others)]
    members: Members = {
        "one": (near[0], careful_trees),
        "trees": (others.wide, trees),
        "linear": (near[1], linear),
        "clock": (np.hstack([near[1], places]), careful_trees),
        "position": (places, trees),
    }
    predicted = predictions(members, study.y, study.target, study.parts, study.seed)
    score, *confounds = (standardise_all(each) for each in predicted.values())
    smooth = [sessions.mean(each, s, s) for each in confounds[:3] for s in NEAR_S]
    nuisances = np.hstack([np.ones((len(study.units), 1)), of_time, *others.columns(), *confounds, *smooth])
    width = np.full((len(study.units), 1), float(nuisances.shape[1]))
    return np.hstack([score, nuisances, width])


def _split_axes(study: Study, axis: int) -> tuple[MovementColumns, MovementColumns]:
    """Return the columns of movement along the axis number `axis`, and the columns along the other axes."""
    windows, rate = read_windows(study.cohort, "acc", study.units), study.cohort.store.modalities["acc"].rate
    one, others = (
        MovementColumns(accelerometer_features(windows[:, axes], rate, convolutions=0), study.sessions)
        for axes in ([axis], np.delete(np.arange(windows.shape[1]), axis))
    )
    return one, others


# Published predictions of models of confounds, which take most of a first run on a dataset. They depend on a dataset's
# labels and folds alone, not on the method. The file `confounds/<dataset>.npz` of a dataset's package holds those of
# the first seeds, under a version of their own: they stay the same when code changes. `python -m
# bench.confound_predictions` makes such a file, and `--check` refits a part of it.

MODELS_VERSION = 1
"""Version of the models. Another version requires new published predictions."""


def published_file(dataset: str) -> Traversable | None:
    """Return the file with the published predictions of a dataset; None if the dataset's package has no such file.
    `dataset`: full name."""
    package, _, name = dataset.partition("/")
    try:
        path = resources.files(package) / "confounds" / f"{name.replace('/', '-')}.npz"
    except (ModuleNotFoundError, TypeError, ValueError):
        return None
    return path if path.is_file() else None


def has_predictions(dataset: str, key: str) -> bool:
    """Return True if predictions are published under this key."""
    path = published_file(dataset)
    if path is None:
        return False
    with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
        return key in tables.files


def published_predictions(dataset: str, key: str, names: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Return the out-of-fold predictions (n, K) of each model in `names`, published under this key; None if there are
    none. Raises ValueError for another number of models: changed models need a new `MODELS_VERSION`."""
    path = published_file(dataset)
    if path is None:
        return None
    with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
        if key not in tables.files:
            return None
        table = tables[key].astype(np.float64)
    return dict(zip(names, np.moveaxis(table, 1, 0), strict=True))


def pack_predictions(predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return predictions (n, K) of M models as published files hold them, float32 (n, M, K)."""
    return np.stack(list(predictions.values()), 1).astype(np.float32)
