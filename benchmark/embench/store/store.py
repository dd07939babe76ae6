"""Prepared data as they are read: memory-mapped arrays, labels in a separate file, and arrays computed once."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import shutil
import uuid
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
    DAMAGED,
    DamagedError,
    aside,
    check_files,
    checksum_files,
    damaged_place,
    digest,
    flush,
    make_folder,
    read_arrays,
    read_sealed_json,
    sealed_json,
    temporary,
)
from embench.interfaces.recording import Label, Signal, split_modality
from embench.reasons import plain_values, read_values
from embench.signals.gaps import Stretch
from embench.signals.resample import length_after, to_rate
from embench.system import hearing_interrupts, locked

RERUN_HINT = "rerun the same command: it makes missing and damaged files again"


class RowWriter:
    """Appends rows (n, *shape) of float32 to a `.npy` file. The header is completed when the context ends."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.rows, self.shape = 0, shape
        self._file = path.open("wb")
        self._file.write(_header(0, shape))

    def append(self, x: np.ndarray) -> None:
        """Append `x` (n, *shape)."""
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
    """Write rows `x` (n, channels), float32 and contiguous, into a `.npy` file from row `first`. The file is created if
    missing, and needs `write_header` afterwards."""
    path.touch()
    with path.open("r+b") as file:
        file.seek(len(_header(0, x.shape[1:])) + first * x[:1].nbytes)
        file.write(x.data)


def write_header(path: Path, shape: tuple[int, ...]) -> None:
    """Write the header of an array (rows, channels) whose data `write_rows` wrote."""
    with path.open("r+b") as file:
        file.write(_header(shape[0], shape[1:]))


def write_zeros(path: Path, shape: tuple[int, ...]) -> None:
    """Write an array (rows, channels) of zeros as a sparse file."""
    path.touch()
    write_header(path, shape)
    os.truncate(path, len(_header(shape[0], shape[1:])) + 4 * math.prod(shape))


def _header(rows: int, shape: tuple[int, ...]) -> bytes:
    # numpy leaves room in the header for the first axis to grow, so that it keeps its length.
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, *shape)})
    return file.getvalue()


def open_rows(path: Path) -> np.memmap:
    """Return a read-only memory map (rows, *shape) of a `.npy` file. Raises DataError if it is missing or damaged."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"prepared data cannot be read: {error}", where=str(path), hint=RERUN_HINT) from error


# Folders that are either complete or missing: written aside with checksums, then renamed.

_ASIDE = ".building-"
_SUMS = "checksums.json"

_HINTS = {
    errno.ENOSPC: "free some space, or point EMBENCH_CACHE at a larger disk",
    errno.EDQUOT: "your disk quota is full: free some space, or point EMBENCH_CACHE at another disk",
}


def build_once(target: Path, build: Callable[[Path], None], mode: int) -> Path:
    """Return the folder `target` if it exists undamaged; else create it with `build(folder)` and the permissions
    `mode`. A damaged folder is reported and moved aside.

    `build` writes into a temporary folder, which is then renamed to `target`. If another process was faster, its folder
    is used. Files of a killed process are removed by the next call at the latest.

    Raises:
        MachineError: the disk is full or not writable."""
    with writing(target):
        if _is_sound(target):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
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
    """Write the checksums of the files `names` of a folder, which `check_folder` compares."""
    (folder / _SUMS).write_text(sealed_json({"files": checksum_files(folder, names)}), newline="\n")


def check_folder(folder: Path, *, whole: bool = False) -> None:
    """Compare the files of a folder with its checksums. Large files are compared by sampled blocks, unless `whole`.

    Raises:
        DamagedError: a file is missing, cut short or altered."""
    check_files(folder, read_sealed_json(folder / _SUMS)["files"], whole=whole)


def damaged_folders(cache: Path) -> Iterator[DamagedError]:
    """Yield an error for each damaged folder of a cache, whose files are all read completely."""
    for folder in stored_folders(cache):
        if not (folder / _SUMS).is_file():
            continue  # of a version without checksums, which nothing reads
        try:
            check_folder(folder, whole=True)
        except DamagedError as error:
            yield error


def stored_folders(cache: Path) -> list[Path]:
    """Return all folders that `build_once` made below a cache."""
    found = (folder for kind in ("store", "derived") for folder in (cache / kind).glob("*"))
    return sorted(f for f in found if f.is_dir() and not f.name.startswith(".") and f.suffix != DAMAGED)


def _is_sound(target: Path) -> bool:
    """Return True if the folder exists undamaged. A damaged one is moved aside, with a warning that names it."""
    if not target.is_dir():
        return False
    try:
        check_folder(target)
    except DamagedError:
        # Another process may be recreating the folder, which must not be moved again.
        with locked(target.with_name(f".{target.name}.lock")):
            return target.is_dir() and _keep_or_move(target)
    return True


def _keep_or_move(target: Path) -> bool:
    """Return True if the folder is undamaged; otherwise move it aside with a warning."""
    try:
        check_folder(target)
    except DamagedError as error:
        target.rename(damaged_place(target, error))
        return False
    return True


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's write errors below `path` into a MachineError."""
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
    """Create a temporary folder for the context. A lock beside it shows other processes that this one is alive; the
    system releases the lock when the process ends."""
    folder = parent / f"{_ASIDE}{uuid.uuid4().hex[:8]}"
    lock = folder.with_suffix(".lock")
    with temporary(lock), temporary(folder), locked(lock):
        folder.mkdir(mode)
        yield folder


