"""Draw studies, ask every candidate, and count answers by cell."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from bench.confound_rule import published_rule as v3
from bench.confound_rule.designs import Study, draw_study
from bench.confound_rule.rules import INTERVALS, MATRICES, PROPORTION_LEFT, Fitted
from bench.confound_rule.scores import (
    Matched,
    balanced,
    joined_metrics,
    out_of_fold,
    primary,
    random_partition,
    standardised,
)
from bench.confound_rule.worlds import Drawn, World, draw_world

DESIGNS = ("D1", "D2", "D3", "D4", "D5", "D6")
MOST_UNITS = 1500
"""Most units for which rules with many columns are asked."""
RULES = (*(f"{matrix}/{kind}" for matrix in MATRICES for kind in INTERVALS), "lags/1", "v3", "v3/balanced", "scaled")
MEASURES = ("yes", "above", "shown", "cannot", "r")
"""Counts of yes by the rule alone, with the metric's estimate above chance, and with its interval; of *cannot be told*;
sums of partial r."""
BLOCK = 20
METRIC_WORLDS = ("none", "film", "effect_")
HEADER = ("design", "subjects", "label", "world", "first", "draws", "measure", *RULES)
METRIC_HEADER = (
    "design", "subjects", "label", "world", "draw", "partitions", "comparisons", "involved", "estimate", "variance",
    "overlap",
)  # fmt: skip


@dataclass(frozen=True)
class Answered:
    """What is found in one draw, for W worlds and one kind of label: yes, r and *cannot be told* by rule, and the
    metric with one partition and with balanced ones."""

    yes: Mapping[str, np.ndarray]
    r: Mapping[str, np.ndarray]
    cannot: Mapping[str, np.ndarray]
    metrics: tuple[Matched, Matched]


def one_draw(design: str, subjects: int, worlds: Mapping[str, World], draw: int, seed: int) -> dict[str, Answered]:
    """Kind of label -> answers in all worlds of a draw."""
    key = [seed, DESIGNS.index(design), subjects, draw]
    rng = np.random.default_rng([*key, 0])
    study = draw_study(design, subjects, rng)
    partitions = random_partition(subjects, rng), balanced(subjects, rng)
    drawn = [draw_world(world, study, np.random.default_rng([*key, 1 + k])) for k, world in enumerate(worlds.values())]
    found: dict[str, list[Answered]] = defaultdict(list)
    order = sorted(range(len(drawn)), key=lambda w: drawn[w].movement is not study.movement)
    for _, same in groupby(order, key=lambda w: id(drawn[w].movement)):
        batch = [drawn[w] for w in same]
        for kind, answered in _asked(replace(study, movement=batch[0].movement), batch, partitions, rng).items():
            found[kind].append(answered)
    return {kind: _joined(parts, np.argsort(order)) for kind, parts in found.items()}


def _asked(
    study: Study, drawn: Sequence[Drawn], partitions: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> dict[str, Answered]:
    """Kind of label -> answers in worlds with the same recorded movement."""
    fitted = {name: Fitted(name, study, study.movement, rng) for name in MATRICES}
    wide = study.time.size <= MOST_UNITS
    if wide:
        columns = v3.nuisance_columns(study, study.movement, rng)
        models = v3.ConfoundModels(study, study.movement, rng)
        ridge = v3.RidgeResiduals(columns, v3.PENALTY)
        training = study.time.size * (1 - 1 / (1 + partitions[1].max()))
        scaled = v3.RidgeResiduals(v3.scaled_columns(study, columns), v3.SCALED_PENALTY * training)
    answers = {}
    for kind in drawn[0].labels:
        labels = np.stack([of.labels[kind] for of in drawn])
        raw = [
            np.concatenate([out_of_fold(d.features, y[None], folds) for d, y in zip(drawn, labels, strict=True)])
            for folds in partitions
        ]
        scores = [standardised(of, folds) for of, folds in zip(raw, partitions, strict=True)]
        yes, r, cannot = {}, {}, {}
        for name, fit in fitted.items():
            found = fit.answers(scores[1], labels, partitions[1])
            for interval in INTERVALS:
                yes[f"{name}/{interval}"], r[f"{name}/{interval}"] = found.yes[interval], found.r
                cannot[f"{name}/{interval}"] = found.left < PROPORTION_LEFT
        alone = fitted["lags"].answers(scores[0], labels, partitions[0], one=True)
        yes["lags/1"], r["lags/1"], cannot["lags/1"] = alone.yes["one"], alone.r, alone.left < PROPORTION_LEFT
        metrics = [primary(of, labels, study.matched, folds) for of, folds in zip(raw, partitions, strict=True)]
        if wide:
            for at, name in enumerate(("v3", "v3/balanced")):
                of_models = models.predictions(labels, partitions[at])
                left = ridge(scores[at], labels, of_models, partitions[at])
                yes[name] = v3.published_answers(metrics[at], labels, scores[at], left, study, partitions[at])
            of_models = of_models - of_models.mean(3, keepdims=True)
            left = scaled(scores[1], v3.within_subject(labels), of_models, partitions[1])
            yes["scaled"], r["scaled"] = v3.scaled_answers(left, study, partitions[1])
        answers[kind] = Answered(yes, r, cannot, (metrics[0], metrics[1]))
    return answers


def _joined(parts: Sequence[Answered], order: np.ndarray) -> Answered:
    """The answers of several batches of worlds, in this order."""
    if len(parts) == 1:
        return parts[0]

    def of(field: str) -> dict[str, np.ndarray]:
        return {
            rule: np.concatenate([getattr(part, field)[rule] for part in parts])[order]
            for rule in getattr(parts[0], field)
        }

    metrics = [joined_metrics([part.metrics[at] for part in parts], order) for at in (0, 1)]
    return Answered(of("yes"), of("r"), of("cannot"), (metrics[0], metrics[1]))


def _counted(answered: Answered) -> dict[str, dict[str, np.ndarray]]:
    """Measure -> rule -> (W,) counts or sums of one draw."""
    single, many = answered.metrics
    counts: dict[str, dict[str, np.ndarray]] = {measure: {} for measure in MEASURES}
    for rule in RULES:
        metric = single if rule in ("v3", "lags/1") else many
        added = metric.variance if rule == "lags/1" else np.minimum(metric.overlap, metric.variance)
        yes = answered.yes.get(rule, np.zeros(len(metric.estimate), bool))
        counts["yes"][rule] = yes
        counts["above"][rule] = yes & (metric.estimate > 0.5)
        counts["shown"][rule] = yes & (metric.low(added) > 0.5)
        counts["cannot"][rule] = answered.cannot.get(rule, np.zeros(len(yes), bool))
        counts["r"][rule] = answered.r.get(rule, np.full(len(yes), np.nan))
    return counts


def done_blocks(path: Path) -> set[tuple[str, int, int]]:
    """(design, subjects, first draw) of the blocks in a file, which has the header of this program."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if rows and tuple(rows[0]) != HEADER:
        raise SystemExit(f"{path} is of other candidates: choose another --out")
    done = set()
    for row in rows:
        first, draws = int(row["first"]), int(row["draws"])
        done |= {(row["design"], int(row["subjects"]), at) for at in range(first, first + draws, BLOCK)}
    return done


