"""The published entries as the pages ask for them: boards, their rows, and what a page shows of both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench import ROOT
from bench.boards import BOARDS
from bench.boards.rows import FIXED
from embench.leaderboard.entries import LeaderboardEntry, load_entries
from embench.leaderboard.rows import describe_differences
from embench.leaderboard.tables import BoardSection, Summary, load_sections, select_sections, summarise
from embench.records.manifest import Manifest, method_kind
from embench.records.record import Record, read_record
from embench.records.scores import Adjusted, AdjustedAt, Score, Scores
from embench.records.wording import bare_name
from embench.statistics.comparison import Comparison, compare
from embench.statistics.gains import Scored, primary_metric_summands
from embench.statistics.intervals import Estimate, Summands

WITHIN = "auroc_within"


@cache
def entries() -> list[LeaderboardEntry]:
    return load_entries(BOARDS)


@dataclass(frozen=True)
class Board:
    """The rows of a dataset and target under a protocol, trained on this dataset or another."""

    dataset: str
    target: str
    protocol: str = FIXED
    trained_on: str | None = None

    @property
    def title(self) -> str:
        return f"`{self.dataset}`, {self.target}"

    @cached_property
    def rows(self) -> list[Row]:
        """Its entries' rows."""
        own = (self.dataset, self.protocol, self.trained_on)
        every = [Row(entry, self) for entry in entries() if self.target in entry.targets]
        return [row for row in every if (row.entry.board, row.run.protocol.name, row.trained_on) == own]

    @cached_property
    def metric(self) -> str:
        """The primary metric, or the score within a subject where no row has a primary metric."""
        return next((row.primary_metric for row in self.rows if row.score(row.primary_metric)), WITHIN)

    @cached_property
    def best_first(self) -> list[Row]:
        """The rows that have a score."""
        return sorted((row for row in self.rows if row.score()), key=lambda row: -row.mean)

    @property
    def first(self) -> Row:
        return self.best_first[0]

    @property
    def ranked(self) -> bool:
        """True if the primary metric can be estimated."""
        return self.metric == self.first.primary_metric

    @property
    def above(self) -> int:
        """Number of rows above chance."""
        return sum(row.above_chance for row in self.rows)

    @property
    def asked(self) -> list[Row]:
        """The rows of which it is asked what they add, the largest effect first."""
        return sorted((row for row in self.rows if row.decides), key=lambda row: -row.decides.partial_r.mean)

    @property
    def adding(self) -> list[Row]:
        return [row for row in self.asked if row.decides.associated]

    def at(self, level: str) -> list[Row]:
        """Rows that add at a level, whichever decides."""
        return [row for row in self.asked if level in row.adjusted.levels and row.adjusted.levels[level].associated]

    @property
    def given_phase(self) -> int:
        """Number of rows that add when the protocol phase is adjusted for as well."""
        return len(self.at("protocol_phase"))

    @cached_property
    def section(self) -> BoardSection:
        """The board as `embench leaderboard` shows it."""
        about = {"dataset": self.dataset, "protocol": self.protocol, "target": self.target}
        found = select_sections(load_sections(BOARDS), **about)
        return next(section for section in found if section.trained_on is None)

    @property
    def summary(self) -> Summary:
        """The leaderboard in one line."""
        return summarise(self.section)

    def by_chance(self, question: str) -> str:
        """Most rows with the answer *yes*, 95 times in 100, if no method predicted anything."""
        return self.summary.cells[question].partition("(")[2].rstrip(")")

    @property
    def looks(self) -> int:
        """Least number of openings of the target's labels: one for each published run on its dataset."""
        return sum(entry.board == self.dataset and self.target in entry.targets for entry in entries())

    @property
    def families(self) -> list[list[Row]]:
        """The rows on features, and the networks, by which pages speak of all of a kind: tuned ones where both have
        some."""
        kinds = [[row for row in self.best_first if row.kind == kind] for kind in ("features", "network")]
        tuned = [[row for row in rows if row.run.config.get("tuned")] for rows in kinds]
        return tuned if all(tuned) else kinds


EVERY = (
    Board("stress_predict", "stress"),
    Board("wearable_stress", "stress"),
    Board("wearable_stress", "rating_high"),
    Board("hku956", "valence"),
    Board("hku956", "arousal"),
    Board("eegmat", "task"),
    Board("quiroz2018", "happy"),
)


