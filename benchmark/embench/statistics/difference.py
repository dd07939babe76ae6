"""The mean difference of scores between positive and negative units, or units of higher and lower label, over the very
comparisons that a score like AUROC is the share won of: inside subjects, or in the quadruples of a crossed score.

Of what is left of scores, once nuisances are taken off, it is 0 where they tell nothing, whatever the shape of the
scores; the share won need not be .5 there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_of_known, one_against_rest, subject_codes
from embench.interfaces.units import Units
from embench.statistics import conditioned
from embench.statistics.inside import NOTHING_INSIDE, subject_scores_by_seed
from embench.statistics.intervals import (
    Estimate,
    Jackknife,
    jackknife_estimate,
    mean_over_subjects,
    shared_variance,
    widen,
)
from embench.statistics.joined import Joined
from embench.statistics.ordered import order_by_subject


def has_difference(metric: str) -> bool:
    """True if a score is a share of comparisons won, so that there is a mean difference over them."""
    return metric in BY_SUBJECT or (conditioned.is_conditioned(metric) and metric != "auroc_within_stimulus")


def mean_difference(metric: str, joined: Joined, jackknife: Jackknife) -> Estimate | Undefined:
    """The mean difference over the comparisons of `metric`, in units of the scores; mean over classes, each against
    the rest."""
    made = _inside(metric, joined, jackknife) if metric in BY_SUBJECT else _crossed(metric, joined, jackknife)
    if isinstance(made, Undefined) or len(joined.seeds) < 2:
        return made if isinstance(made, Undefined) else made[0]
    found, by_seed = made
    return widen(found, shared_variance(by_seed, joined.trained(jackknife)))


def _inside(metric: str, joined: Joined, jackknife: Jackknife) -> tuple[Estimate, np.ndarray] | Undefined:
    """The mean over subjects, and what each group adds in each seed (S, G)."""
    by_fold = {(seed, fold): BY_SUBJECT[metric](units, jackknife.subjects) for seed, fold, units in joined}
    seeds = subject_scores_by_seed(joined, by_fold)
    values = mean_of_known(seeds)
    found = mean_over_subjects(values, jackknife.codes)
    if isinstance(found, Undefined):
        return Undefined(NOTHING_INSIDE[metric][1])
    return found, jackknife.by_group(np.nan_to_num(seeds / np.isfinite(values).sum()))


def _by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """(P,) the difference inside each subject, NaN for one with one class only or without units."""
    subject, n, by_class = subject_codes(units, subjects), len(subjects), []
    for positive, score in one_against_rest(units):
        with np.errstate(invalid="ignore"):
            high, low = (
                np.bincount(subject[of], score[of], n) / np.bincount(subject[of], minlength=n)
                for of in (positive, ~positive)
            )
        by_class.append(high - low)
    return mean_of_known(by_class)


BY_SUBJECT: Mapping[str, Callable[[Units, np.ndarray], np.ndarray]] = {
    "auroc_within": _by_subject,
    "concordance_within": partial(order_by_subject, graded=True),
}
"""Score inside subjects -> the function that makes the difference inside each."""


def _crossed(metric: str, joined: Joined, jackknife: Jackknife) -> tuple[Estimate, np.ndarray] | Undefined:
    """The mean over quadruples, and what each group adds in each seed (S, G), with partners of all folds: who shares a
    fold changes between seeds."""
    subjects, whole, by_seed = jackknife.subjects, [], []
    for folds in joined.seeds.values():
        mates = conditioned.over_folds(metric, folds.values(), subjects, graded=True)
        first, *rest = folds.values()
        every = conditioned.comparisons(metric, first.join(*rest), subjects, graded=True)
        if isinstance(mates, Undefined) or isinstance(every, Undefined) or not conditioned.estimable(metric, mates):
            by_seed.append(np.full(len(jackknife.counts), np.nan))
            continue
        whole.append(mates)
        by_seed.append(jackknife.by_group(_mean([t.wins.sum(1) / t.pairs.sum() for t in every if t.pairs.any()])))
    if not whole:
        return Undefined("no two subjects can be compared")
    pooled = conditioned.sum_tables(whole)
    kept = [pooled[k] for k in conditioned.estimable(metric, pooled)]
    if not kept:
        return Undefined(f"{metric} is not estimable")
    involved = np.any([t.pairs.sum(1) > 0 for t in kept], axis=0)
    without = jackknife.without_involved(_mean([t.resampled(jackknife.counts) for t in kept]), involved)
    mean = float(np.mean([t.wins.sum() / t.pairs.sum() for t in kept]))
    return jackknife_estimate(mean, without, int(involved.sum())), np.stack(by_seed)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(values, axis=0))
