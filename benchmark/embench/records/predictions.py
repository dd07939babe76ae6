"""Predictions, labels and embeddings of a run as columns, and files of predictions by other code."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import math
import re
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from embench.errors import DataError, UsageError
from embench.files import digest, read_arrays, read_bytes, reading, saving, unzipped, unzipped_parts, write_whole
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import Given
from embench.records.digits import nine_digits
from embench.vocabulary import has_control

# Columns of a table with many rows, in which most texts occur often and are stored once.


@dataclass(frozen=True)
class TextColumn:
    """A column of texts. `names` (k,): distinct texts, sorted. `code` (n,): position of each row's text in `names`."""

    names: np.ndarray
    code: np.ndarray

    @classmethod
    def of(cls, parts: Iterable[Iterable[str]]) -> TextColumn:
        """Return the texts of all parts, one after the other.

        >>> TextColumn.of([["b", "a"], ["b"]]).code
        array([1, 0, 1], dtype=int32)
        """
        seen: defaultdict[str, int] = defaultdict(count().__next__)
        codes = [np.fromiter(map(seen.__getitem__, part), np.int32) for part in parts]
        return cls._sorted(np.array(list(seen), np.str_), np.concatenate([*codes, np.array([], np.int32)]))

    @classmethod
    def same(cls, text: str, rows: int) -> TextColumn:
        """Return a column with the same text in all rows."""
        return cls(np.array([text]), np.zeros(rows, np.int32))

    @classmethod
    def concatenate(cls, parts: Sequence[TextColumn]) -> TextColumn:
        """Return the rows of all parts."""
        named = cls.of(part.names.tolist() for part in parts)
        ends = np.cumsum([len(part.names) for part in parts])
        places = np.split(named.code, ends[:-1])
        return cls(named.names, np.concatenate([place[part.code] for place, part in zip(places, parts, strict=True)]))

    @classmethod
    def _sorted(cls, names: np.ndarray, code: np.ndarray) -> TextColumn:
        order = np.argsort(names)
        place = np.empty(len(names), np.int32)
        place[order] = np.arange(len(names))
        return cls(names[order], place[code])

    def used(self) -> TextColumn:
        """Return the column without names that do not occur in any row."""
        used = np.bincount(self.code, minlength=len(self.names)) > 0
        if used.all():
            return self
        return TextColumn(self.names[used], (np.cumsum(used, dtype=np.int32) - 1)[self.code])

    def take(self, index: np.ndarray | slice) -> TextColumn:
        """Return the rows at `index`."""
        return TextColumn(self.names, self.code[index])

    def __len__(self) -> int:
        return len(self.code)

    def array(self) -> np.ndarray:
        """Return (n,) the texts."""
        return np.asarray(self.names[self.code])


class Columns(Mapping[str, np.ndarray]):
    """Columns (n,) by name; a column of texts is expanded when it is read."""

    def __init__(self, stored: Mapping[str, TextColumn | np.ndarray]) -> None:
        self.stored = dict(stored)

    def __getitem__(self, name: str) -> np.ndarray:
        column = self.stored[name]
        return column.array() if isinstance(column, TextColumn) else column

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.stored.values()), ()))

    def take(self, index: np.ndarray | slice) -> Columns:
        """Return the rows at `index`: positions (m,), a mask (n,) or a slice."""
        if isinstance(index, np.ndarray) and index.dtype == bool:
            index = np.flatnonzero(index)  # once for all columns
        return Columns({n: c.take(index) if isinstance(c, TextColumn) else c[index] for n, c in self.stored.items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Columns]) -> Columns:
        """Return all rows in the order of `parts`; a column of numbers that a part lacks is NaN there."""
        joined: dict[str, TextColumn | np.ndarray] = {}
        for name in max((part.stored for part in parts), key=len):
            columns = [part.stored.get(name, np.full(part.rows, np.nan)) for part in parts]
            texts = [column for column in columns if isinstance(column, TextColumn)]
            numbers = [column for column in columns if not isinstance(column, TextColumn)]
            joined[name] = TextColumn.concatenate(texts) if texts else np.concatenate(numbers)
        return cls(joined)


# A run's `embeddings.npz`: the last hidden layer of every predicted unit, for probes and maps.

EMBEDDINGS_FILE = "embeddings.npz"
_MOST_BYTES = 1 << 32


