"""Streams of Lab Streaming Layer in an XDF file, as LabRecorder writes them: signals, and texts as markers.

All streams are brought to one clock and one start, the first sample of any signal. A stream that begins later, or lost
samples, is NaN there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.tracks import MOST_BYTES, Track, damaged, part, unit_of, unreadable


@contextmanager
def open_lsl(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Opens an XDF file as a context. Channels are called by their labels, after `stream/` where two are called alike.

    Raises:
        DataError: pyxdf is not installed, or the file is damaged or holds no signal.
    """
    streams, origin = _signals(path)
    labels = [name for _, _, names, _ in streams for name in names]
    tracks = []
    for stream, rate, names, units in streams:
        rows = np.round((stream["time_stamps"] - origin) * rate).astype(np.int64)
        data = np.full((len(names), int(rows[-1]) + 1 if len(rows) else 0), np.nan)
        data[:, rows] = np.asarray(stream["time_series"], np.float64).T
        for name, unit, values in zip(names, units, data, strict=True):
            full = f"{_said(stream['info'], 'name')}/{name}" if labels.count(name) > 1 else name
            tracks.append(Track(full, rate, len(values), unit, partial(part, values)))
    yield lambda _: tracks


def lsl_markers(path: Path) -> list[tuple[float, str]]:
    """Seconds since the first sample of any signal, and texts, of all streams of texts. Raises DataError as above."""
    origin = _signals(path)[1]
    found = [
        (float(at - origin), str(text).strip())
        for stream in _streams(path)
        if _said(stream["info"], "channel_format") == "string"
        for at, texts in zip(stream["time_stamps"], stream["time_series"], strict=True)
        for text in texts
    ]
    return sorted(found)


def _signals(path: Path) -> tuple[list[tuple[Any, float, list[str], list[str | None]]], float]:
    """Each stream of numbers with its rate in Hz, labels and units, and the time of the first sample of all."""
    found = []
    for stream in _streams(path):
        rate, times = float(_said(stream["info"], "nominal_srate") or 0), stream["time_stamps"]
        if _said(stream["info"], "channel_format") == "string" or not 0 < rate <= 1e6 or not len(times):
            continue
        if not np.isfinite(times).all() or (times[-1] - times[0]) * rate > MOST_BYTES / 8 or np.any(np.diff(times) < 0):
            raise damaged(path, f"times of stream {_said(stream['info'], 'name')} do not rise evenly")
        about = (stream["info"].get("desc") or [None])[0] or {}
        listed = [each for group in about.get("channels") or [] if group for each in group.get("channel") or []]
        count = int(_said(stream["info"], "channel_count") or 0)
        names = [_said(each, "label") for each in listed] if len(listed) == count else [""] * count
        stated = [_said(each, "unit") for each in listed] if len(listed) == count else [""] * count
        names = [name or f"{_said(stream['info'], 'name')}_{k + 1}" for k, name in enumerate(names)]
        found.append((stream, rate, names, [unit_of(unit) for unit in stated]))
    if not found:
        raise DataError("no stream of numbers with a rate is in it", where=str(path), expected="signals")
    return found, min(float(stream["time_stamps"][0]) for stream, *_ in found)


def _said(info: Any, key: str) -> str:
    """An entry of a stream's description, which the package gives as lists of one text."""
    value = (info or {}).get(key) or [""]
    return str(value[0] if isinstance(value, list) else value or "").strip()


@lru_cache(maxsize=1)
def _streams(path: Path) -> list[Any]:
    try:
        import pyxdf
    except ImportError as error:
        raise DataError("XDF files need the package pyxdf", where=str(path), hint="pip install pyxdf") from error
    logging.getLogger("pyxdf.pyxdf").setLevel(logging.CRITICAL)
    try:
        streams: list[Any] = pyxdf.load_xdf(str(path))[0]
    except Exception as error:  # the package raises whatever a damaged file makes it
        raise unreadable(path, "pyxdf", error) from error
    return streams
