"""Plugins of films, in a file of their own: a small dataset, an encoder of clips and a pretext task for it."""

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.encoder import Encoder
from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.recording import VIDEO_CHANNELS, Label, Recording, Signal, Video
from embench.interfaces.tokens import Tokens
from embench.interfaces.units import LabelRule, Target, View


class Filmed(Dataset):
    """One `.json` a subject, as `filmed.recording` makes it, and the films that it names."""

    card = Card(
        name="filmed",
        title="Filmed",
        citation="nobody",
        doi="",
        licence="MIT",
        obtain="write it yourself",
        modalities={"eda": ModalityCard(("eda",), 16.0, "uS"), "video": ModalityCard(VIDEO_CHANNELS, 25.0, "pixel")},
        default_modalities=("eda", "video"),
        targets=(Target("arousal", "binary", LabelRule(cut=5.0), "arousal", scale=(1.0, 9.0)),),
        mains_hz=50.0,
        longest_s=40.0,
        labels_public="yes",
        fixed_order=False,
    )

    def subjects(self):
        found = sorted(path.stem for path in self.root.glob("*.json"))
        if not found:
            raise DataError("no file of this dataset is here", where=str(self.root), expected="p00.json and so on")
        return found

    def files(self, subject):
        films = [about["film"] for about in self._about(subject) if about["film"]]
        named = [film[key] for film in films for key in ("file", "boxes") if film[key]]
        return [self.root / f"{subject}.json", *(self.root / name for name in named)]

    def recordings(self, subject):
        for about in self._about(subject):
            film = about["film"]
            yield Recording(
                about["id"],
                subject,
                about["stimulus"],
                "s1",
                about["seconds"],
                subject,
                None,
                None,
                signals={"eda": Signal(np.float32([about["eda"]]), 16.0, ("eda",), "uS")} if about["eda"] else {},
                video=film
                and Video(
                    self.root / film["file"],
                    25.0,
                    tuple(film["span"]),
                    self.root / film["boxes"] if film["boxes"] else None,
                ),
                labels={"arousal": Label("rating", np.array([about["arousal"]]))},
            )

    def _about(self, subject):
        return json.loads((self.root / f"{subject}.json").read_text())


class Other(Filmed):
    """Another dataset of the same kind."""

    card = replace(Filmed.card, name="other")


RECIPE = Recipe(
    lr=1e-2,
    epochs=2,
    batch=8,
    view=View("window", 4.0, 4.0),
    prepare={"frames_hz": 5.0, "size": 8, "crop": "none", "clip_s": 4.0},
    build={"dim": 4},
)


class Watch(Encoder):
    """One token a frame, of its mean colour."""

    accepts: ClassVar = frozenset({"video"})
    recipes: ClassVar = dict.fromkeys(PRESETS, RECIPE)

    @property
    def reads(self):
        return "clips"

    def build(self, spec):
        assert spec.dtype == torch.uint8
        return WatchNetwork(int(self.recipe.build["dim"]))


class WatchAll(Watch):
    """Says that it reads signals too."""

    accepts: ClassVar = frozenset({"video", "eda"})


class WatchNetwork(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.mix, self.dropout = nn.Linear(3, dim), nn.Dropout(0.2)

    def forward(self, x, mask=None):
        return Tokens(torch.tanh(self.mix(self.dropout(x.float().mean((3, 4)) / 255))), mask)


class Brightness(Pretrainer):
    """How bright is the clip?"""

    needs_input: ClassVar = frozenset({"clips"})
    recipes: ClassVar = dict.fromkeys(PRESETS, Recipe(epochs=2, batch=8))

    def objective(self, model, inputs, outputs):
        return BrightnessObjective(model)


class BrightnessObjective(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.head = model, nn.Linear(model.specs["video"].dim, 1)

    def forward(self, batch):
        x, mask = batch.x["video"], batch.mask["video"]
        tokens = self.model.encoders["video"](x, mask)
        there = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        bright = (x.float().mean((2, 3, 4)) / 255 * there).sum(1) / there.sum(1)
        loss = (self.head(tokens.pool())[:, 0] - bright).square().mean()
        return loss, {"error": loss.detach().sqrt()}
