"""Tests of paired differences, on arrays alone: which differences are more than chance, and which too small to matter.

One test is primary and was chosen beforehand: the permutation test over groups of subjects, with the allowance for
shared training where seeds show it. The others are further ones. `docs/why/statistics.md` describes each of them, and
how often each rejects where there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from embench.statistics.intervals import SHARED_AT_MOST

ALPHA, POWER = 0.05, 0.8
EQUIVALENCE_MARGIN = 0.02
"""Methods whose scores differ by less than this are taken as equivalent."""
MAX_PERMUTATIONS = 2**15
SHARED_TRAINING = "permutation, shared training"
"""The name of the test that `shared_training` makes."""
_SEED = 19350101


@cache
def group_permutations(groups: int) -> np.ndarray:
    """(R, groups) bool, for which groups of subjects two methods swap predictions: none in row 0. All 2^groups ways
    where these are at most `MAX_PERMUTATIONS` (15 groups), else row 0 and `MAX_PERMUTATIONS` - 1 random ones, always
    the same."""
    if 2**groups <= MAX_PERMUTATIONS:
        return (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(bool)
    ways = np.random.default_rng(_SEED).random((MAX_PERMUTATIONS, groups)) < 0.5
    ways[0] = False
    return ways


def permutation_test(values: np.ndarray) -> float:
    """The two-sided p of the primary test: the share of `values` (R,), one for each row of `group_permutations`, that
    lie as far from 0 as the first, which is the one observed. The observed one counts itself (Phipson & Smyth 2010, doi
    10.2202/1544-6115.1585), so that p is never 0."""
    rounding = 1e-9 * np.abs(values).max(initial=0.0)
    return float((np.abs(values) >= np.abs(values[0]) - rounding).mean())


def shared_training_test(values: np.ndarray, shared: float) -> float:
    """p of `permutation_test` with an allowance for subjects who train each other's models: the value of a swap varies
    as all `values` do, the observed difference by `intervals.shared_variance` more, each in its own spread."""
    own = (values**2).mean()
    more = min(shared / own, SHARED_AT_MOST) if own else 0.0
    return permutation_test(np.concatenate([values[:1] / np.sqrt(1 + more), values[1:]]))


def sign_flips(summands: np.ndarray) -> np.ndarray:
    """(R,) the sum of `summands` (G,), one a group, after each of the `group_permutations`: a swap turns a sign. (R, M)
    of those of M methods (G, M)."""
    return np.asarray((1.0 - 2.0 * group_permutations(len(summands))) @ summands)


def wilcoxon_test(summands: np.ndarray) -> float:
    """The two-sided p of Wilcoxon's signed-rank test over groups (G,); 1 where none differs."""
    from scipy import stats

    return float(stats.wilcoxon(summands).pvalue) if np.any(summands) else 1.0


def corrected_error(differences: np.ndarray, folds: int) -> float:
    """The standard error of the mean of `differences` (J,), one for each fold of repeated cross-validation, as Nadeau
    and Bengio (2003, doi 10.1023/A:1024068626366) correct it for overlapping training sets: sqrt((1 / J + test / train)
    variance), where test / train is 1 / (folds - 1). It has J - 1 degrees of freedom."""
    return float(np.sqrt((1 / len(differences) + 1 / (folds - 1)) * differences.var(ddof=1)))


def t_test(mean: float, error: float, df: float) -> float:
    """The two-sided p of a mean with its standard error."""
    from scipy import stats

    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, df))


def equivalence_test(mean: float, error: float, df: float, margin: float = EQUIVALENCE_MARGIN) -> float:
    """The p of two one-sided t tests (TOST; Schuirmann 1987, doi 10.1007/BF01068419) that the difference lies within
    `margin` of 0: the greater of the two."""
    from scipy import stats

    if error == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(max(stats.t.sf((mean + margin) / error, df), stats.t.cdf((mean - margin) / error, df)))


def smallest_detectable(error: float, df: float) -> float:
    """The smallest true difference that a two-sided paired t test at .05 would show with 80 % power, when the standard
    error is this one."""
    from scipy import optimize, special, stats

    critical = stats.t.isf(ALPHA / 2, df)

    def power(noncentrality: float) -> float:
        upper, lower = (special.nctdtr(df, noncentrality, edge) for edge in (critical, -critical))
        return float(1 - upper + np.nan_to_num(lower))  # scipy gives no number for a tail that is next to nothing

    # The noncentrality is the difference in standard errors. Twice the normal approximation's is more than enough from
    # 2 subjects on; with one degree of freedom the critical value itself is the measure.
    most = 2 * (critical + stats.norm.isf(1 - POWER) + 2)
    return float(optimize.brentq(lambda found: power(found) - POWER, 0.0, most, xtol=1e-13) * error)


def holm(p: Sequence[float]) -> list[float]:
    """Each p corrected for being one of these (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    stepwise = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(stepwise), 1.0)
    return corrected.tolist()


def rank_groups(different: np.ndarray) -> list[str]:
    """Letters of methods in the order of their scores: those that share one can't be told apart (Demšar 2006).

    A letter belongs to a longest run of neighbours of which no two differ according to `different` (M, M).
    """
    runs: list[tuple[int, int]] = []
    for start in range(len(different)):
        stop = start + 1
        while stop < len(different) and not different[start : stop + 1, start : stop + 1].any():
            stop += 1
        if not runs or stop > runs[-1][1]:
            runs.append((start, stop))
    return ["".join(_letter(k) for k, (a, b) in enumerate(runs) if a <= m < b) for m in range(len(different))]


def _letter(number: int) -> str:
    """a to z, then a1 to z1, and so on."""
    return chr(ord("a") + number % 26) + (str(number // 26) if number >= 26 else "")
