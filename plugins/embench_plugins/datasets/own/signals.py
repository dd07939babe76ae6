"""The signals of one recording of a `dataset.yaml`, from tables, EDF and the like, or an Empatica E4 export.

Files are read a stretch at a time, so that memory does not grow with them; a MATLAB file, an export of an E4, and a
table with times are read whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Signal
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import Channels, card_unit, chosen, factor
from embench_plugins.datasets.formats.recordings import opened
from embench_plugins.datasets.formats.starts import header_start
from embench_plugins.datasets.formats.tracks import Track, part
from embench_plugins.datasets.formats.units import is_known
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.clock import UNIX_S, UNIX_UNITS
from embench_plugins.datasets.own.grid import are_packets, packet_places
from embench_plugins.datasets.own.headers import column_of
from embench_plugins.datasets.own.layout import TIME_UNITS, FromHeader, OwnChannels
from embench_plugins.datasets.own.numbers import plain
from embench_plugins.datasets.own.origins import Held, share

TABLES = tables.SUFFIXES
RATE_TOLERANCE = 0.01
MOST_SAMPLES = 1_000_000_000
JITTER_S = 0.05
"""How far times may be off an even grid that no sample is missing on: phones stamp samples when they arrive."""
_RESOLUTION_S = 0.001
"""Many devices write times in whole milliseconds."""
_CLOCK = re.compile(r"\s*\d{1,2}:\d\d:\d\d(\.\d{1,9})?\s*")
_LATE = 1.5
"""By how many packets the latest one may be late."""
_FRACTIONS = (12.8, 25.6, 31.25, 51.2, 62.5, 102.4, 204.8, 409.6)
"""Usual rates that are not whole numbers."""
_ROUND = 0.005
"""A rate that times say is taken for a whole number where it is as close to it."""


@dataclass(frozen=True, slots=True)
class Timed(Track):
    """A column of a table whose times begin at `second`."""

    second: float = 0.0


class Read(NamedTuple):
    """Signals that begin together. `between` gives them between two seconds, of stretches in order; `start` is when
    they begin, in unix seconds, None where the files do not say it; `origins` has what seconds may count from (see
    `Clock`), and `odd` the findings on the files."""

    start: float | None
    duration_s: float
    between: Callable[[float, float], dict[str, Signal]]
    origins: Mapping[str, float] = {}
    odd: Sequence[Finding] = ()


def in_memory(signals: Mapping[str, Signal], start: float | None = None, duration_s: float | None = None) -> Read:
    """Signals that were read whole; without a duration they last as long as the longest."""

    def between(first: float, last: float) -> dict[str, Signal]:
        cut = {m: piece(signal, first, last) for m, signal in signals.items()}
        return {m: signal for m, signal in cut.items() if signal is not None}

    longest = max((signal.duration_s for signal in signals.values()), default=0.0)
    return Read(start, longest if duration_s is None else duration_s, between)


def read_e4(folder: Path, modalities: Sequence[str]) -> Read:
    """The signals of a wristband; a modality whose file is missing is absent. Raises DataError."""
    paths = {m: folder / e4.FILES[m] for m in modalities if (folder / e4.FILES[m]).is_file()}
    if not paths:
        wanted = ", ".join(e4.FILES[m] for m in modalities)
        raise DataError("no file of an Empatica E4 is here", where=str(folder), expected=f"some of {wanted}")
    session = e4.session(paths, hint="copy the export of the session again")
    begins = moments(paths)
    read = in_memory(session.signals, session.start, session.duration_s)
    return read._replace(origins={m: begin - session.start for m, begin in begins.items()})


def moments(paths: Mapping[str, Path]) -> dict[str, float]:
    """Modality -> when its file of a wristband begins, in unix seconds, by the first line alone. Raises DataError."""
    found = {}
    for m, path in paths.items():
        if not path.stat().st_size:
            raise DataError("the file is empty", where=str(path), expected="an export of the wristband")
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            found[m] = e4.moment(file.readline(200).split(",")[0], path, 1)
    return found


@contextmanager
def open_files(
    paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], places: Mapping[str, str], zone: tzinfo = UTC,
    origin: str | None = None,
) -> Iterator[Read]:  # fmt: skip
    """The modalities of one recording.

    Args:
        paths: modality -> its file.
        channels: modality -> what the description says of it.
        places: modality -> file and line where it does.
        zone: that of dates that state none.
        origin: what seconds count from, where the description says it.

    Raises:
        DataError: a file cannot be read, has other channels, or times that the rate does not fit.
    """
    try:
        with ExitStack() as stack:
            ways = {(path, channels[m].reading): None for m, path in paths.items()}
            held = {(path, how): stack.enter_context(_open(path, zone, how)) for path, how in ways}
            found = {
                m: _tracks(path, m, channels[m], held[path, channels[m].reading], places[m])
                for m, path in paths.items()
            }
            files = {m: _held(paths[m], tracks[0], zone) for m, tracks in found.items()}
            shared = share(files, paths, channels, places, origin)

            def between(first_s: float, last_s: float) -> dict[str, Signal]:
                now = {}
                for m, tracks in found.items():
                    rate, samples = tracks[0].rate, tracks[0].samples
                    first, last = (
                        min(shared.offsets[m] + math.floor(s * rate + 1e-6), samples) for s in (first_s, last_s)
                    )
                    if last > first:
                        units = [_factor(paths[m], m, channels[m], track, places[m]) for track in tracks]
                        read = [_without(track.read(first, last), channels[m]) for track in tracks]
                        rows = [values * unit for values, unit in zip(read, units, strict=True)]
                        now[m] = made(rows, rate, m, channels[m])
                return now

            short = [finding for path, how in ways for finding in _short_rows(path, how)]
            yield Read(shared.start, shared.duration_s, between, shared.origins, [*shared.odd, *short])
    except OSError as error:
        where = str(error.filename or next(iter(paths.values())))
        raise DataError(f"cannot be read: {error.strerror or error}", where=where) from error


def _held(path: Path, track: Track, zone: tzinfo) -> Held:
    start = header_start(path, zone) if path.suffix.lower() not in TABLES else track.start
    second = track.second if isinstance(track, Timed) and start is None else 0.0
    return Held(start, second, track.rate, track.duration_s)


def _short_rows(path: Path, how: tables.Reading) -> Iterator[Finding]:
    """The finding on rows of a table that lack cells, where most have all: their cells may be of other columns."""
    if path.suffix.lower() not in TABLES or path.suffix.lower() in tables.FRAMES or e4.is_export(path):
        return
    found = tables.count_rows(path, how)
    if 0 < found.short <= found.rows / 2:
        what = f"{found.short} of {found.rows} rows have fewer cells than columns, the first in line {found.line}"
        yield Finding("warning", str(path), f"{what}: their cells may be those of other columns")


def _factor(path: Path, m: str, own: OwnChannels, track: Track, where: str) -> float:
    """As `factor`; raises DataError also where the description leaves the unit to a file that states none."""
    if isinstance(own, FromHeader) and not is_known(track.unit):
        raise DataError(
            f"`unit` of {m} is missing, and {path.name} states none of {track.name}",
            where=where,
            expected=f"unit: {own.unit}, or `a.u.` if nobody knows it",
        )
    return factor(path, m, own, track, where)


def _without(values: np.ndarray, own: OwnChannels) -> np.ndarray:
    """Values with NaN in the place of the codes that stand for lost samples."""
    return np.where(np.isin(values, own.missing), np.nan, values) if own.missing else values


def made(rows: Sequence[np.ndarray], rate: float, modality: str, own: OwnChannels) -> Signal:
    """A signal of what was read (channels, n)."""
    with np.errstate(over="ignore", invalid="ignore"):
        data = np.stack(rows).astype(np.float32)
    return Signal(data, rate, own.standard, card_unit(modality, own.unit))


Find = Callable[[str, OwnChannels, str], Sequence[Track]]
"""What a modality's channels are among, given also the line that names them."""


