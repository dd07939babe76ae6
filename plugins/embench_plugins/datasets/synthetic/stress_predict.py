"""Synthetic Stress-Predict files: the released text format and its quirks, with an effect of stress on the heart.

What is planted. Three tasks (colour words, interview, hyperventilation) lie between rests, in this order for all
subjects as in the release, at times that differ between subjects. In every second a response is `D_PRIME * effect`
higher under stress, on top of noise that has nothing to do with it; heart rate (BVP) and responses of the skin a minute
(EDA) rise with it. `D_PRIME` is such that the mean response of a 10 s unit ranks one subject's units by their label
with AUROC .90 at effect 1, and .50 at effect 0. Subjects differ more than the effect.

What is not planted. Mean and variance of the signals, skin temperature and movement know nothing of the tasks.

What is not as in real files: sessions last `SESSION_S` unless another length is asked for (real ones 50 to 60 minutes),
the wristband's own heart rate is a plain mean of the last ten seconds (the real one lags by about 40 s), and the two
spreadsheets that nothing reads are excluded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embench.errors import UsageError
from embench_plugins.datasets.formats.stress_predict_layout import COUNT_G, FILES, LABELS
from embench_plugins.datasets.synthetic.body import Body, smooth_noise
from embench_plugins.datasets.synthetic.marks import check_arguments, claim

PEOPLE = 35
SESSION_S = 720.0
SHORTEST_S = 60.0
UNIT_S = 10
D_PRIME = 1.87
"""Rise under stress in standard deviations of a unit's mean response. A little over the 1.81 that give .90, since units
in which a task begins or ends hold both."""
TAU_S = 5.0  # the noise of neighbouring units is nearly independent
MEAN_SD = float(np.sqrt(2 * TAU_S / UNIT_S * (1 - TAU_S / UNIT_S * (1 - np.exp(-UNIT_S / TAU_S)))))
"""Standard deviation of the mean over a unit of noise of variance 1 that forgets in TAU_S."""

PHASES = (("rest", 620), ("stress", 370), ("rest", 300), ("stress", 640), ("rest", 310), ("stress", 125), ("rest", 950))
"""What happens in a session, with seconds that are typical of the release; scaled to the length asked for."""

# Quirks of the release. Those of single subjects are theirs, but for S06, who stands for S18 too.
UNLABELLED = (1,)
FIRST_LABEL_S = 9
FIRST_RATE_S = 10  # HR.csv begins later than the signals, and the label csv holds its values one second early
PRESS_LOST = (6,)
PRESSES_OF_ANOTHER_DAY = (17,)
CARRIAGE_RETURN = (2, 5)  # tags with the line ends of another system, in whole seconds

SECONDS = np.dtype([("person", "i8"), ("second", "i8"), ("stress", "i8"), ("heart_rate", "f8"), ("scr_per_min", "f8")])
"""A row of `draw`: a second of a person's session, from 0, with the true rates in beats and responses a minute."""


def synthesize(out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None) -> None:
    """Writes `Raw_data/S01/BVP.csv` and so on, and `Processed_data` with the labels, below `out`.

    The same arguments give the same bytes.

    Args:
        length_s: seconds of the longest session; None: `SESSION_S`.

    Raises:
        UsageError: for arguments out of range, or where `out` holds files that no generator of this dataset wrote.
    """
    seconds = draw(subjects, seed, effect, length_s=length_s)
    out = Path(out)
    made = {
        "generator": "embench_plugins.datasets.synthetic.stress_predict",
        "version": 1,
        "dataset": "stress_predict",
        "seed": seed,
        "subjects": subjects,
        "effect": effect,
        "length_s": SESSION_S if length_s is None else length_s,
    }
    claim(out, made)
    (out / LABELS).parent.mkdir()
    with (out / LABELS).open("w", encoding="utf-8", newline="") as table:
        table.write("Participant,HR,respr,Time(sec),Label\r\n")
        for person in range(1, subjects + 1):
            mine = seconds[seconds["person"] == person]
            table.writelines(_person(out / "Raw_data" / f"S{person:02d}", mine, seed))


def draw(subjects: int, seed: int, effect: float, *, length_s: float | None = None) -> np.ndarray:
    """The planted truth, before any file is written: a structured array (n,) of dtype `SECONDS`, a row for each second
    of each subject.

    A subject's rows depend on `seed`, `effect`, the length and the subject's number only, not on how many subjects
    there are.

    Raises:
        UsageError: an argument is out of range.
    """
    check_arguments(subjects, PEOPLE, seed, effect)
    longest = SESSION_S if length_s is None else length_s
    if not SHORTEST_S <= longest <= 3600:
        raise UsageError(f"sessions of {longest} s", expected=f"{SHORTEST_S:g} to 3600 s")
    return np.concatenate([_truth(person, seed, effect, longest) for person in range(1, subjects + 1)])


