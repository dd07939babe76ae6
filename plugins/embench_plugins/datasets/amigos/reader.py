"""AMIGOS (Miranda-Correa et al. 2021): 40 subjects watch 16 short videos, 37 of them also 4 long ones, and rate their
arousal, valence, dominance, liking, familiarity and seven emotions. For these 37, three observers annotate the face
every 20 s.

Reads the preprocessed MATLAB files, one for each subject (see `release`), from any folder below the root. Clips of
faces, and the tables that OpenFace made of these clips, may lie in the same folders (see `faces`).

The GSR column is read as a resistance and stored as its inverse, for all subjects. Its unit is not stated. It behaves
as a resistance, so its inverse has the polarity of skin conductance (responses rise), and an open circuit gives values
near zero instead of huge ones. The scale is unknown: `1e6/GSR` is in microsiemens only if the column is in ohm. Samples
are lost (NaN) if GSR is zero or negative, or so small that the inverse would exceed 100 times the trial's median.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule
from embench_plugins.datasets.amigos import release
from embench_plugins.datasets.amigos.release import LONG, SHORT, Trial
from embench_plugins.datasets.devices import faces
from embench_plugins.datasets.devices.faces import read_header
from embench_plugins.datasets.formats.files import to_float32
from embench_plugins.datasets.formats.ratings import (
    QUADRANT,
    find_quadrant,
    make_binary_targets,
    make_marked_target,
    make_scale_targets,
    make_value_targets,
)

SCALES = ("arousal", "valence")
RATINGS = (*SCALES, "dominance", "liking")
CONFOUND_ONLY = ("liking", "familiarity")
FELT = ("neutral", "disgust", "happiness", "surprise", "anger", "fear", "sadness")
ASSESSED = (*RATINGS, "familiarity", *FELT)
"""The 12 columns of a self-assessment: five scales, then 1 or 0 for each of seven emotions."""
CUT = 4.5
VIEWING = ((7, 1, 2, 16), (6, 32, 4, 3), (29, 5, 27, 21), (18, 14, 17, 22), (15, 11, 12, 10))
GROUPS = {f"P{person:02d}": f"group{number}" for number, four in enumerate(VIEWING, start=1) for person in four}
"""Subject -> group with which the subject watched the long videos. The other subjects watched them alone."""


class Amigos(Dataset):
    """Reader of the short videos. A recording is one trial, including the 5 s of rest before the video. The release
    does not state the time in the session; Experiment_Data.xlsx states the order, if present. A channel without values
    stays in its signal as NaN; a modality without values is absent."""

    card = Card(
        name="amigos",
        title="AMIGOS, short videos",
        citation="Miranda-Correa et al., AMIGOS: A Dataset for Affect, Personality and Mood Research on Individuals "
        "and Groups, IEEE Trans. Affective Computing 12(2):479-493, 2021",
        doi="10.1109/TAFFC.2018.2884461",
        licence="EULA, no redistribution (processed copies included)",
        obtain="a permanent academic signs the EULA on the AMIGOS pages of Queen Mary University of London, "
        "http://www.eecs.qmul.ac.uk/mmv/datasets/amigos; " + release.HINT,
        modalities={
            "eeg": ModalityCard(release.EEG, release.RATE, "uV", applied=(4.0, 45.0)),
            "ecg": ModalityCard(("right", "left"), release.RATE, "a.u.", applied=(None, 60.0)),
            "eda": ModalityCard(("eda",), release.RATE, "1e6/GSR", applied=(None, 60.0)),
            **faces.CARDS,
        },
        default_modalities=("eeg", "ecg", "eda"),
        targets=(
            *make_binary_targets(RATINGS, LabelRule("value", cut=CUT, ties="low"), (1.0, 9.0)),
            QUADRANT,
            *make_scale_targets(("arousal", "valence", "dominance"), LabelRule("value"), (1.0, 9.0)),
            *make_value_targets(CONFOUND_ONLY, LabelRule("value"), (1.0, 9.0)),
            *make_marked_target(FELT, LabelRule("value")),
        ),
        mains_hz=50.0,
        longest_s=155.0,
        labels_public="no",
        fixed_order=False,
        baseline=Baseline(0.0, release.BASELINE_S, in_unit=True),  # rest, but the papers feed the whole trial
        skip_s=1.0,  # a connection artefact, which strizhkova2024 cuts too
        default_targets=SCALES,
    )
    videos: ClassVar[tuple[str, ...]] = SHORT
    sheets: ClassVar[tuple[str, ...]] = (release.ORDER_SHEET,)
    without: ClassVar[tuple[str, ...]] = ()  # subjects without data of this variant

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        face_tables = (path for (_, video), path in self._tables.items() if video in self.videos)
        self.card = faces.extend_card(self.card, face_tables)

    def subjects(self) -> list[str]:
        """Return the subjects with a preprocessed file. Raises DataError if there is none."""
        if not (people := sorted(set(release.find(self.root)) - set(self.without))):
            what = f"only files of {', '.join(self.without)} are here, who have nothing of {self.card.title}"
            raise DataError(what, where=str(self.root), expected="files of other people", hint=release.HINT)
        return people

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return `company`: how the subject watched the long videos, alone or in a group. Empty without them."""
        if not set(LONG) & set(self.videos) or subject in release.NO_LONG:
            return {}
        return {"company": "in a group" if subject in GROUPS else "alone"}

    def files(self, subject: str) -> list[Path]:
        """Return the subject's file, clips of the face with their tables, and the sheets of metadata."""
        face_files = [path for video in self.videos for path in faces.list_files(*self._face(subject, video))]
        sheets = (release.read_sheet(self.root, name) for name in self.sheets)
        return [self._path(subject), *face_files, *filter(None, sheets)]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield a recording for each trial of `self.videos` that has any signal, in the file's order."""
        for trial in release.read(self._path(subject))[0]:
            if trial.video not in self.videos or trial.data is None:
                continue
            signals = _make_signals(self.card, trial.data)
            if not signals:
                continue
            video, face_signals = faces.read_face(
                *self._face(subject, trial.video),
                partial(release.align_clip, duration_s=trial.duration_s),
                self.card.modalities["face_au"],
            )
            yield Recording(
                id=f"{subject}_V{trial.video}",
                subject=subject,
                stimulus=trial.video,
                session="long" if trial.video in LONG else "short",
                duration_s=trial.duration_s,
                group=GROUPS.get(subject, subject) if trial.video in LONG else subject,
                start_s=None,
                order=self._orders.get((subject, trial.video)),
                signals=signals | face_signals,
                video=video,
                labels=self._labels(subject, trial),
            )

    def verify(self) -> list[Finding]:
        """Return findings on what is missing or odd: subjects, trials, labels, channels, values, clips."""
        findings = []
        count = release.PEOPLE - len(self.without)
        if missing := count - len(self.subjects()):
            findings.append(Finding("warning", str(self.root), f"{missing} of {count} people have no file"))
        findings += [*self._check_extras(), *faces.note_missing_channels(self.root, self.card.modalities["face_au"])]
        for subject in self.subjects():
            path = self._path(subject)
            try:
                trials, sound = release.read(path)
            except DataError as error:
                findings.append(Finding("error", str(path), error.what))
                continue
            if not sound:
                findings.append(Finding("warning", str(path), "a checksum is wrong: read all the same"))
            videos = [trial.video for trial in trials]
            if unread := sorted(set(self.videos) - set(videos)):
                findings.append(Finding("warning", str(path), f"no cell for video {', '.join(unread)}"))
            if unknown := sorted(set(videos) - set(SHORT + LONG)):
                findings.append(Finding("warning", str(path), f"unknown video {', '.join(unknown)}, left out"))
            for trial in trials:
                if trial.video in self.videos:
                    where = f"{subject}_V{trial.video}"
                    findings += [*_list_findings(where, trial), *self._list_label_findings(where, subject, trial)]
                    findings += self._list_clip_findings(where, subject, trial)
                    findings += faces.list_findings(*self._face(subject, trial.video))
        return findings

    def _path(self, subject: str) -> Path:
        if subject not in (paths := release.find(self.root)):
            raise DataError(f"there is no file of subject {subject}", where=str(self.root), hint=release.HINT)
        return paths[subject]

    @cached_property
    def _clips(self) -> Mapping[tuple[str, str], Path]:
        return release.find_clips(self.root)[0]

    @cached_property
    def _orders(self) -> Mapping[tuple[str, str], int]:
        path = release.read_sheet(self.root, release.ORDER_SHEET)
        try:
            return release.read_orders(path) if path else {}
        except DataError:  # reported by `verify`
            return {}

    @cached_property
    def _tables(self) -> Mapping[tuple[str, str], Path]:
        return release.find_tables(self.root)

    def _face(self, subject: str, video: str) -> tuple[Path | None, Path | None]:
        """Return the clip of a trial and the table of the face in it."""
        return self._clips.get((subject, video)), self._tables.get((subject, video))

    def _labels(self, subject: str, trial: Trial) -> dict[str, Label]:
        """Return the subject's ratings of a trial, without missing ones, and the quadrant of arousal and valence."""
        if trial.ratings is None or len(trial.ratings) < len(SCALES):
            return {}
        given = dict(zip(ASSESSED, trial.ratings.tolist(), strict=False))
        given |= find_quadrant(given["arousal"], given["valence"], CUT)
        return {name: Label("rating", np.array([value])) for name, value in given.items() if np.isfinite(value)}

    def _check_extras(self) -> Iterator[Finding]:
        """Yield findings on clips and sheets of metadata."""
        known, unknown = release.find_clips(self.root)
        if unknown:
            what = f"{len(unknown)} video files are left out: their names do not state a trial"
            yield Finding("note", str(unknown[0]), what)
        if known:
            what = f"{len(known)} clips of faces: taken to start with the signals, rest included"
            yield Finding("note", str(self.root), what)
        for name in self.sheets:
            if path := release.read_sheet(self.root, name, readable=False):
                yield Finding("note", str(path), "not read: openpyxl is not installed (pip install openpyxl)")
        if path := release.read_sheet(self.root, release.ORDER_SHEET):
            try:
                found = release.read_orders(path)
            except DataError as error:
                yield Finding("warning", str(path), error.what)
            else:
                people = {person for person, video in found if video in self.videos}
                yield Finding("note", str(path), f"states the order of the videos of {len(people)} subjects")

    def _list_label_findings(self, where: str, subject: str, trial: Trial) -> Iterator[Finding]:
        labels = self._labels(subject, trial)
        if trial.data is None:
            yield Finding("note", where, "labels without data" if labels else "no data, no labels")
            return
        if missing := [name for name in SCALES if name not in labels]:
            yield Finding("note", where, f"data without {' and '.join(missing)}")
        for low, high, names in ((1, 9, ASSESSED[:5]), (0, 1, FELT)):
            if odd := [name for name in names if name in labels and not low <= labels[name].values[0] <= high]:
                yield Finding("warning", where, f"{', '.join(odd)} off the scale {low} to {high}")

    def _list_clip_findings(self, where: str, subject: str, trial: Trial) -> Iterator[Finding]:
        """Yield a finding if a trial's clip is unreadable, has no data, or differs from them in length."""
        if (path := self._clips.get((subject, trial.video))) is None:
            return
        try:
            clip = read_header(path)
        except DataError as error:
            yield Finding("warning", str(path), error.what)
            return
        if trial.data is None:
            yield Finding("note", where, f"a clip of {clip.duration_s:.1f} s without data")
        elif abs(clip.duration_s - trial.duration_s) > 0.5:
            start = release.align_clip(clip.duration_s, trial.duration_s)[0]
            far = abs(clip.duration_s - trial.duration_s) > release.CLIP_TOLERANCE_S
            yield Finding(
                "warning" if far and not start else "note",
                where,
                f"the clip lasts {clip.duration_s:.1f} s, the signals {trial.duration_s:.1f} s"
                + (": taken to start with the stimulus" if start else ""),
            )