@dataclass(frozen=True, eq=False)
class Row:
    """A published entry on the board of one of its targets."""

    entry: LeaderboardEntry
    board: Board

    @property
    def run(self) -> Manifest:
        return self.entry.run

    @property
    def primary_metric(self) -> str:
        return self.entry.scores.primary_metrics[self.board.target]

    def score(self, metric: str = "", control: str | None = None) -> Score | None:
        """A score, by default that which the board shows, of the method or of a control."""
        return self.entry.scores.get_score(self.board.target, metric or self.board.metric, control)

    @property
    def mean(self) -> float:
        return self.score().mean

    @property
    def above_chance(self) -> bool:
        return low(self.score()) > 0.5

    @cached_property
    def adjusted(self) -> Adjusted | None:
        """Its evidence beyond clock and movement; None where that is not asked."""
        return self.entry.scores.get_adjusted(self.board.target)

    @property
    def decides(self) -> AdjustedAt | None:
        """Its evidence at the level that decides."""
        return self.adjusted.decides if self.adjusted else None

    # The method

    @property
    def kind(self) -> str:
        return method_kind(self.run.method)

    @property
    def encoders(self) -> str:
        return "/".join(dict.fromkeys(map(bare_name, self.run.method.encoders.values())))

    @property
    def fusion(self) -> str:
        return bare_name(self.run.method.fusion or "")

    @property
    def modalities(self) -> str:
        return ",".join(self.run.method.modalities)

    @property
    def method(self) -> str:
        """Encoders, fusion and what sets the row apart, without its modalities and what it was pretrained on."""
        return self._with_differences(self.encoders + ("" if self.fusion == "single" else f" + {self.fusion}"))

    def _with_differences(self, name: str) -> str:
        return ", ".join([name, *(re.sub("^--set (.*)", r"`\1`", each) for each in describe_differences(self.run))])

    @property
    def name(self) -> str:
        """The method and its modalities."""
        return f"{self.method}, {self.modalities}"

    @property
    def link(self) -> str:
        """The name, linked to the entry."""
        return f"[{self.name}](../{self.entry.folder.relative_to(ROOT).as_posix()})"

    @property
    def estimator(self) -> str:
        """The method, led by its estimator, without the encoder `handcrafted`, which most rows on features have."""
        own = "" if self.encoders == "handcrafted" else f" on {self.encoders}"
        return self._with_differences(self.fusion + own)

    @property
    def pretrained(self) -> str:
        """The pretrainer, with its source where that is another dataset."""
        names = [bare_name(name.partition(":")[0]) for name in self.run.method.pretrainers]
        sources = self.run.config["pretrained_on"]
        return ", ".join([f"{n} on {bare_name(s)}" for n, s in zip(names, sources, strict=True)] if sources else names)

    @property
    def trained_on(self) -> str | None:
        return bare_name(self.run.config["train_dataset"] or "") or None

    # Its record

    @property
    def record(self) -> Record:
        return _record(self.entry.folder)

    @property
    def is_open(self) -> bool:
        """True if the entry holds predictions, so that others can be compared with it."""
        return self.run.card.labels_public == "yes"

    @cache  # noqa: B019  rows live as long as the process
    def against(self, other: Row) -> Comparison:
        """The comparison with another row in the score that their board shows."""
        return compare(self.record, other.record, self.board.target, self.board.metric)

    def scored(self, seeds: Sequence[int]) -> Scored:
        """The predictions and folds in some of its seeds, to be scored within subjects."""
        predictions = self.record.predictions.take(np.isin(self.record.predictions["seed"], seeds))
        folds = [row for row in self.record.folds if row["seed"] in map(str, seeds)]
        held = replace(self.record, predictions=predictions, folds=folds)
        return Scored(held, self.entry.folder, self.board.target, WITHIN)

    @cached_property
    def summands(self) -> Summands | None:
        """The parts of groups of subjects in the score that the board shows; an entry holds those of the primary
        metric."""
        target, metric = self.board.target, self.board.metric
        if metric == self.primary_metric or not self.is_open:
            return self.entry.summands.get(target)
        scores = self.record.scores
        shown_first = Scores({**scores, "primary_metrics": {**scores.primary_metrics, target: metric}})
        return primary_metric_summands(replace(self.record, scores=shown_first), target)


@lru_cache(16)
def _record(folder: Path) -> Record:
    return read_record(folder)


# Questions: what rows, claims and entries ask for, by which one finds the other


def question(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """The question of a request, whoever states it: a row, a claim or an entry."""
    encoders, settings = (tuple(request.get(name) or ()) for name in ("encoders", "settings"))
    settings = tuple(s.replace(".frozen=true", ".adapt=frozen") for s in settings)  # as entries have it
    modalities = tuple(sorted(request["modalities"].split(",")))  # a claim has them in the order of the dataset
    named = ["dataset", "fusion", "targets", "protocol", "train_dataset"]
    named += ["label_subjects", "label_fraction", "drop", "calibration_data"]
    pretrainers = tuple(request.get("pretrainers") or ())
    tuned = bool(request.get("tuned"))
    return encoders, modalities, tuple(sorted(settings)), pretrainers, tuned, *map(request.get, named)


def asked(run: Manifest) -> tuple[Any, ...]:
    """Returns the question that an entry's run answers. Its request has nothing that may name places; its configuration
    does."""
    known = {name: run.config.get(name) for name in ("pretrainers", "tuned")}
    return question({**run.config["request"], **known})


@cache
def published() -> dict[tuple[Any, ...], LeaderboardEntry]:
    """Entries by the question that their run answers."""
    return {asked(entry.run): entry for entry in entries()}


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
