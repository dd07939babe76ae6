"""The release of EmoEEG-MC: people, orders of trials, trigger codes and channels, and the files that hold them."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.recording import Signal
from embench_plugins.datasets.devices.wearables import put_on_grid
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.channels import Channels, damaged_error
from embench_plugins.datasets.formats.notes import Header
from embench_plugins.datasets.formats.recordings import open_recording

# The layout of EmoEEG-MC, shared by its reader and its generator: people, orders of trials, trigger codes, channels.
#
# `orders.tsv` beside this file holds the facts of the release's README and ratings' files about each person. The two
# contradict each other for sub-53 and sub-54, whose orders are exchanged: one of them met the emotions in turn, sub-54
# by the README, and sub-53, who was recorded first, by the ratings. The table follows the ratings.

TASK = "emotion"
CONTEXTS = ("imagery", "film")
EMOTIONS = ("sadness", "disgust", "fear", "neutral", "joy", "tenderness", "inspiration")
"""The classes of `emotion`, in the order of the preprocessed files."""
CODES = {"sad": 0, "dis": 1, "fear": 2, "neu": 3, "joy": 4, "ten": 5, "ins": 6}
"""First letters of a stimulus' name -> position in `EMOTIONS` of the emotion that it is meant to evoke."""
POSITIVE = (4, 5, 6)

_MOST_BYTES = 1 << 28
"""Largest accepted size of an unpacked table."""
REORDERED = tuple(f"{name}{number}" for name in CODES for number in (4, 5, 8))
"""The 21 stimuli of a context in the order of the preprocessed files."""
NUMBERED = tuple(
    f"{name}{number}" for name in ("joy", "ins", "ten", "sad", "fear", "dis", "neu") for number in (4, 8, 5)
)
"""The 21 stimuli in the order of their numbers in the ratings' files: 1 to 21 for imagery, 22 to 42 for films."""

RATINGS = (
    "joy", "inspiration", "tenderness", "sadness", "fear", "disgust", "arousal", "valence", "familiarity", "liking",
)  # fmt: skip
"""The scales, 0 to 7, in the order of `score_1` to `score_10`."""
FELT = RATINGS[:6]

SITES = (
    "Fp1", "Fpz", "Fp2", "AF7", "AF3", "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8",
    "FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8",
    "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8",
    "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "F9", "F10", "TP9", "TP10",
)  # fmt: skip
LENGTH_S = 30.0
"""Length of the part of a trial that is read, as the authors do: its last 30 s, before the ratings."""
COPIED = {"sub-57": "sub-21", "sub-58": "sub-22", "sub-59": "sub-23", "sub-60": "sub-24"}
"""Subject -> the other subject whose ratings are in the subject's file."""
WRIST = {"ppg": ("PPG", 20.0), "eda": ("GSR", 40.0)}
"""Modality of the wristband -> word in the names of its files, and rate in Hz."""


class Trial(NamedTuple):
    """A trial of a subject, by its stimulus: the context (`imagery` or `film`) and the name, such as `joy4`."""

    context: str
    name: str

    @property
    def stimulus(self) -> str:
        """Name of the stimulus with its context, such as `film_joy4`."""
        return f"{self.context}_{self.name}"

    @property
    def emotion(self) -> int:
        """Position in `EMOTIONS` of the emotion that the stimulus is meant to evoke."""
        return CODES[self.name[:-1]]


class Person(NamedTuple):
    """Facts about a subject in the release.

    Args:
        runs: number of EDF files.
        rate: rate of the EDF files in Hz.
        ends: end of each EDF file, to the minute, in China's time.
        wrist: True if there are PPG and EDA.
        codes: trigger -> `film`, `imagery`, `rating` or `fade`.
        pairs: context of every three trials, I or F. If the release does not state it, only the first letter, or none.
        orders: context -> its 21 stimuli in order, None for a missing trial.
    """

    name: str
    runs: int
    rate: float
    wrist: bool
    codes: dict[int, str]
    pairs: str
    ends: tuple[datetime, ...]
    orders: dict[str, tuple[str | None, ...]]

    def trials(self, context: str) -> list[Trial]:
        """Return the trials of a context that are not missing, in the order of play."""
        return [Trial(context, name) for name in self.orders[context] if name]

    def sequence(self, pairs: str) -> list[Trial]:
        """Return all trials of both contexts in the order of play, given the context of every three trials."""
        taken, found = dict.fromkeys(CONTEXTS, 0), []
        for letter in pairs:
            context = "imagery" if letter == "I" else "film"
            three = self.orders[context][taken[context] : taken[context] + 3]
            taken[context] += 3
            found += [Trial(context, name) for name in three if name]
        return found


