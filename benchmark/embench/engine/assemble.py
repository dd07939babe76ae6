"""Build the data of a stage from its store, its encoders' views and a grid of anchors."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from embench.engine import device as machine
from embench.engine import network
from embench.engine.feed import (
    ROWS_PER_PASS,
    Data,
    FeatureFeed,
    Feed,
    ResidentClips,
    ResidentFeed,
    RowFeed,
    StreamedClips,
    StreamedFeed,
    load_resident,
    load_resident_clips,
    mask_dropped_features,
    send,
)
from embench.engine.rows import (
    Grid,
    Rows,
    StoreSource,
    all_anchors,
    anchor_rows,
    by_recording,
    by_subject,
    clip_spec,
    feature_spec,
    keeps_level,
    load_encoder,
    make_spans,
    normalising,
    require_view,
    signal_spec,
    slide,
    spec_with_stats,
    stage_view,
    standardise,
    standardise_by_given,
    standardises,
    view_length,
)
from embench.engine.stage import FitParams, Params, Part, PretrainParams, SourceSpec, Stage
from embench.errors import DataError, EmbenchError
from embench.files import cache_root, digest
from embench.interfaces.encoder import Encoder
from embench.interfaces.tokens import InputSpec
from embench.interfaces.units import View
from embench.signals.normalise import Moments
from embench.store import Derived, RecordingEntry, Span, Store, blank_clips, derive, open_store
from embench.store.store import build_once
from embench.system import (
    EventCallback,
    ProgressCallback,
    fresh_processes,
    limited_threads,
    throttle_progress,
    workers_pay,
    working,
)


def list_sources(stage: Stage[PretrainParams]) -> list[tuple[SourceSpec, Mapping[str, np.ndarray]]]:
    """Return (spec, task arrays) of each dataset on which a stage pretrains, the main dataset first."""
    beside = stage.params.beside
    more = [
        {name.removeprefix(f"more{k}_"): array for name, array in stage.task.items() if name.startswith(f"more{k}_")}
        for k in range(len(beside))
    ]
    return list(zip((stage.params.common.source, *beside), (stage.task, *more), strict=True))


@dataclass(frozen=True)
class PlacedFeed:
    """Signals (b, channels, T) of a dataset in the channel order of a network that was built for another dataset.
    Channels at positions `read` of the feed move to positions `at`; all other channels are 0."""

    feed: RowFeed
    read: tuple[int, ...]
    at: tuple[int, ...]
    channels: int

    @property
    def device(self) -> str:
        """Name of the device of batches, such as `cpu` or `cuda`."""
        return self.feed.device

    @property
    def streamed(self) -> bool:
        """True if rows are read on the host for each batch."""
        return self.feed.streamed

    @property
    def values(self) -> int:
        """Number of bytes per row of video frames: 0, since rows are signals."""
        return self.feed.values

    @property
    def present(self) -> np.ndarray:
        """(n,) bool: True for rows of which at least half was recorded."""
        return self.feed.present

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return rows (b, channels, T) at positions `index` (b,), and a mask (b, T), True if recorded (None: all)."""
        x, mask = self.feed.batch_rows(index)
        laid = x.new_zeros(len(x), self.channels, x.shape[2])
        laid[:, list(self.at)] = x[:, list(self.read)]
        return laid, mask


