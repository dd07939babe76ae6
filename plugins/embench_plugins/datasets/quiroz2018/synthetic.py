"""Synthetic quiroz2018 files in the release's text format, including its quirks, with an effect of the induction on the
arm's swing.

Planted: the log of the swing's width is `RISE * effect` noise units higher after a happy induction than after a sad
one, and in between after a neutral one, plus noise of variance 1 in the mean of 10 s. Its true mean thus ranks one
subject's units by their label with an AUROC of .90 at effect 1, and .50 at effect 0. The width is the standard
deviation of all axes.

Not planted: step rates, rotation, heart rate, and the answers to the questionnaire.

Unlike real files: walks last as long as requested, whatever the speed, nobody slows down or warms up, and the six
conditions alternate.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from embench_plugins.datasets.quiroz2018.reader import MOODS, ORDERS, PEOPLE, RATE, STUDIES, TABLE, WALKS
from embench_plugins.datasets.synthetic.body import MEAN_SD, TAU_S, draw_smooth_noise
from embench_plugins.datasets.synthetic.generator import Generator

LENGTH_S, SHORTEST_S, LONGEST_S = 120.0, 20.0, 269.0
RISE = 1.81
STEP = 0.12
"""Size of a noise unit in the log of the swing's width. Subjects differ more."""

CONDITIONS = tuple(f"{study}-{order}" for order in ORDERS for study in ("Mo", "Mu", "Mw"))
BREAKS_S = {"Mo": 300, "Mu": 300, "Mw": 90}
"""Study -> typical time between two walks."""

# Quirks of the release.
SILENT = ("EW3", "EW6", "EW7")  # the strap recorded zeros
AHEAD = ("EW6", "EW7")  # the watch's clock is eight hours ahead
UNANSWERED = ("EW27",)
MISWRITTEN = {"EW35": "SNN"}
DAY_FIRST = ("EW2",)  # the questionnaire's date has no time
WALKLESS = {"EW1": "Mw-SNH"}  # one of six who answered only the questionnaire

SECONDS = np.dtype([
    ("person", "U4"), ("walk", "i8"), ("emotion", "i8"), ("start", "i8"), ("second", "i8"), ("swing", "f8"),
])  # fmt: skip
"""A row of `draw`: a second of a walk (0 to 2), its emotion (-1 sad, 0 neutral, 1 happy), the second of the session at
which the walk began, and the true log of the swing's width in noise units."""


def write_condition(person: str) -> str:
    """Return the study and the order of a subject's inductions, as the table writes them, such as `Mo-SNH`."""
    return CONDITIONS[PEOPLE.index(person) % len(CONDITIONS)]


def _draw_truth(person: str, seed: int, effect: float, length_s: float) -> np.ndarray:
    """Return the planted values of one subject: a row of `SECONDS` for each second of the three walks."""
    rng = np.random.default_rng([seed, PEOPLE.index(person), 0])
    study, order = write_condition(person).split("-")
    level, start, walks = rng.standard_normal(), 0, []
    for walk, emotion in enumerate(ORDERS[order]):
        rows = np.zeros(round(length_s * (1 if walk == 0 else rng.uniform(0.85, 1))), SECONDS)
        rows["person"], rows["walk"], rows["emotion"] = person, walk, emotion - 1
        rows["start"], rows["second"] = start, np.arange(len(rows))
        noise = draw_smooth_noise(rng, len(rows), 1.0, TAU_S) / MEAN_SD
        rows["swing"] = 3 * level + noise + RISE * effect * (emotion - 1) / 2
        start += len(rows) + round(BREAKS_S[study] * rng.uniform(0.8, 1.2))
        walks.append(rows)
    return np.concatenate(walks)


