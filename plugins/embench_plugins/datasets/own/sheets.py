"""Excel and SPSS files as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own.headers import has_names

SPREADSHEET, SPSS = ".xlsx", ".sav"
EVERY, SHEET = "*", "sheet"
"""What stands for all sheets of a file, and the column of their names."""
_SEEN = 50


def read_sheet(path: Path, skip: int = 0, sheet: str | None = None) -> pd.DataFrame:
    """The rows of an Excel file's sheet, or of an SPSS file, whose values stay codes; dates are texts, and the index is
    the number of the row.

    Args:
        skip: so many rows of a sheet stand before the names.
        sheet: its name; None: the only one in which cells are filled; `*`: all, one below the other and counted
            through, with a column `sheet` of their names.

    Raises:
        DataError: it cannot be read, there is no such sheet, or several have cells.
    """
    library = "openpyxl" if path.suffix.lower() == SPREADSHEET else "pyreadstat"
    try:
        found = _sheet(path, skip, sheet) if library == "openpyxl" else _coded(path)
    except ImportError as error:
        hint = f"pip install {library}, or save the table as CSV"
        raise DataError(f"{path.suffix} files need another package", where=str(path), hint=hint) from error
    except DataError:
        raise
    except Exception as error:  # the libraries raise errors of any kind where a file is damaged
        what = f"not readable by {library}: {str(error)[:120]}"
        raise DataError(what, where=str(path), expected="a whole file", hint="save it again, or as CSV") from error
    for name in found.select_dtypes(["datetime", "datetimetz"]):
        found[name] = found[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return found


def sheet_names(path: Path) -> list[str]:
    """The sheets of an Excel file in which cells are filled. Raises DataError."""
    try:
        read = pd.read_excel(path, sheet_name=None, header=None, dtype=object, engine="openpyxl")
    except Exception as error:  # as `read_sheet`
        raise DataError(f"not readable: {str(error)[:120]}", where=str(path), expected="a whole file") from error
    return [str(name) for name, cells in read.items() if cells.notna().to_numpy().any()]


def _coded(path: Path) -> pd.DataFrame:
    found = pd.read_spss(path, convert_categoricals=False)
    return found.set_axis(np.arange(1, len(found) + 1))


def _sheet(path: Path, skip: int, sheet: str | None) -> pd.DataFrame:
    read = pd.read_excel(path, sheet_name=None, header=None, dtype=object, engine="openpyxl")
    filled = {str(name): cells for name, cells in read.items() if cells.notna().to_numpy().any()}
    names = ", ".join(filled) or "none"
    if sheet == EVERY:
        each = {name: _below_names(cells.iloc[skip:]) for name, cells in filled.items()}
        if len({tuple(rows.columns) for rows in each.values()}) != 1:
            raise DataError("its sheets have different columns", where=str(path), expected=f"`sheet`: one of {names}")
        below = pd.concat([rows.assign(**{SHEET: name}) for name, rows in each.items()])
        return below.set_axis(np.arange(2, len(below) + 2))
    if sheet is not None:
        fitting = [name for name in filled if name.strip().casefold() == sheet.strip().casefold()]
        if len(fitting) != 1:
            raise DataError(f"no sheet `{sheet}` with cells", where=str(path), expected=f"one of {names}")
        return _below_names(filled[fitting[0]].iloc[skip:])
    if len(filled) != 1:
        what, first = f"sheets with cells: {names}", next(iter(filled), "NAME")
        hint = f"name the one that is wanted beside its columns, such as `sheet: {first}`"
        raise DataError(what, where=str(path), expected="one sheet", hint=hint)
    return _below_names(next(iter(filled.values())).iloc[skip:])


def _below_names(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows below the line of names: the first that fills two cells, since a title above it fills one. Where that is
    a row itself, columns are called by their numbers."""
    cells = cells.set_axis(cells.index + 1).dropna(axis=1, how="all").dropna(axis=0, how="all")
    counts = cells.notna().sum(axis=1).to_numpy()
    first = int(np.argmax(counts >= min(2, counts.max())))
    texts = cells.iloc[first : first + _SEEN].map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    named = has_names(list(texts.iloc[0]), texts.iloc[1:].to_numpy().tolist())
    names = list(texts.iloc[0]) if named else [""] * cells.shape[1]
    names = [name or str(k) for k, name in enumerate(names, 1)]
    names = [f"{name} (column {k})" if names.count(name) > 1 else name for k, name in enumerate(names, 1)]
    return cells.iloc[first + named :].set_axis(names, axis=1).infer_objects()
