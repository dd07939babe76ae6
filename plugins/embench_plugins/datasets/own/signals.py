"""The signals of one recording of a `dataset.yaml`, from tables, EDF and the like, or an Empatica E4 export."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.recording import Signal
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import POTENTIALS, chosen, factor
from embench_plugins.datasets.formats.recordings import opened
from embench_plugins.datasets.formats.tracks import Track
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.layout import TIME_UNITS, OwnChannels
from embench_plugins.datasets.own.yaml import DATASET

TABLES = tables.SUFFIXES
RATE_TOLERANCE = 0.01
MOST_SAMPLES = 1_000_000_000
JITTER_S = 0.05
"""How far times may be off an even grid that no sample is missing on: phones stamp samples when they arrive."""
_ROUND = 0.005
"""A rate that times say is taken for a whole number where it is as close to it."""


class Read(NamedTuple):
    """Signals that begin together; `start` is when, in unix seconds, None where the files do not say it."""

    signals: dict[str, Signal]
    start: float | None
    duration_s: float


def read_e4(folder: Path, modalities: Sequence[str]) -> Read:
    """What a wristband recorded; a modality whose file is missing is absent. Raises DataError."""
    paths = {m: folder / e4.FILES[m] for m in modalities if (folder / e4.FILES[m]).is_file()}
    if not paths:
        wanted = ", ".join(e4.FILES[m] for m in modalities)
        raise DataError("no file of an Empatica E4 is here", where=str(folder), expected=f"some of {wanted}")
    session = e4.session(paths, hint="copy the export of the session again")
    return Read(session.signals, session.start, session.duration_s)


def read_files(
    paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], places: Mapping[str, str], zone: tzinfo = UTC
) -> Read:
    """The modalities of one recording.

    Args:
        paths: modality -> its file.
        channels: modality -> what the description says of it.
        places: modality -> file and line where it does.
        zone: that of dates that state none.

    Raises:
        DataError: a file cannot be read, has other channels, or times that the rate does not fit.
    """
    found: dict[str, Signal] = {}
    starts: dict[str, float | None] = {}
    for m, path in paths.items():
        table = path.suffix.lower() in TABLES
        read = partial(_table, zone=zone) if table else _file
        tracks, rate, starts[m] = read(path, m, channels[m], places[m])
        with np.errstate(over="ignore", invalid="ignore"):
            data = np.stack(tracks).astype(np.float32)
        data[~np.isfinite(data)] = np.nan
        found[m] = Signal(data, rate, channels[m].standard, POTENTIALS.get(m, str(channels[m].unit)))
    known = {m: start for m, start in starts.items() if start is not None}
    if len(known) == len(found) and found:
        return _together(found, known, paths)
    return Read(found, None, max((signal.duration_s for signal in found.values()), default=0.0))


def _file(path: Path, modality: str, own: OwnChannels, where: str) -> tuple[list[np.ndarray], float, float | None]:
    with opened(path) as tracks_of:
        tracks = chosen(path, modality, own, tracks_of(own), DATASET)
        rate, samples = tracks[0].rate, tracks[0].samples
        if isinstance(own.rate, float) and abs(own.rate - rate) > RATE_TOLERANCE * rate and path.suffix != ".mat":
            raise DataError(
                f"{path.name} has {rate:g} samples of {modality} a second, not {own.rate:g}",
                where=where,
                expected=f"rate: {rate:g}, or no rate: the file says it",
            )
        return [t.read(0, samples) * factor(path, modality, own, t, DATASET) for t in tracks], rate, None


def _table(
    path: Path, modality: str, own: OwnChannels, where: str, *, zone: tzinfo
) -> tuple[list[np.ndarray], float, float | None]:
    wanted = [*own.channels.values(), *([own.time] if own.time else [])]
    read, stated = tables.columns(path, wanted, where), tables.dialect(path).before.rate
    values = [_numbers(read[name], name, path) for name in own.channels.values()]
    rate, start = (float(own.rate) if isinstance(own.rate, int | float) else None if own.time else stated), None
    if rate and stated and abs(rate - stated) > RATE_TOLERANCE * stated:
        what = f"by its first lines, {path.name} has {stated:g} samples of {modality} a second, not {rate:g}"
        raise DataError(what, where=where, expected=f"rate: {stated:g}, or no rate: the file says it")
    if own.time:
        at, start = _times(read[own.time], own, path, zone)
        rate = _rate(at, rate, path, own.time, where)
        values = _placed(values, at, rate, path, own.time)
    if rate is None:
        raise DataError(
            f"how many samples of {modality} a second does {path.name} have?",
            where=where,
            expected="`rate`, or `time`: the column with the time of each row",
        )
    name = next(iter(own.channels.values()))
    track = Track(name, rate, len(values[0]), own.unit, lambda *_: values[0])
    return [row * factor(path, modality, own, track, DATASET) for row in values], rate, start


def _numbers(column: pd.Series, name: str, path: Path) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce")
    if wrong := np.flatnonzero((values.isna() & column.notna()).to_numpy()).tolist():
        raise DataError(
            f"column {name}, row {wrong[0] + 1}: `{str(column.iloc[wrong[0]])[:40]}` is no number",
            where=str(path),
            expected="numbers, and empty cells where samples were lost",
        )
    return values.to_numpy(np.float64)


def _times(column: pd.Series, own: OwnChannels, path: Path, zone: tzinfo) -> tuple[np.ndarray, float | None]:
    """Seconds from the first row (n,), and when that was, where it is a date or unix time."""
    if pd.api.types.is_numeric_dtype(column):
        at = column.to_numpy(np.float64) * TIME_UNITS[own.time_unit]
        absolute = at[0] > 3e8
    else:
        parsed = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
        if re.fullmatch(r"[^Zz+-]*\d", str(column.iloc[0])[10:]):  # no offset after the day
            local = parsed.dt.tz_localize(None)
            parsed = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
        at, absolute = (parsed - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64), True
    if wrong := np.flatnonzero(~np.isfinite(at)).tolist():
        raise DataError(
            f"column {own.time}, row {wrong[0] + 1}: `{str(column.iloc[wrong[0]])[:40]}` is no time",
            where=str(path),
            expected="numbers, or dates such as 2024-03-01 14:05:00.250",
        )
    if len(at) < 2 or (back := np.flatnonzero(np.diff(at) < 0)).size:
        row = int(back[0]) + 2 if len(at) > 1 else 1
        raise DataError(f"column {own.time}, row {row}: time does not rise", where=str(path), expected="rows in order")
    return at - at[0], float(at[0]) if absolute else None


def _rate(at: np.ndarray, stated: float | None, path: Path, column: str, where: str) -> float:
    """Samples a second that times (n,) say; must be those that are stated."""
    step, mean = float(np.median(np.diff(at))), max(float(at[-1]), 1e-9) / (len(at) - 1)
    found = 1 / mean if step <= 0 or (abs(mean / step - 1) < 0.1 and _even(at, 1 / mean)) else 1 / step
    if stated is None:
        whole = round(found)
        return float(whole) if whole and abs(found - whole) <= _ROUND * whole else found
    if abs(found - stated) > RATE_TOLERANCE * stated:
        raise DataError(
            f"by its column {column}, {path.name} has {found:.6g} samples a second, not {stated:g}",
            where=where,
            expected=f"rate: {found:.6g}, or no rate: the times say it",
            hint="is `time_unit` right (s, ms or us)?",
        )
    return stated


def _even(at: np.ndarray, rate: float) -> bool:
    """Whether times (n,) are those of evenly spaced samples, but for their rounding or the jitter of a clock."""
    return bool(np.abs(at - np.arange(len(at)) / rate).max() <= JITTER_S)


def _placed(values: Sequence[np.ndarray], at: np.ndarray, rate: float, path: Path, column: str) -> list[np.ndarray]:
    """Samples at their places on an even grid, NaN where one is missing."""
    place = np.arange(len(at), dtype=np.float64) if _even(at, rate) else np.round(at * rate)
    if place[-1] >= min(MOST_SAMPLES, 1000 * len(at) + 1000):
        raise DataError(f"column {column} goes over {at[-1]:.6g} s", where=str(path), expected=f"{len(at)} samples")
    index = place.astype(np.int64)
    if (np.diff(index) == 0).mean() > RATE_TOLERANCE:
        raise DataError(
            f"column {column}: samples do not come evenly, up to {int(np.bincount(index).max())} at one time",
            where=str(path),
            expected=f"{rate:g} samples a second",
            hint="leave out `time` and state the `rate`, if samples are evenly spaced and only their times are not",
        )
    found = [np.full(index[-1] + 1, np.nan) for _ in values]
    for row, full in zip(values, found, strict=True):
        full[index] = row
    return found


def rows_at(
    path: Path, own: OwnChannels, seconds: np.ndarray, start: float | None, where: str, zone: tzinfo
) -> np.ndarray:
    """The rows (n,) of a table at some seconds (n,) of a recording, which began at `start`, in unix seconds."""
    if not own.time:
        at = np.floor(seconds * float(own.rate or tables.dialect(path).before.rate or 1) + 1e-6)
        return np.minimum(at.astype(np.int64), len(tables.columns(path, [*own.channels.values()], where)) - 1)
    times, first = _times(tables.columns(path, [own.time], where)[own.time], own, path, zone)
    shift = start - first if start is not None and first is not None else 0.0
    return np.maximum(np.searchsorted(times, seconds + shift + 1e-6, "right") - 1, 0)


def _together(signals: Mapping[str, Signal], starts: Mapping[str, float], paths: Mapping[str, Path]) -> Read:
    """Signals cut to the segment that all share."""
    start = max(starts.values())
    stop = min(starts[m] + signal.duration_s for m, signal in signals.items())
    cut = {m: piece(s, start - starts[m], stop - starts[m]) for m, s in signals.items()} if stop > start else {}
    if not cut or any(signal is None for signal in cut.values()):
        first, last = min(starts, key=starts.__getitem__), max(starts, key=starts.__getitem__)
        raise DataError(
            f"{paths[first].name} ends before {paths[last].name} begins",
            where=str(paths[last]),
            expected="files of one recording, which overlap",
            hint="are both in one time zone, and of one session?",
        )
    return Read({m: signal for m, signal in cut.items() if signal}, start, stop - start)


def piece(signal: Signal, start: float, stop: float) -> Signal | None:
    """A signal between two seconds, None where nothing of it is there."""
    first = max(0, round(start * signal.rate))
    last = min(signal.data.shape[1], math.floor(stop * signal.rate + 1e-6))
    return replace(signal, data=signal.data[:, first:last]) if last > first else None
