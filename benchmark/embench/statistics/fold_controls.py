"""Predictions of the controls in each fold of a cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from embench.data.cohort import Cohort
from embench.interfaces.metric import Undefined
from embench.protocols import Given, Protocol
from embench.records.predictions import Predictions
from embench.statistics.adding import Studies, registered_clocks
from embench.statistics.controls import CONTROLS, REGISTERED_CLOCK, ControlPrediction, ControlTask, control_scores
from embench.statistics.fold_predictions import FoldPredictions, about_units, decide, prediction_rows
from embench.statistics.nuisance.accelerometer import movement_features
from embench.statistics.personal import slice_controls
from embench.statistics.references import reference_scores
from embench.store.kept import kept


@dataclass(frozen=True)
class FoldControls:
    """The controls of a cohort, fitted fold by fold. `studies`: of its targets where `REGISTERED_CLOCK` is asked for,
    else none. `given`: what test subjects give first, under protocols that ask."""

    cohort: Cohort
    protocol: Protocol
    studies: Studies
    given: Given | None = None

    def of(self, of_fold: FoldPredictions, index: np.ndarray) -> dict[str, ControlPrediction]:
        """Control -> its predictions for the units at `index`, fitted on the labels of the fold's training subjects, or
        why it does not apply."""
        references = self.protocol.references or ()
        if of_fold.train is None:
            made: dict[str, ControlPrediction] = dict.fromkeys(
                (*CONTROLS, *references), Undefined("the method was trained on another dataset")
            )
        else:
            cohort = self.cohort
            labels, train = cohort.labels(of_fold.target, of_fold.train), np.array(of_fold.train, np.int64)
            made = control_scores(
                of_fold.target,
                cohort.units,
                labels,
                train,
                index,
                durations={entry.id: entry.duration_s for entry in cohort.store.recordings},
                sessions=cohort.sessions,
                movement=self._movement,
                seed=of_fold.seed,
                keep=partial(kept, cohort.store),
                moments=cohort.design == "shared_stimuli",
            )
            made |= reference_scores(references, of_fold.target, cohort.units, labels, train, index)
            if cohort.slices is not None:
                known = train[np.isfinite(labels[train])]
                task = ControlTask(
                    of_fold.target, cohort.units, labels, known, index, {}, cohort.sessions, None, of_fold.seed,
                    partial(kept, cohort.store),
                )  # fmt: skip
                made |= slice_controls(task, cohort.slices, cohort.placed, self.given)
        clocks = self._registered.get(of_fold.target.name)
        if isinstance(clocks, Undefined):
            made[REGISTERED_CLOCK] = clocks
        elif clocks is not None:
            made[REGISTERED_CLOCK] = decide(of_fold.target, clocks[of_fold.seed][index], self.protocol)
        return made

    def rows(self, of_fold: FoldPredictions, index: np.ndarray, reasons: dict[str, str]) -> Iterator[Predictions]:
        """Predictions as rows of a record. `reasons` gets the first reason of each control that does not apply."""
        about = about_units(of_fold, self.cohort, index)
        for name, control in self.of(of_fold, index).items():
            if isinstance(control, Undefined):
                reasons.setdefault(name, control.reason)
            else:
                yield prediction_rows(name, of_fold.target, about, *control)

    @cached_property
    def _movement(self) -> np.ndarray | None:
        return movement_features(self.cohort)

    @cached_property
    def _registered(self) -> Mapping[str, dict[int, np.ndarray] | Undefined]:
        return registered_clocks(self.cohort, self.studies)
