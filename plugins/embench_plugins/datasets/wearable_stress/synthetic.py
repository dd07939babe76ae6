"""Synthetic files of the wearable device dataset: the stress sessions, and the aerobic sessions beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from embench_plugins.datasets.devices.e4 import FILES
from embench_plugins.datasets.synthetic import body
from embench_plugins.datasets.synthetic.generator import Generator
from embench_plugins.datasets.wearable_stress import reader
from embench_plugins.datasets.wearable_stress.reader import (
    COVERED,
    ENDED_EARLY,
    EXERCISE_PEOPLE,
    EXERCISE_SESSIONS,
    PEOPLE,
    PRESSES,
    PROTOCOLS,
    REPEATED,
)

# Synthetic files of the wearable device dataset's stress sessions: the release's text format, both protocols, and the
# known faults of three subjects.
#
# Planted: stages in the order of the subject's protocol, with an effect of stress on heart rate and EDA as in
# `draw_responses`; ratings that are higher after stress tasks by `RISE` on average, whatever the effect.
#
# Unlike real files: the longest session lasts `SESSION_S` by default (real ones 24 to 77 minutes; those of the second
# protocol are twice as long as those of the first), and there are no sessions on a bicycle.

ORDER = tuple(person for pair in zip(PEOPLE[:18], PEOPLE[18:], strict=True) for person in pair)
"""Order of subjects in small sets: two subjects have both protocols."""

SESSION_S = 1600.0
LIMITS_S = (60.0, 5400.0)
TYPICAL = {
    "S": (170, 185, 115, 105, 330, 145, 310, 32, 37, 31, 34, 32, 36, 40),
    "f": (600, 105, 310, 890, 38, 30, 36, 840, 36, 400),
}
"""First letter of a subject's id -> seconds before the first press of the button, between presses, and after the last.
They are scaled to the requested length."""

WHOLE_S = (REPEATED["S02"]["eda"] - 3) // 4
"""Seconds after which S02's files repeat their samples."""

BROKEN = "f14"
BREAK_S = 20
"""Seconds without a connection in the session of `BROKEN`, from 5 s after the first press."""

RISE = 2.5
NO_STAGE = -1
SECONDS = np.dtype([("person", "U3"), ("second", "i8"), ("stage", "i8"), ("heart_rate", "f8"), ("scr_per_min", "f8")])
"""A row of `draw`: a second of a subject's session, from 0, its stage by position in the protocol, and the true rates
in beats and responses a minute."""


def write(out: Path, people: list[np.ndarray], seed: int, length_s: float) -> None:
    """Write `Wearable_Dataset/STRESS/S01/BVP.csv` and so on, the ratings and the table of subjects."""
    for rows in people:
        _write_person(out / reader.SESSIONS, rows, draw_presses(str(rows["person"][0]), seed, length_s), seed)
    for group, protocol in PROTOCOLS.items():  # both tables hold everybody, as in the release
        names = [stage.name for stage in protocol.stages]
        table = [["", *names]]
        for person in PEOPLE:
            if person[0] == group:
                ratings = draw_ratings(person, seed)
                table.append([person, *(f"{ratings[name]:.2f}" for name in names)])
        (out / protocol.ratings).write_text("".join(",".join(row) + "\n" for row in table), "utf-8")
    infos = [f"{person},{'m' if person[0] == 'S' else 'f'},{20 + number % 5},Yes\n"
              for number, person in enumerate(PEOPLE)]  # fmt: skip
    notes = ["References:,,,\n", "m:male,,,\n"]
    (out / reader.INFO).write_text("Info ,Gender,Age,Stress Inducement\n" + "".join([*infos, *notes]), "utf-8")


def draw_presses(person: str, seed: int, length_s: float = SESSION_S) -> np.ndarray:
    """Return (n,) whole seconds of the session: those at which the button was pressed, then the session's end."""
    rng = np.random.default_rng([seed, PEOPLE.index(person), 0])
    typical = np.array(TYPICAL[person[0]])
    # Lengths differ between subjects, since metrics compare subjects with different labels at the same time.
    lengths = typical * rng.uniform(0.7, 1.3, len(typical))
    session = round(length_s * (1 if person in ORDER[:2] else rng.uniform(0.93, 1)))
    if person in REPEATED:
        session = min(session, WHOLE_S)
    borders = np.round(np.cumsum(lengths) / lengths.sum() * session).astype(int)
    rising = np.arange(len(borders))
    borders = np.maximum.accumulate(borders - rising) + rising
    return borders - max(0, borders[-1] - session)


