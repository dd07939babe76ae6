"""Score the predictions of a plan's stages, the only place where `run` reads test labels; write `run.yaml`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.data.cohort import Cohort, compute_repaired_share
from embench.data.find import is_folder
from embench.engine import device as machine
from embench.engine.executors import Outcome
from embench.engine.rows import keeps_level, load_encoder
from embench.engine.stage import ENGINE_REVISION, Folder
from embench.interfaces.encoder import Encoder
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import split_modality
from embench.interfaces.units import Target, Units
from embench.leaderboard.pull_request import list_packages
from embench.planning import weights
from embench.planning.graph import ExpectedPredictions, find_frozen_networks, make_source_spec
from embench.planning.method import assumed_fields
from embench.planning.plan import Plan, estimate_fit_s
from embench.planning.request import Request
from embench.protocols import CALIBRATION_ONLY, roles
from embench.reasons import Reason
from embench.records.ledger import EvaluationCounts
from embench.records.manifest import (
    CostPart,
    DepartsPart,
    Manifest,
    MethodPart,
    Normalisation,
    RecipePart,
    TrainedOnPart,
    WeightsPart,
)
from embench.records.predictions import MODEL, Embeddings
from embench.records.record import TUNING_FILE, is_own
from embench.records.scores import Scores
from embench.registry.catalogue import installed
from embench.signals.preprocess import band_after
from embench.statistics import evaluation
from embench.statistics.estimates import WITHIN_SUBJECT_SCORES
from embench.statistics.evaluation import (
    ConfoundAnalysis,
    Evaluation,
    FoldPredictions,
    decide,
    prediction_rows,
    unit_columns,
)
from embench.statistics.joined import units_of
from embench.system import EventCallback
from embench.vocabulary import escape_control


def evaluate(
    plan: Plan,
    stages: Path,
    on_event: EventCallback | None = None,
    *,
    first: Callable[[Evaluation], None] | None = None,
    placebo: bool = False,
) -> Evaluation:
    """Return the scores of a plan with finished stages: of test subjects, or of validation subjects under `--dev`.

    Args:
        first, placebo: see `ConfoundAnalysis`.

    Raises:
        DamagedError: stored predictions were changed.
    """
    cohort = plan.fit if plan.request.dev else plan.test
    for stage in {id_ for each in plan.graph.predictions for id_ in each.stages}:
        Folder(stages, stage).check(whole=True)  # files behind a record are always read, even if compared before
    predictions, picked = collect_fold_predictions(plan, stages)

    def add_picked(evaluated: Evaluation) -> Evaluation:
        return replace(evaluated, scores=Scores({**evaluated.scores, "picked_epochs": picked})) if picked else evaluated

    analysis = _AnalysisEvents(plan, cohort, on_event, lambda found: first(add_picked(found)) if first else None)
    found = evaluation.score_predictions(
        predictions,
        cohort,
        plan.protocol,
        whole=not plan.request.dev,
        proved=plan.method.time_context == "unit",
        confounds=ConfoundAnalysis(analysis.begin, analysis.step, placebo) if plan.request.confounds else None,
        given=plan.setting.calibration_data,
    )
    analysis.end()
    return add_picked(found)


@dataclass
class _AnalysisEvents:
    """Reporter of the progress of a plan's confound analysis; silent if all its models are cached.

    Args:
        first: called with the scores that are known before the analysis.
        total: number of models to fit; None before the analysis begins.
    """

    plan: Plan
    cohort: Cohort
    on_event: EventCallback | None
    first: Callable[[Evaluation], None]
    total: int | None = None

    def begin(self, found: Evaluation) -> None:
        """Report the scores that are known before the analysis, and its expected time."""
        self.first(found)
        self.total = 0
        if self.on_event:
            seconds = estimate_fit_s(self.cohort, self.plan.protocol, self.plan.request.seed_list)
            self.on_event(
                {"event": "confounds", "done": 0, "total": None, "text": "reading movement", "seconds": seconds}
            )

    def step(self, begun: int, total: int, target: str) -> None:
        """Report that a model is being fitted."""
        if self.on_event and self.total is not None:
            self.total = total
            self.on_event({"event": "confounds", "done": begun - 1, "total": total, "text": target, "seconds": None})

    def end(self) -> None:
        """Report the end of the analysis."""
        if self.on_event and self.total:
            self.on_event({"event": "confounds", "done": self.total, "total": self.total, "text": "", "seconds": 0.0})


def collect_fold_predictions(plan: Plan, stages: Path) -> tuple[list[FoldPredictions], list[dict[str, Any]]]:
    """Return the predictions of a plan with finished stages. Also return a row for each target, seed and fold with the
    epoch that its test score selected; no rows if the protocol does not select epochs by test scores."""
    cohort = plan.fit if plan.request.dev else plan.test
    predictions: list[FoldPredictions] = []
    predicted_units: set[tuple[int, str, int]] = set()
    picked: list[dict[str, Any]] = []
    for expected in plan.graph.predictions:
        table, by_epoch, alone = Folder(stages, expected.stage).predicted("score", "epochs", CALIBRATION_ONLY)
        compared = {} if alone is None else {CALIBRATION_ONLY: alone}
        for name, stage in expected.beside.items():
            [compared[name]] = Folder(stages, stage).predicted("score")
        for target, part in expected.columns():
            columns = table[:, part]
            if by_epoch is not None:
                epoch = _pick_epoch(plan, cohort, target, expected, by_epoch[:, :, part])
                columns = by_epoch[epoch][:, part]
                place = {"target": target.name, "seed": expected.seed, "fold": expected.fold}
                picked.append({**place, "epoch": epoch, "of": len(by_epoch)})
            # Folds share validation subjects: under --dev each is scored once per seed, by the first fold with it.
            first = np.array([(expected.seed, target.name, i) not in predicted_units for i in expected.units], bool)
            predicted_units |= {(expected.seed, target.name, i) for i in expected.units}
            score, decision = decide(target, columns[first], plan.protocol)
            index = np.array(expected.units, np.int64)[first]
            train = expected.train if plan.fit is cohort else None
            others = {name: decide(target, rows[:, part][first], plan.protocol)[0] for name, rows in compared.items()}
            predictions.append(
                FoldPredictions(target, expected.seed, expected.fold, index, train, score, decision, others)
            )
    return predictions, picked


def collect_embeddings(plan: Plan, stages: Path) -> Embeddings | None:
    """Return the networks' last hidden layers, a row for each target, seed and unit; None if there are none."""
    cohort, parts = plan.fit if plan.request.dev else plan.test, []
    for expected in plan.graph.predictions:
        [x] = Folder(stages, expected.stage).predicted("hidden")
        if x is None:
            continue
        known = np.flatnonzero(np.isfinite(x[:, 0]))
        unit = np.array([cohort.units[expected.units[i]].id for i in known], dtype=np.str_)
        n = len(known)
        for target in expected.targets:
            columns = (np.full(n, target.name), np.full(n, expected.fold), np.full(n, expected.seed))
            parts.append(Embeddings(*columns, unit, x[known]))
    return Embeddings.concatenate(parts) if parts else None


