"""Several methods side by side on a screen, as `grid` and `baselines` print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embench.cli import console
from embench.cli.tables import field, fitting, show_table
from embench.records.wording import name_without_package
from embench.sets.table import board_cells, board_notes, board_panels, model_cells, sensor_cells


def print_board(
    rows: Sequence[Mapping[str, Any]], title: str = "", varied: Mapping[str, Mapping[str, str]] | None = None
) -> bool:
    """Print a table for each dataset, protocol and target, with its notes and the models without a signal; returns
    whether each table names the runs.

    Args:
        rows: see `board_rows`. `varied`: run -> the options in which runs differ besides their parts.
    """
    panels, named = board_panels(rows), True
    for panel in panels:
        cells = board_cells(panel)
        by_run = {run.rpartition("-")[2]: options for run, options in (varied or {}).items()}
        cells = [_with_options(row, by_run.get(row["run"], {})) for row in cells]
        columns = [field(name, name) for name in cells[0]]
        kept = fitting(cells, columns, ["run", "p", "p (Holm)"])
        named &= "run" in {column.title for column in kept}
        about = [name_without_package(panel[0]["dataset"]), panel[0]["protocol"], panel[0]["target"]]
        show_table(cells, kept, title=", ".join(filter(None, [title, *about])))
        for note in board_notes(panel):
            console.wrapped(note)
        console.echo()
        show_table(model_cells(panel))
        show_table(sensor_cells(panel), title="Which sensors are associated with the label?")
    return named


def _with_options(cells: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    """The cells of a row with the options after the sensors."""
    found: dict[str, str] = {}
    for name, cell in cells.items():
        if name == "sensors" or (name == "method" and "sensors" not in cells):
            found |= {name: cell, **options}
        else:
            found[name] = cell
    return found
