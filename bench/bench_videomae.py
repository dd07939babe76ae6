"""A training step of `videomae` in the engine against transformers' own network in a loop written by hand.

The hand-written loop is the strictest one: its frames are floats already, lie side by side, and are never turned round;
the engine cuts clips out of whole recordings of uint8, turns half of them, scales them, drops paths, and gives each
layer its own learning rate. Both compute in the precision of the device, turn by turn.

    python bench/bench_videomae.py              # ViT-B on a GPU; on a CPU three of its layers, which it says
    python bench/bench_videomae.py --layers 12  # ViT-B on a CPU: minutes
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor
from torch.nn import functional

from embench import registry
from embench.engine import device, loop, network
from embench.engine.feed import Data, ResidentClips
from embench.engine.rows import Rows
from embench.engine.stage import Folder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, OutputSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, Supervised

TURNS, BOUND, FRAMES, SIZE = 7, 1.05, 16, 224
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


def compare(recipe: Recipe, steps: int, where: str, place: Path) -> np.ndarray:
    """(turns, 2) seconds of a step, by hand and in the engine: of a CPU those that this process had it, so that others
    on the machine count less."""
    device.seed_everything(0, 1, where)
    data = clips(steps * recipe.batch, where)
    model, module = engines(recipe, data)
    hand = by_hand(recipe, data, model.encoders["video"])
    times: list[tuple[float, float]] = []
    clock = time.process_time if where == "cpu" else time.perf_counter
    mark = clock()

    def turn(_: Mapping[str, Any]) -> None:
        """An epoch by hand after each of the engine's."""
        nonlocal mark
        now = clock()
        hand()
        times.append((clock() - now, now - mark))
        mark = clock()

    folder = Folder(place, "stage", turn)
    folder.path.mkdir(parents=True)
    loop.CHECKPOINT_EVERY_S = 1e9  # a checkpoint a minute is nothing in hours of a run
    every = np.arange(data.size)
    loop.fit(module, module, data, every, every[:0], recipe.but(epochs=TURNS + 1), folder, 0)
    return np.array(times[1:]) / steps  # the first turn warms up


def main() -> None:
    where = device.resolve_device("auto")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=12 if where == "cuda" else 3)
    parser.add_argument("--batch", type=int, default=8 if where == "cuda" else 2)
    parser.add_argument("--steps", type=int, default=10 if where == "cuda" else 1)
    arguments = parser.parse_args()
    paper: Recipe = registry.load("encoder", "videomae").recipes["paper"]
    recipe = paper.but(batch=arguments.batch, build={"layers": arguments.layers, "weights": "random"})
    with tempfile.TemporaryDirectory() as place:
        times = compare(recipe, arguments.steps, where, Path(place))
    hand, engine = 1e3 * np.median(times, 0)
    ratio = np.median(times[:, 1] / times[:, 0])
    bound = f"{BOUND} x" + (" MISSED" if ratio > BOUND else "")
    name = f"ViT-B, {arguments.layers} of 12 layers, batch {arguments.batch}"
    print(f"Training step, {where}, one thread, median of {TURNS} turns")
    each = ", ".join(f"{ratio:.3f}" for ratio in times[:, 1] / times[:, 0])
    print(tabulate([[name, f"{hand:.0f} ms", f"{engine:.0f} ms", f"{ratio:.3f} x", bound]],
                   ["", "by hand", "engine", "ratio", "bound"]))  # fmt: skip
    print(f"ratio of each turn: {each}")


if __name__ == "__main__":
    main()
