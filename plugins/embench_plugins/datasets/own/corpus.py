"""Recordings without labels, for pretraining: a `dataset.yaml` that says nothing of labels and targets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.own.items import Item
from embench_plugins.datasets.own.layout import PIECE_S, Source, Unlabelled
from embench_plugins.datasets.own.reader import Own
from embench_plugins.datasets.own.rows import Span
from embench_plugins.datasets.own.signals import Read
from embench_plugins.datasets.own.yaml import DATASET


class Corpus(Own):
    """The reader. Recordings of over `longest_s` come in pieces, whose ids have the second at which they begin.

    Raises:
        DataError: already when made, where the folder has no readable description, or one of recordings with labels.
    """

    card = replace(
        Own.card,
        name="corpus",
        title="a corpus of recordings without labels",
        obtain=f"put recordings and a {DATASET} without labels and targets into one folder",
        default_modalities=("eeg",),
        longest_s=PIECE_S,
        fixed_order=False,
    )
    schema = Unlabelled

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        if self.description.labels or self.description.targets:
            raise DataError(
                "these recordings have labels",
                where=self._written.where("labels"),
                expected="no `labels` and `targets` in a corpus",
                hint="name the folder by its path, as in --dataset ./FOLDER",
            )

    def _cut(self, item: Item, source: Source, read: Read) -> tuple[Read, Sequence[Span | DataError | None]]:
        if source.trials:
            return super()._cut(item, source, read)
        longest, whole = self.description.longest_s, read.duration_s
        count = math.ceil(whole / longest)
        # Whole seconds, so that signals at different rates begin together, and none longer than may be.
        begin = [max(math.floor(k * whole / count), math.ceil(whole - (count - k) * longest)) for k in range(count)]
        bounds = [*begin, whole]
        return read, [Span(first, last, 0, {}) for first, last in itertools.pairwise(bounds)]

    def _session(self, item: Item) -> str:
        return item.id

    def _of_lengths(self, longest: float, rates: Mapping[tuple[int, str], set[float]]) -> list[Finding]:
        by_modality: dict[str, set[float]] = {}
        for (_, m), found in rates.items():
            by_modality.setdefault(m, set()).update(found)
        said = {m: ", ".join(f"{rate:g}" for rate in sorted(found)) for m, found in by_modality.items()}
        return [Finding("note", str(self.root), f"{m} at {rate} Hz") for m, rate in said.items()]
