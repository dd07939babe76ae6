"""The command line: parses arguments, calls functions, prints results; errors become messages and exit codes."""

from __future__ import annotations

import errno
import io
import os
import platform
import re
import shlex
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, get_type_hints

import typer
from typer import Option

import embench
from embench.cli import challenge, console, data, leaderboard, listing, machine, options, results, run, studies
from embench.errors import DataError, EmbenchError
from embench.system import (
    KEPT,
    ending_stuck_process,
    explain_missing_library,
    hearing_interrupts,
    killed_worker,
    out_of_memory,
)
from embench.vocabulary import escape_control

app = typer.Typer(
    name="embench",
    help="A benchmark for emotion and stress recognition from physiological signals and video.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: Mapping[str, Mapping[str, Callable[..., None] | typer.Typer]] = {
    "Run": {
        "run": run.run,
        "grid": run.grid,
        "tune": run.tune,
        "predict": run.predict,
        "pretrain": run.pretrain,
        "baselines": studies.baselines,
        "list": listing.list_kinds,
        "info": listing.info,
    },
    "Data": {"doctor": machine.doctor, "data": data.data_app, "clean": machine.clean},
    "Evaluate": {
        "score": results.score,
        "compare": results.compare,
        "audit": results.audit,
        "report": results.report,
        "claims": studies.claims,
    },
    "Publish": {
        "export": results.export,
        "leaderboard": leaderboard.leaderboard_app,
        "challenge": challenge.challenge_app,
    },
    "Extend": {"plugin": listing.plugin_app, "weights": run.weights_app},
}
"""Group in the help -> name -> command."""

for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=panel)
        else:
            app.command(name, rich_help_panel=panel)(command)
options.add_examples(app)


def _evaluate_hints(app: typer.Typer) -> None:
    """Evaluate the type hints of all commands once, since typer evaluates hints that are strings repeatedly."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback.__annotations__ = get_type_hints(command.callback, include_extras=True)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _evaluate_hints(group.typer_instance)


_evaluate_hints(app)

# Errors of the machine: no space or quota left, a read-only or forbidden path, too many open files.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.EACCES, errno.EPERM}
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM
_DEAD = {"BrokenProcessPool", "TerminatedWorkerError"}


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"embench {embench.__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Print results and errors only: no progress.")] = False,
    verbose: Annotated[
        bool, Option("--verbose", "-v", help="Print every epoch, every stage and every skipped check.")
    ] = False,
    no_color: Annotated[bool, Option("--no-color", help="Print without colours, as NO_COLOR=1 does.")] = False,
    debug: Annotated[bool, Option("--debug", help="Print the traceback when a command fails.")] = False,
) -> None:
    """Options of every command; `main` reads all except `--version`, wherever they are placed."""


_ANYWHERE = {"-q": "--quiet", "-v": "--verbose", "--quiet": "", "--verbose": "", "--no-color": "", "--debug": ""}
"""Flags that may be placed anywhere before `--` -> their long form."""


def _split_flags(arguments: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return (arguments without the flags of `_ANYWHERE`, set of these flags in their long form)."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = {_ANYWHERE[argument] or argument for argument in arguments[:end] if argument in _ANYWHERE}
    return [a for k, a in enumerate(arguments) if k >= end or a not in _ANYWHERE], flags


def _import_help() -> None:
    """Import typer's renderer of help. Two parts of rich (Markdown, tracebacks) are slow to import and not needed for
    help, so empty modules replace them during the import."""
    unused = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
    empty = {name: ModuleType(name) for name in unused if name not in sys.modules}
    for name, module in empty.items():
        setattr(module, unused[name], type(unused[name], (), {}))
    sys.modules.update(empty)
    try:
        import_module("typer.rich_utils")
    finally:
        for name in empty:
            del sys.modules[name]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if sys.platform == "win32" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # a pipe on Windows cannot encode the characters of bars otherwise
    raw = list(sys.argv[1:] if arguments is None else arguments)
    parsed, flags = _split_flags(raw)
    debug = "--debug" in flags
    output = console.mode(quiet="--quiet" in flags, verbose="--verbose" in flags, colour="--no-color" not in flags)
    with output, warnings.catch_warnings(), ending_stuck_process(_end_stuck), _interruptible() as terminated:
        warnings.showwarning = _warn_once()  # a line for users, not for programmers
        try:
            if not parsed and "_EMBENCH_COMPLETE" not in os.environ:  # a shell's completion has no arguments either
                machine.start()
                return 0
            if {"--help", "-h"} & set(parsed):
                _import_help()
            with hearing_interrupts():
                code = typer.main.get_command(app).main(parsed, prog_name="embench", standalone_mode=False)
            if code == _INTERRUPTED:  # typer handles the interrupt and returns its exit code
                raise KeyboardInterrupt
            return code if isinstance(code, int) else 0
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else 1
        except BaseException as error:  # noqa: BLE001  # every error becomes a message and an exit code here
            exec("")  # noqa: S102  else Python ends with SIGINT if an interrupt left `exec`, as in imported dataclasses
            if debug:
                traceback.print_exc()
            if terminated:  # the error is a consequence of the signal
                return _fail(f"terminated; {KEPT}", _TERMINATED)
            return _explain(error, parsed)


def _end_stuck(number: int) -> None:
    """End this process after a signal that its main thread does not answer."""
    code = 128 + number
    os._exit(_fail(f"{'terminated' if code == _TERMINATED else 'interrupted'}; {KEPT}", code))


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Treat SIGTERM like Ctrl-C within the context: workers end, and finished work is kept.

    The yielded list is empty until SIGTERM arrives, and then contains its number. The context has no
    effect if SIGTERM has a handler already, or outside the main thread.
    """
    terminated: list[int] = []

    def interrupt(number: int, _: object) -> None:
        terminated.append(number)
        raise KeyboardInterrupt

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield terminated
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


