"""FACED's releases: subjects, electrodes, clips and ratings, the card, and the files of the BIDS and original releases.

The readers are in `reader`. Here is also the choice between the releases, and the checks of the ratings of both.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Card, Download, Finding, ModalityCard
from embench.interfaces.recording import Label, Signal
from embench.interfaces.units import LabelRule, Target
from embench.signals.filters import bandpass
from embench_plugins.datasets.formats import files, notes
from embench_plugins.datasets.formats.channels import AGAIN, Channels, Track
from embench_plugins.datasets.formats.matlab import read_content, read_variables
from embench_plugins.datasets.formats.ratings import (
    find_highest,
    make_binary_targets,
    make_class_label,
    make_scale_targets,
    make_value_targets,
)
from embench_plugins.datasets.formats.recordings import open_recording

# The layout of FACED, shared by its readers and its synthesizer: subjects, electrodes, film clips, self-ratings.

PEOPLE = tuple(f"sub-{number:03d}" for number in range(123))
TASK = "watchingVideoClips"

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "HEOR": "A2", "HEOL": "A1"}
"""A site's name in some files -> its name today; in some files the mastoids have names of eye electrodes."""

MASTOIDS = ("A1", "A2")
ELECTRODES = (
    "Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T7", "T8", "CP1", "CP2",
    "CP5", "CP6", "Pz", "P3", "P4", "P7", "P8", "PO3", "PO4", "Oz", "O1", "O2",
)  # fmt: skip
"""The 30 sites of the scalp, in the order of all files."""

FIRST_LAYOUT = (
    "Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T3", "T4", "A1", "A2",
    "CP1", "CP2", "CP5", "CP6", "Pz", "P3", "P4", "T5", "T6", "PO3", "PO4", "Oz", "O1", "O2",
)  # fmt: skip
"""The channels of sub-000 to sub-060, in the order of their files."""
SECOND_LAYOUT = (*ELECTRODES, "HEOR", "HEOL")
"""The channels of sub-061 to sub-122."""

EMOTIONS = ("anger", "disgust", "fear", "sadness", "neutral", "amusement", "inspiration", "joy", "tenderness")
"""The classes of the label `emotion`, in their order."""
FELT = tuple(name for name in EMOTIONS if name != "neutral")
"""The classes of the label `own_emotion`; neutral was not rated."""
RATINGS = (
    "Joy", "Tenderness", "Inspiration", "Amusement", "Anger", "Disgust", "Fear", "Sadness", "Arousal", "Valence",
    "Familiarity", "Liking",
)  # fmt: skip
"""The twelve ratings, 0 to 7, in the order of all files."""


class Clip(NamedTuple):
    """A video clip: the emotion that it is meant to evoke, its length in s (the median of its showings), and the film's
    title as in the events."""

    emotion: str
    length_s: float
    film: str

    @property
    def positive(self) -> bool | None:
        """True if the emotion that the clip is meant to evoke is positive; None for neutral clips."""
        return None if self.emotion == "neutral" else self.emotion in EMOTIONS[5:]


CLIPS = {
    1: Clip("anger", 81.138, "The Tokyo Trial"),
    2: Clip("anger", 63.941, "Documentary about the Nanjing Massacre"),
    3: Clip("anger", 73.214, "City of Life and Death"),
    4: Clip("disgust", 78.646, "Trainspotting"),
    5: Clip("disgust", 69.383, "Indiana Jones and the Last Crusade"),
    6: Clip("disgust", 90.547, "Hellraiser"),
    7: Clip("fear", 56.085, "The Shining"),
    8: Clip("fear", 60.265, "The Shining"),
    9: Clip("fear", 105.804, "The Exorcist"),
    10: Clip("sadness", 45.108, "In Bruges"),
    11: Clip("sadness", 60.156, "Departures"),
    12: Clip("sadness", 82.048, "Gangs of New York"),
    13: Clip("neutral", 35.099, "Blue"),
    14: Clip("neutral", 44.319, "Blue"),
    15: Clip("neutral", 38.934, "Blue"),
    16: Clip("neutral", 43.065, "Blue"),
    17: Clip("amusement", 55.917, "Modern Times"),
    18: Clip("amusement", 69.707, "Minions"),
    19: Clip("amusement", 73.268, "Mr. Bean"),
    20: Clip("inspiration", 129.118, "Forrest Gump"),
    21: Clip("inspiration", 77.118, "The Theory of Everything"),
    22: Clip("inspiration", 75.802, "The Shawshank Redemption"),
    23: Clip("joy", 34.130, "My Neighbor Totoro"),
    24: Clip("joy", 37.259, "Night at the Museum \u2162"),
    25: Clip("joy", 67.632, "Harry Potter \u2160"),
    26: Clip("tenderness", 63.123, "\u00a0The Pursuit of Happiness"),
    27: Clip("tenderness", 54.161, "Juno"),
    28: Clip("tenderness", 77.475, "Sex and the City \u2161"),
}
"""Number -> clip. Number 22 lasts 83.9 s for sub-036 to sub-060: the extra seconds are at its start."""

