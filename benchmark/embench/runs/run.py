"""One run from plan to record: the only place where predictions, test labels and scores meet.

`call` is what people call as `embench.run(dataset="amigos", encoder="cnn_tf", fusion="cross_attn")`.
"""

from __future__ import annotations

import csv
import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from embench import protocols, registry
from embench.data.cohort import card_under, choose_targets, label_rules
from embench.engine.executor import Outcome, local
from embench.engine.stage import REVISION, Folder
from embench.errors import EmbenchError, MachineError, Unfinished, UsageError
from embench.files import digest
from embench.planning import weights
from embench.planning.graph import stage_folder
from embench.planning.plan import Plan, assumed, default_workers, make
from embench.planning.request import Request, named, request_of
from embench.records import embeddings, ledger, record
from embench.registry.hooks import Observers
from embench.runs import evaluate
from embench.statistics import answers
from embench.statistics.answers import Result

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Grid:
    """The runs of a grid that finished, in order, and why the others did not."""

    results: tuple[Result, ...]
    failures: Mapping[str, EmbenchError] = field(default_factory=dict)

    def check(self) -> None:
        """Raises Unfinished where a run is missing; names each."""
        if self.failures:
            lines = [f"{title}: {error.what}" for title, error in self.failures.items()]
            raise Unfinished(
                f"{len(self.failures)} of {len(self.failures) + len(self.results)} runs are missing: "
                + "; ".join(lines),
                hint="the same command goes on where this one stopped",
            )


def plan(request: Request) -> Plan:
    """The plan of a request; see `embench.planning.plan.make`."""
    return make(request)


def run(request: Request, progress: Report | None = None) -> Result:
    """Runs one method and writes its record.

    Raises:
        EmbenchError: of the kind that says whose fault it is; stages that finished are kept and not run again.
    """
    done = grid([request], progress=progress)
    if done.failures:
        raise next(iter(done.failures.values()))
    return done.results[0]


def grid(
    requests: Sequence[Request], executor: str = "local", workers: int | None = None, progress: Report | None = None
) -> Grid:
    """Runs several requests as one graph: what two of them share is run once.

    Raises:
        UsageError, DataError: a request cannot be planned. MachineError: a worker was killed.
    """
    if executor != "local":
        raise UsageError(f"no executor `{executor}`", where="--executor", expected="local")
    report = progress or (lambda _: None)
    plans = [make(request, report) for request in requests]
    observers = Observers.named(tuple(dict.fromkeys(name for r in requests for name in r.observers)))
    for planned in plans:
        observers.run_started({"id": planned.id, **planned.config})
    stages = list({id_: stage for p in plans for id_, stage in p.graph.stages.items()}.values())
    root = stage_folder(requests[0].runs_folder)
    _writable(root)
    count = workers or requests[0].workers or default_workers(plans[0].setting.device)
    outcome = local(stages, root, count, _watched(report, observers))
    results, failures = [], {}
    for planned in plans:
        try:
            results.append(_conclude(planned, outcome, root, observers))
        except EmbenchError as error:
            failures[f"{planned.method.title} ({planned.id})"] = error
    return Grid(tuple(results), failures)


