"""The four quadrants of arousal and valence, as one raw label where a release has both ratings of a recording."""

from __future__ import annotations

import math

from embench.interfaces.units import LabelRule, Target

TARGET = Target("quadrant", "classes", LabelRule("value"), label="quadrant", n=4)
"""Classes 0 to 3: low arousal with low valence, low with high, high with low, high with high."""


def of(arousal: float, valence: float, cut: float) -> dict[str, float]:
    """The quadrant of two ratings, by the cut of the card that both targets have; a rating on it is low. Nothing where
    one of them is missing.

    >>> of(7.0, 2.0, cut=4.5)
    {'quadrant': 2.0}
    """
    if math.isnan(arousal) or math.isnan(valence):
        return {}
    return {"quadrant": 2.0 * (arousal > cut) + (valence > cut)}
