"""Everything a run's `scores.json` holds, from its predictions and labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Protocol

import numpy as np

from embench import registry
from embench.files import digest
from embench.interfaces.kinds import KindName
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Design
from embench.records.columns import Columns, Texts
from embench.records.predictions import MODEL, Labels, Predictions
from embench.statistics.controls import NOT_TO_CLEAR
from embench.statistics.estimates import Score, estimate_all
from embench.statistics.intervals import (
    LEVEL,
    Estimate,
    Jackknife,
    leave_one_out,
    paired_difference,
    shared_variance,
    widen,
)
from embench.statistics.joined import Joined, join, shared_stimuli


class HeadlineRule(Protocol):
    """What scoring needs of a protocol."""

    def headline_for(self, kind: KindName, design: Design) -> str:
        """The metric that ranks runs on targets of a kind in a study of this design."""


def scores_once(
    predictions: Predictions,
    labels: Labels,
    *,
    targets: Sequence[Target],
    protocol: HeadlineRule,
    design: Design,
    groups: Mapping[str, str],
    unit_length_s: float,
    sessions: Mapping[str, float],
    not_applicable: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """`compute_scores`, or what the latest call made of the same content: an audit computes again what stands in the
    record, which the same process may have just written."""
    given = {
        "predictions": _plain(predictions.columns),
        "labels": _plain(labels.columns),
        "targets": [(repr(target), protocol.headline_for(target.kind, design)) for target in targets],
        "about": [design, repr(unit_length_s)],
        "subjects": [(s, groups.get(s), repr(sessions.get(s))) for s in predictions.texts("subject").names.tolist()],
        "not applicable": {target: dict(reasons) for target, reasons in not_applicable.items() if reasons},
        "metrics": [registry.origin(registry.find("metric", name)) for name in registry.names("metric")],
    }
    key = digest(given)
    if key not in _latest:
        made = compute_scores(
            predictions,
            labels,
            targets=targets,
            protocol=protocol,
            design=design,
            groups=groups,
            unit_length_s=unit_length_s,
            sessions=sessions,
            not_applicable=not_applicable,
        )
        _latest.clear()
        _latest[key] = made
    return deepcopy(_latest[key])


_latest: dict[str, dict[str, Any]] = {}
"""The digest of what `scores_once` was given last, and the scores."""


def _plain(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What decides the content of columns, as plain values: of texts the names, and digests of numbers."""
    stored = columns.stored if isinstance(columns, Columns) else columns
    made: dict[str, Any] = {}
    for name, column in stored.items():
        texts = column.used() if isinstance(column, Texts) else None
        made[name] = [texts.names.tolist(), digest(texts.code)] if texts is not None else digest(column)
    return made


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
        headline = headlines[target.name]
        length = unit_length_s[target.name] if isinstance(unit_length_s, Mapping) else unit_length_s
        methods, partial = _whole(join(predictions, labels, target, groups, length, sessions))
        absent = {**partial, **(not_applicable or {}).get(target.name, {})}
        for control, reason in absent.items():
            out["controls"].setdefault(control, {})[target.name] = {"undefined": reason}
        if MODEL not in methods:
            nothing = Undefined("no unit with a label was predicted")
            out["scores"][target.name] = {headline: _json(nothing)}
            continue
        jackknife = leave_one_out(methods[MODEL].tested_subjects(), groups, shared_stimuli(design, methods[MODEL]))
        scored: dict[str, dict[str, Score]] = {}
        for method, joined in methods.items():
            scored[method], folds = estimate_all(joined, target, headline, jackknife)
            out["folds"] += [{"method": method, "target": target.name, **fold} for fold in folds]
        out["scores"][target.name] = {name: _json(value) for name, value in scored[MODEL].items()}
        trained = methods[MODEL].trained(jackknife)
        for control in sorted(set(scored) - {MODEL}):
            values = {name: _json(value) for name, value in scored[control].items()}
            out["controls"].setdefault(control, {})[target.name] = values
            if control in NOT_TO_CLEAR:
                continue
            gap = _gap(scored[MODEL][headline], scored[control][headline], jackknife, trained)
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


def _gap(one: Score, other: Score, jackknife: Jackknife, trained: np.ndarray) -> Score:
    """The paired difference of headlines, model less control; what cannot be shown to lie above 0 has not cleared it.

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


def _json(value: Score) -> dict[str, Any]:
    return {"undefined": value.reason} if isinstance(value, Undefined) else value.as_json()
