"""Read untrusted pickles: numpy arrays in plain containers, and nothing else.

A pickle is a program. Python's own unpickler runs it: it imports and calls what the file names, sets attributes of the
results, and takes the memory that the file claims. This reader executes only the few instructions that arrays need. It
imports and calls nothing: the names in `_CALLS` stand for functions below, which compare sizes with the bytes that
exist. It reads protocols 0 to 5 of Python 2 and Python 3. Byte strings of Python 2 become text in latin1, one character
for each byte.
"""

from __future__ import annotations

import codecs
import math
import pickletools
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from embench.errors import DataError

MOST_INSTRUCTIONS = 50_000  # an array is one string: a subject's file has a few hundred
MOST_DIMENSIONS = 32
DEEPEST = 50
DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f(2|4|8|12|16)|c(8|16)|[SU][1-9]\d{0,8})")  # no objects, no records

_DAMAGE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, struct.error, Warning)
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive that is not unpacked, not a pickle"),
    (b"\x1f\x8b", "a gzip archive that is not unpacked, not a pickle"),
    (b"MATLAB", "a MATLAB file, not a pickle"),
    (b"\x89HDF", "an HDF5 file (or MATLAB 7.3), not a pickle"),
    (b"\x93NUMPY", "a .npy file, not a pickle"),
    (b"version https://git-lfs", "a pointer of git-lfs, not the file itself"),
    (b"<", "a web page (an error or login page, perhaps), not a pickle"),
)


def load_pickle(path: Path, *, expected: str, hint: str, most_bytes: int = 2_000_000_000) -> object:
    """Return the content of a pickle: dict, list, tuple, str, bytes, numbers, None; arrays (read-only), scalars and
    dtypes of numpy.

    Args:
        path: a file of any pickle protocol.
        expected: what the file should hold, for errors.
        hint: what to do if it does not.
        most_bytes: a longer file is refused unread.

    Raises:
        DataError: the file is missing, truncated or not a pickle, or asks for anything else. Nothing that it names was
            run or imported.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(32).lstrip(b"\xef\xbb\xbf \r\n\t")
            for mark, what in _FOREIGN:
                if start.startswith(mark):
                    raise _Refused(f"this is {what}")
            if not 0 < size <= most_bytes:
                raise _Refused(f"{size} bytes, more than {most_bytes}" if size else "the file is empty")
            file.seek(0)
            return _Machine(file, size).run()
    except _Forbidden as error:
        hint = "do not open this file with anything else, it would run what it names; get it anew from its publisher"
        raise DataError(str(error), where=str(path), expected=expected, hint=hint) from None
    except (_Refused, EOFError) as error:
        raise DataError(str(error), where=str(path), expected=expected, hint=hint) from None
    except FileNotFoundError as error:
        raise DataError("the file is missing", where=str(path), expected=expected, hint=hint) from error
    except _DAMAGE as error:
        what = f"not readable as a pickle: {error}"[:200]
        raise DataError(what, where=str(path), expected=expected, hint=hint) from error


class _Refused(Exception):
    """The file is not a pickle of arrays."""


class _Forbidden(_Refused):
    """The file asks to run code."""


class _Name:
    """A name that a pickle mentions. It only stands for itself: nothing is imported."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Box:
    """A dtype or an array that is created but not yet filled: a pickle does this in two steps."""

    __slots__ = ("filled", "value")

    def __init__(self, value: np.dtype | None) -> None:
        self.value: np.dtype | np.ndarray | None = value
        self.filled = False


