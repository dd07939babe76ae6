"""Tables as spreadsheets, loggers and statistics programs save them: text, Excel, SPSS and Parquet.

Cells are separated by comma, semicolon or tab; numbers have points or commas. `exports` reads the lines above the rows,
and logs that are not tables.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import is_known, parse_unit
from embench_plugins.datasets.own import exports
from embench_plugins.datasets.own.exports import (
    Preamble,
    find_column,
    find_separator,
    has_names,
    read_preamble,
    read_unisens,
    split_cells,
)
from embench_plugins.datasets.own.unpacked import MOST_BYTES, check_archive, check_size

# Numbers with marks of thousands or decimal commas in columns of tables.

_SPACES = "\u0020\u00a0\u202f\u2009"
_SPACE = f"[{_SPACES}'\u2019]"
_LIKELY = re.compile(rf"[+-]?[\d.,'\u2019{_SPACES}]+([eE][+-]?\d+)?")
_FORMS = (
    (rf"[+-]?(\d{{1,3}}({_SPACE}\d{{3}})+|\d+)([.,]\d+)?", _SPACE),
    (r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", ","),
    (r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?", r"\."),
)
"""Pattern of all cells of a column, and its separator of thousands."""
_COMMA = r"[+-]?\d*,?\d+([eE][+-]?\d+)?"


def parse_marked_numbers(column: pd.Series) -> pd.Series:
    """Return a column of texts as numbers, if all of its cells are numbers with marks; else unchanged. A column with
    marks that may separate either thousands or decimals is unchanged, too."""
    if column.dtype != object:
        return column
    cells = column[column.notna()]
    if cells.empty or not _LIKELY.fullmatch(str(cells.iloc[0]).strip()):
        return column
    texts = cells.astype(str).str.strip()
    if find_unclear(texts) is not None:
        return column
    if texts.str.fullmatch(_COMMA).all():
        plain = texts.str.replace(",", ".", regex=False)
    else:
        mark = next((mark for form, mark in _FORMS if texts.str.fullmatch(form).all()), None)
        if mark is None:
            return column
        plain = texts.str.replace(mark, "", regex=True).str.replace(",", ".", regex=False)
    return pd.to_numeric(plain).reindex(column.index).astype(np.float64)


def find_unclear(texts: pd.Series) -> tuple[str, str] | None:
    """Return two cells, such as `1,002` and `815`, of a column in which a mark may separate thousands or decimals; None
    for other columns."""
    for mark in ",.":
        marked = texts[texts.str.contains(mark, regex=False)]
        if marked.empty or not marked.str.fullmatch(rf"[+-]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+").all():
            continue
        whole = texts[texts.str.fullmatch(r"[+-]?[1-9]\d\d")]
        twice = marked.str.count(re.escape(mark)).max() > 1
        if not whole.empty and not twice:
            return str(marked.iloc[0]), str(whole.iloc[0])
    return None


def may_be_thousands(values: np.ndarray) -> bool:
    """Return True if numbers may come from a table with marks of thousands that were read as decimals. Then all numbers
    that are not whole have three decimals and are from 1 to 1000, next to whole numbers from 100."""
    size = np.abs(values)
    if not ((size >= 100) & (size < 1000)).any():
        return False
    is_whole = size == np.floor(size)
    split = size[~is_whole & np.isfinite(size)]
    if not split.size or split.min() < 1 or split.max() >= 1000 or not (is_whole & (size >= 100) & (size < 1000)).any():
        return False
    return bool(np.abs(split * 1000 - np.round(split * 1000)).max() < 1e-3)


# Excel and SPSS files as tables.

SPREADSHEET, SPSS = ".xlsx", ".sav"
EVERY, SHEET = "*", "sheet"
"""The text for all sheets of a file, and the column of their names."""
_SEEN_ROWS = 50


def read_sheet(path: Path, skip: int = 0, sheet: str | None = None) -> pd.DataFrame:
    """Return the rows of a sheet of an Excel file, or of an SPSS file, whose values remain codes. Dates become texts,
    and the index is the row number.

    Args:
        skip: number of rows before the line of names.
        sheet: its name; None: the only one in which cells are filled; `*`: all sheets, joined and numbered throughout,
            with their names in a column `sheet`.

    Raises:
        DataError: it cannot be read, the sheet does not exist, or several have cells.
    """
    library = "openpyxl" if path.suffix.lower() == SPREADSHEET else "pyreadstat"
    try:
        table = _read_excel(path, skip, sheet) if library == "openpyxl" else _read_spss(path)
    except ImportError as error:
        hint = f"pip install {library}, or save the table as CSV"
        raise DataError(f"{path.suffix} files need another package", where=str(path), hint=hint) from error
    except DataError:
        raise
    except Exception as error:  # the libraries raise errors of any kind where a file is damaged
        what = f"not readable by {library}: {str(error)[:120]}"
        raise DataError(what, where=str(path), expected="a whole file", hint="save it again, or as CSV") from error
    for name in table.select_dtypes(["datetime", "datetimetz"]):
        table[name] = table[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return table


def list_sheets(path: Path) -> list[str]:
    """Return the sheets of an Excel file that are not empty. Raises DataError."""
    try:
        check_archive(path)
        read = pd.read_excel(path, sheet_name=None, header=None, dtype=object, engine="openpyxl")
    except Exception as error:  # as `read_sheet`
        raise DataError(f"not readable: {str(error)[:120]}", where=str(path), expected="a whole file") from error
    return [str(name) for name, cells in read.items() if cells.notna().to_numpy().any()]


def _read_spss(path: Path) -> pd.DataFrame:
    from pyreadstat import read_sav

    form = read_sav(path, metadataonly=True)[1]
    check_size(path, 8 * (form.number_rows or 0) * (form.number_columns or 0))
    found = pd.read_spss(path, convert_categoricals=False)
    return found.set_axis(np.arange(1, len(found) + 1))


def _read_excel(path: Path, skip: int, sheet: str | None) -> pd.DataFrame:
    """Return the rows of a sheet, or of all sheets, below the line of names; see `read_sheet`."""
    check_archive(path)
    read = pd.read_excel(path, sheet_name=None, header=None, dtype=object, engine="openpyxl")
    filled = {str(name): cells for name, cells in read.items() if cells.notna().to_numpy().any()}
    names = ", ".join(filled) or "none"
    if sheet == EVERY:
        each = {name: _drop_above_names(cells.iloc[skip:]) for name, cells in filled.items()}
        if len({tuple(rows.columns) for rows in each.values()}) != 1:
            raise DataError("its sheets have different columns", where=str(path), expected=f"`sheet`: one of {names}")
        below = pd.concat([rows.assign(**{SHEET: name}) for name, rows in each.items()])
        return below.set_axis(np.arange(2, len(below) + 2))
    if sheet is not None:
        fitting = [name for name in filled if name.strip().casefold() == sheet.strip().casefold()]
        if len(fitting) != 1:
            raise DataError(f"no sheet `{sheet}` with cells", where=str(path), expected=f"one of {names}")
        return _drop_above_names(filled[fitting[0]].iloc[skip:])
    if len(filled) != 1:
        what, first = f"sheets with cells: {names}", next(iter(filled), "NAME")
        hint = f"name the one that is wanted beside its columns, such as `sheet: {first}`"
        raise DataError(what, where=str(path), expected="one sheet", hint=hint)
    return _drop_above_names(next(iter(filled.values())).iloc[skip:])


def _drop_above_names(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows below the line of column names: the first line with two filled cells, since titles fill one. If
    that line is a row of values, the columns are numbered."""
    cells = cells.set_axis(cells.index + 1).dropna(axis=1, how="all").dropna(axis=0, how="all")
    counts = cells.notna().sum(axis=1).to_numpy()
    first = int(np.argmax(counts >= min(2, counts.max())))
    texts = cells.iloc[first : first + _SEEN_ROWS].map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    named = has_names(list(texts.iloc[0]), texts.iloc[1:].to_numpy().tolist())
    names = list(texts.iloc[0]) if named else [""] * cells.shape[1]
    names = [name or str(k) for k, name in enumerate(names, 1)]
    names = [f"{name} (column {k})" if names.count(name) > 1 else name for k, name in enumerate(names, 1)]
    return cells.iloc[first + named :].set_axis(names, axis=1).infer_objects()


