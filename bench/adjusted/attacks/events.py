"""Presses of the wristband's button, which mark where tasks begin and end."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from bench.adjusted.study import Study
from embench_plugins.datasets.devices import e4

SIGNALS = ("ACC", "BVP", "EDA", "TEMP")
FAR_S = 2000.0


def pressed(study: Study) -> np.ndarray:
    """(n, 3) seconds since the last press and until the next one, and how many there were."""
    made = np.empty((len(study.y), 3))
    for own, times in zip(study.order, presses(study), strict=True):
        middle = study.start[own] + study.length_s / 2
        over = np.searchsorted(times, middle)
        padded = np.concatenate([[-np.inf], times, [np.inf]])
        since, until = middle - padded[over], padded[over + 1] - middle
        made[own] = np.stack([np.minimum(since, FAR_S), np.minimum(until, FAR_S), over], 1)
    return made


@cache
def presses(study: Study) -> tuple[np.ndarray, ...]:
    """Seconds since the start at which each subject pressed the button."""
    made = []
    for folder in _folders(study).values():
        times = [e4.read_presses(path) for path in sorted(folder.glob("tags*.csv"))]
        made.append(np.sort(np.concatenate([np.empty(0), *times])) - _begins(folder))
    return tuple(made)


@cache
def _folders(study: Study) -> dict[str, Path]:
    """Subject -> the folder of the wristband's files."""
    root = study.cohort.store.root
    found = {path.parent.name: path.parent for path in Path(str(root)).rglob("BVP.csv") if "AEROBIC" not in str(path)}
    return {name: found[name] for name in study.names.tolist()}


def _begins(folder: Path) -> float:
    """Unix seconds of time 0: where all signals have begun."""
    begins = []
    for name in SIGNALS:
        path = folder / f"{name}.csv"
        if path.is_file():
            with path.open() as lines:
                begins.append(e4.parse_time(lines.readline().split(",")[0], path, 1))
    return max(begins)
