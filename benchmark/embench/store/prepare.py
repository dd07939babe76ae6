"""Prepare a dataset's files, one recording at a time, so that memory is independent of the number of subjects."""

from __future__ import annotations

import contextlib
import multiprocessing.dummy
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError, EmbenchError, PluginError
from embench.files import folder_mode
from embench.interfaces.dataset import Dataset
from embench.interfaces.raters import fuse_labels
from embench.interfaces.recording import VIDEO_CHANNELS, Label, Recording, Signal
from embench.reasons import Reason
from embench.registry import ModalityDefinition, added_modalities
from embench.signals.face import read_boxes
from embench.signals.gaps import Stretch, Unusable, fill_gaps, lost_stretches
from embench.signals.preprocess import RULES, is_linear, preprocess, rate_after
from embench.signals.resample import length_after
from embench.signals.video import probe
from embench.store.fingerprint import INDEX_FORMAT, STANDARD, store_key, synthetic
from embench.store.store import (
    INDEX,
    LABELS,
    ModalityEntry,
    RecordingEntry,
    Span,
    Store,
    VideoEntry,
    build_once,
    open_store,
    write_header,
    write_index,
    write_labels,
    write_rows,
    write_sums,
    write_zeros,
    writing,
)
from embench.system import ProgressCallback, begin_worker, explain_missing_library, working

_FAILED = -1


class RowOffsets:
    """First row of the next subject in each modality's array, shared by all workers. It is known once all earlier
    subjects have been read."""

    def __init__(self, primitives: Any, modalities: Iterable[str]) -> None:
        self._modalities = tuple(modalities)
        self._changed = primitives.Condition()
        self._next = primitives.Array("q", [0] * (len(self._modalities) + 1), lock=False)  # the last one: whose turn

    def find_offsets(self, subject: int, *, wait: bool = False) -> dict[str, int] | None:
        """Return modality -> first row of a subject; None if it is not known yet. If `wait`, wait until it is known;
        then None means that a subject failed."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._next[-1] in (subject, _FAILED))
            known = self._next[-1] == subject
            return dict(zip(self._modalities, self._next, strict=False)) if known else None

    def end(self, subject: int, rows: Mapping[str, int]) -> None:
        """Add the rows (modality -> number) of the subject whose turn it is, and pass the turn to the next subject."""
        with self._changed:
            if self._next[-1] != subject:
                return  # another subject has failed
            for i, modality in enumerate(self._modalities):
                self._next[i] += rows.get(modality, 0)
            self._next[-1] = subject + 1
            self._changed.notify_all()

    def fail(self) -> None:
        """End the waiting of all subjects after one has failed."""
        with self._changed:
            self._next[-1] = _FAILED
            self._changed.notify_all()


@contextlib.contextmanager
def reader_faults(name: str, where: str) -> Iterator[None]:
    """Turn exceptions of a dataset's reader into errors by cause: DataError for unreadable files, else PluginError."""
    try:
        yield
    except (EmbenchError, MemoryError):
        raise
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(error.filename or where)) from error
    except Exception as error:
        what = f"the reader failed: {type(error).__name__}: {error}"
        raise explain_missing_library(error) or PluginError(what, where=f"{name}, {where}") from error


def recordings(dataset: Dataset, name: str, subject: str) -> Iterator[Recording]:
    """Yield the reader's recordings of one subject. Raises DataError or PluginError."""
    with reader_faults(name, f"subject {subject}"):
        iterator = iter(dataset.recordings(subject))
    while True:
        with reader_faults(name, f"subject {subject}"):
            recording = next(iterator, None)
        if recording is None:
            return
        yield recording


_FORKS = sys.platform == "linux"
"""True if workers are copies of this process. They then have readers that a new process could not import."""


