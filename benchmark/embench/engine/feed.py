"""Provide the batches of a stage, and drop features that are constant or only reflect the length of a recording."""

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
from embench.reasons import Reason
from embench.store import SignalArray, Store, derive

# Each subject is z-scored over all its recordings (or as the protocol's `normalise` says) when batches are made, by the
# same arithmetic on the device and on the host, so that both give equal numbers.


def send(x: Tensor, device: str) -> Tensor:
    """Return a copy of `x` on the device; `x` itself if it is there. Only a copy to CUDA is asynchronous."""
    return x.to(device, non_blocking=device == "cuda")


class Feed(Protocol):
    """A source of rows of one modality: signal windows, video frames, features or tokens."""

    @property
    def device(self) -> str:
        """Name of the device of batches, such as `cpu` or `cuda`."""

    @property
    def streamed(self) -> bool:
        """True if rows are read on the host for each batch, because the whole array does not fit on the device."""

    @property
    def values(self) -> int:
        """Number of values in a row of video frames, which is its number of bytes; 0 for rows of other data."""

    @property
    def present(self) -> np.ndarray:
        """(n,) bool: True for rows with enough recorded data to be used."""

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return rows at positions `index` (b,), and a mask (b, T) that is True where recorded (None: everywhere)."""


@dataclass(frozen=True)
class RowFeed(ABC):
    """Windows of one modality, cut from one long array at the positions in `rows`."""

    rows: Rows
    device: str
    streamed: ClassVar[bool] = False

    @property
    def values(self) -> int:
        """Number of values in a row of video frames, which is its number of bytes; 0 for signals."""
        return 0

    @property
    def present(self) -> np.ndarray:
        """(n,) bool: True for rows of which at least half was recorded."""
        return self.rows.present

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return the rows at positions `index` (b,): signals (b, C, T) or frames (b, T, 3, H, W), 0 where nothing was
        recorded. Also return their mask (b, T), True where recorded; None if every row is complete."""
        x = self._cut(index)
        if self.rows.whole:
            return x, None
        position = torch.from_numpy(self.rows.start[index])[:, None] + torch.arange(self.rows.length)
        low, high = torch.from_numpy(self.rows.low[index])[:, None], torch.from_numpy(self.rows.high[index])[:, None]
        mask = send((position >= low) & (position < high), self.device)
        return hide(x, mask), mask

    @abstractmethod
    def _cut(self, index: np.ndarray) -> Tensor:
        """Return the windows at positions `index` (b,): normalised signals (b, C, T), or frames (b, T, 3, H, W) uint8.
        Values where nothing was recorded are arbitrary."""


@dataclass(frozen=True)
class ResidentFeed(RowFeed):
    """Windows of signals, cut from `array` (C, total) float32, which is already normalised and lies on the device."""

    array: Tensor

    def _cut(self, index: np.ndarray) -> Tensor:
        if self.device == "cpu":  # copying whole rows takes half as long as gathering from a strided view
            array, length = self.array.numpy(), self.rows.length
            out = np.empty((len(index), len(array), length), np.float32)
            for row, start in enumerate(self.rows.start[index].tolist()):
                out[row] = array[:, start : start + length]
            return torch.from_numpy(out)
        windows = self.array.unfold(1, self.rows.length, 1).transpose(0, 1)  # a view: (positions, C, T)
        return windows[send(torch.from_numpy(self.rows.start[index]), self.device)]


@dataclass(frozen=True)
class StreamedFeed(RowFeed):
    """Windows of signals, cut from `array` (C, total) float32, a read-only memory map on the host, and then normalised.

    Args:
        mean, gain: (R, C) mean and 1/SD of the subject of each recording; NaN if the subject has no present row.
        owner: (n,) position of each row's recording."""

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
        x = send(x, self.device)
        owner = self.owner[index]
        mean = send(torch.from_numpy(self.mean[owner]), self.device)[..., None]
        gain = send(torch.from_numpy(self.gain[owner]), self.device)[..., None]
        return x.sub_(mean).mul_(gain)  # in place: new memory pages cost more than the arithmetic


@dataclass(frozen=True)
class ClipFeed(RowFeed):
    """Windows of video frames, cut from an array (total, 3, H, W) uint8."""

    array: Tensor | np.ndarray

    @property
    def values(self) -> int:
        """Number of values in a row, which is its number of bytes."""
        return self.rows.length * math.prod(self.array.shape[1:])


@dataclass(frozen=True)
class ResidentClips(ClipFeed):
    """Windows of video frames from an `array` on the device."""

    array: Tensor

    def _cut(self, index: np.ndarray) -> Tensor:
        positions = torch.from_numpy(self.rows.start[index])[:, None] + torch.arange(self.rows.length)
        return self.array[send(positions.clamp(0, len(self.array) - 1), self.device)]


