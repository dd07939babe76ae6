"""Outputs of encoders and frames of videos, computed once and stored."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from embench.errors import DataError, EmbenchError, PluginError, UsageError
from embench.files import folder_digest
from embench.interfaces.recording import Signal, parse_modality, remove_channels, split_modality
from embench.reasons import read_values
from embench.registry import known_as
from embench.signals import preprocess, video
from embench.signals.face import Crop
from embench.signals.frames import EPS, Frames, Stored, StoredVideo, write_frames
from embench.signals.normalise import Moments
from embench.store.fingerprint import FORMAT, FileHashes
from embench.store.store import (
    RecordingEntry,
    Resampled,
    RowWriter,
    SignalArray,
    Span,
    Store,
    VideoEntry,
    build_once,
    open_rows,
)
from embench.system import ProgressCallback, begin_worker, installed_version, out_of_memory, working

if TYPE_CHECKING:
    from embench.interfaces.encoder import Encoder


_ARRAY, _INDEX = "array.npy", "index.json"


@dataclass(frozen=True)
class Clips:
    """Frames of all recordings with a video.

    Args:
        array: (total, 3, size, size) uint8 RGB, memory-mapped, at `rate` frames per second.
        spans: recording id -> its frames in the array.
        excluded: recordings whose video could not be decoded, with reasons.
        segments, faceless: number of segments searched for a face, and of those without one (cropped at the centre)."""

    array: np.ndarray
    rate: float
    spans: Mapping[str, Span]
    excluded: tuple[Mapping[str, Any], ...]
    segments: int
    faceless: int


def clips(
    store: Store,
    modality: str,
    encoder: Encoder,
    *,
    workers: int = 1,
    progress: ProgressCallback | None = None,
) -> Clips:
    """Return the frames that `encoder.recipe.prepare` names, at times k / frames_hz of each recording, from the cache
    if they exist. Encoders that need the same frames share them.

    Args:
        workers: processes that decode recordings side by side; their number does not change the result.
        progress: called with (recordings done, recordings in all, id of the last one).

    Raises:
        UsageError: the store has no such videos. DataError: a file is missing. PluginError: the recipe does not name
            frames. MachineError: the disk is full, or a worker was killed."""
    wanted = _check_frames(store, modality, encoder)
    key = folder_digest([FORMAT, store.key, decoder_versions(), "clips", asdict(wanted)])

    def build(folder: Path) -> None:
        films, total = _list_films(store, wanted)
        for film in films:
            if not film.path.is_file():
                raise DataError(
                    "a video has moved since the data were prepared",
                    where=str(film.path),
                    hint="restore the file, or name its folder with --data-root",
                )
        array = folder / _ARRAY
        start = _allocate(array, (total, 3, wanted.size, wanted.size))
        spans, excluded, segments, faceless = dict[str, Span](), [], 0, 0
        for done, (film, stored) in enumerate(
            zip(films, _write_films(films, wanted, array, start, workers), strict=True)
        ):
            if stored.why:
                excluded.append({"recording": film.recording, "modality": modality, "reason": stored.why.to_dict()})
            else:
                spans[film.recording] = Span(film.row, stored.frames, film.first / wanted.frames_hz)
            segments, faceless = segments + stored.segments, faceless + stored.faceless
            if progress:
                progress(done + 1, len(films), film.recording)
        index = {"rate": wanted.frames_hz, "spans": {name: asdict(span) for name, span in spans.items()},
                 "left_out": excluded, "stretches": segments, "faceless": faceless}  # fmt: skip
        (folder / _INDEX).write_text(json.dumps(index))

    folder = build_once(store.path.parent.parent / "derived" / key, build, store.mode)
    index = json.loads((folder / _INDEX).read_text())
    return Clips(
        open_rows(folder / _ARRAY),
        index["rate"],
        {name: Span(**span) for name, span in index["spans"].items()},
        tuple(read_values(index["left_out"])),
        index["stretches"],
        index["faceless"],
    )


def blank_clips(store: Store, modality: str, encoder: Encoder) -> Clips:
    """Return what `clips` would return for black videos, without decoding. Raises the same errors before decoding."""
    wanted = _check_frames(store, modality, encoder)
    films, total = _list_films(store, wanted)
    spans = {film.recording: Span(film.row, film.frames, film.first / wanted.frames_hz) for film in films}
    pictures = np.broadcast_to(np.uint8(0), (total, 3, wanted.size, wanted.size))
    return Clips(pictures, wanted.frames_hz, spans, (), 0, 0)


def _check_frames(store: Store, modality: str, encoder: Encoder) -> Frames:
    """Return the frames that an encoder reads. Raises UsageError if the modality is not a video of the store."""
    wanted = _wanted_frames(encoder)
    if modality != "video" or "video" not in store.modalities:
        raise UsageError(f"{store.name} has no usable video", where=f"modality {modality}")
    return wanted


def _list_films(store: Store, wanted: Frames) -> tuple[list[StoredVideo], int]:
    """Return the videos of a store, and their total number of frames."""
    films: list[StoredVideo] = []
    total = 0
    for entry in store.recordings:
        if entry.video is not None:
            films.append(_film(store, entry, entry.video, wanted, total))
            total += films[-1].frames
    if total == 0:
        raise UsageError(f"no video is long enough for a frame at {wanted.frames_hz:g} Hz", where=store.name)
    return films, total


def _wanted_frames(encoder: Encoder) -> Frames:
    """Return the frames that an encoder's recipe describes. Raises PluginError if it describes none."""
    names = ("frames_hz", "size", "crop", "clip_s")
    fields = {name: encoder.recipe.prepare[name] for name in names if name in encoder.recipe.prepare}
    try:
        wanted = Frames(**fields)
        fine = wanted.frames_hz > 0 and wanted.clip_s > 0 and wanted.size >= 1 and wanted.size == int(wanted.size)
    except TypeError:
        fine = False
    if not fine or wanted.crop not in get_args(Crop):
        raise PluginError(
            f"an encoder of clips must say which frames it reads; this one says {fields}",
            where=f"{type(encoder).__name__}, recipe.prepare",
            expected=f"frames_hz > 0, size in pixels, crop ({', '.join(get_args(Crop))}), clip_s > 0 (default 4)",
        )
    return Frames(float(wanted.frames_hz), int(wanted.size), wanted.crop, float(wanted.clip_s))


