"""Fusion `modality_aware`: weights the channels of each modality by a joint description of all modalities.

Woo et al. 2023 (`woo2023`): a modality is described by the largest value of each channel, over time for the heart and
over the scalp for EEG. One convolution reads the joint description, which is then split, and one convolution for each
part scores the channels. The scores gate the feature maps, which are averaged, joined and classified. Ours: sizes, the
activation, the axis of the gates, any number of modalities, and tokens of any width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.nn import FillAbsent
from embench_plugins.encoders.cnn_tf import Classifier

PAPER = Recipe(
    optimiser="adam", lr=1e-3, weight_decay=1e-4, epochs=100, batch=64, selection="early_stop", patience=100,
    build={"dim": 64, "attention": True, "gate": "sigmoid", "mask_axis": "channel", "hidden": 64, "dropout": 0.5},
    assumed=("optimiser", "lr", "weight_decay", "epochs", "batch", "selection", "class_weight", "targets", "build.dim",
             "build.gate", "build.mask_axis", "build.hidden", "build.dropout"),
)  # fmt: skip

SMALL = PAPER.replace(
    optimiser="adamw", weight_decay=1e-2, schedule="cosine", epochs=12, patience=12, class_weight="balanced", clip=1.0,
    build={"dim": 32, "hidden": 32}, assumed=(),
    datasets={"stress_predict": {"epochs": 8, "patience": 8}},  # lowest loss of the one fold tried: after 7 of 12
)  # fmt: skip


class ModalityAware(Fusion):
    """Build keys: `attention`, False for the paper's basic model, the same network without gates; `mask_axis`, whether
    a gate weights a channel (`channel`) or a moment or position (`token`); `gate`, each from 0 to 1 by itself
    (`sigmoid`), or all of a modality with a mean of 1 (`softmax`)."""

    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=4, patience=4, datasets={}),
    }

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Return the network; its gates depend on the lengths in `tokens` if `mask_axis` is `token`."""
        return Network(tokens, outputs.size, **self.recipe.build)


class Network(nn.Module):
    """Tokens of each modality, projected if their width is not `dim` -> Output(logits (B, n), hidden (B, hidden)).

    Raises:
        UsageError: the `mask_axis` or `gate` does not exist.
    """

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        outputs: int,
        *,
        dim: int,
        attention: bool,
        gate: str,
        mask_axis: str,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if mask_axis not in ("channel", "token"):
            raise UsageError(f"no axis is called {mask_axis!r}", where="build.mask_axis", expected="channel, token")
        if gate not in ("sigmoid", "softmax"):
            raise UsageError(f"no gate is called {gate!r}", where="build.gate", expected="sigmoid, softmax")
        self.fill = FillAbsent({m: TokenSpec(spec.length, spec.dim) for m, spec in specs.items()})
        self.project = nn.ModuleDict(
            {m: nn.Identity() if spec.dim == dim else nn.Linear(spec.dim, dim) for m, spec in specs.items()}
        )
        by_channel = mask_axis == "channel"
        sizes = {m: dim if by_channel else spec.length for m, spec in specs.items()}
        self.gates = Gates(sizes, by_channel=by_channel, relative=gate == "softmax") if attention else None
        self.head = Classifier(dim * len(specs), hidden, outputs, dropout)

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Output:
        """Gate each modality's feature map, average it over its tokens, join the means and classify.

        Args:
            tokens: (B, L, D) of each modality; projected to `dim` where D differs from it.
            present: (B,) bool of each modality.

        Returns:
            `logits` (B, n) and `hidden` (B, hidden).
        """
        filled = self.fill({m: Tokens(t.x, t.mask) for m, t in tokens.items()}, present)
        maps = {m: filled[m]._replace(x=project(filled[m].x)) for m, project in self.project.items()}
        if self.gates is not None:
            maps = self.gates(maps)
        output: Output = self.head(Tokens(torch.cat([t.pool() for t in maps.values()], 1)[:, None]))
        return output


class Gates(nn.Module):
    """Tokens of each modality -> the same tokens, with each channel or each token multiplied by its gate.

    Args:
        sizes: number of channels, or of tokens, of each modality.
        by_channel: True for a gate for each channel, False for each token.
        relative: True if the gates of a modality have a mean of 1, else each is from 0 to 1 by itself.
    """

    def __init__(self, sizes: Mapping[str, int], *, by_channel: bool, relative: bool) -> None:
        super().__init__()
        self.by_channel, self.relative, self.sizes = by_channel, relative, list(sizes.values())
        whole = sum(self.sizes)
        # A convolution with a kernel of 1 over a vector is a Linear.
        self.joint = nn.Sequential(nn.Linear(whole, whole), nn.BatchNorm1d(whole), nn.ReLU())
        self.own = nn.ModuleDict({m: nn.Linear(size, size) for m, size in sizes.items()})

    def forward(self, maps: Mapping[str, Tokens]) -> dict[str, Tokens]:
        """Return the maps (B, L, D) of each modality times their gates: (B, D) by channel or (B, L) by token."""
        joint = self.joint(torch.cat([self._largest(t) for t in maps.values()], 1))
        gated = {}
        for (m, t), part in zip(maps.items(), joint.split(self.sizes, 1), strict=True):
            score = self.own[m](part)
            gate = score.softmax(1) * score.shape[1] if self.relative else torch.sigmoid(score)
            gated[m] = t._replace(x=t.x * (gate[:, None] if self.by_channel else gate[:, :, None]))
        return gated

    def _largest(self, tokens: Tokens) -> Tensor:
        """Return the largest value of each channel over unmasked tokens (B, D), or the largest value of each token (B,
        L), 0 if it is masked."""
        x, mask = tokens.x, tokens.mask
        if self.by_channel:
            return (x if mask is None else x.masked_fill(~mask[:, :, None], -torch.inf)).amax(1)
        return x.amax(2) if mask is None else x.amax(2).masked_fill(~mask, 0.0)
