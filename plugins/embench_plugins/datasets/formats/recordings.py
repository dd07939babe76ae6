"""Files of recordings, opened to be read piece by piece: EDF and BDF, WFDB, and what `matlab_tracks`, `embrace`,
`brainvision`, `lsl` and `acqknowledge` read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.devices.embrace import open_embrace
from embench_plugins.datasets.formats.acqknowledge import acq_markers, open_acq
from embench_plugins.datasets.formats.brainvision import brainvision_files, brainvision_markers, open_brainvision
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.edf_notes import header, notes, record_starts
from embench_plugins.datasets.formats.lsl import lsl_markers, open_lsl
from embench_plugins.datasets.formats.matlab_tracks import open_matlab
from embench_plugins.datasets.formats.tracks import MOST_BYTES, Opened, Stretch, Track, damaged, with_gaps
from embench_plugins.datasets.formats.triggers import is_status, trigger_marks

_WFDB_BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 11, "311": 10}

_GAP_S = 0.05
"""A record of EDF+ that begins so much later than the one before it ends follows a gap; less is rounding."""


def opened(path: Path) -> Opened:
    """Opens a file of any of the kinds. Raises DataError that names it, then or when it is read."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            f"files of the kind `{path.suffix}` are not read",
            where=str(path),
            expected=f"{', '.join(_KINDS)}, or a table (.csv, .tsv, .txt)",
            hint="name the headers (.hea) of WFDB records" if path.suffix in (".dat", ".atr") else None,
        )
    return kind(path)


def parts(path: Path) -> list[Path]:
    """All files that decide what a file holds: a header's are those that it names, as far as they are there."""
    if path.suffix.lower() == ".vhdr":
        return [path, *(file for file in brainvision_files(path) if file.is_file())]
    if path.suffix.lower() != ".hea":
        return [path]
    named = [path.parent / name for name in _named(path)]
    return [path, *sorted({file for file in named if file.is_file()})]


def markers(path: Path) -> list[tuple[float, str]]:
    """Seconds since the start and texts of what was marked in a file, in order of time; none in one that holds no
    markers. Raises DataError where it cannot be read."""
    return sorted(mark for marks in marker_streams(path).values() for mark in marks)


def marker_streams(path: Path) -> Mapping[str, list[tuple[float, str]]]:
    """The markers of a file by where they are in it: the names of an XDF file's streams, `annotations`, or the status
    channel of a BioSemi file."""
    kind = path.suffix.lower()
    if kind == ".xdf":
        return lsl_markers(path)
    if kind not in (".edf", ".bdf"):
        read = _MARKERS.get(kind)
        return {"annotations": sorted(read(path))} if read else {}
    head = header(path)
    found = {"annotations": notes(path, head)} if head.notes else {}
    with _edf(path) as tracks_of:
        states = [track for track in tracks_of(Channels(channels={"": ""})) if is_status(path, track.name)]
    return found | {track.name: trigger_marks(path, track) for track in states}


# EDF and BDF. Read here, since the libraries refuse a header with a micro or degree sign in Latin-1, which is common.


