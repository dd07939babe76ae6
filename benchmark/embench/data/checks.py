"""Checks of every dataset by `embench data verify`, and a cache of their results."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embench.data.cohort import choose_targets
from embench.data.quality import describe_outside_range
from embench.errors import DataError, EmbenchError
from embench.files import DamagedError, folder_digest, read_sealed_json, sealed_json, write_text
from embench.interfaces.dataset import Card, Dataset, Finding
from embench.interfaces.recording import Label, Recording, Signal, Video, split_modality
from embench.registry import added_modalities
from embench.signals.copies import SeenSignals
from embench.signals.plausible import known_units, signal_size, unit_fault
from embench.signals.video import probe
from embench.store.fingerprint import FileHashes, synthetic
from embench.store.prepare import reader_faults, recordings
from embench.store.store import damaged_folders
from embench.system import ProgressCallback

# Findings of `verify` that need all recordings of a dataset. Data that nothing can be learned from are an error if runs
# use them by default.

LEAST_ALIKE = 4
"""Least number of recordings of a stimulus, or of subjects, from which one of them can be reported as unusual."""


@dataclass
class LabelValues:
    """Statistics of one label over recordings: number of `recordings` with values, number of `known` values, how many
    of these are outside the scale (`off`), the least (`low`) and the greatest (`high`)."""

    recordings: int = 0
    known: int = 0
    off: int = 0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, label: Label, scale: tuple[float, float] | None) -> None:
        """Add the values of one recording's label to the counts and limits. `scale`: least and greatest allowed value;
        values outside are counted in `off`, unless the label has classes."""
        values = np.asarray(label.values, np.float64)
        values = values[np.isfinite(values)]
        self.recordings += bool(len(values))
        self.known += len(values)
        self.low = min(self.low, float(values.min(initial=np.inf)))
        self.high = max(self.high, float(values.max(initial=-np.inf)))
        if scale is not None and label.classes is None:
            self.off += int(((values < scale[0]) | (values > scale[1])).sum())


def varies(signal: Signal) -> bool:
    """Return True if any channel has two different values."""
    data = np.moveaxis(np.asarray(signal.data), signal.time_axis, -1)
    return any(row.size and row.min() < row.max() for row in (row[np.isfinite(row)] for row in data))


def find_dead_modalities(card: Card, varying: set[str]) -> Iterator[Finding]:
    """Report modalities that runs read by default, but that vary in no recording."""
    for modality in _list_default_modalities(card):
        if modality not in varying:
            yield Finding("error", modality, f"{modality} is missing or constant in every recording")


def find_poor_labels(card: Card, there: set[str], values: Mapping[str, LabelValues]) -> Iterator[Finding]:
    """Report labels that are missing, constant or mostly outside their scale, as errors if runs predict them by
    default. `there`: names of labels in any recording; `values`: label name -> statistics of its values."""
    by_default = {target.label for target in choose_targets(card, None)} if card.targets else set()
    for name in dict.fromkeys(target.label for target in card.targets):
        targets = ", ".join(target.name for target in card.targets if target.label == name)
        stats, what = values.get(name, LabelValues()), ""
        if name not in there:
            what = f"no recording has this label, and {targets} requires it"
        elif name in values and not stats.known:
            what = f"this label has no value in any recording, and {targets} requires it"
        elif stats.recordings > 1 and stats.low == stats.high:
            what = f"this label is {stats.low:g} in all {stats.recordings} recordings, and {targets} requires it"
        elif stats.off > stats.known / 2:
            what = f"{stats.off} of {stats.known} values of this label are outside its scale, and {targets} requires it"
        if what:
            yield Finding("error" if name in by_default else "warning", name, what)


def find_wrong_units(card: Card, sizes: Mapping[str, Sequence[float]]) -> Iterator[Finding]:
    """Report modalities whose values are implausible in the card's measurement unit, and modalities with an unknown
    unit. The first is an error if runs read the modality by default and nearly all recordings are affected."""
    for modality, modality_sizes in sizes.items():
        unit = card.modalities[modality].unit if modality in card.modalities else ""
        if fault := unit_fault(modality, unit, modality_sizes):
            wrong = [bool(unit_fault(modality, unit, [size])) for size in modality_sizes if np.isfinite(size)]
            unusable = np.mean(wrong) >= 0.8 and modality in _list_default_modalities(card)
            yield Finding("error" if unusable else "warning", modality, fault)
        known = known_units(modality)
        if known and unit not in (*known, "a.u.") and modality in card.modalities:
            why = f"{unit} is not a known measurement unit for this modality ({', '.join(known)})"
            yield Finding("note", modality, f"{why}, so the values are not checked")


def find_truncated_recordings(lasting: Mapping[str, Mapping[str, float]]) -> Iterator[Finding]:
    """Report recordings that are much shorter than others of the same stimulus, if the others have similar lengths."""
    for stimulus, lengths in lasting.items():
        low, middle, high = np.quantile(list(lengths.values()), [0.25, 0.5, 0.75])
        if len(lengths) < LEAST_ALIKE or high - low > 0.05 * middle:
            continue
        for recording, length in lengths.items():
            if length < 0.8 * middle:
                what = f"the recording lasts {length:.1f} s, but other recordings of {stimulus} last {middle:.1f} s"
                yield Finding("warning", recording, what)


def find_missing_modalities(modalities_by_subject: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Report subjects without a modality that nearly all others have."""
    n = len(modalities_by_subject)
    for modality in sorted(set().union(*modalities_by_subject.values())):
        having = sum(modality in present for present in modalities_by_subject.values())
        if n >= LEAST_ALIKE and having >= 0.8 * n:
            what = f"the subject has no {modality}, but {having} of {n} subjects have it"
            lacking = [subject for subject, present in modalities_by_subject.items() if modality not in present]
            yield from (Finding("warning", subject, what) for subject in lacking)


