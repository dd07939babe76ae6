"""Prepared data as they are read: memory-mapped arrays, labels apart, and arrays computed once."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from embench.errors import DataError, MachineError
from embench.files import (
    DamagedError,
    aside,
    check_files,
    digest,
    flush,
    make_folder,
    read_arrays,
    read_sealed_json,
    sealed_json,
    sums_of,
    temporary,
)
from embench.interfaces.recording import Label, Signal, names_in
from embench.signals.gaps import Stretch
from embench.signals.resample import length_after, to_rate
from embench.system import locked

# Arrays that grow on disk, so that memory never holds more than what is being added.

AGAIN = "rerun the same command: it makes missing and damaged files again"


class RowWriter:
    """Appends rows (n, *shape) of float32 to a `.npy` file, whose header is set right at the end."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.rows, self.shape = 0, shape
        self._file = path.open("wb")
        self._file.write(_header(0, shape))

    def append(self, x: np.ndarray) -> None:
        """`x` (n, *shape)."""
        self._file.write(np.ascontiguousarray(x, np.float32).data)
        self.rows += len(x)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._file.write(_header(self.rows, self.shape))
        finally:
            self._file.close()


def write_rows(path: Path, first: int, x: np.ndarray) -> None:
    """Puts rows `x` (n, channels), float32 and contiguous, into a `.npy` file from row `first` on, whichever others are
    there; the file is made where it is missing, and lacks its header until `write_header`."""
    path.touch()
    with path.open("r+b") as file:
        file.seek(len(_header(0, x.shape[1:])) + first * x[:1].nbytes)
        file.write(x.data)


def write_header(path: Path, shape: tuple[int, ...]) -> None:
    """The header of an array (rows, channels) that `write_rows` wrote."""
    with path.open("r+b") as file:
        file.write(_header(shape[0], shape[1:]))


def write_zeros(path: Path, shape: tuple[int, ...]) -> None:
    """An array (rows, channels) of zeros, for which a disk keeps no room."""
    path.touch()
    write_header(path, shape)
    os.truncate(path, len(_header(shape[0], shape[1:])) + 4 * math.prod(shape))


def _header(rows: int, shape: tuple[int, ...]) -> bytes:
    # numpy leaves room in the header for the first axis to grow, so that it keeps its length.
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, *shape)})
    return file.getvalue()


def open_rows(path: Path) -> np.memmap:
    """A read-only view of the file, (rows, *shape). Raises DataError where it is missing or damaged."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"prepared data cannot be read: {error}", where=str(path), hint=AGAIN) from error


# Folders that are either there and whole, or not there: written aside with checksums, then renamed.

_ASIDE = ".building-"
_SUMS = "checksums.json"
_DAMAGED = ".damaged"

_HINTS = {
    errno.ENOSPC: "free some space, or point EMBENCH_CACHE at a larger disk",
    errno.EDQUOT: "your disk quota is full: free some space, or point EMBENCH_CACHE at another disk",
}


def build_once(target: Path, build: Callable[[Path], None], mode: int) -> Path:
    """`target`, made by `build(folder)` with the permissions `mode` if it is not there yet, or not as it was made: that
    is named and moved aside.

    `build` writes into a folder aside, which becomes `target` at once when it returns. Where another process was
    faster, its folder is used. Whatever goes wrong, nothing half-written stays: at the latest the next call sweeps
    away what a killed process left.

    Raises:
        MachineError: where the disk is full or does not let itself be written.
    """
    with writing(target):
        if _is_sound(target):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with _aside(target.parent, mode) as folder:
            build(folder)
            write_sums(folder, [path.name for path in folder.iterdir()])
            for path in folder.iterdir():
                flush(path)
            try:
                folder.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    return target


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Writes the checksums of some files of a folder, with which `check_folder` compares them."""
    (folder / _SUMS).write_text(sealed_json({"files": sums_of(folder, names)}), newline="\n")


