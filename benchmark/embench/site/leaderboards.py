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
from embench.leaderboard.columns import PAGE_COLUMNS, SECONDARY_METRICS, EntrySummary, Row, columns, format_method
from embench.leaderboard.entries import LoadEntry, load_leaderboard_entry
from embench.leaderboard.tables import (
    ANSWERS,
    BY_CHANCE,
    HEADS,
    QUESTIONS,
    BoardSection,
    Summary,
    get_dataset_label,
    get_score_header,
    get_support_key,
    list_answered_questions,
    list_models,
    list_notes,
    summarise,
)
from embench.protocols import load_protocol, protocol_names
from embench.records.manifest import get_comparable_facts
from embench.records.record import format_csv, read_manifest
from embench.records.scores import Score
from embench.records.wording import grouped, inside_subjects, method_name
from embench.registry import Question
from embench.report.axis_curves import CURVE_FIELDS, Curve, build_curves
from embench.site.pages import in_one_style, link, render, write_page
from embench.statistics import metric_facts
from embench.statistics.form import ModelLine

# Leaderboards of one dataset, protocol, target and training set, as the pages show them.

EVIDENCE = {
    "self_reported": "reported by its author; nobody else has run it",
    "verified": "its scores were recomputed from its published predictions",
    "spot_checked": "parts of it were run again, with the same result",
    "reproduced": "all of it was run again, with the same result",
}


@dataclass(frozen=True, eq=False)
class Board:
    """A leaderboard: the entries of one table.

    Args:
        summary: the result in words.
        asks: the question behind the target, if the dataset states it.
        table_rows: row of each entry for the page's script.
        pairs: data for comparing each entry with others (see `pairings`), None where there are none.
        fits: digest of a group of comparable entries -> data that these entries share.
        models: the confound-only models from best to worst.
        notes: sentences on ranks.
    """

    section: BoardSection
    summary: Summary
    asks: Question | None
    table_rows: list[dict[str, Any]]
    pairs: list[dict[str, Any] | None]
    fits: dict[str, Any]
    models: list[ModelLine]
    notes: list[str]

    @property
    def rows(self) -> list[Row]:
        """The entries, sorted by the displayed score."""
        return self.section.methods

    @property
    def metric(self) -> str:
        """The displayed metric: the primary metric, or the within-subject score where no entry has it."""
        return self.section.metric

    @property
    def key(self) -> str:
        """The leaderboard's name in page addresses."""
        section = self.section
        subjects = f"{section.people} subjects" if section.people else None
        trained_on = section.trained_on and f"from {section.trained_on}"
        return "/".join(filter(None, [section.target, section.protocol, trained_on, subjects]))

    @property
    def title(self) -> str:
        """The title of the leaderboard among those of its dataset."""
        section = self.section
        subjects = f"{section.people} subjects" if section.people else None
        trained_on = section.trained_on and f"trained on {get_dataset_label(section.trained_on)}"
        return ", ".join(filter(None, [section.target, section.protocol, trained_on, subjects]))

    @property
    def data(self) -> dict[str, Any]:
        """The data that the page's scripts read."""
        facts = metric_facts(self.metric)
        others = [name for name in SECONDARY_METRICS if name != self.metric]
        needed = {"pretraining_comparison"} if any(row.pretraining_comparison for row in self.rows) else set()
        needed |= {"gain"} if any(row.gain_source for row in self.rows) else set()
        needed |= {"access"} if len({row.target_access for row in self.rows}) > 1 else set()
        best = next((line for line in self.models if not line.score.endswith("always")), None)
        return {
            "key": self.key,
            "metric_name": get_score_header(self.section),
            "short": facts.short,
            "chance": facts.chance,
            "rows": self.table_rows,
            "best_model": best and [best.names, best.score, float(best.score.partition(" ")[0])],
            "secondary": [name for name in others if any(row["o"].get(name) for row in self.table_rows)],
            "questions": list_answered_questions(self.rows),
            "columns": {
                name: {"title": column.title, "about": column.about, "number": column.number}
                for name, column in columns().items()
            },
            "plain": [{"id": name, "on": on or name in needed} for name, on in PAGE_COLUMNS.items()],
            "pairs": self.pairs,
            "fits": self.fits,
        }


