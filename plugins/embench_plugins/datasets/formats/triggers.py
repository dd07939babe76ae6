"""Channels of triggers: numbers that change when something happens, such as `Status` of BioSemi's BDF files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.tracks import Track

_STATUS = "status"
_GLITCH_HZ = 256.0
"""From this rate on, a code of one sample beside another is that of lines that do not switch at once."""
_MOST = 0.2
"""The proportion of samples at which a channel may change, if its numbers are codes."""


def is_status(path: Path, name: str) -> bool:
    """True of the channel of triggers and of the device's state in a BioSemi file."""
    return path.suffix.lower() == ".bdf" and name.strip().lower() == _STATUS


def trigger_marks(path: Path, track: Track) -> list[tuple[float, str]]:
    """Seconds from the first sample and codes of a channel's changes, but those to 0. Lost samples change nothing.

    Of a BioSemi status, the lower 16 bits are codes; those of the upper 8 that are always on belong to no device.

    Raises:
        DataError: its numbers are not whole, or change all the time: they are a signal.
    """
    values = track.read(0, track.samples)
    known = np.isfinite(values)
    if not (values[known] == 0).any():
        values, known = np.where(known, values, 0.0), np.ones(len(values), bool)  # codes alone are written down
    codes = np.round(values[known]).astype(np.int64)
    if not np.allclose(values[known], codes, atol=0.01 + 1e-4 * np.abs(codes).max(initial=0)):
        raise _no_triggers(path, track, "numbers that are not whole")
    if is_status(path, track.name):
        codes &= 0xFFFF
        codes &= ~(int(np.bitwise_and.reduce(codes, initial=0xFFFF)) & 0xFF00)
    at = np.flatnonzero(known)
    new = np.flatnonzero(np.diff(codes, prepend=0))
    if len(new) > max(_MOST * len(codes), 20):
        raise _no_triggers(path, track, f"{len(new)} changes in {len(codes)} samples")
    if track.rate >= _GLITCH_HZ:
        beside = (codes[np.minimum(new + 1, len(codes) - 1)] != 0) | (codes[np.maximum(new - 1, 0)] != 0)
        new = new[(np.diff(new, append=len(codes)) > 1) | ~beside | (new == 0)]
    return [(float(at[k]) / track.rate, str(codes[k])) for k in new.tolist() if codes[k]]


def _no_triggers(path: Path, track: Track, what: str) -> DataError:
    return DataError(
        f"channel {track.name} is not one of triggers: {what}",
        where=str(path),
        expected="whole numbers that change when something happens, and 0 between",
        hint="name the channel of the triggers, such as `channel: Status`",
    )