def decoder_versions() -> dict[str, str]:
    """Return the versions of the libraries that decode frames, which affect pixels."""
    versions = {name: installed_version(name) for name in ("av", "opencv-python-headless")}
    return {"frames": str(video.FRAMES_REVISION), **versions}


def _allocate(path: Path, shape: tuple[int, ...]) -> int:
    """Create a `.npy` file of its final size, for workers that write parts. Return the byte at which data begin."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + math.prod(shape))
    return start


def _film(store: Store, entry: RecordingEntry, video_entry: VideoEntry, wanted: Frames, row: int) -> StoredVideo:
    """Return where a recording's video lies, and its frames; the first becomes row `row` of the array."""
    start, stop = video_entry.seen(entry.duration_s)
    first = math.ceil(start * wanted.frames_hz - EPS)
    frames = max(math.ceil(stop * wanted.frames_hz - EPS) - first, 0)
    root = store.root or Path()
    boxes = None if video_entry.boxes is None else root / video_entry.boxes
    return StoredVideo(entry.id, root / video_entry.file, boxes, video_entry.span[0], first, frames, row)


def _write_films(
    films: Sequence[StoredVideo], wanted: Frames, array: Path, start: int, workers: int
) -> Iterator[Stored]:
    if workers <= 1 or len(films) <= 1:
        for film in films:
            yield write_frames(film, wanted, array, start)
        return
    # Never forked: OpenCV's threads in this process would be missing in the child.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(films)), context, initializer=begin_worker)
    with working(pool, "while decoding videos", str(array.parent)) as submit:
        for job in [submit(write_frames, film, wanted, array, start) for film in films]:
            yield job.result()


RowsOf = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray | None]]
"""Function: recording id -> spans (n, 2) in s to recording id -> features (n, *shape), None if no span has a sample."""


@dataclass(frozen=True)
class Derived:
    """Signals of all recordings that have them: `array` (C, total) float32, read-only, at `rate` Hz. `spans`: recording
    id -> its samples in the array. `key` identifies everything that determines the array."""

    array: SignalArray
    rate: float
    channels: tuple[str, ...]
    unit: str
    spans: Mapping[str, Span]
    key: str

    def signal(self, recording: str) -> Signal:
        """Return a recording's samples as a view without a copy; they begin at the span's `t0`."""
        span = self.spans[recording]
        data = self.array[:, span.offset : span.offset + span.samples]
        return Signal(data, self.rate, self.channels, self.unit)


