"""Controls know of training subjects only, and say where they do not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from embench.interfaces.metric import Undefined
from embench.interfaces.units import LabelRule, Target, Unit
from embench.statistics import confound_only
from embench.statistics.confound_only import CONFOUND_ONLY, predict_confound_only

PEOPLE, MOMENTS = 10, 30


def cohort(stimuli: int = 5, *, clock: bool = True) -> tuple[list[Unit], np.ndarray]:
    """Subjects who meet stimuli in turn; the label is 1 in the last third of the time, but for some noise."""
    rng = np.random.default_rng(0)
    units, y = [], []
    for p in range(PEOPLE):
        for u in range(MOMENTS):
            at = u * 10.0
            start = at if clock else np.nan
            order = u if clock else np.nan
            unit = Unit(f"r{p}:{u}", f"r{p}", f"s{p}", f"v{u % stimuli}", f"s{p}", at, at + 10, start, order)
            units.append(unit)
            y.append(float((u >= 20) != (rng.random() < 0.1)))
    return units, np.array(y)


TRAIN, TEST = np.arange(240), np.arange(240, 300)
DURATIONS = {f"r{p}": 300.0 + p for p in range(PEOPLE)}
SESSIONS = {f"s{p}": 300.0 + p for p in range(PEOPLE)}


BINARY = Target("stress", "binary", LabelRule(), "stress")
FIVE = Target("state", "classes", LabelRule(), "state", n=5)
VALUE = Target("level", "value", LabelRule(), "level")


def scores_of(units: list[Unit], y: np.ndarray, target: Target = BINARY, **changed: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"durations": DURATIONS, "sessions": SESSIONS, "movement": None, "seed": 3, **changed}
    return predict_confound_only(target, units, y, TRAIN, TEST, **arguments)


def control(name: str, units: list[Unit], y: np.ndarray, target: Target = BINARY, **changed: Any) -> Any:
    """One control alone, which spares the trees of the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confound_only, "CONFOUND_ONLY", {name: CONFOUND_ONLY[name]})
        return scores_of(units, y, target, **changed)[name]


def test_test_labels_are_not_looked_at() -> None:
    units, y = cohort()
    movement = np.random.default_rng(0).normal(size=(len(units), 4))
    one = scores_of(units, y, movement=movement)
    other = scores_of(units, np.where(np.arange(len(y)) < 240, y, 1 - y), movement=movement)
    assert set(one) == set(CONFOUND_ONLY)
    for name in CONFOUND_ONLY:
        for a, b in zip(one[name], other[name], strict=True):
            assert a.shape == (60,)
            np.testing.assert_array_equal(a, b)


def test_majority_and_prior_are_constant_scores() -> None:
    units, y = cohort()
    y[::7] = np.nan
    share = np.nanmean(y[TRAIN])
    score, decision = control("majority", units, y)
    assert set(score) == set(decision) == {0.0}
    score, decision = control("prior", units, y)
    np.testing.assert_allclose(score, share)
    assert 0.15 < decision.mean() < 0.55
    np.testing.assert_array_equal(decision, control("prior", units, y)[1])
    assert (decision != control("prior", units, y, seed=4)[1]).any()


def test_the_moment_of_a_stimulus_tells_what_the_others_felt_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        confound_only, "CONFOUND_ONLY", {"prior": CONFOUND_ONLY["prior"]}
    )  # which spares the trees of the others
    units, y = cohort()
    at = [(f"film{k % MOMENTS // 10}", k % 10 * 10.0) for k in range(len(units))]
    films = [
        replace(unit, stimulus=film, start=start, stop=start + 10)
        for unit, (film, start) in zip(units, at, strict=True)
    ]
    for target, labels in ((BINARY, y), (VALUE, 3 * y + np.arange(len(y)) % 7)):
        made = scores_of(films, labels, target, moments=True)
        for k, score in zip(TEST, made["stimulus_moment"][0], strict=True):
            assert score == pytest.approx(labels[TRAIN][k % MOMENTS == TRAIN % MOMENTS].mean())
    assert "stimulus_moment" not in scores_of(films, y)
    alike = (np.arange(len(y)) % MOMENTS >= 20).astype(float)  # one label a film
    reason = scores_of(films, alike, moments=True)["stimulus_moment"].reason
    assert reason == "labels do not vary while a stimulus lasts"


