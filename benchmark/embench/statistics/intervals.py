"""Estimates with their intervals: t over groups of subjects, and the bootstrap of subjects within folds.

Subjects recorded together are not independent, so that the group is what varies in both; a subject recorded alone is a
group. All intervals are two-sided at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from embench.interfaces.metric import Undefined

LEVEL = 0.95
MIXED_SHARE = 0.25
"""The share of `shared_variance` in intervals of scores that mix subjects within a fold. The whole is right where a
model learned nothing; with this share the intervals have their nominal coverage (`docs/statistics.md`)."""
_SEED = 20150921
"""Of every bootstrap: not of the data, so that a table can be made again."""


@dataclass(frozen=True)
class Estimate:
    """A number with its spread and interval.

    Args:
        std: the standard deviation over what `over` names: subjects (`people`), the `folds` of a seed (mean over
            seeds), or the bootstrap's `replicates` (a standard error).
        low, high: None where nothing can vary.
        subjects: how many it rests on. `left_out`: what is not in it, in words.
        comparisons: how many a conditioned score is made of, in the seed that has fewest.
        replicates: (R,) bootstrap values; `subject_values`: (P,) values of subjects, NaN where unknown. The interval
            comes from one of the two, and differences are paired through it.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    subjects: int
    over: Literal["people", "folds", "replicates"]
    left_out: tuple[str, ...] = ()
    comparisons: int | None = None
    replicates: np.ndarray | None = None
    subject_values: np.ndarray | None = None

    def as_json(self) -> dict[str, Any]:
        """The estimate as `scores.json` holds it."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "std": self.std,
            "low": self.low,
            "high": self.high,
            "people": self.subjects,
            "over": self.over,
            "left_out": list(self.left_out),
        }
        return values if self.comparisons is None else {**values, "comparisons": self.comparisons}


@dataclass(frozen=True)
class Bootstrap:
    """Samples of subjects: `counts` (R, P) is how often each is in each sample; `subjects` (P,) names the columns.

    `groups` were drawn, `free` of them independently (groups less strata).
    """

    subjects: np.ndarray
    counts: np.ndarray
    groups: int
    free: int

    def interval(self, values: np.ndarray) -> tuple[float, float] | tuple[None, None]:
        """The expanded percentile interval of replicates (R,), NaN ignored (Hesterberg 2015, doi
        10.1080/00031305.2015.1089789): percentiles so far out that, for a mean, narrowness of the bootstrap in small
        samples and normal instead of t quantiles are made good for."""
        known = values[np.isfinite(values)]
        if self.free < 1 or not len(known):
            return None, None
        t = stats.t.ppf((1 + LEVEL) / 2, self.free)
        tail = stats.norm.cdf(-t * np.sqrt(self.groups / self.free))
        low, high = np.quantile(known, [tail, 1 - tail])
        return float(low), float(high)


def draw_bootstrap(
    tested: Sequence[Mapping[int, Iterable[str]]], groups: Mapping[str, str], replicates: int
) -> Bootstrap:
    """Bootstrap samples of the tested subjects, drawn within folds.

    A seed has a partition of its own, but its subjects are the same, so that one sample holds for all seeds: sample r
    is stratified by the folds of seed r modulo the number of seeds. A stratum is the groups that are tested in the same
    folds; those alone in theirs share one, else leave-one-subject-out would seem free of error.

    Args:
        tested: for each seed, fold -> subjects in its test part.
        groups: subject -> group.
    """
    subjects = np.array(sorted({subject for folds in tested for members in folds.values() for subject in members}))
    names, group_of = np.unique([groups.get(subject, subject) for subject in subjects.tolist()], return_inverse=True)
    rng = np.random.default_rng(_SEED)
    drawn = np.zeros((replicates, len(names)), np.int64)
    strata_of = [_strata(folds, dict(zip(subjects.tolist(), group_of.tolist(), strict=True))) for folds in tested]
    for k, strata in enumerate(strata_of):
        rows = np.arange(k, replicates, len(tested))
        for stratum in map(np.array, strata):
            size = len(stratum)
            drawn[np.ix_(rows, stratum)] = rng.multinomial(size, np.full(size, 1 / size), len(rows))
    free = len(names) - max(len(strata) for strata in strata_of)
    return Bootstrap(subjects, drawn[:, group_of], len(names), free)


def _strata(folds: Mapping[int, Iterable[str]], group_of: Mapping[str, int]) -> list[list[int]]:
    tested_in: dict[int, set[int]] = {group: set() for group in group_of.values()}
    for fold, members in folds.items():
        for subject in members:
            tested_in[group_of[subject]].add(fold)
    together: dict[tuple[int, ...], list[int]] = {}
    for group, its_folds in sorted(tested_in.items()):
        together.setdefault(tuple(sorted(its_folds)), []).append(group)
    alone = [stratum[0] for stratum in together.values() if len(stratum) == 1]
    return [stratum for stratum in together.values() if len(stratum) > 1] + ([alone] if alone else [])


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
    estimate = Estimate(mean, std, None, None, len(values), "people", left_out, subject_values=subject_values)
    if len(sums) < 2:
        return estimate
    error = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(sums) - 1) * error)
    return replace(estimate, low=mean - half, high=mean + half)


def paired_difference(one: Estimate, other: Estimate, group: np.ndarray, bootstrap: Bootstrap) -> Estimate | Undefined:
    """`one` less `other`, paired: subject by subject where both have values of subjects (`group` (P,) theirs), else
    sample by sample. The interval is of the same kind as theirs."""
    if one.subject_values is not None and other.subject_values is not None:
        return mean_over_subjects(one.subject_values - other.subject_values, group)
    if one.replicates is None or other.replicates is None:
        return Undefined("the two have no subjects or samples in common")
    values = one.replicates - other.replicates
    subjects = min(one.subjects, other.subjects)
    return bootstrap_estimate(one.mean - other.mean, values, bootstrap, subjects)


def shared_variance(by_seed: np.ndarray, parts: int) -> float:
    """What subjects add to the variance of a mean over subjects who train each other's models.

    Two subjects of different folds each train the model that predicts the other, so that what they add to a score is
    not independent. Where there is nothing to learn, so that a model is made of its training subjects' noise alone,
    this about doubles the variance. How much of what subjects add hangs on who trained shows between seeds, whose
    training subjects differ: two partitions into F parts have (1 - 1/F)^2 of the subjects in common, and for
    predictions that are linear in the model the variance to add is (F - 1 + 1/S) times the one between seeds.

    Args:
        by_seed: (S, G) what each group of subjects adds in each of at least two seeds that split subjects differently.
        parts: F, into how many subjects are split for testing.
    """
    return float((parts - 1 + 1 / len(by_seed)) * by_seed.var(0, ddof=1).sum())


def variance_over_groups(by_seed: np.ndarray) -> float:
    """The variance of a sum over groups (S, G), mean over seeds, as if they were independent."""
    groups = by_seed.shape[1]
    return float(groups * by_seed.mean(0).var(ddof=1)) if groups > 1 else 0.0


def widen(estimate: Estimate, by_seed: np.ndarray, parts: int, share: float, most: float = math.inf) -> Estimate:
    """The estimate, its interval widened around it for subjects who train each other's models.

    Args:
        by_seed, parts: as for `shared_variance`. `share`: how much of that is added; `most`: never more than so many
            times the variance that is there.
    """
    own = variance_over_groups(by_seed)
    more = min(share * shared_variance(by_seed, parts) / own, most) if own > 0 else 0.0
    return stretch(estimate, math.sqrt(1 + more))


def stretch(estimate: Estimate, factor: float) -> Estimate:
    """The estimate with each end of its interval so many times as far away."""
    if estimate.low is None or estimate.high is None:
        return estimate
    low, high = (estimate.mean + factor * (end - estimate.mean) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def bootstrap_estimate(
    mean: float, values: np.ndarray, bootstrap: Bootstrap, subjects: int, left_out: tuple[str, ...] = ()
) -> Estimate:
    """An estimate whose interval and standard error come from bootstrap `values` (R,)."""
    low, high = bootstrap.interval(values)
    known = values[np.isfinite(values)]
    std = float(known.std(ddof=1)) if len(known) > 1 else None
    return Estimate(mean, std, low, high, subjects, "replicates", left_out, replicates=values)
