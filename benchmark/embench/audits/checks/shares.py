"""Share of a method's scores that something other than physiology explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial import cKDTree

from embench.audits.checks.evidence import RecordEvidence
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import rows_of
from embench.interfaces.units import Target
from embench.records.predictions import Predictions

MAX_EXPLAINED = 0.7
"""Share of the variance of scores' ranks from which on predictions count as explained."""

N_NEAREST = 5
MOST_AT_ONCE = 1 << 20
"""Neighbours that are looked at at once."""


@dataclass(frozen=True)
class Explained:
    """Share of a target's scores that something explains: `share` of the variance of their ranks, the same `inside`
    classes (None where there are none), and the AUROC that it has alone, None where that does not exist."""

    share: float
    inside: float | None
    area: float | None

    @property
    def predictive(self) -> bool:
        """True if the explanation of the scores predicts the classes, in either direction."""
        return self.area is not None and abs(self.area - 0.5) > 0.05

    @property
    def evidence(self) -> dict[str, float | None]:
        """The numbers, as an audit shows them."""
        return {"share explained": self.share, "inside classes": self.inside, "auroc of what explains": self.area}


def measure(
    e: RecordEvidence, target: Target, rows: Predictions, values: np.ndarray, *, own: bool
) -> Explained | Undefined:
    """The share of the scores of `rows` that `values` explain, see `explained_share`."""
    share, guess, known = explained_share(rows, values, own=own)
    if np.isnan(share):
        return Undefined("scores are constant, or too few units have the same value")
    if not target.traits.has_classes:
        return Explained(share, None, None)
    label = _labels(e, target, rows)
    inside = explained_share(rows, values, own=own, label=label)[0]
    return Explained(share, None if np.isnan(inside) else inside, _auroc_of_guess(rows, label, guess, known))


