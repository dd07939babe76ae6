"""What the parts of a trial share: noting figures, timing, and stages made by hand. See README.md."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from itertools import pairwise
from pathlib import Path

WORK, OUT = Path(os.environ["WORK"]), Path(os.environ.get("OUT", "."))
PEAK = 790e12
"""Operations a second in bf16 that matrices reach on an H100 or H200; MFU is against it."""
FOUND: dict = {}


def keep(**figures):
    """Notes figures at once, so that a part that is stopped leaves what it had."""
    FOUND.update(figures)
    (WORK / "parts" / f"{sys.argv[1]}.json").write_text(json.dumps(FOUND, indent=1, default=str))
    print({k: figures[k] for k in figures}, flush=True)


@contextlib.contextmanager
def guarded(name):
    """A fault inside is noted, and the part goes on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        keep(**{name: f"FAILED {type(error).__name__}: {str(error)[:300]}"})
        with contextlib.suppress(Exception):
            import torch

            torch.cuda.empty_cache()


def device():
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def seconds(step, repeats, warm=3):
    """Median seconds of a call on the device."""
    import torch

    for _ in range(warm):
        step()
    times = []
    for _ in range(repeats):
        if device() == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        step()
        if device() == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


# Stages made by hand: a network as the engine builds it, over rows that lie on the device.


def made(
    encoder,
    preset,
    shape,
    rows,
    *,
    rate=128.0,
    fusion=None,
    changes=None,
    streams=("ecg",),
    clips=False,
):
    """(module, data, recipe, model) of a labelled stage."""
    import numpy as np
    import torch

    from embench import registry
    from embench.engine import network
    from embench.engine.feed import Data, ResidentClips, ResidentFeed
    from embench.engine.rows import Rows
    from embench.engine.specs import Part
    from embench.interfaces.tokens import InputSpec
    from embench.nn import Supervised
    from embench.testing import samples

    kind = registry.load("encoder", encoder)
    recipe = kind.recipes[preset].but(**(changes or {}))
    if "weights" in recipe.build:
        recipe = recipe.but(build={"weights": "random"})
    outputs, where = samples.targets("binary"), device()
    feeds, specs = {}, {}
    torch.manual_seed(0)
    for m in streams:
        length = shape[0] if clips else shape[1]
        start = np.arange(rows) * (4 if clips else 16)
        cut = Rows(start, start, start + length, np.full(rows, length), length)
        total = int(start[-1]) + length
        if clips:
            array = torch.randint(0, 256, (total, *shape[1:]), dtype=torch.uint8)
            specs[m] = InputSpec(m, shape, ("red", "green", "blue"), rate, torch.uint8)
            feeds[m] = ResidentClips(cut, where, array.to(where))
        else:
            specs[m] = InputSpec(m, shape, tuple(f"c{i}" for i in range(shape[0])), rate)
            feeds[m] = ResidentFeed(cut, where, torch.randn(shape[0], total).to(where))
    params = {m: Part(encoder, "", recipe) for m in streams}
    if fusion is None:
        model = network.build_unimodal(params, specs, outputs)
        used = recipe
    else:
        used = registry.load("fusion", fusion).recipes[preset]
        model = network.build_fusion(params, Part(fusion, "", used), specs, outputs)
    y = (torch.arange(rows) % 2).float()[:, None].to(where)
    data = Data(feeds, rows, where, y, torch.ones(rows, device=where))
    return Supervised(model, outputs).to(where), data, used, model


def forward_flops(model, data):
    """Of one row, attention counted, whatever kernel computes it."""
    import numpy as np
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(data.batch(np.arange(1)))
    model.train()
    return counter.get_total_flops()


def engine_step(module, data, recipe, batch, steps, epochs=3):
    """Seconds a step in the engine's own loop: the median epoch after the first."""
    import numpy as np

    from embench.engine import loop
    from embench.engine.stage import Folder

    loop.CHECKPOINT_EVERY_S = 1e9
    place = Folder(WORK / "stages", f"s{time.time_ns()}")
    place.path.mkdir(parents=True)
    marks = []

    def ended(_):
        if data.device == "cuda":
            import torch

            torch.cuda.synchronize()
        marks.append(time.perf_counter())

    every = np.resize(np.arange(data.size), steps * batch)
    loop.fit(
        module,
        module,
        data,
        every,
        every[:0],
        recipe.but(epochs=epochs + 1, batch=batch, selection="last"),
        place,
        0,
        ended,
    )
    gaps = sorted(b - a for a, b in pairwise(marks))
    return gaps[len(gaps) // 2] / steps


def figures(module, data, recipe, model, batch, steps):
    import torch

    work = 3 * forward_flops(model, data) * batch
    if data.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    took = engine_step(module, data, recipe, batch, steps)
    memory = torch.cuda.max_memory_allocated() / 2**30 if data.device == "cuda" else None
    return {
        "ms": 1e3 * took,
        "rows_s": batch / took,
        "mfu": work / took / PEAK,
        "gflop_row": work / batch / 1e9,
        "memory_gb": memory,
    }


@contextlib.contextmanager
def changed(name):
    """One change at a time to how the engine computes."""
    import torch

    from embench.engine import loop

    old, optimiser_of = torch.utils.deterministic.fill_uninitialized_memory, loop.optimiser_of
    try:
        if name == "fill of new memory":
            torch.utils.deterministic.fill_uninitialized_memory = True
        if name == "not deterministic":
            torch.use_deterministic_algorithms(False)
        if name == "warnings only":
            torch.use_deterministic_algorithms(True, warn_only=True)
        if name == "fused optimiser":

            def fused(recipe, module):
                made = optimiser_of(recipe, module)
                for group in made.param_groups:
                    group["fused"] = True
                    group["foreach"] = False
                made.defaults["fused"] = True
                return made

            loop.optimiser_of = fused
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory, loop.optimiser_of = old, optimiser_of
        torch.use_deterministic_algorithms(True, warn_only=device() != "cuda")


CHANGES = ("fill of new memory", "not deterministic", "warnings only", "fused optimiser")


def settled():
    from embench.engine import device as machine

    machine.seed_everything(0, 1, device())
