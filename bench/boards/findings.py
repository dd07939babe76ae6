"""`docs/findings.md`, written from the published entries: `findings.md.j2` has the words, this module the figures.

Not one figure is typed. A sentence names the row that it rests on, with its interval and how often the test labels had
been opened; where an interval includes the bound it says *not shown*, never *is not*.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from bench import ROOT
from bench.boards.published import (
    CLOCK,
    EVERY,
    MOVEMENT,
    REGISTERED,
    TASKS,
    WITHIN,
    Board,
    best_first,
    compared,
    figure,
    headline,
    looks_at,
    low,
    metric_of,
    modalities,
    name_of,
    rows_of,
    section_of,
    shown,
    standing,
)
from bench.boards.rows import BEFORE, FIXED
from embench.leaderboard.entries import LeaderboardEntry
from embench.records.scores import AddsAt, Score


class Told(NamedTuple):
    """Facts of a board for the page."""

    board: Board
    first: LeaderboardEntry
    """The row with the highest score."""

    @property
    def rows(self) -> list[LeaderboardEntry]:
        return rows_of(self.board)

    @property
    def metric(self) -> str:
        return metric_of(self.board)

    @property
    def ranked(self) -> bool:
        """True if the headline can be estimated."""
        return self.metric == headline(self.first, self.board)

    @property
    def first_above(self) -> bool:
        """True if the first row lies above chance."""
        return low(self.first.score(self.board.target, self.metric)) > 0.5

    @property
    def above(self) -> int:
        """Number of rows above chance."""
        return sum(low(e.score(self.board.target, self.metric)) > 0.5 for e in self.rows)

    @property
    def asked(self) -> list[tuple[LeaderboardEntry, AddsAt]]:
        """The rows of which it is asked what they add, the largest effect first."""
        found = [(e, adds.decides) for e in self.rows if (adds := e.scores.adds(self.board.target)) and adds.decides]
        return sorted(found, key=lambda row: -row[1].effect.mean)

    @property
    def adding(self) -> list[tuple[LeaderboardEntry, AddsAt]]:
        """Rows that add."""
        return [(e, at) for e, at in self.asked if at.adds]

    def at(self, level: str) -> list[LeaderboardEntry]:
        """Rows that add at a level, whichever decides."""
        found = [(e, e.scores.adds(self.board.target)) for e, _ in self.asked]
        return [e for e, adds in found if adds and adds.levels[level].adds]

    @property
    def subjects(self) -> int:
        return self.first.run.cohort.size

    @property
    def partners(self) -> int:
        """Number of subjects who have another one with a session of like length."""
        return self.asked[0][1].score.subjects

    @property
    def correlated(self) -> list[tuple[LeaderboardEntry, AddsAt]]:
        """Rows whose partial correlation lies above 0, whatever is left of their scores."""
        return [(e, at) for e, at in self.asked if low(at.effect) > 0]

    @property
    def luck(self) -> int:
        """Number of rows that would add by luck, at most."""
        adding = section_of(self.board).adding
        return adding.by_luck if adding else 0

    @property
    def counted(self) -> str:
        """A sentence on the rows that add, and those that would by luck."""
        adding = section_of(self.board).adding
        return adding.sentence if adding else ""

    def control(self, name: str, metric: str | None = None) -> Score | None:
        """The score of a control, as in the first row."""
        return self.first.scores.score(self.board.target, metric or self.metric, name)


TEMPLATE = Path(__file__).with_name("findings.md.j2")


def link(entry: LeaderboardEntry, board: Board) -> str:
    """The row's name, linked to its entry, with the looks."""
    return f"{place(entry)} (labels opened at least {looks_at(board)} times)"


def place(entry: LeaderboardEntry) -> str:
    """The row's name, linked to its entry."""
    return f"[{name_of(entry)}](../{entry.folder.relative_to(ROOT).as_posix()})"


def alone(entry: LeaderboardEntry, board: Board) -> str:
    """Number of seeds in which a row adds when taken alone, of all."""
    adds = entry.scores.adds(board.target)
    seeds = adds.seeds if adds else {}
    return f"{sum(seeds.values())} of {len(seeds)}"


def best_of(board: Board, read: str, protocol: str = FIXED) -> tuple[LeaderboardEntry, Score]:
    """The row with the highest score that reads these modalities alone."""
    return next((entry, score) for entry, score in best_first(board, protocol) if modalities(entry) == read)


def gap(one: LeaderboardEntry, other: LeaderboardEntry, board: Board) -> Score:
    """The paired difference of two rows in the score that their board shows."""
    return compared(one.folder, other.folder, board.target, metric_of(board)).difference


def verdict(difference: Score) -> str:
    """Verdict on a paired difference.

    >>> verdict(Score(mean=0.1, low=0.02, high=0.18)), verdict(Score(mean=0.1, low=-0.02, high=0.22))
    ('shown to be higher', 'not shown to be higher')
    """
    return "shown to be higher" if low(difference) > 0 else "not shown to be higher"


def written() -> str:
    """The page, its tables still empty."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  Markdown
    )
    environment.filters |= {"shown": shown, "figure": figure}
    found: Sequence[Told] = [Told(board, best_first(board)[0][0]) for board in standing()]
    page = environment.get_template(TEMPLATE.name).render(
        boards={f"{b.board.dataset} {b.board.target}": b for b in found},
        before={f"{b.dataset} {b.target}": (b, best_first(b, BEFORE)) for b in EVERY if rows_of(b, BEFORE)},
        missing=[board for board in EVERY if not rows_of(board)],
        link=link,
        place=place,
        alone=alone,
        best_of=best_of,
        gap=gap,
        verdict=verdict,
        clock=CLOCK,
        movement=MOVEMENT,
        registered=REGISTERED,
        within=WITHIN,
        protocol=FIXED,
        tasks=TASKS,
    )
    return "\n\n".join(_wrapped(block) for block in re.split(r"\n{2,}", page.strip())) + "\n"


def _wrapped(block: str) -> str:
    """A paragraph or a list, in lines as long as those of other pages."""
    if block.startswith(("#", "|", "<!--")):
        return block
    items = re.split(r"\n(?=\s*- )", block)
    return "\n".join(_filled(item) for item in items)


def _filled(item: str) -> str:
    mark = re.match(r"\s*(?:- )?", item)
    indent = " " * len(mark[0]) if mark else ""
    return textwrap.fill(
        " ".join(item.split()),
        120,
        initial_indent=indent.removesuffix("  ") if mark and mark[0].endswith("- ") else "",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
