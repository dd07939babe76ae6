"""The face of a subject in a recording: a video clip's header, and OpenFace's table of the clip."""

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

# A video file's header, and the values that any program measured of a face in each frame.

RATES = (1.0, 240.0)  # plausible frame rates of a camera
_STAMP_S = 0.001  # resolution of timestamps


@dataclass(frozen=True, slots=True)
class Clip:
    """A video file's header: frames per second, and length in s."""

    path: Path
    fps: float
    duration_s: float


def read_header(path: Path) -> Clip:
    """Return a video file's header, without decoding frames. Raises DataError if it is missing or implausible."""
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
    """Values of a face in each frame of a video: `seconds` (n,) from the file's first frame, and `values` (n,
    channels), NaN in frames without a face. `rate` is in frames per second."""

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
        """Proportion of frames without a face."""
        return float(np.isnan(self.values).any(axis=1).mean())


def sort_frames(track: Track) -> Track:
    """Return a track in order of time, without frames that lack a time. A frame with a missing value becomes NaN."""
    values = np.where(np.isfinite(track.values).all(axis=1, keepdims=True), track.values, np.float32(np.nan))
    order = np.argsort(track.seconds, kind="stable")[: int(np.isfinite(track.seconds).sum())]
    return replace(track, seconds=track.seconds[order], values=values[order])


def find_frame_rate(frame: np.ndarray, seconds: np.ndarray) -> float | None:
    """Return frames per second: the roundest number that agrees with timestamps in milliseconds. None if the timestamps
    give no plausible rate, as in tables without timestamps.

    Args:
        frame, seconds: (n,) number and time of each frame.
    """
    known = np.isfinite(frame) & np.isfinite(seconds)
    frame, seconds = frame[known], seconds[known]
    frames, length_s = (np.ptp(x) if x.size else 0.0 for x in (frame, seconds))
    if not (frames > 0 and length_s > 0 and RATES[0] <= frames / length_s <= RATES[1]):
        return None
    rate = frames / length_s
    rounded = (round(rate, digits) for digits in range(4))
    return float(next((r for r in rounded if abs(r - rate) <= rate * _STAMP_S / length_s), rate))


def resample_track(track: Track, span: tuple[float, float], channels: tuple[str, ...], unit: str) -> Signal | None:
    """Return the values of a face at the times of a recording; None if no frame of the recording has a face.

    Args:
        span: seconds of the video, from its first frame, at which the recording begins and ends.
        channels: channels of the track to return, in order.

    Returns:
        (channels, n) at the video's own rate, each frame at the nearest point; NaN without a face.
    """
    start, stop = span
    count = max(int((stop - start) * track.rate + 1e-6), 0)
    # Frames are evenly spaced in the file: all are shifted by the same number of points.
    points = np.rint(track.seconds * track.rate).astype(np.int64) + math.floor(0.5 - start * track.rate)
    inside = (points >= 0) & (points < count)
    data = np.full((len(channels), count), np.nan, np.float32)
    data[:, points[inside]] = track.values[inside][:, [track.channels.index(name) for name in channels]].T
    return Signal(data, track.rate, channels, unit) if np.isfinite(data).any() else None


# OpenFace's tables (Baltrusaitis et al. 2016, 2018): action units and gaze, one row for each frame.
#
# Versions 0 to 2 are read (programs FeatureExtraction and FaceLandmarkVidMulti), as `.csv` or `.txt`, with or without
# spaces before the names. `CHANNELS` lists the columns that are read: intensities (0 to 5) and presences (0 or 1) of 17
# action units, and 8 values of gaze if the table has them (two unit vectors, two angles in radians). Version 1 has no
# angles: they are computed from the vectors as in version 2. Version 0 has 14 intensities and 5 presences. Not read:
# the presence of AU28, which has no intensity, landmarks and pose.
#
# The values of a frame without a face, or with little confidence, are NaN.

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
ACTION_UNITS = (*(f"AU{n:02d}_r" for n in UNITS), *(f"AU{n:02d}_c" for n in UNITS))
VECTORS = tuple(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz")
GAZE = (*VECTORS, "gaze_angle_x", "gaze_angle_y")
CHANNELS = (*ACTION_UNITS, *GAZE)
NAME, UNIT = "OpenFace", "a.u."

LEAST_CONFIDENCE = 0.5
"""A frame counts if `success` is 1 and `confidence` is at least this."""

_VERSION_0 = (
    *(f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 9, 10, 12, 14, 15, 17, 20, 25, 26)),
    *(f"AU{n:02d}_c" for n in (4, 12, 15, 23, 45)),
)
_FRAME = ("frame", "confidence", "success")
_EXPECTED = "a table of OpenFace with the columns frame, timestamp, confidence, success, AU01_r .., AU01_c .."
_HINT = "run OpenFace 2 again (FeatureExtraction -f CLIP -aus -gaze), or take the file away"


