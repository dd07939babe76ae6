"""Parts of a trial about speed: steps at paper size, the engine against a plain loop, waits of the host."""

from __future__ import annotations

import collections
import copy
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from stages import (
    CHANGES,
    PEAK,
    WORK,
    changed,
    device,
    engine_step,
    figures,
    forward_flops,
    guarded,
    keep,
    made,
    seconds,
    settled,
)
from torch.autograd import DeviceType
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from embench import registry
from embench.engine import device as machine
from embench.engine import loop
from embench.engine.stage import Folder
from embench.interfaces.tokens import InputSpec


def cnn_tf():
    big = device() == "cuda"
    settled()
    preset, shape = ("paper", (1, 1280)) if big else ("quick", (1, 320))
    rows, sizes = (512, (16, 64, 128, 256, 512)) if big else (16, (4, 8))
    rate = 128.0 if big else 32.0
    table = {}
    for batch in sizes:
        with guarded(f"batch {batch}"):
            table[batch] = figures(*made("cnn_tf", preset, shape, rows, rate=rate), batch, 10 if big else 1)
            keep(steps=table)
    batch, other = (64, {}) if big else (4, {})
    for name in CHANGES:
        with guarded(name), changed(name):
            other[name] = figures(*made("cnn_tf", preset, shape, rows, rate=rate), batch, 10 if big else 1)
            keep(what_if=other)
    with guarded("no attention dropout"):
        stage = made("cnn_tf", preset, shape, rows, rate=rate, changes={"build": {"attention_dropout": 0.0}})
        other["no attention dropout"] = figures(*stage, batch, 10 if big else 1)
        keep(what_if=other)
    with guarded("eeg"):
        stage = made("cnn_tf", preset, (10, shape[1]), rows, rate=rate, streams=("eeg",))
        keep(eeg=figures(*stage, batch, 10 if big else 1))
    with guarded("cross_attn"):
        stage = made("cnn_tf", preset, shape, rows, rate=rate, fusion="cross_attn", streams=("ecg", "eda"))
        keep(cross_attn=figures(*stage, 8 if big else 4, 10 if big else 1))
    with guarded("validation"):
        module, data, _, _ = made("cnn_tf", preset, shape, rows, rate=rate)
        every = np.arange(data.size)
        took = seconds(lambda: loop._validate(module, module, data, every, batch), 3, 1)  # noqa: SLF001  # what is timed
        keep(validation={"rows_s": data.size / took, "training_rows_s": table[batch]["rows_s"]})


def videomae():
    big = device() == "cuda"
    settled()
    shape, preset = ((16, 3, 224, 224), "paper") if big else ((4, 3, 32, 32), "quick")
    table, other = {}, {}
    for batch in (8, 16, 32) if big else (2,):
        with guarded(f"batch {batch}"):
            stage = made("videomae", preset, shape, 64 if big else 4, rate=4.0, streams=("video",), clips=True)
            table[batch] = figures(*stage, batch, 5 if big else 1)
            keep(steps=table)
    for name in CHANGES:
        with guarded(name), changed(name):
            stage = made("videomae", preset, shape, 64 if big else 4, rate=4.0, streams=("video",), clips=True)
            other[name] = figures(*stage, 8 if big else 2, 5 if big else 1)
            keep(what_if=other)
    with guarded("mae"):
        module, data, recipe, model = made(
            "videomae", preset, shape, 64 if big else 4, rate=4.0, streams=("video",), clips=True
        )
        kind = registry.load("pretrainer", "mae")
        spec = InputSpec("video", shape, ("red", "green", "blue"), 4.0, torch.uint8)
        task = kind(kind.recipes[preset]).objective(model, {"video": spec}, None).to(device())
        batch = 16 if big else 2
        keep(mae_ms=1e3 * engine_step(task, data, kind.recipes[preset], batch, 4 if big else 1), mae_batch=batch)
    with guarded("checkpoint"):
        module, data, recipe, model = made("videomae", preset, shape, 4, rate=4.0, streams=("video",), clips=True)
        optimiser = loop.optimiser_of(recipe, module)
        loss, _ = module(data.batch(np.arange(2)))
        loss.backward()
        optimiser.step()
        place = Folder(WORK / "stages", "checkpoint")
        place.path.mkdir(parents=True, exist_ok=True)
        write = partial(loop._checkpoint, module, optimiser, loop.FitState(), place)  # noqa: SLF001  # what is timed
        keep(checkpoint_s=seconds(write, 1, 1))


def engine():
    """The engine's step over a loop written out: same network, one batch that lies ready, same optimiser."""
    big = device() == "cuda"
    settled()
    cases = [("small", (1, 320), 32.0, fusion, batch) for fusion in (None, "cross_attn") for batch in (16, 64)]
    cases += [("paper", (1, 1280), 128.0, None, 64)]
    if not big:
        cases = [("small", (1, 320), 32.0, fusion, 4) for fusion in (None, "cross_attn")]
    steps = 50 if big else 2
    for preset, shape, rate, fusion, batch in cases:
        name = f"{preset} batch {batch} {fusion or 'single'}"
        with guarded(name):
            streams = ("ecg", "eda") if fusion else ("ecg",)
            module, data, recipe, _ = made("cnn_tf", preset, shape, 64, rate=rate, fusion=fusion, streams=streams)
            ours = engine_step(module, data, recipe, batch, steps)
            hand = seconds(by_hand(copy.deepcopy(module).train(), data, recipe, batch, steps), 3, 1) / steps
            keep(**{name: {"engine_ms": 1e3 * ours, "bare_ms": 1e3 * hand, "ratio": ours / hand}})


