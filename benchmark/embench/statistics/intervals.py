"""Intervals of scores, tests of differences, and corrections for many methods on one leaderboard."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np

from embench.interfaces.metric import Undefined
from embench.reasons import Reason
from embench.records.scores import Score

# Intervals are t intervals over groups of subjects, or from the jackknife over groups for scores that are not means of
# subjects. The add-one interval is for scores between 0 and 1. Subjects recorded together are not independent, so that
# groups are what varies; a subject recorded alone is a group. All intervals are two-sided at 95 %.

LEVEL = 0.95
MAX_OVERLAP = 2.0
"""Upper bound of the training-overlap variance, as a multiple of the variance without it. For models of noise alone the
true multiple is 1, and the variance without it may be underestimated by half."""


@dataclass(frozen=True)
class Estimate:
    """A number with its spread and interval.

    Args:
        std: standard deviation. It is over subjects if `over` is `subjects` or `subjects_and_stimuli`, over the folds
            of a seed (mean over seeds) for `folds`, and the standard error for `jackknife`.
        low, high: the ends of the t interval, `mean` -+ t * `error` with `df` degrees of freedom, or of the interval of
            `with_add_one_interval`; None without an interval, as for one group of subjects.
        shared: the part of `error`^2 that is `training_overlap`; None if it was not estimated.
        groups: the number of groups of subjects from which `error` comes.
        subjects: the number of subjects. `left_out`: reasons why some data are not included.
        comparisons: number of comparisons in the seed with the fewest; None unless the score is conditioned.
        without: (G,) the score without each group of subjects, see `Jackknife`; `subject_values`: (P,) values of
            subjects, NaN if unknown. The interval comes from one of the two, and differences are paired through it.
        without_stimulus: (K,) the score without each stimulus, if the interval covers other stimuli too.
        by_seed: (S, G) the contribution of each group of subjects in each of several seeds, see `training_overlap`."""

    mean: float
    std: float | None
    low: float | None
    high: float | None
    subjects: int
    over: Literal["subjects", "subjects_and_stimuli", "folds", "jackknife"]
    left_out: tuple[Reason, ...] = ()
    comparisons: int | None = None
    without: np.ndarray | None = None
    subject_values: np.ndarray | None = None
    without_stimulus: np.ndarray | None = None
    by_seed: np.ndarray | None = None
    error: float | None = None
    df: int = 0
    groups: int = 0
    shared: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as `Scores.content` holds it."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "std": self.std,
            "low": self.low,
            "high": self.high,
            "subjects": self.subjects,
            "over": self.over,
            "training_overlap": self.shared,
            "left_out": [Reason.make(each).to_dict() for each in self.left_out],
        }
        return values if self.comparisons is None else {**values, "comparisons": self.comparisons}


@dataclass(frozen=True)
class Jackknife:
    """Samples of all subjects but one group, for each group in turn (Efron & Stein 1981, doi 10.1214/aos/1176345462).

    Args:
        subjects: (P,) names. `codes`: (P,) number of each subject's group, from 0.
        stimuli: names of stimuli; within-subject scores also leave out each of them in turn."""

    subjects: np.ndarray
    codes: np.ndarray
    stimuli: tuple[str, ...] = ()

    @cached_property
    def counts(self) -> np.ndarray:
        """(G, P) number of times that sample g contains subject p: 0 for subjects of group g, else 1."""
        return (self.codes != np.arange(int(self.codes.max(initial=-1)) + 1)[:, None]).astype(np.int64)

    def select(self, members: np.ndarray) -> np.ndarray:
        """Return a mask (P,) of the subjects that `members` (m,) names."""
        known = set(members.tolist())
        return np.array([name in known for name in self._names], bool)

    @cached_property
    def _names(self) -> list[str]:
        return self.subjects.tolist()

    def by_group(self, values: np.ndarray) -> np.ndarray:
        """Return (..., G) sums of `values` (..., P) over the subjects of each group."""
        return np.asarray(values @ (self.codes[:, None] == np.arange(len(self.counts))))

    def mask_uninvolved(self, values: np.ndarray, involved: np.ndarray) -> np.ndarray:
        """Return `values` (G,), with NaN for groups that do not affect the score: none of their subjects is marked in
        `involved` (P,)."""
        has_involved = np.bincount(self.codes, involved, len(values)) > 0
        return np.where(has_involved, values, np.nan)


def leave_one_out(
    tested: Sequence[Mapping[int, Iterable[str]]], groups: Mapping[str, str], stimuli: Iterable[str] = ()
) -> Jackknife:
    """Return the jackknife of the tested subjects.

    Args:
        tested: for each seed, fold -> subjects in its test part.
        groups: subject -> group; a subject that is not listed is a group by itself.
        stimuli: the stimuli that subjects share."""
    subjects = np.array(sorted({subject for folds in tested for members in folds.values() for subject in members}))
    _, codes = np.unique([groups.get(subject, subject) for subject in subjects.tolist()], return_inverse=True)
    return Jackknife(subjects, codes, tuple(stimuli))


def jackknife_error(values: np.ndarray) -> tuple[float, int]:
    """Return the standard error of a score and the error's degrees of freedom; (0, 0) if fewer than two groups affect
    the score. `values`: (G,) for each group of subjects the score of all others, NaN for groups that do not affect
    it."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return 0.0, 0
    return float(np.sqrt((len(known) - 1) * known.var())), len(known) - 1


