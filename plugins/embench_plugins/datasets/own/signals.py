"""The signals of one recording of a `dataset.yaml`, from tables, EDF and the like, or an Empatica E4 export.

Files are read a stretch at a time, so that memory does not grow with them; a MATLAB file, an export of an E4, and a
table with times are read whole. The module also puts samples that came in packets on even grids, and finds one clock
for the files of a recording.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import minimum_filter1d

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Signal
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import (
    Channels,
    Track,
    choose_tracks,
    cut_part,
    find_card_unit,
    find_factor,
    is_known,
)
from embench_plugins.datasets.formats.notes import find_header_start, read_first_bytes
from embench_plugins.datasets.formats.recordings import open_recording
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.clock import COLUMN, STARTS_APART_S, UNIX_S, UNIX_UNITS
from embench_plugins.datasets.own.exports import find_column
from embench_plugins.datasets.own.layout import TIME_UNITS, FromHeader, OwnChannels
from embench_plugins.datasets.own.tables import parse_marked_numbers
from embench_plugins.datasets.own.unpacked import check_matlab

# Samples that share the time at which their packet came: their rate, and their places on an even grid.

_NEAR = 9
"""Number of packets before and after a gap that decide whether one was lost: among so many, one is not delayed."""
_PASSES = 3


def are_packets(times: np.ndarray) -> bool:
    """Return True if times (n,) arrive in packets: most samples share their time with others."""
    return len(times) > 1 and float(np.median(np.unique(times, return_counts=True)[1])) > 1


def place_packets(times: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Return the rate in Hz, the place (n,) of each sample on an even grid with gaps for lost packets, and the greatest
    delay of a packet in s."""
    stamps, counts = np.unique(times, return_counts=True)
    if len(stamps) < 3:
        return 0.0, np.arange(len(times)), np.inf
    steps, size = np.diff(stamps), float(np.median(counts))
    near = steps <= 1.6 * np.median(steps)
    step = float(steps[near].sum() / counts[1:][near].sum())
    before, lost = np.cumsum(counts) - 1.0, np.zeros(len(stamps))
    before[-1] += max(0.0, size - counts[-1])  # a recording may end within a packet, which has the time of a whole one
    for _ in range(_PASSES):
        lost = _count_lost(stamps - before * step, size * step) * size
        step = float(np.polyfit(before + lost, stamps, 1)[0])
    late = stamps - (before + lost) * step
    place = np.arange(len(times)) + np.repeat(np.round(lost), counts)
    return 1 / step if step > 0 else 0.0, place, float(np.ptp(late[1:]) if len(late) > 1 else np.inf)


