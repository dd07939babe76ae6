"""Signal quality: plausible values, faults per sample, and an index for each unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import EmbenchError
from embench.files import sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import Signal
from embench.protocols import UnitId
from embench.registry import find_modality
from embench.signals import beats, plausible
from embench.signals.plausible import LEVEL_LIMITS, SPAN_LIMITS, UNIT_SPELLINGS
from embench.store import Store
from embench.store.store import cache_array
from embench.system import ProgressCallback, explain_missing_library, installed_version

PHYSICAL_RANGES: dict[str, tuple[float, float]] = {
    "uS": (-5.0, 200.0),
    "degC": (0.0, 60.0),
    "bpm": (20.0, 300.0),
    "mV": (-500.0, 500.0),
    "uV": (-500e3, 500e3),
    "g": (-32.0, 32.0),
}
"""Measurement unit -> least and greatest plausible value, wide enough for any device. Electrodes have offsets of up to
300 mV (IEC 60601-2-27), skin conductance amplifiers end at 100 uS, body accelerometers at 16 g. Values outside were
misread or miswritten. Units such as `a.u.` have no range."""


def describe_outside_range(modality: str, signal: Signal) -> str | None:
    """Return a sentence on values outside the plausible range: that of the modality if a package defines one, else that
    of the measurement unit. None if no value is outside."""
    unit = UNIT_SPELLINGS.get(signal.unit, signal.unit)
    limits = find_modality(modality).limits or PHYSICAL_RANGES.get(unit)
    if limits is None:
        return None
    low, high = limits
    data = np.asarray(signal.data)
    wrong = data[np.isfinite(data) & ((data < low) | (data > high))]
    if not wrong.size:
        return None
    farthest = wrong[np.abs(wrong - (low + high) / 2).argmax()]
    return (
        f"{modality} has {wrong.size} values outside {low:g} to {high:g} {unit}, the range of human bodies; the most "
        f"extreme value is {farthest:g}"
    )


# Signal quality, unit by unit: an index from 0 (nothing usable) to 1, from prepared data alone.
#
# Quality is computed per second; a unit's index is the mean over its seconds and the modality's channels. A second
# counts 0 if the signal is stuck, lost or bridged (a straight line), or outside the plausible range; else 1, or for
# pulse waves and ECGs the similarity of the beats around it to the recording's usual beat. Labels are never read, and
# no score depends on the index.
#
# Besides, a second counts 0 in these cases:
# - eda: its median is below 0.1 uS (no contact) or above 100 uS.
# - temp: its median is below 20 degC (not on the skin) or above 42 degC; straight lines are normal.
# - hr: its median is outside 30 to 220 bpm; straight lines are normal.
# - eeg: it spans more than 200 uV (movement, muscle, a loose electrode).
# - acc, face_au: all channels are straight at once.
# - ppg, ecg: no beat lies within 2.5 s of its middle.

POOR = 0.5
"""Index below which a unit is called poor."""
TERCILES = ("worst", "middle", "best")

_STRAIGHT = 0.01
"""A second is a straight line if its deviation from one is at most this multiple of the channel's usual deviation."""
_USUAL = 75
"""Percentile of a channel's deviations that counts as usual: not the median, as most of a channel may be lost."""
SLOW = frozenset({"temp", "hr"})
"""Modalities in which straight lines are normal."""
TOGETHER = frozenset({"acc", "face_au"})
"""Modalities in which a single channel may be straight: a resting subject, an absent action unit."""
_PEAKS = {"ecg": beats.ecg_peaks, "ppg": beats.ppg_peaks}
_FEWEST_BEATS = 3
_BEATS_WITHIN_S = 2.5
_NOISE_SIMILARITY = {"ecg": 0.0, "ppg": 0.65}
"""Modality -> mean similarity of false beats found in filtered noise, which counts as quality 0. Noise from 0.5 to 8 Hz
resembles pulse waves: measured 0.63 (white) and 0.65 (brown noise); for ECG 0.14 and 0.08."""


def compute_unit_quality(store: Store, modality: str, ids: Sequence[str]) -> np.ndarray | Undefined:
    """Return the quality (n,) of each unit in `ids`, from 0 to 1; NaN if its recording lacks the modality. `Undefined`
    if no quality is defined for the modality, or a required library is missing."""
    seconds = _load_seconds(store, modality)
    if isinstance(seconds, Undefined):
        return seconds
    index = np.full(len(ids), np.nan)
    for i, unit in enumerate(map(UnitId.read, ids)):
        if (span := store.recording(unit.recording).spans.get(modality)) is None:
            continue
        # The seconds whose middle lies in the unit.
        first, last = (max(0, math.ceil(ms / 1000 - span.t0 - 0.5)) for ms in (unit.start_ms, unit.stop_ms))
        inside = seconds[unit.recording][first:last]
        index[i] = inside.mean() if inside.size else np.nan
    return index


