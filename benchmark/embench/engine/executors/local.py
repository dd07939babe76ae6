"""Runs stages on this machine, in order, some at a time; a stage that failed holds up only its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from pathlib import Path
from typing import Any

from embench.engine.assemble import make_tables
from embench.engine.executors import WORKER_TRIES, Events, Outcome, Resources, check_options, given_up
from embench.engine.stage import Params, Stage
from embench.engine.work import run_stage
from embench.errors import EmbenchError, MachineError, OutOfMemory, Unfinished, WorkerKilled
from embench.system import EventCallback, fresh_processes, workers_pay, working


def run_locally(
    todo: Sequence[Stage[Params]], outcome: Outcome, root: Path, resources: Resources, on_event: EventCallback
) -> None:
    """Runs the stages with several processes; one worker means this process, which also runs what takes too short to
    be worth others.

    Raises:
        UsageError: options are given; this executor has none. Unfinished: the grid was cancelled.
    """
    check_options(resources.options, ())
    workers = resources.workers
    make_tables(todo, workers, on_event)
    networks = any(stage.kind not in ("estimator", "predict") for stage in todo)
    at_once = networks and workers > 1 and len(todo) > 1
    ended = 0 if at_once else _in_turn(todo, root, on_event, outcome, resources)
    if ended < len(todo):
        _side_by_side(todo, ended, root, resources, on_event, outcome)


def _in_turn(
    todo: Sequence[Stage[Params]], root: Path, on_event: EventCallback, outcome: Outcome, resources: Resources
) -> int:
    """Runs stages until all are over, or workers would save time on the others; returns how many are."""
    took: list[float] = []
    for done, stage in enumerate(todo):
        resources.check_wanted()
        if workers_pay(took, len(todo) - done, resources.workers):
            return done
        blocker = outcome.blocker(stage)
        if blocker:
            outcome.held_up[stage.id] = blocker
            continue
        events, began = Events(stage, root, on_event), time.process_time()
        events.begin()

        def emit(event: Mapping[str, Any], events: Events = events) -> None:
            resources.check_wanted()  # also between the epochs of a stage
            events.emit(event)

        try:
            outcome.results[stage.id] = run_stage(stage, root, emit)
        except Unfinished:
            raise
        except EmbenchError as error:
            outcome.errors[stage.id] = error
        took.append(time.process_time() - began)
        events.end(outcome, done + 1, len(todo))
    return len(todo)


def _side_by_side(
    todo: Sequence[Stage[Params]],
    ended: int,
    root: Path,
    resources: Resources,
    on_event: EventCallback,
    outcome: Outcome,
) -> None:
    """Runs the stages from position `ended` on. Where a worker is killed, those that were run are tried again one by
    one, so that the one that kills workers is known in the end, and the others go on. Those that ran out of memory are
    tried again in the same way, where no other takes it."""
    waiting = {stage.id: stage for stage in todo[ended:]}
    total, tries = len(todo), Counter[str]()
    while waiting:
        suspects = [stage for stage in waiting.values() if tries[stage.id]]
        some = suspects[:1] or list(waiting.values())
        lost = _in_a_pool(some, total - len(waiting), total, root, resources, on_event, outcome)
        for id_ in [
            id_ for id_ in waiting if id_ in outcome.results or id_ in outcome.errors or id_ in outcome.held_up
        ]:
            del waiting[id_]
        for stage, error in lost:
            tries[stage.id] += 1
            if tries[stage.id] < WORKER_TRIES:
                on_event({"event": "note", "text": f"{error.what}, which is tried again alone"})
                continue
            del waiting[stage.id]
            outcome.errors[stage.id] = given_up(error)
            events = Events(stage, root, on_event)
            events.begin()
            events.end(outcome, total - len(waiting), total)


def _in_a_pool(
    some: Sequence[Stage[Params]],
    ended: int,
    total: int,
    root: Path,
    resources: Resources,
    on_event: EventCallback,
    outcome: Outcome,
) -> list[tuple[Stage[Params], MachineError]]:
    """Runs stages in processes of their own, until no more can start or a process is killed. Returns those that ran
    out of memory, or were run when a process was killed."""
    waiting, workers = list(some), min(resources.workers, len(some))
    running: dict[Future[dict[str, Any]], tuple[Stage[Params], Events]] = {}
    lost: list[tuple[Stage[Params], MachineError]] = []

    def take(future: Future[dict[str, Any]]) -> None:
        nonlocal ended
        stage, events = running[future]
        starved = _take_in(stage, future, outcome)
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
                # One more for each worker, which so has work while events are answered here.
                for stage in _next(waiting, outcome, 2 * workers - len(running)):
                    future = submit(run_stage, stage, root)
                    waiting.remove(stage)
                    running[future] = (stage, Events(stage, root, on_event))
                if not running:  # what waits needs one that was lost
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


def _take_in(stage: Stage[Params], future: Future[dict[str, Any]], outcome: Outcome) -> OutOfMemory | None:
    """Puts the result or error of a stage into the outcome, but returns the error of one that ran out of memory."""
    try:
        outcome.results[stage.id] = future.result()
    except OutOfMemory as error:
        return error
    except EmbenchError as error:  # a stage's fault must not stop the others
        outcome.errors[stage.id] = error
    return None


def _next(waiting: list[Stage[Params]], outcome: Outcome, count: int) -> list[Stage[Params]]:
    """The first `count` stages whose inputs are done; those that will never start leave the list."""
    ready: list[Stage[Params]] = []
    for stage in list(waiting):
        if blocker := outcome.blocker(stage):
            outcome.held_up[stage.id] = blocker
            waiting.remove(stage)
        elif len(ready) < count and all(id_ in outcome.results for id_ in stage.inputs.values()):
            ready.append(stage)
    return ready
