"""The rows, trials and labels of a recording, and the facts on its participant, from tables and markers."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Label
from embench_plugins.datasets.formats.notes import find_triggers, read_wfdb_notes
from embench_plugins.datasets.formats.recordings import read_marker_streams
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.clock import Clock
from embench_plugins.datasets.own.description import Written
from embench_plugins.datasets.own.items import list_some
from embench_plugins.datasets.own.layout import (
    LabelSource,
    OwnChannels,
    Source,
    Table,
    Template,
    Trials,
    Unlabelled,
    compile_part,
    fill,
)
from embench_plugins.datasets.own.signals import TABLES, find_rows_at, read_channel

# The rows of tables that belong to a recording: its ratings, its trials, and stretches of time with a label.

_TOUCH_S = 1e-3
"""Trials that overlap by at most so much count as consecutive."""


class Span(NamedTuple):
    """A stretch of time in s, and the line and cells of its row in a table; line 0 for a stretch between markers."""

    start: float
    stop: float
    line: int
    cells: Mapping[str, str]


class Tables:
    """The tables in a folder, each of which is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[tuple[Path, tables.Reading], pd.DataFrame] = {}
        self._index: dict[tuple[object, ...], dict[tuple[str, ...], list[int]]] = {}

    def find_path(self, template: Template, facts: Mapping[str, str], where: str) -> Path | None:
        """Return the path of a recording's table; None if there is none. Raises DataError if there are several."""
        if set(template.names) - set(facts):
            return None
        found = [path for path, _ in template.matches(self.root, facts) if path.is_file()]
        if len(found) > 1:
            what = f"`{template.text}` is {len(found)} tables of one recording: {found[0].name}, {found[1].name}"
            raise DataError(what, where=where, expected="one table for each recording")
        return found[0] if found else None

    def read_rows(self, path: Path, how: tables.Reading = tables.AS_IS) -> pd.DataFrame:
        """Return all rows of a table as texts; see `tables.read_rows`."""
        if (path, how) not in self._read:
            self._read[path, how] = tables.read_rows(path, how)
        return self._read[path, how]

    def select_rows(
        self,
        path: Path,
        spec: Table | Trials | LabelSource,
        facts: Mapping[str, str],
        wanted: Sequence[str],
        where: str,
    ) -> pd.DataFrame:
        """Return the rows of a table whose key columns have the facts of a recording.

        Args:
            spec: the part of the description with the key columns.
            wanted: further columns that the table must have.
            where: the line of the description, for errors.

        Raises:
            DataError: a column is missing.
        """
        rows, columns = self.read_rows(path, spec.reading), [*spec.keys.values(), *wanted]
        tables.check_columns(path, list(rows.columns), columns, where)
        rows = tables.add_placed(rows, columns)
        if not spec.keys:
            return rows
        if set(spec.keys) - set(facts):
            return rows.iloc[:0]
        names, values = tuple(spec.keys.values()), tuple(tables.simplify_value(facts[fact]) for fact in spec.keys)
        position = (path, spec.reading, names, tuple(value.isdigit() for value in values))
        if position not in self._index:
            index: dict[tuple[str, ...], list[int]] = {}
            keys = (tables.strip_letters(list(rows[name]), value) for name, value in zip(names, values, strict=True))
            for i, cells in enumerate(zip(*keys, strict=True)):
                index.setdefault(tuple(map(tables.simplify_value, cells)), []).append(i)
            self._index[position] = index
        return rows.iloc[self._index[position].get(values, [])]


def take_single(found: pd.DataFrame, path: Path, known: str) -> pd.Series | None:
    """Return the only row; None without rows. Raises DataError with the line numbers if there are several."""
    if len(found) > 1:
        lines = ", ".join(map(str, found.index[:4]))
        raise DataError(
            f"lines {lines} are all of {known}",
            where=str(path),
            expected="one row for each recording",
            hint="remove one, or name another column in `keys` that tells them apart",
        )
    return None if found.empty else found.iloc[0]