BLOCKS = (
    (17, 20, 23, 26), (18, 21, 24, 27), (19, 22, 25, 28), (1, 4, 7, 10), (2, 5, 8, 11), (3, 6, 9, 12),
    (13, 14, 15, 16),
)  # fmt: skip
"""Clips that are shown in succession to all subjects. The order of the blocks, and of clips in a block, varies."""


def name_stimulus(clip: int) -> str:
    """Return the name of a clip as a stimulus.

    >>> name_stimulus(7)
    'clip07'
    """
    return f"clip{clip:02d}"


# Shared by FACED's readers: the card, and the labels of a clip.

SCALE = (0.0, 7.0)
CONFOUND_ONLY = ("familiarity", "liking")
"""Ratings of the clip, not of what was felt."""

TOO_LONG_S = 2.0
"""If a clip exceeds its median length by more than this, extra seconds are at its start; others differ by < 1 s."""

OBTAIN = (
    "embench data fetch faced gets the BIDS release, nm000112 of NEMAR; the original is syn50614194 of Synapse (after "
    "registration there); pass the folder that holds sub-000, or Data of the original"
)

_CLASSES = tuple("neutral" if name == "joy" else name for name in FELT)
_SHIFTS = (1, 3, 6)
_THIRD = {clip: k for k in range(3) for clip in (*range(k + 1, 13, 3), *range(k + 17, 29, 3))}
SHUFFLED = {clip: _CLASSES[(FELT.index(CLIPS[clip].emotion) + _SHIFTS[k]) % 8] for clip, k in sorted(_THIRD.items())}
SHUFFLED |= dict.fromkeys(range(13, 17), "joy")
SHUFFLED[2], SHUFFLED[8] = SHUFFLED[8], SHUFFLED[7]
"""Clip -> the emotion of another clip, such that no class has two films of one true emotion. Clips of the same film
(13 to 16, and 7 and 8) have the same emotion. To know the film thus helps as much as for the true emotions."""


class Shown(NamedTuple):
    """A clip as a subject saw it: start in s of the subject's file, and the twelve ratings, NaN if missing."""

    clip: int
    start_s: float
    length_s: float
    ratings: tuple[float, ...]


def cut_clip(clip: int, start_s: float, length_s: float, ratings: tuple[float, ...]) -> Shown:
    """Return the part of a clip that all subjects saw. Clip 22 began with 8 extra seconds for sub-036 to sub-060, which
    are left out.

    Args:
        clip: number of the clip. `ratings`: in the order of `RATINGS`.
        start_s, length_s: start and length with the extra seconds, in the recording."""
    extra_s = length_s - CLIPS[clip].length_s
    if extra_s > TOO_LONG_S:
        return Shown(clip, start_s + extra_s, CLIPS[clip].length_s, ratings)
    return Shown(clip, start_s, length_s, ratings)


def name_recording(subject: str, clip: int) -> str:
    """Return the name of a clip's recording.

    >>> name_recording("sub-007", 22)
    'sub-007_clip22'
    """
    return f"{subject}_{name_stimulus(clip)}"


