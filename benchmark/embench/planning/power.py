"""The differences that a number of subjects can show before anything is measured, and how many a difference needs.

Two methods are compared by a paired t test over subjects, two-sided at .05, with 80 % power. How much their difference
varies over subjects is assumed: 0.10 in AUROC.
"""

from __future__ import annotations

from itertools import count

ASSUMED_SD = 0.10
"""Standard deviation over subjects of a paired difference of AUROC, assumed where nothing was measured yet."""


def shown_difference(subjects: int, sd: float = ASSUMED_SD) -> float:
    """The difference of two methods that so many subjects show with 80 % power at .05; NaN for fewer than two.

    >>> round(shown_difference(34), 3)
    0.05
    """
    df = subjects - 1
    if df < 1:
        return float("nan")
    from scipy.special import stdtrit  # slow to import

    return float((stdtrit(df, 0.975) + stdtrit(df, 0.8)) * sd / subjects**0.5)


def subjects_needed(difference: float, sd: float = ASSUMED_SD) -> int:
    """The least number of subjects that show a difference of this size, see `shown_difference`.

    >>> subjects_needed(0.05), subjects_needed(0.05, sd=0.05)
    (34, 10)
    """
    return next(n for n in count(2) if shown_difference(n, sd) <= difference)
