"""The labels of a recording of a `dataset.yaml`: by file, by a column, by stretches or moments of time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Label
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.clock import Clock
from embench_plugins.datasets.own.items import some
from embench_plugins.datasets.own.layout import LabelSource, OwnChannels, Source
from embench_plugins.datasets.own.paths import fill, part_pattern
from embench_plugins.datasets.own.rows import Span, Tables, single, spans
from embench_plugins.datasets.own.signals import rows_at
from embench_plugins.datasets.own.yaml import Written

STEP_S = 0.1
"""Stretches of time become values so many seconds apart."""
_OVERLAP_S = 1e-6
_USUAL_CODES = frozenset({9, 66, 77, 88, 97, 98, 99, 777, 888, 997, 998, 999, 7777, 8888, 9999, 99999})
_SLACK_S = 1.0
"""A row may lie so much outside its recording."""


class Part(NamedTuple):
    """A recording, or the part of one that is a trial.

    Args:
        labels: names of those that it may have.
        facts: what is known of it.
        offset_s: when it begins in its files.
        clock: that of the tables, from the start of its files.
        trial: the cells of its row in the table of trials.
        table: the file of its signals, if that is one table, what the description says of it, and the second at which
            it begins.
        source: what the description says of its files.
    """

    id: str
    labels: tuple[str, ...]
    facts: Mapping[str, str]
    offset_s: float
    duration_s: float
    clock: Clock
    trial: Mapping[str, str]
    table: tuple[Path, OwnChannels, float] | None
    source: Source


def _codes(numbers: Mapping[float, int]) -> list[float]:
    """The usual codes of missing values among numbers, where they are far from all others."""
    codes = [number for number in numbers if abs(number) in _USUAL_CODES]
    others = [number for number in numbers if number not in codes]
    if len(others) < 2:
        return []
    low, high = min(others), max(others)
    return sorted(code for code in codes if not 2 * low - high <= code <= 2 * high - low)


class Labels:
    """Makes labels, and keeps for `verify` which recordings have none, which rows were used, and which values are of no
    class."""

    def __init__(
        self, specs: Mapping[str, LabelSource], tables: Tables, places: Mapping[str, str], zone: tzinfo
    ) -> None:
        self._specs, self._tables, self._places, self._zone = specs, tables, places, zone
        self.used: dict[tuple[str, Path], set[int]] = defaultdict(set)
        self.columns: dict[tuple[str, Path], set[str]] = defaultdict(set)
        self.missing: dict[str, list[str]] = defaultdict(list)
        self.without_class: dict[str, Counter[str]] = defaultdict(Counter)
        self.off_scale: dict[str, Counter[str]] = defaultdict(Counter)
        self._numbers: dict[str, Counter[float]] = defaultdict(Counter)
        self._placed: dict[tuple[str, Path], dict[int, str]] = defaultdict(dict)

    def of(self, part: Part) -> dict[str, Label]:
        """The labels that a recording has. Raises DataError that names table and line."""
        found = {}
        for name in part.labels:
            label = self._label(name, self._specs[name], part)
            if label is not None and np.isfinite(label.values).any():
                found[name] = label
            else:
                self.missing[name].append(part.id)
        return found

    def findings(self, written: Written) -> Iterator[Finding]:
        """The values that are off the scale, and the moments and stretches that lie outside their recordings."""
        for name, what in self.off_scale_notes().items():
            yield Finding("warning", written.where("labels", name), what)
        for name, numbers in self._numbers.items():
            for code in _codes(numbers) if self._specs[name].scale is None else ():
                what = (
                    f"{code:g} ({numbers[code]} times) is far from all other values of {name}; if it stands for a "
                    f"missing value, write `missing: [{code:g}]`"
                )
                yield Finding("warning", written.where("labels", name), what)
        for (name, path), placed in self._placed.items():
            for how in ("outside", "partly outside"):
                if lines := sorted(line for line, inside in placed.items() if inside == how):
                    what = f"{len(lines)} rows with label {name} lie {how} the recording: lines {some(lines)}"
                    yield Finding("warning", str(path), what)

    def off_scale_notes(self) -> dict[str, str]:
        """Label -> a sentence on its values that are off the scale."""
        found = {}
        for name, texts in self.off_scale.items():
            low, high = self._specs[name].scale or (0, 0)
            listed = some([f"`{text}` ({count})" for text, count in sorted(texts.items())])
            found[name] = f"values of {name} that are outside the scale of {low:g} to {high:g} have no label: {listed}"
        return found

    def count_off_scale(self, name: str, rows: pd.DataFrame, path: Path) -> None:
        """Counts the cells of a label that are off its scale in rows of a table, each once."""
        spec, lines = self._specs[name], self.used[name, path]
        pattern = part_pattern(str(spec.column or spec.trial), {})
        for line, row in rows[~rows.index.isin(lines)].iterrows():
            for column in filter(pattern.fullmatch, rows.columns):
                self._value(name, spec, row[column], f"{path}, line {line}")
        lines.update(map(int, rows.index))

    def _place(self, name: str, path: Path, line: int, part: Part, start: float, stop: float) -> None:
        """Keeps where a row lies; trials leave out what lies between them."""
        known = self._placed[name, path]
        if part.trial or known.get(line) == "inside" or math.isnan(start):
            return
        inside = start >= -_SLACK_S and stop <= part.duration_s + _SLACK_S
        touches = stop > 0 and start < part.duration_s
        known[line] = (
            "inside" if inside else "partly outside" if touches or known.get(line) == "partly outside" else "outside"
        )

    def reading(self, name: str) -> tables.Reading:
        """How the table of a label is read."""
        return self._specs[name].reading

    def unread(self) -> Iterator[tuple[str, Path, list[str]]]:
        """The columns of wide tables that are of no stimulus here, by label."""
        for (name, path), read in self.columns.items():
            pattern = part_pattern(str(self._specs[name].column), {})
            there = self._tables.rows(path, self._specs[name].reading)
            spare = [column for column in there if pattern.fullmatch(column) and column not in read]
            if spare:
                yield name, path, spare

    def _label(self, name: str, spec: LabelSource, part: Part) -> Label | None:
        where = self._places[name]
        if spec.file or spec.trial:
            trial = fill(spec.trial or "", part.facts)
            text = part.facts.get(spec.file, "") if spec.file else part.trial.get(trial, "")
            return self._whole(name, spec, text, where)
        if spec.table is None:
            return self._of_samples(name, spec, part, where)
        path = self._tables.path(spec.table, part.facts, where)
        if path is None:
            return None
        column = fill(str(spec.column), part.facts)
        if column != spec.column and column not in self._tables.rows(
            path, spec.reading
        ):  # a wide table that lacks this stimulus
            return None
        spec = spec if column == spec.column else spec.model_copy(update={"column": column})
        timed = [c for c in (spec.start, spec.end, spec.duration, spec.time) if c]
        rows = self._tables.of(path, spec, part.facts, [column, *timed], where)
        self.columns[name, path].add(column)
        self.used[name, path].update(map(int, rows.index))
        if not timed:
            row = single(rows, path, part.id)
            return None if row is None else self._whole(name, spec, row[column], f"{path}, line {row.name}")
        clock = replace(part.clock, origin=part.source.origin(spec.from_) or part.clock.origin)
        if spec.time:
            return self._moments(name, spec, rows, path, clock, part)
        listed = [not math.isnan(self._value(name, spec, text, f"{path}, line {line}"))
                  for line, text in rows[column].items()]  # fmt: skip
        found = spans(rows[listed], spec, path, clock, part.offset_s)
        for span in found:
            self._place(name, path, span.line, part, span.start, span.stop)
        return self._stretches(name, spec, found, path, part)

    def _value(self, name: str, spec: LabelSource, text: str, where: str) -> float:
        """The number that stands for a cell; NaN where it holds nothing, or no class."""
        if spec.classes is None:
            value = tables.number(text)
            if math.isnan(value) and text.lower() not in tables.MISSING:
                hint = f"write `classes` of label {name}, if these are names"
                raise DataError(f"`{text[:40]}` is no number of {name}", where=where, expected="a number", hint=hint)
            if value in spec.missing:
                return math.nan
            if math.isfinite(value):
                self._numbers[name][value] += 1
            if spec.scale and not math.isnan(value) and not spec.scale[0] <= value <= spec.scale[1]:
                self.off_scale[name][text[:40]] += 1
                return math.nan
            return value if math.isfinite(value) else math.nan
        known = {tables.canonical(raw): named for raw, named in spec.classes.items()}
        named = known.get(tables.canonical(text))
        if named is None:
            if text.lower() not in tables.MISSING:
                self.without_class[name][text[:40]] += 1
            return math.nan
        return float(spec.class_names.index(named))

    def _made(self, spec: LabelSource, values: np.ndarray, times: np.ndarray | None) -> Label | None:
        return Label(spec.kind, values, times, spec.class_names or None) if len(values) else None

    def _whole(self, name: str, spec: LabelSource, text: str, where: str) -> Label | None:
        return self._made(spec, np.array([self._value(name, spec, text, where)]), None)

    def _stretches(self, name: str, spec: LabelSource, found: list[Span], path: Path, part: Part) -> Label | None:
        times = (np.arange(math.floor(part.duration_s / STEP_S)) + 0.5) * STEP_S
        values = np.full(len(times), np.nan)
        before: Span | None = None
        for span in found:
            text = span.cells[str(spec.column)]
            if before and span.start < before.stop - _OVERLAP_S and text != before.cells[str(spec.column)]:
                raise DataError(
                    f"lines {before.line} and {span.line} overlap: `{before.cells[str(spec.column)]}` until "
                    f"{before.stop:g} s, `{text}` from {span.start:g} s",
                    where=str(path),
                    expected=f"one {name} at a time",
                )
            values[(times >= span.start) & (times < span.stop)] = self._value(name, spec, text, str(path))
            before = span if before is None or span.stop > before.stop else before
        return self._made(spec, values, times)

    def _moments(
        self, name: str, spec: LabelSource, rows: pd.DataFrame, path: Path, clock: Clock, part: Part
    ) -> Label | None:
        made = []
        for line, row in rows.iterrows():
            at = clock.seconds(row[spec.time], path, line, str(spec.time)) - part.offset_s
            value = self._value(name, spec, row[str(spec.column)], f"{path}, line {line}")
            self._place(name, path, int(line), part, at, at)
            if 0 <= at <= part.duration_s:
                made.append((at, value))
        if not made:
            return None
        times, values = np.array(sorted(made)).T
        return self._made(spec, values, times)

    def _of_samples(self, name: str, spec: LabelSource, part: Part, where: str) -> Label | None:
        """A column beside the signals, read every `STEP_S`."""
        if part.table is None:
            raise DataError(
                f"`column` of {name}: the signals of {part.id} are in no table of one file",
                where=where,
                expected="recordings of CSV files, or `table` of the label",
            )
        path, channels, begins = part.table
        column = tables.columns(path, [str(spec.column)], where, channels.reading)[str(spec.column)]
        times = (np.arange(math.floor(part.duration_s / STEP_S)) + 0.5) * STEP_S
        read = column.iloc[rows_at(path, channels, times + part.offset_s - begins, where, self._zone)]
        texts = {raw: "" if pd.isna(raw) else str(raw) for raw in read.unique()}
        values = read.map({raw: self._value(name, spec, text, str(path)) for raw, text in texts.items()})
        return self._made(spec, values.to_numpy(np.float64), times)
