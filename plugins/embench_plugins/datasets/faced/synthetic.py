"""Synthetic FACED files: the BIDS release's formats and quirks, with planted effects that can be switched separately.

Planted. The log powers of five bands at 30 electrodes, during each clip, are a sum of patterns over electrodes and
bands, each drawn once for a set of files:
- of the film, the same for all subjects. Clips 13 to 16 are of one film, and so are 7 and 8;
- of the emotion: by default the one that the subject felt (the strongest of eight ratings), scaled by its rating, plus
  a pattern scaled by the rated valence and one by arousal. Instead of it: the one that the clip is meant to evoke;
- of the subject, and of the subject's block of four clips;
- noise of each trial.
`Planted` sets the strength of each. Films and emotions are equally strong if both are 1. The true powers then rank one
subject's clips by the emotion felt, each against all others, with an AUROC of .96.

Ratings have the means by emotion, the variance between clips and subjects, and the agreement with the assigned emotion
(about 63 %) of the real ones. They do not depend on the signals, nor does the order of the clips.

Unlike real files: clips, and the time between them, are shortened by default; there are drifts, but no other artefacts
and no mains hum. `sub-023` is bad at a third of its electrodes; in the release, only its processed file is known to be.
"""

from __future__ import annotations

import csv
import json
import math
import pickle
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import fft

from embench_plugins.datasets.faced import reader, release
from embench_plugins.datasets.faced.release import CLIPS, ELECTRODES, EMOTIONS, FELT, PEOPLE, RATINGS, TASK, find_cohort
from embench_plugins.datasets.synthetic import writers
from embench_plugins.datasets.synthetic.body import Brain, draw_smooth_noise
from embench_plugins.datasets.synthetic.generator import Generator

# The files of FACED's BIDS release: tables, recordings as 24-bit BDF, a shortened time axis.

COLUMNS = (
    "onset", "duration", "trial_type", "value", "sample", "emotion_label", "binary_label", "video_index", *RATINGS,
)  # fmt: skip
NONE = "n/a"
MARK = "\ufeff"
RANGE_UV = 375_000.0
RECORDS = 64  # seconds of a file that are written at once

FOREIGN = ("sub-029", "sub-045", "sub-049", "sub-059", "sub-060")
"""Subjects with the codes of another experiment in their events."""
FOREIGN_CODES = (76, 77, *range(91, 99), 140, 232, 233)
RESTARTED = ("sub-020", "sub-023", *FOREIGN[:3], "sub-055", *FOREIGN[3:])
"""Subjects with more than five starts of the experiment."""
LONGER = PEOPLE[36:61]
LONGER_S = 8.109
"""Extra seconds of clip 22, at its start, for these subjects."""
WITHOUT_RESTS = (*PEOPLE[:4], *PEOPLE[6:8], *PEOPLE[36:50])
"""Subjects without the marks 201 and 202 before the first clip and after the last."""

LAST_S = 30.0
"""Length of the last part of a clip, which the published methods read."""
PAUSE = 0.02
"""Factor of the time between clips on a shortened time axis: the median of 69 s becomes 1.4 s."""
LONGEST_S = max(clip.length_s for clip in CLIPS.values())

Row = dict[str, str]
"""A row of a table: column -> text."""


class Files(NamedTuple):
    """The paths of a subject's files."""

    scans: Path
    bdf: Path
    about: Path
    channels: Path
    events: Path


def locate_files(folder: Path, person: str) -> Files:
    """Return the paths of a subject's files below the release's folder."""
    start = folder / person / "eeg" / f"{person}_task-{TASK}_"
    kinds = ("eeg.bdf", "eeg.json", "channels.tsv", "events.tsv")
    return Files(folder / person / f"{person}_scans.tsv", *(start.with_name(start.name + kind) for kind in kinds))


