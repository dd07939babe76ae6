"""Encoder `rocket`: random convolutional kernels, whose maximum and share of positive values are the features.

Dempster, Petitjean and Webb 2020, ROCKET (doi 10.1007/s10618-020-00701-z), written from the paper. Kernels have 7, 9 or
11 weights from N(0, 1), centred, a bias from U(-1, 1), a dilation 2^x with x from U(0, A), where the widest kernel is
as long as the series, and are padded or not. Series are z-normalised. Several channels: each kernel reads a random
subset of them, of a size 2^x with x from U(0, log2(C + 1)), as in the authors' code. The paper's classifier is a
ridge; here it is any estimator, such as `logreg`.

Nothing is fitted: the kernels are drawn from a fixed seed and are the same in all folds, so nothing of a test subject
can enter them. Left open by the paper: the rate and length of the series, which are those of the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View
from embench.signals.resample import resample

LENGTHS = (7, 9, 11)
SEED = 0
FLAT = 1e-8
"""The standard deviation below which a series is flat and has no features."""

PAPER = Recipe(
    lr=1e-3, epochs=20, batch=64, class_weight="balanced", view=View("window", 10.0, 10.0),
    prepare={"kernels": 10_000, "rate_hz": 32.0}, build={"dim": 64},
    assumed=("lr", "epochs", "batch", "view.length_s", "prepare.rate_hz", "build.dim"),
)  # fmt: skip


class Group(NamedTuple):
    """Kernels of one length, dilation and padding: weights (K, C, length), biases (K,)."""

    weight: Tensor
    bias: Tensor
    dilation: int
    padding: int


class Rocket(Encoder):
    """Rows of 2 features a kernel. `prepare.kernels` is their number; `prepare.rate_hz` the rate of the series, if the
    signal's own is not lower; a window of the view is a series. For a network, one linear layer makes them a token."""

    accepts: ClassVar = frozenset({"eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "acc", "hr"})
    offers: ClassVar = frozenset({"features"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": PAPER.replace(prepare={"kernels": 1_000}, assumed=()),
        "quick": PAPER.replace(prepare={"kernels": 100}, epochs=4, assumed=()),
    }

    @property
    def reads(self) -> Literal["signal", "stream", "features", "clips"]:
        """Always `features`."""
        return "features"

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, 2 * kernels) float32: of each kernel the share of positive values, then the maximum. NaN in spans where a
        sample was lost, a channel is flat, or the recording ends before."""
        rate = min(float(self.recipe.prepare["rate_hz"]), signal.rate)
        samples = round(self.recipe.view.length_s * rate)
        x = resample(_bridged(signal.data), signal.rate, rate)
        lost = np.flatnonzero(~np.isfinite(signal.data).all(0)) / signal.rate
        kernels = _kernels(int(self.recipe.prepare["kernels"]), x.shape[0], samples)
        out = np.full((len(spans), 2 * sum(len(group.bias) for group in kernels)), np.nan, np.float32)
        for row, (start, stop) in enumerate(spans):
            at = round(start * rate)
            series = x[:, max(at, 0) : at + samples]
            whole = series.shape[1] == samples and not ((lost >= start) & (lost < stop)).any()
            if whole and (series.std(1) > FLAT).all():
                out[row] = _transform(series, kernels)
        return out

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Names in the order of a feature row."""
        kernels = range(int(self.recipe.prepare["kernels"]))
        return tuple(f"{name}_{k}" for name in ("positive", "max") for k in kernels)

    def build(self, spec: InputSpec) -> nn.Module:
        """One linear layer from the features to a token of width `build.dim`."""
        return Network(spec.shape[0], int(self.recipe.build["dim"]))


class Network(nn.Module):
    """(B, F) -> one token (B, 1, dim). Features come z-scored for each subject; a missing one becomes 0, their mean."""

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """`x` (B, F), NaN where a feature is missing -> one token (B, 1, dim). `mask` is not used."""
        return Tokens(torch.relu(self.linear(x.nan_to_num(0.0).clamp(-10.0, 10.0)))[:, None])


@lru_cache(maxsize=16)
def _kernels(count: int, channels: int, samples: int) -> tuple[Group, ...]:
    """`count` kernels for series (channels, samples), the same for the same arguments."""
    random = np.random.default_rng(SEED)
    drawn: dict[tuple[int, int, int], list[tuple[np.ndarray, float]]] = {}
    fitting = [length for length in LENGTHS if length <= samples]
    for _ in range(count):
        length = int(random.choice(fitting))
        read = int(2 ** random.uniform(0, np.log2(min(channels, length) + 1)))
        weight = np.zeros((channels, length))
        chosen = random.choice(channels, read, replace=False)
        weight[chosen] = random.standard_normal((read, length))
        weight[chosen] -= weight[chosen].mean(1, keepdims=True)
        dilation = int(2 ** random.uniform(0, np.log2(max((samples - 1) / (length - 1), 1.0))))
        padding = (length - 1) * dilation // 2 if random.integers(2) else 0
        drawn.setdefault((length, dilation, padding), []).append((weight, random.uniform(-1, 1)))
    return tuple(
        Group(
            torch.as_tensor(np.stack([weight for weight, _ in group]), dtype=torch.float32),
            torch.as_tensor([bias for _, bias in group], dtype=torch.float32),
            dilation,
            padding,
        )
        for (_, dilation, padding), group in drawn.items()
    )


def _transform(series: np.ndarray, kernels: tuple[Group, ...]) -> np.ndarray:
    """(2 * kernels,) of one series (C, T)."""
    x = torch.as_tensor((series - series.mean(1, keepdims=True)) / series.std(1, keepdims=True))[None]
    answers = [conv1d(x, g.weight, g.bias, dilation=g.dilation, padding=g.padding)[0] for g in kernels]
    positive = torch.cat([(answer > 0).float().mean(1) for answer in answers])
    highest = torch.cat([answer.amax(1) for answer in answers])
    return torch.cat([positive, highest]).numpy()


def _bridged(x: np.ndarray) -> np.ndarray:
    """`x` (C, T) with straight lines over lost samples, so that it can be resampled."""
    at, out = np.arange(x.shape[1]), np.nan_to_num(x)
    for row, there in zip(out, np.isfinite(x), strict=True):
        if there.any():
            row[~there] = np.interp(at[~there], at[there], row[there])
    return out
