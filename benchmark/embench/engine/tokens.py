"""Tokens of networks that learn nothing: computed once a stage, not once an epoch; once for all stages of a dataset
where they start from weights that stages share."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from embench.engine import device as machine
from embench.engine.assemble import assemble
from embench.engine.closed import LinearHead
from embench.engine.feed import Data, FeatureFeed, Feed, sent
from embench.engine.inputs import encoder_of, view_of
from embench.engine.network import HiddenEncoder, Precomputed
from embench.engine.rows import Grid, stage_view
from embench.engine.source import Source, all_anchors
from embench.engine.specs import FitParams
from embench.engine.stage import Folder, Stage
from embench.files import digest
from embench.interfaces.tokens import InputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import Head, Model
from embench.store.kept import kept_by_one


@dataclass(frozen=True)
class TokenFeed(FeatureFeed):
    """Tokens `array` (n, L, D) on the device, a summary in front of them where there is one, with their `mask`
    (n, L), None where all count."""

    mask: Tensor | None = None

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Tokens (b, L, D) at positions `index` (b,), and their mask (b, L)."""
        at = sent(torch.from_numpy(index), self.device)
        return self.array[at], None if self.mask is None else self.mask[at]


def hidden_data(data: Data, nets: Mapping[str, HiddenEncoder]) -> Data:
    """Data of the same rows with hidden vectors (n, 1, H) of frozen nets."""
    return replace(data, feeds={m: tokens_of(data, m, net, net.tokens) for m, net in nets.items()})


def tokens_of(data: Data, m: str, module: nn.Module, spec: TokenSpec, *, pooled: bool = False) -> TokenFeed:
    """The tokens that a network makes of all rows of a modality in evaluation mode, in float32; the one `pooled` token
    (n, 1, D) instead of all where that is enough. `spec` is of all tokens."""
    module.to(data.device).eval()
    feed = data.feeds[m]
    x = torch.zeros(data.size, *_shape(spec, pooled), device=data.device)
    mask: Tensor | None = None
    for at, made, counts in _chunks(module, feed, data.at_once, pooled):
        x[at] = made
        if counts is not None:
            mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=data.device) if mask is None else mask
            mask[at] = counts
    return TokenFeed(x, feed.present, data.device, mask)


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


@dataclass(frozen=True)
class Everywhere:
    """Tokens of a dataset's units, whichever of them a stage has: made once, kept beside the prepared data, and found
    by all stages whose encoders have the same weights.

    Args:
        specs: what the stage's encoders are fed. grid: (n,) anchors of its rows.
        modalities: those whose encoders start from weights that other stages have, too.
    """

    params: FitParams
    source: Source
    specs: Mapping[str, InputSpec]
    grid: Grid
    all_view: View
    modalities: Collection[str]

    def feed(self, m: str, module: nn.Module, spec: TokenSpec, present: np.ndarray, pooled: bool) -> TokenFeed | None:
        """The tokens of the stage's rows, of which `present` (n,) are there; None where they are not shared."""
        if m not in self.modalities:
            return None
        whole, device = all_anchors(self.source, self.all_view), self.params.common.device
        at = _positions(self.grid, whole)
        if at is None:
            return None

        def make() -> np.ndarray:
            part = {m: self.params.modalities[m]}
            data, _ = assemble(self.source, part, whole, device, all_view=self.all_view, specs=self.specs)
            found = tokens_of(data, m, module, spec, pooled=pooled)
            columns = [found.array] if found.mask is None else [found.array, found.mask.unsqueeze(2).float()]
            return torch.cat(columns, 2).cpu().numpy()

        rows = torch.from_numpy(kept_by_one(self.source.store, self._key(m, module, whole, pooled), make)[at])
        mask = rows[..., spec.dim].bool().to(device) if rows.shape[2] > spec.dim else None
        return TokenFeed(rows[..., : spec.dim].contiguous().to(device), present, device, mask)

    def _key(self, m: str, module: nn.Module, whole: Grid, pooled: bool) -> list[object]:
        """All that decides the tokens, weights by their own content, so that it tells nothing where they came from."""
        part, spec, common = self.params.modalities[m], self.specs[m], self.params.common
        view = None if part.recipe.view is None else asdict(part.recipe.view)
        weights = {name: digest(tensor.float().cpu().numpy()) for name, tensor in module.state_dict().items()}
        fed = {**{f"stats/{k}": v for k, v in spec.stats.items()}, **{f"fitted/{k}": v for k, v in spec.fitted.items()}}
        return [
            "tokens",
            *(common.engine, dict(common.libraries), common.device, common.threads, self.source.store.key),
            *(m, part.name, part.code, dict(part.recipe.prepare), dict(part.recipe.build), part.grounds, view),
            *(weights, list(spec.shape), list(spec.channels), {name: digest(array) for name, array in fed.items()}),
            *(common.source.plain(), [digest(array) for array in vars(whole).values()], pooled),
        ]


