"""What is read of a study, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.data.checks import check_dataset_files
from embench.errors import DataError
from embench.interfaces.recording import Recording
from embench_plugins.datasets.own.reader import Own

Recordings = dict[str, Recording]


class Case(NamedTuple):
    """A study and what is right of it: recordings that `right` asserts, or an error or warning that has all of `named`,
    which are regular expressions. Without them it must be read.

    Args:
        name: how the test is called.
        make: writes the study into an empty folder.
        right: raises AssertionError where recordings are not what they should be.
        named: what an error or a warning says.
    """

    name: str
    make: Callable[[Path], None]
    right: Callable[[Recordings], None]
    named: Sequence[str] = ()


def outcome(root: Path) -> tuple[Recordings | None, list[str]]:
    """The recordings, None where they are refused; and the errors and warnings."""
    told, found = list[str](), None
    try:
        reader = Own(root)
        found = {r.id: r for subject in reader.subjects() for r in reader.recordings(subject)}
    except DataError as error:
        told.append(str(error))
    try:
        checked = check_dataset_files(Own(root), "embench_plugins/own", root / ".cache")
        grave = [f for f in checked.findings if f.severity in ("error", "warning")]
        told += [f"{f.where}: {f.what}" for f in grave if "one is a copy" not in f.what]  # people here have one signal
    except DataError as error:
        told.append(str(error))
    return found, list(dict.fromkeys(told))


def judge(case: Case, root: Path) -> None:
    """Raises AssertionError where a study is neither read rightly nor refused with the words that name the fault."""
    case.make(root)
    found, told = outcome(root)
    if any(all(re.search(word, text) for word in case.named) for text in told if case.named):
        return
    assert found is not None, f"not read, and the error names another fault: {told}"
    try:
        case.right(found)
    except AssertionError as error:
        raise AssertionError(f"wrong, and said is {told}: {error}") from None


def must_be_said(found: Recordings) -> None:
    """For studies of which nothing that is read can be right without a word."""
    raise AssertionError(f"read without a word: {trials(found)}")


def first(recording: Recording, modality: str = "eda") -> float:
    return float(recording.signals[modality].data[0, 0])


def trials(found: Recordings, *, slope: float = 0.1) -> dict[tuple[str, str], tuple[float, float]]:
    """Subject and stimulus -> the seconds at which a recording begins and ends, by the values of its EDA."""
    made = {}
    for r in found.values():
        signal = r.signals["eda"]
        at = (float(signal.data[0, 0]) - 1) / slope
        made[r.subject, r.stimulus] = (round(at, 1), round(at + signal.duration_s, 1))
    return made


def stretches(recording: Recording, label: str) -> dict[str, tuple[float, float]]:
    """Class -> first and last second of a label with times."""
    own = recording.labels.get(label)
    assert own is not None
    assert own.times is not None
    assert own.classes is not None
    found = {}
    for k, name in enumerate(own.classes):
        at = own.times[own.values == k]
        if len(at):
            found[name] = (round(float(at[0]) - 0.05, 1), round(float(at[-1]) + 0.05, 1))
    return found


def values(found: Recordings, label: str = "arousal") -> dict[tuple[str, str], float]:
    """Subject and stimulus -> the value of a label, of those that have one."""
    return {(r.subject, r.stimulus): float(r.labels[label].values[0]) for r in found.values() if label in r.labels}


def counts(found: Recordings, label: str) -> dict[str, int]:
    """Class -> how many recordings have it."""
    classes = [own.classes[int(own.values[0])] for r in found.values() if (own := r.labels.get(label)) and own.classes]
    return {name: classes.count(name) for name in sorted(set(classes))}


def rates(found: Recordings, modality: str) -> list[float]:
    return sorted({round(r.signals[modality].rate, 3) for r in found.values()})


def lost(found: Recordings, modality: str) -> list[int]:
    return [int(np.isnan(r.signals[modality].data[0]).sum()) for r in found.values()]
