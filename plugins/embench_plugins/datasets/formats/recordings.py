"""Files of recordings, opened to be read piece by piece; `open_recording` opens any of them.

EDF and BDF, WFDB, Biopac's AcqKnowledge, BrainVision and Lab Streaming Layer are read here, MATLAB files by `matlab`,
and files of Empatica's EmbracePlus by `wearables`.
"""

from __future__ import annotations

import logging
import re
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.devices.wearables import open_embrace
from embench_plugins.datasets.formats.channels import (
    MOST_BYTES,
    Channels,
    Opened,
    Stretch,
    Track,
    cut_part,
    damaged_error,
    fill_gaps,
    parse_unit,
    unreadable_error,
)
from embench_plugins.datasets.formats.matlab import open_matlab
from embench_plugins.datasets.formats.notes import find_record_starts, find_triggers, is_status, read_header, read_notes

# Recordings of Biopac's AcqKnowledge (.acq), by the package bioread.


@contextmanager
def open_acq(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Open an AcqKnowledge file as a context. Raises DataError if bioread is not installed or cannot read it."""
    tracks = [
        Track(
            channel.name.strip(),
            float(channel.samples_per_second),
            len(channel.data),
            parse_unit(channel.units),
            partial(cut_part, np.asarray(channel.data, np.float64)),
        )
        for channel in _read_acq(path).channels
    ]
    yield lambda _: tracks


def read_acq_markers(path: Path) -> list[tuple[float, str]]:
    """Return (seconds since the start, text) of the marked events. Raises DataError as `open_acq`."""
    file = _read_acq(path)
    rate = float(file.samples_per_second)
    places = [(int(mark.sample_index), str(mark.text).strip()) for mark in file.event_markers or []]
    # bioread reads positions as unsigned: those before the start, which was cut off, are just below 2 ** 32.
    return sorted(((k - (1 << 32) if k >= 1 << 31 else k) / rate, text) for k, text in places)


@lru_cache(maxsize=1)
def _read_acq(path: Path) -> Any:
    """Return an AcqKnowledge file as bioread reads it. Raises DataError as `open_acq`."""
    try:
        import bioread
    except ImportError as error:
        raise DataError("AcqKnowledge files need bioread", where=str(path), hint="pip install bioread") from error
    messages: list[str] = []
    listener = logging.Handler(logging.ERROR)
    listener.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("bioread")
    log.addHandler(listener)
    try:
        file = bioread.read_file(str(path))
    except Exception as error:  # the package raises all kinds of exceptions for a damaged file
        raise unreadable_error(path, "bioread", error) from error
    finally:
        log.removeHandler(listener)
    # After logged errors, samples or markers are missing; those of the journal do not matter here.
    if faults := [text for text in messages if "Journal" not in text]:
        raise unreadable_error(path, "bioread", ValueError(faults[0]))
    if not file.channels:
        raise damaged_error(path, "it has no channel")
    return file


# Recordings of BrainVision (.vhdr with .eeg and .vmrk), by the package mne.

_SI = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9, "S": 1.0, "uS": 1e-6}
"""Unit -> factor by which mne multiplies a file's numbers; other units are unchanged."""
_MOST_TEXT, _PAUSE_S = 1 << 24, 0.05
_SEGMENT = re.compile(r"^Mk\d+=New Segment,[^,\r\n]*,(\d{1,12}),\d+,[^,\r\n]*,(\d{14,20})", re.MULTILINE)
_CHANNEL = re.compile(r"^Ch(\d+)=((?:[^,\\]|\\.)*),[^,]*,[^,]*,?([^,\r\n]*)", re.MULTILINE)


@contextmanager
def open_brainvision(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Open a BrainVision header as a context. Raises DataError if mne is not installed or cannot read its files."""
    raw, stretches = _read_brainvision(path), _find_brainvision_stretches(path)
    listed = re.search(
        r"^\[Channel Infos\](.*?)(?=^\[|\Z)", _read_brainvision_text(path), re.MULTILINE | re.DOTALL | re.IGNORECASE
    )
    units = {int(k): parse_unit(unit) or "uV" for k, _, unit in _CHANNEL.findall(listed[1] if listed else "")}

    def read(i: int, scale: float, start: int, stop: int) -> np.ndarray:
        try:
            return np.asarray(raw.get_data(picks=[i], start=start, stop=stop)[0] / scale, np.float64)
        except (OSError, ValueError) as error:
            raise damaged_error(path, f"channel {raw.ch_names[i]}: {error}") from error

    tracks = [
        Track(name, float(raw.info["sfreq"]), int(raw.n_times), unit, partial(read, i, _SI.get(unit, 1.0)))
        for i, (name, unit) in enumerate((name, units.get(i + 1, "uV")) for i, name in enumerate(raw.ch_names))
    ]
    yield lambda _: [fill_gaps(track, stretches) for track in tracks] if len(stretches) > 1 else tracks


def read_brainvision_markers(path: Path) -> list[tuple[float, str]]:
    """Return (seconds since the start, text) of the markers, such as `Stimulus/S 11`. Raises as `open_brainvision`."""
    raw, stretches = _read_brainvision(path), _find_brainvision_stretches(path)
    rate, found = float(raw.info["sfreq"]), []
    for note in raw.annotations:
        at = float(note["onset"])
        for place, first, _ in stretches:
            shift = (place - first) / rate if at * rate >= first - 0.5 else 0.0
            at = float(note["onset"]) + shift if shift else at
        found.append((at, str(note["description"]).strip()))
    return found


def find_brainvision_files(path: Path) -> list[Path]:
    """Return the files of signals and markers that a header names."""
    named = re.findall(r"^(?:DataFile|MarkerFile)=([^/\\\r\n]+?)\s*$", _read_brainvision_text(path), re.MULTILINE)
    return [path.parent / name.replace("$b", path.stem) for name in named]


def _read_brainvision_text(path: Path) -> str:
    """Return a header or a list of markers as text; older ones are in Latin-1."""
    with path.open("rb") as file:
        content = file.read(_MOST_TEXT + 1)
    if len(content) > _MOST_TEXT:
        raise damaged_error(path, f"it is over {_MOST_TEXT:,} bytes long, too long for a text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _find_brainvision_stretches(path: Path) -> list[Stretch]:
    """Return the parts of a recording that was paused, by the times of its markers; one part if they state none."""
    raw = _read_brainvision(path)
    rate, samples = float(raw.info["sfreq"]), int(raw.n_times)
    stretches, first_moment = [Stretch(0, 0, samples)], None
    lists = [file for file in find_brainvision_files(path) if file.suffix.lower() == ".vmrk"]
    for position, date in _SEGMENT.findall(_read_brainvision_text(lists[0])) if lists else ():
        try:
            moment = datetime.strptime(date[:20], "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
        except ValueError:
            continue  # zeros, if a program did not know the time
        first, first_moment = int(position) - 1, first_moment or moment
        previous, place = stretches[-1], round((moment - first_moment).total_seconds() * rate)
        late = place - previous.place - (first - previous.first)
        if not previous.first < first < samples or late <= _PAUSE_S * rate:
            continue
        if place > 5 * samples + 3600 * rate:
            raise DataError(
                f"it was paused for {late / rate:.0f} s at {first / rate:g} s", where=str(path),
                expected="pauses shorter than the recording", hint="export the parts as files of their own",
            )  # fmt: skip
        stretches[-1:] = [previous._replace(samples=first - previous.first), Stretch(place, first, samples - first)]
    return stretches


def _read_brainvision(path: Path) -> Any:
    try:
        import mne
    except ImportError as error:
        raise DataError("BrainVision files need the package mne", where=str(path), hint="pip install mne") from error
    if lacking := [file.name for file in find_brainvision_files(path) if not file.is_file()]:
        raise DataError(f"{lacking[0]} is missing, which its header names", where=str(path), expected="three files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mne.io.read_raw_brainvision(path, preload=False, verbose="error")
    except Exception as error:  # mne raises all kinds of exceptions for a damaged file
        raise unreadable_error(path, "mne", error) from error


# Streams of Lab Streaming Layer in an XDF file, as LabRecorder writes them: signals, and texts and codes as markers.
#
# All streams share one clock and one start, the first sample of any signal. A stream is NaN before its own start and
# where it lost samples. Rates are computed from time stamps, since a device's nominal rate is often some percent off.

NOMINAL = 0.005
"""The nominal rate is used if the rate of the stamps deviates by at most this proportion."""
_WHOLE = 0.0005
_STREAM_GAP_S = 0.05
"""If stamps are late by at least this and remain so, samples were lost; less is jitter."""
_AROUND_S = 2.0
_SLOPE_S = 5.0
_HEADER, _SAMPLES = 2, 3
"""Tags of chunks."""


class Stream(NamedTuple):
    """A stream of numbers with a rate. `places` (n,) are positions on the grid of `rate` Hz that begins at the file's
    first sample, `rows` (n,) the rows of `values` at these positions."""

    name: str
    labels: tuple[str, ...]
    units: tuple[str | None, ...]
    rate: float
    places: np.ndarray
    rows: np.ndarray
    values: Any


@contextmanager
def open_lsl(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Open an XDF file as a context. Channels are named by their labels, or `stream/label` if a label occurs twice.

    Raises:
        DataError: pyxdf is not installed, or the file is damaged or holds no signal.
    """
    streams = _select_signal_streams(path)
    labels = Counter(label for stream in streams for label in stream.labels)
    tracks = []
    for stream in streams:
        data = np.full((len(stream.labels), int(stream.places[-1]) + 1), np.nan)
        data[:, stream.places] = np.asarray(stream.values, np.float64).reshape(-1, len(stream.labels))[stream.rows].T
        for label, unit, values in zip(stream.labels, stream.units, data, strict=True):
            full = f"{stream.name}/{label}" if labels[label] > 1 else label
            tracks.append(Track(full, stream.rate, len(values), unit, partial(cut_part, values)))
    yield lambda _: tracks


def read_lsl_markers(path: Path) -> dict[str, list[tuple[float, str]]]:
    """Return stream -> (seconds since the first sample of any signal, text) of its markers, for streams of texts, and
    of numbers without a rate (`11`, not `11.0`). Raises DataError as `open_lsl`."""
    origin = _find_stream_origin(path)
    marks_by_stream: dict[str, list[tuple[float, str]]] = {}
    for name, stream in _name_streams(path):
        if _is_text(stream) or not _read_stream_rate(path, stream):
            marks_by_stream[name] = [
                (float(stamp - origin), text)
                for stamp, values in zip(stream["time_stamps"], stream["time_series"], strict=True)
                for value in values
                if (text := str(value).strip() if _is_text(stream) else _parse_code(value))
            ]
    return {name: sorted(marks) for name, marks in marks_by_stream.items() if marks}


def _parse_code(value: Any) -> str:
    """Return a marker's number as text; empty if it is not finite."""
    number = float(value)
    return "" if not np.isfinite(number) else str(int(number)) if number.is_integer() else f"{number:.7g}"


def _is_text(stream: Any) -> bool:
    return _read_entry(stream["info"], "channel_format") == "string"


def _read_stream_rate(path: Path, stream: Any) -> float:
    """Return the nominal rate in Hz, 0 for markers."""
    text = _read_entry(stream["info"], "nominal_srate") or "0"
    try:
        rate = float(text)
    except ValueError:
        rate = np.nan
    if not 0 <= rate <= 1e6:
        raise damaged_error(path, f"stream {_read_entry(stream['info'], 'name')} has a nominal rate of `{text[:20]}`")
    return rate


def _name_streams(path: Path) -> list[tuple[str, Any]]:
    """Return (name, stream) of streams with samples. Streams of the same name get a number."""
    streams = [stream for stream in _read_streams(path) if len(stream["time_stamps"])]
    names = [_read_entry(stream["info"], "name") for stream in streams]
    numbers = Counter[str]()
    numbers.update(name for name in set(names) if names.count(name) < 2)
    found = []
    for name, stream in zip(names, streams, strict=True):
        if names.count(name) > 1:
            numbers[name] += 1
            name = f"{name}#{numbers[name]}"
        if not np.isfinite(stream["time_stamps"]).all():
            raise damaged_error(path, f"a time of stream {name} is not a number")
        found.append((name, stream))
    return found


def _find_stream_origin(path: Path) -> float:
    starts = [s["time_stamps"][0] for _, s in _name_streams(path) if not _is_text(s) and _read_stream_rate(path, s)]
    if not starts:
        raise DataError("no stream of numbers with a rate is in it", where=str(path), expected="signals")
    return float(min(starts))


def _select_signal_streams(path: Path) -> list[Stream]:
    """Return the streams of numbers with a rate."""
    origin, streams = _find_stream_origin(path), []
    for name, stream in _name_streams(path):
        if _is_text(stream) or not (nominal := _read_stream_rate(path, stream)):
            continue
        try:
            rate, places, rows = put_on_even_grid(np.asarray(stream["time_stamps"], np.float64), nominal, origin)
        except ValueError as error:
            raise damaged_error(path, f"stream {name}: {error}") from None
        description = (stream["info"].get("desc") or [None])[0] or {}
        groups = description.get("channels") or []
        channels = [channel for group in groups if group for channel in group.get("channel") or []]
        if len(channels) != (count := np.asarray(stream["time_series"]).shape[1]):
            channels = [{}] * count
        labels = [_read_entry(channel, "label") for channel in channels]
        units = [parse_unit(_read_entry(channel, "unit")) for channel in channels]
        labels = [label or f"{name}_{k + 1}" for k, label in enumerate(labels)]
        streams.append(Stream(name, tuple(labels), tuple(units), rate, places, rows, stream["time_series"]))
    return streams


def put_on_even_grid(stamps: np.ndarray, nominal: float, origin: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the rate of time stamps (n,) in s, the positions on a grid of that rate from `origin` on, and the sample
    at each position.

    Between gaps, samples are evenly spaced and only their stamps jitter: a line through the stamps gives their times.

    Raises:
        ValueError: the stamps go backwards, or cover more time than fits into memory.
    """
    borders, slope = _find_stream_stretches(stamps, nominal)
    slope_rate = 1 / slope
    whole = round(slope_rate)
    rate = nominal if abs(slope_rate - nominal) <= NOMINAL * nominal else slope_rate
    rate = float(whole) if rate == slope_rate and whole and abs(slope_rate - whole) <= _WHOLE * whole else rate
    if (stamps.max() - origin) * rate > MOST_BYTES / 8:
        raise ValueError(f"its times go over {stamps.max() - origin:.6g} s")
    places, rows, free = [], [], 0
    for first, last in pairwise(borders):
        begin = float(np.median(stamps[first:last] - slope * np.arange(last - first))) - origin
        place = max(round(begin * rate), free)
        if first and place - begin * rate > max(1.5, _STREAM_GAP_S * rate):
            raise ValueError(
                f"its times fall back by {place / rate - begin:.3g} s at {begin:.6g} s: the device's clock was reset"
            )
        count = max(round((last - first) * rate * slope), 1)
        places.append(place + np.arange(count))
        rows.append(
            first + np.minimum(np.floor(np.arange(count) * slope_rate / rate + 0.5).astype(np.int64), last - first - 1)
        )
        free = place + count
    return rate, np.concatenate(places), np.concatenate(rows)


def _find_stream_stretches(stamps: np.ndarray, nominal: float) -> tuple[list[int], float]:
    """Return the borders of stretches without lost samples (first sample of each, then the number of samples), and the
    step between samples in s."""
    n = len(stamps)
    far = max(1, min(n - 1, round(_SLOPE_S * nominal)))
    step = float(np.median(stamps[far:] - stamps[:-far])) / far if n > 1 else 1 / nominal
    if not 0.1 / nominal < step < 10 / nominal:
        raise ValueError(f"its samples come every {step:.3g} s, at a nominal rate of {nominal:g} Hz")
    late = stamps - step * np.arange(n)
    least, around = max(_STREAM_GAP_S, 0.75 * step), max(round(_AROUND_S / step), 8)
    borders = [0]
    for k in (np.flatnonzero(np.abs(np.diff(stamps) - step) > max(_STREAM_GAP_S, 0.5 * step)) + 1).tolist():
        jump = np.median(late[k : k + around]) - np.median(late[max(borders[-1], k - around) : k])
        if abs(jump) > least:
            borders.append(k)
    borders.append(n)
    return borders, _fit_slope(stamps, borders, step)


def _fit_slope(stamps: np.ndarray, borders: Sequence[int], step: float) -> float:
    """Return the step in s between samples that fits all stretches best, without stamps that came in bursts."""
    k = np.concatenate([np.arange(last - first) - (last - first - 1) / 2 for first, last in pairwise(borders)])
    for _ in range(3):
        off = stamps - step * k
        off = np.concatenate([off[first:last] - np.median(off[first:last]) for first, last in pairwise(borders)])
        near = np.abs(off) <= max(4 * float(np.median(np.abs(off))), 1e-6)
        square = float(k[near] @ k[near])
        step += float(k[near] @ off[near]) / square if square else 0.0
    return step


def _read_entry(info: Any, key: str) -> str:
    """Return an entry of a stream's description, which pyxdf gives as a list of one text."""
    value = (info or {}).get(key) or [""]
    return str(value[0] if isinstance(value, list) else value or "").strip()


def _count_stream_samples(path: Path) -> Counter[int]:
    """Return stream id -> number of samples that its chunks state. pyxdf makes room for all of them at once, ignores a
    last chunk that is cut short, and skips chunks that it cannot read.

    Raises:
        DataError: a file ends within a chunk, or a chunk is too short for its samples.
    """
    size, samples, channels = path.stat().st_size, Counter[int](), dict[int, int]()
    with path.open("rb") as file:
        at = len(file.read(4))
        while at < size:
            file.seek(at)
            length = _read_length(file)
            end = file.tell() + length
            if not 2 <= length <= size - file.tell():
                raise damaged_error(path, f"it is damaged or ends within a chunk, after {at} of {size} bytes")
            tag, stream = struct.unpack("<HI", file.read(min(length, 6)).ljust(6, b"\0"))
            if tag == _HEADER:
                stated = re.search(rb"<channel_count>\s*(\d{1,9})\s*<", file.read(max(length - 6, 0)))
                channels[stream] = int(stated[1]) if stated else 1
            elif tag == _SAMPLES:
                count = _read_length(file)
                # A sample has a byte for its time, and at least one for each channel.
                if not 0 <= count * (1 + channels.get(stream, 1)) <= end - file.tell():
                    raise damaged_error(path, f"a chunk after {at} bytes is too short for {count} samples")
                samples[stream] += count
            at = end
    return samples


def _read_length(file: BinaryIO) -> int:
    """Return a number that is stored after its own size; -1 for a size that does not occur."""
    width = file.read(1)
    return int.from_bytes(file.read(width[0]), "little") if width in (b"\x01", b"\x04", b"\x08") else -1


@lru_cache(maxsize=1)
def _read_streams(path: Path) -> list[Any]:
    """Return the streams of an XDF file as pyxdf reads them. Raises DataError as `open_lsl`."""
    try:
        import pyxdf
    except ImportError as error:
        raise DataError("XDF files need the package pyxdf", where=str(path), hint="pip install pyxdf") from error
    logging.getLogger("pyxdf.pyxdf").setLevel(logging.CRITICAL)
    stated = _count_stream_samples(path)
    try:
        # The package would draw one line through stamps with a gap of up to 500 samples.
        streams: list[Any] = pyxdf.load_xdf(str(path), dejitter_timestamps=False)[0]
    except Exception as error:  # the package raises all kinds of exceptions for a damaged file
        raise unreadable_error(path, "pyxdf", error) from error
    for stream in streams:
        count = stated[stream["info"]["stream_id"]]
        if count != len(stream["time_stamps"]):
            name, read = _read_entry(stream["info"], "name"), len(stream["time_stamps"])
            raise damaged_error(path, f"stream {name}: {read} of {count} samples are readable")
    return streams


# All kinds of files; EDF, BDF and WFDB.

_WFDB_BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 11, "311": 10}

_GAP_S = 0.05
"""An EDF+ record that begins at least this long after the end of the one before follows a gap; less is rounding."""


def open_recording(path: Path) -> Opened:
    """Open a file of any supported format. Raises DataError that names the file, now or when it is read."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            f"files of the kind `{path.suffix}` are not read",
            where=str(path),
            expected=f"{', '.join(_KINDS)}, or a table (.csv, .tsv, .txt)",
            hint="name the headers (.hea) of WFDB records" if path.suffix in (".dat", ".atr") else None,
        )
    return kind(path)


def list_files(path: Path) -> list[Path]:
    """Return all files that determine the content of a recording: a header and the existing files that it names, or the
    file itself."""
    if path.suffix.lower() == ".vhdr":
        return [path, *(file for file in find_brainvision_files(path) if file.is_file())]
    if path.suffix.lower() != ".hea":
        return [path]
    named = [path.parent / name for name in _find_signal_files(path)]
    return [path, *sorted({file for file in named if file.is_file()})]


def read_markers(path: Path) -> list[tuple[float, str]]:
    """Return (seconds since the start, text) of a file's markers in order of time, empty if it has none. Raises
    DataError if it cannot be read."""
    return sorted(mark for marks in read_marker_streams(path).values() for mark in marks)


def read_marker_streams(path: Path) -> Mapping[str, list[tuple[float, str]]]:
    """Return the markers of a file by their source: the name of an XDF file's stream, `annotations`, or the status
    channel of a BioSemi file."""
    kind = path.suffix.lower()
    if kind == ".xdf":
        return read_lsl_markers(path)
    if kind not in (".edf", ".bdf"):
        read = _MARKERS.get(kind)
        return {"annotations": sorted(read(path))} if read else {}
    head = read_header(path)
    found = {"annotations": read_notes(path, head)} if head.notes else {}
    with _open_edf(path) as tracks_of:
        states = [track for track in tracks_of(Channels(channels={"": ""})) if is_status(path, track.name)]
    return found | {track.name: find_triggers(path, track) for track in states}


# EDF and BDF. Not read by libraries, as these refuse a header with a micro or degree sign in Latin-1, which is common.


@contextmanager
def _open_edf(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Open an EDF or BDF file as a context. Raises DataError if its header or its length is wrong."""
    with path.open("rb") as file:
        fixed = file.read(256)
        if fixed[:8].rstrip() not in (b"0", b"\xffBIOSEMI") or len(fixed) < 256:
            raise damaged_error(path, "this is not an EDF or BDF file")
        width = 2 if fixed[:1] == b"0" else 3
        count = _parse_header_number(path, "number of signals", fixed[252:256], int)
        if not 1 <= count <= 4096:
            raise damaged_error(path, f"{count} signals")
        fields = file.read(256 * count)
    if len(fields) < 256 * count:
        raise damaged_error(path, "the header is cut short")

    def column(before: int, size: int) -> list[bytes]:
        return [fields[before * count + i * size : before * count + (i + 1) * size] for i in range(count)]

    labels, units = column(0, 16), column(96, 8)
    limits = [column(before, 8) for before in (104, 112, 120, 128)]
    sizes = [_parse_header_number(path, "samples a record", text, int) for text in column(216, 8)]
    seconds = _parse_header_number(path, "seconds a record", fixed[244:252], float)
    per_record = sum(sizes)
    if min(sizes) < 0 or not 0 < seconds < 1e6 or not 0 < per_record < MOST_BYTES // width:
        raise damaged_error(path, f"records of {seconds:g} s and {per_record} samples")
    begin = 256 * (count + 1)
    complete, rest = divmod(path.stat().st_size - begin, width * per_record)
    records = _parse_header_number(path, "number of records", fixed[236:244], int)
    if complete < 1 or records > complete:
        raise damaged_error(path, f"it ends after {max(complete, 0)} of {records} records")
    if 0 <= records < complete or (records >= 0 and rest and _has_content(path, rest)):
        raise damaged_error(path, f"its header says {records} records, and it contains {complete} and {rest} bytes")
    records = complete if records < 0 else records  # -1: the writer did not finish
    shape = (records, per_record) if width == 2 else (records, per_record, 3)
    data = np.memmap(path, "<i2" if width == 2 else np.uint8, "r", begin, shape)

    def track(i: int) -> Track:
        size, first = sizes[i], sum(sizes[:i])
        gain, offset = _scale_samples([_decode_text(limit[i]) for limit in limits])

        def read(start: int, stop: int) -> np.ndarray:
            if not gain:
                raise _range_error(path, _decode_text(labels[i]), [_decode_text(limit[i]) for limit in limits])
            from_record, to_record = start // size, -(-stop // size)
            digital = data[from_record:to_record, first : first + size]
            if width == 3:
                low_bytes, sign = digital[..., :2].astype(np.int32), digital[..., 2].astype(np.int8).astype(np.int32)
                digital = low_bytes[..., 0] | low_bytes[..., 1] << 8 | sign << 16
            values = digital.reshape(-1)[start - from_record * size : stop - from_record * size]
            return gain * (offset + values.astype(np.float64))

        return Track(_decode_text(labels[i]), size / seconds, size * records, _decode_text(units[i]) or None, read)

    signals = [i for i in range(count) if sizes[i] and "Annotations" not in _decode_text(labels[i])]
    begins = _find_gaps(path, seconds, gaps=fixed[196:197] == b"D") if fixed[193:196] == b"DF+" else None
    tracks = [
        track(i) if begins is None else fill_gaps(track(i), _find_stretches(begins, seconds, sizes[i])) for i in signals
    ]
    yield lambda _: tracks


def _has_content(path: Path, count: int) -> bool:
    """Return True if any of the last `count` bytes of a file is not 0."""
    with path.open("rb") as file:
        file.seek(-count, 2)
        return any(file.read(count))


def _find_gaps(path: Path, seconds: float, *, gaps: bool) -> np.ndarray | None:
    """Return the seconds at which records begin; None without gaps between them.

    Raises:
        DataError: the header says that there are `gaps`, and the times of records are missing or wrong.
    """
    begins = find_record_starts(path)
    late = np.diff(begins) - seconds if begins else np.zeros(0)
    if begins is not None and not (np.abs(late) > _GAP_S).any():
        return None
    if begins is None or late.min() < -_GAP_S or begins[-1] > 5 * seconds * len(begins) + 3600:
        if not gaps:
            return None  # the header states no gaps, so the times are wrong
        raise DataError(
            "the recording has gaps (EDF+D), longer than itself, or its records do not say when each begins",
            where=str(path),
            expected="a time in the annotations of each record",
            hint="save it as continuous pieces, one file each",
        )
    return np.asarray(begins)


def _find_stretches(begins: np.ndarray, seconds: float, size: int) -> list[Stretch]:
    """Return the stretches of a channel with `size` samples per record, joined where records follow without a gap."""
    cuts = [0, *(np.flatnonzero(np.diff(begins) - seconds > _GAP_S) + 1).tolist(), len(begins)]
    return [
        Stretch(round(float(begins[first]) * size / seconds), first * size, (last - first) * size)
        for first, last in pairwise(cuts)
    ]


def _scale_samples(limits: Sequence[str]) -> tuple[float, float]:
    """Return the factor and the summand that convert a channel's digital numbers; (0, 0) if its limits are invalid."""
    try:
        low, high, least, most = map(float, limits)
    except ValueError:
        return 0.0, 0.0
    if most == least or high == low or not np.isfinite([low, high, least, most]).all():
        return 0.0, 0.0
    gain = (high - low) / (most - least)
    return gain, high / gain - most


def _range_error(path: Path, label: str, limits: Sequence[str]) -> DataError:
    low, high, least, most = (f"`{limit[:20]}`" for limit in limits)
    return DataError(
        f"channel {label} has no range: its physical minimum is {low}, maximum {high}, digital {least} and {most}",
        where=str(path),
        expected="two numbers that differ, and two of the digital ones, for each channel that is read",
        hint="leave this channel out of `channels`, or export the file again",
    )


def _decode_text(field: bytes) -> str:
    return field.decode("latin1").strip().strip("\0").strip()


def _parse_header_number(path: Path, name: str, field: bytes, kind: type[Any]) -> Any:
    try:
        return kind(_decode_text(field))
    except ValueError:
        raise damaged_error(path, f"the header's {name} is `{_decode_text(field)[:20]}`") from None


# WFDB


@contextmanager
def _open_wfdb(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Open a WFDB header as a context. Raises DataError if wfdb is not installed or the record is damaged."""
    try:
        import wfdb
    except ImportError as error:
        raise DataError("WFDB records need the wfdb package", where=str(path), hint="pip install wfdb") from error
    faults = (ValueError, LookupError, TypeError, AttributeError, EOFError, OverflowError, OSError, RuntimeError)
    record = str(path.with_suffix(""))
    try:
        header = wfdb.rdheader(record)
    except faults as error:
        raise damaged_error(path, f"no WFDB header: {error}") from error
    if isinstance(header, wfdb.MultiRecord):
        raise DataError(
            "a record of several segments", where=str(path), hint="let the pattern name the segments' own headers"
        )
    if not header.n_sig or not header.fs or not 0 < header.fs <= 1e6 or len(header.file_name or ()) != header.n_sig:
        raise damaged_error(path, f"the header has {header.n_sig} signals at {header.fs} Hz and lines of others")
    frames = _count_frames(path, header)

    def track(i: int) -> Track:
        each = int(header.samps_per_frame[i] or 1)

        def read(start: int, stop: int) -> np.ndarray:
            first, last = start // each, -(-stop // each)
            try:
                part = wfdb.rdrecord(
                    record, sampfrom=first, sampto=last, channels=[i], smooth_frames=False, force_channels=False
                )
            except faults as error:
                raise damaged_error(path, f"channel {header.sig_name[i]}: {error}") from error
            return np.asarray(part.e_p_signal[0], np.float64)[start - first * each : stop - first * each]

        return Track(str(header.sig_name[i]), header.fs * each, frames * each, header.units[i], read)

    # Channels whose file is missing are left out.
    present = [i for i in range(header.n_sig) if (path.parent / str(header.file_name[i])).is_file()]
    yield lambda _: [track(i) for i in present]


def _count_frames(path: Path, header: Any) -> int:
    """Return the number of frames that a record's header states. Raises DataError if its files do not match."""
    frames = None
    for name in set(header.file_name):
        file, rows = path.parent / str(name), [i for i, owner in enumerate(header.file_name) if owner == name]
        if not file.is_file() or any(str(header.fmt[i]) not in _WFDB_BITS for i in rows):
            continue
        bits = sum(_WFDB_BITS[str(header.fmt[i])] * int(header.samps_per_frame[i] or 1) for i in rows)
        stored = (file.stat().st_size - int(header.byte_offset[rows[0]] or 0)) * 8 // bits
        if header.sig_len and stored < header.sig_len:
            raise damaged_error(file, f"it ends after {stored} of {header.sig_len} samples a channel")
        if header.sig_len and stored > 1.01 * header.sig_len + 64:
            raise damaged_error(path, f"it says {header.sig_len} samples a channel, and {name} contains {stored}")
        frames = stored if frames is None else min(frames, stored)
    if not header.sig_len and frames is None:
        raise damaged_error(path, "the header does not say how long the record is")
    return int(header.sig_len or frames or 0)


def _find_signal_files(path: Path) -> list[str]:
    """Return the names of the signal files in a WFDB header."""
    with path.open("rb") as file:
        text = file.read(1 << 20).decode("latin1")  # a header has a line a channel
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [row[0] for row in rows[1:] if re.fullmatch(r"[\w.-]{1,200}", row[0])]


_KINDS: dict[str, Callable[[Path], Opened]] = {
    ".edf": _open_edf,
    ".bdf": _open_edf,
    ".hea": _open_wfdb,
    ".mat": open_matlab,
    ".avro": open_embrace,
    ".vhdr": open_brainvision,
    ".xdf": open_lsl,
    ".acq": open_acq,
}
_MARKERS: dict[str, Callable[[Path], list[tuple[float, str]]]] = {
    ".vhdr": read_brainvision_markers,
    ".acq": read_acq_markers,
}
