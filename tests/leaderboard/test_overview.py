"""One view over leaderboards: ranks and win rates, what datasets can order, and the table for other packages."""

import csv
import json
from collections import defaultdict

import pytest

from bench.boards import BOARDS
from embench.leaderboard.columns import Row
from embench.leaderboard.overview import Task, select_tasks, summarise_tasks
from embench.leaderboard.tables import BoardSection
from embench.planning.request import Request
from embench.records.scores import Score

from ..tiny.fixtures import embench

__all__ = ["embench"]


def make_task(dataset, scores, target="stress"):
    """A leaderboard with these scores of methods, each 0.02 wide."""
    rows = {
        name: Row(name, 20, "auroc_within", Score(mean=mean, low=mean - 0.01, high=mean + 0.01), {}, (0,))
        for name, mean in scores.items()
    }
    return Task(dataset, "subject-independent-v4", target, rows)


@pytest.mark.slow
def test_the_published_leaderboards_give_ranks_that_their_datasets_cannot_order(embench):
    done = embench("leaderboard", "overview", "--leaderboards", BOARDS, "--json")
    found = json.loads(done.out)
    assert len(found["datasets"]) < 6
    assert f"{len(found['datasets'])} datasets cannot order the methods" in found["sentence"]
    assert found["ordered"] == 0
    methods = {one["method"]: one for one in found["methods"]}
    assert "handcrafted features; SVM" in methods
    wins = [one["win_rate"] for one in methods.values()]
    assert sum(win[0] for win in wins) / len(wins) == pytest.approx(0.5)
    assert all(low <= win <= high and low < high for win, low, high in wins)
    assert all(low <= rank <= high for rank, low, high in (one["rank"] for one in methods.values()))
    assert [one["rank"][0] for one in found["methods"]] == sorted(one["rank"][0] for one in found["methods"])


@pytest.mark.slow
def test_a_win_rate_is_that_of_the_scores_that_leaderboards_show(embench, tmp_path):
    out = tmp_path / "scores.csv"
    done = embench("leaderboard", "overview", "--leaderboards", BOARDS, "--out", out, "--json")
    found = json.loads(done.out)
    with out.open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = json.loads(embench("leaderboard", "show", "--all", "--leaderboards", BOARDS, "--format", "json").out)
    shown = {(row["id"], row["target"]): row["score"] for row in rows if row["kind"] == "method"}
    assert all(float(line["score"]) == shown[line["entry"], line["task"].partition("/")[2]] for line in lines)
    assert all(float(line["metric_error"]) == 1 - float(line["score"]) for line in lines)
    scores = defaultdict(dict)
    for line in lines:
        scores[line["dataset"], line["task"]][line["method"]] = float(line["score"])
    names = [one["method"] for one in found["methods"]]
    assert set(names) == set.intersection(*map(set, scores.values()))
    for one in found["methods"]:
        rates = defaultdict(list)
        for (dataset, _), own in scores.items():
            others = [own[name] for name in names if name != one["method"]]
            mine = own[one["method"]]
            rates[dataset].append(sum((mine > other) + (mine == other) / 2 for other in others) / len(others))
        expected = sum(sum(each) / len(each) for each in rates.values()) / len(rates)
        assert one["win_rate"][0] == pytest.approx(expected)


def make_section(dataset, target="stress", metric="auroc_crossed", **changes):
    """A leaderboard of one method on each of two sets of modalities."""
    score = Score(mean=0.6, low=0.5, high=0.7)
    about = {"primary_metric": metric, "score": score, "scores": {}, "seeds": (0,), "fusion": "svm"}
    rows = tuple(Row(f"{dataset}-{m}", 20, modalities=tuple(m.split(",")), **about) for m in ("acc", "eda,ppg"))
    facts = {"protocol": Request.protocol, "trained_on": None, "leaks": False, "design": None, "rankings": {}}
    return BoardSection(dataset=dataset, target=target, rows=rows, **{**facts, **changes})


def test_leaderboards_of_classes_are_taken_and_of_each_method_the_entry_that_reads_most():
    sections = [
        make_section("one"),
        make_section("one", people=10),
        make_section("two", protocol="subject-independent-strict-v4"),
        make_section("three", trained_on="one"),
        make_section("four", "rating", "concordance_crossed"),
        make_section("five"),
    ]
    tasks = select_tasks(sections, "subject-independent-v4")
    assert [task.name for task in tasks] == ["one/stress", "five/stress"]
    assert [[row.id for row in task.entries.values()] for task in tasks] == [["one-eda,ppg"], ["five-eda,ppg"]]


def test_enough_datasets_order_methods_that_are_better_on_each(tmp_path):
    tasks = [make_task(f"d{k}", {"a": 0.8, "b": 0.6, "c": 0.4 if k % 2 else 0.7}) for k in range(8)]
    found = summarise_tasks(tasks, tmp_path)
    assert found.ordered == 2  # a is better than b and than c on each, p = 0.0078; b and c alternate
    assert "order 2 of the pairs" in found.sentence
    few = summarise_tasks(tasks[:5], tmp_path)
    assert few.ordered == 0
    assert "5 datasets cannot order the methods" in few.sentence
    assert "p = 0.062" in few.sentence


def test_datasets_have_equal_weight_and_methods_that_lack_a_leaderboard_no_rank(tmp_path):
    tasks = [make_task("one", {"a": 0.9, "b": 0.5}), make_task("two", {"a": 0.5, "b": 0.9, "c": 0.8})]
    tasks.append(make_task("two", {"a": 0.5, "b": 0.9}, target="rating"))
    found = summarise_tasks(tasks, tmp_path)
    assert {one.method: one.win_rate[0] for one in found.standings} == {"a": 0.5, "b": 0.5}
    assert found.others == {"c": 1}
    assert [one.rank for one in found.standings] == [(1.5, 1.0, 2.0)] * 2


@pytest.mark.slow
def test_the_table_is_parquet_too_and_other_names_are_refused(embench, tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    for name in ("scores.csv", "scores.parquet"):
        assert embench("leaderboard", "overview", "--leaderboards", BOARDS, "--out", tmp_path / name).code == 0
    one, other = pandas.read_csv(tmp_path / "scores.csv"), pandas.read_parquet(tmp_path / "scores.parquet")
    pandas.testing.assert_frame_equal(one, other, check_dtype=False)
    done = embench("leaderboard", "overview", "--leaderboards", BOARDS, "--out", tmp_path / "scores.xlsx")
    assert done.code == 2
    assert "a name that ends in .csv or .parquet" in done.err


@pytest.mark.slow
def test_bencheval_ranks_the_table(embench, tmp_path):
    evaluator = pytest.importorskip("bencheval.evaluator", reason="bencheval is not installed")
    import pandas as pd

    found = json.loads(
        embench("leaderboard", "overview", "--leaderboards", BOARDS, "--out", tmp_path / "s.csv", "--json").out
    )
    table = pd.read_csv(tmp_path / "s.csv")
    table = table[table["method"].isin([one["method"] for one in found["methods"]])]
    ranked = evaluator.BenchmarkEvaluator(columns_to_agg_extra=None).leaderboard(
        table[["method", "task", "metric_error"]], include_error=True
    )
    assert set(ranked.index) == {one["method"] for one in found["methods"]}
    assert ranked["winrate"].between(0, 1).all()
