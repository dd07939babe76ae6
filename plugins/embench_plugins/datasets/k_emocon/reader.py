"""K-EmoCon (Park et al. 2020): 32 subjects debate in pairs; arousal and valence every 5 s are rated by themselves,
their partner and five observers.

Reads the release as it comes: csv files of a wristband (Empatica E4), a chest belt (Polar H7) and a headset (NeuroSky)
in a folder for each subject, and annotations in a file for each subject and annotator, all on one clock of unix
milliseconds.

A recording is the debate alone, `startTime` to `endTime`. The two minutes of rest after `initTime` are excluded. The
time from rest to debate varies, and annotation windows count from the debate's start, so units that start at `initTime`
would not align with them.

Devices do not sample evenly, so rows are resampled to a grid that starts with the debate. A wristband's sample goes to
the nearest point, a belt's or headset's value to its second. Rows at the same point are averaged, up to two empty
points between two known ones are filled by a straight line, and longer gaps remain.

A subject's video (`debate_recordings/p1_640.mp4`, with its length in s) and OpenFace's table of it (`p1_640.csv`, in
any folder, see `faces`) are assumed to begin with the debate.

Not read: E4_HR and E4_IBI (the wristband's own estimate from PPG, so `hr` is the belt's alone), Attention and
Meditation (scores of an undisclosed formula), the quality tables, audio.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal, Video
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4, faces, wearables
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.ratings import make_binary_targets, make_marked_target, make_scale_targets

# The annotations of K-EmoCon: a table for each subject and annotator, with a row for every 5 s of the debate.

WINDOW_S = 5.0
DIMENSIONS = ("arousal", "valence")
EMOTIONS = ("cheerful", "happy", "angry", "nervous", "sad")
SCALE = dict.fromkeys(DIMENSIONS, (1, 5)) | dict.fromkeys(EMOTIONS, (1, 4))
MARKS = (
    "boredom", "confusion", "delight", "concentration", "frustration", "surprise", "none_1", "confrustion", "contempt",
    "dejection", "disgust", "eureka", "pride", "sorrow", "none_2",
)  # fmt: skip
"""States of the Baker-Rodrigo-Ocumpaugh monitoring protocol that could be marked, in two groups, with "none" in each
group (Park et al. 2020)."""
AGAIN = "the file is damaged or not the release's: unpack its archive again"


def read_annotation(
    path: Path, duration_s: float, findings: list[Finding]
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Return one annotator's ratings: the starts of windows (n,) in s, in order; rating -> (n,) values, NaN where
    missing; and the number of windows that end after the debate, which are excluded.

    Column `seconds` is the end of a window, from the debate's start. Values off their scale are excluded. Marks are 1
    for an x and 0 for an empty cell.

    Args:
        findings: list to which findings on oddities of the file are appended.

    Raises:
        DataError: the file is not such a table.
    """
    expected = "a row every 5 s with the columns seconds, arousal and valence"
    table = files.read_text_table(path, expected=expected, hint=AGAIN)
    if missing := [name for name in ("seconds", *DIMENSIONS) if name not in table.columns]:
        raise DataError(f"no column {', '.join(missing)}", where=str(path), expected=expected, hint=AGAIN)
    named = [name for name in ("seconds", *SCALE) if name in table.columns]
    read = files.to_numbers(table[named], path, expected=expected, hint=AGAIN).sort_values("seconds", kind="stable")
    if repeated := int(read["seconds"].duplicated().sum()):
        findings.append(Finding("warning", str(path), f"{repeated} windows have several rows: the first is read"))
        read = read.drop_duplicates("seconds")
    ends = read["seconds"].to_numpy()
    if len(ends) > 1 and np.median(np.diff(ends)) != WINDOW_S:
        apart = f"rows are {np.median(np.diff(ends)):g} s apart"
        raise DataError(apart, where=str(path), expected=expected, hint=AGAIN)
    late = ends > duration_s + 1e-6
    inside = (ends >= WINDOW_S) & ~late
    if early := int((ends < WINDOW_S).sum()):
        what = f"{early} rows begin before the debate: `seconds` should be a window's end"
        findings.append(Finding("warning", str(path), what))
    if not inside.any():
        findings.append(Finding("warning", str(path), "no row lies in the debate"))
    ratings = {}
    for name in named[1:]:
        values, (low, high) = read[name].to_numpy(copy=True)[inside], SCALE[name]
        if off := int(((values < low) | (values > high)).sum()):
            findings.append(Finding("warning", str(path), f"{off} values of {name} off {low} to {high} are left out"))
        ratings[name] = np.where((values >= low) & (values <= high), values, np.nan)
    for name in set(MARKS).intersection(table.columns):
        cells = table.loc[read.index, name].astype(str).str.strip().str.lower()
        ratings[name] = (cells == "x").to_numpy(np.float64)[inside]
    return ends[inside] - WINDOW_S, ratings, int(late.sum())


