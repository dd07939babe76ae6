"""The annotations and the clock of EDF+ and BDF+ files of any size: of a file with signals, only annotations are read.

A list of annotations is `+onset` with an optional duration after byte 21, then texts, each before a byte 20; a byte 0
ends it (Kemp and Olivan 2003, doi 10.1016/S1388-2457(03)00123-8). Onsets count from the second that the header states.
The first list of each record keeps its time: its first text is empty, and its onset is that of the record's samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench_plugins.datasets.formats.tracks import damaged

_ONSET = re.compile(rb"[+-]\d{1,9}(\.\d*)?")
_MOST_BYTES = 200_000_000


class Header(NamedTuple):
    """The start and length of an EDF or BDF file, and the places of its annotations, in bytes of a record.

    `start` is the time of the first sample, `offset` how many seconds after the header's second it was.
    """

    start: datetime | None
    offset: float
    seconds: float
    begin: int
    records: int
    per_record: int
    notes: tuple[tuple[int, int], ...]


def header(path: Path, zone: tzinfo | None = None) -> Header:
    """The header of a file whose clock was in `zone`. Raises DataError where it is not whole."""
    if not path.is_file():
        raise damaged(path, "the file is missing")
    with path.open("rb") as file:
        fixed = file.read(256)
        width = {b"\xffBIOSEMI": 3, b"0       ": 2}.get(fixed[:8])
        if width is None or len(fixed) < 256:
            raise damaged(path, "this is no EDF or BDF file")
        try:
            records, record_s, count = int(fixed[236:244]), float(fixed[244:252]), int(fixed[252:256])
            fields = file.read(256 * count) if 0 < count <= 4096 else b""
            sizes = [width * int(fields[216 * count + 8 * i :][:8]) for i in range(count)]
        except ValueError:
            raise damaged(path, "the header holds no numbers where they belong") from None
    if not sizes or min(sizes) < 0 or not 0 <= record_s < 1e4:  # 0 s where nothing but annotations is recorded
        raise damaged(path, f"{records} records of {record_s:g} s and {count} channels")
    labels = [fields[16 * i : 16 * i + 16] for i in range(count)]
    where = tuple((sum(sizes[:i]), sizes[i]) for i in range(count) if b"Annotations" in labels[i])
    begin = 256 * (count + 1)
    whole = (path.stat().st_size - begin) // sum(sizes)
    if whole < 1 or records > whole:
        raise damaged(path, f"it ends after {max(whole, 0)} of {records} records")
    records = whole if records < 0 else records  # -1: the writer did not come to its end
    if records * sum(size for _, size in where) > _MOST_BYTES:
        raise damaged(path, f"over {_MOST_BYTES:,} bytes of annotations")
    try:
        start = datetime.strptime(fixed[168:184].decode("ascii"), "%d.%m.%y%H.%M.%S").replace(tzinfo=zone)
    except ValueError:
        start = None
    # Files of annotations alone have no first sample: theirs count from the header's second.
    timed = 0 < len(where) < count and record_s
    offset = next(_record_times(path, begin, records, sum(sizes), where[0])) or 0.0 if timed else 0.0
    start = start and start + timedelta(seconds=offset)
    return Header(start, offset, records * record_s, begin, records, sum(sizes), where)


def record_starts(path: Path) -> list[float] | None:
    """Seconds from the first record at which each begins, None where a file says it of the first one at most. Raises
    DataError where it says it of some: their bytes do not lie where they belong."""
    head = header(path)
    if not head.notes:
        return None
    found = list(_record_times(path, head.begin, head.records, head.per_record, head.notes[0]))
    known = [at - head.offset for at in found if at is not None]
    if 1 < len(known) < len(found):
        raise damaged(path, f"record {found.index(None) + 1} of {len(found)} does not say when it begins")
    return known if len(known) == len(found) else None


def _record_times(
    path: Path, begin: int, records: int, per_record: int, place: tuple[int, int]
) -> Iterator[float | None]:
    """The onset of the list that keeps each record's time; None in a record without one."""
    with path.open("rb") as file:
        for k in range(records):
            file.seek(begin + k * per_record + place[0])
            onset, *texts = file.read(place[1]).partition(b"\0")[0].split(b"\x14")
            yield float(onset) if texts and not texts[0] and _ONSET.fullmatch(onset) else None


def notes(path: Path, head: Header | None = None) -> list[tuple[float, str]]:
    """Seconds from the first sample and texts of all annotations, in order of time. Raises DataError as `header`, and
    where an annotation has no time."""
    head = head or header(path)
    if not sum(size for _, size in head.notes):
        raise damaged(path, "there is no channel of annotations")
    data = np.memmap(path, np.uint8, "r", head.begin, (head.records, head.per_record))
    found: list[tuple[float, str]] = []
    for record in data:
        for first, size in head.notes:
            for one in filter(None, record[first : first + size].tobytes().split(b"\0")):
                onset, *texts = one.split(b"\x14")
                onset = onset.partition(b"\x15")[0]
                if not _ONSET.fullmatch(onset):
                    raise damaged(path, f"an annotation at `{onset[:20].decode('latin1')}` s")
                found += [
                    (float(onset) - head.offset, text.decode("utf-8", "replace").strip()) for text in texts if text
                ]
    return sorted(found, key=lambda note: note[0])
