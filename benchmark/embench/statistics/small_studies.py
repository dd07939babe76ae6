"""The confound test of small studies: partial correlation of score and label given few unpenalised columns.

A study of two dozen subjects has a few hundred units, too few for models of time and movement. Scores and labels are
adjusted by least squares for the subject, the stimulus, the position in the session, the previous stimulus and the
recorded movement with its lags. Some columns have a slope for each subject. The rule was chosen by a simulation whose
plan was written first: `bench/confound_rule` has the plan, the alternatives and the error rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np
from scipy import stats
from scipy.signal import lfilter

from embench.data.cohort import Cohort
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import iterate_groups
from embench.interfaces.units import Unit
from embench.statistics.confound_only import order_codes
from embench.statistics.intervals import Estimate, training_overlap, with_interval
from embench.statistics.nuisance_columns import Observed
from embench.statistics.nuisance_models import CLIP, Parts, Sessions
from embench.statistics.nuisance_movement import movement_features

LARGE_STUDY = 900
"""Least number of labelled units of a large study, if subjects share no stimuli. Its scores are adjusted for models of
time and movement. At this size, the tests of small and of large studies agree in at least 98 % of simulations."""
_SERIES_CLIP = 3.0
_MEMORIES = (2.0, 5.0, 10.0)
"""Time constants of leaky sums of movement: numbers of units after which a contribution has fallen to 1/e."""
_MOST_BEHAVIOUR = 4
"""Largest number of principal components of muscles, eyes and breathing."""


@dataclass(frozen=True)
class ConfoundColumns:
    """Confound columns of n units.

    Args:
        own: (n, k) columns with a coefficient for each subject. `common`: (n, c) columns with one coefficient for all.
        further: (n, f) columns, too many to adjust for. If the label follows them, the answer is *cannot be told*."""

    own: np.ndarray
    common: np.ndarray
    further: np.ndarray

    def take(self, rows: np.ndarray) -> ConfoundColumns:
        """Return the columns of these rows."""
        return ConfoundColumns(self.own[rows], self.common[rows], self.further[rows])


def confound_columns(cohort: Cohort, cell: np.ndarray, *, by_time: bool = False) -> ConfoundColumns | Undefined:
    """Return the confound columns of the cohort's eligible units.

    `own`: 1, time, exp(-place / 2), movement, its mean over five units, its sum so far. `common`: indicators of the
    cell, the place and the previous stimulus; powers, lags, means, sums and leaky sums of movement, also movement
    within each cell; posture; principal components of the features of muscles, eyes and breathing. `further`: products
    of two lags of movement.

    Args:
        cell: (n,) codes of the stimulus, or its moment, that the primary metric holds constant; all 0 if it holds none.
        by_time: True to count places by unit, False to count them by recording."""
    positions = np.array(cohort.eligible)
    units = cohort.select_units(positions)
    when = np.array([unit.start_s for unit in units], float)
    if not np.isfinite(when).all():
        when = np.array([unit.order for unit in units], float)
    if not np.isfinite(when).all():
        return Undefined("hidden_times")
    _, subject = np.unique([unit.subject for unit in units], return_inverse=True)
    sessions = Sessions(subject, when, np.zeros(len(units)), 1.0)
    place, previous = _places(units, sessions, by_time=by_time)
    in_cell = _dummies(cell)[:, 1:]
    own = [np.ones(len(units)), sessions.standardised(when[:, None])[:, 0], np.exp(-place / 2)]
    common = [in_cell, _dummies(place)[:, 1:], _dummies(previous)[:, 1:]]
    further = np.zeros((len(units), 0))
    features = movement_features(cohort)
    if features is not None and np.isfinite(features[positions]).any():
        axes = np.split(features[positions], 3, axis=1)
        size_and_posture = np.column_stack([np.log(np.linalg.norm(axes[1], axis=1) + 1e-3), axes[0]])
        series = np.clip(sessions.standardised(size_and_posture), -_SERIES_CLIP, _SERIES_CLIP)
        of_movement, slopes, further = _movement_columns(series[:, 0], sessions)
        own += slopes
        common += [of_movement, in_cell * series[:, :1], series[:, 1:], series[:, 1:] ** 2]
    behaviour = Observed(cohort).behaviour
    if np.isfinite(behaviour).any():
        components = _components(np.clip(sessions.standardised(behaviour), -_SERIES_CLIP, _SERIES_CLIP))
        common += [components, components**2]
    return ConfoundColumns(np.stack(own, axis=1), np.hstack(common), further)


def _places(units: Sequence[Unit], sessions: Sessions, *, by_time: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) codes of the place in the session, and (n,) of the previous stimulus, 0 for the first place. If a
    subject has several recordings and `by_time` is False, both are counted by recording. Else places are counted by
    unit, and the previous stimulus is 0."""
    previous, place = order_codes(units, sessions.rows, sessions.start)
    for rows in sessions.rows:
        if by_time or not place[rows].any():
            place[rows], previous[rows] = np.arange(len(rows)), 0
    return place, previous


