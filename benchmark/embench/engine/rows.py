"""Rows of a stage: the dataset that it reads, the inputs of encoders, and the samples of each unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from embench import registry
from embench.engine.stage import Part, SourceSpec
from embench.errors import PluginError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recording import VIDEO_CHANNELS, without_channels
from embench.interfaces.tokens import InputSpec
from embench.interfaces.units import View
from embench.store import Clips, Store, derive, open_store

# Rows of units: the place of each sample of a stage in the stored arrays, and its recorded part.
#
# A stage has one grid of anchors, moments inside units; at an anchor every encoder reads its own length, ending at the
# anchor's stop. Everything here is positions and lengths, on the host; no label passes through.

_EPS = 1e-6


@dataclass(frozen=True)
class Grid:
    """Anchors as arrays (n,): recording (position in the store), seconds, and the unit (position) each belongs to."""

    recording: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    unit: np.ndarray
    unit_start: np.ndarray

    def __len__(self) -> int:
        return len(self.recording)

    def take(self, index: np.ndarray) -> Grid:
        """The anchors at positions `index` (m,)."""
        return Grid(*(getattr(self, name)[index] for name in ("recording", "start", "stop", "unit", "unit_start")))

    def weights(self) -> np.ndarray:
        """(n,): 1 / (rows of its unit), so that every unit counts alike."""
        counts = np.bincount(self.unit) if len(self) else np.zeros(0, int)
        return (1.0 / counts[self.unit]).astype(np.float32)


def stage_view(own: View | None, encoders: Sequence[View]) -> View:
    """The view that gives a stage its anchors: its recipe's, else the window with the largest step, else the unit."""
    if own is not None:
        return own
    windows = [view for view in encoders if view.kind == "window"]
    if windows:
        return max(windows, key=lambda view: view.step_s or view.length_s or 0.0)
    return View("unit")


def anchors(view: View, recording: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Grid:
    """The anchors of units, from arrays (n,) of recording positions and seconds."""
    n = len(recording)
    if view.kind != "window":
        unit = np.arange(n)
        return Grid(recording, start.copy(), stop.copy(), unit, start.copy())
    length = float(view.length_s or 0.0)
    step = float(view.step_s or length)
    count = np.maximum(1, np.floor((stop - start - length) / step + _EPS).astype(int) + 1)
    unit = np.repeat(np.arange(n), count)
    k = np.arange(len(unit)) - np.repeat(np.cumsum(count) - count, count)
    ends = np.minimum(start[unit] + k * step + length, stop[unit])
    return Grid(recording[unit], np.maximum(ends - length, start[unit]), ends, unit, start[unit])


def slide(length: float, step: float, recording: np.ndarray, first: np.ndarray, last: np.ndarray) -> Grid:
    """Windows of `length` s every `step` s wholly inside segments [first, last) of recordings, all (n,), for unlabelled
    stages; `unit` is the segment."""
    count = np.maximum(0, np.floor((last - first - length) / step + _EPS).astype(int) + 1)
    owner = np.repeat(np.arange(len(recording)), count)
    k = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    start = first[owner] + k * step
    return Grid(recording[owner], start, start + length, owner, start)


def view_length(view: View, longest_s: float, shortest_s: float) -> float:
    """Seconds that an encoder with this view reads: its own length, else the longest unit's, so that nothing depends on
    a fold; the shortest unit's under `length: common`."""
    if view.kind == "unit":
        return shortest_s if view.length == "common" else longest_s
    return float(view.length_s or longest_s)


@dataclass(frozen=True)
class Rows:
    """Rows of one modality, arrays (n,): `start`, the position of the first sample in the stored array (it may lie
    before the recording); `low` and `high`, the positions between which samples are real; `spanned`, how many samples
    the anchor spans; `length` samples a row."""

    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spanned: np.ndarray
    length: int

    @cached_property
    def present(self) -> np.ndarray:
        """(n,) bool: at least half of the anchor was recorded."""
        inside = np.minimum(self.high, self.start + self.length) - np.maximum(self.low, self.start)
        return (inside > 0) & (2 * inside >= np.minimum(self.spanned, self.length))

    @cached_property
    def whole(self) -> bool:
        """True if every row that is present is complete, so that no mask is needed."""
        there = self.present
        full = (self.start >= self.low) & (self.start + self.length <= self.high)
        return bool(full[there].all())


def anchor_rows(grid: Grid, view: View, length_s: float, rate: float, spans: Sequence[Any]) -> Rows:
    """Places of an encoder's rows at each anchor: the last seconds before its stop, or a whole unit, with nothing
    behind it where it is shorter. Samples outside the anchor's unit are not shown, except under `context`.

    Args:
        spans: for each recording of the store an object with `offset`, `samples`, `t0` (s), or None where the
            modality is absent.
    """
    length = round(length_s * rate)
    offset = np.array([s.offset if s else 0 for s in spans], np.int64)[grid.recording]
    samples = np.array([s.samples if s else 0 for s in spans], np.int64)[grid.recording]
    t0 = np.array([s.t0 if s else 0.0 for s in spans], np.float64)[grid.recording]
    end = np.rint((grid.stop - t0) * rate).astype(np.int64)
    first = np.rint((grid.unit_start - t0) * rate).astype(np.int64)
    low, high, start = np.zeros_like(end), np.minimum(samples, end), end - length
    if view.kind != "context":
        low = np.maximum(low, first)
    if view.kind == "unit":
        start = np.maximum(start, first)
    spanned = np.rint((grid.stop - grid.start) * rate).astype(np.int64)
    return Rows(offset + start, offset + low, offset + np.maximum(high, low), spanned, length)


def spans_of(grid: Grid, view: View, length_s: float) -> np.ndarray:
    """(n, 2) seconds that an encoder with features reads at each anchor."""
    first = np.zeros_like(grid.stop) if view.kind == "context" else grid.unit_start
    return np.stack([np.maximum(first, grid.stop - length_s), grid.stop], 1)


def by_recording(grid: Grid) -> Mapping[int, np.ndarray]:
    """Recording -> positions (k,) of its anchors in the grid."""
    order = np.argsort(grid.recording, kind="stable")
    values, first = np.unique(grid.recording[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, first[1:]), strict=True))


