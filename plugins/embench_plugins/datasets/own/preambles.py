"""The lines before the rows of tables that devices and programs export: names, units and rates, each in its way."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from embench.errors import DataError
from embench_plugins.datasets.own.headers import cells_of, separator_of, title_lines

_UNIT = re.compile(
    r"[munµ]?[sv]|msecs|mvolts|k?ohms?|no[_ ]units|m/\(?s(ec)?\^?2\)?|m?g|deg/s(ec)?|(°|deg ?)?c|(degrees )?celsius|bpm"
    r"|k?hz|%|mmhg|k?pa|local(_flux)?|gauss|a\.u\.|unix|counts|rpm|yyyy/mm/dd hh:mm:ss\.000"
)
"""Units in small letters, by which a line of units is told from a row."""
_FORMATS = frozenset({"CAL", "UNCAL", "RAW", ""})
_RATE = re.compile(r"(?i)sampl\w*[ _-]?(?:rate|freq\w*)\D{0,5}(\d+(?:\.\d+)?) ?hz")
_STEP = re.compile(r"\s*(\d*[.,]?\d+) (m?sec)/sample\b")
"""The time of a sample, as AcqKnowledge writes it."""
_CHANNELS = re.compile(r"(?:(?:min|m?sec|milliSec|hours?)[\t,; ]+)?CH\d+\b")
_BIOPAC_LINES = 4
_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+([eE][+-]?\d+)?")


class Preamble(NamedTuple):
    """The number of lines before the rows, or before a line of names where there are no `names`; what each column is
    in, empty where that is not known; samples a second; the separator, where it is stated; other names of the columns;
    and the seconds of a unit of columns with times."""

    lines: int = 0
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    rate: float | None = None
    separator: str | None = None
    others: tuple[str, ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()

    def titled(self, titles: Sequence[str], units: Sequence[str]) -> Preamble:
        """With these names and units of the last columns, whose own names become others."""
        before = len(self.names) - len(titles)
        if before not in (0, 1):
            return self
        made = [t if t and titles.count(t) == 1 else own for t, own in zip(titles, self.names[before:], strict=True)]
        return self._replace(names=(*self.names[:before], *made), units=(*[""] * before, *units), others=self.names)


def preamble(lines: Sequence[str], path: Path) -> Preamble:
    """The lines before the rows of a table, by its first lines. Raises DataError where it is damaged."""
    if any(map(_STEP.match, lines[:_BIOPAC_LINES])):
        return _biopac(lines, path)
    return next(read(lines, path) for form, read in _KINDS if re.match(form, lines[0]))


def _opensignals(lines: Sequence[str], path: Path) -> Preamble:
    """OpenSignals: a line of JSON says columns, sensors and the rate of each device."""
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
        raise _damaged(path, 2, "the header of OpenSignals cannot be read") from error
    known = rates[1:] == rates[:-1] and isinstance(rates[0], int | float) and 0 < rates[0] < 1e6
    return Preamble(end + 1, tuple(names), ("",) * len(names), float(rates[0]) if known else None, "\t")


def _labchart(lines: Sequence[str], path: Path) -> Preamble:
    """LabChart: lines such as `ChannelTitle=`; rows may begin with their time and end with a comment."""
    said: dict[str, list[str]] = {}
    for line in lines:
        if not (found := re.match(r"(\w+)=\t?(.*)", line)):
            break
        said[found[1]] = [cell.strip() for cell in found[2].split("\t")]
    titles = " \t".join(said.get("ChannelTitle", [])).rstrip().split(" \t")
    rows = [[c for c in line.split("\t") if not c.startswith("#")] for line in lines[len(said) :] if line.strip()]
    before = max((len("\t".join(row).rstrip().split("\t")) for row in rows), default=0) - len(titles)
    if not any(titles) or not 0 <= before <= 2:
        raise _damaged(path, len(said), "the header of LabChart does not name the columns of the rows")
    times = ["Time" if _NUMBER.fullmatch(rows[0][0].strip()) else "Time of day", "Date"][:before]
    names = [*times, *(title or f"Channel {k}" for k, title in enumerate(titles, 1)), "Comment"]
    stated = zip_longest(said.get("UnitName", ["*"] * len(titles)), said.get("Range", []), fillvalue="")
    units = [*["s", ""][:before], *(full.partition(" ")[2] if unit == "*" else unit for unit, full in stated)]
    step = re.fullmatch(r"(\d*[.,]?\d+(?:[eE]-?\d+)?) ?(m?s)", said["Interval"][0])
    seconds = float(step[1].replace(",", ".")) * (1e-3 if step[2] == "ms" else 1) if step else 0.0
    rate = float(f"{1 / seconds:.9g}") if 1e-6 < seconds < 1e6 else None
    return Preamble(len(said), tuple(names), tuple(units), rate, "\t")


def _comments(lines: Sequence[str], path: Path) -> Preamble:
    """Lines that begin with `#`; the last has the names, where rows of as many numbers follow several of them."""
    first = next((k for k, line in enumerate(lines) if not line.startswith(("#", "%"))), None)
    if first is None:
        raise _damaged(path, len(lines), "only comments were found")
    separator = separator_of(lines[first:])
    cells, names = (cells_of(line, separator) for line in (lines[first], lines[first - 1].lstrip("#% ")))
    named = len(cells) == len(names) > 1 and any(map(_NUMBER.fullmatch, cells))
    rates = [float(found[1]) for line in lines[:first] if (found := _RATE.search(line))]
    rate = rates[0] if len(rates) == 1 else None
    if named:
        return Preamble(first if first > 1 else 0, tuple(names) if first > 1 else (), rate=rate)
    return Preamble(first + title_lines(lines[first:], separator), rate=rate)


def _emotiv(lines: Sequence[str], _: Path) -> Preamble:
    """EmotivPRO: a line of what was recorded and how; older ones have the names of the columns in it."""
    said: dict[str, str] = dict(re.findall(r"([A-Za-z][\w ]*):([^,]*)", lines[0]))
    rate = re.search(r"(?:eeg_)?(\d+(?:\.\d+)?)", said.get("sampling rate", said.get("sampling", "")))
    names = tuple(said.get("labels", "").split())
    return Preamble(1, names, ("",) * len(names), float(rate[1]) if rate else None, ",")


def _biopac(lines: Sequence[str], path: Path) -> Preamble:
    """AcqKnowledge: the time of a sample, then name and unit of each channel, a line of `CH1` and so on, and mostly one
    with the number of samples."""
    held = [(k, line.strip("\r")) for k, line in enumerate(lines) if line.strip()]
    at = next(i for i, (_, line) in enumerate(held) if _STEP.match(line))
    step, count = (
        _STEP.match(held[at][1]),
        re.match(r"\s*(\d+) channels?", held[at + 1][1] if at + 1 < len(held) else ""),
    )
    n = int(count[1]) if count else 0
    titles = [line.strip() for _, line in held[at + 2 : at + 2 + 2 * n]]
    below = held[at + 2 + 2 * n :]
    if step is None or not n or len(below) < 2 or not _CHANNELS.match(below[0][1]):
        raise _damaged(path, held[at][0] + 1, "the header of AcqKnowledge does not name the channels of the rows")
    ms = float(step[1].replace(",", ".")) * (1 if step[2] == "msec" else 1000)
    return _numbered(below, path)._replace(rate=float(f"{1000 / ms:.9g}")).titled(titles[::2], titles[1::2])


def _channels(lines: Sequence[str], path: Path) -> Preamble:
    """The channels that `_biopac` reads, where lines above the names are skipped."""
    return _numbered([(k, line) for k, line in enumerate(lines) if line.strip()], path)


def _numbered(held: Sequence[tuple[int, str]], path: Path) -> Preamble:
    """A line of `CH1` and so on, maybe after the time, and maybe above a line with the number of samples."""
    separator = separator_of([line for _, line in held])
    names = [name for name in cells_of(held[0][1], separator) if name]
    timed = not names[0].startswith("CH")
    counts = cells_of(held[1][1], separator) if len(held) > 1 else []
    counted = all(re.fullmatch(r"\d*", cell) for cell in counts) and any(counts)
    counted = counted and (counts[0] == "" if timed else _has_rows(path, int(counts[0] or 0)))
    factor = {"min": 60.0, "hour": 3600.0, "hours": 3600.0}.get(names[0], 1.0)
    seconds = ((names[0], factor),) if timed and factor != 1 else ()
    units = ("",) * len(names)
    return Preamble(held[int(counted)][0] + 1, tuple(names), units, separator=separator, seconds=seconds)


def _has_rows(path: Path, count: int) -> bool:
    """True if a file has about so many lines."""
    with path.open("rb") as file:
        return (
            abs(sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - count) <= 200 + count / 50
        )


def _names(lines: Sequence[str], path: Path) -> Preamble:
    """Names, then a line of units, as Shimmer's Consensys has them: after a line with the separator, and maybe with the
    device above and the format below. Names lose what begins all of them, the device's number."""
    stated = re.match(r'"?sep=(.)"?\s*$', lines[0])
    first = 1 if stated else 0
    if len(lines) <= first:
        raise _damaged(path, 1, "only the separator is stated")
    separator = stated[1] if stated else separator_of(lines)
    title = title_lines(lines[first:], separator)
    rows = [cells_of(line, separator) for line in lines[first + title : first + title + 5]]
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


def _damaged(path: Path, line: int, what: str) -> DataError:
    hint = "export the recording again, or save it as CSV with one line of names"
    return DataError(f"line {line}: {what}", where=str(path), expected="a whole export", hint=hint)


_KINDS = (("# OpenSignals", _opensignals), ("Interval=", _labchart), ("[#%]", _comments), ("title:", _emotiv),
          (_CHANNELS, _channels), ("", _names))  # fmt: skip
"""How the first line of a file of each kind begins."""
