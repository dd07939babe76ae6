"""Train here, test there: each method as a row, each pair of training set and test set as a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embench.records.wording import metric_name, short_row_method_name
from embench.site.boards import UNDEFINED_INSTEAD, Board, entry_link
from embench.site.pages import render


def transfer_page(boards: Sequence[Board]) -> str:
    """The page of rows that were trained on another dataset, beside those trained where they are tested."""
    return render("transfer.html", 0, tables=_tables(boards))


def _tables(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """A table for each target, protocol and tested dataset."""
    tables = []
    elsewhere = {(b.target, b.protocol, b.dataset, b.access) for b in boards if b.trained_on and b.current}
    for target, protocol, dataset, access in sorted(elsewhere):
        here = [
            b
            for b in boards
            if (b.target, b.protocol, b.dataset, b.access) == (target, protocol, dataset, access) and b.current
        ]
        here.sort(key=lambda board: (bool(board.trained_on), board.trained_on or ""))
        metric = here[0].headline if all(b.metric == b.headline for b in here) else UNDEFINED_INSTEAD
        sources = [board.trained_on or dataset for board in here]
        methods = sorted({_method(row) for board in here if board.trained_on for row in board.rows})
        rows = [(" on ".join(method), [_cell(board, method, metric) for board in here]) for method in methods]
        about = {"target": target, "protocol": protocol, "dataset": dataset, "access": access}
        tables.append({**about, "metric": metric, "metric_name": metric_name(metric), "sources": sources, "rows": rows})
    return tables


def _cell(board: Board, method: tuple[str, str], metric: str) -> dict[str, Any] | None:
    row = next((row for row in board.rows if _method(row) == method), None)
    if row is None:
        return None
    score = row["score"] if row["headline"] == metric else row["scores"].get(metric)
    return {"score": score, "href": entry_link(board.dataset, board.protocol, row["id"])}


def _method(row: Mapping[str, Any]) -> tuple[str, str]:
    """What a row's method is called wherever it was trained, and its modalities."""
    plain = {**row, "apart": [text for text in row["apart"] if not text.startswith("trained on ")]}
    return short_row_method_name(plain), ", ".join(row["modalities"])