@dataclass(frozen=True)
class ChainedFeed:
    """Rows of one modality from several datasets, concatenated. All rows have the same shape."""

    parts: tuple[Feed, ...]
    device: str

    @property
    def streamed(self) -> bool:
        """True if any part is streamed."""
        return any(part.streamed for part in self.parts)

    @property
    def values(self) -> int:
        """Number of bytes per row of video frames; 0 for other rows."""
        return max(part.values for part in self.parts)

    @cached_property
    def present(self) -> np.ndarray:
        """(n,) bool: True for rows with enough recorded data to be used."""
        return np.concatenate([part.present for part in self.parts])

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return rows (b, *shape) at positions `index` (b,), and a mask (b, T), True where recorded (None: all)."""
        ends = np.cumsum([0, *(len(part.present) for part in self.parts)])
        owner = np.searchsorted(ends[1:], index, side="right")
        batches = [  # one per dataset; that of the first may be empty, so that there is at least one
            part.batch_rows(index[owner == k] - ends[k])
            for k, part in enumerate(self.parts)
            if (owner == k).any() or not k
        ]
        place = send(torch.from_numpy(np.argsort(np.argsort(owner, kind="stable"))), self.device)
        x = torch.cat([rows for rows, _ in batches])[place]  # in the order of `index`
        if all(mask is None for _, mask in batches):
            return x, None
        return x, torch.cat([_complete_mask(rows, mask) for rows, mask in batches])[place]


def _complete_mask(rows: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mask (b, T) of rows (b, C, T) or (b, T, 3, H, W). If `mask` is None, all its values are True."""
    length = rows.shape[2] if rows.ndim == 3 else rows.shape[1]
    return torch.ones(len(rows), length, dtype=torch.bool, device=rows.device) if mask is None else mask


def chain_data(parts: Sequence[Data]) -> Data:
    """Return the rows of several data sets, concatenated in this order, without labels; a single one is unchanged."""
    first, *others = parts
    if not others:
        return first
    feeds = {m: ChainedFeed(tuple(part.feeds[m] for part in parts), first.device) for m in first.feeds}
    return Data(feeds, sum(part.size for part in parts), first.device)


def place_channels(
    data: Data, found: Mapping[str, InputSpec], specs: Mapping[str, InputSpec], modalities: Mapping[str, Part]
) -> Data:
    """Return the data, whose specs are `found`, with channels in the order of `specs`, for which the networks were
    built. Both are modality -> spec; `modalities` is modality -> encoder."""
    feeds: dict[str, Feed] = dict(data.feeds)
    for m, part in modalities.items():
        feed, data_spec, network_spec = data.feeds[m], found[m], specs[m]
        if isinstance(feed, RowFeed) and data_spec.channels != network_spec.channels:
            with torch.random.fork_rng(devices=[]):
                read, at = (
                    network.picked_channels(load_encoder(part).build(spec), range(len(spec.channels)))
                    for spec in (data_spec, network_spec)
                )
            if (read, len(data_spec.channels)) != (at, len(network_spec.channels)):
                feeds[m] = PlacedFeed(feed, read, at, len(network_spec.channels))
    return replace(data, feeds=feeds)


def assemble(
    source: StoreSource,
    modalities: Mapping[str, Part],
    grid: Grid,
    device: str,
    *,
    all_view: View | None = None,
    drop: tuple[str, ...] = (),
    specs: Mapping[str, InputSpec] | None = None,
    training: Mapping[str, np.ndarray] | None = None,
    memory_bytes: int | None = None,
    blank: bool = False,
) -> tuple[Data, dict[str, InputSpec]]:
    """Return the data of all rows of a grid, and each modality's input spec, from which its encoder builds the network.

    Args:
        modalities: modality -> its encoder.
        all_view: view of all units of the stage; features of encoders are standardised over these units.
        drop: modalities that are treated as absent in every row.
        specs: input specs of a fitted model, if any: they hold scales of physical units, and dropped features.
        training: `recording`, `start` and `stop` (k,) of the training units. Modalities in physical units are scaled by
            these units; required without `specs`.
        memory_bytes: memory of the device (default: free memory). Arrays lie on the device while half of it suffices.
        blank: True to replace videos by black pictures, without decoding them."""
    budget = (machine.free_bytes(device) if memory_bytes is None else memory_bytes) // 2
    feeds: dict[str, RowFeed | FeatureFeed] = {}
    found: dict[str, InputSpec] = {}
    for m, part in modalities.items():
        encoder = load_encoder(part)
        view = require_view(encoder, part.name)
        length_s = view_length(view, source.longest_s, source.shortest_s)
        level = None
        if keeps_level(source, m) and encoder.reads in ("signal", "stream") and not encoder.keeps_unit:
            derived = load_derived(source.store, m, encoder, part.code)
            level = specs[m].fitted if specs else _training_level(derived, source, training or {})
        read = _Part(source, m, encoder, part.code, grid, view, length_s, device, level)
        if encoder.reads == "features":
            feed, found[m] = _feature_feed(read, all_view)
            feeds[m] = mask_dropped_features(feed, specs[m]) if specs else feed
        elif encoder.reads == "clips" and blank:
            clips = blank_clips(source.store, m, encoder)
            rows = read.rows(clips.rate, read.placed(clips.spans)[0])
            feeds[m], found[m] = StreamedClips(rows, device, clips.array), clip_spec(m, clips, length_s)
        else:
            feeds[m], found[m], used = (_clip_feed if encoder.reads == "clips" else _signal_feed)(read, budget)
            budget -= used
        if m in drop:
            feeds[m] = _mark_absent(feeds[m])
    return Data(feeds, len(grid), device), found


