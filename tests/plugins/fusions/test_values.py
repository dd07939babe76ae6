"""The estimators of values: what they find, on every scale of labels, and that nothing is chosen by who is tested."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold, cross_val_score

from embench import registry
from embench.interfaces.fusion import Estimator, TrainingRows
from embench_plugins.fusions.classical import Knn, LinearSvr, Mlp, RidgeRegression, Svr

from ...sample import sample

WITH_CLASSES = {"boosting", "forest", "knn", "mlp"}
ALL = sorted({"ridge", "linear_svr", "svr"} | WITH_CLASSES)
CLASSES_ONLY = ["lda", "linear_svm", "logreg", "naive_bayes", "svm"]


def table(seed: int, subjects: int = 8, each: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 6), values that rise with the first two and hold a level of each subject, and whose rows they
    are."""
    random = np.random.default_rng(seed)
    who = np.repeat([f"p{seed}{k}" for k in range(subjects)], each)
    X = random.normal(size=(len(who), 6))
    y = X[:, 0] - X[:, 1] + np.repeat(random.normal(0, 0.5, subjects), each)
    X[:, 4] = np.nan
    X[random.random(X.shape) < 0.05] = np.nan
    return X, y, who


def fit(name: str, *, preset: str = "small", scale: float = 1.0, offset: float = 0.0) -> Estimator:
    X, y, who = table(0)
    kind = registry.load_plugin("fusion", name)
    estimator: Estimator = kind(kind.recipes[preset], 0, "value")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.fit(X, offset + scale * y, who, np.ones(len(y)), table(1)[:2])
    return estimator


fitted = functools.cache(fit)


def test_names_for_values_and_for_classes() -> None:
    for name in ALL:
        kinds = registry.load_plugin("fusion", name).kinds
        assert kinds == ({"binary", "classes", "value"} if name in WITH_CLASSES else {"value"})
    for name in CLASSES_ONLY:
        assert registry.load_plugin("fusion", name).kinds == {"binary", "classes"}


@pytest.mark.parametrize("name", ALL)
def test_values_of_new_people_are_found_among_missing_ones(name: str) -> None:
    X, y, _ = table(2)
    found = fitted(name).score(X)
    assert found.shape == y.shape
    assert np.corrcoef(found, y)[0, 1] > (0.7 if name == "knn" else 0.8)
    assert abs(found.mean() - y.mean()) < 0.5


LONG = ("boosting", "linear_svr", "mlp")
"""Those that take longest to fit."""


