"""Recordings of BrainVision (.vhdr with .eeg and .vmrk), by the package mne."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.tracks import Stretch, Track, damaged, unreadable, with_gaps
from embench_plugins.datasets.formats.units import unit_of

_SI = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9, "S": 1.0, "uS": 1e-6}
"""What mne multiplies a file's numbers with, by their unit; others stay as they are."""
_MOST_TEXT, _PAUSE_S = 1 << 24, 0.05
_SEGMENT = re.compile(r"^Mk\d+=New Segment,[^,\r\n]*,(\d{1,12}),\d+,[^,\r\n]*,(\d{14,20})", re.MULTILINE)
_CHANNEL = re.compile(r"^Ch(\d+)=((?:[^,\\]|\\.)*),[^,]*,[^,]*,?([^,\r\n]*)", re.MULTILINE)


@contextmanager
def open_brainvision(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Opens a BrainVision header as a context. Raises DataError where mne is not installed or cannot read its files."""
    raw, stretches = _raw(path), _stretches(path)
    listed = re.search(r"^\[Channel Infos\](.*?)(?=^\[|\Z)", _text(path), re.MULTILINE | re.DOTALL | re.IGNORECASE)
    units = {int(k): unit_of(unit) or "uV" for k, _, unit in _CHANNEL.findall(listed[1] if listed else "")}

    def read(i: int, scale: float, start: int, stop: int) -> np.ndarray:
        try:
            return np.asarray(raw.get_data(picks=[i], start=start, stop=stop)[0] / scale, np.float64)
        except (OSError, ValueError) as error:
            raise damaged(path, f"channel {raw.ch_names[i]}: {error}") from error

    tracks = [
        Track(name, float(raw.info["sfreq"]), int(raw.n_times), unit, partial(read, i, _SI.get(unit, 1.0)))
        for i, (name, unit) in enumerate((name, units.get(i + 1, "uV")) for i, name in enumerate(raw.ch_names))
    ]
    yield lambda _: [with_gaps(track, stretches) for track in tracks] if len(stretches) > 1 else tracks


def brainvision_markers(path: Path) -> list[tuple[float, str]]:
    """Seconds since the start and texts of the markers, such as `Stimulus/S 11`. Raises DataError as above."""
    raw, stretches = _raw(path), _stretches(path)
    rate, found = float(raw.info["sfreq"]), []
    for note in raw.annotations:
        at = float(note["onset"])
        for place, first, _ in stretches:
            shift = (place - first) / rate if at * rate >= first - 0.5 else 0.0
            at = float(note["onset"]) + shift if shift else at
        found.append((at, str(note["description"]).strip()))
    return found


def brainvision_files(path: Path) -> list[Path]:
    """The files of signals and markers that a header names."""
    named = re.findall(r"^(?:DataFile|MarkerFile)=([^/\\\r\n]+?)\s*$", _text(path), re.MULTILINE)
    return [path.parent / name.replace("$b", path.stem) for name in named]


def _text(path: Path) -> str:
    """A header or a list of markers, of which older ones are in Latin-1."""
    content = path.read_bytes()[:_MOST_TEXT]
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _stretches(path: Path) -> list[Stretch]:
    """The parts of a recording that was paused, by the times that its markers state; one where they state none."""
    raw = _raw(path)
    rate, samples = float(raw.info["sfreq"]), int(raw.n_times)
    found, begun = [Stretch(0, 0, samples)], None
    lists = [file for file in brainvision_files(path) if file.suffix.lower() == ".vmrk"]
    for position, date in _SEGMENT.findall(_text(lists[0])) if lists else ():
        try:
            at = datetime.strptime(date[:20], "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
        except ValueError:
            continue  # zeros, where a program did not know it
        first, begun = int(position) - 1, begun or at
        before, place = found[-1], round((at - begun).total_seconds() * rate)
        late = place - before.place - (first - before.first)
        if not before.first < first < samples or late <= _PAUSE_S * rate:
            continue
        if place > 5 * samples + 3600 * rate:
            raise DataError(
                f"it was paused for {late / rate:.0f} s at {first / rate:g} s", where=str(path),
                expected="pauses shorter than the recording", hint="export the parts as files of their own",
            )  # fmt: skip
        found[-1:] = [before._replace(samples=first - before.first), Stretch(place, first, samples - first)]
    return found


def _raw(path: Path) -> Any:
    try:
        import mne
    except ImportError as error:
        raise DataError("BrainVision files need the package mne", where=str(path), hint="pip install mne") from error
    if lacking := [file.name for file in brainvision_files(path) if not file.is_file()]:
        raise DataError(f"{lacking[0]} is missing, which its header names", where=str(path), expected="three files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mne.io.read_raw_brainvision(path, preload=False, verbose="error")
    except Exception as error:  # mne raises whatever a damaged file makes it
        raise unreadable(path, "mne", error) from error