@dataclass(frozen=True)
class Embeddings:
    """The last hidden layers of networks: a row for each target, seed and predicted unit. `target`, `fold`, `seed`,
    `unit`: (n,). `x`: (n, H) float32, the mean over the unit's windows; narrower networks are padded with zeros."""

    target: np.ndarray
    fold: np.ndarray
    seed: np.ndarray
    unit: np.ndarray
    x: np.ndarray

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: np.ndarray) -> Embeddings:
        """Return the rows at `index`, positions (m,) or a boolean mask (n,)."""
        return Embeddings(self.target[index], self.fold[index], self.seed[index], self.unit[index], self.x[index])

    @classmethod
    def concatenate(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """Return all rows in the order of `parts`."""
        widest = max(part.x.shape[1] for part in parts)
        x = [np.pad(part.x, ((0, 0), (0, widest - part.x.shape[1]))) for part in parts]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in EMBEDDING_COLUMNS if name != "x"
        }
        return cls(x=np.concatenate(x), **columns)


EMBEDDING_COLUMNS = ("target", "fold", "seed", "unit", "x")


def write_embeddings(run_folder: Path, embeddings: Embeddings) -> None:
    """Write the embeddings of a run into its folder. Raises MachineError if the disk is full or read-only."""
    columns: dict[str, Any] = {name: getattr(embeddings, name) for name in EMBEDDING_COLUMNS}

    def put(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **columns)

    path = Path(run_folder) / EMBEDDINGS_FILE
    with saving("the embeddings", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, put)


def read_embeddings(run_folder: Path) -> Embeddings | None:
    """Return the embeddings of a run; None if there are none: for an estimator on features, an entry of a leaderboard,
    or a run by an older version.

    Raises:
        DataError: the file is damaged.
    """
    path = Path(run_folder) / EMBEDDINGS_FILE
    if not path.is_file():
        return None
    arrays = read_arrays(path, _MOST_BYTES)
    if missing := [name for name in EMBEDDING_COLUMNS if name not in arrays]:
        raise DataError(f"the embeddings lack {', '.join(missing)}", where=str(path))
    return Embeddings(**{name: arrays[name] for name in EMBEDDING_COLUMNS})


# Predictions and labels of a run as equal-length columns, from which others can recompute scores, and their files.
#
# Files are gzipped CSV whose bytes depend on their rows alone.

TEXT_COLUMNS = ("method", "target", "subject", "recording", "stimulus", "unit")
INTEGER_COLUMNS = ("fold", "seed")
MODEL = "model"
"""Method name of the scored method; other names except `UNPREDICTED` are confound-only models."""

UNPREDICTED = "unpredicted"
"""Method name in rows of units that the scored method should have predicted, but did not. Their `score` says how each
comparison counts: `COUNTS_LOST`, or `COUNTS_TIED` if the unit has no signal of the method's modalities."""
COUNTS_LOST, COUNTS_TIED = 0.0, 0.5


def as_scored(counts: np.ndarray) -> np.ndarray:
    """Return the scores of units without a prediction from their `counts` (n,): inf if tied, NaN if lost."""
    return np.where(counts == COUNTS_TIED, np.inf, np.nan)


ANY_SEED = -1
"""The seed of a label that holds for all seeds; blank in the file."""

ROWS_AT_ONCE = 1 << 14
"""Number of rows of a file that are in memory as Python objects at a time."""

_PART = 1 << 20


