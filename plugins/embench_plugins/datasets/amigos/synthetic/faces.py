"""Clips of faces beside generated AMIGOS files, named and cut as in the release, and what OpenFace makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from embench_plugins.datasets.amigos.files import LONG, NO_LONG
from embench_plugins.datasets.synthetic import films
from embench_plugins.datasets.synthetic.face import Face, Performance

# Quirks of the release:
SHORTER_S = {"20": 1.0}  # by video
OTHER_LENGTH = {(11, "18"): 3.0, (13, "58"): 2.5, (39, "10"): 3.0}  # by subject and video; here by how much shorter
# Those that occur in copies, at places of our own, early enough for small sets to have them:
UNFILMED = {2: ("23",)}
UNSEEN = {1: ("58",)}  # no table of OpenFace
BY_OLD_VERSION = (2,)  # whose tables have spaces

Plays = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By video what a face shows, `smile` and `brow` (T,) in standard deviations, at the times of the frames."""


def write(out: Path, person: int, seed: int, plays: Plays) -> None:
    """Writes `Exp1_P01_face/P1_4_face.mov` (of long videos `Exp2_P01_face/P1_N1_face.mov`) and `openface/P1_4_face.csv`
    and so on below `out`, for one subject. Clips start with the trial, its rest included."""
    face = Face.draw(np.random.default_rng([seed, person, 10]))
    for video, (smile, brow) in plays.items():
        if video in UNFILMED.get(person, ()) or (video in LONG and f"P{person:02d}" in NO_LONG):
            continue
        rng = np.random.default_rng([seed, person, 11, *video.encode()])
        less = SHORTER_S.get(video, 0.0) + OTHER_LENGTH.get((person, video), 0.0)
        count = len(smile) - round(less * films.FPS)
        done = Performance.draw(smile[:count], brow[:count], float(films.FPS), rng)
        name = f"P{person}_{video}_face"
        films.film(out / f"Exp{1 + (video in LONG)}_P{person:02d}_face" / f"{name}.mov", face, done)
        if video not in UNSEEN.get(person, ()):
            films.table(out / "openface" / f"{name}.csv", done, rng, spaced=person in BY_OLD_VERSION)
