"""The worth of predicted probabilities: how often they come true, and what alarms raised by them gain.

Computed from the predictions of all test units of all seeds, as they are: a probability means the same in each fold, so
that folds need not be averaged. Units without a prediction are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.manifest import MethodPart, only_ranks
from embench.records.predictions import MODEL
from embench.records.record import Record
from embench.statistics.intervals import (
    Estimate,
    Jackknife,
    add_one,
    jackknife_error,
    jackknife_estimate,
    leave_one_out,
    training_overlap,
    widen,
)
from embench.statistics.joined import Joined, join

N_BINS = 10
RARE = 0.02
"""The share of predictions above a threshold, or below, under which what alarms gain has no interval: it hangs on a few
units, and a false alarm may cost many right ones."""
TWO_CLASSES = "only targets of two classes have these curves"
THRESHOLDS = tuple(k / 20 for k in range(1, 20))


@dataclass(frozen=True)
class Bin:
    """Units whose probabilities lie from `lowest` to `highest`.

    Args:
        predicted: their mean probability. `observed`: the share of them that is positive, with the ends of its 95 %
            interval over subjects, None where they are of one group of subjects.
        units: how many there are, mean over seeds. `subjects`: of how many they are.
    """

    lowest: float
    highest: float
    predicted: float
    observed: float
    low: float | None
    high: float | None
    units: float
    subjects: int


@dataclass(frozen=True)
class NetBenefit:
    """The gain of alarms at a threshold, in right alarms for each unit (Vickers & Elkin 2006, doi
    10.1177/0272989X06295361); an alarm that is never raised gains 0.

    Args:
        threshold: the probability from which on there is an alarm.
        odds: how many right alarms one false alarm costs, threshold / (1 - threshold).
        model: the net benefit, with the ends of its 95 % interval over subjects; None where alarms, or units without
            one, are `RARE`, or of one group of subjects.
        always: that of an alarm for every unit. `above_always`: the lower end of the interval of the model less it.
    """

    threshold: float
    odds: float
    model: float
    low: float | None
    high: float | None
    always: float
    above_always: float | None

    @property
    def is_shown(self) -> bool:
        """True where the model is shown to gain more than both, an alarm for every unit and none."""
        return self.low is not None and self.above_always is not None and min(self.low, self.above_always) > 0


@dataclass(frozen=True)
class Calibration:
    """The probabilities of one method for one target of two classes.

    Args:
        bins: of as equal numbers of predictions as ties allow, in order.
        error: the expected calibration error over these bins, 0 (calibrated) to 1. `by_chance`: what calibrated
            probabilities would have on average, with so few subjects; None of one group of subjects.
        positive: the share of units that is positive. `too_high`: the mean probability less this share.
        benefits: at each of `THRESHOLDS`.
        units: how many were predicted, mean over seeds. `subjects`, `seeds`: how many.
    """

    bins: tuple[Bin, ...]
    error: float
    by_chance: float | None
    positive: float
    too_high: Estimate
    benefits: tuple[NetBenefit, ...]
    units: float
    subjects: int
    seeds: int


def recorded_calibration(record: Record, target: Target) -> Calibration | Undefined:
    """The worth of the probabilities of a record's method for a target; undefined where it holds no labels too."""
    if target.kind != "binary":
        return Undefined(TWO_CLASSES)
    if record.labels is None:
        return Undefined("the record has no labels, because those of the dataset are not public")
    own = record.predictions.take(record.predictions.rows_with(method=MODEL, target=target.name))
    joined = join(own, record.labels, target, record.groups, math.nan).get(MODEL, Joined({}))
    return calibration(joined, record.groups, record.manifest.method)


def calibration(joined: Joined, groups: Mapping[str, str], method: MethodPart | None = None) -> Calibration | Undefined:
    """The worth of the probabilities of `joined`, labelled units of a target.

    Args:
        groups: subject -> group. `method`: what predicted them, where that is known.

    Returns:
        Undefined where the target has not two classes, no unit was predicted, or scores are no probabilities.
    """
    parts = [units for _, _, units in joined.predicted]
    if not parts:
        return Undefined("no labelled unit was predicted")
    if any(units.kind != "binary" for units in parts):
        return Undefined(TWO_CLASSES)
    score = np.concatenate([units.score for units in parts])
    if method is not None and only_ranks(method):
        return Undefined("its scores only rank units: they are not calibrated probabilities")
    if score.min() < 0 or score.max() > 1:
        return Undefined("its scores are not probabilities: some lie outside 0 to 1")
    return _of(_Pooled.of(joined.predicted, score, groups))