def make_spans(
    found: pd.DataFrame, spec: Trials | LabelSource, path: Path, clock: Clock, shift_s: float = 0.0
) -> list[Span]:
    """Return the rows as stretches of time, sorted by start and moved `shift_s` earlier. Raises DataError with the line
    if a row has no start, or an end before its start."""
    made = []
    for line, row in found.iterrows():
        start = clock.parse_seconds(row[spec.start], path, line, str(spec.start))
        last = spec.end or str(spec.duration)
        stop = (
            clock.parse_seconds(row[last], path, line, last) if spec.end
            else start + clock.parse_length(row[last], path, line, last)
        )  # fmt: skip
        if not (np.isfinite([start, stop]).all() and start <= stop):
            raise DataError(
                f"line {line}: from `{row[spec.start]}`, {'to' if spec.end else 'for'} `{row[last]}`",
                where=str(path),
                expected="a start, and an end that is not before it, in seconds or as dates",
            )
        made.append(Span(start - shift_s, stop - shift_s, int(line), row.to_dict()))
    return sorted(made, key=lambda span: span.start)


def make_wide_spans(found: pd.DataFrame, spec: Trials, path: Path, clock: Clock) -> list[Span]:
    """Return the stretches of time of rows with columns per stimulus, such as `{stimulus}_start`, sorted by start. The
    cells of a stretch include the text of each name in braces. A stimulus without a start is left out."""
    last = str(spec.end or spec.duration)
    pattern, made = compile_part(str(spec.start), {}), []
    for column in found.columns:
        if not (named := pattern.fullmatch(column)):
            continue
        start, stop = column, fill(last, named.groupdict())
        tables.check_columns(path, list(found.columns), [stop], str(path))
        rows = found[~tables.is_blank(found[start])]
        one = spec.model_copy(update={"start": start, "end" if spec.end else "duration": stop})
        made += [s._replace(cells={**s.cells, **named.groupdict()}) for s in make_spans(rows, one, path, clock)]
    return sorted(made, key=lambda span: span.start)


class Marked(NamedTuple):
    """The trials of a recording in order, with an error to raise for each incomplete trial; and sentences on oddities
    of the markers or rows that define them."""

    spans: list[Span | DataError]
    odd: list[str]


def make_marked_spans(
    marks: Sequence[tuple[float, str]], begins: Mapping[str, str] | str, ends: str | None, lasts_s: float | None,
    path: Path = Path(),
) -> Marked:  # fmt: skip
    """Return the trials between markers: from each marker that fits `begins` to the next one that fits `ends`, or of a
    fixed length. A trial without an end before the next trial is an error. If a start is repeated before an end, the
    last one counts.

    Args:
        marks: seconds and texts, sorted by time.
        begins: text -> stimulus, or a text with names in braces.
        ends: a text with names in braces; names that also occur in `begins` have the same text there.
        lasts_s: the length of each trial, instead of `ends`.
        path: the file with the markers, for errors.
    """
    marks = list(dict.fromkeys(marks))
    starts, trials, odd, used = _find_starts(marks, begins), list[Span | DataError](), list[str](), set[int]()
    for n, (at, text, facts, fixed) in enumerate(starts):
        then, other = starts[n + 1][:2] if n + 1 < len(starts) else (None, "")
        if lasts_s:
            trials.append(Span(at, at + lasts_s, 0, facts))
            if then is not None and then < at + lasts_s - _TOUCH_S:
                odd.append(f"`{other}` at {then:g} s lies in the trial of `{text}`, from {at:g} to {at + lasts_s:g} s")
            continue
        end = compile_part(str(ends), fixed)
        k = next((k for k, (t, name) in enumerate(marks) if t > at and end.fullmatch(name)), None)
        before_end = then is not None and (k is None or marks[k][0] > then)
        if before_end and other == text:
            odd.append(f"`{text}` at {at:g} s comes again at {then:g} s, before an end: the last one counts")
        elif before_end or k is None:
            what = f"no `{ends}` follows `{text}` at {at:g} s" + (
                f" before `{other}` at {then:g} s" if before_end else ""
            )
            trials.append(DataError(what, where=str(path), expected="an end of each trial before the next one begins"))
        else:
            used.add(k)
            trials.append(Span(at, marks[k][0], 0, facts))
    return Marked(trials, odd + _describe_lost_starts(marks, starts, ends, used))


