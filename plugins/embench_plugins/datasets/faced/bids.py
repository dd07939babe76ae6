"""FACED's BIDS release, nm000112 of NEMAR: the sidecars of `sub-000` to `sub-122`.

Tables begin with a byte-order mark, and `n/a` is a missing cell. In the events only rows with a `video_index` are
clips: others are starts, marks and codes of another experiment. `value` is no trigger (it numbers the titles of that
person), and `trial_type` is the film's title, which is not unique. Neutral clips have a backslash as `emotion_label`.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.faced.card import Shown, shown
from embench_plugins.datasets.faced.layout import CLIPS, FIRST_LAYOUT, PEOPLE, RATINGS, SECOND_LAYOUT, TASK
from embench_plugins.datasets.formats import files

HEADER_BYTES, SAMPLE_BYTES = 8448, 96
"""Of a BDF file of 32 channels: its header, and a sample of all of them."""
AGAIN = "copy the file again from the release"
_EVENTS = ("onset", "duration", "emotion_label", "binary_label", "video_index", *RATINGS)


class Cohort(NamedTuple):
    """A person's channels: names in the file's order, rate in Hz, and the unit that the release states, if any."""

    layout: tuple[str, ...]
    rate: float
    unit: str | None


def cohort(subject: str) -> Cohort:
    """The channels of one of `PEOPLE` as the BIDS release states them.

    >>> cohort("sub-008").unit, cohort("sub-036").rate
    ('n/a', 250.0)
    """
    number = PEOPLE.index(subject)
    slow = number in (4, 5) or 8 <= number <= 60
    unstated = slow and not 36 <= number <= 57
    layout = FIRST_LAYOUT if number <= 60 else SECOND_LAYOUT
    return Cohort(layout, 250.0 if slow else 1000.0, "n/a" if unstated else "\u00b5V")


class Folder(ABC):
    """The files of either release. Of `kinds`, the first is what makes a person be there, the last is the EEG."""

    expected: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def people(self) -> list[str]:
        """Who is there."""
        return [person for person in PEOPLE if self._path(person, self.kinds[0]).is_file()]

    def files(self, subject: str) -> list[Path]:
        """The person's files that decide what is read."""
        return [path for kind in self.kinds if (path := self._path(subject, kind)).is_file()]

    def bdf(self, subject: str) -> Path:
        """The EEG's file, which may be missing."""
        return self._path(subject, self.kinds[-1])

    def info(self, subject: str) -> dict[str, str]:
        """Sex and age band."""
        return self._info.get(subject, {})

    @abstractmethod
    def _path(self, subject: str, kind: str) -> Path: ...

    @property
    @abstractmethod
    def _info(self) -> Mapping[str, dict[str, str]]: ...


