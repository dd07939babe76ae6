"""A method's scores on one target: the score inside subjects, the conditioned ones, and every metric plugin that
fits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from embench import registry
from embench.errors import EmbenchError, PluginError
from embench.interfaces.agreement import concordance_by_subject
from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import Pairs, auroc_by_subject, mean_of_known
from embench.interfaces.units import Target
from embench.statistics import conditioned
from embench.statistics.intervals import Estimate, Jackknife, jackknife_estimate, mean_over_subjects, widen
from embench.statistics.joined import Joined

WITHIN_SUBJECT_SCORES = {"auroc_within": auroc_by_subject, "ccc": concordance_by_subject}
"""The scores inside subjects: (units, subjects (P,)) -> (P,), NaN for a subject without one."""

Score = Estimate | Undefined


def estimate_all(
    joined: Joined, target: Target, headline: str, jackknife: Jackknife, groups: Mapping[str, str]
) -> tuple[dict[str, Score], list[dict[str, Any]]]:
    """(metric -> its estimate, one row for each seed and fold with the value of each metric, None where undefined)."""
    scores: dict[str, Score] = {}
    folds: list[dict[str, Any]] = [
        {"seed": seed, "fold": fold, "units": len(units), "people": len(np.unique(units.subject))}
        for seed, fold, units in joined
    ]
    for name in dict.fromkeys([target.traits.within, *conditioned.CONDITIONED, *registry.names("metric")]):
        score, by_fold = estimate(name, joined, target, jackknife, groups)
        if score is None:
            continue
        scores[name] = score
        if by_fold and name not in conditioned.CONDITIONED:  # of those, a fold alone has few comparisons
            for row in folds:
                row[name] = by_fold[row["seed"], row["fold"]]
    if headline not in scores:
        scores[headline] = Undefined(f"no metric named {headline} scores targets that are of kind {target.kind}")
    return scores, folds


ByFold = dict[tuple[int, int], float | None]
"""(seed, fold) -> the value there, None where undefined."""


def estimate(
    name: str, joined: Joined, target: Target, jackknife: Jackknife, groups: Mapping[str, str]
) -> tuple[Score | None, ByFold]:
    """One score, and its value in each seed and fold; None where it does not score targets of this kind."""
    if name == target.traits.within:
        return _within_subjects(joined, jackknife.subjects, groups, target.kind)
    if name in conditioned.CONDITIONED:
        return _conditioned(name, joined, jackknife) if target.traits.has_classes else (None, {})
    metric = _metric(name)
    if isinstance(metric, Undefined):
        return metric, {}
    return _over_folds(name, metric, joined, jackknife, groups) if target.kind in metric.kinds else (None, {})


def _metric(name: str) -> Metric | Undefined:
    """The metric; one of another package that can't be loaded is undefined, so that it does not cost a run whose test
    labels have been opened. The reason goes into published scores, so what failed and where is left to the warning."""
    try:
        made: Metric = _guarded(name, registry.load("metric", name))
    except EmbenchError as error:
        entry = registry.find("metric", name)
        if entry.package == registry.BUNDLED:
            raise
        warnings.warn(f"the metric {entry.full_name} is left out: {error}", stacklevel=2)
        return Undefined(f"the metric {entry.full_name} can't be loaded")
    return made


def _within_subjects(
    joined: Joined, subjects: np.ndarray, groups: Mapping[str, str], kind: KindName
) -> tuple[Score, ByFold]:
    """The score inside each subject, a subject's folds and seeds averaged first, then subjects."""
    by_fold = subject_scores_by_fold(joined, subjects, kind)
    values = {at: _finite(mean_of_known(scores)) for at, scores in by_fold.items()}
    scores = mean_of_known(subject_scores_by_seed(joined, by_fold))
    without = int(np.isnan(scores).sum())
    why_some, why_all = (
        ("one class only", "no test subject has both classes")
        if KINDS[kind].has_classes
        else ("labels that do not vary", "the labels of no test subject vary")
    )
    excluded = (f"{without} of {len(subjects)} subjects: {why_some}",) if without else ()
    estimate = mean_over_subjects(scores, np.array([groups[subject] for subject in subjects.tolist()]), excluded)
    return Undefined(why_all) if isinstance(estimate, Undefined) else estimate, values


def subject_scores_by_fold(joined: Joined, subjects: np.ndarray, kind: KindName) -> dict[tuple[int, int], np.ndarray]:
    """(seed, fold) -> the score inside each subject (P,), NaN where there is none."""
    inside = WITHIN_SUBJECT_SCORES[KINDS[kind].within]
    return {(seed, fold): inside(units, subjects) for seed, fold, units in joined}


def subject_scores_by_seed(joined: Joined, by_fold: Mapping[tuple[int, int], np.ndarray]) -> np.ndarray:
    """(S, P) the same, mean over a seed's folds."""
    seeds = [mean_of_known([by_fold[seed, fold] for fold in folds]) for seed, folds in joined.seeds.items()]
    return np.stack(seeds)


