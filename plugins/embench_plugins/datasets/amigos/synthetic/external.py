"""Synthetic AMIGOS files in which the external annotations follow the body; see `amigos` for those of self-assessments.

What is planted. Arousal and valence change slowly within a video, with no regard to which video it is. Observers give
each annotated segment its mean, on a scale of -1 to 1. The body responds at every moment, by `STRENGTH * effect`:
- arousal -> heart rate (ECG) and skin conductance responses a minute (GSR), both rising with one response;
- valence -> frontal alpha asymmetry, log right over left (EEG);
- where clips are asked for, of the same responses: valence -> smile, arousal -> brows raised (see `face`).
`STRENGTH` is such that the true quantity of units of 10 s ranks one subject's units by their label with an AUROC of .90
at effect 1, and .50 at effect 0. Self-assessments are drawn without regard to anything.

What is not planted: mean and variance of each channel of a unit, as `body` and `brain` see to.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from embench_plugins.datasets.amigos.files import COLUMNS, EEG, LONG, PEOPLE, RATE, segment_count, segments
from embench_plugins.datasets.amigos.synthetic import faces
from embench_plugins.datasets.amigos.synthetic import short as amigos
from embench_plugins.datasets.synthetic import films
from embench_plugins.datasets.synthetic.body import Body, planted, smooth_noise
from embench_plugins.datasets.synthetic.brain import Brain
from embench_plugins.datasets.synthetic.face import OWN
from embench_plugins.datasets.synthetic.generator import Generator

STRENGTH = 0.87  # correlation of what is felt and the response at effect 1: AUROC .90 over 1,000 subjects
TAU_S = 25.0
SAMPLE_S = 80.0  # long enough for windows of a minute
UNIT_S = 10

MOMENTS = np.dtype(
    [(name, "i8") for name in ("person", "cell")]
    + [("second", "f8")]
    + [(name, "f8") for name in ("arousal", "valence", *amigos.PLANTED)]
)
"""A row of `draw`: what is felt, and what follows it, as in a row of `amigos.draw`."""


def _write(out: Path, people: list[np.ndarray], seed: int, length_s: float, *, videos: bool = False) -> None:
    """`Data_preprocessed/Data_Preprocessed_P01/Data_Preprocessed_P01.mat` and so on, and clips as `faces` has
    them. The length includes 5 s of rest, and is that of the longest trial, long videos included."""
    for person, moments in enumerate(people, 1):
        amigos.write_cells(out, person, _cells(moments, seed, length_s))
        if videos:
            faces.write(out, person, seed, _plays(moments, length_s))


def _truth(person: int, seed: int, effect: float, length_s: float) -> np.ndarray:
    """All moments of one subject."""
    rng = np.random.default_rng([seed, person, 6])
    shift = dict(zip(("arousal", "valence"), rng.uniform(-0.4, 0.4, 2), strict=True))
    # Standard deviations: heart rate 10 between subjects, 4 within; log SCR rate .38, .3; asymmetry 1.3, 1.
    resting, responses, asymmetry = rng.uniform(58, 92), rng.uniform(math.log(3), math.log(11)), rng.standard_normal()
    rest = OWN * np.random.default_rng([seed, person, 9]).standard_normal(2)
    videos = []
    for cell, video in enumerate(amigos.VIDEOS):
        rows = np.zeros(math.ceil(lasting_s(video, length_s)), MOMENTS)
        rows["person"], rows["cell"], rows["second"] = person, cell, np.arange(len(rows)) + 0.5
        response = {}
        for target, level in shift.items():
            latent, other = (smooth_noise(rng, len(rows), 1.0, TAU_S) for _ in range(2))
            rows[target] = latent + level
            response[target] = planted(latent, other, STRENGTH * effect)
        rows["heart_rate"] = resting + 4 * response["arousal"]
        rows["scr_per_min"] = np.exp(responses + 0.3 * response["arousal"])
        rows["alpha_asymmetry"] = 1.3 * asymmetry + response["valence"]
        rows["smile"], rows["brow"] = rest[0] + response["valence"], rest[1] + response["arousal"]
        videos.append(rows)
    return np.concatenate(videos)


def lasting_s(video: str, length_s: float) -> float:
    """Long videos last up to `length_s`, short ones up to that or their real length."""
    return amigos.trial_s(video, length_s if video in LONG else min(length_s, amigos.SHORT_S[1]))


def annotated(moments: np.ndarray, duration_s: float) -> np.ndarray:
    """(K, 3) of segment, valence, arousal, each the mean of what is felt in the segment, between -1 and 1."""
    spans = segments(segment_count(duration_s), duration_s)
    inside = (spans[:, :1] <= moments["second"]) & (moments["second"] < spans[:, 1:])
    weight = inside / inside.sum(axis=1, keepdims=True)
    means = [np.tanh(0.5 * (weight @ moments[target])) for target in ("valence", "arousal")]
    return np.column_stack([np.arange(1, len(spans) + 1), *means])


def _plays(moments: np.ndarray, length_s: float) -> faces.Plays:
    """What the face of one subject shows in each video, from all of that subject's moments."""
    plays = {}
    for cell, video in enumerate(amigos.VIDEOS):
        own, seconds = moments[moments["cell"] == cell], films.times(lasting_s(video, length_s))
        smile, brow = (np.interp(seconds, own["second"], own[name]) for name in ("smile", "brow"))
        plays[video] = smile, brow
    return plays


def _cells(moments: np.ndarray, seed: int, length_s: float) -> list[amigos.Cell]:
    """The 20 cells of one subject, from all of that subject's moments."""
    person = int(moments["person"][0])
    rng = np.random.default_rng([seed, person, 7])
    body, brain = Body.draw(rng), Brain.draw(rng, EEG)
    leads = [replace(body, ecg_waves=body.ecg_waves * np.exp([0, 0, 0.25] * rng.standard_normal((5, 3)))) for _ in "RL"]
    size = 8.0 * np.exp(0.3 * rng.standard_normal((14, 1)))
    cells = []
    for cell, video in enumerate(amigos.VIDEOS):
        rng = np.random.default_rng([seed, person, 8, cell])
        own, duration_s = moments[moments["cell"] == cell], lasting_s(video, length_s)
        samples = round(duration_s * RATE)
        time = np.arange(samples) / RATE
        at = {quantity: np.interp(time, own["second"], own[quantity]) for quantity in amigos.PLANTED}
        columns = np.empty((COLUMNS, samples))
        columns[:14] = size * brain.eeg(at["alpha_asymmetry"], samples, RATE, rng, band=amigos.BAND, skip=amigos.SKIP)
        beats = body.heart(at["heart_rate"], body.breathing(samples, RATE, rng), RATE, rng)
        columns[14:16] = [lead.ecg(beats, RATE, rng) for lead in leads]
        columns[14:16] += np.exp(-time / 0.15) * (time < 1) * rng.integers(2)  # the connection artefact
        columns[16] = 1e6 / body.eda(at["scr_per_min"], RATE, rng)  # in ohm: a resistance, as released
        data = columns.T.astype(np.float32).astype(np.float64)
        cells.append(
            amigos.Cell(data, amigos.ratings(rng.uniform(1, 9), rng.uniform(1, 9), rng), annotated(own, duration_s))
        )
    return cells


GENERATOR = Generator(
    __name__, "amigos", range(1, PEOPLE + 1), SAMPLE_S, amigos.LONG_S, amigos.REFUSED, _truth, _write,
    {"planted": "external annotation"},
)  # fmt: skip
synthesize, draw = GENERATOR.synthesize_with_videos, GENERATOR.draw
