"""Rows of tables that belong to a recording: its ratings, its trials, and stretches of time with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.layout import LabelSource, Spans, Table
from embench_plugins.datasets.own.paths import Template


class Span(NamedTuple):
    """A stretch of time in s, and the line and cells of its row."""

    start: float
    stop: float
    line: int
    cells: Mapping[str, str]


class Tables:
    """The tables of one folder, each read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[Path, pd.DataFrame] = {}
        self._index: dict[tuple[Path, tuple[str, ...]], dict[tuple[str, ...], list[int]]] = {}

    def path(self, template: Template, facts: Mapping[str, str], where: str) -> Path | None:
        """The table of a recording; None where there is none. Raises DataError where there are several."""
        if set(template.names) - set(facts):
            return None
        found = [path for path, _ in template.matches(self.root, facts) if path.is_file()]
        if len(found) > 1:
            what = f"`{template.text}` is {len(found)} tables of one recording: {found[0].name}, {found[1].name}"
            raise DataError(what, where=where, expected="one table for each recording")
        return found[0] if found else None

    def rows(self, path: Path) -> pd.DataFrame:
        """All rows of a table as texts; see `tables.rows`."""
        if path not in self._read:
            self._read[path] = tables.rows(path)
        return self._read[path]

    def of(
        self, path: Path, spec: Table | LabelSource, facts: Mapping[str, str], columns: Sequence[str], where: str
    ) -> pd.DataFrame:
        """The rows of a recording, those whose key columns hold what is known of it.

        Args:
            columns: others that must be there.

        Raises:
            DataError: a column is missing; `where` is the line that names it.
        """
        rows = self.rows(path)
        tables.check_columns(path, list(rows.columns), [*spec.keys.values(), *columns], where)
        if not spec.keys:
            return rows
        if set(spec.keys) - set(facts):
            return rows.iloc[:0]
        names = tuple(spec.keys.values())
        if (path, names) not in self._index:
            index: dict[tuple[str, ...], list[int]] = {}
            for i, cells in enumerate(zip(*(rows[name] for name in names), strict=True)):
                index.setdefault(tuple(map(tables.canonical, cells)), []).append(i)
            self._index[path, names] = index
        own = tuple(tables.canonical(facts[fact]) for fact in spec.keys)
        return rows.iloc[self._index[path, names].get(own, [])]


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


def spans(found: pd.DataFrame, spec: Spans | LabelSource, path: Path, shift_s: float) -> list[Span]:
    """Rows as stretches of time, `shift_s` earlier than they say, in the order of their start. Raises DataError that
    names the line without a start or with an end before it."""
    made = []
    for line, row in found.iterrows():
        start = tables.seconds(row[spec.start], path, line, str(spec.start))
        last = spec.end or str(spec.duration)
        stop = tables.seconds(row[last], path, line, last) + (0.0 if spec.end else start)
        if not (np.isfinite([start, stop]).all() and start <= stop):
            raise DataError(
                f"line {line}: from `{row[spec.start]}`, {'to' if spec.end else 'for'} `{row[last]}`",
                where=str(path),
                expected="a start, and an end that is not before it, in seconds or as dates",
            )
        made.append(Span(start - shift_s, stop - shift_s, int(line), row.to_dict()))
    return sorted(made, key=lambda span: span.start)
