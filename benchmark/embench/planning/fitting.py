"""Forecast of what features and estimators on them cost: features of one recording are computed, and an estimator is
fitted to random numbers in the shape of a fold's training rows, on this machine. Only how long that took is kept."""

from __future__ import annotations

import math
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from embench import registry
from embench.checksums import read_checked, write_checked
from embench.engine import device as machine
from embench.engine.predict import SINGLE_ROWS
from embench.engine.rows import grid_of
from embench.engine.stage import Part, Stage
from embench.files import cache_root, digest
from embench.interfaces.fusion import Estimator
from embench.planning.plan import Plan
from embench.snapshot import cached_call
from embench.store import Store, derive
from embench.system import limited_threads, version_of

_MOST_ROWS, _FIRST_ROWS = 2000, 200
"""Training rows of the trial, of which more are extrapolated, from this many and from half of them; and of the fit
before it, in which libraries are loaded."""


class FeaturesCost(NamedTuple):
    """Seconds of one process to compute a modality's features of all units, and how many numbers a unit has."""

    seconds: float
    width: int


def features_cost(plan: Plan, modality: str) -> FeaturesCost:
    """The cost of the features of a modality, by those of one recording; once for plans of the same data."""
    part, store = plan.method.encoders[modality], plan.fit.store
    key = (features_cost, store.key, modality, part.name, part.code, digest(part.recipe.mapping()))
    return cached_call(key, lambda: _features_cost(plan, store, modality, part))


def _features_cost(plan: Plan, store: Store, modality: str, part: Part) -> FeaturesCost:
    encoder = registry.load("encoder", part.name)(part.recipe)
    there = derive.joined(store, modality).spans
    units = [unit for unit in plan.fit.units if unit.recording in there]
    counts = Counter(unit.recording for unit in units)
    recording = sorted(counts, key=lambda name: (counts[name], name))[len(counts) // 2]
    spans = np.array([(unit.start, unit.stop) for unit in units if unit.recording == recording])
    seconds, values = _timed(lambda: derive.features_in(store, modality, encoder, recording, spans))
    return FeaturesCost(seconds * len(units) / len(spans), 0 if values is None else math.prod(values.shape[1:]))


def training_rows(plan: Plan, *, validation: bool = False) -> int:
    """The rows that a method is fitted to in its first fold; with `validation`, those that it is validated on, too."""
    stage = next(stage for stage in plan.graph.stages.values() if "role" in stage.task)
    return len(_rows(stage, (0, 1) if validation else (0,)))


def _rows(stage: Stage[Any], roles: Sequence[int] = (0,)) -> np.ndarray:
    """The positions (n,) of a stage's units of some roles, each as often as it has rows."""
    train = np.flatnonzero(np.isin(stage.task["role"], roles))
    where = (stage.task[name][train] for name in ("recording", "start", "stop"))
    return train[grid_of(stage.params.modalities, stage.params.recipe.view, *where).unit]


def estimator_seconds(plan: Plan, width: int) -> float:
    """Seconds to fit a plan's estimator in its first fold, to rows of `width` numbers; measured once on a machine for
    plans whose estimators, labels and widths are the same. 0 where the trial fails, which will be reported when it is
    run."""
    stage = next(stage for stage in plan.graph.stages.values() if stage.kind == "estimator")
    part = plan.method.fusion
    about = (part.name, part.code, digest(part.recipe.mapping()), digest(stage.task["y"]), width)
    here = [platform.node(), platform.machine(), *(version_of(name) for name in ("numpy", "scikit-learn"))]
    place = cache_root() / "forecasts" / digest([*about, *here])
    with suppress(Exception):
        if known := read_checked(place):
            return float(known)
        seconds = _fit_s(plan, stage, width)
        write_checked(place, repr(seconds).encode())
        return seconds
    return 0.0


def _fit_s(plan: Plan, stage: Stage[Any], width: int) -> float:
    at = _rows(stage)
    y, target, rng = stage.task["y"][at, 0], plan.test.targets[0], np.random.default_rng(0)
    at, y = at[np.isfinite(y)], y[np.isfinite(y)]
    kind: type[Estimator] = registry.load("fusion", plan.method.fusion.name)

    def fitting(rows: int) -> Callable[[], None]:
        part = rng.permutation(len(y))[:rows]
        X, subjects = rng.standard_normal((len(part), width)), stage.task["recording"][at[part]].astype(str)
        machine.seed_everything(0, stage.params.common.threads, "cpu")
        estimator = kind(plan.method.fusion.recipe, 0, target.kind, target.n, plan.method.modalities)

        def work() -> None:
            estimator.fit(X, y[part], subjects, np.ones(len(part)))
            for row in range(min(SINGLE_ROWS, len(X))):  # as is checked of every stage that predicts
                estimator.score(X[row : row + 1])

        return work

    def seconds(rows: int) -> float:
        return _timed(fitting(rows), fitting(min(rows, _FIRST_ROWS)))[0]

    if len(y) <= _MOST_ROWS:
        return seconds(len(y))
    half, whole = seconds(_MOST_ROWS // 2), seconds(_MOST_ROWS)
    power = min(2.0, max(1.0, math.log2(whole / half))) if half > 0 and whole > 0 else 1.0
    return whole * (len(y) / _MOST_ROWS) ** power


def _timed(work: Callable[[], Any], first: Callable[[], Any] | None = None) -> tuple[float, Any]:
    """The seconds of this process, whatever else runs, that work takes with one thread, as stages have, and its result.
    Before, `first` is done, which loads libraries: by default the same."""
    with limited_threads(1):
        (first or work)()
    with limited_threads(1):  # of what was loaded, too
        began = time.process_time()
        result = work()
        return time.process_time() - began, result