def explained_share(
    rows: Predictions, values: np.ndarray, *, own: bool, label: np.ndarray | None = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """(share of the variance of ranks that is explained, each row's guess, which rows have one).

    Scores become ranks within fold and seed. A row's guess is the mean rank of the other rows of its subject (`own`),
    or of other subjects' rows of the same seed: those with the very same value where there are `N_NEAREST` at least,
    else as many with the nearest values. Nothing is fitted to the row itself, so that noise explains nothing, and
    scores turned upside down are explained as well as they were. `values` are names (n,), or numbers (n,) or (n, d),
    whose distance is Euclid's. Where a `label` (n,) is given, ranks are what is left of them beside the mean of their
    label, and rows without one are excluded.
    """
    rank, subject = ranks(rows, rows["score"]), rows.texts("subject").code
    guess = np.full(len(rows), np.nan)
    if label is not None:
        rank = _beside(rank, label)
    for seed in np.unique(rows["seed"]).tolist():
        here = np.flatnonzero((rows["seed"] == seed) & np.isfinite(rank))
        if len(here) < 2:
            continue
        guess[here] = _own(rank[here], values[here]) if own else _others(rank[here], values[here], subject[here])
    known = np.isfinite(guess)
    if known.sum() < 10:
        return float("nan"), guess, known
    rest = ((rank[known] - guess[known]) ** 2).sum() / ((rank[known] - rank[known].mean()) ** 2).sum()
    return float(1 - rest), guess, known


def _own(rank: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of the other rows of the same subject."""
    _, code = np.unique(subject, return_inverse=True)
    total, count = np.bincount(code, rank)[code], np.bincount(code)[code]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 1, (total - rank) / (count - 1), np.nan))


def ranks(rows: Predictions, values: np.ndarray) -> np.ndarray:
    """(n,) ranks of values within fold and seed, from 0 to 1; NaN where they are all equal there."""
    rank = np.full(len(rows), np.nan)
    for here in _parts(rows):
        if np.ptp(values[here]) > 0:
            rank[here] = (stats.rankdata(values[here]) - 0.5) / len(here)
    return rank


def _parts(rows: Predictions) -> list[np.ndarray]:
    """The positions of the rows of each seed and fold, in order."""
    return [here for _, here in rows_of(_codes(rows["seed"], rows["fold"]))]


def _others(rank: np.ndarray, values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of other subjects' rows with the same, or the nearest, values; NaN where a value is unknown."""
    if values.dtype.kind == "U":
        return _same(rank, values, subject, at_least=1)
    points = values.reshape(len(values), -1)
    known = np.isfinite(points).all(1)
    guess = np.full(len(rank), np.nan)
    if known.any():
        guess[known] = _nearest(rank[known], points[known], subject[known])
    return guess


def _nearest(rank: np.ndarray, points: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of other subjects' rows at the same point (n, d), where there are enough, or at the nearest."""
    guess = _same(rank, points, subject, at_least=N_NEAREST)
    # Rows of one subject at one point have the same neighbours.
    open_ = np.flatnonzero(np.isnan(guess))
    _, first, alike = np.unique(_codes(points[open_], subject[open_]), return_index=True, return_inverse=True)
    asked = open_[first]
    found = np.full(len(asked), np.nan)
    tree, left, reach = cKDTree(points), np.arange(len(asked)), N_NEAREST
    while len(left) and reach < len(rank):
        reach = min(4 * reach, len(rank))
        step = max(1, MOST_AT_ONCE // reach)
        for at in np.split(left, range(step, len(left), step)):
            found[at] = _mean_of_others(rank, subject, tree.query(points[asked[at]], reach)[1], subject[asked[at]])
        left = left[np.isnan(found[left])]
    guess[open_] = found[alike]
    return guess


def _mean_of_others(rank: np.ndarray, subject: np.ndarray, near: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(k,) the mean of the first `N_NEAREST` of each row's neighbours (k, reach) that are not of its `own` subject
    (k,); NaN where there are fewer, unless all rows are neighbours."""
    other = subject[near] != own[:, None]
    other &= other.cumsum(1) <= N_NEAREST
    count = other.sum(1)
    done = (count == N_NEAREST) | ((near.shape[1] == len(rank)) & (count > 0))
    mean = np.full(len(near), np.nan)
    mean[done] = (rank[near[done]] * other[done]).sum(1) / count[done]
    return mean


def _same(rank: np.ndarray, values: np.ndarray, subject: np.ndarray, at_least: int) -> np.ndarray:
    """(n,) the mean of other subjects' rows with the very same value; NaN where they are fewer than `at_least`."""
    value, both = _codes(values), _codes(values, subject)
    total = np.bincount(value, rank)[value] - np.bincount(both, rank)[both]
    count = np.bincount(value)[value] - np.bincount(both)[both]
    return np.asarray(np.where(count >= at_least, total / np.maximum(count, 1), np.nan))


def _codes(*columns: np.ndarray) -> np.ndarray:
    """(n,) a number for each row of the columns, (n,) or (n, d) together: the same where all values are."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in (part for table in columns for part in np.atleast_2d(table.T)):
        kinds, own = np.unique(column, return_inverse=True)
        code = np.unique(code * len(kinds) + own, return_inverse=True)[1]
    return code


def _beside(rank: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n,) ranks less the mean of their label; NaN without one."""
    out = np.full(len(rank), np.nan)
    for value in np.unique(label[np.isfinite(label)]):
        here = (label == value) & np.isfinite(rank)
        out[here] = rank[here] - rank[here].mean() if here.any() else np.nan
    return out


def _labels(e: RecordEvidence, target: Target, rows: Predictions) -> np.ndarray:
    """(n,) the label of each row by the data, NaN where there is none."""
    own = e.labels["target"] == target.name
    label = dict(zip(e.labels["unit"][own].tolist(), e.labels["label"][own].tolist(), strict=True))
    return np.array([label.get(unit, np.nan) for unit in rows["unit"].tolist()])


def _auroc_of_guess(rows: Predictions, y: np.ndarray, guess: np.ndarray, known: np.ndarray) -> float | None:
    """The AUROC of the guesses alone on labelled rows, averaged over folds and seeds."""
    areas = []
    for part in _parts(rows):
        here = part[known[part] & np.isfinite(y[part])]
        if 0 < y[here].sum() < len(here):
            areas.append(area_under_curve(y[here], guess[here]))
    return round(float(np.mean(areas)), 3) if areas else None


def area_under_curve(y: np.ndarray, values: np.ndarray) -> float:
    """The AUROC of `values` (n,) for labels 0 and 1 (n,), of which there are both: to the last digit scikit-learn's
    `roc_auc_score`, whose import alone takes longer than all of a record's areas."""
    order = np.argsort(-values)
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    high = np.cumsum(y[order])[ends]
    low = 1 + ends - high
    corner = np.ones(len(ends), bool)
    corner[1:-1] = (np.diff(high, 2) != 0) | (np.diff(low, 2) != 0)
    high, low = (np.append(0.0, count[corner]) for count in (high, low))
    return float(np.trapezoid(high / high[-1], low / low[-1]))
