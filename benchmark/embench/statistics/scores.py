"""The content of a run's `scores.json`, from its predictions and labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol, overload

import numpy as np

from embench import registry
from embench.files import digest
from embench.interfaces.kinds import KindName
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Units
from embench.protocols import Design
from embench.records.manifest import SCHEMA
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.scores import Scores
from embench.statistics.estimates import ScoreOrReason, estimate_all, metric_of, name_slow
from embench.statistics.intervals import (
    LEVEL,
    Estimate,
    Jackknife,
    add_one,
    leave_one_out,
    paired_difference,
    shared_variance,
    widen,
)
from embench.statistics.joined import Joined, join, shared_stimuli, varies_within_stimuli
from embench.statistics.metrics import metric_facts
from embench.statistics.personal import gains


class HeadlineRule(Protocol):
    """Properties of a protocol that scoring needs."""

    def headline_for(self, kind: KindName, design: Design, moments: bool) -> str:
        """The metric that ranks runs on targets of a kind in a study of this design; `moments`: whether labels vary
        while a stimulus lasts."""


def compute_scores(
    predictions: Predictions,
    labels: Labels,
    *,
    targets: Sequence[Target],
    protocol: HeadlineRule,
    design: Design,
    groups: Mapping[str, str],
    unit_length_s: float | Mapping[str, float],
    sessions: Mapping[str, float] | None = None,
    not_applicable: Mapping[str, Mapping[str, str]] | None = None,
) -> Scores:
    """Scores of the model and of every control, each number with its interval or the reason why there is none.

    Args:
        groups: subject -> subjects recorded together with them.
        unit_length_s: nominal length of a unit, for all targets or each; NaN where units are whole recordings.
        sessions: subject -> length of the session in s, where known.
        not_applicable: target -> control -> why it was not scored.

    Returns:
        Their content: `headlines` {target: metric}; `scores` {target: {metric: number}} of the model; `controls`
        {control: {target: {metric: number}}}, or {target: {"undefined": reason}} where it does not apply;
        `differences`, `cleared_all` and `not_cleared`, which are always empty; `folds`, every method, seed and
        fold by itself. A number is {mean, std, low, high, subjects, over, left_out} or {"undefined": reason}, see
        `Estimate`.

    Raises:
        DataError: predictions do not fit together or with `groups`.
        PluginError: a metric raised.
    """
    headlines: dict[str, str] = {}
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "headlines": headlines,
        "level": LEVEL,
        "scores": {},
        "controls": {},
        "differences": {},
        "folds": [],
    }
    took: dict[str, float] = {}
    for target in targets:
        length = unit_length_s[target.name] if isinstance(unit_length_s, Mapping) else unit_length_s
        methods, partial = _whole(join(predictions, labels, target, groups, length, sessions, whole=True))
        absent = {**(not_applicable or {}).get(target.name, {}), **partial}
        for control, reason in absent.items():
            out["controls"].setdefault(control, {})[target.name] = {"undefined": reason}
        headlines[target.name] = headline_of(target, protocol, design, methods.get(MODEL))
        if MODEL in methods and methods[MODEL].predicted.seeds:
            jackknife = leave_one_out(methods[MODEL].tested_subjects(), groups, shared_stimuli(design, methods[MODEL]))
            _add_target(out, target, methods, jackknife, took, absent)
        else:
            nothing = Undefined("no unit with a label was predicted")
            out["scores"][target.name] = {headlines[target.name]: _json(nothing)}
    name_slow(took)
    return Scores({**out, "cleared_all": False, "not_cleared": []})


def headline_of(target: Target, protocol: HeadlineRule, design: Design, joined: Joined | None) -> str:
    """The score that ranks a method with these units, or one without any.

    Where tasks came in one order and a unit is a whole task, bins of time cannot be compared; the task holds the clock
    constant, as a stimulus would.
    """
    tasks = design == "fixed_order" and joined is not None and _are_whole(joined)
    moments = joined is not None and varies_within_stimuli(joined)
    return protocol.headline_for(target.kind, "shared_stimuli" if tasks else design, moments)


def _are_whole(joined: Joined) -> bool:
    """True if units are whole recordings, of several tasks."""
    stimuli = {name for _, _, units in joined for name in units.stimulus.tolist()}
    return len(stimuli) > 1 and not any(np.isfinite(units.length_s) for _, _, units in joined)


@overload
def with_interval_of(name: str, score: Estimate) -> Estimate: ...
@overload
def with_interval_of(name: str, score: ScoreOrReason) -> ScoreOrReason: ...
def with_interval_of(name: str, score: ScoreOrReason) -> ScoreOrReason:
    """Return the score of this name with its interval: scores like AUROC have that of `add_one`."""
    if isinstance(score, Estimate) and metric_facts(name).is_like_auroc:
        return add_one(score)
    return score


def _add_target(
    out: dict[str, Any],
    target: Target,
    methods: Mapping[str, Joined],
    jackknife: Jackknife,
    took: dict[str, float],
    absent: Mapping[str, str],
) -> None:
    """Adds the scores of the model and of every control on a target.
    `absent`: control -> why it is not there."""
    headline = out["headlines"][target.name]
    scored: dict[str, dict[str, ScoreOrReason]] = {}
    for method, joined in methods.items():
        scores, folds = _estimated(joined, target, headline, jackknife, took)
        scored[method] = {name: with_interval_of(name, score) for name, score in scores.items()}
        out["folds"] += [{"method": method, "target": target.name, **fold} for fold in folds]
    out["scores"][target.name] = {name: _json(value) for name, value in scored[MODEL].items()}
    trained = methods[MODEL].trained(jackknife)

    def gain(one: str, other: str, score: str) -> ScoreOrReason:
        nothing = Undefined(f"{score} was not computed")
        return _gap(scored[one].get(score, nothing), scored[other].get(score, nothing), jackknife, trained)

    if (found := gains(target, headline, scored, gain, _is_better, absent)) is not None:
        out.setdefault("personal", {})[target.name] = found
    for control in sorted(set(scored) - {MODEL}):
        values = {name: _json(value) for name, value in scored[control].items()}
        out["controls"].setdefault(control, {})[target.name] = values


def _estimated(
    joined: Joined, target: Target, headline: str, jackknife: Jackknife, took: dict[str, float]
) -> tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]:
    """`estimate_all`, or what it made of the same content in this process: the methods of a split share the controls,
    and an audit computes again what stands in a record that was just written."""
    metrics = [metric_of(name) for name in registry.names("metric")]
    about = [repr(target), headline, digest(jackknife.subjects), digest(jackknife.codes), jackknife.stimuli]
    content = digest([about, [[seed, fold, _plain(units)] for seed, fold, units in joined]])
    key = content, tuple(metric if isinstance(metric, Undefined) else type(metric) for metric in metrics)
    if key not in _ESTIMATED:
        if len(_ESTIMATED) == _MOST_ESTIMATED:
            del _ESTIMATED[next(iter(_ESTIMATED))]
        _ESTIMATED[key] = estimate_all(joined, target, headline, jackknife, took)
    return _ESTIMATED[key]


def _plain(units: Units) -> list[str]:
    """Short texts that identify the content."""
    values = [getattr(units, field.name) for field in fields(units)]
    return [digest(value) if isinstance(value, np.ndarray) else repr(value) for value in values]


_ESTIMATED: dict[object, tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]] = {}
_MOST_ESTIMATED = 64


def _whole(methods: dict[str, Joined]) -> tuple[dict[str, Joined], dict[str, str]]:
    """The methods that predict every unit of the model, and why the others can't be compared with it."""
    sizes = {name: sum(len(units) for _, _, units in joined) for name, joined in methods.items()}
    all_of_them = sizes.get(MODEL, 0)
    partial = {
        name: f"answered {size} of the model's {all_of_them} units only"
        for name, size in sizes.items()
        if size < all_of_them
    }
    return {n: joined for n, joined in methods.items() if sizes[n] and n not in partial}, partial


def _gap(one: ScoreOrReason, other: ScoreOrReason, jackknife: Jackknife, trained: np.ndarray) -> ScoreOrReason:
    """Return the paired difference of two scores.

    Where nothing was learned, subjects who train each other's models about double the variance: that much is allowed
    for where seeds do not show how much it is.
    """
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        return one if isinstance(one, Undefined) else other
    gap = paired_difference(one, other, jackknife.codes)
    if isinstance(gap, Undefined) or gap.error is None or not trained.any():
        return gap
    shared = shared_variance(gap.by_seed, trained)
    return widen(gap, gap.error**2 if shared is None else shared)


def _is_better(gap: Estimate, headline: str) -> bool:
    """True if the interval of a difference lies wholly where the headline is better: below 0 for an error."""
    if gap.low is None or gap.high is None:
        return False
    return gap.low > 0 if metric_facts(headline).higher else gap.high < 0


def _json(value: ScoreOrReason) -> dict[str, Any]:
    return {"undefined": value.reason} if isinstance(value, Undefined) else value.as_json()
