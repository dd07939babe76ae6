"""Prepared data as it is read: an index in seconds, one memory-mapped array a modality, labels apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embench.checksums import DamagedError
from embench.errors import DataError
from embench.interfaces.recording import Label, Signal, names_in
from embench.signals.gaps import Stretch
from embench.store.arrays import AGAIN, open_rows
from embench.store.folders import check_folder
from embench.store.labels import read_labels

INDEX, LABELS = "index.json", "labels.npz"
_KEYS = {"excluded": "left_out"}
"""Fields that the index has under another name."""


@dataclass(frozen=True, slots=True)
class Span:
    """Place of a recording's samples in an array: `samples` from `offset` on; the first one was taken `t0` seconds
    after the recording's start."""

    offset: int
    samples: int
    t0: float

    def cut(self, start: float, stop: float, rate: float) -> slice:
        """The positions of the seconds [start, stop) of the recording, clipped at its own ends; empty outside."""
        first = min(max(round((start - self.t0) * rate), 0), self.samples)
        last = min(max(round((stop - self.t0) * rate), first), self.samples)
        return slice(self.offset + first, self.offset + last)


@dataclass(frozen=True, slots=True)
class ModalityEntry:
    """Columns and sampling rate of a modality's array."""

    channels: tuple[str, ...]
    rate: float
    unit: str


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """A video that belongs to a recording: `file` and `boxes` (the face's place, or None) below the dataset's folder,
    `fps` and `duration_s` of the file, `span` (start, stop) of the recording on the file's clock."""

    file: str
    fps: float
    span: tuple[float, float]
    duration_s: float
    boxes: str | None = None

    def seen(self, recording_s: float) -> tuple[float, float]:
        """Start and stop of the visible part, on the clock of a recording of this length."""
        stop = min(self.duration_s, self.span[1]) - self.span[0]
        return max(0.0, -self.span[0]), min(stop, recording_s)


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """A recording without its samples and labels; a modality that is absent has no span. That of a video is
    its visible part; its pixels are in no array of the store. `lost`: modality -> the stretches, in seconds of the
    recording, in which samples were lost and are bridged."""

    id: str
    subject: str
    stimulus: str
    session: str
    group: str
    start_s: float | None
    order: int | None
    duration_s: float
    spans: Mapping[str, Span]
    video: VideoEntry | None = None
    lost: Mapping[str, tuple[Stretch, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """A dataset's prepared data.

    Args:
        key: hash of everything that decided the contents.
        name: full registry name of the dataset.
        rate_hz: the requested rate; each modality's own is in `modalities`.
        filtered: whether the protocol's preprocessing was applied, or signals are as the dataset gave them.
        synthetic: the note of the data's generator, None for real data.
        excluded: signals that cannot be used: subject, recording, modality, reason.
        subjects: known facts of each subject.
        label_kinds: rating, continuous or condition, by label name.
        root: the dataset's folder, below which its videos lie, where it was when the data were prepared last.
    """

    path: Path
    key: str
    name: str
    rate_hz: float
    filtered: bool
    synthetic: Mapping[str, Any] | None
    recordings: tuple[RecordingEntry, ...]
    modalities: Mapping[str, ModalityEntry]
    excluded: tuple[Mapping[str, str], ...]
    subjects: Mapping[str, Mapping[str, str]]
    label_kinds: Mapping[str, str]
    root: Path | None = field(default=None, compare=False)

    @property
    def mode(self) -> int:
        """The permissions of the store's folder; what is derived from it has the same."""
        return self.path.stat().st_mode & 0o777

    def array(self, modality: str) -> np.ndarray:
        """(channels, total) float32, memory-mapped and read-only, without NaN and not normalised. Time is contiguous
        on disk sample by sample, so that a window is read in one piece."""
        return open_rows(self.path / f"{modality}.npy").T

    def recording(self, recording: str) -> RecordingEntry:
        """The entry of a recording's id."""
        return self._by_id[recording]

    def signal(self, recording: str, modality: str) -> Signal:
        """A recording's samples, a slice without a copy. They begin at the span's `t0`."""
        span, entry = self.recording(recording).spans[modality], self.modalities[modality]
        data = self.array(modality)[:, span.offset : span.offset + span.samples]
        return Signal(data, entry.rate, entry.channels, entry.unit, modality=modality)

    def recorded_share(self, recording: str, modality: str, start: float, stop: float) -> float:
        """Share of the seconds [start, stop) of a recording with all parts of a modality, 0 to 1; of videos whether
        there is one."""
        entry, shares = self.recording(recording), []
        for part in names_in(modality):
            span, known = entry.spans.get(part), self.modalities.get(part)
            if span is None or known is None:
                return float(span is not None)
            cut = span.cut(start, stop, known.rate)
            samples = max(1.0, (stop - start) * known.rate)
            shares.append(round((cut.stop - cut.start) / samples, 2))  # the last sample says nothing
        return min(shares)

    def labels(self) -> dict[str, dict[str, Label]]:
        """{label name: {recording id: Label}}, raw."""
        return read_labels(self.path / LABELS)

    @cached_property
    def _by_id(self) -> Mapping[str, RecordingEntry]:
        return {entry.id: entry for entry in self.recordings}


def write_index(store: Store, folder: Path) -> None:
    """Writes the index: everything but samples and labels."""
    content = {_KEYS.get(name, name): value for name, value in asdict(store).items() if name not in ("path", "root")}
    (folder / INDEX).write_text(json.dumps(content, indent=1), newline="\n")


def open_store(path: Path, root: Path | None = None) -> Store:
    """Reads what `prepare` wrote from the dataset in `root`. Raises DataError where there is no prepared data, or not
    as it was written."""
    path = Path(path)
    if not (path / INDEX).is_file():
        raise DataError("no prepared data here", where=str(path), expected=INDEX, hint="embench data prepare DATASET")
    try:
        check_folder(path)
    except DamagedError as error:
        raise DataError(error.what, where=error.where, hint=AGAIN) from error
    content = json.loads((path / INDEX).read_text())
    content["recordings"] = tuple(
        RecordingEntry(
            **{
                **entry,
                "spans": {m: Span(**span) for m, span in entry["spans"].items()},
                "video": _video(entry.get("video")),
                "lost": {m: tuple(map(tuple, stretches)) for m, stretches in entry["lost"].items()},
            }
        )
        for entry in content["recordings"]
    )
    content["modalities"] = {
        m: ModalityEntry(tuple(entry["channels"]), entry["rate"], entry["unit"])
        for m, entry in content["modalities"].items()
    }
    content["excluded"] = tuple(content.pop(_KEYS["excluded"]))
    return Store(path=path, root=root, **content)


def _video(entry: Mapping[str, Any] | None) -> VideoEntry | None:
    return None if entry is None else VideoEntry(**{**entry, "span": tuple(entry["span"])})
