"""The channels of recordings: measurement units, the channels of a modality, and a channel of an open file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from embench.errors import DataError

# Measurement units as files state them, and the factors between units of one kind.

_WRITTEN = {
    "microvolt": "uV", "microvolts": "uV", "millivolt": "mV", "millivolts": "mV", "volt": "V", "volts": "V",
    "uv": "uV", "mv": "mV", "v": "V", "nv": "nV",
    "siemens": "S", "usiemens": "uS", "microsiemens": "uS", "microsiemen": "uS", "us": "uS",
    "umho": "uS", "umhos": "uS", "micromho": "uS", "micromhos": "uS", "millisiemens": "mS",
    "nanosiemens": "nS", "ns": "nS",
    "ohms": "Ohm", "ohm": "Ohm", "kohms": "kOhm", "kohm": "kOhm", "\u03c9": "Ohm", "k\u03c9": "kOhm",
    "celsius": "degC", "deg c": "degC", "\u00b0c": "degC", "c": "degC", "degc": "degC",
    "fahrenheit": "degF", "deg f": "degF", "\u00b0f": "degF", "f": "degF", "degf": "degF", "kelvin": "K", "k": "K",
    "m/s^2": "m/s2", "m/s\u00b2": "m/s2", "m/s**2": "m/s2", "1/min": "bpm", "beats/min": "bpm",
}  # fmt: skip
"""Units as files write them, in lower case -> our spelling."""
_KINDS = (
    {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9},
    {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9},
    {"Ohm": 1.0, "kOhm": 1e3, "MOhm": 1e6},
    {"g": 1.0, "mg": 1e-3, "m/s2": 1 / 9.80665},
    *({unit: 1.0} for unit in ("degC", "degF", "K", "bpm", "%")),
)
_NO_UNIT = frozenset({
    "n/a", "na", "nan", "none", "nodim", "no_units", "unitless", "a.u.", "au", "a.u", "arb", "arbitrary", "nu", "-",
    "?", "*", "", "unknown", "unspecified",
})  # fmt: skip
"""Texts that files have in place of a measurement unit."""


def parse_unit(text: str) -> str | None:
    """Return a unit that a file states in our spelling: `\u00b5V` and `Microvolts` are uV. None for an empty text."""
    plain = text.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return plain if any(plain in kind for kind in _KINDS) else _WRITTEN.get(plain.lower(), plain) or None


def is_stated(unit: str | None) -> bool:
    """Return True for a unit, False for words such as `a.u.` that say that there is none."""
    return (unit or "").strip().lower() not in _NO_UNIT


def is_known(unit: str | None) -> bool:
    """Return True if a unit can be converted to others of its kind."""
    return any(parse_unit(unit or "") in kind for kind in _KINDS)


def find_unit_ratio(stated: str | None, wanted: str | None) -> float | None:
    """Return the factor that converts one unit to another: 1 if either is not stated, None if they are of two kinds.

    >>> find_unit_ratio("S", "\u00b5S"), find_unit_ratio("kOhm", "uS"), find_unit_ratio("a.u.", "uS")
    (1000000.0, None, 1.0)
    """
    first, second = parse_unit(stated or ""), parse_unit(wanted or "")
    if first == second or not (is_stated(first) and is_stated(second)):
        return 1.0
    ratios = [kind[first] / kind[second] for kind in _KINDS if first in kind and second in kind]
    return float(f"{ratios[0]:.12g}") if ratios else None  # without the last bit's rounding


# The channels of a modality among those of a file, and their units.

VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}
POTENTIALS = {"eeg": "uV", "eog": "uV", "emg": "uV", "ecg": "mV"}
"""Modality that is a voltage -> the unit that its signals are converted to."""

RENAMED = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
"""Older names of the 10-20 system -> today's."""

Edge = Annotated[float, Field(gt=0)] | None


class Part(BaseModel):
    """A part of a description that a user writes; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class Channels(Part):
    """The channels of one modality in files of one kind.

    Args:
        channels: a list of names, or standard name -> name in the files.
        unit: measurement unit of the numbers in the files; optional if the files state it.
        applied: edges in Hz of filters that were already applied (high-pass, low-pass).
        rate: samples per second of a CSV or MATLAB file, or the path of its MATLAB variable.
        array, names: paths in a MATLAB file of the samples and of the channels' names, such as `hs.eeg.sig`.
    """

    channels: Mapping[str, str]
    unit: str | None = None
    applied: tuple[Edge, Edge] = (None, None)
    rate: Annotated[float, Field(gt=0, le=1e6)] | str | None = None
    array: str | None = None
    names: str | None = None

    @field_validator("channels", mode="before")
    @classmethod
    def _parse_channels(cls, value: Any) -> Any:
        if isinstance(value, list):
            if len({str(name) for name in value}) < len(value):
                raise ValueError("a channel is named twice")
            value = {str(name): str(name) for name in value}
        if isinstance(value, Mapping):
            value = {str(standard): str(name) for standard, name in value.items()}
            if not value:
                raise ValueError("no channel is named")
        return value

    @property
    def standard(self) -> tuple[str, ...]:
        """The channels' standard names, in their order."""
        return tuple(self.channels)


def simplify_name(name: str, modality: str) -> str:
    """Return a channel's name in lower case, without dots, repeated spaces, the modality and EEG references, and with
    today's name of an electrode."""
    plain = re.sub(r"\s+", " ", name.lower().replace(".", " ")).strip()
    plain = plain.removeprefix(f"{modality} ")
    if modality != "eeg":
        return plain
    plain = re.sub(r"-(ref|le|avg)$", "", plain)
    return RENAMED.get(plain, plain)