def select_channels(names: Collection[str], path: Path) -> tuple[str, ...]:
    """Return the channels of a table with the columns `names`: all of `CHANNELS` that it has, in their order.

    Raises:
        DataError: columns are missing that every table of its version has.
    """
    written = {name for name in names if name.startswith("AU") and name.endswith(("_r", "_c"))} - {"AU28_c"}
    units = _VERSION_0 if written == set(_VERSION_0) else ACTION_UNITS
    gaze = VECTORS if any(name in names for name in VECTORS) else ()
    if missing := [name for name in (*_FRAME, *units, *gaze) if name not in names]:
        more = f" and {len(missing) - 3} others" if len(missing) > 3 else ""
        what = f"no column {', '.join(missing[:3])}{more}"
        raise DataError(what, where=str(path), expected=_EXPECTED, hint=_HINT)
    return (*units, *(GAZE if gaze else ()))


def read_table(path: Path, fps: float | None = None) -> Track:
    """Return a table of OpenFace. If it follows several faces, the one that is found in most frames is used.

    Args:
        fps: frames per second of its video, for a table without usable timestamps; None if unknown.

    Raises:
        DataError: it is not such a table, a column is missing, a frame that counts has values that are not numbers, or
            the frame rate is unknown.
    """
    table = files.read_text_table(path, expected=_EXPECTED, hint=_HINT)
    names = select_channels(table.columns, path)
    table = table if "timestamp" in table.columns else table.assign(timestamp=np.nan)
    frames = files.to_numbers(table[[*_FRAME, "timestamp"]], path, expected=_EXPECTED, hint=_HINT)
    good = (frames["success"] == 1) & (frames["confidence"] >= LEAST_CONFIDENCE) & frames["frame"].notna()
    if "face_id" in table.columns and good.any():
        face = table["face_id"]
        rows = face == face[good].value_counts().index[0]
        table, frames, good = table[rows], frames[rows], good[rows]
    stored = [name for name in names if name in table.columns]
    seen = files.to_numbers(table.loc[good, stored], path, expected=_EXPECTED, hint=_HINT)
    values = np.full((len(frames), len(names)), np.nan, np.float32)
    values[good.to_numpy()] = _add_angles(seen, names)[list(names)].to_numpy(np.float32)
    frame, seconds = frames["frame"].to_numpy(), frames["timestamp"].to_numpy()
    rate = find_frame_rate(frame, seconds)
    if rate is None:
        known = (x[np.isfinite(x)] for x in (frame, seconds))
        counted, length_s = (float(np.ptp(x)) if x.size else 0.0 for x in known)
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
    """Return the table with angles of gaze. Version 1 lacks them: they are computed from both eyes' mean vector."""
    if set(names) <= set(seen.columns):
        return seen
    x, y, z = (seen[f"gaze_0_{axis}"] + seen[f"gaze_1_{axis}"] for axis in "xyz")
    return seen.assign(gaze_angle_x=np.arctan2(x, -z), gaze_angle_y=np.arctan2(y, -z))


# The face of a subject in a recording: a clip, and OpenFace's table of it.

CARDS = {
    "face_au": ModalityCard(CHANNELS, math.nan, UNIT),
    "video": ModalityCard(VIDEO_CHANNELS, math.nan, "pixel"),
}
"""The two modalities of a dataset with clips of faces; rates differ from clip to clip."""

BOXES = ".boxes.csv"
"""Ending of the name of a table of face boxes, which may lie beside a clip."""

