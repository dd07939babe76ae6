"""Tables of what the study found, in Markdown."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.confound_rule.attacks import TRUE
from bench.confound_rule.cells import HEADER, METRIC_HEADER, RULES, append
from bench.confound_rule.scores import MIN_SUBJECTS, Matched
from bench.confound_rule.worlds import EFFECTS, worlds_of
from bench.markdown import table

FORMS = ("yes", "above", "shown")
FORM_NAMES = {"yes": "alone", "above": "above", "shown": "shown"}
CHOSEN = (
    "few/pairs", "lags/t", "lags/t+overlap", "lags/pairs", "curves/t+overlap", "curves/pairs", "slopes/t+overlap",
    "slopes/pairs", "slopes/permutation", "gains/pairs", "lags/1", "v3", "v3/balanced", "scaled",
)  # fmt: skip
"""Rules in tables of single worlds."""
_EXPLAINED = "Bold: a null world with more than 6 *yes* in 200. Limits and effects are never bold."
_PARTITIONS = (
    "One partition / balanced ones. *Comparisons*: median. *Estimable*: at least 200 of 10 subjects. *Shown*: the "
    "interval lies above chance, with the training-overlap correction (one partition: V; else estimated, at most V)."
)
_COVERAGE = "Intervals of 95 % that hold the mean over all draws, in `none`, `film`, three effects, by correction."
MOST_IN_200 = 6
Group = tuple[str, int, str]
"""Design, subjects, label."""
Cell = tuple[str, int, str, str]
"""Design, subjects, label, world."""


class Counts:
    """Counts of cells in files of results: measure -> (R,) of each rule, and (R,) draws."""

    def __init__(self, *paths: Path) -> None:
        self.draws: dict[Cell, np.ndarray] = defaultdict(lambda: np.zeros(len(RULES)))
        self.values: dict[Cell, dict[str, np.ndarray]] = defaultdict(dict)
        for path in paths:
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    self._add(row)

    def _add(self, row: dict[str, str]) -> None:
        cell = (row["design"], int(row["subjects"]), row["label"], row["world"])
        values = np.array([float(row.get(rule) or "nan") for rule in RULES])
        of_cell = self.values[cell]
        of_cell[row["measure"]] = of_cell.get(row["measure"], np.zeros(len(RULES))) + np.nan_to_num(values)
        if row["measure"] == "yes":
            self.draws[cell] += int(row["draws"]) * np.isfinite(values)

    def groups(self) -> list[Group]:
        return list(dict.fromkeys(cell[:3] for cell in self.draws))

    def rates(self, group: Group, measure: str) -> dict[str, np.ndarray]:
        """World -> (R,) rates, NaN of rules that were not asked."""
        cells = [cell for cell in self.draws if cell[:3] == group]
        return {cell[3]: self.rate(cell, measure) for cell in cells}

    def rate(self, cell: Cell, measure: str) -> np.ndarray:
        draws = self.draws[cell]
        return np.where(draws > 0, self.values[cell][measure] / np.maximum(draws, 1), np.nan)


def merge(path: Path) -> None:
    """Rewrite a file of results with one row for neighbouring blocks of a cell."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    merged: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        merged[tuple(row[key] for key in ("design", "subjects", "label", "world", "measure"))].append(row)
    made: list[list[object]] = []
    for (design, subjects, label, world, measure), of in merged.items():
        runs: list[list[dict[str, str]]] = []
        for row in sorted(of, key=lambda row: int(row["first"])):
            if runs and int(row["first"]) == int(runs[-1][-1]["first"]) + int(runs[-1][-1]["draws"]):
                runs[-1].append(row)
            else:
                runs.append([row])
        for run in runs:
            draws = sum(int(part["draws"]) for part in run)
            sums = [sum(float(part.get(rule) or "nan") for part in run) for rule in RULES]
            shown = ["" if np.isnan(value) else f"{value:.6g}" for value in sums]
            made.append([design, subjects, label, world, run[0]["first"], draws, measure, *shown])
    path.unlink()
    append(path, HEADER, made)


def _percent(rate: float) -> str:
    return "" if np.isnan(rate) else f"{100 * rate:.1f}".removesuffix(".0")


