"""Each bundled encoder with its head against plain torch modules of the same layers: size, cost, and a training step.

Windows are as long as in the encoder's paper. Both take steps with the same loss and optimiser on the same windows,
turn by turn in one process; the ratio is the median over turns, and is measured again before it counts as missed. Ends
with 1 where one is. What the engine adds to a step, whatever the encoder, is `bench_step.py`'s to measure.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from plain import PLAIN
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from embench import registry
from embench.engine import device as machine
from embench.engine import loop, network
from embench.engine.feed import Data, FeatureFeed
from embench.engine.flops import flops_of
from embench.engine.specs import Part
from embench.interfaces.encoder import Encoder
from embench.interfaces.recording import VIDEO_CHANNELS, Signal
from embench.interfaces.tokens import InputSpec
from embench.nn import FillAbsent, Model
from embench.testing import samples

BOUND, TURNS, AGAIN = 1.1, 7, 3
LEAST_MS = 0.1
"""Less is no difference: the linear layer over `handcrafted` takes .6 ms a step, of which calls are a part."""
STEP_FLOPS, LEAST = 1e10, 2
"""A CPU's batches are cut to about this many operations a step, but not below two windows."""
TURN_S = 0.05

INPUTS = {
    "cnn_tf": (("ecg", 10.0),),
    "cnn_mlp": (("ecg+eda", 155.0),),
    "tcn": (("eda", 60.0),),
    "unet_se": (("ecg", 10.0), ("eeg", 10.0)),
    "handcrafted": (("ecg", 60.0),),
    "videomae": (("video", 4.0),),
    "timm_frames": (("video", 4.0),),
}
"""Modality and seconds of a window as each paper has them; whole recordings are AMIGOS's longest."""

SHORTER = {"cnn_mlp": 10.0}
"""Seconds of the windows that steps are timed on where a CPU cannot take the paper's: here the paper's own variant."""

HEAVY = 1e11
"""Operations of a window of which a CPU takes no steps here: `bench_videomae.py` takes some of a ViT-B's layers."""


@dataclass(frozen=True)
class Case:
    """An encoder with a recipe and what it reads; `seconds` of windows that steps are timed on."""

    name: str
    preset: str
    modality: str
    seconds: float

    @property
    def encoder(self) -> Encoder:
        kind = registry.load("encoder", self.name)
        recipe = kind.recipes[self.preset]
        encoder: Encoder = kind(recipe.but(build={"weights": "random"}) if "weights" in recipe.build else recipe)
        return encoder

    def spec(self, seconds: float) -> InputSpec:
        """One channel of each modality, or the electrodes of an EEG, as the encoder reads it."""
        if self.encoder.reads == "clips":
            prepare = self.encoder.recipe.prepare
            shape = (round(seconds * prepare["frames_hz"]), 3, prepare["size"], prepare["size"])
            return InputSpec(self.modality, shape, VIDEO_CHANNELS, prepare["frames_hz"], torch.uint8)
        parts = [samples.signal(m, seconds) for m in self.modality.split("+")]
        cut = [part if part.modality == "eeg" else replace(part, data=part.data[:1], channels=part.channels[:1])
               for part in parts]  # fmt: skip
        channels = tuple(channel for part in cut for channel in part.channels)
        whole = Signal(np.concatenate([p.data for p in cut]), samples.RATE_HZ, channels, "z", modality=self.modality)
        if self.encoder.reads == "features":
            shape = self.encoder.features(whole, np.array([[0.0, seconds]])).shape[1:]
            return InputSpec(self.modality, shape, self.encoder.feature_names(self.modality, channels))
        made = self.encoder.stream(whole) if self.encoder.reads == "stream" else whole
        return InputSpec(self.modality, made.data.shape, made.channels, made.rate)

    def model(self, spec: InputSpec) -> Model:
        params = {self.modality: Part(self.name, "", self.encoder.recipe)}
        return network.build_unimodal(params, {self.modality: spec}, samples.targets("binary"))

    def plain(self, spec: InputSpec) -> nn.Module:
        return PLAIN[self.name](self.encoder.recipe.build, spec.shape)


def flops(case: Case, spec: InputSpec) -> tuple[int, int]:
    """Parameters, and operations of one window."""
    model, x = case.model(spec), windows(spec, 1)
    data = Data({case.modality: FeatureFeed(x, np.ones(1, bool), "cpu")}, 1, "cpu")
    return network.parameter_count(model), flops_of(model, data, np.zeros(1, int))


def windows(spec: InputSpec, size: int) -> Tensor:
    """(size, *shape) of noise, as numbers or as bytes."""
    generator = torch.Generator().manual_seed(0)
    if spec.dtype == torch.uint8:
        return torch.randint(0, 256, (size, *spec.shape), dtype=torch.uint8, generator=generator)
    return torch.randn(size, *spec.shape, generator=generator)


def step_of(case: Case, module: nn.Module, logits: Callable[[], Tensor], size: int, device: str) -> Callable[[], None]:
    """A step of training, as its recipe says."""
    recipe, parameters = case.encoder.recipe, list(module.parameters())
    optimiser = loop.optimiser_of(recipe.but(layer_decay=1.0), module)  # plain modules don't say what their layers are
    y = (torch.arange(size, device=device) % 2).float()
    module.train()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with machine.training_precision(device):
            output = logits()
        binary_cross_entropy_with_logits(output[:, 0].float(), y).backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.step()

    return step


