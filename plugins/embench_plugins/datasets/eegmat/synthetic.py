"""Synthetic eegmat files: EDF+ with the release's channels and headers, and an effect of the task on the EEG.

Planted: the frontal asymmetry of alpha (log power, right over left) is `RISE * effect` higher during subtraction, plus
noise of variance 1 in the mean of 10 s. Its true mean thus ranks one subject's units by their label with an AUROC of
.90 at effect 1, and .50 at effect 0. Rest and task are parts of one session.

Not planted: mean and variance of channels, the ECG, and the channel between the ears.

Unlike real files, these have no artefacts, and the ECG has an even rate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embench_plugins.datasets.eegmat.reader import CLASSES, EARS, ELECTRODES, HEART, INFO, PEOPLE, RATE
from embench_plugins.datasets.synthetic import writers
from embench_plugins.datasets.synthetic.body import MEAN_SD, TAU_S, Body, Brain, draw_smooth_noise
from embench_plugins.datasets.synthetic.generator import Generator

LENGTH_S, SHORTEST_S = 182.0, 30.0
TASK_SHARE = 62 / 182  # length of the task's file relative to the rest's
BREAK_S = 30
RISE = 1.81
NOTES = 57  # samples per record of the channel of annotations
SECONDS = np.dtype([("person", "i8"), ("task", "i8"), ("second", "i8"), ("asymmetry", "f8")])
"""A row of `draw`: a second of a file (task 0: rest, 1: subtraction), and the true asymmetry of alpha."""


def _write(out: Path, people: list[np.ndarray], seed: int, _: float) -> None:
    """Write `Subject00_1.edf`, `Subject00_2.edf` and so on, and the table of subjects."""
    info = ["Subject,Age,Gender,Recording year,Number of subtractions,Count quality"]
    for number, rows in enumerate(people):
        for task, data in enumerate(make_signals(rows, seed)):
            _write_recording(out / f"{PEOPLE[number]}_{task + 1}.edf", number, data)
        info.append(f"{PEOPLE[number]},{17 + number % 9},{'FM'[number % 4 == 3]},2011,{10 + number % 20},1")
    (out / INFO).write_text("\n".join(info) + "\n", "utf-8")


def make_signals(mine: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return the data of a subject's two files, each (21, samples), from that subject's `SECONDS`. Rows are 19
    electrodes and the channel between the ears in µV, and the ECG in mV."""
    rng = np.random.default_rng([seed, int(mine["person"][0]), 1])
    files = [mine[mine["task"] == task] for task in range(len(CLASSES))]
    rest_s, task_s = map(len, files)
    session = rest_s + BREAK_S + task_s
    seconds = np.concatenate([np.arange(rest_s), np.arange(rest_s + BREAK_S, session)])
    samples, time = round(session * RATE), np.arange(session * RATE) / RATE
    asymmetry = np.interp(time, seconds + 0.5, mine["asymmetry"])
    brain, body = Brain.draw(rng, tuple(ELECTRODES)), Body.draw(rng)
    eeg = 10 * brain.draw_eeg(asymmetry, samples, RATE, rng, band=(0.5, 45))
    ears = 8 * draw_smooth_noise(rng, samples, RATE, 0.05)
    breath = body.draw_breath_phase(samples, RATE, rng)
    heart = body.draw_ecg(body.draw_heart_phase(np.full(samples, rng.uniform(60, 90)), breath, RATE, rng), RATE, rng)
    whole = np.concatenate([eeg, ears[None], heart[None]])
    spans = ((0, rest_s), (rest_s + BREAK_S, task_s))
    return [whole[:, round(start * RATE) : round((start + length) * RATE)] for start, length in spans]


def _draw_truth(number: int, seed: int, effect: float, length_s: float) -> np.ndarray:
    """Return the planted values of one subject: a row of `SECONDS` for each second of both files."""
    rng = np.random.default_rng([seed, number, 0])
    rest_s = int(length_s)
    task_s = round(rest_s * TASK_SHARE)
    noise = draw_smooth_noise(rng, rest_s + BREAK_S + task_s, 1.0, TAU_S) / MEAN_SD
    rows = np.zeros(rest_s + task_s, SECONDS)
    rows["person"], rows["task"] = number, np.arange(len(rows)) >= rest_s
    rows["second"] = np.where(rows["task"] == 1, np.arange(len(rows)) - rest_s, np.arange(len(rows)))
    outside_break = np.concatenate([noise[:rest_s], noise[rest_s + BREAK_S :]])
    rows["asymmetry"] = rng.standard_normal() + outside_break + RISE * effect * (rows["task"] - 0.5)
    return rows


def _write_recording(path: Path, number: int, data: np.ndarray) -> None:
    """Write an EDF+ file whose only annotations are the times of its records."""
    units = {**dict.fromkeys((*ELECTRODES.values(), EARS), "uV"), HEART: "mV"}
    times = [f"+{k}\x14\x14" for k in range(data.shape[1] // int(RATE))]
    writers.write_edf_plus(
        path, units, data, int(RATE), times, NOTES, start="01.01.1100.00.00", digits=5,
        person=f"{number} X 01-JAN-1990 Subject{number}", recording=f"Startdate 01-JAN-2011 {number} X X",
        filters="HP:0.500000Hz LP:45.000000Hz RF:50Hz",
    )  # fmt: skip


GENERATOR = Generator(
    __name__, "eegmat", range(len(PEOPLE)), LENGTH_S, (SHORTEST_S, 190), "{} s of rest", _draw_truth, _write
)
synthesize, draw = GENERATOR.synthesize, GENERATOR.draw
