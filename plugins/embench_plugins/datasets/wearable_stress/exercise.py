"""The aerobic sessions of the wearable device dataset (Hongn et al. 2025): the subjects of `wearable_stress` on a
stationary bicycle, when nobody was stressed.

Reads `Wearable_Dataset/AEROBIC/S04` and so on. There is no label of stress. The release does not say what lies between
presses of the button (`tags.csv`); where one is missing or there is one too many, the session has no label. A recording
is a session, and two of one where the connection broke (S11).

Every second is `exercise`, `rest` or neither. `exercise` lasts from the first press to the last. `work` is surer, and
of fewer units: without the end of that, see `COOL_DOWN`, and against rest without a warm-up, see `WARM_UP_S`. Both were
read from the cadence that the wrist shows, in all sessions but those of `UNSEEN`.
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
from embench_plugins.datasets.wearable_stress.reader import WearableStress

SESSIONS = Path("Wearable_Dataset", "AEROBIC")
NUMBERS = {"S": [number for number in range(1, 19) if number != 12], "f": list(range(1, 14))}
"""By the first letter of a subject's id. S12 took no part, by the release's note; 30 subjects did, by the paper."""
PEOPLE = tuple(f"{group}{number:02d}" for group, numbers in NUMBERS.items() for number in numbers)
PRESSES = {"S": 12, "f": 8}
"""How many presses a whole session has, by the first letter of the subject's id."""
ENDED_EARLY = {"S03": 90, "S07": 95}
"""The cadence in revolutions a minute at which these stopped, by the release's note."""
TOGETHER = (("f01", "f03", "f12"), ("f02", "f11", "f13"), ("f04", "f09", "f10"), ("f05", "f06"))
"""Subjects whose sessions overlap: most pressed the button within seconds of each other, so that the one's labels tell
the other's."""
UNSEEN = ("S01", "S02", "S03", "S06", "S07", "S11", "S16", "f07")
"""Subjects of whose sessions nothing was read when this was written."""

STATES = ("rest", "exercise", "neither")
TARGETS = ("exercise", "work")
UNIT_S = 10.0
"""The length of a unit under the protocols: no unit holds two labels."""
COOL_DOWN = {"S": 10, "f": 5}
"""The press, counted from 0, at which the cool-down begins, by the first letter of a subject's id. The cadence that the
wrist shows rises at each press up to this one."""
WARM_UP_S = {"S": 0.0, "f": 180.0}
"""How long before the first press some already pedal, by the accelerometer."""


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

    sessions: ClassVar[Path] = SESSIONS
    people: ClassVar[tuple[str, ...]] = PEOPLE
    together: ClassVar[tuple[tuple[str, ...], ...]] = TOGETHER
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
        if len(presses) != PRESSES[subject[0]]:
            return np.empty(0)
        self._check_times(subject, sessions, [(float(presses[0]), float(presses[-1]))])
        return presses

    def _look(self, subject: str) -> Iterator[Finding]:
        sessions, presses, where = self._sessions(subject), self._presses(subject), str(self._own(subject)[0])
        whole = PRESSES[subject[0]]
        yield from self._look_at_sessions(subject, sessions)
        if subject in ENDED_EARLY:
            what = f"{subject} ended early, at {ENDED_EARLY[subject]} revolutions a minute, by the release's note"
            yield Finding("note", where, what)
        if len(presses) != whole:
            what = f"{len(presses)} button presses, not {whole}: what lies between is unknown, so there is no label"
            yield Finding("warning", where, what)
            return
        self._pressed(subject, sessions)  # raises where they are of another time


def _labels(session: e4.Session, presses: np.ndarray, stage: str) -> dict[str, Label]:
    """The labels of a recording's whole seconds."""
    times = np.arange(int(session.duration_s), dtype=np.float64)
    found = states(presses - session.start, times, stage)
    rest, _, neither = STATES
    return {target: Label("condition", values, times, (rest, target, neither)) for target, values in found.items()}


def states(presses: np.ndarray, times: np.ndarray, stage: str) -> dict[str, np.ndarray]:
    """What each whole second of a session is by each of `TARGETS`, (n,): 0 rest, 1 exercise or work, 2 neither.

    Args:
        presses: (k,) in s on the clock of `times` (n,), all presses of a whole session.
        stage: `S` or `f`, the first letter of the subject's id.
    """
    first, last = float(presses.min()), float(presses.max())
    cool_down = float(np.sort(presses)[COOL_DOWN[stage]])
    borders = {"exercise": (first, first, last, last), "work": (first - WARM_UP_S[stage], first, cool_down, last)}
    starts = times // UNIT_S * UNIT_S
    stops = starts + UNIT_S
    found = {}
    for name, (rest_ends, begins, ends, rest_begins) in borders.items():
        values = np.full(len(times), 2.0)
        values[(stops <= rest_ends) | (starts >= rest_begins)] = 0.0
        values[(starts >= begins) & (stops <= ends)] = 1.0
        found[name] = values
    return found
