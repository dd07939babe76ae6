"""The folders and tables of CASE: which of the release's trees a folder holds, and the rows of the emotional videos."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.formats import files

# The folders of CASE: which of the release's trees exists, and the times of videos by its metadata.

PEOPLE = 30
VIDEOS = {1: "amusing", 2: "amusing", 3: "boring", 4: "boring", 5: "relaxed", 6: "relaxed", 7: "scary", 8: "scary"}
"""Code of an emotional video -> the emotion that it is meant to evoke."""
OTHER_VIDEOS = {10: "startVid", 11: "bluVid", 12: "endVid"}
CODES = {*VIDEOS, *OTHER_VIDEOS}
EXPECTED = "data/interpolated/physiological/sub_1.csv and data/interpolated/annotations/sub_1.csv, for each subject"
OBTAIN = "download CASE_full.zip (doi 10.6084/m9.figshare.8869157, open to anybody), unpack it, pass the folder"
AGAIN = "the file is cut short or damaged: unpack it again from CASE_full.zip"

LONGEST_MS = 1_800_000
"""Greatest plausible length of a video."""

_PHYSIOLOGY = re.compile(r"sub_?(\d{1,4})(?:\.csv|_daq\.txt)", re.IGNORECASE)
_ANNOTATIONS = re.compile(r"sub_?(\d{1,4})(?:\.csv|_joystick\.txt)", re.IGNORECASE)


class Tree(NamedTuple):
    """One of the release's trees: its folder, and the files of each subject by number."""

    kind: str  # interpolated | non-interpolated | raw
    folder: Path
    physiology: dict[int, Path]
    annotations: dict[int, Path]
    others: tuple[str, ...] = ()  # kinds that exist too and are not read


class Plan(NamedTuple):
    """The times of one subject's emotional videos, each as (code, first millisecond, millisecond after the last), and
    the files that state these times."""

    videos: tuple[tuple[int, int, int], ...]
    sources: tuple[Path, ...]


def find_tree(root: Path) -> Tree:
    """Return the tree to read: interpolated if it exists, else non-interpolated, else raw.

    Raises:
        DataError: no tree is found, its files are pointers of a git checkout, or one of its two folders has no files.
    """
    if not root.is_dir():
        raise files.missing_dataset_error(root, "CASE", expected=EXPECTED, hint=OBTAIN)
    names = ("physiological", "annotations")
    folders = sorted({path.parent for depth in range(5) for name in names for path in root.glob("*/" * depth + name)})
    trees = [tree for folder in folders if (tree := _find_files(folder)).physiology or tree.annotations]
    whole = [tree for tree in trees if tree.physiology and tree.annotations]
    real = sorted((tree for tree in whole if not is_pointer(next(iter(tree.physiology.values())))), key=_rank_tree)
    if real:
        return real[0]._replace(others=tuple(tree.kind for tree in real[1:]))
    if whole:
        what = "the files are pointers of a git checkout without its large files"
        raise DataError(what, where=str(whole[0].folder), expected=EXPECTED, hint=f"git lfs pull, or {OBTAIN}")
    if trees:
        lacking = "annotations" if trees[0].physiology else "physiological"
        what = f"there are no files in {lacking}, only in the folder beside it"
        raise DataError(what, where=str(trees[0].folder / lacking), expected=EXPECTED, hint=OBTAIN)
    if folders:
        what = "there are no data in the data folders, as in a checkout of the git repository, which has raw files only"
        raise DataError(what, where=str(folders[0]), expected=EXPECTED, hint=OBTAIN)
    raise files.missing_dataset_error(root, "CASE", expected=EXPECTED, hint=OBTAIN)


def _find_files(folder: Path) -> Tree:
    """Return the tree in a folder. Text files show the raw tree; the folder's name tells the others apart."""
    physiology = _find_numbered(folder / "physiological", _PHYSIOLOGY)
    annotations = _find_numbered(folder / "annotations", _ANNOTATIONS)
    if any(path.suffix.lower() == ".txt" for path in (*physiology.values(), *annotations.values())):
        kind = "raw"
    else:
        kind = "non-interpolated" if folder.resolve().name.lower().startswith("non") else "interpolated"
    return Tree(kind, folder, physiology, annotations)


