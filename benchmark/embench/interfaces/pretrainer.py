"""The Pretrainer interface: a pretext task that trains encoders before labels are used."""

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
    """Defines the pretext task and its head; the engine runs the training loop.

    Class attributes:
        scope: `encoder` pretrains one modality's encoder at a time, `model` the whole model with its fusion.
        labels: `source` if the task uses labels of the dataset that it trains on, which then must not be the test
            dataset. The rows are that dataset's labelled units.
        needs_encoder, needs_fusion, needs_input: required capabilities of other plugins (`needs_input`: `signal`,
            `features` or `clips`)."""

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
        """Return a module `Batch -> (loss, {name: figure})` with `model` as its attribute `model`, and its own heads,
        which are discarded afterwards. Random numbers come from torch's global generator only.

        Args:
            model: the encoders, with their fusion if `scope` is `model`. If `scope` is `encoder` and labels are used,
                the encoder with its own head.
            inputs: input spec of each modality's encoder.
            outputs: targets in the order of `batch.y`, with class weights; None without labels.
        """