def worlds_table(counts: Counts, group: Group, form: str, rules: Sequence[str] = RULES) -> str:
    """Percentages of *yes* by world and rule; bold: a null world with more than 6 in 200."""
    rates, kinds = counts.rates(group, form), worlds_of(group[0])
    rows = []
    at = [RULES.index(rule) for rule in rules]
    for world, of_rules in rates.items():
        null = kinds[world].kind == "null"
        shown = [f"**{_percent(v)}**" if null and v > MOST_IN_200 / 200 else _percent(v) for v in of_rules[at]]
        rows.append([world, *shown])
    return table(["world", *rules], rows)


def candidates_table(counts: Counts, groups: Sequence[Group], form: str) -> str:
    """Each rule: null cells above 3 %, the worst, the mean over null cells, mean power over sizes by effect."""
    rows, found = [], {group: counts.rates(group, form) for group in groups}
    nulls = [(group, world) for group in groups for world in found[group] if worlds_of(group[0])[world].kind == "null"]
    for at, rule in enumerate(RULES):
        rates = [found[group][world][at] for group, world in nulls]
        if np.isnan(rates).all():
            continue
        (_, size, label), world = nulls[int(np.nanargmax(rates))]
        power = [
            np.nanmean([of[f"effect_{k}"][at] for of in found.values() if f"effect_{k}" in of] or [np.nan])
            for k in EFFECTS
        ]
        failing = sum(rate > MOST_IN_200 / 200 for rate in rates)
        worst = f"{_percent(np.nanmax(rates))} ({world}, {size}, {label})"
        shown = [_percent(float(value)) for value in (np.nanmean(rates), *power)]
        rows.append([rule, f"{failing} of {np.isfinite(rates).sum()}", worst, *shown])
    return table(["rule", "cells above 3 %", "worst", "mean null", *(f"0.{k}" for k in EFFECTS)], rows)


def attacks_table(counts: Counts) -> str:
    """Each rule and form: attacks above 3 %, the worst, and how much more often mixtures pass than the true method."""
    rows = []
    for form in FORMS:
        for at, rule in enumerate(RULES):
            found = {cell[2:]: float(counts.rate(cell, form)[at]) for cell in counts.draws}
            if np.isnan(list(found.values())).all():
                continue
            alone = {cell: rate for cell, rate in found.items() if not cell[1].endswith(TRUE)}
            worst = max(alone, key=lambda cell: alone[cell])
            more = {
                cell: rate - found[cell[0], f"true:alone:{TRUE}"]
                for cell, rate in found.items()
                if cell[1].endswith(TRUE) and not cell[1].startswith("true")
            }
            most = max(more, key=lambda cell: more[cell])
            rows.append([
                rule, FORM_NAMES[form], f"{sum(rate > MOST_IN_200 / 200 for rate in alone.values())} of {len(alone)}",
                f"{_percent(alone[worst])} ({worst[1]}, {worst[0]})", f"{_percent(more[most])} ({most[1]}, {most[0]})",
            ])  # fmt: skip
    return table(["rule", "form", "attacks above 3 %", "worst", "mixture less true method, most"], rows)


def _metrics(path: Path) -> dict[tuple[str, int, str, str, str], np.ndarray]:
    """(design, subjects, label, partitions, world) -> (draws, 5): comparisons, subjects, estimate, ..."""
    rows: dict[tuple[str, int, str, str, str], dict[str, list[float]]] = defaultdict(dict)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            key = (row["design"], int(row["subjects"]), row["label"], row["partitions"], row["world"])
            rows[key][row["draw"]] = [float(row[name]) for name in METRIC_HEADER[6:]]
    return {key: np.array(list(of.values())) for key, of in rows.items()}


def _metric(of: np.ndarray) -> Matched:
    """The metric of all draws (draws, 5)."""
    return Matched(of[:, 2], of[:, 3], of[:, 4], of[:, 0], of[:, 1].astype(int), False)


def partitions_table(path: Path) -> str:
    """One partition against balanced ones: comparisons, studies above the hurdle, and intervals above chance."""
    metrics, rows = _metrics(path), []
    for design, subjects, label, partitions, world in metrics:
        if partitions != "1":
            continue
        shown = []
        for kind in ("1", "balanced"):
            of = metrics[design, subjects, label, kind, world]
            metric = _metric(of)
            added = {"none": 0 * metric.variance, "V": metric.variance}
            added["estimated"] = np.minimum(metric.overlap, metric.variance)
            above = metric.low(added["V" if kind == "1" else "estimated"]) > 0.5
            rates = [metric.estimable, above & metric.estimable, above, metric.low(added["none"]) > 0.5]
            shown.append([f"{np.median(of[:, 0]):.0f}", *(_percent(rate.mean()) for rate in rates)])
        rows.append([f"{design} {subjects}", label, world, *(f"{a} / {b}" for a, b in zip(*shown, strict=True))])
    header = [
        "study",
        "label",
        "world",
        "comparisons",
        "estimable",
        "shown",
        "shown, no hurdle",
        "shown, no correction",
    ]
    return table(header, rows)


