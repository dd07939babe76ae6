"""Entries of the leaderboards, read from their folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embench.errors import CheckFailed, DataError
from embench.files import parse_json, read_text
from embench.leaderboard.export import SUMMANDS_FILE, board_name, why_not_publishable
from embench.records import audit as audits
from embench.records.manifest import Manifest
from embench.records.names import private_fields
from embench.records.record import read_manifest, read_scores
from embench.statistics.ranking import Summands


@dataclass(frozen=True)
class LeaderboardEntry:
    """One published run; `audit` is None where it was not audited, `summands` (by target) empty where the entry does
    not hold them."""

    folder: Path
    run: Manifest
    scores: dict[str, Any]
    audit: dict[str, Any] | None = None
    summands: Mapping[str, Summands] = field(default_factory=dict)

    @property
    def board(self) -> str:
        """The name of the leaderboard that the entry belongs to."""
        return board_name(self.run.dataset.name)

    @property
    def targets(self) -> list[str]:
        """The names of the targets scored."""
        return list(self.scores["headlines"])

    def score(self, target: str, metric: str) -> dict[str, Any] | None:
        """The model's number, None where it is undefined or was not computed."""
        return defined_score(self.scores["scores"].get(target, {}).get(metric))


def defined_score(number: dict[str, Any] | None) -> dict[str, Any] | None:
    """`number` as `scores.json` holds it, or None where it is absent or undefined."""
    return None if number is None or "undefined" in number else number


def load_entries(root: Path) -> list[LeaderboardEntry]:
    """All entries below `root`/<dataset>/<protocol>/<run-id>/, in the order of these names.

    Raises:
        DataError: one is damaged, or lies in a folder of another dataset, protocol or run.
        CheckFailed: one may not be published at all.
    """
    entries = []
    for path in sorted(Path(root).glob("*/*/*/run.yaml")):
        folder = path.parent
        if folder.name.startswith("."):
            continue  # one that was being written when its process died
        run, scores = read_manifest(folder), read_scores(folder)
        named = board_name(run.dataset.name), run.protocol.name, run.id
        if folder.parts[-3:] != named:
            raise DataError("an entry lies in the wrong folder", where=str(folder), expected="/".join(named))
        if places := private_fields(run.content()):
            raise CheckFailed(
                "an entry names files that nobody else has",
                where=f"{path}, {', '.join(places)}",
                expected="no such field",
            )
        if reasons := why_not_publishable(run):
            raise CheckFailed(f"this entry cannot be on a leaderboard: {'; '.join(reasons)}", where=str(folder))
        entries.append(LeaderboardEntry(folder, run, scores, audits.read_audit(folder), _summands(folder)))
    return entries


def _summands(folder: Path) -> dict[str, Summands]:
    """Target -> what groups of subjects add to the headline, as `export` wrote it."""
    path = folder / SUMMANDS_FILE
    if not path.is_file():
        return {}
    try:
        return {target: Summands.of_json(kept) for target, kept in parse_json(read_text(path)).items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError("the file is damaged", where=str(path), expected="as `embench` wrote it") from error
