"""Encoder `videomae`: a Transformer over cubes of video, two frames deep and 16 pixels wide.

Strizhkova et al. 2024 (`strizhkova2024`) with the VideoMAE of Tong et al. 2022: 16 frames of 4 s clips of the face at
224 pixels give 8 x 14 x 14 = 1568 tokens for a ViT-B. The network is transformers' `VideoMAEModel`. It has no CLS
token; the head reads the tokens' mean through a LayerNorm and a linear layer. VideoMAE's authors use the network's last
LayerNorm in pretraining and remove it for fine-tuning. Here it is present if the weights have it, or are random.

Weights: `build.weights` is `random`, a folder that `save_pretrained` or `embench weights convert` wrote, or
OWNER/NAME@COMMIT on the hub. The paper starts from Kinetics-400, which this project cannot distribute (CC BY-NC 4.0),
so `paper` stops until the user names weights.

The paper gives no schedule. From VideoMAE's fine-tuning come the decay of the learning rate with the layers, the
dropped paths and the horizontal flips. Not followed: mixup, cutmix, smoothed labels, random erasing, and a weight decay
that spares biases.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from embench.errors import DataError, UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View
from embench.nn import hide
from embench_plugins import pretrained, torchvision_shim

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and SD of ImageNet's pixels, which standardised the frames when VideoMAE's own weights were trained."""

KINETICS = "MCG-NJU/videomae-base@dc740ceda42fce44faed2ea03c6d447db72f6af9"
"""The weights that the paper starts from: pretrained on Kinetics-400 without labels."""

KINETICS_LABELS = "MCG-NJU/videomae-base-finetuned-kinetics@488eb9a0565f257b32866000305c8178965eb9f6"
"""Weights after further training on the labels of Kinetics-400, for methods with a supervised step."""

PAPER = Recipe(
    optimiser="adamw", lr=5e-4 * 8 / 256, weight_decay=0.05, schedule="cosine", warmup=1, epochs=10, batch=8,
    layer_decay=0.75,
    view=View("window", 4.0, 4.0),
    prepare={"frames_hz": 4, "size": 224, "crop": "large", "clip_s": 4},
    build={
        "weights": pretrained.UNNAMED, "patch": 16, "tubelet": 2, "width": 768, "layers": 12, "heads": 12, "ffn": 3072,
        "drop_path": 0.1, "flip": True,
    },
    assumed=("optimiser", "lr", "weight_decay", "schedule", "warmup", "batch", "layer_decay", "selection",
             "class_weight", "view.step_s", "prepare.crop", "build.drop_path", "build.flip"),
)  # fmt: skip

SMALL = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=0.05, schedule="cosine", warmup=1, epochs=12, batch=32, clip=1.0,
    class_weight="balanced",
    view=View("window", 4.0, 4.0),
    prepare={"frames_hz": 1, "size": 32, "crop": "tight", "clip_s": 4},
    build={
        "weights": pretrained.RANDOM, "patch": 8, "tubelet": 2, "width": 64, "layers": 2, "heads": 4, "ffn": 256,
        "drop_path": 0.0, "flip": True,
    },
)  # fmt: skip


class VideoMae(Encoder):
    """Tokens (B, frames / tubelet * (size / patch)^2, width), in the order of time, row and column."""

    reads: ClassVar[Literal["clips"]] = "clips"
    accepts: ClassVar = frozenset({"video"})
    offers: ClassVar = frozenset({"masked_clips"})
    libraries: ClassVar = ("transformers",)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=4, view=View("window", 4.0, 20.0)),
    }

    def assets(self) -> tuple[Path, ...]:
        """Return the files of `build.weights`, with a warning if it is `random`.

        Raises:
            UsageError: no weights are named, or they are not a VideoMAE's. DataError: they are missing or unreadable.
        """
        found = self._files()
        if not found:
            warnings.warn(
                "videomae starts from random weights, and the paper's from Kinetics-400: see encoder.build.weights",
                stacklevel=2,
            )
        return found

    def _files(self) -> tuple[Path, ...]:
        """Return the files of the recipe's weights; none if the network starts at random. Raises UsageError if the
        recipe names no weights, or if `config.json` is missing."""
        text = str(self.recipe.build["weights"])
        if text == pretrained.UNNAMED:
            raise UsageError(
                "the paper's VideoMAE starts from Kinetics-400, and no weights are named",
                where="encoder.build.weights",
                expected=f"model.safetensors and config.json of {KINETICS} (after training on its labels: "
                f"{KINETICS_LABELS}), or a folder that holds them",
                hint=f"--set encoder.build.weights={KINETICS}; "
                f"for another method than the paper's: --set encoder.build.weights={pretrained.RANDOM}",
            )
        found = pretrained.find_files(text)
        if found and not any(path.name == "config.json" for path in found):
            raise UsageError(
                "a VideoMAE's weights say what network they are of in the config.json beside them, which is not there",
                where=text,
                expected="a folder as save_pretrained writes it",
            )
        return found

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for clips (T, 3, size, size), from the recipe's weights or at random.

        Raises:
            UsageError: the sizes of clip and network do not fit each other, or `build.weights` names no weights.
            DataError: the weights are missing, unreadable, or another network's.
        """
        build = self.recipe.build
        found, config = self._files(), make_configuration(spec, build)
        torchvision_shim.settle()
        from transformers import VideoMAEConfig, VideoMAEModel

        if not found:
            model = VideoMAEModel(VideoMAEConfig(**config, use_mean_pooling=False))
            return Network(model, None, drop_path=build["drop_path"], flip=build["flip"])
        model = load(VideoMAEModel, found[0].parent, config)
        return Network(model, found[0].parent, drop_path=build["drop_path"], flip=build["flip"])


def make_configuration(spec: InputSpec, build: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes of a recipe's network, by the names of the settings in the library `transformers`.

    Raises:
        UsageError: frames or pixels do not divide into cubes.
    """
    frames, _, size, _ = spec.shape
    if frames % build["tubelet"] or size % build["patch"]:
        raise UsageError(
            f"{frames} frames of {size} pixels cannot be cut into cubes of {build['tubelet']} x {build['patch']}",
            where="encoder videomae",
            expected="frames (view.length_s x prepare.frames_hz) that tubelet divides, and a size that patch divides",
        )
    return {
        "num_frames": frames,
        "image_size": size,
        "patch_size": build["patch"],
        "tubelet_size": build["tubelet"],
        "hidden_size": build["width"],
        "num_hidden_layers": build["layers"],
        "num_attention_heads": build["heads"],
        "intermediate_size": build["ffn"],
    }


