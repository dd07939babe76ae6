"""Curves and tables averaged over folds and seeds, on numbers worked out by hand."""

from dataclasses import replace

import numpy as np

from embench.interfaces.units import LabelRule, Target, Units
from embench.records.predictions import ANY_SEED, Labels, Predictions
from embench.records.record import Record
from embench.records.scores import Scores
from embench.report.figures import RATE_GRID, calibration_curves, confusion_matrix, mean_and_band, roc_curves
from embench.report.fusion_gain import method_predictions, min_max_envelope
from embench.statistics.joined import Joined


def units(y, score):
    y, score = np.array(y, float), np.array(score, float)
    name = np.array([f"p{k}" for k in range(len(y))])
    return Units(
        "binary", y, score, (score >= 0.5).astype(float), name, name, np.arange(len(y)), np.zeros(len(y)), name
    )


def classes(y, score):
    """Units of three classes; `score` is the probability of class 1, the most probable one."""
    score = np.array(score, float)
    several = np.stack([(1 - score) * 0.6, score, (1 - score) * 0.4], 1)
    return replace(units(y, score), kind="classes", score=several)


def test_roc_is_the_mean_of_folds_and_not_of_pooled_scores():
    """Two folds on scales of their own: each is ranked without a fault, pooled they are not."""
    low, high = units([0, 1, 0, 1], [0.1, 0.2, 0.1, 0.2]), units([0, 1, 0, 1], [0.8, 0.9, 0.8, 0.9])
    table = roc_curves(Joined({0: {0: low, 1: high}}), 0)
    assert table.shape == (2, len(RATE_GRID))
    np.testing.assert_array_equal(table[:, 1:], 1.0)
    np.testing.assert_array_equal(table[:, 0], 0.0)


def test_roc_leaves_out_folds_of_one_class():
    assert len(roc_curves(Joined({0: {0: units([1, 1], [0.2, 0.3]), 1: units([0, 1], [0.6, 0.4])}}), 0)) == 1


def test_calibration_counts_inside_folds():
    y = [0, 0, 0, 1, 1] + [1] * 4
    score = [0.52, 0.54, 0.56, 0.58, 0.55] + [0.95] * 4  # the last four are too few for a share
    text, true, share = calibration_curves(Joined({0: {0: classes(y, score)}, 1: {0: classes([1] * 5, [0.51] * 5)}}))
    np.testing.assert_allclose(text[:, 5], [0.55, 0.51])
    np.testing.assert_allclose(true[:, 5], [0.4, 1.0])
    assert np.isnan(true[:, 9]).all()
    np.testing.assert_allclose(share[0, [5, 9]], [5 / 9, 4 / 9])


def test_confusion_averages_shares_and_sums_units():
    """Fold 0 decides everything right in seed 0 and nothing in seed 1; fold 1 has one class in its only seed."""
    right, wrong, ones = units([0, 1], [0.1, 0.9]), units([0, 1], [0.9, 0.1]), units([1, 1], [0.9, 0.2])
    share, counted = confusion_matrix(Joined({0: {0: right, 1: ones}, 1: {0: wrong}}))
    np.testing.assert_allclose(share, [[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(counted, [[0.5, 0.5], [1.0, 1.0]])


def test_spread_leaves_out_what_is_not_known():
    mean, low, high = mean_and_band(np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]]))
    np.testing.assert_allclose(mean, [2, 2, np.nan])
    np.testing.assert_allclose(low, [1.2, 2, np.nan])
    np.testing.assert_allclose(high, [2.8, 2, np.nan])


def record(scores):
    """Unit -> probability in each of two seeds, of one subject's recording."""
    rows = [(seed, unit, values[seed]) for seed in (0, 1) for unit, values in scores.items()]
    seed, unit, score = (np.array(column) for column in zip(*rows, strict=True))
    text = {"method": "model", "target": "t", "subject": "p", "recording": "r", "stimulus": "v"}
    columns = {name: np.full(len(rows), value) for name, value in text.items()}
    columns |= {"fold": 0 * seed, "seed": seed, "unit": unit, "start_s": 0.0 * seed}
    columns |= {"score": score, "decision": (score >= 0.5).astype(float)}
    two = {"unit": np.array(["r:0-10000", "r:10000-20000"]), "raw": np.array([0, 1]), "label": np.array([0, 1])}
    two |= {name: np.full(2, text[name]) for name in ("subject", "recording", "target")}
    labels = Labels({**two, "seed": np.full(2, ANY_SEED)})
    return Record({}, Predictions(columns), labels, (), Scores.make_empty())


def test_answers_are_of_common_labelled_units_and_means_of_seeds():
    fused = record({"r:10000-20000": (0.9, 0.7), "r:0-10000": (0.2, 0.4), "r:20000-30000": (0.5, 0.5)})
    alone = record({"r:0-10000": (0.6, 0.4), "r:10000-20000": (0.3, 0.1), "r:20000-30000": (0.5, 0.5)})
    predictions = method_predictions([fused, alone], Target("t", "binary", LabelRule(), "t"))
    assert predictions.start.tolist() == [0, 10]
    assert predictions.stop.tolist() == [10, 20]
    assert predictions.label.tolist() == [0, 1]
    np.testing.assert_allclose(predictions.score, [[0.3, 0.8], [0.5, 0.2]])
    np.testing.assert_allclose(predictions.good, [[1, 1], [0.5, 0]])


def test_an_envelope_keeps_every_spike():
    data = np.zeros(100_000)
    data[54_321], data[12_345] = 9.0, -7.0
    x, y = min_max_envelope(data, 100.0)
    assert (y.max(), y.min()) == (9.0, -7.0)
    assert abs(x[y.argmax()] - 543.21) < 1.5
    assert abs(x[y.argmin()] - 123.45) < 1.5
    assert np.all(np.diff(x) >= 0)
