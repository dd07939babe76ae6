"""The way in which a fitted method of a stage adapts to test subjects, and their units beside those to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from embench.engine import network
from embench.engine.feed import Data
from embench.engine.inputs import encoder_of
from embench.engine.personal import Adapter, HeadAdapter, PersonalPredictions, PersonalRows, Predictor, Scorer
from embench.engine.rows import Grid
from embench.engine.source import Source
from embench.engine.specs import FitParams, FusionParams, PredictParams
from embench.engine.stage import Stage
from embench.engine.supervised import probabilities
from embench.errors import PluginError
from embench.interfaces.personal import Personalised, personalised
from embench.interfaces.tokens import OutputSpec
from embench.nn import Model, checked_logits


def with_slices(stage: Stage[PredictParams]) -> Stage[PredictParams]:
    """The stage with units that are given, or tried on, behind those to be predicted."""
    if "slice_role" not in stage.task:
        return stage
    names = ("recording", "start", "stop")
    both = {name: np.concatenate([stage.task[name], stage.task[f"slice_{name}"]]) for name in names}
    return replace(stage, task={**stage.task, **both})


def personal_rows(stage: Stage[PredictParams], source: Source, grid: Grid) -> PersonalRows:
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
        """See `embench.engine.personal.Adapter`; there is one strength."""
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
