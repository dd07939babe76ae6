"""Expected duration of waiting stages, each and together, from finished stages of the same kind."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from embench.engine.stage import Folder, Stage

CHEAP = ("estimator", "predict")
"""Kinds of stages that train no network: nothing is known of them before one like them is done."""


def left_to_do(stages: Iterable[Stage[Any]], root: Path) -> list[Stage[Any]]:
    """The stages of a graph that are not done."""
    return [stage for stage in stages if not Folder(root, stage.id).done]


def seconds_like_done(stages: Sequence[Stage[Any]], root: Path) -> dict[str, float]:
    """The expected seconds of each cheap stage that waits, by id, as those of its kind took that are done; none where
    none is."""
    took: dict[str, list[float]] = defaultdict(list)
    todo = []
    for stage in stages:
        if stage.kind in CHEAP:
            folder = Folder(root, stage.id)
            if not folder.done:
                todo.append(stage)
            elif (seconds := folder.seconds()) is not None:
                took[stage.kind].append(seconds)
    return {stage.id: median(took[stage.kind]) for stage in todo if stage.kind in took}


def together(seconds: Iterable[float], workers: int) -> float:
    """Seconds until all are over which workers take one after the other, each the next that waits.

    >>> together([10, 10, 10], 2), together([], 2)
    (20.0, 0.0)
    """
    free = [0.0] * max(workers, 1)
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)
