"""Leaderboards as the pages show them: entries of one dataset, protocol, target and training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embench import registry
from embench.leaderboard.columns import PAGE_COLUMNS, SECONDARY_METRICS, Row, ShownEntry, columns
from embench.leaderboard.entries import LEVEL_NAMES
from embench.leaderboard.tables import (
    BoardSection,
    Summary,
    answered_questions,
    best_supported,
    dataset_label,
    models_of,
    notes_of,
    score_head,
    summarise,
)
from embench.records.scores import Score
from embench.registry import Question
from embench.site.number_style import in_one_style
from embench.site.pages import link
from embench.statistics.form import ModelLine
from embench.statistics.metrics import metric_facts

EVIDENCE = {
    "self_reported": "reported by its author; nobody else has run it",
    "verified": "its scores were recomputed from its published predictions",
    "spot_checked": "parts of it were run again, with the same result",
    "reproduced": "all of it was run again, with the same result",
}


@dataclass(frozen=True, eq=False)
class Board:
    """A leaderboard: the entries that are shown in one table.

    Args:
        summary: what it shows, in words. `asks`: the target's question; None where the dataset declares none.
        shown: (R,) what the page's table shows of each entry. `pairs`: (R,) what comparisons of entries need, None
            where there is nothing (see `pairing`). `fits`: what entries share of it.
        models: the models without a physiological signal, from best to worst. `notes`: sentences on ranks.
    """

    section: BoardSection
    summary: Summary
    asks: Question | None
    shown: list[dict[str, Any]]
    pairs: list[dict[str, Any] | None]
    fits: dict[str, Any]
    models: list[ModelLine]
    notes: list[str]

    @property
    def rows(self) -> list[Row]:
        """The entries, sorted by the score shown."""
        return self.section.methods

    @property
    def metric(self) -> str:
        """The score shown: the primary metric, or the within-subject score where no entry has it."""
        return self.section.metric

    @property
    def key(self) -> str:
        """The leaderboard's name in the page's address."""
        of = self.section
        parts = [of.target, of.protocol, of.trained_on and f"from {of.trained_on}"]
        return "/".join(filter(None, [*parts, f"{of.people} subjects" if of.people else None]))

    @property
    def title(self) -> str:
        """The leaderboard among those of its dataset."""
        of = self.section
        parts = [f"{of.target}, {of.protocol}", of.trained_on and f"trained on {dataset_label(of.trained_on)}"]
        return ", ".join(filter(None, [*parts, f"{of.people} subjects" if of.people else None]))

    @property
    def data(self) -> dict[str, Any]:
        """Data for the page's scripts."""
        facts = metric_facts(self.metric)
        others = [name for name in SECONDARY_METRICS if name != self.metric]
        asked = {"floors"} if any(row.floors for row in self.rows) else set()
        asked |= {"gain"} if any(row.gains_by for row in self.rows) else set()
        asked |= {"access"} if len({row.target_access for row in self.rows}) > 1 else set()
        best = next((line for line in self.models if not line.score.endswith("always")), None)
        return {
            "key": self.key,
            "metric_name": score_head(self.section),
            "short": facts.short,
            "chance": facts.chance,
            "rows": self.shown,
            "best_model": best and [best.names, best.score, float(best.score.partition(" ")[0])],
            "secondary": [name for name in others if any(row["o"].get(name) for row in self.shown)],
            "questions": answered_questions(self.rows),
            "columns": {
                name: {"title": column.title, "about": column.about, "number": column.number}
                for name, column in columns().items()
            },
            "plain": [{"id": name, "on": on or name in asked} for name, on in PAGE_COLUMNS.items()],
            "pairs": self.pairs,
            "fits": self.fits,
        }


