"""The schema of a corpus folder's `corpus.yaml`: which files there are, and what their channels are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import POTENTIALS, SENSED, Channels, Part

LAYOUT = "corpus.yaml"
HINT = "the page of the corpus dataset shows a corpus.yaml for files of each kind"


class Source(Part):
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


class Layout(Part):
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
