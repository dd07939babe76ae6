"""Results of a challenge: the leaderboard, shared ranks, and the report."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from embench.challenge.form import ChallengePart
from embench.challenge.optimism import describe_best_of
from embench.files import read_text, reading, write_text
from embench.records.record import format_csv
from embench.records.scores import Score
from embench.records.wording import counted, number_in_words
from embench.statistics import metric_facts
from embench.statistics.intervals import ALPHA, HALF_INTERVAL
from embench.vocabulary import escape_formula, label, markdown, table_in_markdown

RESULTS_FILE, OPENING_FILE, REPORT_FILE, BOARD_FILE = "results.json", "opening.json", "report.md", "leaderboard.csv"
STATUS_FILE, REGISTERED_FILE, KEPT_FOLDER, FINAL_FOLDER = "status.csv", "teams.csv", "submissions", "final"
BOARD_COLUMNS = ("rank", "team", "method", "score", "low", "high", "above_chance", "given_confounds", "rerun")
PUBLISHED_DIGITS = 3
TOLERATED_DIFFERENCE = 0.01
"""Largest difference in score of a method that was run again from its code."""
FIRST = 3
"""Number of teams, best first, whose methods are run again."""
Rerun = Literal["", "to do", "same", "differs"]


class Pair(ChallengePart):
    """Two teams, the difference of the first from the second, the ends of its interval, and the corrected p."""

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p_holm: float


class ResultRow(ChallengePart):
    """A line of the final leaderboard. `rank` is 0 for an affiliated team. `reasons`: question, or `score` -> why it
    has no answer or number."""

    rank: int
    team: str
    method: str
    sha256: str
    score: float | None
    low: float | None
    high: float | None
    answers: dict[str, str]
    reasons: dict[str, str]
    affiliated: bool
    rerun: Rerun = ""


class Results(ChallengePart):
    """The content of results.json.

    Args:
        metric: the primary metric. `confound_only`: model -> score with interval, or None if it is undefined.
        undefined: confound-only model -> why it has no score.
        pairs: for each pair of teams, the difference with its interval, and the corrected p.
        registered: number of teams. `submissions`: state -> number of submissions.
        is_final: whether the first three were run again from their code.
    """

    challenge: str
    closed: dt.datetime
    demonstration: bool
    synthetic: bool
    metric: str
    chance: float | None
    subjects: int
    registered: int
    submissions: dict[str, int]
    rows: tuple[ResultRow, ...]
    confound_only: dict[str, tuple[float, float | None, float | None] | None]
    undefined: dict[str, str]
    pairs: tuple[Pair, ...]
    sentences: tuple[str, ...] = ()
    is_final: bool = False


def rank_teams(scores: Mapping[str, float | None], pairs: Sequence[Pair]) -> dict[str, int]:
    """Return team -> rank: 1, plus the number of teams that are better by a significant paired difference. Teams that
    nothing tells apart share a rank, and a team without a score is last.

    Args:
        scores: team -> score of which more is better, None if undefined. `pairs`: see `Results`.

    >>> apart = Pair(first="a", second="c", difference=0.2, low=0.1, high=0.3, p_holm=0.01)
    >>> rank_teams({"a": 0.7, "b": 0.69, "c": 0.5}, [apart])
    {'a': 1, 'b': 1, 'c': 2}
    """
    worse_than: dict[str, set[str]] = {team: set() for team in scores}
    for pair in pairs:
        names = (pair.first, pair.second)
        if pair.p_holm < ALPHA and pair.difference and all(name in scores for name in names):
            better, worse = names if pair.difference > 0 else names[::-1]
            worse_than[worse].add(better)
    defined = [team for team, score in scores.items() if score is not None]
    return {team: 1 + len(worse_than[team]) if scores[team] is not None else len(defined) + 1 for team in scores}


def finish_results(found: Results) -> Results:
    """Return results with rounded numbers and all that follows from these: ranks, order, sentences, and which methods
    have to be run again."""
    found = Results.model_validate(round_published(found.model_dump(mode="json")), strict=False)
    ranks = rank_teams({row.team: row.score for row in found.rows if not row.affiliated}, found.pairs)
    rows = [row.model_copy(update={"rank": ranks.get(row.team, 0)}) for row in found.rows]
    rows.sort(key=lambda row: (row.rank == 0, -(row.score if row.score is not None else -math.inf), row.team))
    first = {row.team for row in [row for row in rows if row.rank][:FIRST]}
    rows = [row.model_copy(update={"rerun": (row.rerun or "to do") if row.team in first else ""}) for row in rows]
    return found.model_copy(
        update={
            "rows": tuple(rows),
            "sentences": tuple(_list_sentences(rows, found)),
            "is_final": not any(row.rerun == "to do" for row in rows),
        }
    )


def _list_sentences(rows: Sequence[ResultRow], found: Results) -> list[str]:
    """Return what the leaderboard can and cannot say, in sentences."""
    apart = sum(pair.p_holm < ALPHA for pair in found.pairs)
    others = "; the others share their rank or differ by chance" if apart < len(found.pairs) else ""
    told = number_in_words(apart) if apart else "none"
    pairs = f"{told} of {counted(len(found.pairs), 'pair')} of teams can be told apart{others}."
    sentences = [pairs[0].upper() + pairs[1:]] if found.pairs else []
    halves = [(row.high - row.low) / 2 for row in rows if row.low is not None and row.high is not None]
    if halves:
        sentences.append(describe_best_of(statistics.median(halves) / HALF_INTERVAL))
    known = {name: numbers for name, numbers in found.confound_only.items() if numbers is not None}
    if known:
        strongest = max(known, key=lambda name: known[name][0])
        mean, low, _ = known[strongest]
        above = sum(row.score is not None and row.score > mean for row in rows)
        teams = (
            f"{number_in_words(above)} of {counted(len(rows), 'team')} {'score' if len(rows) > 1 else 'scores'} higher"
        )
        if found.chance is not None and round(mean, 2) <= found.chance:
            teams = "this is chance, so a higher score alone says little"
        elif found.chance is not None and low is not None and low <= found.chance:
            teams += f"; the interval of the model includes chance ({found.chance:.2f})"
        sentences.append(
            f"The strongest confound-only model, {label(strongest)}, reaches {mean:.2f} without any signal; {teams}."
        )
    return sentences


def as_numbers(score: Score | None) -> tuple[float, float | None, float | None] | None:
    """Return a score and the ends of its interval; None if it is undefined."""
    if score is None or not score.is_defined:
        return None
    low, high = score.interval or (None, None)
    return score.mean, low, high


def write_tables(folder: Path, found: Results) -> None:
    """Write results.json, the leaderboard and the report."""
    write_text(folder / BOARD_FILE, make_board(found))
    write_text(folder / REPORT_FILE, make_report(found))
    write_text(folder / RESULTS_FILE, json.dumps(found.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")


def round_published(value: Any) -> Any:
    """Return numbers, or what contains them, with the digits that are published."""
    if isinstance(value, dict):
        return {key: round_published(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [round_published(each) for each in value]
    return round(value, PUBLISHED_DIGITS) if isinstance(value, float) else value


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a published table. Raises DataError if it is missing or not a table."""
    with reading(path, missing="a published table is missing"):
        return [
            {key: value or "" for key, value in row.items()} for row in csv.DictReader(io.StringIO(read_text(path)))
        ]


