"""The graph of stages of a run: pretraining, fits, fusions and predictions for every seed, fold and target."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from embench.data.cohort import Cohort
from embench.engine.predict import LEARNED
from embench.engine.stage import FitParams, FusionParams, Params, PredictParams, PretrainParams, Stage, without_rule
from embench.errors import UsageError
from embench.interfaces.units import Target
from embench.planning.giving import learned_units, normalising_units, slice_units, trial_units, units_of_subjects
from embench.planning.parts import Method, Origin, Pretraining
from embench.planning.pretraining_stages import beside, external_stage, pretrain_params, stage_ids, weights_to_start
from embench.planning.setting import Setting, common
from embench.planning.tasks import (
    TRAIN,
    VAL,
    all_units,
    recorded_segments,
    roles_of_units,
    segments_of,
    task_of,
)
from embench.protocols import NOTHING_GIVEN, Fold, Given


@dataclass(frozen=True)
class ExpectedPredictions:
    """Location of the predictions of some targets for some units: stage, seed, fold, unit positions; `beside`: stages
    that predict the same without some of what is given, by the name of the comparison."""

    stage: str
    targets: tuple[Target, ...]
    seed: int
    fold: int
    units: tuple[int, ...]
    train: tuple[int, ...]
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[str, ...]:
        """The ids of all stages that predict."""
        return (self.stage, *self.beside.values())


@dataclass
class Graph:
    """Stages in an order in which each follows its inputs, and the predictions they will make."""

    stages: dict[str, Stage[Any]] = field(default_factory=dict)
    predictions: list[ExpectedPredictions] = field(default_factory=list)

    def add(self, stage: Stage[Params]) -> str:
        """Adds a stage after its inputs and returns its id; a stage that is there already is not added twice."""
        self.stages.setdefault(stage.id, stage)
        return stage.id


class _Sides(NamedTuple):
    """Positions of a fold's units: those of training and validation subjects, those that are predicted, and the
    training units whose labels may be used."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    labelled: np.ndarray


