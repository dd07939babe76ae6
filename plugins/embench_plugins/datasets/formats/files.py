"""Helpers for readers of a release: subjects and files in a folder, tables of text, and errors for what is missing."""

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


def missing_dataset_error(root: Path, title: str, *, expected: str, hint: str) -> DataError:
    """Return the error for a folder without a dataset's files. It says if the folder is missing, holds unpacked
    archives, or holds other files."""
    if not root.is_dir():
        return DataError("there is no such folder", where=str(root), expected=expected, hint=hint)
    names = sorted(path.relative_to(root).as_posix() for path in _list_nearby(root))
    packed = [name for name in names if name.lower().endswith(ARCHIVES)]
    if packed:
        return DataError(
            f"the archives of {title} are not unpacked: {', '.join(packed[:3])}",
            where=str(root),
            expected=expected,
            hint=f"in this folder: {_make_command(packed[0])}"
            + (", and the others likewise" if len(packed) > 1 else ""),
        )
    found = f", but {', '.join(names[:5])}" if names else ": the folder is empty"
    return DataError(f"no file of {title} is here{found}", where=str(root), expected=expected, hint=hint)


def find_data_folder(root: Path, pattern: str) -> Path:
    """Return the folder with a file of `pattern`: `root`, or the subfolder that unpacking an archive made."""
    deeper = sorted(root.glob(f"*/{pattern}")) if root.is_dir() else []
    return deeper[0].parent if deeper and not any(root.glob(pattern)) else root


def require_subjects(found: Iterable[str], root: Path, title: str, *, expected: str, hint: str) -> list[str]:
    """Return the subjects that were found in a folder. Raises DataError if there are none."""
    if not (people := list(found)):
        raise missing_dataset_error(root, title, expected=expected, hint=hint)
    return people


def check_subject(subject: str, people: Collection[str], where: Path, *, expected: str | None = None, hint: str) -> str:
    """Return `subject` if it is one of `people`. Raises DataError otherwise."""
    if subject not in people:
        raise DataError(f"there is no person {subject}", where=str(where), expected=expected, hint=hint)
    return subject


def make_session_recording(
    subject: str, duration_s: float, signals: Mapping[str, Signal], labels: Mapping[str, Label]
) -> Recording:
    """Return the recording of a subject's one session, from its start to its end."""
    return Recording(subject, subject, "session", "session", duration_s, subject, 0.0, 0, signals, labels=labels)


def collect_findings(
    found: Sequence[str], people: Sequence[str], where: Path, list_findings: Callable[[str], Iterable[Finding]]
) -> list[Finding]:
    """Return findings on a folder: one that lists the `people` who are not in `found`, if any, and what `list_findings`
    yields for each subject in `found`. A DataError of a subject becomes a finding."""
    findings = []
    if missing := [person for person in people if person not in found]:
        what = f"{len(found)} of {len(people)} subjects are here, not {', '.join(missing)}"
        findings.append(Finding("note", str(where), what))
    for subject in found:
        try:
            findings += list_findings(subject)
        except DataError as error:
            findings.append(Finding("error", error.where or subject, error.what))
    return findings


def read_subject_info(path: Path, columns: tuple[str, str, str], separator: str = ",") -> dict[str, dict[str, str]]:
    """Return sex and age band by subject, from a table with columns for name, age and sex. Empty if the table cannot be
    read, as nothing depends on it."""
    try:
        table = read_text_table(path, columns, expected="a table", hint="", separator=separator)
    except DataError:
        return {}
    info: dict[str, dict[str, str]] = {}
    for name, age, sex in table.astype(str).itertuples(index=False):
        info[name] = about = {}
        if sex.lower() in ("m", "f"):
            about["sex"] = "male" if sex.lower() == "m" else "female"
        if 10 <= (years := pd.to_numeric(age, "coerce")) < 200:
            about["age_band"] = f"{int(years) // 10}0-{int(years) // 10}9"
    return info


def to_float32(values: np.ndarray) -> np.ndarray:
    """Return a contiguous float32 copy. Values that are not finite, or too large for float32, become NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        copied = np.array(values, np.float32, order="C")
    copied[~np.isfinite(copied)] = np.nan
    return copied


def read_table(
    path: Path, columns: Sequence[str] | None = None, *, expected: str, hint: str, separator: str = ","
) -> pd.DataFrame:
    """Return a table of numbers with a header as float64, in the order of `columns`; an empty cell is NaN.

    Args:
        columns: names of the columns to read; None for all.

    Raises:
        DataError: the file is missing, empty or not such a table, or a cell is not a number.
    """
    read = read_text_table(path, columns, expected=expected, hint=hint, separator=separator)
    return to_numbers(read, path, expected=expected, hint=hint)


def to_numbers(read: pd.DataFrame, path: Path, *, expected: str, hint: str) -> pd.DataFrame:
    """Return the columns of a table read from `path` as float64. Raises DataError for a cell that is not a number."""
    converted = {}
    for name in read.columns:
        values = pd.to_numeric(read[name], errors="coerce")
        if wrong := read.index[values.isna() & read[name].notna()].tolist():
            what = f"column {name}, row {wrong[0] + 1}: `{str(read[name][wrong[0]])[:40]}` is not a number"
            raise DataError(what, where=str(path), expected=expected, hint=hint)
        converted[name] = values.astype(np.float64)
    return pd.DataFrame(converted, index=read.index)


def read_text_table(
    path: Path, columns: Sequence[str] | None = None, *, expected: str, hint: str, separator: str = ","
) -> pd.DataFrame:
    """Return a table with a header, with cells as pandas reads them and an empty cell missing. Spaces around column
    names are removed.

    Raises:
        DataError: the file is missing or is not such a table; `expected` and `hint` are part of the message.
    """

    def wrong(what: str) -> DataError:
        return DataError(what, where=str(path), expected=expected, hint=hint)

    if not path.is_file():
        raise wrong("the file is missing")
    with path.open("rb") as file:  # pandas would take minutes to parse so many columns
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


def _list_nearby(root: Path) -> Iterable[Path]:
    """Yield the entries of a folder and of its subfolders."""
    for path in root.iterdir():
        yield path
        if path.is_dir():
            yield from path.iterdir()


def _make_command(name: str) -> str:
    if name.lower().endswith((".tar", ".tar.gz", ".tgz")):
        return f"tar xf '{name}'"
    if name.lower().endswith(".zip"):
        return f"unzip '{name}'"
    return f"unpack '{name}'"
