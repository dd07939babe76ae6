"""Tables that wearable devices wrote row by row, each with its time, and the regular grid that they are put on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.formats import files

BRIDGED = 2
"""Lost samples in a row that a straight line may fill."""


def on_grid(points: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Rows at their points of a regular grid.

    Args:
        points: (n,) whole numbers: the point of each row, in any order; those outside 0 to `count` are excluded.
        values: (n, C), NaN where a row has none.

    Returns:
        (C, count) float32: the mean of the rows of a point, a straight line over at most `BRIDGED` empty points between
        two known ones, else NaN.
    """
    inside = (points >= 0) & (points < count)
    at, data = points[inside].astype(np.int64), np.full((values.shape[1], count), np.nan)
    for row, column in zip(data, values[inside].T, strict=True):
        good = np.isfinite(column)
        rows = np.bincount(at[good], minlength=count)
        known = np.flatnonzero(rows)
        if not known.size:
            continue
        row[known] = np.bincount(at[good], column[good], count)[known] / rows[known]
        empty = np.arange(known[0], known[-1])[rows[known[0] : known[-1]] == 0]
        after = np.searchsorted(known, empty)
        short = empty[known[after] - known[after - 1] <= BRIDGED + 1]
        row[short] = np.interp(short, known, row[known])
    return files.as_float32(data)


def rows(
    path: Path, columns: tuple[str, ...], serial: str | None, findings: list[Finding], *, hint: str
) -> tuple[np.ndarray, np.ndarray]:
    """A table with a column `timestamp`: unix ms (n,) and values (n, C), in the file's order, of one device.

    Args:
        serial: the `device_serial` to keep where the rows of several devices are there; None, or where it is not among
            them: the one with most rows.
        findings: takes what was assumed or is odd.

    Raises:
        DataError: it is no such table, or its times are no milliseconds.
    """
    expected = f"a table with the columns timestamp (unix milliseconds) and {', '.join(columns)}"
    table = files.text_table(path, expected=expected, hint=hint)
    if missing := [name for name in ("timestamp", *columns) if name not in table.columns]:
        what = f"no column {', '.join(missing)}, but {', '.join(table.columns[:12])}"
        if all(re.fullmatch(r"[\d.eE+-]+", name) for name in table.columns):
            what = "a file without a header, as Empatica exports it, not the release's table"
        raise DataError(what, where=str(path), expected=expected, hint=hint)
    table = _one_device(table, path, serial, findings)
    if "isValid" in table.columns:
        table = table[table["isValid"].astype(str).str.strip().str.lower().isin(("true", "1", "1.0"))]
    read = files.numbers(table[["timestamp", *columns]], path, expected=expected, hint=hint)
    read = read[np.isfinite(read["timestamp"])]
    times, values = read["timestamp"].to_numpy(), read[list(columns)].to_numpy(copy=True)
    milliseconds(times, path, hint=hint)
    if turned := int((np.diff(times) < 0).sum()):
        findings.append(Finding("note", str(path), f"time runs backwards {turned} times: put in order"))
    if again := len(times) - len(np.unique(times)):
        findings.append(Finding("note", str(path), f"{again} rows have the time of another one: averaged"))
    return times, values


def _one_device(table: pd.DataFrame, path: Path, serial: str | None, findings: list[Finding]) -> pd.DataFrame:
    """The rows of one device: the one that is known to be right, else the one with most rows."""
    if "device_serial" not in table.columns:
        return table
    serials = table["device_serial"].astype(str).str.strip().str.strip("'\"")
    counts = serials.value_counts()
    if len(counts) < 2:
        return table
    kept = serial if serial in counts.index else str(counts.index[0])
    why = "as the authors do" if kept == serial else "the one with most rows"
    what = f"rows of {len(counts)} devices: those of {kept} are kept, {why}"
    findings.append(Finding("note" if kept == serial else "warning", str(path), what))
    return table[serials == kept]


def milliseconds(times: np.ndarray, path: Path, *, hint: str) -> None:
    """Raises DataError where times (n,) are no unix milliseconds of this century."""
    if not len(times):
        raise DataError("no row has a time", where=str(path), expected="unix milliseconds", hint=hint)
    middle = float(np.median(times))
    if not 1e12 < middle < 3e12:
        what = f"times are near {middle:.4g}" + ", which are seconds: somebody converted them" * (1e9 < middle < 3e9)
        raise DataError(what, where=str(path), expected="unix milliseconds, near 1.5e12", hint=hint)
