"""Scored units: cut from recordings by a time grid, with the labels inside them, in temporal order."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple, TypeVar
from typing import Protocol as Structural

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card
from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Unit
from embench.protocols.schema import Protocol

_TIME_TOLERANCE_S = 1e-6  # clocks in files are floats: 9.9999999 s belongs to the unit that starts at 10 s
_UNIT_ID = re.compile(r"(?P<recording>.*):(?P<start>[0-9]{1,15})-(?P<stop>[0-9]{1,15})", re.DOTALL)


LabelKind = Literal["rating", "continuous", "condition"]


class RecordingTimes(Structural):
    """Facts about a recording that units need. A dataset's Recording and the store's index both have them."""

    @property
    def id(self) -> str:
        """Id, unique in the dataset."""

    @property
    def subject(self) -> str:
        """Id of the recorded subject."""

    @property
    def stimulus(self) -> str:
        """Name of the stimulus or task, the same for all subjects."""

    @property
    def group(self) -> str:
        """Name of the subjects recorded together; else the subject."""

    @property
    def start_s(self) -> float | None:
        """Seconds from the session's start; None if the release hides it."""

    @property
    def order(self) -> int | None:
        """Position in the session; None if the release hides it."""

    @property
    def duration_s(self) -> float:
        """Length in s."""


Recorded = TypeVar("Recorded", bound=RecordingTimes)


class Cut(NamedTuple):
    """Rule that cuts recordings into units: whole recordings if `length_s` is None, else segments of this length in s.
    Segments begin with the usable part of the recording or, if `in_session`, on a grid from the session's start."""

    length_s: float | None
    in_session: bool = False

    def __str__(self) -> str:
        if self.length_s is None:
            return "whole recordings"
        return f"{self.length_s:g} s" if self.in_session else f"{self.length_s:g} s from each recording's start"


def choose_cut(kind: LabelKind, protocol: Protocol) -> Cut:
    """Return the rule that cuts recordings into units for labels of this kind. Labels with equal rules share units."""
    if kind == "rating":
        return Cut(None if protocol.unit.rating == "recording" else protocol.unit.rating)
    return Cut(protocol.unit.continuous_s if kind == "continuous" else protocol.unit.condition_s, in_session=True)


def make_units(
    recordings: Iterable[RecordingTimes],
    card: Card,
    kind: LabelKind,
    protocol: Protocol,
) -> list[Unit]:
    """Return the units of labels of one kind, ordered by recording, then by time. They never depend on labels.

    A rating belongs to the whole recording, or to each segment of it. Continuous and condition labels are scored on a
    grid of the protocol's unit length. The grid runs in session time, if all subjects had the tasks in one order;
    otherwise, or if the release hides the start, in the recording's own time, so that units of two subjects lie at the
    same moments of a stimulus. Segments lie inside the recording.

    A baseline that the dataset card excludes from units is left out. If the baseline normalises a subject, it is not
    scored, since the method knows that it is rest. With `unit.last_s`, a rating's units lie in the last seconds of a
    recording; a shorter one is used whole. With `unit.skip_s`, they follow after the first seconds. Recordings at
    excluded stimuli have no units."""
    cut, baseline = choose_cut(kind, protocol), card.baseline
    if baseline and protocol.normalise == "baseline" and cut.length_s is not None:
        baseline = replace(baseline, in_unit=False)
    in_session = cut.in_session and card.fixed_order
    units = []
    for recording in select_recordings(protocol, card, recordings):
        pieces = _usable_parts(recording.duration_s, baseline)
        if kind == "rating" and protocol.unit.last_s:
            pieces = _last_seconds(pieces, recording.duration_s, protocol.unit.last_s)
        if kind == "rating" and (skip_s := protocol.unit.skip_s):
            pieces = [(max(start, skip_s), stop) for start, stop in pieces if stop > skip_s]
        if cut.length_s is None:
            spans = [max(pieces, key=lambda piece: piece[1] - piece[0])] if pieces else []
        else:
            step_s = protocol.unit.step_s or cut.length_s
            from_s = (recording.start_s or 0.0) if in_session else None
            spans = [cell for piece in pieces for cell in _grid(piece, cut.length_s, step_s, from_s)]
        units += [_unit(recording, start, stop) for start, stop in spans]
    return units


