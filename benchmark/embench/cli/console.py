"""How things are printed: rich tables on a terminal, aligned text elsewhere, one JSON document with `--json`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from embench.texts import visible


def echo(text: str = "", *, bold: bool = False, colour: str | None = None) -> None:
    """A line on stdout."""
    typer.secho(visible(text), bold=bold or None, fg=colour)


def note(text: str) -> None:
    """A line on stderr, for what is not the result itself."""
    typer.echo(visible(text), err=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """A table on stdout. Cells are text; a first cell that ends with `*` marks a row to stand out."""
    headers, rows = [visible(head) for head in headers], [[visible(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        grid = Table(title=_escape(visible(title)) if title else None, title_justify="left", title_style="bold")
        for header in headers:
            grid.add_column(_escape(header), overflow="fold")
        for row in rows:
            grid.add_row(*(_escape(cell) for cell in row), style="bold" if row[0].endswith("*") else None)
        Console().print(grid)
        return
    from tabulate import tabulate

    if title:
        echo(title)
    echo(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))
    echo()


_BREAKS = re.compile(r"\s+|(?<=\w-)(?=\w)")
"""Where a line of a cell may end."""


def narrow_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str, width: int, whole: Sequence[int] = ()
) -> None:
    """A table on stdout within `width` characters, or the terminal's width where that is less: cells are wrapped, never
    cut. It is wider only where its longest words are. Cells of the columns `whole` stay on one line."""
    from tabulate import tabulate

    width = _room(width)
    lines = [[visible(cell) for cell in line] for line in (headers, *rows)]
    by_column = list(zip(*lines, strict=True))
    widths = [max(len(head) + 2, *map(len, cells)) for head, *cells in by_column]  # tabulate pads heads by 2
    least = [
        widths[k] if k in whole else max(len(head) + 2, *(len(word) for cell in cells for word in _BREAKS.split(cell)))
        for k, (head, *cells) in enumerate(by_column)
    ]
    while sum(widths) + 2 * (len(widths) - 1) > width:
        wide = [k for k in range(len(widths)) if widths[k] > least[k]]
        if not wide:
            break
        widths[max(wide, key=lambda k: widths[k])] -= 1
    echo(title, bold=True)
    echo(tabulate(lines[1:], lines[0], "simple", disable_numparse=True, maxcolwidths=widths))


def wrapped(text: str, width: int) -> None:
    """A paragraph on stdout within `width` characters, or the terminal's width where that is less."""
    echo(textwrap.fill(text, _room(width), break_long_words=False, break_on_hyphens=False))


def _room(width: int) -> int:
    return min(width, shutil.get_terminal_size().columns) if sys.stdout.isatty() else width


def document(value: Any) -> None:
    """The one JSON document of `--json`; numbers that JSON does not have become null."""
    json.dump(_json(value), sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


@contextlib.contextmanager
def stdout_kept(wanted: bool) -> Iterator[None]:
    """While it lasts, whatever is printed goes to stderr, by plugins, libraries and workers too (with `--json`)."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if _is_descriptor(sys.__stdout__, 1) and _is_descriptor(sys.__stderr__, 2):
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
            stack.callback(os.dup2, kept, 1)
        yield


def _is_descriptor(stream: Any, number: int) -> bool:
    try:
        return bool(stream is not None and stream.fileno() == number)
    except (OSError, ValueError):
        return False


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _escape(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)
