"""The layout of EmoEEG-MC, shared by its reader and its generator: people, orders of trials, trigger codes, channels.

`orders.tsv` beside this file holds what the release's README and its ratings' files say of each person. The two
contradict each other for sub-53 and sub-54, whose orders are exchanged: one of them met the emotions one after another,
sub-54 by the README and sub-53, who was recorded before all others, by the ratings, which the table follows.
"""

from __future__ import annotations

import csv
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

TASK = "emotion"
CONTEXTS = ("imagery", "film")
EMOTIONS = ("sadness", "disgust", "fear", "neutral", "joy", "tenderness", "inspiration")
"""The classes of `emotion`, in the order of the preprocessed files."""
CODES = {"sad": 0, "dis": 1, "fear": 2, "neu": 3, "joy": 4, "ten": 5, "ins": 6}
"""How stimuli are called after the emotion that each is meant to evoke -> its place in `EMOTIONS`."""
POSITIVE = (4, 5, 6)

REORDERED = tuple(f"{name}{number}" for name in CODES for number in (4, 5, 8))
"""The 21 stimuli of a context in the order of the preprocessed files."""
NUMBERED = tuple(
    f"{name}{number}" for name in ("joy", "ins", "ten", "sad", "fear", "dis", "neu") for number in (4, 8, 5)
)
"""The same in the order of the numbers in ratings' files: 1 to 21 imagery, 22 to 42 films."""

RATINGS = (
    "joy", "inspiration", "tenderness", "sadness", "fear", "disgust", "arousal", "valence", "familiarity", "liking",
)  # fmt: skip
"""The scales, 0 to 7, in the order of `score_1` to `score_10`."""
FELT = RATINGS[:6]

SITES = (
    "Fp1", "Fpz", "Fp2", "AF7", "AF3", "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8",
    "FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8",
    "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8",
    "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "F9", "F10", "TP9", "TP10",
)  # fmt: skip
LENGTH_S = 30.0
"""What is read of a trial, as the authors do: its last 30 s, before the ratings."""
COPIED = {"sub-57": "sub-21", "sub-58": "sub-22", "sub-59": "sub-23", "sub-60": "sub-24"}
"""People in whose files there are another person's ratings."""
WRIST = {"ppg": ("PPG", 20.0), "eda": ("GSR", 40.0)}
"""Modality -> what its files are called, and samples a second."""


class Trial(NamedTuple):
    """A stimulus that a person met: its context and its name, such as `joy4`."""

    context: str
    name: str

    @property
    def stimulus(self) -> str:
        """The name of the stimulus, which is another one in each context, such as `film_joy4`."""
        return f"{self.context}_{self.name}"

    @property
    def emotion(self) -> int:
        """The place in `EMOTIONS` of the emotion that it is meant to evoke."""
        return CODES[self.name[:-1]]


class Person(NamedTuple):
    """Facts of a person in the release.

    Args:
        runs: how many EDF files; `rate` is theirs in Hz, `ends` when each ended, in China, to the minute.
        wrist: whether there are PPG and EDA.
        codes: trigger -> `film`, `imagery`, `rating` or `fade`.
        pairs: the context of every three trials, I or F; the first alone, or none, where the release does not say.
        orders: context -> its 21 places, None for a trial that is missing.
    """

    name: str
    runs: int
    rate: float
    wrist: bool
    codes: dict[int, str]
    pairs: str
    ends: tuple[datetime, ...]
    orders: dict[str, tuple[str | None, ...]]

    def trials(self, context: str) -> list[Trial]:
        """Those of a context that are not missing, in the order of play."""
        return [Trial(context, name) for name in self.orders[context] if name]

    def sequence(self, pairs: str) -> list[Trial]:
        """All trials of both contexts in the order of play, given the context of every three."""
        taken, found = dict.fromkeys(CONTEXTS, 0), []
        for letter in pairs:
            context = "imagery" if letter == "I" else "film"
            three = self.orders[context][taken[context] : taken[context] + 3]
            taken[context] += 3
            found += [Trial(context, name) for name in three if name]
        return found


@cache
def people() -> dict[str, Person]:
    """Everyone in the release, sub-01 to sub-60."""
    with Path(__file__).with_name("orders.tsv").open(encoding="utf-8", newline="") as file:
        return {row["subject"]: _person(row) for row in csv.DictReader(file, delimiter="\t")}


def _person(row: dict[str, str]) -> Person:
    return Person(
        name=row["subject"],
        runs=int(row["runs"]),
        rate=float(row["rate"]),
        wrist=row["wrist"] == "1",
        codes={int(row[kind]): kind for kind in ("film", "imagery", "rating", "fade")},
        pairs=row["pairs"].strip("-"),
        ends=tuple(datetime.fromisoformat(f"{text}+08:00") for text in row["ends"].split()),
        orders={kind: tuple(name.strip("-") or None for name in row[f"{kind}_order"].split()) for kind in CONTEXTS},
    )


def trial_of(number: int) -> Trial:
    """The stimulus of a number in the ratings' files: 1 is `joy4` in imagery, 22 the film `joy4`."""
    return Trial(CONTEXTS[number > len(NUMBERED)], NUMBERED[(number - 1) % len(NUMBERED)])