def build_boards(
    sections: Sequence[BoardSection], entries: Sequence[EntrySummary], paired: Mapping[Any, dict[str, Any]]
) -> list[Board]:
    """Build the leaderboards, sorted by dataset. Within a dataset, leaderboards of leaking protocols come last; before
    them, leaderboards of methods trained on other datasets. Each group is sorted by `get_support_key`.

    Args:
        paired: data for comparing entries, see `pairings`.
    """
    by_id = {entry.id: entry for entry in entries}
    boards = [_build_board(section, by_id, paired) for section in sorted(sections, key=get_support_key)]
    return sorted(boards, key=lambda b: (b.section.dataset, b.section.leaks, bool(b.section.trained_on)))


def _build_board(
    section: BoardSection, entries: Mapping[str, EntrySummary], paired: Mapping[Any, dict[str, Any]]
) -> Board:
    rows, metric = section.methods, section.metric
    is_primary = metric == rows[0].primary_metric
    pairs = [paired.get((row.id, section.target)) if is_primary else None for row in rows]
    return Board(
        section=section,
        summary=summarise(section),
        asks=registry.find_questions(section.source).get(section.target),
        table_rows=[_build_table_row(row, metric, entries[row.id], section) for row in rows],
        pairs=[pair and {k: v for k, v in pair.items() if k != "shared"} for pair in pairs],
        fits={pair["fits"]: pair["shared"] for pair in pairs if pair},
        models=list_models(section),
        notes=list_notes(section),
    )


def rank_text(row: Row) -> str:
    """Format the range of an entry's possible ranks; a dash where it has no rank."""
    return columns()["rank"].text(row).replace("-", "\N{EN DASH}") if row.rank else "—"


def format_answer(row: Row, question: str) -> list[str]:
    """Return [answer to a question, its number, its full evidence] as texts; empty if the question does not apply."""
    answer = row.answers.get(question)
    if answer is None:
        return []
    number = answer.evidence if answer.evidence != "see above" and question != "chance" else ""
    return [answer.answer, *map(in_one_style, (number.partition(", but ")[0], answer.evidence))]


def describe_evidence(row: Row) -> dict[str, Any]:
    """Return how an entry was verified: level, its label and explanation, person and date."""
    level, by, on = row.evidence.level, row.evidence.by, row.evidence.on
    return {"level": level, "label": row.evidence.name, "text": EVIDENCE[level], "by": by, "on": on}


def entry_link(dataset: str, protocol: str, id_: str) -> str:
    """Return the address of an entry's page, relative to the site's first page."""
    return link(dataset, protocol, f"{id_}.html")


def _build_table_row(row: Row, metric: str, entry: EntrySummary, section: BoardSection) -> dict[str, Any]:
    """Build the row of an entry for the page's script; `cells`: column of `PAGE_COLUMNS` -> [value, text]."""
    others = [name for name in SECONDARY_METRICS if name not in (metric, row.primary_metric)]
    columns_shown = {name: columns()[name] for name in PAGE_COLUMNS}
    score = row.get_score(metric)
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
        "s": _list_interval(score),
        "s_text": in_one_style(row.format_metric(metric)) if score else "",
        "undefined": "" if score else entry.explain_undefined(section.target, metric),
        "o": {name: _list_interval(score) for name in others if (score := row.scores.get(name))},
        "answers": {name: format_answer(row, name) for name in row.answers if format_answer(row, name)},
        "corrected": row.corrected,
        "evidence": describe_evidence(row),
        "suspicious": row.suspicious,
        "cells": {name: [column.value(row), in_one_style(column.text(row))] for name, column in columns_shown.items()},
    }


def _list_interval(score: Score | None) -> list[float | None] | None:
    """Return mean, lower and upper bound of a score, rounded; None without a score."""
    if not score:
        return None
    return [None if end is None else round(end, 6) for end in (score.mean, *(score.interval or (None, None)))]


