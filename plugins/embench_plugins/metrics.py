"""The bundled metrics: first those of classes, then those of continuous targets and of rating scales.

Each metric is one class, whose name in `registry.yaml` is its own in lower case. The comment above a class says what
the metric measures, where it comes from and what it depends on.
"""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import numpy as np

from embench.interfaces.agreement import (
    concordance,
    concordance_by_recording,
    concordance_by_subject,
    correlation_by_subject,
    pooled_concordance,
)
from embench.interfaces.metric import (
    ConfusionMetric,
    Metric,
    SubjectMetric,
    Undefined,
    class_proportions,
    resample_unit_mean,
)
from embench.interfaces.ranking import (
    Pairs,
    auroc_by_subject,
    compare_classes,
    compare_subjects,
    compute_tie_width,
    encode_subjects,
)
from embench.interfaces.units import Units

# AUROC inside each subject who has both classes, mean over subjects: a subject's level or gain cannot raise it.
#
# A constant predictor, and any score that depends on the subject alone, get exactly .5. Several classes: the mean over
# classes, one against the rest.


class AurocWithin(SubjectMetric):
    """AUROC inside each subject, mean over the subjects who have both classes, 0 to 1. Undefined where no subject
    has.

    >>> from embench.testing.require import units
    >>> round(AurocWithin()(units("binary")), 3)
    0.806
    """

    title = "AUROC within subject"
    short = "AUROC within"
    about = (
        "The AUROC within each test subject who has both classes, averaged over seeds, then over subjects. A "
        "clock may score high where tasks came in one order."
    )
    chance_level = 0.5
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})
    undefined_reason = "no_subject_with_both_classes"

    def score_subjects(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """Return (P,) each subject's AUROC, NaN for one with one class."""
        return auroc_by_subject(units, subjects)


# Area under the ROC curve over all units of a fold: how often a positive unit score_pairs a negative one.
#
# It includes comparisons between subjects, so it mixes what a method knows of the moment with what it knows of the
# subject. Several classes: the mean over classes, one against the rest.


class Auroc(Metric):
    """Area under the ROC curve over all units of a fold, 0 to 1. Undefined where labels are of one class.

    >>> from embench.testing.require import units
    >>> round(Auroc()(units("binary")), 3)
    0.806
    """

    title = "AUROC"
    about = "AUROC over all units of a fold, between subjects too."
    chance_level = 0.5
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the AUROC of `units`, or `Undefined` if their labels have one class."""
        value = _average_classes(units, np.zeros(len(units), int), np.ones((1, 1)))[0]
        return float(value) if np.isfinite(value) else Undefined("one_class" if len(units) else "no_units")

    def compute_chance(self, units: Units) -> float:
        """Return 0.5: the score of a random ranking of units."""
        return 0.5

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) AUROC of each sample of subjects, NaN where a sample holds one class. Uses counts of pairs
        between subjects, so that no sample of units is built."""
        return _average_classes(units, encode_subjects(units, subjects), counts)


def _average_classes(units: Units, person: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) the AUROC in each sample of subjects, averaged over the classes that can be compared in the sample;
    NaN if none can."""
    tie = compute_tie_width(units.score)
    tables: list[Pairs] = [
        compare_subjects(score, positive, person, counts.shape[1], tie) for positive, score in compare_classes(units)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should be
        return np.nanmean([table.resample(counts) for table in tables], axis=0)


# Mean recall of the classes that occur: every class counts alike, however rare. Undefined with one class only.


class BalancedAccuracy(ConfusionMetric):
    """Mean recall of the classes that occur in the labels, 0 to 1. Undefined where labels are of one class."""

    short = "bal. acc."
    about = "Mean of the classes' recalls; it depends on where decisions are cut."

    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return (R,) the mean recall from `confusion` (R, K, K), NaN if labels have one class.

        >>> BalancedAccuracy().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(2)
        array([0.85])
        >>> BalancedAccuracy().score_confusion(np.array([[[8.0, 2.0], [0.0, 0.0]]]))
        array([nan])
        """
        support = confusion.sum(2)
        with np.errstate(invalid="ignore"):
            recall = np.diagonal(confusion, axis1=1, axis2=2) / support
        occurring = (support > 0).sum(1)
        mean = np.where(support > 0, recall, 0.0).sum(1) / np.maximum(occurring, 1)
        return np.where(occurring > 1, mean, np.nan)

    def compute_chance(self, units: Units) -> float:
        """Return 1 / the number of classes that occur in the labels."""
        return 1.0 / float((class_proportions(units) > 0).sum())


# Share of correct decisions. It depends on prevalence: compare it with `compute_chance`, never across datasets.


class Accuracy(ConfusionMetric):
    """Share of units whose decision equals the label, 0 to 1. Undefined without units."""

    about = (
        "The share of decisions that are right. It depends on where decisions are cut and on how frequent "
        "the classes are."
    )

    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return (R,) the proportion of counts on the diagonal of `confusion` (R, K, K), NaN without units.

        >>> Accuracy().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]]))
        array([0.85])
        """
        with np.errstate(invalid="ignore"):
            return np.trace(confusion, axis1=1, axis2=2) / confusion.sum((1, 2))

    def compute_chance(self, units: Units) -> float:
        """Return the proportion of the most frequent class, the score of the majority model."""
        return float(class_proportions(units).max())


# F1 of each class, averaged over the classes that occur in labels or decisions. Undefined with one class only.


class F1Macro(ConfusionMetric):
    """Mean F1 over the classes in labels or decisions, 0 to 1. Undefined where labels are of one class."""

    title = "macro F1"
    about = "Mean of the classes' F1; it depends on where decisions are cut."

    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return (R,) the mean F1 from `confusion` (R, K, K), NaN if labels have one class.

        >>> F1Macro().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.85])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions = confusion.sum(2), confusion.sum(1)
        f1 = 2 * hits / np.maximum(labels + decisions, 1)
        mean = f1.sum(1) / np.maximum(((labels + decisions) > 0).sum(1), 1)
        return np.where((labels > 0).sum(1) > 1, mean, np.nan)

    def compute_chance(self, units: Units) -> float:
        """Return the chance level: the mean of 2pq/(p+q) for random decisions with proportions q and labels with
        proportions p, which is largest at q = p."""
        return 1.0 / float((class_proportions(units) > 0).sum())


# F1 of each class, weighted by the class's share of the labels.
#
# The column of the field's papers. It depends on where decisions are cut and on prevalence, so it is shown and never
# ranks.


class F1Weighted(ConfusionMetric):
    """F1 of each class, weighted by the class's share of the labels, 0 to 1. Undefined without units."""

    title = "weighted F1"
    about = "Weighted F1. It depends on where decisions are cut and on how frequent the classes are; papers report it."

    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return (R,) the weighted F1 from `confusion` (R, K, K), NaN without units.

        >>> F1Weighted().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.85])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions = confusion.sum(2), confusion.sum(1)
        f1 = 2 * hits / np.maximum(labels + decisions, 1)
        with np.errstate(invalid="ignore"):
            return (f1 * labels).sum(1) / labels.sum(1)

    def compute_chance(self, units: Units) -> float:
        """Return the chance level: the greatest sum of 2 p^2 q / (p + q) for random decisions with proportions q and
        labels with proportions p.

        The sum is concave in q; where its slopes agree q + p is proportional to p^1.5, and classes too rare for a
        positive q are never decided for.
        """
        p = np.sort(class_proportions(units))[::-1]
        for kept in range(int((p > 0).sum()), 0, -1):
            scale = (1 + p[:kept].sum()) / (p[:kept] ** 1.5).sum()
            q = scale * p[:kept] ** 1.5 - p[:kept]
            if (q >= 0).all():
                break
        return float((2 * p[:kept] ** 2 * q / (p[:kept] + q)).sum())