# Tables of text, whatever their separator, their marks in numbers and their encoding; and Parquet files.

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "."})
"""Cells that mean a missing value, in small letters."""
EPOCHS = {"record.timestamp[s]": (1.0, 631_065_600), "sensor timestamp [ns]": (1e-9, 946_684_800)}
"""Columns of Garmin's FitCSVTool and of Polar's sensors: their unit in s, and the unix time from which they count."""
PARQUET = ".parquet"
FRAMES = (PARQUET, SPREADSHEET, SPSS)
"""Tables that are not text, which are read whole."""
SUFFIXES = (".csv", ".tsv", ".txt", *FRAMES)
_MOST_LINE = 1 << 16
_SEEN = 50
_BLOCK = 1 << 20
_NOTHING = sorted(MISSING - {""})
AGAIN = "save the file again as CSV in UTF-8, with one line of names and one row a line"


class Dialect(NamedTuple):
    """The form of a table: `names` are the names of its columns, or their numbers; `before` has the facts above its
    rows or its line of names."""

    separator: str
    decimal: str
    names: tuple[str, ...]
    headed: bool
    before: Preamble = Preamble()

    @property
    def units(self) -> dict[str, str]:
        """Name -> measurement unit of the column, if the lines before the rows contain it."""
        return dict(zip(self.names, self.before.units, strict=False))

    def unit(self, name: str) -> str | None:
        """Return the measurement unit of a column, from the lines before the table or from the end of the column's
        name; None if neither has a known unit."""
        brackets = re.search(r"[\[(]\s*([^\])]+?)\s*[\])]\s*$", name)
        end = name.replace("\N{MICRO SIGN}", "u").rpartition("_")[2]
        told = parse_unit(self.units.get(name) or (brackets[1] if brackets else end if parse_unit(end) == end else ""))
        return told if is_known(told) and told != name else None


