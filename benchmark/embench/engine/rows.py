"""Rows of a stage: which samples of which recording an encoder reads, and how they are normalised."""

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
from embench.interfaces.recording import VIDEO_CHANNELS, remove_channels
from embench.interfaces.tokens import InputSpec
from embench.interfaces.units import View
from embench.store import Clips, Store, derive, open_store

# A stage has one grid of anchors, times inside units. At each anchor every encoder reads its own length, ending at the
# anchor's stop. This module handles positions and lengths on the host, never labels.

_EPS = 1e-6


@dataclass(frozen=True)
class Grid:
    """Anchors, which are times inside units, as arrays (n,). `recording` is a position in the store; `start` and `stop`
    are in s. `unit` is the position of the anchor's unit, which starts at `unit_start`."""

    recording: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    unit: np.ndarray
    unit_start: np.ndarray

    def __len__(self) -> int:
        return len(self.recording)

    def take(self, index: np.ndarray) -> Grid:
        """Return the anchors at positions `index` (m,)."""
        return Grid(*(getattr(self, name)[index] for name in ("recording", "start", "stop", "unit", "unit_start")))

    def weights(self) -> np.ndarray:
        """Return the weight (n,) of each anchor, 1 / (number of anchors of its unit), so that units count equally."""
        counts = np.bincount(self.unit) if len(self) else np.zeros(0, int)
        return (1.0 / counts[self.unit]).astype(np.float32)


def stage_view(own: View | None, encoders: Sequence[View]) -> View:
    """Return the view that defines a stage's anchors. It is `own`, the view of the stage's recipe, if there is one;
    else the view with the largest step among encoders that read windows; else the whole unit."""
    if own is not None:
        return own
    windows = [view for view in encoders if view.kind == "window"]
    if windows:
        return max(windows, key=lambda view: view.step_s or view.length_s or 0.0)
    return View("unit")


def anchors(view: View, recording: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Grid:
    """Return the anchors of units under a view. Units are arrays (n,): recording (position), start and stop in s."""
    n = len(recording)
    if view.kind != "window":
        unit = np.arange(n)
        return Grid(recording, start.copy(), stop.copy(), unit, start.copy())
    length = float(view.length_s or 0.0)
    step = float(view.step_s or length)
    count = np.maximum(1, np.floor((stop - start - length) / step + _EPS).astype(int) + 1)
    unit = np.repeat(np.arange(n), count)
    k = np.arange(len(unit)) - np.repeat(np.cumsum(count) - count, count)  # number of the window in its unit
    ends = np.minimum(start[unit] + k * step + length, stop[unit])
    return Grid(recording[unit], np.maximum(ends - length, start[unit]), ends, unit, start[unit])


def slide(length: float, step: float, recording: np.ndarray, first: np.ndarray, last: np.ndarray) -> Grid:
    """Return all windows of `length` s, `step` s apart, inside segments of recordings, for stages without labels. The
    segments are arrays (n,): position of the recording, `first` and `last` second. In the grid, a unit is a segment."""
    count = np.maximum(0, np.floor((last - first - length) / step + _EPS).astype(int) + 1)
    owner = np.repeat(np.arange(len(recording)), count)
    k = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)  # number of the window in its segment
    start = first[owner] + k * step
    return Grid(recording[owner], start, start + length, owner, start)


def view_length(view: View, longest_s: float, shortest_s: float) -> float:
    """Return the seconds that an encoder with this view reads: the view's own length, or the length of the dataset's
    longest unit. A view of units with `length: common` reads the length of the shortest unit."""
    if view.kind == "unit":
        return shortest_s if view.length == "common" else longest_s
    return float(view.length_s or longest_s)


@dataclass(frozen=True)
class Rows:
    """Rows of one modality as arrays (n,), in positions of samples in the stored array.

    Args:
        start: first sample of the row, possibly before the recording.
        low, high: first recorded sample, and the one after the last.
        spanned: number of samples between the anchor's start and stop. `length`: number of samples per row."""

    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spanned: np.ndarray
    length: int

    @cached_property
    def present(self) -> np.ndarray:
        """(n,) bool: True for rows of which at least half was recorded."""
        inside = np.minimum(self.high, self.start + self.length) - np.maximum(self.low, self.start)
        return (inside > 0) & (2 * inside >= np.minimum(self.spanned, self.length))

    @cached_property
    def whole(self) -> bool:
        """True if every present row is complete, so that no mask is needed."""
        present = self.present
        full = (self.start >= self.low) & (self.start + self.length <= self.high)
        return bool(full[present].all())


