"""Raw files of Empatica's EmbracePlus (Apache Avro, `1-1-SUBJECT_1675422454.avro`), up to half an hour each.

A file carries its own schema, and Empatica documents the fields that are read here ("How to access Avro files with
Python", support.empatica.com): below `rawData`, a start in microseconds and a rate beside the samples. Acceleration is
in counts, with its range beside it. Files of another schema are refused, with the names of the fields that are missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.tracks import MOST_BYTES, Track, damaged

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
    raw = _field(path, _record(path), "rawData", Mapping)
    starts: dict[str, float] = {}
    tracks = []
    for sensor, unit in SENSORS.items():
        found = _field(path, raw, sensor, Mapping)
        values = _samples(path, found, f"{sensor}.values", "values")
        tracks += _track(path, sensor, sensor, found, values, unit, starts)
    moved = _field(path, raw, "accelerometer", Mapping)
    gravity = _gravity(path, moved)
    for axis in AXES:
        counts = _samples(path, moved, f"accelerometer.{axis}", axis)
        tracks += _track(path, "accelerometer", f"accelerometer_{axis}", moved, counts * gravity, "g", starts)
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
        raise damaged(path, f"{path.stat().st_size} bytes, more than {MOST_BYTES}")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise damaged(path, "this is no Avro file")
        file.seek(0)
        try:
            records = list(itertools.islice(fastavro.reader(file), 2))
        # A damaged file makes the decoder fail in ways that have nothing in common.
        except Exception as error:
            raise damaged(path, f"not readable as an Avro file: {type(error).__name__} {error}"[:200]) from error
    if len(records) != 1:
        raise damaged(path, f"{'several records' if records else 'no record'} in it, not one")
    return records[0]


def _field(path: Path, record: Any, name: str, kind: type[Any]) -> Any:
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


def _samples(path: Path, sensor: Mapping[str, Any], shown: str, name: str) -> np.ndarray:
    given = _field(path, sensor, name, Sequence)
    try:
        return np.asarray(given, np.float64).reshape(len(given))
    except (TypeError, ValueError) as error:
        raise damaged(path, f"{shown} are no numbers") from error


def _gravity(path: Path, sensor: Mapping[str, Any]) -> float:
    """What a count of the accelerometer is in g."""
    ranges = _field(path, sensor, "imuParams", Mapping)
    ends = [ranges.get(f"{of}{end}") for of in ("physical", "digital") for end in ("Max", "Min")]
    if not all(isinstance(end, int | float) for end in ends) or ends[2] == ends[3]:
        raise damaged(path, "the accelerometer has no range")
    return float((ends[0] - ends[1]) / (ends[2] - ends[3]))


def _track(
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
        raise damaged(path, f"{sensor} starts at {start} and has {rate} samples a second")
    starts[sensor] = start / 1e6
    return [Track(name, float(rate), len(values), unit, lambda first, last: values[first:last])]
