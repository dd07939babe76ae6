"""The end: ranks that are shared where nothing tells teams apart, results that anyone can check, later submissions."""

from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pytest

from embench.challenge.after import confirm_rerun, score_after
from embench.challenge.optimism import best_of
from embench.challenge.results import Pair, Results, finish_results, rank_teams
from embench.challenge.verification import verify_results
from embench.errors import CheckFailed, UsageError
from embench.files import parse_yaml
from embench.statistics import metric_facts

from .world import CLOSED, OPEN, VALUE, Host


def results(host: Host) -> dict:
    return json.loads((host.place.results / "results.json").read_text())


def test_teams_know_before_by_which_metric_they_are_ranked(closed):
    about = parse_yaml((closed.place.public / "challenge.yaml").read_text())
    assert about["metric"] == metric_facts(results(closed)["metric"]).title


def test_teams_that_nothing_tells_apart_share_a_rank(closed):
    rank = {row["team"]: row["rank"] for row in results(closed)["rows"]}
    assert rank["alpha"] == rank["beta"] == 1
    assert rank["noise"] > 1
    assert rank["friends"] == 0  # affiliated: listed last, without a rank
    assert results(closed)["rows"][-1]["team"] == "friends"


def test_the_report_says_what_can_be_told_apart_and_how_optimistic_the_best_is(closed):
    report = (closed.place.results / "report.md").read_text()
    assert "14 subjects of the final group, scored once." in report
    assert "of six pairs of teams can be told apart" in report
    assert re.search(r"the best of 3 equally good teams would score too high by up to 0\.0\d; of 10, by up to", report)
    assert "| time since the start | 0." in report
    assert "Ranks are provisional" in report
    assert "demonstration" not in report.lower()


def test_each_pair_has_its_difference_with_an_interval(closed):
    report, found = (closed.place.results / "report.md").read_text(), results(closed)
    assert len(found["pairs"]) == 6
    for pair in found["pairs"]:
        assert list(pair) == ["first", "second", "difference", "low", "high", "p_holm"]
        words = f"{pair['difference']:+z.2f} ({pair['low']:+z.2f} to {pair['high']:+z.2f})"
        assert f"| {pair['first']} | {pair['second']} | {words} |" in report


def test_what_has_no_number_has_its_reason_once(closed):
    report, found = (closed.place.results / "report.md").read_text(), results(closed)
    undefined = {name for name, numbers in found["confound_only"].items() if numbers is None}
    assert found["undefined"].keys() == undefined
    for reason in {*found["undefined"].values(), *(why for row in found["rows"] for why in row["reasons"].values())}:
        assert report.count(reason.removesuffix(".")) == 1
    for row in found["rows"]:
        assert row["reasons"].keys() >= {name for name, word in row["answers"].items() if word == "cannot be told"}


@pytest.mark.parametrize(
    ("score", "low", "words"),
    [(0.5, 0.5, "this is chance"), (0.6, 0.4, "includes chance (0.50)"), (0.7, 0.6, "two of two teams score higher.")],
)
def test_a_confound_only_model_at_chance_is_called_so(closed, score, low, words):
    found = Results.model_validate(results(closed), strict=False)
    two = [row.model_copy(update={"affiliated": False, "score": 0.8}) for row in found.rows[:2]]
    model = {"elapsed_time": (score, low, score + 0.1)}
    changed = finish_results(found.model_copy(update={"rows": tuple(two), "confound_only": model, "pairs": ()}))
    assert words in changed.sentences[-1]


def test_answers_stand_beside_the_ranks(closed):
    rows = {row["team"]: row for row in csv.DictReader((closed.place.results / "leaderboard.csv").open())}
    assert rows["alpha"]["above_chance"] == "yes"
    assert rows["noise"]["above_chance"] == "not shown"
    assert rows["alpha"]["given_confounds"]


def test_the_final_group_is_scored_once(closed):
    with pytest.raises(UsageError, match="the final group is scored once"):
        closed.close()


def test_it_cannot_be_closed_before_the_deadline(host):
    host.register(("alpha", "a", "no"))
    host.submit("alpha", "one")
    with pytest.raises(UsageError, match="submissions are open until"):
        host.close(OPEN)


