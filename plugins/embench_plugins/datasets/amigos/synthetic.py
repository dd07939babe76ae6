"""Synthetic AMIGOS files in the release's byte layout, including its quirks, with an effect in the physiology.

Planted. Every trial has two latent values, arousal and valence, from which the ratings are made. A physiological
response to each has a correlation of `RHO * effect` with it:
- arousal -> heart rate (ECG) and skin conductance responses per minute (GSR), both rising with one response. The level
  of skin conductance rises in a video with more responses than the subject's mean, and falls with fewer;
- valence -> frontal alpha asymmetry, log right over left (EEG);
- with clips, from the same responses: valence -> smile, arousal -> raised brows (see `films`).
`RHO` is chosen so that each of these true quantities ranks one subject's trials by their label with an AUROC of .90 at
effect 1, and .50 at effect 0. Subjects differ more than the effect, except in their faces, so the order holds within a
subject only. Ratings do not depend on the video.

Not planted. Mean and variance of each channel of a trial are independent of the label: a channel is standardised over
the trial (after the first second, which is dropped later), and then gets a random gain and offset.

`synthesize` writes random external annotations; `synthesize_external` plants an effect in them instead.

Unlike real files: long videos are shortened (real ones last 14 to 24 minutes), and values have float32 precision.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from isal import isal_zlib
from scipy.io import savemat
from scipy.stats import norm

from embench_plugins.datasets.amigos import release
from embench_plugins.datasets.amigos.release import (
    BASELINE_S,
    COLUMNS,
    EEG,
    LONG,
    NO_LONG,
    PEOPLE,
    RATE,
    SHORT,
    count_segments,
    list_segments,
)
from embench_plugins.datasets.formats.matlab import COMPRESSED
from embench_plugins.datasets.synthetic import films
from embench_plugins.datasets.synthetic.body import (
    Body,
    Brain,
    draw_gain,
    draw_smooth_noise,
    make_skin_responses,
    plant_response,
    standardise,
)
from embench_plugins.datasets.synthetic.films import OWN, Face, Performance
from embench_plugins.datasets.synthetic.generator import Generator, check_length

# Clips of faces, named and cut as in the release, and OpenFace's tables of them.

# Quirks of the release:
SHORTER_S = {"20": 1.0}  # by video
OTHER_LENGTH = {(11, "18"): 3.0, (13, "58"): 2.5, (39, "10"): 3.0}  # (subject, video) -> by how many s it is shorter
# Quirks of some copies; the subjects and videos are ours, early enough for small sets to have them:
UNFILMED = {2: ("23",)}
UNSEEN = {1: ("58",)}  # no table of OpenFace
BY_OLD_VERSION = (2,)  # subjects whose tables have spaces

Plays = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Video -> (`smile`, `brow`), each (T,) in standard deviations, with a value for each frame of the clip."""


def write_faces(out: Path, person: int, seed: int, plays: Plays) -> None:
    """Write one subject's clips (`Exp1_P01_face/P1_4_face.mov`, for long videos `Exp2_P01_face/P1_N1_face.mov`) and
    tables (`openface/P1_4_face.csv`) below `out`. Clips start with the trial, including its rest."""
    face = Face.draw(np.random.default_rng([seed, person, 10]))
    for video, (smile, brow) in plays.items():
        if video in UNFILMED.get(person, ()) or (video in LONG and f"P{person:02d}" in NO_LONG):
            continue
        rng = np.random.default_rng([seed, person, 11, *video.encode()])
        shorter_s = SHORTER_S.get(video, 0.0) + OTHER_LENGTH.get((person, video), 0.0)
        count = len(smile) - round(shorter_s * films.FPS)
        performance = Performance.draw(smile[:count], brow[:count], float(films.FPS), rng)
        name = f"P{person}_{video}_face"
        films.write_film(out / f"Exp{1 + (video in LONG)}_P{person:02d}_face" / f"{name}.mov", face, performance)
        if video not in UNSEEN.get(person, ()):
            films.write_table(out / "openface" / f"{name}.csv", performance, rng, spaced=person in BY_OLD_VERSION)


# Short and long videos, with planted self-assessments.

