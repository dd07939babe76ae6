"""`superseded.yaml` in an entry's folder: which entry took its place, and why. The entry itself stays as it is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from embench.files import saving, write_text
from embench.records.manifest import Line, Word, as_model
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
    return as_model(Superseded, read_yaml(path), "the file", str(path), "the fields by, why and on")


def write_superseded(folder: Path, content: Superseded) -> Path:
    """Raises MachineError where the file cannot be written."""
    path = Path(folder) / SUPERSEDED_FILE
    with saving("the file", path):
        write_text(path, as_yaml(content.model_dump()))
    return path
