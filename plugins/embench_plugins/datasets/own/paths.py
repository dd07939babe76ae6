"""Paths with names in braces: `{participant}/{session}_eda.csv` finds files and says whose and what they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_PART = re.compile(r"\{(?P<name>\w+)(?::(?P<form>[^{}]+))?\}|(?P<star>\*+)|(?P<any>\?)")
_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and bytes of a name that are not text; joined emojis and wide blanks are."""
_MOST_WILD = 5
"""Names and stars in one part of a path, so that no file name takes long to be compared with it."""


@dataclass(frozen=True)
class Template:
    """A path below the folder. `{name}` stands for any text without a slash, `{name:S*}` for one of this form, `*` for
    any text that does not matter; the same name stands for the same text. Of several ways to read a path, the first
    names are as short as they can be.

    Raises:
        ValueError: it leads out of the folder, or cannot be read.

    >>> Template("{participant}/eda_{task}.csv").names
    ('participant', 'task')
    """

    text: str

    def __post_init__(self) -> None:
        parts = self.text.split("/")
        if not self.text or self.text.startswith("/") or "\\" in self.text or re.match("[A-Za-z]:", self.text):
            raise ValueError("a path below the folder, with `/` between its parts, is needed")
        if {"", ".", ".."} & set(parts):
            raise ValueError("the path leads out of the folder, or has an empty part")
        for part in parts:
            check_part(part)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names in braces, in their order, each once."""
        return tuple(dict.fromkeys(match["name"] for match in _PART.finditer(self.text) if match["name"]))

    def matches(self, root: Path, known: Mapping[str, str] | None = None) -> Iterator[tuple[Path, dict[str, str]]]:
        """The matching paths below a folder, in the order of names, with what stands for each name in braces.

        Args:
            known: what stands for some of them.
        """
        yield from _below(root, self.text.split("/"), dict(known or {}))


def check_part(part: str) -> None:
    """Raises ValueError where a text with names in braces and stars cannot be read, or would take long to compare."""
    if len(_PART.findall(part)) > _MOST_WILD:
        raise ValueError(f"over {_MOST_WILD} names and stars in `{part}`")
    if re.search(r"[{}]", _PART.sub("", part)):
        raise ValueError(f"braces in `{part}` are no name: write `{{participant}}` or `{{participant:S*}}`")


def starred(text: str) -> str:
    """A template with one star for several in a row, such as those of a date and a time.

    >>> starred("{participant}_*_*.*.csv")
    '{participant}_*.csv'
    """
    return re.sub(r"\*(?:[_\-. ]+\*)+", "*", text)


def fill(text: str, facts: Mapping[str, str]) -> str:
    """A text with what is known in the place of names in braces; what is not known is empty.

    >>> fill("clip {clip}", {"clip": "7"})
    'clip 7'
    """
    return re.sub(r"\{(\w+)\}", lambda match: facts.get(match[1], ""), text)


def _below(folder: Path, parts: list[str], known: dict[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    first, *rest = parts
    if all(match["name"] in known for match in _PART.finditer(first)):
        name = _PART.sub(lambda match: known[match["name"]], first)
        names = [name] if (folder / name).exists() else []
    else:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    pattern = part_pattern(first, known)
    for name in names:
        if (found := pattern.fullmatch(name)) and not _UNREADABLE.search(name):
            path, facts = folder / name, {**known, **found.groupdict()}
            if not rest:
                yield path, facts
            elif path.is_dir():
                yield from _below(path, rest, facts)


def part_pattern(part: str, known: Mapping[str, str]) -> re.Pattern[str]:
    """A text with names in braces, such as one part of a path, as a regular expression for what is not known yet."""
    done, text, at = set[str](), "", 0
    for match in _PART.finditer(part):
        text += re.escape(part[at : match.start()])
        at, name = match.end(), match["name"]
        if name is None:
            text += "." if match["any"] else ".*"
        elif name in known:
            text += re.escape(known[name])
        elif name in done:
            text += f"(?P={name})"
        else:
            text += f"(?P<{name}>{_form(match['form']) if match['form'] else '.+?'})"
            done.add(name)
    return re.compile(text + re.escape(part[at:]), re.DOTALL)


def _form(form: str) -> str:
    return "".join(".*?" if c == "*" else "." if c == "?" else r"\d" if c == "#" else re.escape(c) for c in form)
