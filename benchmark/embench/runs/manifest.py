"""The content of run.yaml, from a plan and the results of its stages."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from embench import registry
from embench.data.cohort import label_rules, repaired_share
from embench.data.find import files_digest, is_folder
from embench.engine.executors import Outcome
from embench.engine.stage import ENGINE_REVISION
from embench.files import digest
from embench.interfaces.recording import names_in
from embench.leaderboard.pull_request import packages_of
from embench.planning import weights
from embench.planning.plan import Plan, assumed
from embench.planning.request import Request
from embench.records.ledger import Looks
from embench.records.manifest import (
    CostPart,
    Manifest,
    MethodPart,
    RecipePart,
    RuleOfTargetPart,
    TrainedOnPart,
    WeightsPart,
)
from embench.records.record import TUNING_FILE, is_own
from embench.registry.catalogue import installed
from embench.signals.preprocess import band_after
from embench.statistics import evaluation
from embench.texts import visible


def manifest(
    planned: Plan,
    outcome: Outcome,
    looks: Looks,
    conformance: Mapping[str, str],
    videos: Sequence[Mapping[str, Any]],
) -> Manifest:
    """The content of a run's run.yaml; `looks` are the ledger's counts, `conformance` is the result of the checks of
    plugins that are not bundled, `videos` what was not seen in those of each dataset."""
    method, synthetic = planned.method, planned.fit.store.synthetic
    files = files_digest(planned.request.dataset, planned.request.data_root, planned.test.card)
    about = planned.dataset, planned.test, planned.protocol, planned.deviations, method.time_context
    facts = evaluation.run_circumstances(*about, files=files, given=planned.setting.given)
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
        ),
        recipe=RecipePart(
            preset=method.preset,
            on_board=method.preset != "quick",
            assumed=assumed(method),
            settings=list(planned.request.settings),
        ),
        seeds=list(planned.request.seed_list),
        videos=[dict(video) for video in videos],
        pretrain_overlap=planned.overlap,
        pretraining=_pretraining_sources(planned, outcome),
        started_from=planned.started.summary() if planned.started else None,
        dev=planned.request.dev,
        cost=cost_of(planned, outcome),
        device=device_name(planned.setting.device),
        config={**planned.config, "request": _request(planned)},
        test_looks=dict(looks.openings),
        tried=dict(looks.tried),
        dev_looks=dict(looks.dev),
        ledger=looks.chain,
        conformance=dict(conformance),
        dropped=_dropped(planned, outcome),
        **_inputs(planned),
        **_objects(planned),
    )
    own = {name: installed()[name].version for name in packages_of(document) if name in installed()}
    return document.model_copy(update={"versions": {**document.versions, **own}}) if own else document


def _elsewhere(planned: Plan) -> dict[str, Any]:
    """`trained_on`, of a method that was trained on another dataset, and `sites`, where its sensors were at others."""
    sites = {"sites": dict(planned.sites)} if planned.sites else {}
    if planned.trained_on is None:
        return sites
    rules = label_rules(planned.fit.card)
    trained_on = TrainedOnPart(
        name=planned.trained_on,
        fingerprint=planned.fit.store.key,
        subjects=len(planned.fit.subjects),
        label_rules_hash=digest(rules),
        label_rules=[RuleOfTargetPart.model_validate(rule) for rule in rules],
    )
    return {"trained_on": trained_on, **sites}


def _inputs(planned: Plan) -> dict[str, Any]:
    """`weights`, of encoders that bring any of which something is known, and `kept_units`, of those whose signals are
    not standardised."""
    known = {m: data for m, data in weights.own_weights(planned.method).items() if data}
    parts = {
        m: WeightsPart(
            name=data.name,
            licence=data.licence,
            source=data.source,
            declared=data.declared,
            saw=weights.seen_by(data, planned.dataset),
        )
        for m, data in known.items()
    }
    units = kept_units(planned)
    return {**({"weights": parts} if parts else {}), **({"kept_units": units} if units else {})}


def kept_units(planned: Plan) -> dict[str, str]:
    """Modality -> the unit and band in which its encoder reads it, where the protocol standardises those of others."""
    return {
        m: "+".join(dict.fromkeys(_unit_and_band(planned, name) for name in names_in(m)))
        for m, part in planned.method.encoders.items()
        if planned.protocol.normalise != "none" and registry.load("encoder", part.name).keeps_unit
    }


def _unit_and_band(planned: Plan, name: str) -> str:
    """The unit of a modality, and the band that the release and the protocol leave of it, which no higher rate makes
    wider."""
    stored, card = planned.test.store.modalities[name], planned.test.card.modalities[name]
    high, low = band_after(name, (card.rate, stored.rate), card.applied, planned.protocol.preprocess)
    return f"{stored.unit}, {high:g} to {low:g} Hz"


def _objects(planned: Plan) -> dict[str, Any]:
    """`objects`, of a method with plugins that were given from Python."""
    found = {}
    for name in {part.name for _, part in planned.method.parts() if registry.is_object(part.name)}:
        facts = registry.object_facts(name)
        source = visible(facts["source"] or "").splitlines()
        found[name] = {"repr": visible(facts["repr"]), **({"source": source} if source else {})}
    return {"objects": found} if found else {}


def _dropped(planned: Plan, outcome: Outcome) -> dict[str, dict[str, str]]:
    """Modality -> feature -> why it was dropped, in any fold."""
    found: dict[str, dict[str, str]] = {}
    for id_ in planned.graph.stages:
        for m, features in outcome.results[id_].get("dropped", {}).items():
            found.setdefault(m, {}).update(features)
    return found


def _request(planned: Plan) -> dict[str, Any]:
    """The request as plain values. Of own data it holds no path that tells where, or in which folder, they lie."""
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
    """The name of a device of this machine, as records have it."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return f"{device} ({platform.machine()})"