def draw_ratings(person: str, seed: int) -> dict[str, float]:
    """Return stage -> the subject's rating, 0 to 10 in halves."""
    rng = np.random.default_rng([seed, PEOPLE.index(person), 2])
    stages = PROTOCOLS[person[0]].stages
    felt = rng.uniform(1, 5) + RISE * np.array([stage.stress for stage in stages]) + rng.standard_normal(len(stages))
    return {stage.name: float(np.clip(round(2 * value) / 2, 0, 10)) for stage, value in zip(stages, felt, strict=True)}


def find_stress(mine: np.ndarray) -> np.ndarray:
    """Return the state (n,) in each of a subject's seconds: 1 in a stress task, 0 at rest, -1 in no stage."""
    kinds = np.array([*(stage.stress for stage in PROTOCOLS[str(mine["person"][0])[0]].stages), NO_STAGE], int)
    return kinds[mine["stage"]]


def draw_truth(person: str, seed: int, effect: float, length_s: float) -> np.ndarray:
    """Return the planted values of one subject's session: a row of `SECONDS` for each second."""
    presses = draw_presses(person, seed, length_s)
    rng = np.random.default_rng([seed, PEOPLE.index(person), 3])
    rows = np.zeros(presses[-1], SECONDS)
    rows["person"], rows["second"], rows["stage"] = person, np.arange(presses[-1]), NO_STAGE
    for number, stage in enumerate(PROTOCOLS[person[0]].stages):
        begin = presses[stage.closes] - reader.BEFORE_S if stage.opens is None else presses[stage.opens]
        rows["stage"][(rows["second"] >= begin) & (rows["second"] < presses[stage.closes])] = number
    rows["heart_rate"], rows["scr_per_min"] = body.draw_responses(rng, find_stress(rows) == 1, effect)
    return rows


def _write_person(place: Path, truth: np.ndarray, pressed: np.ndarray, seed: int) -> None:
    """Write one subject's folder; two if the connection broke."""
    person, pressed = str(truth["person"][0]), pressed[:-1]
    rng = np.random.default_rng([seed, PEOPLE.index(person), 1])
    start = datetime(2013, 2, 23, 9, tzinfo=UTC) + timedelta(days=PEOPLE.index(person), seconds=int(rng.integers(3600)))
    device = body.record_wristband(truth["heart_rate"], truth["scr_per_min"], rng)
    if person in REPEATED:
        device = body.repeat_samples(device, REPEATED[person])
    if person in COVERED:
        device = body.cover_sensors(device, rng)
    if person == BROKEN:
        first = int(pressed[0]) + 5
        write_broken(place / person, device, start, pressed, first, first + BREAK_S, len(truth))
    else:
        write_session(place / person, device, start, pressed)


def write_broken(
    folder: Path, device: body.Wristband, start: datetime, pressed: np.ndarray, first: int, again: int, end: int
) -> None:
    """Write the two folders of a session of `end` seconds that broke from second `first` to second `again`."""
    write_session(folder.with_name(f"{folder.name}_a"), device.cut(0, first), start, pressed[pressed < first])
    after, later = np.maximum(pressed[pressed >= first], again) - again, start + timedelta(seconds=again)
    write_session(folder.with_name(f"{folder.name}_b"), device.cut(again, end), later, after)


def write_session(folder: Path, device: body.Wristband, start: datetime, pressed: np.ndarray) -> None:
    """Write one session's files, as pandas writes them: carriage returns, dates, the shortest text of a number."""
    folder.mkdir(parents=True)

    def date(seconds: float) -> str:
        return f"{start + timedelta(seconds=float(seconds)):%Y-%m-%d %H:%M:%S}"

    signals = {"ppg": device.ppg.round(2), "eda": device.eda.round(6), "temp": device.temperature.round(2),
               "acc": device.acceleration.T}  # fmt: skip
    for modality, rate in (("ppg", "64.0"), ("eda", "4.0"), ("temp", "4.0"), ("acc", "32.0")):
        body.write_e4(folder / FILES[modality], date(0), rate, signals[modality], "%s", end="\r\n")
    body.write_e4(folder / "HR.csv", date(body.FIRST_RATE_S), "1.0", device.rates, "%s", end="\r\n")
    rows = [f"{date(0)},{date(0)}", *(f"{round(t, 6)},{gap:.6f}" for t, gap in device.beats.tolist())]
    (folder / "IBI.csv").write_text("".join(f"{row}\r\n" for row in rows), "utf-8", newline="")
    (folder / "tags.csv").write_text("".join(f"{date(press)}\r\n" for press in pressed), "utf-8", newline="")


GENERATOR = Generator(__name__, "wearable_stress", ORDER, SESSION_S, LIMITS_S, "sessions of {} s", draw_truth, write)
synthesize, draw = GENERATOR.synthesize, GENERATOR.draw


