"""Predictions for every unit of some subjects, in float32, with the check that none depends on the other units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embench.engine import device as machine
from embench.engine import network, tokens
from embench.engine.adapting import (
    PluginAdapter,
    head_adapter,
    personal_predictor,
    personal_rows,
    personalising_plugin,
    with_slices,
)
from embench.engine.counting import size_of
from embench.engine.estimators import feature_rows, fit_estimator, fitted_rows
from embench.engine.feed import Data
from embench.engine.fits import of_units
from embench.engine.personal import LEARNED, Adapter, AsFitted, EstimatorAdapter, PersonalRows, Predictor
from embench.engine.rows import Grid
from embench.engine.source import Source
from embench.engine.specs import FitParams, FusionParams, PredictParams
from embench.engine.stage import Folder, Stage
from embench.engine.supervised import probabilities
from embench.errors import PluginError
from embench.interfaces.fusion import Estimator
from embench.nn import checked_logits
from embench.protocols import UnitId

SINGLE_ROWS = 64


def predict_units(stage: Stage[PredictParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Fits an estimator to its rows, or loads a network, and writes `predictions.npz`: `score` (units, columns)
    float64, NaN for units that have none of the modalities; where the fitted stage kept every epoch, also `epochs`
    (epochs, units, columns), the same for each; where a network predicts, also `hidden` (units, H) float32, its last
    hidden layer (what an estimator reads of frozen nets), averaged over a unit's rows."""
    asked = questions(stage, root)
    data, grid = asked.data, asked.grid
    shuffled = np.random.default_rng(stage.seed).permutation(asked.rows)

    def predictions(epoch: int | None) -> dict[str, np.ndarray]:
        if len(shuffled) == 0:
            made = {"score": np.zeros((0, asked.columns))}
        else:
            made = _checked(asked, asked.predictor(epoch), shuffled)
        units = len(stage.task["recording"])
        return {name: units_of_rows(part, grid.unit, units, data.size, shuffled) for name, part in made.items()}

    tables = predictions(None)
    score = tables["score"]
    if "hidden" in tables:
        tables["hidden"] = tables["hidden"].astype(np.float32)
    if asked.params.every_epoch:
        epochs = range(Folder(root, stage.inputs["fitted"]).result()["epochs"])
        tables["epochs"] = np.stack([predictions(epoch)["score"] for epoch in epochs])

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **tables)

    folder.write("predictions.npz", write)
    return {"units": int(np.isfinite(score[:, 0]).sum()), "absent": int(np.isnan(score[:, 0]).sum()), **asked.size}


@dataclass(frozen=True)
class Questions:
    """Questions of a stage to its fitted plugins: `rows` (n,) are the positions in `data` of which anything was
    recorded, `unit_ids` (units,) name the stage's units; `predictor` loads the weights of an epoch, or those that were
    kept. `size`: the parameters and operations of an estimator, which is fitted for these questions. `subject`: of each
    row of `data`, whose it is."""

    params: FitParams
    source: Source
    data: Data
    grid: Grid
    rows: np.ndarray
    unit_ids: np.ndarray
    predictor: Callable[[int | None], Predictor]
    size: Mapping[str, int | None]
    subject: np.ndarray

    @property
    def names(self) -> str:
        """The plugins that answer."""
        names = [part.name for part in self.params.modalities.values()]
        return ", ".join([*names, self.params.fusion.name] if isinstance(self.params, FusionParams) else names)

    @property
    def tolerance(self) -> float:
        """Largest difference between predictions of a row alone and in a batch: the device's, ten times that over
        standardised tokens, where the rounding of tokens counts by how little they vary."""
        standardised = any(part.recipe.adapt == "ridge" for part in self.params.modalities.values())
        return machine.tolerance(self.data.device) * (10 if standardised else 1)

    @property
    def columns(self) -> int:
        """Number of columns of a row's prediction."""
        return sum(len(target.columns) for target in network.output_spec_of(self.params).targets)


