"""Arrays of the stages that fit and predict with what test subjects give of themselves first."""

from __future__ import annotations

import numpy as np

from embench.data.cohort import Cohort
from embench.engine.predict import GIVEN, TRIAL_GIVEN, TRIAL_SCORED
from embench.engine.rows import TESTED, TRAINED
from embench.protocols import Given, Slices


def normalising_units(cohort: Cohort, train: np.ndarray, others: np.ndarray, units: int) -> dict[str, np.ndarray]:
    """`all_given` (n,) of all units: those whose signals are their subject's statistics, by the bits of
    `embench.engine.rows`. Training subjects give as many as they may, others the first `units` of each class.

    Args:
        train, others: positions of units of these subjects.
    """
    slices = _slices(cohort)
    found = np.zeros(len(cohort.units), np.int64)
    found[slices.given(slices.most) & units_of_subjects(cohort, train)] |= TRAINED
    found[slices.given(units) & units_of_subjects(cohort, others)] |= TESTED
    return {"all_given": found}


def slice_units(
    cohort: Cohort, given: Given, test: np.ndarray, trial: np.ndarray, y: np.ndarray
) -> dict[str, np.ndarray]:
    """Arrays `slice_*` (m,) of a stage that predicts: the units that its test subjects give, and where they have labels
    also those of training subjects on whom it is tried how much to adapt, with what is scored of these.

    Args:
        test: positions of units of the test subjects.
        trial: positions of the units of the others, as far as a run may use their labels.
        y: (n, targets) labels of all units.
    """
    slices = _slices(cohort)
    first, tried = slices.given(given.units), np.isin(np.arange(len(cohort.units)), trial)
    parts = [(GIVEN, first & units_of_subjects(cohort, test))]
    if given.labelled:
        parts += [(TRIAL_GIVEN, first & tried), (TRIAL_SCORED, slices.scored & tried)]
    at = np.concatenate([np.flatnonzero(mask) for _, mask in parts])
    role = np.repeat([role for role, _ in parts], [int(mask.sum()) for _, mask in parts])
    labels = y[at] if given.labelled else np.full((len(at), y.shape[1]), np.nan)
    arrays = {f"slice_{name}": array for name, array in cohort.arrays(at).items()}
    return {**arrays, "slice_role": role.astype(np.int64), "slice_y": labels}


def learned_units(cohort: Cohort, learned: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays `slice_*` (m,) of a stage that predicts: the units at `learned` (m,), which its test subjects gave to
    train on, and by whose labels alone they are predicted beside. `y`: (n, targets) labels of all units."""
    arrays = {f"slice_{name}": array for name, array in cohort.arrays(learned).items()}
    return {**arrays, "slice_role": np.full(len(learned), GIVEN, np.int64), "slice_y": y[learned]}


def units_of_subjects(cohort: Cohort, index: np.ndarray) -> np.ndarray:
    """(n,) whether a unit is of a subject of those at `index`."""
    recording = cohort.columns["recording"]
    subject = np.array([entry.subject for entry in cohort.store.recordings])
    return np.isin(subject, subject[recording[index]])[recording]


def _slices(cohort: Cohort) -> Slices:
    if cohort.slices is None:
        raise ValueError(f"{cohort.card.name} was laid out by a protocol to which subjects give nothing")
    return cohort.slices


MOST_TRIED = 8
"""Training subjects, at most, on whom it is tried how much to adapt."""


def trial_units(
    cohort: Cohort, train: np.ndarray, val: np.ndarray, test: np.ndarray, *, left_out: bool = False
) -> np.ndarray:
    """Positions of the units of the subjects on whom it is tried how much to adapt: validation subjects, to whom
    nothing was fitted; training subjects where there are none, or these are tested, and beside them where each is
    `left_out` of what is fitted for it."""
    sides = [np.empty(0, np.int64) if np.isin(test, val).any() else val, train]
    own = np.concatenate(sides) if left_out or not len(sides[0]) else sides[0]
    names = list(dict.fromkeys(cohort.units[i].subject for side in sides for i in sorted(side.tolist())))[:MOST_TRIED]
    return np.array([i for i in own.tolist() if cohort.units[i].subject in names], np.int64)
