"""Feed a stage with batches, without features that can only mislead."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from embench.engine.rows import Grid, Rows
from embench.errors import DataError
from embench.interfaces.tokens import Batch, InputSpec
from embench.nn import hide
from embench.store import SignalArray, Store, derive

# Feeds a stage with batches: one array a modality, on the device where it fits, streamed by the same index where not.
#
# Each subject is z-scored over all their own recordings (or as the protocol's `normalise` says) on the way in, by the
# same arithmetic on both ways, so that both give equal numbers.


def sent(x: Tensor, device: str) -> Tensor:
    """`x` on the device; only CUDA is trusted to copy while the host goes on."""
    return x.to(device, non_blocking=device == "cuda")


class Feed(Protocol):
    """Rows of one modality."""

    @property
    def device(self) -> str:
        """The device of batches."""

    @property
    def streamed(self) -> bool:
        """True if making a batch takes time: the array stays on the host."""

    @property
    def values(self) -> int:
        """Bytes of a row of frames; 0 for what is smaller."""

    @property
    def present(self) -> np.ndarray:
        """(n,) bool: rows of which anything was recorded."""

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Rows at positions `index` (b,), and their mask (b, T), None where all are whole."""


@dataclass(frozen=True)
class RowFeed(ABC):
    """Windows of one modality, cut from an array by position."""

    rows: Rows
    device: str
    streamed: ClassVar[bool] = False

    @property
    def values(self) -> int:
        """Bytes of a row of frames; 0 for signals."""
        return 0

    @property
    def present(self) -> np.ndarray:
        """(n,) bool: rows of which anything was recorded."""
        return self.rows.present

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Rows (b, C, T) of signals or (b, T, 3, H, W) of frames, zeros where nothing was recorded, and their mask
        (b, T), None where all rows are whole."""
        x = self._cut(index)
        if self.rows.whole:
            return x, None
        position = torch.from_numpy(self.rows.start[index])[:, None] + torch.arange(self.rows.length)
        low, high = torch.from_numpy(self.rows.low[index])[:, None], torch.from_numpy(self.rows.high[index])[:, None]
        mask = sent((position >= low) & (position < high), self.device)
        return hide(x, mask), mask

    @abstractmethod
    def _cut(self, index: np.ndarray) -> Tensor:
        """The windows, normalised where they are of signals; anything where nothing was recorded."""


@dataclass(frozen=True)
class ResidentFeed(RowFeed):
    """`array` (C, total) float32 is on the device, normalised."""

    array: Tensor

    def _cut(self, index: np.ndarray) -> Tensor:
        if self.device == "cpu":  # copies of whole rows take half as long as to gather from a strided view
            array, length = self.array.numpy(), self.rows.length
            out = np.empty((len(index), len(array), length), np.float32)
            for row, start in enumerate(self.rows.start[index].tolist()):
                out[row] = array[:, start : start + length]
            return torch.from_numpy(out)
        windows = self.array.unfold(1, self.rows.length, 1).transpose(0, 1)  # a view: (positions, C, T)
        return windows[sent(torch.from_numpy(self.rows.start[index]), self.device)]


@dataclass(frozen=True)
class StreamedFeed(RowFeed):
    """`array` (C, total) float32 stays where it is: a read-only memory map on the host.

    Args:
        mean, gain: (R, C) of each recording's subject; NaN where no row is present.
        owner: (n,) the recording of each row.
    """

    streamed: ClassVar[bool] = True
    array: SignalArray
    mean: np.ndarray
    gain: np.ndarray
    owner: np.ndarray

    def _cut(self, index: np.ndarray) -> Tensor:
        length = self.rows.length
        x = torch.zeros(
            (len(index), self.array.shape[0], length), dtype=torch.float32, pin_memory=self.device == "cuda"
        )
        out = x.numpy()
        for row, i in enumerate(index):
            start = self.rows.start[i]
            low, high = max(start, self.rows.low[i]), min(start + length, self.rows.high[i])
            if high > low:
                out[row, :, low - start : high - start] = self.array[:, low:high]
        x = sent(x, self.device)
        owner = self.owner[index]
        mean = sent(torch.from_numpy(self.mean[owner]), self.device)[..., None]
        gain = sent(torch.from_numpy(self.gain[owner]), self.device)[..., None]
        return x.sub_(mean).mul_(gain)  # in place: the fresh pages of a copy cost more than the sums


@dataclass(frozen=True)
class ClipFeed(RowFeed):
    """Windows of frames, cut from an array (total, 3, H, W) uint8."""

    array: Tensor | np.ndarray

    @property
    def values(self) -> int:
        """Bytes of a row."""
        return self.rows.length * math.prod(self.array.shape[1:])


@dataclass(frozen=True)
class ResidentClips(ClipFeed):
    """`array` is on the device."""

    array: Tensor

    def _cut(self, index: np.ndarray) -> Tensor:
        at = torch.from_numpy(self.rows.start[index])[:, None] + torch.arange(self.rows.length)
        return self.array[sent(at.clamp(0, len(self.array) - 1), self.device)]


@dataclass(frozen=True)
class StreamedClips(ClipFeed):
    """`array` stays where it is: a read-only memory map on the host."""

    streamed: ClassVar[bool] = True
    array: np.ndarray

    def _cut(self, index: np.ndarray) -> Tensor:
        length = self.rows.length
        x = torch.zeros(
            (len(index), length, *self.array.shape[1:]), dtype=torch.uint8, pin_memory=self.device == "cuda"
        )
        out = x.numpy()
        for row, i in enumerate(index):
            start = self.rows.start[i]
            low, high = max(start, self.rows.low[i]), min(start + length, self.rows.high[i])
            if high > low:
                out[row, low - start : high - start] = self.array[low:high]
        return sent(x, self.device)


@dataclass(frozen=True)
class FeatureFeed:
    """Feature rows (n, *shape) on the device, NaN inside a row where a value is missing."""

    array: Tensor
    present: np.ndarray
    device: str
    streamed: ClassVar[bool] = False
    values: ClassVar[int] = 0

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Rows (b, *shape) at positions `index` (b,); features have no mask."""
        return self.array[sent(torch.from_numpy(index), self.device)], None


