"""The published entries as the tables ask for them: rows of a board, their names, their records and their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench import markdown
from bench.boards import BOARDS
from bench.boards.rows import FIXED
from embench.leaderboard.entries import LeaderboardEntry, load_entries
from embench.leaderboard.rows import describe_differences
from embench.leaderboard.sections import BoardSection, leaderboard_sections
from embench.leaderboard.select import select_sections
from embench.records.manifest import Manifest
from embench.records.method_kind import method_kind
from embench.records.record import Record, read_record
from embench.records.scores import Score, Scores
from embench.records.wording import bare_name
from embench.statistics.by_subject import Scored
from embench.statistics.compared import Comparison
from embench.statistics.comparison import compare
from embench.statistics.intervals import Estimate
from embench.statistics.ranking import Summands
from embench.statistics.summands import headline_summands

WITHIN = "auroc_within"


class Board(NamedTuple):
    """Rows of one dataset and target under the fixed protocol."""

    dataset: str
    target: str

    @property
    def title(self) -> str:
        return f"`{self.dataset}`, {self.target}"


EVERY = (
    Board("stress_predict", "stress"),
    Board("wearable_stress", "stress"),
    Board("wearable_stress", "rating_high"),
    Board("hku956", "valence"),
    Board("hku956", "arousal"),
    Board("eegmat", "task"),
)
TASKS = ("stress", "task")
"""Targets that are tasks given to subjects, not their reports."""
CLOCK, MOVEMENT, REGISTERED = "session_position", "movement", "registered_clock"


# Entries


@cache
def entries() -> list[LeaderboardEntry]:
    """Entries that no other entry supersedes."""
    return [entry for entry in load_entries(BOARDS) if entry.superseded is None]


def rows_of(board: Board, protocol: str = FIXED, trained_on: str | None = None) -> list[LeaderboardEntry]:
    """The rows of a board that were trained on a dataset, by default its own."""
    return [
        entry
        for entry in entries()
        if (entry.board, entry.run.protocol.name) == (board.dataset, protocol)
        and board.target in entry.targets
        and (bare_name(entry.run.config["train_dataset"] or "") or None) == trained_on
    ]


def standing() -> list[Board]:
    """The boards that have rows."""
    return [board for board in EVERY if rows_of(board)]


def metric_of(board: Board, protocol: str = FIXED) -> str:
    """The headline, or the score within a subject where no row has a headline."""
    rows = rows_of(board, protocol)
    headlines = {e.scores.headlines[board.target] for e in rows if e.score(board.target, headline(e, board))}
    return headlines.pop() if headlines else WITHIN


def best_first(board: Board, protocol: str = FIXED) -> list[tuple[LeaderboardEntry, Score]]:
    """The rows of a board that have a score, with it."""
    metric = metric_of(board, protocol)
    scored = [(e, score) for e in rows_of(board, protocol) if (score := e.score(board.target, metric))]
    return sorted(scored, key=lambda row: -row[1].mean)


@cache
def looks_at(board: Board) -> int:
    """Least number of openings of a target's labels: one for each published run on its dataset."""
    return sum(entry.board == board.dataset and board.target in entry.targets for entry in load_entries(BOARDS))


def section_of(board: Board) -> BoardSection:
    """The board as `embench leaderboard` shows it."""
    found = select_sections(leaderboard_sections(BOARDS), dataset=board.dataset, protocol=FIXED, target=board.target)
    return next(section for section in found if section.trained_on is None)


def headline(entry: LeaderboardEntry, board: Board) -> str:
    return str(entry.scores.headlines[board.target])


def is_features(entry: LeaderboardEntry) -> bool:
    return method_kind(entry.run.method) == "features"


def estimator(entry: LeaderboardEntry) -> str:
    """The estimator of a row on features, with their encoder where it is not `handcrafted`, which most rows have."""
    encoders = encoders_of(entry)
    return fusion(entry) if encoders == "handcrafted" else f"{fusion(entry)} on {encoders}"


def method(entry: LeaderboardEntry) -> str:
    """Encoders, fusion and what sets the row apart, without its modalities and what it was pretrained on."""
    name = encoders_of(entry) + ("" if fusion(entry) == "single" else f" + {fusion(entry)}")
    return ", ".join([name, *(re.sub("^--set (.*)", r"`\1`", each) for each in describe_differences(entry.run))])


