"""The row of a board that all of its columns are read from, and the entry that its rows are of."""

from __future__ import annotations

from collections.abc import Mapping
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
from embench.records.wording import format_control, format_score

DASH = "—"


@dataclass(frozen=True)
class Row:
    """A row of a board: a method, or a control (`control` is its name) as it scored in the entry `id`.

    Args:
        subjects: how many were scored. `score`: the `headline`, None where it is undefined; `scores`: the others of
            `SECONDARY_METRICS`.
        rank: the best and the worst that a method may have; None where `marks` say why it is not ranked. Rows that
            share one of their `letters` can't be told apart.
        apart: what sets the run apart from the plain one of its method. `method_kind`: features or network.
        kept_units: what its signals are in, in words, where they are not standardised.
        controls: how many controls the method was compared with; `not_cleared`: those it is not shown to be above.
        adds: what it adds to clock and movement, None where that was not asked. `borderline`: what is near to a bound
            that decides (see `TargetVerdict`). `time_context`: which other units of a test session reach a prediction.
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
    controls: int = 0
    not_cleared: tuple[str, ...] = ()
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
        """The name of the method, with the modality of each encoder where they differ and what sets the run apart from
        the plain method; or that of the control. Modalities have a column of their own."""
        if self.control is not None:
            return self.control
        names = list(dict.fromkeys(self.encoders.values()))
        encoders = names[0] if len(names) == 1 else ", ".join(f"{m}: {name}" for m, name in self.encoders.items())
        after = f", after {', '.join(self.pretrainers)}" if self.pretrainers else ""
        return " + ".join(filter(None, [encoders, self.fusion])) + after + self._apart

    @property
    def short_name(self) -> str:
        """The name for a narrow column: every part once, without modalities."""
        if self.control is not None:
            return self.control
        return " + ".join([*self.parts, *self.pretrainers]) + self._apart

    @property
    def parts(self) -> tuple[str, ...]:
        """The method's encoders, each once, and its fusion."""
        return (*dict.fromkeys(self.encoders.values()), *filter(None, [self.fusion]))

    @property
    def _apart(self) -> str:
        return f" ({'; '.join(self.apart)})" if self.apart else ""

    @property
    def does_add(self) -> bool:
        """True where it adds to clock and movement, at the level that decides; else it is not shown to."""
        return bool(self.adds and self.adds.decides and self.adds.decides.adds)

    @property
    def effect(self) -> Score | None:
        """The partial correlation at the level that decides."""
        return self.adds.decides.effect if self.adds and self.adds.decides else None

    def scored(self, metric: str) -> Score | None:
        """A score, whether it is the headline or another; None where it is undefined or not shown."""
        return self.score if metric == self.headline else self.scores.get(metric)

    def text_of(self, metric: str, missing: str = DASH) -> str:
        """The score with its interval as text; `missing` where there is none."""
        shown = format_score if self.is_method else format_control
        return shown(self.scored(metric), missing=missing)


@dataclass(frozen=True)
class ShownEntry:
    """The part of an entry that boards show, whatever the others are.

    Args:
        folder: the entry's. `content`: its `entry_digest`. `shared`: the names of files that it shares.
        dataset: its full name. `people`: how many its data are of, those left out among them.
        rows: target -> the method, without a rank. `controls`: target -> the names of the controls that have scores.
        alike: a digest of what entries share that have the same controls; empty where these need no confirmation.
        parts: target -> group of subjects -> what it adds to the partial correlation that decides.
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
    parts: Mapping[str, Mapping[str, float]]
    undefined: Mapping[str, Mapping[str, str]]
    floors: FloorKeys

    def why_undefined(self, target: str, metric: str) -> str:
        """The reason why the method has no such score."""
        return self.undefined[target].get(metric, "it was not computed")
