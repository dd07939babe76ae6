"""Encoder `cnn_tf`: three convolutions and a Transformer over every sample, read out by a CLS vector.

Vazquez-Rodriguez et al. 2022 (`vazquez2022`): 10 s of ECG (1 channel) or EEG (10 channels) at 128 Hz. Convolutions of
65, 33 and 17 samples together span 1 + 64 + 32 + 16 = 113 samples, 0.88 s; two Transformer layers span the rest. Each
recipe's `assumed` lists what the paper does not state. `strizhkova2024` uses it for facial values too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import hide, sinusoidal_positions
from embench.signals.resample import resample
from embench_plugins.attention import Layer
from embench_plugins.encoders.features.spans import ANY_SERIES

MONTAGE = ("F7", "F3", "T7", "P7", "O1", "O2", "P8", "T8", "F4", "F8")
"""The EEG channels that AMIGOS shares with the paper's pretraining corpora, in its order."""

FACE = "face_au"

LEAD = ("left",)
"""The ECG channel that the paper reads."""

PAPER = Recipe(
    optimiser="adam", lr=1e-4, weight_decay=1e-5, schedule="step", every=45, factor=0.65, epochs=100, batch=64,
    view=View("window", 10.0, 10.0),
    build={
        "widths": [64, 128, 256], "kernels": [65, 33, 17], "face_kernels": [9, 5, 3], "layers": 2, "heads": 2,
        "padding": "zeros", "ffn": 1024, "dropout": 0.1, "pos": "sin", "norm": "post", "hidden": 64,
        "head_dropout": 0.6,
    },
    assumed=("batch", "selection", "class_weight", "view.step_s", "build.padding", "build.face_kernels", "build.ffn",
             "build.pos", "build.norm", "build.dropout"),
)  # fmt: skip

SLOW: Mapping[str, Any] = {"batch": 64, "prepare": {"rate_hz": 16}, "build": {"kernels": [9, 5, 3]}}

SPARSE: Mapping[str, Any] = {"view": View("window", 10.0, 60.0)}  # 10 s of each minute of recordings up to 24 min long

# The same receptive field in seconds at a quarter of the rate. Dropout of attention weights doubles the time on a CPU.
# Batches are small and the schedule runs to its end: on a few hundred windows the loss falls only after 100 to 200
# steps.
SMALL = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="cosine", warmup=1, epochs=16, batch=16, clip=1.0,
    selection="last", patience=16, class_weight="balanced",
    view=View("window", 10.0, 10.0),
    prepare={"rate_hz": 32},
    build={
        "widths": [16, 32, 32], "kernels": [17, 9, 5], "face_kernels": [9, 5, 3], "layers": 1, "heads": 2,
        "padding": "zeros", "ffn": 64, "dropout": 0.1, "attention_dropout": 0.0, "pos": "sin", "norm": "post",
        "hidden": 32, "head_dropout": 0.3,
    },
    # A wristband's signals hold nothing above 8 Hz after preprocessing; validation losses were flat after 8 epochs.
    datasets={"stress_predict": {"epochs": 8, "patience": 8, "selection": "early_stop", **SLOW}},
)  # fmt: skip


class CnnTf(Encoder):
    """Tokens (B, T, D), one for each sample, and the CLS vector (B, D) as their summary.

    Build keys: `face_kernels` replace `kernels` for facial values, which have 18 Hz; with 0 `layers` there are only
    convolutions, and no summary.
    """

    accepts: ClassVar = ANY_SERIES
    offers: ClassVar = frozenset({"token_per_sample", "summary"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=6, patience=6, datasets={"stress_predict": SLOW, "amigos/long": SPARSE}),
    }

    @property
    def reads(self) -> Literal["signal", "stream", "features"]:
        """`stream` if the recipe names a rate, else `signal`."""
        return "stream" if "rate_hz" in self.recipe.prepare else "signal"

    def stream(self, signal: Signal) -> Signal:
        """Return the signal at `prepare.rate_hz`; facial values stay at their own rate."""
        if signal.modality == FACE:
            return signal
        rate = float(self.recipe.prepare["rate_hz"])
        return replace(signal, data=resample(signal.data, signal.rate, rate), rate=rate)

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for windows of at most `spec.shape[1]` samples, on the channels of `pick_channels`."""
        own = {key: value for key, value in self.recipe.build.items() if key not in ("hidden", "head_dropout")}
        face_kernels = own.pop("face_kernels")
        if spec.modality == FACE:
            own["kernels"] = face_kernels
        return Network(spec.shape[1], pick_channels(spec.modality, spec.channels), **own)

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return the paper's classifier on the CLS vector (without layers, on the mean of the tokens), sized by
        `build.hidden` and `build.head_dropout`."""
        build = self.recipe.build
        return Classifier(tokens.dim, int(build["hidden"]), outputs.size, float(build["head_dropout"]))


