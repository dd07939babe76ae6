"""What `data new` found in a folder and did not use, each with the reason."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from embench.errors import DataError
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.found import Kind
from embench_plugins.datasets.own.paths import Template

_SIDECARS = (".vmrk", ".eeg", ".dat", ".json", ".fdt")
_COMPUTED = {"IBI.csv": "beats that the wristband found", "HR.csv": "heart rate that the wristband found"}
_TEXTS = (".md", ".pdf", ".docx", ".doc", ".rtf", ".odt", ".html", ".py", ".r", ".m", ".sps")
_ARCHIVES = (".zip", ".gz", ".7z", ".tar", ".rar")
_MEDIA = (".mp4", ".avi", ".mov", ".wav", ".mp3", ".png", ".jpg", ".jpeg")
_MOST_GROUPS, _MOST_NAMES = 12, 4
_MOST_TABLES = 400


def unused_files(
    root: Path, files: Sequence[Path], used: Sequence[Kind], names: Iterable[str], why: Mapping[str, str]
) -> list[str]:
    """Files that nothing uses, as `name (reason)`, files of one reason together.

    Args:
        names: paths with names in braces of tables that are used.
        why: path with names in braces -> the reason why it is not used.
    """
    pieces = [part for kind in used for part in (kind, *kind.parts)]
    taken = {path for kind in pieces for path in kind.paths}
    taken |= {folder / name for kind in pieces if kind.worn for folder in kind.paths for name in e4.FILES.values()}
    for text in names:
        taken |= {path for path, _ in Template(text).matches(root)}
    said = {path: reason for text, reason in why.items() for path, _ in Template(text).matches(root)}
    stems = {path.with_suffix("") for path in taken}
    groups: dict[str, list[str]] = defaultdict(list)
    for path in files:
        beside = path.suffix.lower() in _SIDECARS and path.with_suffix("") in stems
        of_bids = any(kind.bids for kind in pieces) and len(path.relative_to(root).parts) > 1
        if path not in taken and not beside and not of_bids:
            groups[said.get(path) or _reason(path)].append(path.relative_to(root).as_posix())
    listed = [f"{_names(paths)} ({reason})" for reason, paths in groups.items()]
    more = len(listed) - _MOST_GROUPS
    return listed[:_MOST_GROUPS] + ([f"and others of {more} kinds"] if more > 0 else [])


def no_recordings(root: Path, files: Sequence[Path]) -> DataError:
    """The error on a folder in which no recordings are found: what is there instead, and what to do."""
    if archives := [path for path in files if path.suffix.lower() in _ARCHIVES]:
        return DataError(
            f"no recordings are found, but {len(archives)} archives, such as {archives[0].name}",
            where=str(root),
            expected="files of signals in folders",
            hint="unpack each into a folder of its name, for example by "
            '`for f in *.zip; do unzip -d "${f%.zip}" "$f"; done`, then run `embench data new` again',
        )
    what, named = "no recordings are found", defaultdict[tuple[str, ...], list[Path]](list)
    for path in [path for path in files if path.suffix.lower() in tables.SUFFIXES][:_MOST_TABLES]:
        with contextlib.suppress(DataError):
            named[tuple(tables.dialect(path).names)].append(path)
    if named:
        names, own = max(named.items(), key=lambda each: len(each[1]))
        listed = ", ".join(names[:8]) + (", .." if len(names) > 8 else "")
        what += f": none of the columns of {len(own)} tables such as {own[0].relative_to(root)} ({listed}) is a signal"
    return DataError(
        what,
        where=str(root),
        expected="EDF, BDF, WFDB, BrainVision, XDF, AcqKnowledge, CSV or Parquet files with one path for each "
        "recording, Empatica E4 exports, or BIDS",
        hint="name columns by what they are (EDA, ECG, ..), or write dataset.yaml by hand: its page has examples",
    )


def all_in_one(path: Path, column: str, people: Sequence[str]) -> DataError:
    """The error on one table with the signals of several participants."""
    command = f"for who, rows in table.groupby({column!r}): rows.to_csv(f'{{who}}.csv', index=False)"
    return DataError(
        f"{path.name} has the signals of {len(people)} participants (column {column}: {', '.join(people[:3])}, ..)",
        where=str(path),
        expected="a file for each participant",
        hint=f"divide it, for example with pandas in a new folder: {command}",
    )


def _names(paths: Sequence[str]) -> str:
    """Paths in a few words: those of one name once, with their number."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[path.rpartition("/")[2]].append(path)
    texts = [f"{len(own)} files {name}" if len(own) > 1 else own[0] for name, own in found.items()]
    more = len(texts) - _MOST_NAMES
    return ", ".join(texts[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _reason(path: Path) -> str:
    """Why a file is not used, by its name, or by what is wrong with it as a table."""
    suffix = path.suffix.lower()
    if path.name == "tags.csv":
        return "presses of the button, which name no stimulus"
    if path.name in _COMPUTED:
        return _COMPUTED[path.name]
    if suffix in _ARCHIVES:
        return "archives: unpack them, then run `embench data new` again"
    if suffix == ".xls":
        return "an old Excel file: save it as .xlsx or CSV"
    if suffix in _MEDIA:
        return "pictures, sound or video"
    if suffix in _TEXTS or path.name.lower() in ("info.txt", "readme.txt", "readme", "license"):
        return "texts"
    if suffix not in tables.SUFFIXES:
        return f"{suffix or 'no ending'}: not a format of recordings or tables that embench reads"
    try:
        rows = tables.rows(path)
    except DataError as error:
        return f"{error.what}: {error.hint}" if error.hint else error.what
    return "texts" if rows.shape[1] < 2 else "neither signals nor a table that names the participants"
