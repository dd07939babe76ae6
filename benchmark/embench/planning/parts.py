"""Parts of a plan: the method with its plugins and recipes resolved, and its steps of pretraining."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from embench.engine.stage import Part
from embench.interfaces.recipe import Recipe
from embench.records.context import TimeContext, context_of
from embench.records.manifest import Inputs, Joins

FUSION = "fusion"
"""Name of the whole model beside the modalities in names of weights."""

Origin = tuple[str, str]
"""An external source as `--pretrainer` names it, and whether its labels are used."""


@dataclass(frozen=True)
class Pretraining:
    """One pretraining step: of one modality's encoder or of all, on the rows of this fold's training subjects (`own`)
    and of other datasets (`sources`: names, or paths of corpora), whose labels it uses or not. `option` is what named
    it, for messages."""

    part: Part
    modality: str | None
    sources: tuple[str, ...]
    own: bool
    labels: Literal["none", "source"]
    option: str

    @property
    def trained(self) -> dict[str, str]:
        """The modality whose encoder alone is trained, as the description of a stage holds it."""
        return {"modality": self.modality} if self.modality else {}


@dataclass(frozen=True)
class Method:
    """The method to train.

    `joins` says how modalities meet: `unimodal` (not at all), `tokens` (end to end), `hidden` (over frozen unimodal
    nets), `estimator`. `inputs` is what is joined: `tokens`; the encoders' `features`; of fitted unimodal nets their
    `hidden` layers (also for an estimator, where an encoder has no features) or their `decisions`. `device` is the CPU
    where nothing is trained but an estimator on features, which no GPU makes faster.
    """

    modalities: tuple[str, ...]
    encoders: Mapping[str, Part]
    fusion: Part
    joins: Joins
    inputs: Inputs
    pretraining: tuple[Pretraining, ...]
    preset: str
    device: str

    @property
    def title(self) -> str:
        """Short, for subjects: `cnn_tf+cross_attn ppg,eda`."""
        names = list(dict.fromkeys(part.short for part in self.encoders.values()))
        steps = [p.part.short for p in self.pretraining]
        return f"{'_'.join(names)}+{self.fusion.short} {','.join(self.modalities)}" + (
            f" after {','.join(steps)}" if steps else ""
        )

    @property
    def recipe(self) -> Recipe:
        """The recipe of the last fitted stage."""
        return next(iter(self.encoders.values())).recipe if self.joins == "unimodal" else self.fusion.recipe

    @property
    def time_context(self) -> TimeContext:
        """The other units of a test session that influence a prediction."""
        return context_of(part.recipe.view for part in (*self.encoders.values(), self.fusion))

    def of(self, step: Pretraining) -> list[str]:
        """The modalities whose encoders a step trains."""
        return [step.modality] if step.modality else list(self.modalities)

    def parts(self) -> list[tuple[str, Part]]:
        """Every part with the name that `--set` knows it by."""
        named = [(f"encoder[{m}]", part) for m, part in self.encoders.items()]
        named += [
            ("pretrainer" if len(self.pretraining) == 1 else f"pretrainer[{i}]", p.part)
            for i, p in enumerate(self.pretraining)
        ]
        return [*named, ("fusion", self.fusion)]
