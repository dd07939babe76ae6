"""The markers in the files of a recording by which it is cut into trials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path

from embench.errors import DataError
from embench_plugins.datasets.formats.recordings import marker_streams
from embench_plugins.datasets.formats.triggers import trigger_marks
from embench_plugins.datasets.formats.wfdb_notes import wfdb_notes
from embench_plugins.datasets.own.layout import OwnChannels, Trials
from embench_plugins.datasets.own.paths import part_pattern
from embench_plugins.datasets.own.signals import TABLES, channel_of

Marks = list[tuple[float, str]]
_MOST_TOLD = 12


def find_marks(
    paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], spec: Trials, origins: Mapping[str, float],
    place: str, zone: tzinfo,
) -> tuple[Path, Marks]:  # fmt: skip
    """The file that holds a recording's markers, and their seconds from its start with their texts.

    Args:
        paths, channels: modality -> its file, and what the description says of it.
        spec: what the description says of the trials.
        origins: modality -> the second of the recording at which its file begins.
        place: file and line of the trials.
        zone: that of dates that state none.

    Raises:
        DataError: a file cannot be read, no marker begins or ends a trial, or those of several streams do.
    """
    held = {m: _streams(path) for m, path in paths.items()}
    m = next((m for m, own in held.items() if own), next(iter(paths)))
    path, streams = paths[m], held[m]
    if spec.channel is not None and spec.channel not in streams:
        track = channel_of(path, spec.channel, channels.get(m), place, zone)
        streams = {spec.channel: trigger_marks(path, track)}
    if spec.channel is not None:
        streams = {spec.channel: streams[spec.channel]}
    begin = origins.get(m, 0.0)
    return path, [(at + begin, text) for at, text in _checked(path, streams, spec, place)]


def _streams(path: Path) -> Mapping[str, Marks]:
    if path.suffix.lower() == ".hea":
        return wfdb_notes(path)
    return {} if path.suffix.lower() in TABLES else marker_streams(path)


def _checked(path: Path, streams: Mapping[str, Marks], spec: Trials, place: str) -> Marks:
    """All markers in order of time. Raises DataError as above."""
    begin = _pattern(spec.markers or {})
    named = ", ".join(spec.markers) if isinstance(spec.markers, Mapping) else spec.markers
    beginning = [name for name, marks in streams.items() if any(begin.fullmatch(text) for _, text in marks)]
    if not beginning:
        raise _none_of(path, streams, f"begins a trial (`{named}`)", place)
    if len(beginning) > 1:
        raise DataError(
            f"markers that begin a trial are in {len(beginning)} streams of {path.name}: {', '.join(beginning)}",
            where=place,
            expected="one stream of markers",
            hint=f"name the one that counts: `channel: {beginning[0]}`",
        )
    if spec.until and "{" not in spec.until:
        end = _pattern(spec.until)
        if not any(end.fullmatch(text) for marks in streams.values() for _, text in marks):
            raise _none_of(path, streams, f"ends a trial (`{spec.until}`)", place)
    return sorted(mark for marks in streams.values() for mark in marks)


def _pattern(text: Mapping[str, str] | str) -> re.Pattern[str]:
    return part_pattern(text, {}) if isinstance(text, str) else re.compile("|".join(map(re.escape, text)))


def _none_of(path: Path, streams: Mapping[str, Marks], what: str, place: str) -> DataError:
    """The error to raise where no marker does something, with those that are there."""
    told = []
    for name, marks in streams.items():
        texts = list(dict.fromkeys(text for _, text in marks))
        more = f" and {len(texts) - _MOST_TOLD} others" if len(texts) > _MOST_TOLD else ""
        told.append(f"{name}: {', '.join(f'`{text[:60]}`' for text in texts[:_MOST_TOLD]) or 'none'}{more}")
    return DataError(
        f"no marker in {path.name} {what}",
        where=place,
        expected=f"one of those in the file ({'; '.join(told)})" if told else "markers, of which the file has none",
        hint="write the texts as the file has them; `channel` names a channel of triggers, such as `channel: Status`",
    )
