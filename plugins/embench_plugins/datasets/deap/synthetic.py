"""Synthetic DEAP files: pickles as Python 2 wrote them, the table of ratings and face videos, with an effect in the
physiology.

Planted. Every trial has two latent values, arousal and valence, from which the ratings are made. A physiological
response to each has a correlation of `RHO * effect` with it:
- arousal -> heart rate (PPG) and skin conductance responses per minute (GSR), both rising with one response;
- valence -> frontal alpha asymmetry, log right over left (EEG);
- with faces, from the same responses: valence -> smile, arousal -> raised brows (see `films`).
`RHO` is chosen so that each of these true quantities ranks one subject's trials by their label with an AUROC of .90 at
effect 1, and .50 at effect 0. Subjects differ more than the effect, except in their faces. Ratings do not depend on the
video, nor on when it was shown; dominance and liking are random.

Not planted. Mean and variance of each channel are independent of the label: after the 3 s of rest a channel is
standardised over its trial, and then gets a random gain and offset.

Unlike real files: trials last `LENGTH_S` by default (real ones 63 s), values have float32 precision, and a face video
is a single grey picture unless faces are requested; these have a quarter of the frames.
"""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from scipy.stats import norm

from embench_plugins.datasets.deap import reader
from embench_plugins.datasets.deap.reader import BASELINE_S, EEG, GSR, RATE, RATINGS, TRIALS
from embench_plugins.datasets.synthetic import films
from embench_plugins.datasets.synthetic.body import (
    Body,
    Brain,
    draw_gain,
    draw_smooth_noise,
    make_skin_responses,
    plant_response,
    spread_values,
    standardise,
)
from embench_plugins.datasets.synthetic.films import OWN, Face, Performance
from embench_plugins.datasets.synthetic.generator import Generator
from embench_plugins.datasets.synthetic.writers import dump_python2

RHO = 0.827  # correlation of latent value and response at effect 1: AUROC .900 over 50,000 subjects drawn as below
LENGTH_S = 33.0  # a subject is 54 MB then, with real trials of 63 s 103 MB
REST = round(BASELINE_S * RATE)
FPS = 50

# Quirks of the release:
UNFAMILIAR = (2, 15, 23)  # subjects without ratings of familiarity
# Quirks of some copies; the subjects are ours, early enough for small sets to have them:
AS_TEXT = (2,)  # subjects whose pickle is of protocol 0
BY_PYTHON_3 = (3,)  # subjects whose pickle was written again by Python 3
NOT_POSITIVE = (2, 4, 9, 16, 25)  # subjects whose GSR is around zero
TURNED = (5,)  # subjects whose GSR rises with conductance
WRONG_RATE = (2, 3)  # subject and trial of a face video whose header states half the rate
UNSEEN = (1, 7)  # subject and trial of a face video without a table of OpenFace
BY_OLD_OPENFACE = (2,)  # subjects whose tables have spaces, as in older versions

PLANTED = {
    "heart_rate": "arousal", "scr_per_min": "arousal", "alpha_asymmetry": "valence", "smile": "valence",
    "brow": "arousal",
}  # fmt: skip
ROWS = np.dtype(
    [(name, "i8") for name in ("person", "video", "trial", "familiarity")]
    + [(name, "f8") for name in ("start_s", *RATINGS, *PLANTED)]
)
"""A row of `draw`, for one trial: video 1 to 40 (Experiment_id), trial 1 to 40 (as shown), ratings 1 to 9, beats and
responses a minute, log alpha power right over left, smile and brow in standard deviations."""


def _write(out: Path, people: list[np.ndarray], seed: int, length_s: float, *, videos: bool = False) -> None:
    """Write `data_preprocessed_python/s01.dat` and so on, `metadata_csv` and `face_video`: grey pictures, or with
    `videos` faces and OpenFace's tables. `length_s` is a trial's length with its 3 s of rest."""
    folder = out / "data_preprocessed_python"
    folder.mkdir()
    for number, person in enumerate(people, 1):
        _write_pickle(folder / f"s{number:02d}.dat", person, seed, round(length_s * RATE))
    _write_metadata(out / "metadata_csv", np.concatenate(people))
    if videos:
        for person in people[: reader.FILMED]:
            _write_faces(out, person, seed, length_s - BASELINE_S)
    else:
        _write_videos(out / "face_video", len(people), length_s - BASELINE_S)


