"""Printing: lines and paragraphs that fit the terminal, one JSON document with `--json`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer

from embench.screen.progress import flags
from embench.texts import visible

_kept = contextlib.ExitStack()
"""Gives stdout back, which `--json` keeps for its document."""


@contextlib.contextmanager
def mode(*, quiet: bool, verbose: bool, colour: bool) -> Iterator[None]:
    """Sets how much is printed, in `flags`, for the duration of the context; without `colour` also NO_COLOR, which
    libraries and workers follow."""
    before = os.environ.get("NO_COLOR")
    flags.quiet, flags.verbose = quiet, verbose
    if not colour:
        os.environ["NO_COLOR"] = "1"
    try:
        yield
    finally:
        _kept.close()
        flags.quiet = flags.verbose = False
        if not colour and before is None:
            del os.environ["NO_COLOR"]


def echo(text: str = "", *, bold: bool = False, colour: str | None = None, err: bool = False) -> None:
    """A line on stdout, or on stderr."""
    if os.environ.get("NO_COLOR") or not (bold or colour):
        typer.echo(visible(text), err=err)
    else:
        typer.secho(visible(text), bold=bold or None, fg=colour, err=err)


def note(text: str) -> None:
    """Prints a line on stderr that is not part of the result."""
    if not flags.quiet:
        typer.echo(visible(text), err=True)


LINE_WIDTH = 100
"""Characters of a line where stdout is no terminal and $COLUMNS does not say otherwise."""


def wrapped(text: str, *, bold: bool = False, colour: str | None = None, indent: str = "") -> None:
    """Text on stdout, in lines that fit the terminal and are at most 100 characters long; no word is cut."""
    lines = textwrap.wrap(
        visible(text),
        min(LINE_WIDTH, room()),
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        echo(line, bold=bold, colour=colour)


def command(line: str, indent: str = "  ") -> None:
    """A command on stdout, in lines that fit the terminal and can be copied."""
    for part in folded_command(line, min(LINE_WIDTH, room()) - len(indent)).splitlines():
        echo(f"{indent}{part}")


def folded_command(line: str, width: int) -> str:
    """A command whose lines but the last end with a backslash; no word is cut, so one may be longer than `width`."""
    if len(line) <= width:
        return line
    further = "    "
    return " \\\n".join(
        textwrap.wrap(line, width - 2, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
    )


def room() -> int:
    """Characters of a line: those of the terminal, $COLUMNS if it is set, else 100."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size((LINE_WIDTH, 24)).columns if known else LINE_WIDTH


def answer(as_json: bool, value: Any, show: Callable[[], None]) -> None:
    """Prints the result of a command: with `--json` as one document, else by `show`."""
    if as_json:
        document(value)
    else:
        show()


def document(value: Any) -> None:
    """Prints the JSON document of `--json`; numbers that JSON does not have become null."""
    _kept.close()
    json.dump(_json(value), sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def keep_stdout() -> None:
    """Sends all output, also that of plugins, libraries and workers, to stderr until `document` is called."""
    sys.stdout.flush()
    _kept.enter_context(contextlib.redirect_stdout(sys.stderr))
    if _is_descriptor(sys.__stdout__, 1) and _is_descriptor(sys.__stderr__, 2):
        kept = os.dup(1)
        _kept.callback(os.close, kept)
        os.dup2(2, 1)
        _kept.callback(os.dup2, kept, 1)


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
