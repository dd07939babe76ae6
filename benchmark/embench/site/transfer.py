"""Train here, test there: each method as a row, each pair of training set and test set as a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embench.leaderboard.columns import Row, method_label
from embench.leaderboard.tables import dataset_label
from embench.records.wording import inside_subjects
from embench.site.boards import Board, entry_link
from embench.site.methods import method_slug
from embench.site.pages import render
from embench.statistics.metrics import metric_facts


def transfer_page(boards: Sequence[Board]) -> str:
    """The page of entries that were trained on another dataset, beside those trained where they are tested."""
    return render("transfer.html", 0, tables=_tables(boards))


def _tables(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """A table for each target and tested dataset, of the latest protocol that has such entries."""
    tables = []
    latest: dict[tuple[str, str], tuple[bool, str]] = {}
    for board in boards:
        if board.section.trained_on:
            place = (board.section.target, board.section.dataset)
            latest[place] = max(latest.get(place, (False, "")), (not board.section.leaks, board.section.protocol))
    for (target, dataset), (_, protocol) in sorted(latest.items()):
        chosen = [board for board in boards if _place(board) == (target, protocol, dataset)]
        chosen.sort(key=lambda board: (bool(board.section.trained_on), board.section.trained_on or ""))
        headline = chosen[0].rows[0].headline
        metric = headline if all(b.metric == headline for b in chosen) else inside_subjects(headline)
        sources = [board.section.trained_on or dataset for board in chosen]
        slugs = {_method(row): method_slug(row.parts) for b in chosen if b.section.trained_on for row in b.rows}
        rows = [
            (", ".join(filter(None, method)), slug, [_cell(board, method, metric) for board in chosen])
            for method, slug in sorted(slugs.items())
        ]
        about: dict[str, Any] = {"target": target, "protocol": protocol, "dataset": dataset}
        about["label"] = dataset_label(dataset)
        about["metric_name"] = metric_facts(metric).title
        tables.append({**about, "sources": sources, "rows": rows})
    return tables


def _place(board: Board) -> tuple[str, str, str]:
    return board.section.target, board.section.protocol, board.section.dataset


def _cell(board: Board, method: tuple[str, str, str], metric: str) -> dict[str, Any] | None:
    row = next((row for row in board.rows if _method(row) == method), None)
    if row is None:
        return None
    href = entry_link(board.section.dataset, board.section.protocol, row.id)
    return {"score": row.text_of(metric, ""), "href": href}


def _method(row: Row) -> tuple[str, str, str]:
    """A method, the same wherever it was trained: its name, its signals, and other differences."""
    plain = "; ".join(text for text in row.apart if not text.startswith("trained on "))
    return method_label(row.parts, row.pretrainers), row.signals, plain