# The reader.

PEOPLE = 32
BANDS = ("delta", "theta", "lowAlpha", "highAlpha", "lowBeta", "highBeta", "lowGamma", "middleGamma")
SERIALS = {31: "A013E1", 32: "A01A3A"}
"""Subject -> serial number of the wristband that is read: these two wore two, which wrote into one file."""
RATERS = ("R1", "R2", "R3", "R4", "R5")
VOTE = "vote"
"""The most frequent rating of the five raters, from the release; a random one if several are equally frequent."""
FOLDERS = ("metadata", "e4_data", "neurosky_polar_data", "emotion_annotations")
E4 = {"ppg": "E4_BVP.csv", "eda": "E4_EDA.csv", "temp": "E4_TEMP.csv", "acc": "E4_ACC.csv"}
BELT = {"hr": "Polar_HR.csv", "eeg_bands": "BrainWave.csv"}
COLUMNS: Mapping[str, tuple[str, ...]] = {"acc": ("x", "y", "z"), "eeg_bands": BANDS}  # other files have `value`
MOST_G = 8.0
"""If the median acceleration is larger, its unit is counts: gravity is 64 counts, or 1 g in converted copies."""
LONGEST_S = 3600.0
"""Greatest plausible length of a debate; they last about ten minutes."""
NAMED_S = 2.0
"""Greatest difference between a video's length in its header and the whole seconds in its name, in s."""

EXPECTED = "metadata/subjects.csv beside e4_data, neurosky_polar_data and emotion_annotations"
HINT = "unpack metadata, e4_data, neurosky_polar_data and emotion_annotations side by side and pass their folder"
_TABLE = re.compile(r"p0*([1-9]\d?)_.*\.(?:csv|txt)", re.IGNORECASE)


class _Debate(NamedTuple):
    """The start of a debate in unix ms, and its length."""

    start_ms: float
    duration_s: float


def _make_target(name: str, annotator: str) -> tuple[Target, ...]:
    """Return the binary target (high is 3 to 5), the continuous one, and the continuous one minus the subject's mean. A
    unit of 10 s has two windows: if they are rated 2 and 3, their mean of 2.5 has no binary label."""
    cut, value = LabelRule("mean", cut=2.5, ties="drop", annotator=annotator), LabelRule("mean", annotator=annotator)
    return *make_binary_targets([name], cut, (1.0, 5.0)), *make_scale_targets([name], value, (1.0, 5.0))


