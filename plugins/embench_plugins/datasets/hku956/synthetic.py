"""Synthetic HKU956 files in the release's text format, including its quirks, with songs that each subject chose.

Planted. Each rating has a latent value. Heart rate follows that of arousal, and skin conductance responses per minute
that of valence, each with a correlation of `RHO * effect` within a subject. The true rates thus rank one subject's
songs by their label with an AUROC of .90 at effect 1, and .50 at effect 0.

Unlike real files: songs last up to `LONGEST_S` by default (real ones 27 to 329 s), ratings do not depend on the song,
and addresses of songs are invalid.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.stats import norm

from embench_plugins.datasets.hku956.reader import COLUMNS, FOLDERS, PEOPLE, PERSONALITY, RATINGS, SIGNS
from embench_plugins.datasets.synthetic import body
from embench_plugins.datasets.synthetic.body import plant_response, spread_values
from embench_plugins.datasets.synthetic.generator import Generator

LONGEST_S = 60.0
SHORTEST_S = 12.0
RHO = 0.827  # as in the DEAP generator
SHARED = 30
"""Number of songs that several subjects hear. Almost half of a subject's songs are among them."""

NEUTRAL = 0.025  # proportion of ratings that are 0
FLAT = 10  # one in this many subjects has almost no skin conductance
SONGS = np.dtype([
    ("person", "U7"), ("position", "i8"), ("song", "i8"), ("valence", "f8"), ("arousal", "f8"), ("played_s", "i8"),
    ("heart_rate", "f8"), ("scr_per_min", "f8"),
])  # fmt: skip
"""A row of `draw`, for a song that a subject heard: its ratings, the seconds that it was played, and the true rates in
beats and skin conductance responses a minute."""


def _write(out: Path, people: list[np.ndarray], seed: int, _: float) -> None:
    """Write `1. physiological_signals/hku1903/BVP/0_262957.csv` and so on, and the three tables."""
    for person, songs in zip(PEOPLE, people, strict=False):
        _write_person(out / "1. physiological_signals" / person, songs, seed)
    rows = np.concatenate(people)
    mixed = rows[np.random.default_rng([seed, 1]).permutation(len(rows))]  # as released, in no order
    lines = [",".join(COLUMNS)]
    for row in mixed:
        cells = [f"{row[axis]:g},{SIGNS[int(np.sign(row[axis]))]}" for axis in ("valence", "arousal")]
        lines.append(f"{row['person']},{row['position']},{row['song']},{cells[0]},{cells[1]},{row['played_s']}")
    _write_text(out / RATINGS, lines)
    links = [f"{song},http://songs.invalid/{song}.mp3" for song in sorted(set(rows["song"].tolist()))]
    _write_text(out / "2. original_song_audio.csv", ["song_id,link", *links])
    _write_text(out / PERSONALITY, ["participant_id,Extroversion_score", *(f"{person},4" for person in PEOPLE)])


def _draw_truth(number: int, seed: int, effect: float, longest_s: float) -> np.ndarray:
    """Return the planted values of one subject: a row of `SONGS` for each song."""
    rng = np.random.default_rng([seed, number, 0])
    count = int(rng.integers(20, 37))
    rows = np.zeros(count, SONGS)
    rows["person"], rows["position"] = PEOPLE[number], np.arange(count)
    own_songs = 100_000 + 1000 * number + rng.permutation(1000)[:count]
    rows["song"] = np.where(rng.random(count) < 0.45, 50_000 + rng.integers(SHARED, size=count), own_songs)
    rows["played_s"] = np.round(rng.uniform(max(10.0, 0.45 * longest_s), longest_s, count))
    response = {}
    for axis in ("valence", "arousal"):
        latent = norm.ppf(spread_values(rng, count))
        response[axis] = plant_response(latent, rng.standard_normal(count), RHO * effect)
        rating = np.round(20 * norm.cdf(latent + rng.uniform(-0.3, 0.5)) - 10, 1)
        rows[axis] = np.where(rng.random(count) < NEUTRAL, 0.0, rating)
    # Standard deviations: heart rate 10 between subjects, 4 within; log rate of skin responses .33, .3.
    rows["heart_rate"] = rng.uniform(58, 92) + 4 * response["arousal"]
    rows["scr_per_min"] = np.exp(rng.uniform(np.log(5), np.log(15)) + 0.3 * response["valence"])
    return rows


def _write_person(folder: Path, songs: np.ndarray, seed: int) -> None:
    """Write one subject's folder: a session of all songs, cut into a file for each song."""
    number = PEOPLE.index(str(songs["person"][0]))
    rng = np.random.default_rng([seed, number, 2])
    lengths = songs["played_s"]
    pauses = rng.integers(8, 25, len(songs)) + body.FIRST_RATE_S * (np.arange(len(songs)) == 0)
    begins = np.cumsum(pauses + lengths) - lengths
    song_in_second = np.searchsorted(begins, np.arange(begins[-1] + lengths[-1] + 5), side="right") - 1
    device = body.record_wristband(songs["heart_rate"][song_in_second], songs["scr_per_min"][song_in_second], rng)
    scale = 0.005 if number % FLAT == FLAT // 2 else 1.0
    for row, begin, length in zip(songs, begins.tolist(), lengths.tolist(), strict=True):
        song = device.cut(begin, begin + length)
        rates = device.rates[begin - body.FIRST_RATE_S : begin - body.FIRST_RATE_S + length]
        signals = {"ppg": song.ppg.round(2), "eda": (scale * song.eda).round(6), "temp": song.temperature.round(2),
                   "hr": rates}  # fmt: skip
        name = f"{row['position']}_{row['song']}.csv"
        for modality, values in signals.items():
            _write_text(folder / FOLDERS[modality] / name, map(str, values.tolist()))
        _write_text(folder / "IBI" / name, map(str, song.beats[:, 1].round(6).tolist()))


def _write_text(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="")


GENERATOR = Generator(
    __name__, "hku956", range(len(PEOPLE)), LONGEST_S, (SHORTEST_S, 329), "songs of {} s", _draw_truth, _write
)
synthesize, draw = GENERATOR.synthesize, GENERATOR.draw
