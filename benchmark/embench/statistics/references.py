"""Predictions of values from training labels alone, which a protocol shows beside its controls (`references`).

They know what a protocol gives away that trains on the tested subjects, or on others at the tested moments: how others
felt then, how this subject usually feels, and how it felt last. Who scores no better shows nothing about the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Unit
from embench.protocols import ReferenceName
from embench.statistics.controls import ControlPrediction, ControlTask


def reference_scores(
    names: Sequence[ReferenceName],
    target: Target,
    units: Sequence[Unit],
    y: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
) -> dict[str, ControlPrediction]:
    """Reference -> its predictions for the test units (m,), or why it does not apply: it knows nothing of most of them.
    The others get the mean of the training labels.

    Args:
        units: of all subjects. `y` (n,): their values, NaN where there is none; those of test units are not read.
        train, test: positions.
    """
    train = train[np.isfinite(y[train])]
    if target.traits.has_classes:
        return dict.fromkeys(names, Undefined("it predicts values alone"))
    if not len(train):
        return dict.fromkeys(names, Undefined("no training unit has a label"))
    task = ControlTask(target, units, y, train, test, {}, {}, None, 0)
    made: dict[str, ControlPrediction] = {}
    for name in names:
        why, predict = _REFERENCES[name]
        values = predict(task)
        known = np.isfinite(values)
        filled = np.where(known, values, task.known.mean())
        # Units of people who started a film at other moments reach a little beyond what was trained on.
        made[name] = (filled, filled.copy()) if 2 * known.sum() >= len(known) else Undefined(why)
    return made


def _others_curve(task: ControlTask) -> np.ndarray:
    """(m,) the mean label of other subjects at the same moment of the same stimulus, to the nearest unit."""
    length = float(np.median(task.column(lambda unit: unit.stop - unit.start)))
    moment = np.round(task.column(lambda unit: unit.start) / length)
    _, stimulus = np.unique([unit.stimulus for unit in task.units], return_inverse=True)
    sums, counts = _sums(task, np.stack([stimulus, moment]))
    own_sums, own_counts = _sums(task, np.stack([stimulus, moment, task.subject]))
    return _divided(sums - own_sums, counts - own_counts)


def _subject_mean(task: ControlTask) -> np.ndarray:
    """(m,) the mean of the subject's own training labels."""
    return _divided(*_sums(task, task.subject[None]))


def _last_value(task: ControlTask) -> np.ndarray:
    """(m,) the last training label before the unit in its recording."""
    _, recording = np.unique([unit.recording for unit in task.units], return_inverse=True)
    start = task.column(lambda unit: unit.start)
    order = task.train[np.lexsort((start[task.train], recording[task.train]))]
    values = np.full(len(task.test), np.nan)
    for k, unit in enumerate(task.test):
        of_recording = order[recording[order] == recording[unit]]
        before = np.searchsorted(start[of_recording], start[unit])
        if before:
            values[k] = task.y[of_recording[before - 1]]
    return values


def _sums(task: ControlTask, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each test unit (m,) the sum of the training labels with the same `keys` (k, n), and how many there are."""
    _, code = np.unique(keys, axis=1, return_inverse=True)
    code = code.ravel()
    size = code.max() + 1
    sums, counts = np.bincount(code[task.train], task.known, size), np.bincount(code[task.train], minlength=size)
    return sums[code[task.test]], counts[code[task.test]]


def _divided(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The means, NaN of none."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


_REFERENCES: Mapping[ReferenceName, tuple[str, Callable[[ControlTask], np.ndarray]]] = {
    "others_curve": ("others have no training label at most tested moments", _others_curve),
    "subject_mean": ("most tested subjects have no training label", _subject_mean),
    "last_value": ("most tested recordings have no earlier training label", _last_value),
}
"""Reference -> why it does not apply where it knows nothing of most test units, and the function."""
