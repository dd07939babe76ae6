"""A method's scores on one target: within subjects, matched, and every metric plugin."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse

from embench import registry
from embench.errors import EmbenchError, PluginError
from embench.interfaces.agreement import concordance_by_subject, concordance_without_stimulus
from embench.interfaces.kinds import KINDS
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import (
    Pairs,
    auroc_by_subject,
    auroc_without_stimulus,
    compare_classes,
    encode_subjects,
    mean_ignoring_nan,
)
from embench.interfaces.units import Target, Units
from embench.reasons import Reason
from embench.statistics import conditioned
from embench.statistics.conditioned import (
    MATCHED_S,
    cells,
    length_by_subject,
    order_by_subject,
    order_without_stimulus,
    own_comparisons,
)
from embench.statistics.intervals import (
    Estimate,
    Jackknife,
    jackknife_estimate,
    mean_over_subjects,
    over_stimuli_too,
    training_overlap,
    widen,
)
from embench.statistics.joined import Joined, is_predicted

# The scores inside subjects: one of each subject, of which the score is the mean.


def _ccc_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    return concordance_by_subject(_predicted(units), subjects)


def _ccc_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    return concordance_without_stimulus(_predicted(units), subjects, stimuli)


def _predicted(units: Units) -> Units:
    """The units with a prediction: agreement is no share of comparisons, of which others could lose theirs."""
    return units.take(is_predicted(units))


WITHIN_SUBJECT_SCORES = {
    "auroc_within": auroc_by_subject,
    "ccc": _ccc_by_subject,
    "concordance_within": order_by_subject,
}
"""Score -> the function that makes it: (units, subjects (P,)) -> (P,), NaN for a subject without one."""

WITHOUT_STIMULUS = {
    "auroc_within": auroc_without_stimulus,
    "ccc": _ccc_without_stimulus,
    "concordance_within": order_without_stimulus,
}
"""Functions that score without the units of each stimulus: (units, subjects (P,), stimuli (K,)) -> (K, P)."""

NOTHING_INSIDE = {
    "auroc_within": ("one_class", "no_subject_with_both_classes"),
    "ccc": ("constant_labels", "no_varying_subject"),
    "concordance_within": ("no_step_apart", "no_subject_with_step"),
}
"""Score -> why some subjects have none, and why all have none."""


def is_inside_subjects(name: str, target: Target) -> bool:
    """True if the score of this name is one inside subjects, and of targets of this kind."""
    return name in (target.traits.within_metric, f"{target.traits.ranking_family}_within")


def subject_scores_by_fold(name: str, joined: Joined, subjects: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """(seed, fold) -> the score of this name inside each subject (P,), NaN where there is none."""
    inside = WITHIN_SUBJECT_SCORES[name]
    return {(seed, fold): inside(units, subjects) for seed, fold, units in joined}


def subject_scores_by_seed(joined: Joined, by_fold: Mapping[tuple[int, int], np.ndarray]) -> np.ndarray:
    """(S, P) the same, mean over a seed's folds."""
    seeds = [mean_ignoring_nan([by_fold[seed, fold] for fold in folds]) for seed, folds in joined.seeds.items()]
    return np.stack(seeds)


# The crossed score of matched sessions, balanced: the longer session is on both sides equally often.
#
# Two sessions of like length are not of equal length, and in the longer one tasks come later. Whoever knows both, the
# time and the length, orders some comparisons right. Here the comparisons of each pair of minutes are halved by whether
# the subject with the longer session has the positive unit first or last, and both halves weigh the same, so that such
# knowledge loses in one half what it gains in the other.

BALANCED = "auroc_crossed_balanced"
MINUTE_S = 60.0


