"""Estimators of scikit-learn on tables of features, each described by a `ModelRow` for classes, continuous targets or
both.

Linear support vector regression and ridge regression are the baselines of AVEC 2018 (Ringeval et al. 2018, doi
10.1145/3266302.3266316), as in the code of its sub-challenge GES. `linear_svm` is the baseline of Chen et al. 2023
(`chen2023`). `mlp` and `knn` are methods of the StressID code, `mlp` also of Strizhkova et al. 2024 (`strizhkova2024`).
`naive_bayes` is the method of the AMIGOS authors. If all training labels are equal, that label is predicted
(`Tabular`).

For continuous targets, class weights do not apply. `ridge`, `linear_svr`, `svr` and `mlp` are fitted to labels
standardised over the training rows, so that C, epsilon and learning rates mean the same on every scale. Their
predictions are clipped to the range of the training labels (`LabelScale`). A setting with candidates is chosen by
scores on training subjects, each left out once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.covariance import ledoit_wolf
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR, LinearSVC, LinearSVR
from sklearn.utils.validation import has_fit_parameter

from embench.interfaces.binning import assign_bins, find_bin_thresholds
from embench.interfaces.recipe import Recipe
from embench_plugins.fusions.tabular import Tabular, make_preparation

HELD_OUT_IN_TURN = 5
"""Number of groups of training subjects, each left out once to choose a setting."""
MOST_ROWS = 10_000
"""Most rows, evenly spaced, that are used to choose a setting."""
_MEDIANS: Mapping[str, Any] = {"impute": "median", "pca": None}


@dataclass(frozen=True)
class ModelRow:
    """Description of one estimator.

    Args:
        small: the recipe of the presets `small` and `quick`, and of `paper` if `paper` is None.
        paper: the recipe of the preset `paper`, if it differs.
        classes: a scikit-learn class with `predict_proba`, None if the estimator is for continuous targets only.
        values: a scikit-learn class with `predict`, None if the estimator is for classes only.
        build: argument of both scikit-learn classes -> the key of a recipe's `build` with its value.
        fixed: further arguments. `random_state` is the stage's seed.
        tuned: the argument that is chosen among the recipe's `candidates`, None if there is none.
        prepare: preparation of features: `standardise` imputes and standardises, by medians unless the recipe names
            another imputation; `impute` imputes medians; `keep` keeps missing values, which trees can split by.
        mean_weight: True to scale weights to a mean of 1.
        standard_labels: True to fit continuous targets on the scale of `LabelScale`.
    """

    small: Recipe
    paper: Recipe | None = None
    classes: Any = None
    values: Any = None
    build: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    tuned: str | None = None
    prepare: Literal["standardise", "impute", "keep"] = "standardise"
    mean_weight: bool = False
    standard_labels: bool = False

    @property
    def target_kinds(self) -> frozenset[str]:
        """Kinds of targets that the estimator predicts."""
        return frozenset([*(("binary", "classes") if self.classes else ()), *(("value",) if self.values else ())])

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        """A recipe for each preset."""
        return {"paper": self.paper or self.small, "small": self.small, "quick": self.small}

    def make_model(self, kind: Any, recipe: Recipe, seed: int, rows: int) -> BaseEstimator:
        """Return an unfitted model of the scikit-learn class `kind` for `rows` training rows. Settings are converted to
        their types in the recipe `small`."""
        settings = {name: type(self.small.build[key])(recipe.build[key]) for name, key in self.build.items()}
        if "n_neighbors" in settings:  # at most as many as there are rows
            settings["n_neighbors"] = min(settings["n_neighbors"], rows)
        model = kind(**settings, **self.fixed)
        return model.set_params(random_state=seed) if "random_state" in model.get_params() else model

    def make_transformer(self, X: np.ndarray, recipe: Recipe, modalities: tuple[str, ...], seed: int) -> Any:
        """Return an unfitted transformer that prepares training rows `X` (n, features)."""
        if self.prepare == "keep":
            return FunctionTransformer(zero_empty, kw_args={"known": np.isfinite(X).any(0)})
        if self.prepare == "impute":
            return SimpleImputer(strategy="median", keep_empty_features=True)
        return make_preparation({**_MEDIANS, **recipe.build}, modalities, seed)


class Classical(Tabular):
    """Base class of the estimators. Each subclass has a `row`, from which its `kinds` and `recipes` follow."""

    row: ClassVar[ModelRow]
    _chosen: Any = None

    def __init_subclass__(cls) -> None:
        if "row" in vars(cls):
            cls.kinds, cls.recipes = cls.row.target_kinds, cls.row.recipes

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """Return the model that `row` describes, fitted to prepared features. `val` is not used."""
        row = self.row
        kind = row.values if self.kind == "value" else row.classes
        model = row.make_model(kind, self.recipe, self.seed, len(X))
        if self.kind == "value" and row.standard_labels:
            model = TransformedTargetRegressor(model, transformer=LabelScale())
        prepare = row.make_transformer(X, self.recipe, self.modalities, self.seed)
        rows = prepare.fit_transform(X)
        if row.tuned:
            model = tune(model, row.tuned, self.recipe.build["candidates"], rows, y, subjects, weight)
            self._chosen = model.get_params()[_name_setting(model, row.tuned)]
        used = weight / weight.mean() if row.mean_weight else weight
        arguments = {"sample_weight": used} if has_fit_parameter(kind, "sample_weight") else {}
        return make_pipeline(prepare, model.fit(rows, y, **arguments))

    def make_unfitted(self) -> Self:
        """Return a new estimator with the setting that was chosen; see `Estimator`."""
        if self._chosen is None:
            return super().make_unfitted()
        build = {**self.recipe.build, self.row.build[str(self.row.tuned)]: self._chosen, "candidates": []}
        recipe = replace(self.recipe, build=build)
        return type(self)(recipe, self.seed, self.kind, self.classes, self.modalities)


def tune(
    model: BaseEstimator,
    setting: str,
    candidates: list[float],
    rows: np.ndarray,
    y: np.ndarray,
    subjects: np.ndarray,
    weight: np.ndarray,
) -> BaseEstimator:
    """Return `model`, not fitted, with the candidate that scores highest on left-out training subjects: by accuracy, or
    R2 for continuous targets. The smallest of equally good candidates is chosen. The model is unchanged without
    candidates, or if there are too few subjects to leave some out.

    Args:
        setting: name of the argument to choose.
        rows, y, subjects, weight: (n, features), (n,), (n,), (n,) training rows. If there are more than `MOST_ROWS`,
            only some are used, with weights scaled up to the same sum, so that a setting has the same effect.
    """
    step = -(-len(y) // MOST_ROWS)
    rows, y, subjects, weight = rows[::step], y[::step], subjects[::step], weight[::step] * step
    parts = min(HELD_OUT_IN_TURN, len(np.unique(subjects)))
    if not candidates or parts < 2:
        return model
    splits = [(train, test) for train, test in GroupKFold(parts).split(rows, y, subjects) if np.ptp(y[train]) > 0]
    if not splits:
        return model
    name = _name_setting(model, setting)
    search = GridSearchCV(model, {name: sorted(candidates)}, cv=splits, refit=False)
    search.fit(rows, y, sample_weight=weight)
    return clone(model).set_params(**search.cv_results_["params"][search.best_index_])


def _name_setting(model: BaseEstimator, setting: str) -> str:
    """Return the full name of a setting, which may belong to an inner model."""
    return next(name for name in model.get_params() if name.rpartition("__")[2] == setting)


def zero_empty(X: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return `X` (n, features) with 0 in the columns that are not `known` (features,), since scikit-learn cannot bin
    columns without values in training."""
    return np.where(known, X, 0.0)


