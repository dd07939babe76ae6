"""All bundled estimators: missing values, weights, subjects with one class, probabilities, classes, values."""

from __future__ import annotations

import functools
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes IterativeImputer importable)
from sklearn.impute import IterativeImputer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from embench import registry
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import PRESETS
from embench.protocols import load_protocol, make_units
from embench.store import prepare
from embench_plugins.fusions import svm
from embench_plugins.fusions.classical import Boosting, Discriminant, Forest, Lda, LinearSvm, LogReg, Mlp
from embench_plugins.fusions.svm import Svm, _fit_machine, _score_left_out, compute_kernel
from embench_plugins.fusions.tabular import balance_weights, make_preparation

from ...sample import sample

ALL = [LogReg, Svm, LinearSvm, Lda, Forest, Mlp, Boosting]
TREES = (Boosting, Forest)


def cohort(seed: int, n_subjects: int = 8, each: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 6), labels with 30 % positives that shift the first two, and whose rows they are."""
    rng = np.random.default_rng(seed)
    n = n_subjects * each
    y = (rng.random(n) < 0.3).astype(float)
    X = rng.normal(size=(n, 6))
    X[:, :2] += y[:, None]
    X[:, 4] = np.nan  # nobody has it
    X[rng.random((n, 6)) < 0.1] = np.nan
    X[:5] = np.nan  # absent altogether
    return X, y, np.repeat([f"p{i}" for i in range(n_subjects)], each)


def fit(cls: type[Estimator], *, val: bool = True, preset: str = "small") -> Estimator:
    X, y, subjects = cohort(0)
    estimator = cls(cls.recipes[preset], seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.fit(X, y, subjects, np.ones(len(y)), cohort(1)[:2] if val else None)
    return estimator


fitted = functools.cache(fit)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("val", [True, False])
def test_finds_a_planted_effect_among_missing_values(cls: type[Estimator], val: bool) -> None:
    """Two shifts of one SD make an ideal AUROC of Phi(1) = .84; a tenth of the values is missing."""
    X, y, _ = cohort(2)
    score = fitted(cls, val=val).score(X)
    assert score.shape == y.shape
    assert ((score >= 0) & (score <= 1)).all()
    assert roc_auc_score(y, score) > 0.72


@pytest.mark.parametrize("cls", ALL)
def test_balanced_classes_make_a_balanced_decision(cls: type[Estimator]) -> None:
    """With 30 % positives, about as many of either class fall on the right side of one half."""
    X, y, _ = cohort(2)
    decided = fitted(cls).score(X) > 0.5
    recalls = [np.mean(decided[y == 1]), np.mean(~decided[y == 0])]
    assert abs(recalls[0] - recalls[1]) < (0.3 if cls in TREES else 0.2)  # trees overfit their own weights


@pytest.mark.parametrize("cls", ALL)
def test_same_seed_same_scores_also_after_a_round_trip(cls: type[Estimator]) -> None:
    X = cohort(2)[0]
    first, second = fitted(cls), fit(cls)
    np.testing.assert_array_equal(first.score(X), second.score(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).score(X), first.score(X))


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("only", [0.0, 1.0])
def test_one_class_only(cls: type[Estimator], only: float) -> None:
    X, y, subjects = cohort(0)
    estimator = cls(cls.recipes["small"], seed=0)
    estimator.fit(X, np.full_like(y, only), subjects, np.ones(len(y)))
    assert (estimator.score(X) == only).all()


@pytest.mark.parametrize("cls", ALL)
def test_no_feature_at_all(cls: type[Estimator]) -> None:
    _, y, subjects = cohort(0)
    estimator = cls(cls.recipes["small"], seed=0)
    estimator.fit(np.full((len(y), 3), np.nan), y, subjects, np.ones(len(y)))
    assert np.ptp(estimator.score(np.full((4, 3), np.nan))) == 0


@pytest.mark.parametrize("cls", ALL)
def test_weights_reach_the_classifier(cls: type[Estimator]) -> None:
    """Rows of weight (nearly) 0 with turned labels do not turn the answer."""
    X, y, subjects = cohort(0)
    wrong = np.arange(len(y)) % 2 == 0
    turned = np.where(wrong, 1 - y, y)
    estimator = cls(cls.recipes["small"], seed=0)
    estimator.fit(X, turned, subjects, np.where(wrong, 1e-9, 1.0))
    X_test, y_test, _ = cohort(2)
    assert roc_auc_score(y_test, estimator.score(X_test)) > 0.7


def test_balanced_weights_by_hand() -> None:
    np.testing.assert_allclose(balance_weights(np.array([0, 0, 0, 1]), np.ones(4)), [2 / 3, 2 / 3, 2 / 3, 2.0])


def test_val_labels_never_turn_the_svm_around() -> None:
    X, y, subjects = cohort(0)
    X_val, y_val, _ = cohort(1)
    svm = Svm(Svm.recipes["small"], seed=0)
    svm.fit(X, y, subjects, np.ones(len(y)), (X_val, 1 - y_val))
    X_test, y_test, _ = cohort(2)
    assert roc_auc_score(y_test, svm.score(X_test)) > 0.72


def test_svm_is_calibrated_on_unseen_subjects() -> None:
    """Mean probability of validation subjects is their weighted prevalence: one half when balanced."""
    X_val, y_val, _ = cohort(1)
    score = fitted(Svm).score(X_val)
    assert np.mean([score[y_val == 0].mean(), score[y_val == 1].mean()]) == pytest.approx(0.5, abs=0.02)


def test_svm_paper_preset_imputes_from_the_other_features() -> None:
    X, y, _ = cohort(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert roc_auc_score(y, fitted(Svm, preset="paper").score(X)) > 0.72


def test_svm_of_one_subject_has_the_fixed_sigmoid() -> None:
    X, y, _ = cohort(0)
    svm = Svm(Svm.recipes["small"], seed=0)
    svm.fit(X, y, np.full(len(y), "p0"), np.ones(len(y)), (X[:20], np.zeros(20)))
    X_test, y_test, _ = cohort(2)
    assert (svm._model.slope, svm._model.offset) == (1.0, 0.0)  # type: ignore[union-attr]
    assert roc_auc_score(y_test, svm.score(X_test)) > 0.72


@pytest.mark.parametrize("n_subjects", [2, 3])
def test_svm_passes_over_subjects_without_whom_one_class_is_left(n_subjects: int) -> None:
    """Only p0 has positives: nobody can be scored without them, but the others can be with them."""
    X, y, _ = cohort(0)
    subjects = np.where(y == 1, "p0", [f"p{k % n_subjects}" for k in range(len(y))])
    svm = Svm(Svm.recipes["small"], seed=0)
    svm.fit(X, y, subjects, np.ones(len(y)))
    X_test, y_test, _ = cohort(2)
    assert (svm._model.slope, svm._model.offset) == (1.0, 0.0)  # type: ignore[union-attr]
    assert roc_auc_score(y_test, svm.score(X_test)) > 0.72


@pytest.mark.parametrize("one_matrix", [True, False])
def test_svm_leaves_subjects_out_as_scikit_learn_does(*, one_matrix: bool) -> None:
    X, y, subjects = cohort(0)
    rows, machine = np.nan_to_num(X), SVC(gamma="auto")
    weight = np.linspace(0.5, 2.0, len(y))
    fit = functools.partial(_fit_machine, 1.0, rows, compute_kernel(rows, rows) if one_matrix else None, weight)
    requested, unseen = _score_left_out(fit, rows, y, subjects)
    arguments = {"groups": subjects, "cv": GroupKFold(5), "params": {"sample_weight": weight}}
    np.testing.assert_array_equal(requested, np.arange(len(y)))
    theirs = cross_val_predict(machine, rows, y, method="decision_function", **arguments)
    np.testing.assert_allclose(unseen, theirs, rtol=0, atol=1e-12)


def test_decisions_of_an_svm_are_those_of_libsvm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of rows far from all others, and of support vectors themselves."""
    monkeypatch.setattr(svm, "AT_ONCE", 100)
    X, y, _ = cohort(0)
    rows = np.nan_to_num(X)
    machine = SVC(gamma="auto").fit(rows, y)
    new = np.concatenate([np.nan_to_num(cohort(1)[0]), rows[:40], 100 * rows[:40]])
    np.testing.assert_allclose(svm.compute_decisions(machine, new), machine.decision_function(new), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cls", ALL)
def test_a_recipe_for_every_preset(cls: type[Estimator]) -> None:
    assert set(cls.recipes) == set(PRESETS)


@pytest.mark.parametrize("cls", ALL)
def test_score_before_fit_says_so(cls: type[Estimator]) -> None:
    with pytest.raises(RuntimeError, match="before fit"):
        cls(cls.recipes["small"], seed=0).score(np.zeros((1, 2)))


def three(seed: int, n_subjects: int = 8, each: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 6) of three classes of uneven size that lie at the corners of a triangle."""
    rng = np.random.default_rng(seed)
    n = n_subjects * each
    y = rng.choice(3, n, p=[0.6, 0.3, 0.1]).astype(float)
    X = rng.normal(size=(n, 6))
    X[:, :2] += np.array([[0, 0], [2, 0], [1, 2]])[y.astype(int)]
    X[rng.random((n, 6)) < 0.1] = np.nan
    return X, y, np.repeat([f"p{i}" for i in range(n_subjects)], each)


@pytest.mark.parametrize(
    ("cls", "val"), sample([(cls, val) for cls in ALL for val in (True, False)], *((cls, True) for cls in ALL))
)
def test_several_classes(cls: type[Estimator], val: bool) -> None:
    X, y, subjects = three(0)
    estimator = cls(cls.recipes["small"], 0, "classes", 3)
    estimator.fit(X, y, subjects, np.ones(len(y)), three(1)[:2] if val else None)
    X_test, y_test, _ = three(2)
    share = estimator.score(X_test)
    assert share.shape == (len(y_test), 3)
    np.testing.assert_allclose(share.sum(1), 1)
    assert roc_auc_score(y_test, share, multi_class="ovr", average="macro") > 0.8
    # Balanced: the rarest class is decided for about as surely as the others.
    recalls = [np.mean(share[y_test == k].argmax(1) == k) for k in range(3)]
    assert min(recalls) > (0.35 if cls in TREES else 0.5)


@pytest.mark.parametrize(
    ("cls", "lacking"), sample([(cls, k) for cls in ALL for k in range(3)], (LogReg, 0), *((cls, 1) for cls in ALL))
)
def test_a_class_that_nobody_has_in_training_gets_no_probability(cls: type[Estimator], lacking: int) -> None:
    X, y, subjects = three(0)
    there = y != lacking
    estimator = cls(cls.recipes["small"], 0, "classes", 3)
    estimator.fit(X[there], y[there], subjects[there], np.ones(there.sum()), three(1)[:2])
    share = estimator.score(three(2)[0])
    assert share.shape[1] == 3
    assert (share[:, lacking] == 0).all()
    np.testing.assert_allclose(share.sum(1), 1)
    alone = cls(cls.recipes["small"], 0, "classes", 3)
    alone.fit(X, np.full_like(y, lacking), subjects, np.ones(len(y)))
    np.testing.assert_array_equal(alone.score(X[:4]), np.tile(np.eye(3)[lacking], (4, 1)))


def assert_boosting_is_scikit_learns(kind: str, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
    """Every tenth row is held out."""
    train = np.arange(len(y)) % 10 > 0
    settings = {"max_iter": 100, "learning_rate": 0.05, "max_leaf_nodes": 8, "min_samples_leaf": 20}
    made = HistGradientBoostingRegressor if kind == "value" else HistGradientBoostingClassifier
    theirs = made(**settings, early_stopping=False, random_state=0)
    used = weight[train] if kind == "value" else balance_weights(y[train], weight[train])
    theirs.fit(X[train], y[train], sample_weight=used)
    right = theirs.predict(X) if kind == "value" else theirs.predict_proba(X)
    ours = Boosting(Boosting.recipes["small"], 0, kind, len(np.unique(y)) if kind == "classes" else 2)
    ours.fit(X[train], y[train].astype(float), np.repeat("p0", train.sum()), weight[train])
    assert np.ptp(ours.score(X)) > 0.2
    np.testing.assert_array_equal(ours.score(X), right[:, 1] if kind == "binary" else right)


@pytest.mark.parametrize("kind", sample(["binary", "classes", "value"], "binary"))
def test_boosting_is_scikit_learns_to_the_bit(kind: str) -> None:
    """With missing values, ties, and rows that do not count."""
    X, y, _ = three(0, each=60)
    X[:, 3] = np.round(X[:, 3], 1)
    labels = {"binary": (y > 0).astype(int), "classes": y.astype(int), "value": y + np.nan_to_num(X[:, 0])}[kind]
    weight = np.linspace(0.5, 2.0, len(y))
    weight[::9] = 0.0
    assert_boosting_is_scikit_learns(kind, X, labels, weight)


@pytest.mark.slow
@pytest.mark.skipif("EMBENCH_TEST_DATA" not in os.environ, reason="EMBENCH_TEST_DATA names no folder with real data")
def test_boosting_is_scikit_learns_on_real_recordings(tmp_path: Path) -> None:
    """Stress-Predict: mean, SD and range of channels in ten seconds tell the later from the earlier, and subjects."""
    reader = registry.load_plugin("dataset", "stress_predict")

    class Few(reader):  # type: ignore[misc, valid-type]
        def subjects(self) -> list[str]:
            return ["S23", "S27", "S34"]

    rules = load_protocol("subject-independent-v4")
    root = Path(os.environ["EMBENCH_TEST_DATA"]) / "stress_predict"
    store = prepare(Few(root), "tests/few", "1", rate_hz=rules.rate_hz, rules=rules.preprocess, cache=tmp_path)
    units = make_units(store.recordings, Few.card, "condition", rules)
    X = np.full((len(units), 18), np.nan)
    for row, unit in zip(X, units, strict=True):
        found = []
        for name in ("acc", "eda", "ppg", "temp"):
            span = store.recording(unit.recording).spans[name]
            part = store.array(name)[:, span.cut(unit.start, unit.stop, store.modalities[name].rate)]
            found.append(np.concatenate([part.mean(1), part.std(1), np.ptp(part, axis=1)]))
        row[:] = np.concatenate(found)
    assert len(X) > 600
    late = np.array([unit.start_s > 1200 for unit in units]).astype(int)
    assert_boosting_is_scikit_learns("binary", X, late, np.ones(len(X)))
    subject = np.unique([unit.subject for unit in units], return_inverse=True)[1]
    assert_boosting_is_scikit_learns("classes", X, subject, np.ones(len(X)))


def test_balanced_weights_of_three_classes_by_hand() -> None:
    weights = balance_weights(np.array([0, 0, 2, 1]), np.array([1.0, 1.0, 1.0, 2.0]))
    np.testing.assert_allclose(weights, [5 / 6, 5 / 6, 5 / 3, 5 / 3])


def test_lda_by_hand() -> None:
    """Two classes of equal weight at (0, 0) and (2, 0), unit variance: the log odds rise by 2 a unit of the first
    feature and are 0 halfway; three times the weight adds ln 3."""
    square = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    other = square + np.array([2.0, 0.0])
    X, y = np.concatenate([square, other] * 50), np.tile(np.repeat([0, 1], 4), 50)
    points = np.array([[0.0, 3.0], [1.0, -5.0], [2.5, 0.0]])
    share = Discriminant().fit(X, y, np.ones(400)).predict_proba(points)
    np.testing.assert_allclose(np.log(share[:, 1] / share[:, 0]), [-2.0, 0.0, 3.0], rtol=1e-6, atol=1e-9)
    share = Discriminant().fit(X, y, np.where(y == 1, 3.0, 1.0)).predict_proba(points)
    np.testing.assert_allclose(np.log(share[:, 1] / share[:, 0]), np.log(3) + np.array([-2.0, 0.0, 3.0]), rtol=1e-6)


def test_lda_is_scikit_learns_where_rows_are_many() -> None:
    """With many rows the covariance is hardly shrunk."""
    X, y, _ = three(0, each=2500)
    X = np.nan_to_num(X)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(Discriminant().fit(X, y, np.ones(len(y))).predict_proba(X), theirs, atol=0.02)


def test_lda_weights_are_repetitions() -> None:
    X, y, _ = three(0, each=2500)
    X, times = np.nan_to_num(X), 1 + np.arange(len(y)) % 3
    weighted = Discriminant().fit(X, y, times.astype(float)).predict_proba(X)
    repeated = Discriminant().fit(np.repeat(X, times, 0), np.repeat(y, times), np.ones(times.sum())).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=0.01)


def test_mlp_without_hidden_layers_is_linear() -> None:
    """Its log odds are a straight line: the middle of two points has the mean of theirs."""
    X, _, _ = cohort(2)
    X = np.nan_to_num(X)
    score = [fitted(Mlp).score(rows) for rows in (X[:50], X[50:100], (X[:50] + X[50:100]) / 2)]
    low, high, middle = (np.log(s / (1 - s)) for s in score)
    np.testing.assert_allclose(middle, (low + high) / 2, atol=1e-6)


@pytest.mark.slow
def test_mlp_with_hidden_layers_is_not_linear() -> None:
    """Classes by the sign of a product, which no line can tell apart."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(float)
    linear, deep = (Mlp(Mlp.recipes["small"].replace(build={"hidden": hidden}), 0) for hidden in ([], [16]))
    for network in (linear, deep):
        network.fit(X[:400], y[:400], np.arange(400), np.ones(400))
    assert roc_auc_score(y[400:], linear.score(X[400:])) < 0.6
    assert roc_auc_score(y[400:], deep.score(X[400:])) > 0.9


@pytest.mark.parametrize("cls", [Svm, Mlp])
def test_paper_presets_impute_from_the_other_features_and_say_what_is_assumed(cls: type[Estimator]) -> None:
    paper = cls.recipes["paper"]
    assert (paper.build["impute"], paper.build["pca"], paper.class_weight) == ("iterative", 0.95, "none")
    assert {"build.impute", "build.pca"} <= set(paper.assumed)


def steps(*modalities: str, pca: float | None = 0.95) -> list[str]:
    made: Pipeline = make_preparation({"impute": "iterative", "pca": pca}, modalities, 0)
    assert isinstance(made.steps[0][1], IterativeImputer)
    return [name for name, _ in made.steps]


def test_principal_components_only_where_faces_stand_beside_other_signals() -> None:
    plain = ["iterativeimputer", "standardscaler"]
    assert steps("ecg", "eda") == steps("face_au") == steps("face_au", "video") == steps() == plain
    assert steps("ecg", "eda", "face_au") == [*plain, "pca"]
    assert steps("ecg", "face_au", pca=None) == plain


def test_components_keep_the_stated_share_of_variance() -> None:
    """Three independent features of 40 copies each: three components hold all of the variance."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(200, 3)), 40, axis=1) + 1e-3 * rng.normal(size=(200, 120))
    prepared = make_preparation({"impute": "median", "pca": 0.95}, ("ecg", "face_au"), 0).fit(X)
    assert prepared.transform(X).shape == (200, 3)
