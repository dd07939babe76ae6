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
        words: name of such targets in messages; `words_of_one`: one such target, with `{n}` for its number of classes.
        has_classes: True if labels are classes 0 .. n - 1 and scores are probabilities; else both are values.
        several: True if each class has its own score (`score_0`, `score_1`, ...); else there is one `score`: the
            probability of class 1, or the value.
        outputs: number of logits of a network, from the number of classes.
        decide: decisions (n,) from scores (n,) or (n, classes) and the protocol's threshold.
        within: name of the within-subject score by which runs are ranked.
        crossed: name of the score that ranks if all subjects met the same stimuli; knowledge of stimuli does not help
            it.
        matched: name of the score that ranks if tasks came in one order; knowledge of time does not help it.
            `without_clock`: the same in protocols of version 1.
        share: first part of the names of scores that are proportions of correctly ordered pairs, within a subject or
            crossed. Since version 3, protocols rank by them for all kinds."""

    words: str
    words_of_one: str
    has_classes: bool
    several: bool
    outputs: Callable[[int], int]
    decide: Callable[[np.ndarray, float], np.ndarray]
    within: str
    crossed: str
    matched: str
    without_clock: str
    share: str


KINDS: Mapping[KindName, Kind] = {
    "binary": Kind(
        words="two classes",
        words_of_one="{n} classes",
        has_classes=True,
        several=False,
        outputs=lambda _: 1,
        decide=lambda score, threshold: (score >= threshold).astype(np.float64),
        within="auroc_within",
        crossed="auroc_crossed",
        matched="auroc_crossed_matched",
        without_clock="auroc_crossed_time",
        share="auroc",
    ),
    "classes": Kind(
        words="several classes",
        words_of_one="{n} classes",
        has_classes=True,
        several=True,
        outputs=lambda n: n,
        decide=lambda score, _: score.argmax(1).astype(np.float64),
        within="auroc_within",
        crossed="auroc_crossed",
        matched="auroc_crossed_matched",
        without_clock="auroc_crossed_time",
        share="auroc",
    ),
    "value": Kind(
        words="values",
        words_of_one="a value",
        has_classes=False,
        several=False,
        outputs=lambda _: 1,
        decide=lambda score, _: score.copy(),
        within="ccc",
        crossed="ccc",
        matched="ccc",
        without_clock="ccc",
        share="concordance",
    ),
}
"""Kind -> properties of its targets."""

WITH_CLASSES = frozenset(name for name, kind in KINDS.items() if kind.has_classes)
"""Kinds whose targets have classes."""
