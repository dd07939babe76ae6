"""Synthetic files of EmoEEG-MC: the release's people, orders, triggers and missing trials, with planted log powers.

Planted in the EEG, as patterns of log power over sites and bands: the emotion that a stimulus is meant to evoke (the
same in films and imagery), the stimulus itself, and the person. `effect` is the strength of the emotion only. Ratings
follow the emotion. PPG and EDA carry no information.

Unlike real files: trials and pauses are short, and the text around a trigger's code is a guess.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from scipy import fft

from embench_plugins.datasets.emoeeg_mc import release
from embench_plugins.datasets.emoeeg_mc.release import CHINA, Person, Trial, list_people, locate_files
from embench_plugins.datasets.synthetic import writers
from embench_plugins.datasets.synthetic.body import Body, Brain
from embench_plugins.datasets.synthetic.generator import Generator

LENGTH_S, SHORTEST_S, LONGEST_S = 8, 2, 60
BANDS = (1.0, 4.0, 8.0, 14.0, 30.0, 47.0)
EMOTION, STIMULUS, PERSON, NOISE = 0.25, 0.25, 0.6, 0.4
"""Standard deviations of log power over sites and bands, for patterns of strength 1 in `Planted`, and for noise."""
RATE, SD_UV, NOTES = 200.0, 10.0, 60
"""Rate in Hz before resampling to the file's rate; SD of the EEG; samples per record of the annotations."""
FIRST = ("sub-25", "sub-57", "sub-06", "sub-21", "sub-53", "sub-07", "sub-01")
POWER = ("power", "f8", (len(release.SITES), len(BANDS) - 1))
TRIALS = np.dtype([("person", "U6"), ("context", "U7"), ("name", "U5"), POWER])
"""A row of `draw`: a trial, in the order of play, and its planted log power by site and band."""


@dataclass(frozen=True)
class Planted:
    """Strength of each planted effect; 0 is none."""

    emotion: float = 1.0
    stimulus: float = 1.0
    person: float = 1.0


ALL = Planted()


def synthesize(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, planted: Planted = ALL
) -> None:
    """Write synthetic files as `Generator.synthesize` does; trials last whole seconds."""
    planted = replace(planted, emotion=effect)
    _make_generator(_write_recordings, LONGEST_S, planted).make(out, subjects, seed, effect, length_s)


def synthesize_processed(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, planted: Planted = ALL
) -> None:
    """Write synthetic files with arrays of preprocessed EEG, of at most 30 s as released, in place of EDF files."""
    planted = replace(planted, emotion=effect)
    _make_generator(_write_arrays, 30, planted).make(out, subjects, seed, effect, length_s)


def draw(subjects: int, seed: int, effect: float, *, planted: Planted = ALL) -> np.ndarray:
    """Return the planted values as `Generator.draw` does: rows of `TRIALS` (n,), of all trials that are not missing."""
    return _make_generator(_write_recordings, LONGEST_S, planted).draw(subjects, seed, effect)


def _make_generator(write_signals: Callable[..., None], longest_s: float, planted: Planted) -> Generator:
    truth, write = partial(_draw_truth, planted=planted), partial(_write, write_signals)
    limits_s, about = (SHORTEST_S, longest_s), {"planted": asdict(planted)}
    return Generator(__name__, "emoeeg_mc", _sort_people(), LENGTH_S, limits_s, "trials of {} s", truth, write, about)


def _sort_people() -> list[Person]:
    """Return the subjects of `FIRST`, with which small sets begin, then those at 600 Hz, then those at 1200 Hz."""
    others = sorted((one for one in list_people().values() if one.name not in FIRST), key=lambda one: one.rate)
    return [*(list_people()[name] for name in FIRST), *others]