def everywhere(stage: Stage[FitParams], specs: Mapping[str, InputSpec], grid: Grid, root: Path) -> Everywhere | None:
    """The tokens that a stage may share with others: of encoders that start from files, or from a pretraining that all
    folds share. Others begin at random, in each stage with other weights."""
    params = stage.params
    known = {m for m, part in params.modalities.items() if part.assets or m in params.weights}
    for role, stage_id in stage.inputs.items():
        kind, _, modality = role.partition(":")
        if kind == "pretrained" and Folder(root, stage_id).description()["params"].get("fold") is None:
            known |= {modality} if modality else set(params.modalities)
    if not known or stage.places.get("blank"):
        return None
    source = Source.of(params.common.source, stage.places, stage.task)
    if source.given is not None:  # other units normalise in each fold
        return None
    views = [view_of(encoder_of(part), part.name) for part in params.modalities.values()]
    return Everywhere(params, source, specs, grid, stage_view(params.recipe.view, views), known)


def _positions(some: Grid, whole: Grid) -> np.ndarray | None:
    """(n,) where the anchors of `some` stand among those of `whole`; None where one is not there."""
    places = {row: i for i, row in enumerate(_anchors(whole))}
    found = [places.get(row, -1) for row in _anchors(some)]
    return None if -1 in found else np.array(found, np.int64)


def _anchors(grid: Grid) -> Iterator[tuple[float, ...]]:
    return zip(*(of.tolist() for of in (grid.recording, grid.start, grid.stop, grid.unit_start)), strict=True)


def once(
    model: Model, data: Data, frozen: Collection[str], memory_bytes: int | None, shared: Everywhere | None
) -> tuple[Model, Data]:
    """A model that reads tokens where `frozen` encoders read something else, and data with these tokens of all rows; it
    shares all else with `model`. Both as they are where tokens do not fit in half of the memory (None: what is free).

    The default head reads pooled tokens alone. Any other sees them all.
    """
    pooled = model.fusion is None and type(model.head) in (Head, LinearHead)
    free = machine.free_bytes(data.device) if memory_bytes is None else memory_bytes
    size = 4 * data.size * sum(math.prod(_shape(spec, pooled)) for m, spec in model.specs.items() if m in frozen)
    if size > free // 2 and not pooled:
        return model, data
    encoders = {m: model.encoders[m] for m in model.encoders if m in frozen}
    feeds = dict(data.feeds)
    for m, encoder in encoders.items():
        spec, present = model.specs[m], data.feeds[m].present
        known = shared.feed(m, encoder, spec, present, pooled) if shared else None
        feeds[m] = known or tokens_of(data, m, encoder, spec, pooled=pooled)
    stand_ins = {m: Precomputed(summary=model.specs[m].summary and not pooled) for m in encoders}
    specs = {m: replace(spec, length=1, summary=False) if pooled else spec for m, spec in model.specs.items()}
    reading = Model({**model.encoders, **stand_ins}, specs, model.fusion, model.head, model.scale)
    return reading, replace(data, feeds=feeds)
