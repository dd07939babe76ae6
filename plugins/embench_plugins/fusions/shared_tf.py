"""Fusion `shared_tf`: the tokens of all modalities in one sequence, mixed by one Transformer layer, and averaged for
each modality.

Wu et al. 2023 (`wu2023`), following its published code: each modality is projected to 128 values and normalised.
Modalities are joined along time without encoding positions or modality, so the layer knows about order only through the
causal convolutions before it. After one layer of 4 heads, each modality's mean goes into a small network. The paper
trains in three modes: from scratch; from what `signal_transform` learned; and from that with `adapt: frozen` in this
recipe and the encoders' (the published code keeps the frozen part's dropout on, here it is off). Its softmax over two
classes is one logit here.

Ours: long sequences may be averaged to fewer tokens first, and a learned token replaces an absent modality.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.nn import FillAbsent
from embench_plugins.attention import Attention, Layer
from embench_plugins.fusions.cross_attn import join_masks, shorten

PAPER = Recipe(
    optimiser="sgd", lr=1e-4, momentum=0.9, weight_decay=5e-7, epochs=20, batch=128,
    build={
        "width": 128, "layers": 1, "heads": 4, "ffn": 128, "dropout": 0.2, "attention_dropout": None, "hidden": 128,
        "tokens": None, "across": True,
    },
    datasets={name: {"lr": 1e-3, "epochs": 64, "batch": 64} for name in ("case", "k_emocon")},
)  # fmt: skip

# 240 samples of `tcn` become 30 tokens of two seconds, and no attention weight is dropped: a sample of three modalities
# then takes a millisecond on a CPU.
SMALL = PAPER.replace(
    optimiser="adamw", lr=1e-3, momentum=0.0, weight_decay=1e-2, schedule="cosine", warmup=1, epochs=8, batch=64,
    clip=1.0, class_weight="balanced",
    build={"width": 64, "ffn": 64, "attention_dropout": 0.0, "hidden": 64, "tokens": 30}, datasets={},
)  # fmt: skip


class SharedTf(Fusion):
    """Reads one modality or more. Build keys: `tokens`, the most tokens of a modality (None: no limit);
    `attention_dropout`, the proportion of dropped attention weights (None: `dropout`); `across`, True if tokens attend
    to those of all modalities, False for their own modality only."""

    offers: ClassVar = frozenset({"mixed_tokens"})
    recipes: ClassVar[Mapping[str, Recipe]] = {"paper": PAPER, "small": SMALL, "quick": SMALL.replace(epochs=3)}

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Return the network, sized by the recipe's `build`."""
        return Network(tokens, outputs.size, **self.recipe.build)


class Network(nn.Module):
    """Tokens of each modality -> Output(logits (B, n), hidden (B, hidden), tokens (B, all tokens, width))."""

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        outputs: int,
        *,
        width: int,
        layers: int,
        heads: int,
        ffn: int,
        dropout: float,
        attention_dropout: float | None,
        hidden: int,
        tokens: int | None,
        across: bool,
    ) -> None:
        super().__init__()
        self.width, self.most, self.across = width, tokens, across
        self.fill = FillAbsent({m: TokenSpec(spec.length, spec.dim) for m, spec in specs.items()})
        self.project = nn.ModuleDict({m: nn.Linear(spec.dim, width) for m, spec in specs.items()})
        self.norm = nn.ModuleDict({m: nn.LayerNorm(width) for m in specs})
        made = [Layer(width, heads, ffn, dropout, attention_dropout=attention_dropout) for _ in range(layers)]
        for layer in made:
            initialise(layer.attention)
        self.layers = nn.ModuleList(made)
        self.head = Classifier(width * len(specs), hidden, outputs, dropout)

    def mix(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> dict[str, Tokens]:
        """Return each modality's tokens (B, L, width) after attention to the tokens of all modalities, or of their own
        only."""
        shortened = {m: shorten(Tokens(t.x, t.mask), self.most) for m, t in tokens.items()}
        streams = {m: self._enter(m, t) for m, t in self.fill(shortened, present).items()}
        if not self.across:
            return {m: t._replace(x=self._attend(t.x, t.mask)) for m, t in streams.items()}
        x = torch.cat([t.x for t in streams.values()], 1)
        parts = self._attend(x, join_masks([*streams.values()])).split([t.x.shape[1] for t in streams.values()], 1)
        return {m: Tokens(part, t.mask) for (m, t), part in zip(streams.items(), parts, strict=True)}

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def _enter(self, modality: str, tokens: Tokens) -> Tokens:
        return tokens._replace(x=self.norm[modality](self.project[modality](tokens.x) * math.sqrt(self.width)))

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Output:
        """Mix all modalities' tokens and classify their means side by side.

        Args:
            tokens: (B, L, D) of each modality; L and D may differ between modalities.
            present: (B,) bool of each modality.

        Returns:
            `logits` (B, n), `hidden` (B, hidden) and `tokens` (B, all tokens, width).
        """
        mixed = self.mix(tokens, present)
        output: Output = self.head(torch.cat([part.pool() for part in mixed.values()], 1))
        return output._replace(tokens=torch.cat([part.x for part in mixed.values()], 1))


class Classifier(nn.Module):
    """(B, width of all modalities) -> Output; `hidden` is the layer after the ReLU."""

    def __init__(self, width: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(width, hidden), nn.BatchNorm1d(hidden)
        self.dropout, self.last = nn.Dropout(dropout), nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Output:
        """Return `logits` (B, n) and `hidden` (B, hidden) for `x` (B, width of all modalities)."""
        hidden = torch.relu(self.norm(self.first(x)))
        return Output(self.last(self.dropout(hidden)), hidden)


def initialise(attention: Attention) -> None:
    """Initialise weights as torch's own attention does, which the published code uses: queries, keys and values as one
    Xavier uniform matrix (3 D, D); biases are 0."""
    dim = attention.query.in_features
    bound = math.sqrt(6 / (3 * dim + dim))
    for linear in (attention.query, attention.key_value):
        nn.init.uniform_(linear.weight, -bound, bound)
        nn.init.zeros_(linear.bias)
    nn.init.zeros_(attention.out.bias)
