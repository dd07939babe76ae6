"""What a score can and cannot be won by, exactly, on the labels that generated subjects give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embench.protocols import load_protocol
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.statistics.scores import compute_scores
from embench_plugins.datasets.amigos.reader import Amigos
from embench_plugins.datasets.amigos.release import SHORT
from embench_plugins.datasets.amigos.synthetic import draw

PEOPLE = 20
CARD = Amigos.card
TARGET = next(target for target in CARD.targets if target.name == "arousal")
TRIALS = draw(PEOPLE, 0, 1.0)
TRIALS = TRIALS[np.isin(TRIALS["video"], SHORT)]

thousandths = st.integers(0, 1000).map(lambda k: k / 1000)


def scored(of_unit: np.ndarray, trials: np.ndarray = TRIALS) -> dict[str, Any]:
    """The scores of a model that gives each trial `of_unit` (n,), tested in six partitions into five folds of
    subjects."""
    n, seeds = len(trials), 6
    subject = np.array([f"P{subject_id:02d}" for subject_id in trials["person"]])
    recording = np.array([f"{owner}_V{video}" for owner, video in zip(subject, trials["video"], strict=True)])
    unit = np.array([f"{name}:0-60000" for name in recording])
    dealt = np.random.default_rng(0).permuted(np.tile(np.arange(PEOPLE) % 5, (seeds, 1)), axis=1)
    of_trial = {
        "subject": subject,
        "recording": recording,
        "stimulus": trials["video"],
        "unit": unit,
        "start_s": np.full(n, np.nan),
        "score": of_unit.astype(float),
        "decision": np.zeros(n),
    }
    predictions = Predictions(
        {
            "method": np.full(seeds * n, MODEL),
            "target": np.full(seeds * n, TARGET.name),
            "fold": dealt[:, trials["person"] - 1].ravel(),
            "seed": np.repeat(np.arange(seeds), n),
            **{name: np.tile(values, seeds) for name, values in of_trial.items()},
        }
    )
    label = np.array([TARGET.rule(raw[None]) for raw in trials["arousal"]])
    columns = (subject, recording, unit, np.full(n, TARGET.name), np.full(n, ANY_SEED), trials["arousal"], label)
    return compute_scores(
        predictions,
        Labels(dict(zip(Labels.FIXED, columns, strict=True))),
        targets=[TARGET],
        protocol=load_protocol("subject-independent-v4"),
        design="shared_stimuli",
        groups=dict(zip(subject.tolist(), subject.tolist(), strict=True)),
        unit_length_s=float("nan"),
    )["scores"]["arousal"]


def exactly_chance(number: dict[str, Any]) -> bool:
    return number["mean"] == number["low"] == number["high"] == 0.5


def by_subject(level: np.ndarray) -> np.ndarray:
    return level[TRIALS["person"] - 1]


def by_stimulus(appeal: np.ndarray) -> np.ndarray:
    return appeal[np.array([SHORT.index(video) for video in TRIALS["video"]])]


def test_constant_predictor_is_at_chance_exactly() -> None:
    scores = scored(np.full(len(TRIALS), 0.3))
    for name in ("auroc_within", "auroc_within_stimulus", "auroc_crossed", "auroc", "balanced_accuracy"):
        assert exactly_chance(scores[name]), name


@settings(max_examples=8, deadline=None)
@given(level=arrays(float, PEOPLE, elements=thousandths))
def test_any_score_of_the_subject_alone_is_at_chance_within_subjects_exactly(level: np.ndarray) -> None:
    scores = scored(by_subject(level))
    assert exactly_chance(scores["auroc_within"])
    assert exactly_chance(scores["auroc_crossed"])


@settings(max_examples=8, deadline=None)
@given(level=arrays(float, PEOPLE, elements=thousandths), appeal=arrays(float, len(SHORT), elements=thousandths))
def test_any_score_of_subject_plus_stimulus_is_at_chance_crossed_exactly(level: np.ndarray, appeal: np.ndarray) -> None:
    assert exactly_chance(scored((by_subject(level) + by_stimulus(appeal)) / 2)["auroc_crossed"])


def test_so_is_one_that_knows_each_subject_and_each_stimulus_best() -> None:
    """The strongest of its kind: every subject's and every video's share of high ratings, test labels included."""
    high = TRIALS["arousal"] > 4.5
    level = np.array([high[TRIALS["person"] == p].mean() for p in range(1, PEOPLE + 1)])
    appeal = np.array([high[TRIALS["video"] == video].mean() for video in SHORT])
    scores = scored((by_subject(level) + by_stimulus(appeal)) / 2)
    assert scores["auroc"]["mean"] > 0.6
    assert scores["auroc_within"]["low"] > 0.5
    assert exactly_chance(scores["auroc_crossed"])


def test_the_true_heart_rate_is_found_by_all_of_them() -> None:
    scores = scored(TRIALS["heart_rate"] / 150)
    assert scores["auroc_within"]["mean"] == pytest.approx(0.9, abs=0.04)
    assert scores["auroc_crossed"]["low"] > 0.8
    assert scores["auroc"]["mean"] < 0.7  # subjects differ in heart rate by more than their trials do


def test_a_label_of_the_subject_alone_leaves_scores_within_subjects_undefined_and_says_so() -> None:
    trials = draw(PEOPLE, 0, 1.0, person_label=True)
    trials = trials[np.isin(trials["video"], SHORT)]
    scores = scored(trials["heart_rate"] / 150, trials)
    assert scores["auroc_within"] == {"undefined": {"id": "no_subject_with_both_classes"}}
    assert scores["auroc_crossed"]["undefined"]["id"] == "few_comparisons"
    found = scored(np.where(trials["arousal"] > 4.5, 0.9, 0.1), trials)
    assert found["auroc"]["mean"] == 1.0
    assert "undefined" in found["auroc_within"]