# Precision of each class, 0 for one that is never decided, averaged over the classes in labels or decisions.
#
# Our reading of "PPR" in Woo et al. 2023 (`woo2023`). Undefined with one class only.


class PrecisionMacro(ConfusionMetric):
    """Mean precision over the classes in labels or decisions, 0 to 1. Undefined where labels are of one class."""

    title = "macro precision"
    about = "Mean of the classes' precisions; it depends on where decisions are cut."

    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return (R,) the mean precision from `confusion` (R, K, K), NaN if labels have one class.

        >>> PrecisionMacro().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.854])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions = confusion.sum(2), confusion.sum(1)
        precision = hits / np.maximum(decisions, 1)
        mean = precision.sum(1) / np.maximum(((labels + decisions) > 0).sum(1), 1)
        return np.where((labels > 0).sum(1) > 1, mean, np.nan)

    def compute_chance(self, units: Units) -> float:
        """Return the chance level: random decisions give each decided class its proportion as precision."""
        return 1.0 / float((class_proportions(units) > 0).sum())


# Mean of sensitivity and specificity.
#
# Our reading of "SEN & SPE" in Woo et al. 2023 (`woo2023`), one number for both. Of two classes this is the balanced
# accuracy; of several it is the mean over the classes that occur, each against the rest. Undefined with one class only.


