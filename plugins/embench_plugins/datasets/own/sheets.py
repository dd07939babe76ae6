"""Excel and SPSS files as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError

SPREADSHEET, SPSS = ".xlsx", ".sav"


def read_sheet(path: Path) -> pd.DataFrame:
    """The rows of the only sheet of an Excel file in which cells are filled, or of an SPSS file, whose values stay
    codes; dates are texts.

    Raises:
        DataError: it cannot be read, or several sheets have cells.
    """
    library = "openpyxl" if path.suffix.lower() == SPREADSHEET else "pyreadstat"
    try:
        found = _only(path) if library == "openpyxl" else pd.read_spss(path, convert_categoricals=False)
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


def _only(path: Path) -> pd.DataFrame:
    read = pd.read_excel(path, sheet_name=None, header=None, dtype=object, engine="openpyxl")
    filled = {str(name): cells for name, cells in read.items() if cells.notna().to_numpy().any()}
    if len(filled) != 1:
        what = f"sheets with cells: {', '.join(filled) or 'none'}"
        hint = "keep the sheet that is wanted in a file of its own, or save it as CSV"
        raise DataError(what, where=str(path), expected="one sheet", hint=hint)
    return _below_names(next(iter(filled.values())))


def _below_names(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows below the line of names: the first that fills two cells, since a title above it fills one."""
    cells = cells.dropna(axis=1, how="all").dropna(axis=0, how="all")
    counts = cells.notna().sum(axis=1).to_numpy()
    first = int(np.argmax(counts >= min(2, counts.max())))
    names = ["" if pd.isna(name) else str(name).strip() for name in cells.iloc[first]]
    names = [name or str(k) for k, name in enumerate(names, 1)]
    names = [f"{name} (column {k})" if names.count(name) > 1 else name for k, name in enumerate(names, 1)]
    return cells.iloc[first + 1 :].set_axis(names, axis=1).reset_index(drop=True).infer_objects()
