"""Forecast of the time to fit what clock and movement tell of a dataset's labels, once, as scores of version 3 hold it
constant. Only one model is fitted, and a few windows are read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from embench.data.cohort import Cohort
from embench.interfaces.metric import Undefined
from embench.protocols import Protocol
from embench.statistics.adding import studies_of
from embench.statistics.nuisance.accelerometer import movement_of, windows_of
from embench.statistics.nuisance.behaviour import behaviour_of, modalities_held
from embench.statistics.nuisance.columns import Study
from embench.statistics.nuisance.members import careful_trees
from embench.system import cores, limited_threads

_COLUMNS = 112
"""Columns of the one model: as many as those of the models that take most of the time."""
_CLOCK, _MOVEMENT, _BEHAVIOUR, _CONTACT = 0.6, 12.5, 2.0, 0.8
"""Time of all models of a fold, as multiples of that model's: those on the clock, the accelerometer, other modalities
of movement, and contact. Measured with 2,000 and 9,000 training units, to within a sixth."""
_WINDOWS = 64


def seconds_to_fit(cohort: Cohort, protocol: Protocol, seeds: Sequence[int]) -> float:
    """Seconds until all models of the confound analysis are fitted that a run in these seeds needs and that are not
    kept; without the placebo."""
    if protocol.leaks:
        return 0.0
    studies = studies_of(cohort, protocol, {target.name: seeds for target in cohort.targets})
    of_targets = [list(of_seeds.values()) for of_seeds in studies.values() if not isinstance(of_seeds, Undefined)]
    if not of_targets:
        return 0.0
    seconds, study = 0.0, of_targets[0][0]
    for of_target in of_targets:
        if models := sum(_models(each) for each in of_target):
            seconds += models * _model_s(of_target[0]) / cores()
    if acc := cohort.store.modalities.get("acc"):
        rate = acc.rate
        if not study.observed.was_kept("movement"):
            seconds += _reading_s(study, lambda units: movement_of(windows_of(cohort, "acc", units), rate))
    if _has_behaviour(study) and not study.observed.was_kept("behaviour"):
        seconds += _reading_s(study, lambda units: behaviour_of(cohort, units))
    return seconds


def _models(study: Study) -> float:
    """The models of all folds that are not kept, in units of the one that is measured."""
    has_acc = "acc" in study.cohort.store.modalities
    local = _CLOCK + _MOVEMENT * has_acc + _BEHAVIOUR * _has_behaviour(study)
    of_blocks = sum(cost for name, cost in (("local", local), ("contact", _CONTACT)) if not study.was_kept(name))
    return len(study.parts) * of_blocks


def _has_behaviour(study: Study) -> bool:
    return bool(set(modalities_held(study.cohort.store)) - {"acc"})


def _model_s(study: Study) -> float:
    train, _ = study.parts[0]
    classes = study.target.traits.has_classes
    x = np.random.default_rng(0).standard_normal((len(train), _COLUMNS))
    y = study.y[train].astype(int) if classes else study.y[train]
    with limited_threads(1):
        return _shortest(lambda: careful_trees(0, classes).fit(x, y))


def _reading_s(study: Study, read: Callable[[np.ndarray], object]) -> float:
    """Seconds to read all units, of those for a few."""
    few = study.units[np.unique(np.linspace(0, len(study.units) - 1, _WINDOWS).astype(int))]
    return _shortest(lambda: read(few)) * len(study.units) / len(few)


def _shortest(work: Callable[[], object]) -> float:
    """The shorter of two times, in s of this process, whatever else runs: libraries are loaded in the first one."""
    took = []
    for _ in range(2):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)
