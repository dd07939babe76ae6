"""Adapts a fitted method to each test subject, by the units that it gives before it is tested.

A method adapts in one of three ways: an estimator makes one for the subject (`Estimator.personalise`); a network gets a
linear layer beside its head; or a plugin changes the network itself (`Personalised.personalise`). How strongly is
chosen on training subjects who give and are scored as test subjects do. Each test subject has its own, whoever comes
before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.special import expit, log_softmax, logit, softmax

from embench.errors import PluginError
from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.units import Target
from embench.protocols import SLICE_ONLY

GIVEN, TRIAL_GIVEN, TRIAL_SCORED = 0, 1, 2
"""Roles of units beside those to be predicted: given by test subjects; given by training subjects on whom it is tried
how much to adapt, and scored of these."""
LEARNED = "learned"
"""What is given of each subject before, where it was trained on: a method has nothing left to adapt to."""
STEPS = (0, 1, 3, 10, 30, 100)
"""Numbers of steps among which that of a layer beside a head is chosen."""
_LEAST = 1e-6

Predictor = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Row positions (b,) -> `score`, probabilities or values (b, columns), and where there is one the layer before them,
`hidden` (b, H)."""
Scorer = Callable[[np.ndarray], np.ndarray]
"""Row positions, or rows, (b, ..) -> scores (b, columns)."""


class Person(NamedTuple):
    """Positions of rows of a subject: what it gives, and what is predicted of it or, on trial, scored."""

    given: np.ndarray
    asked: np.ndarray


class Adapter(Protocol):
    """A way to adapt to one subject."""

    @property
    def strengths(self) -> Sequence[float]:
        """Degrees to which it may adapt, from the least on."""

    def adapted(self, given: np.ndarray, strength: float) -> Scorer:
        """The scores (b, columns) at positions (b,) of rows, for the subject that gives the rows at `given`."""


@dataclass(frozen=True)
class PersonalRows:
    """All rows of a stage that predicts: those to be predicted, and those beside them.

    Args:
        subject: (n,) whose they are. `role`: (n,) -1 where a row is to be predicted.
        y, weight: (n,) labels, NaN where none is given, and the share of a row in its unit.
    """

    subject: np.ndarray
    role: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def people(self, given: int, asked: int, known: np.ndarray) -> dict[str, Person]:
        """Subject -> its rows of two roles, of those at `known` (k,) in which anything was recorded."""
        found = {}
        for name in np.unique(self.subject[known]).tolist():
            own = known[self.subject[known] == name]
            found[name] = Person(own[self.role[own] == given], own[self.role[own] == asked])
        return {name: person for name, person in found.items() if len(person.asked)}

    def labelled(self, index: np.ndarray) -> np.ndarray:
        """Those of the positions `index` (k,) with a label."""
        return index[np.isfinite(self.y[index])]


def chosen_strength(adapter: Adapter, target: Target, rows: PersonalRows, trial: Mapping[str, Person]) -> float:
    """The strength with the least mean loss over training subjects on trial, the weakest of equals."""
    if len(adapter.strengths) == 1:
        return float(adapter.strengths[0])
    losses = np.zeros(len(adapter.strengths))
    for person in trial.values():
        scored = rows.labelled(person.asked)
        for k, strength in enumerate(adapter.strengths if len(scored) else ()):
            score = adapter.adapted(person.given, strength)(scored)
            losses[k] += loss_of(target, score, rows.y[scored], rows.weight[scored])
    return float(adapter.strengths[int(losses.argmin())])


