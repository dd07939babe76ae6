"""New recordings, predicted by the trained parts of a finished run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embench.callbacks import EventCallback
from embench.data import find
from embench.data.cohort import Cohort, card_for_protocol, unlabelled_cohort
from embench.engine.stage import Folder, PredictParams, Stage
from embench.engine.work import run_stage
from embench.errors import DataError, UsageError
from embench.interfaces.recording import names_in
from embench.planning.graph import ExpectedPredictions, all_units, common, data_places, stage_folder
from embench.planning.plan import Plan
from embench.records.record import RUN_FILE, read_record
from embench.registry.fragments import installed_only
from embench.runs.rebuild import rebuild_plan
from embench.statistics.form import answer_lines
from embench.statistics.result import Result


@dataclass(frozen=True)
class NewPredictions:
    """Predictions of new units: `rows` with subject, recording, unit, start_s and stop_s in the recording, target,
    scores and their `sd` over the trained parts; and of the run that made them its `answers` and `limits`."""

    run: str
    rows: Sequence[Mapping[str, Any]]
    answers: Sequence[str]
    limits: Sequence[str]


def predict_with(
    folder: Path,
    dataset: str,
    data_root: Path | None = None,
    *,
    trust_code: bool = False,
    progress: EventCallback | None = None,
) -> NewPredictions:
    """Predicts all units of a dataset with everything that a run has trained, whether they have labels or not.

    Raises:
        UsageError: the run is a submission or adapts to test subjects, the dataset is one that it was trained on, or
            lacks a modality. DataError: the trained parts, or the data that they were trained on, are missing.
    """
    known = read_record(folder)
    with installed_only(str(folder / RUN_FILE), trust_code=trust_code, given=dataset):
        plan, reason = rebuild_plan(known, folder, data_root, folder.absolute().parent.parent)
    if plan is None:
        raise UsageError(
            f"the run cannot predict: {reason}", where=str(folder), expected="a run of embench, and its data"
        )
    cohort = _new_cohort(plan, dataset)
    root, scores = stage_folder(plan.request.runs_folder), dict[str, list[np.ndarray]]()
    for expected in plan.graph.predictions:
        stage = _new_stage(plan, expected, cohort, root)
        run_stage(stage, root, progress)
        with np.load(Folder(root, stage.id).file("predictions.npz")) as arrays:
            table, at = arrays["score"], 0
        for target in expected.targets:
            scores.setdefault(target.name, []).append(table[:, at : at + len(target.columns)])
            at += len(target.columns)
    result = Result(known.manifest.id, folder, known.run, known.scores)
    answers = [line for form in result.forms.values() for line in answer_lines(form)]
    return NewPredictions(
        result.id, list(_rows(plan, cohort, scores)), answers, list(_limits(plan, cohort, dataset, result))
    )


def _new_cohort(plan: Plan, dataset: str) -> Cohort:
    """All units of a dataset, as the run cuts its own. Raises UsageError where its subjects may be known to the run, or
    a modality is missing."""
    root = plan.request.data_root
    if plan.setting.given is not None or plan.protocol.trains_on_given:
        raise UsageError("the run adapts to test subjects", where=plan.id, expected="a run without --given")
    for name in filter(None, (plan.request.dataset, plan.request.train_dataset)):
        shared = find.subjects_with_files_of(dataset, name, root)
        if not plan.request.pretrainers:  # which may have read subjects without labels, too
            shared = [who for who in shared if who in {*plan.fit.subjects, *plan.test.subjects}]
        if shared:
            raise UsageError(
                f"the run was trained on recordings of {dataset}: {', '.join(shared[:5])}"
                f"{' ..' if len(shared) > 5 else ''}",
                where=f"--dataset {dataset}",
                expected="other subjects",
                hint="leave their recordings out; predictions of the run's own test subjects are in its "
                "predictions.csv.gz",
            )
    store = find.prepared(dataset, root, plan.protocol, plan.request.workers or 1)
    if absent := [m for m in plan.method.modalities if not set(names_in(m)) <= store.modalities.keys()]:
        raise UsageError(
            f"{dataset} has no {', '.join(absent)}", where=f"--dataset {dataset}",
            expected=f"the modalities of the run: {', '.join(plan.method.modalities)}",
        )  # fmt: skip
    card = card_for_protocol(plan.protocol, find.card_of(dataset, root), tested=False)
    kind = plan.fit.store.label_kinds[plan.fit.targets[0].label]
    return replace(unlabelled_cohort(store, card, plan.protocol, kind), modalities=plan.method.modalities)


def _new_stage(plan: Plan, expected: ExpectedPredictions, cohort: Cohort, root: Path) -> Stage[PredictParams]:
    """The stage that predicts new units with what a fold has trained. Raises DataError where that is gone."""
    old = plan.graph.stages[expected.stage]
    fitted = old.inputs["fitted"]
    if not Folder(root, fitted).done:
        raise DataError(
            f"what the run trained for seed {expected.seed}, fold {expected.fold} is missing",
            where=str(Folder(root, fitted).path),
            hint="repeat the run: embench run --from RUN",
        )
    params = PredictParams(common(plan.setting, expected.seed, expected.fold, cohort), plan.setting.drop)
    task = {**cohort.arrays(cohort.positions), **all_units(cohort)}
    places = {**plan.setting.places, **data_places(plan.fit, cohort)}
    return Stage("predict", params, {"fitted": fitted}, task, places, old.description)


def _rows(plan: Plan, cohort: Cohort, scores: Mapping[str, Sequence[np.ndarray]]) -> Iterator[dict[str, Any]]:
    for target in plan.fit.targets:
        every = np.stack(scores[target.name])
        mean, sd = every.mean(0), every.std(0)
        for i, unit in enumerate(cohort.of(cohort.positions)):
            if np.isfinite(mean[i]).all():
                yield {
                    "subject": unit.subject,
                    "recording": unit.recording,
                    "unit": unit.id,
                    "start_s": unit.start,
                    "stop_s": unit.stop,
                    "target": target.name,
                    **dict(zip(target.columns, mean[i].tolist(), strict=True)),
                    "sd": float(sd[i].max()),
                }


def _limits(plan: Plan, cohort: Cohort, dataset: str, result: Result) -> Iterator[str]:
    """The limits of new predictions, in sentences."""
    count, parts = len(plan.fit.subjects), len(plan.graph.predictions)
    yield f"Trained on {plan.dataset} alone: {count} subjects, in {parts} parts whose scores are averaged."
    yield f"The answers above hold for {plan.dataset}. Nothing was tested on {cohort.card.name}."
    yield "Scores are not diagnoses, and their level depends on the devices and the study of the training data."
    if find.pseudonymous(dataset, plan.request.data_root):
        yield f"Subjects and recordings have pseudonyms: `embench data pseudonyms {dataset}` lists their own names."
    if result.synthetic:
        yield "The training data are synthetic: these scores say nothing about real subjects."