def check_folder(folder: Path, *, whole: bool = False) -> None:
    """Compares what `build_once` made with its checksums; large files by sampled blocks unless `whole`.

    Raises:
        DamagedError: a file is missing, cut short or altered.
    """
    check_files(folder, read_sealed_json(folder / _SUMS)["files"], whole=whole)


def damaged_folders(cache: Path) -> Iterator[DamagedError]:
    """Reads all that lies in a cache, whole, and gives the faults."""
    for folder in stored_folders(cache):
        if not (folder / _SUMS).is_file():
            continue  # of a version without checksums, which nothing reads
        try:
            check_folder(folder, whole=True)
        except DamagedError as error:
            yield error


def stored_folders(cache: Path) -> list[Path]:
    """All folders that `build_once` made below a cache."""
    found = (folder for kind in ("store", "derived") for folder in (cache / kind).glob("*"))
    return sorted(f for f in found if f.is_dir() and not f.name.startswith(".") and f.suffix != _DAMAGED)


def _is_sound(target: Path) -> bool:
    """True if the folder exists as it was made. A changed one is moved aside, with a warning that names it."""
    if not target.is_dir():
        return False
    try:
        check_folder(target)
    except DamagedError:
        # Another process may be making it again, and must not lose what it made.
        with locked(target.with_name(f".{target.name}.lock")):
            return target.is_dir() and _kept_or_moved(target)
    return True


def _kept_or_moved(target: Path) -> bool:
    try:
        check_folder(target)
    except DamagedError as error:
        place = target.with_name(f"{target.name}{_DAMAGED}")
        shutil.rmtree(place, ignore_errors=True)
        target.rename(place)
        warnings.warn(f"{error.where}: {error.what}; made again; the old files are now in {place}", stacklevel=2)
        return False
    return True


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's errors in writing below `path` into a MachineError."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"prepared data cannot be written: {error.strerror or error}",
            where=str(path),
            expected="a writable folder with enough space",
            hint=_HINTS.get(
                error.errno or 0, "check the folder's permissions, or point EMBENCH_CACHE at another place"
            ),
        ) from error


@contextlib.contextmanager
def _aside(parent: Path, mode: int) -> Iterator[Path]:
    """A folder of this process alone. The lock beside it shows others that its owner lives: the system lets go of it
    when a process ends, however it ends."""
    folder = parent / f"{_ASIDE}{uuid.uuid4().hex[:8]}"
    lock = folder.with_suffix(".lock")
    with temporary(lock), temporary(folder), locked(lock):
        folder.mkdir(mode)
        yield folder


def _sweep(parent: Path) -> None:
    """Removes what killed processes left behind."""
    for lock in parent.glob(f"{_ASIDE}*.lock"):
        with contextlib.suppress(OSError), locked(lock, wait=False) as ownerless:
            if ownerless:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)


# Raw labels in a file of their own, exactly as float64; only the planner and the evaluator open it.


def write_labels(path: Path, labels: Mapping[str, Mapping[str, Label]]) -> None:
    """Writes {recording id: {label name: Label}} as flat arrays."""
    flat = [(recording, name, label) for recording, own in labels.items() for name, label in own.items()]
    values = [np.atleast_1d(np.asarray(label.values, np.float64)) for *_, label in flat]
    times = [np.asarray(label.times, np.float64) for *_, label in flat if label.times is not None]
    np.savez(
        path,
        recording=np.array([recording for recording, *_ in flat], str),
        name=np.array([name for _, name, _ in flat], str),
        kind=np.array([label.kind for *_, label in flat], str),
        classes=np.array([json.dumps(label.classes) for *_, label in flat], str),
        timed=np.array([label.times is not None for *_, label in flat], bool),
        count=np.array([len(v) for v in values], np.int64),
        values=np.concatenate([np.zeros(0), *values]),
        times=np.concatenate([np.zeros(0), *times]),
    )