class AmigosLong(Amigos):
    """Reader of the long videos, which 17 subjects watched alone and 20 in groups of four (`Recording.group`)."""

    card = replace(
        Amigos.card, name="amigos/long", title="AMIGOS, long videos", longest_s=max(map(release.limit_length, LONG))
    )
    videos: ClassVar[tuple[str, ...]] = LONG
    without: ClassVar[tuple[str, ...]] = release.NO_LONG


class AmigosAll(Amigos):
    """Reader of short and long videos with the subjects' own ratings. Subjects who watched together share a
    `Recording.group` in the long videos only."""

    card = replace(
        AmigosLong.card, name="amigos/all", title="AMIGOS, short and long videos", sessions=("short", "long")
    )
    videos: ClassVar[tuple[str, ...]] = SHORT + LONG


class AmigosExternal(Amigos):
    """Reader of the external annotations, of short and long videos.

    A label has one value for each second of a recording, at the middle of the second: the annotation of the 20 s
    segment that contains it. The first two and the last two segments of a video overlap; there the value is their mean.
    The targets' label is the release's mean of the three observers, clipped to -1 to 1. With External_Annotations.xlsx
    there are also labels of single observers, such as `arousal_annotator1`.
    """

    card = replace(
        Amigos.card,
        name="amigos/external",
        title="AMIGOS, external annotation",
        targets=(
            *make_binary_targets(SCALES, LabelRule("mean", cut=0.0, ties="low", annotator="external"), (-1.0, 1.0)),
            *make_value_targets(SCALES, LabelRule("mean", annotator="external"), (-1.0, 1.0)),
        ),
        longest_s=max(map(release.limit_length, LONG)),
        sessions=("short", "long"),
    )
    videos: ClassVar[tuple[str, ...]] = SHORT + LONG
    sheets: ClassVar[tuple[str, ...]] = (release.ORDER_SHEET, release.ANNOTATION_SHEET)
    without: ClassVar[tuple[str, ...]] = release.NO_LONG

    @cached_property
    def _annotators(self) -> Mapping[tuple[str, str], Mapping[str, np.ndarray]]:
        path = release.read_sheet(self.root, release.ANNOTATION_SHEET)
        try:
            return release.read_annotators(path) if path else {}
        except DataError:  # reported by `verify`
            return {}

    def _labels(self, subject: str, trial: Trial) -> dict[str, Label]:
        if trial.external is None:
            return {}
        given = {"arousal": trial.external[:, [0, 2]], "valence": trial.external[:, [0, 1]]}
        given |= self._annotators.get((subject, trial.video), {})
        labels = {name: release.sample_by_second(rows, trial.duration_s) for name, rows in given.items()}
        return {name: label for name, label in labels.items() if np.isfinite(label.values).any()}

    def _check_extras(self) -> Iterator[Finding]:
        yield from super()._check_extras()
        if path := release.read_sheet(self.root, release.ANNOTATION_SHEET):
            try:
                found = release.read_annotators(path)
            except DataError as error:
                yield Finding("warning", str(path), error.what)
            else:
                yield Finding("note", str(path), f"states the single annotators of {len(found)} trials")

    def _list_label_findings(self, where: str, subject: str, trial: Trial) -> Iterator[Finding]:
        if trial.external is None or trial.data is None:
            there = [name for name, part in (("data", trial.data), ("annotations", trial.external)) if part is not None]
            missing = "annotations" if there == ["data"] else "data"
            yield Finding("note", where, f"{there[0]} without {missing}" if there else "no data, no annotations")
            return
        rows = len(trial.external)
        if rows not in {release.count_segments(trial.duration_s + slack) for slack in (-1.0, 1.0)}:
            yield Finding("warning", where, f"{rows} annotated segments in {trial.duration_s:.0f} s")
        if not np.array_equal(np.sort(trial.external[:, 0]), np.arange(1, rows + 1)):
            yield Finding("warning", where, "the annotated segments are not numbered 1, 2, and so on")
        single = self._annotators.get((subject, trial.video), {})
        for name, values in {"the mean": trial.external[:, 1:], **{k: v[:, 1] for k, v in single.items()}}.items():
            if (off := int((np.abs(values) > 1).sum())) > 0:
                yield Finding("warning", where, f"annotations of {name} off the scale -1 to 1 ({off}): clipped to it")


