"""Typed records of everything that determines a stage's result; `plain()` is the content of ids and of `stage.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from embench.interfaces.recipe import Recipe
from embench.interfaces.units import LabelRule, Target
from embench.snapshot import cached_call


@dataclass(frozen=True)
class Part:
    """A plugin in a method: full name, code identity, recipe; of an encoder also what else decides its numbers, the
    versions of `libraries` and the SHA-256 of `assets` (files)."""

    name: str
    code: str
    recipe: Recipe
    libraries: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The name without its package, or without the path of its file."""
        return self.name.rpartition(":")[2].split("/", 1)[-1]

    @property
    def grounds(self) -> dict[str, dict[str, str]]:
        """Libraries and assets, where there are any."""
        return {key: dict(of) for key, of in (("libraries", self.libraries), ("assets", self.assets)) if of}

    def plain(self, key: str) -> dict[str, Any]:
        """`key` is what the name goes by."""
        return {key: self.name, "code": self.code, "recipe": _plain(self.recipe), **self.grounds}

    @classmethod
    def of(cls, plain: Mapping[str, Any], key: str) -> Part:
        """The part that `plain(key)` gave."""
        grounds = {name: plain[name] for name in ("libraries", "assets") if name in plain}
        return cls(plain[key], plain["code"], Recipe.of(plain["recipe"]), **grounds)


