"""What addresses prepared data: the contents of the files they come from, and everything done to them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from embench.errors import DataError
from embench.files import folder_digest, sha256
from embench.interfaces.dataset import Dataset
from embench.signals import preprocess
from embench.system import version_of

FORMAT = 1
"""Rises when the files of a store change their form."""

STANDARD = "standard-v1"

SYNTHETIC = "EMBENCH_SYNTHETIC.json"
"""The file that marks a folder's data as synthetic."""

_SETTLED_S = 2.0
"""A file younger than this may change again without a new time stamp, so its hash is not kept."""


def store_key(
    dataset: Dataset,
    subjects: list[str],
    name: str,
    code: str,
    rate_hz: float,
    filtered: bool,
    cache: Path,
    rules: str = STANDARD,
) -> str:
    """16 hex digits: the same for the same file contents, code and preprocessing, whatever the machine or place."""
    with FileHashes(cache) as hashes:
        files = {subject: _contents(dataset, dataset.files(subject), hashes) for subject in subjects}
    return folder_digest(
        {
            "format": FORMAT,
            "dataset": name,
            "code": code,
            "rate_hz": float(rate_hz),
            "filtered": filtered,
            "preprocess": preprocess.PREPROCESS_REVISION,
            "libraries": {lib: version_of(lib).split(".")[:2] for lib in ("numpy", "scipy", "soxr")},
            "synthetic": synthetic(dataset.root),
            "files": files,
            # Left out for the preparation that is older than this field, so that its addresses stay what they are.
            **({} if rules == STANDARD else {"rules": asdict(preprocess.RULES[rules])}),
        }
    )


def raw_digest(dataset: Dataset, cache: Path) -> bytes:
    """32 bytes over the names and contents of all raw files; no store's key gives them away."""
    with FileHashes(cache) as hashes:
        files = {item for subject in dataset.subjects() for item in _contents(dataset, dataset.files(subject), hashes)}
    return hashlib.sha256(json.dumps(sorted(files)).encode()).digest()


def contents(dataset: Dataset, cache: Path) -> set[str]:
    """SHA-256 of all files that decide what a dataset's recordings are, without empty ones."""
    paths = {path for subject in dataset.subjects() for path in dataset.files(subject)}
    with FileHashes(cache) as hashes:
        return {hashes(path) for path in paths if path.stat().st_size}


def synthetic(root: Path) -> Mapping[str, Any] | None:
    """The content of `EMBENCH_SYNTHETIC.json` below `root`; None where the data are real.

    Raises:
        DataError: the file is no JSON object.
    """
    path = root / SYNTHETIC
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"cannot be read: {error}", where=str(path), expected="a JSON object") from error
    if not isinstance(content, dict):
        raise DataError("is not a JSON object", where=str(path), expected="a JSON object")
    return content


def _contents(dataset: Dataset, files: Iterable[Path], hashes: FileHashes) -> list[tuple[str, str]]:
    root = dataset.root.resolve()
    found = []
    for path in sorted(Path(file).resolve() for file in files):
        # Relative, so that moving the folder changes nothing.
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        found.append((name, hashes(path)))
    return found


class FileHashes:
    """SHA-256 of files, remembered by path, size, modification time and inode in a small database below `cache`.

    The memory is only a shortcut: where it cannot be read or written, or `anew`, files are hashed again.
    """

    def __init__(self, cache: Path, *, anew: bool = False) -> None:
        self._path, self._anew = cache / "file-hashes.sqlite", anew
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError, sqlite3.Error):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            self._database.execute("create table if not exists hashes (path text primary key, state text, sha256 text)")
        return self

    def __exit__(self, *error: object) -> None:
        if self._database is not None:
            self._database.close()

    def __call__(self, path: Path) -> str:
        """Raises DataError where the file is missing or cannot be read."""
        try:
            stat = path.stat()
            state = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
            known = None if self._anew else self._known(path, state)
            if known is not None:
                return known
            found = sha256(path)
        except OSError as error:
            raise DataError(
                f"cannot be read: {error.strerror}", where=str(path), expected="a file of the dataset that can be read"
            ) from error
        if time.time() - stat.st_mtime > _SETTLED_S:
            self._remember(path, state, found)
        return found

    def _known(self, path: Path, state: str) -> str | None:
        with contextlib.suppress(sqlite3.Error):
            if self._database is not None:
                row = self._database.execute(
                    "select sha256 from hashes where path = ? and state = ?", (str(path), state)
                ).fetchone()
                return None if row is None else str(row[0])
        return None

    def _remember(self, path: Path, state: str, found: str) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._database is not None:
                self._database.execute("insert or replace into hashes values (?, ?, ?)", (str(path), state, found))
