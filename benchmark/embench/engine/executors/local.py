"""Runs stages on this machine, in order, some at a time; a stage that failed holds up only its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from embench.callbacks import EventCallback
from embench.engine.executors import Outcome
from embench.engine.executors.events import Events
from embench.engine.specs import Params
from embench.engine.stage import Stage
from embench.engine.work import run_stage
from embench.errors import EmbenchError, MachineError
from embench.system import end_with_parent, without_main_module


def run_locally(
    todo: Sequence[Stage[Params]], outcome: Outcome, root: Path, workers: int, on_event: EventCallback
) -> None:
    """Runs the stages with `workers` processes; one worker means this process."""
    if workers <= 1 or len(todo) <= 1:
        _in_turn(todo, root, on_event, outcome)
    else:
        _side_by_side(todo, root, min(workers, len(todo)), on_event, outcome)


def _in_turn(todo: Sequence[Stage[Params]], root: Path, on_event: EventCallback, outcome: Outcome) -> None:
    for done, stage in enumerate(todo, 1):
        blocker = outcome.blocker(stage)
        if blocker:
            outcome.held_up[stage.id] = blocker
            continue
        events = Events(stage, root, on_event)
        try:
            outcome.results[stage.id] = run_stage(stage, root, events.emit)
        except EmbenchError as error:
            outcome.errors[stage.id] = error
        events.end(outcome, done, len(todo))


def _side_by_side(
    todo: Sequence[Stage[Params]], root: Path, workers: int, on_event: EventCallback, outcome: Outcome
) -> None:
    waiting = list(todo)
    running: dict[Future[dict[str, Any]], tuple[Stage[Params], Events]] = {}
    ended = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        try:
            while waiting or running:
                for stage in list(waiting):
                    blocker = outcome.blocker(stage)
                    if blocker:
                        outcome.held_up[stage.id] = blocker
                        waiting.remove(stage)
                    elif len(running) < workers and all(i in outcome.results for i in stage.inputs.values()):
                        waiting.remove(stage)
                        with without_main_module():
                            future = pool.submit(run_stage, stage, root)
                        running[future] = (stage, Events(stage, root, on_event))
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
                            hint="often it ran out of memory: use fewer --workers; the same command resumes",
                        ) from error
                    except EmbenchError as error:  # a stage's fault must not stop the others
                        outcome.errors[stage.id] = error
                    events.poll()
                    events.end(outcome, ended, len(todo))
        except BaseException:
            for process in (pool._processes or {}).values():  # noqa: SLF001  there is no public way
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
