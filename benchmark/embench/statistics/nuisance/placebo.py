"""Contribution of one axis of an accelerometer to its other axes: the effect that mere movement still has where less is
measured than moved."""

from __future__ import annotations

import numpy as np

from embench.snapshot import cached_call
from embench.statistics.nuisance import clock
from embench.statistics.nuisance.accelerometer import movement_of, windows_of
from embench.statistics.nuisance.columns import Study
from embench.statistics.nuisance.members import Members, careful_trees, linear, predictions, trees
from embench.statistics.nuisance.moved import NEAR_S, Moved
from embench.statistics.nuisance.sessions import standard


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
    places, of_time = clock.places(sessions), clock.basis(sessions)
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
