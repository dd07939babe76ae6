"""The simulated schedules: known graphs by hand, and the page shows the figures of its file."""

import json

import pytest

from bench.scaling.page import insert
from bench.scaling.schedule import Parent, Task, chains, simulate

from .pages import ROOT

PAGE, FIGURES = ROOT / "bench" / "scaling.md", ROOT / "bench" / "scaling.json"
CHAIN = {"a": Task(3.0), "b": Task(4.0, ("a",)), "c": Task(5.0, ("b",))}
APART = {str(i): Task(2.0) for i in range(10)}
DIAMOND = {"a": Task(1.0), "b": Task(2.0, ("a",)), "c": Task(5.0, ("a",)), "d": Task(1.0, ("b", "c"))}


@pytest.mark.parametrize(
    ("tasks", "workers", "makespan"),
    [
        (CHAIN, 1, 12), (CHAIN, 8, 12), (APART, 1, 20), (APART, 3, 8), (APART, 10, 2), (APART, 512, 2),
        (DIAMOND, 1, 9), (DIAMOND, 2, 7), (DIAMOND, 64, 7),
    ],
)  # fmt: skip
def test_known_graphs_take_what_they_take_by_hand(tasks, workers, makespan):
    found = simulate(tasks, workers)
    work = sum(task.seconds for task in tasks.values())
    assert found.makespan == makespan
    assert found.efficiency == pytest.approx(work / workers / makespan)
    assert found.idle == pytest.approx(1 - found.efficiency)
    assert found.makespan >= max(chains(tasks).values())


def test_the_first_of_the_list_comes_first_unless_the_longest_chain_is_asked_for():
    short_ones_first = {**{str(i): Task(1.0) for i in range(4)}, "long": Task(4.0)}
    assert simulate(short_ones_first, 2).makespan == 6
    assert simulate(short_ones_first, 2, longest_first=True).makespan == 4
    assert chains(DIAMOND) == {"a": 7, "b": 3, "c": 6, "d": 1}


def test_the_start_of_each_stage_counts_as_neither_work_nor_waiting():
    found = simulate(CHAIN, 1, start_s=1.0)
    assert found.makespan == 15
    assert found.efficiency == pytest.approx(12 / 15)
    assert found.idle == pytest.approx(0)


def test_a_parent_that_answers_and_scores_makes_workers_wait():
    runs = [list(APART)[:5], list(APART)[5:]]
    assert simulate(APART, 1, parent=Parent(before=7.0)).makespan == 27
    assert simulate(APART, 10, runs=runs, parent=Parent(answer=1.0, score=3.0)).makespan == 2 + 10 + 2 * 3
    # One worker has the next stage at hand while the parent answers the last one.
    assert simulate(APART, 1, parent=Parent(answer=1.0)).makespan == 21
    assert simulate(CHAIN, 1, parent=Parent(look=0.5)).makespan == 12 + 0.5 * (3 + 2 + 1)


def test_the_page_shows_the_figures_of_the_file():
    assert insert(PAGE.read_text(), json.loads(FIGURES.read_text())) == PAGE.read_text()
