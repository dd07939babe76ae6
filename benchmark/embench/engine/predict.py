"""Predict every unit of some subjects, after adaptation to the test subject where a protocol allows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from scipy.special import expit, log_softmax, logit, softmax

from embench.engine import device as machine
from embench.engine import fits, network
from embench.engine.feed import Data
from embench.engine.fits import feature_rows, fit_estimator, fitted_rows, of_units, size_of
from embench.engine.network import probabilities
from embench.engine.rows import Grid, StoreSource, encoder_of
from embench.engine.stage import FitParams, Folder, FusionParams, PredictParams, Stage
from embench.errors import PluginError
from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.personal import Personalised, personalised
from embench.interfaces.tokens import OutputSpec
from embench.interfaces.units import Target
from embench.nn import Model, checked_logits
from embench.protocols import SLICE_ONLY, UnitId

# Adapts a fitted method to each test subject, by the units that it gives before it is tested.
#
# A method adapts in one of three ways: an estimator makes one for the subject (`Estimator.personalise`); a network gets
# a linear layer beside its head; or a plugin changes the network itself (`Personalised.personalise`). How strongly is
# chosen on training subjects who give and are scored as test subjects do. Each test subject has its own, whoever comes
# before it.

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


# The way in which a fitted method of a stage adapts to test subjects, and their units beside those to be predicted.


def with_slices(stage: Stage[PredictParams]) -> Stage[PredictParams]:
    """The stage with units that are given, or tried on, behind those to be predicted."""
    if "slice_role" not in stage.task:
        return stage
    names = ("recording", "start", "stop")
    both = {name: np.concatenate([stage.task[name], stage.task[f"slice_{name}"]]) for name in names}
    return replace(stage, task={**stage.task, **both})


def personal_rows(stage: Stage[PredictParams], source: StoreSource, grid: Grid) -> PersonalRows:
    """The rows of a stage `with_slices`, with the role of each."""
    task = stage.task
    role, y = task.get("slice_role", np.empty(0, np.int64)), task.get("slice_y", np.empty((0, 1)))
    asked = len(task["recording"]) - len(role)
    subject = np.array([source.store.recordings[r].subject for r in grid.recording.tolist()])
    roles = np.concatenate([np.full(asked, -1), role])[grid.unit]
    labels = np.concatenate([np.full(asked, np.nan), y[:, 0]])[grid.unit]
    return PersonalRows(subject, roles, labels, grid.weights().astype(np.float64))


def personalising_plugin(params: FitParams) -> Personalised | None:
    """The plugin whose own `personalise` adapts a fitted network; None where it has none."""
    plugin: Personalised
    if isinstance(params, FusionParams):
        plugin = network.fusion_of(params.fusion)
    else:
        (part,) = params.modalities.values()
        plugin = encoder_of(part)
    return None if type(plugin).personalise is Personalised.personalise else plugin


def head_adapter(params: FitParams, rows: PersonalRows, base: Predictor, at_once: int) -> HeadAdapter:
    """The layer beside the head of a network; what is given and tried on is predicted once, whatever is chosen."""
    (target,) = network.output_spec_of(params).targets
    beside = np.flatnonzero(rows.role >= 0)
    parts = [base(beside[i : i + at_once]) for i in range(0, len(beside), at_once)]
    place = np.full(len(rows.role), -1)
    place[beside] = np.arange(len(beside))
    score, hidden = (np.concatenate([part[name] for part in parts]) for name in ("score", "hidden"))

    def known(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if (place[index] >= 0).all():
            return score[place[index]], hidden[place[index]]
        tables = base(index)
        return tables["score"], tables["hidden"]

    return HeadAdapter(target, rows, known)


@dataclass(frozen=True)
class PluginAdapter:
    """A network that its plugin adapts, one copy a subject."""

    plugin: Personalised
    model: Model
    data: Data
    outputs: OutputSpec
    rows: PersonalRows
    where: str
    strengths: Sequence[float] = (1.0,)

    def adapted(self, given: np.ndarray, strength: float) -> Scorer:
        """See `embench.engine.predict.Adapter`; there is one strength."""
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        changed = self._changed(given) if len(given) else {}

        def scores(index: np.ndarray) -> np.ndarray:
            self.model.load_state_dict({**before, **changed})
            with torch.no_grad():
                made = probabilities(self.outputs, checked_logits(self.model(self.data.batch(index)), self.outputs))
            self.model.load_state_dict(before)
            return made.cpu().numpy()

        return scores

    def _changed(self, given: np.ndarray) -> dict[str, torch.Tensor]:
        """The tensors that the plugin changes for a subject."""
        y = self.rows.y[given]
        labels = torch.from_numpy(y.astype(np.float32))[:, None].to(self.data.device) if np.isfinite(y).all() else None
        try:
            return personalised(self.plugin, self.model, self.data.batch(given), labels)
        except PluginError as error:
            error.where = error.where or self.where
            raise


def personal_predictor(
    params: FitParams,
    rows: PersonalRows,
    adapter: Adapter,
    features: Scorer,
    present: np.ndarray,
    base: Predictor,
    *,
    labelled: bool,
) -> Predictor:
    """The predictor that answers for each subject by what it gave, beside the tables of `base`.

    Args:
        features, labelled: as of `PersonalPredictions`.
        present: (k,) positions of the rows in which anything was recorded.
    """
    (target,) = network.output_spec_of(params).targets
    personal = PersonalPredictions(target, rows, adapter, features, present, labelled)

    def predictor(index: np.ndarray) -> dict[str, np.ndarray]:
        return {**base(index), **personal(index)}

    return predictor


# Predictions for every unit of some subjects, in float32, with the check that none depends on the other units.

SINGLE_ROWS = 64


def predict_units(stage: Stage[PredictParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Fits an estimator to its rows, or loads a network, and writes `predictions.npz`: `score` (units, columns)
    float64, NaN for units that have none of the modalities; where the fitted stage kept every epoch, also `epochs`
    (epochs, units, columns), the same for each; where a network predicts, also `hidden` (units, H) float32, its last
    hidden layer (what an estimator reads of frozen nets), averaged over a unit's rows."""
    asked = questions(stage, root)
    data, grid = asked.data, asked.grid
    shuffled = np.random.default_rng(stage.seed).permutation(asked.rows)

    def predictions(epoch: int | None) -> dict[str, np.ndarray]:
        if len(shuffled) == 0:
            made = {"score": np.zeros((0, asked.columns))}
        else:
            made = _checked(asked, asked.predictor(epoch), shuffled)
        units = len(stage.task["recording"])
        return {name: units_of_rows(part, grid.unit, units, data.size, shuffled) for name, part in made.items()}

    tables = predictions(None)
    score = tables["score"]
    if "hidden" in tables:
        tables["hidden"] = tables["hidden"].astype(np.float32)
    if asked.params.every_epoch:
        epochs = range(Folder(root, stage.inputs["fitted"]).result()["epochs"])
        tables["epochs"] = np.stack([predictions(epoch)["score"] for epoch in epochs])

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **tables)

    folder.write("predictions.npz", write)
    return {"units": int(np.isfinite(score[:, 0]).sum()), "absent": int(np.isnan(score[:, 0]).sum()), **asked.size}