def joined(store: Store, modality: str) -> Derived:
    """Return the signals of a modality, of one channel (`ecg[left]`), or of several modalities (`ecg+eda`). Joined
    modalities become channels over the time that all of them cover. A recording that lacks one of them is left out.

    Raises:
        UsageError: the store has no such modality or channel, it is a video, or their rates differ."""
    parts = split_modality(modality)
    if "video" in parts:
        raise UsageError("a video has no samples", where=f"modality {modality}", expected="an encoder that reads clips")
    for part in parts:
        if part not in store.modalities:
            raise UsageError(
                f"{store.name} has no usable {part}",
                where=f"modality {modality}",
                expected=f"one of {', '.join(store.modalities)}",
            )
    entries = [store.modalities[part] for part in parts]
    chosen = [_channel_slice(store, part, channel) for part, channel in parse_modality(modality)]
    channels = tuple(
        entry.channels[i]
        for entry, which in zip(entries, chosen, strict=True)
        for i in range(*which.indices(len(entry.channels)))
    )
    if len(parts) == 1:
        spans = {entry.id: entry.spans[parts[0]] for entry in store.recordings if parts[0] in entry.spans}
        key = f"{store.key} {modality}"
        return Derived(store.array(parts[0], chosen[0]), entries[0].rate, channels, entries[0].unit, spans, key)
    rate = entries[0].rate
    if any(entry.rate != rate for entry in entries):
        rates = ", ".join(f"{part} {entry.rate:g} Hz" for part, entry in zip(parts, entries, strict=True))
        raise UsageError(f"modalities of different rates cannot be joined: {rates}", where=f"modality {modality}")

    def signals() -> Iterator[tuple[str, Signal, float]]:
        arrays = [store.array(part, which) for part, which in zip(parts, chosen, strict=True)]
        for entry in store.recordings:
            if not all(part in entry.spans for part in parts):
                continue
            spans = [entry.spans[part] for part in parts]
            start, stop = max(s.t0 for s in spans), min(s.t0 + s.samples / rate for s in spans)
            cuts = [s.cut(start, stop, rate) for s in spans]
            length = min(c.stop - c.start for c in cuts)
            if length > 0:
                data = np.concatenate([a[:, c.start : c.start + length] for a, c in zip(arrays, cuts, strict=True)])
                yield entry.id, Signal(data, rate, channels, unit), start

    unit = "+".join(entry.unit for entry in entries)
    return _store_signals(store, ["joined", modality], modality, signals)


def to_memory_map(store: Store, modality: str, derived: Derived) -> Derived:
    """Return a modality's signals as a memory map, with fast random access. Recordings that are stored at a lower rate
    are written again at the modality's rate."""
    if not isinstance(derived.array, Resampled):
        return derived
    return _store_signals(
        store, ["mapped", modality], modality, lambda: ((r, derived.signal(r), s.t0) for r, s in derived.spans.items())
    )


def _channel_slice(store: Store, part: str, channel: str | None) -> slice:
    """Return the positions of the channels that are read: all, or the named one."""
    channels = store.modalities[part].channels
    if channel is None:
        return slice(0, len(channels))
    if channel not in channels:
        raise UsageError(
            f"{store.name} has no channel `{channel}` of {part}",
            where=f"modality {part}[{channel}]",
            expected=f"one of {', '.join(channels)}",
        )
    position = channels.index(channel)
    return slice(position, position + 1)


def stream(store: Store, modality: str, encoder: Encoder, code: str) -> Derived:
    """Return the outputs of `encoder.stream` for all recordings. `code`: the identity of the encoder's code.

    Raises:
        PluginError: the encoder fails, or its streams differ in channels or rate."""
    source, key = joined(store, modality), ["stream", modality, *_cache_causes(store, encoder, code)]
    return _store_signals(
        store,
        key,
        modality,
        lambda: ((r, _streamed(source, modality, encoder, r), span.t0) for r, span in source.spans.items()),
    )


