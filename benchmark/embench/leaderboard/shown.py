"""The part that boards show of entries, read from them or kept from before.

To read and check an entry takes a hundredth of a second, and boards have thousands. What is kept is named by the bytes
of all files that it follows from; where one has changed, or what is kept is damaged, the entry is read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embench.checksums import read_checked, write_checked
from embench.errors import CheckFailed
from embench.leaderboard.attestations import LEVEL_NAMES, attestation_folder, content_digest, digest_of_files
from embench.leaderboard.entries import (
    UNKNOWN_FILES,
    LeaderboardEntry,
    entry_folders,
    load_leaderboard_entry,
    load_run,
)
from embench.leaderboard.export import finished_runs, why_not_publishable
from embench.leaderboard.kept import kept_place
from embench.leaderboard.row import ShownEntry
from embench.leaderboard.rows import shown_entry
from embench.records.entry import shared_folder
from embench.records.wording import OF_SYNTHETIC_DATA

UNCHECKED = "nobody else has run or checked it"
"""Mark of a run that is not published."""
_SHOWN = TypeAdapter(ShownEntry)


def load_shown_entries(root: Path) -> list[ShownEntry]:
    """The part that boards show of all entries below `root`, in the order of their folders. Raises as `load_entries`
    does."""
    attested: dict[Path, list[str]] = {}
    entries = []
    for folder in entry_folders(root):
        beside = attestation_folder(folder)
        if beside not in attested:
            attested[beside] = sorted(path.name for path in beside.glob("*.json"))
        entries.append(_shown(folder, [beside / name for name in _of_entry(folder, attested[beside])]))
    return entries


def load_shown_runs(runs: Path) -> list[ShownEntry]:
    """The part that boards show of all finished runs below `runs`/<dataset>/, whether or not they may be published, but
    those that scored validation subjects. Runs on synthetic data have leaderboards of their own. Raises DataError,
    CheckFailed where the files of a run are not as they were written."""
    loaded = (load_run(folder, sealed=False) for folder in finished_runs(runs))
    return [_shown_run(run) for run in loaded if not run.run.dev]


def _shown_run(entry: LeaderboardEntry) -> ShownEntry:
    """The part that boards show of a run: its rows say why they have no rank, and that nobody has checked them."""
    shown, reasons = shown_entry(entry), why_not_publishable(entry.run)
    public = {UNKNOWN_FILES, LEVEL_NAMES[entry.evidence.level]}
    rows = {
        target: replace(row, marks=(UNCHECKED, *(mark for mark in row.marks if mark not in public), *reasons))
        for target, row in shown.rows.items()
    }
    board = f"{shown.board}{OF_SYNTHETIC_DATA}" if entry.run.dataset.synthetic is not None else shown.board
    return replace(shown, rows=rows, board=board)


def _of_entry(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """The attestations of the entry in `folder`, of sorted names."""
    start = f"{folder.parent.name}--{folder.name}--"
    return takewhile(lambda name: name.startswith(start), names[bisect_left(names, start) :])


def _shown(folder: Path, attestations: Sequence[Path]) -> ShownEntry:
    own = sorted(path for path in folder.iterdir() if path.is_file())
    place = kept_place("entries", *folder.absolute().parts[-3:], digest_of_files((*own, *attestations)))
    if content := read_checked(place):
        with suppress(ValidationError):
            found = replace(_SHOWN.validate_json(content), folder=folder)
            shared = shared_folder(folder)
            if found.content == content_digest(folder, [shared / name for name in found.shared]):
                return found
    entry = load_leaderboard_entry(folder)
    try:
        shown = shown_entry(entry)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # a document that nobody wrote so
        raise CheckFailed(
            f"a field is missing or is not what embench writes: {type(error).__name__}: {error}", where=str(folder)
        ) from error
    write_checked(place, _SHOWN.dump_json(shown, by_alias=True, exclude_unset=True))
    return shown
