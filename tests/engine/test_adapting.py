"""Adapting to a subject: nobody else's units, order or labels change what it gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embench.engine.predict import (
    GIVEN,
    TRIAL_GIVEN,
    TRIAL_SCORED,
    EstimatorAdapter,
    HeadAdapter,
    PersonalPredictions,
    PersonalRows,
    calibration_only,
)
from embench.engine.rows import GIVEN_BY_TESTED, GIVEN_IN_TRAINING, standardise_by_given
from embench.interfaces.fusion import TrainingRows
from embench.testing.require import targets
from embench_plugins.fusions.classical import LogReg

TARGET = targets("binary").targets[0]
SEVERAL = targets("classes").targets[0]
LEARNED = np.random.default_rng(1).normal(size=(40, 3))


def made(shifts: dict[str, float], *, seed: int = 0) -> tuple[PersonalRows, np.ndarray]:
    """Rows (n, 3) of subjects whose label follows the first feature less a shift of their own: t* are tested, v* on
    trial. Each gives four and is asked for eight."""
    found: list[tuple[str, int, float, np.ndarray]] = []
    for name, shift in shifts.items():
        random = np.random.default_rng([seed, *name.encode()])
        for k in range(12):
            x, y = random.normal(size=3) * (0.3, 0.1, 0.1), float(k % 2)
            x[0] = 2 * y - 1 + shift + x[0]
            tested = name.startswith("t")
            role = (GIVEN if tested else TRIAL_GIVEN) if k < 4 else (-1 if tested else TRIAL_SCORED)
            found.append((name, role, np.nan if role == -1 else y, x))
    subject, role, y, x = (np.array(part) for part in zip(*found, strict=True))
    return PersonalRows(subject, role, y, np.ones(len(y))), x


def personal(rows: PersonalRows, x: np.ndarray, *, labelled: bool = True, head: bool = True) -> PersonalPredictions:
    if head:
        score = 1 / (1 + np.exp(-x[:, :1]))
        adapter = HeadAdapter(TARGET, rows, lambda index: (score[index], x[index]))
    else:
        training = TrainingRows(LEARNED, (LEARNED[:, 0] > 0).astype(float), np.repeat(list("abcd"), 10), np.ones(40))
        estimator = LogReg(LogReg.recipes["paper"], seed=0)
        estimator.fit(*training)
        adapter = EstimatorAdapter(estimator, training, rows, x, 1)
    return PersonalPredictions(TARGET, rows, adapter, x.__getitem__, np.arange(len(x)), labelled)


def asked(rows: PersonalRows, name: str) -> np.ndarray:
    return np.flatnonzero((rows.subject == name) & (rows.role == -1))


SHIFTED = {"t0": 2.0, "t1": -2.0, "t2": 0.0, "v0": 2.0, "v1": -2.0}


@pytest.mark.parametrize("head", [True, False])
def test_others_their_order_and_their_labels_change_nothing(head: bool) -> None:
    rows, x = made(SHIFTED)
    before = personal(rows, x, head=head)(asked(rows, "t1"))
    for order in (["v1", "t2", "t1", "v0", "t0"], ["t1", "v0", "v1"]):
        others, theirs = made({name: SHIFTED[name] for name in order})
        method = personal(others, theirs, head=head)
        for name in order[:2]:
            if len(asked(others, name)):
                method(asked(others, name))
        after = method(asked(others, "t1"))
        assert all(np.allclose(after[name], table) for name, table in before.items())
    wrong = replace(rows, y=np.where((rows.subject == "t0") & (rows.role == GIVEN), 1 - rows.y, rows.y))
    assert (personal(wrong, x, head=head)(asked(rows, "t1"))["score"] == before["score"]).all()


@pytest.mark.parametrize("head", [True, False])
def test_how_much_to_adapt_is_chosen_on_others_than_those_that_are_tested(head: bool) -> None:
    rows, x = made(SHIFTED)
    chosen = personal(rows, x, head=head).strength
    assert chosen > 0  # people on trial are shifted, too
    turned = np.where(rows.role == GIVEN, 1 - rows.y, rows.y)
    assert personal(replace(rows, y=turned), x, head=head).strength == chosen
    level, y = made({"t0": 2.0, "v0": 0.0, "v1": 0.0}), np.random.default_rng(0).integers(0, 2, 36).astype(float)
    noise = replace(level[0], y=np.where(level[0].role == TRIAL_GIVEN, y, level[0].y))
    assert personal(noise, level[1], head=head).strength == 0  # what people on trial give misleads


def test_a_level_of_its_own_is_found_by_a_layer_beside_the_head() -> None:
    rows, x = made(SHIFTED)
    at = asked(rows, "t0")
    truth = np.arange(4, 12) % 2
    base = (1 / (1 + np.exp(-x[at, 0])) >= 0.5) == truth
    adapted = (personal(rows, x)(at)["score"][:, 0] >= 0.5) == truth
    assert base.mean() <= 0.6
    assert adapted.mean() >= 0.9


def test_nothing_is_fitted_to_units_without_labels() -> None:
    rows, x = made(SHIFTED)
    unlabelled = replace(rows, y=np.full(len(rows.y), np.nan))
    at = asked(rows, "t0")
    tables = personal(unlabelled, x, labelled=False)(at)
    assert set(tables) == {"score"}
    assert np.allclose(tables["score"], 1 / (1 + np.exp(-x[at, :1])))


def test_a_slice_of_one_class_predicts_it_and_of_several_the_missing_one_gets_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(6, 2))
    assert (calibration_only(TARGET, x, np.ones(6), np.ones(6))(x) == 1).all()
    share = calibration_only(SEVERAL, x, np.array([0.0, 2, 0, 2, 0, 2]), np.ones(6))(x)
    assert np.allclose(share.sum(1), 1)
    assert (share[:, 1] == 0).all()


def test_people_vary_as_training_subjects_do_also_where_these_are_tried_as_test_subjects() -> None:
    random = np.random.default_rng(0)
    subject, values = np.repeat(["a", "b", "t"], 20), random.normal(3.0, 2.0, (60, 2))
    given = np.zeros(60, np.int64)
    given[:40] = GIVEN_IN_TRAINING
    given[40:42] = GIVEN_BY_TESTED
    plain = standardise_by_given(values, subject, given)
    assert np.allclose(plain[:20].mean(0), 0, atol=1e-6)
    assert plain[42:].std() == pytest.approx(1, abs=0.35)
    tried = given.copy()
    tried[[0, 1, 20, 21]] |= GIVEN_BY_TESTED  # both training subjects
    again = standardise_by_given(values, subject, tried)
    assert np.array_equal(again[40:], plain[40:])
    assert np.allclose(again[:2].mean(0), 0, atol=1e-6)
    known = standardise_by_given(np.where(subject[:, None] == "b", np.nan, values), subject, given)
    assert np.isnan(known[20:40]).all()
    assert np.isfinite(known[40:]).all()