def _pick_epoch(plan: Plan, cohort: Cohort, target: Target, expected: ExpectedPredictions, by_epoch: np.ndarray) -> int:
    """Return the first epoch whose predictions `by_epoch` (epochs, units, columns) score best on the labels of the
    scored units, by the protocol's primary metric; the last epoch if it is undefined in all.

    If the metric depends on the study's design, that of a `free` design is used, since one fold has few comparisons at
    equal times or stimuli. For continuous targets `ccc` is used, since the primary metric is not a plugin.
    """
    primary_metric = plan.protocol.primary_metric_for(target.kind, "free")
    metric = registry.load_plugin(
        "metric", target.traits.within_metric if primary_metric in WITHIN_SUBJECT_SCORES else primary_metric
    )()
    known, wanted = select_labelled(plan, cohort, target, expected, by_epoch[0])
    values = np.full(len(by_epoch), np.nan)
    for epoch, table in enumerate(by_epoch):
        score, decision = decide(target, table[known], plan.protocol)
        predictions = replace(wanted, score=score, decision=decision)
        value = metric(predictions)
        values[epoch] = np.nan if isinstance(value, Undefined) else value if metric.direction == "higher" else -value
    return len(by_epoch) - 1 if np.isnan(values).all() else int(np.nanargmax(values))