def select_recordings(protocol: Protocol, card: Card, recordings: Iterable[Recorded]) -> list[Recorded]:
    """Return the recordings of a dataset that take part in the protocol: those with its stimuli, if it names any."""
    included = protocol.included_stimuli(card.name)
    return [recording for recording in recordings if included is None or recording.stimulus in included]


def whole_recordings(recordings: Iterable[RecordingTimes]) -> list[Unit]:
    """Return each recording as one unit, including its baseline, to be assigned to folds."""
    return [_unit(recording, 0.0, recording.duration_s) for recording in recordings]


def session_lengths(roster: Iterable[Unit]) -> dict[str, float]:
    """Return subject -> length of the session in s, to the millisecond: from the start of its first recording to the
    end of its last, or the sum of the recordings if the release hides their starts. `roster`: whole recordings as
    units."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for unit in roster:
        spans.setdefault(unit.subject, []).append((unit.start_s, unit.stop - unit.start))
    lengths = {}
    for subject, times in spans.items():
        start, length = np.array(times).T
        hidden = np.isnan(start).any()
        lengths[subject] = round(float(length.sum() if hidden else (start + length).max() - start.min()), 3)
    return lengths


def _usable_parts(duration_s: float, baseline: Baseline | None) -> list[tuple[float, float]]:
    """Return the parts (start, stop) of a recording that may hold units: all of it, or the parts around the
    baseline."""
    if baseline is None or baseline.in_unit:
        return [(0.0, duration_s)]
    around = [(0.0, min(baseline.start_s, duration_s)), (baseline.stop_s, duration_s)]
    return [(start, stop) for start, stop in around if start < stop]


def _last_seconds(pieces: Sequence[tuple[float, float]], duration_s: float, last_s: float) -> list[tuple[float, float]]:
    """Return `pieces` reduced to the last `last_s` seconds of the recording. They count from its last whole
    millisecond, so that the expected number of segments fits."""
    first = math.floor(1000 * (duration_s + _TIME_TOLERANCE_S)) / 1000 - last_s
    return [(max(start, first), stop) for start, stop in pieces if stop > first]


def _grid(
    piece: tuple[float, float], length_s: float, step_s: float, session_start_s: float | None
) -> list[tuple[float, float]]:
    """Return segments (start, stop) inside `piece`, whose starts are multiples of the step, from the start of the
    session or of `piece`. Times are whole milliseconds, so that a unit's id never depends on float rounding."""
    length, step = round(1000 * length_s), round(1000 * step_s)
    tolerance = 1000 * _TIME_TOLERANCE_S
    first = math.ceil(1000 * piece[0] - tolerance)
    if session_start_s is not None:
        first += -(first + round(1000 * session_start_s)) % step
    last = math.floor(1000 * piece[1] + tolerance) - length
    return [(start / 1000, (start + length) / 1000) for start in range(first, last + 1, step)]


class UnitId(NamedTuple):
    """Content of a unit's id: its recording, and its start and stop there, in whole milliseconds."""

    recording: str
    start_ms: int
    stop_ms: int

    def __str__(self) -> str:
        return f"{self.recording}:{self.start_ms}-{self.stop_ms}"

    @classmethod
    def from_seconds(cls, recording: str, start_s: float, stop_s: float) -> UnitId:
        """Return the id of the span between two times, in s, of a recording."""
        return cls(recording, round(1000 * start_s), round(1000 * stop_s))

    @classmethod
    @lru_cache(maxsize=1 << 16)  # scores of all methods and targets ask for the same units
    def read(cls, unit: str) -> UnitId:
        """Return the content of a unit's id, the text that `str` makes of it. Raises DataError for any other text."""
        if found := _UNIT_ID.fullmatch(unit):
            return cls(found["recording"], int(found["start"]), int(found["stop"]))
        raise DataError(f"`{unit}` is not the id of a unit", where="unit", expected="RECORDING:START-STOP, in ms")


