"""The annotations beside a WFDB record, such as `100.atr` beside `100.hea`."""

from __future__ import annotations

from pathlib import Path

from embench.errors import DataError
from embench_plugins.datasets.formats.tracks import damaged

_OTHERS = (".hea", ".dat", ".mat", ".edf", ".bdf", ".txt", ".csv", ".xws")


def wfdb_note_files(path: Path) -> list[Path]:
    """The files of a record's annotations, by the path of its header; none of any other file."""
    if path.suffix.lower() != ".hea":
        return []
    beside = (p for p in sorted(path.parent.glob(f"{path.stem}.*")) if p.suffix[1:].isalpha() and p.stem == path.stem)
    return [p for p in beside if p.suffix.lower() not in _OTHERS and p.is_file() and _is_annotation(p)]


def wfdb_notes(path: Path) -> dict[str, list[tuple[float, str]]]:
    """Seconds from the first sample and texts of annotations, by the ending of their file: the note that was written,
    or the symbol where there is none. Raises DataError where a file is damaged."""
    found = {}
    for file in wfdb_note_files(path):
        try:
            import wfdb
        except ImportError as error:
            hint = "pip install wfdb"
            raise DataError("WFDB annotations need the wfdb package", where=str(file), hint=hint) from error
        try:
            read = wfdb.rdann(str(path.with_suffix("")), file.suffix[1:])
            rate = float(read.fs or wfdb.rdheader(str(path.with_suffix(""))).fs)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OSError) as error:
            raise damaged(file, f"not readable as annotations: {error}") from error
        notes = read.aux_note or [""] * len(read.sample)
        texts = [note.strip("\0 ") or symbol for note, symbol in zip(notes, read.symbol, strict=True)]
        found[file.suffix[1:]] = sorted(zip((read.sample / rate).tolist(), texts, strict=True))
    return found


def _is_annotation(path: Path) -> bool:
    """True if a file ends as annotations do, with two bytes of 0, and has whole words of two bytes."""
    size = path.stat().st_size
    if size < 2 or size % 2:
        return False
    with path.open("rb") as file:
        file.seek(size - 2)
        return file.read() == b"\0\0"
