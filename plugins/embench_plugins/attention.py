"""A Transformer layer that can also attend to another modality's tokens, used by `cnn_tf`, `cross_attn` and
`shared_tf`.

torch's own layer computes differently in evaluation than in training and cannot attend to other tokens than its input.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

LARGEST = 3 * 2**27
"""Largest number of values in one array of a layer on a CPU (1.5 GiB). With dropout a CPU stores every attention
weight: in total 37 GB for a batch of 256 windows of 1,280 samples in the two layers of `cnn_tf`."""


class Attention(nn.Module):
    """Multi-head attention of `x` (B, N, D) to the tokens of `context` (B, K, D): returns (B, N, D).

    `mask` (B, K) is True where a token of the context counts. Each sample of the batch needs at least one such token.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key_value = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return `x` (B, N, D) after attending to `context` (B, K, D).

        Args:
            mask: (B, K) bool, True where a token of `context` counts; None: all count.
        """
        key, value = self.key_value(context).chunk(2, -1)
        query, key, value = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (self.query(x), key, value))
        attended = None if mask is None else mask[:, None, None, :]
        mixed = scaled_dot_product_attention(query, key, value, attended, self.dropout if self.training else 0.0)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention, then a feed-forward network, each with a residual connection and LayerNorm: (B, N, D) -> (B, N, D).

    Args:
        norm: `post` normalises after each residual sum (Vaswani et al. 2017), `pre` before attention and network.
        attention_dropout: proportion of attention weights dropped, by default `dropout`; 0 halves the time on a CPU.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        ffn: int,
        dropout: float,
        *,
        norm: Literal["pre", "post"] = "post",
        activation: type[nn.Module] = nn.ReLU,
        attention_dropout: float | None = None,
    ) -> None:
        super().__init__()
        self.norm, self.hidden = norm, ffn
        self.attention = Attention(dim, heads, dropout if attention_dropout is None else attention_dropout)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn), activation(), nn.Dropout(dropout), nn.Linear(ffn, dim))
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Return `x` (B, N, D) after one layer. On a CPU, batches that need too much memory are computed in parts. The
        arrays of each part are computed again in the backward pass, to save memory.

        Args:
            mask: bool, True where a token counts; (B, K) for `context`, or (B, N) for `x` if `context` is None.
            context: (B, K, D) tokens to attend to; None: `x` attends to itself.
        """
        count = self._parts(x, context)
        if count == 1:
            return self._layer(x, mask, context)
        parts = zip(*([None] * count if t is None else t.tensor_split(count) for t in (x, mask, context)), strict=True)
        return torch.cat([checkpoint(self._layer, *part, use_reentrant=False) for part in parts])

    def _parts(self, x: Tensor, context: Tensor | None) -> int:
        """Return the number of parts in which a batch goes through the layer."""
        if x.device.type != "cpu":
            return 1
        attended = x.shape[1] if context is None else context.shape[1]
        weights = self.attention.heads * attended if self.training and self.attention.dropout else 0
        values_per_sample = x.shape[1] * max(weights, self.hidden)
        return max(1, math.ceil(len(x) / max(1, LARGEST // values_per_sample)))

    def _layer(self, x: Tensor, mask: Tensor | None, context: Tensor | None) -> Tensor:
        first, second = self.norms
        if self.norm == "post":
            x = first(x + self.dropout(self.attention(x, x if context is None else context, mask)))
            return second(x + self.dropout(self.ffn(x)))
        query = first(x)
        x = x + self.dropout(self.attention(query, query if context is None else context, mask))
        return x + self.dropout(self.ffn(second(x)))
