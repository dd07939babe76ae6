"""What a report is about: a record, with what several of its parts need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embench.data.label_report import class_names
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.manifest import Manifest
from embench.records.record import Record, read_record
from embench.statistics.common import recorded_targets
from embench.statistics.joined import Joined, join
from embench.store import Store

ScoreValue = Mapping[str, Any]
"""A score as `scores.json` holds it."""


@dataclass(frozen=True)
class RunView:
    """A finished run; `store` holds its recordings, or the reason why they are not available."""

    folder: Path
    record: Record
    store: Store | Undefined

    @classmethod
    def of(cls, folder: Path, store: Store | Undefined) -> RunView:
        """Raises DataError where the folder holds no record."""
        return cls(Path(folder), read_record(folder), store)

    @cached_property
    def manifest(self) -> Manifest:
        """The record's `run.yaml` as a model. Raises ValidationError where it breaks the schema."""
        return Manifest.model_validate(self.record.run)

    @cached_property
    def targets(self) -> list[Target]:
        """The targets that were scored."""
        return recorded_targets(self.record)

    @cached_property
    def several(self) -> bool:
        """Whether the run has more than one target, so that sections need headings."""
        return len(self.targets) > 1

    def joined_units(self, target: Target) -> dict[str, Joined]:
        """Method -> its labelled units; empty where the record has no labels."""
        if self.record.labels is None:
            return {}
        return join(self.record.predictions, self.record.labels, target, self.record.groups, np.nan)

    def classes(self, target: Target) -> list[str]:
        """Names of the classes: those of the dataset's labels if the data are available, else general ones."""
        raw = None
        if not isinstance(self.store, Undefined):
            raw = next((label.classes for label in self.store.labels().get(target.label, {}).values()), None)
        return class_names(target, raw)

    def score(self, target: str, metric: str, control: str | None = None) -> ScoreValue | None:
        """A number of the model, or of a control; None where it is undefined or was not computed."""
        scores = self.record.scores
        of = scores["scores"] if control is None else scores["controls"].get(control, {})
        number = of.get(target, {}).get(metric)
        return number if number and "undefined" not in number else None

    def strongest_control(self, target: str, metric: str) -> str | None:
        """The control with the highest `metric`; the first by name of equals."""
        known = {
            name: number["mean"]
            for name in sorted(self.record.scores["controls"])
            if (number := self.score(target, metric, name))
        }
        return max(known, key=lambda name: known[name], default=None)


NO_LABELS = "this record has no labels, because the labels of the dataset are not public"
