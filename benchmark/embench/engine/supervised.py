"""Statistics of training labels for labelled stages, and the meaning of predictions; the loss is in `nn`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from embench.interfaces.tokens import OutputSpec
from embench.interfaces.units import Target
from embench.nn import OBJECTIVES, Model


def class_weights(target: Target, y: np.ndarray, weight: np.ndarray, balanced: bool) -> tuple[float, ...] | None:
    """Inverse of each class's share of the training rows, 1 on average, at most 1,000; None where classes weigh alike.

    Args:
        y, weight: (n,) labels, NaN where missing, and weights of the training rows.
    """
    if not (balanced and target.traits.has_classes):
        return None
    there = np.isfinite(y)
    shares = np.bincount(y[there].astype(int), weights=weight[there], minlength=target.n)
    inverse = shares.sum() / (target.n * np.maximum(shares, 1e-12) * (shares > 0) + 1e-12 * (shares == 0))
    return tuple(inverse.clip(0, 1e3).tolist())


def fit_scale(model: Model, outputs: OutputSpec, y: np.ndarray, weight: np.ndarray) -> None:
    """Sets the scale of value targets to mean and SD of the training rows' labels, so that a head's first predictions
    are of the right size whatever the label's unit.

    Args:
        y, weight: (n, targets), NaN where a label is missing, and (n,).
    """
    if model.scale is None:
        return
    for t, (target, part) in enumerate(zip(outputs.targets, outputs.slices(), strict=True)):
        there = np.isfinite(y[:, t])
        if not target.traits.has_classes and there.any():
            values, share = y[there, t].astype(np.float64), weight[there] / weight[there].sum()
            mean = float(share @ values)
            std = float(share @ (values - mean) ** 2) ** 0.5
            model.scale.mean[part] = mean
            model.scale.std[part] = std if std > 1e-7 * abs(mean) else 1.0


def probabilities(outputs: OutputSpec, logits: Tensor) -> Tensor:
    """(B, columns): the scores of every target, side by side."""
    parts = zip(outputs.targets, outputs.slices(), strict=True)
    return torch.cat([OBJECTIVES[target.kind].activation(logits[:, part]) for target, part in parts], 1)