@contextmanager
def _edf(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    with path.open("rb") as file:
        fixed = file.read(256)
        if fixed[:8].rstrip() not in (b"0", b"\xffBIOSEMI") or len(fixed) < 256:
            raise damaged(path, "this is no EDF or BDF file")
        width = 2 if fixed[:1] == b"0" else 3
        count = _header_number(path, "number of signals", fixed[252:256], int)
        if not 1 <= count <= 4096:
            raise damaged(path, f"{count} signals")
        fields = file.read(256 * count)
    if len(fields) < 256 * count:
        raise damaged(path, "the header is cut short")

    def column(before: int, size: int) -> list[bytes]:
        return [fields[before * count + i * size : before * count + (i + 1) * size] for i in range(count)]

    labels, units = column(0, 16), column(96, 8)
    limits = [column(before, 8) for before in (104, 112, 120, 128)]
    each = [_header_number(path, "samples a record", text, int) for text in column(216, 8)]
    seconds = _header_number(path, "seconds a record", fixed[244:252], float)
    per_record = sum(each)
    if min(each) < 0 or not 0 < seconds < 1e6 or not 0 < per_record < MOST_BYTES // width:
        raise damaged(path, f"records of {seconds:g} s and {per_record} samples")
    begin = 256 * (count + 1)
    whole, more = divmod(path.stat().st_size - begin, width * per_record)
    records = _header_number(path, "number of records", fixed[236:244], int)
    if whole < 1 or records > whole:
        raise damaged(path, f"it ends after {max(whole, 0)} of {records} records")
    if 0 <= records < whole or (records >= 0 and more and _has_content(path, more)):
        raise damaged(path, f"its header says {records} records, and it holds {whole} and {more} bytes")
    records = whole if records < 0 else records  # -1: the writer did not come to its end
    shape = (records, per_record) if width == 2 else (records, per_record, 3)
    data = np.memmap(path, "<i2" if width == 2 else np.uint8, "r", begin, shape)

    def track(i: int) -> Track:
        size, first = each[i], sum(each[:i])
        gain, offset = _scale([_text(limit[i]) for limit in limits])

        def read(start: int, stop: int) -> np.ndarray:
            if not gain:
                raise _without_range(path, _text(labels[i]), [_text(limit[i]) for limit in limits])
            from_record, to_record = start // size, -(-stop // size)
            digital = data[from_record:to_record, first : first + size]
            if width == 3:
                low_bytes, sign = digital[..., :2].astype(np.int32), digital[..., 2].astype(np.int8).astype(np.int32)
                digital = low_bytes[..., 0] | low_bytes[..., 1] << 8 | sign << 16
            values = digital.reshape(-1)[start - from_record * size : stop - from_record * size]
            return gain * (offset + values.astype(np.float64))

        return Track(_text(labels[i]), size / seconds, size * records, _text(units[i]) or None, read)

    signals = [i for i in range(count) if each[i] and "Annotations" not in _text(labels[i])]
    begins = _begins(path, seconds, gaps=fixed[196:197] == b"D") if fixed[193:196] == b"DF+" else None
    tracks = [
        track(i) if begins is None else with_gaps(track(i), _stretches(begins, seconds, each[i])) for i in signals
    ]
    yield lambda _: tracks


def _has_content(path: Path, count: int) -> bool:
    """True if the last bytes of a file are more than padding."""
    with path.open("rb") as file:
        file.seek(-count, 2)
        return any(file.read(count))


def _begins(path: Path, seconds: float, *, gaps: bool) -> np.ndarray | None:
    """The seconds at which records begin, None if one follows the other.

    Raises:
        DataError: the header says that there are `gaps`, and no record or a wrong one where they are.
    """
    found = record_starts(path)
    late = np.diff(found) - seconds if found else np.zeros(0)
    if found is not None and not (np.abs(late) > _GAP_S).any():
        return None
    if found is None or late.min() < -_GAP_S or found[-1] > 5 * seconds * len(found) + 3600:
        if not gaps:
            return None  # it says that it has none, and its times are not those of records
        raise DataError(
            "the recording has gaps (EDF+D), longer than itself, or its records do not say when each begins",
            where=str(path),
            expected="a time in the annotations of each record",
            hint="save it as continuous pieces, one file each",
        )
    return np.asarray(found)


def _stretches(begins: np.ndarray, seconds: float, size: int) -> list[Stretch]:
    """The records of a channel with `size` samples in each, joined where one follows the other."""
    cuts = [0, *(np.flatnonzero(np.diff(begins) - seconds > _GAP_S) + 1).tolist(), len(begins)]
    return [
        Stretch(round(float(begins[first]) * size / seconds), first * size, (last - first) * size)
        for first, last in pairwise(cuts)
    ]


def _scale(limits: Sequence[str]) -> tuple[float, float]:
    """The factor and the summand of a channel's digital numbers; 0 if its limits say none."""
    try:
        low, high, least, most = map(float, limits)
    except ValueError:
        return 0.0, 0.0
    if most == least or high == low or not np.isfinite([low, high, least, most]).all():
        return 0.0, 0.0
    gain = (high - low) / (most - least)
    return gain, high / gain - most


def _without_range(path: Path, label: str, limits: Sequence[str]) -> DataError:
    low, high, least, most = (f"`{limit[:20]}`" for limit in limits)
    return DataError(
        f"channel {label} has no range: its physical minimum is {low}, maximum {high}, digital {least} and {most}",
        where=str(path),
        expected="two numbers that differ, and two of the digital ones, for each channel that is read",
        hint="leave this channel out of `channels`, or export the file again",
    )


def _text(field: bytes) -> str:
    return field.decode("latin1").strip().strip("\0").strip()


def _header_number(path: Path, name: str, field: bytes, kind: type[Any]) -> Any:
    try:
        return kind(_text(field))
    except ValueError:
        raise damaged(path, f"the header's {name} is `{_text(field)[:20]}`") from None


# WFDB


@contextmanager
def _wfdb(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    try:
        import wfdb
    except ImportError as error:
        raise DataError("WFDB records need the wfdb package", where=str(path), hint="pip install wfdb") from error
    faults = (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OverflowError, OSError)
    record = str(path.with_suffix(""))
    try:
        header = wfdb.rdheader(record)
    except faults as error:
        raise damaged(path, f"no WFDB header: {error}") from error
    if isinstance(header, wfdb.MultiRecord):
        raise DataError(
            "a record of several segments", where=str(path), hint="let the pattern name the segments' own headers"
        )
    if not header.n_sig or not header.fs or not 0 < header.fs <= 1e6 or len(header.file_name or ()) != header.n_sig:
        raise damaged(path, f"the header has {header.n_sig} signals at {header.fs} Hz and lines of others")
    frames = _frames(path, header)

    def track(i: int) -> Track:
        each = int(header.samps_per_frame[i] or 1)

        def read(start: int, stop: int) -> np.ndarray:
            first, last = start // each, -(-stop // each)
            try:
                part = wfdb.rdrecord(
                    record, sampfrom=first, sampto=last, channels=[i], smooth_frames=False, force_channels=False
                )
            except faults as error:
                raise damaged(path, f"channel {header.sig_name[i]}: {error}") from error
            return np.asarray(part.e_p_signal[0], np.float64)[start - first * each : stop - first * each]

        return Track(str(header.sig_name[i]), header.fs * each, frames * each, header.units[i], read)

    # A channel whose file is not there cannot be read, which hinders the others nothing.
    there = [i for i in range(header.n_sig) if (path.parent / str(header.file_name[i])).is_file()]
    yield lambda _: [track(i) for i in there]


def _frames(path: Path, header: Any) -> int:
    """How many frames a record has: those that the header promises, if its files can hold them."""
    frames = None
    for name in set(header.file_name):
        file, rows = path.parent / str(name), [i for i, own in enumerate(header.file_name) if own == name]
        if not file.is_file() or any(str(header.fmt[i]) not in _WFDB_BITS for i in rows):
            continue
        bits = sum(_WFDB_BITS[str(header.fmt[i])] * int(header.samps_per_frame[i] or 1) for i in rows)
        held = (file.stat().st_size - int(header.byte_offset[rows[0]] or 0)) * 8 // bits
        if header.sig_len and held < header.sig_len:
            raise damaged(file, f"it ends after {held} of {header.sig_len} samples a channel")
        if header.sig_len and held > 1.01 * header.sig_len + 64:
            raise damaged(path, f"it says {header.sig_len} samples a channel, and {name} holds {held}")
        frames = held if frames is None else min(frames, held)
    if not header.sig_len and frames is None:
        raise damaged(path, "the header does not say how long the record is")
    return int(header.sig_len or frames or 0)


def _named(path: Path) -> list[str]:
    """The signal files that a WFDB header names."""
    with path.open("rb") as file:
        text = file.read(1 << 20).decode("latin1")  # a header has a line a channel
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [row[0] for row in rows[1:] if re.fullmatch(r"[\w.-]{1,200}", row[0])]


_KINDS: dict[str, Callable[[Path], Opened]] = {
    ".edf": _edf,
    ".bdf": _edf,
    ".hea": _wfdb,
    ".mat": open_matlab,
    ".avro": open_embrace,
    ".vhdr": open_brainvision,
    ".xdf": open_lsl,
    ".acq": open_acq,
}
_MARKERS: dict[str, Callable[[Path], list[tuple[float, str]]]] = {
    ".vhdr": brainvision_markers,
    ".acq": acq_markers,
}
