"""The interface of converters: what other code has trained, in the names of embench's networks or of a library's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """A file of tensors that other code wrote: their names, the SHA-256 of the file, and where it lies."""

    tensors: Mapping[str, Tensor]
    sha256: str
    path: Path


@dataclass(frozen=True)
class Seen:
    """Training data of weights: a dataset, a description, its licence, and `none` or `source` for the use of its
    labels. Its subjects are not known by name."""

    dataset: str
    title: str
    licence: str
    labels: str = "none"


@dataclass(frozen=True)
class Conversion:
    """Weights after conversion.

    Args:
        layout: whose format the file had, for readers.
        tensors: by the names that they have in the network that they are for.
        encoders: modality -> name of the encoder plugin, for weights that `--pretrained` takes, with `fusion` where its
            weights are among them, `pretrainer` where there is one of the task, and the `recipe` that sizes them.
        config: of a library's network, for weights that a field of a recipe (`setting`) takes.
        seen: what they were trained on; empty where that is not known.
    """

    layout: str
    tensors: Mapping[str, Tensor]
    encoders: Mapping[str, str] = field(default_factory=dict)
    fusion: str | None = None
    pretrainer: str | None = None
    recipe: str = "paper"
    config: Mapping[str, Any] | None = None
    setting: str | None = None
    seen: tuple[Seen, ...] = ()


class Converter(Protocol):
    """`converter: module:function` of an encoder or pretrainer in `registry.yaml` names it."""

    def __call__(self, checkpoint: Checkpoint) -> Conversion | None:
        """The conversion of a checkpoint, None where it has another layout.

        Raises:
            DataError: it has the layout, but lacks something or has other shapes.
        """