def read_labels(path: Path) -> dict[str, dict[str, Label]]:
    """{label name: {recording id: Label}}."""
    labels: dict[str, dict[str, Label]] = {}
    at = timed_at = 0
    with np.load(path, allow_pickle=False) as file:
        flat = {key: file[key] for key in file.files}
    for recording, name, kind, classes, timed, count in zip(
        *(flat[key].tolist() for key in ("recording", "name", "kind", "classes", "timed", "count")), strict=True
    ):
        times = flat["times"][timed_at : timed_at + count] if timed else None
        names = json.loads(classes)
        label = Label(kind, flat["values"][at : at + count], times, None if names is None else tuple(names))
        labels.setdefault(name, {})[recording] = label
        at, timed_at = at + count, timed_at + count * timed
    return labels


# Prepared data as it is read: an index in seconds, one memory-mapped array a modality, labels apart.

INDEX, LABELS = "index.json", "labels.npz"
_KEYS = {"excluded": "left_out"}
"""Fields that the index has under another name."""


@dataclass(frozen=True, slots=True)
class Span:
    """Place of a recording's samples in an array: `samples` from `offset` on; the first one was taken `t0` seconds
    after the recording's start. `hz`: the rate of its stored samples where it is lower than that of the array."""

    offset: int
    samples: int
    t0: float
    hz: float | None = None

    def cut(self, start: float, stop: float, rate: float) -> slice:
        """The positions of the seconds [start, stop) of the recording, clipped at its own ends; empty outside."""
        first = min(max(round((start - self.t0) * rate), 0), self.samples)
        last = min(max(round((stop - self.t0) * rate), first), self.samples)
        return slice(self.offset + first, self.offset + last)