@dataclass(frozen=True)
class Questions:
    """Questions of a stage to its fitted plugins: `rows` (n,) are the positions in `data` of which anything was
    recorded, `unit_ids` (units,) name the stage's units; `predictor` loads the weights of an epoch, or those that were
    kept. `size`: the parameters and operations of an estimator, which is fitted for these questions. `subject`: of each
    row of `data`, whose it is."""

    params: FitParams
    source: StoreSource
    data: Data
    grid: Grid
    rows: np.ndarray
    unit_ids: np.ndarray
    predictor: Callable[[int | None], Predictor]
    size: Mapping[str, int | None]
    subject: np.ndarray

    @property
    def names(self) -> str:
        """The plugins that answer."""
        names = [part.name for part in self.params.modalities.values()]
        return ", ".join([*names, self.params.fusion.name] if isinstance(self.params, FusionParams) else names)

    @property
    def tolerance(self) -> float:
        """Largest difference between predictions of a row alone and in a batch: the device's, ten times that over
        standardised tokens, where the rounding of tokens counts by how little they vary."""
        standardised = any(part.recipe.adapt == "ridge" for part in self.params.modalities.values())
        return machine.tolerance(self.data.device) * (10 if standardised else 1)

    @property
    def columns(self) -> int:
        """Number of columns of a row's prediction."""
        return sum(len(target.columns) for target in network.output_spec_of(self.params).targets)


