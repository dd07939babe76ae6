"""Every pair of plugins that may stand in one network, in as few networks as a greedy search finds. The search takes
seconds, so that what it found is kept in `array.txt`: `python -m tests.pairs.array` writes it anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations, islice, product
from pathlib import Path
from typing import Any

from embench.planning.request import Request

from . import made
from .declared import (
    ALL,
    CROSSED,
    JOINED,
    LEVELS,
    Pair,
    joins,
    lacks,
    lacks_fusion,
    load,
    predicts,
    readable,
    reads,
    takes,
    wanted,
)

FOUND = Path(__file__).with_name("array.txt")
"""A network of the array a line."""
SCRATCH = "scratch"
OFF_THE_MAP = ("emoeeg_mc", "emoeeg_mc/processed")
"""Datasets with electrodes that the scalp's map of unet_se has no place for."""


@dataclass(frozen=True)
class Together:
    """One network: `inputs` are (modality, encoder)."""

    dataset: str
    inputs: tuple[tuple[str, str], ...]
    fusion: str
    pretrainer: str | None = None
    targets: str = ALL

    def __str__(self) -> str:
        inputs = ",".join(f"{m}={e}" for m, e in self.inputs)
        return f"{self.dataset}:{inputs}:{self.pretrainer or SCRATCH}:{self.fusion}:{self.targets}"

    @classmethod
    def read(cls, text: str) -> Together:
        """The network that is written so."""
        dataset, inputs, pretrainer, fusion, targets = text.split(":")
        pairs = tuple(tuple(pair.split("=")) for pair in inputs.split(","))
        return cls(dataset, pairs, fusion, None if pretrainer == SCRATCH else pretrainer, targets)

    @property
    def pretrained(self) -> tuple[tuple[str, str], ...]:
        """The inputs that are pretrained: those that can be, where each is by itself."""
        if self.pretrainer is None:
            return ()
        alone = load("pretrainer", self.pretrainer).scope == "encoder"
        return tuple((m, e) for m, e in self.inputs if not alone or lacks(e, self.pretrainer) is None)

    def request(self, **places: Any) -> Request:
        """What is asked of the planner: `small` networks, by the recipes of the dataset, one for all targets."""
        steps: tuple[str, ...] = ()
        if self.pretrainer:
            kind = load("pretrainer", self.pretrainer)
            source = f":{made.plugin(self.dataset, 'others')}" if kind.labels == "source" else ""
            each = [f"{m}=" for m, _ in self.pretrained if kind.scope == "encoder"] or [""]
            steps = tuple(f"{m}{self.pretrainer}{source}" for m in each)
        on_map = self.dataset not in OFF_THE_MAP or ("eeg", "unet_se") not in self.inputs
        of_maps = () if on_map else ("encoder[eeg].build.layout=matrix",)
        return Request(
            made.plugin(self.dataset), tuple(f"{m}={e}" for m, e in self.inputs), self.fusion, steps,
            modalities=",".join(m for m, _ in self.inputs), targets=self.targets, recipe="small", seeds="0",
            device="cpu", workers=1, settings=("encoder.targets=joint", "fusion.targets=joint", *of_maps), **places,
        )  # fmt: skip

    def pairs(self) -> set[Pair]:
        modalities, encoders = zip(*self.inputs, strict=True)
        levels: dict[str, Iterable[Any]] = {
            "dataset": [self.dataset],
            "encoder": encoders,
            "pretrainer": [self.pretrainer] if self.pretrainer else [],
            "fusion": [self.fusion],
            "count": [len(modalities)],
            "targets": [self.targets],
            "joins": [joins(self.fusion, encoders)],
        }
        linked = {
            ("modality", "encoder"): [(JOINED if "+" in m else m, e) for m, e in self.inputs],
            ("encoder", "encoder"): combinations(sorted(encoders), 2),
            ("encoder", "pretrainer"): [(e, self.pretrainer) for _, e in self.pretrained],
        }
        every = {c: linked[c] if c in linked else product(levels[c[0]], levels[c[1]]) for c in CROSSED}
        return {((one, a), (other, b)) for (one, other), values in every.items() for a, b in values}