_Start = tuple[float, str, dict[str, str], Mapping[str, str]]
"""Second, text, the facts on the trial, and the texts of the names in braces in its end."""


def _find_starts(marks: Sequence[tuple[float, str]], begins: Mapping[str, str] | str) -> list[_Start]:
    """Return the markers at which trials begin."""
    pattern, made = compile_part(begins, {}) if isinstance(begins, str) else None, list[_Start]()
    for at, text in marks:
        if isinstance(begins, Mapping) and text in begins:
            facts = {"stimulus": begins[text]}
            made.append((at, text, facts, facts))
        elif pattern and (named := pattern.fullmatch(text)):
            made.append(
                (at, text, {name: value.strip() for name, value in named.groupdict().items()}, named.groupdict())
            )
    return made


def _describe_lost_starts(
    marks: Sequence[tuple[float, str]], starts: Sequence[_Start], ends: str | None, used: set[int]
) -> list[str]:
    """Return sentences on end markers that end no trial: no marker precedes them, or only another end."""
    if not ends:
        return []
    end, begun = compile_part(ends, {}), {(at, text) for at, text, *_ in starts}
    return [
        f"`{text}` at {at:g} s ends no trial: was a start lost?"
        for k, (at, text) in enumerate(marks)
        if end.fullmatch(text) and k not in used and (at, text) not in begun
        and (k == 0 or (end.fullmatch(marks[k - 1][1]) and marks[k - 1] not in begun))
    ]  # fmt: skip


def separate_trials(found: Sequence[Span], path: Path, column: str) -> Marked:
    """Return trials from the rows of a table. A repeated row counts once. Different rows for the same time, or
    overlapping rows of the same stimulus, are errors; other overlaps are oddities."""
    trials, odd, last = list[Span | DataError](), list[str](), None
    for span in found:
        if last is None or span.start >= last.stop - _TOUCH_S:
            trials.append(span)
        elif span[:2] == last[:2] and span.cells == last.cells:
            odd.append(f"lines {last.line} and {span.line} are equal: the trial counts once")
        else:
            names = [f"`{one.cells.get(column, '')}` from {one.start:g} to {one.stop:g} s" for one in (last, span)]
            what = f"lines {last.line} and {span.line} overlap: {names[0]}, {names[1]}"
            if span[:2] == last[:2] or span.cells.get(column) == last.cells.get(column):
                trials.append(DataError(what, where=str(path), expected="one row for each trial"))
            else:
                trials.append(span)
                odd.append(what)
        last = span if last is None or span.stop > last.stop else last
    return Marked(trials, odd)


# The participants of own recordings, from the table that `dataset.yaml` names.


