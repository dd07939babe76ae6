"""Everything a run's `scores.json` holds, from its predictions and labels alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from functools import partial as bound
from typing import Any, Protocol

import numpy as np

from embench.interfaces.kinds import KindName
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Design
from embench.records.predictions import MODEL, Labels, Predictions
from embench.statistics import permutation
from embench.statistics.estimates import Score, estimate_all
from embench.statistics.intervals import LEVEL, Estimate, Jackknife, leave_one_out, paired_difference, stretch, widen
from embench.statistics.joined import Joined, join


class HeadlineRule(Protocol):
    """What scoring needs of a protocol."""

    def headline_for(self, kind: KindName, design: Design) -> str:
        """The metric that ranks runs on targets of a kind in a study of this design."""


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
) -> dict[str, Any]:
    """Scores of the model and of every control, each number with its interval or the reason why there is none.

    Args:
        groups: subject -> subjects recorded together with them.
        unit_length_s: nominal length of a unit, for all targets or each; NaN where units are whole recordings.
        sessions: subject -> length of the session in s, where known.
        not_applicable: target -> control -> why it was not scored.

    Returns:
        `headlines` {target: metric}; `scores` {target: {metric: number}} of the model; `controls` {control: {target:
        {metric: number}}}, or {target: {"undefined": reason}} where it does not apply; `differences` {control: {target:
        {"difference": number, "clears": bool}}} of the headlines, model less control, paired; `cleared_all` and
        `not_cleared` ("target: control"); `folds`, every method, seed and fold by itself. A number is {mean, std, low,
        high, subjects, over, left_out} or {"undefined": reason}, see `Estimate`.

    Raises:
        DataError: predictions do not fit together or with `groups`.
        PluginError: a metric raised.
    """
    headlines = {target.name: protocol.headline_for(target.kind, design) for target in targets}
    out: dict[str, Any] = {
        "headlines": headlines,
        "level": LEVEL,
        "scores": {},
        "controls": {},
        "differences": {},
        "folds": [],
    }
    not_cleared = []
    for target in targets:
        length = unit_length_s[target.name] if isinstance(unit_length_s, Mapping) else unit_length_s
        methods, partial = _whole(join(predictions, labels, target, groups, length, sessions))
        absent = {**partial, **(not_applicable or {}).get(target.name, {})}
        for control, reason in absent.items():
            out["controls"].setdefault(control, {})[target.name] = {"undefined": reason}
        if MODEL not in methods:
            nothing = Undefined("no unit with a label was predicted")
            out["scores"][target.name] = {headlines[target.name]: _json(nothing)}
            continue
        jackknife = leave_one_out(methods[MODEL].tested_subjects(), groups)
        scored: dict[str, dict[str, Score]] = {}
        for method, joined in methods.items():
            scored[method], folds = estimate_all(joined, target, headlines[target.name], jackknife, groups)
            out["folds"] += [{"method": method, "target": target.name, **fold} for fold in folds]
        out["scores"][target.name] = {name: _json(value) for name, value in scored[MODEL].items()}
        added = cache(
            bound(
                permutation.per_subject_contributions,
                headlines[target.name],
                methods[MODEL],
                target,
                jackknife.subjects,
            )
        )
        for control in sorted(set(scored) - {MODEL}):
            values = {name: _json(value) for name, value in scored[control].items()}
            out["controls"].setdefault(control, {})[target.name] = values
            gap = _gap(target, headlines[target.name], methods, scored, control, jackknife, added)
            compared = {
                "difference": _json(gap),
                "clears": isinstance(gap, Estimate) and gap.low is not None and gap.low > 0,
            }
            out["differences"].setdefault(control, {})[target.name] = compared
            if not compared["clears"]:
                not_cleared.append(f"{target.name}: {control}")
    out["cleared_all"] = bool(out["differences"]) and not not_cleared
    out["not_cleared"] = not_cleared
    return out


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


def _gap(
    target: Target,
    headline: str,
    methods: Mapping[str, Joined],
    scored: Mapping[str, Mapping[str, Score]],
    control: str,
    jackknife: Jackknife,
    model_adds: Callable[[], np.ndarray | None],
) -> Score:
    """The paired difference of headlines, model less control; what cannot be shown to lie above 0 has not cleared it.

    A control shows whether anything was learned. Where nothing was, subjects who train each other's models about double
    the variance, so that the interval includes the whole `shared_variance`: as much as seeds show, and never more than
    that doubling, which is also taken where seeds don't show it.
    """
    one, other = (scored[method][headline] for method in (MODEL, control))
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        return one if isinstance(one, Undefined) else other
    codes = jackknife.codes
    gap = paired_difference(one, other, codes)
    ours, theirs = methods[MODEL], methods[control]
    if isinstance(gap, Undefined) or ours.n_parts == 1:  # no subject trains another's model
        return gap
    added = model_adds() if ours.seeds_differ_in_partition else None
    subtracted = (
        None if added is None else permutation.per_subject_contributions(headline, theirs, target, jackknife.subjects)
    )
    if added is None or subtracted is None:
        return stretch(gap, math.sqrt(2))
    return widen(gap, permutation.group_contributions_by_seed(added, subtracted, codes), ours.n_parts, most=1)


def _json(value: Score) -> dict[str, Any]:
    return {"undefined": value.reason} if isinstance(value, Undefined) else value.as_json()
