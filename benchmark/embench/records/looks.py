"""Wording of how often test subjects were scored, used everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from embench.records.ledger import methods_at
from embench.records.manifest import Manifest
from embench.records.names import board_name
from embench.records.record import RUN_FILE

BOARDS = Path("leaderboards")


def published_among(run: Manifest, boards: Path = BOARDS) -> int | None:
    """The number of these methods that are entries of the leaderboards in a folder; None where the folder, or the log
    that `run` counts up to, is not on this machine."""
    own = _own_methods(run)
    if own is None or not boards.is_dir():
        return None
    rows = _published(run, boards)
    return len({method for name, method in own if name in rows})


def _own_methods(run: Manifest) -> list[tuple[str, str]] | None:
    """(run, method) that the log of this machine counts; None where the log is not here."""
    if run.ledger is None or not isinstance(run.tried, Mapping) or not run.tried:
        return None
    target = max(run.tried, key=lambda name: run.tried[name])  # type: ignore[index]
    return methods_at(run.ledger, run.dataset.name, run.protocol.name, target)


def _published(run: Manifest, boards: Path) -> set[str]:
    """The entries on the same labels of leaderboards in a folder."""
    board = boards / board_name(run.dataset.name) / run.protocol.name
    return {path.parent.name for path in board.glob(f"*/{RUN_FILE}")}


def scored_in_words(run: Manifest) -> str:
    """A clause on how many methods were scored on the test subjects; empty where that was not recorded.

    The same words stand in published audits.
    """
    tried = run.most_of("tried")
    if not tried:
        return ""
    if run.dev:
        return f"{tried} {'method was' if tried == 1 else 'methods were'} scored on these test subjects"
    if tried == 1:
        return "no other method was scored on these test subjects before"
    return f"{tried} methods, including this one, were scored on these test subjects"


def whose_in_words(run: Manifest, boards: Path = BOARDS) -> str:
    """Clauses on whose methods these are. They are those of the people who made the run, some of which may be entries
    of leaderboards; entries of others are told apart. Empty where the log of the run is not here."""
    own, tried = _own_methods(run), run.most_of("tried")
    if own is None:
        return "counted by those who published this entry" if run.entry is not None and tried > 1 else ""
    clauses = []
    if tried > 1:
        published = published_among(run, boards) or 0
        entries = "one is an entry" if published == 1 else f"{published} are entries"
        of_these = f", of which {entries} of published leaderboards" if published else ""
        clauses.append(f"all by the authors of this result{of_these}")
    if others := len(_published(run, boards) - {name for name, _ in own}):
        entries = "one entry" if others == 1 else f"{others} entries"
        clauses.append(f"not counted: {entries} that others published on these labels")
    return "; ".join(clauses)


def scored_and_whose(run: Manifest, boards: Path = BOARDS) -> str:
    """The clauses of `scored_in_words` and `whose_in_words` joined; empty where nothing was recorded."""
    return ": ".join(filter(None, [scored_in_words(run), whose_in_words(run, boards)]))
