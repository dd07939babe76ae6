"""Stages made by hand: a network as the engine builds it, over rows that lie on the device. See README.md."""

from __future__ import annotations

import contextlib
import time
from itertools import pairwise

import numpy as np
import torch
from noting import WORK, device, waited
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import deterministic
from torch.utils.flop_counter import FlopCounterMode

from embench import registry
from embench.engine import device as machine
from embench.engine import feed, loop, network
from embench.engine.feed import Data, ResidentClips, ResidentFeed
from embench.engine.rows import Rows
from embench.engine.stage import Folder, Part
from embench.interfaces.recording import VIDEO_CHANNELS
from embench.interfaces.tokens import InputSpec
from embench.nn import Supervised
from embench.testing import require

PEAK = 790e12
"""Operations a second in bf16 that matrices reach on an H100 or H200; MFU is against it."""


def made(encoder, preset, shape, rows, *, rate=128.0, fusion=None, modality=None, build=None):
    """(module, data, recipe, model) of a labelled stage: of clips where the shape of a row is theirs, of two modalities
    where they are fused. `build` changes the encoder's recipe."""
    recipe = registry.load_plugin("encoder", encoder).recipes[preset].replace(build=build or {})
    if "weights" in recipe.build:
        recipe = recipe.replace(build={"weights": "random"})
    clips = len(shape) == 4
    modalities = ("ecg", "eda") if fusion else (modality or ("video" if clips else "ecg"),)
    outputs, where = require.targets("binary"), device()
    feeds, specs = {}, {}
    torch.manual_seed(0)
    for m in modalities:
        length = shape[0] if clips else shape[1]
        start = np.arange(rows) * (4 if clips else 16)
        cut = Rows(start, start, start + length, np.full(rows, length), length)
        total = int(start[-1]) + length
        if clips:
            array = torch.randint(0, 256, (total, *shape[1:]), dtype=torch.uint8)
            specs[m] = InputSpec(m, shape, VIDEO_CHANNELS, rate, torch.uint8)
            feeds[m] = ResidentClips(cut, where, array.to(where))
        else:
            specs[m] = InputSpec(m, shape, tuple(f"c{i}" for i in range(shape[0])), rate)
            feeds[m] = ResidentFeed(cut, where, torch.randn(shape[0], total).to(where))
    params = {m: Part(encoder, "", recipe) for m in modalities}
    if fusion is None:
        model = network.build_unimodal(params, specs, outputs)
        used = recipe
    else:
        used = registry.load_plugin("fusion", fusion).recipes[preset]
        model = network.build_fusion(params, Part(fusion, "", used), specs, outputs)
    y = (torch.arange(rows) % 2).float()[:, None].to(where)
    data = Data(feeds, rows, where, y, torch.ones(rows, device=where))
    return Supervised(model, outputs).to(where), data, used, model


def forward_flops(model, data):
    """Operations of one row's forward pass, attention counted, whatever kernel computes it."""
    model.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(data.batch(np.arange(1)))
    model.train()
    return counter.get_total_flops()


def new_folder(name):
    place = Folder(WORK / "stages", f"{name}-{time.time_ns()}")
    place.path.mkdir(parents=True)
    return place


def engine_step(module, data, recipe, batch, steps, epochs=3):
    """Seconds a step in the engine's own loop: the median epoch after the first."""
    loop.CHECKPOINT_EVERY_S = 1e9
    marks = []

    def ended(_):
        waited()
        marks.append(time.perf_counter())

    every = np.resize(np.arange(data.size), steps * batch)
    recipe = recipe.replace(epochs=epochs + 1, batch=batch, selection="last")
    loop.fit(module, module, data, every, every[:0], recipe, new_folder("fit"), 0, ended)
    gaps = sorted(b - a for a, b in pairwise(marks))
    return gaps[len(gaps) // 2] / steps


def figures(module, data, recipe, model, batch, steps):
    work = 3 * forward_flops(model, data) * batch
    if data.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    took = engine_step(module, data, recipe, batch, steps)
    memory = torch.cuda.max_memory_allocated() / 2**30 if data.device == "cuda" else None
    speed = {"ms": 1e3 * took, "rows_s": batch / took, "mfu": work / took / PEAK}
    return {**speed, "gflop_row": work / batch / 1e9, "memory_gb": memory}


@contextlib.contextmanager
def changed(name):
    """One change at a time to how the engine computes."""
    old, make_optimiser, sent = deterministic.fill_uninitialized_memory, loop.make_optimiser, feed.send

    def not_fused(recipe, module):
        optimiser = make_optimiser(recipe, module)
        for group in optimiser.param_groups:
            group["fused"] = None
        return optimiser

    try:
        if name == "fill of new memory":
            deterministic.fill_uninitialized_memory = True
        if name == "not deterministic":
            torch.use_deterministic_algorithms(False)
        if name == "warnings only":
            torch.use_deterministic_algorithms(True, warn_only=True)
        if name == "optimiser not fused":
            loop.make_optimiser = not_fused
        if name == "pinned indices" and device() == "cuda":
            feed.send = lambda x, where: x.pin_memory().to(where, non_blocking=True)
        yield
    finally:
        deterministic.fill_uninitialized_memory, loop.make_optimiser, feed.send = old, make_optimiser, sent
        torch.use_deterministic_algorithms(True, warn_only=device() != "cuda")


CHANGES = ("fill of new memory", "not deterministic", "warnings only", "optimiser not fused", "pinned indices")


def settled():
    machine.seed_everything(0, 1, device())
