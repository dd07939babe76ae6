"""Parts of the wristband's files beside the signals: the beats that it found, and presses of its button."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from bench.adds.study import Study
from embench_plugins.datasets.devices import e4

SIGNALS = ("ACC", "BVP", "EDA", "TEMP")
FAR_S = 300.0
"""Later beats, and earlier ones, are so far away."""


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
                begins.append(e4.moment(lines.readline().split(",")[0], path, 1))
    return max(begins)


@cache
def presses(study: Study) -> tuple[np.ndarray, ...]:
    """Seconds since the start at which each subject pressed the button."""
    made = []
    for folder in _folders(study).values():
        times = [e4.presses(path) for path in sorted(folder.glob("tags*.csv"))]
        made.append(np.sort(np.concatenate([np.empty(0), *times])) - _begins(folder))
    return tuple(made)


@cache
def _beats(study: Study) -> tuple[np.ndarray, ...]:
    """Seconds since the start of the beats that the wristband found, of each subject."""
    made = []
    for folder in _folders(study).values():
        path = folder / "IBI.csv"
        lines = path.read_text().splitlines() if path.is_file() else []
        if len(lines) < 2:
            made.append(np.empty(0))
            continue
        first = e4.moment(lines[0].split(",")[0], path, 1)
        made.append(first - _begins(folder) + np.array([float(line.split(",")[0]) for line in lines[1:] if line]))
    return tuple(made)


@cache
def beats_in(study: Study) -> dict[str, np.ndarray]:
    """(n,) how many beats were found in each unit, and the seconds since the last and until the next one."""
    made = {name: np.zeros(len(study.y)) for name in ("count", "since", "until")}
    for own, beats in zip(study.order, _beats(study), strict=True):
        begin, end = study.start[own], study.start[own] + study.length_s
        before, after = np.searchsorted(beats, begin), np.searchsorted(beats, end)
        padded = np.concatenate([[-np.inf], beats, [np.inf]])
        made["count"][own] = after - before
        made["since"][own] = np.minimum(end - padded[after], FAR_S)
        made["until"][own] = np.minimum(padded[before + 1] - begin, FAR_S)
    return made


def time_of_day(study: Study) -> np.ndarray:
    """(n,) hours on the clock of the files."""
    begins = np.array([_begins(folder) for folder in _folders(study).values()])
    return (begins[study.subject] + study.start) % 86400 / 3600
