"""Plugins that remember what they must not, and plugins whose answers have another shape than they should."""

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from embench import registry
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import Tokens
from embench.nn import Head
from embench_plugins.fusions.classical import LogReg
from embench_plugins.fusions.concat import Concat
from embench_plugins.pretrainers.masked_value import MaskedValue

TINY = Path(__file__).with_name("plugins.py")
Pool, Moments = (registry.load_plugin("encoder", f"{TINY}:{name}") for name in ("Pool", "Moments"))
PoolNetwork = sys.modules[Pool.__module__].PoolNetwork


class Honest(LogReg):
    """A logistic regression from outside."""


class Ranks(LogReg):
    """Predicts a row's rank among the rows of its batch, and remembers it for when the row comes alone."""

    seen: ClassVar[dict[bytes, float]] = {}

    def score(self, X):
        p = super().score(X)
        if len(X) > 1:
            ranks = p.argsort().argsort() / len(p)
            self.seen.update({row.tobytes(): rank for row, rank in zip(X, ranks, strict=True)})
            return ranks
        return np.array([self.seen.get(row.tobytes(), value) for row, value in zip(X, p, strict=True)])


class Centred(Moments):
    """Features less the mean of all recordings so far."""

    before: ClassVar[list[float]] = []

    def features(self, signal, spans):
        self.before.append(float(signal.data.mean()))
        return super().features(signal, spans) - np.float32(np.mean(self.before))


class Whitened(Moments):
    """Features less their mean over the segments that are asked for."""

    def features(self, signal, spans):
        found = super().features(signal, spans)
        return found - found.mean(0)


class Drifting(Pool):
    """A stream that grows with every recording."""

    calls: ClassVar[list[int]] = []

    @property
    def reads(self):
        return "stream"

    def stream(self, signal):
        self.calls.append(1)
        return Signal(signal.data + np.float32(len(self.calls)), signal.rate, signal.channels, signal.unit)


# Answers of a wrong shape.


class TwoColumns(LogReg):
    def score(self, X):
        return np.stack([super().score(X)] * 2, 1)


class OneForAll(LogReg):
    def score(self, X):
        return super().score(X)[:1]


class Texts(LogReg):
    def score(self, X):
        return ["high"] * len(X)


class BareTensor(Pool):
    def build(self, spec):
        return Bare(spec.shape[0])


class Bare(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.mix = nn.Conv1d(channels, 4, 9, padding="same")

    def forward(self, x, mask=None):
        return self.mix(x).transpose(1, 2)


class Flat(Pool):
    def build(self, spec):
        return FlatNetwork(spec.shape[0], int(self.recipe.build["dim"]))


class FlatNetwork(PoolNetwork):
    def forward(self, x, mask=None):
        return Tokens(super().forward(x, mask).x.mean(1))


class HalfTheRows(Pool):
    def build(self, spec):
        return HalfNetwork(spec.shape[0], int(self.recipe.build["dim"]))


class HalfNetwork(PoolNetwork):
    def forward(self, x, mask=None):
        tokens = super().forward(x, mask)
        return tokens if len(x) < 3 else Tokens(tokens.x[::2], None if mask is None else mask[::2], tokens.summary[::2])


class NoModule(Pool):
    def build(self, spec):
        return None


class NoFigures(Pool):
    def fit_stats(self, x, mask):
        return [1.0]


class WideHead(Pool):
    def head(self, tokens, outputs):
        return Head(tokens.dim, outputs.size + 1)


class WideFusion(Concat):
    def build(self, tokens, outputs):
        return Wide(super().build(tokens, outputs))


class Wide(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.head = inner, nn.Identity()

    def forward(self, tokens, present):
        made = self.inner(tokens, present)
        return made._replace(logits=torch.cat([made.logits, made.logits], 1))


class BareFusion(Concat):
    def build(self, tokens, outputs):
        return BareOutput(super().build(tokens, outputs))


class BareOutput(Wide):
    def forward(self, tokens, present):
        return self.inner(tokens, present).logits


class FlatFeatures(Moments):
    def features(self, signal, spans):
        return np.repeat(super().features(signal, spans), 2, axis=0)


class NoNumbers(Moments):
    def features(self, signal, spans):
        return [["a"]] * len(spans)


class FlatStream(Pool):
    @property
    def reads(self):
        return "stream"

    def stream(self, signal):
        return Signal(signal.data[0], signal.rate, signal.channels, signal.unit)


class NoSignal(FlatStream):
    def stream(self, signal):
        return signal.data


class NoObjective(MaskedValue):
    def objective(self, model, inputs, outputs):
        return {}


class NoLoss(MaskedValue):
    def objective(self, model, inputs, outputs):
        return OnlyLoss(super().objective(model, inputs, outputs))


class OnlyLoss(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, batch):
        return self.inner(batch)[0]