class SensitivitySpecificity(ConfusionMetric):
    """Mean of sensitivity and specificity, 0 to 1. Undefined where labels are of one class."""

    title = "mean of sensitivity and specificity"
    short = "sens./spec."
    about = "Mean of sensitivity and specificity; it depends on where decisions are cut."

    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return (R,) the mean over the classes that occur, from `confusion` (R, K, K), NaN if labels have one class.

        >>> SensitivitySpecificity().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(2)
        array([0.85])
        """
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        labels, decisions, n = confusion.sum(2), confusion.sum(1), confusion.sum((1, 2))[:, None]
        occurring = (labels > 0) & (labels < n)
        sensitivity = hits / np.maximum(labels, 1)
        specificity = 1 - (decisions - hits) / np.maximum(n - labels, 1)
        mean = np.where(occurring, (sensitivity + specificity) / 2, 0.0).sum(1) / np.maximum(occurring.sum(1), 1)
        return np.where(occurring.any(1), mean, np.nan)

    def compute_chance(self, units: Units) -> float:
        """Return the chance level. The proportions of random decisions do not matter, since one part loses as much as
        the other gains."""
        return 0.5


# Matthews correlation of decisions and labels, for several classes too (Gorodkin 2004).
#
# A method that always decides alike gets 0; it is undefined where the labels are of one class only.


class Mcc(ConfusionMetric):
    """Matthews correlation of decisions and labels, -1 to 1. Undefined where labels are of one class."""

    title = "Matthews correlation"
    about = "Correlation of decisions and labels; it depends on where decisions are cut."
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def score_confusion(self, confusion: np.ndarray) -> np.ndarray:
        """Return (R,) the correlation from `confusion` (R, K, K), NaN if labels have one class, 0 if decisions have
        one.

        >>> Mcc().score_confusion(np.array([[[8.0, 2.0], [1.0, 9.0]]])).round(3)
        array([0.704])
        """
        labels, decisions, n = confusion.sum(2), confusion.sum(1), confusion.sum((1, 2))
        shared = np.trace(confusion, axis1=1, axis2=2) * n - (labels * decisions).sum(1)
        spread_labels = n**2 - (labels**2).sum(1)
        spread_decisions = n**2 - (decisions**2).sum(1)
        # Where decisions do not vary `shared` is 0 as well: no correlation.
        spread = np.sqrt(spread_labels * np.where(spread_decisions > 0, spread_decisions, 1.0))
        with np.errstate(invalid="ignore"):
            return np.where(spread_labels > 0, shared / np.where(spread > 0, spread, 1.0), np.nan)

    def compute_chance(self, units: Units) -> float:
        """Return 0: constant and random decisions are uncorrelated with the labels."""
        return 0.0


# Mean squared error of the probabilities (Brier 1950, doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).
#
# Over several classes half the sum of the squared errors, so that two classes give the same number either way.


class Brier(Metric):
    """Mean squared error of the probabilities, 0 (perfect) to 1; lower is better. Undefined without units.

    >>> from embench.testing.require import units
    >>> round(Brier()(units("binary")), 3)
    0.183
    """

    title = "Brier score"
    about = "Mean squared error of the predicted probabilities."
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the mean over `units`, or `Undefined` where there are none."""
        return float(_compute_probability_errors(units).mean()) if len(units) else Undefined("no_units")

    def compute_chance(self, units: Units) -> float:
        """Return the score of a constant prediction of the labels' proportions."""
        return float((1 - (class_proportions(units) ** 2).sum()) / 2)

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) Brier score of each sample of subjects, NaN for a sample without units."""
        return resample_unit_mean(_compute_probability_errors(units), units, subjects, counts)


def _compute_probability_errors(units: Units) -> np.ndarray:
    """Return (n,) each unit's squared error."""
    score = np.asarray(units.score, np.float64)
    if units.kind == "binary":
        return (score - units.y_true) ** 2
    return ((score - np.eye(score.shape[1])[units.y_true.astype(int)]) ** 2).sum(1) / 2


