"""Pretrainer `masked_value`: masks segments of the signal and predicts their values.

Vazquez-Rodriguez et al. 2022 (`vazquez2022`). The paper does not say how much is masked, how long a segment is and what
replaces it. Here segments of 20 samples at 128 Hz, wider than a QRS complex, cover 15 % of the samples and are replaced
by 0, the mean of a z-scored signal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec
from embench.nn import Model

PAPER = Recipe(
    optimiser="adam", lr=5e-4, weight_decay=5e-3, schedule="linear", warmup=30, epochs=500, batch=256,
    build={"ratio": 0.15, "span": 20, "replace": 0.0, "hidden": 128},
    assumed=("batch", "selection", "build.ratio", "build.span", "build.replace"),
)  # fmt: skip

SLOW: Mapping[str, Any] = {"build": {"span": 8}}  # cnn_tf reads this dataset at 16 Hz

# Half a second at the 32 Hz of cnn_tf's `small`: slower signals than ECG are interpolated over shorter segments.
SMALL = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="linear", warmup=1, epochs=10, batch=64, clip=1.0,
    build={"ratio": 0.15, "span": 16, "replace": 0.0, "hidden": 32},
    datasets={"stress_predict": SLOW},
)  # fmt: skip


class MaskedValue(Pretrainer):
    """Mean squared error of the masked samples' values."""

    scope: ClassVar = "encoder"
    labels: ClassVar = "none"
    needs_encoder: ClassVar = frozenset({"token_per_sample"})
    needs_input: ClassVar = frozenset({"signal"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=2, warmup=0),
    }

    def objective(self, model: Model, inputs: Mapping[str, InputSpec], outputs: OutputSpec | None) -> nn.Module:
        """Return the objective for every encoder of `model`, sized by the recipe's `build`; `outputs` is not used."""
        build = self.recipe.build
        return Objective(
            model, inputs, float(build["ratio"]), int(build["span"]), float(build["replace"]), int(build["hidden"])
        )


class Objective(nn.Module):
    """`Batch -> (loss, {"mse", "masked"})`, where `masked` is the proportion of valid samples that was masked."""

    def __init__(
        self, model: Model, inputs: Mapping[str, InputSpec], ratio: float, span: int, replace: float, hidden: int
    ) -> None:
        super().__init__()
        self.model = model
        self.ratio, self.span, self.replace = ratio, span, replace
        self.predictors = nn.ModuleDict({m: self._predictor(m, spec, hidden) for m, spec in inputs.items()})

    def _predictor(self, modality: str, spec: InputSpec, hidden: int) -> nn.Module:
        picks = self._picks(modality)
        channels = spec.shape[0] if picks is None else len(picks)
        dim = self.model.specs[modality].dim
        return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def _picks(self, modality: str) -> Tensor | None:
        """Return the positions of the channels to predict: the encoder's `picks`; None if it reads all channels."""
        return getattr(self.model.encoders[modality], "picks", None)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss (scalar, mean over modalities) and figures of a batch of signals (B, C, T)."""
        losses, shares = [], []
        for m, predictor in self.predictors.items():
            x, mask, picks = batch.x[m], batch.mask[m], self._picks(m)
            if len(x) == 0:
                continue
            valid = torch.ones_like(x[:, 0], dtype=torch.bool) if mask is None else mask
            hidden = draw_spans(valid, self.ratio, self.span)
            tokens = self.model.encoders[m](x.masked_fill(hidden[:, None], self.replace), mask)
            target = x if picks is None else x[:, picks]
            error = (predictor(tokens.x).transpose(1, 2).float() - target).square().mean(1)
            losses.append((error * hidden).sum() / hidden.sum().clamp_min(1))
            shares.append(hidden.sum() / valid.sum().clamp_min(1))
        loss = torch.stack(losses).mean()
        return loss, {"mse": loss.detach(), "masked": torch.stack(shares).mean()}


def draw_spans(valid: Tensor, ratio: float, span: int) -> Tensor:
    """Draw the samples to mask: (B, T) bool, in segments of `span` valid samples that do not overlap. Together they
    cover about the proportion `ratio` of a signal's valid samples, less if too few segments fit. Every placement is
    equally likely.

    To place k segments in n samples, choose k of n - k (span - 1) slots and widen each chosen slot. A segment may reach
    across a gap in the valid samples.

    Args:
        valid: (B, T) bool, True where a sample may be masked.
    """
    rows, length = valid.shape
    count = valid.sum(1, keepdim=True)
    # The small step keeps a product such as 60.000002 from asking for one segment too many.
    spans = torch.minimum((count * ratio / span - 1e-4).ceil().long(), count // span)
    slots = count - spans * (span - 1)
    position = torch.arange(length, device=valid.device).expand(rows, -1)
    keys = torch.rand(rows, length, device=valid.device).masked_fill(position >= slots, math.inf)
    chosen = keys.argsort(1).argsort(1) < spans
    start = position + (chosen.cumsum(1) - 1) * (span - 1)
    edges = torch.zeros(rows, length + span + 1, dtype=torch.long, device=valid.device)
    # Slots that were not chosen write to the last column, which is cut off.
    edges.scatter_add_(1, torch.where(chosen, start, length + span), torch.ones_like(start))
    edges.scatter_add_(1, torch.where(chosen, start + span, length + span), -torch.ones_like(start))
    covered = edges.cumsum(1)[:, :length] > 0  # over each row's valid samples, side by side
    rank = (valid.cumsum(1) - 1).clamp_min(0)
    return covered.gather(1, rank) & valid
