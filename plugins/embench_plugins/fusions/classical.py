"""Estimators of scikit-learn on features as one table: a row holds a model for classes, one for values, or both.

Which of them the field uses for values: linear support vector regression and ridge regression are the baselines of AVEC
2018 (Ringeval et al. 2018, doi 10.1145/3266302.3266316), by the code of its sub-challenge GES. `linear_svm` is the
baseline of Chen et al. 2023 (`chen2023`); `mlp` and `knn` are rows of the StressID code, `mlp` also of Strizhkova et
al. 2024 (`strizhkova2024`). Where all training rows have one label, that is predicted (`Tabular`).

For values, class weights do not apply. `ridge`, `linear_svr`, `svr` and `mlp` are fitted to labels standardised by the
training rows, so that C, epsilon and learning rates mean the same on every scale, and their predictions are cut at the
lowest and highest training label (`LabelScale`). A setting that is chosen by scores is chosen on training subjects held
out in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
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
"""Number of parts of the subjects, of which each is held out once where a setting is chosen."""
MOST_ROWS = 10_000
"""Number of rows, evenly spaced, that are enough to choose a setting."""
_MEDIANS: Mapping[str, Any] = {"impute": "median", "pca": None}


@dataclass(frozen=True)
class ModelRow:
    """A row of the table.

    Args:
        small: recipe of `small` and `quick`, and of `paper` where that is None.
        paper: recipe of `paper`.
        classes: a scikit-learn class with `predict_proba`, None where the row is for values only.
        values: a scikit-learn class with `predict`, None where the row is for classes only.
        build: argument of both classes -> the key of a recipe's `build` that gives it.
        fixed: further arguments. `random_state` is the stage's seed.
        tuned: the argument that is chosen among the recipe's `candidates`, None where none is.
        prepare: how rows are made fit: `standardise` by `preparing`, with medians unless the recipe says otherwise;
            `impute` medians alone; `keep` missing values, which trees split by.
        mean_weight: weights are scaled to a mean of 1.
        standard_labels: values are fitted on the scale of `LabelScale`.
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
        """Kinds of targets that the row's models predict."""
        return frozenset([*(("binary", "classes") if self.classes else ()), *(("value",) if self.values else ())])

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        """A recipe for each preset."""
        return {"paper": self.paper or self.small, "small": self.small, "quick": self.small}

    def model(self, made: Any, recipe: Recipe, seed: int, rows: int) -> BaseEstimator:
        """Return an unfitted model of the class `made` for a number of training rows. A setting's type is its type in
        the row's recipe."""
        settings = {name: type(self.small.build[key])(recipe.build[key]) for name, key in self.build.items()}
        if "n_neighbors" in settings:  # no more of them than there are
            settings["n_neighbors"] = min(settings["n_neighbors"], rows)
        model = made(**settings, **self.fixed)
        return model.set_params(random_state=seed) if "random_state" in model.get_params() else model

    def preparation(self, X: np.ndarray, recipe: Recipe, modalities: tuple[str, ...], seed: int) -> Any:
        """Return the transformer that is fitted to training rows `X` (n, features)."""
        if self.prepare == "keep":
            return FunctionTransformer(zero_empty, kw_args={"known": np.isfinite(X).any(0)})
        if self.prepare == "impute":
            return SimpleImputer(strategy="median", keep_empty_features=True)
        return make_preparation({**_MEDIANS, **recipe.build}, modalities, seed)


