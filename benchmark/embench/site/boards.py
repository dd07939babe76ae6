"""Boards as the pages show them: rows of one dataset, protocol, target, training set and access to test subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from embench import registry
from embench.leaderboard.attestations import LEVEL_NAMES
from embench.leaderboard.board import luck_sentence
from embench.leaderboard.columns import PAGE_COLUMNS, SECONDARY_METRICS, columns
from embench.leaderboard.row import Row, ShownEntry
from embench.leaderboard.rows import class_of
from embench.leaderboard.sections import BoardSection
from embench.records.scores import Score
from embench.records.wording import inside_subjects, is_by_construction
from embench.registry import Question
from embench.site.number_style import in_one_style
from embench.site.pages import link
from embench.statistics.many_rows import ManyRows
from embench.statistics.metrics import metric_facts

EVIDENCE = {
    "self_reported": "published by its author; nobody else has run it",
    "verified": "its scores were recomputed from its published predictions",
    "spot_checked": "parts of it were run again, with the same result",
    "reproduced": "all of it was run again, with the same result",
}

_OF_SECTION = ("dataset", "protocol", "target", "trained_on", "leaks", "superseded_by", "adding", "people")


@dataclass(frozen=True, eq=False)
class Board:
    """Rows that are shown in one table.

    Args:
        metric: the score shown: the headline, or that inside subjects where no row has a headline.
        rows: of methods, in the order of the leaderboard. `shown`: (R,) what the page's table shows of each. `pairs`:
            (R,) what comparisons of rows need, None where there is nothing (see `pairing`). `fits`: what rows share
            of it.
        unranked: why nothing is ranked, as a sentence; empty where something is.
        adding: how many rows of the section add to clock and movement; None where that is not asked. `adding_fully`:
            how many of them also add to a clock that movement sets.
        asks: the target's question; None where the dataset declares none.
        luck: how far the best row would lead by luck, as a sentence; empty where nothing is ranked.
        several_access: whether the section has rows of another access to data of the test subjects.
    """

    dataset: str
    protocol: str
    target: str
    trained_on: str | None
    access: str
    leaks: bool
    superseded_by: str | None
    adding: ManyRows | None
    people: int | None
    headline: str
    metric: str
    rows: list[Row]
    controls: list[Row]
    shown: list[dict[str, Any]]
    pairs: list[dict[str, Any] | None]
    fits: dict[str, Any]
    unranked: str
    luck: str
    several_access: bool
    asks: Question | None
    adding_fully: int

    @property
    def key(self) -> str:
        """The board's name in the page's address."""
        parts = [self.target, self.protocol, self.trained_on and f"from {self.trained_on}"]
        parts += [f"{self.people} subjects" if self.people else None]
        return "/".join(filter(None, [*parts, self.access if self.several_access else None]))

    @property
    def title(self) -> str:
        """The board among those of its dataset."""
        parts = [f"{self.target}, {self.protocol}", self.trained_on and f"trained on {self.trained_on}"]
        parts += [f"{self.people} subjects" if self.people else None]
        parts += [f"access to test subjects: {self.access}" if self.several_access else None]
        return ", ".join(filter(None, parts))

    @property
    def current(self) -> bool:
        """True if it takes new rows that are ranked."""
        return not self.leaks and not self.superseded_by

    @property
    def undefined(self) -> bool:
        """True where no row has the headline."""
        return self.metric != self.headline

    @property
    def subjects(self) -> str:
        """Number of tested subjects."""
        return _span([row.subjects for row in self.rows])

    @property
    def above_chance(self) -> str:
        """A sentence on the number of rows above chance; empty where chance is unknown."""
        level, scores = metric_facts(self.metric).chance, [row["s"] for row in self.shown if row["s"]]
        if level is None:
            return ""
        above = sum(low is not None and low > level for _, low, _ in scores)
        return f"{above} of {len(scores)} rows {'lies' if above == 1 else 'lie'} above chance"

    @property
    def cleared(self) -> int | None:
        """Number of rows above all controls under protocols that do not ask what rows add; None where it is unknown."""
        compared = [row for row in self.rows if row.controls and row.score]
        return sum(not row.not_cleared for row in compared) if compared and not self.adding else None

    @property
    def data(self) -> dict[str, Any]:
        """Data for the page's scripts."""
        facts = metric_facts(self.metric)
        others = [name for name in SECONDARY_METRICS if name != self.metric]
        asked = {"floors"} if any(row.floors for row in self.rows) else set()
        asked |= {"gain"} if any(row.gains_by for row in self.rows) else set()
        return {
            "key": self.key,
            "metric": self.metric,
            "metric_name": facts.title,
            "headline": self.headline,
            "chance": facts.chance,
            "rows": self.shown,
            "controls": [_control(row, self.metric) for row in self.controls],
            "secondary": [name for name in others if any(row["o"].get(name) for row in self.shown)],
            "columns": {
                name: {"title": column.title, "about": column.about, "number": column.number}
                for name, column in columns().items()
            },
            "plain": [{"id": name, "on": on or name in asked} for name, on in PAGE_COLUMNS.items()],
            "pairs": self.pairs,
            "fits": self.fits,
            "leaks": self.leaks,
            "asked": self.adding is not None,
        }


def boards_of(
    sections: Sequence[BoardSection], entries: Sequence[ShownEntry], paired: Mapping[Any, dict[str, Any]]
) -> list[Board]:
    """The boards, those of a dataset together; within it those that take new rows first, the best-defended before the
    others, then boards of rows trained elsewhere, superseded and leaking ones."""
    by_id = {entry.id: entry for entry in entries}
    found = [board for section in sections for board in _of_section(section, by_id, paired)]
    found.sort(key=defended_first)
    return sorted(found, key=lambda b: (b.dataset, b.leaks, bool(b.superseded_by), bool(b.trained_on)))


