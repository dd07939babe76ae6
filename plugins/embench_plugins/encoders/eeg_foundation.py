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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from inspect import signature
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from embench.errors import DataError, UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import hide
from embench.signals.filters import highpass
from embench.signals.plausible import signal_size, unit_fault
from embench.signals.resample import resample
from embench_plugins import pretrained, weights
from embench_plugins.datasets.formats.channels import VOLTS
from embench_plugins.electrodes import POSITIONS, find_electrode, find_places

# Windows of EEG on their way through a pretrained network: how they are scaled and cut, and heads that read all tokens.

LEAST = 1e-8
"""Added to what is divided by, so that a flat channel stays 0."""

CLIPPED_SD = 15.0


class Pieces(NamedTuple):
    """The pieces of `size` samples that a network cuts a window into, one every `step`."""

    size: int
    step: int

    def fill(self, samples: int) -> bool:
        """True if the pieces leave none of so many samples over."""
        return samples >= self.size and (samples - self.size) % self.step == 0

    def seconds(self, rate: float, longest_s: float | None) -> list[int]:
        """The first whole numbers of seconds at `rate` Hz that the pieces fill, 4 at most.

        >>> Pieces(200, 180).seconds(200.0, None)
        [1, 10, 19, 28]
        """
        last = round(longest_s or 60)
        return [s for s in range(1, last + 1) if self.fill(round(s * rate))][:4]

    def recorded(self, mask: Tensor) -> Tensor:
        """(B, pieces) the pieces of which any sample was recorded, of `mask` (B, T)."""
        return mask.unfold(1, self.size, self.step).any(2)


def _standardise(x: Tensor, mask: Tensor | None) -> Tensor:
    """Each channel of each window less its mean, over its SD, of the samples that were recorded."""
    there = torch.ones_like(x[:, :1]) if mask is None else mask[:, None].to(x.dtype)
    count = there.sum(-1, keepdim=True).clamp_min(1)
    centred = (x - (x * there).sum(-1, keepdim=True) / count) * there
    return centred / ((centred**2).sum(-1, keepdim=True) / count + LEAST).sqrt()


def _divide_by(microvolts: float) -> Callable[[Tensor, Tensor | None], Tensor]:
    return lambda x, _: x / microvolts


def _scale_by_percentile(x: Tensor, mask: Tensor | None) -> Tensor:
    """Each channel of each window over the 95th percentile of its magnitude."""
    size = x.abs() if mask is None else x.abs().masked_fill(~mask[:, None], torch.nan)
    return x / (torch.nanquantile(size, 0.95, dim=-1, keepdim=True).nan_to_num(1.0) + LEAST)


SCALES: Mapping[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "100 uV": _divide_by(100.0),
    "mV": _divide_by(1000.0),
    "p95": _scale_by_percentile,
    "z": _standardise,
    "z15": lambda x, mask: _standardise(x, mask).clamp(-CLIPPED_SD, CLIPPED_SD),
}
"""Name of a scale -> function of windows `x` (B, C, T) in µV, 0 where `mask` (B, T) is False."""

Read = Callable[[Any, Tensor, Tensor], "tuple[Tensor, Tensor | None]"]


