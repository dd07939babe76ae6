"""Convert the pretrained networks of Wu et al. 2023 (`wu2023`) from the layout of the published code, WER-SSL.

Two such files are public: one that the authors fine-tuned on WESAD and K-EmoCon, one for CASE. They have no licence, so
embench cannot distribute them. A file holds the networks `tcn1` to `tcn3` (EDA, PPG, temperature), a projection and a
LayerNorm for each, and one Transformer layer over all. Not converted: the heads of the pretext task, and a projection
(`project_embed`) and a layer (`fc_final`) that the code does not use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from embench.errors import DataError
from embench.interfaces.conversion import Checkpoint, Conversion, SeenData

MODALITIES = ("eda", "ppg", "temp")
"""Modalities of the networks `tcn1`, `tcn2` and `tcn3`."""

PUBLIC = {
    "3b0f21e8befb27aa24a65ef802f8017dea35fdf4efa96de3bef3fcdf31ecb19e": "wesad_kemocon",
    "1cb06a207e851cef694dff3b697aa24197883f3de38af368f0c880fc8652fc1d": "case",
}
"""SHA-256 of the public files, and the folder of each."""

PRESAGE = SeenData(
    dataset="PRESAGE",
    title="recordings of wristbands that the authors of wu2023 did not publish, by their code",
    licence="not public",
)

_PREFIX = "model_fusion."
_TCN = {
    "{part}.bias": "convolutions.{i}.bias",
    "{part}.weight_g": "convolutions.{i}.parametrizations.weight.original0",
    "{part}.weight_v": "convolutions.{i}.parametrizations.weight.original1",
}
_LAYER = {
    "self_attn.out_proj": "attention.out",
    "linear1": "ffn.0",
    "linear2": "ffn.3",
    "norm1": "norms.0",
    "norm2": "norms.1",
}


def convert(checkpoint: Checkpoint) -> Conversion | None:
    """Return a checkpoint of WER-SSL in embench's layout: the three encoders, projections and norms, and the
    Transformer layer over them. None if the file has another layout."""
    old = checkpoint.tensors
    if not {f"{_PREFIX}tcn1.network.0.net.0.weight_v", f"{_PREFIX}project_1.weight"} <= old.keys():
        return None
    try:
        new = {
            name: value for m, n in zip(MODALITIES, "123", strict=True) for name, value in _convert_stream(old, m, n)
        }
        new |= dict(_convert_shared(old))
    except KeyError as error:
        raise DataError(
            f"this is a checkpoint of WER-SSL without {error.args[0]}",
            where=str(checkpoint.path),
            expected="a whole file of the published code, with all three signals and one Transformer layer",
        ) from error
    return Conversion(
        layout="WER-SSL" + (f" ({PUBLIC[checkpoint.sha256]})" if checkpoint.sha256 in PUBLIC else ""),
        tensors=new,
        encoders=dict.fromkeys(MODALITIES, "tcn"),
        fusion="shared_tf",
        pretrainer="signal_transform",
        seen=(PRESAGE,) if checkpoint.sha256 in PUBLIC else (),
    )


def _convert_stream(old: Mapping[str, Tensor], m: str, n: str) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of embench's network for one modality: the blocks of its encoder, its projection and its
    norm.

    Args:
        old: tensors of the published checkpoint.
        m: modality. n: number of its network in the checkpoint, as in `tcn1`.
    """
    for block in range(2):
        before, after = f"{_PREFIX}tcn{n}.network.{block}", f"encoders.{m}.blocks.{block}"
        # The checkpoint also has these layers as `conv1` and `conv2`; the code uses those of `net`.
        for i, part in enumerate(("net.0", "net.4")):
            for theirs, ours in _TCN.items():
                yield f"{after}.{ours.format(i=i)}", old[f"{before}.{theirs.format(part=part)}"]
        if block == 0:
            for kind in ("weight", "bias"):
                yield f"{after}.shortcut.{kind}", old[f"{before}.downsample.{kind}"]
    for kind in ("weight", "bias"):
        yield f"fusion.project.{m}.{kind}", old[f"{_PREFIX}project_{n}.{kind}"]
        yield f"fusion.norm.{m}.{kind}", old[f"{_PREFIX}layernorm_{n}.{kind}"]


def _convert_shared(old: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of the Transformer layer. The checkpoint stores queries, keys and values in one matrix."""
    before, after = f"{_PREFIX}transformer_encoder.layers.0", "fusion.layers.0"
    for kind in ("weight", "bias"):
        joined = old[f"{before}.self_attn.in_proj_{kind}"]
        width = len(joined) // 3
        yield f"{after}.attention.query.{kind}", joined[:width]
        yield f"{after}.attention.key_value.{kind}", joined[width:]
        for theirs, ours in _LAYER.items():
            yield f"{after}.{ours}.{kind}", old[f"{before}.{theirs}.{kind}"]
