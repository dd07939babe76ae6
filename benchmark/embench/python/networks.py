"""Encoders from torch networks, and fusions from scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast
from weakref import WeakSet

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter
from torch import Tensor, nn
from torch.random import fork_rng

from embench.errors import PluginError, UsageError
from embench.interfaces.encoder import ANY_SIGNAL, Encoder
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View
from embench.nn import hide
from embench.python.records import LONGEST_NAME, checked_name
from embench.signals.resample import resample

# A scikit-learn estimator or pipeline as a fusion, fitted to the features of encoders.


class GivenEstimator(Estimator):
    """Fits a clone of `given`, the user's estimator, in each fold. A `random_state` of None becomes the stage's seed.

    Missing values (NaN) are passed on if the estimator accepts them; else each becomes the median of its column in the
    training rows, or 0 if the column has no value in these. Weights are passed on if the last step accepts them and
    rows differ in weight. If all training rows have the same class or value, it is predicted for every row.
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
        """Fit `X` (n, features) to `y` (n,); see `Estimator.fit`. `subjects` and `val` are not used."""
        distinct = np.unique(y)
        if len(distinct) == 1:
            self._only, self._model = float(distinct[0]), None
            return
        self._known = np.isfinite(X).any(0)
        model = clone(self.given)
        unset = [name for name, value in model.get_params().items() if value is None]
        seeds = [name for name in unset if name.rpartition("__")[2] == "random_state"]
        model.set_params(**dict.fromkeys(seeds, self.seed))
        if needs_imputing(model):
            model = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), model)
        weight_name = weight_parameter(model) if np.ptp(weight) > 0 else None
        labels = y if self.kind == "value" else y.astype(int)
        try:
            self._model = model.fit(self._fill(X), labels, **({weight_name: weight} if weight_name else {}))
        except ValueError as error:
            if "NaN" not in str(error):
                raise
            what = f"{type(self).__name__} does not accept missing values, but the features contain some: {error}"
            hint = "start the pipeline with SimpleImputer(strategy='median', keep_empty_features=True)"
            raise PluginError(what, hint=hint) from error

    def score(self, X: np.ndarray) -> np.ndarray:
        """Return predictions for `X` (n, features); see `Estimator.score`. Raises RuntimeError before `fit`."""
        if self._model is None and self._only is None:
            raise RuntimeError("score was called before fit")
        if self.kind == "value":
            is_constant = self._model is None
            return np.full(len(X), self._only) if is_constant else np.asarray(self._model.predict(self._fill(X)), float)
        probability = np.zeros((len(X), self.classes))  # classes without a training row have a probability of 0
        if self._model is None:
            probability[:, int(self._only or 0)] = 1.0
        else:
            probability[:, self._model.classes_.astype(int)] = self._model.predict_proba(self._fill(X))
        return probability if self.kind == "classes" else probability[:, 1]

    def _fill(self, X: np.ndarray) -> np.ndarray:
        return np.where(self._known, X, 0.0)


def is_estimator(value: Any) -> bool:
    """Return True if an object has the methods of a scikit-learn estimator."""
    names = ("fit", "predict", "get_params", "set_params")
    return not isinstance(value, type) and all(hasattr(value, name) for name in names)


def estimator_class(given: Any, name: str | None = None) -> type[GivenEstimator]:
    """Make a fusion from a scikit-learn classifier (for targets with classes) or regressor (for continuous targets).

    Args:
        name: name in tables and ids; by default the classes of all steps.

    Raises:
        UsageError: the object is neither; a classifier has no `predict_proba`; a part of it is fitted already; or the
            name is not valid.
    """
    last = given
    while isinstance(last, Pipeline) and isinstance(last.steps[-1][1], BaseEstimator):
        last = last.steps[-1][1]
    title = type(last).__name__
    if not (is_classifier(given) or is_regressor(given)):
        expected = "a scikit-learn estimator, or a Pipeline that ends with one"
        raise UsageError(f"{title} is neither a classifier nor a regressor", where="fusion=", expected=expected)
    if is_classifier(given) and not hasattr(given, "predict_proba"):
        raise UsageError(
            f"{title} has no predict_proba, and embench requires probabilities",
            where="fusion=",
            expected="a classifier with predict_proba",
            hint=f"use sklearn.calibration.CalibratedClassifierCV({title}(...)), or probability=True if the class "
            "supports it",
        )
    estimator = clone(given)  # without anything that it has learned
    parts = [estimator, *estimator.get_params().values()]
    if any(isinstance(part, FrozenEstimator) or getattr(part, "cv", None) == "prefit" for part in parts):
        what = f"a part of {title} is fitted already, perhaps on test subjects"
        expected = "an estimator that is not fitted, so that each fold can fit it"
        raise UsageError(what, where="fusion=", expected=expected)
    kinds = frozenset({"binary", "classes"} if is_classifier(given) else {"value"})
    named = _compose_name(given) if name is None else checked_name(name)
    return type(named, (GivenEstimator,), {"given": estimator, "kinds": kinds, "__module__": __name__})


