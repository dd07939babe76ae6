"""Floors of the pretrained rows of a board, among its other rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from embench.leaderboard.row import Row
from embench.records.floors import FloorKeys, FloorKind, RowFloors, matching
from embench.records.record import Record, read_record
from embench.statistics.floor_gaps import floor_order, gap_to_floor


def rows_with_floors(
    rows: Sequence[Row],
    keys: Mapping[str, FloorKeys],
    folders: Mapping[str, Path],
    target: str,
    score: Callable[[Row], tuple[float, ...]],
) -> list[Row]:
    """The rows of a target, of which those that are pretrained have the gaps to their floors. Of several floors of one
    kind and method, each is taken that has the highest `score`; rows that others took the place of are none.

    Args:
        keys, folders: by the ids of rows.
    """
    read: Callable[[Path], Record] = cache(read_record)
    alive = [row for row in rows if row.superseded is None]
    found = []
    for row in rows:
        own = keys[row.id]
        if not own.wants:
            found.append(row)
            continue
        best: dict[tuple[FloorKind, str], Row] = {}
        for other in alive:
            kind = matching(own, row.seeds, keys[other.id], other.seeds)
            if kind:
                at = kind, keys[other.id].name
                best[at] = max(best.get(at, other), other, key=score)
        gaps = [gap_to_floor(*at, read(folders[row.id]), read(folders[o.id]), target) for at, o in best.items()]
        found.append(replace(row, floors=RowFloors(tuple(sorted(gaps, key=floor_order)), own.epochs)))
    return found
