"""Gaps of pretrained runs to their floors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from embench.errors import EmbenchError
from embench.records.pretraining_comparison import FloorGap, FloorKind, RowFloors, floor_keys, floor_order, matching
from embench.records.record import Record
from embench.records.scores import Score
from embench.records.wording import inside_subjects
from embench.statistics.comparison import paired_gap

Gaps = tuple[Record, str, RowFloors]
"""A pretrained run, a target, and its floors there."""


def gaps_of(records: Sequence[Record], metric: str | None = None, targets: Sequence[str] | None = None) -> list[Gaps]:
    """The floors of each pretrained run among these runs, target by target."""
    return [
        (record, target, floors)
        for record in records
        for target in targets or record.scores.headlines
        if (floors := floors_of(record, records, target, metric)) is not None
    ]


def floors_of(row: Record, others: Iterable[Record], target: str, metric: str | None = None) -> RowFloors | None:
    """The floors of a run among others, on a target; None where it is not pretrained, or has no such target.

    Args:
        metric: by default `shown_metric`.
    """
    keys = floor_keys(row.manifest)
    if not keys.wants or target not in row.scores.headlines:
        return None
    found = []
    for other in others:
        theirs = floor_keys(other.manifest)
        kind = matching(keys, row.manifest.seeds, theirs, other.manifest.seeds)
        if kind and target in other.scores.headlines:
            found.append(gap_to_floor(kind, theirs.name, row, other, target, metric))
    return RowFloors(tuple(sorted(found, key=floor_order)), keys.epochs)


def gap_to_floor(
    kind: FloorKind, name: str, row: Record, floor: Record, target: str, metric: str | None = None
) -> FloorGap:
    """The gap of a run to one of its floors, a method of this name; `metric` as in `floors_of`."""
    try:
        gap = paired_gap(row, floor, target, metric or shown_metric(row, target))
    except EmbenchError as error:
        return FloorGap(kind, name, floor.run["id"], None, error.what)
    return FloorGap(kind, name, floor.run["id"], Score(mean=gap.mean, low=gap.low, high=gap.high))


def shown_metric(row: Record, target: str) -> str:
    """The headline or, where the run has none, the score inside subjects."""
    headline, scores = row.scores.headlines[target], row.scores.of(target)
    known = (metric for metric in (headline, inside_subjects(headline)) if metric in scores and scores[metric].defined)
    return next(known, headline)
