"""Predictions and labels of a run as equal-length columns, from which others can recompute scores, and their files.

Files are gzipped CSV whose bytes depend on their rows alone.
"""

from __future__ import annotations

import codecs
import csv
import io
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from embench.errors import DataError
from embench.files import read_bytes, reading, unzipped_parts
from embench.records.columns import Columns, TextColumn
from embench.texts import has_control

TEXT_COLUMNS = ("method", "target", "subject", "recording", "stimulus", "unit")
INTEGER_COLUMNS = ("fold", "seed")
MODEL = "model"
"""The method name of what was run; every other method but `UNPREDICTED` is a control."""

UNPREDICTED = "unpredicted"
"""The method name of units that the model should have predicted, and did not. Their score is what each of their
comparisons counts: `COUNTS_LOST`, or `COUNTS_TIED` where the data have no signal of any of the model's modalities."""
COUNTS_LOST, COUNTS_TIED = 0.0, 0.5


def as_scored(counts: np.ndarray) -> np.ndarray:
    """The scores that stand for what units without a prediction count (n,), see `embench.interfaces.units.Units`: NaN
    where lost, inf where tied."""
    return np.where(counts == COUNTS_TIED, np.inf, np.nan)


ANY_SEED = -1
"""The seed of a label that holds for all seeds; blank in the file."""

ROWS_AT_ONCE = 1 << 14
"""Rows of a file that are in memory as Python's own objects."""

_PART = 1 << 20


