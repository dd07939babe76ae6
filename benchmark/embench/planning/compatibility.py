"""Compatibility of parts as plugins declare it: the check of a method, and the matrix of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from embench import registry
from embench.errors import PluginError, UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.encoder import Encoder
from embench.interfaces.fusion import Estimator, Fusion
from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recording import names_in, parts_of
from embench.planning.parts import Method, Pretraining


def check_parts(method: Method, kind: type[Any]) -> None:
    """Refuses encoders that do not read their modality, a fusion (`kind`, its class) that does not join this many, and
    pretrainers that fit neither. Raises UsageError that names what is missing, and parts that fit."""
    for m, part in method.encoders.items():
        encoder: type[Encoder] = registry.load("encoder", part.name)
        missing = [p for p in names_in(m) if registry.known_as(encoder.accepts, p) is None]
        if missing:
            readers = [name for name, kind in _plugins("encoder") if registry.known_as(kind.accepts, m)]
            raise UsageError(
                f"encoder {part.short} does not read {', '.join(missing)}",
                where=f"modality {m}",
                expected=f"one of {', '.join(sorted(encoder.accepts))}",
                hint=f"encoders of {m}: {', '.join(readers)}" if readers else None,
            )
        if "+" in m and encoder(part.recipe).reads == "features" and "joined" not in encoder.offers:
            raise UsageError(
                f"encoder {part.short} computes features of single modalities, not of joined ones",
                where=f"modality {m}",
                expected="an encoder that reads signals or supports joined modalities",
                hint=f"list the modalities separately: --modalities {m.replace('+', ',')}",
            )
        if "+" in m and "video" in names_in(m):
            raise UsageError(
                "a video has no channels to join with other modalities",
                where=f"modality {m}",
                hint="use a fusion instead: --modalities " + m.replace("+", ","),
            )
    if issubclass(kind, Fusion):
        n = len(method.modalities)
        if not _takes(kind, n):
            span = _size(kind)
            others = [name for name, other in _plugins("fusion") if issubclass(other, Fusion) and _takes(other, n)]
            raise UsageError(
                f"fusion {method.fusion.short} takes {span} modalit{'y' if span == '1' else 'ies'}, but the run "
                f"has {n}: {', '.join(method.modalities)}",
                where="--fusion",
                expected=_offered(f"for {n} modalities, a fusion", others),
                hint="add modalities with --modalities, or choose another --fusion"
                if n < kind.arity[0]
                else f"choose one modality: --modalities {method.modalities[0]}",
            )
    for step in method.pretraining:
        _check_pretraining(method, step, kind)


def check_inputs(method: Method, card: Card) -> None:
    """Refuses an encoder that cannot read what a dataset has of its modality: too few channels, or others than it
    needs. Raises UsageError."""
    counts = {m: len(own.channels) for m, own in card.modalities.items()}
    for m, part in method.encoders.items():
        encoder: type[Encoder] = registry.load("encoder", part.name)
        channels = tuple(
            name for of, one in parts_of(m) for name in ((one,) if one else tuple(card.modalities[of].channels))
        )
        if len(channels) < encoder.min_channels:
            enough = [n for n in counts if counts[n] >= encoder.min_channels and registry.known_as(encoder.accepts, n)]
            raise UsageError(
                f"encoder {part.short} requires {encoder.min_channels} channels, but {m} of {card.name} has "
                f"{len(channels)}",
                where="--modalities",
                expected=", ".join(enough)
                or f"joined modalities with {encoder.min_channels} channels in total, such as ecg+eda",
            )
        rates = {card.modalities[of].rate for of in names_in(m)}
        encoder(part.recipe).check_input(m, channels, rates.pop() if len(rates) == 1 else math.nan)


def _check_pretraining(method: Method, step: Pretraining, fusion: type[Any]) -> None:
    pretrainer: type[Pretrainer] = registry.load("pretrainer", step.part.name)
    if method.inputs == "features":
        raise UsageError(
            f"{method.fusion.short} is fitted on features, and pretraining does not change them",
            where=f"--pretrainer {step.part.short}",
        )
    for m in method.of(step):
        instance: Encoder = registry.load("encoder", method.encoders[m].name)(method.encoders[m].recipe)
        if what := _lacks(pretrainer, instance):
            raise UsageError(
                f"pretrainer {step.part.short} requires {what}, but encoder {method.encoders[m].short} does not "
                "offer it",
                where=f"--pretrainer {step.part.short}, modality {m}",
                expected=_offered(f"an encoder of {m}", _encoders_for(pretrainer, m, method.preset)),
            )
    if needed := _lacks_of_fusion(pretrainer, fusion):
        raise UsageError(
            f"pretrainer {step.part.short} trains the complete model and requires {needed}",
            where=f"--fusion {method.fusion.short}",
            expected=_offered("a fusion", _fusions_for(pretrainer, len(method.modalities))),
        )


def _lacks(pretrainer: type[Pretrainer], encoder: Encoder) -> str | None:
    """The needs of a pretrainer that an encoder does not meet; None where there are none."""
    if missing := sorted(pretrainer.needs_encoder - encoder.offers):
        return ", ".join(missing)
    reads = encoder.reads if encoder.reads in ("features", "clips") else "signal"
    fine = not pretrainer.needs_input or reads in pretrainer.needs_input
    return None if fine else f"input of kind {' or '.join(sorted(pretrainer.needs_input))}"


def _lacks_of_fusion(pretrainer: type[Pretrainer], fusion: type[Any]) -> str | None:
    """The needs of a pretrainer that a fusion, or an estimator, does not meet; None where there are none."""
    if missing := sorted(pretrainer.needs_fusion - getattr(fusion, "offers", frozenset())):
        return ", ".join(missing)
    end_to_end = getattr(fusion, "inputs", None) == "tokens"
    return None if pretrainer.scope != "model" or end_to_end else "a fusion trained end to end"


def _encoders_for(pretrainer: type[Pretrainer], modality: str, preset: str) -> list[str]:
    """The encoders of a modality that a pretrainer can train."""
    found = ((name, kind) for name, kind in _plugins("encoder") if registry.known_as(kind.accepts, modality))
    return [n for n, kind in found if preset in kind.recipes and not _lacks(pretrainer, kind(kind.recipes[preset]))]


def _fusions_for(pretrainer: type[Pretrainer], modalities: int) -> list[str]:
    """The fusions of this many modalities under which a pretrainer can train the whole model."""
    return [
        name
        for name, kind in _plugins("fusion")
        if issubclass(kind, Fusion) and not _lacks_of_fusion(pretrainer, kind) and _takes(kind, modalities)
    ]


def _takes(fusion: type[Fusion], modalities: int) -> bool:
    """True if a fusion joins this number of modalities."""
    least, most = fusion.arity
    return least <= modalities <= (most or modalities)


def _plugins(kind: str) -> Iterator[tuple[str, Any]]:
    """Name and class of every plugin of a kind that can be loaded."""
    for name in registry.names(kind):
        with suppress(PluginError):
            yield name, registry.load(kind, name)


def _offered(what: str, names: Sequence[str]) -> str:
    return f"{what} such as {', '.join(names)}" if names else f"{what}; none is installed"


Goes = Literal["yes", "hidden", "-"]


@dataclass(frozen=True)
class Matrix:
    """The combinations of all plugins that can be loaded, by the names that are written for them.

    Args:
        reads: encoder -> the modalities that it reads.
        features: the encoders with features, to which estimators are fitted.
        sizes: fusion -> how many modalities it takes, in words.
        trains: encoder -> the pretrainers that can train it (with its recipe `small`, if it has one).
        under: fusion -> pretrainer -> whether they go together; `hidden`: with an encoder that has no features.
    """

    reads: Mapping[str, tuple[str, ...]]
    features: tuple[str, ...]
    sizes: Mapping[str, str]
    trains: Mapping[str, tuple[str, ...]]
    under: Mapping[str, Mapping[str, Goes]]

    def allows(self, pretrainer: str, encoder: str, fusion: str) -> bool:
        """True where the planner takes the three together."""
        goes = self.under[fusion][pretrainer]
        return pretrainer in self.trains[encoder] and (
            goes == "yes" or (goes == "hidden" and encoder not in self.features)
        )

    def tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Title, head and rows: what encoders read, which pretrainers train them, and under which fusions."""
        pretrainers = list(next(iter(self.under.values()), ()))
        trained = [[name, *("yes" if p in those else "-" for p in pretrainers)] for name, those in self.trains.items()]
        under = [[name, self.sizes[name], *goes.values()] for name, goes in self.under.items()]
        return [
            (
                "modalities that encoders read",
                ["encoder", "modalities"],
                [[n, " ".join(read)] for n, read in self.reads.items()],
            ),
            ("encoders that a pretrainer can train", ["encoder", *pretrainers], trained),
            ("fusions and estimators that a pretrainer supports", ["fusion", "modalities", *pretrainers], under),
        ]


