"""Targets and labels of ratings that datasets make alike: high or low, values, quadrants, the highest of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Target

QUADRANT = Target("quadrant", "classes", LabelRule("value"), label="quadrant", n=4)
"""Classes 0 to 3: low arousal with low valence, low with high, high with low, high with high."""


def quadrant(arousal: float, valence: float, cut: float) -> dict[str, float]:
    """The quadrant of two ratings, by the cut of the card that both targets have; a rating on it is low. Nothing where
    one of them is missing.

    >>> quadrant(7.0, 2.0, cut=4.5)
    {'quadrant': 2.0}
    """
    if math.isnan(arousal) or math.isnan(valence):
        return {}
    return {"quadrant": 2.0 * (arousal > cut) + (valence > cut)}


def binary(names: Iterable[str], rule: LabelRule, scale: tuple[float, float]) -> tuple[Target, ...]:
    """Ratings as high or low by one rule."""
    return tuple(Target(name, "binary", rule, label=name, scale=scale) for name in names)


def valued(names: Iterable[str], rule: LabelRule, scale: tuple[float, float]) -> tuple[Target, ...]:
    """Targets of the same ratings as values."""
    return tuple(Target(f"{name}_value", "value", rule, label=name, scale=scale) for name in names)


def one_of(classes: tuple[str, ...], index: float) -> Label:
    """A class of a recording by its place among all; NaN where it has none."""
    return Label("rating", np.array([float(index)]), classes=classes)


def highest(rated: Sequence[float]) -> float:
    """The place of the highest rating; NaN where two are, or one is missing.

    >>> highest([1.0, 4.0, 2.0])
    1.0
    """
    alone = list(rated).count(max(rated)) == 1 and not any(map(math.isnan, rated))
    return float(list(rated).index(max(rated))) if alone else math.nan
