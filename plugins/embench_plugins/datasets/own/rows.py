"""Rows of tables that belong to a recording: its ratings, its trials, and stretches of time with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.clock import Clock
from embench_plugins.datasets.own.paths import Template, fill, part_pattern

_TOUCH_S = 1e-3
"""Trials that overlap by no more follow one another."""


class Named(Protocol):
    """A part of the description that names a table."""

    @property
    def keys(self) -> Mapping[str, str]:
        """Fact on a recording -> the column that holds it."""

    @property
    def reading(self) -> tables.Reading:
        """How the table is read."""


class Timed(Protocol):
    """A part of the description that names columns of stretches of time."""

    @property
    def start(self) -> str | None:
        """Column of the start."""

    @property
    def end(self) -> str | None:
        """Column of the end, where there is one."""

    @property
    def duration(self) -> str | None:
        """Column of the duration, where there is one."""


class Columns(NamedTuple):
    """Columns of stretches of time; see `Timed`."""

    start: str | None
    end: str | None
    duration: str | None


class Span(NamedTuple):
    """A stretch of time in s, and the line and cells of its row; of a marker the line is 0."""

    start: float
    stop: float
    line: int
    cells: Mapping[str, str]


class Tables:
    """The tables of one folder, each read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[tuple[Path, tables.Reading], pd.DataFrame] = {}
        self._index: dict[tuple[object, ...], dict[tuple[str, ...], list[int]]] = {}

    def path(self, template: Template, facts: Mapping[str, str], where: str) -> Path | None:
        """The table of a recording; None where there is none. Raises DataError where there are several."""
        if set(template.names) - set(facts):
            return None
        found = [path for path, _ in template.matches(self.root, facts) if path.is_file()]
        if len(found) > 1:
            what = f"`{template.text}` is {len(found)} tables of one recording: {found[0].name}, {found[1].name}"
            raise DataError(what, where=where, expected="one table for each recording")
        return found[0] if found else None

    def rows(self, path: Path, how: tables.Reading = tables.AS_IS) -> pd.DataFrame:
        """All rows of a table as texts; see `tables.rows`."""
        if (path, how) not in self._read:
            self._read[path, how] = tables.rows(path, how)
        return self._read[path, how]

    def of(self, path: Path, spec: Named, facts: Mapping[str, str], wanted: Sequence[str], where: str) -> pd.DataFrame:
        """The rows of a recording, those whose key columns hold what is known of it.

        Args:
            wanted: other columns that must be there.

        Raises:
            DataError: a column is missing; `where` is the line that names it.
        """
        rows, columns = self.rows(path, spec.reading), [*spec.keys.values(), *wanted]
        tables.check_columns(path, list(rows.columns), columns, where)
        rows = tables.placed(rows, columns)
        if not spec.keys:
            return rows
        if set(spec.keys) - set(facts):
            return rows.iloc[:0]
        names, own = tuple(spec.keys.values()), tuple(tables.canonical(facts[fact]) for fact in spec.keys)
        place = (path, spec.reading, names, tuple(value.isdigit() for value in own))
        if place not in self._index:
            index: dict[tuple[str, ...], list[int]] = {}
            known = (tables.bare(list(rows[name]), value) for name, value in zip(names, own, strict=True))
            for i, cells in enumerate(zip(*known, strict=True)):
                index.setdefault(tuple(map(tables.canonical, cells)), []).append(i)
            self._index[place] = index
        return rows.iloc[self._index[place].get(own, [])]


def single(found: pd.DataFrame, path: Path, known: str) -> pd.Series | None:
    """The one row, None where there is none. Raises DataError that names the lines where there are several."""
    if len(found) > 1:
        lines = ", ".join(map(str, found.index[:4]))
        raise DataError(
            f"lines {lines} are all of {known}",
            where=str(path),
            expected="one row for each recording",
            hint="remove one, or name another column in `keys` that tells them apart",
        )
    return None if found.empty else found.iloc[0]


def spans(found: pd.DataFrame, spec: Timed, path: Path, clock: Clock, shift_s: float = 0.0) -> list[Span]:
    """Rows as stretches of time, `shift_s` earlier than they say, in the order of their start. Raises DataError that
    names the line without a start or with an end before it."""
    made = []
    for line, row in found.iterrows():
        start = clock.seconds(row[spec.start], path, line, str(spec.start))
        last = spec.end or str(spec.duration)
        stop = (
            clock.seconds(row[last], path, line, last) if spec.end
            else start + clock.length(row[last], path, line, last)
        )  # fmt: skip
        if not (np.isfinite([start, stop]).all() and start <= stop):
            raise DataError(
                f"line {line}: from `{row[spec.start]}`, {'to' if spec.end else 'for'} `{row[last]}`",
                where=str(path),
                expected="a start, and an end that is not before it, in seconds or as dates",
            )
        made.append(Span(start - shift_s, stop - shift_s, int(line), row.to_dict()))
    return sorted(made, key=lambda span: span.start)


