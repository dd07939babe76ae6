"""Spread of scores: between the rows of a board, between seeds, and between groups of subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from embench.records.scores import Score
from embench.statistics.ranking import Summands


@dataclass(frozen=True)
class Spread:
    """The spread of the scores of a board.

    Args:
        rows: standard deviation of their scores.
        interval: half a 95 % interval, the median of all.
        seeds: standard deviation between the seeds of a row, the median of all; None where no row tells.
        difference: half a 95 % interval of the difference of two rows on the same units, the median of all pairs; None
            where there is no pair.
    """

    rows: float
    interval: float
    seeds: float | None
    difference: float | None


def spread_of(scores: Sequence[Score], summands: Sequence[Summands]) -> Spread:
    """The spread of the scores of at least two rows, and of the summands of those that have some."""
    halves = [(s.high - s.low) / 2 for s in scores if s.low is not None and s.high is not None]
    seeds = [np.std(np.nansum(each.by_seed, 1), ddof=1) for each in summands]
    gaps = [detectable_difference(a, b) for a, b in combinations(summands, 2) if a.fits == b.fits]
    return Spread(
        rows=float(np.std([score.mean for score in scores], ddof=1)),
        interval=float(np.median(halves)),
        seeds=float(np.median(seeds)) if seeds else None,
        difference=float(np.median(gaps)) if gaps else None,
    )


def detectable_difference(a: Summands, b: Summands) -> float:
    """Half a 95 % interval of the difference of two rows on the same units, of two standard errors, without the
    allowance for shared training."""
    gap = a.adds - b.adds
    return float(2 * np.sqrt(((gap - gap.mean()) ** 2).sum() * len(gap) / (len(gap) - 1)))


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean of values (P,) of subjects, NaN left out of it, and its standard error."""
    return float(np.nanmean(values)), float(np.nanstd(values, ddof=1) / len(values) ** 0.5)
