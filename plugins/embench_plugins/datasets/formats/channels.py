"""The channels of a recording: those that a modality takes, their units, and the open file that has their samples."""

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

# Units as files state them, and the factors between those of one kind.

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
"""How files write units, in small letters -> how they are written here."""
_KINDS = (
    {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9},
    {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9},
    {"Ohm": 1.0, "kOhm": 1e3, "MOhm": 1e6},
    {"g": 1.0, "mg": 1e-3, "m/s2": 1 / 9.80665},
    *({unit: 1.0} for unit in ("degC", "degF", "K", "bpm", "%")),
)
_NOTHING = frozenset(
    {
        "n/a",
        "na",
        "nan",
        "none",
        "nodim",
        "no_units",
        "unitless",
        "a.u.",
        "au",
        "a.u",
        "arb",
        "arbitrary",
        "nu",
        "-",
        "?",
        "*",
    }
    | {"", "unknown", "unspecified"}
)


def parse_unit(text: str) -> str | None:
    """Parse a unit as a file states it: `\u00b5V` and `Microvolts` are uV. Return None for an empty text."""
    plain = text.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return plain if any(plain in kind for kind in _KINDS) else _WRITTEN.get(plain.lower(), plain) or None


def is_stated(unit: str | None) -> bool:
    """True of a unit, false of words for none such as `a.u.`."""
    return (unit or "").strip().lower() not in _NOTHING


def is_known(unit: str | None) -> bool:
    """True of a unit that others can be converted to."""
    return any(parse_unit(unit or "") in kind for kind in _KINDS)


def find_unit_ratio(stated: str | None, wanted: str | None) -> float | None:
    """The factor from one unit to another; 1 where either is not known, None where they are of two kinds.

    >>> find_unit_ratio("S", "\u00b5S"), find_unit_ratio("kOhm", "uS"), find_unit_ratio("a.u.", "uS")
    (1000000.0, None, 1.0)
    """
    own, other = parse_unit(stated or ""), parse_unit(wanted or "")
    if own == other or not (is_stated(own) and is_stated(other)):
        return 1.0
    ratios = [kind[own] / kind[other] for kind in _KINDS if own in kind and other in kind]
    return float(f"{ratios[0]:.12g}") if ratios else None  # without the last bit's rounding


# The channels of a modality among those that a file has, and their units.

VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}
POTENTIALS = {"eeg": "uV", "eog": "uV", "emg": "uV", "ecg": "mV"}
"""Modalities that are voltages, with the unit that everything is brought to."""

RENAMED = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
"""Old names of the 10-20 system."""

Edge = Annotated[float, Field(gt=0)] | None


class Part(BaseModel):
    """A part of a description that a user writes: no key but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class Channels(Part):
    """The channels of one modality in files of one kind.

    Args:
        channels: their names, or standard name -> name in the files where the files call them otherwise.
        unit: what the files' numbers are in; optional where the files state it.
        applied: edges in Hz of filters that the files have gone through already (high-pass, low-pass).
        rate: samples a second of a CSV or MATLAB file; or the name of the variable of a MATLAB file that holds it.
        array, names: where in a MATLAB file the samples and the channels' names are, such as `hs.eeg.sig`.
    """

    channels: Mapping[str, str]
    unit: str | None = None
    applied: tuple[Edge, Edge] = (None, None)
    rate: Annotated[float, Field(gt=0, le=1e6)] | str | None = None
    array: str | None = None
    names: str | None = None

    @field_validator("channels", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if isinstance(given, list):
            if len({str(name) for name in given}) < len(given):
                raise ValueError("a channel is named twice")
            given = {str(name): str(name) for name in given}
        if isinstance(given, Mapping):
            given = {str(standard): str(name) for standard, name in given.items()}
            if not given:
                raise ValueError("no channel is named")
        return given

    @property
    def standard(self) -> tuple[str, ...]:
        """The channels' standard names, in the order of the layout."""
        return tuple(self.channels)


