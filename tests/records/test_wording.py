"""How figures, scores and names of methods are written."""

import pytest

from embench.records import wording
from embench.records.scores import Score, Scores

SCORE = Score(mean=0.5, low=0.4, high=0.6)


def test_score_in_other_formats():
    assert wording.format_score(SCORE, "+.2f") == "+0.50 [+0.40, +0.60]"
    assert wording.format_score(SCORE, interval=False) == "0.500"
    assert wording.format_score(Score(undefined="one class only"), missing="--") == "--"
    assert wording.format_interval(SCORE, "{} to {}") == "0.400 to 0.600"


@pytest.mark.parametrize(
    ("metric", "ends", "text"),
    [
        ("auroc_within", (0.9, 1.07), "[0.900, 1.000]"),
        ("ece", (-0.02, 0.3), "[0.000, 0.300]"),
        ("mcc", (-0.2, 0.4), "[-0.200, 0.400]"),
        ("mcc", (-1.1, 1.2), "[-1.000, 1.000]"),
        ("of_a_package_that_is_not_here", (-3.0, 1.2), "[-3.000, 1.200]"),
    ],
)
def test_no_interval_is_shown_beyond_what_its_metric_can_be(metric, ends, text):
    recorded = {"mean": 0.9, "low": ends[0], "high": ends[1]}
    of = Scores.make_empty(
        scores={"stress": {metric: recorded}}, confound_only={"prior": {"stress": {metric: recorded}}}
    )
    for score in (of.get_score("stress", metric), of.get_score("stress", metric, "prior")):
        assert wording.format_interval(score) == text
        assert (score.low, score.high) == ends
        assert score.to_dict() == recorded
        kept = Score.model_validate_json(score.model_dump_json(exclude_unset=True))  # as boards keep what they show
        assert wording.format_interval(kept) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0304, "p = .03"),
        (0.0312, "p = .031"),
        (0.2, "p = .2"),
        (1.0, "p = 1"),
        (0.001, "p = .001"),
        (1e-5, "p < .001"),
    ],
)
def test_p_value(p, text):
    assert wording.format_p(p) == text


def test_method_names():
    method = {
        "encoders": {"ppg": "embench_plugins/tcn", "eda": "embench_plugins/cnn"},
        "fusion": "embench_plugins/late",
        "pretrainers": ["simclr"],
        "modalities": ["ppg", "eda"],
    }
    assert wording.method_name({"method": method}) == "tcn + cnn + late after simclr on ppg, eda"
    assert wording.method_name({"method": {**method, "submission": "theirs"}}) == "theirs"
    assert wording.method_name({"method": {**method, "encoders": {}, "fusion": None}}) == ""


def test_names_without_what_stands_before():
    assert wording.bare_name("embench_plugins/amigos/short") == "short"
    assert wording.name_without_package("embench_plugins/amigos/short") == "amigos/short"
    assert wording.name_without_package("./mine.py:Mine") == "Mine"


def test_values_on_one_line():
    assert (
        wording.format_value({"ppg": 0.5, "eda": [1, None]}, missing="not recorded") == "ppg 0.500, eda 1, not recorded"
    )
    assert wording.join_with_and(["a", "b", "c"]) == "a, b and c"
    assert [wording.number_in_words(n) for n in (0, 12, 13)] == ["no", "twelve", "13"]
