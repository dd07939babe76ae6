"""The requested part of a video: its frames, cut around the face, one segment at a time.

Parallel decoders import only this module, so that they start quickly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench.reasons import Reason
from embench.signals import video
from embench.signals.face import Boxes, Crop, crop_square, find_face, read_boxes, square

EPS = 1e-6
"""Tolerance for rounding of a time, in frames or segments."""

_SAMPLED_FRAMES = 3
"""Number of frames of each segment in which the detector searches for a face."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Rate, side in pixels and crop of the frames that an encoder needs, and seconds per crop; see `Encoder.reads`."""

    frames_hz: float
    size: int
    crop: Crop
    clip_s: float = 4.0


@dataclass(frozen=True)
class StoredVideo:
    """The part of a video that is stored: `frames` frames, the first at first / frames_hz seconds of the recording.
    They fill the array's rows from `row` on. Time 0 of the recording is at `zero_s` seconds of the file."""

    recording: str
    path: Path
    boxes: Path | None
    zero_s: float
    first: int
    frames: int
    row: int


@dataclass(frozen=True)
class Stored:
    """Result of storing a video: the numbers of frames, of all segments and of segments without a face. If nothing was
    stored, `why` is the reason."""

    frames: int = 0
    segments: int = 0
    faceless: int = 0
    why: Reason | None = None


def write_frames(stored: StoredVideo, wanted: Frames, array: Path, start: int) -> Stored:
    """Write a video's frames into their rows of the file `array`, whose first row begins at byte `start`. Memory is
    independent of the video's length. Raises OSError if the file cannot be written."""
    try:
        boxes = None if stored.boxes is None else read_boxes(stored.boxes, stored.path)
        frames = segments = faceless = 0
        with array.open("r+b") as file:
            file.seek(start + stored.row * 3 * wanted.size**2)
            for rows, face in _segments(stored, boxes, wanted):
                file.write(rows.data)
                frames, segments, faceless = frames + len(rows), segments + 1, faceless + (not face)
    except DataError as error:
        return Stored(why=Reason.make("of_file", file=stored.path.name, why=Reason.make(error.what)))
    if frames == 0:
        return Stored(why=Reason.make("of_file", file=stored.path.name, why=Reason.make("before_first_frame")))
    crops = wanted.crop != "none"
    return Stored(frames, segments if crops else 0, faceless if crops else 0)


def _segments(stored: StoredVideo, boxes: Boxes | None, wanted: Frames) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield the frames (n, 3, size, size) of each segment of `clip_s`, with one crop, and True if a face was found."""
    number = stored.first + np.arange(stored.frames)
    times = number / wanted.frames_hz
    segment = np.floor(times / wanted.clip_s + EPS).astype(np.int64)
    pending: list[tuple[int, Any]] = []  # frames of the current segment, each with its number of repetitions
    done, convert = 0, video.converter(stored.path)
    for count, frame in video.pictures(stored.path, times + stored.zero_s):
        while count:  # a frame that is shown for long can belong to several segments
            left = int(np.searchsorted(segment, segment[done], "right")) - done
            pending.append((min(count, left), frame))
            count, done = count - pending[-1][0], done + pending[-1][0]
            if pending[-1][0] == left:
                yield _cut(pending, stored, boxes, wanted, float(segment[done - 1]) * wanted.clip_s, convert)
                pending = []
    if pending:
        yield _cut(pending, stored, boxes, wanted, float(segment[done - 1]) * wanted.clip_s, convert)


def _cut(
    frames: Sequence[tuple[int, Any]],
    stored: StoredVideo,
    boxes: Boxes | None,
    wanted: Frames,
    start_s: float,
    convert: Callable[[Any], np.ndarray],
) -> tuple[np.ndarray, bool]:
    """Return the frames (n, 3, size, size) of one segment, all cut around the median of the face's boxes, and True if a
    face was found. `frames`: decoded frames, each with the number of times that it is repeated."""
    box = None
    if wanted.crop != "none":
        if boxes is not None:
            box = boxes.median(stored.zero_s + start_s, stored.zero_s + start_s + wanted.clip_s)
        else:
            sampled = np.unique(np.linspace(0, len(frames) - 1, _SAMPLED_FRAMES).round().astype(int))
            faces = [face for i in sampled if (face := find_face(convert(frames[i][1]))) is not None]
            box = np.median(faces, 0) if faces else None
    rows = []
    for count, frame in frames:
        picture = convert(frame)
        place = square(box, wanted.crop, *picture.shape[:2])
        rows += [crop_square(picture, place, wanted.size)] * count
    return np.stack(rows), box is not None
