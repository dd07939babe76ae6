"""Build the data of a stage from the store, the encoders' views and a grid of anchors."""

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
    AT_ONCE,
    Data,
    FeatureFeed,
    Feed,
    ResidentClips,
    ResidentFeed,
    RowFeed,
    StreamedClips,
    StreamedFeed,
    resident,
    resident_clips,
    sent,
    without,
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
    encoder_of,
    feature_spec,
    keeps_level,
    normalising,
    signal_spec,
    slide,
    spans_of,
    spec_with_stats,
    stage_view,
    standardise,
    standardise_by_given,
    standardises,
    view_length,
    view_of,
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
    now_and_then,
    workers_pay,
    working,
)

# The rows of several datasets as one: each after the other, and channels where the network has those of the first.


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


# Builds the data of a stage: from the store, the encoders' views and a grid of anchors to feeds and input specs.


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
    """The feeds of every modality over a grid, and what the encoders' `build` gets of these data.

    Args:
        all_view: the stage's own view, for encoders with features, whose rows are standardised over all units.
        drop: modalities that are treated as absent in every row.
        specs: those of the fitted model, where there is one: its scale of what keeps its level, and the features that
            it goes without.
        training: else `recording`, `start` and `stop` (k,) of the training units, which scale what keeps its level.
        memory_bytes: arrays go to the device while they fit in half of this (default: what is free).
        blank: clips show black pictures, and no video is decoded.
    """
    budget = (machine.free_bytes(device) if memory_bytes is None else memory_bytes) // 2
    feeds: dict[str, RowFeed | FeatureFeed] = {}
    found: dict[str, InputSpec] = {}
    for m, part in modalities.items():
        encoder = encoder_of(part)
        view = view_of(encoder, part.name)
        length_s = view_length(view, source.longest_s, source.shortest_s)
        level = None
        if keeps_level(source, m) and encoder.reads in ("signal", "stream") and not encoder.keeps_unit:
            derived = arrays_of(source.store, m, encoder, part.code)
            level = specs[m].fitted if specs else _level(derived, source, training or {})
        read = _Part(source, m, encoder, part.code, grid, view, length_s, device, level)
        if encoder.reads == "features":
            feed, found[m] = _feature_feed(read, all_view)
            feeds[m] = without(feed, specs[m]) if specs else feed
        elif encoder.reads == "clips" and blank:
            clips = blank_clips(source.store, m, encoder)
            rows = read.rows(clips.rate, read.placed(clips.spans)[0])
            feeds[m], found[m] = StreamedClips(rows, device, clips.array), clip_spec(m, clips, length_s)
        else:
            feeds[m], found[m], used = (_clip_feed if encoder.reads == "clips" else _signal_feed)(read, budget)
            budget -= used
        if m in drop:
            feeds[m] = _dropped(feeds[m])
    return Data(feeds, len(grid), device), found


class _Part(NamedTuple):
    """One modality of a stage: its encoder with the code, and the length that it reads at each anchor of the grid."""

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
        """Place of each recording of the store in an array and, if the grid needs it, (offset, samples)."""
        own = [spans.get(entry.id) for entry in self.source.store.recordings]
        needed = set(np.unique(self.grid.recording).tolist())
        return own, [(s.offset, s.samples) if s and r in needed else None for r, s in enumerate(own)]

    def rows(self, rate: float, spans: Sequence[Span | None], offsets: Sequence[int | None] | None = None) -> Rows:
        """The rows of the anchors in an array, or in one in which recordings were packed to these `offsets`."""
        if offsets is not None:
            both = zip(spans, offsets, strict=True)
            spans = [None if s is None or o is None else replace(s, offset=o) for s, o in both]
        return anchor_rows(self.grid, self.view, self.length_s, rate, spans)


def _dropped(feed: RowFeed | FeatureFeed) -> RowFeed | FeatureFeed:
    if isinstance(feed, FeatureFeed):
        return replace(feed, present=np.zeros_like(feed.present))
    return replace(feed, rows=replace(feed.rows, high=feed.rows.low))


def arrays_of(store: Store, m: str, encoder: Encoder, code: str) -> Derived:
    """The array that windows are cut from: the prepared signal, joined modalities, or what the encoder streams."""
    return derive.stream(store, m, encoder, code) if encoder.reads == "stream" else derive.joined(store, m)


_MOMENTS: dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]] = {}
"""Statistics of arrays that this process has read already, by store, rule and array."""


