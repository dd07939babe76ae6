"""Stages that fit: networks by pretraining or training, and estimators on features or frozen networks."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from embench import registry
from embench.engine import device as machine
from embench.engine import network
from embench.engine.assemble import assemble, chained, placed, sources_of, with_stats
from embench.engine.feed import Data, FeatureFeed, Feed, drop_misleading, dropped_names, dropping_notes, sent
from embench.engine.loop import FitState, fit, flops_of
from embench.engine.network import HiddenEncoder, LinearHead, Precomputed, class_weights, fit_scale
from embench.engine.rows import (
    Grid,
    StoreSource,
    all_anchors,
    encoder_of,
    grid_of,
    keeps_level,
    slide,
    stage_view,
    view_length,
    view_of,
)
from embench.engine.stage import FitParams, Folder, FusionParams, Params, PretrainParams, Stage
from embench.errors import DataError
from embench.files import digest
from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import names_in
from embench.interfaces.tokens import InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import Head, Model, Supervised
from embench.store import Store, open_store
from embench.store.store import kept_by_one

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


# Tokens of networks that learn nothing: computed once a stage, not once an epoch; once for all stages of a dataset
# where they start from weights that stages share.


@dataclass(frozen=True)
class TokenFeed(FeatureFeed):
    """Tokens `array` (n, L, D) on the device, a summary in front of them where there is one, with their `mask`
    (n, L), None where all count."""

    mask: Tensor | None = None

    def batch_rows(self, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Tokens (b, L, D) at positions `index` (b,), and their mask (b, L)."""
        at = sent(torch.from_numpy(index), self.device)
        return self.array[at], None if self.mask is None else self.mask[at]


def hidden_data(data: Data, nets: Mapping[str, HiddenEncoder]) -> Data:
    """Data of the same rows with hidden vectors (n, 1, H) of frozen nets."""
    return replace(data, feeds={m: tokens_of(data, m, net, net.tokens) for m, net in nets.items()})


def tokens_of(data: Data, m: str, module: nn.Module, spec: TokenSpec, *, pooled: bool = False) -> TokenFeed:
    """The tokens that a network makes of all rows of a modality in evaluation mode, in float32; the one `pooled` token
    (n, 1, D) instead of all where that is enough. `spec` is of all tokens."""
    module.to(data.device).eval()
    feed = data.feeds[m]
    x = torch.zeros(data.size, *_shape(spec, pooled), device=data.device)
    mask: Tensor | None = None
    for at, made, counts in _chunks(module, feed, data.at_once, pooled):
        x[at] = made
        if counts is not None:
            mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=data.device) if mask is None else mask
            mask[at] = counts
    return TokenFeed(x, feed.present, data.device, mask)


def _shape(spec: TokenSpec, pooled: bool) -> tuple[int, int]:
    """(L, D) of tokens as one tensor."""
    return (1 if pooled else spec.length + spec.summary, spec.dim)