def needs_imputing(model: Any) -> bool:
    """Return True if NaN would reach a step that does not accept it, and the model does not impute."""
    if any(type(part).__module__.startswith("sklearn.impute") for part in model.get_params().values()):
        return False
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return any(not get_tags(step).input_tags.allow_nan for step in steps if step not in (None, "passthrough"))


def weight_parameter(model: Any) -> str | None:
    """Return the parameter of `model.fit` for weights of rows, such as `svc__sample_weight`; None if there is none."""
    if isinstance(model, Pipeline):
        name, last = model.steps[-1]
        inside = None if last is None or isinstance(last, str) else weight_parameter(last)
        return f"{name}__{inside}" if inside else None
    return "sample_weight" if has_fit_parameter(model, "sample_weight") else None


def _compose_name(estimator: Any) -> str:
    """Return the classes of an estimator's steps, joined by `-`; in a long name, all but the last are abbreviated.

    >>> from sklearn.decomposition import PCA
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.preprocessing import StandardScaler
    >>> _compose_name(make_pipeline(StandardScaler(), PCA(), RandomForestClassifier()))
    'StandardScaler-PCA-RandomForestClassifier'
    >>> _compose_name(make_pipeline(SimpleImputer(), StandardScaler(), PCA(), RandomForestClassifier()))
    'SI-SS-PCA-RandomForestClassifier'
    """
    *before, last = [type(step).__name__ for step in _iterate_steps(estimator)]
    whole = "-".join([*before, last])
    if len(whole) > LONGEST_NAME:
        whole = "-".join([*("".join(filter(str.isupper, name)) or name[:3] for name in before), last])
    return whole[-LONGEST_NAME:].lstrip("-")


def _iterate_steps(estimator: Any) -> Iterator[Any]:
    """Yield the steps of an estimator in order, including those of inner pipelines and wrapped estimators."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            if step is not None and step != "passthrough":
                yield from _iterate_steps(step)
        return
    yield estimator
    if isinstance(inside := estimator.get_params(deep=False).get("estimator"), BaseEstimator):
        yield from _iterate_steps(inside)


# A torch network over windows of a signal as an encoder.

MakeNetwork = Callable[[int, int], nn.Module]

_TYPICAL_SHAPE = (32, 1280)
"""Channels and samples with which a network is made only to find its class name."""


class AtRate(Encoder):
    """Base of encoders that resample signals to the `rate_hz` in their recipe."""

    @property
    def reads(self) -> Literal["signal", "stream"]:
        """`stream` if the recipe sets `rate_hz`, else `signal`; see `Encoder.reads`."""
        return "stream" if "rate_hz" in self.recipe.prepare else "signal"

    def stream(self, signal: Signal) -> Signal:
        """Return the signal at `rate_hz`."""
        rate = float(self.recipe.prepare["rate_hz"])
        return replace(signal, data=resample(signal.data, signal.rate, rate), rate=rate)


class GivenNetwork(AtRate):
    """Base of the classes that `embench.make_encoder` returns: `make(channels, samples)` returns a network that maps
    windows to one token (B, D) or several (B, L, D). Unrecorded samples are 0, the mean of a z-scored signal."""

    accepts: ClassVar[frozenset[str]] = ANY_SIGNAL
    make: ClassVar[MakeNetwork]
    _made: ClassVar[WeakSet[nn.Module]] = WeakSet()

    def build(self, spec: InputSpec) -> nn.Module:
        """Build a network for windows of `spec.shape`. Raises PluginError unless `make` returns a new module."""
        channels, samples = spec.shape
        network = type(self).make(channels, samples)
        title = type(self).__name__
        if not isinstance(network, nn.Module):
            what = f"{title}: make({channels}, {samples}) returned a {type(network).__name__}"
            expected = "a torch.nn.Module that maps (B, channels, samples) to (B, D) or (B, L, D)"
            raise PluginError(what, expected=expected)
        if any(part in self._made for part in network.modules()):
            what = f"{title}: make({channels}, {samples}) returned a network, or a part of one, for the second time"
            expected = "a new network each time, so that every fold and seed starts from new weights"
            raise PluginError(what, expected=expected)
        self._made.update(network.modules())
        for name, parameter in network.named_parameters():
            if parameter.dtype not in (torch.float32, torch.float64):
                what = f"{title}: the weights of layer `{name.rpartition('.')[0] or name}` are {parameter.dtype}"
                raise PluginError(what, expected="torch.float32")
        return GivenWindows(network.to(torch.float32), title)


class GivenWindows(nn.Module):
    """Module that applies a network to windows x (B, C, T) with a mask (B, T) or None, and returns Tokens."""

    def __init__(self, network: nn.Module, title: str) -> None:
        super().__init__()
        self.network, self.title = network, title

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Apply the network. Raises PluginError if its output has another shape or is not of real numbers."""
        out = self.network(hide(x, mask))
        if not isinstance(out, Tensor) or out.ndim not in (2, 3) or len(out) != len(x):
            found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            expected = f"({len(x)}, D), or ({len(x)}, L, D) for L tokens"
            raise PluginError(f"{self.title} maps {tuple(x.shape)} to {found}", expected=expected)
        if not out.is_floating_point():
            what = f"{self.title} returns {out.dtype}, from layer `{self._find_layer(out.dtype, x, mask)}`"
            hint = "return `out.float()`, and no classes: embench adds the classification head"
            raise PluginError(what, expected="torch.float32", hint=hint)
        out = out.float() if out.dtype == torch.float64 else out
        return Tokens(out[:, None] if out.ndim == 2 else out)

    def _find_layer(self, dtype: torch.dtype, x: Tensor, mask: Tensor | None) -> str:
        """Return the name of the first layer of the network with outputs of this dtype; `forward` if there is none."""
        names: list[str] = []

        def make_hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
            return lambda _, __, out: names.append(name) if getattr(out, "dtype", None) == dtype else None

        layers = [(name, layer) for name, layer in self.network.named_modules() if name and not [*layer.children()]]
        handles = [layer.register_forward_hook(make_hook(f"{name} ({type(layer).__name__})")) for name, layer in layers]
        self.network(hide(x, mask))
        for handle in handles:
            handle.remove()
        return names[0] if names else "forward"


