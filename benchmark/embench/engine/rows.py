"""Rows of units: the place of each sample of a stage in the stored arrays, and its recorded part.

A stage has one grid of anchors, moments inside units; at an anchor every encoder reads its own length, ending at the
anchor's stop. Everything here is positions and lengths, on the host; no label passes through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from embench.interfaces.units import View

_EPS = 1e-6


@dataclass(frozen=True)
class Grid:
    """Anchors as arrays (n,): recording (position in the store), seconds, and the unit (position) each belongs to."""

    recording: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    unit: np.ndarray
    unit_start: np.ndarray

    def __len__(self) -> int:
        return len(self.recording)

    def take(self, index: np.ndarray) -> Grid:
        """The anchors at positions `index` (m,)."""
        return Grid(*(getattr(self, name)[index] for name in ("recording", "start", "stop", "unit", "unit_start")))

    def weights(self) -> np.ndarray:
        """(n,): 1 / (rows of its unit), so that every unit counts alike."""
        counts = np.bincount(self.unit) if len(self) else np.zeros(0, int)
        return (1.0 / counts[self.unit]).astype(np.float32)


def stage_view(own: View | None, encoders: Sequence[View]) -> View:
    """The view that gives a stage its anchors: its recipe's, else the window with the largest step, else the unit."""
    if own is not None:
        return own
    windows = [view for view in encoders if view.kind == "window"]
    if windows:
        return max(windows, key=lambda view: view.step_s or view.length_s or 0.0)
    return View("unit")


def anchors(view: View, recording: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Grid:
    """The anchors of units, from arrays (n,) of recording positions and seconds."""
    n = len(recording)
    if view.kind != "window":
        unit = np.arange(n)
        return Grid(recording, start.copy(), stop.copy(), unit, start.copy())
    length = float(view.length_s or 0.0)
    step = float(view.step_s or length)
    count = np.maximum(1, np.floor((stop - start - length) / step + _EPS).astype(int) + 1)
    unit = np.repeat(np.arange(n), count)
    k = np.arange(len(unit)) - np.repeat(np.cumsum(count) - count, count)
    ends = np.minimum(start[unit] + k * step + length, stop[unit])
    return Grid(recording[unit], np.maximum(ends - length, start[unit]), ends, unit, start[unit])


def slide(length: float, step: float, recording: np.ndarray, first: np.ndarray, last: np.ndarray) -> Grid:
    """Windows of `length` s every `step` s wholly inside segments [first, last) of recordings, all (n,), for unlabelled
    stages; `unit` is the segment."""
    count = np.maximum(0, np.floor((last - first - length) / step + _EPS).astype(int) + 1)
    owner = np.repeat(np.arange(len(recording)), count)
    k = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    start = first[owner] + k * step
    return Grid(recording[owner], start, start + length, owner, start)


def view_length(view: View, longest_s: float, shortest_s: float) -> float:
    """Seconds that an encoder with this view reads: its own length, else the longest unit's, so that nothing depends on
    a fold; the shortest unit's under `length: common`."""
    if view.kind == "unit":
        return shortest_s if view.length == "common" else longest_s
    return float(view.length_s or longest_s)


@dataclass(frozen=True)
class Rows:
    """Rows of one modality, arrays (n,): `start`, the position of the first sample in the stored array (it may lie
    before the recording); `low` and `high`, the positions between which samples are real; `spanned`, how many samples
    the anchor spans; `length` samples a row."""

    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spanned: np.ndarray
    length: int

    @cached_property
    def present(self) -> np.ndarray:
        """(n,) bool: at least half of the anchor was recorded."""
        inside = np.minimum(self.high, self.start + self.length) - np.maximum(self.low, self.start)
        return (inside > 0) & (2 * inside >= np.minimum(self.spanned, self.length))

    @cached_property
    def whole(self) -> bool:
        """True if every row that is present is complete, so that no mask is needed."""
        there = self.present
        full = (self.start >= self.low) & (self.start + self.length <= self.high)
        return bool(full[there].all())


def anchor_rows(grid: Grid, view: View, length_s: float, rate: float, spans: Sequence[Any]) -> Rows:
    """Places of an encoder's rows at each anchor: the last seconds before its stop, or a whole unit, with nothing
    behind it where it is shorter. Samples outside the anchor's unit are not shown, except under `context`.

    Args:
        spans: for each recording of the store an object with `offset`, `samples`, `t0` (s), or None where the
            modality is absent.
    """
    length = round(length_s * rate)
    offset = np.array([s.offset if s else 0 for s in spans], np.int64)[grid.recording]
    samples = np.array([s.samples if s else 0 for s in spans], np.int64)[grid.recording]
    t0 = np.array([s.t0 if s else 0.0 for s in spans], np.float64)[grid.recording]
    end = np.rint((grid.stop - t0) * rate).astype(np.int64)
    first = np.rint((grid.unit_start - t0) * rate).astype(np.int64)
    low, high, start = np.zeros_like(end), np.minimum(samples, end), end - length
    if view.kind != "context":
        low = np.maximum(low, first)
    if view.kind == "unit":
        start = np.maximum(start, first)
    spanned = np.rint((grid.stop - grid.start) * rate).astype(np.int64)
    return Rows(offset + start, offset + low, offset + np.maximum(high, low), spanned, length)


def spans_of(grid: Grid, view: View, length_s: float) -> np.ndarray:
    """(n, 2) seconds that an encoder with features reads at each anchor."""
    first = np.zeros_like(grid.stop) if view.kind == "context" else grid.unit_start
    return np.stack([np.maximum(first, grid.stop - length_s), grid.stop], 1)


def by_recording(grid: Grid) -> Mapping[int, np.ndarray]:
    """Recording -> positions (k,) of its anchors in the grid."""
    order = np.argsort(grid.recording, kind="stable")
    values, first = np.unique(grid.recording[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, first[1:]), strict=True))
