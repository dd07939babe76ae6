"""The channels of a modality among those that a file has, and their units."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from embench.errors import DataError
from embench_plugins.datasets.formats.units import is_known, is_stated, unit_ratio

if TYPE_CHECKING:
    from embench_plugins.datasets.formats.tracks import Track

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


def canonical(name: str, modality: str) -> str:
    """A channel's name without what files add to it: case, dots, spaces, the modality, EEG references, old names."""
    plain = re.sub(r"\s+", " ", name.lower().replace(".", " ")).strip()
    plain = plain.removeprefix(f"{modality} ")
    if modality != "eeg":
        return plain
    plain = re.sub(r"-(ref|le|avg)$", "", plain)
    return RENAMED.get(plain, plain)


def chosen(path: Path, modality: str, own: Channels, tracks: Sequence[Track], where: str) -> list[Track]:
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
        fitting = fitting or [t for t in tracks if canonical(t.name, modality) == canonical(wanted, modality)]
        if len(fitting) != 1:
            held = [track.name for track in tracks]
            plain = {canonical(name, modality): name for name in held}
            near = [plain[name] for name in difflib.get_close_matches(canonical(wanted, modality), plain, 1)]
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


def card_unit(modality: str, unit: str | None) -> str:
    """The unit of a modality's numbers after reading: uV or mV of voltages, uS of conductances, g of accelerations, and
    of others that of the description."""
    kind = {"eda": "uS", "acc": "g"}.get(modality)
    return POTENTIALS.get(modality) or (kind if kind and is_known(unit) and unit_ratio(unit, kind) else str(unit))


def factor(path: Path, modality: str, own: Channels, track: Track, where: str) -> float:
    """The factor that brings a signal to `card_unit`. A unit that the file states goes before that of the description.

    Raises:
        DataError: nobody says what a voltage's unit is, or file and description name units of two kinds. `where` is the
            line that names the channels.
    """
    wanted, voltage = card_unit(modality, own.unit), modality in POTENTIALS
    stating = is_known(track.unit) if voltage else is_stated(track.unit)
    stated = track.unit if stating or own.unit is None else own.unit
    if voltage and not is_known(stated):
        raise DataError(
            f"channel {track.name} of {path} is in {'no unit that it names' if stated is None else f'`{stated}`'}",
            where=where,
            expected=", ".join(VOLTS),
            hint=f"say `unit: {POTENTIALS[modality]}` for {modality}, if that is what it is",
        )
    ratio = unit_ratio(stated, wanted)
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
