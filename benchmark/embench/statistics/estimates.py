"""A method's scores on one target: within-subject scores, conditioned scores, and every metric plugin."""

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
    cover_other_stimuli,
    jackknife_estimate,
    mean_over_subjects,
    training_overlap,
    widen,
)
from embench.statistics.joined import Joined, is_predicted


def _predicted(units: Units) -> Units:
    """Return the units with a prediction. The CCC is not a proportion of comparisons, so that a missing prediction
    cannot count as lost comparisons."""
    return units.take(is_predicted(units))


WITHIN_SUBJECT_SCORES: Mapping[str, Callable[[Units, np.ndarray], np.ndarray]] = {
    "auroc_within": auroc_by_subject,
    "ccc": lambda units, subjects: concordance_by_subject(_predicted(units), subjects),
    "concordance_within": order_by_subject,
}
"""Name of a score -> function (units, subjects (P,)) that returns it for each subject (P,), NaN if undefined."""

WITHOUT_STIMULUS: Mapping[str, Callable[[Units, np.ndarray, Sequence[str]], np.ndarray]] = {
    "auroc_within": auroc_without_stimulus,
    "ccc": lambda units, subjects, stimuli: concordance_without_stimulus(_predicted(units), subjects, stimuli),
    "concordance_within": order_without_stimulus,
}
"""Name of a score -> function (units, subjects (P,), stimuli (K,)) that returns it without each stimulus (K, P)."""

WHY_UNDEFINED = {
    "auroc_within": ("one_class", "no_subject_with_both_classes"),
    "ccc": ("constant_labels", "no_varying_subject"),
    "concordance_within": ("no_step_apart", "no_subject_with_step"),
}
"""Within-subject score -> the reason why it is undefined for some subjects, and the reason if it is for all."""


def is_inside_subjects(name: str, target: Target) -> bool:
    """Return True if this is a within-subject score that applies to targets of this kind."""
    return name in (target.traits.within_metric, f"{target.traits.ranking_family}_within")