def write_release(
    out: Path, truths: Sequence[np.ndarray], seed: int
) -> Iterator[tuple[Files, np.ndarray, list[Row], float]]:
    """Write all files of subjects except events and recordings. Yield for each subject the paths of files, the
    subject's rows of `truths`, the events on the real time axis, and the end of the session in s.

    Args:
        truths: for each subject a row for each clip (28,), with `person`, `clip` and `ratings`.
    """
    about = {"Name": "FACED (synthetic)", "BIDSVersion": "1.7.0", "DatasetType": "derivative", "License": "CC0"}
    write_json(out / "dataset_description.json", about)
    people = {str(rows["person"][0]): rows for rows in sorted(truths, key=lambda rows: str(rows["person"][0]))}
    table = [f"{person}\t{17 + 7 * int(person[-3:]) % 22}\t{'FFM'[int(person[-3:]) % 3]}" for person in people]
    write_people(out, ["participant_id\tage\tsex", *table])
    for person, rows in people.items():
        files = locate_files(out, person)
        _write_sidecars(files, person)
        rng = np.random.default_rng([seed, 7, int(person[-3:])])
        yield files, rows, *_make_session(person, rows["clip"], rows["ratings"], rng)


def write_people(out: Path, lines: Sequence[str]) -> None:
    """Write the table of participants, which has no byte-order mark."""
    (out / "participants.tsv").write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="")


def _make_session(
    person: str, clips: np.ndarray, ratings: np.ndarray, rng: np.random.Generator
) -> tuple[list[Row], float]:
    """Return events on the real time axis, and the end of the session in s.

    Args:
        clips: (28,) in the order shown.
        ratings: (28, 12) of these clips.
    """
    now = float(rng.uniform(20, 60))
    events = [_mark_row(now + 0.5 * k, "Experiment start") for k in range(7 if person in RESTARTED else 5)]
    now += 5
    if person in FOREIGN:
        events += [_mark_row(now + 0.4 * k, str(code)) for k, code in enumerate(rng.choice(FOREIGN_CODES, 60).tolist())]
        now += 30
    rests = person not in WITHOUT_RESTS
    if rests:
        events += [_mark_row(now, "201"), _mark_row(now + 35.1, "202")]
        now += 45
    for order, (clip, rated) in enumerate(zip(clips.tolist(), ratings, strict=True)):
        longer_s = LONGER_S if clip == 22 and person in LONGER else 0.0
        length_s = CLIPS[clip].length_s + longer_s + rng.uniform(-0.02, 0.3)
        events.append(_clip_row(now, length_s, clip, rated))
        now += length_s + rng.uniform(44, 90) + (60 if order % 4 == 3 else 0)
        if person in FOREIGN and order == 0:
            events.append(_mark_row(now - 10, str(FOREIGN_CODES[0])))
    if rests:
        events += [_mark_row(now, "201"), _mark_row(now + 35.1, "202")]
    return events, now + 50


def read_events(path: Path) -> list[Row]:
    """Return the rows of a table of events."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def select_clips(events: Sequence[Row]) -> list[Row]:
    """Return the rows of clips among events, in order of time."""
    return sorted((row for row in events if row["video_index"] != NONE), key=lambda row: float(row["onset"]))


def shorten(events: Sequence[Row], end_s: float, length_s: float) -> tuple[list[Row], float]:
    """Return events and the end of their session on a shortened time axis. All clips are shortened by one factor, the
    longest to `length_s`; but they last at least `LAST_S`, or half of `length_s` if that is less. The time between
    clips is multiplied by `PAUSE`."""
    old, new = [0.0], [0.0]
    for row in select_clips(events):
        onset, duration = float(row["onset"]), float(row["duration"])
        begin = new[-1] + PAUSE * (onset - old[-1])
        new += [begin, begin + max(min(LAST_S, length_s / 2), duration * length_s / LONGEST_S)]
        old += [onset, onset + duration]
    new.append(new[-1] + PAUSE * (end_s - old[-1]))
    old.append(end_s)
    moved = []
    for row in events:
        onset = float(row["onset"])
        first, last = np.interp([onset, onset + float(row["duration"])], old, new).tolist()
        moved.append({**row, "onset": repr(first), "duration": repr(last - first)})
    return moved, new[-1]


def write_events(path: Path, events: Sequence[Row], rate: int) -> None:
    """Write events in order of time, with onsets on samples and ends on milliseconds; `value` numbers the kinds in this
    table by name, as MNE-BIDS does."""
    code = {kind: str(k) for k, kind in enumerate(sorted({row["trial_type"] for row in events}), 1)}
    rows = []
    for row in sorted(events, key=lambda row: float(row["onset"])):
        first, end_s = round(float(row["onset"]) * rate), round(float(row["onset"]) + float(row["duration"]), 3)
        onset_s = first / rate
        duration_s = end_s - onset_s if float(row["duration"]) else 0.0
        times = {"onset": repr(onset_s), "duration": repr(duration_s), "sample": str(first)}
        rows.append({**row, **times, "value": code[row["trial_type"]]})
    _write_table(path, [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])


def find_stretches(events: Sequence[Row], rate: int, samples: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first sample, sample after the last, clip's number) of each clip, and of each stretch outside clips with
    the number 0. Empty stretches are left out."""
    end = 0
    for row in select_clips(events):
        onset_s = float(row["onset"])
        start, stop = round(onset_s * rate), round((onset_s + float(row["duration"])) * rate)
        if end < start:
            yield end, start, 0
        yield start, stop, int(row["video_index"])
        end = stop
    if end < samples:
        yield end, samples, 0


