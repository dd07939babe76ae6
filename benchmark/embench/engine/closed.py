"""A linear head in closed form: ridge on pooled tokens, its penalty chosen on training subjects held out in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, softmax
from torch import Tensor, nn

from embench.interfaces.tokens import Output, OutputSpec, Tokens
from embench.interfaces.units import Target
from embench.nn import ValueScale

PENALTIES = 10.0 ** np.arange(-1, 7)
"""Candidates of the penalty on standardised tokens, of rows that weigh 1 on average."""
_ROUNDED = 1e-3
"""That share of the mean."""
HELD_OUT = 5
"""Number of parts of the training subjects, of which each is held out once."""
UNCHOSEN = 100.0
"""Penalty where the training rows are of one subject, so that none can be held out."""
_SLOPES = (0.05, 50.0)
"""Bounds of the SD of logits: above 0, so that the order of decisions stays whatever the held-out subjects say."""


class LinearHead(nn.Module):
    """A linear layer on pooled tokens that are standardised by the training rows: (B, D) -> (B, n_out)."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.linear = nn.Linear(dim, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """`logits` (B, n_out) and `hidden` (B, D), the standardised pooled tokens."""
        hidden = (tokens.pooled() - self.mean) / self.std
        return Output(self.linear(hidden), hidden)


def fit_head(
    head: LinearHead,
    outputs: OutputSpec,
    scale: ValueScale | None,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    subjects: np.ndarray,
) -> dict[str, float]:
    """Sets a head to what training rows say; returns the penalty that each target got, by its name.

    Classes are coded as -1 and 1, and a scale and an offset, fitted to the decisions on held-out subjects (Platt 1999),
    turn decisions into logits. Values are fitted in standard scores.

    Args:
        X, y, weight, subjects: pooled tokens (n, D), labels (n, targets), NaN where missing, weights (n,), and whose
            rows they are (n,).
    """
    X = X.astype(np.float64)
    mean, std = _moments(X, weight)
    Z = (X - mean) / std
    slopes, offsets = np.zeros((outputs.size, X.shape[1])), np.zeros(outputs.size)
    penalties: dict[str, float] = {}
    weights_of = outputs.class_weights or (None,) * len(outputs.targets)
    for t, (target, part, classes) in enumerate(zip(outputs.targets, outputs.slices(), weights_of, strict=True)):
        there = np.isfinite(y[:, t])
        labels, w = y[there, t].astype(np.float64), weight[there].astype(np.float64)
        if not there.any():
            continue
        if classes is not None:
            w = w * np.array(classes)[labels.astype(int)]
        if scale is not None and not target.traits.has_classes:
            labels = (labels - float(scale.mean[part])) / float(scale.std[part])
        fitted = fit_target(target, Z[there], labels, w / w.mean(), subjects[there])
        slopes[part], offsets[part], penalties[target.name] = fitted
    with torch.no_grad():
        for own, made in (
            (head.mean, mean),
            (head.std, std),
            (head.linear.weight, slopes),
            (head.linear.bias, offsets),
        ):
            own.copy_(torch.from_numpy(np.asarray(made)))
    return penalties


def fit_target(
    target: Target, Z: np.ndarray, labels: np.ndarray, weight: np.ndarray, subjects: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Slopes (K, D), offsets (K,) and penalty of one target, from standardised rows `Z` (n, D), `labels`, `weight` and
    `subjects` (n,). Of `PENALTIES` the one with the smallest squared error on held-out subjects is taken."""
    coded = _coded(target, labels)
    held_out = np.full((len(PENALTIES), *coded.shape), np.nan)
    for train, test in _splits(subjects):
        slopes, offsets = ridge_paths(Z[train], coded[train], weight[train], PENALTIES)
        held_out[:, test] = Z[test] @ slopes + offsets[:, None]
    chosen = np.isfinite(held_out).all()
    best = int(np.argmin((((held_out - coded) ** 2).sum(2) * weight).sum(1))) if chosen else 0
    penalty = float(PENALTIES[best]) if chosen else UNCHOSEN
    (slope,), (offset,) = ridge_paths(Z, coded, weight, np.array([penalty]))
    if not target.traits.has_classes:
        return slope.T, offset, penalty
    a, c = (2.0, np.zeros(coded.shape[1])) if not chosen else _calibrated(held_out[best], labels, weight)
    return a * slope.T, a * offset + c, penalty


def ridge_paths(
    X: np.ndarray, Y: np.ndarray, weight: np.ndarray, penalties: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Slopes (A, D, K) and offsets (A, K) that make the weighted squared error of `Y` (n, K) on `X` (n, D) plus each of
    the `penalties` (A,) times the squared slopes smallest (Hoerl and Kennard 1970); offsets go free."""
    share = weight / weight.sum()
    x, y = share @ X, share @ Y
    root = np.sqrt(weight)[:, None]
    A, B = root * (X - x), root * (Y - y)
    wide = A.shape[1] > A.shape[0]
    values, vectors = np.linalg.eigh(A @ A.T if wide else A.T @ A)
    turned = vectors.T @ (B if wide else A.T @ B)
    slopes = vectors @ (turned / (np.maximum(values, 0.0)[:, None] + penalties[:, None, None]))
    slopes = A.T @ slopes if wide else slopes
    return slopes, y - x @ slopes


def _moments(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and SD (D,) of rows, 1 for a column of zeros. What hardly varies is
    rounded, so that a share of the mean is added."""
    share = weight / weight.sum()
    mean = share @ X
    std = np.sqrt(share @ (X - mean) ** 2 + (_ROUNDED * mean) ** 2)
    return mean, np.where(std > 0, std, 1.0)


def _coded(target: Target, labels: np.ndarray) -> np.ndarray:
    """Labels (n,) as what is regressed, (n, K): -1 and 1 for classes, as they are for values."""
    if not target.traits.has_classes:
        return labels[:, None]
    if target.kind == "binary":
        return 2.0 * labels[:, None] - 1.0
    return 2.0 * np.eye(target.n)[labels.astype(int)] - 1.0


def _splits(subjects: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of rows of subjects to learn from and of those held out; nothing where there is one subject."""
    from sklearn.model_selection import GroupKFold

    parts = min(HELD_OUT, len(np.unique(subjects)))
    if parts > 1:
        yield from GroupKFold(parts).split(subjects, groups=subjects)


def _calibrated(decisions: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    """The slope, and the offsets (K,), that make logits of decisions (n, K) with the smallest cross-entropy. Labels are
    smoothed as Platt 1999 says, so that decisions without an error do not make it infinite."""
    n, K = decisions.shape
    spread = float(decisions.std(0).mean()) or 1.0
    kinds = max(K, 2)
    counts = np.bincount(labels.astype(int), weights=weight, minlength=kinds)
    sure = (np.eye(kinds) * counts + 1) / (counts[:, None] + kinds)
    aim = sure[labels.astype(int)][:, 1:] if K == 1 else sure[labels.astype(int)]

    def loss(free: np.ndarray) -> tuple[float, Any]:
        logits = free[0] / spread * decisions + free[1:]
        if K == 1:
            each, p = np.logaddexp(0, logits) - aim * logits, expit(logits)
        else:
            p = softmax(logits, axis=1)
            each = -aim * (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        slope = (p - aim) * weight[:, None] / n
        gradient = np.concatenate([[np.sum(slope * decisions) / spread], slope.sum(0)])
        return float((each * weight[:, None]).sum() / n), gradient

    bounds = [_SLOPES, *[(-10.0, 10.0)] * K]
    found = minimize(loss, np.array([1.0, *[0.0] * K]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]) / spread, np.asarray(found[1:])
