"""Executors of a graph of stages. Call `run_graph`; an executor is a module here or in another package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from embench.engine.stage import Folder, Params, Stage
from embench.errors import EmbenchError, MachineError, Unfinished, UsageError
from embench.files import remembering
from embench.system import EventCallback
from embench.vocabulary import did_you_mean

# An executor is a function `(todo, outcome, root, resources, on_event)`, here or in another package, listed in
# `EXECUTORS`. It runs the stages of `todo`, each listed after its inputs, and stores their results in `outcome`:
#
# - `embench.engine.work.run_stage(stage, root)` runs a stage. It locks the stage's folder and skips stages finished by
#   another process, so that two graphs may share a stage. A finished stage with damaged files is moved aside and run
#   again.
# - A stage starts when all its inputs are in `outcome.results`. If an input failed or cannot start (`outcome.blocker`),
#   the stage goes into `outcome.held_up`. An EmbenchError of a stage goes into `outcome.errors` and does not stop the
#   others. A stage that ran out of memory (OutOfMemory) next to others, or whose worker died, is retried alone. Faults
#   of the executor itself are raised as MachineError.
# - Events of a stage are appended to `events.jsonl` in its folder on any machine; the waiting parent reads them and
#   calls `on_event` (`embench.engine.executors.Events`).
# - It calls `resources.check_wanted()` at least every few seconds, and passes its error on.
# - `root` and the paths in a stage (prepared data, runs, its folder) are absolute and valid wherever stages run; other
#   machines need a shared file system. `embench.engine.work` has helpers for such executors.
# - Numbers are independent of the executor and of `resources`: a stage is seeded by its content and uses the number of
#   threads in its params.

EXECUTORS: dict[str, str] = {
    "local": "embench.engine.executors.local:run_locally",
    "slurm": "embench.engine.executors.slurm:run_on_slurm",
    "ray": "embench.engine.executors.ray:run_on_ray",
}
"""Name of an executor -> `module:function`, imported when the executor is chosen."""


WORKER_TRIES = 3
"""Number of attempts at a stage whose worker dies or runs out of memory. Other faults would recur, and are final."""


def to_final_error(error: MachineError) -> MachineError:
    """Return the error to report after the last attempt at a stage, which states the number of attempts."""
    return MachineError(f"{error.what}, {WORKER_TRIES} times", where=error.where, hint=error.hint)


@dataclass(frozen=True)
class Resources:
    """Resources for stages.

    Args:
        workers: number of stages that run at a time.
        options: options of the executor as the user wrote them, such as `{"partition": "gpu"}`.
        seconds: stage id -> expected seconds; short stages are left out.
        cancelled: returns True if somebody asked the executor to stop; called about every second."""

    workers: int
    options: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    cancelled: Callable[[], bool] = field(default=lambda: False)

    def check_wanted(self) -> None:
        """Raise Unfinished if somebody asked the executor to stop."""
        if self.cancelled():
            raise Unfinished("the grid was cancelled", hint="rerun the same command to resume")


@dataclass
class Outcome:
    """Outcome of a graph of stages.

    Args:
        results, errors: stage id -> result, or error, of a stage that has ended.
        held_up: id of a stage that cannot start -> id of its input that failed or cannot start."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, EmbenchError] = field(default_factory=dict)
    held_up: dict[str, str] = field(default_factory=dict)

    def blocker(self, stage: Stage[Params]) -> str | None:
        """Return the id of an input that failed or cannot start, which blocks the stage; None without any."""
        return next((i for i in stage.inputs.values() if i in self.errors or i in self.held_up), None)

    def over(self, stages: Iterable[str]) -> bool:
        """Return True if each of these stages has ended or can never start."""
        return all(id_ in self.results or id_ in self.errors or id_ in self.held_up for id_ in stages)

    def check(self, stages: Iterable[str]) -> None:
        """Raise the error of the first of these stages that failed."""
        for id_ in stages:
            if id_ in self.errors:
                raise self.errors[id_]


Executor = Callable[[Sequence[Stage[Params]], Outcome, Path, Resources, EventCallback], None]


def run_graph(
    stages: Sequence[Stage[Params]],
    root: Path,
    *,
    executor: str = "local",
    resources: Resources,
    on_event: EventCallback,
    outcome: Outcome | None = None,
) -> Outcome:
    """Run the stages that are not finished yet; each stage is listed after its inputs.

    Args:
        outcome: an empty outcome to fill and return, for a caller that reads it during events.

    Raises:
        UsageError: unknown executor. MachineError: a worker was killed."""
    execute, root = find_executor(executor), root.absolute()
    outcome = Outcome() if outcome is None else outcome
    todo: list[Stage[Params]] = []
    with remembering(root / ".compared"):
        for stage in {stage.id: stage for stage in stages}.values():
            result = Folder(root, stage.id).sound_result()
            if result is None:
                todo.append(stage)
            else:
                outcome.results[stage.id] = result
    facts = [stage.facts for stage in todo]
    on_event({"event": "plan", "total": len(todo), "done": len(outcome.results), "stages": facts})
    execute(todo, outcome, root, resources, on_event)
    return outcome


def find_executor(executor: str) -> Executor:
    """Return the executor of this name. Raises UsageError if there is none."""
    if executor not in EXECUTORS:
        raise UsageError(
            f"no executor `{executor}`",
            where="--executor",
            expected=", ".join(EXECUTORS),
            hint=did_you_mean(executor, EXECUTORS),
        )
    module, _, function = EXECUTORS[executor].partition(":")
    found: Executor = getattr(import_module(module), function)
    return found


def check_options(options: Mapping[str, str], known: Sequence[str]) -> None:
    """Raise UsageError if `options` (name -> value) has a name that is not among the executor's `known` options."""
    for name in options:
        if name not in known:
            raise UsageError(
                f"this executor has no option `{name}`",
                where=f"--cluster {name}={options[name]}",
                expected=", ".join(known) or "none",
                hint=did_you_mean(name, known),
            )


class Events:
    """Passes the events of a stage to an observer: those emitted in this process, or those in the stage's folder."""

    def __init__(self, stage: Stage[Params], root: Path, on_event: EventCallback) -> None:
        self.stage, self.on_event = stage, on_event
        self.path = Folder(root, stage.id).file("events.jsonl")
        self.at = self.path.stat().st_size if self.path.is_file() else 0
        self.begun = False

    def begin(self) -> None:
        """Report the start of the stage, at the first call."""
        if not self.begun:
            self.begun = True
            self.on_event({"event": "stage_started", "stage": self.stage.facts})

    def emit(self, event: Mapping[str, Any]) -> None:
        """Report an event, with the stage that it belongs to."""
        self.on_event({**event, "stage": self.stage.facts})

    def poll(self) -> None:
        """Report the events that a worker appended since the last call, preceded by the start of the stage."""
        self.begin()
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    event = json.loads(line)
                except ValueError:  # a shared disk may show a line's length before its content
                    break
                self.at += len(line)
                self.emit(event)

    def end(self, outcome: Outcome, done: int, total: int) -> None:
        """Report the end of the stage: its result, or the error. `done` of `total` stages have ended."""
        if self.stage.id in outcome.errors:
            event: dict[str, Any] = {"event": "stage_failed", "error": outcome.errors[self.stage.id].what}
        else:
            event = {"event": "stage_ended", "figures": outcome.results[self.stage.id]}
        self.emit({**event, "done": done, "total": total})