def _write(out: Path, people: list[np.ndarray], seed: int, _: float) -> None:
    """Write `walking_data/mo_ew2_accdata_21_10_139-1336.csv` and so on, `user_study_encoding.csv`, and `PANAS`."""
    (out / WALKS).mkdir()
    (out / MOODS[0]).parent.mkdir()
    table = ["PARTICIPANT ID,CONDITION,AGE,SEX,START W,END W,START W,END W,START W,END W"]
    columns = ",".join(["Timestamp", "ID", "Condition", *(f"{k}. Item" for k in range(1, 21))])
    moods: dict[Path, list[str]] = {path: [f"\ufeff{columns}"] for path in MOODS}
    for name, stated in WALKLESS.items():
        moods[MOODS[1]].append(f"21/10/16,{name.capitalize()},{stated}" + ",3" * 20)
    for rows in people:
        person = str(rows["person"][0])
        rng = np.random.default_rng([seed, PEOPLE.index(person), 1])
        day = datetime(2017, 1, 25, 9, tzinfo=UTC) + timedelta(
            days=PEOPLE.index(person), seconds=int(rng.integers(20_000))
        )
        begin = day + timedelta(hours=8 * (person in AHEAD))
        spans = [_draw_span(begin, rows[rows["walk"] == walk]) for walk in range(3)]
        _write_walks(out / WALKS, person, rows, spans, rng)
        times = ",".join(f"{moment:%H.%M.%S}" for span in spans for moment in span)
        table.append(
            f"{person},{write_condition(person)},{18 + PEOPLE.index(person) % 20},{'FM'[person in SILENT]},{times}"
        )
        if person not in UNANSWERED:
            sent = spans[-1][1] - begin + day + timedelta(seconds=40)
            when = f"{sent:%d/%m/%y}" if person in DAY_FIRST else f"{sent.month}/{sent.day}/{sent:%Y %H:%M:%S}"
            study, order = write_condition(person).split("-")
            answers = "".join(f",{value}" for value in rng.integers(1, 6, 20))
            stated = f"{study}-{MISWRITTEN.get(person, order)}"
            moods[MOODS[study == "Mw"]].append(f"{when},{person.capitalize()},{stated}{answers}")
    (out / TABLE).write_text("\n".join(table) + "\n", "utf-8")
    for path, lines in moods.items():
        legend = ["", "Condition", "Mo - Watch movie and then walk"]
        (out / path).write_text("\n".join([*lines, *legend]) + "\n", "utf-8")


def _draw_span(begin: datetime, rows: np.ndarray) -> tuple[datetime, datetime]:
    """Return start and end of a walk, from its `SECONDS`."""
    start = begin + timedelta(seconds=int(rows["start"][0]))
    return start, start + timedelta(seconds=len(rows))


def _write_walks(
    folder: Path, person: str, mine: np.ndarray, spans: list[tuple[datetime, datetime]], rng: np.random.Generator
) -> None:
    """Write the file of a subject's three walks."""
    study = write_condition(person)[:2].lower()
    steps_hz = rng.uniform(0.8, 1.0)
    shape = rng.uniform(0.5, 1.5, (6, 1)) * np.array([[1.0]] * 3 + [[50.0]] * 3)
    blocks = []
    for walk in range(3):
        rows = mine[mine["walk"] == walk]
        time = np.arange(round(len(rows) * RATE)) / RATE
        phase = 2 * np.pi * np.cumsum(steps_hz * np.exp(0.03 * draw_smooth_noise(rng, len(time), RATE, 10))) / RATE
        turns = np.array([1, 2, 2, 1, 1, 2])[:, None] * phase + rng.uniform(0, 2 * np.pi, (6, 1))
        data = shape * (np.sqrt(2) * np.sin(turns) + 0.3 * rng.standard_normal((6, len(time))))
        data[:3] *= np.exp(STEP * np.interp(time, rows["second"] + 0.5, rows["swing"]))
        pulse = 95 + 8 * draw_smooth_noise(rng, len(rows), 1.0, 30)
        pulse = np.zeros(len(rows)) if person in SILENT else pulse.round().clip(50, 170)
        heart_rate = pulse[np.minimum(time.astype(int), len(rows) - 1)]
        codes = np.full((2, len(time)), [[list(STUDIES).index(study)], [int(rows["emotion"][0])]])
        blocks.append(np.vstack([codes, data, heart_rate[None]]).T)
    first, last = spans[0][0] - timedelta(minutes=3), spans[-1][1] + timedelta(minutes=1)
    times = "-".join(f"{moment.hour}{moment.minute}" for moment in (first, last))  # without leading zeros
    name = f"{study}_{person.lower()}_accdata_{first.day}_{first.month}_{times}.csv"
    forms = ["%.1f", "%.1f", *["%.9g"] * 6, "%.1f"]
    np.savetxt(folder / name, np.concatenate(blocks), forms, ",", header="condition,emotion,data", encoding="utf-8")


GENERATOR = Generator(
    __name__, "quiroz2018", PEOPLE, LENGTH_S, (SHORTEST_S, LONGEST_S), "walks of {} s", _draw_truth, _write
)
synthesize, draw = GENERATOR.synthesize, GENERATOR.draw
