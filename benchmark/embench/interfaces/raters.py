"""One label from the ratings of several raters.

Such a label is a property of the dataset, fixed before anything is trained: neither a signal nor a prediction enters
it. A label into which a signal was mixed, as skin conductance into the arousal of MuSe-Physio (Baird et al. 2021, arXiv
2107.12964), is refused: a method that reads the signal would be scored on its own input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from embench.interfaces.recording import Label

RaterFusion = Literal["mean", "median", "ewe"]


@dataclass(frozen=True, slots=True)
class Raters:
    """The raters of a label, and the rule that fuses their ratings into one label.

    Args:
        labels: names of the raw labels, one per rater; they are kept beside the fused one.
        by: `mean` or `median` over raters at each moment, or `ewe`: the mean weighted by `compute_ewe_weights`.

    Raises:
        ValueError: fewer than two raters, or duplicates.

    >>> Raters(("calm_r1", "calm_r2"), by="ewe").by
    'ewe'
    """

    labels: tuple[str, ...]
    by: RaterFusion = "mean"

    def __post_init__(self) -> None:
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise ValueError(f"the raters are {', '.join(self.labels) or 'none'}: two at least, each once")


def make_fused_raters(label: str, raters: Iterable[str]) -> dict[str, Raters]:
    """Return name -> `Raters` of two fused labels, for a card whose `label` is the mean of single `raters`.

    >>> list(make_fused_raters("calm", ["calm_r1", "calm_r2"]))
    ['calm_median', 'calm_ewe']
    """
    names = tuple(raters)
    return {f"{label}_median": Raters(names, "median"), f"{label}_ewe": Raters(names, "ewe")}


def compute_ewe_weights(values: np.ndarray) -> np.ndarray:
    """Return (R,) weight of each rater, 0 to 1, for the evaluator-weighted estimator.

    A weight is the correlation of a rater with the mean of all raters, including this one, over all recordings with its
    ratings; 0 if it is negative, or if the rater is constant (Grimm & Kroschel 2005, doi 10.1109/ASRU.2005.1566530).
    Moments with one rating are ignored, since there a rater would agree with itself. Weights are estimated from
    training and test subjects alike, because the same raters rated both; each is one number for the whole dataset,
    without information on single moments.

    Args:
        values: (R, N) ratings of one dimension, NaN where a rater gave none.

    >>> compute_ewe_weights(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    array([1., 1., 0.])
    """
    known = np.isfinite(values)
    known &= known.sum(axis=0) > 1
    count = known.sum(axis=0)
    mean = np.divide(np.where(known, values, 0.0).sum(axis=0), count, out=np.zeros(values.shape[1]), where=count > 0)
    weights = np.zeros(len(values))
    for rater, (own, there) in enumerate(zip(values, known, strict=True)):
        one, all_ = own[there], mean[there]
        if len(one) > 1 and np.ptp(one) > 0 and np.ptp(all_) > 0:
            weights[rater] = max(0.0, float(np.corrcoef(one, all_)[0, 1]))
    return weights


def fuse_ratings(values: np.ndarray, by: RaterFusion, weights: np.ndarray | None = None) -> np.ndarray:
    """Return (N,) one value per moment from ratings (R, N); NaN if nobody rated the moment.

    Args:
        weights: (R,) weights for `ewe`, from `compute_ewe_weights` over all recordings; default: over `values`. A
            moment rated only with weight 0 has no value.

    >>> fuse_ratings(np.array([[1.0, 2.0], [3.0, np.nan]]), "mean")
    array([2., 2.])
    """
    known = np.isfinite(values)
    if by == "median":
        made = np.full(values.shape[1], np.nan)
        made[known.any(axis=0)] = np.nanmedian(values[:, known.any(axis=0)], axis=0)
        return made
    if by == "mean":
        weights = np.ones(len(values))
    elif weights is None:
        weights = compute_ewe_weights(values)
    total = weights @ known
    summed = weights @ np.where(known, values, 0.0)
    return np.divide(summed, total, out=np.full(values.shape[1], np.nan), where=total > 0)


def compute_rater_weights(recordings: Iterable[Mapping[str, Label]], raters: Raters) -> np.ndarray:
    """Return (R,) weight of each rater in the fused label, from all recordings (label name -> label). All are 1, except
    for `ewe`."""
    if raters.by != "ewe":
        return np.ones(len(raters.labels))
    aligned = [_align_ratings(labels, raters.labels)[0] for labels in recordings]
    return compute_ewe_weights(np.concatenate([np.empty((len(raters.labels), 0)), *aligned], axis=1))


def fuse_labels(
    labels: Mapping[str, Mapping[str, Label]], raters: Mapping[str, Raters]
) -> dict[str, Mapping[str, Label]]:
    """Return the labels of all recordings, {recording id: {name: label}}, with fused labels added. A recording without
    ratings gets no fused label.

    Args:
        raters: name of a fused label -> its raters, as in a card."""
    made = {recording: dict(recording_labels) for recording, recording_labels in labels.items()}
    for name, rule in raters.items():
        weights = compute_rater_weights(labels.values(), rule)
        for recording, recording_labels in labels.items():
            values, times = _align_ratings(recording_labels, rule.labels)
            fused = fuse_ratings(values, rule.by, weights)
            if np.isfinite(fused).any():
                kind = next(recording_labels[rater].kind for rater in rule.labels if rater in recording_labels)
                made[recording][name] = Label(kind, fused, times)
    return {**made}


def _align_ratings(labels: Mapping[str, Label], raters: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the ratings (R, n) of one recording, one row per rater, NaN if missing. Also return their times (n,) in s,
    to the millisecond, or None if each rating holds for the whole recording."""
    present = [(row, labels[rater]) for row, rater in enumerate(raters) if rater in labels]
    if all(label.times is None for _, label in present):
        values = np.full((len(raters), 1 if present else 0), np.nan)
        for row, label in present:
            values[row] = label.values[0]
        return values, None
    rounded = {row: np.round(label.times, 3) for row, label in present if label.times is not None}
    times = np.unique(np.concatenate(list(rounded.values())))
    values = np.full((len(raters), len(times)), np.nan)
    for row, label in present:
        if row in rounded:
            values[row, np.searchsorted(times, rounded[row])] = label.values
    return values, times