def by_hand(module, data, recipe, size, steps):
    """Steps as one would write them, to be called."""
    batch, parameters = data.batch(np.arange(size)), list(module.parameters())
    optimiser = loop.optimiser_of(recipe, module)

    def train():
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            with machine.training_precision(data.device):
                logits = module.model(batch).logits
            functional.binary_cross_entropy_with_logits(logits[:, 0].float(), batch.y[:, 0]).backward()
            if recipe.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
            optimiser.step()

    return train


def busy(prof):
    """Seconds in which a kernel ran, seconds from the first to the last, kernels, and the longest by name."""
    spans, names = [], collections.Counter()
    for event in prof.events():
        if event.device_type == DeviceType.CUDA and event.time_range.end > event.time_range.start:
            spans.append((event.time_range.start, event.time_range.end))
            names[event.name[:90]] += event.time_range.end - event.time_range.start
    spans.sort()
    if not spans:
        return None
    inside, end = 0.0, spans[0][0]
    for a, b in spans:
        inside += max(0.0, b - max(a, end))
        end = max(end, b)
    return inside / 1e6, (end - spans[0][0]) / 1e6, len(spans), names.most_common(14)


def syncs():
    """Where the host waits, how many kernels a step has, and how long the GPU idles between them."""

    settled()
    big = device() == "cuda"
    stages = (
        {
            "cnn_tf paper 64": lambda: (*made("cnn_tf", "paper", (1, 1280), 128), 64),
            "cnn_tf small 16": lambda: (*made("cnn_tf", "small", (1, 320), 64, rate=32.0), 16),
            "cross_attn small 16": lambda: (
                *made("cnn_tf", "small", (1, 320), 64, rate=32.0, fusion="cross_attn", streams=("ecg", "eda")),
                16,
            ),
            "tcn shared_tf 64": lambda: (
                *made("tcn", "small", (1, 240), 64, rate=4.0, fusion="shared_tf", streams=("ecg", "eda")),
                64,
            ),
            "videomae paper 8": lambda: (
                *made("videomae", "paper", (16, 3, 224, 224), 16, rate=4.0, streams=("video",), clips=True),
                8,
            ),
        }
        if big
        else {"cnn_tf small 4": lambda: (*made("cnn_tf", "small", (1, 320), 16, rate=32.0), 4)}
    )
    for name, build in stages.items():
        with guarded(name):
            module, data, recipe, _, batch = build()
            parts = [np.arange(batch)] * 6
            optimiser, recipe = loop.optimiser_of(recipe, module), recipe.but(epochs=9)
            epoch = partial(loop._epoch, module, module, data, parts, optimiser, recipe, 0)  # noqa: SLF001  # is looked at
            epoch()
            keep(**{name: looked_at(epoch, len(parts)) if big else {"ms": 1e3 * seconds(epoch, 1, 0) / len(parts)}})


def looked_at(epoch, steps):
    """Waits of the host, kernels and the GPU's idling, a step of an epoch."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        epoch()
        torch.cuda.set_sync_debug_mode("default")
    waits = [w for w in caught if "synchroniz" in str(w.message)]
    where = collections.Counter(f"{'/'.join(Path(w.filename).parts[-2:])}:{w.lineno}" for w in waits)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as prof:
        epoch()
        torch.cuda.synchronize()
    found = busy(prof)
    took = seconds(epoch, 3, 0) / steps
    line = {"waits_a_step": {k: v / steps for k, v in where.most_common()}, "ms": 1e3 * took}
    if found:
        inside, span, count, names = found
        line |= {
            "kernels_a_step": count / steps,
            "busy_ms": 1e3 * inside / steps,
            "idle_share_profiled": 1 - inside / span,
            "idle_share": max(0.0, 1 - inside / steps / took),
            "longest_us_a_step": {k: v / steps for k, v in names},
        }
    return line


def compiled():
    """The paper-size step with torch.compile, and as a CUDA graph would bound it."""

    big = device() == "cuda"
    settled()
    with guarded("compile"):
        stage = made(
            "cnn_tf", "paper" if big else "quick", (1, 1280) if big else (1, 320), 128, rate=128.0 if big else 32.0
        )
        module, data, recipe, model = stage
        if not big:
            keep(compile="only on a GPU")
            return
        work = 3 * forward_flops(model, data) * 64
        torch._dynamo.config.suppress_errors = True  # noqa: SLF001  # has no public name
        model.encoders["ecg"] = torch.compile(model.encoders["ecg"])
        began = time.perf_counter()
        took = engine_step(module, data, recipe, 64, 10, 3)
        keep(compiled={"ms": 1e3 * took, "mfu": work / took / PEAK, "seconds_in_all": time.perf_counter() - began})
