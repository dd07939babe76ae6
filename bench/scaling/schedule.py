"""A schedule of stages, simulated: greedy, in the order of the list, as the local executor starts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeVar

K = TypeVar("K")


class Task(NamedTuple):
    """A stage: how long it takes in s, and the stages whose results it reads."""

    seconds: float
    inputs: tuple[str, ...] = ()


class Parent(NamedTuple):
    """Seconds of the one process that hands out stages: before the first, for each stage that has ended, for a look at
    each stage that waits, and to score a run."""

    before: float = 0.0
    answer: float = 0.0
    look: float = 0.0
    score: float = 0.0


class Schedule(NamedTuple):
    """Seconds until all is done; shares of the workers' time that is work, and in which they wait; seconds in which the
    parent is busy."""

    makespan: float
    efficiency: float
    idle: float
    parent: float


def chains(tasks: Mapping[str, Task]) -> dict[str, float]:
    """Seconds of the longest chain that begins with each task; `tasks` lists each after its inputs."""
    found: dict[str, float] = {}
    after: dict[str, float] = {}
    for name in reversed(tasks):
        found[name] = tasks[name].seconds + after.get(name, 0.0)
        for i in tasks[name].inputs:
            after[i] = max(after.get(i, 0.0), found[name])
    return found


def simulate(
    tasks: Mapping[str, Task],
    workers: int,
    *,
    runs: Sequence[Sequence[str]] = (),
    parent: Parent = Parent(),  # noqa: B008  # a tuple
    start_s: float = 0.0,
    longest_first: bool = False,
) -> Schedule:
    """The schedule of tasks, each listed after its inputs, on some workers.

    As in the executor, the parent hands out the first stages of the list whose inputs are done, up to two for each
    worker, waits until one has ended, answers it, and scores the runs that are complete, in their order.

    Args:
        runs: the tasks that each run needs.
        start_s: what a worker takes to start a stage.
        longest_first: take those with the longest chain behind them first, instead of the first of the list.
    """
    rank = {name: -length for name, length in chains(tasks).items()} if longest_first else dict.fromkeys(tasks, 0.0)
    place = {name: i for i, name in enumerate(tasks)}
    missing = {name: len(set(task.inputs)) for name, task in tasks.items()}
    readers = _users({name: task.inputs for name, task in tasks.items()})
    needed_by, lacks = _users(dict(enumerate(runs))), [len(set(run)) for run in runs]
    ready = [(rank[name], place[name], name) for name, count in missing.items() if not count]
    heapify(ready)
    free, running = [parent.before] * workers, list[tuple[float, str]]()
    now, busy, waiting, scored = parent.before, parent.before, len(tasks), 0
    while waiting or running:
        now, busy = now + parent.look * waiting, busy + parent.look * waiting
        while ready and len(running) < 2 * workers:
            name = heappop(ready)[2]
            waiting -= 1
            end = max(heappop(free), now) + start_s + tasks[name].seconds
            heappush(free, end)
            heappush(running, (end, name))
        now = max(now, running[0][0])
        ended = []
        while running and running[0][0] <= now:
            ended.append(heappop(running)[1])
        for name in ended:
            now, busy = now + parent.answer, busy + parent.answer
            for reader in readers.get(name, ()):
                missing[reader] -= 1
                if not missing[reader]:
                    heappush(ready, (rank[reader], place[reader], reader))
            for r in needed_by.get(name, ()):
                lacks[r] -= 1
            while scored < len(runs) and not lacks[scored]:
                scored += 1
                now, busy = now + parent.score, busy + parent.score
    work = sum(task.seconds for task in tasks.values())
    whole = now * workers or 1.0
    return Schedule(now, work / whole, 1 - (work + start_s * len(tasks)) / whole, busy)


def _users(of: Mapping[K, Iterable[str]]) -> dict[str, list[K]]:
    """Users of each name."""
    found: dict[str, list[K]] = {}
    for user, names in of.items():
        for name in set(names):
            found.setdefault(name, []).append(user)
    return found