@cache
def array() -> tuple[Together, ...]:
    """The networks that the search found when it was run last."""
    return tuple(map(Together.read, FOUND.read_text(encoding="utf-8").splitlines()))


def search(tries: int = 10_000, enough: int = 20) -> tuple[Together, ...]:
    """Networks that hold every wanted pair: for the first that is left, of some drawn at random with it the one that
    holds most others that are left.

    Args:
        tries, enough: draws for a pair, and how many that fit it are enough to choose from.

    Raises:
        LookupError: no network was found for a pair that is allowed.
    """
    draws, left, chosen = random.Random(0), dict.fromkeys(wanted()), list[Together]()
    while left:
        first = next(iter(left))
        fitting = (t for t in (_draw(draws, first) for _ in range(tries)) if t and first in t.pairs())
        best = max(islice(fitting, enough), key=lambda t: len(t.pairs() & left.keys()), default=None)
        if best is None:
            raise LookupError(f"no network holds {first}")
        chosen.append(best)
        for pair in best.pairs():
            left.pop(pair, None)
    return tuple(chosen)


def covering(parts: Callable[[Together], set[Any]], leave: Callable[[Together], bool] | None = None) -> list[Together]:
    """Networks of the array that hold all `parts` of any: always the next that holds most of those that are left, for
    the inputs that it costs; none to `leave`."""
    held = {together: parts(together) for together in array()}
    left, chosen = set().union(*held.values()), list[Together]()
    held = {together: own for together, own in held.items() if leave is None or not leave(together)}
    while left:
        chosen.append(max(held, key=lambda together: len(held[together] & left) / len(together.inputs)))
        left -= held[chosen[-1]]
    return chosen


def holding(*crossed: tuple[str, str]) -> list[Together]:
    """Networks of the array that hold every pair of these factors."""
    return covering(lambda together: {pair for pair in together.pairs() if (pair[0][0], pair[1][0]) in crossed})


def _draw(draws: random.Random, pair: Pair) -> Together | None:
    """A network with the two levels of a pair and others at random; None where these do not go together."""
    fixed: dict[str, list[Any]] = {}
    for factor, level in pair:
        fixed.setdefault(factor, []).append(level)

    def level(factor: str) -> Any:
        return fixed[factor][0] if factor in fixed else draws.choice(LEVELS[factor])

    dataset, fusion, targets, count = level("dataset"), level("fusion"), level("targets"), level("count")
    pretrainer = level("pretrainer") if "pretrainer" in fixed or draws.random() < 0.7 else None
    encoders = [*fixed.get("encoder", []), *draws.choices(LEVELS["encoder"], k=4)]
    free, inputs = list(made.CARDS[dataset].modalities), list[tuple[str, str]]()
    for i, encoder in enumerate(encoders[: max(count, len(fixed.get("encoder", [])))]):
        kind = fixed["modality"][0] if i == 0 and "modality" in fixed else None
        joined = kind == JOINED or (kind is None and reads(encoder) == "signal" and draws.random() < 0.1)
        choice = [m for m in free if m in readable(encoder, dataset) and kind in (None, JOINED, m)]
        if joined:
            choice = [m for m in choice if m != "face_au"]  # which has a rate of its own
        if len(choice) < 1 + joined:
            return None
        own = draws.sample(choice, 1 + joined)
        free = [m for m in free if m not in own]
        inputs.append(("+".join(own), encoder))
    together = Together(dataset, tuple(inputs), fusion, pretrainer, targets)
    return together if _fits(together) else None


def _fits(t: Together) -> bool:
    encoders = [e for _, e in t.inputs]
    if not (takes(t.fusion, len(encoders)) and predicts(t.fusion, t.targets)):
        return False
    if t.pretrainer is None:
        return True
    able = t.pretrained and all(lacks(e, t.pretrainer) is None for _, e in t.pretrained)
    return bool(able) and lacks_fusion(t.fusion, t.pretrainer) is None and joins(t.fusion, encoders) != "features"


if __name__ == "__main__":
    FOUND.write_text("".join(f"{together}\n" for together in search()), encoding="utf-8")
