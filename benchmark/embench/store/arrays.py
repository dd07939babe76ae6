"""Arrays that grow on disk, so that memory never holds more than what is being added."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from embench.errors import DataError

AGAIN = "rerun the same command: it makes missing and damaged files again"


class RowWriter:
    """Appends rows (n, *shape) of float32 to a `.npy` file, whose header is set right at the end."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.rows, self.shape = 0, shape
        self._file = path.open("wb")
        self._file.write(_header(0, shape))

    def append(self, x: np.ndarray) -> None:
        """`x` (n, *shape)."""
        self._file.write(np.ascontiguousarray(x, np.float32).data)
        self.rows += len(x)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._file.write(_header(self.rows, self.shape))
        finally:
            self._file.close()


def write_rows(path: Path, first: int, x: np.ndarray) -> None:
    """Puts rows `x` (n, channels), float32 and contiguous, into a `.npy` file from row `first` on, whichever others are
    there; the file is made where it is missing, and lacks its header until `write_header`."""
    path.touch()
    with path.open("r+b") as file:
        file.seek(len(_header(0, x.shape[1:])) + first * x[:1].nbytes)
        file.write(x.data)


def write_header(path: Path, shape: tuple[int, ...]) -> None:
    """The header of an array (rows, channels) that `write_rows` wrote."""
    with path.open("r+b") as file:
        file.write(_header(shape[0], shape[1:]))


def write_zeros(path: Path, shape: tuple[int, ...]) -> None:
    """An array (rows, channels) of zeros, for which a disk keeps no room."""
    path.touch()
    write_header(path, shape)
    os.truncate(path, len(_header(shape[0], shape[1:])) + 4 * math.prod(shape))


def _header(rows: int, shape: tuple[int, ...]) -> bytes:
    # numpy leaves room in the header for the first axis to grow, so that it keeps its length.
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, *shape)})
    return file.getvalue()


def open_rows(path: Path) -> np.memmap:
    """A read-only view of the file, (rows, *shape). Raises DataError where it is missing or damaged."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"prepared data cannot be read: {error}", where=str(path), hint=AGAIN) from error
