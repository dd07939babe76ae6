"""Folders that are either there and whole, or not there: written aside with checksums, then renamed."""

from __future__ import annotations

import contextlib
import errno
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from embench.checksums import DamagedError, check_files, read_sealed_json, sealed_json, sums_of
from embench.errors import MachineError
from embench.files import flush, temporary
from embench.system import locked

_ASIDE = ".building-"
_SUMS = "checksums.json"
_DAMAGED = ".damaged"

_HINTS = {
    errno.ENOSPC: "free some space, or point EMBENCH_CACHE at a larger disk",
    errno.EDQUOT: "your disk quota is full: free some space, or point EMBENCH_CACHE at another disk",
}


def build_once(target: Path, build: Callable[[Path], None], mode: int) -> Path:
    """`target`, made by `build(folder)` with the permissions `mode` if it is not there yet, or not as it was made: that
    is named and moved aside.

    `build` writes into a folder aside, which becomes `target` at once when it returns. Where another process was
    faster, its folder is used. Whatever goes wrong, nothing half-written stays: at the latest the next call sweeps
    away what a killed process left.

    Raises:
        MachineError: where the disk is full or does not let itself be written.
    """
    with writing(target):
        if _is_sound(target):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with _aside(target.parent, mode) as folder:
            build(folder)
            write_sums(folder, [path.name for path in folder.iterdir()])
            for path in folder.iterdir():
                flush(path)
            try:
                folder.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    return target


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Writes the checksums of some files of a folder, with which `check_folder` compares them."""
    (folder / _SUMS).write_text(sealed_json({"files": sums_of(folder, names)}), newline="\n")


def check_folder(folder: Path, *, whole: bool = False) -> None:
    """Compares what `build_once` made with its checksums; large files by sampled blocks unless `whole`.

    Raises:
        DamagedError: a file is missing, cut short or altered.
    """
    check_files(folder, read_sealed_json(folder / _SUMS)["files"], whole=whole)


def damaged_folders(cache: Path) -> Iterator[DamagedError]:
    """Reads all that lies in a cache, whole, and gives the faults."""
    for folder in stored_folders(cache):
        if not (folder / _SUMS).is_file():
            continue  # of a version without checksums, which nothing reads
        try:
            check_folder(folder, whole=True)
        except DamagedError as error:
            yield error


def stored_folders(cache: Path) -> list[Path]:
    """All folders that `build_once` made below a cache."""
    found = (folder for kind in ("store", "derived") for folder in (cache / kind).glob("*"))
    return sorted(f for f in found if f.is_dir() and not f.name.startswith(".") and f.suffix != _DAMAGED)


def _is_sound(target: Path) -> bool:
    """True if the folder exists as it was made. A changed one is moved aside, with a warning that names it."""
    if not target.is_dir():
        return False
    try:
        check_folder(target)
    except DamagedError:
        # Another process may be making it again, and must not lose what it made.
        with locked(target.with_name(f".{target.name}.lock")):
            return target.is_dir() and _kept_or_moved(target)
    return True


def _kept_or_moved(target: Path) -> bool:
    try:
        check_folder(target)
    except DamagedError as error:
        place = target.with_name(f"{target.name}{_DAMAGED}")
        shutil.rmtree(place, ignore_errors=True)
        target.rename(place)
        warnings.warn(f"{error.where}: {error.what}; made again; the old files are now in {place}", stacklevel=2)
        return False
    return True


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's errors in writing below `path` into a MachineError."""
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
