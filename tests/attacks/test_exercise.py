"""The specificity of stress detectors: nobody's own session trains the model that is applied to them, thresholds are
not in-sample, and features of the bicycle are normalised by the stress session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import exercise as board
from embench.engine.rows import load_encoder
from embench.errors import CheckFailed
from embench.planning.graph import Graph
from embench.planning.plan import Plan
from embench.records.predictions import MODEL
from embench.runs import run as runner
from embench.store import derive
from embench_plugins.datasets.wearable_stress import synthetic

UNSEEN_SHARE = 0.8
"""Of the scores that the learner below gives to subjects who did not train it, so many reach a threshold at which so
many of its training subjects' do."""


@pytest.fixture(scope="module")
def root(tmp_path_factory, session_cache) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("exercise")
    synthetic.synthesize_exercise(folder / "wearable_stress", subjects=12, seed=1, effect=1.0, length_s=180.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(session_cache))
        yield folder


@pytest.fixture(scope="module")
def plan(root: Path) -> Plan:
    return board.planned(board.Row("logreg", "ppg,eda"), root, [0])


@pytest.fixture(scope="module")
def sessions(plan: Plan, root: Path) -> tuple[board.Sessions, board.Sessions]:
    return board.read_sessions(plan, root)


def remembering(stress: board.Sessions, rides: board.Sessions) -> board.Learner:
    """A learner that knows of a unit whether its subject trained it, and nothing else."""
    draws = np.random.default_rng(0)
    random = [draws.uniform(0, 0.5, len(each.subject)) for each in (stress, rides)]

    def learner(stage):
        seen = {stress.cohort.store.recordings[r].subject for r in stage.task["recording"].tolist()}
        here, there = (
            np.where(np.isin(each.subject, list(seen)), 1.0, scores)
            for each, scores in zip((stress, rides), random, strict=True)
        )
        return here, there

    return learner


class TestNobodyTrainsTheirOwnModel:
    def test_a_learner_that_remembers_its_subjects_gains_nothing(self, plan, sessions):
        """In-sample thresholds would be 1, which no test unit reaches; had a test subject's session trained the model,
        all their units would be positive."""
        found = board.measured(plan, *sessions, remembering(*sessions))
        for state in (board.TASK, board.RIDE):
            share = np.nanmean(found[state][board.SHARE])
            assert share == pytest.approx(UNSEEN_SHARE, abs=0.1), state

    def test_everybody_is_tested_once(self, plan, sessions):
        found = board.measured(plan, *sessions, remembering(*sessions))
        assert np.isfinite(found[board.TASK][board.SHARE]).all()
        assert found[board.TASK][board.SHARE].shape == (1, 12)

    def test_a_fold_whose_test_subject_trained_is_refused(self, plan, sessions):
        first = plan.graph.predictions[0]
        id_ = plan.graph.stages[first.stage].inputs["fitted"]
        stage = plan.graph.stages[id_]
        recording = plan.test.columns["recording"][list(first.units)]
        tampered = replace(stage, task={**stage.task, "recording": np.r_[recording[:1], stage.task["recording"][1:]]})
        graph = Graph({**plan.graph.stages, id_: tampered}, plan.graph.predictions)
        with pytest.raises(CheckFailed, match="trained their own model"):
            board.measured(replace(plan, graph=graph), *sessions, remembering(*sessions))

    def test_parts_of_the_training_subjects_are_predicted_by_models_of_the_others(self, plan, sessions):
        stage, stress = board.fitted_stages(plan)[0], sessions[0]
        asked: list[set[str]] = []

        def learner(stage):
            asked.append({stress.cohort.store.recordings[r].subject for r in stage.task["recording"].tolist()})
            return np.zeros(len(stress.subject)), np.zeros(0)

        crossed = board.crossed_scores(stage, stress, learner)
        trained = set(board.trained_on(stage, stress.cohort))
        assert set(stress.subject[np.isfinite(crossed)]) == trained
        assert len(asked) == min(board.PARTS, len(trained)) > 1
        left = [trained - seen for seen in asked]
        assert all(left)
        assert set().union(*left) == trained
        assert sum(map(len, left)) == len(trained)