def anchor_rows(grid: Grid, view: View, length_s: float, rate: float, spans: Sequence[Any]) -> Rows:
    """Return the positions of an encoder's rows: the last seconds before each anchor's stop, or the whole unit, padded
    at the end if it is shorter. Samples before the anchor's unit are hidden, except under a view `context`.

    Args:
        spans: for each recording an object with `offset`, `samples` and `t0` (s), or None if it lacks the modality."""
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


def make_spans(grid: Grid, view: View, length_s: float) -> np.ndarray:
    """Return start and stop (n, 2) in s of the signal from which features are computed at each anchor."""
    first = np.zeros_like(grid.stop) if view.kind == "context" else grid.unit_start
    return np.stack([np.maximum(first, grid.stop - length_s), grid.stop], 1)


def by_recording(grid: Grid) -> Mapping[int, np.ndarray]:
    """Return position of a recording -> positions (k,) of its anchors in the grid."""
    order = np.argsort(grid.recording, kind="stable")
    values, first = np.unique(grid.recording[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, first[1:]), strict=True))


def load_encoder(part: Part) -> Encoder:
    """Return the encoder that a part names, with the part's recipe."""
    encoder: Encoder = registry.load_plugin("encoder", part.name)(part.recipe)
    return encoder


def require_view(encoder: Encoder, name: str) -> View:
    """Return the view of an encoder's recipe. Raises PluginError if it has none."""
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
    """Return the spec of windows of `length_s` of a signal, or of the encoder's stream, at `rate` Hz."""
    shape = (len(channels), round(length_s * rate))
    return InputSpec(derive.name_for(encoder, m), shape, channels, rate, fitted=fitted or {})


def clip_spec(m: str, clips: Clips, length_s: float) -> InputSpec:
    """Return the spec of windows of `length_s` of a video's frames."""
    shape = (round(length_s * clips.rate), *clips.array.shape[1:])
    return InputSpec(m, shape, VIDEO_CHANNELS, clips.rate, torch.uint8)


def feature_spec(m: str, store: Store, encoder: Encoder, shape: tuple[int, ...]) -> InputSpec:
    """Return the spec of feature rows of this `shape`. Its channels are the features' names, if the encoder has any."""
    first, name = derive.joined(store, m.split("+", 1)[0]), derive.name_for(encoder, m)
    return InputSpec(name, shape, encoder.feature_names(name, first.channels))


def spec_with_stats(spec: InputSpec, encoder: Encoder, name: str, x: np.ndarray, mask: np.ndarray | None) -> InputSpec:
    """Return the spec with the encoder's own statistics (`fit_stats`) of rows `x` (n, *shape), over samples where
    `mask` (n, T) is True. Raises PluginError if `fit_stats` does not return name -> numbers."""
    stats = encoder.fit_stats(x, mask)
    try:
        return replace(spec, stats={k: np.asarray(v, np.float32) for k, v in dict(stats).items()})
    except (TypeError, ValueError) as error:
        what, expected = f"`fit_stats` gave {type(stats).__name__}: {error}", "name -> array of numbers"
        raise PluginError(what, where=name, expected=expected) from error


GIVEN_IN_TRAINING, GIVEN_BY_TESTED = 1, 2
"""Bits of `StoreSource.given`, per unit. A subject is normalised by its `GIVEN_BY_TESTED` units, or, without any, by
its `GIVEN_IN_TRAINING` units. The latter also define the spread of training subjects."""


