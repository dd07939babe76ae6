"""A training step of the engine against a loop written by hand, and against torcheeg's trainer, turn by turn.

The hand-written loop has what must be equal (class weights, clipped gradients, the precision of the device) and gets
its windows cut beforehand, side by side in one tensor, which a large dataset has no memory for. Batches are small, so
that what the engine does besides the network weighs more than in any recipe. torcheeg's trainer trains plain modules of
the same layers and sizes on the same windows; what it shows and writes beside training is switched off.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bench.speed import data
from bench.speed.measure import MILLI, Row, Setting, Took, faster, now, share, since, timed
from bench.speed.peer import NAME, Peer
from embench.engine import device, fits, loop, network
from embench.engine.feed import Data
from embench.engine.network import class_weights
from embench.engine.stage import FitParams, Folder, FusionParams, Stage
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch
from embench.nn import Model, Supervised
from embench.planning.plan import make
from embench.runs import run


@dataclass(frozen=True)
class Case:
    """A method, steps of an epoch and epochs; `peer` says that the peer trains the same layers."""

    encoder: str
    fusion: str
    modalities: str
    batch: int
    steps: int
    turns: int
    most: float
    peer: bool = True


CASES = (
    Case("cnn_tf", "single", "eda", 16, 20, 25, 1.03),
    Case("cnn_tf", "cross_attn", "ecg,eda", 16, 20, 11, 1.03, peer=False),
    Case("handcrafted", "single", "eda", 32, 50, 41, 1.08),
)


def by_hand(
    model: Model, of: Data, train: np.ndarray, classes: torch.Tensor, recipe: Recipe, size: int
) -> Callable[[], None]:
    """An epoch as one would write it."""
    rows = {m: feed.batch_rows(train) for m, feed in of.feeds.items()}
    assert of.y is not None  # noqa: S101  # a labelled stage
    y = of.y[torch.from_numpy(train).to(of.device), 0]
    optimiser = torch.optim.AdamW(model.parameters(), recipe.lr, recipe.betas, weight_decay=recipe.weight_decay)

    def epoch() -> None:
        model.train()
        total = torch.zeros((), device=of.device)
        for index in torch.randperm(len(y), device=of.device).split(size):
            every = torch.arange(len(index), device=of.device)
            x = {m: part[index] for m, (part, _) in rows.items()}
            mask = {m: None if there is None else there[index] for m, (_, there) in rows.items()}
            optimiser.zero_grad()
            with device.training_precision(of.device):
                logits = model(Batch(x, mask, dict.fromkeys(rows, every), len(index))).logits
            losses = functional.binary_cross_entropy_with_logits(logits[:, 0].float(), y[index], reduction="none")
            weight = classes[y[index].long()]
            loss = (losses * weight).sum() / weight.sum()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip or 1e9)
            optimiser.step()
            total += loss.detach()
        float(total)

    return epoch


def engines_epochs(
    module: nn.Module, of: Data, train: np.ndarray, recipe: Recipe, folder: Path, between: Callable[[int], None]
) -> list[Took]:
    """Epochs of the engine's own loop; after each, `between` is called with their number so far."""
    found, mark = list[Took](), now()

    def ended(event: Mapping[str, Any]) -> None:
        nonlocal mark
        if event["event"] == "epoch_ended":
            found.append(since(mark))
            between(len(found))
            mark = now()

    place = Folder(folder, "stage", ended)
    place.path.mkdir(parents=True)
    loop.fit(module, module, of, train, train[:0], recipe, place, 0)
    return found


def of_a_step(epochs: list[Took], steps: int) -> list[Took]:
    """Times of a step, without the first epoch, which warmed up."""
    return [Took(each.seconds / steps, each.processor / steps) for each in epochs[1:]]


def compare(case: Case, stage: Stage[FitParams], setting: Setting, peer: Peer) -> dict[str, list[Took]]:
    """Seconds of a step: `hand`, `ours`, and `peer` where there is one."""
    device.seed_everything(0, 1, stage.params.common.device)
    of, specs, train, _, _ = fits.load_labelled_data(stage)
    outputs, params = network.make_output_spec(stage.params), stage.params
    if isinstance(params, FusionParams):
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    else:
        model = network.build_unimodal(params.modalities, specs, outputs)
    steps, turns = setting.size(case.steps, 2), setting.size(case.turns, 2)
    recipe = params.recipe.replace(epochs=turns + 1)
    train = np.resize(train[of.present[train].all(1)], steps * case.batch)
    y, weight = (part[train].cpu().numpy() for part in of.labels)
    classes = class_weights(outputs.targets[0], y[:, 0], weight, balanced=True)
    weights = torch.tensor(classes, dtype=torch.float32, device=of.device)
    hand = timed(by_hand(copy.deepcopy(model).to(of.device), of, train, weights, recipe, case.batch))
    module = Supervised(model, replace(outputs, class_weights=(classes,))).to(of.device)
    given = setting.work / f"{case.encoder}.npy"
    np.save(given, next(iter(of.feeds.values())).batch_rows(train)[0].cpu().numpy())
    build = dict(next(iter(params.modalities.values())).recipe.build)
    told = {"network": case.encoder, "build": build, "windows": given, "batch": case.batch}
    found: dict[str, list[Took]] = {"hand": [], "peer": []}
    others = {"hand": hand, "peer": peer.way("train", lambda: told) if case.peer else None}

    def between(epochs: int) -> None:
        """An epoch of each of the others, the peer's first every other time: who comes after another process finds the
        caches cold."""
        for name in ("peer", "hand") if epochs % 2 == 0 else ("hand", "peer"):
            if way := others[name]:
                found[name].append(way())

    found["ours"] = engines_epochs(module, of, train, recipe, setting.new("stages"), between)
    return {name: of_a_step(times, steps) for name, times in found.items()}


def rows(setting: Setting) -> list[Row]:
    root = data.amigos(setting, 2, setting.size(None, 20.0)).parent
    common: dict[str, Any] = {"targets": "arousal", "recipe": "small", "seeds": "0", "workers": 1, "device": "cpu"}
    common |= {"data_root": root, "runs": setting.work / "runs"}
    found: list[Row] = []
    with Peer(setting.peer) as peer:
        for case in CASES:
            method = {"encoders": (case.encoder,), "fusion": case.fusion, "modalities": case.modalities}
            plan = make(run.Request("amigos", **method, **common))
            stage = next(s for s in plan.graph.stages.values() if s.kind in ("unimodal", "fusion"))
            times = compare(case, stage, setting, peer)
            name = f"step of {case.encoder} {case.fusion} on {case.modalities}, batch {case.batch}"
            found.append(share(name, times["ours"], times["hand"], "a bare torch loop", most=case.most, **MILLI))
            if case.peer:
                against = f"{NAME}, trainer"
                found.append(faster("the same", times["ours"], times["peer"], against, note=peer.missing, **MILLI))
    return found
