"""Memory of `verify`, from which `status` can say whether it was done on the files as they are now."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from embench.checksums import DamagedError, read_sealed_json, sealed_json
from embench.data.checks import CheckedFiles
from embench.errors import EmbenchError
from embench.files import folder_digest, write_text
from embench.interfaces.dataset import Dataset
from embench.store.reading import reader_faults

_CHECKS = 2
"""Raised where checks find more than before, so that files are verified once more."""


def remember(
    dataset: Dataset, code: str, checked: CheckedFiles, cache: Path, report: Mapping[str, Any] | None = None
) -> None:
    """Records the time and result of verifying this state of the files, with a report that can be shared (see
    `DataReport`). Only a note: where the cache cannot be written, nothing is kept."""
    path = _path(dataset, code, cache)
    if path is None:
        return
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "people": checked.subjects,
        "recordings": checked.recordings,
        "errors": checked.errors,
        "warnings": checked.count("warning"),
        "report": report,
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, sealed_json(record))


def recall(dataset: Dataset, code: str, cache: Path) -> Mapping[str, Any] | None:
    """The result that `remember` kept for the current files and reader; None where there is none."""
    path = _path(dataset, code, cache)
    try:
        return read_sealed_json(path) if path is not None else None
    except DamagedError:
        return None


def _path(dataset: Dataset, code: str, cache: Path) -> Path | None:
    """The record's file, named after the checks, the reader's code, and names, sizes and times of the files: contents
    are not read again, so that `status` is quick."""
    state = set()
    try:
        with reader_faults(dataset.card.name, "files"):
            for file in (file for subject in dataset.subjects() for file in dataset.files(subject)):
                stat = file.stat()
                state.add((str(file), stat.st_size, stat.st_mtime_ns))
    except EmbenchError:
        return None
    return cache / "verified" / f"{folder_digest([_CHECKS, code, sorted(state)])}.json"
