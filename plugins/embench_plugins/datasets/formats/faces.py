"""The face of a subject in a recording: a clip, and what OpenFace saw in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from embench.errors import DataError
from embench.interfaces.dataset import Finding, ModalityCard
from embench.interfaces.recording import VIDEO_CHANNELS, Signal, Video
from embench_plugins.datasets.formats import openface
from embench_plugins.datasets.formats.clips import Clip, header

CARDS = {
    "face_au": openface.CARD,
    "video": ModalityCard(VIDEO_CHANNELS, math.nan, "pixel"),
}
"""The two modalities of a dataset with clips of faces; rates differ from clip to clip."""

Span = tuple[float, float]
_APART_S = 1.0


def read(
    clip: Path | None, table: Path | None, span: Callable[[float], Span | None]
) -> tuple[Video | None, dict[str, Signal]]:
    """A recording's video, if any, and its signal `face_au`, if any.

    A clip whose header cannot be read is handed on, its rate NaN, so that whoever decodes it says so.

    Args:
        table: what OpenFace made of the clip, which itself need not be there.
        span: the seconds of a file, given how long it lasts (0 where nothing tells), at which the recording begins and
            ends; None where such a file cannot be used.

    Raises:
        DataError: the table is none of OpenFace.
    """
    film, track = _header(clip), openface.read(table) if table else None
    length_s = film.duration_s if film else track.duration_s if track else 0.0
    if (at := span(length_s)) is None:
        return None, {}
    video = Video(clip, film.fps if film else math.nan, at, _boxes(clip)) if clip else None
    signal = openface.on_clock(track, at) if track else None
    return video, {"face_au": signal} if signal else {}


def belongings(clip: Path | None, table: Path | None) -> list[Path]:
    """The files that decide what `read` gives."""
    return [path for path in (clip, _boxes(clip) if clip else None, table) if path]


def look(clip: Path | None, table: Path | None) -> Iterator[Finding]:
    """Findings on a table: it is none, it is of another file than the clip, or a face is rarely seen."""
    if table is None:
        return
    try:
        track = openface.read(table)
    except DataError as error:
        yield Finding("error", str(table), error.what)
        return
    film = _header(clip)
    if film and abs(film.duration_s - track.duration_s) > _APART_S:
        what = f"it covers {track.duration_s:.1f} s, the clip lasts {film.duration_s:.1f} s: not of this file?"
        yield Finding("warning", str(table), what)
    if track.lost > 0.1:
        yield Finding("warning", str(table), f"{track.lost:.0%} of the frames have no face, or little confidence")


def _header(clip: Path | None) -> Clip | None:
    try:
        return header(clip) if clip else None
    except DataError:  # `verify` of the reader tells
        return None


def _boxes(clip: Path) -> Path | None:
    return path if (path := clip.with_suffix(openface.BOXES)).is_file() else None
