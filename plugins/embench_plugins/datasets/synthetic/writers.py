"""Writers of file formats: EDF and BDF, large tables of numbers, and pickles of Python 2."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import _Pickler
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple

import numpy as np

# Headers of EDF and BDF files, and whole EDF+ files with annotations.


class Channels(NamedTuple):
    """The channels of an EDF or BDF header. The physical range `lows` to `highs`, in `units`, corresponds to `least` to
    `most` in the file; `counts` are samples per record."""

    names: Sequence[str]
    units: Sequence[str]
    lows: Sequence[str]
    highs: Sequence[str]
    least: int
    most: int
    counts: Sequence[int]
    filters: Sequence[str]


def make_edf_header(
    channels: Channels, records: int, *, start: str, mark: bytes = b"0       ", person: str = "", recording: str = "",
    kind: str = "",
) -> bytes:  # fmt: skip
    """Return the header of an EDF or BDF file with `records` records of one second.

    Args:
        start: date and time, `dd.mm.yyhh.mm.ss`.
        mark: the first 8 bytes, which distinguish EDF from BDF.
        kind: version of the format, such as `EDF+C`.
    """
    count = len(channels.names)
    columns = [
        [f"{name:<16}" for name in channels.names],
        [" " * 80] * count,
        *([f"{text:<8}" for text in texts] for texts in (channels.units, channels.lows, channels.highs)),
        [f"{channels.least:<8}"] * count,
        [f"{channels.most:<8}"] * count,
        [f"{text:<80}" for text in channels.filters],
        [f"{samples:<8}" for samples in channels.counts],
        [" " * 32] * count,
    ]
    head = f"{person:<80}{recording:<80}{start}{256 * (count + 1):<8}{kind:<44}{records:<8}{1:<8}{count:<4}"
    return mark + (head + "".join(map("".join, columns))).encode("ascii")


def write_edf_plus(
    path: Path, channels: Mapping[str, str], data: np.ndarray, rate: int, notes: Sequence[str], width: int, *,
    start: str, person: str, recording: str, filters: str = "", digits: int = 4,
) -> None:  # fmt: skip
    """Write an EDF+ file of one-second records. Each channel is scaled to the range of its values; a last channel has
    the annotations.

    Args:
        channels: names and units of the rows of `data` (C, samples).
        notes: the list of annotations of each record, padded to `width` samples.
        digits: decimals of the ends of a range.
    """
    count, records = len(data), data.shape[1] // rate
    lows, highs = ([f"{edge:.{digits}f}"[:8] for edge in edges] for edges in (data.min(1), data.max(1)))
    described = Channels(
        [*channels, "EDF Annotations"], [*channels.values(), ""], [*lows, "-1"], [*highs, "1"], -32768, 32767,
        [*[rate] * count, width], [*[filters] * count, ""],
    )  # fmt: skip
    head = make_edf_header(described, records, start=start, person=person, recording=recording, kind="EDF+C")
    low, high = (np.array([float(text) for text in texts])[:, None] for texts in (lows, highs))
    digital = np.clip(np.round((data - low) / (high - low) * 65535 - 32768), -32768, 32767).astype("<i2")
    body = digital.reshape(count, records, -1).transpose(1, 0, 2).reshape(records, -1)
    texts = np.array([np.frombuffer(note.encode().ljust(2 * width, b"\0"), "<i2") for note in notes])
    path.write_bytes(head + np.concatenate([body, texts], axis=1).tobytes())


# Large tables of numbers as text: 25 million cells in seconds instead of minutes.
#
# Numbers are written digit by digit for a whole column at once, into a matrix of characters. Unused characters of a
# cell are zero bytes, which are removed at the end.

_MINUS, _POINT, _ZERO = (np.uint8(ord(sign)) for sign in "-.0")
ROWS = 50_000


def write_rows(
    file: BinaryIO,
    columns: Sequence[np.ndarray],
    decimals: Sequence[int],
    *,
    separator: str = ",",
    short: Sequence[bool] | bool = True,
) -> None:
    """Append rows to a binary file, with line feeds.

    Args:
        columns: (n,) integers each: the numbers times 10 to the power of their `decimals`, below 2^32.
        decimals: for each column, digits after the point.
        short: True to omit trailing zeros of a fraction, and a point without a fraction; for all columns, or for each.
    """
    shorts = [short] * len(columns) if isinstance(short, bool) else short
    for first in range(0, len(columns[0]), ROWS):
        parts = []
        for column, places, shortest in zip(columns, decimals, shorts, strict=True):
            cells = _format_cells(column[first : first + ROWS], places, shortest)
            parts += [cells, np.full((len(cells), 1), ord(separator), np.uint8)]
        parts[-1][:] = ord("\n")
        text = np.concatenate(parts, axis=1).ravel()
        file.write(text[text != 0].tobytes())


def _format_cells(numbers: np.ndarray, decimals: int, short: bool) -> np.ndarray:
    """Return (n, width) characters of each number, with zero bytes for unused characters."""
    negative, left = numbers < 0, np.abs(numbers).astype(np.uint32)
    digits = max(len(str(int(left.max(initial=0)))), decimals + 1)
    out = np.zeros((len(numbers), digits + 2), np.uint8)
    out[negative, 0] = _MINUS
    trailing = np.full(len(numbers), short)
    position = digits + 1
    for place in range(digits):
        rest = left // 10
        digit = (left - rest * 10).astype(np.uint8)
        if place < decimals:
            trailing &= digit == 0
            out[:, position] = np.where(trailing, 0, digit + _ZERO)
        else:
            out[:, position] = digit + _ZERO if place == decimals else np.where(left > 0, digit + _ZERO, 0)
        position -= 1
        if place == decimals - 1:
            out[:, position] = np.where(trailing, 0, _POINT)
            position -= 1
        left = rest
    return out


# Pickles as Python 2 with numpy wrote them.
#
# Python 3's pickler writes text where Python 2 wrote byte strings, and numpy's new module names. Python 3 reads these
# files only with `encoding="latin1"`; its default, ASCII, fails.

CHUNK = 1 << 20  # bytes of an array that are converted to text at once
_RECONSTRUCT = np.zeros(0).__reduce__()[0]


def dump_python2(file: BinaryIO, value: Any, protocol: Literal[0, 1, 2]) -> None:
    """Write `value` to `file`, as Python 2 pickled it.

    Args:
        value: dict (its order is kept), list, tuple, str of ASCII (a byte string in the file), None, bool, float, int
            of 32 bits, or an array of numbers, of any nesting; dicts and lists of up to 1000.
    """
    _Python2(file, protocol).dump(value)


class _Python2(_Pickler):
    """Python's pickler that is written in Python, adapted to write strings, names and numbers as Python 2 did."""

    dispatch: ClassVar[dict[type, Any]] = dict(_Pickler.dispatch)
    write: Callable[[bytes | memoryview], object]
    put: Callable[[int], bytes]
    memo: dict[int, tuple[int, Any]]
    stored = 0

    def memoize(self, obj: Any) -> None:
        """Number the written object, from 1 as the C pickler did. Only names and dtypes can be referred to later."""
        self.stored += 1
        self.write(self.put(self.stored))
        if callable(obj) or isinstance(obj, np.dtype):
            self.memo[id(obj)] = self.stored, obj

    def reducer_override(self, obj: Any) -> Any:
        """Return the calls that create an array or a dtype when it is unpickled."""
        if isinstance(obj, np.ndarray):
            content = np.ascontiguousarray(obj).reshape(-1).view(np.uint8).data
            return _RECONSTRUCT, (np.ndarray, (0,), "b"), (1, obj.shape, obj.dtype, False, content)
        if isinstance(obj, np.dtype):
            return np.dtype, (obj.str[1:], 0, 1), (3, obj.str[0], None, None, None, -1, -1, 0)
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write the name of a function or class, with the module names of numpy at that time."""
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or obj.__name__}\n".encode())
        self.memoize(obj)

    def _save_string(self, value: str | memoryview) -> None:
        """Write a byte string: quoted and escaped in protocol 0, its length and bytes in the others."""
        data = memoryview(value.encode("ascii")) if isinstance(value, str) else value
        if self.bin:
            self.write(b"U%c" % len(data) if len(data) < 256 else b"T" + struct.pack("<i", len(data)))
            self.write(data)
        else:
            self.write(b"S'")
            for start in range(0, len(data), CHUNK):
                # With a double quote inside, `repr` uses single quotes and escapes them, in the same way for all
                # chunks.
                self.write(repr(b'"' + data[start : start + CHUNK])[3:-1].encode("ascii"))
            self.write(b"'\n")
        self.memoize(value)

    dispatch[str] = dispatch[memoryview] = _save_string