def resident(
    array: SignalArray,
    spans: Sequence[tuple[int, int] | None],
    mean: np.ndarray,
    gain: np.ndarray,
    pad: int,
    device: str,
) -> tuple[Tensor, list[int | None]]:
    """The recordings that are needed, normalised, side by side on the device, with `pad` samples at both ends.

    Args:
        spans: (offset, samples) of each recording in `array`, None for those that are not needed.
        mean, gain: (R, C).

    Returns:
        The array (C, total) and each recording's new offset.
    """
    total = 2 * pad + sum(span[1] for span in spans if span)
    packed = torch.zeros((array.shape[0], total), dtype=torch.float32)
    offsets: list[int | None] = []
    at = pad
    for r, span in enumerate(spans):
        if span is None:
            offsets.append(None)
            continue
        part = torch.from_numpy(np.array(array[:, span[0] : span[0] + span[1]]))
        packed[:, at : at + span[1]] = (part - torch.from_numpy(mean[r])[:, None]) * torch.from_numpy(gain[r])[:, None]
        offsets.append(at)
        at += span[1]
    return packed.to(device), offsets


def resident_clips(
    array: np.ndarray, spans: Sequence[tuple[int, int] | None], device: str
) -> tuple[Tensor, list[int | None]]:
    """The frames (n, 3, size, size) of the recordings that are needed, side by side on the device, and each recording's
    new offset; see `resident`."""
    packed = torch.zeros((sum(span[1] for span in spans if span), *array.shape[1:]), dtype=torch.uint8, device=device)
    offsets: list[int | None] = []
    at = 0
    for span in spans:
        offsets.append(None if span is None else at)
        if span is not None:
            packed[at : at + span[1]] = torch.from_numpy(np.array(array[span[0] : span[0] + span[1]]))
            at += span[1]
    return packed, offsets


AT_ONCE = 256
_VALUES = 40_000_000
"""Number of values of a batch of clips that become floats at once: 16 clips of 16 frames of 224 pixels."""