def mean_over_subjects(
    subject_values: np.ndarray, group: np.ndarray, left_out: tuple[Reason, ...] = ()
) -> Estimate | Undefined:
    """Return the mean over subjects, with a t interval over groups.

    The estimate is the plain mean of `subject_values` (P,), NaN excluded. Its variance is the cluster-robust one, G /
    (G - 1) times the sum over the G groups of (sum of its subjects' deviations)^2, over P^2, with G - 1 degrees of
    freedom. If each subject is a group, this is the ordinary t interval.

    Args:
        group: (P,) name or number of each subject's group."""
    known = np.isfinite(subject_values)
    values = subject_values[known]
    if not len(values):
        return Undefined("no_subject_with_value")
    mean = float(values.mean())
    _, codes = np.unique(group[known], return_inverse=True)
    sums = np.bincount(codes, values - mean)
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    estimate = Estimate(mean, std, None, None, len(values), "subjects", left_out, subject_values=subject_values)
    if len(sums) < 2:
        return estimate
    error = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values)
    return with_interval(replace(estimate, groups=len(sums)), float(error), len(sums) - 1)


def with_interval(estimate: Estimate, error: float, df: int) -> Estimate:
    """Return the estimate with the standard error `error` and the t interval that follows from it, with `df` degrees of
    freedom."""
    half = float(_t_quantile(df) * error)
    return replace(estimate, low=estimate.mean - half, high=estimate.mean + half, error=error, df=df)


@cache
def _t_quantile(df: int) -> float:
    """Return the quantile of the t distribution that bounds the interval at `LEVEL`."""
    from scipy.special import stdtrit  # equal to `scipy.stats.t.ppf`, whose import takes half a second

    return float(stdtrit(df, (1 + LEVEL) / 2))


def cover_other_stimuli(estimate: Estimate, without: np.ndarray) -> Estimate:
    """Return an estimate over subjects with an interval that covers other stimuli too.

    The variance over stimuli, by the jackknife, is added to the variance over subjects. This errs on the safe side: the
    variance of single units is counted in both (Owen & Eckles 2012, doi 10.1214/12-AOAS547, section 4).

    Args:
        without: (K,) the score without each stimulus, NaN if it is undefined then."""
    error, df = jackknife_error(without)
    if estimate.error is None or not df:
        return estimate
    widened = with_interval(estimate, math.hypot(estimate.error, error), min(estimate.df, df))
    return replace(widened, over="subjects_and_stimuli", without_stimulus=without)


