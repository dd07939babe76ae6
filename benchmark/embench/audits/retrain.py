"""A run's plan, rebuilt: whether its stages and statistics are those of its training subjects, and what it learns
from permuted labels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from embench.audits.checks.records import Evidence, FittedStatistics
from embench.engine.fits import load_labelled_data
from embench.engine.rows import load_encoder
from embench.engine.stage import FitParams, Stage
from embench.interfaces.encoder import Encoder
from embench.interfaces.metric import Undefined
from embench.interfaces.tokens import InputSpec
from embench.planning.graph import Graph, frozen_under
from embench.planning.plan import Plan, default_workers, make
from embench.records.audit import AuditFinding, CheckResult
from embench.records.findings import Severity
from embench.runs import evaluate
from embench.runs.guards import drawn_folds, permute_labels, remembered_labels, run_pending, select_stages
from embench.runs.tuning import choose, predicted_tables
from embench.statistics import metric_facts
from embench.system import EventCallback

SCORE_APART = 1e-3
"""How much a validation score may differ on another machine."""


def compare_stages(planned: Plan, history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | Undefined:
    """Stages that a run's history names, and whether the plan has them."""
    if not history:
        return Undefined("no_history")
    rows = {(row["stage"], row["kind"], row["fold"]) for row in history}
    return [
        {"stage": id_, "kind": kind, "fold": fold, "differs": id_ not in planned.graph.stages}
        for id_, kind, fold in sorted(rows)
    ]


def fitted_statistics(planned: Plan, folder: Path) -> list[FittedStatistics] | Undefined:
    """Normalisation statistics of the networks of the first seed, from their weights and recomputed."""
    if planned.method.pretraining or planned.started:
        return Undefined("pretrained_statistics")
    found, any_weights = [], False
    for expected, file, stage in planned.graph.networks():
        path = folder / "weights" / file
        if expected.seed != planned.graph.predictions[0].seed or not path.is_file() or frozen_under(stage):
            continue
        any_weights = True
        state, place = load_file(path), (expected.seed, expected.fold)
        for name, training, all_subjects in _recomputed(stage):
            if name in state:
                found.append(FittedStatistics(*place, name, state[name].numpy(), training, all_subjects))
    return found if any_weights else Undefined("no_weights")


