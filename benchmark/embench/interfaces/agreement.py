"""Agreement of values: Lin's concordance, as the score of predicted values and between annotators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embench.interfaces.ranking import subject_codes
from embench.interfaces.renamed import renamed
from embench.interfaces.units import Units


def concordance(one: np.ndarray, other: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """(G,) concordance correlation of `one` and `other` (n,) in each group, NaN where `other` does not vary there.

    2 s12 / (s1^2 + s2^2 + (m1 - m2)^2) with moments that divide by n (Lin 1989, doi 10.2307/2532051): 1 for values that
    are equal, exactly 0 where `one` is constant.

    Args:
        group: (n,) positions below `groups`.

    >>> labels, group = np.array([1.0, 2.0, 3.0]), np.zeros(3, int)
    >>> concordance(labels, labels, group, 1), concordance(np.full(3, 2.0), labels, group, 1)
    (array([1.]), array([0.]))
    """
    n = np.bincount(group, minlength=groups)
    first = np.zeros(groups, int)
    first[group[::-1]] = np.arange(len(group))[::-1]

    def mean(values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.bincount(group, values, groups) / n

    def centred(values: np.ndarray) -> np.ndarray:
        # From the group's first value on, so that rounding leaves exactly 0 of what is constant.
        away = values - values[first[group]]
        return away - mean(away)[group]

    x, y = centred(np.asarray(one, np.float64)), centred(np.asarray(other, np.float64))
    spread = mean(y * y)
    with np.errstate(invalid="ignore"):
        made = 2 * mean(x * y) / (mean(x * x) + spread + mean(np.subtract(one, other, dtype=np.float64)) ** 2)
    return np.where(spread > 0, made, np.nan)


def concordance_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """(P,) concordance of scores and labels inside each subject of `subjects` (P,); NaN for one whose labels do not
    vary, or without units."""
    return concordance(units.score, units.y_true, subject_codes(units, subjects), len(subjects))


def concordance_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    """(K, P) the same without the units of each of `stimuli` (K,)."""
    return np.stack([concordance_by_subject(units.take(units.stimulus != name), subjects) for name in stimuli])


if not TYPE_CHECKING:  # or mypy takes any name for one of this module
    __getattr__ = renamed(__name__, {"concordance_by_person": "concordance_by_subject"})