def make_board(found: Results) -> str:
    """Return the leaderboard as CSV."""
    return format_csv(list_board(found), BOARD_COLUMNS)


def list_board(found: Results) -> list[dict[str, Any]]:
    """Return the rows of the leaderboard, best first; affiliated teams last, without a rank."""
    return [
        {
            "rank": row.rank or "", "team": row.team, "method": escape_formula(row.method),
            "score": row.score, "low": row.low, "high": row.high,
            "above_chance": row.answers.get("chance", ""), "given_confounds": _given(row), "rerun": row.rerun,
        }
        for row in found.rows
    ]  # fmt: skip


_LEVELS = ("protocol_phase", "movement", "small_study")


def _given(row: ResultRow) -> str:
    """Return the answer of the confound test at the strictest level that was asked."""
    return row.answers.get(_find_level(row), "")


def _find_level(row: ResultRow) -> str:
    return next((level for level in _LEVELS if level in row.answers), "")


_ABOUT_RANKS = (
    "Teams share a rank if nothing tells them apart: a rank is 1 plus the number of teams that are better by a paired "
    "difference (p < .05, corrected for the number of pairs by Holm's method). Intervals are 95 %, over subjects."
)


def _list_reasons(found: Results) -> str:
    """Return why teams and confound-only models have no number or answer, each reason once."""
    noted: dict[str, dict[str, list[str]]] = {}

    def note(reason: str | None, word: str, name: str) -> None:
        if reason and name not in (names := noted.setdefault(reason, {}).setdefault(word, [])):
            names.append(name)

    for row in found.rows:
        note(row.reasons.get("score"), "undefined", row.team)
        note(row.reasons.get("chance"), row.answers.get("chance", ""), row.team)
        note(row.reasons.get(_find_level(row)), _given(row), row.team)
    for name, reason in found.undefined.items():
        note(reason, "undefined", label(name))
    lines = []
    for reason, by_word in noted.items():
        parts = "; ".join(f"{word}: {markdown(', '.join(names))}" for word, names in by_word.items())
        lines.append(f"- {parts}. Reason: {markdown(reason.removesuffix('.'))}.")
    return "\n".join(lines)


