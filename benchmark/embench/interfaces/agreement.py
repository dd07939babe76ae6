"""Agreement of values: concordance and correlation, between predictions and labels or between annotators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embench.interfaces.ranking import encode_subjects
from embench.interfaces.units import Units


def concordance(one: np.ndarray, other: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return (G,) the concordance correlation of `one` and `other` (n,) in each group, NaN if `other` is constant
    there.

    It is 2 s12 / (s1^2 + s2^2 + (m1 - m2)^2) with moments that divide by n (Lin 1989, doi 10.2307/2532051): 1 for equal
    values, exactly 0 if `one` is constant. For whole numbers it is Cohen's kappa with quadratic weights (Fleiss & Cohen
    1973, doi 10.1177/001316447303300309).

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
    """Return (G,) Pearson's correlation of `one` and `other` (n,) in each group, NaN if `other` is constant there;
    exactly 0 if `one` is constant, so that such predictions count in a mean.

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
    """Return (G,) each: the variances of `one` and `other` (n,), their covariance, all divided by n, and the difference
    of their means; NaN in a group without values."""
    n = np.bincount(group, minlength=groups)
    first = np.zeros(groups, int)
    first[group[::-1]] = np.arange(len(group))[::-1]

    def mean(values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.bincount(group, values, groups) / n

    def centred(values: np.ndarray) -> np.ndarray:
        # Relative to the group's first value, so that rounding gives exactly 0 for constants.
        away = values - values[first[group]]
        return away - mean(away)[group]

    x, y = centred(np.asarray(one, np.float64)), centred(np.asarray(other, np.float64))
    return mean(x * x), mean(y * y), mean(x * y), mean(np.subtract(one, other, dtype=np.float64))


def pooled_concordance(one: np.ndarray, other: np.ndarray, subject: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) concordance of `one` and `other` (n,) over all units of each sample of subjects; NaN if `other` is
    constant in a sample. It is computed from sums per subject, without building samples of units.

    Args:
        subject: (n,) the position of each unit's subject among the columns of `counts`.
        counts: (R, P) how often each sample contains each subject.

    >>> labels, subject = np.array([1.0, 2.0, 3.0, 5.0]), np.array([0, 0, 1, 1])
    >>> pooled_concordance(labels + 1, labels, subject, np.array([[1, 1], [2, 0]])).round(3)
    array([0.814, 0.333])
    """
    people = counts.shape[1]
    x, y = (np.asarray(v, np.float64) for v in (one, other))
    apart, x, y = x - y, x - x.mean(), y - y.mean()
    sums = np.stack([np.bincount(subject, v, people) for v in (np.ones(len(x)), x, y, x * x, y * y, x * y, apart)])
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
    """Return (P,) concordance of scores and labels within each subject of `subjects` (P,); NaN for constant labels or
    no units."""
    return concordance(units.score, units.y_true, encode_subjects(units, subjects), len(subjects))


def correlation_by_subject(units: Units, subjects: np.ndarray) -> np.ndarray:
    """Return (P,) Pearson's correlation of scores and labels within each subject of `subjects` (P,); NaN for constant
    labels or no units."""
    return correlation(units.score, units.y_true, encode_subjects(units, subjects), len(subjects))


def concordance_by_recording(units: Units, subjects: np.ndarray) -> np.ndarray:
    """Return (P,) concordance of scores and labels within each recording, averaged over each subject's recordings with
    varying labels; NaN for a subject without such recordings.

    Raises:
        ValueError: the recordings of the units are unknown."""
    if units.recording is None:
        raise ValueError("units without `recording` can't be scored by recording")
    each = 1 + int(units.recording.max(initial=0))
    pairs, group = np.unique(encode_subjects(units, subjects) * each + units.recording, return_inverse=True)
    values = concordance(units.score, units.y_true, group, len(pairs))
    known = np.isfinite(values)
    owner, size = pairs[known] // each, len(subjects)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(owner, values[known], size) / np.bincount(owner, minlength=size))


def concordance_without_stimulus(units: Units, subjects: np.ndarray, stimuli: Sequence[str]) -> np.ndarray:
    """Return (K, P) concordance within each subject of `subjects` (P,) without the units of each of `stimuli` (K,)."""
    return np.stack([concordance_by_subject(units.take(units.stimulus != name), subjects) for name in stimuli])