@dataclass(frozen=True)
class SourceSpec:
    """A prepared store, the lengths of its dataset's units, and what normalises a subject: where `rest` (s, s) alone
    does, it lies there in a recording. Modalities of `keep_level` are scaled by the training units instead."""

    store: str
    longest_s: float
    shortest_s: float
    normalise: str
    rest: tuple[float, float] | None = None
    keep_level: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Plain values for the stage's id; `rest`, `keep_level` and where a shorter unit is filled up (it was in front
        once) only where they decide anything."""
        return {
            "store": self.store,
            "longest_s": self.longest_s,
            "shortest_s": self.shortest_s,
            "normalise": self.normalise,
            **({"rest": list(self.rest)} if self.rest else {}),
            **({"filled": "behind"} if self.longest_s - self.shortest_s > 1e-6 else {}),
            **({"keep_level": list(self.keep_level)} if self.keep_level else {}),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> SourceSpec:
        """The source that `plain()` gave."""
        own: dict[str, Any] = {name: value for name, value in plain.items() if name != "filled"}
        own.update({name: tuple(own[name]) for name in ("rest", "keep_level") if name in own})
        return cls(**own)


@dataclass(frozen=True)
class Common:
    """Params of every stage; no `fold` where all folds share it."""

    engine: int
    libraries: Mapping[str, str]
    device: str
    threads: int
    seed: int
    fold: int | None
    source: SourceSpec

    def plain(self) -> dict[str, Any]:
        """Plain values for the stage's id; `fold` only where the stage belongs to one."""
        return {
            "engine": self.engine,
            "libraries": dict(self.libraries),
            "device": self.device,
            "threads": self.threads,
            "seed": self.seed,
            **({} if self.fold is None else {"fold": self.fold}),
            "source": self.source.plain(),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Common:
        """Reads the common params from the output of `plain()`."""
        own = {name: plain[name] for name in ("engine", "libraries", "device", "threads", "seed")}
        return cls(**own, fold=plain.get("fold"), source=SourceSpec.of(plain["source"]))


@dataclass(frozen=True)
class Params:
    """Everything that determines the result of a stage, but for its inputs and arrays."""

    common: Common

    def plain(self) -> dict[str, Any]:
        """Plain values in the order of `stage.json`."""
        return self.common.plain()

    def draws(self) -> dict[str, Any]:
        """Seed material of the stage's random numbers: no library, device or plugin, so that a run starts from the same
        weights everywhere, and methods that are compared start alike. All of it is part of `plain()` too."""
        return {"seed": self.common.seed, "fold": self.common.fold}


@dataclass(frozen=True)
class PredictParams(Params):
    """Params of a stage that predicts: the modalities that are treated as absent, and what is given of each subject
    before (`Given.plain`)."""

    drop: tuple[str, ...] = ()
    given: Mapping[str, int | str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Plain values for the stage's id."""
        return {**super().plain(), "drop": list(self.drop), **({"given": dict(self.given)} if self.given else {})}


@dataclass(frozen=True, kw_only=True)
class FitParams(Params):
    """Params of a stage that learns; as such, of the network of one modality.

    Args:
        modalities: each with its encoder, in the order that decides columns.
        recipe: how the stage itself is trained.
        targets: as `without_rule` leaves them.
        weights: modality, or `fusion`, -> digest of the file to start from.
        every_epoch: keep the weights of each.
    """

    modalities: Mapping[str, Part]
    recipe: Recipe
    targets: tuple[Target, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    every_epoch: bool = False

    def plain(self) -> dict[str, Any]:
        """Plain values for the stage's id."""
        return {**self._before(), "recipe": _plain(self.recipe), **self._started()}

    def draws(self) -> dict[str, Any]:
        """Seed material with targets and modalities, in their order."""
        return {**super().draws(), "targets": [t.name for t in self.targets], "modalities": list(self.modalities)}

    def _before(self) -> dict[str, Any]:
        return {
            **super().plain(),
            "targets": self._targets(),
            **({"every_epoch": True} if self.every_epoch else {}),
            "modalities": self._modalities(),
        }

    def _modalities(self) -> dict[str, Any]:
        return {m: part.plain("encoder") for m, part in self.modalities.items()}

    def _targets(self) -> list[dict[str, Any]]:
        return [{"name": t.name, "kind": t.kind, "n": t.n} for t in self.targets]

    def _started(self) -> dict[str, Any]:
        return {"weights": dict(self.weights)} if self.weights else {}


@dataclass(frozen=True, kw_only=True)
class FusionParams(FitParams):
    """Params of a fusion or an estimator: what it reads of its modalities."""

    fusion: Part
    inputs: Literal["tokens", "hidden", "decisions", "features"]

    def plain(self) -> dict[str, Any]:
        """Plain values for the stage's id, with the order of the modalities."""
        return {
            **self._before(),
            "order": list(self.modalities),  # ids are made of sorted keys, and the order decides columns
            "fusion": self.fusion.plain("name"),
            "recipe": _plain(self.recipe),
            "inputs": self.inputs,
            **self._started(),
        }


@dataclass(frozen=True, kw_only=True)
class PretrainParams(FitParams):
    """Params of a pretraining step, with the fusion where it is of the whole model; `step` is the number of steps that
    it goes on from, one after the other; `beside` are the sources whose rows it sees beside those of the first."""

    pretrainer: Part
    fusion: Part | None = None
    step: int = 0
    beside: tuple[SourceSpec, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Plain values for the stage's id, with the order of the modalities."""
        return {
            **self.common.plain(),
            "modalities": self._modalities(),
            "order": list(self.modalities),
            "pretrainer": self.pretrainer.plain("name"),
            "fusion": None if self.fusion is None else self.fusion.plain("name"),
            "recipe": _plain(self.recipe),
            "targets": self._targets(),
            "step": self.step,
            **({"beside": [source.plain() for source in self.beside]} if self.beside else {}),
            **self._started(),
        }

    def draws(self) -> dict[str, Any]:
        """Seed material with the step, so that steps on the same modality do not draw the same."""
        return {**super().draws(), "step": self.step}


def fitted_params(plain: Mapping[str, Any]) -> FitParams:
    """The parameters of a stage that predicts, or whose hidden layer is read, from its `plain()`."""
    common = Common.of(plain)
    modalities = {m: Part.of(part, "encoder") for m, part in plain["modalities"].items()}
    recipe = Recipe.of(plain["recipe"])
    targets = tuple(Target(t["name"], t["kind"], LabelRule(), "", t["n"]) for t in plain["targets"])
    rest: dict[str, Any] = {name: plain[name] for name in ("weights", "every_epoch") if name in plain}
    if "fusion" not in plain:
        return FitParams(common, modalities=modalities, recipe=recipe, targets=targets, **rest)
    fusion = Part.of(plain["fusion"], "name")
    return FusionParams(
        common,
        modalities=modalities,
        recipe=recipe,
        targets=targets,
        fusion=fusion,
        inputs=plain["inputs"],
        **rest,
    )


def without_rule(target: Target) -> Target:
    """A target as a stage knows it; label rules are the planner's and the evaluator's and are not handed on."""
    return Target(target.name, target.kind, LabelRule(), "", target.n)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, which is slow, and the stages of a grid share few recipes."""
    return cached_call((Recipe.mapping, recipe), recipe.mapping)
