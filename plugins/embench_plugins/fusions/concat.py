"""Fusion `concat`: the pooled tokens of all modalities side by side, read by one linear layer, trained end to end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.nn import FillAbsent, Head

SMALL = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="cosine", warmup=1, epochs=16, batch=64, clip=1.0,
    selection="early_stop", patience=16, class_weight="balanced",
)  # fmt: skip


class Concat(Fusion):
    """Simple fusion of our own. As it is from no paper, its recipe `paper` is assumed: `small` with more epochs."""

    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": SMALL.replace(
            lr=1e-4, epochs=50, patience=50, assumed=("optimiser", "lr", "epochs", "batch", "schedule")
        ),
        "small": SMALL,
        "quick": SMALL.replace(epochs=3, patience=3),
    }

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Return the network for tokens of these widths; the recipe has no sizes."""
        return Network(tokens, outputs.size)


class Network(nn.Module):
    """Tokens of each modality -> Output(logits (B, n), hidden (B, sum of widths))."""

    def __init__(self, tokens: Mapping[str, TokenSpec], outputs: int) -> None:
        super().__init__()
        self.modalities = tuple(tokens)
        self.fill = FillAbsent({m: TokenSpec(1, spec.dim) for m, spec in tokens.items()})
        self.head = Head(sum(spec.dim for spec in tokens.values()), outputs)

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Output:
        """Pool the tokens of each modality, fill in absent modalities and read all side by side.

        Args:
            tokens: (B, L, D) of each modality; L and D may differ between modalities.
            present: (B,) bool of each modality.

        Returns:
            `logits` (B, n) and `hidden` (B, sum of D).
        """
        pooled = {m: Tokens(t.pool()[:, None]) for m, t in tokens.items()}
        filled = self.fill(pooled, present)
        return self.head(Tokens(torch.cat([filled[m].x for m in self.modalities], -1)))
