"""The face of a subject in a recording: a clip, and what OpenFace saw in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from embench.errors import DataError
from embench.interfaces.dataset import Card, Finding, ModalityCard
from embench.interfaces.recording import VIDEO_CHANNELS, Signal, Video
from embench_plugins.datasets.devices import openface
from embench_plugins.datasets.devices.clips import Clip, Track, header, on_clock

CARDS = {
    "face_au": ModalityCard(openface.CHANNELS, math.nan, openface.UNIT),
    "video": ModalityCard(VIDEO_CHANNELS, math.nan, "pixel"),
}
"""The two modalities of a dataset with clips of faces; rates differ from clip to clip."""

BOXES = ".boxes.csv"
"""What the name of a table of face boxes, which may lie beside a clip, ends in."""

SUFFIXES = (".csv", ".txt")

Span = tuple[float, float]
_APART_S = 1.0
_LONGEST_HEADER = 1 << 16


def tables(root: Path) -> list[Path]:
    """The files below a folder that may be tables of faces: boxes of faces and hidden files are not among them."""
    return sorted(
        path
        for path in root.rglob("*.*")
        if path.suffix.lower() in SUFFIXES
        and not path.name.endswith(BOXES)
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def card(card: Card, found: Iterable[Path]) -> Card:
    """A dataset's card with the channels that all tables of its folder have; as it stands where there are none."""
    channels: tuple[str, ...] | None = None
    for path in found:
        try:
            names = _columns(path)
        except DataError:  # whoever reads the table tells
            continue
        channels = names if channels is None else tuple(name for name in channels if name in names)
    if channels is None:
        return card
    return replace(card, modalities={**card.modalities, "face_au": ModalityCard(channels, math.nan, openface.UNIT)})


def lacking(root: Path, promised: ModalityCard) -> Iterator[Finding]:
    """A note on what no recording has, because some tables lack it."""
    if names := [n for n in openface.CHANNELS if n not in promised.channels]:
        what = "gaze" if set(names) <= set(openface.GAZE) else f"{', '.join(names[:3])} and {len(names) - 3} others"
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
    film = _header(clip)
    track = _track(table, film) if table else None
    length_s = film.duration_s if film else track.duration_s if track else 0.0
    if (at := span(length_s)) is None:
        return None, {}
    video = Video(clip, film.fps if film else math.nan, at, _boxes(clip)) if clip else None
    signal = on_clock(track, at, promised.channels, promised.unit) if track else None
    return video, {"face_au": signal} if signal else {}


def belongings(clip: Path | None, table: Path | None) -> list[Path]:
    """The files that decide what `read` gives."""
    return [path for path in (clip, _boxes(clip) if clip else None, table) if path]


def look(clip: Path | None, table: Path | None) -> Iterator[Finding]:
    """Findings on a table: it is none, it is of another file than the clip, or a face is rarely seen."""
    if table is None:
        return
    film = _header(clip)
    try:
        track = _track(table, film)
    except DataError as error:
        yield Finding("error", str(table), error.what)
        return
    if film and abs(film.duration_s - track.duration_s) > _APART_S:
        what = f"it covers {track.duration_s:.1f} s, the clip lasts {film.duration_s:.1f} s: not of this file?"
        yield Finding("warning", str(table), what)
    if track.lost > 0.1:
        yield Finding("warning", str(table), f"{track.lost:.0%} of the frames have no face, or little confidence")


def _track(table: Path, film: Clip | None) -> Track:
    return openface.read(table, film.fps if film else None)


def _columns(path: Path) -> tuple[str, ...]:
    """The channels that a table has. Raises DataError."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            names = {name.strip() for name in file.readline(_LONGEST_HEADER).split(",")}
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return openface.channels(names, path)


def _header(clip: Path | None) -> Clip | None:
    try:
        return header(clip) if clip else None
    except DataError:  # `verify` of the reader tells
        return None


def _boxes(clip: Path) -> Path | None:
    return path if (path := clip.with_suffix(BOXES)).is_file() else None