def boards_of(
    sections: Sequence[BoardSection], entries: Sequence[ShownEntry], paired: Mapping[Any, dict[str, Any]]
) -> list[Board]:
    """The leaderboards, those of a dataset together; within it those that rank entries first, with the best
    supported ones before the others, then those trained elsewhere and leaking ones."""
    by_id = {entry.id: entry for entry in entries}
    found = [_of_section(section, by_id, paired) for section in sorted(sections, key=best_supported)]
    return sorted(
        found,
        key=lambda b: (b.section.dataset, b.section.leaks, bool(b.section.trained_on)),
    )


def _of_section(
    section: BoardSection, entries: Mapping[str, ShownEntry], paired: Mapping[Any, dict[str, Any]]
) -> Board:
    rows, metric = section.methods, section.metric
    ranks = metric == rows[0].headline
    found = [paired.get((row.id, section.target)) if ranks else None for row in rows]
    return Board(
        section=section,
        summary=summarise(section),
        asks=registry.questions_of(section.source).get(section.target),
        shown=[_shown(row, metric, entries[row.id], section) for row in rows],
        pairs=[pair and {k: v for k, v in pair.items() if k != "shared"} for pair in found],
        fits={pair["fits"]: pair["shared"] for pair in found if pair},
        models=models_of(section),
        notes=notes_of(section),
    )


def rank_text(row: Row) -> str:
    """The ranks that an entry may have; a dash where it has none."""
    return columns()["rank"].text(row).replace("-", "\N{EN DASH}") if row.rank else "—"


def answer_of(row: Row, question: str) -> list[str]:
    """An answer in a cell: the word, its number, and all that is known of it; empty where it is not asked."""
    found = row.answers.get(question)
    if found is None:
        return []
    number = found.evidence if found.evidence != "see above" and question != "chance" else ""
    return [found.answer, *map(in_one_style, (number.partition(", but ")[0], found.evidence))]


def evidence_of(row: Row) -> dict[str, Any]:
    """Evidence for an entry: level, its explanation, by whom and when."""
    level, by, on = row.evidence.level, row.evidence.by, row.evidence.on
    return {"level": level, "label": LEVEL_NAMES[level], "text": EVIDENCE[level], "by": by, "on": on}


def superseded_text(row: Row) -> str:
    """The reason why an entry no longer counts; empty where it does."""
    about = row.superseded
    return f"superseded by {about.by}, {about.why}, {about.on}" if about else ""


def entry_link(dataset: str, protocol: str, id_: str) -> str:
    """The page of an entry, from the site's first page."""
    return link(dataset, protocol, f"{id_}.html")


def _shown(row: Row, metric: str, entry: ShownEntry, section: BoardSection) -> dict[str, Any]:
    """The part of an entry that the page's table shows; `cells`: value and text in the columns without a drawing."""
    others = [name for name in SECONDARY_METRICS if name not in (metric, row.headline)]
    shown = {name: columns()[name] for name in PAGE_COLUMNS}
    score = row.scored(metric)
    return {
        "id": row.id,
        "href": link(section.protocol, f"{row.id}.html"),
        "name": row.name,
        "details": row.details,
        "signals": row.signals,
        "mods": row.modalities,
        "pre": row.pretrainers,
        "kind": row.method_kind,
        "rank": row.rank,
        "rank_text": rank_text(row),
        "why": row.marks,
        "s": _triple(score),
        "s_text": in_one_style(row.text_of(metric)) if score else "",
        "undefined": "" if score else entry.why_undefined(section.target, metric),
        "o": {name: _triple(score) for name in others if (score := row.scores.get(name))},
        "answers": {name: answer_of(row, name) for name in row.answers if answer_of(row, name)},
        "corrected": row.corrected,
        "evidence": evidence_of(row),
        "superseded": superseded_text(row),
        "suspicious": row.suspicious,
        "cells": {name: [column.value(row), in_one_style(column.text(row))] for name, column in shown.items()},
    }


def _triple(score: Score | None) -> list[float | None] | None:
    """Mean and interval, with as many digits as anybody needs."""
    if not score:
        return None
    return [None if end is None else round(end, 6) for end in (score.mean, *(score.ends or (None, None)))]
