"""Logs of experiments that are texts of their own kind, as tables: those of E-Prime and of Presentation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own.log_times import HEADER, TIMED, dated

SUFFIX = ".log"
_OPENINGS = {"E-Prime": "*** Header Start ***", "Presentation": "Scenario -"}


def opening(path: Path) -> tuple[str | None, str]:
    """The program that wrote a log of text, by its first line, and its encoding; None of any other file."""
    with path.open("rb") as file:
        start = file.read(200)
    marked = start[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if marked else "utf-16-le" if start[1:4:2] == b"\0\0" else "utf-8-sig"
    text = start.decode(encoding, "replace").lstrip()
    return next((name for name, line in _OPENINGS.items() if text.startswith(line)), None), encoding


def read(path: Path) -> pd.DataFrame | None:
    """The rows of a log of text, of E-Prime or Presentation, as texts; the index is the number of the line. None of any
    other file.

    Raises:
        DataError: it is damaged, or has no row.
    """
    known, encoding = opening(path) if path.is_file() else (None, "")
    if known is None:
        return None
    lines = path.read_bytes().decode(encoding, "replace").splitlines()
    rows = _frames(lines) if known == "E-Prime" else _events(lines, path)
    if not rows:
        what = f"this log of {known} has no {'LogFrame' if known == 'E-Prime' else 'table of events'}"
        raise DataError(what, where=str(path), expected="a whole log", hint="copy it again, or export the data as CSV")
    return dated(pd.DataFrame(list(rows.values()), index=list(rows), dtype=object).fillna(""))


def _frames(lines: Sequence[str]) -> dict[int, dict[str, str]]:
    """Line -> what a frame of E-Prime says, of the deepest level that has times, with what the header says."""
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
    for _, own in frames.values():
        for stem in [name.removesuffix(".OnsetTime") for name in own if name.endswith(".OnsetTime")]:
            times = [own.get(f"{stem}.{word}", "0") for word in ("OnsetTime", "OnsetToOnsetTime", "OffsetTime")]
            if times[2] == "0" != times[1] and all(
                map(str.isdigit, times)
            ):  # until what follows, where no end is logged
                own[f"{stem}.OffsetTime"] = str(int(times[0]) + int(times[1]))
    known = {name: header[name] for name in HEADER if name in header}
    timed = [depth for depth, own in frames.values() if any(map(TIMED.fullmatch, own))]
    deepest = max(timed or [depth for depth, _ in frames.values()], default=0)
    return {number: {**known, **own} for number, (depth, own) in frames.items() if depth == deepest}


def _events(lines: Sequence[str], path: Path) -> dict[int, dict[str, str]]:
    """Line -> an event of Presentation, of the first table, with seconds beside times in tenths of milliseconds."""
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
                what = f"line {number}, column Time: `{text[:40]}` is no time"
                raise DataError(what, where=str(path), expected="tenths of milliseconds", hint="copy the log again")
        found |= {number: cells} if cells else {}
    return found
