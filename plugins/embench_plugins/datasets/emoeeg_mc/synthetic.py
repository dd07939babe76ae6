"""Synthetic files of EmoEEG-MC: the release's people, orders, triggers and missing trials, with planted log powers.

What is planted in the EEG, as patterns of log power over sites and bands: the emotion that a stimulus is meant to evoke
(the same in films and in imagery), the stimulus itself, and the person. `effect` is the emotion's; the others are there
whatever it is. Ratings follow the emotion. PPG and EDA carry nothing.

What is not as in real files: trials are short, and so are the pauses; nobody knows what stands around a real trigger.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft

from embench_plugins.datasets.emoeeg_mc import layout
from embench_plugins.datasets.emoeeg_mc.files import CHINA, paths
from embench_plugins.datasets.emoeeg_mc.layout import Person, Trial, people
from embench_plugins.datasets.synthetic import edf
from embench_plugins.datasets.synthetic.body import Body
from embench_plugins.datasets.synthetic.brain import Brain
from embench_plugins.datasets.synthetic.generator import check_arguments, checked_length, claim

LENGTH_S, SHORTEST_S, LONGEST_S = 8, 2, 60
BANDS = (1.0, 4.0, 8.0, 14.0, 30.0, 47.0)
EMOTION, STIMULUS, PERSON, NOISE = 0.25, 0.25, 0.6, 0.4
"""Standard deviations of log power over sites and bands: of patterns where `Planted` has 1, and of each trial's own."""
RATE, SD_UV, NOTES = 200.0, 10.0, 60
"""Samples a second that are drawn before the file's own rate; samples a record of the channel of annotations."""
FIRST = ("sub-25", "sub-57", "sub-06", "sub-21", "sub-53", "sub-07", "sub-01")
POWER = ("power", "f8", (len(layout.SITES), len(BANDS) - 1))
TRIALS = np.dtype([("person", "U6"), ("context", "U7"), ("name", "U5"), POWER])
"""A row of `draw`: a trial, in the order of play, and its planted log power by site and band."""


@dataclass(frozen=True)
class Planted:
    """How strong each planted effect is: 0 is none."""

    emotion: float = 1.0
    stimulus: float = 1.0
    person: float = 1.0


ALL = Planted()


def synthesize(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, planted: Planted = ALL
) -> None:
    """As `embench.interfaces.dataset.Synthesizer`, of the people that `chosen` names; trials last whole seconds."""
    _make(_write, LONGEST_S, out, subjects, seed, replace(planted, emotion=effect), length_s)


def synthesize_processed(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, planted: Planted = ALL
) -> None:
    """The same with arrays of preprocessed EEG in place of all recordings; those of the release last 30 s."""
    _make(_write_processed, 30, out, subjects, seed, replace(planted, emotion=effect), length_s)


def _make(
    write: Callable[..., None], longest_s: int, out: Path, subjects: int, seed: int, planted: Planted,
    length_s: float | None,
) -> None:  # fmt: skip
    rows = draw(subjects, seed, planted.emotion, planted=planted)
    length = round(checked_length(length_s or LENGTH_S, SHORTEST_S, longest_s, "trials of {} s"))
    about: dict[str, Any] = {"seed": seed, "subjects": subjects, "effect": planted.emotion, "length_s": length}
    out = claim(out, __name__, "emoeeg_mc", planted=asdict(planted), **about)
    table = ["participant_id\tage\tgender"]
    for person in chosen(subjects):
        path, number = paths(out, person).ratings, int(person.name[-2:])
        path.parent.mkdir(parents=True)
        path.write_text(_ratings(people()[layout.COPIED.get(person.name, person.name)], seed), "utf-8")
        rng = np.random.default_rng([seed, 5, number])
        write(out, person, rows[rows["person"] == person.name], rng, length)
        table.append(f"{person.name}\t{20 + number % 9}\t{'FM'[number % 2]}")
    (out / "participants.tsv").write_text("\n".join(table) + "\n", "utf-8")


def chosen(subjects: int) -> list[Person]:
    """So many people: `FIRST`, then those at 600 Hz, then those at 1200."""
    others = sorted((one for one in people().values() if one.name not in FIRST), key=lambda one: one.rate)
    return [*(people()[name] for name in FIRST), *others][:subjects]