def select_labelled(
    plan: Plan, cohort: Cohort, target: Target, expected: ExpectedPredictions, table: np.ndarray
) -> tuple[np.ndarray, Units]:
    """Return a mask (n,) of the fold's units that have a label and a prediction, and these units with both.

    Args:
        table: the fold's predictions of the target, (n, columns); NaN where a unit has none.
    """
    index = np.array(expected.units, np.int64)
    y = cohort.labels(target, expected.train)[index]
    known = np.isfinite(y) & np.isfinite(table[:, 0])
    score, decision = decide(target, table[known], plan.protocol)
    own = FoldPredictions(target, expected.seed, expected.fold, index[known], None, score, decision)
    rows = prediction_rows(MODEL, target, unit_columns(own, cohort, own.units), score, decision)
    return known, units_of(rows, y[known], target, cohort.groups, cohort.length_s)


def list_fold_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the rows of folds.csv: the role of each subject in each fold; excluded subjects have a reason instead."""
    if plan.fit is plan.test:
        rows = evaluation.record_folds(plan.fit, plan.folds)
    else:
        cohort, rows = plan.fit, []
        units = cohort.select_units(cohort.eligible)
        for seed, (fold,) in plan.folds.items():
            trained = roles(units, [replace(fold, test=())], cohort.groups)
            rows += [{**row._asdict(), "seed": seed, "reason": ""} for row in trained]
            columns = {"fold": 0, "role": "test", "seed": seed, "reason": ""}
            rows += [{"subject": s, "group": plan.test.groups[s], **columns} for s in plan.test.subjects]
    return [*rows, *evaluation.excluded_rows(plan.test, rows)]


def make_manifest(
    planned: Plan,
    outcome: Outcome,
    looks: EvaluationCounts,
    conformance: Mapping[str, Reason],
    videos: Sequence[Mapping[str, Any]],
) -> Manifest:
    """Return the content of a run's run.yaml.

    Args:
        outcome: the results of its stages. `looks`: the ledger's counts. `conformance`: see `guards.check_conformance`.
        videos: see `decode_videos`.
    """
    method, synthetic, departed = planned.method, planned.fit.store.synthetic, planned.departs
    files = planned.source.files_digest(planned.test.card)
    about = planned.dataset, planned.test, planned.protocol, planned.leaks, method.time_context
    facts = evaluation.run_circumstances(*about, files=files, given=planned.setting.calibration_data)
    dataset = facts.dataset
    if synthetic is not None and dataset.synthetic is None:
        dataset = dataset.model_copy(update={"synthetic": dict(synthetic)})
    facts = facts.model_copy(update={"dataset": dataset, "versions": {**facts.versions, "engine": ENGINE_REVISION}})
    content = facts.content()
    document = Manifest(
        id=planned.id,
        **{**content, "cohort": {**content["cohort"], "repaired": compute_repaired_share(planned.test)}},
        **_describe_origin(planned),
        method=MethodPart(
            encoders={m: part.name for m, part in method.encoders.items()},
            fusion=method.fusion.name,
            pretrainers=planned.config["pretrainers"],
            modalities=list(method.modalities),
            joins=method.joins,
            inputs=method.inputs,
            query=method.query,
        ),
        recipe=RecipePart(
            preset=method.preset,
            on_leaderboard=method.preset != "quick",
            assumed=assumed_fields(method),
            settings=list(planned.request.settings),
            departs=None if departed is None else [DepartsPart(**each) for each in departed],
        ),
        normalisation=collect_normalisation(planned),
        seeds=list(planned.request.seed_list),
        videos=[dict(video) for video in videos],
        pretraining_overlap=planned.overlap,
        pretraining=_list_pretraining_sources(planned, outcome),
        initial_weights=planned.started.summary() if planned.started else None,
        dev=planned.request.dev,
        cost=sum_costs(planned, outcome),
        device=device_name(planned.setting.device),
        config={**planned.config, "request": _export_request(planned)},
        test_evaluations=dict(looks.test_evaluations),
        methods_evaluated=dict(looks.methods_evaluated),
        dev_evaluations=dict(looks.dev_evaluations),
        ledger=looks.chain,
        conformance=dict(conformance),
        dropped=_collect_dropped(planned, outcome),
        **_describe_inputs(planned),
        **_describe_objects(planned),
    )
    own = {name: installed()[name].version for name in list_packages(document) if name in installed()}
    return document.model_copy(update={"versions": {**document.versions, **own}}) if own else document


def _describe_origin(planned: Plan) -> dict[str, Any]:
    """Return the fields `trained_on` and `sites`, if a method was trained on other data, or sensor sites differed."""
    sites = {"sites": dict(planned.sites)} if planned.sites else {}
    if planned.trained_on is None:
        return sites
    trained_on = TrainedOnPart(
        name=planned.trained_on,
        fingerprint=planned.fit.store.key,
        subjects=len(planned.fit.subjects),
        **evaluation.recorded_rules(planned.fit.card),
    )
    return {"trained_on": trained_on, **sites}


def _describe_inputs(planned: Plan) -> dict[str, Any]:
    """Return the non-empty ones of two fields: `weights`, for encoders that come with known weights, and
    `measurement_units`, for signals that are not standardised."""
    known = {m: data for m, data in weights.find_bundled_weights(planned.method).items() if data}
    parts = {
        m: WeightsPart(
            name=data.name,
            licence=data.licence,
            source=data.source,
            declared=data.declared,
            saw=weights.find_seen(data, planned.dataset),
        )
        for m, data in known.items()
    }
    units = find_unscaled_units(planned)
    return {**({"weights": parts} if parts else {}), **({"measurement_units": units} if units else {})}


_NORMALISATION: Mapping[str, Normalisation] = {
    "none": "none",
    "baseline": "baseline",
    "subject_unlabelled": "subject",
    "recording_unlabelled": "recording",
    "given": "calibration_data",
    "training": "training_subjects",
}
"""Normalisation of a stage -> its id in records."""


def collect_normalisation(planned: Plan) -> dict[str, Normalisation]:
    """Return modality -> id of the data that standardise its signals or features before a method reads them."""
    given = planned.setting.calibration_data if planned.test.slices else None
    source = make_source_spec(planned.protocol, planned.test, given)

    def used(m: str, encoder: Encoder) -> Normalisation:
        if encoder.reads == "clips" or (encoder.keeps_unit and encoder.reads != "features"):
            return "none"
        if keeps_level(source, m):
            return "none" if encoder.reads == "features" else "training_subjects"
        return _NORMALISATION[source.normalise]

    return {m: used(m, load_encoder(part)) for m, part in planned.method.encoders.items()}


def find_unscaled_units(planned: Plan) -> dict[str, Reason]:
    """Return modality -> measurement unit and band, for modalities whose encoder reads signals without
    standardisation under a protocol that standardises."""
    return {
        m: Reason.make(
            "units_in_bands",
            signals=[*map(list, dict.fromkeys(_format_unit_and_band(planned, name) for name in split_modality(m)))],
        )
        for m, part in planned.method.encoders.items()
        if planned.protocol.normalise != "none" and registry.load_plugin("encoder", part.name).keeps_unit
    }


def _format_unit_and_band(planned: Plan, name: str) -> tuple[str, float, float]:
    """Return the measurement unit of a modality and its band in Hz, after the filters of the release and of the
    protocol. Resampling to a higher rate does not widen the band."""
    stored, card = planned.test.store.modalities[name], planned.test.card.modalities[name]
    high, low = band_after(name, (card.rate, stored.rate), card.applied, planned.protocol.preprocess)
    return stored.unit, high, low


def _describe_objects(planned: Plan) -> dict[str, Any]:
    """Return the field `objects`, for a method with plugins passed from Python."""
    objects = {}
    for name in {part.name for _, part in planned.method.parts() if registry.is_object(part.name)}:
        facts = registry.object_facts(name)
        source = escape_control(facts["source"] or "").splitlines()
        objects[name] = {"repr": escape_control(facts["repr"]), **({"source": source} if source else {})}
    return {"objects": objects} if objects else {}


def _collect_dropped(planned: Plan, outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Return modality -> feature -> reason why it was dropped, in any fold."""
    found: dict[str, dict[str, Any]] = {}
    for id_ in planned.graph.stages:
        for m, features in outcome.results[id_].get("dropped", {}).items():
            found.setdefault(m, {}).update(features)
    return found


