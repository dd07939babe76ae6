"""Frames of videos as encoders need them: decoded once, cut around the face, stored as bytes, time first."""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from embench.callbacks import ProgressCallback
from embench.errors import DataError, PluginError, UsageError
from embench.files import folder_digest
from embench.signals import video
from embench.signals.face import Crop
from embench.signals.film import EPS, Film, Frames, Stored, write_film
from embench.store.arrays import open_rows
from embench.store.fingerprint import FORMAT
from embench.store.folders import build_once
from embench.store.store import RecordingEntry, Span, Store, VideoEntry
from embench.system import begin_worker, version_of, working

if TYPE_CHECKING:  # torch is needed to make an encoder, not to use one here
    from embench.interfaces.encoder import Encoder

_ARRAY, _INDEX = "array.npy", "index.json"


@dataclass(frozen=True)
class Clips:
    """Frames of all recordings that have a video: `array` (total, 3, size, size) uint8 RGB, memory-mapped, `rate` a
    second. `excluded`: recordings whose video could not be decoded, with the reason. Of `segments` in which a face was
    looked for, `faceless` had none and show the frame's middle."""

    array: np.ndarray
    rate: float
    spans: Mapping[str, Span]
    excluded: tuple[Mapping[str, str], ...]
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
    """The frames that `encoder.recipe.prepare` names, at times k / frames_hz of each recording; made if they are not
    there. Encoders that need the same frames share them.

    Args:
        workers: processes that decode recordings side by side; the result is the same bytes.
        progress: called with (recordings done, recordings in all, which).

    Raises:
        UsageError: where the store has no such videos. DataError: where a file is no longer there. PluginError: where
            the recipe does not say what frames it wants. MachineError: where the disk is full, or a worker was killed.
    """
    wanted = _checked(store, modality, encoder)
    key = folder_digest([FORMAT, store.key, decoder_versions(), "clips", asdict(wanted)])

    def build(folder: Path) -> None:
        films, total = _listed(store, wanted)
        for film in films:
            if not film.path.is_file():
                raise DataError(
                    "a video has moved since the data were prepared",
                    where=str(film.path),
                    hint="restore the file, or name its folder with --data-root",
                )
        array = folder / _ARRAY
        start = _room(array, (total, 3, wanted.size, wanted.size))
        spans, excluded, segments, faceless = dict[str, Span](), [], 0, 0
        for done, (film, stored) in enumerate(zip(films, _all(films, wanted, array, start, workers), strict=True)):
            if stored.why:
                excluded.append({"recording": film.recording, "modality": modality, "reason": stored.why})
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
        tuple(index["left_out"]),
        index["stretches"],
        index["faceless"],
    )


def blank_clips(store: Store, modality: str, encoder: Encoder) -> Clips:
    """The result of `clips` if every film could be decoded and showed black pictures; nothing is decoded. Raises what
    `clips` raises before it decodes."""
    wanted = _checked(store, modality, encoder)
    films, total = _listed(store, wanted)
    spans = {film.recording: Span(film.row, film.frames, film.first / wanted.frames_hz) for film in films}
    pictures = np.broadcast_to(np.uint8(0), (total, 3, wanted.size, wanted.size))
    return Clips(pictures, wanted.frames_hz, spans, (), 0, 0)


def _checked(store: Store, modality: str, encoder: Encoder) -> Frames:
    wanted = _wanted_frames(encoder)
    if modality != "video" or "video" not in store.modalities:
        raise UsageError(f"{store.name} has no usable video", where=f"modality {modality}")
    return wanted


def _listed(store: Store, wanted: Frames) -> tuple[list[Film], int]:
    """The films of a store, and how many frames of them are wanted."""
    films = [*_films(store, wanted)]
    total = films[-1].row + films[-1].frames if films else 0
    if total == 0:
        raise UsageError(f"no video is long enough for a frame at {wanted.frames_hz:g} Hz", where=store.name)
    return films, total


def _wanted_frames(encoder: Encoder) -> Frames:
    """The frames that an encoder's recipe names. Raises PluginError where it names none."""
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
    """Causes of the decoded pixels besides the files and the request."""
    versions = {name: version_of(name) for name in ("av", "opencv-python-headless")}
    return {"frames": str(video.FRAMES_REVISION), **versions}


def _room(path: Path, shape: tuple[int, ...]) -> int:
    """A file as long as the array of bytes will be, in which every worker writes its own part. Returns where the array
    begins."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + math.prod(shape))
    return start


def _films(store: Store, wanted: Frames) -> Iterator[Film]:
    row = 0
    for entry in store.recordings:
        if entry.video is not None:
            film = _film(store, entry, entry.video, wanted, row)
            row += film.frames
            yield film


def _film(store: Store, entry: RecordingEntry, held: VideoEntry, wanted: Frames, row: int) -> Film:
    start, stop = held.seen(entry.duration_s)
    first = math.ceil(start * wanted.frames_hz - EPS)
    frames = max(math.ceil(stop * wanted.frames_hz - EPS) - first, 0)
    root = store.root or Path()
    boxes = None if held.boxes is None else root / held.boxes
    return Film(entry.id, root / held.file, boxes, held.span[0], first, frames, row)


def _all(films: Sequence[Film], wanted: Frames, array: Path, start: int, workers: int) -> Iterator[Stored]:
    if workers <= 1 or len(films) <= 1:
        for film in films:
            yield write_film(film, wanted, array, start)
        return
    # Never forked: threads that OpenCV has in this process would be missing in that one.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(films)), context, initializer=begin_worker)
    with working(pool, "while decoding videos", str(array.parent)) as submit:
        for job in [submit(write_film, film, wanted, array, start) for film in films]:
            yield job.result()
