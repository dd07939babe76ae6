"""What is scored: units of time cut from recordings by the grid alone, and the labels that fall into them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from typing import Protocol as Structural

import numpy as np

from embench.interfaces.dataset import Baseline, Card
from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Unit
from embench.protocols.schema import Protocol

_TIME_TOLERANCE_S = 1e-6  # clocks read from files are floats: 9.9999999 s belongs to the unit that starts at 10 s


LabelKind = Literal["rating", "continuous", "condition"]


class RecordingTimes(Structural):
    """What a unit needs to know of a recording; a dataset's Recording has it, and so has the store's index."""

    @property
    def id(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def stimulus(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def start_s(self) -> float | None: ...
    @property
    def order(self) -> int | None: ...
    @property
    def duration_s(self) -> float: ...


def unit_length_s(kind: LabelKind, protocol: Protocol) -> float | None:
    """How long the units of labels of one kind are, None for whole recordings. Labels of one length share units."""
    return {"rating": None, "continuous": protocol.unit.continuous_s, "condition": protocol.unit.condition_s}[kind]


def make_units(
    recordings: Iterable[RecordingTimes],
    card: Card,
    kind: LabelKind,
    protocol: Protocol,
) -> list[Unit]:
    """The units of labels of one kind, in the order of the recordings, then of time; they never depend on labels.

    A rating belongs to the whole recording. Continuous and condition labels are scored on a grid of the protocol's unit
    length, in session time (in the recording's own where the release hides when it started), in units that lie wholly
    inside the recording. A baseline that is no part of a unit, by the card, is left out.
    """
    length_s = unit_length_s(kind, protocol)
    units = []
    for recording in recordings:
        pieces = _pieces(recording.duration_s, card.baseline)
        if length_s is None:
            spans = [max(pieces, key=lambda piece: piece[1] - piece[0])] if pieces else []
        else:
            spans = [cell for piece in pieces for cell in _grid(piece, length_s, recording.start_s or 0.0)]
        units += [_unit(recording, start, stop) for start, stop in spans]
    return units


def _pieces(duration_s: float, baseline: Baseline | None) -> list[tuple[float, float]]:
    """The stretches (start, stop) of a recording that may hold units: all of it, or what lies around the baseline."""
    if baseline is None or baseline.in_unit:
        return [(0.0, duration_s)]
    around = [(0.0, min(baseline.start_s, duration_s)), (baseline.stop_s, duration_s)]
    return [(start, stop) for start, stop in around if start < stop]


def _grid(piece: tuple[float, float], length_s: float, session_start_s: float) -> list[tuple[float, float]]:
    """Cells wholly inside the piece whose starts are multiples of the length in session time.

    Counted in whole milliseconds, so that a unit's id never hangs on the last bit of a float.
    """
    length, offset = round(1000 * length_s), round(1000 * session_start_s)
    tolerance = 1000 * _TIME_TOLERANCE_S
    first = math.ceil(1000 * piece[0] - tolerance)
    first += -(first + offset) % length
    last = math.floor(1000 * piece[1] + tolerance) - length
    return [(start / 1000, (start + length) / 1000) for start in range(first, last + 1, length)]


def _unit(recording: RecordingTimes, start: float, stop: float) -> Unit:
    return Unit(
        id=f"{recording.id}:{round(1000 * start)}-{round(1000 * stop)}",
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
    """What was annotated inside each unit, and the label that the card's rule makes of it.

    Args:
        units: (n,) of any recordings.
        labels: recording id -> its raw label. Values with times count where start + lag <= time < stop + lag; a value
            without a time counts for the whole recording.
        rule: the target's label rule.

    Returns:
        `raw` (n,) before any threshold and `label` (n,), both float64, NaN where there is none.
    """
    raw, made = np.full(len(units), np.nan), np.full(len(units), np.nan)
    rows: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        rows.setdefault(unit.recording, []).append(row)
    for recording, where in rows.items():
        if recording not in labels:
            continue
        for row, values in zip(where, _values([units[row] for row in where], labels[recording], rule), strict=True):
            summary, label = rule.summary(values), rule(values)
            raw[row] = np.nan if summary is None else summary
            made[row] = np.nan if label is None else label
    return raw, made


def _values(units: Sequence[Unit], label: Label, rule: LabelRule) -> list[np.ndarray]:
    """The raw values inside each of one recording's units, in order of time."""
    values = np.asarray(label.values, np.float64)
    if label.times is None:
        return [values] * len(units)
    order = np.argsort(label.times, kind="stable")
    times, values = np.asarray(label.times, np.float64)[order], values[order]
    edges = np.array([(unit.start, unit.stop) for unit in units]) + rule.lag_s - _TIME_TOLERANCE_S
    return [values[a:b] for a, b in np.searchsorted(times, edges)]
