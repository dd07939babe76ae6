"""MATLAB files: variables of version 5, checked before scipy reads them, and recordings of versions 4 to 7.

scipy allocates the memory that a header announces, and looks types up in a table without checking the index. Flipped
bits thus make it take all memory, or crash the process. Files that pass these checks are read safely.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import AGAIN, MOST_BYTES, Channels, Track, cut_part

INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Type of number -> bytes of a value."""
TEXT = {1: 1, 2: 1, 4: 2, 16: 1, 17: 2, 18: 4}
"""Type of character -> bytes of a character."""
CELL, STRUCT, OBJECT, CHAR = 1, 2, 3, 4
NUMBERS = range(6, 16)
IMAGINARY = 0x0800
DEEPEST = 32
HDF = b"\x89HDF\r\n\x1a\n"


def read_variables(content: bytes, names: Collection[str], most_bytes: int) -> tuple[dict[str, Any], bool]:
    """Return the variables `names` of a file of version 5, as read by scipy, and whether all checksums are right.

    Raises:
        ValueError: it is not such a file, is truncated or damaged, or unpacks to more than `most_bytes`.
    """
    plain, sound = inflate(content, most_bytes)
    check(plain, names)
    return loadmat(io.BytesIO(plain), variable_names=list(names)), sound


def read_content(path: Path, most_bytes: int) -> bytes:
    """Return the bytes of a file. Raises ValueError above `most_bytes`."""
    if path.stat().st_size > most_bytes:
        raise ValueError(f"it is over {most_bytes / 1e9:g} GB large")
    return path.read_bytes()


def inflate(content: bytes, most_bytes: int) -> tuple[bytes, bool]:
    """Return a file's bytes with uncompressed variables, and whether all checksums are right. A wrong checksum is not
    an error: AMIGOS has some, and other readers ignore them, but scipy cannot.

    Raises:
        ValueError: a variable is cut short, or all of them take more than `most_bytes`.
    """
    view = memoryview(content)  # slices are not copies
    order, parts, at, total, sound = _find_order(content), [view[:128]], 128, 0, True
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if at + 8 + size > len(content):
            raise ValueError(f"the file ends after {len(content)} bytes, inside a variable")
        part = view[at : at + 8 + size]
        if kind == COMPRESSED:
            stream = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS)  # without zlib's frame, whose tail is the checksum
            try:
                # One byte more than allowed, to detect a file that unpacks to too much.
                part = memoryview(stream.decompress(part[10:], most_bytes - total + 1))
            except isal_zlib.error as error:  # type: ignore[misc]  # its stubs call the class a value
                raise ValueError(f"a compressed variable is damaged: {error}") from error
            if total + len(part) <= most_bytes and not stream.eof:
                raise ValueError("a compressed variable is cut short")
            sound &= stream.unused_data[:4] == isal_zlib.adler32(part).to_bytes(4, "big")
        parts.append(part)
        total += len(part)
        if total > most_bytes:
            raise ValueError(f"its variables take over {most_bytes / 1e9:g} GB")
        at += 8 + size
    if at < len(content):
        raise ValueError(f"the file ends after {len(content)} bytes, inside a variable")
    return b"".join(parts), sound


def check(content: bytes, names: Collection[str] | None = None) -> list[str]:
    """Check that the variables `names` of an unpacked file (None: all) are undamaged, and return their names.

    Raises:
        ValueError: a variable contradicts its header, or is of an unsupported kind (sparse, functions, classes).
    """
    file, at, found = _Checker(content, _find_order(content)), 128, []
    while at < len(content):
        kind, size = struct.unpack_from(f"{file.order}II", content, at)
        if kind != MATRIX or at + 8 + size > len(content):
            raise ValueError("one of its parts is not a variable")
        name = file.read_header(at + 8, at + 8 + size).name
        if names is None or name in names:
            file.check_matrix(at + 8, at + 8 + size, 0)
        found.append(name)
        at += 8 + size
    return found


def _find_order(content: bytes) -> str:
    if content[:8] == HDF or content[512:520] == HDF:
        raise ValueError("this is a MATLAB file of version 7.3; in MATLAB, save(name, '-v7') makes one that is read")
    if content[126:128] not in (b"IM", b"MI"):
        raise ValueError("this is not a MATLAB file of version 5")
    return "<" if content[126:128] == b"IM" else ">"


