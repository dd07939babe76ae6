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


def content(change: Callable[[bytes], bytes]) -> Edit:
    """The bytes, changed."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def text(change: Callable[[str], str]) -> Edit:
    """The text, changed; a byte order mark stays."""
    return content(lambda before: change(before.decode()).encode())


def replace(old: str | bytes, new: str | bytes, count: int = -1) -> Edit:
    """Text or bytes that have to be there."""
    there, instead = (part.encode() if isinstance(part, str) else part for part in (old, new))

    def change(before: bytes) -> bytes:
        assert there in before, f"there is no {old!r} in it"
        return before.replace(there, instead, count)

    return content(change)


def put(at: int, part: bytes) -> Edit:
    """Bytes over those at a place."""
    return content(lambda before: before[:at] + part + before[at + len(part) :])


def cut(upto: float) -> Edit:
    """To so many bytes, from the end where negative, or to a share of them."""

    def edit(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(upto * len(content)) if isinstance(upto, float) else upto])

    return edit


def lines(change: Callable[[list[str]], list[str]]) -> Edit:
    """The lines of a text, without their ends."""
    return text(lambda before: "\n".join(change(before.splitlines())) + "\n")


def line(number: int, instead: str) -> Edit:
    """One line of a text, the first of which is 1."""
    return lines(lambda rows: [*rows[: number - 1], instead, *rows[number:]])


def column(name: str, change: Callable[[str], object], row: int | None = None) -> Edit:
    """A column's cells of a table without quotes, all or that of one row, the first of which is 0."""

    def edit(rows: list[str]) -> list[str]:
        at = rows[0].split(",").index(name)
        for number in range(1, len(rows)) if row is None else [row + 1]:
            cells = rows[number].split(",")
            cells[at] = str(change(cells[at]))
            rows[number] = ",".join(cells)
        return rows

    return lines(edit)


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


def into(folder: str) -> Edit:
    """Into a folder beside it, under its own name."""
    return lambda path: move(f"{folder}/{path.name}")(path)


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
