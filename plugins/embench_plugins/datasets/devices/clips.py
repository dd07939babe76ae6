"""What a video file's header states, without decoding a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from embench.errors import DataError
from embench.signals.video import open_container

RATES = (1.0, 240.0)  # frames a second that a camera can have had


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
