"""Tables of text as spreadsheets and loggers save them: any of comma, semicolon and tab, points or commas in numbers,
with or without a mark of their encoding; and Parquet files."""

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
from embench_plugins.datasets.formats.units import is_known, unit_of
from embench_plugins.datasets.own import log_times, logs
from embench_plugins.datasets.own.headers import cells_of, column_of, has_names, separator_of
from embench_plugins.datasets.own.numbers import may_be_thousands, unclear
from embench_plugins.datasets.own.preambles import Preamble, preamble
from embench_plugins.datasets.own.sheets import SPREADSHEET, SPSS, read_sheet
from embench_plugins.datasets.own.unisens import unisens

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "."})
"""What stands for nothing in a cell, without case."""
EPOCHS = {"record.timestamp[s]": (1.0, 631_065_600), "sensor timestamp [ns]": (1e-9, 946_684_800)}
"""Columns of Garmin's FitCSVTool and of Polar's sensors: their unit in s, and the unix time from which they count."""
PARQUET = ".parquet"
FRAMES = (PARQUET, SPREADSHEET, SPSS)
"""Tables that are not text, which are read whole."""
SUFFIXES = (".csv", ".tsv", ".txt", *FRAMES)
MOST_BYTES = 2_000_000_000
_MOST_LINE = 1 << 16
_SEEN = 50
_BLOCK = 1 << 20
_NOTHING = sorted(MISSING - {""})
AGAIN = "save the file again as CSV in UTF-8, with one line of names and one row a line"


class Dialect(NamedTuple):
    """The form of a table: `names` are those of its columns, numbers for those without; `before` is what stands
    before its rows or its line of names."""

    separator: str
    decimal: str
    names: tuple[str, ...]
    headed: bool
    before: Preamble = Preamble()

    @property
    def units(self) -> dict[str, str]:
        """Name -> what the column is in, where lines before the rows say it; empty where these do not know."""
        return dict(zip(self.names, self.before.units, strict=False))

    def unit(self, name: str) -> str | None:
        """The unit of a column, where lines before the rows or the end of its name say a known one."""
        brackets = re.search(r"[\[(]\s*([^\])]+?)\s*[\])]\s*$", name)
        end = name.replace("\N{MICRO SIGN}", "u").rpartition("_")[2]
        told = unit_of(self.units.get(name) or (brackets[1] if brackets else end if unit_of(end) == end else ""))
        return told if is_known(told) and told != name else None


class Reading(NamedTuple):
    """The lines to skip before the line of names, and the sheet of an Excel file, where the description states them."""

    skip: int = 0
    sheet: str | None = None


AS_IS = Reading()


def dialect(path: Path, how: Reading = AS_IS) -> Dialect:
    """The form of a table, by its first lines but those that are to be skipped.

    Raises:
        DataError: it is missing, no text or empty.
    """
    if not path.is_file():
        raise DataError("the file is missing", where=str(path), expected="a table")
    if how.sheet and path.suffix.lower() != SPREADSHEET:
        raise DataError(f"`sheet: {how.sheet}`: {path.name} has no sheets", where=str(path), expected="an .xlsx file")
    if path.suffix.lower() in FRAMES:
        return Dialect(",", ".", tuple(map(str, _frame(path, how).columns)), True)
    lines = _first_lines(path)[how.skip :]
    before = unisens(path) or (preamble(lines, path) if any(line.strip() for line in lines) else Preamble())
    lines = [line for line in lines[before.lines :] if line.strip()]
    before = before._replace(lines=before.lines + how.skip)
    if not lines:
        raise DataError("the file is empty", where=str(path), expected="a table", hint=AGAIN)
    separator = before.separator or separator_of(lines)
    questions = max((k for k, line in enumerate(lines) if '{""ImportId""' in line), default=0)  # of Qualtrics
    table = [cells_of(row, separator) for row in (lines[0], *lines[questions + 1 :])]
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
    """Raises DataError where marks in the numbers of a column may be those of thousands or of decimals."""
    if path.suffix.lower() in FRAMES:
        return
    if values.dtype != object:
        if values.dtype.kind != "f" or not may_be_thousands(values.to_numpy()):
            return
        form = dialect(path, how)
        values = _read(path, form, dtype=str, usecols=[form.names.index(name)]).iloc[:, 0]
    texts = values[values.map(lambda cell: isinstance(cell, str))].str.strip()
    if not texts.empty and (cells := unclear(texts)) is not None:
        raise DataError(
            f"column {name}: `{cells[0]}` beside `{cells[1]}`: do marks stand before thousands or before decimals?",
            where=str(path),
            expected="numbers without marks of thousands",
            hint="save the table with a plain number format, such as 1002 or 1.002 with other digits",
        )