# The start page: a line for each question, sorted by support, and how to read it.


def overview_page(boards: Sequence[Board]) -> str:
    """Render the start page of the site."""
    lines = _select_boards(boards)
    others = [board for board in boards if board not in lines]
    by_dataset = grouped((board.section.dataset, board) for board in others)
    words = {"heads": HEADS, "answers": ANSWERS, "by_chance": BY_CHANCE}
    return render("index.html", 0, boards=lines, others=by_dataset, evidence=EVIDENCE, **words)


def add_page(boards: Sequence[Board]) -> str:
    """Render the page on how to submit a method, with the first leaderboard as an example."""
    board = (_select_boards(boards) or boards)[0]
    return render("add.html", 0, board=board, row=board.rows[0])


def _select_boards(boards: Sequence[Board]) -> list[Board]:
    """Return one leaderboard for each dataset, protocol and target, sorted by `get_support_key`."""
    questions: dict[tuple[str, str, str], Board] = {}
    for board in boards:
        section = board.section
        if not (section.leaks or section.trained_on):  # the first leaderboard of a question has most subjects
            questions.setdefault((section.dataset, section.protocol, section.target), board)
    return sorted(questions.values(), key=lambda board: get_support_key(board.section))


# Numbers published in papers, under other protocols: never in one table with entries of leaderboards.


def published_page(boards: Sequence[Board]) -> str:  # noqa: ARG001  all pages have the same signature
    """Render the page of published numbers, from the claims of installed packages."""
    rows = [row for claim in installed_claims() for row in _list_published(claim)]
    papers = [(paper, list(group)) for paper, group in groupby(rows, key=lambda row: row["paper"])]
    return render("published.html", 0, papers=papers)


def _list_published(claim: Claim | MeasuredClaim | UntestedClaim) -> list[dict[str, Any]]:
    """Return one row for each published number."""
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


# A page for each method, with its entries on every leaderboard.


def write_method_pages(whole: Path, boards: Sequence[Board]) -> None:
    """Write `methods/index.html` and a page for each method. Raises OSError."""
    methods = grouped((row.parts, _describe_place(row, board)) for board in boards for row in board.rows)
    pages = [(format_method(parts), method_slug(parts), rows) for parts, rows in sorted(methods.items())]
    write_page(whole / "methods" / "index.html", render("methods.html", 1, pages=pages))
    for name, slug, rows in pages:
        write_page(whole / "methods" / f"{slug}.html", render("method.html", 1, name=name, rows=rows))


def method_slug(parts: Sequence[str]) -> str:
    """Return the file name of a method's page: its parts, with a digest if they contain special characters.

    >>> method_slug(["cnn_tf", "late"])
    'cnn_tf-late'
    """
    plain = "-".join(parts)
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")[:80]
    return slug if slug == plain and slug != "index" else f"{slug}-{digest(list(parts))[:8]}"


def _describe_place(row: Row, board: Board) -> dict[str, Any]:
    return {
        "row": row,
        "board": board,
        "score": row.format_metric(board.metric),
        "href": entry_link(board.section.dataset, board.section.protocol, row.id),
        "rank": rank_text(row),
        "answers": {name: format_answer(row, name) for name in QUESTIONS},
        "evidence": describe_evidence(row),
        "suspicious": row.suspicious,
    }


# Transfer between datasets: methods as rows, pairs of training and test dataset as columns.


def transfer_page(boards: Sequence[Board]) -> str:
    """Render the page of entries trained on another dataset, next to entries trained on the tested dataset."""
    return render("transfer.html", 0, tables=_build_tables(boards))