def test_it_cannot_be_closed_without_a_submission(host):
    host.register(("alpha", "a", "no"))
    host.inbox.mkdir()
    with pytest.raises(UsageError, match="no registered team has a valid submission"):
        host.close(CLOSED)


@pytest.mark.slow
def test_a_subject_who_is_missing_at_the_end_is_named(host, study, tmp_path):
    host.register(("alpha", "a", "no"))
    host.submit("alpha", "one")
    changed = tmp_path / study.name
    shutil.copytree(study, changed)
    shutil.rmtree(changed / "P07")
    ref = host.place.holder / "study.json"
    ref.write_text(ref.read_text().replace(str(study), str(changed)))
    with pytest.raises(UsageError, match=r"(?s)one subject of the commitment is missing.* P.*begin a new challenge"):
        host.close()
    assert not host.place.results.exists()


def test_anyone_can_verify_the_published_files(closed):
    checked = verify_results(closed.place.results)
    assert "the scores of four teams and six comparisons, from submissions and labels" in checked
    _, value, copy, package, _ = checked[-5:]
    known = "2027-01-02 00:00:00 UTC"
    assert value == (
        f"compare yourself: the value that drand default network, round 5200000 made known at {known}, with {VALUE}"
    )
    assert f"commitment.json as published before {known}, with the file here: SHA-256" in copy
    assert "the line for challenge.yaml in SHA256SUMS of the package, with" in package


def test_edited_predictions_and_labels_are_found(closed):
    folder = closed.place.results
    path = folder / "submissions" / "noise" / "predictions.csv"
    rows = list(csv.DictReader(path.open()))
    lines = [",".join([*list(row.values())[:-1], str(1 - float(row["score"]))]) for row in rows]
    path.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    with pytest.raises(CheckFailed, match="the score of noise with its interval; the submission of noise"):
        verify_results(folder)
    opening = json.loads((folder / "opening.json").read_text())
    opening["labels"] = opening["labels"][1:]
    (folder / "opening.json").write_text(json.dumps(opening))
    with pytest.raises(CheckFailed, match="not as committed: the labels"):
        verify_results(folder)


def test_another_public_value_is_found(closed):
    path = closed.place.results / "challenge.yaml"
    path.write_text(path.read_text().replace("8f3a", "8f3b", 1))
    with pytest.raises(CheckFailed, match="the public value differs"):
        verify_results(closed.place.results)


def test_ranks_are_final_after_the_first_three_were_run_again(closed, tmp_path):
    again = tmp_path / "again.csv"
    for team, skill, seed in (("alpha", 2.0, 0), ("beta", 2.0, 1), ("noise", 1.0, 5)):
        again.write_text(closed.predictions(skill, seed))
        found = confirm_rerun(closed.place, team, again)
    state = {row.team: row.rerun for row in found.rows}
    assert state == {"alpha": "same", "beta": "same", "noise": "differs", "friends": ""}
    assert found.is_final
    assert "Ranks are final." in (closed.place.results / "report.md").read_text()
    with pytest.raises(UsageError, match="friends does not have to be run again"):
        confirm_rerun(closed.place, "friends", again)
    verify_results(closed.place.results)


def test_later_submissions_are_scored_without_a_rank(closed):
    before = (closed.place.results / "leaderboard.csv").read_bytes()
    closed.submit("noise", "later", skill=3.0, seed=7, at=CLOSED)
    (row,) = score_after(closed.place, closed.inbox, CLOSED)
    assert row["team"] == "noise"
    assert row["score"] > 0.6
    assert (closed.place.results / "leaderboard.csv").read_bytes() == before
    assert (closed.place.results / "after.csv").read_text().count("\n") == 2


def test_ranks_ignore_affiliated_teams_and_undefined_scores():
    pairs = [
        Pair(first="host", second="a", difference=0.3, low=0.2, high=0.4, p_holm=0.001),
        Pair(first="a", second="b", difference=0.2, low=0.1, high=0.3, p_holm=0.01),
    ]
    assert rank_teams({"a": 0.7, "b": 0.5, "c": None}, pairs) == {"a": 1, "b": 2, "c": 3}


def test_the_optimism_of_the_best_is_that_of_simulated_teams():
    drawn = np.random.default_rng(0).normal(0, 0.05, (20_000, 100))
    for teams, stated in best_of(0.05).items():
        assert abs(drawn[:, :teams].max(1).mean() - stated) < 0.001