def prepare(
    dataset: Dataset,
    name: str,
    code: str,
    *,
    rate_hz: float,
    filtered: bool = True,
    rules: str = STANDARD,
    cache: Path,
    workers: int = 1,
    progress: ProgressCallback | None = None,
    scratch: Path | None = None,
) -> Store:
    """Return the prepared data of a dataset, prepared now if necessary.

    Args:
        name: the dataset's full registry name.
        code: identity of the reader's code.
        rate_hz: the common rate of all signals; if `filtered` is False, signals keep their own rates.
        filtered: True to apply the protocol's preprocessing. Lost samples are bridged in any case.
        rules: name of that preprocessing.
        cache: folder below which prepared data are kept.
        workers: processes that read subjects side by side; their number does not change the result.
        progress: called with (subjects done, subjects in all, name of the last one).
        scratch: folder for temporary data of a plan. These are like prepared data, with zeros as samples: signals are
            read, but neither filtered nor written.

    Raises:
        DataError: files are missing, damaged or of another dataset.
        PluginError: the reader fails, its data differ from its dataset card, or a modality is defined otherwise there.
        MachineError: the cache cannot be written, or a worker was killed."""
    with reader_faults(name, "subjects"):
        subjects = dataset.subjects()
        if not subjects:
            raise DataError(
                "no subjects found in this folder", where=str(dataset.root), expected=f"subjects of {dataset.card.name}"
            )
        key = store_key(dataset, subjects, name, code, rate_hz, filtered, cache, rules)
    short = name.partition("/")[2] or name
    target = Path(cache) / "store" / f"{short.replace('/', '-')}-{key}-{INDEX_FORMAT}"

    def build(folder: Path, *, samples: bool = True) -> None:
        job = _Job(dataset, name, rate_hz, filtered, rules, folder, added_modalities(dataset.card, name), samples)
        content = _collect(job, subjects, workers, progress)
        store = Store(
            path=folder,
            key=key,
            name=name,
            rate_hz=float(rate_hz),
            filtered=filtered,
            synthetic=synthetic(dataset.root),
            recordings=tuple(content.recordings),
            modalities=content.modalities,
            excluded=tuple(content.excluded),
            subjects=content.subjects,
            label_kinds=content.label_kinds(),
        )
        write_labels(folder / LABELS, content.labels)
        write_index(store, folder)

    if scratch is not None and not target.is_dir():
        folder = scratch / target.name
        if not folder.is_dir():
            folder.mkdir()
            build(folder, samples=False)
            write_sums(folder, (INDEX, LABELS))
        return open_store(folder, Path(dataset.root))
    return open_store(build_once(target, build, folder_mode(dataset.card.labels_public)), Path(dataset.root))


@dataclass(frozen=True)
class _Job:
    """Task of all workers. `folder`: the incomplete store. `samples`: False to write zeros instead of samples."""

    dataset: Dataset
    name: str
    rate_hz: float
    filtered: bool
    rules: str
    folder: Path
    added: Mapping[str, ModalityDefinition]
    samples: bool = True

    def array(self, modality: str) -> Path:
        return self.folder / f"{modality}.npy"


class _Samples:
    """Writes one subject's samples to their final place. They wait in memory only while earlier subjects are read."""

    def __init__(self, job: _Job, places: RowOffsets, subject: int) -> None:
        self.rows: dict[str, int] = {}
        self._job, self._places, self._subject = job, places, subject
        self._waiting: list[tuple[str, int, np.ndarray]] = []

    def append(self, modality: str, data: np.ndarray) -> None:
        """Append `data` (channels, samples)."""
        offset = self.rows.get(modality, 0)
        self.rows[modality] = offset + data.shape[1]
        if self._job.samples:
            # Always a copy: the reader may reuse the array for its next recording.
            self._waiting.append((modality, offset, np.array(data.T, np.float32, order="C")))
            self._write(self._places.find_offsets(self._subject))

    def end(self) -> None:
        self._write(self._places.find_offsets(self._subject, wait=True))
        self._places.end(self._subject, self.rows)

    def _write(self, starts: Mapping[str, int] | None) -> None:
        if starts is None:
            return
        with writing(self._job.folder.parent):
            for modality, offset, data in self._waiting:
                write_rows(self._job.array(modality), starts[modality] + offset, data)
        self._waiting.clear()