def simplify_name(name: str, modality: str) -> str:
    """A channel's name without what files add to it: case, dots, spaces, the modality, EEG references, old names."""
    plain = re.sub(r"\s+", " ", name.lower().replace(".", " ")).strip()
    plain = plain.removeprefix(f"{modality} ")
    if modality != "eeg":
        return plain
    plain = re.sub(r"-(ref|le|avg)$", "", plain)
    return RENAMED.get(plain, plain)


def choose_tracks(path: Path, modality: str, own: Channels, tracks: Sequence[Track], where: str) -> list[Track]:
    """A file's channels of one modality, in the layout's order. A name that fits as it is written goes before one that
    fits without case, dots and the like.

    Args:
        where: file and line that name them.

    Raises:
        DataError: one is missing or ambiguous, or they differ in rate or length.
    """
    found = []
    for wanted in own.channels.values():
        fitting = [track for track in tracks if track.name == wanted]
        fitting = fitting or [t for t in tracks if simplify_name(t.name, modality) == simplify_name(wanted, modality)]
        if len(fitting) != 1:
            held = [track.name for track in tracks]
            plain = {simplify_name(name, modality): name for name in held}
            near = [plain[name] for name in difflib.get_close_matches(simplify_name(wanted, modality), plain, 1)]
            raise DataError(
                f"{path} has {len(fitting) or 'no'} channel{'s' if fitting else ''} `{wanted}` of {modality}"
                + (f"; did you mean {near[0]}?" if near and not fitting else ""),
                where=where,
                expected=f"one of {', '.join(held[:40]) or 'no channel at all'}",
                hint="name the channels as the file does" if len(held) > 1 else
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
    """The unit of a modality's numbers after reading: uV or mV of voltages, uS of conductances, g of accelerations, and
    of others that of the description."""
    kind = {"eda": "uS", "acc": "g"}.get(modality)
    return POTENTIALS.get(modality) or (kind if kind and is_known(unit) and find_unit_ratio(unit, kind) else str(unit))


def find_factor(path: Path, modality: str, own: Channels, track: Track, where: str) -> float:
    """Return the factor that brings a signal to `find_card_unit`. A unit that the file states goes before the
    description's.

    Raises:
        DataError: nobody says what a voltage's unit is, or file and description name units of two kinds. `where` is the
            line that names the channels.
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


# The channels of an open file of recordings, whatever its kind.

AGAIN = "the file is truncated, damaged or of another kind: copy it again"
MOST_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Track:
    """A channel as its file holds it. `read(first, last)` gives samples as float64 in `unit`, which is None where the
    file does not say it; segments must be read in order. `start` is when the first was, in unix seconds, if known."""

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
"""An open file: given what the layout says of a modality, the channels that it can be found among."""


def cut_part(samples: np.ndarray, first: int, last: int) -> np.ndarray:
    """The samples between two rows: what `read` is for a track that is held in memory."""
    return np.asarray(samples[first:last], np.float64)


class Stretch(NamedTuple):
    """Samples of a file without a gap between them: where they begin in time, as a sample's number, and in the file."""

    place: int
    first: int
    samples: int


def fill_gaps(track: Track, stretches: Sequence[Stretch]) -> Track:
    """A track of a file that leaves out what was not recorded, with NaN there. Stretches are in order of time."""

    def read(start: int, stop: int) -> np.ndarray:
        found = np.full(max(stop - start, 0), np.nan)
        for place, first, samples in stretches:
            low, high = max(start, place), min(stop, place + samples)
            if low < high:
                found[low - start : high - start] = track.read(first + low - place, first + high - place)
        return found

    return replace(track, samples=stretches[-1].place + stretches[-1].samples, read=read)


def unreadable_error(path: Path, library: str, error: Exception) -> DataError:
    """The error to raise for a file that a library cannot read, with what it says, without the folder."""
    what = " ".join(str(error).replace(f"{path.parent}/", "").split())[:200]
    return damaged_error(path, f"{library} cannot read it: {what or type(error).__name__}")


def damaged_error(path: Path, what: str) -> DataError:
    """The error to raise for a recording's file that is not whole; `what` says what is wrong with it."""
    return DataError(what, where=str(path), expected="a whole recording", hint=AGAIN)