@dataclass(frozen=True)
class Predictions:
    """One row for each method, target, seed and unit.

    `columns`: method, target, fold, seed, subject, recording, stimulus, unit, start_s (NaN where hidden), `score` (the
    probability of the positive class, or a value), decision and, where a target has several classes, `score_0`,
    `score_1` and so on. Score columns that do not apply to a row are NaN. Scores are rounded to nine significant
    digits, which represent every float32 exactly, so that scores in memory equal those in files.

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
        columns = _check_columns(self.columns, names, "predictions")
        for name in ("score", *scores):
            columns.stored[name] = nine_digits(columns[name])
        object.__setattr__(self, "columns", columns)

    @classmethod
    def _sound(cls, columns: Columns) -> Predictions:
        """Return predictions whose columns are already checked and rounded."""
        predictions = object.__new__(cls)
        object.__setattr__(predictions, "columns", columns)
        return predictions

    @property
    def table(self) -> Columns:
        """Columns as they are stored."""
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
        """Return the rows at `index`, positions (m,) or a boolean mask (n,)."""
        return Predictions._sound(self.table.take(index))

    @property
    def own(self) -> Predictions:
        """Rows of the scored method (`MODEL` and `UNPREDICTED`), without those of confound-only models."""
        return self.take(self.rows_with(method=MODEL) | self.rows_with(method=UNPREDICTED))

    def texts(self, column: str) -> TextColumn:
        """Return the distinct texts of a column, and for each row the position of its text."""
        return cast(TextColumn, self.table.stored[column]).used()

    def content(self, *columns: str) -> str:
        """Return a digest of these columns, or of all of them. Equal digests mean equal rows."""
        parts = [(name, self.table.stored[name]) for name in columns or self.columns]
        arrays = [[c.names, c.code] if isinstance(c, TextColumn) else [c] for _, c in parts]
        return digest([[name for name, _ in parts], [list(map(digest, each)) for each in arrays]])

    def rows_with(self, **texts: str) -> np.ndarray:
        """Return a mask (n,) of the rows with these texts, by column: `rows_with(method="model", target="stress")`."""
        found = np.ones(len(self), bool)
        for name, text in texts.items():
            column = cast(TextColumn, self.table.stored[name])
            position = np.flatnonzero(column.names == text)  # one, or none
            found &= column.code == (position[0] if len(position) else -1)
        return found

    def distinct(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return the distinct combinations of values in columns of texts or whole numbers."""
        code = np.zeros(len(self), np.int64)  # number of each row's combination in the columns so far
        first = np.zeros(min(1, len(self)), np.int64)  # a row of each combination
        for name in columns:
            stored = self.table.stored[name]
            if isinstance(stored, TextColumn):
                value = stored.code
            elif np.array_equal(stored[first][code], stored):  # it follows from the columns so far
                continue
            else:
                value = np.unique(stored, return_inverse=True)[1]
            first, code = _find_first(code * (value.max(initial=0) + 1) + value)
        rows = self.take(first)
        return list(zip(*(rows[name].tolist() for name in columns), strict=True))

    @classmethod
    def none(cls) -> Predictions:
        """Return empty predictions."""
        return cls({name: np.array([]) for name in (*cls.FIXED, "score", "decision")})

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """Return all rows in the order of `parts`; a class column that a part lacks is NaN there."""
        return cls._sound(Columns.concatenate([part.table for part in parts]))

    def write(self, path: Path) -> None:
        """Write gzipped CSV, scores rounded to nine significant digits."""
        scores = {"score", *(f"score_{k}" for k in range(self.classes))}
        _write(path, self.columns, digits=scores)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read predictions from a file. Raises DataError if it is missing, damaged or not a table of predictions."""
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
        object.__setattr__(self, "columns", _check_columns(self.columns, self.FIXED, "labels"))

    def __len__(self) -> int:
        return len(self.columns["unit"])

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def lines(self) -> list[str]:
        """Return the rows as sorted CSV lines, from which the HMAC of withheld labels is computed."""
        columns = [_format_values(name, self.columns[name], digits=False) for name in self.FIXED]
        return sorted(",".join(row) for row in zip(*columns, strict=True))

    def write(self, path: Path) -> None:
        """Write gzipped CSV, values as they are."""
        _write(path, self.columns, digits=set())

    @classmethod
    def read(cls, path: Path) -> Labels:
        """Read labels from a file. Raises DataError if it is missing, damaged or not a table of labels."""
        return cls(_read(path))


def _check_columns(columns: Mapping[str, Iterable[object]], names: Sequence[str], what: str) -> Columns:
    """Return the columns in the order of `names`, as text, int64 or float64."""
    if set(columns) != set(names):
        wrong = sorted(set(names) ^ set(columns))
        raise DataError(f"the columns of {what} do not fit: {', '.join(wrong)}", expected=", ".join(names))
    stored: Mapping[str, Any] = columns.stored if isinstance(columns, Columns) else columns
    try:
        table = Columns({name: _make_column(name, stored[name]) for name in names})
    except ValueError as error:
        raise DataError(f"a column of {what} does not consist of numbers: {error}") from error
    if len({len(column) for column in table.stored.values()}) > 1:
        raise DataError(f"the columns of {what} are of unequal length")
    return table


def _make_column(name: str, values: TextColumn | np.ndarray | Iterable[object]) -> TextColumn | np.ndarray:
    """Return values as the column of this name: as text, int64 or float64."""
    if isinstance(values, TextColumn):
        return values
    if name in TEXT_COLUMNS:
        return TextColumn.of([np.asarray(values).astype(np.str_).tolist()])
    return np.asarray(values).astype(np.int64 if name in INTEGER_COLUMNS else np.float64)


def _find_distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values (k,) of 8-byte numbers (n,), and for each number the position of its value."""
    each, at = np.unique(values.view(np.int64), return_inverse=True)  # by their bits, so that -0.0 stays what it is
    return each.view(values.dtype), at


