"""Runs a graph of stages on this machine, in order, some at a time; a stage that failed holds up only its own."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embench.engine.specs import Params
from embench.engine.stage import Folder, Listener, Stage
from embench.engine.work import run_stage
from embench.errors import EmbenchError, MachineError
from embench.system import end_with_parent, script_apart


@dataclass
class Outcome:
    """What came of a graph: results by stage id, errors by stage id, and stages that could not start."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, EmbenchError] = field(default_factory=dict)
    held_up: dict[str, str] = field(default_factory=dict)


def local(stages: Sequence[Stage[Params]], root: Path, workers: int, report: Listener) -> Outcome:
    """Runs stages (each listed after its inputs) with `workers` processes; one worker means this process.

    The numbers are the same whatever the number of workers: every stage is seeded from its own id and uses the
    threads that its params say.
    """
    outcome = Outcome()
    todo: list[Stage[Params]] = []
    for stage in {stage.id: stage for stage in stages}.values():
        folder = Folder(root, stage.id)
        if folder.done:
            outcome.results[stage.id] = folder.result()
        else:
            todo.append(stage)
    report({"event": "plan", "total": len(todo), "done": len(outcome.results)})
    if workers <= 1 or len(todo) <= 1:
        _in_turn(todo, root, report, outcome)
    else:
        _side_by_side(todo, root, min(workers, len(todo)), report, outcome)
    return outcome


def _blocked(stage: Stage[Params], outcome: Outcome) -> str | None:
    for needed in stage.inputs.values():
        if needed in outcome.errors or needed in outcome.held_up:
            return needed
    return None


class _Events:
    """Hands on what happens in a stage: called directly in this process, or read from the stage's folder."""

    def __init__(self, stage: Stage[Params], root: Path, report: Listener) -> None:
        self.stage, self.report = stage, report
        self.path = Folder(root, stage.id).file("events.jsonl")
        self.at = self.path.stat().st_size if self.path.is_file() else 0
        report({"event": "stage_started", "stage": about(stage)})

    def tell(self, event: Mapping[str, Any]) -> None:
        self.report({**event, "stage": about(self.stage)})

    def poll(self) -> None:
        """Tells what a worker appended since the last time."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.at += len(line)
                self.tell(json.loads(line))

    def end(self, result: Mapping[str, Any] | None, done: int, total: int) -> None:
        self.tell({"event": "stage_ended", "figures": result or {}, "done": done, "total": total})


def about(stage: Stage[Params]) -> dict[str, Any]:
    """What watchers are told of a stage."""
    return {"id": stage.id, "kind": stage.kind, **stage.about}


def _in_turn(todo: Sequence[Stage[Params]], root: Path, report: Listener, outcome: Outcome) -> None:
    for done, stage in enumerate(todo, 1):
        blocker = _blocked(stage, outcome)
        if blocker:
            outcome.held_up[stage.id] = blocker
            continue
        events = _Events(stage, root, report)
        try:
            outcome.results[stage.id] = run_stage(stage, root, events.tell)
        except EmbenchError as error:
            outcome.errors[stage.id] = error
        events.end(outcome.results.get(stage.id), done, len(todo))


def _side_by_side(todo: Sequence[Stage[Params]], root: Path, workers: int, report: Listener, outcome: Outcome) -> None:
    waiting = list(todo)
    running: dict[Future[dict[str, Any]], tuple[Stage[Params], _Events]] = {}
    ended = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        try:
            while waiting or running:
                for stage in list(waiting):
                    blocker = _blocked(stage, outcome)
                    if blocker:
                        outcome.held_up[stage.id] = blocker
                        waiting.remove(stage)
                    elif len(running) < workers and all(i in outcome.results for i in stage.inputs.values()):
                        waiting.remove(stage)
                        with script_apart():
                            future = pool.submit(run_stage, stage, root)
                        running[future] = (stage, _Events(stage, root, report))
                ready, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for _, events in running.values():
                    events.poll()
                for future in ready:
                    stage, events = running.pop(future)
                    ended += 1
                    try:
                        outcome.results[stage.id] = future.result()
                    except BrokenProcessPool as error:
                        raise MachineError(
                            f"a worker process was killed during {stage.title}",
                            hint="often memory ran out: use fewer --workers; the same command goes on where it stopped",
                        ) from error
                    except EmbenchError as error:  # a stage's fault must not stop the others
                        outcome.errors[stage.id] = error
                    events.poll()
                    events.end(outcome.results.get(stage.id), ended, len(todo))
        except BaseException:
            for process in (pool._processes or {}).values():  # noqa: SLF001  there is no public way
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
