"""The Encoder interface: from one modality's samples to tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from torch import nn

from embench.interfaces.personal import Personalised
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, OutputSpec, TokenSpec

ANY_SIGNAL = frozenset({"any signal"})
"""Value of `accepts` for an encoder that reads every modality except videos, including those that packages add."""


class Encoder(Personalised, ABC):
    """Converts the data of one modality into tokens.

    Class attributes:
        accepts: names of the modalities it can read, or `ANY_SIGNAL`. A joined modality (`ecg+eda`) is accepted if all
            parts are; an encoder with features must also offer `joined`.
        min_channels: least number of channels for its networks; a run with fewer is refused.
        offers: capabilities that other plugins may need: `token_per_sample`, `summary`; `features` if estimators are
            fitted to its features instead of a fitted network's hidden layer; `joined` if features can combine several
            modalities.
        keeps_unit: True if its networks read signals, or streams, in their measurement unit (µV, µS, ...), not z-scored
            by the protocol. Such methods are ranked separately.
        libraries: distributions besides torch, numpy and scikit-learn that affect its numbers: their versions are part
            of a stage's id.
        recipes: a recipe for each preset.

    >>> from embench.interfaces.tokens import Tokens
    >>> class Samples(nn.Module):
    ...     def forward(self, x, mask):  # (B, C, T), (B, T)
    ...         return Tokens(x.transpose(1, 2), mask)
    >>> class Raw(Encoder):  # a token a sample
    ...     accepts = frozenset({"eda"})
    ...     recipes = dict.fromkeys(("paper", "small", "quick"), Recipe())
    ...     def build(self, spec):
    ...         return Samples()
    >>> from embench.testing.require import rows
    >>> raw = Raw(Raw.recipes["quick"])
    >>> sample = rows(raw, "eda", n=3)
    >>> raw.build(sample.spec)(*sample.tensors()).x.shape
    torch.Size([3, 1280, 1])
    """

    accepts: ClassVar[frozenset[str]]
    min_channels: ClassVar[int] = 1
    keeps_unit: ClassVar[bool] = False
    offers: ClassVar[frozenset[str]] = frozenset()
    libraries: ClassVar[tuple[str, ...]] = ()
    recipes: ClassVar[Mapping[str, Recipe]]

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @property
    def reads(self) -> Literal["signal", "stream", "features", "clips"]:
        """Content of a batch: windows of the prepared signal (`signal`), windows of the output of `stream` (`stream`),
        rows of `features` (`features`), or frames of a video (`clips`).

        With `clips`, `recipe.prepare` has four keys. `frames_hz`: frames per second, at the times k / frames_hz of the
        recording. `size`: width and height in pixels. `crop`: `large` (a square around the face, 1.6 times the longer
        side of its box), `tight` (1 time), or `none` (the frame's central square). `clip_s`: seconds for which a crop
        stays where it is; default 4. The module gets uint8 RGB (B, T, 3, size, size), which it scales itself, and the
        mask (B, T) of frames that were seen."""
        return "signal"

    def assets(self) -> tuple[Path, ...]:
        """Return the files that its networks start from, such as weights; their content is part of a stage's id. Called
        when a run is planned, so that a missing file is reported before training."""
        return ()

    @classmethod
    def known_weights(cls) -> Mapping[str, PretrainingData]:
        """Return the weights that a recipe may name, with their known training data; for readers."""
        return {}

    def pretraining_data(self) -> PretrainingData | None:
        """Return the training data of the weights in `assets()`; None if there are none, or nothing is known."""
        return None

    def check_input(self, modality: str, channels: tuple[str, ...], rate: float) -> None:
        """Refuse signals that the encoder cannot read, when a run is planned; by default it accepts all.

        Args:
            modality: its name in the run.
            rate: rate in Hz at which the protocol prepares the signal.

        Raises:
            UsageError: names what is missing, such as electrodes."""

    def network_channels(self, modality: str, channels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Return channel of the network -> names of the signal's channels from which it is made, in the network's
        order. By default these are `channels`. Raises UsageError if the network cannot read them."""
        return {name: (name,) for name in channels}

    def stream(self, signal: Signal) -> Signal:
        """Return a recording's signal in the encoder's form, at any rate. It is stored once, then cut into windows."""
        return signal

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return features (n, *shape), float32, of the `spans` (n, 2) of one recording, from start to stop in s; NaN
        where undefined. Raises NotImplementedError unless the encoder overrides it."""
        raise NotImplementedError(f"{type(self).__name__} computes no features")

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return names of the values of a feature vector, for readers of results."""
        return ()

    def shared_axes(self, modality: str) -> tuple[int, ...]:
        """Return axes, counted from the end, along which values are one quantity, such as the positions of a series.
        They are standardised together along these axes, per subject; by default, each value is standardised alone."""
        return ()

    def fit_stats(self, x: np.ndarray, mask: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """Return statistics of the rows `x` (n, *shape) of training subjects; samples count where `mask` (n, T) is
        True. `build` receives them in `spec.stats`, to keep as buffers and apply in `forward`."""
        return {}

    @abstractmethod
    def build(self, spec: InputSpec) -> nn.Module:
        """Return a module `(x (B, *shape), mask (B, T) | None) -> Tokens`.

        If the network reads only some channels of a signal, the module needs an attribute `picks`: an integer tensor
        (k,) of distinct positions in `spec.channels`, in reading order, preferably a buffer with `persistent=False`.
        The manifest of its weights then names these channels, weights can move to another dataset with them, and
        pretext tasks use only them. Without `picks`, all channels are read."""

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return the classifier of the paper, `Tokens -> Output`; by default LayerNorm and Linear on `pooled()`."""
        from embench.nn import Head

        return Head(tokens.dim, outputs.size)
