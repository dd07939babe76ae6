"""Synthetic files of the wearable device dataset's stress sessions: the released text format, both protocols, and the
known faults of three subjects.

What is planted: stages in the order of the subject's protocol, with an effect of stress on the heart and the skin as
`e4` says; ratings that are higher after stress tasks by `RISE` in the mean, whatever the effect. Of one subject, each
stage has one rating.

What is not as in real files: the longest session lasts `SESSION_S` unless another length is asked for (real ones 24 to
77 minutes; those of the second protocol are twice as long as those of the first), and the sessions on a bicycle are
excluded.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from embench_plugins.datasets.devices.e4 import FILES
from embench_plugins.datasets.synthetic import e4
from embench_plugins.datasets.synthetic.generator import Generator
from embench_plugins.datasets.wearable_stress import layout
from embench_plugins.datasets.wearable_stress.layout import COVERED, PEOPLE, PROTOCOLS, REPEATED

ORDER = tuple(person for pair in zip(PEOPLE[:18], PEOPLE[18:], strict=True) for person in pair)
"""Who is there first: both protocols, where two subjects are asked for."""

SESSION_S = 1600.0
LIMITS_S = (60.0, 5400.0)
TYPICAL = {
    "S": (170, 185, 115, 105, 330, 145, 310, 32, 37, 31, 34, 32, 36, 40),
    "f": (600, 105, 310, 890, 38, 30, 36, 840, 36, 400),
}
"""Seconds before the first press of the button, between presses, and after the last; scaled to the length asked
for."""

WHOLE_S = (REPEATED["S02"]["eda"] - 3) // 4
"""Seconds after which S02's files repeat what they hold, where the session is as long."""

BROKEN = "f14"
BREAK_S = 20
"""The connection of this subject broke 5 s after the first press, for so long."""

RISE = 2.5
NO_STAGE = -1
SECONDS = np.dtype([("person", "U3"), ("second", "i8"), ("stage", "i8"), ("heart_rate", "f8"), ("scr_per_min", "f8")])
"""A row of `draw`: a second of a person's session, from 0, its stage by position in the protocol, and the true rates in
beats and responses a minute."""


def write(out: Path, people: list[np.ndarray], seed: int, length_s: float) -> None:
    """`Wearable_Dataset/STRESS/S01/BVP.csv` and so on, the ratings and the table of subjects."""
    for rows in people:
        _person(out / layout.SESSIONS, rows, presses(str(rows["person"][0]), seed, length_s), seed)
    for group, protocol in PROTOCOLS.items():  # both tables hold everybody, as in the release
        names = [stage.name for stage in protocol.stages]
        table = [["", *names]]
        for person in PEOPLE:
            if person[0] == group:
                own = ratings(person, seed)
                table.append([person, *(f"{own[name]:.2f}" for name in names)])
        (out / protocol.ratings).write_text("".join(",".join(row) + "\n" for row in table), "utf-8")
    infos = [f"{person},{'m' if person[0] == 'S' else 'f'},{20 + number % 5},Yes\n"
              for number, person in enumerate(PEOPLE)]  # fmt: skip
    notes = ["References:,,,\n", "m:male,,,\n"]
    (out / layout.INFO).write_text("Info ,Gender,Age,Stress Inducement\n" + "".join([*infos, *notes]), "utf-8")


def presses(person: str, seed: int, length_s: float = SESSION_S) -> np.ndarray:
    """(n,) whole seconds of the session at which the button was pressed, and the session's end."""
    rng = np.random.default_rng([seed, PEOPLE.index(person), 0])
    typical = np.array(TYPICAL[person[0]])
    # Stages of other lengths for each subject: what is scored compares subjects at one time of different labels.
    lengths = typical * rng.uniform(0.7, 1.3, len(typical))
    session = round(length_s * (1 if person in ORDER[:2] else rng.uniform(0.93, 1)))
    if person in REPEATED:
        session = min(session, WHOLE_S)
    borders = np.round(np.cumsum(lengths) / lengths.sum() * session).astype(int)
    rising = np.arange(len(borders))
    borders = np.maximum.accumulate(borders - rising) + rising
    return borders - max(0, borders[-1] - session)