def paired_difference(one: Estimate, other: Estimate, group: np.ndarray) -> Estimate | Undefined:
    """Return the paired difference `one` less `other`, with the same kind of interval as theirs. If both estimates have
    values of subjects, the values are paired. If not, the scores without each group of subjects are paired.

    Args:
        group: (P,) name or number of each subject's group, for values of subjects."""
    if one.subject_values is not None and other.subject_values is not None:
        gap = mean_over_subjects(one.subject_values - other.subject_values, group)
        if isinstance(gap, Undefined):
            return gap
        if one.without_stimulus is not None and other.without_stimulus is not None:
            gap = cover_other_stimuli(gap, one.without_stimulus - other.without_stimulus)
    elif one.without is None or other.without is None:
        return Undefined("other_subjects")
    else:
        least = min(one.subjects, other.subjects)
        gap = jackknife_estimate(one.mean - other.mean, one.without - other.without, least)
    if one.by_seed is None or other.by_seed is None:
        return gap
    return replace(gap, by_seed=one.by_seed - other.by_seed)


def training_overlap(by_seed: np.ndarray | None, trained: np.ndarray) -> float | None:
    """Return the variance of a mean over subjects that arises because subjects train each other's models.

    Two subjects of different folds each train the model that predicts the other, so that their contributions to a score
    are not independent. If there is nothing to learn, models consist of training subjects' noise, and this about
    doubles the variance. Several seeds reveal it. Two subjects who are tested together in one seed and apart in another
    leave the training set together, and their contributions change together. The sum of the products of these changes
    estimates the covariance, by least squares. It is raised by its standard error, because there are few seeds. It is
    limited to its value if subjects shared all changes between seeds.

    Args:
        by_seed: (S, G) contribution of each group of subjects in each seed, NaN if a seed has no score; None for one
            seed.
        trained: (S, G, G) see `Joined.trained`.

    Returns:
        The variance; None if fewer than two seeds have a score, or all seeds split subjects alike."""
    if by_seed is None:
        return None
    known = np.isfinite(by_seed).all(1)
    if known.sum() < 2 or (trained[known] == trained[known][0]).all():
        return None
    share, change = trained[known].mean(0), by_seed[known] - by_seed[known].mean(0)
    moved = (trained[known] - share) ** 2  # how far two groups' training differs from its mean over seeds
    most = (share**2).sum() / (moved.sum() / (known.sum() - 1)) * by_seed[known].var(0, ddof=1).sum()
    products = (moved * change[:, :, None] * change[:, None, :]).sum(0)
    np.fill_diagonal(products, 0.0)  # a group does not train its own model
    scale = (share**2).sum() / (moved**2).sum()
    covariance, error = scale * products.sum(), scale * np.sqrt(2 * (products**2).sum())
    return float(np.clip(covariance + error, 0.0, most))


def widen(estimate: Estimate, shared: float | None) -> Estimate:
    """Return the estimate with the `training_overlap` variance `shared`, at most its bound, added to its error and
    interval. It is unchanged if `shared` is None."""
    if estimate.error is None or shared is None:
        return estimate
    shared = min(shared, MAX_OVERLAP * estimate.error**2)
    return with_interval(replace(estimate, shared=shared), math.sqrt(estimate.error**2 + shared), estimate.df)


def jackknife_estimate(mean: float, without: np.ndarray, subjects: int, left_out: tuple[Reason, ...] = ()) -> Estimate:
    """Return an estimate with the jackknife's standard error and t interval. It has neither if fewer than two groups
    affect the score.

    Args:
        mean: the score of all subjects.
        without: (G,) for each group of subjects the score of all others; NaN for groups that do not affect it.
        subjects: number of subjects. `left_out`: reasons why some data are not included.
    """
    error, df = jackknife_error(without)
    estimate = Estimate(mean, None, None, None, subjects, "jackknife", left_out, without=without)
    return with_interval(replace(estimate, std=error, groups=df + 1), error, df) if df else estimate


