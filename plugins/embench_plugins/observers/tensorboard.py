"""Observer `tensorboard`: writes runs as event files for TensorBoard, below `tensorboard/` in the working folder.

`tensorboard/<run>` holds the settings and final scores of a run, which the tab HPARAMS compares. Each of its stages has
a folder there with the stage's figures, so that one chart shows the curves of all folds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import embench
from embench.errors import PluginError

FOLDER = Path("tensorboard")
ENDS = ("mean", "low", "high")


class TensorBoard:
    """Observer that uses torch's writer, which needs the package `tensorboard`. Files are complete after every
    epoch."""

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            message = f"this observer needs TensorBoard: module {error.name} is missing"
            raise PluginError(message, hint="pip install tensorboard") from error
        self._writer = SummaryWriter
        self._open: dict[Path, Any] = {}

    @embench.hookimpl
    def epoch_ended(self, stage: Mapping[str, Any], epoch: int, figures: Mapping[str, Any]) -> None:
        """Write the figures of an epoch into the folder of their stage."""
        for folder in _list_folders(stage):
            writer = self._open[folder] = self._open.get(folder) or self._writer(str(folder))
            for name, value in _flatten_numbers(figures).items():
                writer.add_scalar(name, value, epoch)
            writer.flush()

    @embench.hookimpl
    def stage_ended(self, stage: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        """Write the cost of a stage into the folder of its epochs."""
        for folder in _list_folders(stage):
            with self._open.pop(folder, None) or self._writer(str(folder)) as writer:
                for name, value in _flatten_numbers(figures).items():
                    writer.add_scalar(f"stage/{name}", value)

    @embench.hookimpl
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Write a run's settings and final scores."""
        with self._writer(str(FOLDER / run["id"])) as writer:
            writer.add_hparams(_flatten_settings(run), _collect_scores(scores), run_name=".")


def _list_folders(stage: Mapping[str, Any]) -> list[Path]:
    return [FOLDER / run / _name_stage(stage) for run in stage["runs"]]


def _flatten_settings(run: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Return a run's configuration with nested keys joined by dots. Lists become text; unset fields are left out.

    >>> _flatten_settings({"seeds": [0, 1], "encoder": {"lr": 0.1, "clip": None}})
    {'seeds': '0, 1', 'encoder.lr': 0.1}
    """
    found: dict[str, str | int | float | bool] = {}
    for key, value in run.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= _flatten_settings(value, f"{name}.")
        elif isinstance(value, list):
            found[name] = ", ".join(map(str, value))
        elif value is not None:
            found[name] = value
    return found


def _name_stage(stage: Mapping[str, Any]) -> str:
    """Return the name of a stage's folder. Stages of several runs that compute the same have the same name.

    >>> _name_stage({"id": "7d8b", "kind": "unimodal", "seed": 0, "fold": 1, "target": "arousal", "modality": "eda"})
    'unimodal_seed0_fold1_arousal_eda'
    """
    templates = {"seed": "seed{}", "fold": "fold{}", "step": "step{}"}
    parts = [
        templates.get(key, "{}").format(value) for key, value in stage.items() if key not in ("id", "kind", "runs")
    ]
    return "_".join([stage["kind"], *parts])


def _flatten_numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among figures, with nested keys joined by dots.

    >>> _flatten_numbers({"loss": 0.5, "val": None, "note": "early", "cost": {"seconds": 2}})
    {'loss': 0.5, 'cost.seconds': 2.0}
    """
    flat = _flatten_settings(figures)
    return {k: float(v) for k, v in flat.items() if isinstance(v, int | float) and math.isfinite(v)}


def _collect_scores(scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the defined scores of a run under `target/metric/mean`, `low` and `high`.

    >>> found = {"auroc": {"mean": 0.6, "low": 0.5, "high": 0.7}, "mcc": {"undefined": "why"}}
    >>> about = {"primary_metrics": {"arousal": "auroc"}, "scores": {"arousal": found}}
    >>> _collect_scores(embench.Scores.make_empty(**about).content)
    {'arousal/auroc/mean': 0.6, 'arousal/auroc/low': 0.5, 'arousal/auroc/high': 0.7}
    """
    known = embench.Scores(scores)
    return {
        f"{target}/{metric}/{end}": value
        for target in known.primary_metrics
        for metric, score in known.get_scores(target).items()
        for end in ENDS
        if score.is_defined and (value := getattr(score, end)) is not None
    }