class _Part(NamedTuple):
    """One modality of a stage and its encoder.

    Args:
        m: the modality. `code`: the identity of the encoder's code.
        length_s: the seconds that the encoder reads at each anchor.
        level: `mean` and `std` (C,) of the training units, if the modality keeps its physical unit; else None."""

    source: StoreSource
    m: str
    encoder: Encoder
    code: str
    grid: Grid
    view: View
    length_s: float
    device: str
    level: Mapping[str, np.ndarray] | None = None

    def placed(self, spans: Mapping[str, Span]) -> tuple[list[Span | None], list[tuple[int, int] | None]]:
        """Return two lists with one item per recording. The first has its span in a stored array, None if absent. The
        second has its (offset, samples), None if the grid does not need it."""
        placed = [spans.get(entry.id) for entry in self.source.store.recordings]
        needed = set(np.unique(self.grid.recording).tolist())
        return placed, [(s.offset, s.samples) if s and r in needed else None for r, s in enumerate(placed)]

    def rows(self, rate: float, spans: Sequence[Span | None], offsets: Sequence[int | None] | None = None) -> Rows:
        """Return the rows of the grid's anchors in an array with these `spans`. `offsets`: new offset of each recording
        in a packed array; None if the offsets are those of `spans`."""
        if offsets is not None:
            pairs = zip(spans, offsets, strict=True)
            spans = [None if s is None or o is None else replace(s, offset=o) for s, o in pairs]
        return anchor_rows(self.grid, self.view, self.length_s, rate, spans)


def _mark_absent(feed: RowFeed | FeatureFeed) -> RowFeed | FeatureFeed:
    if isinstance(feed, FeatureFeed):
        return replace(feed, present=np.zeros_like(feed.present))
    return replace(feed, rows=replace(feed.rows, high=feed.rows.low))


def load_derived(store: Store, m: str, encoder: Encoder, code: str) -> Derived:
    """Load the array that windows are cut from: the prepared signal, joined modalities, or the encoder's stream."""
    return derive.stream(store, m, encoder, code) if encoder.reads == "stream" else derive.joined(store, m)


_MOMENTS: dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]] = {}
"""(store, normalisation, key of an array) -> what `_moments` returned for it in this process."""


