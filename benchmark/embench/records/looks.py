"""Wording of how often test subjects were scored, used everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from embench.records.ledger import methods_at
from embench.records.manifest import Manifest
from embench.records.record import RUN_FILE
from embench.records.wording import number_in_words

BOARDS = Path("leaderboards")


def published_among(run: Manifest, boards: Path = BOARDS) -> int | None:
    """The number of these methods that are entries of the leaderboards in a folder; None where the folder, or the log
    that `run` counts up to, is not on this machine."""
    if run.ledger is None or not isinstance(run.tried, Mapping) or not run.tried or not boards.is_dir():
        return None
    target = max(run.tried, key=lambda name: run.tried[name])  # type: ignore[index]
    methods = methods_at(run.ledger, run.dataset.name, run.protocol.name, target)
    if methods is None:
        return None
    rows = {path.parent.name for path in boards.glob(f"*/{run.protocol.name}/*/{RUN_FILE}")}
    return len({method for name, method in methods if name in rows})


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
    """How many of these methods are published entries and how many the user's own; empty where not known."""
    published, tried = published_among(run, boards), run.most_of("tried")
    if published is None or tried < 2:
        return ""
    own = tried - published
    if not own:
        return "all are entries of published leaderboards"
    if not published:
        return "none is an entry of a published leaderboard"
    entries = "one is an entry" if published == 1 else f"{published} are entries"
    return f"{entries} of published leaderboards, {number_in_words(own)} {'is' if own == 1 else 'are'} not"


def scored_and_whose(run: Manifest, boards: Path = BOARDS) -> str:
    """The clauses of `scored_in_words` and `whose_in_words` joined; empty where nothing was recorded."""
    return ": ".join(filter(None, [scored_in_words(run), whose_in_words(run, boards)]))