def encoders_of(entry: LeaderboardEntry) -> str:
    return "/".join(dict.fromkeys(map(bare_name, entry.run.method.encoders.values())))


def fusion(entry: LeaderboardEntry) -> str:
    return bare_name(entry.run.method.fusion or "")


def modalities(entry: LeaderboardEntry) -> str:
    return ",".join(entry.run.method.modalities)


def name_of(entry: LeaderboardEntry) -> str:
    """The differences of the row from others that were pretrained alike."""
    return f"{method(entry)}, {modalities(entry)}"


def pretrained(entry: LeaderboardEntry) -> str:
    """The pretrainer, with its source where that is another dataset."""
    names = [bare_name(name.partition(":")[0]) for name in entry.run.method.pretrainers]
    sources = entry.run.config["pretrained_on"]
    return ", ".join([f"{n} on {bare_name(s)}" for n, s in zip(names, sources, strict=True)] if sources else names)


# Questions: what rows, claims and entries ask for, by which one finds the other


def question(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """The question of a request, whoever states it: a row, a claim or an entry."""
    encoders, settings = (tuple(request.get(name) or ()) for name in ("encoders", "settings"))
    modalities = tuple(sorted(request["modalities"].split(",")))  # a claim has them in the order of the dataset
    named = ("dataset", "fusion", "targets", "protocol", "train_dataset", "label_subjects")
    pretrainers = tuple(request.get("pretrainers") or ())
    return encoders, modalities, tuple(sorted(settings)), pretrainers, *map(request.get, named)


def asked(run: Manifest) -> tuple[Any, ...]:
    """Returns the question that an entry's run answers. Its request has no pretrainers, which may name places; its
    configuration does."""
    return question({**run.config["request"], "pretrainers": run.config["pretrainers"]})


@cache
def published() -> dict[tuple[Any, ...], LeaderboardEntry]:
    """Entries by the question that their run answers."""
    return {asked(entry.run): entry for entry in entries()}


# Records


@lru_cache(16)
def record_of(folder: Path) -> Record:
    return read_record(folder)


def is_open(entry: LeaderboardEntry) -> bool:
    """True if the entry holds predictions, so that others can be compared with it."""
    return entry.run.card.labels_public == "yes"


@cache
def compared(one: Path, other: Path, target: str, metric: str) -> Comparison:
    return compare(record_of(one), record_of(other), target, metric)


def scored(entry: LeaderboardEntry, board: Board, metric: str, seeds: Sequence[int]) -> Scored:
    """The predictions and folds of an entry in some of its seeds, to be scored."""
    record = record_of(entry.folder)
    predictions = record.predictions.take(np.isin(record.predictions["seed"], seeds))
    folds = [row for row in record.folds if row["seed"] in map(str, seeds)]
    return Scored(replace(record, predictions=predictions, folds=folds), entry.folder, board.target, metric)


@cache
def summands_of(folder: Path, board: Board, metric: str) -> Summands | None:
    """The parts that groups of subjects add to a score, of which the entry holds those of the headline."""
    (entry,) = [e for e in entries() if e.folder == folder]
    if metric == headline(entry, board) or not is_open(entry):
        return entry.summands.get(board.target)
    record = record_of(folder)
    scores = Scores({**record.scores, "headlines": {**record.scores.headlines, board.target: metric}})
    return headline_summands(replace(record, scores=scores), board.target)


# Numbers


def figure(value: float, spec: str = ".3f") -> str:
    """A number below 1 without its zero.

    >>> figure(0.6174), figure(-0.018), figure(1.0), figure(0.0321, "+.3f")
    ('.617', '-.018', '1.000', '+.032')
    """
    return re.sub(r"\b0\.", ".", format(value, spec))


def shown(score: Score | Estimate | None, spec: str = ".3f") -> str:
    """A score with its interval; a dash where it is undefined."""
    if score is None:
        return "—"
    text = figure(score.mean, spec)
    return text if score.low is None or score.high is None else f"{text} [{figure(score.low)}, {figure(score.high)}]"


def low(score: Score | Estimate | None) -> float:
    """The lower end of an interval; below everything where there is none."""
    return float("-inf") if score is None or score.low is None else score.low


def bold(score: Score | None) -> str:
    """A score as text, bold where the interval lies above chance."""
    return f"**{shown(score)}**" if low(score) > 0.5 else shown(score)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a sentence where there are no rows yet."""
    return markdown.table(heads, rows) if rows else "*None of these rows has been run yet.*"
