"""Intervals of the transfer map hold the truth for new training and test subjects; the page shows the computed map."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from bench import transfer
from bench.boards.tables import FINDINGS, tables_in
from embench.statistics.intervals import holm, t_test

DRAWN, UNITS, FEATURES = 12, 16, 3
SUBJECTS = {"one": 34, "two": 22}
DIRECTIONS = {"one": np.array([0.8, 0.2, 0.0]), "two": np.array([0.5, 0.0, 0.5])}
"""The mean effect of the label on the features in each population; that of a subject varies about it."""


def make_subjects(random: np.random.Generator, population: str, *shape: int) -> np.ndarray:
    """(*shape, units, features), the first half of the units with label 1."""
    effect = DIRECTIONS[population] + 0.7 * random.standard_normal((*shape, 1, FEATURES))
    sign = np.repeat([0.5, -0.5], UNITS // 2)[:, None]
    return sign * effect + random.standard_normal((*shape, UNITS, FEATURES))


def fit(subjects: np.ndarray) -> np.ndarray:
    """(..., features) of the linear model of each training set (..., subjects, units, features)."""
    half = UNITS // 2
    return (subjects[..., :half, :].mean(-2) - subjects[..., half:, :].mean(-2)).mean(-2)


def score(units: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(...) AUROC of each test subject (..., units, features) by the model with `weights` (..., features)."""
    scores, half = (units @ weights[..., None])[..., 0], UNITS // 2
    return (scores[..., :half, None] > scores[..., None, half:]).mean((-2, -1))


def trained(random: np.random.Generator, source: str, tested: str, trials: int = 40_000) -> float:
    """The true score: of new test subjects, by models of new training subjects."""
    weights = fit(make_subjects(random, source, trials, DRAWN))
    return float(score(make_subjects(random, tested, trials), weights).mean())


def simulate(random: np.random.Generator) -> dict[str, transfer.Influence]:
    """The scores of one map, and the loss of each test set."""
    made = {name: make_subjects(random, name, count) for name, count in SUBJECTS.items()}
    found = {}
    for source, count in SUBJECTS.items():
        drawn = transfer.draw_subjects(count, DRAWN, 100, [int(random.integers(2**31))])
        weights = np.array([fit(made[source][each]) for each in drawn])
        for tested, units in made.items():
            values = score(units[None], weights[:, None])
            values = np.where(drawn, np.nan, values) if source == tested else values
            found[f"{source} {tested}"] = transfer.measure_influence(values, drawn, source, tested)
    found["loss one"], found["loss two"] = found["two one"] - found["one one"], found["one two"] - found["two two"]
    return found


def coverage(maps: int, seed: int) -> dict[str, float]:
    """How often the interval of each score and loss holds the truth."""
    random = np.random.default_rng(seed)
    truth = {f"{one} {two}": trained(random, one, two) for one in SUBJECTS for two in SUBJECTS}
    truth["loss one"], truth["loss two"] = truth["two one"] - truth["one one"], truth["one two"] - truth["two two"]
    held = dict.fromkeys(truth, 0)
    for _ in range(maps):
        for name, influence in simulate(random).items():
            estimate = influence.estimate()
            assert estimate.low is not None
            assert estimate.high is not None
            held[name] += estimate.low <= truth[name] <= estimate.high
    return {name: count / maps for name, count in held.items()}


@pytest.mark.slow
def test_intervals_hold_the_truth_when_neither_side_is_fixed() -> None:
    """200 maps: a rate of .95 has a standard error of .015; a rate above it makes claims rarer."""
    assert {name: rate for name, rate in coverage(200, 1).items() if not 0.91 <= rate <= 0.995} == {}


def test_no_model_is_tested_on_its_training_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features tell the label of each subject, in a column of its own: models know nothing of new subjects."""
    monkeypatch.setattr(transfer, "METHODS", ("logreg",))
    monkeypatch.setattr(transfer, "CONFOUNDS", ())
    sides = {}
    for name, count in (("one", 9), ("two", 7)):
        code, y = np.repeat(np.arange(count), 20), np.tile([0.0, 1.0], 10 * count)
        X = np.eye(16)[code + (9 if name == "two" else 0)] * y[:, None]
        sides[name] = transfer.Side(None, [], [f"{name}/{k}" for k in range(count)], code, y, X, X)  # type: ignore[arg-type]
    drawn = {name: transfer.draw_subjects(len(side.names), 5, 4, [k]) for k, (name, side) in enumerate(sides.items())}
    scores = transfer.score_draws(sides, drawn)
    for (_, source, tested), values in scores.items():
        trained_on = drawn[source] if source == tested else np.zeros(values.shape, bool)
        assert (trained_on.sum(1) == (5 if source == tested else 0)).all()
        assert np.isnan(values[trained_on]).all()
        assert (values[~trained_on] == 0.5).all()


class TestThePage:
    def test_its_numbers_are_those_of_the_file(self) -> None:
        made, shown = transfer.load_map(), dict(tables_in(FINDINGS.read_text("utf-8")))["transfer_map"]
        lines = [
            [cell.strip(" `") for cell in line.strip("|").split("|")]
            for line in shown.splitlines()
            if line.startswith("| `")
        ]
        assert len(lines) == len(made["losses"]) == 12
        for tested, model, *cells in lines:
            (other,) = set(transfer.DATASETS) - {tested}
            rows = [self.row(made["cells"], model, source, tested) for source in (other, tested)]
            rows += [self.row(made["losses"], model, other, tested)]
            if model in transfer.METHODS:
                rows += [self.row(made["differences"], model, source, tested) for source in (other, tested)]
            for row, cell in zip(rows, cells, strict=False):
                numbers = [row["mean"], row["low"], min(row["high"], 1.0), *([row["p"]] if "p" in row else [])]
                assert [float(text) for text in re.findall(r"[-+]?\d?\.\d+", cell)] == pytest.approx(
                    numbers, abs=1.1e-3
                )

    def row(self, rows: list[dict[str, Any]], *place: str) -> dict[str, Any]:
        (found,) = [row for row in rows if (row["model"], row["source"], row["tested"]) == place]
        return found

    def test_p_is_corrected_over_all_tests_of_the_map(self) -> None:
        made = transfer.load_map()
        tests = [*made["losses"], *made["differences"]]
        assert len(tests) == 24
        again = holm([t_test(row["mean"], row["error"], row["df"]) for row in tests])
        assert [row["p"] for row in tests] == pytest.approx(again, abs=1e-3)


if __name__ == "__main__":
    print(coverage(1000, 2))
