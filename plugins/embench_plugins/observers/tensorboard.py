"""Observer `tensorboard`: a run as event files for TensorBoard, below `tensorboard/` in the working folder.

`tensorboard/<run>` has the settings and final scores of a run (tab HPARAMS compares runs by them), and a folder for
each of its stages has that stage's figures, so that the curves of folds lie in one chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import embench
from embench_plugins.observers.figures import final, library, numbers, settings, stage_name

FOLDER = Path("tensorboard")


class TensorBoard:
    """Writes with torch's own writer, which needs the package `tensorboard`. Files are whole after every epoch."""

    def __init__(self) -> None:
        library("tensorboard", "TensorBoard", "tensorboard")
        self._writer = library("torch.utils.tensorboard", "TensorBoard", "tensorboard").SummaryWriter
        self._open: dict[Path, Any] = {}

    @embench.hookimpl
    def epoch_ended(self, stage: Mapping[str, Any], epoch: int, figures: Mapping[str, Any]) -> None:
        """Figures of an epoch, in the folder of their stage."""
        for folder in _folders(stage):
            writer = self._open[folder] = self._open.get(folder) or self._writer(str(folder))
            for name, value in numbers(figures).items():
                writer.add_scalar(name, value, epoch)
            writer.flush()

    @embench.hookimpl
    def stage_ended(self, stage: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        """Logs the cost of a stage, beside its epochs."""
        for folder in _folders(stage):
            with self._open.pop(folder, None) or self._writer(str(folder)) as writer:
                for name, value in numbers(figures).items():
                    writer.add_scalar(f"stage/{name}", value)

    @embench.hookimpl
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Settings and final scores."""
        with self._writer(str(FOLDER / run["id"])) as writer:
            writer.add_hparams(settings(run), final(scores), run_name=".")


def _folders(stage: Mapping[str, Any]) -> list[Path]:
    return [FOLDER / run / stage_name(stage) for run in stage["runs"]]