def find_unshared_stimuli(subjects_by_stimulus: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Report stimuli that only one subject has, if 80 % of the stimuli were shown to at least half of the subjects."""
    people = set().union(*subjects_by_stimulus.values())
    shared = [stimulus for stimulus, viewers in subjects_by_stimulus.items() if len(viewers) >= 0.5 * len(people)]
    if len(people) >= LEAST_ALIKE and len(shared) >= 0.8 * len(subjects_by_stimulus):
        for stimulus, viewers in subjects_by_stimulus.items():
            if len(viewers) == 1:
                what = f"only this subject has {stimulus}; most subjects share {len(shared)} other stimuli"
                yield Finding("warning", min(viewers), what)


def find_incomplete_subjects(counts: Mapping[str, int]) -> Iterator[Finding]:
    """Report subjects with fewer recordings than usual, if at least 80 % of the subjects have the same number."""
    usual, having = Counter(counts.values()).most_common(1)[0] if counts else (0, 0)
    if len(counts) >= LEAST_ALIKE and having >= 0.8 * len(counts):
        for subject, count in counts.items():
            if count < usual:
                what = f"the subject has {count} recordings; {having} of {len(counts)} subjects have {usual}"
                yield Finding("warning", subject, what)


def _list_default_modalities(card: Card) -> list[str]:
    """Return the names of the modalities that runs read by default, without videos; joined ones are split."""
    names = (name for each in card.default_modalities for name in split_modality(each))
    return [name for name in dict.fromkeys(names) if name != "video"]


# Checks of every dataset from its recordings and card, in addition to its reader's own.

LOST = 0.05
"""Proportion of lost samples in a channel above which a warning is given."""

OVERHANG_S = 1.0
"""Allowed difference in s between the length of a recording and that of its signals: devices do not stop together."""

_MOST_LISTED = 100_000


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file that recordings are read from: `name` relative to the dataset's folder, `size` in bytes, and hash."""

    name: str
    size: int
    sha256: str


@dataclass
class LabelCount:
    """Kind of a label, number of recordings that have it, number of its values, and number of missing values."""

    kind: str
    recordings: int = 0
    values: int = 0
    missing: int = 0


@dataclass
class CheckedFiles:
    """Content and findings of a dataset's files. Paths in a finding's `where` are relative to the folder."""

    subjects: int = 0
    recordings: int = 0
    hours: dict[str, float] = field(default_factory=dict)
    labels: dict[str, LabelCount] = field(default_factory=dict)
    files: list[RawFile] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Number of findings that make the data unusable."""
        return self.count("error")

    def count(self, severity: str) -> int:
        """Return the number of findings of this severity: `error`, `warning` or `note`."""
        return sum(finding.severity == severity for finding in self.findings)


def report_unreadable(root: Path, why: str) -> CheckedFiles:
    """Return the report on a folder that the reader cannot read: its files, and one error with the reason `why`."""
    paths = sorted(path for path in islice(root.rglob("*"), _MOST_LISTED) if path.is_file())
    files = [RawFile(path.relative_to(root).as_posix(), path.stat().st_size, "") for path in paths]
    return CheckedFiles(subjects=0, files=files, findings=[Finding("error", "", why)])


def check_dataset_files(
    dataset: Dataset,
    name: str,
    cache: Path,
    progress: ProgressCallback | None = None,
    visit: Callable[[Recording], None] | None = None,
    force: bool = False,
) -> CheckedFiles:
    """Read and check all files of a dataset, by the reader's own `verify` and by the checks of every dataset.

    Args:
        name: the dataset's full registry name.
        cache: the folder in which hashes of files are stored.
        progress: called with (subjects done, number of subjects, subject).
        visit: called with every recording.
        force: True to hash files again even if size and time are unchanged, and to read all prepared data in `cache`.

    Raises:
        DataError: the folder is not this dataset.
        PluginError: the reader fails, or the card contradicts the definition of a modality.
    """
    added_modalities(dataset.card, name)
    with reader_faults(name, "subjects"):
        subjects = dataset.subjects()
    with reader_faults(name, "verify"):
        try:
            findings = dataset.verify()
        except NotImplementedError:  # a reader may leave this to the general checks
            findings = []
    found = CheckedFiles(subjects=len(subjects))
    general = _General(dataset.card, {finding.where for finding in findings})
    files: dict[Path, RawFile] = {}
    if force:
        hint = "delete the folder; embench creates it again"
        findings += [Finding("error", str(fault.where), f"{fault.what}: {hint}") for fault in damaged_folders(cache)]
    with FileHashes(cache, anew=force) as hashes:
        for done, subject in enumerate(subjects):
            try:
                for path in dataset.files(subject):
                    if path not in files:
                        files[path] = RawFile(_shorten(str(path), dataset.root), path.stat().st_size, hashes(path))
                for recording in recordings(dataset, name, subject):
                    _count(found, recording)
                    general.add_recording(recording)
                    if visit:
                        visit(recording)
            except (DataError, OSError) as error:
                where = getattr(error, "where", None) or getattr(error, "filename", None) or subject
                general.findings.append(Finding("error", str(where), getattr(error, "what", str(error))))
                general.leave_out(subject)
            if progress:
                progress(done + 1, len(subjects), subject)
    found.files = sorted(files.values(), key=lambda file: file.name)
    if synthetic(dataset.root) is None:
        findings += _find_unlike_published(dataset.card, found.files)
    general.finish(set(found.labels))
    rank = {"error": 0, "warning": 1, "note": 2}
    placed = (Finding(f.severity, _shorten(f.where, dataset.root), f.what) for f in (*findings, *general.findings))
    found.findings = sorted(dict.fromkeys(placed), key=lambda finding: rank[finding.severity])
    return found


def _find_unlike_published(card: Card, files: Iterable[RawFile]) -> Iterator[Finding]:
    """Report files whose SHA-256 differs from the one on the card, for datasets published file by file."""
    published = {download.name: download.sha256 for download in card.downloads if download.sha256}
    for file in files:
        expected = published.get(file.name.replace(os.sep, "/"))
        if expected and file.sha256 != expected.lower():
            what = f"the content differs from the published file, sha256 {expected.lower()}"
            yield Finding("warning", file.name, what)


class _General:
    """The checks that apply to every dataset. `reported`: files in which the reader itself found faults."""

    def __init__(self, card: Card, reported: set[str]) -> None:
        self.card, self.findings = card, list[Finding]()
        self._reported = reported  # places reported by the reader
        self._seen = SeenSignals()
        self._ids: set[str] = set()
        self._lasting: dict[str, dict[str, float]] = {}
        self._held: dict[str, set[str]] = {}
        self._counts: Counter[str] = Counter()
        self._shown: dict[str, set[str]] = {}
        self._sizes: dict[str, list[float]] = {}
        self._varying: set[str] = set()
        self._labels: dict[str, LabelValues] = {}
        self._scales = {target.label: target.scale for target in card.targets if target.scale}

    def add_recording(self, recording: Recording) -> None:
        """Check one recording, and store its properties for the comparison with other recordings."""

        def add(severity: str, what: str) -> None:
            self.findings.append(Finding(severity, recording.id, what))  # type: ignore[arg-type]

        if recording.id in self._ids:
            add("error", "another recording has the same name")
        self._ids.add(recording.id)
        self._lasting.setdefault(recording.stimulus, {})[recording.id] = recording.duration_s
        self._counts[recording.subject] += 1
        self._shown.setdefault(recording.stimulus, set()).add(recording.subject)
        self._held.setdefault(recording.subject, set()).update(recording.signals)
        if not 0 < recording.duration_s <= self.card.longest_s + OVERHANG_S:
            allowed = f"but the dataset card allows at most {self.card.longest_s:g} s"
            add("warning", f"the recording lasts {recording.duration_s:.1f} s, {allowed}")
        for modality, signal in recording.signals.items():
            for finding in _check_signal(self.card, modality, signal, recording.duration_s):
                add(*finding)
            if np.asarray(signal.data).ndim == 2 and signal.data.size:
                self._sizes.setdefault(modality, []).append(signal_size(modality, signal))
                if modality not in self._varying and varies(signal):
                    self._varying.add(modality)
            if twin := self._seen.twin(recording.subject, recording.id, modality, signal):
                add("error", f"{modality} equals that of {twin}, another subject, in every sample: one is a copy")
        if recording.video is not None and str(recording.video.path) not in self._reported:
            self.findings += _check_video(recording.video)
        for label_name, label in recording.labels.items():
            for finding in _check_label(label_name, label, self._scales.get(label_name), recording.duration_s):
                add(*finding)
            self._labels.setdefault(label_name, LabelValues()).add(label, self._scales.get(label_name))

    def leave_out(self, subject: str) -> None:
        """Exclude a subject from comparisons between subjects, since some of its recordings could not be read."""
        self._counts.pop(subject, None)
        self._held.pop(subject, None)

    def finish(self, labels: set[str]) -> None:
        """Add the findings that need all recordings. `labels`: names of the labels in any recording."""
        if not self._ids:
            return  # the reason was reported already
        labels = labels | {name for name, raters in self.card.raters.items() if labels.intersection(raters.labels)}
        if any(self._held.values()):  # a release with labels only is valid
            self.findings += find_dead_modalities(self.card, self._varying)
        self.findings += find_poor_labels(self.card, labels, self._labels)
        self.findings += [*find_truncated_recordings(self._lasting), *find_missing_modalities(self._held)]
        self.findings += [*find_incomplete_subjects(self._counts), *find_unshared_stimuli(self._shown)]
        self.findings += find_wrong_units(self.card, self._sizes)


def _check_signal(card: Card, modality: str, signal: Signal, duration_s: float) -> Iterator[tuple[str, str]]:
    """Yield (severity, text) of each fault of a recorded signal."""
    promised = card.modalities.get(modality)
    data = np.moveaxis(np.asarray(signal.data), signal.time_axis, -1)
    if promised is None or tuple(signal.channels) != promised.channels or data.shape[:-1] != (len(promised.channels),):
        form = f"shape {data.shape} and channels {signal.channels}"
        yield "error", f"{modality} has {form}, which do not match the dataset card"
        return
    if abs(signal.rate - promised.rate) > 0.01 * promised.rate:
        yield "warning", f"{modality} has {signal.rate:g} Hz, but the dataset card declares {promised.rate:g} Hz"
    if data.size == 0:
        yield "warning", f"{modality} has no samples"
        return
    if abs(signal.duration_s - duration_s) > max(OVERHANG_S, 0.02 * duration_s):
        yield "warning", f"{modality} lasts {signal.duration_s:.1f} s, but the recording lasts {duration_s:.1f} s"
    good = np.isfinite(data)
    if wrong := describe_outside_range(modality, signal):
        yield "warning", wrong
    if np.isinf(data).any():
        yield "warning", f"{modality} contains infinite values, which count as missing"
    if modality == "face_au":
        return  # faces turn away or are filmed partly, and action units may not occur: no damage
    lost = dict(zip(promised.channels, 1 - good.mean(1), strict=True))
    if much := [f"{name} {share:.0%}" for name, share in lost.items() if share > LOST]:
        yield "warning", f"missing samples in {modality}: {_first_five(much)}"
    flat = [
        name
        for name, row, known in zip(promised.channels, data, good, strict=True)
        if known.sum() > 1 and (row[known] == row[known][0]).all()
    ]
    if flat:
        yield "warning", f"{modality} is constant in {_first_five(flat)}"


def _check_video(video: Video) -> Iterator[Finding]:
    """Yield a warning if a video cannot be read, or shows no part of the recording."""
    try:
        seconds = probe(video.path).duration_s
    except DataError as error:
        yield Finding("warning", str(video.path), error.what)
        return
    if min(seconds, video.span[1]) <= max(0.0, video.span[0]):
        start, stop = video.span
        what = f"the video lasts {seconds:.1f} s, but the recording should span {start:.1f} to {stop:.1f} s of it"
        yield Finding("warning", str(video.path), what)


def _check_label(
    name: str, label: Label, scale: tuple[float, float] | None, duration_s: float
) -> Iterator[tuple[str, str]]:
    """Yield (severity, text) of each fault of a recording's label."""
    values = np.asarray(label.values, np.float64)
    known = values[np.isfinite(values)]
    if label.classes is not None:
        if wrong := int(((known < 0) | (known >= len(label.classes)) | (known != np.round(known))).sum()):
            yield "error", f"{wrong} values of {name} do not belong to its {len(label.classes)} classes"
    elif scale is not None and (off := int(((known < scale[0]) | (known > scale[1])).sum())):
        yield "warning", f"{off} values of {name} are outside the scale of {scale[0]:g} to {scale[1]:g}"
    if label.times is None:
        return
    times = np.asarray(label.times, np.float64)
    if times.shape != values.shape or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        yield "error", f"the times of {name} do not match its values; expected one ascending time per value"
    elif beyond := int(((times < -OVERHANG_S) | (times > duration_s + OVERHANG_S)).sum()):
        yield "warning", f"{beyond} values of {name} are outside the recording"


def _count(found: CheckedFiles, recording: Recording) -> None:
    """Add a recording, its hours and its labels to the counts in `found`."""
    found.recordings += 1
    seconds = {modality: signal.duration_s for modality, signal in recording.signals.items()}
    if recording.video is not None:
        seconds["video"] = recording.video.span[1] - recording.video.span[0]
    for modality, length in seconds.items():
        found.hours[modality] = found.hours.get(modality, 0.0) + length / 3600
    for name, label in recording.labels.items():
        count = found.labels.setdefault(name, LabelCount(label.kind))
        count.recordings += 1
        count.values += len(label.values)
        count.missing += int((~np.isfinite(np.asarray(label.values, np.float64))).sum())


def _first_five(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} others" if len(names) > 5 else "")


def _shorten(where: str, root: Path) -> str:
    """Return `where` without the folder's path, so that a report does not depend on the folder's location."""
    if where == str(root):
        return "."
    return where.replace(f"{root}{os.sep}", "")


# Cached results of `verify`, so that `status` can report whether the current files were verified.

_CHECKS = 2
"""Version of the checks, increased when they find more, so that files are verified again."""


def remember(
    dataset: Dataset, code: str, checked: CheckedFiles, cache: Path, report: Mapping[str, Any] | None = None
) -> None:
    """Cache time and result of a verification for the current files and reader, with a shareable report (see
    `DataReport`). If the cache cannot be written, do nothing. `code`: identity of the reader's code."""
    path = _get_cache_path(dataset, code, cache)
    if path is None:
        return
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "subjects": checked.subjects,
        "recordings": checked.recordings,
        "errors": checked.errors,
        "warnings": checked.count("warning"),
        "report": report,
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, sealed_json(record))


def recall(dataset: Dataset, code: str, cache: Path) -> Mapping[str, Any] | None:
    """Return the result that `remember` cached for the current files and reader; None if there is none."""
    path = _get_cache_path(dataset, code, cache)
    try:
        return read_sealed_json(path) if path is not None else None
    except DamagedError:
        return None


def _get_cache_path(dataset: Dataset, code: str, cache: Path) -> Path | None:
    """Return the path of the cached result; None if the files cannot be listed. The name is a hash of `_CHECKS`, the
    reader's code, and the files' names, sizes and times. File contents are not read, so that `status` is fast."""
    state = set()
    try:
        with reader_faults(dataset.card.name, "files"):
            for file in (file for subject in dataset.subjects() for file in dataset.files(subject)):
                stat = file.stat()
                state.add((str(file), stat.st_size, stat.st_mtime_ns))
    except EmbenchError:
        return None
    return cache / "verified" / f"{folder_digest([_CHECKS, code, sorted(state)])}.json"