def _find_first(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first position (k,) of each distinct code from 0, in the order of codes, and for each of `codes` (n,)
    the number of its distinct code."""
    size = int(codes.max(initial=-1)) + 1
    if size > max(4 * len(codes), 1 << 16):
        _, first, number = np.unique(codes, return_index=True, return_inverse=True)
        return first, number
    place = np.full(size, len(codes))  # without sorting, which takes five times as long
    place[codes[::-1]] = np.arange(len(codes))[::-1]
    occurring = place < len(codes)
    return place[occurring], (np.cumsum(occurring) - 1)[codes]


def _format_values(name: str, column: np.ndarray, digits: bool) -> list[str]:
    """Return the values of a column as texts of a file; with `digits`, numbers to nine significant digits."""
    if name in TEXT_COLUMNS:
        return column.tolist()
    each, at = _find_distinct(column)
    if name == "seed":
        texts = ["" if v == ANY_SEED else str(v) for v in each.tolist()]
    elif name in INTEGER_COLUMNS:
        texts = [str(v) for v in each.tolist()]
    elif digits:
        texts = ["" if v != v else f"{v:.9g}" for v in each.tolist()]
    else:
        texts = ["" if v != v else str(int(v)) if v.is_integer() else repr(v) for v in each.tolist()]
    return np.array(texts, object)[at].tolist()


def format_columns(columns: Mapping[str, np.ndarray]) -> str:
    """Return columns (name -> values (n,)) as CSV text, with the names in the first line."""
    return "".join(_format_csv(columns, ()))


def _format_csv(columns: Mapping[str, np.ndarray], digits: Collection[str]) -> Iterator[str]:
    """Yield CSV with a line of names, some rows at a time; `digits` names columns with nine significant digits."""
    stored = columns.stored if isinstance(columns, Columns) else columns
    table = Columns({n: _make_column(n, c) if n in TEXT_COLUMNS else c for n, c in stored.items()})
    names = {n: _quote(c.names.tolist()) for n, c in table.stored.items() if isinstance(c, TextColumn)}
    yield ",".join(_quote(table).tolist()) + "\n"
    for start in range(0, table.rows, ROWS_AT_ONCE):
        part = table.take(slice(start, start + ROWS_AT_ONCE))
        fields = [
            names[n][c.code].tolist() if isinstance(c, TextColumn) else _format_values(n, c, n in digits)
            for n, c in part.stored.items()
        ]
        yield "\n".join(map(",".join, zip(*fields, strict=True))) + "\n"


def _quote(names: Iterable[str]) -> np.ndarray:
    """Return (k,) the texts as fields of a CSV line."""
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
        file.writelines(packer.compress(text.encode()) for text in _format_csv(columns, digits))
        file.write(packer.flush())


_PACKED = "gzipped CSV"


def _read(path: Path) -> Columns:
    with reading(path, expected=_PACKED):
        content = read_bytes(Path(path))
    return _parse_columns(_unpack(content, Path(path)), path)


def _unpack(content: bytes, path: Path) -> Iterator[str]:
    """Yield the text of a gzip file in parts, since the whole text would need much memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with reading(path, expected=_PACKED):
        for part in unzipped_parts(content, path):
            yield decoder.decode(part)
        yield decoder.decode(b"", final=True)


def read_columns(text: str, path: Path) -> Columns:
    """Return the columns of a CSV text of the file `path`, as text, int64 or float64.

    Raises:
        DataError: lines are of unequal length, a field is not a number, or a text has control characters.
    """
    return _parse_columns((text[at : at + _PART] for at in range(0, len(text), _PART)), path)


def _parse_columns(parts: Iterable[str], path: Path) -> Columns:
    """Return the columns of a CSV text that comes in parts; for the errors see `read_columns`."""
    blocks = _split_blocks(parts, path)
    head: list[str] = []
    tables: list[Columns] = []
    try:
        for block in blocks:
            if '"' in block:  # from here on, a field may hold a comma or the end of a line
                reader = csv.reader(chain.from_iterable(map(io.StringIO, chain([block], blocks))))
                head = head or next(reader, [])
                while rows := list(islice(reader, ROWS_AT_ONCE)):
                    _check_sizes(map(len, rows), head, path)
                    tables.append(_make_table(head, list(zip(*rows, strict=True))))
                break
            first, *lines = ["", *block.splitlines()] if head else block.splitlines()
            head = head or (first.split(",") if first else [])
            _check_sizes((line.count(",") + 1 for line in lines), head, path)
            fields = ",".join(lines).split(",") if lines else []
            tables.append(_make_table(head, [fields[k :: len(head)] for k in range(len(head))]))
    except csv.Error as error:
        raise DataError(f"the file is not CSV: {error}", where=str(path)) from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"a field is not a number: {error}", where=str(path)) from error
    _check_sizes((), head, path)
    return Columns.concatenate([*tables, _make_table(head, [()] * len(head))])