def _write_sidecars(files: Files, person: str) -> None:
    """Write the files beside a subject's recording, except the file of events."""
    layout, rate, unit = find_cohort(person)
    files.about.parent.mkdir(parents=True)
    about = {"TaskName": TASK, "Manufacturer": "Biosemi", "PowerLineFrequency": NONE, "SamplingFrequency": rate}
    about |= {"SoftwareFilters": NONE, "RecordingDuration": 0.0, "RecordingType": "continuous", "EEGReference": NONE}
    write_json(files.about, {**about, "EEGGround": NONE, "EEGChannelCount": len(layout)})
    head = "name type units low_cutoff high_cutoff description sampling_frequency status status_description"
    high = "62.0" if rate == 250 else "250.0"
    about_all = ("EEG", str(unit), "0.0", high, "ElectroEncephaloGram", str(rate), "good", NONE)
    _write_table(files.channels, [head.split(), *((name, *about_all) for name in layout)])
    _write_table(files.scans, [("filename", "acq_time"), (f"eeg/{files.bdf.name}", "2023-01-01T00:00:00.000000Z")])


def read_seconds(path: Path) -> int:
    """Return the number of whole seconds of a recording. `path`: the recording's JSON file, which states the time of
    the last sample."""
    about = json.loads(path.read_text("utf-8-sig"))
    return round(about["RecordingDuration"] + 1 / about["SamplingFrequency"])


def state_seconds(path: Path, seconds: int) -> None:
    """Write the number of whole seconds of a recording into the recording's JSON file `path`."""
    about = json.loads(path.read_text("utf-8-sig"))
    write_json(path, {**about, "RecordingDuration": round(seconds - 1 / about["SamplingFrequency"], 6)})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file in MNE-BIDS's layout."""
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", "utf-8")


def write_bdf(path: Path, channels: Sequence[str], unit: str, rate: int, data: np.ndarray) -> None:
    """Write `data` (C, samples), whole seconds in uV, as a BDF file of one-second records with a range of +-
    `RANGE_UV`. `unit` is the unit in its header."""
    count, records = len(channels), data.shape[1] // rate
    low, high = ([f"{edge:.0f}"] * count for edge in (-RANGE_UV, RANGE_UV))
    described = writers.Channels(channels, [unit] * count, low, high, -(2**23), 2**23 - 1, [rate] * count, [""] * count)
    with path.open("wb") as file:
        file.write(
            writers.make_edf_header(described, records, start="01.01.2300.00.00", mark=b"\xffBIOSEMI", kind="24BIT")
        )
        for first in range(0, records, RECORDS):
            part = data[:, first * rate : (first + RECORDS) * rate]
            file.write(_digitise(part.reshape(count, -1, rate).transpose(1, 0, 2)))


def _digitise(part: np.ndarray) -> bytes:
    """Return values in uV as integers of 24 bits."""
    step = 2 * RANGE_UV / (2**24 - 1)
    whole = np.clip(np.round((part.astype(np.float64) + RANGE_UV) / step) - 2**23, -(2**23), 2**23 - 1)
    return np.ascontiguousarray(whole, "<i4")[..., None].view("u1")[..., :3].tobytes()


def _mark_row(onset_s: float, kind: str) -> Row:
    """Return an event without a duration: a mark, or a code."""
    return {**dict.fromkeys(COLUMNS, NONE), "onset": repr(onset_s), "duration": "0.0", "trial_type": kind}


