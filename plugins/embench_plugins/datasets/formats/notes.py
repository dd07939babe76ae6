"""Annotations of recordings (EDF+, BDF+ and WFDB), trigger channels, and the times at which recordings began."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Track, damaged_error

# The annotations and start times of EDF+ and BDF+ files, read without the signals.
#
# A list of annotations is `+onset`, an optional duration after byte 21, then texts, each ended by byte 20; byte 0 ends
# the list (Kemp and Olivan 2003, doi 10.1016/S1388-2457(03)00123-8). Onsets count from the second that the header
# states. The first list of each record states the time of the record's samples: its first text is empty.

_ONSET = re.compile(rb"[+-]\d{1,9}(\.\d*)?")
_MOST_BYTES = 200_000_000


class Header(NamedTuple):
    """The start and length of an EDF or BDF file, and the positions of its annotations, in bytes of a record.

    `start` is the time of the first sample, `offset` the seconds from the header's time to it. `begin` is the byte of
    the first of `records` records of `per_record` bytes; `notes` has (first byte, bytes) of each list of annotations.
    """

    start: datetime | None
    offset: float
    seconds: float
    begin: int
    records: int
    per_record: int
    notes: tuple[tuple[int, int], ...]


def read_header(path: Path, zone: tzinfo | None = None) -> Header:
    """Return the header of a file whose clock was in `zone`. Raises DataError if it is damaged."""
    if not path.is_file():
        raise damaged_error(path, "the file is missing")
    with path.open("rb") as file:
        fixed = file.read(256)
        width = {b"\xffBIOSEMI": 3, b"0       ": 2}.get(fixed[:8])
        if width is None or len(fixed) < 256:
            raise damaged_error(path, "this is not an EDF or BDF file")
        try:
            records, record_s, count = int(fixed[236:244]), float(fixed[244:252]), int(fixed[252:256])
            fields = file.read(256 * count) if 0 < count <= 4096 else b""
            sizes = [width * int(fields[216 * count + 8 * i :][:8]) for i in range(count)]
        except ValueError:
            raise damaged_error(path, "the header holds no numbers where they belong") from None
    if not sizes or min(sizes) < 0 or not 0 <= record_s < 1e4:  # 0 s if there are only annotations
        raise damaged_error(path, f"{records} records of {record_s:g} s and {count} channels")
    labels = [fields[16 * i : 16 * i + 16] for i in range(count)]
    where = tuple((sum(sizes[:i]), sizes[i]) for i in range(count) if b"Annotations" in labels[i])
    begin = 256 * (count + 1)
    whole = (path.stat().st_size - begin) // sum(sizes)
    if whole < 1 or records > whole:
        raise damaged_error(path, f"it ends after {max(whole, 0)} of {records} records")
    records = whole if records < 0 else records  # -1: the writer did not finish
    if records * sum(size for _, size in where) > _MOST_BYTES:
        raise damaged_error(path, f"over {_MOST_BYTES:,} bytes of annotations")
    try:
        start = datetime.strptime(fixed[168:184].decode("ascii"), "%d.%m.%y%H.%M.%S").replace(tzinfo=zone)
    except ValueError:
        start = None
    # Files of annotations alone have no first sample: onsets count from the header's second.
    timed = 0 < len(where) < count and record_s
    offset = next(_read_record_times(path, begin, records, sum(sizes), where[0])) or 0.0 if timed else 0.0
    start = start and start + timedelta(seconds=offset)
    return Header(start, offset, records * record_s, begin, records, sum(sizes), where)


def find_record_starts(path: Path) -> list[float] | None:
    """Return the seconds from the first record to the start of each one. None if at most the first record states its
    time. Raises DataError if only some do: their bytes are misplaced."""
    head = read_header(path)
    if not head.notes:
        return None
    onsets = list(_read_record_times(path, head.begin, head.records, head.per_record, head.notes[0]))
    starts = [onset - head.offset for onset in onsets if onset is not None]
    if 1 < len(starts) < len(onsets):
        raise damaged_error(path, f"record {onsets.index(None) + 1} of {len(onsets)} does not say when it begins")
    return starts if len(starts) == len(onsets) else None


def _read_record_times(
    path: Path, begin: int, records: int, per_record: int, place: tuple[int, int]
) -> Iterator[float | None]:
    """Yield the onset that states each record's time; None for a record without one."""
    with path.open("rb") as file:
        for k in range(records):
            file.seek(begin + k * per_record + place[0])
            onset, *texts = file.read(place[1]).partition(b"\0")[0].split(b"\x14")
            yield float(onset) if texts and not texts[0] and _ONSET.fullmatch(onset) else None