def load(kind: Any, folder: Path, wanted: Mapping[str, Any]) -> Any:
    """Return the network of transformers' class `kind` with the weights of a folder.

    Args:
        wanted: sizes that the network needs to have, by the names of the settings in `transformers`.

    Raises:
        UsageError: the weights are of another size than the recipe's. DataError: the folder holds no VideoMAE.
    """
    from transformers import VideoMAEConfig

    with _silence():
        try:
            config = VideoMAEConfig.from_pretrained(folder, local_files_only=True)
            other = {name: getattr(config, name) for name, value in wanted.items() if getattr(config, name) != value}
            if other:
                raise UsageError(
                    f"these weights are of another network: {', '.join(f'{k} {v}' for k, v in other.items())}",
                    where=str(folder),
                    expected=", ".join(f"{name} {wanted[name]}" for name in other),
                    hint="give the recipe these sizes, with --set encoder.build, encoder.prepare or pretrainer.build",
                )
            model, about = kind.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                f"these weights cannot be taken: {' '.join(str(error).split())[:300]}",
                where=str(folder),
                expected="a VideoMAE as save_pretrained writes it",
            ) from error
    # A decoder may be missing, and then starts from random weights; the encoder's may not.
    prefix = "" if kind.__name__ == "VideoMAEModel" else "videomae."
    if missing := sorted(name for name in about["missing_keys"] if name.startswith(prefix)):
        raise DataError(
            f"these weights lack {len(missing)} of the encoder's, such as {missing[0]}",
            where=str(folder),
            expected="a VideoMAE as save_pretrained writes it",
        )
    return model


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hide the progress bars of `transformers`, and the report on weights that are not used, inside this context."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def keep_positions(part: Any) -> None:
    """Turn the table of positions into a buffer. transformers keeps it on the CPU and copies it in every forward pass.
    Files of weights never contain this table."""
    table = part.position_embeddings
    del part.position_embeddings
    part.register_buffer("position_embeddings", table, persistent=False)


class DropPath(nn.Module):
    """Layer at the end of a branch. In training, it sets the branch to 0 for a proportion `share` of the samples of a
    batch, and scales up the branch of other samples (Huang et al. 2016, Deep Networks with Stochastic Depth)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch `x` (B, ...), in training with some samples set to 0 and the others scaled up."""
        if not self.training or not self.share:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.share
        return x * kept / (1 - self.share)


class Network(nn.Module):
    """VideoMAE as an encoder: uint8 (B, T, 3, H, W), mask (B, T) | None -> Tokens(x (B, L, D), mask (B, L) | None).

    Args:
        videomae: transformers' `VideoMAEModel`.
        folder: folder of the weights, None if they are random; a pretext task loads its decoder from it.
        drop_path: proportion of dropped branches in the last layer, rising linearly from 0 in the first.
        flip: mirror half of the clips in training, left to right.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, videomae: Any, folder: Path | None, *, drop_path: float, flip: bool) -> None:
        super().__init__()
        self.videomae, self.folder, self.flip = videomae, folder, flip
        keep_positions(videomae.embeddings)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        layers = videomae.encoder.layer
        for depth, layer in enumerate(layers):
            share = drop_path * depth / max(len(layers) - 1, 1)
            # Both are at the end of a branch, just before it is added to the residual.
            layer.attention.output.dropout = DropPath(share)
            layer.output.dropout = DropPath(share)

    def layers_in_order(self) -> Sequence[nn.Module]:
        """Return the layers from the input to the output, for `layer_decay`."""
        return [self.videomae.embeddings, *self.videomae.encoder.layer]

    def pixels(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return frames (B, T, 3, H, W) standardised as ImageNet's are, 0 where a frame is missing."""
        frames = (x / 255 - self.mean) / self.std
        return hide(frames, mask)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, L, D) and their mask (B, L) for `x` uint8 (B, T, 3, H, W) and `mask` (B, T) of recorded
        frames.

        A token counts if any of its frames was recorded. In training, half of the clips are mirrored if `flip`.
        """
        if self.training and self.flip:
            turned = torch.rand(len(x), device=x.device) < 0.5
            x = torch.where(turned[:, None, None, None, None], x.flip(-1), x)
        tokens = self.videomae(self.pixels(x, mask)).last_hidden_state
        if mask is None:
            return Tokens(tokens)
        seen = mask.unflatten(1, (-1, self.videomae.config.tubelet_size)).any(2)
        return Tokens(tokens, seen.repeat_interleave(tokens.shape[1] // seen.shape[1], 1))