def ratings(person: str, seed: int) -> dict[str, float]:
    """Stage -> what the subject says, 0 to 10 in halves."""
    rng = np.random.default_rng([seed, PEOPLE.index(person), 2])
    stages = PROTOCOLS[person[0]].stages
    felt = rng.uniform(1, 5) + RISE * np.array([stage.stress for stage in stages]) + rng.standard_normal(len(stages))
    return {stage.name: float(np.clip(round(2 * value) / 2, 0, 10)) for stage, value in zip(stages, felt, strict=True)}


def under_stress(mine: np.ndarray) -> np.ndarray:
    """(n,) of one subject's seconds: 1 in a stress task, 0 at rest, -1 in no stage."""
    kinds = np.array([*(stage.stress for stage in PROTOCOLS[str(mine["person"][0])[0]].stages), NO_STAGE], int)
    return kinds[mine["stage"]]


def truth(person: str, seed: int, effect: float, length_s: float) -> np.ndarray:
    """What is planted in one subject's session."""
    at = presses(person, seed, length_s)
    rng = np.random.default_rng([seed, PEOPLE.index(person), 3])
    rows = np.zeros(at[-1], SECONDS)
    rows["person"], rows["second"], rows["stage"] = person, np.arange(at[-1]), NO_STAGE
    for number, stage in enumerate(PROTOCOLS[person[0]].stages):
        begin = at[stage.closes] - layout.BEFORE_S if stage.opens is None else at[stage.opens]
        rows["stage"][(rows["second"] >= begin) & (rows["second"] < at[stage.closes])] = number
    rows["heart_rate"], rows["scr_per_min"] = e4.responses(rng, under_stress(rows) == 1, effect)
    return rows


def _person(place: Path, truth: np.ndarray, pressed: np.ndarray, seed: int) -> None:
    """Writes one subject's folder, or two."""
    person, pressed = str(truth["person"][0]), pressed[:-1]
    rng = np.random.default_rng([seed, PEOPLE.index(person), 1])
    start = datetime(2013, 2, 23, 9, tzinfo=UTC) + timedelta(days=PEOPLE.index(person), seconds=int(rng.integers(3600)))
    device = e4.worn(truth["heart_rate"], truth["scr_per_min"], rng)
    if person in REPEATED:
        device = e4.repeated(device, REPEATED[person])
    if person in COVERED:
        device = e4.covered(device, rng)
    if person == BROKEN:
        first = int(pressed[0]) + 5
        write_broken(place / person, device, start, pressed, first, first + BREAK_S, len(truth))
    else:
        write_session(place / person, device, start, pressed)


def write_broken(
    folder: Path, device: e4.Wristband, start: datetime, pressed: np.ndarray, first: int, again: int, end: int
) -> None:
    """The two folders of a session of `end` seconds whose connection broke at `first` and was there again at
    `again`."""
    write_session(folder.with_name(f"{folder.name}_a"), device.part(0, first), start, pressed[pressed < first])
    after, later = np.maximum(pressed[pressed >= first], again) - again, start + timedelta(seconds=again)
    write_session(folder.with_name(f"{folder.name}_b"), device.part(again, end), later, after)


def write_session(folder: Path, device: e4.Wristband, start: datetime, pressed: np.ndarray) -> None:
    """One session's files, as pandas writes them: carriage returns, dates, the shortest text of a number."""
    folder.mkdir(parents=True)

    def date(seconds: float) -> str:
        return f"{start + timedelta(seconds=float(seconds)):%Y-%m-%d %H:%M:%S}"

    signals = {"ppg": device.pulse.round(2), "eda": device.skin.round(6), "temp": device.warmth.round(2),
               "acc": device.moves.T}  # fmt: skip
    for modality, rate in (("ppg", "64.0"), ("eda", "4.0"), ("temp", "4.0"), ("acc", "32.0")):
        e4.write(folder / FILES[modality], date(0), rate, signals[modality], "%s", end="\r\n")
    e4.write(folder / "HR.csv", date(e4.FIRST_RATE_S), "1.0", device.rates, "%s", end="\r\n")
    rows = [f"{date(0)},{date(0)}", *(f"{round(t, 6)},{gap:.6f}" for t, gap in device.beats.tolist())]
    (folder / "IBI.csv").write_text("".join(f"{row}\r\n" for row in rows), "utf-8", newline="")
    (folder / "tags.csv").write_text("".join(f"{date(press)}\r\n" for press in pressed), "utf-8", newline="")


GENERATOR = Generator(__name__, "wearable_stress", ORDER, SESSION_S, LIMITS_S, "sessions of {} s", truth, write)
synthesize, draw = GENERATOR.synthesize, GENERATOR.draw
