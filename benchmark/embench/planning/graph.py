"""The graph of stages of a run: pretraining, fits, fusions and predictions for every seed, fold and target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.data.cohort import Cohort, FewLabels, units_of_subjects
from embench.engine import fits, network
from embench.engine.predict import GIVEN, LEARNED, TRIAL_GIVEN, TRIAL_SCORED
from embench.engine.rows import GIVEN_BY_TESTED, GIVEN_IN_TRAINING
from embench.engine.stage import (
    ENGINE_REVISION,
    Common,
    FitParams,
    FusionParams,
    Params,
    Part,
    PredictParams,
    PretrainParams,
    SourceSpec,
    Stage,
    without_rule,
)
from embench.files import cached
from embench.interfaces.recording import split_modality
from embench.interfaces.units import Target
from embench.planning.parts import FUSION, Method, Origin, Pretraining
from embench.protocols import NO_CALIBRATION, Fold, Given, Protocol, Slices
from embench.signals.normalise import KEEP_LEVEL
from embench.system import installed_version

# Settings shared by all stages of a run, and their part in the stages' params.


@dataclass(frozen=True)
class Setting:
    """Settings of all stages of a run.

    Args:
        drop: modalities to remove at test time. `dev`: True to test validation subjects.
        weights: modality, or `fusion` -> digest of its file of initial weights.
        places: where stages find data and weights, without effect on numbers."""

    protocol: Protocol
    device: str
    threads: int
    drop: tuple[str, ...] = ()
    dev: bool = False
    label_subjects: int | None = None
    label_fraction: float | None = None
    calibration_data: Given | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)


def common(setting: Setting, seed: int, fold: int | None, cohort: Cohort) -> Common:
    """Return the params that every stage has; `fold` is None if all folds share the stage."""
    source = make_source_spec(setting.protocol, cohort, setting.calibration_data if cohort.slices else None)
    return Common(ENGINE_REVISION, libraries(setting.device), setting.device, setting.threads, seed, fold, source)


def make_source_spec(protocol: Protocol, cohort: Cohort, given: Given | None = None) -> SourceSpec:
    """Return the facts on a cohort's data for the params of stages.

    Args:
        given: the calibration data, which then normalise their subject. None for other datasets, whose subjects are
            normalised by all their data."""
    normalise: str = protocol.normalise
    if normalise == "given":
        normalise = "subject_unlabelled" if given is None or given.session else "given" if given.units else "training"
    rest = cohort.card.baseline if protocol.normalise == "baseline" else None
    return SourceSpec(
        cohort.store.key,
        cohort.longest_s,
        cohort.shortest_s,
        normalise,
        (rest.start_s, rest.stop_s) if rest else None,
        tuple(sorted(KEEP_LEVEL)) if protocol.normalise == "recording_unlabelled" else (),
    )


def libraries(device: str) -> dict[str, str]:
    """Return name -> version of the libraries that affect a network's numbers; for cuda also the name of the GPU."""
    found = dict(_list_versions())
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


@cache
def _list_versions() -> dict[str, str]:
    return {name: installed_version(name) for name in ("numpy", "scikit-learn", "torch")}


def locate_data(*cohorts: Cohort) -> dict[str, dict[str, str]]:
    """Return the folders (`stores`) and `licences` of the data of some cohorts by store key, for `Setting.places`."""
    return {
        "stores": {c.store.key: str(c.store.path) for c in cohorts},
        "licences": {c.store.key: c.card.licence for c in cohorts},
    }


def stage_folder(runs: Path) -> Path:
    """Return the folder of stages, which all runs of a runs folder share."""
    return Path(runs) / "stages"


# Task arrays of a pretraining stage: segments of recordings, or a source's labelled units.

TRAIN, VAL = 0, 1

Segment = tuple[int, float, float, int]
"""Position of a recording in the store, start and stop in s, and role (`TRAIN` or `VAL`)."""