def _conditioned(name: str, joined: Joined, jackknife: Jackknife) -> tuple[Score, ByFold]:
    """The share of comparisons won over all folds and seeds."""
    kept: list[list[Pairs]] = []
    missing: list[str] = []
    values: ByFold = {}
    for seed, folds in joined.seeds.items():
        made = {fold: conditioned.comparisons(name, units, jackknife.subjects) for fold, units in folds.items()}
        tables = {fold: table for fold, table in made.items() if not isinstance(table, Undefined)}
        if not tables:
            missing.append(next(table.reason for table in made.values() if isinstance(table, Undefined)))
            continue
        values |= {(seed, fold): conditioned.plain_share(tables[fold]) if fold in tables else None for fold in folds}
        summed = conditioned.sum_tables(list(tables.values()))
        share = conditioned.share_won(name, summed)
        if isinstance(share, Undefined):
            missing.append(share.reason)
            continue
        kept.append(summed)
    if not kept:
        return Undefined(missing[0]), values
    pooled = conditioned.sum_tables(kept)
    share = conditioned.share_won(name, pooled)
    if isinstance(share, Undefined):
        return share, values
    involved = np.any([(t.pairs.sum(0) + t.pairs.sum(1)) > 0 for t in pooled], axis=0)
    sizes = [sum(conditioned.comparison_counts(name, table)[0] for table in tables) for tables in kept]
    excluded = (f"{len(missing)} of {len(joined.seeds)} seeds: {missing[0]}",) if missing else ()
    without = conditioned.share_won_resampled(name, pooled, jackknife.counts)
    estimate = jackknife_estimate(share, jackknife.without_involved(without, involved), int(involved.sum()), excluded)
    return replace(estimate, comparisons=min(sizes)), values


def _over_folds(
    name: str, metric: Metric, joined: Joined, jackknife: Jackknife, groups: Mapping[str, str]
) -> tuple[Score, ByFold]:
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
    for i, (seed, of_seed) in enumerate(joined.seeds.items()):
        for fold, units in of_seed.items():
            found = _guarded(name, metric, units)
            values[seed, fold] = None if isinstance(found, Undefined) else _finite(found)
            if isinstance(found, Undefined) or not np.isfinite(found):
                reasons.append(found.reason if isinstance(found, Undefined) else "not a finite number")
                continue
            at = i, folds.index(fold)
            tested = np.isin(jackknife.subjects, units.subject)
            counts = jackknife.counts[:, tested]
            value[at] = found
            sample[at] = _guarded(name, metric.resampled, units, jackknife.subjects[tested], counts)
            weight[at] = counts.mean(1)
    if np.isnan(value).all():
        return Undefined(reasons[0] if reasons else "no units"), values
    excluded = (
        (f"{len(reasons)} of {len(values)} folds and seeds: {'; '.join(sorted(set(reasons)))}",) if reasons else ()
    )
    spread = [row[np.isfinite(row)].std(ddof=1) for row in value if np.isfinite(row).sum() > 1]
    mean = float(mean_of_known(mean_of_known(value)))
    estimate = jackknife_estimate(mean, _weighted(sample, weight), len(jackknife.subjects), excluded)
    if joined.seeds_differ_in_partition and len(added := _added(name, metric, joined, groups)) > 1:
        estimate = widen(estimate, added, joined.n_parts)
    return replace(estimate, over="folds", std=float(np.mean(spread)) if spread else None), values


def _added(name: str, metric: Metric, joined: Joined, groups: Mapping[str, str]) -> np.ndarray:
    """(S, G) what each group of subjects adds to a metric of folds, in each seed that has a score: the jackknife's
    pseudo-values (Efron & Stein 1981, doi 10.1214/aos/1176345462) of its folds, over G. A group without which there
    is no score adds what the fold scores, and one of folds without a score what the others add."""
    names = np.array(
        sorted({groups[subject] for folds in joined.tested_subjects() for of in folds.values() for subject in of})
    )
    seeds = []
    for folds in joined.seeds.values():
        by_fold = np.full((len(folds), len(names)), np.nan)
        for row, units in zip(by_fold, folds.values(), strict=True):
            subjects = np.unique(units.subject)
            here, group = np.unique([groups[subject] for subject in subjects.tolist()], return_inverse=True)
            samples = np.vstack([np.ones(len(here), int), 1 - np.eye(len(here), dtype=int)])  # all, and each left out
            whole, *left = _guarded(name, metric.resampled, units, subjects, samples[:, group])
            pseudo = len(here) * whole - (len(here) - 1) * np.array(left)
            row[np.isin(names, here)] = np.where(np.isfinite(pseudo), pseudo, whole)
        seeds.append(mean_of_known(by_fold))
    known = np.stack([row for row in seeds if np.isfinite(row).any()])
    return np.asarray(np.where(np.isfinite(known), known, mean_of_known(known.T)[:, None]) / len(names))


def _weighted(sample: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(R,) means over seeds, then folds, of `sample` (S, F, R), NaN left out."""
    weight = np.where(np.isnan(sample), 0.0, weight)
    drawn = weight.sum(0)
    with np.errstate(invalid="ignore"):
        by_fold = np.where(drawn > 0, (np.nan_to_num(sample) * weight).sum(0) / drawn, 0.0)
        return (by_fold * drawn).sum(0) / drawn.sum(0)


def _guarded(name: str, call: Callable[..., Any], *args: Any) -> Any:
    """The call's result; whatever a plugin raises becomes a PluginError."""
    try:
        return call(*args)
    except Exception as error:
        where = registry.origin(registry.find("metric", name))
        raise PluginError(f"the metric {name} raised {type(error).__name__}: {error}", where=where) from error


def _finite(value: float | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
