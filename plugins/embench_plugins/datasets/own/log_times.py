"""Times in the logs of experiments, which count from the start of each: as dates, where a log says when that was."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pandas as pd

HEADER = ("Subject", "Session", "SessionDate", "SessionTime", "SessionStartDateTimeUtc")
_PROGRAMS = {"E-Prime": {"Procedure", "Running"}, "Presentation": {"Code", "TTime"}, "PsychoPy": {"expName", "date"}}
_UTC_FORMS = ("%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S")
"""How E-Prime writes the start, as the computer's region has it; `SessionDate` tells days from months."""
PAIRS = {"OnsetTime": "OffsetTime", "StartTime": "FinishTime", "started": "stopped"}
TIMED = re.compile(rf".+\.({'|'.join([*PAIRS, *PAIRS.values()])})")


def program(rows: pd.DataFrame) -> str | None:
    """The program that wrote a log, by its columns; None of any other table."""
    return next((name for name, columns in _PROGRAMS.items() if columns <= set(rows.columns)), None)


def dated(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with a column of dates for each of a log's times, where the log says when the experiment began; and of
    seconds, where its times are milliseconds."""
    known = program(rows)
    times = [str(c) for c in rows.columns if TIMED.fullmatch(str(c))] if known else []
    if not times:
        return rows
    unit, made = (1e-3 if known == "E-Prime" else 1.0), dict[str, list[str]]()
    starts = [
        _start(cells) for cells in rows.reindex(columns=[*HEADER, "expStart", "date"], fill_value="").to_dict("records")
    ]
    for name in times:
        made[f"{name} date"] = [_moment(s, cell, unit) for s, cell in zip(starts, rows[name], strict=True)]
        if known == "E-Prime":
            made[f"{name} in s"] = [f"{int(t) / 1000:.3f}" if re.fullmatch(r"\d{1,9}", t) else "" for t in rows[name]]
    return rows.assign(**{name: cells for name, cells in made.items() if any(cells)})


def _start(said: Mapping[str, str]) -> datetime | None:
    """The start of an experiment; in local time where no zone is stated."""
    local = _dates(f"{said['SessionDate']} {said['SessionTime']}", "%m-%d-%Y %H:%M:%S")
    utc = {at for at in _dates(said["SessionStartDateTimeUtc"], *_UTC_FORMS)
           if not local or abs(at - local[0]) < timedelta(hours=15)}  # fmt: skip
    if len(utc) == 1:
        return utc.pop().replace(tzinfo=UTC)
    exact = _dates(said["expStart"], "%Y-%m-%d %Hh%M.%S.%f %z")
    return next(iter([*local, *exact, *_dates(said["date"], "%Y-%m-%d_%Hh%M.%S.%f")]), None)


def _dates(text: str, *forms: str) -> list[datetime]:
    """The dates that a text may stand for."""
    found = []
    for form in forms:
        with contextlib.suppress(ValueError):
            found.append(datetime.strptime(text, form))  # noqa: DTZ007 (zones of tables apply)
    return [at for at in found if 1990 <= at.year < 2200]


def _moment(start: datetime | None, cell: str, unit: float) -> str:
    """A time of a log as a date, empty where there is none, which E-Prime writes as 0."""
    if re.match(r"\d{4}-\d\d-\d\d[T ]", cell):  # PsychoPy can write dates
        return cell
    if start is None or not re.fullmatch(r"\d{1,9}(\.\d*)?", cell) or (unit < 1 and float(cell) == 0):
        return ""
    return (start + timedelta(seconds=unit * float(cell))).isoformat()
