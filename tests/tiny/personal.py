"""Networks and estimators that adapt to a subject: one that does it well, and others that misbehave in one way each."""

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from embench import registry
from embench.interfaces.recipe import PRESETS
from embench_plugins.fusions.classical import LogReg

TINY = Path(__file__).with_name("plugins.py")
PoolNetwork = sys.modules[registry.load_plugin("encoder", f"{TINY}:Pool").__module__].PoolNetwork


class Pool(registry.load_plugin("encoder", f"{TINY}:Pool")):
    """Reads one modality, and nothing where nothing was recorded."""

    accepts = frozenset({"ecg"})

    def build(self, spec):
        return Masked(spec.shape[0], int(self.recipe.build["dim"]))


class Masked(PoolNetwork):
    def forward(self, x, mask=None):
        return super().forward(x if mask is None else x * mask[:, None], mask)


class Normalised(Pool):
    """Has batch normalisation, whose statistics it takes from what a subject gives, with labels or without."""

    personalises = "normalisation"
    recipes = dict.fromkeys(PRESETS, Pool.recipes["quick"])

    def build(self, spec):
        return NormalisedNetwork(spec.shape[0], int(self.recipe.build["dim"]))

    def personalise(self, network, units, labels):
        layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm1d)]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over batches, of which there is one
            layer.train()
        with torch.no_grad():
            network(units)


class NormalisedNetwork(Masked):
    def __init__(self, channels, dim):
        super().__init__(channels, dim)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x, mask=None):
        return super().forward(self.norm(x), mask)


def raise_bias(network, by):
    for name, parameter in network.named_parameters():
        if name.endswith("bias") and "head" in name.split("."):
            parameter.data += by


class Adapting(Pool):
    """Raises the bias of the head by the share of high labels; honest."""

    def personalise(self, network, units, labels):
        raise_bias(network, 0.0 if labels is None else float(labels.mean()))


class ByArrival(Pool):
    """The same for everyone who came before, too: remembered by the class."""

    before: ClassVar[list[float]] = []

    def personalise(self, network, units, labels):
        self.before.append(1.0)
        raise_bias(network, float(len(self.before)))


class ByArrivalInAFold(Pool):
    """The same for everyone of the network's own fold, which it tells by its weights."""

    before: ClassVar[dict[bytes, int]] = {}

    def personalise(self, network, units, labels):
        weights = next(network.parameters()).detach().numpy().tobytes()
        self.before[weights] = 1 + self.before.get(weights, 0)
        raise_bias(network, float(self.before[weights]))


class OnItself(Pool):
    """Remembers in itself who came before, and in the network."""

    def personalise(self, network, units, labels):
        network.before = self.before = 1 + max(getattr(self, "before", 0), getattr(network, "before", 0))
        raise_bias(network, float(self.before))


class TooMuch(Pool):
    """Says that it changes the head, and changes all."""

    def personalise(self, network, units, labels):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.1)


class OtherNetwork(Pool):
    """Takes a layer away."""

    personalises = "all"

    def personalise(self, network, units, labels):
        for part in list(network.modules()):
            if isinstance(part, PoolNetwork):
                part.mix = nn.Identity()


class BatchStatistics(Normalised):
    """Lets normalisation go on in training mode, so that it is by the rows that are predicted together."""

    personalises = "all"

    def personalise(self, network, units, labels):
        for part in network.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.track_running_stats, part.running_mean, part.running_var = False, None, None
        network.train()
        network.eval = lambda: network


class Unheard(Pool):
    """Names a part that nobody knows."""

    personalises = "everything"

    def personalise(self, network, units, labels):
        """Leaves all as it is."""


class ByOneLabel(Pool):
    """Can't do without labels."""

    def personalise(self, network, units, labels):
        raise_bias(network, float(labels.mean()))


class RemembersSubjects(LogReg):
    """Fits to all labels that any subject gave so far."""

    given: ClassVar[list[tuple[np.ndarray, np.ndarray]]] = []

    def personalise(self, units, labels, rows, strength):
        if labels is None:
            return self
        self.given.append((units, labels))
        everything = (np.concatenate(part) for part in zip(*self.given, strict=True))
        return super().personalise(*everything, rows, 64.0)


class ChangesItself(LogReg):
    """Is fitted anew in place, on rows to which it adds the subject's for good."""

    def personalise(self, units, labels, rows, strength):
        if labels is None:
            return self
        rows.y[: len(labels)] = labels
        rows.X[: len(units)] = units
        self.fit(*rows)
        return self


class FitsItself(LogReg):
    """Is fitted anew in place, to other rows."""

    def personalise(self, units, labels, rows, strength):
        if labels is not None:
            everything = np.concatenate([rows.X, units]), np.concatenate([rows.y, labels])
            self.fit(*everything, np.full(len(everything[1]), "all"), np.ones(len(everything[1])))
        return self


class Neglects(LogReg):
    """Gives no estimator back."""

    def personalise(self, units, labels, rows, strength):
        return None