class Reading(NamedTuple):
    """The lines to skip before the line of names, and the sheet of an Excel file, where the description states them."""

    skip: int = 0
    sheet: str | None = None


AS_IS = Reading()


def find_dialect(path: Path, how: Reading = AS_IS) -> Dialect:
    """Return the form of a table, from its first lines after the lines to skip.

    Raises:
        DataError: it is missing, empty or not text.
    """
    if not path.is_file():
        raise DataError("the file is missing", where=str(path), expected="a table")
    if how.sheet and path.suffix.lower() != SPREADSHEET:
        raise DataError(f"`sheet: {how.sheet}`: {path.name} has no sheets", where=str(path), expected="an .xlsx file")
    if path.suffix.lower() in FRAMES:
        return Dialect(",", ".", tuple(map(str, _load_frame(path, how).columns)), True)
    lines = _read_first_lines(path)[how.skip :]
    before = read_unisens(path) or (read_preamble(lines, path) if any(line.strip() for line in lines) else Preamble())
    lines = [line for line in lines[before.lines :] if line.strip()]
    before = before._replace(lines=before.lines + how.skip)
    if not lines:
        raise DataError("the file is empty", where=str(path), expected="a table", hint=AGAIN)
    separator = before.separator or find_separator(lines)
    questions = max((k for k, line in enumerate(lines) if '{""ImportId""' in line), default=0)  # of Qualtrics
    table = [split_cells(row, separator) for row in (lines[0], *lines[questions + 1 :])]
    cells = [cell for row in table[1:] or table for cell in row]
    commas = separator != "," and any(re.fullmatch(r"[+-]?\d*,\d+", cell) for cell in cells)
    decimal = "," if commas and not any(re.fullmatch(r"[+-]?\d*\.\d+", cell) for cell in cells) else "."
    names = table[0]
    headed = not before.names and has_names(names, table[1:])
    if before.names:
        names = [*before.names, *[""] * (max(map(len, table)) - len(before.names))]
    elif not headed:
        names = [str(i) for i in range(1, len(names) + 1)]
    elif '"' in lines[0]:
        names = [name.strip() for name in next(csv.reader(lines, delimiter=separator, skipinitialspace=True))]
    names = [name or str(i) for i, name in enumerate(names, 1)]
    names = [f"{name} (column {i})" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]
    return Dialect(separator, decimal, tuple(names), headed, before)