def subject_scores_by_fold(name: str, joined: Joined, subjects: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Return (seed, fold) -> the score within each subject (P,), NaN for a subject without one."""
    inside = WITHIN_SUBJECT_SCORES[name]
    return {(seed, fold): inside(units, subjects) for seed, fold, units in joined}


def subject_scores_by_seed(joined: Joined, by_fold: Mapping[tuple[int, int], np.ndarray]) -> np.ndarray:
    """Return (S, P) the scores of `subject_scores_by_fold`, mean over the folds of a seed."""
    seeds = [mean_ignoring_nan([by_fold[seed, fold] for fold in folds]) for seed, folds in joined.seeds.items()]
    return np.stack(seeds)


# The balanced crossed score. Sessions of similar length are rarely of equal length, and in the longer one tasks come
# later. Time and session length together then win some comparisons. With two halves of equal weight, a model of both
# loses in one half what it wins in the other.

BALANCED = "auroc_crossed_balanced"
MINUTE_S = 60.0


def balanced_score(joined: Joined, jackknife: Jackknife, matched: Estimate | Undefined) -> Estimate | Undefined:
    """Return the score `BALANCED` over all folds and seeds; undefined if the score `matched` is undefined.

    Comparisons of each pair of minutes are split in two halves: the subject with the longer session has the positive
    unit first, or last. A pair with n1 and n2 comparisons in its halves has the weight n1 n2 / (n1 + n2)."""
    if isinstance(matched, Undefined):
        return matched
    minutes = 1 + int(max(units.start_s.max() for _, _, units in joined) // MINUTE_S)
    parts = [_split_by_order(units, jackknife.subjects, minutes) for _, _, units in joined]
    samples = np.vstack([np.ones_like(jackknife.codes), jackknife.counts])
    by_class = []
    for of_class in zip(*parts, strict=True):
        pairs, columns, values = (np.concatenate([part[k] for part in of_class]) for k in range(3))
        unique_pairs, row = np.unique(pairs, return_inverse=True)
        first, second = involved = np.divmod(unique_pairs, len(jackknife.subjects))
        counted = (samples[:, first] * samples[:, second]).astype(float)
        shape = len(unique_pairs), 2 * minutes**2
        won, number = (counted @ sparse.csr_array((v, (row, columns)), shape=shape) for v in values.T)
        by_class.append(_balanced_mean(won, number))
    score, *without = mean_ignoring_nan(by_class)
    if not np.isfinite(score):
        return Undefined("no_pair_of_minutes")
    left_out = jackknife.mask_uninvolved(np.array(without), np.isin(np.arange(len(jackknife.codes)), involved))
    estimate = jackknife_estimate(float(score), left_out, matched.subjects, matched.left_out)
    shared = training_overlap(matched.by_seed, joined.trained(jackknife))  # both scores have the same training subjects
    return replace(widen(estimate, shared), comparisons=matched.comparisons)


def _balanced_mean(won: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return (R,) balanced scores of samples. `won`, `number`: wins and numbers of comparisons (R, 2 * cells), all
    cells of the first half before those of the second."""
    (won1, won2), (n1, n2) = np.split(won, 2, axis=1), np.split(number, 2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.nan_to_num(n1 * n2 / (n1 + n2))
        mean = np.where(weight > 0, (won1 / n1 + won2 / n2) / 2, 0.0)
        return np.asarray((weight * mean).sum(1) / weight.sum(1))


def _split_by_order(
    units: Units, subjects: np.ndarray, minutes: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return for each class three arrays about the n matched comparisons of a fold.

    The arrays are: (n,) codes P * first + second of the pair of subjects, the first with the longer session; (n,) codes
    of the half and the pair of minutes; and (n, 2) wins and numbers of comparisons."""
    cell = cells(BALANCED, units)
    if isinstance(cell, Undefined):
        return [(np.empty(0, int), np.empty(0, int), np.empty((0, 2))) for _ in compare_classes(units)]
    length = length_by_subject(units, encode_subjects(units, subjects), len(subjects))
    longer = np.subtract.outer(length, length)
    matched = (longer != 0) & (np.abs(longer) <= MATCHED_S)
    minute = np.zeros(1 + int(cell.max()), int)
    minute[cell] = units.start_s // MINUTE_S
    by_class = []
    for own in own_comparisons(units, cell, subjects):
        high, low = np.zeros((2, len(subjects), len(minute)), int)  # units of each label in each cell
        for each in own:
            high[each.subject] = np.bincount(each.high, minlength=len(minute))
            low[each.subject] = np.bincount(each.low, minlength=len(minute))
        parts = [(np.empty(0, int), np.empty(0, int), np.empty((0, 2)))]
        for each in own:
            others = np.flatnonzero(matched[each.subject])
            # The label is higher at i for this subject, and at j for the other one.
            i, j = np.repeat(each.high, len(each.low)), np.tile(each.low, len(each.high))
            times = low[np.ix_(others, i)] * high[np.ix_(others, j)] * (i != j)
            at, met = np.nonzero(times)
            other, i, j, times, won = others[at], i[met], j[met], times[at, met], each.won.ravel()[met]
            is_first = longer[each.subject, other] > 0
            first, second = np.where(is_first, each.subject, other), np.where(is_first, other, each.subject)
            positive_first = np.where(is_first, i < j, i > j)
            column = positive_first * minutes**2 + minute[np.minimum(i, j)] * minutes + minute[np.maximum(i, j)]
            # Half of the win comes from each subject; the comparison is counted once, with the longer session.
            values = np.stack([won * times / 2, is_first * times], axis=1)
            parts.append((first * len(subjects) + second, column, values))
        pair, column, values = map(np.concatenate, zip(*parts, strict=True))
        by_class.append((pair, column, values))
    return by_class


SLOW_S = 5.0
"""Seconds after which a warning names a slow metric."""

ROUNDING = 1e-9
"""Distance outside a metric's range that is attributed to rounding."""

ScoreOrReason = Estimate | Undefined
Tables = list[Pairs] | Undefined


def number_as_json(value: ScoreOrReason) -> dict[str, Any]:
    """Return a score, or the reason why it is undefined, as `scores.json` holds it."""
    return {"undefined": value.reason.to_dict()} if isinstance(value, Undefined) else value.to_dict()


def estimate_all(
    joined: Joined, target: Target, primary_metric: str, jackknife: Jackknife, took: dict[str, float]
) -> tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]:
    """Return metric -> its estimate or the reason why it is undefined, and a row for each seed and fold with the value
    of each metric (None: undefined). The seconds that each metric takes are added to `took`."""
    scores: dict[str, ScoreOrReason] = {}
    folds: list[dict[str, Any]] = [
        {"seed": seed, "fold": fold, "units": len(units), "subjects": len(units.subjects[0])}
        for seed, fold, units in joined
    ]
    for name in _scores_to_compute(target, primary_metric):
        began = time.perf_counter()
        score, by_fold = estimate(name, joined, target, jackknife)
        took[name] = took.get(name, 0.0) + time.perf_counter() - began
        if score is None:
            continue
        scores[name] = score
        if name == "auroc_crossed_matched":
            scores[BALANCED] = balanced_score(joined, jackknife, score)
        if by_fold and not conditioned.is_conditioned(name):  # a single fold has few comparisons
            for row in folds:
                row[name] = by_fold.get((row["seed"], row["fold"]))
    if primary_metric not in scores:
        scores[primary_metric] = Undefined("no_metric_of_kind", metric=primary_metric, kind=target.kind)
    return scores, folds


def _scores_to_compute(target: Target, primary_metric: str) -> list[str]:
    """Return the names of the scores to compute, in order. C-indices are computed if the primary metric is one."""
    names = [target.traits.within_metric, *conditioned.CONDITIONED]
    if primary_metric.startswith(KINDS["value"].ranking_family):
        names += ["concordance_within", *conditioned.OF_VALUES]
    names += [primary_metric] if conditioned.is_conditioned(primary_metric) else []
    return list(dict.fromkeys([*names, *registry.list_plugins("metric")]))


ByFold = dict[tuple[int, int], float | None]
"""(seed, fold) -> the score in this fold, None if undefined."""


def estimate(name: str, joined: Joined, target: Target, jackknife: Jackknife) -> tuple[ScoreOrReason | None, ByFold]:
    """Return one score, and its value in each seed and fold. The score is None if it does not apply to targets of this
    kind. It is undefined if a metric of another package fails, see `load_metric`."""
    try:
        return _estimate_with_overlap(name, joined, target, jackknife)
    except PluginError as error:
        return _exclude_plugin_metric(name, error, "metric_fails"), {}


def _estimate_with_overlap(
    name: str, joined: Joined, target: Target, jackknife: Jackknife
) -> tuple[ScoreOrReason | None, ByFold]:
    """Return the result of `_estimate` with the training-overlap correction."""
    tables: list[Tables] = []
    found, by_fold = _estimate(name, joined, target, jackknife, tables)
    if isinstance(found, Estimate) and len(joined.seeds) > 1:
        found = replace(found, by_seed=contributions(name, joined, target, jackknife, tables))
        found = widen(found, training_overlap(found.by_seed, joined.trained(jackknife)))
    elif isinstance(found, Estimate) and found.error:
        found = widen(found, found.error**2)  # one partition can't show this variance; models of noise reach it
    return found, by_fold


def _estimate(
    name: str, joined: Joined, target: Target, jackknife: Jackknife, tables: list[Tables]
) -> tuple[ScoreOrReason | None, ByFold]:
    """Return the estimate without the training-overlap correction. The comparisons of each seed, if any, are added to
    `tables`."""
    if is_inside_subjects(name, target):
        return _within_subjects(name, joined, jackknife)
    if conditioned.is_conditioned(name):
        applies = conditioned.applies_to(name, target)
        return _conditioned_score(name, joined, jackknife, tables) if applies else (None, {})
    metric = load_metric(name)
    if isinstance(metric, Undefined):
        return metric, {}
    return _metric_over_folds(name, metric, joined.predicted, jackknife) if target.kind in metric.kinds else (None, {})


def load_metric(name: str) -> Metric | Undefined:
    """Return a metric plugin. If a metric of another package can't be loaded, return an undefined value, since an error
    would lose a run whose test labels have been used. The reason is published; only the warning names the error."""
    try:
        metric: Metric = _call_plugin(name, registry.load_plugin("metric", name))
    except EmbenchError as error:
        return _exclude_plugin_metric(name, error, "metric_not_loaded")
    return metric


def warn_of_slow_metrics(took: Mapping[str, float]) -> None:
    """Warn of metrics that took long because they do not define `Metric.resample`.

    Args:
        took: metric -> seconds."""
    whole = sum(took.values())
    slow = [name for name, seconds in took.items() if seconds >= SLOW_S and name in registry.list_plugins("metric")]
    for name in slow:
        if getattr(type(load_metric(name)), "resample", None) is Metric.resample:
            warnings.warn(
                f"the metric {registry.find('metric', name).full_name} took {took[name]:.0f} of {whole:.0f} s of "
                "scoring: define `resample`, as docs/guide/plugins/metric.md shows",
                stacklevel=2,
            )


def _exclude_plugin_metric(name: str, error: EmbenchError, what: str) -> Undefined:
    """Warn of a failed metric of another package, and return an undefined value with the reason `what`. The error of a
    bundled metric is raised."""
    entry = registry.find("metric", name)
    if entry.package == registry.BUNDLED:
        raise error
    warnings.warn(f"the metric {entry.full_name} is left out: {error}", stacklevel=3)
    return Undefined(what, metric=entry.full_name)


def _within_subjects(name: str, joined: Joined, jackknife: Jackknife) -> tuple[ScoreOrReason, ByFold]:
    """Return a within-subject score, and its mean over subjects in each fold. Each subject's folds and seeds are
    averaged first, then subjects."""
    subjects = jackknife.subjects
    by_fold = subject_scores_by_fold(name, joined, subjects)
    means = {fold: float(mean_ignoring_nan(scores)) for fold, scores in by_fold.items()}
    values = {fold: mean if np.isfinite(mean) else None for fold, mean in means.items()}
    scores = mean_ignoring_nan(subject_scores_by_seed(joined, by_fold))
    without = int(np.isnan(scores).sum())
    why_some, why_all = WHY_UNDEFINED[name]
    why = Reason.make(why_some)
    excluded = (Reason.make("subjects_left_out", n=without, of=len(subjects), why=why),) if without else ()
    estimate = mean_over_subjects(scores, jackknife.codes, excluded)
    if isinstance(estimate, Undefined):
        return Undefined(why_all), values
    if jackknife.stimuli:
        estimate = cover_other_stimuli(estimate, _without_each_stimulus(name, joined, jackknife))
    return estimate, values


def _without_each_stimulus(name: str, joined: Joined, jackknife: Jackknife) -> np.ndarray:
    """Return (K,) the within-subject scores without the units of each stimulus."""
    inside = WITHOUT_STIMULUS[name]
    seeds = [
        mean_ignoring_nan([inside(units, jackknife.subjects, jackknife.stimuli) for units in folds.values()])
        for folds in joined.seeds.values()
    ]
    return mean_ignoring_nan(mean_ignoring_nan(seeds).T)


def _conditioned_score(
    name: str, joined: Joined, jackknife: Jackknife, by_seed: list[Tables]
) -> tuple[ScoreOrReason, ByFold]:
    """Return the proportion of comparisons won over all folds and seeds. The comparisons of each seed are added to
    `by_seed`."""
    usable: list[list[Pairs]] = []
    reasons: list[str] = []  # of seeds that are left out
    values: ByFold = {}
    for seed, folds in joined.seeds.items():
        of_seed: ByFold = {}
        summed = conditioned.sum_of_known(_compare_folds(name, seed, folds, jackknife, of_seed))
        by_seed.append(summed)
        if isinstance(summed, Undefined):
            reasons.append(summed.reason)
            continue
        values |= of_seed
        share = conditioned.proportion_won(name, summed, conditioned.NO_HURDLE)
        if isinstance(share, Undefined):
            reasons.append(share.reason)
            continue
        usable.append(summed)
    if not usable:
        return Undefined(reasons[0]), values
    pooled = conditioned.sum_tables(usable)
    share = conditioned.proportion_won(name, pooled, conditioned.NO_HURDLE)
    merged = conditioned.merge_seeds(usable)
    enough = conditioned.proportion_won(name, merged, conditioned.pooled_hurdle(name))
    share = enough if isinstance(enough, Undefined) else share  # too few distinct comparisons in all seeds
    if isinstance(share, Undefined):
        return share, values
    involved = np.any([(t.pairs.sum(0) + t.pairs.sum(1)) > 0 for t in pooled], axis=0)
    compared = sum(conditioned.comparison_counts(name, table)[0] for table in merged)
    left_out = {"n": len(reasons), "of": len(joined.seeds)}
    excluded = (Reason.make("seeds_left_out", why=reasons[0], **left_out),) if reasons else ()
    without = conditioned.proportion_won_resampled(name, pooled, jackknife.counts, conditioned.NO_HURDLE)
    estimate = jackknife_estimate(share, jackknife.mask_uninvolved(without, involved), int(involved.sum()), excluded)
    return replace(estimate, comparisons=compared), values


def _compare_folds(
    name: str, seed: int, folds: Mapping[int, Units], jackknife: Jackknife, values: ByFold
) -> Iterator[Tables]:
    """Yield the comparisons of each fold of a seed. The proportion won in each fold is added to `values`."""
    for fold, units in folds.items():
        tables = conditioned.comparisons(name, units, jackknife.subjects)
        values[seed, fold] = None if isinstance(tables, Undefined) else conditioned.proportion_won_of_any(tables)
        yield tables


def _metric_over_folds(name: str, metric: Metric, joined: Joined, jackknife: Jackknife) -> tuple[ScoreOrReason, ByFold]:
    """Return a metric averaged over seeds, then folds, without undefined values; and its value in each fold.

    In a sample without one group of subjects, a fold's weight is the proportion of its subjects in the sample."""
    folds = sorted({fold for _, fold, _ in joined})
    shape = (len(joined.seeds), len(folds))
    value = np.full(shape, np.nan)
    sample = np.full((*shape, len(jackknife.counts)), np.nan)
    weight = np.zeros_like(sample)
    reasons: list[str] = []
    values: ByFold = {}
    for i, ((seed, of_seed), tested_in) in enumerate(zip(joined.seeds.items(), joined.tested_subjects(), strict=True)):
        for fold, units in of_seed.items():
            found = _metric_value(name, metric, units)
            values[seed, fold] = None if isinstance(found, Undefined) else found
            if isinstance(found, Undefined):
                reasons.append(found.reason)
                continue
            place = i, folds.index(fold)
            tested = jackknife.select(tested_in[fold])
            counts = jackknife.counts[:, tested]
            value[place] = found
            sample[place] = _resampled_values(name, metric, units, jackknife.subjects[tested], counts)
            weight[place] = counts.mean(1)
    if np.isnan(value).all():
        return Undefined(reasons[0] if reasons else "no_units"), values
    why = sorted(set(reasons))
    excluded = (Reason.make("folds_left_out", n=len(reasons), of=len(values), why=why),) if reasons else ()
    spread = [row[np.isfinite(row)].std(ddof=1) for row in value if np.isfinite(row).sum() > 1]
    mean = float(mean_ignoring_nan(mean_ignoring_nan(value)))
    estimate = jackknife_estimate(mean, _weighted(sample, weight), len(jackknife.subjects), excluded)
    return replace(estimate, over="folds", std=float(np.mean(spread)) if spread else None), values


def _weighted(sample: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return (R,) means over seeds, then folds, of `sample` (S, F, R) with `weight` (S, F, R); NaN is excluded."""
    weight = np.where(np.isnan(sample), 0.0, weight)
    drawn = weight.sum(0)
    with np.errstate(invalid="ignore"):
        by_fold = np.where(drawn > 0, (np.nan_to_num(sample) * weight).sum(0) / drawn, 0.0)
        return (by_fold * drawn).sum(0) / drawn.sum(0)


def contributions(
    name: str, joined: Joined, target: Target, jackknife: Jackknife, tables: Sequence[Tables] = ()
) -> np.ndarray:
    """Return (S, G) the contribution of each group of subjects to a score in each seed, for `training_overlap`; NaN in
    seeds without a score. `tables`: the comparisons of each seed, if they are known."""
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
            if isinstance(t, Undefined) or not conditioned.estimable(name, t, conditioned.NO_HURDLE)
            else _pseudo_values(conditioned.proportion_won_resampled(name, t, samples, conditioned.NO_HURDLE))
            for t in tables
        ]
    elif conditioned.is_conditioned(name):
        by_seed = _crossed_contributions(name, joined, jackknife, tables)
    else:
        metric = load_metric(name)
        by_seed = (
            [none] if isinstance(metric, Undefined) else _fold_contributions(name, metric, joined.predicted, jackknife)
        )
    return np.stack(by_seed)


def _crossed_contributions(
    name: str, joined: Joined, jackknife: Jackknife, mates: Sequence[Tables]
) -> list[np.ndarray]:
    """Return for each seed the contributions (G,) of groups of subjects to a crossed score.

    A partition decides who is compared with whom, and who trains. Only the latter matters here. Each subject's
    comparisons are therefore matched with subjects of all folds, which are the same in all seeds. `mates`: the tables
    of each seed, within folds."""
    if all(isinstance(tables, Undefined) or conditioned.is_even(tables) for tables in mates):
        return [np.zeros(len(jackknife.counts)) for _ in mates]  # such scores are at chance with any training subjects
    by_seed = []
    for folds in joined.seeds.values():
        first, *rest = folds.values()
        tables = conditioned.comparisons(name, first.join(*rest), jackknife.subjects)
        kept = [] if isinstance(tables, Undefined) else conditioned.estimable(name, tables, conditioned.NO_HURDLE)
        if isinstance(tables, Undefined) or not kept:
            by_seed.append(np.full(len(jackknife.counts), np.nan))
            continue
        summands = np.mean([tables[k].wins.sum(1) / tables[k].pairs.sum() for k in kept], axis=0)
        by_seed.append(jackknife.by_group(summands))
    return by_seed


def _fold_contributions(name: str, metric: Metric, joined: Joined, jackknife: Jackknife) -> list[np.ndarray]:
    """Return for each seed the contributions (G,) of groups of subjects to a metric's mean over folds: each group's
    pseudo-value in its fold. A group whose folds have no score gets the mean of the other groups."""
    by_seed = []
    for folds, tested_in in zip(joined.seeds.values(), joined.tested_subjects(), strict=True):
        values = np.full((len(folds), len(jackknife.counts)), np.nan)
        for row, (fold, units) in zip(values, folds.items(), strict=True):
            tested = jackknife.select(tested_in[fold])
            here = np.unique(jackknife.codes[tested])
            samples = np.vstack([np.ones_like(jackknife.codes), jackknife.counts[here]])[:, tested]
            pseudo = _pseudo_values(_resampled_values(name, metric, units, jackknife.subjects[tested], samples))
            row[here] = pseudo * len(here) / len(jackknife.counts)
        by_group = mean_ignoring_nan(values)
        by_seed.append(np.where(np.isfinite(by_group), by_group, mean_ignoring_nan(by_group[:, None])))
    return by_seed


def _pseudo_values(values: np.ndarray) -> np.ndarray:
    """Return (G,) the contribution of each group to a score: the jackknife's pseudo-value over G (Efron & Stein 1981,
    doi 10.1214/aos/1176345462). `values` (1 + G,): the score of all groups, then the scores without each group. Where
    the latter is NaN, the contribution is the score of all over G."""
    whole, without = values[0], values[1:]
    pseudo = len(without) * whole - (len(without) - 1) * without
    return np.asarray(np.where(np.isfinite(pseudo), pseudo, whole) / len(without))


def _call_plugin(name: str, call: Callable[..., Any], *args: Any) -> Any:
    """Return the result of the call; any exception of a plugin becomes a PluginError."""
    try:
        return call(*args)
    except Exception as error:
        raise _plugin_error(name, f"raised {type(error).__name__}: {error}") from error


def _metric_value(name: str, metric: Metric, units: Units) -> float | Undefined:
    """Return the value of a metric for these units, checked to be undefined or a number in the metric's range."""
    found = _call_plugin(name, metric, units)
    if isinstance(found, Undefined):
        return found
    if not isinstance(found, Real):
        raise _plugin_error(name, f"gave {type(found).__name__}", "a number, or Undefined(reason)")
    if not np.isfinite(float(found)):
        raise _plugin_error(name, f"gave {float(found)}", "a finite number, or Undefined(reason)")
    return float(_check_range(name, metric, np.array([found], np.float64))[0])


def _resampled_values(name: str, metric: Metric, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) values of a metric in samples of subjects, checked to be NaN or in the metric's range. Sample r
    contains subject p `counts[r, p]` times."""
    found = _call_plugin(name, metric.resample, units, subjects, counts)
    if np.shape(found) != (len(counts),):
        raise _plugin_error(
            name, f"gave scores of shape {np.shape(found)}", f"shape ({len(counts)},), one for each sample"
        )
    return _check_range(name, metric, np.asarray(_call_plugin(name, np.asarray, found, np.float64)))


def _check_range(name: str, metric: Metric, values: np.ndarray) -> np.ndarray:
    low, high = metric.range
    if (off := values[(values < low - ROUNDING) | (values > high + ROUNDING)]).size:
        raise _plugin_error(name, f"gave {off[0]:g}", f"a number from {low:g} to {high:g}, the metric's range")
    return values


def _plugin_error(name: str, what: str, expected: str | None = None) -> PluginError:
    entry = registry.find("metric", name)
    return PluginError(f"the metric {entry.full_name} {what}", where=registry.origin(entry), expected=expected)


# The mean difference of scores between units of higher and lower label, over the comparisons of a score like AUROC:
# within subjects, or matched between two subjects. For residual scores it is 0 if they carry no information, whatever
# the shape of the scores; the proportion won need not be .5 then.


def has_difference(metric: str) -> bool:
    """Return True if a metric is a proportion of comparisons won, for which `mean_difference` is defined."""
    return metric in SUBJECT_DIFFERENCES or (conditioned.is_conditioned(metric) and metric != "auroc_within_stimulus")


def mean_difference(metric: str, joined: Joined, jackknife: Jackknife) -> Estimate | Undefined:
    """Return the mean difference of scores between units of higher and lower label, over the comparisons of `metric`.
    With several classes, it is the mean over classes, each against the rest."""
    difference = _within_subject_difference if metric in SUBJECT_DIFFERENCES else _crossed_difference
    made = difference(metric, joined, jackknife)
    if isinstance(made, Undefined):
        return made
    found, by_seed = made
    return widen(found, training_overlap(by_seed, joined.trained(jackknife))) if len(joined.seeds) > 1 else found


def _within_subject_difference(
    metric: str, joined: Joined, jackknife: Jackknife
) -> tuple[Estimate, np.ndarray] | Undefined:
    """Return the mean within-subject difference of scores, and each group's contribution in each seed (S, G)."""
    by_fold = {(seed, fold): SUBJECT_DIFFERENCES[metric](units, jackknife.subjects) for seed, fold, units in joined}
    seeds = subject_scores_by_seed(joined, by_fold)
    values = mean_ignoring_nan(seeds)
    found = mean_over_subjects(values, jackknife.codes)
    if isinstance(found, Undefined):
        return Undefined(WHY_UNDEFINED[metric][1])
    return found, jackknife.by_group(np.nan_to_num(seeds / np.isfinite(values).sum()))


def _difference_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """Return (P,) the mean score of positive units minus that of negative units of each subject, NaN without both."""
    subject, n, by_class = encode_subjects(units, subjects), len(subjects), []
    for positive, score in compare_classes(units):
        with np.errstate(invalid="ignore"):
            high, low = (
                np.bincount(subject[units_of], score[units_of], n) / np.bincount(subject[units_of], minlength=n)
                for units_of in (positive, ~positive)
            )
        by_class.append(high - low)
    return mean_ignoring_nan(by_class)


SUBJECT_DIFFERENCES: Mapping[str, Callable[[Units, np.ndarray], np.ndarray]] = {
    "auroc_within": _difference_by_subject,
    "concordance_within": partial(order_by_subject, graded=True),
}
"""Within-subject score -> the function that computes the mean difference within each subject."""


def _crossed_difference(metric: str, joined: Joined, jackknife: Jackknife) -> tuple[Estimate, np.ndarray] | Undefined:
    """Return the mean difference of scores over matched comparisons, and groups' contributions in each seed (S, G).
    Contributions are computed with subjects of all folds, see `_crossed_contributions`."""
    subjects, whole, by_seed = jackknife.subjects, [], []
    for folds in joined.seeds.values():
        mates = conditioned.over_folds(metric, folds.values(), subjects, graded=True)
        first, *rest = folds.values()
        all_folds = conditioned.comparisons(metric, first.join(*rest), subjects, graded=True)
        least = conditioned.NO_HURDLE
        if (
            isinstance(mates, Undefined)
            or isinstance(all_folds, Undefined)
            or not conditioned.estimable(metric, mates, least)
        ):
            by_seed.append(np.full(len(jackknife.counts), np.nan))
            continue
        whole.append(mates)
        by_seed.append(jackknife.by_group(_mean([t.wins.sum(1) / t.pairs.sum() for t in all_folds if t.pairs.any()])))
    if not whole:
        return Undefined("no_two_subjects")
    pooled = conditioned.sum_tables(whole)
    kept = [pooled[k] for k in conditioned.estimable(metric, pooled, conditioned.NO_HURDLE)]
    if not kept:
        return Undefined("metric_not_estimable", metric=metric)
    involved = np.any([t.pairs.sum(1) > 0 for t in kept], axis=0)
    without = jackknife.mask_uninvolved(_mean([t.resample(jackknife.counts) for t in kept]), involved)
    mean = float(np.mean([t.wins.sum() / t.pairs.sum() for t in kept]))
    return jackknife_estimate(mean, without, int(involved.sum())), np.stack(by_seed)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(values, axis=0))
