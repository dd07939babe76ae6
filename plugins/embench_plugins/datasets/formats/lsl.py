"""Streams of Lab Streaming Layer in an XDF file, as LabRecorder writes them: signals, and texts and codes as markers.

All streams are brought to one clock and one start, the first sample of any signal. A stream that begins later, or lost
samples, is NaN there. Rates are those of the time stamps, since a device's nominal rate is often some percent off.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.tracks import MOST_BYTES, Track, damaged, part, unreadable
from embench_plugins.datasets.formats.units import unit_of

NOMINAL = 0.005
"""The nominal rate is kept where the stamps' is as close to it; samples still lie where their stamps say."""
_WHOLE = 0.0005
_GAP_S = 0.05
"""Stamps that come later by so much and stay so mean lost samples; less is the jitter of their way."""
_AROUND_S = 2.0
_SLOPE_S = 5.0


class Stream(NamedTuple):
    """A stream of numbers with a rate: its places on the grid of `rate` that begins at the file's first sample, and the
    row of `values` at each."""

    name: str
    labels: tuple[str, ...]
    units: tuple[str | None, ...]
    rate: float
    places: np.ndarray
    rows: np.ndarray
    values: Any


@contextmanager
def open_lsl(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Opens an XDF file as a context. Channels are called by their labels, after `stream/` where two are called alike.

    Raises:
        DataError: pyxdf is not installed, or the file is damaged or holds no signal.
    """
    streams = _signals(path)
    labels = Counter(label for stream in streams for label in stream.labels)
    tracks = []
    for stream in streams:
        data = np.full((len(stream.labels), int(stream.places[-1]) + 1), np.nan)
        data[:, stream.places] = np.asarray(stream.values, np.float64).reshape(-1, len(stream.labels))[stream.rows].T
        for label, unit, values in zip(stream.labels, stream.units, data, strict=True):
            full = f"{stream.name}/{label}" if labels[label] > 1 else label
            tracks.append(Track(full, stream.rate, len(values), unit, partial(part, values)))
    yield lambda _: tracks


def lsl_markers(path: Path) -> dict[str, list[tuple[float, str]]]:
    """Markers of each stream of texts, or of numbers without a rate (`11`, not `11.0`), by its name: seconds since the
    first sample of any signal, and texts. Raises DataError as above."""
    origin = _origin(path)
    found: dict[str, list[tuple[float, str]]] = {}
    for name, stream in _named(path):
        if _is_text(stream) or not _rate(path, stream):
            found[name] = [
                (float(at - origin), text)
                for at, values in zip(stream["time_stamps"], stream["time_series"], strict=True)
                for value in values
                if (text := str(value).strip() if _is_text(stream) else _code(value))
            ]
    return {name: sorted(marks) for name, marks in found.items() if marks}


def _code(value: Any) -> str:
    """A number of a marker as people write it; empty where it is none."""
    number = float(value)
    return "" if not np.isfinite(number) else str(int(number)) if number.is_integer() else f"{number:.7g}"


def _is_text(stream: Any) -> bool:
    return _said(stream["info"], "channel_format") == "string"


def _rate(path: Path, stream: Any) -> float:
    """The nominal rate in Hz, 0 of markers."""
    text = _said(stream["info"], "nominal_srate") or "0"
    try:
        rate = float(text)
    except ValueError:
        rate = np.nan
    if not 0 <= rate <= 1e6:
        raise damaged(path, f"stream {_said(stream['info'], 'name')} has a nominal rate of `{text[:20]}`")
    return rate


def _named(path: Path) -> list[tuple[str, Any]]:
    """The streams with samples, and their names, which get a number where two are called alike."""
    streams = [stream for stream in _streams(path) if len(stream["time_stamps"])]
    names = [_said(stream["info"], "name") for stream in streams]
    numbers = Counter[str]()
    numbers.update(name for name in set(names) if names.count(name) < 2)
    found = []
    for name, stream in zip(names, streams, strict=True):
        if names.count(name) > 1:
            numbers[name] += 1
            name = f"{name}#{numbers[name]}"
        if not np.isfinite(stream["time_stamps"]).all():
            raise damaged(path, f"a time of stream {name} is not a number")
        found.append((name, stream))
    return found


def _origin(path: Path) -> float:
    starts = [s["time_stamps"][0] for _, s in _named(path) if not _is_text(s) and _rate(path, s)]
    if not starts:
        raise DataError("no stream of numbers with a rate is in it", where=str(path), expected="signals")
    return float(min(starts))


def _signals(path: Path) -> list[Stream]:
    """The streams of numbers with a rate."""
    origin, found = _origin(path), []
    for name, stream in _named(path):
        if _is_text(stream) or not (nominal := _rate(path, stream)):
            continue
        try:
            rate, places, rows = on_even_grid(np.asarray(stream["time_stamps"], np.float64), nominal, origin)
        except ValueError as error:
            raise damaged(path, f"stream {name}: {error}") from None
        about = (stream["info"].get("desc") or [None])[0] or {}
        listed = [each for group in about.get("channels") or [] if group for each in group.get("channel") or []]
        count = np.asarray(stream["time_series"]).shape[1]
        whole = len(listed) == count
        labels = [_said(each, "label") for each in listed] if whole else [""] * count
        units = [unit_of(_said(each, "unit")) for each in listed] if whole else [None] * count
        labels = [label or f"{name}_{k + 1}" for k, label in enumerate(labels)]
        found.append(Stream(name, tuple(labels), tuple(units), rate, places, rows, stream["time_series"]))
    return found


def on_even_grid(at: np.ndarray, nominal: float, origin: float) -> tuple[float, np.ndarray, np.ndarray]:
    """A rate for time stamps in s (n,), and which sample belongs to which place of its grid, from `origin` on.

    Between gaps, samples are even and only their stamps are not: a line through a stretch's stamps says where it lies.

    Raises:
        ValueError: the stamps fall back, or cover more time than fits into memory.
    """
    cuts, slope = _stretches(at, nominal)
    found = 1 / slope
    whole = round(found)
    rate = nominal if abs(found - nominal) <= NOMINAL * nominal else found
    rate = float(whole) if rate == found and whole and abs(found - whole) <= _WHOLE * whole else rate
    if (at.max() - origin) * rate > MOST_BYTES / 8:
        raise ValueError(f"its times go over {at.max() - origin:.6g} s")
    places, rows, free = [], [], 0
    for first, last in pairwise(cuts):
        begin = float(np.median(at[first:last] - slope * np.arange(last - first))) - origin
        place = max(round(begin * rate), free)
        if first and place - begin * rate > max(1.5, _GAP_S * rate):
            raise ValueError(
                f"its times fall back by {place / rate - begin:.3g} s at {begin:.6g} s: the clock was reset"
            )
        count = max(round((last - first) * rate * slope), 1)
        places.append(place + np.arange(count))
        rows.append(
            first + np.minimum(np.floor(np.arange(count) * found / rate + 0.5).astype(np.int64), last - first - 1)
        )
        free = place + count
    return rate, np.concatenate(places), np.concatenate(rows)


def _stretches(at: np.ndarray, nominal: float) -> tuple[list[int], float]:
    """The samples before which others were lost, with the first and the end; and the step in s between samples."""
    n = len(at)
    far = max(1, min(n - 1, round(_SLOPE_S * nominal)))
    step = float(np.median(at[far:] - at[:-far])) / far if n > 1 else 1 / nominal
    if not 0.1 / nominal < step < 10 / nominal:
        raise ValueError(f"its samples come every {step:.3g} s, at a nominal rate of {nominal:g} Hz")
    late = at - step * np.arange(n)
    least, around = max(_GAP_S, 0.75 * step), max(round(_AROUND_S / step), 8)
    cuts = [0]
    for k in (np.flatnonzero(np.abs(np.diff(at) - step) > max(_GAP_S, 0.5 * step)) + 1).tolist():
        jump = np.median(late[k : k + around]) - np.median(late[max(cuts[-1], k - around) : k])
        if abs(jump) > least:
            cuts.append(k)
    cuts.append(n)
    return cuts, _slope(at, cuts, step)


def _slope(at: np.ndarray, cuts: Sequence[int], step: float) -> float:
    """The step in s between samples that all stretches agree on best, whatever came in a burst."""
    k = np.concatenate([np.arange(last - first) - (last - first - 1) / 2 for first, last in pairwise(cuts)])
    for _ in range(3):
        off = at - step * k
        off = np.concatenate([off[first:last] - np.median(off[first:last]) for first, last in pairwise(cuts)])
        near = np.abs(off) <= max(4 * float(np.median(np.abs(off))), 1e-6)
        square = float(k[near] @ k[near])
        step += float(k[near] @ off[near]) / square if square else 0.0
    return step


def _said(info: Any, key: str) -> str:
    """An entry of a stream's description, which the package gives as lists of one text."""
    value = (info or {}).get(key) or [""]
    return str(value[0] if isinstance(value, list) else value or "").strip()


def _check_whole(path: Path) -> None:
    """Raises DataError where a file ends within a chunk: pyxdf would read what stands before it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = len(file.read(4))
        while at < size:
            file.seek(at)
            width = file.read(1)[0]
            length = int.from_bytes(file.read(width), "little")
            if width not in (1, 4, 8) or at + 1 + width + length > size:
                raise damaged(path, f"it is damaged or ends within a chunk, after {at} of {size} bytes")
            at += 1 + width + length


@lru_cache(maxsize=1)
def _streams(path: Path) -> list[Any]:
    try:
        import pyxdf
    except ImportError as error:
        raise DataError("XDF files need the package pyxdf", where=str(path), hint="pip install pyxdf") from error
    logging.getLogger("pyxdf.pyxdf").setLevel(logging.CRITICAL)
    try:
        # The package would draw one line through stamps with a gap of up to 500 samples.
        streams: list[Any] = pyxdf.load_xdf(str(path), dejitter_timestamps=False)[0]
    except Exception as error:  # the package raises whatever a damaged file makes it
        raise unreadable(path, "pyxdf", error) from error
    _check_whole(path)
    return streams