def _remove_leftovers(parent: Path) -> None:
    """Remove temporary folders whose process was killed, so that nobody holds their lock."""
    for lock in parent.glob(f"{_ASIDE}*.lock"):
        with contextlib.suppress(OSError), locked(lock, wait=False) as ownerless:
            if ownerless:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)


# Raw labels in a separate file, exactly as float64; only the planner and the evaluator open it.


def write_labels(path: Path, labels: Mapping[str, Mapping[str, Label]]) -> None:
    """Write labels, {recording id: {label name: Label}}, as flat arrays."""
    flat = [(recording, name, label) for recording, by_name in labels.items() for name, label in by_name.items()]
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
    """Return {label name: {recording id: Label}} from a file of `write_labels`."""
    labels: dict[str, dict[str, Label]] = {}
    first = first_time = 0
    with np.load(path, allow_pickle=False) as file:
        flat = {key: file[key] for key in file.files}
    for recording, name, kind, classes, timed, count in zip(
        *(flat[key].tolist() for key in ("recording", "name", "kind", "classes", "timed", "count")), strict=True
    ):
        times = flat["times"][first_time : first_time + count] if timed else None
        names = json.loads(classes)
        label = Label(kind, flat["values"][first : first + count], times, None if names is None else tuple(names))
        labels.setdefault(name, {})[recording] = label
        first, first_time = first + count, first_time + count * timed
    return labels


INDEX, LABELS = "index.json", "labels.npz"
_KEYS = {"excluded": "left_out"}
"""Field of `Store` -> its name in the index, if different."""


@dataclass(frozen=True, slots=True)
class Span:
    """Place of a recording's samples in an array: `samples` samples from position `offset`. The first one was taken
    `t0` s after the recording's start. `hz`: rate of the stored samples if it is below that of the array."""

    offset: int
    samples: int
    t0: float
    hz: float | None = None

    def cut(self, start: float, stop: float, rate: float) -> slice:
        """Return the positions in the array of the seconds [start, stop) of the recording, clipped to its samples."""
        first = min(max(round((start - self.t0) * rate), 0), self.samples)
        last = min(max(round((stop - self.t0) * rate), first), self.samples)
        return slice(self.offset + first, self.offset + last)