class Builder:
    """Adds the stages of one seed and fold to a graph."""

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
        """The targets of each stage that predicts: all in one where a network learns them together."""
        joint = self.method.recipe.targets == "joint" and self.method.joins != "estimator"
        return [self.fit_on.targets] if joint else [(target,) for target in self.fit_on.targets]

    def fold(self, seed: int, fold: Fold, parts: Sequence[tuple[Target, ...]] | None = None) -> None:
        """All stages of a fold, and their predictions, by default of all `parts`."""
        sides = self._sides(seed, fold)
        if not len(sides.test) or not len(sides.train):
            return
        ways = self._ways(sides)
        started = {n: each._pretrain(seed, fold.index, own) for n, (each, own) in ways.items()}  # noqa: SLF001  own kind
        units = tuple(sides.test.tolist()), tuple(sides.labelled.tolist())
        for some in self.parts if parts is None else parts:
            stages = {
                name: each._predicting(some, seed, fold.index, own, started[name])  # noqa: SLF001  its own kind
                for name, (each, own) in ways.items()
            }
            self.graph.predictions.append(ExpectedPredictions(stages.pop(""), some, seed, fold.index, *units, stages))

    def _sides(self, seed: int, fold: Fold) -> _Sides:
        train, val = (self.fit_on.positions_of(ids) for ids in (fold.train, fold.val))
        tested = self.fit_on.tested_of(val) if self.setting.dev else self.test_on.positions_of(fold.test)
        asked = np.concatenate([val, tested])
        labelled = self._limit_labels(self._limit_subjects(train, asked, seed, fold.index), seed, fold.index)
        return _Sides(train, val, tested, labelled)

    def _ways(self, sides: _Sides) -> dict[str, tuple[Builder, _Sides]]:
        """Builders that predict the units of a fold, each with what it is fitted to: the run itself, "", and by the
        name of the comparison those that have less of its test subjects."""
        if self.setting.protocol.trains_on_given:
            own = units_of_subjects(self.fit_on, sides.test)
            others = sides._replace(train=sides.train[~own[sides.train]], labelled=sides.labelled[~own[sides.labelled]])
            return {"": (self, sides), **({NOTHING_GIVEN: (self, others)} if len(others.labelled) else {})}
        without = {} if self.setting.given is None else self.setting.given.without()
        return {"": (self, sides), **{name: (self._given(given), sides) for name, given in without.items()}}

    def _given(self, given: Given) -> Builder:
        """The builder of the same run, where this is given of test subjects."""
        setting = replace(self.setting, given=given)
        return Builder(self.graph, self.method, self.fit_on, self.test_on, setting, self.sources)

    def _predicting(
        self, targets: tuple[Target, ...], seed: int, fold: int, sides: _Sides, pretrained: Mapping[str, str]
    ) -> str:
        """The stage that predicts some targets in a fold, with what is fitted to them."""
        cohort = self.fit_on if self.setting.dev else self.test_on
        labelled, val, test = sides.labelled, sides.val, sides.test
        y = np.stack([self.fit_on.labels(t, labelled) for t in targets], 1)
        fitted = self._fitted(targets, y, seed, fold, labelled, val, pretrained)
        task, given = {**cohort.arrays(test), **all_units(cohort)}, self.setting.given
        said: dict[str, int | str] = {}
        if given is not None and given.units:
            trial = trial_units(cohort, labelled, val, test, left_out=self.method.inputs == "features")
            task |= normalising_units(cohort, labelled, np.concatenate([test, trial]), given.units)
            task |= slice_units(cohort, given, test, trial, y)
            said = given.plain()
        elif self.setting.protocol.trains_on_given and len(
            known := labelled[units_of_subjects(cohort, test)[labelled]]
        ):
            task |= learned_units(cohort, known, y)
            said = {LEARNED: "fitted"}
        params = PredictParams(common(self.setting, seed, fold, cohort), self.setting.drop, said)
        description = {"seed": seed, "fold": fold, "target": ",".join(t.name for t in targets)}
        return self.graph.add(Stage("predict", params, {"fitted": fitted}, task, self.setting.places, description))

    def _limit_subjects(self, train: np.ndarray, asked: np.ndarray, seed: int, fold: int) -> np.ndarray:
        """The training units of as many subjects as may be labelled, the same subjects whatever the method, and those
        of a smaller number among those of a larger one; subjects of the units `asked` keep what they give to train on.
        Raises UsageError where there are fewer."""
        if self.setting.label_subjects is None:
            return train
        units, rank = self.fit_on.units, _lots(seed, fold)
        own = units_of_subjects(self.fit_on, asked) & self.setting.protocol.trains_on_given
        subjects, count = sorted({units[i].subject for i in train[~own[train]]}, key=rank), self.setting.label_subjects
        if count > len(subjects):
            raise UsageError(
                f"seed {seed}, fold {fold} has only {len(subjects)} training subjects, fewer than {count}",
                where=f"--label-subjects {count}",
                expected=f"1 to {len(subjects)}, or all",
            )
        return np.array([i for i in train if own[i] or units[i].subject in subjects[:count]], np.int64)

    def _limit_labels(self, train: np.ndarray, seed: int, fold: int) -> np.ndarray:
        """The share of training units that may be labelled, the same whatever the method: as large of each subject's
        units of each class, those of a smaller share among those of a larger one. At least one unit of each class."""
        if self.setting.label_fraction is None:
            return train
        units, rank = self.fit_on.units, _lots(seed, fold)
        classes = [t for t in self.fit_on.targets if t.traits.has_classes]
        kinds = np.stack([self.fit_on.labels(t, train) for t in classes], 1) if classes else np.zeros((len(units), 0))
        strata: dict[tuple[str, str], list[int]] = {}
        for i in sorted(train, key=lambda i: rank(str(units[i].id))):
            strata.setdefault((str(kinds[i].tolist()), units[i].subject), []).append(i)
        # Of n units the k-th comes at k / n and an offset, so that small strata are not rounded all the same way.
        place = {
            i: (k + int(rank("/".join(stratum))[:8], 16) / 2**32) / len(members)
            for stratum, members in strata.items()
            for k, i in enumerate(members)
        }
        first = {
            kind: min((i for s, members in strata.items() if s[0] == kind for i in members), key=place.__getitem__)
            for kind, _ in strata
        }
        kept = {i for i in train if place[i] < self.setting.label_fraction} | set(first.values())
        return np.array([i for i in train if i in kept], np.int64)

    def _pretrain(self, seed: int, fold: int, sides: _Sides) -> dict[str, str]:
        """role -> stage id; steps on the same modality follow each other, the last one is what fitting starts from."""
        last: dict[str, Stage[PretrainParams]] = {}
        for step in self.method.pretraining:
            role = f"pretrained:{step.modality}" if step.modality else "pretrained"
            # A step of the whole model goes on from all that came before, a modality's from what concerns it.
            before = {r: s for r, s in last.items() if step.modality is None or r in ("pretrained", role)}
            stage = self._pretrain_stage(step, seed, fold, sides, before)
            self.graph.add(stage)
            last = {role: stage} if step.modality is None else {**last, role: stage}
        return stage_ids(last)

    def _pretrain_stage(
        self,
        step: Pretraining,
        seed: int,
        fold: int,
        sides: _Sides,
        before: Mapping[str, Stage[PretrainParams]],
    ) -> Stage[PretrainParams]:
        others = [self.sources[name, step.labels] for name in step.sources]
        if not step.own:
            return external_stage(self.method, step, others, self.setting, seed, before)
        cohort, modalities, train, val = self.fit_on, self.method.of(step), sides.train, sides.val
        # Subjects of whom something is held back are read where it isn't, all others in all their recordings.
        partly = np.full(len(cohort.units), self.setting.protocol.split.by != "group")
        if self.setting.protocol.trains_on_given:
            partly |= units_of_subjects(cohort, np.concatenate([val, sides.test]))
        parts = {TRAIN: train, VAL: val}
        segments = segments_of(cohort, {role: part[partly[part]] for role, part in parts.items()})
        whole = {role: roles_of_units(cohort, part[~partly[part]], role) for role, part in parts.items()}
        segments += recorded_segments(cohort, {**whole[VAL], **whole[TRAIN]}, modalities)
        targets = cohort.targets if step.modality is None else ()
        shared = common(self.setting, seed, fold, cohort)
        params = pretrain_params(self.method, step, self.setting, targets, before, shared, others)
        description = {"seed": seed, "fold": fold, **step.trained}
        task = {**task_of(cohort, segments, modalities), **self._normalising(train, val), **beside(others, modalities)}
        return Stage("pretrain", params, stage_ids(before), task, self.setting.places, description)

    def _fitted(
        self,
        targets: tuple[Target, ...],
        y: np.ndarray,
        seed: int,
        fold: int,
        train: np.ndarray,
        val: np.ndarray,
        pretrained: Mapping[str, str],
    ) -> str:
        """The stage that predicts some targets, whose labels are `y` (all units, targets)."""
        method, description = self.method, {"seed": seed, "fold": fold, "target": ",".join(t.name for t in targets)}
        task = self._task(y, train, val)
        shared = common(self.setting, seed, fold, self.fit_on)
        # Only the network that predicts keeps every epoch's weights; one in closed form has no epochs.
        every_epoch = self.setting.protocol.select == "peak_on_test"

        def alone(m: str, every_epoch: bool = False) -> str:
            part = method.encoders[m]
            params = FitParams(
                shared,
                modalities={m: part},
                recipe=part.recipe,
                targets=tuple(map(without_rule, targets)),
                weights=weights_to_start(self.setting, [m], pretrained),
                every_epoch=every_epoch and part.recipe.adapt != "ridge",
            )
            return self._unimodal(m, params, y, train, val, pretrained, description)

        if method.joins == "unimodal":
            (m,) = method.modalities
            return alone(m, every_epoch)
        unimodal = {}
        if method.inputs in ("hidden", "decisions"):
            for m in method.modalities:
                unimodal[f"unimodal:{m}"] = alone(m)
        kind = "estimator" if method.joins == "estimator" else "fusion"
        whole = method.joins == "tokens"
        params = FusionParams(
            shared,
            modalities={m: method.encoders[m] for m in method.modalities},
            fusion=method.fusion,
            recipe=method.fusion.recipe,
            targets=tuple(map(without_rule, targets)),
            inputs=method.inputs,
            weights={} if unimodal else weights_to_start(self.setting, method.modalities, pretrained, whole=whole),
            every_epoch=every_epoch and kind == "fusion",
        )
        inputs = unimodal or dict(pretrained)
        return self.graph.add(Stage(kind, params, inputs, task, self.setting.places, description))

    def _unimodal(
        self,
        m: str,
        params: FitParams,
        y: np.ndarray,
        train: np.ndarray,
        val: np.ndarray,
        pretrained: Mapping[str, str],
        description: Mapping[str, Any],
    ) -> str:
        """The net of one modality, on the subjects who have it, so that every run that needs it shares it."""
        sensed = self.fit_on.units_with(m)
        own = {role: id_ for role, id_ in pretrained.items() if role == f"pretrained:{m}"}
        task = self._task(y, train[sensed[train]], val[sensed[val]])
        return self.graph.add(Stage("unimodal", params, own, task, self.setting.places, {**description, "modality": m}))

    def _task(self, y: np.ndarray, train: np.ndarray, val: np.ndarray) -> dict[str, np.ndarray]:
        """Units of a fitting stage with the labels of its own training and validation units: all that it learns."""
        index = np.concatenate([train, val])
        role = np.repeat(np.array([TRAIN, VAL], np.int64), [len(train), len(val)])
        labelled = np.isfinite(y[index]).any(1)
        index, role = index[labelled], role[labelled]
        task = {**self.fit_on.arrays(index), "role": role, "y": y[index], **all_units(self.fit_on)}
        return {**task, **self._normalising(train, val)}

    def _normalising(self, train: np.ndarray, val: np.ndarray) -> dict[str, np.ndarray]:
        """The units that normalise subjects of training and validation, where what test subjects give does."""
        given, slices = self.setting.given, self.fit_on.slices
        if given is None or slices is None or not given.units:
            return {}
        return normalising_units(self.fit_on, train, val, slices.most)


def _lots(seed: int, fold: int) -> Callable[[str], str]:
    """Returns the random draw of a name in a fold, which is the same for every method."""
    return lambda name: hashlib.sha256(f"{seed}/{fold}/{name}".encode()).hexdigest()
