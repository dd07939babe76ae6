"""Score the predictions of a plan's stages, the only place where `run` reads test labels; write `run.yaml`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.data.cohort import Cohort, repaired_share
from embench.data.find import is_folder
from embench.engine import device as machine
from embench.engine.executors import Outcome
from embench.engine.rows import keeps_level, load_encoder
from embench.engine.stage import ENGINE_REVISION, Folder
from embench.interfaces.encoder import Encoder
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import names_in
from embench.interfaces.units import Target, Units
from embench.leaderboard.pull_request import list_packages
from embench.planning import weights
from embench.planning.graph import ExpectedPredictions, frozen_under, source_spec
from embench.planning.method import assumed_fields
from embench.planning.plan import Plan, seconds_to_fit
from embench.planning.request import Request
from embench.protocols import CALIBRATION_ONLY, roles
from embench.records.ledger import Looks
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
    about_units,
    decide,
    prediction_rows,
)
from embench.statistics.joined import units_of
from embench.system import EventCallback
from embench.vocabulary import visible

# Scoring of a plan's predictions: the only place where `run` reads test labels.


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
    predictions, picked = fold_predictions(plan, stages)

    def whole(evaluated: Evaluation) -> Evaluation:
        return replace(evaluated, scores=Scores({**evaluated.scores, "picked_epochs": picked})) if picked else evaluated

    analysis = _Analysis(plan, cohort, on_event, lambda found: first(whole(found)) if first else None)
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
    return whole(found)


@dataclass
class _Analysis:
    """Events of a plan's confound analysis; none if its models are cached."""

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
            seconds = seconds_to_fit(self.cohort, self.plan.protocol, self.plan.request.seed_list)
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


def fold_predictions(plan: Plan, stages: Path) -> tuple[list[FoldPredictions], list[dict[str, Any]]]:
    """Return the predictions of a plan with finished stages and, under protocols that select an epoch by its test
    score, the selected epoch of each fold."""
    cohort = plan.fit if plan.request.dev else plan.test
    predictions: list[FoldPredictions] = []
    predicted_units: set[tuple[int, str, int]] = set()
    picked: list[dict[str, Any]] = []
    for expected in plan.graph.predictions:
        table, every, alone = Folder(stages, expected.stage).predicted("score", "epochs", CALIBRATION_ONLY)
        beside = {} if alone is None else {CALIBRATION_ONLY: alone}
        for name, stage in expected.beside.items():
            [beside[name]] = Folder(stages, stage).predicted("score")
        for target, own in expected.columns():
            columns = table[:, own]
            if every is not None:
                epoch = _peak(plan, cohort, target, expected, every[:, :, own])
                columns = every[epoch][:, own]
                picked.append(
                    {
                        "target": target.name,
                        "seed": expected.seed,
                        "fold": expected.fold,
                        "epoch": epoch,
                        "of": len(every),
                    }
                )
            # Folds share validation subjects: under --dev each is scored once per seed, by the first fold with it.
            first = np.array([(expected.seed, target.name, i) not in predicted_units for i in expected.units], bool)
            predicted_units |= {(expected.seed, target.name, i) for i in expected.units}
            score, decision = decide(target, columns[first], plan.protocol)
            index = np.array(expected.units, np.int64)[first]
            train = expected.train if plan.fit is cohort else None
            others = {name: decide(target, of[:, own][first], plan.protocol)[0] for name, of in beside.items()}
            predictions.append(
                FoldPredictions(target, expected.seed, expected.fold, index, train, score, decision, others)
            )
    return predictions, picked


def collect_embeddings(plan: Plan, stages: Path) -> Embeddings | None:
    """Return the hidden layers behind the predictions of a plan with finished stages, for each of a network's targets;
    None if no network predicted. Stages of old versions have none."""
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


