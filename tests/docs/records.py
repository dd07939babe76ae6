"""The page `docs/reference/records.md`: every field of a record's files, from the models that check them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from bench.markdown import table
from embench.leaderboard.entries import Attestation, SummandsPart
from embench.leaderboard.nonces import Nonces
from embench.planning.tuning import Tuning
from embench.reasons import Reason
from embench.records.audit import AuditContent
from embench.records.manifest import Manifest
from embench.records.scores import ScoresFile

from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "records.md"
FILES: dict[str, type[BaseModel]] = {
    "run.yaml": Manifest,
    "scores.json": ScoresFile,
    "audit.json": AuditContent,
    "tuning.json": Tuning,
    "summands.json": SummandsPart,
    "attestations/*.json": Attestation,
    "nonces.json": Nonces,
}
"""File -> its model."""
_PLAIN = {"str": "text", "int": "integer", "float": "number", "bool": "true or false", "NoneType": "null"}
_PLAIN |= {"datetime": "time", "date": "day", "Any": "any"}


def fields() -> str:
    """A table of fields for each file, and for each part of it where the file first has it."""
    parts, shown = [], set[type[BaseModel]]()
    for file, model in FILES.items():
        of_file = [each for each in _models(model) if each not in shown]
        shown |= set(of_file)
        for each in of_file:
            title = f"## `{file}`" if each is model else f"### {_title(each)}"
            rows = [_row(each, name) for name, field in each.model_fields.items() if field.description != ""]
            if extra := each.__annotations__.get("__pydantic_extra__") and get_type_hints(each, include_extras=True):
                rows.append(["`METRIC`", _type(get_args(extra["__pydantic_extra__"])[1]), "Score by this metric.", ""])
            head = ["field", "type", "meaning", "values or examples"]
            parts += [title, " ".join((inspect.getdoc(each) or "").split()), table(head, rows)]
    return "\n\n".join(parts)


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and its parts, each once, in the order of their fields."""
    found = {model: None}
    for field in model.model_fields.values():
        found |= {each: None for part in _inner(field.annotation) for each in _models(part)}
    for kind in _inner(get_type_hints(model, include_extras=True).get("__pydantic_extra__")):
        found |= dict.fromkeys(_models(kind))
    yield from found


def _inner(kind: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        yield kind
    for each in get_args(kind):
        yield from _inner(each)


def _row(model: type[BaseModel], name: str) -> list[str]:
    field = model.model_fields[name]
    assert field.description, f"{model.__name__}.{name} has no description"
    values = [f"`{value}`" for value in _choices(field.annotation)] or [f"`{_plain(e)}`" for e in field.examples or ()]
    return [f"`{field.alias or name}`", _type(field.annotation), field.description, ", ".join(values)]


def _plain(value: Any) -> str:
    return str(value).replace("'", "")


def _choices(kind: Any) -> list[Any]:
    """The allowed values of a field."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [value for each in get_args(kind) for value in _choices(each)] if get_origin(kind) is not None else []


def _type(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return "reason" if Reason in get_args(inner[0]) or inner[0] is Reason else _type(inner[0])
    if origin is Literal:
        return " or ".join(dict.fromkeys(_PLAIN[type(value).__name__] for value in inner))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_type, inner)))
    if origin is tuple and inner[-1] is not ...:
        return f"[{', '.join(map(_type, inner))}]"
    if origin is not None and len(inner) == 2 and inner[-1] is not ...:
        return f"map to {_type(inner[1])}"
    if origin is not None:
        return f"list of {_type(inner[0])}"
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return f"[{_title(kind)}](#{_title(kind).lower().replace(' ', '-')})"
    return _PLAIN.get(getattr(kind, "__name__", str(kind)), "reason" if kind is Reason else str(kind))


def _title(model: type[BaseModel]) -> str:
    """`Label rule` for `LabelRulePart`."""
    name = model.__name__.removesuffix("Part").removesuffix("Content")
    return "".join(f" {letter.lower()}" if i and letter.isupper() else letter for i, letter in enumerate(name))