def _dummies(code: np.ndarray) -> np.ndarray:
    """Return (n, K) indicator columns of codes (n,), one per code that occurs."""
    _, code = np.unique(code, return_inverse=True)
    return np.eye(int(code.max()) + 1)[code]


def _movement_columns(m: np.ndarray, sessions: Sessions) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return columns of movement `m` (n,) for `ConfoundColumns`: `common` (n, c), a list of `own` columns (n,), and
    `further` (n, f)."""
    lagged = {lag: np.empty_like(m) for lag in (-2, -1, 0, 1, 2)}
    so_far, growth = np.empty_like(m), np.empty_like(m)
    memory = np.zeros((len(m), len(_MEMORIES)))
    for rows in sessions.rows:
        place, size = np.arange(len(rows)), np.exp(m[rows])
        for lag, values in lagged.items():
            values[rows] = m[rows][np.clip(place - lag, 0, len(rows) - 1)]
        so_far[rows] = np.cumsum(m[rows])
        growth[rows] = np.cumsum(size) / size.sum() - np.linspace(0, 1, len(rows))
        for k, units in enumerate(_MEMORIES):
            memory[rows, k] = lfilter([1.0], [1.0, -np.exp(-1 / units)], m[rows])
    before, after = lagged[1], lagged[-1]
    near, wide = (m + before + after) / 3, np.mean(list(lagged.values()), axis=0)
    leaky = np.clip(sessions.standardised(memory), -_SERIES_CLIP, _SERIES_CLIP)
    series = [m, m**2, m**3, np.exp(m), before, after, lagged[2], lagged[-2], before**2, np.exp(before), so_far, growth]
    series += [near, wide, *leaky.T, *leaky.T**2, *np.exp(leaky.T), m * before, before * lagged[2], m * after]
    products = [one * other for one, other in combinations_with_replacement(lagged.values(), 2)]
    return np.stack(series, axis=1), [m, wide, so_far], np.stack(products, axis=1)


def _components(values: np.ndarray) -> np.ndarray:
    """Return (n, up to `_MOST_BEHAVIOUR`) principal components of `values` (n, k), of about unit scale."""
    u, size, _ = np.linalg.svd(values - values.mean(0), full_matrices=False)
    kept = min(_MOST_BEHAVIOUR, int((size > 1e-9 * size[0]).sum()))
    return np.asarray(u[:, :kept] * np.sqrt(len(values)))


@dataclass(frozen=True)
class Residuals:
    """Projection: a call returns the residuals of values after least squares on columns.

    Args:
        rows: the positions of each subject's units.
        own: (n, k) columns, orthonormal within each subject.
        common: (n, c) columns, orthonormal and orthogonal to `own`."""

    rows: Sequence[np.ndarray]
    own: np.ndarray
    common: np.ndarray

    @classmethod
    def of_columns(cls, columns: ConfoundColumns, rows: Sequence[np.ndarray]) -> Residuals:
        """Return the projection on these columns. Linearly dependent columns are left out."""
        own = np.zeros_like(columns.own)
        for units in rows:
            u, size, _ = np.linalg.svd(columns.own[units], full_matrices=False)
            basis = u[:, size > 1e-9 * size[0]]
            own[units, : basis.shape[1]] = basis
        own_alone = cls(rows, own, np.zeros((len(own), 0)))
        common = own_alone.within(columns.common)
        spread = np.sqrt((common**2).sum(0))
        common = common[:, spread > 1e-8] / spread[spread > 1e-8]
        if not common.shape[1]:
            return own_alone
        size, vectors = np.linalg.eigh(common.T @ common)
        independent = size > 1e-9 * size[-1]
        return cls(rows, own, common @ (vectors[:, independent] / np.sqrt(size[independent])))

    def within(self, values: np.ndarray) -> np.ndarray:
        """Return the residuals of values (n, m) on each subject's own columns."""
        out = np.array(values, float)
        for units in self.rows:
            out[units] -= self.own[units] @ (self.own[units].T @ out[units])
        return out

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the residuals of values (n, m) on all columns."""
        within = self.within(values)
        return np.asarray(within - self.common @ (self.common.T @ within))

    @cached_property
    def freedom(self) -> int:
        """Degrees of freedom: the number of units less the number of all subjects' own columns and common columns."""
        return len(self.own) - round(float((self.own**2).sum())) - self.common.shape[1]

    @property
    def factor(self) -> float:
        """Variance correction for the common columns: degrees of freedom without these columns over those with them."""
        return (self.freedom + self.common.shape[1]) / max(self.freedom, 1)