def _clip_row(onset_s: float, length_s: float, number: int, ratings: np.ndarray) -> Row:
    """Return the event of a clip. `number`: of the clip; `ratings`: (12,) in the order of `RATINGS`."""
    clip = CLIPS[number]
    return {
        **_mark_row(onset_s, clip.film),
        "duration": repr(float(length_s)),
        "emotion_label": "\\" if clip.positive is None else clip.emotion.capitalize(),
        "binary_label": {None: "neutral", True: "positive", False: "negative"}[clip.positive],
        "video_index": str(number),
        **{name: repr(value) for name, value in zip(RATINGS, ratings.tolist(), strict=True)},
    }


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write a table of texts as TSV; the first row is the header."""
    path.write_text(MARK + "".join("\t".join(row) + "\n" for row in rows), "utf-8", newline="")


# The recordings, and their planted effects.

LENGTH_S, LIMITS_S = 12.0, (4.0, LONGEST_S)
BANDS = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 30.0), "gamma": (30.0, 47.0)}
FILM, EMOTION, DIMENSION, PERSON, BLOCK, TRIAL = 0.12, 0.12, 0.06, 0.6, 0.2, 0.5
"""Standard deviations of log power over electrodes and bands, for patterns where `Planted` has 1, and for the noise of
each trial. `DIMENSION` (valence, arousal) is for one standard deviation of the rating."""
TYPICAL = 5.0
"""Mean over trials of the highest rating of an emotion."""
USUAL = {"Valence": (3.1, 2.0), "Arousal": (3.5, 2.0)}
"""Rating -> its mean and standard deviation over trials."""
SD_UV, DRIFT_UV = 10.0, 20.0
UNKNOWN = "microV"
"""A unit that MNE does not know, in the header of subjects whose unit the release does not state."""
FIRST = (4, 36, 61, 0, 45, 8, 50, 62, 58, 23, 59, 1)
"""Numbers of the subjects of small sets: the first four have all cohorts, the twelve have all quirks. The other
subjects follow: first those with small files, of 250 Hz."""
ORDER = [PEOPLE[number] for number in FIRST]
ORDER += sorted((name for name in PEOPLE if name not in ORDER), key=lambda name: find_cohort(name).rate)
BAD, BAD_UV = "sub-023", 26_000.0
SITES = (*ELECTRODES, *release.MASTOIDS)
PROCESSED = [*range(len(ELECTRODES)), SITES.index("A2"), SITES.index("A1")]
"""Positions in `SITES` of the channels of the processed release."""
PROFILE = np.array([
    [4.9, 2.9, 2.2, 4.2, 0.6, 0.8, 0.6, 0.4], [1.0, 5.0, 3.0, 1.5, 1.0, 0.6, 0.7, 0.6],
    [1.5, 2.4, 4.4, 2.1, 0.7, 0.6, 0.6, 0.6], [1.2, 1.0, 1.4, 4.5, 0.4, 0.7, 0.6, 1.8],
    [0.5, 0.4, 0.5, 0.8, 0.7, 1.1, 1.6, 1.6], [0.7, 0.5, 0.5, 0.7, 4.9, 1.9, 4.3, 2.2],
    [0.5, 0.8, 0.6, 0.9, 1.5, 4.9, 3.6, 3.1], [0.5, 0.4, 0.5, 0.4, 2.1, 2.6, 4.2, 3.5],
    [0.5, 0.5, 0.4, 0.8, 1.2, 3.2, 3.9, 5.0],
])  # fmt: skip
"""(9, 8) means of the real ratings of `FELT`, by the assigned emotion."""

TRIALS = np.dtype([
    ("person", "U7"), ("order", "i8"), ("clip", "i8"), ("ratings", "f8", len(RATINGS)), ("felt", "i8"),
    ("power", "f8", (len(ELECTRODES), len(BANDS))),
])  # fmt: skip
"""A row of `draw`: a subject, a clip and its place in the order shown, ratings (0 to 7) in the order of `RATINGS`, the
index in `EMOTIONS` of the emotion felt (neutral at neutral clips), and the planted log power by electrode and band."""


@dataclass(frozen=True)
class Planted:
    """Strength of each planted effect; 0 is none.

    Args:
        follows: emotion that the EEG follows: `own`, the one that the subject felt, or `assigned`, the one that the
            clip is meant to evoke.
    """

    film: float = 1.0
    emotion: float = 1.0
    person: float = 1.0
    block: float = 1.0
    follows: Literal["own", "assigned"] = "own"


ALL = Planted()


def synthesize(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, planted: Planted = ALL
) -> None:
    """Write synthetic files as `Generator.synthesize` does: sidecars and the BDF file of each subject, in the order of
    `FIRST`.

    Args:
        effect: strength of the emotion only; `planted` sets the others.
        length_s: seconds of the longest clip, by default `LENGTH_S`. Others are shorter by the same factor, but last at
            least half of it, or 30 s.
    """
    planted = replace(planted, emotion=effect)
    _make_generator(partial(_write_recordings, planted=planted), planted).make(out, subjects, seed, effect, length_s)


def synthesize_processed(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, planted: Planted = ALL
) -> None:
    """Write synthetic files in the preprocessed form, with other random signals: `Processed_data/sub004.pkl` and so on,
    54 MB each, and the BIDS release's files without recordings. The length can only be the release's 30 s.

    The EEG's reference is the average of all 32 sites, as released. The EEG has no artefacts.
    """
    planted, own = replace(planted, emotion=effect), reader.LENGTH_S
    _make_generator(_write_arrays, planted, own, (own, own)).make(out, subjects, seed, effect, length_s)


def draw(subjects: int, seed: int, effect: float, *, planted: Planted = ALL) -> np.ndarray:
    """Return the planted values as `Generator.draw` does: rows of `TRIALS`, the 28 clips of each subject in the order
    shown, subjects by number. Ratings and order depend on the seed alone."""
    truths = _make_generator(_write_arrays, planted).truths(subjects, seed, effect)
    return np.concatenate(sorted(truths, key=lambda rows: str(rows["person"][0])))


def _make_generator(
    write: Callable[..., None], planted: Planted, default_s: float = LENGTH_S, limits_s: tuple[float, float] = LIMITS_S
) -> Generator:
    truth, about = partial(_draw_truth, planted=planted), {"planted": asdict(planted)}
    return Generator(__name__, "faced", ORDER, default_s, limits_s, "clips of {:g} s", truth, write, about)


def _write_recordings(out: Path, truths: list[np.ndarray], seed: int, length_s: float, *, planted: Planted) -> None:
    """Write the files of the BIDS release below `out`, with a BDF file of each subject."""
    for files, rows, events, end_s in write_release(out, truths, seed):
        person = str(rows["person"][0])
        _shorten(files, person, events, end_s, length_s)
        _record(files, person, seed, planted)


def _write_arrays(out: Path, truths: list[np.ndarray], seed: int, _: float) -> None:
    """Write the files of the release below `out`, with a file of processed arrays instead of a BDF file of each
    subject."""
    (out / "Processed_data").mkdir()
    for files, rows, events, end_s in write_release(out, truths, seed):
        person = str(rows["person"][0])
        state_seconds(files.about, int(end_s) + 1)
        write_events(files.events, events, int(find_cohort(person).rate))
        path = out / "Processed_data" / f"{person.replace('-', '')}.pkl"
        path.write_bytes(pickle.dumps(_make_clips(person, np.sort(rows, order="clip")["power"], seed), protocol=4))


def _draw_truth(person: str, seed: int, effect: float, _: float, *, planted: Planted) -> np.ndarray:
    """Return the planted values of one subject: a row of `TRIALS` for each of 28 clips, in the order shown."""
    rng = np.random.default_rng([seed, 3, int(person[-3:])])
    rows = np.zeros(len(CLIPS), TRIALS)
    rows["person"], rows["order"] = person, np.arange(len(CLIPS))
    rows["clip"] = np.concatenate([rng.permutation(release.BLOCKS[k]) for k in rng.permutation(len(release.BLOCKS))])
    rows["ratings"] = _draw_ratings(rng, seed)[rows["clip"] - 1]
    rows["felt"], rows["power"] = _draw_powers(
        person, rows["clip"], rows["ratings"], seed, replace(planted, emotion=effect)
    )
    return rows


def _draw_powers(
    person: str, clips: np.ndarray, ratings: np.ndarray, seed: int, planted: Planted
) -> tuple[np.ndarray, np.ndarray]:
    """Return the emotion felt (n,) and log powers (n, 30, 5) of a subject's clips (n,) with ratings (n, 12)."""
    felt, strength = _find_felt(clips, ratings[:, [RATINGS.index(name.capitalize()) for name in FELT]])
    titles, assigned = zip(*((CLIPS[clip].film, CLIPS[clip].emotion) for clip in clips.tolist()), strict=True)
    if planted.follows == "own":
        size = EMOTION * np.where(felt == EMOTIONS.index("neutral"), 1.0, strength / TYPICAL)
        emotions = size[:, None, None] * draw_patterns(seed, "emotion", EMOTIONS)[felt]
        for pattern, (name, (mean, sd)) in zip(draw_patterns(seed, "dimension", USUAL), USUAL.items(), strict=True):
            emotions += DIMENSION * ((ratings[:, RATINGS.index(name)] - mean) / sd)[:, None, None] * pattern
    else:
        emotions = EMOTION * draw_patterns(seed, "emotion", EMOTIONS)[[EMOTIONS.index(name) for name in assigned]]
    all_titles = list(dict.fromkeys(clip.film for clip in CLIPS.values()))
    films = FILM * draw_patterns(seed, "film", all_titles)[[all_titles.index(title) for title in titles]]
    rng = np.random.default_rng([seed, 4, int(person[-3:])])
    subject_pattern, *block_patterns = rng.standard_normal((1 + len(release.BLOCKS), len(ELECTRODES), len(BANDS)))
    noise = rng.standard_normal((len(CLIPS), len(ELECTRODES), len(BANDS)))[clips - 1]
    block_of = {clip: k for k, block in enumerate(release.BLOCKS) for clip in block}
    blocks = np.stack([block_patterns[block_of[clip]] for clip in clips.tolist()])
    shared = planted.film * films + planted.emotion * emotions
    return felt, shared + PERSON * planted.person * subject_pattern + BLOCK * planted.block * blocks + TRIAL * noise


