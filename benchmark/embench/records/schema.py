"""The schema of `run.yaml` and `scores.json`, and the names of an earlier one that some documents keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embench.errors import DataError

SCHEMA = 2
_KEY = "schema"
_OVER = {"subjects": "people", "subjects and stimuli": "people and stimuli"}


def without_schema(content: Any, where: str, default: int | None = None) -> Any:
    """Return a file's content without its schema; as it is where it is not a mapping.

    Args:
        default: the schema of a content that names none.

    Raises:
        DataError: it has another schema, or none.
    """
    if not isinstance(content, Mapping):
        return content
    schema = content.get(_KEY, default)
    if isinstance(schema, bool) or schema != SCHEMA:
        raise DataError(
            f"the file has schema {schema!r}, which is not known here" if _KEY in content else "the file has no schema",
            where=f"{where}, {_KEY}",
            expected=f"{_KEY}: {SCHEMA}",
            hint="run the method again, or read the record with the embench that wrote it",
        )
    return {name: part for name, part in content.items() if name != _KEY}


def with_people(number: Mapping[str, Any]) -> dict[str, Any]:
    """Rename `subjects` to `people` in a number, as audits, downloads and `embench compare --json` have it."""
    renamed = {"people" if name == "subjects" else name: value for name, value in number.items()}
    if renamed.get("over") in _OVER:
        renamed["over"] = _OVER[renamed["over"]]
    return renamed
