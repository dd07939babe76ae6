"""Schema 1 of `run.yaml` and `scores.json`, which says `people` where schema 2 says `subjects`.

Inside the program there is one form, that of schema 2. What is read is brought into it here, and what is written under
a protocol of version 2 is brought back; nothing else knows of schema 1, whose files do not name their schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from embench.errors import DataError

SCHEMA = 2
_KEY = "schema"
_NAME = {1: "people", 2: "subjects"}
_OVER = {1: ("people", "people and stimuli"), 2: ("subjects", "subjects and stimuli")}
_IN_RUN = ("cohort", "trained_on", "pretraining.*", "started_from.manifest.seen.*", "outside.missing.*")
_IN_SCORES = (
    *("scores.*.*", "controls.*.*.*", "differences.*.*.difference", "folds.*"),
    *("adds.*.levels.*.effect", "adds.*.levels.*.score", "adds.*.tasks.*", "adds.*.placebo.*"),
    *("personal.*.over.*.*.difference", "personal.*.normalising.*.difference"),
)
"""Places where subjects are counted or named; elsewhere `people` may be the name of a target, a metric or a group."""


def run_in_schema_2(content: Any, where: str) -> Any:
    """The content of a run.yaml in the form of schema 2, without the schema; as it is where it is no mapping.

    Raises:
        DataError: its schema is not known, or it uses names of another one.
    """
    return _read(content, _IN_RUN, where)


def scores_in_schema_2(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The content of a scores.json in the form of schema 2; `schema` stays in it, so that it can be read again."""
    return {_KEY: SCHEMA, **_read(content, _IN_SCORES, where)}


def written_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """The content of run.yaml: in schema 2 under protocols of version 3, else in schema 1."""
    return {_KEY: SCHEMA, **run} if scoring_of(run) == 3 else _changed(run, _IN_RUN, _to_schema_1)


def written_scores(scores: Mapping[str, Any], scoring: int | None) -> dict[str, Any]:
    """The content of scores.json, or of parts of it, under a protocol with this `scoring`."""
    if scoring == 3:
        return dict(scores)
    return _changed({name: part for name, part in scores.items() if name != _KEY}, _IN_SCORES, _to_schema_1)


def scoring_of(run: Mapping[str, Any]) -> int | None:
    """`scoring` of the protocol that a run was made under: 3 for version 3."""
    return (run["protocol"].get("rules") or {}).get("scoring")


def with_people(number: Mapping[str, Any]) -> dict[str, Any]:
    """A number with the names of schema 1, which audits, downloads and `embench compare --json` keep."""
    return _to_schema_1(number, "")


def _read(content: Any, places: Sequence[str], where: str) -> Any:
    if not isinstance(content, Mapping):
        return content
    schema = content.get(_KEY, 1)
    if isinstance(schema, bool) or schema not in _NAME:
        raise DataError(
            f"the file has schema {schema!r}, which is not known here",
            where=f"{where}, {_KEY}",
            expected=f"{_KEY}: {SCHEMA}, or none in records of schema 1",
            hint="update embench",
        )
    other = 1 if schema == SCHEMA else SCHEMA

    def changed(part: Mapping[str, Any], field: str) -> dict[str, Any]:
        if _NAME[other] in part or part.get("over") in _OVER[other]:
            raise DataError(
                f"a file of schema {schema} names its subjects as schema {other} does",
                where=f"{where}, {field}",
                expected=f"`{_NAME[schema]}` in place of `{_NAME[other]}`, as written by embench",
                hint="restore the file as embench wrote it",
            )
        return _renamed(part, schema, SCHEMA)

    return _changed({name: part for name, part in content.items() if name != _KEY}, places, changed)


def _to_schema_1(part: Mapping[str, Any], _: str) -> dict[str, Any]:
    return _renamed(part, SCHEMA, 1)


def _renamed(part: Mapping[str, Any], old: int, new: int) -> dict[str, Any]:
    """A copy of the part with the names of another schema, in the same order."""
    renamed = {_NAME[new] if name == _NAME[old] else name: value for name, value in part.items()}
    if renamed.get("over") in _OVER[old]:
        renamed["over"] = _OVER[new][_OVER[old].index(renamed["over"])]
    return renamed


def _changed(content: Any, places: Sequence[str], change: Callable[[Mapping[str, Any], str], Any]) -> Any:
    for place in places:
        content = _at(content, place.split("."), change, ())
    return content


def _at(content: Any, path: Sequence[str], change: Callable[[Mapping[str, Any], str], Any], at: tuple[str, ...]) -> Any:
    """The content, of which the mappings in places that fit the `path` are changed; `*` fits every key."""
    if isinstance(content, (list, tuple)) and path:
        return [_at(item, path[1:], change, (*at, str(i))) for i, item in enumerate(content)]
    if not isinstance(content, Mapping):
        return content
    if not path:
        return change(content, ".".join(at))
    return {
        key: _at(value, path[1:], change, (*at, str(key))) if path[0] in ("*", key) else value
        for key, value in content.items()
    }
