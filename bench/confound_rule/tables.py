"""Tables of what the study found, in Markdown."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.confound_rule.cells import HEADER, METRIC_HEADER, RULES, append
from bench.confound_rule.scores import MIN_SUBJECTS, Matched
from bench.confound_rule.worlds import EFFECTS, worlds_of
from bench.markdown import table

FORMS = ("yes", "above", "shown")
MOST_IN_200 = 6
Cell = tuple[str, int, str, str]
"""Design, subjects, label, world."""


class Counts:
    """Counts of cells: measure -> (R,) of each rule, and the number of draws."""

    def __init__(self, path: Path) -> None:
        self.draws: dict[Cell, int] = defaultdict(int)
        self.values: dict[Cell, dict[str, np.ndarray]] = defaultdict(dict)
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                cell = (row["design"], int(row["subjects"]), row["label"], row["world"])
                values = np.array([float(row[rule] or "nan") for rule in RULES])
                of_cell = self.values[cell]
                of_cell[row["measure"]] = of_cell.get(row["measure"], np.zeros(len(RULES))) + values
                if row["measure"] == "yes":
                    self.draws[cell] += int(row["draws"])

    def groups(self) -> list[tuple[str, int, str]]:
        return list(dict.fromkeys(cell[:3] for cell in self.draws))

    def rates(self, group: tuple[str, int, str], measure: str) -> dict[str, np.ndarray]:
        """World -> (R,) rates."""
        cells = [cell for cell in self.draws if cell[:3] == group]
        return {cell[3]: self.values[cell][measure] / self.draws[cell] for cell in cells}


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
            sums = [sum(float(part[rule] or "nan") for part in run) for rule in RULES]
            shown = ["" if np.isnan(value) else f"{value:.6g}" for value in sums]
            made.append([design, subjects, label, world, run[0]["first"], draws, measure, *shown])
    path.unlink()
    append(path, HEADER, made)


def _percent(rate: float) -> str:
    return "" if np.isnan(rate) else f"{100 * rate:.1f}".removesuffix(".0")


def worlds_table(counts: Counts, group: tuple[str, int, str], form: str, rules: Sequence[str] = RULES) -> str:
    """Percentages of *yes* by world and rule; bold: a null world with more than 6 in 200."""
    rates, kinds = counts.rates(group, form), worlds_of(group[0])
    rows = []
    at = [RULES.index(rule) for rule in rules]
    for world, of_rules in rates.items():
        null = kinds[world].kind == "null"
        shown = [f"**{_percent(v)}**" if null and v > MOST_IN_200 / 200 else _percent(v) for v in of_rules[at]]
        rows.append([world, *shown])
    return table(["world", *rules], rows)


def candidates_table(counts: Counts, groups: Sequence[tuple[str, int, str]]) -> str:
    """Each rule and form: null cells above 3 %, the worst, the mean over null worlds, power by effect."""
    rows = []
    null_names = {name for design, _, _ in groups for name, world in worlds_of(design).items() if world.kind == "null"}
    for form in FORMS:
        found = [counts.rates(group, form) for group in groups]
        for at, rule in enumerate(RULES):
            nulls = [(v[at], world) for of in found for world, v in of.items() if world in null_names]
            power = [
                np.mean([of[f"effect_{k}"][at] for of in found if f"effect_{k}" in of] or [np.nan]) for k in EFFECTS
            ]
            failing, worst = sum(rate > MOST_IN_200 / 200 for rate, _ in nulls), max(nulls)
            name = {"yes": "alone"}.get(form, form)
            mean = np.mean([rate for rate, _ in nulls])
            rows.append([
                rule, name, f"{failing} of {len(nulls)}", f"{_percent(worst[0])} ({worst[1]})", _percent(float(mean)),
                *(_percent(float(p)) for p in power),
            ])  # fmt: skip
    return table(["rule", "form", "failing cells", "worst", "mean null", *(f"0.{k}" for k in EFFECTS)], rows)


def _metrics(path: Path) -> dict[tuple[str, int, str, str, str], np.ndarray]:
    """(design, subjects, label, partitions, world) -> (draws, 5): comparisons, subjects, estimate, ..."""
    rows: dict[tuple[str, int, str, str, str], list[list[float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            key = (row["design"], int(row["subjects"]), row["label"], row["partitions"], row["world"])
            rows[key].append([float(row[name]) for name in METRIC_HEADER[6:]])
    return {key: np.array(of) for key, of in rows.items()}


def partitions_table(path: Path) -> str:
    """One partition against balanced ones: comparisons, studies above the hurdle, and intervals above chance."""
    metrics, rows = _metrics(path), []
    for design, subjects, label, partitions, world in metrics:
        if partitions != "1":
            continue
        shown = []
        for kind in ("1", "balanced"):
            of = metrics[design, subjects, label, kind, world]
            metric = Matched(of[:, 2], of[:, 3], of[:, 4], of[:, 0], of[:, 1].astype(int), False)
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
        metric = Matched(of[:, 2], of[:, 3], of[:, 4], of[:, 0], of[:, 1].astype(int), False)
        truth = np.nansum(of[:, 2] * of[:, 0]) / of[:, 0].sum()
        mirror = Matched(1 - of[:, 2], of[:, 3], of[:, 4], of[:, 0], of[:, 1].astype(int), False)
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


def page(results: Path, metrics: Path) -> str:
    """All tables of the development worlds."""
    counts = Counts(results)
    of_one = [group for group in counts.groups() if group[0] == "D1"]
    parts = ["# Development worlds", "What has run:"]
    parts.append(table(["design", "subjects", "label", "draws"], [
        [design, f"{n}", label, f"{min(d for cell, d in counts.draws.items() if cell[:3] == (design, n, label))}"]
        for design, n, label in counts.groups()
    ]))  # fmt: skip
    parts += ["## One partition against balanced ones", "One partition / balanced ones.", partitions_table(metrics)]
    parts += ["## Coverage of the stimulus-matched metric", coverage_table(metrics)]
    for label in ("binary", "continuous"):
        chosen = [group for group in of_one if group[2] == label]
        if chosen:
            parts += [f"## Candidates, D1, {label}", candidates_table(counts, chosen)]
    for group in counts.groups():
        title = f"{group[0]}, {group[1]} subjects, {group[2]}"
        parts += [f"## *Yes* by world: {title}, rule alone", worlds_table(counts, group, "yes")]
    return "\n\n".join(parts) + "\n"