RHO = 0.825  # correlation of latent value and response at effect 1: AUROC .9001 over 200,000 subjects drawn as below
SKIP = int(RATE)  # samples that contain the connection artefact
RISE = 5.0  # rise of the level of EDA, in heights of a response, if responses are e times as many as usual
RISE_S = 5.0  # time constant of this rise, which begins with the video
BAND = (4.0, 45.0)  # Hz that the release's EEG is filtered to
LEAST_S = 2 * BASELINE_S
SAMPLE_S = 40.0  # long videos beside short ones of real length
LONG_SAMPLE_S = 120.0
VIDEOS = SHORT + LONG
STIMULUS_S = dict(
    zip(
        VIDEOS,
        (86, 56, 119, 67, 131, 78, 114, 70, 150, 64, 75, 90, 110, 59, 97, 73, 1405, 1130, 1412, 846),
        strict=True,
    )
)
"""Seconds of each video, within the bounds that follow from the release's numbers of annotated segments."""

SHORT_S, LONG_S = ((LEAST_S, max(STIMULUS_S[video] for video in videos) + BASELINE_S) for videos in (SHORT, LONG))
"""(least, greatest) length in s, with rest, of the longest short trial; then of the longest long trial."""
REFUSED = "trials of {:g} s"

PLANTED = {
    "heart_rate": "arousal", "scr_per_min": "arousal", "alpha_asymmetry": "valence", "smile": "valence",
    "brow": "arousal",
}  # fmt: skip

# Quirks of the release: subject -> cells (from 0).
EEG_LOST = {
    12: (4,),
    21: (1, 10),
    22: (15,),
    23: (0, 4, 6, 8, 11),
    24: (0, 7, 11, 12, 13, 14, 15),
    33: (0, 1, 2, 6, 7, 8, 9, 10, 12, 15),
}
ECG_LOST = {9: (0, 1, 2, 5, 6, 8, 10, 11, 12, 14, 15)}
WITHOUT_LONG = (8, 24, 28)  # neither long videos nor external annotations
LONG_UNRATED = (32,)
# Quirks that occur somewhere in the release; the subjects and cells are ours, early enough for small sets to have them.
RATED_WITHOUT_DATA = {3: (7,)}
DATA_WITHOUT_RATING = {6: (2,)}
CHANNEL_LOST = {4: (9, 7)}  # (cell, column): all NaN
GAPS = {2: (5, 3), 5: (11, 15), 7: (0, 16)}  # (cell, column): NaN for a while
OFF_SCALE = {2: (4,)}  # external valence above 1
BAD_CHECKSUM = (7,)

TRIALS = np.dtype(
    [(name, "i8") for name in ("person", "cell")]
    + [("video", "U3")]
    + [(name, "f8") for name in ("arousal", "valence", *PLANTED)]
)
"""A row of `draw`, for one trial: ratings 1 to 9, heart rate in beats a minute, skin conductance responses a minute,
log alpha power right over left, smile and brow in standard deviations."""


class Cell(NamedTuple):
    """A subject's file for one video: data (samples, 17), ratings (1, 12), external annotations (K, 3)."""

    data: np.ndarray
    ratings: np.ndarray
    external: np.ndarray


def synthesize(
    out: Path,
    subjects: int,
    seed: int,
    effect: float,
    *,
    length_s: float | None = None,
    long_s: float | None = None,
    person_label: bool = False,
    videos: bool = False,
) -> None:
    """Write synthetic files as `Generator.synthesize` does.

    Args:
        length_s: length of the longest short trial with its 5 s of rest; others are up to a quarter shorter. None for
            real lengths.
        long_s: the same for long videos. None for `SAMPLE_S` if the short ones have real lengths, else `LEAST_S`.
        person_label: see `draw`.
        videos: True to write clips of faces and OpenFace's tables too, see `write_faces`.
    """
    long_s = check_length(long_s or (SAMPLE_S if length_s is None else LEAST_S), *LONG_S, REFUSED)
    options = {"long_s": long_s, "person_label": person_label, **({"videos": True} if videos else {})}
    _make_generator(person_label).make(out, subjects, seed, effect, length_s, **options)


def synthesize_long(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, videos: bool = False
) -> None:
    """Write synthetic files with short trials of `LEAST_S`; `length_s` is the longest long trial, with rest."""
    synthesize(out, subjects, seed, effect, length_s=LEAST_S, long_s=length_s or LONG_SAMPLE_S, videos=videos)