def compute_stream(store: Store, modality: str, encoder: Encoder, recording: str) -> Signal:
    """Return the output of `encoder.stream` for one recording, without storing it. Raises PluginError on failure."""
    return _streamed(joined(store, modality), modality, encoder, recording)


def _streamed(source: Derived, modality: str, encoder: Encoder, recording: str) -> Signal:
    """Return the output of `encoder.stream` for a recording of `source`. Raises PluginError if its shape is wrong."""
    with _encoder_faults(encoder, recording):
        streamed = encoder.stream(_private_copy(source.signal(recording), modality, encoder))
        data = np.moveaxis(np.asarray(streamed.data, np.float32), streamed.time_axis, -1)
        streamed = Signal(data, float(streamed.rate), tuple(streamed.channels), streamed.unit)
    if data.ndim != 2 or len(data) != len(streamed.channels):
        raise PluginError(
            f"a stream of shape {data.shape} with channels {streamed.channels}",
            where=f"{_encoder_name(encoder)}, recording {recording}",
            expected="(channels, samples)",
        )
    return streamed


def derive_features(
    store: Store,
    modality: str,
    encoder: Encoder,
    code: str,
    spans: Mapping[str, np.ndarray],
    standardised: bool = False,
    make: RowsOf | None = None,
) -> Mapping[str, np.ndarray]:
    """Return the outputs of `encoder.features`: recording id -> (n, *shape) float32, memory-mapped.

    Args:
        spans: recording id -> (n, 2) in s. Spans are clipped to the recorded time; an empty span gives a row of NaN.
            Recordings without the modality are missing in the result.
        standardised: True to give each channel of a recording mean 0 and SD 1 first.
        make: function that replaces `features_in`, for example to compute in parallel.

    Raises:
        PluginError: the encoder fails, or gives rows of another number or shape."""
    source = joined(store, modality)
    wanted = {r: np.asarray(segments, np.float64).reshape(-1, 2) for r, segments in spans.items() if r in source.spans}
    spans_digest = hashlib.sha256()
    for recording, segments in wanted.items():
        spans_digest.update(f"{recording} {len(segments)} ".encode() + segments.tobytes())
    key = ["features", modality, *_cache_causes(store, encoder, code), spans_digest.hexdigest()]
    if standardised:
        key.append("standardised")

    def build(folder: Path) -> None:
        rows_by_recording = (
            make(wanted)
            if make
            else {r: _rows(source, modality, encoder, r, segments, standardised) for r, segments in wanted.items()}
        )
        shapes = {rows.shape[1:] for rows in rows_by_recording.values() if rows is not None}
        if len(shapes) > 1:
            raise PluginError(f"features of different shapes: {sorted(shapes)}", where=_encoder_name(encoder))
        shape = shapes.pop() if shapes else ()
        with RowWriter(folder / _ARRAY, shape) as writer:
            for recording, segments in wanted.items():
                rows = rows_by_recording[recording]
                writer.append(np.full((len(segments), *shape), np.nan, np.float32) if rows is None else rows)

    rows = open_rows(build_once(_folder(store, key), build, store.mode) / _ARRAY)
    ends = np.cumsum([len(segments) for segments in wanted.values()])
    return dict(zip(wanted, np.split(rows, ends[:-1]), strict=True)) if wanted else {}


def features_in(
    store: Store, modality: str, encoder: Encoder, recording: str, spans: np.ndarray, standardised: bool = False
) -> np.ndarray | None:
    """Return the output (n, *shape) of `encoder.features` for `spans` (n, 2) of one recording, without storing it; None
    if the spans contain no sample. Raises PluginError if the encoder fails."""
    return _rows(joined(store, modality), modality, encoder, recording, spans, standardised)