def _tracks(path: Path, m: str, own: OwnChannels, find: Find, where: str) -> Sequence[Track]:
    found = find(m, own, where)
    tables.check_unique(path, [track.name for track in found], own.channels.values())
    try:
        tracks = chosen(path, m, own, found, where)
    except DataError as error:
        cure = tables.names_below(path, own.channels.values()) if path.suffix.lower() in TABLES else None
        raise DataError(error.what, where=error.where, expected=error.expected, hint=cure or error.hint) from error
    rate = tracks[0].rate
    if isinstance(own.rate, float) and abs(own.rate - rate) > RATE_TOLERANCE * rate:
        raise DataError(
            f"{path.name} has {rate:g} samples of {m} a second, not {own.rate:g}",
            where=where,
            expected=f"rate: {rate:g}, or no rate: the file says it",
        )
    return tracks


def channel_of(path: Path, name: str, own: OwnChannels | None, where: str, zone: tzinfo) -> Track:
    """One channel of a file, or column of a table whose times or rate `own` states. Raises DataError as
    `open_files`."""
    stated = own or OwnChannels(channels={name: name})
    with _open(path, zone, stated.reading) as find:
        (track,) = chosen(path, "trials", Channels(channels={name: name}), find("trials", stated, where), where)
        return replace(track, read=partial(part, track.read(0, track.samples)))


