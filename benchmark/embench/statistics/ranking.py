"""Many methods on one board: the possible ranks of each, and the lead of the best of equal ones by luck.

Arithmetic on published numbers alone, with numpy: boards are also printed by a command that starts at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from embench.records.scores import Score
from embench.statistics.intervals import SHARED_AT_MOST, shared_variance
from embench.statistics.significance import ALPHA, group_permutations, rank_groups

DRAWS = 2**15
_SEED = 20261121
_AT_ONCE = 1024
"""Number of flips computed at once, to bound memory."""


@dataclass(frozen=True)
class Summands:
    """Contributions of groups of subjects to a method's score.

    Args:
        fits: equal for methods that predicted the same units in the same folds and seeds.
        adds: (G,) they add up to the score in the seeds that are compared (see `summands.shared_part`).
        by_seed: (S, G) what groups add in each seed, NaN in seeds without a score, and `trained` (S, G, G): see
            `intervals.shared_variance`.
    """

    fits: str
    adds: np.ndarray
    by_seed: np.ndarray
    trained: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """The summands as an entry holds them."""
        by_seed = [[None if x != x else x for x in seed] for seed in self.by_seed.round(9).tolist()]
        trained = [["".join(map(str, row)) for row in seed] for seed in self.trained.astype(int).tolist()]
        return {"fits": self.fits, "adds": self.adds.round(9).tolist(), "by_seed": by_seed, "trained": trained}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Summands:
        """Raises KeyError where a part is missing."""
        by_seed = np.array(kept["by_seed"], float)
        trained = np.array([[[digit == "1" for digit in row] for row in seed] for seed in kept["trained"]])
        return cls(kept["fits"], np.array(kept["adds"], float), by_seed, trained)


@dataclass(frozen=True)
class Ranking:
    """Methods in the order of their scores.

    Args:
        ranks: the best and the worst rank that each method may have: it shares them with those that it can't be told
            apart from.
        lead: of the first over the mean of all. `luck`: by how much the best of as many equal methods would lead;
            None where a method has no interval.
        paired: whether all methods were compared subject by subject. Where not, `luck` is a bound from above.
        letters: of each method; those that share one can't be told apart (see `significance.rank_groups`).
    """

    ranks: tuple[tuple[int, int], ...]
    lead: float
    luck: float | None
    paired: bool
    letters: tuple[str, ...] = ()


def rank_methods(scores: Sequence[Score], summands: Sequence[Summands | None]) -> Ranking:
    """The ranking of methods, best first, of scores of which more is better.

    Every two are compared. Two are told apart at 95 % for all comparisons together, by a test of the greatest of the
    standardised differences: of sign flips over groups of subjects among the methods that have summands of the same
    units (most of them), and of independent means with the methods' own intervals for all others. Where both tests are
    needed, each has half of the 5 %.
    """
    means = np.array([score.mean for score in scores])
    alike = _same_units(summands)
    known = [s for s, same in zip(summands, alike, strict=True) if same and s is not None]
    level = ALPHA
    if alike.all():
        p, standardised, noise = _paired(known)
    else:
        p, standardised, noise = _unpaired(means, scores)
        if known:
            level, both = ALPHA / 2, np.ix_(alike, alike)
            p[both], standardised[both], own_noise = _paired(known)
            noise = noise[: len(own_noise)]
            noise[:, alike] = own_noise
    above = (p < level) & (standardised > 0)
    ranks = tuple((1 + int(n), len(means) - int(m)) for n, m in zip(above.sum(0), above.sum(1), strict=True))
    luck = float((noise.max(1) - noise.mean(1)).mean())
    letters = tuple(rank_groups(above | above.T))
    return Ranking(ranks, float(means[0] - means.mean()), None if np.isnan(luck) else luck, bool(alike.all()), letters)


def _same_units(summands: Sequence[Summands | None]) -> np.ndarray:
    """(M,) True for the largest group of methods with summands of the same units; none where no two of several do."""
    counts = Counter(s.fits for s in summands if s is not None)
    [(fits, count)] = counts.most_common(1) or [("", 0)]
    enough = count > 1 or count == len(summands)
    return np.array([enough and s is not None and s.fits == fits for s in summands])


_Compared = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(M, M) p of each difference, corrected for all pairs; (M, M) standardised differences, row less column; (R, M) draws
of what equal methods score beyond what they should."""


