"""Balanced partitions: several partitions in which any two subjects share a test fold equally often."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

# Points of an affine plane of order q are pairs (a, b) of elements of the field of q elements. Its lines fall into
# q + 1 parallel classes of q lines each, and any two points lie on exactly one line. A class is a partition, a line is
# a fold, and a subject is dealt to a point.

_LARGE, _SMALL = 5, 4
_MOST_IN_SMALL = _SMALL**2
"""Most subjects for the plane of order 4. More subjects would share points there, but not in the plane of order 5."""
FEWEST_GROUPS = _SMALL + 1
"""Fewest subjects: a line has one point less, so that not all subjects can lie on one line, that is in one fold."""
_TIMES_FOUR = ((0, 0, 0, 0), (0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2))
"""Multiplication table of the field of four elements, in which addition is bitwise exclusive or."""


def balanced_partitions(subjects: Sequence[str]) -> list[dict[str, int]]:
    """Return partitions, each as subject -> test fold, in which any two subjects share a test fold equally often.

    There are six partitions of five folds, or five of four folds for at most 16 subjects. Up to 25 (16) subjects, any
    two share a fold in exactly one partition. With more, some subjects share a point of the plane, and therefore all
    folds; subjects on different points share one. Test folds of one partition differ in size by at most three subjects.

    Args:
        subjects: at least `FEWEST_GROUPS` distinct names, of subjects or of indivisible groups, in random order."""
    lines = _parallel_lines(_SMALL if len(subjects) <= _MOST_IN_SMALL else _LARGE)
    order = len(lines) - 1
    rounds, rest = divmod(len(subjects), order**2)
    points = [*range(order**2)] * rounds + _spread_points(order, rest)
    return [dict(zip(subjects, folds[points].tolist(), strict=True)) for folds in lines]


def balanced_count(subjects: int) -> int:
    """Return the number of balanced partitions for this number of subjects or groups; 1 if there are too few.

    >>> balanced_count(24), balanced_count(16), balanced_count(4)
    (6, 5, 1)
    """
    return 1 if subjects < FEWEST_GROUPS else 1 + (_SMALL if subjects <= _MOST_IN_SMALL else _LARGE)


def _parallel_lines(order: int) -> np.ndarray:
    """Return (q + 1, q^2) the number of the line through each point, in each class of parallel lines."""
    a, b = np.divmod(np.arange(order**2), order)
    if order == _SMALL:
        sloped = [b ^ np.array(_TIMES_FOUR)[slope, a] for slope in range(order)]
    else:
        sloped = [(b - slope * a) % order for slope in range(order)]
    return np.stack([a, *sloped])


@cache
def _spread_points(order: int, count: int) -> list[int]:
    """Return `count` points of a plane, spread over its lines as evenly as single exchanges allow.

    A perfectly even spread is impossible: two points of a proper subset lie on a common line."""
    lines, every = _parallel_lines(order), range(order**2)

    def unevenness(points: list[int]) -> int:
        loads = np.stack([np.bincount(line_of_point[points], minlength=order) for line_of_point in lines])
        return int((np.abs(order * loads - count) ** 4).sum())

    points = list(every[:count])
    least = unevenness(points)
    while True:
        exchanged = [
            [*points[:at], point, *points[at + 1 :]] for at in range(count) for point in every if point not in points
        ]
        best = min(exchanged, key=unevenness, default=points)
        if unevenness(best) >= least:
            return sorted(points)
        points, least = best, unevenness(best)
