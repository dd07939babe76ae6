"""Intervals, tests of differences, and many methods on one leaderboard."""

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

# Estimates with their intervals: t over groups of subjects, and the jackknife over groups for all other scores. The
# add-one interval is for scores between 0 and 1.
#
# Subjects recorded together are not independent, so that the group is what varies in both; a subject recorded alone is
# a group. All intervals are two-sided at 95 %.

LEVEL = 0.95
SHARED_AT_MOST = 2.0
"""Bound on the variance added by subjects who train each other's models, as a multiple of the variance itself. Models
of noise alone add it once; it may be underestimated by half."""


@dataclass(frozen=True)
class Estimate:
    """A number with its spread and interval.

    Args:
        std: the standard deviation over what `over` names: subjects (`subjects`, `subjects and stimuli`), the
            `folds` of a seed (mean over seeds), or the `jackknife` (a standard error).
        low, high: the ends of the t interval, `mean` -+ t * `error` with `df` degrees of freedom, or of the interval of
            `add_one`; None where nothing can vary. `shared`: the part of `error`^2 that is `training_overlap`, None
            where seeds do not show it. `groups`: of subjects, from which `error` comes.
        subjects: how many it rests on. `left_out`: what is not in it, in words.
        comparisons: how many a conditioned score is made of, in the seed that has fewest.
        without: (G,) the score without each group of subjects, see `Jackknife`; `subject_values`: (P,) values of
            subjects, NaN where unknown. The interval comes from one of the two, and differences are paired through it.
        without_stimulus: (K,) the score without each stimulus, where the interval covers other stimuli too.
        by_seed: (S, G) what each group of subjects adds in each of several seeds, see `training_overlap`.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    subjects: int
    over: Literal["subjects", "subjects and stimuli", "folds", "jackknife"]
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
        """The estimate as `Scores.content` holds it."""
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
    """All subjects but one group, for each group in turn (Efron & Stein 1981, doi 10.1214/aos/1176345462).

    Args:
        subjects: (P,) their names. `codes`: (P,) their groups, from 0 on.
        stimuli: names of stimuli, each of which is left out in turn too, by scores inside subjects.
    """

    subjects: np.ndarray
    codes: np.ndarray
    stimuli: tuple[str, ...] = ()

    @cached_property
    def counts(self) -> np.ndarray:
        """(G, P) how often each subject is in each sample: not at all in the one without its group, else once."""
        return (self.codes != np.arange(int(self.codes.max(initial=-1)) + 1)[:, None]).astype(np.int64)

    def by_group(self, values: np.ndarray) -> np.ndarray:
        """(..., G) sums of `values` (..., P) over the subjects of each group."""
        return np.asarray(values @ (self.codes[:, None] == np.arange(len(self.counts))))

    def without_involved(self, values: np.ndarray, involved: np.ndarray) -> np.ndarray:
        """`values` (G,), NaN for groups of which no subject is `involved` (P,): they vary nothing."""
        matters = np.bincount(self.codes, involved, len(values)) > 0
        return np.where(matters, values, np.nan)


def leave_one_out(
    tested: Sequence[Mapping[int, Iterable[str]]], groups: Mapping[str, str], stimuli: Iterable[str] = ()
) -> Jackknife:
    """The jackknife of the tested subjects.

    Args:
        tested: for each seed, fold -> subjects in its test part.
        groups: subject -> group; one that is not in it is a group.
        stimuli: those that subjects share.
    """
    subjects = np.array(sorted({subject for folds in tested for members in folds.values() for subject in members}))
    _, codes = np.unique([groups.get(subject, subject) for subject in subjects.tolist()], return_inverse=True)
    return Jackknife(subjects, codes, tuple(stimuli))


def jackknife_error(values: np.ndarray) -> tuple[float, int]:
    """The standard error of a score, and its degrees of freedom, from the score without each group (G,), NaN for groups
    that vary nothing; (0, 0) where there are not two."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return 0.0, 0
    return float(np.sqrt((len(known) - 1) * known.var())), len(known) - 1


