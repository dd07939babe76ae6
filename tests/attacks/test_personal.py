"""What a test subject gives reaches nobody else, and of what is scored of it no label is handed out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.audits.checks.splits import check_samples
from embench.audits.collect import collect_evidence
from embench.engine.predict import GIVEN, TRIAL_GIVEN, TRIAL_SCORED
from embench.errors import CheckFailed, PluginError
from embench.planning.plan import Plan
from embench.records.predictions import Predictions
from embench.records.record import read_record

from ..tiny.fixtures import cache
from ..tiny.giving import bench, giving
from ..tiny.running import Bench

__all__ = ["bench", "cache", "giving"]
PLUGINS = Path(__file__).parents[1] / "tiny" / "personal.py"


def plugin(name: str) -> str:
    return f"{PLUGINS}:{name}"


def names_of(plan: Plan, task: dict[str, np.ndarray], prefix: str = "") -> list[str]:
    recordings = plan.test.store.recordings
    return [recordings[r].subject for r in task[f"{prefix}recording"].tolist()]


def subjects_tested(plan: Plan, fold: int) -> set[str]:
    [found] = [each for each in plan.graph.predictions if each.fold == fold]
    return {plan.test.units[i].subject for i in found.units}


@pytest.mark.parametrize(
    ("given", "options"),
    [("2", {}), ("2", {"dev": True}), ("unlabelled:2", {"label_subjects": "3"}), ("session", {})],
)
def test_no_stage_has_a_label_of_a_test_subject_but_those_that_it_gives(
    bench: Bench, given: str, options: dict[str, Any]
) -> None:
    plan = bench.plan("Moments", fusion="logreg", modalities="ecg", calibration_data=given, **options)
    cohort = plan.test
    assert cohort.slices is not None
    at = {(r, start): i for i, (r, start) in enumerate(zip(*(cohort.columns[n] for n in ("recording", "start")),
                                                           strict=True))}  # fmt: skip
    labelled_ones = {i for each in plan.graph.predictions for i in each.train}
    for stage in plan.graph.stages.values():
        tested = subjects_tested(plan, stage.params.common.fold)
        if "y" in stage.task:
            assert not tested & {n for n, r in zip(names_of(plan, stage.task), stage.task["role"], strict=True) if
                                 r == 0 or not options.get("dev")}  # fmt: skip
        if "all_given" in stage.task:
            own = [u.subject in tested for u in cohort.units]
            mine = np.flatnonzero(own & (stage.task["all_given"] > 0))
            assert set(mine) <= set(np.flatnonzero(cohort.slices.select_given(2)))
            assert (stage.kind == "predict" or not len(mine)) or options.get("dev")
        if "slice_role" not in stage.task:
            continue
        role, y = stage.task["slice_role"], stage.task["slice_y"]
        if "unlabelled" in stage.params.given:
            assert not np.isfinite(y).any()
            assert set(role.tolist()) == {GIVEN}
        units = np.array([at[key] for key in zip(stage.task["slice_recording"], stage.task["slice_start"],
                                                 strict=True)])  # fmt: skip
        of_tested = np.array([name in tested for name in names_of(plan, stage.task, "slice_")])
        assert (of_tested == (role == GIVEN)).all()
        assert not cohort.slices.scored[units[of_tested]].any()
        assert cohort.slices.select_given(2)[units[role != TRIAL_SCORED]].all()
        assert cohort.slices.scored[units[role == TRIAL_SCORED]].all()
        assert not set(units[role == TRIAL_SCORED]) & set(units[role == TRIAL_GIVEN])
        if options.get("dev") and "labelled" in stage.params.given:
            assert set(units[~of_tested].tolist()) <= labelled_ones


def test_in_a_trial_a_training_subject_gives_no_more_labels_than_a_run_may_use(bench: Bench) -> None:
    """Where nobody validates, people that are trained on are tried; half of their labels are hidden."""
    plan = bench.plan(
        "Moments", fusion="logreg", modalities="ecg", calibration_data="2", label_fraction="0.5", dev=True
    )
    for each in plan.graph.predictions:
        task = plan.graph.stages[each.stage].task
        columns = plan.test.arrays(each.train)
        known = set(zip(columns["recording"].tolist(), columns["start"].tolist(), strict=True))
        tried = task["slice_role"] != GIVEN
        keys = zip(task["slice_recording"][tried].tolist(), task["slice_start"][tried].tolist(), strict=True)
        assert set(keys) <= known


def test_folds_of_slices_that_somebody_changed_are_refused(bench: Bench) -> None:
    plan = bench.plan("Moments", fusion="logreg", modalities="ecg", calibration_data="2")
    cohort, [fold, *_] = plan.test, plan.test.folds(plan.protocol, 0)
    slices = cohort.slices
    assert slices is not None
    place = {unit.id: i for i, unit in enumerate(cohort.units)}
    first = place[fold.test[0]]
    scored = slices.scored.copy()
    scored[np.flatnonzero(slices.rank > 0)[:1]] = True
    random = np.random.default_rng(0).permuted(slices.rank)
    later = slices.rank.copy()
    later[first] = 1
    for wrong in (replace(slices, scored=scored), replace(slices, rank=random), replace(slices, rank=later)):
        with pytest.raises(CheckFailed):
            replace(cohort, slices=wrong).split_calibration(plan.protocol, [fold])


NETWORKS = {
    "ByArrival": "depends on the units that were predicted before it",
    "ByArrivalInAFold": "depends on the units that were predicted before it",
    "TooMuch": "`personalise` changed encoders.ecg.mix",
    "OtherNetwork": "`personalise` left a network of other weights",
    "BatchStatistics": "`personalise` left a network of other weights",
}
ESTIMATORS = {
    "RemembersSubjects": "depends on the units that were predicted before it",
    "Neglects": "`personalise` gave NoneType",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_does_more_than_adapt_to_one_subject_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(PluginError, match=NETWORKS[name]) as error:
        bench.run(plugin(name), fusion="single", modalities="ecg", calibration_data="2")
    assert name in error.value.where


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_that_does_more_than_adapt_to_one_subject_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(PluginError, match=ESTIMATORS[name]) as error:
        bench.run("Moments", fusion=plugin(name), modalities="ecg", calibration_data="2")
    assert name in error.value.where


def rows_of(run: Any, method: str = "model") -> np.ndarray:
    rows = read_record(run.folder).predictions
    rows = rows.take(rows["method"] == method)
    return rows["score"][np.lexsort([rows["unit"], rows["target"], rows["seed"]])]


@pytest.mark.slow
def test_a_record_in_which_what_was_given_is_scored_is_found_by_the_audit(bench: Bench) -> None:
    run = bench.run("Moments", fusion="logreg", modalities="ecg", calibration_data="2")
    evidence = collect_evidence(run.folder, data_root=bench.data)
    assert not check_samples(evidence).findings
    rows = evidence.record.predictions
    subject = str(rows["subject"][0])
    cohort = bench.plan("Moments", fusion="logreg", modalities="ecg", calibration_data="2").test
    assert cohort.slices is not None
    ranked = zip(cohort.units, cohort.slices.rank, strict=True)
    given = next(unit.id for unit, rank in ranked if rank and unit.subject == subject)
    theirs = rows["unit"] == rows["unit"][0]
    forged = {**rows.columns, "unit": np.where(theirs, given, rows["unit"].astype(object)).astype(str)}
    record = replace(evidence.record, predictions=Predictions(forged))
    found = check_samples(replace(evidence, record=record)).findings
    assert [f.severity for f in found if "calibration data of their subjects" in f.what] == ["severe"]


@pytest.mark.slow
def test_what_subjects_leave_in_a_plugin_reaches_nobody_after_them(bench: Bench) -> None:
    """It works on a copy of the network, of itself and of the training rows: the first subject of each gets what all
    get."""
    network = bench.run(plugin("OnItself"), fusion="single", modalities="ecg", calibration_data="2")
    assert np.isfinite(rows_of(network)).all()
    estimator = bench.run("Moments", fusion=plugin("ChangesItself"), modalities="ecg", calibration_data="2")
    assert estimator.manifest["calibration_data"] == {"labelled": 2}


@pytest.mark.slow
def test_batch_normalisation_is_estimated_anew_from_units_without_labels(bench: Bench) -> None:
    labelled = bench.run(plugin("Normalised"), fusion="single", modalities="ecg", calibration_data="2")
    unlabelled = bench.run(plugin("Normalised"), fusion="single", modalities="ecg", calibration_data="unlabelled:2")
    nothing = bench.run(plugin("Normalised"), fusion="single", modalities="ecg", calibration_data="0")
    assert (rows_of(labelled, "calibration_normalised") == rows_of(unlabelled)).all()
    assert (rows_of(labelled, "no_calibration") == rows_of(nothing)).all()
    assert (rows_of(labelled) == rows_of(unlabelled)).all()  # it reads no labels
    assert (rows_of(unlabelled) != rows_of(nothing)).any()