def _make_signals(card: Card, data: np.ndarray) -> dict[str, Signal]:
    """Return the modalities with any value, from the 17 columns (samples, 17)."""
    split = {"eeg": data[:, :14], "ecg": data[:, 14:16], "eda": _invert_resistance(data[:, 16:])}
    signals = {}
    for modality, values in split.items():
        ready = to_float32(values.T)
        if np.nan_to_num(ready).any():
            meta = card.modalities[modality]
            signals[modality] = Signal(ready, release.RATE, meta.channels, meta.unit)
    return signals


def _invert_resistance(resistance: np.ndarray) -> np.ndarray:
    """Return 1e6 over the resistance, NaN for values that skin cannot have."""
    positive = resistance[resistance > 0]
    floor = 0.01 * float(np.median(positive)) if positive.size else 0.0
    return 1e6 / np.where(resistance > floor, resistance, np.nan)


def _list_findings(where: str, trial: Trial) -> Iterator[Finding]:
    if trial.data is None:
        return
    if trial.duration_s > release.limit_length(trial.video):
        yield Finding("warning", where, f"it lasts {trial.duration_s:.0f} s, longer than its annotated segments")
    names = (*release.EEG, "ECG right", "ECG left", "GSR")
    lost = np.isnan(trial.data).mean(axis=0)
    if empty := [name for name, share in zip(names, lost, strict=True) if share == 1]:
        yield Finding("note", where, f"no value in {'all of ' if len(empty) > 5 else ''}{', '.join(empty)}")
    if partly := [name for name, share in zip(names, lost, strict=True) if 0 < share < 1]:
        yield Finding("note", where, f"gaps in {', '.join(partly)}")
    if (trial.data[:, 16] <= 0).any():
        yield Finding("warning", where, "`GSR` is 0 or negative at times, as no resistance is: read as missing")
