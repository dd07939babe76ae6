"""A page for each method: its entries on every leaderboard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embench.files import digest
from embench.leaderboard.columns import Row, method_label
from embench.leaderboard.tables import QUESTIONS
from embench.site.boards import Board, answer_of, entry_link, evidence_of, rank_text, superseded_text
from embench.site.pages import render, write_page


def write_method_pages(whole: Path, boards: Sequence[Board]) -> None:
    """Writes `methods/index.html` and a page for each method. Raises OSError."""
    methods: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for board in boards:
        for row in board.rows:
            methods.setdefault(row.parts, []).append(_placed(row, board))
    listed = sorted(methods.items())
    pages = [(method_label(parts), method_slug(parts), rows) for parts, rows in listed]
    write_page(whole / "methods" / "index.html", render("methods.html", 1, pages=pages))
    for name, slug, rows in pages:
        write_page(whole / "methods" / f"{slug}.html", render("method.html", 1, name=name, rows=rows))


def method_slug(parts: Sequence[str]) -> str:
    """The name of a method's page: its parts where these are plain, else with a digest.

    >>> method_slug(["cnn_tf", "late"])
    'cnn_tf-late'
    """
    plain = "-".join(parts)
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")[:80]
    return slug if slug == plain and slug != "index" else f"{slug}-{digest(list(parts))[:8]}"


def _placed(row: Row, board: Board) -> dict[str, Any]:
    return {
        "row": row,
        "board": board,
        "score": row.text_of(board.metric),
        "href": entry_link(board.section.dataset, board.section.protocol, row.id),
        "rank": rank_text(row),
        "answers": {name: answer_of(row, name) for name in QUESTIONS},
        "evidence": evidence_of(row),
        "suspicious": row.suspicious,
        "superseded": superseded_text(row),
    }
