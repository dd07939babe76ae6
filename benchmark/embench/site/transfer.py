"""Train here, test there: each method as a row, each pair of training set and test set as a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from embench.leaderboard.row import Row
from embench.records.wording import inside_subjects
from embench.site.boards import Board, entry_link
from embench.site.methods import method_slug
from embench.site.pages import render
from embench.statistics.metrics import metric_facts


def transfer_page(boards: Sequence[Board]) -> str:
    """The page of rows that were trained on another dataset, beside those trained where they are tested."""
    return render("transfer.html", 0, tables=_tables(boards))


def _tables(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """A table for each target and tested dataset, of the latest protocol that has such rows."""
    tables = []
    latest: dict[tuple[str, str, str], tuple[bool, str]] = {}
    for b in boards:
        if b.trained_on:
            place = (b.target, b.dataset, b.access)
            latest[place] = max(latest.get(place, (False, "")), (b.current, b.protocol))
    for (target, dataset, access), (_, protocol) in sorted(latest.items()):
        key = (target, protocol, dataset, access)
        chosen = [b for b in boards if (b.target, b.protocol, b.dataset, b.access) == key]
        chosen.sort(key=lambda board: (bool(board.trained_on), board.trained_on or ""))
        headline = chosen[0].headline
        metric = headline if all(b.metric == b.headline for b in chosen) else inside_subjects(headline)
        sources = [board.trained_on or dataset for board in chosen]
        slugs = {_method(row): method_slug(row.parts) for board in chosen if board.trained_on for row in board.rows}
        rows = [
            (" on ".join(method), slug, [_cell(board, method, metric) for board in chosen])
            for method, slug in sorted(slugs.items())
        ]
        about = {
            "target": target,
            "protocol": protocol,
            "dataset": dataset,
            "access": access,
            "superseded_by": chosen[0].superseded_by,
        }
        about |= {"metric": metric, "metric_name": metric_facts(metric).title}
        tables.append({**about, "sources": sources, "rows": rows})
    return tables


def _cell(board: Board, method: tuple[str, str], metric: str) -> dict[str, Any] | None:
    row = next((row for row in board.rows if _method(row) == method), None)
    if row is None:
        return None
    return {"score": row.scored(metric), "href": entry_link(board.dataset, board.protocol, row.id)}


def _method(row: Row) -> tuple[str, str]:
    """Name of a row's method, the same wherever it was trained, and its modalities."""
    plain = replace(row, apart=tuple(text for text in row.apart if not text.startswith("trained on ")))
    return plain.short_name, ", ".join(row.modalities)
