"""Wearable device dataset (Hongn et al. 2025): a wristband during stress tasks between rests, and on a bicycle.

`WearableStress` reads the stress sessions, `WearableStressExercise` the aerobic sessions of the same subjects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Download, Finding
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats import files

# The layout of the wearable device dataset's stress sessions: subjects, stages by button presses, and known faults.
#
# In the second protocol, the opposite opinion is between presses 5 and 6, and the second rest between 6 and 7. Other
# sources state 4 to 5 and 5 to 6. But for all six of its subjects whose files were read, 4 to 5 is a break of 19 to 62
# s, as after the real opinion in the first protocol, 5 to 6 lasts the 31 to 40 s of a short task, and 6 to 7 the 7 to
# 20 minutes of a rest.

SESSIONS = Path("Wearable_Dataset", "STRESS")
INFO = "subject-info.csv"
PEOPLE = tuple(f"{group}{number:02d}" for group in ("S", "f") for number in range(1, 19))


class Stage(NamedTuple):
    """A stage of the protocol, between the presses `opens` and `closes` of the button, counted from 0. If `opens` is
    None, it is the last `BEFORE_S` before `closes`. `name` is the column of its rating."""

    name: str
    stress: bool
    opens: int | None
    closes: int


BEFORE_S = 180.0


class Protocol(NamedTuple):
    """A version of the study: its table of ratings, its stages, and the number of presses in a complete session."""

    ratings: str
    stages: tuple[Stage, ...]
    presses: int


PROTOCOLS = {
    "S": Protocol(
        "Stress_Level_v1.csv",
        (
            Stage("Baseline", False, 0, 1),
            Stage("Stroop", True, 2, 3),
            Stage("First Rest", False, 3, 4),
            Stage("TMCT", True, 4, 5),
            Stage("Second Rest", False, 5, 6),
            Stage("Real Opinion", True, 6, 7),
            Stage("Opposite Opinion", True, 8, 9),
            Stage("Subtract", True, 10, 11),
        ),
        13,
    ),
    "f": Protocol(
        "Stress_Level_v2.csv",
        (
            Stage("Baseline", False, None, 0),
            Stage("TMCT", True, 1, 2),
            Stage("First Rest", False, 2, 3),
            Stage("Real Opinion", True, 3, 4),
            Stage("Opposite Opinion", True, 5, 6),
            Stage("Second Rest", False, 6, 7),
            Stage("Subtract", True, 7, 8),
        ),
        9,
    ),
}
"""First letter of a subject's id -> protocol."""

SHORT = ("Real Opinion", "Opposite Opinion", "Subtract")
SHORT_S = (10.0, 90.0)
"""Least and greatest plausible length of the short tasks, which last 30 s by the protocol. A length outside shows a
missing or superfluous press."""

REPEATED = {"S02": {"ppg": 99_091, "eda": 6_195, "temp": 6_195, "acc": 49_545}}
"""Subject -> signal -> row of its file, from 1, at which samples begin to repeat earlier ones, by the release."""

COVERED = {"f07": ("ppg", "temp")}
"""Subject -> sensors that the charging dock covered throughout."""


# The reader of the stress sessions, in two protocols.
#
# Reads the sessions in the folder `STRESS` of the release: raw Empatica E4 files of each subject below
# `Wearable_Dataset/STRESS/S01` and so on, and the ratings in `Stress_Level_v1.csv` (S01 to S18) and
# `Stress_Level_v2.csv` (f01 to f18). The sessions on a bicycle (`AEROBIC`, `ANAEROBIC`) are not read.
#
# Stages are between presses of the button (`tags.csv`), see `PROTOCOLS`. A recording is a session, not a stage, as a
# stage's length and position would reveal its label. Every second is `stress` (a task), `rest` (the baseline or a rest)
# or `other` (instructions, questionnaires, before and after); a unit that is mostly `other` has no label. A subject
# rates stress once for each stage; the rating applies to its seconds.
#
# Files and presses state their times as a shifted date in UTC, to the second. Time 0 is where all signals of the
# session have begun.

CLASSES = ("rest", "stress", "other")
OBTAIN = "embench data fetch wearable_stress, or get the release from physionet.org/content/wearable-device-dataset"
_ABOVE = LabelRule("majority", cut=0.0, ties="low")
_FOLDER = re.compile(r"([Sf]\d\d)(_[a-z])?")


