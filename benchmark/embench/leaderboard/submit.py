"""Preparation of the files of a pull request from finished runs: only what a board takes, checked before writing."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from embench.errors import CheckFailed
from embench.files import aside, replace_folder, saving, temporary, write_whole
from embench.leaderboard.alike import already_there, unlike
from embench.leaderboard.checks import check_boards, failures
from embench.leaderboard.export import DatasetKey, entry_folder, publish_runs, why_not_publishable
from embench.leaderboard.history import digest_or_place
from embench.leaderboard.packages import NOBODY, PUBLISH, not_for_others
from embench.protocols import protocol_names
from embench.records.audit import read_audit
from embench.records.entry import SHARED_FOLDER, shared_files
from embench.records.manifest import Manifest
from embench.records.record import read_manifest
from embench.records.seeds import seeds_not_taken


def why_not_submitted(run: Manifest, boards: Path, *, leaking: bool = False) -> list[str]:
    """The reasons why a run cannot be sent to a board, if any, as far as they show without an audit.

    Args:
        leaking: whether its author knows that its protocol leaks.
    """
    if run.entry is not None:
        return ["it is an entry already; submit takes the folder of a run"]
    return _why_not_for_others(run, boards, leaking)


def _why_not_for_others(run: Manifest, boards: Path, leaking: bool) -> list[str]:
    reasons, protocol = why_not_publishable(run), run.protocol.name
    if entry_folder(boards, run).exists():
        reasons.append(f"{boards} has this entry already")
    if protocol not in protocol_names():
        reasons.append(f"its protocol {protocol} is not one of the published ones")
    if run.protocol.leaks and not leaking:
        reasons.append(f"its protocol {protocol} leaks; with --leaking it is listed all the same, without a rank")
    if seeds := seeds_not_taken(run):
        reasons.append(f"its seeds are {seeds}")
    if run.config.get("pretrained"):
        reasons.append("it starts from weights that nobody else has")
    return [*reasons, *not_for_others(run)]


def other_subjects(run: Manifest, boards: Path) -> str | None:
    """A sentence on a run of another number of people than all rows of its protocol here; None where one is of as many,
    or there is none."""
    counts, own = Counter(read_manifest(entry).cohort.people for entry in _beside(run, boards)), run.cohort.people
    if not counts or own in counts:
        return None
    usual, rows = counts.most_common(1)[0]
    return (
        f"{run.id} is of {own} people, and {rows} of {counts.total()} entries of {usual}: it gets its own leaderboard"
    )


def _beside(run: Manifest, boards: Path) -> list[Path]:
    """The folders of the other entries of a run's board."""
    folder = entry_folder(boards, run)
    return [path.parent for path in sorted(folder.parent.glob("*/run.yaml")) if path.parent != folder]


def severe_findings(audit: Mapping[str, Any] | None) -> list[str]:
    """Sentences on the severe findings of an audit, which keep a run from a board."""
    found = (audit or {"findings": []})["findings"]
    return [f"its audit is severe: {f['what']} [{f['check']}]" for f in found if f["severity"] == "severe"]


def submit_runs(
    folders: Sequence[Path], boards: Path, key: DatasetKey, data_root: Path | None = None, ethics: str | None = None
) -> list[Path]:
    """Writes the entries of audited runs, once all of them have passed every check, and returns the files that are new.

    Args:
        key, ethics: see `embench.leaderboard.export.export_entry`.

    Raises:
        CheckFailed: a run is refused; nothing is written. MachineError: the disk refuses.
    """
    reasons = {folder: severe_findings(read_audit(folder)) for folder in folders}
    refuse({folder: found for folder, found in reasons.items() if found})
    with tempfile.TemporaryDirectory(prefix="embench-submit-") as trial:
        refuse(publish_runs(folders, Path(trial), key, ethics)[1])
        drafts = {folder: entry_folder(Path(trial), read_manifest(folder)) for folder in folders}
        wrong = {folder: _why_not_beside(entry, boards, data_root) for folder, entry in drafts.items()}
        refuse({folder: found for folder, found in wrong.items() if found})
        return [path for entry in drafts.values() for path in _take(entry, boards)]


def submit_entry(
    entry: Path, boards: Path, data_root: Path | None = None, *, leaking: bool = False
) -> list[Path] | None:
    """Writes an entry that was made elsewhere, once it has passed every check of `submit_runs`, and returns the files
    that are new; None where the boards have it already.

    Raises:
        CheckFailed: it is refused; nothing is written. DataError: it is damaged. MachineError: the disk refuses.
    """
    run, audit = read_manifest(entry), read_audit(entry)
    place = entry_folder(boards, run)
    if place.exists() and digest_or_place(place) == digest_or_place(entry):
        return None
    reasons = [*_why_not_for_others(run, boards, leaking), *severe_findings(audit)]
    reasons += [] if audit else ["it was not audited"]
    if reasons := reasons or _why_not_beside(entry, boards, data_root):
        refuse({entry: reasons})
    return _take(entry, boards)


def _why_not_beside(entry: Path, boards: Path, data_root: Path | None) -> list[str]:
    """The reasons why an entry that is no part of the boards yet cannot stand there, as its files and others show."""
    beside = _beside(read_manifest(entry), boards)
    if same := already_there(entry, beside):
        return [f"already there: {same}"]
    if wrong := failures(check_boards(entry, data_root)):
        return [f"{check.check}: {check.reason}" for check in wrong]
    return unlike(entry, beside)


def _take(entry: Path, boards: Path) -> list[Path]:
    """Copies an entry, and what it shares, below `boards`; the files that are new."""
    run = read_manifest(entry)
    place = entry_folder(boards, run)
    shared = place.parents[1] / SHARED_FOLDER  # as `boards` is written
    with saving("the entry", place), temporary(aside(place)) as whole:
        common = shared_files(entry, run.entry) if run.entry else ()
        needed = [path for path in common if not (shared / path.name).exists()]
        shared.mkdir(parents=True, exist_ok=True)
        for path in needed:
            write_whole(shared / path.name, partial(shutil.copyfile, path))
        shutil.copytree(entry, whole, copy_function=shutil.copyfile)
        replace_folder(place, whole)
    return [*sorted(place.iterdir()), *(shared / path.name for path in needed)]


def refuse(reasons: Mapping[Path, Sequence[str]]) -> None:
    """Raises CheckFailed where a run has any reasons."""
    if reasons:
        raise CheckFailed(
            "; ".join(f"{folder.name}: {reason}" for folder, found in reasons.items() for reason in found),
            where=", ".join(map(str, reasons)),
            expected="finished runs that a leaderboard takes; nothing was written",
            hint=PUBLISH if any(NOBODY in reason for found in reasons.values() for reason in found) else None,
        )
