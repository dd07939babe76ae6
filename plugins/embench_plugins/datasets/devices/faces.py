"""The face of a subject in a recording: a clip by its header, and what OpenFace saw in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Card, Finding, ModalityCard
from embench.interfaces.recording import VIDEO_CHANNELS, Signal, Video
from embench.signals.video import open_container
from embench_plugins.datasets.formats import files

# A video file by its header, without decoding a frame, and a face through it, whichever program followed it: values at
# frames, their times, and the frame rate.

RATES = (1.0, 240.0)  # frames a second that a camera can have had
_STAMP_S = 0.001  # what timestamps are rounded to


@dataclass(frozen=True, slots=True)
class Clip:
    """A video file's header: frames a second, and length in s."""

    path: Path
    fps: float
    duration_s: float


def read_header(path: Path) -> Clip:
    """Reads a container's header. Raises DataError where it is no video or its header makes no sense."""
    import av

    expected = "a video file with a frame rate and a duration in its header"
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 0)
            if stream.duration is not None and stream.time_base is not None:
                duration_s = float(stream.duration * stream.time_base)
            else:
                duration_s = float(container.duration or 0) / av.time_base
    except (av.FFmpegError, OSError, ValueError, IndexError, ArithmeticError, MemoryError) as error:
        reason = "there is no picture in it" if isinstance(error, IndexError) else str(error)
        raise DataError(f"not readable as a video: {reason}", where=str(path), expected=expected) from error
    if not RATES[0] <= fps <= RATES[1] or not (math.isfinite(duration_s) and 0 < duration_s < 86_400):
        what = f"its header says {fps:g} frames a second, {duration_s:g} s"
        raise DataError(what, where=str(path), expected=expected)
    return Clip(path, fps, duration_s)


