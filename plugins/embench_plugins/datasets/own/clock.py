"""Parser of times in tables: seconds, dates in the forms of several countries, and times of day, in a time zone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from embench.errors import DataError
from embench_plugins.datasets.own import tables

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?(\d\d))?")
_DATE = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4}),?(?:[ T]+(.*))?")
_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*([AaPp])?(?:[Mm])?")
HALF_DAY_S = 43_200
_ROUNDING = timedelta(milliseconds=1)
STARTS_APART_S = 1.0
"""If the files of a recording begin at most this far apart, seconds may count from the start of any of them."""
_MOST_DAYS = 400
COLUMN = "time"
"""Name of the origin that is 0 in the signals' column of times."""
UNIX_UNITS = ((1e11, "s", 1.0), (1e14, "ms", 1e-3), (1e17, "us", 1e-6), (math.inf, "ns", 1e-9))
"""(upper limit of unix times in a unit, the unit, its length in s): 1e11 s would be the year 5138."""
UNIX_S = 3e8
"""Numbers from here on are unix times: no recording lasts nine years."""
EXPECTED = "seconds, a date such as 2024-03-01 14:05:00 or 01.03.2024 14:05:00, or a time of day such as 14:05:00"


def parse_zone(text: str) -> tzinfo:
    """Parse a time zone, given by its name or its distance from UTC.

    Raises:
        ValueError: it is neither.

    >>> parse_zone("UTC+1").utcoffset(None), str(parse_zone("Europe/Berlin"))
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
        raise ValueError(f"`{text}` is not a time zone: write Europe/Berlin or UTC+1, for example") from error


@dataclass(frozen=True)
class Clock:
    """The clock of a recording, which converts the times in its tables to seconds from its start.

    Args:
        zone: time zone of dates and times of day without one.
        start: the start of the recording in unix seconds; None if unknown.
        duration_s: its length, which decides between several dates of a time of day; None if unknown.
        origins: possible origin of seconds -> its second in the recording. Origins are the start of each modality's
            file, and `time`, 0 of their columns of times. If they are apart, `origin` is needed.
        origin: the origin that `dataset.yaml` names.
    """

    zone: tzinfo = UTC
    start: float | None = None
    duration_s: float | None = None
    origins: Mapping[str, float] = field(default_factory=dict)
    origin: str | None = None

    def parse_seconds(self, text: str, path: Path, line: int, column: str) -> float:
        """Return the seconds from the recording's start; NaN for an empty cell. Raises DataError with the cell."""
        if text.lower() in tables.MISSING:
            return math.nan
        value = tables.parse_number(text)
        try:
            if math.isfinite(value) and abs(value) < UNIX_S:
                return self._count_from_start(value)
            value = next((value * seconds for most, _, seconds in UNIX_UNITS if value < most), value)
            known = Clock(self.zone) if self.start is None else self
            at = value if math.isfinite(value) else known.parse_moment(text.strip())
            if self.start is None:
                raise _UnclearError("the files do not say when they began, so that only seconds from there are")
            return at - self.start
        except (ValueError, OverflowError, OSError) as error:
            unclear = isinstance(error, _UnclearError)
            what = f"is not clear: {error}" if unclear else "is not a time"
            raise DataError(
                f"line {line}, column {column}: `{text[:40]}` {what}", where=str(path), expected=EXPECTED
            ) from None

    def parse_length(self, text: str, path: Path, line: int, column: str) -> float:
        """Return a duration in seconds; NaN for an empty cell. Raises DataError that names the cell."""
        value = tables.parse_number(text)
        if not math.isfinite(value) and text.lower() not in tables.MISSING:
            what = f"line {line}, column {column}: `{text[:40]}` is not a number of seconds"
            raise DataError(what, where=str(path), expected="seconds, such as 40")
        return value

    def _count_from_start(self, value: float) -> float:
        """Return seconds from the recording's start for seconds that count from `origin`."""
        if not self.origins:
            return value
        if self.origin is not None:
            if self.origin not in self.origins:
                raise _UnclearError(f"it counts from {self.origin}, of which this recording has no file")
            return value + self.origins[self.origin]
        if max(self.origins.values()) - min(self.origins.values()) <= STARTS_APART_S:
            return value
        first, *later = sorted(self.origins, key=self.origins.__getitem__)
        listed = f"{self._describe_origin(first)}, or " + " or ".join(
            f"{self._describe_origin(name)}, {self.origins[name] - self.origins[first]:g} s later" for name in later
        )
        cures = " or ".join(f"`from: {name}`" for name in (first, *later))
        raise _UnclearError(
            f"it may count from {listed}; what to do: write {cures} where its column is named, or dates"
        )

    def _describe_origin(self, name: str) -> str:
        if name == COLUMN:
            return "0 of the signals' column of times"
        if self.start is None:
            return f"the first sample of {name}"
        at = datetime.fromtimestamp(self.start + self.origins[name], self.zone)
        return f"the start of {name} ({at:%Y-%m-%d %H:%M:%S})"

    def parse_moment(self, text: str) -> float:
        """Return a date or time of day as unix seconds. Raises ValueError if it is neither, or ambiguous."""
        if found := _TIME.fullmatch(text):
            return self._find_time_of_day(found)
        if found := _DATE.fullmatch(text):
            first, second = int(found[1]), int(found[3])
            if found[2] == "/" and max(first, second) <= 12 and first != second:
                raise _UnclearError("day first or month first? write 2024-03-01 for the first of March")
            day, month = (second, first) if found[2] == "/" and second > 12 else (first, second)
            when = datetime(int(found[4]), month, day) + _parse_time_of_day(found[5] or "0:00")  # noqa: DTZ001
        else:
            when = datetime.fromisoformat(text)
        return when.timestamp() if when.tzinfo else self._choose_only(self._find_instants(when), when)

    def _find_time_of_day(self, found: re.Match[str]) -> float:
        """Return the unix seconds of a time of day: the only one in the recording, else the nearest to its middle."""
        start = float(self.start or 0)
        began = datetime.fromtimestamp(start, self.zone)
        day = began.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) + _parse_time_of_day(found[0])
        if self.duration_s is None:
            at = self._find_instants(day)[0]
            return at + 86_400 if at < start - HALF_DAY_S else at
        length = self.duration_s
        last = math.ceil(min(length, _MOST_DAYS * 86_400.0) / 86_400)
        days = [day + timedelta(days=k) for k in range(-1, last + 2)]
        moments = [at for one in days for at in self._find_instants(one, missing=False)]
        if inside := [at for at in moments if self._is_inside(at)]:
            return self._choose_only(inside, day)
        if not self._find_instants(day, missing=False):
            self._find_instants(day)
        return min(moments, key=lambda at: (abs(at - start - length / 2), at))

    def _is_inside(self, at: float) -> bool:
        start = float(self.start or 0)
        longest = math.inf if self.duration_s is None else self.duration_s
        return start - STARTS_APART_S <= at <= start + longest + STARTS_APART_S

    def _find_instants(self, when: datetime, *, missing: bool = True) -> list[float]:
        """Return the unix seconds at which clocks of the zone show a time: none in the hour that spring skips, two in
        the hour that autumn repeats."""
        both = [when.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1)]
        made = sorted({one.timestamp() for one in both})
        there = [
            at for at in made if abs(datetime.fromtimestamp(at, self.zone).replace(tzinfo=None) - when) < _ROUNDING
        ]
        if missing and not there:
            raise _UnclearError(f"clocks in {self.zone} went forward over {when:%Y-%m-%d %H:%M}")
        return there

    def _choose_only(self, moments: Sequence[float], when: datetime) -> float:
        """Return the only one of several moments, or the only one within the recording."""
        inside = moments if len(moments) < 2 else [at for at in moments if self._is_inside(at)]
        if len(inside) == 1 or len(moments) == 1:
            return inside[0] if inside else moments[0]
        shown = " or ".join(datetime.fromtimestamp(at, self.zone).isoformat() for at in (inside or moments)[:2])
        raise _UnclearError(f"{when:%H:%M:%S} is {shown}: write which, with its date and offset")


class _UnclearError(ValueError):
    """A time with several possible meanings."""


def _parse_time_of_day(text: str) -> timedelta:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        hour = hour % 12 + 12 * (found[5].lower() == "p")
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(text)
    return timedelta(hours=hour, minutes=minute, seconds=second + float(f"0.{found[4] or 0}"))