def with_add_one_interval(estimate: Estimate) -> Estimate:
    """Return the estimate of a score in 0 to 1 with another interval, as if one more group of subjects scored .5 (after
    Agresti & Coull 1998, doi 10.1080/00031305.1998.10480550). Only the ends change; chance must be .5.

    If the score is near 1, few subjects differ, and their spread underestimates that of others. A t interval then
    misses the truth far more often than in 5 %."""
    if estimate.error is None:
        return estimate
    n, shared = estimate.groups, estimate.shared or 0.0
    centre = (n * estimate.mean + 0.5) / (n + 1)
    variance = ((n - 1) * (estimate.error**2 - shared) + (estimate.mean - 0.5) ** 2 / (n + 1)) / (n + 1)
    half = _t_quantile(estimate.df) * math.sqrt(variance + shared)
    return replace(estimate, low=max(0.0, centre - half), high=min(1.0, centre + half))


# Tests of paired differences. One test is primary and was chosen beforehand: the permutation test over groups of
# subjects, with the training-overlap correction if seeds show it. `docs/why/statistics.md` describes each test, and how
# often each rejects if there is nothing to find.

ALPHA, POWER = 0.05, 0.8
HALF_INTERVAL = 1.959964
"""Half of a 95 % interval, in standard errors."""
EQUIVALENCE_MARGIN = 0.02
"""Methods whose scores differ by less than this count as equivalent."""
MAX_PERMUTATIONS = 2**15
SHARED_TRAINING = "permutation, shared training"
"""Name of the test `shared_training_test`."""
_SEED = 19350101