@dataclass(frozen=True, slots=True)
class Track:
    """A face through a video: `seconds` (n,) from the file's first frame, and `values` (n, channels), NaN in frames
    without it; `rate` is frames a second."""

    rate: float
    seconds: np.ndarray
    values: np.ndarray
    channels: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Length in s: up to the end of the last frame."""
        return float(self.seconds[-1]) + 1 / self.rate

    @property
    def lost(self) -> float:
        """Share of frames without a face."""
        return float(np.isnan(self.values).any(axis=1).mean())


def sort_frames(track: Track) -> Track:
    """The frames by time, without those that have none; one with a value that is no number is lost whole."""
    values = np.where(np.isfinite(track.values).all(axis=1, keepdims=True), track.values, np.float32(np.nan))
    order = np.argsort(track.seconds, kind="stable")[: int(np.isfinite(track.seconds).sum())]
    return replace(track, seconds=track.seconds[order], values=values[order])


def find_frame_rate(frame: np.ndarray, seconds: np.ndarray) -> float | None:
    """Frames a second: the roundest number that timestamps allow, which are rounded to milliseconds. None where they
    tell none: time stands still, or frames follow each other faster than any camera takes them, as in tables that were
    made without a frame rate."""
    known = np.isfinite(frame) & np.isfinite(seconds)
    frame, seconds = frame[known], seconds[known]
    frames, length_s = (np.ptp(x) if x.size else 0.0 for x in (frame, seconds))
    if not (frames > 0 and length_s > 0 and RATES[0] <= frames / length_s <= RATES[1]):
        return None
    rate = frames / length_s
    rounded = (round(rate, digits) for digits in range(4))
    return float(next((r for r in rounded if abs(r - rate) <= rate * _STAMP_S / length_s), rate))


def resample_track(track: Track, span: tuple[float, float], channels: tuple[str, ...], unit: str) -> Signal | None:
    """A face on a recording's clock; None where it is in no frame of the recording.

    Args:
        span: seconds of the video, from its first frame, at which the recording begins and ends.
        channels: those of the track that are wanted, in order.

    Returns:
        (channels, n) at the video's own rate, each row at the nearest point; NaN where there is no frame or none that
        counts.
    """
    start, stop = span
    count = max(int((stop - start) * track.rate + 1e-6), 0)
    # Frames lie at whole multiples of the frame's length in the file: all are shifted by the same number of points.
    points = np.rint(track.seconds * track.rate).astype(np.int64) + math.floor(0.5 - start * track.rate)
    inside = (points >= 0) & (points < count)
    data = np.full((len(channels), count), np.nan, np.float32)
    data[:, points[inside]] = track.values[inside][:, [track.channels.index(name) for name in channels]].T
    return Signal(data, track.rate, channels, unit) if np.isfinite(data).any() else None


# What OpenFace saw in a video (Baltrusaitis et al. 2016, 2018): action units and gaze, a table with a row a frame.
#
# Read are the tables of its versions 0 to 2 (programs FeatureExtraction and FaceLandmarkVidMulti), as `.csv` or `.txt`,
# with or without spaces before the names. Of their columns these are taken, in the order of `CHANNELS`: intensities (0
# to 5) and presences (0 or 1) of 17 action units, and, where the program was asked for gaze, 8 values of it (two unit
# vectors, two angles in radians). Version 1 has no angles: they follow from the vectors as version 2 computes them.
# Version 0 has 14 intensities and 5 presences. Presence of AU28, which has no intensity, landmarks and pose are not
# read.
#
# A frame in which no face was found, or one with little confidence, is lost: its values are NaN.

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
ACTION_UNITS = (*(f"AU{n:02d}_r" for n in UNITS), *(f"AU{n:02d}_c" for n in UNITS))
VECTORS = tuple(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz")
GAZE = (*VECTORS, "gaze_angle_x", "gaze_angle_y")
CHANNELS = (*ACTION_UNITS, *GAZE)
NAME, UNIT = "OpenFace", "a.u."

LEAST_CONFIDENCE = 0.5
"""A frame counts where `success` is 1 and `confidence` at least this."""

_VERSION_0 = (
    *(f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 9, 10, 12, 14, 15, 17, 20, 25, 26)),
    *(f"AU{n:02d}_c" for n in (4, 12, 15, 23, 45)),
)
_FRAME = ("frame", "confidence", "success")
_EXPECTED = "a table of OpenFace with the columns frame, timestamp, confidence, success, AU01_r .., AU01_c .."
_HINT = "run OpenFace 2 again (FeatureExtraction -f CLIP -aus -gaze), or take the file away"


def select_channels(names: Collection[str], path: Path) -> tuple[str, ...]:
    """Which of `CHANNELS` a table with these columns has, in their order.

    Raises:
        DataError: columns that its version always writes are missing.
    """
    told = {name for name in names if name.startswith("AU") and name.endswith(("_r", "_c"))} - {"AU28_c"}
    units = _VERSION_0 if told == set(_VERSION_0) else ACTION_UNITS
    gaze = VECTORS if any(name in names for name in VECTORS) else ()
    if missing := [name for name in (*_FRAME, *units, *gaze) if name not in names]:
        more = f" and {len(missing) - 3} others" if len(missing) > 3 else ""
        what = f"no column {', '.join(missing[:3])}{more}"
        raise DataError(what, where=str(path), expected=_EXPECTED, hint=_HINT)
    return (*units, *(GAZE if gaze else ()))


def read_table(path: Path, fps: float | None = None) -> Track:
    """A table of OpenFace. Where it follows several faces, the one that is seen in most frames is taken.

    Args:
        fps: frames a second of its video, for a table whose timestamps tell none; None where they are unknown.

    Raises:
        DataError: it is no such table, a column is missing, a frame that counts holds no numbers, or nothing tells how
            many frames a second there are.
    """
    table = files.text_table(path, expected=_EXPECTED, hint=_HINT)
    names = select_channels(table.columns, path)
    table = table if "timestamp" in table.columns else table.assign(timestamp=np.nan)
    frames = files.numbers(table[[*_FRAME, "timestamp"]], path, expected=_EXPECTED, hint=_HINT)
    good = (frames["success"] == 1) & (frames["confidence"] >= LEAST_CONFIDENCE) & frames["frame"].notna()
    if "face_id" in table.columns and good.any():
        face = table["face_id"]
        kept = face == face[good].value_counts().index[0]
        table, frames, good = table[kept], frames[kept], good[kept]
    stored = [name for name in names if name in table.columns]
    seen = files.numbers(table.loc[good, stored], path, expected=_EXPECTED, hint=_HINT)
    values = np.full((len(frames), len(names)), np.nan, np.float32)
    values[good.to_numpy()] = _add_angles(seen, names)[list(names)].to_numpy(np.float32)
    frame, seconds = frames["frame"].to_numpy(), frames["timestamp"].to_numpy()
    rate = find_frame_rate(frame, seconds)
    if rate is None:
        there = (x[np.isfinite(x)] for x in (frame, seconds))
        counted, length_s = (float(np.ptp(x)) if x.size else 0.0 for x in there)
        if fps is None or counted == 0:
            raise DataError(
                f"{counted:g} frames in {length_s:g} s by the columns frame and timestamp",
                where=str(path),
                expected="a table of OpenFace with timestamps in s, or the video beside it, which has a frame rate",
                hint=_HINT,
            )
        rate, seconds = fps, (frame - min(np.nanmin(frame), 1)) / fps  # frames count from 1, in some versions from 0
    return sort_frames(Track(rate, seconds, values, names))


def _add_angles(seen: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """With the angles of gaze, where vectors are there and version 1 wrote no angles: those of their mean."""
    if set(names) <= set(seen.columns):
        return seen
    x, y, z = (seen[f"gaze_0_{axis}"] + seen[f"gaze_1_{axis}"] for axis in "xyz")
    return seen.assign(gaze_angle_x=np.arctan2(x, -z), gaze_angle_y=np.arctan2(y, -z))


# The face of a subject in a recording: a clip, and what OpenFace saw in it.

CARDS = {
    "face_au": ModalityCard(CHANNELS, math.nan, UNIT),
    "video": ModalityCard(VIDEO_CHANNELS, math.nan, "pixel"),
}
"""The two modalities of a dataset with clips of faces; rates differ from clip to clip."""

BOXES = ".boxes.csv"
"""What the name of a table of face boxes, which may lie beside a clip, ends in."""

SUFFIXES = (".csv", ".txt")

Span = tuple[float, float]
_APART_S = 1.0
_LONGEST_HEADER = 1 << 16


def find_tables(root: Path) -> list[Path]:
    """The files below a folder that may be tables of faces: boxes of faces and hidden files are not among them."""
    return sorted(
        path
        for path in root.rglob("*.*")
        if path.suffix.lower() in SUFFIXES
        and not path.name.endswith(BOXES)
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def extend_card(card: Card, found: Iterable[Path]) -> Card:
    """A dataset's card with the channels that all tables of its folder have; as it stands where there are none."""
    channels: tuple[str, ...] | None = None
    for path in found:
        try:
            names = _read_columns(path)
        except DataError:  # whoever reads the table tells
            continue
        channels = names if channels is None else tuple(name for name in channels if name in names)
    if channels is None:
        return card
    return replace(card, modalities={**card.modalities, "face_au": ModalityCard(channels, math.nan, UNIT)})