def _paired(summands: Sequence[Summands]) -> _Compared:
    """Sign flips, each of which turns all methods' summands of a group of subjects at once, so that methods keep their
    correlation (Westfall & Young 1993). The first flip turns none: the observed value counts itself."""
    adds = np.stack([s.adds for s in summands])
    own = np.stack([((row - adds) ** 2).sum(-1) for row in adds])
    error = np.sqrt(own + _shared(summands, own))
    gaps = np.stack([(row - adds).sum(-1) for row in adds])
    standardised = np.divide(gaps, error, out=np.zeros_like(own), where=error > 0)
    signs = 1.0 - 2.0 * group_permutations(adds.shape[1])
    turned, spread = (signs @ adds.T).T.copy(), np.where(own > 0, np.sqrt(own), np.inf)
    greatest = np.zeros(len(signs))
    for k in range(0, len(signs), _AT_ONCE):
        some = turned[:, k : k + _AT_ONCE]
        for m in range(len(some) - 1):
            values = np.abs(some[m + 1 :] - some[m])
            values /= spread[m, m + 1 :, None]
            np.maximum(greatest[k : k + _AT_ONCE], values.max(0), out=greatest[k : k + _AT_ONCE])
    return _corrected(standardised, greatest), standardised, signs @ _centred(summands, adds).T


def _shared(summands: Sequence[Summands], own: np.ndarray) -> np.ndarray:
    """(M, M) the variance that shared training adds to each difference."""
    shared = np.zeros_like(own)
    for a, b in combinations(range(len(summands)), 2):
        gap = summands[a].by_seed - summands[b].by_seed
        shared[a, b] = shared[b, a] = _allowance(gap, summands[0].trained, own[a, b])
    return shared


def _allowance(by_seed: np.ndarray, trained: np.ndarray, own: float) -> float:
    """The variance from shared training; where seeds do not show it, as much as there is without, as where there is
    nothing to learn."""
    shared = shared_variance(by_seed, trained)
    return own if shared is None else min(shared, SHARED_AT_MOST * own)


def _centred(summands: Sequence[Summands], adds: np.ndarray) -> np.ndarray:
    """(M, G) what methods add beyond their mean, as if all were equal, with the variance from shared training."""
    beyond = adds - adds.mean(0)
    beyond -= beyond.mean(1, keepdims=True)
    own = (beyond**2).sum(1)
    by_seed = np.stack([s.by_seed for s in summands])
    by_seed -= by_seed.mean(0)
    shared = [_allowance(of, summands[0].trained, float(v)) for of, v in zip(by_seed, own, strict=True)]
    ratio = np.divide(shared, own, out=np.zeros_like(own), where=own > 0)
    return np.asarray(beyond * np.sqrt(1 + ratio)[:, None])


def _unpaired(means: np.ndarray, scores: Sequence[Score]) -> _Compared:
    """Comparison by the range of independent means (Tukey & Kramer), which is too careful where methods err alike.

    Half an add-one interval, whose centre lies nearer to .5 than the score, and which ends at 0 and 1, stands for the
    error of such a score, too (`tests/leaderboard/test_ranking.py`).
    """
    from scipy.special import stdtrit

    df = max(1, min(score.subjects or 0 for score in scores) - 1)
    half = np.array([np.nan if s.low is None or s.high is None else (s.high - s.low) / 2 for s in scores])
    errors = half / stdtrit(df, 0.975)
    both = np.sqrt(errors[:, None] ** 2 + errors**2)
    gaps = means[:, None] - means
    standardised = np.divide(gaps, both, out=np.zeros_like(gaps), where=both > 0)
    rng = np.random.default_rng(_SEED)
    drawn = rng.standard_normal((DRAWS, len(means)))
    greatest = np.ptp(drawn, axis=1) / np.sqrt(2 * rng.chisquare(df, DRAWS) / df)
    noise = drawn * errors
    return _corrected(standardised, greatest), standardised, noise


def _corrected(standardised: np.ndarray, greatest: np.ndarray) -> np.ndarray:
    """(M, M) p of differences, among draws (R,) of the greatest of them where all methods are equal."""
    below = np.searchsorted(np.sort(greatest), np.abs(standardised) - 1e-9)
    return np.asarray(1 - below / len(greatest))
