"""Nuisances as columns of a cohort's units: what the clock, the accelerometer and the contact of sensors tell, with
models that read the label off them, fitted on the training subjects of each fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.data.cohort import Cohort
from embench.data.quality import quality_of_units
from embench.files import digest, sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Fold
from embench.statistics.nuisance import clock
from embench.statistics.nuisance.accelerometer import Movement, control_features, movement_of, windows_of
from embench.statistics.nuisance.members import (
    Members,
    Parts,
    balanced_trees,
    careful_trees,
    forest,
    kernel,
    linear,
    perceptron,
    predictions,
    trees,
)
from embench.statistics.nuisance.registered import Cells
from embench.statistics.nuisance.sessions import CLIP, Sessions, standard
from embench.store.kept import kept
from embench.system import version_of

NEAR_S = (30.0, 60.0, 120.0)
FAR_S = (240.0, 600.0)
BURSTS = (0.5, 1.0, 1.5, 2.0)
"""How far above the subject's mean, in standard deviations, movement counts as a burst."""
MOST_SINCE = 60
"""Units since the last burst are counted up to here."""
COMPONENTS = 60
_CODE = [sha256(path) for path in sorted(Path(__file__).parent.glob("*.py"))]
"""Of what this process runs, whatever becomes of the files."""
BLOCKS = ("registered", "local", "contact")
"""In an order in which those of a level are neighbours."""


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
        """What `make` gives, or gave before for this study."""
        where = {key: digest(column) for key, column in self.cohort.arrays(self.units).items()}
        code = [sha256(path) for path in sorted(Path(__file__).parent.glob("*.py"))]
        about: list[object] = [
            "nuisance",
            name,
            code,
            [version_of(n) for n in ("numpy", "scipy", "scikit-learn")],
            where,
        ]
        if of_seed:
            folds = [[digest(train), digest(test)] for train, test in self.parts]
            about += [repr(self.target), self.seed, digest(self.y), folds]
        return kept(self.cohort.store, about, make)


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
    smoothed: dict[str, Sequence[tuple[float, float]]] = {}
    if (movement := _movement(study)) is not None:
        columns += _movement_columns(movement, sessions)
        more, smoothed = _movement_members(movement, sessions, places)
        members = {**members, **more, "control": (control_features(study.cohort)[study.units], balanced_trees)}
        smoothed["control"] = [(s, s) for s in (*NEAR_S, 240.0)] + [
            (120.0, 0.0),
            (0.0, 120.0),
            (60.0, 0.0),
            (0.0, 60.0),
        ]
    return np.hstack([*columns, *_predicted(members, smoothed, study)])


def _predicted(
    members: Members, smoothed: Mapping[str, Sequence[tuple[float, float]]], study: Study
) -> list[np.ndarray]:
    """The predictions of `members`, and of some their means over seconds before and after."""
    made = predictions(members, study.y, study.target, study.parts, study.seed)
    columns = [standard(made[name]) for name in members]
    return columns + [
        standard(study.sessions.mean(standard(made[name]), before, after))
        for name, spans in smoothed.items()
        for before, after in spans
    ]


def _movement(study: Study) -> Movement | None:
    """The features of the accelerometer, where any unit has some."""
    store = study.cohort.store
    if "acc" not in store.modalities:
        return None
    rate = store.modalities["acc"].rate
    names = list(Movement.__dataclass_fields__)

    def make() -> np.ndarray:
        made = movement_of(windows_of(study.cohort, "acc", study.units), rate)
        parts = [getattr(made, name) for name in names]
        widths = np.zeros((1, len(names)))
        widths[0] = [part.shape[1] for part in parts]
        return np.hstack([*parts, np.repeat(widths, len(parts[0]), axis=0)])

    table = study.kept("movement", make, of_seed=False)
    widths, table = table[0, -len(names) :].astype(int), table[:, : -len(names)]
    if np.isnan(table).all():
        return None
    return Movement(**dict(zip(names, np.split(table, np.cumsum(widths)[:-1], axis=1), strict=True)))


