"""The bundled metrics: first for classes, then for continuous targets and rating scales.

Each metric is one class, whose name in `registry.yaml` is its own in lower case. Its docstring gives the definition,
the source and what the score depends on.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import replace
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


class AurocWithin(SubjectMetric):
    """AUROC within each subject who has both classes, averaged over these subjects, 0 to 1. Undefined if no
    subject has both classes. A score that depends on the subject alone, such as a constant, gets exactly 0.5. With
    several classes, each class is compared with the rest, and the mean is taken over classes.

    >>> from embench.testing.require import units
    >>> round(AurocWithin()(units("binary")), 3)
    0.806
    """

    title = "AUROC within subject"
    short = "AUROC within"
    about = (
        "The AUROC within each test subject who has both classes, averaged over seeds, then over subjects. Time "
        "since the start may score high where tasks came in one order."
    )
    chance_level = 0.5
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})
    undefined_reason = "no_subject_with_both_classes"

    def score_subjects(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """Return the AUROC of each subject (P,), NaN for a subject with one class only."""
        return auroc_by_subject(units, subjects)


class Auroc(Metric):
    """Area under the ROC curve over all units of a fold, 0 to 1. Undefined if the labels have one class.
    Units of different subjects are compared too, so a method gains by recognising subjects. With several classes, each
    class is compared with the rest, and the mean is taken over classes.

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
        """Return (R,) AUROC of each sample of subjects, NaN where a sample holds one class. Computed from counts of
        pairs between subjects, without copies of units."""
        return _average_classes(units, encode_subjects(units, subjects), counts)


def _average_classes(units: Units, subject: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) the AUROC in each sample of subjects, averaged over the classes that can be compared in the sample;
    NaN if none can.

    Args:
        subject: (n,) position of each unit's subject among the columns of `counts` (R, P).
    """
    tie = compute_tie_width(units.score)
    tables: list[Pairs] = [
        compare_subjects(score, positive, subject, counts.shape[1], tie) for positive, score in compare_classes(units)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should be
        return np.nanmean([table.resample(counts) for table in tables], axis=0)


class BalancedAccuracy(ConfusionMetric):
    """Mean recall of the classes that occur in the labels, 0 to 1: a rare class counts as much as a frequent one.
    Undefined if the labels have one class."""

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


class Accuracy(ConfusionMetric):
    """Proportion of units whose decision equals the label, 0 to 1. Undefined without units. It depends on the
    frequencies of the classes: compare it with `compute_chance`, never across datasets."""

    about = (
        "The proportion of correct decisions. It depends on the threshold of decisions and on how frequent the classes "
        "are."
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


class F1Macro(ConfusionMetric):
    """Mean F1 over the classes that occur in labels or decisions, 0 to 1. Undefined if the labels have one class."""

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
        """Return the macro F1 of random decisions in the labels' proportions. A class with p of the labels and q of the
        decisions has F1 = 2pq / (p + q), and the mean over the K classes that occur is largest at q = p: 1 / K."""
        return 1.0 / float((class_proportions(units) > 0).sum())


class F1Weighted(ConfusionMetric):
    """F1 of each class, weighted by the proportion of its labels, 0 to 1. Undefined without units. Papers report it. It
    depends on the decision threshold and on the frequencies of the classes, so it never ranks methods."""

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
        """Return the best score of random decisions: the greatest sum of 2 p^2 q / (p + q) over the proportions q of
        decisions, for labels with proportions p.

        The sum is concave in q. At its maximum, q + p is proportional to p^1.5 for the classes that are ever chosen;
        classes that would need a negative q are never chosen.
        """
        p = np.sort(class_proportions(units))[::-1]
        for classes in range(int((p > 0).sum()), 0, -1):
            scale = (1 + p[:classes].sum()) / (p[:classes] ** 1.5).sum()
            q = scale * p[:classes] ** 1.5 - p[:classes]
            if (q >= 0).all():
                break
        return float((2 * p[:classes] ** 2 * q / (p[:classes] + q)).sum())


class PrecisionMacro(ConfusionMetric):
    """Mean precision over the classes that occur in labels or decisions, 0 to 1; a class that is never chosen has 0.
    Undefined if the labels have one class. This is our reading of "PPR" in Woo et al. 2023 (`woo2023`)."""

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
        """Return 1 / the number of classes that occur: the precision of a random decision is the class's proportion."""
        return 1.0 / float((class_proportions(units) > 0).sum())


