"""Floors of the pretrained rows of a board, among its other rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embench.checksums import read_checked, write_checked
from embench.leaderboard.kept import kept_place
from embench.leaderboard.row import Row, ShownEntry
from embench.records.floors import FloorGap, FloorKind, RowFloors, floor_order, matching
from embench.records.record import Record, read_record

_GAP = TypeAdapter(FloorGap)


def rows_with_floors(
    rows: Sequence[Row], entries: Mapping[str, ShownEntry], target: str, score: Callable[[Row], tuple[float, ...]]
) -> list[Row]:
    """The rows of a target, of which those that are pretrained have the gaps to their floors. Of several floors of one
    kind and method, the one with the highest `score` is taken; rows that others took the place of are none.

    Args:
        entries: by the ids of rows.
    """
    read = cache(read_record)
    alive = [row for row in rows if row.superseded is None]
    found = []
    for row in rows:
        own = entries[row.id]
        if not own.floors.wants:
            found.append(row)
            continue
        best: dict[tuple[FloorKind, str], Row] = {}
        for other in alive:
            theirs = entries[other.id].floors
            if kind := matching(own.floors, row.seeds, theirs, other.seeds):
                best[kind, theirs.name] = max(best.get((kind, theirs.name), other), other, key=score)
        gaps = [_gap(kind, name, own, entries[floor.id], target, read) for (kind, name), floor in best.items()]
        found.append(replace(row, floors=RowFloors(tuple(sorted(gaps, key=floor_order)), own.floors.epochs)))
    return found


def _gap(
    kind: FloorKind, name: str, row: ShownEntry, floor: ShownEntry, target: str, read: Callable[[Path], Record]
) -> FloorGap:
    """The gap to a floor, kept from one command to the next: it takes a quarter of a second."""
    place = kept_place("floors", row.content, floor.content, target)
    if content := read_checked(place):
        with contextlib.suppress(ValidationError):
            return _GAP.validate_json(content)
    from embench.statistics.floor_gaps import gap_to_floor  # with scipy, which what is kept does not need

    gap = gap_to_floor(kind, name, read(row.folder), read(floor.folder), target)
    write_checked(place, _GAP.dump_json(gap, by_alias=True, exclude_unset=True))
    return gap
