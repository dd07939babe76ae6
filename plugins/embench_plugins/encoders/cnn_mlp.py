"""Encoder `cnn_mlp`: convolutions over a whole recording, then a network along time that outputs 100 tokens.

Strizhkova et al. 2024 (`strizhkova2024`): physiology as two channels at 128 Hz (`ecg+eda`, `ppg+eda`), or 42 facial
values at 18 Hz, padded with zeros to the longest recording. A CNN turns each moment into 512 values. An MLP, shared by
all 512, reads all moments at once and outputs 100. Padding is not masked: the MLP reads it as zeros.

The paper gives neither kernels nor hidden sizes. It says that the CNN extends that of `cnn_tf`, whose kernels are used
here for physiology; facial values have kernels that span about as many seconds at the slower rate. The paper's
single-modality models are these tokens under the fusion `cross_attn`. Its 10 s variant is `view: window(10, 10)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View
from embench.nn import hide
from embench.signals.resample import resample
from embench_plugins.encoders.features.spans import ANY_SERIES

FACE = "face_au"

CONTINUOUS = (
    *("amigos/external", "case", "k_emocon", "stress_predict", "wearable_stress", "wearable_stress/exercise"),
    *("wesad", "wesad/chest"),
)
"""Datasets whose units are 10 s of a longer session. Here a method for whole recordings reads the minute up to the end
of the unit."""

MINUTE: Mapping[str, Any] = {"view": View("context", 60.0)}

PAPER = Recipe(
    optimiser="adamw", lr=1e-4, weight_decay=1e-4, schedule="cosine", epochs=50, batch=8,
    selection="early_stop", patience=50,
    view=View("unit"),
    build={
        "kernels": [65, 33, 17], "face_kernels": [9, 5, 3], "widths": [128, 256, 512], "stride": 1, "padding": "zeros",
        "hidden": 256, "tokens": 100, "dropout": 0.1, "start": "random",
    },
    assumed=("optimiser", "lr", "weight_decay", "schedule", "epochs", "selection", "class_weight", "build.kernels",
             "build.face_kernels", "build.widths", "build.hidden", "build.dropout", "build.padding", "build.start"),
    datasets=dict.fromkeys(CONTINUOUS, MINUTE),
)  # fmt: skip

# A wristband's signals hold nothing above 8 Hz after preprocessing. On validation subjects, weights that start as
# averages were no better than random ones.
WRISTBAND: Mapping[str, Any] = {
    **MINUTE, "prepare": {"rate_hz": 16}, "build": {"kernels": [9, 5, 3], "start": "random"},
}  # fmt: skip

# Departures from the paper: a sixteenth of the rate (a quarter for EEG) and a stride of 4, as at higher rates this
# network learns to identify subjects by the shapes of their beats. Layers along time start as means of segments, as
# with random weights the network memorises a few hundred recordings.
SMALL = PAPER.replace(
    lr=1e-3, weight_decay=1e-2, warmup=1, epochs=12, batch=32, clip=1.0, patience=12, class_weight="balanced",
    prepare={"rate_hz": 8, "eeg_rate_hz": 32}, assumed=(),
    build={
        "kernels": [17, 9, 5], "widths": [16, 32, 32], "stride": 4, "hidden": 32, "tokens": 25, "dropout": 0.5,
        "start": "average",
    },
    datasets={**PAPER.datasets, "stress_predict": {**WRISTBAND, "epochs": 8, "patience": 8}},
)  # fmt: skip


class CnnMlp(Encoder):
    """Tokens (B, 100, 512).

    Build keys: `stride` of the first convolution; `start`, the initial weights of both layers along time: `random`, as
    torch draws them, or `average`, means of segments.
    """

    accepts: ClassVar = ANY_SERIES
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=4, patience=4, datasets={**PAPER.datasets, "stress_predict": WRISTBAND}),
    }

    @property
    def reads(self) -> Literal["signal", "stream", "features"]:
        """`stream` if the recipe names a rate, else `signal`."""
        return "stream" if "rate_hz" in self.recipe.prepare else "signal"

    def stream(self, signal: Signal) -> Signal:
        """Return the signal at `prepare.rate_hz`, EEG at `prepare.eeg_rate_hz`; facial values keep their rate."""
        if signal.modality == FACE:
            return signal
        fast = "eeg" in signal.modality.split("+")
        rate = float(self.recipe.prepare["eeg_rate_hz" if fast else "rate_hz"])
        return replace(signal, data=resample(signal.data, signal.rate, rate), rate=rate)

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for signals (C, T) of `spec.shape`; facial values have their own kernels."""
        build = dict(self.recipe.build)
        kernels, face_kernels = build.pop("kernels"), build.pop("face_kernels")
        return Network(*spec.shape, kernels=face_kernels if spec.modality == FACE else kernels, **build)


class Network(nn.Module):
    """x (B, C, T), mask (B, T) | None -> Tokens(x (B, tokens, widths[-1])).

    Args:
        channels, length: C and T. The MLP has a weight for each moment, so T is fixed.
        kernels: odd numbers of samples.
        padding: how convolutions pad the signal, by torch's names.
    """

    def __init__(
        self,
        channels: int,
        length: int,
        *,
        kernels: list[int],
        widths: list[int],
        stride: int,
        padding: Literal["zeros", "reflect", "replicate"],
        hidden: int,
        tokens: int,
        dropout: float,
        start: Literal["random", "average"],
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, width, kernel, 1 if i else stride, kernel // 2, padding_mode=padding)
            for i, (before, width, kernel) in enumerate(zip([channels, *widths[:-1]], widths, kernels, strict=True))
        )
        moments = (length - 1) // stride + 1
        first, second = nn.Linear(moments, hidden), nn.Linear(hidden, tokens)
        if start == "average":
            average_(first)
            average_(second)
        self.along_time = nn.Sequential(first, nn.GELU(), nn.Dropout(dropout), second)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, tokens, widths[-1]), all unmasked, for signals `x` (B, C, T). Samples where `mask` (B, T)
        is False are set to 0."""
        x = hide(x, mask)
        for convolution in self.convolutions:
            x = torch.relu(convolution(x))
        return Tokens(self.along_time(x).transpose(1, 2))


@torch.no_grad()
def average_(linear: nn.Linear) -> None:
    """Initialise each output as the mean of its own segment of the inputs, plus a tenth of the usual noise."""
    segment_means = adaptive_avg_pool1d(torch.eye(linear.in_features)[None], linear.out_features)[0].T
    linear.weight.mul_(0.1).add_(segment_means)