def _pretraining_sources(planned: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """Sources of pretraining besides this dataset, here or behind the weights to start from: each source once, with
    hash, licence, hours, number of subjects."""
    stages = (outcome.results[id_] for id_, s in planned.graph.stages.items() if s.kind == "pretrain")
    merged = weights.merged(seen for result in stages for seen in weights.data_seen(result))
    current = [weights.as_recorded(m) for m in merged if m["store"] != planned.fit.store.key]
    before = planned.started.seen() if planned.started else []
    return [weights.count_subjects(entry) for entry in (*current, *before)]


def cost_of(planned: Plan, outcome: Outcome) -> CostPart:
    """The cost of a run, with shared stages counted whole; None where one of its stages was not measured."""
    results = [outcome.results[id_] for id_ in planned.graph.stages]
    predicted = planned.graph.predictions[0].stage
    fitted = planned.graph.stages[planned.graph.stages[predicted].inputs["fitted"]]
    # What predicts together: the fitted stage, which counts the parameters of frozen nets under it, and those nets.
    frozen = [outcome.results[id_]["flops"] for role, id_ in fitted.inputs.items() if role.startswith("unimodal:")]
    own = outcome.results[fitted.id] | outcome.results[predicted]  # an estimator is fitted where it predicts
    energy: list[Any] = [r.get("energy_j") for r in results]
    return CostPart(
        wall_s=round(sum(r["wall_s"] for r in results), 3),
        parameters=own["parameters"],
        flops=None if own.get("flops") is None else own["flops"] + sum(frozen),
        device=planned.setting.device,
        peak_memory_mb=round(max(r["peak_memory_mb"] for r in results), 1),
        energy_j=None if None in energy else round(sum(energy), 1),
        **_computed(results),
    )


def _computed(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The seconds of processors and their names; nothing where a stage was run before these were measured."""
    if any("cpu_s" not in result for result in results):
        return {}
    seconds = {name: round(sum(result[name] for result in results), 3) for name in ("cpu_s", "gpu_s")}
    return {**seconds, "processor": ", ".join(sorted({result["processor"] for result in results}))}
