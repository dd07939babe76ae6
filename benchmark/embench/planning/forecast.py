"""Forecast of a plan's cost: networks are built and a few rows are put through them, on the device that will train."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from embench.engine import device as machine
from embench.engine import fits, network
from embench.engine.feed import Data
from embench.engine.loop import flops_of, optimiser_of
from embench.engine.rows import grid_of
from embench.engine.stage import FitParams, FusionParams, PretrainParams, Stage
from embench.files import digest
from embench.nn import Model
from embench.planning.expected import together
from embench.planning.graph import Graph
from embench.snapshot import cached_call

ROWS = 2  # on a CPU, where a row of a paper's network takes seconds
_LONG_STEP_S = 10.0
"""Seconds of a step on a CPU that are too long to wait for."""
_STEPS = 5
"""Steps on a CPU of which the shortest counts."""
_FORWARD = 1 / 3
"""Cost of a row that nothing is learned from, relative to a training row."""


def forecast(
    graph: Graph, workers: int, done: Collection[str] = (), known: Mapping[str, float] = MappingProxyType({})
) -> dict[str, Any]:
    """`parameters` and `flops` (one row, forward) of one fold's networks, `expected_s` of all stages but those `done`;
    `known` are the seconds of stages that train no network, as far as anything tells.

    A pretraining row is taken to cost what a fitting row of the same encoders costs; stages over frozen nets cost next
    to nothing beside the nets themselves and are excluded.
    """
    measured = _measured(graph.stages.values())
    waiting = [stage for id_, stage in graph.stages.items() if id_ not in done]
    return {
        "parameters": sum(m[0] for m in measured.values()),
        "flops": sum(m[1] for m in measured.values()),
        "expected_s": round(together((_seconds(waiting, measured) | dict(known)).values(), workers), 1),
    }


def _training_rows(stage: Stage[FitParams]) -> float:
    """The rows of an epoch, those of validation weighted by their cost."""
    rows = 0.0
    for role, cost in ((0, 1.0), (1, _FORWARD)):
        where = (stage.task[name][stage.task["role"] == role] for name in ("recording", "start", "stop"))
        rows += cost * len(grid_of(stage.params.modalities, stage.params.recipe.view, *where))
    return rows


def stage_seconds(stages: Sequence[Stage[Any]]) -> dict[str, float]:
    """Expected seconds of each of these stages of a method by itself, by id. Cheap stages are left out; those that fail
    in the trial count as nothing, and will be reported when they are run."""
    measured: dict[frozenset[str], tuple[int, int, float]] = {}
    for stage in filter(_fits, stages):
        kind = frozenset(stage.params.modalities)
        if kind not in measured:
            measured[kind] = (0, 0, 0.0)
            with suppress(Exception):
                measured[kind] = _measure_once(stage)
    return _seconds(stages, measured)


_Measured = Mapping[frozenset[str], tuple[int, int, float]]
"""Modalities -> parameters, FLOPs of a row, and seconds a row of training, of the network that reads them."""


def _measured(stages: Iterable[Stage[Any]]) -> _Measured:
    measured: dict[frozenset[str], tuple[int, int, float]] = {}
    for stage in filter(_fits, stages):
        kind = frozenset(stage.params.modalities)
        if kind not in measured:
            measured[kind] = _measure_once(stage)
    return measured


def _fits(stage: Stage[Any]) -> bool:
    return stage.kind == "unimodal" or (stage.kind == "fusion" and stage.params.inputs != "hidden")


def _seconds(stages: Iterable[Stage[Any]], measured: _Measured) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for s in stages:
        if _fits(s):
            row_s = measured[frozenset(s.params.modalities)][2]
            cost = row_s * _training_rows(s) * _passes(s)
        elif s.kind == "pretrain":
            cost = _pretraining_s(s, measured)
        else:
            continue
        seconds[s.id] = cost
    return seconds


def _passes(stage: Stage[FitParams]) -> float:
    """Passes over the training rows, in epochs of training: under a head alone an encoder that does not learn reads
    them once."""
    recipe = stage.params.recipe
    return _FORWARD if stage.kind == "unimodal" and recipe.frozen else recipe.epochs


def _pretraining_s(stage: Stage[PretrainParams], measured: _Measured) -> float:
    which = frozenset(stage.params.modalities)
    costs = [m[2] * len(which & kind) / len(kind) for kind, m in measured.items() if which & kind]
    if "y" in stage.task:
        rows = _training_rows(stage)
    else:
        rows = float(sum((role == 0).sum() for _, role in fits.window_grids(stage)))
    return max(costs, default=0.0) * rows * stage.params.recipe.epochs


def _measure_once(stage: Stage[FitParams]) -> tuple[int, int, float]:
    """`_measure`, once for a network on the same data, whatever it starts from and whichever runs of a grid have it."""
    other = ("seed", "fold", "weights", "every_epoch")
    decides = {name: value for name, value in stage.params.plain().items() if name not in other}
    return cached_call((_measure, stage.kind, digest(decides)), lambda: _measure(stage))


def _measure(stage: Stage[FitParams]) -> tuple[int, int, float]:
    """Parameters, FLOPs of a row, and seconds a row of training (forward and backward)."""
    machine.seed_everything(0, stage.params.common.threads, stage.params.common.device)
    data, specs, train, _, _ = fits.labelled(_fewer(stage))
    params, outputs = stage.params, network.output_spec_of(stage.params)
    if isinstance(params, FusionParams):
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    else:
        model = network.build_unimodal(params.modalities, specs, outputs)
    model.to(data.device)
    flops = flops_of(model, data, train)
    model.train()
    fullest = train[np.argsort(~data.present[train].all(1), kind="stable")]
    rows = np.resize(fullest, params.recipe.batch)  # which take hardly longer than two, where networks are small
    optimiser = optimiser_of(params.recipe, model)
    first = rows if data.device != "cpu" else rows[:ROWS]
    seconds = _step_s(model, data, first, optimiser)  # the first step loads libraries and kernels
    if data.device == "cpu" and seconds / len(first) * len(rows) > _LONG_STEP_S:
        return network.parameter_count(model), flops, seconds / len(first)
    steps = [_step_s(model, data, rows, optimiser)]
    while data.device == "cpu" and len(steps) < _STEPS and sum(steps) < _LONG_STEP_S / _STEPS:
        steps.append(_step_s(model, data, rows, optimiser))
    return network.parameter_count(model), flops, min(steps) / len(rows)  # memory is asked for in the first ones


def _step_s(model: Model, data: Data, rows: np.ndarray, optimiser: torch.optim.Optimizer) -> float:
    """Seconds of a step of training on rows (b,) of the data; on a CPU those of this process, whatever else runs."""
    clock = time.process_time if data.device == "cpu" else time.perf_counter
    began = clock()
    with machine.training_precision(data.device):
        total = model(data.batch(rows)).logits.float().sum()
    optimiser.zero_grad()
    total.backward()
    optimiser.step()
    if data.device != "cpu":
        torch.get_device_module(data.device).synchronize()
    return clock() - began


def _fewer(stage: Stage[FitParams]) -> Stage[FitParams]:
    """A copy of the stage with some of its training units, enough for a few that have a modality, of which no video is
    decoded."""
    units = np.flatnonzero(stage.task["role"] == 0)
    first = units[np.unique(np.linspace(0, len(units) - 1, 16 * ROWS).astype(int))]
    own = ("recording", "start", "stop", "role", "y")
    task = {k: v[first] if k in own else v for k, v in stage.task.items()}
    return replace(stage, task=task, places={**stage.places, "blank": True})
