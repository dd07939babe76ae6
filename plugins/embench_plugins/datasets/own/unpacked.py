"""Sizes of compressed files, checked before they are unpacked: a small file must not fill the memory."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from embench.errors import DataError

MOST_BYTES = 2_000_000_000
_SMALL, _MOST_RATIO = 1 << 26, 100
_COMPRESSED = 15
_CELL, _LONGEST_CELL = re.compile(rb"""\sr=["']([A-Z]{0,3})(\d{1,7})["']"""), 20
"""The place of a row or a cell, such as `B12`."""
_CELL_BYTES, _BLOCK = 8, 1 << 20


def most_unpacked(packed: int) -> int:
    """Return the number of bytes to which a file of `packed` bytes may unpack. Recordings shrink to a tenth, and zeros
    to a thousandth."""
    return min(MOST_BYTES, max(_SMALL, _MOST_RATIO * packed))


def check_archive(path: Path) -> None:
    """Check the members of a zip archive, such as an Excel file. Raises DataError if they unpack to too much, or if a
    sheet has a cell so far off that all cells before it would fill the memory."""
    with zipfile.ZipFile(path) as archive:
        check_size(path, sum(member.file_size for member in archive.infolist()))
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with archive.open(name) as sheet:
                    rows, columns = _find_extent(sheet)
                if _CELL_BYTES * rows * columns > most_unpacked(path.stat().st_size):
                    raise DataError(
                        f"its cells reach to row {rows:,} and column {columns:,}",
                        where=str(path),
                        expected="a table without cells far off",
                        hint="delete the rows and columns beside the table, or save it as CSV",
                    )


def _find_extent(sheet: IO[bytes]) -> tuple[int, int]:
    """Return the last row and the last column that a sheet's cells name."""
    rows, columns, rest = 0, 0, b""
    while block := sheet.read(_BLOCK):
        for letters, digits in _CELL.findall(rest + block):
            column = 0
            for letter in letters:
                column = 26 * column + letter - 64
            rows, columns = max(rows, int(digits)), max(columns, column)
        rest = block[-_LONGEST_CELL:]
    return rows, columns


def check_matlab(path: Path) -> None:
    """Check the sizes that compressed variables of a MATLAB file of version 5 state. Files of other kinds, and damage,
    are left to the reader.

    Raises:
        DataError: the variables unpack to too much."""
    if path.suffix.lower() != ".mat":
        return
    size = 0
    with path.open("rb") as file:
        order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(file.read(128)[124:])
        while order and len(tag := file.read(8)) == 8:
            kind, packed = struct.unpack(f"{order}II", tag)
            start = file.tell()
            if kind == _COMPRESSED:
                try:
                    head = zlib.decompressobj().decompress(file.read(min(packed, 1024)), 8)
                except zlib.error:
                    return
                size += struct.unpack(f"{order}II", head)[1] if len(head) == 8 else 0
            file.seek(start + packed)
    check_size(path, size)


def check_length(path: Path) -> None:
    """Check that a file which is read whole fits into memory. Raises DataError above `MOST_BYTES`."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"it is over {MOST_BYTES / 1e9:g} GB large", where=str(path), expected="a shorter file")


def check_size(path: Path, size: int) -> None:
    """Check the bytes to which a file unpacks. Raises DataError if they are too many."""
    if size > most_unpacked(path.stat().st_size):
        raise DataError(
            f"it unpacks to {size / 1e9:.2g} GB",
            where=str(path),
            expected=f"at most {_MOST_RATIO} times its size",
            hint="save it again without compression, or cut it into several files",
        )
