"""Scores that somebody made up, in place of those of a method in a run: scored as a run is, against its confound-only
models."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from embench.records.predictions import MODEL, Predictions
from embench.records.record import Record
from embench.statistics.estimates import ScoreOrReason, contributions, estimate
from embench.statistics.intervals import Estimate, leave_one_out, paired_difference, training_overlap, widen
from embench.statistics.joined import Joined, join, labels_of, recorded_targets, unit_length

from .clocks import Clock


class Scored(NamedTuple):
    """A primary metric, and (seeds, groups) what each group of subjects adds to it."""

    primary_metric: ScoreOrReason
    contributions: np.ndarray


class Arena:
    """A run of one target, of subjects whose sessions' lengths are known."""

    def __init__(self, record: Record) -> None:
        self.record = record
        [self.target] = recorded_targets(record)
        self.name = record.scores["primary_metrics"][self.target.name]
        rows = record.predictions.take(record.predictions["method"] == MODEL)
        self.y = labels_of(rows, record.labels, self.target)
        self.rows, self.y = rows.take(np.isfinite(self.y)), self.y[np.isfinite(self.y)]
        self.method = self._in_units(self.rows["score"])
        joined = self._join(self.rows)[MODEL]
        self.jackknife = leave_one_out(joined.tested_subjects(), record.groups)
        self.trained = joined.trained(self.jackknife)

    @cached_property
    def confound_only(self) -> dict[str, Scored]:
        """Those that the run was scored with."""
        methods = self._join(self.record.predictions)
        return {name: self._scored(joined) for name, joined in methods.items() if name != MODEL}

    def clock(self, clock: Clock) -> np.ndarray:
        """(n,) what a clock says of the method's rows, fitted on all subjects whom the row's fold doesn't test."""
        rows = self.rows
        t, T = rows["start_s"], np.array([self.record.sessions[s] for s in rows["subject"].tolist()])
        score = np.full(len(rows), np.nan)
        for test in self._folds():
            others = (rows["seed"] == rows["seed"][test][0]) & ~np.isin(rows["subject"], rows["subject"][test])
            score[test] = clock(t[others], T[others], self.y[others], t[test], T[test])
        return self._in_units(score)

    def primary_metric(self, score: np.ndarray) -> ScoreOrReason:
        """That of scores (n,) of the method's rows."""
        return self._headline(self._joined(score))

    def score(self, score: np.ndarray) -> Scored:
        """The same, to be compared."""
        return self._scored(self._joined(score))

    def above(self, one: Scored, other: Scored) -> Estimate:
        """How far one lies above the other, paired, as a method lies above a control."""
        gap = paired_difference(one.primary_metric, other.primary_metric, self.jackknife.codes)
        return widen(gap, training_overlap(one.contributions - other.contributions, self.trained))

    def _folds(self) -> Iterator[np.ndarray]:
        for seed in np.unique(self.rows["seed"]):
            for fold in np.unique(self.rows["fold"]):
                if len(test := np.flatnonzero((self.rows["seed"] == seed) & (self.rows["fold"] == fold))):
                    yield test

    def _join(self, predictions: Predictions) -> dict[str, Joined]:
        of = self.record
        return join(predictions, of.labels, self.target, of.groups, unit_length(self.rows["unit"]), of.sessions)

    def _joined(self, score: np.ndarray) -> Joined:
        return self._join(Predictions({**self.rows.columns, "score": score}))[MODEL]

    def _headline(self, joined: Joined) -> ScoreOrReason:
        return estimate(self.name, joined, self.target, self.jackknife)[0]

    def _scored(self, joined: Joined) -> Scored:
        return Scored(self._headline(joined), contributions(self.name, joined, self.target, self.jackknife))

    def _in_units(self, score: np.ndarray) -> np.ndarray:
        """Probabilities as logits; then in standard deviations of the fold."""
        if score.min() >= 0 and score.max() <= 1:
            score = np.log(score.clip(1e-4, 1 - 1e-4) / (1 - score).clip(1e-4, 1 - 1e-4))
        made = np.empty_like(score)
        for test in self._folds():
            made[test] = (score[test] - score[test].mean()) / max(score[test].std(), 1e-12)
        return made
