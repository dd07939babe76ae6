"""What a method gains by what test subjects gave, in words."""

from __future__ import annotations

from typing import Any

import pytest

from embench.records.scores import Scores
from embench.records.wording import gain_sentences, least_gain


def gap(mean: float | None) -> dict[str, Any]:
    if mean is None:
        return {"difference": {"undefined": "too few subjects"}, "above_zero": False}
    return {"difference": {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}, "above_zero": mean > 0.05}


def scores_of(over: dict[str, float | None], normalising: float, source: str, model: float | None = 0.6) -> Scores:
    gains = {name: {"auroc_within": gap(mean), "brier": gap(-0.01)} for name, mean in over.items()}
    gain = {
        "level_metric": "brier", "compared_with": gains, "source": source,
        "normalisation": {"auroc_within": gap(normalising), "brier": gap(-0.02)},
    }  # fmt: skip
    score = {"undefined": "too few subjects"} if model is None else {"mean": model, "low": 0.5, "high": 0.7}
    confound_only = {name: {"stress": {"auroc_within": {"mean": 0.55, "low": 0.5, "high": 0.6}}} for name in over}
    return Scores.make_empty(
        primary_metrics={"stress": "auroc_within"},
        scores={"stress": {"auroc_within": score}},
        confound_only=confound_only,
        calibration_gain={"stress": gain},
    )


LABELLED = {
    "no_calibration": 0.1,
    "calibration_normalised": 0.08,
    "calibration_only": -0.2,
    "calibration_class_proportions": 0.1,
    "time_since_calibration": 0.06,
}


@pytest.mark.parametrize("gain_source", ["labels", "normalisation"])
def test_labels_are_judged_above_the_best_control_and_a_model_of_the_slice_alone_is_none(gain_source: str) -> None:
    labels, normalising = gain_sentences(scores_of(LABELLED, 0.02, gain_source), "stress", {"labelled": 5})
    helps = "labels help" if gain_source == "labels" else "a benefit of the labels is not shown"
    assert "with 5 labelled units of each class as calibration data: auroc_within 0.600, without 0.550" in labels
    assert (
        "over the best comparison, time_since_calibration (the time since the calibration data), is 0.060 [0.010, "
        f"0.110]: {helps}" in labels
    )
    assert "a linear model of the calibration data only, on the same features, reaches 0.550 [0.500, 0.600]" in labels
    assert "a gain of 0.020 [-0.030, 0.070]" in normalising
    assert normalising.endswith("a benefit of normalisation is not shown")


def test_units_without_labels_are_judged_by_what_normalising_gains_over_nothing() -> None:
    scores = scores_of({"no_calibration": 0.07, "time_since_calibration": -0.3}, 0.07, "normalisation")
    [told] = gain_sentences(scores, "stress", {"unlabelled": 5})
    assert told.startswith("with 5 units of each class without their labels as calibration data: ")
    assert "a gain of 0.070 [0.020, 0.120]" in told
    assert told.endswith("normalisation helps")
    gain = scores.get_calibration_gain("stress")
    assert gain is not None
    assert least_gain(gain, "auroc_within")[0] == "no_calibration"  # type: ignore[index]


def test_a_headline_that_cannot_be_estimated_shows_no_gain() -> None:
    scores = scores_of(dict.fromkeys(LABELLED, None), 0.0, "not_shown", model=None)
    labels, _ = gain_sentences(scores, "stress", {"labelled": 1})
    assert labels.startswith("with 1 labelled unit of each class as calibration data: auroc_within cannot be estimated")
    assert not gain_sentences(Scores.make_empty(), "stress", {})
