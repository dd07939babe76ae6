"""Wearable device dataset (Hongn et al. 2025): a wristband during stress tasks between rests, in two protocols.

Reads the sessions in the folder `STRESS` of the release: raw Empatica E4 files of each subject below
`Wearable_Dataset/STRESS/S01` and so on, and the ratings in `Stress_Level_v1.csv` (S01 to S18) and `Stress_Level_v2.csv`
(f01 to f18). The sessions on a bicycle (`AEROBIC`, `ANAEROBIC`) are not read.

Stages. They lie between presses of the button (`tags.csv`), see `layout`. A recording is a session, not
a stage: how long a stage lasts and which one it is would tell its label, whatever the body did. Every second of it is
`stress` (a task), `rest` (the baseline or a rest) or `other` (instructions, questionnaires, before and after), so that
a unit most of which is neither has no label. A subject rates stress once a stage; the rating holds for its seconds.

Clocks. Files say their start as a date in UTC that was shifted, to the second, and so do presses. Time 0 is where all
signals of the session have begun.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Download, Finding
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.wearable_stress import layout
from embench_plugins.datasets.wearable_stress.layout import PROTOCOLS, Stage

CLASSES = ("rest", "stress", "other")
OBTAIN = "embench data fetch wearable_stress, or get the release from physionet.org/content/wearable-device-dataset"
_ABOVE = LabelRule("majority", cut=0.0, ties="low")
_FOLDER = re.compile(r"([Sf]\d\d)(_[a-z])?")


class WearableStress(Dataset):
    """The reader. One recording a subject, the session; two of one session where the connection broke (f14)."""

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
            # 0 is the subject's own mean over the stages, each counted once; a rating on it is not above it.
            Target("rating_high", "binary", _ABOVE, label="rating_from_own_mean", scale=(-10.0, 10.0)),
        ),
        default_targets=("stress",),
        mains_hz=50.0,
        longest_s=5400.0,  # the longest of 22 subjects lasts 4,809 s
        labels_public="yes",
        fixed_order=True,
        # The baseline lies at no fixed time: it begins once the subject was ready, up to half an hour into the file.
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

    # What another kind of session has otherwise.
    sessions: ClassVar[Path] = layout.SESSIONS
    people: ClassVar[tuple[str, ...]] = layout.PEOPLE
    repeated: ClassVar[Mapping[str, Mapping[str, int]]] = layout.REPEATED
    together: ClassVar[tuple[tuple[str, ...], ...]] = ()
    covered: ClassVar[Mapping[str, tuple[str, ...]]] = layout.COVERED
    expected: ClassVar[str] = "Wearable_Dataset/STRESS/S01/BVP.csv and so on, beside Stress_Level_v1.csv"

    def subjects(self) -> list[str]:
        """The release's subjects of whom a session is here."""
        found = [person for person in self.people if person in self._folders]
        return files.some(found, self.root, self.card.title, expected=self.expected, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Sex and age band, where the release's table says them."""
        return self._info.get(subject, {})

    def files(self, subject: str) -> list[Path]:
        """One subject's signals and button presses, and the table of ratings of the subject's protocol."""
        own, ratings = self._own_files(subject), self._base / PROTOCOLS[subject[0]].ratings
        return [*own, *([ratings] if ratings.is_file() else [])]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The subject's session, or the parts of it, with the labels that lie in it."""
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
        """Who is missing, and what is missing or odd in each subject's files, presses and ratings."""
        return files.look_over(self.subjects(), self.people, self._base / self.sessions, self._look)

    @cached_property
    def _base(self) -> Path:
        """The folder that holds Wearable_Dataset: the one given, or one inside it, as an archive unpacks."""
        return files.inside(self.root, self.sessions.parts[0])

    @cached_property
    def _folders(self) -> dict[str, list[Path]]:
        """Each subject's folders with files of a wristband, in order of name."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self._base / self.sessions).glob("*")):
            named = _FOLDER.fullmatch(path.name)
            if named and named[1] in self.people and e4.is_session(path):
                found.setdefault(named[1], []).append(path)
        return found

    def _own(self, subject: str) -> list[Path]:
        return self._folders[files.known(subject, self._folders, self._base / self.sessions, hint=OBTAIN)]

    def _own_files(self, subject: str) -> list[Path]:
        names = (*e4.FILES.values(), "tags.csv")
        return [path for folder in self._own(subject) for name in names if (path := folder / name).is_file()]

    def _sessions(self, subject: str) -> dict[str, e4.Session]:
        """What the wristband recorded, by name of the folder, in order of time."""
        whole = {m: row - 3 for m, row in self.repeated.get(subject, {}).items()}
        covered = self.covered.get(subject, ())
        own = self._own(subject)
        sessions = {folder.name: e4.in_folder(folder, hint=OBTAIN, without=covered, most=whole) for folder in own}
        return dict(sorted(sessions.items(), key=lambda named: named[1].start))

    def _presses(self, subject: str) -> np.ndarray:
        return np.sort(np.concatenate([e4.presses(folder / "tags.csv") for folder in self._own(subject)]))

    def _labels(self, subject: str, sessions: Mapping[str, e4.Session]) -> dict[str, dict[str, Label]]:
        """The labels of each session, by its name; none where a press is missing or one too many."""
        stages = self._stages(subject, sessions)
        ratings = self._ratings(subject) if stages else {}
        return {name: _labels(session, stages, ratings) if stages else {} for name, session in sessions.items()}

    def _stages(self, subject: str, sessions: Mapping[str, e4.Session]) -> dict[Stage, tuple[float, float]]:
        """When each stage began and ended, in unix seconds; none where a press is missing or one too many.

        Raises:
            DataError: the presses are of another time than the signals.
        """
        presses, protocol = self._presses(subject), PROTOCOLS[subject[0]]
        if len(presses) != protocol.presses:
            return {}
        spans = {}
        for stage in protocol.stages:
            end = float(presses[stage.closes])
            spans[stage] = (end - layout.BEFORE_S if stage.opens is None else float(presses[stage.opens]), end)
        self._check_times(subject, sessions, spans.values())
        return spans

    def _check_times(
        self, subject: str, sessions: Mapping[str, e4.Session], spans: Iterable[tuple[float, float]]
    ) -> None:
        """Raises DataError where none of the spans between presses lies in a session, not even in part."""
        parts = [(session.start, session.start + session.duration_s) for session in sessions.values()]
        if not any(begin < stop and end > start for begin, end in spans for start, stop in parts):
            raise DataError(
                f"the button presses of {subject} and its signals are of different times",
                where=str(self._own(subject)[0] / "tags.csv"),
                expected="times inside the session",
                hint="all files of a person must be of one session: copy the person's folder again",
            )

    def _ratings(self, subject: str) -> dict[str, float]:
        """Stage -> the subject's rating; empty where the table is missing, or the subject is not in it."""
        protocol = PROTOCOLS[subject[0]]
        path = self._base / protocol.ratings
        if not path.is_file():
            return {}
        names = [stage.name for stage in protocol.stages]
        expected, hint = f"a row a subject, its id and then {', '.join(names)}", "copy it again from the release"
        read = files.text_table(path, expected=expected, hint=hint)
        if lacking := [name for name in names if name not in read.columns]:
            raise DataError(f"no column {', '.join(lacking)}", where=str(path), expected=expected, hint=hint)
        mine = read[read.iloc[:, 0].astype(str).str.strip() == subject]
        if len(mine) > 1:
            raise DataError(f"{subject} has {len(mine)} rows", where=str(path), expected=expected, hint=hint)
        values = files.numbers(mine[names], path, expected=expected, hint=hint)
        return {name: float(values[name].iloc[0]) for name in names if len(mine) and np.isfinite(values[name].iloc[0])}

    @cached_property
    def _info(self) -> dict[str, dict[str, str]]:
        return files.who(self._base / layout.INFO, ("Info", "Age", "Gender"))

    def _look(self, subject: str) -> Iterator[Finding]:
        sessions, protocol, where = self._sessions(subject), PROTOCOLS[subject[0]], str(self._own(subject)[0])
        yield from self._look_at_sessions(subject, sessions)
        presses = self._presses(subject)
        if len(presses) != protocol.presses:
            what = (
                f"{len(presses)} button presses, not {protocol.presses}: the stages are unknown, so there is no label"
            )
            yield Finding("warning", where, what)
            return
        for stage, (begin, end) in self._stages(subject, sessions).items():
            if stage.name in layout.SHORT and not layout.SHORT_S[0] <= end - begin <= layout.SHORT_S[1]:
                yield Finding("warning", where, f"{stage.name} lasts {end - begin:.0f} s, about 30 s by the protocol")
            parts = [min(end, s.start + s.duration_s) - max(begin, s.start) for s in sessions.values()]
            outside = end - begin - sum(max(0.0, part) for part in parts)
            if outside > 0:
                yield Finding("note", where, f"{outside:.0f} s of {stage.name} were not recorded")
        if missing := sorted({stage.name for stage in protocol.stages} - set(self._ratings(subject))):
            what = f"{subject}: no rating of {', '.join(missing)}"
            yield Finding("warning", str(self._base / protocol.ratings), what)

    def _look_at_sessions(self, subject: str, sessions: Mapping[str, e4.Session]) -> Iterator[Finding]:
        """What is odd in the wristband's files, but for the presses."""
        folders = {folder.name: str(folder) for folder in self._own(subject)}
        for name, session in sessions.items():
            where = folders[name]
            if subject in self.repeated:
                what = "its samples repeat from a certain row on, by the release's note: cut off there"
                yield Finding("note", where, what)
            if covered := self.covered.get(subject):
                sensors = " and ".join(covered)
                what = f"the dock covered the sensors of {sensors}, by the release's note: they are left out"
                yield Finding("note", where, what)
            yield from e4.look(where, session)
        if len(sessions) > 1:
            where = next(iter(folders.values()))
            yield Finding("note", where, f"{subject} is in {len(sessions)} parts: the connection broke")


def _labels(
    session: e4.Session, stages: Mapping[Stage, tuple[float, float]], ratings: Mapping[str, float]
) -> dict[str, Label]:
    """The labels of a recording's whole seconds: the value at time t holds for [t, t + 1)."""
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
