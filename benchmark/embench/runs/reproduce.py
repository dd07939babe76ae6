"""Rebuild a finished run: reproduce a published entry, or predict new recordings."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embench.data.cohort import Cohort, card_for_protocol, compute_cohort_labels, unlabelled_cohort
from embench.data.find import Source, find_source
from embench.engine.stage import Folder, PredictParams, Stage
from embench.engine.work import run_stage
from embench.errors import CheckFailed, DataError, UsageError
from embench.files import digest
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import split_modality
from embench.leaderboard.entries import Level, Nonce, PickedFold, hash_entry, list_test_stages, pick_stages
from embench.leaderboard.nonces import NONCES_FILE, read_nonces
from embench.leaderboard.pull_request import (
    check_entry,
    get_entry_name,
    list_compared_checks,
    list_packages,
    select_failures,
)
from embench.leaderboard.verify import list_means, recompute
from embench.leaderboard.verify_data import compare_controls, compare_labels, hash_local_files
from embench.leaderboard.withheld import redact_scores
from embench.planning.graph import ExpectedPredictions, Graph, common, locate_data, make_all_units, stage_folder
from embench.planning.method import assumed_fields
from embench.planning.plan import Plan
from embench.protocols import MADE_BY_METHOD
from embench.records import ledger
from embench.records.manifest import CostPart, Manifest
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.record import RUN_FILE, Record, read_record
from embench.records.scores import ABSENT, TOLERANCE, Difference, differences
from embench.registry.catalogue import installed
from embench.registry.fragments import installed_only
from embench.runs import evaluate
from embench.runs.again import list_other_versions, rebuild_plan
from embench.runs.evaluate import collect_normalisation, find_unscaled_units, sum_costs
from embench.runs.guards import draw_folds, find_known_labels, select_stages
from embench.runs.run import run_stages
from embench.statistics.evaluation import model_rows
from embench.statistics.form import answer_lines
from embench.statistics.result import Result
from embench.system import EventCallback

# New recordings, predicted by the trained models of a finished run.


@dataclass(frozen=True)
class NewPredictions:
    """Predictions of new units by a finished run.

    Args:
        run: id of the run. `rows`: subject, recording, unit, start_s and stop_s in the recording, target, mean scores
            over the trained models and their `sd`.
        answers: the run's answers, in sentences. `limits`: why they may not hold for the new units.
    """

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
    """Return predictions of all units of a dataset, labelled or not, by all trained models of a run.

    Raises:
        UsageError: the run is a submission or adapts to test subjects, the dataset is one that it was trained on, or
            lacks a modality. DataError: the trained parts, or the data that they were trained on, are missing.
    """
    known = read_record(folder)
    with installed_only(str(folder / RUN_FILE), trust_code=trust_code, given=dataset):
        plan = rebuild_plan(known, folder, data_root, folder.absolute().parent.parent)
    if isinstance(plan, Undefined):
        raise UsageError(
            f"the run cannot predict: {plan.reason}", where=str(folder), expected="a run of embench, and its data"
        )
    source = find_source(dataset, plan.request.data_root)
    cohort = _load_new_cohort(plan, source)
    root, scores = stage_folder(plan.request.runs_folder), dict[str, list[np.ndarray]]()
    for expected in plan.graph.predictions:
        stage = _make_new_stage(plan, expected, cohort, root)
        run_stage(stage, root, progress)
        [table] = Folder(root, stage.id).predicted("score")
        for target, own in expected.columns():
            scores.setdefault(target.name, []).append(table[:, own])
    result = Result(known.manifest.id, folder, known.run, known.scores)
    answers = [line for form in result.summaries.values() for line in answer_lines(form)]
    return NewPredictions(
        result.id, list(_make_rows(plan, cohort, scores)), answers, list(_list_limits(plan, cohort, source, result))
    )


def _load_new_cohort(plan: Plan, source: Source) -> Cohort:
    """Return all units of a dataset, cut as in the run. Raises UsageError if the run may have used the dataset's
    subjects or adapts to test subjects, or if a modality is missing."""
    if plan.setting.calibration_data is not None or plan.protocol.trains_on_calibration:
        raise UsageError("the run adapts to test subjects", where=plan.id, expected="a run without --calibration-data")
    for known in filter(None, (plan.source, plan.train_source)):
        shared = known.find_shared_subjects(source)
        if not plan.request.pretrainers:  # pretraining may have used subjects without labels, too
            shared = [who for who in shared if who in {*plan.fit.subjects, *plan.test.subjects}]
        if shared:
            raise UsageError(
                f"the run was trained on recordings of {source.name}: {', '.join(shared[:5])}"
                f"{' ..' if len(shared) > 5 else ''}",
                where=f"--dataset {source.name}",
                expected="other subjects",
                hint="leave their recordings out; predictions of the run's own test subjects are in its "
                "predictions.csv.gz",
            )
    store = source.prepared(plan.protocol, plan.request.workers or 1)
    if absent := [m for m in plan.method.modalities if not set(split_modality(m)) <= store.modalities.keys()]:
        raise UsageError(
            f"{source.name} has no {', '.join(absent)}", where=f"--dataset {source.name}",
            expected=f"the modalities of the run: {', '.join(plan.method.modalities)}",
        )  # fmt: skip
    card = card_for_protocol(plan.protocol, source.card, tested=False)
    kind = plan.fit.store.label_kinds[plan.fit.targets[0].label]
    return replace(unlabelled_cohort(store, card, plan.protocol, kind), modalities=plan.method.modalities)


def _make_new_stage(plan: Plan, expected: ExpectedPredictions, cohort: Cohort, root: Path) -> Stage[PredictParams]:
    """Return the stage that predicts new units with a fold's trained model. Raises DataError if that is missing."""
    old = plan.graph.stages[expected.stage]
    fitted = old.inputs["fitted"]
    if not Folder(root, fitted).done:
        raise DataError(
            f"what the run trained for seed {expected.seed}, fold {expected.fold} is missing",
            where=str(Folder(root, fitted).path),
            hint="repeat the run: embench run --from RUN",
        )
    params = PredictParams(common(plan.setting, expected.seed, expected.fold, cohort), plan.setting.drop)
    task = {**cohort.arrays(cohort.positions), **make_all_units(cohort)}
    places = {**plan.setting.places, **locate_data(plan.fit, cohort)}
    return Stage("predict", params, {"fitted": fitted}, task, places, old.description)


