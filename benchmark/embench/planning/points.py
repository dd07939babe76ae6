"""Points of a grid: every combination of the values of its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from embench.errors import UsageError
from embench.planning.request import AXES

_NONE = "none"
"""A grid point without the option, such as `--pretrainer none --pretrainer masked_value`."""


def grid_points(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """The fields of a request for each point: the product of all axes, the last one changing fastest.

    Raises:
        UsageError: the dataset or the encoder is missing.
    """
    for name in ("dataset", "encoder"):
        if not axes.get(name):
            raise UsageError(f"a grid needs at least one --{name}", hint=f"embench list {name}")
    chosen_axes: list[tuple[str, Sequence[str]]] = [(name, values) for name, values in axes.items() if name != "set"]
    by_path: dict[str, list[str]] = {}
    for setting in axes.get("set", ()):
        by_path.setdefault(setting.partition("=")[0], []).append(setting)
    chosen_axes += [("set", values) for values in by_path.values()]
    for chosen in product(*(values for _, values in chosen_axes)):
        fields: dict[str, Any] = {"fusion": None, "modalities": None, "targets": None}
        for (name, _), value in zip(chosen_axes, chosen, strict=True):
            _put(fields, name, value)
        yield fields


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    field = AXES[name]
    if name == "set":
        fields[field] = (*fields.get(field, ()), value)
    elif name in ("encoder", "pretrainer"):
        fields[field] = () if value == _NONE else tuple(value.split(","))
    elif value != _NONE:
        fields[field] = value