@contextmanager
def _open(path: Path, zone: tzinfo, how: tables.Reading) -> Iterator[Find]:
    if path.suffix.lower() not in TABLES:
        with opened(path) as tracks_of:
            yield lambda _, own, __: tracks_of(own)
    elif path.is_file() and e4.is_export(path):
        tracks = _worn(path)
        yield lambda *_: tracks
    else:
        with tables.opened(path, how) as rows:
            yield partial(_columns, path, rows, zone)


def _worn(path: Path) -> list[Track]:
    """One file of an E4: the channels `x`, `y` and `z` in g, or one that is called like the file, such as `eda`."""
    rate, data = e4.export(path)
    moved = data.shape[1] > 1
    names = e4.CARDS["acc"].channels if moved else (path.stem.lower(),)
    data = data * e4.COUNT_G if moved else data
    return [Track(name, rate, len(data), None, partial(part, x)) for name, x in zip(names, data.T, strict=True)]


def _columns(path: Path, rows: tables.Rows, zone: tzinfo, m: str, own: OwnChannels, where: str) -> list[Track]:
    """The columns of a table."""
    if own.time:
        return _timed(path, own.time, rows, own, where, zone)
    if rows.names[-1] == "IBI" and math.isfinite(tables.number(rows.names[0])):
        raise DataError(
            "intervals between beats of an Empatica E4, not samples at a rate",
            where=str(path),
            expected="a signal's file, such as BVP.csv, in which the beats are",
        )
    form = tables.dialect(path, own.reading)
    rate = form.before.rate or own.rate
    if not isinstance(rate, float):
        raise DataError(
            f"how many samples of {m} a second does {path.name} have?",
            where=where,
            expected="`rate`, or `time`: the column with the time of each row",
        )

    def read(name: str, first: int, last: int) -> np.ndarray:
        return _numbers(rows.read(first, last)[name], name, path, first, own)

    tracks = [Track(name, rate, rows.length, form.unit(name), partial(read, name)) for name in rows.names]
    return _placed(tracks, form, own)


def _placed(tracks: Sequence[Track], form: tables.Dialect, own: OwnChannels) -> list[Track]:
    """Columns, and again those that are wanted by their positions or other names, under these."""
    names = form.names
    by = {name: column_of(names, name, form.before.others) for name in own.channels.values() if name not in names}
    again = (replace(track, name=name) for name, real in by.items() for track in tracks if track.name == real)
    return [*tracks, *again]


def _timed(path: Path, column: str, rows: tables.Rows, own: OwnChannels, where: str, zone: tzinfo) -> list[Track]:
    """The columns of a table that says when each row was: samples at their places on an even grid, NaN where one is
    missing."""
    tables.check_columns(path, rows.names, [column], where)
    form, column = tables.dialect(path, own.reading), column_of(rows.names, column)
    table = _samples(tables.columns(path, rows.names, where, own.reading), column)
    at, second, dated = _times(table[column], own, path, zone)
    if (again := _again(at)).size:
        table = _without_doubles(table, again, path, column)
        at = np.delete(at, again)
    stated = own.rate if isinstance(own.rate, float) else form.before.rate
    if are_packets(at):
        found, place, late_s = packet_places(at)
        rate = _settled(found, float(at[-1]), stated, path, column, where)
        index = _checked(place, at, rate, path, column, even=late_s <= max(JITTER_S, _LATE * _packet_s(at)))
    else:
        first = _stretches(at)
        rate = _rate(at, first, stated, path, column, where)
        index = _places(at, first, rate, path, column)

    def read(name: str, first: int, last: int) -> np.ndarray:
        full = np.full(index[-1] + 1, np.nan)
        full[index] = _numbers(table[name], name, path, 0, own)
        return full[first:last]

    start, length = second if dated else None, int(index[-1]) + 1
    tracks = [Timed(name, rate, length, form.unit(name), partial(read, name), start, second) for name in rows.names]
    return _placed(tracks, form, own)


def _again(at: np.ndarray) -> np.ndarray:
    """The rows (k,) that have the time of the row before, where few do and times are finer than samples."""
    steps = np.diff(at)
    again = 1 + np.flatnonzero(steps == 0)
    rare = again.size <= RATE_TOLERANCE * len(at) and float(np.median(steps)) > 2 * _RESOLUTION_S
    return again if rare else again[:0]


