"""The command that was meant, whole, where a message names what would be right."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from embench.errors import DataError, EmbenchError, PluginError, UsageError

_MODELS = ("--model", "--classifier", "--estimator", "--network", "--algorithm")
_MEANT = re.compile(r"did you mean (\S+?)(?: or .*)?\?")
_QUOTED = re.compile(r"[`']([^`']+)[`']")


def of_error(error: EmbenchError, arguments: Sequence[str], command: str) -> str | None:
    """The command to type after an error of the arguments of a command such as `embench run`; None where the message
    names one already, or nobody can know it."""
    hint = error.hint or ""
    if "embench " in hint:
        return None
    if meant := _MEANT.search(hint):
        return _with_word(arguments, _QUOTED.findall(error.what), meant[1])
    if found := re.search(r"(?:^|: )(--[a-z-]+ .*)", hint):
        return _with_options(arguments, shlex.split(found[1]))
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
            return shlex.join(["embench", *mended])
    return None


def _with_options(arguments: Sequence[str], options: Sequence[str]) -> str | None:
    """The command with these options, pairs of a name and a value, in place of those that it has."""
    if len(options) % 2 or not all(name.startswith("--") for name in options[::2]):
        return None
    kept: list[str] = []
    skip = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if not skip and name not in options[::2]:
            kept.append(argument)
        skip = name in options[::2] and not equals
    return shlex.join(["embench", *kept, *options])
