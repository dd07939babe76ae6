"""Checks that need a run's plan again: its stages, normalisation statistics and tuned settings, and retraining on
permuted labels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import stats

from embench.audits.checks.records import Evidence, FittedStatistics
from embench.engine.fits import load_labelled_data
from embench.engine.rows import load_encoder
from embench.engine.stage import FitParams, Stage
from embench.interfaces.encoder import Encoder
from embench.interfaces.metric import Undefined
from embench.interfaces.tokens import InputSpec
from embench.planning.graph import Graph, find_frozen_networks
from embench.planning.plan import Plan, default_workers, make
from embench.reasons import Reason
from embench.records.audit import AuditFinding, CheckResult
from embench.records.findings import Severity
from embench.runs import evaluate
from embench.runs.guards import draw_folds, find_known_labels, permute_labels, run_pending, select_stages
from embench.runs.tuning import choose, read_tables
from embench.statistics import metric_facts
from embench.system import EventCallback

VALIDATION_TOLERANCE = 1e-3
"""Largest difference of a validation score between machines."""


def compare_stages(planned: Plan, history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | Undefined:
    """Return one dict per stage in a run's history: its id, kind and fold, and `differs`: True if the plan lacks it."""
    if not history:
        return Undefined("no_history")
    rows = {(row["stage"], row["kind"], row["fold"]) for row in history}
    return [
        {"stage": id_, "kind": kind, "fold": fold, "differs": id_ not in planned.graph.stages}
        for id_, kind, fold in sorted(rows)
    ]


def fitted_statistics(planned: Plan, folder: Path) -> list[FittedStatistics] | Undefined:
    """Return the normalisation statistics in the weights of the first seed's networks, next to recomputed ones."""
    if planned.method.pretraining or planned.started:
        return Undefined("pretrained_statistics")
    found, any_weights = [], False
    for expected, file, stage in planned.graph.networks():
        path = folder / "weights" / file
        if expected.seed != planned.graph.predictions[0].seed or not path.is_file() or find_frozen_networks(stage):
            continue
        any_weights = True
        state, place = load_file(path), (expected.seed, expected.fold)
        for name, training, all_subjects in _recompute_buffers(stage):
            if name in state:
                found.append(FittedStatistics(*place, name, state[name].numpy(), training, all_subjects))
    return found if any_weights else Undefined("no_weights")