@dataclass(frozen=True)
class _Header:
    form: int
    imaginary: bool
    count: int
    name: str
    behind: int


@dataclass(frozen=True)
class _Checker:
    """Checker of the structure of a file of version 5: `content` in the byte order `order`."""

    content: bytes
    order: str

    def read_element(self, at: int, stop: int, kinds: Collection[int]) -> tuple[int, int, int, int]:
        """Return the element at byte `at`: its kind, first byte of data, size, and the next element's first byte."""
        if at + 8 > stop:
            raise ValueError("it ends inside a variable")
        kind, size = struct.unpack_from(f"{self.order}II", self.content, at)
        first, after = at + 8, at + 8 + size + -size % 8
        if kind >> 16:  # up to four bytes of data within the tag
            kind, size, first, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if kind not in kinds or first + size > min(after, stop):
            raise ValueError(f"a part of kind {kind} and {size} bytes is out of place")
        return kind, first, size, min(after, stop)

    def read_header(self, at: int, stop: int) -> _Header:
        """Return the header of a variable: its name, kind and size."""
        _, first, size, at = self.read_element(at, stop, (UINT32,))
        _, begin, length, at = self.read_element(at, stop, (INT32,))
        _, text, letters, at = self.read_element(at, stop, (INT8,))
        if size != 8 or length % 4 or not 8 <= length <= 4 * DEEPEST:
            raise ValueError("a variable without a shape")
        flags = struct.unpack_from(f"{self.order}I", self.content, first)[0]
        shape = struct.unpack_from(f"{self.order}{length // 4}i", self.content, begin)
        if min(shape) < 0:
            raise ValueError(f"a variable of shape {shape}")
        name = self.content[text : text + letters].decode("latin1")
        return _Header(flags & 0xFF, bool(flags & IMAGINARY), math.prod(shape), name, at)

    def check_matrix(self, at: int, stop: int, depth: int) -> None:
        """Check the structure of a variable from byte `at` to `stop`, and of all variables inside it; `depth` is its
        level of nesting. Raises ValueError for a damaged or unsupported variable."""
        if at == stop:  # an empty variable may have no bytes at all
            return
        head = self.read_header(at, stop)
        at = head.behind
        if head.form in NUMBERS:
            for _ in range(1 + head.imaginary):
                kind, _, size, at = self.read_element(at, stop, BYTES)
                if size != head.count * BYTES[kind]:
                    raise ValueError(f"{head.count} numbers in {size} bytes")
        elif head.form == CHAR:
            kind, _, size, at = self.read_element(at, stop, TEXT)
            if head.count * (1 if kind == 16 else TEXT[kind]) > size:
                raise ValueError(f"{head.count} letters in {size} bytes")
        elif head.form in (CELL, STRUCT, OBJECT):
            count = head.count
            if head.form != CELL:
                fields, at = self.count_fields(at, stop, named=head.form == OBJECT)
                count *= fields
                if fields == 0 and head.count > 1:
                    raise ValueError(f"{head.count} structs without fields")
            if depth >= DEEPEST or 8 * count > stop - at:
                raise ValueError(f"{count} cells in {stop - at} bytes, {depth} deep")
            for _ in range(count):
                _, first, size, at = self.read_element(at, stop, (MATRIX,))
                self.check_matrix(first, first + size, depth + 1)
        else:
            raise ValueError(f"`{head.name}` is of a kind that is not read ({head.form})")

    def count_fields(self, at: int, stop: int, *, named: bool) -> tuple[int, int]:
        """Return the number of fields of a struct and the byte at which their values begin. With `named` it is an
        object, which begins with the name of its class."""
        if named:
            at = self.read_element(at, stop, (INT8,))[3]
        _, first, size, at = self.read_element(at, stop, (INT32,))
        length = struct.unpack_from(f"{self.order}i", self.content, first)[0] if size == 4 else 0
        _, _, size, at = self.read_element(at, stop, (INT8,))
        if length < 1 or size % length:
            raise ValueError("a struct whose fields have no names")
        return size // length, at


# Recordings, versions 4 to 7, with samples in variables or in fields of structs.