@dataclass(frozen=True)
class SmallStudyAssociation:
    """The partial correlation of score and label, given few columns.

    Args:
        effect: partial r with its interval. `by_group`: (G,) contributions of groups of subjects to partial r.
        score_left, label_residual_proportion: proportions of the variance within subjects, of the score and of the
            label, that the columns leave.
        extra_movement_p: p of the F test whether the label follows the further columns; 1 if there are none.
        whole: True if every two groups share a test fold in some partition."""

    effect: Estimate | Undefined
    by_group: np.ndarray
    score_left: float
    label_residual_proportion: float
    extra_movement_p: float
    whole: bool


@dataclass(frozen=True)
class Sample:
    """The n analysed units of a small study, and the test folds of their subjects.

    Args:
        columns: the units' confound columns. `subject`: (n,) codes. `group`: (n,) codes of groups of subjects, from 0.
        stimulus: (n,) codes of the stimuli that subjects share; None if they share none.
        fold: (S, G) the test fold of each group in each partition; -1 if no fold tests it."""

    columns: ConfoundColumns
    subject: np.ndarray
    group: np.ndarray
    stimulus: np.ndarray | None
    fold: np.ndarray


def adjust(scores: np.ndarray, labels: np.ndarray, sample: Sample) -> SmallStudyAssociation:
    """Return the partial correlation of standardised scores (S, n, K) and labels (n, K), given the columns.

    r = sum of x y / root of (sum of x^2 times sum of y^2), for the residuals x of scores, averaged over partitions, and
    y of labels. Some products combine a label with the score of a model that was trained on it. If all pairs of groups
    share a test fold in some partition, scores of those partitions are used (`_contributions_without_overlap`). The
    variance is V_group + V_stimulus - V_both, at least the larger of the first two, plus the training-overlap
    correction, which is V_group if it cannot be estimated."""
    partitions, n, k = scores.shape
    residuals = Residuals.of_columns(sample.columns, [rows for _, rows in iterate_groups(sample.subject)])
    x_all = residuals(scores.transpose(1, 0, 2).reshape(n, -1)).reshape(n, partitions, k)
    x, y = x_all.mean(1), residuals(labels)
    label_residual_proportion = _residual_proportion(y, labels, residuals, sample.subject)
    score_left = _residual_proportion(x, scores.mean(0), residuals, sample.subject)
    groups = int(sample.group.max()) + 1
    scale = float(np.sqrt((x**2).sum() * (y**2).sum()))
    why = None
    if residuals.freedom < groups or groups < 2:
        why = Undefined("few_to_adjust", n=n, of=len(residuals.rows))
    elif scale < 1e-9:
        why = Undefined("nothing_left", what="label" if (y**2).sum() < (x**2).sum() else "score")
    if why is not None:
        return SmallStudyAssociation(why, np.zeros(groups), score_left, label_residual_proportion, 1.0, whole=False)
    r = float((x * y).sum()) / scale
    u = ((x / scale) * (y - r * scale / (x**2).sum() * x)).sum(1)  # each unit's influence on r
    variance, group_variance, clusters = _clustered_variance(u, sample)
    variance, group_variance = variance * residuals.factor, group_variance * residuals.factor
    mates = (sample.fold[:, :, None] == sample.fold[:, None]) & (sample.fold[:, :, None] >= 0)
    whole = bool(mates.any(0).all()) and partitions > 1
    by_seed = np.stack([np.bincount(sample.group, (x_all[:, s] * y).sum(1) / scale, groups) for s in range(partitions)])
    shared = training_overlap(by_seed, ~mates) if whole else None
    added = group_variance if shared is None else min(shared, group_variance)
    summands = by_seed.mean(0)
    if whole:
        without_overlap = _contributions_without_overlap(scores, labels, residuals, sample.group, mates) / scale
        variance += (without_overlap.sum() - summands.sum()) ** 2
        summands = without_overlap
    mean = float(summands.sum())
    effect = Estimate(mean, None, None, None, len(residuals.rows), "subjects", groups=groups, shared=float(added))
    if sample.stimulus is not None:
        effect = replace(effect, over="subjects_and_stimuli")
    return SmallStudyAssociation(
        with_interval(effect, float(np.sqrt(variance + added)), clusters - 1),
        summands,
        score_left,
        label_residual_proportion,
        _extra_movement_test(labels, sample, residuals),
        whole,
    )