class SensitivitySpecificity(ConfusionMetric):
    """Mean of sensitivity and specificity, 0 to 1. Undefined if the labels have one class. This is our reading of "SEN
    & SPE" in Woo et al. 2023 (`woo2023`), one number for both. With two classes it equals the balanced accuracy. With
    several, it is the mean over the classes that occur, each against the rest."""

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
        """Return 0.5: random decisions that raise the sensitivity lower the specificity by as much."""
        return 0.5


class Mcc(ConfusionMetric):
    """Matthews correlation of decisions and labels, -1 to 1, for any number of classes (Gorodkin 2004). A method that
    always decides for the same class gets 0. Undefined if the labels have one class."""

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


class MeanError(Metric):
    """A mean of the units' errors; lower is better. Subclasses define `compute_errors` and `compute_chance`."""

    direction: ClassVar[Literal["higher", "lower"]] = "lower"

    @abstractmethod
    def compute_errors(self, units: Units) -> np.ndarray:
        """Return (n,) the error of each unit."""

    def __call__(self, units: Units) -> float | Undefined:
        """Return the mean error of `units`, or `Undefined` where there are none."""
        return float(self.compute_errors(units).mean()) if len(units) else Undefined("no_units")

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) the mean error of each sample of subjects, NaN for a sample without units."""
        return resample_unit_mean(self.compute_errors(units), units, subjects, counts)


class Brier(MeanError):
    """Mean squared error of the probabilities, 0 (perfect) to 1; lower is better (Brier 1950, doi
    10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2). Undefined without units. With several classes it is half the sum
    of their squared errors, so that the formulas agree for two classes.

    >>> from embench.testing.require import units
    >>> round(Brier()(units("binary")), 3)
    0.183
    """

    title = "Brier score"
    about = "Mean squared error of the predicted probabilities."
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"binary", "classes"})

    def compute_errors(self, units: Units) -> np.ndarray:
        """Return (n,) each unit's squared error."""
        score = np.asarray(units.score, np.float64)
        if units.kind == "binary":
            return (score - units.y_true) ** 2
        return ((score - np.eye(score.shape[1])[units.y_true.astype(int)]) ** 2).sum(1) / 2

    def compute_chance(self, units: Units) -> float:
        """Return the score of a constant prediction of the labels' proportions."""
        return float((1 - (class_proportions(units) ** 2).sum()) / 2)


BINS = 10


class Ece(Metric):
    """Expected calibration error over ten bins of equal width, 0 (calibrated) to 1; lower is better (Naeini et al.
    2015, doi 10.1609/aaai.v29i1.9602). Undefined without units. In each bin it compares the mean probability with the
    frequency of the class, weighted by the bin's units. The probability is that of the positive class; with several
    classes, that of the most probable one.

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
        """Return the error over the ten bins, or `Undefined` without units."""
        if not len(units):
            return Undefined("no_units")
        return float(_resample_calibration(units, np.zeros(len(units), int), np.ones((1, 1)))[0])

    def compute_chance(self, units: Units) -> float:
        """Return 0: a constant prediction of the class's proportion is calibrated."""
        return 0.0

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) calibration error of each sample of subjects, NaN for a sample without units."""
        return _resample_calibration(units, encode_subjects(units, subjects), counts)


def _resample_calibration(units: Units, subject: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) the calibration error in each sample of subjects.

    Args:
        subject: (n,) position of each unit's subject among the columns of `counts` (R, P).
    """
    score = np.asarray(units.score, np.float64)
    if units.kind == "binary":
        came_true, probability = units.y_true == 1, score
    else:
        came_true, probability = units.y_true == score.argmax(1), score.max(1)
    cells = subject * BINS + np.minimum((probability * BINS).astype(int), BINS - 1)
    size = counts.shape[1] * BINS
    excess = np.bincount(cells, probability - came_true, size).reshape(-1, BINS)
    unit_counts = np.bincount(subject, minlength=counts.shape[1])
    with np.errstate(invalid="ignore"):
        return np.abs(counts @ excess).sum(1) / (counts @ unit_counts)