def _count_lost(late: np.ndarray, packet_s: float) -> np.ndarray:
    """Return (n,) the number of packets that were lost before each packet, from the delays (n,) of the earliest packets
    around it."""
    after = minimum_filter1d(late, _NEAR, mode="nearest", origin=-(_NEAR // 2))
    until = minimum_filter1d(late, _NEAR, mode="nearest", origin=_NEAR // 2)
    jump = np.zeros(len(late))
    jump[1:] = after[1:] - until[:-1]
    gone = np.round(jump / packet_s)
    gone[(jump < 0.6 * packet_s) | (np.diff(late, prepend=late[0]) < 0.5 * packet_s)] = 0
    return np.cumsum(np.maximum(gone, 0))


# What the files of one recording share on one clock, and the moments from which seconds may count.


class Held(NamedTuple):
    """A modality in its file: its first sample in unix seconds, None if the file lacks it, and in seconds of its column
    of times; its rate in Hz and its length."""

    start: float | None
    second: float
    rate: float
    duration_s: float


class Shared(NamedTuple):
    """The time that all files cover: its start in unix seconds, if known, and its length. The other fields are modality
    -> its first sample in this time, origin of seconds -> its second in the recording, and findings on the files."""

    start: float | None
    duration_s: float
    offsets: Mapping[str, int]
    origins: Mapping[str, float]
    odd: list[Finding]


def share_clock(
    files: Mapping[str, Held], paths: Mapping[str, Path], channels: Mapping[str, OwnChannels],
    places: Mapping[str, str], origin: str | None,
) -> Shared:  # fmt: skip
    """Find the time that all files of a recording cover. Dated files are placed by their dates, and files with seconds
    from a common origin by that origin; the others are assumed to begin together.

    Args:
        files: modality -> its file's start, rate and length; `paths`, `channels` and `places` have the same keys.
        origin: the origin of times in seconds, if the description states it.

    Raises:
        DataError: files do not overlap, or columns of times begin apart and the description does not state an origin.
    """
    placed = {m: _place_held(m, files, channels, places) for m in files}
    dated = all(file.start is not None for file in placed.values()) and bool(placed)
    linked = any(channels[m].from_ for m in files)
    if not dated and (any(file.start is not None for file in placed.values()) or not (linked or origin == COLUMN)):
        return _join_unknown(placed, paths, channels, places)
    begins = {m: file.start if dated and file.start is not None else file.second for m, file in placed.items()}
    start = max(begins.values())
    duration = min(begins[m] + file.duration_s for m, file in placed.items()) - start
    if duration * min(file.rate for file in placed.values()) < 1 - 1e-6:
        first, last = min(begins, key=begins.__getitem__), max(begins, key=begins.__getitem__)
        raise DataError(
            f"{paths[first].name} ends before {paths[last].name} begins",
            where=str(paths[last]),
            expected="files of one recording, which overlap",
            hint=f"are both in one time zone, and of one session? `from: {first}` below {last} places it by hand",
        )
    offsets = {m: round((start - begins[m]) * file.rate) for m, file in placed.items()}
    origins = {m: begin - start for m, begin in begins.items()} | ({} if dated else {COLUMN: -start})
    return Shared(start if dated else None, duration, offsets, origins, [])


def _place_held(
    m: str, files: Mapping[str, Held], channels: Mapping[str, OwnChannels], places: Mapping[str, str]
) -> Held:
    """Return a file moved to the start of another file, if the description places it there."""
    other, own = channels[m].from_, files[m]
    if other is None:
        return own
    if other not in files:
        raise DataError(
            f"`from: {other}`: there is no file of {other}", where=places[m], expected=f"{other}, or no {m}"
        )
    start = files[other].start
    return own._replace(start=None if start is None else start + own.second, second=files[other].second + own.second)


def _join_unknown(
    known: Mapping[str, Held], paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], places: Mapping[str, str]
) -> Shared:
    """Return the common time of a recording's files with unknown starts, which are assumed to begin together. Raises
    DataError if their times count from different moments."""
    dated = [m for m, one in known.items() if one.start is not None]
    seconds = {m: one.second for m, one in known.items()}
    first, last = (choose(seconds, key=seconds.__getitem__, default="") for choose in (min, max))
    if not dated and len(known) > 1 and seconds[last] - seconds[first] > STARTS_APART_S:
        what = (
            f"{paths[first].name} begins at {seconds[first]:g} s and {paths[last].name} at {seconds[last]:g} s of its "
            f"times; what to do: write `from: {COLUMN}` in `recordings` if these count from one moment, or `from: "
            f"{first}` below {last} if its times count from the start of {paths[first].name}"
        )
        raise DataError(what, where=places[last], expected="times that count from one moment")
    duration = max((one.duration_s for one in known.values()), default=0.0)
    origins = dict.fromkeys(known, 0.0) | ({} if dated or not known else {COLUMN: -seconds[first]})
    return Shared(None, duration, dict.fromkeys(known, 0), origins, list(_note_undated(dated, paths, channels, places)))


def _note_undated(
    dated: list[str], paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], places: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield findings on files without a start time in recordings that also have files with one."""
    inexact = [m for m, path in paths.items() if path.suffix.lower() == ".xdf"]
    if len(set(paths.values())) < 2 or not (dated or inexact):
        return
    known = next(iter(dated or inexact))
    for m, path in paths.items():
        if m not in dated and path != paths[known] and not channels[m].from_:
            what = (
                f"{path.name} does not say when it began beside {paths[known].name}: they are taken to begin together; "
                f"what to do: write `from: {known}` below {m} if they do"
            )
            yield Finding("warning", places[m], what)


# The signals themselves.

TABLES = tables.SUFFIXES
RATE_TOLERANCE = 0.01
MOST_SAMPLES = 1_000_000_000
JITTER_S = 0.05
"""The most by which times may differ from an even grid without missing samples: phones stamp samples on arrival."""
_RESOLUTION_S = 0.001
"""Many devices write times in whole milliseconds."""
_CLOCK = re.compile(r"\s*\d{1,2}:\d\d:\d\d(\.\d{1,9})?\s*")
_LATE = 1.5
"""Greatest delay of a packet, in times the interval between packets."""
_FRACTIONS = (12.8, 25.6, 31.25, 51.2, 62.5, 102.4, 204.8, 409.6)
"""Usual rates that are not whole numbers."""
_ROUND = 0.005
"""A rate from times is rounded to a whole number if both differ by at most this proportion."""


@dataclass(frozen=True, slots=True)
class Timed(Track):
    """A column of a table whose times begin at `second`."""

    second: float = 0.0


class Read(NamedTuple):
    """Signals that begin together. `between` returns the signals between two seconds, in stretches in order. `start` is
    their start in unix seconds, None if the files lack it. `origins` contains the possible origins of seconds (see
    `Clock`), and `odd` the findings on the files."""

    start: float | None
    duration_s: float
    between: Callable[[float, float], dict[str, Signal]]
    origins: Mapping[str, float] = {}
    odd: Sequence[Finding] = ()


def keep_in_memory(signals: Mapping[str, Signal], start: float | None = None, duration_s: float | None = None) -> Read:
    """Return signals in memory as an open recording. Without a duration, the longest signal decides it."""

    def between(first: float, last: float) -> dict[str, Signal]:
        cut = {m: cut_piece(signal, first, last) for m, signal in signals.items()}
        return {m: signal for m, signal in cut.items() if signal is not None}

    longest = max((signal.duration_s for signal in signals.values()), default=0.0)
    return Read(start, longest if duration_s is None else duration_s, between)


def read_e4(folder: Path, modalities: Sequence[str]) -> Read:
    """Return the signals of a wristband; a modality whose file is missing is absent. Raises DataError."""
    paths = {m: folder / e4.FILES[m] for m in modalities if (folder / e4.FILES[m]).is_file()}
    if not paths:
        wanted = ", ".join(e4.FILES[m] for m in modalities)
        raise DataError("no file of an Empatica E4 is here", where=str(folder), expected=f"some of {wanted}")
    session = e4.read_session(paths, hint="copy the export of the session again")
    begins = find_moments(paths)
    read = keep_in_memory(session.signals, session.start, session.duration_s)
    return read._replace(origins={m: begin - session.start for m, begin in begins.items()})


def find_moments(paths: Mapping[str, Path]) -> dict[str, float]:
    """Return modality -> start of its wristband file in unix seconds, from the first line. Raises DataError."""
    found = {}
    for m, path in paths.items():
        if not path.stat().st_size:
            raise DataError("the file is empty", where=str(path), expected="an export of the wristband")
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            found[m] = e4.parse_time(file.readline(200).split(",")[0], path, 1)
    return found


@contextmanager
def open_signals(
    paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], places: Mapping[str, str], zone: tzinfo = UTC,
    origin: str | None = None,
) -> Iterator[Read]:  # fmt: skip
    """Open the files of one recording, and yield a function that reads its modalities between two times in s.

    Args:
        paths: modality -> its file.
        channels: modality -> its channels in the description.
        places: modality -> file and line of its description, for messages.
        zone: time zone of dates without one.
        origin: the origin of times in seconds, if the description states it.

    Raises:
        DataError: a file cannot be read, lacks channels, or has times that do not fit its rate.
    """
    try:
        with ExitStack() as stack:
            path_readings = {(path, channels[m].reading): None for m, path in paths.items()}
            finders = {(path, how): stack.enter_context(_open_file(path, zone, how)) for path, how in path_readings}
            tracks_by_modality = {
                m: _read_tracks(path, m, channels[m], finders[path, channels[m].reading], places[m])
                for m, path in paths.items()
            }
            files = {m: _make_held(paths[m], tracks[0], zone) for m, tracks in tracks_by_modality.items()}
            shared = share_clock(files, paths, channels, places, origin)

            def between(first_s: float, last_s: float) -> dict[str, Signal]:
                signals = {}
                for m, tracks in tracks_by_modality.items():
                    rate, samples = tracks[0].rate, tracks[0].samples
                    first, last = (
                        min(shared.offsets[m] + math.floor(s * rate + 1e-6), samples) for s in (first_s, last_s)
                    )
                    if last > first:
                        units = [_find_factor(paths[m], m, channels[m], track, places[m]) for track in tracks]
                        read = [_blank_codes(track.read(first, last), channels[m]) for track in tracks]
                        rows = [values * unit for values, unit in zip(read, units, strict=True)]
                        signals[m] = make_signal(rows, rate, m, channels[m])
                return signals

            short_rows = [finding for path, how in path_readings for finding in _note_short_rows(path, how)]
            yield Read(shared.start, shared.duration_s, between, shared.origins, [*shared.odd, *short_rows])
    except OSError as error:
        where = str(error.filename or next(iter(paths.values())))
        raise DataError(f"cannot be read: {error.strerror or error}", where=where) from error


def _make_held(path: Path, track: Track, zone: tzinfo) -> Held:
    start = find_header_start(path, zone) if path.suffix.lower() not in TABLES else track.start
    second = track.second if isinstance(track, Timed) and start is None else 0.0
    return Held(start, second, track.rate, track.duration_s)


def _note_short_rows(path: Path, how: tables.Reading) -> Iterator[Finding]:
    """Yield a finding if up to half of a table's rows lack cells: their cells may belong to other columns."""
    if path.suffix.lower() not in TABLES or path.suffix.lower() in tables.FRAMES or e4.is_signal_file(path):
        return
    found = tables.count_rows(path, how)
    if 0 < found.short <= found.rows / 2:
        what = f"{found.short} of {found.rows} rows have fewer cells than columns, the first in line {found.line}"
        yield Finding("warning", str(path), f"{what}: their cells may be those of other columns")


def _find_factor(path: Path, m: str, own: OwnChannels, track: Track, where: str) -> float:
    """Return `find_factor`. Also raises DataError if neither the description nor the file states the unit."""
    if isinstance(own, FromHeader) and not is_known(track.unit):
        raise DataError(
            f"`unit` of {m} is missing, and {path.name} states none of {track.name}",
            where=where,
            expected=f"unit: {own.unit}, or `a.u.` if nobody knows it",
        )
    return find_factor(path, m, own, track, where)


def _blank_codes(values: np.ndarray, own: OwnChannels) -> np.ndarray:
    """Return the values with NaN instead of the codes of lost samples."""
    return np.where(np.isin(values, own.missing), np.nan, values) if own.missing else values


def make_signal(rows: Sequence[np.ndarray], rate: float, modality: str, own: OwnChannels) -> Signal:
    """Return a signal of the samples (channels, n)."""
    with np.errstate(over="ignore", invalid="ignore"):
        data = np.stack(rows).astype(np.float32)
    return Signal(data, rate, own.standard, find_card_unit(modality, own.unit))


Find = Callable[[str, OwnChannels, str], Sequence[Track]]
"""Function of a modality, its channels and the line that names them, which returns all tracks of the file."""


def _read_tracks(path: Path, m: str, own: OwnChannels, find: Find, where: str) -> Sequence[Track]:
    """Return the channels of a modality in a file, in the description's order. Raises DataError."""
    found = find(m, own, where)
    tables.check_unique(path, [track.name for track in found], own.channels.values())
    try:
        tracks = choose_tracks(path, m, own, found, where)
    except DataError as error:
        cure = tables.hint_names_below(path, own.channels.values()) if path.suffix.lower() in TABLES else None
        raise DataError(error.what, where=error.where, expected=error.expected, hint=cure or error.hint) from error
    rate = tracks[0].rate
    if isinstance(own.rate, float) and abs(own.rate - rate) > RATE_TOLERANCE * rate:
        raise DataError(
            f"{path.name} has {rate:g} samples of {m} a second, not {own.rate:g}",
            where=where,
            expected=f"rate: {rate:g}, or no rate: the file says it",
        )
    return tracks


def read_channel(path: Path, name: str, own: OwnChannels | None, where: str, zone: tzinfo) -> Track:
    """Return one channel of a file, or column of a table with the times or rate in `own`. Raises DataError as
    `open_signals`."""
    stated = own or OwnChannels(channels={name: name})
    with _open_file(path, zone, stated.reading) as find:
        (track,) = choose_tracks(path, "trials", Channels(channels={name: name}), find("trials", stated, where), where)
        return replace(track, read=partial(cut_part, track.read(0, track.samples)))


@contextmanager
def _open_file(path: Path, zone: tzinfo, how: tables.Reading) -> Iterator[Find]:
    if path.suffix.lower() not in TABLES:
        check_matlab(path)
        with open_recording(path) as tracks_of:
            yield lambda _, own, __: tracks_of(own)
    elif path.is_file() and e4.is_signal_file(path):
        tracks = _read_e4_channels(path)
        yield lambda *_: tracks
    else:
        with tables.open_table(path, how) as rows:
            yield partial(_open_columns, path, rows, zone)


def _read_e4_channels(path: Path) -> list[Track]:
    """Return the channels in a file of an E4: `x`, `y` and `z` in g, or one named by the file, such as `eda`."""
    rate, data = e4.read_any_signal(path)
    moved = data.shape[1] > 1
    names = e4.CARDS["acc"].channels if moved else (path.stem.lower(),)
    data = data * e4.COUNT_G if moved else data
    return [Track(name, rate, len(data), None, partial(cut_part, x)) for name, x in zip(names, data.T, strict=True)]


def _open_columns(path: Path, rows: tables.Rows, zone: tzinfo, m: str, own: OwnChannels, where: str) -> list[Track]:
    """Return the columns of a table."""
    if own.time:
        return _read_timed(path, own.time, rows, own, where, zone)
    if rows.names[-1] == "IBI" and math.isfinite(tables.parse_number(rows.names[0])):
        raise DataError(
            "intervals between beats of an Empatica E4, not samples at a rate",
            where=str(path),
            expected="a signal's file, such as BVP.csv, in which the beats are",
        )
    form = tables.find_dialect(path, own.reading)
    rate = form.before.rate or own.rate
    if not isinstance(rate, float):
        raise DataError(
            f"how many samples of {m} a second does {path.name} have?",
            where=where,
            expected="`rate`, or `time`: the column with the time of each row",
        )

    def read(name: str, first: int, last: int) -> np.ndarray:
        return _parse_numbers(rows.read(first, last)[name], name, path, first, own)

    tracks = [Track(name, rate, rows.length, form.unit(name), partial(read, name)) for name in rows.names]
    return _add_placed(tracks, form, own)


def _add_placed(tracks: Sequence[Track], form: tables.Dialect, own: OwnChannels) -> list[Track]:
    """Return the tracks of a table's columns. Columns that the description selects by position or by another spelling
    are added a second time, with the name in the description."""
    names = form.names
    by = {name: find_column(names, name, form.before.others) for name in own.channels.values() if name not in names}
    again = (replace(track, name=name) for name, real in by.items() for track in tracks if track.name == real)
    return [*tracks, *again]


def _read_timed(path: Path, column: str, rows: tables.Rows, own: OwnChannels, where: str, zone: tzinfo) -> list[Track]:
    """Return the columns of a table with a time in each row: samples on an even grid, NaN for missing ones."""
    tables.check_columns(path, rows.names, [column], where)
    form, column = tables.find_dialect(path, own.reading), find_column(rows.names, column)
    for name in own.channels.values():
        if find_column(rows.names, name, form.before.others) == column:
            what = f"channel `{name}` of {path.name} is the column of times"
            raise DataError(what, where=where, expected=f"columns of samples among {', '.join(rows.names[:20])}")
    table = _drop_texts(tables.read_columns(path, rows.names, where, own.reading), column)
    at, second, dated = _parse_times(table[column], own, path, zone)
    if (repeats := _find_repeats(at)).size:
        table = _drop_doubles(table, repeats, path, column)
        at = np.delete(at, repeats)
    stated = own.rate if isinstance(own.rate, float) else form.before.rate
    if are_packets(at):
        measured, place, late_s = place_packets(at)
        rate = _settle_rate(measured, float(at[-1]), stated, path, column, where)
        index = _check_places(place, at, rate, path, column, even=late_s <= max(JITTER_S, _LATE * _measure_packets(at)))
    else:
        first = _find_stretches(at)
        rate = _find_rate(at, first, stated, path, column, where)
        index = _place_samples(at, first, rate, path, column)

    def read(name: str, first: int, last: int) -> np.ndarray:
        full = np.full(index[-1] + 1, np.nan)
        full[index] = _parse_numbers(table[name], name, path, 0, own)
        return full[first:last]

    start, length = second if dated else None, int(index[-1]) + 1
    tracks = [Timed(name, rate, length, form.unit(name), partial(read, name), start, second) for name in rows.names]
    return _add_placed(tracks, form, own)


def _find_repeats(times: np.ndarray) -> np.ndarray:
    """Return the rows (k,) with the same time as the row before, if these are few and times are finer than samples."""
    steps = np.diff(times)
    again = 1 + np.flatnonzero(steps == 0)
    rare = again.size <= RATE_TOLERANCE * len(times) and float(np.median(steps)) > 2 * _RESOLUTION_S
    return again if rare else again[:0]


def _drop_doubles(table: pd.DataFrame, again: np.ndarray, path: Path, column: str) -> pd.DataFrame:
    """Return the rows without repeated rows. Raises DataError if two rows with the same time differ."""
    for k in again.tolist():
        if not table.iloc[k].equals(table.iloc[k - 1]):
            what = f"column {column}: rows {k} and {k + 1} have one time and other values"
            raise DataError(what, where=str(path), expected="a time for each row", hint="remove one of the rows")
    return table.drop(index=table.index[again]).reset_index(drop=True)


def _drop_texts(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows without rows that contain texts but no number, such as events between samples."""
    numbers = table.drop(columns=column).select_dtypes("number")
    texts = table.drop(columns=column).select_dtypes("object")
    if numbers.empty or texts.empty:
        return table
    events = numbers.isna().all(axis=1) & texts.notna().any(axis=1)
    return table[~events].reset_index(drop=True) if events.any() and not events.all() else table


def _parse_numbers(column: pd.Series, name: str, path: Path, before: int, own: OwnChannels) -> np.ndarray:
    tables.check_marks(path, name, column, own.reading)
    values = pd.to_numeric(parse_marked_numbers(column), errors="coerce")
    if wrong := np.flatnonzero((values.isna() & column.notna()).to_numpy()).tolist():
        raise DataError(
            f"column {name}, row {before + wrong[0] + 1}: `{str(column.iloc[wrong[0]])[:40]}` is not a number",
            where=str(path),
            expected="numbers, and empty cells where samples were lost",
        )
    return values.to_numpy(np.float64)


def _parse_times(column: pd.Series, own: OwnChannels, path: Path, zone: tzinfo) -> tuple[np.ndarray, float, bool]:
    """Return the seconds of each row (n,) from the first row, the time of the first row, and whether that time is a
    date or unix time."""
    tables.check_marks(path, str(column.name), column, own.reading)
    column = parse_marked_numbers(column)
    if pd.api.types.is_numeric_dtype(column):
        seconds = column.to_numpy(np.float64)
        _check_unit(seconds, own, path)
        seconds = seconds * TIME_UNITS[own.time_unit]
        absolute = seconds[0] > UNIX_S
    elif _CLOCK.fullmatch(str(column.iloc[0])) and column.astype(str).str.fullmatch(_CLOCK).all():
        seconds = pd.to_timedelta(column.str.strip()).dt.total_seconds().to_numpy(np.float64)
        seconds, absolute = seconds + 86_400 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43_200), False
    else:
        parsed = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
        if re.fullmatch(r"[^Zz+-]*\d", str(column.iloc[0])[10:]):  # no offset after the day
            local = parsed.dt.tz_localize(None)
            parsed = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
        seconds, absolute = (parsed - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64), True
    if wrong := np.flatnonzero(~np.isfinite(seconds)).tolist():
        raise DataError(
            f"column {own.time}, row {wrong[0] + 1}: `{str(column.iloc[wrong[0]])[:40]}` is not a time",
            where=str(path),
            expected="numbers, or dates such as 2024-03-01 14:05:00.250",
        )
    if len(seconds) < 2 or (falls := np.flatnonzero(np.diff(seconds) < 0)).size:
        row = int(falls[0]) + 2 if len(seconds) > 1 else 1
        raise DataError(f"column {own.time}, row {row}: time does not rise", where=str(path), expected="rows in order")
    return seconds - seconds[0], float(seconds[0]), bool(absolute)


def find_first_time(path: Path, own: OwnChannels, zone: tzinfo) -> float | None:
    """Return the time of a table's first row in unix seconds; None if times count from the start of the table. Raises
    DataError."""
    with tables.open_table(path, own.reading) as rows:
        if (time := find_column(rows.names, str(own.time))) not in rows.names:
            return None
        _, second, dated = _parse_times(rows.read(0, min(2, rows.length))[time], own, path, zone)
        return second if dated else None


def _check_unit(times: np.ndarray, own: OwnChannels, path: Path) -> None:
    """Raise DataError if the size of the numbers (n,) shows unix times in another unit than the stated one."""
    if not len(times) or not math.isfinite(times[0]) or times[0] < UNIX_S:
        return
    unit = next((name for most, name, _ in UNIX_UNITS if times[0] < most), "ns")
    if unit != own.time_unit:
        raise DataError(
            f"column {own.time}: by its size, {times[0]:.0f} is a unix time in {unit}, not in {own.time_unit}",
            where=str(path),
            expected=f"time_unit: {unit}" if unit in TIME_UNITS else "unix times in s, ms or us",
        )


def _find_stretches(times: np.ndarray) -> np.ndarray:
    """Return the first row (k,) of each stretch of times (n,) in which no sample is missing."""
    steps = np.diff(times)
    step = float(np.median(steps)) if len(steps) else 0.0
    return np.concatenate([[0], 1 + np.flatnonzero(steps > 1.6 * step)]) if step > 0 else np.zeros(1, np.int64)


def _find_rate(
    at: np.ndarray, first: np.ndarray, stated: float | None, path: Path, column: str, where: str
) -> float:  # fmt: skip
    """Return the rate in Hz, from times (n,) and the first rows (k,) of stretches. It must equal the stated rate."""
    step, mean = float(np.median(np.diff(at))), max(float(at[-1]), 1e-9) / (len(at) - 1)
    last = np.concatenate([first[1:] - 1, [len(at) - 1]])
    seconds, count = float((at[last] - at[first]).sum()), int((last - first).sum())
    found = 1 / mean if step <= 0 or (abs(mean / step - 1) < 0.1 and _are_even(at, 1 / mean)) else count / seconds
    return _settle_rate(found, float(at[-1]), stated, path, column, where)


def _settle_rate(found: float, seconds: float, stated: float | None, path: Path, column: str, where: str) -> float:
    """Return the stated or a usual rate if it is so close that no time moves, else `found`; 0 if times have no rate."""
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


def _measure_packets(times: np.ndarray) -> float:
    """Return the usual seconds between packets by the times (n,) of their samples."""
    return float(np.median(np.diff(np.unique(times))))


def _are_even(times: np.ndarray, rate: float) -> bool:
    """Return True if samples at times (n,) are evenly spaced, apart from rounding and jitter of the clock."""
    return bool(np.abs(times - np.arange(len(times)) / rate).max() <= JITTER_S)


def _place_samples(times: np.ndarray, first: np.ndarray, rate: float, path: Path, column: str) -> np.ndarray:
    """Return the place (n,) of each sample on an even grid. `first` (k,): first row of each stretch, see
    `_find_stretches`."""
    whole, steps = np.arange(len(times), dtype=np.float64), np.diff(times)
    lengths = np.diff(np.concatenate([first, [len(times)]]))
    begun = np.repeat(first, lengths)
    near = np.abs(times - times[begun] - (whole - begun) / rate) <= 0.5 / rate + _RESOLUTION_S
    if _are_even(times, rate) and (len(first) == 1 or not near.all()):
        place = whole  # no sample is missing
    elif near.all() and len(first) < 0.1 * len(times) and (steps > 0).all():
        # Samples of a stretch are consecutive. It begins at the time of its first sample, or after the one before.
        place = whole + np.repeat(np.maximum.accumulate(np.round(times[first] * rate) - first), lengths)
    else:
        place = np.round(times * rate)  # each sample at its own time
    return _check_places(place, times, rate, path, column)


def _check_places(
    place: np.ndarray, at: np.ndarray, rate: float, path: Path, column: str, *, even: bool = True
) -> np.ndarray:
    """Return places (n,) as integers. Raises DataError if they are too far apart, or if samples are unevenly spaced."""
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


def find_rows_at(path: Path, own: OwnChannels, seconds: np.ndarray, where: str, zone: tzinfo) -> np.ndarray:
    """Return the rows (n,) of a table at some seconds (n,) from its first."""
    if not own.time:
        at = np.floor(seconds * float(own.rate or tables.find_dialect(path, own.reading).before.rate or 1) + 1e-6)
        return np.minimum(at.astype(np.int64), len(tables.read_columns(path, [], where, own.reading)) - 1)
    times, *_ = _parse_times(tables.read_columns(path, [own.time], where, own.reading)[own.time], own, path, zone)
    return np.maximum(np.searchsorted(times, seconds + 1e-6, "right") - 1, 0)


def cut_piece(signal: Signal, start: float, stop: float) -> Signal | None:
    """Return a signal between two seconds, None if it has no sample there."""
    first = max(0, round(start * signal.rate))
    last = min(signal.data.shape[1], math.floor(stop * signal.rate + 1e-6))
    return replace(signal, data=signal.data[:, first:last]) if last > first else None


# When the files of own recordings began, by their first rows or their headers alone.

_DATETIME = re.compile(rb"<datetime>([^<]{10,40})</datetime>")


def find_file_start(path: Path, own: OwnChannels | None, zone: tzinfo) -> float | None:
    """Return the start of a file in unix seconds; None if the file lacks it. Headers without a time zone are in `zone`.

    Args:
        own: the channels of a table in the description; None for a file that states its own start.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return find_first_time(path, own, zone) if own and own.time else None
    try:
        if suffix == ".xdf":  # when the program that records was started, not when its first sample came
            found = _DATETIME.search(read_first_bytes(path))
            return datetime.fromisoformat(found[1].decode("ascii")).astimezone().timestamp() if found else None
    except (OSError, ValueError):  # a reader of the whole file says what is wrong with it
        return None
    return find_header_start(path, zone)


def find_start_and_order(own: str, starts: Mapping[str, float | None], same: Sequence[str]) -> dict[str, float | None]:
    """Return when a recording starts in its session, as `start_s`, and its position there, as `order`. Both are None if
    its start is unknown, or if two recordings of the session have the same start: then their order is ambiguous.

    Args:
        own: id of the recording.
        starts: id -> start in s of each of the subject's recordings, None if unknown.
        same: ids of the recordings in the session.
    """
    known = sorted(start for id_ in same if (start := starts[id_]) is not None)
    start = starts[own]
    if start is None or len(set(known)) < len(known):
        return {"start_s": None, "order": None}
    return {"start_s": start - known[0], "order": known.index(start) if len(known) == len(same) else None}
