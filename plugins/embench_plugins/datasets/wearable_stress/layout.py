"""The layout of the wearable device dataset's stress sessions: subjects, stages by button presses, and known faults.

In the second protocol, the opposite opinion lies between presses 5 and 6 and the second rest between 6 and 7. One finds
4 to 5 and 5 to 6 stated; but in all six of its subjects who were read, 4 to 5 is a break of 19 to 62 s, as after the
real opinion of the first protocol, 5 to 6 lasts the 31 to 40 s of a short task, and 6 to 7 the 7 to 20 minutes of a
rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SESSIONS = Path("Wearable_Dataset", "STRESS")
INFO = "subject-info.csv"
PEOPLE = tuple(f"{group}{number:02d}" for group in ("S", "f") for number in range(1, 19))


class Stage(NamedTuple):
    """What happened between two presses of the button, counted from 0; `opens` None: the `BEFORE_S` before the other
    one. `name` is the column of its rating."""

    name: str
    stress: bool
    opens: int | None
    closes: int


BEFORE_S = 180.0


class Protocol(NamedTuple):
    """One version of the study: its table of ratings, its stages, and how many presses a whole session has."""

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
"""By the first letter of a subject's id."""

SHORT = ("Real Opinion", "Opposite Opinion", "Subtract")
SHORT_S = (10.0, 90.0)
"""How long the short tasks, of 30 s by the protocol, last at least and at most; outside, a press is missing or one too
many."""

REPEATED = {"S02": {"ppg": 99_091, "eda": 6_195, "temp": 6_195, "acc": 49_545}}
"""Rows of files, counted from 1, at which samples begin to repeat earlier ones, by the release's own note."""

COVERED = {"f07": ("ppg", "temp")}
"""Sensors that the dock covered all through."""