def make_labels(clip: int, ratings: tuple[float, ...] | None) -> dict[str, Label]:
    """Return the labels of a clip's recording, from the clip's number and its ratings in the order of `RATINGS`.
    Without ratings (None), only the labels that the number determines."""
    emotion, positive = CLIPS[clip].emotion, CLIPS[clip].positive
    made = {
        "emotion": make_class_label(EMOTIONS, EMOTIONS.index(emotion)),
        "positive": make_class_label(("negative", "positive"), math.nan if positive is None else positive),
        "clip": make_class_label(tuple(name_stimulus(number) for number in CLIPS), clip - 1),
        "emotion_shuffled": make_class_label(EMOTIONS, EMOTIONS.index(SHUFFLED[clip])),
    }
    if ratings is None:
        return made
    felt = math.nan if emotion == "neutral" else find_strongest_emotion(ratings)
    agrees = math.nan if math.isnan(felt) else FELT[int(felt)] == emotion
    made |= {
        "own_emotion": make_class_label(FELT, felt),
        "agreement": make_class_label(("another emotion", "the assigned emotion"), agrees),
    }
    return made | {
        name.lower(): Label("rating", np.array([value])) for name, value in zip(RATINGS, ratings, strict=True)
    }


def find_strongest_emotion(ratings: tuple[float, ...]) -> float:
    """Return the index in `FELT` of the emotion rated highest; NaN if two are equal, or one of eight is missing."""
    return find_highest([ratings[RATINGS.index(name.capitalize())] for name in FELT])


def _make_classes(name: str, n: int) -> Target:
    return Target(name, "classes", LabelRule("value"), label=name, n=n)


def _make_binary(name: str) -> Target:
    return Target(name, "binary", LabelRule("value", positive=(1,), negative=(0,)), label=name)


CARD = Card(
    name="faced",
    title="FACED, EEG of 123 people during 28 video clips",
    citation="Chen et al., A Large Finer-grained Affective Computing EEG Dataset, Scientific Data 10:740, 2023",
    doi="10.1038/s41597-023-02650-w",
    licence="CC-BY-4.0 (as labelled by NEMAR)",
    obtain=OBTAIN,
    modalities={"eeg": ModalityCard(ELECTRODES, math.nan, "uV")},
    default_modalities=("eeg",),
    targets=(
        _make_classes("emotion", len(EMOTIONS)),
        _make_binary("positive"),
        *make_binary_targets(("valence", "arousal"), LabelRule("value", cut=3.5, ties="drop"), SCALE),
        _make_classes("own_emotion", len(FELT)),
        _make_binary("agreement"),
        _make_classes("clip", len(CLIPS)),
        _make_classes("emotion_shuffled", len(EMOTIONS)),
        *make_scale_targets(("valence", "arousal", *FELT), LabelRule("value"), SCALE),
        *make_value_targets(CONFOUND_ONLY, LabelRule("value"), SCALE),
    ),
    mains_hz=50.0,
    longest_s=130.0,  # the longest of 3,444 lasts 129.6 s
    labels_public="yes",
    fixed_order=False,
    default_targets=("emotion", "valence", "arousal"),
    verified_on_real={
        "by": "tests of this reader, on the sidecars alone (events, ratings, channels) of all 123 subjects of nm000112 "
        "v1.0.1, and on NO EEG: not one sample of a real BDF file has been read",
        "date": "2026-11-22",
        "fingerprint": "sha256 of participants.tsv 1ca5736bd821e916321ee88532faaf46ee125d57e00bf973c7b40c8a2635f478",
    },
)


# FACED's EEG: the 30 sites of the scalp in uV, clip by clip, from the BDF file of either release.

MICROVOLT = ("uV", "\u00b5V", "\u03bcV")
"""Spellings of microvolt: with a u, with the micro sign, and with the Greek letter."""
PLAUSIBLE_UV = (1.0, 500.0)
"""Plausible range of the typical standard deviation of EEG from .5 to 45 Hz."""

_SITES = {site.lower(): site for site in (*ELECTRODES, *MASTOIDS)} | {
    old.lower(): new for old, new in OLD_NAMES.items()
}
_PIECE_S = 10.0
_BAND_HZ = (0.5, 45.0)
"""Band in which the standard deviation is measured."""


def name_site(name: str) -> str:
    """Return today's name of a channel's site; a name of no site is unchanged.

    >>> name_site("T3"), name_site("HEOL")
    ('T7', 'A1')
    """
    return _SITES.get(name.lower(), name)


