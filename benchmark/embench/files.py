"""Files and what names them: digests, files and folders that are never half there, and bounded reading of what others
wrote: regular files only, no more bytes, depth or repetition than a real one has."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench.errors import DataError, MachineError

if TYPE_CHECKING:
    import numpy as np
    import yaml


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
    """The SHA-256 of a file's content. Raises DataError where it is no regular file."""
    check_regular(path)
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
    """A name beside `path` for this process alone, also where several machines share the disk, with its suffix, which
    some writers add where it is missing."""
    return path.with_name(f".{platform.node().partition('.')[0]}-{os.getpid()}-{path.name}")


def replace_folder(folder: Path, whole: Path) -> None:
    """Renames the folder `whole` to `folder`, in place of one that is there. Raises OSError."""
    old = whole.with_name(f"{whole.name}-old")
    if folder.exists():
        folder.rename(old)
    whole.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Flushes a file to the disk, so that not even a power cut leaves a finished name on an unfinished file."""
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


@contextmanager
def saving(what: str, path: Path) -> Iterator[None]:
    """Raises MachineError where the disk refuses what is written inside, to `path` or below it."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{what} cannot be written: {error.strerror}", where=str(path)) from error


@contextmanager
def reading(
    path: Path, *, missing: str = "the file is missing", home: str | None = None, expected: str | None = None
) -> Iterator[None]:
    """Raises DataError where a file that is read inside is missing or damaged.

    Args:
        missing: what is said where there is none, and `home`, where it is expected. `expected`: what it should hold.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(missing, where=str(path), expected=home) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path), expected=expected) from error


def cache_root() -> Path:
    """The folder of prepared data: `$EMBENCH_CACHE`, else the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("EMBENCH_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("embench"))


PRIVATE, SHARED = 0o700, 0o777
"""Permissions of a folder: for its owner alone; or for whomever the system is set to allow."""


def make_folder(path: Path, mode: int = PRIVATE) -> None:
    """Makes a folder with these permissions where it is missing, and those above it as the system is set. One that is
    there keeps its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)


def folder_mode(*labels_public: str) -> int:
    """The permissions of a folder with data of datasets whose cards have this `labels_public`."""
    return SHARED if all(says == "yes" for says in labels_public) else PRIVATE


MOST_BYTES = 1 << 27
"""Most bytes of a table or document of a record, unpacked; the longest real ones have some MB."""
MOST_YAML = 1 << 22
_KEPT = 1 << 16  # characters of a YAML text whose values are kept
_MOST_DEPTH = 60
_MOST_VALUES = 1_000_000
_LONG = 64
"""Number of characters of a text that count as one value."""


def check_regular(path: Path) -> int:
    """The bytes of a file that can be read to its end.

    Raises:
        DataError: it is a folder, a pipe or a device, which might never end. OSError: it is not there.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DataError("this is not a regular file", where=str(path), expected="a file, no pipe, device or folder")
    return status.st_size


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises DataError where it is another; OSError."""
    size = check_regular(path)
    if size > most:
        raise _too_long(path, f"{size:,} bytes", most)
    return path.read_bytes()


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a file, as `read_bytes` reads it. Raises DataError, OSError, UnicodeDecodeError."""
    return read_bytes(path, most).decode("utf-8").replace("\r\n", "\n")


def unzipped(content: bytes, path: Path, most: int = MOST_BYTES) -> bytes:
    """The unpacked content of the gzip file `path`. Raises DataError where that is over `most` bytes; OSError, EOFError
    and zlib.error where it is damaged."""
    return b"".join(unzipped_parts(content, path, most))


def unzipped_parts(content: bytes, path: Path, most: int = MOST_BYTES) -> Iterator[bytes]:
    """The unpacked content, in parts of at most a MB."""
    size = 0
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        while part := file.read(1 << 20):
            size += len(part)
            if size > most:
                raise _too_long(path, f"more than {most:,} bytes", most)
            yield part


def read_arrays(path: Path, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays of an NPZ file, without objects. Raises DataError where it is damaged, or over `most` bytes unpacked;
    FileNotFoundError."""
    import zipfile

    import numpy as np

    check_regular(path)
    try:
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > most:
            raise _too_long(path, f"{size:,} bytes", most)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (
        OSError, ValueError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise DataError(
            f"the file cannot be read: {error}", where=str(path), expected="arrays, as embench wrote them"
        ) from error


def _too_long(path: Path, size: str, most: int) -> DataError:
    return DataError(f"the file is too long: {size}", where=str(path), expected=f"at most {most:,} bytes, unpacked")


def parse_json(text: str | bytes) -> Any:
    """The plain values that a JSON text holds. Raises ValueError, also where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@cache
def safe_loader() -> type[yaml.SafeLoader]:
    """The faster one of the two loaders that make nothing but plain values."""
    import yaml  # not for `--help`, which reads no file

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """The plain values that a YAML text holds. Raises yaml.YAMLError, also where the text is too long, nested too
    deeply, or repeats itself by aliases into more than a million values, or has a number or a date that is none."""
    import yaml

    if len(text) > MOST_YAML:
        raise yaml.YAMLError(f"it has {len(text):,} characters; at most {MOST_YAML:,} are read")
    return copy.deepcopy(_values(text)) if len(text) <= _KEPT else _values.__wrapped__(text)


@lru_cache(maxsize=128)
def _values(text: str) -> Any:
    """The values of a text. A record is read by one after another, and parsing takes twenty times as long as a copy."""
    import yaml

    _check_extent(text)
    try:
        return yaml.load(text, safe_loader())  # noqa: S506  a safe loader, whichever it is
    except ValueError as error:  # the 31st of February, or more digits than Python reads
        raise yaml.YAMLError(str(error).partition(";")[0]) from error


def _check_extent(text: str) -> None:
    """Refuses, before anything is made of it, a text whose values would overrun the stack or the memory."""
    import yaml

    sizes = [0]  # of the collections that are open: how many values they hold, aliases followed
    anchors: list[str | None] = [None]
    known: dict[str, int] = {}
    for event in yaml.parse(text, safe_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), anchors.pop()
            sizes[-1] += size
            if anchor:
                known[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            sizes[-1] += known.get(event.anchor or "", _MOST_VALUES)  # it stands within itself, or nowhere
        elif isinstance(event, yaml.ScalarEvent):
            size = 1 + len(event.value) // _LONG
            sizes[-1] += size
            if event.anchor:
                known[event.anchor] = size
        if len(sizes) > _MOST_DEPTH or sizes[-1] >= _MOST_VALUES:
            what = f"is nested more than {_MOST_DEPTH} deep" if len(sizes) > _MOST_DEPTH else "repeats itself too often"
            line = f", in line {event.start_mark.line + 1}" if event.start_mark else ""
            raise yaml.YAMLError(f"it {what}{line}")
