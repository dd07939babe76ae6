"""Files and what names them: digests, files and folders that are never half there, plain YAML."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    SafeLoader = yaml.SafeLoader
else:
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The faster of the two loaders that make nothing but plain values."""


def digest(value: Any) -> str:
    """32 hex digits of plain values or an array: equal content, equal text. Raises TypeError for anything else."""
    import numpy as np  # the catalogue is read without it

    if isinstance(value, np.ndarray):
        data = value.astype("U").tobytes() if value.dtype.kind == "O" else np.ascontiguousarray(value).tobytes()
        return hashlib.sha256(data + str(value.shape).encode()).hexdigest()[:32]
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def folder_digest(content: Any) -> str:
    """16 hex digits that name the folder of `content`; in it, what JSON does not know counts by its `repr`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """`path`, for a file or folder that is renamed when it is whole; what still lies there at the end is removed."""
    try:
        yield path
    finally:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def aside(path: Path) -> Path:
    """A name beside `path` for this process alone, with its suffix, which some writers add where it is missing."""
    return path.with_name(f".{os.getpid()}-{path.name}")


def flush(path: Path) -> None:
    """To the disk, so that not even a power cut leaves a finished name on an unfinished file."""
    with path.open("r+b") as file:  # Windows flushes only what may be written
        os.fsync(file.fileno())


def write_whole(path: Path, put: Callable[[Path], object]) -> None:
    """Calls `put` with a name beside `path`, then renames: the file is never half there, nor after a power cut."""
    with temporary(aside(path)) as whole:
        put(whole)
        flush(whole)
        whole.replace(path)


def write_text(path: Path, text: str) -> None:
    """Writes a text as `write_whole` does."""
    write_whole(path, lambda whole: whole.write_text(text, encoding="utf-8", newline="\n"))


def parse_yaml(text: str) -> Any:
    """The plain values that a YAML text holds. Raises yaml.YAMLError."""
    return yaml.load(text, SafeLoader)  # noqa: S506  a safe loader, whichever it is
