"""Pages of leaderboards and methods: overview, published numbers, curves and transfer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from embench import registry
from embench.claims.files import Claim, MeasuredClaim, UntestedClaim, installed_claims
from embench.files import digest
from embench.leaderboard.columns import PAGE_COLUMNS, SECONDARY_METRICS, Row, ShownEntry, columns, method_label
from embench.leaderboard.entries import LoadEntry, load_leaderboard_entry
from embench.leaderboard.tables import (
    ANSWERS,
    BY_CHANCE,
    HEADS,
    QUESTIONS,
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
from embench.protocols import load_protocol, protocol_names
from embench.records.manifest import but_for_given
from embench.records.record import format_csv, read_manifest
from embench.records.scores import Score
from embench.records.wording import inside_subjects, method_name
from embench.registry import Question
from embench.report.axis_curves import CURVE_FIELDS, Curve, build_curves
from embench.site.pages import in_one_style, link, render, write_page
from embench.statistics import metric_facts
from embench.statistics.form import ModelLine

# Leaderboards as the pages show them: entries of one dataset, protocol, target and training set.

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
    return {"level": level, "label": row.evidence.name, "text": EVIDENCE[level], "by": by, "on": on}


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
        "suspicious": row.suspicious,
        "cells": {name: [column.value(row), in_one_style(column.text(row))] for name, column in shown.items()},
    }


def _triple(score: Score | None) -> list[float | None] | None:
    """Mean and interval, with as many digits as anybody needs."""
    if not score:
        return None
    return [None if end is None else round(end, 6) for end in (score.mean, *(score.ends or (None, None)))]


# The start page: a line for each question, the best supported one first, and how to read it.


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


# Numbers as papers published them, under protocols of their own: never in one table with rows of the boards.


def published_page(boards: Sequence[Board]) -> str:  # noqa: ARG001  all pages of the site are made alike
    """The page of published numbers, from the claims of installed packages."""
    rows = [row for claim in installed_claims() for row in _rows(claim)]
    papers = [(paper, list(group)) for paper, group in groupby(rows, key=lambda row: row["paper"])]
    return render("published.html", 0, papers=papers)


def _rows(claim: Claim | MeasuredClaim | UntestedClaim) -> list[dict[str, Any]]:
    """One row for each number that was published."""
    if isinstance(claim, UntestedClaim):
        return []
    about = {"paper": claim.paper, "id": claim.id, "claim": claim.claim}
    about |= {"metric": metric_facts(claim.metric).title, "protocol": claim.protocol}
    if isinstance(claim, MeasuredClaim):
        where = ", ".join(claim.datasets)
        return [{**about, "dataset": where, "what": name, "value": value} for name, value in claim.published.items()]
    return [
        {**about, "dataset": dataset, "what": f"difference, {target}", "value": value}
        for dataset, place in claim.datasets.items()
        for target, value in place.published.items()
    ]


# A page for each method: its entries on every leaderboard.


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
    }


# Train here, test there: each method as a row, each pair of training set and test set as a column.


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


# Curves of methods that have rows at several amounts that test subjects give.


@dataclass(frozen=True)
class GivenCurve:
    """A curve of a board's rows. `name`: of the method and protocol. `runs`: the ids of its rows."""

    board: str
    name: str
    runs: tuple[str, ...]
    curve: Curve


def given_curves(entries: Sequence[ShownEntry], load: LoadEntry = load_leaderboard_entry) -> list[GivenCurve]:
    """The curve of each method of which several amounts are published. Raises DataError where an entry is damaged.

    Args:
        load: reads the folders of the entries.
    """
    asked = {name for name in protocol_names() if load_protocol(name).personal}
    alike: dict[tuple[str, str], list[ShownEntry]] = {}
    for entry in entries:
        if entry.protocol in asked:
            run = read_manifest(entry.folder)
            key = repr([run.seeds, *but_for_given(run)])
            alike.setdefault((entry.board, key), []).append(entry)
    return [found for (board, _), those in sorted(alike.items()) for found in _curves(board, those, load)]


def _curves(board: str, entries: Sequence[ShownEntry], load: LoadEntry) -> Iterator[GivenCurve]:
    if len(entries) < 2:
        return
    loaded = [load(entry.folder) for entry in entries]
    runs = [(entry.run.content(), entry.scores) for entry in loaded]
    for curve in build_curves(runs):
        if curve.axis == "given":
            name = f"{method_name(runs[0][0])}, {loaded[0].run.protocol.name}"
            yield GivenCurve(board, name, tuple(entry.id for entry in entries), curve)


def curve_of(curves: Sequence[GivenCurve], run: str) -> Curve | None:
    """The curve that a row is on; None where it is on none."""
    return next((each.curve for each in curves if run in each.runs), None)


def write_given_curves(whole: Path, curves: Sequence[GivenCurve]) -> None:
    """Writes `data/given-curves.csv`, the points of all curves, where there are some. Raises OSError."""
    rows = [{"board": each.board, **point.fields()} for each in curves for point in each.curve.points]
    if rows:
        write_page(whole / "data" / "given-curves.csv", format_csv(rows, ("board", *CURVE_FIELDS)))