SIZES: tuple[float, ...] = (0, 25, 50, 100, 200, 400, 800, np.inf)


def coverage_table(path: Path) -> str:
    """Coverage of the metric's interval by subjects and comparisons; the truth is the mean over a world's draws."""
    metrics = _metrics(path)
    found: dict[tuple[int, str, int], list[list[bool]]] = defaultdict(list)
    for (_, subjects, _, partitions, _), of in metrics.items():
        if not of[:, 0].any():
            continue  # a design without comparisons
        metric = _metric(of)
        truth = np.nansum(of[:, 2] * of[:, 0]) / of[:, 0].sum()
        mirror = replace(metric, estimate=1 - metric.estimate)
        v, more = metric.variance, metric.overlap
        added = [0 * v, v, np.minimum(more, v), np.minimum(more, 2 * v), more]
        held = np.stack([(metric.low(a) <= truth) & (mirror.low(a) <= 1 - truth) for a in added], axis=1)
        for size, row, enough in zip(of[:, 0], held, of[:, 1] >= MIN_SUBJECTS, strict=True):
            if enough:
                found[subjects, partitions, int(np.digitize(size, SIZES)) - 1].append(row.tolist())
    rows = []
    for (subjects, partitions, at), held_rows in sorted(found.items()):
        upper = "" if np.isinf(SIZES[at + 1]) else f" to {SIZES[at + 1]:.0f}"
        shares = np.mean(held_rows, axis=0)
        shown = [_percent(value) for value in shares]
        if partitions == "1":
            shown[2:] = ["-"] * 3  # one partition shows no overlap
        rows.append([f"{subjects}", partitions, f"{SIZES[at]:.0f}{upper}", f"{len(held_rows)}", *shown])
    header = [
        "subjects",
        "partitions",
        "comparisons",
        "studies",
        "none",
        "V added",
        "at most V",
        "at most 2 V",
        "no bound",
    ]
    return table(header, rows)


def _drawn(counts: Counts, group: Group) -> str:
    """The draws of a group's cells, fewest to most of any rule."""
    draws = [int(n) for cell, of in counts.draws.items() if cell[:3] == group for n in of if n]
    return f"{min(draws)}" if min(draws) == max(draws) else f"{min(draws)} to {max(draws)}"


def page(folder: Path, results: Path, metrics: Path) -> str:
    """All tables of the development worlds: of these results, and of `gains.csv` and `attacks*.csv` beside them."""
    counts = Counts(results, *folder.glob("gains.csv"))
    attacked = Counts(*sorted(folder.glob("attacks*.csv")))
    of_one = [group for group in counts.groups() if group[0] == "D1"]
    ran = [[*map(str, group), _drawn(counts, group)] for group in counts.groups()]
    parts = [
        f"# Development worlds\n\nMade by `python -m bench.confound_rule --tables`. Rates in per cent. {_EXPLAINED}",
        "## What has run",
        table(["design", "subjects", "label", "draws"], ran),
        "## One partition against balanced ones\n\n" + _PARTITIONS,
        partitions_table(metrics),
        "## Coverage of the stimulus-matched metric\n\n" + _COVERAGE,
        coverage_table(metrics),
    ]
    for label in ("binary", "continuous"):
        chosen = [group for group in of_one if group[2] == label]
        for form in FORMS if chosen else ():
            parts += [f"## Candidates, D1, {label}, {FORM_NAMES[form]}", candidates_table(counts, chosen, form)]
    if attacked.draws:
        draws = int(max(of.max() for of in attacked.draws.values()))
        parts += [f"## Attacks, D1, 24 subjects, {draws} draws", attacks_table(attacked)]
    for group in counts.groups():
        title = f"{group[0]}, {group[1]} subjects, {group[2]}"
        parts += [f"## *Yes* by world: {title}, rule alone", worlds_table(counts, group, "yes", CHOSEN)]
    return "\n\n".join(parts) + "\n"