def draw_patterns(seed: int, what: Literal["film", "emotion", "dimension"], names: Collection[str]) -> np.ndarray:
    """Return (len(names), 30, 5): for each name a pattern over 30 electrodes and 5 bands, with a mean square of 1."""
    rng = np.random.default_rng([seed, ("film", "emotion", "dimension").index(what)])
    drawn = rng.standard_normal((len(names), len(ELECTRODES), len(BANDS)))
    return np.asarray(drawn / np.sqrt((drawn**2).mean((1, 2), keepdims=True)))


def _draw_ratings(rng: np.random.Generator, seed: int) -> np.ndarray:
    """Return (28, 12) ratings of all clips by a subject, 0 to 7, in the order of `CLIPS` and `RATINGS`."""
    clip_rng = np.random.default_rng([seed, 5])
    assigned = np.array([EMOTIONS.index(clip.emotion) for clip in CLIPS.values()])
    latent = 1.4 * PROFILE[assigned] - 1.35 + 0.35 * clip_rng.standard_normal((len(CLIPS), len(FELT)))
    latent += 0.7 * rng.standard_normal() + 0.9 * rng.standard_normal((len(CLIPS), 1))
    emotions = np.clip(latent + 2.0 * rng.standard_normal(latent.shape), 0, 7)
    felt, strength = _find_felt(np.array([*CLIPS]), emotions)
    clip_sign, felt_sign = (np.sign(index - EMOTIONS.index("neutral")) for index in (assigned, felt))  # -1, 0 or 1
    clip, subject, trial = clip_rng.standard_normal((3, 28)), rng.standard_normal((3, 1)), rng.standard_normal((4, 28))
    stronger = np.where(felt_sign > 0, 0.4, -0.04 * np.abs(felt_sign)) * (strength - TYPICAL)
    valence = 3.05 + 0.7 * clip_sign + 0.65 * felt_sign + stronger + 0.3 * clip[0] + 0.6 * subject[0] + 1.25 * trial[0]
    arousal = np.where(felt_sign == 0, 1.0, 1.5 - 0.3 * felt_sign + 0.45 * strength)
    arousal += 0.3 * clip[1] + 0.95 * subject[1] + 1.35 * trial[1]
    familiarity = 0.8 + 2.2 * (clip_sign > 0) + clip[2] + 1.3 * subject[2] + 2.0 * trial[2]
    rated = {name.capitalize(): column for name, column in zip(FELT, emotions.T, strict=True)}
    rated |= {"Arousal": arousal, "Valence": valence, "Familiarity": familiarity}
    rated["Liking"] = valence - 0.1 + 1.3 * trial[3]
    return np.clip(np.stack([rated[name] for name in RATINGS], axis=1), 0, 7)


