"""Run stages on this machine, several at a time; a failed stage blocks only the stages that need it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from pathlib import Path
from typing import Any

from embench.engine.assemble import make_tables
from embench.engine.executors import WORKER_TRIES, Events, Outcome, Resources, check_options, to_final_error
from embench.engine.stage import Params, Stage
from embench.engine.work import run_stage
from embench.errors import EmbenchError, MachineError, OutOfMemory, Unfinished, WorkerKilled
from embench.system import EventCallback, fresh_processes, workers_pay, working


def run_locally(
    todo: Sequence[Stage[Params]], outcome: Outcome, root: Path, resources: Resources, on_event: EventCallback
) -> None:
    """Run stages in several processes. With one worker, or for stages too short to share, run them in this process.

    Raises:
        UsageError: an option is given, and this executor has none. Unfinished: the grid was cancelled."""
    check_options(resources.options, ())
    workers = resources.workers
    make_tables(todo, workers, on_event)
    networks = any(stage.kind not in ("estimator", "predict") for stage in todo)
    at_once = networks and workers > 1 and len(todo) > 1
    ended = 0 if at_once else _run_here(todo, root, on_event, outcome, resources)
    if ended < len(todo):
        _run_in_parallel(todo, ended, root, resources, on_event, outcome)


def _run_here(
    todo: Sequence[Stage[Params]], root: Path, on_event: EventCallback, outcome: Outcome, resources: Resources
) -> int:
    """Run stages in this process until all have ended, or until sharing the rest among workers would save time. Return
    the number of stages that have ended or are held up."""
    durations: list[float] = []
    for done, stage in enumerate(todo):
        resources.check_wanted()
        if workers_pay(durations, len(todo) - done, resources.workers):
            return done
        blocker = outcome.blocker(stage)
        if blocker:
            outcome.held_up[stage.id] = blocker
            continue
        events, began = Events(stage, root, on_event), time.process_time()
        events.begin()

        def emit(event: Mapping[str, Any], events: Events = events) -> None:
            resources.check_wanted()  # called between the epochs of a stage, too
            events.emit(event)

        try:
            outcome.results[stage.id] = run_stage(stage, root, emit)
        except Unfinished:
            raise
        except EmbenchError as error:
            outcome.errors[stage.id] = error
        durations.append(time.process_time() - began)
        events.end(outcome, done + 1, len(todo))
    return len(todo)


def _run_in_parallel(
    todo: Sequence[Stage[Params]],
    ended: int,
    root: Path,
    resources: Resources,
    on_event: EventCallback,
    outcome: Outcome,
) -> None:
    """Run the stages from position `ended` on in parallel.

    If a worker is killed, the stages that were running are retried one by one, so that the stage which kills workers is
    identified and the others finish. Stages that ran out of memory are also retried alone."""
    waiting = {stage.id: stage for stage in todo[ended:]}
    total, tries = len(todo), Counter[str]()
    while waiting:
        suspects = [stage for stage in waiting.values() if tries[stage.id]]
        batch = suspects[:1] or list(waiting.values())
        lost = _run_in_pool(batch, total - len(waiting), total, root, resources, on_event, outcome)
        waiting = {id_: stage for id_, stage in waiting.items() if not outcome.over([id_])}
        for stage, error in lost:
            tries[stage.id] += 1
            if tries[stage.id] < WORKER_TRIES:
                on_event({"event": "note", "text": f"{error.what}, which is tried again alone"})
                continue
            del waiting[stage.id]
            outcome.errors[stage.id] = to_final_error(error)
            events = Events(stage, root, on_event)
            events.begin()
            events.end(outcome, total - len(waiting), total)


def _run_in_pool(
    some: Sequence[Stage[Params]],
    ended: int,
    total: int,
    root: Path,
    resources: Resources,
    on_event: EventCallback,
    outcome: Outcome,
) -> list[tuple[Stage[Params], MachineError]]:
    """Run the stages `some` in worker processes until no more can start or a process is killed. Return (stage, error)
    of each stage that ran out of memory, or that was running when a process was killed."""
    waiting, workers = list(some), min(resources.workers, len(some))
    running: dict[Future[dict[str, Any]], tuple[Stage[Params], Events]] = {}
    lost: list[tuple[Stage[Params], MachineError]] = []

    def take(future: Future[dict[str, Any]]) -> None:
        nonlocal ended
        stage, events = running[future]
        starved = _store_result(stage, future, outcome)
        del running[future]
        events.poll()
        if starved:
            lost.append((stage, starved))
        else:
            ended += 1
            events.end(outcome, ended, total)

    try:
        with working(fresh_processes(workers, run_stage.__module__)) as submit:
            while True:
                resources.check_wanted()
                # One extra stage per worker, so that workers stay busy while events are processed.
                for stage in _ready_stages(waiting, outcome, 2 * workers - len(running)):
                    future = submit(run_stage, stage, root)
                    waiting.remove(stage)
                    running[future] = (stage, Events(stage, root, on_event))
                if not running:  # waiting stages need one that was lost
                    return lost
                for _, events in islice(running.values(), workers):
                    events.begin()
                ready, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for _, events in islice(running.values(), workers):
                    events.poll()
                for future in ready:
                    take(future)
    except WorkerKilled as killed:
        for future in list(running):
            if not future.cancelled() and isinstance(future.exception(), EmbenchError | None):
                take(future)  # it ended just before
        return lost + [
            (stage, WorkerKilled(f"{killed.what} during {stage.title}", hint=killed.hint))
            for stage, _ in islice(running.values(), workers)
        ]


def _store_result(stage: Stage[Params], future: Future[dict[str, Any]], outcome: Outcome) -> OutOfMemory | None:
    """Store the result or error of a stage in the outcome; an OutOfMemory error is returned instead."""
    try:
        outcome.results[stage.id] = future.result()
    except OutOfMemory as error:
        return error
    except EmbenchError as error:  # one faulty stage must not stop the others
        outcome.errors[stage.id] = error
    return None


def _ready_stages(waiting: list[Stage[Params]], outcome: Outcome, count: int) -> list[Stage[Params]]:
    """Return the first `count` stages whose inputs are done, and remove stages that can never start from `waiting`."""
    ready: list[Stage[Params]] = []
    for stage in list(waiting):
        if blocker := outcome.blocker(stage):
            outcome.held_up[stage.id] = blocker
            waiting.remove(stage)
        elif len(ready) < count and all(id_ in outcome.results for id_ in stage.inputs.values()):
            ready.append(stage)
    return ready