# Expected calibration error over ten bins of equal width (Naeini et al. 2015, doi 10.1609/aaai.v29i1.9602).
#
# In each bin, how far the mean probability lies from the share that came true, weighted by the bin's share of units.
# The probability is that of the positive class; with several classes, that of the most probable one.

BINS = 10


class Ece(Metric):
    """Expected calibration error over ten bins, 0 (calibrated) to 1; lower is better. Undefined without units.

    >>> from embench.testing.require import units
    >>> round(Ece()(units("binary")), 3)
    0.108
    """

    title = "calibration error"
    about = "Mean distance of predicted probabilities from the frequencies of the classes."
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the error over the ten bins, or `Undefined` where there are no units."""
        if not len(units):
            return Undefined("no_units")
        return float(_resample_calibration(units, np.zeros(len(units), int), np.ones((1, 1)))[0])

    def compute_chance(self, units: Units) -> float:
        """Return 0: a constant prediction of the labels' proportion is calibrated."""
        return 0.0

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) calibration error of each sample of subjects, NaN for a sample without units."""
        return _resample_calibration(units, encode_subjects(units, subjects), counts)


def _resample_calibration(units: Units, person: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) from each subject's surplus of probability and number of units in each bin."""
    score = np.asarray(units.score, np.float64)
    if units.kind == "binary":
        came_true, probability = units.y_true == 1, score
    else:
        came_true, probability = units.y_true == score.argmax(1), score.max(1)
    cell = person * BINS + np.minimum((probability * BINS).astype(int), BINS - 1)
    size = counts.shape[1] * BINS
    surplus = np.bincount(cell, probability - came_true, size).reshape(-1, BINS)
    units_in = np.bincount(person, minlength=counts.shape[1])
    with np.errstate(invalid="ignore"):
        return np.abs(counts @ surplus).sum(1) / (counts @ units_in)


# Concordance of labels and predicted values inside each subject, mean over subjects (Lin 1989, doi 10.2307/2532051).
#
# 1 is perfect agreement in level, scale and order. A constant prediction gets exactly 0, and so does any that depends
# on the subject alone. A subject whose labels do not vary has no concordance and is excluded.