class _Machine:
    """A pickle's stack and memo. Marks have stacks of their own, so no instruction reaches below the latest mark."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.at = file, size, 0
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def run(self) -> object:
        for _ in range(MOST_INSTRUCTIONS):
            code = self.read(1)
            if code == b".":
                if len(self.stack) != 1 or self.below:
                    raise _Refused("the pickle ends inside a value: the file is damaged")
                return _check_plain(self.stack[0])
            step = _STEPS.get(code)
            if step is None:
                raise _unknown_instruction(code, self.at - 1)
            step(self)
        raise _Refused(f"over {MOST_INSTRUCTIONS} instructions: this pickle holds other things than arrays")

    def read(self, count: int) -> bytes:
        if count > self.size - self.at:
            raise EOFError(f"the file ends after {self.size} bytes, before its pickle does: it is truncated or damaged")
        self.at += count
        return self.file.read(count)

    def read_line(self) -> bytes:
        """Return the rest of the line with its line feed. An array in protocol 0 is one line, too long to copy."""
        text = self.file.readline()
        self.at += len(text)
        if not text.endswith(b"\n"):
            raise EOFError(f"the file ends after {self.size} bytes, inside a line: it is truncated or damaged")
        return text

    def read_number(self, form: str) -> Any:
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Remove the latest mark and the values after it from the stack, and return these values."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def push_integer(self) -> None:
        text = self.read_line().strip()
        if text in (b"00", b"01"):  # protocol 0 writes False and True so
            self.push(text == b"01")
        else:
            self.push(_check_integer(int(text.removesuffix(b"L")) if len(text) <= 21 else 1 << 64))

    def push_long(self, size: int) -> None:
        if not 0 <= size <= 9:
            raise _Refused(f"a number of {size} bytes")
        self.push(_check_integer(int.from_bytes(self.read(size), "little", signed=True)))

    def push_old_string(self, count: int) -> None:
        """Push a byte string of Python 2 as text. An array's content, after a dtype, stays bytes."""
        content = self.read(count)
        inside_array = len(self.stack) == 4 and isinstance(self.stack[2], np.dtype)
        self.push(content if inside_array else content.decode("latin1"))

    def push_quoted(self) -> None:
        line = self.read_line()
        if len(line) < 3 or line[:1] != line[-2:-1] or line[:1] not in (b"'", b'"'):
            raise _Refused("a string without its quotes: the file is damaged")
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # raised for escapes that no writer makes
            text = codecs.escape_decode(memoryview(line)[1:-2])[0]
        self.push(text.decode("latin1"))

    def append(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise _Refused("values appended to no list: the file is damaged")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise _Refused("items of no dict: the file is damaged")
        self.stack[-1].update(_make_dict(values))

    def recall(self, index: int) -> None:
        value = self.memo[index]
        self.push(value.value if isinstance(value, _Box) and value.filled else value)

    def memoize(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def push_name(self, module: object, name: object) -> None:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "no name"
        if full not in _CALLS and full != _ARRAY:
            raise _Forbidden(f"the pickle asks for `{full[:80]}`, not for an array: refused, nothing of it was run")
        self.push(_Name(full))

    def call(self) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, _Name) or called.name not in _CALLS or type(arguments) is not tuple:
            raise _Forbidden("the pickle calls something that makes no array: refused, nothing of it was run")
        self.push(self.count_bytes(_CALLS[called.name](*arguments)))

    def build(self) -> None:
        state, box = self.pop(), self.pop()
        if not isinstance(box, _Box) or box.filled or type(state) is not tuple:
            raise _Forbidden("the pickle changes something that is not an array: refused, nothing of it was run")
        box.value = _fill_array(*state) if box.value is None else _fill_dtype(box.value, *state)
        box.filled = True
        self.push(self.count_bytes(box.value))

    def count_bytes(self, value: Any) -> Any:
        """Return `value` after adding its bytes to the total, since a file may use one of its strings many times."""
        self.copied += len(value) if isinstance(value, bytes) else getattr(value, "nbytes", 0)
        if self.copied > 2 * self.size:
            raise _Refused("arrays that are larger than their file: the file is damaged or made to fill the memory")
        return value


def _unknown_instruction(code: bytes, at: int) -> _Refused:
    for known in pickletools.opcodes:
        if known.code.encode("latin1") == code:
            return _Forbidden(
                f"the pickle has the instruction {known.name}, which no array needs: nothing of it was run"
            )
    return _Refused(f"byte {at} is not an instruction of a pickle: the file is not a pickle, or damaged")


def _check_integer(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 64:
        raise _Refused("a number beyond 64 bits")
    return value


def _make_dict(values: list[Any]) -> dict[Any, Any]:
    keys, items = values[::2], values[1::2]
    if any(type(key) not in (str, bytes, int, float, bool, type(None)) for key in keys):
        raise _Refused("a dict with keys that are neither text nor numbers")
    return dict(zip(keys, items, strict=True))


def _check_plain(value: object) -> object:
    """Return the value if all parts have types that `load_pickle` may return. Each container is checked once, so cycles
    do no harm."""
    level, seen = [value], set()
    for _ in range(DEEPEST):
        below: list[Any] = []
        for item in level:
            if isinstance(item, (_Name, _Box)):
                raise _Refused("an array or a dtype is not finished: the file is damaged")
            if isinstance(item, (dict, list, tuple)) and id(item) not in seen:
                seen.add(id(item))
                below += item.values() if isinstance(item, dict) else item
        if not below:
            return value
        level = below
    raise _Refused(f"containers in containers, over {DEEPEST} deep")


def _refusal(what: str) -> _Refused:
    return _Refused(f"an array whose {what} is nothing that numpy writes: the file is damaged")


# The functions that a pickle's names stand for. Arguments come from the file and may be anything.


def _make_array(shape: Any, dtype: Any, order: Any, data: Any) -> np.ndarray:
    """Return a read-only array over `data`, after its size was compared with shape and dtype."""
    if not isinstance(dtype, np.dtype):
        raise _refusal("dtype")
    if type(shape) is not tuple or len(shape) > MOST_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise _refusal("shape")
    if isinstance(data, str):  # as Python 2 wrote it
        data = data.encode("latin1")
    if not isinstance(data, bytes):
        raise _refusal("content")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _Refused(f"an array of {shape} {dtype} with {len(data)} bytes: the file is damaged")
    return np.ndarray(shape, dtype, buffer=data, order="F" if order == "F" else "C")


def _make_empty_array(kind: Any, _shape: Any, _code: Any) -> _Box:
    if not isinstance(kind, _Name) or kind.name != _ARRAY:
        raise _refusal("class")
    return _Box(None)


def _fill_array(_version: Any, shape: Any, dtype: Any, fortran: Any, data: Any) -> np.ndarray:
    return _make_array(shape, dtype, "F" if fortran else "C", data)


def _make_array_over(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    array = _make_array(shape, dtype, order, data)
    return array.transpose(axes) if order == "K" else array


def _make_scalar(dtype: Any, data: Any) -> Any:
    return _make_array((), dtype, "C", data)[()]


def _make_dtype(code: Any, _align: Any = False, _copy: Any = False) -> _Box:
    text = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(text, str) or not DTYPE.fullmatch(text):
        shown = text[:20] if isinstance(text, str) else "?"
        raise _Refused(f"an array of dtype `{shown}`; numbers, truth values and strings are read")
    return _Box(np.dtype(text))


def _fill_dtype(dtype: Any, _version: Any, order: Any, *fields: Any) -> np.dtype:
    """Return a dtype with its byte order. `fields`: (base and shape, names, fields, size, alignment, flags ..)."""
    if order not in ("<", ">", "|", "=") or fields[:3] != (None, None, None):
        raise _refusal("dtype")
    return dtype.newbyteorder(order)


def _encode(text: Any, encoding: Any) -> bytes:
    """Return the bytes of a text: Python 3 writes bytes this way in the protocols of Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _refusal("content")
    return text.encode("latin1")


def _make_no_bytes() -> bytes:
    return b""


_ARRAY = "numpy.ndarray"
_CALLS: dict[str, Callable[..., object]] = {
    "numpy.dtype": _make_dtype,
    "numpy.core.multiarray._reconstruct": _make_empty_array,
    "numpy._core.multiarray._reconstruct": _make_empty_array,
    "numpy.core.multiarray.scalar": _make_scalar,
    "numpy._core.multiarray.scalar": _make_scalar,
    "numpy.core.numeric._frombuffer": _make_array_over,  # protocol 5
    "numpy._core.numeric._frombuffer": _make_array_over,
    "_codecs.encode": _encode,
    "__builtin__.bytes": _make_no_bytes,  # b"" in the protocols of Python 2
}

_STEPS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m.read_number("<B"),  # PROTO
    b"\x95": lambda m: m.read_number("<Q"),  # FRAME: its length is advice
    b"N": lambda m: m.push(None), b"\x88": lambda m: m.push(True), b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push_integer(), b"L": lambda m: m.push_integer(),
    b"K": lambda m: m.push(m.read_number("<B")),
    b"M": lambda m: m.push(m.read_number("<H")),
    b"J": lambda m: m.push(m.read_number("<i")),
    b"\x8a": lambda m: m.push_long(m.read_number("<B")), b"\x8b": lambda m: m.push_long(m.read_number("<i")),
    b"F": lambda m: m.push(float(m.read_line())),
    b"G": lambda m: m.push(m.read_number(">d")),
    b"S": lambda m: m.push_quoted(),
    b"U": lambda m: m.push_old_string(m.read_number("<B")), b"T": lambda m: m.push_old_string(m.read_number("<I")),
    b"V": lambda m: m.push(m.read_line()[:-1].decode("raw-unicode-escape")),
    b"X": lambda m: m.push(m.read(m.read_number("<I")).decode()),
    b"\x8c": lambda m: m.push(m.read(m.read_number("<B")).decode()),
    b"\x8d": lambda m: m.push(m.read(m.read_number("<Q")).decode()),
    b"C": lambda m: m.push(m.read(m.read_number("<B"))),
    b"B": lambda m: m.push(m.read(m.read_number("<I"))),
    b"\x8e": lambda m: m.push(m.read(m.read_number("<Q"))),
    b"\x96": lambda m: m.push(m.read(m.read_number("<Q"))),
    b"(": lambda m: m.mark(),
    b"0": lambda m: m.pop(),
    b"1": lambda m: m.pop_to_mark(),
    b"2": lambda m: m.push(m.stack[-1]),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"\x85": lambda m: m.push((m.pop(),)),
    b"\x86": lambda m: m.push((m.pop(), m.pop())[::-1]),
    b"\x87": lambda m: m.push((m.pop(), m.pop(), m.pop())[::-1]),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.pop_to_mark()),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"}": lambda m: m.push({}),
    b"d": lambda m: m.push(_make_dict(m.pop_to_mark())),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"p": lambda m: m.memoize(int(m.read_line())),
    b"q": lambda m: m.memoize(m.read_number("<B")), b"r": lambda m: m.memoize(m.read_number("<I")),
    b"\x94": lambda m: m.memoize(len(m.memo)),
    b"g": lambda m: m.recall(int(m.read_line())),
    b"h": lambda m: m.recall(m.read_number("<B")), b"j": lambda m: m.recall(m.read_number("<I")),
    b"c": lambda m: m.push_name(m.read_line().decode().strip(), m.read_line().decode().strip()),
    b"\x93": lambda m: m.push_name(*[m.pop(), m.pop()][::-1]),
    b"R": lambda m: m.call(),
    b"b": lambda m: m.build(),
}  # fmt: skip