def draw(subjects: int, seed: int, effect: float, *, planted: Planted = ALL) -> np.ndarray:
    """The truth of all trials that are not missing: rows of `TRIALS` (n,)."""
    check_arguments(subjects, len(people()), seed, effect)
    return np.concatenate([_truth(person, seed, replace(planted, emotion=effect)) for person in chosen(subjects)])


def _truth(person: Person, seed: int, planted: Planted) -> np.ndarray:
    trials = person.sequence(_pairs(person, seed))
    rows = np.zeros(len(trials), TRIALS)
    shape = rows["power"].shape[1:]
    emotions = np.random.default_rng([seed, 1]).standard_normal((len(layout.EMOTIONS), *shape))
    stimuli = np.random.default_rng([seed, 2]).standard_normal((2, len(layout.NUMBERED), *shape))
    rng = np.random.default_rng([seed, 3, int(person.name[-2:])])
    own = rng.standard_normal(shape)
    for row, trial in zip(rows, trials, strict=True):
        stimulus = stimuli[int(trial.context == "film"), layout.NUMBERED.index(trial.name)]
        shared = planted.emotion * EMOTION * emotions[trial.emotion] + planted.stimulus * STIMULUS * stimulus
        noise = NOISE * rng.standard_normal(shape)
        row["person"], row["context"], row["name"] = person.name, trial.context, trial.name
        row["power"] = shared + planted.person * PERSON * own + noise
    return rows


def _pairs(person: Person, seed: int) -> str:
    """The context of every three trials, drawn where the release does not say it."""
    if len(person.pairs) > 1:
        return person.pairs
    swaps = np.random.default_rng([seed, 4, int(person.name[-2:])]).integers(0, 2, 7)
    swaps[0] = person.pairs == "F"
    return "".join("FI" if swap else "IF" for swap in swaps)


def _write_processed(out: Path, person: Person, rows: np.ndarray, rng: np.random.Generator, length_s: int) -> None:
    """The arrays of both contexts."""
    brain = Brain.draw(rng, layout.SITES)
    for context, session in zip(layout.CONTEXTS, ("ses-ima", "ses-vid"), strict=True):
        mine = rows[rows["context"] == context]
        order = np.argsort([layout.REORDERED.index(name) for name in mine["name"]])
        data = np.stack([_eeg(brain, length_s, RATE, rng, power) for power in mine["power"][order]])
        to = out / "derivatives" / person.name / session / ("" if len(mine) < len(layout.REORDERED) else "eeg")
        to.mkdir(parents=True)
        data = (data - data.mean(1, keepdims=True)).astype(np.float64)
        np.save(to / f"{person.name}_{session}_task-{layout.TASK}_reorder.npy", data)


def _write(out: Path, person: Person, rows: np.ndarray, rng: np.random.Generator, length_s: int) -> None:
    """The EDF files and wristband's files of a person."""
    to = paths(out, person)
    if to.runs or to.wrist:
        (out / person.name / "eeg").mkdir()
    brain, times = Brain.draw(rng, layout.SITES), []
    for run, mine in enumerate(np.array_split(rows, max(person.runs, 1))):
        seconds = len(mine) * (length_s + 2)
        start = person.ends[run] + timedelta(seconds=20 - seconds)
        times.append(start.timestamp() - 2 + np.arange(0, seconds + 4, 1 / layout.WRIST["eda"][1]))
        if run < person.runs:
            parts = [_eeg(brain, length_s + 2, person.rate, rng, power) for power in mine["power"]]
            _edf(to.runs[run], person, np.hstack(parts), mine["context"].tolist(), start, length_s)
    body, moments = Body.draw(rng), np.concatenate(times)
    for kind, path in to.wrist.items():
        rate = layout.WRIST[kind][1]
        at = moments[:: round(layout.WRIST["eda"][1] / rate)]
        if kind == "ppg":
            breath = body.breathing(len(at), rate, rng)
            values = body.ppg(body.heart(np.full(len(at), 70.0), breath, rate, rng), rate, rng)
        else:
            values = body.eda(np.full(len(at), 5.0), rate, rng)
        text = "".join(f"{value:.4f}\t{time:.3f}\n" for value, time in zip(values.tolist(), at.tolist(), strict=True))
        path.write_bytes(gzip.compress(text.encode(), 6, mtime=0))


