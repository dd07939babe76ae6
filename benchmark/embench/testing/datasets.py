"""Conformance of dataset readers, checked on a folder of synthetic or real files."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.errors import CheckFailed, DataError, PluginError
from embench.interfaces.dataset import Card, Dataset
from embench.interfaces.recording import VIDEO_CHANNELS, Label, Recording, Signal, Video
from embench.signals.copies import SeenSignals
from embench.signals.face import read_boxes
from embench.signals.video import probe
from embench.testing.require import Check, leaves_no_trace

_OVERHANG_S = 1.0
"""Seconds by which a signal may be longer than its recording, since devices do not stop all channels at once."""

_LEAST_RECORDINGS = 8
"""Smallest number of labelled recordings in which a correlation of a channel with a label is not a coincidence."""

_SAME = 0.999
"""Correlation of a label with a statistic of a channel, from which on the channel counts as containing the label."""

_SUBJECTS = 3
"""Number of subjects whose recordings are read, so that checks of large datasets end in time."""


@leaves_no_trace
def check_dataset(cls: type[Dataset], root: Path) -> None:
    """Check that a reader follows its interface and its card, on the first subjects found in `root`.

    Checked are:

    - the card, and subjects in a fixed order;
    - recordings: equal when read twice, with float32 signals of the card's channels, rates and units, decodable videos
      that show the recording, and labels for the targets;
    - modalities: absent ones are missing, not zeros; no signal is shared by two subjects, and no signal is a label;
    - files: they exist; an empty folder raises DataError;
    - the reader: it can be sent to worker processes.

    Raises:
        CheckFailed: with the expected and the found behaviour.
    """
    check = Check(cls)
    expected = "a subclass of embench.interfaces.dataset.Dataset"
    check.that(issubclass(cls, Dataset), "the class is not a Dataset", expected=expected)
    card = getattr(cls, "card", None)
    check.that(isinstance(card, Card), "the class has no `card`", expected="a `Card`")
    _check_card(check, cls.card)
    _check_empty_folder(check, cls)
    with check.during(f"folder {root}"):
        reader = cls(root)
        if reader.card is not cls.card:
            _check_card(check, reader.card)
        subjects = reader.subjects()
        check.that(bool(subjects), "the dataset has no subjects", expected="subjects, or DataError")
        fine = len(set(subjects)) == len(subjects) and subjects == cls(root).subjects()
        check.that(fine, f"subjects are {subjects}", expected="each subject once, in a fixed order")
        _check_pickling(check, "the reader", vars(reader))
        seen = _Seen()
        for subject in subjects[:_SUBJECTS]:
            with check.during(f"subject {subject}"):
                _check_subject(check, reader, subject, seen)
        both = ", ".join(sorted(seen.levels.keys() & reader.card.raters.keys()))
        what = f"recordings contain the label {both}, but the dataset card derives it from raters"
        expected = "only the labels of each rater; embench combines them when it prepares the data"
        check.that(not both, what, expected=expected)
        for target in reader.card.targets:
            what = f"no recording has the label `{target.label}` of target {target.name}"
            raters = reader.card.raters.get(target.label)
            there = any(name in seen.levels for name in (raters.labels if raters else (target.label,)))
            check.that(there, what, expected="the labels that the targets of the dataset card require")
        _check_hidden_labels(check, seen)


@dataclass
class _Seen:
    """Statistics of the recordings that were read.

    Args:
        levels: label -> its mean in each recording; NaN where it is missing.
        summaries: (modality, channel, statistic) -> its value in each recording; NaN where the channel is missing.
    """

    ids: set[str] = field(default_factory=set)
    signals: SeenSignals = field(default_factory=SeenSignals)
    levels: dict[str, list[float]] = field(default_factory=dict)
    summaries: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, recording: Recording) -> None:
        """Add a recording's labels and statistics of its channels."""
        before = len(self.ids)
        self.ids.add(recording.id)
        levels: dict[Any, float] = {name: _mean(np.asarray(label.values)) for name, label in recording.labels.items()}
        there = {
            (m, channel): row[np.isfinite(row)]
            for m, signal in recording.signals.items()
            for channel, row in zip(signal.channels, np.asarray(signal.data, float), strict=True)
        }
        figures: dict[Any, float] = {
            (*of, figure): compute(values) if values.size else np.nan
            for of, values in there.items()
            for figure, compute in _FIGURES.items()
        }
        known: dict[Any, list[float]]
        for known, new in ((self.levels, levels), (self.summaries, figures)):
            for key in {*known, *new}:
                known.setdefault(key, [np.nan] * before).append(new.get(key, np.nan))


_FIGURES: dict[str, Callable[[np.ndarray], Any]] = {"mean": np.mean, "least value": np.min, "greatest value": np.max}


