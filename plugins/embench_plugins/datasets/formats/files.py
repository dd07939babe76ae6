"""What readers of a release share: who and what is in its folder, tables of text, and errors that say what is not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Label, Recording, Signal

_LONGEST_HEADER = 1 << 16
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".gz", ".rar", ".7z")


def not_this(root: Path, title: str, *, expected: str, hint: str) -> DataError:
    """The error of a folder without a dataset's files: it is not there, its archives are packed, or what it holds."""
    if not root.is_dir():
        return DataError("there is no such folder", where=str(root), expected=expected, hint=hint)
    names = sorted(path.relative_to(root).as_posix() for path in _shallow(root))
    packed = [name for name in names if name.lower().endswith(ARCHIVES)]
    if packed:
        return DataError(
            f"the archives of {title} are not unpacked: {', '.join(packed[:3])}",
            where=str(root),
            expected=expected,
            hint=f"in this folder: {_unpack(packed[0])}" + (", and the others likewise" if len(packed) > 1 else ""),
        )
    found = f", but {', '.join(names[:5])}" if names else ": the folder is empty"
    return DataError(f"no file of {title} is here{found}", where=str(root), expected=expected, hint=hint)


def inside(root: Path, pattern: str) -> Path:
    """The folder in which a name of `pattern` lies: the one given, or one inside it, as an archive unpacks."""
    deeper = sorted(root.glob(f"*/{pattern}")) if root.is_dir() else []
    return deeper[0].parent if deeper and not any(root.glob(pattern)) else root


def some(found: Iterable[str], root: Path, title: str, *, expected: str, hint: str) -> list[str]:
    """The subjects that were found in a folder. Raises DataError where there is none, which says what is there."""
    if not (people := list(found)):
        raise not_this(root, title, expected=expected, hint=hint)
    return people


def known(subject: str, people: Collection[str], where: Path, *, expected: str | None = None, hint: str) -> str:
    """A subject who is one of `people`. Raises DataError for another."""
    if subject not in people:
        raise DataError(f"there is no person {subject}", where=str(where), expected=expected, hint=hint)
    return subject


def whole_session(
    subject: str, duration_s: float, signals: Mapping[str, Signal], labels: Mapping[str, Label]
) -> Recording:
    """The recording of a subject's one session, from its start to its end."""
    return Recording(subject, subject, "session", "session", duration_s, subject, 0.0, 0, signals, labels=labels)


def look_over(
    found: Sequence[str], people: Sequence[str], where: Path, look: Callable[[str], Iterable[Finding]]
) -> list[Finding]:
    """Findings on a folder: which of the release's `people` are missing, and what `look` finds of each who is here; an
    error where it cannot read them."""
    findings = []
    if missing := [person for person in people if person not in found]:
        what = f"{len(found)} of {len(people)} subjects are here, not {', '.join(missing)}"
        findings.append(Finding("note", str(where), what))
    for subject in found:
        try:
            findings += look(subject)
        except DataError as error:
            findings.append(Finding("error", error.where or subject, error.what))
    return findings


def who(path: Path, columns: tuple[str, str, str], separator: str = ",") -> dict[str, dict[str, str]]:
    """Sex and age band by subject, from a table with the columns of name, age and sex; empty where it cannot be read:
    nothing depends on it."""
    try:
        read = text_table(path, columns, expected="a table", hint="", separator=separator)
    except DataError:
        return {}
    info: dict[str, dict[str, str]] = {}
    for name, age, sex in read.astype(str).itertuples(index=False):
        info[name] = one = {}
        if sex.lower() in ("m", "f"):
            one["sex"] = "male" if sex.lower() == "m" else "female"
        if 10 <= (years := pd.to_numeric(age, "coerce")) < 200:
            one["age_band"] = f"{int(years) // 10}0-{int(years) // 10}9"
    return info


def as_float32(values: np.ndarray) -> np.ndarray:
    """A copy whose rows are contiguous; what is no number, or too large for float32, is NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        copied = np.array(values, np.float32, order="C")
    copied[~np.isfinite(copied)] = np.nan
    return copied


def table(
    path: Path, columns: Sequence[str] | None = None, *, expected: str, hint: str, separator: str = ","
) -> pd.DataFrame:
    """A table of numbers with a header as float64, in the order of `columns`; an empty cell is NaN.

    Args:
        columns: the names of those that are read; None: all.

    Raises:
        DataError: it is missing, empty, no such table, or a cell is no number.
    """
    read = text_table(path, columns, expected=expected, hint=hint, separator=separator)
    return numbers(read, path, expected=expected, hint=hint)


def numbers(read: pd.DataFrame, path: Path, *, expected: str, hint: str) -> pd.DataFrame:
    """Columns that were read from `path` as float64; DataError names the first cell that is no number."""
    converted = {}
    for name in read.columns:
        values = pd.to_numeric(read[name], errors="coerce")
        if wrong := read.index[values.isna() & read[name].notna()].tolist():
            what = f"column {name}, row {wrong[0] + 1}: `{str(read[name][wrong[0]])[:40]}` is no number"
            raise DataError(what, where=str(path), expected=expected, hint=hint)
        converted[name] = values.astype(np.float64)
    return pd.DataFrame(converted, index=read.index)


def text_table(
    path: Path, columns: Sequence[str] | None = None, *, expected: str, hint: str, separator: str = ","
) -> pd.DataFrame:
    """A table with a header, each column as pandas reads it; an empty cell is missing. Names are stripped of spaces.

    Raises:
        DataError: the file is missing or is no such table; it states `expected` and `hint`.
    """

    def wrong(what: str) -> DataError:
        return DataError(what, where=str(path), expected=expected, hint=hint)

    if not path.is_file():
        raise wrong("the file is missing")
    with path.open("rb") as file:  # pandas takes minutes to tell so many columns apart
        if len(file.readline(_LONGEST_HEADER)) == _LONGEST_HEADER:
            raise wrong(f"its first line is over {_LONGEST_HEADER:,} bytes long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            read = pd.read_csv(
                path, sep=separator, encoding="utf-8-sig", encoding_errors="replace", low_memory=False, index_col=False
            )
    except (ValueError, OverflowError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise wrong(f"not readable as a table: {error}") from error
    read.columns = [str(name).strip() for name in read.columns]
    if twice := sorted(set(read.columns[read.columns.duplicated()])):
        raise wrong(f"two columns are called {', '.join(twice[:3])}")
    if missing := [name for name in columns or () if name not in read.columns]:
        raise wrong(f"no column {', '.join(missing)}, but {', '.join(read.columns[:12])}")
    if read.empty:
        raise wrong("the table has no rows")
    return read if columns is None else read[list(columns)]


def _shallow(root: Path) -> Iterable[Path]:
    """What lies in a folder and in its folders."""
    for path in root.iterdir():
        yield path
        if path.is_dir():
            yield from path.iterdir()


def _unpack(name: str) -> str:
    if name.lower().endswith((".tar", ".tar.gz", ".tgz")):
        return f"tar xf '{name}'"
    if name.lower().endswith(".zip"):
        return f"unzip '{name}'"
    return f"unpack '{name}'"