def _find_numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """Return subject's number -> file, for the files of a folder whose name matches `pattern`."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*")):
        if (match := pattern.fullmatch(path.name)) and path.is_file():
            if (number := int(match[1])) in found:
                what = f"two files of subject {number}: {found[number].name} and {path.name}"
                raise DataError(what, where=str(folder), expected="one file per subject", hint="remove one of the two")
            found[number] = path
    return dict(sorted(found.items()))


def _rank_tree(tree: Tree) -> tuple[int, str]:
    return ("interpolated", "non-interpolated", "raw").index(tree.kind), str(tree.folder)


def is_pointer(path: Path) -> bool:
    """Return True if a file is a pointer of Git LFS in place of a file that was not fetched."""
    with path.open("rb") as file:
        return file.read(40).startswith(b"version https://git-lfs")


def read_metadata(tree: Tree, name: str) -> Path | None:
    """Return the path of a file in the release's metadata folder, which lies beside `data`; None if it is missing."""
    above = tree.folder.resolve().parents
    found = [folder / "metadata" / name for folder in above[:2] if (folder / "metadata" / name).is_file()]
    return found[0] if found else None


def plan(tree: Tree, person: int) -> Plan:
    """Return the times of a subject's videos, from the release's order and durations of videos, in milliseconds.

    As in the release's script, a video ends at the millisecond closest to its duration after the end of the one before.
    The times thus agree with the codes of the interpolated tree.

    Raises:
        DataError: a file is missing, names unknown videos, or lacks the subject.
    """
    orders, durations = (read_metadata(tree, name) for name in ("seqs_order.txt", "videos_duration.txt"))
    if orders is None or durations is None:
        raise DataError(
            "raw files do not say which video was on, and there is no metadata/seqs_order.txt and videos_duration.txt",
            where=str(tree.folder), expected="the release's metadata folder beside its data folder", hint=OBTAIN,
        )  # fmt: skip
    header, *lines = _read_cells(orders)
    columns = {int(match[1]): at for at, name in enumerate(header) if (match := re.search(r"sub_?(\d{1,4})$", name))}
    if person not in columns:
        raise DataError(f"no column of subject {person}", where=str(orders), expected="a column each: seq_sub1")
    lengths = {line[0].lower(): _parse_duration(line, durations) for line in _read_cells(durations)[1:]}
    videos, end = [], -1
    for name in [line[columns[person]] for line in lines if len(line) > columns[person] and line[columns[person]]]:
        if name.lower() not in lengths:
            raise DataError(f"no duration of video {name}", where=str(durations), expected=f"all videos of {orders}")
        start, end = end + 1, int(np.ceil(max(end, 0) + lengths[name.lower()] - 0.5))
        if (code := _find_code(name, orders)) in VIDEOS:
            videos.append((code, start, end + 1))
    if sorted(code for code, _, _ in videos) != sorted(VIDEOS):
        what = f"subject {person} has {len(videos)} emotional videos"
        raise DataError(what, where=str(orders), expected="8, each once")
    return Plan(tuple(videos), (orders, durations))


def _read_cells(path: Path) -> list[list[str]]:
    """Return the rows of a small tab-separated table, as cells without quotes. A line may end with a stray tab."""
    text = path.read_text("utf-8-sig", errors="replace") if path.stat().st_size < 2**20 else ""
    rows = [[cell.strip().strip('"') for cell in line.split("\t")] for line in text.splitlines() if line.strip()]
    if len(rows) < 2:
        raise DataError("this is not a table of videos", where=str(path), expected="a header and rows", hint=OBTAIN)
    return rows


def _parse_duration(line: Sequence[str], path: Path) -> float:
    try:
        length = float(line[1])
    except (ValueError, IndexError):
        length = -1.0
    if not 0 < length < LONGEST_MS:
        raise DataError(f"video {line[0]} has no duration", where=str(path), expected="milliseconds", hint=OBTAIN)
    return length


def _find_code(name: str, path: Path) -> int:
    """Return the code of a video that a metadata file names, such as 2 for `amusing-2`."""
    codes = {f"{kind}-{2 - code % 2}": code for code, kind in VIDEOS.items()}
    codes |= {other.lower(): code for code, other in OTHER_VIDEOS.items()}
    if name.lower() not in codes:
        raise DataError(f"unknown video {name}", where=str(path), expected=", ".join(codes))
    return codes[name.lower()]


# CASE's tables. A session has 2.45 million rows, so they are read in pieces, and only the rows of the eight emotional
# videos are kept: about half of a subject's signals (40 of 78 MB).

