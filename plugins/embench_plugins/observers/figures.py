"""Inputs of all trackers: a run's settings by dotted names, the figures of a stage, and the final scores."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import embench
from embench.errors import PluginError

ENDS = ("mean", "low", "high")


def library(module: str, tracker: str, package: str) -> ModuleType:
    """A tracker's library. Raises PluginError with the package to install where it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        problem = f"this observer needs {tracker}: module {error.name} is missing"
        raise PluginError(problem, hint=f"pip install {package}") from error


def settings(run: Mapping[str, Any], before: str = "") -> dict[str, str | int | float | bool]:
    """A run's configuration as one level of names; lists become text, and unset fields are left out.

    >>> settings({"seeds": [0, 1], "encoder": {"lr": 0.1, "clip": None}})
    {'seeds': '0, 1', 'encoder.lr': 0.1}
    """
    found: dict[str, str | int | float | bool] = {}
    for key, value in run.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found |= settings(value, f"{name}.")
        elif isinstance(value, list):
            found[name] = ", ".join(map(str, value))
        elif value is not None:
            found[name] = value
    return found


def stage_name(stage: Mapping[str, Any]) -> str:
    """Name of a stage; stages of several runs that do the same have the same name.

    >>> stage_name({"id": "7d8b", "kind": "unimodal", "seed": 0, "fold": 1, "target": "arousal", "modality": "eda"})
    'unimodal_seed0_fold1_arousal_eda'
    """
    words = {"seed": "seed{}", "fold": "fold{}", "step": "step{}"}
    about = [words.get(key, "{}").format(value) for key, value in stage.items() if key not in ("id", "kind", "runs")]
    return "_".join([stage["kind"], *about])


def numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among figures; those of nested figures by dotted names.

    >>> numbers({"loss": 0.5, "val": None, "note": "early", "cost": {"seconds": 2}})
    {'loss': 0.5, 'cost.seconds': 2.0}
    """
    flat = settings(figures)
    return {k: float(v) for k, v in flat.items() if isinstance(v, int | float) and math.isfinite(v)}


def final(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a run by `target/metric/mean`, `low` and `high`; undefined ones are left out.

    >>> found = {"auroc": {"mean": 0.6, "low": 0.5, "high": 0.7}, "mcc": {"undefined": "why"}}
    >>> about = {"headlines": {"arousal": "auroc"}, "scores": {"arousal": found}}
    >>> final(embench.Scores.none(**about).content)
    {'arousal/auroc/mean': 0.6, 'arousal/auroc/low': 0.5, 'arousal/auroc/high': 0.7}
    """
    known = embench.Scores(scores)
    return {
        f"{target}/{metric}/{end}": value
        for target in known.headlines
        for metric, score in known.of(target).items()
        for end in ENDS
        if score.defined and (value := getattr(score, end)) is not None
    }