class LabelScale(StandardScaler):
    """Standardised labels. Predictions are clipped to the range of the training labels: with few subjects a feature may
    hardly vary in training, and then lead a linear model far off for a new subject."""

    def fit(self, y: np.ndarray) -> LabelScale:
        """Fit the scale to labels `y` (n, 1); returns itself."""
        self.low_, self.high_ = y.min(), y.max()
        super().fit(y)
        return self

    def inverse_transform(self, y: np.ndarray) -> np.ndarray:
        """Return labels (n, 1) for standardised labels."""
        return np.clip(super().inverse_transform(y), self.low_, self.high_)


class Discriminant(BaseEstimator):
    """Linear discriminant analysis with weighted rows, which scikit-learn's does not support. The covariance within
    classes is shrunk (Ledoit and Wolf 2004, doi 10.1016/S0047-259X(03)00096-4), because features are many and subjects
    few."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> Discriminant:
        """Fit classes `y` (n,) to rows `X` (n, features) without NaN, weighted by `sample_weight` (n,); return
        itself."""
        self.classes_, code = np.unique(y, return_inverse=True)
        class_weights = np.eye(len(self.classes_))[code] * (sample_weight / sample_weight.sum())[:, None]  # (n, K)
        prior = class_weights.sum(0)
        mean = class_weights.T @ X / prior[:, None]
        within = (X - mean[code]) * np.sqrt(sample_weight / sample_weight.mean())[:, None]
        covariance = ledoit_wolf(within, assume_centered=True)[0]
        # lstsq ignores constant columns, where a solver would fail.
        self.slope = np.linalg.lstsq(covariance, mean.T, rcond=None)[0]
        self.offset = np.log(prior) - 0.5 * (mean.T * self.slope).sum(0)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, K) probabilities of `classes_`."""
        return np.asarray(softmax(X @ self.slope + self.offset, axis=1))