def mean_over_subjects(
    subject_values: np.ndarray, group: np.ndarray, left_out: tuple[Reason, ...] = ()
) -> Estimate | Undefined:
    """The mean over subjects, with a t interval over groups.

    The estimate is the plain mean of `subject_values` (P,), NaN excluded. Its variance is the cluster-robust one,
    G / (G - 1) times the sum over the G groups of (sum of its subjects' deviations)^2, over P^2, with G - 1 degrees of
    freedom; when every subject is a group of their own, this is the ordinary t interval.

    Args:
        group: (P,) anything that is equal within a group.
    """
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
    """The estimate with a standard error and its t interval."""
    from scipy import stats  # boards are shown without it

    half = float(stats.t.ppf((1 + LEVEL) / 2, df) * error)
    return replace(estimate, low=estimate.mean - half, high=estimate.mean + half, error=error, df=df)


def over_stimuli_too(estimate: Estimate, without: np.ndarray) -> Estimate:
    """An estimate over subjects with an interval that covers other stimuli too.

    The variance over stimuli, by the jackknife, is added to the one over subjects, which errs on the safe side: what is
    due to single units is counted in both (Owen & Eckles 2012, doi 10.1214/12-AOAS547, section 4).

    Args:
        without: (K,) the score without each stimulus, NaN where it has none.
    """
    error, df = jackknife_error(without)
    if estimate.error is None or not df:
        return estimate
    widened = with_interval(estimate, math.hypot(estimate.error, error), min(estimate.df, df))
    return replace(widened, over="subjects and stimuli", without_stimulus=without)


def paired_difference(one: Estimate, other: Estimate, group: np.ndarray) -> Estimate | Undefined:
    """`one` less `other`, paired: subject by subject where both have values of subjects (`group` (P,) theirs), else
    by leaving out the same groups, or stimuli. The interval is of the same kind as theirs."""
    if one.subject_values is not None and other.subject_values is not None:
        gap = mean_over_subjects(one.subject_values - other.subject_values, group)
        if isinstance(gap, Undefined):
            return gap
        if one.without_stimulus is not None and other.without_stimulus is not None:
            gap = over_stimuli_too(gap, one.without_stimulus - other.without_stimulus)
    elif one.without is None or other.without is None:
        return Undefined("other_subjects")
    else:
        least = min(one.subjects, other.subjects)
        gap = jackknife_estimate(one.mean - other.mean, one.without - other.without, least)
    if one.by_seed is None or other.by_seed is None:
        return gap
    return replace(gap, by_seed=one.by_seed - other.by_seed)


def training_overlap(by_seed: np.ndarray | None, trained: np.ndarray) -> float | None:
    """Variance of a mean over subjects that is due to subjects who train each other's models.

    Two subjects of different folds each train the model that predicts the other, so that what they add to a score is
    not independent. Where there is nothing to learn, so that a model is made of its training subjects' noise alone,
    this about doubles the variance. It shows between seeds: two subjects who are tested together in one seed and apart
    in another leave the training set together, and what both add changes together. The sum of the products of their
    changes estimates the covariance, by least squares; it is raised by its standard error, because it is made of few
    seeds, and is at most what it would be if all that changes between seeds were shared.

    Args:
        by_seed: (S, G) what each group of subjects adds in each seed, NaN where a seed has no score; None of one seed.
        trained: (S, G, G) see `Joined.trained`.

    Returns:
        None where fewer than two seeds have a score, or all split subjects alike.
    """
    if by_seed is None:
        return None
    known = np.isfinite(by_seed).all(1)
    if known.sum() < 2 or (trained[known] == trained[known][0]).all():
        return None
    share, change = trained[known].mean(0), by_seed[known] - by_seed[known].mean(0)
    moved = (trained[known] - share) ** 2
    most = (share**2).sum() / (moved.sum() / (known.sum() - 1)) * by_seed[known].var(0, ddof=1).sum()
    products = (moved * change[:, :, None] * change[:, None, :]).sum(0)
    np.fill_diagonal(products, 0.0)
    scale = (share**2).sum() / (moved**2).sum()
    covariance, error = scale * products.sum(), scale * np.sqrt(2 * (products**2).sum())
    return float(np.clip(covariance + error, 0.0, most))