NOTE = (
    "hidden: the estimator is fitted to hand-crafted features if the encoder computes them; pretraining does not "
    "change these. For other encoders the estimator is fitted to the hidden layers of the pretrained network."
)
"""Legend of a matrix."""


def matrix() -> Matrix:
    """The matrix of the plugins at hand, by what they declare."""
    encoders, pretrainers, fusions = (dict(_plugins(kind)) for kind in ("encoder", "pretrainer", "fusion"))
    modalities = [m.name for m in registry.modalities()]
    return Matrix(
        {n: tuple(m for m in modalities if registry.known_as(cls.accepts, m)) for n, cls in encoders.items()},
        tuple(name for name, cls in encoders.items() if "features" in cls.offers),
        {name: _size(fusion) for name, fusion in fusions.items()},
        {n: tuple(p for p, k in pretrainers.items() if not _lacks(k, _small(cls))) for n, cls in encoders.items()},
        {n: {p: _goes(kind, fusion) for p, kind in pretrainers.items()} for n, fusion in fusions.items()},
    )


def _small(encoder: type[Encoder]) -> Encoder:
    recipes = encoder.recipes
    return encoder(recipes["small"] if "small" in recipes else next(iter(recipes.values())))


def _goes(pretrainer: type[Pretrainer], fusion: type[Any]) -> Goes:
    if _lacks_of_fusion(pretrainer, fusion):
        return "-"
    return "hidden" if issubclass(fusion, Estimator) and fusion.reads == "features" else "yes"


def _size(fusion: type[Any]) -> str:
    """The number of modalities that a fusion, or an estimator, takes."""
    least, most = getattr(fusion, "arity", (1, None))
    return f"{least}" if most == least else f"{least} to {most}" if most else f"at least {least}"
