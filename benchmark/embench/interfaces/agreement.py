"""Agreement of values: concordance and correlation, as scores of predicted values and between annotators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embench.interfaces.ranking import subject_codes
from embench.interfaces.renamed import renamed
from embench.interfaces.units import Units


def concordance(one: np.ndarray, other: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """(G,) concordance correlation of `one` and `other` (n,) in each group, NaN where `other` does not vary there.

    2 s12 / (s1^2 + s2^2 + (m1 - m2)^2) with moments that divide by n (Lin 1989, doi 10.2307/2532051): 1 for values that
    are equal, exactly 0 where `one` is constant. Of whole numbers it is Cohen's kappa with quadratic weights (Fleiss &
    Cohen 1973, doi 10.1177/001316447303300309).

    Args:
        group: (n,) positions below `groups`.

    >>> labels, group = np.array([1.0, 2.0, 3.0]), np.zeros(3, int)
    >>> concordance(labels, labels, group, 1), concordance(np.full(3, 2.0), labels, group, 1)
    (array([1.]), array([0.]))
    """
    x, y, xy, apart = _moments(one, other, group, groups)
    with np.errstate(invalid="ignore"):
        made = 2 * xy / (x + y + apart**2)
    return np.where(y > 0, made, np.nan)


def correlation(one: np.ndarray, other: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """(G,) Pearson's correlation of `one` and `other` (n,) in each group, NaN where `other` does not vary there.

    Exactly 0 where `one` is constant: such predictions follow nothing, and must not be left out of a mean for it.

    Args:
        group: (n,) positions below `groups`.

    >>> labels, group = np.array([1.0, 2.0, 3.0]), np.zeros(3, int)
    >>> correlation(10 - labels, labels, group, 1), correlation(np.full(3, 2.0), labels, group, 1)
    (array([-1.]), array([0.]))
    """
    x, y, xy, _ = _moments(one, other, group, groups)
    made = xy / np.sqrt(np.where((x > 0) & (y > 0), x * y, 1.0))
    return np.where(y > 0, made.clip(-1, 1), np.nan)


def _moments(
    one: np.ndarray, other: np.ndarray, group: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(G,) each: the variances of `one` and of `other` (n,), their covariance, all divided by n, and how far their
    means are apart; NaN in a group without values."""
    n = np.bincount(group, minlength=groups)
    first = np.zeros(groups, int)
    first[group[::-1]] = np.arange(len(group))[::-1]

    def mean(values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.bincount(group, values, groups) / n

    def centred(values: np.ndarray) -> np.ndarray:
        # From the group's first value on, so that rounding leaves exactly 0 of what is constant.
        away = values - values[first[group]]
        return away - mean(away)[group]

    x, y = centred(np.asarray(one, np.float64)), centred(np.asarray(other, np.float64))
    return mean(x * x), mean(y * y), mean(x * y), mean(np.subtract(one, other, dtype=np.float64))


def pooled_concordance(one: np.ndarray, other: np.ndarray, subject: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R,) concordance of `one` and `other` (n,) over all units of each sample of subjects, one after another.

    NaN where `other` does not vary in a sample. Made of sums over subjects, so that no sample of units is built.

    Args:
        subject: (n,) the position of each unit's subject among the columns of `counts`.
        counts: (R, P) how often each subject stands in each sample.

    >>> labels, subject = np.array([1.0, 2.0, 3.0, 5.0]), np.array([0, 0, 1, 1])
    >>> pooled_concordance(labels + 1, labels, subject, np.array([[1, 1], [2, 0]])).round(3)
    array([0.814, 0.333])
    """
    people = counts.shape[1]
    x, y = (np.asarray(of, np.float64) for of in (one, other))
    apart, x, y = x - y, x - x.mean(), y - y.mean()
    sums = np.stack([np.bincount(subject, of, people) for of in (np.ones(len(x)), x, y, x * x, y * y, x * y, apart)])
    low, high = np.full(people, np.inf), np.full(people, -np.inf)
    np.minimum.at(low, subject, y)
    np.maximum.at(high, subject, y)
    least, most = np.where(counts > 0, low, np.inf).min(1), np.where(counts > 0, high, -np.inf).max(1)
    n, *totals = (counts @ sums.T).T
    with np.errstate(invalid="ignore", divide="ignore"):
        mx, my, xx, yy, xy, between = (total / n for total in totals)
        made = 2 * (xy - mx * my) / (xx - mx**2 + yy - my**2 + between**2)
    return np.where(most > least, made, np.nan)


def concordance_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """(P,) concordance of scores and labels inside each subject of `subjects` (P,); NaN for one whose labels do not
    vary, or without units."""
    return concordance(units.score, units.y_true, subject_codes(units, subjects), len(subjects))


def correlation_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """(P,) Pearson's correlation of scores and labels inside each subject of `subjects` (P,); NaN for one whose labels
    do not vary, or without units."""
    return correlation(units.score, units.y_true, subject_codes(units, subjects), len(subjects))


def concordance_by_recording(units: Units, subjects: np.ndarray) -> np.ndarray:
    """(P,) concordance of scores and labels inside each recording, mean over each subject's recordings of those in
    which labels vary; NaN for a subject without such.

    Raises:
        ValueError: it is not known in which recordings units lie.
    """
    if units.recording is None:
        raise ValueError("units without `recording` can't be scored by recording")
    each = 1 + int(units.recording.max(initial=0))
    pairs, group = np.unique(subject_codes(units, subjects) * each + units.recording, return_inverse=True)
    values = concordance(units.score, units.y_true, group, len(pairs))
    known = np.isfinite(values)
    owner, size = pairs[known] // each, len(subjects)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(owner, values[known], size) / np.bincount(owner, minlength=size))


def concordance_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    """(K, P) the same without the units of each of `stimuli` (K,)."""
    return np.stack([concordance_by_subject(units.take(units.stimulus != name), subjects) for name in stimuli])


if not TYPE_CHECKING:  # or mypy takes any name for one of this module
    __getattr__ = renamed(__name__, {"concordance_by_person": "concordance_by_subject"})
