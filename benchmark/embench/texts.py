"""Texts of others: their control characters, and names of files among the values of a record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that control a terminal, or turn the direction of a line; not a tab or the end of a line."""

_CODE = re.compile(r"\.py:\s*[^\W\d]|\bobject:[0-9a-f]{20}:")
_PLACE = re.compile(r"(?:^|[\s=:,;'\"(\[])(?:/[^\s/]|~[\w.-]*[/\\]|\.{1,2}[/\\]|[A-Za-z]:[\\/][^/]|\\\\)")


def visible(text: str) -> str:
    """The text with its control characters written out, so that a terminal shows them and does nothing else.

    >>> print(visible("score" + chr(27) + "[2J"))
    score\\x1b[2J
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\", "`": "\\`", "*": "\\*", "[": "\\[", "]": "\\]"}


def markdown(text: str) -> str:
    """The text for a line or a cell of a Markdown file, in which it is nothing but text.

    >>> print(markdown("lda<img src=x>" + chr(10) + "# [a](b)"))
    lda&lt;img src=x&gt; # \\[a\\](b)
    """
    line = " ".join(visible(text).split())
    return "".join(_MARKUP.get(letter, letter) for letter in line).replace("://", ":&#47;&#47;")


def table_in_markdown(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """A table of a Markdown file. Cells are not padded: a changed cell changes its own line only."""
    safe = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *lines)]
    head, *body = [f"| {' | '.join(line)} |" for line in safe]
    return "\n".join([head, "|" + " --- |" * len(heads), *body])


def has_control(text: str) -> bool:
    """True if a text holds a control character other than a tab or the end of a line."""
    return _CONTROL.search(text) is not None


FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
"""Beginnings of cells that a spreadsheet runs; the last four are the wide forms of the first."""


def harmless(text: str) -> str:
    """The text for a cell of a CSV file: one that a spreadsheet would run as a formula gets an apostrophe before it.

    >>> harmless("=1+1"), harmless("cnn_tf")
    ("'=1+1", 'cnn_tf')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def names_code(text: str) -> bool:
    """True if a text names a class in a file, or one that was given from Python.

    >>> names_code("eeg=./mine.py:Net"), names_code("embench_plugins/cnn_tf")
    (True, False)
    """
    return _CODE.search(text) is not None


def names_place(text: str) -> bool:
    """True if a text names a place on somebody's machine: by a full path, from a home folder, or from where it stood.

    >>> names_place("encoder.build.weights=/home/alice/w.pt"), names_place("https://embench.org/w"), names_place("a/b")
    (True, False, False)
    """
    return _PLACE.search(text) is not None


def texts_in(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(field, text) of all texts in plain values, keys too; fields are called as `config.request.encoders.0`."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inside = f"{field}.{key}" if field else str(key)
            yield inside, str(key)
            yield from texts_in(item, inside)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from texts_in(item, f"{field}.{position}")
