"""Generated AMIGOS files: the released byte layout and its quirks, with an effect planted where physiology puts it.

What is planted. Every trial has two latent values, one a target, from which the ratings are made, and a bodily response
to each, which correlates with the latent value by `RHO * effect`:
- arousal -> heart rate (ECG) and skin conductance responses a minute (GSR), both rising with one response;
- valence -> frontal alpha asymmetry, log right over left (EEG).
`RHO` is such that each of these true quantities ranks one person's trials by their label with an AUROC of .90 at
effect 1, and .50 at effect 0. People differ more than the effect: an order holds within a person only. Ratings do not
depend on the video, nor on anything else that a file shows.

What is not planted. Mean and variance of each channel of a trial are drawn without regard to the label: a channel is
standardised over the trial (after the first second, which is dropped later), then given a random gain and offset. Only
the shape of a signal tells.

What is not as in real files: long videos last `LONG_S` (real ones 14 to 24 minutes), values have float32 precision.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import fft
from scipy.io import savemat
from scipy.signal import fftconvolve
from scipy.stats import norm

from embench.errors import UsageError
from embench_plugins.datasets.amigos import COLUMNS, COMPRESSED, LONG, PEOPLE, RATE, SHORT

RHO = 0.825  # correlation of latent value and response at effect 1: AUROC .9001 over 200,000 people drawn as below
BASELINE_S = 5.0
SKIP = int(RATE)  # samples before which the connection artefact lies
LONG_S = 40.0
VIDEOS = SHORT + LONG
STIMULUS_S = dict(zip(SHORT, (86, 56, 119, 67, 131, 78, 114, 70, 150, 64, 75, 90, 110, 59, 97, 73), strict=True))
"""Seconds of each short video, inside the bounds that the release's numbers of annotated segments give."""

# Quirks of the release, person -> cells (from 0) where one cell is meant.
EEG_LOST = {
    12: (4,),
    21: (1, 10),
    22: (15,),
    23: (0, 4, 6, 8, 11),
    24: (0, 7, 11, 12, 13, 14, 15),
    33: (0, 1, 2, 6, 7, 8, 9, 10, 12, 15),
}
ECG_LOST = {9: (0, 1, 2, 5, 6, 8, 10, 11, 12, 14, 15)}
NO_LONG = (8, 24, 28)  # neither long videos nor external annotations
LONG_UNRATED = (32,)
# Quirks that occur somewhere in the release; the places are ours, early enough for small sets to have them.
RATED_WITHOUT_DATA = {3: (7,)}
DATA_WITHOUT_RATING = {6: (2,)}
CHANNEL_LOST = {4: (9, 7)}  # (cell, column): all NaN
GAPS = {2: (5, 3), 5: (11, 15), 7: (0, 16)}  # (cell, column): NaN for a while
BAD_CHECKSUM = (7,)

TRIALS = np.dtype(
    [(name, "i8") for name in ("person", "cell")]
    + [("video", "U3")]
    + [(name, "f8") for name in ("arousal", "valence", "heart_rate", "scr_per_min", "alpha_asymmetry")]
)
"""A row of `draw`: ratings 1 to 9, heart rate in beats a minute, log alpha power right over left."""


def synthesize(
    out: Path, subjects: int, seed: int, effect: float, *, trial_s: float | None = None, person_label: bool = False
) -> None:
    """Writes `Data_preprocessed/Data_Preprocessed_P01/Data_Preprocessed_P01.mat` and so on below `out`.

    The same arguments give the same bytes.

    Args:
        trial_s: length of the longest trial with its 5 s of rest, others up to a quarter shorter; None: real ones.
        person_label: see `draw`.

    Raises:
        UsageError: for arguments out of range, or where `out` holds files that no synthesizer of AMIGOS wrote.
    """
    trials = draw(subjects, seed, effect, person_label=person_label)
    if trial_s is not None and not trial_s >= 2 * BASELINE_S:
        raise UsageError(f"trials of {trial_s} s", expected=f"at least {2 * BASELINE_S:g} s")
    out = Path(out)
    made = {
        "generator": "embench_plugins.datasets.amigos_synthetic",
        "version": 1,
        "dataset": "amigos",
        "seed": seed,
        "subjects": subjects,
        "effect": effect,
        "trial_s": trial_s,
        "long_video_s": _length_s(LONG[0], trial_s),
        "person_label": person_label,
    }
    _claim(out, made)
    for person in range(1, subjects + 1):
        name = f"Data_Preprocessed_P{person:02d}"
        folder = out / "Data_preprocessed" / name
        folder.mkdir(parents=True)
        unfinished = folder / f"{name}.part"
        unfinished.write_bytes(_mat(trials[trials["person"] == person], seed, trial_s))
        unfinished.rename(folder / f"{name}.mat")


