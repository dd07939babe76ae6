"""Forecast of the rows of a set on this machine: hours, memory and disk; in the order of what they tell an hour."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embench.callbacks import EventCallback
from embench.engine.stage import Folder, Stage
from embench.errors import EmbenchError, UsageError
from embench.planning.fitting import estimator_seconds, features_cost, training_rows
from embench.planning.graph import stage_folder
from embench.planning.plan import (
    CHEAP,
    Plan,
    default_workers,
    forecast,
    left_to_do,
    make,
    seconds_like_done,
    seconds_to_fit,
    stage_seconds,
    together,
)
from embench.records.record import RUN_FILE, read_manifest
from embench.runs.evaluate import device_name
from embench.runs.tuning import tuning_file
from embench.sets.rows import BaselineRow
from embench.snapshot import cached_call, snapshot

SCORED_S, AUDITED_S = 0.03, 0.08
"""Seconds of one process to score, and to audit, an hour of sessions, of a seed and a target, as was measured."""
PROCESS_MB, PREDICT_S = 500.0, 0.1
"""Memory of a process that works on stages before it reads data, and seconds of a stage that trains nothing."""


@dataclass(frozen=True)
class RowForecast:
    """A row that can be run, with its plan and what it will cost.

    Args:
        seconds: of each of its stages, by id; of those that are done as they took. `once`: of what other rows need,
            too, by name: features, and what clock and movement tell; and of its audit.
        scored_s: seconds to score it. `memory_mb`: of all processes together, as was measured of rows that are done.
        disk_mb: what it adds to the runs folder.
        trials: number of a tuned row whose settings are still to be chosen, whose `plan` is the default; else 0.
    """

    row: BaselineRow
    plan: Plan
    seconds: Mapping[str, float]
    once: Mapping[str, float]
    scored_s: float
    memory_mb: float
    disk_mb: float
    trials: int = 0

    @property
    def done(self) -> bool:
        """True if its record is there."""
        return not self.trials and (self.plan.folder / RUN_FILE).is_file()

    @property
    def measured(self) -> bool:
        """False for a GPU on which no run of this runs folder has finished: its times are those of a few steps."""
        device, runs = self.plan.setting.device, self.plan.request.runs_folder
        return device == "cpu" or cached_call((has_finished, runs, device), lambda: has_finished(runs, device))

    def left_s(self, counted: Collection[str] = ()) -> float:
        """Seconds until it is done, without stages and parts that are `counted` already."""
        if self.done:
            return 0.0
        if self.trials:
            once = sum(seconds for name, seconds in self.once.items() if name not in counted)
            own = together(self.seconds.values(), _workers(self.plan)) + self.scored_s
            return self.trials * own + once
        todo = left_to_do((s for s in self.plan.graph.stages.values() if s.id not in counted), _root(self.plan))
        once = sum(seconds for name, seconds in self.once.items() if name not in counted)
        return together((self.seconds[stage.id] for stage in todo), _workers(self.plan)) + once + self.scored_s

    @property
    def parts(self) -> set[str]:
        """The names of what `left_s` counts."""
        return {*self.seconds, *self.once}


def has_finished(runs: Path, device: str) -> bool:
    """True if the record of a run on this device is in a runs folder."""
    name = device_name(device)
    return any(read_manifest(path.parent).device == name for path in runs.glob(f"*/*/{RUN_FILE}"))


def lefts(rows: Sequence[RowForecast]) -> Iterator[float]:
    """The seconds that each row will take after those before it."""
    counted: set[str] = set()
    for row in rows:
        yield row.left_s(counted)
        counted |= set() if row.done else row.parts


def tuned_plan(row: BaselineRow, plan: Plan, progress: EventCallback | None = None) -> Plan | None:
    """The plan of what a row's search chose for the method of its default `plan`; None where nothing was chosen yet."""
    if row.search and (file := tuning_file(plan, row.search)).is_file():
        return make(replace(row.request, tuned=file), progress)
    return None


def as_tuned(row: RowForecast) -> RowForecast:
    """The row with the plan of what its search has chosen meanwhile."""
    chosen = tuned_plan(row.row, row.plan) if row.trials else None
    return replace(row, plan=chosen, trials=0) if chosen else row