def check_marks(path: Path, name: str, values: pd.Series, how: Reading = AS_IS) -> None:
    """Raise DataError if marks in the numbers of a column may separate thousands or decimals."""
    if path.suffix.lower() in FRAMES:
        return
    if values.dtype != object:
        if values.dtype.kind != "f" or not may_be_thousands(values.to_numpy()):
            return
        form = find_dialect(path, how)
        values = _read(path, form, dtype=str, usecols=[form.names.index(name)]).iloc[:, 0]
    texts = values[values.map(lambda cell: isinstance(cell, str))].str.strip()
    if not texts.empty and (cells := find_unclear(texts)) is not None:
        raise DataError(
            f"column {name}: `{cells[0]}` beside `{cells[1]}`: do marks stand before thousands or before decimals?",
            where=str(path),
            expected="numbers without marks of thousands",
            hint="save the table with a plain number format, such as 1002 or 1.002 with other digits",
        )


def find_encoding(path: Path) -> str:
    """Return the encoding of a text file: UTF-8, UTF-16, or the code page of Western Windows."""
    return _detect_encoding(path, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=1024)
def _detect_encoding(path: Path, _changed: int, _size: int) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        first = file.read(_BLOCK)
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if len(first) > 3 and first[1:64:2].count(0) == len(first[1:64:2]):
            return "utf-16-le"
        block = first
        while block:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return "cp1252"
            block = file.read(_BLOCK)
    return "utf-8-sig"


def _read_first_lines(path: Path) -> list[str]:
    """Return the first lines of a text file, as many as are needed."""
    lines: list[str] = []
    with path.open(encoding=find_encoding(path), errors="replace") as file:
        while len(lines) < _SEEN and (line := file.readline(_MOST_LINE)):
            if len(line) == _MOST_LINE or "\0" in line:
                raise _encoding_error(path)
            lines.append(line.strip("\r\n"))
    return lines


def _encoding_error(path: Path) -> DataError:
    return DataError("this is not text, or has a line of over 64 kB", where=str(path), hint=AGAIN)