# Inputs of an encoder for one modality: the part of a unit that its recipe reads, and the spec for its `build`.


def encoder_of(part: Part) -> Encoder:
    """The encoder instance that a stage's `modalities[m]` describes."""
    encoder: Encoder = registry.load("encoder", part.name)(part.recipe)
    return encoder


def view_of(encoder: Encoder, name: str) -> View:
    """The view of an encoder's recipe. Raises PluginError where it has none."""
    view = encoder.recipe.view
    if view is None:
        raise PluginError("an encoder's recipe must say what it sees of a unit", where=name, expected="recipe.view")
    return view


def signal_spec(
    m: str,
    encoder: Encoder,
    channels: tuple[str, ...],
    rate: float,
    length_s: float,
    fitted: Mapping[str, np.ndarray] | None = None,
) -> InputSpec:
    """Spec of windows of `length_s` of a signal, or of the encoder's stream, at `rate` Hz."""
    shape = (len(channels), round(length_s * rate))
    return InputSpec(derive.name_for(encoder, m), shape, channels, rate, fitted=fitted or {})


def clip_spec(m: str, clips: Clips, length_s: float) -> InputSpec:
    """Spec of a video's frames."""
    shape = (round(length_s * clips.rate), *clips.array.shape[1:])
    return InputSpec(m, shape, VIDEO_CHANNELS, clips.rate, torch.uint8)


def feature_spec(m: str, store: Store, encoder: Encoder, shape: tuple[int, ...]) -> InputSpec:
    """Spec of rows of features of this `shape`, with their names where the encoder has any."""
    first, name = derive.joined(store, m.split("+", 1)[0]), derive.name_for(encoder, m)
    return InputSpec(name, shape, encoder.feature_names(name, first.channels))


def spec_with_stats(spec: InputSpec, encoder: Encoder, name: str, x: np.ndarray, mask: np.ndarray | None) -> InputSpec:
    """The spec with what the encoder's `fit_stats` says of rows `x` (n, *shape), of samples where `mask` (n, T) is
    True. Raises PluginError where that is no mapping to numbers."""
    stats = encoder.fit_stats(x, mask)
    try:
        return replace(spec, stats={k: np.asarray(v, np.float32) for k, v in dict(stats).items()})
    except (TypeError, ValueError) as error:
        what, expected = f"`fit_stats` gave {type(stats).__name__}: {error}", "name -> array of numbers"
        raise PluginError(what, where=name, expected=expected) from error


# The dataset that a stage reads, as its params and places name it, and the anchors of its units.

TRAINED, TESTED = 1, 2
"""What `StoreSource.given` holds of units: bits, since a training subject may be tried as a test subject is. Units of
`TESTED` normalise their subject, where it has none those of `TRAINED`, which say how far training subjects vary."""


@dataclass(frozen=True)
class StoreSource:
    """A prepared store with the units of the whole dataset, as a stage's params and task arrays hold it.
    `rest` (s, s) is where in a recording its subject rested, where that alone may normalise; modalities of `keep_level`
    are scaled by the training units instead. `given` (n,) says of which units a subject's statistics are where it gives
    some: 0, or `TRAINED`, `TESTED` or both."""

    store: Store
    longest_s: float
    shortest_s: float
    normalise: str
    rest: tuple[float, float] | None
    keep_level: tuple[str, ...]
    all_recording: np.ndarray
    all_start: np.ndarray
    all_stop: np.ndarray
    given: np.ndarray | None = None

    @classmethod
    def of(cls, spec: SourceSpec, places: Mapping[str, Any], task: Mapping[str, np.ndarray]) -> StoreSource:
        """The source that a stage's params describe: its store is opened in the folder that `places` has for it, and
        its units are the arrays `all_*` of `task`."""
        return cls(
            open_store(places["stores"][spec.store]),
            spec.longest_s,
            spec.shortest_s,
            spec.normalise,
            spec.rest,
            spec.keep_level,
            task["all_recording"],
            task["all_start"],
            task["all_stop"],
            task.get("all_given"),
        )


