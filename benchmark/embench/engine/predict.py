"""Predict every unit of some subjects, after adaptation to the test subject if the protocol allows it."""

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
from embench.engine.fits import feature_rows, fit_estimator, fitted_rows, load_unit_rows, measure_size
from embench.engine.network import probabilities
from embench.engine.rows import Grid, StoreSource, load_encoder
from embench.engine.stage import FitParams, Folder, FusionParams, PredictParams, Stage
from embench.errors import PluginError
from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.personal import Personalised, collect_changes
from embench.interfaces.tokens import OutputSpec
from embench.interfaces.units import Target
from embench.nn import Model, check_logits
from embench.protocols import CALIBRATION_ONLY, UnitId

# A method adapts to a test subject in one of three ways. An estimator creates one for the subject
# (`Estimator.personalise`). A network gets a linear layer beside its head. Or a plugin changes the network itself
# (`Personalised.personalise`). The strength is chosen on training subjects who are treated like test subjects. Each
# test subject is adapted to separately, independent of earlier ones.

GIVEN, TRIAL_GIVEN, TRIAL_SCORED = 0, 1, 2
"""Roles of units besides those to be predicted: calibration units of test subjects; calibration units of training
subjects that stand in for test subjects to choose the adaptation strength; and the scored units of the latter."""
LEARNED = "learned"
"""Value if calibration data were already trained on, so that there is nothing left to adapt to."""
STEPS = (0, 1, 3, 10, 30, 100)
"""Candidate numbers of gradient steps for a layer beside a head."""
_LEAST_PROBABILITY = 1e-6

Predictor = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Function of row positions (b,) to `score`, probabilities or values (b, columns), and, for networks, the last hidden
layer `hidden` (b, H)."""
Scorer = Callable[[np.ndarray], np.ndarray]
"""Function of row positions, or rows, (b, ...) to scores (b, columns)."""


class SubjectRows(NamedTuple):
    """Row positions of a subject: its calibration rows `given`, and its rows to be predicted or, for training subjects,
    scored."""

    given: np.ndarray
    predicted: np.ndarray


class Adapter(Protocol):
    """A way to adapt a fitted method to one subject."""

    @property
    def strengths(self) -> Sequence[float]:
        """Candidate strengths of adaptation, ascending."""

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """Return the scorer adapted to the subject whose calibration rows lie at positions `given`."""


@dataclass(frozen=True)
class PersonalRows:
    """All n rows of a stage that predicts: rows to be predicted, calibration rows and trial rows.

    Args:
        subject: (n,) the subject of each row. `role`: (n,) -1 for a row to be predicted, else `GIVEN`, `TRIAL_GIVEN` or
            `TRIAL_SCORED`.
        y, weight: (n,) labels, NaN without one, and the row's proportion of its unit."""

    subject: np.ndarray
    role: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def split_by_role(self, given: int, predicted: int, known: np.ndarray) -> dict[str, SubjectRows]:
        """Return subject -> its rows with the roles `given` and `predicted`, among the recorded rows `known` (k,)."""
        found = {}
        for name in np.unique(self.subject[known]).tolist():
            own = known[self.subject[known] == name]
            found[name] = SubjectRows(own[self.role[own] == given], own[self.role[own] == predicted])
        return {name: rows for name, rows in found.items() if len(rows.predicted)}

    def labelled(self, index: np.ndarray) -> np.ndarray:
        """Return the positions of `index` (k,) that have a label."""
        return index[np.isfinite(self.y[index])]


def choose_strength(adapter: Adapter, target: Target, rows: PersonalRows, trial: Mapping[str, SubjectRows]) -> float:
    """Return the strength with the smallest mean loss over trial subjects; the weakest in case of a tie."""
    if len(adapter.strengths) == 1:
        return float(adapter.strengths[0])
    losses = np.zeros(len(adapter.strengths))
    for own in trial.values():
        scored = rows.labelled(own.predicted)
        for k, strength in enumerate(adapter.strengths if len(scored) else ()):
            score = adapter.adapt(own.given, strength)(scored)
            losses[k] += mean_loss(target, score, rows.y[scored], rows.weight[scored])
    return float(adapter.strengths[int(losses.argmin())])


