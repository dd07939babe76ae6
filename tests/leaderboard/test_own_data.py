"""The answers of an entry given time and movement are computed again where the data are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embench.audits.checks.confounds import check_confound_only
from embench.audits.collect import collect_evidence
from embench.cli import main
from embench.data.cohort import Cohort
from embench.interfaces.metric import Undefined
from embench.leaderboard.verify_data import (
    LocalData,
    find_wrong_associations,
    find_wrong_cohort,
    find_wrong_labels,
    find_wrong_unpredicted,
    load_local_data,
)
from embench.records.record import Record, read_manifest, read_record
from embench.records.scores import Scores
from embench.runs import external
from embench.statistics.confound_test import VARIANTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made data of sixteen subjects who can be compared, with a run. Their units are those of a large study."""
    root = tmp_path_factory.mktemp("own")
    made = ["data", "synthesize", "stress_predict", "--out", root / "data" / "stress_predict"]
    assert main([str(word) for word in (*made, "--subjects", 16, "--length-s", 900)]) == 0
    run = ["run", "--dataset", "stress_predict", "--encoder", "handcrafted", "--fusion", "lda", "--modalities", "temp"]
    more = ["--protocol", "subject-independent-v4", "--seeds", "0", "--data-root", root / "data"]
    assert main([str(word) for word in (*run, *more, "--runs", root / "runs")]) == 0
    return root


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return next(root.glob("runs/stress_predict/handcrafted-lda-*"))


def cohort_here(folder: Path, root: Path) -> Cohort:
    here = load_local_data(folder, read_manifest(folder), read_record(folder), root / "data")
    assert isinstance(here, LocalData)
    assert not here.difference
    return here.cohort


def found(record: Record, folder: Path, root: Path) -> list[str]:
    run = read_manifest(folder)
    cohort = cohort_here(folder, root)
    return [*find_wrong_unpredicted(run, record, cohort), *find_wrong_associations(run, record, cohort)]


def test_what_a_run_says_follows_from_its_predictions_and_the_data(root: Path, folder: Path) -> None:
    record = read_record(folder)
    adjusted = record.scores.get_adjusted("stress")
    assert set(adjusted.variants) == set(VARIANTS)
    assert found(record, folder, root) == []


def test_another_share_of_repaired_units_is_found_where_there_is_one(root: Path, folder: Path) -> None:
    run, record = read_manifest(folder), read_record(folder)
    cohort = cohort_here(folder, root)
    assert run.cohort.repaired == 0.0
    assert find_wrong_cohort(run, record, cohort) == []
    for share, wrong in ((None, []), (0.5, ["run.yaml: cohort.repaired: 0.5, but it follows 0"])):
        edited = run.model_copy(update={"cohort": run.cohort.model_copy(update={"repaired": share})})
        assert find_wrong_cohort(edited, record, cohort) == wrong


def verdict(adjusted: dict[str, Any]) -> None:
    adjusted["levels"]["movement"]["associated"] = not adjusted["levels"]["movement"]["associated"]


def effect(adjusted: dict[str, Any]) -> None:
    adjusted["levels"]["protocol_phase"]["partial_r"]["low"] += 0.01


def groups(adjusted: dict[str, Any]) -> None:
    name = next(iter(adjusted["levels"]["movement"]["by_group"]))
    adjusted["levels"]["movement"]["by_group"][name] *= -2


@pytest.mark.parametrize("forged", [verdict, effect, groups])
def test_a_forged_answer_is_found(root: Path, folder: Path, forged: Callable[[dict[str, Any]], None]) -> None:
    record = read_record(folder)
    content = copy.deepcopy(dict(record.scores.content))
    forged(content["adjusted"]["stress"])
    [wrong] = found(replace(record, scores=Scores(content)), folder, root)
    assert wrong.startswith("scores.json: adjusted.stress.levels.")


def test_a_file_of_predictions_follows_from_the_data_too(root: Path, folder: Path) -> None:
    name = read_manifest(folder).targets[0]
    place = {"data_root": root / "data", "out": root / "scored", "protocol": "subject-independent-v4"}
    outside = external.score(folder / "predictions.csv.gz", "stress_predict", **place).folder
    run, record = read_manifest(outside), read_record(outside)
    assert record.scores.get_adjusted(name).decisive_level == "protocol_phase"
    assert find_wrong_labels(outside, run, record, cohort_here(outside, root), root / "data") == []
    assert found(record, outside, root) == []


def test_without_the_data_nothing_can_be_said(folder: Path, tmp_path: Path) -> None:
    assert isinstance(load_local_data(folder, read_manifest(folder), read_record(folder), tmp_path), Undefined)


@pytest.mark.parametrize("adjusted", [True, False])
def test_an_audit_warns_of_a_row_that_is_not_shown_to_add(root: Path, folder: Path, adjusted: bool) -> None:
    evidence = collect_evidence(folder, root / "data")
    content = copy.deepcopy(dict(evidence.record.scores.content))
    content["adjusted"]["stress"]["levels"]["movement"]["associated"] = adjusted
    found = check_confound_only(replace(evidence, record=replace(evidence.record, scores=Scores(content)))).findings
    warned = ["given time and movement, an association of the scores with stress is not shown: partial r"]
    assert [finding.what.partition(" 0.")[0].partition(" -0.")[0] for finding in found] == ([] if adjusted else warned)