def describe_quality(
    store: Store, ids: Sequence[str], progress: ProgressCallback | None = None
) -> list[dict[str, Any]]:
    """Return one mapping per modality: its name (`modality`), the number of `units` with it, and `index`, unit id ->
    quality. `low`, `median` and `high` are quartiles of quality, and `poor` is the proportion of units below `POOR`. A
    modality without quality has only `undefined`, the reason.

    Args:
        ids: ids of the units.
        progress: called with (modalities done, number of modalities, modality).
    """
    described: list[dict[str, Any]] = []
    judged = [m for m in store.modalities if m != "video"]
    for done, modality in enumerate(judged):
        index = compute_unit_quality(store, modality, ids)
        if isinstance(index, Undefined):
            described.append({"modality": modality, "undefined": index.reason})
        elif not np.isfinite(index).any():
            described.append({"modality": modality, "undefined": "no unit has it"})
        else:
            known = index[np.isfinite(index)]
            low, median, high = np.percentile(known, [25, 50, 75]).tolist()
            described.append({
                "modality": modality, "units": len(known), "median": median, "low": low, "high": high,
                "poor": float((known < POOR).mean()),
                "index": {id_: round(v, 4) for id_, v in zip(ids, index.tolist(), strict=True) if np.isfinite(v)},
            })  # fmt: skip
        if progress:
            progress(done + 1, len(judged), modality)
    return described


def terciles(index: np.ndarray) -> np.ndarray:
    """Return (n,) the third of each value in `index`: 0 (worst), 1 or 2 (best); -1 for NaN. Equal values are in one
    third, so that thirds may differ in size or be empty.

    >>> terciles(np.array([0.2, 0.9, 0.6, np.nan])), terciles(np.array([0.1, 1, 1, 1, 1, 1]))
    (array([ 0,  2,  1, -1]), array([0, 1, 1, 1, 1, 1]))
    """
    from scipy.stats import rankdata

    third = np.full(len(index), -1)
    known = np.isfinite(index)
    rank = (rankdata(index[known]) - 0.5) / max(1, known.sum())
    third[known] = np.floor(3 * rank).astype(int)
    return third


def _load_seconds(store: Store, modality: str) -> Mapping[str, np.ndarray] | Undefined:
    """Return recording id -> quality (n,) of its whole seconds, cached. `Undefined` if the modality has no quality."""
    entry = store.modalities.get(modality)
    if entry is None or modality == "video":
        return Undefined("the prepared data contain no samples of it")
    unknown = modality == "eeg_bands" or find_modality(modality).linear  # every second of which is straight
    if unknown or (modality in SLOW and (modality, entry.unit) not in LEVEL_LIMITS):
        return Undefined(f"no quality index exists for {modality} in {entry.unit}")
    if modality == "ppg" and entry.rate <= 2 * beats.PULSE_HZ:
        return Undefined(f"prepared at {entry.rate:g} Hz, and beats are found above {2 * beats.PULSE_HZ:g} Hz")
    libraries = ["numpy", *(["neurokit2"] if modality in _PEAKS else [])]
    used = [__file__, plausible.__file__, *([beats.__file__] if modality in _PEAKS else [])]
    code = [sha256(Path(file)) for file in used]
    key = ["quality", modality, code, [installed_version(name) for name in libraries]]
    try:
        whole = cache_array(store, key, lambda: np.concatenate([np.zeros(0, np.float32), *_judge_all(store, modality)]))
    except ImportError as error:
        missing: EmbenchError | None = explain_missing_library(error, "finding heartbeats")
        return Undefined(missing.what if missing else str(error))
    found, at = {}, 0
    for recording in store.recordings:
        if (span := recording.spans.get(modality)) is not None:
            count = int(span.samples / entry.rate)
            found[recording.id], at = whole[at : at + count], at + count
    return found


def _judge_all(store: Store, modality: str) -> list[np.ndarray]:
    """Return one array (n,) for each recording with the modality: the quality of each whole second, from 0 to 1."""
    entry = store.modalities[modality]
    names = [r.id for r in store.recordings if modality in r.spans]
    departs = [_compute_deviations(_cut_seconds(store.signal(name, modality).data, entry.rate)) for name in names]
    joined = np.concatenate([np.zeros((len(entry.channels), 0)), *departs], axis=1)
    least = _STRAIGHT * np.percentile(joined, _USUAL, axis=1, keepdims=True) if joined.size else 0.0
    return [
        _judge_seconds(modality, entry.unit, store.signal(name, modality).data, entry.rate, departed <= least)
        for name, departed in zip(names, departs, strict=True)
    ]


