"""Raters beside methods: how reliable their label is, the bound that this sets on a correlation, and how well one rater
predicts the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embench.data.label_statistics import single_raters
from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_of_known
from embench.interfaces.raters import Raters, fuse_ratings, weights_of_raters
from embench.interfaces.recording import Label
from embench.interfaces.units import Target, Unit, Units
from embench.protocols import Protocol, label_units, make_units
from embench.records.wording import format_figure, in_words
from embench.statistics.inside import WITHIN_SUBJECT_SCORES
from embench.store import Store

SELF_REPORT = "a self-report needs a retest for one, and the highest possible score is unknown without it"
ONE_RATER = "one rater alone has none: it takes two who rated the same units"


@dataclass(frozen=True, slots=True)
class Reliability:
    """The reliability of raters inside recordings or subjects, 0 to 1: `one`, of a single rater, and `fused`, of the
    mean of `raters` of them. That is the harmonic mean over units of the number of raters who rated one, where weights
    differ of the number of equal raters that are worth as much."""

    one: float
    fused: float
    raters: float

    @property
    def bound(self) -> float:
        """The greatest correlation with the label that any prediction has on average, 0 to 1: the square root of the
        label's reliability (Spearman 1904, doi 10.2307/1412159). It takes errors of raters to be independent of each
        other and of the signals; errors that raters share are no errors for it."""
        return math.sqrt(self.fused)


def reliability_of_raters(
    values: np.ndarray, group: np.ndarray, weights: np.ndarray | None = None
) -> Reliability | Undefined:
    """The reliability of the weighted mean of raters, inside each group, so that means of groups do not raise it.

    ICC(C,1) and ICC(C,k) of McGraw and Wong 1996 (doi 10.1037/1082-989X.1.1.30): the mean covariance of two raters over
    the mean variance of one, and what the formula of Spearman and Brown makes of it for k raters, which is Cronbach's
    alpha where nobody missed a unit. Covariances are those of deviations from each rater's mean in the group, over the
    units that both rated. Weights count as the squares (variances) and products (covariances) that they are in the
    variance of the weighted mean. A negative estimate counts as 0.

    Args:
        values: (R, N) of raters and units, NaN where one rated nothing.
        group: (N,) recording or subject of each unit.
        weights: (R,) of the raters in the mean; by default equal.

    >>> noise = np.random.default_rng(0).standard_normal((2, 5000))
    >>> felt = np.random.default_rng(1).standard_normal(5000)
    >>> found = reliability_of_raters(felt + noise, np.zeros(5000))
    >>> round(found.one, 1), round(found.fused, 2)
    (0.5, 0.68)
    """
    weights = np.ones(len(values)) if weights is None else weights
    used = np.isfinite(values).any(axis=1) & (weights > 0)
    values, weights = values[used], weights[used]
    if len(values) < 2:
        return Undefined(ONE_RATER)
    covariance = _covariance_within(values, group)
    products = np.outer(weights, weights) * np.isfinite(covariance)
    own = np.diag(np.diag(products))
    if not (products - own).any():
        return Undefined("no two raters rated several units of one recording or subject")
    known = np.nan_to_num(covariance)
    variance = float((own * known).sum() / own.sum())
    if variance == 0:
        return Undefined("the ratings do not vary within recordings or subjects")
    one = max(0.0, float(((products - own) * known).sum() / (products - own).sum()) / variance)
    there = np.isfinite(values)
    there = there[:, there.any(axis=0)].astype(float)
    k = float(1 / ((weights**2 @ there) / (weights @ there) ** 2).mean())
    return Reliability(min(1.0, one), min(1.0, k * one / (1 + (k - 1) * one)), k)


def _covariance_within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(R, R) covariance of each two raters inside groups, over the units that both rated; NaN where there is none."""
    made = np.full((len(values), len(values)), np.nan)
    for a in range(len(values)):
        for b in range(a, len(values)):
            both = np.isfinite(values[[a, b]]).all(axis=0)
            _, code = np.unique(group[both], return_inverse=True)
            count = np.bincount(code)
            away = [values[r, both] - (np.bincount(code, values[r, both]) / count)[code] for r in (a, b)]
            if len(code) > len(count):
                made[a, b] = made[b, a] = (away[0] @ away[1]) / (len(code) - len(count))
    return made


