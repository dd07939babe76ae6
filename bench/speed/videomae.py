"""A training step of `videomae` in the engine against transformers' own network in a loop written by hand.

The hand-written loop is the strictest one: its frames are floats already, lie side by side, and are never turned round;
the engine cuts clips out of whole recordings of uint8, turns half of them, scales them, drops paths, and gives each
layer its own learning rate. Both compute in the precision of the device, turn by turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.speed.measure import Row, Setting, Took, share, timed
from bench.speed.steps import now, since
from embench import registry
from embench.engine import device, loop, network
from embench.engine.feed import Data, ResidentClips
from embench.engine.rows import Rows
from embench.engine.stage import Folder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, OutputSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, Supervised

TURNS, BOUND, FRAMES, SIZE = 5, 1.05, 16, 224
OUTPUTS = OutputSpec((Target("arousal", "binary", LabelRule(), "arousal"),))


def clips(rows: int, where: str) -> Data:
    """Clips that overlap, in one array of frames."""
    start = np.arange(rows) * 4
    frames = torch.randint(0, 256, (int(start[-1]) + FRAMES, 3, SIZE, SIZE), dtype=torch.uint8, device=where)
    cut = Rows(start, start, start + FRAMES, np.full(rows, FRAMES), FRAMES)
    y = (torch.arange(rows, device=where) % 2).float()[:, None]
    return Data({"video": ResidentClips(cut, where, frames)}, rows, where, y, torch.ones(rows, device=where))


def engines(recipe: Recipe, data: Data) -> tuple[Model, Supervised]:
    """The network as a stage builds it."""
    spec = InputSpec("video", (FRAMES, 3, SIZE, SIZE), ("red", "green", "blue"), 4.0, torch.uint8)
    encoder = registry.load("encoder", "videomae")(recipe)
    module = encoder.build(spec)
    tokens = network.token_spec(module, spec)
    model = Model({"video": module}, {"video": tokens}, head=encoder.head(tokens, OUTPUTS))
    return model, Supervised(model, OUTPUTS).to(data.device)


def by_hand(recipe: Recipe, data: Data, module: Any) -> Callable[[], None]:
    """An epoch as one would write it, with a copy of the same network."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    own = module.videomae.config
    config = VideoMAEConfig(**{**own.to_dict(), "use_mean_pooling": True, "num_labels": 1})
    model = VideoMAEForVideoClassification(config).to(data.device).train()
    every = np.arange(data.size)
    pixels: Tensor = module.pixels(*data.feeds["video"].batch_rows(every))
    y = data.labels[0]
    optimiser = torch.optim.AdamW(model.parameters(), recipe.lr, recipe.betas, weight_decay=recipe.weight_decay)

    def epoch() -> None:
        total = torch.zeros((), device=data.device)
        for index in torch.randperm(data.size, device=data.device).split(recipe.batch):
            optimiser.zero_grad()
            with device.training_precision(data.device):
                logits = model(pixels[index]).logits
            loss = functional.binary_cross_entropy_with_logits(logits.float(), y[index])
            loss.backward()
            optimiser.step()
            total += loss.detach()
        float(total)

    return epoch


def compare(recipe: Recipe, steps: int, turns: int, where: str, place: Path) -> tuple[list[Took], list[Took]]:
    """A step by hand and one of the engine, turn by turn."""
    device.seed_everything(0, 1, where)
    data = clips(steps * recipe.batch, where)
    model, module = engines(recipe, data)
    hand = timed(by_hand(recipe, data, model.encoders["video"]))
    found: tuple[list[Took], list[Took]] = ([], [])
    mark = now()

    def turn(_: Mapping[str, Any]) -> None:
        """An epoch by hand after each of the engine's."""
        nonlocal mark
        found[1].append(since(mark))
        found[0].append(hand())
        mark = now()

    folder = Folder(place, "stage", turn)
    folder.path.mkdir(parents=True)
    loop.CHECKPOINT_EVERY_S = 1e9  # a checkpoint a minute is nothing in hours of a run
    every = np.arange(data.size)
    loop.fit(module, module, data, every, every[:0], recipe.but(epochs=turns + 1), folder, 0)
    by, engine = ([Took(*(part / steps for part in t)) for t in times[1:]] for times in found)
    return by, engine  # the first turn warmed up


def rows(setting: Setting) -> list[Row]:
    """Three of ViT-B's twelve layers, which a CPU can take."""
    paper: Recipe = registry.load("encoder", "videomae").recipes["paper"]
    layers = setting.size(3, 1)
    recipe = paper.but(batch=2, build={"layers": layers, "weights": "random"})
    hand, engine = compare(recipe, 1, setting.size(TURNS, 2), "cpu", setting.work / "stages")
    what = f"step of VideoMAE, {layers} of 12 layers of ViT-B, batch 2"
    return [share(what, engine, hand, "transformers in a bare loop", most=BOUND, scale=1e3, unit="ms")]
