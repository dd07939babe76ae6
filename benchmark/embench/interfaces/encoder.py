"""The Encoder interface: from one modality's samples to tokens."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from torch import nn

from embench.interfaces.personal import Personalised
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.renamed import UNTIL
from embench.interfaces.tokens import InputSpec, OutputSpec, TokenSpec

ANY_SIGNAL = frozenset({"any signal"})
"""Value of `accepts` for an encoder that reads every modality but videos, also those that packages add."""


class Encoder(Personalised, ABC):
    """Turns the data of one modality into tokens.

    Class attributes:
        accepts: modality names it can read, or `ANY_SIGNAL`; a joined modality (`ecg+eda`) is accepted when all its
            parts are, by an encoder with features if it offers `joined`.
        min_channels: how many channels its networks need at least; a run on fewer is refused.
        offers: capabilities that others may need: `token_per_sample`, `summary`; `features` where estimators are to
            be fitted on those, and not on the hidden layer of a fitted network; `joined` where features can be of
            several modalities at once.
        keeps_unit: the signals, or streams, that its networks read come in their physical unit (µV, µS, ...), not
            z-scored by the protocol. Rows with such an input are ranked among each other only.
        libraries: distributions, beside torch, numpy and scikit-learn, that compute its numbers: their versions are
            part of a stage's id.
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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "alike" in vars(cls):
            warnings.warn(
                f"{cls.__qualname__}.alike is called shared_axes now; embench {UNTIL} no longer reads the old name",
                DeprecationWarning,
                stacklevel=3,  # past `ABCMeta.__new__`, to the line of the class
            )
            cls.shared_axes = vars(cls)["alike"]  # type: ignore[method-assign]

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @property
    def reads(self) -> Literal["signal", "stream", "features", "clips"]:
        """Content of a batch: windows of the prepared signal (`signal`), of the output of `stream` (`stream`), rows of
        `features` (`features`), or frames of a video (`clips`).

        With `clips`, `recipe.prepare` holds `frames_hz` (frames a second, at the times k / frames_hz of the recording),
        `size` (pixels, of a square), `crop` (`large`: a square around the face, 1.6 times the longer side of its box;
        `tight`: 1 time; `none`: the frame's central square) and `clip_s` (a crop stays where it is for so many
        seconds; default 4). The module gets uint8 RGB (B, T, 3, size, size), which it scales itself, and the mask
        (B, T) of frames that were seen.
        """
        return "signal"

    def assets(self) -> tuple[Path, ...]:
        """Files that its networks start from, such as weights: their content is part of a stage's id. Asked for when a
        run is planned, so that a missing one is reported before anything is trained."""
        return ()

    @classmethod
    def known_weights(cls) -> Mapping[str, PretrainingData]:
        """The weights that a recipe may name, by that name, with what is known of them; for readers."""
        return {}

    def pretraining_data(self) -> PretrainingData | None:
        """The data that the weights of its `assets()` have seen; None where there are none, or nothing is known."""
        return None

    def check_input(self, modality: str, channels: tuple[str, ...], rate: float) -> None:
        """Refuses a dataset's signals that it cannot read, when a run is planned; by default none.

        Args:
            modality: as the run names it. channels: the names of those that are read, in order.
            rate: Hz, as the release holds it; NaN where it differs from recording to recording.

        Raises:
            UsageError: what is missing, such as electrodes.
        """

    def network_channels(self, modality: str, channels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Channels of its network, in their order -> those of a signal that each is made of; by default a signal's own
        `channels`. Raises UsageError where it cannot read them."""
        return {name: (name,) for name in channels}

    def stream(self, signal: Signal) -> Signal:
        """A recording's signal as this encoder wants it, at any rate; stored once, then sliced by time."""
        return signal

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, *shape) float32 for `spans` (n, 2) in s of one recording; NaN where there is nothing to compute. Raises
        NotImplementedError unless the encoder overrides it."""
        raise NotImplementedError(f"{type(self).__name__} computes no features")

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the values of a feature vector, for readers of results."""
        return ()

    def shared_axes(self, modality: str) -> tuple[int, ...]:
        """Axes, counted from the end, along which the values of a feature row are one quantity, as the positions of a
        series are: each subject's are standardised together. By default every value is standardised by itself."""
        return ()

    def fit_stats(self, x: np.ndarray, mask: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """Statistics over the fold's training subjects' rows `x` (n, *shape), of samples where `mask` (n, T) is True;
        handed to `build` in `spec.stats`, to be kept as buffers and applied in `forward`."""
        return {}

    @abstractmethod
    def build(self, spec: InputSpec) -> nn.Module:
        """A module `(x (B, *shape), mask (B, T) | None) -> Tokens`.

        What it may have, and must where it is true of it:

        - `picks`, where it reads some of a signal's channels and not the others: an integer tensor (k,) of positions in
          `spec.channels`, each once, in the order in which they are read; best a buffer with `persistent=False`. The
          manifest of its weights then names those channels, weights move to a dataset that has them, and pretext tasks
          ask for no other. Without it, all channels are read.
        - `layers_in_order()`, for a recipe's `layer_decay`: its parts from the input to the output.
        """

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """The classifier of its paper, `Tokens -> Output`; by default LayerNorm and Linear on `pooled()`."""
        from embench.nn import Head

        return Head(tokens.dim, outputs.size)
