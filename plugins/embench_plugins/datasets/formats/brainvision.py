"""Recordings of BrainVision (.vhdr with .eeg and .vmrk), by the package mne."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.tracks import Track, damaged, unreadable
from embench_plugins.datasets.formats.units import unit_of

_SI = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9, "S": 1.0, "uS": 1e-6}
"""What mne multiplies a file's numbers with, by their unit; others stay as they are."""
_CHANNEL = re.compile(r"^Ch(\d+)=((?:[^,\\]|\\.)*),[^,]*,[^,]*,?([^,\r\n]*)", re.MULTILINE)


@contextmanager
def open_brainvision(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Opens a BrainVision header as a context. Raises DataError where mne is not installed or cannot read its files."""
    raw = _raw(path)
    header = path.read_bytes().decode("utf-8", "replace")
    units = {int(k): unit_of(unit) or "uV" for k, _, unit in _CHANNEL.findall(header)}

    def read(i: int, scale: float, start: int, stop: int) -> np.ndarray:
        try:
            return np.asarray(raw.get_data(picks=[i], start=start, stop=stop)[0] / scale, np.float64)
        except (OSError, ValueError) as error:
            raise damaged(path, f"channel {raw.ch_names[i]}: {error}") from error

    tracks = [
        Track(name, float(raw.info["sfreq"]), int(raw.n_times), unit, partial(read, i, _SI.get(unit, 1.0)))
        for i, (name, unit) in enumerate((name, units.get(i + 1, "uV")) for i, name in enumerate(raw.ch_names))
    ]
    yield lambda _: tracks


def brainvision_markers(path: Path) -> list[tuple[float, str]]:
    """Seconds since the start and texts of the markers, such as `Stimulus/S 11`. Raises DataError as above."""
    return [(float(note["onset"]), str(note["description"]).strip()) for note in _raw(path).annotations]


def brainvision_files(path: Path) -> list[Path]:
    """The files of signals and markers that a header names."""
    text = path.read_bytes()[: 1 << 20].decode("utf-8", "replace")
    named = re.findall(r"^(?:DataFile|MarkerFile)=([^/\\\r\n]+?)\s*$", text, re.MULTILINE)
    return [path.parent / name.replace("$b", path.stem) for name in named]


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
