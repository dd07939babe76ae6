"""Convert VideoMAE checkpoints that its authors' code, or transformers before safetensors, wrote.

Tensors get the names that transformers uses, as in files on the Hugging Face hub. Positions are sinusoids, so neither
kind of checkpoint stores them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from embench.errors import DataError
from embench.interfaces.conversion import Checkpoint, Conversion

SETTING = "encoder.build.weights"
_OURS, _THEIRS = "embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"
_HEADS = {192: 3, 384: 6, 512: 8, 768: 12, 1024: 16}
"""Width -> number of attention heads, in the encoders and decoders of VideoMAE's authors."""

_NAMES = (
    (r"^(encoder\.)?patch_embed\.proj\.", "videomae.embeddings.patch_embeddings.projection."),
    (r"^(encoder\.)?blocks\.", "videomae.encoder.layer."),
    (r"^(encoder\.)?norm\.", "videomae.layernorm."),
    (r"^decoder\.blocks\.", "decoder.decoder_layers."),
    (r"^head\.", "classifier."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.", ".attention.attention."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)


def convert(checkpoint: Checkpoint) -> Conversion | None:
    """Return the network under transformers' names, with its `config.json`; None if the file is not a VideoMAE's."""
    old = checkpoint.tensors
    if any(name in old for name in (_OURS, f"videomae.{_OURS}")):
        return Conversion("VideoMAE (transformers)", old, config=_read_config(checkpoint), setting=SETTING)
    first = next((old[name] for name in (f"encoder.{_THEIRS}", _THEIRS) if name in old), None)
    if first is None or first.ndim != 5 or not any(name.endswith("blocks.0.attn.q_bias") for name in old):
        return None
    new: dict[str, Tensor] = {}
    for name, value in old.items():
        renamed = name
        for pattern, replacement in _NAMES:
            renamed = re.sub(pattern, replacement, renamed)
        if renamed.endswith(".qkv.weight"):
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                new[renamed.replace("qkv", part)] = third
        else:
            new[renamed] = value
    return Conversion("VideoMAE", new, config=_read_sizes(new, checkpoint), setting=SETTING)


def _read_config(checkpoint: Checkpoint) -> Any:
    """Return the content of the `config.json` that transformers writes beside its weights."""
    path = checkpoint.path.parent / "config.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            "weights of transformers say what network they are of in the config.json beside them",
            where=str(path),
            expected="the repository's config.json",
        ) from error


def _read_sizes(new: Mapping[str, Tensor], checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the sizes of the authors' network as keys of `config.json`, for 16 frames of 224 pixels."""
    width, _, tubelet, patch, _ = new[f"videomae.{_OURS}"].shape
    config = {
        "model_type": "videomae",
        "image_size": 224,
        "num_frames": 16,
        "tubelet_size": tubelet,
        "patch_size": patch,
        "use_mean_pooling": "videomae.layernorm.weight" not in new,
        **_count_layers(new, "", "videomae.encoder.layer", width, checkpoint),
    }
    if "encoder_to_decoder.weight" in new:
        decoder_width = len(new["encoder_to_decoder.weight"])
        config |= _count_layers(new, "decoder_", "decoder.decoder_layers", decoder_width, checkpoint)
    return config


def _count_layers(
    new: Mapping[str, Tensor], prefix: str, layers: str, width: int, checkpoint: Checkpoint
) -> dict[str, int]:
    """Return the sizes of the stack of layers whose tensors' names begin with `layers`, under keys with `prefix`."""
    if width not in _HEADS:
        raise DataError(
            f"a VideoMAE of width {width} is none that its authors published",
            where=str(checkpoint.path),
            expected=f"widths {', '.join(map(str, _HEADS))}",
            hint="save it with transformers' save_pretrained, which also writes the number of heads",
        )
    depth = 1 + max(int(name.removeprefix(f"{layers}.").split(".")[0]) for name in new if name.startswith(layers))
    return {
        f"{prefix}hidden_size": width,
        f"{prefix}num_hidden_layers": depth,
        f"{prefix}num_attention_heads": _HEADS[width],
        f"{prefix}intermediate_size": len(new[f"{layers}.0.intermediate.dense.bias"]),
    }
