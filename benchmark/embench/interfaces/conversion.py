"""The Converter interface: from a checkpoint of other code to the weights of embench's or a library's networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """A file of tensors written by other code: their names, the SHA-256 of the file, and its path."""

    tensors: Mapping[str, Tensor]
    sha256: str
    path: Path


@dataclass(frozen=True)
class SeenData:
    """Training data of weights: name of a dataset, title, licence, and whether its labels were used (`source`) or not
    (`none`). Which of its subjects were used is unknown."""

    dataset: str
    title: str
    licence: str
    labels: str = "none"


@dataclass(frozen=True)
class Conversion:
    """Weights after conversion.

    Args:
        layout: name of the file's format, for readers.
        tensors: weights by their names in the target network.
        encoders: modality -> name of the encoder plugin that loads the weights. If there is any, `--pretrained` takes
            the weights; if there is none, they are a library's network, and the recipe field `setting` takes them.
        fusion: name of the fusion plugin, if the weights include a fusion's.
        pretrainer: name of the plugin for the pretext task on which the weights were trained, if there is one.
        recipe: name of the recipe with the network's sizes.
        config: content of the `config.json` of a library's network; None for other networks.
        setting: recipe field that takes the folder of a library's network; None for `encoder.build.weights`.
        seen: training data of the weights; empty if unknown."""

    layout: str
    tensors: Mapping[str, Tensor]
    encoders: Mapping[str, str] = field(default_factory=dict)
    fusion: str | None = None
    pretrainer: str | None = None
    recipe: str = "paper"
    config: Mapping[str, Any] | None = None
    setting: str | None = None
    seen: tuple[SeenData, ...] = ()


class Converter(Protocol):
    """A converter of checkpoints, named by `converter: module:function` of an encoder or pretrainer in
    `registry.yaml`."""

    def __call__(self, checkpoint: Checkpoint) -> Conversion | None:
        """Return the conversion of a checkpoint; None if it has another layout.

        Raises:
            DataError: it has this layout, but lacks tensors or has other shapes."""
