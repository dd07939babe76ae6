"""Reliability, calibration error and decision curve: against their definitions, other software, and worlds whose
probabilities are known."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve

from embench.interfaces.metric import Undefined
from embench.interfaces.units import LabelRule, Target, Units
from embench.records.manifest import MethodPart
from embench.records.record import read_record
from embench.statistics.calibration import N_BINS, THRESHOLDS, calibration, recorded_calibration
from embench.statistics.joined import Joined, recorded_target

from ..site.conftest import PUBLISHED


def units(score, positive, subject, fold=0):
    n, score = len(positive), np.asarray(score, float)
    name = np.asarray(subject, str)
    kind = "binary" if score.ndim == 1 else "classes"
    none = np.zeros(n)
    return Units(kind, np.asarray(positive, float), score, none, name, name, none, np.full(n, fold), name)


def world(rng, subjects=30, each=40, shift=0.0):
    """Units whose probabilities are right; those said have logits `shift` higher. Each seed has folds of its own."""
    right = expit(rng.normal(0, 0.5, (subjects, 1)) + rng.normal(0, 1.2, (subjects, each)) - 0.6)
    positive, said = rng.random(right.shape) < right, expit(logit(right) + shift)
    names = np.array([f"p{k:02d}" for k in range(subjects)])
    seeds = {}
    for seed in range(2):
        fold = rng.permutation(subjects) % 5
        seeds[seed] = {
            k: units(said[fold == k].ravel(), positive[fold == k].ravel(), np.repeat(names[fold == k], each), k)
            for k in range(5)
        }
    return Joined(seeds)


def test_right_probabilities_lie_on_the_diagonal_and_have_the_error_of_chance():
    rng, inside, errors = np.random.default_rng(0), [], []
    for _ in range(30):
        found = calibration(world(rng), {})
        inside += [b.low <= b.predicted <= b.high for b in found.bins]
        errors.append((found.error, found.by_chance))
        assert len(found.bins) == N_BINS
    error, by_chance = np.mean(errors, 0)
    assert by_chance == pytest.approx(error, rel=0.1)
    assert 0.01 < error < 0.05  # of 1,200 units, and none at all of infinitely many
    assert 0.93 < np.mean(inside) < 1


def test_shifted_probabilities_are_told():
    found = calibration(world(np.random.default_rng(1), shift=1.0), {})
    assert found.error > 5 * found.by_chance
    assert found.too_high.low > 0.1
    assert found.error == pytest.approx(found.too_high.mean)  # all bins are off to one side
    assert sum(b.high < b.predicted for b in found.bins) >= 7


def test_alarms_of_right_probabilities_gain_and_those_of_none_do_not():
    rng = np.random.default_rng(2)
    told = world(rng)
    assert {b.threshold for b in calibration(told, {}).benefits if b.is_shown} >= {0.3, 0.4, 0.5}
    blind = Joined({
        seed: {fold: units(rng.random(len(u)), u.y_true, u.subject, fold) for fold, u in folds.items()}
        for seed, folds in told.seeds.items()
    })  # fmt: skip
    assert not any(b.is_shown for b in calibration(blind, {}).benefits)


def test_bins_are_those_of_scikit_learn():
    """With ties, too, where bins are fewer and of unequal numbers."""
    rng = np.random.default_rng(3)
    for digits in (9, 1):
        score = np.round(rng.beta(1, 2, 500), digits)
        positive = rng.random(500) < score
        found = calibration(Joined({0: {0: units(score, positive, rng.integers(0, 20, 500))}}), {})
        observed, predicted = calibration_curve(positive, score, n_bins=N_BINS, strategy="quantile")
        np.testing.assert_allclose([b.observed for b in found.bins], observed)
        np.testing.assert_allclose([b.predicted for b in found.bins], predicted)
        assert sum(b.units for b in found.bins) == pytest.approx(500)


def test_net_benefit_is_that_of_the_definition():
    """Five units, three of them positive. At 0.4 two right alarms and one false one, which costs 2 / 3 of a right one:
    (2 - 2 / 3) / 5; an alarm for all five gains (3 - 2 * 2 / 3) / 5. At 0.5 the alarm of 0.4 is gone."""
    joined = Joined({0: {0: units([0.9, 0.4, 0.2], [1, 0, 1], ["a"] * 3), 1: units([0.5, 0.1], [1, 0], ["b"] * 2)}})
    at = {b.threshold: b for b in calibration(joined, {}).benefits}
    assert at[0.4].model == pytest.approx((2 - 2 / 3) / 5)
    assert at[0.4].always == pytest.approx((3 - 2 * 2 / 3) / 5)
    assert at[0.5].model == pytest.approx(2 / 5)
    assert at[0.95].model == 0
    assert at[0.95].low is None  # no alarm at all says nothing of those that would be raised
    assert list(at) == list(THRESHOLDS)


def test_published_predictions_give_the_numbers_by_the_formulas_of_the_page():
    """docs/why/statistics.md, with plain arrays."""
    folder = next((PUBLISHED / "wearable_stress/subject-independent-v4").glob("handcrafted-knn-19*"))
    record = read_record(folder)
    label = dict(zip(record.labels["unit"], record.labels["label"], strict=True))
    rows = record.predictions.take(record.predictions["method"] == "model")
    p = rows["score"]
    y = np.array([label.get(unit, np.nan) for unit in rows["unit"].tolist()])
    p, y, group = p[y == y], y[y == y], np.array([record.groups[s] for s in rows["subject"].tolist()])[y == y]
    found = recorded_calibration(record, recorded_target(record, "rating_high"))
    cell = np.searchsorted(np.percentile(p, np.arange(10, 100, 10)), p)
    gaps = {k: p[cell == k].mean() - y[cell == k].mean() for k in np.unique(cell)}
    assert found.error == pytest.approx(sum(np.mean(cell == k) * abs(gap) for k, gap in gaps.items()))
    spread = 0.0
    for k in gaps:
        left = [(p - y)[(cell == k) & (group != g)].mean() for g in np.unique(group[cell == k])]
        spread += np.mean(cell == k) * np.sqrt((len(left) - 1) * np.var(left))
    assert found.by_chance == pytest.approx(np.sqrt(2 / np.pi) * spread)
    for one in found.benefits:
        alarm = p >= one.threshold
        assert one.model == pytest.approx((np.sum(alarm & (y == 1)) - one.odds * np.sum(alarm & (y == 0))) / len(y))
    assert found.positive == pytest.approx(y.mean())
    assert (found.subjects, found.seeds) == (len(set(group)), len(record.run["seeds"]))


@pytest.mark.parametrize(
    ("score", "method", "reason"),
    [
        ([0.2, 1.3], None, "not probabilities"),
        ([0.2, 0.7], "embench_plugins/linear_svm", "only rank units"),
        ([[0.2, 0.7, 0.1], [0.1, 0.1, 0.8]], None, "two classes"),
        ([], None, "no labelled unit"),
    ],
)
def test_what_has_no_probabilities_of_two_classes_has_no_curves(score, method, reason):
    about = method and MethodPart(encoders={}, fusion=method, pretrainers=[], modalities=["eda"])
    joined = Joined({0: {0: units(score, [0, 1], ["a", "b"])}} if score else {})
    found = calibration(joined, {}, about)
    assert isinstance(found, Undefined)
    assert reason in found.reason


def test_values_and_sealed_entries_have_none():
    sealed = read_record(next((PUBLISHED / "hku956/subject-independent-v4").glob("handcrafted-forest-d7*")))
    found = recorded_calibration(sealed, recorded_target(sealed, next(iter(sealed.scores.primary_metrics))))
    assert isinstance(found, Undefined)
    assert "not public" in found.reason
    value = Target("arousal", "value", LabelRule("mean"), "arousal")
    assert isinstance(recorded_calibration(sealed, value), Undefined)


def test_of_one_subject_there_are_no_intervals():
    rng = np.random.default_rng(4)
    score = rng.random(50)
    found = calibration(Joined({0: {0: units(score, rng.random(50) < score, ["a"] * 50)}}), {})
    assert found.by_chance is None
    assert {b.low for b in found.bins} == {b.low for b in found.benefits} == {None}
    assert not any(b.is_shown for b in found.benefits)


def test_units_without_a_prediction_are_not_in_it():
    rng = np.random.default_rng(5)
    score, positive, who = rng.random(80), rng.random(80) < 0.4, np.repeat(list("abcd"), 20)
    part = units(score, positive, who)
    lost = units(np.append(score, [np.nan, np.inf]), np.append(positive, [1, 0]), np.append(who, ["a", "b"]))
    one, other = (calibration(Joined({0: {0: each}}), {}) for each in (lost, part))
    assert (one.error, one.bins, one.benefits, one.units) == (other.error, other.bins, other.benefits, other.units)
