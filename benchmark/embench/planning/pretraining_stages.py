"""Stages that pretrain: their params, what they start from, and those on other datasets than the one that is split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from embench.data.cohort import Cohort
from embench.engine import network
from embench.engine.stage import Common, Part, PretrainParams, Stage, without_rule
from embench.interfaces.units import Target
from embench.planning.parts import FUSION, Method, Pretraining
from embench.planning.setting import Setting, common, source_spec
from embench.planning.tasks import TRAIN, labelled_units, recorded_segments, task_of
from embench.snapshot import cached


def external_stage(
    method: Method,
    step: Pretraining,
    sources: Sequence[Cohort],
    setting: Setting,
    seed: int,
    before: Mapping[str, Stage[PretrainParams]],
) -> Stage[PretrainParams]:
    """The stage of a step on all subjects of external sources: nothing of a run's own dataset, fold or targets is in
    it, so that all who need it share it, unless it goes on from what a fold was pretrained on. `before` has the stages
    that it goes on from, by role."""
    which, (source, *others) = method.of(step), sources
    if step.labels == "source":
        targets, task = source.targets, labelled_units(source, which)
    else:
        targets = (network.ANYTHING,) if step.modality is None else ()
        task = {**_of_all(source, which), **beside(others, which)}
    fold = next((s.params.common.fold for s in before.values() if s.params.common.fold is not None), None)
    params = pretrain_params(method, step, setting, targets, before, common(setting, seed, fold, source), others)
    description = {"seed": seed, **step.trained, **({} if fold is None else {"fold": fold})}
    return Stage("pretrain", params, stage_ids(before), task, setting.places, description)


def beside(others: Sequence[Cohort], which: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of the task of a stage that sees all subjects of other sources beside those of its first."""
    return {f"more{k}_{name}": array for k, other in enumerate(others) for name, array in _of_all(other, which).items()}


def _of_all(source: Cohort, which: Sequence[str]) -> dict[str, np.ndarray]:
    roles = dict.fromkeys((entry.subject for entry in source.store.recordings), TRAIN)
    return task_of(source, recorded_segments(source, roles, which), which)


def stage_ids(stages: Mapping[str, Stage[PretrainParams]]) -> dict[str, str]:
    """Role -> id of these stages."""
    return {role: stage.id for role, stage in stages.items()}


def pretrain_params(
    method: Method,
    step: Pretraining,
    setting: Setting,
    targets: Sequence[Target],
    before: Mapping[str, Stage[PretrainParams]],
    shared: Common,
    others: Sequence[Cohort] = (),
) -> PretrainParams:
    """The params of a step of pretraining; `before` has the stages that it goes on from, by role, and `others` are the
    sources that it sees beside that of the `shared` params."""
    which, whole = method.of(step), step.modality is None
    return PretrainParams(
        shared,
        modalities={m: _learning(method.encoders[m]) for m in which},
        pretrainer=step.part,
        fusion=_learning(method.fusion) if whole else None,
        recipe=step.part.recipe,
        targets=tuple(map(without_rule, targets)),
        weights=weights_to_start(setting, which, before, whole=whole),
        step=max((stage.params.step + 1 for stage in before.values()), default=0),
        beside=tuple(source_spec(setting.protocol, other) for other in others),
    )


def weights_to_start(
    setting: Setting, which: Sequence[str], before: Mapping[str, object], *, whole: bool = False
) -> dict[str, str]:
    """External weights, for modalities (and the fusion of a `whole` model) that no stage before starts already."""
    parts = [m for m in which if not {"pretrained", f"pretrained:{m}"} & before.keys()]
    if whole and "pretrained" not in before:
        parts.append(FUSION)
    return {part: setting.weights[part] for part in parts if part in setting.weights}


@cached
def _learning(part: Part) -> Part:
    """The part as pretraining sees it, so that recipes that freeze it afterwards and others share one stage."""
    return replace(part, recipe=replace(part.recipe, adapt="full"))
