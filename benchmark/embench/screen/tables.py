"""Tables of plain text: columns say what stands at their heads and in their cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from embench.records.wording import format_value
from embench.texts import visible

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class TableColumn:
    """A column of a table: `title` stands at its head, `text` gives the cell of a row; cells of a `whole` column stay
    on one line."""

    title: str
    text: Callable[[Any], str]
    whole: bool = False


def field(name: str, title: str | None = None, spec: str = ".3f", missing: str = "") -> TableColumn:
    """The column of a value that rows hold as an attribute, or under a key.

    Args:
        title: default: the name, with blanks for its underscores.
        spec: how numbers with decimals are written. `missing`: the cell where the value is None, or not there.
    """

    def text(row: Any) -> str:
        value = row.get(name) if isinstance(row, Mapping) else getattr(row, name)
        return format_value(value, spec, missing)

    return TableColumn(name.replace("_", " ") if title is None else title, text)


def fields(*names: str) -> list[TableColumn]:
    """The columns of several values that rows hold, titled by their names."""
    return [field(name) for name in names]


def table(rows: Iterable[Any], columns: Iterable[TableColumn] | None, width: int) -> str:
    """The text of a table of at most `width` characters; empty without rows. Cells are wrapped, never cut, so it is
    wider only where its longest words are. Paths are folded after a slash where they fit no line.

    Args:
        columns: default: those of rows that are mappings, title -> cell.
    """
    from tabulate import tabulate

    rows = list(rows)
    if not rows:
        return ""
    if columns is None:
        columns = [field(name, name) for name in dict.fromkeys(name for row in rows for name in row)]
    columns = list(columns)
    heads = [visible(column.title) for column in columns]
    cells = [[visible(column.text(row)) for row in rows] for column in columns]
    widths = [max(len(head) + _PAD, *map(len, own)) for head, own in zip(heads, cells, strict=True)]
    least = [_least(column, own) for column, own in zip(columns, cells, strict=True)]
    word = _WORD
    if not _fit(least, width):
        word = _STEP
        least = [_least(column, own, word) for column, own in zip(columns, cells, strict=True)]
    rigid = [max(low, *map(len, own)) for low, own in zip(least, cells, strict=True)]
    while not _fit(widths, width):
        heads_only = [k for k in range(len(widths)) if widths[k] > rigid[k]]  # costs no line but the head's
        wide = heads_only or [k for k in range(len(widths)) if widths[k] > least[k]]
        if not wide:
            break
        widths[max(wide, key=lambda k: widths[k])] -= 1
    folded = [
        [_folded(cell, space, word).replace("\xa0", " ") for cell in own]
        for own, space in zip(cells, widths, strict=True)
    ]
    heads = [_folded(head, space - _PAD, _NAME) for head, space in zip(heads, widths, strict=True)]
    return tabulate(list(zip(*folded, strict=True)), heads, "simple", disable_numparse=True)


def fitting_columns(
    rows: Iterable[Any], columns: Sequence[TableColumn], spare: Sequence[str], width: int
) -> list[TableColumn]:
    """The columns of a table of at most `width` characters with its cells folded: as few of those titled as in `spare`
    are left out as it takes, the first ones first."""
    rows, kept = list(rows), list(columns)
    for title in spare:
        least = [_least(column, [visible(column.text(row)) for row in rows]) for column in kept]
        if _fit(least, width):
            break
        kept = [column for column in kept if column.title != title]
    return kept


def _fit(widths: Sequence[int], width: int) -> bool:
    """True if columns of these widths fit side by side."""
    return sum(widths) + 2 * (len(widths) - 1) <= width


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Groups the second items of pairs by the first, in order of first appearance.

    >>> grouped([("no label", "s1"), ("too short", "s2"), ("no label", "s3")])
    {'no label': ['s1', 's3'], 'too short': ['s2']}
    """
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


_PAD = 2
"""Blanks that tabulate adds to a head."""

_WORD = re.compile(r"\S(?:(?!(?<=\w-)(?=\w))[\S\xa0])*")
"""A piece of a cell that is never cut: it ends at a blank that may break, or with a hyphen inside a word."""

_STEP = re.compile(r"\S(?:(?!(?:(?<=[^\W\d][-/.=])|(?<=\w_))(?=\w))[\S\xa0])*")
"""A piece of a cell that has no room for its longest path or name, which ends where one of their parts does, too; a
number has no parts."""

_NAME = re.compile(r"[^\s_-]*[_-]+|[^\s_-]+")
"""A piece of a head, which may also end with a hyphen or an underscore: heads are long names over short numbers."""


def _least(column: TableColumn, cells: Sequence[str], word: re.Pattern[str] = _WORD) -> int:
    """The characters that a column needs where its cells are folded."""
    head = _longest(visible(column.title), _NAME) + _PAD
    return max(head, *(len(cell) if column.whole else _longest(cell, word) for cell in cells))


def _longest(cell: str, word: re.Pattern[str] = _WORD) -> int:
    return max(map(len, word.findall(cell)), default=0)


def _folded(cell: str, width: int, word: re.Pattern[str] = _WORD) -> str:
    """A cell in lines of at most `width` characters, or as its longest word is; whole where it fits."""
    if len(cell) <= width:
        return cell
    lines, at = [""], 0
    for found in word.finditer(cell):
        gap = cell[at : found.start()] and " "
        at = found.end()
        if lines[-1] and len(lines[-1]) + len(gap) + len(found[0]) > width:
            lines.append(found[0])
        else:
            lines[-1] += gap + found[0] if lines[-1] else found[0]
    return "\n".join(lines)
