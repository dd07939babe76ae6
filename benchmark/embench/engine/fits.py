"""Stages that fit networks: pretraining, unimodal and fusion networks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from embench import registry
from embench.engine import closed, dropping, network, tokens
from embench.engine.assemble import assemble, with_stats
from embench.engine.feed import Data
from embench.engine.flops import flops_of
from embench.engine.inputs import encoder_of, view_of
from embench.engine.loop import FitState, fit
from embench.engine.mixed import chained, placed, sources_of
from embench.engine.rows import Grid, slide, stage_view, view_length
from embench.engine.source import Source, grid_of, keeps_level
from embench.engine.specs import FitParams, FusionParams, Params, PretrainParams
from embench.engine.stage import Folder, Stage
from embench.engine.supervised import class_weights, fit_scale
from embench.errors import DataError
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import names_in
from embench.interfaces.tokens import InputSpec, OutputSpec
from embench.nn import Model, Supervised
from embench.store import Store, open_store


def of_units(
    stage: Stage[Params],
    params: FitParams,
    source: Source,
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
    source = Source.of(params.common.source, stage.places, task)
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
    data, specs = dropping.drop(data, specs, source.store, grid, train, scaled)
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
        if isinstance(self.model.head, closed.LinearHead):
            return self._finish({"epochs": 0, "penalty": self._fit_closed(self.model.head)})
        state = fit(
            self.module, self.module, self.data, self.train, self.val, recipe, self.folder, self.stage.seed,
            self.epoch_ended,
        )  # fmt: skip
        return self._finish(_learned(state, self.folder))

    def _fit_closed(self, head: closed.LinearHead) -> dict[str, float]:
        """Fits the head to the training rows' pooled tokens; the penalties that their subjects chose, by target."""
        ((m, encoder),) = self.module.model.encoders.items()
        x, mask = self.data.feeds[m].batch_rows(self.train)
        pooled = encoder(x, mask).pooled().cpu().numpy()
        y, weight = (part[self.train].cpu().numpy() for part in self.data.labels)
        subjects = task_subjects(self.stage)[self.unit[self.train]]
        return closed.fit_head(head, self.module.outputs, self.model.scale, pooled, y, weight, subjects)

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
    shared = tokens.everywhere(stage, specs, grid, root) if still else None
    reading, read = tokens.once(model, data, still, stage.places.get("memory_bytes"), shared)
    module = Supervised(reading, outputs, frozen).to(data.device)
    return Ready(stage, folder, model, module, specs, read, data, train, val, grid.unit, told)


def features_dropped(specs: Mapping[str, InputSpec], folder: Folder) -> dict[str, Any]:
    """The features that a stage dropped, for its result; notes them as events at once."""
    for text in dropping.notes(specs):
        folder.event("note", text=text)
    found = dropping.dropped_names(specs)
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
    data = tokens.hidden_data(data, modules)
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
            Source.of(spec, stage.places, task),
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
    source = Source.of(stage.params.common.source, stage.places, stage.task)
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