@dataclass(frozen=True)
class _Pooled:
    """Predictions of all folds and seeds, (N,) each: the probability, whether the unit is positive, and the positions
    of its seed and subject."""

    score: np.ndarray
    positive: np.ndarray
    seed: np.ndarray
    subject: np.ndarray
    seeds: int
    jackknife: Jackknife
    trained: np.ndarray

    @classmethod
    def of(cls, joined: Joined, score: np.ndarray, groups: Mapping[str, str]) -> _Pooled:
        """Pools units that all have a prediction."""
        jackknife, seeds = leave_one_out(joined.tested_subjects(), groups), list(joined.seeds)
        parts = list(joined)
        return cls(
            score,
            np.concatenate([units.y_true for _, _, units in parts]) == 1,
            np.repeat([seeds.index(seed) for seed, _, _ in parts], [len(units) for _, _, units in parts]),
            np.searchsorted(jackknife.subjects, np.concatenate([units.subject for _, _, units in parts])),
            len(seeds),
            jackknife,
            joined.trained(jackknife),
        )

    def sums(self, cell: np.ndarray, cells: int, weight: np.ndarray | None = None) -> np.ndarray:
        """(cells, S, P) of each cell, seed and subject the number of predictions, or the sum of their weights (N,)."""
        shape = (cells, self.seeds, len(self.jackknife.subjects))
        at = np.ravel_multi_index((cell, self.seed, self.subject), shape)
        return np.bincount(at, weight, math.prod(shape)).reshape(shape)

    def share(self, top: np.ndarray, bottom: np.ndarray) -> Estimate:
        """The ratio of two sums (S, P) over all seeds and subjects, with an interval over groups of subjects."""
        above, below = (self.jackknife.by_group(part) for part in (top, bottom))
        mean, rest = float(top.sum() / bottom.sum()), bottom.sum() - below.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            without = (top.sum() - above.sum(0)) / np.where((rest > 0) & (below.sum(0) > 0), rest, np.nan)
            by_seed = (above - mean * below) / below.sum(1, keepdims=True)
        found = jackknife_estimate(mean, without, int((bottom.sum(0) > 0).sum()))
        return widen(found, training_overlap(by_seed, self.trained) if self.seeds > 1 else None)


def _of(pooled: _Pooled) -> Calibration:
    every = np.zeros(len(pooled.score), int)
    [units], [positive] = pooled.sums(every, 1), pooled.sums(every, 1, pooled.positive)
    [probability] = pooled.sums(every, 1, pooled.score)
    bins, error, by_chance = _bins(pooled)
    return Calibration(
        bins,
        error,
        by_chance,
        float(positive.sum() / units.sum()),
        pooled.share(probability - positive, units),
        _benefits(pooled, positive, units),
        float(units.sum() / pooled.seeds),
        len(pooled.jackknife.subjects),
        pooled.seeds,
    )


def _bins(pooled: _Pooled) -> tuple[tuple[Bin, ...], float, float | None]:
    """The bins that are not empty, the error over them, and what it would be by chance."""
    edges = np.percentile(pooled.score, np.linspace(0, 100, N_BINS + 1))
    cell = np.searchsorted(edges[1:-1], pooled.score)
    units, positive = pooled.sums(cell, N_BINS), pooled.sums(cell, N_BINS, pooled.positive)
    probability = pooled.sums(cell, N_BINS, pooled.score)
    bins, gaps, errors = [], [], []
    for k in np.unique(cell).tolist():
        observed, mine = add_one(pooled.share(positive[k], units[k])), pooled.score[cell == k]
        share = units[k].sum() / len(pooled.score)
        gap = pooled.share(probability[k] - positive[k], units[k])
        gaps.append(share * abs(gap.mean))
        errors.append(share * jackknife_error(gap.without)[0] if gap.without is not None and gap.df else np.nan)
        predicted, ends = float(mine.mean()), (float(mine.min()), float(mine.max()))
        counted = float(units[k].sum() / pooled.seeds)
        bins.append(Bin(*ends, predicted, observed.mean, observed.low, observed.high, counted, observed.subjects))
    # The mean distance of a normal variable from its mean is sqrt(2 / pi) of its standard deviation.
    by_chance = math.sqrt(2 / math.pi) * float(np.sum(errors))
    return tuple(bins), float(np.sum(gaps)), by_chance if math.isfinite(by_chance) else None


def _benefits(pooled: _Pooled, positive: np.ndarray, units: np.ndarray) -> tuple[NetBenefit, ...]:
    """The net benefit at each threshold, of `positive` and all `units` (S, P)."""
    reached = np.searchsorted(THRESHOLDS, pooled.score, side="right")  # so many thresholds raise an alarm
    right = pooled.sums(reached, len(THRESHOLDS) + 1, pooled.positive)
    alarms = pooled.sums(reached, len(THRESHOLDS) + 1)
    made = []
    for k, threshold in enumerate(THRESHOLDS):
        odds = threshold / (1 - threshold)
        hits, raised = right[k + 1 :].sum(0), alarms[k + 1 :].sum(0)
        gain, always = hits - odds * (raised - hits), positive - odds * (units - positive)
        model, above = pooled.share(gain, units), pooled.share(gain - always, units)
        if not RARE <= raised.sum() / units.sum() <= 1 - RARE:
            model, above = replace(model, low=None, high=None), replace(above, low=None)
        of_all = float(always.sum() / units.sum())
        made.append(NetBenefit(threshold, odds, model.mean, model.low, model.high, of_all, above.low))
    return tuple(made)