class Participants:
    """The facts on participants; none if the description names no table."""

    def __init__(self, description: Unlabelled, tables_: Tables, written: Written) -> None:
        self._spec, self._tables, self._written = description.participants, tables_, written
        self._names = {name for source in description.recordings for name in source.names}
        self._prefix = "sub-" if any(source.bids for source in description.recordings) else ""

    @cached_property
    def path(self) -> Path | None:
        """The table; None if the description names none. Raises DataError if it does not exist."""
        if self._spec.table is None:
            return None
        where = self._written.where("participants", "table")
        path = self._tables.find_path(self._spec.table, {}, where)
        if path is None:
            raise DataError(f"there is no `{self._spec.table.text}`", where=where, expected="a table of participants")
        return path

    @cached_property
    def _cells(self) -> Mapping[str, Mapping[str, str]]:
        """Participant's id as a key -> the cells of the participant's row."""
        people, path = self._spec, self.path
        if path is None:
            return {}
        columns = [people.id, *people.info.values()]
        columns += [people.group] if people.group and people.group not in self._names else []
        rows = self._tables.read_rows(path, people.reading)
        tables.check_columns(path, list(rows.columns), columns, self._written.where("participants"))
        rows = tables.add_placed(rows, columns)
        found: dict[str, Mapping[str, str]] = {}
        lines: dict[str, int] = {}
        for line, row in rows.iterrows():
            key = tables.simplify_value(row[people.id].removeprefix(self._prefix))
            if key in found:
                what = f"lines {lines[key]} and {line} are both of participant `{row[people.id]}`"
                raise DataError(what, where=str(path), expected="one row for each", hint="remove one of them")
            found[key], lines[key] = row.to_dict(), line
        return found

    def find_info(self, subject: str) -> Mapping[str, str]:
        """Return name -> fact on a subject, for the names in `participants: info`; missing facts are left out."""
        cells = self._cells.get(tables.simplify_value(subject), {})
        info = {name: str(cells.get(column, "")) for name, column in self._spec.info.items()}
        return {name: value for name, value in info.items() if value.lower() not in tables.MISSING}

    def find_group(self, subject: str, facts: Mapping[str, str]) -> str:
        """Return the group that a subject was recorded in; the subject itself if the description has no groups. Raises
        DataError if the subject's group is missing."""
        group = self._spec.group
        if group is None:
            return subject
        value = (facts if group in self._names else self._cells.get(tables.simplify_value(subject), {})).get(group, "")
        if value.lower() in tables.MISSING:
            raise DataError(
                f"participant {subject} has no `{group}`",
                where=self._written.where("participants", "group"),
                expected="one for each, since those of one group are never divided between training and test",
                hint=f"complete the table, or put {subject} into `exclude`",
            )
        return f"{group} {value}"

    def list_findings(self, subjects: Sequence[str]) -> list[Finding]:
        """Return the findings on rows without recordings, and on subjects without a row."""
        here, findings = {tables.simplify_value(subject) for subject in subjects}, list[Finding]()
        excluded = set(map(tables.simplify_value, self._spec.exclude))
        absent = sorted(cells[self._spec.id] for key, cells in self._cells.items() if key not in here | excluded)
        unknown = [s for s in subjects if self._cells and tables.simplify_value(s) not in self._cells]
        for what, names in (("no recordings of", absent), ("no row of", unknown)):
            if names:
                findings.append(Finding("warning", str(self.path), f"{what} {list_some(names)}"))
        return findings


# The markers in the files of a recording, which cut it into trials.

Marks = list[tuple[float, str]]
_MOST_TOLD = 12


def find_marks(
    paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], spec: Trials, origins: Mapping[str, float],
    place: str, zone: tzinfo,
) -> tuple[Path, Marks]:  # fmt: skip
    """Return the file with a recording's markers, and the second in the recording and text of each marker.

    Args:
        paths, channels: modality -> its file, and its part of the description.
        spec: the trials in the description.
        origins: modality -> the second of the recording at which its file begins.
        place: file and line of the trials in the description, for errors.
        zone: time zone of dates without one.

    Raises:
        DataError: a file cannot be read, no marker begins or ends a trial, or markers of several streams do.
    """
    streams_of = {m: _read_mark_streams(path) for m, path in paths.items()}
    m = next((m for m, found in streams_of.items() if found), next(iter(paths)))
    path, streams = paths[m], streams_of[m]
    if spec.channel is not None and spec.channel not in streams:
        track = read_channel(path, spec.channel, channels.get(m), place, zone)
        streams = {spec.channel: find_triggers(path, track)}
    if spec.channel is not None:
        streams = {spec.channel: streams[spec.channel]}
    begin = origins.get(m, 0.0)
    return path, [(at + begin, text) for at, text in _sort_checked(path, streams, spec, place)]


def _read_mark_streams(path: Path) -> Mapping[str, Marks]:
    """Return stream -> its markers, as seconds and texts."""
    if path.suffix.lower() == ".hea":
        return read_wfdb_notes(path)
    return {} if path.suffix.lower() in TABLES else read_marker_streams(path)


