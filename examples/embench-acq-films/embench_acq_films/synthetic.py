"""Synthetic files in the layout of `acq_films`: beats are faster, and responses of the skin more, in arousing films."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from embench_acq_films.acq_films import CHANNELS, COLUMNS, MARKER, RATE

FILMS, FILM_S, PAUSE_S = 8, 20.0, 4.0


def synthesize(out: Path, *, subjects: int, seed: int, effect: float) -> None:
    """Writes `acq/P01.txt` and so on, and `trials.csv`; the same arguments give the same bytes."""
    (out / "acq").mkdir(parents=True, exist_ok=True)
    rows = [",".join(COLUMNS)]
    for person in range(1, subjects + 1):
        random, name = np.random.default_rng([seed, person]), f"P{person:02d}"
        arousal, valence = random.integers(1, 10, (2, FILMS))
        rows += [
            f"{name},{trial + 1},film{film + 1},{arousal[trial]},{valence[trial]}"
            for trial, film in enumerate(random.permutation(FILMS))
        ]
        (out / "acq" / f"{name}.txt").write_text(_text(name, _channels(random, arousal, effect)), encoding="utf-8")
    (out / "trials.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    made = {"seed": seed, "subjects": subjects, "effect": effect}
    (out / "EMBENCH_SYNTHETIC.json").write_text(json.dumps(made), encoding="utf-8")


def _channels(random: np.random.Generator, arousal: np.ndarray, effect: float) -> np.ndarray:
    """(n, 3): ECG, skin conductance and marker of a session, each film after a pause."""
    pause, film = round(PAUSE_S * RATE), round(FILM_S * RATE)
    high = np.repeat(np.tile([0.0, 1.0], FILMS) * np.repeat(arousal > 5, 2), np.tile([pause, film], FILMS))
    marker = np.repeat(np.tile([0.0, 5.0], FILMS), np.tile([pause, film], FILMS))
    phase = np.cumsum((1.1 + 0.25 * effect * high + 0.05 * random.standard_normal()) / RATE)
    ecg = np.exp(-(((phase % 1 - 0.5) / 0.015) ** 2)) + 0.03 * random.standard_normal(len(phase))
    responses = random.random(len(high)) < (0.05 + 0.15 * effect * high) / RATE
    shape = np.exp(-np.arange(8 * RATE) / (2 * RATE)) - np.exp(-np.arange(8 * RATE) / (0.7 * RATE))
    eda = random.uniform(2, 8) + np.convolve(responses, shape)[: len(high)] + 0.01 * random.standard_normal(len(high))
    return np.stack([ecg, eda, marker], 1)


def _text(name: str, channels: np.ndarray) -> str:
    header = [*CHANNELS.values(), (MARKER, "Volts")]
    lines = [f"{name}.acq", f"{1000 / RATE:g} msec/sample", f"{len(header)} channels"]
    lines += [line for channel in header for line in channel]
    lines += ["min,CH1,CH2,CH28,", f",{len(channels)},{len(channels)},{len(channels)},"]
    minutes = np.arange(len(channels)) / RATE / 60
    lines += [f"{t:.6f},{a:.4f},{b:.4f},{c:g}," for t, (a, b, c) in zip(minutes, channels, strict=True)]
    return "\n".join(lines) + "\n"
