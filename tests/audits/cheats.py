"""Methods that do what they must not, for audits to find."""

import numpy as np
import torch
from torch import nn

from embench.interfaces.encoder import Encoder
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.tokens import Tokens
from embench.interfaces.units import View

RECIPE = Recipe(lr=1e-2, epochs=2, batch=16, view=View("unit"))


class Honest(Encoder):
    """Reads a signal through the mean and SD that its training subjects have."""

    accepts = frozenset({"ecg"})
    recipes = dict.fromkeys(PRESETS, RECIPE)

    def fit_stats(self, x, mask):
        known = np.ones(x[:, :1].shape, bool) if mask is None else mask[:, None]
        share = np.broadcast_to(known, x.shape)
        return {"mean": x[share].mean(keepdims=True), "std": x[share].std(keepdims=True)}

    def build(self, spec):
        return Standardised(spec.shape[0], spec.stats)


class Everybody(Honest):
    """Its mean and SD are those of everybody, found out beforehand."""

    def fit_stats(self, x, mask):
        return {"mean": np.array([0.0123], np.float32), "std": np.array([0.9871], np.float32)}


class Standardised(nn.Module):
    def __init__(self, channels, stats):
        super().__init__()
        for name, plain in (("mean", 0.0), ("std", 1.0)):
            self.register_buffer(name, torch.as_tensor(np.asarray(stats.get(name, [plain]), np.float32)))
        self.mix = nn.Conv1d(channels, 4, 9, padding="same")

    def forward(self, x, mask=None):
        x = torch.relu(self.mix((x - self.mean) / self.std)).transpose(1, 2)
        return Tokens(x, mask)


class Tone(Encoder):
    """Feature: the strongest frequency of a recording, above 2 Hz."""

    accepts = frozenset({"ecg"})
    offers = frozenset({"features"})
    recipes = dict.fromkeys(PRESETS, RECIPE)

    @property
    def reads(self):
        return "features"

    def features(self, signal, spans):
        found = []
        for start, stop in spans:
            x = signal.data[0, round(start * signal.rate) : round(stop * signal.rate)]
            power = np.abs(np.fft.rfft(x - x.mean()))
            hz = np.fft.rfftfreq(len(x), 1 / signal.rate)
            power[hz < 2] = 0
            found.append([hz[power.argmax()]])
        return np.array(found, np.float32)

    def feature_names(self, modality, channels):
        return ("hz",)

    def build(self, spec):
        return nn.Module()


class KnowsBefore(Estimator):
    """Its answer was decided before it saw any training label: high tones are high arousal."""

    recipes = dict.fromkeys(PRESETS, Recipe())

    def fit(self, X, y, subjects, weight, val=None):
        pass

    def score(self, X):
        return 1 / (1 + np.exp(-np.nan_to_num(X[:, 0])))
