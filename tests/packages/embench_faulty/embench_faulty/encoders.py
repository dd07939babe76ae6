"""Encoders, each with one fault."""

from typing import ClassVar

import numpy as np
import torch
from torch import nn

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Tokens
from embench.interfaces.units import View

RECIPE = Recipe(lr=1e-3, epochs=2, view=View("window", 4.0, 4.0))


class Network(nn.Module):
    """One token a sample."""

    def __init__(self, channels):
        super().__init__()
        self.line = nn.Linear(channels, 8)

    def forward(self, x, mask=None):
        x = x if mask is None else x.masked_fill(~mask[:, None], 0.0)
        return Tokens(self.line(x.transpose(1, 2)), mask)


class Good(Encoder):
    accepts: ClassVar = frozenset({"ecg", "eda"})
    recipes: ClassVar = dict.fromkeys(("paper", "small", "quick"), RECIPE)

    def build(self, spec):
        return Network(spec.shape[0])


class NotAnEncoder:
    """Has no base class."""


class WrongShape(Good):
    def build(self, spec):
        class Flat(Network):
            def forward(self, x, mask=None):
                return Tokens(super().forward(x, mask).x.mean(1))

        return Flat(spec.shape[0])


class WritesIntoItsInput(Good):
    def build(self, spec):
        class InPlace(Network):
            def forward(self, x, mask=None):
                x.sub_(x.mean(2, keepdim=True))
                return super().forward(x, mask)

        return InPlace(spec.shape[0])


class LeaksAcrossTheBatch(Good):
    def build(self, spec):
        class OfTheBatch(Network):
            def forward(self, x, mask=None):
                tokens = super().forward(x, mask)
                return Tokens(tokens.x - tokens.x.mean((0, 1)), mask)

        return OfTheBatch(spec.shape[0])


class LeaksBetweenCalls(Good):
    def build(self, spec):
        class Remembers(Network):
            calls = 0

            def forward(self, x, mask=None):
                self.calls += 1
                tokens = super().forward(x, mask)
                return Tokens(tokens.x + self.calls, mask)

        return Remembers(spec.shape[0])


class NoGradient(Good):
    def build(self, spec):
        class Detached(Network):
            def forward(self, x, mask=None):
                return Tokens(super().forward(x, mask).x.detach(), mask)

        return Detached(spec.shape[0])


class SetsTheSeed(Good):
    def build(self, spec):
        torch.manual_seed(0)
        return super().build(spec)


class SetsTheSeedInForward(Good):
    def build(self, spec):
        class Seeded(Network):
            def forward(self, x, mask=None):
                np.random.seed(0)  # noqa: NPY002
                return super().forward(x, mask)

        return Seeded(spec.shape[0])


class DrawsFromNumpy(Good):
    def build(self, spec):
        network = super().build(spec)
        nn.init.constant_(network.line.bias, np.random.standard_normal())  # noqa: NPY002
        return network


class IgnoresTheMask(Good):
    def build(self, spec):
        class All(Network):
            def forward(self, x, mask=None):
                return Tokens(super().forward(x).x, None)

        return All(spec.shape[0])


class PrintsInUse(Good):
    def build(self, spec):
        print("a network of", spec.shape)
        return super().build(spec)


class FixedDevice(Good):
    def build(self, spec):
        class OnTheCpu(Network):
            def forward(self, x, mask=None):
                tokens = super().forward(x, mask)
                return Tokens(tokens.x * torch.ones(8), mask)

        return OnTheCpu(spec.shape[0])


class NotANumber(Good):
    def build(self, spec):
        class Infinite(Network):
            def forward(self, x, mask=None):
                tokens = super().forward(x, mask)
                return Tokens(torch.log(tokens.x - tokens.x.max() - 1), mask)

        return Infinite(spec.shape[0])


class ExitsInUse(Good):
    def build(self, spec):
        raise SystemExit("no GPU")
