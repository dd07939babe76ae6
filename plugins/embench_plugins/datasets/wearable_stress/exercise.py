"""The aerobic sessions of the wearable device dataset (Hongn et al. 2025): the subjects of `wearable_stress` on a
stationary bicycle, when nobody was stressed.

Reads `Wearable_Dataset/AEROBIC/S04` and so on. There is no label of stress. Every second is `exercise`, `rest` or
neither by the presses of the button (`tags.csv`), see `exercise_layout`; where one is missing or there
is one too many, the session has no label. A recording is a session, and two of one where the connection broke (S11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.wearable_stress import exercise_layout as layout
from embench_plugins.datasets.wearable_stress.reader import WearableStress


class WearableStressExercise(WearableStress):
    """The reader of the aerobic sessions."""

    card = replace(
        WearableStress.card,
        name="wearable_stress/exercise",
        title="Wearable Device Dataset, aerobic sessions of 30 people",
        targets=tuple(
            Target(name, "binary", LabelRule("majority", positive=(1,), negative=(0,)), label=name)
            for name in layout.TARGETS
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

    sessions: ClassVar[Path] = layout.SESSIONS
    people: ClassVar[tuple[str, ...]] = layout.PEOPLE
    together: ClassVar[tuple[tuple[str, ...], ...]] = layout.TOGETHER
    repeated: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    covered: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    expected: ClassVar[str] = "Wearable_Dataset/AEROBIC/S04/BVP.csv and so on"

    def files(self, subject: str) -> list[Path]:
        """One subject's signals and button presses."""
        return self._own_files(subject)

    def _labels(self, subject: str, sessions: Mapping[str, e4.Session]) -> dict[str, dict[str, Label]]:
        presses, stage = self._pressed(subject, sessions), subject[0]
        return {name: _labels(one, presses, stage) if len(presses) else {} for name, one in sessions.items()}

    def _pressed(self, subject: str, sessions: Mapping[str, e4.Session]) -> np.ndarray:
        """The presses in unix seconds, in order; none where one is missing or one too many.

        Raises:
            DataError: they are of another time than the signals.
        """
        presses = self._presses(subject)
        if len(presses) != layout.PRESSES[subject[0]]:
            return np.empty(0)
        self._check_times(subject, sessions, [(float(presses[0]), float(presses[-1]))])
        return presses

    def _look(self, subject: str) -> Iterator[Finding]:
        sessions, presses, where = self._sessions(subject), self._presses(subject), str(self._own(subject)[0])
        whole = layout.PRESSES[subject[0]]
        yield from self._look_at_sessions(subject, sessions)
        if subject in layout.ENDED_EARLY:
            what = (
                f"{subject} ended early, at {layout.ENDED_EARLY[subject]} revolutions a minute, by the release's note"
            )
            yield Finding("note", where, what)
        if len(presses) != whole:
            what = f"{len(presses)} button presses, not {whole}: what lies between is unknown, so there is no label"
            yield Finding("warning", where, what)
            return
        self._pressed(subject, sessions)  # raises where they are of another time


def _labels(session: e4.Session, presses: np.ndarray, stage: str) -> dict[str, Label]:
    """The labels of a recording's whole seconds."""
    times = np.arange(int(session.duration_s), dtype=np.float64)
    found = layout.states(presses - session.start, times, stage)
    rest, _, neither = layout.STATES
    return {target: Label("condition", values, times, (rest, target, neither)) for target, values in found.items()}
