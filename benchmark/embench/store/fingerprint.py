"""Address of prepared data: the contents of the files they come from, and everything done to them."""

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
from embench.system import cores, version_of

FORMAT = 1
"""Increased when samples or labels are stored in another form: part of every key, so that ids of runs change."""
INDEX_FORMAT = 3
"""Increased when a store has another form of the same samples: part of the name of its folder and of no key."""

_T = TypeVar("_T")

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
    """16 hex digits: the same for the same file contents, code, preprocessing and definitions of modalities, whatever
    the machine or place.

    Raises:
        PluginError: a modality of the card is not defined as the card has it.
    """
    files = _contents(dataset, subjects, cache)
    added = {m: modality.definition() for m, modality in added_modalities(dataset.card, name).items()}
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
            **({"modalities": added} if added else {}),
        }
    )


def raw_digest(dataset: Dataset, cache: Path) -> bytes:
    """32 bytes over the names and contents of all raw files; no store's key gives them away."""
    files = {item for own in _contents(dataset, dataset.subjects(), cache).values() for item in own}
    return hashlib.sha256(json.dumps(sorted(files)).encode()).digest()


def contents(dataset: Dataset, cache: Path, subjects: Iterable[str] | None = None) -> set[str]:
    """SHA-256 of all files that decide what the recordings of some subjects are, by default all, without empty ones."""
    paths = {path for subject in subjects or dataset.subjects() for path in dataset.files(subject)}
    with FileHashes(cache) as hashes:
        return set(hashes.of(path for path in paths if path.stat().st_size).values())


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


def _contents(dataset: Dataset, subjects: Iterable[str], cache: Path) -> dict[str, list[tuple[str, str]]]:
    """Names and hashes of each subject's files; of own data, hashes by its secret, so that nobody who tries tables of
    labels sees which one is right."""
    root = dataset.root.resolve()
    files = {subject: sorted(Path(file).resolve() for file in dataset.files(subject)) for subject in subjects}
    with FileHashes(cache) as hashes:
        known = hashes.of(path for own in files.values() for path in own)
    if secret := getattr(dataset, "secret", b""):  # of own data alone
        known = {path: hmac.new(secret, each.encode(), hashlib.sha256).hexdigest() for path, each in known.items()}
    # Relative, so that moving the folder changes nothing.
    names = {path: path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name for path in known}
    return {subject: [(names[path], known[path]) for path in own] for subject, own in files.items()}


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
        return self.of([path])[path]

    def of(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Hashes of many files, several at a time, in the order of `paths`.

        Raises:
            DataError: one is missing or cannot be read.
        """
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
