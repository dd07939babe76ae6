"""Gains of a method by what test subjects give of themselves first, above what is gained without it.

A method that is given labelled units is compared with itself where nothing is given, and with four controls: itself
with the same units without their labels, which normalise a subject (`slice_normalised`); a linear model of these units
alone on the same features (`slice_only`); the share of each class among them, or their mean (`slice_share`); and a
clock, the time since they ended (`since_slice`).

The verdict, `gains_by`, says what of the given helps, by intervals of paired differences that lie wholly on the better
side of 0:

- `labels`: the headline is above that with nothing given, with the same units without labels, of the slice's share and
  of the clock. All four must be shown, so that one that is not so is missed by chance in 2.5 % at most.
- `normalising`: the same units without labels are above nothing given, in the headline or in a score that heeds level
  (Brier, RMSE): each by chance in 2.5 % at most. A shift of a subject's level gains nothing in a score inside subjects.
- `nothing`: neither is shown.

A model of the slice alone is no reason against labels: where the relation between signal and label is a subject's own,
such a model is as good as any, and it is made of labels. What other people's data add to it is the gain over it.

A method that is trained on a session or on blocks of its test subjects is compared with itself trained on other
subjects alone (`nothing_given`), and with the last three; it is normalised as if nothing were given. What is missing,
of a file of predictions, is named: the verdict is by what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import NOTHING_GIVEN, SLICE_NORMALISED, SLICE_ONLY, Given, Placed, Slices
from embench.statistics.controls import ControlPrediction, ControlTask, boosted, from_shares
from embench.statistics.estimates import ScoreOrReason

SLICE_SHARE, SINCE_SLICE = "slice_share", "since_slice"
"""The controls that only read labels and times: of what a subject gave, and since it did."""
COMPARED = (NOTHING_GIVEN, SLICE_NORMALISED, SLICE_ONLY, SLICE_SHARE, SINCE_SLICE)
"""What a method that is given something is compared with, in the order in which records list it."""
LEVEL_SCORES = {"binary": "brier", "classes": "brier", "value": "rmse"}
"""Kind of target -> a score by which a shift of a subject's level can gain."""

Gain = Callable[[str, str, str], ScoreOrReason]
"""Of two methods and a score, the paired difference of the first, as `embench.statistics.scores` makes it."""


def gains(
    target: Target,
    headline: str,
    methods: Mapping[str, object],
    gain: Gain,
    is_better: Callable[[Any, str], bool],
    absent: Collection[str] = (),
) -> dict[str, Any] | None:
    """The part of a target in `personal` of `scores.json`: what the `model` among the `methods` gains over each of
    `COMPARED` that was predicted, and normalisation over nothing, where it is by what is given; None where nothing was.

    Args:
        gain: see `Gain`; of the names of methods, `model` among them. `is_better`: of a gain and its score.
        absent: methods of which it is known why they are not there.
    """
    compared = [name for name in COMPARED if name in methods]
    if not compared:
        return None
    missing = [name for name in COMPARED if name in absent]
    normalised, labelled = SLICE_NORMALISED in compared, bool({SLICE_ONLY, SLICE_SHARE} & set(compared))
    level = LEVEL_SCORES[target.kind]

    def of(one: str, other: str) -> dict[str, Any]:
        found = {}
        for score in (headline, level):
            made = gain(one, other, score)
            better = not isinstance(made, Undefined) and is_better(made, score)
            number = {"undefined": made.reason} if isinstance(made, Undefined) else made.as_json()
            found[score] = {"difference": number, "clears": better}
        return found

    over = {name: of("model", name) for name in compared}
    normalising = {} if labelled else over.get(NOTHING_GIVEN, {})
    if normalised and NOTHING_GIVEN in compared:
        normalising = of(SLICE_NORMALISED, NOTHING_GIVEN)
    by_labels = labelled and all(over[name][headline]["clears"] for name in over if name != SLICE_ONLY)
    by_level = any(gap["clears"] for gap in normalising.values())
    return {
        "level_score": level,
        "over": over,
        "normalising": normalising,
        "gains_by": "labels" if by_labels else "normalising" if by_level else "nothing",
        **({"missing": missing} if missing else {}),
    }


def slice_controls(
    task: ControlTask, slices: Slices, placed: Placed, given: Given | None
) -> dict[str, ControlPrediction]:
    """The controls that read labels and times alone, of the test units of a fold: none where nothing is given.
    `given`: None where all that subjects may give is trained on."""
    if given is not None and not given.units:
        return {}
    first = slices.rank > 0 if given is None else slices.given(given.units)
    since = _seconds_since(placed, first)
    learned = task.train[slices.scored[task.train] & np.isfinite(since[task.train])]
    made: dict[str, ControlPrediction] = {}
    if not len(learned):
        made[SINCE_SLICE] = Undefined("the time since the calibration data is unknown")
    else:
        made[SINCE_SLICE] = boosted(replace(task, train=learned), since[:, None])
    if given is None or given.labelled:
        made[SLICE_SHARE] = _share_of_slice(task, placed, first)
    return made


def _seconds_since(placed: Placed, first: np.ndarray) -> np.ndarray:
    """(n,) the seconds from the end of what its subject gave to a unit's start, NaN where they are not known."""
    found = np.full(len(first), np.nan)
    for own in placed.by_subject.values():
        times, mine = placed.times(own), first[own]
        if mine.any():
            last = times[mine, 0].max()
            end = np.max(times[mine & (times[:, 0] == last), 2])
            found[own] = np.where(times[:, 0] == last, times[:, 1] - end, np.nan)
    return found


def _share_of_slice(task: ControlTask, placed: Placed, first: np.ndarray) -> ControlPrediction:
    """The share of each class in what the unit's subject gave, or the mean of its values."""
    subject = task.subject.astype(int)
    count = int(subject.max()) + 1
    known = np.flatnonzero(first & np.isfinite(placed.y))
    size = np.maximum(1, np.bincount(subject[known], minlength=count))
    if not task.target.traits.has_classes:
        values = (np.bincount(subject[known], placed.y[known], count) / size)[subject[task.test]]
        return values, values.copy()
    shares = np.zeros((count, task.target.n))
    np.add.at(shares, (subject[known], placed.y[known].astype(int)), 1)
    return from_shares(task.target, (shares / size[:, None])[subject[task.test]])
