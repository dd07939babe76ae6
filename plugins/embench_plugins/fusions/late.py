"""Fusion `late`: a small network over the hidden layers of fitted, frozen unimodal networks. Fusion `single`: one
unimodal network without fusion.

Vazquez-Rodriguez et al. 2022 (`vazquez2022`): the last hidden layers of the single-modality models (64 values each)
side by side, then layers of 64 and 32 values and one output for each target. Those networks and this one learn from the
same training subjects, so their hidden layers are over-confident there; the paper does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.nn import FillAbsent

PAPER = Recipe(
    optimiser="adam", lr=1e-5, weight_decay=1e-5, schedule="step", every=20, factor=0.65, epochs=52, batch=64,
    build={"widths": [64, 32], "dropout": 0.1},
    assumed=("batch", "selection", "class_weight"),
)  # fmt: skip

# At the paper's 1e-5, weights hardly change in 52 epochs of a small fold.
SMALL = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="cosine", epochs=20, batch=64,
    selection="early_stop", patience=20, class_weight="balanced",
    build={"widths": [64, 32], "dropout": 0.1},
)  # fmt: skip


class Late(Fusion):
    """Reads one hidden vector for each modality; an absent one is replaced by a learned vector."""

    inputs: ClassVar = "hidden"
    arity: ClassVar = (2, None)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=10, patience=10),
    }

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Return the network, sized by the recipe's `widths` and `dropout`."""
        return Network(tokens, outputs.size, list(self.recipe.build["widths"]), float(self.recipe.build["dropout"]))


class Single(Fusion):
    """Fusion `single`: no fusion. One modality's encoder predicts with its own head, trained by the encoder's recipe.
    This is the unimodal stage that `late` uses too, so there is nothing to build and the recipes are empty."""

    inputs: ClassVar = "unimodal"
    arity: ClassVar = (1, 1)
    recipes: ClassVar[Mapping[str, Recipe]] = {preset: Recipe() for preset in PRESETS}

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Raise NotImplementedError: it is never called, as the encoder's own head predicts."""
        raise NotImplementedError("single joins nothing; the encoder's own head answers")


class Network(nn.Module):
    """One token (B, 1, H) for each modality -> Output(logits (B, n), hidden (B, last width))."""

    def __init__(self, tokens: Mapping[str, TokenSpec], outputs: int, widths: list[int], dropout: float) -> None:
        super().__init__()
        self.modalities = tuple(tokens)
        self.fill = FillAbsent(tokens)
        before = [sum(spec.dim for spec in tokens.values()), *widths[:-1]]
        self.layers = nn.Sequential(
            *(
                part
                for wide, width in zip(before, widths, strict=True)
                for part in (nn.Linear(wide, width), nn.ReLU(), nn.Dropout(dropout))
            )
        )
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Output:
        """Join the hidden vectors of the modalities and classify them.

        Args:
            tokens: (B, 1, H) of each modality: the hidden layer of its unimodal network.
            present: (B,) bool of each modality.

        Returns:
            `logits` (B, n) and `hidden` (B, last width).
        """
        filled = self.fill(tokens, present)
        hidden = self.layers(torch.cat([filled[m].pool() for m in self.modalities], -1))
        return Output(self.head(hidden), hidden)
