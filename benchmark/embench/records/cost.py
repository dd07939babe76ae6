"""The cost of a method as tables show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NOT_MEASURED = "not measured"
COST_COLUMNS = ("time", "parameters", "FLOPs", "memory", "energy")

_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_MEGABYTES = ((1024, "GB"), (1, "MB"))


def format_cost(cost: Mapping[str, Any]) -> dict[str, str]:
    """`COST_COLUMNS` -> text, from the `cost` of a run's record: time of all its stages one after the other, parameters
    and operations of one row's prediction in one fold, highest use of memory, energy of the GPU; and where they were
    measured `CPU time` of all cores, `GPU time` and `processor`."""
    wall, energy = cost.get("wall_s"), cost.get("energy_j")
    computed = {"CPU time": cost.get("cpu_s"), "GPU time": cost.get("gpu_s")}
    return {
        "time": NOT_MEASURED if wall is None else ", ".join(filter(None, (format_duration(wall), cost.get("device")))),
        "parameters": _scaled(cost.get("parameters"), _COUNTS),
        "FLOPs": _scaled(cost.get("flops"), _COUNTS),
        "memory": _scaled(cost.get("peak_memory_mb"), _MEGABYTES),
        "energy": NOT_MEASURED if energy is None else f"{energy / 3600:.3g} Wh",
        **{name: format_duration(seconds) for name, seconds in computed.items() if seconds},
        **({"processor": cost["processor"]} if cost.get("processor") else {}),
    }


def format_duration(seconds: float) -> str:
    """A length of time: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _scaled(number: float | None, sizes: Sequence[tuple[float, str]]) -> str:
    """`996`, `15.5 k`, `1.25 M`. Records of estimators held 0 before these were counted."""
    if not number:
        return NOT_MEASURED
    size, letter = next((s for s in sizes if number >= s[0]), sizes[-1])
    return f"{number / size:.3g} {letter}".strip() if size > 1 else f"{number:.0f} {letter}".strip()


def measured_costs(cost: Mapping[str, Any]) -> list[str]:
    """The costs that were measured, with their names."""
    return [f"{name} {text}" for name, text in format_cost(cost).items() if text != NOT_MEASURED]