def _split_blocks(parts: Iterable[str], path: Path) -> Iterator[str]:
    """Yield the text in blocks of whole lines."""
    rest = ""
    for part in parts:
        if has_control(part):
            raise DataError("a text has control characters", where=str(path), expected="plain text")
        whole, end, rest = (rest + part).rpartition("\n")
        if end:
            yield whole + end
    if rest:
        yield rest


def _check_sizes(sizes: Iterable[int], head: Sequence[str], path: Path) -> None:
    """Raise DataError unless there is a head line, and all lines have as many fields (`sizes`)."""
    if not head or set(sizes) - {len(head)}:
        raise DataError("lines have unequal numbers of fields", where=str(path), expected="CSV with a head line")


def _make_table(head: Sequence[str], columns: Sequence[Sequence[str]]) -> Columns:
    return Columns({name: _parse_column(name, column) for name, column in zip(head, columns, strict=True)})


def _parse_column(name: str, column: Sequence[str]) -> TextColumn | np.ndarray:
    if name in TEXT_COLUMNS:
        return TextColumn.of([column])
    numbers: dict[str, float]  # each distinct text is parsed once
    if name in INTEGER_COLUMNS:
        blank = str(ANY_SEED) if name == "seed" else ""
        numbers = {text: int(text or blank) for text in dict.fromkeys(column)}
    else:
        numbers = {text: float(text or "nan") for text in dict.fromkeys(column)}
    kind = np.int64 if name in INTEGER_COLUMNS else np.float64
    return np.fromiter(map(numbers.__getitem__, column), kind, len(column))


# Submissions, which are predictions of third-party code: the file's lines, checked one by one.

REQUIRED_COLUMNS = ("subject", "recording", "unit", "target")
OPTIONAL_COLUMNS = ("method", "seed", "fold", "decision", "calibration_data")

NO_FOLD = -1
"""The fold of a row that does not name its fold."""

MOST_SEEDS = 50
"""Maximum number of seeds in a file; each seed is scored as a partition of its own."""

