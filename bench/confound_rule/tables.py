"""Tables of what the study found, in Markdown."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.confound_rule.attacks import TRUE
from bench.confound_rule.cells import MEASURES, METRIC_HEADER, RULES, append
from bench.confound_rule.scores import MIN_SUBJECTS, Matched
from bench.confound_rule.worlds import EFFECTS, kind_of
from bench.markdown import table

FORMS = ("yes", "above", "shown")
FORM_NAMES = {"yes": "alone", "above": "above", "shown": "shown"}
CHOSEN = (
    "few/pairs", "lags/t", "lags/t+overlap", "lags/pairs", "curves/t+overlap", "curves/pairs", "slopes/t+overlap",
    "slopes/pairs", "gains/t+overlap", "gains/cr2", "gains/pairs", "memory/pairs", "lags/1", "slopes/1", "gains/1",
    "memory/1", "v3", "v3/balanced", "scaled", "metric", "metric/1",
)  # fmt: skip
"""Rules in tables of single worlds."""
_EXPLAINED = "Bold: a null world that does not pass (see plan.md). Limits and effects are never bold."
_PARTITIONS = (
    "One partition / balanced ones. *Comparisons*: median. *Estimable*: at least 200 of 10 subjects. *Shown*: the "
    "interval lies above chance, with the training-overlap correction (one partition: V; else estimated, at most V)."
)
_COVERAGE = "Intervals of 95 % that hold the mean over all draws, in `none`, `film`, three effects, by correction."
FIRST_DRAWS, FRESH, FRESH_DRAWS = 200, 10_000, 2_000
"""Draws of each of the first two stages; the first of the fresh ones, and their number."""
MOST_IN_200, MOST_IN_400, MOST_IN_2000 = 6, 20, 100
NOT_PASSED = ("more", "fresh", "fail")
"""States of cells with more than 6 *yes* in 200 draws that do not pass later."""
CANDIDATES = tuple(rule for rule in RULES if not rule.startswith("metric"))
ATTACKED = ("D1", 24)
Group = tuple[str, int, str]
"""Design, subjects, label."""
Cell = tuple[str, int, str, str]
"""Design, subjects, label, world."""


class Counts:
    """Counts of cells in files of results: measure -> (3, R) of each stage and rule, and (3, R) draws.

    Stages: the first 200 draws, those up to 400, and the fresh ones that decide.
    """

    def __init__(self, *paths: Path) -> None:
        self.staged: dict[Cell, np.ndarray] = defaultdict(lambda: np.zeros((3, len(RULES))))
        self.values: dict[Cell, dict[str, np.ndarray]] = defaultdict(
            lambda: {measure: np.zeros((3, len(RULES))) for measure in MEASURES}
        )
        for path in paths:
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    self._add(row)

    def _add(self, row: dict[str, str]) -> None:
        cell = (row["design"], int(row["subjects"]), row["label"], row["world"])
        values = np.array([float(row.get(rule) or "nan") for rule in RULES])
        stage = 2 if int(row["first"]) >= FRESH else int(int(row["first"]) >= FIRST_DRAWS)
        self.values[cell][row["measure"]][stage] += np.nan_to_num(values)
        if row["measure"] == "yes":
            self.staged[cell][stage] += int(row["draws"]) * np.isfinite(values)

    @property
    def draws(self) -> dict[Cell, np.ndarray]:
        return {cell: of.sum(0) for cell, of in self.staged.items()}

    def states(self, cell: Cell, form: str) -> np.ndarray:
        """(R,) of each rule whether a cell passes by the plan: `pass`, `fail`, or `first`, `more`, `fresh` for the
        draws that are missing; empty of a rule that was not asked."""
        yes, draws = self.values[cell][form], self.staged[cell]
        found = np.full(len(RULES), "fail", dtype="<U5")
        found[draws[2] < FRESH_DRAWS] = "fresh"
        found[(draws[2] >= FRESH_DRAWS) & (yes[2] <= MOST_IN_2000 / 2000 * draws[2])] = "pass"
        two = draws[:2].sum(0)
        found[two < 2 * FIRST_DRAWS] = "more"
        found[(two >= 2 * FIRST_DRAWS) & (yes[:2].sum(0) <= MOST_IN_400)] = "pass"
        found[(draws[0] >= FIRST_DRAWS) & (yes[0] <= MOST_IN_200)] = "pass"
        found[yes[0] > MOST_IN_400] = "fail"  # no number of further draws is likely to change that
        found[draws[0] < FIRST_DRAWS] = "first"
        found[draws.sum(0) == 0] = ""
        return found

    def groups(self) -> list[Group]:
        return list(dict.fromkeys(cell[:3] for cell in self.staged))

    def rates(self, group: Group, measure: str) -> dict[str, np.ndarray]:
        """World -> (R,) rates, NaN of rules that were not asked."""
        cells = [cell for cell in self.staged if cell[:3] == group]
        return {cell[3]: self.rate(cell, measure) for cell in cells}

    def rate(self, cell: Cell, measure: str) -> np.ndarray:
        draws = self.staged[cell].sum(0)
        return np.where(draws > 0, self.values[cell][measure].sum(0) / np.maximum(draws, 1), np.nan)


def merge(path: Path) -> None:
    """Rewrite a file of results with one row for neighbouring blocks of a cell."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows, header = list(reader), list(reader.fieldnames or ())
    rules = header[header.index("measure") + 1 :]
    merged: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        merged[tuple(row[key] for key in ("design", "subjects", "label", "world", "measure"))].append(row)
    made: list[list[object]] = []
    for (design, subjects, label, world, measure), of in merged.items():
        runs: list[list[dict[str, str]]] = []
        for row in sorted(of, key=lambda row: int(row["first"])):
            first = int(row["first"])
            follows = runs and first == int(runs[-1][-1]["first"]) + int(runs[-1][-1]["draws"])
            if follows and first != FIRST_DRAWS and _asked(row) == _asked(runs[-1][-1]):
                runs[-1].append(row)
            else:
                runs.append([row])
        for run in runs:
            draws = sum(int(part["draws"]) for part in run)
            sums = [sum(float(part.get(rule) or "nan") for part in run) for rule in rules]
            shown = ["" if np.isnan(value) else f"{value:.6g}" for value in sums]
            made.append([design, subjects, label, world, run[0]["first"], draws, measure, *shown])
    path.unlink()
    append(path, header, made)