def balanced_score(joined: Joined, jackknife: Jackknife, matched: Estimate | Undefined) -> Estimate | Undefined:
    """The balanced score, over all folds and seeds; undefined where the `matched` one is.

    In each pair of minutes, with n1 and n2 comparisons in the halves, the mean of both halves counts
    n1 n2 / (n1 + n2) times.
    """
    if isinstance(matched, Undefined):
        return matched
    minutes = 1 + int(max(units.start_s.max() for _, _, units in joined) // MINUTE_S)
    parts = [_halves(units, jackknife.subjects, minutes) for _, _, units in joined]
    samples = np.vstack([np.ones_like(jackknife.codes), jackknife.counts])
    by_class = []
    for of_class in zip(*parts, strict=True):
        pairs, columns, values = (np.concatenate([part[k] for part in of_class]) for k in range(3))
        each, row = np.unique(pairs, return_inverse=True)
        first, second = involved = np.divmod(each, len(jackknife.subjects))
        counted = (samples[:, first] * samples[:, second]).astype(float)
        shape = len(each), 2 * minutes**2
        won, number = (counted @ sparse.csr_array((v, (row, columns)), shape=shape) for v in values.T)
        by_class.append(_balance(won, number))
    score, *without = mean_ignoring_nan(by_class)
    if not np.isfinite(score):
        return Undefined("no_pair_of_minutes")
    left_out = jackknife.without_involved(np.array(without), np.isin(np.arange(len(jackknife.codes)), involved))
    estimate = jackknife_estimate(float(score), left_out, matched.subjects, matched.left_out)
    shared = training_overlap(matched.by_seed, joined.trained(jackknife))  # who trained is the same to both
    return replace(widen(estimate, shared), comparisons=matched.comparisons)


def _balance(won: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(R,) the score of samples, from what is won and the number of comparisons (R, 2 * cells) in both halves."""
    (won1, won2), (n1, n2) = np.split(won, 2, axis=1), np.split(number, 2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.nan_to_num(n1 * n2 / (n1 + n2))
        mean = np.where(weight > 0, (won1 / n1 + won2 / n2) / 2, 0.0)
        return np.asarray((weight * mean).sum(1) / weight.sum(1))


def _halves(units: Units, subjects: np.ndarray, minutes: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The comparisons of a fold in quadruples whose first subject has the longer session, for each class: the numbers
    of its pairs of subjects, P * first + second (n,), the half and the pair of minutes (n,) that it belongs to, (n, 2)
    what it adds to the quadruples won and to their number."""
    cell = cells(BALANCED, units)
    if isinstance(cell, Undefined):
        return [(np.empty(0, int), np.empty(0, int), np.empty((0, 2))) for _ in compare_classes(units)]
    length = length_by_subject(units, encode_subjects(units, subjects), len(subjects))
    longer = np.subtract.outer(length, length)
    pairs = np.argwhere((longer > 0) & (longer <= MATCHED_S)).tolist()
    minute = np.zeros(1 + int(cell.max()), int)
    minute[cell] = units.start_s // MINUTE_S
    made = []
    for own in own_comparisons(units, cell, subjects):
        of = {each.subject: each for each in own}
        parts = [(np.empty(0, int), np.empty(0, int), np.empty((0, 2)))]
        for first, second in pairs:
            for one, other, counted in ((first, second, 1), (second, first, 0)):
                high, low, times, won = of[one].mirrored_by(of[other])
                early, late = np.minimum(high, low), np.maximum(high, low)
                positive_first = (high < low) if counted else (high > low)
                column = positive_first * minutes**2 + minute[early] * minutes + minute[late]
                values = np.stack([won * times / 2, counted * times], axis=1)
                parts.append((np.full(len(column), first * len(subjects) + second), column, values))
        pair, column, values = map(np.concatenate, zip(*parts, strict=True))
        made.append((pair, column, values))
    return made


# A method's scores on one target: the score inside subjects, the conditioned ones, and every metric plugin that fits.

SLOW_S = 5.0
"""Seconds from which on a metric is named that could be faster."""

ROUNDING = 1e-9
"""Distance outside a metric's range that rounding of a sum explains."""

ScoreOrReason = Estimate | Undefined
Tables = list[Pairs] | Undefined


def estimate_all(
    joined: Joined, target: Target, primary_metric: str, jackknife: Jackknife, took: dict[str, float]
) -> tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]:
    """(metric -> its estimate, one row for each seed and fold with the value of each metric, None where undefined).
    `took` is added to: metric -> seconds."""
    scores: dict[str, ScoreOrReason] = {}
    folds: list[dict[str, Any]] = [
        {"seed": seed, "fold": fold, "units": len(units), "subjects": len(units.subjects[0])}
        for seed, fold, units in joined
    ]
    for name in _names(target, primary_metric):
        began = time.perf_counter()
        score, by_fold = estimate(name, joined, target, jackknife)
        took[name] = took.get(name, 0.0) + time.perf_counter() - began
        if score is None:
            continue
        scores[name] = score
        if name == "auroc_crossed_matched":
            scores[BALANCED] = balanced_score(joined, jackknife, score)
        if by_fold and not conditioned.is_conditioned(name):  # of those, a fold alone has few comparisons
            for row in folds:
                row[name] = by_fold.get((row["seed"], row["fold"]))
    if primary_metric not in scores:
        scores[primary_metric] = Undefined("no_metric_of_kind", metric=primary_metric, kind=target.kind)
    return scores, folds


def _names(target: Target, primary_metric: str) -> list[str]:
    """The scores to be made, in order. Those of version 3 are made where one of them is the primary metric."""
    made = [target.traits.within_metric, *conditioned.CONDITIONED]
    if primary_metric.startswith(KINDS["value"].ranking_family):
        made += ["concordance_within", *conditioned.OF_VALUES]
    made += [primary_metric] if conditioned.is_conditioned(primary_metric) else []
    return list(dict.fromkeys([*made, *registry.list_plugins("metric")]))


ByFold = dict[tuple[int, int], float | None]
"""(seed, fold) -> the value there, None where undefined."""


def estimate(name: str, joined: Joined, target: Target, jackknife: Jackknife) -> tuple[ScoreOrReason | None, ByFold]:
    """One score, and its value in each seed and fold; None where it does not score targets of this kind. A metric of
    another package that fails is undefined, see `metric_of`."""
    try:
        return _over_seeds(name, joined, target, jackknife)
    except PluginError as error:
        return _left_out(name, error, "metric_fails"), {}


def _over_seeds(name: str, joined: Joined, target: Target, jackknife: Jackknife) -> tuple[ScoreOrReason | None, ByFold]:
    tables: list[Tables] = []
    found, by_fold = _estimate(name, joined, target, jackknife, tables)
    if isinstance(found, Estimate) and len(joined.seeds) > 1:
        found = replace(found, by_seed=contributions(name, joined, target, jackknife, tables))
        found = widen(found, training_overlap(found.by_seed, joined.trained(jackknife)))
    elif isinstance(found, Estimate) and found.error and joined.scoring > 3:
        found = widen(found, found.error**2)  # what models of noise alone add, since one partition does not show it
    return found, by_fold


def _estimate(
    name: str, joined: Joined, target: Target, jackknife: Jackknife, tables: list[Tables]
) -> tuple[ScoreOrReason | None, ByFold]:
    """The estimate without what seeds share; `tables` gets the comparisons of each seed, where it is made of some."""
    if is_inside_subjects(name, target):
        return _within_subjects(name, joined, jackknife)
    if conditioned.is_conditioned(name):
        return _conditioned(name, joined, jackknife, tables) if conditioned.is_of(name, target) else (None, {})
    metric = metric_of(name)
    if isinstance(metric, Undefined):
        return metric, {}
    return _over_folds(name, metric, joined.predicted, jackknife) if target.kind in metric.kinds else (None, {})


def metric_of(name: str) -> Metric | Undefined:
    """The metric; one of another package that can't be loaded is undefined, so that it does not cost a run whose test
    labels have been opened. The reason goes into published scores, so what failed and where is left to the warning."""
    try:
        made: Metric = _guarded(name, registry.load_plugin("metric", name))
    except EmbenchError as error:
        return _left_out(name, error, "metric_not_loaded")
    return made


def name_slow(took: Mapping[str, float]) -> None:
    """Warns of metrics that took long because they leave `Metric.resample` as it is.

    Args:
        took: metric -> seconds.
    """
    whole = sum(took.values())
    for name in [
        name for name, seconds in took.items() if seconds >= SLOW_S and name in registry.list_plugins("metric")
    ]:
        if getattr(type(metric_of(name)), "resample", None) is Metric.resample:
            warnings.warn(
                f"the metric {registry.find('metric', name).full_name} took {took[name]:.0f} of {whole:.0f} s of "
                "scoring: define `resample`, as docs/guide/plugins/metric.md shows",
                stacklevel=2,
            )


def _left_out(name: str, error: EmbenchError, what: str) -> Undefined:
    """Replaces a score of a metric of another package; a bundled one raises."""
    entry = registry.find("metric", name)
    if entry.package == registry.BUNDLED:
        raise error
    warnings.warn(f"the metric {entry.full_name} is left out: {error}", stacklevel=3)
    return Undefined(what, metric=entry.full_name)


def _within_subjects(name: str, joined: Joined, jackknife: Jackknife) -> tuple[ScoreOrReason, ByFold]:
    """The score inside each subject, a subject's folds and seeds averaged first, then subjects."""
    subjects = jackknife.subjects
    by_fold = subject_scores_by_fold(name, joined, subjects)
    values = {at: _finite(mean_ignoring_nan(scores)) for at, scores in by_fold.items()}
    scores = mean_ignoring_nan(subject_scores_by_seed(joined, by_fold))
    without = int(np.isnan(scores).sum())
    why_some, why_all = NOTHING_INSIDE[name]
    why = Reason.make(why_some)
    excluded = (Reason.make("subjects_left_out", n=without, of=len(subjects), why=why),) if without else ()
    estimate = mean_over_subjects(scores, jackknife.codes, excluded)
    if isinstance(estimate, Undefined):
        return Undefined(why_all), values
    if jackknife.stimuli:
        estimate = over_stimuli_too(estimate, _without_each_stimulus(name, joined, jackknife))
    return estimate, values


def _without_each_stimulus(name: str, joined: Joined, jackknife: Jackknife) -> np.ndarray:
    """(K,) the score inside subjects without the units of each stimulus."""
    inside = WITHOUT_STIMULUS[name]
    seeds = [
        mean_ignoring_nan([inside(units, jackknife.subjects, jackknife.stimuli) for units in folds.values()])
        for folds in joined.seeds.values()
    ]
    return mean_ignoring_nan(mean_ignoring_nan(seeds).T)


def _conditioned(
    name: str, joined: Joined, jackknife: Jackknife, by_seed: list[Tables]
) -> tuple[ScoreOrReason, ByFold]:
    """The share of comparisons won over all folds and seeds."""
    kept: list[list[Pairs]] = []
    missing: list[str] = []
    values: ByFold = {}
    for seed, folds in joined.seeds.items():
        of_seed: ByFold = {}
        summed = conditioned.sum_of_known(_compared(name, seed, folds, jackknife, of_seed))
        by_seed.append(summed)
        if isinstance(summed, Undefined):
            missing.append(summed.reason)
            continue
        values |= of_seed
        share = conditioned.share_won(name, summed, joined.hurdle_of_seed)
        if isinstance(share, Undefined):
            missing.append(share.reason)
            continue
        kept.append(summed)
    if not kept:
        return Undefined(missing[0]), values
    pooled = conditioned.sum_tables(kept)
    share = conditioned.share_won(name, pooled, joined.hurdle_of_seed)
    if joined.scoring > 3 and isinstance(
        few := conditioned.share_won(name, conditioned.distinct(kept), conditioned.pooled_hurdle(name)), Undefined
    ):
        share = few
    if isinstance(share, Undefined):
        return share, values
    involved = np.any([(t.pairs.sum(0) + t.pairs.sum(1)) > 0 for t in pooled], axis=0)
    counted = [conditioned.distinct(kept)] if joined.scoring > 3 else kept
    sizes = [sum(conditioned.comparison_counts(name, table)[0] for table in tables) for tables in counted]
    left_out = {"n": len(missing), "of": len(joined.seeds)}
    excluded = (Reason.make("seeds_left_out", why=missing[0], **left_out),) if missing else ()
    without = conditioned.share_won_resampled(name, pooled, jackknife.counts, joined.hurdle_of_seed)
    estimate = jackknife_estimate(share, jackknife.without_involved(without, involved), int(involved.sum()), excluded)
    return replace(estimate, comparisons=min(sizes)), values


def _compared(
    name: str, seed: int, folds: Mapping[int, Units], jackknife: Jackknife, values: ByFold
) -> Iterator[Tables]:
    """The comparisons of each fold of a seed; `values` gets the share won in each."""
    for fold, units in folds.items():
        tables = conditioned.comparisons(name, units, jackknife.subjects)
        values[seed, fold] = None if isinstance(tables, Undefined) else conditioned.plain_share(tables)
        yield tables


def _over_folds(name: str, metric: Metric, joined: Joined, jackknife: Jackknife) -> tuple[ScoreOrReason, ByFold]:
    """A metric averaged over seeds, then folds; what is undefined is excluded.

    Without a group of subjects, a fold weighs as much as it has subjects left, relative to their number.
    """
    folds = sorted({fold for _, fold, _ in joined})
    shape = (len(joined.seeds), len(folds))
    value = np.full(shape, np.nan)
    sample = np.full((*shape, len(jackknife.counts)), np.nan)
    weight = np.zeros_like(sample)
    reasons: list[str] = []
    values: ByFold = {}
    for i, ((seed, of_seed), tested_in) in enumerate(zip(joined.seeds.items(), joined.tested_subjects(), strict=True)):
        for fold, units in of_seed.items():
            found = _value(name, metric, units)
            values[seed, fold] = None if isinstance(found, Undefined) else found
            if isinstance(found, Undefined):
                reasons.append(found.reason)
                continue
            at = i, folds.index(fold)
            tested = np.isin(jackknife.subjects, tested_in[fold])
            counts = jackknife.counts[:, tested]
            value[at] = found
            sample[at] = _resampled(name, metric, units, jackknife.subjects[tested], counts)
            weight[at] = counts.mean(1)
    if np.isnan(value).all():
        return Undefined(reasons[0] if reasons else "no_units"), values
    why = sorted(set(reasons))
    excluded = (Reason.make("folds_left_out", n=len(reasons), of=len(values), why=why),) if reasons else ()
    spread = [row[np.isfinite(row)].std(ddof=1) for row in value if np.isfinite(row).sum() > 1]
    mean = float(mean_ignoring_nan(mean_ignoring_nan(value)))
    estimate = jackknife_estimate(mean, _weighted(sample, weight), len(jackknife.subjects), excluded)
    return replace(estimate, over="folds", std=float(np.mean(spread)) if spread else None), values


def _weighted(sample: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(R,) means over seeds, then folds, of `sample` (S, F, R), NaN left out."""
    weight = np.where(np.isnan(sample), 0.0, weight)
    drawn = weight.sum(0)
    with np.errstate(invalid="ignore"):
        by_fold = np.where(drawn > 0, (np.nan_to_num(sample) * weight).sum(0) / drawn, 0.0)
        return (by_fold * drawn).sum(0) / drawn.sum(0)


def contributions(
    name: str, joined: Joined, target: Target, jackknife: Jackknife, tables: Sequence[Tables] = ()
) -> np.ndarray:
    """(S, G) what each group of subjects adds to a score in each seed, for `training_overlap`; NaN in seeds without a
    score. `tables` are the comparisons of each seed, where they are known."""
    if conditioned.is_conditioned(name) and not tables:
        tables = [conditioned.over_folds(name, folds.values(), jackknife.subjects) for folds in joined.seeds.values()]
    none = np.full(len(jackknife.counts), np.nan)
    if is_inside_subjects(name, target):
        seeds = subject_scores_by_seed(joined, subject_scores_by_fold(name, joined, jackknife.subjects))
        return jackknife.by_group(np.nan_to_num(seeds / max(1, np.isfinite(mean_ignoring_nan(seeds)).sum())))
    if name == "auroc_within_stimulus":
        samples = np.vstack([np.ones_like(jackknife.codes), jackknife.counts])
        by_seed = [
            none
            if isinstance(t, Undefined) or not conditioned.estimable(name, t, joined.hurdle_of_seed)
            else _pseudo_values(conditioned.share_won_resampled(name, t, samples, joined.hurdle_of_seed))
            for t in tables
        ]
    elif conditioned.is_conditioned(name):
        by_seed = _own_comparisons(name, joined, jackknife, tables)
    else:
        metric = metric_of(name)
        by_seed = [none] if isinstance(metric, Undefined) else _of_folds(name, metric, joined.predicted, jackknife)
    return np.stack(by_seed)


def _own_comparisons(name: str, joined: Joined, jackknife: Jackknife, mates: Sequence[Tables]) -> list[np.ndarray]:
    """Contributions (G,) of subjects' own comparisons to a crossed score, for each seed.

    A partition also decides who is compared with whom, whoever trained. So a subject's own
    comparisons, which one model answers, are weighted here by partners of all folds: the same in all seeds. `mates` are
    the tables of each seed.
    """
    if all(isinstance(tables, Undefined) or conditioned.is_even(tables) for tables in mates):
        return [np.zeros(len(jackknife.counts)) for _ in mates]  # whoever trained: it can't differ from chance
    by_seed = []
    for folds in joined.seeds.values():
        first, *rest = folds.values()
        tables = conditioned.comparisons(name, first.join(*rest), jackknife.subjects)
        kept = [] if isinstance(tables, Undefined) else conditioned.estimable(name, tables, joined.hurdle_of_seed)
        if isinstance(tables, Undefined) or not kept:
            by_seed.append(np.full(len(jackknife.counts), np.nan))
            continue
        added = np.mean([tables[k].wins.sum(1) / tables[k].pairs.sum() for k in kept], axis=0)
        by_seed.append(jackknife.by_group(added))
    return by_seed


def _of_folds(name: str, metric: Metric, joined: Joined, jackknife: Jackknife) -> list[np.ndarray]:
    """Contributions (G,) of groups to a metric's mean over folds, for each seed: the pseudo-values of their fold. A
    group of folds without a score adds what the others add."""
    by_seed = []
    for folds, tested_in in zip(joined.seeds.values(), joined.tested_subjects(), strict=True):
        values = np.full((len(folds), len(jackknife.counts)), np.nan)
        for row, (fold, units) in zip(values, folds.items(), strict=True):
            tested = np.isin(jackknife.subjects, tested_in[fold])
            here = np.unique(jackknife.codes[tested])
            samples = np.vstack([np.ones_like(jackknife.codes), jackknife.counts[here]])[:, tested]
            pseudo = _pseudo_values(_resampled(name, metric, units, jackknife.subjects[tested], samples))
            row[here] = pseudo * len(here) / len(jackknife.counts)
        added = mean_ignoring_nan(values)
        by_seed.append(np.where(np.isfinite(added), added, mean_ignoring_nan(added[:, None])))
    return by_seed


def _pseudo_values(values: np.ndarray) -> np.ndarray:
    """(G,) what each group adds to a score, from the score of all and without each (1 + G,): the jackknife's
    pseudo-values over G (Efron & Stein 1981, doi 10.1214/aos/1176345462). Where there is no score without a group, it
    adds the mean."""
    whole, without = values[0], values[1:]
    pseudo = len(without) * whole - (len(without) - 1) * without
    return np.asarray(np.where(np.isfinite(pseudo), pseudo, whole) / len(without))


def _guarded(name: str, call: Callable[..., Any], *args: Any) -> Any:
    """The call's result; whatever a plugin raises becomes a PluginError."""
    try:
        return call(*args)
    except Exception as error:
        raise _fault(name, f"raised {type(error).__name__}: {error}") from error


def _value(name: str, metric: Metric, units: Units) -> float | Undefined:
    """The score of some units: a number in the metric's range."""
    found = _guarded(name, metric, units)
    if isinstance(found, Undefined):
        return found
    if not isinstance(found, Real):
        raise _fault(name, f"gave {type(found).__name__}", "a number, or Undefined(reason)")
    if not np.isfinite(float(found)):
        raise _fault(name, f"gave {float(found)}", "a finite number, or Undefined(reason)")
    return float(_in_range(name, metric, np.array([found], np.float64))[0])


def _resampled(name: str, metric: Metric, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R,) the scores of samples of subjects; each NaN or in the metric's range."""
    found = _guarded(name, metric.resample, units, subjects, counts)
    if np.shape(found) != (len(counts),):
        raise _fault(name, f"gave scores of shape {np.shape(found)}", f"shape ({len(counts)},), one for each sample")
    return _in_range(name, metric, np.asarray(_guarded(name, np.asarray, found, np.float64)))


def _in_range(name: str, metric: Metric, values: np.ndarray) -> np.ndarray:
    low, high = metric.range
    if (off := values[(values < low - ROUNDING) | (values > high + ROUNDING)]).size:
        raise _fault(name, f"gave {off[0]:g}", f"a number from {low:g} to {high:g}, the metric's range")
    return values


def _fault(name: str, what: str, expected: str | None = None) -> PluginError:
    entry = registry.find("metric", name)
    return PluginError(f"the metric {entry.full_name} {what}", where=registry.origin(entry), expected=expected)


def _finite(value: float | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


# The mean difference of scores between positive and negative units, or units of higher and lower label, over the very
# comparisons that a score like AUROC is the share won of: inside subjects, or in the quadruples of a crossed score.
#
# Of what is left of scores, once nuisances are taken off, it is 0 where they tell nothing, whatever the shape of the
# scores; the share won need not be .5 there.


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
    return widen(found, training_overlap(by_seed, joined.trained(jackknife)))


def _inside(metric: str, joined: Joined, jackknife: Jackknife) -> tuple[Estimate, np.ndarray] | Undefined:
    """The mean over subjects, and what each group adds in each seed (S, G)."""
    by_fold = {(seed, fold): BY_SUBJECT[metric](units, jackknife.subjects) for seed, fold, units in joined}
    seeds = subject_scores_by_seed(joined, by_fold)
    values = mean_ignoring_nan(seeds)
    found = mean_over_subjects(values, jackknife.codes)
    if isinstance(found, Undefined):
        return Undefined(NOTHING_INSIDE[metric][1])
    return found, jackknife.by_group(np.nan_to_num(seeds / np.isfinite(values).sum()))


def _by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """(P,) the difference inside each subject, NaN for one with one class only or without units."""
    subject, n, by_class = encode_subjects(units, subjects), len(subjects), []
    for positive, score in compare_classes(units):
        with np.errstate(invalid="ignore"):
            high, low = (
                np.bincount(subject[of], score[of], n) / np.bincount(subject[of], minlength=n)
                for of in (positive, ~positive)
            )
        by_class.append(high - low)
    return mean_ignoring_nan(by_class)


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
        least = joined.hurdle_of_seed
        if (
            isinstance(mates, Undefined)
            or isinstance(every, Undefined)
            or not conditioned.estimable(metric, mates, least)
        ):
            by_seed.append(np.full(len(jackknife.counts), np.nan))
            continue
        whole.append(mates)
        by_seed.append(jackknife.by_group(_mean([t.wins.sum(1) / t.pairs.sum() for t in every if t.pairs.any()])))
    if not whole:
        return Undefined("no_two_subjects")
    pooled = conditioned.sum_tables(whole)
    kept = [pooled[k] for k in conditioned.estimable(metric, pooled, joined.hurdle_of_seed)]
    if not kept:
        return Undefined("metric_not_estimable", metric=metric)
    involved = np.any([t.pairs.sum(1) > 0 for t in kept], axis=0)
    without = jackknife.without_involved(_mean([t.resample(jackknife.counts) for t in kept]), involved)
    mean = float(np.mean([t.wins.sum() / t.pairs.sum() for t in kept]))
    return jackknife_estimate(mean, without, int(involved.sum())), np.stack(by_seed)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(values, axis=0))