def questions(stage: Stage[PredictParams], root: Path) -> Questions:
    """The rows of a stage's units, as the fitted stage that it predicts with reads them; an estimator is fitted."""
    stage, fitted = with_slices(stage), stage.inputs["fitted"]
    fitted_stage = network.describe(Folder(root, fitted))
    params, own = fitted_stage.params, fitted_stage.params.common.source
    # The network's lengths are those of the data that it was fitted on, which may be another dataset's.
    spec = replace(stage.params.common.source, longest_s=own.longest_s, shortest_s=own.shortest_s)
    source = StoreSource.of(spec, stage.places, stage.task)
    specs = network.load_specs(Folder(root, fitted))
    data, found, grid = of_units(stage, params, source, drop=stage.params.drop, specs=specs)
    channels = {m: spec.channels for m, spec in found.items() if spec.rate is not None}
    present, beside = np.flatnonzero(data.present.any(1)), personal_rows(stage, source, grid)
    rows, unit_ids = present[beside.role[present] < 0], _unit_ids(source, stage.task)
    size = dict[str, int | None]()
    predictor: Callable[[int | None], Predictor] = partial(_network, root, fitted, data, channels)
    if isinstance(params, FusionParams) and fitted_stage.kind == "estimator":
        estimator = fit_estimator(params, Folder(root, fitted))
        own_size, operations = size_of(estimator)
        frozen = Folder(root, fitted).result()["frozen"]
        size = {"parameters": None if own_size is None else own_size + frozen, "flops": operations}
        X = _rows_of_estimator(root, params, fitted_stage.inputs, data, channels)

        def predictor(_: int | None) -> Predictor:
            made = _estimator(params, estimator, X)
            if not stage.params.given:
                return made
            adapter: Adapter = AsFitted(made)
            if LEARNED not in stage.params.given:
                columns = len(network.output_spec_of(params).targets[0].columns)
                adapter = EstimatorAdapter(estimator, fitted_rows(Folder(root, fitted)), beside, X, columns)
            labelled = "unlabelled" not in stage.params.given
            return personal_predictor(params, beside, adapter, X.__getitem__, present, made, labelled=labelled)

    elif stage.params.given:
        predictor = partial(_adapting_network, stage, root, params, data, channels, beside, present)
    return Questions(params, source, data, grid, rows, unit_ids, predictor, size, beside.subject)


def units_of_rows(values: np.ndarray, unit: np.ndarray, units: int, rows: int, order: np.ndarray) -> np.ndarray:
    """Rows' predictions averaged up to the unit, in the order of the grid whatever order they came in; NaN in units
    without a row."""
    table = np.full((rows, values.shape[1]), np.nan)
    table[order] = values
    there = np.isfinite(table[:, 0])
    total = np.zeros((units, values.shape[1]))
    np.add.at(total, unit[there], table[there])
    count = np.bincount(unit[there], minlength=units)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _unit_ids(source: StoreSource, task: Mapping[str, np.ndarray]) -> np.ndarray:
    """The ids of a stage's units, for messages."""
    spans = zip(task["recording"], task["start"], task["stop"], strict=True)
    recordings = source.store.recordings
    return np.array([str(UnitId.of(recordings[r].id, a, b)) for r, a, b in spans])