@snapshot()
def forecast_rows(
    rows: Sequence[BaselineRow], progress: EventCallback | None = None
) -> tuple[list[RowForecast], list[BaselineRow]]:
    """The rows that can be run, with their costs, and those that cannot, with the reason. One's own come first, then
    those on features, then networks, what takes longer later, and each before it is tuned; two requests that mean one
    run are one row. Data are prepared, and networks tried, where that was not done yet. Raises UsageError where no row
    can be run."""
    found, unfit = dict[tuple[str, int], RowForecast](), list[BaselineRow]()
    for row in rows:
        if row.reason:
            unfit.append(row)
            continue
        try:
            plan = make(row.request, progress)
            chosen = tuned_plan(row, plan, progress)
            trials = row.search.trials if row.search and not chosen else 0
            plan = chosen or plan
            if (plan.id, trials) not in found:
                made = _forecast(row, plan)
                found[plan.id, trials] = replace(made, trials=trials, disk_mb=made.disk_mb * (trials or 1))
        except EmbenchError as error:
            unfit.append(replace(row, reason=error.what))
    if not found:
        reasons = "; ".join(dict.fromkeys(row.reason for row in unfit))
        raise UsageError(
            f"no row of the set fits this dataset: {reasons or 'it has none'}", hint="embench list baselines"
        )
    defaults = {f.row.request: sum(f.seconds.values()) for f in found.values() if not f.row.search}

    def place(each: RowForecast) -> tuple[bool, bool, float, bool]:
        own, seconds = each.row.level == "own", defaults.get(each.row.request, 0.0)
        return not own, each.plan.method.inputs != "features", seconds, bool(each.row.search)

    return sorted(found.values(), key=place), unfit


def _forecast(row: BaselineRow, plan: Plan) -> RowForecast:
    root, stages = _root(plan), list(plan.graph.stages.values())
    todo = left_to_do(stages, root)
    waiting = {stage.id for stage in todo}
    seconds = {s.id: Folder(root, s.id).seconds() or 0.0 for s in stages if s.id not in waiting}
    seconds |= dict.fromkeys(waiting, PREDICT_S)
    once, width, parameters = dict[str, float](), 0, 0
    if todo and plan.method.inputs == "features":
        computed = any(stage.kind == "estimator" and stage.id not in waiting for stage in stages)
        for m, part in plan.method.encoders.items():
            cost = features_cost(plan, m)
            once |= {} if computed else {f"features {part.name} {m}": cost.seconds / _workers(plan)}
            width += cost.width
        fit_s = estimator_seconds(plan, width)
        seconds |= {stage.id: PREDICT_S + fit_s for stage in todo if stage.kind == "predict"}
    elif any(stage.kind not in CHEAP for stage in todo):
        seconds |= stage_seconds(todo)
        with suppress(Exception):  # a trial that fails is reported where it is run
            parameters = forecast(plan.graph, 1)["parameters"]
    seconds |= seconds_like_done(stages, root)
    size = sum(plan.test.sessions.values()) / 3600 * len(plan.folds) * len(plan.test.targets)
    if not (row.request.dev or (plan.folder / RUN_FILE).is_file()):
        once |= _nuisances(plan) if row.request.confounds else {}
        if plan.test.store.synthetic is None:
            once[f"audit of {plan.id}"] = AUDITED_S * size
    sizes = _memory_mb(plan, width, parameters), _disk_mb(todo, plan, width, parameters)
    return RowForecast(row, plan, seconds, once, SCORED_S * size, *sizes)


def _nuisances(plan: Plan) -> dict[str, float]:
    """Seconds to fit what clock and movement tell of the labels, for each seed, which other rows have, too."""
    seeds, targets = plan.request.seed_list, ",".join(target.name for target in plan.test.targets)
    about = f"{plan.protocol.hash} {plan.test.store.key} {targets}"
    whole = cached_call((seconds_to_fit, about, seeds), lambda: seconds_to_fit(plan.test, plan.protocol, seeds))
    return {f"nuisances {about} {seed}": whole / len(seeds) for seed in seeds}


def _memory_mb(plan: Plan, width: int, parameters: int) -> float:
    """The memory of all processes: measured of a row that is done, else of what a stage holds: its data, and of a
    network weights, gradients and two moments."""
    if (plan.folder / RUN_FILE).is_file() and (measured := read_manifest(plan.folder).cost.peak_memory_mb):
        return measured * _workers(plan)
    if width:
        own = 3 * 8 * training_rows(plan) * width
    else:
        modalities = [m for name in plan.method.modalities for m in name.split("+")]
        held = [m.partition("[")[0] for m in modalities]
        own = sum(plan.fit.store.array(m).nbytes for m in held if m != "video") + 16 * parameters
    return (PROCESS_MB + own / 1e6) * _workers(plan)


def _disk_mb(todo: Sequence[Stage[Any]], plan: Plan, width: int, parameters: int) -> float:
    """What stages will write: rows of estimators, weights, predictions."""
    size = 0
    for stage in todo:
        if stage.kind == "predict":
            size += 8 * len(stage.task["recording"])
        else:
            size += 4 * training_rows(plan, validation=True) * width if stage.kind == "estimator" else 4 * parameters
    return size / 1e6


def _root(plan: Plan) -> Path:
    return stage_folder(plan.request.runs_folder)


def _workers(plan: Plan) -> int:
    return plan.request.workers or default_workers({plan.setting.device})
