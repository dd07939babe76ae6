"""CASE's tables, which are long: a session has 2.45 million rows. They are read in pieces, and only the rows of the
eight emotional videos are kept, so that a reader holds about half of a subject's signals (40 of 78 MB)."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.case.tree import AGAIN, CODES, LONGEST_MS, OBTAIN, VIDEOS, Plan, Tree, is_pointer, plan
from embench_plugins.datasets.formats import files

SENSORS = ("ecg", "bvp", "gsr", "rsp", "skt", "emg_zygo", "emg_coru", "emg_trap")
AXES = ("valence", "arousal")  # the joystick's x and y
REST = 5.0
"""Where the joystick stands when nobody moves it."""
GAP_MS = 100.0
"""Rows further apart than this have lost samples between them; below it lies the logger's jitter."""

# From volts to the units of the other trees, as the release's own scripts have it: value * scale + offset.
_VOLTS = {"ecg": (20.0, -56.0), "bvp": (58.962, -115.09), "gsr": (24.0, -49.2), "rsp": (58.923, -115.01),
          "skt": (21.341, -32.085), "emg_zygo": (250.0, -500.0), "emg_coru": (250.0, -500.0),
          "emg_trap": (250.0, -500.0)}  # fmt: skip
SCALE, OFFSET = (np.array([_VOLTS[name][part] for name in SENSORS]) for part in (0, 1))
STICK = 26225
"""The joystick's axes run from -STICK to STICK in the raw files, and from .5 to 9.5 in the others."""

_CHUNK = 200_000  # rows
_LARGEST = 2**30  # bytes; a session has 150 to 250 MB


class Piece(NamedTuple):
    """The signals during one video: (8, stop - start) float32, a column for each millisecond; NaN where rows lack."""

    video: int
    start_ms: int
    values: np.ndarray


@dataclass
class Seen:
    """What a reader saw of a whole table."""

    rows: int = 0
    last_ms: float = -np.inf
    last_code: float | None = None
    unordered: int = 0
    empty: int = 0
    unknown: set[float] = field(default_factory=set)
    skin_temperature: float = float("nan")


def read_signals(tree: Tree, person: int) -> tuple[Iterator[Piece], Seen]:
    """The signals of a subject's videos, in order of time, and what was seen of the table.

    Raises:
        DataError: the file is missing or damaged, its times or values are in other units, or a video is not whole.
    """
    path = tree.physiology[person]
    planned = plan(tree, person) if tree.kind == "raw" else None
    parts: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {code: [] for code in VIDEOS}
    seen = Seen()
    for time, values, codes in _pieces(path, "daqtime", SENSORS, np.float32, planned is not None, (0.5, 2.0)):
        if planned is not None:
            values = (values * SCALE + OFFSET).astype(np.float32)
        _note(seen, time, values, codes)
        if seen.rows == len(time):
            seen.skin_temperature = _skin(values[:, SENSORS.index("skt")], path)
        for code, rows in _rows(time, codes, planned):
            parts[code].append((time[rows], values[rows].T.copy()))
    missing = [str(code) for code, own in parts.items() if not own]
    if missing:
        what = f"no rows of video {', '.join(missing)}; the last row is at {seen.last_ms / 1000:.0f} s"
        raise DataError(what, where=str(path), expected="all of the videos 1 to 8", hint=AGAIN)
    spans = planned.videos if planned else _spans(parts, path)
    if seen.last_code in VIDEOS or seen.last_ms + GAP_MS < spans[-1][2]:
        what = f"the file ends after {seen.last_ms / 1000:.1f} s, inside video {spans[-1][0]}"
        raise DataError(what, where=str(path), expected="all of the session", hint=AGAIN)
    return _on_grid(parts, spans, path), seen


