"""Reads a `dataset.yaml` so that whatever is wrong with it can be said with its line.

All values stay as they are written: `no` is a class's name and not a truth value, `01` a subject and no number. The
schema makes numbers of what has to be one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from embench.errors import DataError

DATASET = "dataset.yaml"
HINT = "embench data new FOLDER writes a first one; the page on own data explains each key"
MOST_BYTES = 1 << 20
MOST_DEPTH = 20
MOST_VALUES = 100_000
_NULLS = ("", "~", "null", "Null", "NULL")

Place = tuple[str | int, ...]
"""Where something stands: keys, and positions in lists, from the top."""


class Written:
    """The content of a `dataset.yaml`, and the line of each of its values.

    Args:
        content: texts, None, lists and mappings with keys that are texts.
    """

    def __init__(self, path: Path, content: Any, lines: dict[Place, int]) -> None:
        self.path, self.content, self.lines = path, content, lines

    def where(self, *place: str | int) -> str:
        """File and line of a place, or of what it would stand in."""
        while place not in self.lines and place:
            place = place[:-1]
        return f"{self.path}, line {self.lines.get(place, 1)}"


def as_yaml(text: str) -> str:
    """A text as a `dataset.yaml` has it, in quotes where that is needed.

    >>> as_yaml("P01"), as_yaml('so "calm"')
    ('P01', '"so \\\\"calm\\\\""')
    """
    return text if re.fullmatch(r"[A-Za-z0-9][\w./-]*", text) else json.dumps(text, ensure_ascii=False)


def read_yaml(path: Path) -> Written:
    """Read the description in a file. Raises DataError that names the line at fault."""
    if not path.parent.is_dir():
        raise DataError(
            "there is no such folder", where=str(path.parent), expected=f"a folder with {DATASET}", hint=HINT
        )
    if not path.is_file():
        raise DataError(f"no {path.name} says what the recordings here are", where=str(path), hint=HINT)
    if path.stat().st_size > MOST_BYTES:
        raise DataError("it is over a megabyte long", where=str(path), expected="a short description", hint=HINT)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        _check_events(path, text)
        top = yaml.compose(text, yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise DataError(f"this is no text in UTF-8: {error.reason}", where=str(path), hint=HINT) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        hint = "indent with spaces, and put texts with `: `, `#` or a leading special character into quotes"
        raise DataError(f"not readable as YAML: {what}", where=where, hint=hint) from error
    if top is None:
        raise DataError("the file is empty", where=str(path), expected="name, title, recordings and so on", hint=HINT)
    lines: dict[Place, int] = {}
    return Written(path, _plain(path, top, (), lines), lines)


def _check_events(path: Path, text: str) -> None:
    """Refuses what could grow or run when it is read: aliases, tags, and deep nesting."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        where = f"{path}, line {event.start_mark.line + 1}" if event.start_mark else str(path)
        if isinstance(event, yaml.AliasEvent):
            what = f"`*{event.anchor}` repeats another part"
            raise DataError(what, where=where, expected="no aliases", hint="write it out in full")
        if tag := getattr(event, "tag", None):
            what = f"`{str(tag)[:60]}` is a tag"
            raise DataError(what, where=where, expected="plain texts, lists and mappings", hint="remove the tag")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise DataError(f"it is nested over {MOST_DEPTH} deep", where=where, hint="correct the indentation")


def _plain(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(lines) > MOST_VALUES or len(place) > MOST_DEPTH:
        raise DataError("parts that repeat others make it endless", where=str(path), hint="write them out in full")
    if isinstance(node, yaml.ScalarNode):
        return None if node.style is None and node.value in _NULLS else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, item, (*place, i), lines) for i, item in enumerate(node.value)]
    content: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise DataError(
                "a key is a list or mapping", where=f"{path}, line {line}", expected="a text before the `:`", hint=HINT
            )
        if key.value in content:
            raise DataError(
                f"`{key.value}` stands here a second time",
                where=f"{path}, line {line}",
                expected=f"each key once; the first one is in line {lines[*place, key.value]}",
                hint="remove one of them",
            )
        lines[*place, key.value] = line
        content[key.value] = _plain(path, value, (*place, key.value), lines)
    return content
