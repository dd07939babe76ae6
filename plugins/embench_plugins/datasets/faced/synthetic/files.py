"""The files of FACED's BIDS release, for its synthesizer: tables, recordings as 24-bit BDF, a shortened time axis."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench_plugins.datasets.faced.bids import cohort
from embench_plugins.datasets.faced.layout import CLIPS, PEOPLE, RATINGS, TASK
from embench_plugins.datasets.synthetic import edf

COLUMNS = (
    "onset", "duration", "trial_type", "value", "sample", "emotion_label", "binary_label", "video_index", *RATINGS,
)  # fmt: skip
NONE = "n/a"
MARK = "\ufeff"
RANGE_UV = 375_000.0
RECORDS = 64  # seconds of a file that are written at a time

FOREIGN = ("sub-029", "sub-045", "sub-049", "sub-059", "sub-060")
"""Subjects with the codes of another experiment in their events."""
FOREIGN_CODES = (76, 77, *range(91, 99), 140, 232, 233)
RESTARTED = ("sub-020", "sub-023", *FOREIGN[:3], "sub-055", *FOREIGN[3:])
"""Subjects with more than five starts of the experiment."""
LONGER = PEOPLE[36:61]
LONGER_S = 8.109
"""Clip 22 has so many more seconds, at its start, in these subjects."""
WITHOUT_RESTS = (*PEOPLE[:4], *PEOPLE[6:8], *PEOPLE[36:50])
"""Subjects without the marks 201 and 202 before the first clip and after the last."""

LAST_S = 30.0
"""What the published methods take of a clip: its last seconds."""
PAUSE = 0.02
"""The share of the time between clips that is left on a shortened time axis: of a median of 69 s, 1.4 s."""
LONGEST_S = max(clip.length_s for clip in CLIPS.values())

Row = dict[str, str]
"""A row of a table, as texts."""


class Files(NamedTuple):
    """A subject's files."""

    scans: Path
    bdf: Path
    about: Path
    channels: Path
    events: Path


def files_of(folder: Path, person: str) -> Files:
    """Where they lie below the release's folder."""
    start = folder / person / "eeg" / f"{person}_task-{TASK}_"
    kinds = ("eeg.bdf", "eeg.json", "channels.tsv", "events.tsv")
    return Files(folder / person / f"{person}_scans.tsv", *(start.with_name(start.name + kind) for kind in kinds))


def write_release(
    out: Path, truths: Sequence[np.ndarray], seed: int
) -> Iterator[tuple[Files, np.ndarray, list[Row], float]]:
    """Writes all but events and recordings of subjects, whose drawn rows have `person`, `clip` and `ratings`; gives
    each one's files, rows, events on the real time axis and the end of the session in s."""
    about = {"Name": "FACED (synthetic)", "BIDSVersion": "1.7.0", "DatasetType": "derivative", "License": "CC0"}
    write_json(out / "dataset_description.json", about)
    people = {str(rows["person"][0]): rows for rows in sorted(truths, key=lambda rows: str(rows["person"][0]))}
    table = [f"{person}\t{17 + 7 * int(person[-3:]) % 22}\t{'FFM'[int(person[-3:]) % 3]}" for person in people]
    write_people(out, ["participant_id\tage\tsex", *table])
    for person, rows in people.items():
        files = files_of(out, person)
        _write_sidecars(files, person)
        rng = np.random.default_rng([seed, 7, int(person[-3:])])
        yield files, rows, *_session(person, rows["clip"], rows["ratings"], rng)


def write_people(out: Path, lines: Sequence[str]) -> None:
    """The table of participants, which has no byte-order mark."""
    (out / "participants.tsv").write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="")


def _session(person: str, clips: np.ndarray, ratings: np.ndarray, rng: np.random.Generator) -> tuple[list[Row], float]:
    """Events on the real time axis, and when the session ends, in s.

    Args:
        clips: (28,) in the order shown. `ratings`: (28, 12) of them.
    """
    at = float(rng.uniform(20, 60))
    events = [_mark(at + 0.5 * k, "Experiment start") for k in range(7 if person in RESTARTED else 5)]
    at += 5
    if person in FOREIGN:
        events += [_mark(at + 0.4 * k, str(code)) for k, code in enumerate(rng.choice(FOREIGN_CODES, 60).tolist())]
        at += 30
    rests = person not in WITHOUT_RESTS
    if rests:
        events += [_mark(at, "201"), _mark(at + 35.1, "202")]
        at += 45
    for order, (clip, rated) in enumerate(zip(clips.tolist(), ratings, strict=True)):
        longer_s = LONGER_S if clip == 22 and person in LONGER else 0.0
        length_s = CLIPS[clip].length_s + longer_s + rng.uniform(-0.02, 0.3)
        events.append(_shown(at, length_s, clip, rated))
        at += length_s + rng.uniform(44, 90) + (60 if order % 4 == 3 else 0)
        if person in FOREIGN and order == 0:
            events.append(_mark(at - 10, str(FOREIGN_CODES[0])))
    if rests:
        events += [_mark(at, "201"), _mark(at + 35.1, "202")]
    return events, at + 50