def _ratings(person: Person, seed: int) -> str:
    """The table of ratings. From sub-25 to sub-54 it has each trial's number, else that of the first one."""
    rng = np.random.default_rng([seed, 6, int(person.name[-2:])])
    lines = ["\t".join(["trial_number", "video_name", *(f"score_{k + 1}" for k in range(len(layout.RATINGS)))])]
    trials = person.sequence(_pairs(person, seed))
    numbers = [1 + layout.NUMBERED.index(trial.name) + 21 * (trial.context == "film") for trial in trials]
    for k, (trial, number) in enumerate(zip(trials, numbers, strict=True)):
        cell = numbers[0] if len(person.pairs) < 2 else f"[[{number}]]" if person.name == "sub-25" else number
        scores = np.round(np.clip(_scores(trial, rng), 0, 7), 2)
        lines.append("\t".join([f"{k + 1}", str(cell), *map(repr, scores.tolist())]))
    return "\n".join(lines) + "\n"


def _scores(trial: Trial, rng: np.random.Generator) -> np.ndarray:
    """The ten ratings of a trial before they are cut to the scale."""
    felt = np.array([name == layout.EMOTIONS[trial.emotion] for name in layout.FELT])
    sign = 0 if layout.EMOTIONS[trial.emotion] == "neutral" else 1 if trial.emotion in layout.POSITIVE else -1
    means = np.array([*(5.0 * felt - 1), 2.0 + 2.0 * abs(sign), 3.5 + 1.5 * sign, 2.5, 3.2])
    return means + 1.5 * rng.standard_normal(len(means))


def _eeg(brain: Brain, seconds: int, rate: float, rng: np.random.Generator, power: np.ndarray) -> np.ndarray:
    """(64, samples) in uV, with log powers (64, 5) added to those of the sites' bands."""
    spectrum = fft.rfft(SD_UV * brain.eeg(0.0, round(seconds * RATE), RATE, rng, band=(0.3, 80.0)))
    band = np.digitize(fft.rfftfreq(round(seconds * RATE), 1 / RATE), BANDS)  # 0 below all, 6 above
    added = np.pad(power, ((0, 0), (1, 1)))
    times = rate / RATE
    return np.asarray(times * fft.irfft(spectrum * np.exp(added / 2)[:, band], round(seconds * rate)), np.float32)


def _edf(path: Path, person: Person, data: np.ndarray, contexts: list[str], start: datetime, length_s: int) -> None:
    """An EDF+ file of one-second records; each trial begins with a second of rest and ends with one of ratings."""
    lows, highs = ([f"{edge:.4f}"[:8] for edge in edges] for edges in (data.min(1), data.max(1)))
    count, records = len(layout.SITES), data.shape[1] // int(person.rate)
    channels = edf.Channels(
        [*layout.SITES, "EDF Annotations"], [*["uV"] * count, ""], [*lows, "-1"], [*highs, "1"], -32768, 32767,
        [*[int(person.rate)] * count, NOTES], [""] * (count + 1),
    )  # fmt: skip
    begun = f"{start.astimezone(CHINA):%d.%m.%y%H.%M.%S}"
    head = edf.header(channels, records, start=begun, person="X X X X", recording="Startdate X X X X", kind="EDF+C")
    code, texts = {kind: number for number, kind in person.codes.items()}, [f"+{k}\x14\x14\0" for k in range(records)]
    for k, context in enumerate(contexts):
        begin = k * (length_s + 2)
        for at, kind in ((begin + 1, context), (begin + 1 + length_s, "rating"), (begin + 1.5 + length_s, "fade")):
            texts[int(at)] += f"+{at:g}\x14{code[kind]}\x14\0"
    low, high = (np.array([float(text) for text in edges])[:, None] for edges in (lows, highs))
    digital = np.clip(np.round((data - low) / (high - low) * 65535 - 32768), -32768, 32767).astype("<i2")
    body = digital.reshape(count, records, -1).transpose(1, 0, 2).reshape(records, -1)
    notes = np.array([np.frombuffer(text.encode().ljust(2 * NOTES, b"\0"), "<i2") for text in texts])
    path.write_bytes(head + np.concatenate([body, notes], axis=1).tobytes())
