"""Observer `tensorboard`: a run as event files for TensorBoard, below `tensorboard/` in the working folder.

`tensorboard/<run>` has the settings and final scores of a run (tab HPARAMS compares runs by them), and a folder for
each of its stages has that stage's figures, so that the curves of folds lie in one chart.
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
    """Writes with torch's own writer, which needs the package `tensorboard`. Files are whole after every epoch."""

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            problem = f"this observer needs TensorBoard: module {error.name} is missing"
            raise PluginError(problem, hint="pip install tensorboard") from error
        self._writer = SummaryWriter
        self._open: dict[Path, Any] = {}

    @embench.hookimpl
    def epoch_ended(self, stage: Mapping[str, Any], epoch: int, figures: Mapping[str, Any]) -> None:
        """Figures of an epoch, in the folder of their stage."""
        for folder in _list_folders(stage):
            writer = self._open[folder] = self._open.get(folder) or self._writer(str(folder))
            for name, value in _flatten_numbers(figures).items():
                writer.add_scalar(name, value, epoch)
            writer.flush()

    @embench.hookimpl
    def stage_ended(self, stage: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        """Logs the cost of a stage, beside its epochs."""
        for folder in _list_folders(stage):
            with self._open.pop(folder, None) or self._writer(str(folder)) as writer:
                for name, value in _flatten_numbers(figures).items():
                    writer.add_scalar(f"stage/{name}", value)

    @embench.hookimpl
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Settings and final scores."""
        with self._writer(str(FOLDER / run["id"])) as writer:
            writer.add_hparams(_flatten_settings(run), _collect_scores(scores), run_name=".")


def _list_folders(stage: Mapping[str, Any]) -> list[Path]:
    return [FOLDER / run / _name_stage(stage) for run in stage["runs"]]


def _flatten_settings(run: Mapping[str, Any], before: str = "") -> dict[str, str | int | float | bool]:
    """A run's configuration as one level of names; lists become text, and unset fields are left out.

    >>> _flatten_settings({"seeds": [0, 1], "encoder": {"lr": 0.1, "clip": None}})
    {'seeds': '0, 1', 'encoder.lr': 0.1}
    """
    found: dict[str, str | int | float | bool] = {}
    for key, value in run.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found |= _flatten_settings(value, f"{name}.")
        elif isinstance(value, list):
            found[name] = ", ".join(map(str, value))
        elif value is not None:
            found[name] = value
    return found


def _name_stage(stage: Mapping[str, Any]) -> str:
    """Name of a stage; stages of several runs that do the same have the same name.

    >>> _name_stage({"id": "7d8b", "kind": "unimodal", "seed": 0, "fold": 1, "target": "arousal", "modality": "eda"})
    'unimodal_seed0_fold1_arousal_eda'
    """
    words = {"seed": "seed{}", "fold": "fold{}", "step": "step{}"}
    about = [words.get(key, "{}").format(value) for key, value in stage.items() if key not in ("id", "kind", "runs")]
    return "_".join([stage["kind"], *about])


def _flatten_numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among figures; those of nested figures by dotted names.

    >>> _flatten_numbers({"loss": 0.5, "val": None, "note": "early", "cost": {"seconds": 2}})
    {'loss': 0.5, 'cost.seconds': 2.0}
    """
    flat = _flatten_settings(figures)
    return {k: float(v) for k, v in flat.items() if isinstance(v, int | float) and math.isfinite(v)}


def _collect_scores(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a run by `target/metric/mean`, `low` and `high`; undefined ones are left out.

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
