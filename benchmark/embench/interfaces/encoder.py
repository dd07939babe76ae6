"""The Encoder interface: from one modality's samples to tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from torch import nn

from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, OutputSpec, TokenSpec


class Encoder(ABC):
    """Turns what one modality recorded into tokens.

    Class attributes:
        accepts: modality names it can read; a joined modality (`ecg+eda`) is accepted when all its parts are, by an
            encoder with features if it offers `joined`.
        offers: capabilities that others may need: `token_per_sample`, `summary`; `features` where estimators are to
            be fitted on those, and not on the hidden layer of a fitted network; `joined` where features can be of
            several modalities at once.
        recipes: a recipe for each preset.
    """

    accepts: ClassVar[frozenset[str]]
    offers: ClassVar[frozenset[str]] = frozenset()
    recipes: ClassVar[Mapping[str, Recipe]]

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @property
    def reads(self) -> Literal["signal", "stream", "features"]:
        """Whether windows are cut from the prepared signal, from what `stream` makes, or come from `features`."""
        return "signal"

    def stream(self, signal: Signal) -> Signal:
        """A recording's signal as this encoder wants it, at any rate; stored once, then sliced by time."""
        return signal

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, *shape) float32 for `spans` (n, 2) in s of one recording; NaN where there is nothing to compute."""
        raise NotImplementedError(f"{type(self).__name__} computes no features")

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """What the values of a feature vector are, for people who read them."""
        return ()

    def alike(self, modality: str) -> tuple[int, ...]:
        """Axes, counted from the end, along which the values of a feature row are one quantity, as the positions of a
        series are: each person's are standardised together. By default every value is standardised by itself."""
        return ()

    def fit_stats(self, x: np.ndarray, mask: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """Statistics over the fold's training people's rows `x` (n, *shape), of samples where `mask` (n, T) is True;
        handed to `build` in `spec.stats`, to be kept as buffers and applied in `forward`."""
        return {}

    @abstractmethod
    def build(self, spec: InputSpec) -> nn.Module:
        """A module `(x (B, *shape), mask (B, T) | None) -> Tokens`."""

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """The classifier of its paper, `Tokens -> Output`; by default LayerNorm and Linear on `pooled()`."""
        from embench.nn import Head

        return Head(tokens.dim, outputs.size)
