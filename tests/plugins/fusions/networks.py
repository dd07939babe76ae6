"""Small batches, encoders and whole models for the fusions' tests."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from embench.interfaces.fusion import Fusion
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model
from embench_plugins.encoders.cnn_tf import CnnTf
from embench_plugins.fusions.concat import Concat
from embench_plugins.fusions.cross_attn import CrossAttn
from embench_plugins.fusions.late import Late

TINY = {"widths": [4, 8, 8], "kernels": [5, 3, 3], "ffn": 16, "dropout": 0.0}
SAMPLES = 40


def outputs_of(n: int = 1) -> OutputSpec:
    return OutputSpec(tuple(Target(f"t{i}", "binary", LabelRule(), f"t{i}") for i in range(n)))


def fusion(cls: type[Fusion], preset: str = "small", **build: object) -> Fusion:
    return cls(cls.recipes[preset].replace(build=build))


class HiddenOf(nn.Module):
    """What `late` gets: the hidden layer of a fitted, frozen unimodal network, as one token."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head_ = encoder.requires_grad_(False), head.requires_grad_(False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        return Tokens(self.head_(self.encoder(x, mask)).hidden[:, None])


def whole(cls: type[Fusion], modalities: tuple[str, ...], outputs: int = 1) -> Model:
    """A tiny `cnn_tf` a modality under a fusion, without dropout."""
    torch.manual_seed(0)
    maker = CnnTf(CnnTf.recipes["small"].replace(build={**TINY, "head_dropout": 0.0, "hidden": 6}))
    encoders: dict[str, nn.Module] = {m: maker.build(InputSpec(m, (1, SAMPLES), (m,), 4.0)) for m in modalities}
    specs = {m: TokenSpec(SAMPLES, 8, True) for m in modalities}
    if cls is Late:
        heads = {m: maker.head(specs[m], outputs_of(outputs)) for m in modalities}
        encoders = {m: HiddenOf(encoders[m], heads[m]) for m in modalities}
        specs = {m: TokenSpec(1, 6, head=6) for m in modalities}
    sizes = {"width": 16, "heads": 2, "ffn": 16, "tokens": 10} if cls is CrossAttn else {}
    joint = fusion(cls, dropout=0.0, **sizes) if cls is not Concat else fusion(cls)
    return Model(encoders, specs, joint.build(specs, outputs_of(outputs)))


def batch(
    x: Mapping[str, Tensor], present: Mapping[str, list[int]] | None = None, masks: Mapping[str, Tensor] | None = None
) -> Batch:
    """Rows of `x[m]` (B, C, T), of which only `present[m]` are handed over, as the engine packs them."""
    size = len(next(iter(x.values())))
    rows = {m: torch.tensor((present or {}).get(m, range(size)), dtype=torch.long) for m in x}
    packed = {m: x[m][rows[m]] for m in x}
    mask = {m: None if masks is None or m not in masks else masks[m][rows[m]] for m in x}
    return Batch(packed, mask, rows, size)
