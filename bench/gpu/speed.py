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
from noting import device, guarded, keep, seconds, sized
from stages import CHANGES, PEAK, changed, engine_step, figures, forward_flops, made, new_folder, settled
from torch.autograd import DeviceType
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from embench import registry
from embench.engine import device as machine
from embench.engine import loop
from embench.interfaces.recording import VIDEO_CHANNELS
from embench.interfaces.tokens import InputSpec


def sizes(build, batches, steps, what_if):
    """Steps of batches of some sizes, and of the size `what_if` with one change at a time."""
    table, other = {}, {}
    for batch in batches:
        with guarded(f"batch {batch}"):
            table[batch] = figures(*build(), batch, steps)
            keep(steps=table)
    for name in CHANGES:
        with guarded(name), changed(name):
            other[name] = figures(*build(), what_if, steps)
            keep(what_if=other)
    return table, other


def cnn_tf():
    settled()
    preset, length, rows, rate = sized(("paper", 1280, 512, 128.0), ("quick", 320, 16, 32.0))
    batch, steps = sized((64, 10), (4, 1))
    one = partial(made, "cnn_tf", preset, (1, length), rows, rate=rate)
    table, other = sizes(one, sized((16, 64, 128, 256, 512), (4, 8)), steps, batch)
    with guarded("no attention dropout"):
        other["no attention dropout"] = figures(*one(build={"attention_dropout": 0.0}), batch, steps)
        keep(what_if=other)
    with guarded("eeg"):
        stage = made("cnn_tf", preset, (10, length), rows, rate=rate, modality="eeg")
        keep(eeg=figures(*stage, batch, steps))
    with guarded("cross_attn"):
        keep(cross_attn=figures(*one(fusion="cross_attn"), sized(8, 4), steps))
    with guarded("validation"):
        module, data, _, _ = one()
        parts = np.array_split(np.arange(data.size), np.arange(batch, data.size, batch))
        took = seconds(lambda: loop._validate(module, module, data, parts), 3, 1)  # noqa: SLF001  # what is timed
        keep(validation={"rows_s": data.size / took, "training_rows_s": table[batch]["rows_s"]})


def videomae():
    settled()
    shape, preset, rows = sized(((16, 3, 224, 224), "paper", 64), ((4, 3, 32, 32), "quick", 4))
    build = partial(made, "videomae", preset, shape, rate=4.0)
    sizes(partial(build, rows), sized((8, 16, 32), (2,)), sized(5, 1), sized(8, 2))
    with guarded("mae"):
        _, data, _, model = build(rows)
        kind = registry.load_plugin("pretrainer", "mae")
        spec = InputSpec("video", shape, VIDEO_CHANNELS, 4.0, torch.uint8)
        task = kind(kind.recipes[preset]).objective(model, {"video": spec}, None).to(device())
        batch = sized(16, 2)
        keep(mae_ms=1e3 * engine_step(task, data, kind.recipes[preset], batch, sized(4, 1)), mae_batch=batch)
    with guarded("checkpoint"):
        module, data, recipe, _ = build(4)
        optimiser = loop.make_optimiser(recipe, module)
        loss, _ = module(data.batch(np.arange(2)))
        loss.backward()
        optimiser.step()
        place = new_folder("checkpoint")
        write = partial(loop._save_checkpoint, module, optimiser, loop.FitState(), place, device())  # noqa: SLF001  # what is timed
        keep(checkpoint_s=seconds(write, 1, 1))


def engine():
    """The engine's step over a loop written out: same network, one batch that lies ready, same optimiser."""
    settled()
    cases = [("small", 320, 32.0, fusion, batch) for fusion in (None, "cross_attn") for batch in sized((16, 64), (4,))]
    cases += sized([("paper", 1280, 128.0, None, 64)], [])
    steps = sized(50, 2)
    for preset, length, rate, fusion, batch in cases:
        name = f"{preset} batch {batch} {fusion or 'single'}"
        with guarded(name):
            module, data, recipe, _ = made("cnn_tf", preset, (1, length), 64, rate=rate, fusion=fusion)
            ours = engine_step(module, data, recipe, batch, steps)
            hand = seconds(by_hand(copy.deepcopy(module).train(), data, recipe, batch, steps), 3, 1) / steps
            keep(**{name: {"engine_ms": 1e3 * ours, "bare_ms": 1e3 * hand, "ratio": ours / hand}})


def by_hand(module, data, recipe, size, steps):
    """Steps as one would write them, to be called."""
    batch, parameters = data.batch(np.arange(size)), list(module.parameters())
    optimiser = loop.make_optimiser(recipe, module)

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


SMALL = partial(made, "cnn_tf", "small", (1, 320), rate=32.0)
LOOKED_AT = {
    "cnn_tf paper 64": (partial(made, "cnn_tf", "paper", (1, 1280), 128), 64),
    "cnn_tf small 16": (partial(SMALL, 64), 16),
    "cross_attn small 16": (partial(SMALL, 64, fusion="cross_attn"), 16),
    "tcn shared_tf 64": (partial(made, "tcn", "small", (1, 240), 64, rate=4.0, fusion="shared_tf"), 64),
    "videomae paper 8": (partial(made, "videomae", "paper", (16, 3, 224, 224), 16, rate=4.0), 8),
}


def syncs():
    """Measures where the host waits, how many kernels a step has, and how long the GPU idles between them."""
    settled()
    look = sized(looked_at, lambda epoch, steps: {"ms": 1e3 * seconds(epoch, 1, 0) / steps})
    for name, (build, batch) in sized(LOOKED_AT, {"cnn_tf small 4": (partial(SMALL, 16), 4)}).items():
        with guarded(name):
            module, data, recipe, _ = build()
            parts = [np.arange(batch)] * 6
            optimiser, recipe = loop.make_optimiser(recipe, module), recipe.replace(epochs=9)
            epoch = partial(loop._train_epoch, module, module, data, parts, optimiser, recipe, 0)  # noqa: SLF001  # is looked at
            epoch()
            keep(**{name: look(epoch, len(parts))})


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
    """The paper-size step with torch.compile."""
    if device() != "cuda":
        keep(compile="only on a GPU")
        return
    settled()
    with guarded("compile"):
        module, data, recipe, model = made("cnn_tf", "paper", (1, 1280), 128)
        work = 3 * forward_flops(model, data) * 64
        torch._dynamo.config.suppress_errors = True  # noqa: SLF001  # has no public name
        model.encoders["ecg"] = torch.compile(model.encoders["ecg"])
        began = time.perf_counter()
        took = engine_step(module, data, recipe, 64, 10, 3)
        keep(compiled={"ms": 1e3 * took, "mfu": work / took / PEAK, "seconds_in_all": time.perf_counter() - began})
