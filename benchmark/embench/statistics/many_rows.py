"""Number of a leaderboard's methods that are associated with the label given time and movement, and the number to
expect by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embench.statistics.intervals import LEVEL
from embench.statistics.significance import sign_flips

_AT_ONCE = 64
"""Number of rows turned at once, to bound memory."""
_GIVEN = "given time and movement"


@dataclass(frozen=True)
class ManyRows:
    """Number of methods whose association with the label, given time and movement, was tested.

    Args:
        asked: how many. `adding`: how many are associated.
        by_luck: how many would be by chance, at most, in 95 % of worlds without any association. `p`: the proportion of
            such worlds with as many; both approximate.
    """

    asked: int
    adding: int
    by_luck: int
    p: float

    @property
    def beyond_luck(self) -> bool:
        """True where more methods are associated than chance explains."""
        return self.adding > self.by_luck

    @property
    def sentence(self) -> str:
        """A sentence with the numbers and their meaning."""
        told = f"The scores of {self.adding} of {self.asked} methods are associated with the label, {_GIVEN}"
        if not self.adding:
            return f"{told}."
        return f"{told}; by chance, at most {self.by_luck} (p about {self.p:.2g})."


def count_adding(effects: Sequence[Mapping[str, float]], adding: int) -> ManyRows | None:
    """The count, of the parts of each row's partial correlation that groups of subjects add, by their names.

    The parts, less their mean, change sign group by group, in all rows at once, so that rows keep their correlation; a
    row of such a world adds where its t interval, without the allowance for shared training, lies above 0. Subjects
    who train each other's models are not independent, so that p is approximate: .05 is reached in 6 to 11 % of boards
    on which nothing adds.

    Returns:
        None without rows.
    """
    from scipy.special import stdtrit

    if not effects:
        return None
    names = sorted(set().union(*effects))
    parts = np.array([[of.get(name, np.nan) for name in names] for of in effects])
    n = np.isfinite(parts).sum(1)
    around = np.nan_to_num(parts - np.nanmean(parts, axis=1, keepdims=True))
    counts = np.zeros((), int)
    for k in range(0, len(parts), _AT_ONCE):
        some, of = around[k : k + _AT_ONCE], n[k : k + _AT_ONCE]
        turned = sign_flips(some.T)[1:]  # the first turns none
        variance = np.maximum((some**2).sum(1) - turned**2 / of, 1e-12) * of / np.maximum(of - 1, 1)
        counts = counts + (turned > stdtrit(np.maximum(of - 1, 1), (1 + LEVEL) / 2) * np.sqrt(variance)).sum(1)
    p = float(((counts >= adding).sum() + 1) / (len(counts) + 1))
    return ManyRows(len(effects), adding, int(np.quantile(counts, LEVEL, method="higher")), p)
