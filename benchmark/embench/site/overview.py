"""The first page: each dataset, what is first on its boards, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from embench.site.boards import EVIDENCE, Board
from embench.site.pages import render


def overview_page(boards: Sequence[Board]) -> str:
    """The first page of the site."""
    datasets = {name: list(group) for name, group in groupby(boards, key=lambda board: board.dataset)}
    return render("index.html", 0, datasets=datasets, evidence=EVIDENCE)
