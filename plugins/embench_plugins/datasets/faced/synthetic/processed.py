"""Synthetic files of FACED as its authors preprocessed it: a pickle for each subject, beside sidecars with the ratings.

Planted is what `synthetic.faced` plants in its files, in signals of their own. The EEG is against the average of all 32
sites, as released; nothing was cleaned, since there was nothing to clean. `sub-023` is noise.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np

from embench.errors import UsageError
from embench_plugins.datasets.faced.layout import ELECTRODES
from embench_plugins.datasets.faced.processed import LENGTH_S, RATE, SHAPE
from embench_plugins.datasets.faced.synthetic import files
from embench_plugins.datasets.faced.synthetic.recordings import ALL, BAD, BAD_UV, SITES, Planted, draw, eeg, made
from embench_plugins.datasets.synthetic.brain import Brain
from embench_plugins.datasets.synthetic.generator import claim

ORDER = [*range(len(ELECTRODES)), SITES.index("A2"), SITES.index("A1")]


def synthesize(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, planted: Planted = ALL
) -> None:
    """As `faced.synthesize`: `Processed_data/sub004.pkl` and so on, 54 MB each, and the BIDS release's files but for
    recordings. A length can only be the release's 30 s."""
    planted = replace(planted, emotion=effect)
    rows = draw(subjects, seed, effect, planted=planted)
    if length_s not in (None, LENGTH_S):
        raise UsageError(f"{length_s:g} s of each clip", expected=f"{LENGTH_S:g}, as the release has them")
    out = claim(out, __name__, "faced", **made(subjects, seed, planted), length_s=LENGTH_S)
    (out / "Processed_data").mkdir()
    for at, person, events, end_s in files.write_release(out, rows, seed):
        files.state_seconds(at.about, int(end_s) + 1)
        files.write_events(at.events, events, int(files.cohort(person).rate))
        mine = np.sort(rows[rows["person"] == person], order="clip")
        path = out / "Processed_data" / f"{person.replace('-', '')}.pkl"
        path.write_bytes(pickle.dumps(_clips(person, mine["power"], seed), protocol=4))


def _clips(person: str, powers: np.ndarray, seed: int) -> np.ndarray:
    """(28, 32, 7500) in uV, in the order of clips."""
    rng = np.random.default_rng([seed, 8, int(person[-3:])])
    if person == BAD:
        return BAD_UV * rng.standard_normal(SHAPE)
    brain = Brain.draw(rng, SITES)
    data = np.stack([eeg(brain, SHAPE[2], RATE, rng, power)[ORDER] for power in powers])
    return np.asarray(data - data.mean(axis=1, keepdims=True))
