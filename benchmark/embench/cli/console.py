"""Printing on the terminal: lines, tables, JSON, and suggested commands."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import typer

from embench import screen
from embench.errors import DataError, EmbenchError, PluginError, UsageError
from embench.screen import PlanPart, TableColumn, field, fields, flags, grouped
from embench.vocabulary import visible

# Printing: lines and paragraphs that fit the terminal, and one JSON document with `--json`.

_kept = contextlib.ExitStack()
"""Restores stdout, which `--json` reserves for its document."""


@contextlib.contextmanager
def mode(*, quiet: bool, verbose: bool, colour: bool) -> Iterator[None]:
    """Set the verbosity, in `flags`, within the context; without `colour`, also set NO_COLOR, which libraries and
    workers follow."""
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
    """Print a line on stdout, or on stderr."""
    if os.environ.get("NO_COLOR") or not (bold or colour):
        typer.echo(visible(text), err=err)
    else:
        typer.secho(visible(text), bold=bold or None, fg=colour, err=err)


def note(text: str) -> None:
    """Print a line on stderr that is not part of the result."""
    if not flags.quiet:
        typer.echo(visible(text), err=True)


LINE_WIDTH = 100
"""Characters in a line where stdout is not a terminal and $COLUMNS is not set."""


def wrapped(text: str, *, bold: bool = False, colour: str | None = None, indent: str = "") -> None:
    """Print text on stdout in lines that fit the terminal, at most 100 characters long; no word is split."""
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
    """Print a command on stdout in lines that fit the terminal and can be copied."""
    for part in folded_command(line, min(LINE_WIDTH, room()) - len(indent)).splitlines():
        echo(f"{indent}{part}")


def folded_command(line: str, width: int) -> str:
    """Fold a command into lines that end with a backslash, except the last. No word is split, so a line may exceed
    `width`."""
    if len(line) <= width:
        return line
    further = "    "
    return " \\\n".join(
        textwrap.wrap(line, width - 2, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
    )


def room() -> int:
    """Return the number of characters in a line: of the terminal, or $COLUMNS if it is set, else 100."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size((LINE_WIDTH, 24)).columns if known else LINE_WIDTH


def answer(as_json: bool, value: Any, show: Callable[[], None]) -> None:
    """Print the result of a command: with `--json` as one document, else by `show`."""
    if as_json:
        document(value)
    else:
        show()


