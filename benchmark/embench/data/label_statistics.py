"""Statistics of labels: the variance that subjects and stimuli explain, and the agreement of annotators."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from embench.interfaces.agreement import concordance
from embench.interfaces.metric import Undefined


def variance_shares(values: np.ndarray, subject: np.ndarray, stimulus: np.ndarray) -> dict[str, float] | Undefined:
    """Shares of the variance of `values` (n,) that lie between subjects, between stimuli, and in the rest.

    The rest holds what a subject feels at one stimulus and not at another, changes in time, and noise. The components
    of y = mean + subject + stimulus + rest, all random, come from Henderson's method 1, which needs no balance and is
    the usual analysis of variance where there is some (Henderson 1953, doi 10.2307/3001853; Searle, Casella and
    McCulloch 1992, chapter 5). Negative estimates count as 0. With one subject or one stimulus that factor is excluded.
    """
    factors = {}
    for name, codes in (("person", subject), ("stimulus", stimulus)):
        kinds, code = np.unique(codes, return_inverse=True)
        if len(kinds) > 1:
            factors[name] = np.eye(len(kinds))[code]
    n = len(values)
    if not factors or n < 3:
        return Undefined("too few subjects and units")
    if np.ptp(values) == 0:
        return Undefined("the values do not vary")
    y = values - values.mean()
    # Uncorrected sums of squares by each factor and of all, less that of the mean, which is 0; and what each is
    # expected to be as a sum of the unknown components, the factors' in turn, then the rest's.
    sums, expected = [], []
    for one in factors.values():
        size = one.sum(0)
        sums.append((((y @ one) ** 2) / size).sum())
        shared = [(((one.T @ other) ** 2).sum(1) / size).sum() for other in factors.values()]
        expected.append([*shared, float(len(size))])
    sums.append((y**2).sum())
    expected.append([float(n)] * (len(factors) + 1))
    of_mean = [(one.sum(0) ** 2).sum() / n for one in factors.values()]
    system = np.array(expected) - [*of_mean, 1.0]
    if np.linalg.matrix_rank(system / np.abs(system).max(), tol=1e-9) < len(system):
        return Undefined("subject, stimulus and unit cannot be separated")
    parts = np.linalg.solve(system, np.array(sums)).clip(0)
    return dict(zip([*factors, "rest"], (parts / parts.sum()).tolist(), strict=True))


def krippendorff_alpha(values: np.ndarray, nominal: bool = False) -> float | Undefined:
    """Krippendorff's alpha of annotators: 1 is perfect agreement, 0 what chance gives.

    1 - D_o / D_e of observed and expected disagreement, the squared difference, or 0 and 1 of nominal values
    (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability). Units with one value are excluded.

    Args:
        values: (annotators, units), NaN where an annotator gave no value.
    """
    values = values[:, np.isfinite(values).sum(0) > 1]
    known = np.isfinite(values)
    if not values.size:
        return Undefined("no unit has two annotations")
    kinds = np.unique(values[known])
    # Nominal values lie at corners that are all equally far from each other.
    points = (values[..., None] == kinds).astype(float) if nominal else np.where(known, values, 0.0)[..., None]
    points = np.where(known[..., None], points - points[known].mean(0), 0.0)
    m, n = known.sum(0), int(known.sum())
    # Over ordered pairs of k points the squared distances sum to 2 (k * sum of squares - square of the sum).
    within = 2 * (m * (points**2).sum((0, 2)) - (points.sum(0) ** 2).sum(1))
    observed = (within / (m - 1)).sum() / n
    expected = 2 * n * (points**2).sum() / (n * (n - 1))
    return float(1 - observed / expected) if len(kinds) > 1 else Undefined("all values are equal")


def annotator_sets(names: Iterable[str], label: str) -> list[list[str]]:
    """The raw labels of the same quantity as `label`, by several annotators, in sets to be compared.

    `X`, `X_partner`, `X_external` are X as three parties see it; `X_external_r1`, `X_external_r2` (or `X_annotator1`
    ..) are single observers, whose mean or choice a label of the name before may be, so that the two never stand in one
    set.
    """
    own = _FORM.fullmatch(label)
    found = {name: match for name in sorted(names) if (match := _FORM.fullmatch(name))}
    parties = [n for n, match in found.items() if own and match["base"] == own["base"] and not match["number"]]
    return [some for some in (parties, single_raters(found, label)) if len(some) > 1]


def single_raters(names: Iterable[str], label: str) -> list[str]:
    """The raw labels among `names` by single raters of the quantity that `label` is of, such as `X_external_r1` of
    `X_external`; see `annotator_sets`.

    >>> single_raters(["calm", "calm_r1", "calm_r2", "mood_r1"], "calm")
    ['calm_r1', 'calm_r2']
    """
    own = _FORM.fullmatch(label)
    found = {name: match for name in sorted(names) if (match := _FORM.fullmatch(name))}
    return [n for n, match in found.items() if own and match["view"] == own["view"] and match["number"]]


_FORM = re.compile(r"(?P<view>(?P<base>.+?)(?:_(?:self|partner|external))?)(?P<number>_(?:r|annotator)\d+)?")


def pairwise(names: list[str], values: np.ndarray, nominal: bool) -> list[dict[str, Any]]:
    """Each two annotators: their common units, Spearman's correlation and Lin's concordance over them, None where one
    of the two does not vary; of nominal values the share that is equal. `values` (annotators, units)."""
    rows = []
    for a, b in combinations(range(len(names)), 2):
        common = np.isfinite(values[[a, b]]).all(0)
        one, other = values[a, common], values[b, common]
        row: dict[str, Any] = {"one": names[a], "other": names[b], "units": int(common.sum())}
        if nominal:
            row["equal"] = float((one == other).mean()) if len(one) else None
        else:
            varied = len(one) > 2 and np.ptp(one) > 0 and np.ptp(other) > 0
            row["spearman"] = float(stats.spearmanr(one, other).statistic) if varied else None
            row["ccc"] = float(concordance(one, other, np.zeros(len(one), int), 1)[0]) if varied else None
        rows.append(row)
    return rows
