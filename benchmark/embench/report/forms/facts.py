"""What the forms are filled from: a run's record, its dataset's card, its protocol and its audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from embench import protocols, registry
from embench.errors import EmbenchError
from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.records.audit import read_audit
from embench.records.manifest import Manifest
from embench.records.record import Record
from embench.report.run_view import RunView

TO_WRITE = "*To be written by the authors:* "
"""What stands before the part of an answer that no record holds."""


@dataclass(frozen=True)
class RunFacts:
    """A run, and what is known about it elsewhere: `card`, `rules` and `audit` are None where that is not available."""

    folder: Path
    record: Record

    @property
    def run(self) -> Mapping[str, Any]:
        """The content of run.yaml."""
        return self.record.run

    @property
    def about(self) -> Manifest:
        """The same as a model."""
        return self.record.manifest

    @cached_property
    def view(self) -> RunView:
        """The run as a report sees it, without its recordings."""
        return RunView(self.folder, self.record, Undefined("not needed"))

    @cached_property
    def card(self) -> Card | None:
        """The card of the dataset that is tested; None where its package is not installed here."""
        try:
            card: Card = registry.load("dataset", self.record.manifest.dataset.name).card
        except EmbenchError:
            return None
        return card

    @cached_property
    def rules(self) -> protocols.Protocol | None:
        """The protocol's rules; None where the record does not hold them."""
        return protocols.recorded_protocol(self.record.manifest.protocol.content())

    @cached_property
    def audit(self) -> Mapping[str, Any] | None:
        """The content of the run's audit. Raises DataError where it is damaged."""
        return read_audit(self.folder)

    @property
    def outside(self) -> bool:
        """Whether other code made the predictions, of which nothing more is known."""
        return bool(self.record.manifest.method.outside)
