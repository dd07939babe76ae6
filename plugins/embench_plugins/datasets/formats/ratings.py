"""Targets and labels made from ratings: two classes, values, quadrants, marked states, and the highest of several
ratings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Target

QUADRANT = Target("quadrant", "classes", LabelRule("value"), label="quadrant", n=4)
"""Classes 0 to 3: low arousal with low valence, low with high, high with low, high with high."""


def find_quadrant(arousal: float, valence: float, cut: float) -> dict[str, float]:
    """Return the quadrant of two ratings as `{"quadrant": 0 to 3}`, empty if one of them is NaN. A rating above `cut`
    is high.

    >>> find_quadrant(7.0, 2.0, cut=4.5)
    {'quadrant': 2.0}
    """
    if math.isnan(arousal) or math.isnan(valence):
        return {}
    return {"quadrant": 2.0 * (arousal > cut) + (valence > cut)}


def make_binary_targets(names: Iterable[str], rule: LabelRule, scale: tuple[float, float]) -> tuple[Target, ...]:
    """Return a binary target, high or low by `rule`, for each rating."""
    return tuple(Target(name, "binary", rule, label=name, scale=scale) for name in names)


def make_value_targets(names: Iterable[str], rule: LabelRule, scale: tuple[float, float]) -> tuple[Target, ...]:
    """Return a continuous target `x_value` for each rating `x`."""
    return tuple(Target(f"{name}_value", "value", rule, label=name, scale=scale) for name in names)


def make_scale_targets(names: Iterable[str], rule: LabelRule, scale: tuple[float, float]) -> tuple[Target, ...]:
    """Return two continuous targets for each rating `x`: `x_value`, and `x_centred`, the rating minus the subject's
    mean rating. Comparing both shows how much of an error is due to the subject's level.

    >>> [target.name for target in make_scale_targets(["arousal"], LabelRule(), (1, 9))]
    ['arousal_value', 'arousal_centred']
    """
    return tuple(
        target
        for name in names
        for plain in make_value_targets([name], rule, scale)
        for target in (plain, replace(plain, name=f"{name}_centred", rule=replace(rule, centred=True)))
    )


def make_marked_target(names: Iterable[str], rule: LabelRule) -> tuple[Target, ...]:
    """Return a binary target for each state (1 where marked, else 0): marked in over a quarter of a unit or not."""
    return tuple(Target(name, "binary", replace(rule, cut=0.25), label=name, scale=(0.0, 1.0)) for name in names)


def make_class_label(classes: tuple[str, ...], index: float) -> Label:
    """Return the class at position `index` of `classes` as the label of a recording; `index` is NaN if it has none."""
    return Label("rating", np.array([float(index)]), classes=classes)


def find_highest(rated: Sequence[float]) -> float:
    """Return the position of the highest rating; NaN if two ratings tie for it, or one is missing.

    >>> find_highest([1.0, 4.0, 2.0])
    1.0
    """
    is_unique = list(rated).count(max(rated)) == 1 and not any(map(math.isnan, rated))
    return float(list(rated).index(max(rated))) if is_unique else math.nan
