"""Write files completely or not at all, read them safely, compute digests, and cache results within snapshots."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import platform
import shutil
import stat
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, lru_cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from embench.errors import DataError, MachineError

if TYPE_CHECKING:
    import numpy as np
    import yaml


def digest(value: Any) -> str:
    """Return the first 32 hex digits of the SHA-256 of plain values or an array. Raises TypeError for other values."""
    import numpy as np  # the catalogue does not need it

    if isinstance(value, np.ndarray):
        data = value.astype("U").tobytes() if value.dtype.kind == "O" else np.ascontiguousarray(value).tobytes()
        return hashlib.sha256(data + str(value.shape).encode()).hexdigest()[:32]
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def folder_digest(content: Any) -> str:
    """Return 16 hex digits, a hash of `content` that names its folder; values unknown to JSON count by their `repr`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content. Raises DataError if it is not a regular file."""
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Yield `path`, where the caller writes a file or folder and renames it when it is complete. Afterwards, delete it
    if it is still there."""
    try:
        yield path
    finally:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def aside(path: Path) -> Path:
    """Return a temporary path in the folder of `path`, unique to this machine and process. It ends in the name of
    `path`, since some writers would add a missing suffix."""
    return path.with_name(f".{platform.node().partition('.')[0]}-{os.getpid()}-{path.name}")


def replace_folder(folder: Path, whole: Path) -> None:
    """Rename the folder `whole` to `folder`, replacing an existing one. Raises OSError."""
    old = whole.with_name(f"{whole.name}-old")
    if folder.exists():
        folder.rename(old)
    whole.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Flush a file to the disk: if it is renamed afterwards, it is complete even after a power cut."""
    with path.open("r+b") as file:  # Windows flushes only what may be written
        os.fsync(file.fileno())


def write_whole(path: Path, put: Callable[[Path], object]) -> None:
    """Write a temporary file with `put`, then rename it to `path`, which is complete even after a power cut."""
    with temporary(aside(path)) as whole:
        put(whole)
        flush(whole)
        whole.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file with `write_whole`."""
    write_whole(path, lambda whole: whole.write_text(text, encoding="utf-8", newline="\n"))


@contextmanager
def saving(what: str, path: Path) -> Iterator[None]:
    """Replace an OSError inside the context by a MachineError: `what` cannot be written to `path`, a file or folder."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{what} cannot be written: {error.strerror}", where=str(path)) from error


@contextmanager
def reading(
    path: Path, *, missing: str = "the file is missing", home: str | None = None, expected: str | None = None
) -> Iterator[None]:
    """Raise DataError if a file that is read inside the context is missing or damaged.

    Args:
        missing: message for a missing file; `home` says where it was expected.
        expected: description of a readable file."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(missing, where=str(path), expected=home) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path), expected=expected) from error


def cache_root() -> Path:
    """Return the folder of prepared data: `$EMBENCH_CACHE`, else the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("EMBENCH_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("embench"))


PRIVATE, SHARED = 0o700, 0o777
"""Permissions of a folder: for its owner only; or as the system's umask allows."""


def make_folder(path: Path, mode: int = PRIVATE) -> None:
    """Create a missing folder with these permissions, and missing parents with the system's default. An existing folder
    keeps its permissions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)


def folder_mode(*labels_public: str) -> int:
    """Return the permissions of a folder: `SHARED` if `labels_public` of each card in it is `yes`, else `PRIVATE`."""
    return SHARED if all(says == "yes" for says in labels_public) else PRIVATE


MOST_BYTES = 1 << 27
"""Most bytes of an unpacked table or document of a record; the longest real ones have some MB."""
MOST_YAML = 1 << 22
_CACHED_CHARACTERS = 1 << 16  # characters of a YAML text whose values are kept
_MOST_DEPTH = 60
_MOST_VALUES = 1_000_000
_VALUE_CHARACTERS = 64
"""Characters of a string that count as one value towards `_MOST_VALUES`."""


def check_regular(path: Path) -> int:
    """Return the size in bytes of a regular file.

    Raises:
        DataError: the path is a folder, a pipe or a device, which might never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DataError("this is not a regular file", where=str(path), expected="a file, no pipe, device or folder")
    return status.st_size


_MOST_FILES = 200_000  # of a folder, of which more are not looked at