def _chunks(module: nn.Module, feed: Feed, size: int, pooled: bool) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Positions (b,) of the rows that are there, `size` at a time, with their tokens (b, L, D) and masks (b, L)."""
    there = np.flatnonzero(feed.present)
    with torch.no_grad():
        for i in range(0, len(there), size):
            index = there[i : i + size]
            tokens = module(*feed.batch_rows(index))
            yield sent(torch.from_numpy(index), feed.device), *_packed(tokens, pooled)


def _packed(tokens: Tokens, pooled: bool) -> tuple[Tensor, Tensor | None]:
    """Tokens as one tensor (b, L, D) with their mask: pooled, or behind their summary, where there is one."""
    if pooled:
        return tokens.pooled().unsqueeze(1).float(), None
    if tokens.summary is None:
        return tokens.x.float(), tokens.mask
    mask = None if tokens.mask is None else nn.functional.pad(tokens.mask, (1, 0), value=True)
    return torch.cat([tokens.summary.unsqueeze(1), tokens.x], 1).float(), mask


@dataclass(frozen=True)
class Everywhere:
    """Tokens of a dataset's units, whichever of them a stage has: made once, kept beside the prepared data, and found
    by all stages whose encoders have the same weights.

    Args:
        specs: what the stage's encoders are fed. grid: (n,) anchors of its rows.
        modalities: those whose encoders start from weights that other stages have, too.
    """

    params: FitParams
    source: StoreSource
    specs: Mapping[str, InputSpec]
    grid: Grid
    all_view: View
    modalities: Collection[str]

    def feed(self, m: str, module: nn.Module, spec: TokenSpec, present: np.ndarray, pooled: bool) -> TokenFeed | None:
        """The tokens of the stage's rows, of which `present` (n,) are there; None where they are not shared."""
        if m not in self.modalities:
            return None
        whole, device = all_anchors(self.source, self.all_view), self.params.common.device
        at = _positions(self.grid, whole)
        if at is None:
            return None

        def make() -> np.ndarray:
            part = {m: self.params.modalities[m]}
            data, _ = assemble(self.source, part, whole, device, all_view=self.all_view, specs=self.specs)
            found = tokens_of(data, m, module, spec, pooled=pooled)
            columns = [found.array] if found.mask is None else [found.array, found.mask.unsqueeze(2).float()]
            return torch.cat(columns, 2).cpu().numpy()

        rows = torch.from_numpy(kept_by_one(self.source.store, self._key(m, module, whole, pooled), make)[at])
        mask = rows[..., spec.dim].bool().to(device) if rows.shape[2] > spec.dim else None
        return TokenFeed(rows[..., : spec.dim].contiguous().to(device), present, device, mask)

    def _key(self, m: str, module: nn.Module, whole: Grid, pooled: bool) -> list[object]:
        """All that decides the tokens, weights by their own content, so that it tells nothing where they came from."""
        part, spec, common = self.params.modalities[m], self.specs[m], self.params.common
        view = None if part.recipe.view is None else asdict(part.recipe.view)
        weights = {name: digest(tensor.float().cpu().numpy()) for name, tensor in module.state_dict().items()}
        fed = {**{f"stats/{k}": v for k, v in spec.stats.items()}, **{f"fitted/{k}": v for k, v in spec.fitted.items()}}
        return [
            "tokens",
            *(common.engine, dict(common.libraries), common.device, common.threads, self.source.store.key),
            *(m, part.name, part.code, dict(part.recipe.prepare), dict(part.recipe.build), part.grounds, view),
            *(weights, list(spec.shape), list(spec.channels), {name: digest(array) for name, array in fed.items()}),
            *(common.source.plain(), [digest(array) for array in vars(whole).values()], pooled),
        ]


def everywhere(stage: Stage[FitParams], specs: Mapping[str, InputSpec], grid: Grid, root: Path) -> Everywhere | None:
    """The tokens that a stage may share with others: of encoders that start from files, or from a pretraining that all
    folds share. Others begin at random, in each stage with other weights."""
    params = stage.params
    known = {m for m, part in params.modalities.items() if part.assets or m in params.weights}
    for role, stage_id in stage.inputs.items():
        kind, _, modality = role.partition(":")
        if kind == "pretrained" and Folder(root, stage_id).description()["params"].get("fold") is None:
            known |= {modality} if modality else set(params.modalities)
    if not known or stage.places.get("blank"):
        return None
    source = StoreSource.of(params.common.source, stage.places, stage.task)
    if source.given is not None:  # other units normalise in each fold
        return None
    views = [view_of(encoder_of(part), part.name) for part in params.modalities.values()]
    return Everywhere(params, source, specs, grid, stage_view(params.recipe.view, views), known)


def _positions(some: Grid, whole: Grid) -> np.ndarray | None:
    """(n,) where the anchors of `some` stand among those of `whole`; None where one is not there."""
    places = {row: i for i, row in enumerate(_anchors(whole))}
    found = [places.get(row, -1) for row in _anchors(some)]
    return None if -1 in found else np.array(found, np.int64)


def _anchors(grid: Grid) -> Iterator[tuple[float, ...]]:
    return zip(*(of.tolist() for of in (grid.recording, grid.start, grid.stop, grid.unit_start)), strict=True)


def once(
    model: Model, data: Data, frozen: Collection[str], memory_bytes: int | None, shared: Everywhere | None
) -> tuple[Model, Data]:
    """A model that reads tokens where `frozen` encoders read something else, and data with these tokens of all rows; it
    shares all else with `model`. Both as they are where tokens do not fit in half of the memory (None: what is free).

    The default head reads pooled tokens alone. Any other sees them all.
    """
    pooled = model.fusion is None and type(model.head) in (Head, LinearHead)
    free = machine.free_bytes(data.device) if memory_bytes is None else memory_bytes
    size = 4 * data.size * sum(math.prod(_shape(spec, pooled)) for m, spec in model.specs.items() if m in frozen)
    if size > free // 2 and not pooled:
        return model, data
    encoders = {m: model.encoders[m] for m in model.encoders if m in frozen}
    feeds = dict(data.feeds)
    for m, encoder in encoders.items():
        spec, present = model.specs[m], data.feeds[m].present
        known = shared.feed(m, encoder, spec, present, pooled) if shared else None
        feeds[m] = known or tokens_of(data, m, encoder, spec, pooled=pooled)
    stand_ins = {m: Precomputed(summary=model.specs[m].summary and not pooled) for m in encoders}
    specs = {m: replace(spec, length=1, summary=False) if pooled else spec for m, spec in model.specs.items()}
    reading = Model({**model.encoders, **stand_ins}, specs, model.fusion, model.head, model.scale)
    return reading, replace(data, feeds=feeds)