class WearableStress(Dataset):
    """Reader of the stress sessions. A recording is a session; that of f14 is in two, as the connection broke."""

    card = Card(
        name="wearable_stress",
        title="Wearable Device Dataset, stress sessions of 36 people",
        citation="Hongn et al., Wearable Physiological Signals under Acute Stress and Exercise Conditions, "
        "Scientific Data 12, 2025",
        doi="10.1038/s41597-025-04845-9",
        licence="ODC-By 1.0",
        obtain=OBTAIN,
        modalities=e4.CARDS,
        default_modalities=("ppg", "eda", "temp"),
        targets=(
            Target("stress", "binary", LabelRule("majority", positive=(1,), negative=(0,)), label="stage"),
            Target("rating", "value", LabelRule("majority"), label="rating", scale=(0.0, 10.0)),
            # 0 is the subject's mean over the stages, each counted once; a rating equal to it is not above it.
            Target("rating_high", "binary", _ABOVE, label="rating_from_own_mean", scale=(-10.0, 10.0)),
        ),
        default_targets=("stress",),
        mains_hz=50.0,
        longest_s=5400.0,  # the longest of 22 subjects lasts 4,809 s
        labels_public="yes",
        fixed_order=True,
        # The baseline has no fixed time: it begins when the subject is ready, up to half an hour into the file.
        baseline=None,
        downloads=(
            # PhysioNet publishes digests of the files in it, and none of the archive.
            Download(
                "https://physionet.org/static/published-projects/wearable-device-dataset/"
                "wearable-device-dataset-from-induced-stress-and-structured-exercise-sessions-1.0.1.zip",
                "wearable-device-dataset-1.0.1.zip",
                sha256=None,
            ),
        ),
        verified_on_real={
            "by": "tests of this reader, on 22 of 36 subjects: ten of S04 to S18, f01 to f06, f08 to f13",
            "date": "2026-11-26",
            "fingerprint": "sha256 of Stress_Level_v1.csv 728ddaa128851f80b48a715b5144a9c5"
            "d4573652bc71b9797861795121bf1370",
        },
    )

    # Attributes that differ for another kind of session.
    sessions: ClassVar[Path] = SESSIONS
    people: ClassVar[tuple[str, ...]] = PEOPLE
    repeated: ClassVar[Mapping[str, Mapping[str, int]]] = REPEATED
    together: ClassVar[tuple[tuple[str, ...], ...]] = ()
    covered: ClassVar[Mapping[str, tuple[str, ...]]] = COVERED
    expected: ClassVar[str] = "Wearable_Dataset/STRESS/S01/BVP.csv and so on, beside Stress_Level_v1.csv"

    def subjects(self) -> list[str]:
        """Return the release's subjects with a session in the folder."""
        found = [person for person in self.people if person in self._folders]
        return files.require_subjects(found, self.root, self.card.title, expected=self.expected, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex and age band, if the release's table contains them."""
        return self._info.get(subject, {})

    def files(self, subject: str) -> list[Path]:
        """Return one subject's signals and button presses, and the table of ratings of the subject's protocol."""
        recorded, ratings = self._list_files(subject), self._base / PROTOCOLS[subject[0]].ratings
        return [*recorded, *([ratings] if ratings.is_file() else [])]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the subject's session with its labels; if the connection broke, a recording for each part."""
        sessions = self._sessions(subject)
        begins = min(session.start for session in sessions.values())
        labels = self._labels(subject, sessions)
        for order, (name, session) in enumerate(sessions.items()):
            yield Recording(
                id=name,
                subject=subject,
                stimulus="session",
                session=self.sessions.name.lower(),
                duration_s=session.duration_s,
                group=next(("+".join(group) for group in self.together if subject in group), subject),
                start_s=session.start - begins,
                order=order,
                signals=session.signals,
                labels=labels[name],
            )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, and on missing or unusual parts of files, presses and ratings."""
        return files.collect_findings(self.subjects(), self.people, self._base / self.sessions, self._list_findings)

    @cached_property
    def _base(self) -> Path:
        """Folder with Wearable_Dataset: the root, or a folder inside it, as after unpacking an archive."""
        return files.find_data_folder(self.root, self.sessions.parts[0])

    @cached_property
    def _folders(self) -> dict[str, list[Path]]:
        """Subject -> folders with files of the subject's wristband, in order of name."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self._base / self.sessions).glob("*")):
            match = _FOLDER.fullmatch(path.name)
            if match and match[1] in self.people and e4.has_signal_files(path):
                found.setdefault(match[1], []).append(path)
        return found

    def _find_folders(self, subject: str) -> list[Path]:
        return self._folders[files.check_subject(subject, self._folders, self._base / self.sessions, hint=OBTAIN)]

    def _list_files(self, subject: str) -> list[Path]:
        names = (*e4.FILES.values(), "tags.csv")
        return [path for folder in self._find_folders(subject) for name in names if (path := folder / name).is_file()]

    def _sessions(self, subject: str) -> dict[str, e4.Session]:
        """Return folder name -> the wristband's recording, in order of time."""
        most = {m: row - 3 for m, row in self.repeated.get(subject, {}).items()}  # rows 1 and 2 are start and rate
        covered = self.covered.get(subject, ())
        folders = self._find_folders(subject)
        sessions = {folder.name: e4.read_folder(folder, hint=OBTAIN, without=covered, most=most) for folder in folders}
        return dict(sorted(sessions.items(), key=lambda named: named[1].start))

    def _presses(self, subject: str) -> np.ndarray:
        return np.sort(np.concatenate([e4.read_presses(folder / "tags.csv") for folder in self._find_folders(subject)]))

    def _labels(self, subject: str, sessions: Mapping[str, e4.Session]) -> dict[str, dict[str, Label]]:
        """Return session's name -> its labels; no labels if a press is missing or superfluous."""
        stages = self._stages(subject, sessions)
        ratings = self._ratings(subject) if stages else {}
        return {name: _make_labels(session, stages, ratings) if stages else {} for name, session in sessions.items()}

    def _stages(self, subject: str, sessions: Mapping[str, e4.Session]) -> dict[Stage, tuple[float, float]]:
        """Return stage -> its start and end in unix seconds; empty if a press is missing or superfluous.

        Raises:
            DataError: the presses are of another time than the signals.
        """
        presses, protocol = self._presses(subject), PROTOCOLS[subject[0]]
        if len(presses) != protocol.presses:
            return {}
        spans = {}
        for stage in protocol.stages:
            end = float(presses[stage.closes])
            spans[stage] = (end - BEFORE_S if stage.opens is None else float(presses[stage.opens]), end)
        self._check_times(subject, sessions, spans.values())
        return spans

    def _check_times(
        self, subject: str, sessions: Mapping[str, e4.Session], spans: Iterable[tuple[float, float]]
    ) -> None:
        """Raise DataError if no span between presses overlaps a session."""
        parts = [(session.start, session.start + session.duration_s) for session in sessions.values()]
        if not any(begin < stop and end > start for begin, end in spans for start, stop in parts):
            raise DataError(
                f"the button presses of {subject} and its signals are of different times",
                where=str(self._find_folders(subject)[0] / "tags.csv"),
                expected="times inside the session",
                hint="all files of a subject must be of one session: copy the subject's folder again",
            )

    def _ratings(self, subject: str) -> dict[str, float]:
        """Return stage -> the subject's rating; empty if the table is missing, or lacks the subject."""
        protocol = PROTOCOLS[subject[0]]
        path = self._base / protocol.ratings
        if not path.is_file():
            return {}
        names = [stage.name for stage in protocol.stages]
        expected, hint = f"a row a subject, its id and then {', '.join(names)}", "copy it again from the release"
        read = files.read_text_table(path, expected=expected, hint=hint)
        if lacking := [name for name in names if name not in read.columns]:
            raise DataError(f"no column {', '.join(lacking)}", where=str(path), expected=expected, hint=hint)
        row = read[read.iloc[:, 0].astype(str).str.strip() == subject]
        if len(row) > 1:
            raise DataError(f"{subject} has {len(row)} rows", where=str(path), expected=expected, hint=hint)
        values = files.to_numbers(row[names], path, expected=expected, hint=hint)
        return {name: float(values[name].iloc[0]) for name in names if len(row) and np.isfinite(values[name].iloc[0])}

    @cached_property
    def _info(self) -> dict[str, dict[str, str]]:
        return files.read_subject_info(self._base / INFO, ("Info", "Age", "Gender"))

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        sessions, protocol, where = self._sessions(subject), PROTOCOLS[subject[0]], str(self._find_folders(subject)[0])
        yield from self._list_session_findings(subject, sessions)
        presses = self._presses(subject)
        if len(presses) != protocol.presses:
            what = (
                f"{len(presses)} button presses, not {protocol.presses}: the stages are unknown, so there is no label"
            )
            yield Finding("warning", where, what)
            return
        for stage, (begin, end) in self._stages(subject, sessions).items():
            if stage.name in SHORT and not SHORT_S[0] <= end - begin <= SHORT_S[1]:
                yield Finding("warning", where, f"{stage.name} lasts {end - begin:.0f} s, about 30 s by the protocol")
            parts = [min(end, s.start + s.duration_s) - max(begin, s.start) for s in sessions.values()]
            outside = end - begin - sum(max(0.0, part) for part in parts)
            if outside > 0:
                yield Finding("note", where, f"{outside:.0f} s of {stage.name} were not recorded")
        if missing := sorted({stage.name for stage in protocol.stages} - set(self._ratings(subject))):
            what = f"{subject}: no rating of {', '.join(missing)}"
            yield Finding("warning", str(self._base / protocol.ratings), what)

    def _list_session_findings(self, subject: str, sessions: Mapping[str, e4.Session]) -> Iterator[Finding]:
        """Yield findings on the wristband's files, apart from the presses."""
        folders = {folder.name: str(folder) for folder in self._find_folders(subject)}
        for name, session in sessions.items():
            where = folders[name]
            if subject in self.repeated:
                what = "its samples repeat from a certain row on, by the release's note: cut off there"
                yield Finding("note", where, what)
            if covered := self.covered.get(subject):
                sensors = " and ".join(covered)
                what = f"the dock covered the sensors of {sensors}, by the release's note: they are left out"
                yield Finding("note", where, what)
            yield from e4.list_findings(where, session)
        if len(sessions) > 1:
            where = next(iter(folders.values()))
            yield Finding("note", where, f"{subject} is in {len(sessions)} parts: the connection broke")


def _make_labels(
    session: e4.Session, stages: Mapping[Stage, tuple[float, float]], ratings: Mapping[str, float]
) -> dict[str, Label]:
    """Return the labels of each whole second of a session: the value at time t applies to [t, t + 1)."""
    times = np.arange(int(session.duration_s), dtype=np.float64)
    kind, rating = np.full(len(times), 2.0), np.full(len(times), np.nan)
    for stage, (begin, end) in stages.items():
        within = (times >= begin - session.start) & (times < end - session.start)
        kind[within], rating[within] = float(stage.stress), ratings.get(stage.name, np.nan)
    labels = {"stage": Label("condition", kind, times, CLASSES)}
    if ratings:
        labels["rating"] = Label("continuous", rating, times)
        labels["rating_from_own_mean"] = Label("continuous", rating - np.mean(list(ratings.values())), times)
    return labels


# The aerobic sessions of the wearable device dataset (Hongn et al. 2025): the subjects of `wearable_stress` on a
# stationary bicycle, without stress tasks.
#
# Reads `Wearable_Dataset/AEROBIC/S04` and so on. Stress has no label. The release does not state the phases
# between presses of the button (`tags.csv`). If a press is missing or superfluous, the session has no label. A
# recording is a session; S11 has two of one session, as the connection broke.
#
# Every second is `exercise`, `rest` or neither. `exercise` lasts from the first press to the last. `work` is more
# certain, with fewer units: it excludes the end, see `COOL_DOWN`, and its rest excludes the warm-up, see `WARM_UP_S`.
# Both were determined from the cadence in the acceleration of all sessions except those of `UNSEEN`.

EXERCISE_SESSIONS = Path("Wearable_Dataset", "AEROBIC")
NUMBERS = {"S": [number for number in range(1, 19) if number != 12], "f": list(range(1, 14))}
"""First letter of a subject's id -> numbers. S12 did not take part, by the release's note; 30 did, by the paper."""
EXERCISE_PEOPLE = tuple(f"{group}{number:02d}" for group, numbers in NUMBERS.items() for number in numbers)
PRESSES = {"S": 12, "f": 8}
"""First letter of a subject's id -> number of presses in a complete session."""
ENDED_EARLY = {"S03": 90, "S07": 95}
"""Subject -> cadence, in revolutions per minute, at which the subject stopped, by the release's note."""
TOGETHER = (("f01", "f03", "f12"), ("f02", "f11", "f13"), ("f04", "f09", "f10"), ("f05", "f06"))
"""Subjects whose sessions overlap: most pressed the button within seconds, so their labels are nearly the same."""
UNSEEN = ("S01", "S02", "S03", "S06", "S07", "S11", "S16", "f07")
"""Subjects whose sessions were not available when `COOL_DOWN` and `WARM_UP_S` were determined."""

STATES = ("rest", "exercise", "neither")
TARGETS = ("exercise", "work")
UNIT_S = 10.0
"""Length in s of a unit under the protocols. States change between units only, so no unit has two labels."""
COOL_DOWN = {"S": 10, "f": 5}
"""First letter of a subject's id -> press, from 0, at which the cool-down begins: the last one at which the cadence in
the acceleration rises."""
WARM_UP_S = {"S": 0.0, "f": 180.0}
"""First letter of a subject's id -> seconds before the first press in which some already pedal, by the acceleration."""


class WearableStressExercise(WearableStress):
    """Reader of the aerobic sessions."""

    card = replace(
        WearableStress.card,
        name="wearable_stress/exercise",
        title="Wearable Device Dataset, aerobic sessions of 30 people",
        targets=tuple(
            Target(name, "binary", LabelRule("majority", positive=(1,), negative=(0,)), label=name) for name in TARGETS
        ),
        default_targets=("exercise",),
        # The longest of 22 subjects lasts 3,074 s.
        verified_on_real={
            "by": "tests of this reader, on 22 of 30 subjects: ten of S04 to S18, f01 to f06, f08 to f13",
            "date": "2026-11-26",
            "fingerprint": "sha256 of Wearable_Dataset/AEROBIC/S04/tags.csv c71aa2a7d1fa9bec145818e979f78f1f"
            "22f616e3e3da0232d80ba74124d7b869",
        },
    )

    sessions: ClassVar[Path] = EXERCISE_SESSIONS
    people: ClassVar[tuple[str, ...]] = EXERCISE_PEOPLE
    together: ClassVar[tuple[tuple[str, ...], ...]] = TOGETHER
    repeated: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    covered: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    expected: ClassVar[str] = "Wearable_Dataset/AEROBIC/S04/BVP.csv and so on"

    def files(self, subject: str) -> list[Path]:
        """Return one subject's signals and button presses."""
        return self._list_files(subject)

    def _labels(self, subject: str, sessions: Mapping[str, e4.Session]) -> dict[str, dict[str, Label]]:
        presses, stage = self._pressed(subject, sessions), subject[0]
        return {
            name: _make_exercise_labels(one, presses, stage) if len(presses) else {} for name, one in sessions.items()
        }

    def _pressed(self, subject: str, sessions: Mapping[str, e4.Session]) -> np.ndarray:
        """Return the times of a subject's button presses in unix seconds, in order; empty if their number is not the
        number that the protocol has.

        Raises:
            DataError: the presses are not within the time of the signals.
        """
        presses = self._presses(subject)
        if len(presses) != PRESSES[subject[0]]:
            return np.empty(0)
        self._check_times(subject, sessions, [(float(presses[0]), float(presses[-1]))])
        return presses

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        sessions, presses, where = self._sessions(subject), self._presses(subject), str(self._find_folders(subject)[0])
        whole = PRESSES[subject[0]]
        yield from self._list_session_findings(subject, sessions)
        if subject in ENDED_EARLY:
            what = f"{subject} ended early, at {ENDED_EARLY[subject]} revolutions a minute, by the release's note"
            yield Finding("note", where, what)
        if len(presses) != whole:
            what = f"{len(presses)} button presses, not {whole}: what lies between is unknown, so there is no label"
            yield Finding("warning", where, what)
            return
        self._pressed(subject, sessions)  # raises where they are of another time


def _make_exercise_labels(session: e4.Session, presses: np.ndarray, stage: str) -> dict[str, Label]:
    """Return the labels of each whole second of a session, by target."""
    times = np.arange(int(session.duration_s), dtype=np.float64)
    states = find_states(presses - session.start, times, stage)
    rest, _, neither = STATES
    return {target: Label("condition", values, times, (rest, target, neither)) for target, values in states.items()}


def find_states(presses: np.ndarray, times: np.ndarray, stage: str) -> dict[str, np.ndarray]:
    """Return target -> state (n,) in each whole second of a session: 0 rest, 1 the target's activity, 2 neither. The
    activity of `exercise` includes the cool-down, that of `work` does not.

    Args:
        presses: (k,) in s on the clock of `times` (n,), all presses of the device's button in a session.
        stage: version of the study, `S` or `f`: the first letter of the subject's id.
    """
    first, last = float(presses.min()), float(presses.max())
    cool_down = float(np.sort(presses)[COOL_DOWN[stage]])
    borders = {"exercise": (first, first, last, last), "work": (first - WARM_UP_S[stage], first, cool_down, last)}
    starts = times // UNIT_S * UNIT_S
    stops = starts + UNIT_S
    states = {}
    for name, (rest_ends, begins, ends, rest_begins) in borders.items():
        values = np.full(len(times), 2.0)
        values[(stops <= rest_ends) | (starts >= rest_begins)] = 0.0
        values[(starts >= begins) & (stops <= ends)] = 1.0
        states[name] = values
    return states
