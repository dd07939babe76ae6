"""Ways in which the bytes of a file, or the lines of a text, get damaged."""

# ruff: noqa: ARG001 - all ways have the same arguments

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Rng = np.random.Generator
Change = Callable[[Rng, bytes], bytes]

NASTY = (
    "nan", "inf", "-inf", "1e999", "-1", "0", "", "x", "99999999999", "1e18", "-1e18", "1e308", "9" * 400, "0x10",
    "1,5", '"', "'", "2026-11-20", "True", "\ufffd", "1_000", "None", "=1+1", "5e-324", "2147483648", "4.5.6",
)  # fmt: skip
HUGE = (0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x10000000, 0x40000001, 0)


def pick(rng: Rng, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _truncate(rng: Rng, content: bytes) -> bytes:
    return content[: _at(rng, content)]


def _empty(rng: Rng, content: bytes) -> bytes:
    return b""


def flip(rng: Rng, content: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(int(rng.integers(1, 9))):
        changed[min(_at(rng, content), len(changed) - 1)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _overwrite(rng: Rng, content: bytes) -> bytes:
    at, size = _at(rng, content), int(rng.integers(1, 200))
    return content[:at] + rng.bytes(size) + content[at + size :]


def _insert(rng: Rng, content: bytes) -> bytes:
    at = _at(rng, content)
    return content[:at] + rng.bytes(int(rng.integers(1, 200))) + content[at:]


def _cut(rng: Rng, content: bytes) -> bytes:
    at = _at(rng, content)
    return content[:at] + content[at + int(rng.integers(1, 2000)) :]


def _repeat(rng: Rng, content: bytes) -> bytes:
    at = _at(rng, content)
    return content + content[at:]


def _huge(rng: Rng, content: bytes) -> bytes:
    """A size that is too big where headers have sizes."""
    at, size = _at(rng, content[:512]) // 4 * 4, int(pick(rng, HUGE))
    order = pick(rng, ("little", "big"))
    return content[:at] + size.to_bytes(4, order) + content[at + 4 :]


def _digits(rng: Rng, content: bytes) -> bytes:
    """A number written in digits, as headers of EDF and WFDB have them, replaced by one as long, or longer."""
    found = list(re.finditer(rb"\d+", content[:4096]))
    if not found:
        return flip(rng, content)
    match = pick(rng, found)
    new = pick(rng, (b"9" * len(match[0]), b"0" * len(match[0]), b"-" + match[0][1:], match[0] + b"0000000"))
    return content[: match.start()] + new + content[match.end() :]


def _cell(rng: Rng, content: bytes) -> bytes:
    lines = _lines(content)
    at = int(rng.integers(min(len(lines), 5) if rng.random() < 0.5 else len(lines)))
    cells = re.split(r"([,;\t ])", lines[at])
    cells[int(rng.integers((len(cells) + 1) // 2)) * 2] = str(pick(rng, NASTY))
    lines[at] = "".join(cells)
    return _joined(lines)


def _fill_column(rng: Rng, content: bytes) -> bytes:
    lines, value, skip = _lines(content), str(pick(rng, NASTY)), int(rng.integers(0, 3))
    separator = _separator(lines)
    column = int(rng.integers(lines[-1].count(separator) + 1))
    for at in range(skip, len(lines)):
        cells = lines[at].split(separator)
        if column < len(cells):
            cells[column] = value
        lines[at] = separator.join(cells)
    return _joined(lines)


def _drop_column(rng: Rng, content: bytes) -> bytes:
    lines = _lines(content)
    separator = _separator(lines)
    column = int(rng.integers(lines[-1].count(separator) + 1))
    return _joined([separator.join(c for i, c in enumerate(line.split(separator)) if i != column) for line in lines])


def _drop_line(rng: Rng, content: bytes) -> bytes:
    lines = _lines(content)
    del lines[int(rng.integers(min(len(lines), 4) if rng.random() < 0.5 else len(lines)))]
    return _joined(lines)


def _double_line(rng: Rng, content: bytes) -> bytes:
    lines = _lines(content)
    at = int(rng.integers(min(len(lines), 4) if rng.random() < 0.5 else len(lines)))
    return _joined([*lines[: at + 1], *lines[at:]])


def _shuffle_lines(rng: Rng, content: bytes) -> bytes:
    lines = _lines(content)
    return _joined([lines[at] for at in rng.permutation(len(lines))])


def _endings(rng: Rng, content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").replace(b"\n", pick(rng, (b"\r\n", b"\r", b"\n\n", b"\r\r\n")))


def _encoding(rng: Rng, content: bytes) -> bytes:
    if rng.random() < 0.5:
        return b"\xef\xbb\xbf" + content
    return content.decode("utf-8", "replace").encode(pick(rng, ("utf-16", "utf-32", "utf-16-be")))


def _separators(rng: Rng, content: bytes) -> bytes:
    return content.replace(_separator(_lines(content)).encode(), pick(rng, (b";", b"\t", b" ", b",", b", ", b",,")))


def _long_line(rng: Rng, content: bytes) -> bytes:
    at = _at(rng, content)
    return content[:at] + pick(rng, (b"1" * 1_000_000, b"1," * 200_000, b"[" * 100_000, b'"')) + content[at:]


def _nulls(rng: Rng, content: bytes) -> bytes:
    at = _at(rng, content)
    return content[:at] + b"\0" * int(rng.integers(1, 500)) + content[at:]


GENERAL: list[Change] = [_truncate, _empty, flip, flip, _overwrite, _insert, _cut, _repeat, _huge, _digits]
TEXT: list[Change] = [
    _cell, _cell, _cell, _fill_column, _fill_column, _drop_column, _drop_line, _double_line, _shuffle_lines, _endings,
    _encoding, _separators, _long_line, _nulls,
]  # fmt: skip


def _at(rng: Rng, content: bytes) -> int:
    """A position, in the first 512 bytes half of the time: that is where headers are."""
    return int(rng.integers(max(min(len(content), 512) if rng.random() < 0.5 else len(content), 1)))


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines() or [""]


def _joined(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _separator(lines: Sequence[str]) -> str:
    return max(",;\t ", key=lines[-1].count)
