"""Values that encoders, pretrainers and fusions exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from embench.interfaces.units import Target


@dataclass(frozen=True)
class InputSpec:
    """Spec of an encoder's input. `shape`, without the batch, is (C, T) for signals and any for features. For videos it
    is (T, 3, H, W), with `dtype` uint8 and `rate` in frames per second.

    `stats` holds the result of the encoder's `fit_stats` on this fold's training subjects. `fitted` holds statistics
    that embench fitted to the training units: `mean` and `std` (C,) by which signals were scaled, or `dropped` (k,),
    the positions of features that are NaN in all rows."""

    modality: str
    shape: tuple[int, ...]
    channels: tuple[str, ...]
    rate: float | None = None
    dtype: torch.dtype = torch.float32
    stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    fitted: Mapping[str, np.ndarray] = field(default_factory=dict)


class Tokens(NamedTuple):
    """Tokens of one modality: `x` (B, L, D); `mask` (B, L), True for tokens that count, None if all do; `summary` (B,
    D), such as a CLS vector (which is not in `x`), or None.

    >>> tokens = Tokens(torch.tensor([[[1.0], [3.0], [9.0]]]), mask=torch.tensor([[True, True, False]]))
    >>> tokens.pool()
    tensor([[2.]])
    """

    x: Tensor
    mask: Tensor | None = None
    summary: Tensor | None = None

    def pool(self) -> Tensor:
        """Return (B, D): the summary if there is one, else the mean of the tokens that count."""
        if self.summary is not None:
            return self.summary
        if self.mask is None:
            return self.x.mean(1)
        weight = self.mask.unsqueeze(-1).to(self.x.dtype)
        return (self.x * weight).sum(1) / weight.sum(1).clamp_min(1)


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """Spec of a fusion's input: `length` tokens of width `dim`, with a `summary` or not. `head` is the width of the
    unimodal head's hidden layer; under `inputs = "hidden"` that layer is the one token (`length` 1, `dim` = `head`)."""

    length: int
    dim: int
    summary: bool = False
    head: int | None = None


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The targets that a network predicts, in the order of its logits. In a fitted stage, `class_weights` holds the
    loss weight of each class per target, None if classes weigh equally, and `loss` is the recipe's loss for continuous
    targets.

    >>> from embench.testing.require import targets
    >>> targets("classes", "binary").get_slices()
    [slice(0, 3, None), slice(3, 4, None)]
    """

    targets: tuple[Target, ...]
    class_weights: tuple[tuple[float, ...] | None, ...] = ()
    loss: str = "mse"

    @property
    def size(self) -> int:
        """Number of logits of all targets together."""
        return sum(target.outputs for target in self.targets)

    def get_slices(self) -> list[slice]:
        """Return the slice of each target's logits."""
        ends = np.cumsum([0, *(target.outputs for target in self.targets)]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]


class Output(NamedTuple):
    """Output of a network: `logits` (B, n_out); `hidden` (B, H), the last hidden layer; `tokens` if a fusion returns
    combined ones."""

    logits: Tensor
    hidden: Tensor
    tokens: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """A batch of `size` samples.

    `x[m]` and `mask[m]` (valid samples or frames (b, T), or None) hold only the rows with modality m; `rows[m]` (b,)
    are their positions. `y` (size, targets) is NaN without a label; `weight` (size,). `recording` (size,) int64 numbers
    the recordings in the batch, below `size`."""

    x: Mapping[str, Tensor]
    mask: Mapping[str, Tensor | None]
    rows: Mapping[str, Tensor]
    size: int
    y: Tensor | None = None
    weight: Tensor | None = None
    recording: Tensor | None = None