class ScoredSVC(LinearSVC):
    """A linear support vector machine for each class against the rest, whose distances become scores that sum to 1."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, K) scores of `classes_`: the softmax of the distances from the classes' planes. For two classes,
        that is the logistic function of the one distance."""
        distance = self.decision_function(X)
        if distance.ndim == 1:
            distance = np.stack([np.zeros(len(distance)), distance], 1)
        return np.asarray(softmax(distance, axis=1))


class LogReg(Classical):
    """L2-regularised logistic regression with inverse strength `C`."""

    row = ModelRow(
        Recipe(class_weight="balanced", build={"C": 1.0}),
        classes=LogisticRegression,
        build={"C": "C"},
        fixed={"max_iter": 2000},
    )


class RidgeRegression(Classical):
    """Linear regression with the L2 penalty `alpha` (Hoerl and Kennard 1970, doi 10.1080/00401706.1970.10488634). Of
    `candidates`, the penalty with the highest R2 on left-out training subjects is chosen. `alpha` is used without
    candidates, or with a single training subject. AVEC 2018 chooses by the score on its development set."""

    row = ModelRow(
        Recipe(build={"alpha": 100.0, "candidates": [10.0**k for k in range(7)]}),
        values=Ridge,
        build={"alpha": "alpha"},
        tuned="alpha",
        standard_labels=True,
    )


class Lda(Classical):
    """Linear discriminant analysis: normally distributed classes with one shared, shrunk covariance."""

    row = ModelRow(Recipe(class_weight="balanced"), classes=Discriminant)


_LINEAR_SVM = Recipe(class_weight="balanced", build={"C": 0.01, "candidates": []})


class LinearSvm(Classical):
    """Linear support vector machine with squared hinge loss (`chen2023`, for whose features the small `C` was chosen),
    solved in the primal by Newton steps, without random numbers. Its scores rank units and are not calibrated
    probabilities.

    Of `candidates`, the `C` with the highest accuracy on left-out training subjects is chosen, as in one analysis of
    Gerster et al. 2026 (`gerster2026`). The code of `chen2023` chooses one of twelve by the scores of the test fold.
    """

    row = ModelRow(
        _LINEAR_SVM,
        _LINEAR_SVM.replace(
            class_weight="none", build={"candidates": [10 ** (k / 2) for k in range(-10, 2)]}, assumed=("build.C",)
        ),
        classes=ScoredSVC,
        build={"C": "C"},
        fixed={"dual": False},
        tuned="C",
    )


class LinearSvr(Classical):
    """Linear support vector regression with squared loss and an epsilon of 0, solved in the primal: the minimum that
    the dual solver of AVEC 2018 approaches. `candidates` span the range of AVEC 2018. The `C` with the highest R2 on
    left-out training subjects is chosen; AVEC 2018 chooses by the CCC on its development set. `C` is used without
    candidates, or with a single training subject."""

    row = ModelRow(
        Recipe(build={"C": 0.01, "candidates": [10 ** (k / 2) for k in range(-10, 1)]}),
        values=LinearSVR,
        build={"C": "C"},
        fixed={"dual": False, "loss": "squared_epsilon_insensitive"},
        tuned="C",
        standard_labels=True,
    )


class Svr(Classical):
    """Support vector regression with a radial kernel (Smola and Schölkopf 2004, doi
    10.1023/B:STCO.0000035301.49549.88), the counterpart of `svm` for continuous targets. Gamma is 1 / (number of
    features), epsilon a tenth of the labels' SD."""

    row = ModelRow(
        Recipe(build={"C": 1.0}),
        values=SVR,
        build={"C": "C"},
        fixed={"gamma": "auto", "epsilon": 0.1, "cache_size": 500},
        standard_labels=True,
    )


class Forest(Classical):
    """Random forest of `trees` trees (Breiman 2001, doi 10.1023/A:1010933404324) with at least `least` rows in a
    leaf."""

    row = ModelRow(
        Recipe(class_weight="balanced", build={"trees": 100, "least": 10}),
        classes=RandomForestClassifier,
        values=RandomForestRegressor,
        build={"n_estimators": "trees", "min_samples_leaf": "least"},
        prepare="impute",
    )


class Binned:
    """Boosted trees of scikit-learn, fitted to the bins of values: the same trees, much faster."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> Self:
        """Fit the trees to rows `X` (n, features), NaN where unknown, and `y` (n,) weighted by `sample_weight` (n,);
        returns itself."""
        self._thresholds = find_bin_thresholds(X, sample_weight)
        return super().fit(assign_bins(X, self._thresholds), y, sample_weight=sample_weight)  # type: ignore[misc]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) values or classes."""
        return np.asarray(super().predict(assign_bins(X, self._thresholds)))  # type: ignore[misc]


