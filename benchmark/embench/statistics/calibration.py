"""Probability calibration: how often predicted probabilities come true, and the net benefit of alarms that they raise.

The predictions of all test units of all seeds are pooled, since a probability means the same in each fold. Units
without a prediction are left out."""

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
    jackknife_error,
    jackknife_estimate,
    leave_one_out,
    training_overlap,
    widen,
    with_add_one_interval,
)
from embench.statistics.joined import Joined, join

N_BINS = 10
RARE = 0.02
"""Net benefit has no interval if a smaller proportion of predictions lies above, or below, the threshold. It then
depends on a few units."""
TWO_CLASSES = "only targets of two classes have these curves"
THRESHOLDS = tuple(k / 20 for k in range(1, 20))


@dataclass(frozen=True)
class Bin:
    """Units whose probabilities lie from `lowest` to `highest`.

    Args:
        predicted: mean probability of these units.
        observed: the proportion of positive units, with the ends `low` and `high` of its 95 % interval over subjects.
            The ends are None if the units belong to one group of subjects.
        units: number of units, mean over seeds. `subjects`: number of their subjects."""

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
    """Net benefit of alarms at a threshold, in right alarms per unit (Vickers & Elkin 2006, doi
    10.1177/0272989X06295361). It is 0 if no alarm is ever raised.

    Args:
        threshold: the least probability that raises an alarm.
        odds: how many right alarms one false alarm costs, threshold / (1 - threshold).
        model: the net benefit, with the ends `low` and `high` of its 95 % interval over subjects. They are None if
            alarms, or units without an alarm, are `RARE`, or if there is one group of subjects.
        always: the net benefit of an alarm for every unit. `above_always`: lower end of the interval of `model` less
            `always`."""

    threshold: float
    odds: float
    model: float
    low: float | None
    high: float | None
    always: float
    above_always: float | None

    @property
    def is_shown(self) -> bool:
        """True if the model gains significantly more than an alarm for every unit, and more than no alarm."""
        return self.low is not None and self.above_always is not None and min(self.low, self.above_always) > 0


@dataclass(frozen=True)
class Calibration:
    """Calibration of one method's probabilities for one binary target.

    Args:
        bins: bins by ascending probability, with numbers of predictions as equal as ties allow.
        error: the expected calibration error over these bins, from 0 (calibrated) to 1. `by_chance`: the average error
            of calibrated probabilities with as few subjects; None with one group of subjects.
        positive: the proportion of positive units. `too_high`: the mean probability less this proportion.
        benefits: one for each of `THRESHOLDS`.
        units: number of predicted units, mean over seeds. `subjects`, `seeds`: numbers of subjects and of seeds."""

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
    """Return the calibration of a record's method for a target; undefined also if the record holds no labels."""
    if target.kind != "binary":
        return Undefined(TWO_CLASSES)
    if record.labels is None:
        return Undefined("the record has no labels, because those of the dataset are not public")
    predictions = record.predictions.take(record.predictions.rows_with(method=MODEL, target=target.name))
    joined = join(predictions, record.labels, target, record.groups, math.nan).get(MODEL, Joined({}))
    return calibration(joined, record.groups, record.manifest.method)


def calibration(joined: Joined, groups: Mapping[str, str], method: MethodPart | None = None) -> Calibration | Undefined:
    """Return the calibration of the probabilities in `joined`, the predicted and labelled units of a target.

    Args:
        groups: subject -> group. `method`: the method that made the predictions, if known.

    Returns:
        Undefined if the target is not binary, no unit was predicted, or the scores are not probabilities."""
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
    return _calibrate(_Pooled.from_joined(joined.predicted, score, groups))


