"""The loss of labelled stages, owned by the engine: missing labels masked, units weighed alike, summed over targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from embench.interfaces.tokens import Batch, OutputSpec
from embench.interfaces.units import Target
from embench.nn import Model


def class_weights(target: Target, y: np.ndarray, weight: np.ndarray, balanced: bool) -> np.ndarray | None:
    """(classes,) inverse to each class's share of the training rows, 1 on average; None where classes weigh alike."""
    if not balanced or target.kind == "value":
        return None
    there = np.isfinite(y)
    shares = np.bincount(y[there].astype(int), weights=weight[there], minlength=target.n)
    return (shares.sum() / (target.n * np.maximum(shares, 1e-12) * (shares > 0) + 1e-12 * (shares == 0))).clip(0, 1e3)


def fit_scale(model: Model, outputs: OutputSpec, y: np.ndarray, weight: np.ndarray) -> None:
    """Sets the scale of value targets to mean and SD of the training rows' labels, so that a head's first answers are
    of the right size whatever the label's unit.

    Args:
        y, weight: (n, targets), NaN where a label is missing, and (n,).
    """
    if model.scale is None:
        return
    for t, (target, part) in enumerate(zip(outputs.targets, outputs.slices(), strict=True)):
        there = np.isfinite(y[:, t])
        if target.kind == "value" and there.any():
            values, share = y[there, t].astype(np.float64), weight[there] / weight[there].sum()
            mean = float(share @ values)
            std = float(share @ (values - mean) ** 2) ** 0.5
            model.scale.mean[part] = mean
            model.scale.std[part] = std if std > 1e-7 * abs(mean) else 1.0


class Supervised(nn.Module):
    """Batch -> (loss, figures): the mean over labelled rows of each target's loss, summed over targets.

    The loss of a value is the squared error in standard deviations of the training labels. `frozen` parts of the model
    stay in eval mode while the rest is trained.
    """

    def __init__(
        self,
        model: Model,
        outputs: OutputSpec,
        classes: list[np.ndarray | None],
        frozen: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.model, self.outputs, self.frozen = model, outputs, tuple(frozen)
        self.classes = [None if c is None else torch.tensor(c, dtype=torch.float32) for c in classes]

    def train(self, mode: bool = True) -> Supervised:
        super().train(mode)
        for part in self.frozen:
            part.training = False
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, Mapping[str, Any]]:
        if batch.y is None or batch.weight is None:
            raise ValueError("a labelled stage got a batch without labels")
        logits = self.model(batch).logits.float()
        loss = logits.new_zeros(())
        for t, (target, part) in enumerate(zip(self.outputs.targets, self.outputs.slices(), strict=True)):
            y = batch.y[:, t]
            there = torch.isfinite(y)
            value = torch.where(there, y, torch.zeros_like(y))
            weight = batch.weight * there
            classes = self.classes[t]
            if classes is not None:
                weight = weight * classes.to(y.device)[value.long()]
            rows = _rowwise(target, logits[:, part], value)
            if target.kind == "value" and self.model.scale is not None:
                rows = rows / self.model.scale.std[part] ** 2
            loss = loss + (rows * weight).sum() / weight.sum().clamp_min(1e-12)
        return loss, {}


def _rowwise(target: Target, logits: Tensor, value: Tensor) -> Tensor:
    if target.kind == "binary":
        return functional.binary_cross_entropy_with_logits(logits[:, 0], value, reduction="none")
    if target.kind == "classes":
        return functional.cross_entropy(logits, value.long(), reduction="none")
    return (logits[:, 0] - value) ** 2


def probabilities(outputs: OutputSpec, logits: Tensor) -> Tensor:
    """(B, n_out): sigmoid for binary targets, softmax for classes, the value itself for values."""
    parts = []
    for target, part in zip(outputs.targets, outputs.slices(), strict=True):
        x = logits[:, part]
        parts.append(x.sigmoid() if target.kind == "binary" else x.softmax(1) if target.kind == "classes" else x)
    return torch.cat(parts, 1)
