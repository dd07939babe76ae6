"""The bundled metrics against scikit-learn, against chance by simulation, and their bootstraps against the slow way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from embench import registry
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.units import Units

NAMES = (
    "accuracy", "auroc", "auroc_within", "balanced_accuracy", "brier", "ece", "f1_macro", "f1_weighted", "mcc",
    "precision_macro", "sensitivity_specificity",
)  # fmt: skip


def made(seed: int = 0, n_subjects: int = 7, classes: int = 2) -> Units:
    """Uneven subjects with a weak signal and tied scores; the last subject has one class only."""
    rng = np.random.default_rng(seed)
    subject = np.repeat([f"s{p}" for p in range(n_subjects)], rng.integers(5, 20, n_subjects))
    n = len(subject)
    y = rng.choice(classes, n, p=np.arange(classes, 0, -1) / np.arange(classes + 1).sum()).astype(float)
    y[subject == f"s{n_subjects - 1}"] = 0
    logits = rng.normal(size=(n, classes)) + 0.8 * np.eye(classes)[y.astype(int)]
    score = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if classes == 2:
        score = np.round(score, 2)
    return Units(
        kind="binary" if classes == 2 else "classes",
        y_true=y,
        score=score[:, 1] if classes == 2 else score,
        decision=score.argmax(1).astype(float),
        subject=subject,
        stimulus=rng.choice(["a", "b"], n),
        start_s=np.arange(n) * 10.0,
        fold=np.zeros(n, int),
        group=subject,
        length_s=10.0,
    )


def metric(name: str) -> Metric:
    return registry.load_plugin("metric", name)()


@pytest.mark.parametrize("classes", [2, 3])
def test_agrees_with_scikit_learn(classes: int) -> None:
    units = made(classes=classes)
    y, decided = units.y_true, units.decision
    onehot = np.eye(classes)[y.astype(int)]
    score = units.score if classes > 2 else np.stack([1 - units.score, units.score], 1)
    expected = {
        "accuracy": sk.accuracy_score(y, decided),
        "balanced_accuracy": sk.balanced_accuracy_score(y, decided),
        "f1_macro": sk.f1_score(y, decided, average="macro"),
        "f1_weighted": sk.f1_score(y, decided, average="weighted"),
        "mcc": sk.matthews_corrcoef(y, decided),
        "precision_macro": sk.precision_score(y, decided, average="macro", zero_division=0),
        "sensitivity_specificity": np.mean(
            [sk.balanced_accuracy_score(y == k, decided == k) for k in range(classes)]  # each against the rest
        ),
        "auroc": np.mean([sk.roc_auc_score(onehot[:, k], score[:, k]) for k in range(classes)]),
        "brier": ((score - onehot) ** 2).sum(1).mean() / 2,
    }
    for name, value in expected.items():
        assert metric(name)(units) == pytest.approx(value), name


def test_auroc_within_is_the_mean_of_subjects_who_have_both_classes() -> None:
    units = made()
    subjects = [s for s in np.unique(units.subject) if len(set(units.y_true[units.subject == s])) > 1]
    each = [sk.roc_auc_score(units.y_true[units.subject == s], units.score[units.subject == s]) for s in subjects]
    assert len(subjects) == 6
    assert metric("auroc_within")(units) == pytest.approx(np.mean(each))


def test_auroc_within_of_several_classes_takes_each_against_the_rest() -> None:
    units = made(classes=3)
    values = []
    for s in np.unique(units.subject):
        mine = units.take(units.subject == s)
        each = [
            sk.roc_auc_score(mine.y_true == k, mine.score[:, k])
            for k in range(3)
            if 0 < (mine.y_true == k).sum() < len(mine)
        ]
        if each:
            values.append(np.mean(each))
    assert metric("auroc_within")(units) == pytest.approx(np.mean(values))


def test_ece_weighs_the_gap_of_each_bin() -> None:
    units = made()
    edges = np.minimum((units.score * 10).astype(int), 9)
    gaps = [
        (edges == b).mean() * abs(units.score[edges == b].mean() - units.y_true[edges == b].mean()) for b in set(edges)
    ]
    assert metric("ece")(units) == pytest.approx(sum(gaps))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_quick_bootstrap_equals_the_slow_one(name: str, classes: int) -> None:
    units = made(seed=1, n_subjects=5, classes=classes)
    subjects = np.unique(units.subject)[::-1]  # in no particular order
    counts = np.random.default_rng(2).multinomial(len(subjects), np.full(len(subjects), 1 / len(subjects)), 40)
    counts[0] = 1
    quick = metric(name).resample(units, subjects, counts)
    slow = Metric.resample(metric(name), units, subjects, counts)
    np.testing.assert_allclose(quick, slow, atol=1e-12)
    assert quick[0] == pytest.approx(metric(name)(units))


@pytest.mark.parametrize(
    "name",
    ["auroc", "auroc_within", "balanced_accuracy", "f1_macro", "mcc", "precision_macro", "sensitivity_specificity"],
)
def test_one_class_only_is_undefined_and_so_are_such_samples(name: str) -> None:
    units = made()
    alone = units.take(units.subject == "s6")
    assert isinstance(metric(name)(alone), Undefined)
    counts = np.zeros((1, 7), int)
    counts[0, 6] = 3
    assert np.isnan(metric(name).resample(units, np.unique(units.subject), counts)).all()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_undefined(name: str) -> None:
    assert isinstance(metric(name)(made().take(np.zeros(0, int))), Undefined)


@pytest.mark.parametrize("name", ["auroc", "auroc_within"])
def test_constant_scores_get_exactly_half(name: str) -> None:
    units = made()
    assert metric(name)(replace(units, score=np.full(len(units), 0.3))) == 0.5


def test_a_score_of_the_subject_alone_gets_exactly_half_within() -> None:
    units = made()
    level = np.unique(units.subject, return_inverse=True)[1] / 7 + 0.01
    assert metric("auroc_within")(replace(units, score=level)) == 0.5


def test_a_method_that_always_decides_alike_has_no_correlation() -> None:
    units = made()
    assert metric("mcc")(replace(units, decision=np.ones(len(units)))) == 0


def test_sensitivity_and_specificity_of_two_classes_by_hand() -> None:
    """3 of 4 highs and 3 of 6 lows are found; 3 of 6 decisions for high and 3 of 4 for low are right."""
    units = made().take(np.arange(10))
    units = replace(units, y_true=np.repeat([1.0, 0.0], [4, 6]), decision=np.array([1, 1, 1, 0, 1, 1, 1, 0, 0, 0.0]))
    assert metric("sensitivity_specificity")(units) == pytest.approx((3 / 4 + 3 / 6) / 2)
    assert metric("precision_macro")(units) == pytest.approx((3 / 6 + 3 / 4) / 2)


def test_a_class_that_is_never_decided_has_no_precision() -> None:
    units = made()
    assert metric("precision_macro")(replace(units, decision=np.zeros(len(units)))) == np.mean(units.y_true == 0) / 2
    assert metric("sensitivity_specificity")(replace(units, decision=np.zeros(len(units)))) == 0.5


@pytest.mark.parametrize("name", ["precision_macro", "sensitivity_specificity"])
@pytest.mark.parametrize("classes", [2, 3])
def test_chance_is_what_random_decisions_get(name: str, classes: int) -> None:
    """Whatever their shares: 40,000 labels of uneven classes, decisions drawn without looking at them."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(classes), [24_000, 12_000, 4_000][:classes]).astype(float)
    units = made(classes=classes)
    score = np.eye(3)[y.astype(int)][:, :classes] if classes > 2 else y
    units = replace(units, y_true=y, score=score)
    for shares in rng.dirichlet(np.full(classes, 5.0), 5):
        decided = replace(units, decision=rng.choice(classes, len(y), p=shares).astype(float))
        assert metric(name)(decided) == pytest.approx(metric(name).compute_chance(decided), abs=0.02)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.3), (0.95, 0.05), (0.5, 0.45, 0.05)])
def test_chance_of_f1_weighted_is_the_best_of_all_random_decisions(shares: tuple[float, ...]) -> None:
    k = len(shares)
    y = np.repeat(np.arange(k), np.round(np.array(shares) * 1000).astype(int)).astype(float)
    units = replace(made(classes=max(k, 2)), y_true=y, decision=y)
    if k > 2:
        units = replace(units, score=np.eye(k)[y.astype(int)])
    rng = np.random.default_rng(0)
    mixes = rng.dirichlet(np.full(k, 0.5), 4000)
    p = np.array(shares)
    tried = (2 * p**2 * mixes / (p + mixes)).sum(1).max()
    chance = metric("f1_weighted").compute_chance(units)
    assert chance >= tried - 1e-9
    assert chance == pytest.approx(tried, abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_chance_lies_in_the_range(name: str) -> None:
    low, high = metric(name).range
    assert low <= metric(name).compute_chance(made()) <= high
