"""Damaged copies of datasets, as tables: a file, what is done to it, and what the reader has to say of that.

A table is a module in `damages` with `DAMAGES`: for each whole copy its damages, a line each. A whole copy is made once
a session; a damaged one consists of links to its files, and of files of its own where a damage lies.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from embench.interfaces.dataset import Dataset

Edit = Callable[[Path], object]
"""What is done to a file or folder, which need not be there."""

Table = dict["Copy", list["Damage"]]


@dataclass(frozen=True)
class Copy:
    """A whole copy of a dataset, as small as its format allows, and the subject who is read."""

    name: str
    reader: type[Dataset]
    subject: str
    make: Edit


@dataclass(frozen=True)
class Damage:
    """`file`: the path below the copy, with `*` for all that match; `.` is the copy itself. `seen`: `refused`,
    `nothing` (no copy of the dataset at all), `same` (read as if whole), or the severity of what `verify` says.
    `words`: all in one message. `at`: the file that an error names, if not the damaged one. `expected`, `hint`: what
    these parts of an error hold; None where it has no such part. `called`: what tells a damage from its neighbours."""

    file: str
    edit: Edit
    seen: str
    words: tuple[str, ...]
    at: str | None = None
    expected: str | None = ""
    hint: str | None = ""
    called: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.seen, self.file, *self.words, self.called]))


def refused(file: str, edit: Edit, *words: str, at=None, expected="", hint="") -> Damage:
    """The subject cannot be read, and `verify` says the same and goes on."""
    return Damage(file, edit, "refused", words, at, expected, hint)


def nothing(file: str, edit: Edit, *words: str, at=".", expected="", hint="") -> Damage:
    """The folder is refused as a whole."""
    return Damage(file, edit, "nothing", words, at, expected, hint)


def erred(file: str, edit: Edit, *words: str) -> Damage:
    """`verify` calls it an error, and finds none in the whole copy."""
    return Damage(file, edit, "error", words)


def warned(file: str, edit: Edit, *words: str) -> Damage:
    """`verify` warns of it, and not of the whole copy."""
    return Damage(file, edit, "warning", words)


def noted(file: str, edit: Edit, *words: str) -> Damage:
    """`verify` notes it, and not of the whole copy."""
    return Damage(file, edit, "note", words)


def same(file: str, edit: Edit, *words: str, called: object = "") -> Damage:
    """The subject is read as from the whole copy; if there are words, `verify` says them."""
    return Damage(file, edit, "same", words, called=str(called))


def spoilt(damage: Damage, whole: Path, root: Path) -> Path:
    """The damaged copy in `root`. Whatever is edited is no link, and whole copies are seen to stay as they are."""
    before = _stamps(whole)
    shutil.copytree(whole, root, copy_function=os.link, symlinks=True, dirs_exist_ok=True)
    paths = sorted(root.glob(damage.file)) if "*" in damage.file else [root / damage.file]
    assert paths, f"{damage.file} is not in the whole copy"
    for path in paths:
        _unlink(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        damage.edit(path)
    assert _stamps(whole) == before, f"{damage} reached the whole copy"
    return root


def _unlink(path: Path) -> None:
    """Makes links to a file of the whole copy, or to any in a folder, files of their own."""
    for linked in [path, *path.rglob("*")]:
        if linked.is_file() and not linked.is_symlink():
            own = linked.with_name("own of this copy")
            shutil.copy2(linked, own)
            own.replace(linked)


def _stamps(root: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*") if not path.is_dir()}