def draw(subjects: int, seed: int, effect: float, *, person_label: bool = False) -> np.ndarray:
    """The truth behind the files: a row of `TRIALS` for each of 20 videos of each person, without writing anything.

    A person's rows depend on `seed` and the person's number only, not on how many people there are.

    Args:
        subjects: 1 to 40 people.
        effect: 0 (ratings tell nothing about the body) to 1.
        person_label: ratings high in all trials of one of each two people, low in all of the other's: a label that is a
            function of the person alone. The planted quantities then vary without regard to it.
    """
    if not 1 <= subjects <= PEOPLE:
        raise UsageError(f"{subjects} people", expected=f"1 to {PEOPLE}, as many as AMIGOS has")
    if not 0 <= effect <= 1 or seed < 0:
        raise UsageError(f"effect {effect}, seed {seed}", expected="an effect from 0 to 1 and a seed of 0 or more")
    rows = np.zeros((subjects, len(VIDEOS)), TRIALS)
    for person, row in enumerate(rows, start=1):
        rng = np.random.default_rng([seed, person, 0])
        row["person"], row["cell"], row["video"] = person, np.arange(len(VIDEOS)), VIDEOS
        high = bool(np.random.default_rng([seed, (person + 1) // 2, 1]).integers(2)) != bool(person % 2)
        response = {}
        for target in ("arousal", "valence"):
            share = _shares(rng)
            latent, other = norm.ppf(share), rng.standard_normal(len(VIDEOS))
            response[target] = RHO * effect * latent + math.sqrt(1 - (RHO * effect) ** 2) * other
            # A person's mean shifts by up to half a standard deviation: 5 to 12 of 16 ratings are above 4.5.
            shift = rng.uniform(-0.5, 0.5)
            by_trial = 1 + 8 * norm.cdf(latent + shift)
            row[target] = (5 + 4 * share if high else 1 + 3 * share) if person_label else by_trial
        # Standard deviations: heart rate 10 between people, 4 within; log SCR rate .38, .3; asymmetry 1.3, 1.
        row["heart_rate"] = rng.uniform(58, 92) + 4 * response["arousal"]
        row["scr_per_min"] = np.exp(rng.uniform(math.log(3), math.log(11)) + 0.3 * response["arousal"])
        row["alpha_asymmetry"] = 1.3 * rng.standard_normal() + response["valence"]
    return rows.ravel()


def _shares(rng: np.random.Generator) -> np.ndarray:
    """Uniform values (20,); those of the short videos fall one into each sixteenth, so that both classes occur."""
    spread = (rng.permutation(len(SHORT)) + rng.random(len(SHORT))) / len(SHORT)
    return np.clip(np.concatenate([spread, rng.random(len(LONG))]), 1e-4, 1 - 1e-4)


def _claim(out: Path, made: dict[str, object]) -> None:
    """Marks `out` as generated before anything is written; removes what an earlier call wrote."""
    marker = out / "EMBENCH_SYNTHETIC.json"
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=str(out), expected="a folder to write into")
    if out.exists() and any(out.iterdir()):
        try:
            mine = json.loads(marker.read_text("utf-8")).get("dataset") == made["dataset"]
        except (OSError, ValueError, AttributeError):
            mine = False
        if not mine:
            raise UsageError(
                "the folder holds files that are not generated AMIGOS files; nothing was written",
                where=str(out),
                expected="a new or empty folder, or one that was written by this command before",
            )
        shutil.rmtree(out / "Data_preprocessed", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps(made, indent=2) + "\n", "utf-8")


def _mat(trials: np.ndarray, seed: int, trial_s: float | None) -> bytes:
    """One person's file, from the rows (20,) of that person."""
    person = int(trials["person"][0])
    body = _Body.draw(np.random.default_rng([seed, person, 2]))
    resting = float(trials["heart_rate"][: len(SHORT)].mean())
    cells = {
        name: np.empty((1, len(VIDEOS)), object)
        for name in ("joined_data", "labels_selfassessment", "labels_ext_annotation", "VideoIDs")
    }
    for trial in trials:
        cell, long = int(trial["cell"]), trial["video"] in LONG
        rng = np.random.default_rng([seed, person, 3, cell])
        samples = round(_length_s(trial["video"], trial_s) * RATE)
        data = body.trial(trial, resting, samples, rng)
        ratings, external = _ratings(trial, rng), _external(samples, rng)
        data[:, :14][:, [cell in EEG_LOST.get(person, ())] * 14] = np.nan
        data[:, 14:16][:, [cell in ECG_LOST.get(person, ())] * 2] = np.nan
        if CHANNEL_LOST.get(person, (None,))[0] == cell:
            data[:, CHANNEL_LOST[person][1]] = np.nan
        if GAPS.get(person, (None,))[0] == cell:
            data[samples // 3 : samples // 3 + 64, GAPS[person][1]] = np.nan
        if (long and person in NO_LONG) or cell in RATED_WITHOUT_DATA.get(person, ()):
            data = np.empty((0, 0))
        if (long and person in NO_LONG + LONG_UNRATED) or cell in DATA_WITHOUT_RATING.get(person, ()):
            ratings = np.empty((1, 0))
        if person in NO_LONG:
            external = np.empty((1, 0))
        for name, content in zip(cells, (data, ratings, external, str(trial["video"])), strict=True):
            cells[name][0, cell] = content
    content = bytearray(_compressed(cells))
    if person in BAD_CHECKSUM:
        content[-1] ^= 0xFF  # the last variable ends with its checksum
    return bytes(content)


def _compressed(variables: dict[str, np.ndarray]) -> bytes:
    """A MAT file, version 5. Compressed here, quickly, because scipy's own way would take most of the time."""
    buffer = io.BytesIO()
    savemat(buffer, variables)
    plain = buffer.getvalue()
    # MATLAB's own header line, and no date of today, so that the same arguments give the same bytes.
    header = b"MATLAB 5.0 MAT-file, Platform: PCWIN64, Created on: Thu Jan 01 00:00:00 2015".ljust(116)
    parts, at = [header + plain[116:128]], 128
    while at < len(plain):
        stop = at + 8 + int.from_bytes(plain[at + 4 : at + 8], sys.byteorder)
        packed = zlib.compress(plain[at:stop], 1)
        parts += [np.array([COMPRESSED, len(packed)], np.uint32).tobytes(), packed]
        at = stop
    return b"".join(parts)


def _length_s(video: str, trial_s: float | None) -> float:
    """A trial's length with its rest: long videos are cut, short ones shrunk into the last quarter below `trial_s`."""
    if video in LONG:
        return LONG_S if trial_s is None else 2 * BASELINE_S
    if trial_s is None:
        return STIMULUS_S[video] + BASELINE_S
    shortest, longest = min(STIMULUS_S.values()), max(STIMULUS_S.values())
    return trial_s * (0.75 + 0.25 * (STIMULUS_S[video] - shortest) / (longest - shortest))


def _ratings(trial: np.void, rng: np.random.Generator) -> np.ndarray:
    """The 12 self-assessments (1, 12): arousal, valence, three other scales 1 to 9, seven emotions 0 or 1."""
    scales, emotions = rng.uniform(1, 9, 3), rng.integers(0, 2, 7)
    return np.concatenate([[trial["arousal"], trial["valence"]], scales, emotions])[None]


def _external(samples: int, rng: np.random.Generator) -> np.ndarray:
    """External annotations (K, 3): segment, valence, arousal in -1 to 1; K as the release cuts such a length."""
    count = max(2, math.ceil((samples / RATE - BASELINE_S) / 20) + 1)
    return np.column_stack([np.arange(1, count + 1), np.tanh(0.4 * rng.standard_normal((count, 2)))])


@dataclass(frozen=True)
class _Body:
    """What makes one person's signals that person's: shapes and levels that no trial changes."""

    waves: np.ndarray  # (5, 3): P Q R S T, as delay (s), width (s), height
    leads: np.ndarray  # (2, 5): height factors of the waves in the right and left lead
    breath_hz: float
    breath_share: float  # by how much breathing modulates heart rate
    conductance: float  # in microsiemens
    slope: float  # of the EEG's 1/f spectrum
    alpha_hz: float
    alpha: np.ndarray  # (14,): log variance of alpha over the background's
    mixing: np.ndarray  # (14, 14): of background sources to electrodes
    size: np.ndarray  # (16,): of EEG (uV) and ECG (mV) channels

    @staticmethod
    def draw(rng: np.random.Generator) -> _Body:
        typical = np.array(
            [[-0.17, 0.025, 0.12], [-0.035, 0.01, -0.1], [0, 0.012, 1], [0.035, 0.012, -0.25], [0.25, 0.045, 0.3]]
        )
        return _Body(
            waves=typical * np.exp(0.15 * rng.standard_normal((5, 3)) * [0.5, 1, 2]),
            leads=np.exp(0.25 * rng.standard_normal((2, 5))),
            breath_hz=rng.uniform(0.2, 0.32),
            breath_share=rng.uniform(0.01, 0.05),
            conductance=rng.uniform(2, 12),
            slope=rng.uniform(0.7, 1.5),
            alpha_hz=rng.uniform(9, 11.5),
            alpha=0.5 * rng.standard_normal(14) + np.where(np.abs(_SIDE) > 0, -0.5, 0.3),
            mixing=np.eye(14) + 0.2 * rng.standard_normal((14, 14)),
            size=np.exp(0.3 * rng.standard_normal(16)) * np.repeat([8.0, 0.3], [14, 2]),
        )

    def trial(self, trial: np.void, resting: float, samples: int, rng: np.random.Generator) -> np.ndarray:
        """The 17 columns of a trial (samples, 17), at float32 precision."""
        time = np.arange(samples) / RATE
        artefact = np.exp(-time / 0.15) * (time < 1) * rng.integers(2)
        columns = np.empty((COLUMNS, samples))
        columns[:14] = self._eeg(float(trial["alpha_asymmetry"]), samples, rng)
        columns[14:16] = self._ecg(float(trial["heart_rate"]), resting, time, rng)
        columns[:16] += 0.1 * rng.standard_normal((16, 1))
        columns[:16] *= self.size[:, None]
        columns[14:16] += 3 * artefact
        level, gain = rng.standard_normal(), _gain(rng, 1)[0]  # before the responses, whose number takes more draws
        skin = 1 + 0.06 * (level + gain * self._skin(float(trial["scr_per_min"]), time, rng))
        columns[16] = 1e6 / (self.conductance * skin * (1 - 0.5 * artefact))  # in ohm: a resistance, as released
        return columns.T.astype(np.float32).astype(np.float64)

    def _eeg(self, asymmetry: float, samples: int, rng: np.random.Generator) -> np.ndarray:
        """(14, samples): 1/f background and alpha, whose share of a channel's variance carries the asymmetry."""
        length = fft.next_fast_len(samples, real=True)
        hz = np.fft.rfftfreq(length, 1 / RATE)
        band = (hz >= 4) & (hz <= 45)  # the release is filtered so
        background = np.where(band, np.maximum(hz, 1) ** (-self.slope / 2), 0)
        peak = band * np.exp(-0.5 * (hz - self.alpha_hz) ** 2)
        spectra = fft.rfft(rng.standard_normal((30, length)))
        noise = _unit(self.mixing @ fft.irfft(spectra[:14] * background, length)[:, :samples])
        alpha = fft.irfft(spectra[14:] * peak, length)[:, :samples]
        alpha = _unit(alpha[:14] + np.where(_LEFT[:, None], alpha[14], alpha[15]))
        level = self.alpha + 0.2 * rng.standard_normal() + 0.5 * asymmetry * _SIDE
        return _unit(noise + np.exp(level / 2)[:, None] * alpha) * _gain(rng, 14)

    def _ecg(self, rate: float, resting: float, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(2, samples): beats at the resting rate before the video, going over to the trial's rate within seconds."""
        onset = 1 - np.exp(-np.maximum(time - BASELINE_S, 0) / 2)
        swing = self.breath_share * np.sin(2 * np.pi * (self.breath_hz * time + rng.random()))
        swing += 0.02 * np.sin(2 * np.pi * (0.1 * time + rng.random()))
        hz = (resting + (rate - resting) * onset) / 60 * (1 + swing)
        phase = np.cumsum(hz) / RATE + rng.random()
        since_beat = (phase % 1 - 0.4) / hz  # seconds from the R wave, negative before it
        delay, width, height = self.waves.T[:, :, None]
        waves = height * np.exp(-0.5 * ((since_beat - delay) / width) ** 2)
        beats = _unit(self.leads @ waves + 0.03 * rng.standard_normal((2, len(time)))) * _gain(rng, 2)
        # Wander is apart from what is standardised: a high-pass filter then leaves the variance without information.
        return beats + 0.3 * np.sin(2 * np.pi * (0.15 * time + rng.random((2, 1))))

    def _skin(self, per_min: float, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(samples,): responses after the video's start, spread evenly with jitter, on a drifting level."""
        video_s = len(time) / RATE - BASELINE_S
        count = round(per_min * video_s / 60)
        at = BASELINE_S + (np.arange(count) + rng.uniform(0.1, 0.9, count)) * video_s / max(count, 1)
        train = np.zeros(len(time))
        np.add.at(train, (at * RATE).astype(int), np.exp(0.25 * rng.standard_normal(count)))
        after = np.arange(round(20 * RATE)) / RATE
        responses = fftconvolve(train, np.exp(-after / 3) - np.exp(-after / 0.7))[: len(time)]
        drift = 0.3 * rng.standard_normal() * time / time[-1] + 0.1 * np.sin(2 * np.pi * (0.02 * time + rng.random()))
        return _unit(responses + drift + 0.003 * rng.standard_normal(len(time)))


_SIDE = np.array([-1.0] * 4 + [0.0] * 6 + [1.0] * 4)  # frontal electrodes: left, none, right
_LEFT = np.arange(14) < 7


def _unit(x: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 in each row after the first second."""
    kept = x[..., SKIP:]
    return (x - kept.mean(axis=-1, keepdims=True)) / kept.std(axis=-1, keepdims=True)


def _gain(rng: np.random.Generator, rows: int) -> np.ndarray:
    return np.exp(0.1 * rng.standard_normal((rows, 1)))
