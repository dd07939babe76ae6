"""The row of a leaderboard that all of its columns are read from, and the entry that its rows belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from embench.leaderboard.attestations import Backing
from embench.protocols import Design
from embench.records.context import TimeContext
from embench.records.floors import FloorKeys, RowFloors
from embench.records.manifest import CostPart
from embench.records.scores import Adds, Score
from embench.records.superseded import Superseded
from embench.records.wording import join_with_and
from embench.statistics.answers import Answer, Unanswerable, figures
from embench.statistics.metrics import metric_facts
from embench.vocabulary import label

DASH = "—"


@dataclass(frozen=True)
class Row:
    """A row of a leaderboard: a method, or a confound-only model (named by `control`) as it scored in the entry `id`.

    Args:
        subjects: how many were scored. `score`: the `headline`, None where it is undefined; `scores`: the others of
            `SECONDARY_METRICS`.
        rank: the best and the worst that a method may have; None where `marks` say why it is not ranked. Rows that
            share one of their `letters` can't be told apart.
        apart: what sets the run apart from the plain one of its method. `method_kind`: features or network.
        kept_units: what its signals are in, in words, where they are not standardised.
        answers: those of `statistics.answers` that a leaderboard shows. `problem`: why there is no primary metric.
            `corrected`: whether *yes*, given time and movement, holds after correction for all methods.
        adds: the recorded confound analysis, None where the protocol does not ask for it. `borderline`: which answers
            have an interval that ends near the null value. `time_context`: which other units of a test session reach a
            prediction.
        gains_by: what it gains is shown to come from, of what test subjects give; empty where they give nothing.
            `gain`: that above the best of what it is compared with.
        openings, tried, dev: the author's earlier looks (see `embench.records.ledger`), where `looks_known`.
        repaired: the share of units that rest on bridged or missing samples, None where the entry does not say it.
        floors: of a pretrained row, None of others.
    """

    id: str
    subjects: int
    headline: str
    score: Score | None
    scores: Mapping[str, Score | None]
    seeds: tuple[int, ...]
    control: str | None = None
    rank: tuple[int, int] | None = None
    letters: str = ""
    marks: tuple[str, ...] = ()
    evidence: Backing = field(default_factory=Backing)
    superseded: Superseded | None = None
    suspicious: bool = False
    encoders: Mapping[str, str] = field(default_factory=dict)
    fusion: str | None = None
    pretrainers: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    method_kind: Literal["features", "network"] = "network"
    recipe: str = ""
    assumed: tuple[str, ...] = ()
    target_access: str = ""
    pretrain_overlap: str = ""
    kept_units: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    problem: Unanswerable | None = None
    corrected: bool = False
    adds: Adds | None = None
    borderline: tuple[str, ...] = ()
    gains_by: str = ""
    gain: Score | None = None
    time_context: TimeContext | None = None
    audit: str = ""
    cost: CostPart | None = None
    openings: int | None = None
    tried: int | None = None
    dev: int | None = None
    looks_known: bool = False
    repaired: float | None = None
    floors: RowFloors | None = None

    @property
    def is_method(self) -> bool:
        """True of a method, False of a control."""
        return self.control is None

    @property
    def name(self) -> str:
        """The method in the words of the vocabulary, without its signals, and how its run differs, in short; or the
        name of the confound-only model."""
        if self.control is not None:
            return label(self.control)
        method = method_label(self.parts, self.pretrainers) or self.id
        return "; ".join((method, *dict.fromkeys(map(_brief, self.apart))))

    @property
    def signals(self) -> str:
        """The signals that the method reads."""
        return ", ".join(" + ".join(label(name, "modalities") for name in each.split("+")) for each in self.modalities)

    @property
    def details(self) -> str:
        """What the name leaves out: the encoder of each modality, pretraining, the recipe, and how the run differs."""
        encoders = ", ".join(f"{modality}: {encoder}" for modality, encoder in self.encoders.items())
        fusion = f"fusion or estimator: {self.fusion}" if self.fusion else ""
        pretraining = f"pretrained by {', '.join(self.pretrainers)}" if self.pretrainers else ""
        recipe = f"recipe {self.recipe}" if self.recipe else ""
        return "; ".join(filter(None, (encoders, fusion, pretraining, recipe, *self.apart)))

    @property
    def parts(self) -> tuple[str, ...]:
        """The method's encoders, each once, and its fusion."""
        return (*dict.fromkeys(self.encoders.values()), *filter(None, [self.fusion]))

    @property
    def does_add(self) -> bool:
        """True where the recorded analysis says *yes* at the level that decides."""
        return bool(self.adds and self.adds.decides and self.adds.decides.adds)

    @property
    def effect(self) -> Score | None:
        """The partial correlation at the level that decides."""
        return self.adds.decides.effect if self.adds and self.adds.decides else None

    def scored(self, metric: str) -> Score | None:
        """A score, whether it is the headline or another; None where it is undefined or not shown."""
        return self.score if metric == self.headline else self.scores.get(metric)

    def word(self, question: str) -> str:
        """The answer to a question; empty where it is not asked."""
        found = self.answers.get(question)
        return found.answer if found else ""

    def text_of(self, metric: str, missing: str = DASH) -> str:
        """The score with its interval as text; `missing` where there is none."""
        score = self.scored(metric)
        return figures(score, metric_facts(metric).chance) if score else missing


def method_label(parts: Sequence[str], pretrainers: Sequence[str] = ()) -> str:
    """A method of these encoders and this fusion, in the words of the vocabulary.

    >>> method_label(("handcrafted", "svm")), method_label(("cnn_tf", "single"), ("masked_value:deap",))
    ('handcrafted features; SVM', 'CNN-Transformer; one network; pretrained by masked-value pretraining')
    """
    before = [label(text.partition(":")[0], "pretrainers") for text in pretrainers]
    labels = [*map(label, parts), *([f"pretrained by {join_with_and(before)}"] if before else [])]
    return "; ".join(dict.fromkeys(labels))


def _brief(difference: str) -> str:
    """How a run differs, in a few words: what stands before a colon, a comma or a value."""
    if difference.startswith("--set"):
        return "changed settings"
    return difference if len(difference) <= _BRIEF else f"{difference[:_BRIEF].rpartition(' ')[0]} ..."


_BRIEF = 40
"""Most characters of a difference in a name."""


@dataclass(frozen=True)
class ShownEntry:
    """The part of an entry that leaderboards show, whatever the others are.

    Args:
        folder: the entry's. `content`: its `entry_digest`. `shared`: the names of files that it shares.
        dataset: its full name. `people`: how many its data are of, those left out among them.
        rows: target -> the method, without a rank. `controls`: target -> the confound-only models that have scores.
        alike: a digest of what entries share that have the same such models; empty where these need no confirmation.
        parts: target -> question -> group of subjects -> its contribution to the number that decides.
        undefined: target -> metric -> why the method has no such score.
        floors: what it has as floors, and is one of.
    """

    folder: Path
    content: str
    shared: tuple[str, ...]
    id: str
    board: str
    dataset: str
    protocol: str
    leaks: bool
    trained_on: str | None
    design: Design | None
    fixed_order: bool
    people: int
    rows: Mapping[str, Row]
    controls: Mapping[str, tuple[str, ...]]
    alike: str
    parts: Mapping[str, Mapping[str, Mapping[str, float]]]
    undefined: Mapping[str, Mapping[str, str]]
    floors: FloorKeys

    def why_undefined(self, target: str, metric: str) -> str:
        """The reason why the method has no such score."""
        return self.undefined[target].get(metric, "it was not computed")
