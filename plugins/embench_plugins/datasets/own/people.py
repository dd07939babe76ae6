"""The participants of own recordings, as the table of a `dataset.yaml` says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.items import some
from embench_plugins.datasets.own.layout import Unlabelled
from embench_plugins.datasets.own.rows import Tables
from embench_plugins.datasets.own.yaml import Written


class Participants:
    """The facts on participants; none where the description names no table."""

    def __init__(self, description: Unlabelled, tables_: Tables, written: Written) -> None:
        self._spec, self._tables, self._written = description.participants, tables_, written
        self._names = {name for source in description.recordings for name in source.names}
        self._prefix = "sub-" if any(source.bids for source in description.recordings) else ""

    @cached_property
    def path(self) -> Path | None:
        """The table, None where there is none. Raises DataError where it is not here."""
        if self._spec.table is None:
            return None
        where = self._written.where("participants", "table")
        path = self._tables.path(self._spec.table, {}, where)
        if path is None:
            raise DataError(f"there is no `{self._spec.table.text}`", where=where, expected="a table of participants")
        return path

    @cached_property
    def _cells(self) -> Mapping[str, Mapping[str, str]]:
        """Canonical id -> the cells of the subject's row."""
        people, path = self._spec, self.path
        if path is None:
            return {}
        columns = [people.id, *people.info.values()]
        columns += [people.group] if people.group and people.group not in self._names else []
        rows = self._tables.rows(path, people.reading)
        tables.check_columns(path, list(rows.columns), columns, self._written.where("participants"))
        rows = tables.placed(rows, columns)
        found: dict[str, Mapping[str, str]] = {}
        lines: dict[str, int] = {}
        for line, row in rows.iterrows():
            key = tables.canonical(row[people.id].removeprefix(self._prefix))
            if key in found:
                what = f"lines {lines[key]} and {line} are both of participant `{row[people.id]}`"
                raise DataError(what, where=str(path), expected="one row for each", hint="remove one of them")
            found[key], lines[key] = row.to_dict(), line
        return found

    def info(self, subject: str) -> Mapping[str, str]:
        """The columns that `info` names, of a subject."""
        cells = self._cells.get(tables.canonical(subject), {})
        info = {name: str(cells.get(column, "")) for name, column in self._spec.info.items()}
        return {name: value for name, value in info.items() if value.lower() not in tables.MISSING}

    def group(self, subject: str, facts: Mapping[str, str]) -> str:
        """The group that a subject was recorded in: the subject alone where nothing is said of groups. Raises DataError
        where this one has none."""
        group = self._spec.group
        if group is None:
            return subject
        value = (facts if group in self._names else self._cells.get(tables.canonical(subject), {})).get(group, "")
        if value.lower() in tables.MISSING:
            raise DataError(
                f"participant {subject} has no `{group}`",
                where=self._written.where("participants", "group"),
                expected="one for each, since those of one group are never divided between training and test",
                hint=f"complete the table, or put {subject} into `exclude`",
            )
        return f"{group} {value}"

    def findings(self, subjects: Sequence[str]) -> list[Finding]:
        """The rows without recordings, and the subjects without a row."""
        here, findings = {tables.canonical(subject) for subject in subjects}, list[Finding]()
        excluded = set(map(tables.canonical, self._spec.exclude))
        absent = sorted(cells[self._spec.id] for key, cells in self._cells.items() if key not in here | excluded)
        unknown = [s for s in subjects if self._cells and tables.canonical(s) not in self._cells]
        for what, names in (("no recordings of", absent), ("no row of", unknown)):
            if names:
                findings.append(Finding("warning", str(self.path), f"{what} {some(names)}"))
        return findings