def read_notes(path: Path, head: Header | None = None) -> list[tuple[float, str]]:
    """Return seconds from the first sample and texts of all annotations, in order of time. Raises DataError as
    `read_header`, and if an annotation has no time."""
    head = head or read_header(path)
    if not sum(size for _, size in head.notes):
        raise damaged_error(path, "there is no channel of annotations")
    data = np.memmap(path, np.uint8, "r", head.begin, (head.records, head.per_record))
    notes: list[tuple[float, str]] = []
    for record in data:
        for first, size in head.notes:
            for entry in filter(None, record[first : first + size].tobytes().split(b"\0")):
                onset, *texts = entry.split(b"\x14")
                onset = onset.partition(b"\x15")[0]
                if not _ONSET.fullmatch(onset):
                    raise damaged_error(path, f"an annotation at `{onset[:20].decode('latin1')}` s")
                notes += [
                    (float(onset) - head.offset, text.decode("utf-8", "replace").strip()) for text in texts if text
                ]
    return sorted(notes, key=lambda note: note[0])


# The times at which files of signals began, from their headers.

_UNKNOWN_DAY = date(1985, 1, 1)
"""The date that anonymised EDF files have."""
_NEW_SEGMENT = re.compile(rb"^Mk\d+=New Segment,[^,\r\n]*,\d+,\d+,\d+,(\d{20})", re.MULTILINE)
_WFDB = re.compile(
    rb"^[^\s#]+ +\d+ +\S+ +\d+ +(\d{1,2}:\d\d:\d\d(?:\.\d{1,6})?) +(\d{1,2}/\d{1,2}/\d{4})", re.MULTILINE
)


def find_header_start(path: Path, zone: tzinfo) -> float | None:
    """Return the time of the first sample of an EDF, BDF, BrainVision or WFDB file in unix seconds. None if the header
    does not state it, or states an hour that occurs twice or never in the time zone."""
    suffix = path.suffix.lower()
    start = None
    try:
        if suffix in (".edf", ".bdf"):
            start = read_header(path).start
            start = None if start and start.date() == _UNKNOWN_DAY else start
        elif suffix == ".vhdr" and (found := _NEW_SEGMENT.search(read_first_bytes(path.with_suffix(".vmrk")))):
            start = _parse_moment(found[1], "%Y%m%d%H%M%S%f")
        elif suffix == ".hea" and (found := _WFDB.search(read_first_bytes(path))):
            fraction = b"" if b"." in found[1] else b".0"
            start = _parse_moment(found[2] + b" " + found[1] + fraction, "%d/%m/%Y %H:%M:%S.%f")
    except (DataError, OSError, ValueError):  # the reader of the whole file reports it
        return None
    both = {start.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)} if start else set()
    return both.pop() if len(both) == 1 else None


def read_first_bytes(path: Path) -> bytes:
    """Return the first 64 KiB of a file, which contain its header."""
    with path.open("rb") as file:
        return file.read(1 << 16)


def _parse_moment(field: bytes, form: str) -> datetime:
    return datetime.strptime(field.decode("ascii"), form)  # noqa: DTZ007 (the zone is that of the description)


# Trigger channels: numbers that change when something happens, such as `Status` of BioSemi's BDF files.

_STATUS = "status"
_GLITCH_HZ = 256.0
"""At this rate or higher, a code that lasts one sample beside another code is an artefact of slow switching."""
_MOST = 0.2
"""Largest proportion of samples at which a trigger channel may change."""


def is_status(path: Path, name: str) -> bool:
    """Return True for the channel of a BioSemi file that contains the triggers and the device's state."""
    return path.suffix.lower() == ".bdf" and name.strip().lower() == _STATUS


