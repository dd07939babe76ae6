"""Raw labels in a file of their own, exactly as float64; only the planner and the evaluator open it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from embench.interfaces.recording import Label


def write_labels(path: Path, labels: Mapping[str, Mapping[str, Label]]) -> None:
    """Writes {recording id: {label name: Label}} as flat arrays."""
    flat = [(recording, name, label) for recording, own in labels.items() for name, label in own.items()]
    values = [np.atleast_1d(np.asarray(label.values, np.float64)) for *_, label in flat]
    times = [np.asarray(label.times, np.float64) for *_, label in flat if label.times is not None]
    np.savez(
        path,
        recording=np.array([recording for recording, *_ in flat], str),
        name=np.array([name for _, name, _ in flat], str),
        kind=np.array([label.kind for *_, label in flat], str),
        classes=np.array([json.dumps(label.classes) for *_, label in flat], str),
        timed=np.array([label.times is not None for *_, label in flat], bool),
        count=np.array([len(v) for v in values], np.int64),
        values=np.concatenate([np.zeros(0), *values]),
        times=np.concatenate([np.zeros(0), *times]),
    )


def read_labels(path: Path) -> dict[str, dict[str, Label]]:
    """{label name: {recording id: Label}}."""
    labels: dict[str, dict[str, Label]] = {}
    at = timed_at = 0
    with np.load(path, allow_pickle=False) as file:
        flat = {key: file[key] for key in file.files}
    for recording, name, kind, classes, timed, count in zip(
        *(flat[key].tolist() for key in ("recording", "name", "kind", "classes", "timed", "count")), strict=True
    ):
        times = flat["times"][timed_at : timed_at + count] if timed else None
        names = json.loads(classes)
        label = Label(kind, flat["values"][at : at + count], times, None if names is None else tuple(names))
        labels.setdefault(name, {})[recording] = label
        at, timed_at = at + count, timed_at + count * timed
    return labels
