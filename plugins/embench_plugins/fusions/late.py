"""Fusion `late`: a small network over the hidden layers of fitted, frozen unimodal networks.

Vazquez-Rodriguez et al. 2022 (`vazquez2022`): the last hidden layer of each single-modality model (64 values), side by
side, then 64, 32 and one value a target. Those networks and this one learn from the same training subjects, so their
hidden layers are over-confident there; the paper does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.nn import FillAbsent

PAPER = Recipe(
    optimiser="adam", lr=1e-5, weight_decay=1e-5, schedule="step", every=20, factor=0.65, epochs=52, batch=64,
    build={"widths": [64, 32], "dropout": 0.1},
    assumed=("batch", "selection", "class_weight"),
)  # fmt: skip

# At 1e-5 the weights of a small fold hardly move in 52 epochs.
SMALL = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="cosine", epochs=20, batch=64,
    selection="early_stop", patience=20, class_weight="balanced",
    build={"widths": [64, 32], "dropout": 0.1},
)  # fmt: skip


class Late(Fusion):
    """Reads one hidden vector a modality; an absent one is replaced by a learned vector."""

    inputs: ClassVar = "hidden"
    arity: ClassVar = (2, None)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=10, patience=10),
    }

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """The network, sized by the recipe's `widths` and `dropout`."""
        return Network(tokens, outputs.size, list(self.recipe.build["widths"]), float(self.recipe.build["dropout"]))


class Network(nn.Module):
    """One token (B, 1, H) a modality -> Output(logits (B, n), hidden (B, last width))."""

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
        """Joins the hidden vectors of the modalities and reads them out.

        Args:
            tokens: (B, 1, H) of each modality: the hidden layer of its unimodal network.
            present: (B,) bool of each modality.

        Returns:
            `logits` (B, n) and `hidden` (B, last width).
        """
        filled = self.fill(tokens, present)
        hidden = self.layers(torch.cat([filled[m].pool() for m in self.modalities], -1))
        return Output(self.head(hidden), hidden)