@dataclass(frozen=True)
class _Pooled:
    """Predictions of all folds and seeds. The arrays `score` (probability), `positive` (bool), `seed` and `subject`
    (indices) are (N,). `seeds` is the number of seeds; `trained`: see `Joined.trained`."""

    score: np.ndarray
    positive: np.ndarray
    seed: np.ndarray
    subject: np.ndarray
    seeds: int
    jackknife: Jackknife
    trained: np.ndarray

    @classmethod
    def from_joined(cls, joined: Joined, score: np.ndarray, groups: Mapping[str, str]) -> _Pooled:
        """Return the pooled units, all of which have a prediction."""
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
        """Return (cells, S, P) the sum of `weight` (N,) over the predictions of each cell, seed and subject. None: the
        number of predictions."""
        shape = (cells, self.seeds, len(self.jackknife.subjects))
        place = np.ravel_multi_index((cell, self.seed, self.subject), shape)
        return np.bincount(place, weight, math.prod(shape)).reshape(shape)

    def ratio(self, top: np.ndarray, bottom: np.ndarray) -> Estimate:
        """Return the ratio of two sums (S, P) over all seeds and subjects, with an interval over groups of subjects."""
        above, below = (self.jackknife.by_group(part) for part in (top, bottom))
        mean, rest = float(top.sum() / bottom.sum()), bottom.sum() - below.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            without = (top.sum() - above.sum(0)) / np.where((rest > 0) & (below.sum(0) > 0), rest, np.nan)
            by_seed = (above - mean * below) / below.sum(1, keepdims=True)
        found = jackknife_estimate(mean, without, int((bottom.sum(0) > 0).sum()))
        return widen(found, training_overlap(by_seed, self.trained) if self.seeds > 1 else None)


def _calibrate(pooled: _Pooled) -> Calibration:
    """Return the calibration of pooled probabilities."""
    one_cell = np.zeros(len(pooled.score), int)
    [units], [positive] = pooled.sums(one_cell, 1), pooled.sums(one_cell, 1, pooled.positive)
    [probability] = pooled.sums(one_cell, 1, pooled.score)
    bins, error, by_chance = _bins(pooled)
    return Calibration(
        bins,
        error,
        by_chance,
        float(positive.sum() / units.sum()),
        pooled.ratio(probability - positive, units),
        _benefits(pooled, positive, units),
        float(units.sum() / pooled.seeds),
        len(pooled.jackknife.subjects),
        pooled.seeds,
    )


def _bins(pooled: _Pooled) -> tuple[tuple[Bin, ...], float, float | None]:
    """Return the bins with predictions, the calibration error over them, and the error expected by chance."""
    edges = np.percentile(pooled.score, np.linspace(0, 100, N_BINS + 1))
    cell = np.searchsorted(edges[1:-1], pooled.score)
    units, positive = pooled.sums(cell, N_BINS), pooled.sums(cell, N_BINS, pooled.positive)
    probability = pooled.sums(cell, N_BINS, pooled.score)
    bins, gaps, errors = [], [], []
    for k in np.unique(cell).tolist():
        observed, scores = with_add_one_interval(pooled.ratio(positive[k], units[k])), pooled.score[cell == k]
        share = units[k].sum() / len(pooled.score)
        gap = pooled.ratio(probability[k] - positive[k], units[k])
        gaps.append(share * abs(gap.mean))
        errors.append(share * jackknife_error(gap.without)[0] if gap.without is not None and gap.df else np.nan)
        predicted, ends = float(scores.mean()), (float(scores.min()), float(scores.max()))
        counted = float(units[k].sum() / pooled.seeds)
        bins.append(Bin(*ends, predicted, observed.mean, observed.low, observed.high, counted, observed.subjects))
    # The mean distance of a normal variable from its mean is sqrt(2 / pi) of its standard deviation.
    by_chance = math.sqrt(2 / math.pi) * float(np.sum(errors))
    return tuple(bins), float(np.sum(gaps)), by_chance if math.isfinite(by_chance) else None


def _benefits(pooled: _Pooled, positive: np.ndarray, units: np.ndarray) -> tuple[NetBenefit, ...]:
    """Return the net benefit at each threshold. `positive`, `units`: numbers (S, P) of positive and of all units."""
    reached = np.searchsorted(THRESHOLDS, pooled.score, side="right")  # number of thresholds that raise an alarm
    right = pooled.sums(reached, len(THRESHOLDS) + 1, pooled.positive)
    alarms = pooled.sums(reached, len(THRESHOLDS) + 1)
    benefits = []
    for k, threshold in enumerate(THRESHOLDS):
        odds = threshold / (1 - threshold)
        hits, raised = right[k + 1 :].sum(0), alarms[k + 1 :].sum(0)
        gain, always = hits - odds * (raised - hits), positive - odds * (units - positive)
        model, above = pooled.ratio(gain, units), pooled.ratio(gain - always, units)
        if not RARE <= raised.sum() / units.sum() <= 1 - RARE:
            model, above = replace(model, low=None, high=None), replace(above, low=None)
        of_all = float(always.sum() / units.sum())
        benefits.append(NetBenefit(threshold, odds, model.mean, model.low, model.high, of_all, above.low))
    return tuple(benefits)
