"""The Metric interface: from joined predictions to one number, or the reason why it is undefined."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from embench.interfaces.kinds import WITH_CLASSES
from embench.interfaces.ranking import encode_subjects
from embench.interfaces.units import Units
from embench.reasons import Reason


@dataclass(frozen=True, init=False)
class Undefined:
    """A number that does not exist, with the reason; used in place of zero or NaN.

    >>> Undefined("one_class").reason, Undefined("the sensor was off").reason
    ('one class only', 'the sensor was off')
    """

    reason: Reason

    def __init__(self, reason: str, /, **values: Any) -> None:
        """Store the reason: an id of `embench.reasons.REASON_TEXTS` with its `values`, or a plugin's own sentence."""
        object.__setattr__(self, "reason", Reason.make(reason, **values))


class Metric(ABC):
    """A score of one fold and seed.

    Class attributes:
        title: name in text, by default the identifier in words; `short` heads a column. `about`: a sentence on what it
            measures; by default the first of its docstring.
        range: least and greatest value. `direction`: whether higher or lower is better. If the range is 0 to 1 and
            chance is .5, the interval is the add-one interval, see docs/why/statistics.md.
        kinds: kinds of targets it can score.
        chance_level: score of predictions without information, for any labels; None if it depends on the labels.
        depends_on_cut: True if it reads decisions, not only scores: such a metric never ranks.

    >>> class Hits(Metric):
    ...     range = (0.0, 1.0)
    ...     depends_on_cut = True
    ...     def __call__(self, units):
    ...         return float((units.decision == units.y_true).mean()) if len(units) else Undefined("no_units")
    ...     def compute_chance(self, units):
    ...         return float(class_proportions(units).max())
    >>> from embench.testing.require import units
    >>> Hits().compute_chance(units("binary"))
    0.5
    """

    title: ClassVar[str] = ""
    short: ClassVar[str] = ""
    about: ClassVar[str] = ""
    range: ClassVar[tuple[float, float]]
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    chance_level: ClassVar[float | None] = None
    depends_on_cut: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, units: Units) -> float | Undefined:
        """Return the score of all `units` (one fold, one seed)."""

    @abstractmethod
    def compute_chance(self, units: Units) -> float:
        """Return the score of the best prediction without information, given the labels' class proportions."""

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the score of samples of subjects: (R,), NaN where undefined. By default the metric is called for each
        distinct sample; override this if sums are faster.

        Args:
            subjects: (P,) the subjects, in the order of `counts`' columns.
            counts: (R, P) how often each sample contains each subject; every copy counts as another subject."""
        rows = [np.flatnonzero(units.subject == s) for s in subjects]
        distinct, which = np.unique(counts, axis=0, return_inverse=True)
        scores = np.full(len(distinct), np.nan)
        for r, count in enumerate(distinct):
            copies = [rows[p] for p in np.repeat(np.arange(len(subjects)), count.astype(int))]
            if not copies:
                continue
            sample = units.take(np.concatenate(copies))
            names = np.repeat(np.arange(len(copies)), [len(copy) for copy in copies])
            value = self(replace(sample, subject=names))
            scores[r] = np.nan if isinstance(value, Undefined) else value
        return scores[which.reshape(len(counts))]


class ConfusionMetric(Metric):
    """A score that depends only on the confusion matrix; subclasses define `score_confusion` and `compute_chance`.

    >>> class Accuracy(ConfusionMetric):
    ...     def score_confusion(self, confusion):
    ...         return np.trace(confusion, axis1=1, axis2=2) / confusion.sum((1, 2))
    ...     def compute_chance(self, units):
    ...         return float(class_proportions(units).max())
    >>> Accuracy().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]]))
    array([0.85])
    """

    kinds: ClassVar[frozenset[str]] = WITH_CLASSES
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    depends_on_cut: ClassVar[bool] = True

    @abstractmethod
    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return the score (R,) of `confusion` (R, K, K), counts of (label, decision); NaN where undefined."""

    def __call__(self, units: Units) -> float | Undefined:
        """Return the score of the confusion matrix of all `units`; undefined with the reason of `explain_undefined`."""
        confusion = count_confusions(units, np.zeros(len(units), int), 1)
        value = float(self.score_confusion(confusion)[0])
        return value if np.isfinite(value) else Undefined(self.explain_undefined(confusion[0]))

    def explain_undefined(self, confusion: np.ndarray) -> str:
        """Return the reason why `score_confusion` is NaN for `confusion` (K, K)."""
        return "no_units" if not confusion.any() else "one_class"

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) scores of samples of subjects, from sums of the subjects' confusion matrices."""
        confusion = count_confusions(units, encode_subjects(units, subjects), len(subjects))
        return self.score_confusion(np.tensordot(counts.astype(float), confusion, axes=1))


