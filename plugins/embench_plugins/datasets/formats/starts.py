"""When files of signals began, by their headers."""

from __future__ import annotations

import re
from datetime import date, datetime, tzinfo
from pathlib import Path

from embench.errors import DataError
from embench_plugins.datasets.formats.edf_notes import header

_UNKNOWN_DAY = date(1985, 1, 1)
"""How EDF files write a day that was removed."""
_NEW_SEGMENT = re.compile(rb"^Mk\d+=New Segment,[^,\r\n]*,\d+,\d+,\d+,(\d{20})", re.MULTILINE)
_WFDB = re.compile(
    rb"^[^\s#]+ +\d+ +\S+ +\d+ +(\d{1,2}:\d\d:\d\d(?:\.\d{1,6})?) +(\d{1,2}/\d{1,2}/\d{4})", re.MULTILINE
)


def header_start(path: Path, zone: tzinfo) -> float | None:
    """The time of the first sample of an EDF, BDF, BrainVision or WFDB file in unix seconds; None where the header does
    not say it, or states an hour that clocks in the zone show twice or never."""
    suffix = path.suffix.lower()
    start = None
    try:
        if suffix in (".edf", ".bdf"):
            start = header(path).start
            start = None if start and start.date() == _UNKNOWN_DAY else start
        elif suffix == ".vhdr" and (found := _NEW_SEGMENT.search(first_bytes(path.with_suffix(".vmrk")))):
            start = _moment(found[1], "%Y%m%d%H%M%S%f")
        elif suffix == ".hea" and (found := _WFDB.search(first_bytes(path))):
            fraction = b"" if b"." in found[1] else b".0"
            start = _moment(found[2] + b" " + found[1] + fraction, "%d/%m/%Y %H:%M:%S.%f")
    except (DataError, OSError, ValueError):  # a reader of the whole file says what is wrong with it
        return None
    both = {start.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)} if start else set()
    return both.pop() if len(both) == 1 else None


def first_bytes(path: Path) -> bytes:
    """The first 64 KiB of a file, which contain its header."""
    with path.open("rb") as file:
        return file.read(1 << 16)


def _moment(field: bytes, form: str) -> datetime:
    return datetime.strptime(field.decode("ascii"), form)  # noqa: DTZ007 (the zone is that of the description)