class TestWhatIsApplied:
    @pytest.mark.slow
    def test_scores_of_test_units_are_those_of_the_run(self, plan, sessions, tmp_path):
        learner = board.learner_of(board.Row("logreg", "ppg,eda"), plan, *sessions)
        said = runner.run(replace(plan.request, runs=tmp_path, workers=1)).predictions
        said = said.take(said.rows_with(method=MODEL, target="stress"))
        units = said.texts("unit")
        known = dict(zip(units.names[units.code].tolist(), said["score"].tolist(), strict=True))
        for expected, stage in zip(plan.graph.predictions, board.fitted_stages(plan), strict=True):
            own = [known[plan.test.units[i].id] for i in expected.units]
            np.testing.assert_allclose(learner(stage)[0][list(expected.units)], own, rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("modality", ["ppg", "eda"])
    def test_features_are_normalised_by_the_subjects_stress_session(self, plan, sessions, modality):
        """The statistics are of all its units, labelled or not, and of no unit of the bicycle."""
        stress, rides = sessions
        part = board.fitted_stages(plan)[0].params.modalities[modality]
        made = board.features(plan, rides, stress)[modality].array.numpy()

        def raw(of: board.Sessions, subject: str) -> np.ndarray:
            (entry,) = [entry for entry in of.cohort.store.recordings if entry.subject == subject]
            spans = np.array([[unit.start, unit.stop] for unit in of.cohort.units if unit.subject == subject])
            return derive.features_in(of.cohort.store, modality, load_encoder(part), entry.id, spans)

        for subject in ("S02", "f03"):
            known = raw(stress, subject).astype(np.float64)
            there = np.isfinite(known).any(0)
            known, spread = known[:, there], np.nanstd(known[:, there], 0)
            wanted = (raw(rides, subject)[:, there] - np.nanmean(known, 0)) / np.where(spread > 1e-9, spread, 1)
            np.testing.assert_allclose(made[rides.subject == subject][:, there], wanted, rtol=1e-3, atol=1e-3)

    def test_who_has_no_stress_session_has_no_features(self, plan, sessions):
        stress, rides = sessions
        without = replace(stress, subject=np.where(stress.subject == "S02", "nobody", stress.subject))
        present = board.features(plan, rides, without)["eda"].present
        assert not present[rides.subject == "S02"].any()
        assert present[rides.subject == "S03"].all()

    def test_the_control_reads_its_own_features_of_the_training_units_alone(self, plan, sessions):
        learner = board.learner_of(board.Row(board.MOVEMENT, "acc"), plan, *sessions)
        here, there = learner(board.fitted_stages(plan)[0])
        assert (len(here), len(there)) == tuple(len(each.subject) for each in sessions)
        assert np.isfinite(here).all()
        assert np.isfinite(there).all()


class TestArithmetic:
    def test_a_threshold_has_eighty_per_cent_of_known_scores(self):
        scores = np.arange(1, 11) / 10
        assert board.threshold_of(scores, np.repeat("a", 10)) == 0.3
        assert (scores >= 0.3).mean() == 0.8

    def test_every_subject_counts_alike_and_no_higher_threshold_would_do(self):
        draws = np.random.default_rng(0)
        subject = np.repeat(["a", "b", "c"], [100, 10, 37])
        scores = draws.normal(np.repeat([0.0, 2.0, 1.0], [100, 10, 37]))
        threshold = board.threshold_of(scores, subject)

        def sensitivity(at: float) -> float:
            return float(np.mean([(scores[subject == name] >= at).mean() for name in "abc"]))

        assert sensitivity(threshold) >= board.SENSITIVITY
        assert sensitivity(scores[scores > threshold].min()) < board.SENSITIVITY

    @pytest.mark.parametrize(
        ("positive", "recording", "start", "count"),
        [
            ([1, 1, 1, 1], [0, 0, 0, 0], [0, 10, 20, 30], 1),
            ([1, 0, 1, 1], [0, 0, 0, 0], [0, 10, 20, 30], 2),
            ([0, 0, 0, 0], [0, 0, 0, 0], [0, 10, 20, 30], 0),
            ([1, 1, 1, 1], [0, 0, 0, 0], [0, 10, 30, 40], 2),
            ([1, 1, 1, 1], [0, 0, 1, 1], [0, 10, 20, 30], 2),
        ],
        ids=["one that lasts", "two", "none", "a gap", "two recordings"],
    )
    def test_an_alarm_is_a_run_of_positive_units(self, positive, recording, start, count):
        given = np.array(positive, bool), np.array(recording), np.array(start, float)
        assert board.alarms(*given, 10.0) == count


def test_rows_hold_every_estimator_and_movement_alone():
    assert len(set(board.ROWS)) == len(board.ROWS) == 22
    assert {row.method for row in board.ROWS if row.modalities == "ppg"} == set(board.ESTIMATORS)
    assert {row.method for row in board.ROWS if row.modalities == "acc"} == {board.MOVEMENT, *board.FAST}