@dataclass(frozen=True)
class Eeg:
    """An open BDF file with EEG: its path, and the channels at the 30 sites, in the order of the dataset's card."""

    path: Path
    tracks: tuple[Track, ...]

    @property
    def rate(self) -> float:
        """Rate in Hz, the same for all channels."""
        return self.tracks[0].rate

    def read(self, start_s: float, length_s: float) -> Signal:
        """Return a segment of whole samples, in uV. Raises DataError if it exceeds the file."""
        first = round(start_s * self.rate)
        last = first + int(length_s * self.rate + 1e-3)  # times are not exact to their last digit
        if not 0 <= first < last <= self.tracks[0].samples:
            raise DataError(
                f"a clip lies at {start_s:.3f} to {start_s + length_s:.3f} s of {self.tracks[0].duration_s:g} s",
                where=str(self.path), expected="a recording with all clips of its events", hint=AGAIN,
            )  # fmt: skip
        data = np.stack([track.read(first, last) for track in self.tracks])
        with np.errstate(over="ignore"):
            return Signal(data.astype(np.float32), self.rate, ELECTRODES, "uV")

    def measure_typical_sd(self, clips: Sequence[Shown]) -> float:
        """Return the median, over clips and channels, of the SD from .5 to 45 Hz in the middle 10 s of each clip."""
        found = []
        for one in clips:
            length_s = min(one.length_s, _PIECE_S)
            found.append(measure_spread(self.read(one.start_s + (one.length_s - length_s) / 2, length_s)))
        return float(np.median(found))


def measure_spread(piece: Signal) -> np.ndarray:
    """Return the standard deviation of each channel (C,) from .5 to 45 Hz, in the signal's unit."""
    with np.errstate(all="ignore"):  # damaged files hold any number
        return bandpass(piece.data, piece.rate, _BAND_HZ, order=2).std(axis=1, dtype=np.float64)


def is_plausible(sd: float) -> bool:
    """Return True if EEG may have this typical standard deviation in uV."""
    return PLAUSIBLE_UV[0] <= sd <= PLAUSIBLE_UV[1]


@contextmanager
def open_eeg(path: Path, names: Sequence[str], unit: str | None, clips: Sequence[Shown]) -> Iterator[Eeg]:
    """Open a subject's BDF file as a context, to be read piece by piece.

    Args:
        names: the release's names of channels in the file's order, used if the file's own names are not sites.
        unit: the unit that the release states; None to use the unit that the file states.
        clips: parts to check if the unit is unknown: it is assumed to be uV if their EEG is then plausible.

    Raises:
        DataError: the file is damaged, lacks a site, or its EEG is not in uV.
    """
    with open_recording(path) as channels:
        eeg = _find_sites(path, channels(Channels(channels={name: name for name in ELECTRODES})), names)
        file_units = {track.unit for track in eeg.tracks}
        if known := sorted({"V", "mV", "nV"} & {text or "" for text in file_units}):
            raise DataError(f"channels are in {known[0]}", where=str(path), expected="numbers in uV", hint=AGAIN)
        stated = file_units if unit is None else {unit}
        if not stated <= set(MICROVOLT) and clips and not is_plausible(sd := eeg.measure_typical_sd(clips)):
            raise DataError(
                f"its unit is not stated, and the EEG's standard deviation (.5 to 45 Hz) is {sd:.3g} uV if its numbers "
                f"are uV, and {1e6 * sd:.3g} uV if they are V",
                where=str(path),
                expected=f"{PLAUSIBLE_UV[0]:g} to {PLAUSIBLE_UV[1]:g} uV if its numbers are uV",
                hint="find out the file's unit; if you remove the file, only the subject's labels are read",
            )
        yield eeg