@cache
def list_people() -> dict[str, Person]:
    """Return subject (sub-01 to sub-60) -> facts about the subject."""
    with Path(__file__).with_name("orders.tsv").open(encoding="utf-8", newline="") as file:
        return {row["subject"]: _parse_person(row) for row in csv.DictReader(file, delimiter="\t")}


def _parse_person(row: dict[str, str]) -> Person:
    return Person(
        name=row["subject"],
        runs=int(row["runs"]),
        rate=float(row["rate"]),
        wrist=row["wrist"] == "1",
        codes={int(row[kind]): kind for kind in ("film", "imagery", "rating", "fade")},
        pairs=row["pairs"].strip("-"),
        ends=tuple(datetime.fromisoformat(f"{text}+08:00") for text in row["ends"].split()),
        orders={kind: tuple(name.strip("-") or None for name in row[f"{kind}_order"].split()) for kind in CONTEXTS},
    )


def find_trial(number: int) -> Trial:
    """Return the trial of a number in the ratings' files: 1 is `joy4` of imagery, 22 is `joy4` of films."""
    return Trial(CONTEXTS[number > len(NUMBERED)], NUMBERED[(number - 1) % len(NUMBERED)])


# The files of EmoEEG-MC: ratings, triggers and EEG in EDF, PPG and EDA with Unix times.

AGAIN = "copy the file again from the release"
CHINA = timezone(timedelta(hours=8))
OFF_S = 90.0
"""Greatest difference in s between a file's end by its header and by the README, which states the minute."""
_CODE = re.compile(r"(\d{1,4})\s*$")
_NUMBER = re.compile(r"\[*(\d{1,2})(?:\.0)?\]*")


class Paths(NamedTuple):
    """The paths of a subject's files, whether they exist or not."""

    ratings: Path
    runs: tuple[Path, ...]
    wrist: dict[str, Path]

    @property
    def recorded(self) -> bool:
        """True if the subject has EDF files and all of them exist."""
        return bool(self.runs) and all(path.is_file() for path in self.runs)

    def present(self) -> list[Path]:
        """Return the files that exist."""
        return [path for path in (self.ratings, *self.runs, *self.wrist.values()) if path.is_file()]


def locate_files(root: Path, person: Person) -> Paths:
    """Return the paths of a subject's files in the release."""
    eeg, stem = root / person.name / "eeg", f"{person.name}_task-{TASK}"
    names = [f"{stem}_eeg.edf"] if person.runs == 1 else [f"{stem}_run-{k + 1:02d}_eeg.edf" for k in range(person.runs)]
    wrist = {kind: eeg / f"{stem}_recording-{name}_physio.tsv.gz" for kind, (name, _) in WRIST.items() if person.wrist}
    return Paths(root / person.name / "beh" / f"{stem}_beh.tsv", tuple(eeg / name for name in names), wrist)


class Rated(NamedTuple):
    """A row of ratings in the order of play, with the number of its stimulus; NaN for a missing rating."""

    number: int
    scores: tuple[float, ...]


def read_rated(path: Path) -> list[Rated]:
    """Return the rows of a subject's ratings. Raises DataError if the file is not such a table."""
    scores = [f"score_{k + 1}" for k in range(len(RATINGS))]
    wanted = f"a table with the columns trial_number, video_name (1 to 42) and {scores[0]} to {scores[-1]}"
    columns = ("trial_number", "video_name", *scores)
    read = files.read_text_table(path, columns, expected=wanted, hint=AGAIN, separator="\t")
    values = files.to_numbers(read[scores], path, expected=wanted, hint=AGAIN).to_numpy()
    found = []
    for row, (cell, ratings) in enumerate(zip(read["video_name"].astype(str), values.tolist(), strict=True)):
        match = _NUMBER.fullmatch(cell)
        if not match or not 1 <= int(match[1]) <= 42:
            raise DataError(f"video_name, row {row + 1}: `{cell[:20]}`", where=str(path), expected=wanted, hint=AGAIN)
        found.append(Rated(int(match[1]), tuple(ratings)))
    return found


def sort_ratings(rows: Sequence[Rated], played: Sequence[Trial] | None) -> dict[Trial, tuple[float, ...]]:
    """Return trial -> its ratings; empty if the trials of the rows are unknown.

    Args:
        rows: the ratings. Each row of 30 subjects has its stimulus' number; all rows of the others have the first
            one's.
        played: the trials in the order of play, if the EDF files or `orders.tsv` state it.
    """
    if len({row.number for row in rows}) > 1:
        return {find_trial(row.number): row.scores for row in rows}
    if played is None or len(played) != len(rows):
        return {}
    return {trial: row.scores for trial, row in zip(played, rows, strict=True)}


