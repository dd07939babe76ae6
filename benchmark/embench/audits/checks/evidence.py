"""Evidence of an audit: a run's record, and its subjects, units and labels as the data have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Unit
from embench.protocols import Fold, Protocol
from embench.records.embeddings import Embeddings
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.record import Record
from embench.records.scores import Scores
from embench.statistics.joined import Joined, join
from embench.store import Store


@dataclass(frozen=True)
class FittedStatistics:
    """A normalising buffer of one fold's network: as it lies in the weights, as recomputed on the fold's training
    subjects, and over all subjects."""

    seed: int
    fold: int
    name: str
    saved: np.ndarray
    training: np.ndarray
    all_subjects: np.ndarray


@dataclass(frozen=True, kw_only=True)
class RecordEvidence:
    """The evidence for checks that need no data: a run's record, with its own labels and scores.

    Args:
        labels: of the units that the run predicted. `groups`: subject -> subjects recorded together. `sessions`:
            subject -> length of the session in s.
        rescored: what `scores.json` should hold.
    """

    folder: Path
    record: Record
    manifest: Manifest
    protocol: Protocol
    targets: Sequence[Target]
    labels: Labels
    groups: Mapping[str, str]
    sessions: Mapping[str, float]
    unit_length_s: float
    rescored: Scores
    embeddings: Embeddings | None = None

    @property
    def tested(self) -> set[tuple[int, int, str]]:
        """(seed, fold, subject) of all predictions; of the folds where the record has no predictions."""
        rows = self.predictions
        if len(rows):
            return set(rows.distinct("seed", "fold", "subject"))
        return {(int(r["seed"]), int(r["fold"]), r["subject"]) for r in self.record.folds if r["role"] == "test"}

    @property
    def predictions(self) -> Predictions:
        """The record's predictions."""
        return self.record.predictions

    @cached_property
    def joined(self) -> dict[str, dict[str, Joined]]:
        """Target -> method -> its units with the record's own labels; targets without a labelled
        prediction are excluded."""
        recorded = self.record.labels or self.labels
        groups = {**self.groups, **self.record.groups}
        every = {t.name: join(self.predictions, recorded, t, groups, self.unit_length_s) for t in self.targets}
        known = {name: {m: of for m, of in methods.items() if of.seeds} for name, methods in every.items()}
        return {name: methods for name, methods in known.items() if MODEL in methods}

    def model_rows(self, target: str) -> Predictions:
        """The model's rows of a target."""
        return self.predictions.take(self.predictions.rows_with(method=MODEL, target=target))

    def compared_targets(self) -> list[Target]:
        """Targets with one score a unit that the model predicted."""
        return [t for t in self.targets if not t.traits.several and t.name in self.joined]

    def binary_targets(self) -> Iterator[tuple[Target, Joined]]:
        """Targets of two classes with the model's joined predictions."""
        for target in self.targets:
            if target.traits.has_classes and not target.traits.several and target.name in self.joined:
                yield target, self.joined[target.name][MODEL]


@dataclass(frozen=True, kw_only=True)
class Evidence(RecordEvidence):
    """Evidence for a check; nothing in it is taken from the record if the data can say it: labels are made of the data
    by the card's rules, groups and sessions are those of the data, and scores are computed again.

    Args:
        units: id -> unit, as the data and the protocol make them.
        untested: ids of units that no fold tests: what subjects give, and what lies between it and what is scored.
        dealt: seed -> the folds that the protocol deals these subjects into; empty where the run is not about them
            alone.
        statistics: of networks that normalise by their training subjects; or why they cannot be recomputed.
        sources: name -> data of what was pretrained on, as far as they are available; `missing_sources` those that
            are not.
        stages: (kind, fold) of stages of the run whose ids differ from those that its request has here; or why they
            cannot be compared.
        baselines: folders of runs with handcrafted features next to the run.
        owed: what is wrong with the units that the record does not predict, under protocols of version 3.
        seal: whether the labels of the data are those that a published entry without labels was scored against; None
            in records with labels. `other files`: it was made with a key that these raw files don't give.
    """

    card: Card
    store: Store
    units: Mapping[str, Unit]
    untested: frozenset[str]
    dealt: Mapping[int, Sequence[Fold]]
    statistics: Sequence[FittedStatistics] | Undefined
    stages: Sequence[Mapping[str, Any]] | Undefined
    sources: Mapping[str, Store] = field(default_factory=dict)
    missing_sources: tuple[str, ...] = ()
    baselines: Sequence[Path] = ()
    owed: Sequence[str] = ()
    seal: Literal["same", "other labels", "other files", "missing"] | None = None


def first_names(names: Sequence[str] | set[str], most: int = 8) -> list[str]:
    """The first names, sorted."""
    return sorted(names)[:most]