def _export_request(planned: Plan) -> dict[str, Any]:
    """Return the request as plain values, without paths if the dataset is a user's own."""
    values = {f.name: _to_plain(getattr(planned.request, f.name)) for f in fields(Request)}
    del values["confounds"]  # scores.json shows whether the analysis was run
    if values.pop("tuned"):
        values["tuned"] = TUNING_FILE  # a copy lies beside the record
    for option, name in (("dataset", planned.dataset), ("train_dataset", planned.trained_on)):
        if name and is_own(name) and is_folder(str(values[option])):
            values[option] = name
    if any(map(is_own, (planned.dataset, planned.trained_on or "", *planned.config["pretrained_on"]))):
        values["pretrainers"] = list(planned.config["pretrainers"])
        for name in ("data_root", "runs", "pretrained"):
            place = Path(values[name] or "").expanduser()
            if place.is_absolute():
                values[name] = place.name if name == "pretrained" else None
    return values


def _to_plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def device_name(device: str) -> str:
    """Return the name of a device of this machine, as in records."""
    name = machine.gpu_name(device)
    return name if name and name != device else f"{device} ({platform.machine()})"


def _list_pretraining_sources(planned: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """Return a row for each source of pretraining data besides this dataset: hash, licence, hours, subjects."""
    stages = (outcome.results[id_] for id_, s in planned.graph.stages.items() if s.kind == "pretrain")
    merged = weights.merge_seen(seen for result in stages for seen in weights.list_data_seen(result))
    current = [dict(m) for m in merged if m["store"] != planned.fit.store.key]
    before = planned.started.seen() if planned.started else []
    return [weights.count_subjects(entry) for entry in (*current, *before)]


def sum_costs(planned: Plan, outcome: Outcome) -> CostPart:
    """Return the cost of a run; stages shared with other runs count fully. A cost is None if any was not measured."""
    results = [outcome.results[id_] for id_ in planned.graph.stages]
    predicted = planned.graph.predictions[0]
    fitted = planned.graph.fitted(predicted)
    # The fitted stage counts the parameters of its frozen networks, but not their operations.
    frozen = [outcome.results[id_]["flops"] for id_ in find_frozen_networks(fitted).values()]
    own = outcome.results[fitted.id] | outcome.results[predicted.stage]  # estimators are fitted at prediction
    return CostPart(
        wall_seconds=_total(results, "wall_seconds"),
        parameters=own["parameters"],
        flops=None if own.get("flops") is None else own["flops"] + sum(frozen),
        device=planned.setting.device,
        peak_memory_mb=round(max(r["peak_memory_mb"] for r in results), 1),
        energy_j=_total(results, "energy_j", 1),
        cpu_seconds=_total(results, "cpu_seconds"),
        gpu_seconds=_total(results, "gpu_seconds"),
        **{name: ", ".join(sorted({r[name] for r in results if r.get(name)})) or None for name in ("processor", "gpu")},
    )


def _total(results: Sequence[Mapping[str, Any]], name: str, digits: int = 3) -> float | None:
    """Return the sum of a cost over stages; None if one was not measured."""
    values: list[Any] = [result.get(name) for result in results]
    return None if None in values else round(sum(values), digits)