class Shown(NamedTuple):
    """The part of a trial that is read: the position of its file among the runs, and its start and stop in the file."""

    context: str
    run: int
    start_s: float
    stop_s: float


def find_trials(notes: Sequence[tuple[float, str]], run: int, codes: dict[int, str]) -> list[Shown]:
    """Return the trials of an EDF file: the last 30 s between a context's trigger and the ratings' trigger. A trial
    that is followed by another one before any rating was aborted and is left out."""
    found, begun = [], None
    for seconds, text in notes:
        match = _CODE.search(text)
        kind = codes.get(int(match[1])) if match else None
        if kind in ("film", "imagery"):
            begun = (kind, seconds)
        elif kind == "rating" and begun and seconds > begun[1]:
            found.append(Shown(begun[0], run, max(begun[1], seconds - LENGTH_S), seconds))
            begun = None
    return found


def read_eeg(path: Path, parts: Sequence[Shown]) -> Iterator[Signal]:
    """Yield the EEG of parts of a file in uV, (64, samples) in the order of `SITES`."""
    with open_recording(path) as channels:
        known = {_find_site(track.name): track for track in channels(Channels(channels={name: name for name in SITES}))}
        if missing := [name for name in SITES if name.lower() not in known]:
            what = f"no channel {', '.join(missing[:5])}, but {', '.join(list(known)[:12])}"
            raise DataError(what, where=str(path), expected="64 channels of the 10-20 system", hint=AGAIN)
        tracks = [known[name.lower()] for name in SITES]
        rate = tracks[0].rate
        if wrong := [track for track in tracks if track.rate != rate or track.unit not in ("uV", "\u00b5V", "\u03bcV")]:
            what = f"channel {wrong[0].name} has {wrong[0].rate:g} Hz in {wrong[0].unit}"
            raise DataError(what, where=str(path), expected=f"{rate:g} Hz in uV, as others have", hint=AGAIN)
        for part in parts:
            first, last = round(part.start_s * rate), min(round(part.stop_s * rate), tracks[0].samples)
            if last <= first:
                raise damaged_error(path, f"a trial at {part.start_s:g} s, after the file's end")
            data = np.stack([track.read(first, last) for track in tracks])
            yield Signal(data.astype(np.float32), rate, SITES, "uV")


def _find_site(label: str) -> str:
    """Return the electrode in a channel's label, in lower case: `EEG Fp1-REF` gives `fp1`."""
    return label.lower().removeprefix("eeg ").partition("-")[0].strip()


def read_timed_rows(path: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return Unix times in s (n,) and values (n,) of a file with one column of values and one of times. Raises
    DataError if it is not such a file."""
    wanted = f"two columns without a header: {column} and Unix time in s"
    try:
        with gzip.open(path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it unpacks to over {_MOST_BYTES:,} bytes")
        read = pd.read_csv(io.BytesIO(content), sep="\t", header=None, low_memory=False)
    except (OSError, EOFError, ValueError, zlib.error, pd.errors.ParserError) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected=wanted, hint=AGAIN) from error
    if read.shape[1] != 2:
        raise DataError(f"{read.shape[1]} columns", where=str(path), expected=wanted, hint=AGAIN)
    values, times = (pd.to_numeric(read[k], "coerce").to_numpy(np.float64) for k in (0, 1))
    known = np.isfinite(times)
    if not known.any() or not 1e9 < np.median(times[known]) < 3e9:
        raise DataError("there are no Unix times in its second column", where=str(path), expected=wanted, hint=AGAIN)
    values, times = values[known], times[known]
    if (np.diff(times) == 0).mean() > 0.5:
        raise DataError("most rows share their time with another", where=str(path), expected=wanted, hint=AGAIN)
    return times, values


def find_clock(head: Header, end: datetime) -> float | None:
    """Return the start of an EDF file in Unix s; None if it is missing or contradicts `end`, the README's."""
    if head.start is None:
        return None
    began = head.start.timestamp()
    return began if abs(began + head.seconds - end.timestamp() - 30) <= OFF_S else None


def cut_piece(times: np.ndarray, values: np.ndarray, kind: str, start: float, length_s: float) -> Signal | None:
    """Return a wristband's signal for `length_s` from the Unix time `start`; None without a sample there."""
    rate = WRIST[kind][1]
    near = np.abs(times - start) < length_s + 1
    data = put_on_grid(np.rint((times[near] - start) * rate), values[near, None], max(int(length_s * rate), 1))
    return Signal(data, rate, (kind,), "a.u.") if np.isfinite(data).any() else None
