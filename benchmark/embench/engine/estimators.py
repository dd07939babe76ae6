"""Estimators on features or on frozen networks: the rows that one is fitted to, and the fit where it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.engine import device as machine
from embench.engine import network, tokens
from embench.engine.feed import Data, FeatureFeed
from embench.engine.fits import features_dropped, frozen_networks, labelled, task_subjects
from embench.engine.rows import Grid
from embench.engine.specs import FusionParams
from embench.engine.stage import Folder, Stage
from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.tokens import InputSpec

ROWS_FILE = "rows.npz"


def feature_rows(data: Data) -> np.ndarray:
    """(n, features): all modalities side by side, NaN where one is absent."""
    parts = []
    for feed in data.feeds.values():
        if not isinstance(feed, FeatureFeed):
            raise TypeError("an estimator reads features or hidden layers, not signals")
        part = feed.array.cpu().numpy().reshape(data.size, -1).astype(np.float64)
        part[~feed.present] = np.nan
        parts.append(part)
    return np.concatenate(parts, 1)


def run_estimator(stage: Stage[FusionParams], folder: Folder, root: Path) -> dict[str, Any]:
    """The rows that an estimator is fitted to: the encoders' features, else what frozen unimodal nets say.

    It is fitted where it predicts: a file that holds any estimator holds code, and whoever can write it would run it.
    """
    params = stage.params
    data, specs, train, val, grid = labelled(stage)
    dropped = features_dropped(specs, folder)
    modules: dict[str, network.HiddenEncoder] = {}
    if params.inputs != "features":
        modules, specs = frozen_networks(stage, params, root)
        data = tokens.hidden_data(data, modules)
    train, val = (_labelled_rows(data, part) for part in (train, val))
    rows = _rows(stage, data, train, val, grid)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **rows)

    folder.write(ROWS_FILE, write)
    network.save_specs(folder, specs)
    frozen = sum(network.parameter_count(module) for module in modules.values())
    return {"epochs": 0, "rows": len(train), "val_rows": len(val), "seed": stage.seed, "frozen": frozen, **dropped}


def _labelled_rows(data: Data, part: np.ndarray) -> np.ndarray:
    """The positions of `part` (k,) whose rows have a label."""
    return part[np.isfinite(data.labels[0][:, 0].cpu().numpy()[part])]


def _rows(
    stage: Stage[FusionParams], data: Data, train: np.ndarray, val: np.ndarray, grid: Grid
) -> dict[str, np.ndarray]:
    """Arrays that an estimator is fitted to, of the rows at positions `train` (n,) and `val` (v,)."""
    X, (labels, weights) = feature_rows(data), data.labels
    y, weight = labels[:, 0].cpu().numpy(), weights.cpu().numpy()
    subjects = task_subjects(stage)[grid.unit]
    rows = {"X": X[train].astype(np.float32), "y": y[train], "subjects": subjects[train], "weight": weight[train]}
    if len(val) and len(np.unique(y[val])) > 1:
        rows |= {"X_val": X[val].astype(np.float32), "y_val": y[val]}
    return rows


def fit_now(stage: Stage[FusionParams]) -> tuple[Estimator, dict[str, InputSpec]]:
    """The estimator on features of a stage, fitted without a file of it, and the specs of the features that it
    reads."""
    data, specs, train, val, grid = labelled(stage)
    rows = _rows(stage, data, _labelled_rows(data, train), _labelled_rows(data, val), grid)
    return _fitted(stage.params, stage.seed, _as_rows(rows)), specs


def fit_estimator(params: FusionParams, folder: Folder) -> Estimator:
    """The estimator of a stage that has finished, fitted to its rows, which hold float32 exactly."""
    return _fitted(params, folder.result()["seed"], fitted_rows(folder))


def fitted_rows(folder: Folder) -> TrainingRows:
    """The rows that the estimator of a finished stage is fitted to."""
    with np.load(folder.file(ROWS_FILE), allow_pickle=False) as rows:
        return _as_rows(rows)


def _as_rows(rows: Mapping[str, np.ndarray]) -> TrainingRows:
    val = (rows["X_val"].astype(np.float64), rows["y_val"]) if "X_val" in rows else None
    return TrainingRows(rows["X"].astype(np.float64), rows["y"], rows["subjects"], rows["weight"], val)


def _fitted(params: FusionParams, seed: int, rows: TrainingRows) -> Estimator:
    (target,) = network.output_spec_of(params).targets
    kind = registry.load("fusion", params.fusion.name)
    machine.seed_everything(seed, params.common.threads, params.common.device)
    estimator: Estimator = kind(params.fusion.recipe, seed, target.kind, target.n, tuple(params.modalities))
    estimator.fit(*rows)
    return estimator