@contextmanager
def open_matlab(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Open a MATLAB file as a context: a function from a layout's channels to the tracks in the file.

    Raises:
        DataError: the file is part of a WFDB record. The function raises it if the layout does not name a matrix of
            numbers, or its names or rate do not fit.
    """
    if path.with_suffix(".hea").is_file():
        raise DataError("this is part of a WFDB record", where=str(path), hint="let the pattern name its header (.hea)")

    def tracks(layout: Channels) -> list[Track]:
        content = _read_content(path, layout)
        if layout.array is None:
            listed = ", ".join(sorted(name for name in content if not name.startswith("_")))
            what = f"which of {listed} contains the samples?"
            raise DataError(what, where=str(path), expected="`array` of the channels, as in o.data")
        data = np.asarray(_find_within(path, content, layout.array))
        if data.ndim != 2 or not data.size or data.dtype.kind not in "iufb":
            raise DataError(f"`{layout.array}` is {data.dtype} {data.shape}", where=str(path), expected="a matrix")
        names = _read_names(_find_within(path, content, layout.names)) if layout.names else None
        # Without names of channels, the longer axis is time.
        across = 0 if (len(names) == len(data) != data.shape[1] if names else data.shape[0] < data.shape[1]) else 1
        data = data if across == 0 else data.T
        if names is None:
            names = [str(i) for i in range(1, len(data) + 1)]
        if len(names) != len(data):
            raise DataError(f"{len(names)} names for {len(data)} channels", where=str(path), expected="a name each")
        rate: Any = layout.rate
        if isinstance(rate, str):
            stored = np.ravel(_find_within(path, content, rate))
            rate = float(stored[0]) if stored.size == 1 and stored.dtype.kind in "iuf" else None
        if not isinstance(rate, int | float) or not 0 < rate <= 1e6:
            raise DataError(
                f"how many samples a second does it have? `rate` is {layout.rate}",
                where=str(path),
                expected="`rate` of the channels: a number, or the place of one in the file",
            )
        return [
            Track(name, float(rate), data.shape[1], None, partial(cut_part, row))
            for name, row in zip(names, data, strict=True)
        ]

    yield tracks


def _read_content(path: Path, layout: Channels) -> dict[str, Any]:
    """Return the variables that the layout names."""
    expected = "a MATLAB file of version 4 to 7"
    places = [place for place in (layout.array, layout.names, layout.rate) if isinstance(place, str)]
    variables = {place.partition(".")[0] for place in places}
    try:
        content = read_content(path, MOST_BYTES)
        names = None
        if content[124:128] in (b"\x00\x01IM", b"\x01\x00MI"):
            content, sound = inflate(content, MOST_BYTES)
            if not sound:
                raise ValueError("a checksum is wrong")
            names = check(content, variables)
        loaded = loadmat(io.BytesIO(content), variable_names=sorted(variables))
        return loaded | dict.fromkeys(set(names or [name for name, *_ in whosmat(io.BytesIO(content))]) - set(loaded))
    except NotImplementedError as error:
        raise DataError(
            "a MATLAB file of version 7.3", where=str(path), expected=expected, hint="in MATLAB: save(name, '-v7')"
        ) from error
    except (
        MatReadError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError, OverflowError,
        MemoryError, NameError, SystemError, struct.error,
    ) as error:  # fmt: skip
        raise DataError(f"not readable: {error}", where=str(path), expected=expected, hint=AGAIN) from error


def _find_within(path: Path, content: Any, place: str) -> Any:
    """Return the value at a path of fields, such as `hs.eeg.sig`; structs on the path have one value each."""
    value: Any = content
    for name in place.split("."):
        fields = list(value) if isinstance(value, dict) else list(value.dtype.names or ())
        if name not in fields:
            listed = ", ".join(sorted(entry for entry in fields if not entry.startswith("_"))) or "no fields"
            raise DataError(f"there is no `{name}` of `{place}`, but {listed}", where=str(path), expected=place)
        value = value[name]
        while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
            value = value.flat[0]
        if isinstance(value, np.ndarray) and value.dtype.names and value.size == 1:
            value = value.reshape(-1)[0]
        if not isinstance(value, np.ndarray | np.void):
            value = np.asarray(value)
    return value


def _read_names(value: Any) -> list[str]:
    """Return the names in a cell array, or in the rows of a character matrix."""
    cells = [np.asarray(cell).ravel() for cell in np.asarray(value).ravel()]
    return ["".join(map(str, cell)).strip() for cell in cells]