def _moments(source: StoreSource, derived: Derived) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and 1/SD (R, C) by which each recording is normalised; NaN without samples. They are computed over
    all recordings of its subject, the subject's rest or calibration units, or the recording alone."""

    def owner(entry: RecordingEntry) -> str:
        return entry.id if source.normalise == "recording_unlabelled" else entry.subject

    store = source.store
    by_owner: dict[str, Moments] = {}
    calibration = None if source.given is None else _calibration_spans(source, source.given)
    for r, entry in enumerate(store.recordings):
        span = derived.spans.get(entry.id)
        if span is None:
            continue
        whole = source.rest or (span.t0, span.t0 + span.samples / derived.rate)
        for first, last in [whole] if calibration is None else calibration.get(r, ()):
            part = Moments.from_samples(derived.array[:, span.cut(first, last, derived.rate)])
            by_owner[owner(entry)] = by_owner[owner(entry)].plus(part) if owner(entry) in by_owner else part
    mean = np.full((len(store.recordings), derived.array.shape[0]), np.nan, np.float32)
    gain = mean.copy()
    for r, entry in enumerate(store.recordings):
        moments = by_owner.get(owner(entry))
        if moments is not None and moments.count.all():
            mean[r], gain[r] = moments.mean, 1.0 / moments.std
    return mean, gain


def _calibration_spans(source: StoreSource, given: np.ndarray) -> dict[int, list[tuple[float, float]]]:
    """Return position of a recording -> (start, stop) in s of each calibration unit that normalises its subject."""
    names = np.array([entry.subject for entry in source.store.recordings])
    found: dict[int, list[tuple[float, float]]] = {}
    for k in np.flatnonzero(normalising(given, names[source.all_recording])).tolist():
        found.setdefault(int(source.all_recording[k]), []).append(
            (float(source.all_start[k]), float(source.all_stop[k]))
        )
    return found