def _writable(root: Path) -> None:
    """Finds out before anything is trained whether results can be kept."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise MachineError(
            f"cannot write here: {error.strerror}", where=str(root), hint="choose another folder with --runs"
        ) from error


def _watched(report: Report, observers: Observers) -> Report:
    def tell(event: Mapping[str, Any]) -> None:
        report(event)
        kind = event["event"]
        if kind == "stage_started":
            observers.stage_started(event["stage"])
        elif kind == "epoch_ended":
            figures = {k: v for k, v in event.items() if k not in ("event", "stage", "epoch")}
            observers.epoch_ended(event["stage"], event["epoch"], figures)
        elif kind == "stage_ended":
            observers.stage_ended(event["stage"], event["figures"])

    return tell


def _conclude(planned: Plan, outcome: Outcome, root: Path, observers: Observers) -> Result:
    """Scores a plan whose stages are done and writes its record; one that the same code wrote before is read again, so
    that the test labels stay closed."""
    for id_ in planned.graph.stages:
        if id_ in outcome.errors:
            raise outcome.errors[id_]
    if (planned.folder / "run.yaml").is_file():
        known = record.read(planned.folder)
        if known.run.get("scoring") == answers.identity():
            observers.run_ended({"id": planned.id, **planned.config}, known.scores)
            return Result(planned.id, planned.folder, known.run, known.scores)
    look = {
        "dataset": planned.dataset,
        "protocol": planned.protocol.name,
        "run": planned.id,
        "method": digest(planned.config),
    }
    ledger_folder = planned.request.runs_folder
    targets = [t.name for t in planned.test.targets]
    if not planned.request.dev:
        for target in targets:
            ledger.append(ledger_folder, {**look, "target": target})
    evaluated = evaluate.evaluate(planned, root)
    counts = {
        "test_looks": {t: ledger.looks(ledger_folder, planned.dataset, planned.protocol.name, t) for t in targets},
        "tried": {t: ledger.tried(ledger_folder, planned.dataset, planned.protocol.name, t) for t in targets},
    }
    content = {**manifest(planned, outcome), **counts}
    written = record.Record(
        content,
        evaluated.predictions,
        evaluated.labels,
        evaluate.fold_rows(planned),
        evaluated.scores,
        _history(planned, root),
    )
    _keep_weights(planned, root)
    if (hidden := evaluate.embeddings_of(planned, root)) is not None:
        embeddings.write(planned.folder, hidden)
    record.write(planned.folder, written)
    observers.run_ended({"id": planned.id, **planned.config}, evaluated.scores)
    return Result(planned.id, planned.folder, content, evaluated.scores)


def manifest(planned: Plan, outcome: Outcome) -> dict[str, Any]:
    """The content of run.yaml but for the counts of looks."""
    method = planned.method
    about = answers.circumstances(planned.dataset, planned.test, planned.protocol, planned.gives_up)
    if (trained_on := planned.fit.store.synthetic) is not None and about["dataset"]["synthetic"] is None:
        about["dataset"]["synthetic"] = dict(trained_on)
    return {
        "id": planned.id,
        **about,
        "versions": {**about["versions"], "engine": REVISION},
        **({} if planned.fit is planned.test else {"trained_on": _trained_on(planned)}),
        "method": {
            "encoders": {m: part.name for m, part in method.encoders.items()},
            "fusion": method.fusion.name,
            "pretrainers": planned.config["pretrainers"],
            "modalities": list(method.modalities),
        },
        "recipe": {
            "preset": method.preset,
            "on_board": method.preset != "quick",
            "assumed": assumed(method),
            "settings": list(planned.request.settings),
        },
        "seeds": list(planned.request.seed_list),
        "videos": [dict(said) for said in planned.videos],
        "pretrain_overlap": planned.overlap,
        "pretraining": _outside(planned, outcome),
        "started_from": planned.started.said() if planned.started else None,
        "dev": planned.request.dev,
        "cost": _cost(planned, outcome),
        "device": _device(planned.setting.device),
        "config": {
            **planned.config,
            "request": {f.name: _plain(getattr(planned.request, f.name)) for f in fields(Request)},
        },
    }


def _trained_on(planned: Plan) -> dict[str, Any]:
    """The other dataset that the method was trained on, whose labels are made by its own card's rules."""
    rules = label_rules(planned.fit.card)
    return {
        "name": planned.trained_on,
        "fingerprint": planned.fit.store.key,
        "people": len(planned.fit.people),
        "label_rules_hash": digest(rules),
        "label_rules": rules,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _device(device: str) -> str:
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return f"{device} ({platform.machine()})"


def _outside(planned: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """What pretraining saw besides this dataset, here or where the weights to start from come from: each source once,
    with hash, licence, hours, number of people."""
    kept = (outcome.results[id_].get("manifest") for id_, s in planned.graph.stages.items() if s.kind == "pretrain")
    here = [m for m in weights.merged(m for m in kept if m) if m["store"] != planned.fit.store.key]
    before = planned.started.seen() if planned.started else []
    return [weights.counted(entry) for entry in (*here, *before)]


def _cost(planned: Plan, outcome: Outcome) -> dict[str, Any]:
    """What the run took, stages that it shares with others counted whole; None where one of them was not measured."""
    results = [outcome.results[id_] for id_ in planned.graph.stages]
    fitted = planned.graph.stages[planned.graph.stages[planned.graph.answers[0].stage].inputs["fitted"]]
    # What answers together: the fitted stage, which counts the parameters of frozen nets under it, and those nets.
    frozen = [outcome.results[id_]["flops"] for role, id_ in fitted.inputs.items() if role.startswith("unimodal:")]
    own = outcome.results[fitted.id]
    energy: list[Any] = [r.get("energy_j") for r in results]
    return {
        "wall_s": round(sum(r["wall_s"] for r in results), 3),
        "parameters": own["parameters"],
        "flops": None if own.get("flops") is None else own["flops"] + sum(frozen),
        "device": planned.setting.device,
        "peak_memory_mb": round(max(r["peak_memory_mb"] for r in results), 1),
        "energy_j": None if None in energy else round(sum(energy), 1),
    }


def _history(planned: Plan, root: Path) -> list[dict[str, Any]]:
    rows = []
    for stage in planned.graph.stages.values():
        path = Folder(root, stage.id).file("history.csv")
        if path.is_file():
            about = {
                "stage": stage.id,
                "kind": stage.kind,
                **{k: stage.about.get(k, "") for k in ("seed", "fold", "modality", "target")},
            }
            with path.open(newline="") as file:
                rows += [{**about, **row} for row in csv.DictReader(file)]
    return rows


def _keep_weights(planned: Plan, root: Path) -> None:
    """The fitted networks beside the record, as links to the stages' files where the disk can do that."""
    for answer in planned.graph.answers:
        fitted = planned.graph.stages[planned.graph.stages[answer.stage].inputs["fitted"]]
        frozen = {role.split(":")[1]: id_ for role, id_ in fitted.inputs.items() if role.startswith("unimodal:")}
        targets = "_".join(target.name for target in answer.targets)
        for name, id_ in {"": fitted.id, **frozen}.items():
            source = Folder(root, id_).file("weights.safetensors")
            if source.is_file():
                parts = [f"seed{answer.seed}", f"fold{answer.fold}", targets, *([name] if name else [])]
                _keep(source, planned.folder / "weights" / f"{'-'.join(parts)}.safetensors")


def _keep(source: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        try:
            place.hardlink_to(source)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, place)
    except OSError as error:
        raise MachineError(f"weights cannot be kept: {error.strerror}", where=str(place)) from error


ESTIMATORS = ("logreg", "svm", "boosting")


def baselines(dataset: str, *, progress: Report | None = None, workers: int | None = None, **options: Any) -> Grid:
    """Handcrafted features with the simple estimators that answer the targets' kinds, each modality alone and all
    together; controls come with each.

    Args:
        options: further fields of `Request`.
    """
    rules = protocols.load(options.get("protocol") or Request.protocol)
    card = card_under(rules, registry.load("dataset", dataset).card)
    accepts = registry.load("encoder", "handcrafted").accepts
    chosen = options.pop("modalities", None)
    wanted = chosen.split(",") if chosen else [m for m in card.default_modalities if m in accepts]
    sets = [*wanted, ",".join(wanted)] if len(wanted) > 1 else wanted
    given = {k: v for k, v in options.items() if v is not None}
    kinds = {target.kind for target in choose_targets(card, given.get("targets"))}
    fitting = [name for name in ESTIMATORS if kinds <= registry.load("fusion", name).kinds]
    requests = [
        Request(dataset, encoders=("handcrafted",), fusion=estimator, modalities=some, workers=workers, **given)
        for some in sets
        for estimator in fitting
    ]
    return grid(requests, workers=workers, progress=progress)


def call(*, encoder: str | Sequence[str], pretrainer: str | Sequence[str] = (), **options: Any) -> Result:
    """Runs one method from Python with the options of the command line, as keywords.

    Example:
        embench.run(dataset="amigos", encoder="cnn_tf", fusion="late", recipe="quick").scores
    """
    values, known = named(options), {f.name for f in fields(Request)}
    for name in values:
        if name not in known:
            raise UsageError(f"no option `{name}`", where="embench.run", expected=", ".join(sorted(known)))
    return run(request_of(encoder=encoder, pretrainer=pretrainer, **values))
