"""One HTML page about a dataset, to read before anything is trained: `embench data report`."""

from __future__ import annotations

import contextlib
import math
import random
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from embench.data.describe import describe_labels
from embench.data.quality import FAULTS, POOR, describe_quality, find_signal_faults, find_stretches
from embench.errors import EmbenchError, MachineError
from embench.files import write_whole
from embench.interfaces.dataset import Card, Dataset
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import Target
from embench.protocols import Protocol, UnitId, connected_groups
from embench.records.scores import ConfoundOnlyModel, Scores
from embench.records.wording import format_control, in_words, name_without_package
from embench.report.drawing import ticks
from embench.report.page import Section, join_parts, paragraph, render_macro, render_page
from embench.runs.external import describe_confound_only
from embench.signals.beats import ecg_peaks, intervals, ppg_peaks
from embench.signals.plausible import PLAUSIBLE_SIZES, UNIT_SPELLINGS, format_size, signal_size, unit_fault
from embench.statistics.answerable import SIMULATED_PROTOCOL, published_spread, smallest_difference, subjects_needed
from embench.statistics.answers import describe_undefined, plain_reason
from embench.statistics.confound_only import CONFOUND_ONLY, FOR_COMPARISON
from embench.store import RecordingEntry, Store
from embench.store.prepare import recordings
from embench.system import ProgressCallback

# Curves of recordings as SVG paths that scale to any width: the minimum and the maximum of each channel in each column,
# with faults, beats, and labels over time.

_ROW, _STACKED_ROW = 100, 24
"""Height of the row of overlaid channels, and of a stacked channel, in SVG units; curves use integers."""
_OVERLAID = 3
"""Maximum number of channels in one row; with more, each channel has its own row."""
_CLOSE_S = 10.0
_CLOSE_RATE_HZ = 16.0
_NOT_CLOSE = frozenset({"acc", "face_au"})
_SAMPLED = 20_000
"""Maximum number of samples from which a scale is computed."""
_NARROWEST = 250
"""A fault is drawn at least as wide as the picture's width divided by this number."""
_STRETCHES_SHOWN = 400
_BEATS_SHOWN = 250
"""Maximum number of beats drawn as ticks; with more, the heart rate is drawn as a curve."""
_BEAT_HOLDS_S = 3.0
_STEP_POINTS = 600
"""Number of points in the picture of a label or a heart rate."""
_NO_VALUE = -1e30


@dataclass(frozen=True)
class Track:
    """The picture of a signal.

    Args:
        width, height, rows: size of the picture in SVG units, and its number of rows of channels.
        share: duration of the signal in percent of the recording.
        curves: an SVG path for each channel; `beats`: a path with a tick for each heart beat.
        faults: (name, path) of each kind of fault.
        found: (name, proportion of samples) of each kind of fault.
    """

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
    """A label over time: (left, width in percent, number, name) of each stretch of a class, or a `track` of values."""

    name: str
    stretches: tuple[tuple[float, float, int, str], ...] = ()
    track: Track | None = None


def close_up(modality: str, rate: float) -> bool:
    """Return True if ten seconds of a signal show details that a picture of the whole signal does not."""
    return not rate < _CLOSE_RATE_HZ and modality not in _NOT_CLOSE


