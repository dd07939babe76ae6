"""Checksums of stored files: recorded when they are written, compared when they are opened.

They show damage and edits by hand. They are no proof against a forger, who can write them anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from embench.errors import DataError
from embench.files import PRIVATE, aside, make_folder, sha256, temporary, write_text

_BLOCKS, _BLOCK = 256, 1 << 14
_LARGE = _BLOCKS * _BLOCK
"""Bytes beyond which a file is compared by evenly spaced blocks when it is opened, so that opening takes
milliseconds."""
SEAL = "sealed"

Sums = Mapping[str, Mapping[str, Any]]
"""File's name -> `bytes`, `sha256`, and of a large file also `blocks`, the SHA-256 of its sampled blocks."""

_sound: dict[tuple[Any, ...], float] = {}
"""Compared files in their state -> the time of the comparison, in s since 1970."""

_TRUSTED_S = 86400.0
"""Seconds during which a file with unchanged size, times and inode is not read again."""

_SETTLED_S = 2.0
"""A file that is younger when it is compared might be altered without a change of its time."""


class DamagedError(DataError):
    """A stored file is not as it was written. Who knows how to make it again catches this."""


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The checksums of files of a folder, to be stored beside them. Raises OSError."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(names):
        path = folder / name
        size = path.stat().st_size
        found[name] = {"bytes": size, "sha256": sha256(path)}
        if size > _LARGE:
            found[name]["blocks"] = _blocks(path, size)
    return found


def check_files(folder: Path, sums: Sums, *, whole: bool = False) -> None:
    """Compares files with their checksums; large ones by sampled blocks unless `whole`.

    Raises:
        DamagedError: a file is missing, cut short or altered; `where` is its path.
    """
    for name, recorded in sums.items():
        path = folder / name
        try:
            state = path.stat()
            times = state.st_mtime_ns, state.st_ctime_ns  # nobody sets the second, which any change of a file moves
            known = (str(path), state.st_size, *times, state.st_ino, recorded["sha256"])
            if known in _sound and not whole:
                continue
            if state.st_size != recorded["bytes"]:
                raise DamagedError(f"{name} has {state.st_size} bytes of {recorded['bytes']}", where=str(path))
            sampled = "blocks" in recorded and not whole
            right = (
                _blocks(path, state.st_size) == recorded["blocks"] if sampled else sha256(path) == recorded["sha256"]
            )
        except FileNotFoundError as error:
            raise DamagedError(f"{name} is missing", where=str(path)) from error
        except OSError as error:
            raise DamagedError(f"{name} cannot be read: {error.strerror}", where=str(path)) from error
        except (KeyError, TypeError) as error:
            raise DamagedError(f"the checksum of {name} cannot be read", where=str(folder)) from error
        if not right:
            raise DamagedError(f"{name} was altered", where=str(path))
        _sound[known] = time.time()


@contextmanager
def remembering(path: Path) -> Iterator[None]:
    """Records in the file `path`, for later processes, the files of its folder that were compared in this context or
    within the last day, so that a repeated command doesn't read all results again."""
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
        return {}  # missing, or not as it was written: all files are compared


def sealed_json(content: Mapping[str, Any]) -> str:
    """JSON that holds the digest of the rest of itself, for `read_sealed_json`."""
    plain = json.loads(json.dumps(content))  # as it will be read: keys are text, tuples are lists
    return json.dumps({**plain, SEAL: _digest(plain)}, indent=1)


def read_sealed_json(path: Path) -> dict[str, Any]:
    """The content of a sealed JSON file. Raises DamagedError: the file is missing, no JSON, or altered."""
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
    """A YAML mapping with the digest of its text as the last line."""
    return f"{text}{SEAL}: {hashlib.sha256(text.encode()).hexdigest()}\n"


def unsealed_yaml(text: str) -> tuple[str, bool | None]:
    """The text without that line, and whether the digest is right; None where there is none, as in files of before."""
    body, found, seal = text.rpartition(f"\n{SEAL}: ")
    if not found:
        return text, None
    return f"{body}\n", hashlib.sha256(f"{body}\n".encode()).hexdigest() == seal.strip()


def write_checked(path: Path, content: bytes) -> None:
    """Writes what can be made again, under its checksum; where the disk refuses, nothing."""
    with suppress(OSError):
        make_folder(path.parent, PRIVATE)
        with temporary(aside(path)) as whole:
            whole.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            whole.replace(path)


def read_checked(path: Path) -> bytes | None:
    """The content that `write_checked` wrote; None where there is nothing, or the file is not as it was written."""
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if checksum.decode("latin-1") == hashlib.sha256(content).hexdigest() else None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _blocks(path: Path, size: int) -> str:
    """The SHA-256 of evenly spaced blocks, the first and the last among them."""
    found, step = hashlib.sha256(), (size - _BLOCK) / (_BLOCKS - 1)
    with path.open("rb", buffering=0) as file:
        for k in range(_BLOCKS):
            file.seek(round(k * step))
            found.update(file.read(_BLOCK))
    return found.hexdigest()