@dataclass(frozen=True)
class StreamedClips(ClipFeed):
    """Windows of video frames from an `array` that is a read-only memory map on the host."""

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
        return send(x, self.device)


@dataclass(frozen=True)
class FeatureFeed:
    """Feature rows (n, *shape) on the device. Missing values inside a row are NaN."""

    array: Tensor
    present: np.ndarray
    device: str
    streamed: ClassVar[bool] = False
    values: ClassVar[int] = 0

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return rows (b, *shape) at positions `index` (b,); features have no mask."""
        return self.array[send(torch.from_numpy(index), self.device)], None


def load_resident(
    array: SignalArray,
    spans: Sequence[tuple[int, int] | None],
    mean: np.ndarray,
    gain: np.ndarray,
    pad: int,
    device: str,
) -> tuple[Tensor, list[int | None]]:
    """Copy the needed recordings to the device as one array: normalised, concatenated, with `pad` zeros at both ends.

    Args:
        spans: (offset, samples) of each recording in `array`; None for a recording that is not needed.
        mean, gain: (R, C) the mean to subtract from each recording, and the factor to multiply it by.

    Returns:
        The array (C, total), and each recording's offset in it; None for a recording that is not needed."""
    total = 2 * pad + sum(span[1] for span in spans if span)
    packed = torch.zeros((array.shape[0], total), dtype=torch.float32)
    offsets: list[int | None] = []
    position = pad
    for r, span in enumerate(spans):
        if span is None:
            offsets.append(None)
            continue
        part = torch.from_numpy(np.array(array[:, span[0] : span[0] + span[1]]))
        part = (part - torch.from_numpy(mean[r])[:, None]) * torch.from_numpy(gain[r])[:, None]
        packed[:, position : position + span[1]] = part
        offsets.append(position)
        position += span[1]
    return packed.to(device), offsets


def load_resident_clips(
    array: np.ndarray, spans: Sequence[tuple[int, int] | None], device: str
) -> tuple[Tensor, list[int | None]]:
    """Copy the frames of the needed recordings from `array` (n, 3, size, size) to the device. Return them,
    concatenated, and the new offset of each recording. For `spans` see `load_resident`."""
    packed = torch.zeros((sum(span[1] for span in spans if span), *array.shape[1:]), dtype=torch.uint8, device=device)
    offsets: list[int | None] = []
    position = 0
    for span in spans:
        offsets.append(None if span is None else position)
        if span is not None:
            packed[position : position + span[1]] = torch.from_numpy(np.array(array[span[0] : span[0] + span[1]]))
            position += span[1]
    return packed, offsets


ROWS_PER_PASS = 256
_VALUES_AT_ONCE = 40_000_000
"""Most values of a batch of video frames that become floats at once: 16 clips of 16 frames of 224 pixels."""


