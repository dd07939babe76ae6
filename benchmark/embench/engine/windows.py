"""Windows of one modality of all units, stored as arrays that are read from disk: what encoders of a run are fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.engine.assemble import assemble
from embench.engine.feed import AT_ONCE, Data
from embench.engine.rows import Grid
from embench.engine.source import Source, keeps_level
from embench.engine.specs import Part
from embench.files import cache_root, digest
from embench.interfaces.tokens import InputSpec
from embench.store.folders import build_once

_FORMAT = 1
_X, _MASK, _PRESENT = "x.npy", "mask.npy", "present.npy"


class StoredWindows(NamedTuple):
    """Windows `x` (n, C, T) float32, memory-mapped, zeros where nothing was recorded; `mask` (n, T), True where
    something was; `present` (n,), windows that a run reads. `level`: whether each fold scales them by its training
    units, which was not done yet."""

    x: np.ndarray
    mask: np.ndarray
    present: np.ndarray
    level: bool


def stored_windows(source: Source, m: str, part: Part, grid: Grid) -> StoredWindows:
    """The windows of a modality at each anchor of a grid; made now, or found in the cache."""
    level = keeps_level(source, m)
    plain = replace(source, normalise="none", keep_level=()) if level else source
    anchored = [digest(getattr(grid, name)) for name in ("recording", "start", "stop", "unit_start")]
    made_of = [_FORMAT, source.store.key, m, part.plain("plugin"), plain.normalise, plain.rest, *anchored]
    target = cache_root() / "derived" / f"windows-{digest(made_of)[:20]}"

    def build(folder: Path) -> None:
        data, specs = assemble(plain, {m: part}, grid, "cpu")
        _write(data, specs[m], m, folder)

    folder = build_once(target, build, source.store.mode)
    x, mask, present = (np.load(folder / name, mmap_mode="r") for name in (_X, _MASK, _PRESENT))
    return StoredWindows(x, mask, np.asarray(present), level)


def _write(data: Data, spec: InputSpec, m: str, folder: Path) -> None:
    """Writes the windows of the rows of one modality; rows that a run takes for absent stay zeros."""
    feed, shape = data.feeds[m], (data.size, *spec.shape)
    x = np.lib.format.open_memmap(folder / _X, "w+", np.float32, shape)
    mask = np.lib.format.open_memmap(folder / _MASK, "w+", np.bool_, (data.size, shape[-1]))
    there = np.flatnonzero(feed.present)
    for first in range(0, len(there), AT_ONCE):
        index = there[first : first + AT_ONCE]
        rows, seen = feed.batch_rows(index)
        x[index] = rows.numpy()
        mask[index] = True if seen is None else seen.numpy()
    x.flush()
    mask.flush()
    np.save(folder / _PRESENT, feed.present)


def training_level(
    source: Source, m: str, part: Part, grid: Grid, training: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """`mean` and `std` (C,) by which a fold scales a modality: of its training units `recording`, `start` and `stop`
    (k,)."""
    return assemble(source, {m: part}, grid.take(np.arange(1)), "cpu", training=training)[1][m].fitted