def _draw_truth(person: int, seed: int, effect: float, _: float) -> np.ndarray:
    """Return the planted values of one subject: `ROWS`, one for each of 40 trials."""
    rng = np.random.default_rng([seed, person, 0])
    rows = np.zeros(TRIALS, ROWS)
    rows["person"], rows["video"], rows["trial"] = person, np.arange(1, TRIALS + 1), 1 + rng.permutation(TRIALS)
    gaps = rng.uniform(80, 110, TRIALS) + np.where(np.arange(TRIALS) == TRIALS // 2, 300, 0)  # a break half way
    rows["start_s"] = np.round(np.cumsum(gaps), 6)[rows["trial"] - 1]
    rows["familiarity"] = rng.integers(1, 6, TRIALS)
    response = {}
    for target in RATINGS:
        latent, other = norm.ppf(spread_values(rng, TRIALS)), rng.standard_normal(TRIALS)
        response[target] = plant_response(latent, other, RHO * effect)
        # A mean that shifts by up to half a standard deviation: both classes occur.
        rows[target] = np.round(1 + 8 * norm.cdf(latent + rng.uniform(-0.5, 0.5)), 2)
    # Standard deviations: heart rate 10 between subjects, 4 within; log SCR rate .33, .3; asymmetry 1.3, 1.
    rows["heart_rate"] = rng.uniform(58, 92) + 4 * response["arousal"]
    rows["scr_per_min"] = np.exp(rng.uniform(math.log(5), math.log(15)) + 0.3 * response["arousal"])
    rows["alpha_asymmetry"] = 1.3 * rng.standard_normal() + response["valence"]
    rest = OWN * np.random.default_rng([seed, person, 3]).standard_normal(2)
    rows["smile"], rows["brow"] = rest[0] + response["valence"], rest[1] + response["arousal"]
    return rows


def _write_pickle(path: Path, trials: np.ndarray, seed: int, samples: int) -> None:
    """Write one subject's pickle, from that subject's `ROWS` (40,)."""
    person = int(trials["person"][0])
    body = _Person.draw(person, np.random.default_rng([seed, person, 1]))
    resting = float(trials["heart_rate"].mean())
    streams = (np.random.default_rng([seed, person, 2, int(video)]) for video in trials["video"])
    data = np.stack([body.make_trial(trial, resting, samples, rng) for trial, rng in zip(trials, streams, strict=True)])
    content = {"labels": np.stack([trials[name] for name in RATINGS], axis=1), "data": data}
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        if person in BY_PYTHON_3:
            # With the module names of the numpy of that time.
            file.write(pickle.dumps(content, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        else:
            dump_python2(file, content, 0 if person in AS_TEXT else 2)
    unfinished.rename(path)


def _write_metadata(folder: Path, rows: np.ndarray) -> None:
    """Write participant_ratings.csv, a row for each trial in the order shown, with a byte order mark."""
    folder.mkdir()
    lines = ["Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity"]
    for row in np.sort(rows, order=["person", "trial"]):
        familiarity = "" if row["person"] in UNFAMILIAR else row["familiarity"]
        ratings = ",".join(f"{row[name]:g}" for name in RATINGS)
        start = round(row["start_s"] * 1e6)
        lines.append(f"{row['person']},{row['trial']},{row['video']},{start},{ratings},{familiarity}")
    (folder / "participant_ratings.csv").write_text("\r\n".join(lines) + "\r\n", "utf-8-sig")


def _write_faces(out: Path, trials: np.ndarray, seed: int, video_s: float) -> None:
    """Write one subject's face videos and OpenFace's tables of them, from that subject's `ROWS` (40,)."""
    person = int(trials["person"][0])
    face, seconds = Face.draw(np.random.default_rng([seed, person, 4])), films.list_times(video_s)
    for row in trials:
        trial = int(row["trial"])
        if trial in reader.UNFILMED.get(person, ()):
            continue
        rng = np.random.default_rng([seed, person, 5, trial])
        smile, brow = films.draw_courses(row, trials, seconds, 0.0)
        performance = Performance.draw(smile, brow, float(films.FPS), rng)
        name, fps = f"s{person:02d}_trial{trial:02d}", films.FPS / (2 if (person, trial) == WRONG_RATE else 1)
        films.write_film(out / "face_video" / f"s{person:02d}" / f"{name}.avi", face, performance, header_fps=fps)
        if (person, trial) != UNSEEN:
            spaced = person in BY_OLD_OPENFACE
            films.write_table(out / "openface" / f"{name}.csv", performance, rng, header_fps=fps, spaced=spaced)


def _write_videos(folder: Path, subjects: int, video_s: float) -> None:
    """Write a grey picture as face video of each trial that was filmed."""
    clip, slow = _encode_clip(video_s, FPS), _encode_clip(video_s, FPS // 2)
    for person in range(1, min(subjects, reader.FILMED) + 1):
        (folder / f"s{person:02d}").mkdir(parents=True)
        for trial in set(range(1, TRIALS + 1)) - set(reader.UNFILMED.get(person, ())):
            path = folder / f"s{person:02d}" / f"s{person:02d}_trial{trial:02d}.avi"
            path.write_bytes(slow if (person, trial) == WRONG_RATE else clip)


def _encode_clip(video_s: float, fps: int) -> bytes:
    """Return an .avi file (Xvid) of a grey picture, `video_s` seconds at `FPS`. Its header states the rate `fps`."""
    buffer = io.BytesIO()
    picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24").reformat(format="yuv420p")
    with av.open(buffer, "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=fps, options={"flags": "+bitexact", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 300
        for number in range(round(video_s * FPS)):
            picture.pts, picture.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@dataclass(frozen=True)
class _Person:
    """Shapes, sizes and levels of one subject's signals, the same in all trials."""

    body: Body
    brain: Brain
    size: np.ndarray  # (40, 1): standard deviation of each channel, in its unit
    level: np.ndarray  # (40, 1): mean of each channel, in its unit
    turned: bool

    @staticmethod
    def draw(person: int, rng: np.random.Generator) -> _Person:
        typical = np.repeat([8.0, 20.0, 6.0, 20_000.0, 900.0, 400.0, 30.0], [len(EEG), 2, 2, 1, 1, 1, 1])[:, None]
        size = typical * np.exp(0.4 * rng.standard_normal(typical.shape))
        level = 0.3 * size * rng.standard_normal(typical.shape)
        level[GSR] += 0 if person in NOT_POSITIVE else 10 * size[GSR]
        return _Person(Body.draw(rng), Brain.draw(rng, EEG), size, level, person in TURNED)

    def make_trial(self, trial: np.void, resting: float, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return the 40 channels of a trial (40, samples), at float32 precision. `resting`: heart rate at rest."""
        onset = 1 - np.exp(-np.maximum(np.arange(samples) / RATE - BASELINE_S, 0) / 2)
        breath = self.body.draw_breath_phase(samples, RATE, rng)
        heart = self.body.draw_heart_phase(resting + (float(trial["heart_rate"]) - resting) * onset, breath, RATE, rng)
        skin = self._skin(float(trial["scr_per_min"]), samples, rng)
        others = np.stack(
            [
                *(draw_smooth_noise(rng, samples, RATE, 0.3) for _ in range(2)),
                *(self.body.draw_emg(samples, RATE, rng) for _ in range(2)),
                skin if self.turned else -skin,
                self.body.draw_respiration(breath, RATE, rng),
                self.body.draw_ppg(heart, RATE, rng),
                self.body.draw_temperature(samples, RATE, rng),
            ]
        )
        eeg = self.brain.draw_eeg(float(trial["alpha_asymmetry"]), samples, RATE, rng, band=(4, 45), skip=REST)
        columns = np.concatenate([eeg, standardise(others, REST) * draw_gain(rng, len(others))])
        columns = self.level + self.size * (columns + 0.1 * rng.standard_normal((len(columns), 1)))
        return columns.astype(np.float32).astype(np.float64)

    @staticmethod
    def _skin(per_min: float, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (samples,) EDA: responses after the video's start, on a drifting level."""
        count = math.floor(per_min * (samples / RATE - BASELINE_S) / 60 + rng.random())
        responses = make_skin_responses(count, BASELINE_S, samples, RATE, rng)
        return responses + 0.1 * draw_smooth_noise(rng, samples, RATE, 30) + 0.003 * rng.standard_normal(samples)


GENERATOR = Generator(
    __name__, "deap", range(1, reader.PEOPLE + 1), LENGTH_S, (2 * BASELINE_S, reader.SAMPLES / RATE),
    "trials of {:g} s", _draw_truth, _write,
)  # fmt: skip
synthesize, draw = GENERATOR.synthesize_with_videos, GENERATOR.draw
