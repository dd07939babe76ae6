"""When the files of own recordings began, by their first rows or their headers alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from embench_plugins.datasets.formats.starts import first_bytes, header_start
from embench_plugins.datasets.own.layout import OwnChannels
from embench_plugins.datasets.own.signals import TABLES, first_time

_DATETIME = re.compile(rb"<datetime>([^<]{10,40})</datetime>")


def file_start(path: Path, own: OwnChannels | None, zone: tzinfo) -> float | None:
    """The start of a file in unix seconds; None where the file does not say it. Headers are in the zone,
    if they state none.

    Args:
        own: what the description says of a table.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return first_time(path, own, zone) if own and own.time else None
    try:
        if suffix == ".xdf":  # when the program that records was started, not when its first sample came
            found = _DATETIME.search(first_bytes(path))
            return datetime.fromisoformat(found[1].decode("ascii")).astimezone().timestamp() if found else None
    except (OSError, ValueError):  # a reader of the whole file says what is wrong with it
        return None
    return header_start(path, zone)


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
