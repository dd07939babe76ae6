"""The schema of a corpus folder's `corpus.yaml`: which files there are, and what their channels are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from embench.errors import DataError
from embench.interfaces.recording import MODALITIES

LAYOUT = "corpus.yaml"
SENSED = tuple(m for m in MODALITIES if m not in ("video", "face_au", "eeg_bands", "hr"))
"""Modalities that a corpus may hold: waves, no series that a device or a program derived."""

VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}
POTENTIALS = {"eeg": "uV", "eog": "uV", "emg": "uV", "ecg": "mV"}
"""Modalities that are voltages, with the unit that everything is brought to."""

RENAMED = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
"""Old names of the 10-20 system."""

HINT = "the page of the corpus dataset shows a corpus.yaml for files of each kind"

Edge = Annotated[float, Field(gt=0)] | None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Channels(_Part):
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


class Source(_Part):
    """Files of one kind.

    Args:
        files: a pattern below the folder, such as `S*/S*.edf`; headers (`.hea`) stand for WFDB records.
        subject: a regular expression that finds the subject in a file's path; its first group counts if it has one.
            Left out: the folder that the file is in, for files beside corpus.yaml their own names.
        signals: modality -> channels.
    """

    files: str
    subject: str | None = None
    signals: Mapping[str, Channels] = Field(min_length=1)

    @field_validator("files")
    @classmethod
    def _below(cls, pattern: str) -> str:
        if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise ValueError("a pattern of files below the folder is needed, such as S*/*.edf")
        return pattern

    @field_validator("subject")
    @classmethod
    def _readable(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from error
        return pattern

    @field_validator("signals")
    @classmethod
    def _known(cls, signals: Mapping[str, Channels]) -> Mapping[str, Channels]:
        for modality in signals:
            if modality not in SENSED:
                near = difflib.get_close_matches(modality, SENSED, 1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"`{modality}` is none of {', '.join(SENSED)}{meant}")
        return signals

    def person(self, path: str) -> str | None:
        """The subject of a file by its path below the folder, None where the expression does not match."""
        if self.subject is None:
            folder, _, name = path.rpartition("/")
            return folder or name.rpartition(".")[0] or name
        found = re.search(self.subject, path)
        return (found[1] if found.re.groups else found[0]) or None if found else None


class Layout(_Part):
    """A whole corpus. `mains_hz` is the power line's frequency where it was recorded."""

    title: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    doi: str = ""
    mains_hz: float = Field(gt=0)
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _agree(self) -> Layout:
        for modality in self.modalities:
            named = {source.signals[modality].standard for source in self.sources if modality in source.signals}
            if len(named) > 1:
                first, second = sorted(", ".join(names) for names in named)[:2]
                raise ValueError(
                    f"{modality} has channels {first} in one source and {second} in another; "
                    "name the same ones, in one order, everywhere"
                )
            units = {source.signals[modality].unit for source in self.sources if modality in source.signals}
            if modality not in POTENTIALS and len(units) > 1:
                raise ValueError(f"{modality} has units {' and '.join(sorted(map(str, units)))}; one is needed")
        return self

    @property
    def modalities(self) -> tuple[str, ...]:
        """In the order of the field's list."""
        return tuple(m for m in SENSED if any(m in source.signals for source in self.sources))

    def channels(self, modality: str) -> tuple[str, ...]:
        """The standard names of a modality's channels, from the first source that has it.

        Raises:
            StopIteration: no source has this modality.
        """
        return next(source.signals[modality].standard for source in self.sources if modality in source.signals)

    def unit(self, modality: str) -> str:
        """The unit in which a modality is handed out: µV or mV for potentials, else the stated one, else `a.u.`."""
        stated = next(source.signals[modality].unit for source in self.sources if modality in source.signals)
        return POTENTIALS.get(modality, stated or "a.u.")

    def applied(self, modality: str) -> tuple[float | None, float | None]:
        """What all sources have gone through: a filter that only some have had is applied to everything."""
        edges = [source.signals[modality].applied for source in self.sources if modality in source.signals]
        highs, lows = ([edge for edge in side if edge is not None] for side in zip(*edges, strict=True))
        return (
            min(highs) if len(highs) == len(edges) else None,
            max(lows) if len(lows) == len(edges) else None,
        )


def read_layout(root: Path) -> Layout:
    """The layout in a folder. Raises DataError that names the key at fault."""
    path, expected = root / LAYOUT, "keys title, citation, licence, mains_hz and sources"
    if not root.is_dir():
        raise DataError("there is no such folder", where=str(root), expected=f"a folder with {LAYOUT}", hint=HINT)
    if not path.is_file():
        raise DataError(f"no {LAYOUT} says what the recordings here are", where=str(path), expected=expected, hint=HINT)
    try:
        content = yaml.safe_load(path.read_text("utf-8-sig"))
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: a number of a million digits
        raise DataError(f"not readable as YAML: {error}", where=str(path), expected=expected, hint=HINT) from error
    try:
        return Layout.model_validate(content)
    except ValidationError as error:
        faults = [_said(fault) for fault in error.errors()]
        raise DataError("; ".join(faults[:3]), where=str(path), expected=expected, hint=HINT) from error


def _said(fault: Any) -> str:
    """One of pydantic's faults, as text that names the key."""
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = [name for part in (Layout, Source, Channels) for name in part.model_fields]
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, 1)
        return f"unknown key `{where}`" + (f"; did you mean {near[0]}?" if near else "")
    message = fault["msg"].removeprefix("Value error, ")
    return f"`{where}`: {message}" if where else message


def canonical(name: str, modality: str) -> str:
    """A channel's name without what files add to it: case, dots, spaces, the modality, EEG references, old names."""
    plain = re.sub(r"\s+", " ", name.lower().replace(".", " ")).strip()
    plain = plain.removeprefix(f"{modality} ")
    if modality != "eeg":
        return plain
    plain = re.sub(r"-(ref|le|avg)$", "", plain)
    return RENAMED.get(plain, plain)
