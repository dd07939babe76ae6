"""Encoders `labram`, `cbramod`, `biot`, `eegpt`, `luna` and `reve`: base class of networks that were pretrained on
large amounts of EEG, built by braindecode (extra `foundation`).

Each subclass states the rate, the electrodes, the scale and the window length with which its network was pretrained. A
signal arrives in its measurement unit, filtered by the protocol. `stream` puts its electrodes in the network's order
and resamples it; `forward` scales each window. Signals that do not fit are refused: nothing is padded, and no electrode
is interpolated.

Weights: `build.weights` is `random`, a folder, a `.safetensors` file or OWNER/NAME@COMMIT on the hub. The head of a
checkpoint is not loaded.
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
from embench_plugins import pretrained
from embench_plugins.datasets.formats.channels import VOLTS, simplify_name

# EEG electrodes by name: their positions on the head, and one spelling for each. Positions are those of the template
# `standard_1005` (Oostenveld and Praamstra 2001, doi 10.1016/S1388-2457(00)00527-7), on the head of the Montreal
# Neurological Institute, in mm: x to the right, y to the front, z up. They are not measured on any subject; networks
# that read positions were pretrained with them.

POSITIONS: Mapping[str, tuple[float, float, float]] = {
    "Fp1": (-29.4367, 83.9171, -6.99), "Fpz": (0.1123, 88.247, -1.713), "Fp2": (29.8723, 84.8959, -7.08),
    "AF9": (-48.9708, 64.0872, -47.683), "AF7": (-54.8397, 68.5722, -10.59), "AF5": (-45.4307, 72.8622, 5.978),
    "AF3": (-33.7007, 76.8371, 21.227), "AF1": (-18.4717, 79.9041, 32.752), "AFz": (0.2313, 80.771, 35.417),
    "AF2": (19.8203, 80.3019, 32.764), "AF4": (35.7123, 77.7259, 21.956), "AF6": (46.5843, 73.8078, 6.034),
    "AF8": (55.7433, 69.6568, -10.755), "AF10": (50.4352, 63.8698, -48.005), "F9": (-70.1019, 41.6523, -49.952),
    "F7": (-70.2629, 42.4743, -11.42), "F5": (-64.4658, 48.0353, 16.921), "F3": (-50.2438, 53.1112, 42.192),
    "F1": (-27.4958, 56.9311, 60.342), "Fz": (0.3122, 58.512, 66.462), "F2": (29.5142, 57.6019, 59.54),
    "F4": (51.8362, 54.3048, 40.814), "F6": (67.9142, 49.8297, 16.367), "F8": (73.0431, 44.4217, -12),
    "F10": (72.1141, 42.0667, -50.452), "FT9": (-84.0759, 14.5673, -50.429), "FT7": (-80.775, 14.1203, -11.135),
    "FC5": (-77.2149, 18.6433, 24.46), "FC3": (-60.1819, 22.7162, 55.544), "FC1": (-34.0619, 26.0111, 79.987),
    "FCz": (0.3761, 27.39, 88.668), "FC2": (34.7841, 26.4379, 78.808), "FC4": (62.2931, 23.7228, 55.63),
    "FC6": (79.5341, 19.9357, 24.438), "FT8": (81.8151, 15.4167, -11.33), "FT10": (84.1131, 14.3647, -50.538),
    "T9": (-85.8941, -15.8287, -48.283), "T7": (-84.1611, -16.0187, -9.346), "C5": (-80.2801, -13.7597, 29.16),
    "C3": (-65.3581, -11.6317, 64.358), "C1": (-36.158, -9.9839, 89.752), "Cz": (0.4009, -9.167, 100.244),
    "C2": (37.672, -9.6241, 88.412), "C4": (67.1179, -10.9003, 63.58), "C6": (83.4559, -12.7763, 29.208),
    "T8": (85.0799, -15.0203, -9.49), "T10": (85.5599, -16.3613, -48.271), "TP9": (-85.6192, -46.5147, -45.707),
    "TP7": (-84.8302, -46.0217, -7.056), "CP5": (-79.5922, -46.5507, 30.949), "CP3": (-63.5562, -47.0088, 65.624),
    "CP1": (-35.5131, -47.2919, 91.315), "CPz": (0.3858, -47.318, 99.432), "CP2": (38.3838, -47.0731, 90.695),
    "CP4": (66.6118, -46.6372, 65.58), "CP6": (83.3218, -46.1013, 31.206), "TP8": (85.5488, -45.5453, -7.13),
    "TP10": (86.1618, -47.0353, -45.869), "P9": (-73.0093, -73.7657, -40.998), "P7": (-72.4343, -73.4527, -2.487),
    "P5": (-67.2723, -76.2907, 28.382), "P3": (-53.0073, -78.7878, 55.94), "P1": (-28.6203, -80.5249, 75.436),
    "Pz": (0.3247, -81.115, 82.615), "P2": (31.9197, -80.4871, 76.716), "P4": (55.6667, -78.5602, 56.561),
    "P6": (67.8877, -75.9043, 28.091), "P8": (73.0557, -73.0683, -2.54), "P10": (73.8947, -74.3903, -41.22),
    "PO9": (-54.9104, -98.0448, -35.465), "PO7": (-54.8404, -97.5279, 2.792), "PO5": (-48.4244, -99.3408, 21.599),
    "PO3": (-36.5114, -100.853, 37.167), "PO1": (-18.9724, -101.768, 46.536), "POz": (0.2156, -102.178, 50.608),
    "PO2": (19.8776, -101.793, 46.393), "PO4": (36.7816, -100.849, 36.397), "PO6": (49.8196, -99.4461, 21.727),
    "PO8": (55.6666, -97.6251, 2.73), "PO10": (54.9876, -98.0911, -35.541), "O1": (-29.4134, -112.449, 8.839),
    "Oz": (0.1076, -114.892, 14.657), "O2": (29.8426, -112.156, 8.8), "Iz": (0.0045, -118.565, -23.078),
    "FTT9h": (-84.125, -1.8467, -29.794), "FTT10h": (84.123, -1.8083, -29.638), "TTP7h": (-85.5651, -30.6287, 11.153),
    "TPP9h": (-78.1602, -60.7567, -23.824), "TPP8h": (78.5198, -60.4323, 12.902),
    "TPP10h": (78.9027, -60.9553, -23.805), "CCP5": (-81.5431, -30.1727, 30.273), "CCP3": (-66.1281, -29.2957, 65.898),
    "CCP1": (-36.9301, -28.5699, 91.734), "CCP2": (38.5399, -28.2251, 90.976), "CCP4": (68.8539, -28.6403, 66.41),
    "CCP6": (84.5529, -29.3783, 30.878), "M1": (-86.0761, -44.9897, -67.986), "M2": (85.7939, -45.0093, -68.031),
    "A1": (-86.0761, -24.9897, -67.986), "A2": (85.7939, -25.0093, -68.031),
}  # fmt: skip
"""Electrode -> its position in mm."""

WITHOUT_POSITION = ("CB1", "CB2", "O9", "O10", "T1", "T2")
"""Electrodes that the template lacks, or whose position differs between laboratories."""

_SPELLED = {name.lower(): name for name in (*POSITIONS, *WITHOUT_POSITION)}


def find_electrode(name: str) -> str | None:
    """Return the electrode that a channel's name means, in today's spelling; None if it names no known electrode.

    >>> find_electrode("EEG T3-REF"), find_electrode("FP1"), find_electrode("trigger")
    ('T7', 'Fp1', None)
    """
    return _SPELLED.get(simplify_name(name, "eeg"))


def find_positions(electrodes: tuple[str, ...]) -> list[tuple[float, float, float]]:
    """Return the positions (x, y, z) of electrodes in m, in their order.

    >>> find_positions(("Cz",))
    [(0.0004009, -0.009167, 0.100244)]
    """
    return [
        (round(x / 1000, 7), round(y / 1000, 7), round(z / 1000, 7))
        for x, y, z in (POSITIONS[name] for name in electrodes)
    ]


# Windows of EEG in a pretrained network: how they are scaled and cut, and heads that read all tokens.

LEAST = 1e-8
"""Added to divisors, so that a constant channel stays 0."""

CLIPPED_SD = 15.0


class Pieces(NamedTuple):
    """Pieces of `size` samples that a network cuts a window into, one every `step` samples."""

    size: int
    step: int

    def fill(self, samples: int) -> bool:
        """Return True if the pieces cover a window of `samples` samples without a remainder."""
        return samples >= self.size and (samples - self.size) % self.step == 0

    def seconds(self, rate: float, longest_s: float | None) -> list[int]:
        """Return the shortest windows, at most four, that the pieces cover without a remainder, in whole seconds.

        >>> Pieces(200, 180).seconds(200.0, None)
        [1, 10, 19, 28]
        """
        last = round(longest_s or 60)
        return [s for s in range(1, last + 1) if self.fill(round(s * rate))][:4]

    def recorded(self, mask: Tensor) -> Tensor:
        """Return (B, pieces) bool: True for a piece if any of its samples is True in `mask` (B, T)."""
        return mask.unfold(1, self.size, self.step).any(2)


def _standardise(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return each channel of each window minus its mean, divided by its SD, both over recorded samples."""
    recorded = torch.ones_like(x[:, :1]) if mask is None else mask[:, None].to(x.dtype)
    count = recorded.sum(-1, keepdim=True).clamp_min(1)
    centred = (x - (x * recorded).sum(-1, keepdim=True) / count) * recorded
    return centred / ((centred**2).sum(-1, keepdim=True) / count + LEAST).sqrt()


