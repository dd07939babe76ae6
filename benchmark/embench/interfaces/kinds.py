"""The kinds of targets; a new kind needs an entry here and one in `embench.nn.OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

KindName = Literal["binary", "classes", "value"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Properties shared by all targets of a kind.

    Args:
        plural: name of several such targets in messages; `singular`: of one, with `{n}` for its number of classes.
        has_classes: True if labels are classes 0 .. n - 1 and scores are probabilities; else both are values.
        has_score_per_class: True if each class has its own score (`score_0`, `score_1`, ...); else there is one
            `score`: the probability of class 1, or the value.
        outputs: function from the number of classes to a network's number of logits.
        decide: function from scores, (n,) or (n, classes), and the protocol's threshold to decisions (n,).
        within_metric: metric within subjects, which ranks if a protocol declares `auroc_within`. There, `time_metric`
            replaces it if tasks came in one order.
        ranking_family: first part of the names of metrics that are proportions of correctly ordered pairs."""

    plural: str
    singular: str
    has_classes: bool
    has_score_per_class: bool
    outputs: Callable[[int], int]
    decide: Callable[[np.ndarray, float], np.ndarray]
    within_metric: str
    time_metric: str
    ranking_family: str


KINDS: Mapping[KindName, Kind] = {
    "binary": Kind(
        plural="two classes",
        singular="{n} classes",
        has_classes=True,
        has_score_per_class=False,
        outputs=lambda _: 1,
        decide=lambda score, threshold: (score >= threshold).astype(np.float64),
        within_metric="auroc_within",
        time_metric="auroc_crossed_time",
        ranking_family="auroc",
    ),
    "classes": Kind(
        plural="several classes",
        singular="{n} classes",
        has_classes=True,
        has_score_per_class=True,
        outputs=lambda n: n,
        decide=lambda score, _: score.argmax(1).astype(np.float64),
        within_metric="auroc_within",
        time_metric="auroc_crossed_time",
        ranking_family="auroc",
    ),
    "value": Kind(
        plural="values",
        singular="a value",
        has_classes=False,
        has_score_per_class=False,
        outputs=lambda _: 1,
        decide=lambda score, _: score.copy(),
        within_metric="ccc",
        time_metric="ccc",
        ranking_family="concordance",
    ),
}
"""Kind -> properties of its targets."""

WITH_CLASSES = frozenset(name for name, kind in KINDS.items() if kind.has_classes)
"""Kinds whose targets have classes."""