def _rows(time: np.ndarray, codes: np.ndarray | None, planned: Plan | None) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of a piece that belong to each video; by a plan, with neighbours to interpolate from."""
    if codes is not None:
        present = np.unique(codes)
        yield from ((code, np.flatnonzero(codes == code)) for code in VIDEOS if code in present)
        return
    for code, start, stop in planned.videos if planned else ():
        rows = np.flatnonzero((time >= start - GAP_MS) & (time <= stop + GAP_MS))
        if len(rows):
            yield code, rows


def _spans(parts: dict[int, list[Any]], path: Path) -> tuple[tuple[int, int, int], ...]:
    """(code, first millisecond, the one after the last) of the rows of each video, in order of time."""
    ends = {c: (min(t.min() for t, _ in own), max(t.max() for t, _ in own)) for c, own in parts.items()}
    spans = sorted(((c, int(np.ceil(a)), int(np.floor(b)) + 1) for c, (a, b) in ends.items()), key=lambda s: s[1])
    for code, start, stop in spans:
        rows = sum(len(time) for time, _ in parts[code])
        if stop - start > LONGEST_MS or rows < 0.5 * (stop - start):
            what = f"column video: {rows} rows of video {code} are scattered over {(stop - start) / 1000:.0f} s"
            raise DataError(what, where=str(path), expected="one stretch of rows 1 ms apart for each video", hint=AGAIN)
    for (code, _, stop), (other, start, _) in itertools.pairwise(spans):
        if start < stop:
            what = f"column video: the rows of videos {code} and {other} overlap in time"
            raise DataError(what, where=str(path), expected="one stretch of rows for each video", hint=AGAIN)
    return tuple(spans)


def _on_grid(
    parts: dict[int, list[tuple[np.ndarray, np.ndarray]]], spans: Sequence[tuple[int, int, int]], path: Path
) -> Iterator[Piece]:
    """Each video's rows at every millisecond: as they are where they lie there, else by straight lines between them."""
    for code, start, stop in spans:
        own = parts.pop(code)
        time, values = np.concatenate([t for t, _ in own]), np.concatenate([v for _, v in own], axis=1)
        grid = np.arange(start, stop, dtype=np.float64)
        if not np.array_equal(time, grid):
            order = np.argsort(time, kind="stable")
            time, values = time[order], values[:, order]
            if time[0] >= stop or time[-1] < start:
                what = f"no rows during video {code}"
                raise DataError(what, where=str(path), expected="the whole session", hint=AGAIN)
            after = np.searchsorted(time, grid)
            before = np.searchsorted(time, grid, "right") - 1
            known = (after < len(time)) & (before >= 0)
            known &= time[np.minimum(after, len(time) - 1)] - time[np.maximum(before, 0)] <= GAP_MS
            values = np.stack([np.interp(grid, time, row) for row in values]).astype(np.float32)
            values[:, ~known] = np.nan
        yield Piece(code, start, values)