def _build_tables(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """Return a table for each target and dataset with entries that were trained on another dataset, under the latest
    protocol of such entries."""
    tables = []
    latest: dict[tuple[str, str], tuple[bool, str]] = {}
    for board in boards:
        if board.section.trained_on:
            place = (board.section.target, board.section.dataset)
            latest[place] = max(latest.get(place, (False, "")), (not board.section.leaks, board.section.protocol))
    for (target, dataset), (_, protocol) in sorted(latest.items()):
        same = [board for board in boards if (board.section.target, board.section.protocol) == (target, protocol)]
        chosen = [board for board in same if board.section.dataset == dataset]
        chosen.sort(key=lambda board: (bool(board.section.trained_on), board.section.trained_on or ""))
        primary_metric = chosen[0].rows[0].primary_metric
        metric = primary_metric if all(b.metric == primary_metric for b in chosen) else inside_subjects(primary_metric)
        sources = [board.section.trained_on or dataset for board in chosen]
        slugs = {_method_key(row): method_slug(row.parts) for b in chosen if b.section.trained_on for row in b.rows}
        rows = [
            (", ".join(filter(None, method)), slug, [_make_cell(board, method, metric) for board in chosen])
            for method, slug in sorted(slugs.items())
        ]
        about: dict[str, Any] = {"target": target, "protocol": protocol, "dataset": dataset}
        about["label"] = get_dataset_label(dataset)
        about["metric_name"] = metric_facts(metric).title
        tables.append({**about, "sources": sources, "rows": rows})
    return tables


def _make_cell(board: Board, method: tuple[str, str, str], metric: str) -> dict[str, Any] | None:
    row = next((row for row in board.rows if _method_key(row) == method), None)
    if row is None:
        return None
    href = entry_link(board.section.dataset, board.section.protocol, row.id)
    return {"score": row.format_metric(metric, ""), "href": href}


def _method_key(row: Row) -> tuple[str, str, str]:
    """Return (name, signals, differences from the plain method), the same for all datasets of training."""
    plain = "; ".join(text for text in row.differences if not text.startswith("trained on "))
    return format_method(row.parts, row.pretrainers), row.signals, plain


# Curves of methods with entries at several amounts of calibration data.


@dataclass(frozen=True)
class CalibrationCurve:
    """A curve over the amount of calibration data: dataset, method and protocol, ids of its entries, and the curve."""

    board: str
    name: str
    runs: tuple[str, ...]
    curve: Curve


def build_calibration_curves(
    entries: Sequence[EntrySummary], load: LoadEntry = load_leaderboard_entry
) -> list[CalibrationCurve]:
    """Build the curve of each method with entries at several amounts of calibration data. Raises DataError where an
    entry is damaged.

    Args:
        load: function that loads an entry from its folder.
    """
    personal = {name for name in protocol_names() if load_protocol(name).personal}

    def key(entry: EntrySummary) -> tuple[str, str]:
        run = read_manifest(entry.folder)
        return entry.board, repr([run.seeds, *get_comparable_facts(run)])

    groups = grouped((key(entry), entry) for entry in entries if entry.protocol in personal)
    return [curve for (board, _), members in sorted(groups.items()) for curve in _build_curves(board, members, load)]


def _build_curves(board: str, entries: Sequence[EntrySummary], load: LoadEntry) -> Iterator[CalibrationCurve]:
    if len(entries) < 2:
        return
    loaded = [load(entry.folder) for entry in entries]
    runs = [(entry.run.content(), entry.scores) for entry in loaded]
    for curve in build_curves(runs):
        if curve.axis == "calibration_data":
            name = f"{method_name(runs[0][0])}, {loaded[0].run.protocol.name}"
            yield CalibrationCurve(board, name, tuple(entry.id for entry in entries), curve)


def find_curve(curves: Sequence[CalibrationCurve], run: str) -> Curve | None:
    """Return the curve that contains the entry with the id `run`; None where there is none."""
    return next((each.curve for each in curves if run in each.runs), None)


def write_calibration_curves(whole: Path, curves: Sequence[CalibrationCurve]) -> None:
    """Write the points of all curves to `data/given-curves.csv`, if there are any. Raises OSError."""
    rows = [{"board": each.board, **point.fields()} for each in curves for point in each.curve.points]
    if rows:
        write_page(whole / "data" / "given-curves.csv", format_csv(rows, ("board", *CURVE_FIELDS)))