class BinnedRegressor(Binned, HistGradientBoostingRegressor):
    """Boosted trees for continuous targets."""


class BinnedClassifier(Binned, HistGradientBoostingClassifier):
    """Boosted trees for classes."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, K) probabilities of `classes_`."""
        return np.asarray(super().predict_proba(assign_bins(X, self._thresholds)))


class Boosting(Classical):
    """Gradient boosting: `trees` trees of at most `leaves` leaves with at least `least` rows each. Missing values have
    a branch of their own. Its small trees and small steps were chosen on validation subjects of stress_predict. It does
    not stop early, since scikit-learn's early stopping would hold out rows of training subjects."""

    row = ModelRow(
        Recipe(class_weight="balanced", build={"trees": 100, "lr": 0.05, "leaves": 8, "least": 20}),
        classes=BinnedClassifier,
        values=BinnedRegressor,
        build={
            "max_iter": "trees",
            "learning_rate": "lr",
            "max_leaf_nodes": "leaves",
            "min_samples_leaf": "least",
        },
        fixed={"early_stopping": False},
        prepare="keep",
    )


_KNN = Recipe(build={"neighbours": 3, **_MEDIANS})


class Knn(Classical):
    """Proportions of classes, or mean of values, among the `neighbours` nearest rows (3, as in the StressID code; fewer
    if there are fewer rows). Every neighbour counts the same: class weights do not apply."""

    row = ModelRow(
        _KNN,
        _KNN.replace(build={"impute": "iterative", "pca": 0.95}),
        classes=KNeighborsClassifier,
        values=KNeighborsRegressor,
        build={"n_neighbors": "neighbours"},
    )


_MLP = Recipe(class_weight="balanced", build={"hidden": [], "iterations": 5000, **_MEDIANS})


class Mlp(Classical):
    """Multilayer perceptron with `hidden`, the widths of its hidden layers, and at most `iterations` passes over the
    rows. The classical methods of `strizhkova2024` by the StressID code have no hidden layer: a linear model fitted by
    Adam until the loss is constant. Not followed, since the paper does not mention it: that code adds synthetic rows of
    the rarer class (SMOTE)."""

    row = ModelRow(
        _MLP,
        _MLP.replace(
            class_weight="none",
            build={"impute": "iterative", "pca": 0.95},
            assumed=("class_weight", "build.hidden", "build.iterations", "build.impute", "build.pca"),
        ),
        classes=MLPClassifier,
        values=MLPRegressor,
        build={"hidden_layer_sizes": "hidden", "max_iter": "iterations"},
        mean_weight=True,
        standard_labels=True,
    )  # fmt: skip


_NAIVE_BAYES = Recipe(class_weight="balanced", build={"fisher": 0.3, "impute": "median", "pca": None})


class NaiveBayes(Tabular):
    """Gaussian naive Bayes after imputation and standardising, on features whose Fisher criterion exceeds `fisher`
    (None: all)."""

    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": _NAIVE_BAYES.replace(class_weight="none", assumed=("class_weight", "build.impute")),
        "small": _NAIVE_BAYES,
        "quick": _NAIVE_BAYES,
    }

    def fitted(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None,
    ) -> BaseEstimator:
        """Return the normal distributions of `X` (n, features) in each class. `subjects` and `val` are not used."""
        build = self.recipe.build
        steps = [make_preparation(build, self.modalities, self.seed)]
        if build["fisher"] is not None:
            steps.append(Fisher(float(build["fisher"])))
        model = make_pipeline(*steps, GaussianNB()).fit(X, y, gaussiannb__sample_weight=weight)
        # scikit-learn's least variance is a fraction of the largest, which is 0 if all features are constant.
        model[-1].var_ = np.maximum(model[-1].var_, 1e-12)
        return model


class Fisher(TransformerMixin, BaseEstimator):
    """Keep the features whose Fisher criterion exceeds `least` for any two classes, or the best feature if there is
    none. The criterion is the distance of the two means over the sum of the two variances (Miranda-Correa et al.
    2021)."""

    def __init__(self, least: float) -> None:
        self.least = least

    def fit(self, X: np.ndarray, y: np.ndarray) -> Fisher:
        """Choose among the columns of `X` (n, features) by the classes `y` (n,); returns itself."""
        groups = [X[y == k] for k in np.unique(y)]
        criteria = [
            np.abs(a.mean(0) - b.mean(0)) / np.maximum(a.var(0) + b.var(0), 1e-12) for a, b in combinations(groups, 2)
        ]
        criterion = np.max(criteria, axis=0)
        chosen = np.flatnonzero(criterion > self.least)
        self.kept_ = chosen if len(chosen) else np.array([criterion.argmax()])
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the chosen columns of `X` (n, features)."""
        return X[:, self.kept_]