class KEmoCon(Dataset):
    """Reader of K-EmoCon. A recording is a subject's debate; the two subjects of a debate form a group. A modality is
    absent if the subject has no file of it, or no value during the debate."""

    card = Card(
        name="k_emocon",
        title="K-EmoCon",
        citation="Park et al., K-EmoCon, a multimodal sensor dataset for continuous emotion recognition in "
        "naturalistic conversations, Scientific Data 7:293, 2020",
        doi="10.1038/s41597-020-00630-y",
        licence="on request, no redistribution; audio and video need a consent of their own",
        obtain="request access to Zenodo record 3931963 (doi 10.5281/zenodo.3931963), logged in, and fill in the "
        "authors' online agreement form, with the same e-mail address and a detailed purpose; then " + HINT,
        modalities={
            **e4.CARDS,
            "hr": ModalityCard(("hr",), 1.0, "bpm"),
            "eeg_bands": ModalityCard(BANDS, 1.0, "a.u."),
            **faces.CARDS,
        },
        default_modalities=("ppg", "eda", "temp"),
        targets=(
            *(
                target
                for annotator in ("self", "partner", "external", "external_vote")
                for name in DIMENSIONS
                for target in _make_target(name if annotator == "self" else f"{name}_{annotator}", annotator)
            ),
            *make_scale_targets(EMOTIONS, LabelRule("mean"), (1.0, 4.0)),
            *make_marked_target(MARKS, LabelRule("mean")),
        ),
        default_targets=DIMENSIONS,
        mains_hz=60.0,
        longest_s=LONGEST_S,  # units last 10 s, so nothing is padded to it
        labels_public="no",
        fixed_order=True,  # one debate, which everybody begins at its first second
    )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.card = faces.extend_card(self.card, self._tables.values())

    def subjects(self) -> list[str]:
        """Return the subjects of `metadata/subjects.csv` with any signal, as P01 to P32."""
        found = [pid for pid in sorted(self._debates) if self._signal_files(pid)]
        people = [f"P{pid:02d}" for pid in found]
        return files.require_subjects(people, self.root, "K-EmoCon's signals", expected=EXPECTED, hint=HINT)

    def files(self, subject: str) -> list[Path]:
        """Return the subject's signals, annotations, video and its tables, and the table of all subjects' debates."""
        pid = self._pid(subject)
        annotations = [self._annotation_file(pid, annotator) for annotator in ("self", "partner", *RATERS, VOTE)]
        video_files = [path for clip in self._videos(pid) for path in faces.list_files(clip, None)]
        others = filter(None, (*annotations, *video_files, self._tables.get(pid)))
        return [*self._signal_files(pid).values(), *others, self._subjects_csv]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the subject's one debate."""
        yield self._read(self._pid(subject), [])

    def verify(self) -> list[Finding]:
        """Return findings on assumptions, and on missing or odd subjects, devices, clocks, gaps and annotations."""
        where = str(self.root)
        findings = [
            Finding("note", where, "annotations count from startTime, windows that end after endTime are left out; the "
                    "authors' segments cut longer annotations at their beginning, so their windows differ"),
        ]  # fmt: skip
        subjects = self.subjects()
        if missing := PEOPLE - len(subjects):
            findings.append(Finding("warning", where, f"{missing} of {PEOPLE} people have no signals here"))
        findings += faces.note_missing_channels(self.root, self.card.modalities["face_au"])
        for subject in subjects:
            try:
                self._read(self._pid(subject), findings)
            except DataError as error:
                findings.append(Finding("error", error.where or subject, error.what))
        return findings + list(self._list_missing_files())

    def _read(self, pid: int, findings: list[Finding]) -> Recording:
        """Return a subject's recording; `findings` receives what was assumed or is odd."""
        debate, first = self._debates[pid], pid - (pid + 1) % 2
        signals = {}
        for modality, path in self._signal_files(pid).items():
            signal = self._signal(pid, modality, path, debate, findings)
            if signal is not None:
                signals[modality] = signal
        if not signals:
            raise DataError(
                f"P{pid:02d} has no value of any device between startTime and endTime",
                where=str(self._subjects_csv),
                expected="a debate that the devices recorded",
                hint="check that metadata and signals are of one release",
            )
        video, face_signals = self._face(pid, debate.duration_s, findings)
        return Recording(
            id=f"P{pid:02d}",
            subject=f"P{pid:02d}",
            stimulus="debate",
            session="debate",
            duration_s=debate.duration_s,
            group=f"p{first}.p{first + 1}",  # neighbours debate, as the names of the recordings of sound say
            start_s=0.0,
            order=0,
            signals=signals | face_signals,
            video=video,
            labels=self._labels(pid, debate.duration_s, findings),
        )

    # Paths

    def _folder(self, name: str) -> Path:
        """Return a folder of the release, which may also lie inside a folder of the same name, or below `raw`."""
        for folder in (self.root / name, self.root / "raw" / name):
            if folder.is_dir():
                return folder / name if (folder / name).is_dir() else folder
        return self.root / name

    @cached_property
    def _subjects_csv(self) -> Path:
        """Path of the table of subjects. Raises DataError if folders are missing or still packed."""
        path = self._folder("metadata") / "subjects.csv"
        absent = [name for name in FOLDERS if not self._folder(name).is_dir()]
        packed = [name for name in absent for ending in files.ARCHIVES if (self.root / (name + ending)).is_file()]
        if packed or len(absent) == len(FOLDERS):
            # Partly unpacked copies are refused: devices of a packed folder would seem to be missing.
            segments = [path for depth in ("", "*/", "*/*/") for path in self.root.glob(f"{depth}p[0-9]*-*-*.json")]
            if segments and not packed:
                what = "these are segments that the authors' code made, not K-EmoCon itself"
                raise DataError(what, where=str(segments[0]), expected=EXPECTED, hint=HINT)
            raise files.missing_dataset_error(self.root, "K-EmoCon", expected=EXPECTED, hint=HINT)
        return path

    @cached_property
    def _debates(self) -> Mapping[int, _Debate]:
        """Subject -> start and length of the subject's debate."""
        path = self._subjects_csv
        expected = "pid, startTime and endTime of each subject once, in unix milliseconds, up to an hour apart"
        table = files.read_table(path, ("pid", "startTime", "endTime"), expected=expected, hint=AGAIN)
        debates: dict[int, _Debate] = {}
        for pid, start, end in table.to_numpy():
            wearables.check_milliseconds(np.array([start, end]), path, hint=AGAIN)
            if pid not in range(1, PEOPLE + 1) or pid in debates or not 0 < end - start <= 1000 * LONGEST_S:
                what = f"pid {pid:g} with a debate of {(end - start) / 1000:g} s" + " again" * (pid in debates)
                raise DataError(what, where=str(path), expected=expected, hint=AGAIN)
            debates[int(pid)] = _Debate(start, (end - start) / 1000)
        return debates

    def _pid(self, subject: str) -> int:
        return int(files.check_subject(subject, self.subjects(), self.root, hint=HINT)[1:])

    def _signal_files(self, pid: int) -> dict[str, Path]:
        """Return modality -> its file, for files that exist."""
        return {modality: path for modality, path in self._signal_paths(str(pid)).items() if path.is_file()}

    def _signal_paths(self, pid: str) -> dict[str, Path]:
        """Return modality -> path of its file, whether it exists or not."""
        wrist, others = (self._folder(name) / pid for name in ("e4_data", "neurosky_polar_data"))
        return {m: wrist / name for m, name in E4.items()} | {m: others / name for m, name in BELT.items()}

    def _annotation_file(self, pid: int, annotator: str) -> Path | None:
        """Return the file of an annotator's ratings of a subject, such as `self` or `R1`; None if it is missing."""
        kind, ending = ("external" if annotator in RATERS else annotator), annotator
        if annotator == VOTE:
            kind, ending = "aggregated_external", "external"
        base, name = self._folder("emotion_annotations"), f"{kind}_annotations"
        folder = base / name / name if (base / name / name).is_dir() else base / name
        if (path := folder / f"P{pid}.{ending}.csv").is_file():
            return path
        if (renamed := folder / f"{pid}.{ending}.csv").is_file():
            raise DataError("the file has lost the P of its name", where=str(renamed), expected=path.name, hint=AGAIN)
        return None

    def _videos(self, pid: int) -> list[Path]:
        """Return the subject's videos, named p1_640.mp4 with the length in s; there is one or none."""
        return sorted(self._folder("debate_recordings").glob(f"p{pid}_*.mp4"))

    @cached_property
    def _tables(self) -> Mapping[int, Path]:
        """Subject -> table of the face in the subject's video, named as the video (`p1_640.csv`); the first by path."""
        named = [(match, path) for path in faces.find_tables(self.root) if (match := _TABLE.fullmatch(path.name))]
        return {int(match[1]): path for match, path in reversed(named)}

    # Signals

    def _signal(self, pid: int, modality: str, path: Path, debate: _Debate, findings: list[Finding]) -> Signal | None:
        """Return a modality on its grid, NaN where samples were lost; None if it has no value during the debate."""
        meta, columns = self.card.modalities[modality], COLUMNS.get(modality, ("value",))
        times, values = wearables.read_rows(path, columns, SERIALS.get(pid), findings, hint=AGAIN)
        seconds = (times - debate.start_ms) / 1000
        if modality in BELT:
            values[values == 0] = np.nan  # no contact
            points = np.floor(seconds * meta.rate)
        else:
            points = np.rint(seconds * meta.rate)
        if modality == "acc":
            if np.median(np.nan_to_num(np.abs(values).max(axis=1))) > MOST_G:
                values *= e4.COUNT_G
            else:
                findings.append(Finding("note", str(path), "read as g: the values are too small for counts of 1/64 g"))
        data = wearables.put_on_grid(points, values, int(debate.duration_s * meta.rate + 1e-6))
        if lost := float(np.isnan(data).any(axis=0).mean()):
            what = f"{lost:.1%} of the debate has no {modality}"
            findings.append(Finding("warning" if lost > 0.1 else "note", str(path), what))
        return Signal(data, meta.rate, meta.channels, meta.unit) if np.nan_to_num(data).any() else None

    # Annotations

    def _labels(self, pid: int, duration_s: float, findings: list[Finding]) -> dict[str, Label]:
        """Return name -> label, with the starts of its windows as times. Labels without any value are excluded."""
        read: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        late = []
        for annotator in ("self", "partner", *RATERS, VOTE):
            path = self._annotation_file(pid, annotator)
            if path is None:
                where = str(self._folder("emotion_annotations"))
                findings.append(Finding("warning", where, f"no annotation of P{pid:02d} by {annotator}"))
                continue
            times, ratings, after = read_annotation(path, duration_s, findings)
            late += [f"{after} of {annotator}"] * (after > 0)
            suffix = {"self": "", "partner": "_partner", VOTE: "_external_vote"}.get(
                annotator, f"_external_{annotator.lower()}"
            )
            names = DIMENSIONS if suffix else tuple(ratings)
            read |= {name + suffix: (times, ratings[name]) for name in names}
        if late:
            what = f"windows of P{pid:02d} that end after the debate, left out: {', '.join(late)}"
            findings.append(Finding("note", str(self._folder("emotion_annotations")), what))
        for name in DIMENSIONS:
            raters = [read[key] for r in RATERS if (key := f"{name}_external_{r.lower()}") in read]
            if raters:
                read[f"{name}_external"] = _average_raters(raters)
        return {
            name: Label("continuous", values, times)
            for name, (times, values) in read.items()
            if np.isfinite(values).any()
        }

    def _face(self, pid: int, duration_s: float, findings: list[Finding]) -> tuple[Video | None, dict[str, Signal]]:
        """Return the subject's video and signals of the face, if the video or OpenFace's table of it exists."""
        clip, table = self._clip(pid, findings), self._tables.get(pid)
        video, signals = faces.read_face(clip, table, lambda _: (0.0, duration_s), self.card.modalities["face_au"])
        findings += faces.list_findings(clip, table)
        return video, signals

    def _clip(self, pid: int, findings: list[Finding]) -> Path | None:
        """Return the subject's video; if there are several, the first whose header can be read."""
        paths = self._videos(pid)
        for path in paths:
            try:
                length_s = faces.read_header(path).duration_s
            except DataError as error:
                findings.append(Finding("warning", str(path), error.what))
                continue
            findings.append(Finding("note", str(path), "taken to begin with the debate"))
            if (named := path.stem.partition("_")[2]).isdecimal() and abs(int(named) - length_s) > NAMED_S:
                what = f"lasts {length_s:.1f} s by its header, {named} s by its name"
                findings.append(Finding("warning", str(path), what))
            return path
        return next(iter(paths), None)

    def _list_missing_files(self) -> Iterator[Finding]:
        """Yield findings on files that data_availability.csv lists and that do not exist."""
        path = self._folder("metadata") / "data_availability.csv"
        if not path.is_file():
            yield Finding("note", str(path), "the file is missing: which files a subject has is not checked")
            return
        try:
            table = files.read_text_table(path, expected="pid and one column a file", hint=AGAIN)
        except DataError as error:
            yield Finding("warning", str(path), error.what)
            return
        for row in table.to_dict("records"):
            for file in self._signal_paths(str(row.get("pid")).removesuffix(".0")).values():
                flag = str(row.get(file.stem, "")).strip().lower()
                if flag in ("true", "1", "1.0", "yes") and not file.is_file():
                    yield Finding("warning", str(file), "data_availability.csv speaks of it, but it is not here")


def _average_raters(raters: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return (times, mean ratings) of all windows that any rater rated. `raters`: (times, values) of each."""
    series = [pd.Series(values, index=np.round(times, 3)) for times, values in raters]
    mean = pd.concat(series, axis=1).sort_index().mean(axis=1)
    return mean.index.to_numpy(np.float64), mean.to_numpy(np.float64)
