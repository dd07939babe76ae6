"""Tokens of networks that learn nothing: computed once a stage, not once an epoch; once for all stages of a dataset
where they start from weights that stages share."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from embench.engine import device as machine
from embench.engine.closed import LinearHead
from embench.engine.feed import Data, FeatureFeed, Feed, sent
from embench.engine.network import HiddenEncoder, Precomputed
from embench.interfaces.tokens import Tokens, TokenSpec
from embench.nn import Head, Model


@dataclass(frozen=True)
class TokenFeed(FeatureFeed):
    """Tokens `array` (n, L, D) on the device, a summary in front of them where there is one, with their `mask`
    (n, L), None where all count."""

    mask: Tensor | None = None

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Tokens (b, L, D) at positions `index` (b,), and their mask (b, L)."""
        at = sent(torch.from_numpy(index), self.device)
        return self.array[at], None if self.mask is None else self.mask[at]


def computed(
    data: Data, encoders: Mapping[str, nn.Module], specs: Mapping[str, TokenSpec], *, pooled: bool = False
) -> Data:
    """Data of the same rows with the tokens that networks make of them in evaluation mode, in float32; with the one
    `pooled` token (n, 1, D) instead of all where that is enough. `specs` are of all tokens."""
    feeds = dict(data.feeds)
    for m, module in encoders.items():
        module.to(data.device).eval()
        feed, spec = data.feeds[m], specs[m]
        x = torch.zeros(data.size, *_shape(spec, pooled), device=data.device)
        mask: Tensor | None = None
        for at, tokens, counts in _chunks(module, feed, data.at_once, pooled):
            x[at] = tokens
            if counts is not None:
                mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=data.device) if mask is None else mask
                mask[at] = counts
        feeds[m] = TokenFeed(x, feed.present, data.device, mask)
    return replace(data, feeds=feeds)


def hidden_data(data: Data, nets: Mapping[str, HiddenEncoder]) -> Data:
    """Data of the same rows with hidden vectors (n, 1, H) of frozen nets."""
    return computed(data, nets, {m: net.tokens for m, net in nets.items()})


def _shape(spec: TokenSpec, pooled: bool) -> tuple[int, int]:
    """(L, D) of tokens as one tensor."""
    return (1 if pooled else spec.length + spec.summary, spec.dim)


def _chunks(module: nn.Module, feed: Feed, size: int, pooled: bool) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Positions (b,) of the rows that are there, `size` at a time, with their tokens (b, L, D) and masks (b, L)."""
    there = np.flatnonzero(feed.present)
    with torch.no_grad():
        for i in range(0, len(there), size):
            index = there[i : i + size]
            tokens = module(*feed.batch_rows(index))
            yield sent(torch.from_numpy(index), feed.device), *_packed(tokens, pooled)


def _packed(tokens: Tokens, pooled: bool) -> tuple[Tensor, Tensor | None]:
    """Tokens as one tensor (b, L, D) with their mask: pooled, or behind their summary, where there is one."""
    if pooled:
        return tokens.pooled().unsqueeze(1).float(), None
    if tokens.summary is None:
        return tokens.x.float(), tokens.mask
    mask = None if tokens.mask is None else nn.functional.pad(tokens.mask, (1, 0), value=True)
    return torch.cat([tokens.summary.unsqueeze(1), tokens.x], 1).float(), mask


def once(model: Model, data: Data, frozen: Collection[str], memory_bytes: int | None = None) -> tuple[Model, Data]:
    """A model that reads tokens where frozen encoders read something else, and data with these tokens of all rows; it
    shares all else with `model`. Both as they are where tokens do not fit in half of the memory (by default what is
    free).

    The default head reads pooled tokens alone. Any other sees them all.
    """
    pooled = model.fusion is None and isinstance(model.head, Head | LinearHead)
    free = machine.free_bytes(data.device) if memory_bytes is None else memory_bytes
    size = 4 * data.size * sum(math.prod(_shape(spec, pooled)) for m, spec in model.specs.items() if m in frozen)
    if size > free // 2 and not pooled:
        return model, data
    encoders = {m: model.encoders[m] for m in model.encoders if m in frozen}
    read = computed(data, encoders, model.specs, pooled=pooled)
    stand_ins = {m: Precomputed(summary=model.specs[m].summary and not pooled) for m in encoders}
    specs = {m: replace(spec, length=1, summary=False) if pooled else spec for m, spec in model.specs.items()}
    return Model({**model.encoders, **stand_ins}, specs, model.fusion, model.head, model.scale), read