@dataclass(frozen=True)
class Predictions:
    """One row for each method, target, seed and unit.

    `columns`: method, target, fold, seed, subject, recording, stimulus, unit, start_s (NaN where hidden), `score` (the
    probability of the positive class, or a value) and, where a target has several classes, `score_0` .. ; decision. A
    score column that is not a row's own holds NaN there. Scores are kept to nine significant digits, which holds every
    float32 exactly, so that what is scored is what is written.

    Raises:
        DataError: columns are missing, unknown or of unequal length.
    """

    columns: Mapping[str, np.ndarray]

    FIXED = ("method", "target", "fold", "seed", "subject", "recording", "stimulus", "unit", "start_s")

    def __post_init__(self) -> None:
        scores = sorted((c for c in self.columns if c.startswith("score_")), key=lambda c: (len(c), c))
        names = (*self.FIXED, "score", *scores, "decision")
        if scores != [f"score_{k}" for k in range(len(scores))]:
            raise DataError("predictions name classes with a gap", expected="score_0, score_1 and so on")
        columns = _checked(self.columns, names, "predictions")
        for name in ("score", *scores):
            columns.stored[name] = nine_digits(columns[name])
        object.__setattr__(self, "columns", columns)

    @classmethod
    def _sound(cls, columns: Columns) -> Predictions:
        """Predictions with columns that were checked and rounded before."""
        predictions = object.__new__(cls)
        object.__setattr__(predictions, "columns", columns)
        return predictions

    @property
    def table(self) -> Columns:
        """The columns as they are kept."""
        return cast(Columns, self.columns)

    def __len__(self) -> int:
        return self.table.rows

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    @property
    def classes(self) -> int:
        """Number of class columns; 0 where no target has several classes."""
        return len(self.columns) - len(self.FIXED) - 2

    def take(self, index: np.ndarray) -> Predictions:
        """The rows at `index`, positions (m,) or a boolean mask (n,)."""
        return Predictions._sound(self.table.take(index))

    @property
    def own(self) -> Predictions:
        """The rows of what was run: its predictions, and the units that it should have predicted; no control's."""
        return self.take(self.rows_with(method=MODEL) | self.rows_with(method=UNPREDICTED))

    def texts(self, column: str) -> TextColumn:
        """A column of texts as the names that it has, each once, and the position of each row's."""
        return cast(TextColumn, self.table.stored[column]).used()

    def rows_with(self, **texts: str) -> np.ndarray:
        """(n,) whether a row has these texts in the columns of these names."""
        found = np.ones(len(self), bool)
        for name, text in texts.items():
            column = self.texts(name)
            found &= (column.names == text)[column.code]
        return found

    def distinct(self, *columns: str) -> list[tuple[Any, ...]]:
        """Distinct combinations of values in these columns of texts or whole numbers."""
        code = np.zeros(len(self), np.int64)
        for name in columns:
            stored = self.table.stored[name]
            own = stored.code if isinstance(stored, TextColumn) else np.unique(stored, return_inverse=True)[1]
            _, first, code = np.unique(code * (own.max(initial=0) + 1) + own, return_index=True, return_inverse=True)
        rows = self.take(first)
        return list(zip(*(rows[name].tolist() for name in columns), strict=True))

    @classmethod
    def none(cls) -> Predictions:
        """No predictions at all."""
        return cls({name: np.array([]) for name in (*cls.FIXED, "score", "decision")})

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """All rows in the order of `parts`; a class column that a part does not have is NaN there."""
        return cls._sound(Columns.concatenate([part.table for part in parts]))

    def write(self, path: Path) -> None:
        """Writes gzipped CSV, scores rounded to nine significant digits."""
        scores = {"score", *(f"score_{k}" for k in range(self.classes))}
        _write(path, self.columns, digits=scores)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Raises DataError where the file is missing, damaged or no table of predictions."""
        return cls(_read(path))


@dataclass(frozen=True)
class Labels:
    """One row for each target and unit that has a label.

    `columns`: subject, recording, unit, target, seed, raw (the unit's raw value before any threshold), label. `seed` is
    `ANY_SEED` except under a protocol whose label rule is fitted on the training part, which has a row for each seed.
    """

    columns: Mapping[str, np.ndarray]

    FIXED = ("subject", "recording", "unit", "target", "seed", "raw", "label")

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _checked(self.columns, self.FIXED, "labels"))

    def __len__(self) -> int:
        return len(self.columns["unit"])

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def lines(self) -> list[str]:
        """The rows as they stand in the file, sorted: what an HMAC over labels is taken of."""
        columns = [_texts(name, self.columns[name], digits=False) for name in self.FIXED]
        return sorted(",".join(row) for row in zip(*columns, strict=True))

    def write(self, path: Path) -> None:
        """Writes gzipped CSV, values as they are."""
        _write(path, self.columns, digits=set())

    @classmethod
    def read(cls, path: Path) -> Labels:
        """Raises DataError where the file is missing, damaged or no table of labels."""
        return cls(_read(path))


def _checked(columns: Mapping[str, Iterable[object]], names: Sequence[str], what: str) -> Columns:
    """The columns in the order of `names`, as text, int64 or float64."""
    if set(columns) != set(names):
        odd = sorted(set(names) ^ set(columns))
        raise DataError(f"the columns of {what} do not fit: {', '.join(odd)}", expected=", ".join(names))
    stored: Mapping[str, Any] = columns.stored if isinstance(columns, Columns) else columns
    try:
        table = Columns({name: _column(name, stored[name]) for name in names})
    except ValueError as error:
        raise DataError(f"a column of {what} does not consist of numbers: {error}") from error
    if len({len(column) for column in table.stored.values()}) > 1:
        raise DataError(f"the columns of {what} are of unequal length")
    return table


def _column(name: str, values: TextColumn | np.ndarray | Iterable[object]) -> TextColumn | np.ndarray:
    if isinstance(values, TextColumn):
        return values
    if name in TEXT_COLUMNS:
        return TextColumn.of([np.asarray(values).astype(np.str_).tolist()])
    return np.asarray(values).astype(np.int64 if name in INTEGER_COLUMNS else np.float64)


def nine_digits(values: np.ndarray) -> np.ndarray:
    """Scores (n,) as they are scored: rounded to nine significant digits."""
    each, at = _each_once(np.asarray(values, np.float64))
    return np.array([float(f"{v:.9g}") for v in each.tolist()], np.float64)[at]


def _each_once(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values (k,) of numbers (n,) of eight bytes, and the position of each number's: many stand there often."""
    each, at = np.unique(values.view(np.int64), return_inverse=True)  # by their bits, so that -0.0 stays what it is
    return each.view(values.dtype), at


def _texts(name: str, column: np.ndarray, digits: bool) -> list[str]:
    if name in TEXT_COLUMNS:
        return column.tolist()
    each, at = _each_once(column)
    if name == "seed":
        texts = ["" if v == ANY_SEED else str(v) for v in each.tolist()]
    elif name in INTEGER_COLUMNS:
        texts = [str(v) for v in each.tolist()]
    elif digits:
        texts = ["" if v != v else f"{v:.9g}" for v in each.tolist()]
    else:
        texts = ["" if v != v else str(int(v)) if v.is_integer() else repr(v) for v in each.tolist()]
    return np.array(texts, object)[at].tolist()


def columns_text(columns: Mapping[str, np.ndarray]) -> str:
    """CSV with a head line."""
    return "".join(_csv(columns, ()))


def _csv(columns: Mapping[str, np.ndarray], digits: Collection[str]) -> Iterator[str]:
    """CSV with a head line, some rows at a time; the columns named in `digits` are rounded to nine significant
    digits."""
    stored = columns.stored if isinstance(columns, Columns) else columns
    table = Columns({n: _column(n, c) if n in TEXT_COLUMNS else c for n, c in stored.items()})
    names = {n: _quoted(c.names.tolist()) for n, c in table.stored.items() if isinstance(c, TextColumn)}
    yield ",".join(_quoted(table).tolist()) + "\n"
    for start in range(0, table.rows, ROWS_AT_ONCE):
        part = table.take(slice(start, start + ROWS_AT_ONCE))
        fields = [
            names[n][c.code].tolist() if isinstance(c, TextColumn) else _texts(n, c, n in digits)
            for n, c in part.stored.items()
        ]
        yield "\n".join(map(",".join, zip(*fields, strict=True))) + "\n"


def _quoted(names: Iterable[str]) -> np.ndarray:
    """(k,) the texts as fields of a CSV line."""
    fields = []
    for name in names:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow((name, ""))
        fields.append(text.getvalue()[:-2])
    return np.array(fields, object)


def _write(path: Path, columns: Mapping[str, np.ndarray], digits: set[str]) -> None:
    # Neither a time nor a name goes into the header: the same rows give the same bytes.
    packer = zlib.compressobj(6, wbits=31)
    with Path(path).open("wb") as file:
        file.writelines(packer.compress(text.encode()) for text in _csv(columns, digits))
        file.write(packer.flush())


_PACKED = "gzipped CSV"


def _read(path: Path) -> Columns:
    with reading(path, expected=_PACKED):
        content = read_bytes(Path(path))
    return _columns(_unpacked(content, Path(path)), path)


def _unpacked(content: bytes, path: Path) -> Iterator[str]:
    """The text of a gzip file, in parts: the whole of it is many times as long."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with reading(path, expected=_PACKED):
        for part in unzipped_parts(content, path):
            yield decoder.decode(part)
        yield decoder.decode(b"", final=True)


def read_columns(text: str, path: Path) -> Columns:
    """The columns of a CSV text of the file `path`, as text, int64 or float64.

    Raises:
        DataError: lines are of unequal length, a field is no number, or a text has control characters.
    """
    return _columns((text[at : at + _PART] for at in range(0, len(text), _PART)), path)


def _columns(parts: Iterable[str], path: Path) -> Columns:
    blocks = _blocks(parts, path)
    head: list[str] = []
    tables: list[Columns] = []
    try:
        for block in blocks:
            if '"' in block:  # from here on, a field may hold a comma or the end of a line
                reader = csv.reader(chain.from_iterable(map(io.StringIO, chain([block], blocks))))
                head = head or next(reader, [])
                while rows := list(islice(reader, ROWS_AT_ONCE)):
                    _check_even(map(len, rows), head, path)
                    tables.append(_table(head, list(zip(*rows, strict=True))))
                break
            first, *lines = ["", *block.splitlines()] if head else block.splitlines()
            head = head or (first.split(",") if first else [])
            _check_even((line.count(",") + 1 for line in lines), head, path)
            fields = ",".join(lines).split(",") if lines else []
            tables.append(_table(head, [fields[k :: len(head)] for k in range(len(head))]))
    except csv.Error as error:
        raise DataError(f"the file is not CSV: {error}", where=str(path)) from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"a field is not a number: {error}", where=str(path)) from error
    _check_even((), head, path)
    return Columns.concatenate([*tables, _table(head, [()] * len(head))])


def _blocks(parts: Iterable[str], path: Path) -> Iterator[str]:
    """The text in blocks of whole lines."""
    rest = ""
    for part in parts:
        if has_control(part):
            raise DataError("a text has control characters", where=str(path), expected="plain text")
        whole, end, rest = (rest + part).rpartition("\n")
        if end:
            yield whole + end
    if rest:
        yield rest


def _check_even(sizes: Iterable[int], head: Sequence[str], path: Path) -> None:
    if not head or set(sizes) - {len(head)}:
        raise DataError("lines have unequal numbers of fields", where=str(path), expected="CSV with a head line")


def _table(head: Sequence[str], columns: Sequence[Sequence[str]]) -> Columns:
    return Columns({name: _parse(name, column) for name, column in zip(head, columns, strict=True)})


def _parse(name: str, column: Sequence[str]) -> TextColumn | np.ndarray:
    if name in TEXT_COLUMNS:
        return TextColumn.of([column])
    each: dict[str, float]
    if name in INTEGER_COLUMNS:
        blank = str(ANY_SEED) if name == "seed" else ""
        each = {v: int(v or blank) for v in dict.fromkeys(column)}
    else:
        each = {v: float(v or "nan") for v in dict.fromkeys(column)}
    kind = np.int64 if name in INTEGER_COLUMNS else np.float64
    return np.fromiter(map(each.__getitem__, column), kind, len(column))
