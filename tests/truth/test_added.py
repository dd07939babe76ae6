"""In made sessions, what moves with the wrist, the clock or nothing seldom adds, and a strong body does."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from embench.interfaces.metric import Undefined
from embench.statistics.estimates import estimate, mean_difference
from embench.statistics.intervals import Estimate

from ..sample import sample
from .added import CELLS, TARGET, Cell, World, judged, trials

NULLS = "nothing 16", "movement 16", "waves 16", "clock 16"


@pytest.mark.slow
@pytest.mark.parametrize("name", NULLS)
def test_what_is_not_of_the_body_seldom_adds(name: str) -> None:
    found = list(islice(trials(name, ["ridge"]), 4))
    assert sum(trial["ridge, movement"]["adjusted"] for trial in found) <= 1


@pytest.mark.slow
def test_a_bounded_function_of_strong_movement_does_not_add() -> None:
    found = list(islice(trials("movement 0.9 34", ["bounded"]), 2))
    assert not any(trial["bounded, movement"]["adjusted"] for trial in found)


def test_a_strong_body_adds() -> None:
    cell = Cell(16, movement=0.62, body=0.8)
    found = [judged(World(cell, np.random.default_rng(k)), ["ridge"]) for k in range(3)]
    assert sum(trial["ridge, movement"]["adjusted"] for trial in found) >= 2


@pytest.mark.parametrize("subjects", sample([16, 24], 16))
def test_the_mean_difference_of_scores_of_two_values_is_twice_what_auroc_is_above_chance(subjects: int) -> None:
    world = World(Cell(subjects, artefact=0.7), np.random.default_rng(1))
    scores = {seed: (score > 0).astype(float) for seed, score in world.scores(["ridge"])["ridge"].items()}
    joined = world.joined(scores)
    found = mean_difference(world.cell.primary_metric, joined, world.jackknife)
    auroc, _ = estimate(world.cell.primary_metric, joined, TARGET, world.jackknife)
    assert isinstance(found, Estimate)
    assert isinstance(auroc, Estimate)
    assert (found.mean, found.low, found.high, found.shared) == pytest.approx(
        (2 * auroc.mean - 1, 2 * auroc.low - 1, 2 * auroc.high - 1, 4 * auroc.shared)
    )


TOLD = ("movement 0.6 34", 0.6), ("movement 0.9 34", 0.9)


@pytest.mark.parametrize(("name", "auroc"), sample(TOLD, TOLD[1]))
def test_movement_tells_as_much_as_a_cell_says(name: str, auroc: float) -> None:
    world = World(CELLS[name], np.random.default_rng(0))
    told, _ = estimate("auroc_within", world.joined(world.control), TARGET, world.jackknife)
    assert not isinstance(told, Undefined)
    assert told is not None
    assert told.mean == pytest.approx(auroc, abs=0.05)