def oracle(subjects: int, seed: int, effect: float) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Quantity -> arrays (n,) over all units of 10 s with a label: its true mean, the label and the subject."""
    truth = draw(subjects, seed, effect)
    rows = []
    for person in sorted(set(range(1, subjects + 1)) - set(UNLABELLED)):
        mine = truth[truth["person"] == person]
        for start in range(0, len(mine) - UNIT_S + 1, UNIT_S):
            unit = mine[start : start + UNIT_S]
            share = unit["stress"][unit["second"] >= FIRST_LABEL_S].mean()
            if share != 0.5:
                rows.append((unit["heart_rate"].mean(), unit["scr_per_min"].mean(), share > 0.5, person))
    heart, skin, label, who = np.array(rows).T
    return {"heart_rate": (heart, label, who), "scr_per_min": (skin, label, who)}


def _truth(person: int, seed: int, effect: float, longest_s: float) -> np.ndarray:
    rng = np.random.default_rng([seed, person, 0])
    # Phases of other lengths for each subject: what is scored compares subjects at one time of different labels.
    lengths = np.array([typical for _, typical in PHASES]) * rng.uniform(0.7, 1.3, len(PHASES))
    session = round(longest_s * (1 if person == 1 else rng.uniform(0.93, 1)))
    borders = np.round(np.cumsum(lengths) / lengths.sum() * session).astype(int)
    rows = np.zeros(session, SECONDS)
    rows["person"], rows["second"] = person, np.arange(session)
    phase = np.searchsorted(borders, rows["second"], side="right")
    rows["stress"] = np.array([name == "stress" for name, _ in PHASES])[phase]
    noise = smooth_noise(rng, session, 1.0, TAU_S) / MEAN_SD
    response = noise + D_PRIME * effect * (rows["stress"] - rows["stress"].mean())
    # Standard deviations: heart rate 10 between subjects, 5 within; log rate of skin responses .38, .3.
    rows["heart_rate"] = np.clip(rng.uniform(62, 96) + 5 * response, 42, 170)
    rows["scr_per_min"] = np.exp(rng.uniform(np.log(3), np.log(11)) + 0.3 * response)
    return rows


def _person(folder: Path, truth: np.ndarray, seed: int) -> list[str]:
    """Writes one subject's files; their rows of the label csv."""
    person, session = int(truth["person"][0]), len(truth)
    rng = np.random.default_rng([seed, person, 1])
    start = 1_644_200_000 + 86_400 * person + int(rng.integers(3600))
    body = Body.draw(rng)
    folder.mkdir(parents=True)

    def at(rate: float, name: str, late_s: float = 0.0) -> np.ndarray:
        """A rate of every second, at every sample of a file that ends `late_s` after the session."""
        time = np.arange(round((session + late_s) * rate)) / rate
        return np.interp(time, truth["second"] + 0.5, truth[name])

    beats = at(64, "heart_rate")
    phase = body.heart(beats, body.breathing(len(beats), 64, rng), 64, rng)
    pulse = np.exp(0.4 * rng.standard_normal()) * 40 * body.ppg(phase, 64, rng)
    pulse[:2] = -0.0  # the wristband's first samples
    skin = body.eda(at(4, "scr_per_min", rng.choice([-0.5, 0.25, 1.0])), 4, rng)
    skin[0] = 0.0
    warmth = body.temperature(round((session + rng.choice([-1.0, 0.5, 2.0])) * 4), 4, rng)
    moves = np.round(body.acceleration(session * 32, 32, rng) / COUNT_G)
    _write(folder / FILES["ppg"], f"{start}.00", 64, pulse, "%.2f")
    _write(folder / FILES["eda"], f"{start}.000000", 4, skin, "%.6f")
    _write(folder / FILES["temp"], f"{start}.000000", 4, warmth, "%.2f")
    _write(folder / FILES["acc"], f"{start}.000000", 32, moves.T, "%d")
    ends = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(len(phase)) / 64)
    gaps = np.stack([ends[1:], np.diff(ends)])
    rows = "\n".join(f"{t:.6f},{gap:.6f}" for t, gap in gaps.T)
    (folder / "IBI.csv").write_text(f"{start}.000000, IBI\n{rows}\n", "utf-8")
    # The mean of the ten seconds before, from second ten on, up to a second before the session's end.
    rates = np.convolve(truth["heart_rate"], np.full(FIRST_RATE_S, 1 / FIRST_RATE_S), "valid")[:-1].round(2)
    _write(folder / "HR.csv", f"{start + FIRST_RATE_S}.000000", 1, rates, "%.2f")
    _write_presses(folder / f"tags_{folder.name}.csv", person, truth, start)
    breaths = rng.uniform(11, 15) + 0.5 * smooth_noise(rng, session, 1, 60)
    if person in UNLABELLED:
        return []
    shown = [f"{rate:g}" for rate in rates] + [""] * session  # the last seconds have no heart rate
    return [
        f"{person},{shown[second - FIRST_LABEL_S]},{breaths[second]:.7f},{start + second},{truth['stress'][second]}\r\n"
        for second in range(FIRST_LABEL_S, session)
    ]


def _write(path: Path, start: str, rate: int, samples: np.ndarray, form: str) -> None:
    """An E4 file: its start, its rate, its samples (n,) or (n, columns)."""
    columns = 1 if samples.ndim == 1 else samples.shape[1]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(", ".join([start] * columns) + "\n" + ", ".join([f"{rate}.000000"] * columns) + "\n")
        np.savetxt(file, samples, fmt=form, delimiter=",")


def _write_presses(path: Path, person: int, truth: np.ndarray, start: int) -> None:
    """The button presses at the borders of tasks, and one more after the last."""
    changes = np.flatnonzero(np.diff(truth["stress"])) + 1
    presses = start + np.append(changes, (changes[-1] + len(truth)) // 2)
    if person in PRESS_LOST:
        presses = presses[1:]
    if person in PRESSES_OF_ANOTHER_DAY:
        presses[3] -= 43_200
    end = "\r\n" if person in CARRIAGE_RETURN else "\n"
    form = "{:d}" if person in CARRIAGE_RETURN else "{:d}.00"
    path.write_text("".join(form.format(press) + end for press in presses.tolist()), "utf-8", newline="")