# Synthetic aerobic sessions, with the stress sessions of the same subjects as `synthesize` writes them.
#
# Planted: an effect of exercise, from the first press of the button to the last, on heart rate and EDA, as that of
# stress in `draw_responses`.
#
# Unlike real files: nobody moves or sweats more on the bicycle, or warms up gradually. Effects are no larger than those
# of stress, and sessions last as long as requested (real ones 29 to 51 minutes).

EXERCISE_ORDER = tuple(person for person in ORDER if person in EXERCISE_PEOPLE)
"""Order of subjects in small sets: two subjects have both stages of the study."""
EXERCISE_BROKEN, EXERCISE_BREAK_S = "S11", 8
"""Subject whose connection broke 5 s before the second to last press, and for how many seconds."""
EXERCISE_SECONDS = np.dtype(
    [("person", "U3"), ("second", "i8"), ("exercise", "i8"), ("heart_rate", "f8"), ("scr_per_min", "f8")]
)
"""A row of `draw_exercise`: a second of a subject's session, from 0; 1 between the first press and the last, else 0;
and the true rates in beats and responses a minute."""


def draw_exercise_presses(person: str, seed: int, length_s: float) -> np.ndarray:
    """Return (n,) whole seconds of the session: those at which the button was pressed, then the session's end."""
    rng = np.random.default_rng([seed, EXERCISE_PEOPLE.index(person), 4])
    count = PRESSES[person[0]]
    # Rest before and after takes three tenths each, exercise four tenths.
    lengths = np.array([0.3, *[0.4 / (count - 1)] * (count - 1), 0.3]) * rng.uniform(0.7, 1.3, count + 1)
    presses = np.round(np.cumsum(lengths) / lengths.sum() * round(length_s * rng.uniform(0.93, 1))).astype(int)
    return np.delete(presses, [count - 3, count - 2]) if person in ENDED_EARLY else presses


def _draw_exercise_truth(person: str, seed: int, effect: float, length_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the planted values of a subject's aerobic session, and of the stress session."""
    presses = draw_exercise_presses(person, seed, length_s)
    rows = np.zeros(presses[-1], EXERCISE_SECONDS)
    rows["person"], rows["second"] = person, np.arange(presses[-1])
    rows["exercise"] = (rows["second"] >= presses[0]) & (rows["second"] < presses[-2])
    rng = np.random.default_rng([seed, EXERCISE_PEOPLE.index(person), 5])
    rows["heart_rate"], rows["scr_per_min"] = body.draw_responses(rng, rows["exercise"], effect)
    return rows, draw_truth(person, seed, effect, length_s)


def _write_exercise(out: Path, people: list[tuple[np.ndarray, np.ndarray]], seed: int, length_s: float) -> None:
    """Write `Wearable_Dataset/AEROBIC/S01/BVP.csv` and so on, and the files of `synthesize`."""
    for truth, _ in people:
        _write_exercise_person(
            out / EXERCISE_SESSIONS, truth, draw_exercise_presses(str(truth["person"][0]), seed, length_s)[:-1], seed
        )
    write(out, [stress for _, stress in people], seed, length_s)


def _write_exercise_person(place: Path, truth: np.ndarray, pressed: np.ndarray, seed: int) -> None:
    """Write one subject's folder; two if the connection broke."""
    person = str(truth["person"][0])
    rng = np.random.default_rng([seed, EXERCISE_PEOPLE.index(person), 6])
    start = datetime(2013, 6, 23, 9, tzinfo=UTC) + timedelta(
        days=EXERCISE_PEOPLE.index(person), seconds=int(rng.integers(3600))
    )
    device = body.record_wristband(truth["heart_rate"], truth["scr_per_min"], rng)
    if person == EXERCISE_BROKEN:
        first = int(pressed[-2]) - 5
        write_broken(place / person, device, start, pressed, first, first + EXERCISE_BREAK_S, len(truth))
    else:
        write_session(place / person, device, start, pressed)


EXERCISE = Generator(
    __name__, "wearable_stress", EXERCISE_ORDER, SESSION_S, LIMITS_S, "sessions of {} s", _draw_exercise_truth,
    _write_exercise,
)  # fmt: skip
synthesize_exercise = EXERCISE.synthesize


def draw_exercise(subjects: int, seed: int, effect: float, length_s: float | None = None) -> np.ndarray:
    """Return the planted values of the aerobic sessions of all subjects, without files: (n,) rows of
    `EXERCISE_SECONDS`. Raises UsageError as `synthesize` does."""
    return np.concatenate([truth for truth, _ in EXERCISE.truths(subjects, seed, effect, length_s)])