def note_lacking(root: Path, promised: ModalityCard) -> Iterator[Finding]:
    """A note on what no recording has, because some tables lack it."""
    if names := [n for n in CHANNELS if n not in promised.channels]:
        what = "gaze" if set(names) <= set(GAZE) else f"{', '.join(names[:3])} and {len(names) - 3} others"
        yield Finding("note", str(root), f"tables without {what}: face_au has {len(promised.channels)} channels")


def read(
    clip: Path | None, table: Path | None, span: Callable[[float], Span | None], promised: ModalityCard
) -> tuple[Video | None, dict[str, Signal]]:
    """A recording's video, if any, and its signal `face_au`, if any.

    A clip whose header cannot be read is handed on, its rate NaN, so that whoever decodes it says so.

    Args:
        table: what OpenFace made of the clip, which itself need not be there.
        span: the seconds of a file, given how long it lasts (0 where nothing tells), at which the recording begins and
            ends; None where such a file cannot be used.
        promised: `face_au` of the dataset's card, whose channels are taken.

    Raises:
        DataError: it is no table of OpenFace, or has not these channels.
    """
    film = _read_clip(clip)
    track = _read_track(table, film) if table else None
    length_s = film.duration_s if film else track.duration_s if track else 0.0
    if (at := span(length_s)) is None:
        return None, {}
    video = Video(clip, film.fps if film else math.nan, at, _find_boxes(clip)) if clip else None
    signal = resample_track(track, at, promised.channels, promised.unit) if track else None
    return video, {"face_au": signal} if signal else {}


def list_files(clip: Path | None, table: Path | None) -> list[Path]:
    """The files that decide what `read` gives."""
    return [path for path in (clip, _find_boxes(clip) if clip else None, table) if path]


def look(clip: Path | None, table: Path | None) -> Iterator[Finding]:
    """Findings on a table: it is none, it is of another file than the clip, or a face is rarely seen."""
    if table is None:
        return
    film = _read_clip(clip)
    try:
        track = _read_track(table, film)
    except DataError as error:
        yield Finding("error", str(table), error.what)
        return
    if film and abs(film.duration_s - track.duration_s) > _APART_S:
        what = f"it covers {track.duration_s:.1f} s, the clip lasts {film.duration_s:.1f} s: not of this file?"
        yield Finding("warning", str(table), what)
    if track.lost > 0.1:
        yield Finding("warning", str(table), f"{track.lost:.0%} of the frames have no face, or little confidence")


def _read_track(table: Path, film: Clip | None) -> Track:
    return read_table(table, film.fps if film else None)


def _read_columns(path: Path) -> tuple[str, ...]:
    """The channels that a table has. Raises DataError."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            names = {name.strip() for name in file.readline(_LONGEST_HEADER).split(",")}
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return select_channels(names, path)


def _read_clip(clip: Path | None) -> Clip | None:
    try:
        return read_header(clip) if clip else None
    except DataError:  # `verify` of the reader tells
        return None


def _find_boxes(clip: Path) -> Path | None:
    return path if (path := clip.with_suffix(BOXES)).is_file() else None