def _peak(plan: Plan, cohort: Cohort, target: Target, expected: ExpectedPredictions, every: np.ndarray) -> int:
    """Return the first epoch whose predictions `every` (epochs, units, columns) score best on the labels of the scored
    units, by the protocol's primary metric; the last epoch if it is undefined in all.

    A metric that depends on the design is taken as for a free design: one fold has few comparisons at equal times or
    stimuli. For continuous targets in version 3 `ccc` is used, since the primary metric is not a plugin.
    """
    primary_metric = plan.protocol.primary_metric_for(target.kind, "free")
    metric = registry.load(
        "metric", target.traits.within if primary_metric in WITHIN_SUBJECT_SCORES else primary_metric
    )()
    known, like = labelled_in_fold(plan, cohort, target, expected, every[0])
    values = np.full(len(every), np.nan)
    for epoch, table in enumerate(every):
        score, decision = decide(target, table[known], plan.protocol)
        predictions = replace(like, score=score, decision=decision)
        value = metric(predictions)
        values[epoch] = np.nan if isinstance(value, Undefined) else value if metric.direction == "higher" else -value
    return len(every) - 1 if np.isnan(values).all() else int(np.nanargmax(values))


def labelled_in_fold(
    plan: Plan, cohort: Cohort, target: Target, expected: ExpectedPredictions, table: np.ndarray
) -> tuple[np.ndarray, Units]:
    """Return the units with a label and a prediction in the predictions `table` (units, columns) of a target in one
    fold: a mask (n,), and the units."""
    index = np.array(expected.units, np.int64)
    y = cohort.labels(target, expected.train)[index]
    known = np.isfinite(y) & np.isfinite(table[:, 0])
    score, decision = decide(target, table[known], plan.protocol)
    own = FoldPredictions(target, expected.seed, expected.fold, index[known], None, score, decision)
    rows = prediction_rows(MODEL, target, about_units(own, cohort, own.units), score, decision)
    return known, units_of(rows, y[known], target, cohort.groups, cohort.length_s)


def fold_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the record of folds: the part of each subject; excluded subjects have the reason and no fold."""
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


# The content of run.yaml, from a plan and the results of its stages.


def manifest(
    planned: Plan,
    outcome: Outcome,
    looks: Looks,
    conformance: Mapping[str, str],
    videos: Sequence[Mapping[str, Any]],
) -> Manifest:
    """Return the content of a run's run.yaml. `looks` are the ledger's counts; `conformance` holds check results of
    plugins that are not bundled; `videos` notes undecoded parts of each dataset's videos."""
    method, synthetic = planned.method, planned.fit.store.synthetic
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
        **{**content, "cohort": {**content["cohort"], "repaired": repaired_share(planned.test)}},
        **_elsewhere(planned),
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
            departs=None if planned.departs is None else [DepartsPart(**each) for each in planned.departs],
        ),
        normalisation=find_normalisation(planned),
        seeds=list(planned.request.seed_list),
        videos=[dict(video) for video in videos],
        pretraining_overlap=planned.overlap,
        pretraining=_pretraining_sources(planned, outcome),
        initial_weights=planned.started.summary() if planned.started else None,
        dev=planned.request.dev,
        cost=sum_costs(planned, outcome),
        device=device_name(planned.setting.device),
        config={**planned.config, "request": _request(planned)},
        test_evaluations=dict(looks.test_evaluations),
        methods_evaluated=dict(looks.methods_evaluated),
        dev_evaluations=dict(looks.dev_evaluations),
        ledger=looks.chain,
        conformance=dict(conformance),
        dropped=_dropped(planned, outcome),
        **_inputs(planned),
        **_objects(planned),
    )
    own = {name: installed()[name].version for name in list_packages(document) if name in installed()}
    return document.model_copy(update={"versions": {**document.versions, **own}}) if own else document


def _elsewhere(planned: Plan) -> dict[str, Any]:
    """Return `trained_on`, if a method was trained on another dataset, and `sites`, if sensor sites differed."""
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


def _inputs(planned: Plan) -> dict[str, Any]:
    """Return `weights`, for encoders that include known weights, and `measurement_units`, for signals that are not
    standardised."""
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


