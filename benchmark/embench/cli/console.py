"""Printing on the terminal: lines, tables, JSON, and commands that a message suggests."""

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

# Printing: lines and paragraphs that fit the terminal, one JSON document with `--json`.

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


# Tables on the terminal.

__all__ = ["TableColumn", "field", "fields", "fitting", "grouped", "show_parts", "show_table"]


def show_table(rows: Iterable[Any], columns: Iterable[TableColumn] | None = None, *, title: str | None = None) -> None:
    """Prints a table that fits the terminal; prints nothing without rows.

    Args:
        columns: default: those of rows that are mappings, title -> cell.
    """
    if text := screen.table(rows, columns, room()):
        if title:
            wrapped(title, bold=True)
        # Its cells have control characters written out already, and lines of their own.
        typer.echo(text)
        echo()


def fitting(rows: Iterable[Any], columns: Sequence[TableColumn], spare: Sequence[str]) -> list[TableColumn]:
    """The columns of a table that fits the terminal with its cells folded: as few of those titled as in `spare` are
    left out as it takes, the first ones first."""
    return screen.fitting_columns(rows, columns, spare, room())


def show_parts(parts: Iterable[PlanPart]) -> None:
    """Prints the parts of a plan."""
    for part in parts:
        if part.kind == "command":
            command(part.text)
        elif part.kind == "table":
            show_table(part.rows, part.columns, title=part.text or None)
        else:
            warns = part.kind == "warning"
            wrapped(part.text, bold=warns, colour="yellow" if warns else None)


# The command that was meant, whole, where a message names what would be right.

_MODELS = ("--model", "--classifier", "--estimator", "--network", "--algorithm")
_MEANT = re.compile(r"did you mean (\S+?)(?: or .*)?\?")
_QUOTED = re.compile(r"[`']([^`']+)[`']")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_PLACEHOLDER = re.compile(r"--|\.\.\.|(.*[=:/])?[A-Z]+([:.].*)?$|.*=\.\.$", re.DOTALL)
"""Values that stand for others: `NAME`, `NAME:amigos`, `./FOLDER`, `encoder.lr=..`."""


def of_error(error: EmbenchError, arguments: Sequence[str], root: Any) -> str | None:
    """The command to type after an error of a command line; None where the message names one already, or nobody can
    know it.

    Args:
        root: the group of all commands.
    """
    command, called = _called(arguments, root)
    hint = error.hint or ""
    if "embench " in hint:
        return None
    if meant := _MEANT.search(hint):
        return _with_word(arguments, _QUOTED.findall(error.what), meant[1])
    if wanted := _options_in(hint):
        return _with_options(arguments, wanted, called)
    if isinstance(error, PluginError) and not hint:  # its author needs the traceback
        return shlex.join(["embench", "--debug", *arguments])
    return f"{command} --help" if isinstance(error, UsageError | DataError) and not hint else None


def of_unknown_option(option: str) -> str | None:
    """The counterpart of an option that other programs have, in words, and a command."""
    if option not in _MODELS:
        return None
    return (
        f"no such option: {option}. Use --encoder for a network and --fusion for a classifier\n  what to do: embench "
        "run --dataset DATASET --encoder handcrafted --fusion logreg"
    )


def of_unknown_command(message: str, root: Any) -> str | None:
    """The commands of this name that stand elsewhere, as those of a group `root` and of its groups; None where there
    is none."""
    found = re.match(r"No such command '([^']+)'", message)
    if not found:
        return None
    name = found[1]
    groups = {"embench": root, **{f"embench {group}": command for group, command in root.commands.items()}}
    places = [f"{of} {name}" for of, command in groups.items() if name in getattr(command, "commands", {})]
    return " or ".join(f"{place} --help" for place in places) or None


def _with_word(arguments: Sequence[str], wrong: Sequence[str], right: str) -> str | None:
    """The command with `right` in place of a wrong word, where one argument alone holds it."""
    for word in wrong:
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        holding = [k for k, argument in enumerate(arguments) if whole.search(argument)]
        if len(holding) == 1:
            mended = list(arguments)
            mended[holding[0]] = whole.sub(right.replace("\\", r"\\"), mended[holding[0]])
            return shlex.join(["embench", *mended]) if mended != list(arguments) else None
    return None


def _called(arguments: Sequence[str], root: Any) -> tuple[str, Any]:
    """The command that arguments call, such as `embench data labels`, and its object."""
    words, called = ["embench"], root
    for word in arguments:
        if word not in getattr(called, "commands", {}):
            break
        words.append(word)
        called = called.commands[word]
    return " ".join(words), called


def _options_in(hint: str) -> list[tuple[str, str]]:
    """The options that a hint consists of, after words that end with a colon and before `; `, as pairs of a name and a
    value; none where there is anything else, or a value stands for another."""
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
    """The command with these options in place of those that it has; None where it does not take them, or has one of
    them several times, of which each may be meant."""
    known = {name: option for option in called.params for name in option.opts}
    if any(name not in known or (name == "--set" and not known[name].multiple) for name, _ in wanted):
        return None  # the --set of baselines names a set
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
    """An option that is given once: each setting of --set is one of its own."""
    return name, value.partition("=")[0] if name == "--set" else ""