def _find_sites(path: Path, tracks: Sequence[Track], names: Sequence[str]) -> Eeg:
    """Return the channels at the 30 sites. If the file's own names are not sites, the release's `names` are used."""
    sites = [name_site(track.name) for track in tracks]
    if not set(ELECTRODES) <= set(sites) and len(names) == len(tracks) and not set(sites) & set(_SITES.values()):
        sites = [name_site(name) for name in names]
    named = dict(zip(sites, tracks, strict=True))
    if missing := [name for name in ELECTRODES if name not in named]:
        what = f"no channel {', '.join(missing[:5])}, but {', '.join(sites[:12])}"
        raise DataError(what, where=str(path), expected=f"the sites {', '.join(ELECTRODES)}", hint=AGAIN)
    chosen = tuple(named[name] for name in ELECTRODES)
    for track in chosen:
        if (track.rate, track.samples) != (chosen[0].rate, chosen[0].samples):
            what = f"channel {track.name} has {track.samples} samples of {track.rate:g} Hz"
            raise DataError(what, where=str(path), expected=f"{chosen[0].samples} of {chosen[0].rate:g} Hz", hint=AGAIN)
    if chosen[0].rate <= 2 * _BAND_HZ[1]:
        what = f"{chosen[0].rate:.4g} Hz, too low for EEG up to {_BAND_HZ[1]:g} Hz"
        raise DataError(what, where=str(path), expected="the 250 or 1000 Hz of the release", hint=AGAIN)
    return Eeg(path, chosen)


# FACED's BIDS release, nm000112 of NEMAR: the sidecars of `sub-000` to `sub-122`.
#
# Tables begin with a byte-order mark, and `n/a` is a missing cell. Rows of the events with a `video_index` are clips,
# others are starts, marks and codes of another experiment. `value` is not a trigger (it numbers the titles of that
# person), and `trial_type` is the film's title, which is not unique. Neutral clips have a backslash as `emotion_label`.

HEADER_BYTES, SAMPLE_BYTES = 8448, 96
"""Sizes in a BDF file of 32 channels: of its header, and of a sample of all channels."""
COPY_AGAIN = "copy the file again from the release"
_EVENTS = ("onset", "duration", "emotion_label", "binary_label", "video_index", *RATINGS)


class Cohort(NamedTuple):
    """A subject's channels: names in the file's order, rate in Hz, and the unit that the release states, if any."""

    layout: tuple[str, ...]
    rate: float
    unit: str | None


def find_cohort(subject: str) -> Cohort:
    """Return the channels of one of `PEOPLE` as the BIDS release states them.

    >>> find_cohort("sub-008").unit, find_cohort("sub-036").rate
    ('n/a', 250.0)
    """
    number = PEOPLE.index(subject)
    slow = number in (4, 5) or 8 <= number <= 60
    unstated = slow and not 36 <= number <= 57
    layout = FIRST_LAYOUT if number <= 60 else SECOND_LAYOUT
    return Cohort(layout, 250.0 if slow else 1000.0, "n/a" if unstated else "\u00b5V")


class Folder(ABC):
    """The files of either release. A subject is present if the first of `kinds` exists; the last is the EEG."""

    expected: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def people(self) -> list[str]:
        """The subjects who are present."""
        return [person for person in PEOPLE if self._path(person, self.kinds[0]).is_file()]

    def files(self, subject: str) -> list[Path]:
        """Return the subject's files that exist."""
        return [path for kind in self.kinds if (path := self._path(subject, kind)).is_file()]

    def bdf(self, subject: str) -> Path:
        """Return the EEG's file, which may be missing."""
        return self._path(subject, self.kinds[-1])

    def info(self, subject: str) -> dict[str, str]:
        """Return sex and age band; empty if they are unknown."""
        return self._info.get(subject, {})

    @abstractmethod
    def _path(self, subject: str, kind: str) -> Path: ...

    @property
    @abstractmethod
    def _info(self) -> Mapping[str, dict[str, str]]: ...


