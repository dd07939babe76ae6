"""What `scores.json` holds, as far as its readers rely on it: names are names, and numbers are numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from embench.errors import DataError, breaks_schema, faults
from embench.records.manifest import InstalledName, Line, Word


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Score(_Part):
    """A score with its interval, or the reason why it is undefined."""

    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    undefined: Line | None = None


class _Difference(_Part):
    difference: _Score
    clears: bool


class _Scores(_Part):
    headlines: dict[Word, InstalledName]
    scores: dict[Word, dict[InstalledName, _Score]]
    controls: dict[Word, dict[Word, _Score | dict[InstalledName, _Score]]]
    differences: dict[Word, dict[Word, _Difference]]
    not_cleared: list[Line]
    cleared_all: Any


def check_score_file(content: Any, path: Path) -> None:
    """Raises DataError that names every field of `scores.json` that is missing or wrong."""
    if not isinstance(content, Mapping):
        raise DataError("the file holds no scores", where=str(path), expected=f"keys {', '.join(_Scores.model_fields)}")
    try:
        _Scores.model_validate(content)
    except ValidationError as error:
        found = faults(error)
        fields = ", ".join(dict.fromkeys(fault.field for fault in found))
        raise DataError(
            breaks_schema("the file of scores", found[:5]),
            where=f"{path}, {fields[:200]}",
            expected="as written by embench",
        ) from error