def _sort_checked(path: Path, streams: Mapping[str, Marks], spec: Trials, place: str) -> Marks:
    """Return the markers of all streams, sorted by time. Raises DataError as `find_marks` does."""
    begin = _compile_pattern(spec.markers or {})
    named = ", ".join(spec.markers) if isinstance(spec.markers, Mapping) else spec.markers
    sources = [name for name, marks in streams.items() if any(begin.fullmatch(text) for _, text in marks)]
    if not sources:
        raise _missing_marker_error(path, streams, f"begins a trial (`{named}`)", place)
    if len(sources) > 1:
        raise DataError(
            f"markers that begin a trial are in {len(sources)} streams of {path.name}: {', '.join(sources)}",
            where=place,
            expected="one stream of markers",
            hint=f"name the one that counts: `channel: {sources[0]}`",
        )
    if spec.until and "{" not in spec.until:
        end = _compile_pattern(spec.until)
        if not any(end.fullmatch(text) for marks in streams.values() for _, text in marks):
            raise _missing_marker_error(path, streams, f"ends a trial (`{spec.until}`)", place)
    return sorted(mark for marks in streams.values() for mark in marks)


def _compile_pattern(text: Mapping[str, str] | str) -> re.Pattern[str]:
    return compile_part(text, {}) if isinstance(text, str) else re.compile("|".join(map(re.escape, text)))


def _missing_marker_error(path: Path, streams: Mapping[str, Marks], what: str, place: str) -> DataError:
    """Return the error on a missing marker, with the existing ones."""
    listed = []
    for name, marks in streams.items():
        texts = list(dict.fromkeys(text for _, text in marks))
        more = f" and {len(texts) - _MOST_TOLD} others" if len(texts) > _MOST_TOLD else ""
        listed.append(f"{name}: {', '.join(f'`{text[:60]}`' for text in texts[:_MOST_TOLD]) or 'none'}{more}")
    return DataError(
        f"no marker in {path.name} {what}",
        where=place,
        expected=f"one of those in the file ({'; '.join(listed)})" if listed else "markers, of which the file has none",
        hint="write the texts as the file has them; `channel` names a channel of triggers, such as `channel: Status`",
    )


# The labels of a recording: by its file's name, by a column, or by stretches or moments of time.

STEP_S = 0.1
"""Labels of stretches of time become values at this distance in seconds."""
_OVERLAP_S = 1e-6
_USUAL_CODES = frozenset({9, 66, 77, 88, 97, 98, 99, 777, 888, 997, 998, 999, 7777, 8888, 9999, 99999})
_SLACK_S = 1.0
"""A row counts as inside its recording if it is at most so far outside."""


