"""The decision by the rules of plan.md: cells and attacks that pass, mean power, and the table of power."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml

from bench.confound_rule.attacks import TRUE
from bench.confound_rule.cells import RULES
from bench.confound_rule.tables import FORM_NAMES, FORMS, NOT_PASSED, Cell, Counts, percent
from bench.confound_rule.worlds import EFFECTS, kind_of
from bench.markdown import table

PROSPECTS = (
    "gains/pairs", "gains/t+overlap", "gains/cr2", "slopes/pairs", "slopes/cr2", "curves/pairs", "lags/1", "slopes/1",
    "gains/1", "memory/pairs", "memory/1",
)  # fmt: skip
"""Rules of which cells above 6 *yes* in 200 are drawn on; those of one partition in the form *shown* alone."""
CHOSEN, CHOSEN_OF_ONE = "memory/pairs", "memory/1"
SIZES, POWER_EFFECTS = (16, 24, 34, 60), (60, 65, 70, 80)
MORE_THAN_TRUE = 0.05
"""How much more often than a true method its mixture with a confound-only model may pass."""


def forms_of(rule: str) -> Sequence[str]:
    return ("shown",) if rule.endswith("/1") or rule.startswith("memory") else FORMS


def null_cells(counts: Counts) -> Iterator[Cell]:
    """Cells without an effect, of worlds or of attacks."""
    for cell in counts.staged:
        attack = cell[3].split(":")
        if kind_of(cell[3]) == "null" or (len(attack) == 3 and attack[0] != "best" and attack[2] != TRUE):
            yield cell


def to_draw(counts: Counts, rules: Sequence[str], state: str) -> dict[tuple[str, int], dict[str, set[str]]]:
    """(design, subjects) -> null world -> rules of which draws of this stage (`more`, `fresh`) are missing."""
    found: dict[tuple[str, int], dict[str, set[str]]] = {}
    for cell in null_cells(counts):
        for rule in rules:
            if any(counts.states(cell, form)[RULES.index(rule)] == state for form in forms_of(rule)):
                found.setdefault(cell[:2], {}).setdefault(cell[3], set()).add(rule)
    return found


def _cells_of(counts: Counts, rule: str, form: str) -> tuple[list[Cell], list[Cell], float]:
    """Null cells in which a rule was asked for 200 draws or more, those that do not pass, and the mean rate."""
    at = RULES.index(rule)
    states = {cell: counts.states(cell, form)[at] for cell in null_cells(counts)}
    asked = [cell for cell, state in states.items() if state not in ("", "first")]
    rates = [float(counts.rate(cell, form)[at]) for cell in asked]
    return asked, [cell for cell in asked if states[cell] in NOT_PASSED], float(np.mean(rates)) if rates else np.nan


def _mixtures(attacked: Counts, at: int, form: str) -> int:
    """Mixtures that pass more often than the true method by more than 5 points."""
    rates = {cell[2:]: float(attacked.rate(cell, form)[at]) for cell in attacked.staged if cell[3].endswith(TRUE)}
    return sum(rate - rates[kind, f"true:alone:{TRUE}"] > MORE_THAN_TRUE for (kind, _), rate in rates.items())


def _mean_power(counts: Counts, at: int, form: str) -> float:
    """The mean proportion of *yes* over sizes and effects, D1, binary; NaN where these have not been drawn."""
    cells = [("D1", size, "binary", f"effect_{k}") for size in SIZES for k in POWER_EFFECTS]
    return float(np.mean([counts.rate(cell, form)[at] if cell in counts.staged else np.nan for cell in cells]))


def decision_table(counts: Counts, attacked: Counts) -> str:
    """Each prospect and form: cells and attacks that do not pass, the mean over null cells, mean power."""
    rows = []
    for rule in PROSPECTS:
        at = RULES.index(rule)
        for form in forms_of(rule):
            asked, failed, mean = _cells_of(counts, rule, form)
            tried, broken, _ = _cells_of(attacked, rule, form)
            rows.append([
                rule, FORM_NAMES[form], f"{len(failed)} of {len(asked)}", percent(mean),
                f"{len(broken)} of {len(tried)}", f"{_mixtures(attacked, at, form)}",
                percent(_mean_power(counts, at, form)), _by_world(failed),
            ])  # fmt: skip
    header = ["rule", "form", "cells not passed", "mean null", "attacks not passed", "mixtures above true + 5"]
    return table([*header, "mean power", "cells not passed, by world"], rows)


def _by_world(cells: Sequence[Cell]) -> str:
    return ", ".join(f"{world} {count}" for world, count in Counter(cell[3] for cell in cells).items())


def write_power(path: Path, counts: Counts, form: str = "shown") -> None:
    """Write the table of power: design -> label -> subjects -> AUROC of the effect -> percentages of studies."""
    columns = {
        "above_chance": ("metric", "yes"),
        "given_confounds": (CHOSEN, form),
        "above_chance_one_partition": ("metric/1", "yes"),
        "given_confounds_one_partition": (CHOSEN_OF_ONE, "shown"),
        "cannot_be_told": (CHOSEN, "cannot"),
    }
    made: dict[str, dict[str, dict[int, dict[str, dict[str, int]]]]] = {}
    for design, subjects, label in sorted(counts.groups()):
        for percent_auroc in EFFECTS:
            cell = (design, subjects, label, f"effect_{percent_auroc}")
            if design == "D4" or cell not in counts.staged:
                continue
            rates = {name: counts.rate(cell, of)[RULES.index(rule)] for name, (rule, of) in columns.items()}
            if np.isnan(rates["given_confounds"]):
                continue
            of_size = made.setdefault(design, {}).setdefault(label, {}).setdefault(subjects, {})
            of_size[f"{percent_auroc / 100:.2f}"] = {
                name: round(100 * float(rate)) for name, rate in rates.items() if np.isfinite(rate)
            }
    head = (
        "# Made by `python -m bench.confound_rule --tables`. Percentages of simulated studies (plan.md) in which the\n"
        "# primary metric lies above chance, and in which the method passes the confound test.\n"
    )
    path.write_text(head + yaml.safe_dump(made, sort_keys=False, default_flow_style=None, width=120))
