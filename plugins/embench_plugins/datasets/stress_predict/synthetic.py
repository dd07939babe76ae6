"""Synthetic Stress-Predict files in the release's text format, including its quirks, with an effect of stress on the
heart.

Planted: three tasks (colour words, interview, hyperventilation) between rests, in this order for all subjects as in the
release, at times that differ between subjects. Under stress, heart rate and skin conductance responses rise as in
`draw_responses`.

Unlike real files: sessions last `SESSION_S` by default (real ones 50 to 60 minutes), and two spreadsheets that are not
read are missing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embench_plugins.datasets.devices.e4 import FILES
from embench_plugins.datasets.stress_predict.reader import LABELS
from embench_plugins.datasets.synthetic import body
from embench_plugins.datasets.synthetic.body import draw_smooth_noise
from embench_plugins.datasets.synthetic.generator import Generator

PEOPLE = 35
SESSION_S = 720.0
SHORTEST_S = 60.0

PHASES = (("rest", 620), ("stress", 370), ("rest", 300), ("stress", 640), ("rest", 310), ("stress", 125), ("rest", 950))
"""Phases of a session, with typical seconds of the release, which are scaled to the requested length."""

# Quirks of the release, of the same subjects; S06 also has that of S18.
UNLABELLED = (1,)
FIRST_LABEL_S = 9
PRESS_LOST = (6,)
PRESSES_OF_ANOTHER_DAY = (17,)
CARRIAGE_RETURN = (2, 5)  # tags with carriage returns, in whole seconds

SECONDS = np.dtype([("person", "i8"), ("second", "i8"), ("stress", "i8"), ("heart_rate", "f8"), ("scr_per_min", "f8")])
"""A row of `draw`: a second of a subject's session, from 0, with the true rates in beats and responses a minute."""


def _write(out: Path, people: list[np.ndarray], seed: int, _: float) -> None:
    """Write `Raw_data/S01/BVP.csv` and so on, and `Processed_data` with the labels."""
    (out / LABELS).parent.mkdir()
    with (out / LABELS).open("w", encoding="utf-8", newline="") as table:
        table.write("Participant,HR,respr,Time(sec),Label\r\n")
        for person, rows in enumerate(people, 1):
            table.writelines(_write_person(out / "Raw_data" / f"S{person:02d}", rows, seed))


def _draw_truth(person: int, seed: int, effect: float, longest_s: float) -> np.ndarray:
    """Return the planted values of one subject: a row of `SECONDS` for each second."""
    rng = np.random.default_rng([seed, person, 0])
    # Lengths differ between subjects, since metrics compare subjects with different labels at the same time.
    lengths = np.array([typical for _, typical in PHASES]) * rng.uniform(0.7, 1.3, len(PHASES))
    session = round(longest_s * (1 if person == 1 else rng.uniform(0.93, 1)))
    borders = np.round(np.cumsum(lengths) / lengths.sum() * session).astype(int)
    rows = np.zeros(session, SECONDS)
    rows["person"], rows["second"] = person, np.arange(session)
    phase = np.searchsorted(borders, rows["second"], side="right")
    rows["stress"] = np.array([name == "stress" for name, _ in PHASES])[phase]
    rows["heart_rate"], rows["scr_per_min"] = body.draw_responses(rng, rows["stress"], effect)
    return rows


def _write_person(folder: Path, truth: np.ndarray, seed: int) -> list[str]:
    """Write one subject's files, and return the subject's rows of the label csv."""
    person, session = int(truth["person"][0]), len(truth)
    rng = np.random.default_rng([seed, person, 1])
    start = 1_644_200_000 + 86_400 * person + int(rng.integers(3600))
    folder.mkdir(parents=True)
    device = body.record_wristband(truth["heart_rate"], truth["scr_per_min"], rng)
    body.write_e4(folder / FILES["ppg"], f"{start}.00", "64.000000", device.ppg, "%.2f", gap=", ")
    body.write_e4(folder / FILES["eda"], f"{start}.000000", "4.000000", device.eda, "%.6f", gap=", ")
    body.write_e4(folder / FILES["temp"], f"{start}.000000", "4.000000", device.temperature, "%.2f", gap=", ")
    body.write_e4(folder / FILES["acc"], f"{start}.000000", "32.000000", device.acceleration.T, "%d", gap=", ")
    rows = "\n".join(f"{t:.6f},{gap:.6f}" for t, gap in device.beats)
    (folder / "IBI.csv").write_text(f"{start}.000000, IBI\n{rows}\n", "utf-8")
    body.write_e4(folder / "HR.csv", f"{start + body.FIRST_RATE_S}.000000", "1.000000", device.rates, "%.2f")
    _write_presses(folder / f"tags_{folder.name}.csv", person, truth, start)
    breaths = rng.uniform(11, 15) + 0.5 * draw_smooth_noise(rng, session, 1, 60)
    if person in UNLABELLED:
        return []
    # The label csv holds the rates of HR.csv one second early.
    shown = [f"{rate:g}" for rate in device.rates] + [""] * session  # the last seconds have no heart rate
    return [
        f"{person},{shown[second - FIRST_LABEL_S]},{breaths[second]:.7f},{start + second},{truth['stress'][second]}\r\n"
        for second in range(FIRST_LABEL_S, session)
    ]


def _write_presses(path: Path, person: int, truth: np.ndarray, start: int) -> None:
    """Write the button presses at the borders of tasks, and one more after the last."""
    changes = np.flatnonzero(np.diff(truth["stress"])) + 1
    presses = start + np.append(changes, (changes[-1] + len(truth)) // 2)
    if person in PRESS_LOST:
        presses = presses[1:]
    if person in PRESSES_OF_ANOTHER_DAY:
        presses[3] -= 43_200
    end = "\r\n" if person in CARRIAGE_RETURN else "\n"
    form = "{:d}" if person in CARRIAGE_RETURN else "{:d}.00"
    path.write_text("".join(form.format(press) + end for press in presses.tolist()), "utf-8", newline="")


GENERATOR = Generator(
    __name__, "stress_predict", range(1, PEOPLE + 1), SESSION_S, (SHORTEST_S, 3600), "sessions of {} s",
    _draw_truth, _write,
)  # fmt: skip
synthesize, draw = GENERATOR.synthesize, GENERATOR.draw