def run_block(
    design: str, subjects: int, worlds: Mapping[str, World], first: int, draws: int, seed: int
) -> tuple[list[list[object]], list[list[object]]]:
    """Rows of results and of metrics, of so many draws from the first on."""
    totals: dict[tuple[str, str], dict[str, np.ndarray]] = defaultdict(dict)
    metrics: list[list[object]] = []
    for draw in range(first, first + draws):
        for kind, answered in one_draw(design, subjects, worlds, draw, seed).items():
            for measure, of_rules in _counted(answered).items():
                total = totals[kind, measure]
                for rule, values in of_rules.items():
                    total[rule] = total.get(rule, 0.0) + values.astype(float)
            metrics += _metric_rows(design, subjects, kind, worlds, draw, answered)
    results = [
        [design, subjects, kind, world, first, draws, measure, *(_short(total[rule][w]) for rule in RULES)]
        for (kind, measure), total in totals.items()
        for w, world in enumerate(worlds)
    ]
    return results, metrics


def _short(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def _metric_rows(
    design: str, subjects: int, kind: str, worlds: Mapping[str, World], draw: int, answered: Answered
) -> Iterator[list[object]]:
    for name, metric in zip(("1", "balanced"), answered.metrics, strict=True):
        for w, world in enumerate(worlds):
            if world.startswith(METRIC_WORLDS):
                of = (metric.estimate[w], metric.variance[w], metric.overlap[w])
                size = (int(metric.comparisons[w]), int(metric.subjects[w]))
                yield [design, subjects, kind, world, draw, name, *size, *(f"{value:.5g}" for value in of)]


def append(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Append rows to a CSV file, which gets its header first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(header)
        writer.writerows(rows)