@dataclass(frozen=True)
class StoreSource:
    """A prepared store and all n units of its dataset, as a stage's params and task arrays describe them.

    Args:
        rest: (start, stop) in s of the resting period in a recording, if subjects are normalised by it; else None.
        keep_level: modalities that are scaled by the training units instead of by subject.
        given: (n,) bits of the units that normalise their subject: 0, `GIVEN_IN_TRAINING`, `GIVEN_BY_TESTED` or both.
            None under protocols without calibration data."""

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
    def from_spec(cls, spec: SourceSpec, places: Mapping[str, Any], task: Mapping[str, np.ndarray]) -> StoreSource:
        """Return the source that a stage's params describe: its store is opened in the folder given in `places`, and
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
    """Return (n,) bool: True for the units (or rows) by which their subject is normalised. `subject`: (n,) names.
    `given`: (n,) bits, see `StoreSource`."""
    tested = np.isin(subject, np.unique(subject[(given & GIVEN_BY_TESTED) > 0]))
    return np.asarray((given & np.where(tested, GIVEN_BY_TESTED, GIVEN_IN_TRAINING)) > 0)


def build_grid(
    modalities: Mapping[str, Part],
    own: View | None,
    recording: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
) -> Grid:
    """Return the anchors of a stage over units, given as arrays (n,) with times in s. `own`: the view of its recipe."""
    views = [require_view(load_encoder(part), part.name) for part in modalities.values()]
    view = stage_view(own, views)
    if view.kind == "unit" and view.length == "common":
        view = View("unit")
    return anchors(view, recording, start, stop)


def all_anchors(source: StoreSource, all_view: View | None) -> Grid:
    """Return the anchors of all units of the dataset, for a stage with this view."""
    return anchors(all_view or View("unit"), source.all_recording, source.all_start, source.all_stop)


def by_subject(source: StoreSource) -> bool:
    """Return True if features are z-scored by subject: over all of its rows, its rest or its calibration units."""
    return source.normalise in ("subject_unlabelled", "baseline", "given")


def standardises(source: StoreSource | SourceSpec, m: str) -> bool:
    """Return True if signals are z-scored by recording before an encoder computes features from them."""
    return source.normalise == "recording_unlabelled" and not keeps_level(source, m)


def keeps_level(source: StoreSource | SourceSpec, m: str) -> bool:
    """Return True if a modality, or a single channel of one such as `ecg[left]`, is scaled by the training units."""
    return source.normalise == "training" or remove_channels(m) in source.keep_level


PRIOR_ROWS = 10
"""Weight of the training subjects' spread, in rows. The spread of a few calibration rows alone is unreliable."""


def standardise_by_given(
    values: np.ndarray, subject: np.ndarray, given: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Standardise features (n, *shape) by each subject's calibration rows: subtract their mean, and divide by their
    spread. The spread is shrunk towards the training subjects' mean spread, which weighs as much as `PRIOR_ROWS` rows.

    Args:
        subject: (n,) name of each row's subject. `given`: (n,) bits of calibration rows, see `StoreSource`; else 0.
        shared: axes along which all values have one mean and one spread."""
    trained, chosen = (given & GIVEN_IN_TRAINING) > 0, normalising(given, subject)
    moments = [_moments(values[trained & (subject == name)], shared) for name in np.unique(subject[trained])]
    usual = np.sum([spread for *_, spread in moments], axis=0) / np.maximum(sum(n for n, *_ in moments), 1)
    out = np.full(values.shape, np.nan)
    for name in np.unique(subject[chosen]):
        rows = subject == name
        count, mean, spread = _moments(values[chosen & rows], shared)
        std = np.sqrt((spread + PRIOR_ROWS * usual) / (count + PRIOR_ROWS))
        out[rows] = _standardise_rows(values[rows], mean, std)
    return out.astype(np.float32)


def standardise(
    values: np.ndarray, subject: np.ndarray, reference: np.ndarray, owner: np.ndarray, shared: tuple[int, ...] = ()
) -> np.ndarray:
    """Z-score features (n, *shape) of each `subject` (n,) by the rows of `reference` (k, *shape) of the same `owner`
    (k,). NaN is ignored. A constant feature is only centred; a feature that is missing in `reference` becomes NaN.
    Values along the axes `shared` have one mean and SD."""
    out = values.astype(np.float64)
    for name in np.unique(subject):
        count, mean, spread = _moments(reference[owner == name], shared)
        rows = subject == name
        out[rows] = _standardise_rows(out[rows], mean, np.sqrt(spread / np.maximum(count, 1)))
    return out.astype(np.float32)


def _moments(rows: np.ndarray, shared: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each feature in `rows` (k, *shape): the number of known values, their mean (NaN without any), and
    their sum of squared deviations."""
    part, over = rows.astype(np.float64), (0, *shared)
    known = np.isfinite(part)
    count = known.sum(over, keepdims=True)
    mean = np.where(count > 0, np.where(known, part, 0.0).sum(over, keepdims=True) / np.maximum(count, 1), np.nan)
    return count, mean, np.where(known, (part - mean) ** 2, 0.0).sum(over, keepdims=True)


def _standardise_rows(rows: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Return rows (k, *shape) minus the mean, divided by the SD; constant features are only centred."""
    return np.asarray((rows - mean) / np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0))
