"""Times as tables have them: seconds, dates as several countries write them, and times of day, in a time zone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from embench.errors import DataError
from embench_plugins.datasets.own import tables

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?(\d\d))?")
_DATE = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4}),?(?:[ T]+(.*))?")
_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*([AaPp])?(?:[Mm])?")
HALF_DAY_S = 43_200
UNIX_S = 3e8
"""Numbers from here on are unix seconds: no recording lasts nine years."""
EXPECTED = "seconds, a date such as 2024-03-01 14:05:00 or 01.03.2024 14:05:00, or a time of day such as 14:05:00"


def zone_of(text: str) -> tzinfo:
    """A time zone by its name or its distance from UTC.

    Raises:
        ValueError: it is neither.

    >>> zone_of("UTC+1").utcoffset(None), str(zone_of("Europe/Berlin"))
    (datetime.timedelta(seconds=3600), 'Europe/Berlin')
    """
    if text.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if found := _OFFSET.fullmatch(text.strip()):
        minutes = 60 * int(found[2]) + int(found[3] or 0)
        if minutes <= 14 * 60:
            return timezone((-1 if found[1] == "-" else 1) * timedelta(minutes=minutes))
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"`{text}` is no time zone: write Europe/Berlin or UTC+1, for example") from error


@dataclass(frozen=True)
class Clock:
    """The clock of a recording's tables.

    Args:
        zone: that of dates and times of day that state none.
        start: when the recording began, in unix seconds, whose day a time of day belongs to; None: nobody knows.
    """

    zone: tzinfo = UTC
    start: float | None = None

    def seconds(self, text: str, path: Path, line: int, column: str) -> float:
        """Seconds since the recording began; NaN where the cell is empty. Raises DataError that names the cell."""
        if text.lower() in tables.MISSING:
            return math.nan
        value = tables.number(text)
        if math.isfinite(value) and abs(value) < UNIX_S:
            return value
        try:
            if self.start is None:
                raise _UnclearError("the files do not say when they began, so that only seconds from there are")
            return (value if math.isfinite(value) else self._moment(text.strip())) - self.start
        except (ValueError, OverflowError, OSError) as error:
            said = f": {error}" if isinstance(error, _UnclearError) else ""
            raise DataError(
                f"line {line}, column {column}: `{text[:40]}` is no time{said}", where=str(path), expected=EXPECTED
            ) from None

    def _moment(self, text: str) -> float:
        if found := _TIME.fullmatch(text):
            return self._time_of_day(found)
        if found := _DATE.fullmatch(text):
            first, second = int(found[1]), int(found[3])
            if found[2] == "/" and max(first, second) <= 12 and first != second:
                raise _UnclearError("day first or month first? write 2024-03-01 for the first of March")
            day, month = (second, first) if found[2] == "/" and second > 12 else (first, second)
            when = datetime(int(found[4]), month, day, tzinfo=self.zone) + _since_midnight(found[5] or "0:00")
        else:
            when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=self.zone)).timestamp()

    def _time_of_day(self, found: re.Match[str]) -> float:
        began = datetime.fromtimestamp(float(self.start or 0), self.zone)
        day = began.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        at = ((day + _since_midnight(found[0])).replace(tzinfo=self.zone)).timestamp()
        return at + 86_400 if at < float(self.start or 0) - HALF_DAY_S else at


class _UnclearError(ValueError):
    """A time that could be several."""


def _since_midnight(text: str) -> timedelta:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        hour = hour % 12 + 12 * (found[5].lower() == "p")
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(text)
    return timedelta(hours=hour, minutes=minute, seconds=second + float(f"0.{found[4] or 0}"))
