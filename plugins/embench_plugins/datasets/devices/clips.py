"""A video file by its header, without decoding a frame, and a face through it, whichever program followed it: values at
frames, their times, and the frame rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.recording import Signal
from embench.signals.video import open_container

RATES = (1.0, 240.0)  # frames a second that a camera can have had
_STAMP_S = 0.001  # what timestamps are rounded to


@dataclass(frozen=True, slots=True)
class Clip:
    """A video file's header: frames a second, and length in s."""

    path: Path
    fps: float
    duration_s: float


def header(path: Path) -> Clip:
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


def in_order(track: Track) -> Track:
    """The frames by time, without those that have none; one with a value that is no number is lost whole."""
    values = np.where(np.isfinite(track.values).all(axis=1, keepdims=True), track.values, np.float32(np.nan))
    order = np.argsort(track.seconds, kind="stable")[: int(np.isfinite(track.seconds).sum())]
    return replace(track, seconds=track.seconds[order], values=values[order])


def frame_rate(frame: np.ndarray, seconds: np.ndarray) -> float | None:
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


def on_clock(track: Track, span: tuple[float, float], channels: tuple[str, ...], unit: str) -> Signal | None:
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
