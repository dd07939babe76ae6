"""Differences between two documents of scores: a recorded one, and one that is computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

TOLERANCE = 1e-6
"""Numbers that lie further apart, as shares of 1 or of their own size, are not the same: libraries and processors
differ in the last digits."""
NUISANCES_DIFFER = 1e-3
"""Tolerance of numbers that depend on nuisances, whose models are fitted again."""
ABSENT = "nothing"
"""Placeholder for a value that one document does not have."""


class Difference(NamedTuple):
    """`place` names the field, with dots between the levels."""

    place: str
    recorded: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.place}: {_short(self.recorded)}, but it follows {_short(self.recomputed)}"


def differences(recorded: Any, recomputed: Any, place: str = "", tolerance: float = TOLERANCE) -> Iterator[Difference]:
    """The values that differ, or that one document lacks, in the order of the recorded one."""
    if isinstance(recorded, Mapping) and isinstance(recomputed, Mapping):
        for name in dict.fromkeys([*recorded, *recomputed]):
            at = f"{place}.{name}" if place else str(name)
            yield from differences(recorded.get(name, ABSENT), recomputed.get(name, ABSENT), at, tolerance)
    elif isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        for i, (one, other) in enumerate(zip(recorded, recomputed, strict=True)):
            yield from differences(one, other, f"{place}[{i}]", tolerance)
    elif not _same(recorded, recomputed, tolerance):
        yield Difference(place, recorded, recomputed)


def _same(one: Any, other: Any, tolerance: float) -> bool:
    numbers = [value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2:
        return type(one) is type(other) and bool(one == other)
    return abs(one - other) <= tolerance * max(1.0, abs(other)) or (math.isnan(one) and math.isnan(other))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]
