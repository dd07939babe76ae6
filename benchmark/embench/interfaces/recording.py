"""Output of a dataset: signals, videos and raw labels of one recording, with measurement units and clocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

MODALITIES = (
    "eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "eog", "acc", "hr", "eeg_bands", "face_au", "video",
)  # fmt: skip
"""Names of recordable modalities. A joined input is written with a plus, as in `ecg+eda`; one channel in brackets, as
in `ecg[left]`."""

_INPUT_PART = re.compile(r"([^\[\]+]+)(?:\[([\w-]+)\])?")


@lru_cache
def parse_modality(modality: str) -> tuple[tuple[str, str | None], ...]:
    """Return the parts of a run's modality: name and chosen channel of each, None for all channels.

    Raises:
        ValueError: the text is not a valid modality.

    >>> parse_modality("ecg[left]+eda")
    (('ecg', 'left'), ('eda', None))
    """
    found = [_INPUT_PART.fullmatch(part) for part in modality.split("+")]
    if any(part is None for part in found):
        raise ValueError(f"cannot read the modality {modality!r}")
    return tuple((part[1], part[2]) for part in found if part is not None)


@lru_cache
def split_modality(modality: str) -> tuple[str, ...]:
    """Return the names of a modality's parts, without channels.

    >>> split_modality("ecg[left]+eda")
    ('ecg', 'eda')
    """
    return tuple(name for name, _ in parse_modality(modality))


def remove_channels(modality: str) -> str:
    """Return a modality without channels in brackets, as plugins know it.

    >>> remove_channels("ecg[left]+eda")
    'ecg+eda'
    """
    return "+".join(split_modality(modality))


VIDEO_CHANNELS = ("red", "green", "blue")
"""Channels of a video, also on cards."""


@dataclass(frozen=True, slots=True, repr=False)
class Signal:
    """Evenly sampled values that start with the recording.

    `data` is float32 of shape (channels, samples), in `unit`, at `rate` Hz; NaN marks lost samples. `modality` is its
    name when the store returns it, for encoders of several modalities; readers leave it empty.

    >>> Signal(np.zeros((2, 640), np.float32), rate=128.0, channels=("left", "right"), unit="mV").duration_s
    5.0
    """

    data: np.ndarray
    rate: float
    channels: tuple[str, ...]
    unit: str
    time_axis: int = -1
    modality: str = ""

    @property
    def duration_s(self) -> float:
        """Length in s: samples over `rate`."""
        return self.data.shape[self.time_axis] / self.rate

    def __repr__(self) -> str:
        names = self.channels if len(self.channels) <= 8 else (*self.channels[:6], f"{len(self.channels) - 6} more")
        shape = "x".join(map(str, self.data.shape))
        return f"Signal({', '.join(names)}: {shape} at {self.rate:g} Hz, {self.duration_s:.1f} s, {self.unit})"


@dataclass(frozen=True, slots=True)
class Video:
    """A video file of a subject's face or body, decoded only when frames are needed.

    `span` (start, stop) are the times in s on the file's clock, from its first frame, at which the recording begins and
    ends: time t of the recording is time span[0] + t of the file. The start is negative if the video begins after the
    recording, and the stop may exceed the file: nothing is visible there. `fps` is the nominal number of frames per
    second; the file decides when a frame is shown. `boxes` is a CSV file with the face's position: `frame` (from 0) or
    `time_s` (the file's clock), `x`, `y` (upper left corner), `width`, `height` in pixels of the displayed picture;
    None: a detector finds the face."""

    path: Path
    fps: float
    span: tuple[float, float]
    boxes: Path | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Label:
    """A raw label, without any threshold.

    `values` has shape (n,); `times` (n,) are seconds from the recording's start, or None for one value for the whole
    recording. `condition` values index `classes`; NaN marks a moment without a label."""

    kind: Literal["rating", "continuous", "condition"]
    values: np.ndarray
    times: np.ndarray | None = None
    classes: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        many = f"{self.values[0]:g}" if len(self.values) == 1 else f"{len(self.values)} values"
        return f"Label({self.kind}: {many}{' of ' + ', '.join(self.classes) if self.classes else ''})"


@dataclass(frozen=True, slots=True, repr=False)
class Recording:
    """One uninterrupted recording of one subject. A modality that is missing is absent from `signals`, never zeros.

    `group` names the subjects recorded together (a dyad, a viewing group), else it is the subject. `start_s` (seconds
    from the session's start) and `order` (position in the session) are None where the release hides them."""

    id: str
    subject: str
    stimulus: str
    session: str
    duration_s: float
    group: str
    start_s: float | None
    order: int | None
    signals: Mapping[str, Signal] = field(default_factory=dict)
    video: Video | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"Recording {self.id} of {self.subject}, stimulus {self.stimulus}, {self.duration_s:.1f} s"]
        lines += [f"  {name}: {item!r}" for name, item in (*self.signals.items(), *self.labels.items())]
        return "\n".join([*lines, *([f"  video: {self.video.path}"] if self.video else [])])
