"""What a method gains by what test subjects gave, in words."""

from __future__ import annotations

from typing import Any

import pytest

from embench.records.scores import Scores
from embench.records.wording import gain_sentences, least_gain


def gap(mean: float | None) -> dict[str, Any]:
    if mean is None:
        return {"difference": {"undefined": "too few subjects"}, "clears": False}
    return {"difference": {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}, "clears": mean > 0.05}


def scores_of(over: dict[str, float | None], normalising: float, gains_by: str, model: float | None = 0.6) -> Scores:
    gains = {name: {"auroc_within": gap(mean), "brier": gap(-0.01)} for name, mean in over.items()}
    personal = {
        "level_score": "brier", "over": gains, "gains_by": gains_by,
        "normalising": {"auroc_within": gap(normalising), "brier": gap(-0.02)},
    }  # fmt: skip
    score = {"undefined": "too few subjects"} if model is None else {"mean": model, "low": 0.5, "high": 0.7}
    controls = {name: {"stress": {"auroc_within": {"mean": 0.55, "low": 0.5, "high": 0.6}}} for name in over}
    return Scores.none(
        headlines={"stress": "auroc_within"},
        scores={"stress": {"auroc_within": score}},
        controls=controls,
        personal={"stress": personal},
    )


LABELLED = {"nothing_given": 0.1, "slice_normalised": 0.08, "slice_only": -0.2, "slice_share": 0.1, "since_slice": 0.06}


@pytest.mark.parametrize("gains_by", ["labels", "normalising"])
def test_labels_are_judged_above_the_best_control_and_a_model_of_the_slice_alone_is_none(gains_by: str) -> None:
    labels, normalising = gain_sentences(scores_of(LABELLED, 0.02, gains_by), "stress", {"labelled": 5})
    helps = "labels help" if gains_by == "labels" else "a benefit of the labels is not shown"
    assert "with 5 labelled units of each class as calibration data: auroc_within 0.600, without 0.550" in labels
    assert (
        f"over the best comparison, since_slice (the time since the calibration data), is 0.060 [0.010, 0.110]: {helps}"
        in labels
    )
    assert "a linear model of the calibration data only, on the same features, reaches 0.550 [0.500, 0.600]" in labels
    assert "a gain of 0.020 [-0.030, 0.070]" in normalising
    assert normalising.endswith("a benefit of normalisation is not shown")


def test_units_without_labels_are_judged_by_what_normalising_gains_over_nothing() -> None:
    scores = scores_of({"nothing_given": 0.07, "since_slice": -0.3}, 0.07, "normalising")
    [told] = gain_sentences(scores, "stress", {"unlabelled": 5})
    assert told.startswith("with 5 units of each class without their labels as calibration data: ")
    assert "a gain of 0.070 [0.020, 0.120]" in told
    assert told.endswith("normalisation helps")
    personal = scores.personal("stress")
    assert personal is not None
    assert least_gain(personal, "auroc_within")[0] == "nothing_given"  # type: ignore[index]


def test_a_headline_that_cannot_be_estimated_shows_no_gain() -> None:
    scores = scores_of(dict.fromkeys(LABELLED, None), 0.0, "nothing", model=None)
    labels, _ = gain_sentences(scores, "stress", {"labelled": 1})
    assert labels.startswith("with 1 labelled unit of each class as calibration data: auroc_within cannot be estimated")
    assert not gain_sentences(Scores.none(), "stress", {})
