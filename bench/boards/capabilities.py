"""The table of what each capability gains: entries of the set `capabilities-v1` beside the same method without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from bench.boards.published import Board, Row, figure, published, question, shown
from bench.boards.rows import DATASETS, leaderboard_rows
from bench.markdown import table
from embench.leaderboard.entries import LeaderboardEntry
from embench.planning.request import Request
from embench.sets.rows import BaselineRow
from embench.statistics.gains import compare_curves
from embench.statistics.intervals import Estimate

HEADS = ("leaderboard", "method", "what", "score", "without", "difference", "p")
_FIELDS = {
    "calibration_data": "{} labelled units of each class",
    "label_subjects": "labels of {} subjects",
    "label_fraction": "{} of the labels",
    "drop": "tested without {}",
}
"""Field of a request -> what it means in the table."""
_TRIVIAL = "signal_mean"
_CONTINUOUS = "continuous target; without: signal means with ridge regression"
"""What rows that name their targets show: in this set, these are continuous."""


class Gain(NamedTuple):
    """A published row of the set, what it shows, and the same method without it where that is published.

    `difference` and `p` are None where predictions are not public."""

    own: Row
    what: str
    plain: Row | None
    difference: Estimate | None
    p: float | None


@cache
def measure_gains() -> list[Gain]:
    """Return the published rows of the set, each beside the same method without its capability."""
    rows = [row for dataset in DATASETS for row in leaderboard_rows(dataset, "capabilities-v1")]
    return [gain for row in rows for gain in _measure(row)]


def capabilities() -> str:
    """Table of each published row of the set: its score, that without the capability, and their paired difference."""
    lines = [
        [
            gain.own.board.title,
            gain.own.estimator.partition(",")[0],
            gain.what,
            shown(gain.own.score()),
            shown(gain.plain.score()) if gain.plain else "—",
            shown(gain.difference, "+.3f"),
            "—" if gain.p is None else figure(gain.p),
        ]
        for gain in measure_gains()
    ]
    return table(HEADS, lines) if lines else "No entry of the set is published."


def _measure(row: BaselineRow) -> Iterator[Gain]:
    """Yield the gains of a row of the set, one for each target of its entry."""
    request, what = row.request, _describe(row)
    entry = _find(request, tuned=bool(row.search))
    if entry is None or not what:
        return
    without = {**dict.fromkeys(_FIELDS), "calibration_data": request.calibration_data and "0", "pretrainers": ()}
    without |= {"encoders": (_TRIVIAL,), "fusion": "ridge"} if what == _CONTINUOUS else {}
    other = _find(replace(request, **without))
    for target in entry.targets:
        own, plain = (Row(each, _board(each, target)) if each else None for each in (entry, other))
        yield Gain(own, what, plain, *_compare(own, plain))


def _describe(row: BaselineRow) -> str:
    """Return the capability of a row in words; empty if it is a reference."""
    request, found = row.request, [f"tuned, {row.search.trials} trials"] if row.search else []
    reference = {"calibration_data": "0", "label_subjects": "all", "label_fraction": "1"}
    found += [
        text.format(value)
        for name, text in _FIELDS.items()
        if (value := getattr(request, name)) not in (None, reference.get(name))
    ]
    found += [f"pretrained by {', '.join(request.pretrainers)}"] if request.pretrainers else []
    if row.request.targets and row.request.encoders != (_TRIVIAL,):
        found.append(_CONTINUOUS)
    return "; ".join(found)


def _find(request: Request, *, tuned: bool = False) -> LeaderboardEntry | None:
    return published().get(question({**vars(request), "tuned": tuned}))


def _board(entry: LeaderboardEntry, target: str) -> Board:
    return Board(entry.board, target, entry.run.protocol.name)


def _compare(own: Row, plain: Row | None) -> tuple[Estimate | None, float | None]:
    """Return the difference and its p; None where the reference is missing, or predictions are not public."""
    if plain is None or not own.is_open:
        return None, None
    if own.run.calibration_data is None:
        gap = own.against(plain)
        return gap.difference, gap.p
    (found,) = compare_curves([own.record, plain.record], targets=[own.board.target], metric=own.board.metric)
    (gain,) = found.gains
    return gain.difference, gain.p
