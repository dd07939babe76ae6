"""Synthetic files of the wearable device dataset with its aerobic sessions, beside the stress sessions of the same
subjects, which are as `sessions` makes them.

What is planted: an effect of exercise, from the first press of the button to the last, on the heart and the skin, as
`e4` says of stress. So a body under exercise is made like one under stress, on another day.

What is not as in real files: nobody moves more on the bicycle, sweats more or warms up with every minute, effects are
no larger than those of stress, and sessions last as long as is asked for (real ones 29 to 51 minutes).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from embench_plugins.datasets.synthetic import e4
from embench_plugins.datasets.synthetic.generator import Generator
from embench_plugins.datasets.wearable_stress.exercise import ENDED_EARLY, PEOPLE, PRESSES, SESSIONS
from embench_plugins.datasets.wearable_stress.synthetic import sessions

ORDER = tuple(person for person in sessions.ORDER if person in PEOPLE)
"""Who is there first: both stages of the study, where two subjects are asked for."""
BROKEN, BREAK_S = "S11", 8
"""The connection of this subject broke 5 s before the last press but one, for so long."""
SECONDS = np.dtype(
    [("person", "U3"), ("second", "i8"), ("exercise", "i8"), ("heart_rate", "f8"), ("scr_per_min", "f8")]
)
"""A row of `draw`: a second of a person's session, from 0, 1 between the first press and the last, and the true rates
in beats and responses a minute."""


def presses(person: str, seed: int, length_s: float) -> np.ndarray:
    """(n,) whole seconds of the session at which the button was pressed, and the session's end."""
    rng = np.random.default_rng([seed, PEOPLE.index(person), 4])
    count = PRESSES[person[0]]
    # Rest before and after takes three tenths each: as many units as there are of exercise.
    lengths = np.array([0.3, *[0.4 / (count - 1)] * (count - 1), 0.3]) * rng.uniform(0.7, 1.3, count + 1)
    at = np.round(np.cumsum(lengths) / lengths.sum() * round(length_s * rng.uniform(0.93, 1))).astype(int)
    return np.delete(at, [count - 3, count - 2]) if person in ENDED_EARLY else at


def _truth(person: str, seed: int, effect: float, length_s: float) -> tuple[np.ndarray, np.ndarray]:
    """What is planted in the aerobic session, and in the stress session."""
    at = presses(person, seed, length_s)
    rows = np.zeros(at[-1], SECONDS)
    rows["person"], rows["second"] = person, np.arange(at[-1])
    rows["exercise"] = (rows["second"] >= at[0]) & (rows["second"] < at[-2])
    rng = np.random.default_rng([seed, PEOPLE.index(person), 5])
    rows["heart_rate"], rows["scr_per_min"] = e4.responses(rng, rows["exercise"], effect)
    return rows, sessions.truth(person, seed, effect, length_s)


def _write(out: Path, people: list[tuple[np.ndarray, np.ndarray]], seed: int, length_s: float) -> None:
    """`Wearable_Dataset/AEROBIC/S01/BVP.csv` and so on, and what `sessions` writes."""
    for truth, _ in people:
        _person(out / SESSIONS, truth, presses(str(truth["person"][0]), seed, length_s)[:-1], seed)
    sessions.write(out, [stress for _, stress in people], seed, length_s)


def _person(place: Path, truth: np.ndarray, pressed: np.ndarray, seed: int) -> None:
    """Writes one subject's folder, or two."""
    person = str(truth["person"][0])
    rng = np.random.default_rng([seed, PEOPLE.index(person), 6])
    start = datetime(2013, 6, 23, 9, tzinfo=UTC) + timedelta(days=PEOPLE.index(person), seconds=int(rng.integers(3600)))
    device = e4.worn(truth["heart_rate"], truth["scr_per_min"], rng)
    if person == BROKEN:
        first = int(pressed[-2]) - 5
        sessions.write_broken(place / person, device, start, pressed, first, first + BREAK_S, len(truth))
    else:
        sessions.write_session(place / person, device, start, pressed)


GENERATOR = Generator(
    __name__, "wearable_stress", ORDER, sessions.SESSION_S, sessions.LIMITS_S, "sessions of {} s", _truth, _write
)
synthesize = GENERATOR.synthesize


def draw(subjects: int, seed: int, effect: float, length_s: float | None = None) -> np.ndarray:
    """What is planted in the aerobic sessions of all subjects, without any file: (n,) rows of `SECONDS`. Raises
    UsageError as `synthesize` does."""
    return np.concatenate([truth for truth, _ in GENERATOR.truths(subjects, seed, effect, length_s)])