class Ccc(SubjectMetric):
    """Lin's concordance correlation within each subject, averaged over subjects, -1 to 1 (Lin 1989, doi
    10.2307/2532051). 1 is perfect agreement in level, scale and order. A prediction that depends on the subject alone,
    such as a constant, gets exactly 0. A subject whose labels do not vary is excluded; undefined if no labels vary.

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
        """Return the concordance of each subject (P,), NaN for a subject whose labels do not vary."""
        return concordance_by_subject(units, subjects)


class CccWithinRecording(SubjectMetric):
    """Lin's concordance correlation within each recording, averaged over a subject's recordings, then over subjects, -1
    to 1 (Lin 1989, doi 10.2307/2532051). It measures how well predictions follow continuous ratings through a
    recording, whatever differs between recordings. A prediction that is constant within each recording gets exactly 0.
    Recordings whose labels do not vary are excluded; undefined if no labels vary.

    >>> from embench.testing.require import units
    >>> round(CccWithinRecording()(units("value")), 3)
    0.402
    """

    title = "CCC within recording"
    short = "CCC in recording"
    about = (
        "Lin's concordance of predictions and labels within each recording, averaged over a test subject's recordings, "
        "then over subjects. The mean curve of a stimulus may score high where all saw the same stimuli."
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
        """Return (P,) the mean over each subject's recordings, NaN if labels vary in none of them."""
        return concordance_by_recording(units, subjects)


class CccPooled(Metric):
    """Lin's concordance correlation over all units of a fold, -1 to 1 (Lin 1989, doi 10.2307/2532051). Undefined if
    labels do not vary. The AVEC and MuSe challenges score this way, over all recordings of their test partition. A
    prediction that knows only the subject or the stimulus scores high where their levels differ. Scores of folds are
    averaged, as models of different folds may predict on different scales.

    >>> from embench.testing.require import units
    >>> round(CccPooled()(units("value")), 3)
    0.571
    """

    title = "pooled CCC"
    short = "CCC pooled"
    about = (
        "Lin's concordance over all test subjects of a fold at once, averaged over folds. It also rewards "
        "recognising the subject and the stimulus. Papers report it."
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


class PearsonWithin(SubjectMetric):
    """Pearson's correlation within each subject, averaged over subjects, -1 to 1. It measures how well predictions
    follow a subject's labels linearly, whatever the level and scale of the predictions. A prediction that depends on
    the subject alone, such as a constant, gets exactly 0. A subject whose labels do not vary is excluded; undefined if
    no labels vary.

    >>> from embench.testing.require import units
    >>> round(PearsonWithin()(units("value")), 3)
    0.6
    """

    title = "correlation within subject"
    short = "Pearson within"
    about = (
        "Pearson's correlation of predictions and labels within each test subject, averaged over subjects. Time "
        "since the start, or the mean curve of a stimulus, may score high."
    )
    chance_level = 0.0
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})
    undefined_reason = "no_varying_subject"

    def score_subjects(self, units: Units, subjects: np.ndarray) -> np.ndarray:
        """Return the correlation of each subject (P,), NaN for a subject whose labels do not vary."""
        return correlation_by_subject(units, subjects)


