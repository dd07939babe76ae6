"""Numbers that no run has, fields that nobody knows and texts that a spreadsheet would run are refused, and named."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embench.cli import main
from embench.errors import DataError
from embench.leaderboard.pull_request import check_entry, select_failures
from embench.leaderboard.tables import as_csv
from embench.records.record import read_manifest
from embench.vocabulary import escape_formula

from ..leaderboard.test_verify import edit, honest, published
from ..sample import sample

__all__ = ["honest", "published"]

Change = Callable[[Any], object]
LONG = 10**399


def cost(**changed: Any) -> Change:
    return lambda run: run["cost"].update(changed)


def looks(test_evaluations: Any = 3, tried: Any = 2, dev_evaluations: Any = 0) -> Change:
    counted = {
        "test_evaluations": {"stress": test_evaluations},
        "methods_evaluated": {"stress": tried},
        "dev_evaluations": {"stress": dev_evaluations},
    }
    return lambda run: run.update(counted)


NUMBERS: dict[str, tuple[Change, str]] = {
    "time that is no number": (cost(wall_seconds=float("nan")), "cost.wall_seconds"),
    "time below zero": (cost(wall_seconds=-5.0), "cost.wall_seconds"),
    "time without end": (cost(wall_seconds=float("inf")), "cost.wall_seconds"),
    "time of ages": (cost(wall_seconds=1e30), "cost.wall_seconds"),
    "parameters of 400 digits": (cost(parameters=LONG), "cost.parameters"),
    "parameters below zero": (cost(parameters=-1), "cost.parameters"),
    "operations of 400 digits": (cost(flops=LONG), "cost.flops"),
    "operations": (cost(flops=1e30), "cost.flops"),
    "memory": (cost(peak_memory_mb=1e30), "cost.peak_memory_mb"),
    "memory below zero": (cost(peak_memory_mb=-1.0), "cost.peak_memory_mb"),
    "energy": (cost(energy_j=1e30), "cost.energy_j"),
    "energy that is no number": (cost(energy_j=float("nan")), "cost.energy_j"),
    "no look": (looks(test_evaluations=0), "test_evaluations.stress"),
    "looks below zero": (looks(test_evaluations=-3), "test_evaluations.stress"),
    "looks of 400 digits": (looks(test_evaluations=LONG), "test_evaluations.stress"),
    "looks at no target": (lambda run: run.update(test_evaluations={}), "test_evaluations"),
    "more methods than looks": (looks(tried=99), "methods_evaluated.stress"),
    "no method": (looks(tried=0), "methods_evaluated.stress"),
    "looks with --dev below zero": (looks(dev_evaluations=-1), "dev_evaluations.stress"),
    "more repaired units than there are": (lambda run: run["cohort"].update(repaired=1.5), "cohort.repaired"),
    "repaired units that are no number": (
        lambda run: run["cohort"].update(repaired=float("nan")),
        "cohort.repaired",
    ),
    "subjects without end": (lambda run: run["cohort"].update(subjects=LONG), "cohort.subjects"),
}
UNKNOWN: dict[str, tuple[Change, str]] = {
    "at the top": (lambda run: run.update(award="best paper"), "award"),
    "of the cost": (cost(price=0), "cost.price"),
    "of the dataset": (lambda run: run["dataset"].update(real=True), "dataset.real"),
    "of the protocol": (lambda run: run["protocol"].update(strict=True), "protocol.strict"),
    "of the method": (lambda run: run["method"].update(state_of_the_art=True), "method.state_of_the_art"),
    "of the card": (lambda run: run["card"].update(open=True), "card.open"),
    "of a label rule": (lambda run: run["card"]["label_rules"][0].update(x=1), "card.label_rules.0.x"),
    "of the cohort": (lambda run: run["cohort"].update(age=30), "cohort.age"),
    "of the scoring": (lambda run: run["scoring"].update(by="A. Reader"), "scoring.by"),
    "of the entry": (lambda run: run["entry"].update(evidence="reproduced"), "entry.evidence"),
    "of pretraining": (lambda run: run.update(pretraining=[{"dataset": "x", "award": 1}]), "pretraining.0.award"),
}
FORMULAS = ('=HYPERLINK("http://x.org", "y")', "+1+1", "-1+1", "@SUM(A1)", "\uff1d1+1")
TEXTS: dict[str, Callable[[Any, str], object]] = {
    "device": lambda run, text: run.update(device=text),
    "cost.device": lambda run, text: run["cost"].update(device=text),
    "recipe.assumed.0": lambda run, text: run["recipe"].update(assumed=[text]),
    "recipe.settings.0": lambda run, text: run["recipe"].update(settings=[text]),
    "method.pretrainers.0": lambda run, text: run["method"].update(pretrainers=[text]),
    "versions.torch": lambda run, text: run["versions"].update(torch=text),
}


def wrong(folder: Path) -> str:
    found = select_failures(check_entry(folder))
    assert found, "nothing failed"
    return "; ".join(check.reason for check in found)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_no_run_has_is_refused(published: Path, name: str) -> None:
    change, field = NUMBERS[name]
    edit(published / "run.yaml", change)
    found = wrong(published)
    assert field in found
    assert "run.yaml" in found
    assert main(["leaderboard", "build", "--leaderboards", str(published.parents[2])]) in (1, 3)


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_field_that_nobody_knows_is_refused(published: Path, name: str) -> None:
    change, field = UNKNOWN[name]
    edit(published / "run.yaml", change)
    assert f"run.yaml: {field}: " in wrong(published)
    assert main(["leaderboard", "build", "--leaderboards", str(published.parents[2])]) == 1


FIRST, *OTHERS = FORMULAS
CELLS = [(name, text) for name in TEXTS for text in FORMULAS]


@pytest.mark.parametrize(
    ("name", "text"), sample(CELLS, *((name, FIRST) for name in TEXTS), *(("device", text) for text in OTHERS))
)
def test_a_text_that_is_a_formula_is_refused(published: Path, name: str, text: str) -> None:
    edit(published / "run.yaml", lambda run: TEXTS[name](run, text))
    found = wrong(published)
    assert name in found
    assert "a spreadsheet" in found


def test_a_number_of_more_digits_than_can_be_read_is_named(published: Path) -> None:
    path = published / "run.yaml"
    path.write_text(path.read_text().replace("test_evaluations:", f"more: {'9' * 4400}\ntest_evaluations:"))
    with pytest.raises(DataError) as refused:
        read_manifest(published)
    assert "run.yaml" in str(refused.value)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_table_is_a_formula(text: str) -> None:
    cells = [*_cells(as_csv([{"id": text, "list": [text], "plain": "a"}])), escape_formula(text)]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\uff1d")]
    assert _cells(as_csv([{"n": -1.5}])) == ["n", "-1.5"]


def _cells(table: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(table)) for cell in row]


@pytest.mark.parametrize("text", FORMULAS)
def test_nobody_has_the_name_of_a_formula(published: Path, text: str) -> None:
    assert main(["leaderboard", "verify", str(published), "--attester", text]) == 2
