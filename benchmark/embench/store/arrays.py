"""Arrays that grow on disk, so that memory never holds more than what is being added."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from embench.errors import DataError

AGAIN = "run the same command again: what is missing or damaged is made again"


class RowWriter:
    """Appends rows (n, *shape) of float32 to a `.npy` file, whose header is set right at the end."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.rows, self.shape = 0, shape
        self._file = path.open("wb")
        self._header()

    def append(self, x: np.ndarray) -> None:
        """`x` (n, *shape)."""
        self._file.write(np.ascontiguousarray(x, np.float32).data)
        self.rows += len(x)

    def append_file(self, path: Path) -> int:
        """Rows as bare bytes in a file; returns how many there were."""
        with path.open("rb") as part:
            shutil.copyfileobj(part, self._file, 1 << 20)
        rows = path.stat().st_size // (4 * int(np.prod(self.shape)))
        self.rows += rows
        return rows

    def _header(self) -> None:
        # numpy leaves room in the header for the first axis to grow, so that it keeps its length.
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "<f4", "fortran_order": False, "shape": (self.rows, *self.shape)}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._header()
        finally:
            self._file.close()


def open_rows(path: Path) -> np.memmap:
    """A read-only view of the file, (rows, *shape). Raises DataError where it is missing or damaged."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"prepared data cannot be read: {error}", where=str(path), hint=AGAIN) from error
