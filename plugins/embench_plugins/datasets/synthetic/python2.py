"""Writes pickles as Python 2 with numpy wrote them, for synthetic files in the formats of its time.

Python 3 can't: it writes text where Python 2 wrote byte strings, and numpy's present module names. Such a file is read
by Python 3 with `encoding="latin1"` only; its default, ASCII, fails.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Literal

import numpy as np

CHUNK = 1 << 20  # bytes of an array that are turned into a file's text at a time


def dump(file: BinaryIO, value: Any, protocol: Literal[0, 1, 2]) -> None:
    """Writes `value` to `file`, as Python 2 pickled it.

    Args:
        value: dict (its order is kept), list, tuple, str of ASCII (a byte string in the file), None, bool, float, int
            of 32 bits, or an array of numbers, of any nesting.
    """
    writer = _Writer(file.write, protocol)
    if protocol == 2:
        file.write(b"\x80\x02")
    writer.value(value)
    file.write(b".")


class _Writer:
    """Writes instructions. `memo` numbers what was stored, from 1 as the C pickler did; names and dtypes come again."""

    def __init__(self, write: Callable[[bytes | memoryview], object], protocol: Literal[0, 1, 2]) -> None:
        self.write, self.text, self.two = write, protocol == 0, protocol == 2
        self.memo = 0
        self.again: dict[str, int] = {}

    def value(self, value: Any) -> None:
        if isinstance(value, np.ndarray):
            self.array(value)
        elif isinstance(value, Mapping):
            self.mapping(value)
        elif isinstance(value, tuple):
            self.tuple(value)
        elif isinstance(value, list):
            self.list(value)
        elif isinstance(value, str):
            self.string(memoryview(value.encode("ascii")))
        else:
            self.number(value)

    def values(self, *values: Any) -> None:
        for value in values:
            self.value(value)

    def number(self, value: bool | float | None) -> None:
        if value is None:
            self.write(b"N")
        elif isinstance(value, bool):
            self.write((b"\x88" if value else b"\x89") if self.two else b"I%02d\n" % value)
        elif isinstance(value, float):
            self.write(b"F%s\n" % repr(value).encode() if self.text else b"G" + struct.pack(">d", value))
        elif self.text:
            self.write(b"I%d\n" % value)
        elif 0 <= value < 1 << 8:
            self.write(b"K" + struct.pack("<B", value))
        elif 0 <= value < 1 << 16:
            self.write(b"M" + struct.pack("<H", value))
        else:
            self.write(b"J" + struct.pack("<i", value))

    def string(self, data: memoryview) -> None:
        """A byte string: quoted and escaped in protocol 0, its length and bytes in the others."""
        if self.text:
            self.write(b"S'")
            for start in range(0, len(data), CHUNK):
                # After a double quote, `repr` takes single ones outside and escapes those inside, chunk by chunk alike.
                self.write(repr(b'"' + data[start : start + CHUNK])[3:-1].encode("ascii"))
            self.write(b"'\n")
        else:
            self.write(b"U%c" % len(data) if len(data) < 256 else b"T" + struct.pack("<i", len(data)))
            self.write(data)
        self.store()

    def mapping(self, items: Mapping[str, Any]) -> None:
        self.write(b"(d" if self.text else b"}")
        self.store()
        many = not self.text and len(items) > 1
        self.write(b"(" if many else b"")
        for key, item in items.items():
            self.value(key)
            self.value(item)
            self.write(b"" if many else b"s")
        self.write(b"u" if many else b"")

    def list(self, items: Sequence[Any]) -> None:
        self.write(b"(l" if self.text else b"]")
        self.store()
        many = not self.text and len(items) > 1
        self.write(b"(" if many else b"")
        for item in items:
            self.value(item)
            self.write(b"" if many else b"a")
        self.write(b"e" if many else b"")

    def tuple(self, items: Sequence[Any]) -> None:
        short = self.two and 1 <= len(items) <= 3
        if not items:
            self.write(b"(t" if self.text else b")")
            return
        self.write(b"" if short else b"(")
        for item in items:
            self.value(item)
        self.write(b"\x84\x85\x86\x87"[len(items) : len(items) + 1] if short else b"t")
        self.store()

    def array(self, array: np.ndarray) -> None:
        """`_reconstruct(ndarray, (0,), 'b')`, then its state: version, shape, dtype, no Fortran order, bytes."""
        self.name("numpy.core.multiarray", "_reconstruct")
        self.write(b"" if self.two else b"(")
        self.name("numpy", "ndarray")
        self.tuple((0,))
        self.string(memoryview(b"b"))
        self.called()
        self.write(b"(")
        self.number(1)
        self.tuple(array.shape)
        self.dtype(array.dtype)
        self.number(False)
        self.string(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        self.filled()

    def dtype(self, dtype: np.dtype) -> None:
        if self.known(dtype.str):
            return
        self.name("numpy", "dtype")
        self.write(b"" if self.two else b"(")
        self.values(dtype.str[1:], 0, 1)
        self.called()
        self.again[dtype.str] = self.memo
        self.write(b"(")
        self.values(3, dtype.str[0], None, None, None, -1, -1, 0)
        self.filled()

    def called(self) -> None:
        """Ends three arguments and calls what lies below them."""
        self.write(b"\x87" if self.two else b"t")
        self.store()
        self.write(b"R")
        self.store()

    def filled(self) -> None:
        self.write(b"t")
        self.store()
        self.write(b"b")

    def name(self, module: str, name: str) -> None:
        if not self.known(name):
            self.write(b"c%s\n%s\n" % (module.encode(), name.encode()))
            self.store()
            self.again[name] = self.memo

    def known(self, key: str) -> bool:
        """Fetches what was stored before."""
        index = self.again.get(key)
        if index is not None:
            self.write(self.numbered(b"ghj", index))
        return index is not None

    def store(self) -> None:
        self.memo += 1
        self.write(self.numbered(b"pqr", self.memo))

    def numbered(self, codes: bytes, index: int) -> bytes:
        if self.text:
            return b"%c%d\n" % (codes[0], index)
        return bytes([codes[1], index]) if index < 256 else codes[2:] + struct.pack("<i", index)