def _rows(
    source: Derived, modality: str, encoder: Encoder, recording: str, spans: np.ndarray, standardised: bool
) -> np.ndarray | None:
    """Return the features (n, *shape) of the `spans` (n, 2) of one recording; None if no span contains a sample."""
    signal, t0 = _private_copy(source.signal(recording), modality, encoder), source.spans[recording].t0
    inside = np.clip(spans - t0, 0.0, signal.duration_s)  # an encoder's time begins with its first sample
    valid = np.rint(inside[:, 1] * source.rate) > np.rint(inside[:, 0] * source.rate)
    if not valid.any():
        return None
    if standardised:
        moments = Moments.from_samples(signal.data)
        data = ((signal.data - moments.mean[:, None]) / moments.std[:, None]).astype(np.float32)
        signal = replace(signal, data=data)
    with _encoder_faults(encoder, recording):
        values = np.asarray(encoder.features(signal, inside[valid]), np.float32)
    if values.ndim == 0 or len(values) != valid.sum():
        raise PluginError(
            f"features of shape {values.shape} for {valid.sum()} spans",
            where=f"{_encoder_name(encoder)}, recording {recording}",
        )
    rows = np.full((len(spans), *values.shape[1:]), np.nan, np.float32)
    rows[valid] = values
    return rows


def _private_copy(signal: Signal, modality: str, encoder: Encoder) -> Signal:
    """Return a copy of a signal for an encoder: a memory map would reveal its file, and so the labels beside it."""
    data = np.array(signal.data, order="C", subok=False)
    return replace(signal, data=data, modality=name_for(encoder, modality))


def name_for(encoder: Encoder, modality: str) -> str:
    """Return the name under which an encoder accepts a modality of a run."""
    return known_as(encoder.accepts, modality) or remove_channels(modality)


def _cache_causes(store: Store, encoder: Encoder, code: str) -> list[object]:
    """Return everything except the data that affects an encoder's output: its code and settings, the contents of its
    files, and versions of libraries."""
    libraries = {name: installed_version(name) for name in (*_LIBRARIES, *encoder.libraries)}
    with FileHashes(_cache(store)) as hashes:
        assets = [hashes(path) for path in encoder.assets()]
    return [_encoder_name(encoder), code, encoder.recipe.prepare, encoder.recipe.build, libraries, assets]


_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "neurokit2")
"""Libraries that plugins may use without naming them."""


def _folder(store: Store, key: Sequence[object]) -> Path:
    """Return the folder of derived data with this key, in the same cache as the stores."""
    return _cache(store) / "derived" / folder_digest([FORMAT, store.key, preprocess.PREPROCESS_REVISION, *key])


def _cache(store: Store) -> Path:
    return store.path.parent.parent


def _store_signals(
    store: Store,
    key: Sequence[object],
    modality: str,
    signals: Callable[[], Iterator[tuple[str, Signal, float]]],
) -> Derived:
    """Return signals as one array on disk, which is written first if it does not exist. `signals`: function that yields
    (recording id, signal, start in s)."""

    def build(folder: Path) -> None:
        others = signals()
        first = next(others, None)
        if first is None:
            raise UsageError("no recording has this modality", where=f"modality {modality}")
        model, spans = first[1], dict[str, Span]()
        with RowWriter(folder / _ARRAY, (len(model.channels),)) as writer:
            for recording, signal, t0 in chain([first], others):
                form, expected_form = (signal.rate, signal.channels), (model.rate, model.channels)
                if form != expected_form:
                    raise PluginError(
                        f"a stream of rate and channels {form}",
                        where=f"modality {modality}, recording {recording}",
                        expected=f"rate and channels {expected_form}, as in the recordings before",
                    )
                spans[recording] = Span(writer.rows, signal.data.shape[1], t0)
                writer.append(signal.data.T)
        index = {"rate": model.rate, "channels": model.channels, "unit": model.unit,
                 "spans": {recording: asdict(span) for recording, span in spans.items()}}  # fmt: skip
        (folder / _INDEX).write_text(json.dumps(index))

    target = _folder(store, key)
    folder = build_once(target, build, store.mode)
    index = json.loads((folder / _INDEX).read_text())
    spans = {recording: Span(**span) for recording, span in index["spans"].items()}
    return Derived(
        open_rows(folder / _ARRAY).T, index["rate"], tuple(index["channels"]), index["unit"], spans, target.name
    )


@contextmanager
def _encoder_faults(encoder: Encoder, recording: str) -> Iterator[None]:
    """Turn exceptions of an encoder into PluginError, except errors of embench and lack of memory."""
    try:
        yield
    except EmbenchError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise PluginError(
            f"the encoder failed: {type(error).__name__}: {error}",
            where=f"{_encoder_name(encoder)}, recording {recording}",
        ) from error


def _encoder_name(encoder: Encoder) -> str:
    return f"{type(encoder).__module__}:{type(encoder).__qualname__}"
