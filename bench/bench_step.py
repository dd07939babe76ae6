"""A training step of the engine against a loop written by hand: same model, batch sizes and data, turn by turn.

The hand-written loop has what must be equal (class weights, clipped gradients, the precision of the device) and gets
its windows cut beforehand, side by side in one tensor, which a large dataset has no memory for. Batches are small, so
that what the engine does besides the network weighs more than in any recipe.
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import nn
from torch.nn import functional

from embench import registry
from embench.engine import device, fits, loop, network
from embench.engine.feed import Data
from embench.engine.specs import FitParams, FusionParams
from embench.engine.stage import Folder, Stage
from embench.engine.supervised import class_weights
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch
from embench.nn import Model, Supervised
from embench.runs import run as runner

BATCH, STEPS, TURNS, BOUND = 16, 5, 11, 1.05
METHODS = (("single", "eda"), ("cross_attn", "ecg,eda"))


def by_hand(model: Model, data: Data, train: np.ndarray, classes: torch.Tensor, recipe: Recipe) -> Callable[[], None]:
    """An epoch as one would write it."""
    rows = {m: feed.batch_rows(train) for m, feed in data.feeds.items()}
    y = data.labels[0][torch.from_numpy(train).to(data.device), 0]
    optimiser = torch.optim.AdamW(model.parameters(), recipe.lr, recipe.betas, weight_decay=recipe.weight_decay)

    def epoch() -> None:
        model.train()
        total = torch.zeros((), device=data.device)
        for index in torch.randperm(len(y), device=data.device).split(BATCH):
            every = torch.arange(len(index), device=data.device)
            x = {m: part[index] for m, (part, _) in rows.items()}
            mask = {m: None if there is None else there[index] for m, (_, there) in rows.items()}
            optimiser.zero_grad()
            with device.training_precision(data.device):
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


def compare(stage: Stage[FitParams], root: Path) -> np.ndarray:
    """(turns, 2) seconds of a step, by hand and in the engine."""
    device.seed_everything(0, 1, stage.params.common.device)
    data, specs, train, _, _ = fits.labelled(stage)
    outputs, params = network.output_spec_of(stage.params), stage.params
    if isinstance(params, FusionParams):
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    else:
        model = network.build_unimodal(params.modalities, specs, outputs)
    recipe = params.recipe.but(epochs=TURNS + 1)
    train = np.resize(train[data.present[train].all(1)], STEPS * BATCH)
    y, weight = (part[train].cpu().numpy() for part in data.labels)
    classes = class_weights(outputs.targets[0], y[:, 0], weight, balanced=True)
    weights = torch.tensor(classes, dtype=torch.float32, device=data.device)
    hand = by_hand(copy.deepcopy(model).to(data.device), data, train, weights, recipe)
    module = Supervised(model, replace(outputs, class_weights=(classes,))).to(data.device)
    times, mark = [], time.perf_counter()

    def turn(_: Mapping[str, Any]) -> None:
        """An epoch by hand after each of the engine's."""
        nonlocal mark
        now = time.perf_counter()
        hand()
        times.append((time.perf_counter() - now, now - mark))
        mark = time.perf_counter()

    folder = Folder(root, stage.id, turn)
    folder.path.mkdir(parents=True)
    loop.fit(module, module, data, train, train[:0], recipe, folder, 0)
    return np.array(times[1:]) / STEPS  # the first turn warms up


def main() -> None:
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        os.environ["EMBENCH_CACHE"] = str(place / "cache")
        registry.synthesizer("amigos")(place / "amigos", subjects=2, seed=0, effect=1.0)
        common: dict[str, Any] = {"targets": "arousal", "recipe": "small", "seeds": "0", "workers": 1}
        common |= {"data_root": place, "runs": place, "settings": (f"encoder.batch={BATCH}", f"fusion.batch={BATCH}")}
        for fusion, modalities in METHODS:
            plan = runner.plan(runner.Request("amigos", fusion=fusion, modalities=modalities, **common))
            stage = next(s for s in plan.graph.stages.values() if s.kind in ("unimodal", "fusion"))
            times = compare(stage, place / "stages")
            hand, engine = 1e3 * np.median(times, 0)
            ratio = np.median(times[:, 1] / times[:, 0])
            bound = f"{BOUND} x" + (" MISSED" if ratio > BOUND else "")
            lines.append(
                [f"cnn_tf {fusion} {modalities}", f"{hand:.1f} ms", f"{engine:.1f} ms", f"{ratio:.3f} x", bound]
            )
    print(f"Training step, {plan.setting.device}, batch {BATCH}, one thread, median of {TURNS} turns")
    print(tabulate(lines, ["", "by hand", "engine", "ratio", "bound"]), "\n")


if __name__ == "__main__":
    main()
