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

# Executors of a graph of stages. `run_graph` is the only door; an executor is a module here, or anywhere, and a row of
# `EXECUTORS`.
#
# An executor is a function `(todo, outcome, root, resources, on_event)` that runs the stages of `todo`, each listed
# after its inputs, and puts into `outcome` what came of each. It keeps to this:
#
# - A stage is run by `embench.engine.work.run_stage(stage, root)`, which takes the lock in the stage's folder and skips
#   what another process has finished, so that two graphs may want the same stage at once. One whose files were damaged
#   since is moved aside and run again.
# - A stage starts when all its inputs are in `outcome.results`. One whose inputs failed or were held up
#   (`outcome.blocker`) goes into `outcome.held_up`; an EmbenchError of a stage goes into `outcome.errors` and
#   doesn't stop the others. A stage that ran out of memory (OutOfMemory) beside others, or whose worker died, is tried
#   again without them. What breaks the executor itself it raises, as a MachineError.
# - What happens in a stage is appended to `events.jsonl` in its folder wherever the stage runs; the parent reads that
#   while it waits and calls `on_event` (`embench.engine.executors.Events`).
# - It asks `resources.check_wanted()` at least every few seconds, and lets that error through.
# - `root` and the places that a stage names (prepared data, runs, its own folder) are absolute paths and must mean the
#   same wherever stages run: on other machines this takes a shared file system. `embench.engine.work` has
#   what executors on other machines share.
# - The numbers don't depend on the executor or on `resources`: a stage is seeded from what it is and uses the threads
#   that its params say.

EXECUTORS: dict[str, str] = {
    "local": "embench.engine.executors.local:run_locally",
    "slurm": "embench.engine.executors.slurm:run_on_slurm",
    "ray": "embench.engine.executors.ray:run_on_ray",
}
"""Name -> module:function, imported when it is chosen."""


WORKER_TRIES = 3
"""Number of attempts at a stage whose worker dies or runs out of memory. Faults of plugins and data are not tried
again: they would recur."""


def given_up(error: MachineError) -> MachineError:
    """The error of a stage after the last attempt."""
    return MachineError(f"{error.what}, {WORKER_TRIES} times", where=error.where, hint=error.hint)


@dataclass(frozen=True)
class Resources:
    """Resources for stages.

    Args:
        workers: how many run at a time.
        options: of the executor, as the user wrote them: `{"partition": "gpu"}`.
        seconds: how long stages are expected to take, by their ids; what takes little is left out.
        cancelled: whether somebody wants the executor to stop; asked every second or so.
    """

    workers: int
    options: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    cancelled: Callable[[], bool] = field(default=lambda: False)

    def check_wanted(self) -> None:
        """Raises Unfinished where somebody wants the executor to stop."""
        if self.cancelled():
            raise Unfinished("the grid was cancelled", hint="rerun the same command to resume")


@dataclass
class Outcome:
    """Outcome of a graph: results by stage id, errors by stage id, and stages that could not start."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, EmbenchError] = field(default_factory=dict)
    held_up: dict[str, str] = field(default_factory=dict)

    def blocker(self, stage: Stage[Params]) -> str | None:
        """The input for whose sake the stage will never start, if there is one."""
        return next((i for i in stage.inputs.values() if i in self.errors or i in self.held_up), None)

    def over(self, stages: Iterable[str]) -> bool:
        """True if all of these stages have ended, or will never start."""
        return all(id_ in self.results or id_ in self.errors or id_ in self.held_up for id_ in stages)

    def check(self, stages: Iterable[str]) -> None:
        """Raises the error of the first of these stages that failed."""
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
    """Runs stages (each listed after its inputs) that are not finished yet.

    Args:
        outcome: an empty one that is filled and returned, for a caller that looks into it at events.

    Raises:
        UsageError: there is no such executor. MachineError: a worker was killed.
    """
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
    """Raises UsageError where the table has no such name."""
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
    """Raises UsageError where an executor is given an option that it doesn't know."""
    for name in options:
        if name not in known:
            raise UsageError(
                f"this executor has no option `{name}`",
                where=f"--cluster {name}={options[name]}",
                expected=", ".join(known) or "none",
                hint=did_you_mean(name, known),
            )


# Delivery of a stage's events to observers.


class Events:
    """Hands on what happens in a stage: called directly in this process, or read from the stage's folder."""

    def __init__(self, stage: Stage[Params], root: Path, on_event: EventCallback) -> None:
        self.stage, self.on_event = stage, on_event
        self.path = Folder(root, stage.id).file("events.jsonl")
        self.at = self.path.stat().st_size if self.path.is_file() else 0
        self.begun = False

    def begin(self) -> None:
        """Reports, the first time it is called, that the stage has started."""
        if not self.begun:
            self.begun = True
            self.on_event({"event": "stage_started", "stage": self.stage.facts})

    def emit(self, event: Mapping[str, Any]) -> None:
        """Reports an event with the stage it is of."""
        self.on_event({**event, "stage": self.stage.facts})

    def poll(self) -> None:
        """Reports the events that a worker appended since the last call, and first that the stage has started."""
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
                except ValueError:  # on a shared disk, the length of a line may be seen before its content
                    break
                self.at += len(line)
                self.emit(event)

    def end(self, outcome: Outcome, done: int, total: int) -> None:
        """Reports that the stage has ended, with its figures, or has failed, with the reason; `done` of `total` stages
        are over."""
        if self.stage.id in outcome.errors:
            told: dict[str, Any] = {"event": "stage_failed", "error": outcome.errors[self.stage.id].what}
        else:
            told = {"event": "stage_ended", "figures": outcome.results[self.stage.id]}
        self.emit({**told, "done": done, "total": total})
