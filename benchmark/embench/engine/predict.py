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
"""Roles of units that are not predicted. `GIVEN`: calibration units of test subjects. To choose the strength of
adaptation, some training subjects are treated like test subjects: `TRIAL_GIVEN` are their calibration units, and
`TRIAL_SCORED` the units on which strengths are compared."""
LEARNED = "learned"
"""Key of the calibration data in a stage's params if the method was already trained on them, so that nothing adapts."""
STEPS = (0, 1, 3, 10, 30, 100)
"""Candidate numbers of gradient steps for a layer beside a head."""
_LEAST_PROBABILITY = 1e-6

Predictor = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Function from row positions (b,) to tables. `score` holds probabilities or values (b, columns). Networks also give
their last hidden layer as `hidden` (b, H)."""
Scorer = Callable[[np.ndarray], np.ndarray]
"""Function from row positions (b,), or from rows (b, ...), to scores (b, columns)."""


class SubjectRows(NamedTuple):
    """Row positions of a subject: calibration rows `given`, and rows `predicted` (of training subjects: scored)."""

    given: np.ndarray
    predicted: np.ndarray


class Adapter(Protocol):
    """A way to adapt a fitted method to one subject."""

    @property
    def strengths(self) -> Sequence[float]:
        """Candidate strengths of adaptation, ascending."""

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """Return the scorer adapted to one subject, whose calibration rows are at positions `given` (k,)."""


@dataclass(frozen=True)
class PersonalRows:
    """All n rows of a stage that predicts: rows to be predicted, calibration rows and trial rows.

    Args:
        subject: (n,) the subject of each row.
        role: (n,) -1 for a row to be predicted, else `GIVEN`, `TRIAL_GIVEN` or `TRIAL_SCORED`.
        y, weight: (n,) label, NaN without one, and 1 / (number of rows of the row's unit)."""

    subject: np.ndarray
    role: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def split_by_role(self, given: int, predicted: int, known: np.ndarray) -> dict[str, SubjectRows]:
        """Return subject -> its rows with the roles `given` and `predicted`, among the recorded rows `known` (k,).
        Subjects without rows to predict are omitted."""
        found = {}
        for name in np.unique(self.subject[known]).tolist():
            index = known[self.subject[known] == name]
            found[name] = SubjectRows(index[self.role[index] == given], index[self.role[index] == predicted])
        return {name: rows for name, rows in found.items() if len(rows.predicted)}

    def labelled(self, index: np.ndarray) -> np.ndarray:
        """Return the positions in `index` (k,) of rows that have a label."""
        return index[np.isfinite(self.y[index])]


def choose_strength(adapter: Adapter, target: Target, rows: PersonalRows, trial: Mapping[str, SubjectRows]) -> float:
    """Return the candidate strength with the smallest mean loss over the trial subjects; the weakest in case of a tie.
    `trial`: subject -> its calibration rows and scored rows."""
    if len(adapter.strengths) == 1:
        return float(adapter.strengths[0])
    losses = np.zeros(len(adapter.strengths))
    for trial_rows in trial.values():
        scored = rows.labelled(trial_rows.predicted)
        for k, strength in enumerate(adapter.strengths if len(scored) else ()):
            score = adapter.adapt(trial_rows.given, strength)(scored)
            losses[k] += mean_loss(target, score, rows.y[scored], rows.weight[scored])
    return float(adapter.strengths[int(losses.argmin())])


def mean_loss(target: Target, score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Return the weighted mean log loss of scores (n, columns); for continuous targets their mean squared error."""
    share = weight / weight.sum()
    if not target.traits.has_classes:
        return float(share @ (score[:, 0] - y) ** 2)
    shares = score if target.traits.has_score_per_class else np.hstack([1 - score, score])
    true = shares[np.arange(len(y)), y.astype(int)]
    return float(-share @ np.log(np.clip(true, _LEAST_PROBABILITY, 1)))


@dataclass(frozen=True)
class AsFitted:
    """Adapter that changes nothing, for a method that was already trained on the calibration data."""

    base: Predictor
    strengths: Sequence[float] = (0.0,)

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """Return the scorer of the method as it was fitted, whatever the strength."""
        return lambda index: self.base(index)["score"]


@dataclass(frozen=True)
class HeadAdapter:
    """Adapter that adds a linear layer beside a network's head, on its last hidden layer. The layer starts at zero and
    is fitted to calibration data by gradient steps of length 1 / (Lipschitz constant of the gradient)."""

    target: Target
    rows: PersonalRows
    base: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    """Function from row positions (b,) to scores (b, columns) and hidden layers (b, H)."""
    strengths: Sequence[float] = STEPS

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """Return the scorer with a layer fitted to the calibration rows `given` in `strength` gradient steps."""
        layer = self._fitted(self.rows.labelled(given), int(strength))

        def scores(index: np.ndarray) -> np.ndarray:
            score, hidden = self.base(index)
            if layer is None:
                return score
            return _scores_of_logits(self.target, _logits_of_scores(self.target, score) + _append_one(hidden) @ layer)

        return scores

    def _fitted(self, given: np.ndarray, steps: int) -> np.ndarray | None:
        """Return the layer (H + 1, outputs) after `steps` gradient steps; None without steps or labelled rows."""
        if not len(given) or not steps:
            return None
        score, hidden = self.base(given)
        x, first = _append_one(hidden), _logits_of_scores(self.target, score)
        share = self.rows.weight[given] / self.rows.weight[given].sum()
        y = self.rows.y[given]
        truth = np.eye(self.target.n)[y.astype(int)] if self.target.traits.has_score_per_class else y[:, None]
        # Bounds the curvature of the squared error; that of the log loss of two classes is at most a quarter of it.
        curvature = float(np.linalg.eigvalsh((x * share[:, None]).T @ x).max())
        step = 1 / max(_LEAST_PROBABILITY, curvature * (0.25 if self.target.kind == "binary" else 1.0))
        layer = np.zeros((x.shape[1], first.shape[1]))
        for _ in range(steps):
            residual = _scores_of_logits(self.target, first + x @ layer) - truth
            layer -= step * x.T @ (residual * share[:, None])
        return layer


@dataclass(frozen=True)
class EstimatorAdapter:
    """Adapter that calls `personalise` on a copy of an estimator, so that no subject's data reach another. Trial
    subjects are removed from the training rows. `X`: (n, features) of all rows. `columns`: number of columns of a
    score."""

    estimator: Estimator
    training: TrainingRows
    rows: PersonalRows
    X: np.ndarray
    columns: int

    @property
    def strengths(self) -> Sequence[float]:
        """Candidate strengths that the estimator declares."""
        return type(self.estimator).strengths

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """Return the scorer of an estimator adapted to the calibration rows `given`, or of the original one without."""
        labelled, adapted = self.rows.labelled(given), self.estimator
        if len(given):
            labels = self.rows.y[labelled] if len(labelled) else None
            units = self.X[labelled if len(labelled) else given]
            others = self._others(self.rows.subject[given[0]])
            adapted = deepcopy(self.estimator).personalise(units, labels, others, strength)
        if not isinstance(adapted, Estimator):
            raise PluginError(
                f"`personalise` gave {type(adapted).__name__}",
                where=type(self.estimator).__name__,
                expected="an estimator",
            )
        return lambda index: np.asarray(adapted.score(self.X[index]), float).reshape(len(index), self.columns)

    def _others(self, subject: str) -> TrainingRows:
        """Return a copy of the training rows of all subjects except one."""
        other = self.training.subjects != subject
        return self.training._replace(**{
            **{name: getattr(self.training, name)[other] for name in ("X", "y", "subjects", "weight")},
            "val": deepcopy(self.training.val),
        })  # fmt: skip


def calibration_only(target: Target, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Scorer:
    """Fit a linear model to one subject's calibration data alone. Return its scorer of features (b, H). If all labels
    are equal, it always predicts that label; without any, every class has the same probability.

    Args:
        x: (m, H) features. `y`, `weight`: (m,)."""
    from sklearn.impute import SimpleImputer  # slow to import
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    columns = len(target.columns)
    if not len(y) or (y == y[0]).all():
        label = float(y[0]) if len(y) else 0.5
        constant = np.full(columns, label)
        if target.traits.has_score_per_class:
            constant = np.eye(target.n)[int(label)] if len(y) else np.full(columns, 1 / columns)
        return lambda features: np.tile(constant, (len(features), 1))
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
        features: function from row positions (b,) to features or hidden layers (b, H), the input of the
            calibration-only model.
        known: (k,) positions of rows with recorded data.
        labelled: True if calibration units have labels. Only a plugin's own `personalise` uses units without."""

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
            given = self.rows.labelled(self._subjects[name].given)
            x = self.features(given)
            self._fitted_to[name] = calibration_only(self.target, x, self.rows.y[given], self.rows.weight[given])
        return self._fitted_to[name]

    def __call__(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Return the tables of rows at positions `index` (b,): `score` and, with labelled calibration units,
        `calibration_only`. Both are (b, columns)."""
        tables = {"score": self._each(index, lambda name, mask: self._subject_scorer(name)(index[mask]))}
        if self.labelled:
            x = self.features(index)
            tables[CALIBRATION_ONLY] = self._each(
                index, lambda name, mask: self._calibration_only_scorer(name)(x[mask])
            )
        return tables

    def _each(self, index: np.ndarray, answer: Callable[[str, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return a table (b, columns): `answer(name, mask)` gives a subject's rows, which `mask` (b,) marks."""
        table = np.empty((len(index), len(self.target.columns)))
        for name in np.unique(self.rows.subject[index]).tolist():
            mask = self.rows.subject[index] == name
            table[mask] = answer(name, mask)
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
    """Return the stage with its calibration and trial units appended to the units to predict."""
    if "slice_role" not in stage.task:
        return stage
    names = ("recording", "start", "stop")
    both = {name: np.concatenate([stage.task[name], stage.task[f"slice_{name}"]]) for name in names}
    return replace(stage, task={**stage.task, **both})


def personal_rows(stage: Stage[PredictParams], source: StoreSource, grid: Grid) -> PersonalRows:
    """Return the rows of a stage that `add_calibration_units` returned, with the role of each row."""
    task = stage.task
    role, y = task.get("slice_role", np.empty(0, np.int64)), task.get("slice_y", np.empty((0, 1)))
    predicted = len(task["recording"]) - len(role)
    subject = np.array([source.store.recordings[r].subject for r in grid.recording.tolist()])
    roles = np.concatenate([np.full(predicted, -1), role])[grid.unit]
    labels = np.concatenate([np.full(predicted, np.nan), y[:, 0]])[grid.unit]
    return PersonalRows(subject, roles, labels, grid.weights().astype(np.float64))


def personalising_plugin(params: FitParams) -> Personalised | None:
    """Return the plugin of a network if it has its own method `personalise`; else None."""
    plugin: Personalised
    if isinstance(params, FusionParams):
        plugin = network.load_fusion(params.fusion)
    else:
        (part,) = params.modalities.values()
        plugin = load_encoder(part)
    return None if type(plugin).personalise is Personalised.personalise else plugin


def head_adapter(params: FitParams, rows: PersonalRows, base: Predictor, at_once: int) -> HeadAdapter:
    """Return the adapter by a layer beside a network's head. Calibration and trial rows are predicted only once."""
    (target,) = network.make_output_spec(params).targets
    remembered = np.flatnonzero(rows.role >= 0)
    parts = [base(remembered[i : i + at_once]) for i in range(0, len(remembered), at_once)]
    place = np.full(len(rows.role), -1)  # of each row among the remembered ones
    place[remembered] = np.arange(len(remembered))
    score, hidden = (np.concatenate([part[name] for part in parts]) for name in ("score", "hidden"))

    def predict(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if (place[index] >= 0).all():
            return score[place[index]], hidden[place[index]]
        tables = base(index)
        return tables["score"], tables["hidden"]

    return HeadAdapter(target, rows, predict)


@dataclass(frozen=True)
class PluginAdapter:
    """Adapter by a plugin's own `personalise`, which changes the tensors of a network separately for each subject."""

    plugin: Personalised
    model: Model
    data: Data
    outputs: OutputSpec
    rows: PersonalRows
    where: str
    strengths: Sequence[float] = (1.0,)

    def adapt(self, given: np.ndarray, strength: float) -> Scorer:
        """Return the scorer of the network with the tensors that the plugin changed for a subject, at any strength."""
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        changed = self._changed(given) if len(given) else {}

        def scores(index: np.ndarray) -> np.ndarray:
            self.model.load_state_dict({**before, **changed})
            with torch.no_grad():
                output = probabilities(self.outputs, check_logits(self.model(self.data.batch(index)), self.outputs))
            self.model.load_state_dict(before)
            return output.cpu().numpy()

        return scores

    def _changed(self, given: np.ndarray) -> dict[str, torch.Tensor]:
        """Return name -> tensor that the plugin changes for the subject with the calibration rows `given`."""
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
    """Return a predictor that adapts to each subject's calibration data. Its tables replace or extend those of `base`.

    Args:
        features, labelled: as for `PersonalPredictions`.
        present: (k,) positions of rows with recorded data."""
    (target,) = network.make_output_spec(params).targets
    personal = PersonalPredictions(target, rows, adapter, features, present, labelled)
    return lambda index: {**base(index), **personal(index)}


SINGLE_ROWS = 64


def predict_units(stage: Stage[PredictParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Load a network, or fit an estimator to its rows, and write `predictions.npz`. Return the stage's result.

    The file holds `score` (units, columns) float64, NaN for units without any of the modalities. If every epoch was
    saved, `epochs` (epochs, units, columns) holds the score of each. `hidden` (units, H) float32 is a network's last
    hidden layer, or the output of the frozen networks that an estimator reads, averaged over a unit's rows."""
    setup = prepare_predictions(stage, root)
    data, grid = setup.data, setup.grid
    shuffled = np.random.default_rng(stage.seed).permutation(setup.rows)

    def predictions(epoch: int | None) -> dict[str, np.ndarray]:
        if len(shuffled) == 0:
            by_row = {"score": np.zeros((0, setup.columns))}
        else:
            by_row = _predict_checked(setup, setup.predictor(epoch), shuffled)
        units = len(stage.task["recording"])
        return {name: average_rows(part, grid.unit, units, data.size, shuffled) for name, part in by_row.items()}

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
        rows: (k,) positions in `data` of the rows to predict that were recorded. `unit_ids`: (units,) names of units.
        predictor: function from an epoch to the predictor with its weights; None stands for the selected epoch.
        size: the parameters and operations of an estimator; empty for a network.
        subject: (n,) the subject of each row of `data`."""

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
        """Names of the plugins that predict, for messages."""
        names = [part.name for part in self.params.modalities.values()]
        return ", ".join([*names, self.params.fusion.name] if isinstance(self.params, FusionParams) else names)

    @property
    def tolerance(self) -> float:
        """Largest allowed difference between a row's prediction alone and in a batch. It is the device's tolerance,
        times ten for standardised tokens, whose small spread amplifies rounding."""
        standardised = any(part.recipe.adapt == "ridge" for part in self.params.modalities.values())
        return machine.tolerance(self.data.device) * (10 if standardised else 1)

    @property
    def columns(self) -> int:
        """Number of columns of a row's prediction."""
        return sum(len(target.columns) for target in network.make_output_spec(self.params).targets)


def prepare_predictions(stage: Stage[PredictParams], root: Path) -> PredictionSetup:
    """Return the rows of a stage's units as the fitted stage reads them, and a predictor; an estimator is fitted."""
    stage, fitted = add_calibration_units(stage), stage.inputs["fitted"]
    fitted_stage = network.describe(Folder(root, fitted))
    params, trained_source = fitted_stage.params, fitted_stage.params.common.source
    # The network's lengths are those of its training data, possibly another dataset's.
    spec = replace(stage.params.common.source, longest_s=trained_source.longest_s, shortest_s=trained_source.shortest_s)
    source = StoreSource.from_spec(spec, stage.places, stage.task)
    specs = network.load_specs(Folder(root, fitted))
    data, found, grid = load_unit_rows(stage, params, source, drop=stage.params.drop, specs=specs)
    channels = {m: spec.channels for m, spec in found.items() if spec.rate is not None}
    present, personal = np.flatnonzero(data.present.any(1)), personal_rows(stage, source, grid)
    rows, unit_ids = present[personal.role[present] < 0], _unit_ids(source, stage.task)
    size = dict[str, int | None]()
    predictor: Callable[[int | None], Predictor] = partial(_network_predictor, root, fitted, data, channels)
    if isinstance(params, FusionParams) and fitted_stage.kind == "estimator":
        estimator = fit_estimator(params, Folder(root, fitted))
        parameters, operations = measure_size(estimator)
        frozen = Folder(root, fitted).result()["frozen"]
        size = {"parameters": None if parameters is None else parameters + frozen, "flops": operations}
        X = _estimator_input(root, params, fitted_stage.inputs, data, channels)

        def predictor(_: int | None) -> Predictor:
            base = _estimator_predictor(params, estimator, X)
            if not stage.params.given:
                return base
            adapter: Adapter = AsFitted(base)
            if LEARNED not in stage.params.given:
                columns = len(network.make_output_spec(params).targets[0].columns)
                adapter = EstimatorAdapter(estimator, fitted_rows(Folder(root, fitted)), personal, X, columns)
            labelled = "unlabelled" not in stage.params.given
            return personal_predictor(params, personal, adapter, X.__getitem__, present, base, labelled=labelled)

    elif stage.params.given:
        predictor = partial(_adapting_network, stage, root, params, data, channels, personal, present)
    return PredictionSetup(params, source, data, grid, rows, unit_ids, predictor, size, personal.subject)


def average_rows(values: np.ndarray, unit: np.ndarray, units: int, rows: int, order: np.ndarray) -> np.ndarray:
    """Return the mean prediction (units, columns) of each unit, NaN for units without a row. `values` (k, columns)
    predict the rows at positions `order` (k,), and `unit` (rows,) is the unit of every row."""
    table = np.full((rows, values.shape[1]), np.nan)
    table[order] = values
    has_value = np.isfinite(table[:, 0])
    total = np.zeros((units, values.shape[1]))
    np.add.at(total, unit[has_value], table[has_value])
    count = np.bincount(unit[has_value], minlength=units)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _unit_ids(source: StoreSource, task: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the ids (units,) of a stage's units, for messages."""
    spans = zip(task["recording"], task["start"], task["stop"], strict=True)
    recordings = source.store.recordings
    return np.array([str(UnitId.from_seconds(recordings[r].id, a, b)) for r, a, b in spans])


def _network_predictor(
    root: Path, fitted: str, data: Data, channels: Mapping[str, tuple[str, ...]], epoch: int | None
) -> Predictor:
    """Return the predictor of a network with the weights of an epoch; None: with the selected weights."""
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
    personal: PersonalRows,
    present: np.ndarray,
    epoch: int | None,
) -> Predictor:
    """Return a network's predictor that adapts to calibration data: by its plugin's own method if there is one, else by
    a layer beside its head. Without labels, only the plugin's own method applies."""
    fitted, labelled = stage.inputs["fitted"], "unlabelled" not in stage.params.given
    base, plugin = _network_predictor(root, fitted, data, channels, epoch), personalising_plugin(params)
    if plugin is None and not labelled:
        return base
    recorded = np.zeros(len(personal.role), bool)
    recorded[present] = True
    usable = replace(personal, role=np.where(recorded, personal.role, -1))
    adapter: Adapter
    if LEARNED in stage.params.given:
        adapter = AsFitted(base)
    elif plugin is None:
        adapter = head_adapter(params, usable, base, data.at_once)
    else:
        model = network.load_model(root, fitted, epoch, channels)[0].to(data.device)
        adapter = PluginAdapter(plugin, model, data, network.make_output_spec(params), personal, type(plugin).__name__)
    return personal_predictor(
        params, personal, adapter, lambda index: base(index)["hidden"], present, base, labelled=labelled
    )


def _estimator_input(
    root: Path,
    params: FusionParams,
    nets: Mapping[str, str],
    data: Data,
    channels: Mapping[str, tuple[str, ...]],
) -> np.ndarray:
    """Return an estimator's input (n, features) for all rows: the encoders' features, or outputs of frozen networks.
    `nets`: role -> id of a frozen network's stage."""
    if params.inputs != "features":
        stages = {m: nets[f"unimodal:{m}"] for m in data.feeds}
        frozen = {m: network.hidden_encoder(root, stage, params.inputs, channels)[0] for m, stage in stages.items()}
        data = fits.hidden_data(data, frozen)
    return feature_rows(data)


def _estimator_predictor(params: FusionParams, estimator: Estimator, X: np.ndarray) -> Predictor:
    """Return the predictor of an estimator with the input `X` (n, features). It raises PluginError for bad scores."""
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
    """Return the tables of the rows at positions `order` (n,). Raises PluginError if a prediction depends on other rows
    in the batch, which is tried on some rows alone."""
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