def draw_signal(
    modality: str,
    signal: Signal,
    duration_s: float,
    columns: tuple[int, int],
    beats: np.ndarray,
    channels: int = 1000,
) -> tuple[list[Track], list[Track], np.ndarray]:
    """Draw a signal.

    Args:
        duration_s: duration of the recording, which spans the page's width.
        columns: number of columns in the picture of the whole signal, and in that of ten seconds; 0 omits the latter.
        beats: times of heart beats in s, (n,).
        channels: maximum number of drawn channels, evenly chosen.

    Returns:
        (pictures of the whole signal, and of the heart rate if there are many beats; pictures of ten seconds from the
        middle, empty if the signal is short or slow; numbers of samples without a fault and with each of `FAULTS`).
    """
    x = np.moveaxis(np.asarray(signal.data, np.float32), signal.time_axis, -1)
    x = np.where(np.isfinite(x), x, np.nan)
    codes = find_signal_faults(modality, signal)
    counts = np.bincount(codes.ravel(), minlength=len(FAULTS) + 1)
    found = tuple((name, counts[k] / max(1, codes.size)) for k, name in enumerate(FAULTS, 1) if counts[k])
    about = f"{signal.rate:g} Hz"
    if len(x) > channels:
        about += f", {channels} of {len(x)} channels"
        drawn = np.linspace(0, len(x) - 1, channels).round().astype(int)
        x, codes = x[drawn], codes[drawn]
        signal = replace(signal, channels=tuple(signal.channels[k] for k in drawn))
    beat_samples = beats * signal.rate
    percent = min(100.0, 100 * signal.duration_s / duration_s)
    has_many_beats = len(beats) > _BEATS_SHOWN
    whole = _draw_channels(modality, signal, about, x, codes, columns[0], beat_samples[: 0 if has_many_beats else None])
    tracks = [replace(whole, share=percent, found=found)]
    if has_many_beats:
        times, gaps = intervals(beats, 1.0)
        text = f"{len(beats)} beats found, median {60 / np.median(gaps):.0f}" if len(gaps) else "no steady beat"
        tracks.append(
            _draw_steps(f"heart rate of {modality}", text, times, 60 / gaps, times + _BEAT_HOLDS_S, duration_s, "bpm")
        )
    middle, length = int(x.shape[1] / 2), round(_CLOSE_S * signal.rate)
    if not columns[1] or not close_up(modality, signal.rate) or x.shape[1] < 1.5 * length:
        return tracks, [], counts
    part = slice(middle - length // 2, middle - length // 2 + length)
    inside = beat_samples[(beat_samples >= part.start) & (beat_samples < part.stop)] - part.start
    about = f"{_CLOSE_S:g} s from {clock(part.start / signal.rate)}"
    return tracks, [_draw_channels(modality, signal, about, x[:, part], codes[:, part], columns[1], inside)], counts


def _draw_channels(
    name: str, signal: Signal, about: str, x: np.ndarray, codes: np.ndarray, columns: int, beats: np.ndarray
) -> Track:
    """Draw channels `x` (C, T), with codes of their faults (C, T) and beats at sample positions (n,)."""
    samples, stacked = x.shape[1], len(x) > _OVERLAID
    if stacked and np.isfinite(x).any():
        with warnings.catch_warnings(action="ignore"):  # a channel may have no sample
            x = x - np.nan_to_num(_percentile(x, 50, axis=1))[:, None]
    low, high = _compute_scale(x)
    row = _STACKED_ROW if stacked else _ROW
    places, values = _envelope(x, columns)
    heights = np.clip(np.round(row * (high - values) / (high - low)), 0, row)
    tops = row * np.arange(len(x)) if stacked else np.zeros(len(x))
    width = int(places[-1]) + 1 if len(places) else 1
    curves = tuple(_draw_path(places, top + line) for top, line in zip(tops, heights, strict=True))
    faults = []
    if codes.any():
        starts = np.unique(np.arange(width) * samples // width)
        for k, group in enumerate(codes[:, None] if stacked else [codes]):
            for number, fault in enumerate(FAULTS, 1):
                inside = np.logical_or.reduceat((group == number).any(axis=0), starts)
                faults.append((fault, _draw_areas(inside, k * row, row, width / len(starts))))
    at = np.unique((beats / max(1, samples) * width).astype(int)).tolist()
    spread = f"±{_format_short((high - low) / 2)}" if stacked else f"{_format_short(low)} to {_format_short(high)}"
    rows = len(x) if stacked else 1
    return Track(
        name, f"{about}, {spread} {signal.unit}".strip(), signal.channels, width, row * rows, rows, 100.0, curves,
        tuple((fault, path) for fault, path in faults if path), "".join(f"M{c}.5 0v8" for c in at),
    )  # fmt: skip


def _envelope(x: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x positions (n,) and values (C, n) of curves for the samples `x` (C, T): all samples if they are few, else
    the minimum and the maximum in each column, in the order in which they occur."""
    samples = x.shape[1]
    if samples <= 2 * columns:
        return np.arange(samples), x
    starts = np.arange(columns) * samples // columns
    low, high = (reduce.reduceat(x, starts, axis=1) for reduce in (np.fmin, np.fmax))
    rising = x[:, starts] - low <= high - x[:, starts]  # the first sample of the column is nearer to the minimum
    ends = np.stack([np.where(rising, low, high), np.where(rising, high, low)], 2)
    return np.arange(2 * columns), ends.reshape(len(x), -1)


def _percentile(x: np.ndarray, q: float | list[float], axis: int | None = None) -> np.ndarray:
    """Compute percentiles of `x` (C, T) from a subset of the finite samples; NaN where there are none."""
    some = x[:, :: max(1, x.shape[1] // _SAMPLED)]
    return np.asarray(np.nanpercentile(some, q, axis=axis)) if np.isfinite(some).any() else np.full(np.shape(q), np.nan)


def _compute_scale(x: np.ndarray) -> tuple[float, float]:
    """Return the range of values in a picture; the few samples outside it are drawn at its edge."""
    low, high = np.nan_to_num(_percentile(x, [0.3, 99.7])).tolist()
    pad = 0.12 * (high - low) or 0.5 * abs(high) or 1.0
    return low - pad, high + pad


def _draw_path(places: np.ndarray, heights: np.ndarray) -> str:
    """Return the SVG path of a line through heights (n,) at x positions (n,), broken where heights are NaN."""
    parts: list[str] = []
    for a, b in zip(*find_stretches(np.isfinite(heights)), strict=True):
        line, at = heights[a:b].astype(int), places[a:b]
        level = np.diff(line) == 0
        corners = np.concatenate([[True], ~(level[:-1] & level[1:]), [True]])[: b - a]  # skips points on a flat line
        line, at = line[corners], at[corners]
        steps = zip(np.diff(at).tolist(), np.diff(line).tolist(), strict=True)
        rest = "".join(f" {dx}{dy}" if dy < 0 else f" {dx} {dy}" for dx, dy in steps)
        parts.append(f"M{at[0]} {line[0]}" + (f"l{rest[1:]}" if rest else "h1"))
    return "".join(parts)


def _draw_areas(inside: np.ndarray, top: int, height: int, scale: float) -> str:
    """Return the SVG path of rectangles over the columns (n,) that are `inside`, widened until they are visible."""
    least = math.ceil(len(inside) / _NARROWEST)
    starts, stops = find_stretches(inside)
    ends = np.minimum(np.maximum(stops, starts + least), len(inside) + least)
    pairs = zip(np.round(scale * starts).astype(int).tolist(), np.round(scale * ends).astype(int).tolist(), strict=True)
    return "".join(f"M{a} {top}h{b - a}v{height}h{a - b}z" for a, b in pairs)


def find_beats(store: Store, recording: str, modality: str) -> np.ndarray:
    """Return the times (n,) in s of heart beats in a recording's ECG or PPG; empty for other modalities."""
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
    """Return a text for each constant label of a recording, and a track for each label that changes over time. Labels
    that are named in `first` come first."""
    whole, tracks = [], []
    for name in sorted(recording.labels, key=lambda name: (name not in first, name)):
        label = recording.labels[name]
        values = np.asarray(label.values, np.float64)
        if label.times is None:
            known = values[np.isfinite(values)]
            whole.append(f"{name}: {', '.join(_name_value(label, v) for v in known) if known.size else 'none'}")
        elif values.size:
            tracks.append(_draw_label(name, label, values, recording.duration_s))
    return whole, tracks


def _name_value(label: Label, value: float) -> str:
    known = label.classes is not None and 0 <= value < len(label.classes)
    return label.classes[int(value)] if known and label.classes else f"{value:.4g}"


def _draw_label(name: str, label: Label, values: np.ndarray, duration_s: float) -> LabelTrack:
    """Return the picture of a label over time: stretches of its classes if they are few, else a curve of values."""
    times = np.asarray(label.times, np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else duration_s
    ends = np.append(times[1:], times[-1] + step)
    edges = [0, *(np.flatnonzero(np.diff(np.nan_to_num(values, nan=_NO_VALUE))) + 1).tolist(), len(values)]
    if label.classes is not None and len(edges) <= _STRETCHES_SHOWN:
        scale = 100 / duration_s
        stretches = [
            (max(0.0, scale * times[a]), scale * (min(ends[b - 1], duration_s) - max(0.0, times[a])), int(values[a]),
             _name_value(label, values[a]))
            for a, b in pairwise(edges) if b > a and np.isfinite(values[a])
        ]  # fmt: skip
        return LabelTrack(name, tuple(row for row in stretches if row[1] > 0))
    return LabelTrack(name, track=_draw_steps(name, f"{len(values)} values", times, values, ends, duration_s))


def _draw_steps(
    name: str, about: str, times: np.ndarray, values: np.ndarray, ends: np.ndarray, duration_s: float, unit: str = ""
) -> Track:
    """Draw values (n,) as steps. Each value lasts from its time (n,) to the next one, but not beyond its end (n,)."""
    grid = np.linspace(0, duration_s, _STEP_POINTS, endpoint=False)
    at = np.searchsorted(times, grid, side="right") - 1
    has_value = (at >= 0) & (ends[at] > grid) if len(times) else np.zeros(_STEP_POINTS, bool)
    x = np.full((1, _STEP_POINTS), np.nan, np.float32)
    x[0, has_value] = values[at[has_value]]
    signal = Signal(x, _STEP_POINTS / duration_s, (name,), unit)
    drawn = _draw_channels(name, signal, about, x, np.zeros((1, _STEP_POINTS), np.uint8), _STEP_POINTS, np.zeros(0))
    known = x[np.isfinite(x)]
    spread = f"{_format_short(known.min())} to {_format_short(known.max())} {unit}".strip() if known.size else "none"
    return replace(drawn, about=f"{about}, {spread}")


def time_ticks(duration_s: float) -> list[tuple[float, str]]:
    """Return (position in percent, text) of each tick on the time axis of a recording."""
    unit = 3600 if duration_s > 4 * 3600 else 60 if duration_s > 150 else 1
    places = [unit * place for place in ticks(0, duration_s / unit, 6)]
    return [(100 * place / duration_s, clock(place)) for place in places if place < 0.97 * duration_s]


def clock(seconds: float) -> str:
    """Format a time since the start: minutes and seconds, with hours if there are any.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _format_short(value: float) -> str:
    return format_size(value).replace("-", "\N{MINUS SIGN}")


# The page. It shows signals, so it hides the subjects' identities as far as possible: pseudonyms are random and not
# stored, recordings are numbered, and names of stimuli and sessions are shown only if they belong to the design.

_PAGE_BYTES = 13_000_000
"""Approximate maximum size of a page in bytes; with many recordings, curves have fewer columns."""
_BYTES_OF_RECORDING, _BYTES_OF_TRACK, _BYTES_OF_COLUMN = 900, 600, 9
_COLUMNS = (2400, 1600, 1000, 800, 600, 500, 400, 300, 240, 200, 160, 120, 90, 60)
_CLOSE_COLUMNS, _FEWEST_CLOSE = 320, 200
"""Columns of a ten-second picture. If whole signals have fewer columns than the second number, only the first recording
of each subject has a ten-second picture."""
_CHANNELS = {1000: 200, 16: 200, 8: 160, 4: 120, 2: 60}
"""Maximum number of drawn channels of a modality -> smallest number of columns with which so many are drawn."""
_MOST_OPEN = 80
"""Maximum number of recordings on a page with all recordings unfolded; else only the first subject's are unfolded."""
_FAULTS_IN_WORDS = {
    "lost": "no sample", "clipped": "cut off at the limit of the sensor", "flat": "no change for 5\N{NO-BREAK SPACE}s",
    "outside": "no contact, or beyond what a body gives",
}  # fmt: skip
_DIFFERENCE = 0.05
_DATE = re.compile(r"\d{4}[-_.]?\d{2}[-_.]?\d{2}|\d{1,2}[.]\d{1,2}[.]\d{2,4}")
_TEMPLATE = "data_page"
NOT_FOR_SHARING = "This page contains participants' signals: not for sharing"

PartProgress = Callable[[str, str], ProgressCallback]
"""Function from a unit and a verb, such as `folds` and `fitted`, to the progress callback of a part of the job."""


@dataclass(frozen=True)
class DataPageContent:
    """The content of a page.

    Args:
        people: subjects whose signals are drawn.
        is_own: whether the data are the user's own.
        cannot_answer: targets that the study cannot answer, see `Unanswerable.to_dict`.
        power: see `embench.statistics.answerable.find_power`.
    """

    dataset: Dataset
    store: Store
    card: Card
    rules: Protocol
    targets: Sequence[Target]
    people: Sequence[str]
    is_own: bool = False
    cannot_answer: Sequence[Mapping[str, Any]] = ()
    power: Sequence[Mapping[str, Any]] = ()


@dataclass
class _Totals:
    """Totals of a modality: measurement unit, rates, typical size of values in each recording, number of samples by
    fault, subjects, and hours."""

    unit: str
    channels: int
    rates: set[float] = field(default_factory=set)
    sizes: list[float] = field(default_factory=list)
    samples: np.ndarray = field(default_factory=lambda: np.zeros(len(FAULTS) + 1, np.int64))
    people: set[str] = field(default_factory=set)
    hours: float = 0.0


@dataclass(frozen=True)
class _Drawn:
    """A recording on the page."""

    title: str
    labels: list[str]
    bands: list[LabelTrack]
    tracks: list[Track]
    close: list[Track]
    ticks: list[tuple[float, str]]


def write_data_page(content: DataPageContent, out: Path, part: PartProgress) -> Path:
    """Write the page to the file `out`. If the data may not be shared, only the file's owner can read it.

    Raises:
        DataError: files of the dataset cannot be read.
        MachineError: the page cannot be written.
    """
    names = deal_pseudonyms(content.store.subjects)
    quality = _measure_quality(content, part("modalities", "judged"))
    confound_only = _render_models(content, part("folds", "confound-only models fitted"))
    sums, drawn = _draw_people(content, names, part("subjects", "drawn"))
    faults = [text for m, totals in sums.items() if (text := unit_fault(m, totals.unit, totals.sizes))]
    unfolded = sum(len(recordings_of) for _, _, recordings_of in drawn) <= _MOST_OPEN
    signals = render_macro("signals", drawn, _FAULTS_IN_WORDS, unfolded, of_template=_TEMPLATE)
    sections = [
        Section("Modalities", "Modalities", _render_modalities(sums, quality)),
        Section("People", "People", _render_people(content, names, quality)),
        Section("Controls", "What clock, stimulus and movement reach alone", confound_only),
        Section("How many", "What this many people can show", _render_power(content)),
        Section("Signals", "Signals", signals),
    ]
    title = "Own recordings" if content.is_own else content.card.title
    footer = "Written by embench data report. This file is self-contained, and asks no network for anything."
    html = render_page(f"{title}: dataset report", _render_header(content, title, faults), sections, footer, _TEMPLATE)

    def put(path: Path) -> None:
        path.touch(0o600 if content.is_own or content.card.labels_public != "yes" else 0o666)
        path.write_text(html, encoding="utf-8", newline="\n")

    try:
        write_whole(Path(out), put)
    except OSError as error:
        raise MachineError(f"the page cannot be written: {error.strerror}", where=str(out)) from error
    return Path(out)


def deal_pseudonyms(subjects: Iterable[str]) -> dict[str, str]:
    """Return subject -> random pseudonym, new each time and different from the names of all subjects."""
    shuffled = list(subjects)
    random.SystemRandom().shuffle(shuffled)
    ids = [name.casefold() for name in shuffled]
    letter = next((c for c in "SPQXYZ" if not any(re.fullmatch(rf"{c.lower()}\d+", id_) for id_ in ids)), "someone-")
    width = max(2, len(str(len(shuffled))))
    return {name: f"{letter}{number:0{width}}" for number, name in enumerate(shuffled, 1)}


def find_design_names(of_subject: Iterable[tuple[str, str]], subjects: Iterable[str]) -> set[str]:
    """Return the names of stimuli or sessions that do not identify anybody: at least two subjects share them, and they
    contain no subject's id, date or path.

    Args:
        of_subject: pairs (subject, name of a stimulus or session).
    """
    subjects_by_name: dict[str, set[str]] = {}
    for subject, name in of_subject:
        subjects_by_name.setdefault(name, set()).add(subject)
    ids = [subject.casefold() for subject in subjects if len(subject) > 2]  # "1" may be the number of a stimulus
    shared = [name for name, users in subjects_by_name.items() if len(users) > 1]
    plain = [name for name in shared if not (_DATE.search(name) or re.search(r"[/\\]", name))]
    return {name for name in plain if not any(id_ in name.casefold() for id_ in ids)}


def _render_header(content: DataPageContent, title: str, faults: Sequence[str]) -> Markup:
    if content.is_own or content.card.labels_public != "yes":
        marks = [
            (True, NOT_FOR_SHARING, "It has no names and no dates, but who has the signals can tell whose they are.")
        ]
    else:
        text = f"Their licence, {content.card.licence}, says on which terms they may be passed on."
        marks = [(False, "This page contains participants' signals", text)]
    if content.store.synthetic is not None:
        marks.append((False, "Synthetic data", "Nothing here says anything about real people."))
    marks += [(True, "Wrong unit", f"{text}. Until it is corrected, no result means anything.") for text in faults]
    everybody, entries = len(content.store.subjects), content.store.recordings
    hours = sum(entry.duration_s for entry in entries) / 3600
    about = f"{everybody} people, {len(entries)} recordings, {hours:.1f} hours"
    if len(content.people) < everybody:
        about += f"; signals, faults and sizes are of {len(content.people)} of them"
    return render_macro("header", title, about, marks, of_template=_TEMPLATE)


def _measure_quality(content: DataPageContent, progress: ProgressCallback) -> dict[str, dict[str, float] | str]:
    """Return modality -> subject -> mean signal quality (0 to 1), or the reason why it is undefined."""
    entries = {str(UnitId.from_seconds(r.id, 0.0, r.duration_s)): r for r in content.store.recordings}
    quality: dict[str, dict[str, float] | str] = {}
    for judged in describe_quality(content.store, list(entries), progress):
        if "undefined" in judged:
            quality[judged["modality"]] = judged["undefined"]
            continue
        sums: dict[str, np.ndarray] = {}
        for unit, index in judged["index"].items():
            entry = entries[unit]
            sums[entry.subject] = sums.get(entry.subject, 0) + np.array([index, 1.0]) * entry.duration_s
        quality[judged["modality"]] = {subject: float(total / duration) for subject, (total, duration) in sums.items()}
    return quality


def _render_modalities(sums: Mapping[str, _Totals], quality: Mapping[str, Any]) -> Markup:
    rows = []
    for name, total in sums.items():
        shares = total.samples / max(1, total.samples.sum())
        means = quality.get(name, {})
        index = "-" if isinstance(means, str) or not means else f"{100 * float(np.median(list(means.values()))):.0f} %"
        rates = " to ".join(dict.fromkeys(f"{rate:g}" for rate in (min(total.rates), max(total.rates))))
        faults = [
            "none" if not share else f"{100 * share:.2f} %" if share > 5e-5 else "< 0.01 %" for share in shares[1:]
        ]
        size = float(np.nanmedian(total.sizes)) if np.isfinite(total.sizes).any() else math.nan
        usual = "-" if math.isnan(size) else format_size(size)
        plausible = PLAUSIBLE_SIZES.get(name)
        if plausible and not math.isnan(size) and plausible.unit == UNIT_SPELLINGS.get(total.unit, total.unit):
            usual += f" ({plausible.low:g} to {plausible.high:g})"
        cells = (str(total.channels), f"{rates} Hz", total.unit, usual, str(len(total.people)), f"{total.hours:.1f}")
        rows.append((name, [*cells, index, *faults]))
    heads = ("modality", "channels", "rate", "unit", "usual size (plausible)", "subjects", "hours", "good", *FAULTS)
    return render_macro("modalities", heads, rows, of_template=_TEMPLATE)


def _render_people(content: DataPageContent, names: Mapping[str, str], quality: Mapping[str, Any]) -> Markup:
    measured = {m: good for m, good in quality.items() if not isinstance(good, str)}
    unmeasured = [f"{m}: {why}" for m, why in quality.items() if isinstance(why, str)]
    described = describe_labels(content.store, content.card, content.targets, content.rules)
    balance = {d["target"]: {row["subject"]: _balance(row) for row in d.get("per_person", ())} for d in described}
    classes = {d["target"]: [c["name"] for c in d.get("classes", ())] for d in described}
    entries: dict[str, list[float]] = {}
    for entry in content.store.recordings:
        entries.setdefault(entry.subject, []).append(entry.duration_s)
    rows = [
        (names[who], who in content.people, len(entries.get(who, ())), f"{sum(entries.get(who, ())) / 3600:.2f}",
         [good.get(who) for good in measured.values()], [balance[t].get(who) for t in balance])
        for who in sorted(content.store.subjects, key=lambda who: names[who])
    ]  # fmt: skip
    warned = [f"{d['target']}: {text}" for d in described for text in d["warnings"]]
    return render_macro("people", list(measured), classes, rows, POOR, unmeasured, warned, of_template=_TEMPLATE)


def _balance(row: Mapping[str, Any]) -> dict[str, Any]:
    values = row.get("values")
    text = f"{values['mean']:.3g} ± {values['sd']:.2g}, {row['labelled']} units" if values else ""
    return {"values_of": text, "classes": row.get("classes", ()), "labelled": row["labelled"]}


def _render_models(content: DataPageContent, progress: ProgressCallback) -> Markup:
    if not content.targets:
        return paragraph("The data have no targets, only recordings.")
    parts = []
    for target in content.targets:
        try:
            found = describe_confound_only(content.store, content.card, [target], content.rules, [0], progress)
        except EmbenchError as error:
            parts.append(paragraph(f"{target.name}: not scored: {_hide_names(error.what, content.store)}."))
            continue
        scored = Scores.make_empty(primary_metrics=found["primary_metrics"], confound_only=found["confound_only"])
        confound_only = {model.name: model for model in scored.get_confound_only_models(target.name)}
        wanted = dict.fromkeys([scored.primary_metrics[target.name], target.traits.within_metric])
        reasons_by_metric = {  # an empty reason means that the metric is defined
            m: {control.explain_undefined(m) for control in confound_only.values() if m in control.scores}
            for m in wanted
        }
        metrics = [m for m, reasons in reasons_by_metric.items() if "" in reasons]
        best = {m: found["best"][target.name].get(m, {}).get("control") for m in metrics}
        rows = []
        for name in sorted(confound_only, key=[*CONFOUND_ONLY, *confound_only].index):
            control, title = confound_only[name], in_words(name)
            cells = [  # text, and whether it is marked as the best
                (text := _format_cell(control, m, content.store), name == best[m] and "[" in text) for m in metrics
            ]
            why = control.reason and _hide_names(plain_reason(control.reason, content.store.name), content.store)
            why = f"not applicable: {why}" if why else ""
            rows.append((f"({title})" if name in FOR_COMPARISON else title, why, cells))
        caption = f"{target.name}, {found['subjects'][target.name]} people"
        undefined = {
            m: _hide_names(describe_undefined(min(why), len(content.store.subjects), content.store.name), content.store)
            for m, why in reasons_by_metric.items()
            if why and m not in metrics
        }
        parts.append(render_macro("confound_only", caption, metrics, rows, undefined, of_template=_TEMPLATE))
    note = paragraph(f"{_CONTROLS_NOTE} In the folds of `{content.rules.name}`, seed 0, with 95 % intervals.")
    return join_parts([note, render_macro("columns", parts)])


def _format_cell(control: ConfoundOnlyModel, metric: str, store: Store) -> str:
    why = control.explain_undefined(metric)
    words = describe_undefined(why, len(store.subjects), store.name)
    return _hide_names(words, store) if why else format_control(control.scores[metric])


_CONTROLS_NOTE = (
    "These know no signal but the accelerometer's. A method has to lie above the highest one, which is marked; where "
    "it is high already, clock, stimulus or movement give the label away. Those in brackets are for comparison."
)


def _hide_names(reason: str, store: Store) -> str:
    """Return a reason; if it names a subject, a recording or a stimulus, return only the text before its colon."""
    ids = {text for entry in store.recordings for text in (entry.subject, entry.id, entry.stimulus, entry.group)}
    ids = {id_ for id_ in ids if len(id_) > 2}  # shorter ones may be other numbers
    named = any(re.search(rf"(?<!\w){re.escape(id_)}(?!\w)", reason) for id_ in ids)
    return reason.partition(":")[0] if named else reason


def _describe_power(row: Mapping[str, Any]) -> str:
    """Return a sentence on the power for an effect; see `embench.statistics.answerable`."""
    effect = f"tell {row['target']} with an AUROC of {row['AUROC of the signals']:.2f} within subjects"
    shares = {name.removesuffix(", %"): value for name, value in row.items() if name.endswith(", %")}
    percent = " and ".join(f"{value}\N{NO-BREAK SPACE}% {name}" for name, value in shares.items())
    return (
        f"Under {SIMULATED_PROTOCOL}, signals that {effect} are found in {percent} of simulated studies of this design "
        "and size."
    )


def _render_power(content: DataPageContent) -> Markup:
    groups = len(set(connected_groups(content.store.recordings).values()))
    spread = published_spread("features", name_without_package(content.store.name))
    few, many = (subjects_needed(_DIFFERENCE, sd) for sd in (spread.low, spread.high))
    needs = (
        f"Two methods are compared on the same people by a paired two-sided test at .05. With 80\N{NO-BREAK SPACE}% "
        f"power a difference of {_DIFFERENCE:g} in AUROC needs {few} to {many} people. Differences vary over people "
        f"with an SD of {spread.low:.2f} to {spread.high:.2f}, the middle 80\N{NO-BREAK SPACE}% of {spread.source}. "
        "For other scores it is a rule of thumb."
    )
    low, median, high = (smallest_difference(groups, sd) for sd in (spread.low, spread.median, spread.high))
    shows = (
        f"The smallest detectable difference of these {groups} people, or groups recorded together, is {low:.3f} to "
        f"{high:.3f}, median {median:.3f}."
    )
    silent = content.cannot_answer
    sentences = [f"{each['target']}: {each['answer']}. {each['reason']} {each['remedy']}" for each in silent]
    alone = "One subject, or one group recorded together, says nothing about others."
    found = [_describe_power(row) for row in content.power]
    parts = [*sentences, *found, needs, shows if groups > 1 else alone]
    return join_parts([paragraph(part) for part in parts])


def _draw_people(
    content: DataPageContent, names: Mapping[str, str], progress: ProgressCallback
) -> tuple[dict[str, _Totals], list[tuple[str, str, list[_Drawn]]]]:
    """Return the totals of each modality, and (pseudonym, facts, recordings) of each subject."""
    entries = content.store.recordings
    detail = _choose_detail(content.card, [entry for entry in entries if entry.subject in content.people])
    public_names = find_design_names(
        ((e.subject, name) for e in entries for name in (e.stimulus, e.session)), content.store.subjects
    )
    totals: dict[str, _Totals] = {}
    people, labels = [], content.store.labels()  # including those that are computed from several raters
    for done, subject in enumerate(content.people):
        drawn: list[_Drawn] = []
        for number, recording in enumerate(recordings(content.dataset, content.store.name, subject), 1):
            known = {name: values[recording.id] for name, values in labels.items() if recording.id in values}
            labelled = replace(recording, labels=known)
            drawn.append(_draw_recording(content, labelled, number, public_names, detail, totals))
        hours = sum(e.duration_s for e in entries if e.subject == subject) / 3600
        people.append((names[subject], f"{len(drawn)} recording{'s' * (len(drawn) != 1)}, {hours:.2f} hours", drawn))
        progress(done + 1, len(content.people), "drawn")
    return totals, sorted(people)


class _Detail(NamedTuple):
    """Amount of detail: columns of whole signals, channels of a modality, and whether `every` recording or only each
    subject's first one has ten-second pictures."""

    columns: int
    channels: int
    every: bool


def _choose_detail(card: Card, entries: Sequence[RecordingEntry]) -> _Detail:
    """Return the greatest amount of detail for which the page has at most `_PAGE_BYTES` bytes, by an estimate."""
    first = {entry.subject: entry.id for entry in reversed(entries)}

    def size(detail: _Detail) -> float:
        total = float(_BYTES_OF_RECORDING * len(entries))
        for entry in entries:
            for m in entry.spans.keys() & card.modalities.keys() - {"video"}:
                rate = np.nan_to_num(card.modalities[m].rate, nan=1000.0)
                has_close = close_up(m, rate) and (detail.every or entry.id == first[entry.subject])
                columns = min(detail.columns, entry.duration_s * rate / 2) + _CLOSE_COLUMNS * has_close
                drawn = min(detail.channels, len(card.modalities[m].channels))
                total += _BYTES_OF_TRACK * (1 + has_close) + _BYTES_OF_COLUMN * drawn * columns
        return total

    choices = [
        _Detail(n, channels, every)
        for channels, least in _CHANNELS.items()
        for n in _COLUMNS
        for every in (n >= _FEWEST_CLOSE, False)
        if n >= least
    ]
    return next((detail for detail in choices if size(detail) <= _PAGE_BYTES), choices[-1])


def _draw_recording(
    content: DataPageContent,
    recording: Recording,
    number: int,
    public_names: set[str],
    detail: _Detail,
    sums: dict[str, _Totals],
) -> _Drawn:
    """Return the pictures and facts of a recording, and add its numbers to the totals `sums` by modality."""
    tracks, close = [], []
    columns = (detail.columns, _CLOSE_COLUMNS if detail.every or number == 1 else 0)
    for modality, signal in recording.signals.items():
        beats = find_beats(content.store, recording.id, modality)
        whole, part, counts = draw_signal(modality, signal, recording.duration_s, columns, beats, detail.channels)
        tracks += whole
        close += part
        totals = sums.setdefault(modality, _Totals(signal.unit, len(signal.channels)))
        totals.rates.add(signal.rate)
        totals.sizes.append(signal_size(modality, signal))
        totals.samples += counts
        totals.people.add(recording.subject)
        totals.hours += signal.duration_s / 3600
    constant, bands = label_tracks(recording, [target.label for target in content.targets])
    entries = content.store.recordings
    stimuli, sessions = ({getattr(entry, name) for entry in entries} for name in ("stimulus", "session"))
    parts = [f"Recording {number}"]
    parts += [f"stimulus {recording.stimulus}"] if recording.stimulus in public_names and len(stimuli) > 1 else []
    parts += [f"session {recording.session}"] if recording.session in public_names and len(sessions) > 1 else []
    parts += [f"{clock(recording.duration_s)} long"]
    parts += [f"begins {clock(recording.start_s)} into the session"] if recording.start_s else []
    parts += ["with a video, which is not shown"] if recording.video else []
    return _Drawn(", ".join(parts), constant, bands, tracks, close, time_ticks(recording.duration_s))