def _asked(row: dict[str, str]) -> list[bool]:
    """Return for each rule whether a row has its answers."""
    return [bool(row.get(rule)) for rule in RULES]


def percent(rate: float) -> str:
    return "" if np.isnan(rate) else f"{100 * rate:.1f}".removesuffix(".0")


def worlds_table(counts: Counts, group: Group, form: str, rules: Sequence[str] = RULES) -> str:
    """Percentages of *yes* by world and rule; bold: a null world that does not pass."""
    rows = []
    at = [RULES.index(rule) for rule in rules]
    for world, of_rules in counts.rates(group, form).items():
        states = counts.states((*group, world), form)[at]
        bold = [kind_of(world) == "null" and state in NOT_PASSED for state in states]
        rows.append(
            [world, *(f"**{percent(v)}**" if b else percent(v) for v, b in zip(of_rules[at], bold, strict=True))]
        )
    return table(["world", *rules], rows)


def candidates_table(counts: Counts, groups: Sequence[Group], form: str) -> str:
    """Each rule: null cells that do not pass, the worst, the mean over null cells, mean power over sizes by effect."""
    rows, found = [], {group: counts.rates(group, form) for group in groups}
    nulls = [(group, world) for group in groups for world in found[group] if kind_of(world) == "null"]
    effects = [k for k in EFFECTS if all(f"effect_{k}" in of for of in found.values())]
    for at, rule in enumerate(CANDIDATES):
        rates = [found[group][world][at] for group, world in nulls]
        if np.isnan(rates).all():
            continue
        (_, size, label), world = nulls[int(np.nanargmax(rates))]
        power = [np.nanmean([of[f"effect_{k}"][at] for of in found.values()]) for k in effects]
        failing = sum(counts.states((*group, world), form)[at] in NOT_PASSED for group, world in nulls)
        worst = f"{percent(np.nanmax(rates))} ({world}, {size}, {label})"
        shown = [percent(float(value)) for value in (np.nanmean(rates), *power)]
        rows.append([rule, f"{failing} of {np.isfinite(rates).sum()}", worst, *shown])
    return table(["rule", "cells not passed", "worst", "mean null", *(f"0.{k}" for k in effects)], rows)


