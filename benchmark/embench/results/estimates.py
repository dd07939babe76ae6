"""A method's scores on one target: the score inside people, the conditioned ones, and every metric plugin that fits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from embench import registry
from embench.errors import EmbenchError, PluginError
from embench.interfaces.agreement import concordance_by_person
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.ranking import Pairs, auroc_by_person, mean_of_known
from embench.interfaces.units import Target
from embench.results import conditioned
from embench.results.intervals import Bootstrap, Estimate, over_people, resampled
from embench.results.joined import Joined

WITHIN, WITHIN_VALUES = "auroc_within", "ccc"
"""The score inside people, of classes and of values."""

Score = Estimate | Undefined


def estimate_all(
    joined: Joined, target: Target, headline: str, bootstrap: Bootstrap, groups: Mapping[str, str]
) -> tuple[dict[str, Score], list[dict[str, Any]]]:
    """(metric -> its estimate, one row for each seed and fold with the value of each metric, None where undefined)."""
    scores: dict[str, Score] = {}
    folds: list[dict[str, Any]] = [
        {"seed": seed, "fold": fold, "units": len(units), "people": len(np.unique(units.subject))}
        for seed, fold, units in joined
    ]
    within, inside = (WITHIN_VALUES, concordance_by_person) if target.kind == "value" else (WITHIN, auroc_by_person)
    by_fold = {(seed, fold): inside(units, bootstrap.people) for seed, fold, units in joined}
    scores[within] = _inside_people(joined, by_fold, bootstrap.people, groups, target.kind)
    for row in folds:
        row[within] = _finite(mean_of_known(by_fold[row["seed"], row["fold"]]))
    if target.kind != "value":
        for name in conditioned.CONDITIONED:
            scores[name] = _conditioned(name, joined, bootstrap)
    for name in registry.names("metric"):
        if name in scores:
            continue
        metric = _metric(name)
        if isinstance(metric, Undefined):
            scores[name] = metric
            continue
        if target.kind not in metric.kinds:
            continue
        values = {(seed, fold): _guarded(name, metric, units) for seed, fold, units in joined}
        scores[name] = _over_folds(name, metric, joined, values, bootstrap)
        for row in folds:
            value = values[row["seed"], row["fold"]]
            row[name] = None if isinstance(value, Undefined) else _finite(value)
    if headline not in scores:
        scores[headline] = Undefined(f"no metric named {headline} scores targets that are of kind {target.kind}")
    return scores, folds


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


def _inside_people(
    joined: Joined,
    by_fold: Mapping[tuple[int, int], np.ndarray],
    people: np.ndarray,
    groups: Mapping[str, str],
    kind: str,
) -> Score:
    """The score inside each person, a person's folds and seeds averaged first, then people."""
    seeds = [mean_of_known([by_fold[seed, fold] for fold in folds]) for seed, folds in joined.seeds.items()]
    persons = mean_of_known(seeds)
    left_out = int(np.isnan(persons).sum())
    why, nobody = (
        ("labels that do not vary", "no test person's labels vary")
        if kind == "value"
        else ("one class only", "no test person has both classes")
    )
    said = (f"{left_out} of {len(people)} people: {why}",) if left_out else ()
    estimate = over_people(persons, np.array([groups[person] for person in people.tolist()]), said)
    return Undefined(nobody) if isinstance(estimate, Undefined) else estimate


def _conditioned(name: str, joined: Joined, bootstrap: Bootstrap) -> Score:
    """The share of comparisons won over all folds of a seed, mean over seeds."""
    shares, samples, sizes, missing, involved = [], [], [], [], np.zeros(len(bootstrap.people), bool)
    for folds in joined.seeds.values():
        made = [conditioned.comparisons(name, units, bootstrap.people) for units in folds.values()]
        tables = [table for table in made if not isinstance(table, Undefined)]
        if not tables:
            missing.append(next(table.reason for table in made if isinstance(table, Undefined)))
            continue
        summed: list[Pairs] = conditioned.add(tables)
        share = conditioned.share_won(name, summed)
        if isinstance(share, Undefined):
            missing.append(share.reason)
            continue
        shares.append(share)
        samples.append(conditioned.share_won_resampled(name, summed, bootstrap.counts))
        sizes.append(sum(conditioned.size(name, table)[0] for table in summed))
        involved |= np.any([(t.pairs.sum(0) + t.pairs.sum(1)) > 0 for t in summed], axis=0)
    if not shares:
        return Undefined(missing[0])
    said = (f"{len(missing)} of {len(joined.seeds)} seeds: {missing[0]}",) if missing else ()
    mean, values = float(np.mean(shares)), mean_of_known(samples)
    return replace(resampled(mean, values, bootstrap, int(involved.sum()), said), comparisons=min(sizes))


def _over_folds(
    name: str,
    metric: Metric,
    joined: Joined,
    values: Mapping[tuple[int, int], float | Undefined],
    bootstrap: Bootstrap,
) -> Score:
    """A metric averaged over seeds, then folds; what is undefined is left out.

    In a bootstrap sample a fold weighs as much as its people were drawn, relative to their number: 1 for the folds that
    were strata; else a person who is the whole fold could be drawn twice and count once.
    """
    folds = sorted({fold for _, fold, _ in joined})
    shape = (len(joined.seeds), len(folds))
    value = np.full(shape, np.nan)
    sample = np.full((*shape, len(bootstrap.counts)), np.nan)
    weight = np.zeros_like(sample)
    reasons: list[str] = []
    for i, (seed, of_seed) in enumerate(joined.seeds.items()):
        for fold, units in of_seed.items():
            found = values[seed, fold]
            if isinstance(found, Undefined) or not np.isfinite(found):
                reasons.append(found.reason if isinstance(found, Undefined) else "not a finite number")
                continue
            at = i, folds.index(fold)
            tested = np.isin(bootstrap.people, units.subject)
            counts = bootstrap.counts[:, tested]
            value[at] = found
            sample[at] = _guarded(name, metric.resampled, units, bootstrap.people[tested], counts)
            weight[at] = counts.mean(1)
    if np.isnan(value).all():
        return Undefined(reasons[0] if reasons else "no units")
    said = (f"{len(reasons)} of {len(values)} folds and seeds: {'; '.join(sorted(set(reasons)))}",) if reasons else ()
    spread = [row[np.isfinite(row)].std(ddof=1) for row in value if np.isfinite(row).sum() > 1]
    mean = float(mean_of_known(mean_of_known(value)))
    estimate = resampled(mean, _weighted(sample, weight), bootstrap, len(bootstrap.people), said)
    return replace(estimate, over="folds", std=float(np.mean(spread)) if spread else None)


def _weighted(sample: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(R,) means over seeds, then folds, of `sample` (S, F, R), NaN left out."""
    weight = np.where(np.isnan(sample), 0.0, weight)
    drawn = weight.sum(0)
    with np.errstate(invalid="ignore"):
        by_fold = np.where(drawn > 0, (np.nan_to_num(sample) * weight).sum(0) / drawn, 0.0)
        return (by_fold * drawn).sum(0) / drawn.sum(0)


def _guarded(name: str, call: Callable[..., Any], *args: Any) -> Any:
    """The call's result; whatever a plugin raises is said to be its own fault."""
    try:
        return call(*args)
    except Exception as error:
        where = registry.origin(registry.find("metric", name))
        raise PluginError(f"the metric {name} raised {type(error).__name__}: {error}", where=where) from error


def _finite(value: float | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
