"""The layout of FACED, shared by its readers and its synthesizer: subjects, electrodes, film clips, self-ratings."""

from __future__ import annotations

from typing import NamedTuple

PEOPLE = tuple(f"sub-{number:03d}" for number in range(123))
TASK = "watchingVideoClips"

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "HEOR": "A2", "HEOL": "A1"}
"""A site's name in some of the files -> its name today; the mastoids were called like eye electrodes in others."""

MASTOIDS = ("A1", "A2")
ELECTRODES = (
    "Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T7", "T8", "CP1", "CP2",
    "CP5", "CP6", "Pz", "P3", "P4", "P7", "P8", "PO3", "PO4", "Oz", "O1", "O2",
)  # fmt: skip
"""The 30 sites of the scalp, in the order of all files."""

FIRST_LAYOUT = (
    "Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T3", "T4", "A1", "A2",
    "CP1", "CP2", "CP5", "CP6", "Pz", "P3", "P4", "T5", "T6", "PO3", "PO4", "Oz", "O1", "O2",
)  # fmt: skip
"""The channels of sub-000 to sub-060, in the order of their files."""
SECOND_LAYOUT = (*ELECTRODES, "HEOR", "HEOL")
"""The channels of sub-061 to sub-122."""

EMOTIONS = ("anger", "disgust", "fear", "sadness", "neutral", "amusement", "inspiration", "joy", "tenderness")
"""The classes of `emotion`, in their order."""
FELT = tuple(name for name in EMOTIONS if name != "neutral")
"""The classes of `own_emotion`: no rating means neutral."""
RATINGS = (
    "Joy", "Tenderness", "Inspiration", "Amusement", "Anger", "Disgust", "Fear", "Sadness", "Arousal", "Valence",
    "Familiarity", "Liking",
)  # fmt: skip
"""The twelve ratings, 0 to 7, in the order of all files."""


class Clip(NamedTuple):
    """A film clip: its median length in s, and the film as the events have it."""

    emotion: str
    length_s: float
    film: str

    @property
    def positive(self) -> bool | None:
        """Whether the emotion that it is meant to evoke is a positive one; None for neutral clips."""
        return None if self.emotion == "neutral" else self.emotion in EMOTIONS[5:]


CLIPS = {
    1: Clip("anger", 81.138, "The Tokyo Trial"),
    2: Clip("anger", 63.941, "Documentary about the Nanjing Massacre"),
    3: Clip("anger", 73.214, "City of Life and Death"),
    4: Clip("disgust", 78.646, "Trainspotting"),
    5: Clip("disgust", 69.383, "Indiana Jones and the Last Crusade"),
    6: Clip("disgust", 90.547, "Hellraiser"),
    7: Clip("fear", 56.085, "The Shining"),
    8: Clip("fear", 60.265, "The Shining"),
    9: Clip("fear", 105.804, "The Exorcist"),
    10: Clip("sadness", 45.108, "In Bruges"),
    11: Clip("sadness", 60.156, "Departures"),
    12: Clip("sadness", 82.048, "Gangs of New York"),
    13: Clip("neutral", 35.099, "Blue"),
    14: Clip("neutral", 44.319, "Blue"),
    15: Clip("neutral", 38.934, "Blue"),
    16: Clip("neutral", 43.065, "Blue"),
    17: Clip("amusement", 55.917, "Modern Times"),
    18: Clip("amusement", 69.707, "Minions"),
    19: Clip("amusement", 73.268, "Mr. Bean"),
    20: Clip("inspiration", 129.118, "Forrest Gump"),
    21: Clip("inspiration", 77.118, "The Theory of Everything"),
    22: Clip("inspiration", 75.802, "The Shawshank Redemption"),
    23: Clip("joy", 34.130, "My Neighbor Totoro"),
    24: Clip("joy", 37.259, "Night at the Museum \u2162"),
    25: Clip("joy", 67.632, "Harry Potter \u2160"),
    26: Clip("tenderness", 63.123, "\u00a0The Pursuit of Happiness"),
    27: Clip("tenderness", 54.161, "Juno"),
    28: Clip("tenderness", 77.475, "Sex and the City \u2161"),
}
"""Number -> clip. Number 22 lasts 83.9 s in sub-036 to sub-060: the extra seconds are at its start."""

BLOCKS = (
    (17, 20, 23, 26), (18, 21, 24, 27), (19, 22, 25, 28), (1, 4, 7, 10), (2, 5, 8, 11), (3, 6, 9, 12),
    (13, 14, 15, 16),
)  # fmt: skip
"""The clips that everyone saw in a row; the order of the blocks, and of the clips in a block, varies."""


def stimulus(clip: int) -> str:
    """The name of a clip as a stimulus.

    >>> stimulus(7)
    'clip07'
    """
    return f"clip{clip:02d}"