def mean_loss(target: Target, score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Return the mean log loss of scores (n, columns), or the mean squared error of values."""
    share = weight / weight.sum()
    if not target.traits.has_classes:
        return float(share @ (score[:, 0] - y) ** 2)
    shares = score if target.traits.has_score_per_class else np.hstack([1 - score, score])
    true = shares[np.arange(len(y)), y.astype(int)]
    return float(-share @ np.log(np.clip(true, _LEAST_PROBABILITY, 1)))


@dataclass(frozen=True)
class AsFitted:
    """No adaptation: the method was already fitted to calibration data together with other subjects' units."""

    base: Predictor
    strengths: Sequence[float] = (0.0,)

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """See `Adapter`."""
        return lambda index: self.base(index)["score"]


@dataclass(frozen=True)
class HeadAdapter:
    """A linear layer beside the head, on the last hidden layer. It is fitted to calibration data by gradient steps from
    zero. The step length is 1 over the Lipschitz constant of the gradient."""

    target: Target
    rows: PersonalRows
    base: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    """Function of positions (b,) to scores (b, columns) and hidden layers (b, H)."""
    strengths: Sequence[float] = STEPS

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """See `Adapter`; the strength is a number of steps."""
        layer = self._fitted(self.rows.labelled(given), int(strength))

        def scores(index: np.ndarray) -> np.ndarray:
            score, hidden = self.base(index)
            if layer is None:
                return score
            return _scores_of_logits(self.target, _logits_of_scores(self.target, score) + _append_one(hidden) @ layer)

        return scores

    def _fitted(self, given: np.ndarray, steps: int) -> np.ndarray | None:
        """Return the layer (H + 1, outputs); None without data to fit it to."""
        if not len(given) or not steps:
            return None
        score, hidden = self.base(given)
        x, first = _append_one(hidden), _logits_of_scores(self.target, score)
        share = self.rows.weight[given] / self.rows.weight[given].sum()
        y = self.rows.y[given]
        truth = np.eye(self.target.n)[y.astype(int)] if self.target.traits.has_score_per_class else y[:, None]
        curve = float(np.linalg.eigvalsh((x * share[:, None]).T @ x).max())
        step = 1 / max(_LEAST_PROBABILITY, curve * (0.25 if self.target.kind == "binary" else 1.0))
        layer = np.zeros((x.shape[1], first.shape[1]))
        for _ in range(steps):
            wrong = _scores_of_logits(self.target, first + x @ layer) - truth
            layer -= step * x.T @ (wrong * share[:, None])
        return layer


@dataclass(frozen=True)
class EstimatorAdapter:
    """One estimator per subject, which `personalise` makes from a copy, so that no subject's data reach another. Trial
    subjects are removed from the training rows."""

    estimator: Estimator
    training: TrainingRows
    rows: PersonalRows
    X: np.ndarray
    columns: int

    @property
    def strengths(self) -> Sequence[float]:
        """See `Adapter`."""
        return type(self.estimator).strengths

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
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
        """Return a copy of all other subjects' training rows."""
        other = self.training.subjects != subject
        return self.training._replace(**{
            **{name: getattr(self.training, name)[other] for name in ("X", "y", "subjects", "weight")},
            "val": deepcopy(self.training.val),
        })  # fmt: skip


def calibration_only(target: Target, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Scorer:
    """Fit a linear model to one subject's calibration data alone; return its scorer of features (b, H). If all labels
    are equal, it predicts that label.

    Args:
        x: (m, H) features. y, weight: (m,)."""
    from sklearn.impute import SimpleImputer  # slow to import
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    columns = len(target.columns)
    if not len(y) or (y == y[0]).all():
        same = float(y[0]) if len(y) else 0.5
        alone = np.eye(target.n)[int(same)] if target.traits.has_score_per_class and len(y) else np.full(columns, same)
        if target.traits.has_score_per_class and not len(y):
            alone = np.full(columns, 1 / columns)
        return lambda features: np.tile(alone, (len(features), 1))
    model: Any = LogisticRegression(max_iter=1000) if target.traits.has_classes else Ridge(alpha=1.0)
    prepare = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    model.fit(prepare.fit_transform(x), y, sample_weight=weight)

    def scores(features: np.ndarray) -> np.ndarray:
        rows = prepare.transform(features)
        if not target.traits.has_classes:
            return np.asarray(model.predict(rows)).reshape(-1, 1)
        share = np.zeros((len(features), target.n))
        share[:, model.classes_.astype(int)] = model.predict_proba(rows)
        return share if target.traits.has_score_per_class else share[:, 1:]

    return scores


@dataclass(frozen=True)
class PersonalPredictions:
    """Predictions of a stage whose test subjects have calibration units.

    Args:
        features: function of positions (b,) to (b, H) features or hidden layers, to which the calibration-only model is
            fitted.
        known: (k,) positions of rows with recorded data.
        labelled: True if calibration units have labels. Only plugins with their own `personalise` use unlabelled
    ones."""

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
        """Strength of adaptation, chosen on training subjects."""
        if not self.labelled:
            return self.adapter.strengths[-1]
        trial = self.rows.split_by_role(TRIAL_GIVEN, TRIAL_SCORED, self.known)
        return choose_strength(self.adapter, self.target, self.rows, trial)

    @cached_property
    def _subjects(self) -> dict[str, SubjectRows]:
        return self.rows.split_by_role(GIVEN, -1, self.known)

    def _subject_scorer(self, name: str) -> Scorer:
        """Return the scorer of a subject; the adaptation is computed at the first call."""
        if name not in self._adapted_to:
            self._adapted_to[name] = self.adapter.adapt(self._subjects[name].given, self.strength)
        return self._adapted_to[name]

    def _calibration_only_scorer(self, name: str) -> Scorer:
        if name not in self._fitted_to:
            own = self.rows.labelled(self._subjects[name].given)
            x = self.features(own)
            self._fitted_to[name] = calibration_only(self.target, x, self.rows.y[own], self.rows.weight[own])
        return self._fitted_to[name]

    def __call__(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Return the tables of rows at positions `index` (b,): `score` and, with labelled calibration units,
        `calibration_only`, both (b, columns)."""
        tables = {"score": self._each(index, lambda name, at: self._subject_scorer(name)(index[at]))}
        if self.labelled:
            x = self.features(index)
            tables[CALIBRATION_ONLY] = self._each(index, lambda name, at: self._calibration_only_scorer(name)(x[at]))
        return tables

    def _each(self, index: np.ndarray, answer: Callable[[str, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return (b, columns) each subject's `answer`, a function of a name and a mask (b,)."""
        table = np.empty((len(index), len(self.target.columns)))
        for name in np.unique(self.rows.subject[index]).tolist():
            at = self.rows.subject[index] == name
            table[at] = answer(name, at)
        return table


def _append_one(hidden: np.ndarray) -> np.ndarray:
    return np.hstack([hidden, np.ones((len(hidden), 1))]).astype(np.float64)


def _logits_of_scores(target: Target, score: np.ndarray) -> np.ndarray:
    if not target.traits.has_classes:
        return score.astype(np.float64)
    bounded = np.clip(score.astype(np.float64), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.asarray(log_softmax(np.log(bounded), 1) if target.traits.has_score_per_class else logit(bounded))


def _scores_of_logits(target: Target, logits: np.ndarray) -> np.ndarray:
    if not target.traits.has_classes:
        return logits
    return np.asarray(softmax(logits, 1) if target.traits.has_score_per_class else expit(logits))


def add_calibration_units(stage: Stage[PredictParams]) -> Stage[PredictParams]:
    """Return the stage with calibration and trial units appended to those to be predicted."""
    if "slice_role" not in stage.task:
        return stage
    names = ("recording", "start", "stop")
    both = {name: np.concatenate([stage.task[name], stage.task[f"slice_{name}"]]) for name in names}
    return replace(stage, task={**stage.task, **both})


def personal_rows(stage: Stage[PredictParams], source: StoreSource, grid: Grid) -> PersonalRows:
    """Return the rows of a stage from `add_calibration_units`, with the role of each."""
    task = stage.task
    role, y = task.get("slice_role", np.empty(0, np.int64)), task.get("slice_y", np.empty((0, 1)))
    predicted = len(task["recording"]) - len(role)
    subject = np.array([source.store.recordings[r].subject for r in grid.recording.tolist()])
    roles = np.concatenate([np.full(predicted, -1), role])[grid.unit]
    labels = np.concatenate([np.full(predicted, np.nan), y[:, 0]])[grid.unit]
    return PersonalRows(subject, roles, labels, grid.weights().astype(np.float64))


def personalising_plugin(params: FitParams) -> Personalised | None:
    """Return the plugin whose own `personalise` adapts a fitted network; None if there is none."""
    plugin: Personalised
    if isinstance(params, FusionParams):
        plugin = network.load_fusion(params.fusion)
    else:
        (part,) = params.modalities.values()
        plugin = load_encoder(part)
    return None if type(plugin).personalise is Personalised.personalise else plugin


def head_adapter(params: FitParams, rows: PersonalRows, base: Predictor, at_once: int) -> HeadAdapter:
    """Return the layer beside a network's head; calibration and trial rows are predicted only once."""
    (target,) = network.make_output_spec(params).targets
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
    """A network that its plugin adapts, one copy per subject."""

    plugin: Personalised
    model: Model
    data: Data
    outputs: OutputSpec
    rows: PersonalRows
    where: str
    strengths: Sequence[float] = (1.0,)

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """See `embench.engine.predict.Adapter`; there is only one strength."""
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        changed = self._changed(given) if len(given) else {}

        def scores(index: np.ndarray) -> np.ndarray:
            self.model.load_state_dict({**before, **changed})
            with torch.no_grad():
                made = probabilities(self.outputs, check_logits(self.model(self.data.batch(index)), self.outputs))
            self.model.load_state_dict(before)
            return made.cpu().numpy()

        return scores

    def _changed(self, given: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the tensors that the plugin changes for a subject."""
        y = self.rows.y[given]
        labels = torch.from_numpy(y.astype(np.float32))[:, None].to(self.data.device) if np.isfinite(y).all() else None
        try:
            return collect_changes(self.plugin, self.model, self.data.batch(given), labels)
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
    """Return a predictor that adapts to each subject's calibration data, and adds the tables of `base`.

    Args:
        features, labelled: as for `PersonalPredictions`.
        present: (k,) positions of rows with recorded data."""
    (target,) = network.make_output_spec(params).targets
    personal = PersonalPredictions(target, rows, adapter, features, present, labelled)
    return lambda index: {**base(index), **personal(index)}


SINGLE_ROWS = 64


def predict_units(stage: Stage[PredictParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Load a network, or fit an estimator to its rows, and write `predictions.npz`.

    It holds `score` (units, columns) float64, NaN for units without any of the modalities; `epochs` (epochs, units,
    columns), the score of each epoch, if all were saved; and `hidden` (units, H) float32, a network's last hidden
    layer, or the estimator's input from frozen networks, averaged over a unit's rows."""
    setup = prepare_predictions(stage, root)
    data, grid = setup.data, setup.grid
    shuffled = np.random.default_rng(stage.seed).permutation(setup.rows)

    def predictions(epoch: int | None) -> dict[str, np.ndarray]:
        if len(shuffled) == 0:
            made = {"score": np.zeros((0, setup.columns))}
        else:
            made = _predict_checked(setup, setup.predictor(epoch), shuffled)
        units = len(stage.task["recording"])
        return {name: average_rows(part, grid.unit, units, data.size, shuffled) for name, part in made.items()}

    tables = predictions(None)
    score = tables["score"]
    if "hidden" in tables:
        tables["hidden"] = tables["hidden"].astype(np.float32)
    if setup.params.every_epoch:
        epochs = range(Folder(root, stage.inputs["fitted"]).result()["epochs"])
        tables["epochs"] = np.stack([predictions(epoch)["score"] for epoch in epochs])
    folder.write_arrays("predictions.npz", tables)
    return {"units": int(np.isfinite(score[:, 0]).sum()), "absent": int(np.isnan(score[:, 0]).sum()), **setup.size}


@dataclass(frozen=True)
class PredictionSetup:
    """Everything needed to repeat the predictions of a stage.

    Args:
        rows: (n,) the positions in `data` with recorded data. `unit_ids`: (units,) the names of the units.
        predictor: loads the weights of an epoch, or with None the selected ones.
        size: the parameters and operations of an estimator.
        subject: the subject of each row of `data`."""

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
        """The plugins that predict, for messages."""
        names = [part.name for part in self.params.modalities.values()]
        return ", ".join([*names, self.params.fusion.name] if isinstance(self.params, FusionParams) else names)

    @property
    def tolerance(self) -> float:
        """Largest allowed difference between a row's prediction alone and in a batch: the device's tolerance; ten times
        as much for standardised tokens, whose small spread amplifies rounding."""
        standardised = any(part.recipe.adapt == "ridge" for part in self.params.modalities.values())
        return machine.tolerance(self.data.device) * (10 if standardised else 1)

    @property
    def columns(self) -> int:
        """Number of columns of a row's prediction."""
        return sum(len(target.columns) for target in network.make_output_spec(self.params).targets)


def prepare_predictions(stage: Stage[PredictParams], root: Path) -> PredictionSetup:
    """Return the rows of a stage's units as the fitted stage reads them; an estimator is fitted here."""
    stage, fitted = add_calibration_units(stage), stage.inputs["fitted"]
    fitted_stage = network.describe(Folder(root, fitted))
    params, own = fitted_stage.params, fitted_stage.params.common.source
    # The network's lengths are those of its training data, possibly another dataset's.
    spec = replace(stage.params.common.source, longest_s=own.longest_s, shortest_s=own.shortest_s)
    source = StoreSource.from_spec(spec, stage.places, stage.task)
    specs = network.load_specs(Folder(root, fitted))
    data, found, grid = load_unit_rows(stage, params, source, drop=stage.params.drop, specs=specs)
    channels = {m: spec.channels for m, spec in found.items() if spec.rate is not None}
    present, beside = np.flatnonzero(data.present.any(1)), personal_rows(stage, source, grid)
    rows, unit_ids = present[beside.role[present] < 0], _unit_ids(source, stage.task)
    size = dict[str, int | None]()
    predictor: Callable[[int | None], Predictor] = partial(_network_predictor, root, fitted, data, channels)
    if isinstance(params, FusionParams) and fitted_stage.kind == "estimator":
        estimator = fit_estimator(params, Folder(root, fitted))
        own_size, operations = measure_size(estimator)
        frozen = Folder(root, fitted).result()["frozen"]
        size = {"parameters": None if own_size is None else own_size + frozen, "flops": operations}
        X = _estimator_input(root, params, fitted_stage.inputs, data, channels)

        def predictor(_: int | None) -> Predictor:
            made = _estimator_predictor(params, estimator, X)
            if not stage.params.given:
                return made
            adapter: Adapter = AsFitted(made)
            if LEARNED not in stage.params.given:
                columns = len(network.make_output_spec(params).targets[0].columns)
                adapter = EstimatorAdapter(estimator, fitted_rows(Folder(root, fitted)), beside, X, columns)
            labelled = "unlabelled" not in stage.params.given
            return personal_predictor(params, beside, adapter, X.__getitem__, present, made, labelled=labelled)

    elif stage.params.given:
        predictor = partial(_adapting_network, stage, root, params, data, channels, beside, present)
    return PredictionSetup(params, source, data, grid, rows, unit_ids, predictor, size, beside.subject)


def average_rows(values: np.ndarray, unit: np.ndarray, units: int, rows: int, order: np.ndarray) -> np.ndarray:
    """Return the rows' predictions averaged over each unit, in the order of the grid; NaN for units without a row."""
    table = np.full((rows, values.shape[1]), np.nan)
    table[order] = values
    there = np.isfinite(table[:, 0])
    total = np.zeros((units, values.shape[1]))
    np.add.at(total, unit[there], table[there])
    count = np.bincount(unit[there], minlength=units)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _unit_ids(source: StoreSource, task: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the ids of a stage's units, for messages."""
    spans = zip(task["recording"], task["start"], task["stop"], strict=True)
    recordings = source.store.recordings
    return np.array([str(UnitId.from_seconds(recordings[r].id, a, b)) for r, a, b in spans])


def _network_predictor(
    root: Path, fitted: str, data: Data, channels: Mapping[str, tuple[str, ...]], epoch: int | None
) -> Predictor:
    model, _, fitted_stage = network.load_model(root, fitted, epoch, channels)
    outputs = network.make_output_spec(fitted_stage.params)
    model.to(data.device)

    def predictor(index: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            output = model(data.batch(index))
            tables = {"score": probabilities(outputs, check_logits(output, outputs)), "hidden": output.hidden.float()}
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
    """Return a network's predictor adapted to calibration data: by its plugin's own method, else, with labels, by a
    layer beside its head."""
    fitted, labelled = stage.inputs["fitted"], "unlabelled" not in stage.params.given
    base, plugin = _network_predictor(root, fitted, data, channels, epoch), personalising_plugin(params)
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
        adapter = PluginAdapter(plugin, model, data, network.make_output_spec(params), beside, type(plugin).__name__)
    return personal_predictor(
        params, beside, adapter, lambda index: base(index)["hidden"], present, base, labelled=labelled
    )


def _estimator_input(
    root: Path,
    params: FusionParams,
    nets: Mapping[str, str],
    data: Data,
    channels: Mapping[str, tuple[str, ...]],
) -> np.ndarray:
    """Return (n, features) the estimator's input for all rows: the encoders' features, or outputs of frozen
    networks."""
    if params.inputs != "features":
        stages = {m: nets[f"unimodal:{m}"] for m in data.feeds}
        frozen = {m: network.hidden_encoder(root, stage, params.inputs, channels)[0] for m, stage in stages.items()}
        data = fits.hidden_data(data, frozen)
    return feature_rows(data)


def _estimator_predictor(params: FusionParams, estimator: Estimator, X: np.ndarray) -> Predictor:
    over_nets = params.inputs != "features"
    (target,) = network.make_output_spec(params).targets

    def predictor(index: np.ndarray) -> dict[str, np.ndarray]:
        score = np.asarray(estimator.score(X[index]))
        shape = (len(index), len(target.columns)) if target.traits.has_score_per_class else (len(index),)
        if score.shape != shape or score.dtype.kind not in "fiub":
            raise PluginError(
                f"`score` gave {score.dtype} of shape {score.shape}",
                where=params.fusion.name,
                expected=f"numbers of shape {shape}",
            )
        tables = {"score": score.astype(np.float64).reshape(len(index), -1)}
        return {**tables, "hidden": np.nan_to_num(X[index])} if over_nets else tables

    return predictor


def _predict_checked(setup: PredictionSetup, predictor: Predictor, order: np.ndarray) -> dict[str, np.ndarray]:
    """Return the predictions of rows (n,) in this order. Raises PluginError if a prediction depends on other rows in
    the batch."""
    size, tolerance, unit = setup.data.at_once, setup.tolerance, setup.unit_ids[setup.grid.unit]
    parts = [predictor(order[i : i + size]) for i in range(0, len(order), size)]
    tables = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    batched = tables["score"]
    most = SINGLE_ROWS if setup.data.device == "cpu" else SINGLE_ROWS // 8  # a forward pass takes milliseconds on a GPU
    sample = np.linspace(0, len(order) - 1, min(most, len(order))).astype(int)
    single = np.concatenate([predictor(order[i : i + 1])["score"] for i in sample])
    gap = row_deviations(single, batched[sample])
    if not np.isfinite(batched).all():
        raise PluginError("a prediction is not a finite number", where=setup.names)
    if not (gap <= tolerance).all():
        worst = [f"unit {unit[order[sample[i]]]} differs by {gap[i]:.2g}" for i in np.argsort(-gap)[:3]]
        raise PluginError(
            "a unit's prediction depends on the other units in its batch: " + ", ".join(worst),
            where=setup.names,
            expected=f"the same prediction alone and in a batch, within {tolerance:g}",
            hint="a method must not use batch statistics when it predicts",
        )
    return {name: part.astype(np.float64) for name, part in tables.items()}


def row_deviations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return (n,) the largest difference in each row of two tables (n, columns), relative for values above 1."""
    return np.asarray((np.abs(one - other) / np.maximum(1.0, np.abs(other))).max(1))
