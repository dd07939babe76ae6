"""What FACED's readers share: the card, what is said of a clip, and the labels that are made of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from embench.interfaces.dataset import Card, ModalityCard
from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.faced.layout import CLIPS, ELECTRODES, EMOTIONS, FELT, RATINGS, stimulus
from embench_plugins.datasets.formats.ratings import binary, highest, one_of, valued
from embench_plugins.datasets.formats.scales import on_scale

SCALE = (0.0, 7.0)
CONTROLS = ("familiarity", "liking")
"""Ratings of the clip, which say how it was met and not what was felt."""

TOO_LONG_S = 2.0
"""A clip that lasts so much longer than its median has seconds before its beginning; others differ by under 1 s."""

OBTAIN = (
    "embench data fetch faced gets the BIDS release, nm000112 of NEMAR; the original is syn50614194 of Synapse (after "
    "registration there); pass the folder that holds sub-000, or Data of the original"
)

_CLASSES = tuple("neutral" if name == "joy" else name for name in FELT)
_SHIFTS = (1, 3, 6)
_THIRD = {clip: k for k in range(3) for clip in (*range(k + 1, 13, 3), *range(k + 17, 29, 3))}
SHUFFLED = {clip: _CLASSES[(FELT.index(CLIPS[clip].emotion) + _SHIFTS[k]) % 8] for clip, k in sorted(_THIRD.items())}
SHUFFLED |= dict.fromkeys(range(13, 17), "joy")
SHUFFLED[2], SHUFFLED[8] = SHUFFLED[8], SHUFFLED[7]
"""Clip -> an emotion that is another clip's: the first clips of the emotions have exchanged theirs, and the second and
third ones in another way each, so that no class holds two films of one emotion. Clips of one film stay together, or
whoever knew films alone would know less of these classes than of the emotions: the four neutral ones, as the only class
of four, and 7 and 8."""


class Shown(NamedTuple):
    """A clip as a person saw it: seconds from the start of their file, and the twelve ratings, NaN where missing."""

    clip: int
    start_s: float
    length_s: float
    ratings: tuple[float, ...]


def shown(clip: int, start_s: float, length_s: float, ratings: tuple[float, ...]) -> Shown:
    """A clip, without what some people saw before its beginning: number 22 lasted 8 s longer in sub-036 to sub-060."""
    extra_s = length_s - CLIPS[clip].length_s
    if extra_s > TOO_LONG_S:
        return Shown(clip, start_s + extra_s, CLIPS[clip].length_s, ratings)
    return Shown(clip, start_s, length_s, ratings)


def recording_id(subject: str, clip: int) -> str:
    """The name of a clip's recording.

    >>> recording_id("sub-007", 22)
    'sub-007_clip22'
    """
    return f"{subject}_{stimulus(clip)}"


def labels(clip: int, ratings: tuple[float, ...] | None) -> dict[str, Label]:
    """The labels of a clip's recording, from its number and the ratings in the order of `RATINGS`; None: the clip's
    own labels alone."""
    emotion, positive = CLIPS[clip].emotion, CLIPS[clip].positive
    made = {
        "emotion": one_of(EMOTIONS, EMOTIONS.index(emotion)),
        "positive": one_of(("negative", "positive"), math.nan if positive is None else positive),
        "clip": one_of(tuple(stimulus(number) for number in CLIPS), clip - 1),
        "emotion_shuffled": one_of(EMOTIONS, EMOTIONS.index(SHUFFLED[clip])),
    }
    if ratings is None:
        return made
    felt = math.nan if emotion == "neutral" else own_emotion(ratings)
    agrees = math.nan if math.isnan(felt) else FELT[int(felt)] == emotion
    made |= {
        "own_emotion": one_of(FELT, felt),
        "agreement": one_of(("another emotion", "the assigned emotion"), agrees),
    }
    return made | {
        name.lower(): Label("rating", np.array([value])) for name, value in zip(RATINGS, ratings, strict=True)
    }


def own_emotion(ratings: tuple[float, ...]) -> float:
    """The index in `FELT` of the emotion that is rated highest of the eight; NaN where two are, or one is missing."""
    return highest([ratings[RATINGS.index(name.capitalize())] for name in FELT])


def _classes(name: str, n: int) -> Target:
    return Target(name, "classes", LabelRule("value"), label=name, n=n)


def _binary(name: str) -> Target:
    return Target(name, "binary", LabelRule("value", positive=(1,), negative=(0,)), label=name)


CARD = Card(
    name="faced",
    title="FACED, EEG of 123 people during 28 film clips",
    citation="Chen et al., A Large Finer-grained Affective Computing EEG Dataset, Scientific Data 10:740, 2023",
    doi="10.1038/s41597-023-02650-w",
    licence="CC-BY-4.0 (as labelled by NEMAR)",
    obtain=OBTAIN,
    modalities={"eeg": ModalityCard(ELECTRODES, math.nan, "uV")},
    default_modalities=("eeg",),
    targets=(
        _classes("emotion", len(EMOTIONS)),
        _binary("positive"),
        *binary(("valence", "arousal"), LabelRule("value", cut=3.5, ties="drop"), SCALE),
        _classes("own_emotion", len(FELT)),
        _binary("agreement"),
        _classes("clip", len(CLIPS)),
        _classes("emotion_shuffled", len(EMOTIONS)),
        *on_scale(("valence", "arousal", *FELT), LabelRule("value"), SCALE),
        *valued(CONTROLS, LabelRule("value"), SCALE),
    ),
    mains_hz=50.0,
    longest_s=130.0,  # the longest of 3,444 lasts 129.6 s
    labels_public="yes",
    fixed_order=False,
    default_targets=("emotion", "valence", "arousal"),
    verified_on_real={
        "by": "tests of this reader, on the sidecars alone (events, ratings, channels) of all 123 subjects of nm000112 "
        "v1.0.1, and on NO EEG: not one sample of a real BDF file has been read",
        "date": "2026-11-22",
        "fingerprint": "sha256 of participants.tsv 1ca5736bd821e916321ee88532faaf46ee125d57e00bf973c7b40c8a2635f478",
    },
)