def check_folder_files(root: Path) -> None:
    """Check that a folder and its subfolders, also linked ones, hold regular files only. Hidden files are ignored.

    Raises:
        DataError: there is a pipe, a socket or a device, at which a reader might wait for ever."""
    folders, seen, count = [root], {os.path.realpath(root)}, 0
    while folders and count < _MOST_FILES:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if entry.name.startswith(".") or entry.is_file():
                    continue
                if not entry.is_dir():
                    if Path(entry).exists():  # a broken link is a missing file
                        raise DataError(
                            "this is not a regular file",
                            where=entry.path,
                            expected="files and folders, no pipe, socket or device",
                            hint="move it out of the folder of the data",
                        )
                elif not entry.is_symlink():
                    folders.append(Path(entry))
                elif (place := os.path.realpath(entry)) not in seen:
                    seen.add(place)
                    folders.append(Path(entry))


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes. Raises DataError for other files, and OSError."""
    size = check_regular(path)
    if size > most:
        raise _too_long(path, f"{size:,} bytes", most)
    return path.read_bytes()


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a UTF-8 file. Raises the errors of `read_bytes`, and UnicodeDecodeError."""
    return read_bytes(path, most).decode("utf-8").replace("\r\n", "\n")


def unzipped(content: bytes, path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the unpacked content of the gzip file `path`. Raises DataError above `most` bytes; OSError, EOFError and
    zlib.error for damage."""
    return b"".join(unzipped_parts(content, path, most))


def unzipped_parts(content: bytes, path: Path, most: int = MOST_BYTES) -> Iterator[bytes]:
    """Yield the unpacked content, in parts of at most a MB."""
    size = 0
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        while part := file.read(1 << 20):
            size += len(part)
            if size > most:
                raise _too_long(path, f"more than {most:,} bytes", most)
            yield part


def read_arrays(path: Path, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ file, without objects. Raises DataError if it is damaged, or has over `most` bytes
    unpacked; FileNotFoundError."""
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
    """Return the plain values of a JSON text. Raises ValueError, also for too deep nesting."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@cache
def safe_loader() -> type[yaml.SafeLoader]:
    """Return the faster of the two YAML loaders that create only plain values."""
    import yaml  # imported here: `--help` reads no file

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """Return the plain values of a YAML text. Raises yaml.YAMLError, also for texts that are too long, too deeply
    nested, expand by aliases to more than a million values, or have an invalid number or date."""
    import yaml

    if len(text) > MOST_YAML:
        raise yaml.YAMLError(f"it has {len(text):,} characters; at most {MOST_YAML:,} are read")
    return pickle.loads(_pickled_values(text)) if len(text) <= _CACHED_CHARACTERS else _values(text)  # noqa: S301  our own


@lru_cache(maxsize=1024)
def _pickled_values(text: str) -> bytes:
    """Return the pickled values of a YAML text, cached: records are read repeatedly, and parsing takes 50 times as long
    as reading them from memory."""
    return pickle.dumps(_values(text))


def _values(text: str) -> Any:
    import yaml

    _check_extent(text)
    try:
        return yaml.load(text, safe_loader())  # noqa: S506  a safe loader, whichever it is
    except ValueError as error:  # the 31st of February, or more digits than Python reads
        raise yaml.YAMLError(str(error).partition(";")[0]) from error


def _check_extent(text: str) -> None:
    """Raise YAMLError if the values of a text would exceed the stack or the memory; no values are created here."""
    import yaml

    sizes = [0]  # for each open collection: its number of values, with aliases expanded
    anchors: list[str | None] = [None]
    known: dict[str, int] = {}
    for event in yaml.parse(text, safe_loader()):
        if type(event) is yaml.ScalarEvent:  # most events
            size = 1 + len(event.value) // _VALUE_CHARACTERS
            sizes[-1] += size
            if event.anchor:
                known[event.anchor] = size
        elif isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), anchors.pop()
            sizes[-1] += size
            if anchor:
                known[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            sizes[-1] += known.get(event.anchor or "", _MOST_VALUES)  # it contains itself, or is undefined
        if len(sizes) > _MOST_DEPTH or sizes[-1] >= _MOST_VALUES:
            what = f"is nested more than {_MOST_DEPTH} deep" if len(sizes) > _MOST_DEPTH else "repeats itself too often"
            line = f", in line {event.start_mark.line + 1}" if event.start_mark else ""
            raise yaml.YAMLError(f"it {what}{line}")


# Nothing is cached outside of a snapshot, so that a long session sees current files.

P = ParamSpec("P")
R = TypeVar("R")

_answers: ContextVar[dict[Any, tuple[Any, Any]] | None] = ContextVar("answers", default=None)


@contextmanager
def snapshot() -> Iterator[None]:
    """Cache results of `cached` functions inside the context. An inner snapshot is part of the outer one."""
    if _answers.get() is not None:
        yield
        return
    token = _answers.set({})
    try:
        yield
    finally:
        _answers.reset(token)


def cached(function: Callable[P, R]) -> Callable[P, R]:
    """Cache the results of a function by its arguments within a snapshot, as `cached_call` does. The function depends
    only on its arguments and on files, and callers never change its result."""

    @wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        return cached_call((function, *args, *kwargs.items()), partial(function, *args, **kwargs))

    return answered


def cached_call(key: tuple[Any, ...], make: Callable[[], R]) -> R:
    """Return the result of `make`, cached by `key` within a snapshot. Unhashable parts of a key are compared by
    identity; exceptions are not cached."""
    answers = _answers.get()
    if answers is None:
        return make()
    marks = tuple(map(_mark, key))
    if marks not in answers:
        # Stored with the key, so that no part's identity is reused by another object.
        answers[marks] = (make(), key)
    result: R = answers[marks][0]
    return result


def _mark(part: object) -> object:
    try:
        hash(part)
    except TypeError:
        return _mark, id(part)  # equal to no argument
    return part


# Checksums reveal damage and manual edits. They do not protect against forgers, who can rewrite them.

_BLOCKS, _BLOCK = 256, 1 << 14
_LARGE = _BLOCKS * _BLOCK
"""Bytes above which a file is compared by evenly spaced blocks when opened, so that opening takes milliseconds."""
SEAL = "sealed"  # key of the digest that a file contains of itself

Sums = Mapping[str, Mapping[str, Any]]
"""File name -> `bytes`, `sha256`, and for large files `blocks`, the SHA-256 of sampled blocks."""

_sound: dict[tuple[Any, ...], float] = {}
"""(path, size, times, inode, SHA-256) of each unaltered file -> time of its comparison, in s since 1970."""

_TRUSTED_S = 86400.0
"""Seconds during which a file with unchanged size, times and inode is not read again."""

_SETTLED_S = 2.0
"""Age in s below which a file might change without a new time stamp."""


DAMAGED = ".damaged"
"""Suffix of the folder to which damaged files are moved."""


class DamagedError(DataError):
    """A stored file was changed. Callers that can recreate it catch this."""


def damaged_place(folder: Path, error: DamagedError) -> Path:
    """Return where the damaged files of a folder are moved, and warn. Older damaged copies beside it are deleted: a
    cache keeps one."""
    for old in folder.parent.glob(f"*{DAMAGED}"):
        shutil.rmtree(old, ignore_errors=True)
    place = folder.with_name(f"{folder.name}{DAMAGED}")
    what = f"{error.what}; made again; the old files are now in {place}, which you may delete"
    warnings.warn(f"{error.where}: {what}", stacklevel=3)
    return place


def checksum_files(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the checksums of files of a folder, to be stored beside them. Raises OSError."""
    sums: dict[str, dict[str, Any]] = {}
    for name in sorted(names):
        path = folder / name
        size = path.stat().st_size
        sums[name] = {"bytes": size, "sha256": sha256(path)}
        if size > _LARGE:
            sums[name]["blocks"] = _blocks(path, size)
    return sums


def check_files(folder: Path, sums: Sums, *, whole: bool = False) -> None:
    """Compare files with their checksums. Large files are compared by sampled blocks, unless `whole` is True.

    Raises:
        DamagedError: a file is missing, cut short or altered; `where` is its path."""
    for name, recorded in sums.items():
        path = folder / name
        try:
            state = path.stat()
            times = state.st_mtime_ns, state.st_ctime_ns  # the second changes with the file; users cannot set it
            state_key = (str(path), state.st_size, *times, state.st_ino, recorded["sha256"])
            if state_key in _sound and not whole:
                continue
            if state.st_size != recorded["bytes"]:
                raise DamagedError(f"{name} has {state.st_size} bytes of {recorded['bytes']}", where=str(path))
            by_blocks = "blocks" in recorded and not whole
            matches = (
                _blocks(path, state.st_size) == recorded["blocks"] if by_blocks else sha256(path) == recorded["sha256"]
            )
        except FileNotFoundError as error:
            raise DamagedError(f"{name} is missing", where=str(path)) from error
        except OSError as error:
            raise DamagedError(f"{name} cannot be read: {error.strerror}", where=str(path)) from error
        except (KeyError, TypeError) as error:
            raise DamagedError(f"the checksum of {name} cannot be read", where=str(folder)) from error
        if not matches:
            raise DamagedError(f"{name} was altered", where=str(path))
        _sound[state_key] = time.time()


@contextmanager
def remembering(path: Path) -> Iterator[None]:
    """Load the file `path`, a list of files in its folder whose checksum was right within the last day, and update it
    after the context. Later processes need not read these files again."""
    before = _read_compared(path)
    _sound.update(before)
    yield
    inside, now = f"{path.parent}{os.sep}", time.time()
    kept = {
        known: when
        for known, when in _sound.items()
        if known[0].startswith(inside) and now - when < _TRUSTED_S and when - max(known[2:4]) / 1e9 > _SETTLED_S
    }
    if kept.keys() - before.keys():
        with suppress(OSError):
            rows = [[known[0].removeprefix(inside), *known[1:], when] for known, when in kept.items()]
            write_text(path, json.dumps(rows))


def _read_compared(path: Path) -> dict[tuple[Any, ...], float]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        fresh = (row for row in rows if 0 <= time.time() - row[-1] < _TRUSTED_S)
        return {(str(path.parent / name), *known): when for name, *known, when in fresh}
    except (OSError, ValueError, TypeError):
        return {}  # missing or changed: all files are compared


def sealed_json(content: Mapping[str, Any]) -> str:
    """Return `content` as JSON that also contains its digest under the key `SEAL`, for `read_sealed_json`."""
    plain = json.loads(json.dumps(content))  # in the form after reading: keys are text, tuples are lists
    return json.dumps({**plain, SEAL: _digest(plain)}, indent=1)


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Return the content of a file written with `sealed_json`. Raises DamagedError if it is missing or altered."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        seal = content.pop(SEAL)
    except FileNotFoundError as error:
        raise DamagedError(f"{path.name} is missing", where=str(path)) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path.name} is cut short, or has no checksum", where=str(path)) from error
    if seal != _digest(content):
        raise DamagedError(f"{path.name} was altered", where=str(path))
    return dict(content)