class Ccc(SubjectMetric):
    """Concordance correlation inside each subject, mean over subjects, -1 to 1. A subject whose labels do not vary is
    excluded; undefined where that is true of all.

    >>> from embench.testing.require import units
    >>> round(Ccc()(units("value")), 3)
    0.539
    """

    title = "CCC within subject"
    short = "CCC"
    about = (
        "Lin's concordance of predictions and labels within each test subject, averaged over seeds, then over subjects."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})
    undefined_reason = "no_varying_subject"

    def score_subjects(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """Return (P,) each subject's concordance, NaN for one whose labels do not vary."""
        return concordance_by_subject(units, subjects)


# Concordance of labels and predicted values inside each recording (Lin 1989, doi 10.2307/2532051).
#
# The score of a trace of ratings: how well predictions follow the moments of one recording, whatever differs between
# recordings. A constant prediction gets exactly 0, and so does any that depends on subject and stimulus alone.


class CccWithinRecording(SubjectMetric):
    """Concordance correlation inside each recording, mean over a subject's recordings, then over subjects, -1 to 1.
    Recordings in which labels do not vary are excluded; undefined where that is true of all.

    >>> from embench.testing.require import units
    >>> round(CccWithinRecording()(units("value")), 3)
    0.402
    """

    title = "CCC within recording"
    short = "CCC in recording"
    about = (
        "Lin's concordance of predictions and labels within each recording, averaged over a test subject's recordings, "
        "then over subjects. A film's curve may score high where all saw the same films."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})
    undefined_reason = "no_varying_recording"

    def __call__(self, units: Units) -> float | Undefined:
        """Return the mean over subjects, or `Undefined` where labels vary in no recording."""
        if units.recording is None:
            return Undefined("unknown_recordings")
        return super().__call__(units)

    def score_subjects(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """Return (P,) the mean over each subject's recordings, NaN for one in whose recordings labels do not vary."""
        return concordance_by_recording(units, subjects)


# Concordance of labels and predicted values over all units of a fold, one after another (Lin 1989, doi
# 10.2307/2532051).
#
# The score of the AVEC and MuSe challenges, which put all recordings of their test partition into one series. A
# prediction that knows only who was recorded, or which film was on, scores high where levels differ. Folds are averaged
# and never put into one series, since models of different folds may predict on different scales.


class CccPooled(Metric):
    """Concordance correlation over all units of a fold, -1 to 1. Undefined where labels do not vary.

    >>> from embench.testing.require import units
    >>> round(CccPooled()(units("value")), 3)
    0.571
    """

    title = "pooled CCC"
    short = "CCC pooled"
    about = (
        "Lin's concordance over all test subjects of a fold at once, averaged over folds. It also pays for knowing who "
        "was recorded and which film was on; papers report it."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the concordance of `units`, or `Undefined` where their labels do not vary."""
        value = concordance(units.score, units.y_true, np.zeros(len(units), int), 1)[0] if len(units) else np.nan
        return float(value) if np.isfinite(value) else Undefined("constant_labels" if len(units) else "no_units")

    def compute_chance(self, units: Units) -> float:
        """Return 0, the score of any constant prediction."""
        return 0.0

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) concordance of each sample of subjects, NaN where its labels do not vary."""
        return pooled_concordance(units.score, units.y_true, encode_subjects(units, subjects), counts)


# Pearson's correlation of labels and predicted values inside each subject, mean over subjects.
#
# How well predictions follow a subject on a line, whatever their level and scale. A constant prediction gets exactly 0,
# and so does any that depends on the subject alone. A subject whose labels do not vary has no correlation and is
# excluded.


class PearsonWithin(SubjectMetric):
    """Pearson's correlation inside each subject, mean over subjects, -1 to 1. A subject whose labels do not vary is
    excluded; undefined where that is true of all.

    >>> from embench.testing.require import units
    >>> round(PearsonWithin()(units("value")), 3)
    0.6
    """

    title = "correlation within subject"
    short = "Pearson within"
    about = (
        "Pearson's correlation of predictions and labels within each test subject, averaged over subjects. A clock or "
        "a film's curve may score high."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})
    undefined_reason = "no_varying_subject"

    def score_subjects(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """Return (P,) each subject's correlation, NaN for one whose labels do not vary."""
        return correlation_by_subject(units, subjects)


# Cohen's kappa with quadratic weights of predictions and labels on a rating scale (Cohen 1968, doi 10.1037/h0026256).
#
# Of ordered classes, the agreement beyond chance, where a rating two steps off counts four times one step. It is the
# concordance of whole numbers (Fleiss and Cohen 1973, doi 10.1177/001316447303300309), so `ccc_pooled` is close to it.
# Predictions are rounded to whole numbers; one beyond the ends of the scale is as far off as it is.


class KappaQuadratic(Metric):
    """Quadratic weighted kappa of rounded predictions over all units of a fold, -1 to 1. Undefined where some label of
    the target is no whole number, or where labels do not vary.

    >>> from embench.testing.require import ratings
    >>> round(KappaQuadratic()(ratings()), 3)
    0.518
    """

    title = "quadratic weighted kappa"
    short = "weighted kappa"
    about = (
        "Cohen's kappa with quadratic weights of predictions, rounded to whole numbers, over all test subjects of a "
        "fold at once. It also pays for knowing who was recorded and which film was on."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the kappa of `units`, or `Undefined` where labels do not vary or some lie between whole numbers."""
        if not len(units):
            return Undefined("no_units")
        if not units.whole_numbers:
            return Undefined("labels_not_integers")
        value = concordance(np.rint(units.score), units.y_true, np.zeros(len(units), int), 1)[0]
        return float(value) if np.isfinite(value) else Undefined("constant_labels")

    def compute_chance(self, units: Units) -> float:
        """Return 0, the score of any constant prediction."""
        return 0.0

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) kappa of each sample of subjects, NaN where its labels do not vary."""
        return pooled_concordance(np.rint(units.score), units.y_true, encode_subjects(units, subjects), counts)


# Mean absolute error of predicted values over all units of a fold, in the label's own unit.
#
# It includes the subjects' levels, as `rmse` does, and counts large errors less. Compare it with `compute_chance`, the
# error of the labels' median, and never across datasets.


class Mae(Metric):
    """Mean absolute error in the label's own unit, from 0; lower is better. Undefined without units.

    >>> from embench.testing.require import units
    >>> round(Mae()(units("value")), 3)
    0.803
    """

    title = "MAE"
    about = (
        "Mean absolute error of predicted values, in units of the label. It also pays for knowing who was recorded and "
        "which film was on."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the error over `units`, or `Undefined` where there are none."""
        return float(_compute_absolute_errors(units).mean()) if len(units) else Undefined("no_units")

    def compute_chance(self, units: Units) -> float:
        """Return the labels' mean distance from their median: the score of the best constant."""
        return float(np.abs(units.y_true - np.median(units.y_true)).mean())

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) error of each sample of subjects, NaN for a sample without units."""
        return resample_unit_mean(_compute_absolute_errors(units), units, subjects, counts)


def _compute_absolute_errors(units: Units) -> np.ndarray:
    """Return (n,) each unit's absolute error."""
    return np.abs(np.asarray(units.score, np.float64) - units.y_true)


# Mean absolute error of each value of a rating scale, averaged over the values that occur (Baccianella, Esuli and
# Sebastiani 2009, doi 10.1109/ISDA.2009.230).
#
# The score of ordered classes that are not equally frequent: always predicting the commonest rating gains nothing.
# Predictions are rounded to whole numbers; one beyond the ends of the scale is as far off as it is.


class MaeMacro(Metric):
    """Mean absolute error of rounded predictions, averaged over the labels that occur, from 0; lower is better.
    Undefined where some label of the target is no whole number.

    >>> from embench.testing.require import ratings
    >>> round(MaeMacro()(ratings()), 3)
    0.814
    """

    title = "macro-averaged MAE"
    short = "macro MAE"
    about = (
        "Mean absolute error of predictions, rounded to whole numbers, for each rating that occurs, averaged over "
        "ratings. It also pays for knowing who was recorded and which film was on."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the error over `units`, or `Undefined` where there are none, or some labels between whole numbers."""
        if not len(units):
            return Undefined("no_units")
        if not units.whole_numbers:
            return Undefined("labels_not_integers")
        return float(_resample_rating_errors(units, np.zeros(len(units), int), np.ones((1, 1)))[0])

    def compute_chance(self, units: Units) -> float:
        """Return the score of the best constant, the median of the ratings that occur."""
        ratings = np.unique(units.y_true)
        return float(np.abs(ratings - np.median(ratings)).mean())

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) error of each sample of subjects, NaN for a sample without units."""
        return _resample_rating_errors(units, encode_subjects(units, subjects), counts)


def _resample_rating_errors(units: Units, person: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) from the sums of each subject's errors at each rating."""
    ratings, rating = np.unique(units.y_true, return_inverse=True)
    cell, shape = person * len(ratings) + rating, (counts.shape[1], len(ratings))
    errors = np.abs(np.rint(np.asarray(units.score, np.float64)) - units.y_true)
    wrong, there = (
        counts @ np.bincount(cell, of, shape[0] * shape[1]).reshape(shape) for of in (errors, np.ones(len(units)))
    )
    with np.errstate(invalid="ignore"):
        return (wrong / np.maximum(there, 1)).sum(1) / (there > 0).sum(1)


# Root mean squared error of predicted values over all units of a fold, in the label's own unit.
#
# It includes the subjects' levels: it measures how far off a prediction is, not whether it follows a subject. Compare
# it with `compute_chance`, the standard deviation of the labels, and never across datasets.


class Rmse(Metric):
    """Root mean squared error in the label's own unit, from 0; lower is better. Undefined without units.

    >>> from embench.testing.require import units
    >>> round(Rmse()(units("value")), 3)
    0.984
    """

    title = "RMSE"
    about = (
        "Root mean squared error of predicted values, in units of the label. It also pays for knowing who was recorded "
        "and which film was on."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the error over `units`, or `Undefined` where there are none."""
        return float(np.sqrt(_compute_squared_errors(units).mean())) if len(units) else Undefined("no_units")

    def compute_chance(self, units: Units) -> float:
        """Return the labels' standard deviation: the score of the best constant, their mean."""
        return float(units.y_true.std())

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) error of each sample of subjects, NaN for a sample without units."""
        return np.sqrt(resample_unit_mean(_compute_squared_errors(units), units, subjects, counts))


def _compute_squared_errors(units: Units) -> np.ndarray:
    """Return (n,) each unit's squared error."""
    return (np.asarray(units.score, np.float64) - units.y_true) ** 2