@dataclass(frozen=True)
class Data:
    """All rows of a stage. Their number is `size`, written n below.

    Args:
        feeds: modality -> source of its rows.
        y, weight: labels (n, targets) and weights (n,); None for stages without labels.
        recording: (n,) recording of each row, as a position in the store. None unless batches hold whole recordings."""

    feeds: Mapping[str, Feed]
    size: int
    device: str
    y: Tensor | None = None
    weight: Tensor | None = None
    recording: np.ndarray | None = None

    @property
    def labels(self) -> tuple[Tensor, Tensor]:
        """Return `y` (n, targets) and `weight` (n,) of a labelled stage. Raises ValueError without labels."""
        if self.y is None or self.weight is None:
            raise ValueError("these rows have no labels")
        return self.y, self.weight

    @property
    def streamed(self) -> bool:
        """True if batches are made on the host, in parallel with training."""
        return any(feed.streamed for feed in self.feeds.values())

    @property
    def at_once(self) -> int:
        """Number of rows per forward pass outside training; smaller for videos."""
        values = [feed.values for feed in self.feeds.values() if feed.values]
        return min([ROWS_PER_PASS, *(max(1, _VALUES_AT_ONCE // each) for each in values)])

    @property
    def present(self) -> np.ndarray:
        """(n, modalities) bool: True where a row has the modality."""
        return np.stack([feed.present for feed in self.feeds.values()], 1)

    def batch(self, index: np.ndarray) -> Batch:
        """Return the batch of the rows at positions `index` (b,). A modality's tensor holds the rows that have it."""
        x: dict[str, Tensor] = {}
        mask: dict[str, Tensor | None] = {}
        rows: dict[str, Tensor] = {}
        for m, feed in self.feeds.items():
            recorded = np.flatnonzero(feed.present[index])
            rows[m] = send(torch.from_numpy(recorded), self.device)
            x[m], mask[m] = feed.batch_rows(index[recorded])
        positions = send(torch.from_numpy(index), self.device)
        y = None if self.y is None else self.y[positions]
        weight = None if self.weight is None else self.weight[positions]
        recording = None
        if self.recording is not None:
            within = np.unique(self.recording[index], return_inverse=True)[1]
            recording = send(torch.from_numpy(within), self.device)
        return Batch(x, mask, rows, len(index), y, weight, recording)

    def batches(self, order: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Yield a batch per array of row positions (b,) in `order`. If a feed is streamed, a thread makes the next."""
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
    """Return batches of about `size` rows: arrays (b,) of the row positions in `order`.

    Batch statistics need two rows, so no batch has exactly one row, or exactly one row with some modality. A row that
    is the only one of its kind moves to another batch. If that is impossible, two batches are joined. A modality's only
    row in the whole stage stays alone.

    Args:
        order: (n,) row positions, shuffled.
        present: (rows, modalities) bool: True where a row has the modality."""
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    for _ in range(2):  # moving a row may leave another one lonely
        for b, part in enumerate(parts):
            lonely = np.flatnonzero(present[part].sum(0) == 1)
            for m in lonely:
                row = part[present[part][:, m]]
                if len(row) != 1 or len(parts[b]) <= 2:
                    continue
                others = [o for o in range(len(parts)) if o != b and present[parts[o]][:, m].sum() >= 1]
                if others:
                    nearest = min(others, key=lambda o: abs(o - b))
                    parts[nearest] = np.concatenate([parts[nearest], row])
                    part = parts[b] = part[part != row[0]]
    return _join_lonely_rows([part for part in parts if len(part)], present)


def split_by_recording(order: np.ndarray, recording: np.ndarray, present: np.ndarray, size: int) -> list[np.ndarray]:
    """Return batches of whole recordings, of at least `size` rows each if possible: arrays (b,) of the row positions in
    `order` (n,). No batch has exactly one row with some modality. Recordings are ordered by their first rows in
    `order`.

    Args:
        recording: (rows,) recording of every row of the stage. `present`: as for `split`."""
    ordered = recording[order]
    _, first, code = np.unique(ordered, return_index=True, return_inverse=True)
    by_recording = np.argsort(first[code], kind="stable")
    parts: list[np.ndarray] = []
    for rows in np.split(order[by_recording], np.flatnonzero(np.diff(ordered[by_recording])) + 1):
        if parts and len(parts[-1]) < size:
            parts[-1] = np.concatenate([parts[-1], rows])
        else:
            parts.append(rows)
    return _join_lonely_rows(parts, present)


def _join_lonely_rows(parts: list[np.ndarray], present: np.ndarray) -> list[np.ndarray]:
    """Return the batches `parts`, arrays (b,) of row positions, of which some are joined: a batch with exactly one row
    of some modality, and the nearest batch that has rows of this modality. `present`: as for `split`."""
    while True:
        counts = np.stack([present[part].sum(0) for part in parts]) if parts else np.zeros((0, 1), int)
        lonely = np.argwhere((counts == 1) & (counts.sum(0) > 1))
        if not len(lonely):
            return parts
        b, m = lonely[0]
        nearest = min((o for o in np.flatnonzero(counts[:, m]) if o != b), key=lambda o: abs(o - b))
        first, second = sorted((int(b), int(nearest)))
        parts[first] = np.concatenate([parts[first], parts[second]])
        del parts[second]


LEAST_ROWS = 20
"""Least number of rows or recordings from which a feature is judged: fewer may be equal by chance."""
LEAST_LENGTHS = 5  # different lengths of recordings
FOLLOWS_LENGTH = 0.99  # correlation of a feature with the length
CONSTANT = 1e-6
"""SD below which a feature counts as constant: absolute for z-scored values, else relative to the largest value."""

REASONS = {"constant": Reason.make("constant_feature"), "length": Reason.make("follows_length")}


def drop_misleading(
    data: Data, specs: Mapping[str, InputSpec], store: Store, grid: Grid, train: np.ndarray, scaled: frozenset[str]
) -> tuple[Data, dict[str, InputSpec]]:
    """Replace features that are constant or follow the length of a recording by NaN. Return the data, and the specs,
    whose `fitted` maps each reason to the positions of the dropped features.

    Args:
        train: positions (k,) of the training rows.
        scaled: modalities whose features are z-scored, or computed from z-scored signals.

    Raises:
        DataError: more than half of a modality's features would be dropped."""
    feeds, found = dict(data.feeds), dict(specs)
    for m, feed in data.feeds.items():
        if not isinstance(feed, FeatureFeed) or len(specs[m].shape) != 1:
            continue
        rows = train[feed.present[train]]
        values = feed.array[torch.from_numpy(rows).to(feed.device)].cpu().numpy().astype(np.float64)
        source = derive.joined(store, m)
        length_s = {r: source.spans[store.recordings[r].id].samples / source.rate for r in set(grid.recording[rows])}
        positions = {
            "constant": _find_constant(values, m in scaled),
            "length": _find_length_dependent(values, grid.recording[rows], length_s),
        }
        positions["length"] = np.setdiff1d(positions["length"], positions["constant"])
        positions = {reason: at for reason, at in positions.items() if len(at)}
        if not positions:
            continue
        found[m] = replace(specs[m], fitted=positions)
        dropped = sum(map(len, positions.values()))
        if 2 * dropped > values.shape[1]:
            raise DataError(
                f"{dropped} of {values.shape[1]} features of {m} carry no information: {_dropped_in_words(found[m])}",
                expected="features of which at least half vary with more than the length of a recording",
                hint="features of the level of a signal need a protocol that keeps the level, such as --protocol "
                "subject-independent-v4; else choose other --modalities or another --encoder",
            )
        feeds[m] = mask_dropped_features(feed, found[m])
    return replace(data, feeds=feeds), found


def mask_dropped_features(feed: FeatureFeed, spec: InputSpec) -> FeatureFeed:
    """Return the feed with NaN in place of the features whose positions `spec.fitted` lists."""
    if not (dropped := _dropped_positions(spec)):
        return feed
    array = feed.array.clone()
    array[:, dropped] = torch.nan
    return replace(feed, array=array)


def dropped_names(specs: Mapping[str, InputSpec]) -> dict[str, dict[str, Any]]:
    """Return modality -> feature name -> the reason for dropping the feature, in the form of records."""
    found: dict[str, dict[str, Any]] = {}
    for m, spec in specs.items():
        for reason, words in REASONS.items():
            for i in spec.fitted.get(reason, ()):
                found.setdefault(m, {})[_feature_name(spec, int(i))] = words.to_dict()
    return found


def dropping_notes(specs: Mapping[str, InputSpec]) -> list[str]:
    """Return one line per modality with dropped features: their number, names and reasons."""
    return [
        f"{len(_dropped_positions(spec))} of {spec.shape[0]} features of {m} dropped: {_dropped_in_words(spec)}"
        for m, spec in specs.items()
        if len(_dropped_positions(spec))
    ]


def _dropped_positions(spec: InputSpec) -> list[int]:
    return [int(i) for reason in REASONS for i in spec.fitted.get(reason, ())]


def _dropped_in_words(spec: InputSpec) -> str:
    parts = {
        words: [_feature_name(spec, int(i)) for i in spec.fitted.get(reason, ())] for reason, words in REASONS.items()
    }
    return "; ".join(f"{words}: {', '.join(which)}" for words, which in parts.items() if which)


def _feature_name(spec: InputSpec, position: int) -> str:
    return spec.channels[position] if len(spec.channels) == spec.shape[0] else f"feature {position}"


def _find_constant(values: np.ndarray, scaled: bool) -> np.ndarray:
    """Return positions (k,) of the features in `values` (n, F) that have one value in all rows, apart from NaN.
    `scaled`: True if the values are z-scored, see `CONSTANT`."""
    is_known = np.isfinite(values)
    count = is_known.sum(0)
    filled = np.where(is_known, values, 0.0)
    mean = filled.sum(0) / np.maximum(count, 1)
    std = np.sqrt(np.where(is_known, (values - mean) ** 2, 0.0).sum(0) / np.maximum(count, 1))
    return np.flatnonzero(
        (count >= LEAST_ROWS) & (std <= CONSTANT * (1.0 if scaled else np.abs(filled).max(0, initial=0.0)))
    )


def _find_length_dependent(values: np.ndarray, recording: np.ndarray, length_s: Mapping[Any, float]) -> np.ndarray:
    """Return positions (k,) of the features in `values` (n, F) whose mean over a recording follows the recording's
    length: the correlation of mean and length, or the rank correlation, exceeds `FOLLOWS_LENGTH`."""
    from scipy.stats import rankdata  # slow to import, and not needed if all stages are finished

    which, owner = np.unique(recording, return_inverse=True)
    lengths = np.array([length_s[r] for r in which])
    found = []
    for i, column in enumerate(values.T):
        is_known = np.isfinite(column)
        count = np.bincount(owner[is_known], minlength=len(which))
        has_rows = count > 0
        mean = np.bincount(owner[is_known], column[is_known], len(which))[has_rows] / count[has_rows]
        if has_rows.sum() < LEAST_ROWS or len(np.unique(lengths[has_rows])) < LEAST_LENGTHS or np.ptp(mean) == 0:
            continue
        pairs = ((mean, lengths[has_rows]), (rankdata(mean), rankdata(lengths[has_rows])))
        if max(abs(np.corrcoef(one, other)[0, 1]) for one, other in pairs) > FOLLOWS_LENGTH:
            found.append(i)
    return np.array(found, np.int64)