def count_confusions(units: Units, subject: np.ndarray, subjects: int) -> np.ndarray:
    """Return (subjects, K, K) counts of (label, decision); `subject` (n,) are positions below `subjects`.

    >>> from embench.testing.require import units
    >>> two = units("binary", subjects=2, each=4)
    >>> count_confusions(two, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 2).sum((1, 2))
    array([4., 4.])
    """
    classes = units.score.shape[1] if units.score.ndim == 2 else 2
    cell = (subject * classes + units.y_true.astype(int)) * classes + units.decision.astype(int)
    return np.bincount(cell, minlength=subjects * classes**2).reshape(subjects, classes, classes).astype(float)


def class_proportions(units: Units) -> np.ndarray:
    """Return (K,) the proportion of each class among the labels.

    >>> from embench.testing.require import units
    >>> class_proportions(units("classes")).round(2)
    array([0.33, 0.33, 0.33])
    """
    return count_confusions(units, np.zeros(len(units), int), 1)[0].sum(1) / max(1, len(units))


class SubjectMetric(Metric):
    """A score computed within each subject and averaged over subjects with a defined score; subclasses define
    `score_subjects`.

    Class attributes:
        undefined_reason: the reason if no subject has a score, as `Undefined` takes it.

    >>> class Bias(SubjectMetric):
    ...     range, kinds, chance_level = (-np.inf, np.inf), frozenset({"value"}), 0.0
    ...     def score_subjects(self, units, subjects):
    ...         error = units.score - units.y_true
    ...         return np.array([error[units.subject == name].mean() for name in subjects])
    >>> from embench.testing.require import units
    >>> round(Bias()(units("value")), 3)
    0.022
    """

    undefined_reason: ClassVar[str] = "no_subject_with_value"

    @abstractmethod
    def score_subjects(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """Return the score (P,) of each of `subjects` (P,), NaN if undefined."""

    def __call__(self, units: Units) -> float | Undefined:
        """Return the mean of the subjects' scores, or `Undefined` if no subject has one."""
        values = self.score_subjects(units, np.unique(units.subject))
        if not np.isfinite(values).any():
            return Undefined(self.undefined_reason if len(units) else "no_units")
        return float(np.nanmean(values))

    def compute_chance(self, units: Units) -> float:
        """Return `chance_level`: the score of any prediction that is constant within each subject."""
        return float("nan") if self.chance_level is None else self.chance_level

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) the mean score over the subjects of each sample, NaN where no sampled subject has a score."""
        return resample_mean(self.score_subjects(units, subjects), counts)


def resample_mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) means of subjects' `values` (P,) in R resamples, ignoring NaN. `counts` (R, P): how often each
    subject is in each resample.

    >>> resample_mean(np.array([0.6, 0.8, np.nan]), np.array([[1, 1, 1], [2, 0, 1]]))
    array([0.7, 0.6])
    """
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return counts[:, known] @ values[known] / counts[:, known].sum(1)


def resample_unit_mean(values: np.ndarray, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) means of units' `values` (n,) in samples with `counts` (R, P) of each of `subjects` (P,); NaN without
    units.

    >>> from embench.testing.require import units
    >>> one = units("value")
    >>> subjects = np.unique(one.subject)
    >>> resample_unit_mean(np.ones(len(one)), one, subjects, np.ones((1, len(subjects))))
    array([1.])
    """
    person = encode_subjects(units, subjects)
    sums, sizes = (np.bincount(person, weights, len(subjects)) for weights in (values, np.ones(len(values))))
    with np.errstate(invalid="ignore"):
        return np.asarray(counts @ sums / (counts @ sizes))
