"""MATLAB files of version 5, found sound before scipy reads them.

scipy makes room for whatever a header announces, and looks types up in a table without asking how long that is: flipped
bits make it ask for all of a machine's memory, or end the whole process. What passes here is read safely.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from isal import isal_zlib
from scipy.io import loadmat

INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Bytes of a value of each type of number."""
TEXT = {1: 1, 2: 1, 4: 2, 16: 1, 17: 2, 18: 4}
CELL, STRUCT, OBJECT, CHAR = 1, 2, 3, 4
NUMBERS = range(6, 16)
IMAGINARY = 0x0800
DEEPEST = 32
HDF = b"\x89HDF\r\n\x1a\n"


def variables(content: bytes, names: Collection[str], most_bytes: int) -> tuple[dict[str, Any], bool]:
    """The variables `names` of a file of version 5, as scipy reads them, and whether all checksums are right.

    Raises:
        ValueError: it is no such file, cut short, damaged, or unpacks to more than `most_bytes`.
    """
    plain, sound = inflated(content, most_bytes)
    check(plain, names)
    return loadmat(io.BytesIO(plain), variable_names=list(names)), sound


def inflated(content: bytes, most_bytes: int) -> tuple[bytes, bool]:
    """A file's bytes with compressed variables unpacked, and whether all checksums are right: one that is wrong is
    passed over, as AMIGOS needs and other readers of it do, for which scipy has no way.

    Raises:
        ValueError: a variable is cut short, or all of them take more than `most_bytes`.
    """
    view = memoryview(content)  # whose parts are no copies
    order, parts, at, total, sound = _order(content), [view[:128]], 128, 0, True
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if at + 8 + size > len(content):
            raise ValueError(f"the file ends after {len(content)} bytes, inside a variable")
        part = view[at : at + 8 + size]
        if kind == COMPRESSED:
            stream = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS)  # without zlib's frame, whose tail is the checksum
            try:
                # A byte more than there may be, so that too much is told from just enough.
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
    """The names of an unpacked file's variables, those in `names` (None: all) being sound from end to end.

    Raises:
        ValueError: something is not what its header says, or of a kind that is not read (sparse, functions, classes).
    """
    file, at, found = _File(content, _order(content)), 128, []
    while at < len(content):
        kind, size = struct.unpack_from(f"{file.order}II", content, at)
        if kind != MATRIX or at + 8 + size > len(content):
            raise ValueError("something in it is no variable")
        name = file.header(at + 8, at + 8 + size).name
        if names is None or name in names:
            file.matrix(at + 8, at + 8 + size, 0)
        found.append(name)
        at += 8 + size
    return found


def _order(content: bytes) -> str:
    if content[:8] == HDF or content[512:520] == HDF:
        raise ValueError("this is a MATLAB file of version 7.3; in MATLAB, save(name, '-v7') makes one that is read")
    if content[126:128] not in (b"IM", b"MI"):
        raise ValueError("this is no MATLAB file of version 5")
    return "<" if content[126:128] == b"IM" else ">"


@dataclass(frozen=True)
class _Header:
    form: int
    imaginary: bool
    count: int
    name: str
    behind: int


@dataclass(frozen=True)
class _File:
    content: bytes
    order: str

    def element(self, at: int, stop: int, kinds: Collection[int]) -> tuple[int, int, int, int]:
        """An element that lies before `stop`: its kind, where its data begin, their size, where the next one begins."""
        if at + 8 > stop:
            raise ValueError("it ends inside a variable")
        kind, size = struct.unpack_from(f"{self.order}II", self.content, at)
        first, after = at + 8, at + 8 + size + -size % 8
        if kind >> 16:  # up to four bytes, packed into the tag itself
            kind, size, first, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if kind not in kinds or first + size > min(after, stop):
            raise ValueError(f"a part of kind {kind} and {size} bytes is out of place")
        return kind, first, size, min(after, stop)

    def header(self, at: int, stop: int) -> _Header:
        """What a variable says of itself."""
        _, first, size, at = self.element(at, stop, (UINT32,))
        _, begin, length, at = self.element(at, stop, (INT32,))
        _, text, letters, at = self.element(at, stop, (INT8,))
        if size != 8 or length % 4 or not 8 <= length <= 4 * DEEPEST:
            raise ValueError("a variable without a shape")
        flags = struct.unpack_from(f"{self.order}I", self.content, first)[0]
        shape = struct.unpack_from(f"{self.order}{length // 4}i", self.content, begin)
        if min(shape) < 0:
            raise ValueError(f"a variable of shape {shape}")
        name = self.content[text : text + letters].decode("latin1")
        return _Header(flags & 0xFF, bool(flags & IMAGINARY), math.prod(shape), name, at)

    def matrix(self, at: int, stop: int, depth: int) -> None:
        """Checks a variable, and all that it holds."""
        if at == stop:  # an empty one may be left out altogether
            return
        head = self.header(at, stop)
        at = head.behind
        if head.form in NUMBERS:
            for _ in range(1 + head.imaginary):
                kind, _, size, at = self.element(at, stop, BYTES)
                if size != head.count * BYTES[kind]:
                    raise ValueError(f"{head.count} numbers in {size} bytes")
        elif head.form == CHAR:
            kind, _, size, at = self.element(at, stop, TEXT)
            if head.count * (1 if kind == 16 else TEXT[kind]) > size:
                raise ValueError(f"{head.count} letters in {size} bytes")
        elif head.form in (CELL, STRUCT, OBJECT):
            held = head.count
            if head.form != CELL:
                fields, at = self.fields(at, stop, named=head.form == OBJECT)
                held *= fields
                if fields == 0 and head.count > 1:
                    raise ValueError(f"{head.count} structs without fields")
            if depth >= DEEPEST or 8 * held > stop - at:
                raise ValueError(f"{held} cells in {stop - at} bytes, {depth} deep")
            for _ in range(held):
                _, first, size, at = self.element(at, stop, (MATRIX,))
                self.matrix(first, first + size, depth + 1)
        else:
            raise ValueError(f"`{head.name}` is of a kind that is not read ({head.form})")

    def fields(self, at: int, stop: int, *, named: bool) -> tuple[int, int]:
        """How many fields a struct has, and where their values begin."""
        if named:
            at = self.element(at, stop, (INT8,))[3]
        _, first, size, at = self.element(at, stop, (INT32,))
        length = struct.unpack_from(f"{self.order}i", self.content, first)[0] if size == 4 else 0
        _, _, size, at = self.element(at, stop, (INT8,))
        if length < 1 or size % length:
            raise ValueError("a struct whose fields have no names")
        return size // length, at
