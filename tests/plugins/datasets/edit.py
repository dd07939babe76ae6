"""What may be done to a file or folder of a copy of a dataset. Each function gives an edit, or is one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from .damage import Edit


def nothing(_: Path) -> None:
    """For a copy that holds nothing, or is damaged as it is."""


def both(*edits: Edit) -> Edit:
    """One after the other."""

    def edit(path: Path) -> None:
        for one in edits:
            one(path)

    return edit


def write(content: str | bytes) -> Edit:
    """In place of what was there, if anything."""
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)


def text(change: Callable[[str], str]) -> Edit:
    """The text, changed; a byte order mark stays."""
    return lambda path: path.write_bytes(change(path.read_bytes().decode()).encode())


def replace(old: str, new: str, count: int = -1) -> Edit:
    """Text that has to be there."""

    def change(before: str) -> str:
        assert old in before, f"there is no {old!r} in it"
        return before.replace(old, new, count)

    return text(change)


def cut(upto: float) -> Edit:
    """To so many bytes, from the end where negative, or to a share of them."""

    def edit(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(upto * len(content)) if isinstance(upto, float) else upto])

    return edit


def lines(change: Callable[[list[str]], list[str]]) -> Edit:
    """The lines of a text, without their ends."""
    return text(lambda before: "\n".join(change(before.splitlines())) + "\n")


def table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Edit:
    """A table with a header, read by pandas and written anew."""
    return lambda path: change(pd.read_csv(path, encoding="utf-8-sig")).to_csv(path, index=False)


def remove(path: Path) -> None:
    """A file or a folder with all in it."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def move(to: str) -> Edit:
    """To a path beside it, whose folders are made."""

    def edit(path: Path) -> None:
        aim = path.parent / to
        away = path.rename(path.with_name("on its way"))
        aim.parent.mkdir(parents=True, exist_ok=True)
        away.rename(aim)

    return edit


def twin(name: str) -> Edit:
    """The same again under a path beside it."""

    def edit(path: Path) -> None:
        aim = path.parent / name
        aim.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, aim) if path.is_dir() else shutil.copy(path, aim)

    return edit


def within(file: str, edit: Edit) -> Edit:
    """An edit of what lies in the folder; for damages that lie in several files, whose `file` is a folder of all."""
    return lambda folder: edit(folder / file)
