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
from embench.screen import PlanPart, TableColumn, flags
from embench.vocabulary import escape_control

# Printing: lines and paragraphs that fit the terminal, and one JSON document with `--json`.

_restore = contextlib.ExitStack()
"""Restores stdout, which `--json` reserves for its document."""


@contextlib.contextmanager
def mode(*, quiet: bool, verbose: bool, colour: bool) -> Iterator[None]:
    """Set the verbosity (`embench.screen.flags`) within the context. Without `colour`, also set NO_COLOR, which
    libraries and worker processes respect."""
    before = os.environ.get("NO_COLOR")
    flags.quiet, flags.verbose = quiet, verbose
    if not colour:
        os.environ["NO_COLOR"] = "1"
    try:
        yield
    finally:
        _restore.close()
        flags.quiet = flags.verbose = False
        if not colour and before is None:
            del os.environ["NO_COLOR"]


def echo(text: str = "", *, bold: bool = False, colour: str | None = None, err: bool = False) -> None:
    """Print a line on stdout, or on stderr with `err`."""
    if os.environ.get("NO_COLOR") or not (bold or colour):
        typer.echo(escape_control(text), err=err)
    else:
        typer.secho(escape_control(text), bold=bold or None, fg=colour, err=err)


def note(text: str) -> None:
    """Print a remark, which is not part of the result, on stderr; nothing with `--quiet`."""
    if not flags.quiet:
        typer.echo(escape_control(text), err=True)


LINE_WIDTH = 100
"""Characters in a line if stdout is not a terminal and $COLUMNS is not set."""


def wrapped(text: str, *, bold: bool = False, colour: str | None = None, indent: str = "") -> None:
    """Print text on stdout in lines that fit the terminal, at most 100 characters long; no word is split."""
    further = f"{indent}  " if indent else ""
    for line in _wrap(escape_control(text), min(LINE_WIDTH, line_width()), further, initial_indent=indent):
        echo(line, bold=bold, colour=colour)


def _wrap(text: str, width: int, further: str, initial_indent: str = "") -> list[str]:
    wrapper = textwrap.TextWrapper(width, initial_indent, further, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)


def command(line: str, indent: str = "  ") -> None:
    """Print a command on stdout in lines that fit the terminal and can be copied."""
    for part in fold_command(line, min(LINE_WIDTH, line_width()) - len(indent)).splitlines():
        echo(f"{indent}{part}")


def fold_command(line: str, width: int) -> str:
    """Fold a command into lines that end with a backslash. No word is split, and an option stays with its value, so
    lines may exceed `width`."""
    if len(line) <= width:
        return line
    together = _WORD.sub(lambda word: word[0].replace(" ", "\0"), line)
    return " \\\n".join(_wrap(together, width - 2, "    ")).replace("\0", " ")


_WORD = re.compile(r"(?:(?<!\S)--[\w-]+ (?!-))?(?:'[^']*'|[^\s'])+")
"""A word of a command, with the option whose value it is."""


