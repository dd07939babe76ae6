"""Builds the data of a stage: from the store, the encoders' views and a grid of anchors to feeds and input specs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from embench.engine import device as machine
from embench.engine.dropping import without
from embench.engine.feed import (
    Data,
    FeatureFeed,
    ResidentClips,
    ResidentFeed,
    RowFeed,
    StreamedClips,
    StreamedFeed,
    resident,
    resident_clips,
)
from embench.engine.inputs import clip_spec, encoder_of, feature_spec, signal_spec, spec_with_stats, view_of
from embench.engine.rows import Grid, Rows, anchor_rows, by_recording, slide, spans_of, stage_view, view_length
from embench.engine.source import Source, all_anchors, by_subject, keeps_level, normalising, standardises
from embench.engine.specs import FitParams, Part
from embench.engine.standard import standardise, standardise_by_given
from embench.errors import DataError
from embench.files import digest
from embench.interfaces.encoder import Encoder
from embench.interfaces.tokens import InputSpec
from embench.interfaces.units import View
from embench.signals.normalise import Moments
from embench.store import Derived, RecordingEntry, Span, Store, blank_clips, derive


def assemble(
    source: Source,
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

    source: Source
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


def _moments(source: Source, derived: Derived) -> tuple[np.ndarray, np.ndarray]:
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


def _given_spans(source: Source, given: np.ndarray) -> dict[int, list[tuple[float, float]]]:
    """Recording -> the parts (s, s) of it that its subject gives, whose samples normalise."""
    names = np.array([entry.subject for entry in source.store.recordings])
    found: dict[int, list[tuple[float, float]]] = {}
    for k in np.flatnonzero(normalising(given, names[source.all_recording])).tolist():
        found.setdefault(int(source.all_recording[k]), []).append(
            (float(source.all_start[k]), float(source.all_stop[k]))
        )
    return found


def _level(derived: Derived, source: Source, training: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
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
    source: Source, m: str, part: Part, params: FitParams, recording: int, spans: int
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
    source: Source, m: str, encoder: Encoder, code: str, length_s: float, make: derive.RowsOf | None = None
) -> Mapping[str, np.ndarray]:
    """Recording's id -> (k, *shape) features while its subject rested: of windows as long as the encoder reads, or as
    the rest where that is shorter, each beginning half a window after the one before."""
    entries, (first, last) = source.store.recordings, source.rest or (0.0, 0.0)
    ends = np.minimum(last, [entry.duration_s for entry in entries])
    length = min(length_s, last - first)
    grid = slide(length, length / 2, np.arange(len(entries)), np.full(len(entries), first), ends)
    return features_of(source.store, m, encoder, code, grid, View("window", length, length), length, False, make)


def _at_rest(source: Source, m: str, encoder: Encoder, code: str, length_s: float) -> tuple[np.ndarray, np.ndarray]:
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