def _find_felt(clips: np.ndarray, emotions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) index in `EMOTIONS` of the emotion felt, and (n,) strength, from the ratings (n, 8) of `FELT`."""
    strongest = np.array([EMOTIONS.index(FELT[k]) for k in emotions.argmax(1)])
    neutral = np.array([CLIPS[clip].positive is None for clip in clips.tolist()])
    return np.where(neutral, EMOTIONS.index("neutral"), strongest), emotions.max(1)


def _shorten(files: Files, person: str, events: Sequence[Row], end_s: float, length_s: float) -> None:
    """Write the events, and the length of the recording, on a shortened time axis."""
    shorter, shorter_s = shorten(events, end_s, length_s)
    write_events(files.events, shorter, int(find_cohort(person).rate))
    state_seconds(files.about, math.ceil(shorter_s))


def _record(files: Files, person: str, seed: int, planted: Planted) -> None:
    """Write the BDF file that a subject's sidecars describe."""
    names, exact_rate, unit = find_cohort(person)
    rate, seconds = int(exact_rate), read_seconds(files.about)
    events = read_events(files.events)
    shown = select_clips(events)
    clips = np.array([int(row["video_index"]) for row in shown])
    ratings = np.array([[float(row[name]) for name in RATINGS] for row in shown])
    power = dict(zip(clips.tolist(), _draw_powers(person, clips, ratings, seed, planted)[1], strict=True))
    rng = np.random.default_rng([seed, 6, int(person[-3:])])
    brain = Brain.draw(rng, SITES)
    data = np.empty((len(SITES), seconds * rate), np.float32)
    for start, stop, clip in find_stretches(events, rate, data.shape[1]):
        data[:, start:stop] = _make_eeg(brain, stop - start, rate, rng, power.get(clip, 0.0))
    moments = np.arange(data.shape[1]) / rate
    for site, row in enumerate(data):
        drift = rng.uniform(-5000, 5000) + DRIFT_UV * draw_smooth_noise(rng, seconds + 1, 1.0, 30.0)
        row += np.interp(moments, np.arange(seconds + 1), drift)
        if person == BAD and site % 3 == 0:
            row += BAD_UV * draw_smooth_noise(rng, len(row), rate, 1.0)
    order = [SITES.index(release.OLD_NAMES.get(name, name)) for name in names]
    write_bdf(files.bdf, names, UNKNOWN if unit == NONE else "uV", rate, data[order])