def make_role_segments(cohort: Cohort, roles: Mapping[str, int], which: Sequence[str]) -> list[Segment]:
    """Return each recording of the subjects in `roles` as one segment. It starts with the first signal, or with the
    video if only videos are read. A video that is not in `which` is ignored, so that it does not change the numbers of
    signals.

    Args:
        roles: subject -> role. `which`: the modalities that are read."""
    taking_part = {unit.recording for unit in cohort.roster}
    only_video = set(which) == {"video"}
    return [
        (
            r,
            min((s.t0 for m, s in entry.spans.items() if (m == "video") == only_video or m in which), default=0.0),
            entry.duration_s,
            roles[entry.subject],
        )
        for r, entry in enumerate(cohort.store.recordings)
        if entry.subject in roles and entry.id in taking_part
    ]


def make_task(cohort: Cohort, segments: Sequence[Segment], which: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the task arrays (n,) of the segments whose recording has any of the modalities `which`."""
    sensors = [set(entry.spans) for entry in cohort.store.recordings]
    sensed = [s for s in segments if any(set(split_modality(m)) <= sensors[s[0]] for m in which)]
    recording, start, stop, role = zip(*sensed, strict=True) if sensed else ((), (), (), ())
    return {
        "recording": np.array(recording, np.int64),
        "start": np.array(start, np.float64),
        "stop": np.array(stop, np.float64),
        "role": np.array(role, np.int64),
        **make_all_units(cohort),
    }


def make_labelled_task(cohort: Cohort, which: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the task arrays (n,) of a source's units with a label and any of the modalities `which`, and `y` (n,
    targets)."""
    labels = np.stack([cohort.labels(target, cohort.positions) for target in cohort.targets], 1)
    sensors = [set(entry.spans) for entry in cohort.store.recordings]
    recording = cohort.columns["recording"]
    index = [
        i
        for i in cohort.positions
        if np.isfinite(labels[i]).any() and any(set(split_modality(m)) <= sensors[recording[i]] for m in which)
    ]
    role = np.full(len(index), TRAIN, np.int64)
    return {**cohort.arrays(index), "role": role, "y": labels[index], **make_all_units(cohort)}


def make_all_units(cohort: Cohort) -> dict[str, np.ndarray]:
    """Return the arrays `all_*` (n,) of all units of a dataset, over which features are standardised."""
    return {f"all_{name}": array for name, array in cohort.columns.items()}


def make_segments(cohort: Cohort, parts: Mapping[int, Sequence[int] | np.ndarray]) -> list[Segment]:
    """Return the segments that units cover. Touching units of one role form one segment.

    Args:
        parts: role -> positions of its units."""
    positions = {entry.id: r for r, entry in enumerate(cohort.store.recordings)}
    units = sorted(
        (positions[u.recording], u.start, u.stop, role)
        for role, index in parts.items()
        for u in cohort.select_units(index)
    )
    segments: list[Segment] = []
    for recording, start, stop, role in units:
        if segments and segments[-1][::3] == (recording, role) and start <= segments[-1][2]:
            start = segments.pop()[1]
        segments.append((recording, start, stop, role))
    return segments


def assign_role(cohort: Cohort, index: Sequence[int] | np.ndarray, role: int) -> dict[str, int]:
    """Return subject -> role, for the subjects of the units at positions `index`."""
    return dict.fromkeys((cohort.units[i].subject for i in index), role)


# Task arrays of stages that fit and predict with calibration data of test subjects.


def mark_normalising(cohort: Cohort, train: np.ndarray, others: np.ndarray, units: int) -> dict[str, np.ndarray]:
    """Return the array `all_given` (n,): bits of `embench.engine.rows` that mark the units which normalise their
    subject. Training subjects are normalised by as many units as allowed, others by the first `units` of each class.

    Args:
        train, others: positions of units of training subjects, and of units of other subjects."""
    slices = _require_slices(cohort)
    found = np.zeros(len(cohort.units), np.int64)
    found[slices.select_given(slices.most) & units_of_subjects(cohort, train)] |= GIVEN_IN_TRAINING
    found[slices.select_given(units) & units_of_subjects(cohort, others)] |= GIVEN_BY_TESTED
    return {"all_given": found}


def make_calibration_arrays(
    cohort: Cohort, given: Given, test: np.ndarray, trial: np.ndarray, y: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the arrays `slice_*` (m,) of a stage that predicts: the calibration units of the test subjects. With
    labels also calibration and scored units of trial subjects, on whom the strength of the adaptation is chosen.

    Args:
        test, trial: positions of units of the test subjects, and of the trial subjects.
        y: (n, targets) labels of all units."""
    slices = _require_slices(cohort)
    is_calibration, is_trial = slices.select_given(given.units), np.isin(np.arange(len(cohort.units)), trial)
    parts = [(GIVEN, is_calibration & units_of_subjects(cohort, test))]
    if given.labelled:
        parts += [(TRIAL_GIVEN, is_calibration & is_trial), (TRIAL_SCORED, slices.scored & is_trial)]
    index = np.concatenate([np.flatnonzero(mask) for _, mask in parts])
    role = np.repeat([role for role, _ in parts], [int(mask.sum()) for _, mask in parts])
    labels = y[index] if given.labelled else np.full((len(index), y.shape[1]), np.nan)
    arrays = {f"slice_{name}": array for name, array in cohort.arrays(index).items()}
    return {**arrays, "slice_role": role.astype(np.int64), "slice_y": labels}


def make_learned_arrays(cohort: Cohort, learned: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays `slice_*` (m,) of a stage that predicts with a method that was trained on calibration units of
    the test subjects, at positions `learned` (m,). The calibration-only model is fitted to them. `y`: (n, targets)
    labels of all units."""
    arrays = {f"slice_{name}": array for name, array in cohort.arrays(learned).items()}
    return {**arrays, "slice_role": np.full(len(learned), GIVEN, np.int64), "slice_y": y[learned]}


def _require_slices(cohort: Cohort) -> Slices:
    """Return the calibration and scored units of a cohort. Raises ValueError if its protocol has none."""
    if cohort.slices is None:
        raise ValueError(f"{cohort.card.name} was laid out by a protocol to which subjects give nothing")
    return cohort.slices


MOST_TRIED = 8
"""Most subjects on whom the strength of the adaptation is chosen."""


def select_trial_units(
    cohort: Cohort, train: np.ndarray, val: np.ndarray, test: np.ndarray, *, left_out: bool = False
) -> np.ndarray:
    """Return positions of the units of the subjects on whom the strength of the adaptation is chosen. These are
    validation subjects, to whom nothing was fitted. If there are none, or if they are tested, they are training
    subjects. With `left_out`, both are used, and each subject is left out of a fit of its own."""
    sides = [np.empty(0, np.int64) if np.isin(test, val).any() else val, train]  # in order of preference
    units = np.concatenate(sides) if left_out or not len(sides[0]) else sides[0]
    subjects = dict.fromkeys(cohort.units[i].subject for side in sides for i in sorted(side.tolist()))
    chosen = list(subjects)[:MOST_TRIED]
    return np.array([i for i in units.tolist() if cohort.units[i].subject in chosen], np.int64)


# Pretraining stages: params, initial weights, and stages on other datasets than the one that is split.


def make_external_stage(
    method: Method,
    step: Pretraining,
    sources: Sequence[Cohort],
    setting: Setting,
    seed: int,
    before: Mapping[str, Stage[PretrainParams]],
) -> Stage[PretrainParams]:
    """Return the stage of a pretraining step on all subjects of external sources. It depends on no dataset, fold or
    target of a run, so all runs share it, unless it continues a fold's pretraining.

    Args:
        before: role -> stage that it continues."""
    which, (source, *others) = method.find_trained_modalities(step), sources
    if step.labels == "source":
        targets, task = source.targets, make_labelled_task(source, which)
    else:
        targets = (network.PLACEHOLDER_TARGET,) if step.modality is None else ()
        task = {**_make_whole_task(source, which), **make_other_tasks(others, which)}
    fold = next((s.params.common.fold for s in before.values() if s.params.common.fold is not None), None)
    params = make_pretrain_params(method, step, setting, targets, before, common(setting, seed, fold, source), others)
    description = {"seed": seed, **step.trained, **({} if fold is None else {"fold": fold})}
    return Stage("pretrain", params, get_stage_ids(before), task, setting.places, description)


def make_other_tasks(others: Sequence[Cohort], which: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the task arrays of all subjects of the sources after the first, named `more0_*`, `more1_*`, ..."""
    return {
        f"more{k}_{name}": array
        for k, other in enumerate(others)
        for name, array in _make_whole_task(other, which).items()
    }


def _make_whole_task(source: Cohort, which: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the task arrays of all subjects of a source, for training."""
    roles = dict.fromkeys((entry.subject for entry in source.store.recordings), TRAIN)
    return make_task(source, make_role_segments(source, roles, which), which)


def get_stage_ids(stages: Mapping[str, Stage[PretrainParams]]) -> dict[str, str]:
    """Return role -> id of each stage."""
    return {role: stage.id for role, stage in stages.items()}


def make_pretrain_params(
    method: Method,
    step: Pretraining,
    setting: Setting,
    targets: Sequence[Target],
    before: Mapping[str, Stage[PretrainParams]],
    shared: Common,
    others: Sequence[Cohort] = (),
) -> PretrainParams:
    """Return the params of a pretraining step.

    Args:
        before: role -> stage that it continues. `shared`: params with the first source; `others`: further sources."""
    which, whole = method.find_trained_modalities(step), step.modality is None
    return PretrainParams(
        shared,
        modalities={m: _without_adaptation(method.encoders[m]) for m in which},
        pretrainer=step.part,
        fusion=_without_adaptation(method.fusion) if whole else None,
        recipe=step.part.recipe,
        targets=tuple(map(without_rule, targets)),
        weights=pick_weights(setting, which, before, whole=whole),
        step=max((stage.params.step + 1 for stage in before.values()), default=0),
        beside=tuple(make_source_spec(setting.protocol, other) for other in others),
    )


def pick_weights(
    setting: Setting, which: Sequence[str], before: Mapping[str, object], *, whole: bool = False
) -> dict[str, str]:
    """Return part -> digest of its initial weights. Parts are the modalities `which`, and the fusion of a `whole`
    model, unless an earlier stage (a role in `before`) initialises them."""
    parts = [m for m in which if not {"pretrained", f"pretrained:{m}"} & before.keys()]
    if whole and "pretrained" not in before:
        parts.append(FUSION)
    return {part: setting.weights[part] for part in parts if part in setting.weights}


@cached
def _without_adaptation(part: Part) -> Part:
    """Return the part with the default `adapt`, which does not affect pretraining, so that recipes share the stage."""
    return replace(part, recipe=replace(part.recipe, adapt="full"))


@dataclass(frozen=True)
class ExpectedPredictions:
    """Where the predictions of some targets in a fold will be found.

    Args:
        stage: id of the stage that predicts.
        units, train: positions of the predicted units, and of the training units.
        beside: comparison -> id of the stage that predicts the same with less calibration data."""

    stage: str
    targets: tuple[Target, ...]
    seed: int
    fold: int
    units: tuple[int, ...]
    train: tuple[int, ...]
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[str, ...]:
        """Ids of all stages that predict."""
        return (self.stage, *self.beside.values())

    def columns(self) -> Iterator[tuple[Target, slice]]:
        """Yield (target, slice of its columns in the stage's predictions)."""
        first = 0
        for target in self.targets:
            yield target, slice(first, first := first + len(target.columns))


@dataclass
class Graph:
    """Stages, each after its inputs, and the predictions that they will make."""

    stages: dict[str, Stage[Any]] = field(default_factory=dict)
    predictions: list[ExpectedPredictions] = field(default_factory=list)

    def add(self, stage: Stage[Params]) -> str:
        """Add a stage after its inputs, unless it was added before. Return its id."""
        self.stages.setdefault(stage.id, stage)
        return stage.id

    def fitted(self, expected: ExpectedPredictions) -> Stage[Any]:
        """Return the fitted stage from which a prediction is made."""
        return self.stages[self.stages[expected.stage].inputs["fitted"]]

    def networks(self) -> Iterator[tuple[ExpectedPredictions, str, Stage[Any]]]:
        """Yield (prediction, file name of the weights, stage) of each fitted stage, and of its frozen networks."""
        for expected in self.predictions:
            fitted, targets = self.fitted(expected), "_".join(target.name for target in expected.targets)
            start = f"seed{expected.seed}-fold{expected.fold}-{targets}"
            yield expected, f"{start}.safetensors", fitted
            for m, stage_id in find_frozen_networks(fitted).items():
                yield expected, f"{start}-{m}.safetensors", self.stages[stage_id]


def find_frozen_networks(stage: Stage[Any]) -> dict[str, str]:
    """Return modality -> id of the stage of each frozen network whose output a stage reads."""
    return {role.split(":")[1]: id_ for role, id_ in stage.inputs.items() if role.startswith("unimodal:")}


class _FoldUnits(NamedTuple):
    """Positions (m,) of the training, validation and test units of a fold, and of training units with usable labels."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    labelled: np.ndarray


class Builder:
    """Adds the stages of folds to a graph, for one method. `fit`: the cohort to train on. `test`: the tested cohort."""

    def __init__(
        self,
        graph: Graph,
        method: Method,
        fit: Cohort,
        test: Cohort,
        setting: Setting,
        sources: Mapping[Origin, Cohort],
    ) -> None:
        self.graph, self.method, self.setting, self.sources = graph, method, setting, sources
        self.fit_on, self.test_on = fit, test

    @property
    def parts(self) -> list[tuple[Target, ...]]:
        """Targets of each stage that predicts: all targets if one network learns them jointly, else one per stage."""
        joint = self.method.recipe.targets == "joint" and self.method.joins != "estimator"
        return [self.fit_on.targets] if joint else [(target,) for target in self.fit_on.targets]

    def add_fold(self, seed: int, fold: Fold, parts: Sequence[tuple[Target, ...]] | None = None) -> None:
        """Add all stages of a fold with their predictions. `parts`: targets of each stage that predicts (None: all)."""
        sides = self._split_units(seed, fold)
        if not len(sides.test) or not len(sides.train):
            return
        variants = self._list_variants(sides)
        started = {
            name: builder._add_pretraining(seed, fold.index, fold_units)  # noqa: SLF001
            for name, (builder, fold_units) in variants.items()
        }
        units = tuple(sides.test.tolist()), tuple(sides.labelled.tolist())
        for targets in self.parts if parts is None else parts:
            stages = {
                name: builder._add_prediction(targets, seed, fold.index, fold_units, started[name])  # noqa: SLF001
                for name, (builder, fold_units) in variants.items()
            }
            self.graph.predictions.append(
                ExpectedPredictions(stages.pop(""), targets, seed, fold.index, *units, stages)
            )

    def _split_units(self, seed: int, fold: Fold) -> _FoldUnits:
        """Return the positions of a fold's units. With `--dev`, validation units are tested."""
        train, val = (self.fit_on.find_positions(ids) for ids in (fold.train, fold.val))
        tested = self.fit_on.select_scored(val) if self.setting.dev else self.test_on.find_positions(fold.test)
        evaluated = np.concatenate([val, tested])
        limits = FewLabels(self.setting.label_subjects, self.setting.label_fraction)
        labelled = limits.drawn(self.fit_on, train, evaluated, seed, fold.index, self.setting.protocol)
        return _FoldUnits(train, val, tested, labelled)

    def _list_variants(self, sides: _FoldUnits) -> dict[str, tuple[Builder, _FoldUnits]]:
        """Return name -> (builder, units of the fold): "" for the run itself; others have less calibration data."""
        if self.setting.protocol.trains_on_calibration:
            is_tested = units_of_subjects(self.fit_on, sides.test)
            others = sides._replace(
                train=sides.train[~is_tested[sides.train]], labelled=sides.labelled[~is_tested[sides.labelled]]
            )
            return {"": (self, sides), **({NO_CALIBRATION: (self, others)} if len(others.labelled) else {})}
        without = {} if self.setting.calibration_data is None else self.setting.calibration_data.without()
        return {"": (self, sides), **{name: (self._with_calibration(given), sides) for name, given in without.items()}}

    def _with_calibration(self, given: Given) -> Builder:
        """Return a builder of the same run with another amount of calibration data."""
        setting = replace(self.setting, calibration_data=given)
        return Builder(self.graph, self.method, self.fit_on, self.test_on, setting, self.sources)

    def _add_prediction(
        self, targets: tuple[Target, ...], seed: int, fold: int, sides: _FoldUnits, pretrained: Mapping[str, str]
    ) -> str:
        """Add the stage that predicts some targets in a fold, after the stage that is fitted. Return its id."""
        cohort = self.fit_on if self.setting.dev else self.test_on
        labelled, val, test = sides.labelled, sides.val, sides.test
        y = np.stack([self.fit_on.labels(t, labelled) for t in targets], 1)
        fitted = self._add_fit(targets, y, seed, fold, labelled, val, pretrained)
        task, given = {**cohort.arrays(test), **make_all_units(cohort)}, self.setting.calibration_data
        calibration: dict[str, int | str] = {}
        if given is not None and given.units:
            trial = select_trial_units(cohort, labelled, val, test, left_out=self.method.inputs == "features")
            task |= mark_normalising(cohort, labelled, np.concatenate([test, trial]), given.units)
            task |= make_calibration_arrays(cohort, given, test, trial, y)
            calibration = given.to_record()
        elif self.setting.protocol.trains_on_calibration and len(
            learned := labelled[units_of_subjects(cohort, test)[labelled]]
        ):
            task |= make_learned_arrays(cohort, learned, y)
            calibration = {LEARNED: "fitted"}
        params = PredictParams(common(self.setting, seed, fold, cohort), self.setting.drop, calibration)
        description = {"seed": seed, "fold": fold, "target": ",".join(t.name for t in targets)}
        return self.graph.add(Stage("predict", params, {"fitted": fitted}, task, self.setting.places, description))

    def _add_pretraining(self, seed: int, fold: int, sides: _FoldUnits) -> dict[str, str]:
        """Add the pretraining stages of a fold. Return role -> id of the stage from which fits of this role start."""
        last: dict[str, Stage[PretrainParams]] = {}
        for step in self.method.pretraining:
            role = f"pretrained:{step.modality}" if step.modality else "pretrained"
            # A step of the whole model continues all earlier ones, a modality's step those of the modality.
            before = {r: s for r, s in last.items() if step.modality is None or r in ("pretrained", role)}
            stage = self._make_pretrain_stage(step, seed, fold, sides, before)
            fits.require_windows(stage)
            self.graph.add(stage)
            last = {role: stage} if step.modality is None else {**last, role: stage}
        return get_stage_ids(last)

    def _make_pretrain_stage(
        self,
        step: Pretraining,
        seed: int,
        fold: int,
        sides: _FoldUnits,
        before: Mapping[str, Stage[PretrainParams]],
    ) -> Stage[PretrainParams]:
        """Return the stage of a pretraining step in a fold, which continues the stages `before` (role -> stage)."""
        others = [self.sources[source, step.labels] for source in step.sources]
        if not step.own:
            return make_external_stage(self.method, step, others, self.setting, seed, before)
        cohort, modalities, train, val = self.fit_on, self.method.find_trained_modalities(step), sides.train, sides.val
        # Subjects with held-out recordings or segments are read outside of these, all others completely.
        partly = np.full(len(cohort.units), self.setting.protocol.split.by != "group")
        if self.setting.protocol.trains_on_calibration:
            partly |= units_of_subjects(cohort, np.concatenate([val, sides.test]))
        parts = {TRAIN: train, VAL: val}
        segments = make_segments(cohort, {role: part[partly[part]] for role, part in parts.items()})
        whole = {role: assign_role(cohort, part[~partly[part]], role) for role, part in parts.items()}
        segments += make_role_segments(cohort, {**whole[VAL], **whole[TRAIN]}, modalities)
        targets = cohort.targets if step.modality is None else ()
        shared = common(self.setting, seed, fold, cohort)
        params = make_pretrain_params(self.method, step, self.setting, targets, before, shared, others)
        description = {"seed": seed, "fold": fold, **step.trained}
        task = {
            **make_task(cohort, segments, modalities),
            **self._mark_normalising(train, val),
            **make_other_tasks(others, modalities),
        }
        return Stage("pretrain", params, get_stage_ids(before), task, self.setting.places, description)

    def _add_fit(
        self,
        targets: tuple[Target, ...],
        y: np.ndarray,
        seed: int,
        fold: int,
        train: np.ndarray,
        val: np.ndarray,
        pretrained: Mapping[str, str],
    ) -> str:
        """Add the stage that is fitted to some targets, with labels `y` (all units, targets). Return its id."""
        method, description = self.method, {"seed": seed, "fold": fold, "target": ",".join(t.name for t in targets)}
        task = self._make_fit_task(y, train, val)
        shared = common(self.setting, seed, fold, self.fit_on)
        # Only the network that predicts saves every epoch's weights; one in closed form has no epochs.
        every_epoch = self.setting.protocol.select == "peak_on_test"

        def add_unimodal(m: str, every_epoch: bool = False) -> str:
            """Add the network of a modality, fitted to all subjects who have it, so that runs share it."""
            part = method.encoders[m]
            params = FitParams(
                shared,
                modalities={m: part},
                recipe=part.recipe,
                targets=tuple(map(without_rule, targets)),
                weights=pick_weights(self.setting, [m], pretrained),
                every_epoch=every_epoch and part.recipe.adapt != "ridge",
            )
            sensed = self.fit_on.units_with(m)
            initial = {role: id_ for role, id_ in pretrained.items() if role == f"pretrained:{m}"}
            task = self._make_fit_task(y, train[sensed[train]], val[sensed[val]])
            about = {**description, "modality": m}
            return self.graph.add(Stage("unimodal", params, initial, task, self.setting.places, about))

        if method.joins == "unimodal":
            (m,) = method.modalities
            return add_unimodal(m, every_epoch)
        unimodal = {}
        if method.inputs in ("hidden", "decisions"):
            unimodal = {f"unimodal:{m}": add_unimodal(m) for m in method.modalities}
        kind = "estimator" if method.joins == "estimator" else "fusion"
        whole = method.joins == "tokens"
        params = FusionParams(
            shared,
            modalities={m: method.encoders[m] for m in method.modalities},
            fusion=method.fusion,
            recipe=method.fusion.recipe,
            targets=tuple(map(without_rule, targets)),
            inputs=method.inputs,
            weights={} if unimodal else pick_weights(self.setting, method.modalities, pretrained, whole=whole),
            every_epoch=every_epoch and kind == "fusion",
        )
        inputs = unimodal or dict(pretrained)
        return self.graph.add(Stage(kind, params, inputs, task, self.setting.places, description))

    def _make_fit_task(self, y: np.ndarray, train: np.ndarray, val: np.ndarray) -> dict[str, np.ndarray]:
        """Return the task arrays of a fitted stage: units at positions `train` and `val` that have a label in `y`."""
        index = np.concatenate([train, val])
        role = np.repeat(np.array([TRAIN, VAL], np.int64), [len(train), len(val)])
        labelled = np.isfinite(y[index]).any(1)
        index, role = index[labelled], role[labelled]
        task = {**self.fit_on.arrays(index), "role": role, "y": y[index], **make_all_units(self.fit_on)}
        return {**task, **self._mark_normalising(train, val)}

    def _mark_normalising(self, train: np.ndarray, val: np.ndarray) -> dict[str, np.ndarray]:
        """Return the marks of the units that normalise training and validation subjects; empty without such units."""
        given, slices = self.setting.calibration_data, self.fit_on.slices
        if given is None or slices is None or not given.units:
            return {}
        return mark_normalising(self.fit_on, train, val, slices.most)