def _list_pairs(found: Results, title: str) -> list[str]:
    """Return the part of the report on the paired differences."""
    rows = [
        [
            markdown(pair.first), markdown(pair.second),
            _in_words((pair.difference, pair.low, pair.high), "+z.2f"), f"{pair.p_holm:.3f}",
        ]
        for pair in found.pairs
    ]  # fmt: skip
    heads = ["first", "second", f"first minus second, {title}", "corrected p"]
    return ["## Paired differences", table_in_markdown(rows, heads)] if rows else []


def make_report(found: Results) -> str:
    """Return the report as Markdown: leaderboard, confound-only models, and what can be told apart."""
    facts = metric_facts(found.metric)
    board = [
        [
            str(row.rank or "unranked"), markdown(row.team), markdown(row.method),
            _in_words((row.score, row.low, row.high)), row.answers.get("chance", ""), _given(row), row.rerun,
        ]
        for row in found.rows
    ]  # fmt: skip
    heads = ["rank", "team", "method", facts.title, "above chance", "given confounds", "run again"]
    models = [[label(name), _in_words(numbers or (None, None, None))] for name, numbers in found.confound_only.items()]
    marks = ["**Synthetic data: these numbers say nothing about real subjects.**"] if found.synthetic else []
    if found.demonstration:
        marks.append("**Demonstration: the labels were known before, so the ranks mean nothing.**")
    state = "Ranks are final." if found.is_final else "Ranks are provisional until the first three were run again."
    parts = [
        f"# {markdown(found.challenge)}: results", *marks,
        f"{found.subjects} subjects of the final group, scored once. {state}",
        _count_teams(found),
        table_in_markdown(board, heads),
        _ABOUT_RANKS,
        *_list_pairs(found, facts.title),
        "## Confound-only models", table_in_markdown(models, ["model", facts.title]),
        *(["## Missing numbers and answers", reasons] if (reasons := _list_reasons(found)) else []),
        "## What this can say", "\n".join(f"- {sentence}" for sentence in found.sentences),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _count_teams(found: Results) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in found.submissions.items())
    return f"Registered: {counted(found.registered, 'team')}. Submissions: {counts or 'none'}."


def _in_words(numbers: Sequence[float | None], form: str = ".2f") -> str:
    mean, low, high = numbers
    if mean is None:
        return "undefined"
    interval = "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"
    return f"{mean:{form}}{interval}"
