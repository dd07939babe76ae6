"""Scores that follow the mean label of the stimulus among training subjects, and nothing else of the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_of_known
from embench.interfaces.units import Units
from embench.records.predictions import MODEL
from embench.statistics.intervals import Estimate, mean_over_subjects
from embench.statistics.joined import Joined

_LEAST = 4
"""Fewest units of a subject."""
_VARIES = 1e-9


@dataclass(frozen=True)
class Followed:
    """Correlations within subjects, mean over subjects: `followed`, of scores with the mean label of the stimulus;
    `given`, the partial one of scores with the label, given the stimulus."""

    followed: Estimate
    given: Estimate

    @property
    def explains(self) -> bool:
        """True if scores follow the mean label, and are not shown to be associated with it given the stimulus."""
        return (self.followed.low or 0.0) > 0 >= (self.given.low or 0.0)

    @property
    def figures(self) -> dict[str, float | None]:
        """The numbers, as an audit shows them."""
        return {
            "r": _rounded(self.followed.mean),
            "low": _rounded(self.followed.low),
            "partial r": _rounded(self.given.mean),
            "low of partial r": _rounded(self.given.low),
            "high of partial r": _rounded(self.given.high),
        }


def follow_stimulus_mean(methods: Mapping[str, Joined]) -> Followed | Undefined:
    """Correlate a method's scores with the predictions of the confound-only model `stimulus_mean`, which knows the
    labels of training subjects at the same stimulus. `methods`: the joined units of each."""
    if "stimulus_mean" not in methods:
        return Undefined("the mean label of the stimulus is not known of all test stimuli")
    model, control = methods[MODEL], methods["stimulus_mean"]
    subjects, groups = _subjects(model)
    found = [
        mean_over_subjects(mean_of_known([one(seed) for seed in model.seeds]), groups)
        for one in (
            lambda seed: _with_mean_label(model.seeds[seed], control.seeds.get(seed, {}), subjects),
            lambda seed: _given_stimulus(model.seeds[seed], subjects),
        )
    ]
    if isinstance(found[0], Undefined) or isinstance(found[1], Undefined):
        return Undefined("scores, labels or the mean labels of the stimuli do not vary within subjects")
    return Followed(found[0], found[1])


def _with_mean_label(folds: Mapping[int, Units], beside: Mapping[int, Units], subjects: Sequence[str]) -> np.ndarray:
    """(P,) each subject's correlation of scores and mean labels of the stimuli, in one seed."""
    found = [np.full(len(subjects), np.nan)]
    for fold, units in folds.items():
        if fold in beside and len(beside[fold]) == len(units):
            scores, means = (np.asarray(each.score, float) for each in (units, beside[fold]))
            found.append(_correlations(scores, means, units.subject, subjects))
    return mean_of_known(found)


def _given_stimulus(folds: Mapping[int, Units], subjects: Sequence[str]) -> np.ndarray:
    """(P,) each subject's correlation of scores and labels, both less their means over all subjects at the stimulus, in
    one seed. Scores are standardised within subjects first, since each fold has a model of its own."""
    subject, stimulus, score, label = (
        np.concatenate([np.asarray(getattr(units, name)) for units in folds.values()])
        for name in ("subject", "stimulus", "score", "y_true")
    )
    known = np.isfinite(score)
    subject, stimulus, score, label = (each[known] for each in (subject, stimulus, score, label))
    for name in np.unique(subject).tolist():
        mine = subject == name
        score[mine] = (score[mine] - score[mine].mean()) / (score[mine].std() or 1.0)
    _, code = np.unique(stimulus, return_inverse=True)
    count = np.bincount(code)
    score, label = (each - (np.bincount(code, each) / count)[code] for each in (score, label.astype(float)))
    return _correlations(score, label, subject, subjects)


def _correlations(one: np.ndarray, other: np.ndarray, subject: np.ndarray, subjects: Sequence[str]) -> np.ndarray:
    """(P,) the correlation of two numbers of each unit (n,) within each subject: 0 where `one` does not vary, NaN where
    `other` does not."""
    found = np.full(len(subjects), np.nan)
    for p, name in enumerate(subjects):
        mine = (subject == name) & np.isfinite(one) & np.isfinite(other)
        if mine.sum() >= _LEAST and np.ptp(other[mine]) > _VARIES:
            varies = np.ptp(one[mine]) > _VARIES
            found[p] = np.corrcoef(one[mine], other[mine])[0, 1] if varies else 0.0
    return found


def _subjects(joined: Joined) -> tuple[list[str], np.ndarray]:
    """The names of all subjects, and the group of each."""
    group_of = {
        name: group
        for _, _, units in joined
        for name, group in zip(units.subject.tolist(), units.group.tolist(), strict=True)
    }
    names = sorted(group_of)
    return names, np.array([group_of[name] for name in names])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