def _judge_seconds(modality: str, unit: str, x: np.ndarray, rate: float, straight: np.ndarray) -> np.ndarray:
    """Return (n,) quality from 0 to 1 of each second of `x` (channels, samples). `straight` (channels, n): True for
    seconds in which a channel is a straight line."""
    pieces = _cut_seconds(x, rate)
    if modality in TOGETHER:
        straight = np.broadcast_to(straight.all(axis=0), straight.shape)
    good = np.ones(straight.shape) if modality in SLOW else 1.0 - straight
    if limits := LEVEL_LIMITS.get((modality, unit)):
        level = np.median(pieces, axis=2)
        good *= (level >= limits[0]) & (level <= limits[1])
    if largest := SPAN_LIMITS.get((modality, unit)):
        good *= np.ptp(pieces, axis=2) <= largest
    if modality in _PEAKS:
        similarity = np.stack([_compare_beats(row, rate, _PEAKS[modality](row, rate), good.shape[1]) for row in x])
        good *= np.clip((similarity - _NOISE_SIMILARITY[modality]) / (1 - _NOISE_SIMILARITY[modality]), 0, 1)
    return good.mean(axis=0).astype(np.float32)


def _compare_beats(x: np.ndarray, rate: float, peaks: np.ndarray, count: int) -> np.ndarray:
    """Return (count,) the mean correlation, 0 to 1, of the beats around each second with the median beat of `x` (T,)
    (Orphanidou et al. 2015, doi 10.1109/JBHI.2014.2338351); 0 without a beat. `peaks`: positions of beats."""
    if len(peaks) < _FEWEST_BEATS:
        return np.zeros(count)
    half = max(2, int(np.median(np.diff(peaks)) / 2))
    peaks = peaks[(peaks >= half) & (peaks + half <= len(x))]
    if len(peaks) < _FEWEST_BEATS:
        return np.zeros(count)
    shapes = np.asarray(x, np.float64)[peaks[:, None] + np.arange(-half, half)]
    shapes -= shapes.mean(axis=1, keepdims=True)
    median_shape = np.median(shapes, axis=0)
    size = np.linalg.norm(shapes, axis=1) * np.linalg.norm(median_shape)
    similarity = np.clip(np.divide(shapes @ median_shape, size, out=np.zeros(len(shapes)), where=size > 0), 0, 1)
    sums = np.concatenate([[0.0], np.cumsum(similarity)])
    middle = (np.arange(count) + 0.5) * rate
    first = np.searchsorted(peaks, middle - _BEATS_WITHIN_S * rate)
    last = np.searchsorted(peaks, middle + _BEATS_WITHIN_S * rate)
    return np.divide(sums[last] - sums[first], last - first, out=np.zeros(count), where=last > first)


def _cut_seconds(x: np.ndarray, rate: float) -> np.ndarray:
    """Return the whole seconds of `x` (channels, T), as (channels, n, samples)."""
    each = int(rate)
    count = int(x.shape[1] / rate)
    starts = np.round(np.arange(count) * rate).astype(np.int64)
    return np.asarray(x)[:, starts[:, None] + np.arange(each)]


def _compute_deviations(pieces: np.ndarray) -> np.ndarray:
    """Return (channels, n) the deviation of each piece (channels, n, samples) from the line between its ends."""
    along = np.linspace(0, 1, pieces.shape[2], dtype=np.float32)
    first, last = pieces[..., :1], pieces[..., -1:]
    return np.asarray(np.ptp(pieces - (first + (last - first) * along), axis=2))


# Faults of a recorded signal, sample by sample: lost, clipped at a limit, stuck, or implausible.
#
# - `lost`: missing samples (NaN or infinite).
# - `clipped`: samples at the least or greatest value of a channel, if there are more of them than within the next 1 %
#   of the channel's range, in three stretches or more. For accelerometers only from 1.9 g on.
# - `flat`: equal samples for 5 s, of `temp` and `hr` for 300 s; of `acc` and `face_au` in all channels at once.
# - `outside`: values that no body and no sensor in contact gives, by modality and unit; in an EEG, a second with too
#   large a range.
#
# The signals are those of the reader, before any filter. No score depends on it.

FAULTS = ("lost", "clipped", "flat", "outside")
"""Names of the faults 1 to 4; 0 means no fault."""