def test_trees_of_two_seeds_that_split_alike_are_the_same_and_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = "elapsed_time", "session_position", "study_drift"
    monkeypatch.setattr(confound_only, "CONFOUND_ONLY", {name: CONFOUND_ONLY[name] for name in clocks})
    units, y = cohort()
    made: dict[str, np.ndarray] = {}

    def keep(key: list[object], make: Callable[[], np.ndarray]) -> np.ndarray:
        if str(key) not in made:
            made[str(key)] = make()
        return made[str(key)]

    first = scores_of(units, y, keep=keep)
    count = len(made)
    second = scores_of(units, y, seed=4, keep=keep)
    assert count == len(made) > 0
    anew = scores_of(units, y, seed=4)
    for name in clocks:
        np.testing.assert_array_equal(first[name][0], second[name][0])
        np.testing.assert_array_equal(anew[name][0], second[name][0])


def test_the_clock_finds_what_comes_late() -> None:
    units, y = cohort()
    score, decision = control("elapsed_time", units, y)
    late = np.array([units[i].start_s >= 200 for i in TEST])
    assert score[late].min() > score[~late].max()
    np.testing.assert_array_equal(decision, late)


def test_the_order_alone_is_a_clock() -> None:
    units, y = cohort()
    hidden = [Unit(u.id, u.recording, u.subject, u.stimulus, u.group, u.start, u.stop, np.nan, u.order) for u in units]
    score, _ = control("elapsed_time", hidden, y)
    assert score[25] > score[5]


def test_a_clock_that_only_test_subjects_have_tells_nothing() -> None:
    units, y = cohort()
    hidden = [replace(unit, start_s=np.nan, order=np.nan) if i in TRAIN else unit for i, unit in enumerate(units)]
    for name in ("elapsed_time", "session_position"):
        made = control(name, hidden, y, sessions={})
        assert isinstance(made, Undefined)
        assert made.reason == "it is known of no training unit"


def test_stimulus_mean_is_the_training_subjects() -> None:
    units, y = cohort()
    score, _ = control("stimulus_mean", units, y)
    stimulus = np.array([u.stimulus for u in units])
    for k, i in enumerate(TEST):
        assert score[k] == pytest.approx(y[TRAIN][stimulus[TRAIN] == stimulus[i]].mean())


def test_where_they_do_not_apply_they_say_why() -> None:
    units, y = cohort(stimuli=1, clock=False)
    made = scores_of(units, y, durations=dict.fromkeys(DURATIONS, 300.0))
    assert {name: a.reason for name, a in made.items() if isinstance(a, Undefined)} == {
        "stimulus_mean": "there is one stimulus only",
        "elapsed_time": "the release hides when units were recorded",
        "session_position": "the release hides when units were recorded",
        "study_drift": "the release hides when units were recorded",
        "recording_length": "all recordings are of one length",
        "movement": "there is no accelerometer",
    }


def test_a_stimulus_nobody_in_training_met_has_no_mean() -> None:
    units, y = cohort()
    y[[i for i in TRAIN if units[i].stimulus == "v2"]] = np.nan
    score = control("stimulus_mean", units, y)
    assert score == Undefined("1 test stimuli have no training label: v2")


@pytest.mark.parametrize("target", [BINARY, VALUE])
def test_a_stimulus_at_which_nobody_has_a_label_leaves_the_others_their_mean(target: Target) -> None:
    units, y = cohort()
    unlabelled = np.array([unit.stimulus == "v2" for unit in units])
    before = control("stimulus_mean", units, y, target)[0]
    y[unlabelled] = np.nan
    score, _ = control("stimulus_mean", units, y, target)
    np.testing.assert_array_equal(score[~unlabelled[TEST]], before[~unlabelled[TEST]])
    np.testing.assert_allclose(score[unlabelled[TEST]], np.nanmean(y[TRAIN]))


def test_movement_that_is_partly_missing_still_counts() -> None:
    units, y = cohort()
    movement = np.stack([y, np.zeros_like(y)], 1)
    movement[::3] = np.nan
    score, _ = control("movement", units, y, movement=movement)
    there = np.isfinite(movement[TEST, 0])
    assert score[there & (y[TEST] == 1)].min() > score[there & (y[TEST] == 0)].max()
    movement[TEST] = np.nan
    assert isinstance(control("movement", units, y, movement=movement), Undefined)


