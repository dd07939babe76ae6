"""Wearable devices other than the E4: tables written row by row with times, and raw files of Empatica's EmbracePlus."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.channels import MOST_BYTES, Channels, Track, damaged_error

# Tables that wearable devices wrote row by row, each with its time, and the regular grid that they are put on.

BRIDGED = 2
"""Lost samples in a row that a straight line may fill."""


def put_on_grid(points: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
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


def read_rows(
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
    table = _select_device(table, path, serial, findings)
    if "isValid" in table.columns:
        table = table[table["isValid"].astype(str).str.strip().str.lower().isin(("true", "1", "1.0"))]
    read = files.numbers(table[["timestamp", *columns]], path, expected=expected, hint=hint)
    read = read[np.isfinite(read["timestamp"])]
    times, values = read["timestamp"].to_numpy(), read[list(columns)].to_numpy(copy=True)
    check_milliseconds(times, path, hint=hint)
    if turned := int((np.diff(times) < 0).sum()):
        findings.append(Finding("note", str(path), f"time runs backwards {turned} times: put in order"))
    if again := len(times) - len(np.unique(times)):
        findings.append(Finding("note", str(path), f"{again} rows have the time of another one: averaged"))
    return times, values


def _select_device(table: pd.DataFrame, path: Path, serial: str | None, findings: list[Finding]) -> pd.DataFrame:
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


def check_milliseconds(times: np.ndarray, path: Path, *, hint: str) -> None:
    """Raises DataError where times (n,) are no unix milliseconds of this century."""
    if not len(times):
        raise DataError("no row has a time", where=str(path), expected="unix milliseconds", hint=hint)
    middle = float(np.median(times))
    if not 1e12 < middle < 3e12:
        what = f"times are near {middle:.4g}" + ", which are seconds: somebody converted them" * (1e9 < middle < 3e9)
        raise DataError(what, where=str(path), expected="unix milliseconds, near 1.5e12", hint=hint)


# Raw files of Empatica's EmbracePlus (Apache Avro, `1-1-SUBJECT_1675422454.avro`), up to half an hour each.
#
# A file carries its own schema, and Empatica documents the fields that are read here ("How to access Avro files with
# Python", support.empatica.com): below `rawData`, a start in microseconds and a rate beside the samples. Acceleration
# is in counts, with its range beside it. Files of another schema are refused, with the names of the fields that are
# missing.

SENSORS = {"bvp": None, "eda": "uS", "temperature": "degC"}
"""The sensors with one channel, which is named like them, and their units; a pulse wave has none."""
AXES = ("x", "y", "z")
APART_S = 1.0
_MAGIC = b"Obj\x01"


@contextmanager
def open_embrace(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """The channels `bvp`, `eda`, `temperature`, and `accelerometer_x` to `_z` in g, as far as anything was recorded.

    Raises:
        DataError: it is no such file, damaged, of another schema, or its sensors began at different times.
    """
    raw = _get_field(path, _record(path), "rawData", Mapping)
    starts: dict[str, float] = {}
    tracks = []
    for sensor, unit in SENSORS.items():
        found = _get_field(path, raw, sensor, Mapping)
        values = _read_samples(path, found, f"{sensor}.values", "values")
        tracks += _make_track(path, sensor, sensor, found, values, unit, starts)
    moved = _get_field(path, raw, "accelerometer", Mapping)
    gravity = _find_gravity(path, moved)
    for axis in AXES:
        counts = _read_samples(path, moved, f"accelerometer.{axis}", axis)
        tracks += _make_track(path, "accelerometer", f"accelerometer_{axis}", moved, counts * gravity, "g", starts)
    if starts and max(starts.values()) - min(starts.values()) > APART_S:
        late = max(starts, key=lambda sensor: starts[sensor])
        raise DataError(
            f"{late} begins {max(starts.values()) - min(starts.values()):.1f} s after another sensor",
            where=str(path),
            expected="sensors that begin together",
            hint="leave this file out, or cut it with the maker's own tools",
        )
    yield lambda _: tracks


def _record(path: Path) -> Any:
    """The one record of a file. Raises DataError."""
    try:
        import fastavro
    except ImportError as error:
        raise DataError("Avro files need the fastavro package", where=str(path), hint="pip install fastavro") from error
    if path.stat().st_size > MOST_BYTES:
        raise damaged_error(path, f"{path.stat().st_size} bytes, more than {MOST_BYTES}")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise damaged_error(path, "this is no Avro file")
        file.seek(0)
        try:
            records = list(itertools.islice(fastavro.reader(file), 2))
        # A damaged file makes the decoder fail in ways that have nothing in common.
        except Exception as error:
            raise damaged_error(path, f"not readable as an Avro file: {type(error).__name__} {error}"[:200]) from error
    if len(records) != 1:
        raise damaged_error(path, f"{'several records' if records else 'no record'} in it, not one")
    return records[0]


def _get_field(path: Path, record: Any, name: str, kind: type[Any]) -> Any:
    """What stands under `name`, of a kind. Raises DataError."""
    found = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(found, kind):
        raise DataError(
            f"there is no `{name}` in it, so this is no raw file of an EmbracePlus, or of another schema",
            where=str(path),
            expected=f"rawData with {', '.join([*SENSORS, 'accelerometer'])}",
            hint="fetch the file anew from the maker's bucket; other devices' files are not read",
        )
    return found


def _read_samples(path: Path, sensor: Mapping[str, Any], shown: str, name: str) -> np.ndarray:
    given = _get_field(path, sensor, name, Sequence)
    try:
        return np.asarray(given, np.float64).reshape(len(given))
    except (TypeError, ValueError) as error:
        raise damaged_error(path, f"{shown} are no numbers") from error


def _find_gravity(path: Path, sensor: Mapping[str, Any]) -> float:
    """What a count of the accelerometer is in g."""
    ranges = _get_field(path, sensor, "imuParams", Mapping)
    ends = [ranges.get(f"{of}{end}") for of in ("physical", "digital") for end in ("Max", "Min")]
    if not all(isinstance(end, int | float) for end in ends) or ends[2] == ends[3]:
        raise damaged_error(path, "the accelerometer has no range")
    return float((ends[0] - ends[1]) / (ends[2] - ends[3]))


def _make_track(
    path: Path,
    sensor: str,
    name: str,
    found: Mapping[str, Any],
    values: np.ndarray,
    unit: str | None,
    starts: dict[str, float],
) -> list[Track]:
    """The channel, none where nothing was recorded; notes when its sensor began."""
    rate, start = found.get("samplingFrequency"), found.get("timestampStart")
    if not len(values):
        return []
    if not isinstance(rate, int | float) or not 0 < rate <= 1e6 or not isinstance(start, int):
        raise damaged_error(path, f"{sensor} starts at {start} and has {rate} samples a second")
    starts[sensor] = start / 1e6
    return [Track(name, float(rate), len(values), unit, lambda first, last: values[first:last])]