_LOOP = re.compile("Symlink loop from '(.+)'")
"""What pathlib says of a link to itself, before Python 3.13."""


def _explain(error: BaseException, arguments: Sequence[str]) -> int:
    """Print an error of a command line, with its remedy, and return the exit code."""
    if isinstance(error, typer.Abort) and isinstance(error.__cause__, EOFError):
        error = error.__cause__  # typer mistakes any EOFError for the end of the user's input
    error = killed_worker(error) if type(error).__name__ in _DEAD else explain_missing_library(error) or error
    if isinstance(error, RuntimeError) and (loop := _LOOP.fullmatch(str(error))):
        error = DataError("the link leads back to itself", where=loop[1])
    if isinstance(error, EmbenchError):
        command = console.suggest_after_error(error, arguments, typer.main.get_command(app))
        return _fail(f"{error.label}: {error}" + (f"\n  command: {command}" if command else ""), error.exit_code)
    if format_message := getattr(error, "format_message", None):  # an error of typer: arguments cannot be parsed
        context = getattr(error, "ctx", None)
        text = console.suggest_for_option(getattr(error, "option_name", "")) or format_message()
        if not text:  # a group alone, whose help was printed
            return 2
        elsewhere = context and console.suggest_for_command(text, context.find_root().command)
        todo = elsewhere or f"{context.command_path if context else 'embench'} --help"
        remedy = "" if "what to do: " in text else f"\n  what to do: {todo}"
        return _fail(f"wrong arguments: {text}{remedy}", 2)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _fail(f"interrupted; {KEPT}", _INTERRUPTED)
    if out_of_memory(error):
        hint = "use a smaller --recipe, fewer --workers or a machine with more memory"
        return _fail(f"machine: out of memory ({_in_one_line(error)})\n  what to do: {hint}", 5)
    if isinstance(error, OSError) and error.errno in _MACHINE:
        where = f"\n  where: {error.filename}" if error.filename else ""
        hint = "free some disk space, or choose a folder that you can write to"
        return _fail(f"machine: {error.strerror}{where}\n  what to do: {hint}", 5)
    return _fail(_describe_bug(error, arguments), 70)


def _describe_bug(error: BaseException, arguments: Sequence[str]) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    line = shlex.join(["embench", *arguments])
    return (
        f"embench has a bug: {_in_one_line(error)}{place}\n  command: {line}\n"
        f"  machine: Python {platform.python_version()}, {platform.platform()}\n"
        f"  what to do: report this message and the output of `embench --debug {shlex.join(arguments)}`"
    )


def _in_one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _fail(message: str, code: int) -> int:
    first, _, rest = escape_control(message).partition("\n")
    console.echo(first, colour="red", err=True)
    if rest:
        typer.echo(rest, err=True)
    return code


def _warn_once() -> Callable[..., None]:
    """Return a replacement of `warnings.showwarning` that prints each distinct warning once, in one line."""
    shown: set[str] = set()

    def show(message: Warning | str, *_: object) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            console.echo(f"warning: {message}", colour="yellow", err=True)

    return show
