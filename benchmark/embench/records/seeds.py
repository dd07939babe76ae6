"""The seeds that a board takes, and that runs have by default; each is a partition of the subjects and an
initialisation."""

from __future__ import annotations

from typing import Literal

from embench.records.manifest import Manifest
from embench.records.method_kind import MethodKind, method_kind

SHARED_SEEDS = (0, 1, 2)
"""The seeds that all ranked rows of a board have: rows are compared in these partitions."""

_TEN_SEEDS = tuple(range(10))


def seeds_taken(kind: MethodKind, folds: int | Literal["each"]) -> tuple[tuple[int, ...], ...]:
    """The lists of seeds that a board takes of methods of a kind; the first is the default of a run.

    Who chooses seeds after looking chooses the luckiest. Estimators cost little, so that they
    have ten partitions; all other methods may have as many. Where `each` subject is a fold, partitions
    differ in their validation subjects alone.

    >>> seeds_taken("features", "each"), [len(seeds) for seeds in seeds_taken("network", 5)]
    (((0, 1, 2),), [3, 10])
    """
    if folds == "each":
        return (SHARED_SEEDS,)
    return (_TEN_SEEDS,) if kind == "features" else (SHARED_SEEDS, _TEN_SEEDS)


def seeds_not_taken(run: Manifest) -> str | None:
    """The seeds of a run and those that a board wants instead, in words; None where it takes them."""
    taken = seeds_taken(method_kind(run.method), run.protocol.folds)
    if tuple(sorted(run.seeds)) in taken:
        return None
    wanted = " or ".join(f"0 to {seeds[-1]}" if len(seeds) > 3 else ", ".join(map(str, seeds)) for seeds in taken)
    return f"{', '.join(map(str, run.seeds))} instead of {wanted}"