def _unit(recording: RecordingTimes, start: float, stop: float) -> Unit:
    """Return the unit between two times of a recording, in s from the recording's start."""
    return Unit(
        id=str(UnitId.from_seconds(recording.id, start, stop)),
        recording=recording.id,
        subject=recording.subject,
        stimulus=recording.stimulus,
        group=recording.group,
        start=start,
        stop=stop,
        start_s=math.nan if recording.start_s is None else recording.start_s + start,
        order=math.nan if recording.order is None else float(recording.order),
    )


def label_units(units: Sequence[Unit], labels: Mapping[str, Label], rule: LabelRule) -> tuple[np.ndarray, np.ndarray]:
    """Summarise the annotations inside each unit, and apply the label rule of the dataset card.

    Args:
        units: (n,) of any recordings.
        labels: recording id -> its raw label. Values with times count if start + lag <= time < stop + lag; a value
            without a time counts for the whole recording. With a lag, a unit whose shifted span exceeds the annotation
            has no label. Under a `centred` rule, the mean of the subject's values in all recordings of `units` is
            subtracted.
        rule: the target's label rule.

    Returns:
        `raw` (n,), the summaries before any threshold, and `label` (n,), both float64, NaN without a label. All of
            `label` is NaN if the rule must still be fitted."""
    known = rule.cut != "training_mean"
    labels = _centre_labels(units, labels) if rule.centred else labels
    raw, made = np.full(len(units), np.nan), np.full(len(units), np.nan)
    rows: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        rows.setdefault(unit.recording, []).append(row)
    for recording, unit_rows in rows.items():
        if recording not in labels:
            continue
        for row, values in zip(
            unit_rows, _values_in_units([units[row] for row in unit_rows], labels[recording], rule), strict=True
        ):
            summary, label = rule.summarise(values), rule(values) if known else None
            raw[row] = np.nan if summary is None else summary
            made[row] = np.nan if label is None else label
    return raw, made


def _centre_labels(units: Sequence[Unit], labels: Mapping[str, Label]) -> dict[str, Label]:
    """Return the labels of the units' recordings minus the mean of all values of the same subject. Each rating, or
    moment of an annotation, counts once, however many units contain it."""
    subject = {unit.recording: unit.subject for unit in units if unit.recording in labels}
    values_of: dict[str, list[np.ndarray]] = {}
    for recording, who in subject.items():
        values = np.asarray(labels[recording].values, np.float64)
        values_of.setdefault(who, []).append(values[np.isfinite(values)])
    mean = {who: np.concatenate(values).mean() for who, values in values_of.items() if sum(map(len, values))}
    return {
        recording: replace(labels[recording], values=labels[recording].values - mean[who])
        for recording, who in subject.items()
        if who in mean
    }


def _values_in_units(units: Sequence[Unit], label: Label, rule: LabelRule) -> list[np.ndarray]:
    """Return for each unit of a recording the raw values inside the unit, (values,) in temporal order. Empty for a unit
    whose span, shifted by a lag, exceeds the annotation."""
    values = np.asarray(label.values, np.float64)
    if label.times is None:
        return [values] * len(units)
    order = np.argsort(label.times, kind="stable")
    times, values = np.asarray(label.times, np.float64)[order], values[order]
    edges = np.array([(unit.start, unit.stop) for unit in units]) + rule.lag_s - _TIME_TOLERANCE_S
    inside = np.ones(len(units), bool)
    if rule.lag_s and len(times) > 1:
        step = float(np.median(np.diff(times)))  # distance of values before the first and after the last
        inside = (edges[:, 0] > times[0] - step) & (edges[:, 1] <= times[-1] + step)
    spans = np.searchsorted(times, edges)
    return [values[a:b] if whole else values[:0] for (a, b), whole in zip(spans, inside, strict=True)]


