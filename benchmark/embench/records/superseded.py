"""`superseded.yaml` in an entry's folder: which entry took its place, and why. The entry itself stays as it is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from embench.errors import DataError, breaks_schema, faults
from embench.files import saving, write_text
from embench.records.manifest import Line, Word, check_texts
from embench.records.record import as_yaml, read_yaml

SUPERSEDED_FILE = "superseded.yaml"


class Superseded(BaseModel):
    """`by`: the id of the entry of the same board and protocol that took its place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Word
    why: Line
    on: dt.date


def read_superseded(folder: Path) -> Superseded | None:
    """None where nothing took the entry's place. Raises DataError where the file is damaged."""
    path = Path(folder) / SUPERSEDED_FILE
    if not path.is_file():
        return None
    content = read_yaml(path)
    check_texts(content, str(path))
    try:
        return Superseded.model_validate(content)
    except ValidationError as error:
        raise DataError(
            breaks_schema("the file", faults(error)), where=str(path), expected="the fields by, why and on"
        ) from error


def write_superseded(folder: Path, content: Superseded) -> Path:
    """Raises MachineError where the file cannot be written."""
    path = Path(folder) / SUPERSEDED_FILE
    with saving("the file", path):
        write_text(path, as_yaml(content.model_dump()))
    return path
