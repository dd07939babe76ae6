"""The start page: a line for each question, the best supported one first, and how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from embench.leaderboard.tables import ANSWERS, BY_CHANCE, HEADS, best_supported
from embench.site.boards import EVIDENCE, Board
from embench.site.pages import render


def overview_page(boards: Sequence[Board]) -> str:
    """The start page of the site."""
    lines = _lines(boards)
    others = [board for board in boards if board not in lines]
    grouped = {name: list(group) for name, group in groupby(others, key=lambda board: board.section.dataset)}
    words = {"heads": HEADS, "answers": ANSWERS, "by_chance": BY_CHANCE}
    return render("index.html", 0, boards=lines, others=grouped, evidence=EVIDENCE, **words)


def add_page(boards: Sequence[Board]) -> str:
    """The page on how a method gets an entry, with the first leaderboard as its example."""
    board = (_lines(boards) or boards)[0]
    return render("add.html", 0, board=board, row=board.rows[0])


def _lines(boards: Sequence[Board]) -> list[Board]:
    """A leaderboard for each question, the best supported first."""
    questions: dict[tuple[str, str, str], Board] = {}
    for board in boards:
        of = board.section
        if not (of.leaks or of.trained_on):  # the first of a question has most subjects
            questions.setdefault((of.dataset, of.protocol, of.target), board)
    return sorted(questions.values(), key=lambda board: best_supported(board.section))