def _recomputed(stage: Stage[FitParams]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(buffer, its value by the stage's training subjects, by all subjects) of encoders that keep statistics."""
    having = [m for m, p in stage.params.modalities.items() if _keeps(load_encoder(p))]
    if not having:
        return
    everything = {k: stage.task[f"all_{k}"] for k in ("recording", "start", "stop")}
    n = len(everything["recording"])
    blank = {"role": np.zeros(n, np.int64), "y": np.full((n, stage.task["y"].shape[1]), np.nan)}
    specs = (
        load_labelled_data(stage)[1],
        load_labelled_data(replace(stage, task={**stage.task, **everything, **blank}))[1],
    )
    for m in having:
        encoder = load_encoder(stage.params.modalities[m])
        one, other = (_buffers(encoder, spec[m]) for spec in specs)
        # Which buffers hold statistics shows where others are handed over.
        moved = replace(specs[0][m], stats={k: v * 1.5 + 0.25 for k, v in specs[0][m].stats.items()})
        changed = _buffers(encoder, moved)
        for name, value in one.items():
            if not np.array_equal(value, changed[name]):
                yield f"encoders.{m}.{name}", value, other[name]


def _keeps(encoder: Encoder) -> bool:
    return type(encoder).fit_stats is not Encoder.fit_stats


def _buffers(encoder: Encoder, spec: InputSpec) -> dict[str, np.ndarray]:
    with torch.random.fork_rng(devices=[]):
        return {name: value.numpy().copy() for name, value in encoder.build(spec).named_buffers()}


def rechoose(planned: Plan, on_event: EventCallback) -> CheckResult | Undefined:
    """Fits all trials of a tuned run again in one seed and fold, drawn at random, and compares their scores on the
    validation subjects with those in its record. Only of estimators on features, whose fits take seconds."""
    tuning = planned.tuning
    if tuning is None:
        return Undefined("not_tuned")
    if planned.method.inputs != "features":
        return Undefined("tuned_network", trials=tuning.search.trials)
    picked = drawn_folds(planned)[:1]
    request, own = replace(planned.request, dev=True, tuned=None), planned.request.settings
    trials = [make(replace(request, settings=(*own, *settings))) for settings in tuning.search.settings]
    graphs = [select_stages(trial.graph, picked) for trial in trials]
    with tempfile.TemporaryDirectory(prefix="embench-audit-") as folder:
        stages = {id_: stage for graph in graphs for id_, stage in graph.stages.items()}
        run_pending(Graph(stages), Path(folder), on_event, default_workers({planned.setting.device}))
        made = [predicted_tables(graph.predictions, Path(folder)) for graph in graphs]
    apart = []
    for k, expected in enumerate(graphs[0].predictions):
        now = choose(trials[0], expected, [list(tables.values())[k] for tables in made])
        (then,) = (c for c in tuning.choices if (c.seed, c.fold, c.target) == (now.seed, now.fold, now.target))
        for trial, (a, b) in enumerate(zip(then.scores, now.scores, strict=bool(then.scores))):
            if (a is None) != (b is None) or abs((a or 0.0) - (b or 0.0)) > SCORE_APART:
                apart.append(
                    f"seed {now.seed}, fold {now.fold}, {now.target}, trial {trial}: {a} in the record, {b} here"
                )
    figures = {"trials": len(trials), "seed": picked[0][0], "fold": picked[0][1], "differ": len(apart)}
    if not apart:
        return CheckResult(figures)
    evidence = {**figures, "statements": apart[:8]}
    return CheckResult(figures, (AuditFinding("severe", "other_choices", evidence),))


def retrain_permuted(planned: Plan, e: Evidence, count: int, on_event: EventCallback) -> CheckResult:
    """Trains the run's request `count` times on permuted labels and scores it on the real ones of the test subjects.
    Its score is then at chance, unless test subjects' labels reach it by another way. Plugins that are not bundled are
    also checked for remembered labels."""
    # A primary metric that compares subjects may not be estimable; the score within subjects then tells as much of
    # labels.
    names = {t.name: e.rescored.primary_metrics[t.name] for t in e.targets}
    for t in e.targets:
        if e.rescored.get_score(t.name, names[t.name]) is None:
            names[t.name] = t.traits.within_metric
    null: dict[str, list[float]] = {name: [] for name in names}
    for k in range(count):
        permuted = permute_labels(planned, k)
        with tempfile.TemporaryDirectory(prefix="embench-audit-") as folder:
            run_pending(permuted.graph, Path(folder), on_event, default_workers({planned.setting.device}))
            scores = evaluate.evaluate(permuted, Path(folder)).scores
        for name, primary_metric in names.items():
            if score := scores.get_score(name, primary_metric):
                null[name].append(score.mean)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="embench-audit-") as folder:
        told = remembered_labels(planned, drawn_folds(planned), Path(folder) / "stages", on_event)
    findings = [AuditFinding("severe", "remembers_labels", {"reason": what}) for what in told]
    for name, values in null.items():
        real = e.rescored.get_score(name, names[name])
        if not values or real is None:
            continue
        level = metric_facts(names[name]).chance
        chance = 0.5 if level is None else level
        mean, at_least = float(np.mean(values)), sum(v >= real.mean for v in values)
        spread = 0.05 if real.low is None or real.high is None else (real.high - real.low) / 4
        error = max(spread, float(np.std(values))) / np.sqrt(len(values))
        p = (1 + at_least) / (1 + len(values))
        figures[name] = {"primary_metric": names[name], "real": real.mean, "permuted": values, "mean": mean, "p": p}
        evidence = {"target": name, **figures[name]}
        if mean - chance > 4 * error:
            findings.append(AuditFinding("severe", "learned_from_permuted", evidence))
        elif at_least:
            severity: Severity = "warning" if (real.low or 0) > chance else "note"
            evidence |= {"n": at_least, "of": len(values)}
            findings.append(AuditFinding(severity, "permuted_as_high", evidence))
    return CheckResult(figures, tuple(findings))
