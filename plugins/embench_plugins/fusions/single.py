"""Fusion `single`: no fusion. One modality's encoder predicts with its own head, trained by the encoder's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.tokens import OutputSpec, TokenSpec


class Single(Fusion):
    """The unimodal stage itself, so that `late` and `single` share it: there is nothing to build and nothing to train,
    and these recipes are empty."""

    inputs: ClassVar = "unimodal"
    arity: ClassVar = (1, 1)
    recipes: ClassVar[Mapping[str, Recipe]] = {preset: Recipe() for preset in PRESETS}

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Never called: the encoder's own head predicts. Raises NotImplementedError."""
        raise NotImplementedError("single joins nothing; the encoder's own head answers")
