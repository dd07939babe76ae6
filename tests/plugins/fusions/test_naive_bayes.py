"""Fisher's criterion chooses features as by hand, and a rule that keeps none keeps the best."""

import numpy as np
import pytest

from embench_plugins.fusions.classical import Fisher, NaiveBayes

Y = np.array([0, 0, 1, 1])
X = np.array([[0.0, 1.0, 5.0], [2.0, 0.0, 5.0], [4.0, 1.0, 5.0], [6.0, 0.5, 5.0]])
"""Means 1 and 5 with variances of 1: 4 / 2. Means .5 and .75, variances .25 and .0625: .8. A constant: 0."""


def test_the_criterion_by_hand():
    assert Fisher(0.3).fit(X, Y).kept_.tolist() == [0, 1]
    assert Fisher(1.0).fit(X, Y).kept_.tolist() == [0]
    assert Fisher(5.0).fit(X, Y).kept_.tolist() == [0]
    assert Fisher(0.3).fit(np.ones((4, 2)), Y).transform(X).shape == (4, 1)


def test_features_without_a_difference_do_not_blur_the_classes():
    random = np.random.default_rng(0)
    y = np.arange(60) % 2
    rows = random.standard_normal((60, 200))
    rows[:, 7] += 3 * y

    def accuracy(fisher):
        machine = NaiveBayes(NaiveBayes.recipes["paper"].replace(build={"fisher": fisher}), 0)
        machine.fit(rows[:40], y[:40], np.arange(40) // 4, np.ones(40))
        return np.mean((machine.score(rows[40:]) > 0.5) == y[40:])

    assert accuracy(0.3) > accuracy(None) + 0.05


def test_where_no_feature_varies_the_shares_of_the_classes_are_left():
    """As with one unit of each subject, which its own mean and SD make zero."""
    machine = NaiveBayes(NaiveBayes.recipes["paper"], 0)
    machine.fit(np.zeros((3, 5)), np.array([0, 0, 1]), np.arange(3), np.ones(3))
    assert machine.score(np.array([np.zeros(5), np.ones(5)])).tolist() == pytest.approx([1 / 3, 1 / 3], abs=1e-5)
