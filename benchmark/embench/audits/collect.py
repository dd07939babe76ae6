"""Collect the evidence of an audit from a run's folder and the data, recomputed from the data if possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from embench import registry
from embench.audits.checks.records import Evidence, FittedStatistics, RecordEvidence
from embench.data.cohort import compute_cohort_labels
from embench.data.find import Source, find_source, is_folder
from embench.errors import CheckFailed, DataError, EmbenchError, PluginError, UsageError
from embench.files import digest
from embench.interfaces.metric import Undefined
from embench.leaderboard.verify import recompute, resolve_protocol
from embench.leaderboard.withheld import LABEL_HMAC_FILE, compare_label_hash
from embench.planning.request import get_recorded_root
from embench.protocols import Protocol
from embench.reasons import Reason
from embench.records import predictions, record
from embench.records.audit import Skipped
from embench.records.manifest import Manifest
from embench.records.predictions import Labels
from embench.records.scores import Scores
from embench.runs.again import list_other_versions, rebuild_plan
from embench.statistics.evaluation import find_miscounted_units
from embench.statistics.joined import recorded_targets, unit_length
from embench.store import Store

if TYPE_CHECKING:
    from embench.planning.plan import Plan


def collect_evidence(
    folder: Path, data_root: Path | None, known: record.Record | None = None, dataset: str | None = None
) -> Evidence:
    """Return the evidence for an audit from the record `known` (None: read from `folder`) and from the data of
    `dataset` (None: the record's). Raises DataError if the record is incomplete, or the data are missing."""
    known = known or record.read_record(folder)
    manifest = Manifest.model_validate(known.run)
    protocol = resolve_protocol(manifest)
    root = data_root or get_recorded_root(known.run["config"])
    redefined = _redefined_modalities(manifest)
    source = find_source(dataset, root) if dataset else _recorded_source(known.run, root)
    if (found := source.full_name) != manifest.dataset.name:
        raise UsageError(f"the record is of {manifest.dataset.name}, not of {found}", where=f"--dataset {source.name}")
    cohort = source.cohort(protocol, ",".join(manifest.targets), manifest.method.modalities)
    own_folds = any("own" in origin for origin in known.run.get("submission", {}).get("folds", {}).values())
    by_protocol = not known.run["config"].get("train_dataset") and not own_folds
    dealt = {seed: cohort.folds(protocol, seed) for seed in manifest.seeds} if by_protocol else {}
    tested = set(cohort.tested)
    labels = compute_cohort_labels(cohort, cohort.targets, dealt, cohort.eligible)
    scored = replace(known, labels=known.labels or labels)
    planned = rebuild_plan(known, folder, data_root, folder.parent.parent, source.name)
    reasons = (
        [planned.reason] if isinstance(planned, Undefined) else _request_differences(known.run, planned) + redefined
    )
    statistics: Sequence[FittedStatistics] | Undefined | Skipped
    stages: Sequence[Mapping[str, Any]] | Undefined | Skipped
    statistics = stages = Skipped(tuple(reasons))
    if not (isinstance(planned, Undefined) or reasons):
        from embench.audits.retrain import compare_stages, fitted_statistics

        statistics = fitted_statistics(planned, folder)
        stages = compare_stages(planned, known.history)
    sources, missing = _list_pretraining_sources(known.run, planned, protocol, root)
    return Evidence(
        folder=folder,
        record=known,
        manifest=manifest,
        protocol=protocol,
        card=cohort.card,
        targets=cohort.targets,
        store=cohort.store,
        units={unit.id: unit for unit in cohort.units},
        untested=frozenset(unit.id for i, unit in enumerate(cohort.units) if cohort.slices and i not in tested),
        planned=planned,
        labels=labels,
        groups=cohort.groups,
        sessions=cohort.sessions,
        unit_length_s=cohort.length_s,
        dealt=dealt,
        rescored=recompute(scored, cohort) if len(known.predictions) else Scores.make_empty(),
        embeddings=predictions.read_embeddings(folder),
        statistics=statistics,
        sources=sources,
        missing_sources=missing,
        stages=stages,
        baselines=_find_baselines(folder, manifest),
        miscounted=()
        if manifest.dev or not len(known.predictions)
        else find_miscounted_units(known.predictions, cohort, manifest.seeds),
        withheld_digest=_compare_withheld(folder, labels, source) if known.labels is None else None,
    )


def record_evidence(folder: Path, known: record.Record) -> RecordEvidence:
    """Return the evidence for an audit from the record `known` alone, without data. Raises DataError if the record has
    no labels, UsageError if its protocol is not installed."""
    if known.labels is None:
        raise DataError("the record has no labels", where=str(folder))
    return RecordEvidence(
        folder=folder,
        record=known,
        manifest=known.manifest,
        protocol=resolve_protocol(known.manifest),
        targets=recorded_targets(known),
        labels=known.labels,
        groups=known.groups,
        sessions=known.sessions or {},
        unit_length_s=unit_length(known.predictions["unit"]) if len(known.predictions) else float("nan"),
        rescored=known.scores,
        embeddings=predictions.read_embeddings(folder),
    )


def _recorded_source(run: Mapping[str, Any], root: Path | None) -> Source:
    """Return the source of a record's dataset, found by its name, or else by the folder that the run's user named."""
    named = str(run["dataset"]["name"])
    requested = str(run["config"].get("request", {}).get("dataset", named))
    try:
        return find_source(named, root)
    except EmbenchError:
        if not is_folder(requested):
            raise
        return find_source(requested, root)


def _redefined_modalities(manifest: Manifest) -> list[Reason]:
    """Return a reason for each modality of another package that is defined differently here than in the record. Raises
    PluginError if a modality is not defined here."""
    reasons = []
    for name, recorded in manifest.dataset.modalities.items():
        if not any(modality.name == name for modality in registry.modalities()):
            raise PluginError(
                f"the run's modality `{name}` is defined by {recorded.package} {recorded.version}, which is not here",
                where=f"run {manifest.id}, dataset {manifest.dataset.name}",
                hint=f"install {recorded.package} {recorded.version}; embench list modality",
            )
        if fields := registry.find_modality(name).difference(recorded.content()):
            reasons.append(Reason.make("other_modality", name=name, fields=[*fields]))
    return reasons


def _compare_withheld(
    folder: Path, labels: Labels, source: Source
) -> Literal["same", "other labels", "other files", "missing"]:
    """Compare labels and raw files with the hash that an entry publishes; see `Evidence.withheld_digest`."""
    path = folder / LABEL_HMAC_FILE
    if not path.is_file():
        return "missing"
    return compare_label_hash(path, labels, source.raw_digest())


def _request_differences(run: Mapping[str, Any], planned: Plan) -> list[Reason]:
    """Return the reasons why the same request would not give the identical stages here; empty if it would."""
    before = {k: v for k, v in run["config"].items() if k != "request"}
    now = planned.config
    others = sorted(k for k in before.keys() | now.keys() if digest(before.get(k)) != digest(now.get(k)))
    reasons = [Reason.make("other_configuration", name=name) for name in others]
    versions = list_other_versions(run["versions"])
    return reasons + [Reason.make("other_version", name=name, then=then, here=here) for name, then, here in versions]


def _list_pretraining_sources(
    run: Mapping[str, Any], planned: Plan | Undefined, protocol: Protocol, root: Path | None
) -> tuple[dict[str, Store], tuple[str, ...]]:
    """Return name -> prepared data of each pretraining dataset besides the run's own, and the names of missing ones."""
    steps = () if isinstance(planned, Undefined) else planned.method.pretraining
    names = [source.name for step in steps for source in step.sources]
    started = (run.get("initial_weights") or {}).get("manifest") or {}
    names += [str(seen["dataset"]) for seen in (*run.get("pretraining", []), *started.get("seen", []))]
    stores: dict[str, Store] = {}
    missing = []
    for name in dict.fromkeys(names):
        try:
            store = find_source(name, root).prepared(protocol)
        except (CheckFailed, DataError, UsageError):
            missing.append(_public_name(name))
            continue
        if store.key not in {other.key for other in stores.values()} | {run["dataset"]["fingerprint"]}:
            stores[_public_name(name)] = store
    return stores, tuple(missing)


def _public_name(name: str) -> str:
    """Return the last part of a folder's path or an address as a public name; any other name is unchanged."""
    return Path(name).name if is_folder(name) or ":" in name else name


def _find_baselines(folder: Path, manifest: Manifest) -> list[Path]:
    """Return the folders of runs with handcrafted features next to this one, under the same protocol and on the same
    data."""
    folders = []
    for path in sorted(folder.resolve().parent.glob("*/run.yaml")):
        other = record.read_manifest(path.parent)
        simple = other.method.encoders and all(n.endswith("/handcrafted") for n in other.method.encoders.values())
        same = other.protocol.hash == manifest.protocol.hash and other.dataset.name == manifest.dataset.name
        if simple and same and not other.dev and other.id != manifest.id and set(manifest.seeds) <= set(other.seeds):
            folders.append(path.parent)
    return folders
