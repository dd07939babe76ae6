"""The rows of several datasets as one: each after the other, and channels where the network has those of the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from embench.engine import network
from embench.engine.feed import Data, Feed, RowFeed, sent
from embench.engine.inputs import encoder_of
from embench.engine.specs import Part, PretrainParams, SourceSpec
from embench.engine.stage import Stage
from embench.interfaces.tokens import InputSpec


def sources_of(stage: Stage[PretrainParams]) -> list[tuple[SourceSpec, Mapping[str, np.ndarray]]]:
    """The spec and the arrays of each dataset that a stage pretrains on: those of the first are the task's own."""
    beside = stage.params.beside
    more = [
        {name.removeprefix(f"more{k}_"): array for name, array in stage.task.items() if name.startswith(f"more{k}_")}
        for k in range(len(beside))
    ]
    return list(zip((stage.params.common.source, *beside), (stage.task, *more), strict=True))


@dataclass(frozen=True)
class PlacedFeed:
    """Signals (b, C, T) of a dataset whose channels lie otherwise than in that which a network was built for: those
    that it reads, at positions `read`, come to positions `at` of `channels`; it reads none of the others, which are
    0."""

    feed: RowFeed
    read: tuple[int, ...]
    at: tuple[int, ...]
    channels: int

    @property
    def device(self) -> str:
        """The device of batches."""
        return self.feed.device

    @property
    def streamed(self) -> bool:
        """True if making a batch takes time."""
        return self.feed.streamed

    @property
    def values(self) -> int:
        """0, for a row is of signals."""
        return self.feed.values

    @property
    def present(self) -> np.ndarray:
        """(n,) bool: rows of which anything was recorded."""
        return self.feed.present

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Rows (b, channels, T) at positions `index` (b,), and their mask (b, T), None where all are whole."""
        x, mask = self.feed.batch_rows(index)
        laid = x.new_zeros(len(x), self.channels, x.shape[2])
        laid[:, list(self.at)] = x[:, list(self.read)]
        return laid, mask


@dataclass(frozen=True)
class ChainedFeed:
    """Rows of one modality of several datasets, one dataset after the other, all of one shape."""

    parts: tuple[Feed, ...]
    device: str

    @property
    def streamed(self) -> bool:
        """True if making a batch of any part takes time."""
        return any(part.streamed for part in self.parts)

    @property
    def values(self) -> int:
        """Bytes of a row of frames."""
        return max(part.values for part in self.parts)

    @cached_property
    def present(self) -> np.ndarray:
        """(n,) bool: rows of which anything was recorded."""
        return np.concatenate([part.present for part in self.parts])

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Rows (b, *shape) at positions `index` (b,), and their mask (b, T), None where all are whole."""
        ends = np.cumsum([0, *(len(part.present) for part in self.parts)])
        owner = np.searchsorted(ends[1:], index, side="right")
        made = [
            part.batch_rows(index[owner == k] - ends[k])
            for k, part in enumerate(self.parts)
            if (owner == k).any() or not k
        ]
        back = sent(torch.from_numpy(np.argsort(np.argsort(owner, kind="stable"))), self.device)
        x = torch.cat([rows for rows, _ in made])[back]
        if all(mask is None for _, mask in made):
            return x, None
        return x, torch.cat([_mask_of(rows, mask) for rows, mask in made])[back]


def _mask_of(rows: Tensor, mask: Tensor | None) -> Tensor:
    """The mask (b, T) of rows (b, C, T) or (b, T, 3, H, W), also where all are whole."""
    length = rows.shape[2] if rows.ndim == 3 else rows.shape[1]
    return torch.ones(len(rows), length, dtype=torch.bool, device=rows.device) if mask is None else mask


def chained(parts: Sequence[Data]) -> Data:
    """The rows of several data without labels, one after the other."""
    first, *others = parts
    if not others:
        return first
    feeds = {m: ChainedFeed(tuple(part.feeds[m] for part in parts), first.device) for m in first.feeds}
    return Data(feeds, sum(part.size for part in parts), first.device)


def placed(
    data: Data, found: Mapping[str, InputSpec], specs: Mapping[str, InputSpec], modalities: Mapping[str, Part]
) -> Data:
    """The data with the channels that networks read of them where those of `specs`, for which they are built, are."""
    feeds: dict[str, Feed] = dict(data.feeds)
    for m, part in modalities.items():
        feed, there, here = data.feeds[m], found[m], specs[m]
        if isinstance(feed, RowFeed) and there.channels != here.channels:
            with torch.random.fork_rng(devices=[]):
                read, at = (
                    network.picked_channels(encoder_of(part).build(spec), range(len(spec.channels)))
                    for spec in (there, here)
                )
            if (read, len(there.channels)) != (at, len(here.channels)):
                feeds[m] = PlacedFeed(feed, read, at, len(here.channels))
    return replace(data, feeds=feeds)
