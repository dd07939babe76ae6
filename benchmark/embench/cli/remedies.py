"""The command that was meant, whole, where a message names what would be right."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import islice
from typing import Any

from embench.errors import DataError, EmbenchError, PluginError, UsageError

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
