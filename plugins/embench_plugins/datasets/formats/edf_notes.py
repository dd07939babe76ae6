"""The annotations of EDF+ and BDF+ files, which may hold nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from embench_plugins.datasets.formats.tracks import damaged

_MOST_BYTES = 100_000_000
_ONSET = re.compile(rb"[+-]\d{1,9}(\.\d*)?")


def notes(path: Path) -> list[tuple[float, str]]:
    """Seconds from the file's start and texts, in order of time.

    A list of annotations is `+onset` with an optional duration after byte 21, then texts, each before a byte 20; a byte
    0 ends it (Kemp and Olivan 2003, doi 10.1016/S1388-2457(03)00123-8).

    Raises:
        DataError: it is missing, no such file, damaged or without a channel of annotations.
    """
    if not path.is_file():
        raise damaged(path, "the file is missing")
    if path.stat().st_size > _MOST_BYTES:
        raise damaged(path, f"over {_MOST_BYTES:,} bytes for annotations")
    content = path.read_bytes()
    width = {b"\xffBIOSEMI": 3, b"0       ": 2}.get(content[:8])
    if width is None:
        raise damaged(path, "this is no EDF or BDF file")
    try:
        records, count = int(content[236:244]), int(content[252:256])
        labels = [content[256 + 16 * i : 272 + 16 * i] for i in range(count)]
        counts = [int(content[at : at + 8]) for at in range(256 + 216 * count, 256 + 224 * count, 8)]
    except ValueError:
        raise damaged(path, "the header holds no numbers where they belong") from None
    sizes = [width * number for number in counts]
    if not any(b"Annotations" in label for label in labels) or min(sizes) < 0 or not sum(sizes):
        raise damaged(path, "there is no channel of annotations")
    body = content[256 * (count + 1) :]
    if len(body) < records * sum(sizes):
        raise damaged(path, f"it ends after {len(body) // sum(sizes)} of {records} records")
    found: list[tuple[float, str]] = []
    for record in range(len(body) // sum(sizes)):
        for i, label in enumerate(labels):
            first = record * sum(sizes) + sum(sizes[:i])
            if b"Annotations" in label:
                found += _listed(path, body[first : first + sizes[i]])
    return sorted(found, key=lambda note: note[0])


def _listed(path: Path, lists: bytes) -> list[tuple[float, str]]:
    found = []
    for one in filter(None, lists.split(b"\0")):
        head, *texts = one.split(b"\x14")
        onset = head.partition(b"\x15")[0]
        if not _ONSET.fullmatch(onset):
            raise damaged(path, f"an annotation at `{onset[:20].decode('latin1')}` s")
        found += [(float(onset), text.decode("utf-8", "replace").strip()) for text in texts if text]
    return found
