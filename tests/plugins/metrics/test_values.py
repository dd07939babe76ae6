"""`ccc` and `rmse`: published numbers, direct formulas, what a constant gets, and their bootstraps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embench import registry
from embench.interfaces.agreement import concordance
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.units import Units

WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
"""Peak flow of 17 people by two meters, first measurements (Bland and Altman 1986, table 1)."""


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
    )


def metric(name: str) -> Metric:
    return registry.load("metric", name)()


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


def test_ccc_is_the_mean_over_subjects_whose_labels_vary() -> None:
    units = made()
    each = [lin(units.score[units.subject == s], units.y_true[units.subject == s]) for s in [f"s{p}" for p in range(5)]]
    assert metric("ccc")(units) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 1e9])
def test_a_constant_gets_exactly_zero(constant: float) -> None:
    units = made()
    assert metric("ccc")(replace(units, score=np.full(len(units), constant))) == 0.0


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
    assert "labels vary" in found.reason
    counts = np.zeros((1, 6), int)
    counts[0, 5] = 2
    assert np.isnan(metric("ccc").resampled(units, np.unique(units.subject), counts)).all()


def test_rmse_by_hand_and_its_chance() -> None:
    units = made()
    assert metric("rmse")(units) == pytest.approx(np.linalg.norm(units.score - units.y_true) / len(units) ** 0.5)
    best = replace(units, score=np.full(len(units), units.y_true.mean()))
    assert metric("rmse").chance(units) == pytest.approx(metric("rmse")(best))
    assert metric("rmse").direction == "lower"


@pytest.mark.parametrize("name", ["ccc", "rmse"])
def test_quick_bootstrap_equals_the_slow_one(name: str) -> None:
    units = made(seed=1)
    subjects = np.unique(units.subject)[::-1]
    counts = np.random.default_rng(2).multinomial(len(subjects), np.full(len(subjects), 1 / len(subjects)), 40)
    counts[0] = 1
    quick = metric(name).resampled(units, subjects, counts)
    np.testing.assert_allclose(quick, Metric.resampled(metric(name), units, subjects, counts), atol=1e-12)
    assert quick[0] == pytest.approx(metric(name)(units))


@pytest.mark.parametrize("name", ["ccc", "rmse"])
def test_nothing_is_undefined(name: str) -> None:
    assert isinstance(metric(name)(made().take(np.zeros(0, int))), Undefined)
