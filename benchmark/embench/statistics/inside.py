"""The scores inside subjects: one of each subject, of which the score is the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from embench.interfaces.agreement import concordance_by_subject, concordance_without_stimulus
from embench.interfaces.ranking import auroc_by_subject, auroc_without_stimulus, mean_of_known
from embench.interfaces.units import Target, Units
from embench.statistics.joined import Joined, is_predicted
from embench.statistics.ordered import order_by_subject, order_without_stimulus


def _ccc_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    return concordance_by_subject(_predicted(units), subjects)


def _ccc_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    return concordance_without_stimulus(_predicted(units), subjects, stimuli)


def _predicted(units: Units) -> Units:
    """The units with a prediction: agreement is no share of comparisons, of which others could lose theirs."""
    return units.take(is_predicted(units))


WITHIN_SUBJECT_SCORES = {
    "auroc_within": auroc_by_subject,
    "ccc": _ccc_by_subject,
    "concordance_within": order_by_subject,
}
"""Score -> the function that makes it: (units, subjects (P,)) -> (P,), NaN for a subject without one."""

WITHOUT_STIMULUS = {
    "auroc_within": auroc_without_stimulus,
    "ccc": _ccc_without_stimulus,
    "concordance_within": order_without_stimulus,
}
"""Functions that score without the units of each stimulus: (units, subjects (P,), stimuli (K,)) -> (K, P)."""

NOTHING_INSIDE = {
    "auroc_within": ("one class only", "no test subject has both classes"),
    "ccc": ("labels that do not vary", "the labels of no test subject vary"),
    "concordance_within": ("no two labels are a step apart", "no test subject has two labels that are a step apart"),
}
"""Score -> why some subjects have none, and why all have none."""


def is_inside_subjects(name: str, target: Target) -> bool:
    """True if the score of this name is one inside subjects, and of targets of this kind."""
    return name in (target.traits.within, f"{target.traits.share}_within")


def subject_scores_by_fold(name: str, joined: Joined, subjects: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """(seed, fold) -> the score of this name inside each subject (P,), NaN where there is none."""
    inside = WITHIN_SUBJECT_SCORES[name]
    return {(seed, fold): inside(units, subjects) for seed, fold, units in joined}


def subject_scores_by_seed(joined: Joined, by_fold: Mapping[tuple[int, int], np.ndarray]) -> np.ndarray:
    """(S, P) the same, mean over a seed's folds."""
    seeds = [mean_of_known([by_fold[seed, fold] for fold in folds]) for seed, folds in joined.seeds.items()]
    return np.stack(seeds)
