"""Draw studies, ask every candidate, and count answers by cell."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from bench.confound_rule import attacks
from bench.confound_rule import published_rule as v3
from bench.confound_rule.designs import Study, draw_study
from bench.confound_rule.rules import INTERVALS, MATRICES, Fitted
from bench.confound_rule.scores import (
    Matched,
    balanced,
    joined_metrics,
    out_of_fold,
    primary_of,
    random_partition,
    standardised,
)
from bench.confound_rule.worlds import Drawn, World, draw_world

DESIGNS = ("D1", "D2", "D3", "D4", "D5", "D6")
ALL = (*MATRICES, "one", "v3")
"""What is asked: matrices of columns, `one` for rules of one partition, and `v3` for rules with many columns."""
LIGHT = {"memory": "memory", "chosen": "gains"}
"""What is asked -> its matrix, for which `pairs` and the rule of one partition alone are asked."""
MOST_UNITS = 1500
"""Most units for which rules with many columns are asked, if nothing else is said."""
OF_ONE = ("lags", "slopes", "gains")
"""Matrices of the rules of one partition."""
_FIRST_RULES = (
    *(f"{matrix}/{kind}" for matrix in MATRICES for kind in INTERVALS), "lags/1", "v3", "v3/balanced", "scaled",
    "slopes/1", "gains/1", "metric", "metric/1",
)  # fmt: skip
RULES = (*_FIRST_RULES, "memory/pairs", "memory/1")
SINGLE = ("v3", "lags/1", "slopes/1", "gains/1", "metric/1", "memory/1")
"""Rules of one partition. `metric` and `metric/1` are not candidates, but the interval of the primary metric."""
MEASURES = ("yes", "above", "shown", "cannot", "r")
"""Counts of yes by the rule alone, with the metric's estimate above chance, and with its interval; of *cannot be told*;
sums of partial r."""
BLOCK = 20
METRIC_WORLDS = ("none", "film", "effect_62", "effect_72", "effect_80")
_ROW = ("design", "subjects", "label", "world", "first", "draws", "measure")
HEADER = (*_ROW, *_FIRST_RULES)
LIGHT_HEADER = (*_ROW, "gains/pairs", "gains/1", "memory/pairs", "memory/1")
METRIC_HEADER = (
    "design", "subjects", "label", "world", "draw", "partitions", "comparisons", "involved", "estimate", "variance",
    "overlap",
)  # fmt: skip


@dataclass(frozen=True)
class Answered:
    """Answers of one draw for W worlds and one kind of label: yes, r and *cannot be told* by rule, and the metric by
    kind of partitions, `balanced` and, where rules of one partition are asked, `1`."""

    yes: Mapping[str, np.ndarray]
    r: Mapping[str, np.ndarray]
    cannot: Mapping[str, np.ndarray]
    metrics: Mapping[str, Matched]


def one_draw(
    design: str,
    subjects: int,
    worlds: Mapping[str, World],
    draw: int,
    seed: int,
    only: Sequence[str] = (),
    asks: Sequence[str] = ALL,
) -> dict[str, Answered]:
    """Kind of label -> answers of the rules that it `asks`, in all worlds of a draw, or in some `only`, which are the
    same as among all."""
    key, rng, study, partitions = _draw(design, subjects, draw, seed)
    drawn = [
        draw_world(world, study, np.random.default_rng([*key, 1 + k]))
        for k, (name, world) in enumerate(worlds.items())
        if not only or name in only
    ]
    found: dict[str, list[Answered]] = defaultdict(list)
    order = sorted(range(len(drawn)), key=lambda w: drawn[w].movement is not study.movement)
    for _, same in groupby(order, key=lambda w: id(drawn[w].movement)):
        batch = [drawn[w] for w in same]
        asked = Asked(replace(study, movement=batch[0].movement), partitions, rng, asks)
        for kind in batch[0].labels:
            labels = np.stack([of.labels[kind] for of in batch])
            found[kind].append(asked(labels, raw_scores(batch, labels, partitions)))
    return {kind: _joined(parts, np.argsort(order)) for kind, parts in found.items()}


def _draw(
    design: str, subjects: int, draw: int, seed: int
) -> tuple[list[int], np.random.Generator, Study, tuple[np.ndarray, np.ndarray]]:
    """The key of a draw's random numbers, their generator, the study, and folds of one and of balanced partitions."""
    key = [seed, DESIGNS.index(design), subjects, draw]
    rng = np.random.default_rng([*key, 0])
    return key, rng, draw_study(design, subjects, rng), (random_partition(subjects, rng), balanced(subjects, rng))


