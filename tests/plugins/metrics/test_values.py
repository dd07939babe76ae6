"""The scores of values: published numbers, other packages, direct formulas, what a constant gets, and their
bootstraps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, mean_absolute_error

from embench import registry
from embench.interfaces.agreement import concordance, pooled_concordance
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.units import Units

WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
"""Peak flow of 17 people by two meters, first measurements (Bland and Altman 1986, table 1)."""

ALL = ("ccc", "ccc_pooled", "ccc_within_recording", "kappa_quadratic", "mae", "mae_macro", "pearson_within", "rmse")


def made(seed: int = 0, n_subjects: int = 6, level: float = 100.0) -> Units:
    """Uneven subjects of different levels, followed with noise; the labels of the last one do not vary."""
    rng = np.random.default_rng(seed)
    subject = np.repeat([f"s{p}" for p in range(n_subjects)], rng.integers(4, 20, n_subjects))
    n = len(subject)
    own = np.unique(subject, return_inverse=True)[1]
    y = level + 3 * own + rng.normal(size=n)
    y[own == n_subjects - 1] = 0.1
    score = y + 0.5 * rng.normal(size=n) - own
    return Units(
        kind="value",
        y_true=y,
        score=score,
        decision=score,
        subject=subject,
        stimulus=rng.choice(["a", "b"], n),
        start_s=np.arange(n) * 10.0,
        fold=np.zeros(n, int),
        group=subject,
        length_s=10.0,
        recording=2 * own + rng.integers(0, 2, n),
    )


def rated(seed: int = 0) -> Units:
    """The same with ratings from 1 to 5 for labels, and predictions between whole numbers and beyond the scale."""
    units = made(seed)
    own = np.unique(units.subject, return_inverse=True)[1]
    y = np.rint(units.y_true - 98 - 3 * own).clip(1, 5)
    y[own == own.max()] = 2
    score = y + np.random.default_rng(seed).normal(size=len(y))
    return replace(units, y_true=y, score=score, decision=score, whole_numbers=True)


def metric(name: str) -> Metric:
    return registry.load_plugin("metric", name)()


def lin(x: np.ndarray, y: np.ndarray) -> float:
    """Lin 1989 by its words: one less the expected squared distance over what it would be without correlation."""
    independent = ((x[:, None] - y[None, :]) ** 2).mean()
    return float(1 - ((x - y) ** 2).mean() / independent)


def test_concordance_of_two_meters_as_published() -> None:
    """R's epiR and DescTools print .943 for these data."""
    one, other = np.array(WRIGHT, float), np.array(MINI, float)
    found = concordance(one, other, np.zeros(len(one), int), 1)
    assert found[0] == pytest.approx(0.943, abs=5e-4)
    assert found[0] == pytest.approx(lin(one, other))


