"""Attacks on `adjusted` see no label of the subject whose units they score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.adjusted.attacks import features, registration
from bench.adjusted.attacks.fitting import crossfit, linear, logistic
from bench.adjusted.study import Study, in_order

SUBJECTS, UNITS = 6, 60


@pytest.fixture(scope="module")
def study() -> Study:
    """Sessions in one order of tasks that begin at different times, during which the wrist moves more."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(SUBJECTS), UNITS)
    start = np.tile(10.0 * np.arange(UNITS), SUBJECTS)
    y = (np.abs(start - 300 - 40 * subject) < 100).astype(float)
    acc = rng.normal(0, 0.02 + 0.05 * y[:, None, None], (len(y), 3, 320)) + np.array([[0], [0], [1]])
    anything: Any = None
    return Study(
        dataset="made up", cohort=anything, target=anything, positions=np.arange(len(y)),
        unit_ids=np.arange(len(y)).astype(str), subject=subject, start=start, y=y, names=np.array(list("abcdef")),
        session_s=np.full(SUBJECTS, 600.0), length_s=10.0, seeds=np.array([0, 1]),
        folds=np.array([[0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2]]), order=in_order(subject, start),
        rows={}, confound_only={},
        _windows={"acc": acc.astype(np.float32)},
    )  # fmt: skip


def _amount(study: Study) -> np.ndarray:
    return registration.trace(study, features.size(study)["log_sd"])


METHODS: dict[str, Callable[[Study], np.ndarray]] = {
    "logistic": lambda s: crossfit(s, features.table(s, features.size(s)), logistic),
    "by seed": lambda s: crossfit(s, np.stack([features.table(s, features.size(s))] * 2), linear),
    "shifted": lambda s: registration.registered(s, _amount(s)),
    "every shift": lambda s: registration.registered(s, _amount(s), soft=True),
    "warped": lambda s: registration.read_labels(s, [registration.warped(s, _amount(s))], 0.05),
    "nearby": lambda s: registration.read_labels(s, [registration.nearby(s, _amount(s), 12, 12)], 0.1),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_subjects_own_labels_and_those_of_her_fold_change_nothing(study: Study, name: str) -> None:
    scores = METHODS[name](study)
    assert scores.shape == (2, SUBJECTS * UNITS)
    for fold in range(3):
        own = study.folds[0][study.subject] == fold
        other = METHODS[name](replace(study, y=np.where(own, 1 - study.y, study.y)))
        np.testing.assert_array_equal(scores[0, own], other[0, own])
        assert not np.array_equal(scores[0, ~own], other[0, ~own])  # others have learned from them


def test_a_clock_set_by_movement_finds_each_subjects_own_time(study: Study) -> None:
    last = study.order[5]
    shifted = registration.registered(study, _amount(study))[0, last]
    still = np.zeros((SUBJECTS, SUBJECTS, 1))
    same_time = registration.read_labels(study, [registration.best_shift(study, still)], 1.0)[0, last]
    won = {name: np.corrcoef(scores, study.y[last])[0, 1] for name, scores in (("moved", shifted), ("not", same_time))}
    assert won["moved"] > 0.9 > won["not"]