@dataclass(frozen=True, slots=True)
class ModalityEntry:
    """Columns and sampling rate of a modality's array; `linear`: lower rates lead to it by straight lines."""

    channels: tuple[str, ...]
    rate: float
    unit: str
    linear: bool = False


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """A video that belongs to a recording: `file` and `boxes` (the face's place, or None) below the dataset's folder,
    `fps` and `duration_s` of the file, `span` (start, stop) of the recording on the file's clock."""

    file: str
    fps: float
    span: tuple[float, float]
    duration_s: float
    boxes: str | None = None

    def seen(self, recording_s: float) -> tuple[float, float]:
        """Start and stop of the visible part, on the clock of a recording of this length."""
        stop = min(self.duration_s, self.span[1]) - self.span[0]
        return max(0.0, -self.span[0]), min(stop, recording_s)


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """A recording without its samples and labels; a modality that is absent has no span. That of a video is
    its visible part; its pixels are in no array of the store. `lost`: modality -> the stretches, in seconds of the
    recording, in which samples were lost and are bridged."""

    id: str
    subject: str
    stimulus: str
    session: str
    group: str
    start_s: float | None
    order: int | None
    duration_s: float
    spans: Mapping[str, Span]
    video: VideoEntry | None = None
    lost: Mapping[str, tuple[Stretch, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """A dataset's prepared data.

    Args:
        key: hash of everything that decided the contents.
        name: full registry name of the dataset.
        rate_hz: the requested rate; each modality's own is in `modalities`.
        filtered: whether the protocol's preprocessing was applied, or signals are as the dataset gave them.
        synthetic: the note of the data's generator, None for real data.
        excluded: signals that cannot be used: subject, recording, modality, reason.
        subjects: known facts of each subject.
        label_kinds: rating, continuous or condition, by label name.
        root: the dataset's folder, below which its videos lie, where it was when the data were prepared last.
    """

    path: Path
    key: str
    name: str
    rate_hz: float
    filtered: bool
    synthetic: Mapping[str, Any] | None
    recordings: tuple[RecordingEntry, ...]
    modalities: Mapping[str, ModalityEntry]
    excluded: tuple[Mapping[str, str], ...]
    subjects: Mapping[str, Mapping[str, str]]
    label_kinds: Mapping[str, str]
    root: Path | None = field(default=None, compare=False)

    @property
    def mode(self) -> int:
        """The permissions of the store's folder; what is derived from it has the same."""
        return self.path.stat().st_mode & 0o777

    def array(self, modality: str, channels: slice = slice(None)) -> SignalArray:
        """Return (channels, total) float32, read-only, without NaN and not normalised; of a few channels by position.

        Memory-mapped where all samples are stored at the modality's rate. Time is contiguous sample by sample, so that
        a window is read in one piece.
        """
        path = self.path / f"{modality}.npy"
        parts = self._slow.get(modality)
        return open_rows(path).T[channels] if parts is None else Resampled(path, parts, channels)

    def recording(self, recording: str) -> RecordingEntry:
        """The entry of a recording's id."""
        return self._by_id[recording]

    def signal(self, recording: str, modality: str) -> Signal:
        """A recording's samples, a slice without a copy. They begin at the span's `t0`."""
        span, entry = self.recording(recording).spans[modality], self.modalities[modality]
        data = self.array(modality)[:, span.offset : span.offset + span.samples]
        return Signal(data, entry.rate, entry.channels, entry.unit, modality=modality)

    def recorded_share(self, recording: str, modality: str, start: float, stop: float) -> float:
        """Share of the seconds [start, stop) of a recording with all parts of a modality, 0 to 1; of videos whether
        there is one."""
        entry, shares = self.recording(recording), []
        for part in names_in(modality):
            span, known = entry.spans.get(part), self.modalities.get(part)
            if span is None or known is None:
                return float(span is not None)
            cut = span.cut(start, stop, known.rate)
            samples = max(1.0, (stop - start) * known.rate)
            shares.append(round((cut.stop - cut.start) / samples, 2))  # the last sample says nothing
        return min(shares)

    def labels(self) -> dict[str, dict[str, Label]]:
        """{label name: {recording id: Label}}, raw."""
        return read_labels(self.path / LABELS)

    @cached_property
    def _slow(self) -> Mapping[str, _Parts]:
        """The modalities with recordings that are stored at a rate of their own."""
        slow = {m for entry in self.recordings for m, span in entry.spans.items() if span.hz is not None}
        return {m: _parts(self.modalities[m], [e.spans[m] for e in self.recordings if m in e.spans]) for m in slow}

    @cached_property
    def _by_id(self) -> Mapping[str, RecordingEntry]:
        return {entry.id: entry for entry in self.recordings}


# Signals that are stored at their own rate, below the protocol's, and resampled as whole recordings when they are read.


@dataclass(frozen=True, slots=True)
class _Parts:
    """The recordings in an array: `entry` of the modality, `spans`, where each ends at the modality's rate, and the row
    of the file with which each begins."""

    entry: ModalityEntry
    spans: Sequence[Span]
    ends: np.ndarray
    rows: np.ndarray


def _parts(entry: ModalityEntry, spans: Sequence[Span]) -> _Parts:
    stored = [length_after(span.samples, entry.rate, span.hz or entry.rate) for span in spans]
    return _Parts(entry, spans, np.cumsum([span.samples for span in spans]), np.cumsum([0, *stored]))


class Resampled:
    """Samples (channels, total) float32 at a modality's rate, of which a file holds some at a lower one.

    Read as `x[:, first:last]`; only the last few recordings that were read stay in memory.
    """

    def __init__(self, path: Path, parts: _Parts, channels: slice) -> None:
        self._path, self._parts, self._channels = path, parts, channels
        self.shape = (len(parts.entry.channels[channels]), int(parts.ends[-1]))
        self.nbytes = 4 * math.prod(self.shape)

    def __getitem__(self, key: slice | int | tuple[slice | int, slice]) -> np.ndarray:
        channels, time = key if isinstance(key, tuple) else (key, slice(None))
        first, last, _ = time.indices(self.shape[1])
        r, found = int(np.searchsorted(self._parts.ends, first, "right")), [np.empty((0, self.shape[0]), np.float32)]
        while first < last:
            span, end = self._parts.spans[r], int(self._parts.ends[r])
            start = end - span.samples
            found.append(self._recording(r)[first - start : min(last, end) - start, self._channels])
            first, r = end, r + 1
        x = found[-1] if len(found) <= 2 else np.concatenate(found)
        return x.T[channels]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:, :], dtype)

    def _recording(self, r: int) -> np.ndarray:
        first, last = self._parts.rows[r : r + 2].tolist()
        entry, hz = self._parts.entry, self._parts.spans[r].hz
        return open_rows(self._path)[first:last] if hz is None else _resampled(self._path, first, last, hz, entry)