@dataclass
class _Content:
    """Metadata of one subject, whose spans have no offset yet, or of all. `rows`: modality -> number of stored rows."""

    recordings: list[RecordingEntry] = field(default_factory=list)
    modalities: dict[str, ModalityEntry] = field(default_factory=dict)
    excluded: list[Mapping[str, Any]] = field(default_factory=list)
    subjects: dict[str, Mapping[str, str]] = field(default_factory=dict)
    labels: dict[str, Mapping[str, Label]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def label_kinds(self) -> dict[str, str]:
        kinds = {name: label.kind for labels in self.labels.values() for name, label in labels.items()}
        return dict(sorted(kinds.items()))


def _collect(job: _Job, subjects: list[str], workers: int, progress: ProgressCallback | None) -> _Content:
    """Read all subjects, and return their metadata joined in the order of `subjects`."""
    content, ends = _Content(), dict[str, int]()
    with contextlib.closing(_read_subjects(job, subjects, workers)) as parts:
        for done, (subject, part) in enumerate(zip(subjects, parts, strict=True)):
            for m, entry in part.modalities.items():
                if content.modalities.setdefault(m, entry) != entry:
                    raise DataError(
                        f"{m} is {entry}, but {content.modalities[m]} in the subjects before",
                        where=f"{job.name}, subject {subject}",
                    )
            for recording in part.recordings:
                if recording.id in content.labels:
                    raise PluginError(f"two recordings are called {recording.id}", where=f"{job.name}, {subject}")
                spans = dict(recording.spans)
                for m in spans.keys() - {"video"}:
                    spans[m] = replace(spans[m], offset=ends.get(m, 0))
                    ends[m] = spans[m].offset + spans[m].samples
                content.recordings.append(replace(recording, spans=spans))
                content.labels[recording.id] = part.labels[recording.id]
            for m, rows in part.rows.items():
                content.rows[m] = content.rows.get(m, 0) + rows
            content.excluded += part.excluded
            content.subjects |= part.subjects
            if progress:
                progress(done + 1, len(subjects), subject)
    for m, rows in content.rows.items():
        write = write_header if job.samples else write_zeros
        write(job.array(m), (rows, len(content.modalities[m].channels)))
    content.labels = fuse_labels(content.labels, job.dataset.card.raters)
    order = list(job.dataset.card.modalities)
    content.modalities = {m: content.modalities[m] for m in order if m in content.modalities}
    return content


def _read_subjects(job: _Job, subjects: list[str], workers: int) -> Generator[_Content, None, None]:
    """Yield the metadata of each subject in order, read in this process or by several workers."""
    if workers <= 1 or len(subjects) == 1 or not (_FORKS or _found_by_name(type(job.dataset))):
        places = RowOffsets(multiprocessing.dummy, job.dataset.card.modalities)
        for position, subject in enumerate(subjects):
            yield _read_subject(job, places, position, subject)
        return
    context = multiprocessing.get_context("fork" if _FORKS else "spawn")
    places = RowOffsets(context, job.dataset.card.modalities)
    pool = ProcessPoolExecutor(min(workers, len(subjects)), context, _start_worker, (job, places))
    with working(pool, "while preparing data", job.name) as submit:
        for part in [submit(_read_in_worker, position, subject) for position, subject in enumerate(subjects)]:
            yield part.result()


def _found_by_name(reader: type) -> bool:
    """Return True if a new process can import the class, because it is not from a script or a user's file."""
    return PathFinder.find_spec(reader.__module__.partition(".")[0]) is not None


_JOB: tuple[_Job, RowOffsets]


def _start_worker(job: _Job, places: RowOffsets) -> None:
    global _JOB  # noqa: PLW0603 - a worker is given its job once, when it starts
    _JOB = job, places
    begin_worker()


def _read_in_worker(position: int, subject: str) -> _Content:
    job, places = _JOB
    try:
        return _read_subject(job, places, position, subject)
    except BaseException:
        places.fail()
        raise


def _read_subject(job: _Job, places: RowOffsets, position: int, subject: str) -> _Content:
    """Read one subject: samples into the arrays, metadata into memory."""
    samples = _Samples(job, places, position)
    content = _Content(rows=samples.rows)
    with reader_faults(job.name, f"subject {subject}"):
        content.subjects[subject] = dict(job.dataset.subject_info(subject))
    for recording in recordings(job.dataset, job.name, subject):
        spans, lost = dict[str, Span](), dict[str, tuple[Stretch, ...]]()
        video = None
        for m in job.dataset.card.modalities:
            try:
                if m == "video":
                    video, spans[m] = _video_entry(job, recording, content)
                else:
                    spans[m], stretches = _append_signal(job, recording, m, content, samples)
                    lost |= {m: stretches} if stretches else {}
            except Unusable as unusable:
                content.excluded.append(
                    {"subject": subject, "recording": recording.id, "modality": m, "reason": unusable.reason}
                )
        content.recordings.append(
            RecordingEntry(
                id=recording.id,
                subject=recording.subject,
                stimulus=recording.stimulus,
                session=recording.session,
                group=recording.group,
                start_s=None if recording.start_s is None else float(recording.start_s),
                order=None if recording.order is None else int(recording.order),
                duration_s=float(recording.duration_s),
                spans=spans,
                video=video,
                lost=lost,
            )
        )
        content.labels[recording.id] = recording.labels
    samples.end()
    return content


def _append_signal(
    job: _Job, recording: Recording, modality: str, content: _Content, samples: _Samples
) -> tuple[Span, tuple[Stretch, ...]]:
    """Append a recording's signal to `samples`. Return its span among the subject's samples, and the spans of lost
    ones. Raises Unusable."""
    signal, rate, t0, lost = _prepare_signal(job, recording, modality)
    linear = is_linear(modality, job.added.get(modality))
    entry = ModalityEntry(signal.channels, float(rate), signal.unit, linear)
    if content.modalities.setdefault(modality, entry) != entry:
        raise DataError(
            f"{modality} is {entry}, but {content.modalities[modality]} in the recordings before",
            where=f"{job.name}, recording {recording.id}",
        )
    samples.append(modality, signal.data)
    hz = signal.rate if signal.rate < rate else None
    return Span(0, length_after(signal.data.shape[1], signal.rate, rate), t0, hz), lost


def _video_entry(job: _Job, recording: Recording, content: _Content) -> tuple[VideoEntry, Span]:
    """Return the entry of the recording's video, and the span of its visible part. Raises Unusable."""
    video = recording.video
    if video is None:
        raise Unusable("not_recorded")
    try:
        found = probe(video.path)
        if video.boxes is not None:
            read_boxes(video.boxes, video.path)
    except DataError as error:
        where = _relative_path(job.dataset.root, Path(error.where or video.path))
        raise Unusable("of_file", file=where, why=Reason.make(error.what)) from error
    file, boxes = (
        None if path is None else _relative_path(job.dataset.root, path) for path in (video.path, video.boxes)
    )
    span = (float(video.span[0]), float(video.span[1]))
    entry = VideoEntry(str(file), found.fps, span, found.duration_s, boxes)
    start, stop = entry.seen(recording.duration_s)
    if stop <= start:
        why = Reason.make("outside_video", seconds=found.duration_s, start=span[0], stop=span[1])
        raise Unusable("of_file", file=file, why=why)
    nominal = job.dataset.card.modalities["video"].rate
    rate = nominal if np.isfinite(nominal) else _MILLISECONDS
    content.modalities["video"] = ModalityEntry(VIDEO_CHANNELS, rate, "pixel")
    return entry, Span(0, round((stop - start) * rate), start)


_MILLISECONDS = 1000.0
"""Frame rate in which the length of a video is counted if the dataset card names none."""


def _relative_path(root: Path, path: Path) -> str:
    """Return a path relative to the dataset's folder, so that the folder can move."""
    path, root = Path(path).absolute(), Path(root).absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _prepare_signal(job: _Job, recording: Recording, modality: str) -> tuple[Signal, float, float, tuple[Stretch, ...]]:
    """Return the signal as it is stored, the rate (Hz) at which it is read, its start in s, and the spans of lost
    samples. Raises Unusable."""
    signal = recording.signals.get(modality)
    if signal is None:
        raise Unusable("not_recorded")
    card = job.dataset.card
    promised = card.modalities[modality]
    x = np.moveaxis(np.asarray(signal.data), signal.time_axis, -1)
    if x.ndim != 2 or tuple(signal.channels) != promised.channels or len(x) != len(promised.channels):
        raise PluginError(
            f"{modality} has channels {tuple(signal.channels)} and shape {x.shape}",
            where=f"{job.name}, recording {recording.id}",
            expected=f"{promised.channels} and shape ({len(promised.channels)}, samples), as the dataset card says",
        )
    # Facial action units come from the video, without connection artefacts.
    skips = modality != "face_au" and RULES[job.rules].skip_start
    skipped = int(np.ceil(card.skip_s * signal.rate - 1e-6)) if skips else 0
    signal = Signal(x[:, skipped:], signal.rate, promised.channels, signal.unit)
    rate = rate_after(modality, job.rate_hz, job.added.get(modality)) if job.filtered else signal.rate
    if not job.filtered:
        ready = Signal(fill_gaps(signal.data, signal.channels), signal.rate, signal.channels, signal.unit)
    elif job.samples:
        ready = _preprocessed(job, signal, modality)
    else:
        ready = _zeros_like_preprocessed(job, signal, modality)
    if ready.data.shape[1] == 0:
        raise Unusable("no_samples_left")
    t0 = skipped / signal.rate
    return ready, rate, t0, lost_stretches(signal.data, signal.rate, t0)


def _preprocessed(job: _Job, signal: Signal, modality: str) -> Signal:
    """Return the preprocessed signal. A signal below the common rate keeps its rate, since the store resamples it when
    it is read. Raises Unusable."""
    card = job.dataset.card
    return preprocess(
        signal,
        modality,
        rate_hz=min(job.rate_hz, signal.rate),
        mains_hz=card.mains_hz,
        applied=card.modalities[modality].applied,
        rules=job.rules,
        added=job.added.get(modality),
    )


_SHORT = 16
"""Number of samples of the dummy signal that is preprocessed to learn the final rate."""


def _zeros_like_preprocessed(job: _Job, signal: Signal, modality: str) -> Signal:
    """Return a signal of zeros with the rate and length of the preprocessed one. Raises Unusable if there is none."""
    fill_gaps(signal.data, signal.channels)
    short = replace(signal, data=np.zeros((1, _SHORT), np.float32), channels=signal.channels[:1])
    rate = _preprocessed(job, short, modality).rate
    samples = length_after(signal.data.shape[1], signal.rate, rate)
    zeros = np.broadcast_to(np.float32(0), (len(signal.channels), samples))
    return Signal(zeros, rate, signal.channels, signal.unit)