def _moments(source: StoreSource, derived: Derived) -> tuple[np.ndarray, np.ndarray]:
    """(R, C) mean and 1/std for each recording: of all of its subject's recordings, of the rest in them, of the units
    that it gives, or of its own samples. NaN where there is no such sample."""

    def owner(entry: RecordingEntry) -> str:
        return entry.id if source.normalise == "recording_unlabelled" else entry.subject

    store = source.store
    found: dict[str, Moments] = {}
    given = None if source.given is None else _given_spans(source, source.given)
    for r, entry in enumerate(store.recordings):
        span = derived.spans.get(entry.id)
        if span is None:
            continue
        whole = source.rest or (span.t0, span.t0 + span.samples / derived.rate)
        for first, last in [whole] if given is None else given.get(r, ()):
            part = Moments.of(derived.array[:, span.cut(first, last, derived.rate)])
            found[owner(entry)] = found[owner(entry)].plus(part) if owner(entry) in found else part
    mean = np.full((len(store.recordings), derived.array.shape[0]), np.nan, np.float32)
    gain = mean.copy()
    for r, entry in enumerate(store.recordings):
        moments = found.get(owner(entry))
        if moments is not None and moments.count.all():
            mean[r], gain[r] = moments.mean, 1.0 / moments.std
    return mean, gain


def _given_spans(source: StoreSource, given: np.ndarray) -> dict[int, list[tuple[float, float]]]:
    """Recording -> the parts (s, s) of it that its subject gives, whose samples normalise."""
    names = np.array([entry.subject for entry in source.store.recordings])
    found: dict[int, list[tuple[float, float]]] = {}
    for k in np.flatnonzero(normalising(given, names[source.all_recording])).tolist():
        found.setdefault(int(source.all_recording[k]), []).append(
            (float(source.all_start[k]), float(source.all_stop[k]))
        )
    return found


