"""What Python functions show: the events of a run on stderr, and the plan of a dry run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from embench.callbacks import EventCallback
from embench.screen.plan import PlanPart, plan_text
from embench.screen.progress import Progress


@dataclass(frozen=True, repr=False)
class DryRun:
    """A plan, as `dry_run=True` returns it; its text is what `--dry-run` prints.

    Args:
        document: what `--dry-run --json` prints.
    """

    document: Mapping[str, Any]
    parts: Iterable[PlanPart]

    def __repr__(self) -> str:
        return plan_text(self.parts)


def watcher(shown: Progress | None) -> EventCallback:
    """The callback that shows events; without progress, notes on objects and what leaderboards reject."""

    def watch(event: Mapping[str, Any]) -> None:
        if shown:
            shown.event(event)
        elif event["event"] == "note" and ("leaderboards reject" in event["text"] or "note on" in event["text"]):
            sys.stderr.write(f"{event['text']}\n")

    return watch
