"""A training step of the engine against a loop written by hand: same model, batch sizes and data, turn by turn.

The hand-written loop has what must be equal (class weights, clipped gradients, the precision of the device) and gets
its windows cut beforehand, side by side in one tensor, which a large dataset has no memory for. Bound: 1.05 times.
"""

from __future__ import annotations

import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import nn
from torch.nn import functional

from embench import registry
from embench import run as runner
from embench.engine import device as machine
from embench.engine import fits, loop, network
from embench.engine.feed import Data
from embench.engine.stage import Folder, Stage
from embench.engine.supervised import Supervised, class_weights
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch
from embench.nn import Model

EPOCHS, STEPS, BOUND = 11, 3, 1.05
METHODS = (("single", "eda"), ("cross_attn", "ecg,eda"))


def by_hand(model: Model, data: Data, train: np.ndarray, classes: torch.Tensor, recipe: Recipe) -> Callable[[], None]:
    """An epoch as one would write it."""
    rows = {m: feed.gather(train) for m, feed in data.feeds.items()}
    x = {m: cut.contiguous() for m, (cut, _) in rows.items()}
    mask = {m: there for m, (_, there) in rows.items()}
    y = data.labels[0][torch.from_numpy(train).to(data.device), 0]
    optimiser = torch.optim.AdamW(model.parameters(), recipe.lr, recipe.betas, weight_decay=recipe.weight_decay)

    def epoch() -> None:
        model.train()
        total = torch.zeros((), device=data.device)
        for index in torch.randperm(len(y), device=data.device).split(recipe.batch):
            every = torch.arange(len(index), device=data.device)
            masks = {m: None if there is None else there[index] for m, there in mask.items()}
            batch = Batch({m: x[m][index] for m in x}, masks, dict.fromkeys(x, every), len(index))
            optimiser.zero_grad()
            with machine.training_precision(data.device):
                logits = model(batch).logits
            losses = functional.binary_cross_entropy_with_logits(logits[:, 0].float(), y[index], reduction="none")
            weight = classes[y[index].long()]
            loss = (losses * weight).sum() / weight.sum()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip or 1e9)
            optimiser.step()
            total += loss.detach()
        float(total)

    return epoch


def compare(stage: Stage, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of a step, by hand and in the engine, in turns."""
    machine.settle(0, 1)
    data, specs, train, _, _ = fits.labelled(stage)
    outputs = network.targets_of(stage.params)
    build: Any = network.build_unimodal if stage.kind == "unimodal" else network.build_fusion
    model = build(stage.params["modalities"] if stage.kind == "unimodal" else stage.params, specs, outputs)
    recipe = Recipe.of(stage.params["recipe"]).but(epochs=EPOCHS + 1)
    train = np.resize(train[data.present[train].all(1)], STEPS * recipe.batch)
    y, weight = (part[train].cpu().numpy() for part in data.labels)
    classes = class_weights(outputs.targets[0], y[:, 0], weight, balanced=True)
    hand = by_hand(
        copy.deepcopy(model).to(data.device), data, train, torch.tensor(classes, device=data.device).float(), recipe
    )
    module = Supervised(model, outputs, [classes]).to(data.device)
    times: list[tuple[float, float]] = []
    mark = time.perf_counter()

    def turn(_: Mapping[str, Any]) -> None:
        """After each of the engine's epochs, one by hand."""
        nonlocal mark
        now = time.perf_counter()
        hand()
        times.append((time.perf_counter() - now, now - mark))
        mark = time.perf_counter()

    folder = Folder(root, stage.id, turn)
    folder.path.mkdir(parents=True)
    loop.fit(module, module, data, train, train[:0], recipe, folder, 0)
    seconds = np.array(times[1:]) / STEPS  # the first epoch warms both up
    return seconds[:, 0], seconds[:, 1]


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        os.environ["EMBENCH_CACHE"] = str(place / "cache")
        registry.load("dataset", "amigos").synthesize(place / "data" / "amigos", subjects=2, seed=0, effect=1.0)
        for fusion, modalities in METHODS:
            request = runner.Request(
                "amigos", fusion=fusion, modalities=modalities, targets="arousal", recipe="small", seeds="0",
                data_root=place / "data", runs=place / "runs", workers=1,
            )  # fmt: skip
            stages = runner.plan(request).graph.stages.values()
            hand, engine = compare(next(s for s in stages if s.kind in ("unimodal", "fusion")), place / "stages")
            ratio = statistics.median(engine / hand)
            verdict = f"{BOUND} x" + (" MISSED" if ratio > BOUND else "")
            steps = [f"{1e3 * statistics.median(t):.1f} ms" for t in (hand, engine)]
            rows.append([f"cnn_tf {fusion} {modalities}", *steps, f"{ratio:.3f} x", verdict])
    print(f"Training step ({'cuda' if torch.cuda.is_available() else 'cpu, one thread'}), median of {EPOCHS} turns")
    print(tabulate(rows, ["", "by hand", "engine", "ratio", "bound"]), "\n")


if __name__ == "__main__":
    main()