def encoding(path: Path) -> str:
    """How the text of a file is encoded: UTF-8, UTF-16, or the code page of Western Windows."""
    return _encoding(path, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=1024)
def _encoding(path: Path, _changed: int, _size: int) -> str:
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


def _first_lines(path: Path) -> list[str]:
    """The lines with which a file of text begins, up to those that are needed."""
    lines: list[str] = []
    with path.open(encoding=encoding(path), errors="replace") as file:
        while len(lines) < _SEEN and (line := file.readline(_MOST_LINE)):
            if len(line) == _MOST_LINE or "\0" in line:
                raise _no_text(path)
            lines.append(line.strip("\r\n"))
    return lines


def _no_text(path: Path) -> DataError:
    return DataError("this is no text, or has a line of over 64 kB", where=str(path), hint=AGAIN)


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except (ValueError, OverflowError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(f"not readable as a table: {error}", where=str(path), expected="a table", hint=AGAIN) from error


def _read(path: Path, form: Dialect, **options: object) -> Any:
    options |= {"names": list(form.names)} if form.before.names else {}
    with _parsing(path):
        return pd.read_csv(
            path, sep=form.separator, encoding=encoding(path), encoding_errors="replace", index_col=False,
            skip_blank_lines=True, low_memory=False, skipinitialspace=True,
            skiprows=form.before.lines, header=0 if form.headed else None, **options,
        )  # fmt: skip


def _whole(path: Path, form: Dialect, **options: object) -> pd.DataFrame:
    """All columns of a table of text, since pandas is silent about longer rows where only some are wanted."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"it is over {MOST_BYTES / 1e9:g} GB large", where=str(path), hint="cut it into several files")
    found: pd.DataFrame = _read(path, form, **options)
    found.columns = list(form.names)[: found.shape[1]]
    if form.before.names and not pd.api.types.is_numeric_dtype(found.iloc[:, 0]):
        again = np.flatnonzero(found.iloc[:, 0].astype(str).str.startswith("Interval=")).tolist()
        if again:
            what = f"line {again[0] + 1 + form.before.lines}: a second block begins"
            raise DataError(what, where=str(path), expected="one block", hint="export each block to a file of its own")
    return found


def _frame(path: Path, how: Reading = AS_IS) -> pd.DataFrame:
    """The columns of a file that is not text, with those of a Parquet file's index that has a name or dates; dates are
    texts. Not to be changed."""
    return _read_frame(path, how, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=1)
def _read_frame(path: Path, how: Reading, _changed: int, _size: int) -> pd.DataFrame:
    if path.suffix.lower() != PARQUET:
        return read_sheet(path, how.skip, how.sheet)
    try:
        found = pd.read_parquet(path)
        dated = isinstance(found.index, pd.DatetimeIndex)
        found.index.name = found.index.name or ("time" if dated else None)
        found = found.reset_index(drop=not dated and found.index.names == [None])
        for name in found.select_dtypes(["datetime", "datetimetz"]):
            found[name] = found[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
    except ImportError as error:
        hint = "pip install pyarrow, or save the table as CSV"
        raise DataError("Parquet files need another package", where=str(path), hint=hint) from error
    except (ValueError, OSError, LookupError, TypeError, NotImplementedError, ArithmeticError, MemoryError) as error:
        what = f"not readable as Parquet: {str(error)[:120]}"
        raise DataError(what, where=str(path), expected="a whole file", hint="copy it again") from error
    if found.columns.map(str).has_duplicates:
        raise DataError("two columns have one name", where=str(path), hint="rename one of them")
    return found.set_axis(found.columns.map(str), axis=1)


def _cell(value: object) -> str:
    """A cell of a file that is not text, as text, empty where there is nothing."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip()


def check_columns(path: Path, there: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Raises DataError where a table lacks a column that the line `where` of the description names."""
    check_unique(path, there, wanted)
    if missing := [name for name in wanted if column_of(there, name) not in there]:
        raise DataError(
            f"{path.name} has no column `{missing[0]}`",
            where=where,
            expected=f"one of {', '.join(there[:20])}",
            hint=names_below(path, wanted)
            or (None if len(there) > 1 else "is the separator a comma, semicolon or tab?"),
        )


def names_below(path: Path, wanted: Collection[str]) -> str | None:
    """The remedy where a line that is not the first has all wanted names as cells; None where none has."""
    if path.suffix.lower() in FRAMES or not path.is_file():
        return None
    lines = _first_lines(path)
    split = [{*cells_of(line, separator_of(lines[k:]))} for k, line in enumerate(lines)]
    at = next((k for k, cells in enumerate(split) if wanted and cells.issuperset(wanted)), None)
    if at is None:
        return None
    separator = separator_of(lines[at:])
    named, *below = [len(cells_of(line, separator)) for line in lines[at:] if line.strip()]
    if below and named != below[0]:
        return f"line {at + 1} has the names of {named} columns, and the rows below have {below[0]} cells: complete it"
    return f"the names are in line {at + 1}: write `skip_lines: {at}`" if at else None


def check_unique(path: Path, there: Sequence[str], wanted: Iterable[str]) -> None:
    """Raises DataError where several columns have a name that is wanted."""
    for name in wanted:
        if twice := [column for column in there if column.startswith(f"{name} (column ")]:
            raise DataError(
                f"two columns are called `{name}`", where=str(path), hint=f"rename one of them, or write `{twice[0]}`"
            )


def rows(path: Path, how: Reading = AS_IS) -> pd.DataFrame:
    """All cells as texts, without spaces around them, also of an experiment's log; the index is the number of the line.
    Raises DataError."""
    if (log := logs.read(path)) is not None:
        return log
    form = dialect(path, how)
    if path.suffix.lower() in FRAMES:
        found = _frame(path, how).astype(object).map(_cell)
    else:
        found = _whole(path, form, dtype=str, keep_default_na=False)
        found = found.apply(lambda column: column.str.strip())
        found.index = np.arange(len(found)) + 1 + form.headed + form.before.lines
    for name in found:
        check_marks(path, str(name), found[name].astype(object), how)
    if form.decimal == ",":
        found = found.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True)
    found = found[_below_questions(found) :]
    if found.empty:
        raise DataError("the table has no rows", where=str(path), expected="a row at least")
    return log_times.dated(found)


def _below_questions(found: pd.DataFrame) -> int:
    """The number of rows that Qualtrics writes between the names and the answers: the questions, and its own names."""
    marked = [any(cell.startswith('{"ImportId"') for cell in row) for row in found.head(2).to_numpy()]
    return 1 + marked.index(True) if True in marked else 0


def placed(rows: pd.DataFrame, wanted: Iterable[str], others: Sequence[str] = ()) -> pd.DataFrame:
    """Rows in which columns that are wanted by their position or another name are also there under that."""
    there = [str(name) for name in rows.columns]
    numbered = {name: rows[column_of(there, name, others)] for name in wanted if name not in there}
    return rows.assign(**numbered) if numbered else rows


def columns(path: Path, wanted: Sequence[str], where: str, how: Reading = AS_IS) -> pd.DataFrame:
    """Some columns as pandas reads them, numbers as numbers. Raises DataError; `where` is the line that names them."""
    form = dialect(path, how)
    check_columns(path, (*form.names, *form.before.others), wanted, where)
    if path.suffix.lower() in FRAMES:
        found = _frame(path, how).reset_index(drop=True)
    else:
        found = _whole(path, form, decimal=form.decimal, na_values=_NOTHING)
    for name, (unit, start) in {**EPOCHS, **{name: (s, 0) for name, s in form.before.seconds}}.items():
        if name in found and pd.api.types.is_numeric_dtype(found[name]):
            found = found.assign(**{name: found[name] * unit + start})
    if found.empty:
        raise DataError("there are no rows", where=str(path), expected="samples", hint=AGAIN)
    return placed(found, wanted, form.before.others)[list(dict.fromkeys(wanted))]


def blank(cells: pd.Series) -> pd.Series:
    """True for cells that hold nothing."""
    return cells.str.lower().isin(MISSING)


def bare(cells: Sequence[str], like: str) -> Sequence[str]:
    """Key cells without the letters that all of them begin with, where they are compared with a plain number: `P01` and
    `P02` with `1`."""
    if not like.isdigit():
        return cells
    filled = (cell.strip() for cell in cells if cell.lower() not in MISSING)
    found = [re.fullmatch(r"([^\W\d_]+)[ _-]?(\d{1,15})", cell) for cell in filled]
    if not found or any(each is None for each in found) or len({each[1] for each in found if each}) > 1:
        return cells
    return [re.sub(r"^\s*\D+", "", cell) for cell in cells]


class Rows(NamedTuple):
    """A table that is read a stretch of rows at a time, in order, so that memory does not grow with it."""

    names: tuple[str, ...]
    length: int
    read: Callable[[int, int], pd.DataFrame]


@contextmanager
def opened(path: Path, how: Reading = AS_IS) -> Iterator[Rows]:
    """Opens a table whose columns have numbers. Raises DataError that names it, then or when it is read."""
    form = dialect(path, how)
    if (
        path.suffix.lower() in FRAMES
        or form.before.lines
        or form.before.names
        or not EPOCHS.keys().isdisjoint(form.names)
    ):
        found = columns(path, form.names, str(path), how)
        yield Rows(form.names, len(found), lambda first, last: found.iloc[first:last])
        return
    count = count_rows(path, how).rows
    with _read(path, form, decimal=form.decimal, na_values=_NOTHING, iterator=True) as table:
        at, rows = (0, 0), pd.DataFrame()

        def read(first: int, last: int) -> pd.DataFrame:
            nonlocal at, rows
            if (first, last) != at:
                with _parsing(path):
                    found = _chunk(table, last - first)
                    more = last == count and len(_chunk(table, 1))
                if first != at[1] or len(found) != last - first or more:
                    what = f"rows {first + 1} to {last} of {count} are not where its lines say"
                    expected = "a line for each row, and one rate of all columns"
                    raise DataError(what, where=str(path), expected=expected, hint=AGAIN)
                found.columns = list(form.names)[: found.shape[1]]
                at, rows = (first, last), found
            return rows

        yield Rows(form.names, count, read)


class Counted(NamedTuple):
    """How many rows a table has, how many of them have fewer cells than its columns, and the first such line."""

    rows: int
    short: int
    line: int


def count_rows(path: Path, how: Reading = AS_IS) -> Counted:
    """The number of rows, without reading their cells. Raises DataError where there is none."""
    return _counted(path, how, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=1024)
def _counted(path: Path, how: Reading, _changed: int, _size: int) -> Counted:
    form = dialect(path, how)
    rows, quoted, tabs, gaps = 0, False, form.separator == "\t", len(form.names) - 1
    short: list[int] = []
    with path.open(encoding=encoding(path), errors="replace") as file:
        for number, line in enumerate(iter(partial(file.readline, _MOST_LINE), ""), 1):
            if '"' in line:
                quoted ^= line.count('"') % 2 == 1
            if len(line) == _MOST_LINE or "\0" in line:
                raise _no_text(path)
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


def _chunk(table: Any, count: int) -> pd.DataFrame:
    try:
        return table.get_chunk(count)
    except StopIteration:
        return pd.DataFrame()


def number(text: str) -> float:
    """A number, NaN where the text is none.

    >>> number("4.5"), number("n/a")
    (4.5, nan)
    """
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def canonical(value: str) -> str:
    """A value by which rows are found: in small letters, without a film's ending, numbers without leading zeros.

    >>> canonical("007"), canonical("7.0"), canonical("VP 07"), canonical("Joy.MP4")
    ('7', '7', 'vp7', 'joy')
    """
    value = unicodedata.normalize("NFC", value.strip()).casefold()
    if re.fullmatch(r"\d{1,15}(\.0+)?", value):
        return str(int(value.partition(".")[0]))
    if found := re.fullmatch(r"([^\W\d_]+)[ _-]?0*(\d{1,15})", value):
        return found[1] + found[2]
    return re.sub(r"(?<=\w)\.(mp4|avi|mov|mkv|wmv|webm|wav|mp3|jpe?g|png)$", "", value)
