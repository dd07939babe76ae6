"""The layout of the wearable device dataset's aerobic sessions, on a stationary bicycle: subjects, what lies between
presses of the button, and known faults.

The release does not say what lies between presses. `exercise` lasts from the first press to the last. `work` is surer,
and of fewer units: without the end of that, see `COOL_DOWN`, and against rest without a warm-up, see `WARM_UP_S`. Both
were read from the cadence that the wrist shows, in all sessions but those of `UNSEEN`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
