"""Writes pickles as Python 2 with numpy wrote them, for synthetic files in the formats of its time.

Python 3's own pickler writes text where Python 2 wrote byte strings, and numpy's present module names. A file of this
module is read by Python 3 with `encoding="latin1"` only; its default, ASCII, fails.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pickle import _Pickler
from typing import Any, BinaryIO, ClassVar, Literal

import numpy as np

CHUNK = 1 << 20  # bytes of an array that are turned into a file's text at a time
_RECONSTRUCT = np.zeros(0).__reduce__()[0]


def dump(file: BinaryIO, value: Any, protocol: Literal[0, 1, 2]) -> None:
    """Writes `value` to `file`, as Python 2 pickled it.

    Args:
        value: dict (its order is kept), list, tuple, str of ASCII (a byte string in the file), None, bool, float, int
            of 32 bits, or an array of numbers, of any nesting; dicts and lists of up to 1000.
    """
    _Python2(file, protocol).dump(value)


class _Python2(_Pickler):
    """Python's own pickler, the one that is written in Python, with the strings, names and numbers of its ancestor."""

    dispatch: ClassVar[dict[type, Any]] = dict(_Pickler.dispatch)
    write: Callable[[bytes | memoryview], object]
    put: Callable[[int], bytes]
    memo: dict[int, tuple[int, Any]]
    stored = 0

    def memoize(self, obj: Any) -> None:
        """Numbers what was written, from 1 as the C pickler did; only names and dtypes come again."""
        self.stored += 1
        self.write(self.put(self.stored))
        if callable(obj) or isinstance(obj, np.dtype):
            self.memo[id(obj)] = self.stored, obj

    def reducer_override(self, obj: Any) -> Any:
        """The calls that arrays and dtypes are made by."""
        if isinstance(obj, np.ndarray):
            content = np.ascontiguousarray(obj).reshape(-1).view(np.uint8).data
            return _RECONSTRUCT, (np.ndarray, (0,), "b"), (1, obj.shape, obj.dtype, False, content)
        if isinstance(obj, np.dtype):
            return np.dtype, (obj.str[1:], 0, 1), (3, obj.str[0], None, None, None, -1, -1, 0)
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or obj.__name__}\n".encode())
        self.memoize(obj)

    def _save_string(self, value: str | memoryview) -> None:
        """A byte string: quoted and escaped in protocol 0, its length and bytes in the others."""
        data = memoryview(value.encode("ascii")) if isinstance(value, str) else value
        if self.bin:
            self.write(b"U%c" % len(data) if len(data) < 256 else b"T" + struct.pack("<i", len(data)))
            self.write(data)
        else:
            self.write(b"S'")
            for start in range(0, len(data), CHUNK):
                # After a double quote, `repr` takes single ones outside and escapes those inside, chunk by chunk alike.
                self.write(repr(b'"' + data[start : start + CHUNK])[3:-1].encode("ascii"))
            self.write(b"'\n")
        self.memoize(value)

    dispatch[str] = dispatch[memoryview] = _save_string
