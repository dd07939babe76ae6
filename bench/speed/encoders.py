"""Each bundled encoder with its head against plain torch modules of the same layers: a training step, and its memory.

Windows are as long as in the encoder's paper. Both take steps with the same loss and optimiser on the same windows,
turn by turn in one process. What the engine adds to a step, whatever the encoder, is measured by `steps`.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.speed.measure import MILLI, Row, Setting, Took, figure, share, timed
from bench.speed.plain import PLAIN
from embench import registry
from embench.engine import device as machine
from embench.engine import loop, network
from embench.engine.feed import Data, FeatureFeed
from embench.engine.loop import count_flops
from embench.engine.stage import Part
from embench.interfaces.encoder import Encoder
from embench.interfaces.recording import VIDEO_CHANNELS, Signal
from embench.interfaces.tokens import InputSpec
from embench.nn import FillAbsent, Model
from embench.testing import require

BOUND, TURNS = 1.1, 7
STEP_FLOPS, LEAST = 3e9, 2
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
"""Operations of a window of which a CPU takes no steps here: `videomae` takes some of a ViT-B's layers."""


@dataclass(frozen=True)
class Case:
    """An encoder with a recipe and what it reads; `seconds` of windows that steps are timed on."""

    name: str
    preset: str
    modality: str
    seconds: float

    @property
    def encoder(self) -> Encoder:
        kind = registry.load_plugin("encoder", self.name)
        recipe = kind.recipes[self.preset]
        encoder: Encoder = kind(recipe.replace(build={"weights": "random"}) if "weights" in recipe.build else recipe)
        return encoder

    def spec(self, seconds: float) -> InputSpec:
        """One channel of each modality, or the electrodes of an EEG, as the encoder reads it."""
        if self.encoder.reads == "clips":
            prepare = self.encoder.recipe.prepare
            shape = (round(seconds * prepare["frames_hz"]), 3, prepare["size"], prepare["size"])
            return InputSpec(self.modality, shape, VIDEO_CHANNELS, prepare["frames_hz"], torch.uint8)
        parts = [require.signal(m, seconds) for m in self.modality.split("+")]
        cut = [part if part.modality == "eeg" else replace(part, data=part.data[:1], channels=part.channels[:1])
               for part in parts]  # fmt: skip
        channels = tuple(channel for part in cut for channel in part.channels)
        whole = Signal(np.concatenate([p.data for p in cut]), require.RATE_HZ, channels, "z", modality=self.modality)
        if self.encoder.reads == "features":
            shape = self.encoder.features(whole, np.array([[0.0, seconds]])).shape[1:]
            return InputSpec(self.modality, shape, self.encoder.feature_names(self.modality, channels))
        made = self.encoder.stream(whole) if self.encoder.reads == "stream" else whole
        return InputSpec(self.modality, made.data.shape, made.channels, made.rate)

    def model(self, spec: InputSpec) -> Model:
        params = {self.modality: Part(self.name, "", self.encoder.recipe)}
        return network.build_unimodal(params, {self.modality: spec}, require.targets("binary"))

    def plain(self, spec: InputSpec) -> nn.Module:
        return PLAIN[self.name](self.encoder.recipe.build, spec.shape)


def flops(case: Case, spec: InputSpec) -> tuple[int, int]:
    """Parameters, and operations of one window."""
    model, x = case.model(spec), windows(spec, 1)
    data = Data({case.modality: FeatureFeed(x, np.ones(1, bool), "cpu")}, 1, "cpu")
    return network.parameter_count(model), count_flops(model, data, np.zeros(1, int))


def windows(spec: InputSpec, size: int) -> Tensor:
    """(size, *shape) of noise, as numbers or as bytes."""
    generator = torch.Generator().manual_seed(0)
    if spec.dtype == torch.uint8:
        return torch.randint(0, 256, (size, *spec.shape), dtype=torch.uint8, generator=generator)
    return torch.randn(size, *spec.shape, generator=generator)


def step_of(case: Case, module: nn.Module, logits: Callable[[], Tensor], size: int, device: str) -> Callable[[], None]:
    """A step of training, as its recipe says."""
    recipe, parameters = case.encoder.recipe, list(module.parameters())
    optimiser = loop.make_optimiser(
        recipe.replace(layer_decay=1.0), module
    )  # plain modules don't say what their layers are
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


def measure(plain: Callable[[], None], ours: Callable[[], None], turns: int) -> tuple[list[Took], list[Took]]:
    """Steps of the plain modules and of the encoder; which of them begins changes from turn to turn."""
    pair = (plain, ours)
    for step in pair:
        step()
    repeats = max(1, round(TURN_S / timed(plain)().seconds))
    found: tuple[list[Took], list[Took]] = ([], [])
    for turn in range(turns):
        for which in (0, 1) if turn % 2 else (1, 0):
            found[which].append(timed(pair[which], repeats)())
    return found


def memory_mb(case: Case, spec: InputSpec, size: int) -> float:
    """MB that a step needs at most beyond what is there before it, in a process of its own."""
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


def rows_of(case: Case, turns: int) -> list[Row]:
    """A CPU's rows of an encoder; none where a window is too much for one."""
    spec = case.spec(case.seconds)
    count, operations = flops(case, spec)
    if operations > HEAVY:
        return []
    whole = case.encoder.recipe.batch
    size = min(whole, max(LEAST, int(STEP_FLOPS / (3 * operations))))
    plain, ours = measure(*steps(case, spec, size, "cpu"), turns)
    what = f"step of {case.name} ({case.preset}), {size} x {'x'.join(map(str, spec.shape))}"
    note = f"{count:,} parameters, {operations / 1e6:,.2f} million operations a window"
    most = None if case.encoder.reads == "features" else BOUND  # a layer or two, which are calls alone: see `steps`
    row = share(what, ours, plain, "plain torch modules", most=most, note=note, **MILLI)
    return [row, figure("the same, memory of a step", memory_mb(case, spec, size), "MB")]


def rows(setting: Setting) -> list[Row]:
    names = [e.name for e in registry.entries("encoder") if e.package == registry.BUNDLED]
    cases = [
        Case(name, preset, modality, SHORTER.get(name, seconds))
        for name in names
        for preset in setting.size(("paper", "small"), ("small",))
        for modality, seconds in INPUTS.get(name, ())
        if name in setting.size(names, ("handcrafted",))
    ]
    machine.seed_everything(0, 1, "cpu")
    return [row for case in cases for row in rows_of(case, setting.size(TURNS, 2))]