def loss_of(target: Target, score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """The mean log loss of scores (n, columns), or the mean squared error of values."""
    share = weight / weight.sum()
    if not target.traits.has_classes:
        return float(share @ (score[:, 0] - y) ** 2)
    shares = score if target.traits.several else np.hstack([1 - score, score])
    true = shares[np.arange(len(y)), y.astype(int)]
    return float(-share @ np.log(np.clip(true, _LEAST, 1)))


@dataclass(frozen=True)
class AsFitted:
    """A method as it is, which was fitted to what subjects give, with others' units."""

    base: Predictor
    strengths: Sequence[float] = (0.0,)

    def adapted(self, given: np.ndarray, strength: float) -> Scorer:
        """See `Adapter`."""
        return lambda index: self.base(index)["score"]


@dataclass(frozen=True)
class HeadAdapter:
    """A linear layer beside the head, on the last hidden layer, fitted to what a subject gives by gradient steps from
    zero, each as long as the loss allows (one over the Lipschitz constant of its gradient)."""

    target: Target
    rows: PersonalRows
    base: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    """Positions (b,) -> scores (b, columns) and hidden layers (b, H)."""
    strengths: Sequence[float] = STEPS

    def adapted(self, given: np.ndarray, strength: float) -> Scorer:
        """See `Adapter`; the strength is a number of steps."""
        layer = self._fitted(self.rows.labelled(given), int(strength))

        def scores(index: np.ndarray) -> np.ndarray:
            score, hidden = self.base(index)
            if layer is None:
                return score
            return _scores(self.target, _logits(self.target, score) + _with_one(hidden) @ layer)

        return scores

    def _fitted(self, given: np.ndarray, steps: int) -> np.ndarray | None:
        """The layer (H + 1, outputs); None where there is nothing to fit it to."""
        if not len(given) or not steps:
            return None
        score, hidden = self.base(given)
        x, first = _with_one(hidden), _logits(self.target, score)
        share = self.rows.weight[given] / self.rows.weight[given].sum()
        y = self.rows.y[given]
        truth = np.eye(self.target.n)[y.astype(int)] if self.target.traits.several else y[:, None]
        curve = float(np.linalg.eigvalsh((x * share[:, None]).T @ x).max())
        step = 1 / max(_LEAST, curve * (0.25 if self.target.kind == "binary" else 1.0))
        layer = np.zeros((x.shape[1], first.shape[1]))
        for _ in range(steps):
            wrong = _scores(self.target, first + x @ layer) - truth
            layer -= step * x.T @ (wrong * share[:, None])
        return layer


@dataclass(frozen=True)
class EstimatorAdapter:
    """An estimator of the subject's own, by the `personalise` of a copy, so that nothing of one subject reaches
    another. A training subject on trial is left out of the training rows."""

    estimator: Estimator
    training: TrainingRows
    rows: PersonalRows
    X: np.ndarray
    columns: int

    @property
    def strengths(self) -> Sequence[float]:
        """See `Adapter`."""
        return type(self.estimator).strengths

    def adapted(self, given: np.ndarray, strength: float) -> Scorer:
        """See `Adapter`."""
        labelled, made = self.rows.labelled(given), self.estimator
        if len(given):
            labels = self.rows.y[labelled] if len(labelled) else None
            units = self.X[labelled if len(labelled) else given]
            others = self._others(self.rows.subject[given[0]])
            made = deepcopy(self.estimator).personalise(units, labels, others, strength)
        if not isinstance(made, Estimator):
            raise PluginError(
                f"`personalise` gave {type(made).__name__}",
                where=type(self.estimator).__name__,
                expected="an estimator",
            )
        return lambda index: np.asarray(made.score(self.X[index]), float).reshape(len(index), self.columns)

    def _others(self, subject: str) -> TrainingRows:
        """A copy of the training rows of everyone else."""
        other = self.training.subjects != subject
        return self.training._replace(**{
            **{name: getattr(self.training, name)[other] for name in ("X", "y", "subjects", "weight")},
            "val": deepcopy(self.training.val),
        })  # fmt: skip


def slice_only(target: Target, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Scorer:
    """A linear model of what a subject gives alone: the scores (b, columns) of features (b, H). Where all labels are
    alike, it predicts these.

    Args:
        x: (m, H) features. y, weight: (m,).
    """
    from sklearn.impute import SimpleImputer  # slow to import
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    columns = len(target.columns)
    if not len(y) or (y == y[0]).all():
        same = float(y[0]) if len(y) else 0.5
        alone = np.eye(target.n)[int(same)] if target.traits.several and len(y) else np.full(columns, same)
        if target.traits.several and not len(y):
            alone = np.full(columns, 1 / columns)
        return lambda asked: np.tile(alone, (len(asked), 1))
    model: Any = LogisticRegression(max_iter=1000) if target.traits.has_classes else Ridge(alpha=1.0)
    prepare = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    model.fit(prepare.fit_transform(x), y, sample_weight=weight)

    def scores(asked: np.ndarray) -> np.ndarray:
        rows = prepare.transform(asked)
        if not target.traits.has_classes:
            return np.asarray(model.predict(rows)).reshape(-1, 1)
        share = np.zeros((len(asked), target.n))
        share[:, model.classes_.astype(int)] = model.predict_proba(rows)
        return share if target.traits.several else share[:, 1:]

    return scores


@dataclass(frozen=True)
class PersonalPredictions:
    """The predictions of a stage whose test subjects give units.

    Args:
        features: positions (b,) -> (b, H) features or hidden layers, to which a model of the slice alone is fitted.
        known: (k,) positions of rows in which anything was recorded.
        labelled: whether units are given with labels; a method without a way of its own to adapt has no use of others.
    """

    target: Target
    rows: PersonalRows
    adapter: Adapter
    features: Callable[[np.ndarray], np.ndarray]
    known: np.ndarray
    labelled: bool = True
    _adapted_to: dict[str, Scorer] = field(default_factory=dict, init=False)
    _fitted_to: dict[str, Scorer] = field(default_factory=dict, init=False)

    @cached_property
    def strength(self) -> float:
        """The degree to which it adapts: what was best for training subjects."""
        if not self.labelled:
            return self.adapter.strengths[-1]
        trial = self.rows.people(TRIAL_GIVEN, TRIAL_SCORED, self.known)
        return chosen_strength(self.adapter, self.target, self.rows, trial)

    @cached_property
    def _people(self) -> dict[str, Person]:
        return self.rows.people(GIVEN, -1, self.known)

    def _adapted(self, name: str) -> Scorer:
        """The scores of a subject, who is adapted to when first asked for: nobody else has to be."""
        if name not in self._adapted_to:
            self._adapted_to[name] = self.adapter.adapted(self._people[name].given, self.strength)
        return self._adapted_to[name]

    def _alone(self, name: str) -> Scorer:
        if name not in self._fitted_to:
            own = self.rows.labelled(self._people[name].given)
            x = self.features(own)
            self._fitted_to[name] = slice_only(self.target, x, self.rows.y[own], self.rows.weight[own])
        return self._fitted_to[name]

    def __call__(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """The tables of rows at positions `index` (b,): `score` and, where units are given with labels, `slice_only`,
        both (b, columns)."""
        tables = {"score": self._each(index, lambda name, at: self._adapted(name)(index[at]))}
        if self.labelled:
            x = self.features(index)
            tables[SLICE_ONLY] = self._each(index, lambda name, at: self._alone(name)(x[at]))
        return tables

    def _each(self, index: np.ndarray, answer: Callable[[str, np.ndarray], np.ndarray]) -> np.ndarray:
        """(b, columns) what each subject's answer is, of a name and a mask (b,)."""
        table = np.empty((len(index), len(self.target.columns)))
        for name in np.unique(self.rows.subject[index]).tolist():
            at = self.rows.subject[index] == name
            table[at] = answer(name, at)
        return table


def _with_one(hidden: np.ndarray) -> np.ndarray:
    return np.hstack([hidden, np.ones((len(hidden), 1))]).astype(np.float64)


def _logits(target: Target, score: np.ndarray) -> np.ndarray:
    if not target.traits.has_classes:
        return score.astype(np.float64)
    bounded = np.clip(score.astype(np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(log_softmax(np.log(bounded), 1) if target.traits.several else logit(bounded))


def _scores(target: Target, logits: np.ndarray) -> np.ndarray:
    if not target.traits.has_classes:
        return logits
    return np.asarray(softmax(logits, 1) if target.traits.several else expit(logits))
