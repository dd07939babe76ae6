"""A scikit-learn estimator or pipeline as a fusion: one that embench fits to the features of the encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from embench.errors import PluginError, UsageError
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import PRESETS, Recipe
from embench.python.objects import LONGEST_NAME, checked_name


class GivenEstimator(Estimator):
    """Fits a clone of `given` in each fold, with the stage's seed for every `random_state` that is None.

    Missing values (NaN) go in as they are where the estimator takes them; else each becomes the median of its column in
    the training rows. A column without any value there is 0. Weights go in where the last step takes them and rows
    differ in weight. Where all training rows have one class or value, that is predicted.
    """

    given: ClassVar[Any]
    recipes: ClassVar[Mapping[str, Recipe]] = dict.fromkeys(PRESETS, Recipe())
    _model: Any = None
    _only: float | None = None
    _known: np.ndarray

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Fits `X` (n, features) to `y` (n,); see `Estimator.fit`. `subjects` and `val` are not used."""
        found = np.unique(y)
        if len(found) == 1:
            self._only, self._model = float(found[0]), None
            return
        self._known = np.isfinite(X).any(0)
        model = clone(self.given)
        seeds = [name for name, value in model.get_params().items() if _is_open_seed(name, value)]
        model.set_params(**dict.fromkeys(seeds, self.seed))
        if needs_imputing(model):
            model = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), model)
        named = weight_parameter(model) if np.ptp(weight) > 0 else None
        labels = y if self.kind == "value" else y.astype(int)
        try:
            self._model = model.fit(self._filled(X), labels, **({named: weight} if named else {}))
        except ValueError as error:
            if "NaN" not in str(error):
                raise
            raise PluginError(
                f"{type(self).__name__} does not accept missing values, but the features contain some: {error}",
                hint="start the pipeline with SimpleImputer(strategy='median', keep_empty_features=True)",
            ) from error

    def score(self, X: np.ndarray) -> np.ndarray:
        """Predictions for `X` (n, features); see `Estimator.score`. Raises RuntimeError before `fit`."""
        if self._model is None and self._only is None:
            raise RuntimeError("score was called before fit")
        if self.kind == "value":
            return (
                np.full(len(X), self._only)
                if self._model is None
                else np.asarray(self._model.predict(self._filled(X)), float)
            )
        share = np.zeros((len(X), self.classes))  # a class that no training row has keeps a probability of 0
        if self._model is None:
            share[:, int(self._only or 0)] = 1.0
        else:
            share[:, self._model.classes_.astype(int)] = self._model.predict_proba(self._filled(X))
        return share if self.kind == "classes" else share[:, 1]

    def _filled(self, X: np.ndarray) -> np.ndarray:
        return np.where(self._known, X, 0.0)


def is_estimator(value: Any) -> bool:
    """True if an object has the methods of a scikit-learn estimator."""
    return not isinstance(value, type) and all(
        hasattr(value, name) for name in ("fit", "predict", "get_params", "set_params")
    )


def estimator_class(given: Any, name: str | None = None) -> type[GivenEstimator]:
    """The fusion of a scikit-learn classifier (for targets with classes) or regressor (for values).

    Args:
        name: in tables and ids; by default the classes of all steps.

    Raises:
        UsageError: it is neither; a classifier has no `predict_proba`; a part of it is fitted already; or the name
            can't be taken.
    """
    title = _last(given).__class__.__name__
    if not (is_classifier(given) or is_regressor(given)):
        raise UsageError(
            f"{title} is neither a classifier nor a regressor",
            where="fusion=",
            expected="a scikit-learn estimator, or a Pipeline that ends with one",
        )
    if is_classifier(given) and not hasattr(given, "predict_proba"):
        raise UsageError(
            f"{title} has no predict_proba, and embench requires probabilities",
            where="fusion=",
            expected="a classifier with predict_proba",
            hint=(
                f"use sklearn.calibration.CalibratedClassifierCV({title}(...)), or probability=True if the class "
                "supports it"
            ),
        )
    estimator = clone(given)  # what it has learned so far stays behind
    parts = [estimator, *estimator.get_params().values()]
    if any(isinstance(part, FrozenEstimator) or getattr(part, "cv", None) == "prefit" for part in parts):
        raise UsageError(
            f"a part of {title} is fitted already, perhaps on test subjects",
            where="fusion=",
            expected="an estimator that is not fitted, so that each fold can fit it",
        )
    kinds = frozenset({"binary", "classes"} if is_classifier(given) else {"value"})
    named = _name_of(given) if name is None else checked_name(name)
    return type(named, (GivenEstimator,), {"given": estimator, "kinds": kinds, "__module__": __name__})


def needs_imputing(model: Any) -> bool:
    """True if NaN would reach a step that does not accept it, by scikit-learn's tags; False where the model imputes."""
    if any(type(part).__module__.startswith("sklearn.impute") for part in model.get_params().values()):
        return False  # its author decides how
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return any(not get_tags(step).input_tags.allow_nan for step in steps if step not in (None, "passthrough"))


def weight_parameter(model: Any) -> str | None:
    """Name of `fit`'s parameter for the weights of rows, where the last step takes them."""
    if isinstance(model, Pipeline):
        name, last = model.steps[-1]
        inside = None if last is None or isinstance(last, str) else weight_parameter(last)
        return f"{name}__{inside}" if inside else None
    return "sample_weight" if has_fit_parameter(model, "sample_weight") else None


def _is_open_seed(name: str, value: Any) -> bool:
    return value is None and name.rpartition("__")[2] == "random_state"


def _name_of(given: Any) -> str:
    """The classes of an estimator's steps, `StandardScaler-SelectKBest-SVC`; where that is long, only the initials of
    those before the last.

    >>> from sklearn.decomposition import PCA
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.preprocessing import StandardScaler
    >>> _name_of(make_pipeline(StandardScaler(), PCA(), RandomForestClassifier()))
    'StandardScaler-PCA-RandomForestClassifier'
    >>> _name_of(make_pipeline(SimpleImputer(), StandardScaler(), PCA(), RandomForestClassifier()))
    'SI-SS-PCA-RandomForestClassifier'
    """
    *before, last = [type(step).__name__ for step in _steps(given)]
    whole = "-".join([*before, last])
    if len(whole) > LONGEST_NAME:
        whole = "-".join([*("".join(filter(str.isupper, name)) or name[:3] for name in before), last])
    return whole[-LONGEST_NAME:].lstrip("-")


def _steps(given: Any) -> Iterator[Any]:
    """Steps of an estimator in order, those of pipelines inside too; an estimator that another wraps comes after it."""
    if isinstance(given, Pipeline):
        for _, step in given.steps:
            if step is not None and step != "passthrough":
                yield from _steps(step)
        return
    yield given
    if isinstance(inside := given.get_params(deep=False).get("estimator"), BaseEstimator):
        yield from _steps(inside)


def _last(given: Any) -> Any:
    while isinstance(given, Pipeline) and isinstance(given.steps[-1][1], BaseEstimator):
        given = given.steps[-1][1]
    return given