def fitted_rule(rule: LabelRule, units: Sequence[Unit], raw: np.ndarray) -> LabelRule:
    """Return the rule. If the rule's cut depends on training labels, the cut is fitted to the raw values `raw` (n,) of
    `units`: it is the mean over recordings, so that a rating counts once, however many units have it."""
    known = np.isfinite(raw)
    if rule.cut != "training_mean" or not known.any():
        return rule
    recordings = np.array([unit.recording for unit in units], dtype=np.str_)[known]
    _, which = np.unique(recordings, return_inverse=True)
    means = np.bincount(which, weights=raw[known]) / np.bincount(which)
    return rule.fit(float(means.mean()))


@dataclass(frozen=True)
class Placed:
    """The units of a dataset in temporal order, from which calibration data are chosen.

    Args:
        units: all units. `y`: (n,) labels of the target, NaN without one; `raw`: (n,) its raw values.
        classes: number of classes; 1 for continuous targets.
        kind: kind of the raw labels.
        fixed_order: True if tasks came in one order for all subjects.
        session: recording -> position of its session, from 0.
        names: names of the raw conditions."""

    units: Sequence[Unit]
    y: np.ndarray
    raw: np.ndarray
    classes: int
    kind: LabelKind
    fixed_order: bool
    session: Mapping[str, int]
    names: Sequence[str] = ()

    @cached_property
    def by_subject(self) -> dict[str, np.ndarray]:
        """Subject -> (k,) the positions of the subject's units in temporal order."""
        found: dict[str, list[int]] = {}
        for i in sorted(range(len(self.units)), key=self._when):
            found.setdefault(self.units[i].subject, []).append(i)
        return {name: np.array(own, np.int64) for name, own in sorted(found.items())}

    def _when(self, i: int) -> tuple[float, ...]:
        """Return the key that sorts units of one subject by time: session, order of the recording, start."""
        unit = self.units[i]
        start = unit.start_s if math.isfinite(unit.start_s) else unit.start
        order = unit.order if math.isfinite(unit.order) else 0.0
        return self.session[unit.recording], order, start, unit.start

    def code(self, own: np.ndarray) -> np.ndarray:
        """Return (k,) the class of the units at positions `own` (k,): 0 for continuous labels, -1 without a label."""
        y = self.y[own]
        known = np.isfinite(y)
        return np.where(known, np.nan_to_num(y) if self.classes > 1 else 0, -1).astype(int)

    def is_order_unknown(self, own: np.ndarray) -> bool:
        """Return True if a session has several recordings of unknown order. `own`: positions of one subject's units."""
        units = [self.units[i] for i in own.tolist()]
        recordings = {unit.recording for unit in units}
        several = len(recordings) > len({self.session[name] for name in recordings})
        return several and any(not (math.isfinite(unit.start_s) or math.isfinite(unit.order)) for unit in units)

    def blocks(self, own: np.ndarray, block_s: float) -> np.ndarray:
        """Return (k,) the index of each unit's block, from 0; -1 for a unit without a raw label, if conditions decide.

        A block is a run of consecutive units of the same condition, if raw labels are conditions. Otherwise it is a
        recording; if the subject has only one, it is a span of it.

        Args:
            own: (k,) positions of one subject's units, in temporal order.
            block_s: length in s of a span of the only recording."""
        units = [self.units[i] for i in own.tolist()]
        whole = [unit.recording for unit in units]
        if self.kind == "condition":
            keys = [(name, value) for name, value in zip(whole, self.raw[own].tolist(), strict=True)]
            known = np.isfinite(self.raw[own])
        elif len(set(whole)) == 1:
            keys = [(name, math.floor(unit.start / block_s)) for name, unit in zip(whole, units, strict=True)]
            known = np.ones(len(own), bool)
        else:
            keys, known = [(name, 0) for name in whole], np.ones(len(own), bool)
        found, last, number = np.full(len(own), -1), None, -1
        for k in np.flatnonzero(known).tolist():
            number += keys[k] != last
            found[k], last = number, keys[k]
        return found

    def times(self, own: np.ndarray) -> np.ndarray:
        """Return (k, 3) session, start and stop of each of a subject's units, NaN if the release hides times."""
        units = [self.units[i] for i in own.tolist()]
        rows = [(self.session[u.recording], u.start_s, u.start_s + u.stop - u.start) for u in units]
        return np.array(rows, float).reshape(-1, 3)
