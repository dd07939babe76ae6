"""Targets of rating scales as numbers: the rating itself, and the rating less its subject's mean.

Apart from `ratings`, whose code is part of the identity of published runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.formats.ratings import valued


def make_scale_targets(names: Iterable[str], rule: LabelRule, scale: tuple[float, float]) -> tuple[Target, ...]:
    """Ratings as they are (`x_value`), and less the mean of their own subject's ratings (`x_centred`), which says how
    much of an error is one of level.

    >>> [target.name for target in make_scale_targets(["arousal"], LabelRule(), (1, 9))]
    ['arousal_value', 'arousal_centred']
    """
    return tuple(
        target
        for name in names
        for plain in valued([name], rule, scale)
        for target in (plain, replace(plain, name=f"{name}_centred", rule=replace(rule, centred=True)))
    )


def make_marked_target(names: Iterable[str], rule: LabelRule) -> tuple[Target, ...]:
    """States that were marked or not (1 or 0), as two classes: marked in more than a quarter of a unit, or not."""
    return tuple(Target(name, "binary", replace(rule, cut=0.25), label=name, scale=(0.0, 1.0)) for name in names)