_MOST_WHOLE = 2**31
_MOST_FAULTS = 1000
"""Number of faulty lines after which reading stops."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class SubmittedRow(NamedTuple):
    """A line of a file of predictions. `scores`: one number, or one per class; `fold` is `NO_FOLD`, `decision` None and
    `given` empty if the line lacks them. `given`: calibration data, spelled as for `--calibration-data`."""

    line: int
    subject: str
    recording: str
    unit: str
    target: str
    seed: int
    fold: int
    scores: tuple[float, ...]
    decision: float | None
    given: str = ""


def read_submission(path: Path, card: Card) -> tuple[list[SubmittedRow], str]:
    """Return the rows of a CSV file of predictions, gzipped or not, and the SHA-256 of its text; see
    `parse_submission`. Raises DataError also if the file cannot be read."""
    with reading(path, missing="no such file", expected="CSV in UTF-8, gzipped or not"):
        content = read_bytes(Path(path))
    return parse_submission(content, path, card.targets, card.name)


def parse_submission(
    content: bytes, path: Path, targets: Sequence[Target], data: str
) -> tuple[list[SubmittedRow], str]:
    """Return the rows of the content of a CSV file of predictions, and the SHA-256 of its text. Unknown columns are
    ignored. If the file contains several methods, as a run's own does, only rows of the method `MODEL` are returned.

    Args:
        path: name of the file in messages. `targets`: the targets of the dataset `data`.

    Raises:
        DataError: the file lacks a column, or contains invalid values; the message names the lines.
    """
    text = _decode_text(content, path)
    lines = _split_lines(text, path)
    head = [name.strip() for name in next(lines, (1, []))[1]]
    if len(head) == 1 and re.search(r"[;\t]", head[0]):
        raise DataError(
            "the columns are not divided by commas",
            where=f"{path}, line 1",
            expected="commas between columns, and points in numbers",
            hint="export the table as comma-separated CSV, or write it by a script",
        )
    classes = sorted((n for n in head if re.fullmatch(r"score_[0-9]{1,3}", n)), key=lambda n: int(n[6:]))
    missing = [name for name in REQUIRED_COLUMNS if name not in head]
    if not {"score", "score_0"} & set(head):
        missing.append("score")
    if missing or len(set(head)) < len(head):
        twice = [name for name, count in Counter(head).items() if count > 1]
        raise DataError(
            f"the file lacks the column {', '.join(missing)}" if missing else f"{', '.join(twice)} stands there twice",
            where=f"{path}, line 1",
            expected=f"{', '.join(REQUIRED_COLUMNS)} and score (several classes: score_0, score_1, ..); optional: "
            f"{', '.join(OPTIONAL_COLUMNS[1:])}",
        )
    by_name = {target.name: target for target in targets}
    faults, rows, first_line = Faults(path), [], dict[tuple[object, ...], int]()
    for line, cells in lines:
        if len(cells) != len(head):
            faults.add("lines have another number of fields than the first", line)
            continue
        row = dict(zip(head, map(str.strip, cells), strict=True))
        if row.get("method") == UNPREDICTED:  # rows of a run's own file, made for units without a prediction
            continue
        target = by_name.get(row["target"])
        if target is None:
            expected = f"targets of {data}: {', '.join(by_name)}"
            faults.add(f"rows are of a target that {data} does not have", line, row["target"], expected)
            continue
        parsed = _parse_row(row, line, target, classes, faults)
        method = row.get("method", MODEL)
        key = (method, parsed and parsed.seed, parsed and parsed.given, row["target"], row["unit"])
        if parsed and (before := first_line.setdefault(key, line)) != line:
            faults.add("rows repeat a unit of the same seed", line, f"{row['unit']}, which is also in line {before}")
        rows.append((method, parsed))
    faults.check()
    methods = list(dict.fromkeys(method for method, _ in rows))
    if not rows:
        raise DataError("the file contains no prediction", where=str(path))
    if len(methods) > 1 and MODEL not in methods:
        raise DataError(
            f"the file contains {len(methods)} methods: {', '.join(methods[:5])}",
            where=f"{path}, column method",
            expected="one method a file",
        )
    chosen = MODEL if MODEL in methods else methods[0]
    submitted = [row for method, row in rows if method == chosen and row is not None]
    if len(seeds := {row.seed for row in submitted}) > MOST_SEEDS:
        raise DataError(
            f"the file contains {len(seeds)} seeds", where=f"{path}, column seed", expected=f"at most {MOST_SEEDS}"
        )
    return submitted, hashlib.sha256(text.encode()).hexdigest()


class Faults:
    """Faults of a file by kind, with their line numbers. `check` reports the first kind that was found."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, list[tuple[int, str]]] = {}
        self.expected: dict[str, str | None] = {}

    def add(self, what: str, line: int, example: str = "", expected: str | None = None) -> None:
        """Note a fault of kind `what` in a line, with the text found there and the expected text."""
        self.found.setdefault(what, []).append((line, example))
        self.expected.setdefault(what, expected)
        if len(self.found[what]) >= _MOST_FAULTS:
            self.check()

    def check(self, hint: str | None = None) -> None:
        """Raise DataError if there are any faults."""
        for what, places in self.found.items():
            lines = ", ".join(str(line) for line, _ in places[:5])
            more = f" and {len(places) - 5} more" if len(places) > 5 else ""
            raise DataError(
                f"{what}, such as {places[0][1]}" if places[0][1] else what,
                where=f"{self.path}, line{'s' if len(places) > 1 else ''} {lines}{more}",
                expected=self.expected[what],
                hint=hint,
            )


