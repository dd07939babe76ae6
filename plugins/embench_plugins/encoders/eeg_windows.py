"""Windows of EEG on their way through a pretrained network: how they are scaled and cut, and heads that read all
tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.nn import hide

LEAST = 1e-8
"""Added to what is divided by, so that a flat channel stays 0."""

CLIPPED_SD = 15.0


class Pieces(NamedTuple):
    """The pieces of `size` samples that a network cuts a window into, one every `step`."""

    size: int
    step: int

    def fill(self, samples: int) -> bool:
        """True if the pieces leave none of so many samples over."""
        return samples >= self.size and (samples - self.size) % self.step == 0

    def seconds(self, rate: float, longest_s: float | None) -> list[int]:
        """The first whole numbers of seconds at `rate` Hz that the pieces fill, 4 at most.

        >>> Pieces(200, 180).seconds(200.0, None)
        [1, 10, 19, 28]
        """
        last = round(longest_s or 60)
        return [s for s in range(1, last + 1) if self.fill(round(s * rate))][:4]

    def recorded(self, mask: Tensor) -> Tensor:
        """(B, pieces) the pieces of which any sample was recorded, of `mask` (B, T)."""
        return mask.unfold(1, self.size, self.step).any(2)


def _standardised(x: Tensor, mask: Tensor | None) -> Tensor:
    """Each channel of each window less its mean, over its SD, of the samples that were recorded."""
    there = torch.ones_like(x[:, :1]) if mask is None else mask[:, None].to(x.dtype)
    count = there.sum(-1, keepdim=True).clamp_min(1)
    centred = (x - (x * there).sum(-1, keepdim=True) / count) * there
    return centred / ((centred**2).sum(-1, keepdim=True) / count + LEAST).sqrt()


def _over(microvolts: float) -> Callable[[Tensor, Tensor | None], Tensor]:
    return lambda x, _: x / microvolts


def _by_percentile(x: Tensor, mask: Tensor | None) -> Tensor:
    """Each channel of each window over the 95th percentile of its magnitude."""
    size = x.abs() if mask is None else x.abs().masked_fill(~mask[:, None], torch.nan)
    return x / (torch.nanquantile(size, 0.95, dim=-1, keepdim=True).nan_to_num(1.0) + LEAST)


SCALES: Mapping[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "100 uV": _over(100.0),
    "mV": _over(1000.0),
    "p95": _by_percentile,
    "z": _standardised,
    "z15": lambda x, mask: _standardised(x, mask).clamp(-CLIPPED_SD, CLIPPED_SD),
}
"""Name of a scale -> function of windows `x` (B, C, T) in µV, 0 where `mask` (B, T) is False."""

Read = Callable[[Any, Tensor, Tensor], "tuple[Tensor, Tensor | None]"]


class Network(nn.Module):
    """(B, C, T) in µV, mask (B, T) | None -> Tokens(x (B, L, D), mask (B, L) | None).

    Args:
        model: the pretrained network. read: function of it, scaled windows and places, see `EegFoundation.tokens`.
        scale, pieces: what is done to a window.
        at: (C, 3) places of the electrodes in m.
        stack: path of the model's list of layers.
        summary: whether the CLS token is what is read.
    """

    at: Tensor

    def __init__(
        self,
        model: Any,
        read: Read,
        scale: Callable[[Tensor, Tensor | None], Tensor],
        pieces: Pieces,
        at: Tensor,
        *,
        stack: str,
        summary: bool,
    ) -> None:
        super().__init__()
        self.model, self.read, self.scale, self.pieces, self.stack, self.summary = (
            model, read, scale, pieces, stack, summary,
        )  # fmt: skip
        self.register_buffer("at", at, persistent=False)

    def layers_in_order(self) -> Sequence[nn.Module]:
        """Parts from the input to the output, for `layer_decay`: what stands before the stack of layers, and each of
        these."""
        before = []
        for name, parameter in self.model.named_parameters():
            if name.startswith(f"{self.stack}."):
                break
            before.append(parameter)
        return [nn.ParameterList(before), *attrgetter(self.stack)(self.model)]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """`x` (B, C, T), `mask` (B, T) of samples that were recorded -> tokens (B, L, D) and their mask (B, L).

        A token counts where any of its samples was recorded; the others are 0 to the network.
        """
        tokens, cls = self.read(self.model, self.scale(hide(x, mask), mask), self.at)
        summary = cls if self.summary else None
        if mask is None:
            return Tokens(tokens, None, summary)
        seen = self.pieces.recorded(mask)
        # One token for the window, one for each piece, or one for each piece of each electrode.
        length = tokens.shape[1]
        counts = seen.any(1, keepdim=True) if length == 1 else seen.repeat(1, length // seen.shape[1])
        return Tokens(tokens, counts, summary)


class FlatHead(nn.Module):
    """`Tokens -> Output`: layers on all tokens, with zeros for those that do not count.

    Args:
        tokens, outputs: what it joins.
        narrow: width to which each token is brought first, by one layer for all; None: none is.
        hidden: widths of the layers between, with ELU and dropout after each.
        norm: a LayerNorm on all that is read.
    """

    def __init__(
        self,
        tokens: TokenSpec,
        outputs: OutputSpec,
        *,
        narrow: int | None = None,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Dropout(dropout), nn.Linear(tokens.dim, narrow)) if narrow else nn.Identity()
        widths = [tokens.length * (narrow or tokens.dim), *hidden]
        layers: list[nn.Module] = [nn.LayerNorm(widths[0])] if norm else []
        for wide, less in pairwise(widths):
            layers += [nn.Linear(wide, less), nn.ELU(), nn.Dropout(dropout)]
        self.body, self.last = nn.Sequential(*layers), nn.Linear(widths[-1], outputs.size)

    def forward(self, tokens: Tokens) -> Output:
        """`logits` (B, n) and `hidden` (B, H), what the last layer reads, from tokens (B, L, D)."""
        x = self.each(tokens.x)
        hidden = self.body((x if tokens.mask is None else x * tokens.mask[:, :, None]).flatten(1))
        return Output(self.last(hidden), hidden)


class EluHead(nn.Module):
    """`Tokens -> Output`: ELU and one linear layer on the pooled tokens."""

    def __init__(self, tokens: TokenSpec, outputs: OutputSpec) -> None:
        super().__init__()
        self.linear = nn.Linear(tokens.dim, outputs.size)

    def forward(self, tokens: Tokens) -> Output:
        """`logits` (B, n) and `hidden` (B, D) from tokens (B, L, D)."""
        hidden = nn.functional.elu(tokens.pooled())
        return Output(self.linear(hidden), hidden)