def choose_tracks(path: Path, modality: str, own: Channels, tracks: Sequence[Track], where: str) -> list[Track]:
    """Return a file's channels of one modality, in the order of `own`. A channel whose name is equal is preferred to
    one that matches after `simplify_name`.

    Args:
        own: the wanted channels.
        tracks: all channels of the file.
        where: file and line of the description that name the channels, for errors.

    Raises:
        DataError: a channel is missing or ambiguous, or channels differ in rate or length.
    """
    found = []
    for wanted in own.channels.values():
        fitting = [track for track in tracks if track.name == wanted]
        fitting = fitting or [t for t in tracks if simplify_name(t.name, modality) == simplify_name(wanted, modality)]
        if len(fitting) != 1:
            names = [track.name for track in tracks]
            plain = {simplify_name(name, modality): name for name in names}
            near = [plain[name] for name in difflib.get_close_matches(simplify_name(wanted, modality), plain, 1)]
            raise DataError(
                f"{path} has {len(fitting) or 'no'} channel{'s' if fitting else ''} `{wanted}` of {modality}"
                + (f"; did you mean {near[0]}?" if near and not fitting else ""),
                where=where,
                expected=f"one of {', '.join(names[:40]) or 'no channel at all'}",
                hint="name the channels as the file does" if len(names) > 1 else
                "is this the right file, with commas, semicolons or tabs if it is a table?",
            )  # fmt: skip
        found.append(fitting[0])
    if len({(track.rate, track.samples) for track in found}) > 1:
        rates = ", ".join(f"{track.name} {track.samples} at {track.rate:g} Hz" for track in found)
        raise DataError(f"the channels of {modality} differ in length: {rates}", where=str(path), expected="one rate")
    if found[0].samples < 1:
        raise DataError(f"no sample of {modality} is in it", where=str(path), expected="a recording")
    return found


def find_card_unit(modality: str, unit: str | None) -> str:
    """Return the unit of a modality's numbers after reading: uV or mV for voltages, uS for conductances, g for
    accelerations, else the description's."""
    kind = {"eda": "uS", "acc": "g"}.get(modality)
    return POTENTIALS.get(modality) or (kind if kind and is_known(unit) and find_unit_ratio(unit, kind) else str(unit))


def find_factor(path: Path, modality: str, own: Channels, track: Track, where: str) -> float:
    """Return the factor that converts a signal to `find_card_unit`. The file's unit counts before the description's.

    Raises:
        DataError: a voltage's unit is not stated, or file and description state units of two kinds. `where` is the line
            of the description that names the channels.
    """
    wanted, voltage = find_card_unit(modality, own.unit), modality in POTENTIALS
    stating = is_known(track.unit) if voltage else is_stated(track.unit)
    stated = track.unit if stating or own.unit is None else own.unit
    if voltage and not is_known(stated):
        raise DataError(
            f"channel {track.name} of {path} is in {'no unit that it names' if stated is None else f'`{stated}`'}",
            where=where,
            expected=", ".join(VOLTS),
            hint=f"say `unit: {POTENTIALS[modality]}` for {modality}, if that is what it is",
        )
    ratio = find_unit_ratio(stated, wanted)
    if ratio is None:
        raise DataError(
            f"channel {track.name} of {path} is in `{stated}`, and {modality} in `{own.unit or wanted}`",
            where=where,
            expected="units of one kind",
            hint="is it the right channel, and its header's unit right?"
            if voltage
            else f"say `unit: {stated}`, as the file does, or `unit: a.u.` if its header is wrong",
        )
    return ratio


# The channels of an open file, for all file formats.

AGAIN = "the file is truncated, damaged or of another kind: copy it again"
MOST_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Track:
    """A channel of an open file. `read(first, last)` returns samples as float64 in `unit`, which is None if the file
    does not state it; segments must be read in order. `start` is the time of the first sample in unix seconds, if
    known."""

    name: str
    rate: float
    samples: int
    unit: str | None
    read: Callable[[int, int], np.ndarray]
    start: float | None = None

    @property
    def duration_s(self) -> float:
        """Length in s."""
        return self.samples / self.rate


Opened = AbstractContextManager[Callable[[Channels], Sequence[Track]]]
"""An open file: a context with a function from the description of a modality's channels to the file's channels."""


def cut_part(samples: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return the samples from `first` to before `last`; used as `read` by tracks in memory."""
    return np.asarray(samples[first:last], np.float64)


class Stretch(NamedTuple):
    """Samples of a file without a gap between them: the first one's position in time, in samples, its position in the
    file, and their number."""

    place: int
    first: int
    samples: int


def fill_gaps(track: Track, stretches: Sequence[Stretch]) -> Track:
    """Return a track with NaN for the gaps of a file that leaves them out. `stretches` are in order of time."""

    def read(start: int, stop: int) -> np.ndarray:
        values = np.full(max(stop - start, 0), np.nan)
        for place, first, samples in stretches:
            begin, end = max(start, place), min(stop, place + samples)
            if begin < end:
                values[begin - start : end - start] = track.read(first + begin - place, first + end - place)
        return values

    return replace(track, samples=stretches[-1].place + stretches[-1].samples, read=read)


def unreadable_error(path: Path, library: str, error: Exception) -> DataError:
    """Return the error for a file that a library cannot read, with the library's message but not the folder's path."""
    what = " ".join(str(error).replace(f"{path.parent}/", "").split())[:200]
    return damaged_error(path, f"{library} cannot read it: {what or type(error).__name__}")


def damaged_error(path: Path, what: str) -> DataError:
    """Return the error for a recording's file that is incomplete or damaged, as `what` says."""
    return DataError(what, where=str(path), expected="a whole recording", hint=AGAIN)