def find_normalisation(planned: Plan) -> dict[str, Normalisation]:
    """Return modality -> id of the data that standardise its signals or features before a method reads them."""
    given = planned.setting.calibration_data if planned.test.slices else None
    source = source_spec(planned.protocol, planned.test, given)

    def used(m: str, encoder: Encoder) -> Normalisation:
        if encoder.reads == "clips" or (encoder.keeps_unit and encoder.reads != "features"):
            return "none"
        if keeps_level(source, m):
            return "none" if encoder.reads == "features" else "training_subjects"
        return _NORMALISATION[source.normalise]

    return {m: used(m, load_encoder(part)) for m, part in planned.method.encoders.items()}


def find_unscaled_units(planned: Plan) -> dict[str, str]:
    """Return modality -> measurement unit and band in which its encoder reads it, if other encoders get standardised
    signals."""
    return {
        m: "+".join(dict.fromkeys(_unit_and_band(planned, name) for name in names_in(m)))
        for m, part in planned.method.encoders.items()
        if planned.protocol.normalise != "none" and registry.load("encoder", part.name).keeps_unit
    }


def _unit_and_band(planned: Plan, name: str) -> str:
    """Return the measurement unit of a modality and its band after the release's and the protocol's filters; a higher
    rate does not widen it."""
    stored, card = planned.test.store.modalities[name], planned.test.card.modalities[name]
    high, low = band_after(name, (card.rate, stored.rate), card.applied, planned.protocol.preprocess)
    return f"{stored.unit}, {high:g} to {low:g} Hz"


def _objects(planned: Plan) -> dict[str, Any]:
    """Return `objects`, for a method with plugins passed from Python."""
    found = {}
    for name in {part.name for _, part in planned.method.parts() if registry.is_object(part.name)}:
        facts = registry.object_facts(name)
        source = visible(facts["source"] or "").splitlines()
        found[name] = {"repr": visible(facts["repr"]), **({"source": source} if source else {})}
    return {"objects": found} if found else {}


def _dropped(planned: Plan, outcome: Outcome) -> dict[str, dict[str, str]]:
    """Return modality -> feature -> reason why it was dropped, in any fold."""
    found: dict[str, dict[str, str]] = {}
    for id_ in planned.graph.stages:
        for m, features in outcome.results[id_].get("dropped", {}).items():
            found.setdefault(m, {}).update(features)
    return found


def _request(planned: Plan) -> dict[str, Any]:
    """Return the request as plain values. For own data it contains no path."""
    values = {f.name: _plain(getattr(planned.request, f.name)) for f in fields(Request)}
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


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def device_name(device: str) -> str:
    """Return the name of a device of this machine, as in records."""
    name = machine.gpu_name(device)
    return name if name and name != device else f"{device} ({platform.machine()})"


def _pretraining_sources(planned: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """Return sources of pretraining besides this dataset, in this run or behind its initial weights: each once, with
    hash, licence, hours, number of subjects."""
    stages = (outcome.results[id_] for id_, s in planned.graph.stages.items() if s.kind == "pretrain")
    merged = weights.merge_seen(seen for result in stages for seen in weights.data_seen(result))
    current = [dict(m) for m in merged if m["store"] != planned.fit.store.key]
    before = planned.started.seen() if planned.started else []
    return [weights.count_subjects(entry) for entry in (*current, *before)]


def sum_costs(planned: Plan, outcome: Outcome) -> CostPart:
    """Return the cost of a run, with shared stages counted fully; values are None if one of its stages was not
    measured."""
    results = [outcome.results[id_] for id_ in planned.graph.stages]
    predicted = planned.graph.predictions[0]
    fitted = planned.graph.fitted(predicted)
    # The stages behind a prediction: the fitted stage, which counts its frozen networks' parameters, and these
    # networks.
    frozen = [outcome.results[id_]["flops"] for id_ in frozen_under(fitted).values()]
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
