"""The files of EmoEEG-MC: ratings, triggers and EEG in EDF, PPG and EDA with Unix times."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.recording import Signal
from embench_plugins.datasets.devices.wearables import on_grid
from embench_plugins.datasets.emoeeg_mc.layout import LENGTH_S, RATINGS, SITES, TASK, WRIST, Person, Trial, trial_of
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.edf_notes import Header
from embench_plugins.datasets.formats.recordings import opened
from embench_plugins.datasets.formats.tracks import damaged

AGAIN = "copy the file again from the release"
CHINA = timezone(timedelta(hours=8))
OFF_S = 90.0
"""How far the end of a file, as its header says it, may be off the README's, which names the minute."""
_CODE = re.compile(r"(\d{1,4})\s*$")
_NUMBER = re.compile(r"\[*(\d{1,2})(?:\.0)?\]*")


class Paths(NamedTuple):
    """The files of a person, whether they are there or not."""

    ratings: Path
    runs: tuple[Path, ...]
    wrist: dict[str, Path]

    @property
    def recorded(self) -> bool:
        """Tells whether all EDF files are there, of a person who has any."""
        return bool(self.runs) and all(path.is_file() for path in self.runs)

    def present(self) -> list[Path]:
        """Those that are there."""
        return [path for path in (self.ratings, *self.runs, *self.wrist.values()) if path.is_file()]


def paths(root: Path, person: Person) -> Paths:
    """Places of a person's files in the release."""
    eeg, stem = root / person.name / "eeg", f"{person.name}_task-{TASK}"
    names = [f"{stem}_eeg.edf"] if person.runs == 1 else [f"{stem}_run-{k + 1:02d}_eeg.edf" for k in range(person.runs)]
    wrist = {kind: eeg / f"{stem}_recording-{name}_physio.tsv.gz" for kind, (name, _) in WRIST.items() if person.wrist}
    return Paths(root / person.name / "beh" / f"{stem}_beh.tsv", tuple(eeg / name for name in names), wrist)


class Rated(NamedTuple):
    """A row of ratings in the order of play, and the number of its stimulus; NaN where a rating is missing."""

    number: int
    scores: tuple[float, ...]


def rated(path: Path) -> list[Rated]:
    """The rows of a person's ratings. Raises DataError where it is no such table."""
    scores = [f"score_{k + 1}" for k in range(len(RATINGS))]
    wanted = f"a table with the columns trial_number, video_name (1 to 42) and {scores[0]} to {scores[-1]}"
    columns = ("trial_number", "video_name", *scores)
    read = files.text_table(path, columns, expected=wanted, hint=AGAIN, separator="\t")
    values = files.numbers(read[scores], path, expected=wanted, hint=AGAIN).to_numpy()
    found = []
    for row, (cell, own) in enumerate(zip(read["video_name"].astype(str), values.tolist(), strict=True)):
        match = _NUMBER.fullmatch(cell)
        if not match or not 1 <= int(match[1]) <= 42:
            raise DataError(f"video_name, row {row + 1}: `{cell[:20]}`", where=str(path), expected=wanted, hint=AGAIN)
        found.append(Rated(int(match[1]), tuple(own)))
    return found


def ratings(rows: Sequence[Rated], played: Sequence[Trial] | None) -> dict[Trial, tuple[float, ...]]:
    """The ratings of each trial.

    Args:
        rows: of 30 people each with the number of its stimulus; of the others all have that of the first one.
        played: the trials in the order of play, where the EDF files or `orders.tsv` tell it.
    """
    if len({row.number for row in rows}) > 1:
        return {trial_of(row.number): row.scores for row in rows}
    if played is None or len(played) != len(rows):
        return {}
    return {trial: row.scores for trial, row in zip(played, rows, strict=True)}


class Shown(NamedTuple):
    """The part of a trial that is read: its file's place among the runs, and seconds from that file's start."""

    context: str
    run: int
    start_s: float
    stop_s: float


def shown(notes: Sequence[tuple[float, str]], run: int, codes: dict[int, str]) -> list[Shown]:
    """The trials of an EDF file: from a context's trigger to that of the ratings, of which the last 30 s are read. One
    that another trial follows before any rating was broken off, and is no trial."""
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


def eeg(path: Path, parts: Sequence[Shown]) -> Iterator[Signal]:
    """The EEG of parts of a file in uV, (64, samples) in the order of `SITES`."""
    with opened(path) as channels:
        known = {_site(track.name): track for track in channels(Channels(channels={name: name for name in SITES}))}
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
                raise damaged(path, f"a trial at {part.start_s:g} s, after the file's end")
            data = np.stack([track.read(first, last) for track in tracks])
            yield Signal(data.astype(np.float32), rate, SITES, "uV")


def _site(label: str) -> str:
    """A channel's site, whatever stands around it: `EEG Fp1-REF` is `fp1`."""
    return label.lower().removeprefix("eeg ").partition("-")[0].strip()


def timed_rows(path: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Unix times in s (n,) and values (n,) of a file with one column of values and one of times. Raises DataError where
    it is no such file."""
    wanted = f"two columns without a header: {column} and Unix time in s"
    try:
        read = pd.read_csv(path, sep="\t", header=None, compression="gzip", low_memory=False)
    except (OSError, EOFError, ValueError, zlib.error, pd.errors.ParserError) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected=wanted, hint=AGAIN) from error
    if read.shape[1] != 2:
        raise DataError(f"{read.shape[1]} columns", where=str(path), expected=wanted, hint=AGAIN)
    values, times = (pd.to_numeric(read[k], "coerce").to_numpy(np.float64) for k in (0, 1))
    known = np.isfinite(times)
    if not known.any() or not 1e9 < np.median(times[known]) < 3e9:
        raise DataError("its second column holds no Unix times", where=str(path), expected=wanted, hint=AGAIN)
    values, times = values[known], times[known]
    if (np.diff(times) == 0).mean() > 0.5:
        raise DataError("most rows share their time with another", where=str(path), expected=wanted, hint=AGAIN)
    return times, values


def clock(head: Header, end: datetime) -> float | None:
    """The time at which an EDF file began, in Unix s; None where its header contradicts the README's end."""
    if head.start is None:
        return None
    began = head.start.timestamp()
    return began if abs(began + head.seconds - end.timestamp() - 30) <= OFF_S else None


def piece(times: np.ndarray, values: np.ndarray, kind: str, start: float, length_s: float) -> Signal | None:
    """A wristband's signal from a Unix time on; None where it has no sample there."""
    rate = WRIST[kind][1]
    near = np.abs(times - start) < length_s + 1
    data = on_grid(np.rint((times[near] - start) * rate), values[near, None], max(int(length_s * rate), 1))
    return Signal(data, rate, (kind,), "a.u.") if np.isfinite(data).any() else None