def defended_first(board: Board) -> tuple[Any, ...]:
    """Sorts the best-defended boards first: those with a headline, then with a test of what rows add, then with more
    rows that add than luck explains."""
    adding = board.adding
    share = adding.adding / adding.asked if adding else 0.0
    return board.undefined, adding is None, not (adding and adding.beyond_luck), -share, -len(board.rows)


def _of_section(
    section: BoardSection, entries: Mapping[str, ShownEntry], paired: Mapping[Any, dict[str, Any]]
) -> list[Board]:
    methods = section.methods
    several = len(set(map(class_of, methods))) > 1
    boards = []
    for access, group in groupby(methods, key=class_of):
        rows = list(group)
        headline = Counter(row.headline for row in rows).most_common(1)[0][0]
        metric = headline if any(row.scored(headline) for row in rows) else inside_subjects(headline)
        rows.sort(key=lambda row: 0 if row.rank else 1)  # stable: those without a rank keep their order below
        if metric != headline and not section.adding:  # rows that add stay first
            rows.sort(key=lambda row: -mean_or_least(row.scored(metric)))
        found = [paired.get((row.id, section.target)) if metric == headline else None for row in rows]
        keys = {pair["fits"]: pair["shared"] for pair in found if pair}
        boards.append(
            Board(
                **{name: getattr(section, name) for name in _OF_SECTION},
                access=access,
                headline=headline,
                metric=metric,
                rows=rows,
                controls=section.controls,
                shown=[_shown(row, metric, entries[row.id], section) for row in rows],
                pairs=[pair and {k: v for k, v in pair.items() if k != "shared"} for pair in found],
                fits=keys,
                unranked=section.unranked,
                luck=luck_sentence(section.rankings.get(access)),
                several_access=several,
                asks=registry.questions_of(entries[rows[0].id].dataset).get(section.target),
                adding_fully=sum(row.does_add and _adds_fully(row) for row in methods),
            )
        )
    return boards


def _adds_fully(row: Row) -> bool:
    at = row.adds.levels.get("full") if row.adds else None
    return bool(at and at.adds)


def rank_text(row: Row) -> str:
    """The ranks that a row may have; a dash where it has none."""
    return columns()["rank"].text(row).replace("-", "\N{EN DASH}") if row.rank else "—"


def controls_text(row: Row) -> str:
    """Text on what a row adds, or on the controls that it is above."""
    if row.adds is not None:
        if row.adds.decides is None:
            return "not computed"
        return in_one_style(columns()["adds"].text(row))
    if not row.score:
        return "not compared: the primary metric cannot be estimated"
    if not row.controls:
        return "no control was scored"
    return columns()["controls"].text(row) + ("" if row.not_cleared else " controls")


def evidence_of(row: Row) -> dict[str, Any]:
    """Evidence for a row: level, its explanation, by whom and when."""
    level, by, on = row.evidence.level, row.evidence.by, row.evidence.on
    return {"level": level, "label": LEVEL_NAMES[level], "text": EVIDENCE[level], "by": by, "on": on}


def superseded_text(row: Row) -> str:
    """The reason why a row no longer counts; empty where it does."""
    about = row.superseded
    return f"superseded by {about.by}, {about.why}, {about.on}" if about else ""


def entry_link(dataset: str, protocol: str, id_: str) -> str:
    """The page of an entry, from the site's first page."""
    return link(dataset, protocol, f"{id_}.html")


def _shown(row: Row, metric: str, entry: ShownEntry, section: BoardSection) -> dict[str, Any]:
    """The part of a row that the page's table shows; `cells`: value and text in the columns that need no drawing."""
    others = [name for name in SECONDARY_METRICS if name not in (metric, row.headline)]
    shown = {name: columns()[name] for name in PAGE_COLUMNS}
    return {
        "id": row.id,
        "href": link(section.protocol, f"{row.id}.html"),
        "name": row.name,
        "mods": row.modalities,
        "pre": row.pretrainers,
        "kind": row.method_kind,
        "rank": row.rank,
        "rank_text": rank_text(row),
        "why": row.marks,
        "s": _triple(row.scored(metric)),
        "undefined": "" if row.scored(metric) else entry.why_undefined(section.target, metric),
        "o": {name: _triple(score) for name in others if (score := row.scores.get(name))},
        "controls": row.controls,
        "not_cleared": row.not_cleared,
        **({"adds": [row.does_add, controls_text(row)]} if row.adds else {}),
        "evidence": evidence_of(row),
        "superseded": superseded_text(row),
        "suspicious": row.suspicious,
        "cells": {name: [column.value(row), in_one_style(column.text(row))] for name, column in shown.items()},
    }


def _control(row: Row, metric: str) -> dict[str, Any]:
    score = row.scored(metric)
    return {
        "name": row.name,
        "s": _triple(score),
        "fixed": is_by_construction(score),
        "o": {name: _triple(s) for name, s in row.scores.items() if s},
    }


def mean_or_least(score: Score | None) -> float:
    """The mean of a score, for an order; below all numbers where there is none."""
    return score.mean if score else float("-inf")


def _triple(score: Score | None) -> list[float | None] | None:
    """Mean and interval, with as many digits as anybody needs."""
    if not score:
        return None
    return [None if end is None else round(end, 6) for end in (score.mean, *(score.ends or (None, None)))]


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