@dataclass(frozen=True)
class Data:
    """All rows (n) of a stage: a feed a modality, and for labelled stages `y` (n, targets) and `weight` (n,);
    `recording` (n,), positions in the store, where batches hold whole recordings."""

    feeds: Mapping[str, Feed]
    size: int
    device: str
    y: Tensor | None = None
    weight: Tensor | None = None
    recording: np.ndarray | None = None

    @property
    def labels(self) -> tuple[Tensor, Tensor]:
        """`y` (n, targets) and `weight` (n,) of a labelled stage. Raises ValueError where there are none."""
        if self.y is None or self.weight is None:
            raise ValueError("these rows have no labels")
        return self.y, self.weight

    @property
    def streamed(self) -> bool:
        """True if making a batch takes time that can be hidden behind the previous batch."""
        return any(feed.streamed for feed in self.feeds.values())

    @property
    def at_once(self) -> int:
        """Number of rows per forward pass of a network that learns nothing: fewer where a row is a film."""
        values = [feed.values for feed in self.feeds.values() if feed.values]
        return min([AT_ONCE, *(max(1, _VALUES // each) for each in values)])

    @property
    def present(self) -> np.ndarray:
        """(n, modalities) bool."""
        return np.stack([feed.present for feed in self.feeds.values()], 1)

    def batch(self, index: np.ndarray) -> Batch:
        """The rows at positions `index` (b,), absent modalities packed away."""
        x: dict[str, Tensor] = {}
        mask: dict[str, Tensor | None] = {}
        rows: dict[str, Tensor] = {}
        for m, feed in self.feeds.items():
            there = np.flatnonzero(feed.present[index])
            rows[m] = sent(torch.from_numpy(there), self.device)
            x[m], mask[m] = feed.batch_rows(index[there])
        at = sent(torch.from_numpy(index), self.device)
        y = None if self.y is None else self.y[at]
        weight = None if self.weight is None else self.weight[at]
        recording = None
        if self.recording is not None:
            within = np.unique(self.recording[index], return_inverse=True)[1]
            recording = sent(torch.from_numpy(within), self.device)
        return Batch(x, mask, rows, len(index), y, weight, recording)

    def batches(self, order: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Batches of the rows at each (b,) positions of `order`; where anything is streamed, the next batch is made
        while the last one is used."""
        if not self.streamed:
            yield from (self.batch(index) for index in order)
            return
        with ThreadPoolExecutor(1) as pool:
            waiting = [pool.submit(self.batch, index) for index in order[:2]]
            for position in range(len(order)):
                ready = waiting.pop(0).result()
                if position + 2 < len(order):
                    waiting.append(pool.submit(self.batch, order[position + 2]))
                yield ready


def split(order: np.ndarray, present: np.ndarray, size: int) -> list[np.ndarray]:
    """Cuts row positions into batches of about `size` such that no batch has exactly one row, nor exactly one row with
    some modality (statistics of a batch need two). Rows move to another batch where that helps, else batches are
    joined; a modality's only row in the whole stage cannot be helped and stays.

    Args:
        order: (n,) row positions, shuffled.
        present: (rows, modalities) bool, of all rows.
    """
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    for _ in range(2):
        for b, part in enumerate(parts):
            lonely = np.flatnonzero(present[part].sum(0) == 1)
            for m in lonely:
                row = part[present[part][:, m]]
                if len(row) != 1 or len(parts[b]) <= 2:
                    continue
                others = [o for o in range(len(parts)) if o != b and present[parts[o]][:, m].sum() >= 1]
                if others:
                    near = min(others, key=lambda o: abs(o - b))
                    parts[near] = np.concatenate([parts[near], row])
                    part = parts[b] = part[part != row[0]]
    return _joined([part for part in parts if len(part)], present)


def split_by_recording(order: np.ndarray, recording: np.ndarray, present: np.ndarray, size: int) -> list[np.ndarray]:
    """Cuts row positions into batches of whole recordings, of `size` rows or more where there are as many, such that no
    batch has exactly one row with some modality. Recordings come in the order of their first rows in `order` (n,).

    Args:
        recording: (rows,) of all rows, as `present` (rows, modalities).
    """
    of = recording[order]
    _, first, code = np.unique(of, return_index=True, return_inverse=True)
    by_recording = np.argsort(first[code], kind="stable")
    parts: list[np.ndarray] = []
    for rows in np.split(order[by_recording], np.flatnonzero(np.diff(of[by_recording])) + 1):
        if parts and len(parts[-1]) < size:
            parts[-1] = np.concatenate([parts[-1], rows])
        else:
            parts.append(rows)
    return _joined(parts, present)


def _joined(parts: list[np.ndarray], present: np.ndarray) -> list[np.ndarray]:
    """Joins a batch in which one row alone has some modality with the nearest batch that has it too, until none is."""
    while True:
        counts = np.stack([present[part].sum(0) for part in parts]) if parts else np.zeros((0, 1), int)
        lonely = np.argwhere((counts == 1) & (counts.sum(0) > 1))
        if not len(lonely):
            return parts
        b, m = lonely[0]
        near = min((o for o in np.flatnonzero(counts[:, m]) if o != b), key=lambda o: abs(o - b))
        first, second = sorted((int(b), int(near)))
        parts[first] = np.concatenate([parts[first], parts[second]])
        del parts[second]


# Features that can only mislead, found in the training units before anything is fitted to them: a value that is the
# same in all of them, or another way to write how long a recording is.

LEAST = 20
"""Least number of units, or recordings: fewer may be alike by chance."""
LEAST_LENGTHS = 5
FOLLOWS = 0.99
CONSTANT = 1e-6
"""A feature with a smaller SD is rounding: absolute where signals or features were z-scored, else relative to it."""

REASONS = {"constant": "constant over the training units", "length": "a function of the length of the recording"}


def drop_misleading(
    data: Data, specs: Mapping[str, InputSpec], store: Store, grid: Grid, train: np.ndarray, scaled: frozenset[str]
) -> tuple[Data, dict[str, InputSpec]]:
    """The data with NaN for features that can only mislead, and the specs, whose `fitted` names their positions.

    Args:
        train: positions (k,) of the training rows.
        scaled: the modalities whose features are of z-scored signals, or z-scored themselves.

    Raises:
        DataError: that is more than half of a modality's features.
    """
    feeds, found = dict(data.feeds), dict(specs)
    for m, feed in data.feeds.items():
        if not isinstance(feed, FeatureFeed) or len(specs[m].shape) != 1:
            continue
        rows = train[feed.present[train]]
        values = feed.array[torch.from_numpy(rows).to(feed.device)].cpu().numpy().astype(np.float64)
        source = derive.joined(store, m)
        length_s = {r: source.spans[store.recordings[r].id].samples / source.rate for r in set(grid.recording[rows])}
        positions = {
            "constant": _constant(values, m in scaled),
            "length": _following(values, grid.recording[rows], length_s),
        }
        positions["length"] = np.setdiff1d(positions["length"], positions["constant"])
        positions = {reason: at for reason, at in positions.items() if len(at)}
        if not positions:
            continue
        found[m] = replace(specs[m], fitted=positions)
        gone = sum(map(len, positions.values()))
        if 2 * gone > values.shape[1]:
            raise DataError(
                f"{gone} of {values.shape[1]} features of {m} carry no information: {_in_words(found[m])}",
                expected="features of which at least half vary with more than the length of a recording",
                hint="features of the level of a signal need a protocol that keeps the level, such as --protocol "
                "subject-independent-v3; else choose other --modalities or another --encoder",
            )
        feeds[m] = without(feed, found[m])
    return replace(data, feeds=feeds), found


def without(feed: FeatureFeed, spec: InputSpec) -> FeatureFeed:
    """The feed with NaN for the features that `spec.fitted` names."""
    if not (gone := _positions(spec)):
        return feed
    array = feed.array.clone()
    array[:, gone] = torch.nan
    return replace(feed, array=array)


def dropped_names(specs: Mapping[str, InputSpec]) -> dict[str, dict[str, str]]:
    """Modality -> feature -> why it was dropped, where any was."""
    found: dict[str, dict[str, str]] = {}
    for m, spec in specs.items():
        for reason, words in REASONS.items():
            for i in spec.fitted.get(reason, ()):
                found.setdefault(m, {})[_name(spec, int(i))] = words
    return found


def dropping_notes(specs: Mapping[str, InputSpec]) -> list[str]:
    """A line for each modality of which features were dropped."""
    return [
        f"{len(_positions(spec))} of {spec.shape[0]} features of {m} dropped: {_in_words(spec)}"
        for m, spec in specs.items()
        if len(_positions(spec))
    ]


def _positions(spec: InputSpec) -> list[int]:
    return [int(i) for reason in REASONS for i in spec.fitted.get(reason, ())]


def _in_words(spec: InputSpec) -> str:
    parts = {words: [_name(spec, int(i)) for i in spec.fitted.get(reason, ())] for reason, words in REASONS.items()}
    return "; ".join(f"{words}: {', '.join(which)}" for words, which in parts.items() if which)


def _name(spec: InputSpec, position: int) -> str:
    return spec.channels[position] if len(spec.channels) == spec.shape[0] else f"feature {position}"


def _constant(values: np.ndarray, scaled: bool) -> np.ndarray:
    """(k,) positions of features of `values` (n, F) that are the same in all rows that have them."""
    there = np.isfinite(values)
    count = there.sum(0)
    known = np.where(there, values, 0.0)
    mean = known.sum(0) / np.maximum(count, 1)
    std = np.sqrt(np.where(there, (values - mean) ** 2, 0.0).sum(0) / np.maximum(count, 1))
    return np.flatnonzero((count >= LEAST) & (std <= CONSTANT * (1.0 if scaled else np.abs(known).max(0, initial=0.0))))


def _following(values: np.ndarray, recording: np.ndarray, length_s: Mapping[Any, float]) -> np.ndarray:
    """(k,) positions of features whose mean over a recording follows how long that is: along a line, or any other curve
    that only rises or only falls."""
    from scipy.stats import rankdata  # slow to import, and runs whose stages are done find nothing

    which, row = np.unique(recording, return_inverse=True)
    lengths = np.array([length_s[r] for r in which])
    found = []
    for i, column in enumerate(values.T):
        there = np.isfinite(column)
        count = np.bincount(row[there], minlength=len(which))
        seen = count > 0
        mean = np.bincount(row[there], column[there], len(which))[seen] / count[seen]
        if seen.sum() < LEAST or len(np.unique(lengths[seen])) < LEAST_LENGTHS or np.ptp(mean) == 0:
            continue
        pairs = ((mean, lengths[seen]), (rankdata(mean), rankdata(lengths[seen])))
        if max(abs(np.corrcoef(one, other)[0, 1]) for one, other in pairs) > FOLLOWS:
            found.append(i)
    return np.array(found, np.int64)