def wide_spans(found: pd.DataFrame, spec: Timed, path: Path, clock: Clock) -> list[Span]:
    """The stretches of a row that has columns for each stimulus, such as `{stimulus}_start`, in the order of their
    start; what stands for the name is in their cells. A stimulus without a time is left out."""
    last = str(spec.end or spec.duration)
    pattern, made = part_pattern(str(spec.start), {}), []
    for column in found.columns:
        if not (named := pattern.fullmatch(column)):
            continue
        start, stop = column, fill(last, named.groupdict())
        tables.check_columns(path, list(found.columns), [stop], str(path))
        rows = found[~tables.blank(found[start])]
        one = Columns(start, stop if spec.end else None, None if spec.end else stop)
        made += [s._replace(cells={**s.cells, **named.groupdict()}) for s in spans(rows, one, path, clock)]
    return sorted(made, key=lambda span: span.start)


class Marked(NamedTuple):
    """The parts of a recording in their order, in the place of one that is not whole the error to raise; and what is
    odd of what marks them."""

    spans: list[Span | DataError]
    odd: list[str]


def marked_spans(
    marks: Sequence[tuple[float, str]], begins: Mapping[str, str] | str, ends: str | None, lasts_s: float | None,
    path: Path = Path(),
) -> Marked:  # fmt: skip
    """The stretches from each marker that fits `begins` to the next one that fits `ends`, or of a fixed length. A
    stretch ends before the next one begins: one whose end was lost is an error, and of a start that comes again before
    an end the last counts.

    Args:
        marks: seconds and texts, in order of time.
        begins: text -> stimulus, or a text with names in braces.
        ends: a text with names in braces; one that `begins` has, too, stands for the same.
        path: the file that has them.
    """
    marks = list(dict.fromkeys(marks))
    starts, made, odd, used = _starts(marks, begins), list[Span | DataError](), list[str](), set[int]()
    for n, (at, text, facts, known) in enumerate(starts):
        then, other = starts[n + 1][:2] if n + 1 < len(starts) else (None, "")
        if lasts_s:
            made.append(Span(at, at + lasts_s, 0, facts))
            if then is not None and then < at + lasts_s - _TOUCH_S:
                odd.append(f"`{other}` at {then:g} s lies in the trial of `{text}`, from {at:g} to {at + lasts_s:g} s")
            continue
        end = part_pattern(str(ends), known)
        k = next((k for k, (t, name) in enumerate(marks) if t > at and end.fullmatch(name)), None)
        before_end = then is not None and (k is None or marks[k][0] > then)
        if before_end and other == text:
            odd.append(f"`{text}` at {at:g} s comes again at {then:g} s, before an end: the last one counts")
        elif before_end or k is None:
            what = f"no `{ends}` follows `{text}` at {at:g} s" + (
                f" before `{other}` at {then:g} s" if before_end else ""
            )
            made.append(DataError(what, where=str(path), expected="an end of each trial before the next one begins"))
        else:
            used.add(k)
            made.append(Span(at, marks[k][0], 0, facts))
    return Marked(made, odd + _lost_starts(marks, starts, ends, used))


_Start = tuple[float, str, dict[str, str], Mapping[str, str]]
"""Second, text, what is known of the trial, and what stands for names in its end."""


def _starts(marks: Sequence[tuple[float, str]], begins: Mapping[str, str] | str) -> list[_Start]:
    pattern, made = part_pattern(begins, {}) if isinstance(begins, str) else None, list[_Start]()
    for at, text in marks:
        if isinstance(begins, Mapping) and text in begins:
            facts = {"stimulus": begins[text]}
            made.append((at, text, facts, facts))
        elif pattern and (named := pattern.fullmatch(text)):
            made.append(
                (at, text, {name: value.strip() for name, value in named.groupdict().items()}, named.groupdict())
            )
    return made


def _lost_starts(
    marks: Sequence[tuple[float, str]], starts: Sequence[_Start], ends: str | None, used: set[int]
) -> list[str]:
    """Sentences on ends that end nothing: no marker stands before them, or only another end."""
    if not ends:
        return []
    end, begun = part_pattern(ends, {}), {(at, text) for at, text, *_ in starts}
    return [
        f"`{text}` at {at:g} s ends no trial: was a start lost?"
        for k, (at, text) in enumerate(marks)
        if end.fullmatch(text) and k not in used and (at, text) not in begun
        and (k == 0 or (end.fullmatch(marks[k - 1][1]) and marks[k - 1] not in begun))
    ]  # fmt: skip


def apart(found: Sequence[Span], path: Path, column: str) -> Marked:
    """Trials of a table, which should not overlap: a row that is there twice counts once, and two rows of one time that
    differ are an error."""
    made, odd, last = list[Span | DataError](), list[str](), None
    for span in found:
        if last is None or span.start >= last.stop - _TOUCH_S:
            made.append(span)
        elif span[:2] == last[:2] and span.cells == last.cells:
            odd.append(f"lines {last.line} and {span.line} are equal: the trial counts once")
        else:
            names = [f"`{one.cells.get(column, '')}` from {one.start:g} to {one.stop:g} s" for one in (last, span)]
            what = f"lines {last.line} and {span.line} overlap: {names[0]}, {names[1]}"
            if span[:2] == last[:2] or span.cells.get(column) == last.cells.get(column):
                made.append(DataError(what, where=str(path), expected="one row for each trial"))
            else:
                made.append(span)
                odd.append(what)
        last = span if last is None or span.stop > last.stop else last
    return Marked(made, odd)
