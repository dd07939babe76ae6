"""Curves of recordings small enough for a page: of each channel the least and the greatest value in each column of a
picture, as the path of an SVG that stretches to any width; with the stretches of faults, beats, and labels over time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embench.data.faults import FAULTS, signal_faults, stretches_of
from embench.interfaces.recording import Label, Recording, Signal
from embench.report.drawing.panels import ticks
from embench.signals.beats import ecg_peaks, ppg_peaks
from embench.store import Store

ROW = 100
"""Height of a channel's row in the units of its SVG; curves are in whole ones."""
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


@dataclass(frozen=True)
class Track:
    """The picture of a modality: `curves` and `beats` are paths on `columns` by `rows * ROW`, `faults` pairs of a name
    and a path. `share`: of the recording's length, in percent. `found`: fault -> its share of the samples."""

    name: str
    about: str
    channels: tuple[str, ...]
    columns: int
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


def draw_signal(
    modality: str, signal: Signal, duration_s: float, columns: int, beats: np.ndarray
) -> tuple[Track, Track | None, np.ndarray]:
    """A signal as a whole; ten seconds from its middle, None of short and slow ones; and how many samples are sound,
    and have each of the `FAULTS`.

    Args:
        duration_s: of the recording, which is as wide as the page.
        beats: (n,) times in s.
    """
    x = np.moveaxis(np.asarray(signal.data, np.float32), signal.time_axis, -1)
    x = np.where(np.isfinite(x), x, np.nan)
    codes = signal_faults(modality, signal)
    counts = np.bincount(codes.ravel(), minlength=len(FAULTS) + 1)
    found = tuple((name, counts[k] / max(1, codes.size)) for k, name in enumerate(FAULTS, 1) if counts[k])
    about, whole = f"{signal.rate:g} Hz", (x, codes, columns, beats * signal.rate)
    share = min(100.0, 100 * signal.duration_s / duration_s)
    drawn = _draw(modality, signal, about, share, *whole, found)
    middle, length = int(x.shape[1] / 2), round(_CLOSE_S * signal.rate)
    if signal.rate < _CLOSE_RATE_HZ or modality in _NOT_CLOSE or x.shape[1] < 1.5 * length:
        return drawn, None, counts
    part = slice(middle - length // 2, middle - length // 2 + length)
    inside = beats * signal.rate - part.start
    cut = x[:, part], codes[:, part], columns, inside[(inside >= 0) & (inside < length)]
    about = f"{_CLOSE_S:g} s from {clock(part.start / signal.rate)}"
    return drawn, _draw(modality, signal, about, 100.0, *cut, ()), counts


def _draw(
    name: str,
    signal: Signal,
    about: str,
    share: float,
    x: np.ndarray,
    codes: np.ndarray,
    columns: int,
    beats: np.ndarray,
    found: tuple[tuple[str, float], ...],
) -> Track:
    columns = max(1, min(columns, x.shape[1]))
    starts = np.arange(columns) * x.shape[1] // columns if x.size else np.zeros(0, np.int64)
    stacked = len(x) > _OVERLAID
    if stacked:
        with np.errstate(all="ignore"):
            middle = np.nan_to_num(_percentile(x, 50, axis=1))
        x = x - middle[:, None]
    low, high = _scale(x)
    rows, curves, faults = len(x) if stacked else 1, [], []
    for k, row in enumerate(x if x.size else ()):
        ends = [reduce.reduceat(row, starts) for reduce in (np.fmin, np.fmax)]
        below, above = (ROW * (k if stacked else 0) + _heights(end, low, high) for end in ends)
        curves.append(_path(above, below))
    if codes.any():
        for k, group in enumerate(codes[:, None] if stacked else [codes]):
            for number, fault in enumerate(FAULTS, 1):
                inside = np.logical_or.reduceat((group == number).any(axis=0), starts)
                faults.append((fault, _areas(inside, k * ROW)))
    at = np.unique((beats / max(1, x.shape[1]) * columns).astype(int))
    spread = f"±{_short((high - low) / 2)}" if stacked else f"{_short(low)} to {_short(high)}"
    return Track(
        name, f"{about}, {spread} {signal.unit}", signal.channels, columns, rows, share, tuple(curves),
        tuple((fault, path) for fault, path in faults if path), "".join(f"M{c}.5 0v7" for c in at.tolist()), found,
    )  # fmt: skip


def _percentile(x: np.ndarray, q: float | list[float], axis: int | None = None) -> np.ndarray:
    """Percentiles of some of the samples that are there; NaN where none is."""
    some = x[:, :: max(1, x.shape[1] // _SAMPLED)]
    return np.asarray(np.nanpercentile(some, q, axis=axis)) if np.isfinite(some).any() else np.full(np.shape(q), np.nan)


def _scale(x: np.ndarray) -> tuple[float, float]:
    """The least and greatest value of a picture: what few samples exceed is cut off at its edge."""
    low, high = np.nan_to_num(_percentile(x, [0.3, 99.7])).tolist()
    pad = 0.12 * (high - low) or 0.5 * abs(high) or 1.0
    return low - pad, high + pad


def _heights(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as heights from the top, NaN where there is none."""
    return np.clip(np.round(ROW * (high - values) / (high - low)), 0, ROW)


def _path(above: np.ndarray, below: np.ndarray) -> str:
    """A line through each column's greatest and least value, broken where there are none."""
    parts: list[str] = []
    here: float | None = None
    for column, (top, foot) in enumerate(zip(above.tolist(), below.tolist(), strict=True)):
        if math.isnan(top):
            here = None
            continue
        parts.append(f"M{column} {top:.0f}h0" if here is None else f"l1 {top - here:.0f}" if top != here else "h1")
        if foot != top:
            parts.append(f"v{foot - top:.0f}")
        here = foot
    return "".join(parts)


def _areas(inside: np.ndarray, top: int) -> str:
    """Rectangles over stretches of columns, widened until they can be seen."""
    least = math.ceil(len(inside) / _NARROWEST)
    starts, stops = stretches_of(inside)
    pairs = zip(starts.tolist(), np.maximum(stops, starts + least).tolist(), strict=True)
    return "".join(f"M{a} {top}h{b - a}v{ROW}h{a - b}z" for a, b in pairs)


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


def label_tracks(recording: Recording, first: Sequence[str], columns: int) -> tuple[list[str], list[LabelTrack]]:
    """What holds for the whole recording, as text, and what changes in it; the labels named `first` come first."""
    whole, tracks = [], []
    for name in sorted(recording.labels, key=lambda name: (name not in first, name)):
        label = recording.labels[name]
        values = np.asarray(label.values, np.float64)
        if label.times is None:
            known = values[np.isfinite(values)]
            whole.append(f"{name}: {', '.join(_named(label, v) for v in known) if known.size else 'none'}")
        elif values.size:
            tracks.append(_over_time(name, label, values, recording.duration_s, columns))
    return whole, tracks


def _named(label: Label, value: float) -> str:
    known = label.classes is not None and 0 <= value < len(label.classes)
    return label.classes[int(value)] if known and label.classes else f"{value:.4g}"


def _over_time(name: str, label: Label, values: np.ndarray, duration_s: float, columns: int) -> LabelTrack:
    times = np.asarray(label.times, np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else duration_s
    ends = np.append(times[1:], times[-1] + step)
    edges = [0, *(np.flatnonzero(np.diff(np.nan_to_num(values, nan=np.inf))) + 1).tolist(), len(values)]
    if label.classes is not None and len(edges) <= _STRETCHES_SHOWN:
        scale = 100 / duration_s
        made = [
            (max(0.0, scale * times[a]), scale * (min(ends[b - 1], duration_s) - max(0.0, times[a])), int(values[a]),
             _named(label, values[a]))
            for a, b in zip(edges, edges[1:], strict=False) if b > a and np.isfinite(values[a])
        ]  # fmt: skip
        return LabelTrack(name, tuple(row for row in made if row[1] > 0))
    at = np.searchsorted(times, np.linspace(0, duration_s, columns, endpoint=False), side="right") - 1
    held = np.where((at >= 0) & (ends[at] > np.linspace(0, duration_s, columns, endpoint=False)), values[at], np.nan)
    signal = Signal(held[None].astype(np.float32), columns / duration_s, (name,), "")
    none = np.zeros((1, columns), np.uint8)
    drawn = _draw(name, signal, f"{len(values)} values", 100.0, signal.data, none, columns, np.zeros(0), ())
    return LabelTrack(name, track=drawn)


def time_ticks(duration_s: float) -> list[tuple[float, str]]:
    """Where times are written below a recording, in percent of its length, and how."""
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
    return f"{value:.3g}".replace("-", "−")