def draw(subjects: int, seed: int, effect: float, *, person_label: bool = False) -> np.ndarray:
    """Return the planted values as `Generator.draw` does: `TRIALS`, a row for each of 20 videos of each subject.

    Args:
        person_label: True for ratings that depend on the subject alone. They are high in all trials of one subject of
            each pair, and low in all trials of the other. The planted quantities are then independent of the ratings.
    """
    return _make_generator(person_label).draw(subjects, seed, effect)


def _make_generator(person_label: bool) -> Generator:
    truth, about = partial(_draw_truth, person_label=person_label), {"version": 3, "planted": "self-assessment"}
    return Generator(__name__, "amigos", range(1, release.PEOPLE + 1), None, SHORT_S, REFUSED, truth, _write, about)


def _write(
    out: Path,
    people: list[np.ndarray],
    seed: int,
    length_s: float | None,
    *,
    long_s: float,
    videos: bool = False,
    **_: Any,
) -> None:
    """Write `Data_preprocessed/Data_Preprocessed_P01/Data_Preprocessed_P01.mat` and so on, a file for each subject."""
    for person, trials in enumerate(people, 1):
        write_cells(out, person, _make_cells(trials, seed, length_s, long_s))
        if videos:
            write_faces(out, person, seed, _make_plays(trials, length_s, long_s))


def write_cells(out: Path, person: int, cells: list[Cell]) -> None:
    """Write the MAT file of a subject, with the release's quirks."""
    name = f"Data_Preprocessed_P{person:02d}"
    folder = out / "Data_preprocessed" / name
    folder.mkdir(parents=True)
    unfinished = folder / f"{name}.part"
    unfinished.write_bytes(_encode_mat(person, cells))
    unfinished.rename(folder / f"{name}.mat")