_FLAT_S, _FLAT_SLOW_S = 5.0, 300.0
_CLIPPED_SAMPLES, _CLIPPED_STRETCHES = 3, 3
_LEAST_ACC_LIMIT = 1.9
"""Extreme values of an accelerometer below this limit in g are not clipped: a resting subject keeps one value."""
_NEVER_CLIPPED = frozenset({"temp", "hr", "face_au", "eeg_bands"})


def find_signal_faults(modality: str, signal: Signal) -> np.ndarray:
    """Return (channels, samples) uint8: the fault of each sample, 1 for the first in `FAULTS`; 0 without a fault.

    >>> x = np.sin(np.arange(400.0))[None]
    >>> x[0, 40:80] = np.nan
    >>> np.bincount(find_signal_faults("resp", Signal(x, 4.0, ("belt",), "a.u."))[0]).tolist()
    [360, 40]
    """
    x = np.moveaxis(np.asarray(signal.data, np.float32), signal.time_axis, -1)
    found = np.zeros(x.shape, np.uint8)
    if not x.size:
        return found
    lost = ~np.isfinite(x)
    x = np.where(lost, np.float32("nan"), x)
    found[_find_outside(modality, signal.unit, x, signal.rate)] = 4
    found[_find_flat(modality, x, signal.rate)] = 3
    if modality not in _NEVER_CLIPPED:
        for row, codes in zip(x, found, strict=True):
            codes[_find_clipped(modality, row)] = 2
    found[lost] = 1
    return found


def find_stretches(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts (n,) of all runs of True in `mask` (T,), and the positions (n,) after their ends.

    >>> starts, stops = find_stretches(np.array([True, True, False, True]))
    >>> starts, stops
    (array([0, 3]), array([2, 4]))
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]


def _keep_long(mask: np.ndarray, least: int) -> np.ndarray:
    """Return `mask` (T,) with only its runs of at least `least` True values."""
    starts, stops = find_stretches(mask)
    kept = np.zeros(len(mask) + 1, np.int32)
    long = stops - starts >= least
    np.add.at(kept, starts[long], 1)
    np.add.at(kept, stops[long], -1)
    return np.cumsum(kept[:-1]) > 0


def _find_flat(modality: str, x: np.ndarray, rate: float) -> np.ndarray:
    """Return (channels, samples) True for samples of `x` that stay equal for a long time."""
    same = np.diff(x, axis=1) == 0
    if modality in TOGETHER:
        same = np.broadcast_to(same.all(axis=0), same.shape)
    least = max(2, math.ceil(rate * (_FLAT_SLOW_S if modality in SLOW else _FLAT_S)) - 1)
    flat = np.zeros(x.shape, bool)
    for row, equal in zip(flat, same, strict=True):
        long = _keep_long(equal, least)
        row[:-1] |= long
        row[1:] |= long
    return flat


def _find_clipped(modality: str, x: np.ndarray) -> np.ndarray:
    """Return (samples,) True for samples of a channel `x` that are clipped at its least or greatest value."""
    clipped = np.zeros(len(x), bool)
    known = x[np.isfinite(x)]
    if not known.size:
        return clipped
    width = 0.01 * float(np.subtract(*np.percentile(known, [99.5, 0.5])))
    for end in (float(known.min()), float(known.max())):
        if modality == "acc" and abs(end) < _LEAST_ACC_LIMIT:
            continue
        at_end = x == end
        close = int((np.abs(known - end) <= width).sum()) - int(at_end.sum())
        stuck = _keep_long(at_end, _CLIPPED_SAMPLES)
        if int(at_end.sum()) > close and len(find_stretches(stuck)[0]) >= _CLIPPED_STRETCHES:
            clipped |= stuck
    return clipped


def _find_outside(modality: str, unit: str, x: np.ndarray, rate: float) -> np.ndarray:
    """Return (channels, samples) True for samples of `x` with implausible values."""
    unit = UNIT_SPELLINGS.get(unit, unit)
    limits = LEVEL_LIMITS.get((modality, unit)) or find_modality(modality).limits or PHYSICAL_RANGES.get(unit)
    outside = (x < limits[0]) | (x > limits[1]) if limits else np.zeros(x.shape, bool)
    if widest := SPAN_LIMITS.get((modality, unit)):
        each = max(2, round(rate))
        whole = x.shape[1] // each * each
        spans = np.ptp(x[:, :whole].reshape(len(x), -1, each), axis=2)
        outside[:, :whole] |= np.repeat(spans > widest, each, axis=1)
    return outside