def steps(case: Case, spec: InputSpec, size: int, device: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """A step of the plain modules and one of the encoder."""
    plain, model = case.plain(spec).to(device), case.model(spec).to(device)
    idle = sum(network.parameter_count(part) for part in model.modules() if isinstance(part, FillAbsent))
    if network.parameter_count(plain) != network.parameter_count(model) - idle:
        counts = f"{network.parameter_count(model)} parameters, and {network.parameter_count(plain)} in plain modules"
        raise SystemExit(f"{case.name}: {counts}")
    x = windows(spec, size).to(device)
    encoder, head = model.encoders[case.modality], model.head
    return (
        step_of(case, plain, lambda: plain(x), size, device),
        step_of(case, model, lambda: head(encoder(x, None)).logits, size, device),
    )


def timed(step: Callable[[], None], repeats: int, device: str) -> float:
    """Seconds a step: of a CPU those that this process had it, so that others on the machine count less."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    for _ in range(repeats):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (clock() - began) / repeats


def measure(plain: Callable[[], None], ours: Callable[[], None], device: str) -> np.ndarray:
    """(turns, 2) seconds of a step; who comes first changes from turn to turn."""
    slowest = max(timed(step, 2, device) for step in (plain, ours))
    repeats = max(1, round(TURN_S / slowest))
    times = np.zeros((TURNS, 2))
    for turn in range(TURNS):
        for which in (0, 1) if turn % 2 else (1, 0):
            times[turn, which] = timed((plain, ours)[which], repeats, device)
    return times


def ratio_of(times: np.ndarray) -> float:
    return float(np.median(times[:, 1] / times[:, 0]))


def memory_mb(case: Case, spec: InputSpec, size: int, device: str) -> float:
    """What a step of the encoder needs at most beyond what is there before it: on a CPU in a process of its own."""
    if device == "cuda":
        step = steps(case, spec, size, device)[1]
        step()
        machine.reset_peak(device)
        step()
        return machine.peak_memory_mb(device)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        first = nn.Linear(1, 1)  # what torch loads for the first step of all is not the encoder's
        step_of(case, first, lambda: first(torch.ones(LEAST, 1)), LEAST, "cpu")()
        with contextlib.suppress(AttributeError):  # what earlier work has left behind is given back
            ctypes.CDLL(None).malloc_trim(0)
        machine.reset_peak("cpu")
        before = machine.peak_memory_mb("cpu")
        step = steps(case, spec, size, "cpu")[1]
        step()
        sender.send(machine.peak_memory_mb("cpu") - before)

    process = context.Process(target=child)
    process.start()
    sender.close()  # so that a child that fails is not waited for
    found: float = receiver.recv()
    process.join()
    return found


def line_of(case: Case, device: str) -> tuple[list[Any], bool]:
    """A line of the table, and whether the bound is kept."""
    whole = dict(INPUTS[case.name])[case.modality] if case.preset == "paper" else case.seconds
    count, operations = flops(case, case.spec(whole))
    spec, mega = case.spec(case.seconds), f"{operations / 1e6:,.2f} M"
    size = case.encoder.recipe.batch
    if device == "cpu":
        own = operations if whole == case.seconds else flops(case, spec)[1]
        if own > HEAVY:
            cells = ["", "", "", "", "too much for a CPU"]
            return [f"{case.name} {case.preset}", f"{case.modality} {whole:g} s", f"{count:,}", mega, *cells], True
        size = min(size, max(LEAST, int(STEP_FLOPS / (3 * own))))
    memory = memory_mb(case, spec, size, device)
    pair = steps(case, spec, size, device)
    times = measure(*pair, device)
    tried = 1
    while not kept(times) and tried <= AGAIN:
        times, tried = min(times, measure(*pair, device), key=ratio_of), tried + 1
    plain, ours = 1e3 * np.median(times, 0)
    fine = kept(times)
    of = f" of {case.encoder.recipe.batch}" if size < case.encoder.recipe.batch else ""
    timed_on = f"{size}{of} x {'x'.join(map(str, spec.shape))}"
    ratio = f"{ratio_of(times):.3f} x" + ("" if fine else " MISSED") + (f" (try {tried})" if tried > 1 else "")
    return [
        f"{case.name} {case.preset}", f"{case.modality} {whole:g} s", f"{count:,}", mega,
        timed_on, f"{plain:.2f} ms", f"{ours:.2f} ms", f"{memory:.0f} MB", ratio,
    ], fine  # fmt: skip


def kept(times: np.ndarray) -> bool:
    """Whether our steps keep the bound, from `times` (turns, 2) of plain and ours, in seconds."""
    plain, ours = 1e3 * np.median(times, 0)
    return ratio_of(times) <= BOUND or bool(ours - plain <= LEAST_MS)


def main() -> int:
    names = [e.name for e in registry.entries("encoder") if e.package == registry.BUNDLED]
    cases = [
        Case(name, preset, modality, SHORTER.get(name, seconds))
        for name in names
        for preset in ("paper", "small")
        for modality, seconds in INPUTS.get(name, ())
    ]
    all_kept = True
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    head = ["encoder", "window", "parameters", "FLOPs a window", "timed on", "plain", "ours", "memory", "ratio"]
    for device in devices:
        machine.seed_everything(0, 1, device)
        lines, fine = zip(*(line_of(case, device) for case in cases), strict=True)
        all_kept = all_kept and all(fine)
        where = "cpu, one thread" if device == "cpu" else torch.cuda.get_device_name()
        bound = f"{BOUND} x or {LEAST_MS} ms"
        print(f"A training step of each encoder with its head, {where}; median of {TURNS} turns, bound {bound}")
        print(tabulate(lines, head), "\n")
    if without := sorted(set(names) - INPUTS.keys()):
        print(f"not measured, for want of plain modules in bench/plain.py: {', '.join(without)}\n")
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main())
