"""A small study under subject-independent-v4: balanced partitions, one hurdle for all, and few confound columns."""

import subprocess
import sys
from itertools import combinations

import pytest

from embench.errors import UsageError
from embench.protocols import load_protocol
from embench.statistics.answerable import SIMULATED_POWER
from embench.statistics.answers import answer_questions
from embench.statistics.form import result_forms

from ..docs.pages import ROOT
from ..tiny.fixtures import cache
from ..tiny.running import Bench
from ..tiny.world import make_subject, write

__all__ = ["cache"]

V4 = "subject-independent-v4"
METHOD = {
    "encoder": "Moments",
    "fusion": "logreg",
    "modalities": "eda",
    "targets": "arousal",
    "protocol": V4,
    "seeds": None,
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory, cache):  # noqa: ARG001  data are prepared in its folder
    folder = tmp_path_factory.mktemp("v4")

    def subject(number):
        """All see the same films in orders of their own."""
        high = [(7 * number + 5 * r + 3 * number * r) % 11 < 5 for r in range(12)]
        ratings = [{"arousal": 7.0 if each else 3.0, "valence": 5.0} for each in high]
        return make_subject(
            number, stimuli=12, stimulus=lambda r: f"v{(5 * r + 7 * number) % 12}", ratings=ratings.__getitem__
        )

    return Bench(write(folder, {f"p{n:02d}": subject(n) for n in range(20)}), folder / "runs")


def test_any_two_subjects_share_a_test_fold_once(bench):
    cohort = bench.plan(**METHOD).test
    protocol = load_protocol(V4)
    folds = [
        [{cohort.units[i].subject for i in cohort.find_positions(fold.test)} for fold in cohort.folds(protocol, seed)]
        for seed in range(cohort.partitions(protocol))
    ]
    assert len(folds) == 6
    for pair in combinations(cohort.subjects, 2):
        assert sum(set(pair) <= fold for of in folds for fold in of) == 1


def test_partitions_are_those_that_are_balanced(bench):
    assert bench.plan(**METHOD).request.seed_list == tuple(range(6))
    assert bench.plan(**METHOD, partitions="balanced").id == bench.plan(**METHOD).id
    with pytest.raises(UsageError, match="seeds are given twice"):
        bench.plan(**{**METHOD, "seeds": "0"}, partitions="balanced")
    with pytest.raises(UsageError, match="no balanced partitions"):
        bench.plan(**{**METHOD, "protocol": "segment-random-legacy"}, partitions="balanced")


def test_power_is_announced_before_training(bench):
    assert SIMULATED_POWER.read_text() == (ROOT / "bench" / "confound_rule" / "power.yaml").read_text()
    small, medium = bench.plan(**METHOD).describe()["power"]
    assert (small["AUROC of the signals"], medium["AUROC of the signals"]) == (0.62, 0.72)
    assert small["given confounds, %"] < medium["given confounds, %"] <= medium["above chance, %"]
    assert bench.plan(**{**METHOD, "seeds": "0"}).describe()["power"][1]["above chance, %"] < medium["above chance, %"]


@pytest.mark.slow
def test_a_small_study_ends_with_an_answer_given_order_and_movement(bench):
    whole, one = bench.run(**METHOD), bench.run(**{**METHOD, "seeds": "0"})
    found, of_one = (answer_questions(each.manifest, each.scores)["arousal"] for each in (whole, one))
    assert found.metric == "auroc_crossed"
    assert found.find_answer("movement").text.startswith("given time, position and previous stimulus?")
    assert found.adjusted.decisive_level == "small_study"
    assert found.adjusted.levels["small_study"].partial_r.low < found.adjusted.levels["small_study"].partial_r.high
    assert "previous_stimulus" in {control.name for control in found.models}
    shown = [result_forms(each.manifest, each.scores)["arousal"].score for each in (whole, one)]
    assert ["of 6 partitions" in text for text in shown] == [False, True]
    assert of_one.score.comparisons < found.score.comparisons
    for result in (whole, one):
        script = [sys.executable, ROOT / "docs" / "recompute.py", result.folder]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        assert "2 of 2 agree" in done.stdout