def make_encoder(
    make: MakeNetwork,
    *,
    window_s: float | None = None,
    step_s: float | None = None,
    context_s: float | None = None,
    rate_hz: float | None = None,
    epochs: int = 10,
    lr: float = 1e-3,
    batch: int = 64,
    weight_decay: float = 0.0,
    class_weight: str = "balanced",
    min_channels: int = 1,
    name: str | None = None,
) -> type[Encoder]:
    """Make an encoder from a torch network, for `embench.run(encoder=...)`.

    embench trains the network anew in each fold and seed, with Adam, and adds its own classification head.

    Args:
        make: `make(channels, samples)` returns a new `torch.nn.Module` that maps windows (B, channels, samples) to (B,
            D), or to (B, L, D) for L tokens. Windows are z-scored for each subject, at the protocol's rate: 128 Hz
            whatever a signal was recorded at, so that `samples` is 1280 for 10 s of EDA as of ECG; 18 Hz for `face_au`.
            `make` may also be a class of networks with these two arguments.
        window_s, step_s: length of a window in s, by default 10, and the distance between window starts, by default the
            window length.
        context_s: instead of windows inside the unit, use the last `context_s` seconds before its end, which may begin
            before the unit: one row for each unit.
        rate_hz: samples per second that the network reads; by default the protocol's.
        epochs: passes over the training windows; the weights after the last one are used. The validation subjects of a
            fold are not used, except by `embench.tune` and `dev=True`. The recipe `quick` makes at most 2.
        lr, batch, weight_decay: learning rate, windows in a step, coupled L2 of Adam.
        class_weight: `balanced` weighs classes inversely to their proportion, `none` equally.
        min_channels: minimum number of channels.
        name: name in tables and ids; by default that of `make`, or the class of the network if `make` has no name of
            its own, such as a lambda or a function called `make`.

    Raises:
        UsageError: `make` is an existing network, which may have learned from test subjects; or the name is not valid.

    >>> from torch import nn
    >>> def small(channels, samples):
    ...     return nn.Sequential(nn.Conv1d(channels, 8, 9), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    >>> make_encoder(small, window_s=8, epochs=5).__name__
    'small'
    """
    if isinstance(make, nn.Module) or not callable(make):
        found = f"a network that exists already ({type(make).__name__})" if callable(make) else type(make).__name__
        what = f"{found}: every fold and seed must start from new weights"
        expected = "a function make(channels, samples) that returns a new torch.nn.Module"
        hint = f"embench.make_encoder(lambda channels, samples: {type(make).__name__}(...))"
        raise UsageError(what, where="make=", expected=expected, hint=hint)
    if class_weight not in ("balanced", "none"):
        raise UsageError(f"class_weight is {class_weight!r}", where="class_weight=", expected="'balanced' or 'none'")
    title = _find_name(make) if name is None else checked_name(name)
    recipe = Recipe(
        lr=lr, epochs=epochs, batch=batch, weight_decay=weight_decay, class_weight=cast("Any", class_weight),
        view=view_of_lengths(window_s, step_s, context_s), prepare={} if rate_hz is None else {"rate_hz": rate_hz},
    )  # fmt: skip
    recipes = {"paper": recipe, "small": recipe, "quick": recipe.replace(epochs=min(epochs, 2))}
    content = {"make": staticmethod(make), "recipes": recipes, "__module__": __name__, "__doc__": make.__doc__}
    if min_channels != 1:
        content["min_channels"] = min_channels
    return type(title, (GivenNetwork,), content)


