"""A head in closed form: scikit-learn's ridge, its penalty and its scale from training subjects alone."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from embench.engine import network
from embench.engine.network import class_weights, fit_scale, probabilities
from embench.interfaces.tokens import OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, ValueScale

RNG = np.random.default_rng
BINARY = Target("t", "binary", LabelRule(), "t")
THREE = Target("t", "classes", LabelRule(), "t", 3)
VALUE = Target("t", "value", LabelRule(), "t")
N, D, PEOPLE = 240, 12, 8


def rows(seed=0, n=N, dim=D):
    """Tokens of uneven size, who they are of, and the weights of rows."""
    rng = RNG(seed)
    X = rng.normal(3, 2, (n, dim)) * 10.0 ** rng.integers(-3, 4, dim)
    return X, rng.integers(0, PEOPLE, n), rng.uniform(0.2, 1, n)


def planted(X, seed=0, strength=2.0):
    Z = (X - X.mean(0)) / X.std(0)
    return strength * Z[:, 0] - strength * Z[:, 3] + RNG(seed).normal(0, 1, len(X))


def fitted(target, X, y, weight, subjects, balanced=False):
    """A head that was fitted, its penalty, and the scores of rows."""
    outputs = OutputSpec((target,), (class_weights(target, y, weight, balanced),))
    scale = None if target.traits.has_classes else ValueScale(1)
    head = network.LinearHead(X.shape[1], outputs.size)
    fit_scale(Model({}, {"eda": TokenSpec(1, X.shape[1])}, scale=scale), outputs, y[:, None], weight)
    penalties = network.fit_head(head, outputs, scale, X, y[:, None], weight, subjects)

    def score(X):
        with torch.no_grad():
            logits = head(Tokens(torch.from_numpy(X).float()[:, None])).logits
            return probabilities(outputs, logits if scale is None else scale(logits)).numpy()

    return head, penalties["t"], score


def by_sklearn(X, y, weight, subjects):
    """The penalty that a search over held-out subjects takes by squared error, and the model that has it."""
    weight = weight / weight.mean()
    scaled = StandardScaler().fit(X, sample_weight=weight)
    errors = []
    for alpha in network.PENALTIES:
        error = 0.0
        for train, test in GroupKFold(5).split(X, groups=subjects):
            model = Ridge(alpha).fit(scaled.transform(X[train]), y[train], sample_weight=weight[train])
            error += weight[test] @ (model.predict(scaled.transform(X[test])) - y[test]) ** 2
        errors.append(error)
    alpha = network.PENALTIES[int(np.argmin(errors))]
    return alpha, make_pipeline(scaled, Ridge(alpha).fit(scaled.transform(X), y, sample_weight=weight))


@pytest.mark.parametrize("dim", [D, 400])  # fewer columns than rows, and more
def test_values_are_those_of_scikit_learn(dim):
    X, subjects, weight = rows(dim=dim)
    y = 50 + 10 * planted(X)
    _, penalty, score = fitted(VALUE, X, y, weight, subjects)
    expected_penalty, expected = by_sklearn(X, (y - y.mean()) / y.std(), weight, subjects)
    assert penalty == expected_penalty
    np.testing.assert_allclose(score(X)[:, 0], expected.predict(X) * y.std() + y.mean(), rtol=1e-3)


def test_classes_are_ordered_as_by_scikit_learn():
    X, subjects, weight = rows()
    y = (planted(X) > 0).astype(float)
    _, penalty, score = fitted(BINARY, X, y, weight, subjects)
    expected_penalty, expected = by_sklearn(X, 2 * y - 1, weight, subjects)
    assert penalty == expected_penalty
    logits = np.log(score(X)[:, 0]) - np.log1p(-score(X)[:, 0])
    assert np.corrcoef(logits, expected.predict(X))[0, 1] > 1 - 1e-6


@pytest.mark.parametrize("target", [BINARY, THREE, VALUE])
def test_what_is_planted_is_found_and_permuted_labels_are_chance(target):
    X, subjects, weight = rows(n=600)
    signal = planted(X)
    y = {"binary": (signal > 0), "classes": np.digitize(signal, [-1, 1]), "value": signal}[target.kind].astype(float)
    known = RNG(1).permutation(600) < 400
    for labels, low, high in ((y, 0.85, 1.0), (RNG(2).permutation(y), 0.4, 0.6)):
        aim = labels > np.median(y) if target.kind == "value" else labels == y.max()
        _, _, score = fitted(target, X[known], labels[known], weight[known], subjects[known])
        assert low <= roc_auc_score(aim[~known], score(X[~known])[:, -1]) <= high


def test_probabilities_are_those_of_held_out_people():
    """A model of 60 columns that all differ by subject is sure of what it has seen; its scale is not."""
    rng = RNG(3)
    subjects = np.repeat(np.arange(10), 20)
    X = rng.normal(0, 1, (10, 60))[subjects] + rng.normal(0, 0.3, (200, 60))
    y = rng.integers(0, 2, 10)[subjects].astype(float)
    _, _, score = fitted(BINARY, X, y, np.ones(200), subjects)
    new = rng.normal(0, 1, (2000, 60)) + rng.normal(0, 0.3, (2000, 60))
    assert np.abs(score(new) - y.mean()).mean() < 0.15
    y = (X[:, 0] > 0).astype(float)
    _, _, score = fitted(BINARY, X, y, np.ones(200), subjects)
    told = score(new)[:, 0]
    for low, high in ((0.0, 0.3), (0.7, 1.0)):
        there = (told >= low) & (told <= high)
        assert there.any()
        assert abs((new[there, 0] > 0).mean() - told[there].mean()) < 0.15


def test_balanced_classes_are_predicted_half_and_half():
    X, subjects, weight = rows(n=600)
    y = (planted(X, strength=0.3) > 1.2).astype(float)
    assert y.mean() < 0.25
    for balanced, low, high in ((False, 0.0, 0.2), (True, 0.3, 0.7)):
        _, _, score = fitted(BINARY, X, y, weight, subjects, balanced)
        assert low < (score(X) > 0.5).mean() < high or not balanced


@pytest.mark.parametrize("target", [BINARY, THREE])
def test_one_class_alone_and_one_subject_alone_make_no_fault(target):
    X, subjects, weight = rows(n=30)
    y = np.zeros(30)
    _, _, score = fitted(target, X, y, weight, subjects)
    first = score(X)[:, 0]
    assert (first < 0.1).all() if target is BINARY else (first > 0.8).all()
    y = (planted(X) > 0).astype(float)
    _, penalty, score = fitted(target, X, y, weight, np.zeros(30))
    assert penalty == network.DEFAULT_PENALTY
    assert roc_auc_score(y, score(X)[:, 0] if target is BINARY else score(X)[:, 1]) > 0.8


def test_missing_labels_and_constant_columns_count_for_nothing():
    X, subjects, weight = rows()
    y = planted(X)
    known = RNG(4).random(N) < 0.5
    one = fitted(VALUE, X[known], y[known], weight[known], subjects[known])
    X = np.concatenate([X, np.full((N, 1), 7.1)], 1)
    half = np.where(known, y, np.nan)
    X[~known, :D] = X[known, :D].mean(0)
    score = fitted(VALUE, X, half, weight, subjects)[2]
    assert np.isfinite(score(X)).all()
    assert np.corrcoef(score(X[known])[:, 0], one[2](X[known, :D])[:, 0])[0, 1] > 0.999


def test_labels_of_chance_leave_scores_that_can_be_told_apart():
    """Under the largest penalty decisions differ by millionths, which single precision would take for one."""
    X, subjects, weight = rows(n=600)
    y = RNG(2).integers(0, 2, 600).astype(float)
    _, _, score = fitted(BINARY, X, y, weight, subjects)
    assert len(np.unique(score(X))) > 590
    assert np.abs(score(X) - 0.5).max() < 0.2