class Bids(Folder):
    """The BIDS release, in a folder with `sub-000` and so on."""

    expected = f"sub-000/eeg/sub-000_task-{TASK}_events.tsv to sub-122"
    kinds = ("events.tsv", "channels.tsv", "eeg.bdf")

    def clips(self, subject: str) -> list[Shown]:
        """Return the clips that the subject saw, in the order of play."""
        table = self._clip_rows(subject)
        ratings = table[list(RATINGS)].to_numpy()
        rows = zip(table["video_index"], table["onset"], table["duration"], ratings.tolist(), strict=True)
        return [cut_clip(int(clip), onset, length, tuple(rated)) for clip, onset, length, rated in rows]

    def rated(self, subject: str) -> list[tuple[int, tuple[float, ...]]]:
        """Return (clip, ratings) of each clip, in the order of play."""
        return [(one.clip, one.ratings) for one in self.clips(subject)]

    def channels(self, subject: str) -> Cohort:
        """Return the channels that the subject's sidecar states."""
        path = self._path(subject, "channels.tsv")
        wanted = "a table of 32 channels of one rate and unit"
        # pandas reads an unstated unit, `n/a`, as a missing cell.
        read = files.read_text_table(
            path, ("name", "units", "sampling_frequency"), expected=wanted, hint=COPY_AGAIN, separator="\t"
        ).fillna({"units": "n/a"})
        units, rates = read["units"].astype(str).unique(), pd.to_numeric(read["sampling_frequency"], "coerce").unique()
        if len(units) != 1 or len(rates) != 1 or not 0 < rates[0] <= 1e6:
            what = f"units {', '.join(units[:3])} and rates {', '.join(map(str, rates[:3]))}"
            raise DataError(what, where=str(path), expected=wanted, hint=COPY_AGAIN)
        return Cohort(tuple(read["name"].astype(str)), float(rates[0]), units[0])

    def list_findings(self, subject: str) -> Iterator[Finding]:
        """Yield what is odd in the subject's sidecars, or contradicts the release's tables."""
        yield from self._list_event_findings(subject)
        path, known = self._path(subject, "channels.tsv"), find_cohort(subject)
        found = self.channels(subject)
        if found.layout != known.layout:
            other = [name for name in found.layout if name not in known.layout] or ["the same ones in another order"]
            yield Finding("warning", str(path), f"channels are not those of the release: {', '.join(other[:5])}")
        if (found.rate, found.unit) != known[1:]:
            what = f"{found.rate:g} Hz in {found.unit}, the release has {known.rate:g} Hz in {known.unit}"
            yield Finding("warning", str(path), what)
        yield from self._list_size_findings(subject, found.rate)

    def _list_event_findings(self, subject: str) -> Iterator[Finding]:
        """Yield a finding for each clip whose emotion or sign in events.tsv is not that of the release's table."""
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

    def _list_size_findings(self, subject: str, rate: float) -> Iterator[Finding]:
        """Yield findings if rate and duration in eeg.json contradict channels.tsv or the BDF file's size."""
        bdf, path = self.bdf(subject), self._path(subject, "eeg.json")
        try:
            about = json.loads(path.read_text("utf-8-sig"))
            stated, last_s = about["SamplingFrequency"], about["RecordingDuration"]
        except (OSError, ValueError, TypeError, LookupError) as error:
            yield Finding("warning", str(path), f"it does not say rate and duration: {error}")
            return
        if stated != rate:
            yield Finding("warning", str(path), f"SamplingFrequency is {stated}, channels.tsv has {rate:g}")
        if bdf.is_file() and isinstance(last_s, int | float) and math.isfinite(last_s):
            size = HEADER_BYTES + SAMPLE_BYTES * (round(last_s * rate) + 1)
            if bdf.stat().st_size != size:
                what = (
                    f"{bdf.stat().st_size:,} bytes, not {size:,} for the {last_s + 1 / rate:g} s that its sidecar says"
                )
                yield Finding("warning", str(bdf), what)

    def _clip_rows(self, subject: str) -> pd.DataFrame:
        """Return the events' rows of clips, in the order of play, as numbers apart from two columns of labels."""
        path = self._path(subject, "events.tsv")
        wanted = f"a table of events with the columns {', '.join(_EVENTS)}, in which each clip comes once"
        read = files.read_text_table(path, _EVENTS, expected=wanted, hint=COPY_AGAIN, separator="\t")
        read = read[read["video_index"].notna()].reset_index(drop=True)
        texts = read[["emotion_label", "binary_label"]]
        rows = files.to_numbers(read.drop(columns=list(texts)), path, expected=wanted, hint=COPY_AGAIN)
        numbers = rows["video_index"].tolist()
        if wrong := [clip for clip in numbers if clip not in CLIPS or numbers.count(clip) > 1]:
            what = f"a clip of number {wrong[0]:g}, which is none, or comes twice"
            raise DataError(what, where=str(path), expected=wanted, hint=COPY_AGAIN)
        times = rows[["onset", "duration"]]
        if not numbers or not ((times >= 0) & (times < 1e6)).all(axis=None) or (rows["duration"] <= 0).any():
            raise DataError("no clip, or one without a time", where=str(path), expected=wanted, hint=COPY_AGAIN)
        return rows.join(texts).sort_values("onset", kind="stable", ignore_index=True)

    def _path(self, subject: str, end: str) -> Path:
        return self.root / subject / "eeg" / f"{subject}_task-{TASK}_{end}"

    @cached_property
    def _info(self) -> Mapping[str, dict[str, str]]:
        return read_people(self.root / "participants.tsv", ("participant_id", "age", "sex"), "\t")