def questions(stage: Stage[PredictParams], root: Path) -> Questions:
    """The rows of a stage's units, as the fitted stage that it predicts with reads them; an estimator is fitted."""
    stage, fitted = with_slices(stage), stage.inputs["fitted"]
    fitted_stage = network.describe(Folder(root, fitted))
    params, own = fitted_stage.params, fitted_stage.params.common.source
    # The network's lengths are those of the data that it was fitted on, which may be another dataset's.
    spec = replace(stage.params.common.source, longest_s=own.longest_s, shortest_s=own.shortest_s)
    source = Source.of(spec, stage.places, stage.task)
    specs = network.load_specs(Folder(root, fitted))
    data, found, grid = of_units(stage, params, source, drop=stage.params.drop, specs=specs)
    channels = {m: spec.channels for m, spec in found.items() if spec.rate is not None}
    present, beside = np.flatnonzero(data.present.any(1)), personal_rows(stage, source, grid)
    rows, unit_ids = present[beside.role[present] < 0], _unit_ids(source, stage.task)
    size = dict[str, int | None]()
    predictor: Callable[[int | None], Predictor] = partial(_network, root, fitted, data, channels)
    if isinstance(params, FusionParams) and fitted_stage.kind == "estimator":
        estimator = fit_estimator(params, Folder(root, fitted))
        own_size, operations = size_of(estimator)
        frozen = Folder(root, fitted).result()["frozen"]
        size = {"parameters": None if own_size is None else own_size + frozen, "flops": operations}
        X = _rows_of_estimator(root, params, fitted_stage.inputs, data, channels)

        def predictor(_: int | None) -> Predictor:
            made = _estimator(params, estimator, X)
            if not stage.params.given:
                return made
            adapter: Adapter = AsFitted(made)
            if LEARNED not in stage.params.given:
                columns = len(network.output_spec_of(params).targets[0].columns)
                adapter = EstimatorAdapter(estimator, fitted_rows(Folder(root, fitted)), beside, X, columns)
            labelled = "unlabelled" not in stage.params.given
            return personal_predictor(params, beside, adapter, X.__getitem__, present, made, labelled=labelled)

    elif stage.params.given:
        predictor = partial(_adapting_network, stage, root, params, data, channels, beside, present)
    return Questions(params, source, data, grid, rows, unit_ids, predictor, size, beside.subject)


def units_of_rows(values: np.ndarray, unit: np.ndarray, units: int, rows: int, order: np.ndarray) -> np.ndarray:
    """Rows' predictions averaged up to the unit, in the order of the grid whatever order they came in; NaN in units
    without a row."""
    table = np.full((rows, values.shape[1]), np.nan)
    table[order] = values
    there = np.isfinite(table[:, 0])
    total = np.zeros((units, values.shape[1]))
    np.add.at(total, unit[there], table[there])
    count = np.bincount(unit[there], minlength=units)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _unit_ids(source: Source, task: Mapping[str, np.ndarray]) -> np.ndarray:
    """The ids of a stage's units, for messages."""
    spans = zip(task["recording"], task["start"], task["stop"], strict=True)
    recordings = source.store.recordings
    return np.array([str(UnitId.of(recordings[r].id, a, b)) for r, a, b in spans])