def find_triggers(path: Path, track: Track) -> list[tuple[float, str]]:
    """Return (seconds from the first sample, code) for each change of a trigger channel to a code other than 0. Lost
    samples do not count as changes.

    The lower 16 bits of a BioSemi status are codes; bits of the upper 8 that are always set are not connected.

    Raises:
        DataError: the numbers are not whole, or change so often that they are a signal.
    """
    values = track.read(0, track.samples)
    is_known = np.isfinite(values)
    if not (values[is_known] == 0).any():
        values, is_known = np.where(is_known, values, 0.0), np.ones(len(values), bool)  # only codes are stored
    codes = np.round(values[is_known]).astype(np.int64)
    if not np.allclose(values[is_known], codes, atol=0.01 + 1e-4 * np.abs(codes).max(initial=0)):
        raise _trigger_error(path, track, "numbers that are not whole")
    if is_status(path, track.name):
        codes &= 0xFFFF
        codes &= ~(int(np.bitwise_and.reduce(codes, initial=0xFFFF)) & 0xFF00)
    positions = np.flatnonzero(is_known)
    changes = np.flatnonzero(np.diff(codes, prepend=0))
    if len(changes) > max(_MOST * len(codes), 20):
        raise _trigger_error(path, track, f"{len(changes)} changes in {len(codes)} samples")
    if track.rate >= _GLITCH_HZ:
        is_beside = (codes[np.minimum(changes + 1, len(codes) - 1)] != 0) | (codes[np.maximum(changes - 1, 0)] != 0)
        changes = changes[(np.diff(changes, append=len(codes)) > 1) | ~is_beside | (changes == 0)]
    return [(float(positions[k]) / track.rate, str(codes[k])) for k in changes.tolist() if codes[k]]


def _trigger_error(path: Path, track: Track, what: str) -> DataError:
    return DataError(
        f"channel {track.name} is not one of triggers: {what}",
        where=str(path),
        expected="whole numbers that change when something happens, and 0 between",
        hint="name the channel of the triggers, such as `channel: Status`",
    )


# The annotation files of a WFDB record, such as `100.atr` for `100.hea`.

_OTHERS = (".hea", ".dat", ".mat", ".edf", ".bdf", ".txt", ".csv", ".xws")


def find_wfdb_notes(path: Path) -> list[Path]:
    """Return a WFDB record's annotation files, by the path of its header; none for any other file."""
    if path.suffix.lower() != ".hea":
        return []
    beside = (p for p in sorted(path.parent.glob(f"{path.stem}.*")) if p.suffix[1:].isalpha() and p.stem == path.stem)
    return [p for p in beside if p.suffix.lower() not in _OTHERS and p.is_file() and _is_annotation(p)]


def read_wfdb_notes(path: Path) -> dict[str, list[tuple[float, str]]]:
    """Return file ending -> (seconds from the first sample, text) of a WFDB record's annotations. The text is the note,
    or the symbol if there is none. Raises DataError for a damaged file."""
    notes_by_ending = {}
    for file in find_wfdb_notes(path):
        try:
            import wfdb
        except ImportError as error:
            hint = "pip install wfdb"
            raise DataError("WFDB annotations need the wfdb package", where=str(file), hint=hint) from error
        try:
            annotation = wfdb.rdann(str(path.with_suffix("")), file.suffix[1:])
            rate = float(annotation.fs or wfdb.rdheader(str(path.with_suffix(""))).fs)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OSError) as error:
            raise damaged_error(file, f"not readable as annotations: {error}") from error
        notes = annotation.aux_note or [""] * len(annotation.sample)
        texts = [note.strip("\0 ") or symbol for note, symbol in zip(notes, annotation.symbol, strict=True)]
        notes_by_ending[file.suffix[1:]] = sorted(zip((annotation.sample / rate).tolist(), texts, strict=True))
    return notes_by_ending


def _is_annotation(path: Path) -> bool:
    """Return True if a file ends as annotations do, with two bytes of 0, and has an even number of bytes."""
    size = path.stat().st_size
    if size < 2 or size % 2:
        return False
    with path.open("rb") as file:
        file.seek(size - 2)
        return file.read() == b"\0\0"