class KappaQuadratic(CccPooled):
    """Cohen's kappa with quadratic weights, of predictions rounded to whole numbers, over all units of a fold, -1 to 1
    (Cohen 1968, doi 10.1037/h0026256). Undefined if a label of the target is not a whole number, or if labels do not
    vary. An error of two steps counts four times as much as one of one step; errors beyond the ends of the scale count
    in full. For whole numbers it equals the concordance (Fleiss and Cohen 1973, doi 10.1177/001316447303300309).

    >>> from embench.testing.require import ratings
    >>> round(KappaQuadratic()(ratings()), 3)
    0.518
    """

    title = "quadratic weighted kappa"
    short = "weighted kappa"
    about = (
        "Cohen's kappa with quadratic weights of predictions, rounded to whole numbers, over all test subjects of a "
        "fold at once. It also rewards recognising the subject and the stimulus."
    )

    def __call__(self, units: Units) -> float | Undefined:
        """Return the kappa of `units`, or `Undefined` where labels do not vary or some lie between whole numbers."""
        if len(units) and not units.whole_numbers:
            return Undefined("labels_not_integers")
        return super().__call__(replace(units, score=np.rint(units.score)))

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) kappa of each sample of subjects, NaN where its labels do not vary."""
        return super().resample(replace(units, score=np.rint(units.score)), subjects, counts)


class Mae(MeanError):
    """Mean absolute error in the label's unit, from 0; lower is better. Undefined without units. Like RMSE it depends
    on the subjects' mean levels, but large errors weigh less. Compare it with `compute_chance` only.

    >>> from embench.testing.require import units
    >>> round(Mae()(units("value")), 3)
    0.803
    """

    title = "MAE"
    about = (
        "Mean absolute error of predicted values, in units of the label. It also rewards recognising the subject and "
        "the stimulus."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def compute_errors(self, units: Units) -> np.ndarray:
        """Return (n,) each unit's absolute error."""
        return np.abs(np.asarray(units.score, np.float64) - units.y_true)

    def compute_chance(self, units: Units) -> float:
        """Return the labels' mean distance from their median: the score of the best constant."""
        return float(np.abs(units.y_true - np.median(units.y_true)).mean())


class MaeMacro(Metric):
    """Mean absolute error of predictions rounded to whole numbers, for each rating that occurs, averaged over these
    ratings, from 0; lower is better (Baccianella, Esuli and Sebastiani 2009, doi 10.1109/ISDA.2009.230). Undefined if a
    label of the target is not a whole number. A method that always predicts the commonest rating gains nothing. Errors
    beyond the ends of the scale count in full.

    >>> from embench.testing.require import ratings
    >>> round(MaeMacro()(ratings()), 3)
    0.814
    """

    title = "macro-averaged MAE"
    short = "macro MAE"
    about = (
        "Mean absolute error of predictions, rounded to whole numbers, for each rating that occurs, averaged over "
        "ratings. It also rewards recognising the subject and the stimulus."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def __call__(self, units: Units) -> float | Undefined:
        """Return the error over `units`, or `Undefined` if there are none or labels are not whole numbers."""
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


def _resample_rating_errors(units: Units, subject: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (R,) the macro-averaged error in each sample of subjects.

    Args:
        subject: (n,) position of each unit's subject among the columns of `counts` (R, P).
    """
    ratings, rating = np.unique(units.y_true, return_inverse=True)
    cells, shape = subject * len(ratings) + rating, (counts.shape[1], len(ratings))
    errors = np.abs(np.rint(np.asarray(units.score, np.float64)) - units.y_true)
    totals, sizes = (
        counts @ np.bincount(cells, weights, shape[0] * shape[1]).reshape(shape)
        for weights in (errors, np.ones(len(units)))
    )
    with np.errstate(invalid="ignore"):
        return (totals / np.maximum(sizes, 1)).sum(1) / (sizes > 0).sum(1)


class Rmse(MeanError):
    """Root mean squared error in the label's unit, from 0; lower is better. Undefined without units. It depends on the
    subjects' mean levels more than on changes within a subject. Compare it with `compute_chance` only.

    >>> from embench.testing.require import units
    >>> round(Rmse()(units("value")), 3)
    0.984
    """

    title = "RMSE"
    about = (
        "Root mean squared error of predicted values, in units of the label. It also rewards recognising the subject "
        "and the stimulus."
    )
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    kinds: ClassVar[frozenset[str]] = frozenset({"value"})

    def compute_errors(self, units: Units) -> np.ndarray:
        """Return (n,) each unit's squared error."""
        return (np.asarray(units.score, np.float64) - units.y_true) ** 2

    def __call__(self, units: Units) -> float | Undefined:
        """Return the error over `units`, or `Undefined` where there are none."""
        value = super().__call__(units)
        return value if isinstance(value, Undefined) else float(np.sqrt(value))

    def compute_chance(self, units: Units) -> float:
        """Return the labels' standard deviation: the score of the best constant, their mean."""
        return float(units.y_true.std())

    def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return (R,) error of each sample of subjects, NaN for a sample without units."""
        return np.sqrt(super().resample(units, subjects, counts))