@pytest.mark.parametrize("name", sample(ALL, *(name for name in ALL if name not in LONG)))
def test_the_scale_of_labels_does_not_matter(name: str) -> None:
    """Ratings from 0 to 10 or from -1 to 1: the same predictions on another scale."""
    X = table(2)[0]
    np.testing.assert_allclose(fit(name, scale=50, offset=700).score(X), 700 + 50 * fitted(name).score(X), rtol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_one_value_only(name: str) -> None:
    X, y, who = table(0)
    kind = registry.load_plugin("fusion", name)
    estimator = kind(kind.recipes["small"], 0, "value")
    estimator.fit(X, np.full_like(y, 3.5), who, np.ones(len(y)))
    assert (estimator.score(X) == 3.5).all()


@pytest.mark.parametrize(
    "name", sample([name for name in ALL if name != "knn"], "ridge", "linear_svr", "svr", "forest")
)
def test_weights_reach_the_regressor(name: str) -> None:
    """Rows of weight (nearly) 0 with turned values do not turn the answer."""
    X, y, who = table(0)
    wrong = np.arange(len(y)) % 2 == 0
    kind = registry.load_plugin("fusion", name)
    estimator = kind(kind.recipes["small"].replace(build={"candidates": []}), 0, "value")
    estimator.fit(X, np.where(wrong, -y, y), who, np.where(wrong, 1e-9, 1.0))
    X_test, y_test, _ = table(2)
    assert np.corrcoef(estimator.score(X_test), y_test)[0, 1] > 0.6


def test_what_one_subject_gives_chooses_no_setting() -> None:
    X, y, who = table(0)
    rows = TrainingRows(X, y, who, np.ones(len(y)))
    made = RidgeRegression(RidgeRegression.recipes["small"], 0, "value")
    made.fit(*rows)
    noise = np.random.default_rng(0).normal(size=6)
    own = made.personalise(X[:6], noise, rows, 64.0)
    chosen = own.recipe.build["alpha"]
    assert chosen != made.recipe.build["alpha"]  # on these rows another than the recipe's is best
    by_hand = RidgeRegression(made.recipe.replace(build={"alpha": chosen, "candidates": []}), 0, "value")
    weight = np.r_[rows.weight, np.full(6, 64.0 * len(y) / len(np.unique(who)) / 6)]
    by_hand.fit(np.r_[X, X[:6]], np.r_[y, noise], np.r_[who, ["own"] * 6], weight)
    np.testing.assert_allclose(own.score(X), by_hand.score(X))


@pytest.mark.parametrize("name", sample(["ridge", "linear_svr", "svr", "mlp"], "ridge", "mlp"))
def test_a_feature_that_hardly_varied_in_training_carries_no_prediction_beyond_the_labels(name: str) -> None:
    X, y, who = table(0)
    X[:, 5] = 1e-6 * X[:, 5]
    kind = registry.load_plugin("fusion", name)
    estimator = kind(kind.recipes["small"], 0, "value")
    estimator.fit(X, y, who, np.ones(len(y)))
    X_test = table(2)[0]
    X_test[::2, 5] = 1e6
    found = estimator.score(X_test)
    assert y.min() <= found.min() <= found.max() <= y.max()
    assert np.ptp(found[1::2]) > 1


def test_neighbours_are_at_most_the_training_rows() -> None:
    nearest = Knn(Knn.recipes["small"].replace(build={"neighbours": 50}), 0, "value")
    nearest.fit(np.arange(4.0)[:, None], np.arange(4.0), np.arange(4), np.ones(4))
    np.testing.assert_allclose(nearest.score(np.array([[0.0], [9.0]])), 1.5)


def test_svr_and_mlp_bend_where_linear_ones_cannot() -> None:
    """Values are the square of a feature."""
    random = np.random.default_rng(0)
    X = random.normal(size=(400, 2))
    y = X[:, 0] ** 2
    deep = Mlp(Mlp.recipes["small"].replace(build={"hidden": [32]}), 0, "value")
    linear = RidgeRegression(RidgeRegression.recipes["small"], 0, "value")
    kernel = Svr(Svr.recipes["small"], 0, "value")
    for one in (deep, linear, kernel):
        one.fit(X[:300], y[:300], np.arange(300) // 30, np.ones(300))
    found = {one: np.corrcoef(one.score(X[300:]), y[300:])[0, 1] for one in (deep, linear, kernel)}
    assert found[deep] > 0.8
    assert found[kernel] > 0.8
    assert abs(found[linear]) < 0.5


@pytest.mark.parametrize(
    ("cls", "name"), sample([(RidgeRegression, "alpha"), (LinearSvr, "C")], (RidgeRegression, "alpha"))
)
def test_penalty_is_chosen_on_training_subjects_that_are_held_out(cls: type[Estimator], name: str) -> None:
    """Features that tell only subjects apart predict other rows of known subjects, so that rows held out would choose a
    weaker penalty."""
    random = np.random.default_rng(1)
    who = np.repeat(np.arange(12), 30)
    X = random.normal(size=(12, 10))[who] + random.normal(0, 0.01, (len(who), 10))
    y = random.normal(0, 2, 12)[who] + random.normal(0, 0.1, len(who))
    fitting = cls(cls.recipes["small"], 0, "value")
    fitting.fit(X, y, who, np.ones(len(y)))
    prepare, model = fitting._model  # type: ignore[attr-defined]
    candidates = cls.recipes["small"].build["candidates"]

    def best(splits: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
        by_hand, parts = [], list(splits)
        for value in candidates:
            deep = next(key for key in model.get_params() if key.rpartition("__")[2] == name)
            one = clone(model).set_params(**{deep: value})
            by_hand.append(cross_val_score(one, prepare.transform(X), y, cv=parts).mean())
        return float(candidates[int(np.argmax(by_hand))])

    found = getattr(getattr(model, "regressor_", model), name)
    assert found == best(GroupKFold(5).split(X, y, who)) != best(KFold(5, shuffle=True, random_state=0).split(X))
