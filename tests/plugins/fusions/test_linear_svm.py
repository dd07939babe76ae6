"""`linear_svm`: how C is chosen, what its scores are, and that it is quiet."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.svm import LinearSVC

from embench_plugins.fusions import classical
from embench_plugins.fusions.classical import LinearSvm, ScoredSVC, tune

from ...sample import sample

CANDIDATES = LinearSvm.recipes["paper"].build["candidates"]


def people(seed, subjects=10, each=30, classes=3, features=20):
    """Rows whose first features lie apart by class, under noise of the rows and of their subjects."""
    random = np.random.default_rng(seed)
    y, who = np.arange(subjects * each) % classes, np.repeat(np.arange(subjects), each)
    X = random.normal(size=(len(y), features)) + random.normal(size=(subjects, features))[who]
    X[np.arange(len(y)), y] += 1.5
    return X, y.astype(float), np.array([f"p{k}" for k in who])


def fitted(preset, table, kind="classes", classes=3, **build):
    machine = LinearSvm(LinearSvm.recipes[preset].replace(build=build), 0, kind, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        machine.fit(*table, np.ones(len(table[1])))
    return machine


def chosen_c(X, y, who, weight, candidates):
    """The C of the machine that is chosen, 7 where none is."""
    return tune(ScoredSVC(C=7.0, dual=False), "C", candidates, X, y, who, weight).C


def test_twelve_values_of_c():
    np.testing.assert_allclose(CANDIDATES, 10.0 ** np.arange(-5, 1, 0.5))


def test_c_is_chosen_on_subjects_that_are_held_out():
    X, y, who = people(0)
    by_hand = [
        cross_val_score(LinearSVC(C=C, dual=False), X, y, groups=who, cv=GroupKFold(5)).mean() for C in CANDIDATES
    ]
    assert len(set(by_hand)) > 3
    assert chosen_c(X, y, who, np.ones(len(y)), CANDIDATES) == pytest.approx(CANDIDATES[int(np.argmax(by_hand))])


def test_rows_that_are_scored_have_no_part_in_the_choice():
    """The same machine, whatever is asked of it, and whatever the validation subjects are."""
    table, (X, y, _) = people(0), people(1)
    machine = LinearSvm(LinearSvm.recipes["paper"], 0, "classes", 3)
    machine.fit(*table, np.ones(len(table[1])), (X, (y + 1) % 3))
    np.testing.assert_array_equal(machine.score(X), fitted("paper", table).score(X))


def test_with_many_rows_some_choose_and_c_means_the_same(monkeypatch):
    X, y, who = people(0)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    expected = chosen_c(X, y, who, 3 * weight, CANDIDATES)
    monkeypatch.setattr(classical, "MOST_ROWS", len(y))
    thrice = (np.repeat(part, 3, axis=0) for part in (X, y, who, weight))
    assert chosen_c(*thrice, CANDIDATES) == expected


def test_c_is_fixed_where_there_is_nothing_to_choose_by():
    X, y, who = people(0)
    weight = np.ones(len(y))
    assert chosen_c(X, y, np.full(len(y), "p0"), weight, CANDIDATES) == 7.0
    assert chosen_c(X, y, who, weight, []) == 7.0
    of_one_class = (who == "p0").astype(float)
    first_two = np.isin(who, ["p0", "p1"])
    assert chosen_c(X[first_two], of_one_class[first_two], who[first_two], weight[first_two], CANDIDATES) == 7.0


def test_one_subject_is_enough_to_fit():
    X, y, _ = people(0, subjects=1, each=300)
    X_test, y_test, _ = people(0, subjects=1, each=300)
    score = fitted("paper", (X, y, np.full(len(y), "p0"))).score(X_test)
    assert roc_auc_score(y_test, score, multi_class="ovr") > 0.8


@pytest.mark.parametrize("preset", sample(["paper", "small"], "small"))
def test_classes_that_lie_apart_are_told_apart_in_other_subjects(preset):
    X, y, _ = people(1)
    score = fitted(preset, people(0)).score(X)
    np.testing.assert_allclose(score.sum(1), 1)
    assert np.mean(score.argmax(1) == y) > 0.6
    np.testing.assert_array_equal(fitted(preset, people(0)).score(X), score)


def test_scores_are_the_logistic_function_or_softmax_of_the_distances():
    X, y, who = people(0)
    several, two = fitted("small", (X, y, who)), fitted("small", (X, np.minimum(y, 1), who), "binary", 2)
    for machine, rule in ((several, lambda d: softmax(d, axis=1)), (two, expit)):
        model = machine._model
        np.testing.assert_allclose(machine.score(X), rule(model.decision_function(X)))


@pytest.mark.parametrize("preset", sample(["paper", "small"], "small"))
def test_hard_cases_give_no_warnings(preset):
    """Labels by chance, columns of wild scales, constant ones and copies; warnings are errors in `fitted`."""
    random = np.random.default_rng(0)
    X, _, who = people(0)
    X = np.concatenate([X * 1e6, X * 1e-6, np.ones((len(X), 1)), X[:, :3], np.full((len(X), 1), np.nan)], 1)
    score = fitted(preset, (X, random.integers(0, 3, len(X)).astype(float), who), C=100.0).score(X)
    assert np.isfinite(score).all()