def attack_draw(
    design: str, subjects: int, worlds: Mapping[str, World], draw: int, seed: int, asks: Sequence[str] = ALL
) -> dict[str, Answered]:
    """Kind of label -> answers to all attacks in a draw, in the order of `attacks.names`."""
    key, rng, study, partitions = _draw(design, subjects, draw, seed)
    asked = Asked(study, partitions, rng, asks, all_metrics=True)
    numbers = {name: 1 + k for k, name in enumerate(worlds)}
    drawn = {
        name: draw_world(worlds[name], study, np.random.default_rng([*key, numbers[name]]))
        for name in (*attacks.UNDER, attacks.TRUE)
    }
    answers = {}
    for kind in drawn["none"].labels:
        labels: list[np.ndarray] = []
        raw: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        noise = np.random.default_rng([*key, 1000]).integers(2**31)
        for name in attacks.names():
            model, variant, world = name.split(":")
            y = drawn[world].labels[kind]
            labels.append(y)
            for of, folds in zip(raw, partitions, strict=True):
                true = out_of_fold(drawn[world].features, y[None], folds)[0] if world == attacks.TRUE else None
                of.append(_attack(model, variant, study, y, folds, true, np.random.default_rng(noise)))
        found = asked(np.stack(labels), [np.stack(of) for of in raw])
        best = attacks.best_of_ten(found.metrics["balanced"].estimate, np.random.default_rng([*key, 1001]))
        answers[kind] = _joined([found], np.append(np.arange(len(labels)), best))
    return answers