def widen(estimate: Estimate, shared: float | None) -> Estimate:
    """The estimate with the `training_overlap`, within its bound, in its error and its interval; as it is where there
    is none."""
    if estimate.error is None or shared is None:
        return estimate
    shared = min(shared, SHARED_AT_MOST * estimate.error**2)
    return with_interval(replace(estimate, shared=shared), math.sqrt(estimate.error**2 + shared), estimate.df)


def jackknife_estimate(mean: float, without: np.ndarray, subjects: int, left_out: tuple[Reason, ...] = ()) -> Estimate:
    """An estimate whose standard error and t interval come from the score without each group (G,)."""
    error, df = jackknife_error(without)
    estimate = Estimate(mean, None, None, None, subjects, "jackknife", left_out, without=without)
    return with_interval(replace(estimate, std=error, groups=df + 1), error, df) if df else estimate


def add_one(estimate: Estimate) -> Estimate:
    """The estimate of a score in 0..1, with chance at .5, with the ends of the interval that it has when one more group
    of subjects scores .5 (after Agresti & Coull 1998, doi 10.1080/00031305.1998.10480550). Only the ends are changed.

    Near 1 few subjects differ, so that the spread of those at hand says too little of the others: a t interval then
    leaves the truth out far more often than in 5 %.
    """
    if estimate.error is None:
        return estimate
    from scipy import stats  # boards are shown without it

    n, shared = estimate.groups, estimate.shared or 0.0
    centre = (n * estimate.mean + 0.5) / (n + 1)
    own = ((n - 1) * (estimate.error**2 - shared) + (estimate.mean - 0.5) ** 2 / (n + 1)) / (n + 1)
    half = float(stats.t.ppf((1 + LEVEL) / 2, estimate.df)) * math.sqrt(own + shared)
    return replace(estimate, low=max(0.0, centre - half), high=min(1.0, centre + half))


