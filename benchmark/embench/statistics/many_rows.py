"""Many methods on one leaderboard: how many positive answers chance explains, and which answers survive correction.

Both follow from the parts that groups of subjects contribute to each method's number, by sign flips of all methods at
once, so that methods keep their correlation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embench.records.scores import Score
from embench.statistics.intervals import LEVEL
from embench.statistics.significance import ALPHA, sign_flips

_AT_ONCE = 64
"""Number of methods turned at once, to bound memory."""


@dataclass(frozen=True)
class ManyRows:
    """Number of methods with the answer *yes*.

    Args:
        asked: how many methods have an answer. `adding`: for how many it is *yes*.
        by_luck: for how many it would be at most, in 95 % of worlds in which no method predicts anything; None where
            the entries do not hold the parts. `p`: in which proportion of them as many would; both approximate.
    """

    asked: int
    adding: int
    by_luck: int | None = None
    p: float | None = None

    @property
    def beyond_luck(self) -> bool:
        """True where chance explains fewer."""
        return self.by_luck is not None and self.adding > self.by_luck


def count_positive(parts: Sequence[Mapping[str, float]], positive: int) -> ManyRows | None:
    """The count, of each method's parts: group of subjects -> its contribution to a number that is tested against 0 or
    chance.

    The parts minus their mean change sign group by group. A method of such a world is positive where its t interval,
    without the training-overlap correction, lies above. Subjects who train each other's models are not independent, so
    that p is approximate: .05 is reached in 6 to 11 % of leaderboards on which no method predicts anything.

    Returns:
        None without methods.
    """
    from scipy.special import stdtrit

    if not parts:
        return None
    values = _matrix(parts)
    n = np.isfinite(values).sum(1)
    around = np.nan_to_num(values - np.nanmean(values, axis=1, keepdims=True))
    counts = np.zeros((), int)
    for k in range(0, len(values), _AT_ONCE):
        some, of = around[k : k + _AT_ONCE], n[k : k + _AT_ONCE]
        turned = sign_flips(some.T)[1:]  # the first turns none
        variance = np.maximum((some**2).sum(1) - turned**2 / of, 1e-12) * of / np.maximum(of - 1, 1)
        counts = counts + (turned > stdtrit(np.maximum(of - 1, 1), (1 + LEVEL) / 2) * np.sqrt(variance)).sum(1)
    p = float(((counts >= positive).sum() + 1) / (len(counts) + 1))
    return ManyRows(len(parts), positive, int(np.quantile(counts, LEVEL, method="higher")), p)


def holds_corrected(parts: Sequence[Mapping[str, float]], effects: Sequence[Score]) -> list[bool]:
    """Whether each method's effect lies above 0 after correction for all of them, at 95 % for all together: by the
    greatest of the standardised effects under sign flips (Westfall & Young 1993).

    Args:
        parts: as in `count_positive`; they add up to the effects. `effects`: with intervals, whose width holds the
            training-overlap correction.
    """
    from scipy.special import stdtrit

    if not parts:
        return []
    values = _matrix(parts)
    n = np.isfinite(values).sum(1)
    own = np.sqrt(np.maximum(np.nansum(values**2, axis=1), 1e-24))
    spread = np.nanstd(values, axis=1, ddof=1) * np.sqrt(n)
    half = np.array([np.inf if e.low is None or e.high is None else (e.high - e.low) / 2 for e in effects])
    wider = np.maximum(half / stdtrit(np.maximum(n - 1, 1), (1 + LEVEL) / 2) / np.maximum(spread, 1e-12), 1.0)
    standardised = np.nansum(values, axis=1) / own / wider
    greatest = np.zeros(())
    for k in range(0, len(values), _AT_ONCE):
        turned = sign_flips(np.nan_to_num(values[k : k + _AT_ONCE]).T) / own[k : k + _AT_ONCE]
        greatest = np.maximum(greatest, np.abs(turned).max(1))
    below = np.searchsorted(np.sort(greatest), standardised - 1e-9)
    return [bool(found) for found in 1 - below / len(greatest) < ALPHA]


def _matrix(parts: Sequence[Mapping[str, float]]) -> np.ndarray:
    """(M, G) the parts of M methods by group of subjects, NaN where a method has none."""
    names = sorted(set().union(*parts))
    return np.array([[of.get(name, np.nan) for name in names] for of in parts])