SENSORS = ("ecg", "bvp", "gsr", "rsp", "skt", "emg_zygo", "emg_coru", "emg_trap")
AXES = ("valence", "arousal")  # the joystick's x and y
REST = 5.0
"""Value of the joystick at rest."""
GAP_MS = 100.0
"""Between rows that are further apart than this, samples were lost. Smaller differences are the logger's jitter."""

# Conversion from volts to the units of the other trees, from the release's scripts: value * scale + offset.
_VOLTS = {"ecg": (20.0, -56.0), "bvp": (58.962, -115.09), "gsr": (24.0, -49.2), "rsp": (58.923, -115.01),
          "skt": (21.341, -32.085), "emg_zygo": (250.0, -500.0), "emg_coru": (250.0, -500.0),
          "emg_trap": (250.0, -500.0)}  # fmt: skip
SCALE, OFFSET = (np.array([_VOLTS[name][part] for name in SENSORS]) for part in (0, 1))
STICK = 26225
"""The joystick's values are -STICK to STICK in the raw files, and .5 to 9.5 in the others."""

_CHUNK = 200_000  # rows
_LARGEST = 2**30  # bytes; a session has 150 to 250 MB


class Piece(NamedTuple):
    """The signals during one video: (8, stop - start) float32, a column per millisecond, NaN for missing rows."""

    video: int
    start_ms: int
    values: np.ndarray


@dataclass
class Seen:
    """Facts about a whole table, collected while it is read."""

    rows: int = 0
    last_ms: float = -np.inf
    last_code: float | None = None
    unordered: int = 0
    empty: int = 0
    unknown: set[float] = field(default_factory=set)
    skin_temperature: float = float("nan")


def read_signals(tree: Tree, person: int) -> tuple[Iterator[Piece], Seen]:
    """Return the signals of a subject's videos, in order of time, and facts about the table.

    Raises:
        DataError: the file is missing or damaged, its times or values are in other units, or a video is incomplete.
    """
    path = tree.physiology[person]
    planned = plan(tree, person) if tree.kind == "raw" else None
    parts: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {code: [] for code in VIDEOS}
    seen = Seen()
    for time, values, codes in _read_pieces(path, "daqtime", SENSORS, np.float32, planned is not None, (0.5, 2.0)):
        if planned is not None:
            values = (values * SCALE + OFFSET).astype(np.float32)
        _update_facts(seen, time, values, codes)
        if seen.rows == len(time):
            seen.skin_temperature = _check_skin(values[:, SENSORS.index("skt")], path)
        for code, rows in _select_rows(time, codes, planned):
            parts[code].append((time[rows], values[rows].T.copy()))
    missing = [str(code) for code, pieces in parts.items() if not pieces]
    if missing:
        what = f"no rows of video {', '.join(missing)}; the last row is at {seen.last_ms / 1000:.0f} s"
        raise DataError(what, where=str(path), expected="all of the videos 1 to 8", hint=AGAIN)
    spans = planned.videos if planned else _find_spans(parts, path)
    if seen.last_code in VIDEOS or seen.last_ms + GAP_MS < spans[-1][2]:
        what = f"the file ends after {seen.last_ms / 1000:.1f} s, inside video {spans[-1][0]}"
        raise DataError(what, where=str(path), expected="all of the session", hint=AGAIN)
    return _interpolate(parts, spans, path), seen


