"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import typer

from embench.cli import console
from embench.screen import tables
from embench.screen.plan import PlanPart
from embench.screen.tables import TableColumn, field, fields, grouped

__all__ = ["TableColumn", "field", "fields", "fitting", "grouped", "show_parts", "show_table"]


def show_table(rows: Iterable[Any], columns: Iterable[TableColumn] | None = None, *, title: str | None = None) -> None:
    """Prints a table that fits the terminal; prints nothing without rows.

    Args:
        columns: default: those of rows that are mappings, title -> cell.
    """
    if text := tables.table(rows, columns, console.room()):
        if title:
            console.wrapped(title, bold=True)
        # Its cells have control characters written out already, and lines of their own.
        typer.echo(text)
        console.echo()


def fitting(rows: Iterable[Any], columns: Sequence[TableColumn], spare: Sequence[str]) -> list[TableColumn]:
    """The columns of a table that fits the terminal with its cells folded: as few of those titled as in `spare` are
    left out as it takes, the first ones first."""
    return tables.fitting_columns(rows, columns, spare, console.room())


def show_parts(parts: Iterable[PlanPart]) -> None:
    """Prints the parts of a plan."""
    for part in parts:
        if part.kind == "command":
            console.command(part.text)
        elif part.kind == "table":
            show_table(part.rows, part.columns, title=part.text or None)
        else:
            warns = part.kind == "warning"
            console.wrapped(part.text, bold=warns, colour="yellow" if warns else None)
