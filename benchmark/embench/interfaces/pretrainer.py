"""The Pretrainer interface: a pretext task that trains encoders before the labels come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import nn

from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, OutputSpec

if TYPE_CHECKING:
    from embench.nn import Model


class Pretrainer(ABC):
    """Owns the pretext task and its head; the loop stays in the engine.

    Class attributes:
        scope: `encoder` pretrains one modality's encoder at a time, `model` the whole model with its fusion.
        labels: `source` where the task uses the labels of its source, which is then always another dataset than the one
            that is tested. Its rows are that dataset's labelled units as the encoders see them, with labels.
        needs_encoder, needs_fusion, needs_input: capabilities the others must offer (`needs_input`: `signal`,
            `features` or `clips`).
    """

    scope: ClassVar[Literal["encoder", "model"]] = "encoder"
    labels: ClassVar[Literal["none", "source"]] = "none"
    needs_encoder: ClassVar[frozenset[str]] = frozenset()
    needs_fusion: ClassVar[frozenset[str]] = frozenset()
    needs_input: ClassVar[frozenset[str]] = frozenset()
    recipes: ClassVar[Mapping[str, Recipe]]

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @abstractmethod
    def objective(self, model: Model, inputs: Mapping[str, InputSpec], outputs: OutputSpec | None) -> nn.Module:
        """A module `Batch -> (loss, {name: figure})` that holds `model` as its attribute `model`, and heads of its own
        that are thrown away afterwards. Draws random numbers with torch's global generator only.

        Args:
            model: encoders, with their fusion where `scope` is `model`, and with the encoder's own head where labels
                are used and it is not.
            inputs: what each modality's encoder is fed.
            outputs: the source's targets, in the order of `batch.y`, with their classes' weights; None without labels.
        """