def test_one_class_in_training_leaves_the_constants() -> None:
    units, y = cohort()
    made = scores_of(units, np.ones_like(y))
    assert isinstance(made["elapsed_time"], Undefined)
    assert set(made["majority"][1]) == {1.0}
    assert all(isinstance(a, Undefined) for a in scores_of(units, np.full_like(y, np.nan)).values())


def test_several_classes_have_a_share_each() -> None:
    units, _ = cohort()
    y = np.array([u.start_s // 75 for u in units])  # 0 .. 3, and class 4 of 5 never comes
    made = scores_of(units, y, FIVE)
    for name in ("majority", "prior", "stimulus_mean", "elapsed_time"):
        score, decision = made[name]
        assert score.shape == (60, 5)
        np.testing.assert_allclose(score.sum(1), 1)
        assert (score[:, 4] == 0).all()
        assert decision.max() <= 3
    np.testing.assert_array_equal(made["elapsed_time"][1], y[TEST])


def test_controls_of_values_know_the_training_subjects_only() -> None:
    units, y = cohort()
    y = y + np.random.default_rng(1).normal(size=len(y))
    y[::9] = np.nan
    movement = np.random.default_rng(0).normal(size=(len(units), 4))
    made = scores_of(units, y, VALUE, movement=movement)
    other = scores_of(units, np.where(np.arange(len(y)) < 240, y, 99.0), VALUE, movement=movement)
    assert set(made) == set(CONFOUND_ONLY)
    assert isinstance(made.pop("majority"), Undefined)
    for name, (score, decision) in made.items():
        assert score.shape == (60,)
        np.testing.assert_array_equal(score, decision)
        np.testing.assert_array_equal(score, other[name][0])
    assert made["prior"][0] == pytest.approx(np.full(60, np.nanmean(y[TRAIN])))
    seen = [np.nanmean([y[i] for i in TRAIN if units[i].stimulus == units[j].stimulus]) for j in TEST]
    np.testing.assert_allclose(made["stimulus_mean"][0], seen)
    late = np.array([units[i].start_s >= 200 for i in TEST])
    assert made["elapsed_time"][0][late].mean() > made["elapsed_time"][0][~late].mean() + 0.3


def test_controls_of_values_say_why_they_do_not_apply() -> None:
    units, y = cohort(stimuli=1, clock=False)
    made = scores_of(units, y, VALUE, durations=dict.fromkeys(DURATIONS, 300.0))
    reasons = {name: score.reason for name, score in made.items() if isinstance(score, Undefined)}
    assert set(reasons) == {*CONFOUND_ONLY} - {"prior"}
    assert reasons["stimulus_mean"] == "there is one stimulus only"
    none_known = scores_of(units, np.full(len(y), np.nan), VALUE)
    assert all(isinstance(score, Undefined) for score in none_known.values())


def test_a_drift_of_the_study_is_found_where_subjects_are_numbered_as_they_came() -> None:
    """Tasks come later from subject to subject: the clock alone can't tell when."""
    units, _ = cohort()
    start = np.array([unit.start_s for unit in units])
    number = np.repeat(np.arange(PEOPLE), MOMENTS)
    y = (start > 60 + 15 * number).astype(float)

    def right(name: str) -> float:
        return float(np.mean((control(name, units, y)[0] > 0.5) == y[TEST]))

    assert right("study_drift") > right("elapsed_time")


def test_of_one_subject_the_clock_is_one_control() -> None:
    units, y = cohort()
    own = np.arange(MOMENTS)
    y[:MOMENTS] = (own >= 15).astype(float)
    arguments: dict[str, Any] = {"durations": DURATIONS, "sessions": SESSIONS, "movement": None, "seed": 0}
    made = predict_confound_only(BINARY, units, y, own[own % 3 > 0], own[own % 3 == 0], **arguments)
    assert {name for name in ("session_position", "study_drift") if isinstance(made[name], Undefined)} == {
        "session_position",
        "study_drift",
    }
    assert "of one subject" in made["session_position"].reason
    assert not isinstance(made["elapsed_time"], Undefined)
    assert isinstance(made["stimulus_mean"], tuple)


def test_seeds_share_boosted_trees() -> None:
    units, y = cohort()
    keys: list[object] = []

    def keep(key: list[object], make: Callable[[], np.ndarray]) -> np.ndarray:
        keys.append(key)
        return make()

    one, other = (control("elapsed_time", units, y, seed=seed, keep=keep) for seed in (0, 1))
    np.testing.assert_array_equal(one[0], other[0])
    half = len(keys) // 2
    assert keys[:half] == keys[half:]
