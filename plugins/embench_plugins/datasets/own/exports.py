"""Headers of exported tables, the preambles that devices' programs write above them, and logs of experiments.

`tables` reads the rows themselves, and asks here what the lines above them say.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own.unpacked import check_length

# The first lines of tables of text: separators, titles above the names of columns, and tables without names.

SEPARATORS = "\t;,"
_DATE = re.compile(r"\d{4}[-/]\d\d[-/]\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*|\d\d?:\d\d(:\d\d)?([.,]\d+)?")
_DECIMAL = re.compile(r"[+-]?\d*[.,]\d+([eE][+-]?\d+)?")
_NAMED = re.compile(r"([^\W\d_]*)[ _-]?\d+")
_NOTHING = frozenset({"", "na", "n/a", "nan", "null", "none"})


def find_separator(lines: Sequence[str]) -> str:
    """Return the mark that splits most lines into equally many cells, by default a comma."""
    bare = [re.sub(r'"[^"]*"', "", line) for line in lines if line.strip()]
    best = (0, ",")
    for mark in SEPARATORS:
        counts = Counter(n for line in bare if (n := line.count(mark)))
        most = counts.most_common(1)[0][1] if counts else 0
        best = max(best, (most, mark), key=lambda each: each[0])
    return best[1]


def split_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line, without quotes and spaces around them."""
    whole = re.sub(r'"[^"]*"', lambda found: found[0].replace(separator, "\0"), line)
    return [cell.strip().strip('"').strip().replace("\0", separator) for cell in whole.split(separator)]