def attacks_table(counts: Counts) -> str:
    """Each rule and form: attacks that do not pass, the worst, and by how much mixtures exceed the true method."""
    rows = []
    for form in FORMS:
        for at, rule in enumerate(CANDIDATES):
            found = {cell[2:]: float(counts.rate(cell, form)[at]) for cell in counts.staged}
            found = {cell: rate for cell, rate in found.items() if np.isfinite(rate)}
            if not found:
                continue
            best = [rate for cell, rate in found.items() if cell[1].startswith("best")]
            alone = {cell: rate for cell, rate in found.items() if not cell[1].endswith(TRUE) and "best" not in cell[1]}
            passed = sum(counts.states((*ATTACKED, *cell), form)[at] == "pass" for cell in alone)
            worst = max(alone, key=lambda cell: alone[cell])
            more = {
                cell: rate - found[cell[0], f"true:alone:{TRUE}"]
                for cell, rate in found.items()
                if cell[1].endswith(TRUE) and not cell[1].startswith("true")
            }
            most = max(more, key=lambda cell: more[cell])
            rows.append([
                rule, FORM_NAMES[form], f"{len(alone) - passed} of {len(alone)}", percent(max(best, default=np.nan)),
                f"{percent(alone[worst])} ({worst[1]}, {worst[0]})", f"{percent(more[most])} ({most[1]}, {most[0]})",
            ])  # fmt: skip
    return table(
        ["rule", "form", "attacks not passed", "best of ten, most", "worst", "mixture less true method, most"], rows
    )


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
            shown.append([f"{np.median(of[:, 0]):.0f}", *(percent(rate.mean()) for rate in rates)])
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
        shown = [percent(value) for value in shares]
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


def page(title: str, counts: Counts, attacked: Counts | None = None, metrics: Path | None = None) -> str:
    """All tables of development or confirmation worlds, and of attacks and the primary metric, if there are any."""
    of_one = [group for group in counts.groups() if group[0] == "D1"]
    ran = [[*map(str, group), _drawn(counts, group)] for group in counts.groups()]
    parts = [
        f"# {title}\n\nMade by `python -m bench.confound_rule --tables`. Rates in per cent. {_EXPLAINED}",
        "## What has run",
        table(["design", "subjects", "label", "draws"], ran),
    ]
    if metrics:
        parts += ["## One partition against balanced ones\n\n" + _PARTITIONS, partitions_table(metrics)]
        parts += ["## Coverage of the stimulus-matched metric\n\n" + _COVERAGE, coverage_table(metrics)]
    for label in ("binary", "continuous"):
        chosen = [group for group in of_one if group[2] == label]
        for form in FORMS if chosen else ():
            parts += [f"## Candidates, D1, {label}, {FORM_NAMES[form]}", candidates_table(counts, chosen, form)]
    if attacked:
        parts += ["## Attacks, D1, 24 subjects", attacks_table(attacked)]
    for group in counts.groups():
        name = f"{group[0]}, {group[1]} subjects, {group[2]}"
        parts += [f"## *Yes* by world: {name}, rule alone", worlds_table(counts, group, "yes", CHOSEN)]
    return "\n\n".join(parts) + "\n"
