"""Stages that fit: networks by pretraining or training, and estimators on features or frozen networks."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from embench import registry
from embench.engine import device as machine
from embench.engine import network
from embench.engine.assemble import assemble, chain_data, list_sources, place_channels, with_stats
from embench.engine.feed import Data, FeatureFeed, Feed, drop_misleading, dropped_names, dropping_notes, send
from embench.engine.loop import FitState, count_flops, fit
from embench.engine.network import HiddenEncoder, LinearHead, Precomputed, class_weights, fit_scale
from embench.engine.rows import (
    Grid,
    StoreSource,
    all_anchors,
    build_grid,
    keeps_level,
    load_encoder,
    require_view,
    slide,
    stage_view,
    view_length,
)
from embench.engine.stage import FitParams, Folder, FusionParams, Params, PretrainParams, Stage
from embench.errors import DataError
from embench.files import digest
from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import split_modality
from embench.interfaces.tokens import InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import Head, Model, Supervised
from embench.store import Store, open_store
from embench.store.store import cache_array_once

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


# Tokens of frozen networks are computed once per stage, not per epoch; and once for all stages of a dataset if these
# share the initial weights.


@dataclass(frozen=True)
class TokenFeed(FeatureFeed):
    """Tokens `array` (n, L, D) on the device; the first is the summary token, if there is one. `mask` (n, L) is True
    for tokens that count; None if all do."""

    mask: Tensor | None = None

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return tokens (b, L, D) at positions `index` (b,), and their mask (b, L)."""
        positions = send(torch.from_numpy(index), self.device)
        return self.array[positions], None if self.mask is None else self.mask[positions]


def hidden_data(data: Data, nets: Mapping[str, HiddenEncoder]) -> Data:
    """Return the data with hidden vectors (n, 1, H) in place of signals. `nets`: modality -> its frozen network."""
    return replace(data, feeds={m: compute_tokens(data, m, net, net.tokens) for m, net in nets.items()})


def compute_tokens(data: Data, m: str, module: nn.Module, spec: TokenSpec, *, pooled: bool = False) -> TokenFeed:
    """Compute a network's tokens for all rows of a modality in evaluation mode, in float32. `spec` describes all tokens
    of a row. If `pooled`, each row has only one pooled token (n, 1, D)."""
    module.to(data.device).eval()
    feed = data.feeds[m]
    x = torch.zeros(data.size, *_token_shape(spec, pooled), device=data.device)
    mask: Tensor | None = None
    for index, tokens, token_mask in _compute_batches(module, feed, data.at_once, pooled):
        x[index] = tokens
        if token_mask is not None:
            mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=data.device) if mask is None else mask
            mask[index] = token_mask
    return TokenFeed(x, feed.present, data.device, mask)


def _token_shape(spec: TokenSpec, pooled: bool) -> tuple[int, int]:
    """Return (L, D) of tokens as one tensor."""
    return (1 if pooled else spec.length + spec.summary, spec.dim)


