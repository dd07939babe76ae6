"""What plugins declare of themselves, and so which of them may stand in one network.

The levels are the registry's: a new plugin is among them by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

from embench import registry
from embench.interfaces.fusion import Estimator
from embench.interfaces.recording import MODALITIES
from embench.planning.compatibility import CAPABILITIES

from ..extras import FOUNDATION
from . import made

JOINED = "joined"
"""Two modalities as one, such as `ecg+eda`."""

ALL = ",".join(target.name for target in made.TARGETS)
Pair = tuple[tuple[str, Any], tuple[str, Any]]
"""Two factors, each with a level."""


def bundled(kind: str) -> tuple[str, ...]:
    """The bundled plugins of a kind whose libraries are there."""
    names = (e.name for e in registry.entries(kind) if e.package == registry.BUNDLED)
    return tuple(name for name in names if name not in FOUNDATION)


@cache
def load(kind: str, name: str) -> Any:
    return registry.load_plugin(kind, name)


@cache
def reads(encoder: str) -> str:
    kind = load("encoder", encoder)
    what = str(kind(kind.recipes["small"]).reads)
    return "signal" if what == "stream" else what


@cache
def readable(encoder: str, dataset: str | None = None) -> tuple[str, ...]:
    """The modalities that an encoder accepts, and a dataset has."""
    there = MODALITIES if dataset is None else made.CARDS[dataset].modalities
    return tuple(m for m in there if m in load("encoder", encoder).accepts)


def lacks(encoder: str, pretrainer: str) -> str | None:
    """What a pretrainer needs of an encoder and does not find, in words."""
    wanted = load("pretrainer", pretrainer)
    missing = [CAPABILITIES[flag] for flag in sorted(wanted.needs_encoder - load("encoder", encoder).offers)]
    if wanted.needs_input and reads(encoder) not in wanted.needs_input:
        missing.append(" or ".join(CAPABILITIES[name] for name in sorted(wanted.needs_input)))
    return " and ".join(missing) or None


def lacks_fusion(fusion: str, pretrainer: str) -> str | None:
    """What a pretrainer needs of a fusion and does not find, in words."""
    wanted, kind = load("pretrainer", pretrainer), load("fusion", fusion)
    missing = [CAPABILITIES[flag] for flag in sorted(wanted.needs_fusion - getattr(kind, "offers", frozenset()))]
    if wanted.scope == "model" and (issubclass(kind, Estimator) or kind.inputs != "tokens"):
        missing.append("is trained end to end")
    return " and ".join(missing) or None


def takes(fusion: str, count: int) -> bool:
    """Whether a fusion takes so many modalities; estimators take any number."""
    least, most = getattr(load("fusion", fusion), "arity", (1, None))
    return bool(least <= count <= (most or count))


def predicts(fusion: str, targets: str) -> bool:
    """Whether a fusion answers targets of these kinds, all at once; an estimator is fitted for one at a time."""
    kind = load("fusion", fusion)
    if not issubclass(kind, Estimator):
        return True
    return targets != ALL and {t.kind for t in made.TARGETS if t.name == targets} <= kind.kinds


def joins(fusion: str, encoders: Sequence[str]) -> str:
    """What a fusion joins of these encoders."""
    kind = load("fusion", fusion)
    if not issubclass(kind, Estimator):
        return str(kind.inputs)
    if kind.reads == "decisions":
        return "decisions"
    return "features" if all("features" in load("encoder", e).offers for e in encoders) else "hidden"


LEVELS: Mapping[str, Sequence[Any]] = {
    "dataset": tuple(made.CARDS),
    "modality": (*MODALITIES, JOINED),
    "encoder": bundled("encoder"),
    "pretrainer": bundled("pretrainer"),
    "fusion": bundled("fusion"),
    "count": (1, 2, 3, 4),
    "targets": (*(target.name for target in made.TARGETS), ALL),
    "joins": ("unimodal", "tokens", "hidden", "decisions", "features"),
}
"""`count` is the number of modalities; `joins` what the fusion joins."""

CROSSED = (
    ("dataset", "encoder"), ("dataset", "pretrainer"), ("dataset", "fusion"), ("modality", "encoder"),
    ("encoder", "encoder"), ("encoder", "pretrainer"), ("encoder", "fusion"), ("encoder", "joins"),
    ("pretrainer", "fusion"), ("pretrainer", "count"), ("fusion", "count"), ("fusion", "targets"), ("fusion", "joins"),
)  # fmt: skip
"""Of which factors all pairs of levels are wanted: all plugins with each other, modalities with the encoder that reads
them, and what else decides how a network is put together."""


def wanted() -> Iterator[Pair]:
    """Every pair that may stand in one network, by what the two declare."""
    for one, other in CROSSED:
        yield from (
            ((one, a), (other, b)) for a, b in product(LEVELS[one], LEVELS[other]) if _allowed(one, a, other, b)
        )


def _allowed(one: str, a: Any, other: str, b: Any) -> bool:
    match one, other:
        case "modality", "encoder":
            return reads(b) == "signal" and len(readable(b)) > 1 if a == JOINED else a in readable(b)
        case "dataset", "encoder":
            return bool(readable(b, a))
        case "dataset", "pretrainer":
            return any(lacks(e, b) is None and readable(e, a) for e in LEVELS["encoder"])
        case "dataset", "fusion":
            return any(takes(b, count + 1) for count in range(len(made.CARDS[a].modalities)))
        case "encoder", "encoder":
            return bool(a <= b) and len({*readable(a), *readable(b)}) > 1
        case "encoder", "pretrainer":
            return lacks(a, b) is None
        case "encoder", "joins":
            return b != "features" or "features" in load("encoder", a).offers
        case "pretrainer", "fusion":
            return lacks_fusion(b, a) is None
        case "fusion", "count":
            return takes(a, b)
        case "fusion", "targets":
            return predicts(a, b)
        case "fusion", "joins":
            return _may_join(load("fusion", a), b)
    return True


def _may_join(kind: Any, joined: str) -> bool:
    if not issubclass(kind, Estimator):
        return bool(joined == kind.inputs)
    return joined == "decisions" if kind.reads == "decisions" else joined in ("features", "hidden")