# Stages that fit networks: pretraining, unimodal and fusion networks.


def of_units(
    stage: Stage[Params],
    params: FitParams,
    source: StoreSource,
    *,
    drop: tuple[str, ...] = (),
    specs: Mapping[str, InputSpec] | None = None,
    training: Mapping[str, np.ndarray] | None = None,
) -> tuple[Data, dict[str, InputSpec], Grid]:
    """The rows of a stage's units as a network or an estimator of these `params` reads them; `drop`, `specs` and
    `training` as in `assemble`."""
    modalities, own, task = params.modalities, params.recipe.view, stage.task
    grid = grid_of(modalities, own, task["recording"], task["start"], task["stop"])
    views = [view_of(encoder_of(part), part.name) for part in modalities.values()]
    data, found = assemble(
        source,
        modalities,
        grid,
        stage.params.common.device,
        all_view=stage_view(own, views),
        drop=drop,
        specs=specs,
        training=training,
        memory_bytes=stage.places.get("memory_bytes"),
        blank=stage.places.get("blank", False),
    )
    return data, found, grid


def _training(task: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`recording`, `start` and `stop` (k,) of a task's training units or segments."""
    return {name: task[name][task["role"] == 0] for name in ("recording", "start", "stop")}


def labelled(stage: Stage[FitParams]) -> tuple[Data, dict[str, InputSpec], np.ndarray, np.ndarray, Grid]:
    """Data with labels, input specs, positions (k,) of training rows and (v,) of validation rows, and the anchors.

    Raises:
        DataError: no training unit has any of the modalities, or most features of one of them tell nothing.
    """
    params, task = stage.params, stage.task
    source = StoreSource.of(params.common.source, stage.places, task)
    data, specs, grid = of_units(stage, params, source, training=_training(task))
    there = data.present.any(1)
    role = task["role"][grid.unit]
    train, val = np.flatnonzero(there & (role == 0)), np.flatnonzero(there & (role == 1))
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


def _labels_of(
    model: Model,
    params: FitParams,
    data: Data,
    train: np.ndarray,
    recipe: Recipe,
) -> OutputSpec:
    """The stage's targets, with what its training labels say of them: weights of classes, and the model's scale."""
    outputs = network.output_spec_of(params)
    y, weight = (part[train].cpu().numpy() for part in data.labels)
    balanced = recipe.class_weight == "balanced"
    classes = tuple(class_weights(t, y[:, i], weight, balanced) for i, t in enumerate(outputs.targets))
    fit_scale(model, outputs, y, weight)
    return replace(outputs, class_weights=classes, loss=recipe.loss)


def _start(model: Model, stage: Stage[FitParams], root: Path) -> None:
    """Pretrained weights, in the order in which the stages were requested.

    Raises:
        UsageError: they are of another network.
    """
    for role, stage_id in stage.inputs.items():
        kind, _, modality = role.partition(":")
        if kind == "pretrained":
            before = Folder(root, stage_id)
            network.start_from(model, before.file("weights.safetensors"), f"encoders.{modality}" if modality else None)
    for part, checksum in stage.params.weights.items():
        file = Path(stage.places["weights"][checksum])
        network.start_from(model, file, part if part == "fusion" else f"encoders.{part}")


def _freeze(model: Model, params: FitParams) -> list[nn.Module]:
    """Freezes what recipes say: encoders, and all of a fusion that is not under its `.head`. Returns the modules that
    stay in evaluation mode."""
    parts = [p for m, part in params.modalities.items() if part.recipe.frozen for p in model.encoders[m].modules()]
    if model.fusion is not None and isinstance(params, FusionParams) and params.fusion.recipe.frozen:
        parts += [part for name, part in model.fusion.named_modules() if "head" not in name.split(".")]
    for part in parts:
        for parameter in part.parameters(recurse=False):
            parameter.requires_grad_(False)
    return parts


@dataclass(frozen=True)
class Ready:
    """A network with its first weights, and the rows that it learns from.

    Args:
        module: what is trained: `model`, or one that reads tokens of its frozen encoders and shares the rest with it.
        data: what `module` reads; `rows`: what `model` does.
        train, val: positions (k,), (v,) in both.
        unit: (n,) the unit of each row.
        told: facts on features for the result.
        frozen: parameters of the frozen nets under it.
    """

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
    told: Mapping[str, Any] = field(default_factory=dict)
    frozen: int = 0

    @property
    def epoch_ended(self) -> Callable[[int], None] | None:
        """Keeps the weights of every epoch, where the protocol picks among them afterwards."""
        if not self.stage.params.every_epoch:
            return None
        return lambda epoch: network.save_weights(self.folder, self.model, epoch)

    def fit(self) -> dict[str, Any]:
        """Fits the network, by its recipe or in closed form, and writes it; returns the stage's result."""
        recipe = self.stage.params.recipe
        if isinstance(self.model.head, network.LinearHead):
            return self._finish({"epochs": 0, "penalty": self._fit_closed(self.model.head)})
        state = fit(
            self.module, self.module, self.data, self.train, self.val, recipe, self.folder, self.stage.seed,
            self.epoch_ended,
        )  # fmt: skip
        return self._finish(_learned(state, self.folder))

    def _fit_closed(self, head: network.LinearHead) -> dict[str, float]:
        """Fits the head to the training rows' pooled tokens; the penalties that their subjects chose, by target."""
        ((m, encoder),) = self.module.model.encoders.items()
        x, mask = self.data.feeds[m].batch_rows(self.train)
        pooled = encoder(x, mask).pooled().cpu().numpy()
        y, weight = (part[self.train].cpu().numpy() for part in self.data.labels)
        subjects = task_subjects(self.stage)[self.unit[self.train]]
        return network.fit_head(head, self.module.outputs, self.model.scale, pooled, y, weight, subjects)

    def _finish(self, learned: Mapping[str, Any]) -> dict[str, Any]:
        """Writes the fitted network; returns the stage's result."""
        trained = sum(p.numel() for p in self.module.parameters() if p.requires_grad)
        network.save(self.folder, self.model, self.specs)
        return {
            **learned,
            "rows": len(self.train),
            "val_rows": len(self.val),
            **self.told,
            "parameters": network.parameter_count(self.model) + self.frozen,
            "trained": trained,
            "flops": flops_of(self.model, self.rows, self.train),
        }


def run_network(stage: Stage[FitParams], folder: Folder, root: Path) -> dict[str, Any]:
    """One modality's encoder with its own head; or a fusion, end to end with its encoders, or over the hidden layers of
    frozen unimodal nets."""
    return ready(stage, folder, root).fit()


def ready(stage: Stage[FitParams], folder: Folder, root: Path) -> Ready:
    """The network of a stage before it is trained. Raises DataError, UsageError or PluginError where the data, the
    weights to start from or the plugins do not fit."""
    params = stage.params
    if isinstance(params, FusionParams) and params.inputs == "hidden":
        return _over_hidden(stage, params, folder, root)
    data, specs, train, val, grid = labelled(stage)
    outputs = network.output_spec_of(params)
    if isinstance(params, FusionParams):
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    else:
        model = network.build_unimodal(params.modalities, specs, outputs)
    told = features_dropped(specs, folder)
    _start(model, stage, root)
    frozen = _freeze(model, params)
    outputs = _labels_of(model, params, data, train, params.recipe)
    model.to(data.device)
    still = [m for m, part in params.modalities.items() if part.recipe.frozen]
    shared = everywhere(stage, specs, grid, root) if still else None
    reading, read = once(model, data, still, stage.places.get("memory_bytes"), shared)
    module = Supervised(reading, outputs, frozen).to(data.device)
    return Ready(stage, folder, model, module, specs, read, data, train, val, grid.unit, told)


def features_dropped(specs: Mapping[str, InputSpec], folder: Folder) -> dict[str, Any]:
    """The features that a stage dropped, for its result; notes them as events at once."""
    for text in dropping_notes(specs):
        folder.event("note", text=text)
    found = dropped_names(specs)
    return {"dropped": found} if found else {}


def frozen_networks(
    stage: Stage[FitParams], params: FusionParams, root: Path
) -> tuple[dict[str, network.HiddenEncoder], dict[str, InputSpec]]:
    """The unimodal networks that a stage reads, without gradients, and the specs of their hidden layers."""
    modules, specs = {}, {}
    for m in params.modalities:
        modules[m], spec = network.hidden_encoder(root, stage.inputs[f"unimodal:{m}"], params.inputs)
        specs.update(spec)
    return modules, specs


def _over_hidden(stage: Stage[FitParams], params: FusionParams, folder: Folder, root: Path) -> Ready:
    data, _, train, val, grid = labelled(stage)
    modules, specs = frozen_networks(stage, params, root)
    token_specs = {m: module.tokens for m, module in modules.items()}
    data = hidden_data(data, modules)
    fused = network.fused(params.fusion, token_specs, network.output_spec_of(params))
    precomputed = {m: network.Precomputed() for m in modules}
    model = Model(precomputed, token_specs, fused, scale=network.scale_of(network.output_spec_of(params)))
    module = Supervised(model, _labels_of(model, params, data, train, params.recipe)).to(data.device)
    count = sum(network.parameter_count(part) for part in modules.values())
    return Ready(stage, folder, model, module, specs, data, data, train, val, grid.unit, frozen=count)


def run_pretrain(stage: Stage[PretrainParams], folder: Folder, root: Path) -> dict[str, Any]:
    """A pretext task over windows of its source's subjects, or a task on the source's labels over labelled units."""
    params, labels = stage.params, "y" in stage.task
    recipe = params.recipe
    pretrainer = registry.load("pretrainer", params.pretrainer.name)(recipe)
    data, specs, train, val = labelled(stage)[:4] if labels else _windows(stage)
    outputs = network.output_spec_of(params)
    if params.fusion is not None:
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    elif labels:
        model = network.build_unimodal(params.modalities, specs, outputs)
    else:
        model = Model(*network.build_encoders(params.modalities, specs))
    _start(model, stage, root)
    outputs_of_source = _labels_of(model, params, data, train, recipe) if labels else None
    objective = pretrainer.objective(model, specs, outputs_of_source)
    module = network.module_of(params.pretrainer, objective).to(data.device)
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
    manifest, *beside = _seen(stage, about)
    return {
        **_learned(state, folder),
        "rows": len(train),
        "val_rows": len(val),
        "parameters": network.parameter_count(module),
        "manifest": manifest,
        **({"beside": beside} if beside else {}),
    }


def window_grids(stage: Stage[PretrainParams]) -> list[tuple[Grid, np.ndarray]]:
    """The windows of a stage that pretrains without labels, and the role of each (n,), of each of its datasets; they
    slide over the segments of its task."""
    params, found = stage.params, []
    views = [view_of(encoder_of(part), part.name) for part in params.modalities.values()]
    for source, task in sources_of(stage):
        length = max(view_length(view, source.longest_s, source.shortest_s) for view in views)
        step = stage_view(params.recipe.view, views).step_s or length
        grid = slide(length, step, task["recording"], task["start"], task["stop"])
        found.append((grid, task["role"][grid.unit]))
    return found


def _windows(stage: Stage[PretrainParams]) -> tuple[Data, dict[str, InputSpec], np.ndarray, np.ndarray]:
    """Data without labels in windows; specs; the rows of training and of validation."""
    params, windows, memory = stage.params, window_grids(stage), stage.places.get("memory_bytes")
    parts: list[Data] = []
    specs: dict[str, InputSpec] = {}
    for (spec, task), (grid, _) in zip(sources_of(stage), windows, strict=True):
        data, found = assemble(
            StoreSource.of(spec, stage.places, task),
            params.modalities,
            grid,
            params.common.device,
            specs=specs or None,
            training=_training(task),
            memory_bytes=memory and memory // len(windows),
        )
        parts.append(placed(data, found, specs, params.modalities) if specs else data)
        specs = specs or found
    data, role = chained(parts), np.concatenate([role for _, role in windows])
    there = data.present.any(1)
    train, val = np.flatnonzero(there & (role == 0)), np.flatnonzero(there & (role == 1))
    if len(train) < 2:
        raise DataError("no recording is long enough for one window to pretrain on", where=stage.title)
    return data, with_stats(specs, params.modalities, data, train), train, val


def _seen(stage: Stage[PretrainParams], about: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Facts `about` a pretraining with those of each dataset: hash, subjects, recordings, hours by modality."""
    for k, (spec, task) in enumerate(sources_of(stage)):
        store = open_store(stage.places["stores"][spec.store])
        segments = [
            (store.recordings[r], start, stop)
            for r, start, stop in zip(*(task[name].tolist() for name in ("recording", "start", "stop")), strict=True)
        ]
        entries = {entry.id: entry for entry, _, _ in segments}.values()
        hours = {}
        for m in {part for joined in stage.params.modalities for part in names_in(joined)}:
            rate = store.modalities[m].rate
            cuts = [entry.spans[m].cut(start, stop, rate) for entry, start, stop in segments if m in entry.spans]
            hours[m] = round(sum(cut.stop - cut.start for cut in cuts) / rate / 3600, 3)
        yield {
            "dataset": store.name,
            "store": store.key,
            "synthetic": store.synthetic is not None,
            "people": sorted({entry.subject for entry in entries}),
            "recordings": len(entries),
            "hours": hours,
            "licence": stage.places["licences"][spec.store],
            **about,
            **({"channels": {m: _called(store, m, names) for m, names in about["channels"].items()}} if k else {}),
        }


def _called(store: Store, modality: str, names: list[str]) -> list[str]:
    """The channels of a source as it calls them: an only one may have another name than in the first source."""
    own = store.modalities[modality].channels if modality in store.modalities else ()
    return list(own) if len(own) == len(names) == 1 else names


def task_subjects(stage: Stage[Params], part: str = "") -> np.ndarray:
    """(n,) the subject of each unit of a stage, or of the units of a part of its task, such as `slice_`."""
    source = StoreSource.of(stage.params.common.source, stage.places, stage.task)
    return np.array([source.store.recordings[r].subject for r in stage.task[f"{part}recording"].tolist()])


def _learned(state: FitState, folder: Folder) -> dict[str, Any]:
    """Writes a learning curve; returns how many epochs there were, and which was kept."""
    names = list(dict.fromkeys(name for row in state.history for name in row))

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(state.history)

    folder.write("history.csv", write)
    kept = state.best_epoch if state.best is not None else state.epoch - 1
    return {"epochs": state.epoch, "kept_epoch": kept}


# Estimators on features or on frozen networks: the rows that one is fitted to, and the fit where it predicts.

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
        data = hidden_data(data, modules)
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


# Size of a fitted estimator: the numbers that it keeps, and the operations of one prediction.


def size_of(estimator: object) -> tuple[int | None, int | None]:
    """(parameters, floating-point operations of one row's prediction) of scikit-learn's models inside an estimator.

    Parameters are the floating-point numbers that the fitted models keep, and of a tree one number a node: a threshold
    or a prediction. Operations are a multiplication and an addition for each of these numbers, one more for each of a
    support vector's (the distance to it), and of a tree the comparisons on its longest path and one addition. Both None
    where nothing fitted by scikit-learn is found.
    """
    parameters = operations = 0
    for model in _models(estimator):
        trees = list(_trees(model))
        if trees:
            parameters += sum(nodes for nodes, _ in trees)
            operations += sum(depth + 1 for _, depth in trees)
        else:
            own = sum(array.size for array in _numbers(model))
            support = getattr(model, "support_vectors_", np.empty(0)).size
            parameters, operations = parameters + own, operations + 2 * own + support
    return (parameters, operations) if parameters else (None, None)


def _models(holder: object) -> Iterator[BaseEstimator]:
    """The models that an object holds, at any depth, each once; a forest's parts are counted with it."""
    from sklearn.base import BaseEstimator  # networks do without it

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
            if not any(True for _ in _trees(found)):
                waiting += vars(found).values()


def _trees(model: object) -> Iterator[tuple[int, int]]:
    """(nodes, depth) of each tree of a model made of trees."""
    for rounds in getattr(model, "_predictors", ()):  # gradient boosting on histograms; there is no public way
        for tree in rounds:
            yield len(tree.nodes), int(tree.get_max_depth())
    several: Any = getattr(model, "estimators_", ())
    for tree in np.ravel(np.array([t for t in several if hasattr(t, "tree_")], dtype=object)):
        yield int(tree.tree_.node_count), int(tree.tree_.max_depth)
    if hasattr(model, "tree_"):
        yield int(model.tree_.node_count), int(model.tree_.max_depth)


def _numbers(model: BaseEstimator) -> Iterator[np.ndarray]:
    """The arrays of floating-point numbers among a model's public attributes."""
    for name, value in vars(model).items():
        for array in value if isinstance(value, list) else (value,):
            if not name.startswith("_") and isinstance(array, np.ndarray) and array.dtype.kind == "f":
                yield array