def normalising(given: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) whether units, or rows, are those that normalise their subject (n,)."""
    tested = np.isin(subject, np.unique(subject[(given & TESTED) > 0]))
    return np.asarray((given & np.where(tested, TESTED, TRAINED)) > 0)


def grid_of(
    modalities: Mapping[str, Part],
    own: View | None,
    recording: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
) -> Grid:
    """The anchors of a stage over units, as arrays (n,): `recording`, `start` and `stop` in s."""
    views = [view_of(encoder_of(part), part.name) for part in modalities.values()]
    view = stage_view(own, views)
    if view.kind == "unit" and view.length == "common":
        view = View("unit")
    return anchors(view, recording, start, stop)


def all_anchors(source: StoreSource, all_view: View | None) -> Grid:
    """The anchors of all units of the dataset, as a stage with this view of its own reads them."""
    return anchors(all_view or View("unit"), source.all_recording, source.all_start, source.all_stop)


def by_subject(source: StoreSource) -> bool:
    """True if features are z-scored by their subject's, or by those of its rest."""
    return source.normalise in ("subject_unlabelled", "baseline", "given")


def standardises(source: StoreSource | SourceSpec, m: str) -> bool:
    """True if an encoder with features is given signals that are z-scored by recording."""
    return source.normalise == "recording_unlabelled" and not keeps_level(source, m)


def keeps_level(source: StoreSource | SourceSpec, m: str) -> bool:
    """True if a modality, or the one channel of it that is read, is scaled by the training units."""
    return source.normalise == "training" or without_channels(m) in source.keep_level


# Features in standard units of their subject: by all of its rows, by its rest, or by what it gives.

PRIOR_ROWS = 10
"""As many rows of its own as the spread of training subjects counts for beside a subject's: of two rows, which one unit
of each class gives, a spread says next to nothing."""


def standardise_by_given(
    values: np.ndarray, subject: np.ndarray, given: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Each feature (n, *shape) centred by its subject's rows that are given, and divided by their spread, towards which
    the mean spread inside what training subjects give weighs as `PRIOR_ROWS` rows.

    Args:
        given: (n,) 0 where a row is not given, else bits: `TRAINED` or `TESTED` (see `embench.engine.rows`).
    """
    trained, chosen = (given & TRAINED) > 0, normalising(given, subject)
    of_trained = [_moments(values[trained & (subject == name)], shared) for name in np.unique(subject[trained])]
    usual = np.sum([spread for *_, spread in of_trained], axis=0) / np.maximum(sum(n for n, *_ in of_trained), 1)
    out = np.full(values.shape, np.nan)
    for name in np.unique(subject[chosen]):
        rows = subject == name
        count, mean, spread = _moments(values[chosen & rows], shared)
        std = np.sqrt((spread + PRIOR_ROWS * usual) / (count + PRIOR_ROWS))
        out[rows] = _in_units_of(values[rows], mean, std)
    return out.astype(np.float32)


def standardise(
    values: np.ndarray, subject: np.ndarray, known: np.ndarray, owner: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Each feature (n, *shape) z-scored by its subject's rows of `known` (k, *shape), NaN ignored; one that is constant
    there is only centred, and one that is missing there is NaN. Values along the axes `shared` have one mean and SD."""
    out = values.astype(np.float64)
    for name in np.unique(subject):
        count, mean, spread = _moments(known[owner == name], shared)
        rows = subject == name
        out[rows] = _in_units_of(out[rows], mean, np.sqrt(spread / np.maximum(count, 1)))
    return out.astype(np.float32)


def _moments(rows: np.ndarray, shared: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of known values of each feature in `rows` (k, *shape), their mean, NaN where there are none, and the
    sum of the squares around it."""
    part, over = rows.astype(np.float64), (0, *shared)
    there = np.isfinite(part)
    count = there.sum(over, keepdims=True)
    mean = np.where(count > 0, np.where(there, part, 0.0).sum(over, keepdims=True) / np.maximum(count, 1), np.nan)
    return count, mean, np.where(there, (part - mean) ** 2, 0.0).sum(over, keepdims=True)


def _in_units_of(rows: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Rows (k, *shape) less the mean, in units of the SD; a feature that is constant is only centred."""
    return np.asarray((rows - mean) / np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0))