class Classical(Tabular):
    """An estimator of the table: `row` is its row, which decides `kinds` and `recipes`."""

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
        """Return the row's model, fitted to prepared rows. Args as in `Estimator.fit`; `val` is not used."""
        row = self.row
        made = row.values if self.kind == "value" else row.classes
        model = row.model(made, self.recipe, self.seed, len(X))
        if self.kind == "value" and row.standard_labels:
            model = TransformedTargetRegressor(model, transformer=LabelScale())
        prepare = row.preparation(X, self.recipe, self.modalities, self.seed)
        rows = prepare.fit_transform(X)
        if row.tuned:
            model = tune(model, row.tuned, self.recipe.build["candidates"], rows, y, subjects, weight)
            self._chosen = model.get_params()[_name_setting(model, row.tuned)]
        used = weight / weight.mean() if row.mean_weight else weight
        arguments = {"sample_weight": used} if has_fit_parameter(made, "sample_weight") else {}
        return make_pipeline(prepare, model.fit(rows, y, **arguments))

    def make_unfitted(self) -> Self:
        """Return a new estimator; see `Estimator`."""
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
    """Return `model`, not fitted, with the candidate that scores highest on subjects that are left out in turn: by
    accuracy, or R2 for continuous targets. The smallest of equally good candidates is chosen. The model is unchanged
    without candidates, or if no subjects can be left out.

    Args:
        rows, y, subjects, weight: (n, features), (n,), (n,), (n,) training rows. Of many, some are used, and weigh as
            much as all: settings mean the same.
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
    """Return `X` (n, features) with 0 in the columns that are not `known` (features,). Scikit-learn cannot bin columns
    without values in training."""
    return np.where(known, X, 0.0)


class LabelScale(StandardScaler):
    """Standardised labels; on the way back, values are cut at the lowest and highest label that it was fitted to. Of
    few people a feature may hardly vary, and one that varies in a new person would carry a linear model far away."""

    def fit(self, y: np.ndarray) -> LabelScale:
        """Fit the scale to labels `y` (n, 1); returns itself."""
        self.low_, self.high_ = y.min(), y.max()
        super().fit(y)
        return self

    def inverse_transform(self, y: np.ndarray) -> np.ndarray:
        """Return labels (n, 1) for standardised labels."""
        return np.clip(super().inverse_transform(y), self.low_, self.high_)


class Discriminant(BaseEstimator):
    """Classes with the shares and means that the weighted rows have, and the shrunk covariance within them (Ledoit and
    Wolf 2004, doi 10.1016/S0047-259X(03)00096-4), because features are many and subjects few. Written out, since
    scikit-learn's takes no weights of rows."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> Discriminant:
        """Fit classes `y` (n,) to rows `X` (n, features) without NaN, weighted by `sample_weight` (n,); returns
        itself."""
        self.classes_, code = np.unique(y, return_inverse=True)
        share = np.eye(len(self.classes_))[code] * (sample_weight / sample_weight.sum())[:, None]  # (n, K)
        prior = share.sum(0)
        mean = share.T @ X / prior[:, None]
        within = (X - mean[code]) * np.sqrt(sample_weight / sample_weight.mean())[:, None]
        covariance = ledoit_wolf(within, assume_centered=True)[0]
        # Columns without any spread tell nothing; lstsq leaves them out where a solver would fail.
        self.slope = np.linalg.lstsq(covariance, mean.T, rcond=None)[0]
        self.offset = np.log(prior) - 0.5 * (mean.T * self.slope).sum(0)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, K) probabilities of `classes_`."""
        return np.asarray(softmax(X @ self.slope + self.offset, axis=1))


class Ranked(LinearSVC):
    """A linear machine for each class against the rest, whose distances become scores that sum to 1."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, K) scores of `classes_`: the softmax of the distances from the classes' planes (of two classes the
        logistic function of the one distance)."""
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
    `candidates`, the penalty with the highest R2 on training subjects is chosen, who are left out in turn. `alpha` is
    used without candidates, or if the rows are of one subject. AVEC 2018 chooses by the score on its development
    set."""

    row = ModelRow(
        Recipe(build={"alpha": 100.0, "candidates": [10.0**k for k in range(7)]}),
        values=Ridge,
        build={"alpha": "alpha"},
        tuned="alpha",
        standard_labels=True,
    )


class Lda(Classical):
    """Linear discriminant analysis: classes that are normal with one covariance, which is shrunk."""

    row = ModelRow(Recipe(class_weight="balanced"), classes=Discriminant)


_LINEAR_SVM = Recipe(class_weight="balanced", build={"C": 0.01, "candidates": []})