def document(value: Any) -> None:
    """Print the JSON document of `--json`; numbers that JSON lacks become null."""
    _kept.close()
    json.dump(_json(value), sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def keep_stdout() -> None:
    """Send all output, including that of plugins, libraries and workers, to stderr until `document` is called."""
    sys.stdout.flush()
    _kept.enter_context(contextlib.redirect_stdout(sys.stderr))
    if _is_descriptor(sys.__stdout__, 1) and _is_descriptor(sys.__stderr__, 2):
        copy = os.dup(1)
        _kept.callback(os.close, copy)
        os.dup2(2, 1)
        _kept.callback(os.dup2, copy, 1)


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


# Tables on the terminal.

__all__ = ["TableColumn", "field", "fields", "fitting", "grouped", "show_parts", "show_table"]


def show_table(rows: Iterable[Any], columns: Iterable[TableColumn] | None = None, *, title: str | None = None) -> None:
    """Print a table that fits the terminal; print nothing without rows.

    Args:
        columns: default: the keys of rows that are mappings, title -> cell.
    """
    if text := screen.table(rows, columns, room()):
        if title:
            wrapped(title, bold=True)
        # Its cells have control characters written out already, and lines of their own.
        typer.echo(text)
        echo()


def fitting(rows: Iterable[Any], columns: Sequence[TableColumn], spare: Sequence[str]) -> list[TableColumn]:
    """Return the columns of a table that fits the terminal with folded cells. Columns titled as in `spare` are omitted
    as necessary, the first ones first."""
    return screen.fitting_columns(rows, columns, spare, room())


def show_parts(parts: Iterable[PlanPart]) -> None:
    """Print the parts of a plan."""
    for part in parts:
        if part.kind == "command":
            command(part.text)
        elif part.kind == "table":
            show_table(part.rows, part.columns, title=part.text or None)
        else:
            warns = part.kind == "warning"
            wrapped(part.text, bold=warns, colour="yellow" if warns else None)


# Suggested commands: the complete corrected command, where an error message names the correction.

_MODELS = ("--model", "--classifier", "--estimator", "--network", "--algorithm")
_MEANT = re.compile(r"did you mean (\S+?)(?: or .*)?\?")
_QUOTED = re.compile(r"[`']([^`']+)[`']")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_PLACEHOLDER = re.compile(r"--|\.\.\.|(.*[=:/])?[A-Z]+([:.].*)?$|.*=\.\.$", re.DOTALL)
"""Placeholders in hints: `NAME`, `NAME:amigos`, `./FOLDER`, `encoder.lr=..`."""


def suggest_after_error(error: EmbenchError, arguments: Sequence[str], root: Any) -> str | None:
    """Return the command to run after an error; None where the message names one already, or none is known.

    Args:
        root: the group of all commands.
    """
    command, called = _resolve_command(arguments, root)
    hint = error.hint or ""
    if "embench " in hint:
        return None
    if meant := _MEANT.search(hint):
        return _with_word(arguments, _QUOTED.findall(error.what), meant[1])
    if wanted := _parse_options(hint):
        return _with_options(arguments, wanted, called)
    if isinstance(error, PluginError) and not hint:  # its author needs the traceback
        return shlex.join(["embench", "--debug", *arguments])
    return f"{command} --help" if isinstance(error, UsageError | DataError) and not hint else None


def suggest_for_option(option: str) -> str | None:
    """Return a message with the counterpart of an option that other programs have; None where there is none."""
    if option not in _MODELS:
        return None
    return (
        f"no such option: {option}. Use --encoder for a network and --fusion for a classifier\n  what to do: embench "
        "run --dataset DATASET --encoder handcrafted --fusion logreg"
    )


def suggest_for_command(message: str, root: Any) -> str | None:
    """Return the commands with this name in a group `root` or its groups, for an unknown command; None where there are
    none."""
    found = re.match(r"No such command '([^']+)'", message)
    if not found:
        return None
    name = found[1]
    groups = {"embench": root, **{f"embench {group}": command for group, command in root.commands.items()}}
    places = [f"{of} {name}" for of, command in groups.items() if name in getattr(command, "commands", {})]
    return " or ".join(f"{place} --help" for place in places) or None


def _with_word(arguments: Sequence[str], wrong: Sequence[str], right: str) -> str | None:
    """Return the command with `right` in place of a wrong word, if exactly one argument contains it."""
    for word in wrong:
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        holding = [k for k, argument in enumerate(arguments) if whole.search(argument)]
        if len(holding) == 1:
            mended = list(arguments)
            mended[holding[0]] = whole.sub(right.replace("\\", r"\\"), mended[holding[0]])
            return shlex.join(["embench", *mended]) if mended != list(arguments) else None
    return None


def _resolve_command(arguments: Sequence[str], root: Any) -> tuple[str, Any]:
    """Return the command that the arguments call, such as `embench data labels`, and its object."""
    words, called = ["embench"], root
    for word in arguments:
        if word not in getattr(called, "commands", {}):
            break
        words.append(word)
        called = called.commands[word]
    return " ".join(words), called


def _parse_options(hint: str) -> list[tuple[str, str]]:
    """Return (name, value) of the options in a hint, after words that end with a colon and before `; `; empty where the
    hint contains anything else, or a value is a placeholder."""
    before, dashes, after = hint.partition("--")
    if before and not before.endswith(": "):
        return []
    try:
        words = shlex.split(dashes + after.partition("; ")[0])
    except ValueError:  # a quotation is not closed
        return []
    pairs = list(zip(words[::2], words[1::2], strict=False))
    whole = len(words) == 2 * len(pairs) and all(_OPTION.fullmatch(name) for name, _ in pairs)
    return pairs if whole and not any(_PLACEHOLDER.match(value) for _, value in pairs) else []


def _with_options(arguments: Sequence[str], wanted: Sequence[tuple[str, str]], called: Any) -> str | None:
    """Return the command with these options replacing the existing ones; None where it does not accept them, or has one
    of them several times, so that any may be meant."""
    known = {name: option for option in called.params for name in option.opts}
    if any(name not in known for name, _ in wanted):
        return None
    names, keys = dict(wanted), {_key(*pair) for pair in wanted}
    kept: list[str] = []
    replaced = set()
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        pair = [word] if equals or name not in names else [word, *islice(words, 1)]
        key = _key(name, value if equals else pair[-1])
        if key not in keys:
            kept += pair
        elif key in replaced:
            return None
        replaced.add(key)
    return shlex.join(["embench", *kept, *(word for pair in wanted for word in pair)])


def _key(name: str, value: str) -> tuple[str, str]:
    """Return the key of an option that may be given once: each setting of --set has its own key."""
    return name, value.partition("=")[0] if name == "--set" else ""
