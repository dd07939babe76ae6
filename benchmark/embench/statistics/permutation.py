"""The difference of two methods in a score when the predictions of whole groups of subjects are permuted.

If it makes no difference which of two methods predicts a group, then the observed difference of their scores is as
likely as any that comes of swapping the two methods' predictions for some groups: the permutation test of paired
designs. If a score is a sum over subjects, a swap turns signs. Any other score is computed anew, with the predictions
of both methods side by side as if they were of two subjects, one of whom is in each sample. If a score depends on ranks
alone, scores are first replaced by ranks within fold and seed, so that two methods' scales can be mixed (Bandos et al.
2005, doi 10.1002/sim.2149).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from embench import registry
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import mean_of_known, tie_width
from embench.interfaces.units import Target, Units
from embench.statistics import conditioned
from embench.statistics.inside import is_inside_subjects, subject_scores_by_fold, subject_scores_by_seed
from embench.statistics.joined import Joined, is_predicted
from embench.statistics.significance import group_permutations

BETWEEN_SUBJECTS = "auroc_within_stimulus"
"""The conditioned score that compares scores of different subjects."""


def per_subject_contributions(name: str, joined: Joined, target: Target, subjects: np.ndarray) -> np.ndarray | None:
    """(P,) what each of `subjects` adds to a method's score `name`, 0 where nothing; None where the score is no sum
    over subjects.

    The crossed scores are one: their comparisons lie inside subjects, and how many there are of each is up to the
    labels.
    """
    if is_inside_subjects(name, target):
        values = mean_of_known(subject_scores_by_seed(joined, subject_scores_by_fold(name, joined, subjects)))
        return np.nan_to_num(values / max(1, np.isfinite(values).sum()))
    if not conditioned.is_conditioned(name) or name == BETWEEN_SUBJECTS:
        return None
    by_seed = [conditioned.over_folds(name, folds.values(), subjects) for folds in joined.seeds.values()]
    known = [tables for tables in by_seed if not isinstance(tables, Undefined) and conditioned.estimable(name, tables)]
    if not known:
        return np.zeros(len(subjects))
    pooled = conditioned.sum_tables(known)
    kept = conditioned.estimable(name, pooled)
    return np.mean([pooled[k].wins.sum(1) / pooled[k].pairs.sum() for k in kept], axis=0)


def permuted_differences(name: str, one: Joined, other: Joined, subjects: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(R,) the difference of scores that are no sums, after each permutation.

    Args:
        one, other: the same units. `subjects` (P,): those tested. `codes` (P,): their groups, from 0 on.
    """
    return _differences(name, one, other, subjects, group_permutations(int(codes.max()) + 1)[:, codes])


def group_contributions(name: str, one: Joined, other: Joined, subjects: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(G,) half of what swapping each group alone takes away from such a difference; nearly adds up to it."""
    groups = int(codes.max()) + 1
    ways = np.vstack([np.zeros((1, groups), bool), np.eye(groups, dtype=bool)])
    values = _differences(name, one, other, subjects, ways[:, codes])
    return (values[0] - values[1:]) / 2


def _differences(name: str, one: Joined, other: Joined, subjects: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """(R,) differences when the predictions for the subjects of `ways` (R, P) are swapped."""
    both = np.array([f"{m}:{subject}" for m in (0, 1) for subject in subjects.tolist()])
    samples = np.vstack([np.hstack([~ways, ways]), np.hstack([ways, ~ways])]).astype(float)
    if name == BETWEEN_SUBJECTS:
        values = _across(one, other, subjects, both, samples)
    else:
        metric = registry.load("metric", name)()
        by_fold: dict[int, list[np.ndarray]] = {}
        for seed, fold, units in one:
            side = _side_by_side(units, other.seeds[seed][fold], metric)
            tested = np.isin(both, side.subject)
            by_fold.setdefault(fold, []).append(metric.resampled(side, both[tested], samples[:, tested]))
        values = mean_of_known([mean_of_known(seeds) for seeds in by_fold.values()])
    first, second = np.split(values, 2)
    return first - second


def _across(one: Joined, other: Joined, subjects: np.ndarray, both: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """(R,) shares of comparisons of different subjects won; over the seeds and classes that the labels make
    estimable."""
    plain, doubled = [], []
    for seed, folds in one.seeds.items():
        tables = conditioned.over_folds(BETWEEN_SUBJECTS, folds.values(), subjects)
        sides = [_side_by_side(units, other.seeds[seed][fold], None) for fold, units in folds.items()]
        beside = conditioned.over_folds(BETWEEN_SUBJECTS, sides, both)
        if isinstance(tables, Undefined) or isinstance(beside, Undefined):
            continue
        if conditioned.estimable(BETWEEN_SUBJECTS, tables):
            plain.append(tables)
            doubled.append(beside)
    kept = conditioned.estimable(BETWEEN_SUBJECTS, conditioned.sum_tables(plain)) if plain else []
    if not kept:
        return np.full(len(samples), np.nan)
    pooled = conditioned.sum_tables(doubled)
    return mean_of_known([pooled[k].resampled(samples) for k in kept])


def _side_by_side(one: Units, other: Units, metric: Metric | None) -> Units:
    """The units of a fold with the predictions of both methods; each subject is there once per method. A metric gets
    those with a prediction."""
    if metric is not None:
        one, other = (units.take(is_predicted(units)) for units in (one, other))
    ranked = _ranked(one), _ranked(other)
    if metric is None or all(metric(r) == metric(u) for r, u in zip(ranked, (one, other), strict=True)):
        one, other = ranked
    subject = [f"{m}:{name}" for m, units in enumerate((one, other)) for name in units.subject.tolist()]
    return replace(one.join(other), subject=np.array(subject, dtype=np.str_))


def _ranked(units: Units) -> Units:
    """The units with ranks in place of scores, class by class; scores that are tied have one rank."""
    columns = units.score if units.score.ndim == 2 else units.score[:, None]
    known, ranks = is_predicted(units), columns.astype(float)
    ranks[known] = np.stack([_ranks(column[known], tie_width(units.score)) for column in columns.T], axis=1)
    return replace(units, score=ranks.reshape(units.score.shape))


def _ranks(score: np.ndarray, tie: float) -> np.ndarray:
    order = np.argsort(score)
    steps = np.cumsum(np.diff(score[order], prepend=score[order[:1]]) > tie)
    level = np.empty(len(score))
    level[order] = steps
    from scipy.stats import rankdata  # slow to import, and leaderboards need no ranks

    return np.asarray(rankdata(level)) / len(score)