def _mean(values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else np.nan


def _check_hidden_labels(check: Check, seen: _Seen) -> None:
    """Check that no channel contains a label: no statistic of a channel correlates almost perfectly with a label."""
    if len(seen.ids) < _LEAST_RECORDINGS:
        return
    for name, levels in seen.levels.items():
        for (modality, channel, figure), values in seen.summaries.items():
            pair = np.array([levels, values])
            pair = pair[:, np.isfinite(pair).all(0)]
            if pair.shape[1] < _LEAST_RECORDINGS or (pair.std(1) == 0).any():
                continue
            follows = abs(float(np.corrcoef(pair)[0, 1]))
            what = (
                f"channel {channel} of {modality} contains the label `{name}`: the {figure} of each recording "
                "reveals it"
            )
            expected = "signals recorded from the subject; a column of labels or events belongs in `labels`"
            check.that(follows < _SAME, f"{what} (correlation {follows:.4f})", expected=expected)


def _check_pickling(check: Check, what: str, content: object) -> None:
    """Check that `content` can be pickled, since worker processes receive readers and their data by pickle."""
    try:
        pickle.dumps(content)
    except Exception as error:  # noqa: BLE001  pickle raises whatever an object raises
        expected = "plain values, arrays and paths; open a file when it is read, and do not keep it open"
        check.that(False, f"cannot send {what} to a worker process: {error}", expected=expected)


def _check_card(check: Check, card: Card) -> None:
    for name in ("name", "title", "citation", "licence", "obtain"):
        check.that(bool(getattr(card, name)), f"`{name}` of the dataset card is empty", expected="text")
    try:
        registry.added_modalities(card, card.name)
    except PluginError as error:
        raise CheckFailed(error.what, where=check.where, expected=error.expected) from error
    parts = {part for name in card.default_modalities for part in name.split("+")}
    what = f"`default_modalities` is {card.default_modalities}"
    check.that(bool(parts) and parts <= set(card.modalities), what, expected="some modalities of the dataset card")
    names = [target.name for target in card.targets]
    check.that(len(set(names)) == len(names), f"targets are {names}", expected="each once")
    fine = set(card.default_targets) <= set(names)
    check.that(fine, f"`default_targets` is {card.default_targets}", expected="some targets of the dataset card")
    check.that(card.longest_s > 0, f"`longest_s` is {card.longest_s}", expected="seconds")
    known = ("yes", "no", "unknown")
    check.that(card.labels_public in known, f"`labels_public` is {card.labels_public!r}", expected=", ".join(known))


def _check_empty_folder(check: Check, cls: type[Dataset]) -> None:
    with tempfile.TemporaryDirectory() as empty:
        try:
            subjects = cls(Path(empty)).subjects()
        except DataError:
            return
        except Exception as error:
            what = f"an empty folder raises {type(error).__name__}: {error}"
            raise CheckFailed(what, where=check.where, expected="DataError") from error
    check.that(False, f"in an empty folder the reader finds {subjects}", expected="DataError")


def _check_subject(check: Check, reader: Dataset, subject: str, seen: _Seen) -> None:
    missing = [str(path) for path in reader.files(subject) if not path.exists()]
    check.that(not missing, f"`files` names {missing}", expected="existing files")
    second = reader.recordings(subject)
    before = len(seen.ids)
    for recording in reader.recordings(subject):
        with check.during(f"recording {recording.id}"):
            check.that(recording.id not in seen.ids, "another recording has this id", expected="unique ids")
            seen.add(recording)
            fine = recording.subject == subject
            check.that(fine, f"its subject is {recording.subject}", expected="the requested subject")
            _check_recording(check, reader.card, recording)
            if recording.video is not None:
                with check.during("video"):
                    _check_video(check, reader, recording, recording.video)
            _check_same_recording(check, recording, next(second, None))
            for modality, signal in recording.signals.items():
                twin = seen.signals.twin(subject, recording.id, modality, signal)
                what = f"its {modality} equals that of recording {twin}, of another subject, in every sample"
                expected = "separate files for each subject; check whether one file is read under two names"
                check.that(twin is None, what, expected=expected)
            _check_pickling(check, "it", (recording.labels, reader.subject_info(subject)))
    what = "`subjects` lists the subject, but the subject has no recordings"
    check.that(len(seen.ids) > before, what, expected="subjects with recordings")
    check.that(next(second, None) is None, "a second reading gives more recordings", expected="the same recordings")


def _check_recording(check: Check, card: Card, recording: Recording) -> None:
    fine = 0 < recording.duration_s <= card.longest_s + 1e-6
    expected = f"at most {card.longest_s} s, the limit of the dataset card"
    check.that(fine, f"the recording lasts {recording.duration_s} s", expected=expected)
    for name in ("stimulus", "session", "group"):
        check.that(bool(getattr(recording, name)), f"its `{name}` is empty", expected="text")
    for modality, signal in recording.signals.items():
        promised = card.modalities.get(modality)
        what = f"the recording has {modality}, but the dataset card does not"
        check.that(promised is not None, what, expected="modalities of the dataset card")
        with check.during(modality):
            _check_signal(check, signal, promised, recording.duration_s)
    for name, label in recording.labels.items():
        with check.during(f"label {name}"):
            _check_label(check, label)


def _check_signal(check: Check, signal: Signal, promised: Any, duration_s: float) -> None:
    fine = signal.data.dtype == np.float32 and signal.data.ndim == 2
    check.that(fine, f"the data are {signal.data.dtype} {signal.data.shape}", expected="float32 (channels, samples)")
    fine = signal.channels == promised.channels and len(signal.channels) == signal.data.shape[0]
    check.that(fine, f"the channels are {signal.channels}", expected=f"{promised.channels}")
    check.that(signal.unit == promised.unit, f"the measurement unit is {signal.unit}", expected=promised.unit)
    fine = np.isnan(promised.rate) or abs(signal.rate - promised.rate) <= 0.01 * promised.rate
    check.that(fine, f"the sampling rate is {signal.rate} Hz", expected=f"{promised.rate} Hz")
    fine = signal.duration_s <= duration_s + _OVERHANG_S
    what = f"the signal lasts {signal.duration_s} s, but the recording lasts {duration_s} s"
    check.that(fine, what, expected=f"at most {_OVERHANG_S:g} s longer than the recording")
    expected = "numbers, and NaN for lost samples"
    check.that(not np.isinf(signal.data).any(), "the signal contains infinity", expected=expected)
    there = signal.data[np.isfinite(signal.data)]
    fine, expected = bool(there.size and there.any()), "no such signal if nothing was recorded"
    check.that(fine, "the signal contains only zeros or NaN", expected=expected)


def _check_video(check: Check, reader: Dataset, recording: Recording, video: Video) -> None:
    promised = reader.card.modalities.get("video")
    check.that(promised is not None, "the dataset card has no video", expected="modalities of the dataset card")
    fine = promised is not None and promised.channels == VIDEO_CHANNELS
    what = f"the video channels of the dataset card are {promised and promised.channels}"
    check.that(fine, what, expected=f"{VIDEO_CHANNELS}")
    read = {path.resolve() for path in reader.files(recording.subject)}
    unnamed = [str(path) for path in (video.path, video.boxes) if path is not None and path.resolve() not in read]
    check.that(not unnamed, f"`files` does not name {unnamed}", expected="all files that the reader uses")
    found = probe(video.path)
    fine = abs(video.fps - found.fps) <= 0.02 * found.fps
    check.that(fine, f"its `fps` is {video.fps}", expected=f"{found.fps:.3f}, the frame rate of the file")
    start, stop = video.span
    fine = start < stop <= start + recording.duration_s + _OVERHANG_S
    check.that(fine, f"its `span` is {video.span}", expected=f"at most {recording.duration_s} s of the file")
    fine = min(stop, found.duration_s) > max(start, 0.0)
    check.that(fine, f"its `span` is {video.span}, but the file lasts {found.duration_s} s", expected="a visible part")
    if video.boxes is not None:
        read_boxes(video.boxes, video.path)


def _check_label(check: Check, label: Label) -> None:
    known = ("rating", "continuous", "condition")
    check.that(label.kind in known, f"its kind is {label.kind!r}", expected=", ".join(known))
    values = np.asarray(label.values)
    fine = values.ndim == 1 and len(values) > 0
    check.that(fine, f"its values have shape {values.shape}", expected="(n,) with n of at least 1")
    if label.times is not None:
        fine = np.shape(label.times) == values.shape and bool((np.diff(label.times) >= 0).all())
        check.that(fine, "the times do not match the values", expected="one ascending time per value")
    if label.classes is not None:
        there = values[np.isfinite(values)]
        fine = bool(((there >= 0) & (there < len(label.classes))).all())
        check.that(fine, "some values belong to no class", expected=f"0 to {len(label.classes) - 1}, or NaN")


def _check_same_recording(check: Check, one: Recording, other: Recording | None) -> None:
    fine = other is not None and other.video == one.video
    check.that(fine, "a second reading gives another video", expected="the same file and span")
    second = other.signals if other is not None and other.id == one.id else {}
    fine = second.keys() == one.signals.keys()
    check.that(fine, "a second reading gives another recording", expected="the same recordings in the same order")
    for modality, signal in one.signals.items():
        same = np.array_equal(signal.data, second[modality].data, equal_nan=True)
        check.that(same, f"a second reading gives another {modality}", expected="the same samples")