class LinearSvm(Classical):
    """Squared hinge loss (`chen2023`, for whose features the smallness of `C` was chosen), solved in the primal by
    Newton steps, which draw no random numbers. Scores rank rows, and are not calibrated.

    Of `candidates`, the `C` with the highest accuracy on training subjects held out in turn is taken, as in the one
    analysis of Gerster et al. 2026 (`gerster2026`) that does so; the code of `chen2023` takes one of twelve by the
    scores of the test fold.
    """

    row = ModelRow(
        _LINEAR_SVM,
        _LINEAR_SVM.replace(
            class_weight="none", build={"candidates": [10 ** (k / 2) for k in range(-10, 2)]}, assumed=("build.C",)
        ),
        classes=Ranked,
        build={"C": "C"},
        fixed={"dual": False},
        tuned="C",
    )


class LinearSvr(Classical):
    """Squared epsilon-insensitive loss with an epsilon of 0, solved in the primal: the minimum that the dual solver of
    AVEC 2018 approaches. `candidates` span the range of AVEC 2018. The `C` with the highest R2 on training subjects,
    left out in turn, is chosen; AVEC 2018 chooses by the CCC on its development set. `C` is used without candidates, or
    if the rows are of one subject."""

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
    10.1023/B:STCO.0000035301.49549.88): `svm` for values, with its `C` and its gamma, 1 / (number of features). Epsilon
    is a tenth of the labels' SD."""

    row = ModelRow(
        Recipe(build={"C": 1.0}),
        values=SVR,
        build={"C": "C"},
        fixed={"gamma": "auto", "epsilon": 0.1, "cache_size": 500},
        standard_labels=True,
    )


class Forest(Classical):
    """`trees` trees (Breiman 2001, doi 10.1023/A:1010933404324) with `least` rows in a leaf."""

    row = ModelRow(
        Recipe(class_weight="balanced", build={"trees": 100, "least": 10}),
        classes=RandomForestClassifier,
        values=RandomForestRegressor,
        build={"n_estimators": "trees", "min_samples_leaf": "least"},
        prepare="impute",
    )


class Binned:
    """Boosted trees of scikit-learn that are fitted to numbers of bins: the same trees, in a small part of the time."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> Self:
        """Fit the trees to rows `X` (n, features), NaN where unknown, and `y` (n,) weighted by `sample_weight` (n,);
        returns itself."""
        self._thresholds = find_bin_thresholds(X, sample_weight)
        return super().fit(assign_bins(X, self._thresholds), y, sample_weight=sample_weight)  # type: ignore[misc]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) values or classes."""
        return np.asarray(super().predict(assign_bins(X, self._thresholds)))  # type: ignore[misc]


class BinnedRegressor(Binned, HistGradientBoostingRegressor):
    """Boosted trees for values."""


class BinnedClassifier(Binned, HistGradientBoostingClassifier):
    """Boosted trees for classes."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n, K) probabilities of `classes_`."""
        return np.asarray(super().predict_proba(assign_bins(X, self._thresholds)))


class Boosting(Classical):
    """Gradient boosting: `trees` trees of at most `leaves` leaves with at least `least` rows each; missing values go
    down their own branch. Small steps of small trees were chosen on validation subjects of stress_predict. No early
    stopping: scikit-learn's own would hold out rows of subjects that it trains on."""

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
    """The shares of classes, or the mean of values, among the `neighbours` nearest rows (all rows where there are
    fewer): 3, as in the StressID code. Rows have no weights: neighbours have one vote each, so that the rarer class is
    as rare as in the training rows."""

    row = ModelRow(
        _KNN,
        _KNN.replace(build={"impute": "iterative", "pca": 0.95}),
        classes=KNeighborsClassifier,
        values=KNeighborsRegressor,
        build={"n_neighbors": "neighbours"},
    )


_MLP = Recipe(class_weight="balanced", build={"hidden": [], "iterations": 5000, **_MEDIANS})


class Mlp(Classical):
    """A perceptron with `hidden` widths of hidden layers, at most `iterations` passes over the rows. The classical rows
    of `strizhkova2024` by the StressID code have no hidden layer: a linear model fitted by Adam until its loss stays.
    Not followed, since the paper does not mention it: that code adds synthetic rows of the rarer class (SMOTE)."""

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
