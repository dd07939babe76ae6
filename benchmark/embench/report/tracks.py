"""Curves of recordings, small enough for a page: of each channel the least and the greatest value in each column, as
the path of an SVG that stretches to any width; with the stretches of faults, beats, and labels over time."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from embench.data.quality import FAULTS, signal_faults, stretches_of
from embench.interfaces.recording import Label, Recording, Signal
from embench.report.drawing.panels import ticks
from embench.signals.beats import ecg_peaks, intervals, ppg_peaks
from embench.signals.plausible import format_size
from embench.store import Store

_ROW, _STACKED_ROW = 100, 24
"""Heights of a channel's row in the units of its SVG, of which curves are in whole ones."""
_OVERLAID = 3
"""Channels that share a row; more have a row each."""
_CLOSE_S = 10.0
_CLOSE_RATE_HZ = 16.0
_NOT_CLOSE = frozenset({"acc", "face_au"})
_SAMPLED = 20_000
"""Values from which a scale is made."""
_NARROWEST = 250
"""The share of a picture's width of the narrowest fault that is drawn is one of this many."""
_STRETCHES_SHOWN = 400
_BEATS_SHOWN = 250
"""More beats than these are no ticks, but the curve of a heart rate."""
_BEAT_HOLDS_S = 3.0
_HELD = 600
"""Points of the picture of a label or a heart rate."""
_NO_VALUE = -1e30


@dataclass(frozen=True)
class Track:
    """The picture of a modality: `curves` and `beats` are paths on `width` by `height` of `rows`, `faults` pairs of a
    name and a path. `share`: of the recording's length, in percent. `found`: (fault, its share of the samples)."""

    name: str
    about: str
    channels: tuple[str, ...]
    width: int
    height: int
    rows: int
    share: float
    curves: tuple[str, ...]
    faults: tuple[tuple[str, str], ...] = ()
    beats: str = ""
    found: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class LabelTrack:
    """A label over time. `stretches`: (left and width in percent, number of the class, its name) of classes, else the
    `track` of values."""

    name: str
    stretches: tuple[tuple[float, float, int, str], ...] = ()
    track: Track | None = None


def close_up(modality: str, rate: float) -> bool:
    """True if ten seconds of a signal show what its whole does not."""
    return not rate < _CLOSE_RATE_HZ and modality not in _NOT_CLOSE


