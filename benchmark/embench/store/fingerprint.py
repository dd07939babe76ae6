"""Address of prepared data, made from the contents of their source files and from all processing steps."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from embench.errors import DataError
from embench.files import folder_digest, sha256
from embench.interfaces.dataset import Dataset
from embench.registry import added_modalities
from embench.signals import preprocess
from embench.system import cores, installed_version

FORMAT = 1
"""Version of stored samples and labels. It is part of every key, so that an increase changes the ids of runs."""
INDEX_FORMAT = 3
"""Version of the layout of the same samples. It is part of the folder's name only, so that the ids of runs stay."""

_T = TypeVar("_T")

STANDARD = "standard-v1"

SYNTHETIC = "EMBENCH_SYNTHETIC.json"
"""File in a folder that marks its data as synthetic."""

_SETTLED_S = 2.0
"""Age in s below which a file may change without a new time stamp, so that its hash is not cached."""


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
    """Return 16 hex digits that identify file contents, code, preprocessing and modalities' definitions, on any
    machine.

    Raises:
        PluginError: a modality is defined otherwise than on the dataset card."""
    files = _subject_files(dataset, subjects, cache)
    added = {m: modality.definition() for m, modality in added_modalities(dataset.card, name).items()}
    return folder_digest(
        {
            "format": FORMAT,
            "dataset": name,
            "code": code,
            "rate_hz": float(rate_hz),
            "filtered": filtered,
            "preprocess": preprocess.PREPROCESS_REVISION,
            "libraries": {lib: installed_version(lib).split(".")[:2] for lib in ("numpy", "scipy", "soxr")},
            "synthetic": synthetic(dataset.root),
            "files": files,
            # Omitted for the oldest preparation, so that its addresses stay valid.
            **({} if rules == STANDARD else {"rules": asdict(preprocess.RULES[rules])}),
            **({"modalities": added} if added else {}),
        }
    )


def raw_digest(dataset: Dataset, cache: Path) -> bytes:
    """Return a digest (32 bytes) of names and contents of all raw files, which a store's key does not reveal."""
    files = {file for files in _subject_files(dataset, dataset.subjects(), cache).values() for file in files}
    return hashlib.sha256(json.dumps(sorted(files)).encode()).digest()


def file_hashes(dataset: Dataset, cache: Path, subjects: Iterable[str] | None = None) -> set[str]:
    """Return the SHA-256 of all non-empty files behind the recordings of some subjects (default: all)."""
    paths = {path for subject in subjects or dataset.subjects() for path in dataset.files(subject)}
    with FileHashes(cache) as hashes:
        return set(hashes.hash_files(path for path in paths if path.stat().st_size).values())


def synthetic(root: Path) -> Mapping[str, Any] | None:
    """Return the content of `EMBENCH_SYNTHETIC.json` below `root`; None for real data.

    Raises:
        DataError: the file is not a JSON object."""
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


def _subject_files(dataset: Dataset, subjects: Iterable[str], cache: Path) -> dict[str, list[tuple[str, str]]]:
    """Return subject -> (name, hash) of each of its files. For own data, hashes are keyed by a secret, so that nobody
    can find a label table by hashing guesses."""
    root = dataset.root.resolve()
    files = {subject: sorted(Path(file).resolve() for file in dataset.files(subject)) for subject in subjects}
    with FileHashes(cache) as hashes:
        known = hashes.hash_files(path for paths in files.values() for path in paths)
    if secret := getattr(dataset, "secret", b""):  # own data only
        known = {path: hmac.new(secret, hash_.encode(), hashlib.sha256).hexdigest() for path, hash_ in known.items()}
    # Relative paths, so that moving the folder changes nothing.
    names = {path: path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name for path in known}
    return {subject: [(names[path], known[path]) for path in paths] for subject, paths in files.items()}


class FileHashes:
    """SHA-256 of files, cached by path, size, modification time and inode in a database below `cache`. If `anew`, or if
    the database is not accessible, all files are hashed again."""

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
        """Return the hash of one file. Raises DataError if it is missing or cannot be read."""
        return self.hash_files([path])[path]

    def hash_files(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Hash many files, several at a time; return them in the order of `paths`.

        Raises:
            DataError: one is missing or cannot be read."""
        states = {path: _read_by(path, Path.stat) for path in paths}
        found = {path: known for path, stat in states.items() if (known := self._known(path, stat))}
        unknown = [path for path in states if path not in found]
        with ThreadPoolExecutor(cores()) as threads:  # hashing lets go of the interpreter
            for path, digest in zip(unknown, threads.map(partial(_read_by, read=sha256), unknown), strict=True):
                found[path] = digest
                self._remember(path, states[path], digest)
        return {path: found[path] for path in states}

    def _known(self, path: Path, stat: os.stat_result) -> str | None:
        with contextlib.suppress(sqlite3.Error):
            if self._database is not None and not self._anew:
                row = self._database.execute(
                    "select sha256 from hashes where path = ? and state = ?", (str(path), _state(stat))
                ).fetchone()
                return None if row is None else str(row[0])
        return None

    def _remember(self, path: Path, stat: os.stat_result, found: str) -> None:
        if time.time() - stat.st_mtime <= _SETTLED_S:
            return
        with contextlib.suppress(sqlite3.Error):
            if self._database is not None:
                self._database.execute(
                    "insert or replace into hashes values (?, ?, ?)", (str(path), _state(stat), found)
                )


def _state(stat: os.stat_result) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def _read_by(path: Path, read: Callable[[Path], _T]) -> _T:
    try:
        return read(path)
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", where=str(path), expected="a file of the dataset that can be read"
        ) from error
