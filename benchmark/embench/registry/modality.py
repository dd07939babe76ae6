"""Modalities as `registry.yaml` describes them: the bundled ones, and those that packages add."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embench.registry.naming import did_you_mean

MODALITY = "modality"
"""The section of `registry.yaml`, and the kind of an entry that stands for a modality that can't be used."""

SITES = (
    "wrist", "finger", "palm", "arm", "chest", "abdomen", "neck", "ear", "forehead", "ankle", "foot", "zygomaticus",
    "corrugator", "trapezius",
)  # fmt: skip
"""Places of sensors on the body, in words of a `registry.yaml` and as names of channels; of an EMG, the muscle."""

_FIELDS = ("summary", "unit", "range", "rate_hz", "interpolate", "filter", "read_as")
_EDGES = ("high", "low", "order", "notch")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("fusion", "training", "type")
_NOT_READ_AS = "video"


@dataclass(frozen=True)
class ModalityDefinition:
    """A modality and how it is prepared. What a package leaves open of one of its own is: any unit, no limits, the
    protocol's rate, no filter. Of the bundled ones, the protocols' rules say it.

    Args:
        unit: the one in which a card has to give it; None: any.
        limits: least and greatest value that a sensor gives, in `unit`.
        rate_hz: the rate to which it is brought; None: the protocol's common one.
        linear: a derived series, not a wave: straight lines between its values, and no filter.
        filter: `high` and `low` (edges in Hz), `order` and `notch`, as `embench.signals.preprocess.Rule` has them.
        read_as: the bundled modality as which encoders read it that do not name it themselves.
    """

    name: str
    package: str
    version: str
    source: Path
    summary: str
    unit: str | None = None
    limits: tuple[float, float] | None = None
    rate_hz: float | None = None
    linear: bool = False
    filter: tuple[tuple[str, Any], ...] = ()
    read_as: str | None = None

    @property
    def home(self) -> str:
        """Package and version, for readers."""
        return f"{self.package} {self.version}"

    def definition(self) -> dict[str, Any]:
        """All fields that determine numbers, as plain values, on which two packages must agree."""
        left_out = ("name", "package", "version", "source", "summary")
        plain = {key: value for key, value in asdict(self).items() if key not in left_out}
        return {**plain, "limits": self.limits and list(self.limits), "filter": dict(self.filter)}

    def difference(self, recorded: Mapping[str, Any]) -> list[str]:
        """The fields of a definition in which it differs from this one."""
        own = self.definition()
        return [key for key in own if own[key] != recorded.get(key)]


def read_modality(name: str, fields: Any, package: str, version: str, source: Path) -> ModalityDefinition | str:
    """A modality from its fields in a `registry.yaml`, or what is wrong with them."""
    if problem := _problem(name, fields):
        return problem
    edges = {"order": 4, **fields["filter"]} if "filter" in fields else {}
    edges |= {key: float(edges[key]) for key in ("high", "low") if key in edges}
    low, high = fields.get("range", (None, None))
    return ModalityDefinition(
        name=name,
        package=package,
        version=version,
        source=source,
        summary=fields["summary"],
        unit=fields.get("unit"),
        limits=None if low is None else (float(low), float(high)),
        rate_hz=float(fields["rate_hz"]) if "rate_hz" in fields else None,
        linear="interpolate" in fields,
        filter=tuple(sorted(edges.items())),
        read_as=fields.get("read_as"),
    )


def clash_with_bundled(modality: ModalityDefinition, bundled: Mapping[str, ModalityDefinition]) -> str | None:
    """The conflict of a package's modality with the bundled ones, or None."""
    if modality.name in bundled:
        return f"`{modality.name}` is a modality of {bundled[modality.name].home}, and no package can redefine it"
    readable = [name for name in bundled if name != _NOT_READ_AS]
    if modality.read_as is not None and modality.read_as not in readable:
        hint = did_you_mean(modality.read_as, readable) or "known: " + ", ".join(readable)
        return f"`read_as` is {modality.read_as!r}, expected a bundled modality of signals ({hint})"
    return None


def _problem(name: str, fields: Any) -> str | None:
    if not _NAME.fullmatch(name):
        return "the name of a modality consists of small letters, digits and `_`, and begins with a letter"
    if hasattr(dict, name) or name in _TAKEN:
        return f"`{name}` has a reserved meaning: choose another name"
    if not isinstance(fields, Mapping):
        return "the entry is not a mapping of fields"
    for key in fields:
        if key not in _FIELDS:
            return f"unknown field `{key}` ({did_you_mean(str(key), _FIELDS) or 'known: ' + ', '.join(_FIELDS)})"
    if "summary" not in fields:
        return "`summary` is missing"
    for key in ("summary", "unit", "read_as"):
        if key in fields and (not isinstance(fields[key], str) or not fields[key]):
            return f"`{key}` is {fields[key]!r}, expected text"
    if "rate_hz" in fields and not _positive(fields["rate_hz"]):
        return f"`rate_hz` is {fields['rate_hz']!r}, expected a number above 0"
    if "interpolate" in fields and fields["interpolate"] != "linear":
        return f"`interpolate` is {fields['interpolate']!r}, expected linear, or omit the field"
    return _problem_of_range(fields) or _problem_of_filter(fields)


def _problem_of_range(fields: Mapping[str, Any]) -> str | None:
    if "range" not in fields:
        return None
    if "unit" not in fields:
        return "`range` requires `unit`, the measurement unit of its values"
    limits = fields["range"]
    if not isinstance(limits, list) or len(limits) != 2 or not all(map(_number, limits)) or limits[0] >= limits[1]:
        return f"`range` is {limits!r}, expected [least, greatest]"
    return None


def _problem_of_filter(fields: Mapping[str, Any]) -> str | None:
    if "filter" not in fields:
        return None
    edges = fields["filter"]
    if "interpolate" in fields:
        return "`filter` and `interpolate` exclude each other: a derived series is not filtered"
    if not isinstance(edges, Mapping) or not edges:
        return f"`filter` is {edges!r}, expected some of {', '.join(_EDGES)}"
    for key, value in edges.items():
        if key not in _EDGES:
            return f"unknown field `{key}` of `filter` ({did_you_mean(str(key), _EDGES) or ', '.join(_EDGES)})"
        if key == "notch" and not isinstance(value, bool):
            return f"`notch` of `filter` is {value!r}, expected true or false"
        if key == "order" and (type(value) is not int or not 1 <= value <= 10):
            return f"`order` of `filter` is {value!r}, expected an integer from 1 to 10"
        if key in ("high", "low") and not _positive(value):
            return f"`{key}` of `filter` is {value!r}, expected an edge in Hz above 0"
    if not {"high", "low", "notch"} & set(edges):
        return "`filter` has no effect: set high (high-pass edge in Hz), low (low-pass edge) or notch"
    if "high" in edges and "low" in edges and edges["high"] >= edges["low"]:
        return (
            f"`filter` removes everything: its lower edge high is {edges['high']} Hz, its upper edge low is "
            f"{edges['low']} Hz"
        )
    return None


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")


def _positive(value: Any) -> bool:
    return _number(value) and value > 0
