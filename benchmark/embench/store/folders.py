"""Folders that are either there and whole, or not there: written aside, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from embench.errors import MachineError
from embench.files import temporary
from embench.system import locked

_ASIDE = ".building-"

_HINTS = {
    errno.ENOSPC: "free some space, or point EMBENCH_CACHE at a larger disk",
    errno.EDQUOT: "your disk quota is full: free some space, or point EMBENCH_CACHE at another disk",
}


def cache_root() -> Path:
    """Where prepared data are kept: `$EMBENCH_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("EMBENCH_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("embench"))


def build_once(target: Path, build: Callable[[Path], None], mode: int) -> Path:
    """`target`, made by `build(folder)` if it is not there yet, with the permissions `mode`.

    `build` writes into a folder aside, which becomes `target` at once when it returns. Where another process was
    faster, its folder is used. Whatever goes wrong, nothing half-written stays: at the latest the next call sweeps
    away what a killed process left.

    Raises:
        MachineError: where the disk is full or does not let itself be written.
    """
    with writing(target):
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with _aside(target.parent, mode) as folder:
            build(folder)
            _flush(folder)
            try:
                folder.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    return target


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the operating system says against writing below `path` into a MachineError."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"prepared data cannot be written: {error.strerror or error}",
            where=str(path),
            expected="a writable folder with enough space",
            hint=_HINTS.get(
                error.errno or 0, "check the folder's permissions, or point EMBENCH_CACHE at another place"
            ),
        ) from error


@contextlib.contextmanager
def _aside(parent: Path, mode: int) -> Iterator[Path]:
    """A folder of this process alone. The lock beside it shows others that its owner lives: the system lets go of it
    when a process ends, however it ends."""
    folder = parent / f"{_ASIDE}{uuid.uuid4().hex[:8]}"
    lock = folder.with_suffix(".lock")
    with temporary(lock), temporary(folder), locked(lock):
        folder.mkdir(mode)
        yield folder


def _sweep(parent: Path) -> None:
    """Removes what killed processes left behind."""
    for lock in parent.glob(f"{_ASIDE}*.lock"):
        with contextlib.suppress(OSError), locked(lock, wait=False) as ownerless:
            if ownerless:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """To the disk, so that not even a power cut leaves a finished name on unfinished files."""
    for path in folder.iterdir():
        with path.open("r+b") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
