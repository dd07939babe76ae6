"""A report on data that may not be shared: enough to mend a reader from afar, nothing that the licence protects.

It holds shapes, types, rates, where samples are missing, orders of magnitude and counts. It holds no sample, no label
value, no path, no file name, no hash of data and no name of a subject, recording or stimulus; of messages of the
reader, which may quote any of these, only words remain that stand in its code.
"""

from __future__ import annotations

import errno
import inspect
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from embench.data.checks import CheckedFiles
from embench.files import folder_digest
from embench.interfaces.dataset import Card, Dataset
from embench.interfaces.recording import Label, Recording, Signal

REPORT_FORMAT = 1
_PARTS = 10
"""Number of parts of a recording in the map of missing samples."""


class DataReport:
    """A report built while recordings are read; `document` is the result after the last one."""

    def __init__(self) -> None:
        self._recordings: dict[str, list[dict[str, Any]]] = {}
        self._names: set[str] = set()
        self._groups: dict[str, set[str]] = {}
        self._stimuli: set[str] = set()

    def add(self, recording: Recording) -> None:
        """Notes what may be shared of a recording."""
        self._names |= {recording.id, recording.subject, recording.stimulus, recording.session, recording.group}
        self._groups.setdefault(recording.group, set()).add(recording.subject)
        self._stimuli.add(recording.stimulus)
        self._recordings.setdefault(recording.subject, []).append({
            "duration_s": round(float(recording.duration_s), 3),
            "start_known": recording.start_s is not None,
            "order_known": recording.order is not None,
            "video": recording.video is not None,
            "signals": {modality: _signal(signal) for modality, signal in recording.signals.items()},
            "labels": {name: _label(label) for name, label in sorted(recording.labels.items())},
        })  # fmt: skip

    def document(
        self, name: str, code: str, reader: type[Dataset], card: Card, checked: CheckedFiles, *, synthetic: bool
    ) -> dict[str, Any]:
        """The report as JSON-like values.

        Args:
            name: the dataset's full registry name.
            code: identity of the reader's code.
        """
        words = words_of(reader)
        known = self._names | {part for file in checked.files for part in _parts(file.name)}
        messages = Counter((f.severity, masked(f.what, known, words)) for f in checked.findings)
        return {
            "report": "embench data verify --share",
            "format": REPORT_FORMAT,
            "dataset": name,
            "reader": code,
            "card": folder_digest(repr(card)),
            "synthetic": synthetic,
            "people": checked.subjects,
            "people_with_recordings": len(self._recordings),
            "groups_of": dict(Counter(str(len(members)) for members in self._groups.values())),
            "recordings": checked.recordings,
            "stimuli": len(self._stimuli),
            "files": _files(checked),
            "labels": {n: vars(count) for n, count in sorted(checked.labels.items())},
            "findings": [{"severity": s, "what": what, "times": n} for (s, what), n in messages.items()],
            "subjects": [
                {"subject": number, "recordings": recordings}
                for number, recordings in enumerate(self._recordings.values(), 1)
            ],
        }


def words_of(reader: type[Dataset]) -> set[str]:
    """The words that messages of a reader consist of: those of its package's code, of the checks of all datasets, and
    of the system's own errors."""
    parent = reader.__module__.rpartition(".")[0].rpartition(".")[0]
    folders = [*(Path(__file__).parents[1] / name for name in ("data", "store"))]
    folders += map(Path, getattr(sys.modules.get(parent), "__path__", ()))
    files = [Path(inspect.getfile(reader)), *(file for folder in folders for file in folder.rglob("*.py"))]
    texts = [*(file.read_text("utf-8", errors="replace") for file in files), *map(os.strerror, errno.errorcode)]
    return {word for text in texts for word in _WORD.findall(text)}


_WORD = re.compile("[^\\W\\d_]+")


def masked(text: str, names: Iterable[str], words: Collection[str] = ()) -> str:
    """A message without what it may quote: everything in quotes, with digits or slashes, or named in `names`.

    Args:
        words: where there are any, nothing remains but them; one that begins with a capital only as the first.
    """
    text = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "#", text)
    whole = {name.lower() for name in names if name}
    made: list[str] = []
    for word in re.split(r"(\s+|[,;:()\[\]])", text):
        bare = word.strip(".!?").lower()
        known = all(_is_known(part, words, first=not made) for part in _WORD.findall(word)) if words else True
        made.append("#" if bare in whole or not known or re.search(r"[\d/\\]|\w\.\w", word) else word)
    return "".join(made)


def _is_known(word: str, words: Collection[str], *, first: bool) -> bool:
    """Tells whether a word is one of `words`. Code quotes authors: what begins with a capital may be anybody's name."""
    return word.lower() in words if first and word.istitle() else word in words and not word.istitle()


def _signal(signal: Signal) -> dict[str, Any]:
    data = np.moveaxis(np.asarray(signal.data), signal.time_axis, -1)
    lost = ~np.isfinite(data)
    return {
        "shape": list(data.shape),
        "dtype": str(data.dtype),
        "rate": float(signal.rate),
        "unit": signal.unit,
        "missing": [[_share(part) for part in np.array_split(row, _PARTS)] for row in lost] if lost.any() else 0,
        "magnitude": [_magnitude(row) for row in data],
        "constant": [bool(np.ptp(row[np.isfinite(row)]) == 0) if np.isfinite(row).any() else None for row in data],
    }


def _label(label: Label) -> dict[str, Any]:
    values = np.asarray(label.values, np.float64)
    steps = np.diff(label.times) if label.times is not None and len(label.times) > 1 else np.empty(0)
    return {
        "kind": label.kind,
        "values": int(values.size),
        "missing": int((~np.isfinite(values)).sum()),
        "classes": None if label.classes is None else len(label.classes),
        "step_s": round(float(np.median(steps)), 3) if steps.size else None,
    }


def _magnitude(row: np.ndarray) -> str:
    """Powers of ten around the middle nine tenths of the absolute values, from which a unit can be guessed."""
    size = np.abs(row[np.isfinite(row) & (row != 0)])
    if size.size == 0:
        return "none"
    low, high = np.percentile(size.astype(np.float64), [5, 95])
    return f"1e{math.floor(math.log10(low))}..1e{math.ceil(math.log10(high))}"


def _share(part: np.ndarray) -> float:
    return round(float(part.mean()), 2) if part.size else 0.0


def _files(checked: CheckedFiles) -> Mapping[str, Any]:
    """Endings of files, digits replaced: how many there are, and megabytes of the smallest and the largest."""
    sizes: dict[str, list[int]] = {}
    for file in checked.files:
        ending = re.sub(r"\d", "#", PurePath(file.name).suffix.lower())
        sizes.setdefault(f"*{ending}", []).append(file.size)
    return {
        ending: {"files": len(all_), "megabytes": [round(min(all_) / 1e6, 1), round(max(all_) / 1e6, 1)]}
        for ending, all_ in sorted(sizes.items())
    }


def _parts(name: str) -> Iterable[str]:
    for part in Path(name).parts:
        yield part
        yield Path(part).stem