def _raw(movement: Movement) -> np.ndarray:
    """(n, 5 + C) of movement and posture, in units that subjects share."""
    size = movement.size
    return standard(np.column_stack([size[:, 1], np.log(size[:, 5] + 1e-3), size[:, [0, 2, 3]], movement.posture]))


def _oriented(movement: Movement, sessions: Sessions) -> np.ndarray:
    """(n, C + 5) direction of gravity, its change since 1, 3, 6 and 12 units, and within the unit."""
    direction = np.nan_to_num(movement.direction)
    turned = [sessions.angle(direction, back)[:, None] for back in (1, 3, 6, 12)]
    return sessions.standardised(np.hstack([movement.direction, *turned, movement.turn]))


def _bands(movement: Movement, sessions: Sessions) -> np.ndarray:
    return sessions.standardised(np.hstack([movement.bands, movement.shape]))


def _wide(movement: Movement, sessions: Sessions) -> np.ndarray:
    """(n, 6 (6 + 2 C)) movement and posture of a subject, with context of up to ten minutes."""
    own = sessions.standardised(np.hstack([movement.size, movement.posture, movement.axis_sd]))
    return sessions.context(own, (*NEAR_S, *FAR_S))


def _since_bursts(movement: Movement, sessions: Sessions) -> np.ndarray:
    size = sessions.standardised(movement.size[:, 1:2])[:, 0]
    return np.stack([sessions.since(size, above, MOST_SINCE) for above in BURSTS], axis=1)


def _movement_columns(movement: Movement, sessions: Sessions) -> list[np.ndarray]:
    wide = np.clip(_wide(movement, sessions), -CLIP, CLIP)
    raw = sessions.context(_raw(movement), NEAR_S)
    share = sessions.share_so_far(movement.size[:, 4])
    far = np.stack([share, share - sessions.start / sessions.length], axis=1)
    return [
        wide,
        wide**2 / 2,
        _since_bursts(movement, sessions) / 20,
        raw,
        raw**2 / 2,
        np.clip(sessions.context(_bands(movement, sessions), NEAR_S), -CLIP, CLIP),
        np.clip(sessions.context(_oriented(movement, sessions), NEAR_S), -CLIP, CLIP),
        np.clip(sessions.standardised(far), -CLIP, CLIP),
    ]