def _write(write_signals: Callable[..., None], out: Path, truths: list[np.ndarray], seed: int, length_s: float) -> None:
    """Write `participants.tsv`, `sub-01/beh/sub-01_task-emotion_beh.tsv` and so on, and each subject's EEG by the
    function `write_signals`."""
    table = ["participant_id\tage\tgender"]
    for rows in truths:
        person = list_people()[str(rows["person"][0])]
        path, number = locate_files(out, person).ratings, int(person.name[-2:])
        path.parent.mkdir(parents=True)
        path.write_text(_make_ratings(list_people()[release.COPIED.get(person.name, person.name)], seed), "utf-8")
        write_signals(out, person, rows, np.random.default_rng([seed, 5, number]), round(length_s))
        table.append(f"{person.name}\t{20 + number % 9}\t{'FM'[number % 2]}")
    (out / "participants.tsv").write_text("\n".join(table) + "\n", "utf-8")


def _draw_truth(person: Person, seed: int, effect: float, _: float, *, planted: Planted) -> np.ndarray:
    """Return the planted values of one subject: a row of `TRIALS` for each trial, in the order of play."""
    trials = person.sequence(_draw_contexts(person, seed))
    rows = np.zeros(len(trials), TRIALS)
    shape = rows["power"].shape[1:]
    emotions = np.random.default_rng([seed, 1]).standard_normal((len(release.EMOTIONS), *shape))
    stimuli = np.random.default_rng([seed, 2]).standard_normal((2, len(release.NUMBERED), *shape))
    rng = np.random.default_rng([seed, 3, int(person.name[-2:])])
    own_pattern = rng.standard_normal(shape)
    for row, trial in zip(rows, trials, strict=True):
        stimulus = stimuli[int(trial.context == "film"), release.NUMBERED.index(trial.name)]
        shared = effect * EMOTION * emotions[trial.emotion] + planted.stimulus * STIMULUS * stimulus
        noise = NOISE * rng.standard_normal(shape)
        row["person"], row["context"], row["name"] = person.name, trial.context, trial.name
        row["power"] = shared + planted.person * PERSON * own_pattern + noise
    return rows


def _draw_contexts(person: Person, seed: int) -> str:
    """Return the context of every three trials, drawn at random if the release does not state it."""
    if len(person.pairs) > 1:
        return person.pairs
    swaps = np.random.default_rng([seed, 4, int(person.name[-2:])]).integers(0, 2, 7)
    swaps[0] = person.pairs == "F"
    return "".join("FI" if swap else "IF" for swap in swaps)


def _write_arrays(out: Path, person: Person, rows: np.ndarray, rng: np.random.Generator, length_s: int) -> None:
    """Write the arrays of both contexts."""
    brain = Brain.draw(rng, release.SITES)
    for context, session in zip(release.CONTEXTS, ("ses-ima", "ses-vid"), strict=True):
        trials = rows[rows["context"] == context]
        order = np.argsort([release.REORDERED.index(name) for name in trials["name"]])
        data = np.stack([_make_eeg(brain, length_s, RATE, rng, power) for power in trials["power"][order]])
        folder = out / "derivatives" / person.name / session / ("" if len(trials) < len(release.REORDERED) else "eeg")
        folder.mkdir(parents=True)
        data = (data - data.mean(1, keepdims=True)).astype(np.float64)
        np.save(folder / f"{person.name}_{session}_task-{release.TASK}_reorder.npy", data)


def _write_recordings(out: Path, person: Person, rows: np.ndarray, rng: np.random.Generator, length_s: int) -> None:
    """Write the EDF files and the wristband's files of a subject."""
    paths = locate_files(out, person)
    if paths.runs or paths.wrist:
        (out / person.name / "eeg").mkdir()
    brain, times = Brain.draw(rng, release.SITES), []
    for run, trials in enumerate(np.array_split(rows, max(person.runs, 1))):
        seconds = len(trials) * (length_s + 2)
        start = person.ends[run] + timedelta(seconds=20 - seconds)
        times.append(start.timestamp() - 2 + np.arange(0, seconds + 4, 1 / release.WRIST["eda"][1]))
        if run < person.runs:
            parts = [_make_eeg(brain, length_s + 2, person.rate, rng, power) for power in trials["power"]]
            _write_edf(paths.runs[run], person, np.hstack(parts), trials["context"].tolist(), start, length_s)
    body, moments = Body.draw(rng), np.concatenate(times)
    for kind, path in paths.wrist.items():
        rate = release.WRIST[kind][1]
        ticks = moments[:: round(release.WRIST["eda"][1] / rate)]
        if kind == "ppg":
            breath = body.draw_breath_phase(len(ticks), rate, rng)
            values = body.draw_ppg(body.draw_heart_phase(np.full(len(ticks), 70.0), breath, rate, rng), rate, rng)
        else:
            values = body.draw_eda(np.full(len(ticks), 5.0), rate, rng)
        text = "".join(
            f"{value:.4f}\t{time:.3f}\n" for value, time in zip(values.tolist(), ticks.tolist(), strict=True)
        )
        path.write_bytes(gzip.compress(text.encode(), 6, mtime=0))


