"""What a run leaves behind for others to recompute: predictions and labels as equal-length columns, and their files.

Files are gzipped CSV whose bytes depend on their rows alone.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embench.errors import DataError

TEXT_COLUMNS = ("method", "target", "subject", "recording", "stimulus", "unit")
INTEGER_COLUMNS = ("fold", "seed")
MODEL = "model"
"""The method name of what was run; every other method is a control."""

ANY_SEED = -1
"""The seed of a label that holds for all seeds; blank in the file."""


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
            columns[name] = nine_digits(columns[name])
        object.__setattr__(self, "columns", columns)

    def __len__(self) -> int:
        return len(self.columns["method"])

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    @property
    def classes(self) -> int:
        """How many class columns there are; 0 where no target has several classes."""
        return len(self.columns) - len(self.FIXED) - 2

    def take(self, index: np.ndarray) -> Predictions:
        """The rows at `index`, positions (m,) or a boolean mask (n,)."""
        return Predictions({name: column[index] for name, column in self.columns.items()})

    @classmethod
    def none(cls) -> Predictions:
        """No predictions at all."""
        return cls({name: np.array([]) for name in (*cls.FIXED, "score", "decision")})

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """All rows in the order of `parts`; a class column that a part does not have is NaN there."""
        names = max((part.columns for part in parts), key=len)
        return cls(
            {n: np.concatenate([p.columns.get(n, np.full(len(p), np.nan)) for p in parts]) for n in names},
        )

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


def _checked(columns: Mapping[str, Iterable[object]], names: Sequence[str], what: str) -> dict[str, np.ndarray]:
    """The columns in the order of `names`, as text, int64 or float64."""
    if set(columns) != set(names):
        odd = sorted(set(names) ^ set(columns))
        raise DataError(f"the columns of {what} do not fit: {', '.join(odd)}", expected=", ".join(names))
    kinds: dict[str, type] = {**dict.fromkeys(TEXT_COLUMNS, np.str_), **dict.fromkeys(INTEGER_COLUMNS, np.int64)}
    try:
        made: dict[str, np.ndarray] = {
            name: np.asarray(columns[name]).astype(kinds.get(name, np.float64)) for name in names
        }
    except ValueError as error:
        raise DataError(f"a column of {what} does not hold numbers: {error}") from error
    if len({len(column) for column in made.values()}) > 1:
        raise DataError(f"the columns of {what} are of unequal length")
    return made


def nine_digits(values: np.ndarray) -> np.ndarray:
    """Scores (n,) as they are scored: rounded to nine significant digits."""
    return np.array([f"{v:.9g}" for v in values.tolist()], dtype=object).astype(np.float64)


def _texts(name: str, column: np.ndarray, digits: bool) -> list[str]:
    if name in TEXT_COLUMNS:
        return column.tolist()
    if name == "seed":
        return ["" if v == ANY_SEED else str(v) for v in column.tolist()]
    if name in INTEGER_COLUMNS:
        return [str(v) for v in column.tolist()]
    if digits:
        return ["" if v != v else f"{v:.9g}" for v in column.tolist()]
    return ["" if v != v else str(int(v)) if v.is_integer() else repr(v) for v in column.tolist()]


def columns_text(columns: Mapping[str, np.ndarray], digits: Collection[str] = ()) -> str:
    """CSV with a head line; the columns named in `digits` are rounded to nine significant digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_texts(n, c, n in digits) for n, c in columns.items()), strict=True))
    return text.getvalue()


def _write(path: Path, columns: Mapping[str, np.ndarray], digits: set[str]) -> None:
    # Neither a time nor a name goes into the header: the same rows give the same bytes.
    Path(path).write_bytes(gzip.compress(columns_text(columns, digits).encode(), compresslevel=6, mtime=0))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        text = gzip.decompress(Path(path).read_bytes()).decode()
    except FileNotFoundError as error:
        raise DataError("the file is missing", where=str(path)) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path), expected="gzipped CSV") from error
    return read_columns(text, path)


def read_columns(text: str, path: Path) -> dict[str, np.ndarray]:
    """The columns of a CSV text of the file `path`, as text, int64 or float64.

    Raises:
        DataError: lines are of unequal length, or a field is no number.
    """
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise DataError("lines have unequal numbers of fields", where=str(path), expected="CSV with a head line")
    values = list(zip(*rows[1:], strict=True)) if len(rows) > 1 else [()] * len(rows[0])
    blank = {"seed": str(ANY_SEED)}
    columns = {}
    try:
        for name, column in zip(rows[0], values, strict=True):
            if name in TEXT_COLUMNS:
                columns[name] = np.array(column, dtype=np.str_)
            elif name in INTEGER_COLUMNS:
                columns[name] = np.array([int(v or blank.get(name, "")) for v in column], dtype=np.int64)
            else:
                columns[name] = np.array([float(v or "nan") for v in column], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"a field is no number: {error}", where=str(path)) from error
    return columns
