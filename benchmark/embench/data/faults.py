"""Faults of a recorded signal, sample by sample: what was lost, cut off at a limit, stuck, or is no body's.

- `lost`: missing samples (NaN or infinite).
- `clipped`: samples at the least or greatest value of a channel, where these pile up: more of them than within the next
  1 % of what the channel spans, in three stretches or more. Of accelerometers from 1.9 g on.
- `flat`: equal samples for 5 s; of `temp` and `hr` for 300 s; of `acc` and `face_au` where all channels are so at once.
- `outside`: values that no body and no sensor in contact gives, by modality and unit; of an EEG a second that spans too
  much.

The signals are those of the reader, before any filter. No score depends on it.
"""

from __future__ import annotations

import math

import numpy as np

from embench.data.physical import PHYSICAL_RANGES
from embench.data.quality import SLOW, TOGETHER
from embench.interfaces.recording import Signal
from embench.registry import modality_of
from embench.signals.plausible import LEVEL_LIMITS, SPAN_LIMITS, UNIT_SPELLINGS

FAULTS = ("lost", "clipped", "flat", "outside")
"""The faults by their number, from 1; 0 is none."""

_FLAT_S, _FLAT_SLOW_S = 5.0, 300.0
_CLIPPED_SAMPLES, _CLIPPED_STRETCHES = 3, 3
_LEAST_ACC_LIMIT = 1.9
"""In g; the range of accelerometers for the body begins at 2 g. Who sits still is at one value on purpose."""
_NEVER_CLIPPED = frozenset({"temp", "hr", "face_au", "eeg_bands"})


def signal_faults(modality: str, signal: Signal) -> np.ndarray:
    """(channels, samples) uint8: 0, or the number of a fault in `FAULTS`, counted from 1.

    >>> x = np.sin(np.arange(400.0))[None]
    >>> x[0, 40:80] = np.nan
    >>> np.bincount(signal_faults("resp", Signal(x, 4.0, ("belt",), "a.u."))[0]).tolist()
    [360, 40]
    """
    x = np.moveaxis(np.asarray(signal.data, np.float32), signal.time_axis, -1)
    found = np.zeros(x.shape, np.uint8)
    if not x.size:
        return found
    lost = ~np.isfinite(x)
    x = np.where(lost, np.float32("nan"), x)
    found[_outside(modality, signal.unit, x, signal.rate)] = 4
    found[_flat(modality, x, signal.rate)] = 3
    if modality not in _NEVER_CLIPPED:
        for row, codes in zip(x, found, strict=True):
            codes[_clipped(modality, row)] = 2
    found[lost] = 1
    return found


def stretches_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first positions (n,) of the stretches in which `mask` (T,) is true, and those behind their last.

    >>> starts, stops = stretches_of(np.array([True, True, False, True]))
    >>> starts, stops
    (array([0, 3]), array([2, 4]))
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]


def _long(mask: np.ndarray, least: int) -> np.ndarray:
    """The stretches (T,) of `mask` with this many samples or more."""
    starts, stops = stretches_of(mask)
    kept = np.zeros(len(mask) + 1, np.int32)
    long = stops - starts >= least
    np.add.at(kept, starts[long], 1)
    np.add.at(kept, stops[long], -1)
    return np.cumsum(kept[:-1]) > 0


def _flat(modality: str, x: np.ndarray, rate: float) -> np.ndarray:
    same = np.diff(x, axis=1) == 0
    if modality in TOGETHER:
        same = np.broadcast_to(same.all(axis=0), same.shape)
    least = max(2, math.ceil(rate * (_FLAT_SLOW_S if modality in SLOW else _FLAT_S)) - 1)
    flat = np.zeros(x.shape, bool)
    for row, equal in zip(flat, same, strict=True):
        long = _long(equal, least)
        row[:-1] |= long
        row[1:] |= long
    return flat


def _clipped(modality: str, x: np.ndarray) -> np.ndarray:
    clipped = np.zeros(len(x), bool)
    there = x[np.isfinite(x)]
    if not there.size:
        return clipped
    near = 0.01 * float(np.subtract(*np.percentile(there, [99.5, 0.5])))
    for end in (float(there.min()), float(there.max())):
        if modality == "acc" and abs(end) < _LEAST_ACC_LIMIT:
            continue
        at = x == end
        beside = int((np.abs(there - end) <= near).sum()) - int(at.sum())
        stuck = _long(at, _CLIPPED_SAMPLES)
        if int(at.sum()) > beside and len(stretches_of(stuck)[0]) >= _CLIPPED_STRETCHES:
            clipped |= stuck
    return clipped


def _outside(modality: str, unit: str, x: np.ndarray, rate: float) -> np.ndarray:
    unit = UNIT_SPELLINGS.get(unit, unit)
    limits = LEVEL_LIMITS.get((modality, unit)) or modality_of(modality).limits or PHYSICAL_RANGES.get(unit)
    outside = (x < limits[0]) | (x > limits[1]) if limits else np.zeros(x.shape, bool)
    if widest := SPAN_LIMITS.get((modality, unit)):
        each = max(2, round(rate))
        whole = x.shape[1] // each * each
        spans = np.ptp(x[:, :whole].reshape(len(x), -1, each), axis=2)
        outside[:, :whole] |= np.repeat(spans > widest, each, axis=1)
    return outside
