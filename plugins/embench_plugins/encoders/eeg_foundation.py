"""Encoders `labram`, `cbramod`, `biot`, `eegpt`, `luna` and `reve`: networks that were pretrained on much EEG, as
braindecode builds them (extra `foundation`).

Each class is a card: the rate, the electrodes, the scale and the length of window that its network was pretrained
with. A signal comes in its unit and in the protocol's band, is put in the network's order of electrodes, brought to its
rate (`stream`) and scaled in each window (`forward`). What does not fit is refused: nothing is padded, and no electrode
is made up.

Weights: `build.weights` is `random`, a folder, a `.safetensors` file or OWNER/NAME@COMMIT on the hub. Of a checkpoint,
its own head is left out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from embench.errors import DataError, UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, OutputSpec, TokenSpec
from embench.interfaces.units import View
from embench.signals.filters import highpass
from embench.signals.plausible import signal_size, unit_fault
from embench.signals.resample import resample
from embench_plugins import pretrained, weights
from embench_plugins.datasets.formats.channels import VOLTS
from embench_plugins.electrodes import POSITIONS, electrode, places
from embench_plugins.encoders.eeg_windows import SCALES, Network, Pieces

WINDOW = frozenset({"n_outputs", "n_chans", "n_times", "chs_info", "sfreq", "input_window_seconds"})
"""Arguments of every class of braindecode that say what it reads, and not how."""

# All of their authors' schedules end at a cosine's zero; the lowest rate that some of them state is a thousandth.
PAPER = Recipe(
    optimiser="adamw", lr=1e-4, weight_decay=0.05, schedule="cosine", epochs=50, batch=64, clip=1.0,
    view=View("window", 10.0, 10.0),
    prepare={"rate_hz": 200, "high_hz": 0.0, "reference": "as recorded", "scale": "100 uV"},
    build={**pretrained.BUILD, "weights": weights.UNNAMED, "pooling": "mean", "head": "mean"},
    assumed=("selection", "class_weight", "view.step_s"),
)  # fmt: skip


def with_small(paper: Recipe, **few_layers: int) -> Mapping[str, Recipe]:
    """`paper`; the network frozen under a head that is trained until the validation loss stops to fall; and one with
    few layers for trying things."""
    small = paper.but(
        adapt="frozen", lr=1e-3, weight_decay=0.0, schedule="constant", warmup=0, epochs=100, batch=64, clip=None,
        layer_decay=1.0, selection="early_stop", patience=5, class_weight="balanced", assumed=(),
        build={"weights": weights.RANDOM, "head": "mean"},
    )  # fmt: skip
    return {"paper": paper, "small": small, "quick": small.but(epochs=3, build=few_layers)}


class EegFoundation(Encoder):
    """A network of braindecode over windows of EEG.

    Prepare keys: `rate_hz`, the network's own rate; `high_hz`, the edge of a high-pass beside the protocol's filter, 0
    for none; `reference`, `average` to take the mean of the electrodes that are read from each, else `as recorded`;
    `scale`, by which a window is scaled: `100 uV` and `mV` divide by so much, `p95` by the 95th percentile of
    a channel's magnitude, `z` standardises each channel, `z15` also clips it at 15 SD.

    Build keys: `weights`; `accepts`, see `embench_plugins.pretrained`; `pooling`, `mean` of the tokens or `cls` where
    the network has such a token; `head`, `mean` (LayerNorm and Linear on what was pooled) or `paper`; what else there
    is goes to the network's class.

    Class attributes:
        family: its name, and that of its known weights. module, network: where in braindecode its class is.
        rate: Hz that it was pretrained at.
        pieces: how it cuts a window.
        longest_s: seconds of the longest window that it can read; None: any.
        known: electrodes that it can tell apart, in its own order; others are left out.
        placed: it reads where the electrodes are.
        stack: path of its list of layers.
        offered: choices beside the usual: `cls` of `build.pooling`, `head` of `build.head`.
        left_out: beginnings of the names of what a checkpoint has and the encoder has not.
    """

    accepts: ClassVar = frozenset({"eeg"})
    keeps_unit: ClassVar = True
    libraries: ClassVar = ("braindecode",)
    family: ClassVar[str]
    module: ClassVar[str]
    network: ClassVar[str]
    rate: ClassVar[float] = 200.0
    pieces: ClassVar[Pieces]
    longest_s: ClassVar[float | None] = None
    known: ClassVar[tuple[str, ...]] = tuple(POSITIONS)
    placed: ClassVar[bool] = False
    stack: ClassVar[str]
    offered: ClassVar[frozenset[str]] = frozenset()
    left_out: ClassVar[tuple[str, ...]] = ("final_layer",)

    @property
    def reads(self) -> Literal["signal", "stream", "features", "clips"]:
        """Always `stream`: the network's electrodes at its rate."""
        return "stream"

    def assets(self) -> tuple[Path, ...]:
        """The files of `build.weights`. Raises as `embench_plugins.pretrained.assets`, and MachineError without
        braindecode."""
        pretrained.require("braindecode", f"encoder {self.family}")
        return pretrained.assets(self.recipe, self.family)

    @classmethod
    def known_weights(cls) -> Mapping[str, PretrainingData]:
        """Those of the family."""
        return pretrained.of_family(cls.family)

    def pretraining_data(self) -> PretrainingData | None:
        """The data that the weights have seen, see `pretrained.yaml`."""
        return pretrained.data(self.recipe, self.family)

    def network_channels(self, modality: str, channels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Electrodes in the network's order -> the channel of the dataset that each is.

        Raises:
            UsageError: none of the channels is an electrode that it knows, or one comes twice.
        """
        found = self.electrodes(channels)
        wired = {name: (found[name],) for name in self.known if name in found}
        if not wired:
            raise UsageError(
                f"{self.family} knows none of these electrodes: {_listed(channels)}",
                where=f"encoder {self.family}, modality {modality}",
                expected=f"names of the 10-20 system, among them {_listed(self.known)}",
            )
        return wired

    def electrodes(self, channels: tuple[str, ...]) -> dict[str, str]:
        """Electrode -> the channel that it is, of those channels that are any. Raises UsageError where one comes
        twice."""
        found: dict[str, str] = {}
        for channel in channels:
            name = electrode(channel)
            if name in found:
                raise UsageError(
                    f"{name} is there twice, as {found[name]} and as {channel}",
                    where=f"encoder {self.family}", hint="T3, T4, T5 and T6 are the old names of T7, T8, P7 and P8",
                )  # fmt: skip
            if name:
                found[name] = channel
        return found

    def check_input(self, modality: str, channels: tuple[str, ...], rate: float) -> None:
        """Refuses another rate than the network's, a choice that it does not have, a window that it cannot cut, and
        electrodes that it cannot read. Raises UsageError."""
        prepare, build = self.recipe.prepare, self.recipe.build
        if float(prepare["rate_hz"]) != self.rate:
            raise UsageError(
                f"{self.family} reads {self.rate:g} Hz, at which it was pretrained",
                where="encoder.prepare.rate_hz", expected=f"{self.rate:g}",
            )  # fmt: skip
        for key, value, allowed in (
            ("prepare.scale", prepare["scale"], tuple(SCALES)),
            ("prepare.reference", prepare["reference"], ("as recorded", "average")),
            ("build.pooling", build["pooling"], ("mean", "cls") if "cls" in self.offered else ("mean",)),
            ("build.head", build["head"], ("mean", "paper") if "head" in self.offered else ("mean",)),
        ):
            if value not in allowed:
                raise UsageError(
                    f"{self.family} has no {key.rpartition('.')[2]} `{value}`",
                    where=f"encoder.{key}", expected=" or ".join(allowed),
                )  # fmt: skip
        length_s = self.recipe.view.length_s if self.recipe.view else None
        if length_s is None:
            raise UsageError(
                f"{self.family} reads windows of one length",
                where="encoder.view", expected="kind window or context, with length_s",
            )  # fmt: skip
        self._check_length(length_s)
        self.network_channels(modality, channels)

    def _check_length(self, seconds: float) -> None:
        """Refuses a window that is no whole number of the network's pieces. Raises UsageError."""
        samples = round(seconds * self.rate)
        too_long = self.longest_s is not None and seconds > self.longest_s
        if too_long or not self.pieces.fill(samples):
            fitting = self.pieces.seconds(self.rate, self.longest_s)
            raise UsageError(
                f"{self.family} cannot cut {seconds:g} s, {samples} samples at {self.rate:g} Hz, and pads nothing",
                where="encoder.view.length_s",
                expected=f"{', '.join(map(str, fitting))} ... s"
                + (f", {self.longest_s:g} s at most" if self.longest_s else ""),
            )

    def stream(self, signal: Signal) -> Signal:
        """The electrodes in the network's order, in µV at its rate.

        Raises:
            UsageError: the electrodes, or a unit that is no voltage.
            DataError: the values are no EEG in their unit, by a factor of ten or more.
        """
        if signal.unit not in VOLTS:
            raise UsageError(
                f"{self.family} reads EEG in its unit, and this is in `{signal.unit}`",
                where=f"encoder {self.family}", expected=" or ".join(VOLTS),
            )  # fmt: skip
        size = signal_size("eeg", signal)
        fault = unit_fault("eeg", signal.unit, [size])
        if size > 0 and fault and all(unit_fault("eeg", signal.unit, [size * by]) for by in (0.1, 10)):
            raise DataError(fault, where=f"encoder {self.family}", hint="correct the unit in the dataset's description")
        row = {name: signal.data[k] for k, name in enumerate(signal.channels)}
        wired = self.network_channels(signal.modality or "eeg", signal.channels)
        data = np.stack([row[first] - (row[less[0]] if less else 0) for first, *less in wired.values()])
        if self.recipe.prepare["reference"] == "average":
            data = data - data.mean(0, keepdims=True)
        high = float(self.recipe.prepare["high_hz"])
        if high:
            data = highpass(data, signal.rate, high, order=4)
        data = resample(data * np.float32(VOLTS[signal.unit] * 1e6), signal.rate, self.rate)
        return replace(signal, data=data, rate=self.rate, channels=tuple(wired), unit="uV")

    def build(self, spec: InputSpec) -> nn.Module:
        """The network for windows of `spec.shape` (C, T), from the recipe's weights or at random.

        Raises:
            UsageError: a window that it cannot cut, braindecode is missing, or a size that its class does not have.
            DataError: weights that are another network's.
        """
        self._check_length(spec.shape[1] / self.rate)
        prepare, build = self.recipe.prepare, self.recipe.build
        model = self.model(spec.channels, spec.shape[1])
        model.final_layer = nn.Identity()
        return Network(
            model,
            self.tokens,
            SCALES[prepare["scale"]],
            self.pieces,
            torch.tensor(places(spec.channels) if self.placed else []),
            stack=self.stack,
            summary=build["pooling"] == "cls",
        )

    def sizes(self) -> dict[str, Any]:
        """The arguments of the network's class in the recipe's `build`."""
        own = {*pretrained.BUILD, "pooling", "head"}
        return {key: value for key, value in self.recipe.build.items() if key not in own}

    def _published(self, kind: Any) -> dict[str, Any]:
        """Numbers and switches that the `config.json` beside the weights says to the network's class, as for `qkv_bias`
        of LaBraM; not how long and wide its windows were."""
        if self.recipe.build["weights"] in (weights.RANDOM, weights.UNNAMED):
            return {}
        taken = signature(kind).parameters.keys() - WINDOW
        said = pretrained.config(self.assets())
        return {key: value for key, value in said.items() if key in taken and isinstance(value, bool | int | float)}

    def model(self, channels: tuple[str, ...], samples: int) -> Any:
        """The network of braindecode, filled."""
        model = self.made(n_chans=len(channels), n_times=samples)
        self.fill(model)
        return model

    def made(self, **shape: Any) -> Any:
        """An instance of the network's class with random weights. Raises UsageError."""
        pretrained.require("braindecode", f"encoder {self.family}")
        kind = getattr(import_module(self.module), self.network)
        try:
            return kind(n_outputs=1, sfreq=self.rate, **shape, **self._published(kind) | self.sizes())
        except TypeError as error:
            raise UsageError(
                f"braindecode's {self.network} does not take this: {error}", where="encoder.build"
            ) from error

    def fill(self, model: Any) -> None:
        """Gives a network of braindecode the weights that the recipe names, if it names any. Raises DataError."""
        text = str(self.recipe.build["weights"])
        files = () if text == weights.UNNAMED else self.assets()  # a run stops at `assets` before
        if files:
            pretrained.fill(model, files, text, ignore=self.left_out)

    @abstractmethod
    def tokens(self, model: Any, x: Tensor, at: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, L, D), electrode by electrode where there are several of each piece, and the CLS token (B, D) or
        None, of scaled windows `x` (B, C, T) and places `at` (C, 3) in m, (0,)
        where it is not `placed`."""

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """LayerNorm and Linear on the pooled tokens; with `build.head=paper` that of its paper."""
        return (
            self.paper_head(tokens, outputs) if self.recipe.build["head"] == "paper" else super().head(tokens, outputs)
        )

    def paper_head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """The head of its paper, by default LayerNorm and Linear on the pooled tokens."""
        return super().head(tokens, outputs)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