class Network(nn.Module):
    """(B, C, T) in µV, mask (B, T) | None -> Tokens(x (B, L, D), mask (B, L) | None).

    Args:
        model: the pretrained network. read: function of it, scaled windows and places, see `EegFoundation.tokens`.
        scale, pieces: what is done to a window.
        at: (C, 3) places of the electrodes in m.
        stack: path of the model's list of layers.
        summary: whether the CLS token is what is read.
    """

    at: Tensor

    def __init__(
        self,
        model: Any,
        read: Read,
        scale: Callable[[Tensor, Tensor | None], Tensor],
        pieces: Pieces,
        at: Tensor,
        *,
        stack: str,
        summary: bool,
    ) -> None:
        super().__init__()
        self.model, self.read, self.scale, self.pieces, self.stack, self.summary = (
            model, read, scale, pieces, stack, summary,
        )  # fmt: skip
        self.register_buffer("at", at, persistent=False)

    def layers_in_order(self) -> Sequence[nn.Module]:
        """Parts from the input to the output, for `layer_decay`: what stands before the stack of layers, and each of
        these."""
        before = []
        for name, parameter in self.model.named_parameters():
            if name.startswith(f"{self.stack}."):
                break
            before.append(parameter)
        return [nn.ParameterList(before), *attrgetter(self.stack)(self.model)]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """`x` (B, C, T), `mask` (B, T) of samples that were recorded -> tokens (B, L, D) and their mask (B, L).

        A token counts where any of its samples was recorded; the others are 0 to the network.
        """
        tokens, cls = self.read(self.model, self.scale(hide(x, mask), mask), self.at)
        summary = cls if self.summary else None
        if mask is None:
            return Tokens(tokens, None, summary)
        seen = self.pieces.recorded(mask)
        # One token for the window, one for each piece, or one for each piece of each electrode.
        length = tokens.shape[1]
        counts = seen.any(1, keepdim=True) if length == 1 else seen.repeat(1, length // seen.shape[1])
        return Tokens(tokens, counts, summary)


class FlatHead(nn.Module):
    """`Tokens -> Output`: layers on all tokens, with zeros for those that do not count.

    Args:
        tokens, outputs: what it joins.
        narrow: width to which each token is brought first, by one layer for all; None: none is.
        hidden: widths of the layers between, with ELU and dropout after each.
        norm: a LayerNorm on all that is read.
    """

    def __init__(
        self,
        tokens: TokenSpec,
        outputs: OutputSpec,
        *,
        narrow: int | None = None,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Dropout(dropout), nn.Linear(tokens.dim, narrow)) if narrow else nn.Identity()
        widths = [tokens.length * (narrow or tokens.dim), *hidden]
        layers: list[nn.Module] = [nn.LayerNorm(widths[0])] if norm else []
        for wide, less in pairwise(widths):
            layers += [nn.Linear(wide, less), nn.ELU(), nn.Dropout(dropout)]
        self.body, self.last = nn.Sequential(*layers), nn.Linear(widths[-1], outputs.size)

    def forward(self, tokens: Tokens) -> Output:
        """`logits` (B, n) and `hidden` (B, H), what the last layer reads, from tokens (B, L, D)."""
        x = self.each(tokens.x)
        hidden = self.body((x if tokens.mask is None else x * tokens.mask[:, :, None]).flatten(1))
        return Output(self.last(hidden), hidden)


class EluHead(nn.Module):
    """`Tokens -> Output`: ELU and one linear layer on the pooled tokens."""

    def __init__(self, tokens: TokenSpec, outputs: OutputSpec) -> None:
        super().__init__()
        self.linear = nn.Linear(tokens.dim, outputs.size)

    def forward(self, tokens: Tokens) -> Output:
        """`logits` (B, n) and `hidden` (B, D) from tokens (B, L, D)."""
        hidden = nn.functional.elu(tokens.pool())
        return Output(self.linear(hidden), hidden)


# The encoders.

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


def add_small(paper: Recipe, **few_layers: int) -> Mapping[str, Recipe]:
    """`paper`; the network frozen under a head that is trained until the validation loss stops to fall; and one with
    few layers for trying things."""
    small = paper.replace(
        adapt="frozen", lr=1e-3, weight_decay=0.0, schedule="constant", warmup=0, epochs=100, batch=64, clip=None,
        layer_decay=1.0, selection="early_stop", patience=5, class_weight="balanced", assumed=(),
        build={"weights": weights.RANDOM, "head": "mean"},
    )  # fmt: skip
    return {"paper": paper, "small": small, "quick": small.replace(epochs=3, build=few_layers)}


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
        return pretrained.find_assets(self.recipe, self.family)

    @classmethod
    def known_weights(cls) -> Mapping[str, PretrainingData]:
        """Those of the family."""
        return pretrained.list_family(cls.family)

    def pretraining_data(self) -> PretrainingData | None:
        """The data that the weights have seen, see `pretrained.yaml`."""
        return pretrained.find_data(self.recipe, self.family)

    def network_channels(self, modality: str, channels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Electrodes in the network's order -> the channel of the dataset that each is.

        Raises:
            UsageError: none of the channels is an electrode that it knows, or one comes twice.
        """
        found = self.electrodes(channels)
        wired = {name: (found[name],) for name in self.known if name in found}
        if not wired:
            raise UsageError(
                f"{self.family} knows none of these electrodes: {_list_names(channels)}",
                where=f"encoder {self.family}, modality {modality}",
                expected=f"names of the 10-20 system, among them {_list_names(self.known)}",
            )
        return wired

    def electrodes(self, channels: tuple[str, ...]) -> dict[str, str]:
        """Electrode -> the channel that it is, of those channels that are any. Raises UsageError where one comes
        twice."""
        found: dict[str, str] = {}
        for channel in channels:
            name = find_electrode(channel)
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
            torch.tensor(find_places(spec.channels) if self.placed else []),
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
        said = pretrained.read_config(self.assets())
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


def _list_names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