# Tests of paired differences, on arrays alone: which differences are more than chance, and which too small to matter.
#
# One test is primary and was chosen beforehand: the permutation test over groups of subjects, with the allowance for
# shared training where seeds show it. The others are further ones. `docs/why/statistics.md` describes each of them, and
# how often each rejects where there is nothing to find.

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
    as all `values` do, the observed difference by `intervals.training_overlap` more, each in its own spread."""
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


# Many methods on one board: the possible ranks of each, and the lead of the best of equal ones by luck.
#
# Arithmetic on published numbers alone, with numpy: boards are also printed by a command that starts at once.

DRAWS = 2**15
_RANK_SEED = 20261121
_AT_ONCE = 1024
"""Number of flips computed at once, to bound memory."""


@dataclass(frozen=True)
class Summands:
    """Contributions of groups of subjects to a method's score.

    Args:
        fits: equal for methods that predicted the same units in the same folds and seeds.
        adds: (G,) they add up to the score in the seeds that are compared (see `summands.shared_part`).
        by_seed: (S, G) what groups add in each seed, NaN in seeds without a score, and `trained` (S, G, G): see
            `intervals.training_overlap`.
    """

    fits: str
    contributions: np.ndarray
    by_seed: np.ndarray
    trained: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """The summands as an entry holds them."""
        by_seed = [[None if x != x else x for x in seed] for seed in self.by_seed.round(9).tolist()]
        trained = [["".join(map(str, row)) for row in seed] for seed in self.trained.astype(int).tolist()]
        return {
            "fits": self.fits,
            "contributions": self.contributions.round(9).tolist(),
            "by_seed": by_seed,
            "trained": trained,
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Summands:
        """Raises KeyError where a part is missing."""
        by_seed = np.array(kept["by_seed"], float)
        trained = np.array([[[digit == "1" for digit in row] for row in seed] for seed in kept["trained"]])
        return cls(kept["fits"], np.array(kept["contributions"], float), by_seed, trained)


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
    contributions = np.stack([s.contributions for s in summands])
    own = np.stack([((row - contributions) ** 2).sum(-1) for row in contributions])
    error = np.sqrt(own + _shared(summands, own))
    gaps = np.stack([(row - contributions).sum(-1) for row in contributions])
    standardised = np.divide(gaps, error, out=np.zeros_like(own), where=error > 0)
    signs = 1.0 - 2.0 * group_permutations(contributions.shape[1])
    turned, spread = (signs @ contributions.T).T.copy(), np.where(own > 0, np.sqrt(own), np.inf)
    greatest = np.zeros(len(signs))
    for k in range(0, len(signs), _AT_ONCE):
        some = turned[:, k : k + _AT_ONCE]
        for m in range(len(some) - 1):
            values = np.abs(some[m + 1 :] - some[m])
            values /= spread[m, m + 1 :, None]
            np.maximum(greatest[k : k + _AT_ONCE], values.max(0), out=greatest[k : k + _AT_ONCE])
    return _corrected(standardised, greatest), standardised, signs @ _centred(summands, contributions).T


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
    shared = training_overlap(by_seed, trained)
    return own if shared is None else min(shared, SHARED_AT_MOST * own)


def _centred(summands: Sequence[Summands], contributions: np.ndarray) -> np.ndarray:
    """(M, G) what methods add beyond their mean, as if all were equal, with the variance from shared training."""
    beyond = contributions - contributions.mean(0)
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
    rng = np.random.default_rng(_RANK_SEED)
    drawn = rng.standard_normal((DRAWS, len(means)))
    greatest = np.ptp(drawn, axis=1) / np.sqrt(2 * rng.chisquare(df, DRAWS) / df)
    noise = drawn * errors
    return _corrected(standardised, greatest), standardised, noise


def _corrected(standardised: np.ndarray, greatest: np.ndarray) -> np.ndarray:
    """(M, M) p of differences, among draws (R,) of the greatest of them where all methods are equal."""
    below = np.searchsorted(np.sort(greatest), np.abs(standardised) - 1e-9)
    return np.asarray(1 - below / len(greatest))


# Many methods on one leaderboard: how many positive answers chance explains, and which answers survive correction.
#
# Both follow from the parts that groups of subjects contribute to each method's number, by sign flips of all methods at
# once, so that methods keep their correlation.

_METHODS_AT_ONCE = 64
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
    for k in range(0, len(values), _METHODS_AT_ONCE):
        some, of = around[k : k + _METHODS_AT_ONCE], n[k : k + _METHODS_AT_ONCE]
        turned = sign_flips(some.T)[1:]  # the first turns none
        variance = np.maximum((some**2).sum(1) - turned**2 / of, 1e-12) * of / np.maximum(of - 1, 1)
        counts = counts + (turned > stdtrit(np.maximum(of - 1, 1), (1 + LEVEL) / 2) * np.sqrt(variance)).sum(1)
    p = float(((counts >= positive).sum() + 1) / (len(counts) + 1))
    return ManyRows(len(parts), positive, int(np.quantile(counts, LEVEL, method="higher")), p)


def holds_corrected(parts: Sequence[Mapping[str, float]], effects: Sequence[Score]) -> list[bool]:
    """True for each method whose effect lies above 0 after correction for all of them, at 95 % for all together: by the
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
    for k in range(0, len(values), _METHODS_AT_ONCE):
        turned = sign_flips(np.nan_to_num(values[k : k + _METHODS_AT_ONCE]).T) / own[k : k + _METHODS_AT_ONCE]
        greatest = np.maximum(greatest, np.abs(turned).max(1))
    below = np.searchsorted(np.sort(greatest), standardised - 1e-9)
    return [bool(found) for found in 1 - below / len(greatest) < ALPHA]


def _matrix(parts: Sequence[Mapping[str, float]]) -> np.ndarray:
    """(M, G) the parts of M methods by group of subjects, NaN where a method has none."""
    names = sorted(set().union(*parts))
    return np.array([[of.get(name, np.nan) for name in names] for of in parts])


# Spread of scores: between the rows of a board, between seeds, and between groups of subjects.


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
    gap = a.contributions - b.contributions
    return float(2 * np.sqrt(((gap - gap.mean()) ** 2).sum() * len(gap) / (len(gap) - 1)))


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean of values (P,) of subjects, NaN left out of it, and its standard error."""
    return float(np.nanmean(values)), float(np.nanstd(values, ddof=1) / len(values) ** 0.5)