def read_people(path: Path, columns: tuple[str, str, str], separator: str) -> dict[str, dict[str, str]]:
    """Return subject -> sex and age band, from either release's table of subjects."""
    return {f"sub-{name[-3:]}": known for name, known in files.read_subject_info(path, columns, separator).items()}


# FACED's original release, Synapse syn50614194: `Data/sub000` to `Data/sub122` with `data.bdf`, `evt.bdf` and
# `After_remarks.mat`.
#
# Annotations of `evt.bdf` are codes as text: a clip's number, then 101 at its start and 102 at its end. Some people
# have codes of another experiment before, with 101 and without 102: a clip needs a number and a 102. The rows of
# `After_remark` are in the order of play.

MOST_BYTES = 10_000_000
"""Largest accepted size of an unpacked file of ratings in bytes; real ones have some kilobytes."""
UNRATED = (math.nan,) * len(RATINGS)
_REMARKS = f"`After_remark`, 28 structs with score ({len(RATINGS)} ratings) and vid (1 to 28, each once)"


class Original(Folder):
    """The original release, in the folder of `sub000` and so on."""

    expected = "Data/sub000/evt.bdf and After_remarks.mat, to sub122"
    kinds = ("After_remarks.mat", "evt.bdf", "data.bdf")

    def clips(self, subject: str) -> list[Shown]:
        """Return the clips that the subject saw, in the order of play."""
        path, ratings, found = self._path(subject, "evt.bdf"), dict(self.rated(subject)), list[Shown]()
        number: int | None = None
        start_s: float | None = None
        for onset_s, text in notes.read_notes(path):
            if text in _NUMBERS:
                number, start_s = _NUMBERS[text], None
            elif text == "101" and number and start_s is None:
                start_s = onset_s
            elif text == "102" and number and start_s is not None and start_s < onset_s:
                found.append(cut_clip(number, start_s, onset_s - start_s, ratings.get(number, UNRATED)))
                number = start_s = None
        numbers = [one.clip for one in found]
        if not found or len(set(numbers)) < len(numbers) or found[0].start_s < 0:
            raise DataError(
                f"clips {', '.join(map(str, numbers))}" if found else "there is no clip in it",
                where=str(path), expected="annotations of clips, each once: its number, 101 and 102", hint=COPY_AGAIN,
            )  # fmt: skip
        return found

    def rated(self, subject: str) -> list[tuple[int, tuple[float, ...]]]:
        """Return (clip, ratings) of each clip, in the order of play."""
        return read_remarks(self._path(subject, "After_remarks.mat"))

    def channels(self, subject: str) -> Cohort:
        """Return the channels that the BIDS release states, since this release does not list them. Their unit is None,
        so that the unit in the EEG file applies."""
        return find_cohort(subject)._replace(unit=None)

    def list_findings(self, subject: str) -> Iterator[Finding]:
        """Yield a finding if events and ratings are in different orders."""
        played, rated = ([one[0] for one in some] for some in (self.clips(subject), self.rated(subject)))
        if played != rated:
            what = "the clips of its ratings are not those of evt.bdf, or come in another order"
            yield Finding("warning", str(self._path(subject, "After_remarks.mat")), what)

    def _path(self, subject: str, name: str) -> Path:
        return self.root / subject.replace("-", "") / name

    @cached_property
    def _info(self) -> Mapping[str, dict[str, str]]:
        known: dict[str, dict[str, str]] = {}
        for folder in (self.root, self.root.parent):
            known |= read_people(folder / "Recording_info.csv", ("sub", "Age", "Gender"), ",")
        return known