def configure_encoder(
    given: str | type[Encoder],
    *,
    window_s: float | None = None,
    context_s: float | None = None,
    rate_hz: float | None = None,
) -> type[Encoder]:
    """Return an encoder with another window, context or rate, for `embench.run(encoder=...)`.

    The encoder is an object, which leaderboards do not accept; for them, use `set={"encoder.view.length_s": 5}`.

    Args:
        given: name of an encoder, or a class of encoders.
        window_s: length of a window in s; windows do not overlap.
        context_s: instead of windows inside the unit, use the last `context_s` seconds before its end, which may begin
            before the unit.
        rate_hz: samples per second that its network reads.

    Raises:
        UsageError: no encoder has this name, a length is 0 or less, or the encoder does not read signals at a fixed
            rate.

    >>> configure_encoder("cnn_tf", context_s=30, rate_hz=32).__name__
    'cnn_tf-context30-rate32'
    """
    from embench import registry

    base: type[Encoder] = registry.load_plugin("encoder", given) if isinstance(given, str) else given
    lengths = {"window": window_s, "context": context_s}
    view = None if window_s is context_s is None else view_of_lengths(window_s, None, context_s)
    recipes = {preset: _with_input(recipe, view, rate_hz) for preset, recipe in base.recipes.items()}
    bases: tuple[type[Encoder], ...] = (base,)
    if rate_hz is not None and not all(_takes_rate(base, recipe) for recipe in base.recipes.values()):
        if any(base(recipe).reads != "signal" for recipe in recipes.values()):
            raise UsageError(f"{base.__name__} does not read signals at a rate of choice", where=f"rate_hz={rate_hz:g}")
        bases = (AtRate, base)
    values = [f"{name}{value:g}" for name, value in {**lengths, "rate": rate_hz}.items() if value is not None]
    short = given.rpartition(":")[2].rpartition("/")[2] if isinstance(given, str) else given.__name__
    title = "-".join([short, *values]).replace(".", "_")
    return type(title, bases, {"recipes": recipes, "__module__": __name__, "__doc__": base.__doc__})


def _takes_rate(base: type[Encoder], recipe: Recipe) -> bool:
    """Return True if an encoder resamples signals to the rate in its recipe."""
    reads = base(recipe.replace(prepare={"rate_hz": 1})).reads
    return reads == "stream" and ("rate_hz" in recipe.prepare or base(recipe).reads == "signal")


def _with_input(recipe: Recipe, view: View | None, rate_hz: float | None) -> Recipe:
    """Return a recipe with another view and rate, also for its dataset-specific settings; None changes nothing."""
    changes: dict[str, Any] = {} if view is None else {"view": view}
    prepare = {} if rate_hz is None else {"rate_hz": rate_hz}
    datasets = {
        name: {**settings, **changes, "prepare": {**settings.get("prepare", {}), **prepare}}
        for name, settings in recipe.datasets.items()
    }
    return recipe.replace(**changes, prepare=prepare, datasets=datasets)


def view_of_lengths(window_s: float | None, step_s: float | None, context_s: float | None) -> View:
    """Return a view of windows of `window_s` (default: 10) seconds every `step_s`. With `context_s`, return a view of
    the last `context_s` seconds of a unit. Raises UsageError for both together, and for lengths of 0 or less."""
    for name, value in (("window_s", window_s), ("step_s", step_s), ("context_s", context_s)):
        if value is not None and not value > 0:
            raise UsageError("a length is not above 0", where=f"{name}={value}", expected="seconds, above 0")
    if context_s is None:
        length = float(window_s or 10.0)
        return View("window", length, float(step_s or length))
    if window_s is not None or step_s is not None:
        what = "windows and context are two ways to cut a unit"
        expected = "either `window_s` and `step_s`, or `context_s`"
        raise UsageError(what, where=f"context_s={context_s}", expected=expected)
    return View("context", float(context_s))


def _find_name(make: MakeNetwork) -> str:
    """Return the name of `make`, or the class of the network that it returns; `network` if neither is specific."""
    name = getattr(make, "__name__", None)
    if name not in (None, "<lambda>", "make"):
        return str(name)
    with fork_rng(devices=[]), suppress(Exception):  # an error is reported when the network is made for the data
        network = type(make(*_TYPICAL_SHAPE))
        if not network.__module__.startswith("torch.nn."):
            return network.__name__
    return "network"