def sealed_yaml(text: str) -> str:
    """Return the text of a YAML mapping, with its SHA-256 added as the last line."""
    return f"{text}{SEAL}: {hashlib.sha256(text.encode()).hexdigest()}\n"


def unsealed_yaml(text: str) -> tuple[str, bool | None]:
    """Return (text without its digest line, whether the digest is right). Without a digest, as in old files, the
    second is None."""
    body, found, seal = text.rpartition(f"\n{SEAL}: ")
    if not found:
        return text, None
    return f"{body}\n", hashlib.sha256(f"{body}\n".encode()).hexdigest() == seal.strip()


def write_checked(path: Path, content: bytes) -> None:
    """Write a checksum line and `content` to a file. A failed write is ignored, since the content can be recreated."""
    with suppress(OSError):
        make_folder(path.parent, PRIVATE)
        with temporary(aside(path)) as whole:
            whole.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            whole.replace(path)


def read_checked(path: Path) -> bytes | None:
    """Return the content that `write_checked` wrote; None if it is missing or changed."""
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if checksum.decode("latin-1") == hashlib.sha256(content).hexdigest() else None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _blocks(path: Path, size: int) -> str:
    """Return the SHA-256 of evenly spaced blocks of a file, including its start and end."""
    hash_, step = hashlib.sha256(), (size - _BLOCK) / (_BLOCKS - 1)
    with path.open("rb", buffering=0) as file:
        for k in range(_BLOCKS):
            file.seek(round(k * step))
            hash_.update(file.read(_BLOCK))
    return hash_.hexdigest()
