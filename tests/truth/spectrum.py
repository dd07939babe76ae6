"""A small method from outside the package that can tell subjects apart: the shape of a window's spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View

RECIPE = Recipe(optimiser="adamw", lr=1e-2, epochs=30, batch=32, view=View("window", 10.0, 10.0))
HZ = range(1, 46)


class Spectrum(Encoder):
    """One token: the log power of each channel at each whole Hz. Signals are z-scored per subject, which takes away
    level and scale, but not shape; a vector of features would have lost its subject's mean as well."""

    accepts: ClassVar = frozenset({"eeg", "ecg"})
    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, RECIPE)

    def build(self, spec: InputSpec) -> nn.Module:
        channels, length = spec.shape
        return Network(channels, length / float(spec.rate or 1.0))


class Network(nn.Module):
    def __init__(self, channels: int, seconds: float) -> None:
        super().__init__()
        self.width = round(seconds)  # bins of the transform in one Hz
        self.scale = nn.BatchNorm1d(channels * len(HZ))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        power = torch.fft.rfft(x).abs().square()
        bands = [power[..., hz * self.width : (hz + 1) * self.width].mean(-1) for hz in HZ]
        return Tokens(self.scale(torch.log(torch.stack(bands, -1) + 1e-3).flatten(1))[:, None])
