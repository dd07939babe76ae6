"""Estimates with their intervals: t over groups of subjects, and the jackknife over groups for all other scores. The
add-one interval is for scores between 0 and 1.

Subjects recorded together are not independent, so that the group is what varies in both; a subject recorded alone is a
group. All intervals are two-sided at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from embench.interfaces.metric import Undefined

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
            `add_one`; None where nothing can vary. `shared`: the part of `error`^2 that is `shared_variance`, None
            where seeds do not show it. `groups`: of subjects, from which `error` comes.
        subjects: how many it rests on. `left_out`: what is not in it, in words.
        comparisons: how many a conditioned score is made of, in the seed that has fewest.
        without: (G,) the score without each group of subjects, see `Jackknife`; `subject_values`: (P,) values of
            subjects, NaN where unknown. The interval comes from one of the two, and differences are paired through it.
        without_stimulus: (K,) the score without each stimulus, where the interval covers other stimuli too.
        by_seed: (S, G) what each group of subjects adds in each of several seeds, see `shared_variance`.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    subjects: int
    over: Literal["subjects", "subjects and stimuli", "folds", "jackknife"]
    left_out: tuple[str, ...] = ()
    comparisons: int | None = None
    without: np.ndarray | None = None
    subject_values: np.ndarray | None = None
    without_stimulus: np.ndarray | None = None
    by_seed: np.ndarray | None = None
    error: float | None = None
    df: int = 0
    groups: int = 0
    shared: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The estimate as `Scores.content` holds it."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "std": self.std,
            "low": self.low,
            "high": self.high,
            "subjects": self.subjects,
            "over": self.over,
            "shared_variance": self.shared,
            "left_out": list(self.left_out),
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
    subject_values: np.ndarray, group: np.ndarray, left_out: tuple[str, ...] = ()
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
        return Undefined("no subject has a value")
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
        return Undefined("the two are not scores of the same subjects")
    else:
        least = min(one.subjects, other.subjects)
        gap = jackknife_estimate(one.mean - other.mean, one.without - other.without, least)
    if one.by_seed is None or other.by_seed is None:
        return gap
    return replace(gap, by_seed=one.by_seed - other.by_seed)


def shared_variance(by_seed: np.ndarray | None, trained: np.ndarray) -> float | None:
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
    """The estimate with the `shared_variance`, within its bound, in its error and its interval; as it is where there is
    none."""
    if estimate.error is None or shared is None:
        return estimate
    shared = min(shared, SHARED_AT_MOST * estimate.error**2)
    return with_interval(replace(estimate, shared=shared), math.sqrt(estimate.error**2 + shared), estimate.df)


def jackknife_estimate(mean: float, without: np.ndarray, subjects: int, left_out: tuple[str, ...] = ()) -> Estimate:
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
