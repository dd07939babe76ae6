"""Parameters and operations of fitted estimators, against what is counted by hand."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from embench.engine.fits import measure_size
from embench.registry import load_plugin

ROWS, FEATURES = 60, 5


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, FEATURES))
    return X, (X[:, 0] + 0.5 * rng.normal(size=ROWS) > 0).astype(int)


class Holder:
    """An estimator as a plugin has it: models among its attributes."""

    def __init__(self, **held):
        self.__dict__.update(held)


def test_linear_models_have_a_weight_a_feature_and_an_offset(made):
    model = LogisticRegression().fit(*made)
    assert measure_size(Holder(model=model, seed=3, recipe={"C": 1.0})) == (FEATURES + 1, 2 * (FEATURES + 1))


def test_what_stands_before_the_model_counts_too(made):
    alone, _ = measure_size(Holder(model=LogisticRegression().fit(*made)))
    whole, _ = measure_size(Holder(model=make_pipeline(StandardScaler(), LogisticRegression()).fit(*made)))
    assert whole == alone + 3 * FEATURES  # mean, variance, scale


def test_layers(made):
    model = MLPClassifier((7, 3), max_iter=5).fit(*made)
    weights = FEATURES * 7 + 7 * 3 + 3 * 1 + 7 + 3 + 1
    assert measure_size(Holder(models=[model])) == (weights, 2 * weights)


def test_support_vectors(made):
    model = SVC().fit(*made)
    vectors = len(model.support_)
    count, operations = measure_size(Holder(model=model))
    kept = vectors * FEATURES + vectors + 1  # vectors, their weights, the offset
    assert kept <= count <= kept + 2  # and the classes' weights
    assert operations == 2 * count + vectors * FEATURES


def test_trees(made):
    forest = RandomForestClassifier(4, max_depth=3, random_state=0).fit(*made)
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    depth = sum(tree.get_depth() for tree in forest.estimators_)
    assert measure_size(Holder(model=forest)) == (nodes, depth + 4)
    boosted = HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4, min_samples_leaf=5).fit(*made)
    count, operations = measure_size(Holder(model=boosted))
    assert 3 <= count <= 3 * 7  # a tree of four leaves has seven nodes
    assert 3 <= operations <= 3 * (3 + 1)


def test_what_is_not_known_is_not_guessed():
    assert measure_size(Holder(table={"a": 1})) == (None, None)


@pytest.mark.parametrize("name", ["logreg", "svm", "linear_svm", "lda", "forest", "boosting", "mlp"])
def test_every_bundled_estimator_is_counted(made, name):
    kind = load_plugin("fusion", name)
    estimator = kind(kind.recipes["quick"], 0, modalities=("ecg",))
    X, y = made
    estimator.fit(X, y, np.arange(ROWS) % 6, np.ones(ROWS))
    count, operations = measure_size(estimator)
    assert count >= (2 * FEATURES if name not in ("forest", "boosting") else 100)
    assert operations > 0
