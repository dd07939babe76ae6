"""Encoder `eegnet`: EEGNet-8,2, convolutions over time, over electrodes and over time again.

Lawhern et al. 2018 (`lawhern2018`), table 2: eight filters of half a second on each electrode; for each filter, two
weighted sums of the electrodes; ELU and means of 4 samples; a separable convolution of half a second; ELU and means of
8; one linear layer. Dropout is .25, as in their models for new subjects.

Not followed: their signals are 1 to 2 s around an event, here a window is 10 s. Weight norms are limited in the forward
pass, not by a projection after each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import hide
from embench.signals.resample import resample

PAPER = Recipe(
    optimiser="adam", lr=1e-3, epochs=500, batch=64, selection="early_stop", patience=500, class_weight="balanced",
    view=View("window", 10.0, 10.0), build={"filters": 8, "depth": 2, "dropout": 0.25},
    assumed=("view.length_s", "view.step_s"),
)  # fmt: skip

SMALL = PAPER.replace(epochs=30, patience=10, prepare={"rate_hz": 64}, assumed=())

FIRST_POOL, SECOND_POOL = 4, 8
SPATIAL_NORM, HEAD_NORM = 1.0, 0.25


class EegNet(Encoder):
    """Tokens (B, T // 32, filters * depth).

    Prepare keys: `rate_hz`, the rate to read at, by default the protocol's.
    """

    accepts: ClassVar = frozenset({"eeg"})
    recipes: ClassVar[Mapping[str, Recipe]] = {"paper": PAPER, "small": SMALL, "quick": SMALL.replace(epochs=6)}

    @property
    def reads(self) -> Literal["signal", "stream"]:
        """`stream` if the recipe names a rate, else `signal`."""
        return "stream" if "rate_hz" in self.recipe.prepare else "signal"

    def stream(self, signal: Signal) -> Signal:
        """Return the signal at `prepare.rate_hz`."""
        rate = float(self.recipe.prepare["rate_hz"])
        return replace(signal, data=resample(signal.data, signal.rate, rate), rate=rate)

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for `spec.shape[0]` channels at `spec.rate` Hz."""
        return Network(spec.shape[0], round(spec.rate or 128), **self.recipe.build)

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return one linear layer on all tokens; the weights of each output have a norm of .25 at most."""
        return Flat(tokens.length * tokens.dim, outputs.size)


class Network(nn.Module):
    """(B, C, T) -> Tokens(x (B, T // 32, filters * depth), mask (B, T // 32) | None).

    Args:
        channels, rate: C, and samples per second.
        filters, depth: number of filters over time, and of sums of electrodes for each filter.
    """

    def __init__(self, channels: int, rate: int, *, filters: int, depth: int, dropout: float) -> None:
        super().__init__()
        width = filters * depth
        self.time = nn.Conv2d(1, filters, (1, rate // 2), bias=False)
        self.space = nn.Conv2d(filters, width, (channels, 1), groups=filters, bias=False)
        self.each = nn.Conv1d(width, width, rate // 8, groups=width, bias=False)
        self.mix = nn.Conv1d(width, width, 1, bias=False)
        self.norms = nn.ModuleList(
            [nn.BatchNorm2d(filters, eps=1e-3), nn.BatchNorm1d(width, eps=1e-3), nn.BatchNorm1d(width, eps=1e-3)]
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, T // 32, D) for `x` (B, C, T) and `mask` (B, T). A token counts if any of its samples was
        recorded."""
        y = self.norms[0](self.time(_pad(hide(x, mask), self.time)[:, None]))
        y = functional.conv2d(y, limit_norm(self.space.weight, SPATIAL_NORM), groups=self.space.groups)[:, :, 0]
        y = functional.elu(self.norms[1](y))
        # Batch norms make samples that were not recorded non-zero, and means would mix them into recorded ones.
        y, mask = _pool_means(hide(y, mask), mask, FIRST_POOL)
        y = self.mix(self.each(_pad(hide(self.dropout(y), mask), self.each)))
        y = functional.elu(self.norms[2](y))
        y, mask = _pool_means(hide(y, mask), mask, SECOND_POOL)
        return Tokens(hide(self.dropout(y), mask).transpose(1, 2), mask)


class Flat(nn.Module):
    """`Tokens -> Output`: one linear layer on `hidden` (B, L * D), the tokens side by side, 0 where they are masked."""

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """Return `logits` (B, n) and `hidden` (B, L * D) from tokens (B, L, D)."""
        hidden = hide(tokens.x.transpose(1, 2), tokens.mask).flatten(1)
        return Output(functional.linear(hidden, limit_norm(self.linear.weight, HEAD_NORM), self.linear.bias), hidden)


def limit_norm(weight: Tensor, most: float) -> Tensor:
    """Return `weight` (n, ...) with each of its n parts scaled down to the norm `most` if it is longer.

    >>> import torch
    >>> limit_norm(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    norm = weight.flatten(1).norm(dim=1).clamp_min(most)
    return weight * (most / norm).view(-1, *[1] * (weight.ndim - 1))


def _pad(x: Tensor, convolution: nn.Conv1d | nn.Conv2d) -> Tensor:
    """Return `x` (B, C, T) padded with zeros, so that the convolution along time returns T samples."""
    added = convolution.kernel_size[-1] - 1
    return functional.pad(x, (added // 2, added - added // 2))


def _pool_means(y: Tensor, mask: Tensor | None, size: int) -> tuple[Tensor, Tensor | None]:
    """Return means of `size` samples of `y` (B, D, T), and whether any of these samples was recorded. A remainder is
    cut off."""
    whole = y.shape[-1] // size * size
    seen = None if mask is None else mask[:, :whole].unflatten(1, (-1, size)).any(2)
    return y[..., :whole].unflatten(2, (-1, size)).mean(-1), seen