def count_title_lines(lines: Sequence[str], separator: str) -> int:
    """Return the number of lines above the line of column names: lines with only one filled cell, or with another
    number of cells than the rows."""
    split = [split_cells(line, separator) for line in lines]
    filled = [len(row) for row in split if any(row)]
    later = filled[len(filled) // 3 :]
    if not later:
        return 0
    width = Counter(later).most_common(1)[0][0]
    if width == 1:
        used = [k for k, row in enumerate(split) if any(row)][:3]
        kinds = [not is_number(split[k][0]) for k in used]
        return used[1] if kinds == [True, True, False] and later.count(1) == len(later) else 0
    first = next((k for k, row in enumerate(split) if _fits(row, width, split)), 0)
    if sum(map(bool, split[first])) > 1 and len(split[first]) == width:
        return first
    lines_ = [k for k, row in enumerate(split) if any(row)]
    return next((k for k, below in pairwise(lines_) if k > first and _is_title(split[k], split[below], width)), first)


def _is_title(row: Sequence[str], below: Sequence[str], width: int) -> bool:
    """Return True if a line of texts precedes a line with numbers, and both have as many cells as the rows."""
    texts = [cell for cell in row if cell]
    named = len(texts) > 1 and not any(is_number(cell) or cell.lower() in _NOTHING for cell in texts)
    return named and len(row) == len(below) == width and any(map(is_number, below))


def _fits(row: Sequence[str], width: int, split: Sequence[Sequence[str]]) -> bool:
    """Return True if a line may contain names: as many cells as the rows, not counting empty cells at their end."""
    used, longest = sum(map(bool, row)), max((i for i, cell in enumerate(row, 1) if cell), default=0)
    if len(row) == width:
        return used > 1 or (width == 2 and used > 0)
    filled = (i for other in split if len(other) == width for i, cell in enumerate(other, 1) if cell)
    return used > 1 and longest >= max(filled, default=0)


def has_names(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return True if a line contains column names rather than values. A line has values if it has a date in a column of
    dates, or if most of its texts occur in their columns. Without texts, it has values if it has decimals in columns of
    decimals. A text above numbers is a name."""
    if all(is_number(cell) for cell in first):
        return False
    dates, decimals, texts, recurring = False, False, 0, 0
    for k, cell in enumerate(first):
        column = [row[k] for row in below if k < len(row) and row[k].lower() not in _NOTHING]
        if not column or cell.lower() in _NOTHING:
            continue
        numbers = all(map(is_number, column)) or all(map(_DATE.fullmatch, column))
        if numbers and not is_number(cell) and not _DATE.fullmatch(cell):
            return True
        if numbers:
            dates |= bool(_DATE.fullmatch(cell))
            decimals |= bool(_DECIMAL.fullmatch(cell)) and any(map(_DECIMAL.fullmatch, column))
        else:
            named = _NAMED.fullmatch(cell)
            stems = [match[1] for value in column if (match := _NAMED.fullmatch(value))]
            same = named is not None and named[1] != "" and len(stems) == len(column) and set(stems) == {named[1]}
            texts, recurring = texts + 1, recurring + (cell in column or same)
    return not (dates or 0 < texts <= 2 * recurring or (decimals and not texts))


def is_number(text: str) -> bool:
    """Return True for a finite number with a point or a comma."""
    try:
        return "_" not in text and math.isfinite(float(text.replace(",", ".")))
    except ValueError:
        return False


def find_column(columns: Sequence[str], name: str, others: Sequence[str] = ()) -> str:
    """Return the column with this name or alternative name. A number that is not a name is a position from 1."""
    if name not in columns and name in others:
        return columns[others.index(name)]
    if name in columns or not re.fullmatch(r"[1-9]\d{0,3}", name):
        return name
    if any(other.isdigit() and int(other) != k for k, other in enumerate(columns, 1)):
        return name
    return columns[int(name) - 1] if int(name) <= len(columns) else name


# The lines before the rows of tables that devices and programs export: names, units and rates, each in its way.

_UNIT = re.compile(
    r"[munµ]?[sv]|msecs|mvolts|k?ohms?|no[_ ]units|m/\(?s(ec)?\^?2\)?|m?g|deg/s(ec)?|(°|deg ?)?c|(degrees )?celsius|bpm"
    r"|k?hz|%|mmhg|k?pa|local(_flux)?|gauss|a\.u\.|unix|counts|rpm|yyyy/mm/dd hh:mm:ss\.000"
)
"""Units in small letters, which distinguish a line of units from a row."""
_FORMATS = frozenset({"CAL", "UNCAL", "RAW", ""})
_RATE = re.compile(r"(?i)sampl\w*[ _-]?(?:rate|freq\w*)\D{0,5}(\d+(?:\.\d+)?) ?hz")
_STEP = re.compile(r"\s*(\d*[.,]?\d+) (m?sec)/sample\b")
"""The interval between samples, as AcqKnowledge writes it."""
_CHANNELS = re.compile(r"(?:(?:min|m?sec|milliSec|hours?)[\t,; ]+)?CH\d+\b")
_BIOPAC_LINES = 4
_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+([eE][+-]?\d+)?")


class Preamble(NamedTuple):
    """Facts above the rows of a table: `lines`, the number of lines before the rows, or before the line of names if
    `names` is empty; `units`, by column, empty if unknown; `rate` in Hz; `others`, alternative names of the columns;
    `seconds`, (column of times, its unit in s)."""

    lines: int = 0
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    rate: float | None = None
    separator: str | None = None
    others: tuple[str, ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()

    def titled(self, titles: Sequence[str], units: Sequence[str]) -> Preamble:
        """Return the preamble with these names and units of the last columns; their previous names become alternative
        names."""
        before = len(self.names) - len(titles)
        if before not in (0, 1):
            return self
        made = [t if t and titles.count(t) == 1 else own for t, own in zip(titles, self.names[before:], strict=True)]
        return self._replace(names=(*self.names[:before], *made), units=(*[""] * before, *units), others=self.names)


def read_preamble(lines: Sequence[str], path: Path) -> Preamble:
    """Return the facts above the rows of a table, from its first lines. Raises DataError if the table is damaged."""
    if any(map(_STEP.match, lines[:_BIOPAC_LINES])):
        return _read_biopac(lines, path)
    return next(read(lines, path) for form, read in _KINDS if re.match(form, lines[0]))


def _read_opensignals(lines: Sequence[str], path: Path) -> Preamble:
    """Read a file of OpenSignals: a line of JSON with the columns, sensors and rate of each device."""
    names: list[str] = []
    try:
        end = next(k for k, line in enumerate(lines) if line.startswith("# EndOfHeader"))
        devices = json.loads(next(line for line in lines[:end] if line.startswith("# {"))[2:])
        for device in devices.values():
            sensors = dict(zip(device["label"], device["sensor"], strict=False))
            for column in map(str, device["column"]):
                sensor = str(sensors.get(column, "RAW"))
                known = list(sensors.values()).count(sensor) == 1 and sensor != "RAW"
                name = sensor if known else column if column in {*sensors, "nSeq"} else f"digital {column}"
                names.append(f"{name} {len(names) + 1}" if name in names else name)
        rates = [device.get("sampling rate") for device in devices.values()] or [None]
    except (StopIteration, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise _damaged_error(path, 2, "the header of OpenSignals cannot be read") from error
    known = rates[1:] == rates[:-1] and isinstance(rates[0], int | float) and 0 < rates[0] < 1e6
    return Preamble(end + 1, tuple(names), ("",) * len(names), float(rates[0]) if known else None, "\t")


def _read_labchart(lines: Sequence[str], path: Path) -> Preamble:
    """Read a file of LabChart: lines such as `ChannelTitle=`; rows may begin with their time and end with a comment."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        if not (found := re.match(r"(\w+)=\t?(.*)", line)):
            break
        fields[found[1]] = [cell.strip() for cell in found[2].split("\t")]
    titles = " \t".join(fields.get("ChannelTitle", [])).rstrip().split(" \t")
    rows = [[c for c in line.split("\t") if not c.startswith("#")] for line in lines[len(fields) :] if line.strip()]
    before = max((len("\t".join(row).rstrip().split("\t")) for row in rows), default=0) - len(titles)
    if not any(titles) or not 0 <= before <= 2:
        raise _damaged_error(path, len(fields), "the header of LabChart does not name the columns of the rows")
    times = ["Time" if _NUMBER.fullmatch(rows[0][0].strip()) else "Time of day", "Date"][:before]
    names = [*times, *(title or f"Channel {k}" for k, title in enumerate(titles, 1)), "Comment"]
    stated = zip_longest(fields.get("UnitName", ["*"] * len(titles)), fields.get("Range", []), fillvalue="")
    units = [*["s", ""][:before], *(full.partition(" ")[2] if unit == "*" else unit for unit, full in stated)]
    step = re.fullmatch(r"(\d*[.,]?\d+(?:[eE]-?\d+)?) ?(m?s)", fields["Interval"][0])
    seconds = float(step[1].replace(",", ".")) * (1e-3 if step[2] == "ms" else 1) if step else 0.0
    rate = float(f"{1 / seconds:.9g}") if 1e-6 < seconds < 1e6 else None
    return Preamble(len(fields), tuple(names), tuple(units), rate, "\t")


def _read_comments(lines: Sequence[str], path: Path) -> Preamble:
    """Read lines that begin with `#`. The last has the column names if rows with as many numbers follow."""
    first = next((k for k, line in enumerate(lines) if not line.startswith(("#", "%"))), None)
    if first is None:
        raise _damaged_error(path, len(lines), "only comments were found")
    separator = find_separator(lines[first:])
    cells, names = (split_cells(line, separator) for line in (lines[first], lines[first - 1].lstrip("#% ")))
    named = len(cells) == len(names) > 1 and any(map(_NUMBER.fullmatch, cells))
    rates = [float(found[1]) for line in lines[:first] if (found := _RATE.search(line))]
    rate = rates[0] if len(rates) == 1 else None
    if named:
        return Preamble(first if first > 1 else 0, tuple(names) if first > 1 else (), rate=rate)
    return Preamble(first + count_title_lines(lines[first:], separator), rate=rate)


def _read_emotiv(lines: Sequence[str], _: Path) -> Preamble:
    """Read a file of EmotivPRO: a line on the recording and its settings; files of older versions list the column names
    in it."""
    fields: dict[str, str] = dict(re.findall(r"([A-Za-z][\w ]*):([^,]*)", lines[0]))
    rate = re.search(r"(?:eeg_)?(\d+(?:\.\d+)?)", fields.get("sampling rate", fields.get("sampling", "")))
    names = tuple(fields.get("labels", "").split())
    return Preamble(1, names, ("",) * len(names), float(rate[1]) if rate else None, ",")


def _read_biopac(lines: Sequence[str], path: Path) -> Preamble:
    """Read a file of AcqKnowledge: the interval between samples, name and unit of each channel, a line of `CH1` and so
    on, and mostly a line with the number of samples."""
    rows = [(k, line.strip("\r")) for k, line in enumerate(lines) if line.strip()]
    first = next(i for i, (_, line) in enumerate(rows) if _STEP.match(line))
    step = _STEP.match(rows[first][1])
    count = re.match(r"\s*(\d+) channels?", rows[first + 1][1] if first + 1 < len(rows) else "")
    n = int(count[1]) if count else 0
    titles = [line.strip() for _, line in rows[first + 2 : first + 2 + 2 * n]]
    below = rows[first + 2 + 2 * n :]
    if step is None or not n or len(below) < 2 or not _CHANNELS.match(below[0][1]):
        what = "the header of AcqKnowledge does not name the channels of the rows"
        raise _damaged_error(path, rows[first][0] + 1, what)
    ms = float(step[1].replace(",", ".")) * (1 if step[2] == "msec" else 1000)
    return _read_numbered(below, path)._replace(rate=float(f"{1000 / ms:.9g}")).titled(titles[::2], titles[1::2])


def _read_channels(lines: Sequence[str], path: Path) -> Preamble:
    """Return the preamble of a table of AcqKnowledge that begins with the line of channels."""
    return _read_numbered([(k, line) for k, line in enumerate(lines) if line.strip()], path)


def _read_numbered(filled: Sequence[tuple[int, str]], path: Path) -> Preamble:
    """Return the preamble with the names in the line `CH1` and so on. A column of time may precede them, and a line
    with the number of samples may follow."""
    separator = find_separator([line for _, line in filled])
    names = [name for name in split_cells(filled[0][1], separator) if name]
    timed = not names[0].startswith("CH")
    counts = split_cells(filled[1][1], separator) if len(filled) > 1 else []
    counted = all(re.fullmatch(r"\d*", cell) for cell in counts) and any(counts)
    counted = counted and (counts[0] == "" if timed else _has_about_lines(path, int(counts[0] or 0)))
    factor = {"min": 60.0, "hour": 3600.0, "hours": 3600.0}.get(names[0], 1.0)
    seconds = ((names[0], factor),) if timed and factor != 1 else ()
    units = ("",) * len(names)
    return Preamble(filled[int(counted)][0] + 1, tuple(names), units, separator=separator, seconds=seconds)


def _has_about_lines(path: Path, count: int) -> bool:
    """Return True if the number of lines in a file is about `count`: within 200 lines plus 2 %."""
    with path.open("rb") as file:
        return (
            abs(sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - count) <= 200 + count / 50
        )


def _read_names(lines: Sequence[str], path: Path) -> Preamble:
    """Read a line of names and a line of units, as Shimmer's Consensys writes them: after a line with the separator,
    possibly with a line for the device above and for the format below. The prefix that all names share, the number of
    the device, is removed."""
    stated = re.match(r'"?sep=(.)"?\s*$', lines[0])
    first = 1 if stated else 0
    if len(lines) <= first:
        raise _damaged_error(path, 1, "only the separator is stated")
    separator = stated[1] if stated else find_separator(lines)
    title = count_title_lines(lines[first:], separator)
    rows = [split_cells(line, separator) for line in lines[first + title : first + title + 5]]
    filled = [cell for cell in rows[0] if cell]
    at = 1 if len(rows) > 2 and len(set(filled)) < len(filled) else 0
    after, units = at + 1 + (at + 1 < len(rows) and _FORMATS.issuperset(rows[at + 1])), list[str]()
    while after < len(rows) and any(rows[after]) and all(_UNIT.fullmatch(cell.lower()) for cell in rows[after] if cell):
        units, after = rows[after], after + 1
    if not units or after == len(rows) or not any(map(_NUMBER.fullmatch, rows[after])):
        return Preamble(first + title, separator=separator if stated else None)
    device = next((m[1] for name in rows[at] if (m := re.fullmatch(r"(.+?)Timestamp(_\w+)?_(CAL|RAW)", name))), "")
    names = tuple(name.removeprefix(device).removesuffix("_CAL") for name in rows[at])
    return Preamble(first + title + after, names, tuple(units), separator=separator)


def _damaged_error(path: Path, line: int, what: str) -> DataError:
    hint = "export the recording again, or save it as CSV with one line of names"
    return DataError(f"line {line}: {what}", where=str(path), expected="a whole export", hint=hint)


_KINDS = (
    ("# OpenSignals", _read_opensignals), ("Interval=", _read_labchart), ("[#%]", _read_comments),
    ("title:", _read_emotiv), (_CHANNELS, _read_channels), ("", _read_names),
)  # fmt: skip
"""The beginnings of the first line of each kind of file."""


# Movisens: tables of values whose names, units and rates stand in the `unisens.xml` beside them.

_MOST_BYTES = 1 << 20


def read_unisens(path: Path) -> Preamble | None:
    """Read names, units and rate of a table from the file `unisens.xml` in the same folder; None if the file or its
    entry is missing.

    Raises:
        DataError: it cannot be read.
    """
    header = path.parent / "unisens.xml"
    if not header.is_file() or header.stat().st_size > _MOST_BYTES:
        return None
    try:
        root = ET.fromstring(header.read_bytes())  # noqa: S314 (small, and without its own entities)
    except ET.ParseError as error:
        raise DataError(f"not readable as XML: {error}", where=str(header), hint="copy it again") from error
    for entry in root:
        kind = entry.tag.rpartition("}")[2]
        if entry.get("id") != path.name or kind not in ("signalEntry", "valuesEntry", "eventEntry"):
            continue
        parts = {part.tag.rpartition("}")[2]: part for part in entry}
        form, rate = parts.get("csvFileFormat"), float(entry.get("sampleRate") or 1)
        names = [str(part.get("name")) for part in entry if part.tag.rpartition("}")[2] == "channel"]
        if kind == "eventEntry":
            names = ["type", "comment"]
        units = [entry.get("unit") or ""] * len(names)
        separator = (form.get("separator") if form is not None else None) or ";"
        separator = "\t" if separator == "\\t" else separator
        if kind == "signalEntry":
            return Preamble(0, tuple(names), tuple(units), rate, separator)
        return Preamble(0, ("time", *names), ("s", *units), None, separator, seconds=(("time", 1 / rate),))
    return None


# Times in the logs of experiments, which count from the start of each: as dates, where a log says when that was.

HEADER = ("Subject", "Session", "SessionDate", "SessionTime", "SessionStartDateTimeUtc")
_PROGRAMS = {"E-Prime": {"Procedure", "Running"}, "Presentation": {"Code", "TTime"}, "PsychoPy": {"expName", "date"}}
_UTC_FORMS = ("%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S")
"""How E-Prime writes the start, as the computer's region has it; `SessionDate` tells days from months."""
PAIRS = {"OnsetTime": "OffsetTime", "StartTime": "FinishTime", "started": "stopped"}
TIMED = re.compile(rf".+\.({'|'.join([*PAIRS, *PAIRS.values()])})")


def find_program(rows: pd.DataFrame) -> str | None:
    """Return the program that wrote a log, recognised by its columns; None for other tables."""
    return next((name for name, columns in _PROGRAMS.items() if columns <= set(rows.columns)), None)


def add_dates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a column of dates for each column of times of a log, if the log contains the start of the
    experiment. Times in milliseconds also get a column in seconds."""
    program = find_program(rows)
    times = [str(c) for c in rows.columns if TIMED.fullmatch(str(c))] if program else []
    if not times:
        return rows
    unit, added = (1e-3 if program == "E-Prime" else 1.0), dict[str, list[str]]()
    starts = [
        _find_start(cells)
        for cells in rows.reindex(columns=[*HEADER, "expStart", "date"], fill_value="").to_dict("records")
    ]
    for name in times:
        added[f"{name} date"] = [_format_moment(s, cell, unit) for s, cell in zip(starts, rows[name], strict=True)]
        if program == "E-Prime":
            added[f"{name} in s"] = [f"{int(t) / 1000:.3f}" if re.fullmatch(r"\d{1,9}", t) else "" for t in rows[name]]
    return rows.assign(**{name: cells for name, cells in added.items() if any(cells)})


def _find_start(fields: Mapping[str, str]) -> datetime | None:
    """Return the start of an experiment, in local time without a time zone."""
    local = _parse_dates(f"{fields['SessionDate']} {fields['SessionTime']}", "%m-%d-%Y %H:%M:%S")
    utc = {at for at in _parse_dates(fields["SessionStartDateTimeUtc"], *_UTC_FORMS)
           if not local or abs(at - local[0]) < timedelta(hours=15)}  # fmt: skip
    if len(utc) == 1:
        return utc.pop().replace(tzinfo=UTC)
    exact = _parse_dates(fields["expStart"], "%Y-%m-%d %Hh%M.%S.%f %z")
    return next(iter([*local, *exact, *_parse_dates(fields["date"], "%Y-%m-%d_%Hh%M.%S.%f")]), None)


def _parse_dates(text: str, *forms: str) -> list[datetime]:
    """Return all dates that a text may represent."""
    found = []
    for form in forms:
        with contextlib.suppress(ValueError):
            found.append(datetime.strptime(text, form))  # noqa: DTZ007 (zones of tables apply)
    return [at for at in found if 1990 <= at.year < 2200]


def _format_moment(start: datetime | None, cell: str, unit: float) -> str:
    """Return a time of a log as a date; empty for a missing time, which E-Prime writes as 0."""
    if re.match(r"\d{4}-\d\d-\d\d[T ]", cell):  # PsychoPy can write dates
        return cell
    if start is None or not re.fullmatch(r"\d{1,9}(\.\d*)?", cell) or (unit < 1 and float(cell) == 0):
        return ""
    return (start + timedelta(seconds=unit * float(cell))).isoformat()


# Logs of experiments that are texts of their own kind, as tables: those of E-Prime and of Presentation.

SUFFIX = ".log"
_OPENINGS = {"E-Prime": "*** Header Start ***", "Presentation": "Scenario -"}


def find_log_program(path: Path) -> tuple[str | None, str]:
    """Return the program that wrote a text log, by its first line, and its encoding; None for other files."""
    with path.open("rb") as file:
        start = file.read(200)
    marked = start[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if marked else "utf-16-le" if start[1:4:2] == b"\0\0" else "utf-8-sig"
    text = start.decode(encoding, "replace").lstrip()
    return next((name for name, line in _OPENINGS.items() if text.startswith(line)), None), encoding


def read_log(path: Path) -> pd.DataFrame | None:
    """Return the rows of a text log of E-Prime or Presentation as texts, indexed by line number; None for other files.

    Raises:
        DataError: it is damaged, or has no row.
    """
    known, encoding = find_log_program(path) if path.is_file() else (None, "")
    if known is None:
        return None
    check_length(path)
    lines = path.read_bytes().decode(encoding, "replace").splitlines()
    rows = _read_frames(lines) if known == "E-Prime" else _read_events(lines, path)
    if not rows:
        what = f"this log of {known} has no {'LogFrame' if known == 'E-Prime' else 'table of events'}"
        raise DataError(what, where=str(path), expected="a whole log", hint="copy it again, or export the data as CSV")
    return add_dates(pd.DataFrame(list(rows.values()), index=list(rows), dtype=object).fillna(""))


def _read_frames(lines: Sequence[str]) -> dict[int, dict[str, str]]:
    """Return line -> fields of an E-Prime frame at the deepest level with times, with the header's fields."""
    header: dict[str, str] = {}
    frames: dict[int, tuple[int, dict[str, str]]] = {}
    level, cells = 0, header
    for number, line in enumerate(map(str.strip, lines), 1):
        key, colon, value = line.partition(":")
        if line.startswith("*** LogFrame Start"):
            cells = {}
            frames[number] = level, cells
        elif line.startswith("*** LogFrame End"):
            cells = {}
        elif key == "Level" and value.strip().isdigit():
            level = int(value)
        elif colon:
            cells[key.strip()] = value.strip()
    for _, fields in frames.values():
        for stem in [name.removesuffix(".OnsetTime") for name in fields if name.endswith(".OnsetTime")]:
            times = [fields.get(f"{stem}.{word}", "0") for word in ("OnsetTime", "OnsetToOnsetTime", "OffsetTime")]
            if times[2] == "0" != times[1] and all(
                map(str.isdigit, times)
            ):  # until what follows, where no end is logged
                fields[f"{stem}.OffsetTime"] = str(int(times[0]) + int(times[1]))
    shared = {name: header[name] for name in HEADER if name in header}
    timed = [depth for depth, fields in frames.values() if any(map(TIMED.fullmatch, fields))]
    deepest = max(timed or [depth for depth, _ in frames.values()], default=0)
    return {number: {**shared, **fields} for number, (depth, fields) in frames.items() if depth == deepest}


def _read_events(lines: Sequence[str], path: Path) -> dict[int, dict[str, str]]:
    """Return line -> fields of an event in the first table of a Presentation log. Times in tenths of milliseconds are
    also converted to seconds."""
    first = next((k for k, line in enumerate(lines) if re.match(r"(Subject\t)?Trial\t", line)), len(lines) - 1)
    heads = lines[first].split("\t")
    names = [f"{name} 2" if name in heads[:k] else name for k, name in enumerate(heads)]
    found: dict[int, dict[str, str]] = {}
    for number, line in enumerate(lines[first + 1 :], first + 2):
        if found and not line.strip():
            break
        cells = dict(zip(names, map(str.strip, line.split("\t")), strict=False)) if line.strip() else {}
        for name in ("Time", "TTime", "Duration"):
            if re.fullmatch(r"-?\d{1,15}", text := cells.get(name, "")):
                cells[f"{name} in s"] = f"{int(text) / 10_000:.4f}"
            elif name == "Time" and cells:
                what = f"line {number}, column Time: `{text[:40]}` is not a time"
                raise DataError(what, where=str(path), expected="tenths of milliseconds", hint="copy the log again")
        found |= {number: cells} if cells else {}
    return found
