"""Curves of methods that have rows at several amounts that test subjects give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embench.leaderboard.columns import ShownEntry
from embench.leaderboard.entries import LoadEntry, load_leaderboard_entry
from embench.protocols import load_protocol, protocol_names
from embench.records.manifest import but_for_given
from embench.records.record import format_csv, read_manifest
from embench.records.wording import method_name
from embench.report.axis_curves import CURVE_FIELDS, Curve, build_curves
from embench.site.pages import write_page


@dataclass(frozen=True)
class GivenCurve:
    """A curve of a board's rows. `name`: of the method and protocol. `runs`: the ids of its rows."""

    board: str
    name: str
    runs: tuple[str, ...]
    curve: Curve


def given_curves(entries: Sequence[ShownEntry], load: LoadEntry = load_leaderboard_entry) -> list[GivenCurve]:
    """The curve of each method of which several amounts are published. Raises DataError where an entry is damaged.

    Args:
        load: reads the folders of the entries.
    """
    asked = {name for name in protocol_names() if load_protocol(name).personal}
    alike: dict[tuple[str, str], list[ShownEntry]] = {}
    for entry in entries:
        shown = any(row.superseded is None for row in entry.rows.values())
        if entry.protocol in asked and shown:
            run = read_manifest(entry.folder)
            key = repr([run.seeds, *but_for_given(run)])
            alike.setdefault((entry.board, key), []).append(entry)
    return [found for (board, _), those in sorted(alike.items()) for found in _curves(board, those, load)]


def _curves(board: str, entries: Sequence[ShownEntry], load: LoadEntry) -> Iterator[GivenCurve]:
    if len(entries) < 2:
        return
    loaded = [load(entry.folder) for entry in entries]
    runs = [(entry.run.content(), entry.scores) for entry in loaded]
    for curve in build_curves(runs):
        if curve.axis == "given":
            name = f"{method_name(runs[0][0])}, {loaded[0].run.protocol.name}"
            yield GivenCurve(board, name, tuple(entry.id for entry in entries), curve)


def curve_of(curves: Sequence[GivenCurve], run: str) -> Curve | None:
    """The curve that a row is on; None where it is on none."""
    return next((each.curve for each in curves if run in each.runs), None)


def write_given_curves(whole: Path, curves: Sequence[GivenCurve]) -> None:
    """Writes `data/given-curves.csv`, the points of all curves, where there are some. Raises OSError."""
    rows = [{"board": each.board, **point.fields()} for each in curves for point in each.curve.points]
    if rows:
        write_page(whole / "data" / "given-curves.csv", format_csv(rows, ("board", *CURVE_FIELDS)))