def _compute_batches(
    module: nn.Module, feed: Feed, size: int, pooled: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Yield positions (b,) of the present rows, `size` at a time, with their tokens (b, L, D) and masks (b, L)."""
    present = np.flatnonzero(feed.present)
    with torch.no_grad():
        for i in range(0, len(present), size):
            index = present[i : i + size]
            tokens = module(*feed.batch_rows(index))
            yield send(torch.from_numpy(index), feed.device), *_stack_tokens(tokens, pooled)


def _stack_tokens(tokens: Tokens, pooled: bool) -> tuple[Tensor, Tensor | None]:
    """Return tokens as one tensor (b, L, D), the summary token first, and its mask (b, L); None if `pooled`."""
    if pooled:
        return tokens.pool().unsqueeze(1).float(), None
    if tokens.summary is None:
        return tokens.x.float(), tokens.mask
    mask = None if tokens.mask is None else nn.functional.pad(tokens.mask, (1, 0), value=True)
    return torch.cat([tokens.summary.unsqueeze(1), tokens.x], 1).float(), mask


@dataclass(frozen=True)
class SharedTokens:
    """Tokens of all units of a dataset, cached with the prepared data for all stages whose encoders have equal weights.

    Args:
        specs: modality -> input spec of the stage's encoder.
        grid: the stage's anchors. `all_view`: the view by which anchors of all units are made.
        modalities: modalities whose encoders start from weights that other stages share."""

    params: FitParams
    source: StoreSource
    specs: Mapping[str, InputSpec]
    grid: Grid
    all_view: View
    modalities: Collection[str]

    def feed(self, m: str, module: nn.Module, spec: TokenSpec, present: np.ndarray, pooled: bool) -> TokenFeed | None:
        """Return the tokens of the stage's rows; None if the tokens of this modality are not shared. `present` (n,) is
        True for rows that have the modality."""
        if m not in self.modalities:
            return None
        all_units, device = all_anchors(self.source, self.all_view), self.params.common.device
        positions = _anchor_positions(self.grid, all_units)
        if positions is None:
            return None

        def make() -> np.ndarray:
            part = {m: self.params.modalities[m]}
            data, _ = assemble(self.source, part, all_units, device, all_view=self.all_view, specs=self.specs)
            found = compute_tokens(data, m, module, spec, pooled=pooled)
            # The array on disk has the mask, if any, as its last column.
            columns = [found.array] if found.mask is None else [found.array, found.mask.unsqueeze(2).float()]
            return torch.cat(columns, 2).cpu().numpy()

        rows = torch.from_numpy(
            cache_array_once(self.source.store, self._key(m, module, all_units, pooled), make)[positions]
        )
        mask = rows[..., spec.dim].bool().to(device) if rows.shape[2] > spec.dim else None
        return TokenFeed(rows[..., : spec.dim].contiguous().to(device), present, device, mask)

    def _key(self, m: str, module: nn.Module, all_units: Grid, pooled: bool) -> list[object]:
        """Return the cache key: everything that determines the tokens. Weights enter by content, not by origin."""
        part, spec, common = self.params.modalities[m], self.specs[m], self.params.common
        view = None if part.recipe.view is None else asdict(part.recipe.view)
        weights = {name: digest(tensor.float().cpu().numpy()) for name, tensor in module.state_dict().items()}
        fed = {**{f"stats/{k}": v for k, v in spec.stats.items()}, **{f"fitted/{k}": v for k, v in spec.fitted.items()}}
        return [
            "tokens",
            *(common.engine, dict(common.libraries), common.device, common.threads, self.source.store.key),
            *(m, part.name, part.code, dict(part.recipe.prepare), dict(part.recipe.build), part.grounds, view),
            *(weights, list(spec.shape), list(spec.channels), {name: digest(array) for name, array in fed.items()}),
            *(common.source.plain(), [digest(array) for array in vars(all_units).values()], pooled),
        ]


def find_shared_tokens(
    stage: Stage[FitParams], specs: Mapping[str, InputSpec], grid: Grid, root: Path
) -> SharedTokens | None:
    """Return the tokens that a stage may share with other stages; None if there are none. An encoder's tokens can be
    shared if it starts from files, or from a pretraining that all folds share. Other encoders start with random
    weights, which differ between stages."""
    params = stage.params
    shared = {m for m, part in params.modalities.items() if part.assets or m in params.weights}
    for role, stage_id in stage.inputs.items():
        kind, _, modality = role.partition(":")
        if kind == "pretrained" and Folder(root, stage_id).description()["params"].get("fold") is None:
            shared |= {modality} if modality else set(params.modalities)
    if not shared or stage.places.get("blank"):
        return None
    source = StoreSource.from_spec(params.common.source, stage.places, stage.task)
    if source.given is not None:  # each fold is normalised by other units
        return None
    views = [require_view(load_encoder(part), part.name) for part in params.modalities.values()]
    return SharedTokens(params, source, specs, grid, stage_view(params.recipe.view, views), shared)


def _anchor_positions(some: Grid, whole: Grid) -> np.ndarray | None:
    """Return positions (n,) in the grid `whole` of the anchors of the grid `some`; None if one is not in it."""
    places = {row: i for i, row in enumerate(_anchor_rows(whole))}
    found = [places.get(row, -1) for row in _anchor_rows(some)]
    return None if -1 in found else np.array(found, np.int64)


def _anchor_rows(grid: Grid) -> Iterator[tuple[float, ...]]:
    return zip(*(values.tolist() for values in (grid.recording, grid.start, grid.stop, grid.unit_start)), strict=True)


def precompute_tokens(
    model: Model, data: Data, frozen: Collection[str], memory_bytes: int | None, shared: SharedTokens | None
) -> tuple[Model, Data]:
    """Replace the encoders of the modalities `frozen` by their precomputed tokens. Return a model that reads tokens and
    shares all other modules with `model`, and the data with tokens. The default head reads pooled tokens; other heads
    read all.

    Both are unchanged if all tokens are read and exceed half of the memory (None: the device's free memory)."""
    pooled = model.fusion is None and type(model.head) in (Head, LinearHead)
    free = machine.free_bytes(data.device) if memory_bytes is None else memory_bytes
    size = 4 * data.size * sum(math.prod(_token_shape(spec, pooled)) for m, spec in model.specs.items() if m in frozen)
    if size > free // 2 and not pooled:
        return model, data
    encoders = {m: model.encoders[m] for m in model.encoders if m in frozen}
    feeds = dict(data.feeds)
    for m, encoder in encoders.items():
        spec, present = model.specs[m], data.feeds[m].present
        known = shared.feed(m, encoder, spec, present, pooled) if shared else None
        feeds[m] = known or compute_tokens(data, m, encoder, spec, pooled=pooled)
    stand_ins = {m: Precomputed(summary=model.specs[m].summary and not pooled) for m in encoders}
    specs = {m: replace(spec, length=1, summary=False) if pooled else spec for m, spec in model.specs.items()}
    reading = Model({**model.encoders, **stand_ins}, specs, model.fusion, model.head, model.scale)
    return reading, replace(data, feeds=feeds)


def load_unit_rows(
    stage: Stage[Params],
    params: FitParams,
    source: StoreSource,
    *,
    drop: tuple[str, ...] = (),
    specs: Mapping[str, InputSpec] | None = None,
    training: Mapping[str, np.ndarray] | None = None,
) -> tuple[Data, dict[str, InputSpec], Grid]:
    """Return the data of a stage's units, their specs and anchors, for a network or estimator with these `params`. For
    `drop`, `specs` and `training` see `assemble`."""
    modalities, own_view, task = params.modalities, params.recipe.view, stage.task
    grid = build_grid(modalities, own_view, task["recording"], task["start"], task["stop"])
    views = [require_view(load_encoder(part), part.name) for part in modalities.values()]
    data, found = assemble(
        source,
        modalities,
        grid,
        stage.params.common.device,
        all_view=stage_view(own_view, views),
        drop=drop,
        specs=specs,
        training=training,
        memory_bytes=stage.places.get("memory_bytes"),
        blank=stage.places.get("blank", False),
    )
    return data, found, grid


def _training_segments(task: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `recording`, `start` and `stop` (k,) of the training units or segments in a task."""
    return {name: task[name][task["role"] == 0] for name in ("recording", "start", "stop")}


def load_labelled_data(stage: Stage[FitParams]) -> tuple[Data, dict[str, InputSpec], np.ndarray, np.ndarray, Grid]:
    """Return data with labels, input specs, positions of training rows (k,) and validation rows (v,), and the anchors.

    Raises:
        DataError: no training unit has any of the modalities, or most features of one of them carry no information."""
    params, task = stage.params, stage.task
    source = StoreSource.from_spec(params.common.source, stage.places, task)
    data, specs, grid = load_unit_rows(stage, params, source, training=_training_segments(task))
    present = data.present.any(1)
    role = task["role"][grid.unit]
    train, val = np.flatnonzero(present & (role == 0)), np.flatnonzero(present & (role == 1))
    if len(train) == 0:
        raise DataError(
            "no training unit has any of the modalities", where=stage.title, hint="choose other --modalities"
        )
    y = torch.from_numpy(task["y"][grid.unit].astype(np.float32)).to(params.common.device)
    weight = torch.from_numpy(grid.weights()).to(params.common.device)
    recording = grid.recording if params.recipe.loss == "ccc_recording" else None
    data = Data(data.feeds, data.size, data.device, y, weight, recording)
    scaled = frozenset(m for m in params.modalities if source.normalise != "none" and not keeps_level(source, m))
    data, specs = drop_misleading(data, specs, source.store, grid, train, scaled)
    return data, with_stats(specs, params.modalities, data, train), train, val, grid


def _fit_output_spec(
    model: Model,
    params: FitParams,
    data: Data,
    train: np.ndarray,
    recipe: Recipe,
) -> OutputSpec:
    """Return the stage's targets with class weights from the training labels. Also set the scale of the model."""
    outputs = network.make_output_spec(params)
    y, weight = (part[train].cpu().numpy() for part in data.labels)
    balanced = recipe.class_weight == "balanced"
    classes = tuple(class_weights(t, y[:, i], weight, balanced) for i, t in enumerate(outputs.targets))
    fit_scale(model, outputs, y, weight)
    return replace(outputs, class_weights=classes, loss=recipe.loss)


def _load_pretrained(model: Model, stage: Stage[FitParams], root: Path) -> None:
    """Load the pretrained weights that a stage starts from, in the order of its inputs.

    Raises:
        UsageError: they belong to another network."""
    for role, stage_id in stage.inputs.items():
        kind, _, modality = role.partition(":")
        if kind == "pretrained":
            before = Folder(root, stage_id)
            network.start_from(model, before.file("weights.safetensors"), f"encoders.{modality}" if modality else None)
    for part, checksum in stage.params.weights.items():
        file = Path(stage.places["weights"][checksum])
        network.start_from(model, file, part if part == "fusion" else f"encoders.{part}")


def _freeze_parts(model: Model, params: FitParams) -> list[nn.Module]:
    """Freeze the parts whose recipes say so: encoders, and the fusion outside its `.head`. Return the frozen modules,
    which stay in evaluation mode."""
    parts = [p for m, part in params.modalities.items() if part.recipe.frozen for p in model.encoders[m].modules()]
    if model.fusion is not None and isinstance(params, FusionParams) and params.fusion.recipe.frozen:
        parts += [part for name, part in model.fusion.named_modules() if "head" not in name.split(".")]
    for part in parts:
        for parameter in part.parameters(recurse=False):
            parameter.requires_grad_(False)
    return parts


@dataclass(frozen=True)
class PreparedFit:
    """A network with its initial weights, and the rows on which it is trained.

    Args:
        model: the network to save.
        module: the module to train. It shares all trained parts with `model`, and may read precomputed tokens.
        data: the input of `module`. `rows`: the input of `model`.
        train, val: positions (k,), (v,) in both.
        unit: (n,) the unit of each row.
        feature_facts: dropped features, for the stage's result.
        frozen: number of parameters of frozen networks whose outputs are the input."""

    stage: Stage[FitParams]
    folder: Folder
    model: Model
    module: Supervised
    specs: Mapping[str, InputSpec]
    data: Data
    rows: Data
    train: np.ndarray
    val: np.ndarray
    unit: np.ndarray
    feature_facts: Mapping[str, Any] = field(default_factory=dict)
    frozen: int = 0

    @property
    def epoch_ended(self) -> Callable[[int], None] | None:
        """Function that saves the weights of an epoch. None unless the protocol selects an epoch after training."""
        if not self.stage.params.every_epoch:
            return None
        return lambda epoch: network.save_weights(self.folder, self.model, epoch)

    def fit(self) -> dict[str, Any]:
        """Train the network, or fit it in closed form, and save it; return the stage's result."""
        recipe = self.stage.params.recipe
        if isinstance(self.model.head, network.LinearHead):
            return self._finish({"epochs": 0, "penalty": self._fit_closed(self.model.head)})
        state = fit(
            self.module, self.module, self.data, self.train, self.val, recipe, self.folder, self.stage.seed,
            self.epoch_ended,
        )  # fmt: skip
        return self._finish(_write_learning_curve(state, self.folder))

    def _fit_closed(self, head: network.LinearHead) -> dict[str, float]:
        """Fit the head in closed form to the pooled tokens of the training rows. Return target -> chosen penalty."""
        ((m, encoder),) = self.module.model.encoders.items()
        x, mask = self.data.feeds[m].batch_rows(self.train)
        pooled = encoder(x, mask).pool().cpu().numpy()
        y, weight = (part[self.train].cpu().numpy() for part in self.data.labels)
        subjects = task_subjects(self.stage)[self.unit[self.train]]
        return network.fit_head(head, self.module.outputs, self.model.scale, pooled, y, weight, subjects)

    def _finish(self, learned: Mapping[str, Any]) -> dict[str, Any]:
        """Save the fitted network; return the stage's result."""
        trained = sum(p.numel() for p in self.module.parameters() if p.requires_grad)
        network.save(self.folder, self.model, self.specs)
        return {
            **learned,
            "rows": len(self.train),
            "val_rows": len(self.val),
            **self.feature_facts,
            "parameters": network.parameter_count(self.model) + self.frozen,
            "trained": trained,
            "flops": count_flops(self.model, self.rows, self.train),
        }


def run_network(stage: Stage[FitParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Fit the network of a stage, and return its result. The network is an encoder with its head, a fusion with its
    encoders, or a fusion of frozen unimodal networks."""
    return prepare_fit(stage, folder, root).fit()


def prepare_fit(stage: Stage[FitParams], folder: Folder, root: Path) -> PreparedFit:
    """Return the network of a stage before training. Raises DataError, UsageError or PluginError if data, initial
    weights or plugins do not fit."""
    params = stage.params
    if isinstance(params, FusionParams) and params.inputs == "hidden":
        return _prepare_over_hidden(stage, params, folder, root)
    data, specs, train, val, grid = load_labelled_data(stage)
    outputs = network.make_output_spec(params)
    model = network.build_model(params, specs, outputs)
    feature_facts = report_dropped_features(specs, folder)
    _load_pretrained(model, stage, root)
    frozen_parts = _freeze_parts(model, params)
    outputs = _fit_output_spec(model, params, data, train, params.recipe)
    model.to(data.device)
    frozen_encoders = [m for m, part in params.modalities.items() if part.recipe.frozen]
    shared = find_shared_tokens(stage, specs, grid, root) if frozen_encoders else None
    token_model, token_data = precompute_tokens(model, data, frozen_encoders, stage.places.get("memory_bytes"), shared)
    module = Supervised(token_model, outputs, frozen_parts).to(data.device)
    return PreparedFit(stage, folder, model, module, specs, token_data, data, train, val, grid.unit, feature_facts)


def report_dropped_features(specs: Mapping[str, InputSpec], folder: Folder) -> dict[str, Any]:
    """Report a stage's dropped features as events; return them for its result."""
    for text in dropping_notes(specs):
        folder.event("note", text=text)
    found = dropped_names(specs)
    return {"dropped": found} if found else {}


def frozen_networks(
    stage: Stage[FitParams], params: FusionParams, root: Path
) -> tuple[dict[str, network.HiddenEncoder], dict[str, InputSpec]]:
    """Return the frozen unimodal networks that a stage reads, and the specs of their inputs, both by modality."""
    modules, specs = {}, {}
    for m in params.modalities:
        modules[m], spec = network.hidden_encoder(root, stage.inputs[f"unimodal:{m}"], params.inputs)
        specs.update(spec)
    return modules, specs


def _prepare_over_hidden(stage: Stage[FitParams], params: FusionParams, folder: Folder, root: Path) -> PreparedFit:
    """Return the fit of a fusion on hidden vectors of frozen unimodal networks."""
    data, _, train, val, grid = load_labelled_data(stage)
    modules, specs = frozen_networks(stage, params, root)
    token_specs = {m: module.tokens for m, module in modules.items()}
    data = hidden_data(data, modules)
    fused = network.build_fusion_module(params.fusion, token_specs, network.make_output_spec(params))
    precomputed = {m: network.Precomputed() for m in modules}
    model = Model(precomputed, token_specs, fused, scale=network.make_scale(network.make_output_spec(params)))
    module = Supervised(model, _fit_output_spec(model, params, data, train, params.recipe)).to(data.device)
    count = sum(network.parameter_count(part) for part in modules.values())
    return PreparedFit(stage, folder, model, module, specs, data, data, train, val, grid.unit, frozen=count)


def run_pretrain(stage: Stage[PretrainParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Train a network on a pretext task with windows of the source's subjects, or on the source's labelled units."""
    params, labels = stage.params, "y" in stage.task
    recipe = params.recipe
    pretrainer = registry.load_plugin("pretrainer", params.pretrainer.name)(recipe)
    data, specs, train, val = load_labelled_data(stage)[:4] if labels else _load_windows(stage)
    outputs = network.make_output_spec(params)
    if params.fusion is not None:
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    elif labels:
        model = network.build_unimodal(params.modalities, specs, outputs)
    else:
        model = Model(*network.build_encoders(params.modalities, specs))
    _load_pretrained(model, stage, root)
    outputs_of_source = _fit_output_spec(model, params, data, train, recipe) if labels else None
    objective = pretrainer.objective(model, specs, outputs_of_source)
    module = network.check_module(params.pretrainer, objective).to(data.device)
    state = fit(module, module, data, train, val, recipe, folder, stage.seed)
    network.save(folder, model, specs)
    about = {
        "labels": pretrainer.labels,
        **({"targets": [target.name for target in outputs.targets]} if labels else {}),
        "channels": {
            m: list(network.picked_channels(model.encoders[m], s.channels))
            for m, s in specs.items()
            if s.rate is not None
        },
    }
    manifest, *beside = _describe_sources(stage, about)
    return {
        **_write_learning_curve(state, folder),
        "rows": len(train),
        "val_rows": len(val),
        "parameters": network.parameter_count(module),
        "manifest": manifest,
        **({"beside": beside} if beside else {}),
    }


def window_grids(stage: Stage[PretrainParams]) -> list[tuple[Grid, np.ndarray]]:
    """Return (windows, role of each window (n,)) for every dataset of a stage that pretrains without labels. Windows
    slide over the segments of the dataset's task."""
    params, found = stage.params, []
    views = [require_view(load_encoder(part), part.name) for part in params.modalities.values()]
    for source, task in list_sources(stage):
        length = max(view_length(view, source.longest_s, source.shortest_s) for view in views)
        step = stage_view(params.recipe.view, views).step_s or length
        grid = slide(length, step, task["recording"], task["start"], task["stop"])
        found.append((grid, task["role"][grid.unit]))
    return found


def require_windows(stage: Stage[PretrainParams]) -> None:
    """Raise DataError if a stage pretrains without labels and its segments hold fewer than 2 training windows."""
    if "y" not in stage.task and sum(np.count_nonzero(role == 0) for _, role in window_grids(stage)) < 2:
        _refuse_windows(stage)


def _refuse_windows(stage: Stage[PretrainParams]) -> NoReturn:
    """Raise the DataError of a stage whose recordings give fewer than 2 windows."""
    raise DataError(
        "no recording is long enough for one window to pretrain on",
        where=stage.title,
        expected="recordings as long as the encoder's window, or a recipe with a shorter `view`",
    )


def _load_windows(stage: Stage[PretrainParams]) -> tuple[Data, dict[str, InputSpec], np.ndarray, np.ndarray]:
    """Return unlabelled data in windows, their specs, and positions of training rows (k,) and validation rows (v,)."""
    params, windows, memory = stage.params, window_grids(stage), stage.places.get("memory_bytes")
    parts: list[Data] = []
    specs: dict[str, InputSpec] = {}
    for (spec, task), (grid, _) in zip(list_sources(stage), windows, strict=True):
        data, found = assemble(
            StoreSource.from_spec(spec, stage.places, task),
            params.modalities,
            grid,
            params.common.device,
            specs=specs or None,
            training=_training_segments(task),
            memory_bytes=memory and memory // len(windows),
        )
        parts.append(place_channels(data, found, specs, params.modalities) if specs else data)
        specs = specs or found
    data, role = chain_data(parts), np.concatenate([role for _, role in windows])
    present = data.present.any(1)
    train, val = np.flatnonzero(present & (role == 0)), np.flatnonzero(present & (role == 1))
    if len(train) < 2:
        _refuse_windows(stage)
    return data, with_stats(specs, params.modalities, data, train), train, val


def _describe_sources(stage: Stage[PretrainParams], about: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a description of each dataset of a pretraining, with hours by modality and the common facts `about`.
    Channels in `about` are named as in the first dataset; the others are described with their own names."""
    for k, (spec, task) in enumerate(list_sources(stage)):
        store = open_store(stage.places["stores"][spec.store])
        segments = [
            (store.recordings[r], start, stop)
            for r, start, stop in zip(*(task[name].tolist() for name in ("recording", "start", "stop")), strict=True)
        ]
        entries = {entry.id: entry for entry, _, _ in segments}.values()
        hours = {}
        for m in {part for joined in stage.params.modalities for part in split_modality(joined)}:
            rate = store.modalities[m].rate
            cuts = [entry.spans[m].cut(start, stop, rate) for entry, start, stop in segments if m in entry.spans]
            hours[m] = round(sum(cut.stop - cut.start for cut in cuts) / rate / 3600, 3)
        yield {
            "dataset": store.name,
            "store": store.key,
            "synthetic": store.synthetic is not None,
            "subjects": sorted({entry.subject for entry in entries}),
            "recordings": len(entries),
            "hours": hours,
            "licence": stage.places["licences"][spec.store],
            **about,
            **(
                {"channels": {m: _source_channel_names(store, m, names) for m, names in about["channels"].items()}}
                if k
                else {}
            ),
        }


def _source_channel_names(store: Store, modality: str, names: list[str]) -> list[str]:
    """Return a dataset's own names of the channels `names` of the first dataset. Only a single channel may differ."""
    channels = store.modalities[modality].channels if modality in store.modalities else ()
    return list(channels) if len(channels) == len(names) == 1 else names


def task_subjects(stage: Stage[Params], part: str = "") -> np.ndarray:
    """Return the subject (n,) of each unit of a stage. `part`: prefix of its arrays, such as `slice_` (calibration)."""
    source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
    return np.array([source.store.recordings[r].subject for r in stage.task[f"{part}recording"].tolist()])


def _write_learning_curve(state: FitState, folder: Folder) -> dict[str, Any]:
    """Write the learning curve as `history.csv`. Return the number of epochs and the selected epoch."""
    names = list(dict.fromkeys(name for row in state.history for name in row))

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(state.history)

    folder.write("history.csv", write)
    kept = state.best_epoch if state.best is not None else state.epoch - 1
    return {"epochs": state.epoch, "kept_epoch": kept}


ROWS_FILE = "rows.npz"


def feature_rows(data: Data) -> np.ndarray:
    """Return the features of all modalities side by side, (n, features); NaN where a row lacks the modality."""
    parts = []
    for feed in data.feeds.values():
        if not isinstance(feed, FeatureFeed):
            raise TypeError("an estimator reads features or hidden layers, not signals")
        part = feed.array.cpu().numpy().reshape(data.size, -1).astype(np.float64)
        part[~feed.present] = np.nan
        parts.append(part)
    return np.concatenate(parts, 1)


def run_estimator(stage: Stage[FusionParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Store the rows to which an estimator is fitted: features, or outputs of frozen networks. Return the result.

    The estimator is fitted again for prediction, since a stored estimator is a pickle, which could execute code."""
    params = stage.params
    data, specs, train, val, grid = load_labelled_data(stage)
    dropped = report_dropped_features(specs, folder)
    modules: dict[str, network.HiddenEncoder] = {}
    if params.inputs != "features":
        modules, specs = frozen_networks(stage, params, root)
        data = hidden_data(data, modules)
    train, val = (_labelled_rows(data, part) for part in (train, val))
    folder.write_arrays(ROWS_FILE, _estimator_rows(stage, data, train, val, grid))
    network.save_specs(folder, specs)
    frozen = sum(network.parameter_count(module) for module in modules.values())
    return {"epochs": 0, "rows": len(train), "val_rows": len(val), "seed": stage.seed, "frozen": frozen, **dropped}


def _labelled_rows(data: Data, part: np.ndarray) -> np.ndarray:
    """Return the positions in `part` (k,) of rows whose first target has a label."""
    return part[np.isfinite(data.labels[0][:, 0].cpu().numpy()[part])]


def _estimator_rows(
    stage: Stage[FusionParams], data: Data, train: np.ndarray, val: np.ndarray, grid: Grid
) -> dict[str, np.ndarray]:
    """Return the arrays that an estimator is fitted to, from the rows at positions `train` (n,) and `val` (v,)."""
    X, (labels, weights) = feature_rows(data), data.labels
    y, weight = labels[:, 0].cpu().numpy(), weights.cpu().numpy()
    subjects = task_subjects(stage)[grid.unit]
    rows = {"X": X[train].astype(np.float32), "y": y[train], "subjects": subjects[train], "weight": weight[train]}
    if len(val) and len(np.unique(y[val])) > 1:
        rows |= {"X_val": X[val].astype(np.float32), "y_val": y[val]}
    return rows


def refit_estimator(stage: Stage[FusionParams]) -> tuple[Estimator, dict[str, InputSpec]]:
    """Return the estimator of a stage, fitted to the encoders' features without any stored file, and their specs."""
    data, specs, train, val, grid = load_labelled_data(stage)
    rows = _estimator_rows(stage, data, _labelled_rows(data, train), _labelled_rows(data, val), grid)
    return _fit(stage.params, stage.seed, _as_rows(rows)), specs


def fit_estimator(params: FusionParams, folder: Folder) -> Estimator:
    """Fit the estimator of a finished stage to its stored rows, which hold exact float32 values."""
    return _fit(params, folder.result()["seed"], fitted_rows(folder))


def fitted_rows(folder: Folder) -> TrainingRows:
    """Return the training rows of the estimator of a finished stage."""
    with np.load(folder.file(ROWS_FILE), allow_pickle=False) as rows:
        return _as_rows(rows)


def _as_rows(rows: Mapping[str, np.ndarray]) -> TrainingRows:
    val = (rows["X_val"].astype(np.float64), rows["y_val"]) if "X_val" in rows else None
    return TrainingRows(rows["X"].astype(np.float64), rows["y"], rows["subjects"], rows["weight"], val)


def _fit(params: FusionParams, seed: int, rows: TrainingRows) -> Estimator:
    (target,) = network.make_output_spec(params).targets
    kind = registry.load_plugin("fusion", params.fusion.name)
    machine.seed_everything(seed, params.common.threads, params.common.device)
    estimator: Estimator = kind(params.fusion.recipe, seed, target.kind, target.n, tuple(params.modalities))
    estimator.fit(*rows)
    return estimator


def measure_size(estimator: object) -> tuple[int | None, int | None]:
    """Return (parameters, floating-point operations of one prediction) of the scikit-learn models in an estimator. Both
    are None without a fitted model.

    Parameters are the floating-point numbers of a fitted model; trees count one number per node (threshold or
    prediction). Operations are one multiplication and one addition per number; support vectors count one more, for the
    distance. Trees count the comparisons on the longest path and one addition."""
    parameters = operations = 0
    for model in _contained_models(estimator):
        trees = list(_tree_sizes(model))
        if trees:
            parameters += sum(nodes for nodes, _ in trees)
            operations += sum(depth + 1 for _, depth in trees)
        else:
            numbers = sum(array.size for array in _float_arrays(model))
            support = getattr(model, "support_vectors_", np.empty(0)).size
            parameters, operations = parameters + numbers, operations + 2 * numbers + support
    return (parameters, operations) if parameters else (None, None)


def _contained_models(holder: object) -> Iterator[BaseEstimator]:
    """Yield each scikit-learn model that an object holds, at any depth, once. A model made of trees counts as one."""
    from sklearn.base import BaseEstimator  # not needed for networks

    waiting, seen = [holder], set()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, list | tuple):
            waiting += found
        elif isinstance(found, BaseEstimator) or found is holder:
            if isinstance(found, BaseEstimator):
                yield found
            if not any(True for _ in _tree_sizes(found)):  # the trees of a forest are counted with it
                waiting += vars(found).values()


def _tree_sizes(model: object) -> Iterator[tuple[int, int]]:
    """Yield (nodes, depth) of each tree of a model made of trees."""
    for rounds in getattr(model, "_predictors", ()):  # histogram gradient boosting has no public attribute for this
        for tree in rounds:
            yield len(tree.nodes), int(tree.get_max_depth())
    several: Any = getattr(model, "estimators_", ())
    for tree in np.ravel(np.array([t for t in several if hasattr(t, "tree_")], dtype=object)):
        yield int(tree.tree_.node_count), int(tree.tree_.max_depth)
    if hasattr(model, "tree_"):
        yield int(model.tree_.node_count), int(model.tree_.max_depth)


def _float_arrays(model: BaseEstimator) -> Iterator[np.ndarray]:
    """Yield the arrays of floating-point numbers among a model's public attributes."""
    for name, value in vars(model).items():
        for array in value if isinstance(value, list) else (value,):
            if not name.startswith("_") and isinstance(array, np.ndarray) and array.dtype.kind == "f":
                yield array