def read_annotations(tree: Tree, person: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The joystick's time in ms (n,) and values (n, 2) as valence and arousal, .5 to 9.5, by time; and how many
    rows were not.

    Raises:
        DataError: the file is damaged, or its times or values are in other units.
    """
    path, raw = tree.annotations[person], tree.kind == "raw"
    read = list(_pieces(path, "jstime", AXES, np.float64, raw, (1.0, 200.0)))
    time, values = np.concatenate([part[0] for part in read]), np.concatenate([part[1] for part in read])
    if raw:
        values = np.round(0.5 + 9 * (values + STICK) / (2 * STICK), 3)  # as the other trees are rounded
    unordered, order = int((np.diff(time) < 0).sum()), np.argsort(time, kind="stable")
    time, values = time[order], values[order]
    there = np.abs(values[np.isfinite(values)])
    if there.size and (there.max() <= 1 or (there > 10).mean() > 0.01):
        raise DataError(
            f"valence and arousal go up to {there.max():g}", where=str(path), expected="annotations from 0.5 to 9.5",
            hint="these were rescaled, or are of another tree: " + OBTAIN,
        )  # fmt: skip
    return time, values, unordered


def _pieces(
    path: Path, clock: str, columns: Sequence[str], dtype: type, raw: bool, steps_ms: tuple[float, float]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """A table as pieces of (times in ms (n,), values (n, columns), video codes (n,) or None where it has none)."""
    names = (clock, *columns) if raw else (clock, *columns, "video")
    at = list(range(len(names))) if raw else _header(path, names)
    types = {place: dtype if name in columns else np.float64 for name, place in zip(names, at, strict=True)}
    options = {"sep": "\t" if raw else ",", "header": None, "skiprows": 0 if raw else 1, "usecols": at}
    first = True
    for frame in _frames(path, names, at, options, types):
        table = {name: frame[place].to_numpy() for name, place in zip(names, at, strict=True)}
        time, codes = table[clock] * (1000.0 if raw else 1.0), table.get("video")
        for name, values in ((clock, time), ("video", codes)):
            if values is not None and not np.isfinite(values).all():
                row = frame.index[~np.isfinite(values)][0] + 1
                raise DataError(f"column {name}, row {row}: no value", where=str(path), hint=AGAIN)
        if first:
            _check_steps(path, time, steps_ms, raw)
            first = False
        yield time, np.stack([table[name] for name in columns], axis=1), codes
    if first:
        raise DataError("the table has no rows", where=str(path), expected=", ".join(names), hint=AGAIN)


def _header(path: Path, names: Sequence[str]) -> list[int]:
    """Where the named columns are. Raises DataError where one is not."""
    _check_size(path)
    with path.open("rb") as file:
        line = file.readline(2**16).decode("utf-8-sig", errors="replace")
    header = [name.strip().strip('"').lower() for name in line.split(",")]
    if missing := [name for name in names if name not in header]:
        raise DataError(
            f"no column {', '.join(missing)}, but {', '.join(header)[:80]}", where=str(path),
            expected=", ".join(names), hint="this file is of another folder or another dataset: " + OBTAIN,
        )  # fmt: skip
    return [header.index(name) for name in names]


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise DataError("the file is missing", where=str(path), hint=OBTAIN)
    if is_pointer(path):
        raise DataError("this is a pointer of a git checkout", where=str(path), hint=f"git lfs pull, or {OBTAIN}")
    if not 0 < (size := path.stat().st_size) < _LARGEST:
        raise DataError(f"the file has {size} bytes", where=str(path), expected="150 to 250 million", hint=AGAIN)


def _frames(
    path: Path, names: Sequence[str], at: Sequence[int], options: dict[str, Any], types: dict[int, type]
) -> Iterator[pd.DataFrame]:
    """The table in pieces, as numbers; DataError names the cell where it is none."""
    _check_size(path)
    options = options | {"chunksize": _CHUNK, "quoting": csv.QUOTE_NONE, "encoding_errors": "replace"}
    try:
        with pd.read_csv(path, dtype=types, **options) as pieces:
            yield from pieces
    except (ValueError, OverflowError) as error:  # pandas' errors of parsing are ValueErrors
        try:
            with pd.read_csv(path, dtype=str, **options) as pieces:
                for piece in pieces:
                    named = piece[list(at)].set_axis(list(names), axis=1)
                    files.numbers(named, path, expected=", ".join(names), hint=AGAIN)
        except (ValueError, OverflowError):
            pass
        what = f"not readable as a table: {error}"
        raise DataError(what, where=str(path), expected=", ".join(names), hint=AGAIN) from error


def _check_steps(path: Path, time: np.ndarray, steps_ms: tuple[float, float], raw: bool) -> None:
    """Raises DataError where times are in another unit, or rows further apart than the tree's are."""
    step = float(np.median(np.diff(np.sort(time)))) if len(time) > 1 else np.nan
    if steps_ms[0] <= step <= steps_ms[1]:
        return
    unit = "seconds" if raw else "ms"
    raise DataError(
        f"rows are {step:g} ms apart, if the times are in {unit}",
        where=str(path),
        expected=f"rows {steps_ms[0]:g} to {steps_ms[1]:g} ms apart; times in seconds in raw files, else in ms",
        hint="the times are in another unit, or the table was resampled: " + OBTAIN,
    )


def _skin(values: np.ndarray, path: Path) -> float:
    """Median skin temperature. Raises DataError where it tells that the values are volts, or were converted twice."""
    there = values[np.isfinite(values)]
    median = float(np.median(there)) if there.size else float("nan")
    if abs(median) < 10 or abs(median) > 100:
        raise DataError(
            f"column skt: its median is {median:.3g}, which is no skin temperature", where=str(path),
            expected="degrees Celsius in csv files, volts in raw txt files",
            hint="volts belong into raw/physiological/sub1_DAQ.txt; or " + OBTAIN,
        )  # fmt: skip
    return median


def _note(seen: Seen, time: np.ndarray, values: np.ndarray, codes: np.ndarray | None) -> None:
    """Adds a piece to what was seen, and makes whatever is no number NaN."""
    seen.unordered += int((np.diff(time) < 0).sum()) + int(time[0] < seen.last_ms)
    seen.rows += len(time)
    values[~np.isfinite(values)] = np.nan
    seen.empty += int(np.isnan(values).sum())
    latest = int(time.argmax())
    if time[latest] >= seen.last_ms:
        seen.last_ms, seen.last_code = float(time[latest]), None if codes is None else float(codes[latest])
    if codes is not None:
        seen.unknown |= set(np.unique(codes).tolist()) - CODES