def read_remarks(path: Path) -> list[tuple[int, tuple[float, ...]]]:
    """Return for each row of `After_remarks.mat` the number of a clip, and the clip's ratings in the order of
    `RATINGS`. Raises DataError if the file is damaged."""
    try:
        content = read_content(path, MOST_BYTES)
        structs = read_variables(content, ("After_remark",), MOST_BYTES)[0]["After_remark"].ravel()
        rows = [(_parse_numbers(one["vid"], 1), _parse_numbers(one["score"], len(RATINGS))) for one in structs]
        clips = [int(number) for (number,), _ in rows if number in CLIPS]
        if not len(rows) == len(clips) == len(set(clips)):
            raise ValueError(f"the clips are {', '.join(f'{number:g}' for (number,), _ in rows)}")
    except FileNotFoundError as error:
        raise DataError("the file is missing", where=str(path), expected=_REMARKS, hint=COPY_AGAIN) from error
    except Exception as error:  # scipy's parser raises all kinds of exceptions for damaged bytes
        what = f"not readable: {str(error) or type(error).__name__}"
        raise DataError(what, where=str(path), expected=_REMARKS, hint=COPY_AGAIN) from error
    return [(clip, ratings) for clip, (_, ratings) in zip(clips, rows, strict=True)]


def _parse_numbers(cell: Any, count: int) -> tuple[float, ...]:
    array = np.asarray(cell)
    if array.dtype.kind not in "fiu" or array.size != count:
        raise ValueError(f"a cell of {array.size} values, not of {count} numbers")
    return tuple(float(value) for value in array.ravel())


_NUMBERS = {str(number): number for number in CLIPS}


# The release of FACED that a folder holds, downloads, and findings on ratings and EEG.

ADDRESS = "https://data.nemar.org/nm000112/v1.0.1/"
"""Address of the BIDS release, NEMAR nm000112 1.0.1 (doi 10.82901/nemar.nm000112). A recording's address redirects to a
signed one, which is valid for an hour."""
EXPECTED = f"{Bids.expected}; or {Original.expected}"
BAD = "sub-023"
"""The subject whose EEG in the processed release has a standard deviation of about 26,010 uV; others have 8 uV."""


def list_downloads() -> tuple[Download, ...]:
    """Return the 741 files of the BIDS release, named by their paths in it. Small files come first, so that all labels
    are complete before the first signal."""
    rows = Path(__file__).with_name("files.tsv").read_text("utf-8").splitlines()[1:]
    return tuple(_make_download(*row.split("\t")) for row in rows)


def _make_download(path: str, size: str, sha256: str) -> Download:
    folder, below, _ = path.partition("/")
    return Download(ADDRESS + path, path, sha256, int(size), subject=folder if below else None)


def find_release(root: Path) -> Bids | Original | None:
    """Return the release in a folder, which may also be the original's `Data`; None if there is none."""
    for release in (Bids(root), Original(root / "Data"), Original(root)):
        if release.people:
            return release
    return None


def list_rating_findings(where: Path, rated: Sequence[tuple[int, tuple[float, ...]]]) -> Iterator[Finding]:
    """Yield findings on clips without ratings, and on ratings that are missing or off the scale."""
    clips = [clip for clip, _ in rated]
    if missing := [str(clip) for clip in CLIPS if clip not in clips]:
        yield Finding("warning", str(where), f"no clip {', '.join(missing)}")
    values = np.array([ratings for _, ratings in rated], np.float64)
    if lacking := int(np.isnan(values).sum()):
        yield Finding("warning", str(where), f"{lacking} ratings are missing")
    if off := int(((values < SCALE[0]) | (values > SCALE[1])).sum()):
        yield Finding("warning", str(where), f"{off} ratings are off the scale {SCALE[0]:g} to {SCALE[1]:g}")


def list_eeg_findings(where: Path, subject: str, sd: float | None) -> Iterator[Finding]:
    """Yield findings on a subject's EEG: it is bad in the processed release, or its typical standard deviation is
    implausible. `sd`: this deviation in uV; None if the EEG is missing."""
    if subject == BAD:
        what = "its EEG is bad in the processed release (standard deviation about 26,010 uV, 8 uV next to it)"
        here = "the EEG is not here" if sd is None else f"{sd:.3g} uV here"
        yield Finding("warning", str(where), f"{subject}: {what}; {here}")
    if sd is not None and not is_plausible(sd):
        low, high = PLAUSIBLE_UV
        what = f"the EEG has a standard deviation of {sd:.3g} uV (.5 to 45 Hz), not one of {low:g} to {high:g}"
        yield Finding("warning", str(where), what)
