"""Wearable devices other than the E4: tables of rows with times, and raw files of Empatica's EmbracePlus."""

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

# Tables of wearable devices with a time in each row, and their resampling to a regular grid.

BRIDGED = 2
"""Most successive lost samples that a straight line may fill."""


def put_on_grid(points: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Return rows with times as samples of a regular grid.

    Args:
        points: (n,) grid point of each row, whole numbers in any order; rows outside 0 to `count` are excluded.
        values: (n, C) values, NaN where one is missing.

    Returns:
        (C, count) float32: the mean of the rows at a point. At most `BRIDGED` successive empty points are filled by a
        straight line between their neighbours; others are NaN.
    """
    inside = (points >= 0) & (points < count)
    point, data = points[inside].astype(np.int64), np.full((values.shape[1], count), np.nan)
    for channel, column in zip(data, values[inside].T, strict=True):
        finite = np.isfinite(column)
        rows = np.bincount(point[finite], minlength=count)
        known = np.flatnonzero(rows)
        if not known.size:
            continue
        channel[known] = np.bincount(point[finite], column[finite], count)[known] / rows[known]
        empty = np.arange(known[0], known[-1])[rows[known[0] : known[-1]] == 0]
        after = np.searchsorted(known, empty)
        bridged = empty[known[after] - known[after - 1] <= BRIDGED + 1]
        channel[bridged] = np.interp(bridged, known, channel[known])
    return files.to_float32(data)


def read_rows(
    path: Path, columns: tuple[str, ...], serial: str | None, findings: list[Finding], *, hint: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return unix ms (n,) and values (n, C) of one device, in the file's order, from a table with a column `timestamp`.

    Args:
        serial: the `device_serial` to read if the table has several devices. If it is None, or not in the table, the
            device with most rows is read.
        findings: list to which findings on assumptions and oddities are appended.

    Raises:
        DataError: it is not such a table, or its times are not in milliseconds.
    """
    expected = f"a table with the columns timestamp (unix milliseconds) and {', '.join(columns)}"
    table = files.read_text_table(path, expected=expected, hint=hint)
    if missing := [name for name in ("timestamp", *columns) if name not in table.columns]:
        what = f"no column {', '.join(missing)}, but {', '.join(table.columns[:12])}"
        if all(re.fullmatch(r"[\d.eE+-]+", name) for name in table.columns):
            what = "a file without a header, as Empatica exports it, not the release's table"
        raise DataError(what, where=str(path), expected=expected, hint=hint)
    table = _select_device(table, path, serial, findings)
    if "isValid" in table.columns:
        table = table[table["isValid"].astype(str).str.strip().str.lower().isin(("true", "1", "1.0"))]
    read = files.to_numbers(table[["timestamp", *columns]], path, expected=expected, hint=hint)
    read = read[np.isfinite(read["timestamp"])]
    times, values = read["timestamp"].to_numpy(), read[list(columns)].to_numpy(copy=True)
    check_milliseconds(times, path, hint=hint)
    if turned := int((np.diff(times) < 0).sum()):
        findings.append(Finding("note", str(path), f"time runs backwards {turned} times: put in order"))
    if again := len(times) - len(np.unique(times)):
        findings.append(Finding("note", str(path), f"{again} rows have the time of another one: averaged"))
    return times, values


def _select_device(table: pd.DataFrame, path: Path, serial: str | None, findings: list[Finding]) -> pd.DataFrame:
    """Return the rows of one device: that of `serial`, or the one with most rows."""
    if "device_serial" not in table.columns:
        return table
    serials = table["device_serial"].astype(str).str.strip().str.strip("'\"")
    counts = serials.value_counts()
    if len(counts) < 2:
        return table
    chosen = serial if serial in counts.index else str(counts.index[0])
    why = "as the authors do" if chosen == serial else "the one with most rows"
    what = f"rows of {len(counts)} devices: those of {chosen} are kept, {why}"
    findings.append(Finding("note" if chosen == serial else "warning", str(path), what))
    return table[serials == chosen]


def check_milliseconds(times: np.ndarray, path: Path, *, hint: str) -> None:
    """Raise DataError if times (n,) are not unix milliseconds of this century."""
    if not len(times):
        raise DataError("no row has a time", where=str(path), expected="unix milliseconds", hint=hint)
    middle = float(np.median(times))
    if not 1e12 < middle < 3e12:
        what = f"times are near {middle:.4g}" + ", which are seconds: somebody converted them" * (1e9 < middle < 3e9)
        raise DataError(what, where=str(path), expected="unix milliseconds, near 1.5e12", hint=hint)


# Raw files of Empatica's EmbracePlus (Apache Avro, `1-1-SUBJECT_1675422454.avro`), up to half an hour each.
#
# A file contains its own schema, and Empatica documents the fields that are read here ("How to access Avro files with
# Python", support.empatica.com): below `rawData`, each sensor has a start in microseconds, a rate and samples.
# Acceleration is in counts, with its range. Files of another schema are refused; the error names the missing fields.

SENSORS = {"bvp": None, "eda": "uS", "temperature": "degC"}
"""Sensor with one channel of the same name -> its unit; PPG has none."""
AXES = ("x", "y", "z")
APART_S = 1.0
_MAGIC = b"Obj\x01"


@contextmanager
def open_embrace(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Open a raw file as a context: a function that returns the recorded tracks of `bvp`, `eda`, `temperature`, and
    `accelerometer_x` to `_z` in g.

    Raises:
        DataError: the file is damaged or of another kind or schema, or its sensors began at different times.
    """
    raw = _get_field(path, _read_record(path), "rawData", Mapping)
    starts: dict[str, float] = {}
    tracks = []
    for sensor, unit in SENSORS.items():
        fields = _get_field(path, raw, sensor, Mapping)
        values = _read_samples(path, fields, f"{sensor}.values", "values")
        tracks += _make_track(path, sensor, sensor, fields, values, unit, starts)
    motion = _get_field(path, raw, "accelerometer", Mapping)
    gravity = _find_gravity(path, motion)
    for axis in AXES:
        counts = _read_samples(path, motion, f"accelerometer.{axis}", axis)
        tracks += _make_track(path, "accelerometer", f"accelerometer_{axis}", motion, counts * gravity, "g", starts)
    if starts and max(starts.values()) - min(starts.values()) > APART_S:
        latest = max(starts, key=lambda sensor: starts[sensor])
        raise DataError(
            f"{latest} begins {max(starts.values()) - min(starts.values()):.1f} s after another sensor",
            where=str(path),
            expected="sensors that begin together",
            hint="leave this file out, or cut it with the maker's own tools",
        )
    yield lambda _: tracks


def _read_record(path: Path) -> Any:
    """Return the only record of a file. Raises DataError if it is unreadable or has another number of records."""
    try:
        import fastavro
    except ImportError as error:
        raise DataError("Avro files need the fastavro package", where=str(path), hint="pip install fastavro") from error
    if path.stat().st_size > MOST_BYTES:
        raise damaged_error(path, f"{path.stat().st_size} bytes, more than {MOST_BYTES}")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise damaged_error(path, "this is not an Avro file")
        file.seek(0)
        try:
            records = list(itertools.islice(fastavro.reader(file), 2))
        # The decoder raises all kinds of exceptions for a damaged file.
        except Exception as error:
            raise damaged_error(path, f"not readable as an Avro file: {type(error).__name__} {error}"[:200]) from error
    if len(records) != 1:
        raise damaged_error(path, f"{'several records' if records else 'no record'} in it, not one")
    return records[0]


def _get_field(path: Path, record: Any, name: str, kind: type[Any]) -> Any:
    """Return the field `name` of a record. Raises DataError if it is missing or not of the type `kind`."""
    field = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(field, kind):
        raise DataError(
            f"there is no `{name}` in it, so this is not a raw file of an EmbracePlus, or has another schema",
            where=str(path),
            expected=f"rawData with {', '.join([*SENSORS, 'accelerometer'])}",
            hint="fetch the file anew from the maker's bucket; other devices' files are not read",
        )
    return field


def _read_samples(path: Path, sensor: Mapping[str, Any], shown: str, name: str) -> np.ndarray:
    samples = _get_field(path, sensor, name, Sequence)
    try:
        return np.asarray(samples, np.float64).reshape(len(samples))
    except (TypeError, ValueError) as error:
        raise damaged_error(path, f"{shown} are not numbers") from error


def _find_gravity(path: Path, sensor: Mapping[str, Any]) -> float:
    """Return the size of one count of the accelerometer in g."""
    ranges = _get_field(path, sensor, "imuParams", Mapping)
    ends = [ranges.get(f"{scale}{end}") for scale in ("physical", "digital") for end in ("Max", "Min")]
    if not all(isinstance(end, int | float) for end in ends) or ends[2] == ends[3]:
        raise damaged_error(path, "the accelerometer has no range")
    return float((ends[0] - ends[1]) / (ends[2] - ends[3]))


def _make_track(
    path: Path,
    sensor: str,
    name: str,
    fields: Mapping[str, Any],
    values: np.ndarray,
    unit: str | None,
    starts: dict[str, float],
) -> list[Track]:
    """Return a list of the channel's track, empty without samples. `starts` receives the sensor's start in s."""
    rate, start = fields.get("samplingFrequency"), fields.get("timestampStart")
    if not len(values):
        return []
    if not isinstance(rate, int | float) or not 0 < rate <= 1e6 or not isinstance(start, int):
        raise damaged_error(path, f"{sensor} starts at {start} and has {rate} samples a second")
    starts[sensor] = start / 1e6
    return [Track(name, float(rate), len(values), unit, lambda first, last: values[first:last])]
