"""A training step of `videomae` in the engine against transformers' own network in a loop written by hand.

The hand-written loop is the strictest one: its frames are floats already, lie side by side, and are never turned round;
the engine cuts clips out of whole recordings of uint8, turns half of them, scales them, drops paths, and gives each
layer its own learning rate. Both compute in the precision of the device, turn by turn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.speed.measure import MILLI, Row, Setting, Took, share, timed
from bench.speed.steps import engines_epochs, of_a_step
from embench import registry
from embench.engine import device, loop, network
from embench.engine.feed import Data, ResidentClips
from embench.engine.rows import Rows
from embench.engine.stage import Part
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import VIDEO_CHANNELS
from embench.interfaces.tokens import InputSpec
from embench.nn import Supervised
from embench.testing import require

TURNS, BOUND, FRAMES = 5, 1.05, 16
SHAPE = (FRAMES, 3, 224, 224)


def clips(rows: int) -> Data:
    """Clips that overlap, in one array of frames."""
    start = np.arange(rows) * 4
    frames = torch.randint(0, 256, (int(start[-1]) + FRAMES, *SHAPE[1:]), dtype=torch.uint8)
    cut = Rows(start, start, start + FRAMES, np.full(rows, FRAMES), FRAMES)
    y = (torch.arange(rows) % 2).float()[:, None]
    return Data({"video": ResidentClips(cut, "cpu", frames)}, rows, "cpu", y, torch.ones(rows))


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


def compare(recipe: Recipe, turns: int, place: Path) -> tuple[list[Took], list[Took]]:
    """A step by hand and one of the engine, turn by turn."""
    device.seed_everything(0, 1, "cpu")
    data, outputs = clips(recipe.batch), require.targets("binary")
    spec = InputSpec("video", SHAPE, VIDEO_CHANNELS, 4.0, torch.uint8)
    model = network.build_unimodal({"video": Part("videomae", "", recipe)}, {"video": spec}, outputs)
    module = Supervised(model, outputs)
    hand, found = timed(by_hand(recipe, data, model.encoders["video"])), list[Took]()
    loop.CHECKPOINT_EVERY_S = 1e9  # a checkpoint a minute is nothing in hours of a run
    recipe = recipe.replace(epochs=turns + 1)
    engine = engines_epochs(module, data, np.arange(data.size), recipe, place, lambda _: found.append(hand()))
    return of_a_step(found, 1), of_a_step(engine, 1)


def rows(setting: Setting) -> list[Row]:
    """Three of ViT-B's twelve layers, which a CPU can take."""
    paper: Recipe = registry.load_plugin("encoder", "videomae").recipes["paper"]
    layers = setting.size(3, 1)
    recipe = paper.replace(batch=2, build={"layers": layers, "weights": "random"})
    hand, engine = compare(recipe, setting.size(TURNS, 2), setting.new("stages"))
    what = f"step of VideoMAE, {layers} of 12 layers of ViT-B, batch 2"
    return [share(what, engine, hand, "transformers in a bare loop", most=BOUND, **MILLI)]
