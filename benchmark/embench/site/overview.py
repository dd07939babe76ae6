"""The start page: a line for each question, the best-defended board first, and how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from embench.site.boards import EVIDENCE, Board, defended_first
from embench.site.findings import finding_of
from embench.site.pages import render


def overview_page(boards: Sequence[Board]) -> str:
    """The start page of the site."""
    lines = _lines(boards)
    others = [board for board in boards if board not in lines]
    grouped = {name: list(group) for name, group in groupby(others, key=lambda board: board.dataset)}
    return render("index.html", 0, boards=lines, others=grouped, evidence=EVIDENCE, finding_of=finding_of)


def add_page(boards: Sequence[Board]) -> str:
    """The page on how a method gets a row, with the best-defended board as its example."""
    board = (_lines(boards) or boards)[0]
    return render("add.html", 0, board=board, row=finding_of(board).best)


def _lines(boards: Sequence[Board]) -> list[Board]:
    """A board for each question, the best-defended first."""
    questions: dict[tuple[str, str, str], Board] = {}
    for board in boards:
        if board.current and not board.trained_on:  # the first of a question has most rows, others another access
            questions.setdefault((board.dataset, board.protocol, board.target), board)
    return sorted(questions.values(), key=defended_first)
