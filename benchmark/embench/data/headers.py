"""A dataset's recordings without their samples, so that the design of a study is known before anything is prepared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from embench.interfaces.dataset import Dataset
from embench.interfaces.raters import fused_labels
from embench.interfaces.recording import Label, Recording
from embench.store import RecordingEntry, Store


@dataclass(frozen=True)
class HeaderStore(Store):
    """A store without samples, whose labels are in memory. `table`: label name -> recording -> label."""

    table: Mapping[str, Mapping[str, Label]] = field(default_factory=dict)

    def labels(self) -> dict[str, dict[str, Label]]:
        """{label name: {recording id: Label}}, raw."""
        return {name: dict(of) for name, of in self.table.items()}


def header_of(recording: Recording) -> Recording:
    """The recording without its samples."""
    return replace(recording, signals={}, video=None)


def header_store(dataset: Dataset, name: str, recordings: Iterable[Recording]) -> HeaderStore:
    """The store of a dataset's recordings, without their samples. `name`: the full registry name."""
    entries, of_recordings = [], {}
    for r in recordings:
        start_s, order = None if r.start_s is None else float(r.start_s), None if r.order is None else int(r.order)
        about = (r.id, r.subject, r.stimulus, r.session, r.group, start_s, order, float(r.duration_s))
        entries.append(RecordingEntry(*about, spans={}))
        of_recordings[r.id] = r.labels
    table: dict[str, dict[str, Label]] = {}
    for recording, own in fused_labels(of_recordings, dataset.card.raters).items():
        for label_name, label in own.items():
            table.setdefault(label_name, {})[recording] = label
    kinds = {label_name: label.kind for label_name, of in sorted(table.items()) for label in of.values()}
    subjects = {entry.subject: dict[str, str]() for entry in entries}
    return HeaderStore(
        dataset.root, "", name, 0.0, False, None, tuple(entries), {}, (), subjects, kinds, dataset.root, table
    )