@dataclass(frozen=True, slots=True)
class ModalityEntry:
    """Channels, rate in Hz and unit of a modality's array. `linear`: True if lower rates are interpolated linearly."""

    channels: tuple[str, ...]
    rate: float
    unit: str
    linear: bool = False


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """The video of a recording.

    Args:
        file, boxes: paths below the dataset's folder. `boxes` holds positions of the face; None without such a file.
        fps, duration_s: frame rate and duration of the file.
        span: start and stop of the recording in s of the file."""

    file: str
    fps: float
    span: tuple[float, float]
    duration_s: float
    boxes: str | None = None

    def seen(self, recording_s: float) -> tuple[float, float]:
        """Return start and stop in s of the part with video, in a recording of the length `recording_s`."""
        stop = min(self.duration_s, self.span[1]) - self.span[0]
        return max(0.0, -self.span[0]), min(stop, recording_s)


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """A recording without samples and labels.

    Args:
        spans: modality -> place of its samples. Absent modalities are missing. The span of a video is its visible part,
            whose pixels are not stored.
        lost: modality -> spans, in s of the recording, in which samples were lost and bridged."""

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
        key: hash of everything that determines the contents.
        name: full registry name of the dataset.
        rate_hz: the requested rate; each modality's rate is in `modalities`.
        filtered: True if the protocol's preprocessing was applied.
        synthetic: note of the data's generator, None for real data.
        excluded: `subject`, `recording`, `modality` and `reason` of each signal that cannot be used.
        subjects: subject -> known facts, such as `sex`.
        label_kinds: label name -> `rating`, `continuous` or `condition`.
        root: the dataset's folder with its videos, at the time of the last preparation."""

    path: Path
    key: str
    name: str
    rate_hz: float
    filtered: bool
    synthetic: Mapping[str, Any] | None
    recordings: tuple[RecordingEntry, ...]
    modalities: Mapping[str, ModalityEntry]
    excluded: tuple[Mapping[str, Any], ...]
    subjects: Mapping[str, Mapping[str, str]]
    label_kinds: Mapping[str, str]
    root: Path | None = field(default=None, compare=False)

    @property
    def mode(self) -> int:
        """Permissions of the store's folder, also for everything derived from it."""
        return self.path.stat().st_mode & 0o777

    def array(self, modality: str, channels: slice = slice(None)) -> SignalArray:
        """Return (channels, total) float32, read-only, without NaN and not normalised; `channels` selects by position.
        Memory-mapped if all samples are stored at the modality's rate. Samples of one time are contiguous, so that
        windows are read in one piece."""
        path = self.path / f"{modality}.npy"
        parts = self._slow.get(modality)
        return open_rows(path).T[channels] if parts is None else Resampled(path, parts, channels)

    def recording(self, recording: str) -> RecordingEntry:
        """Return the entry of the recording with this id."""
        return self._by_id[recording]

    def signal(self, recording: str, modality: str) -> Signal:
        """Return a recording's samples as a view without a copy. They begin at the span's `t0`."""
        span, entry = self.recording(recording).spans[modality], self.modalities[modality]
        data = self.array(modality)[:, span.offset : span.offset + span.samples]
        return Signal(data, entry.rate, entry.channels, entry.unit, modality=modality)

    def recorded_share(self, recording: str, modality: str, start: float, stop: float) -> float:
        """Return the proportion (0 to 1) of the seconds [start, stop) in which a modality was recorded. Of joined
        modalities, it is the smallest proportion; 0 if one is absent."""
        entry, shares = self.recording(recording), []
        for part in split_modality(modality):
            span, known = entry.spans.get(part), self.modalities.get(part)
            if span is None or known is None:
                return float(span is not None)
            cut = span.cut(start, stop, known.rate)
            samples = max(1.0, (stop - start) * known.rate)
            shares.append(round((cut.stop - cut.start) / samples, 2))  # the last sample is not counted
        return min(shares)

    def labels(self) -> dict[str, dict[str, Label]]:
        """Return the raw labels as {label name: {recording id: Label}}."""
        return read_labels(self.path / LABELS)

    @cached_property
    def _slow(self) -> Mapping[str, _Parts]:
        """Modality -> places of its recordings, for modalities of which some are stored at a lower rate."""
        slow = {m for entry in self.recordings for m, span in entry.spans.items() if span.hz is not None}
        return {
            m: _locate_parts(self.modalities[m], [e.spans[m] for e in self.recordings if m in e.spans]) for m in slow
        }

    @cached_property
    def _by_id(self) -> Mapping[str, RecordingEntry]:
        return {entry.id: entry for entry in self.recordings}


# Signals stored below the protocol's rate, and resampled as whole recordings when read.


@dataclass(frozen=True, slots=True)
class _Parts:
    """Recordings of a modality in an array: their `spans`, their `ends` in samples at the modality's rate, and their
    first `rows` in the file."""

    entry: ModalityEntry
    spans: Sequence[Span]
    ends: np.ndarray
    rows: np.ndarray


def _locate_parts(entry: ModalityEntry, spans: Sequence[Span]) -> _Parts:
    stored = [length_after(span.samples, entry.rate, span.hz or entry.rate) for span in spans]
    return _Parts(entry, spans, np.cumsum([span.samples for span in spans]), np.cumsum([0, *stored]))


