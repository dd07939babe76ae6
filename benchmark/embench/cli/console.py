"""How things are printed: tables and paragraphs that fit the terminal, one JSON document with `--json`."""

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
from dataclasses import dataclass
from typing import Any

import typer

from embench.texts import visible


@dataclass
class _Mode:
    """What the flags of a command line ask for: `quiet` prints no notes and no progress, `verbose` more of it."""

    quiet: bool = False
    verbose: bool = False


asked = _Mode()


@contextlib.contextmanager
def mode(*, quiet: bool, verbose: bool, colour: bool) -> Iterator[None]:
    """While it lasts, `asked` says how much is printed, and without `colour` NO_COLOR is set, which libraries and
    workers follow as well."""
    before = os.environ.get("NO_COLOR")
    asked.quiet, asked.verbose = quiet, verbose
    if not colour:
        os.environ["NO_COLOR"] = "1"
    try:
        yield
    finally:
        asked.quiet = asked.verbose = False
        if not colour and before is None:
            del os.environ["NO_COLOR"]


def echo(text: str = "", *, bold: bool = False, colour: str | None = None, err: bool = False) -> None:
    """A line on stdout, or on stderr."""
    if os.environ.get("NO_COLOR") or not (bold or colour):
        typer.echo(visible(text), err=err)
    else:
        typer.secho(visible(text), bold=bold or None, fg=colour, err=err)


def note(text: str) -> None:
    """A line on stderr, for what is not the result itself."""
    if not asked.quiet:
        typer.echo(visible(text), err=True)


_WIDTH = 100
"""Characters of a line where stdout is no terminal and $COLUMNS does not say otherwise."""

_WORD = re.compile(r"\S(?:(?!(?<=\w-)(?=\w))\S)*")
"""A piece of a cell that is never cut: it ends at a blank, or with a hyphen inside a word."""

_NAME = re.compile(r"[^\s_]*_+|[^\s_]+")
"""A piece of a head, which may also end with an underscore: heads are long names over short numbers."""


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None, whole: Sequence[int] = ()
) -> None:
    """A table on stdout that fits the terminal: cells are wrapped, never cut. It is wider only where its longest words
    are. Cells of the columns `whole` stay on one line."""
    from tabulate import tabulate

    columns = list(zip(*([visible(cell) for cell in line] for line in (headers, *rows)), strict=True))
    widths = [max([len(head) + _PAD, *map(len, cells)]) for head, *cells in columns]
    least = [
        width if k in whole else max([_longest(head, _NAME) + _PAD, *map(_longest, cells)])
        for k, ((head, *cells), width) in enumerate(zip(columns, widths, strict=True))
    ]
    while sum(widths) + 2 * (len(widths) - 1) > _room():
        wide = [k for k in range(len(widths)) if widths[k] > least[k]]
        if not wide:
            break
        widths[max(wide, key=lambda k: widths[k])] -= 1
    heads = [_folded(head, width - _PAD, _NAME) for (head, *_), width in zip(columns, widths, strict=True)]
    body = [
        [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for row in zip(*(cells for _, *cells in columns), strict=True)
    ]
    if title:
        wrapped(title, bold=True)
    # Its cells have control characters written out already, and lines of their own.
    typer.echo(tabulate(body, heads, "simple", disable_numparse=True))
    echo()


_PAD = 2
"""Blanks that tabulate adds to a head."""


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


def wrapped(text: str, *, bold: bool = False, colour: str | None = None, indent: str = "") -> None:
    """Text on stdout, in lines that fit the terminal and are at most 100 characters long; no word is cut."""
    lines = textwrap.wrap(
        visible(text),
        min(_WIDTH, _room()),
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        echo(line, bold=bold, colour=colour)


def _room() -> int:
    """Characters of a line: those of the terminal, $COLUMNS if it is set, else 100."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size((_WIDTH, 24)).columns if known else _WIDTH


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