def _make_rows(plan: Plan, cohort: Cohort, scores: Mapping[str, Sequence[np.ndarray]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `NewPredictions`; `scores`: target -> predictions (units, columns) of each trained model."""
    for target in plan.fit.targets:
        every = np.stack(scores[target.name])
        mean, sd = every.mean(0), every.std(0)
        for i, unit in enumerate(cohort.select_units(cohort.positions)):
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


def _list_limits(plan: Plan, cohort: Cohort, source: Source, result: Result) -> Iterator[str]:
    """Yield the limits of new predictions, in sentences."""
    count, parts = len(plan.fit.subjects), len(plan.graph.predictions)
    yield f"Trained on {plan.dataset} alone: {count} subjects, in {parts} parts whose scores are averaged."
    yield f"The answers above hold for {plan.dataset}. Nothing was tested on {cohort.card.name}."
    yield "Scores are not diagnoses, and their level depends on the devices and the study of the training data."
    if source.pseudonymous:
        yield f"Subjects and recordings have pseudonyms: `embench data pseudonyms {source.name}` lists their own names."
    if result.is_synthetic:
        yield "The training data are synthetic: these scores say nothing about real subjects."


# `embench leaderboard reproduce`: a published entry's request, run again in a separate folder, and compared.
#
# A spot check runs a few seeds and folds, which follow from the entry's content and a nonce unknown to its author.

SCORE_TOLERANCE = 0.005
"""Largest allowed difference of a score computed with other library versions, code or devices."""
COUNTS_FACTOR = 2
"""Largest allowed ratio of parameter or operation counts with other library versions: trees may grow other nodes."""
_MOST_NAMED = 3


@dataclass
class Reproduction:
    """Result of a reproduction. `wrong`: reasons why the entry is not reproduced, empty if it is. `notes`: allowed
    deviations. `drawn_by`: the text that selects the folds of a spot check; `nonce` is None unless it was revealed for
    the entry. Other fields as in `embench.leaderboard.entries.Attestation`."""

    entry: str
    level: Level
    device: str = "cpu"
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drawn_by: str | None = None
    nonce: Nonce | None = None
    stages: list[PickedFold] | None = None
    total: int | None = None
    tolerances: dict[str, float] = field(default_factory=dict)
    greatest: dict[str, float] = field(default_factory=dict)
    files: str | None = None
    compared: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return the fields of an attestation besides the entry, the person and the day."""
        names = ("device", "nonce", "stages", "total")
        return {name: getattr(self, name) for name in (*names, "tolerances", "greatest", "files", "compared")}

    @property
    def attestable(self) -> bool:
        """True if all folds were run, or those that a revealed nonce draws, which nobody could choose."""
        return self.drawn_by is None or self.nonce is not None


def reproduce_entry(
    folder: Path,
    data_root: Path | None = None,
    *,
    runs: Path | None = None,
    stages: int | None = None,
    nonce: str | None = None,
    progress: EventCallback | None = None,
) -> Reproduction:
    """Check the entry in `folder`, run its request again, fully or in part, and compare the predictions; without
    published predictions, the scores.

    Args:
        runs: a folder for stages; by default a temporary one. Stages of an interrupted reproduction are taken over.
        stages: number of seeds and folds in a spot check; default: all.
        nonce: random text that selects them; default: the one revealed for the entry, else one drawn now. Only folds of
            a revealed nonce can be attested.

    Raises:
        UsageError: the options do not fit the entry, or `runs` holds finished runs. CheckFailed: the entry needs a
            plugin or weights that are not installed. EmbenchError: the data are missing or damaged, or a stage failed.
    """
    folder = Path(folder).absolute()
    result = Reproduction(get_entry_name(folder), "reproduced")
    checks = list(check_entry(folder, data_root))
    result.wrong = [f"{check.check}: {check.reason}" for check in select_failures(checks)]
    if result.wrong:
        return result
    record = read_record(folder)
    run = Manifest.model_validate(record.run)
    result.files, result.compared = hash_local_files(run, data_root), list_compared_checks(checks, result.entry)
    _check_installed(folder, run)
    if stages is not None:
        if record.labels is None:
            raise UsageError(
                "the entry contains no predictions, because its labels are not public",
                where=f"--spot-check {stages}",
                expected="a complete reproduction, which compares scores",
            )
        _draw_stages(folder, run, stages, nonce, result)
    with _open_folder(runs) as place, installed_only(str(folder / "run.yaml")):
        planned = rebuild_plan(record, folder, data_root, place)
        if isinstance(planned, Undefined):
            raise CheckFailed(f"this machine cannot run the entry: {planned.reason}", where=str(folder))
        result.device = planned.setting.device
        _compare_plan(record, run, planned, result)
        if not result.wrong:
            _run_and_compare(record, run, planned, place, result, progress)
        if not result.wrong:
            picked = result.stages or draw_folds(planned)
            result.wrong += find_known_labels(planned, picked, stage_folder(place), progress or (lambda _: None))
    return result


def _draw_stages(folder: Path, run: Manifest, count: int, nonce: str | None, result: Reproduction) -> None:
    """Store in `result` the folds of a spot check, drawn by `nonce`, the one revealed for the entry, or a new one."""
    digest, every, nonces = hash_entry(folder, run), list_test_stages(folder, run), read_nonces(folder.parents[2])
    result.drawn_by = nonce or secrets.token_hex(8)
    if nonce is None and nonces and (drawn := nonces.find_reveal(digest)):
        result.nonce = Nonce(value=drawn.nonce, source=NONCES_FILE, time=drawn.revealed)
        result.drawn_by = drawn.nonce
    result.level, result.total = "spot_checked", len(every)
    result.stages = pick_stages(digest, result.drawn_by, count, every)


def _check_installed(folder: Path, run: Manifest) -> None:
    """Raise CheckFailed if a package of the run's plugins is not installed."""
    missing = [
        f"{name} {version or ''}".strip() for name, version in list_packages(run).items() if name not in installed()
    ]
    if missing:
        raise CheckFailed(
            f"the entry requires plugins of packages that are not installed: {', '.join(missing)}",
            where=str(folder / "run.yaml"),
            hint="install this version from the package's author",
        )


@contextmanager
def _open_folder(runs: Path | None) -> Iterator[Path]:
    """Yield the folder of a reproduction's stages: `runs` or a temporary one. Raises UsageError if it has finished
    runs."""
    if runs is None:
        with tempfile.TemporaryDirectory(prefix="embench-reproduce-") as folder:
            yield Path(folder)
        return
    if any(runs.glob("*/*/run.yaml")):
        raise UsageError(
            "the folder contains finished runs, and a reproduction must not reuse their stages",
            where=f"--runs {runs}",
            expected="an empty folder, or the folder of an interrupted reproduction",
        )
    yield runs


def _compare_plan(record: Record, run: Manifest, planned: Plan, result: Reproduction) -> None:
    """Compare `planned`, a new plan made from the entry's request, with what the entry records. Faults, notes and the
    tolerance are stored in `result`.

    Args:
        record: the entry. `run`: its manifest.
    """
    recorded = {name: value for name, value in record.run["config"].items() if name != "request"}
    for difference in differences(recorded, json.loads(json.dumps(planned.config))):
        if difference.recorded == ABSENT:
            continue  # a setting added later
        if difference.place.endswith(".code") or difference.place in ("data", "train_data", "device"):
            place = f"config.{difference.place}"
            of_data = f"the reader of the dataset, or its files, changed since ({place})"
            result.notes.append(of_data if "data" in place else f"{place} differs on this machine")
        else:
            result.wrong.append(f"the request gives another configuration: {difference}")
    stated, planned_facts = _stated_facts(run, planned)
    if isinstance(run.cohort.subjects, list):
        before, now = set(run.cohort.subjects), set(planned.test.subjects)
        if before != now:
            other = ", ".join(sorted(before ^ now)[:_MOST_NAMED])
            result.wrong.append(f"run.yaml: cohort: {len(before)} subjects, but the data have {len(now)} ({other} ..)")
    result.wrong += [f"run.yaml: {difference}" for difference in differences(stated, planned_facts)]
    if record.labels is not None:
        result.wrong += compare_labels(record.labels, _compute_labels(planned))
    if "confound_only" not in result.compared and record.labels is not None:
        result.wrong += compare_controls(run, record, planned.test, _list_training_units(planned))
    if _get_fold_rows(record.folds) != _get_fold_rows(evaluate.list_fold_rows(planned)):
        result.wrong.append("folds: the protocol assigns these subjects to other folds")
    result.notes += [f"{name} {there} there, {here} here" for name, there, here in list_other_versions(run.versions)]
    if planned.setting.device != "cpu":
        result.notes.append(f"run on {planned.setting.device}")
    result.tolerances = {"scores": SCORE_TOLERANCE} if result.notes else {"predictions": TOLERANCE}


def _stated_facts(run: Manifest, planned: Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two mappings: the facts that a run's record states and that follow from the run's request, and the same
    facts of the plan. Both leave out facts that the record lacks."""
    recipe, method = run.recipe.content(), run.method.content()
    stated: dict[str, Any] = {
        "pretraining_overlap": run.pretraining_overlap,
        "measurement_units": run.measurement_units,
        "normalisation": ABSENT if run.normalisation is None else run.normalisation,
        "assumed": ABSENT if run.recipe.assumed is None else run.recipe.assumed,
        "departs": recipe.get("departs", ABSENT),
        "query": method.get("query", ABSENT),
    }
    facts: dict[str, Any] = {
        "pretraining_overlap": planned.overlap,
        "measurement_units": find_unscaled_units(planned),
        "normalisation": collect_normalisation(planned),
        "assumed": assumed_fields(planned.method),
        "departs": planned.departs,
        "query": planned.method.query,
    }
    known = [name for name, fact in stated.items() if fact != ABSENT]
    return {name: stated[name] for name in known}, json.loads(json.dumps({name: facts[name] for name in known}))


def _list_training_units(planned: Plan) -> dict[tuple[int, int], Sequence[int] | None]:
    """Return (seed, fold) -> positions of the units that the method is trained on; None if of another dataset."""
    own = planned.fit is planned.test
    return {(expected.seed, expected.fold): expected.train if own else None for expected in planned.graph.predictions}


def _compute_labels(planned: Plan) -> Labels:
    """Return the labels of the tested units, made by the rules of the dataset's card."""
    cohort = planned.test
    if planned.fit is planned.test:
        return compute_cohort_labels(cohort, cohort.targets, planned.folds, cohort.eligible)
    return compute_cohort_labels(cohort, cohort.targets, {}, cohort.positions)  # folds are of the training dataset


def _get_fold_rows(rows: Sequence[Mapping[str, Any]]) -> set[tuple[str, ...]]:
    return {tuple(str(row[name]) for name in ("seed", "fold", "role", "subject", "group")) for row in rows}


def _run_and_compare(
    record: Record, run: Manifest, planned: Plan, place: Path, result: Reproduction, progress: EventCallback | None
) -> None:
    """Run the stages of a reproduction, and compare predictions (without labels, scores) and cost with the entry's."""
    counted, first = planned, planned.graph.predictions[0]
    if result.stages is not None:
        counted = replace(planned, graph=_select_counted_stages(planned.graph, result.stages))
        planned = replace(planned, graph=select_stages(planned.graph, result.stages))
    request, needed = planned.request, {**planned.graph.stages, **counted.graph.stages}
    outcome, root = run_stages(list(needed.values()), request, progress)
    outcome.check(needed)
    opening = {"dataset": planned.dataset, "protocol": planned.protocol.name, "method": digest(planned.config)}
    opening |= {"run": f"reproduction of {run.id}", "reproduces": run.id}
    data = planned.source.raw_digest()
    ledger.record_evaluations(place, data, planned.test.store.key, opening, list(run.targets))
    if record.labels is None:
        _compare_redacted(record, evaluate.evaluate(planned, root).scores, result)
    else:
        predictions = model_rows(evaluate.collect_fold_predictions(planned, root)[0], planned.test)
        _compare_predictions(record, _select_predictions(record.predictions, result.stages), predictions, result)
    exact: tuple[str, ...] = ()
    if not result.notes and counted.graph.predictions[0] == first:
        exact = ("parameters", "flops")
    elif not result.notes and not run.dropped:  # another fold may have dropped other features
        exact = ("parameters",)  # FLOPs depend on the row that is counted, which may lack the start of its context
    _compare_cost(run, sum_costs(counted, outcome), result, exact)


def _select_counted_stages(graph: Graph, picked: Sequence[PickedFold]) -> Graph:
    """Return the stages from which parameters and operations are counted. For estimators, these are the stages of the
    first prediction, as in a run; networks have equal parameters in all folds, so that the `picked` folds serve."""
    first = graph.predictions[0]
    return select_stages(graph, [(first.seed, first.fold)] if graph.fitted(first).kind == "estimator" else picked)


def _select_predictions(predictions: Predictions, picked: Sequence[PickedFold] | None) -> Predictions:
    """Return the predictions of the model and of other predictors that come from the method, without confound-only
    models. `picked`: seeds and folds to select; None for all."""
    keep = np.isin(predictions["method"], (MODEL, *MADE_BY_METHOD))
    if picked is not None:
        keep &= [stage in picked for stage in zip(predictions["seed"], predictions["fold"], strict=True)]
    return predictions.take(keep)


def _compare_predictions(record: Record, old: Predictions, new: Predictions, result: Reproduction) -> None:
    """Compare repeated predictions (`new`) with the entry's (`old`), or the scores of both if `result` has no tolerance
    for predictions, as with other libraries or devices. Faults and the greatest difference are stored in `result`."""
    old, new = _sort_rows(old), _sort_rows(new)
    names = ("method", "target", "unit", "seed", "fold")
    if not len(new) or any(old[name].tolist() != new[name].tolist() for name in names):
        wrong = "predictions: the entry does not predict the units of its request in these folds"
        result.wrong.append(wrong)
        return
    columns = [name for name in old.columns if name == "decision" or name.startswith("score")]
    if set(columns) - {"decision"} != {name for name in new.columns if name.startswith("score")}:
        result.wrong.append("predictions: the classes differ from the classes of the request")
        return
    gaps = {name: np.nan_to_num(np.abs(old[name] - new[name])) for name in columns}
    gap = np.max(list(gaps.values()), axis=0)
    result.greatest = {"predictions": float(gap.max())}
    if "predictions" in result.tolerances:
        if (wrong := gap > result.tolerances["predictions"]).any():
            seed, fold = (int(new[name][wrong][0]) for name in ("seed", "fold"))
            result.wrong.append(
                f"predictions: {int(wrong.sum())} of {len(gap)} differ, by up to {gap.max():.3g} (for example seed "
                f"{seed}, fold {fold})"
            )
        return
    before, after = (recompute(replace(record, predictions=part)) for part in (old, new))
    _compare_scores(before, after, result)


def _sort_rows(predictions: Predictions) -> Predictions:
    """Return the predictions sorted by method, target, unit and seed."""
    return predictions.take(np.lexsort([predictions[name] for name in ("seed", "unit", "target", "method")]))


def _compute_gaps(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Return name -> difference of each score of the method that is defined in both documents."""
    one, other = (dict(list_means(each["scores"])) for each in (before, after))
    return {name: abs(one[name] - other[name]) for name in one.keys() & other.keys()}


def _compare_scores(before: Mapping[str, Any], after: Mapping[str, Any], result: Reproduction) -> None:
    """Compare the scores of the method that are defined in both documents. Store the greatest difference in `result`,
    and a fault for scores that differ by more than `SCORE_TOLERANCE`."""
    gaps = _compute_gaps(before, after)
    if not gaps:
        result.wrong.append("scores: the repeated run has no defined score, so nothing can be compared")
        return
    name = max(gaps, key=lambda each: gaps[each])
    result.greatest["scores"] = gaps[name]
    if gaps[name] > SCORE_TOLERANCE:
        result.wrong.append(f"scores: {name} differs by {gaps[name]:.3f}, more than {SCORE_TOLERANCE}")


def _compare_redacted(record: Record, scores: Mapping[str, Any], result: Reproduction) -> None:
    """Compare the rounded scores of an entry without labels."""
    again = redact_scores(scores)
    if result.notes:
        _compare_scores(record.scores, again, result)
        return
    result.tolerances = {"scores": TOLERANCE}
    found = list(differences(json.loads(json.dumps(record.scores.content)), json.loads(json.dumps(again))))
    result.greatest = {"scores": max(_compute_gaps(record.scores, again).values(), default=0.0)}
    result.wrong += _format_differences("scores.json", found)


def _compare_cost(run: Manifest, repeated: CostPart, result: Reproduction, exact: Collection[str]) -> None:
    """Compare costs that do not depend on the machine: those of `exact` exactly, the others approximately."""
    names = ("parameters", "flops")
    stated, counted = ({name: getattr(cost, name) for name in names} for cost in (run.cost, repeated))
    one_cost, other_cost = ({name: cost[name] for name in exact} for cost in (stated, counted))
    result.wrong += _format_differences("run.yaml", differences(one_cost, other_cost, "cost"))
    for name in names:
        one, other = stated[name], counted[name]
        if name not in exact and one and other and max(one, other) > COUNTS_FACTOR * min(one, other):
            result.wrong.append(f"run.yaml: cost.{name}: {one}, but the repeated run gives about {other}")


def _format_differences(file: str, found: Iterable[Difference]) -> list[str]:
    return [f"{file}: {difference}" for difference in islice(found, _MOST_NAMED)]