def line_width() -> int:
    """Return the number of characters in a line: the width of the terminal or $COLUMNS if known, else 100."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size((LINE_WIDTH, 24)).columns if known else LINE_WIDTH


def answer(as_json: bool, value: Any, show: Callable[[], None]) -> None:
    """Print the result of a command: `value` as a JSON document with `--json`, else by calling `show`."""
    if as_json:
        document(value)
    else:
        show()


def document(value: Any) -> None:
    """Print `value` as the JSON document of `--json` on stdout; NaN and infinity become null."""
    _restore.close()
    json.dump(_as_json(value), sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def keep_stdout() -> None:
    """Send all output, including that of plugins, libraries and workers, to stderr until `document` is called."""
    sys.stdout.flush()
    _restore.enter_context(contextlib.redirect_stdout(sys.stderr))
    if _has_descriptor(sys.__stdout__, 1) and _has_descriptor(sys.__stderr__, 2):
        copy = os.dup(1)
        _restore.callback(os.close, copy)
        os.dup2(2, 1)
        _restore.callback(os.dup2, copy, 1)


def _has_descriptor(stream: Any, number: int) -> bool:
    try:
        return bool(stream is not None and stream.fileno() == number)
    except (OSError, ValueError):
        return False


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# Tables on the terminal.


def show_table(rows: Iterable[Any], columns: Iterable[TableColumn] | None = None, *, title: str | None = None) -> None:
    """Print a table that fits the terminal; print nothing without rows.

    Args:
        columns: None: a column for each key of the rows, which are then mappings from title to cell.
    """
    if text := screen.format_table(rows, columns, line_width()):
        if title:
            wrapped(title, bold=True)
        typer.echo(text)  # its lines and control characters are escaped already
        echo()


def fit_columns(rows: Iterable[Any], columns: Sequence[TableColumn], spare: Sequence[str]) -> list[TableColumn]:
    """Return the columns that fit the terminal; titles in `spare` are dropped as necessary, in this order."""
    return screen.fitting_columns(rows, columns, spare, line_width())


def show_parts(parts: Iterable[PlanPart]) -> None:
    """Print the texts, warnings, commands and tables of a plan."""
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
_SUGGESTION = re.compile(r"did you mean (\S+?)(?: or .*)?\?")
_QUOTED = re.compile(r"[`']([^`']+)[`']")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_PLACEHOLDER = re.compile(r"--|\.\.\.|(.*[=:/])?[A-Z]+([:.].*)?$|.*=\.\.$", re.DOTALL)
"""Placeholders in hints: `NAME`, `NAME:amigos`, `./FOLDER`, `encoder.lr=..`."""


def suggest_after_error(error: EmbenchError, arguments: Sequence[str], root: Any) -> str | None:
    """Return the command line to try after an error; None if the message contains one already, or if none is known.

    Args:
        arguments: the failed command line, without `embench`.
        root: typer's group of all commands.
    """
    command, typer_command = _resolve_command(arguments, root)
    hint = error.hint or ""
    if "embench " in hint:
        return None
    if suggestion := _SUGGESTION.search(hint):
        return _replace_word(arguments, _QUOTED.findall(error.what), suggestion[1])
    if options := _parse_options(hint):
        return _replace_options(arguments, options, typer_command)
    if isinstance(error, PluginError) and not hint:  # its author needs the traceback
        return shlex.join(["embench", "--debug", *arguments])
    return f"{command} --help" if isinstance(error, UsageError | DataError) and not hint else None


def suggest_for_option(option: str) -> str | None:
    """Return a message with embench's options in place of another program's option, such as `--model`; else None."""
    if option not in _MODELS:
        return None
    return (
        f"no such option: {option}. Use --encoder for a network and --fusion for a classifier\n  what to do: embench "
        "run --dataset DATASET --encoder handcrafted --fusion logreg"
    )


def suggest_for_command(message: str, root: Any) -> str | None:
    """Return the help command for a command of another group, such as `embench data verify --help`, or None.

    Args:
        message: typer's message, `No such command 'verify'`.
        root: typer's group of all commands.
    """
    found = re.match(r"No such command '([^']+)'", message)
    if not found:
        return None
    groups = {"embench": root, **{f"embench {name}": command for name, command in root.commands.items()}}
    places = [name for name, command in groups.items() if found[1] in getattr(command, "commands", {})]
    return " or ".join(f"{place} {found[1]} --help" for place in places) or None


def _replace_word(arguments: Sequence[str], wrong: Sequence[str], right: str) -> str | None:
    """Return the command line with one word replaced by `right`: the first of the `wrong` words that occurs in exactly
    one argument. Return None if there is no such word."""
    for word in wrong:
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        positions = [k for k, argument in enumerate(arguments) if whole.search(argument)]
        if len(positions) == 1:
            corrected = list(arguments)
            corrected[positions[0]] = whole.sub(right.replace("\\", r"\\"), corrected[positions[0]])
            return shlex.join(["embench", *corrected]) if corrected != list(arguments) else None
    return None


def _resolve_command(arguments: Sequence[str], root: Any) -> tuple[str, Any]:
    """Return the name of the command that the arguments call, such as `embench data labels`, and its typer object."""
    words, typer_command = ["embench"], root
    for word in arguments:
        if word not in getattr(typer_command, "commands", {}):
            break
        words.append(word)
        typer_command = typer_command.commands[word]
    return " ".join(words), typer_command


def _parse_options(hint: str) -> list[tuple[str, str]]:
    """Return (name, value) of each option in a hint such as `use fewer: --seeds 0; or ...`. The options follow a colon
    and end before `; `. Return an empty list if the hint has another form, or a value is a placeholder."""
    before, dashes, after = hint.partition("--")
    if before and not before.endswith(": "):
        return []
    try:
        words = shlex.split(dashes + after.partition("; ")[0])
    except ValueError:  # a quotation is not closed
        return []
    pairs = list(zip(words[::2], words[1::2], strict=False))
    is_complete = len(words) == 2 * len(pairs) and all(_OPTION.fullmatch(name) for name, _ in pairs)
    return pairs if is_complete and not any(_PLACEHOLDER.match(value) for _, value in pairs) else []


def _replace_options(arguments: Sequence[str], wanted: Sequence[tuple[str, str]], typer_command: Any) -> str | None:
    """Return the command line with the `wanted` options (name, value) at its end, instead of its own values of these.
    Return None if the command does not accept them, or if the command line has one of them several times."""
    known = {name: option for option in typer_command.params for name in option.opts}
    if any(name not in known for name, _ in wanted):
        return None
    names, keys = dict(wanted), {_option_key(*pair) for pair in wanted}
    kept: list[str] = []
    replaced = set()
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        # An option and its value are one word, `--name=value`, or two.
        pair = [word] if equals or name not in names else [word, *islice(words, 1)]
        key = _option_key(name, value if equals else pair[-1])
        if key not in keys:
            kept += pair
        elif key in replaced:
            return None
        replaced.add(key)
    return shlex.join(["embench", *kept, *(word for pair in wanted for word in pair)])


def _option_key(name: str, value: str) -> tuple[str, str]:
    """Return a key of an option that may occur once: (name, path of the setting for `--set`, else empty)."""
    return name, value.partition("=")[0] if name == "--set" else ""
