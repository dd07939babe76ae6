"""Encoder `tcn`: two residual blocks of causal, dilated convolutions over a slow signal.

Wu et al. 2023 (`wu2023`), following its published code: EDA, PPG and skin temperature at 4 Hz, each with its own
network. 16 filters of 6 samples at dilations 1 and 2 span 31 samples, 7.75 s; a sigmoid follows the last block. The
code reads signals that were prepared elsewhere, so filters, rate and the 60 s of a window are assumed. It also redraws
the weights of the convolutions after wrapping them in weight normalisation, which has no effect; only the 1 x 1
convolution beside the first block really starts from N(0, 0.01).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.parametrizations import weight_norm

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import Present, hide
from embench.signals.filters import lowpass
from embench.signals.resample import resample
from embench_plugins.fusions import shared_tf

PAPER = Recipe(
    optimiser="sgd", lr=1e-4, momentum=0.9, weight_decay=5e-7, epochs=20, batch=128,
    view=View("context", 60.0),
    prepare={"rate_hz": 4, "lowpass_hz": {"eda": 1.0, "temp": 0.5}},
    build={"filters": 16, "kernel": 6, "blocks": 2, "dropout": 0.2, "head": shared_tf.PAPER.build},
    assumed=("prepare.rate_hz", "prepare.lowpass_hz", "view.length_s"),
    datasets={name: {"lr": 1e-3, "epochs": 64, "batch": 64} for name in ("case", "k_emocon")},
)  # fmt: skip

SMALL = PAPER.replace(
    optimiser="adamw", lr=1e-3, momentum=0.0, weight_decay=1e-2, schedule="cosine", warmup=1, epochs=8, batch=64,
    clip=1.0, class_weight="balanced", build={"head": shared_tf.SMALL.build}, assumed=(), datasets={},
)  # fmt: skip


class Tcn(Encoder):
    """Tokens (B, T, 16), one for each sample of its slow stream, each a function of the 31 samples up to it.

    Prepare keys: `rate_hz`, and by modality `lowpass_hz`, the edge of a zero-phase Butterworth filter of order 4. A
    signal that already has that rate was filtered by its protocol and is not changed.

    Build keys: `head`, the sizes of the network of `shared_tf` that serves as head for a single modality.
    """

    reads: ClassVar[Literal["stream"]] = "stream"
    accepts: ClassVar = frozenset({"ecg", "ppg", "eda", "resp", "temp", "emg", "acc", "hr", "eeg_bands"})
    offers: ClassVar = frozenset({"token_per_sample"})
    recipes: ClassVar[Mapping[str, Recipe]] = {"paper": PAPER, "small": SMALL, "quick": SMALL.replace(epochs=3)}

    def stream(self, signal: Signal) -> Signal:
        """Return the signal at `prepare.rate_hz`, after the low-pass of its modality."""
        rate, x = float(self.recipe.prepare["rate_hz"]), signal.data
        if signal.rate == rate:
            return signal
        edge = self.recipe.prepare["lowpass_hz"].get(signal.modality)
        if edge is not None:
            x = lowpass(x, signal.rate, edge, 4)
        return replace(signal, data=resample(x, signal.rate, rate), rate=rate)

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for `spec.shape[0]` channels and any length."""
        sizes = {key: value for key, value in self.recipe.build.items() if key != "head"}
        return Network(spec.shape[0], **sizes)

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return `shared_tf` with one modality: the published code has no script for a single signal."""
        return Alone(shared_tf.Network({"alone": tokens}, outputs.size, **self.recipe.build["head"]))


class Network(nn.Module):
    """(B, C, T) -> Tokens(x (B, T, filters) between 0 and 1, mask (B, T) | None)."""

    def __init__(self, channels: int, *, filters: int, kernel: int, blocks: int, dropout: float) -> None:
        super().__init__()
        widths = [channels, *[filters] * (blocks - 1)]
        self.blocks = nn.ModuleList(
            Block(before, filters, kernel, 2**level, dropout) for level, before in enumerate(widths)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, T, filters) with values from 0 to 1, and `mask` (B, T), for `x` (B, C, T)."""
        for block in self.blocks:
            x = block(x, mask)
        return Tokens(torch.sigmoid(x).transpose(1, 2), mask)


class Block(nn.Module):
    """Two causal convolutions with ReLU and dropout, plus a shortcut: (B, before, T) -> (B, filters, T)."""

    def __init__(self, before: int, filters: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.convolutions = nn.ModuleList(
            weight_norm(nn.Conv1d(width, filters, kernel, dilation=dilation)) for width in (before, filters)
        )
        self.dropout = nn.Dropout(dropout)
        self.shortcut: nn.Module = nn.Identity()
        if before != filters:
            self.shortcut = nn.Conv1d(before, filters, 1)
            nn.init.normal_(self.shortcut.weight, 0, 0.01)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B, filters, T), at least 0, for `x` (B, before, T) and `mask` (B, T). The output is causal."""
        y = x
        for convolution in self.convolutions:
            # A bias makes padded samples non-zero, and the next kernel would mix them into valid ones.
            y = self.dropout(torch.relu(convolution(pad(hide(y, mask), (self.reach, 0)))))
        return torch.relu(y + self.shortcut(x))


class Alone(nn.Module):
    """`Tokens -> Output` through the network of `shared_tf` with a single modality."""

    def __init__(self, network: shared_tf.Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tokens) -> Output:
        """Return `logits` and `hidden` of tokens (B, T, D), as `shared_tf` computes them for one modality."""
        present = torch.ones(len(tokens.x), dtype=torch.bool, device=tokens.x.device)
        output: Output = self.network({"alone": tokens}, Present({"alone": present}, whole={"alone"}))
        return output