class Part(NamedTuple):
    """A recording, or a trial that is part of one.

    Args:
        labels: names of its possible labels.
        facts: name in braces -> its text in the path, and `stimulus` and `trial`.
        offset_s: its start in its files.
        clock: the clock of the tables, from the start of its files.
        trial: the cells of its row in the table of trials.
        table: if its signals are in one table, the table's path, its part of the description, and the second at which
            it begins; else None.
        source: its part of the description.
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

    @property
    def times(self) -> np.ndarray:
        """(n,) times from its start, every `STEP_S`, in s."""
        return (np.arange(math.floor(self.duration_s / STEP_S)) + 0.5) * STEP_S


def _find_codes(numbers: Mapping[float, int]) -> list[float]:
    """Return numbers that are probably codes of missing values: usual codes, far from all other numbers."""
    codes = [number for number in numbers if abs(number) in _USUAL_CODES]
    others = [number for number in numbers if number not in codes]
    if len(others) < 2:
        return []
    low, high = min(others), max(others)
    return sorted(code for code in codes if not 2 * low - high <= code <= 2 * high - low)


def _make_label(spec: LabelSource, values: np.ndarray, times: np.ndarray | None) -> Label | None:
    return Label(spec.kind, values, times, spec.class_names or None) if len(values) else None


class Labels:
    """Reader of labels. For `verify` it also stores recordings without labels, used rows, and values without a class.

    Args:
        specs: label -> its part of the description; `places` has its line.
        zone: time zone of dates without one.
    """

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

    def read(self, part: Part) -> dict[str, Label]:
        """Return the labels of a recording by name. Raises DataError that names the table and line."""
        found = {}
        for name in part.labels:
            label = self._read_label(name, self._specs[name], part)
            if label is not None and np.isfinite(label.values).any():
                found[name] = label
            else:
                self.missing[name].append(part.id)
        return found

    def list_findings(self, written: Written) -> Iterator[Finding]:
        """Yield findings on values off the scale, on codes of missing values, and on rows outside their recordings."""
        for name, what in self.describe_off_scale().items():
            yield Finding("warning", written.where("labels", name), what)
        for name, numbers in self._numbers.items():
            for code in _find_codes(numbers) if self._specs[name].scale is None else ():
                what = (
                    f"{code:g} ({numbers[code]} times) is far from all other values of {name}; if it stands for a "
                    f"missing value, write `missing: [{code:g}]`"
                )
                yield Finding("warning", written.where("labels", name), what)
        for (name, path), placed in self._placed.items():
            for how in ("outside", "partly outside"):
                if lines := sorted(line for line, inside in placed.items() if inside == how):
                    what = f"{len(lines)} rows with label {name} lie {how} the recording: lines {list_some(lines)}"
                    yield Finding("warning", str(path), what)

    def describe_off_scale(self) -> dict[str, str]:
        """Return label -> a sentence on its values off the scale."""
        found = {}
        for name, texts in self.off_scale.items():
            low, high = self._specs[name].scale or (0, 0)
            listed = list_some([f"`{text}` ({count})" for text, count in sorted(texts.items())])
            found[name] = f"values of {name} that are outside the scale of {low:g} to {high:g} have no label: {listed}"
        return found

    def count_off_scale(self, name: str, rows: pd.DataFrame, path: Path) -> None:
        """Count a label's cells off the scale in rows of a table, each row once."""
        spec, lines = self._specs[name], self.used[name, path]
        pattern = compile_part(str(spec.column or spec.trial), {})
        for line, row in rows[~rows.index.isin(lines)].iterrows():
            for column in filter(pattern.fullmatch, rows.columns):
                self._parse_value(name, spec, row[column], f"{path}, line {line}")
        lines.update(map(int, rows.index))

    def _note_place(self, name: str, path: Path, line: int, part: Part, start: float, stop: float) -> None:
        """Store whether a row is inside its recording, except for recordings that are cut into trials."""
        known = self._placed[name, path]
        if part.trial or known.get(line) == "inside" or math.isnan(start):
            return
        inside = start >= -_SLACK_S and stop <= part.duration_s + _SLACK_S
        touches = stop > 0 and start < part.duration_s
        known[line] = (
            "inside" if inside else "partly outside" if touches or known.get(line) == "partly outside" else "outside"
        )

    def find_reading(self, name: str) -> tables.Reading:
        """Return the options for reading the table of a label."""
        return self._specs[name].reading

    def find_unread_columns(self) -> Iterator[tuple[str, Path, list[str]]]:
        """Yield label, table and columns of wide tables whose stimulus no recording has."""
        for (name, path), read in self.columns.items():
            pattern = compile_part(str(self._specs[name].column), {})
            columns = self._tables.read_rows(path, self._specs[name].reading)
            spare = [column for column in columns if pattern.fullmatch(column) and column not in read]
            if spare:
                yield name, path, spare

    def _read_label(self, name: str, spec: LabelSource, part: Part) -> Label | None:
        """Return one label of a recording from its place in the description; None if it has no value."""
        where = self._places[name]
        if spec.file or spec.trial:
            trial = fill(spec.trial or "", part.facts)
            text = part.facts.get(spec.file, "") if spec.file else part.trial.get(trial, "")
            return self._make_single(name, spec, text, where)
        if spec.table is None:
            return self._read_samples(name, spec, part, where)
        path = self._tables.find_path(spec.table, part.facts, where)
        if path is None:
            return None
        column = fill(str(spec.column), part.facts)
        if column != spec.column and column not in self._tables.read_rows(
            path, spec.reading
        ):  # a wide table without this stimulus
            return None
        spec = spec if column == spec.column else spec.model_copy(update={"column": column})
        timed = [c for c in (spec.start, spec.end, spec.duration, spec.time) if c]
        rows = self._tables.select_rows(path, spec, part.facts, [column, *timed], where)
        self.columns[name, path].add(column)
        self.used[name, path].update(map(int, rows.index))
        if not timed:
            row = take_single(rows, path, part.id)
            return None if row is None else self._make_single(name, spec, row[column], f"{path}, line {row.name}")
        clock = replace(part.clock, origin=part.source.find_origin(spec.from_) or part.clock.origin)
        if spec.time:
            return self._read_moments(name, spec, rows, path, clock, part)
        has_value = [not math.isnan(self._parse_value(name, spec, text, f"{path}, line {line}"))
                  for line, text in rows[column].items()]  # fmt: skip
        spans = make_spans(rows[has_value], spec, path, clock, part.offset_s)
        for span in spans:
            self._note_place(name, path, span.line, part, span.start, span.stop)
        return self._read_stretches(name, spec, spans, path, part)

    def _parse_value(self, name: str, spec: LabelSource, text: str, where: str) -> float:
        """Return a cell as a number: a class as its index, NaN for a missing value or an unknown class."""
        if spec.classes is None:
            value = tables.parse_number(text)
            if math.isnan(value) and text.lower() not in tables.MISSING:
                what = f"label {name}: `{text[:40]}` is not a number"
                hint = f"write `classes` of label {name}, if these are names"
                raise DataError(what, where=where, expected="a number", hint=hint)
            if value in spec.missing:
                return math.nan
            if math.isfinite(value):
                self._numbers[name][value] += 1
            if spec.scale and not math.isnan(value) and not spec.scale[0] <= value <= spec.scale[1]:
                self.off_scale[name][text[:40]] += 1
                return math.nan
            return value if math.isfinite(value) else math.nan
        known = {tables.simplify_value(raw): named for raw, named in spec.classes.items()}
        named = known.get(tables.simplify_value(text))
        if named is None:
            if text.lower() not in tables.MISSING:
                self.without_class[name][text[:40]] += 1
            return math.nan
        return float(spec.class_names.index(named))

    def _make_single(self, name: str, spec: LabelSource, text: str, where: str) -> Label | None:
        return _make_label(spec, np.array([self._parse_value(name, spec, text, where)]), None)

    def _read_stretches(self, name: str, spec: LabelSource, found: list[Span], path: Path, part: Part) -> Label | None:
        times = part.times
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
            values[(times >= span.start) & (times < span.stop)] = self._parse_value(name, spec, text, str(path))
            before = span if before is None or span.stop > before.stop else before
        return _make_label(spec, values, times)

    def _read_moments(
        self, name: str, spec: LabelSource, rows: pd.DataFrame, path: Path, clock: Clock, part: Part
    ) -> Label | None:
        """Return a label from the rows of a table with one time each; None without values."""
        made = []
        for line, row in rows.iterrows():
            second = clock.parse_seconds(row[spec.time], path, line, str(spec.time)) - part.offset_s
            value = self._parse_value(name, spec, row[str(spec.column)], f"{path}, line {line}")
            self._note_place(name, path, int(line), part, second, second)
            if 0 <= second <= part.duration_s:
                made.append((second, value))
        if not made:
            return None
        times, values = np.array(sorted(made)).T
        return _make_label(spec, values, times)

    def _read_samples(self, name: str, spec: LabelSource, part: Part, where: str) -> Label | None:
        """Return a label from a column beside the signals, every `STEP_S`."""
        if part.table is None:
            raise DataError(
                f"`column` of {name}: the signals of {part.id} are in no table of one file",
                where=where,
                expected="recordings of CSV files, or `table` of the label",
            )
        path, channels, begins = part.table
        column = tables.read_columns(path, [str(spec.column)], where, channels.reading)[str(spec.column)]
        times = part.times
        read = column.iloc[find_rows_at(path, channels, times + part.offset_s - begins, where, self._zone)]
        texts = {raw: "" if pd.isna(raw) else str(raw) for raw in read.unique()}
        values = read.map({raw: self._parse_value(name, spec, text, str(path)) for raw, text in texts.items()})
        return _make_label(spec, values.to_numpy(np.float64), times)