def test_concordance_agrees_with_audmetric() -> None:
    other_package = pytest.importorskip("audmetric")
    rng = np.random.default_rng(0)
    for level in (0.0, 3.0, 1e3):
        one, other = level + rng.normal(size=(2, 57))
        expected = other_package.concordance_cc(other, one)
        assert concordance(one, other, np.zeros(57, int), 1)[0] == pytest.approx(expected, abs=1e-12)
        pooled = pooled_concordance(one, other, rng.integers(0, 4, 57), np.ones((1, 4)))
        assert pooled[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_agrees_with_scikit_learn(seed: int) -> None:
    units = rated(seed)
    rounded = np.rint(units.score)
    assert rounded.max() > 5 or rounded.min() < 1
    scale = list(range(-9, 15))  # by its place in this list it weighs a rating
    expected = cohen_kappa_score(units.y_true.astype(int), rounded.astype(int), labels=scale, weights="quadratic")
    assert metric("kappa_quadratic")(units) == pytest.approx(expected, abs=1e-12)


def test_macro_mae_is_the_mean_over_ratings_of_their_mae() -> None:
    units = rated()
    rows = [units.y_true == rating for rating in np.unique(units.y_true)]
    each = [mean_absolute_error(units.y_true[at], np.rint(units.score[at])) for at in rows]
    assert metric("mae_macro")(units) == pytest.approx(np.mean(each), abs=1e-12)
    assert metric("mae")(units) == pytest.approx(mean_absolute_error(units.y_true, units.score), abs=1e-12)


@pytest.mark.parametrize("name", ["mae", "mae_macro"])
def test_chance_of_an_error_is_that_of_the_best_constant(name: str) -> None:
    units = rated()
    constants = [metric(name)(replace(units, score=np.full(len(units), float(k)))) for k in range(1, 6)]
    assert metric(name).compute_chance(units) == pytest.approx(min(constants))


@pytest.mark.parametrize("name", ["kappa_quadratic", "mae_macro"])
def test_labels_between_whole_numbers_have_no_scores_of_ratings(name: str) -> None:
    found = metric(name)(made())
    assert isinstance(found, Undefined)
    assert found.reason == "labels are not all whole numbers"


def test_pearson_is_the_mean_over_subjects_whose_labels_vary_and_ignores_scale() -> None:
    units = made()
    subjects = [units.subject == f"s{p}" for p in range(5)]
    each = [np.corrcoef(units.score[rows], units.y_true[rows])[0, 1] for rows in subjects]
    assert metric("pearson_within")(units) == pytest.approx(np.mean(each), abs=1e-12)
    assert metric("pearson_within")(replace(units, score=7 - 2 * units.score)) == pytest.approx(-np.mean(each))


def test_ccc_within_recording_is_the_mean_over_recordings_then_subjects() -> None:
    units = made()
    each = []
    for s in [f"s{p}" for p in range(5)]:
        of = [(units.subject == s) & (units.recording == r) for r in np.unique(units.recording[units.subject == s])]
        each.append(np.mean([lin(units.score[at], units.y_true[at]) for at in of if np.ptp(units.y_true[at]) > 0]))
    assert metric("ccc_within_recording")(units) == pytest.approx(np.mean(each), abs=1e-12)
    found = metric("ccc_within_recording")(replace(units, recording=None))
    assert isinstance(found, Undefined)
    assert "recordings" in found.reason


def test_pooled_scores_pay_for_knowing_who() -> None:
    """The mean of each subject's own labels: high in what pools subjects, nothing in what stays inside them."""
    units = made()
    level = {s: units.y_true[units.subject == s].mean() for s in np.unique(units.subject)}
    knowing = replace(units, score=np.array([level[s] for s in units.subject]))
    assert metric("ccc_pooled")(knowing) > 0.9
    for name in ("ccc", "ccc_within_recording", "pearson_within"):
        assert metric(name)(knowing) == 0.0


def test_ccc_is_the_mean_over_subjects_whose_labels_vary() -> None:
    units = made()
    each = [lin(units.score[units.subject == s], units.y_true[units.subject == s]) for s in [f"s{p}" for p in range(5)]]
    assert metric("ccc")(units) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 1e9])
def test_a_constant_gets_exactly_zero(constant: float) -> None:
    for name in ("ccc", "ccc_pooled", "ccc_within_recording", "kappa_quadratic", "pearson_within"):
        units = rated() if name == "kappa_quadratic" else made()
        assert metric(name)(replace(units, score=np.full(len(units), constant))) == 0.0, name


def test_an_answer_of_the_subject_alone_gets_exactly_zero() -> None:
    units = made()
    level = {s: units.y_true[units.subject == s].mean() for s in np.unique(units.subject)}
    assert metric("ccc")(replace(units, score=np.array([level[s] for s in units.subject]))) == 0.0


def test_right_answers_get_one_and_no_error() -> None:
    units = made(level=1e6)
    assert metric("ccc")(replace(units, score=units.y_true)) == pytest.approx(1)
    assert metric("rmse")(replace(units, score=units.y_true)) == 0


def test_labels_that_do_not_vary_are_undefined_and_so_are_such_samples() -> None:
    units = made()
    alone = units.take(units.subject == "s5")
    found = metric("ccc")(alone)
    assert isinstance(found, Undefined)
    assert "vary" in found.reason
    counts = np.zeros((1, 6), int)
    counts[0, 5] = 2
    assert np.isnan(metric("ccc").resample(units, np.unique(units.subject), counts)).all()


def test_rmse_by_hand_and_its_chance() -> None:
    units = made()
    assert metric("rmse")(units) == pytest.approx(np.linalg.norm(units.score - units.y_true) / len(units) ** 0.5)
    best = replace(units, score=np.full(len(units), units.y_true.mean()))
    assert metric("rmse").compute_chance(units) == pytest.approx(metric("rmse")(best))
    assert metric("rmse").direction == "lower"


@pytest.mark.parametrize("name", ALL)
def test_quick_bootstrap_equals_the_slow_one(name: str) -> None:
    units = rated(seed=1) if name in ("kappa_quadratic", "mae_macro") else made(seed=1)
    subjects = np.unique(units.subject)[::-1]
    counts = np.random.default_rng(2).multinomial(len(subjects), np.full(len(subjects), 1 / len(subjects)), 40)
    counts[0] = 1
    counts[1] = 6 * (subjects == "s5")  # whose labels do not vary
    quick = metric(name).resample(units, subjects, counts)
    np.testing.assert_allclose(quick, Metric.resample(metric(name), units, subjects, counts), atol=1e-12)
    assert quick[0] == pytest.approx(metric(name)(units))


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_undefined(name: str) -> None:
    assert isinstance(metric(name)(made().take(np.zeros(0, int))), Undefined)