def _without_doubles(table: pd.DataFrame, again: np.ndarray, path: Path, column: str) -> pd.DataFrame:
    """The rows without those that are there twice. Raises DataError where two rows of one time differ."""
    for k in again.tolist():
        if not table.iloc[k].equals(table.iloc[k - 1]):
            what = f"column {column}: rows {k} and {k + 1} have one time and other values"
            raise DataError(what, where=str(path), expected="a time for each row", hint="remove one of the rows")
    return table.drop(index=table.index[again]).reset_index(drop=True)


def _samples(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows without those that hold a text and no number, such as the events between a headband's samples."""
    numbers = table.drop(columns=column).select_dtypes("number")
    texts = table.drop(columns=column).select_dtypes("object")
    if numbers.empty or texts.empty:
        return table
    events = numbers.isna().all(axis=1) & texts.notna().any(axis=1)
    return table[~events].reset_index(drop=True) if events.any() and not events.all() else table


def _numbers(column: pd.Series, name: str, path: Path, before: int, own: OwnChannels) -> np.ndarray:
    tables.check_marks(path, name, column, own.reading)
    values = pd.to_numeric(plain(column), errors="coerce")
    if wrong := np.flatnonzero((values.isna() & column.notna()).to_numpy()).tolist():
        raise DataError(
            f"column {name}, row {before + wrong[0] + 1}: `{str(column.iloc[wrong[0]])[:40]}` is no number",
            where=str(path),
            expected="numbers, and empty cells where samples were lost",
        )
    return values.to_numpy(np.float64)


def _times(column: pd.Series, own: OwnChannels, path: Path, zone: tzinfo) -> tuple[np.ndarray, float, bool]:
    """Seconds from the first row (n,), the time of that, and whether it is a date or unix time."""
    tables.check_marks(path, str(column.name), column, own.reading)
    column = plain(column)
    if pd.api.types.is_numeric_dtype(column):
        at = column.to_numpy(np.float64)
        _check_unit(at, own, path)
        at = at * TIME_UNITS[own.time_unit]
        absolute = at[0] > UNIX_S
    elif _CLOCK.fullmatch(str(column.iloc[0])) and column.astype(str).str.fullmatch(_CLOCK).all():
        at = pd.to_timedelta(column.str.strip()).dt.total_seconds().to_numpy(np.float64)
        at, absolute = at + 86_400 * np.cumsum(np.diff(at, prepend=at[0]) < -43_200), False
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
    return at - at[0], float(at[0]), bool(absolute)


def first_time(path: Path, own: OwnChannels, zone: tzinfo) -> float | None:
    """The time of a table's first row in unix seconds, None where its times count from its start. Raises DataError."""
    with tables.opened(path, own.reading) as rows:
        if (time := column_of(rows.names, str(own.time))) not in rows.names:
            return None
        _, second, dated = _times(rows.read(0, min(2, rows.length))[time], own, path, zone)
        return second if dated else None


def _check_unit(at: np.ndarray, own: OwnChannels, path: Path) -> None:
    """Raises DataError where numbers (n,) are unix times in another unit than is stated, by their size."""
    if not len(at) or not math.isfinite(at[0]) or at[0] < UNIX_S:
        return
    unit = next((name for most, name, _ in UNIX_UNITS if at[0] < most), "ns")
    if unit != own.time_unit:
        raise DataError(
            f"column {own.time}: by its size, {at[0]:.0f} is a unix time in {unit}, not in {own.time_unit}",
            where=str(path),
            expected=f"time_unit: {unit}" if unit in TIME_UNITS else "unix times in s, ms or us",
        )


def _stretches(at: np.ndarray) -> np.ndarray:
    """The first row (k,) of each stretch of times (n,) in which no sample is missing."""
    steps = np.diff(at)
    step = float(np.median(steps)) if len(steps) else 0.0
    return np.concatenate([[0], 1 + np.flatnonzero(steps > 1.6 * step)]) if step > 0 else np.zeros(1, np.int64)


def _rate(
    at: np.ndarray, first: np.ndarray, stated: float | None, path: Path, column: str, where: str
) -> float:  # fmt: skip
    """Samples a second by times (n,) and the first rows (k,) of stretches; must be those that are stated."""
    step, mean = float(np.median(np.diff(at))), max(float(at[-1]), 1e-9) / (len(at) - 1)
    last = np.concatenate([first[1:] - 1, [len(at) - 1]])
    seconds, count = float((at[last] - at[first]).sum()), int((last - first).sum())
    found = 1 / mean if step <= 0 or (abs(mean / step - 1) < 0.1 and _even(at, 1 / mean)) else count / seconds
    return _settled(found, float(at[-1]), stated, path, column, where)


def _settled(found: float, seconds: float, stated: float | None, path: Path, column: str, where: str) -> float:
    """The stated or a usual rate where it is the one of the times, or so close that none of these is moved; 0 where the
    times have none."""
    if found <= 0:
        return 0.0
    if stated is not None and abs(found - stated) > RATE_TOLERANCE * stated:
        raise DataError(
            f"by its column {column}, {path.name} has {found:.6g} samples a second, not {stated:g}",
            where=where,
            expected=f"rate: {found:.6g}, or no rate: the times say it",
            hint="is `time_unit` right (s, ms or us)?",
        )
    for rate in (stated,) if stated is not None else (*_FRACTIONS, float(round(found))):
        drift_s = abs(found / rate - 1) * seconds if rate else math.inf
        if drift_s <= max(JITTER_S, 0.5 / found) and abs(found - rate) <= _ROUND * rate:
            return rate
    return float(f"{found:.6g}")


def _packet_s(at: np.ndarray) -> float:
    """The usual seconds between packets by the times (n,) of their samples."""
    return float(np.median(np.diff(np.unique(at))))


def _even(at: np.ndarray, rate: float) -> bool:
    """True if times (n,) are those of evenly spaced samples, but for their rounding or the jitter of a clock."""
    return bool(np.abs(at - np.arange(len(at)) / rate).max() <= JITTER_S)


def _places(at: np.ndarray, first: np.ndarray, rate: float, path: Path, column: str) -> np.ndarray:
    """The place of each sample on an even grid: samples of a stretch follow each other, and a stretch begins where its
    time says."""
    whole, steps = np.arange(len(at), dtype=np.float64), np.diff(at)
    lengths = np.diff(np.concatenate([first, [len(at)]]))
    begun = np.repeat(first, lengths)
    near = np.abs(at - at[begun] - (whole - begun) / rate) <= 0.5 / rate + _RESOLUTION_S
    if _even(at, rate) and (len(first) == 1 or not near.all()):
        place = whole
    elif near.all() and len(first) < 0.1 * len(at) and (steps > 0).all():
        place = np.round(at[begun] * rate) + whole - begun
        place += np.maximum.accumulate(np.maximum(0, np.repeat(np.concatenate([[0], [
            place[k - 1] + 1 - place[k] for k in first[1:]]]), lengths)))  # fmt: skip
    else:
        place = np.round(at * rate)
    return _checked(place, at, rate, path, column)


def _checked(
    place: np.ndarray, at: np.ndarray, rate: float, path: Path, column: str, *, even: bool = True
) -> np.ndarray:
    """Places (n,) as integers. Raises DataError where they are too far apart, or samples do not come evenly."""
    if place[-1] >= min(MOST_SAMPLES, 1000 * len(at) + 1000):
        raise DataError(f"column {column} goes over {at[-1]:.6g} s", where=str(path), expected=f"{len(at)} samples")
    index = place.astype(np.int64)
    if not even or (np.diff(index) == 0).mean() > RATE_TOLERANCE:
        most = int(np.unique(at, return_counts=True)[1].max())
        raise DataError(
            f"column {column}: samples do not come evenly, up to {most} at one time",
            where=str(path),
            expected=f"{rate:g} samples a second",
            hint="leave out `time` and state the `rate`, if samples are evenly spaced and only their times are not",
        )
    return index


def rows_at(path: Path, own: OwnChannels, seconds: np.ndarray, where: str, zone: tzinfo) -> np.ndarray:
    """The rows (n,) of a table at some seconds (n,) from its first."""
    if not own.time:
        at = np.floor(seconds * float(own.rate or tables.dialect(path, own.reading).before.rate or 1) + 1e-6)
        return np.minimum(at.astype(np.int64), len(tables.columns(path, [], where, own.reading)) - 1)
    times, *_ = _times(tables.columns(path, [own.time], where, own.reading)[own.time], own, path, zone)
    return np.maximum(np.searchsorted(times, seconds + 1e-6, "right") - 1, 0)


def piece(signal: Signal, start: float, stop: float) -> Signal | None:
    """A signal between two seconds, None where nothing of it is there."""
    first = max(0, round(start * signal.rate))
    last = min(signal.data.shape[1], math.floor(stop * signal.rate + 1e-6))
    return replace(signal, data=signal.data[:, first:last]) if last > first else None