def _make_clips(person: str, powers: np.ndarray, seed: int) -> np.ndarray:
    """Return the processed EEG of a subject's clips by number, (28, 32, 7500) in uV."""
    rng = np.random.default_rng([seed, 8, int(person[-3:])])
    if person == BAD:
        return BAD_UV * rng.standard_normal(reader.SHAPE)
    brain = Brain.draw(rng, SITES)
    data = np.stack([_make_eeg(brain, reader.SHAPE[2], reader.RATE, rng, power)[PROCESSED] for power in powers])
    return np.asarray(data - data.mean(axis=1, keepdims=True))


def _make_eeg(
    brain: Brain, samples: int, rate: float, rng: np.random.Generator, power: np.ndarray | float
) -> np.ndarray:
    """Return (32, samples) EEG in uV at `SITES`. `power` (30, 5), or 0, is added to each electrode's log powers."""
    spectrum = fft.rfft(SD_UV * brain.draw_eeg(0.0, samples, rate, rng, band=(0.3, 0.45 * rate)))
    edges = [*(low for low, _ in BANDS.values()), BANDS["gamma"][1]]
    band = np.digitize(fft.rfftfreq(samples, 1 / rate), edges)  # 0 below all, 6 above
    added = np.zeros((len(SITES), 2 + len(BANDS)))
    added[: len(ELECTRODES), 1:-1] = power
    return np.asarray(fft.irfft(spectrum * np.exp(added / 2)[:, band], samples))