class Bids(Folder):
    """The release in a folder with `sub-000` and so on."""

    expected = f"sub-000/eeg/sub-000_task-{TASK}_events.tsv to sub-122"
    kinds = ("events.tsv", "channels.tsv", "eeg.bdf")

    def clips(self, subject: str) -> list[Shown]:
        """What the person saw, in the order of play."""
        table = self._clip_rows(subject)
        ratings = table[list(RATINGS)].to_numpy()
        rows = zip(table["video_index"], table["onset"], table["duration"], ratings.tolist(), strict=True)
        return [shown(int(clip), onset, length, tuple(rated)) for clip, onset, length, rated in rows]

    def rated(self, subject: str) -> list[tuple[int, tuple[float, ...]]]:
        """Clips and their ratings, in the order of play."""
        return [(one.clip, one.ratings) for one in self.clips(subject)]

    def channels(self, subject: str) -> Cohort:
        """What the sidecar says of the channels."""
        path = self._path(subject, "channels.tsv")
        wanted = "a table of 32 channels of one rate and unit"
        # An unstated unit is a missing cell, and so would be a channel called NA.
        read = files.text_table(
            path, ("name", "units", "sampling_frequency"), expected=wanted, hint=AGAIN, separator="\t"
        ).fillna({"units": "n/a"})
        units, rates = read["units"].astype(str).unique(), pd.to_numeric(read["sampling_frequency"], "coerce").unique()
        if len(units) != 1 or len(rates) != 1 or not 0 < rates[0] <= 1e6:
            what = f"units {', '.join(units[:3])} and rates {', '.join(map(str, rates[:3]))}"
            raise DataError(what, where=str(path), expected=wanted, hint=AGAIN)
        return Cohort(tuple(read["name"].astype(str)), float(rates[0]), units[0])

    def look(self, subject: str) -> Iterator[Finding]:
        """What is odd in the person's sidecars, or contradicts the release's tables."""
        yield from self._look_events(subject)
        path, known = self._path(subject, "channels.tsv"), cohort(subject)
        found = self.channels(subject)
        if found.layout != known.layout:
            other = [name for name in found.layout if name not in known.layout] or ["the same ones in another order"]
            yield Finding("warning", str(path), f"channels are not those of the release: {', '.join(other[:5])}")
        if (found.rate, found.unit) != known[1:]:
            what = f"{found.rate:g} Hz in {found.unit}, the release has {known.rate:g} Hz in {known.unit}"
            yield Finding("warning", str(path), what)
        yield from self._look_size(subject, found.rate)

    def _look_events(self, subject: str) -> Iterator[Finding]:
        path = str(self._path(subject, "events.tsv"))
        table = self._clip_rows(subject)
        for row in table.to_dict("records"):
            number = int(row["video_index"])
            clip = CLIPS[number]
            sign = {True: "positive", False: "negative", None: "neutral"}[clip.positive]
            meant = "\\" if clip.positive is None else clip.emotion.capitalize()
            if (row["emotion_label"], row["binary_label"]) != (meant, sign):
                what = f"clip {number} is {row['emotion_label']}, {row['binary_label']}, not {meant}, {sign}"
                yield Finding("error", path, what)

    def _look_size(self, subject: str, rate: float) -> Iterator[Finding]:
        bdf, path = self.bdf(subject), self._path(subject, "eeg.json")
        try:
            said = json.loads(path.read_text("utf-8-sig"))
            stated, lasts = said["SamplingFrequency"], said["RecordingDuration"]
        except (OSError, ValueError, TypeError, LookupError) as error:
            yield Finding("warning", str(path), f"it does not say rate and duration: {error}")
            return
        if stated != rate:
            yield Finding("warning", str(path), f"SamplingFrequency is {stated}, channels.tsv has {rate:g}")
        if bdf.is_file() and isinstance(lasts, int | float) and math.isfinite(lasts):
            size = HEADER_BYTES + SAMPLE_BYTES * (round(lasts * rate) + 1)
            if bdf.stat().st_size != size:
                what = (
                    f"{bdf.stat().st_size:,} bytes, not {size:,} for the {lasts + 1 / rate:g} s that its sidecar says"
                )
                yield Finding("warning", str(bdf), what)

    def _clip_rows(self, subject: str) -> pd.DataFrame:
        """The rows of clips, in the order of play: numbers, but for the two labels."""
        path = self._path(subject, "events.tsv")
        wanted = f"a table of events with the columns {', '.join(_EVENTS)}, in which each clip comes once"
        read = files.text_table(path, _EVENTS, expected=wanted, hint=AGAIN, separator="\t")
        read = read[read["video_index"].notna()].reset_index(drop=True)
        texts = read[["emotion_label", "binary_label"]]
        rows = files.numbers(read.drop(columns=list(texts)), path, expected=wanted, hint=AGAIN)
        found = rows["video_index"].tolist()
        if wrong := [clip for clip in found if clip not in CLIPS or found.count(clip) > 1]:
            what = f"a clip of number {wrong[0]:g}, which is none, or comes twice"
            raise DataError(what, where=str(path), expected=wanted, hint=AGAIN)
        times = rows[["onset", "duration"]]
        if not found or not ((times >= 0) & (times < 1e6)).all(axis=None) or (rows["duration"] <= 0).any():
            raise DataError("no clip, or one without a time", where=str(path), expected=wanted, hint=AGAIN)
        return rows.join(texts).sort_values("onset", kind="stable", ignore_index=True)

    def _path(self, subject: str, end: str) -> Path:
        return self.root / subject / "eeg" / f"{subject}_task-{TASK}_{end}"

    @cached_property
    def _info(self) -> Mapping[str, dict[str, str]]:
        return who(self.root / "participants.tsv", ("participant_id", "age", "sex"), "\t")


def who(path: Path, columns: tuple[str, str, str], separator: str) -> dict[str, dict[str, str]]:
    """Sex and age band by subject, from a table of either release, whose names end alike."""
    return {f"sub-{name[-3:]}": known for name, known in files.who(path, columns, separator).items()}
