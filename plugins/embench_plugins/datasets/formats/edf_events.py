"""The annotations and the clock of EDF+ files of any size: of a file with signals, only annotations are read."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench_plugins.datasets.formats.tracks import damaged

_ONSET = re.compile(rb"[+-]\d{1,9}(\.\d*)?")
_MOST_BYTES = 200_000_000


class Header(NamedTuple):
    """Of an EDF file: when it began, how long it is, and where its annotations lie."""

    start: datetime | None
    seconds: float
    begin: int
    records: int
    per_record: int
    notes: tuple[tuple[int, int], ...]


def header(path: Path, zone: tzinfo) -> Header:
    """The header of an EDF file whose clock was in `zone`. Raises DataError where it is no whole one with a channel of
    annotations."""
    with path.open("rb") as file:
        fixed = file.read(256)
        if fixed[:8] != b"0       " or len(fixed) < 256:
            raise damaged(path, "this is no EDF file")
        try:
            records, record_s, count = int(fixed[236:244]), float(fixed[244:252]), int(fixed[252:256])
            fields = file.read(256 * count) if 0 < count <= 4096 else b""
            sizes = [int(fields[216 * count + 8 * i :][:8]) for i in range(count)]
        except ValueError:
            raise damaged(path, "the header holds no numbers where they belong") from None
    if not sizes or min(sizes) < 0 or not records > 0 < record_s < 1e4:
        raise damaged(path, f"{records} records of {record_s:g} s and {count} channels")
    begin = 256 * (count + 1)
    if path.stat().st_size < begin + 2 * records * sum(sizes):
        raise damaged(path, f"it ends before the last of {records} records")
    labels = [fields[16 * i : 16 * i + 16] for i in range(count)]
    where = tuple((sum(sizes[:i]), sizes[i]) for i in range(count) if b"Annotations" in labels[i])
    if not where or 2 * records * sum(size for _, size in where) > _MOST_BYTES:
        raise damaged(path, "there is no channel of annotations")
    try:
        start = datetime.strptime(fixed[168:184].decode("ascii"), "%d.%m.%y%H.%M.%S").replace(tzinfo=zone)
    except ValueError:
        start = None
    return Header(start, records * record_s, begin, records, sum(sizes), where)


def notes(path: Path, head: Header) -> list[tuple[float, str]]:
    """Seconds from the file's start and texts of all annotations, in order of time."""
    data = np.memmap(path, "<i2", "r", head.begin, (head.records, head.per_record))
    found: list[tuple[float, str]] = []
    for first, size in head.notes:
        for record in data[:, first : first + size]:
            for one in filter(None, record.tobytes().split(b"\0")):
                onset, *texts = one.split(b"\x14")
                onset = onset.partition(b"\x15")[0]
                if not _ONSET.fullmatch(onset):
                    raise damaged(path, f"an annotation at `{onset[:20].decode('latin1')}` s")
                found += [(float(onset), text.decode("utf-8", "replace").strip()) for text in texts if text]
    return sorted(found, key=lambda note: note[0])