SUFFIXES = (".csv", ".txt")

Span = tuple[float, float]
_APART_S = 1.0
_LONGEST_HEADER = 1 << 16


def find_tables(root: Path) -> list[Path]:
    """Return the .csv and .txt files below a folder, without hidden files and tables of face boxes."""
    return sorted(
        path
        for path in root.rglob("*.*")
        if path.suffix.lower() in SUFFIXES
        and not path.name.endswith(BOXES)
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def extend_card(card: Card, found: Iterable[Path]) -> Card:
    """Return a dataset card whose `face_au` has the channels that all tables share; unchanged without tables."""
    channels: tuple[str, ...] | None = None
    for path in found:
        try:
            names = _read_columns(path)
        except DataError:  # reported when the table is read
            continue
        channels = names if channels is None else tuple(name for name in channels if name in names)
    if channels is None:
        return card
    return replace(card, modalities={**card.modalities, "face_au": ModalityCard(channels, math.nan, UNIT)})


def note_missing_channels(root: Path, promised: ModalityCard) -> Iterator[Finding]:
    """Yield a finding on channels that `face_au` lacks, as some tables lack them."""
    if names := [n for n in CHANNELS if n not in promised.channels]:
        what = "gaze" if set(names) <= set(GAZE) else f"{', '.join(names[:3])} and {len(names) - 3} others"
        yield Finding("note", str(root), f"tables without {what}: face_au has {len(promised.channels)} channels")


def read_face(
    clip: Path | None, table: Path | None, span: Callable[[float], Span | None], promised: ModalityCard
) -> tuple[Video | None, dict[str, Signal]]:
    """Return a recording's video, if any, and its signal `face_au`, if any.

    A clip with an unreadable header is returned with a rate of NaN; decoding it raises the error.

    Args:
        table: OpenFace's table of the clip; the clip itself may be missing.
        span: function from a file's length in s (0 if unknown) to the seconds of the file at which the recording
            begins and ends, or None if the file cannot be used.
        promised: `face_au` of the dataset's card: the channels to return.

    Raises:
        DataError: it is not a table of OpenFace, or lacks these channels.
    """
    header = _read_clip(clip)
    track = _read_track(table, header) if table else None
    length_s = header.duration_s if header else track.duration_s if track else 0.0
    if (seconds := span(length_s)) is None:
        return None, {}
    video = Video(clip, header.fps if header else math.nan, seconds, _find_boxes(clip)) if clip else None
    signal = resample_track(track, seconds, promised.channels, promised.unit) if track else None
    return video, {"face_au": signal} if signal else {}


def list_files(clip: Path | None, table: Path | None) -> list[Path]:
    """Return the files that determine the result of `read_face`."""
    return [path for path in (clip, _find_boxes(clip) if clip else None, table) if path]


def list_findings(clip: Path | None, table: Path | None) -> Iterator[Finding]:
    """Yield findings: a table is unreadable, belongs to another file than the clip, or rarely has a face."""
    if table is None:
        return
    header = _read_clip(clip)
    try:
        track = _read_track(table, header)
    except DataError as error:
        yield Finding("error", str(table), error.what)
        return
    if header and abs(header.duration_s - track.duration_s) > _APART_S:
        what = f"it covers {track.duration_s:.1f} s, the clip lasts {header.duration_s:.1f} s: not of this file?"
        yield Finding("warning", str(table), what)
    if track.lost > 0.1:
        yield Finding("warning", str(table), f"{track.lost:.0%} of the frames have no face, or little confidence")


def _read_track(table: Path, header: Clip | None) -> Track:
    return read_table(table, header.fps if header else None)


def _read_columns(path: Path) -> tuple[str, ...]:
    """Return the channels that a table has. Raises DataError."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            names = {name.strip() for name in file.readline(_LONGEST_HEADER).split(",")}
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return select_channels(names, path)


def _read_clip(clip: Path | None) -> Clip | None:
    try:
        return read_header(clip) if clip else None
    except DataError:  # reported by the reader's `verify`
        return None


def _find_boxes(clip: Path) -> Path | None:
    return path if (path := clip.with_suffix(BOXES)).is_file() else None
