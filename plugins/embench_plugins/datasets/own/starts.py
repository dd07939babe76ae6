"""When the files of own recordings began, by their first rows or their headers alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from pathlib import Path

from embench.errors import DataError
from embench_plugins.datasets.formats.edf_notes import header
from embench_plugins.datasets.own.layout import OwnChannels
from embench_plugins.datasets.own.signals import TABLES, first_time

_UNKNOWN_DAY = date(1985, 1, 1)
"""How EDF files write a day that was removed."""
_NEW_SEGMENT = re.compile(rb"^Mk\d+=New Segment,[^,\r\n]*,\d+,\d+,\d+,(\d{20})", re.MULTILINE)
_DATETIME = re.compile(rb"<datetime>([^<]{10,40})</datetime>")


def file_start(path: Path, own: OwnChannels | None, zone: tzinfo) -> float | None:
    """The start of a file in unix seconds; None where the file does not say it. Headers of EDF, BDF and BrainVision are
    in the zone, if they state none.

    Args:
        own: what the description says of a table.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return first_time(path, own, zone) if own and own.time else None
    try:
        if suffix in (".edf", ".bdf"):
            start = header(path, zone).start
            return None if start is None or start.date() == _UNKNOWN_DAY else start.timestamp()
        if suffix == ".vhdr":
            found = _NEW_SEGMENT.search(_head(path.with_suffix(".vmrk"), 1 << 16))
            return _second(found[1], "%Y%m%d%H%M%S%f", zone) if found else None
        if suffix == ".xdf":
            found = _DATETIME.search(_head(path, 1 << 16))
            return datetime.fromisoformat(found[1].decode("ascii")).astimezone().timestamp() if found else None
    except (DataError, OSError, ValueError):  # a reader of the whole file says what is wrong with it
        pass
    return None


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _second(field: bytes, form: str, zone: tzinfo) -> float:
    return datetime.strptime(field.decode("ascii").strip(), form).replace(tzinfo=zone).timestamp()


def place_in_session(own: str, starts: Mapping[str, float | None], same: Sequence[str]) -> dict[str, float | None]:
    """The start and order of a recording in its session; None where nobody knows them: of several recordings that
    begin at one time, headers do not say when they did.

    Args:
        own: the recording.
        starts: when each of the subject's recordings began.
        same: those of its session.
    """
    known = sorted(start for id_ in same if (start := starts[id_]) is not None)
    start = starts[own]
    if start is None or len(set(known)) < len(known):
        return {"start_s": None, "order": None}
    return {"start_s": start - known[0], "order": known.index(start) if len(known) == len(same) else None}
