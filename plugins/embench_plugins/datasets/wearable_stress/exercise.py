"""The aerobic sessions of the wearable device dataset (Hongn et al. 2025): the subjects of `wearable_stress` on a
stationary bicycle, when nobody was stressed.

Reads `Wearable_Dataset/AEROBIC/S04` and so on. There is no label of stress. Every second is `exercise`, `rest` or
neither by the presses of the button (`tags.csv`), see `wearable_stress_exercise_layout`; where one is missing or there
is one too many, the session has no label. A recording is a session, and two of one where the connection broke (S11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.release import look_over
from embench_plugins.datasets.wearable_stress.exercise_layout import (
    ENDED_EARLY,
    PEOPLE,
    PRESSES,
    SESSIONS,
    STATES,
    TARGETS,
    TOGETHER,
    states,
)
from embench_plugins.datasets.wearable_stress.reader import OBTAIN, OPTIONAL, WearableStress

EXPECTED = "Wearable_Dataset/AEROBIC/S04/BVP.csv and so on"
_FOLDER = re.compile(r"([Sf]\d\d)(_[a-z])?")


class WearableStressExercise(WearableStress):
    """The reader of the aerobic sessions."""

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

    def subjects(self) -> list[str]:
        """The release's subjects of whom an aerobic session is here."""
        if not self._folders:
            raise files.not_this(self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)
        return [person for person in PEOPLE if person in self._folders]

    def files(self, subject: str) -> list[Path]:
        """One subject's signals and button presses."""
        names = (*e4.FILES.values(), "tags.csv")
        return [path for folder in self._own(subject) for name in names if (path := folder / name).is_file()]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The subject's session, or the parts of it."""
        sessions = self._sessions(subject)
        presses = self._pressed(subject, sessions)
        begins = min(session.start for session in sessions.values())
        for order, (name, session) in enumerate(sessions.items()):
            times = np.arange(int(session.duration_s), dtype=np.float64)
            found = states(presses - session.start, times, subject[0]) if len(presses) else {}
            yield Recording(
                id=name,
                subject=subject,
                stimulus="session",
                session="aerobic",
                duration_s=session.duration_s,
                group=next(("+".join(group) for group in TOGETHER if subject in group), subject),
                start_s=session.start - begins,
                order=order,
                signals=session.signals,
                labels={
                    target: Label("condition", values, times, (STATES[0], target, STATES[2]))
                    for target, values in found.items()
                },
            )

    def verify(self) -> list[Finding]:
        """Who is missing, and what is missing or odd in each subject's files and presses."""
        return look_over(self.subjects(), PEOPLE, self._base / SESSIONS, self._look)

    @cached_property
    def _folders(self) -> dict[str, list[Path]]:
        """Each subject's folders with files of a wristband, in order of name."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self._base / SESSIONS).glob("*")):
            named = _FOLDER.fullmatch(path.name)
            if named and named[1] in PEOPLE and any((path / name).is_file() for name in e4.FILES.values()):
                found.setdefault(named[1], []).append(path)
        return found

    def _own(self, subject: str) -> list[Path]:
        if subject not in self._folders:
            raise DataError(f"there is no person {subject}", where=str(self._base / SESSIONS), hint=OBTAIN)
        return self._folders[subject]

    def _sessions(self, subject: str) -> dict[str, e4.Session]:
        """What the wristband recorded, by name of the folder, in order of time."""
        sessions = {}
        for folder in self._own(subject):
            paths = {m: folder / name for m, name in e4.FILES.items()}
            there = {m: path for m, path in paths.items() if m not in OPTIONAL or path.is_file()}
            sessions[folder.name] = e4.session(there, hint=OBTAIN)
        return dict(sorted(sessions.items(), key=lambda named: named[1].start))

    def _pressed(self, subject: str, sessions: dict[str, e4.Session]) -> np.ndarray:
        """The presses in unix seconds, in order; none where one is missing or one too many.

        Raises:
            DataError: they are of another time than the signals.
        """
        presses = self._presses(subject)
        if len(presses) != PRESSES[subject[0]]:
            return np.empty(0)
        begin, end = presses[[0, -1]]
        if not any(begin < s.start + s.duration_s and end > s.start for s in sessions.values()):
            raise DataError(
                f"the button presses of {subject} and its signals are of different times",
                where=str(self._own(subject)[0] / "tags.csv"),
                expected="times inside the session",
                hint="all files of a person must be of one session: copy the person's folder again",
            )
        return presses

    def _look(self, subject: str) -> Iterator[Finding]:
        sessions, presses, whole = self._sessions(subject), self._presses(subject), PRESSES[subject[0]]
        folders = {folder.name: str(folder) for folder in self._own(subject)}
        for name, session in sessions.items():
            yield from _look_at_signals(folders[name], session)
        where = next(iter(folders.values()))
        if len(sessions) > 1:
            yield Finding("note", where, f"{subject} is in {len(sessions)} parts: the connection broke")
        if subject in ENDED_EARLY:
            what = f"{subject} ended early, at {ENDED_EARLY[subject]} revolutions a minute, by the release's note"
            yield Finding("note", where, what)
        if len(presses) != whole:
            what = f"{len(presses)} button presses, not {whole}: what lies between is unknown, so there is no label"
            yield Finding("warning", where, what)
            return
        self._pressed(subject, sessions)  # raises where they are of another time


def _look_at_signals(where: str, session: e4.Session) -> Iterator[Finding]:
    """What is odd in the signals of one session."""
    if "acc" not in session.signals:
        yield Finding("note", where, "there is no ACC.csv, so no acc")
    if max(session.cut.values()) > 0:
        longest = max(session.cut, key=lambda modality: session.cut[modality])
        what = f"signals differ in length: up to {session.cut[longest]:.1f} s cut off ({longest})"
        yield Finding("note", where, what)
    for modality, signal in session.signals.items():
        if lost := int((~np.isfinite(signal.data)).any(axis=0).sum()):
            yield Finding("warning", where, f"{lost} samples of {modality} are missing")
