"""Observer `lab_notebook`: a line for each run in `notebook.md` of the working folder.

It says when the run ended, how long it took, what it was, at which commit of the working folder (with a `+` where files
were changed since), and its primary metric with the interval. The file is a Markdown table, to be kept with the code;
lines of your own between are left alone.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import embench

NOTEBOOK = Path("notebook.md")
HEADS = ("ended", "minutes", "run", "dataset", "targets", "modalities", "commit", "primary_metric")
FIRST = "# Notebook\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in (HEADS, ["---"] * len(HEADS)))


class LabNotebook:
    """Appends when a run ends; one that breaks off leaves no line."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    @embench.hookimpl
    def run_started(self, run: Mapping[str, Any]) -> None:
        """Remembers when."""
        self._begun[run["id"]] = time.monotonic()

    @embench.hookimpl
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Writes the line."""
        minutes = (time.monotonic() - self._begun.pop(run["id"])) / 60
        cells = [
            datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            f"{minutes:.1f}",
            f"`{run['id']}`",
            str(run.get("dataset", "")).rpartition("/")[2],
            ", ".join(map(str, run.get("targets", ()))),
            ", ".join(run.get("modalities", ())),
            _commit(),
            _primary_metrics(embench.Scores(scores)),
        ]
        if not NOTEBOOK.exists():
            NOTEBOOK.write_text(FIRST, encoding="utf-8")
        with NOTEBOOK.open("a", encoding="utf-8") as file:
            file.write(f"| {' | '.join(cells)} |\n")


def _primary_metrics(scores: embench.Scores) -> str:
    parts = []
    for target, metric in scores.primary_metrics.items():
        score = scores.get_score(target, metric)
        interval = f" [{score.low:.3f}, {score.high:.3f}]" if score and score.low is not None else ""
        parts.append(f"{target} {metric} {f'{score.mean:.3f}{interval}' if score else 'undefined'}")
    return "; ".join(parts)


def _commit() -> str:
    """The commit of the working folder, `-` where it is in no repository."""
    answers = [_git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")]
    return f"{answers[0]}{'+' if answers[1] else ''}" if answers[0] else "-"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