@lru_cache(maxsize=8)
def _resampled(path: Path, first: int, last: int, hz: float, entry: ModalityEntry) -> np.ndarray:
    """Return the rows `first` to `last` of a file, which are at `hz`, at the modality's rate: (samples, channels)."""
    x = to_rate(open_rows(path)[first:last].T, hz, entry.rate, linear=entry.linear)
    rows = np.array(x.T, order="C")
    rows.flags.writeable = False
    return rows


SignalArray = np.ndarray | Resampled
"""Samples (channels, total) that are read as `x[:, first:last]`."""


def write_index(store: Store, folder: Path) -> None:
    """Writes the index: everything but samples and labels."""
    content = {_KEYS.get(name, name): value for name, value in asdict(store).items() if name not in ("path", "root")}
    (folder / INDEX).write_text(json.dumps(content, indent=1), newline="\n")


def open_store(path: Path, root: Path | None = None) -> Store:
    """Reads what `prepare` wrote from the dataset in `root`. Raises DataError where there is no prepared data, or not
    as it was written."""
    path = Path(path)
    if not (path / INDEX).is_file():
        raise DataError("no prepared data here", where=str(path), expected=INDEX, hint="embench data prepare DATASET")
    try:
        check_folder(path)
    except DamagedError as error:
        raise DataError(error.what, where=error.where, hint=AGAIN) from error
    content = json.loads((path / INDEX).read_text())
    content["recordings"] = tuple(
        RecordingEntry(
            **{
                **entry,
                "spans": {m: Span(**span) for m, span in entry["spans"].items()},
                "video": _video(entry.get("video")),
                "lost": {m: tuple(map(tuple, stretches)) for m, stretches in entry["lost"].items()},
            }
        )
        for entry in content["recordings"]
    )
    content["modalities"] = {
        m: ModalityEntry(**{**entry, "channels": tuple(entry["channels"])})
        for m, entry in content["modalities"].items()
    }
    content["excluded"] = tuple(content.pop(_KEYS["excluded"]))
    return Store(path=path, root=root, **content)


def _video(entry: Mapping[str, Any] | None) -> VideoEntry | None:
    return None if entry is None else VideoEntry(**{**entry, "span": tuple(entry["span"])})


# Arrays that take long to make and follow from prepared data: made once, then read from the folder of these data, and
# gone with it.


def kept(store: Store, key: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `make` gives, without objects; from the store's folder, where it was made before for this `key`.

    The file is only a cache: where it is missing or damaged, or cannot be written, the array is made.

    Args:
        key: plain values that name all that decides the array beside the prepared data, versions of code included.
    """
    path = _path(store, key)
    with suppress(OSError, DataError, KeyError):
        return read_arrays(path)["array"]
    array = make()
    with suppress(OSError):
        make_folder(path.parent, store.mode)
        with temporary(aside(path)) as whole:
            np.savez(whole, array=array, allow_pickle=False)
            whole.replace(path)
    return array


def kept_by_one(store: Store, key: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """`kept`, where one process makes what others that want the same wait for."""
    path = _path(store, key)
    with ExitStack() as held:
        with suppress(OSError):
            make_folder(path.parent, store.mode)
            held.enter_context(locked(path.with_suffix(".lock")))
        return kept(store, key, make)


def was_kept(store: Store, key: object) -> bool:
    """True if there is a file of the array with this `key`."""
    return _path(store, key).exists()


def _path(store: Store, key: object) -> Path:
    return store.path / "kept" / f"{digest(key)}.npz"