def _movement_members(
    movement: Movement, sessions: Sessions, places: np.ndarray
) -> tuple[Members, dict[str, Sequence[tuple[float, float]]]]:
    """Models on features of the accelerometer, and which of their predictions are smoothed."""
    own = sessions.standardised(np.hstack([movement.size, movement.posture]))
    bands, oriented = _bands(movement, sessions), _oriented(movement, sessions)
    both, wide_bands = np.hstack([bands, oriented]), sessions.context(bands, NEAR_S)
    wide_oriented = sessions.context(oriented, NEAR_S)
    unscaled = standard(np.hstack([movement.bands, movement.shape]))
    raw = sessions.context(_raw(movement), NEAR_S)
    convolved = sessions.standardised(_components(movement.convolved))
    near_convolved = sessions.context(convolved[:, : COMPONENTS // 2], (60.0, 120.0))
    members: Members = {
        f"{make.__name__} {seconds:g}": (sessions.context(own, [seconds] if seconds else []), make)
        for make in (trees, kernel, linear)
        for seconds in (0.0, *NEAR_S)
    }
    members = {
        **members,
        "joint": (
            np.hstack([_wide(movement, sessions), _since_bursts(movement, sessions), raw, places]),
            careful_trees,
        ),
        "bands forest": (both, forest),
        "bands trees": (both, careful_trees),
        "bands kernel": (both, kernel),
        "bands forest near": (sessions.context(both, (60.0,)), forest),
        "bands linear": (sessions.context(unscaled, NEAR_S), linear),
        "bands trees near": (np.hstack([wide_bands, wide_oriented]), careful_trees),
        "bands trees clock": (np.hstack([wide_bands, wide_oriented, places]), careful_trees),
        "convolved linear": (convolved, linear),
        "convolved network": (near_convolved, perceptron),
        "convolved network clock": (np.hstack([near_convolved, places]), perceptron),
        "convolved trees": (near_convolved, careful_trees),
    }
    near = [(s, s) for s in NEAR_S]
    smoothed: dict[str, Sequence[tuple[float, float]]] = dict.fromkeys(("trees 0", "kernel 0", "joint"), near)
    smoothed |= dict.fromkeys(("bands trees near", "convolved linear", "convolved network"), near[1:2])
    return members, {**smoothed, "bands forest": near[:2]}


def _components(convolved: np.ndarray) -> np.ndarray:
    """(n, 60) principal components; no label decides them."""
    from sklearn.decomposition import PCA

    known = standard(convolved)
    return np.asarray(PCA(min(COMPONENTS, *known.shape), random_state=0).fit_transform(known))


def _registered(study: Study) -> np.ndarray:
    """Clocks registered by channels and summaries of the accelerometer; no column where there is none."""
    movement = _movement(study)
    if movement is None:
        return np.zeros((len(study.units), 0))
    sessions, grid = study.sessions, Cells(study.sessions)
    size, unit = sessions.standardised(movement.size), sessions.unit_s
    log_range = sessions.standardised(np.log(movement.size[:, 5:] + 1e-3))
    bands, oriented = _bands(movement, sessions), _oriented(movement, sessions)
    centroid = bands[:, movement.bands.shape[1], None]
    turned = oriented[:, movement.direction.shape[1] :]

    def near(values: np.ndarray, units: int) -> list[np.ndarray]:
        return list(sessions.mean(values, units * unit, units * unit).T)

    posture = sessions.standardised(movement.posture)
    axis_sd = sessions.standardised(movement.axis_sd)
    traces = [
        near(size[:, 1:2], 2),
        near(size[:, 2:3], 1),
        near(log_range, 0),
        *([trace] for trace in near(posture, 2)),
        near(axis_sd, 2),
        near(bands[:, [0, 2, 4]], 2),
        near(centroid, 2),
        near(turned[:, [1, 3]], 2),
        near(size[:, 1:2], 9),
    ]
    likeness = [grid.likeness(each) for each in traces]
    labels = _label_columns(study)
    train = _training_of_subjects(study)
    clocks = [grid.clocks(each, labels, train) for each in (*likeness, np.mean(likeness, axis=0))]
    first = [sessions.mean(standard(each), 60.0, 60.0) for each in (clocks[0], clocks[-1])]
    return standard(np.hstack([*clocks, *first]))


def _label_columns(study: Study) -> np.ndarray:
    """(n, K) labels: of several classes one column each."""
    y = study.y
    if not study.target.traits.several:
        return y[:, None]
    return np.where(np.isnan(y)[:, None], np.nan, y[:, None] == np.arange(study.target.n))


def _training_of_subjects(study: Study) -> list[np.ndarray]:
    """Of each subject, the training units of the fold that predicts its first unit."""
    fold = np.zeros(len(study.units), int)
    for k, (_, test) in enumerate(study.parts):
        fold[test] = k
    return [study.parts[fold[rows[0]]][0] for rows in study.sessions.rows]


def _contact(study: Study) -> np.ndarray:
    """How well sensors sat: the quality of each signal, its gaps, and size and roughness of the pulse wave."""
    sessions, store = study.sessions, study.cohort.store
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
    own = sessions.standardised(np.stack(columns, axis=1))
    wide = sessions.context(own, NEAR_S)
    members: Members = {"trees": (wide, careful_trees), "linear": (wide, linear), "forest": (own, forest)}
    predicted = _predicted(members, {"trees": [(60.0, 60.0)]}, study)
    wide = np.clip(wide, -CLIP, CLIP)
    return np.hstack([wide, wide**2 / 2, *predicted])


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
