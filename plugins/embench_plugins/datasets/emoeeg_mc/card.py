"""The card of EmoEEG-MC, and the labels of a trial."""

from __future__ import annotations

import math

import numpy as np

from embench.interfaces.dataset import Card, ModalityCard
from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.emoeeg_mc import layout
from embench_plugins.datasets.emoeeg_mc.layout import Trial
from embench_plugins.datasets.formats.ratings import binary, highest, one_of, valued
from embench_plugins.datasets.formats.scales import on_scale

SCALE = (0.0, 7.0)
CONTROLS = ("familiarity", "liking")
"""Ratings of the stimulus, which say how it was met and not what was felt."""
OBTAIN = (
    "openneuro.org/datasets/ds005540 (version 1.0.7), for example `openneuro download ds005540` or `datalad install`; "
    "pass the folder that holds sub-01"
)


def labels(trial: Trial, scores: tuple[float, ...] | None) -> dict[str, Label]:
    """The labels of a trial, from its stimulus and the ratings in the order of `RATINGS`; None: they are not known."""
    positive = math.nan if layout.EMOTIONS[trial.emotion] == "neutral" else float(trial.emotion in layout.POSITIVE)
    rated = scores or (math.nan,) * len(layout.RATINGS)
    return {
        "emotion": one_of(layout.EMOTIONS, trial.emotion),
        "positive": one_of(("negative", "positive"), positive),
        "own_emotion": one_of(layout.FELT, highest(rated[: len(layout.FELT)])),
        **{name: Label("rating", np.array([value])) for name, value in zip(layout.RATINGS, rated, strict=True)},
    }


CARD = Card(
    name="emoeeg_mc",
    title="EmoEEG-MC, EEG of 60 people during films and imagery",
    citation="Xu et al., EmoEEG-MC: A Multi-Context Emotional EEG Dataset for Cross-Context Emotion Decoding, "
    "Scientific Data, 2025",
    doi="10.18112/openneuro.ds005540.v1.0.7",
    licence="CC0",
    obtain=OBTAIN,
    modalities={
        "eeg": ModalityCard(layout.SITES, math.nan, "uV"),
        **{kind: ModalityCard((kind,), rate, "a.u.") for kind, (_, rate) in layout.WRIST.items()},
    },
    default_modalities=("eeg",),
    targets=(
        Target("emotion", "classes", LabelRule("value"), label="emotion", n=len(layout.EMOTIONS)),
        Target("positive", "binary", LabelRule("value", positive=(1,), negative=(0,)), label="positive"),
        Target("own_emotion", "classes", LabelRule("value"), label="own_emotion", n=len(layout.FELT)),
        *binary(("valence", "arousal"), LabelRule("value", cut=3.5, ties="drop"), SCALE),
        *on_scale(("valence", "arousal", *layout.FELT), LabelRule("value"), SCALE),
        *valued(CONTROLS, LabelRule("value"), SCALE),
    ),
    mains_hz=50.0,
    longest_s=layout.LENGTH_S,
    labels_public="yes",
    fixed_order=False,
    default_targets=("emotion", "positive"),
    verified_on_real={
        "by": "tests of this reader, on the ratings, orders, missing trials and trigger codes of all 60 people of "
        "ds005540 1.0.7, and on NO recording: not one sample of a real EDF or physio file has been read",
        "date": "2026-11-27",
        "fingerprint": "sha256 of participants.tsv 2719739acbacb61dd7e853ed24a5737a0241be1d82743d1282b91f96fb5b1c4d",
    },
)