def _attack(
    model: str,
    variant: str,
    study: Study,
    label: np.ndarray,
    folds: np.ndarray,
    true: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """(S, n, J) scores of an attack."""
    if model == "true" and true is not None:
        return true
    scores = attacks.confound_scores(model, study, label, folds)
    if true is None:
        return attacks.variant_of(scores, variant, rng)
    return attacks.unit(true) + float(variant) * attacks.unit(scores)


def raw_scores(
    drawn: Sequence[Drawn], labels: np.ndarray, partitions: tuple[np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """(W, S, n, J) out-of-fold scores, with one partition and with balanced ones."""
    return [
        np.concatenate([out_of_fold(d.features, y[None], folds) for d, y in zip(drawn, labels, strict=True)])
        for folds in partitions
    ]


class Asked:
    """Candidates, fitted to the confounds of a study: matrices of columns, and `v3` for rules with many columns."""

    def __init__(
        self,
        study: Study,
        partitions: tuple[np.ndarray, np.ndarray],
        rng: np.random.Generator,
        asks: Sequence[str] = ALL,
        most_units: float = MOST_UNITS,
        *,
        all_metrics: bool = False,
    ) -> None:
        self.all_metrics = all_metrics
        self.study, self.partitions, self.asks = study, partitions, asks
        single = OF_ONE if "one" in asks else ()
        self.fitted = {
            name: Fitted(name, study, study.movement, rng) for name in MATRICES if name in asks or name in single
        }
        self.light = {name: Fitted(name, study, study.movement, rng) for ask, name in LIGHT.items() if ask in self.asks}
        self.wide = "v3" in asks and study.time.size <= most_units
        if self.wide:
            columns = v3.nuisance_columns(study, study.movement, rng)
            self.models = v3.ConfoundModels(study, study.movement, rng)
            self.ridge = v3.RidgeResiduals(columns, v3.PENALTY)
            training = study.time.size * (1 - 1 / (1 + partitions[1].max()))
            self.scaled = v3.RidgeResiduals(v3.scaled_columns(study, columns), v3.SCALED_PENALTY * training)

    def __call__(self, labels: np.ndarray, raw: Sequence[np.ndarray]) -> Answered:
        """Answers for labels (W, n, J) and raw scores (W, S, n, J) of each kind of partitions."""
        scores = [standardised(of, folds) for of, folds in zip(raw, self.partitions, strict=True)]
        yes, r, cannot = {}, {}, {}
        for name, fit in self.fitted.items():
            if name not in self.asks:
                continue
            found = fit.answers(scores[1], labels, self.partitions[1])
            for interval in INTERVALS:
                yes[f"{name}/{interval}"], r[f"{name}/{interval}"] = found.yes[interval], found.r
                cannot[f"{name}/{interval}"] = found.cannot
        for name, fit in self.light.items():
            several = fit.answers(scores[1], labels, self.partitions[1], kinds=("pairs",))
            alone = fit.answers(scores[0], labels, self.partitions[0], one=True)
            for rule, kind, of in ((f"{name}/pairs", "pairs", several), (f"{name}/1", "one", alone)):
                yes[rule], r[rule], cannot[rule] = of.yes[kind], of.r, of.cannot
        metrics = self._metrics(labels, raw, yes)
        if "one" in self.asks:
            for name in OF_ONE:
                alone = self.fitted[name].answers(scores[0], labels, self.partitions[0], one=True)
                rule = f"{name}/1"
                yes[rule], r[rule], cannot[rule] = alone.yes["one"], alone.r, alone.cannot
            for kind, metric in metrics.items():
                rule = "metric/1" if kind == "1" else "metric"
                yes[rule] = metric.low(_added(metric, kind)) > 0.5
        if self.wide:
            self._ask_wide(labels, scores, metrics, yes, r)
        return Answered(yes, r, cannot, metrics)

    def _metrics(
        self, labels: np.ndarray, raw: Sequence[np.ndarray], yes: Mapping[str, np.ndarray]
    ) -> dict[str, Matched]:
        """The primary metric by kind of partitions; if only rules of `LIGHT` are asked, of worlds with a *yes*."""
        single = "one" in self.asks or self.wide or bool(self.light)
        metrics = {}
        for at, kind in ((1, "balanced"), (0, "1")) if single else ((1, "balanced"),):
            wanted = np.ones(len(labels), bool)
            if set(self.asks) <= set(LIGHT) and not self.all_metrics:
                wanted = np.any([of for rule, of in yes.items() if (rule in SINGLE) == (kind == "1")], axis=0)
            metrics[kind] = primary_of(wanted, raw[at], labels, self.study.matched, self.partitions[at])
        return metrics

    def _ask_wide(
        self,
        labels: np.ndarray,
        scores: Sequence[np.ndarray],
        metrics: Mapping[str, Matched],
        yes: dict[str, np.ndarray],
        r: dict[str, np.ndarray],
    ) -> None:
        """Add the answers of rules with many columns."""
        for at, (name, kind) in enumerate((("v3", "1"), ("v3/balanced", "balanced"))):
            of_models = self.models.predictions(labels, self.partitions[at])
            left = self.ridge(scores[at], labels, of_models, self.partitions[at])
            yes[name] = v3.published_answers(metrics[kind], labels, scores[at], left, self.study, self.partitions[at])
        of_models = of_models - of_models.mean(3, keepdims=True)
        left = self.scaled(scores[1], v3.within_subject(labels), of_models, self.partitions[1])
        yes["scaled"], r["scaled"] = v3.scaled_answers(left, self.study, self.partitions[1])


def _joined(parts: Sequence[Answered], order: np.ndarray) -> Answered:
    """The answers of several batches of worlds, in this order."""

    def of(field: str) -> dict[str, np.ndarray]:
        return {
            rule: np.concatenate([getattr(part, field)[rule] for part in parts])[order]
            for rule in getattr(parts[0], field)
        }

    metrics = {kind: joined_metrics([part.metrics[kind] for part in parts], order) for kind in parts[0].metrics}
    return Answered(of("yes"), of("r"), of("cannot"), metrics)


def _added(metric: Matched, kind: str) -> np.ndarray:
    """(W,) the training-overlap correction of the metric: V of one partition, else estimated and at most V."""
    return metric.variance if kind == "1" else np.minimum(metric.overlap, metric.variance)


def _counted(answered: Answered) -> dict[str, dict[str, np.ndarray]]:
    """Measure -> rule -> (W,) counts or sums of one draw."""
    balanced_metric = answered.metrics["balanced"]
    counts: dict[str, dict[str, np.ndarray]] = {measure: {} for measure in MEASURES}
    for rule in RULES:
        kind = "1" if rule in SINGLE else "balanced"
        metric = answered.metrics.get(kind, balanced_metric)
        # The published rule of v3 has no correction of its metric with one partition.
        added = 0 * metric.variance if rule == "v3" else _added(metric, kind)
        nothing = np.full(len(metric.estimate), np.nan)
        yes = answered.yes.get(rule, nothing).astype(float)
        counts["yes"][rule] = yes
        counts["above"][rule] = yes * (metric.estimate > 0.5)
        counts["shown"][rule] = yes * (metric.low(added) > 0.5)
        counts["cannot"][rule] = answered.cannot.get(rule, nothing)
        counts["r"][rule] = answered.r.get(rule, nothing)
    return counts


def done_blocks(path: Path) -> set[tuple[str, int, str, int]]:
    """(design, subjects, world, first draw) of the blocks in a file, which has a header of this program."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if rows and tuple(rows[0]) not in (HEADER, LIGHT_HEADER):
        raise SystemExit(f"{path} is of other candidates: choose another --out")
    done = set()
    for row in rows:
        first, draws = int(row["first"]), int(row["draws"])
        at = range(first, first + draws, BLOCK)
        done |= {(row["design"], int(row["subjects"]), row["world"], block) for block in at}
    return done


def run_block(
    design: str,
    subjects: int,
    worlds: Mapping[str, World],
    first: int,
    draws: int,
    seed: int,
    *,
    only: Sequence[str] = (),
    asks: Sequence[str] = ALL,
    attacked: bool = False,
) -> tuple[list[list[object]], list[list[object]]]:
    """Rows of results and of metrics, of so many draws from the first on; with `attacked`, those of attacks."""
    named = attacks.names(best=True) if attacked else [name for name in worlds if not only or name in only]
    totals: dict[tuple[str, str], dict[str, np.ndarray]] = defaultdict(dict)
    metrics: list[list[object]] = []
    for draw in range(first, first + draws):
        if attacked:
            answers = attack_draw(design, subjects, worlds, draw, seed, asks)
        else:
            answers = one_draw(design, subjects, worlds, draw, seed, named, asks)
        for kind, answered in answers.items():
            for measure, of_rules in _counted(answered).items():
                total = totals[kind, measure]
                for rule, values in of_rules.items():
                    total[rule] = total.get(rule, 0.0) + values.astype(float)
            metrics += (
                []
                if attacked or set(asks) <= set(LIGHT)
                else _metric_rows(design, subjects, kind, named, draw, answered)
            )
    rules = header_of(asks)[len(_ROW) :]
    results = [
        [design, subjects, kind, world, first, draws, measure, *(_short(total[rule][w]) for rule in rules)]
        for (kind, measure), total in totals.items()
        for w, world in enumerate(named)
    ]
    return results, metrics


def header_of(asks: Sequence[str]) -> tuple[str, ...]:
    """The header of the files for what is asked."""
    return LIGHT_HEADER if set(asks) <= set(LIGHT) else HEADER


def _short(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def _metric_rows(
    design: str, subjects: int, kind: str, worlds: Sequence[str], draw: int, answered: Answered
) -> Iterator[list[object]]:
    for name, metric in answered.metrics.items():
        for w, world in enumerate(worlds):
            if world in METRIC_WORLDS:
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