def _draw_truth(person: int, seed: int, effect: float, _: float | None, *, person_label: bool) -> np.ndarray:
    """Return the planted values of one subject: `TRIALS`, a row for each of 20 videos."""
    rows = np.zeros(len(VIDEOS), TRIALS)
    rng, long_rng = (np.random.default_rng([seed, person, stream]) for stream in (0, 4))
    rows["person"], rows["cell"], rows["video"] = person, np.arange(len(VIDEOS)), VIDEOS
    high = bool(np.random.default_rng([seed, (person + 1) // 2, 1]).integers(2)) != bool(person % 2)
    response = {}
    for target in ("arousal", "valence"):
        quantile = _draw_quantiles(rng, long_rng)
        latent, other = norm.ppf(quantile), rng.standard_normal(len(VIDEOS))
        response[target] = plant_response(latent, other, RHO * effect)
        # A subject's mean shifts by up to half a standard deviation: 5 to 12 of 16 ratings are above 4.5.
        shift = rng.uniform(-0.5, 0.5)
        by_trial = 1 + 8 * norm.cdf(latent + shift)
        rows[target] = (5 + 4 * quantile if high else 1 + 3 * quantile) if person_label else by_trial
    # Standard deviations between subjects, and within a subject: heart rate 10 and 4, log SCR rate .38 and .3, alpha
    # asymmetry 1.3 and 1, smile and brow `OWN` (`rest` is the face at rest) and 1.
    rows["heart_rate"] = rng.uniform(58, 92) + 4 * response["arousal"]
    rows["scr_per_min"] = np.exp(rng.uniform(math.log(3), math.log(11)) + 0.3 * response["arousal"])
    rows["alpha_asymmetry"] = 1.3 * rng.standard_normal() + response["valence"]
    rest = OWN * np.random.default_rng([seed, person, 9]).standard_normal(2)
    rows["smile"], rows["brow"] = rest[0] + response["valence"], rest[1] + response["arousal"]
    return rows


def _draw_quantiles(rng: np.random.Generator, long_rng: np.random.Generator) -> np.ndarray:
    """Return (20,) values from 0 to 1: one in each sixteenth for the short videos, and one in each quarter for the long
    ones, in random order. Both classes thus occur."""
    short = (rng.permutation(len(SHORT)) + rng.random(len(SHORT))) / len(SHORT)
    long = (long_rng.permutation(len(LONG)) + rng.random(len(LONG))) / len(LONG)
    return np.clip(np.concatenate([short, long]), 1e-4, 1 - 1e-4)


def _make_cells(trials: np.ndarray, seed: int, length_s: float | None, long_s: float | None) -> list[Cell]:
    """Return the 20 cells of one subject, from that subject's `TRIALS` (20,); see `synthesize` for the lengths."""
    person = int(trials["person"][0])
    body = _Body.draw(np.random.default_rng([seed, person, 2]))
    usual = {name: float(trials[name][: len(SHORT)].mean()) for name in ("heart_rate", "scr_per_min")}
    cells = []
    for cell, trial in enumerate(trials):
        rng = np.random.default_rng([seed, person, 3, cell])
        samples = round(choose_trial_length(trial["video"], long_s if trial["video"] in LONG else length_s) * RATE)
        data = body.make_trial(trial, usual, samples, rng)
        rated = make_ratings(trial["arousal"], trial["valence"], rng)
        external = np.tanh(0.4 * rng.standard_normal((release.count_segments(samples / RATE), 2)))
        cells.append(Cell(data, rated, np.column_stack([np.arange(1, len(external) + 1), external])))
    return cells


def _make_plays(trials: np.ndarray, length_s: float | None, long_s: float | None) -> Plays:
    """Return the expressions of one subject's face in each video, from that subject's `TRIALS` (20,)."""
    plays = {}
    for trial in trials:
        video = str(trial["video"])
        seconds = films.list_times(choose_trial_length(video, long_s if video in LONG else length_s))
        plays[video] = films.draw_courses(trial, trials, seconds, BASELINE_S)
    return plays


def _encode_mat(person: int, cells: list[Cell]) -> bytes:
    """Return the bytes of one subject's MAT file, with the release's quirks."""
    names = ("joined_data", "labels_selfassessment", "labels_ext_annotation", "VideoIDs")
    variables = {name: np.empty((1, len(VIDEOS)), object) for name in names}
    for cell, (video, (data, rated, external)) in enumerate(zip(VIDEOS, cells, strict=True)):
        long = video in LONG
        if cell in EEG_LOST.get(person, ()):
            data[:, :14] = np.nan
        if cell in ECG_LOST.get(person, ()):
            data[:, 14:16] = np.nan
        if CHANNEL_LOST.get(person, (None,))[0] == cell:
            data[:, CHANNEL_LOST[person][1]] = np.nan
        if GAPS.get(person, (None,))[0] == cell:
            data[len(data) // 3 : len(data) // 3 + 64, GAPS[person][1]] = np.nan
        if cell in OFF_SCALE.get(person, ()):
            external[0, 1] = 1.04
        has_content = {
            "joined_data": not (long and person in WITHOUT_LONG) and cell not in RATED_WITHOUT_DATA.get(person, ()),
            "labels_selfassessment": not (long and person in WITHOUT_LONG + LONG_UNRATED)
            and cell not in DATA_WITHOUT_RATING.get(person, ()),
            "labels_ext_annotation": person not in WITHOUT_LONG,
        }
        for name, content in zip(names, (data, rated, external, video), strict=True):
            nothing = np.empty((0, 0) if name == "joined_data" else (1, 0))
            variables[name][0, cell] = content if has_content.get(name, True) else nothing
    content = bytearray(_compress(variables))
    if person in BAD_CHECKSUM:
        content[-1] ^= 0xFF  # the last variable ends with its checksum
    return bytes(content)


def _compress(variables: dict[str, np.ndarray]) -> bytes:
    """Return a MAT file of version 5. scipy's own compression would take most of the time."""
    buffer = io.BytesIO()
    savemat(buffer, variables)
    plain = buffer.getvalue()
    # MATLAB's header line with a fixed date, so that the same arguments give the same bytes.
    header = b"MATLAB 5.0 MAT-file, Platform: PCWIN64, Created on: Thu Jan 01 00:00:00 2015".ljust(116)
    blocks, start = [header + plain[116:128]], 128
    while start < len(plain):
        stop = start + 8 + int.from_bytes(plain[start + 4 : start + 8], sys.byteorder)
        packed = isal_zlib.compress(plain[start:stop], 1)
        blocks += [np.array([COMPRESSED, len(packed)], np.uint32).tobytes(), packed]
        start = stop
    return b"".join(blocks)


def choose_trial_length(video: str, longest_s: float | None) -> float:
    """Return a trial's length in s with its rest: the real one if `longest_s` is None, else one between three quarters
    of `longest_s` and `longest_s`."""
    if longest_s is None:
        return STIMULUS_S[video] + BASELINE_S
    all_s = [STIMULUS_S[other] for other in (LONG if video in LONG else SHORT)]
    shortest, longest = min(all_s), max(all_s)
    return longest_s * (0.75 + 0.25 * (STIMULUS_S[video] - shortest) / (longest - shortest))


def make_ratings(arousal: float, valence: float, rng: np.random.Generator) -> np.ndarray:
    """Return (1, 12) self-assessments: arousal, valence, three other scales 1 to 9, seven emotions 0 or 1."""
    scales, emotions = rng.uniform(1, 9, 3), rng.integers(0, 2, 7)
    return np.concatenate([[arousal, valence], scales, emotions])[None]


@dataclass(frozen=True)
class _Body:
    """Shapes and levels of one subject's signals, the same in all trials."""

    waves: np.ndarray  # (5, 3): P Q R S T, as delay (s), width (s), height
    leads: np.ndarray  # (2, 5): height factors of the waves in the right and left lead
    breath_hz: float
    breath_share: float  # relative modulation of heart rate by breathing
    conductance: float  # in microsiemens
    brain: Brain
    size: np.ndarray  # (16,): sizes of EEG (uV) and ECG (mV) channels

    @staticmethod
    def draw(rng: np.random.Generator) -> _Body:
        """Draw one subject's body from `rng`."""
        typical = np.array(
            [[-0.17, 0.025, 0.12], [-0.035, 0.01, -0.1], [0, 0.012, 1], [0.035, 0.012, -0.25], [0.25, 0.045, 0.3]]
        )
        return _Body(
            waves=typical * np.exp(0.15 * rng.standard_normal((5, 3)) * [0.5, 1, 2]),
            leads=np.exp(0.25 * rng.standard_normal((2, 5))),
            breath_hz=rng.uniform(0.2, 0.32),
            breath_share=rng.uniform(0.01, 0.05),
            conductance=rng.uniform(2, 12),
            brain=Brain.draw(rng, EEG),
            size=np.exp(0.3 * rng.standard_normal(16)) * np.repeat([8.0, 0.3], [14, 2]),
        )

    def make_trial(
        self, trial: np.void, usual: Mapping[str, float], samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the 17 columns of a trial (samples, 17), at float32 precision. `usual`: the subject's mean rates."""
        time = np.arange(samples) / RATE
        artefact = np.exp(-time / 0.15) * (time < 1) * rng.integers(2)
        columns = np.empty((release.COLUMNS, samples))
        columns[:14] = self.brain.draw_eeg(float(trial["alpha_asymmetry"]), samples, RATE, rng, band=BAND, skip=SKIP)
        columns[14:16] = self._ecg(float(trial["heart_rate"]), usual["heart_rate"], time, rng)
        columns[:16] += 0.1 * rng.standard_normal((16, 1))
        columns[:16] *= self.size[:, None]
        columns[14:16] += 3 * artefact
        level, size = rng.standard_normal(), draw_gain(rng, 1)[0]  # before the responses, which take varying draws
        responses = self._skin(float(trial["scr_per_min"]), usual["scr_per_min"], time, rng)
        skin = 1 + 0.06 * (level + size * responses)
        columns[16] = 1e6 / (self.conductance * skin * (1 - 0.5 * artefact))  # in ohm: a resistance, as released
        return columns.T.astype(np.float32).astype(np.float64)

    def _ecg(self, rate: float, resting: float, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (2, samples) ECG, whose rate changes from `resting` to `rate` within seconds of the video's start."""
        onset = 1 - np.exp(-np.maximum(time - BASELINE_S, 0) / 2)
        swing = self.breath_share * np.sin(2 * np.pi * (self.breath_hz * time + rng.random()))
        swing += 0.02 * np.sin(2 * np.pi * (0.1 * time + rng.random()))
        hz = (resting + (rate - resting) * onset) / 60 * (1 + swing)
        phase = np.cumsum(hz) / RATE + rng.random()
        since_beat = (phase % 1 - 0.4) / hz  # seconds from the R wave, negative before it
        delay, width, height = self.waves.T[:, :, None]
        waves = height * np.exp(-0.5 * ((since_beat - delay) / width) ** 2)
        beats = standardise(self.leads @ waves + 0.03 * rng.standard_normal((2, len(time))), SKIP) * draw_gain(rng, 2)
        # Baseline wander is added after standardising: after a high-pass filter the variance has no information.
        return beats + 0.3 * np.sin(2 * np.pi * (0.15 * time + rng.random((2, 1))))

    def _skin(self, per_min: float, usual: float, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (samples,) EDA: responses during the video, on a level that rises if `per_min` is above `usual`."""
        count = round(per_min * (len(time) / RATE - BASELINE_S) / 60)
        responses = make_skin_responses(count, BASELINE_S, len(time), RATE, rng)
        drift = 0.3 * rng.standard_normal() * time / time[-1] + 0.1 * np.sin(2 * np.pi * (0.02 * time + rng.random()))
        drift += RISE * math.log(per_min / usual) * (1 - np.exp(-np.maximum(time - BASELINE_S, 0) / RISE_S))
        return standardise(responses + drift + 0.003 * rng.standard_normal(len(time)), SKIP)


# Synthetic AMIGOS files with an effect in the external annotations; `synthesize` plants one in the self-assessments.
#
# Planted. Arousal and valence change slowly within a video, whichever video it is. Observers give each annotated
# segment its mean, on a scale of -1 to 1. A physiological response at every moment has a correlation of `STRENGTH *
# effect`:
# - arousal -> heart rate (ECG) and skin conductance responses per minute (GSR), both rising with one response;
# - valence -> frontal alpha asymmetry, log right over left (EEG);
# - with clips, from the same responses: valence -> smile, arousal -> raised brows (see `films`).
# `STRENGTH` is chosen so that the true quantity of 10 s units ranks one subject's units by their label with an AUROC of
# .90 at effect 1, and .50 at effect 0. Self-assessments are random.
#
# Not planted: mean and variance of each channel of a unit.

STRENGTH = 0.87  # correlation of what is felt and the response at effect 1: AUROC .90 over 1,000 subjects
TAU_S = 25.0
EXTERNAL_SAMPLE_S = 80.0  # long enough for windows of a minute
UNIT_S = 10

MOMENTS = np.dtype(
    [(name, "i8") for name in ("person", "cell")]
    + [("second", "f8")]
    + [(name, "f8") for name in ("arousal", "valence", *PLANTED)]
)
"""A row of `draw_external`, for one second: latent arousal and valence, and the planted quantities as in `TRIALS`."""


def _write_external(out: Path, people: list[np.ndarray], seed: int, length_s: float, *, videos: bool = False) -> None:
    """Write `Data_preprocessed/Data_Preprocessed_P01/Data_Preprocessed_P01.mat` and so on, and clips as `write_faces`
    does. `length_s` is the length of the longest trial, long videos and 5 s of rest included."""
    for person, moments in enumerate(people, 1):
        write_cells(out, person, _make_external_cells(moments, seed, length_s))
        if videos:
            write_faces(out, person, seed, _make_external_plays(moments, length_s))


def _draw_external_truth(person: int, seed: int, effect: float, length_s: float) -> np.ndarray:
    """Return one subject's true values for the external annotation, as rows of `MOMENTS`: one for each second of each
    video."""
    rng = np.random.default_rng([seed, person, 6])
    shift = dict(zip(("arousal", "valence"), rng.uniform(-0.4, 0.4, 2), strict=True))
    # Standard deviations between subjects, and within a subject: heart rate 10 and 4, log SCR rate .38 and .3, alpha
    # asymmetry 1.3 and 1, smile and brow `OWN` (`rest` is the face at rest) and 1.
    resting, responses, asymmetry = rng.uniform(58, 92), rng.uniform(math.log(3), math.log(11)), rng.standard_normal()
    rest = OWN * np.random.default_rng([seed, person, 9]).standard_normal(2)
    videos = []
    for cell, video in enumerate(VIDEOS):
        rows = np.zeros(math.ceil(choose_external_length(video, length_s)), MOMENTS)
        rows["person"], rows["cell"], rows["second"] = person, cell, np.arange(len(rows)) + 0.5
        response = {}
        for target, level in shift.items():
            latent, other = (draw_smooth_noise(rng, len(rows), 1.0, TAU_S) for _ in range(2))
            rows[target] = latent + level
            response[target] = plant_response(latent, other, STRENGTH * effect)
        rows["heart_rate"] = resting + 4 * response["arousal"]
        rows["scr_per_min"] = np.exp(responses + 0.3 * response["arousal"])
        rows["alpha_asymmetry"] = 1.3 * asymmetry + response["valence"]
        rows["smile"], rows["brow"] = rest[0] + response["valence"], rest[1] + response["arousal"]
        videos.append(rows)
    return np.concatenate(videos)


def choose_external_length(video: str, length_s: float) -> float:
    """Return a trial's length in s: up to `length_s`; for short videos at most that of the longest real one."""
    return choose_trial_length(video, length_s if video in LONG else min(length_s, SHORT_S[1]))


def annotate(moments: np.ndarray, duration_s: float) -> np.ndarray:
    """Return (K, 3) of segment, valence and arousal: means of the latent values in each segment, scaled to -1 to 1."""
    spans = list_segments(count_segments(duration_s), duration_s)
    inside = (spans[:, :1] <= moments["second"]) & (moments["second"] < spans[:, 1:])
    weight = inside / inside.sum(axis=1, keepdims=True)
    means = [np.tanh(0.5 * (weight @ moments[target])) for target in ("valence", "arousal")]
    return np.column_stack([np.arange(1, len(spans) + 1), *means])


def _make_external_plays(moments: np.ndarray, length_s: float) -> Plays:
    """Return the expressions of one subject's face in each video, from all of that subject's `MOMENTS`."""
    plays = {}
    for cell, video in enumerate(VIDEOS):
        rows, seconds = moments[moments["cell"] == cell], films.list_times(choose_external_length(video, length_s))
        smile, brow = (np.interp(seconds, rows["second"], rows[name]) for name in ("smile", "brow"))
        plays[video] = smile, brow
    return plays


def _make_external_cells(moments: np.ndarray, seed: int, length_s: float) -> list[Cell]:
    """Return the 20 cells of one subject, from all of that subject's `MOMENTS`."""
    person = int(moments["person"][0])
    rng = np.random.default_rng([seed, person, 7])
    body, brain = Body.draw(rng), Brain.draw(rng, EEG)
    leads = [replace(body, ecg_waves=body.ecg_waves * np.exp([0, 0, 0.25] * rng.standard_normal((5, 3)))) for _ in "RL"]
    size = 8.0 * np.exp(0.3 * rng.standard_normal((14, 1)))
    cells = []
    for cell, video in enumerate(VIDEOS):
        rng = np.random.default_rng([seed, person, 8, cell])
        rows, duration_s = moments[moments["cell"] == cell], choose_external_length(video, length_s)
        samples = round(duration_s * RATE)
        time = np.arange(samples) / RATE
        rates = {quantity: np.interp(time, rows["second"], rows[quantity]) for quantity in PLANTED}
        columns = np.empty((COLUMNS, samples))
        columns[:14] = size * brain.draw_eeg(rates["alpha_asymmetry"], samples, RATE, rng, band=BAND, skip=SKIP)
        beats = body.draw_heart_phase(rates["heart_rate"], body.draw_breath_phase(samples, RATE, rng), RATE, rng)
        columns[14:16] = [lead.draw_ecg(beats, RATE, rng) for lead in leads]
        columns[14:16] += np.exp(-time / 0.15) * (time < 1) * rng.integers(2)  # the connection artefact
        columns[16] = 1e6 / body.draw_eda(rates["scr_per_min"], RATE, rng)  # in ohm: a resistance, as released
        data = columns.T.astype(np.float32).astype(np.float64)
        cells.append(Cell(data, make_ratings(rng.uniform(1, 9), rng.uniform(1, 9), rng), annotate(rows, duration_s)))
    return cells


EXTERNAL = Generator(
    __name__, "amigos", range(1, PEOPLE + 1), EXTERNAL_SAMPLE_S, LONG_S, REFUSED, _draw_external_truth, _write_external,
    {"planted": "external annotation"},
)  # fmt: skip
synthesize_external, draw_external = EXTERNAL.synthesize_with_videos, EXTERNAL.draw