@contextmanager
def _name_parse_errors(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except (ValueError, OverflowError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(f"not readable as a table: {error}", where=str(path), expected="a table", hint=AGAIN) from error


def _read(path: Path, form: Dialect, **options: object) -> Any:
    options |= {"names": list(form.names)} if form.before.names else {}
    with _name_parse_errors(path):
        return pd.read_csv(
            path, sep=form.separator, encoding=find_encoding(path), encoding_errors="replace", index_col=False,
            skip_blank_lines=True, low_memory=False, skipinitialspace=True,
            skiprows=form.before.lines, header=0 if form.headed else None, **options,
        )  # fmt: skip


def _too_large_error(path: Path) -> DataError:
    return DataError(f"it is over {MOST_BYTES / 1e9:g} GB large", where=str(path), hint="cut it into several files")


def _check_whole(path: Path, form: Dialect, **options: object) -> pd.DataFrame:
    """Read all columns of a text table, since pandas does not report longer rows if only some columns are read."""
    if path.stat().st_size > MOST_BYTES:
        raise _too_large_error(path)
    found: pd.DataFrame = _read(path, form, **options)
    found.columns = list(form.names)[: found.shape[1]]
    if form.before.names and not pd.api.types.is_numeric_dtype(found.iloc[:, 0]):
        again = np.flatnonzero(found.iloc[:, 0].astype(str).str.startswith("Interval=")).tolist()
        if again:
            what = f"line {again[0] + 1 + form.before.lines}: a second block begins"
            raise DataError(what, where=str(path), expected="one block", hint="export each block to a file of its own")
    return found


def _load_frame(path: Path, how: Reading = AS_IS) -> pd.DataFrame:
    """Return the columns of a binary file, with the columns of a Parquet file's index that have a name or dates. Dates
    become texts. The result must not be changed."""
    return _read_frame(path, how, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=1)
def _read_frame(path: Path, how: Reading, _changed: int, _size: int) -> pd.DataFrame:
    """Return the rows of a binary file; see `_load_frame`. `_changed` and `_size` are keys of the cache."""
    if path.suffix.lower() != PARQUET:
        return read_sheet(path, how.skip, how.sheet)
    try:
        table = _read_parquet(path)
        dated = isinstance(table.index, pd.DatetimeIndex)
        table.index.name = table.index.name or ("time" if dated else None)
        table = table.reset_index(drop=not dated and table.index.names == [None])
        for name in table.select_dtypes(["datetime", "datetimetz"]):
            table[name] = table[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
    except ImportError as error:
        hint = "pip install pyarrow, or save the table as CSV"
        raise DataError("Parquet files need another package", where=str(path), hint=hint) from error
    except (ValueError, OSError, LookupError, TypeError, NotImplementedError, ArithmeticError, MemoryError) as error:
        what = f"not readable as Parquet: {str(error)[:120]}"
        raise DataError(what, where=str(path), expected="a whole file", hint="copy it again") from error
    if table.columns.map(str).has_duplicates:
        raise DataError("two columns have one name", where=str(path), hint="rename one of them")
    return table.set_axis(table.columns.map(str), axis=1)


def _read_parquet(path: Path) -> pd.DataFrame:
    """Return the rows of a Parquet file. Texts that are stored once are kept once."""
    from pyarrow import types  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    with ParquetFile(path) as file:
        form, fields = file.metadata, file.schema_arrow
    groups = [form.row_group(k) for k in range(form.num_row_groups)]
    if 8 * sum(group.column(k).num_values for group in groups for k in range(form.num_columns)) > MOST_BYTES:
        raise _too_large_error(path)
    texts = [field.name for field in fields if types.is_string(field.type) or types.is_large_string(field.type)]
    table = pd.read_parquet(path, read_dictionary=texts)
    return table.astype({name: object for name in texts if name in table})


def _format_cell(value: object) -> str:
    """Return a cell of a binary file as text, empty for an empty cell."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip()


def check_columns(path: Path, columns: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Raise DataError if a table lacks a column that the line `where` of the description names."""
    check_unique(path, columns, wanted)
    if missing := [name for name in wanted if find_column(columns, name) not in columns]:
        raise DataError(
            f"{path.name} has no column `{missing[0]}`",
            where=where,
            expected=f"one of {', '.join(columns[:20])}",
            hint=hint_names_below(path, wanted)
            or (None if len(columns) > 1 else "is the separator a comma, semicolon or tab?"),
        )


def hint_names_below(path: Path, wanted: Collection[str]) -> str | None:
    """Return the remedy if a later line has all wanted names as cells; None without such a line."""
    if path.suffix.lower() in FRAMES or not path.is_file():
        return None
    lines = _read_first_lines(path)
    split = [{*split_cells(line, find_separator(lines[k:]))} for k, line in enumerate(lines)]
    at = next((k for k, cells in enumerate(split) if wanted and cells.issuperset(wanted)), None)
    if at is None:
        return None
    separator = find_separator(lines[at:])
    named, *below = [len(split_cells(line, separator)) for line in lines[at:] if line.strip()]
    if below and named != below[0]:
        return f"line {at + 1} has the names of {named} columns, and the rows below have {below[0]} cells: complete it"
    return f"the names are in line {at + 1}: write `skip_lines: {at}`" if at else None


def check_unique(path: Path, there: Sequence[str], wanted: Iterable[str]) -> None:
    """Raise DataError if several columns have the same wanted name."""
    for name in wanted:
        if twice := [column for column in there if column.startswith(f"{name} (column ")]:
            raise DataError(
                f"two columns are called `{name}`", where=str(path), hint=f"rename one of them, or write `{twice[0]}`"
            )


def read_rows(path: Path, how: Reading = AS_IS) -> pd.DataFrame:
    """Return all cells of a table or log as texts without spaces around them; the index is the line number. Raises
    DataError."""
    if (log := exports.read_log(path)) is not None:
        return log
    form = find_dialect(path, how)
    if path.suffix.lower() in FRAMES:
        found = _load_frame(path, how).astype(object).map(_format_cell)
    else:
        found = _check_whole(path, form, dtype=str, keep_default_na=False)
        found = found.apply(lambda column: column.str.strip())
        found.index = np.arange(len(found)) + 1 + form.headed + form.before.lines
    for name in found:
        check_marks(path, str(name), found[name].astype(object), how)
    if form.decimal == ",":
        found = found.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True)
    found = found[_count_question_rows(found) :]
    if found.empty:
        raise DataError("the table has no rows", where=str(path), expected="a row at least")
    return exports.add_dates(found)


def _count_question_rows(found: pd.DataFrame) -> int:
    """Return the number of rows of questions and internal names that Qualtrics writes between names and answers."""
    marked = [any(cell.startswith('{"ImportId"') for cell in row) for row in found.head(2).to_numpy()]
    return 1 + marked.index(True) if True in marked else 0


def add_placed(rows: pd.DataFrame, wanted: Iterable[str], others: Sequence[str] = ()) -> pd.DataFrame:
    """Return rows with additional columns: columns that the description selects by position or alternative name, under
    that name."""
    columns = [str(name) for name in rows.columns]
    numbered = {name: rows[find_column(columns, name, others)] for name in wanted if name not in columns}
    return rows.assign(**numbered) if numbered else rows


def read_columns(path: Path, wanted: Sequence[str], where: str, how: Reading = AS_IS) -> pd.DataFrame:
    """Return some columns as pandas reads them, numbers as numbers. Raises DataError; `where` is the line of the
    description that names the columns."""
    form = find_dialect(path, how)
    check_columns(path, (*form.names, *form.before.others), wanted, where)
    if path.suffix.lower() in FRAMES:
        found = _load_frame(path, how).reset_index(drop=True)
    else:
        found = _check_whole(path, form, decimal=form.decimal, na_values=_NOTHING)
    for name, (unit, start) in {**EPOCHS, **{name: (s, 0) for name, s in form.before.seconds}}.items():
        if name in found and pd.api.types.is_numeric_dtype(found[name]):
            found = found.assign(**{name: found[name] * unit + start})
    if found.empty:
        raise DataError("there are no rows", where=str(path), expected="samples", hint=AGAIN)
    return add_placed(found, wanted, form.before.others)[list(dict.fromkeys(wanted))]


def is_blank(cells: pd.Series) -> pd.Series:
    """Return True for empty cells."""
    return cells.str.lower().isin(MISSING)


def strip_letters(cells: Sequence[str], like: str) -> Sequence[str]:
    """Return key cells without the letters that all of them begin with, if they are compared with a number: `P01` and
    `P02` with `1`."""
    if not like.isdigit():
        return cells
    filled = (cell.strip() for cell in cells if cell.lower() not in MISSING)
    found = [re.fullmatch(r"([^\W\d_]+)[ _-]?(\d{1,15})", cell) for cell in filled]
    if not found or any(each is None for each in found) or len({each[1] for each in found if each}) > 1:
        return cells
    return [re.sub(r"^\s*\D+", "", cell) for cell in cells]


class Rows(NamedTuple):
    """A table that is read in stretches of rows, in order, so that memory does not grow with its length."""

    names: tuple[str, ...]
    length: int
    read: Callable[[int, int], pd.DataFrame]


@contextmanager
def open_table(path: Path, how: Reading = AS_IS) -> Iterator[Rows]:
    """Open a table with numeric columns. Raises DataError that names the table, now or on reading."""
    form = find_dialect(path, how)
    if (
        path.suffix.lower() in FRAMES
        or form.before.lines
        or form.before.names
        or not EPOCHS.keys().isdisjoint(form.names)
    ):
        chunk = read_columns(path, form.names, str(path), how)
        yield Rows(form.names, len(chunk), lambda first, last: chunk.iloc[first:last])
        return
    count = count_rows(path, how).rows
    with _read(path, form, decimal=form.decimal, na_values=_NOTHING, iterator=True) as table:
        last_read, rows = (0, 0), pd.DataFrame()

        def read(first: int, last: int) -> pd.DataFrame:
            nonlocal last_read, rows
            if (first, last) != last_read:
                with _name_parse_errors(path):
                    chunk = _read_chunk(table, last - first)
                    has_more = last == count and len(_read_chunk(table, 1))
                if first != last_read[1] or len(chunk) != last - first or has_more:
                    what = f"rows {first + 1} to {last} of {count} are not where its lines say"
                    expected = "a line for each row, and one rate of all columns"
                    raise DataError(what, where=str(path), expected=expected, hint=AGAIN)
                chunk.columns = list(form.names)[: chunk.shape[1]]
                last_read, rows = (first, last), chunk
            return rows

        yield Rows(form.names, count, read)


class Counted(NamedTuple):
    """How many rows a table has, how many of them have fewer cells than its columns, and the first such line."""

    rows: int
    short: int
    line: int


def count_rows(path: Path, how: Reading = AS_IS) -> Counted:
    """Return the number of rows, without reading their cells. Raises DataError for a table without rows."""
    return _count(path, how, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=1024)
def _count(path: Path, how: Reading, _changed: int, _size: int) -> Counted:
    """Return the number of rows; see `count_rows`. `_changed` and `_size` are keys of the cache."""
    form = find_dialect(path, how)
    rows, quoted, tabs, gaps = 0, False, form.separator == "\t", len(form.names) - 1
    short: list[int] = []
    with path.open(encoding=find_encoding(path), errors="replace") as file:
        for number, line in enumerate(iter(partial(file.readline, _MOST_LINE), ""), 1):
            if '"' in line:
                quoted ^= line.count('"') % 2 == 1
            if len(line) == _MOST_LINE or "\0" in line:
                raise _encoding_error(path)
            is_row = number > form.before.lines and not (line.isspace() and not (tabs and "\t" in line))
            if is_row and not quoted:
                rows += 1
                is_short = '"' not in line and line.count(form.separator) < gaps
                if is_short and (rows > 1 or not form.headed):
                    short.append(number)
    rows -= form.headed
    if rows < 1:
        raise DataError("there are no rows", where=str(path), expected="samples", hint=AGAIN)
    return Counted(rows, len(short), short[0] if short else 0)


def _read_chunk(table: Any, count: int) -> pd.DataFrame:
    try:
        return table.get_chunk(count)
    except StopIteration:
        return pd.DataFrame()


def parse_number(text: str) -> float:
    """Return a text as a number, NaN if it is not a number.

    >>> parse_number("4.5"), parse_number("n/a")
    (4.5, nan)
    """
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def simplify_value(value: str) -> str:
    """Return a value as a key for finding rows: in lowercase, without the extension of a video file, numbers without
    leading zeros.

    >>> simplify_value("007"), simplify_value("7.0"), simplify_value("VP 07"), simplify_value("Joy.MP4")
    ('7', '7', 'vp7', 'joy')
    """
    value = unicodedata.normalize("NFC", value.strip()).casefold()
    if re.fullmatch(r"\d{1,15}(\.0+)?", value):
        return str(int(value.partition(".")[0]))
    if found := re.fullmatch(r"([^\W\d_]+)[ _-]?0*(\d{1,15})", value):
        return found[1] + found[2]
    return re.sub(r"(?<=\w)\.(mp4|avi|mov|mkv|wmv|webm|wav|mp3|jpe?g|png)$", "", value)
