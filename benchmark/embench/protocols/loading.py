"""Protocols as files: their names, their reading, and messages on faults."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from embench.errors import DataError, Fault, UsageError, breaks_schema
from embench.files import MOST_YAML, parse_yaml, read_text
from embench.protocols.schema import LabelRules, Protocol, StimulusRules
from embench.registry.naming import did_you_mean
from embench.registry.trust import refuse_file
from embench.snapshot import cached

FOLDER = Path(__file__).parent


def protocol_names() -> list[str]:
    """The names of the published protocols.

    >>> "subject-independent-v3" in protocol_names()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def about_protocol(name: str) -> str:
    """The purpose of a published protocol: the comment at the head of its file.

    >>> about_protocol("wu2023-last")
    'As wu2023, with the epoch of the recipe, which does not depend on test labels.'
    """
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))


@cached
def load_protocol(name_or_path: str | Path) -> Protocol:
    """The protocol of this name, or the one in this YAML file.

    Raises:
        UsageError: there is none of that name; or the file cannot be read, breaks the schema, leaks while it says that
            it does not, or takes a published name for other rules.

    >>> load_protocol("subject-independent-v3").split.folds
    5
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        refuse_file("protocol", str(path))
        return _refuse_impostor(_refuse_hidden_leak(_read(path), path), path)
    if str(name_or_path) not in protocol_names():
        raise UsageError(
            f"no protocol has the name '{name_or_path}'",
            where="--protocol",
            expected=f"one of {', '.join(protocol_names())}, or a path to a YAML file",
            hint=did_you_mean(str(name_or_path), protocol_names()),
        )
    return _read(FOLDER / f"{name_or_path}.yaml")


def recorded_protocol(part: Mapping[str, Any]) -> Protocol | None:
    """The rules that a record names in `protocol` of its run.yaml: those that it holds, else the published ones of that
    name and hash; None where there are none.

    Raises:
        DataError: the rules that it holds are none.
    """
    if "rules" in part:
        try:
            return Protocol.model_validate(part["rules"], strict=False)
        except ValidationError as error:
            found = [_fault(dict(fault))[0] for fault in error.errors()]
            what = breaks_schema("the record's protocol", found)
            raise DataError(what, where="run.yaml, protocol.rules", expected="rules as written by embench") from error
    known = load_protocol(part["name"]) if part["name"] in protocol_names() else None
    return known if known is not None and known.hash == part["hash"] else None


def _read(path: Path) -> Protocol:
    try:
        return _rules(read_text(path, MOST_YAML), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "the file is not UTF-8 text"
        raise UsageError(f"cannot read the protocol file: {reason}", where=str(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "YAML parsing failed"
        raise UsageError(f"the protocol file is not valid YAML: {problem}", where=f"{path}{line}") from error
    except ValidationError as error:
        raise _usage_error(error, path) from error


@cache
def _rules(text: str, path: Path) -> Protocol:
    """The rules of a file with this text, which is read at every call and parsed where it has changed."""
    content = parse_yaml(text)
    if not isinstance(content, dict):
        raise UsageError(
            "the protocol file is not a mapping of rules",
            where=str(path),
            expected=f"keys {', '.join(Protocol.model_fields)}",
        )
    return Protocol.model_validate(_extended(content, path))


def _extended(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The rules of a file, with those of the published protocol that it `extends` wherever it has none itself."""
    own = dict(content)
    base = own.pop("extends", None)
    if base is None:
        return own
    if base not in protocol_names():
        raise UsageError(
            f"no published protocol has the name '{base}'",
            where=f"{path}, extends",
            expected=f"one of {', '.join(protocol_names())}",
            hint=did_you_mean(str(base), protocol_names()),
        )
    return {**load_protocol(base).model_dump(exclude_none=True), **own}


def _usage_error(error: ValidationError, path: Path) -> UsageError:
    """One message for all fields that are wrong: the first as the message's head, the others below it."""
    found, expected = zip(*(_fault(dict(fault)) for fault in error.errors()), strict=True)
    return UsageError(
        breaks_schema("the protocol", found),
        where=f"{path}, {', '.join(dict.fromkeys(fault.field for fault in found))}",
        expected="; ".join(dict.fromkeys(expected)),
    )


def _fault(fault: dict[str, Any]) -> tuple[Fault, str]:
    """A finding of pydantic, and the expected value."""
    place = [str(part) for part in fault["loc"]]
    parent: Any = Protocol
    named = []
    for part in place:
        if not (isinstance(parent, type) and issubclass(parent, BaseModel)):
            break  # what follows names a branch of a union, which is no field
        named.append(part)
        parent = parent.model_fields[part].annotation if part in parent.model_fields else None
    model: Any = Protocol.model_fields[named[0]].annotation if len(named) > 1 else Protocol
    if place[0] == "labels":  # then come a dataset, a target and the rule's own field
        named, model = place[:4], LabelRules
    if place[0] == "stimuli":  # then come a dataset and the rules' own field
        named, model = place[:3], StimulusRules
    field = ".".join(named)
    if fault["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return Fault(field, "unknown key"), did_you_mean(named[-1], known) or f"only {', '.join(known)}"
    if fault["type"] == "missing":
        return Fault(field, "missing"), f"a value for {field}"
    message = fault["msg"]
    return Fault(field, f"found {reprlib.repr(fault['input'])}"), f"{field}: {message[0].lower()}{message[1:]}"


def _refuse_hidden_leak(protocol: Protocol, path: Path) -> Protocol:
    """Refuses what no proof on folds would find; a split that leaks is refused there, with the ids that it shares."""
    if "select" in protocol.deviations and not protocol.leaks:
        field, what = "select", protocol.deviations["select"]
        raise UsageError(
            f"the protocol '{protocol.name}' declares that it does not leak, but it does: {what}",
            where=f"{path}, {field}",
            expected="split.by: group and select: recipe, or leaks: true (its results are marked and never ranked)",
        )
    return protocol


def _refuse_impostor(protocol: Protocol, path: Path) -> Protocol:
    if protocol.name in protocol_names() and protocol.hash != load_protocol(protocol.name).hash:
        raise UsageError(
            f"the rules differ from the published protocol '{protocol.name}'",
            where=f"{path}, name",
            expected="a new name: results are compared by the name of their protocol",
        )
    return protocol
