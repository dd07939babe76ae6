"""The units of a dataset in the order of time and in blocks, as slices are cut from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embench.interfaces.units import Unit
from embench.protocols.units import LabelKind


@dataclass(frozen=True)
class Placed:
    """The units of a dataset in order, as slices are cut from them.

    Args:
        units: all of them. `y`: (n,) labels of the target, NaN where there is none; `raw`: (n,) its raw values.
        classes: number of classes; 1 where labels are values.
        kind: of the raw labels.
        fixed_order: tasks came in one order for all subjects.
        session: recording -> the place of its session, from 0 on.
        names: of raw conditions.
    """

    units: Sequence[Unit]
    y: np.ndarray
    raw: np.ndarray
    classes: int
    kind: LabelKind
    fixed_order: bool
    session: Mapping[str, int]
    names: Sequence[str] = ()

    @cached_property
    def by_subject(self) -> dict[str, np.ndarray]:
        """Subject -> the positions of its units in the order of time."""
        found: dict[str, list[int]] = {}
        for i in sorted(range(len(self.units)), key=self._when):
            found.setdefault(self.units[i].subject, []).append(i)
        return {name: np.array(own, np.int64) for name, own in sorted(found.items())}

    def _when(self, i: int) -> tuple[float, ...]:
        unit = self.units[i]
        start = unit.start_s if math.isfinite(unit.start_s) else unit.start
        order = unit.order if math.isfinite(unit.order) else 0.0
        return self.session[unit.recording], order, start, unit.start

    def code(self, own: np.ndarray) -> np.ndarray:
        """(k,) the class of each of some units, -1 where it has no label."""
        y = self.y[own]
        known = np.isfinite(y)
        return np.where(known, np.nan_to_num(y) if self.classes > 1 else 0, -1).astype(int)

    def hidden(self, own: np.ndarray) -> bool:
        """True if nothing says in which order a subject's recordings came."""
        units = [self.units[i] for i in own.tolist()]
        recordings = {unit.recording for unit in units}
        several = len(recordings) > len({self.session[name] for name in recordings})
        return several and any(not (math.isfinite(unit.start_s) or math.isfinite(unit.order)) for unit in units)

    def blocks(self, own: np.ndarray, block_s: float) -> np.ndarray:
        """(k,) the block of each of a subject's units, in order; -1 for what belongs to none."""
        units = [self.units[i] for i in own.tolist()]
        whole = [unit.recording for unit in units]
        if self.kind == "condition":
            keys = [(name, value) for name, value in zip(whole, self.raw[own].tolist(), strict=True)]
            known = np.isfinite(self.raw[own])
        elif len(set(whole)) == 1:
            keys = [(name, math.floor(unit.start / block_s)) for name, unit in zip(whole, units, strict=True)]
            known = np.ones(len(own), bool)
        else:
            keys, known = [(name, 0) for name in whole], np.ones(len(own), bool)
        found, last, number = np.full(len(own), -1), None, -1
        for k in np.flatnonzero(known).tolist():
            number += keys[k] != last
            found[k], last = number, keys[k]
        return found

    def times(self, own: np.ndarray) -> np.ndarray:
        """(k, 3) the session of each of a subject's units, and its start and stop there in s, NaN where the release
        hides them."""
        units = [self.units[i] for i in own.tolist()]
        rows = [(self.session[u.recording], u.start_s, u.start_s + u.stop - u.start) for u in units]
        return np.array(rows, float).reshape(-1, 3)