def _divide_by(microvolts: float) -> Callable[[Tensor, Tensor | None], Tensor]:
    return lambda x, _: x / microvolts


def _scale_by_percentile(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return each channel of each window divided by the 95th percentile of its magnitude."""
    size = x.abs() if mask is None else x.abs().masked_fill(~mask[:, None], torch.nan)
    return x / (torch.nanquantile(size, 0.95, dim=-1, keepdim=True).nan_to_num(1.0) + LEAST)


SCALES: Mapping[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "100 uV": _divide_by(100.0),
    "mV": _divide_by(1000.0),
    "p95": _scale_by_percentile,
    "z": _standardise,
    "z15": lambda x, mask: _standardise(x, mask).clamp(-CLIPPED_SD, CLIPPED_SD),
}
"""Name of a scale -> function that scales windows `x` (B, C, T) in µV, which are 0 where `mask` (B, T) is False."""

Read = Callable[[Any, Tensor, Tensor], "tuple[Tensor, Tensor | None]"]


class Network(nn.Module):
    """(B, C, T) in µV, mask (B, T) | None -> Tokens(x (B, L, D), mask (B, L) | None).

    Args:
        model: the pretrained network.
        read: function of the model, scaled windows and positions that returns tokens, see `EegFoundation.tokens`.
        scale, pieces: how a window is scaled and cut.
        positions: (C, 3) positions of the electrodes in m.
        stack: path of the model's list of layers.
        summary: True to read the CLS token instead of the mean of the tokens.
    """

    positions: Tensor

    def __init__(
        self,
        model: Any,
        read: Read,
        scale: Callable[[Tensor, Tensor | None], Tensor],
        pieces: Pieces,
        positions: Tensor,
        *,
        stack: str,
        summary: bool,
    ) -> None:
        super().__init__()
        self.model, self.read, self.scale, self.pieces, self.stack, self.summary = (
            model, read, scale, pieces, stack, summary,
        )  # fmt: skip
        self.register_buffer("positions", positions, persistent=False)

    def layers_in_order(self) -> Sequence[nn.Module]:
        """Return the parts from input to output, for `layer_decay`: all before the layers, then each layer."""
        before = []
        for name, parameter in self.model.named_parameters():
            if name.startswith(f"{self.stack}."):
                break
            before.append(parameter)
        return [nn.ParameterList(before), *attrgetter(self.stack)(self.model)]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, L, D) and their mask (B, L) for `x` (B, C, T) and `mask` (B, T) of recorded samples.

        A token counts if any of its samples was recorded. The network reads 0 for samples that were not.
        """
        tokens, cls = self.read(self.model, self.scale(hide(x, mask), mask), self.positions)
        summary = cls if self.summary else None
        if mask is None:
            return Tokens(tokens, None, summary)
        recorded = self.pieces.recorded(mask)
        # One token for the window, one for each piece, or one for each piece of each electrode.
        length = tokens.shape[1]
        token_mask = recorded.any(1, keepdim=True) if length == 1 else recorded.repeat(1, length // recorded.shape[1])
        return Tokens(tokens, token_mask, summary)


class FlatHead(nn.Module):
    """`Tokens -> Output`: layers on all tokens side by side, with zeros for masked ones.

    Args:
        tokens, outputs: shapes of the input and of the output.
        narrow: width to which one shared layer first reduces each token; None for no such layer.
        hidden: widths of the hidden layers, with ELU and dropout after each.
        norm: True for a LayerNorm on the input of the first hidden layer.
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
        """Return `logits` (B, n) and `hidden` (B, H), the input of the last layer, from tokens (B, L, D)."""
        x = self.each(tokens.x)
        hidden = self.body((x if tokens.mask is None else x * tokens.mask[:, :, None]).flatten(1))
        return Output(self.last(hidden), hidden)


class EluHead(nn.Module):
    """`Tokens -> Output`: ELU and one linear layer on the pooled tokens."""

    def __init__(self, tokens: TokenSpec, outputs: OutputSpec) -> None:
        super().__init__()
        self.linear = nn.Linear(tokens.dim, outputs.size)

    def forward(self, tokens: Tokens) -> Output:
        """Return `logits` (B, n) and `hidden` (B, D) from tokens (B, L, D)."""
        hidden = nn.functional.elu(tokens.pool())
        return Output(self.linear(hidden), hidden)


# The encoders.

WINDOW = frozenset({"n_outputs", "n_chans", "n_times", "chs_info", "sfreq", "input_window_seconds"})
"""Arguments of braindecode's classes that describe the input, not the network."""

# All schedules end at 0 here; some authors state a lowest learning rate of a thousandth.
PAPER = Recipe(
    optimiser="adamw", lr=1e-4, weight_decay=0.05, schedule="cosine", epochs=50, batch=64, clip=1.0,
    view=View("window", 10.0, 10.0),
    prepare={"rate_hz": 200, "high_hz": 0.0, "reference": "as recorded", "scale": "100 uV"},
    build={**pretrained.BUILD, "weights": pretrained.UNNAMED, "pooling": "mean", "head": "mean"},
    assumed=("selection", "class_weight", "view.step_s"),
)  # fmt: skip


def add_small(paper: Recipe, **few_layers: int) -> Mapping[str, Recipe]:
    """Return three recipes: `paper`; `small`, a frozen network whose head is trained until the validation loss stops
    falling; and `quick`, the same with few layers."""
    small = paper.replace(
        adapt="frozen", lr=1e-3, weight_decay=0.0, schedule="constant", warmup=0, epochs=100, batch=64, clip=None,
        layer_decay=1.0, selection="early_stop", patience=5, class_weight="balanced", assumed=(),
        build={"weights": pretrained.RANDOM, "head": "mean"},
    )  # fmt: skip
    return {"paper": paper, "small": small, "quick": small.replace(epochs=3, build=few_layers)}


class EegFoundation(Encoder):
    """Base class of a network of braindecode over windows of EEG.

    Prepare keys:

    - `rate_hz`: the network's own rate.
    - `high_hz`: edge of a high-pass in addition to the protocol's filter, 0 for none.
    - `reference`: `average` to subtract the mean of the electrodes that are read, else `as recorded`.
    - `scale`: `100 uV` and `mV` divide by that voltage, `p95` by the 95th percentile of a channel's magnitude; `z`
      standardises each channel, `z15` also clips it at 15 SD.

    Build keys: `weights` and `accepts`, see `embench_plugins.pretrained`; `pooling`, `mean` of the tokens, or `cls` for
    networks with such a token; `head`, `mean` (LayerNorm and Linear on the pooled tokens) or `paper`. All other keys
    are passed to the network's class.

    Class attributes:
        family: name of the encoder, and of its known weights.
        module, network: module and class of braindecode.
        rate: sampling rate of its pretraining, in Hz.
        pieces: how it cuts a window.
        longest_s: length of the longest window that it can read, in s; None for any.
        known: electrodes that it can distinguish, in its own order; others are not read.
        placed: True if it reads the positions of electrodes.
        stack: path of its list of layers.
        offered: contains `cls` if `build.pooling` may be `cls`, and `head` if `build.head` may be `paper`.
        left_out: beginnings of the names of tensors that are not loaded from a checkpoint.
    """

    reads: ClassVar[Literal["stream"]] = "stream"
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

    def assets(self) -> tuple[Path, ...]:
        """Return the files of `build.weights`. Raises as `pretrained.find_assets`; MachineError without braindecode."""
        pretrained.require("braindecode", f"encoder {self.family}")
        return pretrained.find_assets(self.recipe, self.family)

    @classmethod
    def known_weights(cls) -> Mapping[str, PretrainingData]:
        """Return the known weights of the family."""
        return pretrained.list_family(cls.family)

    def pretraining_data(self) -> PretrainingData | None:
        """Return the data on which the weights were trained, see `pretrained.yaml`."""
        return pretrained.find_data(self.recipe, self.family)

    def network_channels(self, modality: str, channels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Return electrode -> the dataset's channels for it, one or two, with the electrodes in the network's order.

        Raises:
            UsageError: the network knows none of the electrodes, or one occurs twice.
        """
        found = self.find_electrodes(channels)
        wired = {name: (found[name],) for name in self.known if name in found}
        if not wired:
            raise UsageError(
                f"{self.family} knows none of these electrodes: {_list_names(channels)}",
                where=f"encoder {self.family}, modality {modality}",
                expected=f"names of the 10-20 system, among them {_list_names(self.known)}",
            )
        return wired

    def find_electrodes(self, channels: tuple[str, ...]) -> dict[str, str]:
        """Return electrode -> channel, for channels that are electrodes. Raises UsageError if one occurs twice."""
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
        """Raise UsageError for a rate other than the network's, an option that it lacks, a window that it cannot cut,
        or electrodes that it cannot read."""
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
        """Raise UsageError for a window that the network's pieces do not cover exactly, or that is too long."""
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
        """Return the electrodes in the network's order, in µV at its rate.

        Raises:
            UsageError: no electrode is known, one occurs twice, or the unit is not a voltage.
            DataError: the values are too large or too small for EEG in their unit, by a factor of ten or more.
        """
        if signal.unit not in VOLTS:
            raise UsageError(
                f"{self.family} reads EEG in its unit, and this is in `{signal.unit}`",
                where=f"encoder {self.family}", expected=" or ".join(VOLTS),
            )  # fmt: skip
        size = signal_size("eeg", signal)
        fault = unit_fault("eeg", signal.unit, [size])
        if size > 0 and fault and all(unit_fault("eeg", signal.unit, [size * factor]) for factor in (0.1, 10)):
            raise DataError(fault, where=f"encoder {self.family}", hint="correct the unit in the dataset's description")
        row = {name: signal.data[k] for k, name in enumerate(signal.channels)}
        channels_of = self.network_channels(signal.modality or "eeg", signal.channels)
        data = np.stack([row[first] - (row[second[0]] if second else 0) for first, *second in channels_of.values()])
        if self.recipe.prepare["reference"] == "average":
            data = data - data.mean(0, keepdims=True)
        high = float(self.recipe.prepare["high_hz"])
        if high:
            data = highpass(data, signal.rate, high, order=4)
        data = resample(data * np.float32(VOLTS[signal.unit] * 1e6), signal.rate, self.rate)
        return replace(signal, data=data, rate=self.rate, channels=tuple(channels_of), unit="uV")

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for windows of `spec.shape` (C, T), from the recipe's weights or at random.

        Raises:
            UsageError: the network cannot cut the window, or its class lacks an argument that `build` names.
            MachineError: braindecode is not installed. DataError: the weights are another network's.
        """
        self._check_length(spec.shape[1] / self.rate)
        prepare, build = self.recipe.prepare, self.recipe.build
        model = self.load_model(spec.channels, spec.shape[1])
        model.final_layer = nn.Identity()
        return Network(
            model,
            self.tokens,
            SCALES[prepare["scale"]],
            self.pieces,
            torch.tensor(find_positions(spec.channels) if self.placed else []),
            stack=self.stack,
            summary=build["pooling"] == "cls",
        )

    def sizes(self) -> dict[str, Any]:
        """Return the arguments of the network's class in the recipe's `build`."""
        own = {*pretrained.BUILD, "pooling", "head"}
        return {key: value for key, value in self.recipe.build.items() if key not in own}

    def _read_arguments(self, kind: Any) -> dict[str, Any]:
        """Return arguments of the network's class `kind` from the `config.json` of the weights, such as `qkv_bias` of
        LaBraM: only numbers and booleans, without the sizes of windows."""
        if self.recipe.build["weights"] in (pretrained.RANDOM, pretrained.UNNAMED):
            return {}
        names = signature(kind).parameters.keys() - WINDOW
        config = pretrained.read_config(self.assets())
        return {key: value for key, value in config.items() if key in names and isinstance(value, bool | int | float)}

    def load_model(self, channels: tuple[str, ...], samples: int) -> Any:
        """Return the network of braindecode, with the recipe's weights."""
        model = self.make_model(n_chans=len(channels), n_times=samples)
        self.fill(model)
        return model

    def make_model(self, **shape: Any) -> Any:
        """Return an instance of the network's class with random weights. Raises UsageError."""
        pretrained.require("braindecode", f"encoder {self.family}")
        kind = getattr(import_module(self.module), self.network)
        try:
            return kind(n_outputs=1, sfreq=self.rate, **shape, **self._read_arguments(kind) | self.sizes())
        except TypeError as error:
            raise UsageError(
                f"braindecode's {self.network} does not take this: {error}", where="encoder.build"
            ) from error

    def fill(self, model: Any) -> None:
        """Load the weights that the recipe names, if any, into a network of braindecode. Raises DataError."""
        text = str(self.recipe.build["weights"])
        files = () if text == pretrained.UNNAMED else self.assets()  # a run stops at `assets` before
        if files:
            pretrained.fill(model, files, text, ignore=self.left_out)

    @abstractmethod
    def tokens(self, model: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the network's tokens (B, L, D) and its CLS token (B, D), or None if it has none. If each electrode has
        its own tokens, all tokens of one electrode come before those of the next.

        Args:
            x: (B, C, T) scaled windows.
            positions: (C, 3) positions of the electrodes in m; empty if the network is not `placed`.
        """

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return LayerNorm and Linear on the pooled tokens, or the paper's head if `build.head` is `paper`."""
        of_paper = self.recipe.build["head"] == "paper"
        return self.paper_head(tokens, outputs) if of_paper else super().head(tokens, outputs)

    def paper_head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return the head of the network's paper, by default LayerNorm and Linear on the pooled tokens."""
        return super().head(tokens, outputs)


def _list_names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