def pick_channels(modality: str, channels: tuple[str, ...]) -> list[int]:
    """Return the positions of the channels to read: the paper's ten if an EEG has them all, the left arm's lead if an
    ECG has it, else every channel."""
    for name, wanted in (("eeg", MONTAGE), ("ecg", LEAD)):
        if modality == name and set(wanted) <= set(channels):
            return [channels.index(channel) for channel in wanted]
    return list(range(len(channels)))


class Network(nn.Module):
    """(B, C, T) -> Tokens(x (B, T, D), mask (B, T) | None, summary (B, D), None without layers).

    Args:
        length: samples of the longest window; shorter windows use the first positions.
        picks: positions of the channels to read; a pretext task looks them up here.
        padding: how convolutions pad the signal, by torch's names.
        pos: positional encoding: `sin` (fixed), `learned`, or `none` (the Transformer does not know the order).

    Raises:
        UsageError: `pos` is none of these.
    """

    picks: Tensor
    positions: Tensor | None

    def __init__(
        self,
        length: int,
        picks: list[int],
        *,
        widths: list[int],
        kernels: list[int],
        layers: int,
        heads: int,
        padding: Literal["zeros", "reflect", "replicate"],
        ffn: int,
        dropout: float,
        pos: Literal["sin", "learned", "none"],
        norm: Literal["pre", "post"],
        attention_dropout: float | None = None,
    ) -> None:
        super().__init__()
        dim = widths[-1]
        self.register_buffer("picks", torch.tensor(picks), persistent=False)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, width, kernel, padding="same", padding_mode=padding)
            for before, width, kernel in zip([len(picks), *widths[:-1]], widths, kernels, strict=True)
        )
        self.cls = nn.Parameter(torch.randn(dim) * 0.02) if layers else None
        if pos == "sin":
            self.register_buffer("positions", sinusoidal_positions(length + 1, dim), persistent=False)
        elif pos == "learned":
            self.positions = nn.Parameter(torch.randn(length + 1, dim) * 0.02)
        elif pos == "none":
            self.positions = None
        else:
            raise UsageError(
                f"no positional encoding is called {pos!r}", where="build.pos", expected="sin, learned, none"
            )
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Layer(dim, heads, ffn, dropout, norm=norm, attention_dropout=attention_dropout) for _ in range(layers)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, T, D), the same mask, and the CLS vector (B, D) as summary, for `x` (B, C, T) and `mask`
        (B, T)."""
        x = x[:, self.picks]
        for convolution in self.convolutions:
            # A bias makes padded samples non-zero, and the next kernel would mix them into valid ones.
            x = torch.relu(convolution(hide(x, mask)))
        if self.cls is None:
            return Tokens(self.dropout(hide(x, mask).transpose(1, 2)), mask)
        x = torch.cat([self.cls.expand(len(x), 1, -1).to(x.dtype), hide(x, mask).transpose(1, 2)], 1)
        if self.positions is not None:
            x = x + self.positions[: x.shape[1]]
        token_mask = None if mask is None else torch.cat([mask.new_ones(len(mask), 1), mask], 1)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, token_mask)
        return Tokens(x[:, 1:], mask, x[:, 0])


class Classifier(nn.Module):
    """Linear, ReLU, dropout, Linear on the tokens' summary, or on their mean if they have none; `hidden` is the layer
    after the ReLU."""

    def __init__(self, dim: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.first, self.dropout, self.last = nn.Linear(dim, hidden), nn.Dropout(dropout), nn.Linear(hidden, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """Return `logits` (B, n) and `hidden` (B, hidden) from the pooled tokens (B, D)."""
        hidden = torch.relu(self.first(tokens.pool()))
        return Output(self.last(self.dropout(hidden)), hidden)