def _extra_movement_test(labels: np.ndarray, sample: Sample, residuals: Residuals) -> float:
    """Return p of the F test whether labels (n, K), adjusted for the columns, follow the further columns."""
    columns = sample.columns
    both = replace(columns, common=np.hstack([columns.common, columns.further]))
    wide = Residuals.of_columns(both, residuals.rows)
    more = residuals.freedom - wide.freedom
    if more < 1 or wide.freedom < 1:
        return 1.0
    before, after = ((projection(labels) ** 2).sum() for projection in (residuals, wide))
    k = labels.shape[1]
    return float(stats.f.sf((before - after) / more / (after / wide.freedom), more * k, wide.freedom * k))


def _residual_proportion(residual: np.ndarray, values: np.ndarray, residuals: Residuals, subject: np.ndarray) -> float:
    """Return the variance of `residual` (n, K) over that of `values` (n, K) within subjects, per degree of freedom."""
    means = np.stack([np.bincount(subject, column) / np.bincount(subject) for column in values.T], axis=1)
    total = ((values - means[subject]) ** 2).sum() / max(len(values) - len(residuals.rows), 1)
    return float((residual**2).sum() / max(residuals.freedom, 1) / (total + 1e-12))


def _clustered_variance(u: np.ndarray, sample: Sample) -> tuple[float, float, int]:
    """Return the variance of the sum of `u` (n,), clustered by group and stimulus, the variance clustered by group
    alone, and the number of clusters: of groups or of stimuli, if these are fewer."""

    def over(code: np.ndarray) -> tuple[float, int]:
        sums = np.bincount(np.unique(code, return_inverse=True)[1], u)
        return float(len(sums) / max(len(sums) - 1, 1) * (sums**2).sum()), len(sums)

    by_group, groups = over(sample.group)
    if sample.stimulus is None:
        return by_group, by_group, groups
    of_stimuli, stimuli = over(sample.stimulus)
    codes = np.unique(np.stack([sample.group, sample.stimulus]), axis=1, return_inverse=True)[1].ravel()
    both = np.bincount(codes, u)
    together = by_group + of_stimuli - float((both**2).sum())
    return max(by_group, of_stimuli, together), by_group, min(groups, stimuli)


def _contributions_without_overlap(
    scores: np.ndarray, labels: np.ndarray, residuals: Residuals, group: np.ndarray, mates: np.ndarray
) -> np.ndarray:
    """Return (G,) contributions of groups to the sum of products of residuals. No label is multiplied with the score of
    a model that was trained on it.

    x'My = sum over g of x_g y_g - sum over g, h of (C_g'x_g)(C_h'y_h), with orthonormal common columns C of groups g
    and h. The second sum takes x_g from the partitions in which g and h share a test fold (`mates` (S, G, G))."""
    partitions, n, k = scores.shape
    groups = mates.shape[1]
    weights = mates / mates.sum(0)
    # This scale lets the scores of a model of confounds alone cancel.
    weights = weights * (groups / (weights.sum(1, keepdims=True) * partitions))
    x = residuals.within(scores.transpose(1, 0, 2).reshape(n, -1)).reshape(n, partitions, k)
    y = residuals.within(labels)
    out = np.bincount(group, (x.mean(1) * y).sum(1), groups)
    by_group = [units for _, units in iterate_groups(group)]
    b = np.stack([residuals.common[units].T @ y[units] for units in by_group])  # (G, c, K)
    for s in range(partitions):
        a = np.stack([residuals.common[units].T @ x[units, s] for units in by_group])
        out -= (weights[s] * np.einsum("gck,hck->gh", a, b)).sum(1)
    return out


def standardised_scores(values: np.ndarray, subject: np.ndarray, parts: Parts) -> np.ndarray:
    """Return scores `values` (n, K) in standard deviations from the subject's mean, limited to +- `CLIP`. They are
    first standardised by fold, so that the scale of a model does not matter. 0 if values are NaN or constant."""
    out = np.zeros(values.shape)
    for _, test in parts:
        part = _standardise(values[test])
        for name in np.unique(subject[test]):
            of_subject = subject[test] == name
            part[of_subject] = _standardise(part[of_subject])
        out[test] = np.clip(part, -CLIP, CLIP)
    return np.nan_to_num(out)


def _standardise(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).any():
        return values
    centred = values - np.nanmean(values, 0)
    return np.asarray(centred / (np.nanstd(centred, 0) + 1e-9))