def _make_ratings(person: Person, seed: int) -> str:
    """Return the ratings' table as text. Rows of sub-25 to sub-54 have their trial's number, others the first one's."""
    rng = np.random.default_rng([seed, 6, int(person.name[-2:])])
    lines = ["\t".join(["trial_number", "video_name", *(f"score_{k + 1}" for k in range(len(release.RATINGS)))])]
    trials = person.sequence(_draw_contexts(person, seed))
    numbers = [1 + release.NUMBERED.index(trial.name) + 21 * (trial.context == "film") for trial in trials]
    for k, (trial, number) in enumerate(zip(trials, numbers, strict=True)):
        cell = numbers[0] if len(person.pairs) < 2 else f"[[{number}]]" if person.name == "sub-25" else number
        scores = np.round(np.clip(_draw_scores(trial, rng), 0, 7), 2)
        lines.append("\t".join([f"{k + 1}", str(cell), *map(repr, scores.tolist())]))
    return "\n".join(lines) + "\n"


def _draw_scores(trial: Trial, rng: np.random.Generator) -> np.ndarray:
    """Return the ten ratings of a trial before they are clipped to the scale."""
    felt = np.array([name == release.EMOTIONS[trial.emotion] for name in release.FELT])
    sign = 0 if release.EMOTIONS[trial.emotion] == "neutral" else 1 if trial.emotion in release.POSITIVE else -1
    means = np.array([*(5.0 * felt - 1), 2.0 + 2.0 * abs(sign), 3.5 + 1.5 * sign, 2.5, 3.2])
    return means + 1.5 * rng.standard_normal(len(means))


def _make_eeg(brain: Brain, seconds: int, rate: float, rng: np.random.Generator, power: np.ndarray) -> np.ndarray:
    """Return (64, samples) EEG in uV, where `power` (64, 5) is added to the log power of each band at each site."""
    spectrum = fft.rfft(SD_UV * brain.draw_eeg(0.0, round(seconds * RATE), RATE, rng, band=(0.3, 80.0)))
    band = np.digitize(fft.rfftfreq(round(seconds * RATE), 1 / RATE), BANDS)  # 0 below all, 6 above
    added = np.pad(power, ((0, 0), (1, 1)))
    times = rate / RATE  # factor for a change of length by irfft; below, half of log power is log amplitude
    return np.asarray(times * fft.irfft(spectrum * np.exp(added / 2)[:, band], round(seconds * rate)), np.float32)


def _write_edf(
    path: Path, person: Person, data: np.ndarray, contexts: list[str], start: datetime, length_s: int
) -> None:
    """Write an EDF file of trials, each of which begins with a second of rest and ends with one of ratings."""
    code = {kind: number for number, kind in person.codes.items()}
    texts = [f"+{k}\x14\x14\0" for k in range(data.shape[1] // int(person.rate))]
    for k, context in enumerate(contexts):
        begin = k * (length_s + 2)
        for at, kind in ((begin + 1, context), (begin + 1 + length_s, "rating"), (begin + 1.5 + length_s, "fade")):
            texts[int(at)] += f"+{at:g}\x14{code[kind]}\x14\0"
    writers.write_edf_plus(
        path, dict.fromkeys(release.SITES, "uV"), data, int(person.rate), texts, NOTES, person="X X X X",
        start=f"{start.astimezone(CHINA):%d.%m.%y%H.%M.%S}", recording="Startdate X X X X",
    )  # fmt: skip