def _recompute_buffers(stage: Stage[FitParams]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield for each buffer of encoders that holds statistics: its name, its value from the stage's training subjects,
    and its value from all subjects."""
    encoders = {m: load_encoder(parts) for m, parts in stage.params.modalities.items()}
    fitted = [m for m, encoder in encoders.items() if type(encoder).fit_stats is not Encoder.fit_stats]
    if not fitted:
        return
    everything = {k: stage.task[f"all_{k}"] for k in ("recording", "start", "stop")}
    n = len(everything["recording"])
    blank = {"role": np.zeros(n, np.int64), "y": np.full((n, stage.task["y"].shape[1]), np.nan)}
    specs = (
        load_labelled_data(stage)[1],
        load_labelled_data(replace(stage, task={**stage.task, **everything, **blank}))[1],
    )
    for m in fitted:
        training, all_subjects = (_build_buffers(encoders[m], spec[m]) for spec in specs)
        # A buffer holds statistics if it changes when the encoder gets other statistics.
        moved = replace(specs[0][m], stats={k: v * 1.5 + 0.25 for k, v in specs[0][m].stats.items()})
        changed = _build_buffers(encoders[m], moved)
        for name, value in training.items():
            if not np.array_equal(value, changed[name]):
                yield f"encoders.{m}.{name}", value, all_subjects[name]


def _build_buffers(encoder: Encoder, spec: InputSpec) -> dict[str, np.ndarray]:
    with torch.random.fork_rng(devices=[]):
        return {name: value.numpy().copy() for name, value in encoder.build(spec).named_buffers()}


def rechoose(planned: Plan, on_event: EventCallback) -> CheckResult | Undefined:
    """Fit all trials of a tuned run again in one random seed and fold, and compare their validation scores with the
    record's. Undefined for untuned runs and for networks, whose fits take too long."""
    tuning = planned.tuning
    if tuning is None:
        return Undefined("not_tuned")
    if planned.method.inputs != "features":
        return Undefined("tuned_network", trials=tuning.search.trials)
    picked = draw_folds(planned)[:1]
    request, fixed = replace(planned.request, dev=True, tuned=None), planned.request.settings
    trials = [make(replace(request, settings=(*fixed, *tried))) for tried in tuning.search.settings]
    graphs = [select_stages(trial.graph, picked) for trial in trials]
    with tempfile.TemporaryDirectory(prefix="embench-audit-") as folder:
        stages = {id_: stage for graph in graphs for id_, stage in graph.stages.items()}
        run_pending(Graph(stages), Path(folder), on_event, default_workers({planned.setting.device}))
        trial_tables = [read_tables(graph.predictions, Path(folder)) for graph in graphs]
    differences = []
    for k, expected in enumerate(graphs[0].predictions):
        now = choose(trials[0], expected, [list(tables.values())[k] for tables in trial_tables])
        (then,) = (c for c in tuning.choices if (c.seed, c.fold, c.target) == (now.seed, now.fold, now.target))
        for trial, (a, b) in enumerate(zip(then.scores, now.scores, strict=bool(then.scores))):
            if (a is None) != (b is None) or abs((a or 0.0) - (b or 0.0)) > VALIDATION_TOLERANCE:
                about = {"seed": now.seed, "fold": now.fold, "target": now.target, "trial": trial}
                differences.append(Reason.make("other_trial_score", **about, recorded=a, recomputed=b))
    figures = {"trials": len(trials), "seed": picked[0][0], "fold": picked[0][1], "differ": len(differences)}
    if not differences:
        return CheckResult(figures)
    evidence = {**figures, "statements": differences[:8]}
    return CheckResult(figures, (AuditFinding("severe", "other_choices", evidence),))


def retrain_permuted(planned: Plan, e: Evidence, count: int, on_event: EventCallback) -> CheckResult:
    """Train the run's method `count` times on permuted labels, and score it on the real labels of the test subjects.
    A score above chance shows that test labels reach the method in another way. Plugins that are not bundled are also
    checked for remembered labels."""
    # If a primary metric that compares subjects cannot be estimated, the within-subject score replaces it.
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
        reasons = find_known_labels(planned, draw_folds(planned), Path(folder) / "stages", on_event)
    findings = [AuditFinding("severe", "remembers_labels", {"reason": reason}) for reason in reasons]
    for name, values in null.items():
        real = e.rescored.get_score(name, names[name])
        if not values or real is None:
            continue
        level = metric_facts(names[name]).chance
        chance = 0.5 if level is None else level
        mean, at_least = float(np.mean(values)), sum(v >= real.mean for v in values)
        spread = 0.05 if real.low is None or real.high is None else (real.high - real.low) / 4
        p = (1 + at_least) / (1 + len(values))
        figures[name] = {"primary_metric": names[name], "real": real.mean, "permuted": values, "mean": mean, "p": p}
        evidence = {"target": name, **figures[name]}
        if exceeds_chance(values, chance, spread):
            findings.append(AuditFinding("severe", "learned_from_permuted", evidence))
        elif at_least:
            severity: Severity = "warning" if (real.low or 0) > chance else "note"
            evidence |= {"n": at_least, "of": len(values)}
            findings.append(AuditFinding(severity, "permuted_as_high", evidence))
    return CheckResult(figures, tuple(findings))


def exceeds_chance(values: Sequence[float], chance: float, spread: float) -> bool:
    """Return True if the mean of a few scores is above chance by two criteria: by four standard errors, given the
    standard deviation `spread` of a score, and by a t test on these scores (p < .001, one-sided).

    >>> exceeds_chance([0.60, 0.79, 0.64, 0.61], 0.5, 0.02), exceeds_chance([0.95, 0.97, 0.93], 0.5, 0.02)
    (False, True)
    """
    n = len(values)
    observed = float(np.std(values, ddof=1)) * float(stats.t.ppf(0.999, n - 1)) if n > 1 else 0.0
    return bool(np.mean(values) - chance > max(4 * spread, observed) / np.sqrt(n))
