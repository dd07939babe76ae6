"""Encoder `timm_frames`: an image network over single frames, with one token for each frame; the head reads their mean.

The cheap baseline for networks of video: it sees no motion. `build.model` names any network of timm; `build.weights` is
`random`, a `.safetensors` file, a folder with one, or OWNER/NAME@COMMIT on the Hugging Face hub. It is not from a
paper: all of the recipe `paper` is assumed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from embench.errors import DataError, UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View
from embench_plugins import pretrained, torchvision_shim

PAPER = Recipe(
    optimiser="adamw", lr=1e-4, weight_decay=0.05, schedule="cosine", warmup=1, epochs=10, batch=16,
    view=View("window", 4.0, 4.0),
    prepare={"frames_hz": 1, "size": 224, "crop": "large", "clip_s": 4},
    build={"model": "resnet18", "weights": pretrained.RANDOM},
    assumed=("optimiser", "lr", "weight_decay", "schedule", "warmup", "epochs", "batch", "selection", "class_weight",
             "view", "prepare", "build.model", "build.weights"),
)  # fmt: skip

# From a few hundred clips, a network that sees hair and room learns to recognise the trial: hence the tight crop.
# timm's smallest Transformer is used because convolutions memorise every trial within six epochs.
SMALL = PAPER.replace(
    lr=1e-3, batch=32, epochs=10, clip=1.0, class_weight="balanced", assumed=(),
    prepare={"size": 32, "crop": "tight"}, build={"model": "test_vit"},
)  # fmt: skip


class TimmFrames(Encoder):
    """Tokens (B, T, D), one for each frame; D is the number of the network's features."""

    reads: ClassVar[Literal["clips"]] = "clips"
    accepts: ClassVar = frozenset({"video"})
    libraries: ClassVar = ("timm",)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=4, view=View("window", 4.0, 20.0)),
    }

    def assets(self) -> tuple[Path, ...]:
        """Return the files of `build.weights`, with a warning if it is `random`."""
        found = pretrained.find_files(str(self.recipe.build["weights"]))
        if not found:
            warnings.warn("timm_frames starts from random weights: see encoder.build.weights", stacklevel=2)
        return found

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for square frames of `spec.shape[-1]` pixels, with the weights that the recipe names.

        Raises:
            UsageError: timm has no such network, or `build.weights` names no weights.
            DataError: the weights are missing, unreadable, or another network's.
        """
        model = _make_model(str(self.recipe.build["model"]), spec.shape[-1])
        for file in pretrained.find_files(str(self.recipe.build["weights"])):
            if file.suffix == ".safetensors":
                _fill(model, file)
        return Network(model)


def _make_model(name: str, size: int) -> Any:
    """Return timm's network without its classifier.

    Raises:
        UsageError: timm has no such network, or not for pictures of this size.
    """
    torchvision_shim.settle()
    import timm

    if not timm.is_model(name):
        near = timm.list_models(f"*{name}*")[:5]
        raise UsageError(
            f"timm has no network `{name}`", where="encoder.build.model", hint=", ".join(near) if near else None
        )
    model: Any = timm.create_model(name, pretrained=False, num_classes=0)
    fixed = model.pretrained_cfg.get("fixed_input_size", False)
    if fixed and model.pretrained_cfg["input_size"][-1] != size:
        model = timm.create_model(name, pretrained=False, num_classes=0, img_size=size)
    return model


def _fill(model: Any, file: Path) -> None:
    """Load weights into a network, except those of its classifier, which it lacks.

    Raises:
        DataError: the weights are another network's.
    """
    state = load_file(file)
    classifiers = model.pretrained_cfg.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ((classifiers,) if isinstance(classifiers, str) else classifiers))
    kept = {name: value for name, value in state.items() if not (prefixes and name.startswith(prefixes))}
    own = model.state_dict()
    unfit = sorted({*own, *kept} - {name for name in own if name in kept and kept[name].shape == own[name].shape})
    if unfit:
        raise DataError(
            f"these weights are of another network: {len(unfit)} do not fit, such as {unfit[0]}",
            where=str(file),
            expected=f"weights of timm's {model.pretrained_cfg['architecture']}",
        )
    model.load_state_dict(kept)


class Network(nn.Module):
    """uint8 (B, T, 3, H, W), mask (B, T) | None -> Tokens(x (B, T, D), mask (B, T) | None)."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        for name in ("mean", "std"):  # ImageNet's, or whatever else this network was first trained with
            value = torch.tensor(model.pretrained_cfg[name]).view(3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, T, D) and the same mask for `x` uint8 (B, T, 3, H, W) and `mask` (B, T) of recorded
        frames."""
        if mask is None:
            found: Tensor = self.model(self.pixels(x.flatten(0, 1)))
            return Tokens(found.unflatten(0, x.shape[:2]))
        found = self.model(self.pixels(x[mask]))  # missing frames must not count in a batch norm
        tokens = found.new_zeros(*mask.shape, found.shape[1])
        tokens[mask] = found
        return Tokens(tokens, mask)

    def pixels(self, frames: Tensor) -> Tensor:
        """Return frames (n, 3, H, W) standardised by the mean and SD that the network was trained with."""
        return (frames / 255 - self.mean) / self.std