def _network(
    root: Path, fitted: str, data: Data, channels: Mapping[str, tuple[str, ...]], epoch: int | None
) -> Predictor:
    model, _, fitted_stage = network.load_model(root, fitted, epoch, channels)
    outputs = network.output_spec_of(fitted_stage.params)
    model.to(data.device)

    def predictor(index: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            output = model(data.batch(index))
            tables = {"score": probabilities(outputs, checked_logits(output, outputs)), "hidden": output.hidden.float()}
        return {name: part.cpu().numpy() for name, part in tables.items()}

    return predictor


def _adapting_network(
    stage: Stage[PredictParams],
    root: Path,
    params: FitParams,
    data: Data,
    channels: Mapping[str, tuple[str, ...]],
    beside: PersonalRows,
    present: np.ndarray,
    epoch: int | None,
) -> Predictor:
    """A network that adapts to what test subjects give: by its plugin's own way, else, with labels, by a layer beside
    its head."""
    fitted, labelled = stage.inputs["fitted"], "unlabelled" not in stage.params.given
    base, plugin = _network(root, fitted, data, channels, epoch), personalising_plugin(params)
    if plugin is None and not labelled:
        return base
    there = np.zeros(len(beside.role), bool)
    there[present] = True
    seen = replace(beside, role=np.where(there, beside.role, -1))
    adapter: Adapter
    if LEARNED in stage.params.given:
        adapter = AsFitted(base)
    elif plugin is None:
        adapter = head_adapter(params, seen, base, data.at_once)
    else:
        model = network.load_model(root, fitted, epoch, channels)[0].to(data.device)
        adapter = PluginAdapter(plugin, model, data, network.output_spec_of(params), beside, type(plugin).__name__)

    def features(index: np.ndarray) -> np.ndarray:
        return base(index)["hidden"]

    return personal_predictor(params, beside, adapter, features, present, base, labelled=labelled)


def _rows_of_estimator(
    root: Path,
    params: FusionParams,
    nets: Mapping[str, str],
    data: Data,
    channels: Mapping[str, tuple[str, ...]],
) -> np.ndarray:
    """(n, features) what an estimator reads of all rows: the encoders' features, or what frozen nets say."""
    if params.inputs != "features":
        stages = {m: nets[f"unimodal:{m}"] for m in data.feeds}
        frozen = {m: network.hidden_encoder(root, stage, params.inputs, channels)[0] for m, stage in stages.items()}
        data = tokens.hidden_data(data, frozen)
    return feature_rows(data)


def _estimator(params: FusionParams, estimator: Estimator, X: np.ndarray) -> Predictor:
    over_nets = params.inputs != "features"
    (target,) = network.output_spec_of(params).targets

    def predictor(index: np.ndarray) -> dict[str, np.ndarray]:
        score = np.asarray(estimator.score(X[index]))
        shape = (len(index), len(target.columns)) if target.traits.several else (len(index),)
        if score.shape != shape or score.dtype.kind not in "fiub":
            raise PluginError(
                f"`score` gave {score.dtype} of shape {score.shape}",
                where=params.fusion.name,
                expected=f"numbers of shape {shape}",
            )
        tables = {"score": score.astype(np.float64).reshape(len(index), -1)}
        return {**tables, "hidden": np.nan_to_num(X[index])} if over_nets else tables

    return predictor


def _checked(asked: Questions, predictor: Predictor, order: np.ndarray) -> dict[str, np.ndarray]:
    """The predictions of rows (n,) in this order; refused where a row's prediction depends on the rows beside it."""
    size, tolerance, unit = asked.data.at_once, asked.tolerance, asked.unit_ids[asked.grid.unit]
    parts = [predictor(order[i : i + size]) for i in range(0, len(order), size)]
    tables = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    batched = tables["score"]
    sample = np.linspace(0, len(order) - 1, min(SINGLE_ROWS, len(order))).astype(int)
    single = np.concatenate([predictor(order[i : i + 1])["score"] for i in sample])
    gap = deviation(single, batched[sample])
    if not np.isfinite(batched).all():
        raise PluginError("a prediction is not a finite number", where=asked.names)
    if not (gap <= tolerance).all():
        worst = [f"unit {unit[order[sample[i]]]} differs by {gap[i]:.2g}" for i in np.argsort(-gap)[:3]]
        raise PluginError(
            "a unit's prediction depends on the other units in its batch: " + ", ".join(worst),
            where=asked.names,
            expected=f"the same prediction alone and in a batch, within {tolerance:g}",
            hint="a method must not use batch statistics when it predicts",
        )
    return {name: part.astype(np.float64) for name, part in tables.items()}


def deviation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) the largest difference in each row of two tables (n, columns). Float32 holds so many digits, so that values
    above 1 differ by a share of their size."""
    return np.asarray((np.abs(one - other) / np.maximum(1.0, np.abs(other))).max(1))