class Resampled:
    """Samples (channels, total) float32 at a modality's rate, some of them stored at a lower rate. Read as `x[:,
    first:last]`. Only the last few recordings stay in memory."""

    def __init__(self, path: Path, parts: _Parts, channels: slice) -> None:
        self._path, self._parts, self._channels = path, parts, channels
        self.shape = (len(parts.entry.channels[channels]), int(parts.ends[-1]))
        self.nbytes = 4 * math.prod(self.shape)

    def __getitem__(self, key: slice | int | tuple[slice | int, slice]) -> np.ndarray:
        channels, time = key if isinstance(key, tuple) else (key, slice(None))
        first, last, _ = time.indices(self.shape[1])
        r, pieces = int(np.searchsorted(self._parts.ends, first, "right")), [np.empty((0, self.shape[0]), np.float32)]
        while first < last:
            span, end = self._parts.spans[r], int(self._parts.ends[r])
            start = end - span.samples
            pieces.append(self._recording(r)[first - start : min(last, end) - start, self._channels])
            first, r = end, r + 1
        x = pieces[-1] if len(pieces) <= 2 else np.concatenate(pieces)
        return x.T[channels]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:, :], dtype)

    def _recording(self, r: int) -> np.ndarray:
        first, last = self._parts.rows[r : r + 2].tolist()
        entry, hz = self._parts.entry, self._parts.spans[r].hz
        return open_rows(self._path)[first:last] if hz is None else _resampled(self._path, first, last, hz, entry)


@lru_cache(maxsize=8)
def _resampled(path: Path, first: int, last: int, hz: float, entry: ModalityEntry) -> np.ndarray:
    """Return rows `first` to `last` of a file, stored at `hz`, at the modality's rate: (samples, channels)."""
    x = to_rate(open_rows(path)[first:last].T, hz, entry.rate, linear=entry.linear)
    rows = np.array(x.T, order="C")
    rows.flags.writeable = False
    return rows


SignalArray = np.ndarray | Resampled
"""Samples (channels, total), read as `x[:, first:last]`."""


def write_index(store: Store, folder: Path) -> None:
    """Write the index: everything except samples and labels."""
    content = {_KEYS.get(name, name): value for name, value in asdict(store).items() if name not in ("path", "root")}
    (folder / INDEX).write_text(json.dumps(plain_values(content), indent=1), newline="\n")


def open_store(path: Path, root: Path | None = None) -> Store:
    """Open a store that `prepare` wrote from the dataset in `root`. Raises DataError if it is missing or changed."""
    path = Path(path)
    if not (path / INDEX).is_file():
        raise DataError("no prepared data here", where=str(path), expected=INDEX, hint="embench data prepare DATASET")
    try:
        check_folder(path)
    except DamagedError as error:
        raise DataError(error.what, where=error.where, hint=RERUN_HINT) from error
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
    content["excluded"] = tuple(read_values(content.pop(_KEYS["excluded"])))
    return Store(path=path, root=root, **content)


def _video(entry: Mapping[str, Any] | None) -> VideoEntry | None:
    return None if entry is None else VideoEntry(**{**entry, "span": tuple(entry["span"])})


def cache_array(store: Store, key: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array that `make` computes, cached in the store's folder under `key`. The array must not hold objects.
    If the cached file is missing, damaged or not writable, the array is computed.

    Args:
        key: plain values that name all causes of the array besides the prepared data, including versions of code."""
    path = _cache_path(store, key)
    with suppress(OSError, DataError, KeyError):
        return read_arrays(path)["array"]
    with hearing_interrupts():  # a model that an interrupt left half trained is not cached
        array = make()
    with suppress(OSError):
        make_folder(path.parent, store.mode)
        with temporary(aside(path)) as unfinished:
            np.savez(unfinished, array=array, allow_pickle=False)
            unfinished.replace(path)
    return array


def cache_array_once(store: Store, key: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array of `cache_array`. Of several processes at a time, one computes it and the others wait."""
    path = _cache_path(store, key)
    with ExitStack() as stack:
        with suppress(OSError):
            make_folder(path.parent, store.mode)
            stack.enter_context(locked(path.with_suffix(".lock")))
        return cache_array(store, key, make)


def is_cached(store: Store, key: object) -> bool:
    """Return True if an array with this `key` is cached."""
    return _cache_path(store, key).exists()


def _cache_path(store: Store, key: object) -> Path:
    return store.path / "kept" / f"{digest(key)}.npz"