def _select_rows(time: np.ndarray, codes: np.ndarray | None, planned: Plan | None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (video, indices of its rows) for each video in a piece of the table. For raw files, which have no codes,
    the rows lie up to `GAP_MS` around the planned times, to interpolate from."""
    if codes is not None:
        present = np.unique(codes)
        yield from ((code, np.flatnonzero(codes == code)) for code in VIDEOS if code in present)
        return
    for code, start, stop in planned.videos if planned else ():
        rows = np.flatnonzero((time >= start - GAP_MS) & (time <= stop + GAP_MS))
        if len(rows):
            yield code, rows


def _find_spans(parts: dict[int, list[Any]], path: Path) -> tuple[tuple[int, int, int], ...]:
    """Return (code, first millisecond, millisecond after the last) of each video's rows, in order of time."""
    times = {code: [time for time, _ in pieces] for code, pieces in parts.items()}
    ends = {code: (min(map(np.min, pieces)), max(map(np.max, pieces))) for code, pieces in times.items()}
    whole = [(code, int(np.ceil(first)), int(np.floor(last)) + 1) for code, (first, last) in ends.items()]
    spans = sorted(whole, key=lambda span: span[1])
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


def _interpolate(
    parts: dict[int, list[tuple[np.ndarray, np.ndarray]]], spans: Sequence[tuple[int, int, int]], path: Path
) -> Iterator[Piece]:
    """Yield each video's signals at every millisecond: the rows at these times, if complete, else interpolated."""
    for code, start, stop in spans:
        pieces = parts.pop(code)
        time, values = np.concatenate([t for t, _ in pieces]), np.concatenate([v for _, v in pieces], axis=1)
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
    """Return the joystick's times in ms (n,), its values (n, 2) of valence and arousal, .5 to 9.5, in order of time,
    and the number of rows that were out of order.

    Raises:
        DataError: the file is damaged, or its times or values are in other units.
    """
    path, raw = tree.annotations[person], tree.kind == "raw"
    read = list(_read_pieces(path, "jstime", AXES, np.float64, raw, (1.0, 200.0)))
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


def _read_pieces(
    path: Path, clock: str, columns: Sequence[str], dtype: type, raw: bool, steps_ms: tuple[float, float]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Yield pieces of a table: times in ms (n,) from the column `clock`, values (n, columns), and video codes (n,), or
    None for raw files. `steps_ms`: least and greatest step between rows."""
    names = (clock, *columns) if raw else (clock, *columns, "video")
    places = list(range(len(names))) if raw else _find_columns(path, names)
    types = {place: dtype if name in columns else np.float64 for name, place in zip(names, places, strict=True)}
    options = {"sep": "\t" if raw else ",", "header": None, "skiprows": 0 if raw else 1, "usecols": places}
    first = True
    for frame in _read_frames(path, names, places, options, types):
        table = {name: frame[place].to_numpy() for name, place in zip(names, places, strict=True)}
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


def _find_columns(path: Path, names: Sequence[str]) -> list[int]:
    """Return the positions of the named columns. Raises DataError if one is missing."""
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


def _read_frames(
    path: Path, names: Sequence[str], places: Sequence[int], options: dict[str, Any], types: dict[int, type]
) -> Iterator[pd.DataFrame]:
    """Yield the table in pieces, as numbers. Raises DataError, which names a cell that is not a number."""
    _check_size(path)
    options = options | {"chunksize": _CHUNK, "quoting": csv.QUOTE_NONE, "encoding_errors": "replace"}
    try:
        with pd.read_csv(path, dtype=types, **options) as pieces:
            yield from pieces
    except (ValueError, OverflowError) as error:  # pandas' errors of parsing are ValueErrors
        try:  # read again as text, to name the cell that is not a number
            with pd.read_csv(path, dtype=str, **options) as pieces:
                for piece in pieces:
                    named = piece[list(places)].set_axis(list(names), axis=1)
                    files.to_numbers(named, path, expected=", ".join(names), hint=AGAIN)
        except (ValueError, OverflowError):
            pass
        what = f"not readable as a table: {error}"
        raise DataError(what, where=str(path), expected=", ".join(names), hint=AGAIN) from error


def _check_steps(path: Path, time: np.ndarray, steps_ms: tuple[float, float], raw: bool) -> None:
    """Raise DataError if the rows' median step is not within `steps_ms`. `raw`: True if the file states seconds."""
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


def _check_skin(values: np.ndarray, path: Path) -> float:
    """Return the median skin temperature. Raises DataError if it shows volts, or values that were converted twice."""
    known = values[np.isfinite(values)]
    median = float(np.median(known)) if known.size else float("nan")
    if abs(median) < 10 or abs(median) > 100:
        raise DataError(
            f"column skt: its median is {median:.3g}, which is not a skin temperature", where=str(path),
            expected="degrees Celsius in csv files, volts in raw txt files",
            hint="volts belong into raw/physiological/sub1_DAQ.txt; or " + OBTAIN,
        )  # fmt: skip
    return median


def _update_facts(seen: Seen, time: np.ndarray, values: np.ndarray, codes: np.ndarray | None) -> None:
    """Add a piece of the table to the facts about the table, and replace its infinite values by NaN."""
    seen.unordered += int((np.diff(time) < 0).sum()) + int(time[0] < seen.last_ms)
    seen.rows += len(time)
    values[~np.isfinite(values)] = np.nan
    seen.empty += int(np.isnan(values).sum())
    latest = int(time.argmax())
    if time[latest] >= seen.last_ms:
        seen.last_ms, seen.last_code = float(time[latest]), None if codes is None else float(codes[latest])
    if codes is not None:
        seen.unknown |= set(np.unique(codes).tolist()) - CODES
