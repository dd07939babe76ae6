"""Encoders of the small datasets that know what their weights saw, and one that reads its signals in their unit."""

from pathlib import Path

from torch import nn

from embench.errors import UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.tokens import Tokens
from embench.interfaces.units import View
from embench_plugins import pretrained

RECIPE = Recipe(epochs=1, view=View("window", 4.0, 4.0), build={"file": "", "saw": "", "others": "none"})


class Mean(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.mix = nn.Linear(channels, 2)

    def forward(self, x, mask=None):
        return Tokens(self.mix(x.mean(2, keepdim=True).transpose(1, 2)))


class Knowing(Encoder):
    """Its weights saw of the tested people what `build.saw` says."""

    accepts = frozenset({"ecg", "eda"})
    recipes = dict.fromkeys(PRESETS, RECIPE)

    def assets(self):
        return (Path(self.recipe.build["file"]),)

    def pretraining_data(self):
        saw, others = self.recipe.build["saw"], self.recipe.build["others"]
        if not saw:
            return None
        return PretrainingData("lab/net", "MIT", "https://example.org", saw={"Tiny": saw}, others=others)

    def build(self, spec):
        return Mean(spec.shape[0])


class InItsUnit(Knowing):
    """Rests on nothing, and reads signals as they were measured."""

    keeps_unit = True

    def assets(self):
        return ()


class Streamed(InItsUnit):
    """Reads what it streams."""

    @property
    def reads(self):
        return "stream"


class Picky(InItsUnit):
    """Needs a channel that no small dataset has."""

    def check_input(self, modality, channels, rate):
        raise UsageError(f"no electrode Cz among {', '.join(channels)} of {modality} at {rate:g} Hz")


class Doored(Encoder):
    """Starts from weights that come in by the door."""

    accepts = Knowing.accepts
    recipes = dict.fromkeys(PRESETS, RECIPE.replace(build=pretrained.BUILD))

    def assets(self):
        return pretrained.find_assets(self.recipe, "twin")

    def pretraining_data(self):
        return pretrained.find_data(self.recipe, "twin")

    def build(self, spec):
        net, files = Mean(spec.shape[0]), self.assets()
        if files:
            pretrained.fill(net, files, "twin")
        return net