def _decode_text(content: bytes, path: Path) -> str:
    with reading(path, expected="CSV in UTF-8, gzipped or not"):
        text = (unzipped(content, path) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    if has_control(text.replace("\r\n", "\n")):
        raise DataError("a text has control characters", where=str(path), expected="plain text")
    return text


def _split_lines(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers, from 1, and fields; blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"the file is not CSV: {error}", where=str(path)) from error


def _parse_row(
    row: Mapping[str, str], line: int, target: Target, classes: Sequence[str], faults: Faults
) -> SubmittedRow | None:
    """Return a line (column -> text) as a row. If the line is faulty, add the fault to `faults` and return None."""
    several, has_classes = target.traits.has_score_per_class, target.traits.has_classes
    if several and tuple(classes) != target.columns:
        expected = ", ".join(target.columns)
        faults.add(f"rows are of {target.name}, which has {target.n} classes", line, expected=expected)
        return None
    if "score" not in row and not several:
        faults.add(f"the predictions of {target.name} must be in a column `score`", line, expected="score")
        return None
    scores = tuple(number for name in target.columns if (number := _parse_number(row.get(name, ""))) is not None)
    if len(scores) < len(target.columns):
        example = row.get(target.columns[0], "")
        faults.add(
            "scores are not finite numbers",
            line,
            example,
            "a number in each row; leave rows without one out where units may be missing",
        )
        return None
    if has_classes and (min(scores) < 0 or max(scores) > 1):
        expected = "from 0 to 1; decision values become probabilities by 1 / (1 + exp(-value)), which keeps their order"
        faults.add("scores are not probabilities", line, f"{max(scores, key=abs):g}", expected)
        return None
    if several and abs(sum(scores) - 1) > 0.01:
        faults.add("class probabilities of a row do not sum to 1", line, f"{sum(scores):g}")
        return None
    whole = {}
    for name, default in (("seed", 0), ("fold", NO_FOLD)):
        text = row.get(name, "")
        number = _parse_whole(text) if text else default
        if number is None:
            faults.add(f"values of {name} are not whole numbers from 0 to {_MOST_WHOLE - 1:,}", line, text)
            return None
        whole[name] = number
    decision = _parse_number(row["decision"]) if row.get("decision") else None
    if row.get("decision") and (decision is None or (has_classes and decision not in range(target.n))):
        faults.add("decisions are not classes", line, row["decision"], f"0 to {target.n - 1}")
        return None
    if decision is not None and not has_classes and not math.isclose(decision, scores[0], rel_tol=1e-5, abs_tol=1e-5):
        faults.add("decisions differ from the values", line, row["decision"], "the value again, or no `decision`")
        return None
    if (given := _normalise_given(row.get("calibration_data", ""))) is None:
        faults.add(
            "values of `calibration_data` are not an amount of calibration data",
            line,
            row["calibration_data"],
            "0, 5, unlabelled:5, session",
        )
        return None
    subject, recording, unit, name = (sys.intern(row[name]) for name in REQUIRED_COLUMNS)  # many rows repeat them
    return SubmittedRow(line, subject, recording, unit, name, whole["seed"], whole["fold"], scores, decision, given)


@lru_cache
def _normalise_given(text: str) -> str | None:
    """Return a text of `calibration_data` in its normal spelling; None if it is invalid."""
    try:
        return Given.read(text).text if text else ""
    except UsageError:
        return None


@lru_cache
def _parse_whole(text: str) -> int | None:
    number = _parse_number(text)
    return None if number is None or number < 0 or number % 1 or number >= _MOST_WHOLE else int(number)


def _parse_number(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan  # float() takes "1_0" and other scripts' digits
    return value if math.isfinite(value) else None
