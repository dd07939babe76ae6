"""Publication of folders of runs as leaderboard entries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from embench.errors import CheckFailed
from embench.leaderboard.export import DatasetKey, export_entry, why_not_publishable
from embench.records.record import read_manifest


def finished_runs(runs: Path) -> list[Path]:
    """The folders of all finished runs below `runs`/<dataset>/, by name."""
    return sorted(path.parent for path in Path(runs).glob("*/*/run.yaml"))


def publish_runs(
    folders: Iterable[Path], boards: Path, key: DatasetKey, ethics: str | None = None
) -> tuple[list[Path], dict[Path, list[str]]]:
    """The entries made of these runs, and the runs that cannot be on a leaderboard, with the reasons.

    Args:
        key, ethics: see `embench.leaderboard.export.export_entry`.

    Raises:
        DataError: a run's folder is incomplete. MachineError: an entry cannot be written.
    """
    entries, refused = [], {}
    for folder in folders:
        if reasons := why_not_publishable(read_manifest(folder)):
            refused[folder] = reasons
            continue
        try:
            entries.append(export_entry(folder, boards, key=key, ethics=ethics))
        except CheckFailed as error:  # its labels could be told, or a file was edited, or names a place
            refused[folder] = [error.what]
    return entries, refused