@cache
def group_permutations(groups: int) -> np.ndarray:
    """Return (R, groups) bool: in each row, True for the groups of subjects for which two methods swap predictions. Row
    0 has no swap. With up to 15 groups the rows are all 2^groups combinations, else `MAX_PERMUTATIONS` random ones,
    always the same."""
    if 2**groups <= MAX_PERMUTATIONS:
        return (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(bool)
    swapped = np.random.default_rng(_SEED).random((MAX_PERMUTATIONS, groups)) < 0.5
    swapped[0] = False
    return swapped


def permutation_test(values: np.ndarray) -> float:
    """Return the two-sided p of the primary test: the proportion of `values` (R,) at least as far from 0 as the first.
    There is one value per row of `group_permutations`. The first is the observed one, which also counts (Phipson &
    Smyth 2010, doi 10.2202/1544-6115.1585), so that p is never 0."""
    rounding = 1e-9 * np.abs(values).max(initial=0.0)
    return float((np.abs(values) >= np.abs(values[0]) - rounding).mean())


def shared_training_test(values: np.ndarray, shared: float) -> float:
    """Return the p of `permutation_test` with the training-overlap correction. The variance of the observed difference
    exceeds that of the permuted values by `shared` (see `training_overlap`), so it is scaled down accordingly."""
    variance = (values**2).mean()
    ratio = min(shared / variance, MAX_OVERLAP) if variance else 0.0
    return permutation_test(np.concatenate([values[:1] / np.sqrt(1 + ratio), values[1:]]))


def sign_flips(summands: np.ndarray) -> np.ndarray:
    """Return (R,) the sum of `summands` (G,), one per group, after each of `group_permutations`: a swap changes the
    sign of a summand. For M methods, `summands` is (G, M) and the result (R, M)."""
    return np.asarray((1.0 - 2.0 * group_permutations(len(summands))) @ summands)


def wilcoxon_test(summands: np.ndarray) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test over groups (G,); 1 if all are 0."""
    from scipy import stats

    return float(stats.wilcoxon(summands).pvalue) if np.any(summands) else 1.0


def corrected_error(differences: np.ndarray, folds: int) -> float:
    """Return the standard error of the mean of `differences` (J,), one per fold of repeated cross-validation, corrected
    for overlapping training sets (Nadeau & Bengio 2003, doi 10.1023/A:1024068626366): sqrt((1 / J + test / train)
    variance), where test / train is 1 / (folds - 1). It has J - 1 degrees of freedom."""
    return float(np.sqrt((1 / len(differences) + 1 / (folds - 1)) * differences.var(ddof=1)))


def t_test(mean: float, error: float, df: float) -> float:
    """Return the two-sided p of a mean with the standard error `error` and `df` degrees of freedom."""
    from scipy import stats

    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, df))


def equivalence_test(mean: float, error: float, df: float, margin: float = EQUIVALENCE_MARGIN) -> float:
    """Return p of the test that a difference lies within `margin` of 0: the greater p of two one-sided t tests (TOST;
    Schuirmann 1987, doi 10.1007/BF01068419)."""
    from scipy import stats

    if error == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(max(stats.t.sf((mean + margin) / error, df), stats.t.cdf((mean - margin) / error, df)))


def smallest_detectable(error: float, df: float) -> float:
    """Return the smallest true difference that a two-sided paired t test at .05 shows with 80 % power, for this
    standard error."""
    from scipy import optimize, special, stats

    critical = stats.t.isf(ALPHA / 2, df)

    def power(noncentrality: float) -> float:
        upper, lower = (special.nctdtr(df, noncentrality, edge) for edge in (critical, -critical))
        return float(1 - upper + np.nan_to_num(lower))  # scipy returns NaN for a negligible tail

    # The noncentrality is the difference in standard errors. The bound is twice the normal approximation, which is
    # enough from 2 subjects on.
    most = 2 * (critical + stats.norm.isf(1 - POWER) + 2)
    return float(optimize.brentq(lambda difference: power(difference) - POWER, 0.0, most, xtol=1e-13) * error)


def holm(p: Sequence[float]) -> list[float]:
    """Return the p values, each corrected for multiple testing (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    stepwise = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(stepwise), 1.0)
    return corrected.tolist()


def rank_groups(different: np.ndarray) -> list[str]:
    """Return letters for methods in the order of their scores. Methods that share a letter do not differ significantly
    (Demšar 2006).

    Each letter stands for a longest sequence of neighbours without a difference: `different` (M, M) is False for all
    its pairs."""
    runs: list[tuple[int, int]] = []
    for start in range(len(different)):
        stop = start + 1
        while stop < len(different) and not different[start : stop + 1, start : stop + 1].any():
            stop += 1
        if not runs or stop > runs[-1][1]:
            runs.append((start, stop))
    letters = [chr(ord("a") + k % 26) + (str(k // 26) if k >= 26 else "") for k in range(len(runs))]  # z, then a1
    return [
        "".join(letter for letter, (a, b) in zip(letters, runs, strict=True) if a <= m < b)
        for m in range(len(different))
    ]


# Ranks of many methods on one leaderboard, with numpy alone: leaderboards are also printed by a command that must start
# at once.

DRAWS = 2**15
_RANK_SEED = 20261121
_FLIPS_AT_ONCE = 1024
"""Number of flips computed at once, to bound memory."""


@dataclass(frozen=True)
class Summands:
    """Contributions of groups of subjects to a method's score.

    Args:
        fits: a digest, equal for methods that predicted the same units in the same folds and seeds.
        contributions: (G,) contributions, which add up to the score in the compared seeds (see `gains.shared_part`).
        by_seed, trained: (S, G) contributions in each seed, and (S, G, G), see `training_overlap`."""

    fits: str
    contributions: np.ndarray
    by_seed: np.ndarray
    trained: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Return the contributions in the form that a leaderboard entry publishes."""
        by_seed = [[None if x != x else x for x in seed] for seed in self.by_seed.round(9).tolist()]
        trained = [["".join(map(str, row)) for row in seed] for seed in self.trained.astype(int).tolist()]
        return {
            "fits": self.fits,
            "contributions": self.contributions.round(9).tolist(),
            "by_seed": by_seed,
            "trained": trained,
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Summands:
        """Return the contributions from the form of `to_dict`. Raises KeyError if a part is missing."""
        by_seed = np.array(content["by_seed"], float)
        trained = np.array([[[digit == "1" for digit in row] for row in seed] for seed in content["trained"]])
        return cls(content["fits"], np.array(content["contributions"], float), by_seed, trained)


@dataclass(frozen=True)
class Ranking:
    """Methods in the order of their scores.

    Args:
        ranks: the best and the worst rank of each method, given the significant differences from other methods.
        lead: score of the first minus the mean of all. `luck`: expected lead of the best of as many equal methods; None
            if a method has no interval.
        paired: whether all methods were compared subject by subject. If not, `luck` is an upper bound.
        letters: letters of each method. Methods that share one do not differ significantly (see `rank_groups`)."""

    ranks: tuple[tuple[int, int], ...]
    lead: float
    luck: float | None
    paired: bool
    letters: tuple[str, ...] = ()


def rank_methods(scores: Sequence[Score], summands: Sequence[Summands | None]) -> Ranking:
    """Return the ranking of methods, given best first. A higher score must be better.

    All pairs are compared by the greatest standardised difference, with an error of 5 % for all comparisons together.
    The largest set of methods with contributions on the same units is compared by sign flips over groups of subjects.
    All other pairs are compared by the range of independent means, with the methods' intervals. If both tests are
    needed, each has half of the 5 %."""
    means = np.array([score.mean for score in scores])
    paired = _same_units(summands)
    known = [s for s, same in zip(summands, paired, strict=True) if same and s is not None]
    level = ALPHA
    if paired.all():
        p, standardised, noise = _compare_paired(known)
    else:
        p, standardised, noise = _compare_unpaired(means, scores)
        if known:
            level, both = ALPHA / 2, np.ix_(paired, paired)
            p[both], standardised[both], paired_noise = _compare_paired(known)
            noise = noise[: len(paired_noise)]
            noise[:, paired] = paired_noise
    above = (p < level) & (standardised > 0)
    ranks = tuple((1 + int(n), len(means) - int(m)) for n, m in zip(above.sum(0), above.sum(1), strict=True))
    luck = float((noise.max(1) - noise.mean(1)).mean())
    letters = tuple(rank_groups(above | above.T))
    return Ranking(ranks, float(means[0] - means.mean()), None if np.isnan(luck) else luck, bool(paired.all()), letters)


def _same_units(summands: Sequence[Summands | None]) -> np.ndarray:
    """Return (M,) True for the largest set of methods with contributions on the same units; all False if no two share
    them."""
    counts = Counter(s.fits for s in summands if s is not None)
    [(fits, count)] = counts.most_common(1) or [("", 0)]
    enough = count > 1 or count == len(summands)
    return np.array([enough and s is not None and s.fits == fits for s in summands])


_Compared = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(M, M) p of each difference, corrected for all pairs; (M, M) standardised differences, row less column; (R, M) draws
of the scores of equal methods, less their expectation."""


def _compare_paired(summands: Sequence[Summands]) -> _Compared:
    """Return the comparison of M methods by sign flips, in the form of `_Compared`.

    A flip changes the signs of all methods' contributions of some groups of subjects, so that methods keep their
    correlation (Westfall & Young 1993). The first flip changes no sign: the observed value also counts."""
    contributions = np.stack([s.contributions for s in summands])
    variance = np.stack([((row - contributions) ** 2).sum(-1) for row in contributions])
    error = np.sqrt(variance + _overlap_variances(summands, variance))
    gaps = np.stack([(row - contributions).sum(-1) for row in contributions])
    standardised = np.divide(gaps, error, out=np.zeros_like(variance), where=error > 0)
    signs = 1.0 - 2.0 * group_permutations(contributions.shape[1])
    flipped, spread = (signs @ contributions.T).T.copy(), np.where(variance > 0, np.sqrt(variance), np.inf)
    greatest = np.zeros(len(signs))
    for k in range(0, len(signs), _FLIPS_AT_ONCE):
        some = flipped[:, k : k + _FLIPS_AT_ONCE]
        for m in range(len(some) - 1):
            values = np.abs(some[m + 1 :] - some[m])
            values /= spread[m, m + 1 :, None]
            np.maximum(greatest[k : k + _FLIPS_AT_ONCE], values.max(0), out=greatest[k : k + _FLIPS_AT_ONCE])
    return _corrected_p(standardised, greatest), standardised, signs @ _as_if_equal(summands, contributions).T


def _overlap_variances(summands: Sequence[Summands], variance: np.ndarray) -> np.ndarray:
    """Return (M, M) the training-overlap variance of the difference of each two methods, 0 on the diagonal. `variance`
    (M, M): the variance of the differences without it."""
    overlap = np.zeros_like(variance)
    for a, b in combinations(range(len(summands)), 2):
        gap = summands[a].by_seed - summands[b].by_seed
        overlap[a, b] = overlap[b, a] = _overlap_variance(gap, summands[0].trained, variance[a, b])
    return overlap


def _overlap_variance(by_seed: np.ndarray, trained: np.ndarray, variance: float) -> float:
    """Return the training-overlap variance, at most `MAX_OVERLAP` times `variance`. If there are too few seeds to
    estimate it, return `variance`, as for models of noise. `variance`: the variance without training overlap."""
    shared = training_overlap(by_seed, trained)
    return variance if shared is None else min(shared, MAX_OVERLAP * variance)


def _as_if_equal(summands: Sequence[Summands], contributions: np.ndarray) -> np.ndarray:
    """Return (M, G) contributions as of equal methods: centred over methods and groups, scaled by training overlap."""
    centred = contributions - contributions.mean(0)
    centred -= centred.mean(1, keepdims=True)
    variance = (centred**2).sum(1)
    by_seed = np.stack([s.by_seed for s in summands])
    by_seed -= by_seed.mean(0)
    shared = [_overlap_variance(row, summands[0].trained, float(v)) for row, v in zip(by_seed, variance, strict=True)]
    ratio = np.divide(shared, variance, out=np.zeros_like(variance), where=variance > 0)
    return np.asarray(centred * np.sqrt(1 + ratio)[:, None])


def _compare_unpaired(means: np.ndarray, scores: Sequence[Score]) -> _Compared:
    """Return the comparison of M methods by the range of independent means (Tukey & Kramer), in the form of
    `_Compared`. This is conservative if methods make similar errors.

    The standard error of a mean comes from half of its interval, also of an add-one interval, although the centre of
    an add-one interval is nearer to .5 than the score, and its ends are limited to 0 and 1
    (`tests/leaderboard/test_ranking.py`)."""
    from scipy.special import stdtrit

    df = max(1, min(score.subjects or 0 for score in scores) - 1)
    half = np.array([np.nan if s.low is None or s.high is None else (s.high - s.low) / 2 for s in scores])
    errors = half / stdtrit(df, 0.975)
    both = np.sqrt(errors[:, None] ** 2 + errors**2)
    gaps = means[:, None] - means
    standardised = np.divide(gaps, both, out=np.zeros_like(gaps), where=both > 0)
    rng = np.random.default_rng(_RANK_SEED)
    drawn = rng.standard_normal((DRAWS, len(means)))
    greatest = np.ptp(drawn, axis=1) / np.sqrt(2 * rng.chisquare(df, DRAWS) / df)
    noise = drawn * errors
    return _corrected_p(standardised, greatest), standardised, noise


def _corrected_p(standardised: np.ndarray, greatest: np.ndarray) -> np.ndarray:
    """Return (M, M) p of differences. `greatest` (R,): draws of the greatest difference between equal methods."""
    below = np.searchsorted(np.sort(greatest), np.abs(standardised) - 1e-9)
    return np.asarray(1 - below / len(greatest))


# Positive answers of many methods on one leaderboard: how many chance explains, and which survive correction. Both
# follow from the contributions of groups of subjects to each method's number, by sign flips of all methods at once, so
# that methods keep their correlation.

_METHODS_AT_ONCE = 64
"""Number of methods whose signs are flipped at once, to bound memory."""


@dataclass(frozen=True)
class PositiveCount:
    """Number of methods with the answer *yes*.

    Args:
        asked: number of methods with an answer. `adding`: number of methods with the answer *yes*.
        by_luck: largest number with *yes* by chance: 95 % of simulated leaderboards of methods that predict nothing
            have no more. None if the entries publish no contributions. Approximate, as is `p`.
        p: proportion of these leaderboards with at least `adding`."""

    asked: int
    adding: int
    by_luck: int | None = None
    p: float | None = None

    @property
    def beyond_luck(self) -> bool:
        """True if there are more positive methods than chance explains."""
        return self.by_luck is not None and self.adding > self.by_luck


def count_positive(parts: Sequence[Mapping[str, float]], positive: int) -> PositiveCount | None:
    """Return how many methods are positive, and how many would be by chance; None without methods.

    Random sign flips of the centred contributions, group by group, simulate methods that predict nothing. Such a method
    is positive if its t interval, without the training-overlap correction, lies above 0. Subjects who train each
    other's models are not independent, so that p is approximate: it is below .05 on 6 to 11 % of leaderboards on which
    no method predicts anything.

    Args:
        parts: for each method, group of subjects -> its contribution to a number that is tested against 0 or chance.
        positive: how many methods have the answer *yes*."""
    from scipy.special import stdtrit

    if not parts:
        return None
    values = _contribution_matrix(parts)
    n = np.isfinite(values).sum(1)
    centred = np.nan_to_num(values - np.nanmean(values, axis=1, keepdims=True))
    counts = np.zeros((), int)  # positive methods after each flip
    for k in range(0, len(values), _METHODS_AT_ONCE):
        some, size = centred[k : k + _METHODS_AT_ONCE], n[k : k + _METHODS_AT_ONCE]
        flipped = sign_flips(some.T)[1:]  # without the first, which flips none
        variance = np.maximum((some**2).sum(1) - flipped**2 / size, 1e-12) * size / np.maximum(size - 1, 1)
        counts = counts + (flipped > stdtrit(np.maximum(size - 1, 1), (1 + LEVEL) / 2) * np.sqrt(variance)).sum(1)
    p = float(((counts >= positive).sum() + 1) / (len(counts) + 1))
    return PositiveCount(len(parts), positive, int(np.quantile(counts, LEVEL, method="higher")), p)


def holds_corrected(parts: Sequence[Mapping[str, float]], effects: Sequence[Score]) -> list[bool]:
    """Return for each method whether its effect lies above 0 after correction for all methods. The error is 5 % for all
    together, by the greatest standardised effect under sign flips (Westfall & Young 1993).

    Args:
        parts: as in `count_positive`; a method's contributions add up to its effect.
        effects: effects with intervals that include the training-overlap correction."""
    from scipy.special import stdtrit

    if not parts:
        return []
    values = _contribution_matrix(parts)
    n = np.isfinite(values).sum(1)
    scale = np.sqrt(np.maximum(np.nansum(values**2, axis=1), 1e-24))
    spread = np.nanstd(values, axis=1, ddof=1) * np.sqrt(n)
    half = np.array([np.inf if e.low is None or e.high is None else (e.high - e.low) / 2 for e in effects])
    # The factor by which the training-overlap correction widens an interval.
    wider = np.maximum(half / stdtrit(np.maximum(n - 1, 1), (1 + LEVEL) / 2) / np.maximum(spread, 1e-12), 1.0)
    standardised = np.nansum(values, axis=1) / scale / wider
    greatest = np.zeros(())
    for k in range(0, len(values), _METHODS_AT_ONCE):
        flipped = sign_flips(np.nan_to_num(values[k : k + _METHODS_AT_ONCE]).T) / scale[k : k + _METHODS_AT_ONCE]
        greatest = np.maximum(greatest, np.abs(flipped).max(1))
    below = np.searchsorted(np.sort(greatest), standardised - 1e-9)
    return [bool(positive) for positive in 1 - below / len(greatest) < ALPHA]


def _contribution_matrix(parts: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Return (M, G) the contributions of groups of subjects (columns, by name) to methods (rows); NaN if missing."""
    names = sorted(set().union(*parts))
    return np.array([[by_group.get(name, np.nan) for name in names] for by_group in parts])


def detectable_difference(a: Summands, b: Summands) -> float:
    """Return half a 95 % interval (two standard errors) of the difference of two entries on the same units, without the
    training-overlap correction."""
    gap = a.contributions - b.contributions
    return float(2 * np.sqrt(((gap - gap.mean()) ** 2).sum() * len(gap) / (len(gap) - 1)))
