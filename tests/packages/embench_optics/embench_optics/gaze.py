from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.encoder import ANY_SIGNAL, Encoder
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View

QUICK = Recipe(lr=1e-3, epochs=1, class_weight="balanced", view=View("window", 10.0, 10.0))


class Gaze(Encoder):
    """Mean and size of each second."""

    accepts: ClassVar = ANY_SIGNAL
    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, QUICK)

    def build(self, spec: InputSpec) -> nn.Module:
        return Seconds(spec.shape[0], round(spec.rate or 1))


class Strict(Gaze):
    accepts: ClassVar = frozenset({"pupil"})


class Seconds(nn.Module):
    def __init__(self, channels: int, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.linear = nn.Linear(2 * channels, 8)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        rows, channels, length = x.shape
        seconds = length // self.samples
        x = x if mask is None else x.masked_fill(~mask[:, None], 0.0)
        x = x[:, :, : seconds * self.samples].reshape(rows, channels, seconds, self.samples)
        there = None
        if mask is not None:
            there = mask[:, : seconds * self.samples].reshape(rows, seconds, self.samples).any(2)
        both = torch.cat([x.mean(3), x.square().mean(3)], 1)
        return Tokens(torch.relu(self.linear(both.transpose(1, 2))), there)