def _network(
    root: Path, fitted: str, data: Data, channels: Mapping[str, tuple[str, ...]], epoch: int | None
) -> Predictor:
    model, _, fitted_stage = network.load_model(root, fitted, epoch, channels)
    outputs = network.output_spec_of(fitted_stage.params)
    model.to(data.device)

    def predictor(index: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            output = model(data.batch(index))
            tables = {"score": probabilities(outputs, checked_logits(output, outputs)), "hidden": output.hidden.float()}
        return {name: part.cpu().numpy() for name, part in tables.items()}

    return predictor


def _adapting_network(
    stage: Stage[PredictParams],
    root: Path,
    params: FitParams,
    data: Data,
    channels: Mapping[str, tuple[str, ...]],
    beside: PersonalRows,
    present: np.ndarray,
    epoch: int | None,
) -> Predictor:
    """A network that adapts to what test subjects give: by its plugin's own way, else, with labels, by a layer beside
    its head."""
    fitted, labelled = stage.inputs["fitted"], "unlabelled" not in stage.params.given
    base, plugin = _network(root, fitted, data, channels, epoch), personalising_plugin(params)
    if plugin is None and not labelled:
        return base
    there = np.zeros(len(beside.role), bool)
    there[present] = True
    seen = replace(beside, role=np.where(there, beside.role, -1))
    adapter: Adapter
    if LEARNED in stage.params.given:
        adapter = AsFitted(base)
    elif plugin is None:
        adapter = head_adapter(params, seen, base, data.at_once)
    else:
        model = network.load_model(root, fitted, epoch, channels)[0].to(data.device)
        adapter = PluginAdapter(plugin, model, data, network.output_spec_of(params), beside, type(plugin).__name__)

    def features(index: np.ndarray) -> np.ndarray:
        return base(index)["hidden"]

    return personal_predictor(params, beside, adapter, features, present, base, labelled=labelled)


def _rows_of_estimator(
    root: Path,
    params: FusionParams,
    nets: Mapping[str, str],
    data: Data,
    channels: Mapping[str, tuple[str, ...]],
) -> np.ndarray:
    """(n, features) what an estimator reads of all rows: the encoders' features, or what frozen nets say."""
    if params.inputs != "features":
        stages = {m: nets[f"unimodal:{m}"] for m in data.feeds}
        frozen = {m: network.hidden_encoder(root, stage, params.inputs, channels)[0] for m, stage in stages.items()}
        data = fits.hidden_data(data, frozen)
    return feature_rows(data)


def _estimator(params: FusionParams, estimator: Estimator, X: np.ndarray) -> Predictor:
    over_nets = params.inputs != "features"
    (target,) = network.output_spec_of(params).targets

    def predictor(index: np.ndarray) -> dict[str, np.ndarray]:
        score = np.asarray(estimator.score(X[index]))
        shape = (len(index), len(target.columns)) if target.traits.several else (len(index),)
        if score.shape != shape or score.dtype.kind not in "fiub":
            raise PluginError(
                f"`score` gave {score.dtype} of shape {score.shape}",
                where=params.fusion.name,
                expected=f"numbers of shape {shape}",
            )
        tables = {"score": score.astype(np.float64).reshape(len(index), -1)}
        return {**tables, "hidden": np.nan_to_num(X[index])} if over_nets else tables

    return predictor


def _checked(asked: Questions, predictor: Predictor, order: np.ndarray) -> dict[str, np.ndarray]:
    """The predictions of rows (n,) in this order; refused where a row's prediction depends on the rows beside it."""
    size, tolerance, unit = asked.data.at_once, asked.tolerance, asked.unit_ids[asked.grid.unit]
    parts = [predictor(order[i : i + size]) for i in range(0, len(order), size)]
    tables = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    batched = tables["score"]
    most = SINGLE_ROWS if asked.data.device == "cpu" else SINGLE_ROWS // 8  # a pass takes a GPU milliseconds
    sample = np.linspace(0, len(order) - 1, min(most, len(order))).astype(int)
    single = np.concatenate([predictor(order[i : i + 1])["score"] for i in sample])
    gap = deviation(single, batched[sample])
    if not np.isfinite(batched).all():
        raise PluginError("a prediction is not a finite number", where=asked.names)
    if not (gap <= tolerance).all():
        worst = [f"unit {unit[order[sample[i]]]} differs by {gap[i]:.2g}" for i in np.argsort(-gap)[:3]]
        raise PluginError(
            "a unit's prediction depends on the other units in its batch: " + ", ".join(worst),
            where=asked.names,
            expected=f"the same prediction alone and in a batch, within {tolerance:g}",
            hint="a method must not use batch statistics when it predicts",
        )
    return {name: part.astype(np.float64) for name, part in tables.items()}


def deviation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) the largest difference in each row of two tables (n, columns). Float32 holds so many digits, so that values
    above 1 differ by a share of their size."""
    return np.asarray((np.abs(one - other) / np.maximum(1.0, np.abs(other))).max(1))