def read_events(path: Path) -> list[Row]:
    """The rows of a table of events."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def shown(events: Sequence[Row]) -> list[Row]:
    """The rows of film clips, in order of time."""
    return sorted((row for row in events if row["video_index"] != NONE), key=lambda row: float(row["onset"]))


def shorten(events: Sequence[Row], end_s: float, length_s: float) -> tuple[list[Row], float]:
    """Events, and the end of their session, on another time axis: the longest clip lasts `length_s` and others less by
    the same factor, but no less than `LAST_S` or half of `length_s`; of the time between clips `PAUSE` is left."""
    old, new = [0.0], [0.0]
    for row in shown(events):
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
    """Writes events in order of time, their onsets on samples and their ends on milliseconds; `value` numbers the kinds
    of this table by name, as MNE-BIDS does."""
    code = {kind: str(k) for k, kind in enumerate(sorted({row["trial_type"] for row in events}), 1)}
    rows = []
    for row in sorted(events, key=lambda row: float(row["onset"])):
        first, end_s = round(float(row["onset"]) * rate), round(float(row["onset"]) + float(row["duration"]), 3)
        onset_s = first / rate
        duration_s = end_s - onset_s if float(row["duration"]) else 0.0
        times = {"onset": repr(onset_s), "duration": repr(duration_s), "sample": str(first)}
        rows.append({**row, **times, "value": code[row["trial_type"]]})
    _table(path, [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])


def stretches(events: Sequence[Row], rate: int, samples: int) -> Iterator[tuple[int, int, int]]:
    """The clips, and what lies before, between and after them: the first sample, the one after the last, and the clip's
    number, 0 between clips. None is empty."""
    at = 0
    for row in shown(events):
        onset_s = float(row["onset"])
        start, stop = round(onset_s * rate), round((onset_s + float(row["duration"])) * rate)
        if at < start:
            yield at, start, 0
        yield start, stop, int(row["video_index"])
        at = stop
    if at < samples:
        yield at, samples, 0


def _write_sidecars(files: Files, person: str) -> None:
    """The files beside a recording, but its events."""
    layout, rate, unit = cohort(person)
    files.about.parent.mkdir(parents=True)
    about = {"TaskName": TASK, "Manufacturer": "Biosemi", "PowerLineFrequency": NONE, "SamplingFrequency": rate}
    about |= {"SoftwareFilters": NONE, "RecordingDuration": 0.0, "RecordingType": "continuous", "EEGReference": NONE}
    write_json(files.about, {**about, "EEGGround": NONE, "EEGChannelCount": len(layout)})
    head = "name type units low_cutoff high_cutoff description sampling_frequency status status_description"
    high = "62.0" if rate == 250 else "250.0"
    about_all = ("EEG", str(unit), "0.0", high, "ElectroEncephaloGram", str(rate), "good", NONE)
    _table(files.channels, [head.split(), *((name, *about_all) for name in layout)])
    _table(files.scans, [("filename", "acq_time"), (f"eeg/{files.bdf.name}", "2023-01-01T00:00:00.000000Z")])


def seconds_of(path: Path) -> int:
    """The whole seconds of a recording: what its JSON file states lasts until its last sample."""
    about = json.loads(path.read_text("utf-8-sig"))
    return round(about["RecordingDuration"] + 1 / about["SamplingFrequency"])


def state_seconds(path: Path, seconds: int) -> None:
    """The same, written."""
    about = json.loads(path.read_text("utf-8-sig"))
    write_json(path, {**about, "RecordingDuration": round(seconds - 1 / about["SamplingFrequency"], 6)})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON file as MNE-BIDS lays it out."""
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", "utf-8")


def write_bdf(path: Path, channels: Sequence[str], unit: str, rate: int, data: np.ndarray) -> None:
    """A BDF file of one-second records of `data` (C, samples) in uV, whole seconds, over a range of +- `RANGE_UV`.
    `unit` is what its header says."""
    count, records = len(channels), data.shape[1] // rate
    low, high = ([f"{edge:.0f}"] * count for edge in (-RANGE_UV, RANGE_UV))
    described = edf.Channels(channels, [unit] * count, low, high, -(2**23), 2**23 - 1, [rate] * count, [""] * count)
    with path.open("wb") as file:
        file.write(edf.header(described, records, start="01.01.2300.00.00", mark=b"\xffBIOSEMI", kind="24BIT"))
        for first in range(0, records, RECORDS):
            part = data[:, first * rate : (first + RECORDS) * rate]
            file.write(_digital(part.reshape(count, -1, rate).transpose(1, 0, 2)))


def _digital(part: np.ndarray) -> bytes:
    """Values in uV as whole numbers of 24 bits."""
    step = 2 * RANGE_UV / (2**24 - 1)
    whole = np.clip(np.round((part.astype(np.float64) + RANGE_UV) / step) - 2**23, -(2**23), 2**23 - 1)
    return np.ascontiguousarray(whole, "<i4")[..., None].view("u1")[..., :3].tobytes()


def _mark(onset_s: float, kind: str) -> Row:
    return {**dict.fromkeys(COLUMNS, NONE), "onset": repr(onset_s), "duration": "0.0", "trial_type": kind}


def _shown(onset_s: float, length_s: float, number: int, ratings: np.ndarray) -> Row:
    clip = CLIPS[number]
    return {
        **_mark(onset_s, clip.film),
        "duration": repr(float(length_s)),
        "emotion_label": "\\" if clip.positive is None else clip.emotion.capitalize(),
        "binary_label": {None: "neutral", True: "positive", False: "negative"}[clip.positive],
        "video_index": str(number),
        **{name: repr(value) for name, value in zip(RATINGS, ratings.tolist(), strict=True)},
    }


def _table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.write_text(MARK + "".join("\t".join(row) + "\n" for row in rows), "utf-8", newline="")
