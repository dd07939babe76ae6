"""What a report is about: a record, with what several of its parts need of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.data.label_report import class_names
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.manifest import Manifest
from embench.records.record import Record, read_record
from embench.records.scores import Scores
from embench.statistics.common import recorded_targets
from embench.statistics.joined import Joined, join
from embench.store import Store


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

    @property
    def manifest(self) -> Manifest:
        """The record's `run.yaml`."""
        return self.record.manifest

    @property
    def scores(self) -> Scores:
        """The record's scores."""
        return self.record.scores

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

    def strongest_control(self, target: str, metric: str) -> str | None:
        """The control with the highest `metric`; the first by name of equals."""
        known = {
            name: score.mean for name in self.scores.control_names if (score := self.scores.score(target, metric, name))
        }
        return max(known, key=lambda name: known[name], default=None)


NO_LABELS = "this record has no labels, because the labels of the dataset are not public"