def draw_signal(
    modality: str,
    signal: Signal,
    duration_s: float,
    columns: tuple[int, int],
    beats: np.ndarray,
    channels: int = 1000,
) -> tuple[list[Track], list[Track], np.ndarray]:
    """A signal as a whole, with the heart rate where there are many beats; ten seconds from its middle, none of short
    and slow signals; and how many samples are sound, and have each of the `FAULTS`.

    Args:
        duration_s: of the recording, which is as wide as the page.
        columns: of the whole and of the ten seconds, each of two values; 0: ten seconds are not drawn.
        beats: (n,) times in s.
        channels: of more than these, so many are drawn, chosen evenly.
    """
    x = np.moveaxis(np.asarray(signal.data, np.float32), signal.time_axis, -1)
    x = np.where(np.isfinite(x), x, np.nan)
    codes = signal_faults(modality, signal)
    counts = np.bincount(codes.ravel(), minlength=len(FAULTS) + 1)
    found = tuple((name, counts[k] / max(1, codes.size)) for k, name in enumerate(FAULTS, 1) if counts[k])
    about = f"{signal.rate:g} Hz"
    if len(x) > channels:
        about += f", {channels} of {len(x)} channels"
        drawn = np.linspace(0, len(x) - 1, channels).round().astype(int)
        x, codes = x[drawn], codes[drawn]
        signal = replace(signal, channels=tuple(signal.channels[k] for k in drawn))
    at = beats * signal.rate
    share = min(100.0, 100 * signal.duration_s / duration_s)
    many = len(beats) > _BEATS_SHOWN
    whole = _draw(modality, signal, about, x, codes, columns[0], at[: 0 if many else None])
    tracks = [replace(whole, share=share, found=found)]
    if many:
        times, gaps = intervals(beats, 1.0)
        text = f"{len(beats)} beats found, median {60 / np.median(gaps):.0f}" if len(gaps) else "no steady beat"
        tracks.append(
            _held(f"heart rate of {modality}", text, times, 60 / gaps, times + _BEAT_HOLDS_S, duration_s, "bpm")
        )
    middle, length = int(x.shape[1] / 2), round(_CLOSE_S * signal.rate)
    if not columns[1] or not close_up(modality, signal.rate) or x.shape[1] < 1.5 * length:
        return tracks, [], counts
    part = slice(middle - length // 2, middle - length // 2 + length)
    inside = at[(at >= part.start) & (at < part.stop)] - part.start
    about = f"{_CLOSE_S:g} s from {clock(part.start / signal.rate)}"
    return tracks, [_draw(modality, signal, about, x[:, part], codes[:, part], columns[1], inside)], counts


def _draw(
    name: str, signal: Signal, about: str, x: np.ndarray, codes: np.ndarray, columns: int, beats: np.ndarray
) -> Track:
    """The picture of channels `x` (C, T), with their faults (C, T) and beats at positions (n,)."""
    samples, stacked = x.shape[1], len(x) > _OVERLAID
    if stacked and np.isfinite(x).any():
        with warnings.catch_warnings(action="ignore"):  # a channel may be lost as a whole
            x = x - np.nan_to_num(_percentile(x, 50, axis=1))[:, None]
    low, high = _scale(x)
    row = _STACKED_ROW if stacked else _ROW
    places, values = _envelope(x, columns)
    heights = np.clip(np.round(row * (high - values) / (high - low)), 0, row)
    tops = row * np.arange(len(x)) if stacked else np.zeros(len(x))
    width = int(places[-1]) + 1 if len(places) else 1
    curves = tuple(_path(places, top + line) for top, line in zip(tops, heights, strict=True))
    faults = []
    if codes.any():
        starts = np.unique(np.arange(width) * samples // width)
        for k, group in enumerate(codes[:, None] if stacked else [codes]):
            for number, fault in enumerate(FAULTS, 1):
                inside = np.logical_or.reduceat((group == number).any(axis=0), starts)
                faults.append((fault, _areas(inside, k * row, row, width / len(starts))))
    at = np.unique((beats / max(1, samples) * width).astype(int)).tolist()
    spread = f"±{_short((high - low) / 2)}" if stacked else f"{_short(low)} to {_short(high)}"
    rows = len(x) if stacked else 1
    return Track(
        name, f"{about}, {spread} {signal.unit}".strip(), signal.channels, width, row * rows, rows, 100.0, curves,
        tuple((fault, path) for fault, path in faults if path), "".join(f"M{c}.5 0v8" for c in at),
    )  # fmt: skip


def _envelope(x: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (n,) and values (C, n): all samples of `x` (C, T) where these are few, else two of each column, the least
    and the greatest, in the order in which they come."""
    samples = x.shape[1]
    if samples <= 2 * columns:
        return np.arange(samples), x
    starts = np.arange(columns) * samples // columns
    low, high = (reduce.reduceat(x, starts, axis=1) for reduce in (np.fmin, np.fmax))
    rising = x[:, starts] - low <= high - x[:, starts]  # which of the two is near to the column's begin
    return np.arange(2 * columns), np.stack([np.where(rising, low, high), np.where(rising, high, low)], 2).reshape(
        len(x), -1
    )


def _percentile(x: np.ndarray, q: float | list[float], axis: int | None = None) -> np.ndarray:
    """Percentiles of some of the samples that are there; NaN where none is."""
    some = x[:, :: max(1, x.shape[1] // _SAMPLED)]
    return np.asarray(np.nanpercentile(some, q, axis=axis)) if np.isfinite(some).any() else np.full(np.shape(q), np.nan)


def _scale(x: np.ndarray) -> tuple[float, float]:
    """The least and greatest value of a picture: what few samples exceed is cut off at its edge."""
    low, high = np.nan_to_num(_percentile(x, [0.3, 99.7])).tolist()
    pad = 0.12 * (high - low) or 0.5 * abs(high) or 1.0
    return low - pad, high + pad


def _path(places: np.ndarray, heights: np.ndarray) -> str:
    """A line through the heights (n,), broken where they are NaN."""
    parts: list[str] = []
    for a, b in zip(*stretches_of(np.isfinite(heights)), strict=True):
        line, at = heights[a:b].astype(int), places[a:b]
        level = np.diff(line) == 0
        kept = np.concatenate([[True], ~(level[:-1] & level[1:]), [True]])[: b - a]  # a level stretch is one step
        line, at = line[kept], at[kept]
        steps = zip(np.diff(at).tolist(), np.diff(line).tolist(), strict=True)
        rest = "".join(f" {dx}{dy}" if dy < 0 else f" {dx} {dy}" for dx, dy in steps)
        parts.append(f"M{at[0]} {line[0]}" + (f"l{rest[1:]}" if rest else "h1"))
    return "".join(parts)


def _areas(inside: np.ndarray, top: int, height: int, scale: float) -> str:
    """Rectangles over stretches of columns, widened until they can be seen."""
    least = math.ceil(len(inside) / _NARROWEST)
    starts, stops = stretches_of(inside)
    ends = np.minimum(np.maximum(stops, starts + least), len(inside) + least)
    pairs = zip(np.round(scale * starts).astype(int).tolist(), np.round(scale * ends).astype(int).tolist(), strict=True)
    return "".join(f"M{a} {top}h{b - a}v{height}h{a - b}z" for a, b in pairs)


def beats_of(store: Store, recording: str, modality: str) -> np.ndarray:
    """The times (n,) in s of heart beats in the prepared ECG or pulse wave of a recording; of the first channel."""
    find = {"ecg": ecg_peaks, "ppg": ppg_peaks}.get(modality)
    known = {entry.id: entry for entry in store.recordings}.get(recording) if find else None
    span = known.spans.get(modality) if known else None
    if find is None or span is None:
        return np.zeros(0)
    with contextlib.suppress(ImportError):  # the light installation has no neurokit2
        signal = store.signal(recording, modality)
        return np.asarray(span.t0 + find(signal.data[0], signal.rate) / signal.rate)
    return np.zeros(0)


def label_tracks(recording: Recording, first: Sequence[str]) -> tuple[list[str], list[LabelTrack]]:
    """The labels of a whole recording, as text, and those that change in it; the labels named `first` come first."""
    whole, tracks = [], []
    for name in sorted(recording.labels, key=lambda name: (name not in first, name)):
        label = recording.labels[name]
        values = np.asarray(label.values, np.float64)
        if label.times is None:
            known = values[np.isfinite(values)]
            whole.append(f"{name}: {', '.join(_named(label, v) for v in known) if known.size else 'none'}")
        elif values.size:
            tracks.append(_over_time(name, label, values, recording.duration_s))
    return whole, tracks


def _named(label: Label, value: float) -> str:
    known = label.classes is not None and 0 <= value < len(label.classes)
    return label.classes[int(value)] if known and label.classes else f"{value:.4g}"


def _over_time(name: str, label: Label, values: np.ndarray, duration_s: float) -> LabelTrack:
    times = np.asarray(label.times, np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else duration_s
    ends = np.append(times[1:], times[-1] + step)
    edges = [0, *(np.flatnonzero(np.diff(np.nan_to_num(values, nan=_NO_VALUE))) + 1).tolist(), len(values)]
    if label.classes is not None and len(edges) <= _STRETCHES_SHOWN:
        scale = 100 / duration_s
        made = [
            (max(0.0, scale * times[a]), scale * (min(ends[b - 1], duration_s) - max(0.0, times[a])), int(values[a]),
             _named(label, values[a]))
            for a, b in pairwise(edges) if b > a and np.isfinite(values[a])
        ]  # fmt: skip
        return LabelTrack(name, tuple(row for row in made if row[1] > 0))
    return LabelTrack(name, track=_held(name, f"{len(values)} values", times, values, ends, duration_s))


def _held(
    name: str, about: str, times: np.ndarray, values: np.ndarray, ends: np.ndarray, duration_s: float, unit: str = ""
) -> Track:
    """The picture of values (n,), each of which holds from its time to the next one, at most to its end."""
    grid = np.linspace(0, duration_s, _HELD, endpoint=False)
    at = np.searchsorted(times, grid, side="right") - 1
    there = (at >= 0) & (ends[at] > grid) if len(times) else np.zeros(_HELD, bool)
    x = np.full((1, _HELD), np.nan, np.float32)
    x[0, there] = values[at[there]]
    signal = Signal(x, _HELD / duration_s, (name,), unit)
    drawn = _draw(name, signal, about, x, np.zeros((1, _HELD), np.uint8), _HELD, np.zeros(0))
    known = x[np.isfinite(x)]
    spread = f"{_short(known.min())} to {_short(known.max())} {unit}".strip() if known.size else "none"
    return replace(drawn, about=f"{about}, {spread}")


def time_ticks(duration_s: float) -> list[tuple[float, str]]:
    """Places of the times below a recording, in percent of its length, and their texts."""
    unit = 3600 if duration_s > 4 * 3600 else 60 if duration_s > 150 else 1
    places = [unit * place for place in ticks(0, duration_s / unit, 6)]
    return [(100 * place / duration_s, clock(place)) for place in places if place < 0.97 * duration_s]


def clock(seconds: float) -> str:
    """A time since the start: minutes and seconds, with hours where there are any.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _short(value: float) -> str:
    return format_size(value).replace("-", "\N{MINUS SIGN}")
