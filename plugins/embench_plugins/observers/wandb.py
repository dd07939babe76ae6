"""Observer `wandb`: runs in the project `embench` of Weights & Biases.

Without an account nothing is sent: runs are written to `wandb/` in the working folder, and `wandb sync` sends them
later. They are sent at once after `wandb login`, with `WANDB_API_KEY`, or as `WANDB_MODE` says. `WANDB_PROJECT` and
W&B's other variables name another place.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import embench
from embench_plugins.observers.figures import final, library, numbers, settings, stage_name

PROJECT = "embench"
SERVER = "https://api.wandb.ai"


class WandB:
    """One run of W&B for each run, under the same id; a run that is repeated goes on where it was."""

    def __init__(self) -> None:
        self._mode = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
        if self._mode != "online":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # nothing leaves this machine unasked
        self._wandb = library("wandb", "Weights & Biases", "wandb")
        self._runs: dict[str, Any] = {}

    @embench.hookimpl
    def run_started(self, run: Mapping[str, Any]) -> None:
        """A run with its settings as config."""
        self._runs[run["id"]] = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run["id"],
            name=run["id"],
            config=settings(run),
            dir=os.environ.get("WANDB_DIR") or Path.cwd(),  # W&B's default is the folder of the process's first run
            mode=self._mode,
            resume="allow" if self._mode == "online" else None,
            reinit="create_new",
            settings=self._wandb.Settings(console="off", silent=True),
        )

    @embench.hookimpl
    def stage_started(self, stage: Mapping[str, Any]) -> None:
        """The figures of a stage are drawn over its own epochs."""
        for run in stage["runs"]:
            name = stage_name(stage)
            self._runs[run].define_metric(f"{name}/*", step_metric=f"{name}/epoch")

    @embench.hookimpl
    def epoch_ended(self, stage: Mapping[str, Any], epoch: int, figures: Mapping[str, Any]) -> None:
        """Figures of an epoch as `stage/figure`."""
        self._log(stage, {"epoch": epoch, **numbers(figures)})

    @embench.hookimpl
    def stage_ended(self, stage: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        """Logs the cost of a stage, as `stage/stage.figure`."""
        self._log(stage, {f"stage.{name}": value for name, value in numbers(figures).items()})

    @embench.hookimpl
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Final scores in the summary, as `target/metric/mean`, `low` and `high`."""
        mine = self._runs.pop(run["id"])
        mine.summary.update(final(scores))
        mine.finish()

    def _log(self, stage: Mapping[str, Any], values: Mapping[str, float]) -> None:
        for run in stage["runs"]:
            self._runs[run].log({f"{stage_name(stage)}/{name}": value for name, value in values.items()})


def _logged_in() -> bool:
    """True if W&B has a key for its server."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    server = urlsplit(os.environ.get("WANDB_BASE_URL") or SERVER).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(server) is not None
    except (OSError, netrc.NetrcParseError):
        return False