def describe_raters(store: Store, card: Card, target: Target, protocol: Protocol) -> dict[str, Any] | None:
    """Plain values on the raters of a target's label; None where the label is no rating.

    `undefined`: why nothing is. Else `by`, how the label is made of theirs; `within`, the groups that hold a rater's
    level constant (`recording`, or `subject` of ratings of whole recordings); `reliability` of the label,
    `reliability_of_one` rater, `raters` as `Reliability` counts them, and the `bound` on a correlation with the label;
    and `one_against_others`: of each rater the `weight` in the label, and the scores that methods have, of this rater's
    ratings as predictions of what the others make; their mean over raters is the `human` benchmark.
    """
    table = store.labels()
    kind: Any = store.label_kinds.get(target.label)
    if kind is None or kind == "condition" or next(iter(table[target.label].values())).classes is not None:
        return None
    declared = card.raters.get(target.label)
    names = declared.labels if declared else tuple(single_raters(store.label_kinds, target.label))
    names = tuple(name for name in names if name in table)
    if len(names) < 2:
        return {"undefined": SELF_REPORT if target.rule.annotator == "self" and not names else ONE_RATER}
    raters = Raters(names, declared.by if declared else "mean")
    units = make_units(store.recordings, card, kind, protocol)
    values = np.stack([label_units(units, table[name], target.rule)[0] for name in names])
    weights = weights_of_raters(_by_recording(table, names), raters)
    within = "recording" if kind == "continuous" else "subject"
    group = np.array([getattr(unit, within) for unit in units], dtype=np.str_)
    found = reliability_of_raters(values, group, weights)
    about: dict[str, Any] = {"by": raters.by, "within": within}
    if isinstance(found, Undefined):
        return {**about, "undefined": found.reason}
    scored = _one_against_others(raters, weights, values, units, target)
    scores = [name for name in scored[0] if name not in ("rater", "weight")]
    return {
        **about,
        "reliability": found.fused,
        "reliability_of_one": found.one,
        "raters": found.raters,
        "bound": found.bound,
        "one_against_others": scored,
        "human": {name: _mean([row[name] for row in scored]) for name in scores},
    }


def raters_in_words(found: Mapping[str, Any]) -> str:
    """The facts of `describe_raters` in sentences."""
    if "undefined" in found:
        return f"The label's reliability is not known: {found['undefined']}."
    mean = "weighted mean" if found["by"] == "ewe" else "mean"
    human = ", ".join(f"{in_words(name)} {format_figure(score)}" for name, score in found["human"].items())
    return (
        f"Reliability within {found['within']}s, ICC(C,k): {found['reliability']:.3f} of the {mean} of "
        f"{found['raters']:.3g} raters, {found['reliability_of_one']:.3f} of one. No prediction has a correlation or a "
        f"CCC with that mean above {found['bound']:.3f} on average."
        + (f" One rater as a prediction of the other raters: {human}." if human else "")
    )


def _by_recording(table: Mapping[str, Mapping[str, Label]], names: Sequence[str]) -> list[dict[str, Label]]:
    ids = dict.fromkeys(recording for name in names for recording in table[name])
    return [{name: table[name][id_] for name in names if id_ in table[name]} for id_ in ids]


def _one_against_others(
    raters: Raters, weights: np.ndarray, values: np.ndarray, units: Sequence[Unit], target: Target
) -> list[dict[str, Any]]:
    """The scores within subjects of each rater's ratings, of `values` (R, N), as predictions of the label that the
    target's rule makes of the others'; none of several classes, or where training labels decide a cut."""
    rows: list[dict[str, Any]] = []
    for r, (name, weight) in enumerate(zip(raters.labels, weights.tolist(), strict=True)):
        rows.append({"rater": name, "weight": weight})
        if target.traits.several or target.rule.cut == "training_mean":
            continue
        others = fuse_ratings(np.delete(values, r, 0), raters.by, np.delete(weights, r))
        made = [target.rule(others[i : i + 1]) for i in range(len(units))]
        label = np.array([math.nan if one is None else one for one in made])
        there = np.isfinite(values[r]) & np.isfinite(label)
        rated = [unit for unit, known in zip(units, there, strict=True) if known]
        joined = _joined(target, label[there], values[r, there], rated)
        for score in dict.fromkeys((target.traits.within, f"{target.traits.share}_within")):
            rows[r][score] = _mean(WITHIN_SUBJECT_SCORES[score](joined, np.unique(joined.subject)).tolist())
    return rows


def _joined(target: Target, label: np.ndarray, score: np.ndarray, units: Sequence[Unit]) -> Units:
    def of(field: str, dtype: Any = np.str_) -> np.ndarray:
        return np.array([getattr(unit, field) for unit in units], dtype=dtype)

    return Units(
        target.kind, label, score, score, of("subject"), of("stimulus"), of("start_s", np.float64),
        np.zeros(len(units), int), of("group"), step=target.step_over(label),
    )  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    known = mean_of_known(np.array([[math.nan if value is None else value] for value in values] or [[math.nan]]))
    return float(known[0]) if np.isfinite(known[0]) else None