def _level(derived: Derived, source: StoreSource, training: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`mean` and `std` (C,) of an array over the training units, which are given where a model is fitted."""
    found = Moments.of(derived.array[:, :0])
    for r, start, stop in zip(*(training[name].tolist() for name in ("recording", "start", "stop")), strict=True):
        span = derived.spans.get(source.store.recordings[r].id)
        if span is not None:
            found = found.plus(Moments.of(derived.array[:, span.cut(start, stop, derived.rate)]))
    return {"mean": found.mean.astype(np.float32), "std": found.std.astype(np.float32)}


def _scale(part: _Part, derived: Derived) -> tuple[np.ndarray, np.ndarray]:
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
    source, m, device = part.source, part.m, part.device
    derived = arrays_of(source.store, m, part.encoder, part.code)
    mean, gain = _scale(part, derived)
    # A subject without data to normalise with has no such modality.
    scaled = {entry.id for r, entry in enumerate(source.store.recordings) if np.isfinite(gain[r]).all()}
    spans, needed = part.placed({name: span for name, span in derived.spans.items() if name in scaled})
    length = round(part.length_s * derived.rate)
    size = 4 * derived.array.shape[0] * (sum(w[1] for w in needed if w) + 2 * length)
    spec = signal_spec(m, part.encoder, derived.channels, derived.rate, part.length_s, part.level)
    if size > budget:
        derived = derive.mapped(source.store, m, derived)
        spans, _ = part.placed({name: span for name, span in derived.spans.items() if name in scaled})
        rows = part.rows(derived.rate, spans)
        return StreamedFeed(rows, device, derived.array, mean, gain, part.grid.recording), spec, 0
    packed, offsets = resident(derived.array, needed, mean, gain, length, device)
    rows = part.rows(derived.rate, spans, offsets)
    last = packed.shape[1] - length
    rows = Rows(np.clip(rows.start, 0, last), rows.low, rows.high, rows.spanned, rows.length)
    return ResidentFeed(rows, device, packed), spec, size


def _clip_feed(part: _Part, budget: int) -> tuple[ResidentClips | StreamedClips, InputSpec, int]:
    clips = derive.clips(part.source.store, part.m, part.encoder)
    spec = clip_spec(part.m, clips, part.length_s)
    spans, needed = part.placed(clips.spans)
    size = math.prod(spec.shape[1:]) * sum(w[1] for w in needed if w)
    if size > budget:
        return StreamedClips(part.rows(clips.rate, spans), part.device, clips.array), spec, 0
    packed, offsets = resident_clips(clips.array, needed, part.device)
    return ResidentClips(part.rows(clips.rate, spans, offsets), part.device, packed), spec, size


def _feature_feed(part: _Part, all_view: View | None) -> tuple[FeatureFeed, InputSpec]:
    source, m, encoder, grid, device = part.source, part.m, part.encoder, part.grid, part.device
    everything = all_anchors(source, all_view)
    standardised = standardises(source, m)
    stored = features_of(source.store, m, encoder, part.code, everything, part.view, part.length_s, standardised)
    if not stored:
        raise DataError(f"no unit has {m}", where=f"encoder {type(encoder).__name__}", hint="choose other --modalities")
    key = _table_key(part, everything)
    if key not in _TABLES:
        while _TABLES and sum(table.values.nbytes for table in _TABLES.values()) > _TABLES_BYTES:
            del _TABLES[next(iter(_TABLES))]
        _TABLES[key] = _feature_table(part, everything, stored)
    values, lookup = _TABLES[key]
    index = np.array([lookup[at] for at in _in_ms(grid)], dtype=np.int64)
    chosen = values[index]
    present = np.asarray(np.isfinite(chosen.reshape(len(chosen), -1)).any(1))
    spec = feature_spec(m, source.store, encoder, values.shape[1:])
    return FeatureFeed(torch.from_numpy(chosen).to(device), present, device), spec


class _Table(NamedTuple):
    """Features of all anchors of a dataset, `values` (n, *shape), as a stage reads them; and each anchor's position, by
    recording, start and stop in ms."""

    values: np.ndarray
    position: Mapping[tuple[int, int, int], int]


_TABLES: dict[tuple[object, ...], _Table] = {}
"""Tables that this process has made: the folds and seeds of a run read the same ones."""
_TABLES_BYTES = 1 << 28
"""Bytes of tables beyond which the oldest are dropped before another one is made."""


def _table_key(part: _Part, everything: Grid) -> tuple[object, ...]:
    """Key of a table: everything that determines its content."""
    source, encoder = part.source, part.encoder
    anchored = tuple(digest(getattr(everything, name)) for name in ("recording", "start", "stop", "unit_start"))
    own = (str(source.store.path), part.m, part.code, repr(encoder.recipe), part.view, part.length_s)
    given = None if source.given is None else digest(source.given)
    return (*own, source.normalise, source.rest, given, source.keep_level, type(encoder), *anchored)


def _feature_table(part: _Part, everything: Grid, stored: Mapping[str, np.ndarray]) -> _Table:
    """The table of what is `stored` of each recording."""
    source, m, encoder = part.source, part.m, part.encoder
    shape = next(iter(stored.values())).shape[1:]
    values = np.full((len(everything), *shape), np.nan, np.float32)
    for r, at in by_recording(everything).items():
        rows = stored.get(source.store.recordings[r].id)
        if rows is not None:
            values[at] = rows
    if by_subject(source):
        subject = np.array([source.store.recordings[r].subject for r in everything.recording])
        shared = encoder.shared_axes(derive.name_for(encoder, m))
        if source.given is not None:
            values = standardise_by_given(values, subject, source.given[everything.unit], shared)
        else:
            known, owner = (
                (values, subject) if source.rest is None else _at_rest(source, m, encoder, part.code, part.length_s)
            )
            values = standardise(values, subject, known, owner, shared)
    return _Table(values, {at: i for i, at in enumerate(_in_ms(everything))})


def _in_ms(grid: Grid) -> Iterable[tuple[int, int, int]]:
    """Recording, start and stop of each anchor, in whole milliseconds, which can be compared."""
    start, stop = (np.rint(seconds * 1000).astype(np.int64).tolist() for seconds in (grid.start, grid.stop))
    return zip(grid.recording.tolist(), start, stop, strict=True)


def derived_again(
    source: StoreSource, m: str, part: Part, params: FitParams, recording: int, spans: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """The current output of an encoder for a recording (its position in the store), with no recording before it, and
    the output in the run: its stream (channels, samples), or the features (k, *shape) of half of its segments, the last
    first, `spans` at most. None where it has no such output, or the recording lacks the modality."""
    encoder, store, name = encoder_of(part), source.store, source.store.recordings[recording].id
    if encoder.reads == "stream":
        known = arrays_of(store, m, encoder, part.code)
        if name not in known.spans:
            return None
        return derive.stream_of(store, m, encoder, name).data, known.signal(name).data
    if encoder.reads != "features":
        return None
    view = view_of(encoder, part.name)
    views = [view_of(encoder_of(each), each.name) for each in params.modalities.values()]
    grid = all_anchors(source, stage_view(params.recipe.view, views))
    length_s = view_length(view, source.longest_s, source.shortest_s)
    table = features_of(store, m, encoder, part.code, grid, view, length_s, standardises(source, m))
    if name not in table:
        return None
    own = spans_of(grid, view, length_s)[by_recording(grid)[recording]]
    some = np.unique(np.linspace(0, len(own) - 1, min(spans, (len(own) + 1) // 2)).astype(int))[::-1]
    again, known = derive.features_in(store, m, encoder, name, own[some], standardises(source, m)), table[name][some]
    return np.full_like(known, np.nan) if again is None else again, known


def features_of(
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
    """Recording's id -> (k, *shape) features at its anchors, of signals as they are or z-scored by recording
    (`standardised`); computed once, by `make` where it is given, then read from disk."""
    seconds = spans_of(grid, view, length_s)
    spans = {store.recordings[r].id: seconds[at] for r, at in by_recording(grid).items()}
    return derive.derive_features(store, m, encoder, code, spans, standardised, make)


def features_at_rest(
    source: StoreSource, m: str, encoder: Encoder, code: str, length_s: float, make: derive.RowsOf | None = None
) -> Mapping[str, np.ndarray]:
    """Recording's id -> (k, *shape) features while its subject rested: of windows as long as the encoder reads, or as
    the rest where that is shorter, each beginning half a window after the one before."""
    entries, (first, last) = source.store.recordings, source.rest or (0.0, 0.0)
    ends = np.minimum(last, [entry.duration_s for entry in entries])
    length = min(length_s, last - first)
    grid = slide(length, length / 2, np.arange(len(entries)), np.full(len(entries), first), ends)
    return features_of(source.store, m, encoder, code, grid, View("window", length, length), length, False, make)


def _at_rest(
    source: StoreSource, m: str, encoder: Encoder, code: str, length_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Features (k, *shape) while subjects rested, and whose they are (k,)."""
    table = features_at_rest(source, m, encoder, code, length_s)
    rested = [entry for entry in source.store.recordings if entry.id in table]
    if not rested:
        raise DataError(f"no subject has {m} while resting", where=str(source.store.path), hint="other --modalities")
    rows = [np.asarray(table[entry.id]) for entry in rested]
    return np.concatenate(rows), np.repeat([entry.subject for entry in rested], [len(row) for row in rows])


def with_stats(
    specs: Mapping[str, InputSpec], modalities: Mapping[str, Part], data: Data, train: np.ndarray
) -> dict[str, InputSpec]:
    """The specs with each encoder's `fit_stats`, computed on the rows at positions `train` (n,) that are present."""
    out = dict(specs)
    for m, part in modalities.items():
        encoder = encoder_of(part)
        if type(encoder).fit_stats is not Encoder.fit_stats:
            rows = train[data.feeds[m].present[train]]
            x, mask = data.feeds[m].batch_rows(rows)
            seen = None if mask is None else mask.cpu().numpy()
            out[m] = spec_with_stats(specs[m], encoder, part.name, x.cpu().numpy(), seen)
    return out


# Makes the feature tables that stages will read, by several processes, before any stage runs: else one stage would make
# a table alone, or two that run side by side would both make it.


def make_tables(todo: Iterable[Stage[Params]], workers: int, on_event: EventCallback) -> None:
    """Makes the tables of all stages that fit something to features, if they are not there."""
    made = set()
    for stage in todo:
        params = stage.params
        if not isinstance(params, FitParams) or isinstance(params, PretrainParams) or params.common.device != "cpu":
            continue
        units = tuple(digest(stage.task[f"all_{name}"]) for name in ("recording", "start", "stop"))
        key = repr((params.common.source, params.modalities, params.recipe.view, units))
        if key not in made:
            made.add(key)
            # Whatever fails here fails again in the stage, which says whose fault it is and holds up no other.
            with suppress(EmbenchError, MemoryError):
                _make(stage, params, workers, on_event)


def _make(stage: Stage[Params], params: FitParams, workers: int, on_event: EventCallback) -> None:
    source = StoreSource.of(params.common.source, stage.places, stage.task)
    views = {m: view_of(encoder_of(part), part.name) for m, part in params.modalities.items()}
    everything = all_anchors(source, stage_view(params.recipe.view, [*views.values()]))
    for m, part in params.modalities.items():
        encoder, length_s = encoder_of(part), view_length(views[m], source.longest_s, source.shortest_s)
        if encoder.reads != "features":
            continue
        rows = partial(_rows, str(source.store.path), m, part, stage.seed, params.common.threads)
        make = partial(_shared, workers, now_and_then(f"computing {part.short} of {m}", on_event))
        read = (source.store, m, encoder, part.code, everything, views[m], length_s)
        alike = standardises(source, m)
        features_of(*read, alike, partial(make, partial(rows, alike)))
        if by_subject(source) and source.rest is not None:
            features_at_rest(source, m, encoder, part.code, length_s, partial(make, partial(rows, False)))


def _shared(
    workers: int, step: ProgressCallback, rows: partial[np.ndarray | None], wanted: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray | None]:
    """Rows of each recording: by this process, then by `workers` as soon as the rest is large enough."""
    made: dict[str, np.ndarray | None] = {}
    took: list[float] = []
    left = list(wanted)
    while left and not workers_pay(took, len(left), workers):
        recording, began = left.pop(0), time.process_time()
        made[recording] = rows(recording, wanted[recording])
        took.append(time.process_time() - began)
        step(len(made), len(wanted), recording)
    if left:
        # The stages' own workers will be copies of the same process.
        with working(fresh_processes(min(workers, len(left)), "embench.engine.work")) as submit:
            waiting = {recording: submit(rows, recording, wanted[recording]) for recording in left}
            for recording, future in waiting.items():
                made[recording] = future.result()
                step(len(made), len(wanted), recording)
    return made


def _rows(
    store: str, m: str, part: Part, seed: int, threads: int, standardised: bool, recording: str, spans: np.ndarray
) -> np.ndarray | None:
    """The features (n, *shape) of one recording's spans (n, 2), made as in a stage."""
    encoder = encoder_of(part)  # before the seeds: its module may draw when it is imported
    machine.seed_everything(seed, threads, "cpu")
    with limited_threads(threads):
        return derive.features_in(_opened(store), m, encoder, recording, spans, standardised)


@cache
def _opened(store: str) -> Store:
    return open_store(Path(store))


# Windows of one modality of all units, stored as arrays that are read from disk: what encoders of a run are fed.

_FORMAT = 1
_X, _MASK, _PRESENT = "x.npy", "mask.npy", "present.npy"


class StoredWindows(NamedTuple):
    """Windows `x` (n, C, T) float32, memory-mapped, zeros where nothing was recorded; `mask` (n, T), True where
    something was; `present` (n,), windows that a run reads. `level`: whether each fold scales them by its training
    units, which was not done yet."""

    x: np.ndarray
    mask: np.ndarray
    present: np.ndarray
    level: bool


def stored_windows(source: StoreSource, m: str, part: Part, grid: Grid) -> StoredWindows:
    """The windows of a modality at each anchor of a grid; made now, or found in the cache."""
    level = keeps_level(source, m)
    plain = replace(source, normalise="none", keep_level=()) if level else source
    anchored = [digest(getattr(grid, name)) for name in ("recording", "start", "stop", "unit_start")]
    made_of = [_FORMAT, source.store.key, m, part.plain("plugin"), plain.normalise, plain.rest, *anchored]
    target = cache_root() / "derived" / f"windows-{digest(made_of)[:20]}"

    def build(folder: Path) -> None:
        data, specs = assemble(plain, {m: part}, grid, "cpu")
        _write(data, specs[m], m, folder)

    folder = build_once(target, build, source.store.mode)
    x, mask, present = (np.load(folder / name, mmap_mode="r") for name in (_X, _MASK, _PRESENT))
    return StoredWindows(x, mask, np.asarray(present), level)


def _write(data: Data, spec: InputSpec, m: str, folder: Path) -> None:
    """Writes the windows of the rows of one modality; rows that a run takes for absent stay zeros."""
    feed, shape = data.feeds[m], (data.size, *spec.shape)
    x = np.lib.format.open_memmap(folder / _X, "w+", np.float32, shape)
    mask = np.lib.format.open_memmap(folder / _MASK, "w+", np.bool_, (data.size, shape[-1]))
    there = np.flatnonzero(feed.present)
    for first in range(0, len(there), AT_ONCE):
        index = there[first : first + AT_ONCE]
        rows, seen = feed.batch_rows(index)
        x[index] = rows.numpy()
        mask[index] = True if seen is None else seen.numpy()
    x.flush()
    mask.flush()
    np.save(folder / _PRESENT, feed.present)


def training_level(
    source: StoreSource, m: str, part: Part, grid: Grid, training: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """`mean` and `std` (C,) by which a fold scales a modality: of its training units `recording`, `start` and `stop`
    (k,)."""
    return assemble(source, {m: part}, grid.take(np.arange(1)), "cpu", training=training)[1][m].fitted