def _training_level(derived: Derived, source: StoreSource, training: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `mean` and `std` (C,) of an array over the training units: `recording`, `start` and `stop` (k,)."""
    found = Moments.from_samples(derived.array[:, :0])
    for r, start, stop in zip(*(training[name].tolist() for name in ("recording", "start", "stop")), strict=True):
        span = derived.spans.get(source.store.recordings[r].id)
        if span is not None:
            found = found.plus(Moments.from_samples(derived.array[:, span.cut(start, stop, derived.rate)]))
    return {"mean": found.mean.astype(np.float32), "std": found.std.astype(np.float32)}


def _scale(part: _Part, derived: Derived) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean to subtract from each recording and the factor to multiply it by, both (R, C)."""
    source, shape = part.source, (len(part.source.store.recordings), derived.array.shape[0])
    if part.level is not None:
        return np.tile(part.level["mean"], (shape[0], 1)), np.tile(1.0 / part.level["std"], (shape[0], 1))
    if source.normalise == "none" or part.encoder.keeps_unit:
        return np.zeros(shape, np.float32), np.ones(shape, np.float32)
    given = "" if source.given is None else digest(source.given)
    key = (str(source.store.path), f"{source.normalise} {source.rest} {given}", derived.key)
    if key not in _MOMENTS:
        _MOMENTS[key] = _moments(source, derived)
    return _MOMENTS[key]


def _signal_feed(part: _Part, budget: int) -> tuple[ResidentFeed | StreamedFeed, InputSpec, int]:
    """Return the feed of a signal, its spec, and its bytes on the device. A signal above `budget` bytes is streamed."""
    source, m, device = part.source, part.m, part.device
    derived = load_derived(source.store, m, part.encoder, part.code)
    mean, gain = _scale(part, derived)
    # A subject without data for normalisation lacks the modality.
    scaled = {entry.id for r, entry in enumerate(source.store.recordings) if np.isfinite(gain[r]).all()}
    spans, needed = part.placed({name: span for name, span in derived.spans.items() if name in scaled})
    length = round(part.length_s * derived.rate)
    size = 4 * derived.array.shape[0] * (sum(span[1] for span in needed if span) + 2 * length)
    spec = signal_spec(m, part.encoder, derived.channels, derived.rate, part.length_s, part.level)
    if size > budget:
        derived = derive.to_memory_map(source.store, m, derived)
        spans, _ = part.placed({name: span for name, span in derived.spans.items() if name in scaled})
        rows = part.rows(derived.rate, spans)
        return StreamedFeed(rows, device, derived.array, mean, gain, part.grid.recording), spec, 0
    packed, offsets = load_resident(derived.array, needed, mean, gain, length, device)
    rows = part.rows(derived.rate, spans, offsets)
    last = packed.shape[1] - length  # absent rows, which are not read, may begin outside the array
    rows = Rows(np.clip(rows.start, 0, last), rows.low, rows.high, rows.spanned, rows.length)
    return ResidentFeed(rows, device, packed), spec, size


def _clip_feed(part: _Part, budget: int) -> tuple[ResidentClips | StreamedClips, InputSpec, int]:
    """Return the feed of a video, its spec, and its bytes on the device. A video above `budget` bytes is streamed."""
    clips = derive.clips(part.source.store, part.m, part.encoder)
    spec = clip_spec(part.m, clips, part.length_s)
    spans, needed = part.placed(clips.spans)
    size = math.prod(spec.shape[1:]) * sum(span[1] for span in needed if span)
    if size > budget:
        return StreamedClips(part.rows(clips.rate, spans), part.device, clips.array), spec, 0
    packed, offsets = load_resident_clips(clips.array, needed, part.device)
    return ResidentClips(part.rows(clips.rate, spans, offsets), part.device, packed), spec, size


def _feature_feed(part: _Part, all_view: View | None) -> tuple[FeatureFeed, InputSpec]:
    """Return the feed of an encoder's features, standardised over all units, and their spec."""
    source, m, encoder, grid, device = part.source, part.m, part.encoder, part.grid, part.device
    everything = all_anchors(source, all_view)
    standardised = standardises(source, m)
    stored = compute_encoder_features(
        source.store, m, encoder, part.code, everything, part.view, part.length_s, standardised
    )
    if not stored:
        raise DataError(f"no unit has {m}", where=f"encoder {type(encoder).__name__}", hint="choose other --modalities")
    key = _table_key(part, everything)
    if key not in _TABLES:  # make room by dropping the oldest tables
        while _TABLES and sum(table.values.nbytes for table in _TABLES.values()) > _TABLES_BYTES:
            del _TABLES[next(iter(_TABLES))]
        _TABLES[key] = _feature_table(part, everything, stored)
    values, lookup = _TABLES[key]
    index = np.array([lookup[key] for key in _anchor_keys(grid)], dtype=np.int64)
    rows = values[index]
    present = np.asarray(np.isfinite(rows.reshape(len(rows), -1)).any(1))
    spec = feature_spec(m, source.store, encoder, values.shape[1:])
    return FeatureFeed(torch.from_numpy(rows).to(device), present, device), spec


class _Table(NamedTuple):
    """Standardised features `values` (n, *shape) of all anchors of a dataset. `position`: (recording, start in ms, stop
    in ms) of an anchor -> its row."""

    values: np.ndarray
    position: Mapping[tuple[int, int, int], int]


_TABLES: dict[tuple[object, ...], _Table] = {}
"""Key -> table made by this process. Folds and seeds of a run share tables."""
_TABLES_BYTES = 1 << 28
"""Bytes of all tables above which the oldest ones are dropped before another table is made."""


def _table_key(part: _Part, everything: Grid) -> tuple[object, ...]:
    """Return the key of a table of features: everything that determines its values."""
    source, encoder = part.source, part.encoder
    anchored = tuple(digest(getattr(everything, name)) for name in ("recording", "start", "stop", "unit_start"))
    causes = (str(source.store.path), part.m, part.code, repr(encoder.recipe), part.view, part.length_s)
    given = None if source.given is None else digest(source.given)
    return (*causes, source.normalise, source.rest, given, source.keep_level, type(encoder), *anchored)


def _feature_table(part: _Part, everything: Grid, stored: Mapping[str, np.ndarray]) -> _Table:
    """Return the table of all anchors, from the features of each recording: `stored`, recording id -> (k, *shape)."""
    source, m, encoder = part.source, part.m, part.encoder
    shape = next(iter(stored.values())).shape[1:]
    values = np.full((len(everything), *shape), np.nan, np.float32)
    for r, index in by_recording(everything).items():
        rows = stored.get(source.store.recordings[r].id)
        if rows is not None:
            values[index] = rows
    if by_subject(source):
        subject = np.array([source.store.recordings[r].subject for r in everything.recording])
        shared = encoder.shared_axes(derive.name_for(encoder, m))
        if source.given is not None:
            values = standardise_by_given(values, subject, source.given[everything.unit], shared)
        elif source.rest is None:
            values = standardise(values, subject, values, subject, shared)
        else:
            rest, owner = _load_rest_features(source, m, encoder, part.code, part.length_s)
            values = standardise(values, subject, rest, owner, shared)
    return _Table(values, {key: i for i, key in enumerate(_anchor_keys(everything))})


def _anchor_keys(grid: Grid) -> Iterable[tuple[int, int, int]]:
    """Yield (recording, start, stop) of each anchor, the times in whole ms, since floats may differ by rounding."""
    start, stop = (np.rint(seconds * 1000).astype(np.int64).tolist() for seconds in (grid.start, grid.stop))
    return zip(grid.recording.tolist(), start, stop, strict=True)


def recompute_derived(
    source: StoreSource, m: str, part: Part, params: FitParams, recording: int, spans: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Compute an encoder's output for one recording again, alone, and load the run's stored output for comparison.
    Return both, or None if the encoder has no such output or the recording lacks the modality.

    The output is a stream (channels, samples), or the features (k, *shape) of up to `spans` segments. At most every
    second segment is computed, the last one first."""
    encoder, store, name = load_encoder(part), source.store, source.store.recordings[recording].id
    if encoder.reads == "stream":
        known = load_derived(store, m, encoder, part.code)
        if name not in known.spans:
            return None
        return derive.compute_stream(store, m, encoder, name).data, known.signal(name).data
    if encoder.reads != "features":
        return None
    view = require_view(encoder, part.name)
    views = [require_view(load_encoder(each), each.name) for each in params.modalities.values()]
    grid = all_anchors(source, stage_view(params.recipe.view, views))
    length_s = view_length(view, source.longest_s, source.shortest_s)
    table = compute_encoder_features(store, m, encoder, part.code, grid, view, length_s, standardises(source, m))
    if name not in table:
        return None
    segments = make_spans(grid, view, length_s)[by_recording(grid)[recording]]
    chosen = np.unique(np.linspace(0, len(segments) - 1, min(spans, (len(segments) + 1) // 2)).astype(int))[::-1]
    again = derive.features_in(store, m, encoder, name, segments[chosen], standardises(source, m))
    known = table[name][chosen]
    return np.full_like(known, np.nan) if again is None else again, known


def compute_encoder_features(
    store: Store,
    m: str,
    encoder: Encoder,
    code: str,
    grid: Grid,
    view: View,
    length_s: float,
    standardised: bool,
    make: derive.RowsOf | None = None,
) -> Mapping[str, np.ndarray]:
    """Return recording id -> features (k, *shape) at its k anchors in the grid. They are computed once, by `make` if
    given, and then read from disk. If `standardised`, signals are z-scored by recording first."""
    seconds = make_spans(grid, view, length_s)
    spans = {store.recordings[r].id: seconds[index] for r, index in by_recording(grid).items()}
    return derive.derive_features(store, m, encoder, code, spans, standardised, make)


def compute_rest_features(
    source: StoreSource, m: str, encoder: Encoder, code: str, length_s: float, make: derive.RowsOf | None = None
) -> Mapping[str, np.ndarray]:
    """Return recording id -> features (k, *shape) of the subject's rest, computed by `make` if given. Windows overlap
    by half. They are as long as the encoder reads, or as the rest if that is shorter."""
    entries, (first, last) = source.store.recordings, source.rest or (0.0, 0.0)
    ends = np.minimum(last, [entry.duration_s for entry in entries])
    length = min(length_s, last - first)
    grid = slide(length, length / 2, np.arange(len(entries)), np.full(len(entries), first), ends)
    return compute_encoder_features(
        source.store, m, encoder, code, grid, View("window", length, length), length, False, make
    )


def _load_rest_features(
    source: StoreSource, m: str, encoder: Encoder, code: str, length_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return features (k, *shape) of the rest of all subjects, and the subject of each row (k,)."""
    table = compute_rest_features(source, m, encoder, code, length_s)
    rested = [entry for entry in source.store.recordings if entry.id in table]
    if not rested:
        raise DataError(f"no subject has {m} while resting", where=str(source.store.path), hint="other --modalities")
    rows = [np.asarray(table[entry.id]) for entry in rested]
    return np.concatenate(rows), np.repeat([entry.subject for entry in rested], [len(row) for row in rows])


def with_stats(
    specs: Mapping[str, InputSpec], modalities: Mapping[str, Part], data: Data, train: np.ndarray
) -> dict[str, InputSpec]:
    """Return the specs with each encoder's own statistics (`fit_stats`) of its present rows among `train` (k,)."""
    out = dict(specs)
    for m, part in modalities.items():
        encoder = load_encoder(part)
        if type(encoder).fit_stats is not Encoder.fit_stats:
            rows = train[data.feeds[m].present[train]]
            x, mask = data.feeds[m].batch_rows(rows)
            seen = None if mask is None else mask.cpu().numpy()
            out[m] = spec_with_stats(specs[m], encoder, part.name, x.cpu().numpy(), seen)
    return out


# Compute the feature tables of all stages in parallel, before any stage runs; otherwise a single stage would compute a
# table, or two stages would both compute it.


def make_tables(todo: Iterable[Stage[Params]], workers: int, on_event: EventCallback) -> None:
    """Compute the features of all stages that are fitted to features on the CPU, unless they are stored already."""
    made = set()
    for stage in todo:
        params = stage.params
        if not isinstance(params, FitParams) or isinstance(params, PretrainParams) or params.common.device != "cpu":
            continue
        units = tuple(digest(stage.task[f"all_{name}"]) for name in ("recording", "start", "stop"))
        key = repr((params.common.source, params.modalities, params.recipe.view, units))
        if key not in made:
            made.add(key)
            # An error here recurs in the stage, which reports its cause without stopping others.
            with suppress(EmbenchError, MemoryError):
                _make_stage_tables(stage, params, workers, on_event)


def _make_stage_tables(stage: Stage[Params], params: FitParams, workers: int, on_event: EventCallback) -> None:
    """Compute the features that one stage reads, with up to `workers` processes."""
    source = StoreSource.from_spec(params.common.source, stage.places, stage.task)
    views = {m: require_view(load_encoder(part), part.name) for m, part in params.modalities.items()}
    everything = all_anchors(source, stage_view(params.recipe.view, [*views.values()]))
    for m, part in params.modalities.items():
        encoder, length_s = load_encoder(part), view_length(views[m], source.longest_s, source.shortest_s)
        if encoder.reads != "features":
            continue
        rows = partial(_compute_features, str(source.store.path), m, part, stage.seed, params.common.threads)
        step = throttle_progress(f"computing {part.short} of {m}", on_event)
        in_parallel = partial(_compute_in_parallel, workers, step)
        standardised = standardises(source, m)
        make = partial(in_parallel, partial(rows, standardised))
        compute_encoder_features(
            source.store, m, encoder, part.code, everything, views[m], length_s, standardised, make
        )
        if by_subject(source) and source.rest is not None:
            make = partial(in_parallel, partial(rows, False))
            compute_rest_features(source, m, encoder, part.code, length_s, make)


def _compute_in_parallel(
    workers: int, step: ProgressCallback, rows: partial[np.ndarray | None], wanted: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray | None]:
    """Return recording id -> features of its spans (`wanted`). This process computes the first recordings; up to
    `workers` processes compute the others if that saves time."""
    results: dict[str, np.ndarray | None] = {}
    seconds: list[float] = []
    remaining = list(wanted)
    while remaining and not workers_pay(seconds, len(remaining), workers):
        recording, began = remaining.pop(0), time.process_time()
        results[recording] = rows(recording, wanted[recording])
        seconds.append(time.process_time() - began)
        step(len(results), len(wanted), recording)
    if remaining:
        # The stages' workers will be copies of this process.
        with working(fresh_processes(min(workers, len(remaining)), "embench.engine.work")) as submit:
            waiting = {recording: submit(rows, recording, wanted[recording]) for recording in remaining}
            for recording, future in waiting.items():
                results[recording] = future.result()
                step(len(results), len(wanted), recording)
    return results


def _compute_features(
    store: str, m: str, part: Part, seed: int, threads: int, standardised: bool, recording: str, spans: np.ndarray
) -> np.ndarray | None:
    """Compute the features (n, *shape) of one recording's spans (n, 2), as a stage does."""
    encoder = load_encoder(part)  # before the seeds: its module may draw when it is imported
    machine.seed_everything(seed, threads, "cpu")
    with limited_threads(threads):
        return derive.features_in(_open_store(store), m, encoder, recording, spans, standardised)


@cache
def _open_store(store: str) -> Store:
    return open_store(Path(store))


_FORMAT = 1
_X, _MASK, _PRESENT = "x.npy", "mask.npy", "present.npy"


class StoredWindows(NamedTuple):
    """Memory-mapped windows of one modality: `x` (n, C, T) float32, 0 where nothing was recorded, and `mask` (n, T),
    True where recorded. `present` (n,) is True for windows that a run reads. `level` is True if the windows are not
    scaled yet, since each fold scales them by its training units."""

    x: np.ndarray
    mask: np.ndarray
    present: np.ndarray
    level: bool


def stored_windows(source: StoreSource, m: str, part: Part, grid: Grid) -> StoredWindows:
    """Return the windows of a modality at each anchor of a grid, from the cache if they were stored before."""
    level = keeps_level(source, m)
    plain = replace(source, normalise="none", keep_level=()) if level else source
    anchored = [digest(getattr(grid, name)) for name in ("recording", "start", "stop", "unit_start")]
    causes = [_FORMAT, source.store.key, m, part.plain("plugin"), plain.normalise, plain.rest, *anchored]
    target = cache_root() / "derived" / f"windows-{digest(causes)[:20]}"

    def build(folder: Path) -> None:
        data, specs = assemble(plain, {m: part}, grid, "cpu")
        _write_windows(data, specs[m], m, folder)

    folder = build_once(target, build, source.store.mode)
    x, mask, present = (np.load(folder / name, mmap_mode="r") for name in (_X, _MASK, _PRESENT))
    return StoredWindows(x, mask, np.asarray(present), level)


def _write_windows(data: Data, spec: InputSpec, m: str, folder: Path) -> None:
    """Write `x`, `mask` and `present` of one modality's windows into a folder. Rows that are absent stay 0."""
    feed, shape = data.feeds[m], (data.size, *spec.shape)
    x = np.lib.format.open_memmap(folder / _X, "w+", np.float32, shape)
    mask = np.lib.format.open_memmap(folder / _MASK, "w+", np.bool_, (data.size, shape[-1]))
    present = np.flatnonzero(feed.present)
    for first in range(0, len(present), ROWS_PER_PASS):
        index = present[first : first + ROWS_PER_PASS]
        rows, seen = feed.batch_rows(index)
        x[index] = rows.numpy()
        mask[index] = True if seen is None else seen.numpy()
    x.flush()
    mask.flush()
    np.save(folder / _PRESENT, feed.present)


def training_level(
    source: StoreSource, m: str, part: Part, grid: Grid, training: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Return `mean` and `std` (C,) of a modality over a fold's training units: `recording`, `start` and `stop` (k,)."""
    return assemble(source, {m: part}, grid.take(np.arange(1)), "cpu", training=training)[1][m].fitted
